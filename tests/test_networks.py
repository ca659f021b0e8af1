"""The networks: their shapes, the convolutional ones, and networks of one's own."""

import numpy as np
import pytest
import torch

from sklearn_daae import (
    AAETransformer,
    DAAETransformer,
    DAETransformer,
    DVAETransformer,
    VAETransformer,
)
from sklearn_daae._model.networks import ACTIVATIONS, NETWORKS

from .conftest import ADVERSARIAL, SHORT_TRAINING, SMALL, make, weights

CONV = ("conv", {"n_filters": np.int64(2)})


def images(*shape, n_samples=6):
    random = np.random.default_rng(0)
    return random.random((n_samples, int(np.prod(shape))), dtype=np.float32)


def layers(module, kind):
    return [layer for layer in module.modules() if isinstance(layer, kind)]


def test_the_papers_celeba_network():
    """4 convolutions of 5x5 and stride 2, a linear layer, and 4 transposed of 3x3."""
    settings = {"n_components": 200, "max_epochs": 1, "network": "conv"}
    model = make(DAAETransformer, **settings, image_shape=(3, 64, 64))
    model.fit(images(3, 64, 64, n_samples=2))
    convolutions = layers(model.encoder_, torch.nn.Conv2d)
    assert [c.out_channels for c in convolutions] == [64, 128, 256, 512]
    assert {(c.kernel_size, c.stride) for c in convolutions} == {((5, 5), (2, 2))}
    (linear,) = layers(model.encoder_, torch.nn.Linear)
    assert (linear.in_features, linear.out_features) == (512 * 4 * 4, 200)

    (linear,) = layers(model.decoder_, torch.nn.Linear)
    assert (linear.in_features, linear.out_features) == (200, 512 * 4 * 4)
    convolutions = layers(model.decoder_, torch.nn.ConvTranspose2d)
    assert [c.out_channels for c in convolutions] == [256, 128, 64, 3]
    assert {(c.kernel_size, c.stride) for c in convolutions} == {((3, 3), (2, 2))}
    for network, n_layers in ((model.encoder_, 4), (model.decoder_, 4)):
        assert len(layers(network, torch.nn.ReLU)) == n_layers
    assert not layers(model.net_.module_, torch.nn.BatchNorm2d)
    # The discriminator is that of every model.
    assert [p.shape[0] for p in model.discriminator_.parameters()] == [32, 32, 1, 1]


@pytest.mark.parametrize(
    "shape",
    [
        *[(1, 16, 16), (1, 28, 28), (3, 64, 64), (1, 105, 105), (4, 17, 30)],
        *[(2, 31, 16), (1, 33, 65), (5, 60, 19), (1, 16, 101)],
    ],
)
def test_output_shape_is_input_shape(shape):
    X = images(*shape)
    settings = {"network": CONV, "image_shape": np.array(shape), "max_epochs": 1}
    model = make(AAETransformer, **settings).fit(X)
    assert model.transform(X).shape == (6, 4)
    X_hat = model.reconstruct(X)
    assert X_hat.shape == X.shape
    assert np.isfinite(X_hat).all()


