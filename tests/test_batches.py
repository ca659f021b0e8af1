"""Mini-batches, from host memory and from a tensor that lies on the device."""

import numpy as np
import pytest
import torch

from sklearn_daae._engine.batches import Batches, hold_out
from sklearn_daae._engine.rows import Rows

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_every_row_once_in_an_order_from_the_generator(dtype):
    X = np.arange(60, dtype=dtype).reshape(20, 3)
    rows = np.arange(2, 20)
    epochs = {}
    for name, source in {"host": X, "device": torch.from_numpy(X)}.items():
        batches = Batches(Rows(source, CPU), rows=rows, batch_size=5)
        random = np.random.default_rng(0)
        epochs[name] = [
            torch.cat([b.x for b in batches.shuffled(random)]) for _ in range(2)
        ]
        assert [len(x) for x, *_ in batches] == [5, 5, 5, 3]
        assert len(batches) == 4
        np.testing.assert_array_equal(torch.cat([b.x for b in batches]), X[2:])
        for epoch in epochs[name]:
            assert epoch.dtype == torch.float32
            assert sorted(epoch[:, 0].tolist()) == X[2:, 0].tolist()
    assert not torch.equal(*epochs["host"])
    for host, device in zip(*epochs.values(), strict=True):
        assert torch.equal(host, device)


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "sizes"),
    [(11, 5, [5, 6]), (1, 5, [1]), (3, 1, [1, 1, 1]), (4, 9, [4]), (12, 5, [5, 5, 2])],
)
def test_batch_sizes(n_rows, batch_size, sizes):
    X = np.zeros((n_rows, 2))
    batches = Batches(Rows(X, CPU), rows=np.arange(n_rows), batch_size=batch_size)
    assert [len(x) for x, *_ in batches] == sizes


def test_X_stays_where_it_is_on_a_cpu():
    rows = Rows(np.zeros((3, 2)), CPU)
    assert rows.to_device() is rows


def test_hold_out():
    train, held_out = hold_out(np.arange(25), np.random.default_rng(0), 0.1)
    assert (len(train), len(held_out)) == (22, 3)
    assert sorted([*train, *held_out]) == list(range(25))
    assert (np.diff(train) > 0).all()
