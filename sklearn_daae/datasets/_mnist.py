"""MNIST, handwritten digits."""

import gzip
import struct
from os import PathLike
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike
from sklearn.utils import Bunch

from .._sklearn_compat import StrOptions
from ._archives import Archive, reading
from ._cache import Decoded
from ._fetch import as_images, description, fetch_images, rows_of, validated

_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# Checksums of the published files, and of the same data compressed otherwise.
_ARCHIVES = [
    Archive(f"mnist/{name}-ubyte.gz", f"{_URL}{name}-ubyte.gz", checksums)
    for name, checksums in {
        "train-images-idx3": (
            "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "sha256:7ff28fd295f802eefc6d40e461175dfe4b969b1842b2abc8c6dc8c20711cf79f",
        ),
        "train-labels-idx1": (
            "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "sha256:81a978ae83d39ffdba0db3ce2fcaf80a8921e9629e874428996a2b03242d4b2a",
        ),
        "t10k-images-idx3": (
            "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "sha256:197e111ae341b0770be9011ac5e622d0e6cd1c640b32eb0de5dc1dd26cc6e182",
        ),
        "t10k-labels-idx1": (
            "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "sha256:b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
        ),
    }.items()
]
_IMAGE_SHAPE = (1, 28, 28)
_SUBSETS = ("train", "validation", "test")
_SIZES = (50_000, 10_000, 10_000)
_BLOCK_ROWS = 1000


@validated(subset=[StrOptions({*_SUBSETS, "all"})])
def fetch_mnist(
    *,
    subset: Literal["all", "train", "validation", "test"] = "all",
    dtype: DTypeLike = "float32",
    data_home: str | PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    trusted_files: list[str] | tuple[str, ...] | set[str] | None = None,
    n_retries: int = 3,
    delay: float = 1.0,
    verbose: int = 1,
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Load MNIST, 70,000 handwritten digits, downloaded if need be (12 MB).

    =================   =======================
    Classes                                  10
    Images                               70,000
    Features            784 (28 x 28 pixels)
    Values              ink 1, paper 0
    =================   =======================

    Parameters
    ----------
    subset : {"all", "train", "validation", "test"}, default="all"
        The paper's split: the first 50,000 of the 60,000 training images, the last
        10,000 of them, and the 10,000 test images. "all" is the three, in this order.

    dtype : {"float32", "uint8"}, default="float32"
        Values from 0 to 1, or from 0 to 255: for an estimator with
        ``input_range=(0, 255)``.

    data_home : str or path-like, default=None
        Where the four published files are, or are downloaded to, in the folder
        "mnist". By default the folder that the environment variable SKLEARN_DAAE_DATA
        names, or ~/sklearn_daae_data.

    download_if_missing : bool, default=True
        If False, raise an OSError where a file is missing.

    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    trusted_files : list of str, default=None
        Names of files to read although their checksum is not the published one, such as
        ``["train-images-idx3-ubyte.gz"]``.

    n_retries : int, default=3
        How often a failed download is tried again.

    delay : float, default=1.0
        Seconds between two tries.

    verbose : int, default=1
        Whether to show bars of progress while downloading and decoding.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the attributes

        data : memmap of shape (n_images, 784)
            One image a row. A file in the cache, mapped into memory and read-only: make
            a copy, as by ``numpy.array(data)``, to change it.
        images : memmap of shape (n_images, 28, 28)
            The same.
        target : ndarray of shape (n_images,)
            The digits.
        target_names : list of str
            Their names.
        image_shape : tuple
            (1, 28, 28), as estimators take it.
        DESCR : str
            A description of the data set.

    (data, target) : tuple if `return_X_y` is True
        The two of them.

    Raises
    ------
    OSError
        If a file is missing, cannot be downloaded, or is damaged.

    ValueError
        If a parameter is not valid, such as a subset or a `dtype` that there is not.

    TypeError
        If `trusted_files` holds anything but names.

    See Also
    --------
    fetch_celeba : Faces.
    fetch_omniglot : Handwritten characters of 50 alphabets.
    fetch_sprites : Animated characters.

    Notes
    -----
    The first call decodes the images into the cache: the folder that the environment
    variable SKLEARN_DAAE_CACHE names, else the user's cache folder. It takes 55 MB for
    ``dtype="uint8"``, and 220 MB for "float32". It may be removed at any time. The
    first call in a process reads it through, and decodes anew what is damaged.

    Examples
    --------
    >>> from sklearn_daae.datasets import fetch_mnist
    >>> X, y = fetch_mnist(subset="train", return_X_y=True)  # doctest: +SKIP
    >>> X.shape, y.shape  # doctest: +SKIP
    ((50000, 784), (50000,))
    """
    X, labels = fetch_images(
        "mnist",
        _ARCHIVES,
        _decode,
        _IMAGE_SHAPE,
        dtype=dtype,
        data_home=data_home,
        download_if_missing=download_if_missing,
        trusted_files=trusted_files,
        n_retries=n_retries,
        delay=delay,
        verbose=verbose,
    )
    rows = rows_of(subset, _SUBSETS, labels["subset"])
    X, y = X[rows], labels["target"][rows]
    if return_X_y:
        return X, y
    return Bunch(
        data=X,
        images=as_images(X, _IMAGE_SHAPE),
        target=y,
        target_names=[str(digit) for digit in range(10)],
        image_shape=_IMAGE_SHAPE,
        DESCR=description("mnist"),
    )


def _decode(train_images, train_labels, test_images, test_labels):
    n_train, n_test = sum(_SIZES[:2]), _SIZES[2]
    target = np.empty(n_train + n_test, np.int64)
    target[:n_train] = _read_digits(train_labels, n_train)
    target[n_train:] = _read_digits(test_labels, n_test)

    def blocks():
        first = 0
        for path, n in ((train_images, n_train), (test_images, n_test)):
            for images in _read_idx(path, (n, *_IMAGE_SHAPE[1:])):
                yield first, images
                first += len(images)

    subset = np.repeat(np.arange(3, dtype=np.int8), _SIZES)
    return Decoded({"target": target, "subset": subset}, blocks())


def _read_digits(path, n):
    digits = np.concatenate([*_read_idx(path, (n,))])
    with reading(path):
        if digits.max() > 9:
            raise ValueError(f"it has {digits.max()} among its digits")
    return digits


def _read_idx(path, shape):
    """Yield the values of an IDX file, which must have this shape, in blocks of rows.

    The format: two zero bytes, the type (8 for uint8), the number of dimensions, the
    dimensions as big-endian integers of four bytes, the values.
    """
    with reading(path), gzip.open(path) as file:
        expected = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
        header = file.read(len(expected))
        if header != expected:
            raise ValueError(f"it begins with {header!r}, not {expected!r}")
        row_size = int(np.prod(shape[1:]))
        for first in range(0, shape[0], _BLOCK_ROWS):
            n_rows = min(_BLOCK_ROWS, shape[0] - first)
            values = file.read(n_rows * row_size)
            yield np.frombuffer(values, np.uint8).reshape(n_rows, *shape[1:])
        if file.read(1):
            raise ValueError(f"it goes on after {shape[0]} rows")
