"""How good a trained model is: likelihood of samples, errors, match to the prior."""

import math
import sys
import warnings
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics.pairwise import paired_cosine_distances
from sklearn.utils import Bunch, check_array
from sklearn.utils.validation import check_is_fitted

from ._base import BaseAutoencoder
from ._checks import (
    as_numpy,
    check_flag,
    check_image_shape,
    check_image_size,
    check_kind,
    check_number,
    is_number,
    naming,
)
from ._device import resolve_device, undisturbed
from ._engine.cuda import working
from ._engine.rows import DTYPES
from ._pipelines import find_autoencoder
from ._random import RandomState, private_generator

__all__ = [
    "EstimatorScorer",
    "parzen_log_likelihood",
    "prior_distance",
    "reconstruction_error",
    "select_bandwidth",
    "shift_robustness",
]

# Distances that are held at once, 16 MiB of float64.
_BLOCK_VALUES = 2**21

# The error of the logarithm of a kernel, in nats, or in parts of it where it is large.
_TOLERANCE = 1e-8


def parzen_log_likelihood(
    X: ArrayLike,
    samples: ArrayLike,
    *,
    bandwidth: float,
    device: str | torch.device = "auto",
) -> np.ndarray:
    """Log-likelihood of data under a Parzen window estimate on a model's samples.

    The density of a row is the mean of Gaussians of standard deviation `bandwidth` in
    every direction, one around each sample: log p(x) = log(1/n sum_j N(x; s_j, h^2 I)),
    with bandwidth h. Every sample counts, in float64, unlike in
    :class:`sklearn.neighbors.KernelDensity`, whose default is off by hundreds of nats
    in as many dimensions as images have.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
        The data, such as a test set.

    samples : array-like of shape (n_samples, n_features)
        What the estimate is made of: samples of a model.

    bandwidth : float
        Standard deviation of the Gaussians, in units of X, above 0.

    device : str or torch.device, default="auto"
        Where to compute: a CUDA device where there is one, else the CPU; or any torch
        device that has float64.

    Returns
    -------
    log_likelihood : ndarray of shape (n_rows,), float64
        In nats, and -inf where that is out of range. Its mean is what papers print; its
        standard error is ``log_likelihood.std() / sqrt(n_rows)``.

    Raises
    ------
    ValueError
        If X or the samples are not valid, or differ in their number of features, if
        `bandwidth` is not above 0 and finite, or if the device is not on this machine.

    TypeError
        If `bandwidth` is no number, or an array is of a kind that is not read.

    See Also
    --------
    select_bandwidth : Chooses the bandwidth on data that is held out.
    sklearn_daae.DAAETransformer.sample : Draws samples of a model.

    Notes
    -----
    It is the measure of the paper's section on sampling. It depends on the number of
    samples and on the bandwidth: compare models at the same of both.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_daae.metrics import parzen_log_likelihood
    >>> parzen_log_likelihood([[0.0], [1.0]], [[0.0]], bandwidth=1.0).round(4)
    array([-0.9189, -1.4189])
    """
    (log_likelihood,) = _log_likelihoods(X, samples, [bandwidth], "bandwidth", device)
    return log_likelihood


