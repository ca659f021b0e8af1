"""What every estimator does: fit, transform, sample, score."""

from contextlib import ExitStack, closing, nullcontext
from copy import deepcopy
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from . import _checks
from ._device import resolve_device
from ._engine.batches import DTYPES, Batches, Rows, hold_out
from ._engine.callbacks import EpochProgressBar, SklearnTasks, StopsEarly
from ._engine.convergence import warn_of_failure
from ._engine.cpu import warn_of_slow_precision
from ._engine.inference import Inference
from ._engine.state import net_unchanged_on_error, unchanged_on_error, unfit
from ._engine.trainer import AutoencoderNet, DivergenceError, learning
from ._model.losses import RECONSTRUCTION_LOSSES
from ._model.module import AsModule, Autoencoder, start_as_pca
from ._model.networks import make_network
from ._model.scaling import choose_loss_and_scaling, refuse_range
from ._parameters import AutoencoderParameters
from ._random import (
    RandomState,
    borrowed_global_generator,
    private_generator,
    torch_generator,
)
from ._sklearn_compat import CallbackSupportMixin, with_callbacks


class BaseAutoencoder(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    CallbackSupportMixin,
    AutoencoderParameters,
):
    """The base of all estimators. Think twice before adding anything.

    A subclass adds its own parameters and says what it minimises (`_objective`), and
    how it is sampled (`_n_steps`); one with more than an encoder and a decoder adds to
    `_network_sizes`.
    """

    # Steps of the Markov chain that `sample` takes unless told otherwise.
    _n_steps: ClassVar[int]

    @with_callbacks
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Train the model on X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training data, clean: the model corrupts it itself. On a CPU it is read
            batch by batch, and copied as a whole only where it has to be converted
            (Fortran order, data frames of several types, types that torch lacks).

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

        Warns
        -----
        ConvergenceWarning
            If the codes carry nothing, the reconstructions are no better than the means
            of the features, the match to the prior is lost, or X is of a scale at which
            the numbers that it comes as do not tell its rows apart.

        UserWarning
            If the user interrupts the training after its first epoch. The model is
            kept, as in scikit-learn's multilayer perceptrons.
        """
        goes_on = self.warm_start and hasattr(self, "net_")
        self._check_parameters()
        device = resolve_device(self.device)
        with unchanged_on_error(self), learning(device), ExitStack() as stack:
            if goes_on:
                stack.enter_context(net_unchanged_on_error(self.net_))
            rows = self._read(X, device, reset=not goes_on)
            n_epochs = self._n_epochs(len(rows), self.n_features_in_)
            context = self._init_callback_context(max_subtasks=n_epochs)
            # That of the first time, so that the same rows are held out again.
            splitter = self.net_.splitter_ if goes_on else None
            if self.early_stopping and splitter is None:
                splitter = private_generator(self.random_state)
            held_out = splitter if self.early_stopping else None
            net, training, validation = self._begin(rows, goes_on, held_out)
            net.splitter_ = splitter
            observers = []
            if validation is not None:
                tol = self.tol * validation.variance()
                observers.append(StopsEarly(self.n_iter_no_change, tol))
            if context is not None:
                tasks = SklearnTasks(self, context, X, y, training)
                observers.append(tasks)
            if self.verbose:
                bar = EpochProgressBar(type(self).__name__, n_epochs)
                observers.append(stack.enter_context(closing(bar)))
            net.train(training, validation, n_epochs, observers=observers)
            warn_of_failure(net, training)
            fitted = self._fitted_attributes(net, training)
            self.__dict__.update(fitted)
            if context is not None:
                tasks.end(fitted)
        return self

    def partial_fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Train for one epoch on the rows given, going on from the present state.

        The first call makes the networks, as `fit` does; k calls on the same X give
        what one `fit` with ``max_epochs=k`` gives, bit for bit (unless callbacks, such
        as schedulers, begin anew with each call; and a DAE's `sample` starts from codes
        of earlier calls, too, where a call has few rows). One pass has nothing to stop
        early or to show: `early_stopping` and `verbose` have no effect here.

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
            changed since they were made. If training diverges, the estimator is no
            longer fitted: unlike `fit`, a pass keeps no copy of the weights to go back
            to. What else ends one early, an interrupt or an error in code of yours,
            leaves the steps that were taken.
        """
        goes_on = hasattr(self, "net_")
        self._check_parameters()
        device = resolve_device(self.device)
        try:
            with unchanged_on_error(self), learning(device):
                rows = self._read(X, device, reset=not goes_on)
                net, training, _ = self._begin(rows, goes_on)
                net.train(training)
                fitted = self._fitted_attributes(net, training, goes_on=goes_on)
                self.__dict__.update(fitted)
        except DivergenceError:
            # There is no copy to go back to: to make one takes as long as some passes.
            unfit(self)
            raise
        return self

    def _begin(self, rows, goes_on, splitter=None):
        """Return a net that is ready, what to train it on and what to watch."""
        if goes_on:
            self._check_going_on(rows)
            settings = self._net_settings(rows.device)
        else:
            self._choose_scaling(rows)
        rows.scaling = self.scaling_
        training, validation = self._batches(rows, splitter)
        if not goes_on:
            return self._new_net(training), training, validation
        net = self.net_.to(rows.device)
        net.resume(**settings)
        return net, training, validation

    def _read(self, X, device, *, reset=False):
        """Return the rows of a valid X, not yet as the networks see them."""
        _checks.check_kind(X)
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype=DTYPES,
            order="C",
            ensure_min_samples=2 if reset else 1,  # one tells nothing, to begin with
        )
        return Rows(X, device)

    def _rows(self, X):
        """Return rows of X as the fitted networks see them."""
        rows = self._read(X, self.device_)
        rows.refuse_large()
        rows.scaling = self.scaling_
        return rows

    def _batches(self, rows, splitter):
        """Return what to train on and, given a generator, what to watch."""
        source, indices, validation = rows.to_device(), np.arange(len(rows)), None
        if splitter is not None:
            shuffled = deepcopy(splitter).permutation(indices)
            indices, held_out = hold_out(shuffled, self.validation_fraction)
            validation = Batches(source, rows=held_out, batch_size=1024)
        batch_size = self._batch_size(len(rows))
        return Batches(source, rows=indices, batch_size=batch_size), validation

    def _fitted_attributes(self, net, batches, *, goes_on=False):
        """Return what a model has after training on the batches, by name."""
        return {"net_": net}

    def _choose_scaling(self, rows):
        """Choose what X is mapped by, and the loss, from what it is like."""
        statistics = rows.statistics()
        rows.refuse_large()
        input_range, loss = self._structure()["input_range"], self.reconstruction_loss
        self.scaling_, self.reconstruction_loss_ = choose_loss_and_scaling(
            self.scaling, input_range, loss, statistics, rows.X.dtype
        )

    def _check_going_on(self, rows):
        """Refuse parameters and an X that the fitted networks were not made for."""
        self._check_structure(self.net_.structure, self.n_features_in_)
        loss, before = self.reconstruction_loss, self.reconstruction_loss_
        if loss not in ("auto", before):
            _checks.refuse_change("reconstruction_loss", before, loss)
        rows.refuse_large()
        if self.scaling_.kind != "standard":
            fitted = self.scaling_, self.reconstruction_loss_
            refuse_range(rows.bounds(), *fitted, self.input_range, loss)

    def _new_net(self, training):
        """Return a net with fresh networks and optimisers, for these batches."""
        device = training.source.device
        self._check_structure({}, self.n_features_in_)
        _checks.warn_of_many_components(self.n_components, self.n_features_in_)
        settings = self._net_settings(device)
        random = private_generator(self.random_state)
        cpu = torch.device("cpu")  # the same weights from one seed on every device
        borrowed = borrowed_global_generator(random, cpu)
        with borrowed if self._has_own_networks() else nullcontext():
            generator = torch_generator(random, cpu)
            parts = self._resolved(len(training.source))
            sizes = self._network_sizes()
            networks = {
                name: self._make_network(name, sizes[name], generator, parts)
                for name in sizes
            }
            if self._has_own_networks():  # which stay as they are, and share as they do
                networks = deepcopy(networks)
            module = Autoencoder(
                **networks,
                n_components=self.n_components,
                sigmoid_output=self.reconstruction_loss_ == "bce",
                scaling=self.scaling_,
            )
            module.float().check_shapes(sizes)
            if self.encoder is self.decoder is None:
                objective = settings["objective"]
                start_as_pca(module, training, objective, random, generator)
        net = AutoencoderNet(
            module,
            RECONSTRUCTION_LOSSES[self.reconstruction_loss_],
            random=random,
            structure=self._structure(),
            device=device,
            **settings,
        )
        return net.initialize()

    def _net_settings(self, device):
        """Return what may change between two trainings of the same networks."""
        objective = self._objective()
        objective.check(self.n_features_in_, device)
        warn_of_slow_precision(self.precision, device)
        chosen = {
            name: self._optimizer(update) for name, update in objective.updates.items()
        }
        return {
            "objective": objective,
            "draws_globally": objective.draws_globally or self._draws_globally(),
            "has_own_networks": self._has_own_networks(),
            "optimizers": {name: optimizer for name, (optimizer, _) in chosen.items()},
            "learning_rates": {name: rate for name, (_, rate) in chosen.items()},
            "learning_rate_decay": self.learning_rate_decay,
            "averaging": self.averaging,
            "precision": self.precision,
            "callbacks": list(self.callbacks or []),
            "verbose": self.verbose,
        }

    def _network_sizes(self):
        """Return the numbers of inputs and outputs of each network, by name."""
        d, k = self.n_features_in_, self.n_components
        return {"encoder": (d, k), "decoder": (k, d)}

    def _make_network(self, name, sizes, generator, parts):
        """Return the user's own network, or one of ours."""
        own = _checks.network_of(name, getattr(self, name))
        return make_network(name, own, sizes, generator, parts)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Encode X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data, as it is: nothing is corrupted here.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components), float32
            The codes E(x); of a variational model, the means of q(z | x).
        """
        return self._trained.encode(self._rows(X))

    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Decode X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes, as `transform` gives them or drawn from the prior.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features), float32
            The reconstructions R(z), in the space of the training data; in float64
            where float32 cannot hold them, of large offsets such as timestamps.
        """
        return self._trained.decode(Rows(self._check_codes(X, "X"), self.device_))

    def corrupt(self, X: ArrayLike, random_state: RandomState = None) -> np.ndarray:
        """Draw from the corruption process, every row at the level `sigma`.

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
        return self._trained.corrupt(self._rows(X), random_state)

    def reconstruct(
        self,
        X: ArrayLike,
        *,
        corrupt: bool = False,
        random_state: RandomState = None,
    ) -> np.ndarray:
        """Encode and decode X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Clean data, or, to denoise it, data with real noise.

        corrupt : bool, default=False
            Whether to corrupt X first, at the level `sigma`: R(E(C(x))) instead of
            R(E(x)).

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same corruption at every call.

        Returns
        -------
        X_hat : ndarray of shape (n_samples, n_features), float32
            The reconstructions, in the space of the training data.
        """
        _checks.check_flag("corrupt", corrupt)
        options = {"corrupt": corrupt, "random_state": random_state}
        return self._trained.reconstruct(self._rows(X), **options)

    def sample(
        self,
        n_samples: int = 1,
        random_state: RandomState = None,
        *,
        n_steps: int | None = None,
        return_chain: bool = False,
        X: ArrayLike | None = None,
        Z: ArrayLike | None = None,
    ) -> np.ndarray:
        """Draw new samples from the model.

        Codes are drawn from the prior and decoded; then the Markov chain of
        equation 3, corrupt, encode, decode, takes `n_steps` steps. A DAE has no prior:
        its codes are drawn from a Gaussian fitted to those of its training data.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples; with `X` or `Z`, from each of their rows.

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same samples at every call.

        n_steps : int, default=None
            Steps of the chain. None is 1 for the DAAE and the DVAE, whose *corrupted*
            encodings were matched to the prior, and for the DAE; and 0 for the rest, of
            which the prior can be decoded directly. With `X` it is at least 1.

        return_chain : bool, default=False
            Whether to return all states of the chains and not only the last.

        X : array-like of shape (n_rows, n_features), default=None
            Data to start the chains from, as x(0).

        Z : array-like of shape (n_rows, n_components), default=None
            Codes to start the chains from, instead of draws from the prior.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), float32
            The samples x(n_steps). With `return_chain`, all of x(0), ..., x(n_steps):
            an array of shape (n_steps + 1, n_samples, n_features). With `X` or `Z`,
            there are n_samples * n_rows of them, those from one row together.
        """
        check_is_fitted(self)
        _checks.check_number("n_samples", n_samples, least=1)
        _checks.check_flag("return_chain", return_chain)
        if n_steps is None:
            n_steps = self._n_steps if X is None else max(1, self._n_steps)
        _checks.check_number("n_steps", n_steps, least=0)
        if X is not None and Z is not None:
            raise ValueError("Chains start from rows of X or from codes Z: give one.")

        return self._trained.sample(
            n_samples,
            n_steps,
            rows=None if X is None else self._rows(X),
            codes=None if Z is None else Rows(self._check_codes(Z), self.device_),
            draw_codes=self._draw_codes,
            return_chain=return_chain,
            random_state=random_state,
        )

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return minus the squared reconstruction error of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data, as it is.

        Returns
        -------
        score : ndarray of shape (n_samples,), float32
            Minus the mean over features of (R(E(x)) - x) squared, in units of X or,
            where `scaling` has standardised it, in units of what each feature was
            divided by, so that none outweighs the rest. Higher is better.
        """
        trained = self._trained
        in_units = self.scaling_.kind != "standard"
        return -trained.squared_errors(self._rows(X), in_units=in_units)

    def score(self, X: ArrayLike, y: Any = None) -> float:
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

    def as_module(self, call: str) -> torch.nn.Module:
        """Return a module that does what a call does: for torch, without scikit-learn.

        Parameters
        ----------
        call : {"transform", "inverse_transform", "reconstruct"}
            The call.

        Returns
        -------
        module : torch.nn.Module
            From a tensor of rows of X, or of codes, to what the call returns,
            differentiable, with scaling and sigmoid. Its weights are a copy, which may
            be trained, for instance as a part of a classifier; it can be traced and
            exported.

        Examples
        --------
        >>> import torch
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAETransformer
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAETransformer(2, max_epochs=1, random_state=0).fit(X)
        >>> encode = model.as_module("transform")
        >>> encode(torch.from_numpy(X[:3])).shape
        torch.Size([3, 2])
        """
        return AsModule(self._trained.module, call)

    @property
    def _trained(self):
        """What the trained networks can be asked."""
        check_is_fitted(self)
        return Inference(self.net_, self.scaling_, self.n_features_in_)

    def _require_prior(self):
        """Return the prior, or refuse what makes no sense without one."""
        prior = getattr(self.net_.objective, "prior", None)
        if prior is None:
            raise ValueError(
                f"{type(self).__name__} matches its codes to no prior. Use one of the "
                "models that do, such as DAAETransformer."
            )
        return prior

    def _check_codes(self, Z, name="Z"):
        """Return codes that are valid, as rows."""
        Z = check_array(Z, dtype=np.float32, input_name=name)
        _checks.check_n_components(Z, name, type(self).__name__, self._n_features_out)
        return Z

    def _draw_codes(self, n_samples, generator):
        """Draw the codes that sampling starts from: of the prior."""
        return self.net_.objective.prior(n_samples, generator)

    @property
    def encoder_(self) -> torch.nn.Module:
        """The trained encoder E. A variational one gives means and log-variances."""
        return self._trained.module.encoder

    @property
    def decoder_(self) -> torch.nn.Module:
        """The trained decoder R, before the sigmoid that belongs to the loss 'bce'."""
        return self._trained.module.decoder

    @property
    def device_(self) -> torch.device:
        """Where the networks are."""
        return self._trained.net.device

    @property
    def history_(self) -> list[dict[str, float]]:
        """The mean of every loss, one record of floats an epoch."""
        net = self._trained.net
        names = net.objective.loss_names
        keys = {**{name: name for name in names}, "valid_loss": "validation_error"}
        return [
            {new: record[old] for old, new in keys.items() if old in record}
            for record in net.history
        ]

    @property
    def loss_curve_(self) -> list[float]:
        """The mean reconstruction loss of each epoch."""
        return [record["reconstruction_loss"] for record in self.history_]

    @property
    def n_epochs_(self) -> int:
        """Epochs trained so far."""
        return len(self._trained.net.history)

    @property
    def _n_features_out(self):
        return self.net_.structure["n_components"]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # From a float32 network, more digits would be noise of the batch size.
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
