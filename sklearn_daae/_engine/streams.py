"""Rows that are read block by block: of large files, lazy arrays, iterators."""

import mmap
from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle
from tempfile import TemporaryFile

import numpy as np
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.utils import check_array

# Of consecutive rows that are read at once, and keep each other's company in every
# epoch. Less is read slowly; a window has a good number of them.
_BLOCK_BYTES = 2**20
_BLOCKS_OF_A_WINDOW = 64
# Of a mapped file, after which its pages are given back.
_MAPPED_BYTES = 2**22
# What arrays and data frames in memory have.
_OF_MEMORY = "__array_namespace__", "__dataframe__", "iloc", "requires_grad"


def window_bytes():
    """Return how much of X is held to be shuffled: a part of scikit-learn's limit.

    There are two such windows, since one is read while the other is trained on.
    """
    return int(get_config()["working_memory"] * 2**20) // 4


class Blocks:
    """An array whose blocks of rows are read when they are asked for.

    Parameters
    ----------
    read : callable
        Returns the rows from a start to a stop, as an array or a data frame.

    bounds : array-like of int
        Where blocks begin, and where the last one ends.

    n_columns : int
        The number of features.

    Attributes
    ----------
    dtype : dtype
        Of what is read, once it is known: see `expect`.
    """

    def __init__(self, read, bounds, n_columns):
        self.read = read
        self.bounds = np.asarray(bounds, dtype=np.int64)
        self.n_columns = n_columns
        self._last = None, None

    def __len__(self):
        return int(self.bounds[-1] - self.bounds[0])

    @property
    def shape(self):
        """Numbers of rows and columns."""
        return len(self), self.n_columns

    @property
    def nbytes(self):
        """The size of the whole, as it is read."""
        return len(self) * self.n_columns * self.dtype.itemsize

    def head(self):
        """Return the first two rows, as they come."""
        return self.read(0, min(2, len(self)))

    def expect(self, dtype, check):
        """Be told of what dtype blocks are to be, and what checks and converts them."""
        self.dtype = np.dtype(dtype)
        self._check = check

    def between(self, start, stop):
        """Return some of the rows, as blocks."""
        start, stop = self.bounds[0] + start, self.bounds[0] + stop
        inner = self.bounds[(self.bounds > start) & (self.bounds < stop)]
        part = Blocks(self.read, [start, *inner, stop], self.n_columns)
        part.expect(self.dtype, self._check)
        return part

    def rows_of(self, i):
        """Return the numbers of the rows of a block."""
        start, stop = (self.bounds[i : i + 2] - self.bounds[0]).tolist()
        return range(start, stop)

    def block(self, i):
        """Return the rows of a block, checked. The last one is kept."""
        known, values = self._last
        if known != i:
            self._last = values = None, None  # before another comes: one is held
            start, stop = self.bounds[i : i + 2].tolist()
            values = self._check(self.read(start, stop))
            values = values.astype(self.dtype, copy=False)
            self._last = i, values
        return values

    def __getitem__(self, rows):
        """Return a copy of a slice of rows, or of rows by their sorted numbers."""
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        values = np.empty((len(rows), self.n_columns), self.dtype)
        at, ends = 0, self.bounds[1:] - self.bounds[0]
        while at < len(rows):
            i = bisect_right(ends, rows[at])
            stop = int(np.searchsorted(rows, ends[i]))
            values[at:stop] = self.block(i)[rows[at:stop] - self.rows_of(i).start]
            at = stop
        return values


