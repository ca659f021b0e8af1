"""The estimators through their public methods."""

import os
import pickle
import re
import signal
import subprocess
import sys
import tracemalloc
import warnings
from copy import deepcopy
from itertools import pairwise

import joblib
import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_lyapunov
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from skorch.callbacks import Callback

from sklearn_daae import DAAETransformer, DAETransformer
from sklearn_daae._engine.trainer import AutoencoderNet
from sklearn_daae._model.markov_chain import markov_chain

from .conftest import ADVERSARIAL, ESTIMATORS, GAUSSIAN, PLAIN, SMALL, make, weights

pd = pytest.importorskip("pandas")


def halve(x, sigma, generator):
    """Corrupt without chance."""
    return x * (1 - sigma)


METHODS = [
    "transform",
    "inverse_transform",
    "corrupt",
    "reconstruct",
    "score_samples",
    "score",
]


# --- transform and its kin ----------------------------------------------------------


def test_shapes_and_dtypes(fitted, X):
    Z = fitted.transform(X)
    assert Z.shape == (300, 4)
    shapes = {
        "inverse_transform": fitted.inverse_transform(Z),
        "corrupt": fitted.corrupt(X, random_state=0),
        "reconstruct": fitted.reconstruct(X),
        "sample": fitted.sample(300, random_state=0),
    }
    for name, array in shapes.items():
        assert array.shape == X.shape, name
        assert array.dtype == np.float32, name
    assert fitted.score_samples(X).shape == (300,)
    assert isinstance(fitted.score(X), float)


def test_reconstruct_is_transform_and_inverse_transform(fitted, X):
    X_hat = fitted.reconstruct(X)
    np.testing.assert_allclose(
        X_hat, fitted.inverse_transform(fitted.transform(X)), atol=1e-6
    )
    assert X_hat.min() >= 0
    assert X_hat.max() <= 1

    X_tilde = fitted.corrupt(X, random_state=3)
    denoised = fitted.reconstruct(X, corrupt=True, random_state=3)
    np.testing.assert_allclose(denoised, fitted.reconstruct(X_tilde), atol=1e-6)


def test_corrupt_adds_gaussian_noise(fitted, X):
    if not hasattr(fitted, "sigma"):
        np.testing.assert_array_equal(fitted.corrupt(X), X)
        return
    noise = fitted.corrupt(X, random_state=0) - X
    assert noise.std() == pytest.approx(0.5, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.02)
    again = fitted.corrupt(X, random_state=0) - X
    np.testing.assert_array_equal(noise, again)
    assert not np.array_equal(fitted.corrupt(X), fitted.corrupt(X))


def test_score_is_minus_the_squared_reconstruction_error(fitted, X):
    errors = ((fitted.reconstruct(X) - X) ** 2).mean(axis=1)
    np.testing.assert_allclose(fitted.score_samples(X), -errors, rtol=1e-5)
    assert fitted.score(X) == pytest.approx(-errors.mean(), rel=1e-5)


def test_training_improves_the_score(Estimator, X):
    model = make(Estimator, max_epochs=40, sigma=0.1, beta=0.1).fit(X)
    mean_image = -((X - X.mean(axis=0)) ** 2).mean()
    assert model.score(X) > 0.7 * mean_image
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_large_inputs_are_encoded_in_several_batches(fitted, X, monkeypatch):
    expected = fitted.transform(X), fitted.reconstruct(X)
    monkeypatch.setattr("sklearn_daae._engine.inference._BATCH_VALUES", 2048 * 77)
    np.testing.assert_allclose(fitted.transform(X), expected[0], atol=1e-6)
    np.testing.assert_allclose(fitted.reconstruct(X), expected[1], atol=1e-6)
    assert fitted.sample(200, random_state=0).shape == (200, 64)


def test_output_of_squared_error_is_unbounded(X):
    model = DAAETransformer(**SMALL).fit(10 * X - 5)
    assert model.reconstruction_loss_ == "mse"
    assert model.sample(300, random_state=0).min() < 0


@pytest.mark.parametrize("method", [*METHODS, "sample"])
def test_unfitted(Estimator, X, method):
    with pytest.raises(NotFittedError, match=f"This {Estimator.__name__} instance"):
        getattr(Estimator(), method)(*([] if method == "sample" else [X]))
    attributes = [name for name in dir(Estimator) if re.fullmatch(r"[a-z]\w*_", name)]
    assert {"encoder_", "history_", "device_", "n_epochs_"} <= set(attributes)
    for name in attributes:
        with pytest.raises(NotFittedError, match=f"This {Estimator.__name__} instance"):
            getattr(Estimator(), name)
        assert not hasattr(Estimator(), name)


# --- sample -------------------------------------------------------------------------


