"""Priors by name, by distribution and by callable; and what they do to the codes."""

import pickle
import random

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.datasets import load_digits

from sklearn_daae import (
    AAETransformer,
    DAETransformer,
    VAETransformer,
    iDAAETransformer,
)
from sklearn_daae.metrics import prior_distance

from .conftest import ADVERSARIAL, SMALL, VARIATIONAL, make, weights


def draws(prior, n_components=2, n_samples=4000, random_state=0):
    """Draw from the prior of a fitted model, whose decoder is the identity."""
    X = np.zeros((4, n_components), dtype=np.float32)
    model = AAETransformer(
        **{**SMALL, "n_components": n_components, "max_epochs": 1},
        prior=prior,
        reconstruction_loss="mse",
        decoder=lambda k, d: torch.nn.Identity(),
    ).fit(X)
    return model.sample(n_samples, random_state=random_state)


def assert_distributed(z, cdf):
    """Every component follows the distribution, by Kolmogorov and Smirnov."""
    for component in np.transpose(z):
        assert scipy.stats.kstest(component, cdf).pvalue > 1e-3


def test_normal():
    z = draws("normal", n_components=3)
    assert_distributed(z, scipy.stats.norm.cdf)
    assert abs(np.corrcoef(z.T) - np.eye(3)).max() < 0.06


def test_uniform():
    z = draws("uniform", n_components=3)
    assert_distributed(z, scipy.stats.uniform(-1, 2).cdf)
    assert abs(np.corrcoef(z.T) - np.eye(3)).max() < 0.06
    z = draws(("uniform", {"low": 2, "high": 5}))
    assert_distributed(z, scipy.stats.uniform(2, 3).cdf)


