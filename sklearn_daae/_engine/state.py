"""What a trained net is made of, to save, move, copy and restore it."""

from contextlib import contextmanager
from copy import deepcopy

import torch

from .._device import resolve_device

# What lasts no longer than a training.
_TRANSIENT = "parameters_", "generator_", "step_", "observers_"


def weights(net):
    """Return a copy of all weights, and of their average."""
    average = None if net.average_ is None else net.average_.state()
    return deepcopy(net.module_.state_dict()), average


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
    copied = "module", "average_", "optimizer_states", "random"
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
    state = {k: v for k, v in vars(net).items() if k not in _TRANSIENT}
    optimizer = state.pop("optimizer_", None)  # None after `trim_for_prediction`
    state["module"] = state.pop("module_")
    state["optimizer_states"] = None if optimizer is None else optimizer.state_dict()
    if net.device.type != "cpu":
        state["module"] = deepcopy(net.module_).cpu()
        for name in ("criterion", "criterion_"):
            state[name] = deepcopy(state[name]).cpu() if state.get(name) else None
        state["average_"] = deepcopy(net.average_)
        if net.average_ is not None:
            state["average_"].module.cpu()
        state["optimizer_states"] = _to_cpu(state["optimizer_states"])
    return state


def load(net, state):
    """Load a state onto the device that it names, or the CPU where that is not here."""
    states = state.pop("optimizer_states")
    vars(net).update(state)
    try:
        net.device = resolve_device(net.device)
    except ValueError:
        net.device = torch.device("cpu")
    net.module_ = net.module = net.module.to(net.device)
    if net.average_ is not None:
        net.average_.module.to(net.device)
    if net.criterion_ is not None:
        net.criterion_ = net.criterion = net.criterion_.to(net.device)
    if states is not None:
        net.initialize_optimizer()
        net.optimizer_.load_state_dict(states)


def _to_cpu(state):
    if isinstance(state, torch.Tensor):
        return state.cpu()
    if isinstance(state, dict):
        return {key: _to_cpu(value) for key, value in state.items()}
    return state
