"""What onnxruntime makes of an exported model is what the model does."""

import logging
import subprocess
import sys

import numpy as np
import pytest
import scipy.special
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC, SVR
from torch import nn

from sklearn_daae import DAAETransformer, DAETransformer, iDAAETransformer
from sklearn_daae.model_selection import GridSearchCV
from sklearn_daae.onnx import register_converters, to_onnx

from .conftest import make

onnx, onnxruntime, skl2onnx, _ = (
    pytest.importorskip(name, exc_type=ImportError)
    for name in ("onnx", "onnxruntime", "skl2onnx", "onnxscript")
)
CALLS = "transform", "inverse_transform", "reconstruct"


def run(proto, X):
    """Return what onnxruntime gives, by name."""
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    feed = {"X": X}
    if hasattr(X, "columns"):
        feed = {name: X[[name]].to_numpy() for name in X}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feed), strict=True))


def assert_same(found, expected, scale=None):
    """Both to 1e-5 of their scale, and in one type."""
    assert found.dtype == expected.dtype
    scale = np.abs(expected).max() if scale is None else scale
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)


def check(model, call, X, scale=None):
    """Check the export of a call, from two rows, for one row and for all."""
    proto = to_onnx(model, X[:2], call=call)
    for rows in X[:1], X:
        out = run(proto, rows)
        assert list(out) == [call]
        assert_same(out[call], getattr(model, call)(rows), scale)


def test_each_model(fitted, X, caplog):
    check(fitted, "reconstruct", X)
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


NETWORKS = {
    "mlp": ("mlp", {"activation": "gelu", "batch_norm": True, "dropout": 0.1}),
    "conv": ("conv", {"n_filters": 2, "activation": "elu", "batch_norm": True}),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, X):
    X = np.tile(X, 5)[:, : 16 * 17]
    own = {"network": NETWORKS[request.param], "image_shape": (1, 16, 17)}
    return make(DAAETransformer, **own).fit(X), X


@pytest.mark.parametrize("call", CALLS)
def test_each_call(network, call):
    model, X = network
    check(model, call, model.transform(X) if call == "inverse_transform" else X)


def gaps(X):
    return np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)


GROUPS = [("cross_entropy", slice(0, 3)), ("bce", [5, 4]), ("mae", [20])]
READ = {
    "float64": ({"scaling": "standard"}, lambda X: 100 * X.astype(np.float64)),
    "unscaled": ({"scaling": None}, lambda X: X),
    "uint8": ({"input_range": (0, 255)}, lambda X: (255 * X).astype(np.uint8)),
    "missing": ({"missing_values": "mask", "input_range": (0, 2)}, gaps),
    "groups": (
        {"reconstruction_loss": GROUPS},
        lambda X: np.hstack([np.eye(3)[np.arange(len(X)) % 3], X[:, 3:]]),
    ),
}


@pytest.mark.parametrize("read", READ)
def test_what_networks_see_of_X_and_give_back(X, read):
    own, change = READ[read]
    X = change(X)
    check(make(DAETransformer, **own).fit(X), "reconstruct", X)


@pytest.mark.parametrize("offset", [5e3, 1.7e9])
def test_large_offsets(X, offset):
    """Of which float32 holds some digits, and of timestamps none."""
    X = offset + X.astype(np.float64)
    model = make(DAETransformer, scaling="standard").fit(X)
    check(model, "transform", X)
    if offset > 1e9:
        assert model.reconstruct(X).dtype == np.float64
        check(model, "reconstruct", X, X.std())


NAMES = np.array(["no", "one", "two", "3", "4", "5", "6", "7", "8", "9"])


@pytest.fixture(scope="module", params=[np.float32, np.float64])
def data(request, X, y):
    return X.astype(request.param), y


def test_a_pipeline_with_svc(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), make(iDAAETransformer), SVC()).fit(X, y)
    out = run(to_onnx(pipeline, X[:1]), X)
    np.testing.assert_array_equal(out["label"], pipeline.predict(X))
    scores = pipeline.decision_function(X).astype(np.float32)
    assert_same(out["probabilities"], scores)


def test_a_pipeline_with_logistic_regression(data):
    X, y = data
    steps = MinMaxScaler(), make(DAAETransformer), LogisticRegression()
    pipeline = make_pipeline(*steps).fit(X, NAMES[y])
    out = run(to_onnx(pipeline, X[:1]), X)
    np.testing.assert_array_equal(out["label"], pipeline.predict(X))
    shares = pipeline.predict_proba(X).astype(np.float32)
    assert_same(out["probabilities"], shares)


def test_pipelines_without_classes(X, y):
    X, model = X.astype(np.float64), make(DAETransformer)
    codes = make_pipeline(StandardScaler(), model).fit(X)
    assert_same(run(to_onnx(codes, X[:1]), X)["variable"], codes.transform(X))
    numbers = make_pipeline(model, SVR()).fit(X, y)
    out = run(to_onnx(numbers, X[:1]), X)["variable"].ravel()
    assert_same(out, numbers.predict(X).astype(np.float32))


def test_missing_values_in_a_pipeline(X, y):
    X = gaps(X)
    model = make(DAETransformer, missing_values="mask")
    pipeline = make_pipeline(StandardScaler(), model, SVC()).fit(X, y)
    out = run(to_onnx(pipeline, X[:1]), X)
    np.testing.assert_array_equal(out["label"], pipeline.predict(X))


