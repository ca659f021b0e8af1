"""Priors p(z): ``(n_samples, n_components, generator) -> z``.

The generator is torch's, on the device where z is wanted.
"""

from functools import partial
from numbers import Integral

import numpy as np
import torch

from .. import _random
from .._checks import check_options, split_choice
from .._random import Generators, Shard, checking_generator


def normal(n_samples, n_components, generator):
    """Draw from the standard normal distribution."""
    return _random.normal((n_samples, n_components), generator)


def uniform(n_samples, n_components, generator, *, low=-1.0, high=1.0):
    """Draw from the uniform distribution on [low, high) in each component."""
    if not low < high:
        raise ValueError("low must be a number less than high")
    z = _random.uniform((n_samples, n_components), generator)
    return z.mul_(high - low).add_(low)


def ring(n_samples, n_components, generator, *, n_modes=10, radius=4.0, scale=0.5):
    """Draw from 2-D Gaussians whose means are equally spaced on a circle.

    A single component is the ring's first coordinate: scikit-learn's checks set
    n_components to 1.
    """
    if not isinstance(n_modes, Integral) or n_modes < 1:
        raise ValueError("n_modes must be an integer from 1 up")
    if not (radius >= 0 and scale >= 0):
        raise ValueError("radius and scale must not be negative")
    if n_components > 2:
        raise ValueError("the ring lies in a plane, so that n_components must be 2")
    modes = _random.integers(0, n_modes, (n_samples,), generator)
    angles = modes.float() * (2 * np.pi / n_modes)
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
            self._draw = _Distribution(prior.rvs)
            self._call = "rvs(size=..., random_state=...), with integers,"
        elif hasattr(prior, "resample"):  # scipy.stats.gaussian_kde
            self._draw = _Distribution(partial(_resample, prior))
            self._call = "resample(size=..., seed=...)"
        elif callable(prior):
            self._draw = prior
            self._call = "prior(n_samples, n_components, generator)"
        else:
            name, options = split_choice(
                "prior",
                prior,
                PRIORS,
                "('ring', {'radius': 2.0})",
                ", an object with rvs(size=..., random_state=...), such as a frozen "
                "distribution of scipy.stats, or a callable: prior(n_samples, "
                "n_components, generator)",
            )
            check_options("prior", prior, options, PRIORS[name])
            self._draw = partial(PRIORS[name], **options)
            self.is_own = False

    def __call__(self, n_samples, generator):
        """Return codes of shape (n_samples, n_components), float32; of each of K."""
        if isinstance(generator, Generators):
            return torch.stack([self(n_samples, own) for own in generator])
        if isinstance(generator, Shard):
            share = generator.share
            return share.own(self(share.n_rows, generator.of_all))
        z = self._draw(n_samples, self.n_components, generator)
        return self._as_codes(z, n_samples, generator.device)

    def __getstate__(self):
        """Save what it was made of: what it draws by is made anew."""
        return {"prior": self.prior, "n_components": self.n_components}

    def __setstate__(self, state):
        self.__init__(**state)

    def check(self, device):
        """Try to draw from it.

        Raises
        ------
        ValueError
            If it fails, is of the wrong dimension or draws what is not finite.
        """
        for n_samples in (100, 1):
            trial = checking_generator(device, draws_globally=self.is_own)
            try:
                with trial as generator:
                    z = self._draw(n_samples, self.n_components, generator)
            except Exception as error:
                raise self._refusal(error) from error
            if not torch.isfinite(self._as_codes(z, n_samples, device)).all():
                raise self._refusal("it returned values that are not finite")

    def _as_codes(self, z, n_samples, device):
        """Return what was drawn as a tensor."""
        z = z.detach() if isinstance(z, torch.Tensor) else np.asarray(z)
        shape = n_samples, self.n_components
        if z.shape != shape:
            raise self._refusal(
                f"it returned codes of shape {tuple(z.shape)} where {shape} is needed"
            )
        try:
            return torch.as_tensor(z, dtype=torch.float32, device=device)
        except TypeError as error:
            raise self._refusal(error) from error

    def _refusal(self, what):
        how = ""
        if self.is_own:
            how = (
                f" It is called as {self._call} and must return n_samples codes of "
                "n_components finite values each."
            )
        return ValueError(
            f"prior={self.prior!r} cannot be drawn from with n_components="
            f"{self.n_components}: {what}.{how}"
        )


class _Distribution:
    """Draws by ``rvs(size=, random_state=)``, as SciPy's distributions do.

    One of one dimension is that of every component.
    """

    def __init__(self, rvs):
        self.rvs = rvs
        self.n_axes = None

    def __call__(self, n_samples, n_components, generator):
        if self.n_axes is None:
            self.n_axes = self._count_axes()
        # One number goes to the host, where such distributions are drawn from anyway.
        seed = torch.randint(2**31, (), generator=generator, device=generator.device)
        size = (n_samples, n_components) if self.n_axes == 1 else n_samples
        z = np.asarray(self.rvs(size=size, random_state=seed.item()))
        # SciPy drops the axis of a single sample, or component.
        is_flat = z.ndim < 2 and 1 in (n_samples, n_components)
        return z.reshape(n_samples, -1) if is_flat else z

    def _count_axes(self):
        """Return the axes of two draws: one, where each is a number."""
        try:
            return np.ndim(self.rvs(size=2, random_state=0))
        except ValueError:  # numbers of as many kinds as there are components
            return 1


def _resample(kde, size, random_state):
    return kde.resample(size=size, seed=random_state).T
