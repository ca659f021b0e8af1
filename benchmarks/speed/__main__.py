"""How fast training and inference are, beside what the machine can do and beside peers.

    python -m benchmarks.speed --quick
    python -m benchmarks.speed --networks mnist --precisions float32 bfloat16
    python -m benchmarks.speed --device cuda

Steps of Algorithm 1 at batch 64, in one run and in turn, an epoch of each after an
epoch of ours, medians of repeats: the machine's noise falls on all of them.

- ours: a step inside `fit`, with everything that belongs to it
- floor: the bare products of such a step and a fused Adam pass, nothing else
- careful: a hand-written loop that does all that is known to be fast
- common: a hand-written loop as most people write it
- pythae: its adversarial autoencoder (AAE only; left out where it is not installed)

Then steps of the joint update beside separate ones; `transform`, `inverse_transform`
and `sample` beside the bare network on one batch; whole fits (3 epochs of 10,000 rows,
in a process of their own) and the time of an import. The result stands in
``benchmarks/speed/results/steps.json``, of which `benchmarks.speed.page` makes a page.
On a GPU there is no floor, an import is left to the CPU, and the bare network has its
batch there already.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from benchmarks._records import environment, write_json
from benchmarks.speed.floor import Floor
from benchmarks.speed.peers import CarefulLoop, CommonLoop, Pythae
from sklearn_daae import AAETransformer, DAAETransformer, iDAAETransformer

RESULTS = Path(__file__).parent / "results" / "steps.json"
BATCH = 64
BATCH_OF_MANY_ROWS = 128  # the default
MODELS = {
    "AAE": AAETransformer.as_published(),
    "DAAE": DAAETransformer.as_published(),
    "iDAAE, M = 5": iDAAETransformer.as_published(M=5),
    "iDAAE, M = 25": iDAAETransformer.as_published(M=25),
}
# The joint update in the same networks, with all that the defaults add to a step.
JOINT = {
    "update": "joint",
    "adversarial_weight": "auto",
    "averaging": True,
    "corruption_level": "mixed",
    "optimizer": ("adam", {"betas": (0.5, 0.99)}),
    "learning_rate": 1e-3,
}
SMALL_DISCRIMINATOR = {"discriminator_layer_sizes": "auto"}
# Number of features, settings, and steps in an epoch.
NETWORKS = {
    "mnist": (784, {"n_components": 10}, 30),
    "omniglot": (
        11025,
        {
            "n_components": 200,
            "encoder_layer_sizes": (1000,) * 3,
            "decoder_layer_sizes": (1000,) * 6,
        },
        4,
    ),
    "conv16": (  # the paper's network with a quarter of its filters
        3 * 64 * 64,
        {
            "n_components": 200,
            "network": ("conv", {"n_filters": 16}),
            "image_shape": (3, 64, 64),
        },
        4,
    ),
}


def seconds(function):
    finish()
    start = time.perf_counter()
    function()
    finish()
    return time.perf_counter() - start


def finish():
    """Wait for what has begun on a GPU."""
    if torch.cuda.is_initialized():  # to wait begins to use it, which takes memory
        torch.cuda.synchronize()


def resident(kind):
    """Return this process's resident memory in bytes: "VmRSS" now, "VmHWM" at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind):
            return 1024 * int(line.split()[1])
    raise RuntimeError("this benchmark needs Linux's /proc")


class InTurn(Callback):
    """Runs an epoch of every contestant, which returns seconds, after each of a fit."""

    def __init__(self, contestants):
        self.contestants = contestants
        self.seconds = {name: [] for name in contestants}

    def on_epoch_end(self, net, **kwargs):
        for name, contestant in self.contestants.items():
            self.seconds[name].append(contestant())


