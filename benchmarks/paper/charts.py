"""The paper's figures that show numbers: charts, made from the records alone."""

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.paper.protocols import CELEBA_ATTRIBUTES
from benchmarks.paper.tables import TABLES


def longest(trainings):
    """Return the records of a model's longest training, one for each seed."""
    return max(trainings.values(), key=lambda records: records[0].get("epochs", 0))


def means_over_seeds(records, dataset, models, path):
    """Return a figure of each model that has it, as {model: mean over seeds}."""
    found = {}
    for model in models:
        if not records[dataset][model]:
            continue
        values = [r["figures"] for r in longest(records[dataset][model])]
        for key in path:
            values = [value[key] for value in values if key in value]
        if values:
            found[model] = np.mean(values, axis=0)
    return found


def omniglot_likelihoods(records):
    """Figure 3: log-likelihoods, x(t) of each model, on both parts of the data."""
    models = TABLES["fig3"][0].models
    names, heights = [], {"evaluation": [], "test": []}
    for model in models:
        for t in (0, 1, 5, 9, 50):
            found = {
                part: means_over_seeds(
                    records,
                    "omniglot",
                    [model],
                    ("log_likelihood", f"{part}, x({t})", "mean"),
                )
                for part in heights
            }
            if all(found.values()):
                names.append(f"{model}\n$x^{{({t})}}$")
                for part, values in found.items():
                    heights[part].append(values[model])
    if not names:
        return None
    return _bars(names, heights, "log-likelihood in nats", "Omniglot")


def attributes(records, dataset, figure):
    """Figures 8, 10 and 15: accuracies by attribute, of several models."""
    (part,) = TABLES[figure]
    accuracies = means_over_seeds(
        records, dataset, part.models, ("attributes", "accuracies")
    )
    if len(accuracies) < 2 or len({len(a) for a in accuracies.values()}) > 1:
        return None
    n_attributes = len(next(iter(accuracies.values())))
    names = [name.replace("_", " ") for name in CELEBA_ATTRIBUTES]
    if n_attributes != len(names):
        names = [str(i) for i in range(n_attributes)]
    return _bars(names, accuracies, "accuracy in percent", dataset, low=50)


def wins(records, dataset):
    """Figure 9: on how many attributes each of two models is the better."""
    accuracies = means_over_seeds(
        records, dataset, TABLES["fig9"][0].models, ("attributes", "accuracies")
    )
    pairs = [("AAE", "DAAE"), ("AAE", "iDAAE"), ("DAAE", "iDAAE"), ("VAE", "DAAE")]
    pairs = [pair for pair in pairs if accuracies.keys() >= set(pair)]
    if not pairs:
        return None
    figure, axes = plt.subplots(
        1, len(pairs), figsize=(3 * len(pairs), 3), layout="constrained", squeeze=False
    )
    for ax, (a, b) in zip(axes[0], pairs, strict=True):
        difference = np.subtract(accuracies[a], accuracies[b])
        counts = [
            (difference > 0).sum(),
            (difference < 0).sum(),
            (difference == 0).sum(),
        ]
        shown = [
            (n, name) for n, name in zip(counts, (a, b, "equal"), strict=True) if n
        ]
        ax.pie(
            [n for n, _ in shown],
            labels=[f"{name}: {n}" for n, name in shown],
            colors=["C0", "C1", "0.8"],
        )
        ax.set_title(f"{a} and {b}")
    return figure


def _bars(names, heights, label, title, *, low=None):
    """Return a chart of groups of bars, the bars of a group one for each series."""
    width = 0.8 / len(heights)
    figure, ax = plt.subplots(
        figsize=(max(6, 0.25 * len(names) * len(heights)), 4), layout="constrained"
    )
    for i, (name, values) in enumerate(heights.items()):
        ax.bar(np.arange(len(names)) + i * width, values, width, label=name)
    ax.set_xticks(
        np.arange(len(names)) + width * (len(heights) - 1) / 2,
        names,
        rotation=45 if low is not None else 0,
        ha="right" if low is not None else "center",
    )
    ax.set(ylabel=label, title=title)
    if low is not None:
        ax.set_ylim(low, 100)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def draw(records, folder):
    """Draw all charts of which there are records."""
    charts = {"fig3-omniglot": omniglot_likelihoods(records)}
    for dataset in ("celeba", "faces"):
        charts[f"fig9-{dataset}"] = wins(records, dataset)
        for figure in ("fig8", "fig10", "fig15"):
            charts[f"{figure}-{dataset}"] = attributes(records, dataset, figure)
    for name, figure in charts.items():
        if figure is not None:
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(folder / f"{name}.png", dpi=100)
            plt.close(figure)
