"""Many models trained as one: fits side by side, and searches that make use of them."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack, closing
from itertools import chain
from typing import Any, Self

import joblib
import numpy as np
import sklearn.model_selection
import torch
from joblib.parallel import BACKENDS, get_active_backend
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.pipeline import Pipeline

from ._base import BaseAutoencoder
from ._device import resolve_device
from ._engine.courses import being_trained, train, train_together
from ._engine.stacks import most_at_once, stack_key
from ._engine.state import TrainedBefore
from ._engine.trainer import learning
from ._pipelines import KnownSteps
from ._sklearn_compat import (
    LinkedToReference,
    has_callbacks,
    passes_callbacks_on,
    safe_indexing,
    safe_split,
    with_sections_of,
)
from ._training import TrainedAutoencoder

__all__ = ["GridSearchCV", "HalvingGridSearchCV", "RandomizedSearchCV", "fit_together"]


def fit_together(
    estimators: Sequence[BaseEstimator],
    Xs: ArrayLike | Sequence[ArrayLike],
    rows: Sequence[ArrayLike] | None = None,
) -> list[BaseEstimator]:
    """Fit many estimators in less time than one after the other, to the same end.

    Autoencoders of this package whose networks are of one shape are trained as one,
    with a leading axis. Each has its own random numbers, and comes, up to rounding in
    float32, to what its `fit` would come to, whatever is trained beside it: weights,
    `history_`, and `partial_fit` after it. What differs may be `sigma`, rates and
    weights, seeds, numbers of epochs, early stopping, and the rows.

    Those of other shapes are trained in groups. Alone, one after the other, are fitted:
    convolutional networks; those with dropout or batch normalisation; with networks,
    priors or corruptions of your own, distributions of `scipy.stats` among them; with
    callbacks or `verbose`; with `missing_values`; networks that are large enough to
    keep a CPU busy (half a million weights); and all estimators of others.

    Parameters
    ----------
    estimators : list of estimators
        They are fitted in place, each as its `fit` would.

    Xs : array-like of shape (n_samples, n_features), or list of them
        The data of all, or of each.

    rows : list of array-like of int, default=None
        Of each, which rows of `Xs`, then one array, it is fitted on. By default, all.

    Returns
    -------
    estimators : list of estimators
        The same.

    Raises
    ------
    ValueError
        If there are not as many arrays, or sets of rows, as estimators, or one of them
        is there twice.

    Exception
        What the `fit` of one of them raises, when all others are fitted. A note says of
        which it is.

    See Also
    --------
    GridSearchCV : Fits the candidates of a search together.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_daae import DAAETransformer
    >>> from sklearn_daae.model_selection import fit_together
    >>> X, _ = load_digits(return_X_y=True)
    >>> models = [DAAETransformer(2, max_epochs=1, random_state=i) for i in range(3)]
    >>> codes = [model.transform(X) for model in fit_together(models, X)]
    >>> codes[0].shape
    (1797, 2)
    """
    estimators = list(estimators)
    if len({id(estimator) for estimator in estimators}) < len(estimators):
        raise ValueError(
            "estimators has one of them twice. Give a clone of it (sklearn.base.clone)."
        )
    if rows is not None:
        rows = list(rows)
        _check_length("rows", rows, estimators)
        # What has the same rows has the same array.
        taken: dict[int, Any] = {}
        for own in rows:
            if id(own) not in taken:
                taken[id(own)] = safe_indexing(Xs, np.asarray(own))
        arrays = [taken[id(own)] for own in rows]
    elif isinstance(Xs, list | tuple) and all(np.ndim(X) == 2 for X in Xs):
        _check_length("Xs", Xs, estimators)
        arrays = list(Xs)
    else:
        arrays = [Xs] * len(estimators)
    errors = _fit_all(estimators, arrays)
    failed = [i for i, error in enumerate(errors) if error is not None]
    if failed:
        first = errors[failed[0]]
        first.add_note(
            f"It is of estimators[{failed[0]}]. Not fitted are those of the indices "
            f"{failed}; all others are."
        )
        raise first
    return estimators


def _check_length(name, given, estimators):
    if len(given) != len(estimators):
        raise ValueError(
            f"{name} has {len(given)} entries, but there are {len(estimators)} "
            "estimators. Give one for each."
        )


def _fit_all(estimators, arrays, *, alone=True):
    """Fit each estimator on its array, and return the error of each, or None.

    Without `alone`, those that could be fitted but alone are left as they are, which is
    an error, too.
    """
    errors: list[Exception | None] = [None] * len(estimators)
    by_device = defaultdict(list)
    for i, (estimator, X) in enumerate(zip(estimators, arrays, strict=True)):
        try:
            if not _fits_as_ours(estimator):
                if not alone:
                    raise _LeftAloneError
                estimator.fit(X)
                continue
            estimator._check_parameters()
            by_device[resolve_device(estimator.device)].append(i)
        except Exception as error:
            errors[i] = error
    for device, members in by_device.items():
        while members:
            fitted = _fit_some(device, members, estimators, arrays, errors, alone)
            members = members[fitted:]
    return errors


class _LeftAloneError(Exception):
    """Nothing is gained by training it here."""


def _fits_as_ours(estimator):
    """Tell whether nothing is done in `fit` but what this package does there."""
    return (
        isinstance(estimator, BaseAutoencoder)
        and type(estimator).fit is TrainedAutoencoder.fit
        and not has_callbacks(estimator)
    )


def _fit_some(device, members, estimators, arrays, errors, alone):
    """Fit as many of the members as there is memory for, and return their number."""
    groups, fittings, on_device = defaultdict(list), {}, {}
    with learning(device), ExitStack() as stack:
        most = None
        for i in members:
            fitting = estimators[i]._fitting(device, arrays[i])
            try:
                stack.enter_context(being_trained(estimators[i]))
                stack.enter_context(closing(fitting))
                net, *course = next(fitting)
            except Exception as error:
                errors[i] = error
                continue
            _share(on_device, estimators[i].scaling_, arrays[i], course[0].source)
            fittings[i] = fitting
            groups[stack_key(net, course[0])].append((i, net, *course))
            most = most or most_at_once(net)
            if len(fittings) == most:
                break
        n_done = members.index(i) + 1
        for key, group in groups.items():
            numbers = [i for i, *_ in group]
            courses = [course for _, *course in group]
            if key is not None and len(group) > 1:
                ended = train_together(courses)
            elif alone:
                ended = [_train_alone(*course) for course in courses]
            else:
                ended = [_LeftAloneError()] * len(group)
            for i, failure in zip(numbers, ended, strict=True):
                try:
                    if failure is not None:
                        fittings[i].close()
                        raise failure
                    next(fittings[i], None)
                except Exception as error:
                    errors[i] = error
    return n_done


def _train_alone(net, *course):
    try:
        train(net, *course)
    except Exception as error:
        return error
    return None


def _share(on_device, scaling, X, source):
    """Have rows of one array, mapped alike, be of one copy of it on a GPU."""
    if torch.is_tensor(source.X):
        mapped_by = joblib.hash((scaling.kind, scaling.shift, scaling.scale))
        source.X = on_device.setdefault((id(X), mapped_by), source.X)


class _Candidate(dict):
    """Parameters of a candidate, and what was trained with them already.

    A search copies them before it sets them: the copy holds what was trained.
    """

    trained: dict[str, Any]

    def __deepcopy__(self, memo):
        return {**clone(dict(self), safe=False), **self.trained}


class _TrainingSplitter:
    """A splitter that, when it is asked, trains all candidates on its splits first."""

    def __init__(self, cv, search, candidates):
        self.cv, self.search, self.candidates = cv, search, candidates

    def get_n_splits(self, *args, **params):
        return self.cv.get_n_splits(*args, **params)

    def split(self, X, y=None, **params):
        splits = list(self.cv.split(X, y, **params))
        _train_candidates(self.search, self.candidates, splits, X, y)
        return splits


def _train_candidates(search, candidates, splits, X, y):
    """Train the autoencoders of candidates on all splits, and leave them the ends.

    What cannot be trained with others, or fails, is left to scikit-learn.
    """
    steps = _Upstream(splits, X, y)
    jobs, n_parts = {}, _n_parts(search.n_jobs)
    for candidate in candidates:
        candidate.trained = {}
        try:
            params = clone(dict(candidate), safe=False)
            estimator = clone(search.estimator).set_params(**params)
        except Exception:  # as the search itself will find out  # noqa: S112
            continue
        path, model = _first_autoencoder(estimator)
        if not _fits_as_ours(model):
            continue
        trained, fitted = TrainedBefore(), {}
        try:
            rows = [steps.rows(estimator, path, i, fitted) for i in range(len(splits))]
            own = joblib.hash((type(model), model.get_params()))
        except Exception:  # of the upstream steps, or of no hash  # noqa: S112
            continue
        candidate.trained[f"{path}{TrainedBefore.parameter}"] = trained
        if path:
            # What steps give is as large as X, and does not travel with each task.
            known = fitted if n_parts == 1 else {}
            candidate.trained["memory"] = KnownSteps(estimator.memory, known, trained)
        keys = [key for _, key in rows]
        for X_train, key in rows:
            if model.random_state is None:  # another one each time
                own = id(candidate)
                if keys.count(key) > 1:
                    continue
            if (own, key) not in jobs:
                jobs[own, key] = clone(model), X_train, key, []
            jobs[own, key][-1].append(trained)
    if jobs:
        models, arrays, keys, owners = zip(*jobs.values(), strict=True)
        ends = _fit_in_parts(models, arrays, n_parts)
        for model, key, of in zip(ends, keys, owners, strict=True):
            for trained in of if model is not None else ():
                trained.add(key, model)


def _n_parts(n_jobs):
    """Return in how many parts models are to be trained: more than one on a cluster."""
    local = map(BACKENDS.get, ("sequential", "threading", "multiprocessing", "loky"))
    is_local = isinstance(get_active_backend()[0], tuple(filter(None, local)))
    return 1 if is_local else joblib.effective_n_jobs(n_jobs)


def _fit_in_parts(models, arrays, n_parts):
    """Return the models that could be fitted together, and None for others."""
    if n_parts == 1:
        return _fit_part(models, *arrays)
    groups, parts = defaultdict(list), [[] for _ in range(n_parts)]
    for i, model in enumerate(models):
        own, ends = model.get_params(), ("n_components", "layer_sizes", "network")
        shape = [str(value) for name, value in own.items() if name.endswith(ends)]
        groups[type(model), np.shape(arrays[i])[1:], *shape].append(i)
    for group in sorted(groups.values(), key=len, reverse=True):
        # One alone is not trained: each part gets two or more of a shape.
        for piece in np.array_split(group, min(n_parts, len(group) // 2) or 1):
            min(parts, key=len).extend(piece)
    fit = joblib.delayed(_fit_part)
    tasks = [fit([models[i] for i in p], *(arrays[i] for i in p)) for p in parts if p]
    try:
        fitted = joblib.Parallel(n_parts)(tasks)
    except Exception:  # of a cluster that has lost the arrays, say
        return [None] * len(models)
    return [end for _, end in sorted(zip(chain(*parts), chain(*fitted), strict=True))]


def _fit_part(models, *arrays):
    errors = _fit_all(models, arrays, alone=False)
    return [m if e is None else None for m, e in zip(models, errors, strict=True)]


def _first_autoencoder(estimator):
    """Return the first autoencoder of a pipeline, or who is one, behind its path."""
    if isinstance(estimator, BaseAutoencoder):
        return "", estimator
    for name, step in estimator.steps if isinstance(estimator, Pipeline) else ():
        if isinstance(step, BaseAutoencoder):
            return f"{name}__", step
    return "", None


class _Upstream:
    """Training data of the splits, as they come to models behind other steps."""

    def __init__(self, splits, X, y):
        self.splits, self.X, self.y = splits, X, y
        self.fitted = {}
        self.seen = {}

    def rows(self, estimator, path, i, fitted):
        """Return the training rows of a split behind the steps, and their key.

        What the steps have come to is added to the dictionary `fitted`.
        """
        before = []
        if path:
            names = [name for name, _ in estimator.steps]
            before = estimator.steps[: names.index(path.removesuffix("__"))]
        which = joblib.hash(before), i
        if which not in self.seen:
            train, _ = self.splits[i]
            X, y = safe_split(estimator, self.X, self.y, train)
            own = {}
            if before:
                steps = clone(Pipeline([*before, ("end", "passthrough")]))
                memory = KnownSteps(estimator.memory, self.fitted, keeps=own)
                X = steps.set_params(memory=memory).fit_transform(X, y)
                self.fitted.update(own)
            self.seen[which] = X, TrainedBefore.key(X), own
        X, key, own = self.seen[which]
        fitted.update(own)
        return X, key


class _Together(LinkedToReference):
    """A search that trains autoencoders of its candidates and folds together."""

    estimator: BaseEstimator
    cv: Any

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        theirs = cls.__bases__[-1].__doc__
        is_ours = cls.__bases__[0] is _Together
        if is_ours and cls.__doc__ and theirs:  # neither with python -OO
            cls.__doc__ = with_sections_of(theirs, cls.__doc__)

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, **params: Any) -> Self:
        """Train all candidates on all folds, and the best of them on all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training data.

        y : array-like of shape (n_samples,), default=None
            What a step behind a model is to predict, and scores are of. Models
            themselves ignore it.

        **params : dict
            What else `fit` of the estimator, the scorer and the splitter take, such as
            `groups`.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        ValueError
            If a parameter of the search is not valid, a candidate has a parameter that
            the estimator has not, or all fits fail. A fit that fails alone has the
            score `error_score`, and a `FitFailedWarning` tells of it.

        See Also
        --------
        fit_together : Fits many models in less time.
        """
        # What is given to single steps, they are to be given one by one; and callbacks
        # are to hear of every model, where they reach so deep.
        depth = 2 if isinstance(self.estimator, Pipeline) else 1
        self._trains_together = not (
            params.keys() - {"groups"} or passes_callbacks_on(self, depth)
        )
        given, of_classes = self.cv, is_classifier(self.estimator)
        try:
            self.cv = sklearn.model_selection.check_cv(given, y, classifier=of_classes)
            return super().fit(X, y, **params)  # type: ignore[misc]
        finally:
            self.cv = given
            del self._trains_together

    def _run_search(self, evaluate_candidates, *, callback_ctx=None):
        context = {} if callback_ctx is None else {"callback_ctx": callback_ctx}

        def evaluate(candidate_params, cv=None, more_results=None, **options):
            candidates = [_Candidate(candidate) for candidate in candidate_params]
            cv = _TrainingSplitter(cv or self.cv, self, candidates)
            results = evaluate_candidates(candidates, cv, more_results, **options)
            results["params"][:] = map(dict, results["params"])
            return results

        chosen = evaluate if self._trains_together else evaluate_candidates
        super()._run_search(chosen, **context)


class GridSearchCV(_Together, sklearn.model_selection.GridSearchCV):
    """Search over a grid, as scikit-learn's, with autoencoders trained together.

    It is scikit-learn's own, with its parameters, attributes and results, but for one
    thing. When candidates are evaluated, their autoencoders are first trained side by
    side on all folds, as :func:`fit_together` does, and steps before them are fitted
    once for all candidates that share them. That holds for autoencoders that are the
    estimator itself, or a step of a `Pipeline`. `n_jobs` is what the rest is done with:
    the steps behind them, and scores. `mean_fit_time` is that of the rest, too. On a
    cluster, with joblib's backend "dask", the training is split among workers, and
    steps before are fitted in each task.

    One by one, as ever, and by `n_jobs`, are trained those that :func:`fit_together`
    fits alone, those that fail, and all of them where `fit` is given more than X, y and
    `groups`, or where callbacks of the search reach the models
    (`max_propagation_depth`). As with the `memory` of a pipeline, steps that are shared
    are so without a seed, too. The training rows of all folds and the models of all
    candidates are in memory until they are scored.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import SVC
    >>> from sklearn_daae import DAAETransformer
    >>> from sklearn_daae.model_selection import GridSearchCV
    >>> X, y = load_digits(return_X_y=True)
    >>> model = make_pipeline(DAAETransformer(4, max_epochs=2, random_state=0), SVC())
    >>> grid = {"daaetransformer__sigma": [0.25, 0.5]}
    >>> GridSearchCV(model, grid, cv=2).fit(X, y).predict(X).shape
    (1797,)
    """


class RandomizedSearchCV(_Together, sklearn.model_selection.RandomizedSearchCV):
    """Search by draws, as scikit-learn's, with autoencoders trained together.

    See :class:`~sklearn_daae.model_selection.GridSearchCV` for what that means.

    Examples
    --------
    >>> from scipy.stats import uniform
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_daae import DAETransformer
    >>> from sklearn_daae.model_selection import RandomizedSearchCV
    >>> X, _ = load_digits(return_X_y=True)
    >>> model = DAETransformer(4, max_epochs=2, random_state=0)
    >>> search = RandomizedSearchCV(
    ...     model, {"sigma": uniform(0, 1)}, n_iter=3, cv=2, random_state=0
    ... ).fit(X)
    >>> len(search.cv_results_["params"])
    3
    """


class HalvingGridSearchCV(_Together, sklearn.model_selection.HalvingGridSearchCV):
    """Search by halving, as scikit-learn's, with autoencoders trained together.

    Those of each iteration are. See
    :class:`~sklearn_daae.model_selection.GridSearchCV` for what that means.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_daae import DAETransformer
    >>> from sklearn_daae.model_selection import HalvingGridSearchCV
    >>> X, _ = load_digits(return_X_y=True)
    >>> search = HalvingGridSearchCV(
    ...     DAETransformer(4, random_state=0), {"sigma": [0.1, 0.2, 0.5]}, cv=2,
    ...     resource="max_epochs", min_resources=1, max_resources=3, random_state=0,
    ... ).fit(X)
    >>> search.n_resources_
    [1, 3]
    """
