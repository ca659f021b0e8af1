"""How long it takes to train many models as one, beside one after the other.

    python -m benchmarks.speed.together
    python -m benchmarks.speed.together --device cuda

First fits of K models by `fit_together`, which differ in their seeds, beside a fit of
one, in turn: on a CPU in the default networks for scikit-learn's digits, on a GPU in
those of MNIST with the paper's setting at batch 64. Then a whole `GridSearchCV`, twelve
candidates in front of an `SVC`, beside scikit-learn's: on a CPU on digits, in five
folds and at the defaults; on a GPU on noise of MNIST's size, in three folds and few
epochs. What is measured joins ``benchmarks/speed/results/steps.json``.
"""

import argparse
import json
import warnings
from functools import partial

import numpy as np
import sklearn.model_selection
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from benchmarks._records import environment, write_json
from benchmarks.speed.__main__ import RESULTS, seconds
from sklearn_daae import DAAETransformer, iDAAETransformer
from sklearn_daae.model_selection import GridSearchCV, fit_together

SIGMAS = 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8
GRIDS = {
    "DAAE": {"daae__sigma": SIGMAS},
    "iDAAE, M = 5": {"daae__sigma": SIGMAS[::3], "daae__M": [1, 3, 5]},
}
ON_CPU = {"max_epochs": 20}, (1, 4, 12, 40), {}, 5
ON_GPU = {"max_epochs": 3}, (1, 4, 16, 64), {"daae__max_epochs": 3}, 3


def models(device):
    """Return the two kinds of models."""
    kinds = {"DAAE": DAAETransformer, "iDAAE, M = 5": iDAAETransformer}
    own = {"DAAE": {}, "iDAAE, M = 5": {"M": 5}}
    made = {}
    for name, kind in kinds.items():
        make = kind if device == "cpu" else kind.as_published
        made[name] = make(**own[name], device=device, random_state=0)
    return made


def measure_fits(model, X, counts, repeats):
    """Return milliseconds of a step of K models, and how many of one's they are."""

    def fit(n_models):
        members = [clone(model).set_params(random_state=i) for i in range(n_models)]
        return seconds(lambda: fit_together(members, X))

    fitted = clone(model).fit(X)
    n_steps = fitted.net_.n_steps_
    for n_models in counts:  # what is set up once
        fit(n_models)
    durations = {n: [] for n in counts}
    for _ in range(repeats):
        for n_models in counts:
            durations[n_models].append(fit(n_models))
    durations = {n: np.array(d) for n, d in durations.items()}
    return {
        "ms_of_a_step": {
            n: 1000 * float(np.median(d)) / n_steps for n, d in durations.items()
        },
        "over_one": {
            n: float(np.median(d / durations[1])) for n, d in durations.items() if n > 1
        },
    }


def measure_search(model, grid, X, y, n_folds):
    """Return the seconds of searches, and how far from one by one their scores are."""
    pipeline = Pipeline([("daae", model), ("svm", SVC())])
    theirs = sklearn.model_selection.GridSearchCV(pipeline, grid, cv=n_folds)
    searches = {
        "one by one": theirs,
        "ours": GridSearchCV(pipeline, grid, cv=n_folds),
    }
    if model.device == "cpu":  # where one thread rounds otherwise than two do
        searches["n_jobs=2"] = clone(theirs).set_params(n_jobs=2)
    durations, scores, apart = {}, {}, {}
    for name, search in searches.items():
        durations[name] = seconds(partial(search.fit, X, y))
        scores[name] = search.cv_results_["mean_test_score"]
        apart[name] = 100 * float(np.abs(scores[name] - scores["one by one"]).max())
    return {
        "seconds": durations,
        "over_one_by_one": durations["ours"] / durations["one by one"],
        "points_apart": apart,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    device = arguments.device
    if device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no CUDA device on this machine")
    warnings.simplefilter("ignore", ConvergenceWarning)
    if device == "cpu":
        X, y = load_digits(return_X_y=True)
        short, counts, settings, n_folds = ON_CPU
    else:
        random = np.random.default_rng(0)
        X = random.random((6000, 784), dtype=np.float32)
        y = random.integers(10, size=len(X))
        short, counts, settings, n_folds = ON_GPU

    there = environment(device)
    machines = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    records = machines.setdefault(there["gpu"] or there["cpu"], {})
    for name, model in models(device).items():
        fits = clone(model).set_params(**short)
        record = measure_fits(fits, X, counts, arguments.repeats)
        print(f"as one, {name}: {json.dumps(record)}", flush=True)
        records[f"as one, {name}"] = {**record, "environment": there}
        write_json(RESULTS, machines)
    for name, model in models(device).items():
        grid = {**GRIDS[name], **{k: [v] for k, v in settings.items()}}
        record = measure_search(model, grid, X, y, n_folds)
        print(f"search, {name}: {json.dumps(record)}", flush=True)
        records[f"search, {name}"] = {**record, "environment": there}
        write_json(RESULTS, machines)


if __name__ == "__main__":
    main()
