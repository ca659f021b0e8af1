"""Models in files that execute nothing, checkpoints, and what was saved long ago."""

import json
import pickle
import signal
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import SVC
from skorch.callbacks import Callback, LRScheduler

import sklearn_daae
from sklearn_daae import (
    Checkpoint,
    DAAETransformer,
    DAETransformer,
    VAETransformer,
    iDAAETransformer,
)
from sklearn_daae.impute import AutoencoderImputer
from sklearn_daae.outliers import AutoencoderOutlierDetector

from .conftest import SMALL, assert_goes_on_as, make, weights


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def through(model, path, **options):
    """Return a model as a file has it."""
    sklearn_daae.save(model, path, **options)
    return sklearn_daae.load(path)


def test_a_pipeline_in_a_file(Estimator, X, path):
    pipeline = make_pipeline(StandardScaler(), make(Estimator)).fit(X)
    loaded = through(pipeline, path)
    np.testing.assert_array_equal(loaded.transform(X), pipeline.transform(X))
    assert loaded[1].get_params() == pipeline[1].get_params()
    assert_goes_on_as(loaded[1], pipeline[1], pipeline[0].transform(X))


@pytest.mark.parametrize(
    "parameters",
    [
        {"network": ("mlp", {"batch_norm": True, "dropout": 0.1})},
        {"network": ("conv", {"n_filters": 2}), "image_shape": (1, 16, 16)},
        {"encoder_layer_sizes": (), "missing_values": "mask"},
        {"reconstruction_loss": [("bce", slice(0, 10))]},
        {"optimizer": "rmsprop", "averaging": False, "prior": "ring"},
        {"scaling": "range", "input_range": (0, 2), "corruption": "masking"},
        {"update": "separate", "adversarial_loss": "minimax"},
        {"sigma": np.full(64, 0.25), "early_stopping": True, "validation": "last"},
        {"random_state": np.random.RandomState(0)},
    ],
    ids=",".join,
)
def test_what_networks_are_made_by_is_kept(X, parameters, path):
    settings = {"encoder_layer_sizes": (16,), "decoder_layer_sizes": (16,)}
    settings |= {"n_components": 2, "max_epochs": 2, "random_state": 0, **parameters}
    X = np.tile(X, 4) if "image_shape" in parameters else X
    model = DAAETransformer(**settings).fit(X)
    loaded = through(model, path)
    np.testing.assert_array_equal(loaded.reconstruct(X), model.reconstruct(X))
    trimmed = through(model, path, trimmed=True)
    np.testing.assert_array_equal(trimmed.reconstruct(X), model.reconstruct(X))
    np.testing.assert_array_equal(
        weights(loaded.partial_fit(X)), weights(model.partial_fit(X))
    )


def test_other_models_in_files(X, path):
    detector = AutoencoderOutlierDetector(DAAETransformer(**SMALL)).fit(X)
    loaded = through(detector, path)
    np.testing.assert_array_equal(loaded.score_samples(X), detector.score_samples(X))
    gaps = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    settings = {**SMALL, "missing_values": "mask", "corruption": "masking"}
    imputer = AutoencoderImputer(DAAETransformer(**settings)).fit(gaps)
    loaded = through(imputer, path)
    np.testing.assert_array_equal(loaded.transform(gaps), imputer.transform(gaps))
    scalers = make_pipeline(MinMaxScaler(), RobustScaler()).fit(X)
    np.testing.assert_array_equal(
        through(scalers, path).transform(X), scalers.transform(X)
    )


def test_names_of_features_and_output(X, path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X).rename(columns=str)
    model = DAETransformer(**_of(DAETransformer)).set_output(transform="pandas")
    loaded = through(model.fit(frame), path)
    pandas.testing.assert_frame_equal(loaded.transform(frame), model.transform(frame))
    with pytest.raises(ValueError, match="feature names should match"):
        loaded.transform(frame.rename(columns={"0": "a"}))


def _of(Estimator):
    return {k: v for k, v in SMALL.items() if k in Estimator().get_params()}


def test_a_model_that_is_not_fitted(path):
    model = through(iDAAETransformer(M=3, sigma=[0.1, 0.2]), path)
    assert model.M == 3
    assert model.sigma == [0.1, 0.2]
    assert not hasattr(model, "net_")