def test_chain_is_equation_3(Estimator, X, monkeypatch):
    """x(t+1) = R(E(C(x(t)))), with a corruption that can be repeated."""
    if Estimator in GAUSSIAN:
        # The codes of a chain are drawn: here from Gaussians of no variance.
        monkeypatch.setattr("torch.exp", torch.zeros_like)
    fitted = make(Estimator, corruption=halve).fit(X)
    half = 0.5 if hasattr(fitted, "sigma") else 1
    chain = fitted.sample(20, random_state=0, n_steps=3, return_chain=True)
    assert chain.shape == (4, 20, 64)
    for now, after in pairwise(chain):
        expected = fitted.inverse_transform(fitted.transform(half * now))
        np.testing.assert_allclose(after, expected, atol=1e-6)

    # x(0) is what the chain starts from, decoded.
    first = fitted.sample(20, random_state=0, n_steps=0)
    np.testing.assert_array_equal(chain[0], first)
    last = fitted.sample(20, random_state=0, n_steps=3)
    np.testing.assert_array_equal(chain[-1], last)


def test_the_stages_of_a_transition():
    """Equation 3: x_tilde = C(x), z drawn of q(z | x_tilde), x = R(z), in order."""
    seen = []

    def stage(name):
        def call(value):
            seen.append((name, value))
            return f"{name}({value})"

        return call

    chain = markov_chain(
        "x0", 2, corrupt=stage("C"), encode=stage("q"), decode=stage("R")
    )
    assert [*chain] == ["x0", "R(q(C(x0)))", "R(q(C(R(q(C(x0))))))"]
    assert seen[:3] == [("C", "x0"), ("q", "C(x0)"), ("R", "q(C(x0))")]
    assert len(seen) == 6


MEMORY_OF_CHAINS = """
import resource
import sys
import numpy as np
from sklearn_daae import DAAETransformer

def peak():
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

X = np.zeros((4, 2048), dtype=np.float32)  # 1024 chains in a batch
model = DAAETransformer(2, encoder_layer_sizes=8, decoder_layer_sizes=8, max_epochs=1)
x = model.fit(X).sample(1024, 0, n_steps=1)
before = peak()
model.sample(1024, 0, n_steps=61)
print((peak() - before) / x.nbytes)
"""


def test_chains_take_bounded_memory():
    """Only the states that are asked for are kept, not all 60."""
    pytest.importorskip("resource", reason="Windows does not tell")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_OF_CHAINS],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 10


def test_chain_is_random_at_every_step(Estimator, X):
    """By the corruption, and by the code of a Gaussian encoder."""
    noisy, still = (make(Estimator, sigma=sigma).fit(X) for sigma in (0.5, 0))
    for model in noisy, still:
        chain = model.sample(5, random_state=0, n_steps=2, return_chain=True)
        for now, after in pairwise(chain):
            is_random = (abs(after - model.reconstruct(now)) > 1e-3).any()
            is_corrupted = getattr(model, "sigma", 0) > 0
            assert is_random == (is_corrupted or Estimator in GAUSSIAN)


def test_parameters_set_after_fit_wait_for_the_next_fit(fitted, X):
    later = pickle.loads(pickle.dumps(fitted))
    later_values = {"sigma": np.nan, "corruption": "unknown", "prior": "unknown"}
    has = later.get_params()
    later.set_params(**{k: v for k, v in later_values.items() if k in has})
    for name in ("corrupt", "reconstruct", "transform", "score_samples"):
        seeded = {"random_state": 0} if name == "corrupt" else {}
        np.testing.assert_array_equal(
            getattr(later, name)(X, **seeded), getattr(fitted, name)(X, **seeded)
        )
    np.testing.assert_array_equal(later.sample(3, 0), fitted.sample(3, 0))


@pytest.mark.parametrize("Estimator", [*ADVERSARIAL, *GAUSSIAN])
def test_codes_come_from_the_prior(Estimator, X):
    """With the identity for a decoder, x(0) is z(0)."""
    settings = {"n_components": 64, "reconstruction_loss": "mse"}
    decoder = {"decoder": lambda k, d: torch.nn.Identity()}
    model = make(Estimator, **settings, **decoder).fit(X)
    z = model.sample(10_000, random_state=0, n_steps=0)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(np.cov(z.T), np.eye(64), atol=0.06)


def test_chains_start_from_data(fitted, X):
    chain = fitted.sample(3, 0, X=X[:4], n_steps=2, return_chain=True)
    assert chain.shape == (3, 12, 64)
    np.testing.assert_allclose(chain[0], np.repeat(X[:4], 3, axis=0), atol=1e-6)
    # One step is R(E(C(x))); of a Gaussian encoder, a draw of its code instead of E.
    one = fitted.sample(random_state=0, X=X)
    np.testing.assert_array_equal(one, fitted.sample(1, 0, X=X, n_steps=1))
    if not isinstance(fitted, tuple(GAUSSIAN)):
        expected = fitted.reconstruct(X, corrupt=True, random_state=0)
        np.testing.assert_allclose(one, expected, atol=1e-6)


