"""Models that are trained as one come to what each would come to alone."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.decomposition import PCA
from skorch.callbacks import Callback

from sklearn_daae import (
    ALICETransformer,
    DAAETransformer,
    DAETransformer,
    VAETransformer,
)
from sklearn_daae._engine.stacks import Stack
from sklearn_daae.model_selection import fit_together

from .conftest import ADVERSARIAL, GAUSSIAN, make, needs_cuda, weights

# Fewer than 20 steps, of batches in which rounding seldom changes an order.
SHORT = {"batch_size": 16, "max_epochs": 2}
KINDS = {
    "gaussian": {},
    "masking": {"corruption": "masking"},
    "salt_and_pepper": {"corruption": "salt_and_pepper"},
}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def assert_same(model, alone, X):
    """Compare all that a user can see of two fitted models, but for rounding."""
    tol = {"rtol": 2e-6, "atol": 2e-6}
    assert_allclose(weights(model), weights(alone), **tol)
    assert_allclose(model.transform(X), alone.transform(X), **tol)
    assert_allclose(
        model.sample(5, random_state=0), alone.sample(5, random_state=0), **tol
    )
    assert vars(model).keys() == vars(alone).keys()
    assert len(model.history_) == len(alone.history_)
    for ours, theirs in zip(model.history_, alone.history_, strict=True):
        assert ours.keys() == theirs.keys()
        assert_allclose(list(ours.values()), list(theirs.values()), rtol=1e-4)
    assert_allclose(_kept_by_optimizers(model), _kept_by_optimizers(alone), **tol)


def _kept_by_optimizers(model):
    optimizers = model.net_.optimizer_.optimizers.values()
    kept = [s for o in optimizers for state in o.state.values() for s in state.values()]
    return torch.cat([tensor.detach().cpu().ravel() for tensor in kept])


def three(Estimator, **params):
    """Return three models that differ in seeds, and in the level if they have one."""
    models = [make(Estimator, **SHORT, **params) for _ in range(3)]
    for i, model in enumerate(models):
        model.set_params(random_state=i)
        if hasattr(model, "sigma"):
            model.set_params(sigma=0.1 + 0.2 * i)
        for name in ("beta", "cycle_weight"):
            if hasattr(model, name):
                model.set_params(**{name: 1.0 + i})
    return models


DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("published", [False, True], ids=["defaults", "published"])
def test_three_are_as_if_alone(
    Estimator, X, stacked, kind, precision, published, device
):
    if kind != "gaussian" and not hasattr(Estimator(), "corruption"):
        pytest.skip("has no corruption")
    params = {**KINDS[kind], "precision": precision, "device": device}
    models = three(Estimator, published=published, **params)
    rows = [np.arange(140), np.arange(3, 120), np.arange(100, 240)]
    alone = [clone(m).fit(X[r]) for m, r in zip(models, rows, strict=True)]
    assert fit_together(models, X, rows) is not None
    # The second has 8 batches an epoch, the last of which is smaller, not 9.
    assert set(stacked) == {1, 2, 3}
    for model, other, own in zip(models, alone, rows, strict=True):
        if precision == "float32":
            assert_same(model, other, X)
            continue
        # Rounding to 8 bits makes more of the last bit of a sum, at times: that is to
        # be a small part of what training has moved.
        start = clone(model).set_params(learning_rate=1e-12).fit(X[own])
        moved = np.linalg.norm(weights(other) - weights(start))
        assert np.linalg.norm(weights(model) - weights(other)) < 0.02 * moved


@pytest.mark.parametrize("Estimator", [*ADVERSARIAL, *GAUSSIAN])
def test_order_and_company_do_not_matter(Estimator, X):
    one, two, other = three(Estimator)
    fit_together([one, two, other], X[:100])
    again = [clone(m) for m in (other, one)]
    fit_together(again, X[:100])
    assert_same(again[0], other, X)
    assert_same(again[1], one, X)


def test_what_may_differ(X, stacked):
    """All but what changes shapes, also where it changes while they train."""
    params = {**SHORT, "max_epochs": 3}
    models = [
        make(DAAETransformer, **params),
        make(DAAETransformer, **params, learning_rate=1e-3, random_state=1),
        make(DAAETransformer, **params, adversarial_weight=0.1, random_state=2),
        make(DAAETransformer, **params, learning_rate_decay=0.5, random_state=3),
        make(DAAETransformer, **params, optimizer=("adam", {"betas": (0.9, 0.9)})),
        make(DAAETransformer, **params, discriminator_learning_rate=1e-4),
        make(DAAETransformer, **params, averaging=False, random_state=6),
        make(DAAETransformer, **{**params, "max_epochs": 1}),
        make(DAAETransformer, **params, early_stopping=True, random_state=5),
        make(DAAETransformer, **params, input_range=(0, 2)),
        make(DAAETransformer, **params, optimizer=("adam", {"weight_decay": 0.1})),
    ]
    alone = [clone(m).fit(X[:100]) for m in models]
    fit_together(models, X[:100])
    assert max(stacked) >= 8
    for model, other in zip(models, alone, strict=True):
        assert_same(model, other, X)


def test_a_network_more(X, stacked):
    """Of an ALICE whose cycle has a discriminator of its own."""
    models = three(ALICETransformer, cycle_loss="adversarial")
    alone = [clone(m).fit(X[:100]) for m in models]
    fit_together(models, X[:100])
    assert set(stacked) == {3}
    for model, other in zip(models, alone, strict=True):
        assert_same(model, other, X)


@pytest.mark.parametrize("optimizer", ["rmsprop", ("adam", {"amsgrad": True})])
def test_other_optimizers(X, stacked, optimizer):
    models = three(DAAETransformer, optimizer=optimizer, learning_rate_decay=0.9)
    alone = [clone(m).fit(X[:100]) for m in models]
    fit_together(models, X[:100])
    assert set(stacked) == {3}
    for model, other in zip(models, alone, strict=True):
        assert_same(model, other, X)


def test_early_stopping_ends_one_and_not_the_others(X, stacked):
    params = {"batch_size": 32, "early_stopping": True, "n_iter_no_change": 1}
    models = [
        make(DAETransformer, **params, max_epochs=12, tol=tol, random_state=i)
        for i, tol in enumerate((0.0, 10.0, 0.0))
    ]
    alone = [clone(m).fit(X[:100]) for m in models]
    fit_together(models, X[:100])
    assert stacked[0] == 3
    assert stacked[-1] == 2
    assert models[1].n_epochs_ == alone[1].n_epochs_ < 12
    for model, other in zip(models, alone, strict=True):
        assert_same(model, other, X)


def test_it_goes_on_by_itself_afterwards(X):
    """In memory of its own, as a pickle tells by its size, and by partial_fit."""
    models = three(DAAETransformer)
    alone = clone(models[1]).fit(X[:100])
    fit_together(models, X[:100])
    before = weights(models[0])
    assert len(pickle.dumps(models[1])) < 1.05 * len(pickle.dumps(alone))
    for model in (models[1], alone):
        model.partial_fit(X[:100])
    assert_same(models[1], alone, X)
    assert_allclose(weights(models[0]), before, rtol=0)
    storages = {
        p.untyped_storage().nbytes() == p.numel() * 4
        for p in models[1].net_.module_.parameters()
    }
    assert storages == {True}


def test_warm_start_goes_on_together(X, stacked):
    models = three(DAAETransformer, warm_start=True)
    alone = [clone(m).fit(X[:100]).fit(X[:100]) for m in models]
    fit_together(fit_together(models, X[:100]), X[:100])
    assert set(stacked) == {3}
    for model, other in zip(models, alone, strict=True):
        assert model.n_epochs_ == other.n_epochs_
        assert_same(model, other, X)


class Watches(Callback):
    """Hears of every batch."""

    n_heard = 0

    def on_batch_end(self, net, **kwargs):
        Watches.n_heard += 1


def _shift(x, sigma, generator):
    return x + sigma


ALONE = {
    "callbacks": {"callbacks": [Watches()]},
    "dropout": {"network": ("mlp", {"dropout": 0.5})},
    "batch_norm": {"network": ("mlp", {"batch_norm": True})},
    "conv": {"network": ("conv", {"n_filters": 4}), "image_shape": (1, 16, 16)},
    "own network": {"encoder": torch.nn.Linear},
    "own corruption": {"corruption": _shift},
    "missing values": {"missing_values": "mask"},
}


@pytest.mark.parametrize("kind", ALONE)
def test_others_are_fitted_alone(X, stacked, kind):
    X = np.tile(X, 4) if kind == "conv" else X
    models = three(DAAETransformer, **ALONE[kind])
    alone = [clone(m).fit(X[:100]) for m in models]
    fit_together(models, X[:100])
    assert not stacked
    for model, other in zip(models, alone, strict=True):
        assert_same(model, other, X)


def test_groups_and_strangers(X, stacked):
    """Whatever can be fitted: those that cannot be stacked, and others' estimators."""
    models = [
        *three(DAAETransformer),
        *three(VAETransformer),
        *three(DAAETransformer, n_components=3),
        PCA(2),
    ]
    fit_together(models, X[:100])
    assert set(stacked) == {3}
    assert len(stacked) == 3 * 2 * 7
    assert [m.transform(X).shape[1] for m in models] == [4] * 6 + [3] * 3 + [2]


