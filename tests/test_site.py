"""The site's pages: their snippets run, and the reference has every public name."""

import doctest
import os
import re
from pathlib import Path

import pytest

import sklearn_daae
from sklearn_daae import DAAETransformer, model_selection, outliers

from .conftest import snippets
from .test_docstrings import PUBLIC

DOC = Path(__file__).parents[1] / "doc"
PAGES = [DOC / "getting_started.md", *sorted((DOC / "guide").glob("*.md"))]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

if not DOC.exists():
    pytest.skip("installed without the repository", allow_module_level=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_snippets_give_what_the_page_says(page, tmp_path, monkeypatch):
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SKLEARN_DAAE_DATA", raising=False)
    names: dict[str, object] = {}
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    said: list[str] = []
    for snippet in snippets(page.read_text(), "pycon"):
        test = doctest.DocTestParser().get_doctest(
            snippet, names, page.name, os.fspath(page), 0
        )
        runner.run(test, out=said.append, clear_globs=False)
        names = test.globs
    plt.close("all")
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_snippets_that_need_more_than_a_test_has_compile(page):
    for snippet in snippets(page.read_text()):
        compile(snippet, os.fspath(page), "exec")


def test_the_reference_has_every_public_name():
    found, module = [], ""
    for line in (DOC / "reference" / "index.md").read_text().splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        elif re.fullmatch(r"   [\w.]+", line):
            found.append(f"{module}.{line.strip()}")
    assert sorted(found) == sorted(PUBLIC)


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (DAAETransformer(), "sklearn_daae.DAAETransformer"),
        (
            model_selection.GridSearchCV(DAAETransformer(), {}),
            "sklearn_daae.model_selection.GridSearchCV",
        ),
        (
            outliers.AutoencoderOutlierDetector(),
            "sklearn_daae.outliers.AutoencoderOutlierDetector",
        ),
    ],
)
def test_notebooks_link_to_the_reference(estimator, name):
    html = estimator._repr_html_()
    assert f"/reference/{name}.html" in html
    assert "scikit-learn.org" not in html.split("<body>")[-1].split("</style>")[-1]


def test_a_class_of_ones_own_links_nowhere():
    class Mine(DAAETransformer):
        """Not of the package."""

    Mine.__module__ = "mine"
    assert "/reference/" not in Mine()._repr_html_()
    assert sklearn_daae.__name__ in DAAETransformer()._get_doc_link()
