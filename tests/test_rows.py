"""Rows with weights, rows to watch, sparse rows, rows with missing values."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
import torch
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_daae import (
    AAETransformer,
    ALICETransformer,
    DAAETransformer,
    DAETransformer,
)
from sklearn_daae._model.losses import sliced_distance
from sklearn_daae.inspection import ReconstructionDisplay
from sklearn_daae.metrics import reconstruction_error

from .conftest import (
    ESTIMATORS,
    GAUSSIAN,
    PLAIN,
    SHORT_TRAINING,
    VARIATIONAL,
    make,
    needs_cuda,
)

pytestmark = pytest.mark.filterwarnings(SHORT_TRAINING)
# One batch of all rows, and nothing random in its reconstruction.
ONE_STEP = {**PLAIN, "sigma": 0, "batch_size": 10_000, "max_epochs": 1}


@pytest.fixture
def weight(X):
    bright = X.mean(axis=1) > X.mean()
    return 2 * bright + np.random.default_rng(0).integers(2, size=len(X))


# Weights


@pytest.mark.parametrize("loss", ["bce", "mse", "huber"])
def test_a_weight_of_two_is_the_row_twice(Estimator, X, weight, loss):
    """In the loss of one full batch, exactly; and in the numbers of the scaling."""
    if Estimator is ALICETransformer:
        pytest.skip("all of its losses are of draws for each row")
    settings = {**ONE_STEP, "reconstruction_loss": loss}
    weighted = make(Estimator, **settings).fit(X, sample_weight=weight)
    repeated = make(Estimator, **settings).fit(np.repeat(X, weight, axis=0))
    # What is drawn for each row, a variational model has in its reconstructions.
    name = "kl_divergence" if Estimator in VARIATIONAL else "reconstruction_loss"
    found, expected = (m.history_[0][name] for m in (weighted, repeated))
    assert found == pytest.approx(expected, rel=1e-6)
    unweighted = make(Estimator, **settings).fit(X).history_[0][name]
    assert found != pytest.approx(unweighted, rel=1e-4)
    for name in ("shift", "scale", "low", "high"):
        found, expected = (getattr(m.scaling_, name) for m in (weighted, repeated))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("update", ["joint", "separate"])
def test_the_adversary_sees_weights(X, weight, update):
    """Its losses on z_fake are means in which the rows have their weights."""
    settings = {**ONE_STEP, "update": update, "prior": "normal"}
    model = make(AAETransformer, **settings, learning_rate=1e-30)
    losses = model.fit(X, sample_weight=weight).history_[0]
    z = torch.from_numpy(model.transform(X))
    with torch.no_grad():
        logits = model.net_.module_.discriminator(z).ravel().double().numpy()
    expected = np.average(np.logaddexp(0, -logits), weights=weight)
    assert losses["adversarial_loss"] == pytest.approx(expected, rel=1e-4)
    unweighted = np.logaddexp(0, -logits).mean()
    assert losses["adversarial_loss"] != pytest.approx(unweighted, rel=1e-4)


def test_equal_weights_are_none(Estimator, X):
    weighted = make(Estimator).fit(X, sample_weight=np.full(len(X), 3.0))
    np.testing.assert_array_equal(
        weighted.transform(X), make(Estimator).fit(X).transform(X)
    )


def test_a_weighted_distance_from_the_prior():
    """Of equal weights it is that of none; of others, that of the rows they stand for.

    A row's weight is compared with one quantile of the prior's, so that few, of few
    weights, are close.
    """
    random = torch.Generator()
    z, z_real = torch.randn(2, 4000, 3, generator=random.manual_seed(1))
    z = z + torch.tensor([1.0, 0.0, 0.0])
    ones = torch.ones(len(z))
    plain = sliced_distance(z, z_real, random.manual_seed(0))
    same = sliced_distance(z, z_real, random.manual_seed(0), ones)
    for found, expected in zip(same, plain, strict=True):
        torch.testing.assert_close(found, expected)
    # Of which only half of the rows counts, the half further off.
    half = (z[:, 0] > z[:, 0].median()).float()
    found, towards = sliced_distance(z, z_real, random.manual_seed(0), 2 * half)
    some = z_real[torch.randperm(len(z), generator=random)[: int(half.sum())]]
    expected, _ = sliced_distance(z[half > 0], some, random.manual_seed(0))
    assert found == pytest.approx(expected.item(), rel=0.02)
    assert (towards[half == 0] == 0).all()


def test_rows_without_weight_are_not_there(Estimator, X):
    """Neither in the networks nor in the statistics, whatever they hold."""
    n = 250
    garbage = np.vstack([X[:n], np.full((50, X.shape[1]), 1e6)])
    weight = np.repeat([1.0, 0.0], [n, 50])
    settings = {"scaling": "standard", "reconstruction_loss": "mse", "M": 2}
    found = make(Estimator, **settings).fit(garbage, sample_weight=weight)
    expected = make(Estimator, **settings).fit(X[:n])
    np.testing.assert_allclose(found.scaling_.shift, expected.scaling_.shift)
    np.testing.assert_allclose(found.scaling_.high, expected.scaling_.high)
    np.testing.assert_allclose(
        found.transform(X), expected.transform(X), rtol=1e-3, atol=5e-3
    )


def test_what_weighs_more_is_learned_better(digits):
    X, y = digits
    settings = {"n_components": 2, "max_epochs": 60, "network": PLAIN["network"]}
    weight = np.where(y == 3, 30.0, 1.0)
    plain = make(DAETransformer, **settings).fit(X)
    weighted = make(DAETransformer, **settings).fit(X, sample_weight=weight)
    assert weighted.score(X[y == 3]) > 0.8 * plain.score(X[y == 3])
    assert weighted.score(X[y != 3]) < plain.score(X[y != 3])
    # And counts for more among the codes that it samples from.
    mean = np.average(weighted.transform(X), weights=weight, axis=0)
    np.testing.assert_allclose(weighted.code_mean_, mean, rtol=1e-3, atol=1e-4)


def test_partial_fit_with_weights(Estimator, X, weight):
    """As many calls are one fit of as many epochs."""
    fitted = make(Estimator).fit(X, sample_weight=weight)
    model = make(Estimator)
    for _ in range(2):
        model.partial_fit(X, sample_weight=weight)
    np.testing.assert_array_equal(model.transform(X), fitted.transform(X))


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-1, "negative value -1"),
        (0, "at least one"),
        (np.nan, "contains NaN"),
        ("balanced", "sample_weight: could not convert"),
        ([1, 2], "has 300 samples|shape"),
    ],
)
def test_bad_weights(X, weight, message):
    weight = np.full(len(X), weight) if np.ndim(weight) == 0 else weight
    with pytest.raises(ValueError, match=message):
        make(DAAETransformer).fit(X, sample_weight=weight)


def test_weights_are_routed(X, y, weight):
    """Through a pipeline in a search."""
    with sklearn.config_context(enable_metadata_routing=True):
        model = make(DAETransformer, scaling=None).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = Pipeline([("scale", scaler), ("dae", model)])
        search = GridSearchCV(
            pipeline, {"dae__sigma": [0.5]}, cv=2, scoring=lambda model, X, y=None: 0.0
        )
        search.fit(X, sample_weight=weight)
        found = search.best_estimator_.transform(X)
    expected = make(DAETransformer, scaling=None)
    seen = StandardScaler().fit_transform(X)
    expected.fit(seen, sample_weight=weight)
    np.testing.assert_array_equal(found, expected.transform(seen))


# Rows to watch


def test_an_own_validation_set(Estimator, X):
    model = make(Estimator, max_epochs=3).fit(X[:200], X_val=X[200:])
    errors = [record["validation_error"] for record in model.history_]
    assert len(errors) == 3
    error = reconstruction_error(model, X[200:], corrupt=False)
    assert errors[-1] == pytest.approx(error, rel=1e-5)
    plain = make(Estimator, max_epochs=3).fit(X[:200])  # nothing is held out
    np.testing.assert_array_equal(model.transform(X), plain.transform(X))


def test_early_stopping_by_an_own_validation_set(X):
    settings = {"early_stopping": True, "n_iter_no_change": 2, "max_epochs": 300}
    settings |= {"learning_rate": 1e-2, "sigma": 0.1}
    model = make(DAETransformer, **settings).fit(X[:60], X_val=X[200:])
    errors = [record["validation_error"] for record in model.history_]
    assert model.n_epochs_ < 300
    assert np.argmin(errors) < len(errors) - 1
    # The weights are those of the least.
    assert -model.score(X[200:]) == pytest.approx(min(errors), rel=1e-5)


def test_the_last_rows_are_not_looked_at(X):
    """Neither by the scaling nor by the networks, where they are only watched."""
    settings = {"early_stopping": True, "validation": "last", "max_epochs": 5}
    settings |= {"validation_fraction": 0.2, "scaling": "standard"}
    n = 240
    changed = X.copy()
    changed[n:] = 1 - changed[n:]
    model, other = (make(DAAETransformer, **settings).fit(x) for x in (X, changed))
    expected = make(DAAETransformer, max_epochs=5, scaling="standard").fit(X[:n])
    for found in (model, other):
        np.testing.assert_array_equal(found.scaling_.shift, X[:n].mean(0, np.float64))
        assert found.loss_curve_ == expected.loss_curve_
    errors = [m.history_[0]["validation_error"] for m in (model, other)]
    assert errors[0] != errors[1]


def test_a_validation_set_passes_a_pipeline(X):
    with sklearn.config_context(enable_metadata_routing=True):
        model = make(DAETransformer, scaling=None).set_fit_request(X_val=True)
        steps = [("scale", StandardScaler()), ("dae", model)]
        pipeline = Pipeline(steps, transform_input=["X_val"])
        found = pipeline.fit(X[:200], X_val=X[200:])["dae"].history_
    scaler = StandardScaler().fit(X[:200])
    seen = scaler.transform(X[:200]), scaler.transform(X[200:])
    expected = make(DAETransformer, scaling=None).fit(seen[0], X_val=seen[1])
    assert found == expected.history_


def test_bad_validation_sets(X):
    with pytest.raises(ValueError, match="X_val: X has 63 features"):
        make(DAAETransformer).fit(X, X_val=X[:, 1:])
    with pytest.raises(ValueError, match=r"from -3 to .*outside of input_range"):
        make(DAAETransformer, input_range=(0, 1)).fit(X, X_val=X - 3)
    with pytest.raises(ValueError, match="1 of 300 samples are left to train on"):
        make(
            DAAETransformer,
            early_stopping=True,
            validation="last",
            validation_fraction=0.995,
        ).fit(X)


# Sparse


@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "csc_array", "coo_array"])
@pytest.mark.parametrize("scaling", ["auto", "standard"])
def test_sparse_is_as_dense(X, kind, scaling):
    settings = {"scaling": scaling, "reconstruction_loss": "mse"}
    sparse = getattr(sp, kind)(X)
    model = make(DAAETransformer, **settings).fit(sparse)
    dense = make(DAAETransformer, **settings).fit(X)
    options = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(model.transform(sparse), dense.transform(X), **options)
    np.testing.assert_array_equal(model.transform(sparse), model.transform(X))
    for ask in ("reconstruct", "score_samples"):
        found = getattr(model, ask)(sparse)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, getattr(dense, ask)(X), **options)
    model.partial_fit(sparse)


def test_sparse_data_frames(X):
    frame = pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix(X))
    model = make(DAETransformer).fit(frame)
    np.testing.assert_array_equal(model.transform(frame), model.transform(X))


def test_weights_and_watched_rows_of_sparse_data(Estimator, X, weight):
    sparse = sp.csr_array(X.astype(np.float64))
    settings = {"early_stopping": True, "validation": "last", "scaling": "standard"}
    found = make(Estimator, **settings).fit(sparse, sample_weight=weight)
    expected = make(Estimator, **settings).fit(X, sample_weight=weight)
    np.testing.assert_allclose(found.scaling_.shift, expected.scaling_.shift)
    np.testing.assert_allclose(found.scaling_.scale, expected.scaling_.scale)
    np.testing.assert_allclose(found.scaling_.low, expected.scaling_.low)
    np.testing.assert_allclose(
        found.transform(X), expected.transform(X), rtol=1e-3, atol=1e-3
    )


def test_sparse_data_are_never_dense_as_a_whole():
    n_rows, n_features = 10_000, 20_000  # 800 MB of float32
    X = sp.random(n_rows, n_features, density=1e-3, random_state=0, dtype=np.float32)
    model = make(DAETransformer, max_epochs=1, network=PLAIN["network"])
    tracemalloc.start()
    try:
        model.fit(X.tocsr()).transform(X.tocsr())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1e8


# A view of windows


def test_windows_of_a_signal_are_not_copied():
    signal = np.sin(np.arange(200_000) / 20)
    windows = np.lib.stride_tricks.sliding_window_view(signal, 100)  # 160 MB
    tracemalloc.start()
    try:
        model = make(DAETransformer, max_epochs=1, batch_size=4096).fit(windows)
        assert len(model.transform(windows[:1000])) == 1000
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 6e7
    few = windows[:500]
    options = {"max_epochs": 2}
    found = make(DAETransformer, **options).fit(few).transform(few)
    copied = make(DAETransformer, **options).fit(few.copy()).transform(few)
    np.testing.assert_array_equal(found, copied)


# Missing values


@pytest.fixture
def damaged(X):
    damaged = X.astype(np.float64)
    damaged[np.random.default_rng(1).random(X.shape) < 0.3] = np.nan
    return damaged


def test_missing_values_are_refused_unless_asked_for(Estimator, X, damaged):
    with pytest.raises(ValueError, match=r"NaN\. Fit .* missing_values='mask'"):
        make(Estimator).fit(damaged)
    model = make(Estimator).fit(X)
    with pytest.raises(ValueError, match="contains NaN"):
        model.set_params(missing_values="mask").transform(damaged)
    with pytest.raises(ValueError, match="missing_values has changed from None"):
        model.partial_fit(damaged)
    with pytest.raises(ValueError, match="infinity"):
        make(Estimator, missing_values="mask").fit(np.where(damaged > 0.9, np.inf, X))


def test_what_is_missing_has_no_part(Estimator, X, damaged):
    """In the numbers of the scaling, in what networks see and in what is measured."""
    model = make(Estimator, missing_values="mask", scaling="standard").fit(damaged)
    np.testing.assert_allclose(model.scaling_.shift, np.nanmean(damaged, axis=0))
    filled = np.where(np.isnan(damaged), np.nanmean(damaged, axis=0), damaged)
    options = {"rtol": 1e-4, "atol": 1e-5}
    codes = model.transform(damaged)
    np.testing.assert_allclose(codes, model.transform(filled), **options)
    x_hat = model.reconstruct(damaged)
    assert np.isfinite(x_hat).all()
    errors = np.square((x_hat - damaged) / model.scaling_.scale)
    expected = -np.nanmean(errors, axis=1)
    np.testing.assert_allclose(model.score_samples(damaged), expected, rtol=1e-3)
    as_module = model.as_module("transform")(torch.from_numpy(damaged))
    np.testing.assert_allclose(as_module.detach(), codes, **options)
    assert np.isfinite(model.sample(3, X=damaged[:2], random_state=0)).all()


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_the_loss_is_of_what_is_observed(Estimator, X, damaged, loss):
    """Half of the columns known twice as well as all: the mean is of those alone."""
    some = X.astype(np.float64)
    some[:, 32:] = np.nan
    settings = {**ONE_STEP, "missing_values": "mask", "reconstruction_loss": loss}
    settings |= {"scaling": None, "learning_rate": 1e-30, "averaging": False}
    model = make(Estimator, **settings).fit(some)
    x, x_hat = X[:, :32].astype(np.float64), model.reconstruct(some)[:, :32]
    if Estimator in GAUSSIAN:
        return  # whose reconstructions are of codes that are drawn
    expected = np.square(x - x_hat).mean()
    if loss == "bce":
        expected = -(x * np.log(x_hat) + (1 - x) * np.log1p(-x_hat)).mean()
    assert model.loss_curve_[0] == pytest.approx(expected, rel=1e-4)


def test_what_is_missing_is_estimated(Estimator, X, damaged):
    """Better than by the means, on rows that were not trained on."""
    settings = {"missing_values": "mask", "max_epochs": 60, "n_components": 8}
    settings |= {"beta": 0.1}
    model = make(Estimator, **settings).fit(damaged[:200])
    missing = np.isnan(damaged[200:])
    truth = X[200:][missing]
    means = np.broadcast_to(np.nanmean(damaged[:200], 0), missing.shape)[missing]
    found = model.reconstruct(damaged[200:])[missing]
    assert np.square(found - truth).mean() < 0.8 * np.square(means - truth).mean()


def test_features_of_which_nothing_is_known(X):
    empty = X.astype(np.float64)
    empty[:, 3] = np.nan
    empty[5] = np.nan
    model = make(DAAETransformer, missing_values="mask").fit(empty)
    assert np.isfinite(model.transform(empty)).all()
    assert np.isfinite(model.reconstruct(empty)).all()
    assert model.score_samples(empty)[5] == 0


def test_missing_values_in_all_kinds_of_tables(damaged):
    settings = {"missing_values": "mask", "max_epochs": 1}
    expected = make(DAETransformer, **settings).fit(damaged).transform(damaged)
    frame = pd.DataFrame(damaged)
    for table in (frame, frame.astype("Float64"), damaged.tolist()):
        found = make(DAETransformer, **settings).fit(table).transform(table)
        np.testing.assert_array_equal(found, expected)
    found = make(DAETransformer, **settings).fit(sp.csr_array(damaged))
    np.testing.assert_allclose(found.transform(damaged), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])]
)
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_every_way_of_taking_steps(Estimator, damaged, weight, device, monkeypatch):
    """Knows of weights and of missing values; and a plain one does on any device."""

    def fit(step, device):
        monkeypatch.setenv("SKLEARN_DAAE_STEP", step)
        settings = {"missing_values": "mask", "max_epochs": 5, "sigma": 0.1}
        settings |= {"device": device, "batch_size": 50, "averaging": False}
        model = make(Estimator, **settings)
        return model.fit(damaged, sample_weight=weight).history_

    for found, expected in zip(fit(device, device), fit("plain", device), strict=True):
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=2e-2, abs=2e-3), name


@pytest.mark.parametrize("kind", ["sparse", "missing"])
def test_pictures_of_such_rows(X, damaged, kind):
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    rows = sp.csr_array(X) if kind == "sparse" else damaged
    settings = {"missing_values": None if kind == "sparse" else "mask"}
    model = make(DAETransformer, **settings, scaling="standard").fit(rows)
    display = ReconstructionDisplay.from_estimator(
        model, rows, image_shape=(1, 8, 8), n_samples=3
    )
    expected = X[:3] if kind == "sparse" else damaged[:3]
    np.testing.assert_allclose(display.original, expected, rtol=1e-6)
    low, high = display.value_range
    assert (low, high) == pytest.approx((0, 1))
    plt.close("all")
