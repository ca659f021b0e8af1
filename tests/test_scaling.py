"""X at scales of all kinds, and what networks see of it."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from sklearn_daae import DAAETransformer, DAETransformer, VAETransformer
from sklearn_daae._engine.rows import Rows

from .conftest import make, weights

# Enough of a training for what is told here.
FAIR = {
    "encoder_layer_sizes": (64,),
    "decoder_layer_sizes": (64,),
    "device": "cpu",
    "random_state": 0,
}


@pytest.fixture(scope="module")
def wine():
    """Return a table whose features have units from 0.1 to 300."""
    return load_wine(return_X_y=True)


def relative_error(model, X):
    """Return the squared error of features as parts of their variance, the mean."""
    error = np.square(model.reconstruct(X) - X.astype(float)).mean(axis=0)
    return (error / X.var(axis=0, dtype=float)).mean()


# --- what is chosen -------------------------------------------------------------------


def test_images_of_two_tones_stay_as_they_are(X):
    model = make(DAAETransformer).fit(X)
    assert model.scaling_.kind is None
    assert model.reconstruction_loss_ == "bce"
    unscaled = make(DAAETransformer, scaling=None).fit(X)
    np.testing.assert_array_equal(weights(model), weights(unscaled))


def test_images_of_two_tones_may_be_bright(X):
    model = make(DAAETransformer).fit(1 - X)
    assert model.scaling_.kind is None
    assert model.reconstruction_loss_ == "bce"


def test_contrast_is_that_of_what_networks_see(X):
    def loss(pixels):
        model = make(DAAETransformer, input_range=(0, 255))
        return model.fit(pixels.astype(np.uint8)).reconstruction_loss_

    assert loss(255 * X) == "bce"
    assert loss(110 + 20 * X) == "mse"


def test_images_of_another_range_share_a_scale():
    X = load_digits().data[:300]
    scaling = make(DAAETransformer).fit(X).scaling_
    assert scaling.kind == "standard"
    np.testing.assert_allclose(scaling.shift, X.mean(axis=0))
    np.testing.assert_allclose(scaling.scale, np.sqrt(X.var(axis=0).mean()))


def test_features_of_several_units_are_scaled_one_by_one(wine):
    X, _ = wine
    model = make(DAAETransformer).fit(X)
    assert model.scaling_.kind == "standard"
    assert model.reconstruction_loss_ == "mse"
    np.testing.assert_allclose(model.scaling_.shift, X.mean(axis=0))
    np.testing.assert_allclose(model.scaling_.scale, X.std(axis=0))
    np.testing.assert_allclose(model.scaling_.low, ((X.min(0) - X.mean(0)) / X.std(0)))


def test_a_loss_that_is_given_decides(X):
    assert make(DAAETransformer, reconstruction_loss="mse").fit(X).scaling_.kind is None
    dull = 0.5 + X / 100
    model = make(DAAETransformer, reconstruction_loss="bce").fit(dull)
    assert model.scaling_.kind is None
    model = make(DAAETransformer, scaling=None).fit(dull)
    assert model.reconstruction_loss_ == "mse"  # too little contrast for the other


def test_constant_features():
    X = np.random.default_rng(0).normal(size=(100, 5))
    X[:, 2], X[:, 3] = 0.1, 1e9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Training did not")
        model = make(DAAETransformer, max_epochs=20).fit(X)
        make(DAAETransformer).fit(np.ones((10, 5)))
    X_hat = model.reconstruct(X)
    np.testing.assert_allclose(X_hat[:, 3], 1e9, atol=5)  # of noise, as all others


# --- statistics -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i4", "u8"])
def test_statistics_are_those_of_numpy(dtype, monkeypatch):
    X = np.random.default_rng(0).integers(0, 200, size=(5000, 300)).astype(dtype)
    statistics = Rows(X, torch.device("cpu")).statistics()  # in several blocks
    exact = X.astype(float)
    np.testing.assert_allclose(statistics.mean, exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.variance, exact.var(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(statistics.low, X.min(axis=0))
    np.testing.assert_array_equal(statistics.high, X.max(axis=0))


def test_statistics_of_a_large_offset():
    noise = np.random.default_rng(0).normal(size=(20_000, 30))
    statistics = Rows(1e12 + noise, torch.device("cpu")).statistics()
    np.testing.assert_allclose(statistics.variance, noise.var(axis=0), rtol=1e-3)


# --- trainings that failed without --------------------------------------------------


def test_features_of_several_units_are_learned(wine):
    """Beside proline in mg/l, all else was noise."""
    X, _ = wine
    model = DAETransformer(6, sigma=0.25, **FAIR).fit(X)
    assert relative_error(model, X) < 0.25
    unscaled = DAETransformer.as_published(n_components=6, **FAIR).fit(X)
    assert relative_error(unscaled, X) > 2
    # A unit is nothing to a model: neither to its codes nor to its scores.
    other = DAETransformer(6, sigma=0.25, **FAIR).fit(X * np.logspace(-6, 6, 13))
    np.testing.assert_allclose(
        other.transform(X * np.logspace(-6, 6, 13)), model.transform(X), atol=1e-3
    )
    errors = np.square((model.reconstruct(X) - X) / X.std(axis=0)).mean(axis=1)
    np.testing.assert_allclose(model.score_samples(X), -errors, rtol=1e-3)


def test_timestamps_are_told_apart():
    """Of 1.7e9, with differences that float32 cannot hold."""
    random = np.random.default_rng(0)
    minutes = random.random((400, 1)) * [1, 2, -1, 0.5]
    X = 1.7e9 + 60 * minutes
    model = DAETransformer(1, sigma=0.1, **FAIR).fit(X)
    assert model.reconstruct(X).dtype == np.float64
    assert relative_error(model, X) < 0.05
    assert model.sample(3, 0).dtype == model.corrupt(X, 0).dtype == np.float64
    noise = (model.corrupt(X, 0) - X) / model.scaling_.scale
    assert noise.std() == pytest.approx(0.1, rel=0.1)
    days = 1.7e9 + 86_400 * 30 * minutes
    assert make(DAETransformer).fit(days).reconstruct(days).dtype == np.float32


def test_sparse_values_are_learned():
    """tf-idf of documents on four topics: the cross-entropy saw a constant."""
    random = np.random.default_rng(0)
    y = np.arange(400) % 4
    words = np.where(np.arange(200) // 50 == y[:, None], 0.2, 0.02)
    counts = random.binomial(1, words).astype(float)
    weight = np.log(len(counts) / (1 + counts.sum(axis=0)))
    X = counts * weight
    X /= np.linalg.norm(X, axis=1, keepdims=True) + 1e-12
    assert X.min() == 0
    assert X.max() <= 1
    model = DAETransformer(4, **FAIR).fit(X[:200])
    assert model.reconstruction_loss_ == "mse"
    codes = model.transform(X)
    classifier = LogisticRegression().fit(codes[:200], y[:200])
    assert classifier.score(codes[200:], y[200:]) > 0.9


def test_a_variational_model_of_low_variance_does_not_collapse():
    """Spectra in [0.5, 0.63]: the codes carried nothing."""
    random = np.random.default_rng(0)
    waves = np.sin(np.linspace(0.5, 6, 60) * random.uniform(0.5, 2, size=(300, 1)))
    spectra = 0.565 + 0.06 * waves
    model = VAETransformer(3, **FAIR).fit(spectra)
    assert model.history_[-1]["kl_divergence"] > 3
    assert relative_error(model, spectra) < 0.2
    with pytest.warns(ConvergenceWarning, match="codes carry nothing.*beta"):
        VAETransformer.as_published(reconstruction_loss="bce", **FAIR).fit(spectra)


# --- the parameters -----------------------------------------------------------------


def test_range_asks_for_an_input_range(X):
    with pytest.raises(ValueError, match=r"needs input_range=\(low, high\)"):
        make(DAAETransformer, scaling="range").fit(X)
    for scaling in (None, "standard"):
        with pytest.raises(ValueError, match="makes no use of input_range"):
            make(DAAETransformer, scaling=scaling, input_range=(0, 1)).fit(X)
    settings = {"scaling": "standard", "reconstruction_loss": "bce"}
    with pytest.raises(ValueError, match="reconstruction_loss='bce' is of values in"):
        make(DAAETransformer, **settings).fit(X)
    with pytest.raises(ValueError, match="scaling"):
        make(DAAETransformer, scaling="minmax").fit(X)


def test_partial_fit_keeps_the_statistics_of_its_first_rows(Estimator, wine):
    X, _ = wine
    model = make(Estimator).partial_fit(X[:100])
    shift = model.scaling_.shift.copy()
    model.partial_fit(10 * X[100:])
    np.testing.assert_array_equal(model.scaling_.shift, shift)
    np.testing.assert_allclose(shift, X[:100].mean(axis=0))
    with pytest.raises(ValueError, match="scaling has changed"):
        model.set_params(scaling=None).partial_fit(X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_that_float_cannot_resolve_are_warned_of(dtype):
    X = np.random.default_rng(0).normal(size=(200, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Training did not")
        make(DAETransformer).fit((X + 1e3).astype(dtype))
    offset = {np.float32: 1e6, np.float64: 1e14}[dtype]
    with pytest.warns(ConvergenceWarning, match="hardly tells its values apart"):
        make(DAETransformer).fit((X + offset).astype(dtype))
    with pytest.warns(ConvergenceWarning, match="float32 hardly tells"):
        make(DAETransformer, scaling=None).fit((X + 1e6).astype(dtype))


def test_early_stopping_does_not_depend_on_the_unit(wine):
    X, _ = wine
    settings = {"early_stopping": True, "max_epochs": 60, "tol": 0.01}
    epochs = {
        make(DAETransformer, scaling=scaling, **settings).fit(values).n_epochs_
        for scaling, values in (("auto", X), ("auto", 1000 * X))
    }
    assert len(epochs) == 1
    assert epochs.pop() < 60
