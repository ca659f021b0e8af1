"""The training steps against plain transcriptions of what the papers print."""

from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import scipy.stats
import torch
from skorch.callbacks import Callback
from torch.distributions import Bernoulli, Normal, kl_divergence

from sklearn_daae import (
    AAETransformer,
    DAAETransformer,
    DAETransformer,
    DVAETransformer,
    VAETransformer,
    iDAAETransformer,
)
from sklearn_daae._model.corruption import CORRUPTIONS
from sklearn_daae._model.losses import BatchLoss, gaussian_kl_divergence
from sklearn_daae._model.objectives import _widening
from sklearn_daae._model.priors import PRIORS
from sklearn_daae.metrics import prior_distance

from .conftest import ADVERSARIAL, PLAIN, SMALL, VARIATIONAL, make, weights


class Recorder(Callback):
    """Keeps the networks as they were before training, every batch and its losses."""

    def __init__(self, draws):
        self.draws = draws
        self.batches = []
        self.losses = []

    def on_train_begin(self, net, **kwargs):
        self.networks = deepcopy(net.module_).double()
        for draws in self.draws.values():
            draws.clear()  # those of the checks

    def on_batch_begin(self, net, batch, **kwargs):
        self.batches.append(batch[0].double())

    def on_batch_end(self, net, **kwargs):
        names = net.objective.loss_names
        self.losses.append([float(kwargs[name]) for name in names])


@pytest.fixture
def draws(monkeypatch):
    """Record every draw of the corruption, of the prior, and of a code's noise."""
    record = {"x_tilde": [], "z_real": [], "noise": []}

    def keep(draw, name):
        def kept(*args, **kwargs):
            out = draw(*args, **kwargs)
            if name != "noise" or out.shape[-1] == SMALL["n_components"]:
                record[name].append(out.double())
            return out

        return kept

    gaussian = keep(CORRUPTIONS["gaussian"], "x_tilde")
    monkeypatch.setitem(CORRUPTIONS, "gaussian", gaussian)
    monkeypatch.setitem(PRIORS, "normal", keep(PRIORS["normal"], "z_real"))
    monkeypatch.setattr("torch.Tensor.normal_", keep(torch.Tensor.normal_, "noise"))
    return record


def algorithm_1(networks, batches, draws, *, M, rate, minimax, mse):
    """Train as the paper prints it, in float64, and return the losses of each step.

    Probabilities instead of logits, a forward pass for each use, a loop over M, one
    plain Adam for each update, and gradients of all weights cleared in between.
    """
    E, D = networks.encoder, lambda z: torch.sigmoid(networks.discriminator(z))

    def R(z):
        x_hat = networks.decoder(z)
        return x_hat if mse else torch.sigmoid(x_hat)

    rec_step = plain_adam(rate, networks.encoder, networks.decoder)
    dis_step = plain_adam(rate, networks.discriminator)
    enc_step = plain_adam(rate, networks.encoder)

    def descend(loss, optimizer):
        networks.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    x_tildes, z_reals = iter(draws["x_tilde"]), iter(draws["z_real"])
    losses = []
    for x in batches:
        x_tilde = next(x_tildes, x)  # x itself, where nothing is corrupted
        x_hat = R(E(x_tilde))
        if mse:
            L_rec = ((x_hat - x) ** 2).mean()
        else:
            L_rec = -(x * x_hat.log() + (1 - x) * (1 - x_hat).log()).mean()
        step = [descend(L_rec, rec_step)]

        m_tildes = None if M is None else next(x_tildes).unflatten(0, (M, len(x)))

        def approx_z(x_tilde=x_tilde, m_tildes=m_tildes):
            if M is None:
                return E(x_tilde)
            return sum(E(m_tildes[j]) for j in range(M)) / M

        z_real = next(z_reals)
        L_dis = -D(z_real).log().mean() - (1 - D(approx_z())).log().mean()
        step.append(descend(L_dis, dis_step))

        if minimax:
            L_prior = (1 - D(approx_z())).log().mean()
        else:
            L_prior = -D(approx_z()).log().mean()
        step.append(descend(L_prior, enc_step))
        losses.append(step)
    return np.array(losses)


