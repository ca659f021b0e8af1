"""What happens between epochs, as skorch callbacks; and an interrupt between steps."""

import signal
import sys
import threading
from contextlib import contextmanager

import numpy as np
from skorch.callbacks import Callback

from .state import as_arrays, as_tensors, load_weights, weights


class _Lines:
    """Turns a bar that redraws itself into one line of text for each drawing."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        if text := text.strip("\r\n "):
            self._stream.write(text + "\n")

    def flush(self):
        self._stream.flush()


class EpochProgressBar(Callback):
    """A tqdm bar over epochs that shows the losses.

    In a file (a cluster's log, say) it writes a line every ten seconds and at the end.
    """

    def __init__(self, description, n_epochs):
        options = {"desc": description, "total": n_epochs, "unit": "epoch"}
        if sys.stderr.isatty() or "ipykernel" in sys.modules:
            # Imported where it is needed: it warns where a notebook lacks widgets.
            from tqdm.auto import tqdm
        else:
            from tqdm.std import tqdm

            options |= {"file": _Lines(sys.stderr), "mininterval": 10, "ncols": 120}
        self.bar_ = tqdm(**options)

    def on_epoch_end(self, net, **kwargs):
        record = net.history[-1]
        losses = {n.removesuffix("_loss"): record[n] for n in net.objective.loss_names}
        self.bar_.set_postfix(losses, refresh=False)
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        # An early stop is no failure, which a notebook would paint red.
        self.bar_.total = self.bar_.n

    def close(self):
        """End the bar, whether training ended well or not."""
        self.bar_.close()


class SklearnTasks(Callback):
    """Tells scikit-learn's callbacks of the fit, and of every epoch as its subtask.

    Parameters
    ----------
    estimator : estimator
        The estimator that is being fitted.

    context : sklearn.callback.CallbackContext
        The context of its `fit`.

    X, y : ndarray, and what `fit` was given
        The training data.

    batches : Batches
        Of it, what is trained on.
    """

    def __init__(self, estimator, context, X, y, batches):
        self.context = context
        self.batches = batches
        self.of_fit = {"estimator": estimator, "X": X, "y": y}

    def on_train_begin(self, net, **kwargs):
        self.context.call_on_fit_task_begin(**self.of_fit)

    def on_epoch_begin(self, net, **kwargs):
        self.epoch_ = self.context.subcontext(task_name="epoch")
        self.epoch_.call_on_fit_task_begin(**self.of_fit)

    def on_epoch_end(self, net, **kwargs):
        def fitted():
            return self.of_fit["estimator"]._fitted_attributes(net, self.batches)

        if self._end(self.epoch_, fitted):
            raise KeyboardInterrupt  # how skorch's callbacks end a training

    def end(self, fitted):
        """Tell that the fit is over, and what its attributes are.

        Not `on_train_end`, where other callbacks may have yet to change the weights.
        """
        self._end(self.context, lambda: fitted)

    def _end(self, task, fitted):
        return task.call_on_fit_task_end(
            **self.of_fit, reconstruction_attributes=fitted
        )


class StopsEarly(Callback):
    """Early stopping as in scikit-learn's `MLPClassifier`.

    The weights of the least validation error are kept and put back at the end; but
    training goes on only while that error falls by at least `tol`, in units of the
    error.
    """

    def __init__(self, n_iter_no_change, tol):
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.best_error_ = np.inf
        self.best_weights_ = None
        self.n_no_change_ = 0
        self.has_stopped_ = False

    def state(self):
        """Return what `load_state` puts back, as plain data."""
        return self.best_error_, self.n_no_change_, as_arrays(self.best_weights_)

    def load_state(self, state):
        """Put back what `state` gave."""
        self.best_error_, self.n_no_change_, best_weights = state
        self.best_weights_ = as_tensors(best_weights)

    def on_epoch_end(self, net, **kwargs):
        error = net.history[-1, "valid_loss"]
        if error > self.best_error_ - self.tol:
            self.n_no_change_ += 1
        else:
            self.n_no_change_ = 0
        if error < self.best_error_:
            self.best_error_ = error
            self.best_weights_ = weights(net)
        if self.n_no_change_ > self.n_iter_no_change:
            self.has_stopped_ = True
            raise KeyboardInterrupt  # how skorch's callbacks end a training

    def on_train_end(self, net, **kwargs):
        if self.best_weights_ is not None:
            load_weights(net, self.best_weights_)


def refuse_to_watch(callbacks):
    """Refuse those that wait for the error of rows held out, where there are none.

    skorch's EarlyStopping does, unless it is told otherwise.
    """
    for _, callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor.startswith("valid_loss"):
            name = type(callback).__name__
            raise ValueError(
                f"callbacks holds {name}(monitor={monitor!r}), but no rows are held "
                "out to measure it on. Call fit with early_stopping=True, or give "
                f"{name}(monitor={monitor.replace('valid', 'train')!r})."
            )


@contextmanager
def held_back():
    """Hold back an interrupt of the user's, so that no step is left half taken.

    Yields a function that raises it, to be called where training may stop; the end of
    the context raises it, too. A second interrupt is not held back. Nothing is done
    where interrupts are another's business: in threads, and where Python's own handler
    has been replaced.
    """
    own = signal.default_int_handler
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not own
    ):
        yield lambda: None
        return
    held = []

    def hold(*arguments):
        signal.signal(signal.SIGINT, own)
        held.append(arguments)

    def release():
        if held:
            own(*held.pop())

    signal.signal(signal.SIGINT, hold)
    try:
        yield release
        release()
    finally:
        signal.signal(signal.SIGINT, own)
