"""Losses on logits, which neither overflow nor need clipping."""

from numbers import Integral
from typing import NamedTuple

import torch
from torch.nn import functional
from torch.nn.functional import normalize, softplus

from .._random import normal, of_all
from ..distributed import ALL_OF_IT, Share

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

# What the decoder's outputs stand for, of those losses that take logits.
_ACTIVATIONS = {
    "bce": torch.sigmoid,
    "cross_entropy": lambda x: torch.softmax(x, dim=-1),
}


class ReconstructionLoss(torch.nn.Module):
    """What reconstructions are judged by, and what the decoder's outputs stand for.

    Parameters
    ----------
    loss : {"bce", "mse", "mae", "huber"} or tuple of (str, tuple of int)
        The loss of every value; or that of each group of columns, which together are
        all. That of "cross_entropy" has one of its columns 1 and the others 0.
    """

    def __init__(self, loss):
        super().__init__()
        self.loss = loss
        groups = [] if isinstance(loss, str) else loss
        for i, (_, columns) in enumerate(groups):
            self.register_buffer(f"columns_{i}", torch.tensor(columns), False)
        # Where each column is, once the groups stand side by side.
        order = torch.tensor([c for _, columns in groups for c in columns]).argsort()
        self.register_buffer("order", order, False)

    def of(self, weight=None, observed=None, share=ALL_OF_IT):
        """Return the loss of a batch, whose rows have weights and missing values."""
        loss = self.loss if isinstance(self.loss, str) else self._groups()
        return BatchLoss(loss, weight, observed, share)

    def activate(self, x):
        """Return reconstructions, given the decoder's outputs."""
        if isinstance(self.loss, str):
            return _ACTIVATIONS[self.loss](x) if self.loss in _ACTIVATIONS else x
        values = [
            _ACTIVATIONS.get(name, lambda x: x)(x.index_select(-1, columns))
            for name, columns in self._groups()
        ]
        return torch.cat(values, dim=-1).index_select(-1, self.order)

    def takes_logits(self, n_features):
        """Tell of which columns the decoder gives logits."""
        if isinstance(self.loss, str):
            return torch.full((n_features,), self.loss in _ACTIVATIONS)
        found = torch.zeros(n_features, dtype=torch.bool)
        found[columns_of_logits(self.loss)] = True
        return found

    def _groups(self):
        return [
            (name, getattr(self, f"columns_{i}"))
            for i, (name, _) in enumerate(self.loss)
        ]


class BatchLoss(NamedTuple):
    """The mean of a loss over the values of a batch that are observed."""

    # Of groups, each with its columns, the losses are minus the log-likelihoods.
    loss: str | list[tuple[str, torch.Tensor]]
    # Of rows, tensor of shape (n_samples,), which over all data have the mean 1.
    weight: torch.Tensor | None = None
    # Of the values of X, tensor of bool.
    observed: torch.Tensor | None = None
    # Of the rows, among those that other processes have of the batch.
    share: Share = ALL_OF_IT

    def __call__(self, x_hat, x):
        """Return the mean over features and rows, of each of K models."""
        if not isinstance(self.loss, str):
            loss = self.mean(self._of_groups(x_hat, x)) / x.shape[-1]
            return loss if self.observed is None else loss / self._share(x)
        function = RECONSTRUCTION_LOSSES[self.loss]
        if self.weight is None and self.observed is None and x.dim() == 2:
            return function(x_hat, x)
        values = function(x_hat, x, reduction="none")
        if self.observed is None:
            return self.mean(values)
        return self.mean(values * self.observed) / self._share(x)

    def negative_log_likelihood(self, x_hat, x):
        """Return the mean over rows of the sum over features, up to a constant."""
        weight = _LIKELIHOOD_WEIGHTS[self.loss] if isinstance(self.loss, str) else 1.0
        loss = self(x_hat, x) * (weight * x.shape[-1])
        return loss if self.observed is None else loss * self._share(x)

    def mean(self, values):
        """Return the weighted mean of values of each row."""
        return _mean(values, self.weight)

    def _of_groups(self, x_hat, x):
        """Return the sum of all groups, for each row."""
        total = x_hat.new_zeros(*x.shape[:-1], 1)
        for name, columns in self.loss:
            out, wanted = (part.index_select(-1, columns) for part in (x_hat, x))
            if name == "cross_entropy":
                values = functional.cross_entropy(
                    out.movedim(-1, 1), wanted.movedim(-1, 1), reduction="none"
                ).unsqueeze(-1)
            else:
                values = RECONSTRUCTION_LOSSES[name](out, wanted, reduction="none")
                values = values * _LIKELIHOOD_WEIGHTS[name]
            if self.observed is not None:
                known = self.observed.index_select(-1, columns)
                whole = name == "cross_entropy"
                values = values * (known.all(-1, keepdim=True) if whole else known)
            total = total + values.sum(-1, keepdim=True)
        return total

    def _share(self, x):
        """Return how many of the values are observed."""
        part = self.share.mean(self.observed.to(x.dtype).mean())
        return part.clamp_min(1 / x.numel())


