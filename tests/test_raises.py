"""What docstrings say is raised is raised: each error of each of them is provoked."""

import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

import sklearn_daae
from sklearn_daae import Checkpoint, DAAETransformer, DAETransformer, metrics
from sklearn_daae.datasets import (
    fetch_celeba,
    fetch_mnist,
    fetch_omniglot,
    fetch_sprites,
)
from sklearn_daae.distributed import data_parallel
from sklearn_daae.impute import AutoencoderImputer
from sklearn_daae.inspection import (
    InterpolationDisplay,
    LatentSpaceDisplay,
    LossCurveDisplay,
    PriorMatchDisplay,
    ReconstructionDisplay,
    SampleDisplay,
)
from sklearn_daae.model_selection import GridSearchCV, fit_together
from sklearn_daae.onnx import register_converters, to_onnx
from sklearn_daae.outliers import AutoencoderOutlierDetector

from .test_docstrings import METHODS, PUBLIC, found, sections

pytestmark = pytest.mark.filterwarnings("ignore:.*FitFailedWarning")

X = np.random.default_rng(0).normal(size=(12, 4))
WIDE, NAN = np.ones((12, 5)), np.full((12, 4), np.nan)


def small(**params):
    given = {"n_components": 2, "max_epochs": 1, "random_state": 0}
    return DAAETransformer(**{**given, **params})


def detector():
    return AutoencoderOutlierDetector(small())


def imputer():
    return AutoencoderImputer(small())


def no_array():
    return torch.utils.data.TensorDataset(torch.zeros(3, 4))


def with_files(fetch, folder, *names):
    """Fetch from files that are there, whatever is in them."""
    Path(folder).mkdir()
    for name in names:
        Path(folder, name).write_text("nothing")
    return fetch(data_home=".", trusted_files=names, verbose=0)


class TrainsAgain(Callback):
    """Calls for a training within a training."""

    def __init__(self, method):
        self.model = small(callbacks=[self])
        self.method = method

    def on_epoch_begin(self, net, **kwargs):
        getattr(self.model, self.method)(X)

    def start(self):
        return getattr(self.model, self.method)(X)


UNFITTED = small()
M = "sklearn_daae."
E, D, S = f"{M}AAETransformer.", f"{M}inspection.", f"{M}metrics."
LOST = "no/folder/file"

