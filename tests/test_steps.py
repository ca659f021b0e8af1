"""The ways of taking a step, against the plain one of autograd and `torch.optim`."""

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from sklearn_daae import DAAETransformer, DAETransformer
from sklearn_daae._engine import steps
from sklearn_daae._engine.cpu import FusedPasses, has_hooks
from sklearn_daae._model.networks import multilayer_perceptron
from sklearn_daae._model.objectives import DenoisingObjective

from .conftest import PLAIN, SMALL, WatchesGradients, make, needs_cuda, weights


@pytest.fixture(autouse=True)
def cpu_step(monkeypatch):
    """Take steps the CPU's way in networks as small as those of tests, too."""
    monkeypatch.setenv("SKLEARN_DAAE_STEP", "cpu")


NETWORKS = {
    "shortcut": {},
    "plain": {"network": ("mlp", {"shortcut": False})},
    "conv": {"network": ("conv", {"n_filters": 4}), "image_shape": (1, 16, 16)},
    "own": {"encoder": nn.Linear},
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("update", ["joint", "separate"])
@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])]
)
def test_steps_are_the_plain_step(
    Estimator, X, monkeypatch, network, precision, update, device
):
    """But for rounding, of which a part of what training has moved is allowed."""
    X = np.tile(X, 4) if network == "conv" else X
    if update == "separate" and "update" not in Estimator().get_params():
        pytest.skip("has no such parameter")
    settings = {**SMALL, **NETWORKS[network], "precision": precision}
    settings |= {"update": update, "device": device, "max_epochs": 3}
    settings |= {"optimizer": ("adam", {"eps": 1e-3}), "averaging": False}
    monkeypatch.setenv("SKLEARN_DAAE_STEP", device)
    fast = weights(make(Estimator, **settings).fit(X))
    taken = []
    step = steps.PlainStep.__call__
    monkeypatch.setattr(
        steps.PlainStep,
        "__call__",
        lambda self, *batch: taken.append(type(self)) or step(self, *batch),
    )
    monkeypatch.setenv("SKLEARN_DAAE_STEP", "plain")
    plain = weights(make(Estimator, **settings).fit(X))
    assert set(taken) == {steps.PlainStep}
    start = weights(make(Estimator, **{**settings, "learning_rate": 1e-12}).fit(X))
    limit = 1e-3 if precision == "float32" else 0.1
    distance, way = np.linalg.norm(fast - plain), np.linalg.norm(plain - start)
    assert distance < limit * way


def test_small_networks_take_plain_steps(X, monkeypatch):
    """They take no longer so, and large ones do."""
    monkeypatch.delenv("SKLEARN_DAAE_STEP")
    kinds = []
    monkeypatch.setattr(steps, "PlainStep", lambda training: kinds.append("plain"))
    monkeypatch.setattr(steps, "CPUStep", lambda training: kinds.append("cpu"))
    for n_units in (32, 3000):
        with pytest.raises(TypeError):  # there is no step
            make(DAETransformer, encoder_layer_sizes=n_units).fit(np.tile(X, 3))
    assert kinds == ["plain", "cpu"]


@pytest.fixture
def perceptron():
    generator = torch.Generator().manual_seed(0)
    return multilayer_perceptron(20, 3, generator, (32, 16), None, shortcut=False)


@pytest.fixture
def batch():
    return torch.randn(50, 20, generator=torch.Generator().manual_seed(1))


def gradients(network, x, mixed):
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed, cache_enabled=False):
        out = network(x).float()
        loss = (out * torch.linspace(-1, 1, 3)).square().mean()
    return [out, *torch.autograd.grad(loss, [x, *network.parameters()])]


@pytest.mark.parametrize("mixed", [False, True])
def test_gradients_are_those_of_autograd(perceptron, batch, mixed):
    with FusedPasses(perceptron.train()):
        here = gradients(perceptron, batch, mixed)
    there = gradients(nn.Sequential(*perceptron), batch, mixed)
    for one, other in zip(here, there, strict=True):
        assert one.dtype == other.dtype == torch.float32
        # In bfloat16 autograd rounds to it the sums, too, that are gradients of biases.
        rtol = 2**-8 if mixed else 1e-4
        torch.testing.assert_close(one, other, rtol=rtol, atol=1e-6)
    assert here[1].abs().max() > 1e-4


def test_gradients_of_frozen_weights_are_not_computed(perceptron, batch):
    perceptron.train()[2].requires_grad_(False)
    with FusedPasses(perceptron):
        perceptron(batch).square().mean().backward()
    assert perceptron[2].weight.grad is perceptron[2].bias.grad is None
    assert perceptron[0].weight.grad.abs().max() > 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "optimizer",
    [
        "adam",
        ("adam", {"betas": (0.5, 0.9), "weight_decay": 0.1, "eps": 1e-3}),
        ("adam", {"amsgrad": True}),
        ("adam", {"maximize": True}),
        ("adam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
        ("adam", {"fused": False}),
        "rmsprop",
    ],
)
def test_layers_move_as_the_optimiser_would_move_them(X, optimizer, precision):
    settings = {**SMALL, "learning_rate": 1e-4, "learning_rate_decay": 0.5}
    settings |= {"optimizer": optimizer, "precision": precision}
    model = DAAETransformer(**settings).fit(X)
    there = DAAETransformer(**settings, callbacks=[WatchesGradients()]).fit(X)
    np.testing.assert_array_equal(weights(model), weights(there))
    assert model.history_ == there.history_
    states = [m.net_.optimizer_.state_dict() for m in (model, there)]
    torch.testing.assert_close(*states, rtol=0, atol=0)


def test_all_models_move_as_the_optimiser_would_move_them(Estimator, X):
    model = make(Estimator).fit(X)
    there = make(Estimator, callbacks=[WatchesGradients()]).fit(X)
    np.testing.assert_array_equal(weights(model), weights(there))


