"""Missing values are estimated as scikit-learn's imputers do it, and better."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_daae import DAAETransformer, DAETransformer, VAETransformer
from sklearn_daae.impute import AutoencoderImputer

from .conftest import SHORT_TRAINING, make

pytestmark = pytest.mark.filterwarnings(SHORT_TRAINING)
SMALL_ONE = make(DAETransformer, n_components=2)
INSTANCES = [
    AutoencoderImputer(SMALL_ONE),
    AutoencoderImputer(make(VAETransformer, n_components=2), random_state=0),
    AutoencoderImputer(SMALL_ONE, add_indicator=True, keep_empty_features=True),
]


@parametrize_with_checks(INSTANCES)
def test_sklearn_compatible_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_param_validation,
        estimator_checks.check_set_output_transform_pandas,
        estimator_checks.check_transformer_get_feature_names_out,
        estimator_checks.check_dataframe_column_names_consistency,
    ],
    ids=lambda check: check.__name__,
)
def test_further_checks(check):
    check("AutoencoderImputer", clone(INSTANCES[0]))


@pytest.fixture
def damaged(X):
    damaged = X[:, 2:20].astype(np.float64)
    damaged[np.random.default_rng(0).random(damaged.shape) < 0.2] = np.nan
    damaged[:, 3] = np.nan  # of which nothing is known
    damaged[:, 5] = X[:, 7]  # and all
    return damaged


def test_what_is_there_stays(damaged):
    imputer = AutoencoderImputer(SMALL_ONE).fit(damaged)
    filled = imputer.transform(damaged)
    known = np.delete(damaged, 3, axis=1)
    assert filled.dtype == np.float64
    there = ~np.isnan(known)
    np.testing.assert_array_equal(filled[there], known[there])
    assert np.isfinite(filled).all()
    expected = imputer.estimator_.reconstruct(known)
    np.testing.assert_allclose(filled[~there], expected[~there], rtol=1e-5)


@pytest.mark.parametrize("keep_empty_features", [False, True])
@pytest.mark.parametrize("add_indicator", [False, True])
def test_columns_are_those_of_sklearn(damaged, keep_empty_features, add_indicator):
    """Which are there, in which order, and what they are called."""
    options = {
        "keep_empty_features": keep_empty_features,
        "add_indicator": add_indicator,
    }
    frame = pd.DataFrame(damaged, columns=[f"c{i}" for i in range(damaged.shape[1])])
    found = AutoencoderImputer(SMALL_ONE, **options).set_output(transform="pandas")
    found = found.fit_transform(frame)
    expected = SimpleImputer(**options).set_output(transform="pandas")
    expected = expected.fit_transform(frame)
    assert list(found.columns) == list(expected.columns)
    there = frame.notna()["c0"]
    pd.testing.assert_series_equal(found["c0"][there], expected["c0"][there])
    if keep_empty_features:
        assert (found["c3"] == 0).all()
    if add_indicator:
        indicators = [name for name in found if name.startswith("missing")]
        pd.testing.assert_frame_equal(found[indicators], expected[indicators])


@pytest.mark.parametrize("value", [-1, 0.5])
def test_another_value_stands_for_missing_ones(damaged, value):
    with_nan = AutoencoderImputer(SMALL_ONE, add_indicator=True)
    with_value = clone(with_nan).set_params(missing_values=value)
    # Which does not occur as such.
    damaged = np.where(damaged == value, 0.51, damaged)
    found = with_value.fit_transform(np.where(np.isnan(damaged), value, damaged))
    np.testing.assert_array_equal(found, with_nan.fit_transform(damaged))


def test_rows_that_lack_what_training_rows_have(X):
    imputer = AutoencoderImputer(SMALL_ONE).fit(X)
    damaged = X.copy()
    damaged[::2, ::3] = np.nan
    filled = imputer.transform(damaged)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[1::2], X[1::2])
    np.testing.assert_array_equal(imputer.transform(X), X)


@pytest.mark.parametrize("load", [load_digits, load_breast_cancer, load_wine])
def test_it_is_better_than_the_means(load):
    X = load().data
    missing = np.random.default_rng(0).random(X.shape) < 0.3
    damaged = np.where(missing, np.nan, X)
    scale = X.std(axis=0) + (X.std(axis=0) == 0)

    def error(imputer):
        filled = imputer.set_params(keep_empty_features=True).fit_transform(damaged)
        return np.square((filled - X) / scale)[missing].mean()

    assert error(AutoencoderImputer(random_state=0)) < 0.65 * error(SimpleImputer())


def test_in_a_pipeline(damaged, y):
    model = AutoencoderImputer(SMALL_ONE, random_state=0)
    model = make_pipeline(model, LogisticRegression(max_iter=1000))
    assert cross_val_score(model, damaged, y, cv=2).mean() > 0.3
    model.fit(damaged, y)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.predict(damaged), model.predict(damaged))


def test_the_seed(damaged):
    imputers = [
        AutoencoderImputer(make(DAAETransformer), random_state=s) for s in "001"
    ]
    imputers = [i.set_params(random_state=int(i.random_state)) for i in imputers]
    a, b, c = (i.fit_transform(damaged) for i in imputers)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_mistakes(X):
    with pytest.raises(ValueError, match="Every value of X is missing"):
        AutoencoderImputer().fit(np.full((5, 3), np.nan))
    with pytest.raises(ValueError, match="The 'estimator' parameter"):
        AutoencoderImputer(LogisticRegression()).fit(X)
    with pytest.raises(ValueError, match="infinity"):
        AutoencoderImputer(SMALL_ONE).fit(np.where(X > 0.9, np.inf, X))
