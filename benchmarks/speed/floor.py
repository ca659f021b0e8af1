"""The least that a training step costs: its bare products, and a pass of Adam.

For each layer with weights, the product of its forward pass and those of its backward
pass that the step needs, on data of the right shapes; and a fused Adam step over the
same parameters. No activation, loss, corruption, autograd or copy.
"""

import torch
from torch.nn.functional import conv2d, conv_transpose2d

LAYERS = torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d


class Floor:
    """The products of one step of Algorithm 1, and Adam.

    Parameters
    ----------
    networks : (torch.nn.Module, torch.nn.Module, torch.nn.Module)
        Encoder, decoder and discriminator, of the shapes to measure.

    sizes : (int, int)
        Numbers of features and components.

    batch_size, n_corruptions : int
        Rows of a batch, and how often each is encoded for z_fake.

    dtype : torch.dtype
        What the products are computed in.
    """

    def __init__(self, networks, sizes, *, batch_size, n_corruptions, dtype):
        encoder, decoder, discriminator = networks
        d, k = sizes
        n = batch_size
        self.products = [
            *_products(encoder, (n, d), dtype),
            *_products(decoder, (n, k), dtype, to_input=True),
            *_products(encoder, (n * n_corruptions, d), dtype),
            *_products(discriminator, (2 * n, k), dtype),
            *_products(discriminator, (n, k), dtype, to_weights=False, to_input=True),
        ]
        self.optimizers = [
            _adam(*networks)
            for networks in ((encoder, decoder), (discriminator,), (encoder,))
        ]

    @torch.no_grad()
    def __call__(self):
        for product in self.products:
            product()
        for optimizer in self.optimizers:
            optimizer.step()


def _adam(*networks):
    parameters = [
        torch.nn.Parameter(p.detach().clone()) for n in networks for p in n.parameters()
    ]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    return torch.optim.Adam(parameters, lr=1e-6, fused=True)


def _products(network, shape, dtype, *, to_weights=True, to_input=False):
    """Return functions that compute the products of a forward and a backward pass.

    The gradient of the first layer's input is needed only where `to_input` says so.
    """
    seen = []
    hooks = [
        layer.register_forward_hook(
            lambda layer, inputs, out: seen.append((layer, inputs[0].shape, out.shape))
        )
        for layer in network.modules()
        if isinstance(layer, LAYERS)
    ]
    with torch.no_grad():
        network(torch.zeros(shape))
    for hook in hooks:
        hook.remove()
    products = []
    for i, (layer, x_shape, out_shape) in enumerate(seen):
        x, g = (torch.randn(s).to(dtype) for s in (x_shape, out_shape))
        weight = layer.weight.detach().to(dtype)
        needs = (i > 0 or to_input), to_weights
        kind = _of_linear if isinstance(layer, torch.nn.Linear) else _of_convolution
        products += kind(layer, x, g, weight, *needs)
    return products


def _of_linear(layer, x, g, weight, to_input, to_weights):
    pairs = [(x, weight.t())]
    if to_weights:
        pairs.append((g.t(), x))
    if to_input:
        pairs.append((g, weight))
    return [_matrix_product(a, b) for a, b in pairs]


def _matrix_product(a, b):
    out = torch.empty(len(a), b.shape[1], dtype=a.dtype)
    return lambda: torch.mm(a, b, out=out)


def _of_convolution(layer, x, g, weight, to_input, to_weights):
    transposed = isinstance(layer, torch.nn.ConvTranspose2d)
    options = {"stride": layer.stride, "padding": layer.padding}
    if transposed:
        options["output_padding"] = layer.output_padding
    forward = conv_transpose2d if transposed else conv2d
    padding = layer.output_padding if transposed else (0, 0)

    def backward():
        torch.ops.aten.convolution_backward(
            g,
            x,
            weight,
            None,
            layer.stride,
            layer.padding,
            (1, 1),
            transposed,
            padding,
            1,
            (to_input, to_weights, False),
        )

    return [lambda: forward(x, weight, **options), backward]
