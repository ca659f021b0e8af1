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
from pathlib import Path

from benchmarks.paper.page import PICTURES
from benchmarks.paper.protocols import protocols
from benchmarks.paper.runs import RESULTS, Options, Run, load
from benchmarks.paper.tables import STAND_INS, TABLES, TUNING
from sklearn_daae.datasets._cache import cache_home

# What can be measured of codes alone.
_OF_CODES = {"classification", "transfer", "attributes", "identity"}


def parts_of(table, dataset=None):
    """Return what a table needs, of one data set, or of all of the paper's."""
    parts = {**TABLES, **TUNING}[table]
    if dataset in STAND_INS:
        parts = [p for p in parts if p.dataset == STAND_INS[dataset]]
        return [p._replace(dataset=dataset) for p in parts]
    return [p for p in parts if dataset in (None, p.dataset)]


def make(table, part, arguments, options):
    """Train the models of a part, take its measures, and draw its picture."""
    models = [name for name in part.models if name in protocols()[part.dataset].models]
    if arguments.models:
        models = [name for name in models if name in arguments.models]
    measures = [*part.measures]
    if measures and part.dataset == "faces":
        measures.append("identity")
    for name in models:
        runs = [Run(part.dataset, name, seed, options) for seed in arguments.seeds]
        for run in runs if runs[0].is_seeded else runs[:1]:
            if measures:
                run.measure([m for m in measures if name != "pixels" or m in _OF_CODES])
    if models:
        draw(table, part.dataset, models, arguments, options)


def draw(table, dataset, models, arguments, options):
    """Draw the picture of a figure from its models of the first seed."""
    from benchmarks.paper.pictures import DRAW

    if table not in DRAW:
        return
    runs = {name: Run(dataset, name, arguments.seeds[0], options) for name in models}
    trained = {name: run.trained()[0] for name, run in runs.items()}
    figure = DRAW[table](trained, dataset, load(dataset))
    arguments.pictures.mkdir(parents=True, exist_ok=True)
    path = arguments.pictures / f"{table}-{dataset}.png"
    figure.savefig(path, dpi=100)
    print(f"{table}: {path}")


def parser():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", nargs="+", choices=[*TABLES, *TUNING, "all"])
    parser.add_argument("--dataset", choices=protocols(), help="the only one to do")
    parser.add_argument("--models", nargs="+", help="the only ones to do")
    parser.add_argument("--epochs", type=int, help="other than the budget's")
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
        "--results", type=Path, default=RESULTS, help="folder of the records"
    )
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=cache_home() / "checkpoints",
        help="folder of the trained models, by default in the user's cache",
    )
    parser.add_argument(
        "--checkpoint-seconds", type=float, default=30, help="between two of them"
    )
    parser.add_argument(
        "--pictures", type=Path, default=PICTURES, help="folder of the pictures"
    )
    return parser


def main(arguments=None):
    arguments = parser().parse_args(arguments)
    known = {m for p in protocols().values() for m in p.models}
    unknown = set(arguments.models or ()) - known
    if unknown:
        parser().error(f"--models: {sorted(unknown)} are not among {sorted(known)}")
    options = Options(
        checkpoints=arguments.checkpoints,
        results=arguments.results,
        budget=arguments.budget,
        epochs=arguments.epochs,
        device=arguments.device,
        precision=arguments.precision,
        checkpoint_seconds=arguments.checkpoint_seconds,
    )
    tables = TABLES if "all" in arguments.table else arguments.table
    for table in tables:
        parts = parts_of(table, arguments.dataset)
        if not parts:
            print(f"{table} has nothing of {arguments.dataset}")
        for part in parts:
            make(table, part, arguments, options)


if __name__ == "__main__":
    main()
