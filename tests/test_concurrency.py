"""Models in threads and processes at once: each is as if it were alone."""

import copy
import multiprocessing
import os
import pickle
import random
import sys
import threading
from contextlib import contextmanager

import joblib
import numpy as np
import pytest
import torch
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from sklearn_daae import DAAETransformer, DAETransformer, DVAETransformer
from sklearn_daae._engine.cpu import FusedPasses
from sklearn_daae.metrics import parzen_log_likelihood
from sklearn_daae.model_selection import GridSearchCV, fit_together

from .conftest import ADVERSARIAL, PLAIN, make, weights
from .test_random import global_states

# Longer than anything here takes on the slowest machine.
HANGS = 300

# Of Python, which warns of forks, and of which some are meant here.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")

needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="forks")


@pytest.fixture(autouse=True)
def one_torch_thread():
    """Have results be those of one thread of torch's everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def noisy(x, sigma, generator):
    """Corrupt by numbers of all global generators."""
    numbers = random.random() + np.random.random() + torch.rand(len(x), 1)
    return x + sigma * numbers


def drawn(n_samples, n_components, generator):
    return np.random.standard_normal((n_samples, n_components))


class Dropping(nn.Sequential):
    """An encoder that draws from torch's global generator."""

    def __init__(self, n_features, n_components):
        linear = nn.Linear(n_features, n_components)
        super().__init__(nn.Dropout(0.5), linear)


class Moving(nn.Sequential):
    """A corruption that is a module with weights."""

    def forward(self, x, sigma, generator):
        return x + sigma * super().forward(x)


# What draws from global generators, or not, in various rooms.
VARIANTS = {
    "ours": {},
    "dropout": {"network": ("mlp", {"dropout": 0.2, "batch_norm": True})},
    "own network": {"encoder": Dropping},
    "own corruption": {"corruption": noisy},
    "own prior": {"prior": drawn},
    "levels": {"sigma": [0.1] * 64, "scaling": "standard"},
}


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request):
    """Return a model that is not fitted."""
    return make(DAAETransformer, **VARIANTS[request.param])


def torch_settings():
    """Return what torch has been told, of all threads and of this one."""
    return (
        torch.get_num_threads(),
        torch.get_num_interop_threads(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.are_deterministic_algorithms_enabled(),
    )


def at_once(calls):
    """Return what calls give, or raise, that begin at once in a thread each."""
    barrier, results = threading.Barrier(len(calls)), [None] * len(calls)

    def run(i):
        barrier.wait(HANGS)
        before = torch_settings()
        try:
            results[i] = calls[i]()
            assert torch_settings() == before
        except Exception as error:
            results[i] = error

    threads = [
        threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(calls))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANGS)
    assert not any(thread.is_alive() for thread in threads), "threads hang"
    return results


def in_a_fork(call):
    """Return what a call gives in a process that is forked now."""
    if not hasattr(os, "fork"):
        pytest.skip("no process is forked on this system")
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(call()))
    process.start()
    sender.close()
    try:
        assert receiver.poll(HANGS), "the child hangs"
        return receiver.recv()
    finally:
        process.kill()
        process.join()


class Gate(Callback):
    """Stops a training between two steps, or before the first, while it is shut."""

    def __init__(self, where="on_batch_end"):
        self.where = where
        self.is_shut_ = False
        self.is_reached_, self.is_open_ = threading.Event(), threading.Event()

    def __reduce__(self):
        return Gate, (self.where,)  # of copies, they stand open

    def on_train_begin(self, net, **kwargs):
        self.arrive("on_train_begin")

    def on_batch_end(self, net, **kwargs):
        self.arrive("on_batch_end")

    def arrive(self, where):
        if self.is_shut_ and self.where == where:
            self.is_shut_ = False  # to whoever comes next
            self.is_reached_.set()
            assert self.is_open_.wait(HANGS)


@contextmanager
def held(train, gate):
    """Have a thread train, and stand at the gate until the context ends."""
    gate.is_shut_ = True
    gate.is_open_.clear()
    gate.is_reached_.clear()
    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    assert gate.is_reached_.wait(HANGS)
    try:
        yield
    finally:
        gate.is_open_.set()
        thread.join(HANGS)
        assert not thread.is_alive()


