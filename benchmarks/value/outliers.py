"""How well outliers are told from the rest, beside an isolation forest and PCA.

    python -m benchmarks.value.outliers

Each model learns from half of the rows that are no outliers: digits without two of the
classes in turn, benign tumours, and wine without each cultivar in turn. It is scored on
the other half and on the outliers: the area under the ROC curve, the mean over seeds.
The last table leaves parts of the score out. What it printed stands in doc/value.md.
"""

import argparse
import warnings
from collections import defaultdict

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from benchmarks._records import environment, markdown_table
from sklearn_daae import DAAETransformer, DAETransformer
from sklearn_daae.outliers import AutoencoderOutlierDetector

N_COMPONENTS = {"digits": 16, "breast cancer": 5, "wine": 3}


def tasks(seed):
    """Yield the name of a data set, rows to learn from, rows to score, and labels."""
    X, y = load_digits(return_X_y=True)
    cases = [("digits", X, y == c) for c in (seed % 10, (seed + 5) % 10)]
    X, y = load_breast_cancer(return_X_y=True)
    cases += [("breast cancer", X, y == 0)]
    X, y = load_wine(return_X_y=True)
    cases += [("wine", X, y == c) for c in range(3)]
    random = np.random.default_rng(seed)
    for name, X, is_outlier in cases:
        normal = random.permutation(np.flatnonzero(~is_outlier))
        train, rest = np.split(normal, [len(normal) // 2])
        scored = np.r_[rest, np.flatnonzero(is_outlier)]
        yield name, X[train], X[scored], is_outlier[scored]


def contestants(name, X, seed):
    """Yield names and functions that give higher values for outliers."""
    k = N_COMPONENTS[name]
    forest = IsolationForest(random_state=seed).fit(X)
    yield "IsolationForest", lambda x: -forest.score_samples(x)
    scaler = StandardScaler(with_std=name != "digits").fit(X)
    pca = PCA(k).fit(scaler.transform(X))

    def error_of_pca(x):
        x = scaler.transform(x)
        return np.square(pca.inverse_transform(pca.transform(x)) - x).mean(1)

    yield "PCA, reconstruction error", error_of_pca
    for kind in (DAETransformer, DAAETransformer):
        detector = AutoencoderOutlierDetector(kind(k), random_state=seed).fit(X)
        label = kind.__name__.removesuffix("Transformer")
        model = detector.estimator_
        of_residuals, of_codes = detector._of_residuals, detector._of_codes

        def parts(x, detector=detector):
            return detector._residuals_and_codes(x)

        yield f"{label}, the detector", lambda x, d=detector: -d.score_samples(x)
        yield f"{label}, reconstruction error", lambda x, m=model: -m.score_samples(x)
        yield f"{label}, residuals alone", lambda x, f=of_residuals: f(parts(x)[0])
        yield f"{label}, codes alone", lambda x, f=of_codes: f(parts(x)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    areas = defaultdict(lambda: defaultdict(list))
    for seed in range(arguments.seeds):
        for name, X, scored, is_outlier in tasks(seed):
            for label, score in contestants(name, X, seed):
                areas[label][name].append(roc_auc_score(is_outlier, score(scored)))
    table = [["area under the ROC curve", *N_COMPONENTS, "mean"]]
    for label, of_sets in areas.items():
        means = [np.mean(of_sets[name]) for name in N_COMPONENTS]
        table.append([label, *(f"{mean:.3f}" for mean in (*means, np.mean(means)))])
    print(markdown_table(table))
    print(environment("cpu"))


if __name__ == "__main__":
    main()
