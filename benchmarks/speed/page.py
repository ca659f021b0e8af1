"""Writes ``doc/speed.md``, from ``page.md`` and the results of the benchmarks of speed.

Run it after them, as ``python -m benchmarks.speed.page``.
"""

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "doc" / "speed.md"
TEXT = Path(__file__).with_suffix(".md").read_text()


def rows_of(table):
    """Return a Markdown table."""
    header, *rows = table
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def steps(records):
    """Return the table of the steps."""
    columns = "ours", "floor", "careful", "common", "pythae"
    table = [["network, model, precision", *columns, "ours / floor", "ours / careful"]]
    for key, record in records.items():
        if "ms_per_step" not in record:
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
    return rows_of(table)


def environment(record):
    """Return the machine and the date of a record, as a sentence."""
    e = record["environment"]
    return (
        f"{e['cpu']}, {e['threads']} threads, Python {e['python']}, "
        f"torch {e['torch']}, {e['date']}."
    )


def inference(record):
    """Return the table of throughputs."""
    table = [["60,000 rows of 784 features", "rows a second", "of the bare network's"]]
    for name, r in record.items():
        if name != "environment":
            share = f"{100 * r['share_of_bare']:.0f} %"
            table.append([f"`{name}`", f"{r['rows_per_second']:,.0f}", share])
    return rows_of(table)


def fits(records):
    """Return the table of whole fits."""
    table = [["3 epochs of 10,000 rows of 784 features", "seconds", "memory at most"]]
    for key, r in records.items():
        if key.startswith("fit, "):
            memory = f"{r['peak_bytes'] / 1e6:.0f} MB"
            table.append([key.removeprefix("fit, "), r["seconds"], memory])
    return rows_of(table)


def batch_sizes(records):
    """Return the table of accuracies, epoch by epoch."""
    table = [["batch, rate, precision, seed", *range(1, 11)]]
    for key, r in records.items():
        if key.startswith("batch "):
            accuracies = [f"{epoch['accuracy']:.1f}" for epoch in r["epochs"]]
            table.append([key, *accuracies])
    return rows_of(table)


def batch_times(records):
    """Return the table of the time that epochs take."""
    table = [["seconds of an epoch of 50,000 rows, batch"]]
    for key, r in records.items():
        if key.startswith("seconds per epoch, "):
            sizes = [size for size in r if size != "environment"]
            table[0] = ["seconds of an epoch of 50,000 rows, batch", *sizes]
            name = key.removeprefix("seconds per epoch, ")
            table.append([name, *(f"{r[size]:.1f}" for size in sizes)])
    return rows_of(table)


def page():
    """Return the text of the page."""
    records = json.loads((RESULTS / "steps.json").read_text())
    sizes = json.loads((RESULTS / "batch_sizes.json").read_text())
    imports = records["import, seconds"]
    return TEXT.format(
        steps=steps(records),
        environment=environment(records["inference, mnist"]),
        inference=inference(records["inference, mnist"]),
        fits=fits(records),
        package=imports["import sklearn_daae"],
        torch=imports["import torch"],
        batch_sizes=batch_sizes(sizes),
        batch_times=batch_times(sizes),
    )


if __name__ == "__main__":
    PAGE.write_text(page())
