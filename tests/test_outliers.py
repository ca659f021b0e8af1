"""Outliers as scikit-learn has them."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_daae import DAAETransformer, DAETransformer, VAETransformer
from sklearn_daae.outliers import AutoencoderOutlierDetector

from .conftest import make

SMALL_ONE = make(DAAETransformer, n_components=2)


@parametrize_with_checks(
    [
        AutoencoderOutlierDetector(SMALL_ONE),
        AutoencoderOutlierDetector(make(DAETransformer), contamination=0.3),
        AutoencoderOutlierDetector(
            make_pipeline(MinMaxScaler(), make(VAETransformer, n_components=2))
        ),
    ]
)
def test_sklearn_compatible_estimator(estimator, check):
    if "check_methods_subset_invariance" in str(check):
        pytest.skip("asks float64's digits of float32 networks: see the next test")
    check(estimator)


def test_rows_are_scored_alone_as_with_others():
    """To the rounding of float32 networks, which differs between sizes of batches."""
    X = load_digits().data[:100]
    detector = AutoencoderOutlierDetector(SMALL_ONE).fit(X)
    alone = [detector.score_samples(x[None])[0] for x in X]
    np.testing.assert_allclose(detector.score_samples(X), alone, rtol=1e-4)


@pytest.fixture(scope="module")
def tumours():
    """Return benign ones to learn from, some to score, and whether these are not."""
    X, y = load_breast_cancer(return_X_y=True)
    benign = X[y == 1]
    scored = np.r_[benign[200:], X[y == 0]]
    return benign[:200], scored, np.arange(len(scored)) >= len(benign) - 200


def test_tumours_are_told_from_the_rest(tumours):
    X, scored, is_outlier = tumours
    model = DAETransformer(5, max_epochs=30)
    detector = AutoencoderOutlierDetector(model, random_state=0).fit(X)
    assert roc_auc_score(is_outlier, -detector.score_samples(scored)) > 0.93
    assert (detector.predict(X) == -1).mean() == pytest.approx(0.1, abs=0.01)
    assert (detector.predict(scored)[is_outlier] == -1).mean() > 0.9
    decision = detector.decision_function(scored)
    np.testing.assert_array_equal(detector.predict(scored), np.sign(decision))
    again = clone(detector).fit(X)
    np.testing.assert_array_equal(again.decision_function(scored), decision)
    copy = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(copy.decision_function(scored), decision)


def test_more_than_the_reconstruction_error(tumours):
    """It is what residuals and codes are like, not only how large errors are."""
    X, scored, is_outlier = tumours
    model = DAETransformer(5, max_epochs=30)
    detector = AutoencoderOutlierDetector(model, random_state=0).fit(X)
    error = -detector.estimator_.score_samples(scored)
    area = roc_auc_score(is_outlier, -detector.score_samples(scored))
    assert area > roc_auc_score(is_outlier, error) + 0.01


def test_scoring_by_the_area_under_the_curve():
    """Labels of 1 and -1, as `roc_auc` takes them of any outlier detector."""
    X, y = load_digits(return_X_y=True)
    X = X[y <= 4]
    strange = np.random.default_rng(0).permuted(X[:30], axis=1)  # pixels in disorder
    X, y = np.r_[X, strange], np.r_[np.ones(len(X)), -np.ones(30)]
    detector = AutoencoderOutlierDetector(DAETransformer(8, max_epochs=10))
    scores = cross_val_score(detector, X, y, cv=StratifiedKFold(3), scoring="roc_auc")
    assert scores.min() > 0.9


def test_data_frames(tumours):
    pd = pytest.importorskip("pandas")
    X, scored, _ = tumours
    names = [f"feature {i}" for i in range(X.shape[1])]
    detector = AutoencoderOutlierDetector(SMALL_ONE).fit(pd.DataFrame(X, columns=names))
    assert list(detector.feature_names_in_) == names
    with pytest.warns(UserWarning, match="AutoencoderOutlierDetector was fitted with"):
        detector.predict(scored)


def test_mistakes(X):
    with pytest.raises(ValueError, match="'contamination' parameter of Autoencoder"):
        AutoencoderOutlierDetector(SMALL_ONE, contamination=0.7).fit(X)
    with pytest.raises(TypeError, match="must be a fitted autoencoder"):
        AutoencoderOutlierDetector(make_pipeline(MinMaxScaler(), MinMaxScaler())).fit(X)
    with pytest.raises(ValueError, match="n_components"):
        AutoencoderOutlierDetector(DAETransformer(-1)).fit(X)
