"""Decoded images, kept on disk as arrays that are mapped into memory."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile
from zlib import crc32

import numpy as np
import pooch
from tqdm.auto import tqdm

from .. import _files

_BLOCK_BYTES = 2**20
# Of what the files of a cache hold: another number where decoding has changed.
_VERSION = 1
# What NumPy raises for files that are not there, or were damaged.
_UNREADABLE = OSError, EOFError, ValueError, KeyError, BadZipFile
# The files that this process has found whole, and how to tell whether they still are.
_whole: dict[Path, tuple[int, ...]] = {}


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


def identity(path):
    """Return what changes when a file does, without reading it."""
    status = path.stat()
    # Copying may keep a file's size and time of modification, but not all of these.
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns


def read_note(path):
    """Return what a small file holds; nothing if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_BLOCK_BYTES)
    except OSError:
        return b""


@contextmanager
def written_whole(path):
    """Open a file that has its name only when all of it is written, and on the disk.

    Where that fails, it is told what can be done. Its folder need not be there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _files.written_whole(path) as file:
            yield file
    except OSError as error:
        if error.errno is None:  # not of this file, but of what is to be in it
            raise
        raise OSError(
            f"{path.parent} cannot be written to: {error}. Have it writable and with "
            "room left; or, if it is the cache, name another folder by the environment "
            "variable SKLEARN_DAAE_CACHE."
        ) from error


def load(name, digest, decode, n_features, dtype, show_progress):
    """Return images and labels, decoded only if they never were, or are damaged.

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

    _files.remove_abandoned(cache_home().rglob("*.partial"))
    if labels is not None and _map(integers, shape) is not None:
        blocks = _blocks(integers, shape)
    else:
        labels, blocks = decode()
        shape = len(labels["target"]), n_features
    if dtype == "float32":
        blocks = ((first, rows / np.float32(255)) for first, rows in blocks)
    bar = tqdm(desc=f"Decoding {name}", disable=not show_progress)
    _write(images, shape, dtype, blocks, bar)
    with _written_with_checksum(labels_file) as file:
        np.savez(file, **labels)
    return np.load(images, mmap_mode="r"), labels


@contextmanager
def _written_with_checksum(path):
    """Open a file as `written_whole` does, and write its checksum beside it."""
    with written_whole(path) as file:
        yield file
        # The note comes first: a file without one would only take room.
        with written_whole(_checksum_of(path)) as note:
            note.write(_checksum(file))
    _whole[path] = identity(path)


def _checksum_of(path):
    return path.with_name(f"{path.name}.crc32")


def _checksum(file):
    """Return the CRC-32 of an open file, which is read block by block.

    It differs for every bit that flips, and takes a third of the time of SHA-256.
    """
    file.seek(0)
    value = 0
    while block := file.read(_BLOCK_BYTES):
        value = crc32(block, value)
    return f"crc32:{value:08x}".encode()


def _is_whole(path):
    """Return whether a file is what was written, by the checksum beside it.

    It is read at the first call in a process, and again when it has changed.
    """
    try:
        now = identity(path)
        if _whole.get(path) != now:
            with path.open("rb") as file:
                if read_note(_checksum_of(path)) != _checksum(file):
                    return False
            _whole[path] = now
    except OSError:
        return False
    return True


def _read_labels(path):
    """Return the labels of a cache, or None where there are none that are whole."""
    if not _is_whole(path):
        return None
    try:
        with np.load(path) as file:
            return dict(file)
    except _UNREADABLE:
        return None


def _map(path, shape):
    """Return images mapped into memory, or None where there are none of that shape."""
    if not _is_whole(path):
        return None
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
    with bar, _written_with_checksum(path) as file:
        free = shutil.disk_usage(path.parent).free
        if free < size:
            raise OSError(
                f"The decoded images take {_files.in_units(size)}, and {path.parent} "
                f"has {_files.in_units(free)} left. Name another folder by the "
                "environment variable SKLEARN_DAAE_CACHE, or ask for dtype='uint8', "
                "which takes a quarter of what float32 takes."
            )
        np.lib.format.write_array_header_2_0(file, header)
        start, row_size = file.tell(), size // shape[0]
        for first, rows in blocks:
            file.seek(start + first * row_size)
            file.write(np.ascontiguousarray(rows))
            bar.update(rows.size // shape[1])
