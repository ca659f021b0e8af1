"""ALICE, which the paper compares with: pairs of data and codes, and a cycle."""

from numbers import Real
from typing import ClassVar

from ._adversarial import WithDiscriminator
from ._model.losses import ADVERSARIAL_LOSSES
from ._model.networks import make_network
from ._model.objectives import ALICEObjective
from ._model.priors import Prior
from ._parameters import estimator
from ._sklearn_compat import Interval, StrOptions
from ._variational import GaussianEncoder


@estimator
class ALICETransformer(GaussianEncoder, WithDiscriminator):
    """Adversarially learned inference with conditional entropy (ALICE).

    An encoder, which gives a Gaussian q(z | x), and a decoder, between which a
    discriminator of *pairs* can find no difference: of rows and their codes on the one
    side, of draws from the prior and what they are decoded to on the other (that much
    is ALI). What ALICE adds is consistency of the cycle: x must come back from its
    code. It is the system that the paper of the DAAE compares its reconstructions with.
    :meth:`transform` gives the mean of q(z | x).

    Parameters
    ----------
    n_components : int, default=10
        Number of components of the code z of a row: the columns that :meth:`transform`
        gives, as of `PCA`.

    cycle_loss : {"explicit", "adversarial"}, default="explicit"
        How x and its reconstruction are compared: "explicit" compares them by
        `reconstruction_loss`; "adversarial" by a second discriminator, which tells
        pairs (x, x) from pairs of x and its reconstruction, in networks of its own of
        `discriminator_layer_sizes`.

    cycle_weight : float, default=10.0
        What multiplies the cycle's loss, beside the adversarial one. 0 is ALI, in which
        nothing ties a row to its reconstruction.

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
        What encoder and decoder minimise for the discriminator to mistake their pairs:
        minus the logarithm of the probability that it takes each for the other; or, for
        "minimax", the logarithm of the probability that it does not, as the min and max
        of the equations have it.

    discriminator_layer_sizes : int, array-like or "auto", default="auto"
        Sizes of the discriminator's hidden layers, input side first. "auto" is (64,
        64).

    discriminator : callable, torch.nn.Module or estimator, default=None
        Your own discriminator, in any of the ways that `encoder` and `decoder` may be
        given: a callable is called as ``discriminator(n_features + n_components)``. It
        judges rows, as `scaling` maps them, beside their codes. Its output, one for
        each pair, is a logit.

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
    encoder_, decoder_, discriminator_ : torch.nn.Module
        The trained networks. Decoder and discriminator give logits where their output
        is a probability.

    net_ : skorch.NeuralNet
        The skorch net that trained them.

    loss_curve_ : list of float
        The mean reconstruction loss of each epoch.

    history_ : list of dict
        The mean of every loss, one record an epoch. With an adversarial `cycle_loss`
        also "cycle_discriminator_loss" and "cycle_loss", those of the two who play for
        it.

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
    AAETransformer : Matches codes alone to the prior, by an adversary.
    VAETransformer : Matches q(z | x) to the prior by a closed form.

    Notes
    -----
    For each mini-batch there is an update of the discriminator, which minimises
    -log D(decode(z_p), z_p) - log(1 - D(x, z_q)) for z_p of the prior and z_q of q(z |
    x), and one of encoder and decoder, which are to deceive it, plus `cycle_weight`
    times the loss of the cycle x, z_q, decode(z_q); each with its own optimiser state.
    An adversarial cycle has an update of the second discriminator in between. The
    reconstruction loss of the explicit one is a mean over features, as everywhere here.

    References
    ----------
    C. Li, H. Liu, C. Chen, Y. Pu, L. Chen, R. Henao and L. Carin, "ALICE: Towards
    Understanding Adversarial Learning for Joint Distribution Matching", Advances in
    Neural Information Processing Systems 30, 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_daae import ALICETransformer
    >>> X = load_digits().data / 16
    >>> model = ALICETransformer(
    ...     4, encoder_layer_sizes=(64,), decoder_layer_sizes=(64,),
    ...     discriminator_layer_sizes=(64,), max_epochs=5, random_state=0,
    ... ).fit(X)
    >>> model.transform(X).shape
    (1797, 4)
    >>> model.sample(3, random_state=0).shape
    (3, 64)
    """

    cycle_loss: str = "explicit"
    cycle_weight: float = 10.0

    _parameter_constraints: ClassVar[dict] = {
        **WithDiscriminator._parameter_constraints,
        "cycle_loss": [StrOptions({"explicit", "adversarial"})],
        "cycle_weight": [Interval(Real, 0, None, closed="left")],
    }

    _n_steps: ClassVar[int] = 0

    def _objective(self):
        return ALICEObjective(
            corruption=self._corruption(),
            prior=Prior(self.prior, self.n_components),
            adversarial_loss=ADVERSARIAL_LOSSES[self.adversarial_loss],
            cycle_loss=self.cycle_loss,
            cycle_weight=self.cycle_weight,
        )

    def _network_sizes(self):
        d, k = self.n_features_in_, self.n_components
        sizes = {**super()._network_sizes(), "discriminator": (d + k, 1)}
        if self.cycle_loss == "adversarial":
            sizes["cycle_discriminator"] = 2 * d, 1
        return sizes

    def _make_network(self, name, sizes, generator, parts):
        if name == "cycle_discriminator":
            return make_network(name, None, sizes, generator, parts)
        return super()._make_network(name, sizes, generator, parts)
