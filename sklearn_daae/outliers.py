"""Outlier detection by what a model cannot reconstruct."""

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, OutlierMixin
from sklearn.decomposition import PCA
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from ._denoising import DAETransformer
from ._pipelines import find_autoencoder, seeded_clone
from ._random import RandomState
from ._sklearn_compat import Interval, LinkedToReference

__all__ = ["AutoencoderOutlierDetector"]

# Directions that residuals are whitened in; what is left over counts as one size.
_N_DIRECTIONS = 100
# What is taken of each direction's variance, and what of the mean over all.
_SHRINKAGE = 0.03


class AutoencoderOutlierDetector(
    LinkedToReference, OutlierMixin, MetaEstimatorMixin, BaseEstimator
):
    """Detects rows that a model reconstructs badly, or whose codes are far off.

    Parameters
    ----------
    estimator : estimator or Pipeline, default=None
        A model of this package, or a pipeline that holds one, unfitted. None is
        ``DAETransformer()``.

    contamination : float, default=0.1
        The part of the training data that are outliers: the threshold is such that as
        many are found among them. In (0, 0.5].

    random_state : int, RandomState instance or None, default=None
        Seeds the model, in place of what it has itself. Pass an int for the same
        result at every fit.

    Attributes
    ----------
    estimator_ : estimator or Pipeline
        The fitted one.

    offset_ : float
        What is subtracted from :meth:`score_samples` to give
        :meth:`decision_function`.

    n_features_in_ : int
        Number of features seen during :meth:`fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    See Also
    --------
    sklearn_daae.DAETransformer.score_samples : The errors of reconstructions alone.
    sklearn.ensemble.IsolationForest : Isolates rows by random trees.

    Notes
    -----
    With the residual e of a row, and its code z, the score is ``-log(1 + d(e) / a) -
    log(1 + d(z) / b) / 2``. Here d is the squared Mahalanobis distance from the
    training data's, and a and b its medians there. How it was chosen, and what it comes
    to beside others, stands in :doc:`/value`.

    A model reconstructs its training rows better than others, so that of rows that it
    has not seen more than `contamination` are beyond the threshold: of digits, 40 % for
    0.1. Where their part matters, compare :meth:`score_samples` with a quantile of that
    of rows held out.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_daae.outliers import AutoencoderOutlierDetector
    >>> X, y = load_digits(return_X_y=True)
    >>> ones = AutoencoderOutlierDetector(random_state=0).fit(X[y == 1])
    >>> float(np.mean(ones.predict(X[y == 0]) == -1))
    1.0
    """

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [BaseEstimator, None],
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        contamination: float = 0.1,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.contamination = contamination
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Train the model, and learn what its residuals and codes are like.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training data, most of which are no outliers.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or a parameter is not valid, or the training diverges, as in
            :meth:`~sklearn_daae.DAETransformer.fit` of a model.

        TypeError
            If `estimator` neither is nor holds a model of this package, or X is of a
            kind that is not read as an array.
        """
        self._validate_params()
        validate_data(self, X, skip_check_array=True)
        self.estimator_ = seeded_clone(self._unfitted(), self.random_state).fit(X)
        residuals, codes = self._residuals_and_codes(X)
        self._of_residuals = _Distance(residuals)
        self._of_codes = _Distance(codes)
        scores = self._scores(residuals, codes)
        self.offset_ = float(np.percentile(scores, 100 * self.contamination))
        return self

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return how much a row is like the training data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            At most 0, without a unit. Higher is more normal.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.

        ValueError
            If X is not valid, or has other features than :meth:`fit` has seen.

        See Also
        --------
        decision_function : The same beside the threshold.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAETransformer
        >>> from sklearn_daae.outliers import AutoencoderOutlierDetector
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAETransformer(2, max_epochs=10, random_state=0)
        >>> detector = AutoencoderOutlierDetector(model).fit(X)
        >>> bool(detector.score_samples(X[:1]) > detector.score_samples(X[:1] + 10))
        True
        """
        check_is_fitted(self)
        if getattr(X, "ndim", 2) == 2:  # else the model says what is wrong
            validate_data(self, X, reset=False, skip_check_array=True)
        return self._scores(*self._residuals_and_codes(X))

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Return the score of each row, less that of the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data.

        Returns
        -------
        decision : ndarray of shape (n_samples,)
            Below 0 for outliers.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.

        ValueError
            If X is not valid, or has other features than :meth:`fit` has seen.

        See Also
        --------
        score_samples : The score itself.
        predict : Its sign.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAETransformer
        >>> from sklearn_daae.outliers import AutoencoderOutlierDetector
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAETransformer(2, max_epochs=10, random_state=0)
        >>> detector = AutoencoderOutlierDetector(model).fit(X)
        >>> bool(detector.decision_function(X[:1] + 10) < 0)
        True
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Tell outliers from the rest.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            -1 for outliers, 1 for the rest.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.

        ValueError
            If X is not valid, or has other features than :meth:`fit` has seen.

        See Also
        --------
        decision_function : By how much they are.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAETransformer
        >>> from sklearn_daae.outliers import AutoencoderOutlierDetector
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAETransformer(2, max_epochs=10, random_state=0)
        >>> detector = AutoencoderOutlierDetector(model).fit(X)
        >>> detector.predict(X[:3] + 10)
        array([-1, -1, -1])
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _unfitted(self):
        """Return the model to train."""
        return DAETransformer() if self.estimator is None else self.estimator

    def _residuals_and_codes(self, X):
        """Return what is wrong with each reconstruction, in units of X's scale."""
        model, seen = find_autoencoder(self.estimator_, X)
        rows, ask = model._rows(seen), model._trained
        return ask.residuals(rows), ask.encode(rows)

    def _scores(self, residuals, codes):
        off, away = self._of_residuals(residuals), self._of_codes(codes)
        return -np.log1p(off) - np.log1p(away) / 2

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        of_model = get_tags(self._unfitted()).input_tags
        tags.input_tags.sparse = of_model.sparse
        tags.input_tags.allow_nan = of_model.allow_nan
        return tags


class _Distance:
    """The squared Mahalanobis distance from some rows, in units of its median there.

    The covariance is that of their first principal components, and one number for all
    else; each variance is drawn towards the mean.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_columns)
    """

    def __init__(self, rows):
        self.median = 1.0
        n_directions = min(_N_DIRECTIONS, *rows.shape)
        self.pca = PCA(n_directions, random_state=0)
        rows = rows.astype(np.float64)
        self.pca.fit(rows)
        mean = max(rows.var(axis=0).mean(), np.finfo(np.float64).tiny)
        own = 1 - _SHRINKAGE
        self.variances = own * self.pca.explained_variance_ + _SHRINKAGE * mean
        self.rest = own * self.pca.noise_variance_ + _SHRINKAGE * mean
        self.median = max(np.median(self(rows)), np.finfo(np.float64).tiny)

    def __call__(self, rows):
        """Return the distance of each row."""
        along = self.pca.transform(rows.astype(np.float64))
        beside = np.square(rows - self.pca.mean_).sum(1) - np.square(along).sum(1)
        distance = (np.square(along) / self.variances).sum(1)
        return (distance + np.maximum(beside, 0) / self.rest) / self.median
