"""The data as float32 tensors on the device: rows of X, and mini-batches of them."""

from functools import reduce
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils.sparsefuncs import mean_variance_axis, min_max_axis
from skorch.dataset import Dataset
from torch.utils.data import Subset

from .._model.scaling import WIDE_TYPES, Scaling, Statistics
from ..distributed import ALL_OF_IT, PartOfBatch, Share, current
from .streams import Blocks, RowsOfBlocks, ahead, window_bytes

# Read as they are, batch by batch; anything else becomes float64 as a whole, so that
# values far from zero keep their digits.
DTYPES = [
    np.dtype(kind)
    for kind in ("f8", "f4", "f2", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "?")
]


class Batch(NamedTuple):
    """Some rows as networks see them, and what a loss has to know of them."""

    x: torch.Tensor
    # Of the rows: None where all count alike.
    weight: torch.Tensor | None = None
    # Which values are: None where none may be missing. Those that are missing are
    # filled in x.
    observed: torch.Tensor | None = None
    # Which part they are of the rows that all processes have.
    share: Share = ALL_OF_IT


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

    rows : ndarray of int, or RowsOfBlocks
        The rows to use.

    batch_size : int
        Rows in a batch. A last batch of a single row joins the one before it: batch
        normalisation, say, cannot train on one row. So does one of fewer rows than
        there are processes.

    weight : torch.Tensor of shape (n_samples,), default=None
        Of every row of the source, on its device.
    """

    def __init__(self, source, *, rows, batch_size, weight=None):
        self.source = source
        self.rows = rows
        self.batch_size = batch_size
        self.weight = weight

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
        if isinstance(self.rows, RowsOfBlocks):
            return self._take(self.rows.spread(n_rows))
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
        n, size = len(self.rows), self.batch_size
        least = max(2, current().size)
        is_joined = size > 1 and n > size and 0 < n % size < least
        return -(-n // size) - is_joined

    def __iter__(self):
        """Yield every row once, in a `Batch` each, in the order of `rows`."""
        return self._in_order() if self._is_at_hand() else self._in_windows()

    def shuffled(self, random):
        """Yield every row once, in batches, in an order drawn from `random`.

        Of blocks, the order is drawn, too, and rows are shuffled within a window of as
        many blocks as there is room for. Of each batch, a process has its part.
        """
        shares = self._shares() if current().size > 1 else None
        is_at_hand = self._is_at_hand()
        return (self._in_order if is_at_hand else self._in_windows)(random, shares)

    def _sizes(self):
        """Yield the number of rows of each batch."""
        for _ in range(len(self) - 1):
            yield self.batch_size
        yield len(self.rows) - self.batch_size * (len(self) - 1)

    def _shares(self):
        """Return what part of each batch this process has."""
        processes = current()
        if isinstance(self.rows, RowsOfBlocks):
            parts = [self.rows.part(r, processes.size) for r in range(processes.size)]
            # Each has about as many rows, which are spread evenly over all batches.
            ends = [np.linspace(0, len(part), len(self) + 1) for part in parts]
            sizes = np.diff(np.round(ends).astype(int), axis=1).T
        else:
            ends = [
                np.arange(processes.size + 1) * n // processes.size
                for n in self._sizes()
            ]
            sizes = np.diff(ends, axis=1)
        if sizes.min() < 1:
            raise ValueError(
                f"{processes.size} processes cannot share batches of "
                f"{self.batch_size} of {len(self.rows)} rows: some would have none. "
                "Raise batch_size, start fewer processes, or store X in more blocks."
            )
        starts = np.cumsum(sizes, axis=1) - sizes
        rank = processes.rank
        return [
            PartOfBatch(processes, start, start + own, n)
            for start, own, n in zip(
                starts[:, rank].tolist(),
                sizes[:, rank].tolist(),
                sizes.sum(1).tolist(),
                strict=True,
            )
        ]

    def _is_at_hand(self):
        """Tell whether rows can be taken one by one where they are."""
        X = self.source.X
        is_there = isinstance(X, torch.Tensor) or self.source.device.type == "cpu"
        return is_there and not isinstance(X, Blocks)

    def _order(self, random, shares):
        """Return the numbers of the rows, in the order of the batches of this process.

        Not of blocks, of which the order is drawn with their windows.
        """
        rows = self.rows if random is None else random.permutation(self.rows)
        if shares is None:
            return rows
        starts = np.cumsum([0, *(share.n_rows for share in shares)]).tolist()
        return np.concatenate(
            [
                rows[start + share.start : start + share.stop]
                for start, share in zip(starts[:-1], shares, strict=True)
            ]
        )

    def _own_sizes(self, shares):
        if shares is None:
            yield from ((n, ALL_OF_IT) for n in self._sizes())
        else:
            yield from ((share.stop - share.start, share) for share in shares)

    def _in_order(self, random=None, shares=None):
        rows, start = self._on_device(self._order(random, shares)), 0
        for size, share in self._own_sizes(shares):
            yield self._take(rows[start : start + size])._replace(share=share)
            start += size

    def _in_windows(self, random=None, shares=None):
        """Yield batches of rows that are read ahead, a window at a time."""
        sizes = self._own_sizes(shares)
        (size, share), parts = next(sizes), []
        for numbers, rows in ahead(self._read, self._windows(random, shares)):
            rows = rows.sent()
            order = np.arange(len(rows))
            if random is not None and isinstance(self.source.X, Blocks):
                order = random.permutation(order)
            if self.weight is not None:
                numbers = torch.from_numpy(numbers).to(self.weight.device)
            if isinstance(rows.X, torch.Tensor):
                order = torch.from_numpy(order).to(rows.device)
            at = 0
            while at < len(rows):
                chosen = order[at : at + size - sum(len(p.x) for p in parts)]
                x, observed = rows.take(chosen)
                weight = None if self.weight is None else self.weight[numbers[chosen]]
                parts.append(Batch(x, weight, observed))
                at += len(chosen)
                if sum(len(p.x) for p in parts) == size:
                    yield _joined(parts)._replace(share=share)
                    (size, share), parts = next(sizes, (0, None)), []

    def _windows(self, random, shares):
        if isinstance(self.rows, RowsOfBlocks):
            rows = self.rows if random is None else self.rows.permuted(random)
            if shares is not None:
                rows = rows.part(current().rank, current().size)
            yield from rows.windows()
            return
        rows = self._order(random, shares)
        n_rows = max(1, window_bytes() // self.source.row_bytes())
        for start in range(0, len(rows), n_rows):
            yield rows[start : start + n_rows]

    def _read(self, window):
        """Return numbers of rows, and the `Rows`, ready for the device."""
        if isinstance(self.rows, RowsOfBlocks):
            numbers, values = self.rows.read(window)
        else:
            numbers, values = window, self.source._read(window)
        rows = Rows(values, self.source.device, self.source.scaling)
        return numbers, rows.pinned()

    def _on_device(self, rows):
        if isinstance(self.source.X, torch.Tensor):
            return torch.from_numpy(rows).to(self.source.device)
        return rows

    def _take(self, rows):
        x, observed = self.source.take(rows)
        return Batch(x, None if self.weight is None else self.weight[rows], observed)


def _joined(parts):
    """Return parts of a batch as one."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*(part[:3] for part in parts), strict=True)
    return Batch(*(None if of[0] is None else torch.cat(of) for of in columns))


def rows_of(X, is_meant):
    """Return the numbers of the rows of X: all, or those that are meant."""
    if isinstance(X, Blocks):
        return RowsOfBlocks(X, np.arange(len(X.bounds) - 1), is_meant)
    return np.arange(X.shape[0]) if is_meant is None else np.flatnonzero(is_meant)


def hold_out(rows, random, fraction):
    """Split rows at random into those to train on and those to watch.

    Of blocks, whole ones are watched: at least so many rows.

    Raises
    ------
    ValueError
        If fewer than two rows are left to train on.
    """
    n_held_out = n_to_hold_out(len(rows), fraction)
    if isinstance(rows, RowsOfBlocks):
        watched, trained = rows.permuted(random).split(n_held_out)
        n_to_hold_out(len(rows), len(watched) / len(rows))
        return trained, watched
    shuffled = random.permutation(rows)
    return np.sort(shuffled[n_held_out:]), np.sort(shuffled[:n_held_out])


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
