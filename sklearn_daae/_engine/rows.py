"""The rows of X as float32 tensors on the device, and what they are like."""

from functools import reduce
from itertools import islice

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils import check_array
from sklearn.utils.sparsefuncs import mean_variance_axis, min_max_axis
from sklearn.utils.validation import validate_data

from .. import _checks
from .._model.scaling import WIDE_TYPES, Scaling, Statistics
from ..distributed import current
from .streams import Blocks, as_blocks, window_bytes

# Read as they are, batch by batch; anything else becomes float64 as a whole, so that
# values far from zero keep their digits.
DTYPES = [
    np.dtype(kind)
    for kind in ("f8", "f4", "f2", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "?")
]


def read_rows(estimator, X, device, *, reset, may_miss):
    """Return the rows of a valid X, not yet as networks see them.

    Parameters
    ----------
    estimator : estimator
        Of which X is the input.

    X : array-like, or what `as_blocks` knows
        Too large to be held, it is checked block by block as it is read.

    device : torch.device
        Where it is to go.

    reset : bool
        Whether the estimator is to note the number and names of features.

    may_miss : bool
        Whether values may be NaN.
    """
    _checks.check_kind(X)
    X = as_blocks(_checks.as_numpy(X))
    options = {
        "dtype": DTYPES,
        "accept_sparse": "csr",
        "ensure_all_finite": "allow-nan" if may_miss else True,
        # One tells nothing, to begin with.
        "ensure_min_samples": 2 if reset else 1,
    }

    def validate(X):
        order = None if _checks.has_whole_rows(X) else "C"
        with _checks.naming_what_allows_nan(type(estimator).__name__):
            return validate_data(estimator, X, reset=reset, order=order, **options)

    def check(block):
        with _checks.naming_what_allows_nan(type(estimator).__name__):
            block = check_array(
                block, input_name="X", **{**options, "ensure_min_samples": 1}
            )
        Rows(block, device).refuse_large()
        return block

    if isinstance(X, Blocks):
        X.expect(validate(X.head()).dtype, check)
        if X.nbytes > window_bytes():
            return Rows(X, device)
        X = X.read(0, len(X))  # all of it is held to be shuffled
    return Rows(validate(X), device)


