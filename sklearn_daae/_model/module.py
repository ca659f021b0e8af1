"""The networks of one model, and where they begin."""

from contextlib import nullcontext
from copy import deepcopy

import numpy as np
import torch
from sklearn import config_context
from sklearn.decomposition import PCA
from torch import nn

from .._random import borrowed_global_generator
from .losses import ReconstructionLoss
from .networks import WithShortcut, make_network
from .scaling import WIDE_TYPES

# Components of less than this part of the first one's variance are rounding.
_LEAST_VARIANCE = 1e-7
# Rows that networks are started from, and how many of wide ones.
_N_ROWS = 2000
_N_VALUES = 2**25
# Draws that tell the mean and the standard deviation of the prior.
_N_DRAWS = 1000
# Of a reconstruction that is a sigmoid's, the least slope that is made up for.
_LEAST_SLOPE = 0.05


class Autoencoder(nn.Module):
    """The networks of one model.

    Parameters
    ----------
    encoder, decoder, discriminator, cycle_discriminator : torch.nn.Module
        Maps of (n, n_features) to codes, of (n, n_components) to (n, n_features), and,
        in models that have them, of what is to be judged to (n, 1). Decoder and
        discriminators give logits where their output is a probability.

    n_components : int
        Size of a code. An encoder that gives more, gives the code first: the mean of a
        Gaussian before its log-variance.

    loss : ReconstructionLoss
        Which knows what the decoder's outputs stand for.

    scaling : Scaling
        How rows of X are mapped to what the networks see.

    plan : dict, default=None
        The arguments of `make_network`, if all networks are ours: `sizes`, by name, and
        `parts`.
    """

    def __init__(
        self,
        encoder,
        decoder,
        discriminator=None,
        cycle_discriminator=None,
        *,
        n_components,
        loss,
        scaling,
        plan=None,
    ):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.discriminator = discriminator
        self.cycle_discriminator = cycle_discriminator
        self.n_components = n_components
        self.loss = loss
        self.scaling = scaling
        self.plan = plan

    def encode(self, x):
        """Return E(x), or its mean where E gives a distribution."""
        return self.encoder(x)[:, : self.n_components]

    def decode(self, z):
        """Return R(z)."""
        return self.loss.activate(self.decoder(z))

    def forward(self, x):
        """Return R(E(x)) of rows of X, in X's own range."""
        x = self.scaling(x)
        if self.scaling.fill is not None:
            x = self.scaling.filled(x)
        return self.scaling.invert(self.decode(self.encode(x)))

    @torch.no_grad()
    def check_shapes(self, sizes):
        """Push two rows through each network, and refuse one of the wrong shape.

        Parameters
        ----------
        sizes : dict of str to (int, int)
            How many inputs and outputs each network must have, by name.

        Raises
        ------
        ValueError
            If a network does not take or give that.
        """
        self.eval()
        for name, (n_in, n_out) in sizes.items():
            must = (
                f"The module that the parameter {name!r} gives must map (n_samples, "
                f"{n_in}) to (n_samples, {n_out})"
            )
            if name == "encoder" and n_out == 2 * self.n_components:
                must += ", the means of the codes and then their log-variances"
            try:
                out = getattr(self, name)(torch.zeros(2, n_in, dtype=torch.float32))
            except Exception as error:
                raise ValueError(f"{must}, but it failed with: {error}") from error
            if not isinstance(out, torch.Tensor) or out.shape != (2, n_out):
                got = tuple(out.shape) if hasattr(out, "shape") else type(out).__name__
                raise ValueError(f"{must}, but it maps (2, {n_in}) to {got}.")


def skeleton(plan, loss, scaling):
    """Return an `Autoencoder` as it was planned, whose weights are yet to be loaded."""
    networks = {
        name: make_network(name, None, sizes, None, plan["parts"])
        for name, sizes in plan["sizes"].items()
    }
    return Autoencoder(
        **networks,
        n_components=plan["sizes"]["decoder"][0],
        loss=ReconstructionLoss(loss),
        scaling=scaling,
        plan=plan,
    )


