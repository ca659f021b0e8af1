"""The house is as doc/architecture.md says, and a guest can build on it."""

import ast
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

import sklearn_daae

from .conftest import PLAIN, SMALL, expected_failures, snippets, weights

PACKAGE = Path(sklearn_daae.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# From the bottom up: what a room may import is what stands before it.
ORDER = [
    {"_checks", "_random", "_device", "_sklearn_compat", "distributed"},
    {"_model"},
    {"_engine"},
    {"_files"},
    {"_checkpoints"},
    {"_parameters"},
    {"_training"},
    {"_base"},
    {"_adversarial", "_variational", "_denoising", "_alice", "_pipelines"},
    {
        "metrics",
        "inspection",
        "outliers",
        "impute",
        "datasets",
        "model_selection",
        "onnx",
    },
]


def room(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path):
    """Return the rooms of the package that a file imports from."""
    package = path.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            module = [*above, *(node.module or "").split(".")]
            named = [alias.name for alias in node.names]  # of `from . import _checks`
            yield from [part for part in module if part][:1] or named


def floor(name):
    return next(i for i, rooms in enumerate(ORDER) if name in rooms)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    if path.parent == PACKAGE and path.stem == "__init__":
        return
    here = room(path)
    for there in imports(path):
        assert there == here or floor(there) <= floor(here), there
        if floor(there) == floor(here) and there != here:
            assert floor(here) in (0, len(ORDER) - 2), there  # side by side


def test_the_rooms_are_few_and_small():
    top = {room(path) for path in FILES}
    inner = [p for p in FILES if room(p) in ("_engine", "_model")]
    assert len(top) <= 25
    assert len(inner) <= 24
    for path in FILES:
        tree = ast.parse(path.read_text())
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docstrings = sum(
            node.body[0].end_lineno - node.body[0].lineno + 1
            for node in ast.walk(tree)
            if isinstance(node, documented) and ast.get_docstring(node) is not None
        )
        n_lines = len(path.read_text().splitlines()) - docstrings
        assert n_lines <= 350, path


def test_private_names_of_torch_are_behind_the_seam():
    private = re.compile(r"\btorch\._\w|\btorch\.ops\.|\bfrom torch\._")
    found = {p.name for p in FILES if private.search(p.read_text())}
    assert found == {"cpu.py", "cuda.py"}


@pytest.fixture(scope="module")
def page():
    page = PACKAGE.parent / "doc" / "architecture.md"
    if not page.exists():
        pytest.skip("installed without the repository")
    return page.read_text()


@pytest.fixture(scope="module")
def toy(page):
    """Return the class of the page's example, whose loss encodes each row twice."""
    (code,) = snippets(page)
    assert len(code.splitlines()) < 30
    guest = ModuleType("guest")
    sys.modules["guest"] = guest  # for pickles
    exec(code, vars(guest))
    return guest.TwoViewsDAE


def test_the_page_is_short_and_names_every_room(page):
    assert len(page.splitlines()) <= 60
    for path in FILES:
        if path.stem == "__init__" or room(path) in ("inspection", "datasets"):
            continue
        assert path.stem in page, path


def test_a_toy_objective(toy, X, monkeypatch):
    """It trains by every step alike, and each of its parts counts."""

    def fit(weight, step):
        monkeypatch.setenv("SKLEARN_DAAE_STEP", step)
        settings = {k: v for k, v in SMALL.items() if "discriminator" not in k}
        settings |= {**PLAIN, "weight": weight, "max_epochs": 9}
        return toy(**settings).fit(X)

    model, same, other = fit(0.1, "plain"), fit(0.1, "cpu"), fit(0.0, "plain")
    np.testing.assert_allclose(weights(model), weights(same), atol=2e-3)
    assert model.loss_curve_[-1] < model.loss_curve_[0]

    def distance(model):
        codes = [model.transform(model.corrupt(X, i)) for i in (0, 1)]
        return np.square(codes[0] - codes[1]).mean()

    assert distance(model) < 0.5 * distance(other)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_a_parameter_of_ones_own(toy):
    assert clone(toy(weight=2.0)).weight == 2.0
    assert toy().set_params(weight=3.0).get_params()["weight"] == 3.0
    assert repr(toy(weight=2.0)) == "TwoViewsDAE(weight=2.0)"
    with pytest.raises(TypeError, match=r"TwoViewsDAE.__init__\(\)"):
        toy(width=1.0)
    settings = {"encoder_layer_sizes": 8, "decoder_layer_sizes": 8, "max_epochs": 2}
    failures = expected_failures(toy())
    check_estimator(toy(2, **settings), expected_failed_checks=failures)
