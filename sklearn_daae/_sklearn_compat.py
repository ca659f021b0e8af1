"""Everything of scikit-learn that is private or newer than the oldest one supported."""

import re
from inspect import cleandoc

from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_params,
)
from sklearn.utils.metaestimators import _safe_split as safe_split
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in where scikit-learn has no callbacks."""

        def _init_callback_context(self, **kwargs):
            return None

    def with_callbacks(method):
        return method


class LinkedToReference:
    """Has the HTML representation of an estimator link to its page of our reference."""

    _doc_link_module = "sklearn_daae"
    _doc_link_template = (
        "https://sklearn-daae.readthedocs.io/en/stable/reference/"
        "{estimator_module}.{estimator_name}.html"
    )


def has_callbacks(estimator):
    """Tell whether an estimator has callbacks of scikit-learn's."""
    return bool(getattr(estimator, "_skl_callbacks", None))


def passes_callbacks_on(estimator, depth):
    """Tell whether some of its callbacks reach what is fitted so deep within it."""
    limits = [
        getattr(callback, "max_propagation_depth", 0)
        for callback in getattr(estimator, "_skl_callbacks", ())
    ]
    return any(limit is None or limit >= depth for limit in limits)


# References within scikit-learn's own pages, which lead nowhere from ours.
_REFERENCE = re.compile(r":(ref|term):`([^`<]+?)(\s*<[^`]+>)?`")


def with_sections_of(theirs, ours):
    """Return our docstring with what theirs says of parameters and attributes."""

    def said(reference):
        role, text, target = reference.groups()
        return "scikit-learn's user guide" if role == "ref" and not target else text

    # Since Python 3.13 docstrings have lost their indentation already.
    theirs = _REFERENCE.sub(said, cleandoc(theirs))
    start, stop = (theirs.index(f"{s}\n---") for s in ("Parameters", "Examples"))
    own, example = cleandoc(ours).split("Examples\n")
    return f"{own}{theirs[start:stop]}Examples\n{example}\n"


__all__ = [
    "CallbackSupportMixin",
    "Interval",
    "InvalidParameterError",
    "LinkedToReference",
    "StrOptions",
    "check_feature_names_in",
    "check_sample_weight",
    "has_callbacks",
    "passes_callbacks_on",
    "safe_indexing",
    "safe_split",
    "validate_params",
    "with_callbacks",
    "with_sections_of",
]
