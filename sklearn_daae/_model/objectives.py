"""What each kind of model minimises: one training step per class.

In each, ``minimise(update, loss)`` moves the weights of one update, and only those,
down the gradient of the loss, with that update's own optimiser. A loss may pass a
network as often as it likes. `criterion` is the `BatchLoss` of the batch, which knows
the weights of its rows.

They compute on the last two axes: of K models that are trained as one, x has the shape
(K, n_samples, n_features), and each loss the shape (K,).
"""

from typing import NamedTuple

import torch

from .._random import normal
from .corruption import repeated
from .losses import (
    discriminator_loss,
    gaussian_kl_divergence,
    norm,
    sliced_distance,
    unit_vector,
)

# How many times the variance of the prior codes may have before the reconstruction is
# kept from widening them: batches differ, and without room codes end up too narrow.
_ROOM = 1.2


class Update(NamedTuple):
    """What is moved at once, by an optimiser of its own."""

    # Attributes of the module.
    networks: tuple[str, ...]
    # What multiplies their learning rate.
    rate: float = 1.0

    def parameters(self, module):
        """Return the weights, each once, of networks that share some."""
        networks = (getattr(module, name) for name in self.networks)
        return list(dict.fromkeys(p for n in networks for p in n.parameters()))


class DenoisingObjective:
    """Reconstruct clean samples from corrupted ones: the DAE, and a part of the rest.

    Parameters
    ----------
    corruption : Corruption
        The corruption process C.
    """

    loss_names: tuple[str, ...] = ("reconstruction_loss",)

    def __init__(self, *, corruption):
        self.corruption = corruption

    @property
    def draws_globally(self):
        """Whether code of the user's may draw from torch's global generators."""
        return self.corruption.is_own

    def check(self, n_features, device):
        """Try what the user has brought, and raise ValueError if it does not work."""
        self.corruption.check(n_features, device)

    @property
    def updates(self):
        """The updates of a step, by the names that `step` calls them."""
        return {"reconstruction": Update(("encoder", "decoder"))}

    def draw_code(self, x_tilde, module, generator):
        """Return z of q(z | x_tilde)."""
        return module.encoder(x_tilde)

    def step(self, x, *, module, criterion, generator, minimise):
        """Update all weights on one batch x, and return the losses of `loss_names`."""
        _, loss = self._learn_to_reconstruct(x, module, criterion, generator, minimise)
        return (loss,)

    def _learn_to_reconstruct(self, x, module, criterion, generator, minimise):
        """Return x_tilde and the loss. The numbers are the lines of Algorithm 1."""
        x_tilde = self.corruption(x, generator, in_training=True)  # 3
        # A copy, for an encoder that works in place: x_tilde is encoded again.
        x_hat = module.decoder(module.encoder(x_tilde.clone()))  # 4, 5
        loss = criterion(x_hat.float(), x)  # 7
        minimise("reconstruction", loss)  # 8, 9
        return x_tilde, loss


class MatchingObjective(DenoisingObjective):
    """What those share that match codes to a prior of which draws are all they know.

    Parameters
    ----------
    corruption : Corruption
        The corruption process C.

    prior : Prior
        The prior p(z).

    adversarial_loss : callable
        The loss, of those who are to deceive it, on the logits of a discriminator.
    """

    def __init__(self, *, corruption, prior, adversarial_loss):
        super().__init__(corruption=corruption)
        self.prior = prior
        self.adversarial_loss = adversarial_loss

    @property
    def draws_globally(self):
        return super().draws_globally or self.prior.is_own

    def check(self, n_features, device):
        super().check(n_features, device)
        self.prior.check(device)

    def matched_codes(self, x, module, generator):
        """Return the codes of rows that are to follow the prior."""
        return self.draw_code(x, module, generator)


