"""Corruption processes c(x_tilde | x): ``(x, sigma, generator) -> x_tilde``."""

import torch


def gaussian(x, sigma, generator):
    """Add Gaussian noise of standard deviation `sigma`, without clipping.

    With ``sigma=0`` nothing is drawn from the generator, so that a model without
    corruption is the same model bit for bit. It is a copy even then: an encoder that
    works in place must not change the x that it is to reconstruct.
    """
    if sigma == 0:
        return x.clone()
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return noise.mul_(sigma).add_(x)


CORRUPTIONS = {"gaussian": gaussian}