def test_fits_in_two_threads_are_those_of_one(X):
    models = [DAAETransformer(**{**SMALL, "random_state": i}) for i in range(8)]
    alone = [weights(clone(model).fit(X)) for model in models]
    with ThreadPoolExecutor(2) as pool:
        together = [*pool.map(lambda model: weights(model.fit(X)), models)]
    np.testing.assert_array_equal(alone, together)


class TwoViews(DenoisingObjective):
    """A loss that passes each network twice: of a corruption, and of another."""

    def step(self, x, *, module, criterion, generator, minimise):
        both = self.corruption(x, generator, n_draws=2, in_training=True)
        x_tilde, other = both.chunk(2)
        z, z_other = module.encoder(x_tilde), module.encoder(other)
        loss = criterion(module.decoder(z).float(), x)
        loss = loss + criterion(module.decoder(z_other).float(), x)
        minimise("reconstruction", loss + (z - z_other).float().square().mean())
        return (loss,)


class TwoViewsDAE(DAETransformer):
    def _objective(self):
        return TwoViews(corruption=self._corruption())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_loss_may_pass_a_network_twice(X, precision):
    """Layers moved by the gradient of the one pass, and then again by the other's."""
    settings = {"published": True, "precision": precision, "max_epochs": 5}
    model = make(TwoViewsDAE, **settings).fit(X)
    there = make(TwoViewsDAE, **settings, callbacks=[WatchesGradients()]).fit(X)
    np.testing.assert_array_equal(weights(model), weights(there))


class Twice(nn.Module):
    """Puts two views of x through the layers of an encoder that was fitted before."""

    def __init__(self, encoder, n_components):
        super().__init__()
        self.layers = deepcopy(encoder)
        self.head = nn.Linear(encoder[-1].out_features, n_components)

    def forward(self, x):
        return self.head(self.layers(x) + self.layers(x.flip(1)))


class Rows(Twice):
    """Puts views of x through them as one tensor of three axes."""

    def forward(self, x):
        return self.head(self.layers(torch.stack([x, x.flip(1)], 1)).mean(1))


@pytest.mark.parametrize("network", [Twice, Rows])
def test_own_networks_use_layers_of_ours_more_than_once(X, network):
    before = DAAETransformer(**SMALL, **PLAIN).fit(X).encoder_
    settings = {**SMALL, **PLAIN, "encoder": lambda d, k: network(before, k)}
    model = DAAETransformer(**settings).fit(X)
    there = DAAETransformer(**settings, callbacks=[WatchesGradients()]).fit(X)
    np.testing.assert_array_equal(weights(model), weights(there))
    further = DAAETransformer(**{**settings, "max_epochs": 3}).fit(X)
    assert not torch.equal(further.encoder_.head.weight, model.encoder_.head.weight)


def test_own_networks_share_weights_with_layers_of_ours(X):
    encoder = DAAETransformer(**SMALL, **PLAIN).fit(X).encoder_

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = encoder

        def forward(self, z):
            hidden = torch.relu(z @ self.layers[2].weight)
            return hidden @ self.layers[0].weight

    start = deepcopy(encoder.state_dict())
    fits = []
    for callbacks in ([], [WatchesGradients()]):
        encoder.load_state_dict(start)
        settings = {"encoder": lambda d, k: encoder, "decoder": lambda k, d: Tied()}
        model = DAAETransformer(**SMALL, **PLAIN, **settings, callbacks=callbacks).fit(
            X
        )
        fits.append(weights(model))
    np.testing.assert_array_equal(*fits)


# torch warns of a first layer, whose input needs no gradient.
@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_hooks_on_layers_and_weights_are_called(X):
    """As in any module of torch's, and without a change of the result."""
    calls = set()

    class Listens(Callback):
        def __init__(self, *what):
            self.what = what

        def on_train_begin(self, net, **kwargs):
            layer = net.module_.encoder[0]
            hooks = {
                "forward": layer.register_forward_hook,
                "backward": layer.register_full_backward_hook,
                "gradient": layer.weight.register_hook,
                "accumulated": layer.weight.register_post_accumulate_grad_hook,
            }
            for name in self.what:
                hooks[name](lambda *args, name=name: calls.add(name))

    plain = DAAETransformer(**SMALL, **PLAIN).fit(X)
    for what in (("forward",), ("backward",), ("gradient", "accumulated")):
        model = DAAETransformer(**SMALL, **PLAIN, callbacks=[Listens(*what)]).fit(X)
        assert calls.issuperset(what)
        np.testing.assert_allclose(weights(model), weights(plain), atol=1e-3)
    model = DAAETransformer(**SMALL, **PLAIN, callbacks=[Listens("forward")]).fit(X)
    assert has_hooks(model.net_.module_.encoder[0])
    assert not has_hooks(model.encoder_[0])  # of the average


@pytest.mark.parametrize(
    ("place", "layer"), [(1, nn.Tanh()), (2, nn.Linear(32, 16, bias=False))]
)
def test_a_replaced_layer_is_used(perceptron, batch, place, layer):
    perceptron.train()[place] = layer
    there = nn.Sequential(*perceptron)(batch)
    with FusedPasses(perceptron):
        torch.testing.assert_close(perceptron(batch), there)


def test_second_derivatives_of_a_fitted_network(X):
    """Between two steps, a network is any module of torch's, in training, too."""
    encoder = DAAETransformer(**SMALL, **PLAIN, averaging=False).fit(X).encoder_.train()
    x = torch.from_numpy(X[:2].copy()).requires_grad_()
    (slope,) = torch.autograd.grad(encoder(x).square().sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.square().sum(), x)
    assert curvature.abs().max() > 0
