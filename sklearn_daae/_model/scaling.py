"""How X is mapped as it is read, to a scale on which networks learn well."""

import warnings
from typing import NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from .losses import columns_of_logits

# Types with values that float32 lacks. Only float64 tells apart what a large offset
# leaves of them: timestamps of 1.7e9, say.
WIDE_TYPES = (torch.float64, torch.int64, torch.int32)

# Data in [0, 1] are left as they are where the cross-entropy fits them: where most
# values lie near one end or the other. The variance, as a part of the greatest that
# data of that mean can have, is 0.84 of MNIST, 0.76 of Omniglot, 0.67 of digits and
# 0.62 of Sprites; 0.18 of photographs of faces, and about that of tables.
_LEAST_SHARE_OF_VARIANCE = 0.4
# Below this standard deviation (0.03 of tf-idf), the cross-entropy teaches nothing.
_LEAST_CONTRAST = 0.1
# Features share a unit where half of them have ranges of at least this part of the
# widest: 0.5 to 1 of images and of iris, 0.003 of wine.
_LEAST_SHARE_OF_RANGE = 0.25

# Steps of float32 that a standard deviation must have.
_LEAST_STEPS = 2**8


class Statistics(NamedTuple):
    """What is known of the features of X, each an array of float64."""

    mean: np.ndarray
    variance: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def bounds(self):
        """The least and the greatest value of X."""
        return float(self.low.min()), float(self.high.max())

    @property
    def total_variance(self):
        """The variance of all values of X together."""
        return self.variance.mean() + self.mean.var()

    def mapped(self, scaling):
        """Return the same of what networks see."""
        shift, scale = scaling.shift, scaling.scale
        return Statistics(
            (self.mean - shift) / scale,
            self.variance / np.square(scale),
            (self.low - shift) / scale,
            (self.high - shift) / scale,
        )


class Scaling:
    """Maps rows of X to what networks see, ``(x - shift) / scale``, and back.

    Attributes
    ----------
    kind : {"standard", "range", None}
        What the parameter `scaling` asks for, or what it has chosen.

    shift, scale : float or ndarray of shape (n_features,)
        The numbers above: of "standard" the mean of each feature, and its standard
        deviation, or one that all of them share; of "range" the bottom and the width.

    low, high : float or ndarray of shape (n_features,)
        Where networks see the ends of the range: 0 and 1, or, of "standard", the least
        and the greatest value of each feature.

    fill : ndarray of shape (n_features,) or None
        What networks see of a value that is missing, the mean of the feature. None
        where none may be.
    """

    def __init__(self, kind=None, shift=0.0, scale=1.0, low=0.0, high=1.0):
        self.kind = kind
        self.shift = shift
        self.scale = scale
        self.low = low
        self.high = high
        self.fill = None
        self._tensors = {}

    def __repr__(self):
        return f"Scaling({self.kind!r})"

    def __call__(self, x):
        """Return rows of X, a tensor of any type, as networks see them: float32."""
        if self.kind is None:
            return x.float()
        x = x.double() if x.dtype in WIDE_TYPES else x.float()
        return ((x - self._on(x, "shift")) / self._on(x, "scale")).float()

    def filled(self, x):
        """Return what networks see, with what is missing filled."""
        return torch.where(x.isnan(), self._on(x, "fill"), x)

    def invert(self, x):
        """Return what networks see as rows of X."""
        if self.kind is None:
            return x
        if self.dtype == np.float64:
            x = x.cpu().double()  # some devices have none
        return x * self._on(x, "scale") + self._on(x, "shift")

    def in_units(self, difference, unit=1.0):
        """Return a difference of what networks see in units of X, or multiples."""
        like = {"dtype": difference.dtype, "device": difference.device}
        return difference * torch.as_tensor(self.scale / unit, **like)

    @property
    def dtype(self):
        """What rows of X are returned in: float32, unless it could not hold them."""
        ends = np.abs(self.shift) + np.abs(self.scale)
        is_fine = _has_steps(ends, np.square(self.scale), np.float32)
        return np.dtype(np.float32 if is_fine else np.float64)

    def bounds(self, x):
        """Return `low` and `high` as numbers, or tensors like x."""
        return self._on(x, "low"), self._on(x, "high")

    def _on(self, x, name):
        """Return one of the attributes in the type of x and on its device."""
        value = getattr(self, name)
        if np.ndim(value) == 0:
            return value
        key = name, x.dtype, x.device
        if key not in self._tensors:
            self._tensors[key] = torch.tensor(value, dtype=x.dtype, device=x.device)
        return self._tensors[key]

    def __getstate__(self):
        """Pickle without the tensors, which may be on a GPU."""
        return {**vars(self), "_tensors": {}}


def choose_scaling(kind, input_range, reconstruction_loss, statistics):
    """Return the `Scaling` that an estimator's parameters ask for.

    Parameters
    ----------
    kind : {"auto", "standard", "range", None}
        The parameter `scaling`. "auto" is "range" with an `input_range`. It leaves data
        in [0, 1] as they are where they are spread like images of two tones, or where
        the loss is to be "bce"; and is "standard" for all other.

    input_range : (float, float) or None
        The parameter `input_range`.

    reconstruction_loss : str
        The parameter of that name.

    statistics : Statistics
        Of the training data.
    """
    if kind == "auto":
        if input_range is not None:
            kind = "range"
        elif reconstruction_loss == "bce" or _has_two_tones(statistics):
            kind = None
        else:
            kind = "standard"
    if kind is None:
        return Scaling()
    if kind == "range":
        low, high = input_range
        return Scaling("range", low, high - low)
    shift, scale = statistics.mean, _standard_deviations(statistics)
    if not isinstance(reconstruction_loss, str):
        # Columns of logits stay as they are, and have no part in what others share.
        kept = columns_of_logits(reconstruction_loss)
        others = np.delete(np.arange(len(shift)), kept)
        shift, scale = shift.copy(), np.ones_like(scale)
        shift[kept] = 0
        if len(others):
            of_others = Statistics(*(part[others] for part in statistics))
            scale[others] = _standard_deviations(of_others)
    scaling = Scaling("standard", shift, scale)
    mapped = statistics.mapped(scaling)
    scaling.low, scaling.high = mapped.low, mapped.high
    return scaling


