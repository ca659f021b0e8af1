"""CelebA, faces of celebrities with attributes."""

import io
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from os import PathLike
from typing import Literal
from zipfile import ZipFile

import numpy as np
from joblib import cpu_count
from numpy.typing import DTypeLike
from sklearn.utils import Bunch

from .._sklearn_compat import StrOptions
from ._archives import Archive, matching_members, read_member, reading
from ._cache import Decoded
from ._fetch import as_images, description, fetch_images, require, rows_of, validated

_URL = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="
_ARCHIVES = [
    Archive(
        "celeba/img_align_celeba.zip",
        f"{_URL}0B7EVK8r0v71pZjFTYXZWM3FlRnM",
        ("md5:00d2c5bc6d35e252742224ab0c1e8fcb",),
    ),
    Archive(
        "celeba/list_attr_celeba.txt",
        f"{_URL}0B7EVK8r0v71pblRyaVFSWGxPY0U",
        ("md5:75e246fa4810816ffd6ee81facbd244c",),
    ),
    Archive(
        "celeba/list_eval_partition.txt",
        f"{_URL}0B7EVK8r0v71pY0NSMzRuSXJEVkk",
        ("md5:d32c9cbf5e040fd4025c592c306e6668",),
    ),
]
_IMAGE_SHAPE = (3, 64, 64)
_PARTITION = ("train", "validation", "test")
_N_TEST = 1000  # of the paper
_N_ATTRIBUTES = 40
_MAX_SIZE = 1_000_000  # bytes of a picture; they have some 7,000
_MAX_PIXELS = 4096**2
_BLOCK_ROWS = 100


