"""The parameters that all estimators have, and their checks."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from skorch.callbacks import Callback

from ._losses import RECONSTRUCTION_LOSSES
from ._optimizers import split_optimizer
from ._sklearn_compat import Interval, StrOptions

# The constraint on the sizes of hidden layers: one, or several.
LAYER_SIZES = ["array-like", Interval(Integral, 1, None, closed="left")]

# The parameters that what is already trained was made with.
_STRUCTURE = [
    "n_components",
    "encoder_layer_sizes",
    "decoder_layer_sizes",
    "discriminator_layer_sizes",
    "encoder",
    "decoder",
    "discriminator",
    "optimizer",
    "discriminator_optimizer",
]


# dataclass writes `__init__`: every parameter stands once, in the class that owns it,
# and not again in the signature and the body of each estimator's constructor. What it
# writes is the plain constructor that scikit-learn asks for.
@dataclass(eq=False, repr=False, kw_only=True)
class AutoencoderParameters(BaseEstimator):
    """The parameters that all estimators have. Nothing is checked before `fit`."""

    n_components: int = field(default=10, kw_only=False)
    reconstruction_loss: str = "auto"
    encoder_layer_sizes: Sequence[int] = (1000, 1000)
    decoder_layer_sizes: Sequence[int] = (1000, 1000)
    encoder: Callable[[int, int], torch.nn.Module] | None = None
    decoder: Callable[[int, int], torch.nn.Module] | None = None
    optimizer: str | tuple[str, dict] = "adam"
    learning_rate: float = 2e-4
    learning_rate_decay: float = 1.0
    batch_size: int = 64
    max_epochs: int = 100
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    tol: float = 1e-4
    warm_start: bool = False
    callbacks: list | None = None
    device: str | torch.device = "auto"
    precision: str = "float32"
    verbose: int = 0
    random_state: int | np.random.RandomState | None = None

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "reconstruction_loss": [StrOptions({"auto", *RECONSTRUCTION_LOSSES})],
        "encoder_layer_sizes": LAYER_SIZES,
        "decoder_layer_sizes": LAYER_SIZES,
        "encoder": [callable, None],
        "decoder": [callable, None],
        "optimizer": [str, tuple, list],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_decay": [Interval(Real, 0, 1, closed="right")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
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

    def _check_parameters(self):
        """Check all parameters, together with what no constraint can express."""
        self._validate_params()
        for name, value in self.get_params(deep=False).items():
            if name.endswith("_layer_sizes"):
                _check_layer_sizes(name, value)
            elif name.endswith("optimizer") and value is not None:
                split_optimizer(name, value)
            elif isinstance(value, torch.nn.Module):
                raise ValueError(
                    f"{name} must be a callable that makes a module, for example a "
                    f"class or a function, but it is a module: {value!r}."
                )
        for callback in self.callbacks or []:
            _check_callback(callback)

    def _structure(self):
        """Return the parameters that networks and optimisers are made with."""

        def plain(name, value):
            # 100, [100] and (100,) are the same layers; so are a list and a pair.
            if name.endswith("_layer_sizes") and value is not None:
                return tuple(np.atleast_1d(value).tolist())
            return deepcopy(tuple(value)) if isinstance(value, list | tuple) else value

        return {name: plain(name, getattr(self, name, None)) for name in _STRUCTURE}


def _check_layer_sizes(name, value):
    sizes = np.atleast_1d(np.asarray(value, dtype=object))
    if sizes.ndim > 1 or not all(isinstance(s, Integral) and s >= 1 for s in sizes):
        raise ValueError(
            f"{name}={value!r} must be the sizes of the hidden layers, integers from 1 "
            "up, for example (1000, 1000)."
        )


def _check_callback(value):
    callback = value[1] if isinstance(value, tuple) and len(value) == 2 else value
    kind = callback if isinstance(callback, type) else type(callback)
    if not issubclass(kind, Callback):
        raise ValueError(
            f"callbacks must hold skorch callbacks, or pairs of a name and one, but it "
            f"holds {value!r}. scikit-learn's callbacks are set with set_callbacks."
        )
