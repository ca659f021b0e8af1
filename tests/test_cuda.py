"""Work on a GPU: turns, what is recorded as CUDA graphs, and what recordings give."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from threading import Event, Thread
from time import sleep
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from sklearn_daae import DAAETransformer
from sklearn_daae._engine import cuda, stacks, steps
from sklearn_daae._random import Generators, borrowed_global_generator
from sklearn_daae.model_selection import fit_together

from .conftest import SMALL, WatchesGradients, make, needs_cuda, weights


class WatchesBatches(Callback):
    """Keeps steps from being recorded."""

    def on_batch_end(self, net, **kwargs):
        pass


class Recorder:
    """Stands in for what records."""

    def __init__(self, step, generator, groups, settings):
        self.groups = groups
        self.settings = settings

    def read_learning_rates(self):
        self.learning_rates = [group["lr"] for group in self.groups]


@pytest.fixture
def step_of(monkeypatch):
    """Return what a fitted net would take its next epoch's steps with on a GPU."""
    monkeypatch.setattr(steps, "RecordedStep", Recorder)

    def make_step(net, before=None):
        net.generator_ = torch.Generator()
        net.parameters_ = {}
        monkeypatch.setenv("SKLEARN_DAAE_STEP", "cuda")
        return steps.make_step(net.step_settings(), before)

    return make_step


def test_what_is_recorded(X, step_of):
    net = DAAETransformer(**SMALL).fit(X).net_
    step = step_of(net)
    assert type(step) is Recorder
    assert step.learning_rates == [2e-3] * 2
    net.optimizer_.param_groups[1]["lr"] /= 2
    assert step_of(net, step) is step
    assert step.learning_rates == [2e-3, 1e-3]
    # A recording moves the same weights for good. Nor does it see a level of the
    # corruption or a moment of Adam's that changes.
    for change in (
        lambda: net.module_.decoder.layers[0].requires_grad_(False),
        lambda: setattr(net.objective.corruption, "sigma", 0.1),
        lambda: net.optimizer_.param_groups[0].update(betas=(0.5, 0.999)),
    ):
        change()
        step, before = step_of(net, step), step
        assert step is not before
        assert step_of(net, step) is step


@pytest.mark.parametrize(
    "params",
    [
        {"optimizer": "rmsprop"},
        {"discriminator_optimizer": ("adam", {"fused": False})},
        {"corruption": lambda x, sigma, generator: x},
        {"prior": lambda n, k, generator: torch.zeros(n, k)},
        {"encoder": torch.nn.Linear},
        {"callbacks": [WatchesGradients()]},
    ],
    ids=lambda params: next(iter(params)),
)
def test_what_is_not_recorded(X, step_of, params):
    net = DAAETransformer(**SMALL, **params).fit(X).net_
    assert type(step_of(net)) is steps.PlainStep


def test_steps_that_someone_listens_to_are_not_recorded(X, step_of):
    net = DAAETransformer(**SMALL).fit(X).net_
    net.module_.encoder.layers[2].register_forward_hook(lambda *args: None)
    assert type(step_of(net)) is steps.PlainStep


@pytest.mark.parametrize("n_models", [1, 3])
def test_replays_take_the_place_of_steps(monkeypatch, n_models):
    """With stand-ins for all that is CUDA's: after three steps of each shape."""
    taken, replayed, registered = [], [], []
    generators = [MagicMock(device=torch.device("cpu")) for _ in range(n_models)]

    class Graph:
        def register_generator_state(self, generator):
            registered.append(generator)

        def replay(self):
            batch, losses = next(
                (b, out) for g, (b,), out in step.recordings.values() if g is self
            )
            replayed.append(len(batch))
            losses.copy_(batch.sum(0))

    def take(x):
        taken.append(len(x))
        return x.sum(0)

    optimizer = torch.optim.Adam([torch.zeros(1)], lr=0.5)
    (group,) = optimizer.param_groups

    @contextmanager
    def graph(graph, **kwargs):
        assert group["capturable"]
        assert torch.equal(group["lr"], torch.tensor(0.25))
        yield

    for name in ("current_stream", "default_generators", "graph_pool_handle"):
        monkeypatch.setattr(torch.cuda, name, MagicMock())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    generator = Generators(generators) if n_models > 1 else generators[0]

    step = cuda.RecordedStep(take, generator, optimizer.param_groups)
    group["lr"] = 0.25
    step.read_learning_rates()
    batches = [torch.full((n, 2), float(i)) for i, n in enumerate([4, 4, 3] * 5)]
    losses = [step(batch) for batch in batches]
    for batch, loss in zip(batches, losses, strict=True):
        assert torch.equal(loss, batch.sum(0))
    assert taken == [4, 4, 3, 4, 4, 3, 3, 3]  # three of each, and its recording
    assert sorted(replayed) == [3] * 2 + [4] * 7
    assert registered == generators * 2
    assert (group["capturable"], group["lr"]) == (False, 0.25)