# By name and error: a call with a fitted model, or several, each of which is to raise
# it. None stands for what another test provokes.
CALLS = {
    f"{M}Checkpoint": {
        "TypeError": [
            lambda m: Checkpoint(3),
            lambda m: small(callbacks=[Checkpoint("x", every_n_epochs=0.5)]).fit(X),
            lambda m: small(callbacks=[Checkpoint("x")], prior=len).fit(X),
        ],
        "ValueError": [
            lambda m: small(callbacks=[Checkpoint("x", every_n_epochs=0)]).fit(X),
            lambda m: [
                small(callbacks=[Checkpoint("x")], warm_start=True).fit(rows)
                for rows in (X, 2 * X)
            ],
        ],
        "OSError": [lambda m: small(callbacks=[Checkpoint(LOST)]).fit(X)],
    },
    f"{M}load": {
        "OSError": [lambda m: sklearn_daae.load(LOST)],
        "TypeError": [lambda m: sklearn_daae.load(3)],
        "ValueError": [lambda m: sklearn_daae.load(__file__)],
    },
    f"{M}save": {
        "TypeError": [
            lambda m: sklearn_daae.save(3, "x"),
            lambda m: sklearn_daae.save(m, 3),
            lambda m: sklearn_daae.save(m, "x", trimmed="yes"),
            lambda m: sklearn_daae.save(small(prior=len), "x"),
        ],
        "OSError": [lambda m: sklearn_daae.save(m, LOST)],
    },
    **{
        f"{M}datasets.{fetch.__name__}": {
            "OSError": [lambda m, f=fetch: f(data_home=".", download_if_missing=False)],
            "ValueError": [
                lambda m, f=fetch: f(subset="some"),
                lambda m, f=fetch: f(dtype="int8"),
            ],
            "TypeError": [lambda m, f=fetch: f(trusted_files=[3])],
        }
        for fetch in (fetch_celeba, fetch_mnist, fetch_omniglot, fetch_sprites)
    },
    f"{M}distributed.data_parallel": {
        "RuntimeError": [lambda m: data_parallel().__enter__()],
        "ValueError": None,  # test_distributed, by processes
    },
    f"{S}EstimatorScorer": {
        "TypeError": [
            lambda m: metrics.EstimatorScorer(3),
            lambda m: metrics.EstimatorScorer(metrics.prior_distance, n_samples=3),
        ],
    },
    f"{S}parzen_log_likelihood": {
        "ValueError": [
            lambda m: metrics.parzen_log_likelihood(X, X, bandwidth=0),
            lambda m: metrics.parzen_log_likelihood(X, WIDE, bandwidth=1),
            lambda m: metrics.parzen_log_likelihood(NAN, X, bandwidth=1),
            lambda m: metrics.parzen_log_likelihood(X, X, bandwidth=1, device="hal"),
        ],
        "TypeError": [
            lambda m: metrics.parzen_log_likelihood(X, X, bandwidth="1"),
            lambda m: metrics.parzen_log_likelihood(no_array(), X, bandwidth=1),
        ],
    },
    f"{S}select_bandwidth": {
        "ValueError": [
            lambda m: metrics.select_bandwidth(X, X, bandwidths=[]),
            lambda m: metrics.select_bandwidth(X, X, bandwidths=[-1]),
            lambda m: metrics.select_bandwidth(X, X + 9, bandwidths=[1e-200]),
        ],
        "TypeError": [lambda m: metrics.select_bandwidth(no_array(), X, bandwidths=1)],
    },
    f"{S}prior_distance": {
        "NotFittedError": [lambda m: metrics.prior_distance(UNFITTED, X)],
        "ValueError": [
            lambda m: metrics.prior_distance(DAETransformer(max_epochs=1).fit(X), X),
            lambda m: metrics.prior_distance(m, X, n_projections=0),
            lambda m: metrics.prior_distance(m, WIDE),
            lambda m: metrics.prior_distance(m, X, random_state="no"),
        ],
        "TypeError": [
            lambda m: metrics.prior_distance(3, X),
            lambda m: metrics.prior_distance(m, X, n_projections=1.5),
            lambda m: metrics.prior_distance(m, X, corrupt="no"),
        ],
    },
    f"{S}reconstruction_error": {
        "NotFittedError": [lambda m: metrics.reconstruction_error(UNFITTED, X)],
        "ValueError": [
            lambda m: metrics.reconstruction_error(m, WIDE),
            lambda m: metrics.reconstruction_error(m, X, random_state="no"),
        ],
        "TypeError": [
            lambda m: metrics.reconstruction_error(3, X),
            lambda m: metrics.reconstruction_error(m, X, corrupt="no"),
        ],
    },
    f"{S}shift_robustness": {
        "NotFittedError": [
            lambda m: metrics.shift_robustness(UNFITTED, X, image_shape=(1, 2, 2))
        ],
        "ValueError": [
            lambda m: metrics.shift_robustness(m, X),
            lambda m: metrics.shift_robustness(m, X, image_shape=(1, 3, 3)),
            lambda m: metrics.shift_robustness(m, X, image_shape=(1, 2, 2), shifts=[]),
            lambda m: metrics.shift_robustness(
                m, X, image_shape=(1, 2, 2), classifier=DAETransformer()
            ),
            lambda m: metrics.shift_robustness(m, NAN, image_shape=(1, 2, 2)),
        ],
        "TypeError": [
            lambda m: metrics.shift_robustness(3, X, image_shape=(1, 2, 2)),
            lambda m: metrics.shift_robustness(m, X, image_shape=(1, 2, 2), shifts=3),
            lambda m: metrics.shift_robustness(
                m, X, image_shape=(1, 2, 2), shifts=[0.5]
            ),
        ],
    },
    f"{M}model_selection.fit_together": {
        "ValueError": [
            lambda m: fit_together([small()], [X, X]),
            lambda m: fit_together([small()], X, rows=[[0], [1]]),
            lambda m: fit_together([m, m], X),
        ],
        "Exception": [lambda m: fit_together([small(), small()], no_array())],
    },
    f"{M}model_selection.GridSearchCV.fit": {
        "ValueError": [
            lambda m: GridSearchCV(small(), 3).fit(X),
            lambda m: GridSearchCV(small(), {"sigmas": [1]}, cv=2).fit(X),
            lambda m: GridSearchCV(small(), {"sigma": [-1]}, cv=2).fit(X),
        ],
    },
    f"{M}onnx.register_converters": {"ImportError": [lambda m: register_converters()]},
    f"{M}onnx.to_onnx": {
        "ImportError": [lambda m: to_onnx(m, X)],
        "NotFittedError": [lambda m: to_onnx(UNFITTED, X)],
        "ValueError": [
            lambda m: to_onnx(m, WIDE),
            lambda m: to_onnx(m, X, call="fit"),
        ],
        "TypeError": [lambda m: to_onnx(3, X)],
    },
    f"{M}outliers.AutoencoderOutlierDetector.fit": {
        "ValueError": [
            lambda m: AutoencoderOutlierDetector(contamination=2).fit(X),
            lambda m: detector().fit(NAN),
            lambda m: AutoencoderOutlierDetector(
                small(learning_rate=1e30, scaling=None)
            ).fit(X),
        ],
        "TypeError": [
            lambda m: AutoencoderOutlierDetector(detector()).fit(X),
            lambda m: detector().fit(no_array()),
        ],
    },
    **{
        f"{M}outliers.AutoencoderOutlierDetector.{method}": {
            "NotFittedError": [lambda m, name=method: getattr(detector(), name)(X)],
            "ValueError": [
                lambda m, name=method: getattr(detector().fit(X), name)(WIDE),
                lambda m, name=method: getattr(detector().fit(X), name)(NAN),
            ],
        }
        for method in ("score_samples", "decision_function", "predict")
    },
    f"{M}impute.AutoencoderImputer.fit": {
        "ValueError": [
            lambda m: AutoencoderImputer(3).fit(X),
            lambda m: imputer().fit(NAN),
            lambda m: AutoencoderImputer(
                small(learning_rate=1e30, scaling=None, reconstruction_loss="mse")
            ).fit(X),
        ],
    },
    f"{M}impute.AutoencoderImputer.transform": {
        "NotFittedError": [lambda m: imputer().transform(X)],
        "ValueError": [lambda m: imputer().fit(X).transform(WIDE)],
    },
    f"{M}impute.AutoencoderImputer.get_feature_names_out": {
        "NotFittedError": [lambda m: imputer().get_feature_names_out()],
        "ValueError": [lambda m: imputer().fit(X).get_feature_names_out(["one"])],
    },
    f"{D}ReconstructionDisplay.from_estimator": {
        "ImportError": [lambda m: ReconstructionDisplay.from_estimator(m, X)],
        "NotFittedError": [lambda m: ReconstructionDisplay.from_estimator(UNFITTED, X)],
        "ValueError": [
            lambda m: ReconstructionDisplay.from_estimator(m, WIDE),
            lambda m: ReconstructionDisplay.from_estimator(m, X, n_samples=0),
            lambda m: ReconstructionDisplay.from_estimator(m, X, image_shape=(1, 3, 3)),
        ],
        "TypeError": [
            lambda m: ReconstructionDisplay.from_estimator(3, X),
            lambda m: ReconstructionDisplay.from_estimator(m, X, n_samples=1.5),
            lambda m: ReconstructionDisplay.from_estimator(m, X, corrupt="no"),
            lambda m: ReconstructionDisplay.from_estimator(m, X, ax=3),
        ],
    },
    f"{D}SampleDisplay.from_estimator": {
        "ImportError": [lambda m: SampleDisplay.from_estimator(m)],
        "NotFittedError": [lambda m: SampleDisplay.from_estimator(UNFITTED)],
        "ValueError": [
            lambda m: SampleDisplay.from_estimator(m, steps=[]),
            lambda m: SampleDisplay.from_estimator(m, steps=[-1]),
            lambda m: SampleDisplay.from_estimator(m, n_samples=0),
            lambda m: SampleDisplay.from_estimator(m, X=X, Z=X[:, :2]),
            lambda m: SampleDisplay.from_estimator(m, X=WIDE),
            lambda m: SampleDisplay.from_estimator(m, image_shape=(1, 3, 3)),
        ],
        "TypeError": [
            lambda m: SampleDisplay.from_estimator(3),
            lambda m: SampleDisplay.from_estimator(m, n_samples=1.5),
            lambda m: SampleDisplay.from_estimator(m, steps=[1.5]),
            lambda m: SampleDisplay.from_estimator(m, ax=3),
        ],
    },
    f"{D}InterpolationDisplay.from_estimator": {
        "ImportError": [lambda m: InterpolationDisplay.from_estimator(m, X[:2])],
        "NotFittedError": [lambda m: InterpolationDisplay.from_estimator(UNFITTED, X)],
        "ValueError": [
            lambda m: InterpolationDisplay.from_estimator(m),
            lambda m: InterpolationDisplay.from_estimator(m, X),
            lambda m: InterpolationDisplay.from_estimator(m, Z=X[:2]),
            lambda m: InterpolationDisplay.from_estimator(m, X[:2], n_points=1),
            lambda m: InterpolationDisplay.from_estimator(
                m, X[:2], image_shape=(1, 3, 3)
            ),
        ],
        "TypeError": [
            lambda m: InterpolationDisplay.from_estimator(3, X[:2]),
            lambda m: InterpolationDisplay.from_estimator(m, X[:2], n_points=2.5),
            lambda m: InterpolationDisplay.from_estimator(m, X[:2], ax=3),
        ],
    },
    f"{D}InterpolationDisplay.plot": {  # of all that draw a grid
        "ImportError": [lambda m: InterpolationDisplay(X).plot()],
        "ValueError": [
            lambda m: ReconstructionDisplay(X, X, image_shape=(3, 3)).plot()
        ],
        "TypeError": [lambda m: SampleDisplay(X).plot(3)],
    },
    f"{D}LatentSpaceDisplay.from_estimator": {
        "ImportError": [lambda m: LatentSpaceDisplay.from_estimator(m, X)],
        "NotFittedError": [lambda m: LatentSpaceDisplay.from_estimator(UNFITTED, X)],
        "ValueError": [
            lambda m: LatentSpaceDisplay.from_estimator(m, WIDE),
            lambda m: LatentSpaceDisplay.from_estimator(m, X, [1, 2]),
            lambda m: LatentSpaceDisplay.from_estimator(
                small(n_components=1).fit(X), X
            ),
        ],
        "TypeError": [
            lambda m: LatentSpaceDisplay.from_estimator(3, X),
            lambda m: LatentSpaceDisplay.from_estimator(m, X, corrupt="no"),
            lambda m: LatentSpaceDisplay.from_estimator(m, X, ax=3),
        ],
    },
    f"{D}LatentSpaceDisplay.plot": {
        "ImportError": [lambda m: LatentSpaceDisplay(X[:, :2]).plot()],
        "ValueError": [lambda m: LatentSpaceDisplay(X).plot()],
        "TypeError": [lambda m: LatentSpaceDisplay(X[:, :2]).plot(3)],
    },
    f"{D}PriorMatchDisplay.from_estimator": {
        "ImportError": [lambda m: PriorMatchDisplay.from_estimator(m, X)],
        "NotFittedError": [lambda m: PriorMatchDisplay.from_estimator(UNFITTED, X)],
        "ValueError": [
            lambda m: PriorMatchDisplay.from_estimator(
                DAETransformer(max_epochs=1).fit(X), X
            ),
            lambda m: PriorMatchDisplay.from_estimator(m, WIDE),
            lambda m: PriorMatchDisplay.from_estimator(m, X, component=2),
            lambda m: PriorMatchDisplay.from_estimator(m, X, bins=-1),
        ],
        "TypeError": [
            lambda m: PriorMatchDisplay.from_estimator(3, X),
            lambda m: PriorMatchDisplay.from_estimator(m, X, component="first"),
            lambda m: PriorMatchDisplay.from_estimator(m, X, corrupt="no"),
            lambda m: PriorMatchDisplay.from_estimator(m, X, ax=3),
        ],
    },
    f"{D}PriorMatchDisplay.plot": {
        "ImportError": [lambda m: PriorMatchDisplay(X, X).plot()],
        "ValueError": [lambda m: PriorMatchDisplay(X, X).plot(bins=-1)],
        "TypeError": [lambda m: PriorMatchDisplay(X, X).plot(3)],
    },
    f"{D}LossCurveDisplay.from_estimator": {
        "ImportError": [lambda m: LossCurveDisplay.from_estimator(m)],
        "NotFittedError": [lambda m: LossCurveDisplay.from_estimator(UNFITTED)],
        "TypeError": [
            lambda m: LossCurveDisplay.from_estimator(3),
            lambda m: LossCurveDisplay.from_estimator(m, ax=3),
        ],
    },
    f"{D}LossCurveDisplay.plot": {
        "ImportError": [lambda m: LossCurveDisplay([]).plot()],
        "TypeError": [lambda m: LossCurveDisplay([]).plot(3)],
    },
    f"{E}set_params": {"ValueError": [lambda m: small().set_params(sigmas=1)]},
    f"{E}as_published": {
        "ValueError": [lambda m: DAAETransformer.as_published(sigmas=1)]
    },
    f"{E}fit": {
        "ValueError": [
            lambda m: small(sigma=-1).fit(X),
            lambda m: small().fit(NAN),
            lambda m: small().fit(X, sample_weight=[1]),
            lambda m: small().fit(X, X_val=WIDE),
            lambda m: small(device="hal").fit(X),
            lambda m: small(learning_rate=1e30, scaling=None).fit(X),
        ],
        "TypeError": [
            lambda m: small().fit(no_array()),
            lambda m: small().fit(X.astype("datetime64[s]")),
            lambda m: small(encoder=lambda *sizes: 3).fit(X),
        ],
        "RuntimeError": [lambda m: TrainsAgain("fit").start()],
    },
    f"{E}partial_fit": {
        "ValueError": [
            lambda m: small().partial_fit(NAN),
            lambda m: small().fit(X).set_params(n_components=3).partial_fit(X),
        ],
        "TypeError": [lambda m: small().partial_fit(no_array())],
        "RuntimeError": [lambda m: TrainsAgain("partial_fit").start()],
    },
    f"{E}transform": {
        "NotFittedError": [lambda m: UNFITTED.transform(X)],
        "ValueError": [
            lambda m: m.transform(WIDE),
            lambda m: m.transform(NAN),
            lambda m: m.transform(1e200 * X),
            lambda m: m.transform(X, out=np.empty((2, 2))),
            lambda m: m.transform(X, out=np.empty((12, 2), int)),
        ],
        "TypeError": [
            lambda m: m.transform(no_array()),
            lambda m: m.transform(X, out=[]),
        ],
    },
    f"{E}inverse_transform": {
        "NotFittedError": [lambda m: UNFITTED.inverse_transform(X[:, :2])],
        "ValueError": [
            lambda m: m.inverse_transform(X),
            lambda m: m.inverse_transform(NAN[:, :2]),
            lambda m: m.inverse_transform(X[:, :2], out=np.empty((2, 2))),
        ],
        "TypeError": [lambda m: m.inverse_transform(X[:, :2], out=[])],
    },
    f"{E}corrupt": {
        "NotFittedError": [lambda m: UNFITTED.corrupt(X)],
        "ValueError": [
            lambda m: m.corrupt(WIDE),
            lambda m: m.corrupt(X, random_state="no"),
        ],
        "TypeError": [lambda m: m.corrupt(no_array())],
    },
    f"{E}reconstruct": {
        "NotFittedError": [lambda m: UNFITTED.reconstruct(X)],
        "ValueError": [
            lambda m: m.reconstruct(WIDE),
            lambda m: m.reconstruct(X, out=np.empty((2, 2))),
            lambda m: m.reconstruct(X, corrupt=True, random_state="no"),
        ],
        "TypeError": [
            lambda m: m.reconstruct(X, corrupt="no"),
            lambda m: m.reconstruct(no_array()),
            lambda m: m.reconstruct(X, out=[]),
        ],
    },
    f"{E}sample": {
        "NotFittedError": [lambda m: UNFITTED.sample()],
        "ValueError": [
            lambda m: m.sample(0),
            lambda m: m.sample(n_steps=-1),
            lambda m: m.sample(X=X, Z=X[:, :2]),
            lambda m: m.sample(X=WIDE),
            lambda m: m.sample(Z=X),
            lambda m: m.sample(out=np.empty((2, 2))),
            lambda m: m.sample(random_state="no"),
        ],
        "TypeError": [
            lambda m: m.sample(1.5),
            lambda m: m.sample(n_steps="two"),
            lambda m: m.sample(return_chain="no"),
            lambda m: m.sample(out=[]),
        ],
    },
    **{
        f"{E}{method}": {
            "NotFittedError": [lambda m, name=method: getattr(UNFITTED, name)(X)],
            "ValueError": [lambda m, name=method: getattr(m, name)(WIDE)],
            "TypeError": [lambda m, name=method: getattr(m, name)(no_array())],
        }
        for method in ("score_samples", "score")
    },
    f"{E}save": {
        "TypeError": [
            lambda m: small(prior=len).save("x"),
            lambda m: m.save("x", trimmed="yes"),
            lambda m: m.save(3),
        ],
        "OSError": [lambda m: m.save(LOST)],
    },
    f"{E}as_module": {
        "NotFittedError": [lambda m: UNFITTED.as_module("transform")],
        "ValueError": [lambda m: m.as_module("fit")],
    },
}
CALLS[f"{M}datasets.fetch_celeba"]["ImportError"] = [
    lambda m: with_files(
        fetch_celeba,
        "celeba",
        *("img_align_celeba.zip", "list_attr_celeba.txt", "list_eval_partition.txt"),
    )
]
CALLS[f"{M}datasets.fetch_omniglot"]["ImportError"] = [
    lambda m: with_files(
        fetch_omniglot, "omniglot", "images_background.zip", "images_evaluation.zip"
    )
]
CALLS[f"{M}datasets.fetch_sprites"]["ImportError"] = [
    lambda m: with_files(fetch_sprites, "sprites", "nips2015-analogy-data.tar.gz")
]
# What is not installed, where there is an ImportError.
HIDDEN = {
    D: "matplotlib.pyplot",
    f"{M}onnx.": "onnx",
    f"{M}datasets.fetch_celeba": "PIL.Image",
    f"{M}datasets.fetch_omniglot": "PIL.Image",
    f"{M}datasets.fetch_sprites": "h5py",
}


