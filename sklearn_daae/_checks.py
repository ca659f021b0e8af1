"""What values of parameters may be, beyond what scikit-learn's constraints express."""

import warnings
from contextlib import contextmanager
from inspect import Parameter, signature
from math import prod
from numbers import Integral, Real

import numpy as np
import torch
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ._sklearn_compat import check_sample_weight

_FEW_BYTES = 2**16


def as_pair(value):
    """Return the name and the options that a value stands for, or None."""
    pair = tuple(value) if isinstance(value, list | tuple) else (value, {})
    if len(pair) != 2 or not isinstance(pair[0], str) or not isinstance(pair[1], dict):
        return None
    name, options = pair
    return name, {
        key: option.tolist() if isinstance(option, np.ndarray | np.generic) else option
        for key, option in options.items()
    }


def split_choice(parameter, value, choices, example, otherwise=""):
    """Return the name and the options that a parameter's value stands for.

    Parameters
    ----------
    parameter : str
        Name of the parameter.

    value : str or (str, dict)
        Its value.

    choices : iterable of str
        The names that are known.

    example : str
        A pair, for the message.

    otherwise : str
        What else the value may be, for the message.

    Raises
    ------
    ValueError
        If the value is neither a known name nor a pair of one and a dict.
    """
    pair = as_pair(value)
    if pair is None or pair[0] not in choices:
        known = ", ".join(map(repr, choices))
        raise ValueError(
            f"{parameter}={value!r} is not known. Use one of: {known}, or a pair of "
            f"one and its options: {example}{otherwise}."
        )
    return pair


def check_options(parameter, value, options, function):
    """Refuse options that are no keyword-only parameters of a function.

    Raises
    ------
    ValueError
        If there is one.
    """
    known = [
        name
        for name, p in signature(function).parameters.items()
        if p.kind is Parameter.KEYWORD_ONLY
    ]
    unknown = [name for name in options if name not in known]
    if unknown:
        takes = f"It takes: {', '.join(known)}" if known else "It takes none"
        raise ValueError(
            f"{parameter}={value!r} has the unknown option {unknown[0]!r}. {takes}."
        )


def is_number(value, kind=Real):
    """Tell whether a value is a number of a kind. Python counts True as one."""
    return isinstance(value, kind) and not isinstance(value, bool | np.bool_)


def check_number(name, value, *, least):
    """Refuse what is no integer from `least` up."""
    if not is_number(value, Integral):
        kind = type(value).__name__
        raise TypeError(f"{name}={value!r} must be an integer, and is of type {kind}.")
    if value < least:
        raise ValueError(f"{name}={value!r} must be at least {least}.")


def check_flag(name, value):
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}={value!r} must be True or False.")


def check_layer_sizes(name, value):
    """Refuse what are no sizes of hidden layers."""
    if isinstance(value, str):  # "auto"
        return
    sizes = np.atleast_1d(np.asarray(value, dtype=object))
    if sizes.ndim > 1 or not all(is_number(s, Integral) and s >= 1 for s in sizes):
        raise ValueError(
            f"{name}={value!r} must be the sizes of the hidden layers, integers from 1 "
            "up, for example (1000, 1000)."
        )


def check_image_shape(value):
    """Refuse what is no (channels, height, width)."""
    sides = np.asarray(value, dtype=object)
    are_three = sides.shape == (3,)
    if not are_three or not all(is_number(n, Integral) and n >= 1 for n in sides):
        raise ValueError(
            f"image_shape={value!r} must be (channels, height, width), integers from 1 "
            "up, for example (1, 28, 28)."
        )


def check_image_size(image_shape, n_features):
    """Refuse a shape that is not that of the rows of X."""
    if prod(image_shape) != n_features:
        raise ValueError(
            f"image_shape={image_shape!r} has {prod(image_shape)} values, but X has "
            f"{n_features} features. Each row of X must be one image, flattened, "
            "channels first."
        )


