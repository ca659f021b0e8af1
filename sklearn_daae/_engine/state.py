"""What a trained net is made of, to save, move, copy and restore it.

Of networks of ours that is how they are made, and arrays: it holds neither tensors nor
modules, so that files of plain data can hold it. Modules of the user's stay modules.
"""

import sys
import warnings
from contextlib import contextmanager
from copy import deepcopy

import joblib
import numpy as np
import torch
from sklearn.exceptions import InconsistentVersionWarning

from .._device import resolve_device
from .._model.losses import ReconstructionLoss
from .._model.module import Autoencoder, skeleton
from .optimizers import RunningAverage

# What nets are made with that is no part of their state elsewhere, and what changes in
# training beside weights and optimisers.
_SETTINGS = (
    *("objective", "optimizers", "learning_rates", "learning_rate_decay", "averaging"),
    *("precision", "random", "draws_globally", "has_own_networks", "structure"),
    *("callbacks", "verbose"),
)
_PROGRESS = "n_steps_", "splitter_", "least_losses_", "history_", "callbacks_"
# What else there is in a state.
_PARTS = (
    *("device", "is_trimmed", "loss", "scaling", "networks", "average"),
    *("n_steps_of_average", "optimizer_states"),
)


# What an estimator's state has the version of the package under.
VERSION_KEY = "_sklearn_daae_version"


def package_version():
    """Return the version of this package."""
    return sys.modules[__package__.partition(".")[0]].__version__


def check_saved(name, version, missing=()):
    """Warn of what another version has saved, and refuse what lacks something.

    Parameters
    ----------
    name : str
        Of the class.

    version : str or None
        Of the package, when it was saved; None of those that did not say so.

    missing : set of str
        What it has here, and has not in what was saved.
    """
    current = package_version()
    if missing:
        raise ValueError(
            f"This {name} was saved by version {version or 'unknown'} of sklearn-daae "
            f"and lacks {', '.join(sorted(missing))} of version {current}. Load it "
            "with the version that saved it, or fit it anew."
        )
    if str(version).split(".")[:2] != current.split(".")[:2]:
        warnings.warn(
            InconsistentVersionWarning(
                estimator_name=name,
                current_sklearn_version=current,
                original_sklearn_version=f"{version or 'unknown'} of sklearn-daae",
            ),
            stacklevel=3,
        )


def weights(net):
    """Return a copy of all weights, and of their average."""
    average = None if net.average_ is None else net.average_.state()
    # Tensor by tensor: of those that are parts of a larger one, no more than the part.
    return {
        name: value.clone() if torch.is_tensor(value) else deepcopy(value)
        for name, value in net.module_.state_dict().items()
    }, average


def load_weights(net, copy):
    """Put back what `weights` gave."""
    in_training, average = copy
    net.module_.load_state_dict(in_training)
    if average is not None:
        net.average_.load_state(average)


@contextmanager
def net_unchanged_on_error(net):
    """Put back all that a training changes, the device, too, if the body fails."""
    state = to_save(net)
    copied = "networks", "average", "optimizer_states", "random"
    state |= deepcopy({name: state[name] for name in copied})
    history = list(net.history_)
    try:
        yield
    except BaseException:
        vars(net).clear()
        load(net, state)
        net.history_[:] = history
        raise


