"""Corruption processes c(x_tilde | x): ``(x, sigma, generator) -> x_tilde``.

x is a tensor of shape (n_samples, n_features) that belongs to the process, which may
work in place.
"""

import torch

from ._random import checking_generator


def gaussian(x, sigma, generator):
    """Add Gaussian noise of standard deviation `sigma`, without clipping."""
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return noise.mul_(sigma).add_(x)


def masking(x, sigma, generator):
    """Set each feature to 0 with probability `sigma`."""
    u = torch.rand(x.shape, generator=generator, device=x.device, dtype=torch.float32)
    return x.masked_fill_(u < sigma, 0)


def salt_and_pepper(x, sigma, generator):
    """Set each feature to 0 or 1, either as likely, with probability `sigma`."""
    u = torch.rand(x.shape, generator=generator, device=x.device, dtype=torch.float32)
    return x.masked_fill_(u < sigma, 1).masked_fill_(u < sigma / 2, 0)


CORRUPTIONS = {
    "gaussian": gaussian,
    "masking": masking,
    "salt_and_pepper": salt_and_pepper,
}
# Those of which sigma is a probability.
_PROBABILITIES = ("masking", "salt_and_pepper")


class Corruption:
    """A corruption process at its level.

    Parameters
    ----------
    process : str or callable
        A name of `CORRUPTIONS`, or a process of the user's own.

    sigma : float
        The level. At 0 those with a name corrupt nothing and draw nothing, so that a
        model without corruption is the same model bit for bit.

    Raises
    ------
    ValueError
        If the name is not known, or the level is not one of that process.
    """

    def __init__(self, process, sigma):
        if not callable(process):
            if not isinstance(process, str) or process not in CORRUPTIONS:
                known = ", ".join(map(repr, CORRUPTIONS))
                raise ValueError(
                    f"corruption={process!r} is not known. Use one of: {known}, or a "
                    "callable: corruption(x, sigma, generator), which returns x_tilde."
                )
            if process in _PROBABILITIES and sigma > 1:
                raise ValueError(
                    f"sigma={sigma!r} must be at most 1 with corruption={process!r}: "
                    "it is the probability that a feature is corrupted."
                )
        self.process = process
        self.sigma = sigma

    @property
    def is_own(self):
        """Whether the process is the user's own."""
        return callable(self.process)

    @property
    def is_identity(self):
        """Whether nothing is corrupted, as in an AAE."""
        return not self.is_own and self.sigma == 0

    def __call__(self, x, generator, n_draws=1):
        """Return `n_draws` corruptions of every row, (n_draws * n_samples, ...).

        The process gets a copy: neither it nor an encoder that works in place changes
        the x that is to be reconstructed.
        """
        x = x.repeat(n_draws, 1)
        if self.is_own:
            return self._like(x, self.process(x, self.sigma, generator))
        if self.is_identity:
            return x
        return CORRUPTIONS[self.process](x, self.sigma, generator)

    def check(self, n_features, device):
        """Try a process of the user's own.

        Raises
        ------
        ValueError
            If it fails, or does not return finite values in the shape of x.
        """
        if not self.is_own:
            return
        x = torch.full((2, n_features), 0.5, dtype=torch.float32, device=device)
        with checking_generator(device) as generator:
            try:
                x_tilde = self.process(x, self.sigma, generator)
            except Exception as error:
                raise self._refusal(f"it failed with: {error!r}") from error
        if not torch.isfinite(self._like(x, x_tilde)).all():
            raise self._refusal("it returned values that are not finite")

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
