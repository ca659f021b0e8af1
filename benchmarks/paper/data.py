"""The data sets of the paper, in its parts, and those that stand in for them."""

from io import BytesIO
from zipfile import ZipFile

import numpy as np
from sklearn.datasets import load_digits

from benchmarks._records import data_home
from sklearn_daae.datasets import (
    fetch_celeba,
    fetch_mnist,
    fetch_omniglot,
    fetch_sprites,
)

# Of the 40, those of the paper.
CELEBA_ATTRIBUTES = (
    "Arched_Eyebrows",
    "Attractive",
    "Bangs",
    "Black_Hair",
    "Blond_Hair",
    "Heavy_Makeup",
    "Male",
    "Mouth_Slightly_Open",
    "No_Beard",
    "Wavy_Hair",
    "Wearing_Hat",
    "Wearing_Lipstick",
)


def load_digits_splits():
    """Return scikit-learn's small digits: to try everything out within a minute."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    parts = {"train": slice(1000), "validation": slice(1000, 1400)}
    parts["test"] = slice(1400, None)
    return {name: (X[rows], y[rows]) for name, rows in parts.items()}


def load_mnist():
    """Return MNIST in the paper's split."""
    return {
        subset: fetch_mnist(subset=subset, return_X_y=True)
        for subset in ("train", "validation", "test")
    }


def load_mnist_to_tune():
    """Return MNIST without its test set, to choose settings by.

    The validation images are halved: settings are compared on the one half, bandwidths
    chosen on the other.
    """
    data = load_mnist()
    X, y = data["validation"]
    halves = slice(5000), slice(5000, None)
    held_out, validation = ((X[half], y[half]) for half in halves)
    return {"train": data["train"], "validation": validation, "test": held_out}


def load_omniglot():
    """Return Omniglot in the paper's split."""
    return {
        subset: fetch_omniglot(subset=subset, return_X_y=True)
        for subset in ("train", "test", "evaluation")
    }


def load_sprites():
    """Return Sprites in the published split."""
    return {
        subset: fetch_sprites(subset=subset, return_X_y=True)
        for subset in ("train", "validation", "test")
    }


def load_celeba():
    """Return CelebA in the paper's split, with the paper's twelve attributes."""
    parts = {}
    for subset in ("train", "test"):
        faces = fetch_celeba(subset=subset)
        wanted = np.isin(faces.target_names, CELEBA_ATTRIBUTES)
        parts[subset] = faces.data, faces.target[:, wanted]
    return parts


def load_faces():
    """Return the ORL faces at 64 x 64, the last two of each person's ten held out.

    The labels are identities, one 0 / 1 column for each, in place of attributes.
    """
    from PIL import Image

    parts = {"train": ([], []), "test": ([], [])}
    with ZipFile(data_home() / "faces" / "orl_faces.zip") as archive:
        for person in range(40):
            for k in range(1, 11):
                picture = archive.read(f"orl_faces/s{person + 1}/{k}.pgm")
                image = Image.open(BytesIO(picture)).resize((64, 64), Image.BILINEAR)
                images, labels = parts["test" if k > 8 else "train"]
                images.append(np.asarray(image, dtype=np.float32).ravel() / 255)
                labels.append(person)
    return {
        name: (np.array(images), np.eye(40, dtype=np.uint8)[labels])
        for name, (images, labels) in parts.items()
    }
