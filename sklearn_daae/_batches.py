"""The training data as shuffled mini-batches on the device."""

import numpy as np
import torch
from skorch.dataset import Dataset
from torch.utils.data import Subset


def read_rows(X, rows, device):
    """Return ``X[rows]`` as a float32 tensor on `device`.

    `rows` is a slice or an array of indices. Only these rows are copied and converted,
    never X as a whole; and they are always copied, so that a network that works in
    place cannot write into X.
    """
    return torch.from_numpy(np.array(X[rows])).to(device, torch.float32)


def resident(X, device):
    """Return X as one tensor on the device where that serves, else X itself.

    On a CPU, X stays where it is: an array in memory or a memory-mapped file. It also
    stays where it would take more than half of a GPU's free memory; batches are then
    sent one by one. A tensor keeps X's own dtype, but for float64, and is filled block
    by block, without a second copy on the host.
    """
    if device.type == "cpu":
        return X
    dtype = torch.from_numpy(np.array(X[:0])).dtype
    if dtype == torch.float64:
        dtype = torch.float32
    n_bytes = X.size * dtype.itemsize
    if device.type == "cuda" and n_bytes > torch.cuda.mem_get_info(device)[0] / 2:
        return X
    tensor = torch.empty(X.shape, dtype=dtype, device=device)
    step = max(1, 2**26 // X[0].nbytes)
    for start in range(0, len(X), step):
        block = torch.from_numpy(np.array(X[start : start + step]))
        tensor[start : start + step] = block.to(dtype)
    return tensor


class Batches:
    """Some rows of X, in mini-batches.

    Parameters
    ----------
    X : ndarray or tensor of shape (n_samples, n_features)
        As `resident` gives it. From a tensor, batches are index selections on its
        device.

    rows : ndarray of int
        The rows to use.

    batch_size : int
        Rows in a batch. A last batch of a single row joins the one before it: batch
        normalisation, say, cannot train on one row.

    device : torch.device
    """

    def __init__(self, X, *, rows, batch_size, device):
        self._source = X
        self.rows = rows
        self.device = device
        starts = list(range(0, len(rows), batch_size))
        if batch_size > 1 and len(starts) > 1 and len(rows) - starts[-1] == 1:
            starts.pop()
        self._bounds = list(zip(starts, [*starts[1:], len(rows)], strict=True))

    @property
    def dataset(self):
        """The rows as a data set, for those of skorch's callbacks that score them."""
        return Subset(Dataset(self._source), self.rows)

    def __len__(self):
        return len(self._bounds)

    def __iter__(self):
        """Yield every row once, in batches, in the order of `rows`."""
        yield from self._in_order(self.rows)

    def shuffled(self, random):
        """Yield every row once, in batches, in an order drawn from `random`."""
        yield from self._in_order(random.permutation(self.rows))

    def _in_order(self, rows):
        on_device = isinstance(self._source, torch.Tensor)
        if on_device:
            rows = torch.from_numpy(rows).to(self.device)
        for start, stop in self._bounds:
            if on_device:
                yield self._source[rows[start:stop]].float()
            else:
                yield read_rows(self._source, rows[start:stop], self.device)


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