def check_input_range(value):
    """Refuse what is no (low, high)."""
    bounds = np.asarray(value, dtype=object)
    is_pair = bounds.shape == (2,) and all(map(is_number, bounds))
    bounds = bounds.astype(float) if is_pair else bounds
    # Less than 256 steps of float32 in between would be a coarse image indeed.
    if (
        not is_pair
        or not np.isfinite(bounds).all()
        or bounds[1] - bounds[0] < 2**8 * np.spacing(np.float32(np.abs(bounds).max()))
    ):
        raise ValueError(
            f"input_range={value!r} must be (low, high), finite numbers with low < "
            "high, for example (0, 255), and further apart than float32 can resolve."
        )


def callback_of(value):
    """Return the callback that a value is, or is a pair of a name and."""
    return value[1] if isinstance(value, tuple) and len(value) == 2 else value


def check_callback(value):
    """Refuse what is no callback of skorch's, or pair of a name and one."""
    callback = callback_of(value)
    kind = callback if isinstance(callback, type) else type(callback)
    if not issubclass(kind, Callback):
        raise ValueError(
            f"callbacks must hold skorch callbacks, or pairs of a name and one, but it "
            f"holds {value!r}. scikit-learn's callbacks are set with set_callbacks."
        )


def check_n_components(Z, name, kind, n_components):
    """Refuse codes that are of another model."""
    if Z.shape[1] != n_components:
        raise ValueError(
            f"{name} has {Z.shape[1]} features, but {kind} was fitted with "
            f"n_components={n_components}. Give codes as transform returns them."
        )


def refuse_change(name, before, now):
    """Refuse to go on with another value of a parameter."""
    raise ValueError(
        f"{name} has changed from {before!r} to {now!r}, but the networks and "
        f"optimisers that training goes on with were made with the former. Set {name} "
        "back, or start anew: call fit with warm_start=False."
    )


def network_of(name, own):
    """Return the network of a fitted estimator that is given for one, or what else is.

    Parameters
    ----------
    name : {"encoder", "decoder", "discriminator"}
        The parameter.

    own : object
        Its value.
    """
    fitted = own.estimator if isinstance(own, FrozenEstimator) else own
    if not isinstance(fitted, BaseEstimator):
        return own
    network = getattr(fitted, f"{name}_", None)
    if network is None:
        raise ValueError(
            f"{name}={own!r} has no {name}_ to begin from: it is not fitted, or of "
            "another kind. Fit it first; and where it is cloned, as in a search, give "
            "FrozenEstimator(estimator) of sklearn.frozen, which stays fitted."
        )
    return network


def warn_of_many_components(n_components, n_features):
    """Warn of codes that are longer than what they stand for."""
    if n_components > n_features:
        warnings.warn(
            f"n_components={n_components} is more than the {n_features} features of X: "
            "codes of fewer are enough.",
            stacklevel=6,
        )


def as_numpy(X):
    """Return what is read of X: of a tensor, its values on the CPU."""
    if not isinstance(X, torch.Tensor):
        return X
    X = X.detach().cpu()
    return (X.float() if X.dtype == torch.bfloat16 else X).numpy()  # NumPy lacks that


def as_given(X, values, out=None):
    """Return an array as X is one: a tensor, where array API dispatch is on.

    Unless it is `out`, the user's own.
    """
    is_tensor = out is None and isinstance(X, torch.Tensor)
    if is_tensor and get_config().get("array_api_dispatch"):
        return torch.from_numpy(values).to(X.device)
    return values


def to_fill(out, shape, dtype):
    """Return an array to write into: a new one, or the user's.

    Raises
    ------
    TypeError
        If that is no array.

    ValueError
        If it is of another shape, may not be written to, or cannot hold the values.
    """
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(
            f"out must be a NumPy array or memmap, and is of type {type(out).__name__}."
        )
    holds = out.dtype.kind == "f" and np.can_cast(dtype, out.dtype, "same_kind")
    if out.shape != tuple(shape) or not out.flags.writeable or not holds:
        kind = "" if out.flags.writeable else "read-only "
        raise ValueError(
            f"out is a {kind}{out.dtype} array of shape {out.shape}, but must be one "
            f"of {np.dtype(dtype)}, of shape {tuple(shape)}, that can be written to."
        )
    return out


