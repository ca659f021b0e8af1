"""Multilayer perceptrons, and how they learn on a CPU as fast as it can."""

from contextlib import contextmanager
from itertools import cycle
from threading import local
from weakref import WeakSet

import torch
from torch import nn

# With AVX-512, oneDNN's float32 products with a layer's weights are faster than those
# of `torch.mm`, which are MKL's; with AVX2, slower. Those of bfloat16 are oneDNN's in
# both.
_HAS_FAST_ONEDNN = (
    torch.backends.mkldnn.is_available()
    and torch.backends.cpu.get_cpu_capability() == "AVX512"
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)


class _Current(local):
    """What this thread is at."""

    learner = None

    def __init__(self):
        self.passes = {}  # WeakSets of `_Pass`, by the id of the first weight


_current = _Current()


class _Pass:
    """Stands for a forward pass, until its backward pass or the end of its graph."""


@contextmanager
def learning(learner):
    """Have the backward passes of this thread move layers, where `learner` can.

    See `_optimizers.LayerwiseAdam`.
    """
    _current.learner = learner
    try:
        yield
    finally:
        _current.learner = None


class MultilayerPerceptron(nn.Sequential):
    """Fully connected layers with ReLU between them.

    In training on a CPU, the passes through all layers are one function of autograd's,
    which works with `learning`. Else it is the sequence that it is.
    """

    def forward(self, x):
        """Return the output of the last layer."""
        is_batch = x.dim() == 2 and x.device.type == "cpu"
        if is_batch and self.training and torch.is_grad_enabled():
            parameters = self._parameters_as_made()
            if parameters is not None:
                return _Passes.apply(x, *parameters)
        return super().forward(x)

    def _parameters_as_made(self):
        """Return all parameters; None if a layer was replaced, or is listened to."""
        parameters = []
        for layer, kind in zip(self, cycle((nn.Linear, nn.ReLU)), strict=False):
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

    Its arguments are the input, and the weight and the bias of every layer.
    """

    @staticmethod
    def forward(ctx, x, *parameters):
        ctx.parameters = parameters
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x, *parameters = (tensor.to(dtype) for tensor in (x, *parameters))
        weights, biases = parameters[::2], parameters[1::2]
        inputs = []
        for weight, bias in zip(weights, biases, strict=True):
            inputs.append(x)
            x = _linear(x, weight, bias, relu=len(inputs) < len(weights))
        ctx.save_for_backward(*inputs, *weights)
        ctx.this = _Pass()
        _current.passes.setdefault(id(ctx.parameters[0]), WeakSet()).add(ctx.this)
        return x

    @staticmethod
    def backward(ctx, gradient):
        if torch.is_grad_enabled():
            # What torch's `once_differentiable` sees to, by wrapping every call.
            raise RuntimeError(
                "create_graph=True cannot go through a network in training on a CPU. "
                "Call eval() on it first."
            )
        learner = _current.learner
        parameters, needed = ctx.parameters, ctx.needs_input_grad
        # Autograd asks for all gradients that it could use: more than the update's.
        wanted = [
            need and (learner is None or learner.wants(parameter))
            for need, parameter in zip(needed[1:], parameters, strict=True)
        ]
        # Layers that a loss passes through twice can move only by both gradients.
        key = id(parameters[0])
        passes = _current.passes.setdefault(key, WeakSet())
        passes.discard(ctx.this)
        is_last = not passes
        if is_last:
            del _current.passes[key]
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
        return gradient, *gradients


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
