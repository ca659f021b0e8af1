"""Omniglot, handwritten characters of fifty alphabets."""

import io
from os import PathLike
from typing import Literal
from zipfile import ZipFile

import numpy as np
from numpy.typing import DTypeLike
from sklearn.utils import Bunch

from .._sklearn_compat import StrOptions
from ._archives import Archive, matching_members, read_member, reading
from ._cache import Decoded
from ._fetch import as_images, description, fetch_images, require, rows_of, validated

_URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
# Checksums of the published files, and of the same drawings packed otherwise.
_ARCHIVES = [
    Archive(f"omniglot/{name}.zip", f"{_URL}{name}.zip", checksums)
    for name, checksums in {
        "images_background": (
            "md5:68d2efa1b9178cc56df9314c21c6e718",
            "sha256:73392f163d63797878faeec7decf1bc6ced46036c50e8ac42e3f13f9ccfb830d",
        ),
        "images_evaluation": (
            "md5:6b91aef0f799c5bb55b94e3f2daec811",
            "sha256:ba69d2208cb8de088e4c70008e91bfb1dbf158f467c60044067832f4a86fa477",
        ),
    }.items()
]
_IMAGE_SHAPE = (1, 105, 105)
_SUBSETS = ("train", "test", "evaluation")
_MEMBER = r"images_\w+/(?P<alphabet>[^/]+)/(?P<character>\w+)/\d+_(?P<drawing>\d+)\.png"
_N_DRAWINGS = 20  # of a character
_MAX_SIZE = 100_000  # bytes of a drawing; they have some hundreds
_BLOCK_ROWS = 100


