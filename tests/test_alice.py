"""ALICE: its losses are those of its equations, and its cycle is what brings x back."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from torch.nn.functional import softplus

from sklearn_daae import ALICETransformer
from sklearn_daae.metrics import prior_distance, reconstruction_error

from .conftest import PLAIN, make, weights

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
CYCLES = "explicit", "adversarial"


def ones(n_samples, n_components, generator):
    return torch.ones(n_samples, n_components)


@pytest.fixture
def still(X, monkeypatch):
    """Return what fits a model that takes one step, too small to see, without noise."""
    monkeypatch.setattr("torch.exp", torch.zeros_like)
    settings = {"batch_size": len(X), "max_epochs": 1, "learning_rate": 1e-12}
    settings |= {**PLAIN, "averaging": False, "prior": ones}

    def fit(**params):
        return make(ALICETransformer, **settings, **params).fit(X)

    return fit


@pytest.mark.parametrize("adversarial_loss", ["non_saturating", "minimax"])
@pytest.mark.parametrize("cycle_loss", CYCLES)
def test_its_losses(X, still, cycle_loss, adversarial_loss):
    model = still(cycle_loss=cycle_loss, adversarial_loss=adversarial_loss)
    x = torch.from_numpy(X.copy())
    z, z_real = model.encoder_(x)[:, :4], torch.ones(len(x), 4)
    x_fake, x_hat = (torch.sigmoid(model.decoder_(code)) for code in (z_real, z))

    def game(judge, real, fake):
        """Return the losses of a discriminator, and of who takes `fake` for `real`."""
        real, fake = judge(torch.cat(real, 1)), judge(torch.cat(fake, 1))
        loss = softplus(-real).mean() + softplus(fake).mean()
        deceived = softplus(-fake) if adversarial_loss[0] == "n" else -softplus(fake)
        reverse = softplus(real) if adversarial_loss[0] == "n" else -softplus(-real)
        return loss, deceived.mean(), reverse.mean()

    loss, deceived, reverse = game(model.discriminator_, (x_fake, z_real), (x, z))
    bce = -(x * x_hat.log() + (1 - x) * (1 - x_hat).log()).mean()
    expected = {
        "reconstruction_loss": bce,
        "discriminator_loss": loss,
        "adversarial_loss": deceived + reverse,
    }
    if cycle_loss == "adversarial":
        judge = model.net_.model_.cycle_discriminator
        expected["cycle_discriminator_loss"], expected["cycle_loss"], _ = game(
            judge, (x, x), (x, x_hat)
        )
    (record,) = model.history_
    assert list(record) == list(expected)
    for name, value in expected.items():
        assert record[name] == pytest.approx(value.item(), rel=1e-4), name


def test_the_cycle_brings_rows_back(X):
    """Without it, as in ALI, nothing ties a row to its reconstruction."""
    settings = {"n_components": 8, "max_epochs": 40, **PLAIN}
    errors = {
        weight: reconstruction_error(
            make(ALICETransformer, cycle_weight=weight, **settings).fit(X), X
        )
        for weight in (0.0, 10.0)
    }
    assert errors[10.0] < 0.7 * errors[0.0]


def test_codes_follow_the_prior(X):
    model = make(ALICETransformer, max_epochs=100).fit(X)
    assert prior_distance(model, X, random_state=0) < 0.4
    shifted = make(ALICETransformer, max_epochs=100, prior=ones_and_noise).fit(X)
    np.testing.assert_allclose(shifted.transform(X).mean(0), 1, atol=0.3)


def ones_and_noise(n_samples, n_components, generator):
    return 1 + torch.randn(n_samples, n_components, generator=generator)


@pytest.mark.parametrize("cycle_loss", CYCLES)
def test_each_network_learns(X, cycle_loss):
    """By an update of its own; the second discriminator at the rate of the first."""
    settings = {"cycle_loss": cycle_loss, "averaging": False, "max_epochs": 1}
    model = make(ALICETransformer, **settings, discriminator_learning_rate=3e-4).fit(X)
    start = make(ALICETransformer, **settings, learning_rate=1e-12)
    start.set_params(discriminator_learning_rate=1e-12).fit(X)
    ends = (dict(m.net_.module_.named_parameters()) for m in (model, start))
    for (name, end), begin in zip(*(e.items() for e in ends), strict=True):
        assert not torch.equal(end, begin[1]), name
    optimizers = model.net_.optimizer_.optimizers
    assert len(optimizers) == (2 if cycle_loss == "explicit" else 3)
    for name, optimizer in optimizers.items():
        rate = 3e-4 if name.endswith("discriminator") else 2e-3
        assert optimizer.param_groups[0]["lr"] == rate


def test_ways_of_taking_steps_agree(X, monkeypatch):
    """Also of an adversarial cycle, which has a network more."""
    settings = {"cycle_loss": "adversarial", "averaging": False, "max_epochs": 3}
    settings["optimizer"] = "adam", {"eps": 1e-3}
    ends = []
    for step in ("plain", "cpu"):
        monkeypatch.setenv("SKLEARN_DAAE_STEP", step)
        ends.append(weights(make(ALICETransformer, **settings).fit(X)))
    np.testing.assert_allclose(*ends, atol=1e-4)


def test_it_goes_on_from_a_pickle(X):
    model = make(ALICETransformer, cycle_loss="adversarial").fit(X)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        weights(loaded.partial_fit(X)), weights(model.partial_fit(X))
    )
    with pytest.raises(ValueError, match="cycle_loss"):
        model.set_params(cycle_loss="explicit").partial_fit(X)


def test_a_discriminator_of_ones_own_judges_pairs(X):
    sizes = []

    def discriminator(n):
        sizes.append(n)
        return torch.nn.Linear(n, 1)

    model = make(ALICETransformer, discriminator=discriminator).fit(X)
    assert set(sizes) == {64 + 4}
    assert isinstance(model.discriminator_, torch.nn.Linear)
    with pytest.raises(ValueError, match=r"\(n_samples, 68\) to \(n_samples, 1\)"):
        clone(model).set_params(discriminator=lambda n: torch.nn.Linear(4, 1)).fit(X)


@pytest.mark.parametrize("cycle_loss", CYCLES)
def test_what_is_missing_is_estimated(cycle_loss):
    """A column that is another one, too, is not taken for its mean."""
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 2)) @ random.normal(size=(2, 6))
    X = np.column_stack([X, X[:, 0]])
    missing = random.random(len(X)) < 0.5
    damaged = X.copy()
    damaged[missing, 6] = np.nan
    settings = {"missing_values": "mask", "cycle_loss": cycle_loss, "max_epochs": 60}
    model = make(ALICETransformer, **settings, n_components=2).fit(damaged)
    found, truth = model.reconstruct(damaged)[missing, 6], X[missing, 6]
    assert np.square(found - truth).mean() < 0.5 * truth.var()


def test_weights_of_the_cycle(X, still):
    """Of both kinds of pairs: as of rows that are there as often."""
    weight = np.random.default_rng(0).integers(1, 9, len(X))
    losses = [
        clone(still(cycle_loss="adversarial"))
        .fit(rows, sample_weight=own)
        .history_[0]["cycle_discriminator_loss"]
        for rows, own in ((X, weight), (np.repeat(X, weight, axis=0), None))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
def test_a_match_that_is_lost_is_told(X):
    with pytest.warns(ConvergenceWarning, match=r"away from the prior.*cycle_weight"):
        make(ALICETransformer, cycle_weight=1e6, max_epochs=60).fit(X)


def far_off(n_samples, n_components, generator):
    return 50 + torch.rand(n_samples, n_components, generator=generator)


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_a_prior_far_off_is_no_failure(X):
    make(ALICETransformer, prior=far_off, max_epochs=60).fit(X)


@pytest.mark.parametrize(
    ("name", "value"), [("cycle_loss", "l2"), ("cycle_weight", -1.0)]
)
def test_bad_parameters(X, name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of ALICETransformer"):
        make(ALICETransformer, **{name: value}).fit(X)
