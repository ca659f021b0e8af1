"""Denoising adversarial autoencoders as scikit-learn estimators."""

from ._adversarial import DAAETransformer, iDAAETransformer

__all__ = ["DAAETransformer", "iDAAETransformer"]
__version__ = "0.1.0"
