"""Natural mistakes: each gets an error of the type that scikit-learn would raise.

Its message names the parameter, the value and what to do.
"""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback, Checkpoint, EarlyStopping
from torch.utils.data import DataLoader, TensorDataset

from sklearn_daae import (
    DAAETransformer,
    DAETransformer,
    VAETransformer,
    iDAAETransformer,
    metrics,
)
from sklearn_daae.datasets import fetch_mnist

from .conftest import make


class FixedBatch(torch.nn.Linear):
    """Takes batches of 60 rows alone."""

    def forward(self, x):
        return super().forward(x.view(60, -1))


class Integers(torch.nn.Module):
    """Looks integers up."""

    def __init__(self, n_features, n_components):
        super().__init__()
        self.table = torch.nn.Embedding(10, n_components)

    def forward(self, x):
        return self.table(x).mean(1)


PARAMETERS = {
    "n_components": [
        (True, "must be a number. Got True"),
        (0, "int in the range [1, inf). Got 0"),
        (2.5, "int in the range"),
        ("10", "int in the range"),
    ],
    "sigma": [
        (True, "must be a number"),
        (-0.1, "in the range [0.0, inf)"),
        ([0.1, 0.2], "64 features"),
        ("0.5", "in the range"),
    ],
    "M": [(True, "must be a number"), (0, "[1, inf)"), (5.0, "[1, inf)")],
    "beta": [(-1, "[0.0, inf)"), (True, "must be a number")],
    "learning_rate": [(0, "(0.0, inf)"), (True, "must be a number"), ("fast", "inf")],
    "learning_rate_decay": [(1.5, "(0.0, 1.0]")],
    "batch_size": [(0, "[1, inf)"), (True, "must be a number"), ("all", "'auto'")],
    "max_epochs": [(0, "[1, inf)"), (True, "must be a number"), (2.5, "[1, inf)")],
    "validation_fraction": [(1.0, "(0.0, 1.0)")],
    "averaging": [("no", "instance of 'bool'")],
    "early_stopping": [("yes", "instance of 'bool'")],
    "verbose": [("yes", "int in the range")],
    "random_state": [("a", "int in the range"), (-1, "int in the range")],
    "encoder_layer_sizes": [
        (True, "must be a number"),
        ([True], "integers from 1 up"),
        ([100, 0], "integers from 1 up"),
        ("big", "'auto'"),
    ],
    "optimizer": [
        ("sgd", "is not known. Use one of: 'adam', 'rmsprop'"),
        (("adam", {"betas": (0.9,)}), "refuses"),
        (("adam", {"lr": 0.1}), "The learning rate is a parameter"),
        (torch.optim.Adam, "is not known"),
    ],
    "corruption": [
        ("noise", "'gaussian'"),
        (("gaussian", {"clp": True}), "unknown option 'clp'. It takes: clip"),
    ],
    "prior": [
        ("gaussian", "'normal'"),
        (("ring", {"n_mode": 3}), "unknown option 'n_mode'"),
    ],
    "network": [
        ("cnn", "'conv'"),
        ("conv", "needs image_shape=(channels, height, width)"),
        (("mlp", {"shortcuts": True}), "unknown option 'shortcuts'"),
        (
            ("mlp", {"activation": "swish"}),
            "'activation' of 'swish'. It must be",
        ),
        (("mlp", {"activation": torch.nn.GELU}), "It must be one of 'relu'"),
        (("mlp", {"dropout": 1.0}), "'dropout' of 1.0. It must be a number in [0, 1)"),
        (("mlp", {"batch_norm": 1}), "It must be True or False"),
    ],
    "image_shape": [
        ((8, 8), "(channels, height, width)"),
        (((1, 8), 8, 1), "(channels, height, width)"),
        ((1, True, 64), "(channels, height, width)"),
        ((1, 7, 7), "has 49 values, but X has 64"),
    ],
    "input_range": [((1, 0), "low < high"), (255, "low < high")],
    "scaling": [("minmax", "'standard'"), ("range", "needs input_range")],
    "reconstruction_loss": [("l2", "'mse'")],
    "update": [("both", "'joint'")],
    "encoder": [
        (torch.nn.Linear(64, 3), "must map (n_samples, 64) to (n_samples, 2)"),
        (DAETransformer(), "it is not fitted"),
        (lambda d: torch.nn.Linear(d, 2), "was called as encoder(64, 2)"),
        (lambda d, k: torch.nn.Linear(k, d), "must map (n_samples, 64)"),
        (FixedBatch, "must map (n_samples, 64) to (n_samples, 2)"),
        (Integers, "must map (n_samples, 64) to (n_samples, 2)"),
    ],
    "device": [
        ("gpu", "cannot be used"),
        ("cpu:7", "Devices here"),
        ("cuda:9", "here"),
    ],
    "precision": [("float16", "'bfloat16'")],
    "callbacks": [
        (EarlyStopping(), "instance of 'list'"),
        ([print], "must hold skorch callbacks"),
        ([EarlyStopping()], "early_stopping=True, or give EarlyStopping(monitor='tra"),
        ([Checkpoint(monitor="valid_loss_best")], "monitor='train_loss_best'"),
    ],
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [(name, *case) for name, cases in PARAMETERS.items() for case in cases],
)
def test_a_wrong_parameter(X, name, value, message):
    """Told before any training, and without a trace of it."""
    kind = {"beta": VAETransformer, "encoder": DAETransformer}
    model = make(kind.get(name, iDAAETransformer), n_components=2)
    model.set_params(**{name: value})
    with pytest.raises((ValueError, TypeError)) as raised:
        model.fit(X)
    assert message in str(raised.value), str(raised.value)
    assert name in str(raised.value)
    assert not hasattr(model, "net_")


