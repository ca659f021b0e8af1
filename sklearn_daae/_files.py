"""Models in files that execute nothing: safetensors, whose header holds plain data.

What a model is made of is written down as its pickle would be, but of the classes that
are named here, and of no others; arrays are the tensors of the file. Whatever else
there is, is refused by its name when it is saved, and not only when it is loaded.
"""

import json
import mmap
import os
import time
import zlib
from contextlib import contextmanager, suppress
from errno import EISDIR
from glob import escape
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from numpy.random import PCG64
from sklearn.base import BaseEstimator

from ._checks import check_flag
from ._engine.state import as_tensors, to_save
from ._engine.trainer import AutoencoderNet

# Of the files; another one where what they hold is written otherwise.
_FORMAT = "sklearn-daae 1"
# Of the bytes of a file in which these stand for the digest itself. It tells of damage,
# and not of malice: who can write a file can write its digest, too.
_NO_DIGEST = "crc32:00000000"
_PLACE = b'"digest":"crc32:'

# A file that has not been written to for so many seconds has no one who writes it.
_ABANDONED = 3600

# What a file may hold, by the names that it has there.
_KNOWN = {
    name: module
    for module, names in {
        "sklearn_daae": (
            *("AAETransformer", "ALICETransformer", "DAAETransformer"),
            *("DAETransformer", "DVAETransformer", "VAETransformer"),
            *("iDAAETransformer", "Checkpoint"),
        ),
        "sklearn_daae.impute": ("AutoencoderImputer",),
        "sklearn_daae.outliers": ("AutoencoderOutlierDetector", "_Distance"),
        "sklearn_daae._engine.trainer": ("AutoencoderNet", "EpochHistory"),
        "sklearn_daae._model.corruption": ("Corruption", "Space"),
        "sklearn_daae._model.losses": ("minimax", "non_saturating"),
        "sklearn_daae._model.objectives": (
            *("ALICEObjective", "AdversarialObjective", "BalancedObjective"),
            *("DenoisingObjective", "VariationalObjective"),
        ),
        "sklearn_daae._model.priors": ("Prior",),
        "sklearn_daae._model.scaling": ("Scaling",),
        "sklearn.decomposition": ("PCA",),
        "sklearn.pipeline": ("Pipeline",),
        "sklearn.preprocessing": (
            *("MaxAbsScaler", "MinMaxScaler", "RobustScaler", "StandardScaler"),
        ),
        "skorch.callbacks": ("EpochTimer",),
    }.items()
    for name in names
}


def save(
    model: BaseEstimator, path: str | os.PathLike, *, trimmed: bool = False
) -> None:
    """Save a fitted model in a file that executes nothing when it is loaded.

    It is a file of safetensors: arrays, and what else there is as JSON, with a version
    and a digest. It has its name only when it is whole and on the disk: what was there
    before stays until then.

    Parameters
    ----------
    model : estimator
        A model of this package, fitted or not, an outlier detector or imputer with one,
        or a pipeline of these and of scikit-learn's `PCA`, `StandardScaler`,
        `MinMaxScaler`, `MaxAbsScaler` and `RobustScaler`.

    path : str or path-like
        The file. It is replaced, if it is there.

    trimmed : bool, default=False
        Whether to leave out what only training needs, three quarters of the file: such
        a model cannot go on with `partial_fit` or `warm_start`.

    Raises
    ------
    TypeError
        If the model has something that is no plain data, which the message names:
        networks, a corruption, a prior or callbacks of your own, or steps of a pipeline
        that are not named above; or if `model` is no estimator, `path` no path, or
        `trimmed` no bool.

    OSError
        If the file cannot be written.

    See Also
    --------
    load : Load it.
    Checkpoint : Keeps the state of a training while it goes on.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> import sklearn_daae
    >>> X, _ = load_iris(return_X_y=True)
    >>> model = sklearn_daae.DAETransformer(2, max_epochs=1, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sklearn_daae.save(model, Path(folder) / "model.safetensors")
    ...     loaded = sklearn_daae.load(Path(folder) / "model.safetensors")
    >>> bool((loaded.transform(X) == model.transform(X)).all())
    True
    """
    if not isinstance(model, BaseEstimator):
        raise TypeError(f"{model!r} is no estimator. Give a model, or a pipeline.")
    check_flag("trimmed", trimmed)
    write_document(Path(path), model, trimmed=trimmed)


def load(path: str | os.PathLike) -> Any:
    """Load what `save` has written. Nothing in the file is executed.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    model : estimator
        As it was saved, or written by a :class:`~sklearn_daae.Checkpoint`; on the CPU,
        where its device is not here.

    Raises
    ------
    OSError
        If the file is not there (a FileNotFoundError), or cannot be read.

    TypeError
        If `path` is no path.

    ValueError
        If it is no such file, is damaged or not whole, is of another version, or has
        content that no `save` would have written.

    Warns
    -----
    InconsistentVersionWarning
        If another version of the package has written it, as scikit-learn warns.

    See Also
    --------
    save : Save a model.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import sklearn_daae
    >>> model = sklearn_daae.DAETransformer(2, sigma=0.25)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(Path(folder) / "model.safetensors")
    ...     sklearn_daae.load(Path(folder) / "model.safetensors").sigma
    0.25
    """
    model = read_document(Path(path))
    if isinstance(model, dict):  # a checkpoint
        model = model.get("model")
    if not isinstance(model, BaseEstimator):
        raise ValueError(f"{path} holds no model, but {type(model).__name__}.")
    return model


