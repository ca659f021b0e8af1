"""Searches that train their candidates together give what scikit-learn's give."""

import numpy as np
import pytest
import sklearn
import sklearn.model_selection
import torch
from joblib import Memory, parallel_backend
from numpy.testing import assert_allclose
from scipy.stats import uniform
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

from sklearn_daae import DAAETransformer, DAETransformer, iDAAETransformer
from sklearn_daae._engine.stacks import Stack
from sklearn_daae.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
)

from .conftest import SMALL, make

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:The estimator SVC does not support",
)
GRID = {"daae__sigma": [0.1, 0.5], "daae__random_state": [0, 1]}
TIMES = {"mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"}


@pytest.fixture
def pipeline():
    model = DAAETransformer(**{**SMALL, "batch_size": 20})
    return Pipeline([("daae", model), ("svm", SVC())])


def both(name, *args, **params):
    """Return a search of ours, and scikit-learn's of the same name."""
    ours = {"GridSearchCV": GridSearchCV, "RandomizedSearchCV": RandomizedSearchCV}
    ours |= {"HalvingGridSearchCV": HalvingGridSearchCV}
    return [
        Search(*map(clone_or_same, args), **params)
        for Search in (ours[name], getattr(sklearn.model_selection, name))
    ]


def clone_or_same(arg):
    return clone(arg) if hasattr(arg, "fit") else arg


def assert_same_results(ours, theirs, tolerance=1e-6):
    ours, theirs = (search.cv_results_ for search in (ours, theirs))
    assert list(ours) == list(theirs)
    assert ours["params"] == theirs["params"]
    assert {type(params) for params in ours["params"]} == {dict}
    for name in ours.keys() - TIMES - {"params"}:
        assert ours[name].dtype == theirs[name].dtype, name
        if ours[name].dtype.kind == "f":
            assert_allclose(ours[name], theirs[name], atol=tolerance, err_msg=name)
        else:
            assert list(ours[name]) == list(theirs[name]), name


def test_grid_search_of_a_pipeline(pipeline, X, y, stacked):
    ours, theirs = both("GridSearchCV", pipeline, GRID, cv=3)
    ours.fit(X, y)
    assert max(stacked) == 4 * 3
    theirs.fit(X, y)
    assert_same_results(ours, theirs)
    assert ours.best_params_ == theirs.best_params_
    assert type(ours.best_params_) is dict
    assert ours.best_score_ == theirs.best_score_
    # Refitted in the usual way, and without a trace.
    assert ours.best_estimator_.get_params().keys() == pipeline.get_params().keys()
    assert ours.best_estimator_.memory is None
    np.testing.assert_array_equal(
        ours.best_estimator_[0].transform(X), theirs.best_estimator_[0].transform(X)
    )
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("kind", ["alone", "last"])
def test_an_autoencoder_that_scores_itself(X, stacked, kind):
    model = make(DAETransformer, batch_size=50)
    prefix = ""
    if kind == "last":
        model, prefix = Pipeline([("scale", MinMaxScaler()), ("dae", model)]), "dae__"
    ours, theirs = both("GridSearchCV", model, {f"{prefix}sigma": [0.1, 0.9]}, cv=2)
    ours.fit(X)
    assert set(stacked) == {4}
    assert_same_results(ours, theirs.fit(X), 1e-4)


def test_randomized_search(pipeline, X, y, stacked):
    settings = {"n_iter": 3, "cv": 2, "random_state": 0}
    distributions = {"daae__sigma": uniform(0, 1), "svm__C": [1, 10]}
    ours, theirs = both("RandomizedSearchCV", pipeline, distributions, **settings)
    ours.fit(X, y)
    assert max(stacked) == 6
    assert_same_results(ours, theirs.fit(X, y))