def test_chains_start_from_codes(fitted, X):
    Z = fitted.transform(X[:4])
    first = fitted.sample(2, 0, Z=Z, n_steps=0)
    expected = np.repeat(fitted.inverse_transform(Z), 2, axis=0)
    np.testing.assert_allclose(first, expected, atol=1e-6)
    chain = fitted.sample(2, 0, Z=Z, n_steps=2, return_chain=True)
    np.testing.assert_array_equal(chain[0], first)
    np.testing.assert_array_equal(chain[-1], fitted.sample(2, 0, Z=Z, n_steps=2))


def test_chains_start_from_one_thing(fitted, X):
    Z = fitted.transform(X[:4])
    with pytest.raises(ValueError, match="rows of X or from codes Z: give one"):
        fitted.sample(X=X[:4], Z=Z)
    with pytest.raises(ValueError, match="X has 63 features"):
        fitted.sample(X=X[:4, :63])
    with pytest.raises(ValueError, match="Z has 3 features"):
        fitted.sample(Z=Z[:, :3])


def test_chains_in_many_batches(fitted, X, monkeypatch):
    """Each row's chains come out at its own place."""
    whole = fitted.sample(3, 0, X=X[:50], n_steps=0)
    monkeypatch.setattr("sklearn_daae._engine.inference._BATCH_VALUES", 7 * 2048)
    np.testing.assert_array_equal(fitted.sample(3, 0, X=X[:50], n_steps=0), whole)
    # And begin where shorter ones with the same seed begin.
    chain = fitted.sample(30, 0, n_steps=2, return_chain=True)
    np.testing.assert_array_equal(chain[0], fitted.sample(30, 0, n_steps=0))
    np.testing.assert_array_equal(chain[-1], fitted.sample(30, 0, n_steps=2))
    assert len(np.unique(chain[0].round(6), axis=0)) == 30


