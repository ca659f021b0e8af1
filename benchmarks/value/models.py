"""What is compared: representations of data, all with nothing set but their size."""

from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA, KernelPCA
from sklearn.preprocessing import StandardScaler

from sklearn_daae import (
    AAETransformer,
    DAAETransformer,
    DAETransformer,
    DVAETransformer,
    VAETransformer,
    iDAAETransformer,
)


class Scaled(TransformerMixin, BaseEstimator):
    """A decomposition of features that were standardised, with what ours have."""

    def __init__(self, decomposition, scaler):
        self.decomposition = decomposition
        self.scaler = scaler

    def fit(self, X, y=None):
        self.decomposition.fit(self.scaler.fit_transform(X))
        return self

    def transform(self, X):
        return self.decomposition.transform(self.scaler.transform(X))

    def reconstruct(self, X):
        X_hat = self.decomposition.inverse_transform(self.transform(X))
        return self.scaler.inverse_transform(X_hat)

    def score_samples(self, X):
        difference = self.scaler.transform(X) - self.scaler.transform(
            self.reconstruct(X)
        )
        return -np.square(difference).mean(axis=1)


class Unscaled(StandardScaler):
    """Leaves X as it is."""

    def __init__(self):
        super().__init__(with_mean=False, with_std=False)


def pca(n_components, random_state, scaler=StandardScaler):
    """Return PCA of standardised features."""
    return Scaled(PCA(n_components, random_state=random_state), scaler())


def kernel_pca(n_components, random_state):
    """Return kernel PCA with the kernel of `SVC`, of standardised features."""
    decomposition = KernelPCA(
        n_components,
        kernel="rbf",
        fit_inverse_transform=True,
        random_state=random_state,
    )
    return Scaled(decomposition, StandardScaler())


def raw(n_components, random_state):
    """Return standardised features, all of them."""
    return StandardScaler()


# By name, called with `n_components` and `random_state`.
BASELINES = {
    "PCA": pca,
    "PCA, noisy copies": pca,  # for the classifier to learn from, beside clean rows
    "PCA, unscaled": partial(pca, scaler=Unscaled),
    "KernelPCA": kernel_pca,
    "raw features": raw,
}
OURS = {
    "DAAE": DAAETransformer,
    "iDAAE": iDAAETransformer,
    "AAE": AAETransformer,
    "DAE": DAETransformer,
    "VAE": VAETransformer,
    "DVAE": DVAETransformer,
}
MODELS = BASELINES | OURS