@pytest.mark.parametrize("resource", ["n_samples", "daae__max_epochs"])
def test_halving_search(pipeline, X, y, stacked, resource):
    settings = {"cv": 2, "random_state": 0, "factor": 2, "resource": resource}
    if resource != "n_samples":
        settings |= {"max_resources": 4, "min_resources": 1}
    ours, theirs = both("HalvingGridSearchCV", pipeline, GRID, **settings)
    ours.fit(X, y)
    assert max(stacked) == 4 * 2
    theirs.fit(X, y)
    assert ours.n_resources_ == theirs.n_resources_
    assert_same_results(ours, theirs)
    assert ours.best_params_ == theirs.best_params_


def test_parameters_behind_share_a_training(pipeline, X, y, stacked):
    grid = {"daae__sigma": [0.1, 0.5], "svm__C": [0.1, 1, 10], "svm__gamma": [1, 2]}
    ours, theirs = both("GridSearchCV", pipeline, grid, cv=2)
    ours.fit(X, y)
    assert max(stacked) == 2 * 2
    assert_same_results(ours, theirs.fit(X, y))


def test_models_without_a_seed_share_none(pipeline, X, y, stacked):
    pipeline.set_params(daae__random_state=None)
    GridSearchCV(pipeline, {"svm__C": [1, 10]}, cv=2, refit=False).fit(X, y)
    assert max(stacked) == 4
    rows = np.arange(len(X))
    search = GridSearchCV(
        make(DAETransformer, random_state=None), {"sigma": [0.1]}, cv=[(rows, rows)] * 3
    ).fit(X)
    assert search.cv_results_["std_test_score"] > 0


class Supervised(DAETransformer):
    """Has a `fit` of its own, which is given the labels."""

    def fit(self, X, y=None):
        self.n_classes_ = len(np.unique(y))
        return super().fit(X)


def test_models_with_a_fit_of_their_own(X, y, stacked):
    model = Supervised(**make(DAETransformer).get_params())
    ours, theirs = both("GridSearchCV", model, {"sigma": [0.1, 0.5]}, cv=2)
    ours.set_params(scoring=lambda model, X, y: model.n_classes_).fit(X, y)
    theirs.set_params(scoring=lambda model, X, y: model.n_classes_).fit(X, y)
    assert not stacked
    assert_same_results(ours, theirs)


class MySearch(GridSearchCV):
    """A search of one's own."""


def test_a_search_of_ones_own(X):
    assert MySearch.__doc__ == "A search of one's own."
    search = MySearch(make(DAETransformer), {"sigma": [0.1, 0.5]}, cv=2).fit(X)
    assert search.best_params_["sigma"] == 0.1


def test_tensors(X, stacked):
    model = make(DAETransformer)
    search = GridSearchCV(model, {"sigma": [0.1, 0.5]}, cv=2, refit=False)
    search.fit(torch.from_numpy(X.copy()))
    expected = GridSearchCV(model, {"sigma": [0.1, 0.5]}, cv=2, refit=False).fit(X)
    assert_same_results(search, expected)


class Counted(TransformerMixin, BaseEstimator):
    """Counts its fits, over all of its copies."""

    n_fits = 0

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y=None):
        assert y is not None
        Counted.n_fits += 1
        self.factor_ = self.factor
        return self

    def transform(self, X):
        return X * self.factor_


class ChangesInPlace(Counted):
    """Writes over what it is given, as `copy=False` does elsewhere."""

    def transform(self, X):
        X *= 0.5
        return X


@pytest.mark.parametrize("with_memory", [False, True])
def test_steps_before_are_fitted_once(X, y, tmp_path, with_memory, stacked):
    model = DAAETransformer(**{**SMALL, "batch_size": 20})
    pipeline = make_pipeline(
        Counted(),
        ChangesInPlace(),
        PCA(20, random_state=0),
        model,
        MinMaxScaler(),
        SVC(),
        memory=Memory(tmp_path, verbose=0) if with_memory else None,
    )
    grid = {"daaetransformer__sigma": [0.1, 0.5], "counted__factor": [1.0, 2.0]}
    ours, theirs = both("GridSearchCV", pipeline, grid, cv=3, refit=False)
    Counted.n_fits = 0
    ours.fit(X, y)
    # The two of them, for either factor and in every fold.
    assert Counted.n_fits == 2 * 2 * 3
    assert max(stacked) == 4 * 3
    assert len(stacked) == 2 * 10  # trained but once
    assert_same_results(ours, theirs.set_params(estimator__memory=None).fit(X, y))


