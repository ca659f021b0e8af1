"""Sprites, characters of video games that move."""

import gzip
import io
import re
import struct
import tarfile
from functools import partial
from os import PathLike
from pathlib import PurePosixPath
from typing import Literal
from zlib import decompressobj

import numpy as np
from numpy.typing import DTypeLike
from sklearn.utils import Bunch

from .._sklearn_compat import StrOptions
from ._archives import (
    Archive,
    matching_members,
    reading,
    refuse_hostile,
    resolve_data_home,
)
from ._cache import Decoded
from ._fetch import as_images, description, fetch_images, require, rows_of, validated

_PUBLISHED = Archive(
    "sprites/nips2015-analogy-data.tar.gz",
    "http://www.scottreed.info/files/nips2015-analogy-data.tar.gz",
    ("md5:4e866a7919c1beedf53964e6f7a23686",),
)
# The same frames as indices of a palette: 34 MB in place of more than a gigabyte.
_COMPACT = Archive(
    "sprites/reed2015_sprites.npz",
    None,
    ("sha256:97a143f513f0dbd72a0821939c7438790dc6fff91f8e0a6d92609e59c385a590",),
)
_IMAGE_SHAPE = (3, 60, 60)
_SUBSETS = ("train", "validation", "test")
_ATTRIBUTES = ("sex", "body", "armour", "hair", "arm", "greaves", "weapon")
_ANIMATIONS = ("spellcast", "thrust", "walk", "slash", "shoot", "hurt")
_VIEWS = ("back", "left", "front", "right")
# Of every animation from every view; "hurt" is seen from the front alone.
_N_FRAMES = [n for n in (7, 8, 9, 6, 13) for _ in _VIEWS] + [6]
_MAX_SIZE = 50_000_000  # bytes of a member that is read; the largest have 2 million
# Types of elements of a file of MATLAB 5: of matrices, of compressed ones, of numbers.
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 9: "<f8"}
_MAX_TEXT = 100_000  # bytes of the attributes, or of the splits; they have under 10,000
_MAX_COMPACT = 2_000_000  # bytes of an array of the compact archive, unpacked
_MAX_HEADER = 100_000  # bytes of a name or a header that is a member of its own
_MAX_ARCHIVE = 20_000_000_000  # bytes that the published archive may unpack to