@contextmanager
def written_whole(path):
    """Open a file that has its name only when all of it is written, and on the disk."""
    partial = partial_of(path)
    try:
        with partial.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_names(path.parent)
    finally:
        with suppress(OSError):  # the folder itself may be what there is not
            partial.unlink()


def partial_of(path):
    """Return a name for a file that is not yet written whole, which no one else has."""
    return path.with_name(f"{path.name}.{uuid4().hex}.partial")


def remove_abandoned(partials):
    """Remove what processes that were killed have left half-written."""
    for partial in partials:
        with suppress(OSError):  # another process may be faster
            if time.time() - partial.stat().st_mtime > _ABANDONED:
                partial.unlink()


def _sync_names(folder):
    """Have the names in a folder outlast a power cut, where that can be asked for."""
    with suppress(OSError):  # not of Windows, nor of some disks in a network
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_document(path, value, **options):
    """Write plain data, models and arrays into a file of safetensors.

    Options are those of `Writer`.
    """
    from safetensors.numpy import save as as_safetensors

    arrays = {}
    document = Writer(arrays, **options).written(value, type(value).__name__)
    header = {
        "format": _FORMAT,
        "digest": _NO_DIGEST,
        "document": json.dumps(document),
    }
    data = bytearray(as_safetensors(arrays, header))
    place = data.index(_PLACE) + len(_PLACE)
    data[place : place + 8] = f"{zlib.crc32(data):08x}".encode()
    try:
        with written_whole(path) as file:
            file.write(data)
    except OSError as error:
        raise _cannot_write(path, error, len(data)) from error


def check_writable(path):
    """Refuse a file that cannot be written, before there is something to write."""
    try:
        if path.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        with partial_of(path).open("xb") as file:
            pass
        Path(file.name).unlink()
        remove_abandoned(path.parent.glob(f"{escape(path.name)}.*.partial"))
    except OSError as error:
        raise _cannot_write(path, error) from error


def in_units(size):
    """Return a number of bytes as one reads it."""
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.5 or unit == "TB":
            return f"{size:.3g} {unit}"


def _cannot_write(path, error, size=0):
    what = "it cannot be saved to"
    if size:
        what = f"nothing was saved of {in_units(size)}"
    return OSError(
        error.errno,
        f"{error.strerror}: {what}. Give a file in a folder that exists, with room, "
        "which you may write to",
        str(path),
    )


def read_document(path):
    """Return what `write_document` was given."""
    from safetensors import safe_open

    with path.open("rb") as file:
        try:
            _check_digest(file)
            with safe_open(path, framework="numpy") as content:
                header = content.metadata()
                if header["format"] != _FORMAT:
                    raise ValueError(
                        f"its format is {header['format']!r}, where this version of "
                        f"the package reads {_FORMAT!r}: update the older of the two"
                    )
                document = json.loads(header["document"])
                return _read(document, content.get_tensor)
        except Exception as error:  # whatever damage or malice may bring about
            raise ValueError(
                f"{path} cannot be loaded: {error or type(error).__name__}. It must be "
                "a whole and unchanged file that `save` of sklearn-daae has written: "
                "copy it, or save the model, again."
            ) from error


def _check_digest(file):
    """Refuse a file that is not as it was written, or is of another kind."""
    size = os.fstat(file.fileno()).st_size
    if size < 8:
        raise ValueError(f"it has {size} bytes")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        end = 8 + int.from_bytes(data[:8], "little")
        place = data.find(_PLACE, 8, min(end, size)) + len(_PLACE)
        if place < len(_PLACE):
            raise ValueError("it is no file of sklearn-daae")
        digest = data[place : place + 8]
        with memoryview(data) as view:
            found = zlib.crc32(view[:place])
            found = zlib.crc32(_NO_DIGEST[-8:].encode(), found)
            found = zlib.crc32(view[place + 8 :], found)
        if digest != f"{found:08x}".encode():
            raise ValueError("its digest is another: it is damaged or not whole")