def test_candidates_that_replace_steps(pipeline, X, y, stacked):
    """Other autoencoders, which form stacks of their own, other steps, or none."""
    others = [
        DAAETransformer(**SMALL),
        iDAAETransformer(**SMALL, M=2),
        iDAAETransformer(**SMALL, M=3),
        PCA(4),
        "passthrough",
    ]
    ours, theirs = both("GridSearchCV", pipeline, {"daae": others}, cv=2)
    ours.fit(X, y)
    assert set(stacked) == {2}
    theirs.fit(X, y)
    for name in ("split0_test_score", "split1_test_score"):
        assert_allclose(ours.cv_results_[name], theirs.cv_results_[name])
    assert not hasattr(others[0], "net_")


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_in_two_jobs(pipeline, X, y, backend):
    ours, theirs = both("GridSearchCV", pipeline, GRID, cv=2)
    with parallel_backend(backend, n_jobs=2):
        ours.fit(X, y)
    assert_same_results(ours, theirs.fit(X, y))


def test_frames_scores_and_splitters(pipeline, X, y):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(X.shape[1])])
    settings = {
        "cv": ShuffleSplit(2, test_size=0.3, random_state=0),
        "scoring": ["accuracy", "f1_macro"],
        "refit": "f1_macro",
        "return_train_score": True,
    }
    ours, theirs = both("GridSearchCV", pipeline, GRID, **settings)
    assert_same_results(ours.fit(frame, pd.Series(y)), theirs.fit(frame, pd.Series(y)))
    assert list(ours.feature_names_in_) == list(frame)


def test_a_refit_of_ones_own(pipeline, X, y):
    ours = GridSearchCV(pipeline, GRID, cv=2, refit=lambda results: 3).fit(X, y)
    assert ours.best_index_ == 3
    ours = GridSearchCV(pipeline, GRID, cv=2, refit=False).fit(X, y)
    with pytest.raises(AttributeError):
        ours.predict(X)


BAD = {"daae__learning_rate": [1e-3, 1e30], "daae__sigma": [0.1, -1]}


def test_who_fails_fails_alone(pipeline, X, y):
    ours, theirs = both("GridSearchCV", pipeline, BAD, cv=2, error_score=np.nan)
    with pytest.warns(FitFailedWarning) as our_warnings:
        ours.fit(X, y)
    with pytest.warns(FitFailedWarning) as their_warnings:
        theirs.fit(X, y)
    assert (
        np.isnan(ours.cv_results_["mean_test_score"]).tolist() == [False] + [True] * 3
    )
    assert_same_results(ours, theirs)
    ours, theirs = (
        str(next(w.message for w in caught if w.category is FitFailedWarning))
        for caught in (our_warnings, their_warnings)
    )
    assert ours.splitlines()[:5] == theirs.splitlines()[:5]
    assert "Training diverged in epoch 1" in ours
    assert "'sigma' parameter" in ours


def test_errors_that_are_to_be_raised(pipeline, X, y):
    ours = GridSearchCV(pipeline, {"daae__sigma": [0.1, -1]}, error_score="raise")
    with pytest.raises(ValueError, match="'sigma' parameter"):
        ours.fit(X, y)
    ours = GridSearchCV(pipeline, {"daae__sigmma": [0.1]}, cv=2)
    with pytest.raises(ValueError, match="Invalid parameter 'sigmma'"):
        ours.fit(X, y)
    assert not hasattr(ours, "cv_results_")


