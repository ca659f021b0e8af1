"""The running average of the weights that predict."""

import pickle

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sklearn_daae import DAAETransformer, DAETransformer

from .conftest import make, weights


class Steps(Callback):
    """Keeps the weights after every step."""

    def __init__(self):
        self.weights = []

    def on_batch_end(self, net, **kwargs):
        self.weights.append(flat(net.module_))


def flat(module):
    return torch.cat([p.detach().ravel() for p in module.parameters()]).numpy().copy()


def test_it_is_the_polynomial_average(Estimator, X):
    """Weights count in proportion to a power of the step, at every eighth of them."""
    steps = Steps()
    settings = {"max_epochs": 3, "batch_size": 10, "callbacks": [steps]}
    model = make(Estimator, **settings).fit(X)
    assert len(steps.weights) == 90
    times = sorted(
        {0, *range(8, 31, 8), 30, *range(38, 61, 8), 60, *range(68, 91, 8), 90}
    )
    shares = np.diff((np.array(times) / 90) ** 17)
    expected = sum(
        share * steps.weights[t - 1].astype(float)
        for share, t in zip(shares, times[1:], strict=True)
    )
    np.testing.assert_allclose(flat(model.net_.model_), expected, atol=1e-5)
    assert abs(flat(model.net_.model_) - weights(model)).max() > 1e-3


def test_training_knows_nothing_of_it(Estimator, X):
    averaged = make(Estimator, max_epochs=3).fit(X)
    plain = make(Estimator, max_epochs=3, averaging=False).fit(X)
    np.testing.assert_array_equal(weights(averaged), weights(plain))
    assert averaged.history_ == plain.history_
    np.testing.assert_array_equal(flat(plain.net_.model_), weights(plain))
    assert abs(averaged.transform(X) - plain.transform(X)).max() > 0


def test_calls_of_partial_fit_average_as_one_fit(Estimator, X):
    whole = make(Estimator, max_epochs=4).fit(X)
    steps = make(Estimator)
    for i in range(4):
        steps = pickle.loads(pickle.dumps(steps.partial_fit(X))) if i == 1 else steps
        steps = steps if i == 1 else steps.partial_fit(X)
    np.testing.assert_array_equal(whole.transform(X), steps.transform(X))
    # Which remembers codes of earlier calls.
    if not issubclass(Estimator, DAETransformer):
        np.testing.assert_array_equal(whole.sample(5, 0), steps.sample(5, 0))


def test_a_failed_call_leaves_it(X):
    model = make(DAAETransformer).fit(X)
    before = flat(model.net_.model_)

    class Breaks(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        model.set_params(callbacks=[Breaks()], warm_start=True).fit(X)
    np.testing.assert_array_equal(flat(model.net_.model_), before)


def test_a_trimmed_model_holds_nothing_else(X):
    model = make(DAAETransformer, max_epochs=5).fit(X)
    Z = model.transform(X)
    model.net_.trim_for_prediction()
    np.testing.assert_array_equal(model.transform(X), Z)
    np.testing.assert_array_equal(flat(model.net_.module_), flat(model.net_.model_))
    assert model.net_.average_ is None


def test_it_can_begin_and_end_later(X):
    model = make(DAAETransformer, averaging=False).fit(X)
    model.set_params(averaging=True).partial_fit(X).partial_fit(X)
    assert abs(flat(model.net_.model_) - weights(model)).max() > 0
    model.set_params(averaging=False).partial_fit(X)
    np.testing.assert_array_equal(flat(model.net_.model_), weights(model))


def test_statistics_of_batches_are_averaged_too(X):
    def encoder(d, k):
        return torch.nn.Sequential(torch.nn.Linear(d, k), torch.nn.BatchNorm1d(k))

    model = make(DAAETransformer, encoder=encoder, max_epochs=10).fit(X)
    norms = model.encoder_[1], model.net_.module_.encoder[1]
    assert norms[0].num_batches_tracked == norms[1].num_batches_tracked == 50
    torch.testing.assert_close(
        norms[0].running_var, norms[1].running_var, rtol=0.3, atol=0.1
    )
    assert not norms[0].training