@validated(subset=[StrOptions({*_SUBSETS, "all"})])
def fetch_sprites(
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
    """Load Sprites, 119,616 frames of 672 animated characters, downloaded if need be.

    =================   ==============================================
    Images              119,616: 178 of each of 672 characters
    Features            10,800 (3 colours of 60 x 60 pixels)
    Values              0 to 1, the background 0
    Targets             7 attributes of the character
    =================   ==============================================

    Parameters
    ----------
    subset : {"all", "train", "validation", "test"}, default="all"
        The published split, which is the paper's, by character: 500 for training
        (89,000 frames), 72 for validation (12,816) and 100 for testing (17,800). "all"
        is the three, in this order.

    dtype : {"float32", "uint8"}, default="float32"
        Values from 0 to 1, or from 0 to 255: for an estimator with
        ``input_range=(0, 255)``.

    data_home : str or path-like, default=None
        Where the published archive nips2015-analogy-data.tar.gz is, or is downloaded
        to, in the folder "sprites"; or the compact reed2015_sprites.npz, which is taken
        if it is there. By default the folder that the environment variable
        SKLEARN_DAAE_DATA names, or ~/sklearn_daae_data.

    download_if_missing : bool, default=True
        If False, raise an OSError where both are missing.

    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    trusted_files : list of str, default=None
        Names of files to read although their checksum is not the published one:
        ``["nips2015-analogy-data.tar.gz"]`` or ``["reed2015_sprites.npz"]``.

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

        data : memmap of shape (n_images, 10800)
            One frame a row: red, green, blue. A file in the cache, mapped into memory
            and read-only: make a copy, as by ``numpy.array(data)``, to change it.
        images : memmap of shape (n_images, 60, 60, 3)
            The same.
        target : ndarray of shape (n_images, 7)
            The attributes of the character, integers from 0.
        target_names : list of str
            Names of the attributes: sex, body, armour, hair, arm, greaves, weapon. The
            weapon is seen in some animations only: in "shoot" a bow (0), in "thrust" a
            spear (1).
        character : ndarray of shape (n_images,)
            The character, from 0 to 671.
        animation : ndarray of shape (n_images,)
            What the character does, from 0 to 5.
        animation_names : list of str
            spellcast, thrust, walk, slash, shoot, hurt.
        view : ndarray of shape (n_images,)
            From where the character is seen, from 0 to 3.
        view_names : list of str
            back, left (it faces the left edge), front, right.
        frame : ndarray of shape (n_images,)
            Number of the frame in its animation, from 0.
        image_shape : tuple
            (3, 60, 60), as estimators take it.
        DESCR : str
            A description of the data set.

    (data, target) : tuple if `return_X_y` is True
        The two of them.

    Raises
    ------
    OSError
        If the archive is missing, cannot be downloaded, or is damaged.

    ValueError
        If a parameter is not valid, such as a subset or a `dtype` that there is not.

    TypeError
        If `trusted_files` holds anything but names.

    ImportError
        If h5py is missing, which reads the published archive.

    See Also
    --------
    fetch_celeba : Faces.
    fetch_mnist : Handwritten digits.
    fetch_omniglot : Handwritten characters of 50 alphabets.

    Notes
    -----
    The first call decodes the images into the cache: the folder that the environment
    variable SKLEARN_DAAE_CACHE names, else the user's cache folder. It takes 1.3 GB for
    ``dtype="uint8"``, and 5.2 GB for "float32". It may be removed at any time. The
    first call in a process reads it through, and decodes anew what is damaged.

    Examples
    --------
    >>> from sklearn_daae.datasets import fetch_sprites
    >>> sprites = fetch_sprites(subset="test", dtype="uint8")  # doctest: +SKIP
    >>> sprites.images.shape, sprites.target.shape  # doctest: +SKIP
    ((17800, 60, 60, 3), (17800, 7))
    """
    has_compact = (resolve_data_home(data_home) / _COMPACT.name).exists()
    if PurePosixPath(_PUBLISHED.name).name in (trusted_files or ()):
        has_compact = False
    X, labels = fetch_images(
        "sprites",
        [_COMPACT if has_compact else _PUBLISHED],
        _decode_compact if has_compact else _decode_published,
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
    names = {
        "target_names": list(_ATTRIBUTES),
        "animation_names": list(_ANIMATIONS),
        "view_names": list(_VIEWS),
    }
    return Bunch(
        data=X,
        images=as_images(X, _IMAGE_SHAPE),
        target=y,
        **names,
        **{
            key: labels[key][rows]
            for key in ("character", "animation", "view", "frame")
        },
        image_shape=_IMAGE_SHAPE,
        DESCR=description("sprites"),
    )


def _decode_compact(path):
    with reading(path), np.load(path) as file:
        for name in matching_members(file.zip, ".+"):
            if file.zip.getinfo(name).file_size > _MAX_COMPACT:
                raise ValueError(f"{name!r} has more than {_MAX_COMPACT} bytes")
        colours = file["palette"][:, :3]
        if colours.shape[1:] != (3,) or colours.dtype != np.uint8:
            raise ValueError(f"its palette has {colours.dtype} of {colours.shape}")
        subset = [("train", "valid", "test").index(name) for name in file["split"]]
        labels, characters = _labels(file["labels"], np.array(subset))

    def blocks():
        with reading(path), np.load(path) as file:
            for i, character in enumerate(characters):
                indices = file[f"frames_{character:03d}"]
                shape = (sum(_N_FRAMES), *_IMAGE_SHAPE[1:])
                if indices.shape != shape or indices.dtype.kind != "u":
                    raise ValueError(
                        f"frames_{character:03d} has {indices.dtype} of {indices.shape}"
                    )
                yield i * len(indices), colours[indices].transpose(0, 3, 1, 2)

    return Decoded(labels, blocks())


def _decode_published(path):
    h5py = require("h5py", "h5py")
    with reading(path):
        texts = dict(_members(path, r"sprite_large_labels\.txt|sprites_splits\.mat"))
        if len(texts) < 2:
            raise ValueError("it lacks sprite_large_labels.txt or sprites_splits.mat")
        for name, text in texts.items():
            if len(text) > _MAX_TEXT:
                raise ValueError(f"{name} has more than {_MAX_TEXT} bytes")
        lines = filter(bytes.strip, texts["sprite_large_labels.txt"].splitlines())
        attributes = [[int(value) for value in line.split(b",")] for line in lines]
        attributes = np.array(attributes, np.uint8)
        splits = _read_vectors(texts["sprites_splits.mat"])
        parts = [splits[key] for key in ("trainidx", "validx", "testidx")]
        if (
            sum(map(len, parts)) != len(attributes)  # before many are sorted
            or sorted(np.concatenate(parts)) != [*range(1, len(attributes) + 1)]
        ):
            raise ValueError("its splits leave characters out, or have some twice")
        subset = np.empty(len(attributes), int)
        for i, characters in enumerate(parts):
            subset[characters.astype(int) - 1] = i
        labels, characters = _labels(attributes, subset)
    first_rows = {
        f"sprites_{character}.mat": i * sum(_N_FRAMES)
        for i, character in enumerate(characters)
    }

    def blocks():
        with reading(path):
            missing = dict(first_rows)
            for name, data in _members(path, r"sprites_\d+\.mat"):
                if name not in missing:
                    raise ValueError(f"it has {name!r} twice, or without attributes")
                yield missing.pop(name), _read_character(data, name, h5py)
            if missing:
                raise ValueError(
                    f"it lacks {len(missing)} files such as {min(missing)}"
                )

    return Decoded(labels, blocks())


class _Bounded:
    """A file of which no more is read at once than a tar file's header may have.

    tarfile reads a header of any length into memory before it tells of it.
    """

    def __init__(self, file):
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size):
        if size > _MAX_HEADER:
            raise ValueError(f"it has a header of more than {_MAX_HEADER} bytes")
        return self._file.read(size)


def _members(file, pattern):
    """Yield names and bytes of those files of sprites that a pattern matches."""
    size = 0
    with (
        gzip.open(file) as unpacked,
        tarfile.open(fileobj=_Bounded(unpacked), mode="r:") as archive,
    ):
        for member in archive:
            refuse_hostile(member.name)
            refuse_hostile(member.linkname)
            size += member.size
            if size > _MAX_ARCHIVE:
                raise ValueError(f"it unpacks to more than {_MAX_ARCHIVE} bytes")
            path = PurePosixPath(member.name)
            if path.parent.name == "sprites" and re.fullmatch(pattern, path.name):
                if not member.isfile() or member.size > _MAX_SIZE:
                    raise ValueError(
                        f"{member.name!r} is no file, or one of {member.size} bytes"
                    )
                content = archive.extractfile(member)
                yield path.name, b"".join(iter(partial(content.read, 2**15), b""))


def _read_vectors(data):
    """Return the arrays of numbers in a file of MATLAB 5, flat, by their names.

    SciPy's reader may end the process where such a file is damaged.
    """
    if data[124:128] != b"\0\1IM":
        raise ValueError("its splits are no file of MATLAB 5")
    vectors = {}
    for kind, matrix in _elements(data[128:]):
        if kind == _COMPRESSED:
            inflate = decompressobj()
            matrix = inflate.decompress(matrix, _MAX_TEXT)
            if not inflate.eof:
                raise ValueError("its splits end early, or have too many bytes")
            ((kind, matrix),) = _elements(matrix)
        if kind != _MATRIX:
            raise ValueError(f"its splits have an element of type {kind}")
        _, _, (_, name), (kind, values) = _elements(matrix)  # after flags and a shape
        vectors[name.decode()] = np.frombuffer(values, _NUMBERS[kind])
    return vectors


def _elements(data):
    """Yield the types and the contents of the elements of a file of MATLAB 5."""
    start = 0
    while start < len(data):
        kind, size = struct.unpack_from("<2I", data, start)
        start += 8
        if kind >> 16:  # a short one, which has its content in place of its size
            kind, size, start = kind & 0xFFFF, kind >> 16, start - 4
        content = data[start : start + size]
        if len(content) < size:
            raise ValueError("its splits end early")
        yield kind, content
        start += size if kind == _COMPRESSED else size + -(start + size) % 8


def _read_character(data, name, h5py):
    """Return the frames of a character from its file of MATLAB, which is HDF5.

    HDF5 has the axes of MATLAB's arrays in reverse: animations, views and frames have
    images of (colour, column, row).
    """
    frames = []
    with h5py.File(io.BytesIO(data)) as file:
        if not isinstance(file.get("sprites", getlink=True), h5py.HardLink):
            raise ValueError(f"{name!r} keeps its sprites in another file")
        references = file["sprites"]
        if h5py.check_ref_dtype(references.dtype) is not h5py.Reference:
            raise ValueError(f"{name!r} has sprites of {references.dtype}")
        if references.size != len(_N_FRAMES):
            raise ValueError(f"{name!r} has {references.size} animations")
        for reference, n_frames in zip(references[:].ravel(), _N_FRAMES, strict=True):
            values = file[reference]
            if values.shape != (n_frames, int(np.prod(_IMAGE_SHAPE))):
                raise ValueError(f"{name!r} has an animation of {values.shape}")
            if values.dtype.kind not in "fui":
                raise ValueError(f"{name!r} has an animation of {values.dtype}")
            if values.external or values.is_virtual:
                raise ValueError(f"{name!r} keeps its sprites in another file")
            frames.append(np.rint(values[:].astype(float) * 255))
    frames = np.concatenate(frames)
    if not (frames.min() >= 0 and frames.max() <= 255):  # nor NaN
        raise ValueError(f"{name!r} has values that are not from 0 to 1")
    n_colours, height, width = _IMAGE_SHAPE
    frames = frames.reshape(-1, n_colours, width, height).transpose(0, 1, 3, 2)
    return frames.astype(np.uint8)


def _labels(attributes, subset):
    """Return the labels of all frames, and the characters in the order of the rows."""
    if not len(attributes):
        raise ValueError("it has no characters")
    shape = len(subset), len(_ATTRIBUTES)
    if attributes.shape != shape or attributes.dtype != np.uint8:
        raise ValueError(
            f"its attributes have {attributes.dtype} of {attributes.shape}, not uint8 "
            f"of {shape}"
        )
    characters = np.argsort(subset, kind="stable")
    n_characters, n_frames = len(characters), sum(_N_FRAMES)
    scenes = np.repeat(np.arange(len(_N_FRAMES)), _N_FRAMES)
    views = np.where(scenes < len(_N_FRAMES) - 1, scenes % len(_VIEWS), 2)
    frame = np.concatenate([np.arange(n) for n in _N_FRAMES])
    labels = {
        "target": np.repeat(attributes[characters], n_frames, axis=0),
        "subset": np.repeat(subset[characters], n_frames),
        "character": np.repeat(characters, n_frames),
        "animation": np.tile(scenes // len(_VIEWS), n_characters),
        "view": np.tile(views, n_characters),
        "frame": np.tile(frame, n_characters),
    }
    return labels, characters
