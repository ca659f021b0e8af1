"""Progress bars and callbacks, skorch's and scikit-learn's."""

import contextlib
import os
import pickle
import struct
import subprocess
import sys
from copy import deepcopy

import numpy as np
import pytest
import skorch.callbacks
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC
from tqdm import tqdm

from sklearn_daae import ALICETransformer, DAAETransformer, iDAAETransformer
from sklearn_daae.metrics import EstimatorScorer, reconstruction_error

from .conftest import ADVERSARIAL, SMALL, VARIATIONAL, make, weights

SCRIPT = """
import torch, warnings
from sklearn.exceptions import ConvergenceWarning
warnings.simplefilter("ignore", ConvergenceWarning)
torch.set_num_threads(1)
from sklearn.datasets import load_digits
from sklearn_daae import DAAETransformer
X = load_digits().data[:100] / 16
model = DAAETransformer(2, encoder_layer_sizes=(8,), decoder_layer_sizes=(8,),
    discriminator_layer_sizes=(8,), max_epochs=200, device="cpu", random_state=0,
    verbose={verbose})
model.fit(X)
"""


# --- the progress bar of verbose=1 ---------------------------------------------------


def run(verbose, **streams):
    command = [sys.executable, "-c", SCRIPT.format(verbose=verbose)]
    return subprocess.run(command, check=True, timeout=120, **streams)


def test_progress_in_a_log_file(tmp_path):
    path = tmp_path / "log"
    with path.open("w") as log:
        run(1, stdout=log, stderr=subprocess.STDOUT)
    lines = path.read_bytes().decode().split("\n")
    assert not any("\r" in line for line in lines)
    assert "200/200" in lines[-2]
    for name in ("DAAETransformer", "reconstruction=", "adversarial="):
        assert name in lines[-2]
    assert lines[-1] == ""
    assert len(lines) <= 8  # of 200 epochs: a line in ten seconds


def test_progress_in_a_terminal():
    pty = pytest.importorskip("pty", reason="Windows has none")
    import fcntl
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    command = [sys.executable, "-c", SCRIPT.format(verbose=1)]
    text = b""
    with subprocess.Popen(command, stderr=theirs) as process:
        os.close(theirs)
        with contextlib.suppress(OSError):  # the end, on Linux
            while block := os.read(ours, 4096):
                text += block
        assert process.wait(timeout=120) == 0
    os.close(ours)
    assert b"\rDAAETransformer" in text
    assert b"200/200" in text
    assert b"discriminator=" in text


def test_silent_by_default():
    result = run(0, capture_output=True)
    assert result.stdout + result.stderr == b""


def test_the_bar_ends_with_the_fit(X):
    DAAETransformer(**SMALL, verbose=1).fit(X)
    assert not list(tqdm._instances)

    class Breaks(skorch.callbacks.Callback):
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("broken")

    model = DAAETransformer(**SMALL, verbose=1, callbacks=[Breaks()])
    with pytest.raises(RuntimeError, match="broken") as error:
        model.fit(X)
    assert error.traceback  # which keeps the bar alive
    assert not list(tqdm._instances)


def test_no_bar_for_a_single_pass(X, capfd):
    DAAETransformer(**SMALL, verbose=1).partial_fit(X).partial_fit(X)
    assert capfd.readouterr().err == ""


# --- skorch callbacks ----------------------------------------------------------------


def test_epoch_callbacks(Estimator, X):
    calls = []

    class Log(skorch.callbacks.Callback):
        def on_train_begin(self, net, **kwargs):
            calls.append("begin")

        def on_epoch_end(self, net, dataset_train, **kwargs):
            calls.append(round(net.history[-1, "train_loss"], 6))
            assert "train_batch" not in str(net.history[-1])

        def on_train_end(self, net, **kwargs):
            calls.append("end")

    model = make(Estimator, callbacks=[Log()]).fit(X)
    losses = [round(loss, 6) for loss in model.loss_curve_]
    assert calls == ["begin", *losses, "end"]


