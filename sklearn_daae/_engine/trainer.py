"""The loop over epochs. skorch is the host of its callbacks and its history."""

import warnings
from contextlib import contextmanager, nullcontext
from copy import copy, deepcopy

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer
from skorch.history import History

from .._device import undisturbed
from .._model.losses import BatchLoss
from .._random import borrowed_global_generator, seed
from ..distributed import current
from . import state
from .callbacks import refuse_to_watch
from .cpu import keep_freed_memory
from .cuda import working
from .optimizers import EveryUpdate, RunningAverage, make_optimizer
from .steps import Training


@contextmanager
def learning(device):
    """Work on a device, with gradients, whatever torch has been told around it."""
    with working(device), undisturbed(device, learns=True):
        yield


class DivergenceError(ValueError):
    """A loss or a weight is no longer a finite number."""


class EpochHistory(History):
    """A history whose last record is at hand, however many there are.

    skorch's copies the list of them for each value that is read or recorded, which adds
    up over thousands of calls of `partial_fit`.
    """

    def __getitem__(self, i):
        if isinstance(i, int):
            return list.__getitem__(self, i)
        return super().__getitem__(i)


class AutoencoderNet(NeuralNet):
    """Trains an `Autoencoder` by an objective's steps, in a `course`.

    It is a `skorch.NeuralNet` to its callbacks and to who predicts with it or saves
    it: they find `module_`, `optimizer_` (the optimisers of all updates as one) and
    `history`. What would train it in skorch's way is refused. Losses stay on the device
    until the end of an epoch. Callbacks with a hook on batches or gradients cost a
    synchronisation per batch, only while one is there.

    Parameters
    ----------
    module : Autoencoder

    criterion : ReconstructionLoss

    objective : object
        See `_model.objectives`.

    optimizers : dict of str to (str, dict)
        Name and options of the optimiser of each update.

    learning_rates : dict of str to float
        The learning rate of each update.

    learning_rate_decay : float
        Multiplies all learning rates after every epoch.

    averaging : bool
        Whether predictions are those of the running average of the weights.

    precision : {"float32", "bfloat16"}

    random : numpy.random.Generator
        The only random state. Each epoch seeds a new generator on the device from it.

    draws_globally : bool
        Whether code of the user's may draw from global generators, as the dropout of
        a module does.

    has_own_networks : bool
        Whether a network is the user's own.

    structure : dict
        The estimator's parameters that the networks and optimisers were made with.

    device, callbacks, verbose
        As in skorch.
    """

    def __init__(
        self,
        module,
        criterion,
        *,
        objective,
        optimizers,
        learning_rates,
        learning_rate_decay,
        averaging,
        precision,
        random,
        draws_globally,
        has_own_networks,
        structure,
        device,
        callbacks,
        verbose,
    ):
        self.objective = objective
        self.optimizers = optimizers
        self.learning_rates = learning_rates
        self.learning_rate_decay = learning_rate_decay
        self.averaging = averaging
        self.n_steps_ = 0
        self.average_ = None
        self.precision = precision
        self.random = random
        self.splitter_ = None
        self.least_losses_ = {}
        self.draws_globally = draws_globally
        self.has_own_networks = has_own_networks
        self.structure = structure
        super().__init__(
            module,
            criterion,
            train_split=None,
            predict_nonlinearity=None,
            use_caching=False,
            device=device,
            callbacks=callbacks,
            verbose=verbose,
        )

    @property
    def _default_callbacks(self):
        return [("epoch_timer", EpochTimer())]

    @property
    def model_(self):
        """The networks that predict: the average, or those in training."""
        return self.module_ if self.average_ is None else self.average_.module

    def infer(self, x, **fit_params):
        """Return the reconstructions of a batch, for skorch's `predict` and so on."""
        return self.model_(x)

    def initialize_history(self):
        """Begin an empty history."""
        self.history_ = EpochHistory()
        return self

    def initialize_optimizer(self):
        """Make one optimiser, with its own state, for each update."""
        self.optimizer_ = EveryUpdate(
            {
                name: make_optimizer(
                    *self.optimizers[name],
                    update.parameters(self.module_),
                    self.learning_rates[name],
                )
                for name, update in self.objective.updates.items()
            }
        )
        return self

    def fit(self, *args, **kwargs):
        """Refuse: the estimator knows how to read X, and what to keep."""
        raise NotImplementedError(
            "net_ is not trained, changed or cloned by itself. Set parameters of the "
            "estimator that it belongs to, and call its fit or partial_fit."
        )

    partial_fit = fit_loop = run_single_epoch = fit
    train_step = train_step_single = validation_step = set_params = fit
    __sklearn_clone__ = fit

    def resume(self, *, learning_rates, **settings):
        """Take over what may change between two trainings of the same networks.

        A learning rate that is still what it was goes on from where its decay and
        the callbacks have brought it.
        """
        self.check_training_readiness()
        for update, rate in learning_rates.items():
            if rate != self.learning_rates[update]:
                for group in self.optimizer_.optimizers[update].param_groups:
                    group["lr"] = rate
            if rate > 0 and all(
                group["lr"] == 0
                for group in self.optimizer_.optimizers[update].param_groups
            ):
                warnings.warn(
                    f"The learning rate of the update {update!r} is 0, as a scheduler "
                    "or a decay has left it: nothing more is learned. Give another "
                    "learning_rate than it had.",
                    stacklevel=4,
                )
        self.learning_rates = learning_rates
        vars(self).update(settings)
        self._initialize_callbacks()

    def course(self, training, validation=None, n_epochs=1, observers=()):
        """Yield so many epochs on one `Batches`, for who takes steps; watch another.

        Each epoch yields batches, and is sent the losses of the step that was taken on
        the last one. What fails meanwhile is thrown into the course: that leaves the
        net between two steps, and ready for use. `observers` are callbacks of this
        course only, told before all others. See `courses`.
        """
        if validation is None:
            refuse_to_watch(self.callbacks_)
        # One for all epochs, since recorded steps go on drawing from it.
        self.generator_ = torch.Generator(self.device)
        self.parameters_ = {
            name: update.parameters(self.module_)
            for name, update in self.objective.updates.items()
        }
        self.observers_ = observers
        if not self.averaging:
            self.average_ = None
        elif self.average_ is None:
            self.average_ = RunningAverage(deepcopy(self.module_), self.n_steps_)
        keep_freed_memory()
        datasets = {
            "dataset_train": training.dataset,
            "dataset_valid": None if validation is None else validation.dataset,
        }
        try:
            self.notify("on_train_begin", X=training.dataset, y=None)
            for epoch in range(n_epochs):
                before = len(self.history_), self.least_losses_
                try:
                    self.notify("on_epoch_begin", **datasets)
                    seed(self.generator_, self.random)
                    yield self._epoch(training)
                    if validation is not None:
                        error = self._validation_error(validation)
                        self.refuse_divergence(np.isfinite(error))
                        self._record_loss("valid_loss", error)
                except BaseException as error:
                    # Of an epoch that has not ended, nothing is recorded.
                    n_whole, self.least_losses_ = before
                    del self.history_[n_whole:]
                    if epoch == 0 or not isinstance(error, KeyboardInterrupt):
                        raise
                    warnings.warn(
                        f"Training interrupted by user after {n_whole} epochs. The "
                        "model is kept as it is. What this fit is a part of, such as a "
                        "cross-validation, goes on: interrupt that, too, to end it.",
                        stacklevel=2,
                    )
                    break
                if self._end_epoch(**datasets):
                    break
            self.notify("on_train_end", X=training.dataset, y=None)
        finally:
            if self.module_.training:
                self._set_training(False)
            for parameters in self.parameters_.values():
                for parameter in parameters:
                    parameter.grad = None
            # What only training needs, and its memory.
            del self.generator_, self.parameters_, self.observers_

    def notify(self, method_name, **cb_kwargs):
        """Tell the net itself, the observers of this training and the callbacks."""
        getattr(self, method_name)(self, **cb_kwargs)
        for listener in self._listeners():
            getattr(listener, method_name)(self, **cb_kwargs)

    def _listeners(self):
        return [*self.observers_, *(callback for _, callback in self.callbacks_)]

    def _end_epoch(self, **datasets):
        """Tell every callback that the epoch is over, and whether one asks to stop.

        They ask by KeyboardInterrupt, which must not keep the others from hearing.
        """
        stop = False
        self.on_epoch_end(self, **datasets)
        for listener in self._listeners():
            try:
                listener.on_epoch_end(self, **datasets)
            except KeyboardInterrupt:
                stop = True
        return stop

    def _epoch(self, batches):
        """Yield every batch, be sent the losses of its step, and record their means."""
        self._set_training(True)
        watches_batches = self._watches_batches()
        # In one piece: small ones, left among what steps free, would scatter the rest.
        shape = len(batches), len(self.objective.loss_names)
        options = {"dtype": torch.float32, "device": self.device}
        losses, sizes = torch.empty(shape, **options), []
        for parts in batches.shuffled(self.random):
            batch = {"batch": (parts.x, None), "training": True}
            if watches_batches:
                self.notify("on_batch_begin", **batch)
            losses[len(sizes)] = yield parts
            sizes.append(round(len(parts.x) / parts.share.part))
            self.n_steps_ += 1
            if self.averaging and self.average_.is_due(self.n_steps_):
                self.average_.update(self.module_, self.n_steps_)
            if watches_batches:
                last = losses[len(sizes) - 1]
                named = dict(zip(self.objective.loss_names, last, strict=True))
                loss = last[0]
                self.history.record_batch("train_loss", loss.item())
                self.history.record_batch("train_batch_size", sizes[-1])
                self.notify("on_batch_end", **batch, loss=loss, y_pred=None, **named)
        if self.averaging:
            self.average_.update(self.module_, self.n_steps_)
        self._set_training(False)
        self._record_epoch(losses.cpu().double().numpy(), sizes)
        if not watches_batches:
            # skorch's checkpoints count batches: the epoch stands for its own.
            self.history.new_batch()
        for group in self.optimizer_.param_groups:
            group["lr"] *= self.learning_rate_decay

    def step_settings(self):
        """Return what a step is made of, in this epoch."""
        watches_gradients = self._any_callback_has("on_grad_computed")
        return Training(
            objective=self.objective,
            module=self.module_,
            criterion=self.criterion_,
            generator=self.generator_,
            precision=self.precision,
            parameters=self.parameters_,
            optimizers=self.optimizer_.optimizers,
            has_own_networks=self.has_own_networks,
            has_own_code=self.draws_globally,
            is_watched=self._watches_batches(),
            on_gradients=self._tell_of_gradients if watches_gradients else None,
        )

    def _tell_of_gradients(self, parameters):
        named = [
            (name, parameter)
            for name, parameter in self.module_.named_parameters()
            if any(parameter is p for p in parameters)
        ]
        self.notify("on_grad_computed", named_parameters=named, training=True)

    def _watches_batches(self):
        return self._any_callback_has("on_batch_begin", "on_batch_end")

    def _any_callback_has(self, *hooks):
        """Tell whether a callback does something at one of these points."""
        return any(
            getattr(type(callback), hook) is not getattr(Callback, hook)
            for _, callback in self.callbacks_
            for hook in hooks
        )

    def global_generator(self, random):
        """Return the context in which users' own code may draw random numbers."""
        if self.draws_globally:
            return borrowed_global_generator(random, self.device)
        return nullcontext()

    def _record_epoch(self, losses, sizes):
        self.refuse_divergence(np.isfinite(losses).all() and self._is_finite())
        means = np.average(losses, axis=0, weights=sizes).tolist()
        for name, mean in zip(self.objective.loss_names, means, strict=True):
            self.history.record(name, mean)
        self._record_loss("train_loss", means[0])

    def _is_finite(self):
        """Tell whether all weights are numbers, of which the squares are, too.

        The losses do not tell: of the last update they know nothing, and with AVX-512
        oneDNN's ReLU makes zero of what is not a number.
        """
        tensors = [*self.module_.parameters(), *self.module_.buffers()]
        flat = [t.detach().flatten() for t in tensors if t.is_floating_point()]
        if not flat:
            return True
        return bool(torch.stack([t.dot(t) for t in flat]).isfinite().all())

    def refuse_divergence(self, is_finite):
        """Raise `DivergenceError` unless all is finite."""
        if not is_finite:
            raise DivergenceError(
                f"Training diverged in epoch {len(self.history)}: a loss or a weight "
                "is no longer a finite number. Lower learning_rate or sigma, leave "
                "scaling at 'auto', and look at what a corruption, prior or network of "
                "your own returns."
            )

    def _record_loss(self, name, loss):
        """Record a loss under the names that skorch's own callbacks look for."""
        is_best = loss < self.least_losses_.get(name, np.inf)
        self.history.record(name, loss)
        self.history.record(f"{name}_best", is_best)
        if is_best:
            self.least_losses_ = {**self.least_losses_, name: loss}

    @torch.inference_mode()
    def _validation_error(self, batches):
        """Return the mean squared error of R(E(x)), of x as the networks see it."""
        module, errors = self.model_, []
        with self.global_generator(np.random.default_rng(0)):
            for x, weight, observed, _ in batches:
                x_hat = module.decode(module.encode(x.clone()))
                errors.append(BatchLoss("mse", weight, observed)(x_hat, x) * len(x))
        error = torch.stack(errors).cpu().double().sum().item() / len(batches.rows)
        # One for all processes, that all stop at once.
        return current().same(error)

    def trim_for_prediction(self):
        """Drop what only training needs, for good. The history stays."""
        history = copy(self.history_)
        self.module_, self.average_ = self.model_, None
        super().trim_for_prediction()
        self.history_ = history

    def to(self, device):
        """Move to another device, to go on there."""
        state.move(self, device)
        return self

    def __getstate__(self):
        return state.to_save(self)

    def __setstate__(self, saved):
        with learning(torch.device("cpu")):
            state.load(self, saved)