@validated(
    subset=[StrOptions({*_PARTITION, "all"})],
    split=[StrOptions({"paper", "official"})],
)
def fetch_celeba(
    *,
    subset: Literal["all", "train", "validation", "test"] = "all",
    split: Literal["paper", "official"] = "paper",
    dtype: DTypeLike = "float32",
    data_home: str | PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    trusted_files: list[str] | tuple[str, ...] | set[str] | None = None,
    n_retries: int = 3,
    delay: float = 1.0,
    verbose: int = 1,
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Load CelebA, 202,599 faces of celebrities, downloaded if need be (1.4 GB).

    =================   ===========================================
    Images                                                  202,599
    Features            12,288 (3 colours of 64 x 64 pixels)
    Values              0 to 1
    Targets             40 attributes, each 0 or 1
    =================   ===========================================

    The data is for research that is not commercial; see its DESCR. The aligned pictures
    of 178 x 218 pixels are cropped to the largest square around their middle, 178 x
    178, and scaled down.

    Parameters
    ----------
    subset : {"all", "train", "validation", "test"}, default="all"
        Part of the split. "all" is all images in the order of the official partition,
        and in each of its parts by name. In CelebA, names are in that order.

    split : {"paper", "official"}, default="paper"
        The paper has 1,000 images for testing and the others for training (201,599),
        and does not say which: here the last 1,000, which the official partition
        tests on, too. The official partition has 162,770 for training, 19,867 for
        validation and 19,962 for testing.

    dtype : {"float32", "uint8"}, default="float32"
        Values from 0 to 1, or from 0 to 255: for an estimator with
        ``input_range=(0, 255)``.

    data_home : str or path-like, default=None
        Where the published files img_align_celeba.zip, list_attr_celeba.txt and
        list_eval_partition.txt are, or are downloaded to, in the folder "celeba". By
        default the folder that the environment variable SKLEARN_DAAE_DATA names, or
        ~/sklearn_daae_data.

    download_if_missing : bool, default=True
        If False, raise an OSError where a file is missing.

    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    trusted_files : list of str, default=None
        Names of files to read although their checksum is not the published one, such as
        ``["img_align_celeba.zip"]``.

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

        data : memmap of shape (n_images, 12288)
            One image a row: red, green, blue. A file in the cache, mapped into memory
            and read-only: make a copy, as by ``numpy.array(data)``, to change it.
        images : memmap of shape (n_images, 64, 64, 3)
            The same.
        target : ndarray of shape (n_images, 40), uint8
            The attributes, 1 where the face has it.
        target_names : list of str
            Names of the attributes, such as "Smiling".
        partition : ndarray of shape (n_images,)
            The official partition: 0 for training, 1 for validation, 2 for testing.
        image_shape : tuple
            (3, 64, 64), as estimators take it.
        DESCR : str
            A description of the data set.

    (data, target) : tuple if `return_X_y` is True
        The two of them.

    Raises
    ------
    OSError
        If a file is missing, cannot be downloaded, or is damaged.

    ValueError
        If a parameter is not valid, such as a `dtype` that there is not, or the split
        has no such subset.

    TypeError
        If `trusted_files` holds anything but names.

    ImportError
        If Pillow is missing, which reads the pictures.

    See Also
    --------
    fetch_mnist : Handwritten digits.
    fetch_omniglot : Handwritten characters of 50 alphabets.
    fetch_sprites : Animated characters.

    Notes
    -----
    The first call decodes the images into the cache: the folder that the environment
    variable SKLEARN_DAAE_CACHE names, else the user's cache folder. It takes 2.5 GB for
    ``dtype="uint8"``, and 10 GB for "float32". It may be removed at any time. The first
    call in a process reads it through, and decodes anew what is damaged.

    Examples
    --------
    >>> from sklearn_daae.datasets import fetch_celeba
    >>> faces = fetch_celeba(subset="test", dtype="uint8")  # doctest: +SKIP
    >>> faces.images.shape, faces.target.shape  # doctest: +SKIP
    ((1000, 64, 64, 3), (1000, 40))
    """
    if (split, subset) == ("paper", "validation"):
        raise ValueError(
            "subset='validation' is not a part of split='paper'. Ask for "
            "split='official', or take it from subset='train'."
        )
    X, labels = fetch_images(
        "celeba",
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
    if split == "official" or subset == "all":
        rows = rows_of(subset, _PARTITION, labels["partition"])
    elif len(X) > _N_TEST:
        rows = slice(-_N_TEST) if subset == "train" else slice(-_N_TEST, None)
    else:
        raise ValueError(
            f"split='paper' tests on {_N_TEST} images, and there are {len(X)}. Ask for "
            "split='official'."
        )
    X, y = X[rows], labels["target"][rows]
    if return_X_y:
        return X, y
    return Bunch(
        data=X,
        images=as_images(X, _IMAGE_SHAPE),
        target=y,
        target_names=labels["target_names"].tolist(),
        partition=labels["partition"][rows],
        image_shape=_IMAGE_SHAPE,
        DESCR=description("celeba"),
    )


def _decode(pictures, attributes, partition):
    Image, ImageOps = require("PIL.Image", "Pillow"), require("PIL.ImageOps", "Pillow")
    with reading(attributes), open(attributes) as file:
        n_images, target_names = int(file.readline()), file.readline().split()
        if not len(target_names) == len({*target_names}) == _N_ATTRIBUTES:
            raise ValueError(f"it does not name {_N_ATTRIBUTES} attributes")
        target = {}
        for line in filter(str.strip, file):
            name, *values = line.split()
            if len(values) != len(target_names) or not {*values} <= {"1", "-1"}:
                raise ValueError(f"it has the line {line!r}")
            if name in target:
                raise ValueError(f"it has {name!r} twice")
            target[name] = np.array(values) == "1"
        if len(target) != n_images:
            raise ValueError(f"it has {len(target)} images, and says {n_images}")
        if not target:
            raise ValueError("it has no images")
    with reading(partition), open(partition) as file:
        lines = [line.split() for line in filter(str.strip, file)]
        parts = dict(lines)
        if len(parts) < len(lines):
            raise ValueError("it has an image twice")
        if parts.keys() != target.keys() or not {*parts.values()} <= {"0", "1", "2"}:
            raise ValueError(f"it is not a partition of the images of {attributes}")
    names = sorted(parts, key=lambda name: (parts[name], name))
    with reading(pictures), ZipFile(pictures) as archive:
        matches = matching_members(archive, r"(?:.*/)?(?P<name>[^/]+\.jpg)")
        members = {match["name"]: member for member, match in matches.items()}
        if len(members) < len(matches):
            raise ValueError("it has pictures of one name in several folders")
        missing = parts.keys() - members.keys()
        if missing:
            raise ValueError(f"it lacks {len(missing)} images, such as {min(missing)}")

    def decode(archive, name):
        data = read_member(archive, members[name], _MAX_SIZE)
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise ValueError(f"a picture has {image.width} x {image.height} pixels")
            size = _IMAGE_SHAPE[:0:-1]
            image = ImageOps.fit(image.convert("RGB"), size, Image.Resampling.BILINEAR)
            return np.asarray(image).transpose(2, 0, 1)

    def blocks():
        with (
            reading(pictures),
            ZipFile(pictures) as archive,
            ThreadPoolExecutor(cpu_count()) as pool,
        ):
            for first in range(0, len(names), _BLOCK_ROWS):
                block = names[first : first + _BLOCK_ROWS]
                images = pool.map(decode, repeat(archive), block)
                yield first, np.stack([*images])

    return Decoded(
        {
            "target": np.array([target[name] for name in names], np.uint8),
            "target_names": np.array(target_names),
            "partition": np.array([parts[name] for name in names], np.int8),
        },
        blocks(),
    )
