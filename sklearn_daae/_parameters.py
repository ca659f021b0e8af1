"""The parameters that all estimators have, and their checks."""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from inspect import Parameter, Signature, signature
from numbers import Integral, Real
from typing import Any, ClassVar, Self, TypeAlias, dataclass_transform

import numpy as np
import torch
from sklearn.base import BaseEstimator

from ._checks import (
    as_pair,
    check_callback,
    check_image_shape,
    check_image_size,
    check_input_range,
    check_layer_sizes,
    check_options,
    refuse_change,
    split_choice,
)
from ._engine.optimizers import split_optimizer
from ._model.corruption import Corruption
from ._model.losses import check_loss
from ._model.networks import NETWORKS, check_network_options
from ._random import RandomState
from ._sklearn_compat import (
    Interval,
    InvalidParameterError,
    LinkedToReference,
    StrOptions,
)

# Constraints: on numbers of things, and on the sizes of hidden layers, one or several.
_NUMBER_OR_AUTO = [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})]
LAYER_SIZES = ["array-like", *_NUMBER_OR_AUTO]

# The settings of the paper, of those parameters that a model has.
_PUBLISHED = {
    "encoder_layer_sizes": (1000, 1000),
    "decoder_layer_sizes": (1000, 1000),
    "discriminator_layer_sizes": (1000, 1000),
    "network": ("mlp", {"shortcut": False}),
    "optimizer": "adam",
    "learning_rate": 2e-4,
    "batch_size": 64,
    "max_epochs": 100,
    "update": "separate",
    "adversarial_weight": 1.0,
    "corruption_level": "fixed",
    "scaling": None,
    "averaging": False,
}

# What gives a network: what makes one, one, or a fitted estimator.
Network: TypeAlias = Callable[..., torch.nn.Module] | torch.nn.Module | BaseEstimator

# The networks that a model may have, each a parameter and a part of its module.
NETWORK_NAMES = ("encoder", "decoder", "discriminator")

# What "auto" is, of which there are two: for up to so many rows, and for more. How
# they were chosen stands in doc/defaults.md.
_FEW_ROWS = 10_000
_LAYER_SIZES = {"few": (256, 256), "many": (1000, 1000)}
_HAS_SHORTCUT = {"few": True, "many": False}
_BATCH_SIZE = {"few": 64, "many": 128}
_DISCRIMINATOR_LAYER_SIZES = (64, 64)
# Wide rows take longer: of more features than this, there are fewer steps.
_N_STEPS = 1000
_N_FEATURES = 1000
_N_EPOCHS = 10, 100

# The parameters that what is already trained was made with.
_STRUCTURE = [
    "n_components",
    "encoder_layer_sizes",
    "decoder_layer_sizes",
    "discriminator_layer_sizes",
    "network",
    "image_shape",
    *NETWORK_NAMES,
    "scaling",
    "input_range",
    "missing_values",
    "update",
    "cycle_loss",
    "optimizer",
    "discriminator_optimizer",
]


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
def estimator(cls):
    """Write the plain constructor that scikit-learn asks for, from the class's fields.

    Every parameter stands once, in the class that owns it, and not again in the
    signature and the body of each estimator's constructor. `dataclass` writes it; what
    is added here is the order in which `help` shows them: `n_components`, a class's own
    parameters, and then those of its bases.
    """
    cls = dataclass(eq=False, repr=False, kw_only=True)(cls)
    owners = [vars(base).get("__annotations__", {}) for base in cls.__mro__]

    def place(parameter):
        has = [parameter.name in owned for owned in owners]
        return parameter.kind is Parameter.KEYWORD_ONLY, has.index(True)

    itself, *parameters = signature(cls.__init__).parameters.values()
    parameters.sort(key=place)
    cls.__init__.__signature__ = Signature([itself, *parameters])
    return cls


