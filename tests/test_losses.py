"""A loss for each group of columns: of numbers, and of one-hot categories."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_daae import DAETransformer

from .conftest import ESTIMATORS, GAUSSIAN, PLAIN, SHORT_TRAINING, make, needs_cuda

pytestmark = pytest.mark.filterwarnings(SHORT_TRAINING)
ONE_STEP = {**PLAIN, "sigma": 0, "batch_size": 1000, "max_epochs": 1}
ONE_STEP |= {"learning_rate": 1e-30, "averaging": False}


@pytest.fixture
def table():
    """Return a table in which color and shape go with two numbers."""
    random = np.random.default_rng(0)
    kind = random.integers(3, size=200)
    return pd.DataFrame(
        {
            "width": 100 + 20 * kind + random.normal(size=200),
            "height": kind + 0.1 * random.normal(size=200),
            "color": np.array(["red", "green", "blue"])[kind],
            "shape": np.where(kind == 1, "round", "square"),
        }
    )


@pytest.fixture
def encoded(table):
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["color", "shape"]),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    return encode.set_output(transform="pandas").fit_transform(table)


GROUPS = [("cross_entropy", "color_"), ("cross_entropy", "shape_")]


def test_categories_are_reconstructed(Estimator, table, encoded):
    """As probabilities, the right one the largest, and numbers in their units."""
    settings = {"reconstruction_loss": GROUPS, "max_epochs": 60, "sigma": 0.1}
    settings |= {"beta": 0.1}
    model = make(Estimator, **settings).fit(encoded)
    color, shape = (0, 1, 2), (3, 4)
    expected = ("cross_entropy", color), ("cross_entropy", shape), ("mse", (5, 6))
    assert model.reconstruction_loss_ == expected
    np.testing.assert_array_equal(model.scaling_.shift[:5], 0)
    np.testing.assert_array_equal(model.scaling_.scale[:5], 1)
    numbers = table[["width", "height"]].to_numpy()
    np.testing.assert_allclose(model.scaling_.shift[5:], numbers.mean(axis=0))
    x_hat = model.reconstruct(encoded)
    for columns in (color, shape):
        np.testing.assert_allclose(x_hat[:, columns].sum(axis=1), 1, rtol=1e-5)
        found = x_hat[:, columns].argmax(axis=1)
        wanted = encoded.to_numpy()[:, columns].argmax(axis=1)
        assert (found == wanted).mean() > 0.95
    correlation = np.corrcoef(x_hat[:, 5], numbers[:, 0])[0, 1]
    assert correlation > 0.9
    assert model.sample(3, random_state=0).shape == (3, 7)
    as_module = model.as_module("reconstruct")(torch.tensor(encoded.to_numpy()))
    np.testing.assert_allclose(as_module.detach(), x_hat, rtol=1e-3, atol=1e-3)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.reconstruct(encoded), x_hat)
    copied.partial_fit(encoded)


def expected_loss(x, x_hat, weight=None, observed=None):
    """Return minus the log-likelihood of each row, by hand, over the features."""
    observed = np.ones_like(x, dtype=bool) if observed is None else observed
    color = -(x[:, :3] * np.log(x_hat[:, :3])).sum(1) * observed[:, :3].all(1)
    shape = -(x[:, 3:5] * np.log(x_hat[:, 3:5])).sum(1) * observed[:, 3:5].all(1)
    squares = np.square(x[:, 5:] - x_hat[:, 5:]) / 2 * observed[:, 5:]
    loss = np.average(color + shape + squares.sum(1), weights=weight)
    return loss / x.shape[1] / observed.mean()


@pytest.mark.parametrize("Estimator", [E for E in ESTIMATORS if E not in GAUSSIAN])
@pytest.mark.parametrize("case", ["plain", "weights", "missing"])
def test_the_value_of_the_loss(Estimator, encoded, case):
    X, weight, observed = encoded.to_numpy(), None, None
    settings = {**ONE_STEP, "reconstruction_loss": GROUPS}
    given = encoded
    if case == "weights":
        weight = np.random.default_rng(0).random(len(X))
    if case == "missing":
        observed = np.random.default_rng(0).random(X.shape) < 0.7
        given = encoded.where(observed)
        settings["missing_values"] = "mask"
    model = make(Estimator, **settings).fit(given, sample_weight=weight)
    shift, scale = model.scaling_.shift, model.scaling_.scale
    x = (X - shift) / scale
    x_hat = (model.reconstruct(given).astype(np.float64) - shift) / scale
    expected = expected_loss(x, x_hat, weight, observed)
    assert model.loss_curve_[0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("loss", ["bce", "mae"])
def test_one_group_of_all_columns_is_that_loss(Estimator, X, loss):
    """But for the order of the sums."""
    settings = {"scaling": None, "network": PLAIN["network"], "max_epochs": 1}
    single = make(Estimator, reconstruction_loss=loss, **settings).fit(X)
    groups = [(loss, slice(None))]
    grouped = make(Estimator, reconstruction_loss=groups, **settings).fit(X)
    options = {"rtol": 1e-3, "atol": 1e-3}
    np.testing.assert_allclose(grouped.transform(X), single.transform(X), **options)
    np.testing.assert_allclose(grouped.reconstruct(X), single.reconstruct(X), **options)
    assert grouped.loss_curve_ == pytest.approx(single.loss_curve_, rel=1e-4)


@pytest.mark.parametrize(
    "columns", [slice(2, 5), [2, 3, 4], ["c2", "c3", "c4"], "c", np.array([4, 2, 3])]
)
def test_columns(X, columns):
    frame = pd.DataFrame(X[:, :6]).rename(columns=lambda i: f"{'abcccd'[i]}{i}")
    model = make(DAETransformer, reconstruction_loss=[("mae", columns)]).fit(frame)
    (loss, found), rest = model.reconstruction_loss_
    assert loss == "mae"
    assert sorted(found) == [2, 3, 4]
    assert rest == ("mse", (0, 1, 5))


def test_in_a_pipeline(table):
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["color", "shape"]),
        (StandardScaler(), ["width", "height"]),
    ).set_output(transform="pandas")
    loss = [("cross_entropy", f"onehotencoder__{name}_") for name in ("color", "shape")]
    model = make_pipeline(encode, make(DAETransformer, reconstruction_loss=loss))
    names = [name for name, _ in model.fit(table)[-1].reconstruction_loss_]
    assert names == ["cross_entropy", "cross_entropy", "mse"]


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("crossentropy", r"must be one of 'auto', 'bce'"),
        ([], r"must be one of 'auto', 'bce'"),
        ([("auto", slice(3))], r"the losses of columns are bce"),
        ([("mse",)], r"a list of pairs"),
        ([("mse", slice(3)), ("mae", [2])], r"columns of \[2\] twice"),
        ([("mse", [1, 1])], r"columns of \[1, 1\] twice"),
        ([("mse", [99])], r"names the columns \[99\], which X does not have"),
        ([("mse", "color_")], r"names the columns 'color_', which X does not have"),
        ([("mse", slice(64, 70))], r"which X does not have"),
        ([("mse", [0.5])], r"which X does not have"),
        ([("cross_entropy", slice(3))], r"in \[0, 1\], but these have values from 0"),
    ],
)
def test_mistakes(X, loss, message):
    with pytest.raises(ValueError, match=message):
        make(DAETransformer, reconstruction_loss=loss).fit(100 * X)


@pytest.mark.gpu
@needs_cuda
def test_groups_on_a_gpu(Estimator, encoded, monkeypatch):
    """Recorded steps are the plain ones, and a pickle loads and goes on on a CPU."""
    settings = {"reconstruction_loss": GROUPS, "max_epochs": 5, "device": "cuda"}
    settings |= {"sigma": 0.1, "averaging": False}
    model = make(Estimator, **settings).fit(encoded)
    monkeypatch.setenv("SKLEARN_DAAE_STEP", "plain")
    plain = make(Estimator, **settings).fit(encoded)
    assert model.loss_curve_ == pytest.approx(plain.loss_curve_, rel=2e-2)
    copied = pickle.loads(pickle.dumps(model))
    assert not any(b.is_cuda for b in model.net_.__getstate__()["criterion_"].buffers())
    found, expected = copied.reconstruct(encoded), model.reconstruct(encoded)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    copied.set_params(device="cpu").partial_fit(encoded)


def test_other_losses_than_before(encoded):
    model = make(DAETransformer, reconstruction_loss=GROUPS).fit(encoded)
    with pytest.raises(ValueError, match=r"'bce' and 'cross_entropy' need"):
        model.partial_fit(encoded + 2)
    with pytest.raises(ValueError, match="reconstruction_loss has changed"):
        model.set_params(reconstruction_loss=GROUPS[:1]).partial_fit(encoded)