def test_batch_callbacks(X):
    seen = []

    class Log(skorch.callbacks.Callback):
        def on_batch_end(self, net, batch, training, loss, **kwargs):
            seen.append((len(batch[0]), training, float(loss)))

    plain = DAAETransformer(**SMALL).fit(X)
    model = DAAETransformer(**SMALL, callbacks=[("log", Log)]).fit(X)
    assert [n for n, *_ in seen] == [64, 64, 64, 64, 44] * 2
    first = np.average([s[2] for s in seen[:5]], weights=[s[0] for s in seen[:5]])
    assert model.loss_curve_[0] == pytest.approx(first)
    np.testing.assert_array_equal(weights(model), weights(plain))


def test_batches_scored_in_training(X):
    sizes = iter([64, 64, 64, 64, 44] * 2)
    scoring = skorch.callbacks.BatchScoring(
        lambda net, X, y: next(sizes), name="size", on_train=True
    )
    model = DAAETransformer(**SMALL, callbacks=[scoring]).fit(X)
    expected = (4 * 64 * 64 + 44 * 44) / 300
    assert model.net_.history[:, "size"] == pytest.approx([expected] * 2)


def test_early_stopping_of_skorch(X):
    settings = {**SMALL, "max_epochs": 30, "learning_rate": 1e-9}
    stop = skorch.callbacks.EarlyStopping("train_loss", patience=3, threshold=0.01)
    assert DAAETransformer(**settings, callbacks=[stop]).fit(X).n_epochs_ == 4


@pytest.mark.parametrize("early_stopping", [False, True])
def test_checkpoints_of_skorch(X, tmp_path, early_stopping):
    monitor = "valid_loss_best" if early_stopping else "train_loss_best"
    checkpoint = skorch.callbacks.Checkpoint(monitor=monitor, dirname=tmp_path)
    end = skorch.callbacks.TrainEndCheckpoint(dirname=tmp_path)
    settings = {**SMALL, "early_stopping": early_stopping}
    model = DAAETransformer(**settings, callbacks=[checkpoint, end]).fit(X)
    before = weights(model)
    model.set_params(callbacks=None).partial_fit(X)
    model.net_.load_params(tmp_path / "train_end_params.pt")
    np.testing.assert_array_equal(weights(model), before)
    assert (tmp_path / "params.pt").exists()


def test_schedulers_of_skorch_scale_every_update(X):
    scheduler = skorch.callbacks.LRScheduler("StepLR", step_size=1, gamma=0.1)
    model = DAAETransformer(**SMALL, callbacks=[scheduler]).fit(X)
    rates = [group["lr"] for group in model.net_.optimizer_.param_groups]
    assert rates == pytest.approx([2e-5, 2e-5])


def test_schedulers_of_skorch_change_momentum(X):
    scheduler = skorch.callbacks.LRScheduler(
        torch.optim.lr_scheduler.OneCycleLR,
        max_lr=1e-3,
        total_steps=11,
        step_every="batch",
    )
    model = DAAETransformer(**SMALL, callbacks=[scheduler]).fit(X)
    for group in model.net_.optimizer_.param_groups:
        assert group["betas"] == pytest.approx((0.95, 0.99))


@pytest.mark.parametrize("verbose", [0, 1])
def test_a_net_pickled_in_training_holds_no_data(X, verbose, tmp_path):
    checkpoint = skorch.callbacks.Checkpoint(
        monitor=None, f_params=None, f_pickle="net.pkl", dirname=tmp_path
    )
    settings = {**SMALL, "callbacks": [checkpoint], "verbose": verbose}
    DAAETransformer(**settings).fit(np.repeat(X, 10, axis=0))
    assert (tmp_path / "net.pkl").stat().st_size < 10 * X.nbytes / 2


