"""The paper's figures that show numbers: charts, made from the records alone."""

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.paper.data import CELEBA_ATTRIBUTES
from benchmarks.paper.records import figures_of
from benchmarks.paper.tables import OMNIGLOT_STEPS, TABLES


def means_over_seeds(records, dataset, models, path):
    """Return a figure of each model, {model and its longest training: mean}."""
    found = {}
    for model in models:
        trainings = [
            (records_of_seeds[0].get("epochs", 0), training, records_of_seeds)
            for training, records_of_seeds in records[dataset][model].items()
            if figures_of(records_of_seeds, path)
        ]
        if trainings:
            _, training, of_seeds = max(trainings)
            name = f"{model}, {training}" if training else model
            found[name] = np.mean(figures_of(of_seeds, path), axis=0)
    return found


def omniglot_likelihoods(records):
    """Figure 3: log-likelihoods, x(t) of each model, on both parts of the data."""
    bars, trained = {}, {}
    for model in TABLES["fig3"][0].models:
        for t in OMNIGLOT_STEPS:
            for part in ("evaluation", "test"):
                path = "log_likelihood", f"{part}, x({t})", "mean"
                found = means_over_seeds(records, "omniglot", [model], path)
                for name, value in found.items():
                    bars.setdefault(f"{model}, $x^{{({t})}}$", {})[part] = value
                    # Without the settings of a CPU budget, which have no room.
                    training = name.partition(", ")[2].partition(":")[0]
                    trained.setdefault(training, {})[model] = None
    if len(bars) < 2:
        return None
    heights = {
        part: [bar[part] for bar in bars.values()] for part in ("evaluation", "test")
    }
    title = "\n".join(
        ["Omniglot"] + [f"{', '.join(names)}: {t}" for t, names in trained.items() if t]
    )
    return _bars([*bars], heights, "log-likelihood in nats", title)


def attributes(records, figure):
    """Figures 8, 10 and 15: accuracies by attribute, of several models."""
    (part,) = TABLES[figure]
    path = "attributes", "accuracies"
    accuracies = means_over_seeds(records, "celeba", part.models, path)
    if not accuracies:
        return None
    names = [name.replace("_", " ") for name in CELEBA_ATTRIBUTES]
    return _bars(names, accuracies, "accuracy in percent", "CelebA", low=50)


def wins(records):
    """Figure 9: on how many attributes each of two models is the better."""
    path = "attributes", "accuracies"
    pairs = []
    for pair in (("AAE", "DAAE"), ("AAE", "iDAAE"), ("VAE", "DAAE")):
        found = means_over_seeds(records, "celeba", pair, path)
        if len(found) == 2:
            pairs.append(found)
    if not pairs:
        return None
    figure, axes = plt.subplots(
        1, len(pairs), figsize=(4 * len(pairs), 4), layout="constrained", squeeze=False
    )
    for ax, found in zip(axes[0], pairs, strict=True):
        difference = np.subtract(*found.values())
        counts = [np.sum(np.sign(difference) == sign) for sign in (1, -1, 0)]
        slices = [
            (n, f"{name}: {n}", colour)
            for n, name, colour in zip(
                counts, (*found, "equal"), ("C0", "C1", "0.8"), strict=True
            )
            if n
        ]
        sizes, labels, colours = zip(*slices, strict=True)
        ax.pie(sizes, labels=labels, colors=colours)
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
        rotation=45,
        ha="right",
    )
    ax.set(ylabel=label, title=title)
    if low is not None:
        ax.set_ylim(low, 100)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def draw(records, folder):
    """Draw all charts of which there are records."""
    charts = {
        "fig3-omniglot": omniglot_likelihoods(records),
        "fig9-celeba": wins(records),
    }
    for figure in ("fig8", "fig10", "fig15"):
        charts[f"{figure}-celeba"] = attributes(records, figure)
    for name, figure in charts.items():
        if figure is not None:
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(folder / f"{name}.png", dpi=100)
            plt.close(figure)
