"""Corruption processes, by name and by callable."""

import numpy as np
import pytest
import torch

from sklearn_daae import DAAETransformer, DAETransformer, iDAAETransformer

from .conftest import ESTIMATORS, make, weights

CORRUPTING = [E for E in ESTIMATORS if "sigma" in E().get_params()]


@pytest.fixture
def ones():
    """Return pixels that are neither 0 nor 1."""
    return np.full((300, 64), 0.5, dtype=np.float32)


def corrupted(X, **params):
    params = {"scaling": None, "max_epochs": 1, **params}
    return make(DAETransformer, **params).fit(X).corrupt(X, 0)


def test_gaussian(ones):
    noise = corrupted(ones, sigma=0.3) - ones
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(0.3, rel=0.02)
    assert abs(np.corrcoef(noise, rowvar=False) - np.eye(64)).max() < 0.3
    assert (ones + noise).min() < 0  # not clipped


@pytest.mark.parametrize("sigma", [0.25, 1])
def test_masking(ones, sigma):
    x_tilde = corrupted(ones, corruption="masking", sigma=sigma)
    assert set(np.unique(x_tilde)) <= {0, 0.5}
    assert (x_tilde == 0).mean() == pytest.approx(sigma, abs=0.015)
    # Each feature by itself, in every sample.
    assert abs((x_tilde == 0).mean(axis=0) - sigma).max() < 0.12


@pytest.mark.parametrize("sigma", [0.25, 1])
def test_salt_and_pepper(ones, sigma):
    x_tilde = corrupted(ones, corruption="salt_and_pepper", sigma=sigma)
    assert set(np.unique(x_tilde)) <= {0, 0.5, 1}
    assert (x_tilde == 0).mean() == pytest.approx(sigma / 2, abs=0.015)
    assert (x_tilde == 1).mean() == pytest.approx(sigma / 2, abs=0.015)


def blur(x, sigma, generator):
    """Mix each feature with its neighbour, as far as chance has it."""
    share = sigma * torch.rand(len(x), 1, generator=generator, device=x.device)
    return (1 - share) * x + share * x.roll(1, dims=1)


def in_place(x, sigma, generator):
    return x.mul_(1 - sigma)


@pytest.mark.parametrize("corruption", [blur, in_place, "masking", "salt_and_pepper"])
@pytest.mark.parametrize("Estimator", CORRUPTING)
def test_a_corruption_is_used_throughout(Estimator, X, corruption):
    """In training, and in every method that corrupts; and it repeats when seeded."""
    settings = {"corruption": corruption, "sigma": 0.4}
    clean = X.copy()
    model = make(Estimator, **settings).fit(clean)
    np.testing.assert_array_equal(clean, X)
    again = make(Estimator, **settings).partial_fit(X).partial_fit(X)
    np.testing.assert_array_equal(weights(model), weights(again))
    assert (weights(model) != weights(make(Estimator, sigma=0.4).fit(X))).any()

    X_tilde = model.corrupt(X, random_state=0)
    assert X_tilde.shape == X.shape
    assert (X_tilde != X).any()
    np.testing.assert_allclose(
        model.reconstruct(X, corrupt=True, random_state=0),
        model.reconstruct(X_tilde),
        atol=1e-6,
    )
    if corruption == in_place:
        np.testing.assert_allclose(X_tilde, 0.6 * X, atol=1e-6)
    chain = model.sample(4, 0, n_steps=2, return_chain=True)
    np.testing.assert_array_equal(chain[-1], model.sample(4, 0, n_steps=2))


def test_the_clean_samples_are_what_is_reconstructed(X):
    """Also from a corruption that writes into what it is given."""
    out_of_place = make(DAAETransformer, corruption=lambda x, s, g: x * (1 - s)).fit(X)
    model = make(DAAETransformer, corruption=in_place).fit(X)
    np.testing.assert_array_equal(weights(model), weights(out_of_place))


def test_integration_draws_are_independent(X):
    """M corruptions of each sample, each of its own, in one call on M * n rows."""
    calls = []

    def watched(x, sigma, generator):
        x_tilde = x + sigma * torch.randn(x.shape, generator=generator)
        calls.append((x.clone(), x_tilde))
        return x_tilde

    settings = {"corruption": watched, "max_epochs": 1, "batch_size": 300, "M": 3}
    make(iDAAETransformer, **settings).fit(X)
    repeated, thrice = max(calls, key=lambda call: len(call[0]))
    assert len(thrice) == 900
    torch.testing.assert_close(repeated, repeated[:300].repeat(3, 1))
    noise = (thrice - repeated).unflatten(0, (3, 300))
    assert abs(torch.corrcoef(noise.flatten(1)) - torch.eye(3)).max() < 0.03


def test_a_corruption_may_draw_from_the_global_generator(X):
    """Which is seeded for it, and put back."""

    def careless(x, sigma, generator):
        return x + sigma * torch.randn_like(x)

    models = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        model = make(DAAETransformer, corruption=careless).fit(X)
        X_tilde = model.corrupt(X, random_state=5)
        np.testing.assert_array_equal(model.corrupt(X, random_state=5), X_tilde)
        model.sample(3)
        assert torch.equal(torch.get_rng_state(), state)
        models.append(model)
    np.testing.assert_array_equal(*map(weights, models))


