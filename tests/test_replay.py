"""Which training steps are recorded as CUDA graphs, and what recordings give."""

from contextlib import contextmanager, nullcontext
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sklearn_daae import DAAETransformer, _net, _replay

from .conftest import SMALL, WatchesGradients, make, needs_cuda, weights


class WatchesBatches(Callback):
    """Keeps steps from being recorded."""

    def on_batch_end(self, net, **kwargs):
        pass


@pytest.fixture
def recorders(monkeypatch):
    """Let a net without a GPU take itself for one with it; return what it makes."""
    made = []

    class Recorder:
        def __init__(self, step, generator, optimizers):
            self.groups = [
                g for optimizer in optimizers for g in optimizer.param_groups
            ]
            made.append(self)

        def read_learning_rates(self):
            self.learning_rates = [group["lr"] for group in self.groups]

    monkeypatch.setattr(_net, "ReplayedStep", Recorder)
    return made


def net_of(X, **params):
    """Return a fitted net that believes that it is on a GPU, between two epochs."""
    net = DAAETransformer(**SMALL, **params).fit(X).net_
    net.device = torch.device("cuda")
    net.generator_, net.replayed_step_ = torch.Generator(), None
    return net


def test_what_is_recorded(X, recorders):
    net = net_of(X)
    step = net._fastest_step()
    assert [step] == recorders
    assert step.learning_rates == [2e-3] * 2
    net.optimizer_.param_groups[1]["lr"] /= 2
    assert net._fastest_step() is step
    assert step.learning_rates == [2e-3, 1e-3]
    # A recording moves the same weights for good.
    net.module_.decoder.layers[0].requires_grad_(False)
    assert net._fastest_step() is not step
    # Nor does it see a level of the corruption or a moment of Adam's that changes.
    for change in (
        lambda: setattr(net.objective.corruption, "sigma", 0.1),
        lambda: net.optimizer_.param_groups[0].update(betas=(0.5, 0.999)),
    ):
        step = net._fastest_step()
        change()
        assert net._fastest_step() is not step
    net.device = torch.device("cpu")
    assert net._fastest_step() == net._losses_of_step


@pytest.mark.parametrize(
    "params",
    [
        {"optimizer": "rmsprop"},
        {"discriminator_optimizer": ("adam", {"fused": False})},
        {"corruption": lambda x, sigma, generator: x},
        {"prior": lambda n, k, generator: torch.zeros(n, k)},
        {"encoder": torch.nn.Linear},
        {"callbacks": [WatchesGradients()]},
    ],
    ids=lambda params: next(iter(params)),
)
def test_what_is_not_recorded(X, recorders, params):
    net = net_of(X, **params)
    assert net._fastest_step() == net._losses_of_step
    assert not recorders


def test_steps_that_someone_listens_to_are_not_recorded(X, recorders):
    net = net_of(X)
    net.module_.encoder.layers[2].register_forward_hook(lambda *args: None)
    assert net._fastest_step() == net._losses_of_step


def test_replays_take_the_place_of_steps(monkeypatch):
    """With stand-ins for all that is CUDA's: after three steps of each shape."""
    taken, replayed = [], []

    class Graph:
        def register_generator_state(self, generator):
            assert generator is step.generator

        def replay(self):
            batch, losses = next(
                (b, losses) for g, b, losses in step.recordings.values() if g is self
            )
            replayed.append(len(batch))
            losses.copy_(batch.sum(0))

    def take(x):
        taken.append(len(x))
        return x.sum(0)

    optimizer = torch.optim.Adam([torch.zeros(1)], lr=0.5)
    (group,) = optimizer.param_groups

    @contextmanager
    def graph(graph, **kwargs):
        assert group["capturable"]
        assert torch.equal(group["lr"], torch.tensor(0.25))
        yield

    for name in ("Stream", "current_stream", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, MagicMock())
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.Tensor, "record_stream", MagicMock())

    step = _replay.ReplayedStep(take, torch.Generator(), [optimizer])
    group["lr"] = 0.25
    step.read_learning_rates()
    batches = [torch.full((n, 2), float(i)) for i, n in enumerate([4, 4, 3] * 5)]
    losses = [step(batch) for batch in batches]
    for batch, loss in zip(batches, losses, strict=True):
        assert torch.equal(loss, batch.sum(0))
    assert taken == [4, 4, 3, 4, 4, 3, 3, 3]  # three of each, and its recording
    assert sorted(replayed) == [3] * 2 + [4] * 7
    assert (group["capturable"], group["lr"]) == (False, 0.25)


def test_batch_callbacks_see_every_step(X):
    """Of a training on a CPU as well, the steps are the same ones."""
    plain = DAAETransformer(**SMALL).fit(X)
    watched = DAAETransformer(**SMALL, callbacks=[WatchesBatches()]).fit(X)
    np.testing.assert_array_equal(weights(watched), weights(plain))


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recorded_steps_are_the_steps(Estimator, X, precision, monkeypatch):
    """From the same noise, the same losses, up to float32's rounding."""
    recordings = []
    record = _replay.ReplayedStep._record

    def count(self, x):
        recordings.append(len(x))
        recording = record(self, x)
        assert recording is not None
        return recording

    monkeypatch.setattr(_replay.ReplayedStep, "_record", count)
    # Five batches an epoch, the last one smaller; the rate decays once, at the end.
    settings = {"max_epochs": 8, "device": "cuda", "precision": precision}
    replayed = make(Estimator, **settings).fit(X)
    assert recordings == [64, 44]
    taken = make(Estimator, **settings, callbacks=[WatchesBatches()]).fit(X)
    assert recordings == [64, 44]
    for one, other in zip(replayed.history_, taken.history_, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    np.testing.assert_allclose(weights(replayed), weights(taken), atol=1e-4)


@pytest.mark.gpu
@needs_cuda
def test_recordings_follow_the_learning_rate(X):
    settings = {**SMALL, "device": "cuda", "max_epochs": 6, "learning_rate_decay": 0.5}
    replayed = DAAETransformer(**settings).fit(X)
    taken = DAAETransformer(**settings, callbacks=[WatchesBatches()]).fit(X)
    np.testing.assert_allclose(weights(replayed), weights(taken), atol=1e-4)


@pytest.mark.gpu
@needs_cuda
def test_recordings_leave_no_memory_behind(X):
    settings = {**SMALL, "device": "cuda", "max_epochs": 6}
    DAAETransformer(**settings).fit(X)
    kept = torch.cuda.memory_reserved()
    for _ in range(3):
        DAAETransformer(**settings).fit(X)
    assert torch.cuda.memory_reserved() <= kept


@pytest.mark.gpu
@needs_cuda
def test_a_step_that_cannot_be_recorded_is_taken(X, monkeypatch):
    """With a warning, and the same result."""
    step = _net.AutoencoderNet._losses_of_step

    def reads_back(self, x):
        losses = step(self, x)
        losses[0].item()
        return losses

    settings = {**SMALL, "device": "cuda", "max_epochs": 4}
    taken = DAAETransformer(**settings, callbacks=[WatchesBatches()]).fit(X)
    monkeypatch.setattr(_net.AutoencoderNet, "_losses_of_step", reads_back)
    with pytest.warns(UserWarning, match="could not be recorded"):
        model = DAAETransformer(**settings).fit(X)
    np.testing.assert_allclose(weights(model), weights(taken), atol=1e-4)
