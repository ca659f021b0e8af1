"""The data that models are compared on, as it comes: nothing is scaled here."""

from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
)

from benchmarks.paper.data import load_faces
from sklearn_daae.datasets import fetch_mnist, fetch_omniglot, fetch_sprites


class Dataset(NamedTuple):
    """Rows, what is to be told of them, and how.

    A label of -1 is none: such rows are there to learn from.
    """

    X: np.ndarray
    y: np.ndarray  # or of shape (n_samples, n_attributes)
    n_components: int
    is_image: bool = False
    is_regression: bool = False


def orl_faces():
    """Return 400 photographs of 40 people, 64 x 64."""
    parts = load_faces().values()
    X, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return X, y.argmax(1)


def some_of_mnist():
    """Return 3,000 of the 50,000 training images."""
    X, y = fetch_mnist(subset="train", return_X_y=True)
    rows = np.random.default_rng(0).choice(len(X), 3000, replace=False)
    return np.array(X[rows]), np.array(y[rows])


def some_of_omniglot():
    """Return 2,000 drawings of 100 characters, 28 x 28; 20 characters have labels."""
    characters = np.random.default_rng(0).permutation(964)[:100]
    images, labels = [], []
    for subset in ("train", "test"):
        drawings = fetch_omniglot(subset=subset)
        for row in np.flatnonzero(np.isin(drawings.target, characters)):
            image = Image.fromarray(np.uint8(255 * drawings.images[row]))
            image = image.resize((28, 28), Image.BOX)
            images.append(np.asarray(image, dtype=np.float32).ravel() / 255)
            labels.append(drawings.target[row])
    y = np.full(len(labels), -1)
    for label, character in enumerate(characters[:20]):
        y[np.equal(labels, character)] = label
    return np.array(images), y


def some_of_sprites():
    """Return 2,000 of the 88,822 training frames, with seven attributes each."""
    X, y = fetch_sprites(subset="train", return_X_y=True)
    rows = np.sort(np.random.default_rng(0).choice(len(X), 2000, replace=False))
    return np.array(X[rows]), np.array(y[rows])


# With their numbers of components: of tables, those in which PCA of standardised
# features keeps 90 % of the variance; of images the default of ten, or more where they
# are of many kinds.
DATASETS = {
    "wine": (load_wine, 8, {}),
    "breast cancer": (load_breast_cancer, 7, {}),
    "iris": (load_iris, 2, {}),
    "diabetes": (load_diabetes, 7, {"is_regression": True}),
    "digits": (load_digits, 10, {"is_image": True}),
    "ORL faces": (orl_faces, 20, {"is_image": True}),
    "MNIST": (some_of_mnist, 10, {"is_image": True}),
    "Omniglot": (some_of_omniglot, 50, {"is_image": True}),
    "Sprites": (some_of_sprites, 20, {"is_image": True}),
}


@cache
def load(name):
    """Return a `Dataset`."""
    function, n_components, kind = DATASETS[name]
    of_scikit_learn = (
        {"return_X_y": True} if function.__module__.startswith("sk") else {}
    )
    X, y = function(**of_scikit_learn)
    return Dataset(X, y, n_components, **kind)
