"""Losses on logits, which neither overflow nor need clipping."""

import torch
from torch.nn.functional import softplus

# The mean over pixels and samples. The decoder's output is a logit for "bce" and the
# value itself for "mse".
RECONSTRUCTION_LOSSES = {"bce": torch.nn.BCEWithLogitsLoss, "mse": torch.nn.MSELoss}

# What makes of each, up to a constant, minus the log-likelihood of a feature: of a
# Bernoulli variable, or of a Gaussian of variance 1, whose exponent is half the square.
LIKELIHOOD_WEIGHTS = {"bce": 1.0, "mse": 0.5}


def discriminator_loss(real_logits, fake_logits):
    """-mean(log D(z_real)) - mean(log(1 - D(z_fake))), Algorithm 1, lines 14 and 15."""
    return softplus(torch.cat([-real_logits, fake_logits])).mean() * 2


def non_saturating(fake_logits):
    """-mean(log D(z_fake)): what the authors' code minimises in place of line 18."""
    return softplus(-fake_logits).mean()


def minimax(fake_logits):
    """mean(log(1 - D(z_fake))), Algorithm 1, line 18."""
    return -softplus(fake_logits).mean()


ADVERSARIAL_LOSSES = {"non_saturating": non_saturating, "minimax": minimax}


def gaussian_kl_divergence(mean, log_variance):
    """KL divergence of diagonal Gaussians from the standard normal.

    The sum over components, in nats, and the mean over samples.
    """
    divergence = mean.square() + log_variance.exp() - 1 - log_variance
    return divergence.sum(1).mean() / 2
