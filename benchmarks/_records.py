"""Where benchmarks read their data, and how they keep and show their results."""

import fcntl
import json
import os
import platform
import time
from contextlib import contextmanager
from datetime import date
from importlib.metadata import version
from pathlib import Path

import joblib
import torch
from joblib import cpu_count

from sklearn_daae._device import resolve_device
from sklearn_daae.datasets._cache import written_whole


def data_home():
    """Return the folder of the data sets, named by SKLEARN_DAAE_DATA."""
    home = os.environ.get("SKLEARN_DAAE_DATA")
    if home is None or not Path(home).is_dir():
        raise SystemExit(
            "Set the environment variable SKLEARN_DAAE_DATA to the folder that holds "
            "the data sets (mnist/train-images-idx3-ubyte.gz and so on)."
        )
    return Path(home)


def environment(device="auto"):
    """Describe the machine, for a result to be read by.

    Parameters
    ----------
    device : str, default="auto"
        What was computed on, as estimators take it.
    """
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text().splitlines() if cpu_info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    has_gpu = resolve_device(device).type == "cuda"
    return {
        "date": date.today().isoformat(),
        # The instructions that torch uses tell machines apart that have one name.
        "cpu": f"{cpu_count()} cores of {[*names, platform.processor()][0]} "
        f"({torch.backends.cpu.get_cpu_capability()})",
        "gpu": torch.cuda.get_device_name() if has_gpu else None,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "scikit-learn", "skorch")},
    }


def write_json(path, record):
    """Write a record so that a stopped program never leaves half of it."""
    with written_whole(Path(path)) as file:
        file.write((json.dumps(record, indent=2) + "\n").encode())


def markdown_table(table):
    """Return rows of cells, the first of them headings, as a table of Markdown."""
    header, *rows = table
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def train_resumably(model, X, epochs, checkpoint, *, seconds_between=30):
    """Train a model, keep its state on the way, and go on where a stopped run left off.

    Parameters
    ----------
    model : estimator
        The model, unfitted.

    X : ndarray
        What to train on.

    epochs : int
        Epochs that the model is to have in the end.

    checkpoint : path
        Where its state is kept, with the suffix ".joblib".

    seconds_between : float, default=30
        How often that is, after an epoch.

    Returns
    -------
    model : estimator
        The trained model.

    seconds : float
        What its training took, over all runs.
    """
    checkpoint = Path(f"{checkpoint}.joblib")
    with _alone(checkpoint):
        seconds, n_epochs = 0.0, 0
        if checkpoint.exists():
            settings = _settings(model)
            model, seconds = joblib.load(checkpoint)
            n_epochs = model.n_epochs_
            if _settings(model) != settings or n_epochs > epochs:
                raise SystemExit(
                    f"{checkpoint} is of other settings, or has more than {epochs} "
                    "epochs: remove it to train anew."
                )
        while n_epochs < epochs:
            n_next = int(seconds_between * n_epochs / seconds) if seconds else 1
            n_next = min(max(1, n_next), epochs - n_epochs)
            start = time.perf_counter()
            model.set_params(max_epochs=n_next, warm_start=True).fit(X)
            seconds += time.perf_counter() - start
            if model.n_epochs_ < n_epochs + n_next:
                # `fit` warns of an interrupt, and keeps what it has: not a state that
                # an uninterrupted training would go through.
                raise KeyboardInterrupt
            n_epochs = model.n_epochs_
            with written_whole(checkpoint) as file:
                joblib.dump((model, seconds), file)
            name = f"{checkpoint.parent.name}/{checkpoint.stem}"
            progress = f"epoch {n_epochs} of {epochs}, {seconds / n_epochs:.3g} s each"
            losses = ", ".join(f"{k} {v:.4f}" for k, v in model.history_[-1].items())
            print(f"{name}, {progress}: {losses}", flush=True)
    return model, seconds


@contextmanager
def _alone(checkpoint):
    """Keep other programs from training the same model at the same time."""
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{checkpoint}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(
                f"{checkpoint} is being trained by another program. Let it end, or "
                "train another model meanwhile."
            ) from None
        yield


def _settings(model):
    """Return what a model is trained with, but for how long and where, in words."""
    ignored = dict.fromkeys(("max_epochs", "warm_start", "device"))
    return repr({**model.get_params(), **ignored})