def asked(model, X):
    """Return a call each of what a fitted model can be asked."""
    Z = model.transform(X)
    calls = [
        lambda: model.transform(X),
        lambda: model.inverse_transform(Z),
        lambda: model.reconstruct(X, corrupt=True, random_state=0),
        lambda: model.sample(20, random_state=0, n_steps=2),
        lambda: model.score_samples(X),
        lambda: model.corrupt(X, random_state=0),
    ]
    if hasattr(model, "sample_prior"):
        calls.append(lambda: model.sample_prior(20, random_state=0))
    return calls


# --- one model, many who ask ----------------------------------------------------------


def assert_asked_at_once(model, X):
    before = global_states(), torch_settings()
    expected = [call() for call in asked(model, X)]
    calls = asked(model, X) * 3
    for result, known in zip(at_once(calls), expected * 3, strict=True):
        np.testing.assert_array_equal(result, known)
    assert (global_states(), torch_settings()) == before


def test_all_models_are_asked_by_many_threads(fitted, X):
    assert_asked_at_once(fitted, X)


def test_a_model_is_asked_by_many_threads(variant, X):
    assert_asked_at_once(clone(variant).fit(X), X)


def test_a_loaded_model_is_asked_by_many_threads(variant, X):
    """Nothing that it makes when it is first asked is made twice, by halves."""
    model = clone(variant).fit(X)
    expected = [call() for call in asked(model, X)]
    calls = asked(pickle.loads(pickle.dumps(model)), X)
    for result, known in zip(at_once(calls), expected, strict=True):
        np.testing.assert_array_equal(result, known)


# --- many models, each trained by one -------------------------------------------------


def trained(model, X):
    """Return what a model comes to, in numbers."""
    model = clone(model).fit(X[:99]).partial_fit(X[99:150])
    return np.concatenate([weights(model), model.sample(9, random_state=0).ravel()])


@pytest.fixture(scope="module")
def alone(X):
    """Return models, and what each comes to alone."""
    models = [make(DAAETransformer, **settings) for settings in VARIANTS.values()]
    models += [make(DVAETransformer, random_state=i) for i in range(2)]
    models.append(make(DAETransformer, early_stopping=True))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    expected = [trained(model, X) for model in models]
    torch.set_num_threads(threads)
    return models, expected


def assert_all_equal(results, expected):
    for result, known in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, known)


def test_fits_in_many_threads(alone, X):
    models, expected = alone
    before = global_states(), torch_settings()
    calls = [lambda model=model: trained(model, X) for model in models]
    assert_all_equal(at_once(calls), expected)
    assert (global_states(), torch_settings()) == before


def test_fits_in_threads_of_joblib(alone, X):
    models, expected = alone
    workers = joblib.Parallel(3, "threading", timeout=HANGS)
    results = workers(joblib.delayed(trained)(model, X) for model in models)
    assert_all_equal(results, expected)


def test_fits_in_a_worker_of_loky_while_a_thread_trains(alone, X):
    models, expected = alone
    executor = get_reusable_executor(
        1, initializer=torch.set_num_threads, initargs=(1,)
    )
    gate = Gate()
    model = make(DAAETransformer, callbacks=[gate])
    with held(lambda: model.fit(X), gate):
        fits = [executor.submit(trained, each, X) for each in models]
        assert_all_equal([fit.result(HANGS) for fit in fits], expected)


@needs_fork
def test_fits_in_a_forked_process(alone, X):
    models, expected = alone
    results = in_a_fork(lambda: [trained(model, X) for model in models])
    assert_all_equal(results, expected)


