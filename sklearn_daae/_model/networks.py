"""The networks: encoder E, decoder R and discriminator D.

A function that makes one takes its number of inputs and outputs, a generator that its
weights are drawn from (or None, if they are yet to be loaded), the sizes of its hidden
layers, and the shape of an image; what it has no use for, it leaves. Its options are
keyword-only.
"""

from itertools import pairwise
from numbers import Integral

import torch
from torch import nn

from .._checks import is_number

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class MultilayerPerceptron(nn.Sequential):
    """Fully connected layers, and what is between them."""

    def __getstate__(self):
        """Copy and pickle without the pass that a training step puts in its place."""
        state = vars(self).copy()
        state.pop("forward", None)
        return state


def multilayer_perceptron(
    n_inputs,
    n_outputs,
    generator,
    layer_sizes,
    image_shape,
    *,
    shortcut=True,
    activation="relu",
    dropout=0.0,
    batch_norm=False,
):
    """Return fully connected layers.

    With a shortcut, a linear layer from input to output is added to them: what PCA
    could find need not pass the hidden layers.
    """
    hidden = []
    for n_in, n_out in pairwise([n_inputs, *layer_sizes]):
        hidden.append(_glorot(nn.Linear, n_in, n_out, generator=generator))
        hidden += _between(nn.BatchNorm1d, n_out, activation, dropout, batch_norm)
    n_last = layer_sizes[-1] if layer_sizes else n_inputs
    last = _glorot(nn.Linear, n_last, n_outputs, generator=generator)
    perceptron = MultilayerPerceptron(*hidden, last)
    if not shortcut:
        return perceptron
    linear = _glorot(nn.Linear, n_inputs, n_outputs, generator=generator)
    return WithShortcut(perceptron, linear)


class WithShortcut(nn.Module):
    """The sum of what two networks make of the same input."""

    def __init__(self, layers, shortcut):
        super().__init__()
        self.layers = layers
        self.shortcut = shortcut

    def forward(self, x):
        """Return the sum."""
        return self.layers(x) + self.shortcut(x)


def convolutional_encoder(
    n_inputs,
    n_outputs,
    generator,
    layer_sizes,
    image_shape,
    *,
    n_filters=64,
    activation="relu",
    dropout=0.0,
    batch_norm=False,
):
    """Return the encoder of the paper's CelebA network, of flattened images.

    Four 5x5 convolutions of stride 2, of f, 2f, 4f and 8f filters, and a linear layer.
    """
    filters = _filters(n_filters)
    layers = [nn.Unflatten(1, image_shape)]
    for n_in, n_out in pairwise([image_shape[0], *filters]):
        size = {"kernel_size": 5, "stride": 2, "padding": 2}
        conv = _glorot(nn.Conv2d, n_in, n_out, generator=generator, **size)
        between = _between(nn.BatchNorm2d, n_out, activation, dropout, batch_norm)
        layers += [conv, *between]
    height, width = _halvings(image_shape)[-1]
    n_flat = filters[-1] * height * width
    linear = _glorot(nn.Linear, n_flat, n_outputs, generator=generator)
    return nn.Sequential(*layers, nn.Flatten(), linear)


def convolutional_decoder(
    n_inputs,
    n_outputs,
    generator,
    layer_sizes,
    image_shape,
    *,
    n_filters=64,
    activation="relu",
    dropout=0.0,
    batch_norm=False,
):
    """Return the decoder of the paper's CelebA network, to flattened images.

    A linear layer, and four transposed 3x3 convolutions of stride 2, of 4f, 2f, f and
    as many filters as the image has channels.
    """
    filters = _filters(n_filters)[::-1]
    smallest, *sizes = _halvings(image_shape)[::-1]
    n_flat = filters[0] * smallest[0] * smallest[1]
    layers = [
        _glorot(nn.Linear, n_inputs, n_flat, generator=generator),
        nn.Unflatten(1, (filters[0], *smallest)),
    ]
    for (n_in, n_out), size in zip(
        pairwise([*filters, image_shape[0]]), sizes, strict=True
    ):
        size = {
            "kernel_size": 3,
            "stride": 2,
            "padding": 1,
            # A side of n becomes 2n - 1 or, with 1 here, 2n: what it once came from.
            "output_padding": [1 - side % 2 for side in size],
        }
        conv = _glorot(nn.ConvTranspose2d, n_in, n_out, generator=generator, **size)
        between = _between(nn.BatchNorm2d, n_in, activation, dropout, batch_norm)
        layers += [*between, conv]
    return nn.Sequential(*layers, nn.Flatten())