def test_trimmed(X, path):
    model = DAAETransformer(**SMALL).fit(X)
    model.save(path)
    size = path.stat().st_size
    loaded = through(model, path, trimmed=True)
    assert path.stat().st_size < 0.4 * size
    assert loaded.history_ == model.history_
    np.testing.assert_array_equal(loaded.sample(3, 0), model.sample(3, 0))
    with pytest.raises(ValueError, match=r"trimmed for prediction.*trimmed=False"):
        loaded.partial_fit(X)
    assert hasattr(model.partial_fit(X), "net_")  # the model itself is as it was


def test_a_file_is_one_of_safetensors(X, path):
    safetensors = pytest.importorskip("safetensors.torch")
    model = DAAETransformer(**SMALL).fit(X)
    model.save(path, trimmed=True)
    arrays = safetensors.load_file(path)
    assert any(
        torch.equal(array, model.decoder_.shortcut.weight) for array in arrays.values()
    )


def _identity(x, sigma, generator):
    return x


def _make_encoder(n_features, n_components):
    return torch.nn.Linear(n_features, n_components)


class _Mine(DAAETransformer):
    pass


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (DAAETransformer(corruption=_identity), "DAAETransformer.corruption is <func"),
        (DAAETransformer(prior=stats.norm(2)), "DAAETransformer.prior is <scipy"),
        (DAAETransformer(encoder=_make_encoder), "DAAETransformer.encoder is <func"),
        (DAAETransformer(decoder=torch.nn.Linear(1, 2)), "DAAETransformer.decoder is"),
        (DAAETransformer(callbacks=[LRScheduler()]), r"callbacks\[0\] is <skorch"),
        (_Mine(), r"_Mine is _Mine\(\)"),
        (make_pipeline(StandardScaler(), SVC()), r"steps\[1\]\[1\] is SVC\(\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_file_can_hold(model, name, path):
    path.write_bytes(b"what was there before")
    with pytest.raises(TypeError, match=name):
        sklearn_daae.save(model, path)
    assert path.read_bytes() == b"what was there before"


def test_networks_changed_by_hand_are_refused(X, path):
    model = DAAETransformer(**SMALL).fit(X)
    model.decoder_.layers.append(torch.nn.Tanh())
    with pytest.raises(TypeError, match="is Autoencoder"):
        model.save(path)


def test_where_nothing_can_be_written(tmp_path):
    model = DAAETransformer()
    with pytest.raises(FileNotFoundError, match="Give a file in a folder that exists"):
        model.save(tmp_path / "none" / "model")
    with pytest.raises(OSError, match="nothing was saved"):
        model.save(tmp_path)
    assert not [*tmp_path.iterdir()]


def test_what_is_no_model(path):
    with pytest.raises(TypeError, match="is no estimator"):
        sklearn_daae.save({"a": 1}, path)
    with pytest.raises(TypeError, match="trimmed='yes' must be True or False"):
        DAAETransformer().save(path, trimmed="yes")
    assert not path.exists()


def test_a_file_that_is_not_there(path):
    with pytest.raises(FileNotFoundError):
        sklearn_daae.load(path)


def test_damaged_files(X, path):
    """Every flip of a bit is found, and every piece that is lacking or too many."""
    model = DAAETransformer(**SMALL).fit(X)
    model.save(path, trimmed=True)
    data = path.read_bytes()
    n_header = 8 + int.from_bytes(data[:8], "little")
    random = np.random.default_rng(0)
    places = [*range(0, n_header, 31), *random.integers(n_header, len(data), 200)]
    damaged = [data[:i] for i in (0, 1, 7, 8, 100, n_header, len(data) - 1)]
    damaged += [data + b"\0", data[:900] + data[901:], pickle.dumps(model)]
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(random.integers(8))
        damaged.append(flipped)
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="cannot be loaded") as caught:
            sklearn_daae.load(path)
        assert str(path) in str(caught.value)


def _rewritten(path, change):
    """Change the header of a file, and give it the digest of what it is now."""
    data = path.read_bytes()
    (n_header,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + n_header])
    header["__metadata__"]["digest"] = "crc32:00000000"
    change(header["__metadata__"])
    text = json.dumps(header, separators=(",", ":")).encode()
    data = struct.pack("<Q", len(text)) + text + data[8 + n_header :]
    digest = f"crc32:{zlib.crc32(data):08x}".encode()
    path.write_bytes(data.replace(b"crc32:00000000", digest, 1))


def test_a_file_of_another_version(X, path):
    DAAETransformer().save(path)
    _rewritten(path, lambda header: header.update(format="sklearn-daae 2"))
    with pytest.raises(ValueError, match="its format is 'sklearn-daae 2'"):
        sklearn_daae.load(path)