@estimator
class AutoencoderParameters(LinkedToReference, BaseEstimator):
    """The parameters that all estimators have. Nothing is checked before `fit`."""

    n_components: int = field(default=10, kw_only=False)
    reconstruction_loss: str | list[tuple[str, Any]] = "auto"
    encoder_layer_sizes: str | Sequence[int] = "auto"
    decoder_layer_sizes: str | Sequence[int] = "auto"
    network: str | tuple[str, dict] = "mlp"
    image_shape: tuple[int, int, int] | None = None
    encoder: Network | None = None
    decoder: Network | None = None
    scaling: str | None = "auto"
    input_range: tuple[float, float] | None = None
    missing_values: str | None = None
    optimizer: str | tuple[str, dict] = ("adam", {"betas": (0.5, 0.99)})
    learning_rate: float = 1e-3
    learning_rate_decay: float = 1.0
    averaging: bool = True
    batch_size: int | str = "auto"
    max_epochs: int | str = "auto"
    early_stopping: bool = False
    validation: str = "random"
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    tol: float = 1e-4
    warm_start: bool = False
    callbacks: list | None = None
    device: str | torch.device = "auto"
    precision: str = "float32"
    verbose: int = 0
    random_state: RandomState = None

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "reconstruction_loss": "no_validation",  # `check_loss` says more
        "encoder_layer_sizes": LAYER_SIZES,
        "decoder_layer_sizes": LAYER_SIZES,
        "network": "no_validation",  # those below say more themselves
        "image_shape": "no_validation",
        "encoder": [callable, BaseEstimator, None],
        "decoder": [callable, BaseEstimator, None],
        "scaling": [StrOptions({"auto", "standard", "range"}), None],
        "input_range": "no_validation",
        "missing_values": [StrOptions({"mask"}), None],
        "optimizer": "no_validation",
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_decay": [Interval(Real, 0, 1, closed="right")],
        "batch_size": _NUMBER_OR_AUTO,
        "averaging": ["boolean"],
        "max_epochs": _NUMBER_OR_AUTO,
        "early_stopping": ["boolean"],
        "validation": [StrOptions({"random", "last"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "callbacks": [list, None],
        "device": [str, torch.device],
        "precision": [StrOptions({"float32", "bfloat16"})],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    @classmethod
    def as_published(cls, **params: Any) -> Self:
        """Return an estimator in the settings of the paper.

        Multilayer perceptrons of 1000 and 1000 units, Adam at a rate of 2e-4 on batches
        of 64 for 100 epochs, updates as Algorithm 1 has them, all rows corrupted at
        `sigma`, weights as the last step leaves them, and X as it is (or, with an
        `input_range`, mapped to [0, 1]).

        Parameters
        ----------
        **params : dict
            Parameters of the estimator that are to be others.

        Returns
        -------
        estimator : estimator
            Not fitted.

        Raises
        ------
        ValueError
            If the estimator has no such parameter.

        See Also
        --------
        set_params : Sets parameters of one that there is.

        Examples
        --------
        >>> from sklearn_daae import DAETransformer
        >>> DAETransformer.as_published(sigma=0.25).max_epochs
        100
        """
        has = cls().get_params(deep=False)
        settings = {name: v for name, v in _PUBLISHED.items() if name in has}
        if params.get("input_range") is not None:
            settings["scaling"] = "range"
        return cls().set_params(**{**settings, **params})

    def _check_parameters(self):
        """Check all parameters, together with what no constraint can express."""
        self._validate_params()
        for name, value in self.get_params(deep=False).items():
            self._refuse_flag(name, value)
            if name.endswith("_layer_sizes"):
                check_layer_sizes(name, value)
            elif name == "optimizer" or (
                name.endswith("optimizer") and value is not None
            ):
                split_optimizer(name, value)
        for callback in self.callbacks or []:
            check_callback(callback)
        check_loss(self.reconstruction_loss)
        if self.image_shape is not None:
            check_image_shape(self.image_shape)
        self._check_scaling()
        self._check_network()
        self._corruption()

    def _refuse_flag(self, name, value):
        """Refuse True and False where a number is asked for: Python counts them in."""
        wanted = self._parameter_constraints.get(name, ())
        has_number = any(isinstance(one, Interval) for one in wanted)
        if has_number and isinstance(value, bool | np.bool_):
            raise InvalidParameterError(
                f"The {name!r} parameter of {type(self).__name__} must be a number. "
                f"Got {value!r} instead."
            )

    def _check_scaling(self):
        if self.input_range is not None:
            check_input_range(self.input_range)
            if self.scaling not in ("auto", "range"):
                raise ValueError(
                    f"scaling={self.scaling!r} makes no use of input_range="
                    f"{self.input_range!r}. Use scaling='range', or input_range=None."
                )
        elif self.scaling == "range":
            raise ValueError(
                "scaling='range' needs input_range=(low, high), the least and the "
                "greatest value that X may have, such as (0, 255)."
            )
        if self.scaling == "standard" and self.reconstruction_loss == "bce":
            raise ValueError(
                "reconstruction_loss='bce' is of values in [0, 1], but "
                "scaling='standard' gives others. Use reconstruction_loss='mse', or "
                "scaling='range' with an input_range, or scaling=None."
            )

    def _check_network(self):
        example = "('conv', {'n_filters': 32})"
        name, options = split_choice("network", self.network, NETWORKS, example)
        for make in NETWORKS[name].values():
            check_options("network", self.network, options, make)
        check_network_options(self.network, options)
        if name == "conv" and None in (self.encoder, self.decoder):
            if self.image_shape is None:
                raise ValueError(
                    f"network={self.network!r} needs image_shape=(channels, height, "
                    "width), the shape of the image that each row of X is."
                )
            _, height, width = self.image_shape
            if min(height, width) < 16:
                raise ValueError(
                    f"network={self.network!r} needs images of at least 16 x 16, but "
                    f"image_shape={self.image_shape!r}, (channels, height, width), has "
                    f"{height} x {width}. Use network='mlp' for smaller ones."
                )

    def _structure(self):
        """Return the parameters that networks and optimisers are made with."""

        def plain(name, value):
            # 100, [100] and (100,) are the same layers; "adam" and ("adam", {}) the
            # same optimiser.
            is_word = name in ("scaling", "missing_values", "update", "cycle_loss")
            if value is None or is_word or name in NETWORK_NAMES:
                return value
            if name.endswith(("_layer_sizes", "_shape", "_range")):
                is_auto = isinstance(value, str)
                return value if is_auto else tuple(np.atleast_1d(value).tolist())
            return deepcopy(as_pair(value) or value)

        return {name: plain(name, getattr(self, name, None)) for name in _STRUCTURE}

    def _check_structure(self, before, n_features):
        """Refuse to go on with what was made with other parameters, or of another X."""
        structure = self._structure()
        if structure["image_shape"] is not None:
            check_image_size(structure["image_shape"], n_features)
        kind, _ = structure["network"]
        for name, value in before.items():
            # Fully connected networks know nothing of the shape of images.
            is_used = name != "image_shape" or kind != "mlp"
            if is_used and structure[name] != value:
                refuse_change(name, value, structure[name])

    def _optimizer(self, update):
        """Return name and options of the optimiser of an update, and its rate."""
        structure = self._structure()
        optimizer, rate = structure["optimizer"], self.learning_rate
        if len(update.networks) == 1:
            # A player may have parameters of its own.
            (network,) = update.networks
            network = network.removeprefix("cycle_")
            optimizer = structure.get(f"{network}_optimizer") or optimizer
            own_rate = getattr(self, f"{network}_learning_rate", None)
            rate = rate if own_rate is None else own_rate
        return optimizer, rate * update.rate

    def _resolved(self, n_samples):
        """Return what networks are made by, of so many rows: no longer "auto"."""
        structure, few_or_many = self._structure(), _size_class(n_samples)
        sizes = {
            "encoder_layer_sizes": _LAYER_SIZES[few_or_many],
            "decoder_layer_sizes": _LAYER_SIZES[few_or_many],
            "discriminator_layer_sizes": _DISCRIMINATOR_LAYER_SIZES,
        }
        resolved = {name: sizes[name] for name in sizes if structure[name] == "auto"}
        kind, options = structure["network"]
        if kind == "mlp":
            options = {"shortcut": _HAS_SHORTCUT[few_or_many], **options}
            resolved["network"] = kind, options
        names = "network", "image_shape", *sizes
        return {name: resolved.get(name, structure[name]) for name in names}

    def _n_epochs(self, n_samples, n_features):
        """Return how many passes over so many rows `fit` makes."""
        if self.max_epochs != "auto":
            return self.max_epochs
        n_steps = _N_STEPS * min(1, _N_FEATURES / n_features)
        n_batches = math.ceil(n_samples / self._batch_size(n_samples))
        least, most = _N_EPOCHS
        return max(least, min(math.ceil(n_steps / n_batches), most))

    def _batch_size(self, n_samples):
        """Return how many of so many rows are in a batch."""
        if self.batch_size != "auto":
            return self.batch_size
        return _BATCH_SIZE[_size_class(n_samples)]

    def _has_own_networks(self):
        return any(getattr(self, name, None) is not None for name in NETWORK_NAMES)

    def _draws_globally(self):
        """Tell whether networks may draw random numbers: the user's, and dropout."""
        _, options = self._structure()["network"]
        return self._has_own_networks() or bool(options.get("dropout"))

    def _corruption(self):
        """Return the corruption process, of level 0 in models that corrupt nothing."""
        return Corruption("gaussian", 0)


@estimator
class CorruptionParameters(AutoencoderParameters):
    """The parameters of the models that corrupt their input."""

    sigma: float | Sequence[float] = 0.5
    corruption: str | tuple[str, dict] | Callable = "gaussian"
    corruption_level: str = "mixed"

    _parameter_constraints: ClassVar[dict] = {
        "sigma": [Interval(Real, 0, None, closed="left"), "array-like"],
        "corruption": "no_validation",
        "corruption_level": [StrOptions({"mixed", "fixed"})],
    }

    def _corruption(self):
        return Corruption(
            self.corruption,
            self.sigma,
            level=self.corruption_level,
            scaling=getattr(self, "scaling_", None),
            image_shape=self.image_shape,
        )


def _size_class(n_samples):
    return "few" if n_samples <= _FEW_ROWS else "many"
