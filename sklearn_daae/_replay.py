"""Training steps as CUDA graphs: recorded once, replayed for every batch."""

import warnings
from contextlib import contextmanager

import torch

# Steps that are taken as usual before one of the same shape is recorded: libraries set
# themselves up in them, and optimisers make their state.
_N_WARM_UPS = 3


class ReplayedStep:
    """Takes training steps on a GPU by replaying their recording.

    A step of small networks is hundreds of kernels, each of which takes longer to
    launch than to run. A recording is launched as one. It reads its batch and writes
    its losses where the first ones of that shape stood, and draws new random numbers
    at each replay, those that the step itself would draw.

    Parameters
    ----------
    step : callable
        Takes a step on a batch, and returns its losses as one tensor.

    generator : torch.Generator
        What the step draws random numbers from.

    optimizers : list of torch.optim.Adam
        The fused optimisers that it uses.
    """

    def __init__(self, step, generator, optimizers):
        self.step = step
        self.generator = generator
        self.groups = [g for optimizer in optimizers for g in optimizer.param_groups]
        self.learning_rates = [
            torch.tensor(group["lr"], device=generator.device, dtype=torch.float32)
            for group in self.groups
        ]
        self.stream = torch.cuda.Stream(generator.device)
        self.n_taken = {}
        self.recordings = {}

    def read_learning_rates(self):
        """Have recordings go on with the present learning rates."""
        for rate, group in zip(self.learning_rates, self.groups, strict=True):
            rate.fill_(group["lr"])

    def __call__(self, x):
        """Take a step on a batch, and return its losses."""
        if x.shape not in self.recordings:
            n_taken = self.n_taken.get(x.shape, 0)
            if n_taken < _N_WARM_UPS:
                self.n_taken[x.shape] = n_taken + 1
                return self._take(x)
            self.recordings[x.shape] = self._record(x)
        if self.recordings[x.shape] is None:
            return self._take(x)
        graph, batch, losses = self.recordings[x.shape]
        batch.copy_(x)
        graph.replay()
        return losses.clone()

    def _take(self, x):
        """Take a step as usual, on the stream that steps are recorded on."""
        here = torch.cuda.current_stream(x.device)
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream):
            losses = self.step(x)
        here.wait_stream(self.stream)
        for tensor in (x, losses):
            tensor.record_stream(here)
            tensor.record_stream(self.stream)
        return losses

    def _record(self, x):
        """Return a recording of the step, its batch and its losses; or None."""
        batch = x.clone()
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        torch.cuda.synchronize(x.device)
        try:
            with (
                self._recordable(),
                # Other threads may go on to use the device.
                torch.cuda.graph(
                    graph, stream=self.stream, capture_error_mode="thread_local"
                ),
            ):
                losses = self.step(batch)
        except RuntimeError as error:
            warnings.warn(
                "The training step could not be recorded as a CUDA graph, and is taken "
                f"without one, more slowly: {error}",
                stacklevel=2,
            )
            return None
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
