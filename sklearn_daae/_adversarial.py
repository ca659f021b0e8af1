"""Adversarial autoencoders: what they share, and the plain one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

import torch
from sklearn.utils.validation import check_is_fitted

from ._base import BaseAutoencoder
from ._losses import ADVERSARIAL_LOSSES
from ._objectives import AdversarialObjective, BalancedObjective
from ._parameters import LAYER_SIZES
from ._priors import Prior
from ._sklearn_compat import Interval, StrOptions

# What "auto" is: see the estimators' parameter.
_ADVERSARIAL_WEIGHTS = {"joint": 0.1, "separate": 1.0}
_OBJECTIVES = {"joint": BalancedObjective, "separate": AdversarialObjective}


@dataclass(eq=False, repr=False, kw_only=True)
class AdversarialAutoencoder(BaseAutoencoder):
    """What the models with a discriminator share."""

    prior: object = "normal"
    update: str = "joint"
    adversarial_weight: float | str = "auto"
    adversarial_loss: str = "non_saturating"
    discriminator_layer_sizes: str | Sequence[int] = "auto"
    discriminator: Callable[[int], torch.nn.Module] | None = None
    discriminator_optimizer: str | tuple[str, dict] | None = None
    discriminator_learning_rate: float | None = None

    _parameter_constraints: ClassVar[dict] = {
        **BaseAutoencoder._parameter_constraints,
        "prior": "no_validation",  # `Prior` says more itself
        "update": [StrOptions(set(_OBJECTIVES))],
        "adversarial_weight": [
            Interval(Real, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "adversarial_loss": [StrOptions(set(ADVERSARIAL_LOSSES))],
        "discriminator_layer_sizes": LAYER_SIZES,
        "discriminator": [callable, None],
        "discriminator_optimizer": "no_validation",
        "discriminator_learning_rate": [
            Interval(Real, 0, None, closed="neither"),
            None,
        ],
    }

    def _check_parameters(self):
        super()._check_parameters()
        Prior(self.prior, self.n_components)

    def _objective(self):
        Objective = _OBJECTIVES[self.update]
        return Objective(
            corruption=self._corruption(),
            prior=Prior(self.prior, self.n_components),
            adversarial_loss=ADVERSARIAL_LOSSES[self.adversarial_loss],
            adversarial_weight=self._adversarial_weight(),
            n_integration_steps=getattr(self, "M", None),
        )

    def _adversarial_weight(self):
        if self.adversarial_weight != "auto":
            return self.adversarial_weight
        return _ADVERSARIAL_WEIGHTS[self.update]

    def _network_sizes(self):
        return {**super()._network_sizes(), "discriminator": (self.n_components, 1)}

    def _optimizers(self):
        structure = self._structure()
        optimizer = structure["optimizer"]
        discriminator = structure["discriminator_optimizer"] or optimizer
        optimizers = {**super()._optimizers(), "discriminator": discriminator}
        if self.update == "separate":
            # With a state of its own. With the losses summed into one, the adversarial
            # gradient would swamp the mean over pixels.
            optimizers["adversarial"] = optimizer
        return optimizers

    def _learning_rates(self):
        discriminator = self.discriminator_learning_rate
        if discriminator is None:
            discriminator = self.learning_rate
        rates = {**super()._learning_rates(), "discriminator": discriminator}
        if self.update == "separate":
            rates["adversarial"] = self.learning_rate * self._adversarial_weight()
        return rates

    @property
    def discriminator_(self):
        """The trained discriminator D, before its sigmoid."""
        check_is_fitted(self)
        return self.net_.model_.discriminator


@dataclass(eq=False, repr=False, kw_only=True)
class AAETransformer(AdversarialAutoencoder):
    """Adversarial autoencoder (AAE).

    An autoencoder whose codes, q(z | x), an adversary matches to a prior, which can
    then be decoded to draw new samples. Nothing is corrupted: what the denoising models
    add shows in a comparison with it.

    Parameters
    ----------
    n_components : int, default=10
        Size of the code z.

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

    update : {"joint", "separate"}, default="joint"
        How the encoder is moved. "joint" moves it once, by the sum of the gradients of
        the reconstruction and of the match to the prior, balanced at the codes: ours,
        see Notes. "separate" is Algorithm 1 of the paper, to the letter.

    adversarial_weight : float or "auto", default="auto"
        Size of the encoder's adversarial update relative to its reconstruction update.
        In the joint update it is the ratio of the two gradients at the codes, 0.1 by
        default. In the separate one it multiplies that update's learning rate, 1.0 by
        default; a factor on the loss would be undone by Adam's normalisation.

    adversarial_loss : {"non_saturating", "minimax"}, default="non_saturating"
        The encoder's adversarial loss: -log D(z_fake), or log(1 - D(z_fake)) as line 18
        of Algorithm 1 prints it.

    reconstruction_loss : {"auto", "bce", "mse"}, default="auto"
        Binary cross-entropy, for X in [0, 1], or squared error. "auto" is "bce" where X
        is not standardised, lies in [0, 1] and has a standard deviation of at least
        0.1, else "mse"; name one where parts of the data that are fitted apart, as in
        cross-validation, may differ in that.

    encoder_layer_sizes, decoder_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the hidden layers, input side first. "auto" is (256, 256), or (1000,
        1000) where more than 10,000 rows are first trained on.

    discriminator_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the discriminator's hidden layers, input side first. "auto" is (64,
        64).

    network : {"mlp", "conv"} or (str, dict), default="mlp"
        Multilayer perceptrons of the sizes above, beside a linear layer from input to
        output where at most 10,000 rows are first trained on (``("mlp", {"shortcut":
        False})`` is always without); or the paper's convolutional network for images,
        which needs `image_shape` and no layer sizes: four convolutions of stride 2,
        with 64 to 512 filters. ``("conv", {"n_filters": 16})`` has a quarter of these,
        for a CPU. A discriminator is a multilayer perceptron either way.

    image_shape : (int, int, int), default=None
        Channels, height and width of the image that each row of X is, flattened in that
        order: ``X.transpose(0, 3, 1, 2).reshape(len(X), -1)`` where the channels come
        last. The network "conv" takes any height and width from 16 up.

    encoder, decoder, discriminator : callable, default=None
        Makes your own `torch.nn.Module` instead, from the sizes of its input and
        output: ``encoder(n_features, n_components)``, ``decoder(n_components,
        n_features)`` and ``discriminator(n_components)``. The decoder of the loss "bce"
        and the discriminator, of one output, give logits.

    scaling : {"auto", "standard", "range", None}, default="auto"
        How X is mapped as it is read, batch by batch; all that is in the space of X is
        mapped back. "standard" subtracts the mean of each feature and divides by its
        standard deviation, or by one number for all where half of them have at least a
        quarter of the widest range, as pixels do. "range" maps `input_range` to [0, 1].
        None leaves X as it is. "auto" is "range" with an `input_range`; None for X in
        [0, 1] whose values lie mostly at either end, as in images of writing, or with
        the loss "bce"; and else "standard". The numbers are those of the rows first
        trained on, and stand in `scaling_`.

    input_range : (float, float), default=None
        The least and the greatest value that X may have, such as ``(0, 255)``, which
        `scaling` maps to [0, 1]: images stay uint8 in memory or in a memory-mapped
        file. It is checked in `fit` and `partial_fit`.

    optimizer : str or (str, dict), default=("adam", {"betas": (0.5, 0.99)})
        Optimiser of the encoder and the decoder, "adam" or "rmsprop", with its options
        in the second form.

    learning_rate : float, default=1e-3
        Learning rate of the encoder and the decoder.

    learning_rate_decay : float, default=1.0
        Multiplies all learning rates after every epoch.

    averaging : bool, default=True
        Whether codes, reconstructions and samples are those of a running average of the
        weights, over about the last seventeenth of the steps taken so far. Training
        goes on from the weights themselves.

    discriminator_optimizer : str or (str, dict), default=None
        Optimiser of the discriminator. None is the same as `optimizer`.

    discriminator_learning_rate : float, default=None
        Learning rate of the discriminator. None is the same as `learning_rate`.

    batch_size : int or "auto", default="auto"
        Samples in a mini-batch. "auto" is 64, or 128 for more than 10,000 rows.

    max_epochs : int or "auto", default="auto"
        Passes over the data that `fit` makes. "auto" is what comes to 1,000 steps, or
        to fewer in proportion for more than 1,000 features, and from 10 to 100.

    early_stopping : bool, default=False
        Whether to hold out a part of the data, stop when its squared reconstruction
        error no longer improves, and return to the best weights seen. In `fit` only.

    validation_fraction : float, default=0.1
        The part that `early_stopping` holds out.

    n_iter_no_change : int, default=10
        Epochs without improvement by at least `tol` after which to stop early.

    tol : float, default=1e-4
        The least improvement that counts, as a part of the variance of the rows that
        are held out.

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
        The mean of every loss, one record an epoch. With the joint update also
        "gradient_ratio", the size of the adversary's gradient at the codes beside the
        reconstruction's before they are balanced, and "prior_distance", the sliced
        Wasserstein distance of the codes of a batch from as many draws of the prior.

    n_epochs_ : int
        Epochs trained so far.

    reconstruction_loss_ : str
        The loss that was used, "bce" or "mse".

    scaling_ : Scaling
        How X is mapped, to ``(x - scaling_.shift) / scaling_.scale``: its attribute
        `kind` is "standard", "range" or None.

    device_ : torch.device
        Where the networks are.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    See Also
    --------
    DAAETransformer : Reconstructs from corrupted samples, and matches their codes.
    iDAAETransformer : Reconstructs from corrupted samples, and matches codes that are
        integrated over the corruption.
    VAETransformer : Matches codes to the standard normal by a closed form, without an
        adversary.

    Notes
    -----
    With ``update="separate"``, training is Algorithm 1 of the paper without its
    corruption: for each mini-batch an update of encoder and decoder on the
    reconstruction loss, one of the discriminator, and one of the encoder on the
    adversarial loss, each with its own optimiser state. With either update it is
    `DAAETransformer(sigma=0)`, bit for bit.

    The joint update is ours. It passes each network once, and moves the encoder by the
    gradient of the reconstruction at the codes plus one towards the prior, whose size
    is `adversarial_weight` times that of the first, over the batch: the sum of the unit
    vectors of the adversary's gradient and of that of the sliced Wasserstein distance
    from the prior, along 50 random directions. Codes that are wider than the prior are
    not widened further. What it brings is measured in `doc/defaults.md`.
    `as_published` gives the paper's settings.

    References
    ----------
    A. Makhzani, J. Shlens, N. Jaitly, I. Goodfellow and B. Frey, "Adversarial
    Autoencoders", arXiv:1511.05644, 2015.

    A. Creswell and A. A. Bharath, "Denoising Adversarial Autoencoders", IEEE
    Transactions on Neural Networks and Learning Systems 30(4), 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_daae import AAETransformer
    >>> X = load_digits().data / 16
    >>> model = AAETransformer(
    ...     4, encoder_layer_sizes=(64,), decoder_layer_sizes=(64,),
    ...     discriminator_layer_sizes=(64,), learning_rate=2e-3,
    ...     max_epochs=5, random_state=0,
    ... ).fit(X)
    >>> model.transform(X).shape
    (1797, 4)
    >>> model.sample(3, random_state=0).shape
    (3, 64)
    """

    _n_steps: ClassVar[int] = 0
