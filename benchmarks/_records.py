"""Where benchmarks read their data, and how they keep and show their results."""

import json
import os
import platform
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import joblib
import torch


def data_home():
    """Return the folder of the data sets, named by SKLEARN_DAAE_DATA."""
    home = os.environ.get("SKLEARN_DAAE_DATA")
    if home is None or not Path(home).is_dir():
        raise SystemExit(
            "Set the environment variable SKLEARN_DAAE_DATA to the folder that holds "
            "the data sets (mnist/train-images-idx3-ubyte.gz and so on)."
        )
    return Path(home)


def environment():
    """Describe the machine, for a result to be read by."""
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ] or [platform.processor()]
    return {
        "date": date.today().isoformat(),
        # The instructions that torch uses tell machines apart that have one name.
        "cpu": f"{len(os.sched_getaffinity(0))} cores of {names[0]} "
        f"({torch.backends.cpu.get_cpu_capability()})",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "scikit-learn", "skorch")},
    }


def write_json(path, record):
    """Write a record so that a stopped program never leaves half of it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=2) + "\n")
    partial.replace(path)


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
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    seconds, n_epochs = 0.0, 0
    if checkpoint.exists():
        settings = _settings(model)
        model, seconds = joblib.load(checkpoint)
        n_epochs = model.n_epochs_
        if _settings(model) != settings or n_epochs > epochs:
            raise SystemExit(
                f"{checkpoint} is of other settings, or has more than {epochs} epochs: "
                "remove it to train anew."
            )
    while n_epochs < epochs:
        n_next = int(seconds_between * n_epochs / seconds) if seconds else 1
        n_next = min(max(1, n_next), epochs - n_epochs)
        start = time.perf_counter()
        model.set_params(max_epochs=n_next, warm_start=True).fit(X)
        seconds += time.perf_counter() - start
        n_epochs += n_next
        partial = checkpoint.with_suffix(".partial")
        joblib.dump((model, seconds), partial)
        partial.replace(checkpoint)
        losses = ", ".join(f"{k} {v:.4f}" for k, v in model.history_[-1].items())
        name, each = f"{checkpoint.parent.name}/{checkpoint.stem}", seconds / n_epochs
        progress = f"epoch {n_epochs} of {epochs}, {each:.3g} s each"
        print(f"{name}, {progress}: {losses}", flush=True)
    return model, seconds


def _settings(model):
    """Return what a model is trained with, but for how long, in words."""
    parameters = model.get_params()
    return repr({**parameters, "max_epochs": None, "warm_start": None})
