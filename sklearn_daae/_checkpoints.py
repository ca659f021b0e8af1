"""Checkpoints: trainings that go on where they were stopped."""

import math
import os
from pathlib import Path

import joblib
from skorch.callbacks import Callback

from ._checks import callback_of, check_number
from ._files import Writer, check_writable, read_document, write_document
from .distributed import current

# Parameters that may be others when a training goes on.
_MAY_CHANGE = {"max_epochs", "callbacks", "verbose", "warm_start", "device"}
# Rows that data are told by, and values of wide ones.
_N_ROWS = 1000
_N_VALUES = 2**22


class Checkpoint(Callback):
    """Keep the state of a training in a file, for it to go on when it was stopped.

    It is one of an estimator's `callbacks`. After an epoch of `fit`, the file has all
    that a training has come to: weights, their average, optimisers, generators, early
    stopping. Where `fit` is called again on the same X with ``warm_start=True``, by an
    estimator that is not fitted yet, in a new process, say, it goes on from there and
    ends in the same weights, bit for bit, as if it had not been stopped; a training
    that has ended is loaded. With ``warm_start=False`` it begins anew, and replaces the
    file.

    Parameters
    ----------
    path : str or path-like
        The file, as of :func:`~sklearn_daae.save`: :func:`~sklearn_daae.load` gives the
        model as it was then. It always has a whole state, also where a process is
        killed while it is written.

    every_n_epochs : int, default=1
        After how many epochs each it is written, from 1 up.

    Raises
    ------
    TypeError
        If `path` is no path. By `fit`, before it trains, if the estimator has something
        that no such file can hold (`callbacks` are not in it, and begin anew), or if
        `every_n_epochs` is no integer.

    ValueError
        By `fit`, if the file is damaged, or of a training on other data or with other
        parameters (but for `max_epochs`, and what does not change the result): each fit
        of a search needs a file of its own. Or if `every_n_epochs` is below 1.

    OSError
        By `fit`, if the file cannot be written.

    See Also
    --------
    load : Loads the model of the last epoch that was written.
    save : Saves a model once it is trained.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_daae import Checkpoint, DAETransformer
    >>> X, _ = load_iris(return_X_y=True)
    >>> def train(path, max_epochs):
    ...     settings = {"warm_start": True, "random_state": 0}
    ...     callbacks = [Checkpoint(path)]
    ...     model = DAETransformer(
    ...         2, max_epochs=max_epochs, callbacks=callbacks, **settings
    ...     )
    ...     return model.fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model = train(Path(folder) / "training", 2)
    ...     model = train(Path(folder) / "training", 3)  # one more
    >>> model.n_epochs_
    3
    """

    def __init__(self, path: str | os.PathLike, *, every_n_epochs: int = 1):
        self.path = os.fspath(path)
        self.every_n_epochs = every_n_epochs

    def __repr__(self):
        return f"Checkpoint({self.path!r}, every_n_epochs={self.every_n_epochs})"


def saving(estimator):
    """Return what keeps the state of a training, if an estimator has a `Checkpoint`."""
    callbacks = map(callback_of, estimator.callbacks or [])
    found = [callback for callback in callbacks if isinstance(callback, Checkpoint)]
    if len(found) > 1:
        raise ValueError("callbacks holds more than one Checkpoint. Give one.")
    return Saves(found[0], estimator) if found else None


class Saves(Callback):
    """Writes the file of a `Checkpoint` in one training of an estimator, and reads it.

    Parameters
    ----------
    checkpoint : Checkpoint

    estimator : estimator
        What is to be fitted.

    Attributes
    ----------
    n_epochs : float
        How many have been trained; infinity, where training has stopped early.

    early_stop : tuple or None
        The state of a `StopsEarly` to go on from.
    """

    def __init__(self, checkpoint, estimator):
        every = checkpoint.every_n_epochs
        check_number("every_n_epochs", every, least=1)
        self.path = Path(checkpoint.path)
        self.every_n_epochs = every
        self.estimator = estimator
        self.n_epochs = 0
        self.early_stop = None
        self.data = None
        # Refuse before any training what cannot be written.
        Writer({}).written(self._parameters(), type(estimator).__name__)
        check_writable(self.path)

    def resume(self):
        """Give the estimator what a training has come to, and tell if there was one."""
        if not self.path.exists():
            return False
        state = read_document(self.path)
        before = state.get("model") if isinstance(state, dict) else None
        if type(before) is not type(self.estimator):
            name = type(self.estimator).__name__
            raise self._refusal(f"no checkpoint of a {name}")
        now = self.estimator.get_params(deep=False)
        for name, value in before.get_params(deep=False).items():
            is_seed = name == "random_state" and not isinstance(now[name], int)
            if name in _MAY_CHANGE or is_seed:
                continue
            if joblib.hash(value) != joblib.hash(now[name]):
                raise self._refusal(
                    f"of a training with {name}={value!r}, not {now[name]!r}"
                )
        fitted = {k: v for k, v in vars(before).items() if k not in now}
        vars(self.estimator).update(fitted)
        self.n_epochs, self.early_stop = state["n_epochs"], state["early_stop"]
        self.data = state["data"]
        return True

    def begin(self, training, validation, n_epochs, stops):
        """Be told what is trained on, how many epochs are to come, and what stops it.

        Raises
        ------
        ValueError
            If the data are others than before.
        """
        data = _key(training), None if validation is None else _key(validation)
        if self.data not in (None, data):
            raise self._refusal("of a training on other data")
        self.data = data
        self.batches = training
        self.n_left, self.has_trained = n_epochs, n_epochs > 0
        self.stops = stops
        if self.early_stop is not None:
            stops.load_state(self.early_stop)

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1
        self.n_left -= 1
        if self.n_epochs % self.every_n_epochs == 0 and not self._is_over():
            fitted = self.estimator._fitted_attributes(net, self.batches)
            stops = self.stops
            self._write(fitted, None if stops is None else stops.state())

    def end(self, fitted):
        """Write what was fitted, unless the training was interrupted, or was over."""
        if self._has_stopped():
            self.n_epochs = math.inf
        if self._is_over() and self.has_trained:
            self._write(fitted)

    def _is_over(self):
        return self.n_left <= 0 or self._has_stopped()

    def _has_stopped(self):
        return self.stops is not None and self.stops.has_stopped_

    def _write(self, fitted, early_stop=None):
        if current().rank > 0:  # all have the same
            return
        model = type(self.estimator)(**self._parameters())
        attributes = vars(self.estimator).items()
        vars(model).update({k: v for k, v in attributes if k.endswith("_")})
        vars(model).update(fitted)
        state = {
            "model": model,
            "n_epochs": self.n_epochs,
            "early_stop": early_stop,
            "data": self.data,
        }
        write_document(self.path, state, has_callbacks=False)

    def _parameters(self):
        return {**self.estimator.get_params(deep=False), "callbacks": None}

    def _refusal(self, what):
        return ValueError(
            f"{self.path} is {what}. Go on with the same, or begin anew: remove the "
            "file, or give another."
        )


def _key(batches):
    """Return what tells data from other data: their number, and a part of them."""
    sample = batches.sample(_N_ROWS, _N_VALUES)[:3]
    parts = [None if part is None else part.cpu().numpy() for part in sample]
    return joblib.hash([len(batches.rows), *parts])
