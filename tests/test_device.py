"""Devices, precision, and pickles that cross from one machine to another."""

import os
import pickle
import subprocess
import sys
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from sklearn_daae import DAAETransformer
from sklearn_daae._device import available_devices, resolve_device
from sklearn_daae._engine import state
from sklearn_daae.metrics import parzen_log_likelihood, prior_distance

from .conftest import ADVERSARIAL, SMALL, make, needs_cuda, weights


def halve(x, sigma, generator):
    """Corrupt without chance."""
    return x / 2


def test_resolve_device():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")
    assert str(resolve_device("auto")) == available_devices()[0]
    assert available_devices()[-1] == "cpu"


def test_device_is_told(fitted):
    assert fitted.device_ == torch.device("cpu")
    assert fitted.device == "cpu"
    assert next(fitted.encoder_.parameters()).device == fitted.device_


@contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SETTINGS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "default dtype": lambda: default_dtype(torch.float64),
    "default device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("prior", ["normal", "ring"])
def test_settings_of_torch_around_it_change_nothing(Estimator, X, setting, prior):
    """What a notebook has told torch for other models is not for these."""
    if prior != "normal" and Estimator not in ADVERSARIAL:
        pytest.skip("has no such prior")

    def learn():
        model = make(Estimator, prior=prior, n_components=2, early_stopping=True)
        return model.fit(X).partial_fit(X)

    def use(model):
        yield model.transform(X)
        yield model.reconstruct(X, random_state=0)
        yield model.sample(3, random_state=0, n_steps=1)
        if hasattr(model, "prior"):
            yield prior_distance(model, X, random_state=0)

    expected = learn()
    with SETTINGS[setting]():
        model = learn()
        found = [*use(model), *use(expected)]
    np.testing.assert_array_equal(weights(model), weights(expected))
    for values, others in zip(found, [*use(expected)] * 2, strict=True):
        np.testing.assert_array_equal(values, others)


@pytest.mark.parametrize("setting", SETTINGS)
def test_own_networks_learn_whatever_settings_of_torch(Estimator, X, setting):
    with SETTINGS[setting]():
        model = make(Estimator, decoder=torch.nn.Linear, batch_size=50).fit(X)
        assert model.sample(3).shape == (3, 64)
    assert weights(model).dtype == np.float32
    assert model.loss_curve_[1] < model.loss_curve_[0]


def test_bfloat16_trains_about_as_float32_does(Estimator, X):
    settings = {**SMALL, "max_epochs": 20, "sigma": 0.1}
    full = make(Estimator, **settings).fit(X)
    mixed = make(Estimator, **settings, precision="bfloat16").fit(X)
    assert (weights(full) != weights(mixed)).mean() > 0.8
    assert mixed.score(X) == pytest.approx(full.score(X), rel=0.1)
    assert mixed.net_.module_.encoder.layers[0].weight.dtype == torch.float32
    assert mixed.transform(X).dtype == np.float32


@pytest.mark.parametrize("has_products", [False, True])
def test_bfloat16_warns_on_a_cpu_that_is_slow_at_it(X, monkeypatch, has_products):
    monkeypatch.setattr(
        "sklearn_daae._engine.cpu._has_bfloat16_products", lambda: has_products
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ConvergenceWarning)
        DAAETransformer(**SMALL, precision="bfloat16").fit(X)
        DAAETransformer(**SMALL).fit(X)
    told = ["precision='float32'" in str(warning.message) for warning in caught]
    assert told == ([] if has_products else [True])


def test_a_pickle_from_a_device_that_is_not_here_loads_on_the_cpu(Estimator, X):
    """A model that says it is on a GPU takes the way of one that is."""
    model = make(Estimator).fit(X)
    elsewhere = pickle.loads(pickle.dumps(model))
    elsewhere.net_.device = torch.device("cuda", 98)
    copy = pickle.loads(pickle.dumps(elsewhere))
    assert copy.device_ == torch.device("cpu")
    np.testing.assert_array_equal(copy.transform(X), model.transform(X))
    np.testing.assert_array_equal(
        weights(copy.partial_fit(X)), weights(model.partial_fit(X))
    )


def test_the_net_is_a_skorch_net(fitted, X):
    np.testing.assert_allclose(
        fitted.net_.predict(X.copy()), fitted.reconstruct(X), atol=1e-5
    )


