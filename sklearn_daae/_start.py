"""Where networks with a shortcut begin: as PCA."""

import numpy as np
import torch
from sklearn.decomposition import PCA

# Components of less than this part of the first one's variance are rounding.
_LEAST_VARIANCE = 1e-7
# Draws that tell the mean and the standard deviation of the prior.
_N_DRAWS = 1000
# Of a reconstruction that is a sigmoid's, the least slope that is made up for.
_LEAST_SLOPE = 0.05


@torch.no_grad()
def start_as_pca(module, x, objective, generator):
    """Make of two networks with shortcuts, before training, the best linear ones.

    The shortcut of the encoder gives principal components of x, of which those of
    corrupted rows have the mean and the standard deviation of the prior, or of the
    standard normal; and that of the decoder the least-squares reconstruction of clean
    rows from them. What the layers beside them add begins at zero.

    Parameters
    ----------
    module : Autoencoder
        Its encoder and decoder have shortcuts.

    x : tensor of shape (n_samples, n_features)
        Rows as the networks see them.

    objective : object
        Its corruption is what they face in training (a user's own is not asked), and
        its prior what codes are to follow.

    generator : torch.Generator
        Of the CPU, as all else here.
    """
    if (x == x[0]).all():  # nothing to find, of which PCA would warn
        return
    n_components = min(module.n_components, *x.shape)
    seed = int(torch.randint(2**31, (), generator=generator))
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
    centre, deviation = corrupted.mean(0), corrupted.std(0)
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
    if module.sigmoid_output:
        # Its inverse, as a line through the mean.
        p = mean.clamp(0.02, 0.98)
        slope = (p * (1 - p)).clamp_min(_LEAST_SLOPE)
        to_x /= slope[:, None]
        bias = torch.logit(p) + (bias - mean) / slope
    decoder.weight[:, :n_components] = to_x
    decoder.bias.copy_(bias)
    for network in (module.encoder, module.decoder):
        network.layers[-1].weight.zero_()