@contextmanager
def unchanged_on_error(estimator):
    """Put every fitted attribute back, if the body fails."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        unfit(estimator)
        vars(estimator).update(before)
        raise


def unfit(estimator):
    """Take every fitted attribute away."""
    for name in [name for name in vars(estimator) if name.endswith("_")]:
        delattr(estimator, name)


def move(net, device):
    """Have a net go on elsewhere."""
    if device != net.device:
        load(net, {**to_save(net), "device": device})


def to_save(net, *, trimmed=False):
    """Return the state of a net on the CPU, so that it loads where there is no GPU.

    Trimmed, it is that of a net without what only training needs.
    """
    state = {name: getattr(net, name) for name in (*_SETTINGS, *_PROGRESS)}
    module, average, optimizer = net.module_, net.average_, net.optimizer_
    if trimmed:
        state["callbacks_"] = []
        module, average, optimizer = net.model_, None, None
    return {
        **state,
        "device": str(net.device),
        "is_trimmed": optimizer is None,  # by `trim_for_prediction`
        "loss": net.module_.loss.loss,
        "scaling": net.module_.scaling,
        "networks": _networks(module),
        "average": None if average is None else _networks(average.module),
        "n_steps_of_average": None if average is None else average.n_steps,
        "optimizer_states": optimizer and as_arrays(optimizer.state_dict()),
    }


def load(net, state):
    """Load a state onto the device that it names, or the CPU where that is not here."""
    missing = {*_SETTINGS, *_PROGRESS, *_PARTS} - state.keys()
    if missing:
        check_saved(type(net).__name__, None, missing)
    try:
        device = resolve_device(torch.device(state["device"]))
    except ValueError:
        device = torch.device("cpu")
    settings = {name: state[name] for name in _SETTINGS}
    module = _module(state["networks"], state)
    net.__init__(module, ReconstructionLoss(state["loss"]), device=device, **settings)
    net.initialize()
    vars(net).update({name: state[name] for name in _PROGRESS})
    if state["average"] is not None:
        average = _module(state["average"], state).to(device)
        net.average_ = RunningAverage(average, state["n_steps_of_average"])
    if state["is_trimmed"]:
        net.trim_for_prediction()
    else:
        net.optimizer_.load_state_dict(as_tensors(state["optimizer_states"]))


def _networks(module):
    """Return how networks are made, and their weights; or the module, on the CPU."""
    if module.plan is not None:
        weights = module.state_dict()
        as_made = skeleton(module.plan, module.loss.loss, module.scaling)
        # What was changed by hand since, pruned, say, is as good as the user's own.
        is_as_made = str(module) == str(as_made)
        if is_as_made and _shapes(weights) == _shapes(as_made.state_dict()):
            return {"plan": module.plan, "weights": as_arrays(weights)}
    is_here = all(
        tensor.device.type == "cpu" for tensor in module.state_dict().values()
    )
    return module if is_here else deepcopy(module).cpu()


def _module(networks, state):
    """Return the module that `_networks` told of."""
    if isinstance(networks, Autoencoder):
        return networks
    module = skeleton(networks["plan"], state["loss"], state["scaling"])
    module.load_state_dict(as_tensors(networks["weights"]), assign=True)
    return module.eval()


def _shapes(weights):
    return {name: tensor.shape for name, tensor in weights.items()}


def as_arrays(state):
    """Return what holds tensors with arrays in their place, of the same memory."""
    if isinstance(state, torch.Tensor):
        return state.detach().cpu().numpy()
    if isinstance(state, dict):
        return {key: as_arrays(value) for key, value in state.items()}
    if type(state) is tuple:
        return tuple(as_arrays(value) for value in state)
    return state


def as_tensors(state, make=torch.tensor):
    """Return what holds arrays with tensors in their place, in memory of their own."""
    if isinstance(state, np.ndarray):
        return make(state)
    if isinstance(state, dict):
        return {key: as_tensors(value, make) for key, value in state.items()}
    if type(state) is tuple:
        return tuple(as_tensors(value, make) for value in state)
    return state


class TrainedBefore:
    """What fits have come to, by the data that they were given.

    A model that has been handed it, by `set_params`, takes over what is here of its
    data in its next `fit`, and forgets it.
    """

    # The name that `set_params` knows it by.
    parameter = "_trained_before"

    def __init__(self):
        self.ends = {}

    @staticmethod
    def key(X):
        """Return what tells data from other data."""
        if torch.is_tensor(X):
            X = X.detach().cpu().numpy()
        return joblib.hash(X, coerce_mmap=True)

    def add(self, key, model):
        """Keep what a model's fit on the data of a key has come to."""
        known = model.get_params(deep=False)
        self.ends[key] = {k: v for k, v in vars(model).items() if k not in known}

    def give(self, model, X):
        """Give a model what the fit on X has come to, if it is known, and say so."""
        fitted = self.ends.get(self.key(X))
        vars(model).update(fitted or {})
        return fitted is not None
