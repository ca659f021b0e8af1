"""The one seam: how a step of an objective is taken on the machine at hand.

Whatever is above it calls ``step(*batch)``, which moves the weights and returns the
losses. The ways of a CPU and of a GPU give what the plain one gives, up to rounding.
"""

import os
import pickle
from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

import torch

from ..distributed import ALL_OF_IT, current
from .cpu import FusedPasses, LayerwiseAdam, has_hooks
from .cuda import RecordedStep

# Forces a way of taking steps: "plain", or "cpu" and "cuda" where they can be taken.
_SWITCH = "SKLEARN_DAAE_STEP"

# Networks of fewer weights take longer by the CPU's way than plainly: the step is then
# 0.88 of it at 150,000, as long at 550,000, and 0.7 at 3 million.
LEAST_WEIGHTS = 2**19


class Training(NamedTuple):
    """What a step is made of."""

    objective: object
    module: torch.nn.Module
    criterion: torch.nn.Module
    generator: torch.Generator
    precision: str
    # The parameters that each update moves, and what moves them, by its name.
    parameters: dict[str, list]
    optimizers: dict[str, torch.optim.Optimizer]
    # Networks of the user's may go through a layer twice, or share it with another.
    has_own_networks: bool
    # Code of the user's may do anything.
    has_own_code: bool
    # Whether someone wants to hear of every batch; and what hears of gradients.
    is_watched: bool = False
    on_gradients: Callable | None = None


def make_step(training, before=None, *, plain=None):
    """Return what takes the steps of a training the fastest.

    Parameters
    ----------
    training : Training
        What is to be trained.

    before : object, default=None
        What has taken the steps until now: its recordings are used on, unless something
        that they have for good has changed.

    plain : type, default=PlainStep
        What takes a step as it is written.
    """
    if current().size > 1:
        return DataParallelStep(training)
    plain = plain or PlainStep
    kind = os.environ.get(_SWITCH) or _fastest(training)
    device = training.generator.device.type
    if kind == "cuda" and _can_be_recorded(training):
        settings = _recorded_settings(training)
        if getattr(before, "settings", None) != settings:
            before = RecordedStep(
                plain(training), training.generator, _groups(training), settings
            )
        before.read_learning_rates()
        return before
    if kind == device == "cpu" and not training.has_own_networks:
        return CPUStep(training)
    return plain(training)


def _fastest(training):
    device = training.generator.device.type
    n_weights = sum(p.numel() for p in set().union(*training.parameters.values()))
    return "plain" if device == "cpu" and n_weights < LEAST_WEIGHTS else device


class PlainStep:
    """Takes steps by autograd and `torch.optim`, and nothing else."""

    def __init__(self, training):
        self.training = training

    def __call__(self, x, weight=None, observed=None, share=ALL_OF_IT):
        """Take a step on a `Batch`, and return its losses as one tensor."""
        training = self.training
        with _mixed_precision(training.precision, x.device):
            losses = training.objective.step(
                x,
                module=training.module,
                criterion=training.criterion.of(weight, observed, share),
                generator=share.generator(training.generator),
                minimise=self.minimise,
            )
        return torch.stack([loss.detach() for loss in losses])

    def minimise(self, update, loss, also=()):
        """Move the weights of one update, and no others, down the loss's gradient.

        The tensors in `also` are given their gradient, and left where they are.
        """
        parameters = self.training.parameters[update]
        to_move = [p for p in parameters if p.requires_grad]
        if not to_move:  # all frozen
            if also and loss.requires_grad:
                loss.backward(inputs=list(also))
            return
        # Of those frozen meanwhile, too: an optimiser moves what has a gradient.
        for parameter in parameters:
            parameter.grad = None
        # Limited to these weights, the backward pass does not even compute the rest.
        self.backward(update, loss, [*to_move, *also])
        if self.training.on_gradients is not None:
            self.training.on_gradients(to_move)
        self.move(update)

    def backward(self, update, loss, inputs):
        """Give the inputs their gradient."""
        loss.backward(inputs=inputs)

    def move(self, update):
        """Move the weights of an update that have a gradient."""
        self.training.optimizers[update].step()


class CPUStep(PlainStep):
    """Takes steps with fused passes, and moves layers within the backward pass."""

    def __init__(self, training):
        super().__init__(training)
        self.passes = FusedPasses(training.module)
        self.learners = {
            update: LayerwiseAdam(optimizer, training.parameters[update])
            for update, optimizer in training.optimizers.items()
        }

    def __call__(self, *batch):
        """Take a step on a `Batch`, and return its losses as one tensor."""
        with self.passes:
            return super().__call__(*batch)

    def backward(self, update, loss, inputs):
        """Give the inputs their gradient, or move them at once."""
        if self.training.on_gradients is None:
            self.passes.learner = self.learners[update]
        try:
            super().backward(update, loss, inputs)
        finally:
            self.passes.learner = None

    def move(self, update):
        """Move what the backward pass has left."""
        self.learners[update].step()


class DataParallelStep(PlainStep):
    """Takes its part of steps that many processes take as one.

    Losses count as much as there are rows of this process in a batch, and gradients are
    added up, so that each process moves its weights as all do.
    """

    def __init__(self, training):
        super().__init__(training)
        device, seed = training.generator.device, training.generator.initial_seed()
        self.own_generator = torch.Generator(device)
        self.own_generator.manual_seed((seed + 1 + current().rank) % 2**63)
        is_ours = device.type == "cpu" and not training.has_own_networks
        self.passes = FusedPasses(training.module) if is_ours else nullcontext()

    def __call__(self, x, weight=None, observed=None, share=ALL_OF_IT):
        """Take a step on a `Batch`, and return the losses of all rows."""
        self.share, share.own_generator = share, self.own_generator
        with self.passes:
            return share.mean(super().__call__(x, weight, observed, share))

    def backward(self, update, loss, inputs):
        """Give the inputs their gradient, and weights that of all rows."""
        super().backward(update, loss * self.share.part, inputs)
        weights = [p for p in self.training.parameters[update] if p.grad is not None]
        # In one piece: each exchange takes its time, however little there is.
        every = torch.cat([p.grad.flatten() for p in weights])
        parts = current().sum_(every).split([p.numel() for p in weights])
        for parameter, part in zip(weights, parts, strict=True):
            parameter.grad = part.view_as(parameter)


def _mixed_precision(precision, device):
    """Return the context in which a training step computes.

    The cache of cast weights is off: it would keep the bfloat16 copy of a weight
    beyond the update that changes it, within one step.
    """
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)


def _groups(training):
    return [g for o in training.optimizers.values() for g in o.param_groups]


def _can_be_recorded(training):
    """Tell whether a step is the same kernels each time, and no one listens.

    Of torch's optimisers, those that are fused keep all of their state on the GPU.
    """
    return not (
        training.has_own_code
        or training.is_watched
        or training.on_gradients is not None
        or any(map(has_hooks, training.module.modules()))
        or not all(group.get("fused") for group in _groups(training))
    )


def _recorded_settings(training):
    """Return what a recording has for good, though callbacks may change it."""
    moves = [p.requires_grad for p in training.module.parameters()]
    options = [
        {k: v for k, v in group.items() if k not in ("params", "lr")}
        for group in _groups(training)
    ]
    return pickle.dumps((training.objective, moves, options))