def documented_errors(name):
    text = sections(found(name)).get("Raises", "")
    return re.findall(r"^\w+", text, re.MULTILINE)


@pytest.fixture(scope="module")
def model():
    return small().fit(X)


@pytest.mark.parametrize("name", [n for n in [*PUBLIC, *METHODS] if n in CALLS])
def test_each_documented_error_is_raised(name, model, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKLEARN_DAAE_CACHE", str(tmp_path))
    hidden = next((HIDDEN[k] for k in HIDDEN if name.startswith(k)), None)
    if hidden is not None:
        pytest.importorskip(hidden)
    kinds = documented_errors(name)
    assert set(kinds) == set(CALLS[name])
    for kind in kinds:
        for call in CALLS[name][kind] or ():
            with monkeypatch.context() as patch:
                if kind == "ImportError":
                    patch.setitem(sys.modules, hidden, None)
                with pytest.raises(Exception) as raised:  # noqa: PT011
                    call(model)
            # A parameter that is not valid raises what is a ValueError first of all.
            names = [one.__name__ for one in inspect.getmro(raised.type)]
            told = next((one for one in names if one in kinds), None)
            assert told == kind, (inspect.getsource(call), raised.value)


def test_all_documented_errors_are_tried():
    assert {n for n in [*PUBLIC, *METHODS] if documented_errors(n)} == set(CALLS)