@pytest.mark.parametrize(
    ("prior", "n_modes", "radius", "scale"),
    [
        ("ring", 10, 4, 0.5),
        (("ring", {"n_modes": 3, "radius": 10.0, "scale": 0.1}), 3, 10, 0.1),
        (["ring", {"radius": 4 * np.sqrt(2)}], 10, 4 * np.sqrt(2), 0.5),
    ],
)
def test_ring(prior, n_modes, radius, scale):
    z = draws(prior)
    angles = 2 * np.pi * np.arange(n_modes) / n_modes
    means = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # Each draw without its own mode's mean: by angle, turned to the first of them.
    nearest = ((z[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    shares = np.bincount(nearest, minlength=n_modes) / len(z)
    np.testing.assert_allclose(shares, 1 / n_modes, atol=0.025)
    # Exact over all draws, whatever mode each comes from.
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=4 * radius / len(z) ** 0.5)
    second_moment = radius**2 / 2 + scale**2
    np.testing.assert_allclose((z**2).mean(axis=0), second_moment, rtol=0.05)
    radial = np.linalg.norm(z, axis=1)
    assert radial.std() == pytest.approx(scale, rel=0.1)


def test_ring_of_a_single_component():
    z = draws("ring", n_components=1)
    assert (z**2).mean() == pytest.approx(8.25, rel=0.05)


class Moons:
    """Two half circles: a sampler of a user's own."""

    def rvs(self, size=1, random_state=None):
        rng = np.random.default_rng(random_state)
        t = np.pi * rng.random(size)
        side = rng.integers(2, size=size)
        x = np.cos(t) + side
        return np.stack([x, np.where(side, -np.sin(t), np.sin(t))], axis=1)


def banana(n_samples, n_components, generator):
    """Draw by torch: a callable of a user's own."""
    z = torch.randn(
        n_samples, n_components, generator=generator, device=generator.device
    )
    z[:, 1] += z[:, 0] ** 2
    return z


COVARIANCE = np.array([[1.0, 0.6], [0.6, 2.0]])
OWN = {
    "frozen": scipy.stats.laplace(loc=1),
    "multivariate": scipy.stats.multivariate_normal([3, -1], COVARIANCE),
    "kde": scipy.stats.gaussian_kde(np.random.default_rng(0).normal(size=(2, 50))),
    "rvs": Moons(),
    "as many as components": scipy.stats.norm(loc=[0, 5]),
    "callable": banana,
    "callable of numpy": lambda n, k, generator: np.full((n, k), 0.5),
}


def test_frozen_distribution_is_that_of_each_component():
    assert_distributed(draws(OWN["frozen"], 3), scipy.stats.laplace(loc=1).cdf)
    z = draws(scipy.stats.norm(loc=[0, 5, 9]), 3)
    np.testing.assert_allclose(z.mean(axis=0), [0, 5, 9], atol=0.1)
    # A single sample, and one of a single component.
    assert draws(OWN["frozen"], 3, n_samples=1).shape == (1, 3)
    z = draws(scipy.stats.multivariate_normal([0.0], [[4.0]]), 1)
    assert_distributed(z, scipy.stats.norm(scale=2).cdf)


def test_multivariate_distribution():
    z = draws(OWN["multivariate"])
    np.testing.assert_allclose(z.mean(axis=0), [3, -1], atol=0.1)
    np.testing.assert_allclose(np.cov(z.T), COVARIANCE, atol=0.15)
    assert draws(OWN["multivariate"], n_samples=1).shape == (1, 2)


def test_kernel_density():
    kde = OWN["kde"]
    z = draws(kde)
    np.testing.assert_allclose(z.mean(axis=0), kde.dataset.mean(axis=1), atol=0.1)
    expected = kde.covariance + np.cov(kde.dataset, bias=True)
    np.testing.assert_allclose(np.cov(z.T), expected, atol=0.15)


def test_own_samplers():
    z = draws(OWN["rvs"])
    centred = z - np.where(z[:, 1:] < 0, [[1, 0]], [[0, 0]])
    np.testing.assert_allclose(np.linalg.norm(centred, axis=1), 1, atol=1e-6)
    z = draws(OWN["callable"])
    assert np.corrcoef(z[:, 0] ** 2, z[:, 1])[0, 1] > 0.7
    assert (draws(OWN["callable of numpy"], 5) == 0.5).all()


@pytest.mark.parametrize("kind", OWN)
def test_own_priors_repeat_and_touch_no_global_generator(kind, X):
    settings = {"n_components": 2, "prior": OWN[kind]}
    states = torch.get_rng_state(), np.random.get_state()[1].tobytes()
    models = [make(iDAAETransformer, **settings).fit(X) for _ in range(2)]
    models[1].partial_fit(X)
    models[0].partial_fit(X)
    np.testing.assert_array_equal(*map(weights, models))
    np.testing.assert_array_equal(*(m.sample(5, 3) for m in models))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tobytes() == states[1]
    if kind != "callable of numpy":
        copy = pickle.loads(pickle.dumps(models[0]))
        np.testing.assert_array_equal(copy.sample(5, 3), models[0].sample(5, 3))


def test_a_prior_may_draw_from_global_generators(X):
    """Which are seeded for it, in training as in sampling, and put back."""

    def prior(n, k, generator):
        z = torch.randn(n, k) + torch.tensor(np.random.normal(size=(n, k)))
        return z + random.random()

    models = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        models.append(make(AAETransformer, prior=prior).fit(X))
        samples = models[0].sample(5, 3)
        np.testing.assert_array_equal(models[0].sample(5, 3), samples)
        assert (models[0].sample(5, 4) != samples).any()
    np.testing.assert_array_equal(*map(weights, models))


# --- refusals ------------------------------------------------------------------------


class NeedsData:
    def rvs(self, size, random_state):
        raise RuntimeError("not fitted yet")


class Transposed:
    def rvs(self, size, random_state):
        return np.zeros((4, size))


BAD_PRIORS = [
    ("cauchy", "'normal', 'uniform', 'ring'"),
    (("ring", {"n_modes": 8}, 3), "a pair of one and its options"),
    (("ring", {"sd": 1}), "unknown option 'sd'. It takes: n_modes, radius, scale"),
    (("normal", {"loc": 1}), "unknown option 'loc'. It takes none"),
    (("ring", {"n_modes": 0}), "n_modes must be an integer from 1 up"),
    (("ring", {"n_modes": 2.5}), "n_modes must be an integer from 1 up"),
    (("ring", {"scale": -1}), "radius and scale must not be negative"),
    (("uniform", {"low": 2}), "low must be a number less than high"),
    (None, "prior=None is not known.*rvs.*prior\\(n_samples, n_components, generator"),
    ("ring", "n_components=4: the ring lies in a plane"),
    (scipy.stats.multivariate_normal([0, 0]), r"shape \(100, 2\) where \(100, 4\)"),
    (lambda n, k, generator: torch.zeros(n, 3), r"shape \(100, 3\) where \(100, 4\)"),
    (lambda n, k, generator: torch.zeros(n, k) / 0, "not finite"),
    (("uniform", {"low": np.nan}), "low must be a number"),
    (lambda n: torch.zeros(n, 4), "cannot be drawn from.*positional"),
    (NeedsData(), r"not fitted yet.*called as rvs\(size=..., random_state=...\)"),
    (Transposed(), r"\(4, 100\) where \(100, 4\)"),
    (lambda n, k, generator: torch.zeros(n, k)[:10], r"\(10, 4\) where \(100, 4\)"),
    (lambda n, k, generator: "codes", "cannot be drawn from"),
    (lambda n, k, generator: np.full((n, k), None), "cannot be drawn from"),
]


@pytest.mark.parametrize(("prior", "message"), BAD_PRIORS)
@pytest.mark.parametrize("Estimator", ADVERSARIAL)
def test_bad_priors(Estimator, X, prior, message):
    model = make(Estimator, prior=prior)
    for method in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=message):
            method(X)
    assert not hasattr(model, "net_")

    fitted = make(Estimator).fit(X)
    before, samples = weights(fitted), fitted.sample(3, 0)
    with pytest.raises(ValueError, match=message):
        fitted.set_params(prior=prior).partial_fit(X)
    np.testing.assert_array_equal(weights(fitted), before)
    np.testing.assert_array_equal(fitted.sample(3, 0), samples)


def test_a_prior_that_fails_late_is_undone(X):
    """Of its training, too, and with a message that says whose fault it is."""
    calls = []

    def prior(n, k, generator):
        calls.append(n)
        return torch.zeros(n if len(calls) < 5 else 1, k)

    model = make(AAETransformer).fit(X)
    before, samples = weights(model), model.sample(3, 0)
    message = r"prior=.* codes of shape \(1, 4\) where \(64, 4\) is needed"
    with pytest.raises(ValueError, match=message):
        model.set_params(prior=prior, warm_start=True).fit(X)
    np.testing.assert_array_equal(weights(model), before)
    np.testing.assert_array_equal(model.sample(3, 0), samples)


def test_goes_on_with_another_prior(X):
    """Which is then the one that is sampled."""
    settings = {"n_components": 64, "reconstruction_loss": "mse"}
    decoder = {"decoder": lambda k, d: torch.nn.Identity()}
    model = make(AAETransformer, **settings, **decoder).fit(X)
    assert abs(model.sample(100, 0)).max() > 2
    model.set_params(prior="uniform").partial_fit(X)
    assert abs(model.sample(100, 0)).max() < 1


def test_a_named_prior_leaves_the_global_generators_to_other_threads(X, monkeypatch):
    """It does not even seed them and put them back."""

    def refuse(*args):
        raise AssertionError("the global generators were borrowed")

    monkeypatch.setattr("sklearn_daae._random.borrowed_global_generator", refuse)
    model = make(AAETransformer, prior="uniform").fit(X).partial_fit(X)
    assert model.sample(3).shape == (3, 64)


@pytest.mark.parametrize("prior", ["uniform", "cauchy", scipy.stats.norm(), None])
@pytest.mark.parametrize("Estimator", VARIATIONAL)
def test_variational_models_need_the_standard_normal(Estimator, X, prior):
    with pytest.raises(ValueError, match=r"prior=.* 'normal' .*closed form.*AAETrans"):
        make(Estimator, prior=prior).fit(X)


# --- what it is for ------------------------------------------------------------------


def sliced_wasserstein(A, B, n_projections=100):
    """Root mean squared distance of quantiles, over random directions."""
    directions = np.random.default_rng(0).normal(size=(A.shape[1], n_projections))
    directions /= np.linalg.norm(directions, axis=0)
    difference = np.sort(A @ directions, axis=0) - np.sort(B @ directions, axis=0)
    return np.sqrt((difference**2).mean())


@pytest.mark.parametrize("prior", ["normal", "uniform", "ring"])
def test_codes_match_the_prior(prior):
    """At least twice as well as those of a denoising autoencoder, which has none."""
    X = (load_digits().data / 16).astype(np.float32)
    settings = {
        "n_components": 2 if prior == "ring" else 4,
        "sigma": 0.25,
        "encoder_layer_sizes": (128, 128),
        "decoder_layer_sizes": (128, 128),
        "discriminator_layer_sizes": (128, 128),
        "learning_rate": 1e-3,
        "max_epochs": 60,
        "adversarial_weight": 0.3 if prior == "ring" else 0.1,
    }
    models = {
        E.__name__: make(E, **settings, prior=prior).fit(X)
        for E in (DAETransformer, *ADVERSARIAL)
    }
    z = draws(prior, settings["n_components"], len(X))
    for name, model in models.items():
        # The DAAE matches codes of corrupted samples, the others those of clean ones.
        x = model.corrupt(X, random_state=0) if name == "DAAETransformer" else X
        Z, unmatched = model.transform(x), models["DAETransformer"].transform(x)
        if name == "DAETransformer":
            continue
        assert sliced_wasserstein(Z, z) < sliced_wasserstein(unmatched, z) / 2, name
        if prior == "ring":
            angles = np.arange(10) * 2 * np.pi / 10
            means = 4 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
            nearest = ((Z[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
            shares = np.bincount(nearest, minlength=10) / len(Z)
            assert (shares > 0.02).sum() >= 8, name


def test_the_divergence_draws_codes_to_the_prior(X):
    """More so, the more it weighs."""
    spreads = []
    for beta in (0.01, 1, 10):
        model = make(VAETransformer, beta=beta, max_epochs=40).fit(X)
        spreads.append(model.history_[-1]["kl_divergence"])
    assert spreads[0] > 2 * spreads[1] > 4 * spreads[2]


def test_a_prior_whose_draws_have_a_gradient(X):
    """As of a module, whose weights are the user's business."""
    mean = torch.zeros(4, requires_grad=True)

    def prior(n, k, generator):
        return torch.randn(n, k, generator=generator) + mean

    model = make(AAETransformer, prior=prior).fit(X)
    assert np.isfinite(prior_distance(model, X, random_state=0))
    assert mean.grad is None
