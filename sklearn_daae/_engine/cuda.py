"""What makes work on a GPU fast, repeatable and small: its stream, lock and recordings.

All of the package's work on a GPU goes through `working`. It is done on one stream a
device, so that libraries reserve their workspace once, and one thread at a time: what
another thread launches on that stream while a step is being recorded would become a
part of the recording.
"""

import os
from contextlib import contextmanager, suppress
from threading import Condition, get_ident

import torch

from .._random import Generators, is_borrowing

# Steps that are taken as usual before one of the same shape is recorded: libraries set
# themselves up in them, and optimisers make their state.
_N_WARM_UPS = 3


class _Turns:
    """A lock that threads hold in turns, in the order in which they have asked for it.

    `threading.Lock` would go to whoever has just released it, for as long as a training
    lasts.
    """

    def __init__(self):
        self._changed = Condition()
        self._queue = []  # the threads that wait, behind the one that holds it
        self._depth = 0
        self._arithmetic = None

    def acquire(self):
        """Wait for the turn of this thread. It may have it already."""
        me = get_ident()
        with self._changed:
            if me not in self._queue:
                self._queue.append(me)
                try:
                    self._changed.wait_for(lambda: self._queue[0] == me)
                except BaseException:  # an interrupt
                    self._queue.remove(me)
                    self._changed.notify_all()
                    raise
                self._arithmetic = _arithmetic()
            self._depth += 1

    def release(self):
        """Let the next thread have its turn, once all that was acquired is released."""
        with self._changed:
            self._depth -= 1
            if self._depth == 0:
                _set_arithmetic(self._arithmetic)
                del self._queue[0]
                self._changed.notify_all()

    def is_last(self):
        """Tell whether the next `release` ends the turn."""
        return self._depth == 1

    def give_way(self):
        """Let those who wait have their turn first.

        Not while this thread holds the global generators, which they may wait for in
        their turn.
        """
        if len(self._queue) == 1 or is_borrowing():
            return
        depth, mine = self._depth, _arithmetic()
        self._depth = 1
        self.release()
        try:
            self.acquire()
        except BaseException:  # whoever is interrupted here still has to release it
            self.acquire()
            raise
        finally:
            self._depth = depth
            _set_arithmetic(mine)


_turns = _Turns()
_streams: dict[torch.device, torch.cuda.Stream] = {}


def _renew():
    """Give a forked process, which has no use of its parent's GPU, turns of its own."""
    global _turns
    _turns = _Turns()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


@contextmanager
def working(device, *, trains=False):
    """Work on a device: on a GPU in turn with other threads, and on our stream.

    Yields a function that lets other threads that wait go first, to be called where
    nothing is half done. In the end, all memory that is not in use is given back.

    Parameters
    ----------
    device : torch.device
        Nothing happens unless it is a GPU.

    trains : bool, default=False
        Whether the GPU is to compute what training needs, always the same, and fast:
        by those of cuDNN's algorithms that repeat their results, and with products of
        float32 matrices in TF32, of 10 bits after the leading one. torch has these
        settings for all threads at once, so they last no longer than a turn.
    """
    if device.type != "cuda":
        yield lambda: None
        return
    _turns.acquire()
    try:
        before = _arithmetic()
        if trains:
            _set_arithmetic((True, "tf32"))
        stream, here = _stream(device), torch.cuda.current_stream(device)
        stream.wait_stream(here)
        try:
            with torch.cuda.stream(stream):
                yield _turns.give_way
        finally:
            here.wait_stream(stream)
            _set_arithmetic(before)
            if _turns.is_last():  # so that other processes can have what it has cached
                torch.cuda.empty_cache()
    finally:
        _turns.release()


def _stream(device):
    """Return the one stream of a device."""
    index = torch.cuda.current_device() if device.index is None else device.index
    device = torch.device("cuda", index)
    if device not in _streams:
        _streams[device] = torch.cuda.Stream(device)
    return _streams[device]


def _arithmetic():
    backends = torch.backends
    return backends.cudnn.deterministic, backends.cuda.matmul.fp32_precision


