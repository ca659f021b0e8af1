"""Writes ``doc/paper_results.md``, from ``page.md`` and the records of the runs.

Run it after `python -m benchmarks.paper`, as ``python -m benchmarks.paper.page``.
"""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks._records import markdown_table
from benchmarks.paper.charts import draw as draw_charts
from benchmarks.paper.protocols import protocols
from benchmarks.paper.records import figures_of, read_records
from benchmarks.paper.tables import OMNIGLOT_STEPS, STAND_INS, TABLES

PAGE = Path(__file__).parents[2] / "doc" / "paper_results.md"
PICTURES = PAGE.parent / "images" / "paper"
TEXT = Path(__file__).with_suffix(".md").read_text()
PAPER = json.loads((Path(__file__).parent / "targets.json").read_text())


def number(path, decimals):
    """Return a function that writes a figure's mean over seeds.

    Parameters
    ----------
    path : sequence of str
        Names of the measure, and of the number in it.

    decimals : int
        Decimals to write.
    """

    def cell(records):
        values = figures_of(records, path)
        if not values:
            return "-"
        text = f"{np.mean(values):.{decimals}f}"
        if len(values) > 1:
            text += f" ± {np.std(values, ddof=1):.{decimals}f} ({len(values)})"
        return text

    return cell


def table(records, dataset, models, columns, paper, recipes=None):
    """Return a table of models, one row for each training.

    Parameters
    ----------
    records : dict
        Of `read_records`.

    dataset : str
        Which data set.

    models : sequence of str
        Which models, in this order.

    columns : dict of str to callable
        Headings, and what writes the cell of the records of several seeds.

    paper : dict of str to dict of str to float
        Headings, and the paper's numbers by model.

    recipes : dict of str to dict of str to callable, default=None
        Which of our own settings of the same models stand beside the paper's, with
        headings of columns, and what writes their cells.
    """
    recipes = recipes or {}
    headings = [
        f"{'defaults' if recipe == 'defaults' else 'tuned'}: {name}"
        for recipe, own in recipes.items()
        for name in own
    ]
    headings += [f"paper: {name}" for name in paper]
    rows = [["model", "training", *columns, *headings]]
    budgets = defaultdict(list)
    for model in models:
        cells = {
            training: [write(of_seeds) for write in columns.values()]
            for training, of_seeds in records[dataset][model].items()
        }
        cells = {k: v for k, v in cells.items() if set(v) != {"-"}}
        beside = []
        for recipe, own in recipes.items():
            best = whole_trainings(records, dataset, f"{model}_{recipe}")
            beside += [write(best) if best else "" for write in own.values()]
        beside += [numbers.get(model, "") for numbers in paper.values()]
        for training in sorted(cells or ["not run"], key=_by_epochs):
            row = cells.get(training, ["-"] * len(columns))
            name, _, settings = training.partition(": ")
            rows.append([model, name, *row, *beside])
            if settings:
                budgets[settings].append(model)
    if len(rows) == 1:
        return "Not run yet."
    notes = [
        f"CPU budget of {', '.join(names)}: {settings}."
        for settings, names in budgets.items()
    ]
    return "\n\n".join([markdown_table(rows), *notes])


def whole_trainings(records, dataset, model):
    """Return the records of a model's training as it is to be, one for each seed."""
    protocol = protocols()[dataset]
    for of_seeds in records[dataset][model].values():
        one = of_seeds[0]
        is_whole = one["epochs"] == protocol.epochs_of(model)
        if is_whole and not protocol.changes(model, one["settings"]):
            return of_seeds
    return []


def _by_epochs(training):
    return int(training.split()[0]) if training[:1].isdigit() else 0


def models_of(name, dataset):
    """Return the models of a table on a data set, but for those that we tuned."""
    return [
        model
        for part in TABLES[name]
        if part.dataset == dataset
        for model in part.models
        if model not in protocols()[dataset].tuned
    ]


def likelihood(path):
    """Return a function that writes mean, standard error and bandwidth."""

    def cell(records):
        text = number((*path, "mean"), 1)(records)
        figures = figures_of(records, path)
        if len(figures) == 1:
            text += " [{standard_error:.1f}; {bandwidth:.3f}]".format(**figures[0])
        return text

    return cell


def likelihoods(part, steps, measure="log_likelihood"):
    """Return columns of the log-likelihood of a part of the data, x(t) by x(t)."""
    prefix = f"{part}, " if part else ""
    return {f"{prefix}x({t})": likelihood((measure, f"{prefix}x({t})")) for t in steps}


def of_steps(numbers):
    """Return the paper's numbers of x(t), {model: {"x5": ...}}, as columns."""
    columns = defaultdict(dict)
    for model, values in numbers.items():
        for key, value in values.items():
            columns[f"x({key[1:]})"][model] = value
    return dict(columns)