def check_loss(value):
    """Refuse what is no reconstruction loss, or no list of losses and columns.

    Raises
    ------
    ValueError
        If the value is neither.
    """
    known = ["auto", *RECONSTRUCTION_LOSSES]
    of_groups = [*RECONSTRUCTION_LOSSES, "cross_entropy"]
    if isinstance(value, str) and value in known:
        return
    is_list = isinstance(value, list | tuple) and len(value) > 0
    if not is_list or not all(
        isinstance(pair, list | tuple)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and pair[0] in of_groups
        for pair in value
    ):
        raise ValueError(
            f"reconstruction_loss={value!r} must be one of "
            f"{', '.join(map(repr, known))}, or a "
            "list of pairs, each a loss and its columns, such as [('cross_entropy', "
            f"slice(0, 3))]; the losses of columns are {', '.join(of_groups)}."
        )


def resolve_groups(value, n_features, names):
    """Return a list of losses and columns as `ReconstructionLoss` takes it.

    Parameters
    ----------
    value : list of (str, columns)
        Columns are a slice, a list of numbers or of names, or the beginning of names.
        Those that are not mentioned are of the squared error.

    n_features : int

    names : ndarray of str or None
        Of the columns.

    Raises
    ------
    ValueError
        If there are no such columns, or if one is mentioned twice.
    """
    groups, taken = [], set()
    for loss, columns in value:
        found = _columns(columns, n_features, names)
        if not found:
            raise ValueError(
                f"reconstruction_loss names the columns {columns!r}, which X does not "
                "have. Give a slice or numbers below "
                f"{n_features}, or, of data frames, names or how they begin."
            )
        if len(set(found)) < len(found) or taken & set(found):
            raise ValueError(
                f"reconstruction_loss has columns of {columns!r} twice. Give each "
                "column to one loss."
            )
        taken |= set(found)
        groups.append((loss, tuple(found)))
    rest = tuple(i for i in range(n_features) if i not in taken)
    return tuple([*groups, ("mse", rest)] if rest else groups)


def _columns(columns, n_features, names):
    """Return the numbers of columns, none where one of them is not there."""
    if isinstance(columns, slice):
        return list(range(n_features)[columns])
    names = [] if names is None else list(names)
    if isinstance(columns, str):
        return [i for i, name in enumerate(names) if name.startswith(columns)]
    found = [names.index(c) if c in names else c for c in columns]
    is_there = [isinstance(c, Integral) and 0 <= c < n_features for c in found]
    return [int(c) for c in found] if all(is_there) else []


def columns_of_logits(loss):
    """Return the columns that a resolved loss needs in [0, 1]."""
    return [c for name, columns in loss if name in _ACTIVATIONS for c in columns]


def _mean(values, weight):
    """Return the mean over the last two axes, rows multiplied by their weights."""
    if weight is not None:
        values = values * weight[..., None]
    return values.mean((-2, -1))


def discriminator_loss(real_logits, fake_logits, weight=None, real_weight=None):
    """-mean(log D(z_real)) - mean(log(1 - D(z_fake))), Algorithm 1, lines 14 and 15.

    `weight` is that of the rows that z_fake encodes, `real_weight` of what is real.
    """
    if weight is not None:
        if real_weight is None:
            real_weight = torch.ones_like(weight)
        weight = torch.cat([real_weight, weight], dim=-1)
    logits = torch.cat([-real_logits, fake_logits], dim=-2)
    return _mean(softplus(logits), weight) * 2


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
    return _mean(divergence.sum(-1, keepdim=True), weight) / 2


# Directions in which a batch of codes is compared with the prior, at each step.
_N_PROJECTIONS = 50


def sliced_distance(z, z_real, generator, weight=None):
    """Sliced Wasserstein distance between as many codes and draws, and its gradient.

    In each of some random directions, the sorted codes are compared with the sorted
    draws.

    Parameters
    ----------
    z, z_real : tensor of shape (..., n_samples, n_components)
        The codes, and draws from the prior.

    generator : torch.Generator
        Draws the directions.

    weight : tensor of shape (n_samples,), default=None
        Of the codes: each is compared with the draw of the same quantile.

    Returns
    -------
    distance : tensor of shape (...)
        The root of the mean square difference.

    towards : tensor of shape (..., n_samples, n_components)
        The gradient of its square at the codes, up to a factor.
    """
    shape = *z.shape[:-2], _N_PROJECTIONS, z.shape[-1]
    directions = normalize(normal(shape, of_all(generator), z.dtype), dim=-1)
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
    return (gap * pull).mean((-2, -1)).sqrt(), towards


def _sorted(x):
    """Return each row sorted, and the order that sorts it."""
    if x.device.type != "cpu":
        return x.sort(dim=-1)
    # numpy has instructions for it: an eighth of torch's time, of 50 rows of 128.
    order = torch.from_numpy(x.numpy().argsort(axis=-1))
    return x.gather(-1, order), order


def unit_vector(x):
    """Return a matrix divided by the norm of all of it; zero stays zero."""
    return x / norm(x)[..., None, None].clamp_min(torch.finfo(x.dtype).tiny)


def norm(x):
    """Return the norm of a matrix, or of each of K."""
    return torch.linalg.vector_norm(x, dim=(-2, -1))