class Affine(torch.nn.Linear):
    """From 3 features to 2 components, or back with a turn; both contract."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__(n_inputs, n_outputs)
        plane = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 2)))[0]
        turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
        weight = 0.95 * (plane.T if n_inputs == 3 else plane @ turn)
        self.weight.data = torch.as_tensor(weight, dtype=torch.float32)
        self.bias.data = torch.linspace(0.5, 1, n_outputs)


def test_chain_is_stationary_where_theory_says():
    """Of an affine model: x' = F (x + noise) + g, an autoregressive process.

    Its mean solves m = F m + g and its covariance S = F S F^T + sigma^2 F F^T.
    """
    settings = {"encoder": Affine, "decoder": Affine, "reconstruction_loss": "mse"}
    model = make(DAAETransformer, n_components=2, sigma=0.7, **settings)
    model.set_params(learning_rate=1e-12)
    model.fit(np.zeros((10, 3), dtype=np.float32))
    (W, c), (V, b) = (
        (m.weight.detach().double().numpy(), m.bias.detach().double().numpy())
        for m in (model.encoder_, model.decoder_)
    )
    F, g = V @ W, V @ c + b
    mean = np.linalg.solve(np.eye(3) - F, g)
    of_a_step = 0.7**2 * F @ F.T
    covariance = solve_discrete_lyapunov(F, of_a_step)
    assert abs(covariance).max() > 3 * abs(of_a_step).max()  # the chain remembers
    x = model.sample(100_000, 0, n_steps=60)
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.04)
    # Stationary: one step more changes nothing.
    on = model.sample(X=x, random_state=1, n_steps=1)
    np.testing.assert_allclose(np.cov(on.T), covariance, atol=0.04)


def test_default_number_of_steps(X):
    """One for the DAE, the DAAE and the DVAE, and none for the rest."""
    steps = [0, 1, 0, 1, 0, 1, 0]
    for Estimator, n_steps in zip(ESTIMATORS, steps, strict=True):
        model = make(Estimator).fit(X)
        np.testing.assert_array_equal(
            model.sample(5, random_state=0),
            model.sample(5, random_state=0, n_steps=n_steps),
        )
        assert model.sample(random_state=0).shape == (1, 64)


def test_a_denoising_autoencoder_starts_from_a_gaussian_of_its_codes():
    """Of all rows that it was trained on, more than one block of them."""
    X = (load_digits().data / 16).astype(np.float32)
    settings = {"n_components": 3, "decoder": lambda k, d: Pad(d - k)}
    model = make(DAETransformer, **settings, reconstruction_loss="mse").fit(X)
    Z = model.transform(X).astype(float)
    np.testing.assert_allclose(model.code_mean_, Z.mean(axis=0), rtol=1e-4, atol=1e-5)
    covariance = np.cov(Z.T, bias=True)
    np.testing.assert_allclose(model.code_covariance_, covariance, rtol=1e-4, atol=1e-5)
    z = model.sample(20_000, 0, n_steps=0)[:, :3]
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(z.mean(axis=0) / scale, Z.mean(axis=0) / scale, atol=0.1)
    np.testing.assert_allclose(np.cov((z / scale).T), np.corrcoef(Z.T), atol=0.05)


def test_a_denoising_autoencoder_remembers_a_stream(X):
    """The codes of about the last thousand rows, not of the last call alone."""
    still = {"learning_rate": 1e-20, "n_components": 2}
    model = make(DAETransformer, **still).fit(X[:200])
    for row in X[200:]:
        model.partial_fit(row[None])
    assert model.n_codes_ == 300
    Z = model.transform(X)
    np.testing.assert_allclose(model.code_mean_, Z.mean(axis=0), rtol=1e-4, atol=1e-5)
    expected = np.cov(Z.T, bias=True)
    np.testing.assert_allclose(model.code_covariance_, expected, rtol=1e-4, atol=1e-5)
    # A call of more rows than are remembered stands alone, as a fit does.
    many = np.tile(X[:150], (10, 1))
    model.partial_fit(many)
    np.testing.assert_allclose(
        model.code_mean_, model.transform(many).mean(axis=0), rtol=1e-4, atol=1e-5
    )
    assert model.n_codes_ == 1500
    model.partial_fit(X[:100])
    assert model.n_codes_ == 1000
    assert make(DAETransformer).fit(X[:2]).partial_fit(X[:1]).n_codes_ == 3


class Pad(torch.nn.Module):
    """Hands its input on, with zeros after it."""

    def __init__(self, n_zeros):
        super().__init__()
        self.n_zeros = n_zeros

    def forward(self, x):
        return torch.nn.functional.pad(x, (0, self.n_zeros))


def test_samples_vary_unless_seeded(fitted):
    assert (fitted.sample(3) != fitted.sample(3)).any()
    state = np.random.RandomState(0)
    assert (fitted.sample(3, state) != fitted.sample(3, state)).any()


# --- what X may be ------------------------------------------------------------------


def test_kinds_of_X_give_the_same_model(Estimator, X, tmp_path):
    path = tmp_path / "X.dat"
    np.memmap(path, X.dtype, "w+", shape=X.shape)[:] = X
    kinds = {
        "read-only memmap": np.memmap(path, X.dtype, "r", shape=X.shape),
        "copy-on-write memmap": np.memmap(path, X.dtype, "c", shape=X.shape),
        "writable": X.copy(),
        "float64": X.astype(np.float64),
        "Fortran order": np.asfortranarray(X),
        "list": X.tolist(),
        "data frame": pd.DataFrame(X),
        "tensor": torch.tensor(X),
    }
    expected = make(Estimator).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name, kind in kinds.items():
            model = make(Estimator).fit(kind)
            np.testing.assert_array_equal(weights(model), weights(expected), name)
            Z = model.transform(kind)
            np.testing.assert_array_equal(Z, expected.transform(X), name)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u8", "?", "f2", "g"])
def test_dtypes(X, dtype):
    X = (X > 0.5).astype(dtype)
    model = DAAETransformer(**SMALL).fit(X)
    assert model.reconstruction_loss_ == "bce"
    expected = DAAETransformer(**SMALL).fit(X.astype(np.float32))
    np.testing.assert_array_equal(model.transform(X), expected.transform(X))


def test_X_is_not_copied():
    X = np.random.default_rng(0).random((40_000, 64))  # 20 MB
    settings = {**SMALL, "max_epochs": 1, "batch_size": 1000}
    tracemalloc.start()
    model = DAAETransformer(**settings).fit(X)
    assert tracemalloc.get_traced_memory()[1] < X.nbytes / 4
    tracemalloc.reset_peak()
    model.score(X)
    assert tracemalloc.get_traced_memory()[1] < X.nbytes / 4
    tracemalloc.stop()


def test_X_is_not_kept(X):
    few, many = (DAAETransformer(**SMALL, verbose=1) for _ in range(2))
    few.fit(X).partial_fit(X)
    many.fit(np.vstack([X] * 20)).partial_fit(X)
    assert len(pickle.dumps(many)) == pytest.approx(len(pickle.dumps(few)), abs=2_000)


def test_X_is_not_written_to(Estimator, X):
    """Even by networks that work in place, which reconstruct what they were given."""

    def encoder(d, k):
        clip = torch.nn.Hardtanh(0, 0.5, inplace=True)
        return torch.nn.Sequential(clip, torch.nn.Linear(d, k))

    ours = X.copy()
    settings = {**SMALL, "encoder": encoder, "sigma": 0.0}
    model = make(Estimator, **settings).fit(ours)
    model.transform(ours)
    errors = ((model.reconstruct(ours) - X) ** 2).mean(axis=1)
    np.testing.assert_allclose(model.score_samples(ours), -errors, rtol=1e-5)
    np.testing.assert_array_equal(ours, X)

    def out_of_place(d, k):
        return torch.nn.Sequential(torch.nn.Hardtanh(0, 0.5), torch.nn.Linear(d, k))

    same = make(Estimator, **{**settings, "encoder": out_of_place}).fit(X)
    np.testing.assert_array_equal(weights(model), weights(same))


@pytest.mark.parametrize("Estimator", [*ADVERSARIAL, DAETransformer])
def test_an_encoder_that_works_in_place(Estimator, X):
    """Whichever pass comes first, the next one sees what it saw."""

    class Doubling(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x.mul_(2))

    class OutOfPlace(torch.nn.Linear):
        def forward(self, x):
            return super().forward(2 * x)

    models = [make(Estimator, encoder=E).fit(X) for E in (Doubling, OutOfPlace)]
    np.testing.assert_array_equal(*map(weights, models))


def test_single_rows(Estimator, X):
    """No batch of one row in `fit`, and none refused in `partial_fit` or later."""
    sizes = []

    class Sizes(Callback):
        def on_batch_begin(self, net, batch, **kwargs):
            sizes.append(len(batch[0]))

    settings = {**SMALL, "max_epochs": 1, "batch_size": 10}
    model = make(Estimator, **settings, callbacks=[Sizes()]).fit(X[:31])
    assert sizes == [10, 10, 11]
    model.partial_fit(X[:1])
    assert model.transform(X[:1]).shape == (1, 4)
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        make(Estimator, **settings).fit(X[:1])


def test_reconstruction_loss_is_chosen_from_X(X):
    def loss(X, **params):
        model = DAAETransformer(**{**SMALL, "max_epochs": 1, **params}).fit(X)
        return model.reconstruction_loss_

    assert loss(X) == "bce"
    scaled = X.copy()
    scaled[0, :2] = np.nextafter(np.float32(1), 2), -1e-17
    assert loss(scaled) == "bce"  # the rounding of a scaler
    assert loss(scaled.astype(np.float64)) == "bce"
    assert loss(2 * X) == "mse"
    assert loss(X, reconstruction_loss="mse") == "mse"


# --- going on -----------------------------------------------------------------------


def test_fit_is_so_many_calls_of_partial_fit(Estimator, X):
    settings = {**SMALL, "max_epochs": 3, "learning_rate_decay": 0.5}
    whole = make(Estimator, **settings).fit(X)
    steps = make(Estimator, **settings)
    for _ in range(3):
        steps.partial_fit(X)
    np.testing.assert_array_equal(weights(whole), weights(steps))
    assert whole.history_ == steps.history_
    assert whole.n_epochs_ == steps.n_epochs_ == 3

    halves = make(Estimator, **{**settings, "max_epochs": 1, "warm_start": True})
    halves.fit(X).set_params(max_epochs=2).fit(X)
    np.testing.assert_array_equal(weights(whole), weights(halves))
    assert len(halves.loss_curve_) == 3


def test_fit_starts_over_without_warm_start(Estimator, X):
    model = make(Estimator).fit(X)
    once = weights(model)
    np.testing.assert_array_equal(weights(model.fit(X)), once)
    assert model.n_epochs_ == 2
    model.fit(X[:, :30])
    assert model.n_features_in_ == 30


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("n_components", 3),
        ("encoder_layer_sizes", (16,)),
        ("discriminator_optimizer", "rmsprop"),
        ("reconstruction_loss", "mse"),
    ],
)
def test_cannot_go_on_with_other_networks(X, parameter, value):
    model = DAAETransformer(**SMALL).fit(X)
    model.set_params(reconstruction_loss="bce")  # which "auto" has chosen
    model.partial_fit(X[:1])
    before = weights(model)
    model.set_params(**{parameter: value})
    with pytest.raises(
        ValueError, match=rf"{parameter} has changed from .* start anew"
    ):
        model.partial_fit(X)
    with pytest.raises(ValueError, match=parameter):
        model.set_params(warm_start=True).fit(X)
    np.testing.assert_array_equal(weights(model), before)
    model.set_params(warm_start=False).fit(X)


def test_goes_on_with_other_training_parameters(X):
    model = DAAETransformer(**SMALL).fit(X)
    model.set_params(sigma=0.1, batch_size=30, encoder_layer_sizes=[32])
    model.set_params(image_shape=(1, 8, 8)).partial_fit(X)  # for pictures
    before = weights(model)
    model.set_params(learning_rate=1e-9).partial_fit(X)
    np.testing.assert_allclose(weights(model), before, atol=1e-6)
    assert model.transform(X).shape == (300, 4)


def test_learning_rate_decay(X):
    model = DAAETransformer(**SMALL, learning_rate_decay=0.1).fit(X)
    for name in ("reconstruction", "discriminator"):
        group = model.net_.optimizer_.optimizers[name].param_groups[0]
        assert group["lr"] == pytest.approx(2e-5)


def test_early_stopping_returns_to_the_best_weights(Estimator, X):
    """As in MLPClassifier: any improvement counts as best, tol as progress."""
    settings = {**SMALL, **PLAIN, "max_epochs": 60, "early_stopping": True}
    model = make(Estimator, **settings, n_iter_no_change=3, tol=0.05).fit(X)
    errors = [record["validation_error"] for record in model.history_]
    assert 4 < model.n_epochs_ < 60
    rows = np.random.default_rng(0).permutation(len(X))[:30]
    tol = 0.05 * X[rows].var(axis=0, dtype=np.float64).mean()
    count, best = 0, np.inf
    for epoch, error in enumerate(errors, 1):
        count = count + 1 if error > best - tol else 0
        best = min(best, error)
        assert (count > 3) == (epoch == model.n_epochs_)

    n_best = 1 + int(np.argmin(errors))
    assert n_best > len(errors) - 4  # within tol of an earlier one, yet the best
    same = make(Estimator, **{**settings, "max_epochs": n_best}).fit(X)
    np.testing.assert_array_equal(weights(model), weights(same))


@pytest.mark.parametrize("random_state", [None, 0])
def test_a_warm_start_watches_the_same_rows(X, random_state):
    seen = []

    class Rows(Callback):
        def on_train_begin(self, net, **kwargs):
            seen.append(set())

        def on_batch_begin(self, net, batch, **kwargs):
            seen[-1].update(map(tuple, batch[0].tolist()))

    settings = {**SMALL, "early_stopping": True, "warm_start": True}
    settings |= {"callbacks": [Rows()], "random_state": random_state}
    model = DAAETransformer(**settings).fit(X)
    deepcopy(model).fit(X)
    model.fit(X)
    assert seen[0] == seen[1] == seen[2]


def test_early_stopping_does_not_train_on_what_it_watches(X):
    rows = []

    class Rows(Callback):
        def on_batch_begin(self, net, batch, **kwargs):
            rows.extend(map(tuple, batch[0].tolist()))

    X = np.unique(X, axis=0)
    settings = {**SMALL, "early_stopping": True, "validation_fraction": 0.25}
    DAAETransformer(**settings, callbacks=[Rows()]).fit(X)
    assert len(rows) == 2 * (len(X) - np.ceil(0.25 * len(X)))
    assert len(set(rows)) == len(rows) / 2

    with pytest.raises(ValueError, match=r"1 of 3 samples .* validation_fraction"):
        DAAETransformer(**{**settings, "validation_fraction": 0.5}).fit(X[:3])


# --- failure ------------------------------------------------------------------------


class Breaks(Callback):
    def __init__(self, epoch, error=RuntimeError):
        self.epoch = epoch
        self.error = error

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise self.error("broken")


class BreaksBefore(Breaks):
    on_epoch_begin = Breaks.on_batch_end
    on_batch_end = Callback.on_batch_end


@pytest.mark.parametrize(
    ("epoch", "error"), [(1, RuntimeError), (2, RuntimeError), (1, KeyboardInterrupt)]
)
def test_a_failed_fit_leaves_the_estimator_unfitted(Estimator, X, epoch, error):
    model = make(Estimator, callbacks=[Breaks(epoch, error)])
    before = vars(model).copy()
    with pytest.raises(error, match="broken"):
        model.fit(X)
    assert vars(model) == before
    with pytest.raises(NotFittedError):
        model.transform(X)


@pytest.mark.parametrize("kind", [Breaks, BreaksBefore])
def test_an_interrupted_fit_is_kept_as_in_scikit_learn(Estimator, X, kind):
    settings = {**SMALL, "max_epochs": 9}
    model = make(Estimator, **settings, callbacks=[kind(4, KeyboardInterrupt)])
    with pytest.warns(UserWarning, match="interrupted by user after 3 epochs"):
        model.fit(X)
    assert model.n_epochs_ == len(model.loss_curve_) == 3
    assert not model.net_.module_.training
    assert model.transform(X).shape == (300, 4)
    model.set_params(callbacks=None).partial_fit(X)
    assert model.n_epochs_ == 4

    # Of a single pass, the steps are kept; and a loop of them ends.
    model.set_params(callbacks=[kind(5, KeyboardInterrupt)])
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(X)
    assert model.n_epochs_ == 4
    assert not model.net_.module_.training
    assert model.set_params(callbacks=None).partial_fit(X).n_epochs_ == 5


def test_an_interrupt_while_rows_are_watched(X, monkeypatch):
    """Of the epoch that it ends nothing is recorded, the least loss neither."""
    measure, calls = AutoencoderNet._validation_error, []

    def interrupted(net, batches):
        calls.append(batches)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measure(net, batches)

    monkeypatch.setattr(AutoencoderNet, "_validation_error", interrupted)
    model = DAETransformer(4, max_epochs=9, early_stopping=True, random_state=0)
    with pytest.warns(UserWarning, match="interrupted by user after 2 epochs"):
        model.fit(X)
    least = {
        name: min(record[name] for record in model.net_.history)
        for name in ("train_loss", "valid_loss")
    }
    assert model.net_.least_losses_ == least


def test_an_interrupt_waits_for_the_end_of_a_step(X, request):
    """It left the encoder a reconstruction's step ahead of the adversary's."""
    # As in a terminal: where tests run in the background, it may be ignored.
    here = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, here))
    calls = []

    def prior(n_samples, n_components, generator):
        calls.append(n_samples)
        if n_samples == 100 and calls.count(100) == 6:  # of which one tries it
            os.kill(os.getpid(), signal.SIGINT)
        return torch.randn(n_samples, n_components, generator=generator)

    settings = {**SMALL, **PLAIN, "batch_size": 100, "prior": prior}
    model = DAAETransformer(**settings)
    with pytest.warns(UserWarning, match="interrupted by user after 1 epochs"):
        model.fit(X)
    n_steps = {
        int(state["step"])
        for optimizer in model.net_.optimizer_.optimizers.values()
        for state in optimizer.state.values()
    }
    assert n_steps == {5}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("method", ["fit", "warm fit"])
def test_a_failed_fit_leaves_an_earlier_fit_usable(Estimator, X, method):
    model = make(Estimator).fit(X)
    Z, history = model.transform(X), model.history_
    model.set_params(callbacks=[Breaks(4 if method == "warm fit" else 1)])
    if method == "warm fit":
        model.set_params(warm_start=True)
    with pytest.raises(RuntimeError, match="broken"):
        getattr(model, method.split()[-1])(X if method != "fit" else X[:, :9])
    np.testing.assert_array_equal(model.transform(X), Z)
    assert model.history_ == history
    assert not model.net_.module_.training

    # It goes on as if the failed call had never been made.
    model.set_params(callbacks=None, warm_start=False).partial_fit(X)
    other = make(Estimator).fit(X).partial_fit(X)
    np.testing.assert_array_equal(weights(model), weights(other))


def test_a_failed_pass_keeps_the_steps_before(Estimator, X):
    """And nothing of the epoch that has not ended."""
    model = make(Estimator, published=True).fit(X)
    before, history = weights(model), model.history_
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(X[:, :9])
    np.testing.assert_array_equal(weights(model), before)

    with pytest.raises(RuntimeError, match="broken"):
        model.set_params(callbacks=[Breaks(3)]).partial_fit(X)
    one = make(Estimator, published=True).fit(X)
    assert model.history_ == history
    assert not model.net_.module_.training
    n_steps = {
        int(state["step"])
        for optimizer in model.net_.optimizer_.optimizers.values()
        for state in optimizer.state.values()
    }
    assert n_steps == {one.net_.n_steps_ + 1}
    assert np.abs(weights(model) - before).max() < 0.01
    assert model.set_params(callbacks=None).partial_fit(X).n_epochs_ == 3


def test_divergence_is_an_error(X):
    model = DAAETransformer(**{**SMALL, "learning_rate": 1e30})
    with pytest.raises(ValueError, match=r"diverged in epoch 1.*learning_rate"):
        model.fit(X)
    assert not hasattr(model, "net_")


def test_divergence_that_only_the_held_out_rows_show_is_an_error(X):
    """The encoder's adversarial update ends a step: no loss in training tells of it."""
    settings = {**SMALL, "max_epochs": 1, "batch_size": 300, "early_stopping": True}
    settings |= {"update": "separate", "averaging": False}
    model = DAAETransformer(**settings, adversarial_weight=1e36)
    with pytest.raises(ValueError, match=r"diverged in epoch 1.*learning_rate"):
        model.fit(X)
    assert not hasattr(model, "net_")


