"""The memory that training on a large file takes.

Writes a memory-mapped file of uint8 images, 2 GB unless told otherwise, trains one
epoch on it in a process of its own, and measures that process's greatest resident set
beyond what the interpreter and torch had taken before::

    python -m benchmarks.speed.memory

Pages of the file count as the process's own while they are mapped. What has been
measured stands in ``benchmarks/speed/results/memory.json``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._records import environment, write_json

RESULTS = Path(__file__).parent / "results" / "memory.json"


def resident(kind):
    """Return this process's resident memory in bytes: "VmRSS" now, "VmHWM" at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind):
            return 1024 * int(line.split()[1])
    raise RuntimeError("this benchmark needs Linux's /proc")


def write_images(path, n_bytes, n_features):
    """Write random images, of a few colours each, block by block."""
    X = np.lib.format.open_memmap(
        path, "w+", dtype=np.uint8, shape=(n_bytes // n_features, n_features)
    )
    random = np.random.default_rng(0)
    for start in range(0, len(X), 10_000):
        rows = X[start : start + 10_000]
        rows[:] = random.integers(256, size=(len(rows), 1))
    X.flush()


def measure(path, estimator):
    """Train one epoch on the file, and print what it took."""
    import torch

    import sklearn_daae

    torch.ones(1, requires_grad=True).sum().backward()
    X = np.load(path, mmap_mode="r")
    model = getattr(sklearn_daae, estimator)(
        input_range=(0, 255),
        max_epochs=1,
        batch_size=1024,
        encoder_layer_sizes=(256,),
        decoder_layer_sizes=(256,),
        random_state=0,
    )
    before, start = resident("VmRSS"), time.perf_counter()
    model.fit(X)
    seconds, after = time.perf_counter() - start, resident("VmHWM")
    model.transform(X)
    print(
        json.dumps(
            {
                "file_bytes": X.nbytes,
                "resident_before": before,
                "greatest_in_fit": after - before,
                "greatest_with_transform": resident("VmHWM") - before,
                "fit_seconds": round(seconds, 1),
            }
        )
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bytes", type=int, default=2 * 10**9)
    parser.add_argument("--n-features", type=int, default=3 * 64 * 64)
    parser.add_argument("--estimator", default="DAAETransformer")
    parser.add_argument("--file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.file:
        return measure(arguments.file, arguments.estimator)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.npy"
        write_images(path, arguments.bytes, arguments.n_features)
        command = [sys.executable, "-m", "benchmarks.speed.memory", "--file", path]
        command += ["--estimator", arguments.estimator]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    record = json.loads(done.stdout)
    for name, value in record.items():
        print(f"{name}: {value / 1e6:,.0f} MB" if "sec" not in name else value)
    records = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    key = f"{arguments.estimator}, {arguments.n_features} features"
    write_json(RESULTS, records | {key: {**record, "environment": environment()}})


if __name__ == "__main__":
    main()