def measure_step(model, name, network, precision, repeats, device):
    """Return milliseconds per step of each contestant."""
    n_features, settings, n_steps = NETWORKS[network]
    random = np.random.default_rng(0)
    X = random.random((n_steps * BATCH, n_features), dtype=np.float32)
    settings = {**settings, "precision": precision, "device": device, "random_state": 0}
    model = clone(model).set_params(**settings, max_epochs=1).fit(X[:2])
    networks = model.encoder_, model.decoder_, model.discriminator_
    M, sigma = getattr(model, "M", None), getattr(model, "sigma", 0.0)
    loop = {"batch_size": BATCH, "precision": precision, "device": device}
    contestants = {
        "careful": CarefulLoop(networks, X, sigma=sigma, M=M, **loop),
        "common": CommonLoop(networks, X, sigma=sigma, M=M, **loop),
    }
    if device == "cpu":
        floor = Floor(
            networks,
            (n_features, settings["n_components"]),
            batch_size=BATCH,
            n_corruptions=M or 1,
            dtype=getattr(torch, precision),
        )
        contestants = {"floor": lambda: [floor() for _ in range(n_steps)]} | contestants
    if name == "AAE" and network == "mnist" and find_spec("pythae"):
        contestants["pythae"] = Pythae(networks, X, **loop)
    in_turn = InTurn({c: partial(seconds, f) for c, f in contestants.items()})
    model.set_params(max_epochs=repeats + 2, callbacks=[in_turn]).fit(X)
    durations = {"ours": model.net_.history[:, "dur"], **in_turn.seconds}
    # The first two epochs warm up.
    durations = {c: np.array(d[2:]) for c, d in durations.items()}
    ours = durations["ours"]
    return {
        "ms_per_step": {
            c: 1000 * float(np.median(d)) / n_steps for c, d in durations.items()
        },
        # Of each pair of neighbours, so that a slow minute falls on both.
        "ours_over": {
            c: float(np.median(ours / d)) for c, d in durations.items() if c != "ours"
        },
    }


def seconds_of_epoch(model, X):
    """Train on, and return the last epoch's seconds as `fit` has them."""
    if model.device == "cpu":
        return model.partial_fit(X).net_.history[-1, "dur"]
    # On a GPU each training records its step anew, in its first epoch.
    model.set_params(max_epochs=2, warm_start=True).fit(X)
    return model.net_.history[-1, "dur"]


def measure_joint_update(name, precision, repeats, device):
    """Return milliseconds of a step, separate and joint, of MNIST's networks.

    And of the AAE's beside pythae's, in equal networks.
    """
    n_features, settings, n_steps = NETWORKS["mnist"]
    n_samples = n_steps * BATCH_OF_MANY_ROWS
    X = np.random.default_rng(0).random((n_samples, n_features), dtype=np.float32)
    settings = {
        **settings,
        "batch_size": BATCH_OF_MANY_ROWS,
        "precision": precision,
        "device": device,
        "random_state": 0,
    }
    separate = clone(MODELS[name]).set_params(**settings)
    joint = clone(separate).set_params(
        **{k: v for k, v in JOINT.items() if k in separate.get_params()}
    )
    small = clone(joint).set_params(**SMALL_DISCRIMINATOR)
    contestants = {
        "joint": partial(seconds_of_epoch, joint, X),
        "joint, small discriminator": partial(seconds_of_epoch, small, X),
    }
    if name == "AAE" and find_spec("pythae"):
        separate.set_params(max_epochs=1).fit(X[:2])
        networks = separate.encoder_, separate.decoder_, separate.discriminator_
        loop = {"batch_size": BATCH_OF_MANY_ROWS, "precision": precision}
        pythae = Pythae(networks, X, **loop, device=device)
        contestants["pythae"] = partial(seconds, pythae)
    in_turn = InTurn(contestants)
    separate.set_params(max_epochs=repeats + 2, callbacks=[in_turn]).fit(X)
    durations = {"separate": separate.net_.history[:, "dur"], **in_turn.seconds}
    durations = {c: np.array(d[2:]) for c, d in durations.items()}
    record = {
        "ms_per_step": {
            c: 1000 * float(np.median(d)) / n_steps for c, d in durations.items()
        },
        "over_separate": {
            c: float(np.median(d / durations["separate"]))
            for c, d in durations.items()
            if c != "separate"
        },
    }
    if "pythae" in durations:
        ratios = durations["pythae"] / durations["joint"]
        record["pythae_over_joint"] = float(np.median(ratios))
    return record


def measure_inference(repeats, device):
    """Return rows per second, ours and the bare network's on one batch."""
    X = np.random.default_rng(0).random((60_000, 784), dtype=np.float32)
    model = DAAETransformer.as_published(
        max_epochs=1, device=device, random_state=0
    ).fit(X[:128])
    Z = model.transform(X)
    tensors = [torch.from_numpy(a).to(device) for a in (X, Z)]
    bare = {
        "transform": lambda: model.encoder_(tensors[0]),
        "inverse_transform": lambda: torch.sigmoid(model.decoder_(tensors[1])),
    }
    bare["sample, 0 steps"] = bare["inverse_transform"]
    ours = {
        "transform": lambda: model.transform(X),
        "inverse_transform": lambda: model.inverse_transform(Z),
        "sample, 0 steps": lambda: model.sample(len(X), 0, n_steps=0),
    }
    out = {}
    for name in ours:
        pairs = []
        with torch.inference_mode():
            for _ in range(repeats):
                pairs.append((seconds(ours[name]), seconds(bare[name])))
        a, b = np.array(pairs[1:]).T
        out[name] = {
            "rows_per_second": len(X) / float(np.median(a)),
            "bare_rows_per_second": len(X) / float(np.median(b)),
            "share_of_bare": float(np.median(b / a)),
        }
    return out


