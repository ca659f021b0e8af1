"""The exact Parzen log-likelihood beside the bare arithmetic that it takes.

10,000 rows against 10,000 samples of 784 features, a fifth of them 1 and the others 0:
as far apart as digits are, at a bandwidth that is chosen for digits. In turn with
`parzen_log_likelihood`, whose memory is measured as well, the matrix product of that
size and an exponential of each entry, of small numbers, which is where exponentials are
fastest; by torch in float64, in blocks of as many rows as is fastest::

    python -m benchmarks.speed.likelihood

What has been measured stands in ``benchmarks/speed/results/likelihood.json``.
"""

import time
from pathlib import Path

import numpy as np
import torch

from benchmarks._records import environment, write_json
from benchmarks.speed.memory import resident
from sklearn_daae.metrics import parzen_log_likelihood

RESULTS = Path(__file__).parent / "results" / "likelihood.json"
REPEATS = 5
BANDWIDTH = 0.129
BLOCKS = 50, 100, 200, 500, 1000


def bare(X, samples, n_rows):
    """Do the arithmetic, and drop it."""
    block = torch.empty(n_rows, len(samples), dtype=X.dtype)
    for rows in X.split(n_rows):
        torch.mm(rows, samples.t(), out=block)
        block.exp_()


def main():
    X, samples = (np.random.default_rng(0).random((2, 10_000, 784)) > 0.8).astype(float)
    arguments = {"bandwidth": BANDWIDTH, "device": "cpu"}
    parzen_log_likelihood(X[:10], samples[:10], **arguments)  # loads libraries
    before = resident("VmRSS")
    parzen_log_likelihood(X, samples, **arguments)
    n_bytes = resident("VmHWM") - before
    ours, arithmetic = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        parzen_log_likelihood(X, samples, **arguments)
        ours.append(time.perf_counter() - start)
        tensors, seconds = (torch.from_numpy(X), torch.from_numpy(samples / 1000)), []
        for n_rows in BLOCKS:
            start = time.perf_counter()
            bare(*tensors, n_rows)
            seconds.append(time.perf_counter() - start)
        arithmetic.append(min(seconds))
    ours, arithmetic = np.array(ours), np.array(arithmetic)
    record = {
        "seconds": float(np.median(ours)),
        "bare_seconds": float(np.median(arithmetic)),
        "over_bare": float(np.median(ours / arithmetic)),
        "peak_bytes": n_bytes,
        "environment": environment(),
    }
    print(record)
    write_json(RESULTS, record)


if __name__ == "__main__":
    main()
