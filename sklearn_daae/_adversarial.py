"""Denoising adversarial autoencoders: models matched to a prior by an adversary."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import ClassVar

import torch

from ._base import BaseAutoencoder
from ._corruption import CORRUPTIONS
from ._losses import ADVERSARIAL_LOSSES
from ._objectives import AdversarialObjective
from ._optimizers import split_optimizer
from ._parameters import LAYER_SIZES
from ._priors import PRIORS
from ._sklearn_compat import Interval, StrOptions


@dataclass(eq=False, repr=False, kw_only=True)
class _AdversarialAutoencoder(BaseAutoencoder):
    """What the models with a discriminator share."""

    sigma: float = 0.5
    corruption: str = "gaussian"
    prior: str = "normal"
    adversarial_weight: float = 1.0
    adversarial_loss: str = "non_saturating"
    discriminator_layer_sizes: Sequence[int] = (1000, 1000)
    discriminator: Callable[[int], torch.nn.Module] | None = None
    discriminator_optimizer: str | tuple[str, dict] | None = None
    discriminator_learning_rate: float | None = None

    _parameter_constraints: ClassVar[dict] = {
        **BaseAutoencoder._parameter_constraints,
        "sigma": [Interval(Real, 0, None, closed="left")],
        "corruption": [StrOptions(set(CORRUPTIONS))],
        "prior": [StrOptions(set(PRIORS))],
        "adversarial_weight": [Interval(Real, 0, None, closed="left")],
        "adversarial_loss": [StrOptions(set(ADVERSARIAL_LOSSES))],
        "discriminator_layer_sizes": LAYER_SIZES,
        "discriminator": [callable, None],
        "discriminator_optimizer": [str, tuple, list, None],
        "discriminator_learning_rate": [
            Interval(Real, 0, None, closed="neither"),
            None,
        ],
    }

    def _objective(self, n_integration_steps=None):
        return AdversarialObjective(
            corruption=CORRUPTIONS[self.corruption],
            sigma=self.sigma,
            prior=PRIORS[self.prior],
            adversarial_loss=ADVERSARIAL_LOSSES[self.adversarial_loss],
            n_integration_steps=n_integration_steps,
        )

    def _make_networks(self, generator):
        networks = super()._make_networks(generator)
        sizes = (self.n_components, 1)
        networks["discriminator"] = self._make_network(
            "discriminator", sizes, generator
        )
        return networks

    def _optimizers(self):
        # Each update has its own optimiser and state. With the losses summed into one,
        # the adversarial gradient would swamp the mean over pixels.
        optimizers = super()._optimizers()
        discriminator = optimizers["reconstruction"]
        if self.discriminator_optimizer is not None:
            discriminator = split_optimizer(
                "discriminator_optimizer", self.discriminator_optimizer
            )
        return {
            **optimizers,
            "adversarial": optimizers["reconstruction"],
            "discriminator": discriminator,
        }

    def _learning_rates(self):
        discriminator = self.discriminator_learning_rate
        return {
            **super()._learning_rates(),
            "adversarial": self.learning_rate * self.adversarial_weight,
            "discriminator": self.learning_rate
            if discriminator is None
            else discriminator,
        }

    def _draw_codes(self, n_samples, generator):
        """Draw from the prior."""
        prior = self.net_.objective.prior
        return prior(n_samples, self._n_features_out, generator)

    @property
    def discriminator_(self):
        """The trained discriminator D, before its sigmoid."""
        return self.net_.module_.discriminator


@dataclass(eq=False, repr=False, kw_only=True)
class DAAETransformer(_AdversarialAutoencoder):
    """Denoising adversarial autoencoder (DAAE).

    An autoencoder that learns to reconstruct clean samples from corrupted ones, while
    an adversary matches the codes of the *corrupted* samples, q(z | x_tilde), to a
    prior. Fast to train: one corruption per sample. To draw from it takes a step or
    more of a Markov chain, which `sample` does.

    Parameters
    ----------
    n_components : int, default=10
        Size of the code z.

    sigma : float, default=0.5
        Level of the corruption: the standard deviation of the Gaussian noise, in
        units of X. 0 corrupts nothing.

    corruption : {"gaussian"}, default="gaussian"
        The corruption process: additive Gaussian noise, fresh at every use and not
        clipped.

    prior : {"normal"}, default="normal"
        The distribution p(z) that codes are matched to: the standard normal.

    adversarial_weight : float, default=1.0
        Size of the encoder's adversarial update relative to its reconstruction
        update. It multiplies that update's learning rate; a factor on the loss would
        be undone by Adam's normalisation.

    adversarial_loss : {"non_saturating", "minimax"}, default="non_saturating"
        The encoder's adversarial loss: -log D(z_fake), or log(1 - D(z_fake)) as line
        18 of Algorithm 1 prints it.

    reconstruction_loss : {"auto", "bce", "mse"}, default="auto"
        Binary cross-entropy, for X in [0, 1], or squared error. "auto" is "bce" where
        all of X lies in [0, 1], else "mse"; name one where parts of the data that are
        fitted apart, as in cross-validation, may differ in that.

    encoder_layer_sizes : array-like of int, default=(1000, 1000)
        Sizes of the encoder's hidden layers, input side first.

    decoder_layer_sizes : array-like of int, default=(1000, 1000)
        Sizes of the decoder's hidden layers, input side first.

    discriminator_layer_sizes : array-like of int, default=(1000, 1000)
        Sizes of the discriminator's hidden layers, input side first.

    encoder, decoder, discriminator : callable, default=None
        Makes your own `torch.nn.Module` instead, from the sizes of its input and
        output: ``encoder(n_features, n_components)``,
        ``decoder(n_components, n_features)`` and ``discriminator(n_components)``. The
        decoder of the loss "bce" and the discriminator, of one output, give logits.

    optimizer : {"adam", "rmsprop"} or tuple of (str, dict), default="adam"
        Optimiser of the encoder and the decoder, with its options in the second form:
        ``("adam", {"betas": (0.5, 0.999)})``.

    learning_rate : float, default=2e-4
        Learning rate of the encoder and the decoder.

    learning_rate_decay : float, default=1.0
        Multiplies all learning rates after every epoch.

    discriminator_optimizer : str or tuple, default=None
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
        The least improvement that counts.

    warm_start : bool, default=False
        Whether `fit` goes on from the present state instead of starting over.

    callbacks : list, default=None
        skorch callbacks. Hooks on epochs cost nothing; hooks on batches or gradients
        make every batch wait for the device. "train_loss" is the reconstruction loss,
        and "valid_loss" the validation error that `early_stopping` watches.

    device : str or torch.device, default="auto"
        Where to compute. "auto" is a CUDA device where there is one, else MPS, else
        the CPU.

    precision : {"float32", "bfloat16"}, default="float32"
        "bfloat16" trains in mixed precision. Codes and reconstructions are computed
        in float32 either way.

    verbose : int, default=0
        Whether `fit` shows a progress bar over epochs, with the losses.

    random_state : int, RandomState instance or None, default=None
        Seeds weights, shuffling, corruption and prior. Pass an int for the same
        weights, bit for bit, at every fit on the same machine with the same number of
        threads. Global generators are neither read nor changed (while it trains,
        modules of your own draw from torch's, which are then put back).

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
    iDAAETransformer : Matches the codes of the clean samples, integrated over the
        corruption. Its prior can be decoded directly.

    Notes
    -----
    Training is Algorithm 1 of the paper with ``z_fake = E(x_tilde)`` in line 11: for
    each mini-batch an update of encoder and decoder on the reconstruction loss, one of
    the discriminator, and one of the encoder on the adversarial loss, each with its own
    optimiser state.

    A fitted estimator pickles with its weights and the state of its optimisers, and
    without the training data; ``model.net_.trim_for_prediction()`` drops the
    optimisers for good, for a pickle of about a quarter. A pickle made on a GPU loads
    on a machine that has none.

    PyTorch computes with all cores it may use. Where several models are fitted at
    once, as in ``GridSearchCV(n_jobs=2)``, joblib divides the cores among them.

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
    ...     4, sigma=0.25, encoder_layer_sizes=(64,), decoder_layer_sizes=(64,),
    ...     discriminator_layer_sizes=(64,), learning_rate=2e-3, max_epochs=5,
    ...     random_state=0,
    ... ).fit(X)
    >>> model.transform(X).shape
    (1797, 4)
    >>> model.sample(3, random_state=0).shape
    (3, 64)
    """

    _n_steps: ClassVar[int] = 1


@dataclass(eq=False, repr=False, kw_only=True)
class iDAAETransformer(_AdversarialAutoencoder):
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
        Level of the corruption: the standard deviation of the Gaussian noise, in
        units of X. 0 corrupts nothing.

    M : int, default=5
        Monte Carlo integration steps: corruptions of each sample whose codes are
        averaged (Algorithm 2). ``M=1`` is a DAAE in distribution.

    corruption : {"gaussian"}, default="gaussian"
        The corruption process: additive Gaussian noise, fresh at every use and not
        clipped.

    prior : {"normal"}, default="normal"
        The distribution p(z) that codes are matched to: the standard normal.

    adversarial_weight : float, default=1.0
        Size of the encoder's adversarial update relative to its reconstruction
        update. It multiplies that update's learning rate; a factor on the loss would
        be undone by Adam's normalisation.

    adversarial_loss : {"non_saturating", "minimax"}, default="non_saturating"
        The encoder's adversarial loss: -log D(z_fake), or log(1 - D(z_fake)) as line
        18 of Algorithm 1 prints it.

    reconstruction_loss : {"auto", "bce", "mse"}, default="auto"
        Binary cross-entropy, for X in [0, 1], or squared error. "auto" is "bce" where
        all of X lies in [0, 1], else "mse"; name one where parts of the data that are
        fitted apart, as in cross-validation, may differ in that.

    encoder_layer_sizes : array-like of int, default=(1000, 1000)
        Sizes of the encoder's hidden layers, input side first.

    decoder_layer_sizes : array-like of int, default=(1000, 1000)
        Sizes of the decoder's hidden layers, input side first.

    discriminator_layer_sizes : array-like of int, default=(1000, 1000)
        Sizes of the discriminator's hidden layers, input side first.

    encoder, decoder, discriminator : callable, default=None
        Makes your own `torch.nn.Module` instead, from the sizes of its input and
        output: ``encoder(n_features, n_components)``,
        ``decoder(n_components, n_features)`` and ``discriminator(n_components)``. The
        decoder of the loss "bce" and the discriminator, of one output, give logits.

    optimizer : {"adam", "rmsprop"} or tuple of (str, dict), default="adam"
        Optimiser of the encoder and the decoder, with its options in the second form:
        ``("adam", {"betas": (0.5, 0.999)})``.

    learning_rate : float, default=2e-4
        Learning rate of the encoder and the decoder.

    learning_rate_decay : float, default=1.0
        Multiplies all learning rates after every epoch.

    discriminator_optimizer : str or tuple, default=None
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
        The least improvement that counts.

    warm_start : bool, default=False
        Whether `fit` goes on from the present state instead of starting over.

    callbacks : list, default=None
        skorch callbacks. Hooks on epochs cost nothing; hooks on batches or gradients
        make every batch wait for the device. "train_loss" is the reconstruction loss,
        and "valid_loss" the validation error that `early_stopping` watches.

    device : str or torch.device, default="auto"
        Where to compute. "auto" is a CUDA device where there is one, else MPS, else
        the CPU.

    precision : {"float32", "bfloat16"}, default="float32"
        "bfloat16" trains in mixed precision. Codes and reconstructions are computed
        in float32 either way.

    verbose : int, default=0
        Whether `fit` shows a progress bar over epochs, with the losses.

    random_state : int, RandomState instance or None, default=None
        Seeds weights, shuffling, corruption and prior. Pass an int for the same
        weights, bit for bit, at every fit on the same machine with the same number of
        threads. Global generators are neither read nor changed (while it trains,
        modules of your own draw from torch's, which are then put back).

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

    Notes
    -----
    Training is Algorithms 1 and 2 of the paper: for each mini-batch an update of
    encoder and decoder on the reconstruction loss, one of the discriminator, and one of
    the encoder on the adversarial loss, each with its own optimiser state. The
    reconstruction uses one corruption, z_fake another M, encoded in one pass.

    A fitted estimator pickles with its weights and the state of its optimisers, and
    without the training data; ``model.net_.trim_for_prediction()`` drops the
    optimisers for good, for a pickle of about a quarter. A pickle made on a GPU loads
    on a machine that has none.

    PyTorch computes with all cores it may use. Where several models are fitted at
    once, as in ``GridSearchCV(n_jobs=2)``, joblib divides the cores among them.

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
    ...     4, sigma=0.25, M=5, encoder_layer_sizes=(64,), decoder_layer_sizes=(64,),
    ...     discriminator_layer_sizes=(64,), learning_rate=2e-3, max_epochs=5,
    ...     random_state=0,
    ... ).fit(X)
    >>> model.transform(X).shape
    (1797, 4)
    >>> model.sample(3, random_state=0).shape
    (3, 64)
    """

    M: int = 5

    _parameter_constraints: ClassVar[dict] = {
        **_AdversarialAutoencoder._parameter_constraints,
        "M": [Interval(Integral, 1, None, closed="left")],
    }

    _n_steps: ClassVar[int] = 0

    def _objective(self):
        return super()._objective(n_integration_steps=self.M)
