"""The data as float32 tensors on the device: rows of X, and mini-batches of them."""

import mmap
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils.sparsefuncs import mean_variance_axis, min_max_axis
from skorch.dataset import Dataset
from torch.utils.data import Subset

from .._model.scaling import WIDE_TYPES, Scaling, Statistics

# Read as they are, batch by batch; anything else becomes float64 as a whole, so that
# values far from zero keep their digits.
DTYPES = [
    np.dtype(kind)
    for kind in ("f8", "f4", "f2", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "?")
]

# How much of a memory-mapped file may count as this process's memory. To read a row,
# the system maps what it keeps together of the file: 2 MiB around it, on recent Linux.
_MAPPED_BYTES = 2**29
_MAPPED_BYTES_OF_A_ROW = 2**21


class Batch(NamedTuple):
    """Some rows as networks see them, and what a loss has to know of them."""

    x: torch.Tensor
    # Of the rows: None where all count alike.
    weight: torch.Tensor | None = None
    # Which values are: None where none may be missing. Those that are missing are
    # filled in x.
    observed: torch.Tensor | None = None


class Rows:
    """The rows of X as networks see them: ``Rows(X, device)[slice or indices]``.

    Only the rows asked for are copied, converted and mapped, never X as a whole; and
    they are always copied, so that a network that works in place cannot write into X.

    Parameters
    ----------
    X : ndarray, CSR or tensor of shape (n_samples, n_features)
        An array in memory or of a memory-mapped file; a sparse matrix or array; or a
        tensor on the device, of which rows are asked for by indices.

    device : torch.device
        Where the tensors are wanted.

    scaling : Scaling, default=None
        What maps them. None leaves them as they are.
    """

    def __init__(self, X, device, scaling=None):
        self.X = X
        self.device = device
        self.scaling = scaling or Scaling()
        self._file = _mapped_file(X)
        self._n_mapped = 0
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
        if self._file is None or isinstance(rows, slice):
            values = np.array(self.X[rows], dtype=dtype)
            self._release(values.nbytes)
            return values
        values = np.empty((len(rows), *self.X.shape[1:]), dtype=dtype)
        step = max(1, _MAPPED_BYTES // _MAPPED_BYTES_OF_A_ROW)
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            values[part] = self.X[rows[part]]
            self._release(len(values[part]) * _MAPPED_BYTES_OF_A_ROW)
        return values

    def blocks(self, n_bytes=2**26):
        """Yield slices of consecutive rows, of about so many bytes of X."""
        step = max(1, n_bytes // self._row_bytes())
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
        n, mean, variance = 0.0, 0.0, 0.0
        low, high = np.inf, -np.inf
        for block in self.blocks(2**18 * self.X.dtype.itemsize):
            own = None if weight is None else weight[block]
            of_block = _moments(self.X[block], own)
            n_block, mean_block, variance_block, low_block, high_block = of_block
            # Two parts are combined without cancellation.
            share = n_block / np.maximum(n + n_block, np.finfo(np.float64).tiny)
            difference = mean_block - mean
            between = share * (1 - share) * np.square(difference)
            variance = (1 - share) * variance + share * variance_block + between
            mean = mean + share * difference
            low, high = np.minimum(low, low_block), np.maximum(high, high_block)
            n = n + n_block
            self._release((block.stop - block.start) * self._row_bytes())
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
                self._release(values.nbytes)
            self._bounds = float(np.fmin.reduce(lows)), float(np.fmax.reduce(highs))
        return self._bounds

    def refuse_large(self):
        """Refuse values that networks, which compute in float32, could not see."""
        largest = float(np.finfo(np.float32).max)
        if self.X.dtype == np.float64 and max(map(abs, self.bounds())) > largest:
            raise ValueError(
                "Input X contains a value too large for dtype('float32'). Scale X."
            )

    def to_device(self):
        """Return the same rows, of X as one tensor on the device where that serves.

        On a CPU, X stays where it is. It also stays where it would take more than half
        of a GPU's free memory; batches are then sent one by one. The tensor keeps X's
        own dtype, unless that is wide: then it is of float32, and mapped. It is filled
        block by block, without a second copy on the host.
        """
        if self.device.type == "cpu":
            return self
        dtype = torch.from_numpy(self._read(slice(0))).dtype
        is_wide = dtype in WIDE_TYPES
        if is_wide:
            dtype = torch.float32
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if np.prod(self.X.shape) * dtype.itemsize > free / 2:
                return self
        tensor = torch.empty(self.X.shape, dtype=dtype, device=self.device)
        for block in self.blocks():
            x = torch.from_numpy(self._read(block))
            tensor[block] = self.scaling(x) if is_wide else x
        scaling = self.scaling
        if is_wide:
            scaling = Scaling()  # they are mapped, and what is missing still is
            scaling.fill = self.scaling.fill
        return Rows(tensor, self.device, scaling)

    def _row_bytes(self):
        return self.X.shape[1] * self.X.dtype.itemsize

    def _release(self, n_bytes):
        """Give a mapped file's pages back, after having read so many bytes of it.

        They stay in the system's cache, and no longer count as this process's memory.
        """
        self._n_mapped += n_bytes
        if self._file is not None and self._n_mapped >= _MAPPED_BYTES:
            with suppress(OSError):  # pages that are locked in memory
                self._file.madvise(mmap.MADV_DONTNEED)
            self._n_mapped = 0


def _mapped_file(X):
    """Return the memory-mapped file that X is a view of, if its pages are to go."""
    if not isinstance(X, np.ndarray) or X.nbytes < _MAPPED_BYTES:
        return None
    mode = None
    while isinstance(X, np.ndarray):
        mode = getattr(X, "mode", mode)
        X = X.base
    # Pages of a copy-on-write map hold what was written to them, and nothing else does.
    is_shared = isinstance(X, mmap.mmap) and mode in ("r", "r+", "w+")
    return X if is_shared and hasattr(mmap, "MADV_DONTNEED") else None


def _moments(X, weight):
    """Return weight, mean, variance, least and greatest value of features of X."""
    if weight is not None:
        X, weight = X[weight > 0], weight[weight > 0]
    n = float(X.shape[0] if weight is None else weight.sum())
    if n == 0:
        return 0.0, 0.0, 0.0, np.inf, -np.inf
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


class Batches:
    """Some rows, in mini-batches.

    Parameters
    ----------
    source : Rows
        What to take them from.

    rows : ndarray of int
        The rows to use.

    batch_size : int
        Rows in a batch. A last batch of a single row joins the one before it: batch
        normalisation, say, cannot train on one row.

    weight : torch.Tensor of shape (n_samples,), default=None
        Of every row of the source, on its device.
    """

    def __init__(self, source, *, rows, batch_size, weight=None):
        self.source = source
        self.rows = rows
        self.weight = weight
        starts = list(range(0, len(rows), batch_size))
        if batch_size > 1 and len(starts) > 1 and len(rows) - starts[-1] == 1:
            starts.pop()
        self._bounds = list(zip(starts, [*starts[1:], len(rows)], strict=True))

    @property
    def dataset(self):
        """The rows as a data set, for those of skorch's callbacks that score them."""
        return Subset(Dataset(self.source.X, length=len(self.source)), self.rows)

    def sample(self, n_rows, n_values):
        """Return a batch of some of the rows, or all, spread evenly over them.

        They are no more than so many rows, and, unless they are two, so many values.
        """
        most = max(2, n_values // self.source.X.shape[1])
        n_rows = min(n_rows, most, len(self.rows))
        chosen = np.linspace(0, len(self.rows) - 1, n_rows)
        return self._take(self._on_device(self.rows[chosen.round().astype(int)]))

    def variance(self):
        """Return the variance of the features, their mean, as networks see them."""
        centre, n, total, squares = None, 0, 0.0, 0.0
        for x, *_ in self:
            x = x.cpu().double()
            centre = x.mean(0) if centre is None else centre
            x -= centre
            n, total, squares = (
                n + len(x),
                total + x.sum(0),
                squares + x.square().sum(0),
            )
        return float((squares / n - (total / n).square()).mean())

    @property
    def n_counted(self):
        """How many rows there are, held out or not, that have a weight."""
        if self.weight is None:
            return len(self.source)
        return int((self.weight > 0).sum())

    def of_size(self, batch_size):
        """Return the same rows in batches of another size."""
        return Batches(
            self.source, rows=self.rows, batch_size=batch_size, weight=self.weight
        )

    def __len__(self):
        return len(self._bounds)

    def __iter__(self):
        """Yield every row once, in a `Batch` each, in the order of `rows`."""
        yield from self._in_order(self.rows)

    def shuffled(self, random):
        """Yield every row once, in batches, in an order drawn from `random`."""
        yield from self._in_order(random.permutation(self.rows))

    def _in_order(self, rows):
        rows = self._on_device(rows)
        for start, stop in self._bounds:
            yield self._take(rows[start:stop])

    def _on_device(self, rows):
        if isinstance(self.source.X, torch.Tensor):
            return torch.from_numpy(rows).to(self.source.device)
        return rows

    def _take(self, rows):
        x, observed = self.source.take(rows)
        return Batch(x, None if self.weight is None else self.weight[rows], observed)


def hold_out(rows, fraction):
    """Split shuffled rows into those to train on and those to watch.

    Raises
    ------
    ValueError
        If fewer than two rows are left to train on.
    """
    n_held_out = n_to_hold_out(len(rows), fraction)
    return np.sort(rows[n_held_out:]), np.sort(rows[:n_held_out])


def n_to_hold_out(n_rows, fraction):
    """Return how many of so many rows are watched, and refuse to have too few left."""
    n_held_out = int(np.ceil(fraction * n_rows))
    n_left = n_rows - n_held_out
    if n_left < 2:
        raise ValueError(
            f"With early_stopping=True and validation_fraction={fraction}, {n_left} of "
            f"{n_rows} samples are left to train on. Lower validation_fraction, or "
            "give more samples."
        )
    return n_held_out
