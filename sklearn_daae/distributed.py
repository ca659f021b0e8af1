"""One model trained by many processes, each on a part of every batch."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import torch
from torch import distributed
from torch.nn.modules.batchnorm import _BatchNorm

from ._random import Shard

__all__ = ["data_parallel"]


class Processes:
    """Those that train a model together: here, the only one.

    Attributes
    ----------
    rank : int
        Which of them this is, from 0 up.

    size : int
        How many there are.
    """

    rank, size = 0, 1

    def all(self, value: Any) -> list[Any]:
        """Return the values of all processes, in order."""
        return [value]

    def same(self, value: Any) -> Any:
        """Return the value of the first process."""
        return value

    def sum_(self, tensor: torch.Tensor) -> torch.Tensor:
        """Add the tensors of all others to this one."""
        return tensor

    def check_same(self, *what: Any) -> None:
        """Refuse to train where processes have other models, or another X."""

    def agree(self, module: torch.nn.Module) -> None:
        """Give a module the weights of the first process, or refuse it."""


class Share:
    """What all rows of a batch are to one process: here, its own.

    On tensors of shape (M * n_samples, n): of M corruptions of each row, say.
    """

    part = 1.0

    def generator(self, generator):
        """Return what draws numbers for the rows of this process."""
        return generator

    def whole(self, x):
        """Return the rows of all processes, of which these are some."""
        return x

    def own(self, x):
        """Return the rows of this process."""
        return x

    def mean(self, x):
        """Return the mean over all rows, given that over its own."""
        return x


class _Group(Processes):
    """Processes that torch knows of."""

    def __init__(self):
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self.is_on_gpu = distributed.get_backend() == "nccl"

    def all(self, value):
        values = [None] * self.size
        with _clear_errors():
            distributed.all_gather_object(values, value)
        return values

    def same(self, value):
        return self.all(value if self.rank == 0 else None)[0]

    def sum_(self, tensor):
        with _clear_errors():
            distributed.all_reduce(tensor)
        return tensor

    def check_same(self, *what):
        found = self.all(what)
        if len(set(found)) > 1:
            raise ValueError(
                "All processes must fit one model on one X, but they have: "
                f"{', '.join(map(str, found))}. Give each of them all rows: it takes "
                "its own part."
            )

    def agree(self, module):
        if any(isinstance(m, _BatchNorm) for m in module.modules()):
            raise ValueError(
                "Networks with batch normalisation cannot be trained by several "
                "processes: each would normalise by its own rows. Give networks "
                "without, such as network=('conv', {'batch_norm': False})."
            )
        with _clear_errors():
            for tensor in (*module.parameters(), *module.buffers()):
                distributed.broadcast(tensor.data, 0)


class PartOfBatch(Share):
    """The rows of one process among those of a batch.

    Parameters
    ----------
    processes : Processes

    start, stop, n_rows : int
        Which rows they are, and how many there are in all.

    own_generator : torch.Generator
        Of this process alone, for code of the user's.
    """

    def __init__(self, processes, start, stop, n_rows, own_generator=None):
        self.processes = processes
        self.start, self.stop, self.n_rows = start, stop, n_rows
        self.part = (stop - start) / n_rows
        self.own_generator = own_generator

    def generator(self, generator):
        return Shard(generator, self)

    def whole(self, x):
        if x is None:
            return None
        if x.dim() == 1:
            return self.whole(x[:, None])[:, 0]
        n = self.stop - self.start
        x = x.detach().unflatten(0, (-1, n))
        every = x.new_zeros(len(x), self.n_rows, *x.shape[2:])
        every[:, self.start : self.stop] = x
        return self.processes.sum_(every).flatten(0, 1)

    def own(self, x):
        x = x.unflatten(0, (-1, self.n_rows))
        return x[:, self.start : self.stop].flatten(0, 1)

    def mean(self, x):
        return self.processes.sum_(x.detach() * self.part)


ALONE, ALL_OF_IT = Processes(), Share()
_current: ContextVar[Processes] = ContextVar("processes", default=ALONE)


def current() -> Processes:
    """Return those that train together."""
    return _current.get()


@contextmanager
def _clear_errors():
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(
            "Another process of this data-parallel training has ended, or is out of "
            "reach: this one cannot go on without it. Its own message tells why. With "
            "a Checkpoint among the callbacks and warm_start=True, the same script "
            "goes on from the last whole epoch, on any number of processes."
        ) from error


@contextmanager
def data_parallel(
    backend: str | None = None, *, timeout: float = 600
) -> Iterator[Processes]:
    """Have each process of a group take its part of every batch.

    In this context, `fit` and `partial_fit` train one model in all processes that
    ``torchrun`` has started, by `torch.distributed`. Every process runs the same script
    on the same X. Of each batch it takes its own rows, reads no others, and gradients
    are added up: up to rounding, the model is the one that a single process trains
    with the same `random_state`, and all processes have it. What looks at all rows of
    a batch, such as the match to the prior, does so here, too.

    Parameters
    ----------
    backend : {"gloo", "nccl"}, default=None
        How processes talk, of `torch.distributed`. None is "nccl" where there are CUDA
        devices, of which each process is given one, and else "gloo".

    timeout : float, default=600
        Seconds after which a process that waits for another gives up.

    Yields
    ------
    processes : Processes
        With the attributes `rank`, which process this is, and `size`, their number. The
        first alone, of rank 0, shows progress and writes a `Checkpoint`; let it save
        the model, too.

    Raises
    ------
    RuntimeError
        If no group of processes was started; or, by `fit`, if another process has
        ended. Then the estimator is what it was before.

    ValueError
        By `fit`, if the processes have an X of other shapes, or if networks normalise
        batches, of which each process would see a part.

    See Also
    --------
    sklearn_daae.Checkpoint : Lets a training go on that was stopped.
    sklearn_daae.model_selection.fit_together : Trains many models in one process.

    Notes
    -----
    `X` in an array is in the memory of every process. Of memory-mapped files, lazy
    arrays and data sets, a process reads its rows only; where they are read in blocks,
    each takes blocks of its own, in another order than a single process. The corruption
    "swap" takes values from rows of the same process. A corruption of your own draws
    from a generator of each process.

    Examples
    --------
    In a script ``train.py``, to be run by ``torchrun --nproc-per-node 2 train.py``:

    >>> from sklearn_daae import Checkpoint, DAAETransformer
    >>> from sklearn_daae.distributed import data_parallel
    >>> def train(X, path):
    ...     with data_parallel() as processes:
    ...         model = DAAETransformer(
    ...             callbacks=[Checkpoint("training")], warm_start=True, random_state=0
    ...         ).fit(X)
    ...         if processes.rank == 0:
    ...             model.save(path)
    """
    owns = not distributed.is_initialized()
    if owns:
        if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
            raise RuntimeError(
                "No group of processes was started. Run the script by torchrun, for "
                "example: torchrun --nproc-per-node 2 train.py"
            )
        if backend is None:
            backend = "nccl" if torch.cuda.is_available() else "gloo"
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        distributed.init_process_group(backend, timeout=timedelta(seconds=timeout))
    token = _current.set(_Group())
    try:
        yield current()
        with _clear_errors():  # none leaves what others still ask
            distributed.barrier()
    finally:
        _current.reset(token)
        if owns:
            # What a failed training has left in cycles keeps the group: torch aborts at
            # the process's end where it is still there.
            gc.collect()
            distributed.destroy_process_group()
