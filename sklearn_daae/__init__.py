"""Denoising adversarial autoencoders as scikit-learn estimators."""

from ._adversarial import AAETransformer, DAAETransformer, iDAAETransformer
from ._alice import ALICETransformer
from ._checkpoints import Checkpoint
from ._denoising import DAETransformer
from ._files import load, save
from ._variational import DVAETransformer, VAETransformer

__all__ = [
    "AAETransformer",
    "ALICETransformer",
    "Checkpoint",
    "DAAETransformer",
    "DAETransformer",
    "DVAETransformer",
    "VAETransformer",
    "iDAAETransformer",
    "load",
    "save",
]
__version__ = "0.1.0"
