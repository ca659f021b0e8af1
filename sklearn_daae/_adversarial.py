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
        Number of components of the code z of a row: the columns that :meth:`transform`
        gives, as of `PCA`.

    update : {"joint", "separate"}, default="joint"
        How a training step moves the encoder. "joint" moves it once, by the sum of the
        gradients of the reconstruction and of the match to the prior, after they have
        been balanced: ours, see Notes. "separate" moves it once by each, and is
        Algorithm 1 of the paper, to the letter.

    adversarial_weight : float or "auto", default="auto"
        Size of the encoder's adversarial update relative to its reconstruction update.
        In the joint update it is the ratio of the two gradients at the codes, and
        "auto" is 0.1: about 0.3 makes better samples, about 0.03 better
        reconstructions. In the separate one it multiplies that update's learning rate,
        and "auto" is 1.0; a factor on the loss would be undone by Adam's normalisation.

    prior : str, (str, dict), distribution or callable, default="normal"
        The distribution p(z) that codes are matched to, and that :meth:`sample` draws
        from:

        - "normal", the standard normal;
        - "uniform", on [-1, 1] in each component, or between other limits:
          ``("uniform", {"low": 0.0, "high": 1.0})``;
        - "ring", ten Gaussians of standard deviation 0.5 whose means are equally spaced
          on a circle of radius 4, for ``n_components=2`` (of 1, its first coordinate),
          or others: ``("ring", {"n_modes": 8, "radius": 2.0, "scale": 0.1})``;
        - anything with ``rvs(size=..., random_state=...)``, which is called with
          integers, such as a frozen distribution of `scipy.stats`, where one of one
          dimension is that of each component; or a `scipy.stats.gaussian_kde`;
        - a callable, ``prior(n_samples, n_components, generator)``, which gets a
          `torch.Generator` on the device, and returns a tensor or an array of shape
          (n_samples, n_components).

    adversarial_loss : {"non_saturating", "minimax"}, default="non_saturating"
        What the encoder minimises for its codes to be taken for draws from the prior:
        -log D(z_fake), or, for "minimax", log(1 - D(z_fake)), as line 18 of Algorithm 1
        prints it.

    discriminator_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the discriminator's hidden layers, input side first. "auto" is (64,
        64).

    discriminator : callable, torch.nn.Module or estimator, default=None
        Your own discriminator, in any of the ways that `encoder` and `decoder` may be
        given: a callable is called as ``discriminator(n_components)``. Its output, one
        for each code, is a logit.

    discriminator_optimizer : str or (str, dict), default=None
        Optimiser of the discriminator, as `optimizer`. None is the same as `optimizer`.

    discriminator_learning_rate : float, default=None
        Learning rate of the discriminator. None is the same as `learning_rate`.

    reconstruction_loss : {"auto", "bce", "mse", "mae", "huber"} or list, default="auto"
        How a reconstruction is compared with the clean row, both as `scaling` maps
        them:

        - "bce", the binary cross-entropy, for X in [0, 1];
        - "mse", the squared error;
        - "mae", the absolute error;
        - "huber", half the squared error up to a difference of 1, and linear beyond, so
          that few values that are far off count for less;
        - "auto", which is "bce" where X is not standardised, lies in [0, 1] and has a
          standard deviation of at least 0.1, and else "mse". Name one where parts of
          the data that are fitted apart, as in cross-validation, may differ in that;
        - a list of pairs of a loss and the columns that it is of, as in
          ``[("cross_entropy", "color_"), ("mae", slice(0, 3))]``. Columns are a slice,
          a list of numbers or names, or how the names of a data frame's begin; all
          others are of "mse". "cross_entropy" is of columns of which one is 1, as of a
          `OneHotEncoder`; it and "bce" have their columns neither standardised nor
          mapped.

    encoder_layer_sizes, decoder_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the hidden layers, input side first: an int for one layer, or several,
        such as ``(512, 128)``. "auto" is (256, 256), or (1000, 1000) where more than
        10,000 rows are first trained on.

    network : {"mlp", "conv"} or (str, dict), default="mlp"
        What encoder and decoder are:

        - "mlp", multilayer perceptrons of the sizes above, beside a linear layer from
          input to output, which begins as PCA, where at most 10,000 rows are first
          trained on; ``("mlp", {"shortcut": False})`` is always without;
        - "conv", the paper's convolutional networks for images, which need
          `image_shape` and no layer sizes: four convolutions of stride 2, with 64 to
          512 filters. ``("conv", {"n_filters": 16})`` has a quarter of these, for a
          CPU.

        Options of both are "activation" ("relu", "leaky_relu", "elu", "gelu", "silu",
        "tanh"), "dropout" and "batch_norm", as in ``("mlp", {"activation": "gelu",
        "dropout": 0.1, "batch_norm": True})``. A discriminator is a multilayer
        perceptron with ReLU either way.

    image_shape : (int, int, int), default=None
        Channels, height and width of the image that each row of X is, flattened in that
        order. Where channels come last, rows are ``X.transpose(0, 3, 1,
        2).reshape(len(X), -1)``. The network "conv" takes any height and width from 16
        up.

    encoder, decoder : callable, torch.nn.Module or estimator, default=None
        A network of your own: a callable that makes a module from the sizes of its
        input and output, ``encoder(n_features, n_components)`` and
        ``decoder(n_components, n_features)``; a module; or a fitted estimator of this
        package, whose network training begins from. It is copied, and never trained in
        place. With the loss "bce" the decoder gives logits, to which the sigmoid is
        still to be applied.

    scaling : {"auto", "standard", "range", None}, default="auto"
        How X is mapped as it is read, batch by batch. Corruptions and networks see it
        mapped; what is in the space of X, such as reconstructions and samples, is
        mapped back.

        - "standard" subtracts the mean of each feature and divides by its standard
          deviation, or by one number for all where half of them have at least a quarter
          of the widest range, as pixels do;
        - "range" maps `input_range` to [0, 1];
        - None leaves X as it is;
        - "auto" is "range" with an `input_range`; None for X in [0, 1] whose values lie
          mostly at either end, as in images of writing, or with the loss "bce"; and
          else "standard".

        The numbers are those of the rows first trained on, and stand in `scaling_`.

    input_range : (float, float), default=None
        The least and the greatest value that X may have, such as ``(0, 255)``, which
        `scaling` maps to [0, 1]: images stay uint8 in memory or in a memory-mapped
        file. Values beyond are refused, by :meth:`fit` and :meth:`partial_fit`.

    missing_values : {"mask", None}, default=None
        Whether X may have NaN, which stands for values that are missing. "mask" leaves
        them out of the loss and of the numbers of `scaling`, and has networks see the
        mean of the feature in their place; :meth:`reconstruct` gives an estimate of
        them. None refuses them.

    optimizer : str or (str, dict), default=("adam", {"betas": (0.5, 0.99)})
        Optimiser of the encoder and the decoder: "adam" or "rmsprop", or a pair of one
        and its options, which are those of `torch.optim.Adam` and
        `torch.optim.RMSprop`, but for the learning rate.

    learning_rate : float, default=1e-3
        Learning rate of the encoder and the decoder.

    learning_rate_decay : float, default=1.0
        What all learning rates are multiplied by after every epoch, above 0 and at most
        1.

    averaging : bool, default=True
        Whether codes, reconstructions and samples are those of a running average of the
        weights, over about the last seventeenth of the steps taken so far. Training
        goes on from the weights themselves.

    batch_size : int or "auto", default="auto"
        Rows in a mini-batch. "auto" is 64, or 128 for more than 10,000 rows.

    max_epochs : int or "auto", default="auto"
        Passes over X that :meth:`fit` makes. "auto" makes as many as come to 1,000
        steps, one a mini-batch, or to fewer in proportion for more than 1,000 features;
        but 10 at least, and 100 at most.

    early_stopping : bool, default=False
        Whether :meth:`fit` is to hold out a part of X, stop when the squared
        reconstruction error of that part no longer improves, and return to the best
        weights seen. Rows of your own to watch are given to :meth:`fit`.

    validation : {"random", "last"}, default="random"
        Which rows `early_stopping` holds out: "random" ones; or, for rows in order of
        time, the "last", of which nothing else is learned either.

    validation_fraction : float, default=0.1
        The part of the rows that `early_stopping` holds out, between 0 and 1.

    n_iter_no_change : int, default=10
        Epochs without an improvement of at least `tol` after which `early_stopping`
        stops.

    tol : float, default=1e-4
        The least improvement that counts for `early_stopping`, as a part of the
        variance of the rows that are held out.

    warm_start : bool, default=False
        Whether :meth:`fit` goes on from the present state, for `max_epochs` more,
        instead of starting over.

    callbacks : list, default=None
        Callbacks of skorch, or pairs of a name and one; a
        :class:`~sklearn_daae.Checkpoint` is one. Hooks on epochs cost nothing; hooks on
        batches or gradients make every batch wait for the device. In skorch's history
        "train_loss" is the reconstruction loss, and "valid_loss" the validation error
        that `early_stopping` watches.

    device : str or torch.device, default="auto"
        Where to compute. "auto" is a CUDA device where there is one, else MPS, else the
        CPU.

    precision : {"float32", "bfloat16"}, default="float32"
        "bfloat16" trains in mixed precision, which is faster on hardware that has
        instructions for it, and slower on other. Codes and reconstructions are computed
        in float32 either way.

    verbose : int, default=0
        Whether :meth:`fit` shows a progress bar over epochs, with the losses: 0 does
        not.

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
        The skorch net that trained them.

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
        Number of features seen during :meth:`fit`.

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
    ``DAAETransformer(sigma=0)``, bit for bit.

    The joint update is ours. It passes each network once, and moves the encoder by the
    gradient of the reconstruction at the codes plus one towards the prior, whose size
    is `adversarial_weight` times that of the first, over the batch: the sum of the unit
    vectors of the adversary's gradient and of that of the sliced Wasserstein distance
    from the prior, along 50 random directions. Codes that are wider than the prior are
    not widened further. What it brings is measured in :doc:`/defaults`.
    :meth:`as_published` gives the paper's settings.

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
    more of a Markov chain, which :meth:`sample` does.

    Parameters
    ----------
    n_components : int, default=10
        Number of components of the code z of a row: the columns that :meth:`transform`
        gives, as of `PCA`.

    sigma : float or array-like of shape (n_features,), default=0.5
        How strongly rows are corrupted: one level, or one for each feature. Of the
        corruptions "gaussian" and "moved" it is the standard deviation of the noise, in
        units of X as `scaling` maps it: of standardised features, 0.5 is half a
        standard deviation. Of "masking", "salt_and_pepper" and "swap" it is the
        probability, at most 1, that a value is corrupted. More of it makes codes that
        are more robust, and coarser. 0 corrupts nothing, unless the corruption is
        "moved" or your own.

    corruption : str, (str, dict) or callable, default="gaussian"
        How rows are corrupted, as `scaling` maps them and anew at every use:

        - "gaussian" adds Gaussian noise, and does not clip it, unless told by
          ``("gaussian", {"clip": True})``;
        - "masking" sets values to 0, which is the mean of a feature that is
          standardised;
        - "salt_and_pepper" sets values to the least or the greatest of their feature (0
          or 1 where X is not standardised), either as likely;
        - "swap" takes values from another row of the batch;
        - "moved" moves, turns, scales and shears images of `image_shape` a little, and
          adds Gaussian noise. ``("moved", {"shift": 0.05, "degrees": 8.0, "stretch":
          0.08})`` has its defaults, the most that an image is moved by as a part of its
          sides, turned by, and scaled and sheared by;
        - a callable of your own, ``corruption(x, sigma, generator)``, gets a float32
          tensor of shape (n_samples, n_features), `sigma`, and a `torch.Generator` on
          the device of x, and returns a tensor of the same shape. It may change x in
          place.

    corruption_level : {"mixed", "fixed"}, default="mixed"
        How strong the corruption is in training. With "mixed" half of the rows are
        corrupted at a level below `sigma`, drawn uniformly for each, so that the
        encoder knows rows that are nearly clean, too. With "fixed" all of them are
        corrupted at `sigma`, as in the paper. A corruption of your own is always given
        `sigma`.

    update : {"joint", "separate"}, default="joint"
        How a training step moves the encoder. "joint" moves it once, by the sum of the
        gradients of the reconstruction and of the match to the prior, after they have
        been balanced: ours, see Notes. "separate" moves it once by each, and is
        Algorithm 1 of the paper, to the letter.

    adversarial_weight : float or "auto", default="auto"
        Size of the encoder's adversarial update relative to its reconstruction update.
        In the joint update it is the ratio of the two gradients at the codes, and
        "auto" is 0.1: about 0.3 makes better samples, about 0.03 better
        reconstructions. In the separate one it multiplies that update's learning rate,
        and "auto" is 1.0; a factor on the loss would be undone by Adam's normalisation.

    prior : str, (str, dict), distribution or callable, default="normal"
        The distribution p(z) that codes are matched to, and that :meth:`sample` draws
        from:

        - "normal", the standard normal;
        - "uniform", on [-1, 1] in each component, or between other limits:
          ``("uniform", {"low": 0.0, "high": 1.0})``;
        - "ring", ten Gaussians of standard deviation 0.5 whose means are equally spaced
          on a circle of radius 4, for ``n_components=2`` (of 1, its first coordinate),
          or others: ``("ring", {"n_modes": 8, "radius": 2.0, "scale": 0.1})``;
        - anything with ``rvs(size=..., random_state=...)``, which is called with
          integers, such as a frozen distribution of `scipy.stats`, where one of one
          dimension is that of each component; or a `scipy.stats.gaussian_kde`;
        - a callable, ``prior(n_samples, n_components, generator)``, which gets a
          `torch.Generator` on the device, and returns a tensor or an array of shape
          (n_samples, n_components).

    adversarial_loss : {"non_saturating", "minimax"}, default="non_saturating"
        What the encoder minimises for its codes to be taken for draws from the prior:
        -log D(z_fake), or, for "minimax", log(1 - D(z_fake)), as line 18 of Algorithm 1
        prints it.

    discriminator_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the discriminator's hidden layers, input side first. "auto" is (64,
        64).

    discriminator : callable, torch.nn.Module or estimator, default=None
        Your own discriminator, in any of the ways that `encoder` and `decoder` may be
        given: a callable is called as ``discriminator(n_components)``. Its output, one
        for each code, is a logit.

    discriminator_optimizer : str or (str, dict), default=None
        Optimiser of the discriminator, as `optimizer`. None is the same as `optimizer`.

    discriminator_learning_rate : float, default=None
        Learning rate of the discriminator. None is the same as `learning_rate`.

    reconstruction_loss : {"auto", "bce", "mse", "mae", "huber"} or list, default="auto"
        How a reconstruction is compared with the clean row, both as `scaling` maps
        them:

        - "bce", the binary cross-entropy, for X in [0, 1];
        - "mse", the squared error;
        - "mae", the absolute error;
        - "huber", half the squared error up to a difference of 1, and linear beyond, so
          that few values that are far off count for less;
        - "auto", which is "bce" where X is not standardised, lies in [0, 1] and has a
          standard deviation of at least 0.1, and else "mse". Name one where parts of
          the data that are fitted apart, as in cross-validation, may differ in that;
        - a list of pairs of a loss and the columns that it is of, as in
          ``[("cross_entropy", "color_"), ("mae", slice(0, 3))]``. Columns are a slice,
          a list of numbers or names, or how the names of a data frame's begin; all
          others are of "mse". "cross_entropy" is of columns of which one is 1, as of a
          `OneHotEncoder`; it and "bce" have their columns neither standardised nor
          mapped.

    encoder_layer_sizes, decoder_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the hidden layers, input side first: an int for one layer, or several,
        such as ``(512, 128)``. "auto" is (256, 256), or (1000, 1000) where more than
        10,000 rows are first trained on.

    network : {"mlp", "conv"} or (str, dict), default="mlp"
        What encoder and decoder are:

        - "mlp", multilayer perceptrons of the sizes above, beside a linear layer from
          input to output, which begins as PCA, where at most 10,000 rows are first
          trained on; ``("mlp", {"shortcut": False})`` is always without;
        - "conv", the paper's convolutional networks for images, which need
          `image_shape` and no layer sizes: four convolutions of stride 2, with 64 to
          512 filters. ``("conv", {"n_filters": 16})`` has a quarter of these, for a
          CPU.

        Options of both are "activation" ("relu", "leaky_relu", "elu", "gelu", "silu",
        "tanh"), "dropout" and "batch_norm", as in ``("mlp", {"activation": "gelu",
        "dropout": 0.1, "batch_norm": True})``. A discriminator is a multilayer
        perceptron with ReLU either way.

    image_shape : (int, int, int), default=None
        Channels, height and width of the image that each row of X is, flattened in that
        order. Where channels come last, rows are ``X.transpose(0, 3, 1,
        2).reshape(len(X), -1)``. The network "conv" takes any height and width from 16
        up.

    encoder, decoder : callable, torch.nn.Module or estimator, default=None
        A network of your own: a callable that makes a module from the sizes of its
        input and output, ``encoder(n_features, n_components)`` and
        ``decoder(n_components, n_features)``; a module; or a fitted estimator of this
        package, whose network training begins from. It is copied, and never trained in
        place. With the loss "bce" the decoder gives logits, to which the sigmoid is
        still to be applied.

    scaling : {"auto", "standard", "range", None}, default="auto"
        How X is mapped as it is read, batch by batch. Corruptions and networks see it
        mapped; what is in the space of X, such as reconstructions and samples, is
        mapped back.

        - "standard" subtracts the mean of each feature and divides by its standard
          deviation, or by one number for all where half of them have at least a quarter
          of the widest range, as pixels do;
        - "range" maps `input_range` to [0, 1];
        - None leaves X as it is;
        - "auto" is "range" with an `input_range`; None for X in [0, 1] whose values lie
          mostly at either end, as in images of writing, or with the loss "bce"; and
          else "standard".

        The numbers are those of the rows first trained on, and stand in `scaling_`.

    input_range : (float, float), default=None
        The least and the greatest value that X may have, such as ``(0, 255)``, which
        `scaling` maps to [0, 1]: images stay uint8 in memory or in a memory-mapped
        file. Values beyond are refused, by :meth:`fit` and :meth:`partial_fit`.

    missing_values : {"mask", None}, default=None
        Whether X may have NaN, which stands for values that are missing. "mask" leaves
        them out of the loss and of the numbers of `scaling`, and has networks see the
        mean of the feature in their place; :meth:`reconstruct` gives an estimate of
        them. None refuses them.

    optimizer : str or (str, dict), default=("adam", {"betas": (0.5, 0.99)})
        Optimiser of the encoder and the decoder: "adam" or "rmsprop", or a pair of one
        and its options, which are those of `torch.optim.Adam` and
        `torch.optim.RMSprop`, but for the learning rate.

    learning_rate : float, default=1e-3
        Learning rate of the encoder and the decoder.

    learning_rate_decay : float, default=1.0
        What all learning rates are multiplied by after every epoch, above 0 and at most
        1.

    averaging : bool, default=True
        Whether codes, reconstructions and samples are those of a running average of the
        weights, over about the last seventeenth of the steps taken so far. Training
        goes on from the weights themselves.

    batch_size : int or "auto", default="auto"
        Rows in a mini-batch. "auto" is 64, or 128 for more than 10,000 rows.

    max_epochs : int or "auto", default="auto"
        Passes over X that :meth:`fit` makes. "auto" makes as many as come to 1,000
        steps, one a mini-batch, or to fewer in proportion for more than 1,000 features;
        but 10 at least, and 100 at most.

    early_stopping : bool, default=False
        Whether :meth:`fit` is to hold out a part of X, stop when the squared
        reconstruction error of that part no longer improves, and return to the best
        weights seen. Rows of your own to watch are given to :meth:`fit`.

    validation : {"random", "last"}, default="random"
        Which rows `early_stopping` holds out: "random" ones; or, for rows in order of
        time, the "last", of which nothing else is learned either.

    validation_fraction : float, default=0.1
        The part of the rows that `early_stopping` holds out, between 0 and 1.

    n_iter_no_change : int, default=10
        Epochs without an improvement of at least `tol` after which `early_stopping`
        stops.

    tol : float, default=1e-4
        The least improvement that counts for `early_stopping`, as a part of the
        variance of the rows that are held out.

    warm_start : bool, default=False
        Whether :meth:`fit` goes on from the present state, for `max_epochs` more,
        instead of starting over.

    callbacks : list, default=None
        Callbacks of skorch, or pairs of a name and one; a
        :class:`~sklearn_daae.Checkpoint` is one. Hooks on epochs cost nothing; hooks on
        batches or gradients make every batch wait for the device. In skorch's history
        "train_loss" is the reconstruction loss, and "valid_loss" the validation error
        that `early_stopping` watches.

    device : str or torch.device, default="auto"
        Where to compute. "auto" is a CUDA device where there is one, else MPS, else the
        CPU.

    precision : {"float32", "bfloat16"}, default="float32"
        "bfloat16" trains in mixed precision, which is faster on hardware that has
        instructions for it, and slower on other. Codes and reconstructions are computed
        in float32 either way.

    verbose : int, default=0
        Whether :meth:`fit` shows a progress bar over epochs, with the losses: 0 does
        not.

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
        The skorch net that trained them.

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
        Number of features seen during :meth:`fit`.

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
    not widened further. What it brings is measured in :doc:`/defaults`.
    :meth:`as_published` gives the paper's settings.

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
        Number of components of the code z of a row: the columns that :meth:`transform`
        gives, as of `PCA`.

    M : int, default=5
        Monte Carlo integration steps: how many corruptions of each row have their codes
        averaged before these are matched to the prior (Algorithm 2). ``M=1`` is a DAAE
        in distribution.

    sigma : float or array-like of shape (n_features,), default=0.5
        How strongly rows are corrupted: one level, or one for each feature. Of the
        corruptions "gaussian" and "moved" it is the standard deviation of the noise, in
        units of X as `scaling` maps it: of standardised features, 0.5 is half a
        standard deviation. Of "masking", "salt_and_pepper" and "swap" it is the
        probability, at most 1, that a value is corrupted. More of it makes codes that
        are more robust, and coarser. 0 corrupts nothing, unless the corruption is
        "moved" or your own.

    corruption : str, (str, dict) or callable, default="gaussian"
        How rows are corrupted, as `scaling` maps them and anew at every use:

        - "gaussian" adds Gaussian noise, and does not clip it, unless told by
          ``("gaussian", {"clip": True})``;
        - "masking" sets values to 0, which is the mean of a feature that is
          standardised;
        - "salt_and_pepper" sets values to the least or the greatest of their feature (0
          or 1 where X is not standardised), either as likely;
        - "swap" takes values from another row of the batch;
        - "moved" moves, turns, scales and shears images of `image_shape` a little, and
          adds Gaussian noise. ``("moved", {"shift": 0.05, "degrees": 8.0, "stretch":
          0.08})`` has its defaults, the most that an image is moved by as a part of its
          sides, turned by, and scaled and sheared by;
        - a callable of your own, ``corruption(x, sigma, generator)``, gets a float32
          tensor of shape (n_samples, n_features), `sigma`, and a `torch.Generator` on
          the device of x, and returns a tensor of the same shape. It may change x in
          place.

    corruption_level : {"mixed", "fixed"}, default="mixed"
        How strong the corruption is in training. With "mixed" half of the rows are
        corrupted at a level below `sigma`, drawn uniformly for each, so that the
        encoder knows rows that are nearly clean, too. With "fixed" all of them are
        corrupted at `sigma`, as in the paper. A corruption of your own is always given
        `sigma`.

    update : {"joint", "separate"}, default="joint"
        How a training step moves the encoder. "joint" moves it once, by the sum of the
        gradients of the reconstruction and of the match to the prior, after they have
        been balanced: ours, see Notes. "separate" moves it once by each, and is
        Algorithm 1 of the paper, to the letter.

    adversarial_weight : float or "auto", default="auto"
        Size of the encoder's adversarial update relative to its reconstruction update.
        In the joint update it is the ratio of the two gradients at the codes, and
        "auto" is 0.1: about 0.3 makes better samples, about 0.03 better
        reconstructions. In the separate one it multiplies that update's learning rate,
        and "auto" is 1.0; a factor on the loss would be undone by Adam's normalisation.

    prior : str, (str, dict), distribution or callable, default="normal"
        The distribution p(z) that codes are matched to, and that :meth:`sample` draws
        from:

        - "normal", the standard normal;
        - "uniform", on [-1, 1] in each component, or between other limits:
          ``("uniform", {"low": 0.0, "high": 1.0})``;
        - "ring", ten Gaussians of standard deviation 0.5 whose means are equally spaced
          on a circle of radius 4, for ``n_components=2`` (of 1, its first coordinate),
          or others: ``("ring", {"n_modes": 8, "radius": 2.0, "scale": 0.1})``;
        - anything with ``rvs(size=..., random_state=...)``, which is called with
          integers, such as a frozen distribution of `scipy.stats`, where one of one
          dimension is that of each component; or a `scipy.stats.gaussian_kde`;
        - a callable, ``prior(n_samples, n_components, generator)``, which gets a
          `torch.Generator` on the device, and returns a tensor or an array of shape
          (n_samples, n_components).

    adversarial_loss : {"non_saturating", "minimax"}, default="non_saturating"
        What the encoder minimises for its codes to be taken for draws from the prior:
        -log D(z_fake), or, for "minimax", log(1 - D(z_fake)), as line 18 of Algorithm 1
        prints it.

    discriminator_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the discriminator's hidden layers, input side first. "auto" is (64,
        64).

    discriminator : callable, torch.nn.Module or estimator, default=None
        Your own discriminator, in any of the ways that `encoder` and `decoder` may be
        given: a callable is called as ``discriminator(n_components)``. Its output, one
        for each code, is a logit.

    discriminator_optimizer : str or (str, dict), default=None
        Optimiser of the discriminator, as `optimizer`. None is the same as `optimizer`.

    discriminator_learning_rate : float, default=None
        Learning rate of the discriminator. None is the same as `learning_rate`.

    reconstruction_loss : {"auto", "bce", "mse", "mae", "huber"} or list, default="auto"
        How a reconstruction is compared with the clean row, both as `scaling` maps
        them:

        - "bce", the binary cross-entropy, for X in [0, 1];
        - "mse", the squared error;
        - "mae", the absolute error;
        - "huber", half the squared error up to a difference of 1, and linear beyond, so
          that few values that are far off count for less;
        - "auto", which is "bce" where X is not standardised, lies in [0, 1] and has a
          standard deviation of at least 0.1, and else "mse". Name one where parts of
          the data that are fitted apart, as in cross-validation, may differ in that;
        - a list of pairs of a loss and the columns that it is of, as in
          ``[("cross_entropy", "color_"), ("mae", slice(0, 3))]``. Columns are a slice,
          a list of numbers or names, or how the names of a data frame's begin; all
          others are of "mse". "cross_entropy" is of columns of which one is 1, as of a
          `OneHotEncoder`; it and "bce" have their columns neither standardised nor
          mapped.

    encoder_layer_sizes, decoder_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the hidden layers, input side first: an int for one layer, or several,
        such as ``(512, 128)``. "auto" is (256, 256), or (1000, 1000) where more than
        10,000 rows are first trained on.

    network : {"mlp", "conv"} or (str, dict), default="mlp"
        What encoder and decoder are:

        - "mlp", multilayer perceptrons of the sizes above, beside a linear layer from
          input to output, which begins as PCA, where at most 10,000 rows are first
          trained on; ``("mlp", {"shortcut": False})`` is always without;
        - "conv", the paper's convolutional networks for images, which need
          `image_shape` and no layer sizes: four convolutions of stride 2, with 64 to
          512 filters. ``("conv", {"n_filters": 16})`` has a quarter of these, for a
          CPU.

        Options of both are "activation" ("relu", "leaky_relu", "elu", "gelu", "silu",
        "tanh"), "dropout" and "batch_norm", as in ``("mlp", {"activation": "gelu",
        "dropout": 0.1, "batch_norm": True})``. A discriminator is a multilayer
        perceptron with ReLU either way.

    image_shape : (int, int, int), default=None
        Channels, height and width of the image that each row of X is, flattened in that
        order. Where channels come last, rows are ``X.transpose(0, 3, 1,
        2).reshape(len(X), -1)``. The network "conv" takes any height and width from 16
        up.

    encoder, decoder : callable, torch.nn.Module or estimator, default=None
        A network of your own: a callable that makes a module from the sizes of its
        input and output, ``encoder(n_features, n_components)`` and
        ``decoder(n_components, n_features)``; a module; or a fitted estimator of this
        package, whose network training begins from. It is copied, and never trained in
        place. With the loss "bce" the decoder gives logits, to which the sigmoid is
        still to be applied.

    scaling : {"auto", "standard", "range", None}, default="auto"
        How X is mapped as it is read, batch by batch. Corruptions and networks see it
        mapped; what is in the space of X, such as reconstructions and samples, is
        mapped back.

        - "standard" subtracts the mean of each feature and divides by its standard
          deviation, or by one number for all where half of them have at least a quarter
          of the widest range, as pixels do;
        - "range" maps `input_range` to [0, 1];
        - None leaves X as it is;
        - "auto" is "range" with an `input_range`; None for X in [0, 1] whose values lie
          mostly at either end, as in images of writing, or with the loss "bce"; and
          else "standard".

        The numbers are those of the rows first trained on, and stand in `scaling_`.

    input_range : (float, float), default=None
        The least and the greatest value that X may have, such as ``(0, 255)``, which
        `scaling` maps to [0, 1]: images stay uint8 in memory or in a memory-mapped
        file. Values beyond are refused, by :meth:`fit` and :meth:`partial_fit`.

    missing_values : {"mask", None}, default=None
        Whether X may have NaN, which stands for values that are missing. "mask" leaves
        them out of the loss and of the numbers of `scaling`, and has networks see the
        mean of the feature in their place; :meth:`reconstruct` gives an estimate of
        them. None refuses them.

    optimizer : str or (str, dict), default=("adam", {"betas": (0.5, 0.99)})
        Optimiser of the encoder and the decoder: "adam" or "rmsprop", or a pair of one
        and its options, which are those of `torch.optim.Adam` and
        `torch.optim.RMSprop`, but for the learning rate.

    learning_rate : float, default=1e-3
        Learning rate of the encoder and the decoder.

    learning_rate_decay : float, default=1.0
        What all learning rates are multiplied by after every epoch, above 0 and at most
        1.

    averaging : bool, default=True
        Whether codes, reconstructions and samples are those of a running average of the
        weights, over about the last seventeenth of the steps taken so far. Training
        goes on from the weights themselves.

    batch_size : int or "auto", default="auto"
        Rows in a mini-batch. "auto" is 64, or 128 for more than 10,000 rows.

    max_epochs : int or "auto", default="auto"
        Passes over X that :meth:`fit` makes. "auto" makes as many as come to 1,000
        steps, one a mini-batch, or to fewer in proportion for more than 1,000 features;
        but 10 at least, and 100 at most.

    early_stopping : bool, default=False
        Whether :meth:`fit` is to hold out a part of X, stop when the squared
        reconstruction error of that part no longer improves, and return to the best
        weights seen. Rows of your own to watch are given to :meth:`fit`.

    validation : {"random", "last"}, default="random"
        Which rows `early_stopping` holds out: "random" ones; or, for rows in order of
        time, the "last", of which nothing else is learned either.

    validation_fraction : float, default=0.1
        The part of the rows that `early_stopping` holds out, between 0 and 1.

    n_iter_no_change : int, default=10
        Epochs without an improvement of at least `tol` after which `early_stopping`
        stops.

    tol : float, default=1e-4
        The least improvement that counts for `early_stopping`, as a part of the
        variance of the rows that are held out.

    warm_start : bool, default=False
        Whether :meth:`fit` goes on from the present state, for `max_epochs` more,
        instead of starting over.

    callbacks : list, default=None
        Callbacks of skorch, or pairs of a name and one; a
        :class:`~sklearn_daae.Checkpoint` is one. Hooks on epochs cost nothing; hooks on
        batches or gradients make every batch wait for the device. In skorch's history
        "train_loss" is the reconstruction loss, and "valid_loss" the validation error
        that `early_stopping` watches.

    device : str or torch.device, default="auto"
        Where to compute. "auto" is a CUDA device where there is one, else MPS, else the
        CPU.

    precision : {"float32", "bfloat16"}, default="float32"
        "bfloat16" trains in mixed precision, which is faster on hardware that has
        instructions for it, and slower on other. Codes and reconstructions are computed
        in float32 either way.

    verbose : int, default=0
        Whether :meth:`fit` shows a progress bar over epochs, with the losses: 0 does
        not.

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
        The skorch net that trained them.

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
        Number of features seen during :meth:`fit`.

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
    not widened further. What it brings is measured in :doc:`/defaults`.
    :meth:`as_published` gives the paper's settings.

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