# What makes the encoder and the decoder of each kind. Discriminators see codes, and are
# multilayer perceptrons.
NETWORKS = {
    "mlp": {"encoder": multilayer_perceptron, "decoder": multilayer_perceptron},
    "conv": {"encoder": convolutional_encoder, "decoder": convolutional_decoder},
}


def make_network(name, make, sizes, generator, parts):
    """Return the user's own network, or one of ours.

    Parameters
    ----------
    name : {"encoder", "decoder", "discriminator", "cycle_discriminator"}

    make : torch.nn.Module, callable or None
        The user's. What is no module is called with the sizes; for a discriminator,
        with the first alone.

    sizes : (int, int)
        Numbers of inputs and outputs.

    generator : torch.Generator or None
        What our weights are drawn from, if they are.

    parts : dict
        The estimator's parameters `network`, `image_shape` and those of layer sizes.
    """
    if make is None:
        kind, options = parts["network"]
        layer_sizes = parts[f"{name.removeprefix('cycle_')}_layer_sizes"]
        arguments = *sizes, generator, layer_sizes, parts["image_shape"]
        if name in NETWORKS[kind]:
            return NETWORKS[kind][name](*arguments, **options)
        return multilayer_perceptron(*arguments, shortcut=False)
    if isinstance(make, nn.Module):
        return make
    sizes = sizes[:1] if name == "discriminator" else sizes
    try:
        network = make(*sizes)
    except Exception as error:
        raise ValueError(
            f"{name}={make!r} was called as {name}{sizes!r}, to make a module, and "
            f"failed with: {error!r}"
        ) from error
    if not isinstance(network, nn.Module):
        raise TypeError(
            f"{name}={make!r} must return a torch.nn.Module, but it returned "
            f"{network!r}."
        )
    return network


def check_network_options(value, options):
    """Refuse values of options that networks of ours cannot have.

    Parameters
    ----------
    value : (str, dict)
        The parameter `network`, for the message.

    options : dict
        Its options, whose names are known.
    """
    allowed = {
        "activation": (
            lambda v: isinstance(v, str) and v in ACTIVATIONS,
            "one of " + ", ".join(map(repr, ACTIVATIONS)),
        ),
        "dropout": (lambda v: is_number(v) and 0 <= v < 1, "a number in [0, 1)"),
        "batch_norm": (lambda v: isinstance(v, bool), "True or False"),
        "shortcut": (lambda v: isinstance(v, bool), "True or False"),
        "n_filters": (
            lambda v: is_number(v, Integral) and v >= 1,
            "a positive integer: the number of filters of the first convolution",
        ),
    }
    for name in options.keys() & allowed:  # others are of a kind of network added
        option, (is_allowed, what) = options[name], allowed[name]
        if not is_allowed(option):
            raise ValueError(
                f"network={value!r} has the option {name!r} of {option!r}. It must be "
                f"{what}."
            )


def _between(normalisation, n, activation, dropout, batch_norm):
    """Return what is between two layers of weights, after `n` outputs or channels."""
    layers = [normalisation(n, dtype=torch.float32)] if batch_norm else []
    layers.append(ACTIVATIONS[activation]())
    return [*layers, nn.Dropout(dropout)] if dropout else layers


def _filters(n_filters):
    n_filters = int(n_filters)
    return [n_filters, 2 * n_filters, 4 * n_filters, 8 * n_filters]


def _halvings(image_shape):
    """Return height and width of an image, and after each of four strides of 2."""
    sizes = [image_shape[1:]]
    for _ in range(4):
        sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
    return sizes


def _glorot(kind, *args, generator, **kwargs):
    """Return a layer whose weights are Glorot uniform, and its biases zero.

    Drawn from `generator` alone: `skip_init` keeps torch from drawing its own from the
    global generator first. Of weights that are yet to be loaded there is no memory.
    """
    if generator is None:
        return kind(*args, dtype=torch.float32, device="meta", **kwargs)
    layer = nn.utils.skip_init(kind, *args, dtype=torch.float32, **kwargs)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
