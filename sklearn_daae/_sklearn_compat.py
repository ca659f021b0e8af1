"""Everything of scikit-learn that is private or newer than the oldest one supported."""

import numpy as np
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_params,
)
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_sample_weight

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in where scikit-learn has no callbacks."""

        def _init_callback_context(self, **kwargs):
            return None

    def with_callbacks(method):
        return method


def check_sample_weight(sample_weight, X):
    """Return the weights of the rows of X as an array, none of them negative."""
    try:
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, copy=True)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"sample_weight: {error}") from None
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight has the negative value {weight.min():g}. Weights are 0 or "
            "more."
        )
    return weight


__all__ = [
    "CallbackSupportMixin",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "check_feature_names_in",
    "check_sample_weight",
    "validate_params",
    "with_callbacks",
]