def table1(records):
    """Return Table I, one data set below the other."""
    columns = {
        "squared error": number(("reconstruction", "mean"), 4),
        "cross-entropy": number(("reconstruction", "cross_entropy"), 3),
    }
    parts = []
    for part in TABLES["table1"]:
        paper = dict(PAPER["table1_reconstruction"][part.dataset])
        models = models_of("table1", part.dataset)
        for model in models:
            kind, _, setting = model.partition("_")
            is_other = setting in ("ring2d", "M25") or setting.endswith("summed")
            if not is_other and kind in paper:
                paper[model] = paper[kind]
        printed, defaults = {"Table I": paper}, {"defaults": columns}
        text = table(records, part.dataset, models, columns, printed, defaults)
        parts.append(f"**{part.dataset}**\n\n{text}")
    return "\n\n".join(parts)


def table2(records):
    """Return Table II."""
    paper = PAPER["table2_omniglot_classification"]
    columns = {
        "test, gamma=1/n": number(("classification", "gamma=1/n"), 2),
        "test, 'scale'": number(("classification", "gamma='scale'"), 2),
        "evaluation": number(("transfer", "accuracy"), 2),
        "LinearSVC": number(("transfer", "LinearSVC"), 2),
    }
    own = {name: columns[name] for name in ("test, gamma=1/n", "evaluation")}
    return table(
        records,
        "omniglot",
        models_of("table2", "omniglot"),
        columns,
        {"test": paper["test_acc"], "evaluation": paper["eval_acc"]},
        {"defaults": own, "features": own},
    )


def table4(records):
    """Return Table IV."""
    columns = {"squared error": number(("reconstruction", "mean"), 4)}
    paper = {"Table IV": PAPER["table4_mnist_reconstruction"]}
    models = models_of("table4", "mnist")
    own = {"defaults": columns, "reconstruction": columns}
    return table(records, "mnist", models, columns, paper, own)


def table5(records):
    """Return Table V."""
    numbers = PAPER["table5_mnist_log_likelihood"]
    numbers = {name: value for name, value in numbers.items() if name != "warning"}
    columns = {
        **likelihoods("", (0, 1, 5)),
        "KernelDensity, x(0)": number(("kernel_density", "x(0)", "mean"), 0),
        "KernelDensity, x(5)": number(("kernel_density", "x(5)", "mean"), 0),
    }
    models, paper = models_of("table5", "mnist"), of_steps(numbers)
    own = {
        "defaults": likelihoods("", (0, 1)),
        "samples": likelihoods("", (0, 1, 5), "fine_log_likelihood"),
    }
    return table(records, "mnist", models, columns, paper, own)


def table6(records):
    """Return Table VI."""
    columns = {
        "gamma=1/n": number(("classification", "gamma=1/n"), 2),
        "gamma='scale'": number(("classification", "gamma='scale'"), 2),
    }
    models = models_of("table6", "mnist")
    paper = {"Table VI": PAPER["table6_mnist_classification"]}
    own = {"defaults": columns, "features": {"gamma=1/n": columns["gamma=1/n"]}}
    return table(records, "mnist", models, columns, paper, own)


def beside(records):
    """Return the defaults beside every number of Tables I, II, IV and VI they have."""
    two, four, six = (
        PAPER["table2_omniglot_classification"],
        PAPER["table4_mnist_reconstruction"],
        PAPER["table6_mnist_classification"],
    )
    error, gamma = ("reconstruction", "mean"), ("classification", "gamma=1/n")
    # Table, data set, the paper's numbers, where ours are, decimals, the better sign.
    cells = [
        ("I", dataset, numbers, error, 4, -1)
        for dataset, numbers in PAPER["table1_reconstruction"].items()
    ]
    cells += [
        ("II, test", "omniglot", two["test_acc"], gamma, 2, 1),
        ("II, evaluation", "omniglot", two["eval_acc"], ("transfer", "accuracy"), 2, 1),
        ("IV", "mnist", four, error, 4, -1),
        ("VI", "mnist", six, gamma, 2, 1),
    ]
    rows = [["table", "data set", "model", "defaults", "paper", "better"]]
    for name, dataset, numbers, path, decimals, sign in cells:
        for model, printed in numbers.items():
            # In Table I, the iDAAE of MNIST is the one with M = 5.
            names = f"{model}_defaults", f"{model}_M5_defaults"
            known = [n for n in names if n in records[dataset]]
            of_seeds = whole_trainings(records, dataset, known[0]) if known else []
            if not figures_of(of_seeds, path):
                continue
            ours = np.mean(figures_of(of_seeds, path))
            is_better = "yes" if sign * (ours - printed) > 0 else "**no**"
            written = number(path, decimals)(of_seeds)
            rows.append([name, dataset, model, written, printed, is_better])
    return markdown_table(rows)


