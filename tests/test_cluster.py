"""Searches on a cluster of dask give what they give in one process."""

import os
import pickle
import signal
import subprocess
import sys
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import joblib
import numpy as np
import pytest
import sklearn.model_selection
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

from sklearn_daae import DAAETransformer
from sklearn_daae import model_selection as ours

from .conftest import SMALL

distributed = pytest.importorskip("distributed")
dask_array = pytest.importorskip("dask.array")

EXAMPLE = Path(__file__).parents[1] / "doc" / "examples" / "grid_on_a_cluster.py"
TIMES = {"mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"}
GRID = {"daae__sigma": [0.1, 0.5], "svm__C": [0.1, 1.0]}


@pytest.fixture(scope="module")
def client():
    """Two processes of one thread each, as a nanny starts and restarts them."""
    with pytest.MonkeyPatch.context() as patch:
        # What is set outside comes before what a nanny sets, and is not the point.
        patch.delenv("OMP_NUM_THREADS", raising=False)
        with (
            distributed.LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            # It leaves one copy of data that no task waits for.
            client.amm.stop()
            yield client


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    X = (rng.random((300, 8)) / 2 + (np.arange(8) % 3 == y[:, None]) / 4).astype("f4")
    return X, y


def pipeline(seed):
    params = {**SMALL, "random_state": seed, "encoder_layer_sizes": (8,)}
    return Pipeline([("daae", DAAETransformer(**params)), ("svm", SVC())])


@contextmanager
def on_cluster(client, **params):
    client.wait_for_workers(2, timeout=30)
    with joblib.parallel_config("dask", client=client, **params):
        yield


def assert_same_results(now, was):
    assert list(now) == list(was)
    for name in now.keys() - TIMES:
        assert_array_equal(now[name], was[name], err_msg=name)


class Killer:
    """A function, of which the first call in another process is the last of that."""

    def __init__(self, function, marker):
        self.function = function
        self.marker = marker
        self.home = os.getpid()
        self.__name__ = "killer"

    def __call__(self, *args):
        if os.getpid() != self.home:
            try:
                self.marker.touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.function(*args)


def accuracy(model, X, y):
    return accuracy_score(y, model.predict(X))


def n_threads(model, X, y):
    return torch.get_num_threads()


@pytest.mark.parametrize(
    ("Search", "scatter"),
    [("GridSearchCV", False), ("GridSearchCV", True), ("HalvingGridSearchCV", True)],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_search_of_scikit_learn(client, data, Search, seed, scatter):
    X, y = data
    params = {"random_state": 0} if Search.startswith("Halving") else {}
    search = getattr(sklearn.model_selection, Search)(
        pipeline(seed), GRID, cv=2, **params
    )
    was = search.fit(X, y).cv_results_
    assert len(set(was["mean_test_score"])) > 1
    with on_cluster(client, **({"scatter": [X]} if scatter else {})):
        now = search.fit(X, y).cv_results_
    assert_same_results(now, was)


@pytest.mark.parametrize("seed", [0, 1])
def test_cross_validation(client, data, seed):
    X, y = data
    was = cross_validate(pipeline(seed), X, y, cv=3)
    for params in ({}, {"scatter": [X]}):
        with on_cluster(client, **params):
            now = cross_validate(pipeline(seed), X, y, cv=3)
        assert_array_equal(now["test_score"], was["test_score"])


def test_each_task_has_its_own_thread(client, data):
    with on_cluster(client):
        scores = cross_validate(pipeline(0), *data, cv=2, scoring=n_threads)
    assert_array_equal(scores["test_score"], 1)


def test_X_travels_once(client, data, monkeypatch):
    X, y = data
    scattered, sent = [], []
    scatter, submit = client.scatter, client.submit

    def counting_scatter(data, **params):
        scattered.extend(data if isinstance(data, list) else [data])
        return scatter(data, **params)

    def measuring_submit(function, *args, tasks, **params):
        sent.append(pickle.dumps(tasks))
        return submit(function, *args, tasks=tasks, **params)

    monkeypatch.setattr(client, "scatter", counting_scatter)
    monkeypatch.setattr(client, "submit", measuring_submit)
    with on_cluster(client, scatter=[X]):
        backend, _ = joblib.parallel.get_active_backend()
        (future,) = backend.data_futures.values()
        holders = client.who_has(future)[future.key]
        sklearn.model_selection.GridSearchCV(pipeline(0), GRID, cv=2).fit(X, y)
    assert sum(array is X for array in scattered) == 1
    assert len(holders) == 2
    assert len(sent) > 1
    assert max(map(len, sent)) < X.nbytes
    assert not any(X[:10].tobytes() in task for task in sent)


@pytest.mark.parametrize("where", ["score", "training"])
def test_a_worker_that_dies_loses_no_search(client, data, tmp_path, monkeypatch, where):
    X, y = data
    splits = list(StratifiedKFold(2).split(X, y))
    killer = Killer(accuracy if where == "score" else ours._fit_part, tmp_path / "mark")
    if where == "score":
        search = sklearn.model_selection.GridSearchCV(
            pipeline(0), GRID, cv=splits, scoring=killer
        )
    else:
        monkeypatch.setattr(ours, "_fit_part", killer)
        search = ours.GridSearchCV(pipeline(0), GRID, cv=splits)
    before = set(client.run(os.getpid).values())
    # What joblib scatters by itself is on one worker, and lost with it: rows, too.
    with on_cluster(client, scatter=[X, y, *chain(*splits)]):
        now = search.fit(X, y).cv_results_
    assert killer.marker.exists()
    assert_same_results(now, search.fit(X, y).cv_results_)
    client.wait_for_workers(2, timeout=30)
    assert len(before & set(client.run(os.getpid).values())) == 1


@pytest.mark.parametrize("Search", ["GridSearchCV", "HalvingGridSearchCV"])
@pytest.mark.parametrize("seed", [0, 1])
def test_search_of_ours(client, data, Search, seed, monkeypatch):
    X, y = data
    steps = [("scale", MinMaxScaler()), *pipeline(seed).steps]
    grid = {**GRID, "daae__n_components": [2, 3]}
    params = {"random_state": 0} if Search.startswith("Halving") else {}
    search = getattr(ours, Search)(Pipeline(steps), grid, cv=2, **params)
    was = search.fit(X, y).cv_results_
    n_trained = []
    submit = client.submit

    def counting_submit(function, *args, tasks, **params):
        n_trained.extend(len(args[0]) for f, args, _ in tasks if f is ours._fit_part)
        return submit(function, *args, tasks=tasks, **params)

    monkeypatch.setattr(client, "submit", counting_submit)
    monkeypatch.setattr(ours, "_fit_all", None)  # nothing is trained here
    with on_cluster(client, scatter=[X]):
        now = search.fit(X, y).cv_results_
    assert n_trained[:2] == [4, 4]  # two of each of two shapes
    assert_same_results(now, was)


def test_arrays_of_dask(client, data):
    X, _ = data
    chunked = dask_array.from_array(X, chunks=(100, 8))
    model = DAAETransformer(**SMALL).fit(X)
    codes = chunked.map_blocks(
        model.transform, dtype="float32", chunks=(chunked.chunks[0], (4,))
    )
    assert codes.shape == (300, 4)
    assert_allclose(codes.compute(), model.transform(X), atol=1e-6)
    now, was = (DAAETransformer(**SMALL) for _ in range(2))
    for i, block in enumerate(chunked.blocks):
        now.partial_fit(block.compute())
        was.partial_fit(X[100 * i : 100 * (i + 1)])
    assert_array_equal(now.transform(X), was.transform(X))


def test_wrappers_of_dask_ml(client, data):
    wrappers = pytest.importorskip("dask_ml.wrappers")
    X, _ = data
    chunked = dask_array.from_array(X, chunks=(100, 8))
    parallel = wrappers.ParallelPostFit(DAAETransformer(**SMALL)).fit(X)
    was = DAAETransformer(**SMALL).fit(X).transform(X)
    assert_allclose(parallel.transform(chunked).compute(), was, atol=1e-6)
    now = wrappers.Incremental(DAAETransformer(**SMALL), shuffle_blocks=False)
    now.fit(chunked)
    was = DAAETransformer(**SMALL)
    for start in (0, 100, 200):
        was.partial_fit(X[start : start + 100])
    assert_array_equal(now.estimator_.transform(X), was.transform(X))


@pytest.mark.slow
@pytest.mark.skipif(not EXAMPLE.exists(), reason="installed without the repository")
def test_example(tmp_path):
    options = ["-W", "error::FutureWarning"]
    run = subprocess.run(
        [sys.executable, *options, EXAMPLE],
        check=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.stdout.count("the best") == 2