def test_what_a_corruption_returns_is_made_a_float32_tensor(X):
    """Such as what numpy makes of it, or a network."""

    def by_numpy(x, sigma, generator):
        return x.numpy().astype(float) * (1 - sigma)

    model = make(DAAETransformer, corruption=by_numpy, sigma=0.5).fit(X)
    other = make(DAAETransformer, corruption=in_place, sigma=0.5).fit(X)
    np.testing.assert_array_equal(weights(model), weights(other))

    class Layer(torch.nn.Dropout):
        def forward(self, x, sigma, generator):
            return super().forward(x)

    layer = make(DAAETransformer, corruption=Layer(0.5)).fit(X)
    np.testing.assert_array_equal(layer.corrupt(X, 0), layer.corrupt(X, 0))
    assert (layer.corrupt(X, 0) == 0).mean() > (X == 0).mean() + 0.1


def test_a_corruption_of_the_wrong_shape_is_told_of_late_as_well(X):
    def fragile(x, sigma, generator):
        return x if len(x) == 2 else x[:1]

    with pytest.raises(ValueError, match=r"corruption=.*\(64, 64\) it returned"):
        make(DAAETransformer, corruption=fragile).fit(X)


def test_goes_on_with_another_corruption(X):
    model = make(DAAETransformer).fit(X)
    model.set_params(corruption="masking", sigma=0.9).partial_fit(X)
    assert (model.corrupt(X, 0) == 0).mean() > 0.9


# --- levels, and what names have come later -----------------------------------------


def levels_in_training(X, **params):
    """Return the noise of each row of a batch in training, as a standard deviation."""
    model = make(DAETransformer, max_epochs=1, scaling=None, **params).fit(X)
    x = torch.from_numpy(X)
    generator = torch.Generator().manual_seed(0)
    corruption = model.net_.objective.corruption
    return (corruption(x, generator, in_training=True) - x).square().mean(1).sqrt()


def test_half_of_the_rows_have_less_noise():
    X = np.zeros((4000, 100), dtype=np.float32)
    fixed = levels_in_training(X, corruption_level="fixed")
    assert fixed.mean() == pytest.approx(0.5, rel=0.01)
    assert fixed.min() > 0.3
    mixed = levels_in_training(X).numpy()
    assert (mixed > 0.4).mean() == pytest.approx(0.5 + 0.5 * 0.2, abs=0.03)
    below = np.histogram(mixed[mixed < 0.4], bins=4, range=(0, 0.4))[0]
    np.testing.assert_allclose(below / len(X), 0.1, atol=0.02)


@pytest.mark.parametrize("Estimator", CORRUPTING)
def test_outside_of_training_all_rows_are_at_sigma(Estimator):
    X = np.random.default_rng(0).normal(size=(500, 200))
    model = make(Estimator, max_epochs=1, sigma=0.3).fit(X)
    noise = (model.corrupt(X, 0) - X) / model.scaling_.scale
    assert noise.std(axis=1).min() > 0.24


def test_a_level_for_each_feature(X):
    sigma = np.linspace(0, 1, 64)
    noise = corrupted(X, sigma=sigma) - X
    np.testing.assert_allclose(noise.std(axis=0), sigma, atol=0.1)
    assert (noise[:, 0] == 0).all()
    hidden = corrupted(np.full((300, 64), 0.5), corruption="masking", sigma=[*sigma])
    np.testing.assert_allclose((hidden == 0).mean(axis=0), sigma, atol=0.1)
    model = make(DAAETransformer, sigma=sigma).fit(X)
    again = make(DAAETransformer, sigma=sigma.tolist()).fit(X)
    np.testing.assert_array_equal(weights(model), weights(again))
    nothing = make(DAAETransformer, sigma=[0] * 64).fit(X)
    np.testing.assert_array_equal(nothing.corrupt(X), X)


def test_noise_that_is_clipped(X):
    x_tilde = corrupted(X, corruption=("gaussian", {"clip": True}))
    assert x_tilde.min() == 0
    assert x_tilde.max() == 1
    table = np.random.default_rng(0).normal(size=(300, 3)) * [1, 10, 100]
    settings = {"corruption": ("gaussian", {"clip": True}), "scaling": "auto"}
    x_tilde = corrupted(table, **settings, sigma=5)
    np.testing.assert_allclose(x_tilde.min(axis=0), table.min(axis=0), rtol=1e-5)
    np.testing.assert_allclose(x_tilde.max(axis=0), table.max(axis=0), rtol=1e-5)


def test_salt_and_pepper_of_standardised_features():
    table = np.random.default_rng(0).normal(size=(300, 3)) * [1, 10, 100] + 5
    settings = {"corruption": "salt_and_pepper", "sigma": 0.4, "scaling": "auto"}
    x_tilde = corrupted(table, **settings)
    for ends in (table.min(axis=0), table.max(axis=0)):
        share = np.isclose(x_tilde, ends, rtol=1e-4).mean(axis=0)
        np.testing.assert_allclose(share, 0.2, atol=0.08)


