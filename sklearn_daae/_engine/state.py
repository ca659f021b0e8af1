"""What a trained net is made of, to save, move, copy and restore it.

Of networks of ours that is how they are made, and arrays: it holds neither tensors nor
modules, so that files of plain data can hold it. Modules of the user's stay modules.
"""

from contextlib import contextmanager
from copy import deepcopy

import joblib
import numpy as np
import torch

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
    """Have a net go on elsewhere; or here, where it was copied so that it cannot learn.

    That is, unpickled or copied under `torch.inference_mode`.
    """
    cannot_learn = any(p.is_inference() for p in net.module_.parameters())
    if device != net.device or cannot_learn:
        state = to_save(net)
        load(net, {**(deepcopy(state) if cannot_learn else state), "device": device})


def to_save(net):
    """Return the state of a net on the CPU, so that it loads where there is no GPU."""
    state = {name: getattr(net, name) for name in (*_SETTINGS, *_PROGRESS)}
    average, optimizer = net.average_, net.optimizer_
    return {
        **state,
        "device": str(net.device),
        "is_trimmed": optimizer is None,  # by `trim_for_prediction`
        "loss": net.module_.loss.loss,
        "scaling": net.module_.scaling,
        "networks": _networks(net.module_),
        "average": None if average is None else _networks(average.module),
        "n_steps_of_average": None if average is None else average.n_steps,
        "optimizer_states": optimizer and _as_arrays(optimizer.state_dict()),
    }


def load(net, state):
    """Load a state onto the device that it names, or the CPU where that is not here."""
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
        net.optimizer_.load_state_dict(_as_tensors(state["optimizer_states"]))


def _networks(module):
    """Return how networks are made, and their weights; or the module, on the CPU."""
    if module.plan is not None:
        weights = module.state_dict()
        as_made = skeleton(module.plan, module.loss.loss, module.scaling)
        # What was changed by hand since, pruned, say, is as good as the user's own.
        is_as_made = str(module) == str(as_made)
        if is_as_made and _shapes(weights) == _shapes(as_made.state_dict()):
            return {"plan": module.plan, "weights": _as_arrays(weights)}
    is_here = all(
        tensor.device.type == "cpu" for tensor in module.state_dict().values()
    )
    return module if is_here else deepcopy(module).cpu()


def _module(networks, state):
    """Return the module that `_networks` told of."""
    if isinstance(networks, Autoencoder):
        return networks
    module = skeleton(networks["plan"], state["loss"], state["scaling"])
    module.load_state_dict(_as_tensors(networks["weights"]))
    return module.eval()


def _shapes(weights):
    return {name: tensor.shape for name, tensor in weights.items()}


def _as_arrays(state):
    if isinstance(state, torch.Tensor):
        return state.detach().cpu().numpy()
    if isinstance(state, dict):
        return {key: _as_arrays(value) for key, value in state.items()}
    return state


def _as_tensors(state):
    if isinstance(state, np.ndarray):
        return torch.tensor(state)  # a copy, in memory that is torch's own
    if isinstance(state, dict):
        return {key: _as_tensors(value) for key, value in state.items()}
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