@pytest.mark.parametrize(
    "document",
    [
        {"!": "name", "known": "os.system"},
        {"!": "object", "known": "Popen", "arguments": [["touch", "x"]]},
        {"!": "object", "known": "Pipeline", "arguments": [], "state": None, "more": 1},
        {"!": "object", "known": "minimax", "arguments": [], "state": 1, "items": None},
        {"!": "array", "key": "7"},
        {"!": "other"},
        {"!": ["tuple"]},
        {"!": "tuple", "items": 3},
        ["a list"],
        json.loads("[" * 900 + "]" * 900),
        None,
    ],
    ids=range(11),
)
def test_files_with_unknown_content(document, path):
    """Whoever can write a file can write its digest."""
    DAAETransformer().save(path)
    text = json.dumps(document)
    _rewritten(path, lambda header: header.update(document=text))
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        sklearn_daae.load(path)


def test_pickles_of_another_version(X, monkeypatch):
    model = DAAETransformer(**SMALL).fit(X)
    pickled = pickle.dumps(model)
    pickle.loads(pickled)  # and no warning
    major, minor, *_ = sklearn_daae.__version__.split(".")
    monkeypatch.setattr(sklearn_daae, "__version__", f"{major}.{minor}.99")
    pickle.loads(pickled)
    monkeypatch.setattr(sklearn_daae, "__version__", f"{major}.{int(minor) + 1}.0")
    with pytest.warns(InconsistentVersionWarning, match="of sklearn-daae when using"):
        copy = pickle.loads(pickled)
    np.testing.assert_array_equal(copy.transform(X), model.transform(X))


def test_pickles_that_lack_something(X):
    model = DAAETransformer(**SMALL).fit(X)
    state = model.__getstate__()
    del state["missing_values"]
    with pytest.raises(ValueError, match="lacks missing_values of version"):
        DAAETransformer().__setstate__(state)
    state = model.net_.__getstate__()
    del state["splitter_"]
    with pytest.raises(ValueError, match="lacks splitter_ of version"):
        model.net_.__setstate__(state)


def test_a_trimmed_pickle_is_as_large_as_its_weights(X):
    settings = {**SMALL, "encoder_layer_sizes": 400, "decoder_layer_sizes": 400}
    model = DAAETransformer(**settings).fit(X)
    model.net_.trim_for_prediction()
    size = sum(p.nbytes for p in model.net_.module_.state_dict().values())
    assert size < len(pickle.dumps(model)) < 1.1 * size


class _Stops(Callback):
    """Ends a training as a power cut would: nothing of the estimator is left."""

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.n_epochs:
            raise RuntimeError("stopped")


@pytest.mark.parametrize(
    "parameters",
    [
        {"learning_rate_decay": 0.9},
        {"early_stopping": True, "n_iter_no_change": 1, "learning_rate": 0.01},
        {"update": "separate", "adversarial_weight": 0.5},
        {"network": ("mlp", {"dropout": 0.1, "batch_norm": True})},
    ],
    ids=str,
)
@pytest.mark.parametrize("Estimator", [iDAAETransformer, VAETransformer])
def test_a_training_that_was_stopped_goes_on(Estimator, parameters, X, path):
    """And ends in the same weights, bit for bit, wherever it was stopped."""
    settings = {"max_epochs": 7, "warm_start": True, **parameters}
    whole = make(Estimator, **settings).fit(X)
    for n_epochs in (1, 3, 6):
        model = make(Estimator, **settings)
        model.callbacks = [Checkpoint(path), _Stops(n_epochs)]
        if n_epochs < whole.n_epochs_:
            with pytest.raises(RuntimeError, match="stopped"):
                model.fit(X)
            assert not hasattr(model, "net_")
    model = make(Estimator, **settings, callbacks=[Checkpoint(path)]).fit(X)
    assert [r["reconstruction_loss"] for r in model.history_] == whole.loss_curve_
    again = make(Estimator, **settings, callbacks=[Checkpoint(path)]).fit(X)
    loaded = sklearn_daae.load(path)
    for copy in (model, again, loaded):
        np.testing.assert_array_equal(copy.transform(X), whole.transform(X))
    following = weights(whole.partial_fit(X))
    for copy in (model, again, loaded):
        np.testing.assert_array_equal(weights(copy.partial_fit(X)), following)


