"""Courses of training: of one net, and of many nets at once, as one."""

import os
from contextlib import contextmanager

import torch

from .callbacks import held_back
from .cuda import working
from .optimizers import equal_runs
from .stacks import Stack
from .steps import make_step

# What stands for the training of an estimator, by its id: while it is there, there is
# one. Copies and pickles of the estimator know nothing of it.
_trainings: dict[int, object] = {}

if hasattr(os, "register_at_fork"):
    # What the parent trains, its child has copies of.
    os.register_at_fork(after_in_child=_trainings.clear)


@contextmanager
def being_trained(estimator):
    """Refuse a second training of an estimator while one goes on, and spoil neither.

    Raises
    ------
    RuntimeError
        In the thread that comes second, or in a callback that trains its own estimator.
    """
    key, this = id(estimator), object()
    try:
        # In one step, between whose halves no thread comes.
        if _trainings.setdefault(key, this) is not this:
            raise RuntimeError(
                f"This {type(estimator).__name__} is being trained already, in another "
                "thread or around this callback. It has one training at a time: wait "
                "for the end of that, or train a clone (sklearn.base.clone) or a copy "
                "(copy.deepcopy) of it."
            )
        yield
    finally:
        # Without a call, after which an interrupt could come.
        if key in _trainings and _trainings[key] is this:
            del _trainings[key]


def train(net, *course):
    """Train a net alone, by the steps that are the fastest.

    Parameters
    ----------
    net : AutoencoderNet

    *course : objects
        What its `course` is given.
    """
    epochs = net.course(*course)
    epoch, step = _next(epochs.send, None), None
    while epoch is not None:
        try:
            step = make_step(net.step_settings(), step)
            _take_all_steps(net, step, epoch)
        except BaseException as error:
            epoch = _next(epochs.throw, error)
        else:
            epoch = _next(epochs.send, None)


def _take_all_steps(net, step, epoch):
    with (
        net.global_generator(net.random),
        working(net.device, trains=True) as give_way,
        held_back() as interrupt,
    ):
        batch = _next(epoch.send, None)
        while batch is not None:
            batch = _next(epoch.send, step(*batch))
            give_way()
            interrupt()


def _next(proceed, value):
    """Return what a generator yields next, or None at its end."""
    try:
        return proceed(value)
    except StopIteration:
        return None


class _Lane:
    """A net within its course."""

    def __init__(self, net, *course):
        self.net = net
        self.course = net.course(*course)
        # Those of one pace take their steps, of batches of one shape, at one time.
        self.pace = len(course[0].rows), len(course[0])
        self.epoch = None
        self.batch = None
        self.error = None

    def begin_epoch(self):
        """Go on to the next epoch, if there is one: with what stands between two."""
        self._go_on(self.course.send, None)

    def begin_step(self, losses=None):
        """Go on to the next batch, given the losses of the last one."""
        try:
            self.batch = _next(self.epoch.send, losses)
        except BaseException as error:
            self.fail(error)
        else:
            self.epoch = None if self.batch is None else self.epoch

    def fail(self, error):
        """Have the course hear of an error, which it passes on in most cases."""
        self._go_on(self.course.throw, error)

    def _go_on(self, proceed, value):
        self.epoch = self.batch = None
        try:
            self.epoch = _next(proceed, value)
        except Exception as error:
            self.error = error


def train_together(courses):
    """Train nets of one `stack_key` as one, each as if it were alone.

    Parameters
    ----------
    courses : list of tuple
        Of each a net, and what its `course` is given.

    Returns
    -------
    errors : list of Exception or None
        What has ended the training of each, if it has failed. An interrupt ends all.
    """
    lanes = [_Lane(*course) for course in courses]
    # Batches of one size should be side by side, and so should equal rates.
    active = sorted(lanes, key=lambda lane: (lane.pace, _rates(lane.net)))
    stack = None
    try:
        with held_back() as interrupt:
            while active:
                for lane in active:
                    if lane.epoch is None:
                        lane.begin_epoch()
                interrupt()
                if any(lane.epoch is None for lane in active):  # which are over
                    active = [lane for lane in active if lane.epoch is not None]
                    if stack is not None:
                        stack.release()
                        stack = None
                if active and stack is None:
                    nets, paces = zip(*((o.net, o.pace) for o in active), strict=True)
                    stack = Stack(nets, paces)
                if active:
                    stack.read_learning_rates()
                    _take_steps(stack, active, interrupt)
    finally:
        if stack is not None:
            stack.release()
        for lane in lanes:
            lane.course.close()
    return [lane.error for lane in lanes]


def _rates(net):
    return [group["lr"] for group in net.optimizer_.param_groups]


def _take_steps(stack, lanes, interrupt):
    """Take steps until the epoch of one of the lanes is over."""
    with working(lanes[0].net.device, trains=True) as give_way:
        for lane in lanes:
            if lane.batch is None:
                lane.begin_step()
        while all(lane.batch is not None for lane in lanes):
            for run in equal_runs([lane.batch.x.shape for lane in lanes]):
                part = lanes[run]
                try:
                    x = torch.stack([lane.batch.x for lane in part])
                    losses = stack.step(run.start, x).unbind(1)
                except Exception as error:
                    for lane in part:
                        lane.fail(error)
                else:
                    for lane, of_lane in zip(part, losses, strict=True):
                        lane.begin_step(of_lane)
            give_way()
            interrupt()
