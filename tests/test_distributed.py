"""Processes that train one model: that it is the model of one process."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch

from sklearn_daae import DAAETransformer, load
from sklearn_daae.distributed import data_parallel

from .conftest import weights

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this torch has no torch.distributed"
)

# What is trained in one process, and in two. 1003 rows: batches are not halved evenly.
MODELS = """
    import os
    import sys
    import warnings
    import numpy as np
    import torch
    from sklearn_daae import *
    from sklearn_daae.distributed import data_parallel

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    random = np.random.default_rng(0)
    X = random.normal(size=(1003, 4)) @ random.normal(size=(4, 30))
    X = np.float32(X + 0.3 * random.normal(size=X.shape))
    holes = np.where(random.random(X.shape) < 0.1, np.nan, X)
    weight = random.random(len(X))
    of_all = {"n_components": 3, "max_epochs": 3, "batch_size": 64, "random_state": 0,
              "encoder_layer_sizes": 32, "decoder_layer_sizes": 32}
    players = {**of_all, "discriminator_layer_sizes": 16}

    def own_noise(x, sigma, generator):
        return x + sigma * torch.sin(1e3 * x)

    def fitted():
        return {
            "joint": DAAETransformer(**players).fit(X),
            "joint, of weighted rows": DAAETransformer(**players).fit(X, None, weight),
            "joint, of the AAE": AAETransformer(**{**players, "n_components": 2,
                                                  "prior": "ring"}).fit(X),
            "joint, of the iDAAE": iDAAETransformer(M=3, **players).fit(X),
            "separate": DAAETransformer(update="separate", **players).fit(X),
            "separate, of the iDAAE": iDAAETransformer(
                M=3, update="separate", **players).fit(X),
            "with a corruption of one's own": DAAETransformer(
                corruption=own_noise, **players).fit(X),
            "stopped early": DAAETransformer(early_stopping=True, **players).fit(X),
            "of missing values": DAETransformer(missing_values="mask",
                                                **of_all).fit(holes),
            "DVAE": DVAETransformer(**of_all).fit(X),
            "ALICE": ALICETransformer(**players).fit(X),
            "partial_fit": DAAETransformer(**players).partial_fit(X).partial_fit(X),
        }

    def numbers(models):
        made = {}
        for name, model in models.items():
            parts = [p.detach().flatten() for p in model.net_.model_.parameters()]
            made[name] = torch.cat(parts).numpy()
            made[name + " (history)"] = [[*r.values()] for r in model.history_]
        return made
"""


def start(folder, script, *, by_torchrun=True, n=2):
    """Start so many processes of a script, which is told of the folder."""
    path = folder / "train.py"
    path.write_text(textwrap.dedent(script))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    options = {"cwd": folder, "text": True, "stdout": subprocess.PIPE}
    options["stderr"] = subprocess.PIPE
    if by_torchrun:
        torchrun = [sys.executable, "-m", "torch.distributed.run"]
        where = ["--nproc-per-node", str(n), "--master-port", port, str(path)]
        return [subprocess.Popen([*torchrun, *where], env=environment, **options)]
    environment |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": str(n),
    }
    return [
        subprocess.Popen(
            [sys.executable, str(path)], env={**environment, "RANK": str(r)}, **options
        )
        for r in range(n)
    ]


def run(folder, script, **options):
    (process,) = start(folder, script, **options)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err[-3000:]
    return out


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """Return weights and histories of one process, and of each of two."""
    folder = tmp_path_factory.mktemp("numbers")
    save = "np.savez(f'{name}.npz', **numbers(fitted()))\n"
    alone = MODELS + "    name = 'alone'\n    " + save
    together = f"{MODELS}    with data_parallel() as processes:\n"
    together += "        name = processes.rank\n        " + save
    one = folder / "one.py"
    one.write_text(textwrap.dedent(alone))
    subprocess.run([sys.executable, one], cwd=folder, check=True)
    run(folder, together)
    return [dict(np.load(folder / f"{name}.npz")) for name in ("alone", 0, 1)]


def test_all_processes_have_one_model(numbers):
    _, first, second = numbers
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


def test_it_is_the_model_of_one_process(numbers):
    """Up to float32's rounding, after 48 steps."""
    alone, together, _ = numbers
    assert len(alone) == 24
    for name, values in alone.items():
        options = {"rtol": 1e-4, "atol": 2e-5, "err_msg": name}
        np.testing.assert_allclose(together[name], values, **options)


