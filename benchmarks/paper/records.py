"""The records of all runs, as the page and the charts look at them."""

import json
from collections import defaultdict

from benchmarks.paper.protocols import protocols
from benchmarks.paper.runs import RESULTS


def read_records():
    """Return all records, as {data set: {model: {training: [one for each seed]}}}."""
    records = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for path in sorted(RESULTS.glob("*/*.json")):
        record = json.loads(path.read_text())
        dataset, model = record["dataset"], record["model"]
        records[dataset][model][training_of(record)].append(record)
    return records


def training_of(record):
    """Return how long, and how, a model was trained, in words."""
    if "epochs" not in record:
        return ""
    protocol = protocols()[record["dataset"]]
    words = f"{record['epochs']} epochs"
    whole = protocol.epochs_of(record["model"])
    if record["epochs"] < whole:
        words = f"{record['epochs']} of {whole} epochs"
    changes = protocol.changes(record["model"], record["settings"])
    if changes:
        options = (f"{name}={value!r}" for name, value in changes.items())
        words += f", CPU budget: {', '.join(options)}"
    if record["precision"] != "float32":
        words += f", {record['precision']}"
    if record.get("device", "cpu") != "cpu":
        words += f", {record['device']}"
    return words


def figures_of(records, path):
    """Return one figure of each record that has it."""
    figures = []
    for record in records:
        figure = record["figures"]
        for key in path:
            figure = figure.get(key, {})
        if figure != {}:
            figures.append(figure)
    return figures