class AdversarialObjective(MatchingObjective):
    """The step of Algorithm 1, for the AAE, the DAAE and the iDAAE.

    Parameters
    ----------
    corruption, prior, adversarial_loss : objects
        See `MatchingObjective`. The loss is that on the logits for z_fake.

    adversarial_weight : float
        How much of it there is to be. Here it multiplies a learning rate: a factor on
        the loss would be undone by Adam's normalisation.

    n_integration_steps : int or None
        M of Algorithm 2. None is the DAAE: z_fake = E(x_tilde) of line 3's x_tilde.
    """

    loss_names: tuple[str, ...] = (
        "reconstruction_loss",
        "discriminator_loss",
        "adversarial_loss",
    )

    def __init__(
        self,
        *,
        corruption,
        prior,
        adversarial_loss,
        adversarial_weight,
        n_integration_steps,
    ):
        super().__init__(
            corruption=corruption, prior=prior, adversarial_loss=adversarial_loss
        )
        self.adversarial_weight = adversarial_weight
        self.n_integration_steps = n_integration_steps

    @property
    def updates(self):
        return {
            **super().updates,
            "discriminator": Update(("discriminator",)),
            "adversarial": Update(("encoder",), rate=self.adversarial_weight),
        }

    def step(self, x, *, module, criterion, generator, minimise):
        x_tilde, reconstruction_loss = self._learn_to_reconstruct(
            x, module, criterion, generator, minimise
        )  # 3 to 9

        weight = criterion.weight
        # One graph of z_fake serves both players: the discriminator sees it detached.
        z_fake = self.draw_z_fake(x, module.encoder, generator, x_tilde)  # 11
        z_real = self.prior(x.shape[-2], generator)  # 12
        n, both = x.shape[-2], torch.cat([z_real, z_fake.detach()], dim=-2)
        real, fake = module.discriminator(both).float().tensor_split([n], dim=-2)
        loss = discriminator_loss(real, fake, weight)  # 14, 15
        minimise("discriminator", loss)  # 16

        # The discriminator has moved, so that z_fake is judged anew.
        logits = module.discriminator(z_fake).float()
        adversarial_loss = self.adversarial_loss(logits, weight)
        minimise("adversarial", adversarial_loss)  # 18, 19
        return reconstruction_loss, loss, adversarial_loss

    def matched_codes(self, x, module, generator):
        return self.draw_z_fake(x, module.encoder, generator)

    def draw_z_fake(self, x, encoder, generator, x_tilde=None):
        """Return what is matched to the prior: codes of x_tilde, or means of M."""
        M = self.n_integration_steps
        if M is None:
            if x_tilde is None:
                x_tilde = self.corruption(x, generator, in_training=True)
            return encoder(x_tilde)
        # Algorithm 2, its loop over j as one pass of M * n rows.
        x_tilde = self.corruption(x, generator, n_draws=M, in_training=True)
        return encoder(x_tilde).unflatten(-2, (M, x.shape[-2])).mean(-3)


class BalancedObjective(AdversarialObjective):
    """One update for both ends, balanced at the codes: for the AAE, DAAE and iDAAE.

    Ours, and not the paper's. Algorithm 1 moves the encoder twice, each time by an
    optimiser of its own, so that the adversarial update is as large as that of the
    reconstruction whatever its gradient. Here the encoder moves once, by the sum of two
    gradients at the codes, of which the second is `adversarial_weight` times as large
    as the first. Its direction is the mean of two: the adversary's, and that of the
    sliced Wasserstein distance from the prior, which leads on where the discriminator
    has won. Each network is passed through once. The numbers are the lines of
    Algorithm 1.

    Its parameters are those of `AdversarialObjective`; `adversarial_weight` is the
    ratio of the norms of the two gradients, each of the whole batch.
    """

    loss_names = (*AdversarialObjective.loss_names, "gradient_ratio", "prior_distance")

    @property
    def updates(self):
        updates = super().updates
        del updates["adversarial"]  # a part of "reconstruction"
        return updates

    def step(self, x, *, module, criterion, generator, minimise):
        n, M = x.shape[-2], self.n_integration_steps or 1
        weight, share = criterion.weight, criterion.share
        # Of the M corruptions of Algorithm 2, the first is also the one of line 3.
        x_tilde = self.corruption(x, generator, n_draws=M, in_training=True)  # 3
        z = module.encoder(x_tilde).float()  # 4
        z_fake = z.detach().unflatten(-2, (M, n)).mean(-3).requires_grad_()  # 11
        z_real = self.prior(n, generator)  # 12
        both = torch.cat([z_real, z_fake], dim=-2)
        real, fake = module.discriminator(both).float().tensor_split([n], dim=-2)
        dis_loss = discriminator_loss(real, fake, weight)  # 14, 15
        minimise("discriminator", dis_loss, also=[z_fake])  # 16

        adversarial_loss = self.adversarial_loss(fake.detach(), weight)  # 18
        # From here on, codes and gradients are those of the whole batch.
        adversary = share.whole(self._against(z_fake, fake))
        z_fake, z_real = share.whole(z_fake.detach()), share.whole(z_real)
        all_weight = share.whole(weight)
        distance, towards_prior = sliced_distance(z_fake, z_real, generator, all_weight)
        pull = unit_vector(unit_vector(adversary) + unit_vector(towards_prior))

        size = torch.zeros_like(distance)  # where no encoder learns

        def balance(gradient):
            """Add to the reconstruction's gradient at the codes that of the prior."""
            gradient = share.whole(gradient)
            size.copy_(norm(gradient))
            first, others = gradient.tensor_split([z_fake.shape[-2]], dim=-2)
            widening = _widening(first, z_fake, z_real, all_weight)
            gradient = torch.cat([first - widening, others], dim=-2)
            # Of the mean over M draws, each has one part in M.
            part = self.adversarial_weight * size / M
            return share.own(gradient + part[..., None, None] * repeated(pull, M))

        if z.requires_grad:
            z.register_hook(balance)
        x_hat = module.decoder(z[..., :n, :])  # 5
        loss = criterion(x_hat.float(), x)  # 7
        minimise("reconstruction", loss)  # 8, 9 and 19
        ratio = norm(adversary) / size.clamp_min(torch.finfo(size.dtype).tiny)
        return loss, dis_loss, adversarial_loss, ratio.clamp_max(1e6), distance

    def _against(self, z_fake, logits):
        """Return the gradient of line 18 at z_fake, which has that of line 15.

        Both losses are means over functions of the same logits, so that one gradient is
        the other times a number for each row: no second pass is needed.
        """
        if z_fake.grad is None:  # a discriminator that does not look at the codes
            return torch.zeros_like(z_fake)
        logits = logits.detach().clamp(-30, 30).requires_grad_()
        loss = self.adversarial_loss(logits).sum()
        (wanted,) = torch.autograd.grad(loss, logits)
        return wanted * logits.shape[-2] / torch.sigmoid(logits.detach()) * z_fake.grad


