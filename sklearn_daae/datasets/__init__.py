"""The data sets of the paper, in the manner of scikit-learn's fetchers."""

from ._celeba import fetch_celeba
from ._mnist import fetch_mnist
from ._omniglot import fetch_omniglot
from ._sprites import fetch_sprites

__all__ = ["fetch_celeba", "fetch_mnist", "fetch_omniglot", "fetch_sprites"]
