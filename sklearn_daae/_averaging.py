"""The running average of a network's weights over its training."""

from copy import deepcopy

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

# The weights after step t count in proportion to t to this power, so that the average
# is over about the last seventeenth of the steps, however many there will be.
_POWER = 16

# Steps between two updates: each reads all weights twice.
_STEPS_BETWEEN = 8


class RunningAverage:
    """A module whose weights are an average over the steps of another one's training.

    The players of an adversarial game at a constant rate do not come to rest: they move
    about a point that is better than where any one step leaves them. The window of
    polynomial averaging grows with the steps taken, so that no end has to be known.

    Parameters
    ----------
    module : torch.nn.Module
        The one in training, which is copied.

    n_steps : int, default=0
        Steps that it has taken.

    References
    ----------
    O. Shamir and T. Zhang, "Stochastic Gradient Descent for Non-smooth Optimization",
    ICML 2013, section 4.
    """

    def __init__(self, module, n_steps=0):
        self.module = deepcopy(module).eval()
        self.n_steps = n_steps

    def is_due(self, n_steps):
        """Tell whether it is time for an update."""
        return n_steps >= self.n_steps + _STEPS_BETWEEN

    @torch.no_grad()
    def update(self, module, n_steps):
        """Take in the weights of the other module after so many steps."""
        if n_steps == self.n_steps:
            return
        kept = (self.n_steps / n_steps) ** (_POWER + 1)
        self.n_steps = n_steps
        of_average, of_training = [], []
        for average, tensor in zip(
            _tensors(self.module), _tensors(module), strict=True
        ):
            if average.is_floating_point():
                of_average.append(average)
                of_training.append(tensor)
            else:  # batches counted, say
                average.copy_(tensor)
        if of_average:
            get_ema_multi_avg_fn(kept)(of_average, of_training, None)

    def state(self):
        """Return a copy of what `load_state` puts back."""
        return deepcopy(self.module.state_dict()), self.n_steps

    def load_state(self, state):
        """Put back what `state` gave."""
        weights, self.n_steps = state
        self.module.load_state_dict(weights)


def _tensors(module):
    return [*module.parameters(), *module.buffers()]