def select_bandwidth(
    samples: ArrayLike,
    X: ArrayLike,
    *,
    bandwidths: ArrayLike,
    device: str | torch.device = "auto",
) -> float:
    """Return the bandwidth under which held-out data is most likely.

    Parameters
    ----------
    samples : array-like of shape (n_samples, n_features)
        Samples of a model.

    X : array-like of shape (n_rows, n_features)
        Held-out data: neither what the model was trained on nor what it is tested on.

    bandwidths : array-like of shape (n_bandwidths,)
        What to choose from, such as the paper's ``np.logspace(-1, 0, 10)``.

    device : str or torch.device, default="auto"
        Where to compute, as in :func:`parzen_log_likelihood`.

    Returns
    -------
    bandwidth : float
        That of the greatest mean of :func:`parzen_log_likelihood`, in units of X.

    Raises
    ------
    ValueError
        As in :func:`parzen_log_likelihood`, or if there is no bandwidth, or the mean is
        -inf at every one.

    TypeError
        As in :func:`parzen_log_likelihood`.

    See Also
    --------
    parzen_log_likelihood : The log-likelihood at one bandwidth.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_daae.metrics import select_bandwidth
    >>> X = np.random.default_rng(0).normal(size=(100, 1))
    >>> select_bandwidth([[0.0]], X, bandwidths=[0.1, 1.0, 10.0])
    1.0
    """
    with naming("bandwidths"):
        values = np.atleast_1d(bandwidths)
        values = check_array(values, ensure_2d=False, dtype=float).ravel()
    log_likelihoods = _log_likelihoods(X, samples, values, "bandwidths", device)
    with np.errstate(over="ignore"):
        means = log_likelihoods.mean(1)
    if (means == -np.inf).all():
        raise ValueError(
            f"bandwidths={values.tolist()!r} are too small: at each of them, the "
            "log-likelihood of X is -inf. Give larger ones, nearer to the distances "
            "between rows of X and samples."
        )
    return float(values[means.argmax()])


def _log_likelihoods(X, samples, bandwidths, name, device):
    """Return an array of shape (n_bandwidths, n_rows)."""
    for bandwidth in bandwidths:
        if not is_number(bandwidth):
            raise TypeError(f"{name}={bandwidth!r} must be a number.")
        if not 0 < float(bandwidth) < math.inf:
            raise ValueError(f"{name}={bandwidth!r} must be above 0, and finite.")
    bandwidths = [float(bandwidth) for bandwidth in bandwidths]
    X, samples = _read(X, "X"), _read(samples, "samples")
    if X.shape[1] != samples.shape[1]:
        raise ValueError(
            f"X has {X.shape[1]} features and samples have {samples.shape[1]}. Both "
            "must be in the same space."
        )
    device = resolve_device(device)
    if device.type == "mps":  # has no float64
        device = torch.device("cpu")
    with working(device), undisturbed(device, learns=False):
        log_sums = _log_sums_of_kernels(X, samples, bandwidths, device)
    log_normalisers = np.log(2 * np.pi) / 2 + np.log(bandwidths)[:, None]
    return log_sums - math.log(len(samples)) - X.shape[1] * log_normalisers


def _read(X, name):
    """Return an array of the type that X has, or of float64 where it has none."""
    with naming(name):
        check_kind(X)
        return check_array(as_numpy(X), dtype=DTYPES)


