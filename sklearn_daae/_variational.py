"""Variational autoencoders: what they share, the VAE and the DVAE."""

from numbers import Real
from typing import ClassVar

import torch

from ._base import BaseAutoencoder
from ._model.networks import WithShortcut
from ._model.objectives import VariationalObjective
from ._model.priors import Prior
from ._parameters import CorruptionParameters, estimator
from ._sklearn_compat import Interval


@estimator
class GaussianEncoder(BaseAutoencoder):
    """What the models share whose encoder gives a Gaussian."""

    def _network_sizes(self):
        sizes = super()._network_sizes()
        return {**sizes, "encoder": (self.n_features_in_, 2 * self.n_components)}

    def _make_network(self, name, sizes, generator, parts):
        network = super()._make_network(name, sizes, generator, parts)
        if name == "encoder" and self.encoder is None:
            # All variances start at 1: an X of large values would give exp(large).
            has_shortcut = isinstance(network, WithShortcut)
            for part in network.children() if has_shortcut else [network]:
                layers = [m for m in part.modules() if isinstance(m, torch.nn.Linear)]
                torch.nn.init.zeros_(layers[-1].weight[self.n_components :])
        return network


@estimator
class VariationalAutoencoder(GaussianEncoder):
    """What the variational models share."""

    beta: float = 1.0
    prior: str = "normal"

    _parameter_constraints: ClassVar[dict] = {
        **BaseAutoencoder._parameter_constraints,
        "beta": [Interval(Real, 0, None, closed="left")],
        "prior": "no_validation",  # `_check_parameters` says what to do
    }

    def _check_parameters(self):
        super()._check_parameters()
        if not isinstance(self.prior, str) or self.prior != "normal":
            raise ValueError(
                f"prior={self.prior!r} must be 'normal' for {type(self).__name__}: it "
                "needs the KL divergence from the prior in closed form. Any prior that "
                "can be sampled is matched by an adversary: use AAETransformer, "
                "DAAETransformer or iDAAETransformer."
            )

    def _objective(self):
        return VariationalObjective(
            corruption=self._corruption(),
            prior=Prior(self.prior, self.n_components),
            beta=self.beta,
        )


@estimator
class VAETransformer(VariationalAutoencoder):
    """Variational autoencoder (VAE), and beta-VAE.

    An autoencoder whose encoder gives a Gaussian q(z | x) for each row. What draws it
    to the prior, a standard normal, is the KL divergence between the two, which is
    known in closed form. :meth:`transform` gives the mean of q(z | x); new samples are
    decoded from the prior.

    Parameters
    ----------
    n_components : int, default=10
        Number of components of the code z of a row: the columns that :meth:`transform`
        gives, as of `PCA`.

    beta : float, default=1.0
        Weight of the KL divergence in the bound. 1 is the variational autoencoder; more
        is the beta-VAE, which trades reconstruction for a closer match to the prior.

    prior : {"normal"}, default="normal"
        The distribution p(z) that codes are matched to: the standard normal, of which
        the KL divergence is known in closed form. For any other, take an adversary:
        :class:`~sklearn_daae.AAETransformer`.

    reconstruction_loss : {"auto", "bce", "mse", "mae", "huber"} or list, default="auto"
        The likelihood p(x | z) of a row as `scaling` maps it:

        - "bce" has Bernoulli variables, for X in [0, 1];
        - "mse" has Gaussian ones of variance 1;
        - "mae" has Laplacian ones of scale 1;
        - "huber" has Gaussian ones up to a difference of 1, and Laplacian ones beyond;
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
        "dropout": 0.1, "batch_norm": True})``.

    image_shape : (int, int, int), default=None
        Channels, height and width of the image that each row of X is, flattened in that
        order. Where channels come last, rows are ``X.transpose(0, 3, 1,
        2).reshape(len(X), -1)``. The network "conv" takes any height and width from 16
        up.

    encoder, decoder : callable, torch.nn.Module or estimator, default=None
        A network of your own: a callable that makes a module from the sizes of its
        input and output, ``encoder(n_features, 2 * n_components)``, which gives the
        means of the code and then the logarithms of its variances, and
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
    encoder_, decoder_ : torch.nn.Module
        The trained networks. The encoder gives means and log-variances side by side,
        and the decoder logits where its output is a probability.

    net_ : skorch.NeuralNet
        The skorch net that trained them.

    loss_curve_ : list of float
        Minus the mean log-likelihood of each epoch, in nats, up to a constant for
        "mse".

    history_ : list of dict
        The mean of every loss, one record an epoch.

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
    DVAETransformer : Encodes corrupted samples.
    AAETransformer : Matches codes to any prior that can be sampled, by an adversary.

    Notes
    -----
    Training maximises, over encoder and decoder and with one draw of the code for each
    sample, the variational lower bound log p(x | z) - beta KL[q(z | x) || p(z)], both
    terms as sums over features and components, in nats. `history_` has the two, the
    first with its sign changed, as means over samples.

    References
    ----------
    D. P. Kingma and M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014.

    I. Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained
    Variational Framework", ICLR 2017.

    A. Creswell and A. A. Bharath, "Denoising Adversarial Autoencoders", IEEE
    Transactions on Neural Networks and Learning Systems 30(4), 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_daae import VAETransformer
    >>> X = load_digits().data / 16
    >>> model = VAETransformer(
    ...     4, encoder_layer_sizes=(64,), decoder_layer_sizes=(64,),
    ...     learning_rate=2e-3, max_epochs=5, random_state=0,
    ... ).fit(X)
    >>> model.transform(X).shape
    (1797, 4)
    >>> model.sample(3, random_state=0).shape
    (3, 64)
    """

    _n_steps: ClassVar[int] = 0