class Rows:
    """The rows of X as networks see them: ``Rows(X, device)[slice or indices]``.

    Only the rows asked for are copied, converted and mapped, never X as a whole; and
    they are always copied, so that a network that works in place cannot write into X.

    Parameters
    ----------
    X : ndarray, CSR, Blocks or tensor of shape (n_samples, n_features)
        An array in memory or of a memory-mapped file; a sparse matrix or array; blocks
        that are read when they are asked for; or a tensor on the device, of which rows
        are asked for by indices.

    device : torch.device
        Where the tensors are wanted.

    scaling : Scaling, default=None
        What maps them. None leaves them as they are.
    """

    def __init__(self, X, device, scaling=None):
        self.X = X
        self.device = device
        self.scaling = scaling or Scaling()
        self._bounds = None

    def __len__(self):
        return self.X.shape[0]

    def __getitem__(self, rows):
        return self.take(rows)[0]

    def take(self, rows):
        """Return rows, and which of their values are observed, or None if all are."""
        x = self._mapped(rows)
        if self.scaling.fill is None:
            return x, None
        observed = ~x.isnan()
        return self.scaling.filled(x), observed

    def _mapped(self, rows):
        if isinstance(self.X, torch.Tensor):
            return self.scaling(self.X[rows])
        x = torch.from_numpy(self._read(rows))
        if x.dtype in WIDE_TYPES:  # mapped on the host: some devices have no float64
            return self.scaling(x).to(self.device)
        return self.scaling(x.to(self.device))

    def _read(self, rows):
        """Return a copy of rows of X, dense."""
        dtype = self.X.dtype
        if dtype.kind == "u" and dtype.itemsize > 1:
            # torch can do little with the wider of the unsigned.
            dtype = np.float32 if dtype.itemsize == 2 else np.float64
        if issparse(self.X):
            return self.X[rows].toarray().astype(dtype, copy=False)
        return np.array(self.X[rows], dtype=dtype)

    def between(self, start, stop):
        """Return some of the rows, as they are."""
        is_lazy = isinstance(self.X, Blocks)
        part = self.X.between(start, stop) if is_lazy else self.X[start:stop]
        return Rows(part, self.device, self.scaling)

    def blocks(self, n_bytes=2**26):
        """Yield slices of consecutive rows, of about so many bytes of X."""
        if isinstance(self.X, Blocks):
            for i in range(len(self.X.bounds) - 1):
                rows = self.X.rows_of(i)
                yield slice(rows.start, rows.stop)
            return
        step = max(1, n_bytes // self.row_bytes())
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))

    @np.errstate(over="ignore", invalid="ignore")  # of what `refuse_large` refuses
    def statistics(self, weight=None):
        """Return the `Statistics` of X as it is, of one pass in float64.

        Of values that are there, and of rows that have a weight.

        Parameters
        ----------
        weight : ndarray of shape (n_samples,), default=None
            Of each row; of none, it has no part in the bounds either.
        """
        processes = current()
        blocks = self.blocks(2**18 * self.X.dtype.itemsize)
        moments = _NONE
        # Each process reads its part.
        for block in islice(blocks, processes.rank, None, processes.size):
            own = None if weight is None else weight[block]
            moments = _combined(moments, _moments(self.X[block], own))
        parts = processes.all(moments)
        _, mean, variance, low, high = reduce(_combined, parts[1:], parts[0])
        # A constant feature may have the variance of rounding.
        rounding = np.square(10 * np.finfo(np.float64).eps * mean)
        variance = np.where(variance > rounding, variance, 0.0)
        # A feature of which nothing is known is as one that is 0.
        low, high = np.where(low > high, 0.0, low), np.where(low > high, 0.0, high)
        statistics = Statistics(mean, variance, low, high)
        if weight is None:
            self._bounds = statistics.bounds
        return statistics

    def bounds(self):
        """Return the least and the greatest value of X, as it is. It is read once."""
        if self._bounds is None:
            lows, highs = [], []
            for block in self.blocks():
                values = self.X[block]
                if issparse(values):
                    values = values.data if values.nnz else np.zeros(1)
                    lows.append(0)
                    highs.append(0)
                # NaN is what is missing, if it may be there at all.
                lows.append(np.fmin.reduce(values, axis=None))
                highs.append(np.fmax.reduce(values, axis=None))
            self._bounds = float(np.fmin.reduce(lows)), float(np.fmax.reduce(highs))
        return self._bounds

    def refuse_large(self):
        """Refuse values that networks, which compute in float32, could not see.

        Blocks are refused as they are read.
        """
        if isinstance(self.X, Blocks):
            return
        largest = float(np.finfo(np.float32).max)
        if self.X.dtype == np.float64 and max(map(abs, self.bounds())) > largest:
            raise ValueError(
                "Input X contains a value too large for dtype('float32'). Scale X."
            )

    def to_device(self):
        """Return the same rows, of X as one tensor on the device where that serves.

        On a CPU, X stays where it is. It also stays where it would take more than half
        of a GPU's free memory: it is then sent a window at a time. The tensor keeps X's
        own dtype, unless that is wide: then it is of float32, and mapped. It is filled
        block by block, without a second copy on the host.
        """
        if self.device.type == "cpu":
            return self
        dtype = self._for_tensor(slice(0)).dtype
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if np.prod(self.X.shape) * dtype.itemsize > free / 2:
                return self
        tensor = torch.empty(self.X.shape, dtype=dtype, device=self.device)
        for block in self.blocks():
            tensor[block] = self._for_tensor(block)
        return self._of_tensor(tensor)

    def pinned(self):
        """Return the same rows in memory from which a GPU reads without the CPU."""
        if self.device.type == "cpu":
            return self
        x = self._for_tensor(slice(None))
        return self._of_tensor(x.pin_memory() if self.device.type == "cuda" else x)

    def sent(self):
        """Return the same rows, of which the tensor is on its way to the device."""
        if self.device.type == "cpu":
            return self
        x = self.X.to(self.device, non_blocking=True)
        return Rows(x, self.device, self.scaling)

    def _for_tensor(self, rows):
        """Return rows on the host, mapped if their type is wide."""
        x = torch.from_numpy(self._read(rows))
        return self.scaling(x) if x.dtype in WIDE_TYPES else x

    def _of_tensor(self, tensor):
        scaling = self.scaling
        if torch.from_numpy(self._read(slice(0))).dtype in WIDE_TYPES:
            scaling = Scaling()  # they are mapped, and what is missing still is
            scaling.fill = self.scaling.fill
        return Rows(tensor, self.device, scaling)

    def row_bytes(self):
        """Return the size of a row."""
        return self.X.shape[1] * self.X.dtype.itemsize


_NONE = 0.0, 0.0, 0.0, np.inf, -np.inf


def _combined(moments, others):
    """Return what two parts of X have as one, without cancellation."""
    n, mean, variance, low, high = moments
    n_others, mean_others, variance_others, low_others, high_others = others
    share = n_others / np.maximum(n + n_others, np.finfo(np.float64).tiny)
    difference = mean_others - mean
    between = share * (1 - share) * np.square(difference)
    return (
        n + n_others,
        mean + share * difference,
        (1 - share) * variance + share * variance_others + between,
        np.minimum(low, low_others),
        np.maximum(high, high_others),
    )


def _moments(X, weight):
    """Return weight, mean, variance, least and greatest value of features of X."""
    if weight is not None:
        X, weight = X[weight > 0], weight[weight > 0]
    n = float(X.shape[0] if weight is None else weight.sum())
    if n == 0:
        return _NONE
    if issparse(X):
        X = X.astype(np.float64)
        mean, variance, n = mean_variance_axis(X, 0, weight, return_sum_weights=True)
        known = n > 0
        low, high = min_max_axis(X, 0, ignore_nan=True)
        return (
            n,
            np.where(known, mean, 0.0),
            np.where(known, variance, 0.0),
            np.where(known, low, np.inf),
            np.where(known, high, -np.inf),
        )
    values = np.asarray(X, dtype=np.float64)
    if weight is None and not np.isnan(values).any():
        return n, values.mean(0), values.var(0), values.min(0), values.max(0)
    observed = ~np.isnan(values)
    weight = observed * (1.0 if weight is None else weight[:, None])
    n = weight.sum(0)
    share = weight / np.maximum(n, np.finfo(np.float64).tiny)
    mean = (share * np.where(observed, values, 0.0)).sum(0)
    variance = (share * np.square(np.where(observed, values - mean, 0.0))).sum(0)
    low = np.where(observed, values, np.inf).min(0)
    return n, mean, variance, low, np.where(observed, values, -np.inf).max(0)
