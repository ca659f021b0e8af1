"""What makes a training step fast on a CPU."""

import warnings
from functools import partial
from itertools import cycle
from weakref import WeakSet

import torch
from torch import nn

from .._model.networks import MultilayerPerceptron

# With AVX-512, oneDNN's float32 products with a layer's weights are faster than those
# of `torch.mm`, which are MKL's; with AVX2, slower. Those of bfloat16 are oneDNN's in
# both.
_HAS_FAST_ONEDNN = (
    torch.backends.mkldnn.is_available()
    and torch.backends.cpu.get_cpu_capability() == "AVX512"
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)


class FusedPasses:
    """The passes through the multilayer perceptrons of a module, in its steps.

    Within this context each pass through all layers is one function of autograd's; and
    a layer may be moved as soon as its gradient is known, by `learner`.

    Parameters
    ----------
    module : torch.nn.Module
        Whose perceptrons have weights that nothing else uses.

    Attributes
    ----------
    learner : LayerwiseAdam or None
        What moves layers in the backward passes to come.
    """

    def __init__(self, module):
        perceptrons = (m for m in module.modules() if type(m) is MultilayerPerceptron)
        self._forwards = [(p, partial(self._forward, p)) for p in perceptrons]
        self._open = {}  # WeakSets of passes, by the first weight
        self.learner = None

    def __enter__(self):
        """Take the place of the perceptrons' own passes."""
        for perceptron, forward in self._forwards:
            vars(perceptron)["forward"] = forward

    def __exit__(self, *error):
        """Put them back."""
        for perceptron, _ in self._forwards:
            del vars(perceptron)["forward"]
        self._open.clear()

    def _forward(self, perceptron, x):
        if x.dim() == 2 and perceptron.training and torch.is_grad_enabled():
            parameters = _parameters_as_made(perceptron)
            if parameters is not None:
                return _Passes.apply(self, x, *parameters)
        return nn.Sequential.forward(perceptron, x)

    def begin(self, weight):
        """Return what stands for a pass, until its backward pass or its graph's end."""
        this = _Pass()
        self._open.setdefault(weight, WeakSet()).add(this)
        return this

    def end(self, weight, this):
        """Tell whether no other pass through the same layers waits for its gradient.

        Layers that a loss passes through twice can move only by both gradients.
        """
        others = self._open.get(weight, ())
        if this in others:
            others.remove(this)
        return not others


class _Pass:
    """Stands for a forward pass."""


def _parameters_as_made(perceptron):
    """Return all parameters; None if a layer was replaced, or is listened to."""
    parameters = []
    for layer, kind in zip(perceptron, cycle((nn.Linear, nn.ReLU)), strict=False):
        if type(layer) is not kind or has_hooks(layer):
            return None
        if "bias" in layer._parameters and layer.bias is None:
            return None
        parameters += layer._parameters.values()
    return parameters


def has_hooks(module):
    """Tell whether someone listens to a module, or to gradients of its parameters."""
    if (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    ):
        return True
    for parameter in module._parameters.values():
        if parameter is not None and (
            parameter._backward_hooks or parameter._post_accumulate_grad_hooks
        ):
            return True
    return False


class _Passes(torch.autograd.Function):
    """Forward and backward pass through linear layers with ReLU between them.

    Its arguments are the `FusedPasses` that it is one of, the input, and the weight and
    the bias of every layer.
    """

    @staticmethod
    def forward(ctx, all_passes, x, *parameters):
        ctx.all_passes, ctx.parameters = all_passes, parameters
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x, *parameters = (tensor.to(dtype) for tensor in (x, *parameters))
        weights, biases = parameters[::2], parameters[1::2]
        inputs = []
        for weight, bias in zip(weights, biases, strict=True):
            inputs.append(x)
            x = _linear(x, weight, bias, relu=len(inputs) < len(weights))
        ctx.save_for_backward(*inputs, *weights)
        ctx.this = all_passes.begin(ctx.parameters[0])
        return x

    @staticmethod
    def backward(ctx, gradient):
        if torch.is_grad_enabled():
            # What torch's `once_differentiable` sees to, by wrapping every call.
            raise RuntimeError(
                "create_graph=True cannot go through networks of ours in training on a "
                "CPU. Set the environment variable SKLEARN_DAAE_STEP=plain."
            )
        learner = ctx.all_passes.learner
        parameters, needed = ctx.parameters, ctx.needs_input_grad[1:]
        # Autograd asks for all gradients that it could use: more than the update's.
        wanted = [
            need and (learner is None or learner.wants(parameter))
            for need, parameter in zip(needed[1:], parameters, strict=True)
        ]
        # Layers that a loss passes through twice can move only by both gradients.
        is_last = ctx.all_passes.end(parameters[0], ctx.this)
        n_layers = len(parameters) // 2
        saved = ctx.saved_tensors
        inputs, weights = saved[:n_layers], saved[n_layers:]
        gradients = [None] * len(parameters)
        for i in reversed(range(n_layers)):
            x, to_output, gradient = inputs[i], gradient, None
            if i > 0 or needed[0]:
                gradient = _to_input(to_output, weights[i])
            if i > 0:  # and x is what ReLU gave
                gradient = torch.ops.aten.threshold_backward.default(gradient, x, 0)

            # Only now, that its weight has served, may the layer move.
            layer = slice(2 * i, 2 * i + 2)
            weight, bias = parameters[layer]
            moved = False
            if learner is not None and all(wanted[layer]):
                moved = learner.move((weight, bias), to_output, x, is_last=is_last)
            if not moved and wanted[2 * i]:
                gradients[2 * i] = to_output.t().mm(x).to(weight.dtype)
            if not moved and wanted[2 * i + 1]:
                gradients[2 * i + 1] = to_output.sum(0, dtype=bias.dtype)
        return None, gradient, *gradients


def _linear(x, weight, bias, *, relu):
    """Return x times the transposed weight, plus the bias; rectified, if `relu`."""
    if _is_onednn_faster(x):
        kind = "relu" if relu else "none"
        return torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, kind, [], "")
    x = torch.addmm(bias, x, weight.t())
    return x.relu_() if relu else x


def _to_input(gradient, weight):
    """Return the gradient of the input, given that of the output."""
    if _is_onednn_faster(gradient):
        return torch.ops.mkldnn._linear_pointwise.default(
            gradient, weight.t(), None, "none", [], ""
        )
    return torch.mm(gradient, weight)


def _is_onednn_faster(x):
    return _HAS_FAST_ONEDNN and x.dtype == torch.float32


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


def keep_freed_memory():
    """Have the C library keep the memory that a training step frees, for the next one.

    glibc's gives the end of the heap back to the system whenever more is free there
    than twice the largest block that has been freed, and each page that is then used
    again has to be made anew. The block freed here is the largest that counts, 32 MiB;
    nothing is written to it, so that it costs nothing.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


def warn_of_slow_precision(precision, device):
    """Warn where a CPU has no products of bfloat16: torch then takes far longer."""
    if (
        precision == "bfloat16"
        and device.type == "cpu"
        and not _has_bfloat16_products()
    ):
        warnings.warn(
            "precision='bfloat16' is many times slower than 'float32' on this CPU, "
            "which has no instructions for it (AVX-512 on x86). Use "
            "precision='float32' here.",
            stacklevel=2,
        )


def _has_bfloat16_products():
    """Tell whether oneDNN multiplies matrices of bfloat16 on this CPU."""
    # What torch's own compiler asks; where it is not there, nothing is known.
    ask = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return ask is None or ask()
