"""Mini-batches of rows, in an order drawn, with what a loss has to know of them."""

from typing import NamedTuple

import numpy as np
import torch
from skorch.dataset import Dataset
from torch.utils.data import Subset

from ..distributed import ALL_OF_IT, PartOfBatch, Share, current
from .rows import Rows
from .streams import Blocks, RowsOfBlocks, ahead, window_bytes


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
        in_turn = self._in_order if self._is_at_hand() else self._in_windows
        return in_turn(self.rows)

    def shuffled(self, random):
        """Yield every row once, in batches, in an order drawn from `random`.

        Of blocks, the order is drawn, too, and rows are shuffled within a window of as
        many blocks as there is room for. Of each batch, a process has its part.
        """
        if isinstance(self.rows, RowsOfBlocks):
            rows = self.rows.permuted(random)
            # Processes draw as often as their blocks have rows: each by its own.
            random = np.random.default_rng([random.integers(2**63), current().rank])
        else:
            rows, random = random.permutation(self.rows), None
        shares = None
        if current().size > 1:
            shares = self._shares(rows)
            rows = _part(rows, shares)
        if self._is_at_hand():
            return self._in_order(rows, shares)
        return self._in_windows(rows, shares, random)

    def _sizes(self):
        """Yield the number of rows of each batch."""
        for _ in range(len(self) - 1):
            yield self.batch_size
        yield len(self.rows) - self.batch_size * (len(self) - 1)

    def _shares(self, rows):
        """Return what part of each batch of these rows this process has."""
        processes = current()
        if isinstance(rows, RowsOfBlocks):
            parts = [rows.part(r, processes.size) for r in range(processes.size)]
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

    def _own_sizes(self, shares):
        if shares is None:
            yield from ((n, ALL_OF_IT) for n in self._sizes())
        else:
            yield from ((share.stop - share.start, share) for share in shares)

    def _in_order(self, rows, shares=None):
        rows, start = self._on_device(rows), 0
        for size, share in self._own_sizes(shares):
            yield self._take(rows[start : start + size])._replace(share=share)
            start += size

    def _in_windows(self, rows, shares=None, random=None):
        """Yield batches of rows that are read ahead, a window at a time."""
        sizes = self._own_sizes(shares)
        (size, share), parts = next(sizes), []
        windows = self._windows(rows)
        for numbers, window in ahead(self._read, windows):
            held = window.sent()
            order = np.arange(len(held))
            if random is not None:
                order = random.permutation(order)
            if self.weight is not None:
                numbers = torch.from_numpy(numbers).to(self.weight.device)
            if isinstance(held.X, torch.Tensor):
                order = torch.from_numpy(order).to(held.device)
            at = 0
            while at < len(held):
                chosen = order[at : at + size - sum(len(p.x) for p in parts)]
                x, observed = held.take(chosen)
                weight = None if self.weight is None else self.weight[numbers[chosen]]
                parts.append(Batch(x, weight, observed))
                at += len(chosen)
                if sum(len(p.x) for p in parts) == size:
                    yield _joined(parts)._replace(share=share)
                    (size, share), parts = next(sizes, (0, None)), []

    def _windows(self, rows):
        if isinstance(rows, RowsOfBlocks):
            return rows.windows()
        n_rows = max(1, window_bytes() // self.source.row_bytes())
        starts = range(0, len(rows), n_rows)
        return (rows[start : start + n_rows] for start in starts)

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


def _part(rows, shares):
    """Return those of this process, in the order of its batches."""
    if isinstance(rows, RowsOfBlocks):
        return rows.part(current().rank, current().size)
    ends = np.cumsum([share.n_rows for share in shares]).tolist()
    parts = [
        rows[end - share.n_rows :][share.start : share.stop]
        for end, share in zip(ends, shares, strict=True)
    ]
    return np.concatenate(parts)


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