@pytest.mark.parametrize(
    "method",
    [
        *("fit", "partial_fit", "fit_loop", "run_single_epoch", "train_step"),
        *("train_step_single", "validation_step", "set_params"),
    ],
)
def test_the_net_is_not_trained_by_itself(fitted, X, method):
    """It emptied the history and the optimisers, and then failed."""
    history = fitted.history_
    with pytest.raises(NotImplementedError, match="estimator that it belongs to"):
        getattr(fitted.net_, method)(X)
    assert fitted.history_ == history


def test_what_else_the_net_offers(X, tmp_path):
    model = DAAETransformer(**{**SMALL, "max_epochs": 5}).fit(X)
    net, expected = model.net_, model.reconstruct(X)
    for predict in (net.predict, net.predict_proba, lambda X: net.forward(X).numpy()):
        np.testing.assert_array_equal(predict(X.copy()), expected)
    files = {f"f_{name}": tmp_path / name for name in ("params", "optimizer")}
    net.save_params(**files)
    before = weights(model)
    model.partial_fit(X)
    net.load_params(**files)
    np.testing.assert_array_equal(weights(model), before)
    assert net.get_params()["precision"] == "float32"
    with pytest.raises(NotImplementedError, match="estimator that it belongs to"):
        clone(net)


def test_a_failed_fit_leaves_the_device(X, monkeypatch):
    """It had moved there before the undo began. (The first device is made up.)"""

    class Breaks(Callback):
        def on_epoch_end(self, net, **kwargs):
            assert net.device == torch.device("cpu")
            raise RuntimeError("broken")

    model = DAAETransformer(**SMALL, warm_start=True, callbacks=[Breaks()])
    model.set_params(callbacks=None).fit(X)
    expected, elsewhere = model.transform(X), torch.device("cuda", 98)
    monkeypatch.setattr(state, "resolve_device", lambda device: device)
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, device: self)
    model.net_.device = elsewhere
    with pytest.raises(RuntimeError, match="broken"):
        model.set_params(callbacks=[Breaks()]).fit(X)
    assert model.net_.device == elsewhere
    model.net_.device = torch.device("cpu")
    np.testing.assert_array_equal(model.transform(X), expected)


@pytest.mark.gpu
@needs_cuda
def test_a_model_from_a_gpu(Estimator, X, tmp_path):
    there = make(Estimator, **{"device": "cuda"}).fit(X)
    here = make(Estimator).fit(X)
    assert there.device_.type == "cuda"
    assert there.transform(X).shape == here.transform(X).shape
    np.save(tmp_path / "X.npy", X)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(there))
    script = """
import pickle, numpy as np
model = pickle.load(open("model.pickle", "rb"))
assert model.device_.type == "cpu"
np.save("Z.npy", model.transform(np.load("X.npy")))
"""
    subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    np.testing.assert_allclose(
        np.load(tmp_path / "Z.npy"), there.transform(X), rtol=1e-3, atol=1e-3
    )


@pytest.mark.gpu
@needs_cuda
def test_no_gpu_memory_is_kept(X):
    model = DAAETransformer(**{**SMALL, "device": "cuda"}).fit(X)
    kept = torch.cuda.memory_allocated()
    big = np.tile(X, (100, 1))
    for call in (
        lambda: model.transform(big),
        lambda: model.sample(100_000),
        lambda: model.sample(X=big),
        lambda: prior_distance(model, big),
        lambda: parzen_log_likelihood(big, X, bandwidth=0.2, device="cuda"),
        lambda: model.partial_fit(big),
    ):
        call()
        assert torch.cuda.memory_allocated() <= 1.1 * kept
        assert torch.cuda.memory_reserved() <= 2 * torch.cuda.memory_allocated() + 2**22


@pytest.mark.gpu
@needs_cuda
def test_likelihoods_and_chains_on_a_gpu_are_those_of_a_cpu(X):
    here, there = (
        parzen_log_likelihood(X[:100], X[100:], bandwidth=0.2, device=device)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(there, here, rtol=1e-10)
    model = DAAETransformer(**{**SMALL, "device": "cuda"}, corruption=halve).fit(X)
    at_home = pickle.loads(pickle.dumps(model))
    at_home.net_.to(torch.device("cpu"))
    for start in ({"X": X}, {"Z": model.transform(X)}):
        chains = [m.sample(n_steps=3, **start) for m in (model, at_home)]
        np.testing.assert_allclose(*chains, atol=1e-3)
