"""Make the plot and the tables of ``doc/scaling_out.md`` of the record.

python -m benchmarks.scale.page
"""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks._records import markdown_table
from benchmarks.scale.__main__ import AXES, BASE, RESULTS

DOC = Path(__file__).parents[2] / "doc"
PAGE = DOC / "scaling_out.md"
TEMPLATE = Path(__file__).parent / "page.md"
PLOT = DOC / "images" / "scale.png"


def measured():
    """Return what was measured along each axis, in order."""
    record = json.loads(RESULTS.read_text())["measured"]
    by_axis = {}
    for axis, all_changes in AXES.items():
        wanted = [{**BASE, **changes} for changes in all_changes]
        by_axis[axis] = [one for one in record if one["setting"] in wanted]
    return by_axis


def plot(by_axis):
    """Draw seconds of an epoch and memory along rows, features and M."""
    figure, axes = plt.subplots(
        2, 3, figsize=(10, 5), sharex="col", layout="constrained"
    )
    for (above, below), axis in zip(axes.T, ("rows", "features", "M"), strict=True):
        x = [one["setting"][axis] for one in by_axis[axis]]
        above.loglog(x, [one["seconds"] for one in by_axis[axis]], "o-")
        below.semilogx(x, [one["bytes"] / 2**20 for one in by_axis[axis]], "o-")
        below.set(xlabel=axis, ylim=(0, None))
        first = by_axis[axis][0]["seconds"]
        above.loglog(
            x, [first * n / x[0] for n in x], ":", color="grey", label="linear"
        )
    axes[0, 0].set_ylabel("seconds of an epoch")
    axes[0, 0].legend()
    axes[1, 0].set_ylabel("memory added, in MiB")
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=110)


def table(of_axis, axis):
    """Return the numbers along an axis as a table."""
    rows = [[axis, "seconds of an epoch", "of the whole fit", "memory added, in MiB"]]
    for one in of_axis:
        rows.append(
            [
                _label(one["setting"], axis),
                f"{one['seconds']:.2f}",
                f"{one['fit_seconds']:.2f}",
                f"{one['bytes'] / 2**20:.0f}",
            ]
        )
    return markdown_table(rows)


def _label(setting, axis):
    label = f"{setting[axis]:,}"
    return f"{label}, batches of {setting['batch']:,}" if axis == "workers" else label


def page():
    """Return the page."""
    by_axis = measured()
    text = TEMPLATE.read_text()
    for axis, of_axis in by_axis.items():
        text = text.replace("{" + axis + "}", table(of_axis, axis))
    found = [one["environment"] for of in by_axis.values() for one in of]
    machine = "; ".join(sorted({e["cpu"] for e in found}))
    dates = [e["date"] for e in found]
    return text.replace("{machine}", f"{machine}, {max(dates, default='never')}")


if __name__ == "__main__":
    plot(measured())
    PAGE.write_text(page())
