"""How every estimator is trained: `fit`, `partial_fit` and what they share."""

from contextlib import ExitStack, closing, contextmanager, nullcontext

import numpy as np
import torch
from sklearn.utils.validation import validate_data

from ._batches import Batches, Rows, hold_out
from ._callbacks import EpochProgressBar, SklearnTasks, StopsEarly
from ._device import (
    release_memory,
    resolve_device,
    undisturbed,
    warn_of_slow_precision,
)
from ._losses import RECONSTRUCTION_LOSSES
from ._net import AutoencoderNet
from ._networks import NETWORKS, Autoencoder, multilayer_perceptron
from ._parameters import NETWORK_NAMES, AutoencoderParameters, check_image_size
from ._random import borrowed_global_generator, private_generator, torch_generator
from ._sklearn_compat import CallbackSupportMixin, with_callbacks

# Read as they are, batch by batch; anything else becomes float32 as a whole.
DTYPES = [
    np.dtype(kind)
    for kind in ("f4", "f8", "f2", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "?")
]


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
        n_epochs = 1 if single_pass else self.max_epochs
        context = None
        if not single_pass:
            context = self._init_callback_context(max_subtasks=n_epochs)
        try:
            with self._unchanged_on_error(), ExitStack() as stack:
                stack.enter_context(undisturbed(device))
                # Where a notebook has turned gradients off, too.
                stack.enter_context(torch.inference_mode(False))
                stack.enter_context(torch.enable_grad())
                min_samples = 1 if goes_on else 2
                X = self._validated(X, reset=not goes_on, min_samples=min_samples)
                if goes_on:
                    self._check_structure()
                loss = self._resolve_reconstruction_loss(X, goes_on)
                self.reconstruction_loss_ = loss
                if goes_on:
                    net = self.net_.to(device)
                    stack.enter_context(net.unchanged_on_error())
                    net.resume(**self._net_settings(device))
                else:
                    net = self._new_net(device)

                early_stopping = self.early_stopping and not single_pass
                training, validation = self._batches(X, device, early_stopping)
                observers = []
                if early_stopping:
                    observers.append(StopsEarly(self.n_iter_no_change, self.tol))
                if context is not None:
                    tasks = SklearnTasks(self, context, X, y, training)
                    observers.append(tasks)
                if self.verbose and not single_pass:
                    bar = EpochProgressBar(type(self).__name__, n_epochs)
                    observers.append(stack.enter_context(closing(bar)))
                net.fit_loop(training, validation, n_epochs, observers=observers)
                goes_on = goes_on and single_pass
                fitted = self._fitted_attributes(net, training, goes_on=goes_on)
                vars(self).update(fitted)
                if context is not None:
                    tasks.end(fitted)
        finally:
            release_memory(device)
        return self

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

    def _batches(self, X, device, early_stopping):
        """Return what to train on and, with early stopping, what to watch."""
        source = Rows(X, device).to_device()
        rows, validation = np.arange(len(X)), None
        if early_stopping:
            # From the seed itself: the same rows again when a warm start goes on.
            shuffled = private_generator(self.random_state).permutation(rows)
            rows, held_out = hold_out(shuffled, self.validation_fraction)
            validation = Batches(source, rows=held_out, batch_size=1024)
        return Batches(source, rows=rows, batch_size=self.batch_size), validation

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

    def _resolve_reconstruction_loss(self, X, goes_on):
        """Return the name of the loss, and refuse an X that it is not defined on."""
        bounds = np.array(_bounds(X))
        least, most = self._structure()["input_range"] or (0, 1)
        low, high = (bounds - least) / (most - least)
        # MinMaxScaler gives values that rounding has taken a little out of range.
        rounding = 4 * np.finfo(np.float32).eps
        in_unit_interval = low >= -rounding and high <= 1 + rounding
        if self.input_range is not None and not in_unit_interval:
            raise ValueError(
                f"X has values from {bounds[0]:g} to {bounds[1]:g}, outside of "
                f"input_range={self.input_range!r}. Widen the range, or clip X."
            )
        loss = self.reconstruction_loss
        if goes_on and loss not in ("auto", self.reconstruction_loss_):
            _refuse_change("reconstruction_loss", self.reconstruction_loss_, loss)
        if loss == "auto":
            if not goes_on:
                return "bce" if in_unit_interval else "mse"
            loss = self.reconstruction_loss_
        if loss == "bce" and not in_unit_interval:
            chosen = ""
            if self.reconstruction_loss == "auto":
                chosen = ", which 'auto' chose for the rows first trained on,"
            raise ValueError(
                f"The reconstruction loss 'bce'{chosen} needs all of X in [0, 1], but "
                f"X has values from {low:g} to {high:g}. Scale X, for example with "
                "sklearn.preprocessing.MinMaxScaler(clip=True), or fit with "
                "reconstruction_loss='mse'."
            )
        return loss

    def _new_net(self, device):
        """Return a net with fresh networks and optimisers."""
        structure = self._structure()
        self._check_image_size(structure)
        random = private_generator(self.random_state)
        cpu = torch.device("cpu")  # the same weights from one seed on every device
        borrowed = borrowed_global_generator(random, cpu)
        with borrowed if self._has_own_networks() else nullcontext():
            generator = torch_generator(random, cpu)
            sizes = self._network_sizes()
            module = Autoencoder(
                **{
                    name: self._make_network(name, *sizes[name], generator)
                    for name in sizes
                },
                n_components=self.n_components,
                sigmoid_output=self.reconstruction_loss_ == "bce",
                input_range=structure["input_range"],
            )
            module.float().check_shapes(sizes)
        net = AutoencoderNet(
            module,
            RECONSTRUCTION_LOSSES[self.reconstruction_loss_],
            optimizers=self._optimizers(),
            random=random,
            structure=structure,
            device=device,
            **self._net_settings(device),
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

    def _make_network(self, name, n_inputs, n_outputs, generator):
        """Return the user's own network, or one of ours."""
        make = getattr(self, name)
        if make is None:
            structure = self._structure()
            kind, options = structure["network"]
            shapes = structure[f"{name}_layer_sizes"], structure["image_shape"]
            arguments = n_inputs, n_outputs, generator, *shapes
            if name in NETWORKS[kind]:
                return NETWORKS[kind][name](*arguments, **options)
            return multilayer_perceptron(*arguments)
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


def _bounds(X):
    """Return the least and the greatest value of X."""
    return Rows(X, torch.device("cpu")).bounds()


def _refuse_change(name, before, now):
    raise ValueError(
        f"{name} has changed from {before!r} to {now!r}, but the networks and "
        f"optimisers that training goes on with were made with the former. Set {name} "
        "back, or start anew: call fit with warm_start=False."
    )