class AsModule(Autoencoder):
    """What one of an estimator's calls does with rows, for torch alone.

    Parameters
    ----------
    module : Autoencoder
        Whose networks are copied.

    call : {"transform", "inverse_transform", "reconstruct"}
        The call.
    """

    def __init__(self, module, call):
        calls = "transform", "inverse_transform", "reconstruct"
        if call not in calls:
            raise ValueError(f"call={call!r} must be one of {', '.join(calls)}.")
        super().__init__(
            None if call == calls[1] else deepcopy(module.encoder),
            None if call == calls[0] else deepcopy(module.decoder),
            n_components=module.n_components,
            loss=deepcopy(module.loss),
            scaling=module.scaling,
        )
        # Of the scaling, as what moves with the weights, and is exported with them.
        self.is_scaled = module.scaling.kind is not None
        dtype = torch.from_numpy(np.empty(0, module.scaling.dtype)).dtype
        for name in ("shift", "scale"):
            value = torch.as_tensor(getattr(module.scaling, name), dtype=dtype)
            self.register_buffer(name, value)
        # What float32 has not of the shift, where rows are in float64.
        rest = torch.as_tensor(module.scaling.shift, dtype=torch.float64) - self.shift
        self.register_buffer("rest", rest.float())
        if (fill := module.scaling.fill) is not None:
            fill = torch.from_numpy(fill)
        self.register_buffer("fill", fill)

    def forward(self, x):
        """Return what the call returns of rows, or of codes."""
        if self.encoder is not None:
            x = self.encode(self._seen(x))
        if self.decoder is not None:
            x = self.decode(x.float())
            x = x * self.scale + self.shift if self.is_scaled else x
        return x

    def _seen(self, x):
        if self.is_scaled:
            is_wide = x.dtype in WIDE_TYPES
            x = x.double() - self.rest if is_wide else x.float()
            x = (x - self.shift.to(x.dtype)) / self.scale.to(x.dtype)
        x = x.float()
        return x if self.fill is None else torch.where(x.isnan(), self.fill, x)


def start_as_pca(module, batches, objective, random, generator):
    """Make of two networks with shortcuts, before training, the best linear ones.

    The shortcut of the encoder gives principal components of x, of which those of
    corrupted rows have the mean and the standard deviation of the prior, or of the
    standard normal; and that of the decoder the least-squares reconstruction of clean
    rows from them. What the layers beside them add begins at zero.

    Parameters
    ----------
    module : Autoencoder
        What has no shortcuts stays as it is.

    batches : Batches
        The training data, of which a part will do.

    objective : object
        Its corruption is what they face in training (a user's own is not asked), and
        its prior what codes are to follow.

    random : numpy.random.Generator
        Seeds global generators, where a prior of the user's may draw from them.

    generator : torch.Generator
        Of the CPU, as all else here.
    """
    ours = module.encoder, module.decoder
    if not all(isinstance(network, WithShortcut) for network in ours):
        return
    x = batches.sample(_N_ROWS, _N_VALUES).x.cpu()
    own = borrowed_global_generator(random, x.device)
    with torch.no_grad(), own if objective.draws_globally else nullcontext():
        _start_as_pca(module, x, objective, generator)


def _start_as_pca(module, x, objective, generator):
    if (x == x[0]).all():  # nothing to find, of which PCA would warn
        return
    n_components = min(module.n_components, *x.shape)
    seed = int(torch.randint(2**31, (), generator=generator))
    with (
        config_context(array_api_dispatch=False),  # which has it round otherwise
        np.errstate(invalid="ignore"),  # of shares of a variance that is 0
    ):
        pca = PCA(n_components, random_state=seed).fit(x.numpy())
    variances = pca.explained_variance_
    is_real = variances > max(_LEAST_VARIANCE * variances[0], 0)
    if not is_real.all():
        n_components = int(np.argmin(is_real))  # they are sorted
    if n_components == 0:  # their squares are 0
        return
    axes = torch.from_numpy(pca.components_[:n_components])
    mean = torch.from_numpy(pca.mean_)

    clean = (x - mean) @ axes.T
    corrupted = clean
    if not objective.corruption.is_own:
        x_tilde = objective.corruption(x, generator, in_training=True)
        corrupted = (x_tilde - mean) @ axes.T
    centre, deviation, of_clean = corrupted.mean(0), corrupted.std(0), clean.std(0)
    # Of rows that are masked as a whole, nothing is left to divide by.
    is_left = deviation.square() > _LEAST_VARIANCE * of_clean.square()
    deviation = torch.where(is_left, deviation, of_clean)
    slopes = ((corrupted - centre) * clean).mean(0) / deviation.square()
    to, size = x.new_zeros(n_components), x.new_ones(n_components)
    if (prior := getattr(objective, "prior", None)) is not None:
        z_real = prior(_N_DRAWS, generator)[:, :n_components]
        to, size = z_real.mean(0), z_real.std(0)
        size = torch.where(size > 0, size, 1.0)

    # z = (V (x - mean) - centre) * factor + to, for the axes V.
    factor = size / deviation
    encoder, decoder = module.encoder.shortcut, module.decoder.shortcut
    encoder.weight[:n_components] = axes * factor[:, None]
    encoder.bias[:n_components] = to - (axes @ mean + centre) * factor
    to_x = axes.T * (slopes / factor)
    bias = mean - to_x @ to
    is_logit = module.loss.takes_logits(len(mean))
    if is_logit.any():
        # Its inverse, as a line through the mean.
        p = mean.clamp(0.02, 0.98)
        slope = (p * (1 - p)).clamp_min(_LEAST_SLOPE)
        to_x = torch.where(is_logit[:, None], to_x / slope[:, None], to_x)
        bias = torch.where(is_logit, torch.logit(p) + (bias - mean) / slope, bias)
    decoder.weight[:, :n_components] = to_x
    decoder.bias.copy_(bias)
    for network in (module.encoder, module.decoder):
        network.layers[-1].weight.zero_()