@needs_fork
@pytest.mark.parametrize("settings", [{}, {"corruption": noisy}], ids=["ours", "own"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_process_is_forked_while_a_thread_trains(alone, X, settings, method):
    """With locks held, of threads that are not there to release them."""
    models, expected = alone
    gate = Gate()
    model = make(DAAETransformer, **settings, callbacks=[gate])
    with held(lambda: getattr(model, method)(X), gate):
        results = in_a_fork(lambda: [trained(model, X) for model in models])
    assert_all_equal(results, expected)
    same = getattr(make(DAAETransformer, **settings), method)(X)
    np.testing.assert_array_equal(weights(model), weights(same))


@needs_fork
def test_a_process_is_forked_while_a_thread_asks(alone, X):
    models, expected = alone
    gate = Gate("corruption")

    def corruption(x, sigma, generator):
        gate.arrive("corruption")
        return noisy(x, sigma, generator)

    model = make(DAAETransformer, corruption=corruption).fit(X)
    with held(lambda: model.corrupt(X), gate):
        results = in_a_fork(lambda: [trained(other, X) for other in models])
    assert_all_equal(results, expected)


@needs_fork
@pytest.mark.parametrize("settings", [{}, {"corruption": noisy}], ids=["ours", "own"])
def test_a_forked_process_trains_its_copy_of_what_is_trained(X, settings):
    """And the parent its own: each as if the other were not there."""
    gate = Gate("on_train_begin")
    model = make(DAAETransformer, **settings, callbacks=[gate]).fit(X)
    same = copy.deepcopy(model).partial_fit(X)
    with held(lambda: model.partial_fit(X), gate):
        there = in_a_fork(lambda: weights(model.partial_fit(X)))
    np.testing.assert_array_equal(there, weights(same))
    np.testing.assert_array_equal(weights(model), weights(same))


@needs_fork
def test_a_forked_process_has_none_of_the_threads_of_torch(X):
    """It waited for ever for those of OpenMP, which its parent has."""
    torch.set_num_threads(2)

    def use():
        # To copy as many weights as are loaded, torch calls all threads.
        model = make(DAETransformer, encoder_layer_sizes=(256, 256), max_epochs=1)
        model = pickle.loads(pickle.dumps(model.fit(X[:64])))
        codes = model.partial_fit(X[:64]).transform(X[:64])
        nats = parzen_log_likelihood(np.tile(X, (4, 1)), X, bandwidth=0.3)
        return codes, nats, torch.get_num_threads()

    *here, _ = use()
    *there, n_threads = in_a_fork(use)
    for a, b in zip(there, here, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)
    assert n_threads == 2  # as it was
    assert torch.get_num_threads() == 2


# --- loaded where torch was told to learn nothing -------------------------------------


def by_joblib(model, path):
    joblib.dump(model, path)
    return joblib.load(path)


LOADED = {
    **VARIANTS,
    "batch norm": {"network": ("mlp", {"batch_norm": True}), "averaging": False},
    "module": {"encoder": nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 4))},
    "process": {"corruption": Moving(nn.Linear(64, 8), nn.Linear(8, 64))},
}


@pytest.mark.parametrize(
    ("mode", "settings"),
    [
        *((torch.inference_mode, settings) for settings in LOADED.values()),
        *((torch.no_grad, LOADED[name]) for name in ("ours", "module")),
    ],
    ids=[*LOADED, "ours, without gradients", "module, without gradients"],
)
def test_a_model_loaded_where_nothing_learns_goes_on(X, settings, mode, tmp_path):
    """As one that was loaded elsewhere; a second pass took its encoder for another."""
    X = X[:64]
    model = make(DAAETransformer, **settings).fit(X)
    for way in (copy.deepcopy, lambda m: by_joblib(m, tmp_path / "model.joblib")):
        same = way(model)
        with mode():
            loaded = way(model)
            np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
        for each in (same, loaded):
            each.partial_fit(X).partial_fit(X)
            each.set_params(warm_start=True, max_epochs=1).fit(X)
        np.testing.assert_array_equal(weights(loaded), weights(same))
        np.testing.assert_array_equal(loaded.transform(X), same.transform(X))
        fits = [each.set_params(warm_start=False).fit(X) for each in (same, loaded)]
        np.testing.assert_array_equal(*map(weights, fits))


# --- one model, one training at a time ------------------------------------------------

REFUSED = r"^This DAAETransformer is being trained already.* wait .* clone"
TRAININGS = {
    "fit": lambda model, X: model.fit(X),
    "partial_fit": lambda model, X: model.partial_fit(X),
    "fit_together": lambda model, X: fit_together([model, clone(model)], X)[0],
}


