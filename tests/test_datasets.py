"""The data sets: what they hold, and what becomes of archives that are not whole."""

import gzip
import hashlib
import io
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zipfile import ZIP_BZIP2, ZipFile, ZipInfo

import numpy as np
import pytest
import scipy.io

from sklearn_daae import DAAETransformer
from sklearn_daae.datasets import (
    _archives,
    _cache,
    _mnist,
    fetch_celeba,
    fetch_mnist,
    fetch_omniglot,
    fetch_sprites,
)
from sklearn_daae.datasets._archives import Archive

from .conftest import make, write_celeba

h5py = pytest.importorskip("h5py")
Image = pytest.importorskip("PIL.Image")

FETCHERS = [fetch_celeba, fetch_mnist, fetch_omniglot, fetch_sprites]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Have each test decode into a cache of its own, and find no data but its own."""
    monkeypatch.setenv("SKLEARN_DAAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SKLEARN_DAAE_DATA", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


# The paper's data ---------------------------------------------------------------------


def test_mnist(data_home):
    mnist = fetch_mnist(data_home=data_home, verbose=0)
    integers = fetch_mnist(data_home=data_home, dtype=np.uint8, verbose=0)
    assert mnist.data.shape == (70_000, 784)
    assert mnist.images.shape == (70_000, 28, 28)
    assert mnist.image_shape == (1, 28, 28)
    assert mnist.data.dtype == np.float32
    assert mnist.target_names == list("0123456789")
    assert "50,000" in mnist.DESCR
    for X, high in ((mnist.data, 1), (integers.data, 255)):
        assert isinstance(X, np.memmap)
        assert X.min() == 0
        assert X.max() == high
    np.testing.assert_array_equal(
        mnist.data[:100], integers.data[:100] / np.float32(255)
    )

    # The checksum of the published training images includes a header of 16 bytes.
    header = struct.pack(">4B3I", 0, 0, 8, 3, 60_000, 28, 28)
    published = hashlib.sha256(header + integers.data[:60_000].tobytes()).hexdigest()
    assert published.startswith("ba891046e650")
    assert published.endswith("25776db")

    counts = {"train": 50_000, "validation": 10_000, "test": 10_000}
    first = 0
    for subset, n in counts.items():
        X, y = fetch_mnist(
            subset=subset, data_home=data_home, return_X_y=True, verbose=0
        )
        assert len(X) == len(y) == n
        assert sha256(X) == sha256(mnist.data[first : first + n])
        np.testing.assert_array_equal(y, mnist.target[first : first + n])
        first += n
    # As LeCun's page counts the ten thousand of the test set.
    assert np.bincount(mnist.target[:60_000]).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949
    ]  # fmt: skip
    assert np.bincount(y).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009
    ]  # fmt: skip


def test_omniglot(data_home):
    omniglot = fetch_omniglot(data_home=data_home, dtype="uint8", verbose=0)
    assert omniglot.data.shape == (32_460, 11_025)
    assert omniglot.images.shape == (32_460, 105, 105)
    assert len(omniglot.target_names) == 1623
    assert len(omniglot.alphabet_names) == 50
    assert np.unique(omniglot.data).tolist() == [0, 255]
    assert 0 < (omniglot.data == 255).mean() < 0.1  # ink is the lesser part
    assert set(np.bincount(omniglot.target)) == {20}
    assert set(omniglot.drawing) == set(range(1, 21))
    assert omniglot.target_names[0] == "Alphabet_of_the_Magi/character01"
    assert omniglot.alphabet_names[30] == "Angelic"
    for name, alphabet in zip(
        np.array(omniglot.target_names)[omniglot.target], omniglot.alphabet, strict=True
    ):
        assert name.startswith(omniglot.alphabet_names[alphabet] + "/")
    assert sha256(omniglot.data) == (
        "d9779e0ceb6549a0ccb97028e6f6a6380d523fb7d75fe4622a21e17ae633939a"
    )

    # Some drawings, as Pillow reads them from where they should come from.
    for path, i in (("background", 0), ("background", 18_316), ("evaluation", 32_459)):
        alphabet, character = omniglot.target_names[omniglot.target[i]].split("/")
        with ZipFile(data_home / "omniglot" / f"images_{path}.zip") as archive:
            (name,) = (
                name
                for name in archive.namelist()
                if f"/{alphabet}/{character}/" in name
                and name.endswith(f"_{omniglot.drawing[i]:02d}.png")
            )
            drawing = np.asarray(Image.open(io.BytesIO(archive.read(name))))
        np.testing.assert_array_equal(omniglot.images[i] == 0, drawing)

    for subset, n, n_characters in (
        ("train", 18_316, 964),
        ("test", 964, 964),
        ("evaluation", 13_180, 659),
    ):
        part = fetch_omniglot(
            subset=subset, data_home=data_home, dtype="uint8", verbose=0
        )
        assert len(part.data) == len(part.alphabet) == len(part.drawing) == n
        assert len(set(part.target)) == n_characters
        assert (set(part.drawing) == {1}) == (subset == "test")
        assert part.alphabet.min() == (30 if subset == "evaluation" else 0)


def test_sprites(data_home, tmp_path):
    sprites = fetch_sprites(data_home=data_home, dtype="uint8", verbose=0)
    assert sprites.data.shape == (119_616, 10_800)
    assert sprites.images.shape == (119_616, 60, 60, 3)
    assert sprites.target.shape == (119_616, 7)
    assert sprites.target.max(0).tolist() == [1, 3, 2, 5, 1, 1, 1]
    assert set(np.bincount(sprites.character)) == {178}
    assert np.bincount(sprites.animation).tolist() == [
        672 * 4 * n for n in (7, 8, 9, 6, 13)
    ] + [672 * 6]
    assert set(sprites.view[sprites.animation == 5]) == {2}
    assert sha256(sprites.data) == (
        "803d1fc335b01aea78d2f9daf4c4279747656acfda6dfebac59cae9097d80ac6"
    )

    characters = []
    for subset, n in (("train", 500), ("validation", 72), ("test", 100)):
        part = fetch_sprites(
            subset=subset, data_home=data_home, dtype="uint8", verbose=0
        )
        assert len(part.data) == len(part.frame) == 178 * n
        assert len(set(part.character)) == n
        characters += [*set(part.character)]
    assert sorted(characters) == list(range(672))

    # The characters 10 and 11 differ in nothing but their weapon, a bow or a spear. It
    # is seen in "shoot", in "thrust" and, as published, in one frame of "spellcast".
    bow, spear = sprites.character == 10, sprites.character == 11
    assert (sprites.target[spear] - sprites.target[bow] == [0] * 6 + [1]).all()
    differ = (sprites.data[bow] != sprites.data[spear]).any(1)
    animations = np.array(sprites.animation_names)[sprites.animation[bow][differ]]
    assert set(animations) == {"thrust", "shoot", "spellcast"}
    assert (animations == "spellcast").sum() == 1

    # The two characters that are there in the published format have the same frames.
    sample = data_home / "sprites" / "original_sample" / "data" / "sprites"
    labels = (sample / "sprite_large_labels.txt").read_bytes().splitlines()[:2]
    members = {
        "sprites_1.mat": (sample / "sprites_1.mat").read_bytes(),
        "sprites_0.mat": (sample / "sprites_0.mat").read_bytes(),
        "sprite_large_labels.txt": b"\n".join(labels),
        "sprites_splits.mat": splits_file(train=[2], test=[1]),
    }
    home = tmp_path / "home"
    write_tar(home, members)
    published = fetch_sprites(
        data_home=home, dtype="uint8", trusted_files=[TAR], verbose=0
    )
    assert published.character.tolist() == [1] * 178 + [0] * 178
    for character in (0, 1):
        rows = published.character == character
        compact = sprites.character == character
        np.testing.assert_array_equal(published.data[rows], sprites.data[compact])
        for name in ("target", "animation", "view", "frame"):
            np.testing.assert_array_equal(published[name][rows], sprites[name][compact])


def test_training_on_a_data_set(data_home):
    X = fetch_mnist(subset="test", data_home=data_home, dtype="uint8", verbose=0).data[
        :500
    ]
    model = make(DAAETransformer, input_range=(0, 255)).fit(X)
    assert model.transform(X).shape == (500, 4)
    assert model.score(X) < 0


# Parameters ---------------------------------------------------------------------------


def write_mnist(home, n_train=60_000, n_test=10_000):
    """Write a small imitation of MNIST: no ink but in one image."""
    shapes = {"train": n_train, "t10k": n_test}
    (home / "mnist").mkdir(parents=True)
    for name, n in shapes.items():
        images = np.zeros((n, 28, 28), np.uint8)
        images[1, 2, 3] = 51
        labels = np.arange(n, dtype=np.uint8) % 10
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(
                f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape
            )
            path = home / "mnist" / f"{name}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + values.tobytes(), 1))
    return home


@pytest.fixture(scope="module")
def imitation(tmp_path_factory):
    return write_mnist(tmp_path_factory.mktemp("imitation"))


@pytest.fixture
def known(imitation, monkeypatch):
    """Have the imitation's checksums known, and be published nowhere."""
    monkeypatch.setattr(_mnist, "_ARCHIVES", known_archives(imitation))
    return imitation