def plain_adam(rate, *modules):
    parameters = [p for m in modules for p in m.parameters()]
    return torch.optim.Adam(parameters, lr=rate, foreach=False, fused=False)


def lower_bound(networks, batches, draws, *, beta, rate, mse):
    """Maximise the variational bound in float64, and return its two terms each step."""
    optimizer = plain_adam(rate, networks.encoder, networks.decoder)
    x_tildes, noises = iter(draws["x_tilde"]), iter(draws["noise"])
    terms = []
    for x in batches:
        x_tilde = next(x_tildes, x)  # x itself, where nothing is corrupted
        out = networks.encoder(x_tilde)
        mean, log_variance = out[:, :4], out[:, 4:]
        z = mean + next(noises) * log_variance.exp().sqrt()
        x_hat = networks.decoder(z)
        if mse:
            # The normalising constant of the Gaussian is no loss.
            log_p = Normal(x_hat, 1).log_prob(x) + 0.5 * np.log(2 * np.pi)
        else:
            log_p = Bernoulli(logits=x_hat, validate_args=False).log_prob(x)
        log_p = log_p.sum(dim=1).mean()
        posterior = Normal(mean, log_variance.exp().sqrt())
        divergence = kl_divergence(posterior, Normal(0, 1)).sum(dim=1).mean()
        optimizer.zero_grad()
        (-log_p + beta * divergence).backward()
        optimizer.step()
        terms.append([-log_p.item(), divergence.item()])
    return np.array(terms)


