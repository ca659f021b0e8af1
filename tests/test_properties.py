"""What holds of any parameters and any data, tried on examples that hypothesis draws.

They are the same few at every run. HYPOTHESIS_PROFILE=long tries many others.
"""

import os
import random
import tempfile
from copy import deepcopy
from functools import cache

import hypothesis
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp
from sklearn.base import clone

from sklearn_daae import DAETransformer
from sklearn_daae._engine.trainer import DivergenceError
from sklearn_daae.metrics import (
    parzen_log_likelihood,
    prior_distance,
    reconstruction_error,
    select_bandwidth,
)

from .conftest import ESTIMATORS, GAUSSIAN, VARIATIONAL, make, weights

pd, pl = (pytest.importorskip(name) for name in ("pandas", "polars"))

pytestmark = [
    pytest.mark.filterwarnings("error::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:n_components=.* is more than:UserWarning"),
]

shared = {
    "deadline": None,
    "database": None,
    "phases": [phase for phase in Phase if phase is not Phase.explain],
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
}
settings.register_profile("quick", derandomize=True, max_examples=15, **shared)
settings.register_profile("long", max_examples=2000, print_blob=True, **shared)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

TINY = {
    "n_components": 2,
    "encoder_layer_sizes": (4,),
    "decoder_layer_sizes": (4,),
    "discriminator_layer_sizes": (4,),
    "max_epochs": 1,
}
# Of those that each estimator has, valid values beside any others, and any data.
PARAMETERS = {
    "n_components": st.integers(1, 4),
    "encoder_layer_sizes": st.sampled_from([3, (), [4, 2], np.array([2])]),
    "network": st.sampled_from(
        [
            ("mlp", {"shortcut": False}),
            ("mlp", {"activation": "gelu", "dropout": 0.3}),
            ("mlp", {"activation": "tanh", "batch_norm": True}),
        ]
    ),
    "scaling": st.sampled_from(["standard", None]),
    "reconstruction_loss": st.sampled_from(["mse", "mae", "huber"]),
    "optimizer": st.sampled_from(["adam", "rmsprop", ("adam", {"amsgrad": True})]),
    "discriminator_optimizer": st.sampled_from(["adam", ("rmsprop", {"alpha": 0.9})]),
    "learning_rate": st.floats(1e-8, 1e-2),
    "discriminator_learning_rate": st.floats(1e-8, 1e-2),
    "learning_rate_decay": st.floats(0.1, 1),
    "averaging": st.booleans(),
    "batch_size": st.integers(2, 20),
    "early_stopping": st.booleans(),
    "validation_fraction": st.floats(0.01, 0.5),
    "missing_values": st.just("mask"),
    "prior": st.sampled_from(["normal", "uniform", ("ring", {"n_modes": 3})]),
    "adversarial_loss": st.sampled_from(["non_saturating", "minimax"]),
    "adversarial_weight": st.floats(0, 10),
    "update": st.sampled_from(["joint", "separate"]),
    "corruption": st.sampled_from(
        ["gaussian", ("gaussian", {"clip": True}), "masking", "salt_and_pepper", "swap"]
    ),
    "corruption_level": st.sampled_from(["mixed", "fixed"]),
    "sigma": st.floats(0, 1),
    "M": st.integers(1, 4),
    "beta": st.floats(0, 10),
    "cycle_loss": st.sampled_from(["explicit", "adversarial"]),
    "cycle_weight": st.floats(0, 10),
    "random_state": st.integers(0, 2**32 - 1),
}
VALUES = {
    "f2": st.floats(-100, 100, width=16),
    "f4": st.floats(-100, 100, width=32, allow_subnormal=False),
    "f8": st.floats(-100, 100),
    "i1": st.integers(-100, 100),
    "i4": st.integers(-1000, 1000),
    "i8": st.integers(-1000, 1000),
    "u1": st.integers(0, 255),
    "u2": st.integers(0, 2**16 - 1),
    "?": st.booleans(),
}
# Rows of X, n_samples x n_features.
SHAPES = st.tuples(st.integers(4, 12), st.integers(1, 6))
tables = st.sampled_from([*VALUES]).flatmap(
    lambda dtype: arrays(dtype, SHAPES, elements=VALUES[dtype])
)
# Timestamps, say, of which float32 knows no seconds.
tables |= st.builds(
    lambda X, offset, size: size * (X + offset),
    arrays("f8", SHAPES, elements=VALUES["f8"]),
    offset=st.sampled_from([0.0, 1e4, 1.7e9]),
    size=st.sampled_from([1e-12, 1.0, 1e12]),
)