def test_more_than_fit_in_one_stack(X, stacked, monkeypatch):
    monkeypatch.setattr("sklearn_daae.model_selection.most_at_once", lambda net: 2)
    models = [make(DAETransformer, **SHORT, random_state=i) for i in range(5)]
    fit_together(models, X[:64])
    assert stacked == [2] * 16
    assert_same(models[4], clone(models[4]).fit(X[:64]), X)


@pytest.mark.parametrize("as_list", [False, True])
def test_arrays_of_each(X, as_list):
    models = three(DAETransformer)
    Xs = [X[:100], X[50:120], X[100:300]]
    fit_together(models, Xs if as_list else tuple(Xs))
    for model, own in zip(models, Xs, strict=True):
        assert_same(model, clone(model).fit(own), X)


def test_a_list_of_rows_is_one_array(X):
    (model,) = fit_together([make(DAETransformer, **SHORT)], X[:50].tolist())
    assert_same(model, clone(model).fit(X[:50]), X)


def test_frames_and_their_rows(X):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X).add_prefix("pixel")
    models = fit_together(
        three(DAETransformer), frame, [range(40), range(40), range(9, 60)]
    )
    assert_same(models[2], clone(models[2]).fit(frame[9:60]), frame)
    assert list(models[0].feature_names_in_) == list(frame)