def _log_sums_of_kernels(X, samples, bandwidths, device):
    """Return log sum_j exp(-|x - s_j|^2 / 2h^2), as (n_bandwidths, n_rows)."""
    # In units of about the largest value, a power of two that rounds nothing, squares
    # neither overflow nor vanish.
    largest = max(abs(float(end)) for a in (X, samples) for end in (a.min(), a.max()))
    unit = math.ldexp(1, math.frexp(largest)[1] - 1)
    scales = [min(unit / h, sys.float_info.max) for h in bandwidths]
    samples = _Samples(samples, unit, min(bandwidths), device)
    out = np.empty((len(bandwidths), len(X)))
    step = max(1, _BLOCK_VALUES // max(samples.factor.shape))
    kernels_of_blocks = samples.factor.new_empty(min(step, len(X)), len(samples.array))
    for start in range(0, len(X), step):
        rows = slice(start, start + step)
        closeness, nearest = samples.closeness(X[rows])
        closeness -= nearest
        kernels = kernels_of_blocks[: len(closeness)]
        for i, scale in enumerate(scales):
            torch.mul(closeness, scale, out=kernels).mul_(scale)  # a square overflows
            # Beside the nearest, whose kernel is 1, exp(-700) is nothing; and for less
            # than that, exp takes many times as long.
            log_sums = kernels.clamp_(min=-700).exp_().sum(1, keepdim=True).log_()
            log_sums += nearest * scale * scale
            out[i, rows] = log_sums.squeeze(1).cpu().numpy()
    return out


class _Samples:
    """Samples that rows are compared with, in float64.

    Parameters
    ----------
    array : ndarray of shape (n_samples, n_features)

    unit : float
        What rows and samples are divided by.

    bandwidth : float
        Of several, the least.

    device : torch.device
    """

    def __init__(self, array, unit, bandwidth, device):
        n_samples, n_features = array.shape
        self.array = array
        self.unit = unit
        self.variance = (bandwidth / unit) * (bandwidth / unit)
        self.device = device
        # Products lose digits far from zero. The median, unlike the mean, is not moved
        # by a few that are far off; that of some of them will do.
        shape = n_samples, n_features + 2
        self.factor = torch.empty(shape, dtype=torch.float64, device=device)
        centred = self.factor[:, :n_features]
        centred.copy_(self._in_units(array))
        self.centre = centred[:: n_samples // 100 + 1].median(0).values
        centred -= self.centre
        self.lengths = torch.linalg.vector_norm(centred, dim=1)
        self.factor[:, n_features] = self.lengths.square() / -2
        self.factor[:, n_features + 1] = 1
        # That of `closeness` by products is no more than this part of (|x| + |s|)^2.
        self.rounding = (n_features + 8) * sys.float_info.epsilon / 2

    def _in_units(self, rows):
        rows = np.divide(rows, self.unit, dtype=np.float64)
        return torch.from_numpy(rows).to(self.device)

    def closeness(self, rows):
        """Return -|x - s|^2 / 2 of every row and sample, and the greatest of rows."""
        x = self._in_units(rows)
        centred = x - self.centre
        lengths = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
        # By one product: x.s - |s|^2 / 2 - |x|^2 / 2.
        ones = torch.ones_like(lengths)
        factor = torch.cat([centred, ones, lengths.square() / -2], dim=1)
        closeness = factor @ self.factor.t()
        nearest = closeness.amax(1, keepdim=True)
        if self._is_inexact(nearest, lengths + self.lengths.max()).any():
            inexact = self._is_inexact(closeness, lengths + self.lengths)
            rows, columns = (inexact.any(i).nonzero().ravel() for i in (1, 0))
            for some in columns.split(max(1, _BLOCK_VALUES // len(self.centre))):
                distances = torch.cdist(
                    x[rows],
                    self._in_units(self.array[some.cpu().numpy()]),
                    compute_mode="donot_use_mm_for_euclid_dist",
                )
                closeness[rows[:, None], some] = distances.square() / -2
            nearest = closeness.amax(1, keepdim=True)
        return closeness, nearest

    def _is_inexact(self, closeness, reach):
        """Tell where differences of rows and samples have to be taken one by one."""
        matters = (-closeness).clamp_(min=self.variance)
        return self.rounding * reach.square() > _TOLERANCE * matters


def reconstruction_error(
    estimator: Any,
    X: ArrayLike,
    *,
    corrupt: bool = True,
    random_state: RandomState = None,
) -> float:
    """Mean squared error of reconstructions, of corrupted data unless told otherwise.

    Parameters
    ----------
    estimator : estimator of this package, or Pipeline that holds one
        A fitted model. In a pipeline, X passes the steps before it first, and the error
        is one of what they give.

    X : array-like of shape (n_samples, n_features)
        Clean data.

    corrupt : bool, default=True
        Whether to measure R(E(C(x))), as the paper does, and not R(E(x)). Where a model
        corrupts nothing, they are the same.

    random_state : int, RandomState instance or None, default=None
        Pass an int for the same corruption at every call.

    Returns
    -------
    error : float
        The mean over samples and features, in squared units of X.

    Raises
    ------
    NotFittedError
        If the model is not fitted.

    ValueError
        If X is not valid, or `random_state` is no seed.

    TypeError
        If `estimator` neither is nor holds a model of this package, or `corrupt` is no
        bool.

    See Also
    --------
    sklearn_daae.DAAETransformer.score_samples : The error of each row, uncorrupted.
    EstimatorScorer : Makes a scorer of it, for searches.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_daae import DAAETransformer
    >>> from sklearn_daae.metrics import reconstruction_error
    >>> X = np.random.default_rng(0).random((100, 20))
    >>> model = DAAETransformer(2, max_epochs=1, random_state=0).fit(X)
    >>> reconstruction_error(model, X, random_state=0) < 0.5
    True
    """
    check_flag("corrupt", corrupt)
    model, X = find_autoencoder(estimator, X)
    # In units of X, squares may be more, or less, than float32 can hold.
    unit = float(np.max(model.scaling_.scale))
    errors = model._trained.squared_errors(
        model._rows(X), corrupt=corrupt, random_state=random_state, unit=unit
    )
    return float(errors.mean(dtype=np.float64)) * unit**2


def prior_distance(
    estimator: Any,
    X: ArrayLike,
    *,
    corrupt: bool = False,
    random_state: RandomState = None,
    n_projections: int = 100,
) -> float:
    """Sliced Wasserstein distance between encodings and the prior.

    The two are projected on `n_projections` random directions, on each of which their
    Wasserstein-2 distance is that of sorted values; the result is the root of the mean
    of the squares. It compares the encodings with as many draws from the prior, and is
    of the order of ``1 / sqrt(n_samples)`` where both are of one distribution: compare
    models on as many rows.

    Parameters
    ----------
    estimator : estimator of this package with a prior, or Pipeline that holds one
        A fitted model. In a pipeline, X passes the steps before it first.

    X : array-like of shape (n_samples, n_features)
        Clean data.

    corrupt : bool, default=False
        Whether to encode C(x) instead of x. Encodings of a variational model are drawn
        from q(z | x).

    random_state : int, RandomState instance or None, default=None
        Pass an int for the same corruption, draws and directions at every call.

    n_projections : int, default=100
        Number of directions, from 1 up.

    Returns
    -------
    distance : float
        In units of the codes: 0 for a perfect match.

    Raises
    ------
    NotFittedError
        If the model is not fitted.

    ValueError
        If the model has no prior, as a DAE, `n_projections` is below 1, X is not valid,
        or `random_state` is no seed.

    TypeError
        If `estimator` neither is nor holds a model of this package, `n_projections` is
        no integer, or `corrupt` is no bool.

    See Also
    --------
    sklearn_daae.inspection.PriorMatchDisplay : Draws the two beside each other.
    EstimatorScorer : Makes a scorer of it, for searches.

    Notes
    -----
    It is a number for what the paper's Figure 2 shows in histograms.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_daae import DAAETransformer
    >>> from sklearn_daae.metrics import prior_distance
    >>> X = np.random.default_rng(0).random((100, 20))
    >>> model = DAAETransformer(2, max_epochs=1, random_state=0).fit(X)
    >>> 0 < prior_distance(model, X, random_state=0) < 2
    True
    """
    check_number("n_projections", n_projections, least=1)
    check_flag("corrupt", corrupt)
    model, X = find_autoencoder(estimator, X)
    random = private_generator(random_state)
    seeds = random.integers(2**31, size=2).tolist()
    model._require_prior()  # before the work
    Z = model._trained.encode(
        model._rows(X), corrupt=corrupt, draw=True, random_state=seeds[1]
    )
    prior = model._trained.draw_prior(len(Z), seeds[0])
    total = 0.0
    for direction in random.normal(size=(n_projections, Z.shape[1])):
        direction /= np.linalg.norm(direction)
        difference = np.sort(Z @ direction) - np.sort(prior @ direction)
        total += np.square(difference).mean()
    return float(np.sqrt(total / n_projections))


def shift_robustness(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    shifts: Sequence[int] = range(-4, 5),
    classifier: Any = None,
    image_shape: tuple[int, int, int] | None = None,
) -> Bunch:
    """How much encodings of images change when the images are shifted.

    Parameters
    ----------
    estimator : fitted transformer, or Pipeline or search that holds a model
        A model of this package, or any other, such as a PCA to compare with. Of a
        pipeline that ends in a classifier, the codes of the model in it.

    X : array-like of shape (n_samples, n_features)
        One image per row, flattened, channels first.

    y : array-like of shape (n_samples,), default=None
        Labels, for the accuracy of `classifier`.

    shifts : sequence of int, default=range(-4, 5)
        By how many pixels to shift: downwards and to the right, in all combinations.
        What enters at the border is 0, or the low end of the estimator's `input_range`.

    classifier : fitted classifier, default=None
        Of codes, to be scored on those of the shifted images.

    image_shape : (int, int, int), default=None
        Channels, height and width. None takes the estimator's.

    Returns
    -------
    robustness : :class:`~sklearn.utils.Bunch`
        With the attributes

        shifts : ndarray of shape (n_shifts,)
            The shifts in pixels.

        similarity : ndarray of shape (n_shifts, n_shifts)
            Mean cosine similarity between the codes of shifted and unshifted images, by
            vertical and horizontal shift. 1 is no change; NaN, where images that differ
            all have one code, which changes with nothing.

        accuracy : ndarray of shape (n_shifts, n_shifts)
            The classifier's score. Only with `classifier`.

    Raises
    ------
    NotFittedError
        If the model is not fitted.

    ValueError
        If X is not valid, there is no image shape or one that is not that of the rows,
        no shift, or a classifier without `y`.

    TypeError
        If `estimator` is no estimator, or `shifts` is no sequence of integers.

    Warns
    -----
    UndefinedMetricWarning
        If the similarity is NaN.

    See Also
    --------
    reconstruction_error : How well corruptions of other kinds are undone.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from sklearn_daae.metrics import shift_robustness
    >>> X, _ = load_digits(return_X_y=True)
    >>> maps = shift_robustness(
    ...     PCA(10).fit(X), X, shifts=[-1, 0, 1], image_shape=(1, 8, 8)
    ... )
    >>> float(maps.similarity[1, 1])
    1.0
    """
    check_is_fitted(estimator)
    try:
        model, seen = find_autoencoder(estimator, X)
    except TypeError:  # a transformer of another kind
        model, seen = estimator, X
    if image_shape is None:
        image_shape = getattr(model, "image_shape", None)
    if image_shape is None:
        raise ValueError(
            "image_shape=None, but the estimator has none. Give (channels, height, "
            "width) of the images that are the rows of X."
        )
    check_image_shape(image_shape)
    values = check_array(X, input_name="X")
    check_image_size(image_shape, values.shape[1])
    if not np.iterable(shifts):
        raise TypeError(
            f"shifts={shifts!r} must be a sequence of integers, such as range(-4, 5)."
        )
    shifts = [*shifts]
    if not shifts:
        raise ValueError("shifts=[] must hold one shift at least, such as 0.")
    for shift in shifts:
        check_number("shifts", shift, least=-math.inf)
    if classifier is not None and y is None:
        raise ValueError("y=None, but classifier needs labels to be scored with.")

    def encode(values):
        # As what X came as: a model that was fitted on a data frame knows its columns.
        frame = values
        if hasattr(X, "iloc"):  # pandas
            frame = type(X)(values, columns=X.columns)
        elif hasattr(X, "with_columns"):  # polars
            frame = type(X)(values, schema=X.columns)
        if hasattr(estimator, "transform"):
            return estimator.transform(frame)
        _, seen = find_autoencoder(estimator, frame)  # a pipeline with a classifier
        return model.transform(seen)

    low = 0
    if seen is X:  # no step before it has mapped X elsewhere
        input_range = getattr(model, "input_range", None)
        if isinstance(model, BaseAutoencoder):  # as it was in fit
            input_range = model.net_.structure["input_range"]
        low, _ = input_range or (0, 1)
    if low:  # which integers may not hold
        values = values.astype(np.result_type(values, np.float32))
    images = values.reshape(len(values), *image_shape)
    Z = np.asarray(encode(values), dtype=np.float64)
    similarity, accuracy = np.empty((2, len(shifts), len(shifts)))
    for i, down in enumerate(shifts):
        lowered = _shift(images, down, 2, low)
        for j, right in enumerate(shifts):
            shifted = _shift(lowered, right, 3, low)
            Z_shifted = encode(shifted.reshape(values.shape))
            distances = paired_cosine_distances(Z, np.asarray(Z_shifted, dtype=float))
            similarity[i, j] = 1 - distances.mean()
            if classifier is not None:
                accuracy[i, j] = classifier.score(Z_shifted, y)
    is_rounding = np.ptp(Z, axis=0) <= 8 * np.finfo(np.float32).eps * abs(Z).max(0)
    if is_rounding.all() and (values != values[0]).any():
        warnings.warn(
            "All images have the same code, so that similarity is NaN: it would be 1 "
            "whatever the shift. Train the model for longer, or at another "
            "learning_rate, until its codes tell images apart.",
            UndefinedMetricWarning,
            stacklevel=2,
        )
        similarity[:] = np.nan
    maps = {} if classifier is None else {"accuracy": accuracy}
    return Bunch(shifts=np.array(shifts), similarity=similarity, **maps)


def _shift(images, by, axis, fill):
    """Shift images along an axis, and fill what enters."""
    shifted = np.roll(images, by, axis)
    lines = np.moveaxis(shifted, axis, 0)
    lines[slice(by) if by >= 0 else slice(by, None)] = fill
    return shifted


class EstimatorScorer:
    """A scorer of fitted estimators by a metric, as `scoring` of a search takes it.

    What :func:`sklearn.metrics.make_scorer` is for metrics of predictions, this is for
    those of models: :func:`prior_distance`, :func:`reconstruction_error`, or your own.
    It is called as ``scorer(estimator, X)``, and raises what the metric raises.

    Parameters
    ----------
    metric : callable
        Called as ``metric(estimator, X, **options)``, it returns a number.

    greater_is_better : bool, default=False
        Whether models of a high value are the good ones. If not, the score is minus it.

    **options : dict
        Keyword arguments of the metric, such as ``random_state=0``.

    Raises
    ------
    TypeError
        If `metric` is no callable, or does not take an estimator, X and the options.

    See Also
    --------
    sklearn_daae.model_selection.GridSearchCV : Takes it as `scoring`.
    sklearn.metrics.make_scorer : Makes scorers of metrics of predictions.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_daae import iDAAETransformer
    >>> from sklearn_daae.metrics import EstimatorScorer, prior_distance
    >>> search = GridSearchCV(
    ...     iDAAETransformer(),
    ...     {"M": [2, 5, 20]},
    ...     scoring=EstimatorScorer(prior_distance, random_state=0),
    ... )

    A likelihood, of more samples than this in earnest:

    >>> from sklearn_daae.metrics import parzen_log_likelihood
    >>> def likelihood(model, X):
    ...     samples = model.sample(100, random_state=0)
    ...     return parzen_log_likelihood(X, samples, bandwidth=0.2).mean()
    >>> EstimatorScorer(likelihood, greater_is_better=True)
    EstimatorScorer(likelihood, greater_is_better=True)
    """

    def __init__(
        self,
        metric: Callable[..., float],
        *,
        greater_is_better: bool = False,
        **options: Any,
    ) -> None:
        # Now, and not after the first training.
        with naming(f"metric={metric!r}"):
            signature(metric).bind(None, None, **options)
        self.metric = metric
        self.greater_is_better = greater_is_better
        self.options = options

    def __call__(
        self, estimator: Any, X: ArrayLike, y: ArrayLike | None = None
    ) -> float:
        """Return the score of a fitted estimator on X.

        Parameters
        ----------
        estimator : estimator
            A fitted model, or what else the metric takes.

        X : array-like of shape (n_samples, n_features)
            The data.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        score : float
            The metric, or minus it where less is better.
        """
        value = float(self.metric(estimator, X, **self.options))  # unsigned ones wrap
        return value if self.greater_is_better else -value

    def __repr__(self):
        options = {"greater_is_better": self.greater_is_better, **self.options}
        arguments = ", ".join(f"{name}={value!r}" for name, value in options.items())
        name = getattr(self.metric, "__name__", repr(self.metric))
        return f"EstimatorScorer({name}, {arguments})"
