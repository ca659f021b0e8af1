"""How every estimator is trained: `fit`, `partial_fit` and what they share."""

from contextlib import ExitStack, closing, contextmanager, nullcontext

import numpy as np
import torch
from sklearn.utils.validation import validate_data
from skorch.callbacks import EarlyStopping
from skorch.utils import noop

from ._batches import Batches, hold_out, resident
from ._callbacks import EpochProgressBar, SklearnTasks
from ._device import release_memory, resolve_device
from ._losses import RECONSTRUCTION_LOSSES
from ._net import AutoencoderNet, split_optimizer
from ._networks import Autoencoder, multilayer_perceptron
from ._parameters import AutoencoderParameters
from ._random import borrowed_global_generator, private_generator, torch_generator
from ._sklearn_compat import CallbackSupportMixin, with_callbacks

# Read as they are, batch by batch; anything else becomes float32 as a whole.
_DTYPES = [
    np.dtype(kind) for kind in ("f4", "f8", "f2", "u1", "i1", "i2", "i4", "i8", "bool")
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
        if goes_on:
            self.net_.to(device)
        context = None
        if calls_back:
            context = self._init_callback_context(max_subtasks=n_epochs)
        with self._unchanged_on_error(goes_on):
            X = self._validated(X, reset=not goes_on, min_samples=1 if goes_on else 2)
            self.reconstruction_loss_ = self._resolve_reconstruction_loss(X, goes_on)
            net = self._resumed_net() if goes_on else self._new_net(device)
            try:
                self._run(X, net, n_epochs, early_stopping, context)
            finally:
                release_memory(device)
            self.net_ = net
        return self

    def _run(self, X, net, n_epochs, early_stopping, context):
        """Train a net on X, while all who should know of its progress watch."""
        device = net.device
        source = resident(X, device)
        rows, validation, observers = np.arange(len(X)), None, []
        if early_stopping:
            rows, held_out = hold_out(
                net.random.permutation(rows), self.validation_fraction
            )
            validation = Batches(
                source, rows=held_out, batch_size=self.batch_size, device=device
            )
            observers.append(
                EarlyStopping(
                    patience=self.n_iter_no_change,
                    threshold=self.tol,
                    threshold_mode="abs",
                    load_best=True,
                    sink=noop,  # it would print, on top of the progress bar
                )
            )
        training = Batches(source, rows=rows, batch_size=self.batch_size, device=device)
        if context is not None:
            observers.append(SklearnTasks(self, context, X))
        with ExitStack() as stack:
            if self.verbose:
                bar = EpochProgressBar(type(self).__name__, n_epochs)
                observers.append(stack.enter_context(closing(bar)))
            net.fit_loop(training, validation, n_epochs, observers=observers)

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
        borrowed = borrowed_global_generator(random, cpu)
        with borrowed if draws_globally else nullcontext():
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

    def _resumed_net(self):
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
        return self.net_.resume(**self._net_settings())

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
