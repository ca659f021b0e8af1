"""The networks: encoder E, decoder R and discriminator D."""

from itertools import pairwise

import torch
from torch import nn


def multilayer_perceptron(sizes, generator):
    """Return fully connected layers of these sizes, with ReLU between them.

    Weights are Glorot uniform and biases zero, drawn from `generator` alone:
    `skip_init` keeps torch from drawing its own from the global generator first.
    """
    layers = []
    for n_inputs, n_outputs in pairwise(sizes):
        linear = nn.utils.skip_init(nn.Linear, n_inputs, n_outputs)
        nn.init.xavier_uniform_(linear.weight, generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Autoencoder(nn.Module):
    """The networks of one model.

    Parameters
    ----------
    encoder, decoder, discriminator : torch.nn.Module
        Maps of (n, n_features) to (n, n_components), back, and, in models that have
        one, of (n, n_components) to (n, 1). Decoder and discriminator give logits
        where their output is a probability.

    sigmoid_output : bool
        Whether the decoder's output is a logit, whose sigmoid is the reconstruction.
    """

    def __init__(self, encoder, decoder, discriminator=None, *, sigmoid_output):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.discriminator = discriminator
        self.sigmoid_output = sigmoid_output

    def decode(self, z):
        """Return R(z), in the range of X."""
        x = self.decoder(z)
        return torch.sigmoid(x) if self.sigmoid_output else x

    def forward(self, x):
        """Return R(E(x)), in the range of X."""
        return self.decode(self.encoder(x))

    @torch.no_grad()
    def check_shapes(self, n_features, n_components):
        """Push two rows through each network, and refuse one of the wrong shape.

        Raises
        ------
        ValueError
            If a network does not take or give what its place in the model asks for.
        """
        self.eval()
        sizes = {
            "encoder": (n_features, n_components),
            "decoder": (n_components, n_features),
            "discriminator": (n_components, 1),
        }
        for name, network in self.named_children():
            n_in, n_out = sizes[name]
            must = (
                f"The module that the parameter {name!r} makes must map (n_samples, "
                f"{n_in}) to (n_samples, {n_out})"
            )
            try:
                out = network(torch.zeros(2, n_in))
            except (RuntimeError, ValueError, IndexError, TypeError) as error:
                raise ValueError(f"{must}, but it failed with: {error}") from error
            if not isinstance(out, torch.Tensor) or out.shape != (2, n_out):
                got = tuple(out.shape) if hasattr(out, "shape") else type(out).__name__
                raise ValueError(f"{must}, but it maps (2, {n_in}) to {got}.")
