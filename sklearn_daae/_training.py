"""How every estimator is trained: `fit`, `partial_fit` and what they share."""

import math
import warnings
from contextlib import ExitStack, closing, contextmanager, nullcontext
from copy import deepcopy

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import validate_data

from ._batches import Batches, Rows, hold_out
from ._callbacks import EpochProgressBar, SklearnTasks, StopsEarly
from ._convergence import warn_of_failure
from ._device import (
    release_memory,
    resolve_device,
    undisturbed,
    warn_of_slow_precision,
)
from ._losses import RECONSTRUCTION_LOSSES
from ._net import AutoencoderNet
from ._networks import NETWORKS, Autoencoder, WithShortcut, multilayer_perceptron
from ._parameters import NETWORK_NAMES, AutoencoderParameters, check_image_size
from ._random import borrowed_global_generator, private_generator, torch_generator
from ._scaling import (
    are_told_apart,
    choose_scaling,
    has_contrast,
    is_within_unit_interval,
)
from ._sklearn_compat import CallbackSupportMixin, with_callbacks
from ._start import start_as_pca

# Read as they are, batch by batch; anything else becomes float32 as a whole.
DTYPES = [
    np.dtype(kind)
    for kind in ("f4", "f8", "f2", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "?")
]

# What "auto" is, of which there are two: for up to so many rows, and for more. How
# they were chosen stands in doc/defaults.md.
_FEW_ROWS = 10_000
_LAYER_SIZES = {"few": (256, 256), "many": (1000, 1000)}
_HAS_SHORTCUT = {"few": True, "many": False}
_BATCH_SIZE = {"few": 64, "many": 128}
_DISCRIMINATOR_LAYER_SIZES = (64, 64)
# Wide rows take longer: of more features than this, there are fewer steps.
_N_STEPS = 1000
_N_FEATURES = 1000
_N_EPOCHS = 10, 100

# Rows that the networks are started from.
_N_ROWS_OF_PCA = 2000


