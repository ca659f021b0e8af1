"""The training step against a plain transcription of Algorithms 1 and 2."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sklearn_daae import DAAETransformer, iDAAETransformer
from sklearn_daae._corruption import CORRUPTIONS
from sklearn_daae._priors import PRIORS

from .conftest import SMALL, weights


class Recorder(Callback):
    """Keeps the networks as they were before training, every batch and its losses."""

    def __init__(self):
        self.batches = []
        self.losses = []

    def on_train_begin(self, net, **kwargs):
        self.networks = deepcopy(net.module_).double()

    def on_batch_begin(self, net, batch, **kwargs):
        self.batches.append(batch[0].double())

    def on_batch_end(
        self, net, reconstruction_loss, discriminator_loss, adversarial_loss, **kwargs
    ):
        losses = reconstruction_loss, discriminator_loss, adversarial_loss
        self.losses.append([float(loss) for loss in losses])


@pytest.fixture
def draws(monkeypatch):
    """Record every draw of the corruption and of the prior."""
    record = {"x_tilde": [], "z_real": []}

    def keep(draw, name):
        def kept(*args):
            out = draw(*args)
            record[name].append(out.double())
            return out

        return kept

    monkeypatch.setitem(
        CORRUPTIONS, "gaussian", keep(CORRUPTIONS["gaussian"], "x_tilde")
    )
    monkeypatch.setitem(PRIORS, "normal", keep(PRIORS["normal"], "z_real"))
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

    def adam(*modules):
        parameters = [p for m in modules for p in m.parameters()]
        return torch.optim.Adam(parameters, lr=rate, foreach=False, fused=False)

    rec_step = adam(networks.encoder, networks.decoder)
    dis_step = adam(networks.discriminator)
    enc_step = adam(networks.encoder)

    def descend(loss, optimizer):
        networks.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    x_tildes, z_reals = iter(draws["x_tilde"]), iter(draws["z_real"])
    losses = []
    for x in batches:
        x_tilde = next(x_tildes)
        x_hat = R(E(x_tilde))
        if mse:
            L_rec = ((x_hat - x) ** 2).mean()
        else:
            L_rec = -(x * x_hat.log() + (1 - x) * (1 - x_hat).log()).mean()
        step = [descend(L_rec, rec_step)]

        m_tildes = None if M is None else next(x_tildes)

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


@pytest.mark.parametrize("reconstruction_loss", ["bce", "mse"])
@pytest.mark.parametrize("adversarial_loss", ["non_saturating", "minimax"])
@pytest.mark.parametrize("M", [None, 1, 4])
def test_step_is_the_papers_algorithm(
    X, draws, M, adversarial_loss, reconstruction_loss
):
    recorder = Recorder()
    own = {} if M is None else {"M": M}
    settings = {
        **SMALL,
        "max_epochs": 1,
        "reconstruction_loss": reconstruction_loss,
        "adversarial_loss": adversarial_loss,
        "callbacks": [recorder],
    }
    Estimator = DAAETransformer if M is None else iDAAETransformer
    model = Estimator(**own, **settings).fit(X)
    assert len(recorder.batches) == 5

    losses = algorithm_1(
        recorder.networks,
        recorder.batches,
        draws,
        M=M,
        rate=SMALL["learning_rate"],
        minimax=adversarial_loss == "minimax",
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


def test_each_update_moves_its_own_weights_and_no_others(Estimator, X):
    watcher = Watcher()
    Estimator(**{**SMALL, "max_epochs": 1, "callbacks": [watcher]}).fit(X)
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


def test_each_update_has_its_own_optimiser_state(fitted):
    net = fitted.net_
    encoder = next(net.module_.encoder.parameters())
    states = [
        net.reconstruction_optimizer_.state[encoder],
        net.adversarial_optimizer_.state[encoder],
    ]
    assert not torch.equal(states[0]["exp_avg"], states[1]["exp_avg"])
    assert encoder not in net.discriminator_optimizer_.state


@pytest.mark.parametrize(
    "optimizer",
    ["rmsprop", ("adam", {"foreach": True}), ["adam", {"betas": (0.5, 0.9)}]],
)
def test_optimizers(X, optimizer):
    plain = DAAETransformer(**SMALL).fit(X)
    model = DAAETransformer(**SMALL, optimizer=optimizer).fit(X)
    kind = torch.optim.RMSprop if optimizer == "rmsprop" else torch.optim.Adam
    assert type(model.net_.reconstruction_optimizer_) is kind
    assert type(model.net_.discriminator_optimizer_) is kind
    assert np.isfinite(weights(model)).all()
    if optimizer == ("adam", {"foreach": True}):  # another way to the same sums
        np.testing.assert_allclose(weights(model), weights(plain), atol=1e-4)
    else:
        assert (abs(weights(model) - weights(plain)) > 1e-3).any()

    own = DAAETransformer(**SMALL, discriminator_optimizer=("rmsprop", {"alpha": 0.5}))
    net = own.set_params(discriminator_learning_rate=1e-4).fit(X).net_
    assert type(net.reconstruction_optimizer_) is torch.optim.Adam
    group = net.discriminator_optimizer_.param_groups[0]
    assert (group["alpha"], group["lr"]) == (0.5, 1e-4)


def test_adversarial_weight_scales_the_learning_rate(Estimator, X):
    def fit(weight):
        return Estimator(**{**SMALL, "max_epochs": 1, "adversarial_weight": weight})

    model = fit(0.25).fit(X)
    rates = {
        name: getattr(model.net_, f"{name}_optimizer_").param_groups[0]["lr"]
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
    iDAAETransformer(M=7, **settings).fit(X)
    assert calls == [300, 7 * 300]


def test_bfloat16_computes_with_the_weights_of_the_moment(Estimator, X):
    """Not with copies that were cast before the last update."""
    settings = {**SMALL, "max_epochs": 1, "batch_size": 300, "learning_rate": 0.05}
    losses = [
        list(Estimator(**settings, precision=precision).fit(X).history_[0].values())
        for precision in ("float32", "bfloat16")
    ]
    np.testing.assert_allclose(*losses, rtol=0.02)


def test_prior_is_matched_better_than_without_the_adversary(X):
    """After training, corrupted codes have about the prior's moments."""
    settings = {**SMALL, "max_epochs": 60, "sigma": 0.25}
    model = DAAETransformer(**settings).fit(X)
    free = DAAETransformer(**settings, adversarial_weight=0).fit(X)

    def distance(m):
        Z = m.transform(m.corrupt(X, random_state=0))
        return abs(np.cov(Z.T) - np.eye(4)).max() + abs(Z.mean(0)).max()

    assert distance(model) < 0.5 * distance(free)
