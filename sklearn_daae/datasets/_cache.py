"""Decoded images, kept on disk as arrays that are mapped into memory."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4
from zipfile import BadZipFile

import numpy as np
import pooch
from tqdm.auto import tqdm

# A file that has not been written to for so many seconds has no one who writes it.
_ABANDONED = 3600
_BLOCK_BYTES = 2**20
# Of what the files of a cache hold: another number where decoding has changed.
_VERSION = 1
# What NumPy raises for files that are not there, or were damaged.
_UNREADABLE = OSError, EOFError, ValueError, KeyError, BadZipFile


class Decoded(NamedTuple):
    """What archives hold, its images not yet read."""

    # Arrays by their names; "target" has a value or a row for each image.
    labels: dict[str, np.ndarray]
    # The number of a first row, and the values of the rows from there on: channels
    # first, uint8. The blocks come in any order.
    blocks: Iterator[tuple[int, np.ndarray]]


def cache_home():
    """Return the folder of what was decoded."""
    return Path(
        os.environ.get("SKLEARN_DAAE_CACHE") or pooch.os_cache("sklearn_daae")
    ).expanduser()


@contextmanager
def written_whole(path):
    """Open a file that has its name only when all of it is written."""
    partial = path.with_name(f"{path.name}.{uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = partial.open("xb")
    except OSError as error:
        raise OSError(
            f"{path.parent} cannot be written to: {error}. If it is the cache, name a "
            "folder that can by the environment variable SKLEARN_DAAE_CACHE."
        ) from error
    try:
        with file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _remove_abandoned():
    """Remove what processes that were killed have left half-written."""
    for partial in cache_home().rglob("*.partial"):
        with suppress(OSError):  # another process may be faster
            if time.time() - partial.stat().st_mtime > _ABANDONED:
                partial.unlink()


def load(name, digest, decode, n_features, dtype, show_progress):
    """Return images and labels, decoded only if they never were.

    Parameters
    ----------
    name : str
        Of the data set.

    digest : str
        Checksum of what it is decoded from.

    decode : callable
        Returns a `Decoded`.

    n_features : int
        Values of an image.

    dtype : {"uint8", "float32"}
        Type of the images: 0 to 255, or 0 to 1.

    show_progress : bool
        Whether to show a bar where this takes long.

    Returns
    -------
    images : memmap of shape (n_images, n_features)
        Read-only.

    labels : dict of str to ndarray
        Labels by their names.
    """
    folder = cache_home() / f"{name}-v{_VERSION}-{digest[:16]}"
    integers, labels_file = folder / "images_uint8.npy", folder / "labels.npz"
    images = folder / f"images_{dtype}.npy"
    labels = _read_labels(labels_file)
    if labels is not None:
        shape = len(labels["target"]), n_features
        if (X := _map(images, shape)) is not None:
            return X, labels

    _remove_abandoned()
    if labels is not None and _map(integers, shape) is not None:
        blocks = _blocks(integers, shape)
    else:
        labels, blocks = decode()
        shape = len(labels["target"]), n_features
    if dtype == "float32":
        blocks = ((first, rows / np.float32(255)) for first, rows in blocks)
    bar = tqdm(desc=f"Decoding {name}", disable=not show_progress)
    _write(images, shape, dtype, blocks, bar)
    with written_whole(labels_file) as file:
        np.savez(file, **labels)
    return np.load(images, mmap_mode="r"), labels


def _read_labels(path):
    """Return the labels of a cache, or None where there are none that can be read."""
    try:
        with np.load(path) as file:
            return dict(file)
    except _UNREADABLE:
        return None


def _map(path, shape):
    """Return images mapped into memory, or None where there are none of that shape."""
    try:
        images = np.load(path, mmap_mode="r")
    except _UNREADABLE:
        return None
    return images if images.shape == shape else None


def _blocks(path, shape):
    """Yield the images in a file of uint8, block by block.

    They are read, not mapped: pages of a map would count as memory of the process.
    """
    step = max(1, _BLOCK_BYTES // shape[1])
    with path.open("rb") as file:
        file.seek(-shape[0] * shape[1], os.SEEK_END)
        for first in range(0, shape[0], step):
            n_rows = min(step, shape[0] - first)
            yield first, np.fromfile(file, np.uint8, n_rows * shape[1])


def _write(path, shape, dtype, blocks, bar):
    """Write blocks of rows into a .npy file, holding one at a time."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": shape,
    }
    bar.reset(total=shape[0])
    with bar, written_whole(path) as file:
        free = shutil.disk_usage(path.parent).free
        if free < size:
            raise OSError(
                f"The decoded images take {size / 1e9:.1f} GB, and {path.parent} has "
                f"{free / 1e9:.1f} GB left. Name another folder by the environment "
                "variable SKLEARN_DAAE_CACHE, or ask for dtype='uint8', which takes a "
                "quarter of what float32 takes."
            )
        np.lib.format.write_array_header_2_0(file, header)
        start, row_size = file.tell(), size // shape[0]
        for first, rows in blocks:
            file.seek(start + first * row_size)
            file.write(np.ascontiguousarray(rows))
            bar.update(rows.size // shape[1])