def test_a_checkpoint_now_and_then(X, path):
    settings = {"warm_start": True, "max_epochs": 6}
    callbacks = [Checkpoint(path, every_n_epochs=2), _Stops(4)]
    with pytest.raises(RuntimeError, match="stopped"):
        make(DAAETransformer, callbacks=callbacks, **settings).fit(X)
    assert sklearn_daae.load(path).n_epochs_ == 4
    callbacks = [Checkpoint(path, every_n_epochs=9)]
    make(DAAETransformer, callbacks=callbacks, **settings).fit(X)
    assert sklearn_daae.load(path).n_epochs_ == 6
    callbacks = [Checkpoint(path)]
    more = {**settings, "max_epochs": 8}
    assert make(DAAETransformer, callbacks=callbacks, **more).fit(X).n_epochs_ == 8
    anew = make(DAAETransformer, callbacks=callbacks, max_epochs=2).fit(X)
    assert anew.n_epochs_ == sklearn_daae.load(path).n_epochs_ == 2


def test_checkpoints_that_do_not_fit(X, path):
    settings = {"warm_start": True, "callbacks": [Checkpoint(path)]}
    make(DAAETransformer, **settings).fit(X)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"with sigma=0\.5, not 0\.25"):
        make(DAAETransformer, sigma=0.25, **settings).fit(X)
    with pytest.raises(ValueError, match="no checkpoint of a VAETransformer"):
        make(VAETransformer, **settings).fit(X)
    with pytest.raises(ValueError, match="X has 63 features"):
        make(DAAETransformer, **settings).fit(X[:, 1:])
    for other in (X[:200], X[::-1]):  # as in the next fold of a cross-validation
        with pytest.raises(ValueError, match="of a training on other data"):
            make(DAAETransformer, **settings).fit(other)
    two = [Checkpoint(path), ("second", Checkpoint(path))]
    with pytest.raises(ValueError, match="more than one Checkpoint"):
        make(DAAETransformer, callbacks=two).fit(X)
    assert path.read_bytes() == before
    path.write_bytes(before[:-100])
    model = make(DAAETransformer, **settings)
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be loaded"):
        model.fit(X)
    assert not hasattr(model, "net_")


@pytest.mark.parametrize(
    ("file", "options", "settings", "error", "message"),
    [
        (
            "a",
            {},
            {"corruption": _identity},
            TypeError,
            r"DAAETransformer.corruption is",
        ),
        ("a", {"every_n_epochs": 0}, {}, ValueError, "every_n_epochs=0 must be at"),
        ("none/a", {}, {}, FileNotFoundError, "cannot be saved to. Give a file in"),
        (".", {}, {}, IsADirectoryError, "cannot be saved to. Give a file in"),
    ],
)
def test_checkpoints_that_are_refused_before_training(
    X, tmp_path, file, options, settings, error, message
):
    callbacks = [Checkpoint(tmp_path / file, **options), _Stops(1)]
    with pytest.raises(error, match=message):
        make(DAAETransformer, callbacks=callbacks, **settings).fit(X)
    assert not [*tmp_path.iterdir()]


KILLED = """
import sys
from sklearn_daae import Checkpoint, iDAAETransformer
from tests.conftest import SMALL
from tests.test_files import rows
settings = {**SMALL, "max_epochs": 40, "warm_start": True}
settings["callbacks"] = [Checkpoint(sys.argv[1])]
print("begins", flush=True)
model = iDAAETransformer(**settings).fit(rows())
model.save(sys.argv[2])
print("ends", flush=True)
"""


def rows():
    return np.random.default_rng(0).random((200, 64), dtype=np.float32)


def kill_at_random(n_kills, folder):
    """Kill a training so many times, and have it end; return what it has come to."""
    random = np.random.default_rng(0)
    checkpoint, path = folder / "checkpoint", folder / "model"
    n_epochs = 0
    for i in range(n_kills + 1):
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", KILLED, checkpoint, path],
            stdout=subprocess.PIPE,
        )
        assert process.stdout.readline() == b"begins\n"
        if i < n_kills:
            try:
                process.wait(random.uniform(0, 0.3))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        process.communicate()
        if checkpoint.exists():  # and is whole, with nothing lost
            now = sklearn_daae.load(checkpoint).n_epochs_
            assert now >= n_epochs
            n_epochs = now
        if path.exists():
            sklearn_daae.load(path)
    return sklearn_daae.load(path)


@pytest.mark.skipif(sys.platform == "win32", reason="kills processes")
@pytest.mark.parametrize("n_kills", [1, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_while_training_and_saving(n_kills, tmp_path):
    torch_threads = torch.get_num_threads()
    model = kill_at_random(n_kills, tmp_path)
    torch.set_num_threads(torch_threads)
    whole = iDAAETransformer(**{**SMALL, "max_epochs": 40}).fit(rows())
    np.testing.assert_array_equal(weights(model), weights(whole))