# --- pickles ------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_made_in_inference_mode_go_on(X, copied):
    model = DAAETransformer(**SMALL).fit(X)
    with torch.inference_mode():
        copy = copied(model)
    np.testing.assert_array_equal(copy.transform(X), model.transform(X))
    np.testing.assert_array_equal(
        weights(copy.partial_fit(X)), weights(model.partial_fit(X))
    )


@pytest.mark.parametrize("way", ["pickle", "joblib", "clone of a copy"])
def test_pickles(fitted, X, tmp_path, way):
    if way == "joblib":
        joblib.dump(fitted, tmp_path / "model.joblib")
        copy = joblib.load(tmp_path / "model.joblib")
    else:
        copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.transform(X), fitted.transform(X))
    np.testing.assert_array_equal(copy.sample(3, 0), fitted.sample(3, 0))
    assert copy.history_ == fitted.history_
    if way == "clone of a copy":
        assert not hasattr(clone(copy), "net_")
        assert clone(copy).get_params() == fitted.get_params()


def test_an_unpickled_model_goes_on_bit_for_bit(Estimator, X):
    model = make(Estimator).fit(X)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        weights(model.partial_fit(X)), weights(copy.partial_fit(X))
    )
    assert copy.encoder_ is copy.net_.model_.encoder