def choose_loss_and_scaling(
    kind, input_range, reconstruction_loss, statistics, dtype, *, may_miss=False
):
    """Return the `Scaling`, and the name of the loss, that parameters ask for.

    Parameters
    ----------
    kind, input_range, reconstruction_loss, statistics
        As in `choose_scaling`.

    dtype : dtype
        Of the training data.

    may_miss : bool, default=False
        Whether values may be missing.

    Warns
    -----
    ConvergenceWarning
        If a feature's values are too close together for its type.
    """
    scaling = choose_scaling(kind, input_range, reconstruction_loss, statistics)
    # What is standardised was in the type of X until then; else float32 it is.
    is_float64 = scaling.kind == "standard" and dtype != np.float32
    if not _are_told_apart(statistics, np.float64 if is_float64 else np.float32):
        warnings.warn(
            "A feature of X varies by so little, beside its mean, that "
            f"{'float64' if is_float64 else 'float32'} hardly tells its values "
            "apart: the model sees noise. Subtract the mean before X is stored, "
            "and give it as float64 with scaling='auto'.",
            ConvergenceWarning,
            stacklevel=5,
        )
    seen = statistics.mapped(scaling)
    if may_miss:
        scaling.fill = np.float32(seen.mean)
    loss = reconstruction_loss
    if loss == "auto":
        is_bce = _is_within_unit_interval(seen.bounds) and _has_contrast(seen)
        loss = "bce" if is_bce and scaling.kind != "standard" else "mse"
    refuse_range(statistics.bounds, scaling, loss, input_range, reconstruction_loss)
    if not isinstance(loss, str):
        refuse_columns(statistics, scaling, loss)
    return scaling, loss


def refuse_columns(statistics, scaling, loss):
    """Refuse an X of which columns that are to be in [0, 1] are not."""
    columns = columns_of_logits(loss)
    if not columns:
        return
    seen = statistics.mapped(scaling)
    bounds = float(seen.low[columns].min()), float(seen.high[columns].max())
    if not _is_within_unit_interval(bounds):
        raise ValueError(
            "The reconstruction losses 'bce' and 'cross_entropy' need their columns in "
            f"[0, 1], but these have values from {bounds[0]:g} to {bounds[1]:g}. Give "
            "them as sklearn.preprocessing.OneHotEncoder does, or use the loss 'mse'."
        )


def refuse_range(bounds, scaling, loss, input_range, reconstruction_loss):
    """Refuse an X that leaves the range that a scaling or a loss is defined on.

    Parameters
    ----------
    bounds : (float, float)
        The least and the greatest value of X.

    scaling : Scaling

    loss : {"bce", "mse"}

    input_range, reconstruction_loss
        The estimator's parameters.
    """
    if scaling.kind == "standard":
        return
    low, high = ((bound - scaling.shift) / scaling.scale for bound in bounds)
    if _is_within_unit_interval((low, high)):
        return
    if scaling.kind == "range":
        raise ValueError(
            f"X has values from {bounds[0]:g} to {bounds[1]:g}, outside of "
            f"input_range={input_range!r}. Widen the range, or clip X."
        )
    if loss == "bce":
        chosen = ""
        if reconstruction_loss == "auto":
            chosen = ", which 'auto' chose for the rows first trained on,"
        raise ValueError(
            f"The reconstruction loss 'bce'{chosen} needs all of X in [0, 1], but "
            f"X has values from {bounds[0]:g} to {bounds[1]:g}. Scale X, for example "
            "with sklearn.preprocessing.MinMaxScaler(clip=True), or fit with "
            "reconstruction_loss='mse'."
        )


def _is_within_unit_interval(bounds):
    """Tell whether values lie in [0, 1], but for the rounding of a scaler."""
    rounding = 4 * np.finfo(np.float32).eps
    return bounds[0] >= -rounding and bounds[1] <= 1 + rounding


def _has_contrast(statistics):
    """Tell whether values are spread enough for the cross-entropy to teach them."""
    return statistics.total_variance >= _LEAST_CONTRAST**2


def _are_told_apart(statistics, dtype):
    """Tell whether numbers of a dtype resolve the spread of every feature."""
    return _has_steps(np.abs(statistics.mean), statistics.variance, dtype)


def _has_two_tones(statistics):
    mean = statistics.mean.mean()
    share = _LEAST_SHARE_OF_VARIANCE * mean * (1 - mean)
    return (
        _is_within_unit_interval(statistics.bounds)
        and _has_contrast(statistics)
        and statistics.total_variance >= share
    )


def _standard_deviations(statistics):
    """Return what features are divided by: one number each, or one for all."""
    variance = statistics.variance
    ranges = statistics.high - statistics.low
    if np.median(ranges) >= _LEAST_SHARE_OF_RANGE * ranges.max():
        variance = np.full_like(variance, variance.mean())
    return np.where(variance > 0, np.sqrt(variance), 1.0)


def _has_steps(magnitude, variance, dtype):
    steps = _LEAST_STEPS * np.spacing(np.asarray(magnitude, dtype))
    return bool(np.all((np.sqrt(variance) >= steps) | (np.asarray(variance) == 0)))
