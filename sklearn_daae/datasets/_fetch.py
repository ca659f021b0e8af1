"""What all fetchers do."""

from collections.abc import Callable
from importlib import import_module
from importlib.resources import files
from numbers import Integral, Real
from os import PathLike
from typing import TypeVar

import numpy as np

from .._sklearn_compat import Interval, validate_params
from ._archives import find
from ._cache import load

_Fetcher = TypeVar("_Fetcher", bound=Callable)

# Of the parameters that all fetchers have.
_CONSTRAINTS = {
    "dtype": "no_validation",  # by NumPy, below
    "data_home": [str, PathLike, None],
    "download_if_missing": ["boolean"],
    "return_X_y": ["boolean"],
    "trusted_files": [list, tuple, set, None],
    "n_retries": [Interval(Integral, 0, None, closed="left")],
    "delay": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
}


def validated(**constraints: list) -> Callable[[_Fetcher], _Fetcher]:
    """Have a fetcher check its parameters: its own by these, and those of all."""
    return validate_params(
        {**_CONSTRAINTS, **constraints}, prefer_skip_nested_validation=True
    )


def fetch_images(
    name,
    archives,
    decode,
    image_shape,
    *,
    dtype,
    data_home,
    download_if_missing,
    trusted_files,
    n_retries,
    delay,
    verbose,
):
    """Return all images of a data set, one a row, and its labels.

    Parameters
    ----------
    name : str
        Of the data set.

    archives : sequence of Archive
        What it is read from.

    decode : callable
        Called with the paths of the archives; returns a `Decoded`.

    image_shape : tuple of int
        Channels, height and width of an image.

    dtype, data_home, download_if_missing, trusted_files, n_retries, delay, verbose :
        The parameters of the fetcher.

    Returns
    -------
    X : memmap of shape (n_images, n_features)
        The images, read-only.

    labels : dict of str to ndarray
        Labels by their names.
    """
    try:
        type_name = np.dtype(dtype).name
    except TypeError:
        type_name = None
    if type_name not in ("float32", "uint8"):
        raise ValueError(
            f"dtype={dtype!r}: images are 'float32', from 0 to 1, or 'uint8', from 0 "
            "to 255."
        )
    paths, digest = find(
        archives,
        data_home,
        download_if_missing,
        trusted_files,
        n_retries,
        delay,
        verbose > 0,
    )
    n_features = int(np.prod(image_shape))
    return load(
        name, digest, lambda: decode(*paths), n_features, type_name, verbose > 0
    )


def require(module, library):
    """Import what reads a kind of archive."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"These images are read with {library}, which is not installed. Install it "
            "by: pip install 'sklearn-daae[data]'"
        ) from error


def rows_of(subset, subsets, indices):
    """Return the slice of a subset's rows.

    Parameters
    ----------
    subset : str
        The subset's name, or "all".

    subsets : sequence of str
        The names of all subsets.

    indices : ndarray of int
        For each row, which subset it is in; sorted.
    """
    if subset == "all":
        return slice(None)
    index = subsets.index(subset)
    return slice(*np.searchsorted(indices, [index, index + 1]))


def as_images(X, image_shape):
    """Return a view of rows as images: height, width and channels, if it has more."""
    images = X.reshape(-1, *image_shape)
    return images[:, 0] if image_shape[0] == 1 else images.transpose(0, 2, 3, 1)


def description(name):
    """Return the text that describes a data set."""
    return (files(__package__) / "descr" / f"{name}.rst").read_text("utf-8")