def fig3(records):
    """Return the numbers of Figure 3."""
    numbers = PAPER["fig3_omniglot_log_likelihood_notebook"]
    parts = []
    for ours, printed in (("evaluation", "evaluation"), ("test", "testing")):
        paper = {
            "x(0)": {
                "iDAAE": numbers[printed]["iDAAE"],
                "DAAE": numbers[printed]["DAAE_x0"],
            },
            "x(50)": {"DAAE": numbers[printed]["DAAE_x50"]},
        }
        columns = likelihoods(ours, OMNIGLOT_STEPS)
        models = models_of("fig3", "omniglot")
        own = {"defaults": likelihoods(ours, (0, 1))}
        parts.append(table(records, "omniglot", models, columns, paper, own))
    return "\n\n".join(parts)


def sprites(records):
    """Return the log-likelihoods of section VI-D2."""
    numbers = PAPER["sprites_log_likelihood"]
    paper = {
        "x(0)": {**numbers, "DAAE": numbers["DAAE_x0"]},
        "x(1)": {"DAAE": numbers["DAAE_x1"]},
    }
    models = models_of("sprites", "sprites")
    own = {"defaults": likelihoods("", (0, 1))}
    return table(records, "sprites", models, likelihoods("", (0, 1, 5)), paper, own)


def tuning(records):
    """Return what candidates reach on held-out data."""
    columns = {
        "accuracy": number(("classification", "gamma='scale'"), 2),
        "squared error": number(("reconstruction", "mean"), 4),
        **likelihoods("", (0, 1, 5)),
    }
    models = [
        name
        for name in protocols()["mnist_tuning"].models
        if records["mnist_tuning"][name]
    ]
    return table(records, "mnist_tuning", models, columns, {})


def recipes(records):
    """Return the settings of the models that were tuned, where these differ."""
    rows = [["data set", "model", "epochs", "settings that are not the defaults"]]
    for dataset in ("mnist", "omniglot"):
        protocol = protocols()[dataset]
        for name, model in protocol.tuned.items():
            is_recipe = not name.endswith("_defaults")
            if not (is_recipe and whole_trainings(records, dataset, name)):
                continue
            recipe = protocol.recipe(name)
            words = [f"{key}={value!r}" for key, value in recipe.items()]
            rows.append([dataset, name, model.max_epochs, ", ".join(words)])
    return markdown_table(rows) if len(rows) > 1 else "Not run yet."


def faces(records):
    """Return what the models of faces reach on those that are free."""
    columns = {
        "squared error": number(("reconstruction", "mean"), 5),
        "of clean images": number(("reconstruction", "clean"), 5),
        "identity": number(("identity", "accuracy"), 1),
        "codes from the prior": number(("prior_match", "codes"), 2),
        "corrupted": number(("prior_match", "corrupted_codes"), 2),
    }
    models = [name for name in protocols()["faces"].models if records["faces"][name]]
    return table(records, "faces", models, columns, {})


def pictures():
    """Return all pictures that have been drawn."""
    paths = sorted(PICTURES.glob("*.png"))
    return "\n\n".join(
        f"{caption(path)}:\n\n![{caption(path)}](images/paper/{path.name})"
        for path in paths
    )


def caption(path):
    """Return what a picture shows: a figure, of models of a data set."""
    figure, dataset, *training = path.stem.split("-")
    words = [figure.replace("fig", "Figure "), dataset]
    if training:  # the charts are of all models
        of = STAND_INS.get(dataset, dataset)
        words += next(p.models for p in TABLES[figure] if p.dataset == of)
        told = [t for t in training if t == "defaults" or t.endswith("epochs")]
        words += [t.replace("epochs", " epochs") for t in told]
        words += ["CPU budget"] if "cpu_budget" in training else []
    return ", ".join(words)


def summary(records):
    """Return what was run, where and when."""
    environments = {}
    n_records = n_dirty = 0
    for of_models in records.values():
        for trainings in of_models.values():
            for record in (r for of_seeds in trainings.values() for r in of_seeds):
                e = record["environment"]
                name = f"{e['gpu'] or e['cpu']}, torch {e['torch']}"
                environments.setdefault(name, []).append(e["date"])
                n_records += 1
                n_dirty += record["revision"].endswith("-dirty")
    machines = "; ".join(
        f"{name}, {min(dates)} to {max(dates)}" for name, dates in environments.items()
    )
    return (
        f"{n_records} records stand here, of these machines and dates: {machines}. "
        f"{n_dirty} of them began with changes in the code that were yet to commit."
    )


def page():
    """Return the text of the page."""
    records = read_records()
    parts = (
        table1,
        table2,
        table4,
        table5,
        table6,
        beside,
        fig3,
        sprites,
        faces,
        recipes,
        tuning,
        summary,
    )
    return TEXT.format(
        pictures=pictures(), **{part.__name__: part(records) for part in parts}
    )


if __name__ == "__main__":
    draw_charts(read_records(), PICTURES)
    PAGE.write_text(page())
