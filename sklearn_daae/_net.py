"""The skorch net that trains the networks of an estimator."""

import pickle
import warnings
from contextlib import contextmanager, nullcontext
from copy import copy, deepcopy

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer
from skorch.history import History

from ._averaging import RunningAverage
from ._device import (
    keep_freed_memory,
    mixed_precision,
    resolve_device,
    training_arithmetic,
)
from ._interrupts import held_back
from ._optimizers import EveryUpdate, LayerwiseAdam, make_optimizer
from ._perceptron import has_hooks, learning
from ._random import borrowed_global_generator, seed
from ._replay import ReplayedStep


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
    """Trains an `Autoencoder` by an objective's steps.

    What it changes in `skorch.NeuralNet`: several optimisers, one for each update of
    the objective (``reconstruction_optimizer_`` and so on; ``optimizer_`` stands for
    all of them); batches that come from `Batches`; losses that stay on the device
    until the end of the epoch; random numbers from a generator of its own; and a
    running average of the weights, `model_`, beside those in training, `module_`.
    skorch's callbacks work. Those with a hook on batches or gradients cost a
    synchronisation per batch, only while one is there.

    Parameters
    ----------
    module : Autoencoder

    criterion : type of torch.nn.Module
        The reconstruction loss.

    objective : object
        See `_objectives`.

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
        Whether a network is the user's own, which may go through a layer twice, or
        share it with another: its weights move only once all gradients are known.

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
        self.n_steps = 0
        self.average = None
        self.precision = precision
        self.random = random
        self.splitter = None
        self.least_losses = {}
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
        return self.module_ if self.average is None else self.average.module

    def initialize_history(self):
        """Begin an empty history."""
        self.history_ = EpochHistory()
        return self

    def initialize_optimizer(self):
        """Make one optimiser, with its own state, for each update."""
        self.updates_ = self.objective.updates(self.module_)
        for update, parameters in self.updates_.items():
            rate = self.learning_rates[update]
            optimizer = make_optimizer(*self.optimizers[update], parameters, rate)
            setattr(self, f"{update}_optimizer_", optimizer)
        self.optimizer_ = EveryUpdate(
            [getattr(self, f"{update}_optimizer_") for update in self.updates_]
        )
        return self

    def fit(self, X, y=None, **fit_params):
        """Refuse: the estimator's own `fit` knows how to read X, and what to keep."""
        raise NotImplementedError(
            "net_ is not trained by itself. Call fit or partial_fit of the estimator "
            "that it belongs to."
        )

    partial_fit = fit

    def resume(self, *, learning_rates, **settings):
        """Take over what may change between two trainings of the same networks.

        A learning rate that is still what it was goes on from where its decay and
        the callbacks have brought it.
        """
        self.check_training_readiness()
        for update, rate in learning_rates.items():
            if rate != self.learning_rates[update]:
                for group in getattr(self, f"{update}_optimizer_").param_groups:
                    group["lr"] = rate
        self.learning_rates = learning_rates
        vars(self).update(settings)
        self._initialize_callbacks()
        return self

    def fit_loop(self, training, validation=None, epochs=1, *, observers=()):
        """Train for `epochs` epochs on one `Batches`, and watch another.

        `observers` are callbacks of this training only, told before all others.
        """
        # One for all epochs, since recorded steps go on drawing from it.
        self.generator_ = torch.Generator(self.device)
        self.replayed_step_ = None
        if not self.averaging:
            self.average = None
        elif self.average is None:
            self.average = RunningAverage(self.module_, self.n_steps)
        keep_freed_memory()
        self.observers_ = observers
        datasets = {
            "dataset_train": training.dataset,
            "dataset_valid": None if validation is None else validation.dataset,
        }
        self.notify("on_train_begin", X=training.dataset, y=None)
        for epoch in range(epochs):
            before = len(self.history_), self.least_losses
            try:
                self.notify("on_epoch_begin", **datasets)
                self.run_single_epoch(training)
                if validation is not None:
                    error = self.validation_error(validation)
                    self.refuse_divergence(np.isfinite(error))
                    self._record_loss("valid_loss", error)
            except KeyboardInterrupt:
                if epoch == 0:
                    raise
                self._keep_interrupted(*before)
                break
            if self._end_epoch(**datasets):
                break
        self.notify("on_train_end", X=training.dataset, y=None)
        # What only training needs, and its memory.
        self.module_.zero_grad()
        del self.learners_, self.generator_, self.replayed_step_, self.observers_
        return self

    def notify(self, method_name, **cb_kwargs):
        """Tell the net itself, the observers of this training and the callbacks."""
        getattr(self, method_name)(self, **cb_kwargs)
        for listener in self._listeners():
            getattr(listener, method_name)(self, **cb_kwargs)

    def _listeners(self):
        return [*self.observers_, *(callback for _, callback in self.callbacks_)]

    def _keep_interrupted(self, n_whole, least_losses):
        """Keep what the epochs before an interrupted one have brought."""
        del self.history_[n_whole:]
        self.least_losses = least_losses
        self._set_training(False)
        warnings.warn(
            f"Training interrupted by user after {len(self.history_)} epochs. The "
            "model is kept as it is.",
            stacklevel=2,
        )

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

    def run_single_epoch(self, batches):
        """Take one training step on every batch, and record the mean losses."""
        self._set_training(True)
        seed(self.generator_, self.random)
        self.watches_gradients_ = self._any_callback_has("on_grad_computed")
        self.learners_ = {
            update: LayerwiseAdam(getattr(self, f"{update}_optimizer_"), parameters)
            for update, parameters in self.updates_.items()
        }
        watches_batches = self._any_callback_has("on_batch_begin", "on_batch_end")
        take_step = self._losses_of_step if watches_batches else self._fastest_step()
        losses, sizes = [], []
        with (
            self.global_generator(self.random),
            training_arithmetic(self.device),
            held_back() as interrupt,
        ):
            for x in batches.shuffled(self.random):
                batch = {"batch": (x, None), "training": True}
                if watches_batches:
                    self.notify("on_batch_begin", **batch)
                losses.append(take_step(x))
                sizes.append(len(x))
                self.n_steps += 1
                if self.averaging and self.average.is_due(self.n_steps):
                    self.average.update(self.module_, self.n_steps)
                if watches_batches:
                    step = dict(zip(self.objective.loss_names, losses[-1], strict=True))
                    loss = losses[-1][0]
                    self.history.record_batch("train_loss", loss.item())
                    self.history.record_batch("train_batch_size", len(x))
                    self.notify("on_batch_end", **batch, loss=loss, y_pred=None, **step)
                interrupt()
            if self.averaging:
                self.average.update(self.module_, self.n_steps)
        self._set_training(False)
        self._record_epoch(torch.stack(losses).cpu().double().numpy(), sizes)
        if not watches_batches:
            # skorch's checkpoints count batches: the epoch stands for its own.
            self.history.new_batch()
        for group in self.optimizer_.param_groups:
            group["lr"] *= self.learning_rate_decay

    def global_generator(self, random):
        """Return the context in which users' own code may draw random numbers."""
        if self.draws_globally:
            return borrowed_global_generator(random, self.device)
        return nullcontext()

    def _losses_of_step(self, x):
        """Take one training step; return its losses as one tensor."""
        return torch.stack(list(self.train_step(x).values()))

    def _fastest_step(self):
        """Return what takes a step: on a GPU, where it can be, a recording of it."""
        if self.device.type != "cuda" or not self._can_be_recorded():
            return self._losses_of_step
        settings = self._recorded_settings()
        if self.replayed_step_ is None or settings != self.replayed_settings_:
            self.replayed_settings_ = settings
            self.replayed_step_ = ReplayedStep(
                self._losses_of_step, self.generator_, self.optimizer_.optimizers
            )
        self.replayed_step_.read_learning_rates()
        return self.replayed_step_

    def _recorded_settings(self):
        """Return what a recording has for good, though callbacks may change it."""
        moves = [p.requires_grad for p in self.module_.parameters()]
        options = [
            {k: v for k, v in group.items() if k not in ("params", "lr")}
            for group in self.optimizer_.param_groups
        ]
        return pickle.dumps((self.objective, moves, options))

    def _can_be_recorded(self):
        """Tell whether a step is the same kernels each time, and no one listens.

        Code of the user's may do anything; and of torch's optimisers, those that are
        fused keep all of their state on the GPU.
        """
        return not (
            self.draws_globally
            or self.watches_gradients_
            or any(map(has_hooks, self.module_.modules()))
            or not all(group.get("fused") for group in self.optimizer_.param_groups)
        )

    def train_step(self, x):
        """Take the objective's step on one batch; return its losses by name."""
        with mixed_precision(self.precision, self.device):
            losses = self.objective.step(
                x,
                module=self.module_,
                criterion=self.criterion_,
                generator=self.generator_,
                minimise=self._minimise,
            )
        return {
            name: loss.detach()
            for name, loss in zip(self.objective.loss_names, losses, strict=True)
        }

    def _minimise(self, update, loss, also=()):
        """Move the weights of one update, and no others, down the loss's gradient.

        The tensors in `also` are given their gradient, and left where they are.
        """
        parameters = [p for p in self.updates_[update] if p.requires_grad]
        if not parameters:  # all frozen
            if also and loss.requires_grad:
                loss.backward(inputs=list(also))
            return
        # Of those frozen meanwhile, too: an optimiser moves what has a gradient.
        for parameter in self.updates_[update]:
            parameter.grad = None
        learner = self.learners_[update]
        can_move_early = not (self.watches_gradients_ or self.has_own_networks)
        # Limited to these weights, the backward pass does not even compute the rest.
        with learning(learner if can_move_early else None):
            loss.backward(inputs=[*parameters, *also])
        if self.watches_gradients_:
            named = [
                (name, parameter)
                for name, parameter in self.module_.named_parameters()
                if any(parameter is p for p in parameters)
            ]
            self.notify("on_grad_computed", named_parameters=named, training=True)
        learner.step()

    def _any_callback_has(self, *hooks):
        """Tell whether a callback does something at one of these points."""
        return any(
            getattr(type(callback), hook) is not getattr(Callback, hook)
            for _, callback in self.callbacks_
            for hook in hooks
        )

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
        if not is_finite:
            raise ValueError(
                f"Training diverged in epoch {len(self.history)}: a loss or a weight "
                "is no longer a finite number. Lower learning_rate or sigma, leave "
                "scaling at 'auto', and look at what a corruption, prior or network of "
                "your own returns."
            )

    def _record_loss(self, name, loss):
        """Record a loss under the names that skorch's own callbacks look for."""
        is_best = loss < self.least_losses.get(name, np.inf)
        self.history.record(name, loss)
        self.history.record(f"{name}_best", is_best)
        if is_best:
            self.least_losses = {**self.least_losses, name: loss}

    @torch.inference_mode()
    def validation_error(self, batches):
        """Return the mean squared error of R(E(x)), of x as the networks see it."""
        module, errors = self.model_, []
        with self.global_generator(np.random.default_rng(0)):
            for x in batches:
                x_hat = module.decode(module.encode(x.clone()))
                errors.append((x_hat - x).square().mean(1).sum())
        return torch.stack(errors).cpu().double().sum().item() / len(batches.rows)

    @contextmanager
    def unchanged_on_error(self):
        """Put everything back that training changes, if the body fails."""
        state = vars(self).copy()
        state["random"] = deepcopy(self.random)
        n_epochs = len(self.history_)
        weights, optimizer_states = self.weights(), deepcopy(self._optimizer_states())
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(state)
            del self.history_[n_epochs:]
            self.load_weights(weights)
            self._load_optimizer_states(optimizer_states)
            self._set_training(False)
            raise

    def weights(self):
        """Return a copy of all weights, and of their average."""
        average = None if self.average is None else self.average.state()
        return deepcopy(self.module_.state_dict()), average

    def load_weights(self, weights):
        """Put back what `weights` gave."""
        in_training, average = weights
        self.module_.load_state_dict(in_training)
        if average is not None:
            self.average.load_state(average)

    def trim_for_prediction(self):
        """Drop what only training needs, for good. The history stays."""
        history = copy(self.history_)
        self.module_, self.average = self.model_, None
        super().trim_for_prediction()
        self.history_ = history

    def _optimizer_states(self):
        return {
            name: getattr(self, f"{name}_").state_dict()
            for name in self._optimizers
            # None, or not there at all, after skorch's `trim_for_prediction`.
            if name != "optimizer" and getattr(self, f"{name}_", None) is not None
        }

    def _load_optimizer_states(self, states):
        for name, state in states.items():
            getattr(self, f"{name}_").load_state_dict(state)

    def to(self, device):
        """Move to another device, to go on there."""
        # What was unpickled or copied under `torch.inference_mode` cannot learn.
        cannot_learn = any(p.is_inference() for p in self.module_.parameters())
        if device != self.device or cannot_learn:
            state = self.__getstate__()
            state = deepcopy(state) if cannot_learn else state
            self.__setstate__({**state, "device": device})
        return self

    def __getstate__(self):
        """Pickle from the CPU, so that the pickle loads where there is no GPU."""
        state = vars(self).copy()
        states = self._optimizer_states()
        transient = "updates", "learners", "generator", "replayed_step", "observers"
        for name in (*self._optimizers, *transient, "module"):
            state.pop(f"{name}_", None)
        state["module"] = self.module_
        if self.device.type != "cpu":
            state["module"] = deepcopy(self.module_).cpu()
            state["average"] = deepcopy(self.average)
            if self.average is not None:
                state["average"].module.cpu()
            states = _to_cpu(states)
        return {**state, "optimizer_states": states}

    def __setstate__(self, state):
        """Load onto the device that the net was on, or the CPU where it is not here."""
        states = state.pop("optimizer_states")
        vars(self).update(state)
        try:
            self.device = resolve_device(self.device)
        except ValueError:
            self.device = torch.device("cpu")
        self.module_ = self.module = self.module.to(self.device)
        if self.average is not None:
            self.average.module.to(self.device)
        if states:
            self.initialize_optimizer()
            self._load_optimizer_states(states)


def _to_cpu(state):
    if isinstance(state, torch.Tensor):
        return state.cpu()
    if isinstance(state, dict):
        return {key: _to_cpu(value) for key, value in state.items()}
    return state