def test_a_data_frame(X, y):
    """A model reads it as one array; of a pipeline, skl2onnx has a column an input."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X[:, 16:32]).add_prefix("pixel_").assign(level=np.arange(300))
    pipeline = make_pipeline(make(DAETransformer), SVC()).fit(frame, y)
    out = run(to_onnx(pipeline, frame), frame)
    np.testing.assert_array_equal(out["label"], pipeline.predict(frame))
    out = run(to_onnx(pipeline[0], frame), frame.to_numpy())
    assert_same(out["transform"], pipeline[0].transform(frame))


def test_the_best_of_a_search(X, y):
    pipeline = make_pipeline(make(DAETransformer), SVC())
    search = GridSearchCV(pipeline, {"svc__C": [0.1, 10]}, cv=2).fit(X, y)
    out = run(to_onnx(search, X), X)
    np.testing.assert_array_equal(out["label"], search.predict(X))


class Guest(DAETransformer):
    """A class of the user's."""


def test_with_skl2onnx_itself(X):
    register_converters()
    for steps in [MinMaxScaler(), make(DAETransformer)], [make(Guest)]:
        model = make_pipeline(*steps).fit(X)
        proto = skl2onnx.to_onnx(model, X[:1], target_opset=18)
        assert {o.domain: o.version for o in proto.opset_import}[""] == 18
        assert_same(run(proto, X)["variable"], model.transform(X))


class Attention(nn.Module):
    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.linear = nn.Linear(n_inputs, n_outputs)

    def forward(self, x):
        tokens = x.reshape(len(x), 8, 8)
        out, _ = self.attention(tokens, tokens, tokens)
        return self.linear(out.flatten(1))


class OfValues(nn.Linear):
    def forward(self, x):
        return super().forward(x if x.mean() > 0 else -x)


class OfScipy(nn.Linear):
    def forward(self, x):
        share = torch.from_numpy(scipy.special.expit(x.detach().numpy()))
        return super().forward(x) + share.mean(1, keepdim=True)


def test_a_network_of_ones_own(X):
    model = make(DAETransformer, encoder=Attention, decoder=nn.Linear).fit(X)
    check(model, "reconstruct", X)


@pytest.mark.parametrize(
    ("name", "Network"), [("encoder", OfValues), ("decoder", OfScipy)]
)
def test_a_network_that_cannot_be_exported(X, name, Network):
    model = make(DAETransformer, **{name: Network}).fit(X)
    message = f"The {name}, {Network.__name__}, cannot be exported"
    with pytest.raises(ValueError, match=message):
        to_onnx(model, X, call="reconstruct")


def test_what_cannot_be_asked_for(X, y):
    model = make(DAETransformer)
    for call in CALLS:
        with pytest.raises(NotFittedError):
            to_onnx(model, X, call=call)
    pipeline = make_pipeline(model, SVC())
    with pytest.raises(NotFittedError):
        to_onnx(pipeline, X)
    pipeline.fit(X, y)
    with pytest.raises(ValueError, match="call='encode' must be one of transform"):
        to_onnx(model, X, call="encode")
    with pytest.raises(ValueError, match=r"call='reconstruct' .* is a Pipeline"):
        to_onnx(pipeline, X, call="reconstruct")
    for estimator in model, pipeline:
        with pytest.raises(ValueError, match="X has 63 features"):
            to_onnx(estimator, X[:, 1:])
    with pytest.raises(ValueError, match=r"X has 64 features, but .* n_components=4"):
        to_onnx(model, X, call="inverse_transform")


@pytest.mark.parametrize("missing", ["onnx", "onnxscript", "skl2onnx"])
def test_what_is_not_installed(X, monkeypatch, missing):
    model = make(DAETransformer).fit(X)
    pipeline = make_pipeline(StandardScaler(), model).fit(X)
    monkeypatch.setitem(sys.modules, missing, None)
    asked = [lambda: to_onnx(pipeline, X), register_converters]
    if missing != "skl2onnx":
        asked.append(lambda: to_onnx(model, X))
    for ask in asked:
        with pytest.raises(ImportError, match=r"pip install 'sklearn-daae\[onnx\]'"):
            ask()


def test_no_extra_is_imported_before():
    code = (
        "import sys, importlib, pkgutil, sklearn, skorch, torch\n"
        "before = set(sys.modules)\n"  # what these bring is theirs
        "import sklearn_daae\n"
        "for module in pkgutil.iter_modules(sklearn_daae.__path__):\n"
        "    importlib.import_module(f'sklearn_daae.{module.name}')\n"
        "extras = {'onnx', 'onnxscript', 'skl2onnx', 'onnxruntime', 'dask', 'zarr',\n"
        "          'distributed', 'h5py', 'PIL', 'matplotlib', 'pyarrow', 'pandas'}\n"
        "found = extras & set(sys.modules) - before\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_tells_nothing_of_the_machine(X):
    """Where the code of each operation stands, torch writes beside it."""
    model = make(DAETransformer).fit(X)
    proto = to_onnx(model, X)
    assert_same(run(proto, X)["transform"], model.transform(X))
    assert b".py" not in proto.SerializeToString()
