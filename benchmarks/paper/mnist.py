"""MNIST, Tables IV to VI: classification, log-likelihood and reconstruction error.

Trains each model in the paper's setting (appendix E), epoch by epoch, and measures
the test accuracy of ``SVC()`` on the encodings of the 50,000 training images, the
squared error of reconstructing corrupted test images, and the log-likelihood of the
test images under a Parzen window on 10,000 samples x(t) of the Markov chain, whose
bandwidth is the best of ``logspace(-1, 0, 10)`` on the validation images::

    SKLEARN_DAAE_DATA=... python -m benchmarks.paper.mnist --epochs 10

A run that was stopped goes on from its last epoch. What has been measured stands in
``benchmarks/paper/results/mnist.json``.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.svm import SVC

from benchmarks._records import (
    environment,
    load_mnist,
    train_resumably,
    write_json,
)
from sklearn_daae import AAETransformer, DAAETransformer, iDAAETransformer
from sklearn_daae.metrics import (
    parzen_log_likelihood,
    reconstruction_error,
    select_bandwidth,
)

MODELS = {
    "AAE": AAETransformer(n_components=10),
    "DAAE": DAAETransformer(n_components=10, sigma=0.5),
    "iDAAE_M5": iDAAETransformer(n_components=10, sigma=0.5, M=5),
    "iDAAE_M25": iDAAETransformer(n_components=10, sigma=0.5, M=25),
}
RESULTS = Path(__file__).parent / "results" / "mnist.json"


def evaluate(model, splits):
    """Return test accuracy in percent and the error of denoising test images."""
    X_train, y_train = splits["train"]
    X_test, y_test = splits["test"]
    classifier = SVC().fit(model.transform(X_train), y_train)
    accuracy = classifier.score(model.transform(X_test), y_test)
    return {
        "test_accuracy": 100 * accuracy,
        "reconstruction_error": reconstruction_error(model, X_test, random_state=0),
        "log_likelihood": log_likelihoods(model, splits),
    }


def log_likelihoods(model, splits, steps=(0, 1, 5)):
    """Return mean and standard error in nats, and the bandwidth, of each x(t)."""
    chain = model.sample(10_000, 0, n_steps=max(steps), return_chain=True)
    records = {}
    for t in steps:
        bandwidth = select_bandwidth(
            chain[t], splits["validation"][0], bandwidths=np.logspace(-1, 0, 10)
        )
        values = parzen_log_likelihood(splits["test"][0], chain[t], bandwidth=bandwidth)
        records[f"x({t})"] = {
            "mean": float(values.mean()),
            "standard_error": float(values.std() / np.sqrt(len(values))),
            "bandwidth": bandwidth,
        }
        print(f"    x({t}):", records[f"x({t})"], flush=True)
    return records


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=Path(".data/checkpoints"),
        help="folder for the state of unfinished runs",
    )
    arguments = parser.parse_args()
    splits = load_mnist()

    records = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in arguments.models:
        key = f"{name}, {arguments.epochs} epochs, seed {arguments.random_state}"
        model, seconds = train_resumably(
            MODELS[name].set_params(random_state=arguments.random_state),
            splits["train"][0],
            arguments.epochs,
            arguments.checkpoints / f"mnist-{name}-{arguments.random_state}",
        )
        records[key] = {
            **evaluate(model, splits),
            "training_seconds": round(seconds, 1),
            **model.history_[-1],
            "environment": environment(),
        }
        write_json(RESULTS, records)
        print(key, records[key], flush=True)


if __name__ == "__main__":
    main()
