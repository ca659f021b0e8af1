"""What values of parameters may be, beyond what scikit-learn's constraints express."""

from inspect import Parameter, signature
from math import prod
from numbers import Integral, Real

import numpy as np
from skorch.callbacks import Callback


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


def check_layer_sizes(name, value):
    """Refuse what are no sizes of hidden layers."""
    if isinstance(value, str):  # "auto"
        return
    sizes = np.atleast_1d(np.asarray(value, dtype=object))
    if sizes.ndim > 1 or not all(isinstance(s, Integral) and s >= 1 for s in sizes):
        raise ValueError(
            f"{name}={value!r} must be the sizes of the hidden layers, integers from 1 "
            "up, for example (1000, 1000)."
        )


def check_image_shape(value):
    """Refuse what is no (channels, height, width)."""
    sides = np.asarray(value).tolist()
    are_three = np.shape(sides) == (3,)
    if not are_three or not all(isinstance(n, Integral) and n >= 1 for n in sides):
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
    bounds = np.asarray(value).tolist()
    is_pair = np.shape(bounds) == (2,) and all(isinstance(b, Real) for b in bounds)
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


def check_callback(value):
    """Refuse what is no callback of skorch's, or pair of a name and one."""
    callback = value[1] if isinstance(value, tuple) and len(value) == 2 else value
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
