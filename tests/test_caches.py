"""Caches that heal, and disks that are full, lose power or cannot be read."""

import errno
import os
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from sklearn_daae import _files
from sklearn_daae.datasets import _archives, _cache, _mnist, fetch_mnist

from .fuzz import READERS, results, small_mnist


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARN_DAAE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def home(tmp_path, cache, monkeypatch):
    return small_mnist(tmp_path, monkeypatch)


def fetch(home):
    """Return what a process that has read nothing yet is given."""
    _cache._whole.clear()
    return [
        np.array(values)
        for dtype in ("uint8", "float32")
        for values in fetch_mnist(
            data_home=home, dtype=dtype, return_X_y=True, verbose=0
        )
    ]


def assert_equal(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def refuse(*args):
    raise AssertionError("it was decoded or written")


def flipped(data, i):
    return data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]


IMAGE_DAMAGES = {
    "flipped bit": lambda data: flipped(data, -9),
    "other images": lambda data: data[:-784] + b"\7" * 784,
}
# What NumPy finds wrong has always been decoded anew; this it does not find, or raises
# errors of, of all kinds.
LABEL_DAMAGES = {
    "encrypted": lambda data: flipped(data, data.index(b"PK\1\2") + 8),
    "other method": lambda data: flipped(data, data.index(b"PK\1\2") + 10),
}
NOTE_DAMAGES = {
    "flipped bit": lambda data: flipped(data, 7),
    "cut off": lambda data: data[:-1],
    "longer": lambda data: data + b" ",
    "binary": lambda data: bytes(range(256)),
    "zeros": lambda data: bytes(len(data)),
    "empty": lambda data: b"",
    "missing": lambda data: None,
}


@pytest.mark.parametrize("damage", IMAGE_DAMAGES)
@pytest.mark.parametrize("name", ["images_uint8.npy", "images_float32.npy"])
def test_damaged_images(home, cache, monkeypatch, name, damage):
    check_healing(home, cache, monkeypatch, name, IMAGE_DAMAGES[damage])


@pytest.mark.parametrize("damage", LABEL_DAMAGES)
def test_damaged_labels(home, cache, monkeypatch, damage):
    check_healing(home, cache, monkeypatch, "labels.npz", LABEL_DAMAGES[damage])


@pytest.mark.parametrize("damage", NOTE_DAMAGES)
@pytest.mark.parametrize("name", ["images_uint8.npy", "labels.npz"])
def test_damaged_notes(home, cache, monkeypatch, name, damage):
    check_healing(home, cache, monkeypatch, f"{name}.crc32", NOTE_DAMAGES[damage])


def check_healing(home, cache, monkeypatch, name, damage):
    whole = fetch(home)
    (path,) = cache.rglob(name)
    data = damage(path.read_bytes())
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    assert_equal(fetch(home), whole)
    # It is healed, and serves even where nothing can be written.
    monkeypatch.setattr(_mnist, "_decode", refuse)
    monkeypatch.setattr(_cache, "written_whole", refuse)
    assert_equal(fetch(home), whole)


def test_a_cache_without_checksums(home, cache):
    """As the version before wrote it: no one knows whether it is whole."""
    whole = fetch(home)
    for note in cache.rglob("*.crc32"):
        note.unlink()
    for images in cache.rglob("*.npy"):
        images.write_bytes(images.read_bytes()[:-1] + b"\7")
    assert_equal(fetch(home), whole)


def test_whole_images_of_another_shape(home, cache):
    """Such as a file that was copied with its checksum from another cache."""
    whole = fetch(home)
    (images,) = cache.rglob("images_uint8.npy")
    with _cache._written_with_checksum(images) as file:
        np.save(file, np.zeros((3, 784), np.uint8))
    assert_equal(fetch(home), whole)


def test_a_cache_is_read_for_its_checksum_once(home, cache, monkeypatch):
    whole, read = fetch(home), []
    checksum = _cache._checksum

    def counted(file):
        read.append(Path(file.name).name)
        return checksum(file)

    monkeypatch.setattr(_cache, "_checksum", counted)
    options = {"data_home": home, "dtype": "uint8", "verbose": 0}
    _cache._whole.clear()
    for _ in range(3):
        fetch_mnist(**options)
    assert sorted(read) == ["images_uint8.npy", "labels.npz"]
    # Nor is what this process has just written, but again what has changed since.
    shutil.rmtree(cache)
    fetch_mnist(**options)
    read.clear()
    fetch_mnist(**options)
    assert read == []
    (images,) = cache.rglob("images_uint8.npy")
    images.write_bytes(images.read_bytes()[:-1] + b"\7")
    np.testing.assert_array_equal(fetch_mnist(**options).data, whole[0])
    assert read[0] == "images_uint8.npy"


