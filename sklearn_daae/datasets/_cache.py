"""Decoded images, kept on disk as arrays that are mapped into memory."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import numpy as np
import pooch
from tqdm.auto import tqdm

# A file that has not been written to for so many seconds has no one who writes it.
_ABANDONED = 3600
_BLOCK_ROWS = 1024


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
    path.parent.mkdir(parents=True, exist_ok=True)
    for partial in path.parent.glob("*.partial"):  # of processes that were killed
        if time.time() - partial.stat().st_mtime > _ABANDONED:
            partial.unlink(missing_ok=True)
    partial = path.with_name(f"{path.name}.{uuid4().hex}.partial")
    try:
        with partial.open("xb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
    folder = cache_home() / f"{name}-{digest[:16]}"
    images, labels = folder / "images_uint8.npy", folder / "labels.npz"
    if not (images.exists() and labels.exists()):
        decoded = decode()
        shape = len(decoded.labels["target"]), n_features
        bar = tqdm(desc=f"Decoding {name}", disable=not show_progress)
        _write(images, shape, np.uint8, decoded.blocks, bar)
        with written_whole(labels) as file:
            np.savez(file, **decoded.labels)
    if dtype == "float32":
        integers, images = images, folder / "images_float32.npy"
        if not images.exists():
            source = np.load(integers, mmap_mode="r")
            bar = tqdm(desc=f"Scaling {name}", disable=not show_progress)
            _write(images, source.shape, np.float32, _scaled(source), bar)
    with np.load(labels) as file:
        return np.load(images, mmap_mode="r"), dict(file)


def _scaled(images):
    """Yield blocks of images from 0 to 1."""
    for first in range(0, len(images), _BLOCK_ROWS):
        rows = images[first : first + _BLOCK_ROWS].astype(np.float32)
        rows /= 255
        yield first, rows


def _write(path, shape, dtype, blocks, bar):
    """Write blocks of rows into a .npy file, holding one at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise OSError(
            f"The decoded images take {size / 1e9:.1f} GB, and {path.parent} has "
            f"{free / 1e9:.1f} GB left. Name another folder by the environment "
            "variable SKLEARN_DAAE_CACHE, or ask for dtype='uint8', which takes a "
            "quarter of what float32 takes."
        )
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": shape,
    }
    bar.reset(total=shape[0])
    with bar, written_whole(path) as file:
        np.lib.format.write_array_header_2_0(file, header)
        start, row_size = file.tell(), size // shape[0]
        for first, rows in blocks:
            file.seek(start + first * row_size)
            file.write(np.ascontiguousarray(rows))
            bar.update(rows.size // shape[1])
