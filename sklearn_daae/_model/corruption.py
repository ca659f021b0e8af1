"""Corruption processes c(x_tilde | x): ``(x, level, generator, space) -> x_tilde``.

x is a tensor of shape (..., n_samples, n_features) that belongs to the process, which
may work in place. The level is a number, or a tensor that broadcasts with x: one for
each row, or one for each feature. What a process can be told is keyword-only.
"""

import math
from numbers import Real
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import affine_grid, grid_sample

from .._checks import check_options, split_choice
from .._random import checking_generator, integers, normal, of_own, uniform
from .scaling import Scaling


class Space(NamedTuple):
    """What is known of the x that processes are given."""

    scaling: Scaling
    image_shape: tuple[int, int, int] | None


def gaussian(x, level, generator, space, *, clip=False):
    """Add Gaussian noise of standard deviation `level`; clip it to the data's range."""
    noise = normal(x.shape, generator, x.dtype)
    x_tilde = noise.mul_(level).add_(x)
    return x_tilde.clamp_(*space.scaling.bounds(x)) if clip else x_tilde


def masking(x, level, generator, space):
    """Set each feature to 0 with probability `level`."""
    return x.masked_fill_(uniform(x.shape, generator) < level, 0)


def salt_and_pepper(x, level, generator, space):
    """Set each feature to its least or greatest value, with probability `level`."""
    low, high = space.scaling.bounds(x)
    u = uniform(x.shape, generator)
    x = torch.where(u < level, high, x)
    return torch.where(u < level / 2, low, x)


def swap(x, level, generator, space):
    """Set each feature to that of another row, with probability `level`."""
    n = x.shape[-2]
    u = uniform(x.shape, generator)
    others = integers(1, max(n, 2), x.shape, generator)
    others = (others + torch.arange(n, device=x.device)[:, None]) % n
    return torch.where(u < level, x.gather(-2, others), x)


def moved(x, level, generator, space, *, shift=0.05, degrees=8.0, stretch=0.08):
    """Move, turn, scale and shear each image a little, and add Gaussian noise.

    By at most `shift` of its sides, `degrees`, and `stretch`, the logarithm of the
    change in size, each drawn uniformly for each image. What enters at the border is
    what stands there.
    """
    n_channels, height, width = space.image_shape
    u = 2 * uniform((*x.shape[:-1], 5), generator).flatten(0, -2) - 1
    angle = math.radians(degrees) * u[:, 0]
    size = torch.exp(stretch * u[:, 1])
    cos, sin = size * angle.cos(), size * angle.sin()
    # `affine_grid` has half a side as its unit, along either axis.
    right, down = 2 * shift * u[:, 3:].T
    shear = stretch * u[:, 2]
    rows = (
        (cos, (shear - sin) * height / width, right),
        (sin * width / height, cos, down),
    )
    maps = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    images = x.reshape(-1, n_channels, height, width)
    grid = affine_grid(maps, [*images.shape], align_corners=False)
    images = grid_sample(images, grid, padding_mode="border", align_corners=False)
    return gaussian(images.reshape(x.shape), level, generator, space)


CORRUPTIONS = {
    "gaussian": gaussian,
    "masking": masking,
    "salt_and_pepper": salt_and_pepper,
    "swap": swap,
    "moved": moved,
}
# Those of which sigma is a probability.
_PROBABILITIES = ("masking", "salt_and_pepper", "swap")