def one_digit_else(note, other):
    return note.replace(note[:8], b"sha256:" + (b"1" if note[7:8] == b"0" else b"0"))


BAD_NOTES = {
    "binary": lambda note, other: bytes(range(256)),
    "not UTF-8": lambda note, other: note.replace(b":", b"\xff"),
    "cut off": lambda note, other: note[:-1],
    "longer": lambda note, other: note + b" ",
    "of the version before": lambda note, other: b" ".join(note.split()[:2]),
    "one digit else": one_digit_else,
    "of another file": lambda note, other: other,
}


@pytest.mark.parametrize("damage", BAD_NOTES)
def test_damaged_checksum_notes(home, cache, damage):
    """None of them has a good archive called damaged."""
    whole = fetch(home)
    notes = sorted((cache / "checksums").iterdir())
    before = [note.read_bytes() for note in notes]
    for i, note in enumerate(notes):
        note.write_bytes(BAD_NOTES[damage](before[i], before[i - 1]))
        assert note.read_bytes() != before[i]
    assert_equal(fetch(home), whole)
    assert [note.read_bytes() for note in notes] == before


def test_a_power_cut(home, cache, monkeypatch):
    """What has its name is on the disk, and then the name is."""
    events, names = [], set()
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor):
        events.append(("on the disk", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def named(path, target):
        names.add(target.name)
        assert events[-1] == ("on the disk", path.stat().st_ino)
        events.append(("named in", target.parent.stat().st_ino))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", named)
    fetch(home)
    files = {"images_uint8.npy", "images_float32.npy", "labels.npz"}
    assert names >= files | {f"{name}.crc32" for name in files}
    for (event, inode), after in pairwise([*events, None]):
        if event == "named in":
            assert after == ("on the disk", inode)


@pytest.fixture
def limited():
    """Have no file grow beyond some bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource", reason="Windows limits no files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


CANNOT = r"cache/mnist.* cannot be written to: .*{}.*room left.*SKLEARN_DAAE_CACHE"


def check_nothing_is_kept(home, cache, reason):
    with pytest.raises(OSError, match=CANNOT.format(reason)):
        fetch_mnist(data_home=home, verbose=0)
    assert not [*cache.rglob("*.partial")]
    assert not [*cache.rglob("*.npy")]


def test_a_disk_that_is_full_in_the_middle(home, cache, limited):
    check_nothing_is_kept(home, cache, "File too large")


def test_a_disk_that_is_full_in_the_end(home, cache, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        check_nothing_is_kept(home, cache, "No space left on device")
    assert len(fetch_mnist(data_home=home, verbose=0).data) == 10


def test_archives_that_cannot_be_read(home, cache, monkeypatch):
    path = home / "mnist" / "t10k-labels-idx1-ubyte.gz"
    message = rf"{path} cannot be read: .*{{}}.*SKLEARN_DAAE_DATA"

    def refused(error):
        def raise_it(*args):
            raise OSError(error, os.strerror(error))

        return raise_it

    with monkeypatch.context() as patch:
        patch.setattr(_archives.pooch, "file_hash", refused(errno.EIO))
        with pytest.raises(OSError, match=r"cannot be read: .*Input/output error"):
            fetch_mnist(data_home=home, verbose=0)
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match=message.format("Is a directory")):
        fetch_mnist(data_home=home, verbose=0)


def test_sizes_as_one_reads_them():
    sizes = [3, 5000, 219_520_000, 999_600_000, 1_291_852_800, 2 * 10**15]
    assert [*map(_files.in_units, sizes)] == [
        *("0.003 kB", "5 kB", "220 MB", "1 GB", "1.29 GB", "2e+03 TB")
    ]


@pytest.mark.parametrize("name", READERS)
def test_a_few_hundred_damaged_files(name):
    """Of each reader; `python -m tests.fuzz` makes as many as one likes."""
    found = [*results(name, range(200))]
    assert {*found} <= {"raised", "right"}, max(found, key=len)
    # Files of models tell of every damage, and there is nothing that they heal from.
    assert "right" in found or name in ("models", "checkpoints")
