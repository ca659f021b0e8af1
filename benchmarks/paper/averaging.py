"""Weights averaged over the end of a training, for the models that are tuned."""

import torch
from skorch.callbacks import Callback


class AveragedWeights(Callback):
    """Has a model end with the mean of its weights after each of its last batches.

    The players of an adversarial game at a constant rate do not come to rest: they
    move about a point that is better than where any one batch leaves them. Training
    itself is not touched, and where it goes on, it does so from its own weights.

    Parameters
    ----------
    after : int
        How many epochs, from the first, have no part in the mean.
    """

    def __init__(self, after):
        self.after = after

    def __repr__(self):
        return f"AveragedWeights(after={self.after})"

    def on_train_begin(self, net, **kwargs):
        if len(net.history) > self.after:
            weights = _weights(net)
            _copy(self.latest_, weights)
            self.mean_ = [
                mean.to(weight.device)
                for mean, weight in zip(self.mean_, weights, strict=True)
            ]
        else:
            self.n_batches_ = 0

    def on_batch_end(self, net, **kwargs):
        if len(net.history) > self.after:
            self.n_batches_ += 1
            if self.n_batches_ == 1:
                self.mean_ = [weight.clone() for weight in _weights(net)]
            else:
                torch._foreach_lerp_(self.mean_, _weights(net), 1 / self.n_batches_)

    def on_train_end(self, net, **kwargs):
        if len(net.history) > self.after:
            # In the computer's own memory, where any pickle can go.
            self.latest_ = [weight.to("cpu", copy=True) for weight in _weights(net)]
            _copy(self.mean_, _weights(net))
            self.mean_ = [mean.cpu() for mean in self.mean_]


def _weights(net):
    return [parameter.detach() for parameter in net.module_.parameters()]


def _copy(values, weights):
    for value, weight in zip(values, weights, strict=True):
        weight.copy_(value)