class TakesStepsAsRecorded(cuda.RecordedStep):
    """Takes each step as one is when it is recorded, with rates that are tensors."""

    def __call__(self, *batch):
        shape = batch[0].shape
        self.n_taken[shape] = self.n_taken.get(shape, 0) + 1
        if self.n_taken[shape] <= 3:
            return self.step(*batch)
        with self._recordable():
            return self.step(*batch)


def test_steps_of_many_models_can_be_recorded(X, monkeypatch):
    """Of rates that differ and decay, and of epochs that are not as long."""
    settings = {"batch_size": 16, "max_epochs": 4}
    models = [
        make(DAAETransformer, **settings, random_state=0, learning_rate_decay=0.5),
        make(DAAETransformer, **settings, random_state=1),
        make(DAAETransformer, **settings, random_state=2, learning_rate=1e-3),
        make(DAAETransformer, **settings, random_state=3, learning_rate_decay=0.5),
    ]
    arrays = [X[:100], X[:117], X[:117], X[:100]]
    alone = [clone(m).fit(rows) for m, rows in zip(models, arrays, strict=True)]
    for module in (steps, stacks):
        monkeypatch.setattr(module, "RecordedStep", TakesStepsAsRecorded)
    monkeypatch.setenv("SKLEARN_DAAE_STEP", "cuda")
    fit_together(models, arrays)
    for model, other in zip(models, alone, strict=True):
        np.testing.assert_allclose(weights(model), weights(other), atol=1e-6)
        ours, theirs = (m.net_.optimizer_.param_groups for m in (model, other))
        assert [g["lr"] for g in ours] == [g["lr"] for g in theirs]


