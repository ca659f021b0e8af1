"""K models of one shape, whose weights stand side by side, and which move as one.

What a step of small networks takes is, for the most part, what it takes to begin each
of its many operations: with a leading axis they serve K models at once. Each model has
its own random numbers, rates and levels, and comes to what it would come to alone.
"""

import pickle
from copy import copy

import numpy as np
import torch
from torch import nn

from .._model.corruption import Space
from .._model.networks import ACTIVATIONS, MultilayerPerceptron, WithShortcut
from .._model.objectives import (
    AdversarialObjective,
    ALICEObjective,
    BalancedObjective,
    DenoisingObjective,
    VariationalObjective,
)
from .._model.scaling import Scaling
from .._random import Generators
from ..distributed import current
from .cpu import has_hooks
from .cuda import RecordedStep
from .optimizers import StackedOptimizer
from .steps import LEAST_WEIGHTS, PlainStep, Training, make_step

# Those that compute on the last two axes. A subclass may not.
_OBJECTIVES = (
    DenoisingObjective,
    AdversarialObjective,
    BalancedObjective,
    VariationalObjective,
    ALICEObjective,
)
# What of an objective may differ from model to model.
_NUMBERS = "adversarial_weight", "beta", "cycle_weight"
_NETWORKS = "encoder", "decoder", "discriminator", "cycle_discriminator"
_WITHOUT_WEIGHTS = tuple(ACTIVATIONS.values())
_MOST_ON_CPU = 64


def stack_key(net, training):
    """Return what models have in common that can be trained as one, or None.

    Parameters
    ----------
    net : AutoencoderNet

    training : Batches
        What it is to be trained on.
    """
    objective, corruption = net.objective, net.objective.corruption
    if (
        type(objective) not in _OBJECTIVES
        or net.has_own_networks
        or net.draws_globally
        or current().size > 1
        or net.callbacks
        or net.verbose
        or training.weight is not None
        or training.source.scaling.fill is not None
        or not all(map(_is_stackable, _networks(net.module_).values()))
        or any(map(has_hooks, net.module_.modules()))
        or not all(p.requires_grad for p in net.module_.parameters())
        or not _gains(net)
    ):
        return None
    numbers = {*_NUMBERS, "corruption"}
    settings = {k: v for k, v in vars(objective).items() if k not in numbers}
    return pickle.dumps(
        (
            (type(objective), settings, corruption.is_identity, corruption.level),
            (corruption.name, corruption.options, corruption.space.image_shape),
            (net.module_.plan, net.module_.loss.loss, net.precision, str(net.device)),
        )
    )


def most_at_once(net):
    """Return how many nets like this one a stack should have at most.

    On a CPU more gain nothing; on a GPU its memory is the limit, of which each takes
    that of weights, their gradient, average, and what Adam keeps, twice over.
    """
    if net.device.type != "cuda":
        return _MOST_ON_CPU
    n_bytes = sum(p.numel() * p.element_size() for p in net.module_.parameters())
    free, _ = torch.cuda.mem_get_info(net.device)
    return max(1, int(free / 2 / (10 * n_bytes)))


def _is_stackable(network):
    if isinstance(network, MultilayerPerceptron | WithShortcut):
        return all(map(_is_stackable, network.children()))
    return type(network) in (nn.Linear, *_WITHOUT_WEIGHTS)


def _gains(net):
    """Tell whether networks are so small that several gain from being one.

    On a CPU, the products of one large network keep it as busy as those of many.
    """
    n_weights = sum(p.numel() for p in net.module_.parameters())
    return net.device.type != "cpu" or n_weights < LEAST_WEIGHTS


def _networks(module):
    networks = {name: getattr(module, name) for name in _NETWORKS}
    return {name: n for name, n in networks.items() if n is not None}


