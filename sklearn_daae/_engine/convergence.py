"""Warnings of a training that has ended, and has not come out right."""

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from .._model.losses import BatchLoss, sliced_distance
from .._model.objectives import (
    ALICEObjective,
    BalancedObjective,
    MatchingObjective,
    VariationalObjective,
)
from .._random import torch_generator

# Rows that are looked at, and how many of wide ones.
_N_ROWS = 1000
_N_VALUES = 2**23

# What is called a failure, each far from what a training that works comes to. On MNIST
# these are 6e-1, 20 nats, 0.2 and 0.1.
_LEAST_SPREAD = 1e-4  # variance of the codes, as a part of that of the prior
_LEAST_DIVERGENCE = 0.05  # nats a row
_MOST_ERROR = 0.99  # of the variance of the data
_MOST_DISTANCE = 0.5  # of codes from the prior, in its standard deviations


@torch.inference_mode()
def warn_of_failure(net, batches):
    """Look at some of the rows that were trained on, and warn of what went wrong.

    Parameters
    ----------
    net : AutoencoderNet
        Which has just been trained.

    batches : Batches
        On these.

    Warns
    -----
    ConvergenceWarning
        If the codes carry nothing, the reconstructions are no better than the means of
        the features, or the match to the prior is lost.

    Raises
    ------
    ValueError
        If what comes out is not finite.
    """
    x, _, observed, _ = batches.sample(_N_ROWS, _N_VALUES)
    error_of = BatchLoss("mse", None, observed)
    random = np.random.default_rng(0)
    generator = torch_generator(random, net.device)
    with net.global_generator(random):
        z = net.model_.encode(x.clone())
        error = error_of(net.model_.decode(z.clone()), x).item()
        net.refuse_divergence(np.isfinite(error))
        variance = error_of(x.mean(0).expand_as(x), x).item()
        reasons = list(_failures_of_codes(net, x, z, generator))
    if not reasons and error > _MOST_ERROR * variance > 0:
        reasons = [
            f"the squared error of the reconstructions is {error:.3g}, no better than "
            f"the {variance:.3g} of the means of the features. Train for longer "
            "(max_epochs), lower sigma, or leave learning_rate and scaling at their "
            "defaults"
        ]
    for reason in reasons:
        warnings.warn(
            f"Training did not come out right: {reason}.",
            ConvergenceWarning,
            stacklevel=5,
        )


def _failures_of_codes(net, x, z, generator):
    """Yield what is wrong with the codes, and what to do about it."""
    objective = net.objective
    if x.var(0).sum() == 0:  # as there is nothing to tell
        return
    if isinstance(objective, VariationalObjective):
        divergence = net.history[-1]["kl_divergence"]
        if divergence < _LEAST_DIVERGENCE and objective.beta > 0:
            yield (
                "the codes carry nothing, their KL divergence is "
                f"{divergence:.2g} nats a row. Lower beta, or leave scaling at 'auto'"
            )
        return
    if isinstance(objective, MatchingObjective):
        z_real = objective.prior(len(x), generator)
        reference = z_real.var(0).sum()
    else:
        z_real, reference = None, z.square().sum(1).mean()
    if z.var(0).sum() < _LEAST_SPREAD * reference:
        yield (
            f"the codes carry nothing, their variance is {z.var(0).sum():.2g}. Leave "
            "scaling and learning_rate at their defaults, lower sigma, or train for "
            "longer (max_epochs)"
        )
    elif z_real is not None and getattr(objective, "adversarial_weight", 1) > 0:
        z_fake = objective.matched_codes(x, net.model_, generator)
        distance, _ = sliced_distance(z_fake, z_real, generator)
        other = objective.prior(len(x), generator)
        by_chance, _ = sliced_distance(other, z_real, generator)
        excess = (distance.square() - by_chance.square()).clamp_min(0).sqrt()
        deviation = z_real.var(0).mean().sqrt()
        if excess > _MOST_DISTANCE * deviation:
            remedy = "Train for longer (max_epochs), or "
            if isinstance(objective, ALICEObjective):
                remedy += "lower cycle_weight"
            elif isinstance(objective, BalancedObjective):
                remedy += "raise adversarial_weight"
            else:
                remedy += "raise adversarial_weight, or use update='joint'"
            yield (
                f"the codes are {distance:.2g} away from the prior that they were to "
                f"match, whose standard deviation is {deviation:.2g}, and samples are "
                f"not to be trusted. {remedy}"
            )