def dates(X):
    pd = pytest.importorskip("pandas")
    return pd.DataFrame(X).assign(day=pd.date_range("2026-01-01", periods=len(X)))


def dates_of_polars(X):
    pl = pytest.importorskip("polars")
    days = pl.Series(np.arange(len(X)).astype("datetime64[D]"))
    return pl.DataFrame(X).with_columns(day=days)


def column(X):
    return pytest.importorskip("pandas").Series(X[:, 0])


def lazy(X):
    return pytest.importorskip("polars").DataFrame(X).lazy()


def tensor(X):
    return torch.from_numpy(X.copy())


DATA = {
    "loader": (
        lambda X: DataLoader(TensorDataset(tensor(X))),
        TypeError,
        "X is a DataLoader",
    ),
    "data set": (
        lambda X: TensorDataset(tensor(X)),
        TypeError,
        "call partial_fit with the rows of each batch",
    ),
    "lazy frame": (lazy, TypeError, "Give X.collect()"),
    "dates": (dates, TypeError, "'day' holds dates or times"),
    "dates of polars": (dates_of_polars, TypeError, "'day' holds dates or times"),
    "times": (
        lambda X: np.full((5, 64), np.datetime64("2026-01-01")),
        TypeError,
        "'X' holds dates or times",
    ),
    "gradient": (
        lambda X: tensor(X).requires_grad_(),
        TypeError,
        "Give X.detach()",
    ),
    "images": (
        lambda X: X.reshape(-1, 1, 8, 8),
        ValueError,
        "Give X.reshape(len(X), -1)",
    ),
    "windows": (lambda X: X.reshape(-1, 8, 8), ValueError, "Found array with dim 3"),
    "a column": (column, ValueError, "Expected a 2-dimensional container"),
    "one row": (lambda X: X[0], ValueError, "Reshape your data"),
    "missing": (lambda X: np.where(X > 0.9, np.nan, X), ValueError, "contains NaN"),
    "words": (lambda X: np.full((5, 64), "a"), ValueError, "convert string to float"),
    "nothing": (lambda X: None, ValueError, "Expected 2D array"),
}


@pytest.mark.parametrize("method", ["fit", "transform"])
@pytest.mark.parametrize("kind", DATA)
def test_wrong_data(fitted, X, kind, method):
    make_it, error, message = DATA[kind]
    model = clone(fitted) if method == "fit" else fitted
    with pytest.raises(error) as raised:
        getattr(model, method)(make_it(X))
    assert message in str(raised.value), str(raised.value)


@pytest.fixture(scope="module")
def daae(X):
    return make(DAAETransformer).fit(X)


def shifted(model, X, **options):
    return metrics.shift_robustness(model, X, **options)


def likelihood(X, samples, **options):
    return metrics.parzen_log_likelihood(X, samples, **options)


