"""Random numbers that leave every global generator as it was."""

import os
import random as std_random
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from threading import RLock, get_ident

import numpy as np
import torch
from sklearn.utils import check_random_state

# What the parameter `random_state` may be.
RandomState = int | np.random.RandomState | None


def private_generator(random_state):
    """Return a NumPy generator of our own, seeded by `random_state`.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        None takes fresh entropy from the operating system. scikit-learn draws
        from the global NumPy generator there, which would change it.

    Returns
    -------
    random : numpy.random.Generator
        Unlike a `torch.Generator` it pickles, copies and knows no device, so it is
        the only random state that a fitted model keeps.
    """
    if random_state is None:
        return np.random.default_rng()
    if isinstance(random_state, int) and 0 <= random_state < 2**32:
        return np.random.default_rng(random_state)  # a tenth of the time of the rest
    state = check_random_state(random_state)  # refuses what is no seed
    if state is random_state:
        random_state = state.randint(2**31, size=4)
    return np.random.default_rng(random_state)


def torch_generator(random, device):
    """Return a new `torch.Generator` on `device`, seeded by a draw from `random`."""
    return seed(torch.Generator(device), random)


def seed(generator, random):
    """Seed a `torch.Generator` by a draw from `random`, and return it."""
    return generator.manual_seed(int(random.integers(2**63)))


class Generators:
    """The generators of K models that are trained as one, each with its own numbers.

    Parameters
    ----------
    generators : list of torch.Generator
        All on one device.
    """

    def __init__(self, generators):
        self.generators = generators
        self.device = generators[0].device

    def __len__(self):
        return len(self.generators)

    def __iter__(self):
        return iter(self.generators)


class Shard:
    """Draws for the rows of one process what all draw for a whole batch.

    Each draws all of it, by equal generators, so that the numbers of a row do not
    depend on how many processes there are.

    Parameters
    ----------
    generator : torch.Generator
        Equal in all processes.

    share : PartOfBatch
        Which rows.
    """

    def __init__(self, generator, share):
        self.of_all = generator
        self.share = share
        self.device = generator.device

    def draw(self, draw, shape, dtype):
        """Return a tensor of rows of this process, along the last axis but one."""
        share = self.share
        n_draws = shape[-2] // (share.stop - share.start)
        shape = n_draws * share.n_rows, *shape[-1:]
        return share.own(_drawn(draw, shape, self.of_all, dtype))


def of_all(generator):
    """Return what draws what is not of single rows: the same in all processes."""
    return generator.of_all if isinstance(generator, Shard) else generator


def of_own(generator):
    """Return what code of the user's may draw from: torch's own."""
    return generator.share.own_generator if isinstance(generator, Shard) else generator


def _drawn(draw, shape, generator, dtype=torch.float32):
    """Return a tensor that is filled in place; of K models, each by its own generator.

    Each gets the numbers that it would get alone.
    """
    if isinstance(generator, Shard):
        return generator.draw(draw, shape, dtype)
    x = torch.empty(shape, device=generator.device, dtype=dtype)
    if isinstance(generator, Generators):
        for own, part in zip(generator, x, strict=True):
            draw(part, generator=own)
        return x
    return draw(x, generator=generator)


def normal(shape, generator, dtype=torch.float32):
    """Draw from the standard normal, whatever the default dtype."""
    return _drawn(torch.Tensor.normal_, shape, generator, dtype)


def uniform(shape, generator):
    """Draw from [0, 1), in float32 whatever the default dtype."""
    return _drawn(torch.Tensor.uniform_, shape, generator)


def integers(low, high, shape, generator):
    """Draw integers from `low` up to below `high`."""
    draw = partial(_between, low, high)
    return _drawn(draw, shape, generator, torch.int64)


def _between(low, high, x, *, generator):
    return x.random_(low, high, generator=generator)


# Held while the global generators are ours: two threads that save, seed and restore
# them at once would take each other's states. The thread that holds it may take it
# again: a callback may sample from one model while another trains.
_borrowing = RLock()
_borrower = None  # the thread


def _renew_lock():
    """Give a forked process a lock of its own: no thread is there to release this."""
    global _borrowing, _borrower
    _borrowing, _borrower = RLock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def is_borrowing():
    """Tell whether this thread holds the global generators."""
    return _borrower == get_ident()


@contextmanager
def borrowed_global_generator(random, device):
    """Seed all global generators from `random`, and put them back on leaving.

    For code that may draw from nowhere else: the modules that users bring, at their
    initialisation and in dropout, and users' own corruptions and priors. One thread at
    a time.
    """
    global _borrower
    seed = int(random.integers(2**63))
    with _borrowing, ExitStack() as stack:
        for get_state, set_state in (
            (std_random.getstate, std_random.setstate),
            (np.random.get_state, np.random.set_state),
            *_generators_of_torch(device),
        ):
            stack.callback(set_state, get_state())
        std_random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        outer, _borrower = _borrower, get_ident()
        try:
            yield
        finally:
            _borrower = outer


def _generators_of_torch(device):
    """Return what gets, and what sets, the state of each that a device draws from."""
    generators = [(torch.get_rng_state, torch.set_rng_state)]
    if device.type == "cuda":
        generators.append(
            (
                partial(torch.cuda.get_rng_state, device),
                partial(torch.cuda.set_rng_state, device=device),
            )
        )
    elif device.type == "mps":
        generators.append((torch.mps.get_rng_state, torch.mps.set_rng_state))
    return generators


@contextmanager
def checking_generator(device, *, draws_globally=True):
    """Return a generator to try a process with, which takes no number from another."""
    random = np.random.default_rng(0)
    with borrowed_global_generator(random, device) if draws_globally else nullcontext():
        yield torch_generator(random, device)