def test_swap():
    """Values of other rows, of the same feature."""
    X = np.arange(300.0)[:, None] + 1000 * np.arange(64)
    x_tilde = corrupted(X, corruption="swap", sigma=0.3)
    assert (x_tilde // 1000 == np.arange(64)).all()
    assert (x_tilde != X).mean() == pytest.approx(0.3, abs=0.02)
    others = corrupted(X, corruption="swap", sigma=1)
    assert (others != X).all()
    assert np.ptp((others - X) % 300, axis=0).min() > 200
    model = make(DAETransformer, corruption="swap").fit(X)
    np.testing.assert_array_equal(model.corrupt(X[:1]), X[:1].astype(np.float32))


@pytest.mark.parametrize("shape", [(1, 24, 24), (3, 20, 30)])
def test_moved(shape):
    """A disc moves by no more than it is told to, in all of its channels alike."""
    n_channels, height, width = shape
    row, column = np.mgrid[:height, :width]
    disc = np.hypot(row - height / 2 + 0.5, column - width / 2 + 0.5) < 6
    X = np.tile(disc.astype(np.float32), (200, n_channels, 1, 1)).reshape(200, -1)
    options = {"shift": 0.1, "degrees": 0, "stretch": 0}
    settings = {"image_shape": shape, "sigma": 0, "corruption": ("moved", options)}
    images = corrupted(X, **settings).reshape(-1, *shape)
    np.testing.assert_allclose(images[:, 0], images[:, -1], atol=1e-6)
    mass = images[:, 0].sum(axis=(1, 2))
    np.testing.assert_allclose(mass, disc.sum(), rtol=0.02)
    for axis, side in ((1, height), (2, width)):
        profile = images[:, 0].sum(axis=3 - axis)
        centre = (profile * (np.arange(side) + 0.5)).sum(axis=1) / mass
        moves = (centre - side / 2) / side
        assert 0.09 < abs(moves).max() < 0.105
        assert abs(moves.mean()) < 0.02

    # Turned alone, a disc stays a disc, also in an image that is no square.
    turned = {"shift": 0, "degrees": 90, "stretch": 0}
    settings["corruption"] = ("moved", turned)
    images = corrupted(X, **settings).reshape(-1, *shape)
    assert abs(images - X.reshape(images.shape)).mean() < 0.02
    settings["corruption"] = ("moved", {"shift": 0, "degrees": 0, "stretch": 0.2})
    sizes = corrupted(X, **settings).reshape(-1, *shape)[:, 0].sum(axis=(1, 2))
    growth = np.log(sizes / disc.sum()) / 2  # of the sides
    assert 0.19 < growth.max() < 0.21
    assert -0.21 < growth.min() < -0.19
    assert growth.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.1)
    assert make(DAAETransformer, **{**settings, "sigma": 0.5}).fit(X).n_epochs_ == 2


BAD_CORRUPTIONS = [
    ({"corruption": "blur"}, "'gaussian', 'masking', 'salt_and_pepper'"),
    ({"corruption": "masking", "sigma": 1.5}, r"sigma=1.5 must be at most 1.*masking"),
    ({"corruption": "salt_and_pepper", "sigma": 2}, "sigma=2 must be at most 1"),
    ({"corruption": lambda x: x}, r"called as corruption\(x, sigma, .*positional"),
    (
        {"corruption": lambda x, s, g: x[:, 1:]},
        r"\(2, 64\) it returned the shape \(2, 63\)",
    ),
    ({"corruption": lambda x, s, g: x * np.nan}, "values that are not finite"),
    ({"corruption": lambda x, s, g: x.add_(1) and None}, "failed with.*ambiguous"),
    ({"corruption": lambda x, s, g: None}, "it returned None"),
    ({"corruption": None}, "'gaussian', 'masking', 'salt_and_pepper'"),
    ({"corruption": ("gaussian", {"f": 1})}, "unknown option 'f'. It takes: clip"),
    ({"corruption": ("moved", {"shift": "a"})}, "a number from 0 up as 'shift'"),
    ({"corruption": "moved"}, r"needs image_shape=\(channels, height, width\)"),
    ({"corruption": "swap", "sigma": [0.1] * 63 + [2]}, "must be at most 1.*swap"),
    ({"sigma": [0.1, 0.2]}, "sigma has 2 levels, but X has 64 features"),
    ({"sigma": [[0.1]]}, "sigma=.* one for each feature"),
    ({"sigma": [np.inf] * 64}, "sigma=.* one for each feature"),
]


@pytest.mark.parametrize(("params", "message"), BAD_CORRUPTIONS)
@pytest.mark.parametrize("Estimator", CORRUPTING)
def test_bad_corruptions(Estimator, X, params, message):
    model = make(Estimator, **params)
    for method in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=message):
            method(X)
    assert not hasattr(model, "net_")
