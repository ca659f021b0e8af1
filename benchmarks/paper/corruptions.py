"""Corruptions of our own, for the models that are tuned."""

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import affine_grid, grid_sample


@dataclass(frozen=True)
class MovedImages:
    """Square images moved a little, each its own way, and then noise.

    The noise is Gaussian, its standard deviation drawn for each image, uniformly from
    [0, sigma]: so the encoder sees clean images, too, and it is clean ones that it is
    to give features of.

    Parameters
    ----------
    side : int
        Rows, and columns, of an image.

    shift : float
        The most that an image is moved by along each axis, in pixels.

    degrees : float
        The most that it is turned by.

    stretch : float
        The most that it is scaled by, as a logarithm, and sheared by.
    """

    side: int
    shift: float
    degrees: float
    stretch: float

    def __call__(self, x, sigma, generator):
        options = {"generator": generator, "device": x.device}
        u = 2 * torch.rand(len(x), 5, **options) - 1
        angle = math.radians(self.degrees) * u[:, 0]
        size = torch.exp(self.stretch * u[:, 1])
        # Half the side is 1 to `affine_grid`.
        right, down = 2 * self.shift / self.side * u[:, 3:].T
        cos, sin = size * angle.cos(), size * angle.sin()
        rows = (cos, self.stretch * u[:, 2] - sin, right), (sin, cos, down)
        maps = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
        images = x.reshape(len(x), 1, self.side, self.side)
        grid = affine_grid(maps, [*images.shape], align_corners=False)
        moved = grid_sample(images, grid, align_corners=False).reshape(x.shape)
        level = sigma * torch.rand(len(x), 1, **options)
        return moved.add_(torch.randn(x.shape, **options).mul_(level))