class Stack:
    """Weights of K nets side by side, and steps that move those of some, or all.

    Parameters
    ----------
    nets : list of AutoencoderNet
        Of one `stack_key`, each within a course of its own. Until `release`, their
        weights are views of the stack's.

    paces : list
        Of each net the same as of those that take as many steps an epoch.
    """

    def __init__(self, nets, paces):
        self.nets = nets
        # Rates that are equal stay so, if they decay alike.
        paces = [(p, n.learning_rate_decay) for p, n in zip(paces, nets, strict=True)]
        self.optimizers = {
            name: StackedOptimizer(
                [net.optimizer_.optimizers[name] for net in nets], paces
            )
            for name in nets[0].objective.updates
        }
        named = [dict(net.module_.named_parameters()) for net in nets]
        self.weights = {}
        for name in named[0]:
            own = [parameters[name] for parameters in named]
            self.weights[name] = torch.stack([p.detach() for p in own])
            for parameter, part in zip(own, self.weights[name], strict=True):
                parameter.data = part
        self._steps = {}

    def step(self, start, x):
        """Take a step of the nets from `start` on, with a batch for each.

        Parameters
        ----------
        start : int
            The first net.

        x : tensor of shape (n_nets, n_samples, n_features)

        Returns
        -------
        losses : tensor of shape (n_losses, n_nets)
        """
        stop = start + len(x)
        if (start, stop) not in self._steps:
            self._steps[start, stop] = self._make_step(slice(start, stop))
        return self._steps[start, stop](x)

    def read_learning_rates(self):
        """Have recordings of steps go on with the present learning rates."""
        for step in self._steps.values():
            if isinstance(step, RecordedStep):
                step.read_learning_rates()

    def release(self):
        """Give each net weights, and what its optimisers keep, in memory of its own."""
        for net in self.nets:
            for parameter in net.module_.parameters():
                parameter.data = parameter.data.clone()
        for optimizer in self.optimizers.values():
            optimizer.release()

    def _make_step(self, part):
        nets, first = self.nets[part], self.nets[part.start]
        module = nn.Module()
        module.loss = first.module_.loss
        for name in _networks(first.module_):
            networks = [getattr(net.module_, name) for net in nets]
            setattr(module, name, _stacked(networks, self.weights, part, name))
        parameters = {
            name: update.parameters(module)
            for name, update in first.objective.updates.items()
        }
        return make_step(
            Training(
                objective=_stacked_objective(nets),
                module=module,
                criterion=first.criterion_,
                generator=Generators([net.generator_ for net in nets]),
                precision=first.precision,
                parameters=parameters,
                optimizers={
                    name: self.optimizers[name].of(part, parameters[name])
                    for name in parameters
                },
                has_own_networks=True,  # to the way of a CPU, which is for one model
                has_own_code=False,
            ),
            plain=_StackedStep,
        )


class _StackedStep(PlainStep):
    """Takes a step of several models, the loss of each of which is its own weights'."""

    def backward(self, update, loss, inputs):
        """Give the inputs their gradient."""
        super().backward(update, loss.sum(), inputs)


class _StackedLinear(nn.Module):
    """Linear layers side by side."""

    def __init__(self, weight, bias):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)

    def forward(self, x):
        """Return what each layer makes of its part of x."""
        return _Linear.apply(x, self.weight, self.bias)


class _Linear(torch.autograd.Function):
    """Linear layers side by side: what autograd makes of `baddbmm` copies gradients."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        device = x.device.type
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            x, weight, bias = (tensor.to(dtype) for tensor in (x, weight, bias))
        ctx.save_for_backward(x, weight)
        return torch.baddbmm(bias.unsqueeze(1), x, weight.mT)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias = ctx.needs_input_grad
        with torch.autocast(gradient.device.type, enabled=False):
            return (
                torch.bmm(gradient, weight) if to_x else None,
                torch.bmm(gradient.mT, x).float() if to_weight else None,
                gradient.sum(1).float() if to_bias else None,
            )


def _stacked(networks, weights, part, name):
    """Return networks of one structure as one, with their part of the weights."""
    first = networks[0]
    if isinstance(first, nn.Linear):
        own = (weights[f"{name}.{kind}"][part] for kind in ("weight", "bias"))
        return _StackedLinear(*own)
    if isinstance(first, _WITHOUT_WEIGHTS):
        return first
    children = [
        _stacked(
            [getattr(n, child) for n in networks], weights, part, f"{name}.{child}"
        )
        for child, _ in first.named_children()
    ]
    kind = WithShortcut if isinstance(first, WithShortcut) else nn.Sequential
    return kind(*children)


def _stacked_objective(nets):
    """Return one objective for all, with the numbers and the levels of each."""
    objectives = [net.objective for net in nets]
    together = copy(objectives[0])
    corruptions = [objective.corruption for objective in objectives]
    together.corruption = corruption = copy(corruptions[0])
    scalings = [c.space.scaling for c in corruptions]
    bounds = {
        end: _side_by_side([getattr(s, end) for s in scalings])
        for end in ("low", "high")
    }
    corruption.sigma = _side_by_side([c.sigma for c in corruptions])
    corruption.space = Space(Scaling(**bounds), corruption.space.image_shape)
    corruption._tensors = {}
    for name in _NUMBERS:
        values = [getattr(objective, name, None) for objective in objectives]
        if any(value != values[0] for value in values):
            # Adam's loss does not tell what a number of float64 would.
            numbers = torch.tensor(values, dtype=torch.float32, device=nets[0].device)
            setattr(together, name, numbers)
    return together


def _side_by_side(values):
    """Return numbers, or arrays of one for each feature, with an axis of models."""
    rows = np.broadcast_arrays(*(np.atleast_1d(value) for value in values))
    return np.stack(rows)[:, None]
