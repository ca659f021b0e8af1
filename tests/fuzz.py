"""Damage files of every reader by the thousand, and see that only what may comes of it.

    python -m tests.fuzz [READER ...] [--n 10000] [--seconds 60] [--seed 0]

Of damaged archives, either the documented error comes, or arrays as documented: what is
not compressed does not tell of its damage. Of a damaged cache comes what the whole one
gives. No call may take long or much memory, or write beside the cache. What a seed
stands for is made again by `--n 1 --seed SEED`; TMPDIR=/dev/shm is faster than a disk.
"""

import argparse
import gzip
import math
import random
import re
import shutil
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
import pytest

import sklearn_daae
from sklearn_daae import Checkpoint, DAAETransformer
from sklearn_daae.datasets import (
    _cache,
    _mnist,
    _sprites,
    fetch_celeba,
    fetch_mnist,
    fetch_omniglot,
    fetch_sprites,
)

from .conftest import write_celeba
from .test_datasets import (
    DRAWING,
    TAR,
    Image,
    character_file,
    known_archives,
    splits_file,
    write_mnist,
    write_omniglot,
    write_tar,
)

# Of models whose files are read.
_TINY = {
    "n_components": 2,
    "encoder_layer_sizes": (3,),
    "decoder_layer_sizes": (3,),
    "discriminator_layer_sizes": (3,),
    "max_epochs": 1,
    "random_state": 0,
    "device": "cpu",
}
_MAX_SECONDS = 1  # of the processor, for one file
_MAX_SILENCE = 60  # seconds without an answer: a file that is read for ever
_MAX_MEMORY = 200_000_000  # bytes, more than reading whole files has taken
_MAX_FAILURES = 100  # of a reader, which is then left alone
_N_SHOWN = 5  # of them


class Piece(NamedTuple):
    """A file, or what is packed in one, that is damaged and read."""

    data: bytes
    # Puts other data in its place.
    place: Callable[[bytes], object]
    # Reads it, and raises an AssertionError if what comes is not right.
    read: Callable[[], object]
    # The error that may come instead, and what its message matches; none may, if ().
    error: type | tuple[()] = ()
    message: str = ""


# Mutations ----------------------------------------------------------------------------


def _part(data, rng):
    """Return where a part of the data begins and ends, which is short as a rule."""
    start = rng.randrange(len(data) + 1)
    return start, start + int(math.exp(rng.uniform(0, math.log(len(data) + 2))))


def _flip_bits(data, rng, other):
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _replace_bytes(data, rng, other):
    start, stop = _part(data, rng)
    data[start:stop] = rng.randbytes(len(data[start:stop]))


def _truncate(data, rng, other):
    del data[rng.randrange(len(data) + 1) :]


def _insert(data, rng, other):
    start, stop = _part(data, rng)
    data[start:start] = rng.randbytes(stop - start)


def _duplicate(data, rng, other):
    start, stop = _part(data, rng)
    data[start:start] = data[start:stop]


def _splice(data, rng, other):
    start, stop = _part(data, rng)
    begin, end = _part(other, rng)
    data[start : rng.choice((stop, None))] = other[begin : rng.choice((end, None))]


def _zero(data, rng, other):
    start, stop = _part(data, rng)
    data[start:stop] = bytes(len(data[start:stop]))


MUTATIONS = (
    _flip_bits,
    _replace_bytes,
    _truncate,
    _insert,
    _duplicate,
    _splice,
    _zero,
)


def _mutated(data, rng, other):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(MUTATIONS)(data, rng, other)
    return bytes(data)


# Readers ------------------------------------------------------------------------------

# By name, what makes the pieces of a reader's files under a folder, of which "cache" is
# the cache, with changes that end with the fuzzing by a pytest.MonkeyPatch.
READERS: dict[str, Callable[[Path, pytest.MonkeyPatch], list[Piece]]] = {}


def reader(make):
    """Have a reader in the table, under the name of the function."""
    READERS[make.__name__] = make
    return make


