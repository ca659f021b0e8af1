"""Time and memory of `fit` as rows, features, M and processes grow.

    python -m benchmarks.scale
    python -m benchmarks.scale --most-rows 1000000

Each measurement is a process of its own, so that its peak of memory is that of nothing
else: one epoch on a memory-mapped file, in scikit-learn's `working_memory` of 64 MiB,
which has blocks read from 16 MiB up. Memory is what is added to that of a process that
has trained on a few rows. "Workers" are processes that train one model, started by
``torchrun``, each with one thread. What has been measured is not measured again: the
record is ``benchmarks/scale/results/scale.json``, of which `benchmarks.scale.page`
makes a page and a plot.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import sklearn
import torch

from benchmarks._records import environment, write_json
from sklearn_daae import iDAAETransformer
from sklearn_daae.distributed import current, data_parallel

RESULTS = Path(__file__).parent / "results" / "scale.json"
BASE = {
    "rows": 10_000,
    "features": 100,
    "M": 1,
    "workers": 1,
    "hidden": 64,
    "batch": 256,
}
AXES = {
    "rows": [{"rows": 10**k} for k in (4, 5, 6, 7)],
    "features": [{"features": 10**k, "rows": 2000} for k in (2, 3, 4, 5)],
    "M": [{"M": M} for M in (1, 4, 20, 100)],
    "workers": [
        {"workers": n, "features": 784, "hidden": 1000, "rows": 20_480, "batch": batch}
        for batch in (256, 2048)
        for n in (1, 2)
    ],
}


def write_rows(path, rows, features):
    """Write rows of a low dimension, with noise, as a file of float32."""
    X = np.lib.format.open_memmap(path, "w+", np.float32, (rows, features))
    random = np.random.default_rng(0)
    loadings = random.normal(size=(5, features)).astype(np.float32)
    step = max(1, 2**22 // features)
    for start in range(0, rows, step):
        part = X[start : start + step]
        part[:] = random.normal(size=(len(part), 5)).astype(np.float32) @ loadings
        part += 0.3 * random.random(part.shape, dtype=np.float32)
    X.flush()


def peak_bytes():
    """Return how much memory this process has had at most (Linux)."""
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(s for s in status if s.startswith("VmHWM")).split()[1])


def measure(path, setting):
    """Return seconds of an epoch, and bytes, of one setting."""
    torch.set_num_threads(1)
    sklearn.set_config(working_memory=64)
    warnings.simplefilter("ignore")
    layers = (setting["hidden"],)
    model = iDAAETransformer(
        5,
        M=setting["M"],
        encoder_layer_sizes=layers,
        decoder_layer_sizes=layers,
        discriminator_layer_sizes=(64,),
        batch_size=setting["batch"],
        max_epochs=1,
        random_state=0,
    )
    X = np.load(path, mmap_mode="r")
    model.fit(np.array(X[:300]))
    before, start = peak_bytes(), time.perf_counter()
    model.fit(X)
    seconds = time.perf_counter() - start
    epoch = model.net_.history[-1, "dur"]
    return {"fit_seconds": seconds, "seconds": epoch, "bytes": peak_bytes() - before}


def run(path, setting):
    """Measure a setting in a process, or several, of its own."""
    command = ["-m", "benchmarks.scale", "--measure", str(path), json.dumps(setting)]
    if setting["workers"] > 1:
        torchrun = ["-m", "torch.distributed.run", "--nproc-per-node"]
        command = [*torchrun, str(setting["workers"]), *command]
    done = subprocess.run(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return json.loads(done.stdout)


def main():
    """Measure what has not been measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most-rows", type=int, default=10**7)
    parser.add_argument("--repeats", type=int, default=3, help="of which medians count")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        path, setting = options.measure
        if "RANK" not in os.environ:
            print(json.dumps(measure(path, json.loads(setting))))
            return
        with data_parallel():
            measured = measure(path, json.loads(setting))
            if current().rank == 0:
                print(json.dumps(measured))
        return
    record = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"measured": []}
    known = [one["setting"] for one in record["measured"]]
    for changes in (changes for of_axis in AXES.values() for changes in of_axis):
        setting = {**BASE, **changes}
        if setting in known or setting["rows"] > options.most_rows:
            continue
        known.append(setting)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "X.npy"
            write_rows(path, setting["rows"], setting["features"])
            repeats = options.repeats if setting["rows"] < 10**6 else 1
            runs = [run(path, setting) for _ in range(repeats)]
        medians = {key: float(np.median([r[key] for r in runs])) for key in runs[0]}
        record["measured"].append(
            {"setting": setting, **medians, "environment": environment("cpu")}
        )
        write_json(RESULTS, record)
        print(setting, medians, flush=True)


if __name__ == "__main__":
    main()
