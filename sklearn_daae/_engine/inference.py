"""What a trained net is asked: codes, reconstructions, samples, in large batches."""

from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property

import numpy as np

from .._checks import to_fill
from .._device import undisturbed
from .._model.markov_chain import markov_chain
from .._random import private_generator, torch_generator
from .cuda import working

# Values that one batch may hold: 8 MiB of float32. Larger ones outgrow the caches of a
# CPU, and take up to twice as long.
_BATCH_VALUES = 2**21


@contextmanager
def asking(net, random_state, *, draws=True):
    """Yield a generator on the net's device, and what lets other threads go first.

    Where nothing `draws`, there is no generator: to make one takes as long as a small
    network does with a row.
    """
    device, generator = net.device, None
    draws = draws or net.draws_globally
    random = private_generator(random_state) if draws else None
    with (
        working(device) as give_way,
        undisturbed(device, learns=False),
        net.global_generator(random),
    ):
        if draws:
            generator = torch_generator(random, device)
        yield generator, give_way


class Inference:
    """What a trained net can be asked, in large batches, of rows as it sees them.

    Parameters
    ----------
    net : AutoencoderNet

    scaling : Scaling
        Its inverse gives rows of X.

    n_features : int
        Of X.
    """

    def __init__(self, net, scaling, n_features):
        self.net = net
        self.objective = net.objective
        self.scaling = scaling
        self.n_features = n_features

    @cached_property
    def module(self):
        """The networks that predict; within an epoch of their training, a copy.

        A callback or another thread asks then. In training mode, dropout would answer,
        and batch normalisation would learn from the question.
        """
        module = self.net.model_
        is_moving = module.training and hasattr(self.net, "generator_")
        return deepcopy(module).eval() if is_moving else module

    def encode(self, rows, *, corrupt=False, draw=False, random_state=0, out=None):
        """Return codes of x or C(x): the means of q(z | x), or draws from it."""

        def encode(x, generator):
            if corrupt:
                x = self.objective.corruption(x, generator)
            if draw:
                return self.objective.draw_code(x, self.module, generator)
            return self.module.encode(x)

        options = {"random_state": random_state, "draws": corrupt or draw, "out": out}
        return self._map(encode, rows, self.net.model_.n_components, **options)

    def decode(self, codes, *, out=None):
        """Return R(z), as rows of X."""

        def decode(z, _):
            return self.module.decode(z)

        return self._map_back(decode, codes, draws=False, out=out)

    def corrupt(self, rows, random_state):
        """Return C(x), as rows of X."""
        options = {"random_state": random_state, "draws": True}
        return self._map_back(self.objective.corruption, rows, **options)

    def reconstruct(self, rows, *, corrupt, random_state, out=None):
        """Return R(E(C(x))), or R(E(x)), as rows of X."""
        options = {"random_state": random_state, "draws": corrupt, "out": out}
        return self._map_back(self._denoising(corrupt), rows, **options)

    def squared_errors(
        self, rows, *, corrupt=False, random_state=0, in_units=True, unit=1.0
    ):
        """Return the squared error of each reconstruction, the mean over features.

        In units of X, or in a multiple of them, whose squares float32 can hold; or as
        the networks see it. Of values that are observed.
        """
        denoise = self._denoising(corrupt)

        def squared_error(x, generator, observed):
            error = denoise(x.clone(), generator) - x
            if in_units:
                error = self.scaling.in_units(error, unit)
            if observed is None:
                return error.square().mean(1, keepdim=True)
            total = (error.square() * observed).sum(1, keepdim=True)
            return total / observed.sum(1, keepdim=True).clamp_min(1)

        options = {"random_state": random_state, "draws": corrupt, "masks": True}
        return self._map(squared_error, rows, 1, **options).ravel()

    def residuals(self, rows):
        """Return R(E(x)) - x, as the networks see it; 0 where x is missing."""

        def residual(x, generator, observed):
            error = self._denoising(False)(x.clone(), generator) - x
            return error if observed is None else error * observed

        return self._map(residual, rows, self.n_features, draws=False, masks=True)

    def draw_prior(self, n_samples, random_state):
        """Return draws from the prior."""
        with asking(self.net, random_state) as (generator, _):
            return self.objective.prior(n_samples, generator).cpu().numpy()

    def sample(
        self,
        n_samples,
        n_steps,
        *,
        rows,
        codes,
        draw_codes,
        return_chain,
        random_state,
        out=None,
    ):
        """Return where chains of equation 3 come to, as rows of X.

        Parameters
        ----------
        n_samples, n_steps : int
            How many chains start, from each of the rows or codes if there are any, and
            how far they go.

        rows, codes : Rows or None
            What they start from.

        draw_codes : callable
            What they start from else: of a number of codes and a generator.

        return_chain : bool
            Whether to return all states, on a first axis of n_steps + 1, and not the
            last.

        random_state : int, RandomState instance or None

        out : ndarray, default=None
            To write into.
        """
        start = codes if rows is None else rows
        n_chains = n_samples if start is None else n_samples * len(start)
        shape = n_chains, self.n_features
        if return_chain:
            shape = n_steps + 1, *shape
        out = to_fill(out, shape, self.scaling.dtype)
        objective = self.objective

        def first_states(batch, module, generator):
            """Return x(0) of some of the chains."""
            if start is None:
                return module.decode(draw_codes(batch.stop - batch.start, generator))
            given = start[np.r_[batch] // n_samples]
            return module.decode(given) if rows is None else given

        with asking(self.net, random_state) as (generator, give_way):
            module = self.module
            for batch in self._slices(n_chains):
                if batch.start > 0:
                    # x(0) does not depend on how many steps the chains before take.
                    generator.manual_seed(generator.initial_seed() + 1)
                states = markov_chain(
                    first_states(batch, module, generator),
                    n_steps,
                    encode=lambda x: objective.draw_code(x, module, generator),
                    corrupt=lambda x: objective.corruption(x, generator),
                    decode=module.decode,
                )
                for t, x in enumerate(states):
                    if return_chain or t == n_steps:
                        x = self.scaling.invert(x).cpu().numpy()
                        out[(t, batch) if return_chain else batch] = x
                give_way()
        return out

    def _denoising(self, corrupt):
        """Return R(E(C(x))), or R(E(x)), as a function of a batch and a generator."""

        def denoise(x, generator):
            x_tilde = self.objective.corruption(x, generator) if corrupt else x
            return self.module.decode(self.module.encode(x_tilde))

        return denoise

    def _map(
        self,
        function,
        rows,
        n_columns,
        *,
        draws,
        random_state=0,
        dtype=np.float32,
        masks=False,
        out=None,
    ):
        """Apply a function of a batch and a generator to all rows.

        Where it `masks`, also of which values are observed.
        """
        out = to_fill(out, (len(rows), n_columns), dtype)
        with asking(self.net, random_state, draws=draws) as (generator, give_way):
            for batch in self._slices(len(rows)):
                x, observed = rows.take(batch)
                mask = (observed,) if masks else ()
                out[batch] = function(x, generator, *mask).cpu().numpy()
                give_way()
        return out

    def _map_back(self, function, rows, **options):
        """Do the same with a function to what networks see, and return it as X."""

        def of_x(x, generator):
            return self.scaling.invert(function(x, generator))

        options = {**options, "dtype": self.scaling.dtype}
        return self._map(of_x, rows, self.n_features, **options)

    def _slices(self, n_rows):
        """Yield slices of the rows, in batches of bounded size."""
        step = max(1, _BATCH_VALUES // max(self.n_features, 2048))
        for start in range(0, n_rows, step):
            yield slice(start, min(start + step, n_rows))