@estimator
class DVAETransformer(CorruptionParameters, VariationalAutoencoder):
    """Denoising variational autoencoder (DVAE).

    A variational autoencoder that encodes corrupted samples and reconstructs the clean
    ones. What its KL divergence draws to the standard normal is q(z | x_tilde), so that
    :meth:`sample` takes a step of a Markov chain after the prior is decoded.

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

    beta : float, default=1.0
        Weight of the KL divergence in the bound. 1 is the variational autoencoder; more
        is the beta-VAE, which trades reconstruction for a closer match to the prior.

    prior : {"normal"}, default="normal"
        The distribution p(z) that codes are matched to: the standard normal, of which
        the KL divergence is known in closed form. For any other, take an adversary:
        :class:`~sklearn_daae.DAAETransformer`.

    reconstruction_loss : {"auto", "bce", "mse", "mae", "huber"} or list, default="auto"
        The likelihood p(x | z) of a row as `scaling` maps it:

        - "bce" has Bernoulli variables, for X in [0, 1];
        - "mse" has Gaussian ones of variance 1;
        - "mae" has Laplacian ones of scale 1;
        - "huber" has Gaussian ones up to a difference of 1, and Laplacian ones beyond;
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
        "dropout": 0.1, "batch_norm": True})``.

    image_shape : (int, int, int), default=None
        Channels, height and width of the image that each row of X is, flattened in that
        order. Where channels come last, rows are ``X.transpose(0, 3, 1,
        2).reshape(len(X), -1)``. The network "conv" takes any height and width from 16
        up.

    encoder, decoder : callable, torch.nn.Module or estimator, default=None
        A network of your own: a callable that makes a module from the sizes of its
        input and output, ``encoder(n_features, 2 * n_components)``, which gives the
        means of the code and then the logarithms of its variances, and
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
    encoder_, decoder_ : torch.nn.Module
        The trained networks. The encoder gives means and log-variances side by side,
        and the decoder logits where its output is a probability.

    net_ : skorch.NeuralNet
        The skorch net that trained them.

    loss_curve_ : list of float
        Minus the mean log-likelihood of each epoch, in nats, up to a constant for
        "mse".

    history_ : list of dict
        The mean of every loss, one record an epoch.

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
    VAETransformer : The same without a corruption.
    DAAETransformer : Matches codes to any prior that can be sampled, by an adversary.

    Notes
    -----
    Training maximises, over encoder and decoder and with one draw of the code for each
    sample, the variational lower bound of Im et al. (section I-D of the paper), E[log
    p(x, z) - log q(z | x_tilde)]: log p(x | z) - beta KL[q(z | x_tilde) || p(z)] of one
    corruption of each sample, both terms as sums over features and components, in nats.
    `history_` has the two, the first with its sign changed, as means over samples. With
    ``sigma=0`` it is :class:`~sklearn_daae.VAETransformer`, bit for bit.

    References
    ----------
    D. J. Im, S. Ahn, R. Memisevic and Y. Bengio, "Denoising Criterion for Variational
    Auto-Encoding Framework", AAAI 2017.

    A. Creswell and A. A. Bharath, "Denoising Adversarial Autoencoders", IEEE
    Transactions on Neural Networks and Learning Systems 30(4), 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_daae import DVAETransformer
    >>> X = load_digits().data / 16
    >>> model = DVAETransformer(
    ...     4, sigma=0.25, encoder_layer_sizes=(64,),
    ...     decoder_layer_sizes=(64,), learning_rate=2e-3, max_epochs=5,
    ...     random_state=0,
    ... ).fit(X)
    >>> model.transform(X).shape
    (1797, 4)
    >>> model.sample(3, random_state=0).shape
    (3, 64)
    """

    _parameter_constraints: ClassVar[dict] = {
        **CorruptionParameters._parameter_constraints,
        **VariationalAutoencoder._parameter_constraints,
    }

    _n_steps: ClassVar[int] = 1
