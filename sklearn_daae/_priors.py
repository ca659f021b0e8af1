"""Priors p(z): ``(n_samples, n_components, generator) -> z``.

The generator is torch's, on the device where z is wanted.
"""

from functools import partial

import numpy as np
import torch

from ._choices import check_options, split_choice
from ._random import checking_generator


def normal(n_samples, n_components, generator):
    """Draw from the standard normal distribution."""
    return torch.randn(
        n_samples, n_components, generator=generator, device=generator.device
    )


def uniform(n_samples, n_components, generator, *, low=-1.0, high=1.0):
    """Draw from the uniform distribution on [low, high) in each component."""
    z = torch.rand(
        n_samples, n_components, generator=generator, device=generator.device
    )
    return z.mul_(high - low).add_(low)


def ring(n_samples, n_components, generator, *, n_modes=10, radius=4.0, scale=0.5):
    """Draw from 2-D Gaussians whose means are equally spaced on a circle.

    A single component is the ring seen from the side, its first coordinate:
    scikit-learn's checks ask for that of every estimator.
    """
    if n_components > 2:
        raise ValueError("the ring lies in a plane, so that n_components must be 2")
    modes = torch.randint(
        n_modes, (n_samples,), generator=generator, device=generator.device
    )
    angles = modes * (2 * np.pi / n_modes)
    means = radius * torch.stack([angles.cos(), angles.sin()], dim=1)
    return means.add_(normal(n_samples, 2, generator), alpha=scale)[:, :n_components]


PRIORS = {"normal": normal, "uniform": uniform, "ring": ring}


class Prior:
    """The prior of a model.

    Parameters
    ----------
    prior : str, (str, dict), object with `rvs` or `resample`, or callable
        The parameter `prior` of an estimator.

    n_components : int
        Size of a code.

    Raises
    ------
    ValueError
        If it is not known.
    """

    def __init__(self, prior, n_components):
        self.prior = prior
        self.n_components = n_components
        self.is_own = True
        if hasattr(prior, "rvs"):
            self._draw = partial(_draw_on_host, prior.rvs)
        elif hasattr(prior, "resample"):  # scipy.stats.gaussian_kde
            self._draw = partial(_draw_on_host, partial(_resample, prior))
        elif callable(prior):
            self._draw = prior
        else:
            example = "('ring', {'radius': 2.0})"
            name, options = split_choice("prior", prior, PRIORS, example)
            check_options("prior", prior, options, PRIORS[name])
            self._draw = partial(PRIORS[name], **options)
            self.is_own = False

    def __call__(self, n_samples, generator):
        """Return codes of shape (n_samples, n_components), float32."""
        z = self._draw(n_samples, self.n_components, generator)
        return torch.as_tensor(z, dtype=torch.float32, device=generator.device)

    def check(self, device):
        """Refuse a prior that cannot be drawn from.

        Raises
        ------
        ValueError
            If it fails, is of the wrong dimension or draws what is not finite.
        """
        with checking_generator(device) as generator:
            for n_samples in (1, 100):
                try:
                    z = self(n_samples, generator)
                except Exception as error:
                    raise ValueError(
                        f"prior={self.prior!r} cannot be drawn from with n_components="
                        f"{self.n_components}: {error}"
                    ) from error
                if z.shape != (n_samples, self.n_components):
                    raise ValueError(
                        f"prior={self.prior!r} draws codes of shape {tuple(z.shape)} "
                        f"where {(n_samples, self.n_components)} is needed. Use a "
                        f"prior of n_components={self.n_components} dimensions, or "
                        "set n_components to the prior's."
                    )
                if not torch.isfinite(z).all():
                    raise ValueError(
                        f"prior={self.prior!r} draws values that are not finite."
                    )


def _draw_on_host(rvs, n_samples, n_components, generator):
    """Draw by ``rvs(size=, random_state=)``, as SciPy's distributions do.

    A one-dimensional distribution is that of every component.
    """
    # One number goes to the host, where such distributions are drawn from anyway.
    seed = torch.randint(2**31, (), generator=generator, device=generator.device)
    # A single draw would not tell the two kinds apart: SciPy drops its first axis.
    z = np.asarray(rvs(size=n_samples + 1, random_state=seed.item()))
    if z.ndim > 1:
        return z[:n_samples]
    if n_components > 1:
        z = rvs(size=n_samples * n_components, random_state=seed.item())
    return np.reshape(z[: n_samples * n_components], (n_samples, n_components))


def _resample(kde, size, random_state):
    return kde.resample(size=size, seed=random_state).T
