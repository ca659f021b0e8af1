"""Autoencoders in pipelines and searches: finding one, seeding it, and known steps."""

from copy import deepcopy

import joblib
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, check_memory

from ._base import BaseAutoencoder
from ._engine.state import TrainedBefore


def find_autoencoder(estimator, X):
    """Return a fitted autoencoder, and the data as it sees them in its pipeline.

    Parameters
    ----------
    estimator : estimator of this package, or Pipeline or search that holds one
        Of a pipeline, the last; of a search, the best. It may be frozen.

    X : array-like of shape (n_samples, n_features), or None
        What the steps before it are given.

    Raises
    ------
    TypeError
        If there is none.
    """
    estimator = _unwrapped(estimator)
    if isinstance(estimator, BaseAutoencoder):
        check_is_fitted(estimator)
        return estimator, X
    if isinstance(estimator, Pipeline):
        for i, step in reversed([*enumerate(estimator)]):
            if _holds_autoencoder(step):
                seen = X if X is None or i == 0 else estimator[:i].transform(X)
                return find_autoencoder(step, seen)
    raise TypeError(
        f"estimator={estimator!r} must be a fitted autoencoder of sklearn_daae, or a "
        "Pipeline or search that holds one."
    )


def seeded_clone(estimator, random_state):
    """Return an unfitted copy, seeded by a random state unless that is None.

    Parameters
    ----------
    estimator : estimator or Pipeline
        Every `random_state` in it is another.

    random_state : int, RandomState instance or None
    """
    estimator = clone(estimator)
    if random_state is None:
        return estimator
    random = check_random_state(random_state)
    seeds = {
        name: random.randint(2**31)
        for name in sorted(estimator.get_params())
        if name.split("__")[-1] == "random_state"
    }
    return estimator.set_params(**seeds)


def _unwrapped(estimator):
    """Return what is frozen, or what a search found best; else the estimator itself."""
    if isinstance(estimator, FrozenEstimator):
        return _unwrapped(estimator.estimator)
    if hasattr(estimator, "best_estimator_"):
        return _unwrapped(estimator.best_estimator_)
    return estimator


def _holds_autoencoder(estimator):
    estimator = _unwrapped(estimator)
    if isinstance(estimator, Pipeline):
        return any(map(_holds_autoencoder, estimator))
    return isinstance(estimator, BaseAutoencoder)


class KnownSteps:
    """The memory of a pipeline that knows steps which were fitted for all candidates.

    Parameters
    ----------
    own : str, object with the interface of joblib.Memory, or None
        The memory that the pipeline has: of what is not known here.

    fitted : dict
        What steps have come to, by them and what they were fitted on.

    trained : TrainedBefore, default=None
        What autoencoders have come to.

    keeps : dict, default=None
        Where to keep all that is asked for.
    """

    def __init__(self, own, fitted, trained=None, keeps=None):
        self.own = own
        self.fitted = fitted
        self.trained = trained
        self.keeps = keeps

    def cache(self, fit, **options):
        """Return a function that fits a step, unless it is fitted already."""
        otherwise = check_memory(self.own).cache(fit, **options)

        def fitted(step, X, y, *args, **params):
            if isinstance(step, BaseAutoencoder):
                # Pipelines with a memory clone their steps, which then hold no more.
                step.set_params(**{TrainedBefore.parameter: self.trained})
                return fit(step, X, y, *args, **params)
            try:
                key = joblib.hash((step, X, y), coerce_mmap=True)
            except Exception:  # it cannot be pickled
                return otherwise(step, X, y, *args, **params)
            if key in self.fitted:
                ended = deepcopy(self.fitted[key])
            else:
                ended = otherwise(step, X, y, *args, **params)
            if self.keeps is not None:
                self.keeps[key] = self.fitted.get(key) or deepcopy(ended)
            return ended

        return fitted
