"""What the defaults are worth, beside PCA and others, on nine data sets as they come.

    SKLEARN_DAAE_DATA=... python -m benchmarks.value
    python -m benchmarks.value --datasets wine digits --models PCA DAAE --seeds 0

Every model is made with `n_components` and `random_state` and nothing else, fitted on
the training rows of each of five folds, and used on the others: by `SVC()` and a linear
classifier on its codes, of clean rows and of damaged ones; to take the damage away; and
to tell rows of a class that it was not trained on (see `benchmarks.value.measures`).
Each fit has one core; two processes share the work.

What has been measured is kept, a file for each data set, model and seed, and not done
again. `python -m benchmarks.value.page` makes tables of it.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold

from benchmarks._records import environment, write_json
from benchmarks.value.datasets import DATASETS, load
from benchmarks.value.measures import (
    anomaly_score,
    damaged,
    median_filtered,
    relative_error,
    scores,
    with_noisy_copies,
)
from benchmarks.value.models import MODELS

RESULTS = Path(__file__).parent / "results"
N_FOLDS = 5
# Beside the models, what only finds anomalies, or only filters images.
SPECIALISTS = ("IsolationForest", "median filter")


def folds(data, seed):
    """Yield the rows to train on and to test on, a pair for each fold."""
    is_stratified = not data.is_regression and data.y.ndim == 1
    kind = StratifiedKFold if is_stratified else KFold
    return kind(N_FOLDS, shuffle=True, random_state=seed).split(data.X, data.y)


def measure(name, dataset, seed):
    """Return what is measured of a model, a list of one number for each fold."""
    torch.set_num_threads(1)
    data, found = load(dataset), {}
    for fold, (train, test) in enumerate(folds(data, seed)):
        tests = test if data.y.ndim > 1 else test[data.y[test] != -1]
        copies = {"clean": data.X[tests]}
        copies |= damaged(data.X[tests], data.X[train], data.is_image, seed)
        numbers = {}
        if name == "median filter":
            side = round((data.X.shape[1] / (3 if dataset == "Sprites" else 1)) ** 0.5)
            numbers |= denoising(
                lambda X, side=side: median_filtered(X, side), data, train, copies
            )
        elif name != "IsolationForest":
            model = MODELS[name](data.n_components, random_state=N_FOLDS * seed + fold)
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always", ConvergenceWarning)
                start = time.perf_counter()
                model.fit(data.X[train])
                numbers["seconds"] = time.perf_counter() - start
            of_training = [w for w in told if "Training did not" in str(w.message)]
            numbers["warnings"] = len(of_training)
            numbers |= classification(name, model, data, train, tests, copies, seed)
            if hasattr(model, "reconstruct"):
                numbers |= denoising(model.reconstruct, data, train, copies)
        if fold == 0:  # of another class for each seed
            numbers |= anomalies(name, data, train, test, seed)
        for key, value in numbers.items():
            found.setdefault(key, []).append(value)
    return found


def classification(name, model, data, train, tests, copies, seed):
    """Return scores of two classifiers on the codes."""
    if data.y.ndim == 1 and not data.is_regression:
        train = train[data.y[train] != -1]
    X, y = data.X[train], data.y[train]
    if name.endswith("noisy copies"):
        X, y = with_noisy_copies(X, y, data.is_image, seed)
    Z = model.transform(X)
    Z_of_tests = {k: model.transform(copy) for k, copy in copies.items()}
    numbers = {}
    for kind, is_linear in (("SVC", False), ("linear", True)):
        of_kind = scores(
            Z,
            y,
            Z_of_tests,
            data.y[tests],
            is_regression=data.is_regression,
            is_linear=is_linear,
        )
        numbers |= {f"{kind}, {copy}": score for copy, score in of_kind.items()}
    return numbers


def denoising(reconstruct, data, train, copies):
    """Return the errors of what is made of damaged rows."""
    return {
        f"error, {name}": relative_error(
            reconstruct(copy), copies["clean"], data.X[train], data.is_image
        )
        for name, copy in copies.items()
    }


def anomalies(name, data, train, test, seed):
    """Return how well rows of a class are found that was not trained on."""
    if data.is_regression or name in ("median filter", "raw features"):
        return {}
    labels = data.y if data.y.ndim == 1 else data.y[:, 0]
    classes = np.unique(labels[labels != -1])
    left_out = labels == classes[seed % len(classes)]
    if name == "IsolationForest":
        model = IsolationForest(random_state=seed)
    else:
        model = MODELS[name](data.n_components, random_state=seed)
    model.fit(data.X[train[~left_out[train]]])
    normal = data.X[test[~left_out[test]]]
    return {"anomalies": anomaly_score(model.score_samples, normal, data.X[left_out])}


def measure_and_write(name, dataset, seed, folder):
    """Measure what has no record yet, and write one."""
    path = folder / dataset / f"{name}-seed{seed}.json"
    if path.exists():
        return
    start = time.perf_counter()
    folds_of = measure(name, dataset, seed)
    record = {
        "dataset": dataset,
        "model": name,
        "seed": seed,
        "folds": folds_of,
        "environment": environment("cpu"),
    }
    write_json(path, record)
    means = {key: round(float(np.mean(v)), 3) for key, v in folds_of.items()}
    seconds = time.perf_counter() - start
    words = f"{dataset}, {name}, seed {seed}, {seconds:.0f} s: {json.dumps(means)}"
    print(words, flush=True)


def main(arguments=None):
    known = [*MODELS, *SPECIALISTS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.value",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=[*DATASETS])
    parser.add_argument("--models", nargs="+", choices=known, default=known)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--n-jobs", type=int, default=2, help="processes side by side")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder of the records"
    )
    arguments = parser.parse_args(arguments)
    work = [
        (name, dataset, seed, arguments.results)
        for seed in arguments.seeds
        for dataset in arguments.datasets
        for name in arguments.models
        if name != "median filter" or load(dataset).is_image
    ]
    # The data are mapped into every process, decoded once.
    Parallel(arguments.n_jobs, batch_size=1)(
        delayed(measure_and_write)(*task) for task in work
    )


if __name__ == "__main__":
    main()