def _widening(gradient, z, z_real, weight=None):
    """Return the part of a gradient that widens codes where they are too wide already.

    Where it is cheaper to widen the codes than to strengthen the decoder, as with
    convolutions and in wide data, all of the pull of the prior would not stop it.

    Parameters
    ----------
    gradient, z, z_real : tensor of shape (..., n_samples, n_components)
        At the codes, the codes, and draws from the prior.

    weight : tensor of shape (n_samples,), default=None
        Of the rows, of which the gradient has it already.
    """
    if weight is None:
        outward = centred = z - z.mean(-2, keepdim=True)
    else:
        share = weight[..., None] / weight.sum(-1)[..., None, None]
        centred = z - (share * z).sum(-2, keepdim=True)
        outward = centred * weight[..., None]
    spread = (outward * centred).sum(-2, keepdim=True)
    centred_real = z_real - z_real.mean(-2, keepdim=True)
    wanted = centred_real.square().sum(-2, keepdim=True)
    # Down a negative slope along their spread, codes become wider.
    slope = (gradient * centred).sum(-2, keepdim=True) / spread
    return torch.where(spread > _ROOM * wanted, slope.clamp_max(0), 0) * outward


class GaussianEncoding:
    """What those share whose encoder gives a Gaussian, q(z | x)."""

    def draw_code(self, x_tilde, module, generator):
        """Return a draw of z."""
        return self._draw_code(*self._posterior(x_tilde, module), generator)

    @staticmethod
    def _posterior(x_tilde, module):
        """Return mean and log-variance of q(z | x_tilde)."""
        return module.encoder(x_tilde).float().chunk(2, dim=-1)

    @staticmethod
    def _draw_code(mean, log_variance, generator):
        """Draw z by the reparametrisation, so that gradients reach its parameters."""
        noise = normal(mean.shape, generator, mean.dtype)
        return mean + noise * torch.exp(log_variance / 2)


class VariationalObjective(GaussianEncoding, DenoisingObjective):
    """Maximise the variational lower bound, for the VAE and the DVAE.

    The bound of section I-D, E[log p(x, z) - log q(z | x_tilde)], with one draw of
    x_tilde and one of z for each x: log p(x | z) minus `beta` times the KL divergence
    of q(z | x_tilde) from the standard normal, which is known in closed form.

    Parameters
    ----------
    corruption : Corruption
        The corruption process C.

    prior : Prior
        The standard normal.

    beta : float
        Weight of the divergence.
    """

    loss_names = ("reconstruction_loss", "kl_divergence")

    def __init__(self, *, corruption, prior, beta):
        super().__init__(corruption=corruption)
        self.prior = prior
        self.beta = beta

    def step(self, x, *, module, criterion, generator, minimise):
        x_tilde = self.corruption(x, generator, in_training=True)
        posterior = self._posterior(x_tilde, module)
        x_hat = module.decoder(self._draw_code(*posterior, generator))
        reconstruction_loss = criterion.negative_log_likelihood(x_hat.float(), x)
        kl_divergence = gaussian_kl_divergence(*posterior, criterion.weight)
        minimise("reconstruction", reconstruction_loss + self.beta * kl_divergence)
        return reconstruction_loss, kl_divergence


