"""The optimisers of the updates, and the running average of the weights they move."""

from copy import deepcopy

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .._checks import split_choice

# The weights after step t count in proportion to t to this power, so that the average
# is over about the last seventeenth of the steps, however many there will be.
_POWER = 16

# Steps between two updates: each reads all weights twice.
_STEPS_BETWEEN = 8

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
    except Exception as error:  # of any type: betas of one number, say
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

    Parameters
    ----------
    optimizers : dict of str to torch.optim.Optimizer
        By the name of the update.
    """

    def __init__(self, optimizers):
        self.optimizers = optimizers
        # What all have, such as "betas": a scheduler looks for what it is to change.
        first, *others = [o.defaults for o in optimizers.values()] or [{}]
        self.defaults = {k: v for k, v in first.items() if all(k in o for o in others)}
        self._opt_called = True  # else schedulers warn that no step was taken

    @property
    def param_groups(self):
        """The groups of all optimisers."""
        return [group for o in self.optimizers.values() for group in o.param_groups]

    def __reduce__(self):
        """Pickle as of no optimisers: the net, which has them, makes this anew.

        Schedulers hold it, and their pickle would hold weights on a GPU. They, too, are
        made anew when training goes on.
        """
        return EveryUpdate, ({},)

    def step(self, closure=None):
        """Do nothing: each update takes its own step."""

    def state_dict(self):
        """Return the states of all optimisers, by the name of the update."""
        return {name: o.state_dict() for name, o in self.optimizers.items()}

    def load_state_dict(self, state_dict):
        """Load what `state_dict` gave."""
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state_dict[name])


class RunningAverage:
    """A module whose weights are an average over the steps of another one's training.

    The players of an adversarial game at a constant rate do not come to rest: they move
    about a point that is better than where any one step leaves them. The window of
    polynomial averaging grows with the steps taken, so that no end has to be known.

    Parameters
    ----------
    module : torch.nn.Module
        Its weights are the average: to begin with, those of the one in training.

    n_steps : int, default=0
        Steps that they are the average of.

    References
    ----------
    O. Shamir and T. Zhang, "Stochastic Gradient Descent for Non-smooth Optimization",
    ICML 2013, section 4.
    """

    def __init__(self, module, n_steps=0):
        self.module = module.eval()
        self.n_steps = n_steps

    def is_due(self, n_steps):
        """Tell whether it is time for an update."""
        return n_steps >= self.n_steps + _STEPS_BETWEEN

    @torch.no_grad()
    def update(self, module, n_steps):
        """Take in the weights of the other module after so many steps."""
        if n_steps == self.n_steps:
            return
        kept = (self.n_steps / n_steps) ** (_POWER + 1)
        self.n_steps = n_steps
        of_average, of_training = [], []
        for average, tensor in zip(
            _tensors(self.module), _tensors(module), strict=True
        ):
            if average.is_floating_point():
                of_average.append(average)
                of_training.append(tensor)
            else:  # batches counted, say
                average.copy_(tensor)
        if of_average:
            get_ema_multi_avg_fn(kept)(of_average, of_training, None)

    def state(self):
        """Return a copy of what `load_state` puts back."""
        return deepcopy(self.module.state_dict()), self.n_steps

    def load_state(self, state):
        """Put back what `state` gave."""
        weights, self.n_steps = state
        self.module.load_state_dict(weights)


def _tensors(module):
    return [*module.parameters(), *module.buffers()]
