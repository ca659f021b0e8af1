"""X in a range of its own, such as uint8 images, in memory or in a file."""

import tracemalloc

import numpy as np
import pytest
import skorch.callbacks

from sklearn_daae import DAAETransformer

from .conftest import ADVERSARIAL, VARIATIONAL, make, weights


@pytest.fixture(scope="module")
def pixels(X):
    pixels = np.round(X * 255).astype(np.uint8)
    pixels.setflags(write=False)
    return pixels


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}])
def test_it_is_the_model_of_scaled_X(Estimator, pixels, settings):
    """Bit for bit, and everything in the space of X is mapped back."""
    scaled = pixels.astype(np.float32) / 255
    model = make(Estimator, input_range=(0, 255), **settings).fit(pixels)
    other = make(Estimator, **settings).fit(scaled)
    assert model.reconstruction_loss_ == other.reconstruction_loss_ == "bce"
    assert model.history_ == other.history_
    np.testing.assert_array_equal(weights(model), weights(other))
    Z = model.transform(pixels)
    np.testing.assert_array_equal(Z, other.transform(scaled))

    for found, expected in {
        "inverse_transform": (model.inverse_transform(Z), other.inverse_transform(Z)),
        "corrupt": (model.corrupt(pixels, 0), other.corrupt(scaled, 0)),
        "reconstruct": (model.reconstruct(pixels), other.reconstruct(scaled)),
        "denoise": (
            model.reconstruct(pixels, corrupt=True, random_state=0),
            other.reconstruct(scaled, corrupt=True, random_state=0),
        ),
        "sample": (model.sample(9, 0), other.sample(9, 0)),
        "chain": (
            model.sample(9, 0, n_steps=2, return_chain=True),
            other.sample(9, 0, n_steps=2, return_chain=True),
        ),
    }.values():
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, 255 * expected, rtol=1e-5, atol=1e-3)

    errors = ((model.reconstruct(pixels) - pixels) ** 2).mean(axis=1)
    np.testing.assert_allclose(model.score_samples(pixels), -errors, rtol=1e-4)
    assert model.score(pixels) == pytest.approx(255**2 * other.score(scaled), rel=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("loss", ["auto", "mse"])
def test_any_range(X, dtype, loss):
    low, high = (-20, 100) if np.dtype(dtype).kind != "u" else (20, 220)
    ranged = np.round(X * (high - low) + low).astype(dtype)
    settings = {"input_range": [low, high], "reconstruction_loss": loss}
    model = make(DAAETransformer, **settings, max_epochs=20, sigma=0.1).fit(ranged)
    assert model.reconstruction_loss_ == {"auto": "bce", "mse": "mse"}[loss]
    X_hat = model.reconstruct(ranged)
    assert ((X_hat - ranged) ** 2).mean() < ranged.var(dtype=np.float64)
    if loss == "auto":
        assert low <= X_hat.min() < X_hat.max() <= high
    # sigma is in units of the unit interval.
    noise = model.corrupt(ranged, random_state=0) - ranged
    assert noise.std() == pytest.approx(0.1 * (high - low), rel=0.02)


def test_values_out_of_range(Estimator, pixels):
    model = make(Estimator, input_range=(0, 100), reconstruction_loss="mse")
    with pytest.raises(ValueError, match=r"0 to 255, outside of input_range=\(0, 100"):
        model.fit(pixels)
    assert not hasattr(model, "net_")

    # NumPy's own numbers must not overflow in the comparison.
    model.set_params(input_range=np.array([-128, 127], dtype=np.int8))
    with pytest.raises(ValueError, match="outside of input_range"):
        model.fit(20 * pixels.astype(np.int16) - 1000)


@pytest.mark.parametrize(
    "value",
    [
        *[(0, 0), (255, 0), (0, np.inf), (np.nan, 1), (0, 1, 2), ("a", "b"), 255],
        *[(1.7e9, 1.7e9 + 100), {0, 1}, "01"],
    ],
)
def test_bad_ranges(X, value):
    with pytest.raises(ValueError, match=r"input_range=.* must be \(low, high\)"):
        make(DAAETransformer, input_range=value).fit(X)


def test_a_fitted_range_stays(pixels):
    model = make(DAAETransformer, input_range=(0, 255)).fit(pixels)
    X_hat = model.reconstruct(pixels)
    model.set_params(input_range=[0, 255]).partial_fit(pixels)
    for other in ((0, 256), None):
        model.set_params(input_range=other)
        with pytest.raises(ValueError, match="input_range has changed"):
            model.partial_fit(pixels)
    model = make(DAAETransformer, input_range=(0, 255)).fit(pixels)
    model.set_params(input_range=None)
    np.testing.assert_array_equal(model.reconstruct(pixels), X_hat)


def test_callbacks_of_skorch_score_X_in_its_own_range(pixels):
    def error(net, X, y=None):
        return float(((net.predict(X) - X) ** 2).mean())

    scoring = skorch.callbacks.EpochScoring(error, name="error", on_train=True)
    settings = {"input_range": (0, 255), "callbacks": [scoring]}
    model = make(DAAETransformer, **settings).fit(pixels)
    error = model.net_.history[-1, "error"]
    assert error == pytest.approx(-model.score(pixels), rel=1e-4)


@pytest.mark.parametrize("Estimator", [*ADVERSARIAL[1:2], *VARIATIONAL[:1]])
def test_no_copy_of_a_file_is_made(Estimator, tmp_path):
    X = np.lib.format.open_memmap(
        tmp_path / "X.npy", "w+", dtype=np.uint8, shape=(100_000, 256)
    )
    X[:] = np.random.default_rng(0).integers(256, size=(1, 256))
    X.flush()
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    settings = {"input_range": (0, 255), "max_epochs": 1, "batch_size": 1000}
    tracemalloc.start()
    model = make(Estimator, **settings).fit(X)
    model.score(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 4
