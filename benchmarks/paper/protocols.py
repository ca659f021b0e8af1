"""What each data set of the paper is learned with: its data, models and epochs.

The settings are the paper's, as its text and its authors' code give them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from io import BytesIO
from zipfile import ZipFile

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.preprocessing import FunctionTransformer

from benchmarks._records import data_home
from benchmarks.paper.baselines import PCABaseline
from sklearn_daae import (
    AAETransformer,
    DAAETransformer,
    DAETransformer,
    DVAETransformer,
    VAETransformer,
    iDAAETransformer,
)
from sklearn_daae.datasets import (
    fetch_celeba,
    fetch_mnist,
    fetch_omniglot,
    fetch_sprites,
)

# Parameters that a record has at a place of their own, or that change nothing.
_NO_SETTINGS = {"device", "random_state", "precision", "max_epochs", "warm_start"}


def settings_of(model):
    """Return those parameters of a model that are not the paper's, for JSON."""
    is_ours = hasattr(model, "max_epochs")
    defaults = type(model).as_published().get_params() if is_ours else {}
    settings = {
        name: value
        for name, value in model.get_params().items()
        if name not in _NO_SETTINGS
        and (name not in defaults or value != defaults[name])
    }
    return json.loads(json.dumps(settings, default=repr))


@dataclass(frozen=True)
class Protocol:
    """How models of one data set are trained."""

    # Returns the parts of the data by name, each (X, y): at least "train" and "test".
    load: Callable
    # By name, with all of the paper's settings but the number of epochs.
    models: dict
    # Of the paper.
    epochs: int
    # What changes in an hour on two CPU cores: "max_epochs", and parameters.
    cpu: dict = field(default_factory=dict)
    # Of models for which that would be more than an hour.
    cpu_of_models: dict = field(default_factory=dict)
    # The best settings that we found for some of the models, by "MODEL_RECIPE", with
    # epochs of their own.
    tuned: dict = field(default_factory=dict)

    @property
    def all_models(self):
        """The paper's models, and those that we tuned."""
        return self.models | self.tuned

    def epochs_of(self, name):
        """Return how many epochs of a model are a whole training."""
        return self.tuned[name].max_epochs if name in self.tuned else self.epochs

    def model(self, name, budget, epochs=None):
        """Return an unfitted model; its `max_epochs` is how long it is to be trained.

        Parameters
        ----------
        name : str
            Of the model.

        budget : {"paper", "cpu"}
            How much work it may be.

        epochs : int, default=None
            Other than the budget's.
        """
        model = clone(self.all_models[name])
        if not hasattr(model, "max_epochs"):
            return model
        settings = {"max_epochs": self.epochs_of(name)}
        if budget == "cpu" and name not in self.tuned:
            changes = self.cpu | self.cpu_of_models.get(name, {})
            # The baselines lack a discriminator.
            settings |= {k: v for k, v in changes.items() if hasattr(model, k)}
        if epochs is not None:
            settings["max_epochs"] = epochs
        return model.set_params(**settings)

    def changes(self, name, settings):
        """Return those of a training's settings that are not the model's here."""
        model = self.all_models.get(name)
        paper = settings if model is None else settings_of(model)
        return {
            key: settings[key]
            if key in settings
            else getattr(type(model).as_published(), key)
            for key in sorted(settings.keys() | paper.keys())
            if settings.get(key) != paper.get(key)
        }

    def recipe(self, name):
        """Return parameters of a tuned model that are not the defaults."""
        model = self.tuned[name]
        defaults = type(model)().get_params()
        return {
            key: value
            for key, value in model.get_params().items()
            if key not in _NO_SETTINGS and value != defaults[key]
        }


def family(settings, *, sigma, M, adversarial=None):
    """Return one model of each kind, with settings that they have in common.

    Parameters
    ----------
    settings : dict
        Parameters of all models.

    sigma : float
        Level of the corruption, where there is one.

    M : int
        Integration steps of the iDAAE.

    adversarial : dict, default=None
        Parameters of those with a discriminator.
    """
    players = settings | (adversarial or {})
    return {
        "AAE": AAETransformer.as_published(**players),
        "DAAE": DAAETransformer.as_published(sigma=sigma, **players),
        "iDAAE": iDAAETransformer.as_published(sigma=sigma, M=M, **players),
        "DAE": DAETransformer.as_published(sigma=sigma, **settings),
        "VAE": VAETransformer.as_published(**settings),
        # The paper's numbers of it are others', who do not say which beta they took.
        "beta-VAE": VAETransformer.as_published(beta=4.0, **settings),
        "DVAE": DVAETransformer.as_published(sigma=sigma, **settings),
        "PCA": PCABaseline(settings["n_components"], sigma=sigma),
        "pixels": FunctionTransformer(),
    }


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


def of_digits(models):
    """Return the models of appendix E, from one of each kind."""
    models["iDAAE_M5"] = models.pop("iDAAE")
    models["iDAAE_M25"] = clone(models["iDAAE_M5"]).set_params(M=25)
    models["DAAE_ring2d"] = clone(models["DAAE"]).set_params(
        n_components=2, prior="ring"
    )
    return models


