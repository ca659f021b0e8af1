"""Adversarial autoencoders: what they share, the AAE, the DAAE and the iDAAE."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import ClassVar

import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ._base import BaseAutoencoder
from ._model.losses import ADVERSARIAL_LOSSES
from ._model.objectives import AdversarialObjective, BalancedObjective
from ._model.priors import Prior
from ._parameters import LAYER_SIZES, CorruptionParameters, Network, estimator
from ._sklearn_compat import Interval, StrOptions

# What "auto" is: see the estimators' parameter.
_ADVERSARIAL_WEIGHTS = {"joint": 0.1, "separate": 1.0}
_OBJECTIVES = {"joint": BalancedObjective, "separate": AdversarialObjective}


@estimator
class WithDiscriminator(BaseAutoencoder):
    """What all models with a discriminator share."""

    prior: object = "normal"
    adversarial_loss: str = "non_saturating"
    discriminator_layer_sizes: str | Sequence[int] = "auto"
    discriminator: Network | None = None
    discriminator_optimizer: str | tuple[str, dict] | None = None
    discriminator_learning_rate: float | None = None

    _parameter_constraints: ClassVar[dict] = {
        **BaseAutoencoder._parameter_constraints,
        "prior": "no_validation",  # `Prior` says more itself
        "adversarial_loss": [StrOptions(set(ADVERSARIAL_LOSSES))],
        "discriminator_layer_sizes": LAYER_SIZES,
        "discriminator": [callable, BaseEstimator, None],
        "discriminator_optimizer": "no_validation",
        "discriminator_learning_rate": [
            Interval(Real, 0, None, closed="neither"),
            None,
        ],
    }

    def _check_parameters(self):
        super()._check_parameters()
        Prior(self.prior, self.n_components)

    @property
    def discriminator_(self) -> torch.nn.Module:
        """The trained discriminator D, before its sigmoid."""
        check_is_fitted(self)
        return self.net_.model_.discriminator


@estimator
class AdversarialAutoencoder(WithDiscriminator):
    """What the models share that match their codes to the prior by a discriminator."""

    update: str = "joint"
    adversarial_weight: float | str = "auto"

    _parameter_constraints: ClassVar[dict] = {
        **WithDiscriminator._parameter_constraints,
        "update": [StrOptions(set(_OBJECTIVES))],
        "adversarial_weight": [
            Interval(Real, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
    }

    def _objective(self):
        weight = self.adversarial_weight
        if weight == "auto":
            weight = _ADVERSARIAL_WEIGHTS[self.update]
        return _OBJECTIVES[self.update](
            corruption=self._corruption(),
            prior=Prior(self.prior, self.n_components),
            adversarial_loss=ADVERSARIAL_LOSSES[self.adversarial_loss],
            adversarial_weight=weight,
            n_integration_steps=getattr(self, "M", None),
        )

    def _network_sizes(self):
        return {**super()._network_sizes(), "discriminator": (self.n_components, 1)}


@estimator
class AAETransformer(AdversarialAutoencoder):
    """Adversarial autoencoder (AAE).

    An autoencoder whose codes, q(z | x), an adversary matches to a prior, which can
    then be decoded to draw new samples. Nothing is corrupted: what the denoising models
    add shows in a comparison with it.

    Parameters
    ----------
    n_components : int, default=10
        Size of the code z.

    update : {"joint", "separate"}, default="joint"
        How the encoder is moved. "joint" moves it once, by the sum of the gradients of
        the reconstruction and of the match to the prior, balanced at the codes: ours,
        see Notes. "separate" is Algorithm 1 of the paper, to the letter.

    adversarial_weight : float or "auto", default="auto"
        Size of the encoder's adversarial update relative to its reconstruction update.
        In the joint update it is the ratio of the two gradients at the codes, 0.1 by
        default. In the separate one it multiplies that update's learning rate, 1.0 by
        default; a factor on the loss would be undone by Adam's normalisation.

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

    adversarial_loss : {"non_saturating", "minimax"}, default="non_saturating"
        The encoder's adversarial loss: -log D(z_fake), or log(1 - D(z_fake)) as line 18
        of Algorithm 1 prints it.

    discriminator_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the discriminator's hidden layers, input side first. "auto" is (64,
        64).

    discriminator : callable, torch.nn.Module or estimator, default=None
        Your own network instead, likewise: ``discriminator(n_components)``. Its output,
        one for each code, is a logit.

    discriminator_optimizer : str or (str, dict), default=None
        Optimiser of the discriminator. None is the same as `optimizer`.

    discriminator_learning_rate : float, default=None
        Learning rate of the discriminator. None is the same as `learning_rate`.

    reconstruction_loss : {"auto", "bce", "mse", "mae", "huber"} or list, default="auto"
        Binary cross-entropy, for X in [0, 1]; squared or absolute error; or Huber's,
        which is half the squared one up to a difference of 1, and linear beyond, so
        that few values that are far off count for less. "auto" is "bce" where X
        is not standardised, lies in [0, 1] and has a standard deviation of at least
        0.1, else "mse"; name one where parts of the data that are fitted apart, as in
        cross-validation, may differ in that. Or a list of losses of columns:
        ``[("cross_entropy", "color_"), ("mae", slice(0, 3))]``, where columns are a
        slice, a list of numbers or names, or how the names of a data frame's begin; all
        others are of "mse". "cross_entropy" is of columns of which one is 1, as of a
        `OneHotEncoder`; it and "bce" have their columns neither standardised nor
        mapped.

    encoder_layer_sizes, decoder_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the hidden layers, input side first. "auto" is (256, 256), or (1000,
        1000) where more than 10,000 rows are first trained on.

    network : {"mlp", "conv"} or (str, dict), default="mlp"
        Multilayer perceptrons of the sizes above, beside a linear layer from input to
        output where at most 10,000 rows are first trained on (``("mlp", {"shortcut":
        False})`` is always without); or the paper's convolutional network for images,
        which needs `image_shape` and no layer sizes: four convolutions of stride 2,
        with 64 to 512 filters. ``("conv", {"n_filters": 16})`` has a quarter of these,
        for a CPU. Options of both: "activation" ("relu", "leaky_relu", "elu", "gelu",
        "silu", "tanh"), "dropout" and "batch_norm", as in ``("mlp", {"activation":
        "gelu", "dropout": 0.1, "batch_norm": True})``. A discriminator is a multilayer
        perceptron with ReLU either way.

    image_shape : (int, int, int), default=None
        Channels, height and width of the image that each row of X is, flattened in that
        order: ``X.transpose(0, 3, 1, 2).reshape(len(X), -1)`` where the channels come
        last. The network "conv" takes any height and width from 16 up.

    encoder, decoder : callable, torch.nn.Module or estimator, default=None
        Your own network instead: what makes a module, from the sizes of its input and
        output, ``encoder(n_features, n_components)`` and ``decoder(n_components,
        n_features)``; a module; or a fitted estimator of this package, whose network is
        begun from. It is copied, and never trained in place. The decoder of the loss
        "bce" gives logits.

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

    missing_values : {"mask", None}, default=None
        Whether X may have NaN: "mask" leaves such values out of the loss and of the
        numbers of `scaling`, and has networks see the mean of the feature in their
        place. `reconstruct` gives an estimate of them. None refuses them.

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

    batch_size : int or "auto", default="auto"
        Samples in a mini-batch. "auto" is 64, or 128 for more than 10,000 rows.

    max_epochs : int or "auto", default="auto"
        Passes over the data that `fit` makes. "auto" is what comes to 1,000 steps, or
        to fewer in proportion for more than 1,000 features, and from 10 to 100.

    early_stopping : bool, default=False
        Whether to hold out a part of the data, stop when its squared reconstruction
        error no longer improves, and return to the best weights seen. In `fit` only.

    validation : {"random", "last"}, default="random"
        Which rows early stopping sets aside: some of all, or, for rows in order of
        time, the last ones, of which nothing else is learned either.

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

    reconstruction_loss_ : str or tuple
        The loss that was used; or, of a list, that of each group, with the numbers of
        its columns.

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


