"""The convolutional network against PCA with as many components.

Trains a DAAE with ``network="conv"`` on images, and measures the squared error of
reconstructing images that were held out: of the ORL faces, the last two of each
person's ten, resized to 64 x 64; of MNIST, the test set::

    SKLEARN_DAAE_DATA=... python -m benchmarks.paper.convolutions --dataset faces

The network is the paper's with a quarter of its filters, for a CPU. A run that was
stopped goes on from its last epoch. What has been measured stands in
``benchmarks/paper/results/convolutions.json``.
"""

import argparse
import json
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from PIL import Image
from sklearn.decomposition import PCA

from benchmarks._records import (
    data_home,
    environment,
    load_mnist,
    train_resumably,
    write_json,
)
from sklearn_daae import DAAETransformer

RESULTS = Path(__file__).parent / "results" / "convolutions.json"
SETTINGS = {
    "faces": {
        "image_shape": (1, 64, 64),
        "sigma": 0.1,
        "learning_rate": 1e-3,
        "adversarial_weight": 0.1,
        "discriminator_learning_rate": 1e-4,
        "batch_size": 16,
    },
    "mnist": {"image_shape": (1, 28, 28), "sigma": 0.1, "learning_rate": 5e-4},
}
EPOCHS = {"faces": 300, "mnist": 10}


def load_faces():
    """Return the faces to train on and those held out, as uint8 rows."""
    parts = {"train": [], "test": []}
    with ZipFile(data_home() / "faces" / "orl_faces.zip") as archive:
        for person in range(1, 41):
            for k in range(1, 11):
                picture = archive.read(f"orl_faces/s{person}/{k}.pgm")
                image = Image.open(BytesIO(picture)).resize((64, 64), Image.BILINEAR)
                parts["test" if k > 8 else "train"].append(np.asarray(image).ravel())
    return np.array(parts["train"]), np.array(parts["test"])


def load(dataset):
    """Return rows to train on and rows held out, in [0, 1]."""
    if dataset == "faces":
        return [part.astype(np.float32) / 255 for part in load_faces()]
    splits = load_mnist()
    return splits["train"][0], splits["test"][0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", choices=SETTINGS, default="faces")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--n-components", type=int, default=10)
    parser.add_argument("--n-filters", type=int, default=16)
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=Path(".data/checkpoints"),
        help="folder for the state of unfinished runs",
    )
    arguments = parser.parse_args()
    epochs = arguments.epochs or EPOCHS[arguments.dataset]
    X_train, X_test = load(arguments.dataset)

    model = DAAETransformer(
        arguments.n_components,
        network=("conv", {"n_filters": arguments.n_filters}),
        random_state=arguments.random_state,
        **SETTINGS[arguments.dataset],
    )
    key = (
        f"{arguments.dataset}, {arguments.n_components} components, "
        f"{arguments.n_filters} filters, {epochs} epochs, "
        f"seed {arguments.random_state}"
    )
    checkpoint = arguments.checkpoints / f"convolutions-{key.replace(', ', '-')}"
    model, seconds = train_resumably(model, X_train, epochs, checkpoint)
    pca = PCA(arguments.n_components, random_state=0).fit(X_train)
    X_pca = pca.inverse_transform(pca.transform(X_test))
    records = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    records[key] = {
        "held_out_error": -model.score(X_test),
        "held_out_error_of_pca": float(((X_pca - X_test) ** 2).mean()),
        "n_train": len(X_train),
        "n_held_out": len(X_test),
        "training_seconds": round(seconds, 1),
        **model.history_[-1],
        "environment": environment(),
    }
    write_json(RESULTS, records)
    print(key, records[key], flush=True)


if __name__ == "__main__":
    main()