def _archives(folder, fetch, check):
    """Return pieces of the archives under a folder: of each the file as it is."""
    home = folder / "home"
    paths = sorted(path for path in home.rglob("*") if path.is_file())
    names = [path.name for path in paths]
    damaged = rf"{re.escape(str(home))}\S+ is damaged, or is not what its name says: "

    def read():
        shutil.rmtree(folder / "cache", ignore_errors=True)
        bunch = fetch(data_home=home, trusted_files=names, dtype="uint8", verbose=0)
        n_features = math.prod(bunch.image_shape)
        assert bunch.data.shape == (len(bunch.target), n_features)
        assert bunch.data.dtype == np.uint8
        assert len(bunch.target) > 0
        check(bunch)

    return [
        Piece(path.read_bytes(), path.write_bytes, read, OSError, damaged)
        for path in paths
    ]


def _packed(piece, members, pack):
    """Return pieces of what is packed in a file: its members, each damaged alone."""

    def place(name, data):
        piece.place(pack({**members, name: data}))

    return [
        piece._replace(data=data, place=partial(place, name))
        for name, data in members.items()
    ]


def _in_zip(piece):
    def pack(members):
        file = BytesIO()
        with ZipFile(file, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return file.getvalue()

    with ZipFile(BytesIO(piece.data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return _packed(piece, members, pack)


def _in_gzip(piece):
    members = {"": gzip.decompress(piece.data)}
    return _packed(piece, members, lambda members: gzip.compress(members[""], 1))


def _in_range(values, high, low=0):
    assert values.dtype.kind in "iu"
    assert low <= values.min() <= values.max() <= high


def small_mnist(folder, patch):
    """Return the home of an MNIST of ten images, whose checksums are known."""
    patch.setattr(_mnist, "_SIZES", (5, 2, 3))
    home = write_mnist(folder / "home", 7, 3)
    patch.setattr(_mnist, "_ARCHIVES", known_archives(home))
    return home


@reader
def mnist(folder, patch):
    small_mnist(folder, patch)

    def check(bunch):
        assert len(bunch.data) == 10
        assert bunch.target.shape == (10,)
        _in_range(bunch.target, 9)

    files = _archives(folder, fetch_mnist, check)
    return files + [piece for file in files for piece in _in_gzip(file)]


@reader
def omniglot(folder, patch):
    file = BytesIO()
    pixels = np.random.default_rng(0).random((105, 105)) < 0.1
    Image.fromarray(pixels).save(file, "PNG")
    write_omniglot(folder / "home", {DRAWING: file.getvalue()})

    def check(bunch):
        assert set(np.unique(bunch.data)) <= {0, 255}
        for name, high, low in (
            ("target", len(bunch.target_names) - 1, 0),
            ("alphabet", len(bunch.alphabet_names) - 1, 0),
            ("drawing", 20, 1),
        ):
            assert bunch[name].shape == (len(bunch.data),)
            _in_range(bunch[name], high, low)

    files = _archives(folder, fetch_omniglot, check)
    return files + [piece for file in files for piece in _in_zip(file)]


def _check_sprites(bunch):
    n = len(bunch.data)
    assert n % 14 == 0
    assert bunch.target.shape == (n, 7)
    _in_range(bunch.target, 255)
    for name, high in (
        ("character", n // 14 - 1),
        ("animation", 5),
        ("view", 3),
        ("frame", 12),
    ):
        assert bunch[name].shape == (n,)
        _in_range(bunch[name], high)


@reader
def sprites_compact(folder, patch):
    patch.setattr(_sprites, "_N_FRAMES", [7, 7])
    path = folder / "home" / "sprites" / "reed2015_sprites.npz"
    path.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    frames = np.arange(14 * 3600, dtype=np.uint16).reshape(14, 60, 60) // 6000
    np.savez_compressed(
        path,
        labels=np.array([[0] * 7, [1, 3, 2, 5, 1, 1, 1]], np.uint8),
        palette=rng.integers(256, size=(9, 4), dtype=np.uint8),
        split=np.array(["test", "train"]),
        frames_000=frames,
        frames_001=frames[::-1],
    )
    files = _archives(folder, fetch_sprites, _check_sprites)
    return files + [piece for file in files for piece in _in_zip(file)]


@reader
def sprites_published(folder, patch):
    patch.setattr(_sprites, "_N_FRAMES", [7, 7])
    members = {
        "sprites_1.mat": character_file(2, values=1.0),
        "sprite_large_labels.txt": b"0,0,0,0,0,0,0\n1,3,2,5,1,1,1\n",
        "sprites_splits.mat": splits_file(train=[2], test=[1]),
        "sprites_0.mat": character_file(2),
    }
    home = folder / "home"
    write_tar(home, members)

    def pack(members):
        write_tar(home, members)
        return (home / "sprites" / TAR).read_bytes()

    (file,) = _archives(folder, fetch_sprites, _check_sprites)
    return [file, *_in_gzip(file), *_packed(file, members, pack)]


@reader
def celeba(folder, patch):
    write_celeba(folder / "home", [(30, 40), (64, 64), (9, 8)])

    def check(bunch):
        assert bunch.target.shape == (len(bunch.data), 40)
        _in_range(bunch.target, 1)
        assert bunch.partition.shape == (len(bunch.data),)
        _in_range(bunch.partition, 2)
        assert len({*bunch.target_names}) == 40

    files = _archives(folder, fetch_celeba, check)
    (pictures,) = (file for file in files if file.data.startswith(b"PK"))
    return files + _in_zip(pictures)


def _cached(folder, patch, pattern):
    """Return pieces of a cache: the files in it whose names match."""
    fetch = partial(fetch_mnist, data_home=small_mnist(folder, patch), verbose=0)
    clean = {
        dtype: (np.array(fetch(dtype=dtype).data), fetch(dtype=dtype).target)
        for dtype in ("uint8", "float32")
    }

    def read():
        _cache._whole.clear()  # as in a process that has not seen it yet
        for dtype, (data, target) in clean.items():
            bunch = fetch(dtype=dtype)
            assert bunch.data.dtype == dtype
            np.testing.assert_array_equal(bunch.data, data)
            np.testing.assert_array_equal(bunch.target, target)

    paths = sorted((folder / "cache").rglob(pattern))
    return [Piece(path.read_bytes(), path.write_bytes, read) for path in paths]


@reader
def cached_images(folder, patch):
    return _cached(folder, patch, "*.npy")


@reader
def cached_labels(folder, patch):
    return _cached(folder, patch, "*.npz")


@reader
def cache_notes(folder, patch):
    return _cached(folder, patch, "*.crc32")


@reader
def checksum_notes(folder, patch):
    return _cached(folder, patch, "checksums/*")


def _saved(folder, make, read):
    """Return the piece of a model's file, which is in no cache.

    A function of the path of the file and of X makes the model, another one reads it.
    """
    path = folder / "home" / "model"
    path.parent.mkdir()
    X = np.random.default_rng(0).random((32, 4), dtype=np.float32)
    codes = make(path, X).transform(X)

    def same():
        np.testing.assert_array_equal(read(path, X).transform(X), codes)

    refused = rf"{re.escape(str(path))} cannot be loaded: "
    return [Piece(path.read_bytes(), path.write_bytes, same, ValueError, refused)]


@reader
def models(folder, patch):
    def make(path, X):
        model = DAAETransformer(**_TINY).fit(X)
        model.save(path)
        return model

    return _saved(folder, make, lambda path, X: sklearn_daae.load(path))


@reader
def checkpoints(folder, patch):
    def fit(path, X):
        settings = {**_TINY, "warm_start": True, "callbacks": [Checkpoint(path)]}
        return DAAETransformer(**settings).fit(X)

    return _saved(folder, fit, fit)


# Fuzzing ------------------------------------------------------------------------------


def results(name, seeds):
    """Yield for each seed "raised", "right", or the traceback of what went wrong."""
    with (
        TemporaryDirectory() as temporary,
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(action="ignore"),
    ):
        folder = Path(temporary)
        patch.setenv("SKLEARN_DAAE_CACHE", str(folder / "cache"))
        # A disk that is waited for would take most of the time.
        patch.setattr(_cache.os, "fsync", lambda descriptor: None)
        pieces = READERS[name](folder, patch)
        for piece in pieces:
            piece.place(piece.data)
            piece.read()
        memory = _peak_memory()
        for seed in seeds:
            rng = random.Random(seed)
            piece = rng.choice(pieces)
            piece.place(_mutated(piece.data, rng, rng.choice(pieces).data))
            try:
                yield _result(piece, folder, memory)
            except Exception:
                memory = max(memory, _peak_memory())  # for those that come after it
                yield traceback.format_exc()
            piece.place(piece.data)


def _result(piece, folder, memory):
    before, start, message = _files(folder), time.process_time(), None
    try:
        piece.read()
    except piece.error as error:
        message = str(error)
    seconds = time.process_time() - start
    assert message is None or re.match(piece.message, message), message
    assert seconds < _MAX_SECONDS, f"it takes {seconds:.1f} s"
    assert _files(folder) == before, "it writes beside the cache"
    assert not [*folder.rglob("*.partial")], "it leaves something half-written"
    more = _peak_memory() - memory
    assert more < _MAX_MEMORY, f"it takes {more} bytes"
    return "right" if message is None else "raised"


def _files(folder):
    """Return what tells of changes in all files but those of the cache."""
    return {
        path: _cache.identity(path)
        for path in folder.rglob("*")
        if path.is_file() and folder / "cache" not in path.parents
    }


def _peak_memory():
    if sys.platform == "win32":  # does not tell
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _send_results(connection, name, seeds):
    with suppress(BrokenPipeError):  # enough has been heard
        for result in results(name, seeds):
            connection.send(result)


def fuzz(name, seeds, seconds):
    """Fuzz a reader in processes of its own: some files may end one, or never be read.

    Returns
    -------
    counts : Counter
        How many files ended in which result.

    failures : list of (seed, str)
        What went wrong.
    """
    counts, failures = Counter(), []
    context, end = get_context("spawn"), time.monotonic() + seconds
    seed, stop = seeds.start, seeds.stop

    def goes_on():
        is_time = time.monotonic() < end
        return seed < stop and is_time and len(failures) < _MAX_FAILURES

    while goes_on():
        receiver, sender = context.Pipe(duplex=False)
        arguments = sender, name, range(seed, stop)
        process = context.Process(target=_send_results, args=arguments, daemon=True)
        process.start()
        sender.close()
        try:
            while goes_on():
                if not receiver.poll(_MAX_SILENCE):
                    raise EOFError
                result = receiver.recv()
                if result in ("right", "raised"):
                    counts[result] += 1
                else:
                    failures.append((seed, result))
                seed += 1
        except EOFError:
            process.join(1)
            failures.append((seed, f"it ends the process, or has no end: {process}"))
            seed += 1
        receiver.close()
        process.join(1)
        process.kill()
    return counts, failures


def main(arguments=None):
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(READERS))
    parser.add_argument("--n", type=int, default=10_000, help="files of each")
    parser.add_argument("--seconds", type=float, default=60, help="at most, for each")
    parser.add_argument("--seed", type=int, default=0, help="that of the first file")
    options = parser.parse_args(arguments)
    if unknown := {*options.readers} - READERS.keys():
        parser.error(f"there is no reader {min(unknown)!r}, but {', '.join(READERS)}")
    failed = False
    for name in options.readers or READERS:
        seeds = range(options.seed, options.seed + options.n)
        counts, failures = fuzz(name, seeds, options.seconds)
        failed |= bool(failures)
        n = counts.total() + len(failures)
        print(
            f"{name}: {n} files, {counts['raised']} raised the documented error, "
            f"{counts['right']} were right or healed, {len(failures)} failures",
            flush=True,
        )
        for seed, text in failures[:_N_SHOWN]:
            print(f"{text}\n  again: python -m tests.fuzz {name} --n 1 --seed {seed}\n")
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
