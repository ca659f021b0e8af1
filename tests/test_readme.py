"""The README's snippets run, in the order of the page."""

import os
from pathlib import Path

import numpy as np
import pytest

from .conftest import snippets

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_snippets(tmp_path, monkeypatch, data_home):
    plt = pytest.importorskip("matplotlib.pyplot")
    if not README.exists():
        pytest.skip("installed without the repository")
    plt.switch_backend("agg")
    monkeypatch.setenv("SKLEARN_DAAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    faces = np.random.default_rng(0).integers(256, size=(8, 12_288), dtype=np.uint8)
    np.save("faces.npy", faces)  # what a user would bring
    found = snippets(README.read_text())
    assert len(found) >= 6
    names: dict[str, object] = {}
    for snippet in found:
        exec(compile(snippet, os.fspath(README), "exec"), names)
        plt.close("all")
