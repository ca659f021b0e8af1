"""Denoising adversarial autoencoders as scikit-learn estimators."""

from ._adversarial import AAETransformer, DAAETransformer, iDAAETransformer
from ._alice import ALICETransformer
from ._denoising import DAETransformer
from ._variational import DVAETransformer, VAETransformer

__all__ = [
    "AAETransformer",
    "ALICETransformer",
    "DAAETransformer",
    "DAETransformer",
    "DVAETransformer",
    "VAETransformer",
    "iDAAETransformer",
]
__version__ = "0.1.0"
