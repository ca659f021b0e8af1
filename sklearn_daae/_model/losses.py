"""Losses on logits, which neither overflow nor need clipping."""

from typing import NamedTuple

import torch
from torch.nn import functional
from torch.nn.functional import normalize, softplus

# The mean over pixels and samples. The decoder's output is a logit for "bce" and the
# value itself for "mse".
RECONSTRUCTION_LOSSES = {
    "bce": functional.binary_cross_entropy_with_logits,
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": functional.huber_loss,  # half the square up to a difference of 1
}

# What makes of each, up to a constant, minus the log-likelihood of a feature: of a
# Bernoulli variable; of a Gaussian of variance 1, whose exponent is half the square; of
# a Laplacian of scale 1; and of what is the one near zero and the other far from it.
_LIKELIHOOD_WEIGHTS = {"bce": 1.0, "mse": 0.5, "mae": 1.0, "huber": 1.0}


class ReconstructionLoss(torch.nn.Module):
    """What reconstructions are judged by.

    Parameters
    ----------
    loss : {"bce", "mse", "mae", "huber"}
        The loss of a value.
    """

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def of(self, weight=None, observed=None):
        """Return the loss of a batch, whose rows have weights and missing values."""
        return BatchLoss(self.loss, weight, observed)


class BatchLoss(NamedTuple):
    """The mean of a loss over the values of a batch that are observed."""

    loss: str
    # Of rows, tensor of shape (n_samples,), which over all data have the mean 1.
    weight: torch.Tensor | None = None
    # Of the values of X, tensor of bool.
    observed: torch.Tensor | None = None

    def __call__(self, x_hat, x):
        """Return the mean over features and rows."""
        function = RECONSTRUCTION_LOSSES[self.loss]
        if self.weight is None and self.observed is None:
            return function(x_hat, x)
        values = function(x_hat, x, reduction="none")
        if self.observed is None:
            return self.mean(values)
        return self.mean(values * self.observed) / self._share(x)

    def negative_log_likelihood(self, x_hat, x):
        """Return the mean over rows of the sum over features, up to a constant."""
        loss = self(x_hat, x) * (_LIKELIHOOD_WEIGHTS[self.loss] * x.shape[1])
        return loss if self.observed is None else loss * self._share(x)

    def mean(self, values):
        """Return the weighted mean of values of each row."""
        return _mean(values, self.weight)

    def _share(self, x):
        """Return how many of the values are observed."""
        return self.observed.to(x.dtype).mean().clamp_min(1 / x.numel())


def _mean(values, weight):
    """Return the mean of values of rows, each multiplied by the weight of its row."""
    if weight is None:
        return values.mean()
    return (values * weight.reshape(-1, *[1] * (values.dim() - 1))).mean()


def discriminator_loss(real_logits, fake_logits, weight=None):
    """-mean(log D(z_real)) - mean(log(1 - D(z_fake))), Algorithm 1, lines 14 and 15.

    `weight` is that of the rows that z_fake encodes.
    """
    if weight is not None:
        weight = torch.cat([torch.ones_like(weight), weight])
    return _mean(softplus(torch.cat([-real_logits, fake_logits])), weight) * 2


def non_saturating(fake_logits, weight=None):
    """-mean(log D(z_fake)): what the authors' code minimises in place of line 18."""
    return _mean(softplus(-fake_logits), weight)


def minimax(fake_logits, weight=None):
    """mean(log(1 - D(z_fake))), Algorithm 1, line 18."""
    return -_mean(softplus(fake_logits), weight)


ADVERSARIAL_LOSSES = {"non_saturating": non_saturating, "minimax": minimax}


def gaussian_kl_divergence(mean, log_variance, weight=None):
    """KL divergence of diagonal Gaussians from the standard normal.

    The sum over components, in nats, and the mean over samples.
    """
    divergence = mean.square() + log_variance.exp() - 1 - log_variance
    return _mean(divergence.sum(1), weight) / 2


# Directions in which a batch of codes is compared with the prior, at each step.
_N_PROJECTIONS = 50


def sliced_distance(z, z_real, generator, weight=None):
    """Sliced Wasserstein distance between as many codes and draws, and its gradient.

    In each of some random directions, the sorted codes are compared with the sorted
    draws.

    Parameters
    ----------
    z, z_real : tensor of shape (n_samples, n_components)
        The codes, and draws from the prior.

    generator : torch.Generator
        Draws the directions.

    weight : tensor of shape (n_samples,), default=None
        Of the codes: each is compared with the draw of the same quantile.

    Returns
    -------
    distance : tensor
        The root of the mean square difference.

    towards : tensor of shape (n_samples, n_components)
        The gradient of its square at the codes, up to a factor.
    """
    shape = _N_PROJECTIONS, z.shape[-1]
    directions = normalize(
        torch.randn(shape, generator=generator, device=z.device, dtype=z.dtype), dim=-1
    )
    # Where products are of bfloat16, what is sorted is not.
    along, order = _sorted((directions @ z.mT).to(z.dtype))
    wanted, _ = _sorted((directions @ z_real.mT).to(z.dtype))
    if weight is not None:
        weight = weight[order]
        quantile = (weight.cumsum(-1) - weight / 2) / weight.sum(-1, keepdim=True)
        n_real = wanted.shape[-1]
        wanted = wanted.gather(-1, (quantile * n_real).long().clamp(0, n_real - 1))
    gap = along - wanted
    pull = gap if weight is None else gap * weight
    towards = torch.empty_like(gap).scatter_(-1, order, pull).mT @ directions
    return (gap * pull).mean().sqrt(), towards


def _sorted(x):
    """Return each row sorted, and the order that sorts it."""
    if x.device.type != "cpu":
        return x.sort(dim=-1)
    # numpy has instructions for it: an eighth of torch's time, of 50 rows of 128.
    order = torch.from_numpy(x.numpy().argsort(axis=-1))
    return x.gather(-1, order), order


def unit_vector(x):
    """Return a tensor divided by the norm of all of it; zero stays zero."""
    return x / x.norm().clamp_min(torch.finfo(x.dtype).tiny)