def test_pickles_are_small(fitted):
    """Weights, their average, what Adam keeps of each, and little else."""
    n_weights = sum(p.numel() for p in fitted.net_.module_.parameters())
    assert len(pickle.dumps(fitted)) < 4 * (2 + 2) * n_weights + 40_000

    trimmed = pickle.loads(pickle.dumps(fitted))
    trimmed.net_.trim_for_prediction()
    assert trimmed.history_ == fitted.history_
    assert len(pickle.dumps(trimmed)) < 4 * n_weights + 20_000
    trimmed = pickle.loads(pickle.dumps(trimmed))
    X = fitted.sample(5, random_state=0)
    np.testing.assert_array_equal(trimmed.transform(X), fitted.transform(X))
    with pytest.raises(ValueError, match=r"trimmed for prediction.*trimmed=False"):
        trimmed.partial_fit(X)


# --- networks of the user's own -----------------------------------------------------


def test_own_modules(Estimator, X):
    def encoder(n_features, n_components):
        return torch.nn.Sequential(
            torch.nn.Dropout(0.1), torch.nn.Linear(n_features, n_components)
        )

    settings = {**SMALL, "encoder": encoder, "decoder": torch.nn.Linear}
    own = {**settings, "discriminator": lambda k: torch.nn.Linear(k, 1)}
    state = torch.get_rng_state()
    model = make(Estimator, **own).fit(X)
    assert torch.equal(torch.get_rng_state(), state)
    assert isinstance(model.decoder_, torch.nn.Linear)
    assert model.decoder_.weight.shape == (64, 4)
    if Estimator in ADVERSARIAL:
        assert model.discriminator_.weight.shape == (1, 4)

    torch.manual_seed(5)
    again = make(Estimator, **own)
    for _ in range(2):
        again.partial_fit(X)
    np.testing.assert_array_equal(weights(model), weights(again))
    np.testing.assert_array_equal(model.transform(X), model.transform(X))


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("encoder", lambda d, k: torch.nn.Linear(d, k + 1), r"\(2, 64\) to \(2, 5\)"),
        ("decoder", lambda k, d: torch.nn.Linear(d, k), "failed with"),
        ("discriminator", lambda k: torch.nn.Flatten(0), r"\(n_samples, 1\)"),
    ],
)
def test_own_modules_of_the_wrong_shape(X, name, make, message):
    with pytest.raises(ValueError, match=rf"'{name}' gives must map.*{message}"):
        DAAETransformer(**SMALL, **{name: make}).fit(X)