@validated(subset=[StrOptions({*_SUBSETS, "all"})])
def fetch_omniglot(
    *,
    subset: Literal["all", "train", "test", "evaluation"] = "all",
    dtype: DTypeLike = "float32",
    data_home: str | PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    trusted_files: list[str] | tuple[str, ...] | set[str] | None = None,
    n_retries: int = 3,
    delay: float = 1.0,
    verbose: int = 1,
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Load Omniglot, 32,460 drawings of characters, downloaded if need be (16 MB).

    =================   ==========================================
    Classes             1,623 characters of 50 alphabets
    Images              32,460: each character by 20 people
    Features            11,025 (105 x 105 pixels)
    Values              ink 1, paper 0 (the published files: ink 0)
    =================   ==========================================

    Parameters
    ----------
    subset : {"all", "train", "test", "evaluation"}, default="all"
        The paper's split. Of the 964 characters of the 30 "background" alphabets, the
        first drawing of each is for testing (964) and the others for training (18,316);
        the 659 characters of the other 20 alphabets are for evaluation (13,180). "all"
        is train, test and evaluation, in this order.

    dtype : {"float32", "uint8"}, default="float32"
        Values 0 and 1, or 0 and 255: for an estimator with ``input_range=(0, 255)``.

    data_home : str or path-like, default=None
        Where the two published zip files are, or are downloaded to, in the folder
        "omniglot". By default the folder that the environment variable
        SKLEARN_DAAE_DATA names, or ~/sklearn_daae_data.

    download_if_missing : bool, default=True
        If False, raise an OSError where a file is missing.

    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    trusted_files : list of str, default=None
        Names of files to read although their checksum is not the published one, such as
        ``["images_background.zip"]``.

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

        data : memmap of shape (n_images, 11025)
            One drawing a row, sorted by alphabet, character and drawing in each subset.
            A file in the cache, mapped into memory and read-only: make a copy, as by
            ``numpy.array(data)``, to change it.
        images : memmap of shape (n_images, 105, 105)
            The same.
        target : ndarray of shape (n_images,)
            The character, from 0 to 1622.
        target_names : list of str
            Names of the characters, such as "Greek/character01".
        alphabet : ndarray of shape (n_images,)
            The alphabet, from 0 to 49.
        alphabet_names : list of str
            Names of the alphabets.
        drawing : ndarray of shape (n_images,)
            Which of the drawings of its character it is, from 1 to 20.
        image_shape : tuple
            (1, 105, 105), as estimators take it.
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

    ImportError
        If Pillow is missing, which reads the drawings.

    See Also
    --------
    fetch_celeba : Faces.
    fetch_mnist : Handwritten digits.
    fetch_sprites : Animated characters.

    Notes
    -----
    The first call decodes the images into the cache: the folder that the environment
    variable SKLEARN_DAAE_CACHE names, else the user's cache folder. It takes 0.36 GB
    for ``dtype="uint8"``, and 1.4 GB for "float32". It may be removed at any time. The
    first call in a process reads it through, and decodes anew what is damaged.

    Examples
    --------
    >>> from sklearn_daae.datasets import fetch_omniglot
    >>> omniglot = fetch_omniglot(subset="evaluation")  # doctest: +SKIP
    >>> omniglot.images.shape, len(set(omniglot.target))  # doctest: +SKIP
    ((13180, 105, 105), 659)
    """
    X, labels = fetch_images(
        "omniglot",
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
        target_names=labels["target_names"].tolist(),
        alphabet=labels["alphabet"][rows],
        alphabet_names=labels["alphabet_names"].tolist(),
        drawing=labels["drawing"][rows],
        image_shape=_IMAGE_SHAPE,
        DESCR=description("omniglot"),
    )


def _decode(background, evaluation):
    Image = require("PIL.Image", "Pillow")
    # Of each drawing: subset, alphabet, character, number, member of the zip file.
    drawings = []
    for path in (background, evaluation):
        with reading(path), ZipFile(path) as archive:
            for name, match in matching_members(archive, _MEMBER).items():
                alphabet, character, number = match.groups()
                if not 1 <= int(number) <= _N_DRAWINGS:
                    raise ValueError(f"{name!r} is no drawing from 1 to {_N_DRAWINGS}")
                subset = 0 if int(number) > 1 else 1
                subset = 2 if path == evaluation else subset
                drawings.append((subset, alphabet, character, int(number), name))
    drawings.sort()
    subsets, alphabets, characters, numbers, names = zip(*drawings, strict=True)
    # Those of the evaluation set come after those of the background set.
    is_evaluation = [str(subset == 2) for subset in subsets]
    alphabets = list(map("/".join, zip(is_evaluation, alphabets, strict=True)))
    characters = list(map("/".join, zip(alphabets, characters, strict=True)))
    target_names, target = np.unique(characters, return_inverse=True)
    alphabet_names, alphabet = np.unique(alphabets, return_inverse=True)

    def blocks():
        first, n_background = 0, len(subsets) - subsets.count(2)
        for path, members in (
            (background, names[:n_background]),
            (evaluation, names[n_background:]),
        ):
            with reading(path), ZipFile(path) as archive:
                for start in range(0, len(members), _BLOCK_ROWS):
                    block = members[start : start + _BLOCK_ROWS]
                    paper = b"".join(_read(archive, name, Image) for name in block)
                    ink = 255 - np.frombuffer(paper, np.uint8)
                    if ((ink > 0) & (ink < 255)).any():
                        raise ValueError("a drawing has more than ink and paper")
                    yield first, ink
                    first += len(block)

    return Decoded(
        {
            "target": target,
            "target_names": _without_set(target_names),
            "alphabet": alphabet,
            "alphabet_names": _without_set(alphabet_names),
            "drawing": np.array(numbers),
            "subset": np.array(subsets, np.int8),
        },
        blocks(),
    )


def _without_set(names):
    return np.array([name.partition("/")[2] for name in names])


def _read(archive, name, Image):
    """Return a drawing's bytes, 255 where the paper is."""
    data = read_member(archive, name, _MAX_SIZE)
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        if image.size != _IMAGE_SHAPE[:0:-1]:
            raise ValueError(f"{name!r} has {image.size} pixels, not 105 x 105")
        return image.convert("L").tobytes()
