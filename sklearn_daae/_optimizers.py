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


class LayerwiseAdam:
    """Moves a layer as soon as its gradient is known, within the backward pass.

    It does what a fused `Adam` does in `step`, number for number, but while gradient
    and weights are still in the CPU's caches; and the gradients of all layers share
    one piece of memory. What it leaves has a gradient afterwards, for `step`.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Whose state and options it takes. Layers are left to one that is no plain Adam.

    parameters : list of torch.nn.Parameter
        What the update is to move.
    """

    def __init__(self, optimizer, parameters):
        self.optimizer = optimizer
        self.parameters = set(parameters)
        (self.group,) = optimizer.param_groups
        self.is_plain = self.group.get("fused") and not any(
            self.group.get(option)
            for option in ("amsgrad", "maximize", "decoupled_weight_decay")
        )
        self.memory = {}
        self.layers = {}
        self.left = set()
        self.n_moved = 0

    def wants(self, parameter):
        """Tell whether the update is to move this parameter."""
        return parameter in self.parameters

    def move(self, layer, to_output, x, *, is_last):
        """Move the weight and the bias of a layer.

        Parameters
        ----------
        layer : (torch.nn.Parameter, torch.nn.Parameter)
            The weight and the bias.

        to_output, x : torch.Tensor
            The gradient of the layer's output, and its input.

        is_last : bool
            Whether no other pass through the layer has yet to give its gradient.

        Returns
        -------
        moved : bool
            False where the layer is left to the optimiser: at its first step, which
            makes the state, where a loss passes through it more than once, and where
            it is no plain Adam.
        """
        weight, bias = layer
        if not is_last or weight in self.left:
            self.left.add(weight)
            return False
        known = self.layers.get(weight) or self._get_to_know(layer, x.dtype)
        if known is None:
            return False
        product, gradient, counts, *state = known
        torch.mm(to_output.t(), x, out=product)
        if product is not gradient:
            gradient.copy_(product)
        beta1, beta2 = self.group["betas"]
        for n_steps in counts:
            n_steps += 1
        # What torch.optim.Adam calls in the end. Its way there takes longer than some
        # layers do.
        torch._fused_adam_(
            [weight, bias],
            [gradient, to_output.sum(0, dtype=bias.dtype)],
            *state,
            amsgrad=False,
            maximize=False,
            beta1=beta1,
            beta2=beta2,
            lr=self.group["lr"],
            eps=self.group["eps"],
            weight_decay=self.group["weight_decay"],
        )
        self.n_moved += 2
        return True

    def step(self):
        """Move the rest, those that have a gradient now."""
        if self.n_moved < len(self.parameters):
            self.optimizer.step()
        self.left.clear()
        self.n_moved = 0

    def _get_to_know(self, layer, dtype):
        """Return what moving a layer takes: memory for its gradient, and its state.

        The product that gives the gradient is of `dtype`.
        """
        states = [self.optimizer.state.get(parameter) for parameter in layer]
        if not (self.is_plain and all(states)):
            return None
        weight, _ = layer
        product = self._share(weight, dtype)
        self.layers[weight] = (
            product,
            product if dtype == weight.dtype else self._share(weight, weight.dtype),
            # The numbers of steps as arrays: NumPy adds 1 in less time than torch.
            [state["step"].numpy() for state in states],
            *([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq")),
            [],
            [state["step"] for state in states],
        )
        return self.layers[weight]

    def _share(self, weight, dtype):
        """Return memory in the shape of a weight, for use at once."""
        if dtype not in self.memory:
            most = max(parameter.numel() for parameter in self.parameters)
            self.memory[dtype] = torch.empty(most, dtype=dtype)
        return self.memory[dtype][: weight.numel()].view(weight.shape)


class EveryUpdate(torch.optim.Optimizer):
    """The optimisers of all updates as one, for those who look for a net's only one.

    It is what skorch's learning rate schedulers change and its checkpoints save. It
    takes no steps of its own.
    """

    def __init__(self, optimizers):
        self.optimizers = optimizers
        # What all have, such as "betas": a scheduler looks for what it is to change.
        first, *others = [o.defaults for o in optimizers] or [{}]
        self.defaults = {k: v for k, v in first.items() if all(k in o for o in others)}
        self._opt_called = True  # else schedulers warn that no step was taken

    @property
    def param_groups(self):
        """The groups of all optimisers."""
        return [group for o in self.optimizers for group in o.param_groups]

    def __reduce__(self):
        """Pickle as of no optimisers: the net, which has them, makes this anew.

        Schedulers hold it, and their pickle would hold weights on a GPU. They, too, are
        made anew when training goes on.
        """
        return EveryUpdate, ([],)

    def step(self, closure=None):
        """Do nothing: each update takes its own step."""

    def state_dict(self):
        """Return the states of all optimisers, by position."""
        return dict(enumerate(o.state_dict() for o in self.optimizers))

    def load_state_dict(self, state_dict):
        """Load what `state_dict` gave."""
        for i, optimizer in enumerate(self.optimizers):
            optimizer.load_state_dict(state_dict[i])
