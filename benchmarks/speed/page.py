"""Writes ``doc/speed.md``, from ``page.md`` and the results of the benchmarks of speed.

Run it after them, as ``python -m benchmarks.speed.page``.
"""

import json
from pathlib import Path

from benchmarks._records import markdown_table

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "doc" / "speed.md"
TEXT = Path(__file__).with_suffix(".md").read_text()


def steps(records):
    """Return the table of the steps."""
    columns = "ours", "floor", "careful", "common", "pythae"
    table = [["network, model, precision", *columns, "ours / floor", "ours / careful"]]
    for key, record in records.items():
        if "ours_over" not in record:
            continue
        network, *model, _, precision = key.split(", ")
        times, ratios = record["ms_per_step"], record["ours_over"]
        table.append(
            [
                f"{network}, {', '.join(model)}, {precision}",
                *(f"{times[c]:.1f}" if c in times else "" for c in columns),
                f"{ratios['floor']:.2f}",
                f"{ratios['careful']:.2f}",
            ]
        )
    return markdown_table(table)


def updates(records):
    """Return the table of steps of the joint update beside separate ones."""
    columns = "separate", "joint", "joint, small discriminator", "pythae"
    ratios = "joint / separate", "small / separate", "pythae / joint"
    table = [["model, precision", *columns, *ratios]]
    for key, record in records.items():
        if "over_separate" not in record:
            continue
        _, *model, _, precision = key.split(", ")
        times, over = record["ms_per_step"], record["over_separate"]
        beside = record.get("pythae_over_joint")
        table.append(
            [
                f"{', '.join(model)}, {precision}",
                *(f"{times[c]:.1f}" if c in times else "" for c in columns),
                f"{over['joint']:.2f}",
                f"{over['joint, small discriminator']:.2f}",
                "" if beside is None else f"{beside:.2f}",
            ]
        )
    return markdown_table(table) if len(table) > 1 else "Not measured here."


def environment(records):
    """Return the machine and the last date of its records, as a heading."""
    last = max((r["environment"] for r in records.values()), key=lambda e: e["date"])
    return (
        f"**{last['cpu']}**, {last['threads']} threads, Python {last['python']}, "
        f"torch {last['torch']}, {last['date']}:"
    )


def inference(records):
    """Return the table of throughputs."""
    table = [["60,000 rows of 784 features", "rows a second", "of the bare network's"]]
    for name, r in records["inference, mnist"].items():
        if name != "environment":
            share = f"{100 * r['share_of_bare']:.0f} %"
            table.append([f"`{name}`", f"{r['rows_per_second']:,.0f}", share])
    return markdown_table(table)


def fits(records):
    """Return the table of whole fits."""
    table = [["3 epochs of 10,000 rows of 784 features", "seconds", "memory at most"]]
    for key, r in records.items():
        if key.startswith("fit, "):
            memory = f"{r['peak_bytes'] / 1e6:.0f} MB"
            table.append([key.removeprefix("fit, "), r["seconds"], memory])
    return markdown_table(table)


def imports(records):
    """Return how long an import takes, as a sentence."""
    seconds = records["import, seconds"]
    return (
        f"`import sklearn_daae` takes {seconds['import sklearn_daae']:.1f} s, of which "
        f"`import torch` alone takes {seconds['import torch']:.1f} s and scikit-learn "
        "most of the rest."
    )


def datasets(records):
    """Return the table of the time that data sets take to be read."""
    table = [["data set", "plain loop", "first call", "ratio", "later calls", "memory"]]
    for key, r in records.items():
        if key != "environment":
            cells = f"{r['plain_seconds']:.2f}", f"{r['first_seconds']:.2f}"
            ratio, later = f"{r['first_over_plain']:.2f}", f"{r['second_seconds']:.3f}"
            memory = f"{100 * r['memory_over_returned']:.0f} %"
            table.append([key, *cells, ratio, later, memory])
    return markdown_table(table)


def batch_sizes(records):
    """Return the table of accuracies, epoch by epoch."""
    table = [["batch, rate, precision, seed", *range(1, 11)]]
    for key, r in _of_batches(records):
        accuracies = [f"{epoch['accuracy']:.1f}" for epoch in r["epochs"]]
        table.append([key, *accuracies])
    return markdown_table(table)


def batch_times(records):
    """Return the table of the time that epochs take."""
    table = [["seconds of an epoch of 50,000 rows, batch"]]
    for key, r in records.items():
        if key.startswith("seconds per epoch, "):
            sizes = [size for size in r if size != "environment"]
            table[0] = ["seconds of an epoch of 50,000 rows, batch", *sizes]
            name = key.removeprefix("seconds per epoch, ")
            name = f"{name}, {r['environment']['cpu']}"
            table.append([name, *(f"{r[size]:.1f}" for size in sizes)])
    return markdown_table(table)


def mean_accuracies(records):
    """Return the table of the mean accuracy after the last epoch, over seeds."""
    last = {}
    for key, r in _of_batches(records):
        setting = key.rpartition(", ")[0]
        last.setdefault(setting, []).append(r["epochs"][-1]["accuracy"])
    table = [["batch, rate, precision", "mean", "seeds"]]
    table += [[k, f"{sum(v) / len(v):.2f}", len(v)] for k, v in last.items()]
    return markdown_table(table)


def _of_batches(records):
    """Return names and records of the runs, from the smallest batch."""
    runs = [item for item in records.items() if item[0].startswith("batch ")]
    return sorted(runs, key=lambda run: (int(run[0].split(",")[0][6:]), run[0]))


def page():
    """Return the text of the page."""
    machines = json.loads((RESULTS / "steps.json").read_text())
    sizes = json.loads((RESULTS / "batch_sizes.json").read_text())
    likelihood = json.loads((RESULTS / "likelihood.json").read_text())
    archives = json.loads((RESULTS / "datasets.json").read_text())

    def each(*tables):
        """Return tables of every machine, below its name."""
        return "\n\n".join(
            text(records)
            for records in machines.values()
            for text in (environment, *tables)
        )

    return TEXT.format(
        steps=each(steps),
        updates=each(updates),
        rest=each(inference, fits, imports),
        batch_sizes=batch_sizes(sizes),
        mean_accuracies=mean_accuracies(sizes),
        batch_times=batch_times(sizes),
        datasets=datasets(archives),
        data_environment="{cpu}, {date}".format(**archives["environment"]),
        likelihood=likelihood,
        megabytes=likelihood["peak_bytes"] / 1e6,
    )


if __name__ == "__main__":
    PAGE.write_text(page())
