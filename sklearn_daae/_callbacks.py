"""What happens between epochs, as skorch callbacks."""

import sys

from skorch.callbacks import Callback
from tqdm.auto import tqdm as notebook_or_terminal_tqdm
from tqdm.std import tqdm as plain_tqdm


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
            self.bar_ = notebook_or_terminal_tqdm(**options)
        else:
            lines = _Lines(sys.stderr)
            self.bar_ = plain_tqdm(file=lines, mininterval=10, ncols=120, **options)

    def on_epoch_end(self, net, **kwargs):
        record = net.history[-1]
        losses = {n.removesuffix("_loss"): record[n] for n in net.objective.loss_names}
        self.bar_.set_postfix(losses, refresh=False)
        self.bar_.update()

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

    X : ndarray
        The training data.
    """

    def __init__(self, estimator, context, X):
        self.estimator = estimator
        self.context = context
        self.X = X

    def on_train_begin(self, net, **kwargs):
        self.context.call_on_fit_task_begin(estimator=self.estimator, X=self.X)

    def on_epoch_begin(self, net, **kwargs):
        self.epoch_ = self.context.subcontext(task_name="epoch")
        self.epoch_.call_on_fit_task_begin(estimator=self.estimator, X=self.X)

    def on_epoch_end(self, net, **kwargs):
        if self._end(self.epoch_, net):
            raise KeyboardInterrupt  # how skorch's callbacks end a training

    def on_train_end(self, net, **kwargs):
        self._end(self.context, net)

    def _end(self, task, net):
        return task.call_on_fit_task_end(
            estimator=self.estimator,
            X=self.X,
            reconstruction_attributes=lambda: {"net_": net},
        )
