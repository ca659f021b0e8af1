"""What every estimator of the package does, whatever it minimises."""

from collections.abc import Callable, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_array, check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data
from skorch.callbacks import EarlyStopping

from ._batches import Batches, read_rows
from ._callbacks import EpochProgressBar, SklearnTasks
from ._corruption import CORRUPTIONS
from ._device import release_memory, resolve_device
from ._losses import RECONSTRUCTION_LOSSES
from ._markov_chain import markov_chain
from ._net import AutoencoderNet, split_optimizer
from ._networks import Autoencoder, multilayer_perceptron
from ._random import borrowed_global_generator, private_generator, torch_generator
from ._sklearn_compat import CallbackSupportMixin, Interval, StrOptions, with_callbacks

# Read as they are, batch by batch; anything else becomes float32 as a whole.
_DTYPES = [
    np.dtype(kind) for kind in ("f4", "f8", "f2", "u1", "i1", "i2", "i4", "i8", "bool")
]

# Values that one large inference batch may hold: 64 MiB of float32.
_BATCH_VALUES = 2**24


# The parameters that what is already trained was made with.
_STRUCTURE = [
    "n_components",
    "reconstruction_loss",
    "encoder_layer_sizes",
    "decoder_layer_sizes",
    "discriminator_layer_sizes",
    "encoder",
    "decoder",
    "discriminator",
    "optimizer",
    "discriminator_optimizer",
]