class ALICEObjective(GaussianEncoding, MatchingObjective):
    """Adversarial learning of pairs with cycle consistency: ALICE, of Li et al. (2017).

    A discriminator tells pairs (x, z) of data and their codes, z of q(z | x), from
    pairs (x, z) of samples and what they are decoded from, z of p(z): their equation 1,
    that of ALI. Encoder and decoder are to deceive it, and to bring x back from its
    code.

    Parameters
    ----------
    corruption, prior, adversarial_loss : objects
        See `MatchingObjective`. The corruption is one that corrupts nothing.

    cycle_loss : {"explicit", "adversarial"}
        How x and its reconstruction are compared: by the reconstruction loss; or by a
        discriminator of pairs (x, x) and (x, x_hat).

    cycle_weight : float
        What multiplies that loss.
    """

    def __init__(self, *, cycle_loss, cycle_weight, **options):
        super().__init__(**options)
        self.cycle_loss = cycle_loss
        self.cycle_weight = cycle_weight

    @property
    def loss_names(self):
        """Of the losses that a step returns."""
        names = "reconstruction_loss", "discriminator_loss", "adversarial_loss"
        if self.cycle_loss == "explicit":
            return names
        return *names, "cycle_discriminator_loss", "cycle_loss"

    @property
    def updates(self):
        updates = {
            "discriminator": Update(("discriminator",)),
            "reconstruction": Update(("encoder", "decoder")),
        }
        if self.cycle_loss == "adversarial":
            updates["cycle_discriminator"] = Update(("cycle_discriminator",))
        return updates

    def step(self, x, *, module, criterion, generator, minimise):
        n, weight = x.shape[-2], criterion.weight
        # Copies, for networks that work in place.
        z = self.draw_code(x.clone(), module, generator)
        z_real = self.prior(n, generator)
        x_fake = module.loss.activate(module.decoder(z_real.clone())).float()
        out = module.decoder(z.clone()).float()
        reconstruction_loss = cycle = criterion(out, x)
        x_hat = module.loss.activate(out)
        if criterion.observed is not None:
            # What fills a gap would tell rows from samples: here their reconstruction.
            x = torch.where(criterion.observed, x, x_hat.detach())
            x_hat = torch.where(criterion.observed, x_hat, x)

        pairs = torch.cat([_beside(x_fake, z_real), _beside(x, z)], dim=-2)

        def judge(pairs):
            return module.discriminator(pairs).float().tensor_split([n], dim=-2)

        dis_loss = discriminator_loss(*judge(pairs.detach()), weight)
        minimise("discriminator", dis_loss)

        decoded, encoded = judge(pairs)
        # Each is to be taken for the other.
        adversarial_loss = self.adversarial_loss(encoded, weight)
        adversarial_loss = adversarial_loss + self.adversarial_loss(-decoded)
        losses = [reconstruction_loss, dis_loss, adversarial_loss]
        if self.cycle_loss == "adversarial":
            cycle_loss, cycle = self._compare(x, x_hat, module, weight, minimise)
            losses += [cycle_loss, cycle]
        minimise("reconstruction", adversarial_loss + self.cycle_weight * cycle)
        return losses

    def _compare(self, x, x_hat, module, weight, minimise):
        """Return the losses of the second discriminator, and of those who face it."""
        same, other = _beside(x, x), _beside(x, x_hat)

        def judge(pairs):
            return module.cycle_discriminator(pairs).float()

        both = judge(torch.cat([same, other.detach()], dim=-2))
        real, fake = both.tensor_split([x.shape[-2]], dim=-2)
        loss = discriminator_loss(real, fake, weight, real_weight=weight)
        minimise("cycle_discriminator", loss)
        return loss, self.adversarial_loss(judge(other), weight)


def _beside(first, second):
    """Return pairs of rows."""
    return torch.cat([first, second], dim=-1)
