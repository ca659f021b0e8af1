"""The training data as shuffled mini-batches on the device."""

import numpy as np
import torch


def read_rows(X, rows, device):
    """Return ``X[rows]`` as a float32 tensor on `device`.

    `rows` is a slice or an array of indices. Only these rows are converted and
    copied, never X as a whole. Read-only rows are copied too: torch has no tensor that
    cannot be written to, and warns.
    """
    block = np.require(X[rows], requirements="W")
    return torch.from_numpy(block).to(device, torch.float32)


class Batches:
    """The rows of X, in mini-batches of a new order every epoch.

    On a CPU, X stays where it is: an array in memory or a memory-mapped file. On
    another device, X is moved there once, in its own dtype, and batches are index
    selections on the device; where it would take more than half of the free memory,
    it stays on the host and batches are sent one by one.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)

    rows : ndarray of int
        The rows to use.

    batch_size : int
        Rows in a batch. A last batch of a single row joins the one before it: batch
        normalisation, say, cannot train on one row.

    device : torch.device
    """

    def __init__(self, X, *, rows, batch_size, device):
        self.X = X
        self.rows = rows
        self.device = device
        starts = list(range(0, len(rows), batch_size))
        if batch_size > 1 and len(starts) > 1 and len(rows) - starts[-1] == 1:
            starts.pop()
        self._bounds = list(zip(starts, [*starts[1:], len(rows)], strict=True))
        self._resident = _move(X, device) if _fits(X, device) else None

    def __len__(self):
        return len(self._bounds)

    def shuffled(self, random):
        """Yield every row once, in batches, in an order drawn from `random`."""
        order = random.permutation(self.rows)
        if self._resident is not None:
            order = torch.from_numpy(order).to(self.device)
        for start, stop in self._bounds:
            yield self._take(order[start:stop])

    def __iter__(self):
        """Yield every row once, in batches, in the order of X."""
        for start, stop in self._bounds:
            yield read_rows(self.X, self.rows[start:stop], self.device)

    def _take(self, rows):
        if self._resident is None:
            return read_rows(self.X, rows, self.device)
        return self._resident[rows].float()


def _fits(X, device):
    """Tell whether X should be kept on the device as one tensor."""
    if device.type == "cpu":
        return False
    if device.type == "cuda":
        return X.nbytes < torch.cuda.mem_get_info(device)[0] / 2
    return True


def _move(X, device, n_rows=65536):
    """Copy X to the device block by block, without a second copy on the host."""
    float64 = X.dtype == np.float64
    dtype = torch.float32 if float64 else torch.from_numpy(X[:0].copy()).dtype
    resident = torch.empty(X.shape, dtype=dtype, device=device)
    for start in range(0, len(X), n_rows):
        block = np.require(X[start : start + n_rows], requirements="W")
        resident[start : start + n_rows] = torch.from_numpy(block).to(dtype)
    return resident
