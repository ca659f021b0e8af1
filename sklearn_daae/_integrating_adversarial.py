"""The integrating denoising adversarial autoencoder."""

from dataclasses import dataclass
from numbers import Integral
from typing import ClassVar

from ._adversarial import AdversarialAutoencoder
from ._parameters import CorruptionParameters
from ._sklearn_compat import Interval


@dataclass(eq=False, repr=False, kw_only=True)
class iDAAETransformer(CorruptionParameters, AdversarialAutoencoder):
    """Integrating denoising adversarial autoencoder (iDAAE).

    An autoencoder that learns to reconstruct clean samples from corrupted ones, while
    an adversary matches the codes of the clean samples, integrated over the corruption,
    to a prior: the mean of M draws of q(z | x_tilde). Training costs M corruptions and
    encodings per sample; new samples are decoded straight from the prior.

    Parameters
    ----------
    n_components : int, default=10
        Size of the code z.

    sigma : float, default=0.5
        Level of the corruption. Of "gaussian", the standard deviation of the noise, in
        units of X (of its [0, 1] where `input_range` is given). Of "masking" and
        "salt_and_pepper", the probability that a feature is corrupted. 0 corrupts
        nothing, unless the corruption is your own.

    M : int, default=5
        Monte Carlo integration steps: corruptions of each sample whose codes are
        averaged (Algorithm 2). ``M=1`` is a DAAE in distribution.

    corruption : str or callable, default="gaussian"
        The corruption process, drawn anew at every use: "gaussian" adds Gaussian noise
        and does not clip, "masking" sets features to 0, "salt_and_pepper" sets them to
        0 or 1, either as likely. These are values of the [0, 1] that `input_range` is
        mapped to, where it is given.

        Your own is called as ``corruption(x, sigma, generator)`` with a float32 tensor
        of shape (n_samples, n_features), mapped likewise, and a `torch.Generator` on
        its device, and returns a tensor of the same shape. It may change x in place.

    prior : str, (str, dict), distribution or callable, default="normal"
        The distribution p(z) that codes are matched to: "normal", the standard normal;
        "uniform", on [-1, 1] in each component; or "ring", ten Gaussians of standard
        deviation 0.5 whose means are equally spaced on a circle of radius 4, for
        ``n_components=2`` (of 1, its first coordinate). A pair has other values:
        ``("uniform", {"low": 0.0, "high": 1.0})``, ``("ring", {"n_modes": 8, "radius":
        2.0, "scale": 0.1})``.

        Or anything with ``rvs(size=..., random_state=...)``, which is called with
        integers, such as a frozen distribution of `scipy.stats`; one of one dimension
        is that of each component. Or a `scipy.stats.gaussian_kde`. Or a callable,
        ``prior(n_samples, n_components, generator)``, with a `torch.Generator` on
        the device, which returns a tensor or an array of shape (n_samples,
        n_components).

    adversarial_weight : float, default=1.0
        Size of the encoder's adversarial update relative to its reconstruction update.
        It multiplies that update's learning rate; a factor on the loss would be undone
        by Adam's normalisation.

    adversarial_loss : {"non_saturating", "minimax"}, default="non_saturating"
        The encoder's adversarial loss: -log D(z_fake), or log(1 - D(z_fake)) as line 18
        of Algorithm 1 prints it.

    reconstruction_loss : {"auto", "bce", "mse"}, default="auto"
        Binary cross-entropy, for X in [0, 1], or squared error. "auto" is "bce" where
        all of X lies in [0, 1], else "mse"; name one where parts of the data that are
        fitted apart, as in cross-validation, may differ in that.

    encoder_layer_sizes, decoder_layer_sizes : int or array-like, default=(1000, 1000)
        Sizes of the hidden layers, input side first.

    discriminator_layer_sizes : int or array-like, default=(1000, 1000)
        Sizes of the discriminator's hidden layers, input side first.

    network : {"mlp", "conv"} or (str, dict), default="mlp"
        Multilayer perceptrons of the sizes above, or the paper's convolutional network
        for images, which needs `image_shape` and no layer sizes: four convolutions of
        stride 2, with 64 to 512 filters. ``("conv", {"n_filters": 16})`` has a quarter
        of these, for a CPU. A discriminator is a multilayer perceptron either way.

    image_shape : (int, int, int), default=None
        Channels, height and width of the image that each row of X is, flattened in that
        order: ``X.transpose(0, 3, 1, 2).reshape(len(X), -1)`` where the channels come
        last. The network "conv" takes any height and width from 16 up.

    encoder, decoder, discriminator : callable, default=None
        Makes your own `torch.nn.Module` instead, from the sizes of its input and
        output: ``encoder(n_features, n_components)``, ``decoder(n_components,
        n_features)`` and ``discriminator(n_components)``. The decoder of the loss "bce"
        and the discriminator, of one output, give logits.

    input_range : (float, float), default=None
        The least and the greatest value that X may have, such as ``(0, 255)``. X is
        mapped to [0, 1] as it is read, batch by batch, so that images stay uint8 in
        memory or in a memory-mapped file; and all that is in the space of X is mapped
        back. It is checked in `fit` and `partial_fit`.

    optimizer : {"adam", "rmsprop"} or (str, dict), default="adam"
        Optimiser of the encoder and the decoder, with its options in the second form:
        ``("adam", {"betas": (0.5, 0.999)})``.

    learning_rate : float, default=2e-4
        Learning rate of the encoder and the decoder.

    learning_rate_decay : float, default=1.0
        Multiplies all learning rates after every epoch.

    discriminator_optimizer : str or (str, dict), default=None
        Optimiser of the discriminator. None is the same as `optimizer`.

    discriminator_learning_rate : float, default=None
        Learning rate of the discriminator. None is the same as `learning_rate`.

    batch_size : int, default=64
        Samples in a mini-batch.

    max_epochs : int, default=100
        Passes over the data that `fit` makes.

    early_stopping : bool, default=False
        Whether to hold out a part of the data, stop when its squared reconstruction
        error no longer improves, and return to the best weights seen. In `fit` only.

    validation_fraction : float, default=0.1
        The part that `early_stopping` holds out.

    n_iter_no_change : int, default=10
        Epochs without improvement by at least `tol` after which to stop early.

    tol : float, default=1e-4
        The least improvement that counts, of X as `input_range` maps it.

    warm_start : bool, default=False
        Whether `fit` goes on from the present state instead of starting over.

    callbacks : list, default=None
        skorch callbacks. Hooks on epochs cost nothing; hooks on batches or gradients
        make every batch wait for the device. "train_loss" is the reconstruction loss,
        and "valid_loss" the validation error that `early_stopping` watches.

    device : str or torch.device, default="auto"
        Where to compute. "auto" is a CUDA device where there is one, else MPS, else the
        CPU.

    precision : {"float32", "bfloat16"}, default="float32"
        "bfloat16" trains in mixed precision. Codes and reconstructions are computed in
        float32 either way.

    verbose : int, default=0
        Whether `fit` shows a progress bar over epochs, with the losses.

    random_state : int, RandomState instance or None, default=None
        Seeds weights, shuffling and all draws. Pass an int for the same weights, bit
        for bit, at every fit on the same machine with the same number of threads.
        Global generators are neither read nor changed (modules, corruptions and priors
        of your own may draw from them, and they are then put back).

    Attributes
    ----------
    encoder_, decoder_, discriminator_ : torch.nn.Module
        The trained networks. Decoder and discriminator give logits where their output
        is a probability.

    net_ : skorch.NeuralNet
        The net that trained them.

    loss_curve_ : list of float
        The mean reconstruction loss of each epoch.

    history_ : list of dict
        The mean of every loss, one record an epoch.

    n_epochs_ : int
        Epochs trained so far.

    reconstruction_loss_ : str
        The loss that was used, "bce" or "mse".

    device_ : torch.device
        Where the networks are.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    See Also
    --------
    DAAETransformer : Matches the codes of the corrupted samples, faster to train.
    AAETransformer : The same without a corruption.

    Notes
    -----
    Training is Algorithms 1 and 2 of the paper: for each mini-batch an update of
    encoder and decoder on the reconstruction loss, one of the discriminator, and one of
    the encoder on the adversarial loss, each with its own optimiser state. The
    reconstruction uses one corruption, z_fake another M, encoded in one pass.

    References
    ----------
    A. Creswell and A. A. Bharath, "Denoising Adversarial Autoencoders", IEEE
    Transactions on Neural Networks and Learning Systems 30(4), 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_daae import iDAAETransformer
    >>> X = load_digits().data / 16
    >>> model = iDAAETransformer(
    ...     4, sigma=0.25, M=5, encoder_layer_sizes=(64,),
    ...     decoder_layer_sizes=(64,), discriminator_layer_sizes=(64,),
    ...     learning_rate=2e-3, max_epochs=5, random_state=0,
    ... ).fit(X)
    >>> model.transform(X).shape
    (1797, 4)
    >>> model.sample(3, random_state=0).shape
    (3, 64)
    """

    M: int = 5

    _parameter_constraints: ClassVar[dict] = {
        **CorruptionParameters._parameter_constraints,
        **AdversarialAutoencoder._parameter_constraints,
        "M": [Interval(Integral, 1, None, closed="left")],
    }

    _n_steps: ClassVar[int] = 0