def test_own_module_that_is_none(X):
    with pytest.raises(TypeError, match=r"must return a torch\.nn\.Module"):
        DAAETransformer(**SMALL, encoder=lambda d, k: "network").fit(X)


def test_own_modules_train_in_training_mode(Estimator, X):
    modes = []

    class Encoder(torch.nn.Linear):
        def forward(self, x):
            modes.append(self.training)
            return super().forward(x)

    model = make(Estimator, encoder=Encoder, early_stopping=True)
    model.fit(X)
    assert set(modes) == {True, False}  # the second where shapes and errors are taken
    modes.clear()
    model.transform(X)
    model.score(X)
    assert set(modes) == {False}


def test_frozen_and_missing_weights(Estimator, X):
    """Pretrained layers, and networks of no weights at all."""

    def encoder(d, k):
        network = torch.nn.Sequential(torch.nn.Linear(d, 8), torch.nn.Linear(8, k))
        return network.requires_grad_(False)

    model = make(Estimator, encoder=encoder, max_epochs=1).fit(X)
    before = weights(model)
    model.partial_fit(X)
    n_encoder = sum(p.numel() for p in model.encoder_.parameters())
    np.testing.assert_array_equal(weights(model)[:n_encoder], before[:n_encoder])
    assert (weights(model)[n_encoder:] != before[n_encoder:]).any()

    def nothing(d, k):
        return torch.nn.Hardtanh() if k == d else torch.nn.ZeroPad1d((0, k - d))

    settings = {**SMALL, "n_components": 64, "encoder": nothing}
    np.testing.assert_array_equal(make(Estimator, **settings).fit(X).transform(X), X)


def test_own_modules_in_threads(X):
    """Which draw from the same global generator, and do not disturb one another."""

    def encoder(d, k):
        return torch.nn.Sequential(torch.nn.Linear(d, k), torch.nn.Dropout(0.5))

    def fit():
        return weights(DAAETransformer(**SMALL, encoder=encoder).fit(X))

    alone, state = fit(), torch.get_rng_state()
    for other in joblib.Parallel(3, "threading")(joblib.delayed(fit)() for _ in "123"):
        np.testing.assert_array_equal(alone, other)
    assert torch.equal(torch.get_rng_state(), state)