def test_a_process_reads_its_own_rows(tmp_path):
    """Of blocks, in an epoch; all together read each row once."""
    script = """
        import warnings, sklearn, numpy as np
        from skorch.callbacks import Callback
        from sklearn_daae import DAETransformer
        from sklearn_daae.distributed import data_parallel
        warnings.simplefilter("ignore")

        class Lazy:
            shape, dtype, reads = (20_000, 20), np.dtype("f4"), []
            def __getitem__(self, rows):
                self.reads.append((rows.start, rows.stop))
                return np.random.default_rng(rows.start).random(
                    (rows.stop - rows.start, 20), dtype="f4")

        class Begin(Callback):
            def on_epoch_begin(self, net, **kwargs):
                X.reads.clear()
            def on_epoch_end(self, net, **kwargs):
                epochs.append(sorted(X.reads))
                losses.append(net.history[-1, "train_loss"])

        X, epochs, losses = Lazy(), [], []
        sklearn.set_config(working_memory=1)
        with data_parallel() as processes:
            DAETransformer(2, max_epochs=3, random_state=0, encoder_layer_sizes=8,
                           decoder_layer_sizes=8, callbacks=[Begin()]).fit(X)
            first, second = processes.all(losses)
            assert first == second and len(first) == 3
            for mine, other in zip(*processes.all(epochs)):
                assert not set(mine) & set(other)
                assert sum(b - a for a, b in mine + other) == 20_000
                assert abs(len(mine) - len(other)) <= 1
    """
    run(tmp_path, script)


TRAINING = (
    MODELS
    + """
    from skorch.callbacks import Callback

    class Dies(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 3 and os.environ.get("RANK") == "1":
                os.kill(os.getpid(), 9)

    def model():
        callbacks = [Checkpoint("training"), Dies()]
        return DAAETransformer(**{**players, "max_epochs": 6}, callbacks=callbacks,
                               warm_start=True)
"""
)


def test_a_process_dies(tmp_path):
    """The other says so; and one process goes on from the checkpoint."""
    script = (
        TRAINING
        + """
    with data_parallel():
        model().fit(X)
    """
    )
    first, second = start(tmp_path, script, by_torchrun=False)
    _, message = first.communicate(timeout=60)
    second.communicate(timeout=60)
    assert second.returncode == -signal.SIGKILL
    assert first.returncode == 1
    assert "RuntimeError: Another process of this data-parallel training" in message
    assert load(tmp_path / "training").n_epochs_ == 2
    on_one = (
        TRAINING
        + """
    np.savez("ends.npz", on=numbers({"m": model().fit(X)})["m"],
             anew=numbers({"m": model().set_params(callbacks=None).fit(X)})["m"])
    """
    )
    (tmp_path / "one.py").write_text(textwrap.dedent(on_one))
    subprocess.run([sys.executable, "one.py"], cwd=tmp_path, check=True)
    ends = np.load(tmp_path / "ends.npz")
    np.testing.assert_allclose(ends["on"], ends["anew"], rtol=1e-4, atol=2e-5)


def test_torchrun_ends_all(tmp_path):
    script = (
        TRAINING
        + """
    with data_parallel():
        model().fit(X)
    """
    )
    (process,) = start(tmp_path, script)
    began = time.monotonic()
    _, message = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Signal 9 (SIGKILL)" in message
    assert time.monotonic() - began < 60
    assert (tmp_path / "training").exists()


def test_mistakes(tmp_path):
    script = (
        MODELS
        + """
    def message(function):
        try:
            function()
        except ValueError as error:
            return str(error)

    with data_parallel() as processes:
        model = DAAETransformer(**players)
        found = message(lambda: model.fit(X[processes.rank:]))
        assert "must fit one model on one X" in found, found
        assert not hasattr(model, "net_")
        model = DAAETransformer(**{**players, "batch_size": 1})
        assert "cannot share batches of 1" in message(lambda: model.fit(X))
        images = {"image_shape": (1, 16, 16), "network": ("conv", {"n_filters": 2})}
        model = DAETransformer(2, max_epochs=1, **images)
        model.set_params(network=("conv", {"n_filters": 2, "batch_norm": True}))
        found = message(lambda: model.fit(np.random.rand(50, 256)))
        assert "batch normalisation" in found, found
        # Without a seed, all have that of the first.
        model = DAAETransformer(**{**players, "random_state": None}).fit(X)
        first, second = processes.all(model.transform(X))
        assert (first == second).all()
    """
    )
    run(tmp_path, script)


def test_without_a_group(X):
    with pytest.raises(RuntimeError, match="Run the script by torchrun"):
        data_parallel().__enter__()
    model = DAAETransformer(2, max_epochs=1, random_state=0).fit(X)
    again = DAAETransformer(2, max_epochs=1, random_state=0).fit(X)
    np.testing.assert_array_equal(weights(model), weights(again))