def test_one_for_each(X):
    models = three(DAETransformer)
    with pytest.raises(ValueError, match=r"Xs has 2 entries, .* 3 estimators"):
        fit_together(models, [X, X])
    with pytest.raises(ValueError, match=r"rows has 2 entries, .* 3 estimators"):
        fit_together(models, X, [range(9), range(9)])


def test_rows_of_any_kind(X):
    models = three(DAETransformer)
    rows = np.arange(120).reshape(3, 40)
    fit_together(models, X, rows)
    assert_same(models[1], clone(models[1]).fit(X[40:80]), X)
    again = fit_together(three(DAETransformer), X, (own for own in rows))
    assert_same(again[1], models[1], X)


def test_one_model_twice(X):
    model = make(DAETransformer)
    with pytest.raises(ValueError, match=r"twice.*clone"):
        fit_together([model, clone(model), model], X)
    assert not hasattr(model, "net_")


def test_layers_that_are_frozen_or_heard_are_left_so(X, stacked):
    models = three(DAETransformer, warm_start=True)
    fit_together(models, X[:100])
    stacked.clear()
    _, frozen, watched = (model.net_.module_.encoder for model in models)
    frozen.requires_grad_(False)
    heard = []
    watched.register_forward_hook(lambda *args: heard.append(1))
    before = weights_of(frozen)
    fit_together(models, X[:100])
    assert not stacked
    assert torch.equal(weights_of(frozen), before)
    assert heard


def weights_of(module):
    return torch.cat([p.detach().ravel().clone() for p in module.parameters()])


def test_no_estimators(X):
    assert fit_together([], X) == []


FAILURES = {
    "diverges": ({"learning_rate": 1e30}, "diverged in epoch 1"),
    "bad parameter": ({"sigma": -1.0}, "sigma"),
    "bad choice": ({"prior": "cauchy"}, "prior"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_who_fails_fails_alone(X, kind):
    params, message = FAILURES[kind]
    models = three(DAAETransformer)
    alone = [clone(m).fit(X[:100]) for m in models]
    models[1].set_params(**params)
    with pytest.raises(ValueError, match=message) as caught:
        fit_together(models, X[:100])
    assert any("estimators[1]" in note for note in caught.value.__notes__)
    assert not hasattr(models[1], "net_")
    for i in (0, 2):
        assert_same(models[i], alone[i], X)


def test_who_fails_keeps_an_earlier_fit(X):
    models = three(DAAETransformer)
    fit_together(models, X[:100])
    before = models[1].transform(X)
    models[1].set_params(learning_rate=1e30)
    with pytest.raises(ValueError, match="diverged"):
        fit_together(models, X[:100])
    assert_allclose(models[1].transform(X), before, rtol=0)


def test_an_interrupt_ends_all(X, monkeypatch):
    models = three(DAETransformer)
    fit_together(models, X[:100])
    before = [weights(model) for model in models]
    step = Stack.step
    taken = []

    def interrupted(self, start, x):
        taken.append(1)
        if len(taken) == 10:  # within the second epoch
            raise KeyboardInterrupt
        return step(self, start, x)

    monkeypatch.setattr(Stack, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_together(models, X[:100])
    assert len(taken) == 10
    for model, weight in zip(models, before, strict=True):
        assert_allclose(weights(model), weight, rtol=0)
        model.partial_fit(X[:100])


def test_generators_of_others_stay_as_they_are(X):
    states = np.random.get_state()[1].copy(), torch.get_rng_state()
    fit_together(three(DAAETransformer), X[:100])
    assert_allclose(np.random.get_state()[1], states[0])
    assert torch.equal(torch.get_rng_state(), states[1])


def test_the_ways_of_computing_agree_in_stacks(X):
    """What is trained alone on a CPU of large networks, and together of small ones."""
    sizes = {"encoder_layer_sizes": (800, 600), "decoder_layer_sizes": (600, 800)}
    models = three(DAETransformer, **sizes)
    counts = []
    fit_together(models, X[:64])
    assert not counts
    build = partial(make, DAETransformer, **SHORT, **sizes)
    assert_same(models[0], build(random_state=0, sigma=0.1).fit(X[:64]), X)
