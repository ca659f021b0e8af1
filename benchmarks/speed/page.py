"""Writes ``doc/speed.md``, from ``page.md`` and the results of the benchmarks of speed.

Run it after them, as ``python -m benchmarks.speed.page``.
"""

import json
from pathlib import Path

from benchmarks._records import markdown_table

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "doc" / "speed.md"
TEXT = Path(__file__).with_suffix(".md").read_text()
PEERS = "floor", "careful", "common"


def steps(records):
    """Return the table of the steps."""
    columns, ratios_of = ("ours", *PEERS, "pythae"), ("floor", "careful")
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
                *(f"{ratios[c]:.2f}" if c in ratios else "" for c in ratios_of),
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
    return _shown(table)


def as_one(records):
    """Return the table of fits of many models as one."""
    table = [["model", "models", "ms of a step", "times a step of one", "a model"]]
    for key, record in records.items():
        if not key.startswith("as one, "):
            continue
        for n_models, duration in record["ms_of_a_step"].items():
            times = record["over_one"].get(n_models)
            cells = ["", ""] if times is None else [times, times / int(n_models)]
            table.append(
                [
                    key.removeprefix("as one, "),
                    n_models,
                    f"{duration:.1f}",
                    *(f"{cell:.2f}" if cell else "" for cell in cells),
                ]
            )
    return _shown(table)


def searches(records):
    """Return the table of whole searches."""
    columns = "ours", "one by one", "n_jobs=2"
    apart = [f"points apart, {c}" for c in ("ours", "n_jobs=2")]
    table = [["search", *(f"{c}, s" for c in columns), "ours / one by one", *apart]]
    for key, record in records.items():
        if key.startswith("search, "):
            durations, points = record["seconds"], record["points_apart"]
            table.append(
                [
                    key.removeprefix("search, "),
                    *(f"{durations[c]:.0f}" if c in durations else "" for c in columns),
                    f"{record['over_one_by_one']:.2f}",
                    *(f"{points[c]:.2f}" if c in points else "" for c in columns[::2]),
                ]
            )
    return _shown(table)


def _shown(table):
    return markdown_table(table) if len(table) > 1 else "Not measured here."


def environment(records):
    """Return the machine and the last date of its records, as a heading."""
    last = max((r["environment"] for r in records.values()), key=lambda e: e["date"])
    return (
        f"**{last['gpu'] or last['cpu']}**, {last['threads']} threads, "
        f"Python {last['python']}, torch {last['torch']}, {last['date']}:"
    )


def inference(records):
    """Return the table of throughputs."""
    table = [["60,000 rows of 784 features", "rows a second", "of the bare network's"]]
    for name, r in records.get("inference, mnist", {}).items():
        if name != "environment":
            share = f"{100 * r['share_of_bare']:.0f} %"
            table.append([f"`{name}`", f"{r['rows_per_second']:,.0f}", share])
    return _shown(table)


def fits(records):
    """Return the table of whole fits."""
    table = [["3 epochs of 10,000 rows of 784 features", "seconds", "memory at most"]]
    for key, r in records.items():
        if key.startswith("fit, "):
            memory = f"{r['peak_bytes'] / 1e6:.0f} MB"
            table.append([key.removeprefix("fit, "), r["seconds"], memory])
    return _shown(table)


def imports(records):
    """Return how long an import takes, as a sentence."""
    seconds = records.get("import, seconds")
    if seconds is None:
        return ""
    return (
        f"`import sklearn_daae` takes {seconds['import sklearn_daae']:.1f} s, of which "
        f"`import torch` alone takes {seconds['import torch']:.1f} s and scikit-learn "
        "most of the rest."
    )


def page():
    """Return the text of the page."""
    machines = json.loads((RESULTS / "steps.json").read_text())

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
        together=each(as_one, searches),
        rest=each(inference, fits, imports),
    )


if __name__ == "__main__":
    PAGE.write_text(page())
