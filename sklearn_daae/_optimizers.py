"""The optimisers of the updates."""

import torch

from ._choices import split_choice

# The names of the optimisers, with what makes them fast where torch can do it.
OPTIMIZERS = {
    "adam": (torch.optim.Adam, {"fused": True}),
    "rmsprop": (torch.optim.RMSprop, {}),
}


def split_optimizer(parameter, value):
    """Return the name and the options of the optimiser that a parameter asks for.

    Raises
    ------
    ValueError
        If it is neither a known name nor a pair of one and options that the optimiser
        takes.
    """
    name, options = split_choice(
        parameter, value, OPTIMIZERS, "('adam', {'betas': (0.5, 0.999)})"
    )
    optimizer, _ = OPTIMIZERS[name]
    try:
        optimizer([torch.zeros(1)], lr=0.1, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{parameter}={value!r} has options that torch.optim.{optimizer.__name__} "
            f"refuses: {error}. The learning rate is a parameter of the estimator."
        ) from error
    return name, options


def make_optimizer(name, options, parameters, learning_rate):
    """Return a torch optimiser of these parameters, which may be none."""
    optimizer, fast = OPTIMIZERS[name]
    if options.get("foreach") or options.get("differentiable"):
        fast = {}  # the user's choice excludes ours
    options = {"lr": learning_rate, **fast, **options}
    return optimizer([{"params": parameters}], **options)


class EveryUpdate(torch.optim.Optimizer):
    """The optimisers of all updates as one, for those who look for a net's only one.

    It is what skorch's learning rate schedulers change and its checkpoints save. It
    takes no steps of its own.
    """

    def __init__(self, optimizers):
        self.optimizers = optimizers
        self.defaults = {}
        self._opt_called = True  # else schedulers warn that no step was taken

    @property
    def param_groups(self):
        """The groups of all optimisers."""
        return [group for o in self.optimizers for group in o.param_groups]

    def step(self, closure=None):
        """Do nothing: each update takes its own step."""

    def state_dict(self):
        """Return the states of all optimisers, by position."""
        return dict(enumerate(o.state_dict() for o in self.optimizers))

    def load_state_dict(self, state_dict):
        """Load what `state_dict` gave."""
        for i, optimizer in enumerate(self.optimizers):
            optimizer.load_state_dict(state_dict[i])
