"""No training fails silently: errors where it diverges, warnings where it fails."""

import warnings

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from sklearn_daae import (
    AAETransformer,
    DAAETransformer,
    DAETransformer,
    VAETransformer,
    iDAAETransformer,
)

from .conftest import ADVERSARIAL, make, weights

DIVERGED = r"diverged in epoch \d+: a loss or a weight is no longer a finite number"


@pytest.fixture(scope="module")
def table():
    return np.random.default_rng(0).random((64, 8))


class NotANumber:
    """What was given, but for one value in the call of that number."""

    def __init__(self, n_calls=3):
        self.n_calls = n_calls

    def __call__(self, x):
        self.n_calls -= 1
        if self.n_calls == 0:
            x = x.clone()
            x.view(-1)[0] = torch.nan
        return x


def corruption(x, sigma, generator, spoil=None):
    x = x + sigma * torch.randn(x.shape, generator=generator)
    return spoil(x) if spoil else x


def spoiled(name):
    """Return parameters of which one gives a value that is not a number, once."""
    spoil = NotANumber()
    if name == "corruption":
        return {name: lambda *args: corruption(*args, spoil=spoil)}
    if name == "prior":
        draw = scipy.stats.norm().rvs

        class Prior:
            def rvs(self, size, random_state):
                z = torch.from_numpy(draw(size=size, random_state=random_state))
                return (spoil(z) if len(z) == 64 else z).numpy()

        return {name: Prior()}

    class Encoder(torch.nn.Linear):
        def forward(self, x):
            return spoil(super().forward(x)) if self.training else super().forward(x)

    return {name: Encoder}


# --- divergence ---------------------------------------------------------------------


@pytest.mark.parametrize("update", ["joint", "separate"])
def test_noise_that_overflows(table, update):
    """It ended as a model of NaN, with losses of log 2, on CPUs with AVX-512."""
    with pytest.raises(ValueError, match=DIVERGED):
        DAAETransformer(2, sigma=1e39, update=update, max_epochs=2).fit(table)


def test_noise_that_overflows_in_the_paper_s_settings(table):
    model = DAAETransformer.as_published(n_components=2, sigma=1e39, max_epochs=2)
    with pytest.raises(ValueError, match=DIVERGED):
        model.fit(table)


@pytest.mark.parametrize("name", ["corruption", "prior", "encoder"])
@pytest.mark.parametrize("settings", [{}, {"published": True}])
def test_one_value_that_is_not_a_number(X, name, settings):
    """In the third of five batches, of a part of the user's own."""
    with pytest.raises(ValueError, match=DIVERGED):
        make(DAAETransformer, **spoiled(name), **settings).fit(X)


def test_the_last_update_is_looked_at(table):
    """Every loss is taken before the weights move."""
    settings = {"learning_rate": 1e20, "max_epochs": 1, "reconstruction_loss": "mse"}
    for model in (
        DAAETransformer(2, **settings),
        DAAETransformer.as_published(n_components=2, **settings),
    ):
        with pytest.raises(ValueError, match=DIVERGED):
            model.fit(table)
        with pytest.raises(NotFittedError):
            model.transform(table)


def test_an_earlier_fit_stands(Estimator, X):
    model = make(Estimator).fit(X)
    Z, before, history = model.transform(X), weights(model), model.history_
    model.set_params(learning_rate=1e38, warm_start=True)
    with pytest.raises(ValueError, match=DIVERGED):
        model.fit(X)
    np.testing.assert_array_equal(weights(model), before)
    np.testing.assert_array_equal(model.transform(X), Z)
    assert model.history_ == history
    model.set_params(learning_rate=2e-3).partial_fit(X)
    other = make(Estimator).fit(X).partial_fit(X)
    np.testing.assert_array_equal(weights(model), weights(other))


def test_a_pass_that_diverges_leaves_no_model(Estimator, X):
    """It keeps no weights to go back to; and those that are no numbers are no model."""
    model = make(Estimator).fit(X).set_params(learning_rate=1e38)
    with pytest.raises(ValueError, match=DIVERGED):
        model.partial_fit(X)
    with pytest.raises(NotFittedError):
        model.transform(X)
    model.set_params(learning_rate=2e-3).partial_fit(X)
    other = make(Estimator).partial_fit(X)
    np.testing.assert_array_equal(weights(model), weights(other))


# --- what has come out wrong ----------------------------------------------------------


def test_a_training_that_works_says_nothing(Estimator, X):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = Estimator(4, random_state=0, device="cpu")
        if Estimator is AAETransformer:
            # With nothing to blur the codes of so few rows, they need more of a pull.
            model.set_params(adversarial_weight=0.3)
        model.fit(X)


def test_codes_that_carry_nothing(X):
    def nothing(d, k):
        network = torch.nn.Linear(d, k)
        torch.nn.init.zeros_(network.weight)
        return network.requires_grad_(False)

    for Estimator in (DAETransformer, DAAETransformer):
        with pytest.warns(ConvergenceWarning, match="codes carry nothing.*variance"):
            make(Estimator, encoder=nothing).fit(X)
    with pytest.warns(ConvergenceWarning, match=r"codes carry nothing.*Lower beta"):
        make(VAETransformer, beta=1e4, max_epochs=60).fit(X)


def test_reconstructions_no_better_than_the_mean(X):
    with pytest.warns(ConvergenceWarning, match="no better than.*max_epochs"):
        DAETransformer.as_published(max_epochs=1, random_state=0).fit(X[:100])


@pytest.mark.parametrize("Estimator", ADVERSARIAL)
def test_a_prior_that_is_lost(X, Estimator):
    far = scipy.stats.norm(loc=30)
    with pytest.warns(ConvergenceWarning, match="away from the prior.*joint"):
        make(Estimator, prior=far, published=True, max_epochs=20).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        # As it was asked for.
        make(Estimator, prior=far, adversarial_weight=0, max_epochs=20).fit(X)


def test_a_single_pass_is_no_training_that_failed(X):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        make(AAETransformer, published=True).partial_fit(X)
        make(iDAAETransformer).partial_fit(X[:20])
