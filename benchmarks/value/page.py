"""Writes the tables of ``doc/value.md``, from ``page.md`` and the records.

Run it after `python -m benchmarks.value`, as ``python -m benchmarks.value.page``.
"""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks._records import markdown_table
from benchmarks.value.__main__ import RESULTS, SPECIALISTS
from benchmarks.value.ablation import RESULTS as ABLATION
from benchmarks.value.ablation import tables
from benchmarks.value.datasets import DATASETS
from benchmarks.value.measures import DAMAGES
from benchmarks.value.models import BASELINES, MODELS, OURS

PAGE = Path(__file__).parents[2] / "doc" / "value.md"
TEXT = Path(__file__).with_suffix(".md").read_text()


def read_records(folder=RESULTS):
    """Return what was measured: {dataset: {model: {number: values of all folds}}}."""
    found = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for path in sorted(folder.glob("*/*.json")):
        record = json.loads(path.read_text())
        for key, values in record["folds"].items():
            found[record["dataset"]][record["model"]][key] += values
    return found


def damaged_mean(numbers, kind):
    """Return the mean over the three damages of all values of a kind of number."""
    values = [numbers[f"{kind}, {damage}"] for damage in DAMAGES]
    return float(np.mean(values)) if all(values) else None


def number(records, dataset, model, key):
    """Return a mean over folds, seeds and, of "damaged", over the three damages."""
    numbers = records[dataset][model]
    if key.endswith(", damaged"):
        return damaged_mean(numbers, key.removesuffix(", damaged"))
    return float(np.mean(numbers[key])) if numbers[key] else None


def table(records, key, decimals, models=MODELS):
    """Return a table of one number: a row for each model, a column for each data set.

    The last column is the mean over the data sets, where the model has all of them.
    """
    rows = [["", *DATASETS, "mean"]]
    known = [d for d in DATASETS if number(records, d, "DAAE", key) is not None]
    for model in models:
        values = {d: number(records, d, model, key) for d in DATASETS}
        if all(value is None for value in values.values()):
            continue
        cells = ["" if v is None else f"{v:.{decimals}f}" for v in values.values()]
        has_all = all(values[d] is not None for d in known)
        mean = np.mean([values[d] for d in known]) if has_all else None
        cells.append("" if mean is None else f"**{mean:.{decimals}f}**")
        rows.append([model, *cells])
    return markdown_table(rows)


def difference(records, key, model="DAAE", other="PCA"):
    """Return how much more a model has than another, by data set."""
    pairs = {
        d: (number(records, d, model, key), number(records, d, other, key))
        for d in DATASETS
    }
    return {d: a - b for d, (a, b) in pairs.items() if None not in (a, b)}


def ratio_of_errors(records, model="DAAE", other="PCA"):
    """Return the error of denoising beside another's: its ratio by data set."""
    return {
        d: float(
            np.mean(
                [
                    number(records, d, model, f"error, {damage}")
                    / number(records, d, other, f"error, {damage}")
                    for damage in DAMAGES
                ]
            )
        )
        for d in DATASETS
    }


def summary(records):
    """Return the table of the README: the DAAE beside PCA, of scaled data and not."""
    columns = {
        "PCA": "PCA",
        "PCA, unscaled": "PCA, unscaled",
        "DAAE": "DAAE",
        "iDAAE": "iDAAE",
    }
    rows = [["mean over nine data sets", *columns]]
    lines = {
        "`SVC()` on the codes, clean rows": ("SVC, clean", 1),
        "the same, damaged rows": ("SVC, damaged", 1),
        "a linear classifier, clean rows": ("linear, clean", 1),
        "the same, damaged rows ": ("linear, damaged", 1),
        "anomalies (ROC AUC)": ("anomalies", 3),
        "seconds of a fit": ("seconds", 2),
    }
    for label, (key, decimals) in lines.items():
        cells = []
        for model in columns.values():
            values = [number(records, d, model, key) for d in DATASETS]
            values = [v for v in values if v is not None]
            cells.append(f"{np.mean(values):.{decimals}f}")
        rows.append([label, *cells])
    errors = [
        "1"
        if model == "PCA"
        else f"{np.mean([*ratio_of_errors(records, model).values()]):.2f}"
        for model in columns.values()
    ]
    rows.append(["error of denoising, beside PCA's", *errors])
    return markdown_table(rows)


def losses(records):
    """Return where a PCA is better than the DAAE, and by how much, as a list."""
    lines = []
    for key in ("SVC, clean", "SVC, damaged", "linear, clean", "linear, damaged"):
        for other in ("PCA", "PCA, unscaled"):
            worse = {
                d: -x for d, x in difference(records, key, other=other).items() if x < 0
            }
            if worse:
                words = ", ".join(f"{d} by {x:.1f}" for d, x in worse.items())
                lines.append(f"- {key}, beside {other}: {words}")
    return "\n".join(lines)


def page(folder=RESULTS):
    """Return the text of the page."""
    records = read_records(folder)
    everything = [*BASELINES, *OURS, *SPECIALISTS]
    machines = {
        json.loads(path.read_text())["environment"]["cpu"]
        for path in folder.glob("*/*.json")
    }
    return TEXT.format(
        summary=summary(records),
        losses=losses(records),
        clean=table(records, "SVC, clean", 1),
        damaged=table(records, "SVC, damaged", 1),
        noise=table(records, "SVC, noise", 1),
        missing=table(records, "SVC, missing", 1),
        salt_and_pepper=table(records, "SVC, salt and pepper", 1),
        linear=table(records, "linear, clean", 1),
        linear_damaged=table(records, "linear, damaged", 1),
        denoising=table(records, "error, damaged", 3, everything),
        anomalies=table(records, "anomalies", 3, everything),
        seconds=table(records, "seconds", 2),
        ablation=tables(json.loads(ABLATION.read_text())),
        machines="; ".join(sorted(machines)),
    )


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE} is written")
