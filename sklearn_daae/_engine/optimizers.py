"""The optimisers of the updates, and the running average of the weights they move."""

from copy import deepcopy

import torch
from torch.optim.adam import adam
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


def equal_runs(values):
    """Return slices of equal values that stand side by side, which together are all."""
    starts = [i for i in range(len(values)) if i == 0 or values[i] != values[i - 1]]
    return [*map(slice, starts, [*starts[1:], len(values)])]


# What of each model's Adam its update takes.
_NUMBERS_OF_ADAM = "lr", "betas", "eps", "weight_decay"


class StackedOptimizer:
    """Moves weights that are side by side as the optimisers of each model would.

    Parameters
    ----------
    own : list of torch.optim.Optimizer
        Those of each model, for one update.

    paces : list
        Of each model what it has in common with those that take steps when it does.
    """

    def __init__(self, own, paces):
        self.own = own
        self.paces = paces
        self.groups = [group for optimizer in own for group in optimizer.param_groups]
        self.is_plain = all(
            isinstance(optimizer, torch.optim.Adam) for optimizer in own
        ) and all(
            group["fused"]
            and not (group["amsgrad"] or group["maximize"])
            and not group.get("decoupled_weight_decay")
            for group in self.groups
        )
        # What Adam keeps of all models, once they have moved, and which of them are
        # moved by one call, for good.
        self.state = None
        self.runs = []

    def of(self, part, parameters):
        """Return what moves the weights of a part of the models."""
        return _PartOfOptimizer(self, part, parameters)

    @torch.no_grad()
    def step(self, part, parameters):
        """Move the weights of some models, those that have a gradient."""
        if self.is_plain and self.state is None:
            self._read_state()
        if self.state is None:
            self._step_each(part, parameters)
            return
        moved = [j for j, p in enumerate(parameters) if p.grad is not None]
        for run in self.runs:
            if not part.start <= run.start < part.stop:
                continue
            within = slice(run.start - part.start, run.stop - part.start)
            group = self.groups[run.start]
            adam(
                [parameters[j].detach()[within] for j in moved],
                [parameters[j].grad[within] for j in moved],
                [self.state["exp_avg"][j][run] for j in moved],
                [self.state["exp_avg_sq"][j][run] for j in moved],
                [],
                # Which it counts up, for all of them.
                [self.state["step"][j][run.start] for j in moved],
                fused=True,
                amsgrad=False,
                maximize=False,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                lr=group["lr"],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
            )

    def release(self):
        """Give each model what its optimiser keeps, in memory of its own."""
        for run in self.runs:
            for counts in self.state["step"]:
                counts[run] = counts[run.start].clone()
        for optimizer in self.own:
            for state in optimizer.state.values():
                tensors = {k: v for k, v in state.items() if torch.is_tensor(v)}
                state.update({name: t.clone() for name, t in tensors.items()})

    def _step_each(self, part, parameters):
        for k, optimizer in enumerate(self.own[part]):
            (group,) = optimizer.param_groups
            for parameter, stacked in zip(group["params"], parameters, strict=True):
                parameter.grad = None if stacked.grad is None else stacked.grad[k]
            optimizer.step()
            optimizer.zero_grad()

    def _read_state(self):
        """Lay the state of all models side by side, once they have one."""
        states = [
            [optimizer.state.get(p) for p in group["params"]]
            for optimizer, group in zip(self.own, self.groups, strict=True)
        ]
        if not all(map(all, states)):
            return
        self.state = {
            name: [
                torch.stack([of[name] for of in each])
                for each in zip(*states, strict=True)
            ]
            for name in ("exp_avg", "exp_avg_sq", "step")
        }
        for name, of_parameters in self.state.items():
            for j, stacked in enumerate(of_parameters):
                for own, part in zip(states, stacked, strict=True):
                    own[j][name] = part
        counts = torch.stack(self.state["step"], 1).tolist()
        ways = [
            (counts[k], pace, *(group[name] for name in _NUMBERS_OF_ADAM))
            for k, (group, pace) in enumerate(zip(self.groups, self.paces, strict=True))
        ]
        self.runs = equal_runs(ways)


class _PartOfOptimizer:
    """Moves the weights of a part of the models."""

    def __init__(self, optimizer, part, parameters):
        self.optimizer, self.part, self.parameters = optimizer, part, parameters

    @property
    def param_groups(self):
        """Those of the optimisers of each model."""
        return self.optimizer.groups[self.part]

    def step(self):
        """Move those that have a gradient."""
        self.optimizer.step(self.part, self.parameters)