class RowsOfBlocks:
    """The numbers of rows of some blocks, in the order of the blocks.

    Parameters
    ----------
    X : Blocks

    blocks : ndarray of int
        Which of its blocks.

    is_meant : ndarray of bool of shape (n_samples,), default=None
        Which rows of them. By default, all.
    """

    def __init__(self, X, blocks, is_meant=None):
        self.X = X
        self.blocks = blocks
        self.is_meant = is_meant
        self.ends = np.cumsum([len(self.of(i)) for i in blocks])

    def __len__(self):
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, place):
        k = bisect_right(self.ends, place)
        rows = self.of(self.blocks[k])
        return int(rows[place - int(self.ends[k])])

    def of(self, i):
        """Return those of a block."""
        rows = self.X.rows_of(i)
        if self.is_meant is None:
            return rows
        return rows.start + np.flatnonzero(self.is_meant[rows.start : rows.stop])

    def permuted(self, random):
        """Return the same with the blocks in an order drawn."""
        return RowsOfBlocks(self.X, random.permutation(self.blocks), self.is_meant)

    def part(self, k, n):
        """Return the k-th of n parts of the blocks."""
        return RowsOfBlocks(self.X, self.blocks[k::n], self.is_meant)

    def split(self, n_rows):
        """Return the blocks that hold the first so many rows, and the others."""
        k = bisect_right(self.ends, n_rows - 1) + 1
        return [
            RowsOfBlocks(self.X, np.sort(blocks), self.is_meant)
            for blocks in (self.blocks[:k], self.blocks[k:])
        ]

    def spread(self, n_rows, n_blocks=64):
        """Return the numbers of some, sorted: of a few blocks, since all are read."""
        n_blocks = min(n_blocks, len(self.blocks), n_rows)
        parts = []
        for k in np.linspace(0, len(self.blocks) - 1, n_blocks).round().astype(int):
            rows = np.asarray(self.of(self.blocks[k]))
            n = min(-(-n_rows // n_blocks), len(rows))
            parts.append(rows[np.linspace(0, len(rows) - 1, n).round().astype(int)])
        return np.sort(np.concatenate(parts))

    def windows(self):
        """Return blocks of about `window_bytes`, in turn.

        Each with memory for its rows, of which two windows in a row have their own:
        what is allocated anew each time would be scattered over more and more of it.
        """
        row_bytes = self.X.n_columns * self.X.dtype.itemsize
        windows, n_rows, left = [], [], 0
        for i in self.blocks.tolist():
            n = len(self.of(i))
            if not windows or n * row_bytes > left:
                windows.append([])
                n_rows.append(0)
                left = window_bytes()
            windows[-1].append(i)
            n_rows[-1] += n
            left -= n * row_bytes
        shape = max(n_rows, default=0), self.X.n_columns
        memory = [np.empty(shape, self.X.dtype) for _ in windows[:2]]
        return zip(windows, cycle(memory), strict=False)

    def read(self, window):
        """Return the numbers of the rows of some blocks, and the rows."""
        blocks, memory = window
        numbers, at = [self.of(i) for i in blocks], 0
        for i, rows in zip(blocks, numbers, strict=True):
            part = memory[at : at + len(rows)]
            if self.is_meant is None:
                part[:] = self.X.block(i)
            else:
                np.take(self.X.block(i), rows - self.X.rows_of(i).start, 0, out=part)
            at += len(rows)
        return np.concatenate(numbers), memory[:at]


def ahead(read, windows):
    """Yield what is read of each window, while a thread reads the next."""
    with ThreadPoolExecutor(1, thread_name_prefix="sklearn_daae_reader") as thread:
        coming = None
        for window in windows:
            done, coming = coming, thread.submit(read, window)
            if done is not None:
                yield done.result()
                del done  # before the next but one is read
        if coming is not None:
            yield coming.result()


def as_blocks(X):
    """Return X as `Blocks`, or as it is where it is no source of them.

    Blocks are large memory-mapped files; arrays of h5py, zarr and dask, and whatever
    has a shape, a dtype and slices; data frames of dask; data sets of pyarrow; and
    iterators of blocks, which are written to a temporary file.
    """
    if isinstance(X, Iterator):
        X = _written(X)
    if len(getattr(X, "shape", ())) != 2 and not hasattr(X, "get_fragments"):
        return X
    if isinstance(X, np.ndarray):
        file = _mapped_file(X) if X.nbytes > window_bytes() else None
        return X if file is None else _of_array(X, _MappedFile(X, file))
    if hasattr(X, "to_dask_array"):  # a data frame of dask
        array = X.to_dask_array(lengths=True)
        return Blocks(_Computed(X, array), _merged(array), array.shape[1])
    if hasattr(X, "compute_chunk_sizes"):  # an array of dask
        if np.isnan(X.shape[0]):
            X = X.compute_chunk_sizes()
        return Blocks(lambda a, b: X[a:b].compute(), _merged(X), X.shape[1])
    if hasattr(X, "get_fragments"):  # a data set of pyarrow
        fragments = _Fragments(X)
        return Blocks(fragments, fragments.bounds, len(X.schema.names))
    is_lazy = hasattr(X, "dtype") and hasattr(X, "__getitem__") and not issparse(X)
    if not is_lazy or any(hasattr(X, name) for name in _OF_MEMORY):
        return X
    return _of_array(X, lambda a, b: np.asarray(X[a:b]))


def _block_bytes():
    return min(_BLOCK_BYTES, window_bytes() // _BLOCKS_OF_A_WINDOW)


def _of_array(X, read):
    """Return blocks of whole chunks, if there are any, of about the size of a block."""
    n, d = X.shape
    row_bytes = max(1, d * np.dtype(X.dtype).itemsize)
    step = max(1, _block_bytes() // row_bytes)
    chunk = (getattr(X, "chunks", None) or (1,))[0]
    step = -(-step // chunk) * chunk
    return Blocks(read, np.append(np.arange(0, n, step), n), d)


def _merged(X):
    """Return bounds of blocks of an array of dask: of whole chunks."""
    least = _block_bytes() // max(1, X.shape[1] * X.dtype.itemsize)
    bounds = [0]
    ends = np.cumsum(X.chunks[0])
    for end in ends:
        if end - bounds[-1] >= least or end == ends[-1]:
            bounds.append(int(end))
    return bounds


class _Computed:
    """Reads rows of a data frame of dask: the first ones with their names."""

    def __init__(self, frame, array):
        self.frame, self.array = frame, array

    def __call__(self, start, stop):
        if start == 0 and stop == len(self.array):
            return self.frame.compute()
        if stop <= 2:
            return self.frame.head(stop, npartitions=-1)
        return self.array[start:stop].compute()


class _Fragments:
    """Reads rows of a data set of pyarrow, of which a block is a row group of a file.

    Of formats that have none, it is a file.
    """

    def __init__(self, dataset):
        self.parts, self.bounds = [], [0]
        for fragment in dataset.get_fragments():
            has_groups = hasattr(fragment, "split_by_row_group")
            for part in fragment.split_by_row_group() if has_groups else [fragment]:
                # Of a part, `count_rows` is that of its file.
                groups = part.row_groups if has_groups else ()
                n_rows = sum(g.num_rows for g in groups) or part.count_rows()
                if n_rows:
                    self.parts.append(part)
                    self.bounds.append(self.bounds[-1] + n_rows)
        self.schema = dataset.schema

    def __call__(self, start, stop):
        import pyarrow

        first = bisect_right(self.bounds, start) - 1
        tables = []
        while self.bounds[first] < stop:
            table = self.parts[first].to_table(schema=self.schema)
            offset = max(0, start - self.bounds[first])
            tables.append(table.slice(offset, stop - self.bounds[first] - offset))
            first += 1
        return pyarrow.concat_tables(tables)


class _MappedFile:
    """Reads rows of a memory-mapped file, and gives its pages back now and then.

    They stay in the system's cache, and no longer count as this process's memory.
    """

    def __init__(self, X, file):
        self.X, self.file, self.n_bytes = X, file, 0

    def __call__(self, start, stop):
        values = np.array(self.X[start:stop])
        self.n_bytes += values.nbytes
        if self.n_bytes >= _MAPPED_BYTES:
            with suppress(OSError):  # pages that are locked in memory
                self.file.madvise(mmap.MADV_DONTNEED)
            self.n_bytes = 0
        return values


def _mapped_file(X):
    """Return the memory-mapped file that X is a view of, if its pages are to go."""
    mode = None
    while isinstance(X, np.ndarray):
        mode = getattr(X, "mode", mode)
        X = X.base
    # Pages of a copy-on-write map hold what was written to them, and nothing else does.
    is_shared = isinstance(X, mmap.mmap) and mode in ("r", "r+", "w+")
    return X if is_shared and hasattr(mmap, "MADV_DONTNEED") else None


def _written(blocks):
    """Return rows of an iterator of blocks, written to a file that has no name."""
    dtype, shape, n_rows = None, None, 0
    with TemporaryFile(prefix="sklearn_daae") as file:
        for block in blocks:
            values = check_array(
                block, input_name="X", ensure_all_finite=False, ensure_min_samples=0
            )
            if shape is None:
                dtype, shape = values.dtype, values.shape[1:]
            is_same_kind = np.can_cast(values.dtype, dtype, "same_kind")
            if values.shape[1:] != shape or not is_same_kind:
                raise ValueError(
                    "X is an iterator of blocks, of which the first has "
                    f"{shape[0]} columns of {dtype}, and another {values.shape[1]} of "
                    f"{values.dtype}. Give all of them alike."
                )
            file.write(np.ascontiguousarray(values, dtype))
            n_rows += len(values)
        if n_rows == 0:
            raise ValueError("X is an iterator that has no rows, or was used before.")
        file.flush()
        return np.memmap(file, dtype, "r+", shape=(n_rows, *shape))