class Corruption:
    """A corruption process at its level.

    Parameters
    ----------
    process : str, (str, dict) or callable
        A name of `CORRUPTIONS`, one with its options, or a process of the user's own.

    sigma : float or array-like of shape (n_features,)
        The level. At 0 those with a name corrupt nothing and draw nothing, so that a
        model without corruption is the same model bit for bit.

    level : {"mixed", "fixed"}
        Whether rows in training are corrupted at `sigma`, or half of them below it, at
        a level drawn uniformly. Users' own processes are given `sigma` as it is.

    scaling : Scaling, default=None
        What x was mapped by.

    image_shape : (int, int, int), default=None
        Of the images that the rows are.

    Raises
    ------
    ValueError
        If the process is not known, or the level is not one of it.
    """

    def __init__(self, process, sigma, level="fixed", scaling=None, image_shape=None):
        self.process = process
        self.sigma = _checked_level(sigma)
        self.level = level
        self.space = Space(scaling or Scaling(), image_shape)
        self.is_own = callable(process)
        self._tensors = {}
        if self.is_own:
            return
        self.name, self.options = split_choice(
            "corruption",
            process,
            CORRUPTIONS,
            "('gaussian', {'clip': True})",
            ", or a callable: corruption(x, sigma, generator), which returns x_tilde",
        )
        check_options("corruption", process, self.options, CORRUPTIONS[self.name])
        for name, value in self.options.items():
            if not isinstance(value, Real) or not 0 <= value < math.inf:
                raise ValueError(
                    f"corruption={process!r} must have a number from 0 up as {name!r}."
                )
        if self.name in _PROBABILITIES and np.max(self.sigma) > 1:
            raise ValueError(
                f"sigma={sigma!r} must be at most 1 with corruption={process!r}: it is "
                "the probability that a feature is corrupted."
            )
        if self.name == "moved" and image_shape is None:
            raise ValueError(
                f"corruption={process!r} needs image_shape=(channels, height, width), "
                "the shape of the image that each row of X is."
            )

    @property
    def is_identity(self):
        """Whether nothing is corrupted, as in an AAE."""
        return not self.is_own and self.name != "moved" and not np.any(self.sigma)

    def __call__(self, x, generator, n_draws=1, *, in_training=False):
        """Return `n_draws` corruptions of every row, (n_draws * n_samples, ...).

        Only `in_training` are there rows at levels below `sigma`. The process gets a
        copy: neither it nor an encoder that works in place changes the x that is to be
        reconstructed.
        """
        x = repeated(x, n_draws)
        if self.is_own:
            x_tilde = self.process(x, self._sigma_like(x), of_own(generator))
            return self._like(x, x_tilde)
        if self.is_identity:
            return x
        level = self._sigma_like(x)
        if in_training and self.level == "mixed":
            level = level * (2 * uniform((*x.shape[:-1], 1), generator)).clamp_(max=1)
        return CORRUPTIONS[self.name](x, level, generator, self.space, **self.options)

    def check(self, n_features, device):
        """Try a process of the user's own, and compare the levels with the features.

        Raises
        ------
        ValueError
            If there are as many levels as there are not features, or if the process
            fails, or does not return finite values in the shape of x.
        """
        if np.ndim(self.sigma) and len(self.sigma) != n_features:
            raise ValueError(
                f"sigma has {len(self.sigma)} levels, but X has {n_features} features. "
                "Give one number, or one for each feature."
            )
        if not self.is_own:
            return
        x = torch.full((2, n_features), 0.5, dtype=torch.float32, device=device)
        with checking_generator(device) as generator:
            try:
                x_tilde = self.process(x, self._sigma_like(x), generator)
            except Exception as error:
                raise self._refusal(f"it failed with: {error!r}") from error
        if not torch.isfinite(self._like(x, x_tilde)).all():
            raise self._refusal("it returned values that are not finite")

    def _sigma_like(self, x):
        """Return the level as a number, or as a tensor like x."""
        if np.ndim(self.sigma) == 0:
            return self.sigma
        if x.device not in self._tensors:
            self._tensors[x.device] = torch.tensor(
                self.sigma, dtype=x.dtype, device=x.device
            )
        return self._tensors[x.device]

    def __getstate__(self):
        """Pickle without the tensors, which may be on a GPU."""
        return {**vars(self), "_tensors": {}}

    def _like(self, x, x_tilde):
        """Return what the user's own process gave as a tensor like x."""
        shape = getattr(x_tilde, "shape", None)
        if shape != x.shape:
            returned = x_tilde if shape is None else f"the shape {tuple(shape)}"
            raise self._refusal(f"for x of {tuple(x.shape)} it returned {returned}")
        return torch.as_tensor(x_tilde, dtype=x.dtype, device=x.device)

    def _refusal(self, what):
        return ValueError(
            f"corruption={self.process!r} is called as corruption(x, sigma, generator) "
            f"and must return x_tilde, a finite tensor of the shape of x; but {what}."
        )


def repeated(x, n):
    """Return the rows so many times, one after the other."""
    return x.repeat(*[1] * (x.dim() - 2), n, 1)


def _checked_level(sigma):
    """Return the level as a number or an array, or refuse it."""
    if np.ndim(sigma) == 0:
        return sigma
    levels = np.asarray(sigma)
    is_numeric = levels.ndim == 1 and levels.size > 0 and levels.dtype.kind in "fiub"
    if not is_numeric or not np.all(np.isfinite(levels) & (levels >= 0)):
        raise ValueError(
            f"sigma={sigma!r} must be a number from 0 up, or one for each feature: a "
            "list of finite numbers."
        )
    return levels
