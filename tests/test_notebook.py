"""The notebook is stored as it ran, and runs."""

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).parents[1]
PATH = ROOT / "doc" / "notebooks" / "from_pca_to_idaae.ipynb"


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell):
    """Return what the outputs of a cell are: text, or data of which types."""
    return {
        kind
        for output in cell.outputs
        for kind in output.get("data", {output.get("name", output.output_type): None})
    }


@pytest.fixture(scope="module")
def notebook():
    if not PATH.exists():
        pytest.skip("installed without the repository")
    return nbformat.read(PATH, as_version=4)


def test_it_is_valid_and_small(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert PATH.stat().st_size < 600_000


def test_every_step_has_code_that_compiles_and_words_after_it(notebook):
    cells = notebook.cells
    assert cells[0].cell_type == "markdown"
    assert cells[-1].cell_type == "markdown"
    for before, after in pairwise(cells):
        assert {before.cell_type, after.cell_type} == {"code", "markdown"}
    for cell in code_cells(notebook):
        compile(cell.source, str(PATH), "exec")


def test_it_is_stored_as_it_ran(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    for cell in cells:
        # Text and pictures: neither errors nor warnings, whose paths are a machine's.
        assert kinds(cell) <= {"stdout", "text/plain", "image/png"}, cell.source
        assert cell.outputs, cell.source
        assert not cell.metadata, "times, or a setting of an editor"


def test_its_links_lead_somewhere(notebook):
    words = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", words) if ":" not in link]
    assert links
    for link in links:
        assert (PATH.parent / link).is_file(), link


@pytest.mark.slow
def test_it_runs(notebook, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)  # the kernel's, which runs elsewhere
    again = nbformat.from_dict(notebook)
    for cell in code_cells(again):
        cell.outputs, cell.execution_count = [], None
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(
        again, kernel_name="python3", timeout=600, resources=where
    ).execute()
    for stored, ran in zip(code_cells(notebook), code_cells(again), strict=True):
        assert kinds(ran) == kinds(stored), ran.source
