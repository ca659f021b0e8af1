"""The estimators inside scikit-learn: pipelines, searches, columns, containers."""

import os

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_score,
)
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_daae import DAAETransformer, iDAAETransformer

from .conftest import SMALL, make, weights

pd, pl = (pytest.importorskip(name) for name in ("pandas", "polars"))


@pytest.fixture
def pipeline():
    settings = {**SMALL, "n_components": 8, "sigma": 0.1, "batch_size": 20}
    daae = iDAAETransformer(M=2, **{**settings, "max_epochs": 15})
    return Pipeline([("daae", daae), ("svm", SVC())])


def test_clone_and_parameters(Estimator):
    names = Estimator().get_params()
    params = {**SMALL, "tol": 0.3, "callbacks": [], "optimizer": ("adam", {})}
    params = {name: value for name, value in params.items() if name in names}
    model = Estimator(**params)
    assert {k: v for k, v in model.get_params().items() if k in params} == params
    copy = clone(model.set_params(tol=0.7))
    assert copy is not model
    assert copy.get_params() == model.get_params()
    assert copy.tol == 0.7
    # Defaults are api-wide and not shared between instances.
    assert Estimator().tol == 1e-4


def test_fit_changes_no_parameter(Estimator, X):
    settings = {**SMALL, "encoder_layer_sizes": [32], "callbacks": []}
    settings |= {"optimizer": ["adam", {}], "device": "auto"}
    model = make(Estimator, **settings).fit(X)
    for name in settings.keys() & model.get_params().keys():
        assert getattr(model, name) is settings[name]
    assert settings["callbacks"] == []
    assert settings["optimizer"] == ["adam", {}]


def test_pipeline_classifies(pipeline, X, y):
    pipeline.fit(X[:200], y[:200])
    assert pipeline.score(X[200:], y[200:]) > 0.5  # chance is 0.1
    assert list(pipeline[:-1].get_feature_names_out()) == [
        f"idaaetransformer{i}" for i in range(8)
    ]


def test_grid_search_in_two_processes(pipeline, X, y):
    grid = {"daae__sigma": [0.1, 0.5], "daae__M": [1, 3], "daae__n_components": [2, 6]}
    searches = [
        GridSearchCV(pipeline, grid, cv=2, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2)
    ]
    results = [s.cv_results_["mean_test_score"] for s in searches]
    assert np.isfinite(results[0]).all()
    assert len(set(results[0])) > 1
    # Processes of other thread counts may round differently.
    np.testing.assert_allclose(results[0], results[1], atol=0.05)
    best = searches[1].best_estimator_
    assert best[0].n_components == searches[1].best_params_["daae__n_components"]
    assert best.predict(X).shape == y.shape


def test_search_without_labels(X):
    grid = {"n_components": [1, 8]}
    search = GridSearchCV(DAAETransformer(**{**SMALL, "max_epochs": 20}), grid, cv=2)
    assert search.fit(X).best_params_ == {"n_components": 8}


def test_cross_val_score(pipeline, X, y):
    scores = cross_val_score(pipeline, X, y, cv=3, n_jobs=2)
    assert scores.shape == (3,)
    assert scores.mean() > 0.3


def test_halving_search_over_epochs(pipeline, X, y):
    search = HalvingGridSearchCV(
        pipeline,
        {"daae__sigma": [0.1, 0.3, 0.5, 2.0]},
        resource="daae__max_epochs",
        min_resources=1,
        max_resources=4,
        factor=2,
        cv=2,
    ).fit(X, y)
    assert search.n_resources_ == [1, 2, 4]
    assert search.best_estimator_[0].n_epochs_ == 4


def test_set_output(Estimator, X):
    frames = {"pandas": pd.DataFrame, "polars": pl.DataFrame}
    for name, Frame in frames.items():
        model = make(Estimator).set_output(transform=name).fit(X)
        Z = model.transform(X)
        assert isinstance(Z, Frame)
        columns = [f"{Estimator.__name__.lower()}{i}" for i in range(4)]
        assert list(Z.columns) == columns == list(model.get_feature_names_out())
        # The codes come back, whatever they are wrapped in.
        np.testing.assert_array_equal(
            model.inverse_transform(Z), model.inverse_transform(Z.to_numpy())
        )


def test_feature_names(Estimator, X):
    frame = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(64)])
    model = make(Estimator).fit(frame)
    assert list(model.feature_names_in_) == list(frame.columns)
    with pytest.raises(ValueError, match="same order"):
        model.transform(frame.iloc[:, ::-1])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.transform(X)


def test_column_transformer(Estimator, X, y):
    frame = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(64)])
    frame["label"] = y
    columns = ColumnTransformer(
        [
            ("image", make(Estimator), [f"pixel{i}" for i in range(64)]),
            ("label", StandardScaler(), ["label"]),
        ]
    ).set_output(transform="pandas")
    out = columns.fit_transform(frame)
    assert out.shape == (300, 5)
    assert out.columns[0] == f"image__{Estimator.__name__.lower()}0"


def test_feature_union(Estimator, X):
    union = FeatureUnion([("pca", PCA(3)), ("daae", make(Estimator))], n_jobs=2)
    assert union.fit_transform(X).shape == (300, 7)
    assert union.transform(X).dtype == np.float32


def test_pipeline_inverse_transform(Estimator, X):
    pipeline = make_pipeline(StandardScaler(), make(Estimator))
    X_hat = pipeline.inverse_transform(pipeline.fit_transform(X))
    assert X_hat.shape == X.shape


def test_estimators_in_processes_are_the_same(X):
    """A fit in a worker process gives what a fit in this one gives."""
    joblib = pytest.importorskip("joblib")
    models = [DAAETransformer(**SMALL), iDAAETransformer(**SMALL)]
    with joblib.parallel_config("loky", inner_max_num_threads=2):
        there = joblib.Parallel(2)(joblib.delayed(clone(m).fit)(X) for m in models)
    for here, other in zip(models, there, strict=True):
        np.testing.assert_allclose(weights(here.fit(X)), weights(other), atol=1e-5)


def count_threads(model, X, y=None):
    """Score a model by the threads that its process computes with."""
    return torch.get_num_threads()


def test_grid_search_in_processes_shares_the_cores_out(X):
    search = GridSearchCV(
        DAAETransformer(**SMALL),
        {"sigma": [0.1, 0.2]},
        scoring=count_threads,
        n_jobs=2,
        cv=2,
        refit=False,
    )
    threads = search.fit(X).cv_results_["mean_test_score"]
    assert all(threads <= max(1, os.cpu_count() // 2))
