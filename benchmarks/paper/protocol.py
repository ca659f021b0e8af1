"""What a protocol is: how models of one data set are trained."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from sklearn.base import clone

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
        if budget == "cpu":
            changes = self.cpu | self.cpu_of_models.get(name, {})
            if name in self.tuned:  # which are cheap enough in smaller networks
                changes = {k: v for k, v in changes.items() if k == "network"}
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
