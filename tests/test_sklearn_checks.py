"""scikit-learn's own checks, all of them: no expected failure, none skipped by us."""

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from .conftest import ESTIMATORS, make

# The checks mix data frames and arrays on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:X does not have valid feature names"),
    pytest.mark.filterwarnings("ignore:X has feature names, but"),
]

SETTINGS = [
    {},
    {"early_stopping": True, "validation_fraction": 0.3},
    {"optimizer": ("rmsprop", {"momentum": 0.1}), "adversarial_loss": "minimax"},
    {"precision": "bfloat16", "reconstruction_loss": "mse"},
]
INSTANCES = [
    make(Estimator, n_components=2, **settings)
    for Estimator in ESTIMATORS
    for settings in SETTINGS
]
# Not among those that `parametrize_with_checks` gives.
FURTHER_CHECKS = [
    estimator_checks.check_param_validation,
    estimator_checks.check_set_output_transform,
    estimator_checks.check_set_output_transform_pandas,
    estimator_checks.check_set_output_transform_polars,
    estimator_checks.check_global_set_output_transform_polars,
    estimator_checks.check_global_output_transform_pandas,
    estimator_checks.check_transformer_get_feature_names_out,
    estimator_checks.check_transformer_get_feature_names_out_pandas,
    estimator_checks.check_dataframe_column_names_consistency,
]


@parametrize_with_checks(INSTANCES)
def test_sklearn_compatible_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", FURTHER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_further_checks(Estimator, check):
    check(Estimator.__name__, make(Estimator))