def test_an_interrupt_ends_it(pipeline, X, y, monkeypatch):
    def interrupted(self, start, x):
        raise KeyboardInterrupt

    monkeypatch.setattr(Stack, "step", interrupted)
    search = GridSearchCV(pipeline, GRID, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert not hasattr(search, "cv_results_")


class TellsApart(SVC):
    """Is fitted with weights."""

    def fit(self, X, y, sample_weight=None):
        assert sample_weight is not None
        return super().fit(X, y, sample_weight)


def test_metadata_is_routed(pipeline, X, y, stacked):
    """To the steps that ask for it; then nothing is trained together."""
    weight = np.random.default_rng(0).uniform(size=len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline.steps[1] = ("svm", TellsApart().set_fit_request(sample_weight=True))
        pipeline.steps[0][1].set_fit_request(sample_weight=True)
        scoring = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        ours, theirs = both("GridSearchCV", pipeline, GRID, cv=2, scoring=scoring)
        ours.fit(X, y, sample_weight=weight)
        assert not stacked
        assert_same_results(ours, theirs.fit(X, y, sample_weight=weight))


def test_groups_reach_the_splitter(pipeline, X, y, stacked):
    groups = np.arange(len(y)) % 7
    ours, theirs = both("GridSearchCV", pipeline, GRID, cv=GroupKFold(2))
    ours.fit(X, y, groups=groups)
    assert max(stacked) == 8
    assert_same_results(ours, theirs.fit(X, y, groups=groups))


def test_nested_and_cloned(pipeline, X, y, stacked):
    search = clone(GridSearchCV(pipeline, {"daae__sigma": [0.1, 0.5]}, cv=2))
    assert repr(search).startswith("GridSearchCV(cv=2,")
    ours = cross_val_score(search, X, y, cv=KFold(2))
    assert max(stacked) == 4
    theirs = sklearn.model_selection.GridSearchCV(**search.get_params(deep=False))
    assert_allclose(ours, cross_val_score(theirs, X, y, cv=KFold(2)))
    outer = make_pipeline(MinMaxScaler(), search).fit(X, y)
    assert outer.predict(X).shape == y.shape


def test_searches_without_autoencoders_are_scikit_learns(X, y, stacked):
    ours, theirs = both("GridSearchCV", SVC(), {"C": [1, 10]}, cv=2)
    assert_same_results(ours.fit(X, y), theirs.fit(X, y))
    assert not stacked


def test_what_was_trained_is_not_kept(pipeline, X, y):
    """Neither by the search, nor by its best estimator, nor by those it was given."""
    search = GridSearchCV(pipeline, GRID, cv=2).fit(X, y)
    found = [search.estimator[0], search.best_estimator_[0]]
    assert not [m for m in found if "_trained_before" in vars(m)]
    assert "_trains_together" not in vars(search)


@pytest.mark.parametrize("depth", [1, 2, None])
def test_callbacks_of_scikit_learn(pipeline, X, y, depth, capsys, stacked):
    """Where they reach the models, which they are to hear of, those train alone."""
    callback = pytest.importorskip("sklearn.callback", exc_type=ImportError)
    pytest.importorskip("rich")
    search = GridSearchCV(pipeline, {"daae__sigma": [0.1, 0.5]}, cv=2)
    search.set_callbacks(callback.ProgressBar(depth)).fit(X[:100], y[:100])
    out = capsys.readouterr().out
    assert "GridSearchCV - fit" in out
    assert ("DAAETransformer - fit" in out) == (depth != 1)
    assert bool(stacked) == (depth == 1)


def test_a_model_with_callbacks_is_trained_alone(pipeline, X, y, stacked):
    pytest.importorskip("sklearn.callback", exc_type=ImportError)
    heard = []

    class Hears:
        def setup(self, estimator, context):
            heard.append(estimator)

        def __getattr__(self, name):
            if name.startswith("on_") or name == "teardown":
                return lambda *args, **kwargs: None
            raise AttributeError(name)

    pipeline[0].set_callbacks(Hears())
    GridSearchCV(pipeline, {"daae__sigma": [0.1, 0.5]}, cv=2, refit=False).fit(X, y)
    assert len(heard) == 4
    assert not stacked