# dataclass writes `__init__`: every parameter stands once, in the class that owns it,
# and not again in the signature and the body of each estimator's constructor. What it
# writes is the plain constructor that scikit-learn asks for.
@dataclass(eq=False, repr=False, kw_only=True)
class BaseAutoencoder(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """The base of all estimators. Think twice before adding anything.

    A subclass adds its own parameters and says what it minimises (`_objective`), how
    it corrupts (`_corrupt`) and where sampling starts (`_draw_codes`, `_n_steps`).
    """

    n_components: int = field(default=10, kw_only=False)
    reconstruction_loss: str = "auto"
    encoder_layer_sizes: Sequence[int] = (1000, 1000)
    decoder_layer_sizes: Sequence[int] = (1000, 1000)
    encoder: Callable[[int, int], torch.nn.Module] | None = None
    decoder: Callable[[int, int], torch.nn.Module] | None = None
    optimizer: str | tuple[str, dict] = "adam"
    learning_rate: float = 2e-4
    learning_rate_decay: float = 1.0
    batch_size: int = 64
    max_epochs: int = 100
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    tol: float = 1e-4
    warm_start: bool = False
    callbacks: list | None = None
    device: str | torch.device = "auto"
    precision: str = "float32"
    verbose: int = 0
    random_state: int | np.random.RandomState | None = None

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "reconstruction_loss": [StrOptions({"auto", *RECONSTRUCTION_LOSSES})],
        "encoder_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "decoder_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "encoder": [callable, None],
        "decoder": [callable, None],
        "optimizer": [str, tuple, list],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_decay": [Interval(Real, 0, 1, closed="right")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "callbacks": [list, None],
        "device": [str, torch.device],
        "precision": [StrOptions({"float32", "bfloat16"})],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    # Steps of the Markov chain that `sample` takes unless told otherwise.
    _n_steps: ClassVar[int]

    @with_callbacks
    def fit(self, X, y=None):
        """Train the model on X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training data, clean: the model corrupts it itself. It is read batch
            by batch and never copied as a whole, unless it has to be converted (data
            frames of several types, Fortran order).

        y : Ignored
            Present for API consistency.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or a parameter is not valid, before any training, or if training
            diverges. The estimator is then what it was before the call.
        """
        return self._train(
            X,
            goes_on=self.warm_start and hasattr(self, "net_"),
            n_epochs=self.max_epochs,
            early_stopping=self.early_stopping,
            calls_back=True,
        )

    def partial_fit(self, X, y=None):
        """Train for one epoch on the rows given, going on from the present state.

        The first call makes the networks, as `fit` does; k calls on the same X give
        what one `fit` with ``max_epochs=k`` gives, bit for bit. One pass has nothing
        to stop early: `early_stopping` holds out no rows here.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to train on.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            As in `fit`, or if a parameter that shapes the networks or optimisers has
            changed since they were made.
        """
        return self._train(
            X,
            goes_on=hasattr(self, "net_"),
            n_epochs=1,
            early_stopping=False,
            calls_back=False,
        )

    def _train(self, X, *, goes_on, n_epochs, early_stopping, calls_back):
        """Do what `fit` and `partial_fit` share."""
        self._check_parameters()
        device = resolve_device(self.device)
        context = None
        if calls_back:
            context = self._init_callback_context(max_subtasks=n_epochs)
        with self._unchanged_on_error(goes_on):
            X = self._validated(X, reset=not goes_on, min_samples=2 - goes_on)
            self.reconstruction_loss_ = self._resolve_reconstruction_loss(X, goes_on)
            net = self._resumed_net(device) if goes_on else self._new_net(device)

            rows, validation, observers = np.arange(len(X)), None, []
            if early_stopping:
                rows, held_out = self._hold_out(net.random.permutation(rows))
                validation = self._batches(X, held_out, device)
                observers.append(self._early_stopping())
            if context is not None:
                observers.append(SklearnTasks(self, context, X))
            progress = EpochProgressBar(
                type(self).__name__, n_epochs, net.objective.loss_names
            )
            if self.verbose:
                observers.append(progress)
            training = self._batches(X, rows, device)
            try:
                net.fit_loop(training, validation, n_epochs, observers=observers)
            finally:
                progress.close()
                del training, validation
                release_memory(device)
            self.net_ = net
        return self

    @contextmanager
    def _unchanged_on_error(self, goes_on):
        """Put back every fitted attribute, and the net's state, if the body fails."""
        before = {k: v for k, v in vars(self).items() if k.endswith("_")}
        snapshot = self.net_.snapshot() if goes_on else None
        try:
            yield
        except BaseException:
            for name in [name for name in vars(self) if name.endswith("_")]:
                delattr(self, name)
            vars(self).update(before)
            if goes_on:
                self.net_.restore(snapshot)
            raise

    def _check_parameters(self):
        """Check all parameters, together with what no constraint can express."""
        self._validate_params()
        for name, value in self.get_params(deep=False).items():
            if name.endswith("_layer_sizes"):
                _check_layer_sizes(name, value)
            elif name.endswith("optimizer") and value is not None:
                split_optimizer(name, value)

    def _validated(self, X, *, reset, min_samples=1):
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype=_DTYPES,
            order="C",
            ensure_min_samples=min_samples,
        )
        # The networks compute in float32, batch by batch.
        if X.dtype == np.float64 and max(X.max(), -X.min()) > np.finfo(np.float32).max:
            raise ValueError(
                "Input X contains a value too large for dtype('float32'). Scale X."
            )
        return X

    def _resolve_reconstruction_loss(self, X, goes_on):
        """Return the name of the loss, and refuse an X that it is not defined on."""
        # In float32, as the networks see it: MinMaxScaler may give 1 + 2e-16.
        low, high = np.float32(X.min()), np.float32(X.max())
        in_unit_interval = low >= 0 and high <= 1
        loss = self.reconstruction_loss_ if goes_on else self.reconstruction_loss
        if loss == "auto":
            return "bce" if in_unit_interval else "mse"
        if loss == "bce" and not in_unit_interval:
            raise ValueError(
                f"The reconstruction loss 'bce' needs all of X in [0, 1], but X has "
                f"values from {low:g} to {high:g}. Scale X, for example with "
                "sklearn.preprocessing.MinMaxScaler(clip=True), or fit with "
                "reconstruction_loss='mse'."
            )
        return loss

    def _new_net(self, device):
        """Return a net with fresh networks and optimisers."""
        random = private_generator(self.random_state)
        cpu = torch.device("cpu")  # the same weights from one seed on every device
        draws_globally = any(
            getattr(self, name, None) is not None
            for name in ("encoder", "decoder", "discriminator")
        )
        with (
            borrowed_global_generator(random, cpu) if draws_globally else nullcontext()
        ):
            module = Autoencoder(
                **self._make_networks(torch_generator(random, cpu)),
                sigmoid_output=self.reconstruction_loss_ == "bce",
            )
            module.check_shapes(self.n_features_in_, self.n_components)
        net = AutoencoderNet(
            module,
            RECONSTRUCTION_LOSSES[self.reconstruction_loss_],
            optimizers=self._optimizers(),
            random=random,
            draws_globally=draws_globally,
            structure=self._structure(),
            device=device,
            **self._net_settings(),
        )
        return net.initialize()

    def _resumed_net(self, device):
        """Return the fitted net, ready to go on with the present parameters."""
        structure = self._structure()
        changed = [k for k, v in self.net_.structure.items() if v != structure[k]]
        if changed:
            name = changed[0]
            raise ValueError(
                f"{name} has changed from {self.net_.structure[name]!r} to "
                f"{structure[name]!r}, but the networks and optimisers that training "
                f"goes on with were made with the former. Set {name} back, or start "
                "anew: call fit with warm_start=False."
            )
        return self.net_.to(device).resume(**self._net_settings())

    def _structure(self):
        """Return the parameters that networks and optimisers are made with."""
        values = {name: getattr(self, name, None) for name in _STRUCTURE}
        # 100, [100] and (100,) are the same layers; so are a list and a pair.
        return {
            name: tuple(np.atleast_1d(value).tolist())
            if name.endswith("_layer_sizes") and value is not None
            else tuple(value)
            if isinstance(value, list)
            else value
            for name, value in values.items()
        }

    def _net_settings(self):
        """Return what may change between two trainings of the same networks."""
        return {
            "objective": self._objective(),
            "learning_rates": self._learning_rates(),
            "learning_rate_decay": self.learning_rate_decay,
            "precision": self.precision,
            "callbacks": list(self.callbacks or []),
            "verbose": self.verbose,
        }

    def _make_networks(self, generator):
        """Return the networks by name."""
        d, k = self.n_features_in_, self.n_components
        return {
            "encoder": self._make_network("encoder", (d, k), generator),
            "decoder": self._make_network("decoder", (k, d), generator),
            "discriminator": None,
        }

    def _make_network(self, name, sizes, generator):
        """Return the user's own network, or a multilayer perceptron."""
        make = getattr(self, name)
        if make is None:
            layer_sizes = np.atleast_1d(getattr(self, f"{name}_layer_sizes")).tolist()
            return multilayer_perceptron([sizes[0], *layer_sizes, sizes[1]], generator)
        network = make(*(sizes[:1] if name == "discriminator" else sizes))
        if not isinstance(network, torch.nn.Module):
            raise TypeError(
                f"{name}={make!r} must return a torch.nn.Module, but it returned "
                f"{network!r}."
            )
        return network

    def _optimizers(self):
        """Return name and options of the optimiser of each update."""
        return {"reconstruction": split_optimizer("optimizer", self.optimizer)}

    def _learning_rates(self):
        """Return the learning rate of each update."""
        return {"reconstruction": self.learning_rate}

    def _batches(self, X, rows, device):
        return Batches(X, rows=rows, batch_size=self.batch_size, device=device)

    def _hold_out(self, rows):
        """Split shuffled rows into those to train on and those to watch."""
        n_held_out = int(np.ceil(self.validation_fraction * len(rows)))
        if len(rows) - n_held_out < 2:
            raise ValueError(
                f"With early_stopping=True and validation_fraction="
                f"{self.validation_fraction}, {len(rows) - n_held_out} of "
                f"{len(rows)} samples are left to train on. Lower "
                "validation_fraction, or give more samples."
            )
        return np.sort(rows[n_held_out:]), np.sort(rows[:n_held_out])

    def _early_stopping(self):
        """Return the callback that ends training and restores the best weights."""
        return EarlyStopping(
            patience=self.n_iter_no_change,
            threshold=self.tol,
            threshold_mode="abs",
            load_best=True,
            sink=_silence,
        )

    def transform(self, X):
        """Encode X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data, as it is: nothing is corrupted here.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components), float32
            The codes E(x).
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        return self._map(self.encoder_, X, self._n_features_out)

    def inverse_transform(self, Z):
        """Decode Z.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Codes, as `transform` gives them or drawn from the prior.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), float32
            The reconstructions R(z), in the range of the training data.
        """
        check_is_fitted(self)
        Z = check_array(Z, dtype=_DTYPES, input_name="Z")
        if Z.shape[1] != self._n_features_out:
            raise ValueError(
                f"Z has {Z.shape[1]} features, but {type(self).__name__} was fitted "
                f"with n_components={self._n_features_out}. Give codes as transform "
                "returns them."
            )
        return self._map(self.net_.module_.decode, Z, self.n_features_in_)

    def corrupt(self, X, random_state=None):
        """Draw from the corruption process.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Clean data.

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same corruption at every call.

        Returns
        -------
        X_tilde : ndarray of shape (n_samples, n_features), float32
            The corrupted data C(x).
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        generator = self._generator(random_state)
        return self._map(lambda x: self._corrupt(x, generator), X, X.shape[1])

    def reconstruct(self, X, *, corrupt=False, random_state=None):
        """Encode and decode X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Clean data, or, to denoise it, data with real noise.

        corrupt : bool, default=False
            Whether to corrupt X first: R(E(C(x))) instead of R(E(x)).

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same corruption at every call.

        Returns
        -------
        X_hat : ndarray of shape (n_samples, n_features), float32
            The reconstructions, in the range of the training data.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        reconstruct = self.net_.module_.reconstruct
        if not corrupt:
            return self._map(reconstruct, X, X.shape[1])
        generator = self._generator(random_state)
        return self._map(
            lambda x: reconstruct(self._corrupt(x, generator)), X, X.shape[1]
        )

    def sample(
        self, n_samples=1, random_state=None, *, n_steps=None, return_chain=False
    ):
        """Draw new samples from the model.

        Codes are drawn from the prior and decoded; then the Markov chain of
        equation 3, corrupt, encode, decode, takes `n_steps` steps.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples.

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same samples at every call.

        n_steps : int, default=None
            Steps of the chain. None is 1 for models whose *corrupted* encodings were
            matched to the prior, and 0 for the rest, of which the prior can be
            decoded directly.

        return_chain : bool, default=False
            Whether to return all states of the chains and not only the last.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), float32
            The samples x(n_steps). With `return_chain`, all of x(0), ..., x(n_steps):
            an array of shape (n_steps + 1, n_samples, n_features).
        """
        check_is_fitted(self)
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        if n_steps is None:
            n_steps = self._n_steps
        check_scalar(n_steps, "n_steps", Integral, min_val=0)

        generator = self._generator(random_state)
        chain = np.empty(
            (n_steps + 1 if return_chain else 1, n_samples, self.n_features_in_),
            dtype=np.float32,
        )
        with torch.inference_mode():
            for rows in _slices(n_samples, self.n_features_in_):
                states = markov_chain(
                    self._draw_codes(rows.stop - rows.start, generator),
                    n_steps,
                    encode=self.encoder_,
                    corrupt=lambda x: self._corrupt(x, generator),
                    decode=self.net_.module_.decode,
                )
                for t, x in enumerate(states):
                    if return_chain or t == n_steps:
                        chain[t if return_chain else 0, rows] = x.cpu().numpy()
        release_memory(self.device_)
        return chain if return_chain else chain[0]

    def score_samples(self, X):
        """Return minus the squared reconstruction error of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data, as it is.

        Returns
        -------
        score : ndarray of shape (n_samples,), float32
            Minus the mean over features of (R(E(x)) - x) squared. Higher is better.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        reconstruct = self.net_.module_.reconstruct
        return self._map(
            lambda x: -(reconstruct(x) - x).square().mean(1, keepdim=True), X, 1
        ).ravel()

    def score(self, X, y=None):
        """Return minus the mean squared reconstruction error of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data, as it is.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        score : float
            The mean of `score_samples`. Higher is better.
        """
        return float(self.score_samples(X).mean(dtype=np.float64))

    @torch.inference_mode()
    def _map(self, function, X, n_columns):
        """Apply a function on tensors to all rows of X, in large batches."""
        out = np.empty((len(X), n_columns), dtype=np.float32)
        for rows in _slices(len(X), self.n_features_in_):
            out[rows] = function(read_rows(X, rows, self.device_)).cpu().numpy()
        release_memory(self.device_)
        return out

    def _generator(self, random_state):
        """Return a generator on the device of the fitted networks."""
        return torch_generator(private_generator(random_state), self.device_)

    def _corrupt(self, x, generator):
        """Return C(x)."""
        return CORRUPTIONS[self.corruption](x, self.sigma, generator)

    @property
    def encoder_(self):
        """The trained encoder E."""
        return self.net_.module_.encoder

    @property
    def decoder_(self):
        """The trained decoder R, before the sigmoid that belongs to the loss 'bce'."""
        return self.net_.module_.decoder

    @property
    def device_(self):
        """Where the networks are."""
        return self.net_.device

    @property
    def history_(self):
        """The mean of every loss, one record of floats an epoch."""
        names = dict.fromkeys(self.net_.objective.loss_names)
        keys = {**{name: name for name in names}, "valid_loss": "validation_error"}
        return [
            {new: record[old] for old, new in keys.items() if old in record}
            for record in self.net_.history
        ]

    @property
    def loss_curve_(self):
        """The mean reconstruction loss of each epoch."""
        return [record["reconstruction_loss"] for record in self.history_]

    @property
    def n_epochs_(self):
        """Epochs trained so far."""
        return len(self.net_.history)

    @property
    def _n_features_out(self):
        return self.net_.structure["n_components"]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # From a float32 network, more digits would be noise of the batch size.
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _slices(n_rows, n_features):
    """Yield slices of the rows, in batches of bounded size."""
    step = max(1, _BATCH_VALUES // max(n_features, 2048))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def _check_layer_sizes(name, value):
    sizes = np.atleast_1d(np.asarray(value, dtype=object))
    if sizes.ndim > 1 or not all(isinstance(s, Integral) and s >= 1 for s in sizes):
        raise ValueError(
            f"{name}={value!r} must be the sizes of the hidden layers, integers from 1 "
            "up, for example (1000, 1000)."
        )


def _silence(text):
    """Take what skorch's EarlyStopping would print."""