@estimator
class DAAETransformer(CorruptionParameters, AdversarialAutoencoder):
    """Denoising adversarial autoencoder (DAAE).

    An autoencoder that learns to reconstruct clean samples from corrupted ones, while
    an adversary matches the codes of the *corrupted* samples, q(z | x_tilde), to a
    prior. Fast to train: one corruption per sample. To draw from it takes a step or
    more of a Markov chain, which `sample` does.

    Parameters
    ----------
    n_components : int, default=10
        Size of the code z.

    sigma : float or array-like of shape (n_features,), default=0.5
        Level of the corruption, one or one for each feature. Of "gaussian" and "moved",
        the standard deviation of the noise, in units of X as `scaling` maps it. Of
        "masking", "salt_and_pepper" and "swap", the probability that a feature is
        corrupted. 0 corrupts nothing, unless the corruption is "moved" or your own.

    corruption : str, (str, dict) or callable, default="gaussian"
        The corruption process, drawn anew at every use, of X as `scaling` maps it:
        "gaussian" adds Gaussian noise, and does not clip it, unless told by
        ``("gaussian", {"clip": True})``; "masking" sets features to 0, which is their
        mean where X is standardised; "salt_and_pepper" sets them to their least or
        greatest value (0 or 1 where X is not standardised), either as likely; "swap"
        to their value in another row of the batch. "moved" moves, turns, scales and
        shears images of `image_shape` a little and adds Gaussian noise: ``("moved",
        {"shift": 0.05, "degrees": 8.0, "stretch": 0.08})`` has its defaults, the most
        that an image is moved by as a part of its sides, turned by, and scaled and
        sheared by.

        Your own is called as ``corruption(x, sigma, generator)`` with a float32 tensor
        of shape (n_samples, n_features), mapped likewise, and a `torch.Generator` on
        its device, and returns a tensor of the same shape. It may change x in place.

    corruption_level : {"mixed", "fixed"}, default="mixed"
        Whether in training half of the rows are corrupted at a level below `sigma`,
        drawn uniformly for each, so that the encoder knows clean rows too; or all of
        them at `sigma`, as in the paper. A corruption of your own is always given
        `sigma`.

    update : {"joint", "separate"}, default="joint"
        How the encoder is moved. "joint" moves it once, by the sum of the gradients of
        the reconstruction and of the match to the prior, balanced at the codes: ours,
        see Notes. "separate" is Algorithm 1 of the paper, to the letter.

    adversarial_weight : float or "auto", default="auto"
        Size of the encoder's adversarial update relative to its reconstruction update.
        In the joint update it is the ratio of the two gradients at the codes, 0.1 by
        default. In the separate one it multiplies that update's learning rate, 1.0 by
        default; a factor on the loss would be undone by Adam's normalisation.

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

    adversarial_loss : {"non_saturating", "minimax"}, default="non_saturating"
        The encoder's adversarial loss: -log D(z_fake), or log(1 - D(z_fake)) as line 18
        of Algorithm 1 prints it.

    discriminator_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the discriminator's hidden layers, input side first. "auto" is (64,
        64).

    discriminator : callable, torch.nn.Module or estimator, default=None
        Your own network instead, likewise: ``discriminator(n_components)``. Its output,
        one for each code, is a logit.

    discriminator_optimizer : str or (str, dict), default=None
        Optimiser of the discriminator. None is the same as `optimizer`.

    discriminator_learning_rate : float, default=None
        Learning rate of the discriminator. None is the same as `learning_rate`.

    reconstruction_loss : {"auto", "bce", "mse", "mae", "huber"} or list, default="auto"
        Binary cross-entropy, for X in [0, 1]; squared or absolute error; or Huber's,
        which is half the squared one up to a difference of 1, and linear beyond, so
        that few values that are far off count for less. "auto" is "bce" where X
        is not standardised, lies in [0, 1] and has a standard deviation of at least
        0.1, else "mse"; name one where parts of the data that are fitted apart, as in
        cross-validation, may differ in that. Or a list of losses of columns:
        ``[("cross_entropy", "color_"), ("mae", slice(0, 3))]``, where columns are a
        slice, a list of numbers or names, or how the names of a data frame's begin; all
        others are of "mse". "cross_entropy" is of columns of which one is 1, as of a
        `OneHotEncoder`; it and "bce" have their columns neither standardised nor
        mapped.

    encoder_layer_sizes, decoder_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the hidden layers, input side first. "auto" is (256, 256), or (1000,
        1000) where more than 10,000 rows are first trained on.

    network : {"mlp", "conv"} or (str, dict), default="mlp"
        Multilayer perceptrons of the sizes above, beside a linear layer from input to
        output where at most 10,000 rows are first trained on (``("mlp", {"shortcut":
        False})`` is always without); or the paper's convolutional network for images,
        which needs `image_shape` and no layer sizes: four convolutions of stride 2,
        with 64 to 512 filters. ``("conv", {"n_filters": 16})`` has a quarter of these,
        for a CPU. Options of both: "activation" ("relu", "leaky_relu", "elu", "gelu",
        "silu", "tanh"), "dropout" and "batch_norm", as in ``("mlp", {"activation":
        "gelu", "dropout": 0.1, "batch_norm": True})``. A discriminator is a multilayer
        perceptron with ReLU either way.

    image_shape : (int, int, int), default=None
        Channels, height and width of the image that each row of X is, flattened in that
        order: ``X.transpose(0, 3, 1, 2).reshape(len(X), -1)`` where the channels come
        last. The network "conv" takes any height and width from 16 up.

    encoder, decoder : callable, torch.nn.Module or estimator, default=None
        Your own network instead: what makes a module, from the sizes of its input and
        output, ``encoder(n_features, n_components)`` and ``decoder(n_components,
        n_features)``; a module; or a fitted estimator of this package, whose network is
        begun from. It is copied, and never trained in place. The decoder of the loss
        "bce" gives logits.

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

    missing_values : {"mask", None}, default=None
        Whether X may have NaN: "mask" leaves such values out of the loss and of the
        numbers of `scaling`, and has networks see the mean of the feature in their
        place. `reconstruct` gives an estimate of them. None refuses them.

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

    batch_size : int or "auto", default="auto"
        Samples in a mini-batch. "auto" is 64, or 128 for more than 10,000 rows.

    max_epochs : int or "auto", default="auto"
        Passes over the data that `fit` makes. "auto" is what comes to 1,000 steps, or
        to fewer in proportion for more than 1,000 features, and from 10 to 100.

    early_stopping : bool, default=False
        Whether to hold out a part of the data, stop when its squared reconstruction
        error no longer improves, and return to the best weights seen. In `fit` only.

    validation : {"random", "last"}, default="random"
        Which rows early stopping sets aside: some of all, or, for rows in order of
        time, the last ones, of which nothing else is learned either.

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

    reconstruction_loss_ : str or tuple
        The loss that was used; or, of a list, that of each group, with the numbers of
        its columns.

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
    iDAAETransformer : Matches the codes of the clean samples, integrated over the
        corruption. Its prior can be decoded directly.
    AAETransformer : The same without a corruption.

    Notes
    -----
    With ``update="separate"``, training is Algorithm 1 of the paper with ``z_fake =
    E(x_tilde)`` in line 11: for each mini-batch an update of encoder and decoder on the
    reconstruction loss, one of the discriminator, and one of the encoder on the
    adversarial loss, each with its own optimiser state.

    The joint update is ours. It passes each network once, and moves the encoder by the
    gradient of the reconstruction at the codes plus one towards the prior, whose size
    is `adversarial_weight` times that of the first, over the batch: the sum of the unit
    vectors of the adversary's gradient and of that of the sliced Wasserstein distance
    from the prior, along 50 random directions. Codes that are wider than the prior are
    not widened further. What it brings is measured in `doc/defaults.md`.
    `as_published` gives the paper's settings.

    References
    ----------
    A. Creswell and A. A. Bharath, "Denoising Adversarial Autoencoders", IEEE
    Transactions on Neural Networks and Learning Systems 30(4), 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_daae import DAAETransformer
    >>> X = load_digits().data / 16
    >>> model = DAAETransformer(
    ...     4, sigma=0.25, encoder_layer_sizes=(64,),
    ...     decoder_layer_sizes=(64,), discriminator_layer_sizes=(64,),
    ...     learning_rate=2e-3, max_epochs=5, random_state=0,
    ... ).fit(X)
    >>> model.transform(X).shape
    (1797, 4)
    >>> model.sample(3, random_state=0).shape
    (3, 64)
    """

    _parameter_constraints: ClassVar[dict] = {
        **CorruptionParameters._parameter_constraints,
        **AdversarialAutoencoder._parameter_constraints,
    }

    _n_steps: ClassVar[int] = 1