def test_convolutional_weights_are_glorot_uniform_and_seeded():
    X = images(1, 32, 32)
    settings = {"network": ("conv", {"n_filters": 8}), "image_shape": (1, 32, 32)}
    settings |= {"learning_rate": 1e-20, "max_epochs": 1}
    state = torch.get_rng_state()
    models = [make(AAETransformer, **settings).fit(X) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(*map(weights, models))
    for network in (models[0].encoder_, models[0].decoder_):
        kinds = torch.nn.Conv2d, torch.nn.ConvTranspose2d
        for layer in layers(network, kinds)[1:]:
            area = layer.kernel_size[0] ** 2
            limit = (6 / ((layer.in_channels + layer.out_channels) * area)) ** 0.5
            assert limit * 0.98 < layer.weight.abs().max() < limit
            assert abs(layer.bias).max() < 1e-9


def test_all_models_have_it(Estimator):
    X = images(1, 20, 20, n_samples=30)
    settings = {"network": CONV, "image_shape": (1, 20, 20)}
    model = make(Estimator, **settings).fit(X)
    assert model.transform(X).shape == (30, 4)
    assert model.sample(3, 0).shape == (3, 400)
    once = make(Estimator, **settings)
    for _ in range(2):
        once.partial_fit(X)
    np.testing.assert_array_equal(weights(model), weights(once))


BAD_SHAPES = [
    ({"network": "conv"}, "needs image_shape"),
    ({"network": "conv", "image_shape": (1, 8, 8)}, "at least 16 x 16.*'mlp'"),
    ({"network": "conv", "image_shape": (20, 20, 3)}, "channels, .* has 20 x 3"),
    ({"image_shape": {1, 8}}, "must be .channels, height, width"),
    ({"network": None}, "'mlp', 'conv'"),
    ({"network": "conv", "image_shape": (1, 20, 20)}, "has 400 values, but X has 64"),
    ({"image_shape": (1, 7, 9)}, "has 63 values, but X has 64"),
    ({"image_shape": (8, 8)}, r"must be \(channels, height, width\)"),
    ({"image_shape": (1, 8.0, 8)}, "integers from 1"),
    ({"image_shape": (0, 8, 8)}, "integers from 1"),
    ({"image_shape": 64}, r"must be \(channels, height, width\)"),
    ({"network": "transformer"}, "'mlp', 'conv'"),
    ({"network": ("conv", {"f": 3})}, "unknown option 'f'. It takes: n_filters"),
    ({"network": ("mlp", {"f": 3})}, "unknown option 'f'. It takes: shortcut"),
    (
        {"network": ("conv", {"n_filters": 0}), "image_shape": (1, 16, 16)},
        "positive integer",
    ),
]


@pytest.mark.parametrize(("params", "message"), BAD_SHAPES)
def test_bad_shapes(Estimator, X, params, message):
    model = make(Estimator, **params)
    rows = images(1, 16, 16) if params.get("image_shape") == (1, 16, 16) else X
    for method in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=message):
            method(rows)
    assert not hasattr(model, "net_")


def test_an_image_shape_is_no_more_than_a_note_without_convolutions(X):
    model = make(DAAETransformer, image_shape=np.array([1, 8, 8])).fit(X)
    np.testing.assert_array_equal(
        weights(model), weights(DAAETransformer(**SMALL).fit(X))
    )
    model.partial_fit(X)


def test_cannot_go_on_with_another_network():
    X = images(1, 16, 16, n_samples=10)
    settings = {"network": CONV, "image_shape": (1, 16, 16), "max_epochs": 1}
    model = make(AAETransformer, **settings).fit(X)
    model.set_params(network=["conv", {"n_filters": 2}], image_shape=[1, 16, 16])
    model.partial_fit(X)
    with pytest.raises(ValueError, match="network has changed from"):
        model.set_params(network="mlp").partial_fit(X)
    model = make(AAETransformer, optimizer="adam").fit(X)
    betas = {"betas": np.array([0.9, 0.999])}
    model.set_params(optimizer=("adam", {}), network=("mlp", {})).partial_fit(X)
    model = make(AAETransformer, optimizer=("adam", betas)).fit(X).partial_fit(X)


def test_a_made_up_network_prior_and_corruption(X):
    """A model of nothing but a user's own parts."""

    class Convolutional(torch.nn.Module):
        def __init__(self, n_features, n_outputs):
            super().__init__()
            self.conv = torch.nn.Conv1d(1, 3, 5, padding=2)
            self.linear = torch.nn.LazyLinear(n_outputs)

        def forward(self, x):
            return self.linear(torch.tanh(self.conv(x[:, None])).flatten(1))

    model = make(
        DAAETransformer,
        encoder=Convolutional,
        decoder=Convolutional,
        discriminator=lambda k: Convolutional(k, 1),
        prior=lambda n, k, g: torch.rand(n, k, generator=g, device=g.device) ** 2,
        corruption=lambda x, sigma, generator: x.flip(1),
        n_components=8,
        adversarial_weight=0.1,
        learning_rate=5e-3,
        max_epochs=20,
    ).fit(X)
    errors = (model.reconstruct(X, corrupt=True) - X) ** 2
    assert errors.mean() < 0.8 * ((X - X.mean(axis=0)) ** 2).mean()
    np.testing.assert_array_equal(model.corrupt(X), X[:, ::-1])
    assert model.sample(4, 0).shape == (4, 64)


