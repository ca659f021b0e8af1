"""Fetching the data sets beside the fastest plain way to read the same archives.

In a process of its own and with an empty cache for each: the first call, which decodes,
in turn with a plain loop of NumPy and Pillow that leaves the same array in memory; the
second call, which maps what the first has left; and the memory that the first call took
beyond what it began with, as a part of what it returns. Disk and checksums included::

    SKLEARN_DAAE_DATA=... python -m benchmarks.speed.datasets

What has been measured stands in ``benchmarks/speed/results/datasets.json``.
"""

import argparse
import gzip
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from PIL import Image

from benchmarks._records import data_home, environment, write_json
from benchmarks.speed.memory import resident
from sklearn_daae import datasets

RESULTS = Path(__file__).parent / "results" / "datasets.json"
REPEATS = 3


def plain_mnist(home, dtype):
    parts = []
    for name in ("train", "t10k"):
        data = gzip.decompress(
            (home / "mnist" / f"{name}-images-idx3-ubyte.gz").read_bytes()
        )
        parts.append(np.frombuffer(data, np.uint8, offset=16).reshape(-1, 784))
    X = np.concatenate(parts)
    return X if dtype == "uint8" else X.astype(np.float32) / 255


def plain_omniglot(home, dtype):
    images = []
    for name in ("background", "evaluation"):
        with ZipFile(home / "omniglot" / f"images_{name}.zip") as archive:
            for member in archive.namelist():
                if member.endswith(".png"):
                    image = Image.open(io.BytesIO(archive.read(member)))
                    images.append(np.asarray(image).ravel())
    X = ~np.array(images)
    return X.astype(np.float32) if dtype == "float32" else X.astype(np.uint8) * 255


def plain_sprites(home, dtype):
    with np.load(home / "sprites" / "reed2015_sprites.npz") as file:
        colours = file["palette"][:, :3]
        if dtype == "float32":
            colours = colours.astype(np.float32) / 255
        X = np.empty((672 * 178, 10_800), dtype)
        for i in range(672):
            frames = colours[file[f"frames_{i:03d}"]].transpose(0, 3, 1, 2)
            X[178 * i : 178 * (i + 1)] = frames.reshape(178, -1)
    return X


PLAIN = {
    "mnist": plain_mnist,
    "omniglot": plain_omniglot,
    "sprites": plain_sprites,
}


def measure(name, dtype, way):
    """Print what one way of reading a data set took, in this process."""
    home = data_home()
    before, start = resident("VmRSS"), time.perf_counter()
    if way == "plain":
        X = PLAIN[name](home, dtype)
    else:
        fetch = getattr(datasets, f"fetch_{name}")
        X = fetch(data_home=home, dtype=dtype, verbose=0).data
    seconds, after = time.perf_counter() - start, resident("VmHWM")
    print(json.dumps({"seconds": seconds, "memory": (after - before) / X.nbytes}))


def in_process(name, dtype, way, cache):
    output = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.speed.datasets",
            "--measure",
            name,
            dtype,
            way,
        ],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "SKLEARN_DAAE_CACHE": cache},
    ).stdout
    return json.loads(output)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", nargs=3, help="of one process")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(*arguments.measure)
        return
    records = {}
    for name in PLAIN:
        for dtype in ("uint8", "float32"):
            took = []
            for _ in range(REPEATS):
                with tempfile.TemporaryDirectory() as cache:
                    took.append(
                        [
                            in_process(name, dtype, way, cache)
                            for way in ("plain", "first", "second")
                        ]
                    )
            plain, first, second = (
                float(np.median([run[i]["seconds"] for run in took])) for i in range(3)
            )
            records[f"{name}, {dtype}"] = {
                "plain_seconds": plain,
                "first_seconds": first,
                "first_over_plain": float(
                    np.median([run[1]["seconds"] / run[0]["seconds"] for run in took])
                ),
                "second_seconds": second,
                "memory_over_returned": float(
                    np.median([run[1]["memory"] for run in took])
                ),
            }
            print(name, dtype, records[f"{name}, {dtype}"], flush=True)
    write_json(RESULTS, {**records, "environment": environment()})


if __name__ == "__main__":
    main()