def reconstruction_alone(networks, batches, draws, *, rate, mse):
    """Minimise the loss of a denoising autoencoder in float64."""
    optimizer = plain_adam(rate, networks.encoder, networks.decoder)
    losses = []
    for x, x_tilde in zip(batches, draws["x_tilde"], strict=True):
        x_hat = networks.decoder(networks.encoder(x_tilde))
        if mse:
            loss = ((x_hat - x) ** 2).mean()
        else:
            x_hat = torch.sigmoid(x_hat)
            loss = -(x * x_hat.log() + (1 - x) * (1 - x_hat).log()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append([loss.item()])
    return np.array(losses)


@pytest.mark.parametrize("reconstruction_loss", ["bce", "mse"])
@pytest.mark.parametrize("adversarial_loss", ["non_saturating", "minimax"])
@pytest.mark.parametrize(
    ("Estimator", "M"),
    [
        (AAETransformer, None),
        (DAAETransformer, None),
        (iDAAETransformer, 1),
        (iDAAETransformer, 4),
    ],
)
def test_step_is_the_papers_algorithm(
    X, draws, Estimator, M, adversarial_loss, reconstruction_loss
):
    own = {"adversarial_loss": adversarial_loss, "M": 4 if M is None else M}
    transcription = partial(algorithm_1, M=M, minimax=adversarial_loss == "minimax")
    check_training(Estimator, X, draws, transcription, reconstruction_loss, own)


@pytest.mark.parametrize("reconstruction_loss", ["bce", "mse"])
def test_step_of_the_denoising_autoencoder(X, draws, reconstruction_loss):
    check_training(DAETransformer, X, draws, reconstruction_alone, reconstruction_loss)


@pytest.mark.parametrize("reconstruction_loss", ["bce", "mse"])
@pytest.mark.parametrize("beta", [0, 1, 4.0])
@pytest.mark.parametrize("Estimator", VARIATIONAL)
def test_step_is_the_variational_bound(X, draws, Estimator, beta, reconstruction_loss):
    transcription = partial(lower_bound, beta=beta)
    own = {"beta": beta}
    check_training(Estimator, X, draws, transcription, reconstruction_loss, own)


def check_training(Estimator, X, draws, transcription, reconstruction_loss, own=None):
    """Compare an epoch's losses and weights with those of a plain transcription."""
    recorder = Recorder(draws)
    settings = {"max_epochs": 1, "reconstruction_loss": reconstruction_loss}
    settings |= {"callbacks": [recorder], **(own or {})}
    model = make(Estimator, published=True, **settings).fit(X)
    assert len(recorder.batches) == 5
    assert bool(draws["x_tilde"]) == hasattr(model, "sigma")

    losses = transcription(
        recorder.networks,
        recorder.batches,
        draws,
        rate=SMALL["learning_rate"],
        mse=reconstruction_loss == "mse",
    )
    np.testing.assert_allclose(recorder.losses, losses, rtol=2e-5)
    sizes = [len(x) for x in recorder.batches]
    np.testing.assert_allclose(
        list(model.history_[0].values()),
        np.average(losses, axis=0, weights=sizes),
        rtol=1e-5,
    )
    # Adam's first steps divide a gradient by its own size, so that rounding shows in
    # weights whose gradient is all rounding: a few parts in 1,000 of one update.
    tolerance = 5e-3 * SMALL["learning_rate"]
    expected = dict(recorder.networks.named_parameters())
    for name, weight in model.net_.module_.named_parameters():
        torch.testing.assert_close(
            weight.double(), expected[name], rtol=1e-5, atol=tolerance, msg=name
        )


class GradientRecorder(Recorder):
    """Keeps the gradients of every update, too."""

    def on_train_begin(self, net, **kwargs):
        super().on_train_begin(net, **kwargs)
        self.gradients = [{}]

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.gradients[-1] |= {n: p.grad.double() for n, p in named_parameters}

    def on_batch_end(self, net, **kwargs):
        super().on_batch_end(net, **kwargs)
        self.gradients.append({})


def unit(g):
    return g / g.norm()


def joint_update(networks, batches, draws, *, M, weight, rate, minimax, mse):
    """Train by the balanced update in float64, each gradient by one call of autograd.

    Returns the losses and the gradients of each step, and how often components were
    kept from becoming wider.
    """
    E, R, D = networks.encoder, networks.decoder, networks.discriminator
    optimizer = plain_adam(rate, networks)
    x_tildes, z_reals = iter(draws["x_tilde"]), iter(draws["z_real"])
    all_directions = iter([d for d in draws["noise"] if len(d) == 50])
    losses, gradients, n_held_back = [], [], 0
    for x in batches:
        # x itself, where nothing is corrupted; the first of M is reconstructed.
        draws_of_x = next(x_tildes, x).unflatten(0, (M, len(x)))
        z = [E(draws_of_x[j]) for j in range(M)]
        z_fake, z_real = sum(z) / M, next(z_reals)
        x_hat = R(z[0]) if mse else torch.sigmoid(R(z[0]))
        if mse:
            L_rec = ((x_hat - x) ** 2).mean()
        else:
            L_rec = -(x * x_hat.log() + (1 - x) * (1 - x_hat).log()).mean()
        real, fake = torch.sigmoid(D(z_real)), torch.sigmoid(D(z_fake))
        L_dis = -real.log().mean() - (1 - fake).log().mean()
        L_prior = (1 - fake).log().mean() if minimax else -fake.log().mean()
        L_sw = 0
        directions = next(all_directions)
        for theta in directions / directions.norm(dim=1, keepdim=True):
            gap = (z_fake @ theta).sort().values - (z_real @ theta).sort().values
            L_sw = L_sw + gap.square().mean() / 50

        def gradient(loss, at):
            return torch.autograd.grad(loss, at, retain_graph=True)

        (g_rec,), (g_adv,) = gradient(L_rec, z[0]), gradient(L_prior, z_fake)
        (g_sw,) = gradient(L_sw, z_fake)
        g_pri = unit(unit(g_adv) + unit(g_sw))
        size = weight * g_rec.norm()
        ratio = g_adv.norm() / g_rec.norm()
        for j in range(z_real.shape[1]):  # codes wider than the prior become no wider
            deviation = z_fake[:, j].detach() - z_fake[:, j].mean().detach()
            if deviation.var() > 1.2 * z_real[:, j].var():
                along = unit(deviation)
                slope = g_rec[:, j] @ along
                if slope < 0:
                    n_held_back += 1
                    g_rec[:, j] -= slope * along
        encoder = [*E.parameters()]
        g_encoder = torch.autograd.grad(
            [z[0], z_fake], encoder, [g_rec, size * g_pri], retain_graph=True
        )
        for parameters, found in (
            (encoder, g_encoder),
            ([*R.parameters()], gradient(L_rec, [*R.parameters()])),
            ([*D.parameters()], gradient(L_dis, [*D.parameters()])),
        ):
            for parameter, g in zip(parameters, found, strict=True):
                parameter.grad = g
        gradients.append({n: p.grad.clone() for n, p in networks.named_parameters()})
        optimizer.step()
        step = L_rec, L_dis, L_prior, ratio, L_sw.sqrt()
        losses.append([value.item() for value in step])
    return np.array(losses), gradients, n_held_back


@pytest.mark.parametrize("reconstruction_loss", ["bce", "mse"])
@pytest.mark.parametrize("adversarial_loss", ["non_saturating", "minimax"])
@pytest.mark.parametrize(
    ("Estimator", "M", "weight", "width"),
    [
        (AAETransformer, 1, "auto", 1),
        (AAETransformer, 1, "auto", 0.1),
        (DAAETransformer, 1, "auto", 1),
        (DAAETransformer, 1, 2.0, 0.1),
        (iDAAETransformer, 1, "auto", 1),
        (iDAAETransformer, 4, "auto", 0.1),
    ],
)
def test_the_joint_update(
    X,
    draws,
    monkeypatch,
    Estimator,
    M,
    weight,
    width,
    adversarial_loss,
    reconstruction_loss,
):
    """Losses, the gradients of both players and the weights that they lead to."""
    normal = PRIORS["normal"]
    monkeypatch.setitem(PRIORS, "normal", lambda *args: width * normal(*args))
    recorder = GradientRecorder(draws)
    model = make(
        Estimator,
        M=M,
        max_epochs=1,
        **PLAIN,
        adversarial_weight=weight,
        adversarial_loss=adversarial_loss,
        reconstruction_loss=reconstruction_loss,
        callbacks=[recorder],
    ).fit(X)
    draws["z_real"] = [width * z for z in draws["z_real"]]
    losses, gradients, n_held_back = joint_update(
        recorder.networks,
        recorder.batches,
        draws,
        M=M,
        weight=0.1 if weight == "auto" else weight,
        rate=SMALL["learning_rate"],
        minimax=adversarial_loss == "minimax",
        mse=reconstruction_loss == "mse",
    )
    # The squared error has codes that say little become narrower at first.
    assert (n_held_back > 0) == (width < 1 and reconstruction_loss == "bce")
    np.testing.assert_allclose(recorder.losses, losses, rtol=1e-4)
    assert len(gradients) == len(recorder.gradients) - 1 == 5
    for found, expected in zip(recorder.gradients, gradients, strict=False):
        assert found.keys() == expected.keys()
        for name, gradient in found.items():
            scale = expected[name].abs().max().item()
            torch.testing.assert_close(
                gradient, expected[name], rtol=1e-3, atol=1e-4 * scale, msg=name
            )
    expected = dict(recorder.networks.named_parameters())
    for name, weight in model.net_.module_.named_parameters():
        torch.testing.assert_close(
            weight.double(), expected[name], rtol=1e-4, atol=2e-5, msg=name
        )


@pytest.mark.parametrize(
    ("variance", "is_held_back"), [(0.9, False), (1.1, False), (1.3, True)]
)
def test_codes_have_room_before_they_are_held_back(variance, is_held_back):
    """They may have 1.2 times the variance of the prior's draws."""
    z_real, noise = torch.randn(
        (2, 50, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    z = variance**0.5 * (z_real - z_real.mean(0)).roll(1, dims=0)
    gradient = 0.1 * noise - z  # down it, codes become wider
    left = gradient - _widening(gradient, z, z_real)
    if is_held_back:
        torch.testing.assert_close((left * z).sum(0), torch.zeros(3, dtype=z.dtype))
    else:
        torch.testing.assert_close(left, gradient)
    assert not _widening(-gradient, z, z_real).any()  # narrower they may become


@pytest.mark.parametrize("prior", ["uniform", "ring", scipy.stats.laplace()])
@pytest.mark.parametrize("Estimator", ADVERSARIAL)
def test_the_joint_update_matches_any_prior(X, Estimator, prior):
    settings = {"prior": prior, "n_components": 2, "max_epochs": 200}
    model, free = (
        make(Estimator, **settings, adversarial_weight=weight).fit(X)
        for weight in (0.3, 0)
    )
    distance = prior_distance(model, X, random_state=0)
    assert distance < prior_distance(free, X, random_state=0)
    assert distance < model._trained.draw_prior(1000, 0).std() / 3
    errors = [m.loss_curve_[-1] for m in (model, free)]
    assert errors[0] < 1.1 * errors[1]


def test_without_a_weight_the_prior_is_nothing_to_the_encoder(X):
    gradients = []

    class Gradients(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            names = [name for name, _ in named_parameters]
            if "encoder.shortcut.weight" in names:
                encoder = dict(named_parameters)["encoder.shortcut.weight"]
                gradients.append(encoder.grad.clone())

    for weight in (0, 1e-6, 1.0):
        settings = {"adversarial_weight": weight, "max_epochs": 1, "batch_size": 300}
        make(DAAETransformer, **settings, callbacks=[Gradients()]).fit(X)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-9)
    assert (gradients[0] - gradients[2]).norm() > 0.1 * gradients[0].norm()


def test_the_joint_update_with_networks_of_the_user(X):
    """With batch statistics, a frozen encoder, and a discriminator that is blind."""

    def normalised(d, k):
        layers = torch.nn.Linear(d, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU()
        return torch.nn.Sequential(*layers, torch.nn.Linear(16, k))

    model = make(DAAETransformer, encoder=normalised, decoder=normalised).fit(X)
    assert np.isfinite(model.transform(X)).all()
    assert model.encoder_[1].num_batches_tracked == 10

    def frozen(d, k):
        return torch.nn.Linear(d, k).requires_grad_(False)

    model = make(DAAETransformer, encoder=frozen).fit(X)
    assert model.history_[-1]["gradient_ratio"] == 1e6  # to nothing

    class Blind(torch.nn.Module):
        def __init__(self, k):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.zeros(1))

        def forward(self, z):
            return self.bias.expand(len(z), 1)

    settings = {"discriminator": Blind, "max_epochs": 60}
    last = make(DAAETransformer, **settings).fit(X).history_[-1]
    free = make(DAAETransformer, **settings, adversarial_weight=0).fit(X).history_[-1]
    assert last["gradient_ratio"] == 0
    assert last["prior_distance"] < 0.9 * free["prior_distance"]


@pytest.mark.parametrize(
    ("denoising", "plain"),
    [(DAAETransformer, AAETransformer), (DVAETransformer, VAETransformer)],
)
@pytest.mark.parametrize("corruption", ["gaussian", "masking", "salt_and_pepper"])
def test_without_corruption_it_is_the_plain_model(X, denoising, plain, corruption):
    """Bit for bit."""
    model = make(denoising, sigma=0, corruption=corruption).fit(X)
    other = make(plain).fit(X)
    np.testing.assert_array_equal(weights(model), weights(other))
    assert model.history_ == other.history_
    np.testing.assert_array_equal(
        model.sample(5, 0, n_steps=2), other.sample(5, 0, n_steps=2)
    )


def test_kl_divergence():
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 50, 7, generator=generator, dtype=float)
    posterior = Normal(mean, (log_variance / 2).exp())
    expected = kl_divergence(posterior, Normal(0, 1)).sum(dim=1).mean()
    found = gaussian_kl_divergence(mean, log_variance)
    torch.testing.assert_close(found, expected)
    # In closed form: the prior itself, one moved by 3, one three times as wide.
    zero = torch.zeros(1, 1)
    assert gaussian_kl_divergence(zero, zero) == 0
    assert gaussian_kl_divergence(zero + 3, zero).item() == pytest.approx(4.5)
    wide = gaussian_kl_divergence(zero, zero + 2 * np.log(3))
    assert wide.item() == pytest.approx(4 - np.log(3))


@pytest.mark.parametrize("Estimator", VARIATIONAL)
def test_the_bound_is_that_of_the_paper(Estimator, X):
    """The losses estimate E[log p(x, z) - log q(z | x_tilde)], of section I-D."""
    settings = {"max_epochs": 40, "beta": 0.1, "sigma": 0.1}
    settings |= {"corruption_level": "fixed"}
    model = make(Estimator, **settings).fit(X)
    module, objective = model.net_.module_, model.net_.objective
    x = torch.tensor(X[:1]).repeat(20_000, 1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        losses = objective.step(
            x,
            module=module,
            criterion=BatchLoss("bce"),
            generator=generator,
            minimise=lambda update, loss: None,
        )
        x_tilde = x
        if Estimator is DVAETransformer:
            x_tilde = x + 0.1 * torch.randn(x.shape, generator=generator)
        mean, log_variance = module.encoder(x_tilde).double().chunk(2, dim=1)
        q = Normal(mean, (log_variance / 2).exp())
        noise = torch.randn(mean.shape, generator=generator)
        z = mean + noise * q.stddev
        p = Bernoulli(logits=module.decoder(z.float()).double(), validate_args=False)
        log_ratio = p.log_prob(x.double()).sum(dim=1)
        log_ratio += (Normal(0, 1).log_prob(z) - q.log_prob(z)).sum(dim=1)
    standard_error = log_ratio.std() / len(x) ** 0.5
    assert losses[1] > 1  # the encoder does not ignore x
    assert abs(-sum(losses) - log_ratio.mean()) < 6 * standard_error


class Watcher(Callback):
    """Notes which weights each update moves, and the discriminator's gradient."""

    def __init__(self):
        self.updates = []

    def on_train_begin(self, net, **kwargs):
        self.before = self._weights(net)

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self._close(net)
        D = net.module_.discriminator
        gradients = [p.grad for p in D.parameters() if p.grad is not None]
        self.updates.append(
            {
                "with_gradient": {name for name, _ in named_parameters},
                "discriminator_gradient": [g.clone() for g in gradients],
            }
        )

    def on_epoch_end(self, net, **kwargs):
        self._close(net)

    def _close(self, net):
        """Note what has moved since the last update's gradient was computed."""
        now = self._weights(net)
        moved = {n for n, w in now.items() if not torch.equal(w, self.before[n])}
        if self.updates:
            self.updates[-1]["moved"] = moved
        else:
            assert not moved
        self.before = now

    @staticmethod
    def _weights(net):
        return {n: p.detach().clone() for n, p in net.module_.named_parameters()}


@pytest.mark.parametrize("Estimator", ADVERSARIAL)
def test_each_update_moves_its_own_weights_and_no_others(Estimator, X):
    watcher = Watcher()
    settings = {"max_epochs": 1, "callbacks": [watcher]}
    make(Estimator, published=True, **settings).fit(X)
    networks = {name.split(".")[0] for name in watcher.before}
    assert networks == {"encoder", "decoder", "discriminator"}

    def of(*names):
        return {w for w in watcher.before if w.startswith(names)}

    assert len(watcher.updates) == 15  # three in each of five batches
    for step in range(0, 15, 3):
        reconstruction, discriminator, adversarial = watcher.updates[step : step + 3]
        assert reconstruction["moved"] == of("encoder", "decoder")
        assert discriminator["moved"] == of("discriminator")
        assert adversarial["moved"] == of("encoder")
        for update in reconstruction, discriminator, adversarial:
            assert update["with_gradient"] == update["moved"]
        # The encoder's update adds nothing to the discriminator's gradient.
        for g, h in zip(
            discriminator["discriminator_gradient"],
            adversarial["discriminator_gradient"],
            strict=True,
        ):
            assert torch.equal(g, h)


@pytest.mark.parametrize("Estimator", ADVERSARIAL)
def test_each_update_has_its_own_optimiser_state(Estimator, X):
    net = make(Estimator, published=True).fit(X).net_
    encoder = next(net.module_.encoder.parameters())
    states = [
        net.optimizer_.optimizers["reconstruction"].state[encoder],
        net.optimizer_.optimizers["adversarial"].state[encoder],
    ]
    assert not torch.equal(states[0]["exp_avg"], states[1]["exp_avg"])
    assert encoder not in net.optimizer_.optimizers["discriminator"].state


@pytest.mark.parametrize(
    "optimizer",
    ["rmsprop", ("adam", {"foreach": True}), ["adam", {"betas": (0.5, 0.9)}]],
)
def test_optimizers(X, optimizer):
    plain = DAAETransformer(**SMALL, optimizer="adam").fit(X)
    model = DAAETransformer(**SMALL, optimizer=optimizer).fit(X)
    kind = torch.optim.RMSprop if optimizer == "rmsprop" else torch.optim.Adam
    assert type(model.net_.optimizer_.optimizers["reconstruction"]) is kind
    assert type(model.net_.optimizer_.optimizers["discriminator"]) is kind
    assert np.isfinite(weights(model)).all()
    if optimizer == ("adam", {"foreach": True}):  # another way to the same sums
        np.testing.assert_allclose(weights(model), weights(plain), atol=1e-4)
    else:
        assert (abs(weights(model) - weights(plain)) > 1e-3).any()

    own = DAAETransformer(**SMALL, discriminator_optimizer=("rmsprop", {"alpha": 0.5}))
    net = own.set_params(discriminator_learning_rate=1e-4).fit(X).net_
    assert type(net.optimizer_.optimizers["reconstruction"]) is torch.optim.Adam
    group = net.optimizer_.optimizers["discriminator"].param_groups[0]
    assert (group["alpha"], group["lr"]) == (0.5, 1e-4)


@pytest.mark.parametrize("Estimator", ADVERSARIAL)
def test_adversarial_weight_scales_the_learning_rate(Estimator, X):
    def fit(weight):
        settings = {"max_epochs": 1, "adversarial_weight": weight}
        return make(Estimator, published=True, **settings)

    model = fit(0.25).fit(X)
    rates = {
        name: model.net_.optimizer_.optimizers[name].param_groups[0]["lr"]
        for name in ("reconstruction", "discriminator", "adversarial")
    }
    assert rates == {"reconstruction": 2e-3, "discriminator": 2e-3, "adversarial": 5e-4}

    watcher = Watcher()
    fit(0).set_params(callbacks=[watcher]).fit(X)
    assert all(not update["moved"] for update in watcher.updates[2::3])


def test_idaae_encodes_all_corruptions_in_one_pass(X):
    calls = []

    class Counter(Callback):
        def on_train_begin(self, net, **kwargs):
            net.module_.encoder.register_forward_pre_hook(
                lambda module, args: calls.append(len(args[0]))
            )

    settings = {**SMALL, "max_epochs": 1, "batch_size": 300, "callbacks": [Counter()]}
    iDAAETransformer(M=7, update="separate", **settings).fit(X)
    assert calls == [300, 7 * 300]
    calls.clear()
    iDAAETransformer(M=7, **settings).fit(X)
    assert calls == [7 * 300]


def test_bfloat16_computes_with_the_weights_of_the_moment(Estimator, X):
    """Not with copies that were cast before the last update."""
    settings = {**SMALL, "max_epochs": 1, "batch_size": 300, "learning_rate": 0.05}
    losses = [
        list(make(Estimator, **settings, precision=p).fit(X).history_[0].values())
        for p in ("float32", "bfloat16")
    ]
    np.testing.assert_allclose(*losses, rtol=0.02)