def known_archives(home):
    return [
        Archive(a.name, None, (f"sha256:{sha256(read_file(home / a.name))}",))
        for a in _mnist._ARCHIVES
    ]


def read_file(path):
    return np.frombuffer(path.read_bytes(), np.uint8)


def test_data_home(known, monkeypatch, tmp_path):
    assert fetch_mnist(data_home=known, verbose=0).data[1, 59] == np.float32(51) / 255
    assert len(fetch_mnist(data_home=str(known), verbose=0).data) == 70_000
    monkeypatch.setenv("SKLEARN_DAAE_DATA", str(known))
    assert len(fetch_mnist(verbose=0).data) == 70_000
    monkeypatch.delenv("SKLEARN_DAAE_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(OSError, match=r"sklearn_daae_data/mnist/train.* not exist"):
        fetch_mnist(download_if_missing=False)
    (tmp_path / "sklearn_daae_data").symlink_to(known)
    assert len(fetch_mnist(verbose=0).data) == 70_000


def test_cache(known, cache, capsys, monkeypatch):
    before = sorted(known.rglob("*"))
    first = fetch_mnist(data_home=known)
    assert "Decoding mnist" in capsys.readouterr().err
    assert str(first.data.filename).startswith(str(cache))
    assert len([*cache.rglob("images*.npy")]) == 1  # of the type that was asked for
    assert sorted(known.rglob("*")) == before, (
        "something was written beside the archives"
    )

    # The second call reads neither images nor checksums again.
    monkeypatch.setattr(_mnist, "_decode", None)
    monkeypatch.setattr(_archives.pooch, "file_hash", None)
    second = fetch_mnist(data_home=known)
    assert not capsys.readouterr().err
    np.testing.assert_array_equal(second.data, first.data)
    np.testing.assert_array_equal(second.target, first.target)
    with pytest.raises(ValueError, match="read-only"):
        second.data[0] = 1


@pytest.mark.parametrize("damaged", ["images_uint8.npy", "labels.npz"])
@pytest.mark.parametrize("content", [b"", b"other", "half"], ids=["empty", "", "half"])
def test_a_damaged_cache(known, cache, damaged, content):
    whole = fetch_mnist(data_home=known, dtype="uint8", verbose=0)
    (path,) = cache.rglob(damaged)
    if content == "half":
        content = path.read_bytes()[: path.stat().st_size // 2]
    path.unlink()
    path.write_bytes(content)
    for note in (cache / "checksums").iterdir():
        note.write_bytes(b"")
    again = fetch_mnist(data_home=known, dtype="uint8", verbose=0)
    np.testing.assert_array_equal(again.data, whole.data)
    np.testing.assert_array_equal(again.target, whole.target)


def test_a_cache_that_cannot_be_written(known, cache, monkeypatch):
    cache.write_bytes(b"no folder")
    message = "cannot be written to: .*SKLEARN_DAAE_CACHE"
    with pytest.raises(OSError, match=message):
        fetch_mnist(data_home=known, verbose=0)
    # One that is full serves all the same.
    cache.unlink()
    fetch_mnist(data_home=known, verbose=0)

    def refuse(path):
        raise OSError

    monkeypatch.setattr(_archives, "written_whole", refuse)
    for note in (cache / "checksums").iterdir():
        note.unlink()
    assert len(fetch_mnist(data_home=known, verbose=0).data) == 70_000


def test_a_damaged_file_that_is_replaced(known, home):
    """Its size and its time of modification may stay the same, as by `cp -p`."""
    shutil.copytree(known, home)
    path = home / "mnist" / "t10k-labels-idx1-ubyte.gz"
    whole, status = path.read_bytes(), path.stat()
    for content in (bytes(len(whole)), whole):
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        if content != whole:
            with pytest.raises(OSError, match="none of those that are known"):
                fetch_mnist(data_home=home, verbose=0)
    assert len(fetch_mnist(data_home=home, verbose=0).data) == 70_000


def test_a_full_disk(known, monkeypatch, cache):
    usage = _cache.shutil.disk_usage("/")
    monkeypatch.setattr(
        _cache.shutil, "disk_usage", lambda path: usage._replace(free=10**7)
    )
    with pytest.raises(
        OSError, match=r"take 220 MB, .* has 10 MB left.*SKLEARN_DAAE_CACHE"
    ):
        fetch_mnist(data_home=known, verbose=0)
    assert not [*cache.rglob("*.npy")]


@pytest.mark.parametrize("fetch", FETCHERS, ids=lambda f: f.__name__)
def test_errors_of_parameters(fetch, home):
    options = {"data_home": home, "download_if_missing": False}
    with pytest.raises(OSError, match=r"home/\w+/.* does not exist, and download_if"):
        fetch(**options)
    with pytest.raises(ValueError, match=r"dtype=.*'float32', from 0 to 1, or 'uint8'"):
        fetch(dtype="float64", **options)
    with pytest.raises(ValueError, match="dtype='pixels'"):
        fetch(dtype="pixels", **options)
    with pytest.raises(ValueError, match=r"The 'subset' parameter of fetch_\w+ must"):
        fetch(subset="training", **options)
    with pytest.raises(ValueError, match=r"\['all.zip'\], which this data set is not"):
        fetch(trusted_files=["all.zip"], **options)
    with pytest.raises(TypeError, match=r"trusted_files=\[1\] must hold names"):
        fetch(trusted_files=[1], **options)
    with pytest.raises(ValueError, match="The 'trusted_files' parameter of fetch_"):
        fetch(trusted_files="all.zip", **options)
    with pytest.raises(TypeError):
        fetch("train")
    assert not home.exists()


def test_unknown_checksums(imitation, cache):
    names = [path.name for path in (imitation / "mnist").iterdir()]
    with pytest.raises(OSError, match=r"train-images.*sha256:\w+, none of those that"):
        fetch_mnist(data_home=imitation)
    with pytest.raises(OSError, match=r"trusted_files=\['t10k-labels-idx1-ubyte.gz'\]"):
        fetch_mnist(
            data_home=imitation, trusted_files={*names} - {"t10k-labels-idx1-ubyte.gz"}
        )
    assert not [*cache.rglob("*.npy")]
    assert len(fetch_mnist(data_home=imitation, trusted_files=names).data) == 70_000
    with pytest.raises(OSError, match="none of those that are known"):
        fetch_mnist(data_home=imitation)  # trust is not kept


# Downloads ----------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """Serves a folder on the loopback, badly if told so."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.requests = []
        self.trouble = []  # with one request after the other


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        trouble = self.server.trouble.pop(0) if self.server.trouble else None
        body = (self.server.folder / self.path[1:]).read_bytes()
        if trouble == "404":
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if trouble == "other file":
            body = bytes(len(body))
        if trouble in ("truncated", "stalls"):
            body = body[: len(body) // 2]
        pause = 0.3 if trouble == "slow" else 0
        for start in range(0, len(body), 2**16):
            self.wfile.write(body[start : start + 2**16])
            self.wfile.flush()
            time.sleep(pause)
        if trouble == "stalls":
            time.sleep(60)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(known, monkeypatch):
    server = Server(known)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    archives = [a._replace(url=url + a.name) for a in _mnist._ARCHIVES]
    monkeypatch.setattr(_mnist, "_ARCHIVES", archives)
    yield server
    server.shutdown()
    server.server_close()


def files_in(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_download(server, home, capsys):
    mnist = fetch_mnist(data_home=home)
    assert mnist.data[1, 59] == np.float32(51) / 255
    assert files_in(home) == files_in(server.folder)
    # Four bars of bytes, beside those of decoding and scaling, which count images.
    bars = re.findall(r"100%[^\r\n]*B/s", capsys.readouterr().err)
    assert len(bars) >= 4
    assert len(server.requests) == 4
    fetch_mnist(data_home=home)
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("404", "404"),
        ("other file", "hash"),
        ("truncated", ""),
        ("stalls", "timed out"),
    ],
)
def test_failing_downloads(server, home, cache, trouble, reason, monkeypatch):
    monkeypatch.setattr(_archives, "_TIMEOUT", 0.5)
    server.trouble = [None, trouble]
    with pytest.raises(OSError, match=f"mnist/train-labels.*not be downl.*{reason}"):
        fetch_mnist(data_home=home, n_retries=0, verbose=0)
    assert files_in(home) == ["mnist/train-images-idx3-ubyte.gz"]
    assert not [*cache.rglob("*.npy")]
    assert len(fetch_mnist(data_home=home, verbose=0).data) == 70_000  # it goes on
    assert len(server.requests) == 5


def test_quiet_downloads(server, home, monkeypatch, capsys):
    server.trouble = ["404", "slow"]  # slow, but not longer silent than it may be
    monkeypatch.setattr(_archives, "_TIMEOUT", 1)
    assert len(fetch_mnist(data_home=home, n_retries=1, verbose=0).data) == 70_000
    assert len(server.requests) == 5
    assert capsys.readouterr() == ("", "")


def test_retries(server, home, monkeypatch):
    waits = []
    monkeypatch.setattr(_archives, "sleep", waits.append)
    monkeypatch.setattr(_archives, "_TIMEOUT", 0.5)
    server.trouble = ["stalls", "truncated"]
    mnist = fetch_mnist(data_home=home, n_retries=2, delay=0.25, verbose=0)
    assert len(mnist.data) == 70_000
    assert len(server.requests) == 6
    assert waits == [0.25, 0.25]


def test_no_network(server, home):
    server.shutdown()
    server.server_close()
    with pytest.raises(OSError, match=r"train-images.*may put the file there yourself"):
        fetch_mnist(data_home=home, n_retries=0, verbose=0)
    assert files_in(home) == []


def run_until_killed(script, *arguments):
    """Run a script that waits, and kill it once it has printed a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE
    )
    process.stdout.readline()
    process.kill()
    process.wait()


DOWNLOAD = """
import sys, threading, time
from sklearn_daae.datasets import _mnist, fetch_mnist
archives = [a._replace(url=sys.argv[2] + a.name) for a in _mnist._ARCHIVES]
_mnist._ARCHIVES[:] = archives
thread = threading.Thread(target=fetch_mnist, kwargs={"data_home": sys.argv[1]})
thread.start()
from pathlib import Path
while not [p for p in Path(sys.argv[1]).rglob("*") if p.is_file() and p.stat().st_size]:
    time.sleep(0.01)
print("there is a part of it", flush=True)
thread.join()
"""
DECODE = """
import sys, time
from sklearn_daae.datasets import _mnist, fetch_mnist
read = _mnist._read_idx
def read_some(path, shape):
    for i, block in enumerate(read(path, shape)):
        if len(shape) == 3 and i == 30:
            print("there is a part of it", flush=True)
            time.sleep(60)
        yield block
_mnist._read_idx = read_some
fetch_mnist(data_home=sys.argv[1], trusted_files=sys.argv[2:])
"""


def test_killed_while_downloading(server, home):
    server.trouble = ["stalls"]
    url = f"http://127.0.0.1:{server.server_port}/"
    run_until_killed(DOWNLOAD, home, url)
    assert files_in(home)
    assert "mnist/train-images-idx3-ubyte.gz" not in files_in(home)
    assert len(fetch_mnist(data_home=home, verbose=0).data) == 70_000


def test_killed_while_decoding(known, cache):
    run_until_killed(DECODE, known, *(p.name for p in (known / "mnist").iterdir()))
    (partial,) = cache.rglob("*.partial")
    assert partial.stat().st_size > 10**6
    assert not [*cache.rglob("*.npy")]
    # Someone may be writing to it: only when nothing has come for long, it goes.
    fetch_mnist(data_home=known, dtype="uint8", verbose=0)
    assert partial.exists()
    os.utime(partial, (0, 0))  # as if nothing had been written to it for long
    assert len(fetch_mnist(data_home=known, verbose=0).data) == 70_000
    assert not [*cache.rglob("*.partial")]


TOGETHER = """
import sys
from sklearn_daae.datasets import fetch_mnist
sys.stdin.readline()
X = fetch_mnist(data_home=sys.argv[1], trusted_files=sys.argv[2:], verbose=0).data
print(X.shape, X.sum())
"""


def test_processes_that_decode_at_once(known):
    names = [path.name for path in (known / "mnist").iterdir()]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER, str(known), *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = {process.communicate()[0] for process in processes}
    assert outputs == {"(70000, 784) 0.4\n"}


def test_a_partial_that_another_process_takes(known, cache, monkeypatch):
    """What is listed may be gone when it is looked at."""
    cache.mkdir(parents=True)
    (cache / "x.partial").symlink_to(cache / "gone")
    assert len(fetch_mnist(data_home=known, verbose=0).data) == 70_000


# Archives that are not what they should be --------------------------------------------

TAR = "nips2015-analogy-data.tar.gz"


def png(size=(105, 105), colour=1, mode="1"):
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, "PNG")
    return file.getvalue()


def write_omniglot(home, extra=None):
    """Write two alphabets of one character and two drawings each, and some more."""
    (home / "omniglot").mkdir(parents=True, exist_ok=True)
    for kind, alphabet in (("background", "Latin"), ("evaluation", "Greek")):
        with ZipFile(home / "omniglot" / f"images_{kind}.zip", "w") as archive:
            for i in (1, 2):
                name = f"images_{kind}/{alphabet}/character01/0001_{i:02d}.png"
                archive.writestr(name, png())
            if kind == "background":
                for member, data in (extra or {}).items():
                    archive.writestr(member, data, compress_type=8)


def splits_file(train=(), valid=(), test=(), dtype="u2", do_compression=False):
    file = io.BytesIO()
    indices = {"trainidx": [train], "validx": [valid], "testidx": [test]}
    indices = {key: np.array(values, dtype) for key, values in indices.items()}
    scipy.io.savemat(file, indices, do_compression=do_compression)
    return file.getvalue()


def write_tar(home, members, links=()):
    (home / "sprites").mkdir(parents=True, exist_ok=True)
    with tarfile.open(home / "sprites" / TAR, "w:gz", compresslevel=1) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(f"data/sprites/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target in links:
            member = tarfile.TarInfo(f"data/sprites/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)


def character_file(
    n_animations=21, external=False, values=0.5, n_references=None, names=False
):
    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        lengths = [7] * 4 + [8] * 4 + [9] * 4 + [6] * 4 + [13] * 4 + [6]
        lengths = lengths[:n_animations]
        references = []
        for i, n in enumerate(lengths):
            frames = np.full((n, 10_800), values)
            frames = root.create_dataset(f"frames{i}", data=frames, compression="gzip")
            references.append([frames.ref])
        if n_references is not None:
            root.create_dataset("sprites", (n_references,), h5py.ref_dtype)
        elif external:
            root["sprites"] = h5py.ExternalLink("/etc/hostname", "sprites")
        elif names:
            root["sprites"] = [f"frames{i}" for i in range(n_animations)]
        else:
            root.create_dataset("sprites", data=references, dtype=h5py.ref_dtype)
    return file.getvalue()


def sprites_members(**changes):
    return {
        "sprites_0.mat": character_file(),
        "sprite_large_labels.txt": b"0,0,0,0,0,0,0",
        "sprites_splits.mat": splits_file(train=[1]),
        **changes,
    }


def link():
    member = ZipInfo("images_background/Latin/character01/0001_03.png")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


DRAWING = "images_background/Latin/character01/0001_03.png"
BAD_DRAWINGS = {
    "path traversal": ({"../../outside.png": png()}, "leads out"),
    "absolute path": ({"/tmp/outside.png": png()}, "leads out"),
    "path of Windows": ({"..\\outside.png": png()}, "leads out"),
    "drive of Windows": ({"C:/outside.png": png()}, "leads out"),
    "link": ({link(): "/etc/passwd"}, "is a link"),
    "bomb": ({DRAWING: bytes(10**8)}, "has more than 100000 bytes"),
    "huge image": ({DRAWING: png((10_000, 7_000))}, r"\(10000, 7000\) pixels"),
    "no image": ({DRAWING: b"<html>"}, "cannot identify image"),
    "grey image": ({DRAWING: png(colour=7, mode="L")}, "more than ink and paper"),
    "drawing 21": ({DRAWING.replace("03", "21"): png()}, "no drawing from 1 to 20"),
    "large number": ({DRAWING.replace("03", "9" * 30): png()}, "no drawing from 1"),
    "long name": ({DRAWING.replace("Latin", "x" * 10**4): png()}, r"of 100\d\d char"),
    "truncated image": ({DRAWING: png()[:60]}, ""),
}


@pytest.mark.parametrize("case", BAD_DRAWINGS)
def test_hostile_zip_files(home, cache, case):
    extra, reason = BAD_DRAWINGS[case]
    write_omniglot(home, extra)
    assert_refused(fetch_omniglot, home, cache, "images_background.zip", reason)


@pytest.mark.parametrize("size", [len(png()), 10**8], ids=["small", "bomb"])
def test_members_of_wrong_size(home, cache, size):
    write_omniglot(home, {DRAWING: png() + bytes(size - len(png()))})
    path = home / "omniglot" / "images_background.zip"
    data = path.read_bytes()
    size = struct.pack("<I", size)
    assert data.count(size) >= 2
    path.write_bytes(data.replace(size, struct.pack("<I", 7)))
    with little_memory():
        assert_refused(fetch_omniglot, home, cache, path.name, "")


@contextmanager
def little_memory():
    """Check that the body never holds much more than what is honestly in an archive."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 5 * 10**7
    finally:
        tracemalloc.stop()


def test_other_methods_of_compression(home, cache):
    write_omniglot(home)
    with ZipFile(home / "omniglot" / "images_background.zip", "a") as archive:
        archive.writestr(DRAWING, bytes(10**8), compress_type=ZIP_BZIP2)
    with little_memory():
        assert_refused(
            fetch_omniglot, home, cache, "images_background.zip", "as no one does it"
        )


def test_zip_files_that_are_not(home, cache):
    write_omniglot(home)
    path = home / "omniglot" / "images_evaluation.zip"
    whole = path.read_bytes()
    for data in (b"", b"<html>Try again later</html>", whole[:-30], whole[30:]):
        path.write_bytes(data)
        assert_refused(fetch_omniglot, home, cache, path.name, "")
    with ZipFile(path, "w") as archive:
        archive.writestr("README", "nothing here")
    assert_refused(fetch_omniglot, home, cache, path.name, "no file with a name like")


def test_a_small_omniglot(home):
    write_omniglot(home)
    trusted = ["images_background.zip", "images_evaluation.zip"]
    omniglot = fetch_omniglot(data_home=home, trusted_files=trusted, verbose=0)
    assert omniglot.target.tolist() == [0, 0, 1, 1]
    assert omniglot.target_names == ["Latin/character01", "Greek/character01"]
    assert omniglot.drawing.tolist() == [2, 1, 1, 2]
    assert (omniglot.data == 0).all()


BAD_IDX = {
    "no gzip": (lambda data: b"<html>", "gzip"),
    "truncated": (lambda data: data[:-100], ""),
    "other shape": (
        lambda data: gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 2, 28, 28)),
        "it begins with",
    ),
    "too short": (lambda data: gzip.compress(gzip.decompress(data)[:-5], 1), "reshape"),
    "too long": (
        lambda data: gzip.compress(gzip.decompress(data) + b"0", 1),
        "goes on",
    ),
}


