r"""Larger batches: which batch size and learning rate learn MNIST in the least time.

Trains the DAAE, of the paper's network and otherwise the paper's setting, on the
training split, and measures after every epoch on the 10,000 held-out validation images
the accuracy of ``SVC()`` (trained on the codes of 10,000 training images) and the
squared error of denoising. Then times epochs of all batch sizes in turn::

    SKLEARN_DAAE_DATA=... python -m benchmarks.speed.batch_sizes \
        --settings 64:2e-4 256:8e-4 --time

Settings that have been measured are not trained again. What has been measured stands in
``benchmarks/speed/results/batch_sizes.json``.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.svm import SVC

from benchmarks._records import environment, write_json
from benchmarks.paper.protocols import load_mnist
from sklearn_daae import DAAETransformer

RESULTS = Path(__file__).parent / "results" / "batch_sizes.json"


def validate(model, splits):
    """Return held-out accuracy in percent, and the error of denoising."""
    (X, y), (X_held_out, y_held_out) = splits["train"], splits["validation"]
    classifier = SVC().fit(model.transform(X[:10_000]), y[:10_000])
    X_hat = model.reconstruct(X_held_out, corrupt=True, random_state=0)
    return {
        "accuracy": 100 * classifier.score(model.transform(X_held_out), y_held_out),
        "reconstruction_error": float(((X_hat - X_held_out) ** 2).mean()),
    }


def learn(batch_size, learning_rate, precision, random_state, n_epochs, splits):
    """Return what is measured after every epoch."""
    model = DAAETransformer.as_published(
        batch_size=batch_size,
        learning_rate=learning_rate,
        precision=precision,
        random_state=random_state,
        device="cpu",
    )
    epochs = []
    for _ in range(n_epochs):
        model.partial_fit(splits["train"][0])
        epochs.append(validate(model, splits))
        print("   ", {k: round(v, 4) for k, v in epochs[-1].items()}, flush=True)
    return epochs


def time_epochs(batch_sizes, precision, X, repeats):
    """Return seconds per epoch of each batch size: medians of parts, in turn."""
    part = X[: 4 * max(batch_sizes)]
    models = {
        b: DAAETransformer.as_published(
            batch_size=b, precision=precision, device="cpu", random_state=0
        ).fit(X[:2])
        for b in batch_sizes
    }
    seconds = {b: [] for b in batch_sizes}
    for _ in range(repeats):
        for b, model in models.items():
            model.partial_fit(part)
            seconds[b].append(model.net_.history[-1, "dur"] * len(X) / len(part))
    return {b: float(np.median(s[1:])) for b, s in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", nargs="*", default=[])
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--random-states", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--time", action="store_true", help="time epochs as well")
    arguments = parser.parse_args()
    splits = load_mnist()
    records = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}

    for setting in arguments.settings:
        for random_state in arguments.random_states:
            batch_size, rate = setting.split(":")
            key = (
                f"batch {batch_size}, rate {float(rate):g}, {arguments.precision}, "
                f"seed {random_state}"
            )
            if key in records and len(records[key]["epochs"]) >= arguments.epochs:
                continue
            print(key, flush=True)
            records[key] = {
                "epochs": learn(
                    int(batch_size),
                    float(rate),
                    arguments.precision,
                    random_state,
                    arguments.epochs,
                    splits,
                ),
                "environment": environment(),
            }
            write_json(RESULTS, records)
    if arguments.time:
        sizes = sorted(
            {int(k.split()[1].strip(",")) for k in records if k.startswith("batch ")}
        )
        seconds = time_epochs(sizes, arguments.precision, splits["train"][0], 9)
        records[f"seconds per epoch, {arguments.precision}"] = {
            **{str(b): s for b, s in seconds.items()},
            "environment": environment(),
        }
        write_json(RESULTS, records)
        print(records[f"seconds per epoch, {arguments.precision}"])


if __name__ == "__main__":
    main()
