"""A training step inside `fit` against a bare PyTorch loop of the same algorithm.

MNIST's network in the paper's setting (batch 64, sigma 0.5, float32)::

    SKLEARN_DAAE_DATA=... python -m benchmarks.speed.training_step

An epoch of the bare loop follows each epoch of one `fit`, and the medians of their
times are compared: the machine's noise falls on both. The bare loop is what a careful
user writes by hand: data in memory, batches by index, losses on logits, fused Adam, M
corruptions in one pass, no synchronisation. The result stands in
``benchmarks/speed/results/training_step.json``.
"""

import argparse
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from skorch.callbacks import Callback
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from benchmarks._records import environment, load_mnist, write_json
from sklearn_daae import DAAETransformer, iDAAETransformer

RESULTS = Path(__file__).parent / "results" / "training_step.json"
SIGMA, RATE, BATCH = 0.5, 2e-4, 64
MODELS = {
    "DAAE": (DAAETransformer(), None),
    "iDAAE, M = 5": (iDAAETransformer(M=5), 5),
}


def mlp(*sizes):
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


class BareLoop:
    """Algorithm 1 (and 2, given M) without a library around it."""

    def __init__(self, X, M):
        self.X, self.M = torch.from_numpy(X), M
        self.E = mlp(784, 1000, 1000, 10)
        self.R = mlp(10, 1000, 1000, 784)
        self.D = mlp(10, 1000, 1000, 1)

        def adam(*modules):
            parameters = [p for m in modules for p in m.parameters()]
            return torch.optim.Adam(parameters, lr=RATE, fused=True)

        self.rec, self.dis, self.enc = adam(self.E, self.R), adam(self.D), adam(self.E)

    def epoch(self):
        losses = []
        order = torch.randperm(len(self.X))
        for rows in order.split(BATCH):
            losses.append(self.step(self.X[rows]))
        return torch.stack(losses).mean(0).tolist()

    def step(self, x):
        x_tilde = torch.randn_like(x).mul_(SIGMA).add_(x)
        L_rec = bce(self.R(self.E(x_tilde)), x)
        self.rec.zero_grad()
        L_rec.backward()
        self.rec.step()

        if self.M is None:
            z_fake = self.E(x_tilde)
        else:
            noisy = torch.randn(self.M, *x.shape).mul_(SIGMA).add_(x)
            z_fake = self.E(noisy.view(-1, 784)).view(self.M, len(x), -1).mean(0)
        z_real = torch.randn(len(x), 10)
        logits = self.D(torch.cat([z_real, z_fake.detach()]))
        real, fake = logits.chunk(2)
        L_dis = bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))
        self.dis.zero_grad()
        L_dis.backward()
        self.dis.step()

        self.D.requires_grad_(False)
        fake = self.D(z_fake)
        L_enc = bce(fake, torch.ones_like(fake))
        self.enc.zero_grad()
        L_enc.backward()
        self.enc.step()
        self.D.requires_grad_(True)
        return torch.stack([L_rec.detach(), L_dis.detach(), L_enc.detach()])


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


class Interleave(Callback):
    """Runs an epoch of the bare loop after each epoch of a fit."""

    def __init__(self, bare):
        self.bare = bare
        self.seconds = []

    def on_epoch_end(self, net, **kwargs):
        self.seconds.append(seconds(self.bare.epoch))


def measure(model, M, X, repeats):
    """Return milliseconds per step of both, and what `fit` takes beside its epochs."""
    n_steps = int(np.ceil(len(X) / BATCH))
    theirs = Interleave(BareLoop(X, M))
    model.set_params(
        random_state=0, device="cpu", max_epochs=repeats + 1, callbacks=[theirs]
    )
    whole = seconds(model.fit, X)
    ours = model.net_.history[:, "dur"]
    beside = whole - sum(ours) - sum(theirs.seconds)
    ours, theirs = np.array(ours)[1:], np.array(theirs.seconds)[1:]  # warm by then
    return {
        "ours_ms": 1000 * np.median(ours) / n_steps,
        "bare_ms": 1000 * np.median(theirs) / n_steps,
        "ratio": np.median(ours) / np.median(theirs),
        "ratio_of_each_pair_quartiles": np.quantile(
            ours / theirs, [0.25, 0.5, 0.75]
        ).tolist(),
        "fit_beside_its_epochs_ms": 1000 * beside,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="epochs of each")
    parser.add_argument("--steps", type=int, default=60, help="steps in an epoch")
    arguments = parser.parse_args()
    X, _ = load_mnist()["train"]
    epoch = X[: arguments.steps * BATCH]

    record = {"environment": environment(), "steps": {}}
    for name, (model, M) in MODELS.items():
        result = measure(model, M, epoch, arguments.repeats)
        record["steps"][name] = result
        print(
            f"{name:<14} in fit {result['ours_ms']:6.2f} ms, bare loop "
            f"{result['bare_ms']:6.2f} ms, ratio {result['ratio']:.3f}",
            flush=True,
        )

    model = DAAETransformer().partial_fit(X[:2])
    record["load_50000_rows_ms"] = 1000 * np.median(
        [seconds(load_mnist) for _ in range(3)]
    )
    record["validate_50000_rows_ms"] = 1000 * np.median(
        [seconds(lambda: model._validated(X, reset=False)) for _ in range(5)]
    )
    for name in ("load", "validate"):
        print(f"{name} 50,000 rows: {record[f'{name}_50000_rows_ms']:.0f} ms")
    write_json(RESULTS, record)


if __name__ == "__main__":
    main()
