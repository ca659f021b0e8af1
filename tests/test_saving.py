"""Models in files: skops, which holds plain data alone, and pickles."""

import pickle

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn
from torch.nn.utils import prune

from sklearn_daae import DAAETransformer
from sklearn_daae.impute import AutoencoderImputer
from sklearn_daae.outliers import AutoencoderOutlierDetector

from .conftest import SMALL, assert_goes_on_as, make, weights


def by_skops(model, path):
    """Return what a file of skops loads, all of whose types are known and ours."""
    skops = pytest.importorskip("skops.io")
    skops.dump(model, path)
    types = skops.get_untrusted_types(file=path)
    assert {t.partition(".")[0] for t in types} <= {"sklearn_daae", "skorch"}
    return skops.load(path, trusted=types)


def test_a_pipeline_in_a_file_of_skops(Estimator, X, tmp_path):
    """It ended in a RuntimeError of torch."""
    y = X[:, 20] > 0.3
    pipeline = make_pipeline(StandardScaler(), make(Estimator), SVC()).fit(X, y)
    loaded = by_skops(pipeline, tmp_path / "model.skops")
    np.testing.assert_array_equal(loaded.predict(X), pipeline.predict(X))
    assert_goes_on_as(loaded[1], pipeline[1], pipeline[0].transform(X))


@pytest.mark.parametrize(
    "parameters",
    [
        {"network": ("mlp", {"batch_norm": True, "dropout": 0.1})},
        {"network": "conv", "image_shape": (1, 16, 16)},
        {"network": ("mlp", {"shortcut": False}), "encoder_layer_sizes": (9, 5)},
        {"encoder_layer_sizes": (), "missing_values": "mask"},
        {"reconstruction_loss": [("bce", slice(0, 10))]},
        {"optimizer": "rmsprop", "averaging": False, "prior": "ring"},
        {"scaling": "range", "input_range": (0, 2), "corruption": "masking"},
    ],
    ids=str,
)
def test_what_networks_are_made_by_is_kept(X, parameters, tmp_path):
    settings = {"encoder_layer_sizes": (16,), "decoder_layer_sizes": (16,)}
    settings |= {"n_components": 2, "max_epochs": 1, "random_state": 0, **parameters}
    X = np.tile(X, 4) if "image_shape" in parameters else X
    model = DAAETransformer(**settings).fit(X)
    skopsed = by_skops(model, tmp_path / "model.skops")
    # What has been set since is for the next fit.
    pickled = pickle.loads(
        pickle.dumps(model.set_params(n_components=3, network="mlp"))
    )
    model.set_params(**settings)
    expected = model.reconstruct(X), weights(model.partial_fit(X))
    for copy in skopsed, pickled.set_params(**settings):
        np.testing.assert_array_equal(copy.reconstruct(X), expected[0])
        np.testing.assert_array_equal(weights(copy.partial_fit(X)), expected[1])


def test_other_models_in_files_of_skops(X, tmp_path):
    detector = AutoencoderOutlierDetector(DAAETransformer(**SMALL)).fit(X)
    loaded = by_skops(detector, tmp_path / "detector.skops")
    np.testing.assert_array_equal(loaded.score_samples(X), detector.score_samples(X))
    gaps = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    settings = {**SMALL, "missing_values": "mask", "corruption": "masking"}
    imputer = AutoencoderImputer(DAAETransformer(**settings)).fit(gaps)
    loaded = by_skops(imputer, tmp_path / "imputer.skops")
    np.testing.assert_array_equal(loaded.transform(gaps), imputer.transform(gaps))


def test_a_trimmed_model_in_a_file_of_skops(X, tmp_path):
    model = DAAETransformer(**SMALL).fit(X)
    model.net_.trim_for_prediction()
    loaded = by_skops(model, tmp_path / "model.skops")
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    with pytest.raises(Exception, match="trimmed for prediction"):
        loaded.partial_fit(X)


def test_networks_changed_by_hand_stay_so(X):
    """They are no longer what they were planned to be, and are pickled whole."""
    model = DAAETransformer(**SMALL, averaging=False).fit(X)
    prune.l1_unstructured(model.encoder_.shortcut, "weight", amount=0.5)
    model.decoder_.layers.append(nn.Tanh())
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.reconstruct(X), model.reconstruct(X))


def test_a_model_goes_on_from_memory_that_cannot_be_written(X, tmp_path):
    """As of a file that joblib maps into memory."""
    joblib = pytest.importorskip("joblib")
    model = DAAETransformer(**SMALL).fit(X)
    joblib.dump(model, tmp_path / "model.joblib")
    copy = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    np.testing.assert_array_equal(
        weights(copy.partial_fit(X)), weights(model.partial_fit(X))
    )
