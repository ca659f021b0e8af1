"""Data and fitted models that many tests share."""

import io
import os
import re
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Callback

from sklearn_daae import (
    AAETransformer,
    ALICETransformer,
    DAAETransformer,
    DAETransformer,
    DVAETransformer,
    VAETransformer,
    iDAAETransformer,
)
from sklearn_daae._engine.stacks import Stack

# Test processes side by side must not each take all cores.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)

# The networks are small, so that a fit takes a fraction of a second.
SMALL = {
    "n_components": 4,
    "encoder_layer_sizes": (32,),
    "decoder_layer_sizes": (32,),
    "discriminator_layer_sizes": (32,),
    "learning_rate": 2e-3,
    "max_epochs": 2,
    "device": "cpu",
    "random_state": 0,
}
ADVERSARIAL = [AAETransformer, DAAETransformer, iDAAETransformer]
VARIATIONAL = [VAETransformer, DVAETransformer]
GAUSSIAN = [*VARIATIONAL, ALICETransformer]  # of which the encoder gives a Gaussian
ESTIMATORS = [*ADVERSARIAL, DAETransformer, *VARIATIONAL, ALICETransformer]


# Adam with torch's options, and networks without a way past their layers.
PLAIN = {"optimizer": "adam", "network": ("mlp", {"shortcut": False})}


def snippets(page, kind="python"):
    """Return the blocks of code of a page of Markdown, by the word that opens them."""
    return re.findall(rf"^```{kind}\n(.*?)^```", page, re.M | re.S)


def make(Estimator, *, published=False, **params):
    """Return a small estimator, with those of the parameters that it has.

    Parameters
    ----------
    Estimator : type
        Its class.

    published : bool, default=False
        Whether all else is to be as in the paper.

    **params
        Its parameters, where not those of `SMALL`.
    """
    known = {**SMALL, **params}
    unknown = set(known) - set().union(*(E().get_params() for E in ESTIMATORS))
    assert not unknown, unknown
    has = Estimator().get_params()
    known = {name: value for name, value in known.items() if name in has}
    return Estimator.as_published(**known) if published else Estimator(**known)


def assert_goes_on_as(now, was, X):
    """See that a copy of a model remembers, samples and trains as the model."""
    np.testing.assert_array_equal(
        now.sample(3, 0, n_steps=1), was.sample(3, 0, n_steps=1)
    )
    assert now.history_ == was.history_
    np.testing.assert_array_equal(
        weights(now.partial_fit(X)), weights(was.partial_fit(X))
    )


def expected_failures(estimator):
    """Return what scikit-learn expects to fail of its own models that draw batches.

    The exact statement, of the loss of a full batch, is in test_rows.
    """
    reason = "a row that is there twice has two corruptions, and is in two batches"
    return {
        f"check_sample_weight_equivalence_on_{kind}_data": reason
        for kind in ("dense", "sparse")
    }


# Of the trainings of two epochs that tests are content with.
SHORT_TRAINING = "ignore::sklearn.exceptions.ConvergenceWarning"

needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device"
)


class WatchesGradients(Callback):
    """Wants all gradients before any weight moves: the way of torch's optimisers."""

    def on_grad_computed(self, net, **kwargs):
        pass


@pytest.fixture(params=ESTIMATORS, ids=lambda c: c.__name__)
def Estimator(request):
    """Return each public estimator class in turn."""
    return request.param


@pytest.fixture(scope="session")
def digits():
    """Return 300 of scikit-learn's handwritten digits, in [0, 1], with labels."""
    X, y = load_digits(return_X_y=True)
    return (X[:300] / 16).astype(np.float32), y[:300]


@pytest.fixture(scope="session")
def X(digits):
    X = digits[0].copy()
    X.setflags(write=False)
    return X


@pytest.fixture(scope="session")
def y(digits):
    return digits[1]


@pytest.fixture(scope="module", params=ESTIMATORS, ids=lambda c: c.__name__)
def fitted(request, X):
    """Return each estimator, fitted. Tests leave it as it is."""
    return make(request.param).fit(X)


@pytest.fixture(scope="session")
def data_home():
    """Return the folder of the paper's data sets, or skip the test."""
    home = os.environ.get("SKLEARN_DAAE_DATA")
    if home is None or not Path(home).is_dir():
        pytest.skip("SKLEARN_DAAE_DATA does not name the folder of the data sets")
    return Path(home)


@pytest.fixture
def stacked(monkeypatch):
    """Return how many models each step has moved, at each step of a stack."""
    counts = []
    step = Stack.step

    def counted(self, start, x):
        counts.append(len(x))
        return step(self, start, x)

    monkeypatch.setattr(Stack, "step", counted)
    return counts


def weights(model):
    """Return all weights of a fitted model as one vector."""
    parameters = model.net_.module_.parameters()
    return torch.cat([p.detach().ravel() for p in parameters]).cpu().numpy()


# As many as CelebA has, and the twelve that the paper takes under their names.
CELEBA_ATTRIBUTES = [
    *(f"Attribute_{i}" for i in range(28)),
    *("Arched_Eyebrows", "Attractive", "Bangs", "Black_Hair", "Blond_Hair"),
    *("Heavy_Makeup", "Male", "Mouth_Slightly_Open", "No_Beard", "Wavy_Hair"),
    *("Wearing_Hat", "Wearing_Lipstick"),
]


def write_celeba(home, sizes):
    """Write an archive in the layout of CelebA's; return the names of its files.

    Of each picture the middle square is red on the left and blue on the right, and the
    rest is green. Every second one has an attribute.
    """
    from PIL import Image

    folder = home / "celeba"
    folder.mkdir(parents=True)
    names = [f"{i + 1:06d}.jpg" for i in range(len(sizes))]
    with ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        archive.writestr("img_align_celeba/", "")
        for name, (width, height) in zip(names, sizes, strict=True):
            side = min(width, height)
            pixels = np.full((height, width, 3), [0, 255, 0], np.uint8)
            top, left = (height - side) // 2, (width - side) // 2
            square = pixels[top : top + side, left : left + side]
            square[:, : side // 2] = [255, 0, 0]
            square[:, side // 2 :] = [0, 0, 255]
            file = io.BytesIO()
            image = Image.fromarray(pixels)
            image.save(file, "JPEG", quality=95, subsampling=0)
            archive.writestr(f"img_align_celeba/{name}", file.getvalue())
    attributes = [f"{len(names)}", " ".join(CELEBA_ATTRIBUTES) + " "]
    for i, name in enumerate(names):
        values = (1 if (i + j) % 2 else -1 for j in range(len(CELEBA_ATTRIBUTES)))
        attributes.append("  ".join([name, *map(str, values)]))
    (folder / "list_attr_celeba.txt").write_text("\n".join(attributes) + "\n")
    thirds = [f"{name} {3 * i // len(names)}" for i, name in enumerate(names)]
    (folder / "list_eval_partition.txt").write_text("\n".join(thirds) + "\n")
    return [path.name for path in folder.iterdir()]