@estimator
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

    M : int, default=5
        Monte Carlo integration steps: corruptions of each sample whose codes are
        averaged (Algorithm 2). ``M=1`` is a DAAE in distribution.

    sigma : float or array-like of shape (n_features,), default=0.5
        Level of the corruption, one or one for each feature. Of "gaussian" and "moved",
        the standard deviation of the noise, in units of X as `scaling` maps it. Of
        "masking", "salt_and_pepper" and "swap", the probability that a feature is
        corrupted. 0 corrupts nothing, unless the corruption is "moved" or your own.

    corruption : str, (str, dict) or callable, default="gaussian"
        The corruption process, drawn anew at every use, of X as `scaling` maps it:
        "gaussian" adds Gaussian noise, and does not clip it, unless told by
        ``("gaussian", {"clip": True})``; "masking" sets features to 0, which is their
        mean where X is standardised; "salt_and_pepper" sets them to their least or
        greatest value (0 or 1 where X is not standardised), either as likely; "swap"
        to their value in another row of the batch. "moved" moves, turns, scales and
        shears images of `image_shape` a little and adds Gaussian noise: ``("moved",
        {"shift": 0.05, "degrees": 8.0, "stretch": 0.08})`` has its defaults, the most
        that an image is moved by as a part of its sides, turned by, and scaled and
        sheared by.

        Your own is called as ``corruption(x, sigma, generator)`` with a float32 tensor
        of shape (n_samples, n_features), mapped likewise, and a `torch.Generator` on
        its device, and returns a tensor of the same shape. It may change x in place.

    corruption_level : {"mixed", "fixed"}, default="mixed"
        Whether in training half of the rows are corrupted at a level below `sigma`,
        drawn uniformly for each, so that the encoder knows clean rows too; or all of
        them at `sigma`, as in the paper. A corruption of your own is always given
        `sigma`.

    update : {"joint", "separate"}, default="joint"
        How the encoder is moved. "joint" moves it once, by the sum of the gradients of
        the reconstruction and of the match to the prior, balanced at the codes: ours,
        see Notes. "separate" is Algorithm 1 of the paper, to the letter.

    adversarial_weight : float or "auto", default="auto"
        Size of the encoder's adversarial update relative to its reconstruction update.
        In the joint update it is the ratio of the two gradients at the codes, 0.1 by
        default. In the separate one it multiplies that update's learning rate, 1.0 by
        default; a factor on the loss would be undone by Adam's normalisation.

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

    adversarial_loss : {"non_saturating", "minimax"}, default="non_saturating"
        The encoder's adversarial loss: -log D(z_fake), or log(1 - D(z_fake)) as line 18
        of Algorithm 1 prints it.

    discriminator_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the discriminator's hidden layers, input side first. "auto" is (64,
        64).

    discriminator : callable, torch.nn.Module or estimator, default=None
        Your own network instead, likewise: ``discriminator(n_components)``. Its output,
        one for each code, is a logit.

    discriminator_optimizer : str or (str, dict), default=None
        Optimiser of the discriminator. None is the same as `optimizer`.

    discriminator_learning_rate : float, default=None
        Learning rate of the discriminator. None is the same as `learning_rate`.

    reconstruction_loss : {"auto", "bce", "mse", "mae", "huber"} or list, default="auto"
        Binary cross-entropy, for X in [0, 1]; squared or absolute error; or Huber's,
        which is half the squared one up to a difference of 1, and linear beyond, so
        that few values that are far off count for less. "auto" is "bce" where X
        is not standardised, lies in [0, 1] and has a standard deviation of at least
        0.1, else "mse"; name one where parts of the data that are fitted apart, as in
        cross-validation, may differ in that. Or a list of losses of columns:
        ``[("cross_entropy", "color_"), ("mae", slice(0, 3))]``, where columns are a
        slice, a list of numbers or names, or how the names of a data frame's begin; all
        others are of "mse". "cross_entropy" is of columns of which one is 1, as of a
        `OneHotEncoder`; it and "bce" have their columns neither standardised nor
        mapped.

    encoder_layer_sizes, decoder_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the hidden layers, input side first. "auto" is (256, 256), or (1000,
        1000) where more than 10,000 rows are first trained on.

    network : {"mlp", "conv"} or (str, dict), default="mlp"
        Multilayer perceptrons of the sizes above, beside a linear layer from input to
        output where at most 10,000 rows are first trained on (``("mlp", {"shortcut":
        False})`` is always without); or the paper's convolutional network for images,
        which needs `image_shape` and no layer sizes: four convolutions of stride 2,
        with 64 to 512 filters. ``("conv", {"n_filters": 16})`` has a quarter of these,
        for a CPU. Options of both: "activation" ("relu", "leaky_relu", "elu", "gelu",
        "silu", "tanh"), "dropout" and "batch_norm", as in ``("mlp", {"activation":
        "gelu", "dropout": 0.1, "batch_norm": True})``. A discriminator is a multilayer
        perceptron with ReLU either way.

    image_shape : (int, int, int), default=None
        Channels, height and width of the image that each row of X is, flattened in that
        order: ``X.transpose(0, 3, 1, 2).reshape(len(X), -1)`` where the channels come
        last. The network "conv" takes any height and width from 16 up.

    encoder, decoder : callable, torch.nn.Module or estimator, default=None
        Your own network instead: what makes a module, from the sizes of its input and
        output, ``encoder(n_features, n_components)`` and ``decoder(n_components,
        n_features)``; a module; or a fitted estimator of this package, whose network is
        begun from. It is copied, and never trained in place. The decoder of the loss
        "bce" gives logits.

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

    missing_values : {"mask", None}, default=None
        Whether X may have NaN: "mask" leaves such values out of the loss and of the
        numbers of `scaling`, and has networks see the mean of the feature in their
        place. `reconstruct` gives an estimate of them. None refuses them.

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

    batch_size : int or "auto", default="auto"
        Samples in a mini-batch. "auto" is 64, or 128 for more than 10,000 rows.

    max_epochs : int or "auto", default="auto"
        Passes over the data that `fit` makes. "auto" is what comes to 1,000 steps, or
        to fewer in proportion for more than 1,000 features, and from 10 to 100.

    early_stopping : bool, default=False
        Whether to hold out a part of the data, stop when its squared reconstruction
        error no longer improves, and return to the best weights seen. In `fit` only.

    validation : {"random", "last"}, default="random"
        Which rows early stopping sets aside: some of all, or, for rows in order of
        time, the last ones, of which nothing else is learned either.

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

    reconstruction_loss_ : str or tuple
        The loss that was used; or, of a list, that of each group, with the numbers of
        its columns.

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
    DAAETransformer : Matches the codes of the corrupted samples, faster to train.
    AAETransformer : The same without a corruption.

    Notes
    -----
    With ``update="separate"``, training is Algorithms 1 and 2 of the paper: for each
    mini-batch an update of encoder and decoder on the reconstruction loss, one of the
    discriminator, and one of the encoder on the adversarial loss, each with its own
    optimiser state. The reconstruction uses one corruption, z_fake another M, encoded
    in one pass.

    The joint update is ours. It passes each network once, M
    corruptions of which the reconstruction uses the first, and moves the encoder by the
    gradient of the reconstruction at the codes plus one towards the prior, whose size
    is `adversarial_weight` times that of the first, over the batch: the sum of the unit
    vectors of the adversary's gradient and of that of the sliced Wasserstein distance
    from the prior, along 50 random directions. Codes that are wider than the prior are
    not widened further. What it brings is measured in `doc/defaults.md`.
    `as_published` gives the paper's settings.

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
