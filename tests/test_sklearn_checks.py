"""scikit-learn's own checks, all of them; two cannot hold where batches are drawn."""

import pytest
import scipy.stats
import torch
from sklearn.base import clone
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from .conftest import ESTIMATORS, VARIATIONAL, expected_failures, make

# The checks mix data frames and arrays on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:X does not have valid feature names"),
    pytest.mark.filterwarnings("ignore:X has feature names, but"),
]


class Fading:
    """A corruption of a user's own, with the stable name that test ids need."""

    def __call__(self, x, sigma, generator):
        return x * (1 - sigma * torch.rand(x.shape, generator=generator))

    def __repr__(self):
        return "Fading()"


class Laplace:
    """A prior of a user's own."""

    def rvs(self, size, random_state):
        return scipy.stats.laplace.rvs(size=size, random_state=random_state)

    def __repr__(self):
        return "Laplace()"


def fixed(Estimator):
    """Return what cannot be chosen: the prior of the variational models."""
    return {"prior": "normal"} if Estimator in VARIATIONAL else {}


SETTINGS = [
    {},
    {"early_stopping": True, "validation_fraction": 0.3},
    {
        "early_stopping": True,
        "validation": "last",
        "validation_fraction": 0.3,
        "missing_values": "mask",
        "reconstruction_loss": [("huber", slice(0, 1))],
    },
    {
        "optimizer": ("rmsprop", {"momentum": 0.1}),
        "adversarial_loss": "minimax",
        "prior": "uniform",
        "corruption": "masking",
    },
    {
        "precision": "bfloat16",
        "reconstruction_loss": "mse",
        "prior": ("ring", {"n_modes": 3}),
        "corruption": "salt_and_pepper",
        "beta": 4,
    },
    {"prior": Laplace(), "corruption": Fading(), "beta": 0},
]
INSTANCES = [
    make(Estimator, n_components=2, **{**settings, **fixed(Estimator)})
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


@parametrize_with_checks(INSTANCES, expected_failed_checks=expected_failures)
def test_sklearn_compatible_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", FURTHER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("estimator", INSTANCES, ids=str)
def test_further_checks(estimator, check):
    check(type(estimator).__name__, clone(estimator))
