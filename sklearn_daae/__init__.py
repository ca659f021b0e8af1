"""Denoising adversarial autoencoders as scikit-learn estimators."""

from ._adversarial import AAETransformer
from ._denoising import DAETransformer
from ._denoising_adversarial import DAAETransformer
from ._denoising_variational import DVAETransformer
from ._integrating_adversarial import iDAAETransformer
from ._variational import VAETransformer

__all__ = [
    "AAETransformer",
    "DAAETransformer",
    "DAETransformer",
    "DVAETransformer",
    "VAETransformer",
    "iDAAETransformer",
]
__version__ = "0.1.0"