def test_a_kind_of_network_is_one_entry(X, monkeypatch):
    """Of the table of networks, and no edit elsewhere."""

    def linear(n_in, n_out, generator, layer_sizes, image_shape, *, bias=True):
        return torch.nn.Linear(n_in, n_out, bias=bias)

    monkeypatch.setitem(NETWORKS, "linear", {"encoder": linear, "decoder": linear})
    model = make(VAETransformer, network=("linear", {"bias": False})).fit(X)
    assert model.encoder_.weight.shape == (8, 64)
    assert model.decoder_.bias is None


def test_own_networks_that_cannot_be_made(X):
    for name, make_module, message in [
        ("encoder", lambda d: torch.nn.Linear(d, 4), r"encoder\(64, 4\).*positional"),
        ("decoder", lambda k, d: 1 / 0, r"decoder\(4, 64\).*division by zero"),
        ("discriminator", torch.nn.Linear, r"discriminator\(4,\).*out_features"),
    ]:
        with pytest.raises(ValueError, match=message):
            make(DAAETransformer, **{name: make_module}).fit(X)
    with pytest.raises(ValueError, match="the means of the codes and then their log-"):
        make(VAETransformer, encoder=lambda d, k: torch.nn.Linear(d, k // 2)).fit(X)


def test_own_networks_that_always_draw(Estimator, X):
    """Also where no training goes on: seeded, and from no global generator."""

    class Noise(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) + torch.randn(len(x), self.out_features)

    settings = {"encoder": Noise, "decoder": Noise, "early_stopping": True}
    state = torch.get_rng_state()
    model = make(Estimator, **settings).fit(X)
    np.testing.assert_array_equal(model.transform(X), model.transform(X))
    np.testing.assert_array_equal(model.sample(9, 0), model.sample(9, 0))
    np.testing.assert_array_equal(
        model.reconstruct(X, corrupt=True, random_state=1),
        model.reconstruct(X, corrupt=True, random_state=1),
    )
    assert model.score(X) == model.score(X)
    assert torch.equal(torch.get_rng_state(), state)


def test_variances_of_codes_start_at_one(X):
    """So that an X that is not scaled does no harm at once."""
    for settings in ({}, {"network": CONV, "image_shape": (1, 16, 16)}):
        rows = 255 * images(1, 16, 16, n_samples=100)
        model = make(VAETransformer, **settings, learning_rate=1e-20).fit(rows)
        out = model.encoder_(torch.tensor(rows))
        assert out[:, :4].std() > 0
        assert abs(out[:, 4:]).max() < 1e-9
    DVAETransformer(max_epochs=1, random_state=0).fit(255 * X)


@pytest.mark.parametrize("Estimator", ADVERSARIAL)
def test_own_encoder_beside_a_convolutional_decoder(Estimator):
    X = images(1, 16, 16, n_samples=10)
    settings = {"network": CONV, "image_shape": (1, 16, 16)}
    model = make(Estimator, **settings, encoder=torch.nn.Linear).fit(X)
    assert isinstance(model.encoder_, torch.nn.Linear)
    assert layers(model.decoder_, torch.nn.ConvTranspose2d)


@pytest.mark.filterwarnings("error", SHORT_TRAINING)
def test_tied_weights_move_once(X):
    class Transposed(torch.nn.Module):
        def __init__(self, linear):
            super().__init__()
            self.linear = linear

        def forward(self, z):
            return z @ self.linear.weight

    linears = []

    def encoder(n_features, n_components):
        linears.append(torch.nn.Linear(n_features, n_components, bias=False))
        torch.nn.init.constant_(linears[0].weight, 0.01)
        return linears[0]

    model = make(
        DAAETransformer,
        encoder=encoder,
        decoder=lambda *sizes: Transposed(linears[0]),
        adversarial_weight=0,
        averaging=False,
        max_epochs=1,
        batch_size=len(X),
    ).fit(X)
    # Adam's first step has the size of the learning rate.
    step = (model.encoder_.weight - 0.01).abs().max().item()
    assert step == pytest.approx(SMALL["learning_rate"], rel=1e-3)


OPTIONS = {"activation": "gelu", "dropout": 0.1, "batch_norm": True}


def kinds(network):
    return [type(module) for module in network.modules()]


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_options_of_networks(Estimator, X, kind):
    images = np.tile(X, 4)
    settings = {"network": (kind, OPTIONS), "image_shape": (1, 16, 16)}
    before = torch.get_rng_state()
    model = make(Estimator, **settings, max_epochs=3).fit(images)
    assert torch.equal(torch.get_rng_state(), before)  # dropout's draws are ours
    for network in (model.encoder_, model.decoder_):
        has = kinds(network)
        assert torch.nn.GELU in has
        assert torch.nn.ReLU not in has
        assert has.count(torch.nn.Dropout) == has.count(torch.nn.GELU)
        of_batches = torch.nn.BatchNorm1d if kind == "mlp" else torch.nn.BatchNorm2d
        assert has.count(of_batches) == has.count(torch.nn.GELU)
    again = make(Estimator, **settings, max_epochs=3).fit(images)
    np.testing.assert_array_equal(weights(again), weights(model))
    one, many = model.transform(images[:1]), model.transform(images)
    np.testing.assert_allclose(one[0], many[0], atol=1e-4)  # of no batch's own
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert model.partial_fit(images[:50]).n_epochs_ == 4


def test_one_row_is_no_batch_to_normalise(X):
    """It ended in a message of torch's."""
    model = make(DAETransformer, network=("mlp", {"batch_norm": True})).fit(X)
    before = weights(model)
    for settings, rows in ({}, X[:1]), ({"batch_size": 1}, X):
        model.set_params(**settings)
        with pytest.raises(ValueError, match=r"normalises batches.*batch_size from 2"):
            model.partial_fit(rows)
    np.testing.assert_array_equal(weights(model), before)


@pytest.mark.parametrize(
    ("name", "module"), [(n, m) for n, m in ACTIVATIONS.items() if n != "relu"]
)
def test_activations(X, name, module):
    network = "mlp", {"activation": name}
    model = make(DAETransformer, network=network).fit(X)
    assert module in kinds(model.encoder_)
    assert (weights(model) != weights(make(DAETransformer).fit(X))).mean() > 0.5


def test_options_change_nothing_else(X):
    """Nor whether there is a shortcut, which follows the number of rows."""
    same = "mlp", {"activation": "relu", "dropout": 0.0, "batch_norm": False}
    for data in (X, np.tile(X[:, 20:24], (40, 1))):
        settings = {"n_components": 2, "max_epochs": 1, "encoder_layer_sizes": "auto"}
        fits = [
            make(DAETransformer, **settings, network=network).fit(data)
            for network in ("mlp", same)
        ]
        np.testing.assert_array_equal(*map(weights, fits))
        has_shortcut = [hasattr(model.encoder_, "shortcut") for model in fits]
        assert has_shortcut == [len(data) <= 10_000] * 2


@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_losses_that_outliers_count_less_in(Estimator, loss):
    """One wild value in twenty: the middle of the rest is found."""
    random = np.random.default_rng(0)
    X = random.normal(5, 1, size=(400, 4)).astype(np.float32)
    X[random.random(X.shape) < 0.05] = 500
    settings = {"scaling": None, "n_components": 1, "max_epochs": 60, "sigma": 0}
    settings |= {"network": ("mlp", {"shortcut": False}), "learning_rate": 1e-2}
    robust, plain = (
        make(Estimator, **settings, reconstruction_loss=name).fit(X)
        for name in (loss, "mse")
    )
    assert robust.reconstruction_loss_ == loss
    tame = X[(X < 100).all(1)]
    errors = [np.abs(m.reconstruct(tame) - tame).mean() for m in (robust, plain)]
    assert errors[0] < 0.5 * errors[1]


def test_losses_are_those_of_their_names(X):
    model = make(DAETransformer, sigma=0, learning_rate=1e-12, batch_size=300)
    model.set_params(averaging=False, max_epochs=1, scaling=None)
    for name, function in (
        ("mae", lambda d: np.abs(d)),
        ("huber", lambda d: np.where(np.abs(d) < 1, d**2 / 2, np.abs(d) - 0.5)),
    ):
        model.set_params(reconstruction_loss=name).fit(4 * X)
        difference = model.reconstruct(4 * X) - 4 * X
        assert model.loss_curve_[0] == pytest.approx(function(difference).mean(), 1e-4)