# Images moved, turned, scaled and sheared a little.
MOVED = {"corruption": "moved", "image_shape": (1, 28, 28)}


def tuned_for_mnist():
    """Return the best settings that we found for MNIST, by what they are best for.

    They are the package's defaults, but for what is said here.
    """
    kinds = {
        "DAAE": DAAETransformer,
        "iDAAE_M5": partial(iDAAETransformer, M=5),
    }
    models = {}
    for name, kind in kinds.items():
        models[f"{name}_features"] = kind(10, max_epochs=40, **MOVED)
        models[f"{name}_reconstruction"] = kind(10, max_epochs=40)
    for name, kind in {"AAE": AAETransformer, **kinds}.items():
        settings = {"adversarial_weight": 0.3, "max_epochs": 100}
        models[f"{name}_samples"] = kind(10, **settings)
    return models


def to_tune():
    """Return candidates for the settings for MNIST, around those that we chose."""
    weights = (0.03, 0.1, 0.3)
    models = {f"DAAE-weight{w}": {"adversarial_weight": w} for w in weights}
    models |= {"DAAE-moved": MOVED, "DAAE-separate": {"update": "separate"}}
    return {
        name: DAAETransformer(10, max_epochs=10, **settings)
        for name, settings in models.items()
    }


def of_faces(models):
    """Return the models of the figures of faces, from one of each kind.

    What Figure 15 varies is not legible in the paper: here what its text names.
    """
    for sigma in (0.1, 1.0):
        models[f"DAAE_sigma{sigma}"] = clone(models["DAAE"]).set_params(sigma=sigma)
    for name in ("iDAAE", "PCA"):
        models[f"{name}_sigma0.1"] = clone(models[name]).set_params(sigma=0.1)
    models["iDAAE_M5"] = clone(models["iDAAE"]).set_params(M=5)
    return models


@cache
def protocols():
    """Return the protocols of all data sets, by name."""
    small = {
        "n_components": 8,
        "encoder_layer_sizes": (64,),
        "decoder_layer_sizes": (64,),
        "learning_rate": 2e-3,
    }
    digits = family(
        small, sigma=0.25, M=5, adversarial={"discriminator_layer_sizes": (64,)}
    )
    mnist = family({"n_components": 10}, sigma=0.5, M=5)
    omniglot = family(
        {
            "n_components": 200,
            "encoder_layer_sizes": (1000,) * 3,
            "decoder_layer_sizes": (1000,) * 6,
            "learning_rate": 1e-5,
        },
        sigma=0.5,
        M=5,
    )
    sprites = family(
        {
            "n_components": 200,
            "decoder_layer_sizes": (1000, 500, 500),
            "learning_rate": 1e-4,
            "learning_rate_decay": 0.95,
            "batch_size": 128,
        },
        sigma=0.25,
        M=5,
    )
    celeba = family(
        {
            "n_components": 200,
            "network": "conv",
            "image_shape": (3, 64, 64),
            "optimizer": "rmsprop",
            "learning_rate": 1e-4,
        },
        sigma=0.25,
        M=10,
        adversarial={"discriminator_optimizer": ("rmsprop", {"momentum": 0.1})},
    )
    faces = family(
        {
            "n_components": 10,
            "network": ("conv", {"n_filters": 16}),
            "image_shape": (1, 64, 64),
            "learning_rate": 1e-3,
            "batch_size": 16,
        },
        sigma=0.25,
        M=10,
        adversarial={"adversarial_weight": 0.1, "discriminator_learning_rate": 1e-4},
    )
    return {
        "digits": Protocol(load_digits_splits, of_digits(digits), epochs=50),
        "mnist": Protocol(
            load_mnist,
            of_digits(mnist),
            epochs=100,
            tuned=tuned_for_mnist(),
            cpu_of_models={
                "iDAAE_M5": {"max_epochs": 65},
                "iDAAE_M25": {"max_epochs": 25},
            },
        ),
        "mnist_tuning": Protocol(load_mnist_to_tune, to_tune(), epochs=8),
        # A fortieth of the paper's epochs, at fifty times its rate, which falls to a
        # tenth of that. Where the two players of the adversarial game had the rate of
        # the reconstruction, codes told nothing: the loss stayed at 0.21.
        "omniglot": Protocol(
            load_omniglot,
            omniglot,
            epochs=1000,
            cpu={
                "max_epochs": 25,
                "learning_rate": 5e-4,
                "learning_rate_decay": 0.9,
                "adversarial_weight": 0.1,
                "discriminator_learning_rate": 5e-5,
            },
            tuned={
                "DAAE_features": DAAETransformer(
                    200,
                    max_epochs=25,
                    corruption=(
                        "moved",
                        {"shift": 0.05, "degrees": 10, "stretch": 0.1},
                    ),
                    image_shape=(1, 105, 105),
                )
            },
        ),
        "sprites": Protocol(load_sprites, sprites, epochs=5),
        "celeba": Protocol(
            load_celeba,
            of_faces(celeba),
            epochs=100,
            cpu={"max_epochs": 2, "network": ("conv", {"n_filters": 16})},
        ),
        "faces": Protocol(load_faces, of_faces(faces), epochs=300),
    }
