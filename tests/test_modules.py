"""Networks that come from elsewhere, and models that go elsewhere as modules."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_daae import DAAETransformer, DAETransformer, VAETransformer

from .conftest import GAUSSIAN, SMALL, make, weights

CALLS = "transform", "inverse_transform", "reconstruct"


def n_outputs(Estimator):
    return 8 if Estimator in GAUSSIAN else 4


def test_a_module_is_copied(Estimator, X):
    """It was refused; and that of a factory was trained in place."""
    encoder = nn.Linear(64, n_outputs(Estimator))
    before = encoder.weight.detach().clone()
    models = [make(Estimator, encoder=own) for own in (encoder, lambda d, k: encoder)]
    first, second = (weights(model.fit(X)) for model in models)
    np.testing.assert_array_equal(first, second)
    assert torch.equal(encoder.weight, before)
    assert not torch.equal(models[0].net_.module_.encoder.weight, before)
    again = clone(models[0]).fit(X)
    np.testing.assert_array_equal(weights(again), first)
    further = pickle.loads(pickle.dumps(models[0])).set_params(warm_start=True).fit(X)
    assert further.n_epochs_ == 4


def test_folds_do_not_leak_into_each_other(X):
    """A network that all folds share has seen what it is scored on."""
    shared = nn.Linear(64, 4)
    start = shared.weight.detach().clone()
    model = make(DAETransformer, encoder=lambda d, k: shared, max_epochs=20)
    scores = cross_val_score(model, X, cv=3)
    assert torch.equal(shared.weight, start)
    np.testing.assert_array_equal(scores, cross_val_score(model, X, cv=3))


@pytest.mark.parametrize("frozen", [False, True])
def test_a_fitted_model_to_begin_from(Estimator, X, frozen):
    first = make(Estimator, averaging=False).fit(X)
    own = FrozenEstimator(first) if frozen else first
    before = weights(first)
    model = make(Estimator, encoder=own, decoder=own, learning_rate=1e-12, max_epochs=1)
    model = clone(model) if frozen else model
    np.testing.assert_allclose(model.fit(X).transform(X), first.transform(X), atol=1e-5)
    further = make(Estimator, encoder=own, decoder=own).fit(X)
    anew = make(Estimator, network=("mlp", {"shortcut": False})).fit(X)
    assert further.loss_curve_[0] < anew.loss_curve_[0]
    np.testing.assert_array_equal(weights(first), before)


def test_what_there_is_to_begin_from(X):
    dae = make(DAETransformer).fit(X)
    with pytest.raises(ValueError, match="has no discriminator_ to begin from"):
        make(DAAETransformer, discriminator=dae).fit(X)
    with pytest.raises(ValueError, match="FrozenEstimator"):
        clone(make(DAAETransformer, encoder=dae)).fit(X)  # a clone is not fitted


SCALINGS = {
    "standard": {"scaling": "standard"},
    "none": {"scaling": None},
    "range": {"input_range": (-3, 40)},
}


@pytest.fixture(scope="module", params=SCALINGS)
def scaled(request, X):
    options = SCALINGS[request.param]
    data = X * 16 if request.param == "range" else X
    return [
        (make(E, **options).fit(data), data)
        for E in (DAAETransformer, VAETransformer, DAETransformer)
    ]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_module_does_what_the_call_does(scaled, call, dtype):
    for model, X in scaled:
        given = model.transform(X) if call == "inverse_transform" else X.astype(dtype)
        expected = getattr(model, call)(given)
        module = model.as_module(call)
        out = module(torch.from_numpy(given.copy()))
        np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_module_takes_float64_as_the_call_does(X):
    """It had rounded the means to float32, which then says little of the rest."""
    X = 5e3 + X.astype(np.float64)
    model = make(DAETransformer, scaling="standard").fit(X)
    codes = model.as_module("transform")(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(codes, model.transform(X), rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize("call", CALLS)
def test_a_module_can_be_traced_and_exported(scaled, call):
    model, X = scaled[0]
    given = model.transform(X) if call == "inverse_transform" else X
    x, expected = torch.from_numpy(given.copy()), getattr(model, call)(given)
    module = model.as_module(call).eval()
    traced = torch.jit.trace(module, x[:5])
    exported = torch.export.export(module, (x[:5],)).module()
    for found, wanted in ((traced(x), expected), (exported(x[:5]), expected[:5])):
        np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_a_module_trains_in_a_classifier(X, y):
    """Its own copy, and whole: gradients reach the encoder through the scaling."""
    model = DAAETransformer(**SMALL).fit(X)
    before, encode = weights(model), model.as_module("transform")
    start = encode.encoder.layers[0].weight.detach().clone()
    net = NeuralNetClassifier(
        nn.Sequential(encode, nn.Linear(4, 10)),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        max_epochs=60,
        lr=0.01,
        train_split=None,
        verbose=0,
    )
    assert net.fit(X.copy(), y.astype(np.int64)).score(X.copy(), y) > 0.9
    assert not torch.equal(encode.encoder.layers[0].weight, start)
    np.testing.assert_array_equal(weights(model), before)


def test_modules_of_other_calls(X):
    model = make(DAETransformer).fit(X)
    with pytest.raises(ValueError, match="call='encode' must be one of transform"):
        model.as_module("encode")
    assert model.as_module("transform").decoder is None
    assert model.as_module("inverse_transform").encoder is None