@pytest.mark.parametrize("case", BAD_IDX)
def test_damaged_idx_files(imitation, home, cache, case):
    spoil, reason = BAD_IDX[case]
    shutil.copytree(imitation, home)
    path = home / "mnist" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(spoil(path.read_bytes()))
    assert_refused(fetch_mnist, home, cache, path.name, reason)


def test_labels_that_are_no_digits(imitation, home, cache):
    shutil.copytree(imitation, home)
    path = home / "mnist" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1] + b"\n"))
    assert_refused(fetch_mnist, home, cache, path.name, "it has 10 among its digits")


BAD_SPRITES = {
    "path traversal": ({"../../../x": b""}, [], "leads out"),
    "link that leads out": ({}, [("x", "/etc/passwd")], "leads out"),
    "link for a file": ({}, [("sprites_0.mat", "x")], "is no file"),
    "bomb": ({"sprites_0.mat": bytes(10**8)}, [], "100000000 bytes"),
    "no MATLAB": ({"sprites_0.mat": b"<html>"}, [], "signature"),
    "another file": (
        {"sprites_0.mat": character_file(external=True)},
        [],
        "in another file",
    ),
    "missing animations": ({"sprites_0.mat": character_file(3)}, [], "3 animations"),
    "values": ({"sprites_0.mat": character_file(values=np.nan)}, [], "from 0 to 1"),
    "missing character": (
        {
            "sprite_large_labels.txt": b"0,0,0,0,0,0,0\n0,0,0,0,0,0,1",
            "sprites_splits.mat": splits_file(train=[1, 2]),
        },
        [],
        "lacks 1 files such as sprites_1.mat",
    ),
    "character in no part": (
        {"sprite_large_labels.txt": b"0,0,0,0,0,0,0\n0,0,0,0,0,0,1"},
        [],
        "leave characters out",
    ),
    "character in two parts": (
        {"sprites_splits.mat": splits_file(train=[1], test=[1])},
        [],
        "have some twice",
    ),
    "splits that are no integers": (
        {"sprites_splits.mat": splits_file(train=[1.5], dtype="f8")},
        [],
        "leave characters out",
    ),
    "splits that are compressed": (
        {"sprites_splits.mat": splits_file(train=[1] * 10**6, do_compression=True)},
        [],
        "splits end early, or have too many bytes",
    ),
    "splits that end early": (
        {"sprites_splits.mat": splits_file(train=[1])[:-9]},
        [],
        "splits end early",
    ),
    "splits of no MATLAB": (
        {"sprites_splits.mat": bytes(1000)},
        [],
        "no file of MATLAB 5",
    ),
    "attributes that are no integers": (
        {"sprite_large_labels.txt": b"0,0,0.5,0,0,0,0"},
        [],
        "invalid literal",
    ),
    "attributes of many bytes": (
        {"sprite_large_labels.txt": b"0,0,0,0,0,0,0\n" * 10**4},
        [],
        "sprite_large_labels.txt has more than 100000 bytes",
    ),
    "more attributes": (
        {"sprite_large_labels.txt": b"0,0,0,0,0,0,0,0"},
        [],
        r"attributes have uint8 of \(1, 8\)",
    ),
    "values that wrap around": (
        {"sprites_0.mat": character_file(values=np.uint8(2))},
        [],
        "from 0 to 1",
    ),
    "names for references": (
        {"sprites_0.mat": character_file(names=True)},
        [],
        "has sprites of object",
    ),
    "splits of many bytes": (
        {"sprites_splits.mat": splits_file(train=np.ones(10**5))},
        [],
        "sprites_splits.mat has more than 100000 bytes",
    ),
    "no splits": ({"sprites_splits.mat": None}, [], "it lacks .* sprites_splits.mat"),
    "more characters": (
        {"sprites_1.mat": character_file()},
        [],
        "'sprites_1.mat' twice, or without attributes",
    ),
    "no characters": (
        {"sprite_large_labels.txt": b"", "sprites_splits.mat": splits_file()},
        [],
        "it has no characters",
    ),
    "long name": ({"x" * 10**7: b""}, [], "it has a header of more than 100000"),
    "many references": (
        {"sprites_0.mat": character_file(n_references=10**7)},
        [],
        "10000000 animations",
    ),
}