CALLS = {
    "corrupt='no'": lambda d, X: d.reconstruct(X, corrupt="no"),
    "return_chain='no'": lambda d, X: d.sample(return_chain="no"),
    "n_steps=True": lambda d, X: d.sample(n_steps=True),
    "n_steps=-1": lambda d, X: d.sample(n_steps=-1),
    "n_samples=True": lambda d, X: d.sample(True),
    "n_samples=2.0": lambda d, X: d.sample(2.0),
    "n_samples=0": lambda d, X: d.sample(0),
    "'a' cannot": lambda d, X: d.sample(random_state="a"),
    "Z has 64 features": lambda d, X: d.sample(Z=X),
    "X has 64 features": lambda d, X: d.inverse_transform(X),
    "give one": lambda d, X: d.sample(X=X, Z=X),
    "expecting 64 features": lambda d, X: d.transform(X[:, :9]),
    "n_projections=True": lambda d, X: metrics.prior_distance(d, X, n_projections=True),
    "corrupt='yes'": lambda d, X: metrics.prior_distance(d, X, corrupt="yes"),
    "corrupt=1": lambda d, X: metrics.reconstruction_error(d, X, corrupt=1),
    "bandwidth=0": lambda d, X: likelihood(X, X, bandwidth=0),
    "bandwidth=True": lambda d, X: likelihood(X, X, bandwidth=True),
    "inf": lambda d, X: metrics.select_bandwidth(X, X, bandwidths=[np.inf]),
    "samples have 9": lambda d, X: likelihood(X, X[:, :9], bandwidth=1),
    "shifts=0.5": lambda d, X: shifted(d, X, shifts=[0.5], image_shape=(1, 8, 8)),
    "image_shape=None": lambda d, X: shifted(d, X),
    "must be a fitted autoencoder": lambda d, X: metrics.prior_distance(3, X),
    "'subset' parameter of fetch_mnist": lambda d, X: fetch_mnist(subset="training"),
    "dtype='float64'": lambda d, X: fetch_mnist(dtype="float64"),
    "names ['x.gz']": lambda d, X: fetch_mnist(trusted_files=["x.gz"]),
}


@pytest.mark.parametrize("message", CALLS)
def test_a_wrong_call(daae, X, message):
    with pytest.raises((ValueError, TypeError)) as raised:
        CALLS[message](daae, X)
    assert message in str(raised.value), str(raised.value)


DISPLAYS = {
    "ax='x'": ("LossCurveDisplay", {"ax": "x"}),
    "'nope' is not a valid value": ("LatentSpaceDisplay", {"cmap": "nope"}),
    "component=9": ("PriorMatchDisplay", {"component": 9}),
    "component=True": ("PriorMatchDisplay", {"component": True}),
    "n_samples=0": ("ReconstructionDisplay", {"n_samples": 0}),
    "image_shape=(8, 8)": ("SampleDisplay", {"image_shape": (8, 8)}),
    "steps=-1": ("SampleDisplay", {"steps": -1}),
    "n_points=1": ("InterpolationDisplay", {"n_points": 1}),
}


@pytest.mark.parametrize("message", DISPLAYS)
def test_a_display_that_fails_leaves_no_figure(daae, X, y, message):
    plt = pytest.importorskip("matplotlib.pyplot")
    from sklearn_daae import inspection

    name, options = DISPLAYS[message]
    takes_X = name not in ("LossCurveDisplay", "SampleDisplay")
    data = [X[:2]] * takes_X + [y[:2]] * (name == "LatentSpaceDisplay")
    before = plt.get_fignums()
    with pytest.raises((ValueError, TypeError)) as raised:
        getattr(inspection, name).from_estimator(daae, *data, **options)
    assert message in str(raised.value), str(raised.value)
    assert plt.get_fignums() == before


def test_more_components_than_features_are_warned_of(X):
    with pytest.warns(UserWarning, match="n_components=10 is more than the 3 features"):
        make(DAETransformer, n_components=10).fit(X[:, 20:23])


class Stops(Callback):
    """Leaves no learning rate, as a scheduler may at its end."""

    def on_epoch_end(self, net, **kwargs):
        for group in net.optimizer_.param_groups:
            group["lr"] = 0.0


def test_a_rate_of_zero_is_warned_of(X):
    model = make(DAETransformer, callbacks=[Stops()]).fit(X)
    model.set_params(callbacks=None)
    with pytest.warns(UserWarning, match="'reconstruction' is 0, as a scheduler"):
        model.partial_fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.set_params(learning_rate=1e-4).partial_fit(X)
