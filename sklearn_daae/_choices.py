"""Parameters whose value is a name, or a pair of a name and options."""

from inspect import Parameter, signature

import numpy as np


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