class TrainableAutoencoder(CallbackSupportMixin, AutoencoderParameters):
    """An autoencoder that can be trained.

    A subclass says what it minimises (`_objective`), and extends the networks, the
    optimisers and the learning rates where it needs more than an encoder and a decoder.
    """

    @with_callbacks
    def fit(self, X, y=None):
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
        return self._train(X, y, goes_on=goes_on, single_pass=False)

    def partial_fit(self, X, y=None):
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
            changed since they were made.
        """
        return self._train(X, y, goes_on=hasattr(self, "net_"), single_pass=True)

    def _train(self, X, y, *, goes_on, single_pass):
        """Do what `fit` and `partial_fit` share."""
        self._check_parameters()
        device = resolve_device(self.device)
        context = None
        try:
            with self._unchanged_on_error(), ExitStack() as stack:
                stack.enter_context(undisturbed(device))
                # Where a notebook has turned gradients off, too.
                stack.enter_context(torch.inference_mode(False))
                stack.enter_context(torch.enable_grad())
                min_samples = 1 if goes_on else 2
                X = self._validated(X, reset=not goes_on, min_samples=min_samples)
                n_epochs = 1 if single_pass else self._n_epochs(len(X))
                if not single_pass:
                    context = self._init_callback_context(max_subtasks=n_epochs)
                if goes_on:
                    self._check_structure()
                    self._check_going_on(X)
                    net = self.net_.to(device)
                    stack.enter_context(net.unchanged_on_error())
                    net.resume(**self._net_settings(device))
                else:
                    self._choose_scaling(X)

                # That of the first time, so that the same rows are held out again.
                splitter = net.splitter if goes_on else None
                early_stopping = self.early_stopping and not single_pass
                if early_stopping and splitter is None:
                    splitter = private_generator(self.random_state)
                training, validation = self._batches(
                    X, device, splitter if early_stopping else None
                )
                if not goes_on:
                    net = self._new_net(device, training)
                net.splitter = splitter
                observers = []
                if early_stopping:
                    tol = self.tol * validation.variance()
                    observers.append(StopsEarly(self.n_iter_no_change, tol))
                if context is not None:
                    tasks = SklearnTasks(self, context, X, y, training)
                    observers.append(tasks)
                if self.verbose and not single_pass:
                    bar = EpochProgressBar(type(self).__name__, n_epochs)
                    observers.append(stack.enter_context(closing(bar)))
                net.fit_loop(training, validation, n_epochs, observers=observers)
                if not single_pass:
                    warn_of_failure(net, training)
                goes_on = goes_on and single_pass
                fitted = self._fitted_attributes(net, training, goes_on=goes_on)
                vars(self).update(fitted)
                if context is not None:
                    tasks.end(fitted)
        finally:
            release_memory(device)
        return self

    def _n_epochs(self, n_samples):
        """Return how many passes over so many rows `fit` makes."""
        if self.max_epochs != "auto":
            return self.max_epochs
        n_steps = _N_STEPS * min(1, _N_FEATURES / self.n_features_in_)
        n_batches = math.ceil(n_samples / self._batch_size(n_samples))
        least, most = _N_EPOCHS
        return max(least, min(math.ceil(n_steps / n_batches), most))

    def _batch_size(self, n_samples):
        """Return how many of so many rows are in a batch."""
        if self.batch_size != "auto":
            return self.batch_size
        return _BATCH_SIZE[_size_class(n_samples)]

    @contextmanager
    def _unchanged_on_error(self):
        """Put every fitted attribute back, if the body fails."""
        before = {k: v for k, v in vars(self).items() if k.endswith("_")}
        try:
            yield
        except BaseException:
            for name in [name for name in vars(self) if name.endswith("_")]:
                delattr(self, name)
            vars(self).update(before)
            raise

    def _batches(self, X, device, splitter):
        """Return what to train on and, given a generator, what to watch."""
        source = Rows(X, device, self.scaling_).to_device()
        rows, validation = np.arange(len(X)), None
        if splitter is not None:
            shuffled = deepcopy(splitter).permutation(rows)
            rows, held_out = hold_out(shuffled, self.validation_fraction)
            validation = Batches(source, rows=held_out, batch_size=1024)
        batch_size = self._batch_size(len(X))
        return Batches(source, rows=rows, batch_size=batch_size), validation

    def _fitted_attributes(self, net, batches, *, goes_on=False):
        """Return what a model has after training on the batches, by name."""
        return {"net_": net}

    def _validated(self, X, *, reset, min_samples=1):
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype=DTYPES,
            order="C",
            ensure_min_samples=min_samples,
        )
        # The networks compute in float32, batch by batch.
        largest = float(np.finfo(np.float32).max)
        if X.dtype == np.float64 and max(map(abs, _bounds(X))) > largest:
            raise ValueError(
                "Input X contains a value too large for dtype('float32'). Scale X."
            )
        return X

    def _choose_scaling(self, X):
        """Choose what X is mapped by, and the loss, from what it is like."""
        statistics = Rows(X, torch.device("cpu")).statistics()
        input_range = self._structure()["input_range"]
        loss = self.reconstruction_loss
        self.scaling_ = choose_scaling(self.scaling, input_range, loss, statistics)
        # What is standardised was in the type of X until then; else float32 it is.
        is_float64 = self.scaling_.kind == "standard" and X.dtype != np.float32
        if not are_told_apart(statistics, np.float64 if is_float64 else np.float32):
            warnings.warn(
                "A feature of X varies by so little, beside its mean, that "
                f"{'float64' if is_float64 else 'float32'} hardly tells its values "
                "apart: the model sees noise. Subtract the mean before X is stored, "
                "and give it as float64 with scaling='auto'.",
                ConvergenceWarning,
                stacklevel=4,
            )
        seen = statistics.mapped(self.scaling_)
        in_unit_interval = self._check_range(statistics.bounds, seen.bounds)
        if loss == "auto":
            is_bce = in_unit_interval and has_contrast(seen)
            loss = "bce" if is_bce and self.scaling_.kind != "standard" else "mse"
        self.reconstruction_loss_ = loss
        self._check_loss(seen.bounds, in_unit_interval)

    def _check_going_on(self, X):
        """Refuse an X that the fitted scaling or loss is not defined on."""
        loss = self.reconstruction_loss
        if loss not in ("auto", self.reconstruction_loss_):
            _refuse_change("reconstruction_loss", self.reconstruction_loss_, loss)
        if self.scaling_.kind == "standard":
            return
        bounds = _bounds(X)
        shift, scale = self.scaling_.shift, self.scaling_.scale
        seen = tuple((bound - shift) / scale for bound in bounds)
        self._check_loss(seen, self._check_range(bounds, seen))

    def _check_range(self, bounds, seen):
        """Return whether networks see [0, 1] only; refuse what leaves `input_range`."""
        in_unit_interval = is_within_unit_interval(seen)
        if self.scaling_.kind == "range" and not in_unit_interval:
            raise ValueError(
                f"X has values from {bounds[0]:g} to {bounds[1]:g}, outside of "
                f"input_range={self.input_range!r}. Widen the range, or clip X."
            )
        return in_unit_interval

    def _check_loss(self, seen, in_unit_interval):
        if self.reconstruction_loss_ == "bce" and not in_unit_interval:
            chosen = ""
            if self.reconstruction_loss == "auto":
                chosen = ", which 'auto' chose for the rows first trained on,"
            raise ValueError(
                f"The reconstruction loss 'bce'{chosen} needs all of X in [0, 1], but "
                f"X has values from {seen[0]:g} to {seen[1]:g}. Scale X, for example "
                "with sklearn.preprocessing.MinMaxScaler(clip=True), or fit with "
                "reconstruction_loss='mse'."
            )

    def _new_net(self, device, training):
        """Return a net with fresh networks and optimisers, for these batches."""
        structure = self._structure()
        self._check_image_size(structure)
        parts = _resolved(structure, len(training.source))
        settings = self._net_settings(device)
        random = private_generator(self.random_state)
        cpu = torch.device("cpu")  # the same weights from one seed on every device
        borrowed = borrowed_global_generator(random, cpu)
        with borrowed if self._has_own_networks() else nullcontext():
            generator = torch_generator(random, cpu)
            sizes = self._network_sizes()
            module = Autoencoder(
                **{
                    name: self._make_network(name, *sizes[name], generator, parts)
                    for name in sizes
                },
                n_components=self.n_components,
                sigmoid_output=self.reconstruction_loss_ == "bce",
                scaling=self.scaling_,
            )
            module.float().check_shapes(sizes)
            ours = module.encoder, module.decoder
            if all(isinstance(network, WithShortcut) for network in ours):
                x = training.sample(_N_ROWS_OF_PCA).cpu()
                objective = settings["objective"]
                own = borrowed_global_generator(random, cpu)
                with own if objective.draws_globally else nullcontext():
                    start_as_pca(module, x, objective, generator)
        net = AutoencoderNet(
            module,
            RECONSTRUCTION_LOSSES[self.reconstruction_loss_],
            optimizers=self._optimizers(),
            random=random,
            structure=structure,
            device=device,
            **settings,
        )
        return net.initialize()

    def _check_structure(self):
        """Refuse parameters that the fitted networks were not made with."""
        structure = self._structure()
        self._check_image_size(structure)
        kind, _ = structure["network"]
        for name, value in self.net_.structure.items():
            # Fully connected networks know nothing of the shape of images.
            is_used = name != "image_shape" or kind != "mlp"
            if is_used and structure[name] != value:
                _refuse_change(name, value, structure[name])

    def _check_image_size(self, structure):
        if structure["image_shape"] is not None:
            check_image_size(structure["image_shape"], self.n_features_in_)

    def _net_settings(self, device):
        """Return what may change between two trainings of the same networks."""
        objective = self._objective()
        objective.check(self.n_features_in_, device)
        warn_of_slow_precision(self.precision, device)
        return {
            "objective": objective,
            "draws_globally": objective.draws_globally or self._has_own_networks(),
            "has_own_networks": self._has_own_networks(),
            "learning_rates": self._learning_rates(),
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

    def _has_own_networks(self):
        return any(getattr(self, name, None) is not None for name in NETWORK_NAMES)

    def _make_network(self, name, n_inputs, n_outputs, generator, parts):
        """Return the user's own network, or one of ours."""
        make = getattr(self, name)
        if make is None:
            kind, options = parts["network"]
            shapes = parts[f"{name}_layer_sizes"], parts["image_shape"]
            arguments = n_inputs, n_outputs, generator, *shapes
            if name in NETWORKS[kind]:
                return NETWORKS[kind][name](*arguments, **options)
            return multilayer_perceptron(*arguments, shortcut=False)
        sizes = (n_inputs,) if name == "discriminator" else (n_inputs, n_outputs)
        try:
            network = make(*sizes)
        except Exception as error:
            raise ValueError(
                f"{name}={make!r} was called as {name}{sizes!r}, to make a module, and "
                f"failed with: {error!r}"
            ) from error
        if not isinstance(network, torch.nn.Module):
            raise TypeError(
                f"{name}={make!r} must return a torch.nn.Module, but it returned "
                f"{network!r}."
            )
        return network

    def _optimizers(self):
        """Return name and options of the optimiser of each update."""
        return {"reconstruction": self._structure()["optimizer"]}

    def _learning_rates(self):
        """Return the learning rate of each update."""
        return {"reconstruction": self.learning_rate}


def _size_class(n_samples):
    return "few" if n_samples <= _FEW_ROWS else "many"


def _resolved(structure, n_samples):
    """Return a structure with what "auto" stands for."""
    few_or_many = _size_class(n_samples)
    sizes = {
        "encoder_layer_sizes": _LAYER_SIZES[few_or_many],
        "decoder_layer_sizes": _LAYER_SIZES[few_or_many],
        "discriminator_layer_sizes": _DISCRIMINATOR_LAYER_SIZES,
    }
    resolved = {name: sizes[name] for name in sizes if structure[name] == "auto"}
    if structure["network"] == ("mlp", {}):
        shortcut = _HAS_SHORTCUT[few_or_many]
        resolved["network"] = "mlp", {"shortcut": shortcut}
    return {**structure, **resolved}


def _bounds(X):
    """Return the least and the greatest value of X."""
    return Rows(X, torch.device("cpu")).bounds()


def _refuse_change(name, before, now):
    raise ValueError(
        f"{name} has changed from {before!r} to {now!r}, but the networks and "
        f"optimisers that training goes on with were made with the former. Set {name} "
        "back, or start anew: call fit with warm_start=False."
    )
