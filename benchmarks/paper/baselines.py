"""What the models are compared with: PCA, as they are called."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA


def add_noise(X, sigma, random_state=None):
    """Return X with Gaussian noise of standard deviation `sigma`."""
    noise = np.random.default_rng(random_state).normal(size=X.shape)
    return X + sigma * noise.astype(np.float32)


class PCABaseline(BaseEstimator):
    """PCA with what the tables ask of a model.

    Its samples decode Gaussian codes of the components' variances.

    Parameters
    ----------
    n_components : int
        Number of components.

    sigma : float
        Level of the Gaussian noise that it reconstructs from.
    """

    def __init__(self, n_components, *, sigma):
        self.n_components = n_components
        self.sigma = sigma

    def fit(self, X, y=None):
        self.pca_ = PCA(self.n_components, random_state=0).fit(X)
        return self

    def transform(self, X):
        return self.pca_.transform(X)

    def reconstruct(self, X, *, corrupt=False, random_state=None):
        if corrupt:
            X = add_noise(X, self.sigma, random_state)
        return self.pca_.inverse_transform(self.pca_.transform(X))

    def sample(self, n_samples, random_state=None, *, n_steps=0):
        random = np.random.default_rng(random_state)
        Z = random.normal(size=(n_samples, self.n_components))
        Z *= np.sqrt(self.pca_.explained_variance_)
        return self.pca_.inverse_transform(Z)
