"""One run: a model trained on a data set from one seed, and what was measured of it."""

import json
import subprocess
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmarks._records import environment, train_resumably, write_json
from benchmarks.paper.measures import MEASURES
from benchmarks.paper.protocols import protocols

# Parameters that a record has at a place of their own, or that change nothing.
_NO_SETTINGS = {"device", "random_state", "precision", "max_epochs", "warm_start"}

RESULTS = Path(__file__).parent / "results"


@cache
def load(dataset):
    """Return the parts of a data set, read once."""
    return protocols()[dataset].load()


def revision():
    """Return the commit that is checked out, and whether files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
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
    # Of the code, when the command began.
    revision: str = field(default_factory=revision)


class Run:
    """A model of a data set and a seed.

    Its record is a file of JSON in the folder of results, its trained model a file in
    the folder of checkpoints, which is written now and then after an epoch.

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
        name = model_name
        if self.is_seeded:
            self.unfitted.set_params(
                random_state=seed, device=options.device, precision=options.precision
            )
            self.n_epochs = self.unfitted.max_epochs
            name = f"{model_name}-{self.n_epochs}epochs-{options.precision}-seed{seed}"
        self.name = f"{dataset}/{name}"
        self.path = options.results / dataset / f"{name}.json"
        self.checkpoint = options.checkpoints / dataset / name

    @property
    def is_seeded(self):
        """Whether it is one of ours, trained by epochs, and not PCA or the pixels."""
        return hasattr(self.unfitted, "max_epochs")

    @property
    def settings(self):
        """The parameters that are not their defaults, as JSON has them."""
        defaults = type(self.unfitted)().get_params() if self.is_seeded else {}
        settings = {
            name: value
            for name, value in self.unfitted.get_params().items()
            if name not in _NO_SETTINGS
            and (name not in defaults or value != defaults[name])
        }
        return json.loads(json.dumps(settings))

    def record(self):
        """Return what is known of it, or the beginning of that."""
        if self.path.exists():
            record = json.loads(self.path.read_text())
            if record["settings"] == self.settings:
                return record
            print(f"{self.name}: measured in other settings, and done anew")
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
                "budget": self.options.budget,
                "precision": self.options.precision,
            }
        return {**record, "figures": {}}

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

        Returns
        -------
        record : dict
            All that is known now.
        """
        record = self.record()
        missing = [name for name in names if name not in record["figures"]]
        if not missing:
            print(f"{self.name}: has been measured")
            return record
        model, seconds = self.trained()
        if self.is_seeded:
            record["losses"] = model.history_
        record["training_seconds"] = round(seconds, 1)
        record["revision"] = self.options.revision
        record["environment"] = environment()
        for name in missing:
            numbers = MEASURES[self.dataset][name](model, load(self.dataset))
            record["figures"][name] = numbers
            write_json(self.path, record)
            print(f"{self.name}, {name}: {json.dumps(numbers)}", flush=True)
        return record
