"""Data that are read block by block: that they train, in bounded memory, and how."""

import mmap
import subprocess
import sys
import tempfile
import textwrap
import warnings

import numpy as np
import pytest
import sklearn
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_daae import (
    DAAETransformer,
    DAETransformer,
    VAETransformer,
    iDAAETransformer,
)
from sklearn_daae._engine import streams
from sklearn_daae._engine.batches import Batches, hold_out, rows_of
from sklearn_daae._engine.rows import Rows

from .conftest import make, weights

CPU = torch.device("cpu")
D = 24
NAMES = [f"feature {i}" for i in range(D)]


class Lazy:
    """Has a shape, a dtype and slices, as arrays of files have, and no more."""

    def __init__(self, X):
        self._X = X
        self.shape, self.dtype = X.shape, X.dtype
        self.reads = []

    def __getitem__(self, rows):
        self.reads.append(rows)
        return self._X[rows]


@pytest.fixture(scope="module")
def X():
    random = np.random.default_rng(0)
    low = random.normal(size=(12_000, 3))
    noise = random.normal(size=(12_000, D))
    return np.float32(low @ random.normal(size=(3, D)) + 0.3 * noise + 5)


@pytest.fixture
def in_blocks():
    """X has 1.15 MB, and a window a twentieth of it."""
    with sklearn.config_context(working_memory=0.25):
        yield


def h5py_array(X, folder):
    h5py = pytest.importorskip("h5py")
    return h5py.File(folder / "X.h5", "w").create_dataset("X", data=X, chunks=(50, D))


def zarr_array(X, folder):
    zarr = pytest.importorskip("zarr")
    shape, dtype = X.shape, X.dtype
    array = zarr.create_array(folder / "X", shape=shape, chunks=(70, D), dtype=dtype)
    array[:] = X
    return array


def dask_array(X, folder):
    dask_array = pytest.importorskip("dask.array")
    return dask_array.from_array(X, chunks=(300, 5))


def dask_array_of_unknown_size(X, folder):
    array = dask_array(X, folder)
    return array[array[:, 0] > -np.inf]


def dask_frame(X, folder):
    pandas = pytest.importorskip("pandas")
    frames = pytest.importorskip("dask.dataframe")
    return frames.from_pandas(pandas.DataFrame(X, columns=NAMES), npartitions=50)


def parquet_folder(X, folder):
    pyarrow = pytest.importorskip("pyarrow")
    dataset = pytest.importorskip("pyarrow.dataset")
    parquet = pytest.importorskip("pyarrow.parquet")
    for i, part in enumerate(np.array_split(X, 3)):
        table = pyarrow.table(dict(zip(NAMES, part.T, strict=True)))
        parquet.write_table(table, folder / f"{i}.parquet", row_group_size=250)
    return dataset.dataset(folder)


def record_batches(X, folder):
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table(dict(zip(NAMES, X.T, strict=True)))
    batches = table.to_batches(max_chunksize=500)
    return pyarrow.RecordBatchReader.from_batches(table.schema, batches)


def iterator(X, folder):
    return iter(np.array_split(X, 20))