@pytest.mark.parametrize("second", TRAININGS)
@pytest.mark.parametrize("first", TRAININGS)
def test_a_second_training_is_refused(X, first, second):
    """It was taken up in the midst of the first, and both ended anyhow."""
    gate = Gate()
    model = make(DAAETransformer, callbacks=[gate], warm_start=True)
    same = clone(model).fit(X)
    model.fit(X)
    X_other = X[:50]
    with held(lambda: TRAININGS[first](model, X), gate):
        for _ in range(2):
            with pytest.raises(RuntimeError, match=REFUSED):
                TRAININGS[second](model, X_other)
    TRAININGS[first](same, X)
    np.testing.assert_array_equal(weights(model), weights(same))
    assert model.history_ == same.history_
    for each in (model, same):  # and goes on
        TRAININGS[second](each, X_other)
    np.testing.assert_array_equal(weights(model), weights(same))


def test_many_passes_at_once(X):
    """As many count as have returned."""
    model = make(DAAETransformer).fit(X)
    same = copy.deepcopy(model)
    results = at_once([lambda: model.partial_fit(X)] * 8)
    errors = [result for result in results if result is not model]
    for error in errors:
        with pytest.raises(RuntimeError, match=REFUSED):
            raise error
    assert len(errors) < len(results)
    for _ in range(len(results) - len(errors)):
        same.partial_fit(X)
    np.testing.assert_array_equal(weights(model), weights(same))
    assert model.history_ == same.history_


class Trains(Callback):
    """Trains the model whose training it hears of."""

    def on_epoch_end(self, net, **kwargs):
        self.model.partial_fit(self.X)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_callback_does_not_train_its_own_model(X, method):
    trains = Trains()
    model = make(DAAETransformer, callbacks=[trains])
    trains.model, trains.X = model, X
    with pytest.raises(RuntimeError, match=REFUSED):
        getattr(model, method)(X)
    assert not hasattr(model, "net_")
    trains.model = make(DAAETransformer)  # another one it may
    getattr(model, method)(X)
    np.testing.assert_array_equal(
        weights(model), weights(getattr(make(DAAETransformer), method)(X))
    )


class Fails(Callback):
    def __init__(self, error):
        self.error = error

    def on_batch_end(self, net, **kwargs):
        raise self.error


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit()])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_training_that_has_failed_is_over(X, error, method):
    model = make(DAAETransformer, callbacks=[Fails(error)])
    for _ in range(2):  # the second is no second one at once
        with pytest.raises(type(error)):
            getattr(model, method)(X)
    model.set_params(callbacks=None)
    np.testing.assert_array_equal(
        weights(getattr(model, method)(X)),
        weights(getattr(make(DAAETransformer), method)(X)),
    )


def test_a_training_that_was_refused_its_data_is_over(X):
    model = make(DAAETransformer)
    for data in (X[:, :0], "X"):
        for method in (model.fit, model.partial_fit):
            with pytest.raises((ValueError, TypeError)):
                method(data)
        with pytest.raises((ValueError, TypeError)):
            fit_together([model, clone(model)], [data, data])
    model.fit(X)


def test_copies_of_a_model_that_is_trained_are_free(X):
    gate = Gate("on_train_begin")
    model = make(DAAETransformer, callbacks=[gate]).fit(X)
    expected = weights(copy.deepcopy(model).partial_fit(X))
    with held(lambda: model.partial_fit(X), gate):
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            np.testing.assert_array_equal(weights(other.partial_fit(X)), expected)
        fitted = clone(model).fit(X)
        search = GridSearchCV(model, {"sigma": [0.1, 0.2]}, cv=2).fit(X)
    assert search.best_estimator_ is not model
    np.testing.assert_array_equal(
        weights(fitted), weights(make(DAAETransformer).fit(X))
    )


def test_the_callbacks_of_a_fit_outlive_one_that_is_refused(X):
    """Those of scikit-learn, which are told when its `fit` is over."""
    pytest.importorskip("sklearn.callback")

    class Hears:
        def __init__(self):
            self.heard = []

        def setup(self, estimator, context):
            self.heard.append("setup")

        def teardown(self, estimator, context):
            self.heard.append("teardown")

        def on_fit_task_begin(self, estimator, context, **kwargs):
            pass

        def on_fit_task_end(self, estimator, context, **kwargs):
            self.heard.append("end")

    gate, hears = Gate(), Hears()
    model = make(DAAETransformer, callbacks=[gate]).set_callbacks(hears)
    with held(lambda: model.fit(X), gate):
        with pytest.raises(RuntimeError, match=REFUSED):
            model.fit(X)
        assert hears.heard == ["setup"]
    assert hears.heard == ["setup", "end", "end", "end", "teardown"]


