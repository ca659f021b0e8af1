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


def train_resumably(model, X, epochs, checkpoint):
    """Train a model epoch by epoch, and go on where a stopped run has left off.

    Parameters
    ----------
    model : estimator
        The model, unfitted.

    X : ndarray
        What to train on.

    epochs : int
        Epochs that the model is to have in the end.

    checkpoint : path
        Where its state is kept after every epoch, with the suffix ".joblib".

    Returns
    -------
    model : estimator
        The trained model.

    seconds : float
        What its training took, over all runs.
    """
    checkpoint = Path(f"{checkpoint}.joblib")
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    seconds = 0.0
    if checkpoint.exists():
        settings = repr(model.get_params())
        model, seconds = joblib.load(checkpoint)
        if repr(model.get_params()) != settings or model.n_epochs_ > epochs:
            raise SystemExit(
                f"{checkpoint} is of other settings, or has more than {epochs} epochs: "
                "remove it to train anew."
            )
    while getattr(model, "n_epochs_", 0) < epochs:
        start = time.perf_counter()
        model.partial_fit(X)
        seconds += time.perf_counter() - start
        losses = ", ".join(f"{k} {v:.4f}" for k, v in model.history_[-1].items())
        print(
            f"{checkpoint.parent.name}/{checkpoint.stem}, "
            f"epoch {model.n_epochs_} of {epochs}, "
            f"{seconds / model.n_epochs_:.1f} s each: {losses}",
            flush=True,
        )
        partial = checkpoint.with_suffix(".partial")
        joblib.dump((model, seconds), partial)
        partial.replace(checkpoint)
    return model, seconds
