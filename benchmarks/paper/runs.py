"""One run: a model trained on a data set from one seed, and what was measured of it."""

import json
import subprocess
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmarks._records import environment, train_resumably, write_json
from benchmarks.paper.measures import MEASURES
from benchmarks.paper.protocol import settings_of
from benchmarks.paper.protocols import protocols
from sklearn_daae._device import resolve_device

RESULTS = Path(__file__).parent / "results"


@cache
def load(dataset):
    """Return the parts of a data set, read once."""
    return protocols()[dataset].load()


def revision():
    """Return the commit that is checked out, and whether files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=Path(__file__).parent
        )
    except FileNotFoundError:  # no git
        return "unknown"
    return done.stdout.strip() or "unknown"


@dataclass(frozen=True)
class Options:
    """What all runs of a command have in common."""

    checkpoints: Path
    results: Path = RESULTS
    budget: str = "paper"
    epochs: int | None = None
    device: str = "auto"
    precision: str = "float32"
    checkpoint_seconds: float = 30
    again: bool = False
    # Of the code, when the command began.
    revision: str = field(default_factory=revision)


class Run:
    """A model of a data set and a seed.

    Its record is a file of JSON in the folder of results, its trained model a file in
    the folder of checkpoints, which is written now and then after an epoch. The names
    of both tell what the training was, so that no two trainings share them.

    Parameters
    ----------
    dataset, model_name : str
        Names of the data set and of its model.

    seed : int
        The model's `random_state`.

    options : Options
        Of the command.
    """

    def __init__(self, dataset, model_name, seed, options):
        protocol = protocols()[dataset]
        self.dataset, self.model_name, self.seed = dataset, model_name, seed
        self.options = options
        self.unfitted = protocol.model(model_name, options.budget, options.epochs)
        self.settings = settings_of(self.unfitted)
        self.training = ""
        if self.is_seeded:
            self.unfitted.set_params(
                random_state=seed, device=options.device, precision=options.precision
            )
            self.n_epochs = self.unfitted.max_epochs
            self.device = resolve_device(options.device).type
            self.training = f"-{self.n_epochs}epochs-{options.precision}"
            if protocol.changes(model_name, self.settings):
                self.training += "-cpu_budget"
            if self.device != "cpu":
                self.training += f"-{self.device}"
        name = model_name + self.training + (f"-seed{seed}" if self.is_seeded else "")
        self.name = f"{dataset}/{name}"
        self.path = options.results / dataset / f"{name}.json"
        self.checkpoint = options.checkpoints / dataset / name

    @property
    def is_seeded(self):
        """Whether it is one of ours, trained by epochs, and not PCA or the pixels."""
        return hasattr(self.unfitted, "max_epochs")

    def record(self):
        """Return what is known of it, or the beginning of that."""
        if self.path.exists():
            record = json.loads(self.path.read_text())
            if record["settings"] == self.settings:
                return record
            print(f"{self.name}: was measured in other settings, and is done anew")
        record = {
            "dataset": self.dataset,
            "model": self.model_name,
            "class": type(self.unfitted).__name__,
            "settings": self.settings,
        }
        if self.is_seeded:
            record |= {
                "seed": self.seed,
                "epochs": self.n_epochs,
                "precision": self.options.precision,
                "device": self.device,
            }
        return {**record, **self._provenance(), "figures": {}}

    def trained(self):
        """Return the trained model and the seconds that its training took."""
        X = load(self.dataset)["train"][0]
        if self.is_seeded:
            return train_resumably(
                self.unfitted,
                X,
                self.n_epochs,
                self.checkpoint,
                seconds_between=self.options.checkpoint_seconds,
            )
        start = time.perf_counter()
        model = self.unfitted.fit(X)
        return model, time.perf_counter() - start

    def measure(self, names):
        """Take those measures that have not been taken, and write each down.

        Parameters
        ----------
        names : sequence of str
            Names of measures.
        """
        known = {} if self.options.again else self.record()["figures"]
        missing = [name for name in names if name not in known]
        if not missing:
            print(f"{self.name}: has been measured")
            return
        model, seconds = self.trained()
        for name in missing:
            numbers = MEASURES[self.dataset][name](model, load(self.dataset))
            # Read anew: another command may have measured something else meanwhile.
            record = self.record()
            record["training_seconds"] = round(seconds, 1)
            if self.is_seeded:
                record["losses"] = model.history_
            record["figures"][name] = numbers
            record.setdefault("measured", {})[name] = self._provenance()
            write_json(self.path, record)
            print(f"{self.name}, {name}: {json.dumps(numbers)}", flush=True)

    def _provenance(self):
        """Return by which code, where and when."""
        return {
            "revision": self.options.revision,
            "environment": environment(self.options.device),
        }