@st.composite
def choices(draw):
    """Draw what `make` is given for an estimator."""
    Estimator = draw(st.sampled_from(ESTIMATORS))
    has = set(Estimator().get_params())
    if Estimator in VARIATIONAL:
        has.remove("prior")  # they have no choice
    valid = {name: values for name, values in PARAMETERS.items() if name in has}
    params = draw(st.fixed_dictionaries({}, optional=valid))
    if params.get("prior", "normal")[0] == "ring":
        params["n_components"] = 2
    if Estimator in GAUSSIAN:  # whose variances are exponentials
        params["scaling"] = "standard"
    return {"Estimator": Estimator, **TINY, **params}


def fit(choice, X):
    """Return a fitted model, where X needs no scaling that it is not to have."""
    try:
        return make(**choice).fit(X)
    except DivergenceError:
        hypothesis.assume(choice.get("scaling", "auto") is not None)
        raise


def generators():
    """Return the states of the global generators."""
    _, keys, *rest = np.random.get_state()
    return random.getstate(), keys.tolist(), rest, torch.get_rng_state().tolist()


def assert_close(found, expected, rounding=1e-5):
    """Compare with what they are on the whole, not with each alone."""
    assert found.dtype == expected.dtype == np.float32
    size = max(1, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=rounding * size)


NOTHING_LEFT = {"corruption": "masking", "corruption_level": "fixed", "sigma": 1.0}


@given(choice=choices(), X=tables)
@hypothesis.example({"Estimator": DAETransformer, **TINY, **NOTHING_LEFT}, np.eye(9))
@hypothesis.example({"Estimator": DAETransformer, **TINY}, 1e-144 * np.eye(9))
@hypothesis.example(
    {"Estimator": DAETransformer, **TINY, "scaling": None}, 1e-44 * np.eye(9)
)
def test_outputs_are_finite_and_as_documented(choice, X):
    before, states = X.copy(), generators()
    model = fit(choice, X)
    (n, d), k = X.shape, choice["n_components"]
    Z = model.transform(X)
    scores = model.score_samples(X)
    for found, shape in {
        "codes": (Z, (n, k)),
        "rows": (model.inverse_transform(Z), (n, d)),
        "corrupted": (model.corrupt(X, 0), (n, d)),
        "reconstructed": (model.reconstruct(X), (n, d)),
        "denoised": (model.reconstruct(X, corrupt=True, random_state=0), (n, d)),
        "samples": (model.sample(3, 0), (3, d)),
        "chains": (
            model.sample(2, 0, X=X, n_steps=1, return_chain=True),
            (2, 2 * n, d),
        ),
        "scores": (scores, (n,)),
        "errors": (reconstruction_error(model, X, random_state=0), ()),
    }.values():
        assert np.shape(found) == shape
        assert np.isfinite(found).all()
    assert Z.dtype == scores.dtype == np.float32
    assert model.score(X) == pytest.approx(scores.mean(dtype=float))
    if not isinstance(model, DAETransformer):
        assert 0 <= prior_distance(model, X, random_state=0) < np.inf
    np.testing.assert_array_equal(model.transform(X), Z)
    np.testing.assert_array_equal(model.sample(3, 0), model.sample(3, 0))
    np.testing.assert_array_equal(X, before)
    assert generators() == states


gaps = arrays("f8", SHAPES, elements=VALUES["f8"] | st.just(np.nan))


@given(choice=choices(), X=gaps, dtype=st.sampled_from(["f2", "f4", "f8"]))
def test_outputs_are_finite_where_values_are_missing(choice, X, dtype):
    model = fit({**choice, "missing_values": "mask"}, X.astype(dtype))
    Z = model.transform(X)
    for found in (Z, model.inverse_transform(Z), model.reconstruct(X), model.sample(3)):
        assert np.isfinite(found).all()
    assert np.isfinite(model.score(X))


@given(choice=choices(), X=tables, part=st.floats(0, 1), seed=st.integers(0, 9))
def test_a_row_has_its_code_wherever_it_stands(choice, X, part, seed):
    model = fit(choice, X)
    Z = model.transform(X)
    order = np.random.default_rng(seed).permutation(len(X))
    assert_close(model.transform(X[order]), Z[order])
    first = 1 + int(part * (len(X) - 2))
    apart = [model.transform(rows) for rows in np.split(X, [first])]
    assert_close(np.vstack(apart), Z)


@given(choice=choices(), X=tables)
def test_a_clone_comes_to_the_same_weights(choice, X):
    model = fit(choice, X)
    other = clone(model).fit(X)
    np.testing.assert_array_equal(weights(model), weights(other))
    steps = clone(model).set_params(early_stopping=False)
    again = clone(steps).fit(X)
    np.testing.assert_array_equal(weights(steps.partial_fit(X)), weights(again))