@pytest.mark.parametrize(
    "scheduler",
    [
        skorch.callbacks.LRScheduler("StepLR", step_size=1, gamma=0.1),
        skorch.callbacks.LRScheduler("ReduceLROnPlateau", monitor="train_loss"),
    ],
    ids=lambda scheduler: scheduler.policy,
)
@pytest.mark.parametrize("copied", [deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_models_with_a_scheduler_are_copied(X, scheduler, copied):
    model = DAAETransformer(**SMALL, callbacks=[clone(scheduler)]).fit(X)
    restored = copied(model)
    np.testing.assert_array_equal(restored.transform(X), model.transform(X))
    for each in (model, restored):
        each.partial_fit(X)
    np.testing.assert_array_equal(weights(restored), weights(model))
    rates = [
        [group["lr"] for group in each.net_.optimizer_.param_groups]
        for each in (model, restored)
    ]
    assert rates[0] == rates[1]
    # What a pickle is loaded for, of no more than it needs.
    plain = DAAETransformer(**SMALL).fit(X)
    assert len(pickle.dumps(restored)) < 1.2 * len(pickle.dumps(plain))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scoring_callbacks_of_skorch(X, dtype):
    def error(net, X, y=None):
        assert len(X) == 270
        return float(((net.predict(X) - X) ** 2).mean())

    scoring = skorch.callbacks.EpochScoring(error, name="error", on_train=True)
    settings = {**SMALL, "early_stopping": True}
    model = DAAETransformer(**settings, callbacks=[scoring]).fit(X.astype(dtype))
    errors = model.net_.history[:, "error"]
    assert errors[1] < errors[0]


def test_freezer_of_skorch(X):
    freezer = skorch.callbacks.Freezer("decoder.*")
    model = DAAETransformer(**SMALL, callbacks=[freezer]).fit(X)
    untrained = DAAETransformer(**{**SMALL, "learning_rate": 1e-20}).fit(X)
    for one, other in zip(
        model.decoder_.parameters(), untrained.decoder_.parameters(), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-15)
    assert (weights(model) != weights(untrained)).any()


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_weights_frozen_in_between_stay(X, optimizer):
    kept = []

    class Freezes(skorch.callbacks.Callback):
        def on_epoch_begin(self, net, **kwargs):
            weight = net.module_.decoder.layers[0].weight
            kept.append(weight.detach().clone())
            weight.requires_grad_(len(kept) == 1)

    settings = {**SMALL, "max_epochs": 3, "optimizer": optimizer}
    model = DAAETransformer(**settings, callbacks=[Freezes()]).fit(X)
    assert not torch.equal(kept[0], kept[1])
    assert torch.equal(kept[1], kept[2])
    assert torch.equal(kept[2], model.net_.module_.decoder.layers[0].weight)


def test_print_log_of_skorch(X, capsys):
    model = DAAETransformer(**SMALL, callbacks=[skorch.callbacks.PrintLog()]).fit(X)
    assert capsys.readouterr().out == ""
    model.set_params(verbose=1).fit(X)
    assert "discriminator_loss" in capsys.readouterr().out


def test_gradient_callbacks_change_the_gradient(X):
    class Stop(skorch.callbacks.Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            for _, parameter in named_parameters:
                parameter.grad.zero_()

    still = DAAETransformer(**SMALL, callbacks=[Stop()]).fit(X)
    again = DAAETransformer(**{**SMALL, "max_epochs": 1}, callbacks=[Stop()]).fit(X)
    np.testing.assert_array_equal(weights(still), weights(again))


def test_history_is_plain_floats(fitted):
    assert len(fitted.history_) == len(fitted.loss_curve_) == fitted.n_epochs_ == 2
    losses = ["reconstruction_loss"]
    if type(fitted) in ADVERSARIAL:
        losses += ["discriminator_loss", "adversarial_loss"]
        losses += ["gradient_ratio", "prior_distance"]
    elif type(fitted) in VARIATIONAL:
        losses += ["kl_divergence"]
    elif type(fitted) is ALICETransformer:
        losses += ["discriminator_loss", "adversarial_loss"]
    for record in fitted.history_:
        assert list(record) == losses
        assert all(type(loss) is float for loss in record.values())


# --- scikit-learn's callbacks ---------------------------------------------------------


pytestmark = pytest.mark.filterwarnings("ignore:The estimator MinMaxScaler does not")


@pytest.fixture
def progress_bar():
    """Return scikit-learn's `ProgressBar`, or skip the test."""
    callback = pytest.importorskip("sklearn.callback", exc_type=ImportError)
    pytest.importorskip("rich")
    return callback.ProgressBar


def test_sklearn_progress_bar_alone(Estimator, X, progress_bar, capsys):
    model = make(Estimator).set_callbacks(progress_bar()).fit(X)
    assert f"{Estimator.__name__} - fit" in capsys.readouterr().out
    np.testing.assert_array_equal(weights(model), weights(make(Estimator).fit(X)))


def test_sklearn_progress_bar_in_a_pipeline(X, y, progress_bar, capsys):
    pipeline = make_pipeline(MinMaxScaler(), iDAAETransformer(M=2, **SMALL), SVC())
    with pytest.warns(UserWarning, match="SVC does not support"):
        pipeline.set_callbacks(progress_bar(max_propagation_depth=2)).fit(X, y)
    out = capsys.readouterr().out
    assert "iDAAETransformer - fit" in out
    assert pipeline[1].n_epochs_ == 2


def test_sklearn_progress_bar_in_a_grid_search(X, y, progress_bar, capsys):
    pipeline = make_pipeline(DAAETransformer(**SMALL), MinMaxScaler())
    search = GridSearchCV(
        pipeline, {"daaetransformer__sigma": [0.1, 0.5]}, cv=2, scoring=lambda m, X: 0
    )
    search.set_callbacks(progress_bar(max_propagation_depth=None)).fit(X)
    out = capsys.readouterr().out
    assert "GridSearchCV - fit" in out
    assert "DAAETransformer - fit" in out


class SetsWeightsToZero(skorch.callbacks.Callback):
    """Stands for those that end with weights of another epoch, or of several."""

    def on_train_end(self, net, **kwargs):
        for parameter in net.module_.parameters():
            parameter.data.zero_()


def test_sklearn_callbacks_get_fitted_estimators(Estimator, X, y):
    pytest.importorskip("sklearn.callback", exc_type=ImportError)
    seen = []

    class Samples:
        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, y, fitted_estimator):
            seen.append(y)
            samples.append(fitted_estimator.sample(3, random_state=0))

    for n_components in (4, 2):  # the second time, of a model that was fitted
        samples = []
        model = make(Estimator, n_components=n_components)
        model.set_callbacks(Samples()).fit(X, y)
        assert not np.array_equal(samples[0], samples[1])
        np.testing.assert_array_equal(samples[2], samples[1])
    assert all(labels is y for labels in seen)
    model.set_params(callbacks=[SetsWeightsToZero()]).fit(X, y)
    np.testing.assert_array_equal(samples[-1], model.sample(3, random_state=0))


def test_sklearn_scoring_monitor_scores_every_epoch(X, y):
    callback = pytest.importorskip("sklearn.callback", exc_type=ImportError)
    scoring = EstimatorScorer(reconstruction_error, random_state=0)
    monitor = callback.ScoringMonitor(scoring={"score": scoring})
    model = DAAETransformer(**SMALL).set_callbacks(monitor).fit(X, y)
    scores = [row["score"] for row in monitor.get_logs().data if "score" in row]
    assert len(scores) >= model.n_epochs_
    assert scores[-1] == scoring(model, X)


def test_sklearn_callbacks_hear_of_every_epoch_and_can_stop(X):
    pytest.importorskip("sklearn.callback", exc_type=ImportError)

    class StopsAfterThree:
        def __init__(self):
            self.scores = []
            self.tasks = []

        def setup(self, estimator, context):
            self.tasks.append("setup")

        def teardown(self, estimator, context):
            self.tasks.append("teardown")

        def on_fit_task_begin(self, estimator, context):
            self.tasks.append(f"{context.task_name} {context.task_id}")

        def on_fit_task_end(self, estimator, context, *, X, fitted_estimator):
            self.scores.append(fitted_estimator.score(X))
            return len(self.scores) == 3

    callback = StopsAfterThree()
    model = DAAETransformer(**{**SMALL, "max_epochs": 9}).set_callbacks(callback).fit(X)
    assert callback.tasks == [
        "setup",
        "fit 0",
        *(f"epoch {i}" for i in range(3)),
        "teardown",
    ]
    assert model.n_epochs_ == 3
    assert len(set(callback.scores[:3])) == 3
    assert callback.scores[-1] == model.score(X)