# --- asked while it is trained --------------------------------------------------------


@pytest.mark.parametrize("averaging", [True, False])
@pytest.mark.parametrize("network", ["mlp", ("mlp", {"batch_norm": True})])
def test_a_model_is_asked_while_a_thread_trains_it(X, network, averaging):
    """Weights of some step answer, and learn nothing; one row was refused."""
    gate = Gate()
    settings = {"network": network, "averaging": averaging, "callbacks": [gate]}
    model = make(DAAETransformer, **settings).fit(X)
    same = copy.deepcopy(model)
    before = [call() for call in asked(same, X)]
    same.partial_fit(X)
    with held(lambda: model.partial_fit(X), gate):
        for result, known in zip(at_once(asked(model, X)), before, strict=True):
            assert np.isfinite(result).all()
            if averaging:  # which has not taken a step yet
                np.testing.assert_array_equal(result, known)
        Z = model.transform(X[:5])
        np.testing.assert_allclose(model.transform(X[:1]), Z[:1], atol=1e-6)
        assert averaging == np.array_equal(Z, before[0][:5])
    np.testing.assert_array_equal(weights(model), weights(same))
    for result, call in zip(asked(model, X), asked(same, X), strict=True):
        np.testing.assert_array_equal(result(), call())


def test_networks_are_copied_within_a_step_as_between_two(X):
    """Without the passes of the step, and what is behind them."""
    encoder = make(DAETransformer, **PLAIN).fit(X).encoder_
    with FusedPasses(encoder):
        copied = copy.deepcopy(encoder)
    assert vars(copied).keys() == vars(encoder).keys()


def test_a_callback_asks_within_an_epoch(X):
    """Dropout took part in the answer."""
    settings = {"network": ("mlp", {"dropout": 0.5}), "averaging": False}
    codes = []

    class Asks(Callback):
        def on_batch_end(self, net, **kwargs):
            if hasattr(model, "net_"):
                codes.append(model.transform(X))
                codes.append(copy.deepcopy(net.module_).eval())

    model = make(DAAETransformer, **settings, callbacks=[Asks()])
    model.partial_fit(X).partial_fit(X)
    assert len(codes) == 10
    for Z, module in zip(codes[::2], codes[1::2], strict=True):
        with torch.no_grad():
            expected = module.encode(torch.tensor(X))
        np.testing.assert_allclose(Z, expected, atol=1e-6)
    same = make(DAAETransformer, **settings).partial_fit(X).partial_fit(X)
    np.testing.assert_array_equal(weights(model), weights(same))


def test_dropout_answers_once_the_pass_is_over(X):
    """Of a network that draws globally, who asks waits, and does not hang."""
    settings = {"network": ("mlp", {"dropout": 0.5}), "averaging": False}
    gate = Gate()
    model = make(DAAETransformer, **settings, callbacks=[gate]).fit(X)
    codes = []
    asks = threading.Thread(target=lambda: codes.append(model.transform(X)))
    with held(lambda: model.partial_fit(X), gate):
        asks.start()
    asks.join(HANGS)
    np.testing.assert_array_equal(codes[0], model.transform(X))


@pytest.mark.parametrize("Estimator", ADVERSARIAL)
def test_a_model_is_asked_throughout_its_training(Estimator, X):
    model = make(Estimator).fit(X)
    same, is_over = copy.deepcopy(model), threading.Event()

    def train():
        try:
            for _ in range(5):
                model.partial_fit(X)
        finally:
            is_over.set()

    def ask():
        answers = []
        while not is_over.is_set() or not answers:
            answers += [call() for call in asked(model, X[:20])]
        return all(np.isfinite(answer).all() for answer in answers)

    assert at_once([train, ask, ask]) == [None, True, True]
    for _ in range(5):
        same.partial_fit(X)
    np.testing.assert_array_equal(weights(model), weights(same))