def mapped(X):
    with tempfile.TemporaryFile() as file:
        of_file = np.memmap(file, X.dtype, "w+", shape=X.shape)
    of_file[:] = X
    return of_file


def read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


SAME_TYPE = {
    "fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": read_only,
    "memmap": mapped,
    "pandas": pd.DataFrame,
}
DOUBLES = {
    "list": np.ndarray.tolist,
    "objects": lambda X: X.astype(object),
    "big-endian": lambda X: X.astype(">f8"),
    "polars": lambda X: pl.DataFrame(X.astype(float)),
    "nullable": lambda X: pd.DataFrame(X.astype(float)).convert_dtypes(),
    "tensor": lambda X: torch.from_numpy(X.astype(float)),
}


@given(choice=choices(), X=tables, container=st.sampled_from([*SAME_TYPE, *DOUBLES]))
def test_the_container_of_X_changes_nothing(choice, X, container):
    if container in SAME_TYPE:
        held = SAME_TYPE[container](X)
    else:
        held, X = DOUBLES[container](X), X.astype(float)
    model, other = fit(choice, held), fit(choice, X)
    np.testing.assert_array_equal(weights(model), weights(other))
    np.testing.assert_array_equal(model.transform(held), other.transform(X))


@given(choice=choices(), X=tables)
def test_sparse_rows_are_those_of_X(choice, X):
    X = X.astype(np.float32) if X.dtype == np.float16 else X  # which SciPy lacks
    model = fit(choice, X)
    assert_close(model.transform(sp.csr_array(X)), model.transform(X))


WORDS = ["auto", "mask", "joint", "swap", "ring", "conv", "mlp", "adam", "cpu", "meta"]
OPTIONS = ["betas", "alpha", "clip", "low", "scale", "dropout", "activation", "n_modes"]
scalars = st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text()
scalars |= st.sampled_from(WORDS) | st.floats(width=32).map(np.float32)
junk = st.one_of(
    scalars,
    st.lists(scalars, max_size=4),
    st.tuples(scalars, scalars),
    st.tuples(
        st.sampled_from(WORDS), st.dictionaries(st.sampled_from(OPTIONS), scalars)
    ),
    arrays(float, st.integers(0, 6)),
    st.sampled_from([object(), int, print, DAETransformer(), torch.nn.Identity()]),
)


@cache
def trained(Estimator):
    X = np.random.default_rng(0).random((9, 5))
    return X, make(Estimator, **TINY).fit(X)


@given(data=st.data(), value=junk, method=st.sampled_from(["fit", "partial_fit"]))
def test_no_value_of_a_parameter_leaves_a_model_broken(data, value, method):
    Estimator = data.draw(st.sampled_from(ESTIMATORS))
    X, fitted = trained(Estimator)
    name = data.draw(st.sampled_from([*fitted.get_params()]))
    model, states = deepcopy(fitted), generators()
    model.set_params(**{name: value})
    try:
        getattr(model, method)(X)
    except (TypeError, ValueError) as error:
        if method == "partial_fit" and isinstance(error, DivergenceError):
            return
        model.set_params(**{name: getattr(fitted, name)})
        np.testing.assert_array_equal(weights(model), weights(fitted))
        np.testing.assert_array_equal(model.transform(X), fitted.transform(X))
    else:
        assert np.isfinite(model.transform(X)).all()
    assert generators() == states


@given(
    both=st.tuples(st.integers(1, 9), st.integers(1, 4)).flatmap(
        lambda shape: st.tuples(*[arrays(float, shape, elements=st.floats(-2, 2))] * 2)
    ),
    offset=st.sampled_from([0, 1, 1e6, -1e8]),
    size=st.sampled_from([1e-300, 1e-9, 1, 1e6, 1e300]),
    ratio=st.sampled_from([1e-6, 0.1, 1, 10, 1e9]),
    data=st.data(),
)
def test_parzen_is_right(both, offset, size, ratio, data):
    X, samples = (size * (offset + values) for values in both)
    if data.draw(st.booleans()):
        X[0] = samples[-1]
    h = size / ratio
    differences = (X[:, None] - samples) / h
    exact = logsumexp(-np.square(differences).sum(2) / 2, axis=1) - np.log(len(X))
    exact -= X.shape[1] * (np.log(2 * np.pi) / 2 + np.log(h))
    found = parzen_log_likelihood(X, samples, bandwidth=h)
    np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-6)
    assert select_bandwidth(samples, X, bandwidths=[h, h]) == h
