"""What trains every estimator: fit and partial_fit, from X to fitted networks."""

from contextlib import ExitStack, closing, nullcontext
from copy import deepcopy
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike

from . import _checks
from ._checkpoints import saving
from ._device import resolve_device
from ._engine.batches import Batches, hold_out, n_to_hold_out, rows_of
from ._engine.callbacks import EpochProgressBar, SklearnTasks, StopsEarly
from ._engine.convergence import warn_of_failure
from ._engine.courses import being_trained, train
from ._engine.cpu import warn_of_slow_precision
from ._engine.rows import Rows, read_rows
from ._engine.state import (
    TrainedBefore,
    net_unchanged_on_error,
    unchanged_on_error,
    unfit,
)
from ._engine.trainer import AutoencoderNet, DivergenceError, learning
from ._model.losses import ReconstructionLoss, resolve_groups
from ._model.module import Autoencoder, start_as_pca
from ._model.networks import make_network
from ._model.scaling import choose_loss_and_scaling, refuse_columns, refuse_range
from ._parameters import AutoencoderParameters
from ._random import borrowed_global_generator, private_generator, torch_generator
from ._sklearn_compat import (
    CallbackSupportMixin,
    has_callbacks,
    with_callbacks,
)
from .distributed import current


class TrainedAutoencoder(CallbackSupportMixin, AutoencoderParameters):
    """What trains.

    A subclass adds its own parameters and says what it minimises (`_objective`); one
    with more than an encoder and a decoder adds to `_network_sizes`.
    """

    def set_params(self, **params: Any) -> Self:
        """Set parameters, as of all estimators of scikit-learn.

        Parameters
        ----------
        **params : dict
            Parameters by their names.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If there is no such parameter. Values are checked by :meth:`fit`.
        """
        before = params.pop(TrainedBefore.parameter, None)
        super().set_params(**params)
        if before is not None:
            setattr(self, TrainedBefore.parameter, before)
        return self

    def fit(
        self,
        X: ArrayLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
    ) -> Self:
        """Train the model on X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training data, clean: the model corrupts it itself. On a CPU it is read
            batch by batch, and copied as a whole only where it has to be converted
            (Fortran order, data frames of several types, types that torch lacks). A
            sparse X is made dense batch by batch; CSR is read as it is. Memory-mapped
            files, arrays of h5py, zarr and dask, data sets of pyarrow and iterators of
            blocks are read block by block.

        y : Ignored
            Present for API consistency.

        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts, beside the others: of weight 2 it is as if it
            were there twice, of 0 as if it were not there.

        X_val : {array-like, sparse matrix} of shape (n_rows, n_features), default=None
            Rows to watch the error of, which `history_` has and `early_stopping` goes
            by, in place of some of X.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, another array or a parameter is not valid, before any training, or if
            training diverges. The estimator is then what it was before the call.

        TypeError
            If X is of a kind that is not read as an array, such as a data set of
            torch's, or has dates, or if a callable for a network returns no module.

        RuntimeError
            If the estimator is being trained already, by another thread or by what has
            called a callback. Nothing happens to it then.

        Warns
        -----
        ConvergenceWarning
            If the codes carry nothing, the reconstructions are no better than the means
            of the features, the match to the prior is lost, or X is of a scale at which
            the numbers that it comes as do not tell its rows apart.

        UserWarning
            If the user interrupts the training after its first epoch. The model is
            kept, as in scikit-learn's multilayer perceptrons.

        See Also
        --------
        partial_fit : Trains for one epoch more.
        sklearn_daae.model_selection.fit_together : Fits many models in less time.
        sklearn_daae.Checkpoint : Keeps the state of a training in a file.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAAETransformer
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAAETransformer(2, max_epochs=10, random_state=0).fit(X)
        >>> model.n_epochs_, len(model.loss_curve_)
        (10, 10)
        >>> bool(model.loss_curve_[-1] < model.loss_curve_[0])
        True
        """
        with being_trained(self):
            return self._fit(X, y, sample_weight, X_val)

    @with_callbacks
    def _fit(self, X, y, sample_weight, X_val):
        before = self.__dict__.pop(TrainedBefore.parameter, None)
        is_plain = sample_weight is None and X_val is None
        if before is not None and is_plain and before.give(self, X):
            return self
        self._check_parameters()
        device = resolve_device(self.device)
        with (
            learning(device),
            closing(self._fitting(device, X, y, sample_weight, X_val)) as fitting,
        ):
            for net, *course in fitting:
                train(net, *course)
        return self

    def _fitting(self, device, X, y=None, sample_weight=None, X_val=None):
        """Fit, but for the training: yield a net, and what its `course` is given.

        It is resumed once the net is trained, and closed where that has failed.
        """
        goes_on = self.warm_start and hasattr(self, "net_")
        with unchanged_on_error(self), ExitStack() as stack:
            saves = saving(self)
            if goes_on:
                stack.enter_context(net_unchanged_on_error(self.net_))
            elif self.warm_start and saves is not None:
                goes_on = saves.resume()
            rows = self._read(X, device, reset=not goes_on)
            watched, n_in_all = None, len(rows)
            if X_val is not None:
                with _checks.naming("X_val"):
                    watched = self._read(X_val, device)
            stops_early = self.early_stopping
            if watched is None and stops_early and self.validation == "last":
                n_rows = len(rows)
                n_left = n_rows - n_to_hold_out(n_rows, self.validation_fraction)
                watched = rows.between(n_left, n_rows)
                rows = rows.between(0, n_left)
            weight = _checks.as_weight(sample_weight, n_in_all, len(rows))
            n_rows = len(rows) if weight is None else np.count_nonzero(weight)
            n_epochs = self._n_epochs(n_rows, self.n_features_in_)
            if saves is not None:
                n_epochs = max(0, n_epochs - saves.n_epochs)
            context = None
            if has_callbacks(self):
                context = self._init_callback_context(max_subtasks=n_epochs)
            # That of the first time, so that the same rows are held out again.
            splitter = self.net_.splitter_ if goes_on else None
            if stops_early and splitter is None:
                splitter = self._generator()
            if watched is None and stops_early:
                watched = splitter
            net, training, validation = self._begin(rows, goes_on, weight, watched)
            net.splitter_ = splitter
            observers, stops = [], None
            if stops_early:
                tol = self.tol * validation.variance()
                stops = StopsEarly(self.n_iter_no_change, tol)
                observers.append(stops)
            if saves is not None:
                saves.begin(training, validation, n_epochs, stops)
                observers.append(saves)
            if context is not None:
                tasks = SklearnTasks(self, context, X, y, training)
                observers.append(tasks)
            if self.verbose and current().rank == 0:
                bar = EpochProgressBar(type(self).__name__, n_epochs)
                observers.append(stack.enter_context(closing(bar)))
            yield net, training, validation, n_epochs, observers
            if current().rank == 0:
                warn_of_failure(net, training)
            fitted = self._fitted_attributes(net, training)
            self.__dict__.update(fitted)
            if saves is not None:
                saves.end(fitted)
            if context is not None:
                tasks.end(fitted)

    def partial_fit(
        self,
        X: ArrayLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on the rows given, going on from the present state.

        The first call makes the networks, as :meth:`fit` does; k calls on the same X
        give what one fit with ``max_epochs=k`` gives, bit for bit (unless callbacks,
        such as schedulers, begin anew with each call; and a DAE's :meth:`sample` starts
        from codes of earlier calls, too, where a call has few rows). One pass has
        nothing to stop early or to show: `early_stopping` and `verbose` have no effect
        here.

        Meanwhile other threads may ask the model, by :meth:`transform` and so on:
        weights of some step of the pass answer, or, with networks, corruptions or
        priors of your own and with dropout, those at its end.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to train on.

        y : Ignored
            Present for API consistency.

        sample_weight : array-like of shape (n_samples,), default=None
            How often each of them counts, beside the others.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            As in :meth:`fit`, or if a parameter that shapes the networks or optimisers
            has changed since they were made. If training diverges, the estimator is no
            longer fitted: unlike :meth:`fit`, a pass keeps no copy of the weights to go
            back to. What else ends one early, an interrupt or an error in code of
            yours, leaves the steps that were taken.

        TypeError
            As in :meth:`fit`.

        RuntimeError
            As in :meth:`fit`.

        See Also
        --------
        fit : Trains for `max_epochs` epochs.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAAETransformer
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAAETransformer(2, random_state=0)
        >>> for _ in range(3):
        ...     model = model.partial_fit(X)
        >>> model.n_epochs_
        3
        """
        with being_trained(self):
            goes_on = hasattr(self, "net_")
            self._check_parameters()
            device = resolve_device(self.device)
            try:
                with unchanged_on_error(self), learning(device):
                    rows = self._read(X, device, reset=not goes_on)
                    weight = _checks.as_weight(sample_weight, len(rows), len(rows))
                    net, training, _ = self._begin(rows, goes_on, weight)
                    train(net, training)
                    fitted = self._fitted_attributes(net, training, goes_on=goes_on)
                    self.__dict__.update(fitted)
            except DivergenceError:
                # There is no copy to go back to: one takes as long as some passes.
                unfit(self)
                raise
        return self

    def _begin(self, rows, goes_on, weight, watched=None):
        """Return a net that is ready, what to train it on and what to watch.

        That is rows of X, drawn by a generator, or others.
        """
        current().check_same(type(self).__name__, rows.X.shape)
        if goes_on:
            self._check_going_on(rows)
            settings = self._net_settings(rows.device)
        else:
            self._choose_scaling(rows, weight)
        rows.scaling = self.scaling_
        if isinstance(watched, Rows):
            watched.refuse_large()
            self._refuse_range(watched)
            watched.scaling = self.scaling_
        training, validation = self._batches(rows, weight, watched)
        if not goes_on:
            return self._new_net(training), training, validation
        net = self.net_.to(rows.device)
        net.resume(**settings)
        return net, training, validation

    def _read(self, X, device, *, reset=False, may_miss=None):
        """Return the rows of a valid X, not yet as the networks see them."""
        if may_miss is None:
            may_miss = self.missing_values is not None
        return read_rows(self, X, device, reset=reset, may_miss=may_miss)

    def _rows(self, X):
        """Return rows of X as the fitted networks see them."""
        device, may_miss = self.device_, self.scaling_.fill is not None
        has_names = hasattr(self, "feature_names_in_")  # of which some are to warn
        if not has_names and _checks.needs_no_check(X, self.n_features_in_):
            return Rows(X, device, self.scaling_)
        rows = self._read(X, device, may_miss=may_miss)
        rows.refuse_large()
        rows.scaling = self.scaling_
        return rows

    def _batches(self, rows, weight, watched):
        """Return what to train on, and what to watch, if that is not None."""
        source, validation = rows.to_device(), None
        indices = rows_of(source.X, None if weight is None else weight > 0)
        if weight is not None:
            weight = torch.from_numpy(np.float32(weight)).to(rows.device)
        batch_size = self._batch_size(len(indices))
        if isinstance(watched, Rows):
            watched = watched.to_device()
            every = rows_of(watched.X, None)
            validation = Batches(watched, rows=every, batch_size=1024)
        elif watched is not None:
            indices, held_out = hold_out(
                indices, deepcopy(watched), self.validation_fraction
            )
            validation = Batches(source, rows=held_out, batch_size=1024, weight=weight)
        _, options = self._structure()["network"]
        if options.get("batch_norm") and 1 in (batch_size, len(indices)):
            raise ValueError(
                f"network={self.network!r} normalises batches, of which one row has no "
                "spread. Give two rows at least, and batch_size from 2 up."
            )
        training = Batches(source, rows=indices, batch_size=batch_size, weight=weight)
        return training, validation

    def _fitted_attributes(self, net, batches, *, goes_on=False):
        """Return what a model has after training on the batches, by name."""
        return {"net_": net}

    def _choose_scaling(self, rows, weight):
        """Choose what X is mapped by, and the loss, from what it is like."""
        statistics = rows.statistics(weight)
        rows.refuse_large()
        input_range, loss = self._structure()["input_range"], self._loss()
        self.scaling_, self.reconstruction_loss_ = choose_loss_and_scaling(
            self.scaling,
            input_range,
            loss,
            statistics,
            rows.X.dtype,
            may_miss=self.missing_values is not None,
        )

    def _check_going_on(self, rows):
        """Refuse parameters and an X that the fitted networks were not made for."""
        if self.net_.optimizer_ is None:
            raise ValueError(
                "The model was trimmed for prediction, by save(..., trimmed=True) or "
                "trim_for_prediction(): what it would go on from is gone. Train anew, "
                "by fit with warm_start=False, or save it with trimmed=False."
            )
        self._check_structure(self.net_.structure, self.n_features_in_)
        loss, before = self._loss(), self.reconstruction_loss_
        if loss not in ("auto", before):
            _checks.refuse_change("reconstruction_loss", before, loss)
        rows.refuse_large()
        self._refuse_range(rows)

    def _loss(self):
        """Return the reconstruction loss that is asked for, with numbers of columns."""
        loss = self.reconstruction_loss
        if isinstance(loss, str):
            return loss
        names = getattr(self, "feature_names_in_", None)
        return resolve_groups(loss, self.n_features_in_, names)

    def _refuse_range(self, rows):
        if not isinstance(self.reconstruction_loss_, str):
            statistics = rows.statistics()
            refuse_columns(statistics, self.scaling_, self.reconstruction_loss_)
        if self.scaling_.kind != "standard":
            refuse_range(
                rows.bounds(),
                self.scaling_,
                self.reconstruction_loss_,
                self.input_range,
                self.reconstruction_loss,
            )

    def _new_net(self, training):
        """Return a net with fresh networks and optimisers, for these batches."""
        device = training.source.device
        self._check_structure({}, self.n_features_in_)
        _checks.warn_of_many_components(self.n_components, self.n_features_in_)
        settings = self._net_settings(device)
        random = self._generator()
        loss = ReconstructionLoss(self.reconstruction_loss_)
        cpu = torch.device("cpu")  # the same weights from one seed on every device
        borrowed = borrowed_global_generator(random, cpu)
        with borrowed if self._has_own_networks() else nullcontext():
            generator = torch_generator(random, cpu)
            parts = self._resolved(training.n_counted)
            sizes = self._network_sizes()
            networks = {
                name: self._make_network(name, sizes[name], generator, parts)
                for name in sizes
            }
            plan = None
            if self._has_own_networks():  # which stay as they are, and share as they do
                networks = deepcopy(networks)
            else:
                plan = {"sizes": sizes, "parts": parts}
            module = Autoencoder(
                **networks,
                n_components=self.n_components,
                loss=loss,
                scaling=self.scaling_,
                plan=plan,
            )
            module.float().check_shapes(sizes)
            if self.encoder is self.decoder is None:
                objective = settings["objective"]
                start_as_pca(module, training, objective, random, generator)
        current().agree(module)
        net = AutoencoderNet(
            module,
            loss,
            random=random,
            structure=self._structure(),
            device=device,
            **settings,
        )
        return net.initialize()

    def _generator(self):
        """Return the generator of a training, one for all processes."""
        return current().same(private_generator(self.random_state))

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
