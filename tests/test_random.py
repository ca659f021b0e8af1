"""Seeds repeat a fit bit for bit, and no call touches a global generator."""

import multiprocessing
import random
import sys
import threading

import numpy as np
import pytest
import torch

from sklearn_daae import DAAETransformer
from sklearn_daae._random import borrowed_global_generator

from .conftest import SMALL, make, needs_cuda, weights


def global_states():
    """Return the states of all global generators, as comparable values."""
    name, keys, *rest = np.random.get_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return (
        random.getstate(),
        (name, keys.tobytes(), *rest),
        torch.get_rng_state().numpy().tobytes(),
        [state.numpy().tobytes() for state in cuda],
    )


def use_all(model, X):
    model.fit(X).partial_fit(X)
    model.corrupt(X)
    model.reconstruct(X, corrupt=True)
    model.sample(5, n_steps=2)
    model.inverse_transform(model.transform(X))
    model.score(X)


@pytest.mark.parametrize("random_state", [None, 0, np.random.RandomState(0)])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_no_call_changes_a_global_generator(Estimator, X, random_state, early_stopping):
    before = global_states()
    model = make(Estimator, random_state=random_state)
    use_all(model.set_params(early_stopping=early_stopping), X)
    assert global_states() == before


def test_global_generators_change_no_fit(Estimator, X):
    models = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        models.append(make(Estimator).fit(X))
    np.testing.assert_array_equal(*map(weights, models))
    np.testing.assert_array_equal(*(m.sample(5, 7) for m in models))


def test_random_states(Estimator, X):
    def fit(random_state):
        return weights(make(Estimator, random_state=random_state).fit(X))

    assert (fit(0) != fit(1)).mean() > 0.5
    assert (fit(None) != fit(None)).mean() > 0.5  # 0 is a seed, None is none
    state = np.random.RandomState(0)
    first = fit(state)
    assert (fit(state) != first).mean() > 0.5  # an instance goes on
    np.testing.assert_array_equal(fit(np.random.RandomState(0)), first)


def test_the_generator_of_mps_is_borrowed(monkeypatch):
    """With a stand-in for it: torch draws from no other there."""
    states = ["its own"]
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: states[-1])
    monkeypatch.setattr(torch.mps, "set_rng_state", states.append)
    monkeypatch.setattr(torch.mps, "manual_seed", states.append)
    for seed in (0, 0, 1):
        before = global_states()
        with borrowed_global_generator(
            np.random.default_rng(seed), torch.device("mps")
        ):
            torch.rand(1)
        assert global_states() == before
        assert states[-1] == "its own"
    seeds = states[1::2]
    assert seeds[0] == seeds[1] != seeds[2]


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_process_forked_while_another_thread_trains(X):
    """It waited for ever for the lock that the other thread held."""
    borrows, may_end = threading.Event(), threading.Event()

    def corruption(x, sigma, generator):
        if is_watched:
            borrows.set()
            may_end.wait(60)
        return x

    is_watched = False
    model = DAAETransformer(**SMALL, corruption=corruption).fit(X)
    is_watched = True
    thread = threading.Thread(target=model.corrupt, args=(X,))
    thread.start()
    assert borrows.wait(60)
    is_watched = False
    child = multiprocessing.get_context("fork").Process(
        target=model.corrupt, args=(X[:2],)
    )
    child.start()
    child.join(60)
    has_ended = child.exitcode == 0
    child.kill()
    may_end.set()
    thread.join()
    assert has_ended


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("network", ["mlp", ("conv", {"n_filters": 4})])
def test_cuda(Estimator, network):
    X = np.random.default_rng(0).random((100, 400), dtype=np.float32)
    settings = {"network": network, "image_shape": (1, 20, 20), "device": "cuda"}
    before = global_states()
    models = [make(Estimator, **settings) for _ in range(2)]
    for model in models:
        use_all(model, X)
    assert global_states() == before
    np.testing.assert_array_equal(*map(weights, models))
