"""The data as float32 tensors on the device: rows of X, and mini-batches of them."""

import mmap
from contextlib import suppress

import numpy as np
import torch
from skorch.dataset import Dataset
from torch.utils.data import Subset

# How much of a memory-mapped file may count as this process's memory. To read a row,
# the system maps what it keeps together of the file: 2 MiB around it, on recent Linux.
_MAPPED_BYTES = 2**29
_MAPPED_BYTES_OF_A_ROW = 2**21


class Rows:
    """The rows of X as tensors: ``Rows(X, device)[rows]``, of a slice or indices.

    Only the rows asked for are copied and converted, never X as a whole; and they are
    always copied, so that a network that works in place cannot write into X.

    Parameters
    ----------
    X : ndarray or tensor of shape (n_samples, n_features)
        An array in memory or of a memory-mapped file; or a tensor on the device, of
        which rows are asked for by indices.

    device : torch.device
        Where the tensors are wanted.
    """

    def __init__(self, X, device):
        self.X = X
        self.device = device
        self._file = _mapped_file(X)
        self._n_mapped = 0

    def __len__(self):
        return len(self.X)

    def __getitem__(self, rows):
        if isinstance(self.X, torch.Tensor):
            return self.X[rows].float()
        return torch.from_numpy(self._read(rows)).to(self.device, torch.float32)

    def _read(self, rows):
        """Return a copy of rows of X."""
        dtype = self.X.dtype
        if dtype.kind == "u" and dtype.itemsize > 1:
            dtype = np.float32  # torch can do little with the wider of the unsigned
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

    def bounds(self):
        """Return the least and the greatest value of X, as it is."""
        lows, highs = [], []
        for block in self.blocks():
            values = self.X[block]
            lows.append(values.min())
            highs.append(values.max())
            self._release(values.nbytes)
        return float(min(lows)), float(max(highs))

    def to_device(self):
        """Return the same rows, of X as one tensor on the device where that serves.

        On a CPU, X stays where it is. It also stays where it would take more than half
        of a GPU's free memory; batches are then sent one by one. The tensor keeps X's
        own dtype, but for float64, and is filled block by block, without a second copy
        on the host.
        """
        if self.device.type == "cpu":
            return self
        dtype = torch.from_numpy(self._read(slice(0))).dtype
        if dtype == torch.float64:
            dtype = torch.float32
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if self.X.size * dtype.itemsize > free / 2:
                return self
        tensor = torch.empty(self.X.shape, dtype=dtype, device=self.device)
        for block in self.blocks():
            tensor[block] = torch.from_numpy(self._read(block)).to(dtype)
        return Rows(tensor, self.device)

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
