"""The data as float32 tensors on the device: rows of X, and mini-batches of them."""

import mmap
from contextlib import suppress

import numpy as np
import torch
from skorch.dataset import Dataset
from torch.utils.data import Subset

from .._model.scaling import WIDE_TYPES, Scaling, Statistics

# Read as they are, batch by batch; anything else becomes float32 as a whole.
DTYPES = [
    np.dtype(kind)
    for kind in ("f4", "f8", "f2", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "?")
]

# How much of a memory-mapped file may count as this process's memory. To read a row,
# the system maps what it keeps together of the file: 2 MiB around it, on recent Linux.
_MAPPED_BYTES = 2**29
_MAPPED_BYTES_OF_A_ROW = 2**21


class Rows:
    """The rows of X as networks see them: ``Rows(X, device)[slice or indices]``.

    Only the rows asked for are copied, converted and mapped, never X as a whole; and
    they are always copied, so that a network that works in place cannot write into X.

    Parameters
    ----------
    X : ndarray or tensor of shape (n_samples, n_features)
        An array in memory or of a memory-mapped file; or a tensor on the device, of
        which rows are asked for by indices.

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
        return len(self.X)

    def __getitem__(self, rows):
        if isinstance(self.X, torch.Tensor):
            return self.scaling(self.X[rows])
        x = torch.from_numpy(self._read(rows))
        if x.dtype in WIDE_TYPES:  # mapped on the host: some devices have no float64
            return self.scaling(x).to(self.device)
        return self.scaling(x.to(self.device))

    def _read(self, rows):
        """Return a copy of rows of X."""
        dtype = self.X.dtype
        if dtype.kind == "u" and dtype.itemsize > 1:
            # torch can do little with the wider of the unsigned.
            dtype = np.float32 if dtype.itemsize == 2 else np.float64
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
        step = max(1, n_bytes // self.X[0].nbytes)
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))

    @np.errstate(over="ignore", invalid="ignore")  # of what `refuse_large` refuses
    def statistics(self):
        """Return the `Statistics` of X as it is, of one pass in float64."""
        n_rows, mean, variance = 0, 0.0, 0.0
        low, high = np.inf, -np.inf
        for block in self.blocks(2**18 * self.X.itemsize):
            values = np.asarray(self.X[block], dtype=np.float64)
            # Two parts are combined without cancellation.
            share = len(values) / (n_rows + len(values))
            mean_of_block = values.mean(axis=0)
            difference = mean_of_block - mean
            between = share * (1 - share) * np.square(difference)
            variance = (1 - share) * variance + share * values.var(axis=0) + between
            mean = mean + share * difference
            low = np.minimum(low, values.min(axis=0))
            high = np.maximum(high, values.max(axis=0))
            n_rows += len(values)
            self._release(self.X[block].nbytes)
        # A constant feature may have the variance of rounding.
        rounding = np.square(10 * np.finfo(np.float64).eps * mean)
        variance = np.where(variance > rounding, variance, 0.0)
        statistics = Statistics(mean, variance, low, high)
        self._bounds = statistics.bounds
        return statistics

    def bounds(self):
        """Return the least and the greatest value of X, as it is. It is read once."""
        if self._bounds is None:
            lows, highs = [], []
            for block in self.blocks():
                values = self.X[block]
                lows.append(values.min())
                highs.append(values.max())
                self._release(values.nbytes)
            self._bounds = float(min(lows)), float(max(highs))
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
            if self.X.size * dtype.itemsize > free / 2:
                return self
        tensor = torch.empty(self.X.shape, dtype=dtype, device=self.device)
        for block in self.blocks():
            x = torch.from_numpy(self._read(block))
            tensor[block] = self.scaling(x) if is_wide else x
        return Rows(tensor, self.device, None if is_wide else self.scaling)

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
    if isinstance(X, torch.Tensor) or X.nbytes < _MAPPED_BYTES:
        return None
    mode = None
    while isinstance(X, np.ndarray):
        mode = getattr(X, "mode", mode)
        X = X.base
    # Pages of a copy-on-write map hold what was written to them, and nothing else does.
    is_shared = isinstance(X, mmap.mmap) and mode in ("r", "r+", "w+")
    return X if is_shared and hasattr(mmap, "MADV_DONTNEED") else None


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
    """

    def __init__(self, source, *, rows, batch_size):
        self.source = source
        self.rows = rows
        starts = list(range(0, len(rows), batch_size))
        if batch_size > 1 and len(starts) > 1 and len(rows) - starts[-1] == 1:
            starts.pop()
        self._bounds = list(zip(starts, [*starts[1:], len(rows)], strict=True))

    @property
    def dataset(self):
        """The rows as a data set, for those of skorch's callbacks that score them."""
        return Subset(Dataset(self.source.X), self.rows)

    def sample(self, n_rows):
        """Return so many of the rows, or all, spread evenly over them."""
        chosen = np.linspace(0, len(self.rows) - 1, min(n_rows, len(self.rows)))
        rows = self.rows[chosen.round().astype(int)]
        if isinstance(self.source.X, torch.Tensor):
            rows = torch.from_numpy(rows).to(self.source.device)
        return self.source[rows]

    def variance(self):
        """Return the variance of the features, their mean, as networks see them."""
        centre, n, total, squares = None, 0, 0.0, 0.0
        for x in self:
            x = x.cpu().double()
            centre = x.mean(0) if centre is None else centre
            x -= centre
            n, total, squares = (
                n + len(x),
                total + x.sum(0),
                squares + x.square().sum(0),
            )
        return float((squares / n - (total / n).square()).mean())

    def __len__(self):
        return len(self._bounds)

    def __iter__(self):
        """Yield every row once, in batches, in the order of `rows`."""
        yield from self._in_order(self.rows)

    def shuffled(self, random):
        """Yield every row once, in batches, in an order drawn from `random`."""
        yield from self._in_order(random.permutation(self.rows))

    def _in_order(self, rows):
        if isinstance(self.source.X, torch.Tensor):
            rows = torch.from_numpy(rows).to(self.source.device)
        for start, stop in self._bounds:
            yield self.source[rows[start:stop]]


def hold_out(rows, fraction):
    """Split shuffled rows into those to train on and those to watch.

    Raises
    ------
    ValueError
        If fewer than two rows are left to train on.
    """
    n_held_out = int(np.ceil(fraction * len(rows)))
    n_left = len(rows) - n_held_out
    if n_left < 2:
        raise ValueError(
            f"With early_stopping=True and validation_fraction={fraction}, {n_left} of "
            f"{len(rows)} samples are left to train on. Lower validation_fraction, or "
            "give more samples."
        )
    return np.sort(rows[n_held_out:]), np.sort(rows[:n_held_out])