def mapped_file(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


SOURCES = [
    h5py_array,
    zarr_array,
    dask_array,
    dask_array_of_unknown_size,
    dask_frame,
    parquet_folder,
    record_batches,
    iterator,
    mapped_file,
    lambda X, folder: Lazy(X),
]
HAVE_NAMES = (dask_frame, parquet_folder)


@pytest.mark.parametrize("source", SOURCES)
def test_what_fits_into_memory_is_trained_on_as_an_array(source, X, tmp_path):
    tolerance = 1e-4 if source is parquet_folder else 0  # in columns: sums differ
    expected = make(DAAETransformer).fit(X)
    model = make(DAAETransformer).fit(source(X, tmp_path))
    np.testing.assert_allclose(weights(model), weights(expected), atol=tolerance)


@pytest.mark.usefixtures("in_blocks")
@pytest.mark.parametrize("source", SOURCES)
def test_every_source_in_blocks(source, X, tmp_path):
    """Trains on, and answers of, the same rows as an array of them."""
    model = make(DAAETransformer, max_epochs=3).fit(source(X, tmp_path))
    (tmp_path / "again").mkdir()
    rows = source(X, tmp_path / "again")
    names = getattr(model, "feature_names_in_", None)
    assert (names is not None and list(names) == NAMES) == (source in HAVE_NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an array has no names
        expected = model.transform(X)
        np.testing.assert_allclose(model.transform(rows), expected, atol=1e-5)
        score = make(DAAETransformer, max_epochs=3).fit(X).score(X)
        assert model.score(X) == pytest.approx(score, rel=0.05)
    statistics = StandardScaler().fit(np.float64(X))
    np.testing.assert_allclose(model.scaling_.shift, statistics.mean_, rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_an_epoch_is_a_permutation_of_all_rows(weighted, in_blocks):
    """In batches of one size, whichever blocks they come from."""
    X = np.arange(3 * 5001, dtype=np.float32).reshape(5001, 3)
    weight = torch.ones(5001)
    if weighted:
        weight[::3] = 0
    meant = (weight > 0).numpy()
    blocks = streams.as_blocks(Lazy(X))
    blocks.expect(X.dtype, lambda block: block)
    rows = rows_of(blocks, meant if weighted else None)
    weight = weight if weighted else None
    batches = Batches(Rows(blocks, CPU), rows=rows, batch_size=64, weight=weight)
    drawn = [list(batches.shuffled(np.random.default_rng(seed))) for seed in (0, 0, 1)]
    sizes = [len(x) for x, *_ in drawn[0]]
    assert len(sizes) == len(batches)
    assert set(sizes[:-1]) == {64}
    orders = [torch.cat([x for x, *_ in epoch])[:, 0] for epoch in drawn]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert torch.equal(orders[0].sort().values, torch.from_numpy(X[meant, 0]))
    in_turn = torch.cat([x for x, *_ in batches])
    assert torch.equal(in_turn, torch.from_numpy(X[meant]))
    # Rows of one block are spread over a window, and blocks over the epoch.
    moved = (orders[0] / 3 - torch.arange(len(orders[0]))).abs().mean()
    assert moved > len(orders[0]) / 10


def test_watched_rows_are_whole_blocks(X, in_blocks):
    blocks = streams.as_blocks(Lazy(X))
    blocks.expect(X.dtype, lambda block: block)
    train, watched = hold_out(rows_of(blocks, None), np.random.default_rng(0), 0.1)
    assert not set(train.blocks) & set(watched.blocks)
    assert len(train) + len(watched) == len(X)
    assert len(watched) >= 0.1 * len(X) > len(watched) - 100
    model = make(DAETransformer, early_stopping=True, max_epochs=3).fit(Lazy(X))
    assert "validation_error" in model.history_[-1]
    settings = {"early_stopping": True, "validation": "last"}
    make(DAETransformer, **settings).fit(Lazy(X))


@pytest.mark.usefixtures("in_blocks")
def test_weights_of_rows(X):
    weight = np.ones(len(X))
    weight[X[:, 0] > 5] = 0
    model = make(VAETransformer).fit(Lazy(X), sample_weight=weight)
    kept = X[weight > 0].mean(0, dtype=np.float64)
    np.testing.assert_allclose(model.scaling_.shift, kept, rtol=1e-5)


@pytest.mark.usefixtures("in_blocks")
def test_what_is_wrong_is_found_before_training(X):
    epochs = []

    class Counts(sklearn_callback()):
        def on_epoch_begin(self, net, **kwargs):
            epochs.append(1)

    for value, message in ((np.nan, "contains NaN. Fit"), (np.inf, "infinity")):
        bad = X.copy()
        bad[-1, 3] = value
        with pytest.raises(ValueError, match=message):
            make(DAAETransformer, callbacks=[Counts()]).fit(Lazy(bad))
    wide = np.float64(X)
    wide[7000, 2] = 1e39
    with pytest.raises(ValueError, match="too large"):
        make(DAAETransformer, callbacks=[Counts()]).fit(Lazy(wide))
    assert not epochs
    model = make(DAAETransformer).fit(Lazy(X))
    with pytest.raises(ValueError, match="24 features"):
        model.transform(Lazy(X[:, :5]))
    with pytest.raises(ValueError, match="no rows, or was used before"):
        model.transform(iter([]))
    with pytest.raises(ValueError, match="another 5 of float32"):
        model.fit(iter([X[:3], X[:3, :5]]))


def sklearn_callback():
    from skorch.callbacks import Callback

    return Callback


@pytest.mark.usefixtures("in_blocks")
def test_missing_values(X):
    X = X.copy()
    X[::7, 3] = np.nan
    model = make(DAETransformer, missing_values="mask").fit(Lazy(X))
    expected = model.score(X)
    assert model.score(Lazy(X)) == pytest.approx(expected, rel=1e-5)


def test_pages_of_a_file_are_given_back(X, tmp_path, in_blocks, monkeypatch):
    """And nothing that was written to a copy-on-write map is lost with them."""
    np.save(tmp_path / "X.npy", np.zeros_like(X))
    expected = weights(make(DAAETransformer).fit(Lazy(X)))
    in_memory = weights(make(DAAETransformer).fit(X))
    monkeypatch.setattr(streams, "_MAPPED_BYTES", 1000)
    find_file, advice = streams._mapped_file, []

    class Spy:
        def __init__(self, file):
            self.file = file

        def madvise(self, option):
            advice.append(option)
            self.file.madvise(option)

    def spy(X):
        file = find_file(X)
        return file and Spy(file)

    monkeypatch.setattr(streams, "_mapped_file", spy)
    for mode in ("c", "r+", "r"):
        mapped = np.load(tmp_path / "X.npy", mmap_mode=mode)
        if mode != "r":
            mapped[:] = X
        advice.clear()
        model = make(DAAETransformer).fit(mapped)
        np.testing.assert_array_equal(mapped, X)
        known = in_memory if mode == "c" else expected
        np.testing.assert_array_equal(weights(model), known)
        assert set(advice) == (set() if mode == "c" else {mmap.MADV_DONTNEED})


def test_an_iterator_leaves_no_file(X, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    make(DAAETransformer).fit(iter([X]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["transform", "inverse_transform", "reconstruct"])
def test_out(call, X, tmp_path):
    model = make(DAAETransformer).fit(X)
    given = model.transform(X) if call == "inverse_transform" else X
    expected = getattr(model, call)(given)
    path = tmp_path / "out.npy"
    out = np.lib.format.open_memmap(path, "w+", np.float32, expected.shape)
    assert getattr(model, call)(given, out=out) is out
    np.testing.assert_array_equal(np.load(path), expected)
    in_float64 = np.empty(expected.shape)
    np.testing.assert_array_equal(getattr(model, call)(given, out=in_float64), expected)
    read_only = np.load(path, mmap_mode="r")
    for wrong in (out[1:], read_only, np.empty(expected.shape, int)):
        with pytest.raises(ValueError, match=r"out is a .* that can be written to"):
            getattr(model, call)(given, out=wrong)
    with pytest.raises(TypeError, match="out must be a NumPy array"):
        getattr(model, call)(given, out="codes.npy")


def test_samples_into_out(X, tmp_path):
    model = make(DAAETransformer).fit(X)
    for options, shape in (({}, (5, D)), ({"return_chain": True}, (3, 5, D))):
        options = {"n_steps": 2, **options}
        out = np.lib.format.open_memmap(tmp_path / "S", "w+", np.float32, shape)
        assert model.sample(5, 0, out=out, **options) is out
        np.testing.assert_array_equal(out, model.sample(5, 0, **options))


# What a process may take, for X of 8 times as much: data is the anonymous memory of a
# process, which torch takes a part of before it begins.
_IN_LITTLE_MEMORY = """
    import resource
    import sys
    import numpy as np
    import sklearn
    from sklearn_daae import {kind}

    class Generated:
        '''Rows that are made when they are read.'''

        dtype = np.dtype("float32")

        def __init__(self, n, d):
            self.shape = n, d
            self.base = np.random.default_rng(0).random((64, d), dtype=np.float32)

        def __getitem__(self, rows):
            numbers = np.arange(rows.start, rows.stop)
            return self.base[numbers % 64] + (numbers % 97 / 97)[:, None].astype("f4")

    def in_use():
        for line in open("/proc/self/status"):
            if line.startswith("VmData"):
                return int(line.split()[1]) * 1024

    sklearn.set_config(working_memory=64)
    small = np.random.default_rng(0).random((100, {d}))
    settings = dict(n_components=2, max_epochs=1, batch_size=1024, random_state=0,
                    encoder_layer_sizes=(8,), decoder_layer_sizes=(8,))
    {kind}(**settings).fit(small)  # what torch needs for itself, and once
    allowed = in_use() + {room}
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    X = Generated({n}, {d})
    assert X.shape[0] * X.shape[1] * 4 >= 8 * {held}
    try:
        np.ones(allowed, np.uint8)
    except MemoryError:
        pass
    else:
        raise AssertionError("the limit limits nothing")
    model = {kind}(**settings).fit(X)
    out = np.memmap({path!r}, np.float32, "w+", shape=(X.shape[0], 2))
    model.transform(X, out=out)
    assert np.isfinite(out).all() and out.std() > 0
    peak = int(next(l for l in open("/proc/self/status") if "VmHWM" in l).split()[1])
    print(allowed, peak * 1024, model.score(small))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_data_of_many_times_the_memory(tmp_path):
    """Of 1.3 GB, in 160 MB beyond what an idle process has: an eighth."""
    room = 160 * 2**20
    settings = {"kind": "DAETransformer", "d": 1000, "n": 336_000, "room": room}
    run_limited(tmp_path, held=room, **settings)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_data_of_many_times_all_memory(tmp_path):
    """Eight times all that the process may have, torch and Python included."""
    script = {"kind": "DAAETransformer", "d": 1000, "room": 256 * 2**20}
    run_limited(tmp_path, n=1_600_000, held="allowed", **script)


def run_limited(folder, **settings):
    script = _IN_LITTLE_MEMORY.format(path=str(folder / "codes"), **settings)
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_streamed_mnist_teaches_as_much(seed):
    """Rows sorted by class in the file, of which a window holds a twentieth."""
    from sklearn_daae.datasets import fetch_mnist

    X, y = fetch_mnist(subset="train", return_X_y=True)
    X_test, y_test = fetch_mnist(subset="test", return_X_y=True)
    order = np.argsort(y, kind="stable")
    settings = {"max_epochs": 10, "random_state": seed}
    accuracy = []
    for rows, limit in ((X, 1024), (Lazy(X[order]), 4 * X.nbytes / 20 / 2**20)):
        with sklearn.config_context(working_memory=limit):
            model = iDAAETransformer(10, M=2, **settings).fit(rows)
        svm = SVC().fit(model.transform(X[::5]), y[::5])
        accuracy.append(svm.score(model.transform(X_test), y_test))
    assert accuracy[1] >= accuracy[0] - 0.003