def _set_arithmetic(settings):
    if settings != _arithmetic():
        backends = torch.backends
        backends.cudnn.deterministic, backends.cuda.matmul.fp32_precision = settings


class RecordedStep:
    """Takes training steps on a GPU by replaying their recording, a CUDA graph.

    A step of small networks is hundreds of kernels, each of which takes longer to
    launch than to run. A recording is launched as one. It reads its batch and writes
    its losses where the first ones of that shape stood, and draws new random numbers
    at each replay, those that the step itself would draw.

    Parameters
    ----------
    step : callable
        Takes a step on a batch, and returns its losses as one tensor.

    generator : torch.Generator or Generators
        What the step draws random numbers from.

    groups : list of dict
        The parameter groups of the fused optimisers that it uses.

    settings : object
        What the recordings have for good, for who asks whether they still hold.
    """

    def __init__(self, step, generator, groups, settings=None):
        self.step = step
        self.generator = generator
        self.groups = groups
        self.settings = settings
        self.learning_rates = [
            torch.tensor(group["lr"], device=generator.device, dtype=torch.float32)
            for group in groups
        ]
        self.n_taken = {}
        self.recordings = {}

    def read_learning_rates(self):
        """Have recordings go on with the present learning rates."""
        for rate, group in zip(self.learning_rates, self.groups, strict=True):
            rate.fill_(group["lr"])

    def __call__(self, *batch):
        """Take a step on a `Batch`, and return its losses."""
        shape = batch[0].shape
        if shape not in self.recordings:
            n_taken = self.n_taken.get(shape, 0)
            if n_taken < _N_WARM_UPS:
                self.n_taken[shape] = n_taken + 1
                return self.step(*batch)
            self.recordings[shape] = self._record(batch)
        graph, recorded, losses = self.recordings[shape]
        for own, given in zip(recorded, batch, strict=True):
            if own is not None:
                own.copy_(given)
        graph.replay()
        return losses.clone()

    def _record(self, batch):
        """Return a recording of the step, its batch and its losses."""
        device = batch[0].device
        batch = [None if part is None else part.clone() for part in batch]
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        generators = [self.generator]
        if isinstance(self.generator, Generators):
            generators = list(self.generator)
        for generator in generators:
            graph.register_generator_state(generator)
        try:
            with (
                _put_back_if_it_fails(device, pool, generators),
                self._recordable(),
                torch.cuda.graph(
                    graph,
                    pool=pool,
                    stream=torch.cuda.current_stream(device),
                    # Threads that do not wait for their turn may use the device, too.
                    capture_error_mode="thread_local",
                ),
            ):
                losses = self.step(*batch)
        except RuntimeError as error:
            raise RuntimeError(
                f"The training step could not be recorded as a CUDA graph: {error}. To "
                "train without recordings, more slowly, set the environment variable "
                "SKLEARN_DAAE_STEP=plain."
            ) from error
        return graph, batch, losses

    @contextmanager
    def _recordable(self):
        """Have the optimisers agree to be recorded, with rates that can change.

        Only meanwhile: on a CPU, where a pickle may load, they refuse both.
        """
        before = [(group["capturable"], group["lr"]) for group in self.groups]
        try:
            for group, rate in zip(self.groups, self.learning_rates, strict=True):
                group.update(capturable=True, lr=rate)
            yield
        finally:
            for group, (capturable, rate) in zip(self.groups, before, strict=True):
                group.update(capturable=capturable, lr=rate)


@contextmanager
def _put_back_if_it_fails(device, pool, generators):
    """Undo a recording that fails: torch leaves generators, stream and allocator in it.

    Random numbers drawn on the GPU, by whomever, would fail from then on.
    """
    stream = torch.cuda.current_stream(device)
    index = stream.device.index
    generators = [*generators, torch.cuda.default_generators[index]]
    states = [generator.clone_state() for generator in generators]
    try:
        yield
    except BaseException:
        torch.cuda.set_stream(stream)
        for generator, state in zip(generators, states, strict=True):
            generator.graphsafe_set_state(state)
        with suppress(RuntimeError):  # where the allocator has left it by itself
            torch._C._cuda_endAllocateToPool(index, pool)
            torch._C._cuda_releasePool(index, pool)
        raise