def measure_fit(name, precision, device):
    """Return the seconds of a whole fit, and the memory it takes at most.

    The memory is the process's own beyond that of torch, the package and the data; or
    what torch reserves on a GPU.
    """
    command = [sys.executable, "-m", "benchmarks.speed", "--device", device]
    command += ["--fit", name, precision]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def fit_and_tell(name, precision, device):
    """Do what `measure_fit` measures, in this process."""
    X = np.random.default_rng(0).random((10_000, 784), dtype=np.float32)
    torch.ones(1, device=device, requires_grad=True).sum().backward()
    model = MODELS[name].set_params(
        precision=precision, max_epochs=3, device=device, random_state=0
    )
    before = resident("VmRSS")
    duration = seconds(lambda: model.fit(X))
    n_bytes = resident("VmHWM") - before
    if device == "cuda":
        n_bytes = torch.cuda.max_memory_reserved()
    print(json.dumps({"seconds": round(duration, 2), "peak_bytes": n_bytes}))


def measure_import(repeats):
    """Return the seconds that a process takes to import torch, and the package."""
    out = {}
    for statement in ("import torch", "import sklearn_daae"):
        run = partial(subprocess.run, [sys.executable, "-c", statement], check=True)
        out[statement] = float(np.median([seconds(run) for _ in range(repeats)]))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=["mnist"])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument(
        "--precisions",
        nargs="+",
        choices=["float32", "bfloat16"],
        default=["float32", "bfloat16"],
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="3 repeats")
    parser.add_argument(
        "--steps-only", action="store_true", help="no inference, fit and import"
    )
    parser.add_argument("--fit", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = arguments.device
    if device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no CUDA device on this machine")
    if arguments.fit:
        return fit_and_tell(*arguments.fit, device)
    repeats = 3 if arguments.quick else arguments.repeats
    # A few steps on noise: what comes of them does not matter.
    warnings.simplefilter("ignore", ConvergenceWarning)

    there = environment(device)
    machines = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    records = machines.setdefault(there["gpu"] or there["cpu"], {})
    columns = "ours", "floor", "careful", "common", "pythae"
    print(
        f"{'ms per step':<34}" + "".join(f"{c:>10}" for c in columns) + "  ours/floor"
    )
    for network in arguments.networks:
        for precision in arguments.precisions:
            for name in arguments.models:
                record = measure_step(
                    MODELS[name], name, network, precision, repeats, device
                )
                times = record["ms_per_step"]
                cells = [f"{times[c]:.1f}" if c in times else "" for c in columns]
                print(
                    f"{network}, {name}, {precision}".ljust(34)
                    + "".join(f"{cell:>10}" for cell in cells)
                    + f"{record['ours_over'].get('floor', np.nan):>12.3f}",
                    flush=True,
                )
                key = f"{network}, {name}, batch {BATCH}, {precision}"
                records[key] = {**record, "environment": there}
                if not arguments.quick:
                    write_json(RESULTS, machines)
    for precision in arguments.precisions:
        for name in arguments.models:
            record = measure_joint_update(name, precision, repeats, device)
            print(f"updates, {name}, {precision}: {json.dumps(record)}", flush=True)
            key = f"updates, {name}, batch {BATCH_OF_MANY_ROWS}, {precision}"
            records[key] = {**record, "environment": there}
            if not arguments.quick:
                write_json(RESULTS, machines)
    if arguments.steps_only:
        return None
    inference = measure_inference(repeats, device)
    records["inference, mnist"] = {**inference, "environment": there}
    for name, record in inference.items():
        print(
            f"{name}: {record['rows_per_second']:,.0f} rows a second, "
            f"{100 * record['share_of_bare']:.0f} % of the bare network's"
        )
    for precision in arguments.precisions:
        for name in ("DAAE", "iDAAE, M = 5"):
            record = measure_fit(name, precision, device)
            print(f"fit, {name}, {precision}: {record['seconds']:.1f} s, ", end="")
            print(f"{record['peak_bytes'] / 1e6:.0f} MB", flush=True)
            key = f"fit, {name}, {precision}"
            records[key] = {**record, "environment": there}
    if device == "cpu":
        imports = measure_import(repeats)
        for statement, duration in imports.items():
            print(f"{statement}: {duration:.2f} s")
        records["import, seconds"] = {**imports, "environment": there}
    if not arguments.quick:
        write_json(RESULTS, machines)
    return None


if __name__ == "__main__":
    main()