def test_a_recording_that_fails_is_undone(monkeypatch):
    """With stand-ins for all that is CUDA's."""
    for name in ("current_stream", "set_stream", "graph_pool_handle", "CUDAGraph"):
        monkeypatch.setattr(torch.cuda, name, MagicMock())
    of_device, own = MagicMock(), MagicMock(device=torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "default_generators", MagicMock())
    torch.cuda.default_generators.__getitem__.return_value = of_device
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, **kwargs: nullcontext())
    ended = []
    for end in ("_cuda_endAllocateToPool", "_cuda_releasePool"):
        monkeypatch.setattr(
            torch._C, end, lambda *args, end=end: ended.append(end), raising=False
        )

    def step(x):
        if len(taken) == 3:
            raise RuntimeError("not while capturing")
        taken.append(x)
        return x.sum(0)

    taken, optimizer = [], torch.optim.Adam([torch.zeros(1)], lr=0.5)
    recorded = cuda.RecordedStep(step, own, optimizer.param_groups)
    for _ in range(3):
        recorded(torch.ones(4, 2))
    with pytest.raises(RuntimeError, match=r"while capturing.*SKLEARN_DAAE_STEP=plain"):
        recorded(torch.ones(4, 2))
    torch.cuda.set_stream.assert_called_once_with(torch.cuda.current_stream())
    for generator in (of_device, own):
        state = generator.clone_state()
        generator.graphsafe_set_state.assert_called_once_with(state)
    assert ended == ["_cuda_endAllocateToPool", "_cuda_releasePool"]
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_batch_callbacks_see_every_step(X):
    """Of a training on a CPU as well, the steps are the same ones."""
    plain = DAAETransformer(**SMALL).fit(X)
    watched = DAAETransformer(**SMALL, callbacks=[WatchesBatches()]).fit(X)
    np.testing.assert_array_equal(weights(watched), weights(plain))


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recorded_steps_are_the_steps(Estimator, X, precision, monkeypatch):
    """From the same noise, the same losses, up to float32's rounding."""
    recordings = []
    record = cuda.RecordedStep._record

    def count(self, batch):
        recordings.append(len(batch[0]))
        return record(self, batch)

    monkeypatch.setattr(cuda.RecordedStep, "_record", count)
    # Five batches an epoch, the last one smaller; the rate decays once, at the end.
    settings = {"max_epochs": 8, "device": "cuda", "precision": precision}
    replayed = make(Estimator, **settings).fit(X)
    assert recordings == [64, 44]
    taken = make(Estimator, **settings, callbacks=[WatchesBatches()]).fit(X)
    assert recordings == [64, 44]
    for one, other in zip(replayed.history_, taken.history_, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    np.testing.assert_allclose(weights(replayed), weights(taken), atol=1e-4)


@pytest.mark.gpu
@needs_cuda
def test_recordings_follow_the_learning_rate(X):
    settings = {**SMALL, "device": "cuda", "max_epochs": 6, "learning_rate_decay": 0.5}
    replayed = DAAETransformer(**settings).fit(X)
    taken = DAAETransformer(**settings, callbacks=[WatchesBatches()]).fit(X)
    np.testing.assert_allclose(weights(replayed), weights(taken), atol=1e-4)


@pytest.mark.gpu
@needs_cuda
def test_recordings_leave_no_memory_behind(X):
    settings = {**SMALL, "device": "cuda", "max_epochs": 6}
    DAAETransformer(**settings).fit(X)
    kept = torch.cuda.memory_reserved()
    for _ in range(3):
        DAAETransformer(**settings).fit(X)
    assert torch.cuda.memory_reserved() <= kept


@pytest.mark.gpu
@needs_cuda
def test_a_step_that_cannot_be_recorded_leaves_nothing_behind(X, monkeypatch):
    """It left generators, stream and allocator in the recording."""
    step = steps.PlainStep.__call__

    def reads_back(self, *batch):
        losses = step(self, *batch)
        losses[0].item()
        return losses

    settings = {**SMALL, "device": "cuda", "max_epochs": 4}
    model = DAAETransformer(**settings).fit(X)
    expected, stream = weights(model), torch.cuda.current_stream()
    with monkeypatch.context() as patch:
        patch.setattr(steps.PlainStep, "__call__", reads_back)
        with pytest.raises(RuntimeError, match="SKLEARN_DAAE_STEP=plain"):
            DAAETransformer(**settings).fit(X)
    assert torch.cuda.current_stream() == stream
    assert torch.randn(3, device="cuda").isfinite().all()
    torch.cuda.synchronize()
    again = DAAETransformer(**settings).fit(X)
    np.testing.assert_array_equal(weights(again), expected)


def dim(x, sigma, generator):
    return x * torch.rand(len(x), 1, generator=generator, device=x.device)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("corruption", ["gaussian", dim])
def test_fits_in_two_threads_on_one_gpu_are_those_of_one(X, corruption):
    settings = {**SMALL, "device": "cuda", "max_epochs": 8, "corruption": corruption}
    models = [DAAETransformer(**{**settings, "random_state": i}) for i in range(4)]
    alone = [weights(clone(model).fit(X)) for model in models]
    with ThreadPoolExecutor(2) as pool:
        together = [*pool.map(lambda model: weights(model.fit(X)), models)]
    np.testing.assert_array_equal(alone, together)


@pytest.mark.gpu
@needs_cuda
def test_all_work_is_on_one_stream(X):
    """Each more takes 33 MiB, for what libraries reserve."""
    model = DAAETransformer(**{**SMALL, "device": "cuda", "max_epochs": 6}).fit(X)
    kept = torch.cuda.memory_allocated()
    for _ in range(3):
        model.transform(X), model.sample(5), model.partial_fit(X)
        DAAETransformer(**{**SMALL, "device": "cuda", "max_epochs": 6}).fit(X)
    assert torch.cuda.memory_allocated() < kept + 2**20


@pytest.fixture
def pretended(monkeypatch):
    """Let `working` be on a GPU that is not here."""
    for name in ("current_device", "current_stream", "Stream"):
        monkeypatch.setattr(torch.cuda, name, MagicMock(return_value=MagicMock()))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(cuda, "_streams", {})
    return torch.device("cuda", 0)


def arithmetic():
    return torch.backends.cudnn.deterministic, torch.backends.cuda.matmul.fp32_precision


def test_the_arithmetic_of_training_is_put_back(pretended):
    before = arithmetic()
    with cuda.working(pretended):
        assert arithmetic() == before
        with cuda.working(pretended, trains=True):
            assert arithmetic() == (True, "tf32")
        assert arithmetic() == before

    def fails():
        with cuda.working(pretended), cuda.working(pretended, trains=True):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fails()
    assert arithmetic() == before


def test_threads_take_turns_between_steps(pretended):
    """Each with the arithmetic that it wants, and none long after it has asked."""
    before, seen = arithmetic(), []
    is_in, has_asked = Event(), Event()

    def train():
        with cuda.working(pretended), cuda.working(pretended, trains=True) as give_way:
            is_in.set()
            has_asked.wait()
            while len(cuda._turns._queue) < 2:
                sleep(0.001)
            for _ in range(2):
                seen.append(("train", arithmetic()))
                give_way()

    def ask():
        is_in.wait()
        has_asked.set()
        with cuda.working(pretended) as give_way:
            seen.append(("ask", arithmetic()))
            give_way()
            seen.append(("ask", arithmetic()))

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(train), pool.submit(ask)]:
            future.result(timeout=60)
    fast = True, "tf32"
    assert seen == [("train", fast), ("ask", before), ("train", fast), ("ask", before)]
    assert arithmetic() == before
    assert not cuda._turns._queue


def test_who_holds_the_global_generators_keeps_its_turn(pretended):
    """Whoever had it next would wait for them, and both for ever."""
    cpu, random = torch.device("cpu"), np.random.default_rng(0)
    holds, order = Event(), []

    def train():
        with cuda.working(pretended) as give_way:
            with borrowed_global_generator(random, cpu):
                holds.set()
                while len(cuda._turns._queue) < 2:
                    sleep(0.001)
                give_way()
                order.append("train")
            give_way()
            order.append("train")

    def ask():
        holds.wait()
        with cuda.working(pretended), borrowed_global_generator(random, cpu):
            order.append("ask")

    threads = [Thread(target=target, daemon=True) for target in (train, ask)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert order == ["train", "ask", "train"]
