"""Does denoising help? Does the adversary? Does integrating? An ablation.

    SKLEARN_DAAE_DATA=... python -m benchmarks.value.ablation

The six models, by either update and with either kind of levels of the corruption where
they have these, all else as it is by default, on three data sets of images, from three
seeds. Each seed holds out another fifth of the rows, on which all is measured: no
default was chosen here. What has been measured is kept, a record for each data set and
seed, in ``benchmarks/value/results/ablation.json``, and not done again. Models of one
shape are trained as one.
"""

import argparse
import json
import warnings
from itertools import product
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from benchmarks._records import environment, markdown_table, write_json
from benchmarks.value.datasets import load
from benchmarks.value.measures import damaged, relative_error
from sklearn_daae import (
    AAETransformer,
    DAAETransformer,
    DAETransformer,
    DVAETransformer,
    VAETransformer,
    iDAAETransformer,
)
from sklearn_daae.metrics import (
    parzen_log_likelihood,
    prior_distance,
    select_bandwidth,
)
from sklearn_daae.model_selection import fit_together

RESULTS = Path(__file__).parent / "results" / "ablation.json"
DATASETS = "digits", "MNIST", "ORL faces"
SEEDS = 0, 1, 2
MODELS = {
    "AAE": AAETransformer,
    "DAAE": DAAETransformer,
    "iDAAE": iDAAETransformer,
    "DAE": DAETransformer,
    "VAE": VAETransformer,
    "DVAE": DVAETransformer,
}
# Headings, and how many decimals.
COLUMNS = {
    "accuracy": 1,
    "accuracy, noisy rows": 1,
    "error of clean rows": 3,
    "error of noisy rows": 3,
    "distance from the prior": 2,
    "x(0)": 0,
    "x(1)": 0,
}


def variants(n_components, seed):
    """Return all models by (model, update, levels)."""
    found = {}
    for (name, kind), update, level in product(
        MODELS.items(), ("joint", "separate"), ("mixed", "fixed")
    ):
        given = {"update": update, "corruption_level": level}
        has = kind().get_params()
        given = {key: value for key, value in given.items() if key in has}
        key = name, given.get("update", ""), given.get("corruption_level", "")
        found[key] = kind(n_components, random_state=seed, **given)
    return found


def measure(dataset, seed):
    """Return what each variant comes to on the rows that are held out."""
    data = load(dataset)
    X, X_test, y, y_test = train_test_split(
        data.X, data.y, test_size=0.2, stratify=data.y, random_state=seed
    )
    noisy = damaged(X_test, X, data.is_image, seed)["noise"]
    models = variants(data.n_components, seed)
    fit_together(models.values(), X)
    found = {}
    for key, model in models.items():
        classifier = SVC().fit(model.transform(X), y)
        numbers = [
            100 * classifier.score(model.transform(rows), y_test)
            for rows in (X_test, noisy)
        ]
        numbers += [
            relative_error(model.reconstruct(rows), X_test, X, data.is_image)
            for rows in (X_test, noisy)
        ]
        has_prior = hasattr(model, "prior")
        numbers.append(
            prior_distance(model, X_test, random_state=0) if has_prior else None
        )
        numbers += [log_likelihood(model, X, X_test, n_steps) for n_steps in (0, 1)]
        found[", ".join(word for word in key if word)] = dict(
            zip(COLUMNS, numbers, strict=True)
        )
    return found


def log_likelihood(model, X, X_test, n_steps):
    """Return that of the test rows, under 2,000 samples, in nats."""
    samples = model.sample(2000, 0, n_steps=n_steps)
    bandwidths = X.std() * np.logspace(-1.3, 0, 20)
    half = len(X_test) // 2
    bandwidth = select_bandwidth(samples, X_test[:half], bandwidths=bandwidths)
    return float(
        parzen_log_likelihood(X_test[half:], samples, bandwidth=bandwidth).mean()
    )


def tables(records):
    """Return a table for each data set: means over seeds, and what they differ by."""
    parts = []
    for dataset in DATASETS:
        of_seeds = [records[f"{dataset}, {seed}"]["figures"] for seed in SEEDS]
        rows = [["model", *COLUMNS]]
        for name in of_seeds[0]:
            row = [name]
            for column, decimals in COLUMNS.items():
                values = [figures[name][column] for figures in of_seeds]
                row.append("")
                if None not in values:
                    spread = np.std(values, ddof=1)
                    row[-1] = f"{np.mean(values):.{decimals}f} ± {spread:.{decimals}f}"
            rows.append(row)
        parts.append(f"**{dataset}**\n\n{markdown_table(rows)}")
    return "\n\n".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    path = parser.parse_args().results
    warnings.simplefilter("ignore", ConvergenceWarning)
    records = json.loads(path.read_text()) if path.exists() else {}
    for dataset, seed in product(DATASETS, SEEDS):
        key = f"{dataset}, {seed}"
        if key not in records:
            figures = measure(dataset, seed)
            records[key] = {"figures": figures, "environment": environment("cpu")}
            write_json(path, records)
            print(f"{key}: {json.dumps(figures)}", flush=True)
    print(tables(records))


if __name__ == "__main__":
    main()