@contextmanager
def naming(parameter):
    """Begin what scikit-learn says of an array with the parameter that it is of."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{parameter}: {error}") from None


@contextmanager
def naming_what_allows_nan(kind):
    """Say of NaN in X what to do about it here, in place of what scikit-learn says."""
    try:
        yield
    except ValueError as error:
        if "contains NaN" not in str(error):
            raise
        raise ValueError(
            f"Input X contains NaN. Fit {kind} with missing_values='mask', which "
            "learns from the values that are there, or fill X before, as by "
            "sklearn_daae.impute.AutoencoderImputer."
        ) from None


def needs_no_check(X, n_features):
    """Tell whether X is a small array of finite numbers that float32 can hold.

    What scikit-learn does to find that takes longer than a network does with a row.
    """
    return (
        type(X) is np.ndarray
        and X.dtype in (np.float64, np.float32)
        and X.ndim == 2
        and X.shape[1] == n_features
        and 0 < X.nbytes <= _FEW_BYTES
        and X.flags.c_contiguous
        # The sum of all squares, NaN or infinite where one of them is.
        and np.vdot(X, X) < np.finfo(np.float32).max
    )


def has_whole_rows(X):
    """Tell whether each row of an array is one piece of memory.

    As in views of a signal's windows, whose rows overlap: they are not copied.
    """
    return isinstance(X, np.ndarray) and X.ndim == 2 and X.strides[1] == X.itemsize


def check_kind(X):
    """Refuse what holds rows, but is not read as an array, and say what is.

    Raises
    ------
    TypeError
        If it is a data set or a loader of torch's, a tensor within a graph, a lazy
        frame, or has dates and times.

    ValueError
        If it has more than two axes.
    """
    if getattr(X, "ndim", 0) > 2:
        raise ValueError(
            f"Found array with dim {X.ndim}, of shape {tuple(X.shape)}, but X must be "
            "of 2, one row a sample. Give X.reshape(len(X), -1), and the shape of "
            "images, channels first, by image_shape. Where channels come last: "
            "X.transpose(0, 3, 1, 2).reshape(len(X), -1)."
        )
    kind = type(X).__name__
    if isinstance(X, DataLoader | Dataset | IterableDataset):
        raise TypeError(
            f"X is a {kind}, but must be an array of all rows. Give the array that it "
            "was made of, or call partial_fit with the rows of each batch."
        )
    if isinstance(X, torch.Tensor) and X.requires_grad:
        raise TypeError("X is a tensor that requires a gradient. Give X.detach().")
    if hasattr(X, "collect_schema") and hasattr(X, "collect"):
        raise TypeError(f"X is a {kind}, of which nothing is read. Give X.collect().")
    types = getattr(X, "dtypes", None)  # of a data frame
    if not np.iterable(types):  # a column of one has that of its own
        types = [getattr(X, "dtype", None)]
    names = getattr(X, "columns", ["X"])
    for name, dtype in zip(names, types, strict=False):
        is_temporal = getattr(dtype, "is_temporal", lambda: False)  # of polars
        if getattr(dtype, "kind", None) in ("m", "M") or is_temporal():
            raise TypeError(
                f"{name!r} holds dates or times, {dtype}, not numbers. Give what the "
                "model is to see of them, such as the hour of the day, or the seconds "
                "since the first."
            )


def as_weight(sample_weight, n_in_all, n_rows):
    """Return weights of the first of all rows of X, whose mean is 1, or None."""
    if sample_weight is None:
        return None
    with naming("sample_weight"):
        rows = np.broadcast_to(0.0, (n_in_all, 1))  # of which only the number counts
        weight = check_sample_weight(sample_weight, rows, dtype=np.float64)[:n_rows]
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight has the negative value {weight.min():g}. Weights are 0 or "
            "more."
        )
    n_counted = int((weight > 0).sum())
    if n_counted == 0:
        raise ValueError(
            "sample_weight is 0 for every row that is trained on. Give at least one of "
            "them a positive weight."
        )
    if (weight == weight[0]).all():
        return None
    # As if those without a weight were not there.
    return weight * (n_counted / weight.sum())
