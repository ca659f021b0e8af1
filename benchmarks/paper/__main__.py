"""The paper's tables and figures, redone.

    SKLEARN_DAAE_DATA=... python -m benchmarks.paper table6 --seeds 0 1
    python -m benchmarks.paper all --dataset sprites
    python -m benchmarks.paper table6 --dataset digits    # to try it out, in a minute

Trains the models that a table or figure is made of, in the paper's settings, and takes
its measures. What has been done is not done again: a model is trained once for all
tables, a run that was stopped goes on from its last state, and ends in the same figures
as one that was not; each model and seed has a record in ``benchmarks/paper/results/``.
`python -m benchmarks.paper.page` makes ``doc/paper_results.md`` of them.

On a CPU, two commands side by side with one thread each (``OMP_NUM_THREADS=1``) train
two models, by ``--models``, in less time than one command in turn.
"""

import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt

from benchmarks.paper.page import PICTURES
from benchmarks.paper.pictures import DRAW
from benchmarks.paper.protocols import protocols
from benchmarks.paper.runs import RESULTS, Options, Run, load
from benchmarks.paper.tables import STAND_INS, TABLES, TUNING
from sklearn_daae.datasets._cache import cache_home


def parts_of(table, dataset=None, *, defaults=False):
    """Return what a table needs, of one data set, or of all of the paper's.

    With `defaults`, the package's own in place of the paper's settings.
    """
    parts = {**TABLES, **TUNING}[table]
    if defaults:
        known = {name for p in protocols().values() for name in p.tuned}
        names = [[f"{name}_defaults" for name in part.models] for part in parts]
        parts = [
            part._replace(models=tuple(name for name in own if name in known))
            for part, own in zip(parts, names, strict=True)
        ]
    if dataset in STAND_INS:
        known = protocols()[dataset].all_models
        return [
            part._replace(dataset=dataset, models=models)
            for part in parts
            if part.dataset == STAND_INS[dataset]
            and (models := tuple(m for m in part.models if m in known))
        ]
    return [p for p in parts if dataset in (None, p.dataset)]


def make(table, part, models, seeds, options):
    """Train models of a part, and take its measures."""
    measures = [*part.measures]
    if measures and part.dataset == "faces":
        measures.append("identity")
    for name in models:
        runs = [Run(part.dataset, name, seed, options) for seed in seeds]
        for run in runs if runs[0].is_seeded else runs[:1]:
            if measures:
                run.measure(measures)
            elif table in DRAW:
                run.trained()


def draw(table, part, seed, options, folder):
    """Draw the picture of a figure from its models of one seed."""
    runs = {name: Run(part.dataset, name, seed, options) for name in part.models}
    trained = {name: run.trained()[0] for name, run in runs.items()}
    figure = DRAW[table](trained, part.dataset, load(part.dataset))
    (training, *_) = (run.training for run in runs.values())
    kind = "-defaults" if part.models[0].endswith("_defaults") else ""
    path = folder / f"{table}-{part.dataset}{kind}{training}.png"
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, bbox_inches="tight")
    plt.close(figure)
    print(f"{table}: {path}")


def at_least_1(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} must be at least 1")
    return value


def parser():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", nargs="+", choices=[*TABLES, *TUNING, "all"])
    parser.add_argument("--dataset", choices=protocols(), help="the only one to do")
    parser.add_argument(
        "--models",
        nargs="+",
        help="the only ones to do; pictures are drawn of all models together",
    )
    parser.add_argument(
        "--defaults",
        action="store_true",
        help="the package's defaults alone, in place of the paper's settings",
    )
    parser.add_argument("--epochs", type=at_least_1, help="other than the budget's")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--budget",
        choices=["paper", "cpu"],
        default="paper",
        help="the paper's epochs, or what two CPU cores can do in an hour per model",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--precision", choices=["float32", "bfloat16"], default="float32"
    )
    parser.add_argument(
        "--again", action="store_true", help="measure also what has been measured"
    )
    parser.add_argument("--results", type=Path, help="folder of the records")
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=cache_home() / "checkpoints",
        help="folder of the trained models, by default in the user's cache",
    )
    parser.add_argument(
        "--checkpoint-seconds", type=float, default=30, help="between two of them"
    )
    parser.add_argument("--pictures", type=Path, help="folder of the pictures")
    return parser


def main(arguments=None):
    arguments = parser().parse_args(arguments)
    # What is only tried out stays out of the repository.
    is_trial = arguments.dataset == "digits"
    trials = cache_home() / "trials"
    options = Options(
        checkpoints=arguments.checkpoints,
        results=arguments.results or (trials if is_trial else RESULTS),
        budget=arguments.budget,
        epochs=arguments.epochs,
        device=arguments.device,
        precision=arguments.precision,
        checkpoint_seconds=arguments.checkpoint_seconds,
        again=arguments.again,
    )
    pictures = arguments.pictures or (trials if is_trial else PICTURES)
    tables = [*TABLES] if "all" in arguments.table else arguments.table
    of_part = {"dataset": arguments.dataset, "defaults": arguments.defaults}
    parts = [(table, part) for table in tables for part in parts_of(table, **of_part)]
    known = {name for _, part in parts for name in part.models}
    unknown = set(arguments.models or ()) - known
    if unknown or not parts:
        parser().error(
            f"{tables} of {arguments.dataset or 'all data sets'} are made of "
            f"{sorted(known)}, not of {sorted(unknown)}"
        )
    missing = []
    for table, part in parts:
        models = [m for m in part.models if m in (arguments.models or part.models)]
        try:
            make(table, part, models, arguments.seeds, options)
            if table in DRAW and models == [*part.models]:
                draw(table, part, arguments.seeds[0], options, pictures)
        except OSError as error:  # a data set that is not there; on with the others
            missing.append(f"{table} lacks {part.dataset}: {error}")
    for line in missing:
        print(line, file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