@pytest.mark.parametrize("case", BAD_SPRITES)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_hostile_tar_files(home, cache, case):
    changes, links, reason = BAD_SPRITES[case]
    members = sprites_members(**changes)
    members = {name: data for name, data in members.items() if data is not None}
    if links and links[0][0] in members:
        del members[links[0][0]]
    write_tar(home, members, links)
    with little_memory():
        assert_refused(fetch_sprites, home, cache, TAR, reason)


def test_a_long_header_of_a_tar_file(home, cache):
    """A header that POSIX's format puts before a member, of any length."""
    write_tar(home, {})
    with tarfile.open(home / "sprites" / TAR, "w:gz") as archive:
        member = tarfile.TarInfo("data/sprites/sprites_0.mat")
        member.pax_headers = {"comment": "x" * 10**7}
        archive.addfile(member)
    with little_memory():
        reason = "it has a header of more than 100000"
        assert_refused(fetch_sprites, home, cache, TAR, reason)


def test_tar_files_that_are_not(home, cache):
    write_tar(home, sprites_members())
    path = home / "sprites" / TAR
    whole = path.read_bytes()
    for data in (b"", b"<html>", whole[: len(whole) // 2]):
        path.write_bytes(data)
        assert_refused(fetch_sprites, home, cache, TAR, "")
    path.write_bytes(whole)
    sprites = fetch_sprites(data_home=home, trusted_files=[TAR], verbose=0)
    assert sprites.data.shape == (178, 10_800)
    np.testing.assert_allclose(sprites.data, 128 / 255, rtol=1e-6)


def test_splits_of_sprites(home):
    """SciPy's reader ends the process where they claim to be a sparse matrix."""
    splits = bytearray(splits_file(train=[1]))
    assert splits[144] == 11  # the class of uint16
    splits[144] = 5  # that of sparse matrices
    for data in (bytes(splits), splits_file(train=[1], do_compression=True)):
        write_tar(home, sprites_members(**{"sprites_splits.mat": data}))
        sprites = fetch_sprites(data_home=home, trusted_files=[TAR], verbose=0)
        assert sprites.target.tolist() == [[0] * 7] * 178


def test_compact_sprites_that_are_not(home, cache):
    (home / "sprites").mkdir(parents=True)
    path = home / "sprites" / "reed2015_sprites.npz"
    whole = {
        "labels": np.zeros((1, 7), np.uint8),
        "palette": np.full((3, 4), 7, np.uint8),
        "split": np.array(["test"]),
        "frames_000": np.zeros((178, 60, 60), np.uint16),
    }
    for name, value in (
        ("frames_000", np.zeros((178, 60, 61), np.uint16)),
        ("frames_000", np.full((178, 60, 60), 3, np.uint16)),
        ("frames_000", np.array([{}], object)),
        ("frames_000", np.full((178, 60, 60), -1, np.int16)),
        ("labels", np.full((1, 7), np.nan)),
        ("labels", np.zeros((1, 6), np.uint8)),
        ("labels", np.zeros((2, 7), np.uint8)),
        ("labels", np.zeros(7, np.uint8)),
        ("split", np.array([0])),
        ("palette", np.full((3, 4), 7)),
        ("palette", np.full((3, 2), 7, np.uint8)),
        ("split", np.array(["none"])),
    ):
        np.savez(path, **{**whole, name: value})
        assert_refused(fetch_sprites, home, cache, path.name, "")
    path.write_bytes(b"")
    assert_refused(fetch_sprites, home, cache, path.name, "")
    np.savez(path, **{k: v for k, v in whole.items() if k != "frames_000"})
    header = {"descr": "<u2", "fortran_order": False, "shape": (178, 60, 10**12)}
    with ZipFile(path, "a") as archive, archive.open("frames_000.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, header)
    assert_refused(fetch_sprites, home, cache, path.name, "allocate")
    for name in ("frames_000", "unread"):
        np.savez_compressed(path, **{**whole, name: np.zeros(10**8, np.uint8)})
        with little_memory():
            assert_refused(
                fetch_sprites, home, cache, path.name, "more than 2000000 bytes"
            )
    np.savez(path, **whole)
    sprites = fetch_sprites(
        data_home=home, dtype="uint8", trusted_files=[path.name], verbose=0
    )
    assert (sprites.data == 7).all()


def assert_refused(fetch, home, cache, name, reason):
    """Check that archives end in one error, and leave nothing behind."""
    folder = home.parent
    trusted = [p.name for p in home.rglob("*") if p.is_file()]
    before = [f for f in files_in(folder) if not f.startswith(cache.name)]
    with pytest.raises(OSError, match=f"(?s){name} is damaged.*{reason}"):
        fetch(data_home=home, trusted_files=trusted, verbose=0)
    assert before == [f for f in files_in(folder) if not f.startswith(cache.name)]
    left = {path.parent.name for path in cache.rglob("*") if path.is_file()}
    assert left <= {"checksums"}, left


# CelebA -------------------------------------------------------------------------------

SIZES = [(178, 218)] * 7
SIZES += [(178, 178), (64, 64), (30, 50), (500, 100), (101, 333)]


def test_celeba(home):
    trusted = write_celeba(home, SIZES)
    options = {"data_home": home, "trusted_files": trusted, "verbose": 0}
    faces = fetch_celeba(**options)
    n = len(SIZES)
    assert faces.data.shape == (n, 12_288)
    assert faces.images.shape == (n, 64, 64, 3)
    assert n == 12
    assert len(faces.target_names) == 40
    assert faces.target_names[::39] == ["Attribute_0", "Wearing_Lipstick"]
    expected = (np.arange(n)[:, None] + np.arange(40)) % 2
    np.testing.assert_array_equal(faces.target, expected)
    assert faces.partition.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    left, right = faces.images[:, :, :30], faces.images[:, :, 34:]
    # Of the pictures' edges, which are cut by half a pixel, some green may be left.
    for side, colour in (
        (left[:, 2:-2, 2:], [1, 0, 0]),
        (right[:, 2:-2, :-2], [0, 0, 1]),
    ):
        np.testing.assert_allclose(
            side, np.broadcast_to(np.float32(colour), side.shape), atol=0.1
        )
    X = faces.data.reshape(n, *faces.image_shape)
    np.testing.assert_array_equal(X.transpose(0, 2, 3, 1), faces.images)

    for subset, rows in (("train", [0, 4]), ("validation", [4, 8]), ("test", [8, n])):
        X, y = fetch_celeba(subset=subset, split="official", return_X_y=True, **options)
        np.testing.assert_array_equal(X, faces.data[slice(*rows)])
        np.testing.assert_array_equal(y, faces.target[slice(*rows)])
    with pytest.raises(ValueError, match="subset='validation' is not a part of"):
        fetch_celeba(subset="validation", **options)
    with pytest.raises(ValueError, match=f"tests on 1000 images, and there are {n}"):
        fetch_celeba(subset="test", **options)


def test_the_papers_split_of_celeba(home):
    options = {"data_home": home, "verbose": 0, "dtype": "uint8"}
    options["trusted_files"] = write_celeba(home, [(8, 10)] * 1010)
    faces = fetch_celeba(**options)
    train = fetch_celeba(subset="train", **options)
    test = fetch_celeba(subset="test", **options)
    np.testing.assert_array_equal(train.target, faces.target[:10])
    np.testing.assert_array_equal(test.target, faces.target[10:])
    assert len(train.data) == 10
    assert len(test.data) == len(test.partition) == 1000


def test_damaged_celeba(home, cache):
    write_celeba(home, SIZES[:3])
    folder = home / "celeba"
    pictures, attributes, partition = (
        folder / name
        for name in (
            "img_align_celeba.zip",
            "list_attr_celeba.txt",
            "list_eval_partition.txt",
        )
    )
    for path, old, new, reason in (
        (attributes, "3\n", "4\n", "it has 3 images, and says 4"),
        (attributes, "-1", "0", "it has the line"),
        (attributes, "-1  1\n", "-1  1  1\n", "it has the line"),
        (attributes, "3\nA", "A", "invalid literal"),
        (attributes, "Attribute_1 ", "", "does not name 40 attributes"),
        (attributes, "Attribute_1 ", "Bangs ", "does not name 40 attributes"),
        (attributes, "000003", f"000002.jpg{' 1' * 40}\n000003", "'000002.jpg' twice"),
        (partition, "000003", "000003.jpg 0\n000003", "has an image twice"),
        (partition, " 1", " 7", "not a partition"),
        (partition, "000002.jpg", "000009.jpg", "not a partition"),
    ):
        text = path.read_text()
        path.write_text(text.replace(old, new))
        assert_refused(fetch_celeba, home, cache, path.name, reason)
        path.write_text(text)
    with ZipFile(pictures, "w") as archive:
        for i in (1, 2):
            archive.writestr(f"img_align_celeba/{i:06d}.jpg", png())
    assert_refused(
        fetch_celeba, home, cache, pictures.name, "lacks 1 images, such as 000003"
    )
    with ZipFile(pictures, "a") as archive:
        archive.writestr("img_align_celeba/000003.jpg", png())
    assert_refused(fetch_celeba, home, cache, pictures.name, "cannot identify image")