class Writer:
    """Writes values down as JSON, and their arrays into a dict.

    What JSON has no word for is a dict that has one, under "!".

    Parameters
    ----------
    arrays : dict
        What they are written into.

    trimmed : bool, default=False
        Whether to leave out what only training needs.

    has_callbacks : bool, default=True
        Whether to write down the callbacks of what was trained.
    """

    def __init__(self, arrays, *, trimmed=False, has_callbacks=True):
        self.arrays = arrays
        self.trimmed = trimmed
        self.has_callbacks = has_callbacks

    def written(self, value, name):
        """Return a value in terms of JSON; its name is for who is told that it cannot.

        Types are compared, since a subclass may have more to it than is written down.
        """
        kind = type(value)
        if kind in (bool, int, float, str, type(None)):
            return value
        if kind in (list, tuple):
            items = [self.written(v, f"{name}[{i}]") for i, v in enumerate(value)]
            return items if kind is list else {"!": "tuple", "items": items}
        if kind is dict:
            items = {k: self.written(v, f"{name}.{k}") for k, v in value.items()}
            if all(type(key) is str for key in items) and "!" not in items:
                return items
            keys = [self.written(key, name) for key in items]
            return {"!": "dict", "keys": keys, "values": [*items.values()]}
        if kind is slice:
            ends = [value.start, value.stop, value.step]
            return {"!": "slice", "ends": self.written(ends, name)}
        if kind is np.ndarray or isinstance(value, np.generic):
            return self._array(value, name)
        if kind is np.random.Generator and type(value.bit_generator) is PCG64:
            state = self.written(value.bit_generator.state, name)
            return {"!": "Generator", "state": state}
        if kind is np.random.RandomState:
            state = self.written(value.get_state(legacy=False), name)
            return {"!": "RandomState", "state": state}
        return self._object(value, name)

    def _array(self, value, name):
        if value.dtype.kind in "biuf" and value.dtype.isnative:
            key = str(len(self.arrays))
            # As it lies in memory: sums in another order round otherwise.
            is_fortran = np.isfortran(value)
            self.arrays[key] = np.asarray(value.T if is_fortran else value, order="C")
            kind = "scalar" if isinstance(value, np.generic) else "array"
            return {"!": "fortran" if is_fortran else kind, "key": key}
        items = value.tolist()
        if value.dtype.kind == "U" or (value.dtype.kind == "O" and value.ndim == 1):
            written = self.written(items, name)
            return {"!": "objects", "kind": value.dtype.kind, "items": written}
        raise self._refusal(f"an array of {value.dtype}", name)

    def _object(self, value, name):
        known = getattr(value, "__name__", None)
        if known is not None and _known(known) is value:
            return {"!": "name", "known": known}
        known = type(value).__name__
        if _known(known) is not type(value):
            raise self._refusal(f"{value!r}", name)
        reduced: Any = value.__reduce_ex__(4)
        (_, *arguments), state, items = (*reduced, None, None)[1:4]
        if isinstance(value, AutoencoderNet):
            state = to_save(value, trimmed=self.trimmed)
            if not self.has_callbacks:
                state |= {"callbacks": [], "callbacks_": []}
        written = {
            "arguments": self.written(arguments, known),
            "state": self.written(state, known),
            "items": self.written(None if items is None else [*items], known),
        }
        return {"!": "object", "known": known, **written}

    def _refusal(self, what, name):
        return TypeError(
            f"{name} is {what}, which is no plain data: a file that executes "
            "nothing cannot hold it. Save the parts that can be saved, or pickle the "
            "model, for those who trust you."
        )


def _known(name):
    """Return the class or the function of ours that has a name, or None."""
    module = _KNOWN.get(name)
    return None if module is None else getattr(import_module(module), name)


def _read(written, array):
    """Return what `Writer` has written; `array` returns an array by its key."""
    if type(written) is list:
        return [_read(item, array) for item in written]
    if type(written) is not dict:
        return written
    read = {key: _read(value, array) for key, value in written.items()}
    kind = read.pop("!", None)
    return read if kind is None else _READERS[kind](array, **read)


def _read_generator(array, state):
    bit_generator = PCG64()
    bit_generator.state = state
    return np.random.Generator(bit_generator)


def _read_random_state(array, state):
    random_state = np.random.RandomState(0)
    random_state.set_state(state)
    return random_state


def _read_object(array, known, arguments, state, items):
    kind = _known(known)
    value = kind.__new__(kind, *arguments)
    if (
        kind is AutoencoderNet
    ):  # whose arrays no one else has: there is no need of copies
        state = as_tensors(state, torch.from_numpy)
    if state is not None:
        if hasattr(value, "__setstate__"):
            value.__setstate__(state)
        else:
            vars(value).update(state)
    if items is not None:
        value.extend(items)
    return value


_READERS = {
    "tuple": lambda array, items: tuple(items),
    "dict": lambda array, keys, values: dict(zip(keys, values, strict=True)),
    "slice": lambda array, ends: slice(*ends),
    "array": lambda array, key: array(key),
    "fortran": lambda array, key: array(key).T,
    "scalar": lambda array, key: array(key)[()],
    "objects": lambda array, kind, items: np.array(
        items, {"O": object, "U": str}[kind]
    ),
    "Generator": _read_generator,
    "RandomState": _read_random_state,
    "name": lambda array, known: _known(known),
    "object": _read_object,
}
