"""Priors p(z): ``(n_samples, n_components, generator) -> z``."""

import torch


def normal(n_samples, n_components, generator):
    """Draw from the standard normal distribution."""
    return torch.randn(
        n_samples, n_components, generator=generator, device=generator.device
    )


PRIORS = {"normal": normal}
