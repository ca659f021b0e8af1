"""What a trained net is asked: codes, reconstructions, samples, in large batches."""

from contextlib import contextmanager

import numpy as np
import torch

from .._device import undisturbed
from .._model.markov_chain import markov_chain
from .._random import private_generator, torch_generator
from .cuda import release_memory, working

# Values that one batch may hold: 8 MiB of float32. Larger ones outgrow the caches of a
# CPU, and take up to twice as long.
_BATCH_VALUES = 2**21


@contextmanager
def asking(net, random_state):
    """Yield a generator on the net's device, and what lets other threads go first."""
    random = private_generator(random_state)
    device = net.device
    with (
        torch.inference_mode(),
        undisturbed(device),
        working(device) as give_way,
        net.global_generator(random),
    ):
        try:
            yield torch_generator(random, device), give_way
        finally:
            release_memory(device)


def of_rows(net, function, rows, shape, *, random_state=0, dtype=np.float32):
    """Apply a function of tensors and a generator to all rows.

    Parameters
    ----------
    net : AutoencoderNet

    function : callable
        Of a batch and a generator, it gives as many rows.

    rows : Rows

    shape : (int, int)
        Features of X, which bound the size of a batch, and columns of the result.

    random_state : int, RandomState instance or None, default=0
        Seeds the generator.

    dtype : dtype, default=float32
        Of the result.
    """
    n_features, n_columns = shape
    out = np.empty((len(rows), n_columns), dtype=dtype)
    with asking(net, random_state) as (generator, give_way):
        for batch in _slices(len(rows), n_features):
            out[batch] = function(rows[batch], generator).cpu().numpy()
            give_way()
    return out


def chains(
    net,
    first_states,
    n_chains,
    n_steps,
    n_features,
    *,
    return_chain,
    scaling,
    random_state,
):
    """Return where chains of equation 3 come to.

    Parameters
    ----------
    net : AutoencoderNet

    first_states : callable
        Of the slice of some of the chains and a generator, it gives their x(0).

    n_chains, n_steps, n_features : int

    return_chain : bool
        Whether to return all states, on a first axis of n_steps + 1, and not the last.

    scaling : Scaling
        Whose inverse gives rows of X.

    random_state : int, RandomState instance or None
    """
    shape = n_steps + 1 if return_chain else 1, n_chains, n_features
    out = np.empty(shape, scaling.dtype)
    module, objective = net.model_, net.objective
    with asking(net, random_state) as (generator, give_way):
        for batch in _slices(n_chains, n_features):
            if batch.start > 0:
                # x(0) does not depend on how many steps the chains before take.
                generator.manual_seed(generator.initial_seed() + 1)
            states = markov_chain(
                first_states(batch, generator),
                n_steps,
                encode=lambda x: objective.draw_code(x, module, generator),
                corrupt=lambda x: objective.corruption(x, generator),
                decode=module.decode,
            )
            for t, x in enumerate(states):
                if return_chain or t == n_steps:
                    x = scaling.invert(x).cpu().numpy()
                    out[t if return_chain else 0, batch] = x
            give_way()
    return out if return_chain else out[0]


def _slices(n_rows, n_features):
    """Yield slices of the rows, in batches of bounded size."""
    step = max(1, _BATCH_VALUES // max(n_features, 2048))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))
