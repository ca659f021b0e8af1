"""Missing values, estimated by what a model reconstructs in their place."""

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin
from sklearn.impute import MissingIndicator
from sklearn.utils.validation import check_is_fitted, validate_data

from ._base import BaseAutoencoder
from ._denoising import DAETransformer
from ._pipelines import seeded_clone
from ._random import RandomState
from ._sklearn_compat import LinkedToReference, check_feature_names_in

__all__ = ["AutoencoderImputer"]


class AutoencoderImputer(
    LinkedToReference, TransformerMixin, MetaEstimatorMixin, BaseEstimator
):
    """Replaces missing values by a model's reconstruction of them.

    The model is trained on the values that are there (its ``missing_values="mask"``).
    A row is then reconstructed with the means of the features in place of what it
    lacks; values that are there stay as they are.

    Parameters
    ----------
    estimator : estimator, default=None
        A model of this package, unfitted. None is ``DAETransformer(corruption=
        "masking", sigma=0.3)``, which learns to reconstruct rows of which a part is
        replaced by the means, with 10 components, or one fewer than there are features.

    missing_values : int, float or nan, default=nan
        What stands for a missing value.

    add_indicator : bool, default=False
        Whether to append, as columns of 0 and 1, which values were missing, of the
        features that had such in :meth:`fit`.

    keep_empty_features : bool, default=False
        Whether to keep features of which :meth:`fit` has seen no value, as 0. They are
        dropped otherwise.

    random_state : int, RandomState instance or None, default=None
        Seeds the model, in place of what it has itself. Pass an int for the same
        result at every fit.

    Attributes
    ----------
    estimator_ : estimator
        The fitted model, of the features of which a value was seen.

    indicator_ : MissingIndicator or None
        What `add_indicator` appends.

    n_features_in_ : int
        Number of features seen during :meth:`fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    See Also
    --------
    sklearn_daae.DAETransformer.reconstruct : Estimates missing values of a model.
    sklearn.impute.KNNImputer : Takes the mean of the nearest rows.
    sklearn.impute.IterativeImputer : Predicts each feature from the others in turn.

    Notes
    -----
    How it compares with others is drawn in
    :doc:`/auto_examples/plot_missing_values`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_daae.impute import AutoencoderImputer
    >>> X, _ = load_iris(return_X_y=True)
    >>> damaged = X.copy()
    >>> damaged[::3, 2] = np.nan
    >>> filled = AutoencoderImputer(random_state=0).fit_transform(damaged)
    >>> bool(np.abs(filled - X)[::3, 2].mean() < X[:, 2].std() / 4)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [BaseAutoencoder, None],
        "missing_values": [Real],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        missing_values: float = np.nan,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.missing_values = missing_values
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Train the model on the values that are there.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training data.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or a parameter is not valid, no value of X is there, or the training
            diverges, as in :meth:`~sklearn_daae.DAETransformer.fit` of a model.
        """
        self._validate_params()
        values, missing = self._read(X, reset=True)
        self._is_empty = missing.all(axis=0)
        if self._is_empty.all():
            raise ValueError("Every value of X is missing: there is nothing to learn.")
        self.indicator_ = None
        if self.add_indicator:
            # Of what is left of them, when some other value stands for missing ones.
            self.indicator_ = MissingIndicator(error_on_new=False).fit(values)
        known = values[:, ~self._is_empty]
        estimator = seeded_clone(self._unfitted(known.shape[1]), self.random_state)
        self.estimator_ = estimator.set_params(missing_values="mask").fit(known)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Return X with what is missing replaced.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data.

        Returns
        -------
        X_filled : ndarray of shape (n_samples, n_features_out)
            Complete, in the units of X, and followed by the indicators where they are
            asked for.

        Raises
        ------
        NotFittedError
            If the imputer is not fitted.

        ValueError
            If X is not valid, or has other features than :meth:`fit` has seen.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAETransformer
        >>> from sklearn_daae.impute import AutoencoderImputer
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAETransformer(2, max_epochs=10, random_state=0)
        >>> imputer = AutoencoderImputer(model).fit(X)
        >>> filled = imputer.transform([[5.1, 3.5, np.nan, 0.2]])
        >>> bool(filled[0, 2] < X[:, 2].mean())  # like that of others with small petals
        True
        """
        check_is_fitted(self)
        values, missing = self._read(X, reset=False)
        kept = ~self._is_empty
        known, missing_known = values[:, kept], missing[:, kept]
        rows = missing_known.any(axis=1)
        if rows.any():
            estimate = self.estimator_.reconstruct(known[rows])
            known = known.copy()
            known[rows] = np.where(missing_known[rows], estimate, known[rows])
        out = known
        if self.keep_empty_features:
            out = np.zeros_like(values)
            out[:, kept] = known
        if self.indicator_ is None:
            return out
        return np.hstack([out, self.indicator_.transform(values)])

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> np.ndarray:
        """Return the names of the columns that `transform` gives.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the features of X. By default those seen in :meth:`fit`, or x0, x1
            and so on.

        Returns
        -------
        names : ndarray of str
            Those of the features that are kept, and then of the indicators.

        Raises
        ------
        NotFittedError
            If the imputer is not fitted.

        ValueError
            If there are not as many names as features, or others than in :meth:`fit`.
        """
        check_is_fitted(self)
        names = check_feature_names_in(self, input_features)
        kept = names if self.keep_empty_features else names[~self._is_empty]
        if self.indicator_ is None:
            return kept
        return np.concatenate([kept, self.indicator_.get_feature_names_out(names)])

    def _unfitted(self, n_features):
        """Return the model to train."""
        if self.estimator is not None:
            return self.estimator
        n_components = min(10, max(1, n_features - 1))
        return DAETransformer(n_components, corruption="masking", sigma=0.3)

    def _read(self, X, *, reset):
        """Return X, with NaN where values are missing, and where that is."""
        is_nan = np.isnan(self.missing_values)
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan" if is_nan else True,
        )
        missing = np.isnan(X) if is_nan else self.missing_values == X
        return (X if is_nan else np.where(missing, np.nan, X)), missing

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = bool(np.isnan(self.missing_values))
        return tags
