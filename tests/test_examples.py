"""The examples run as a user runs them, and the gallery knows all of them."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

DOC = Path(__file__).parents[1] / "doc"
EXAMPLES = sorted((DOC / "examples").glob("*.py"))
PLOTS = [path for path in EXAMPLES if path.name.startswith("plot_")]

# Runs a script as `python script` would, with `show` as the last thing that its figures
# see: as many as it has drawn are left in the folder.
RUN = """
import runpy, sys
import matplotlib
matplotlib.use("agg")
from matplotlib import pyplot as plt
plt.show = lambda: None
runpy.run_path(sys.argv[1], run_name="__main__")
for number in plt.get_fignums():
    plt.figure(number).savefig(f"figure-{number}.png")
"""


@pytest.fixture(scope="module")
def gallery():
    if not EXAMPLES:
        pytest.skip("installed without the repository")
    return runpy.run_path(str(DOC / "gallery.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", PLOTS, ids=lambda path: path.stem)
def test_example(path, gallery, tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    if not gallery["can_run"](path.name):
        pytest.skip("SKLEARN_DAAE_DATA names no folder with its data set")
    subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", RUN, str(path)],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "SKLEARN_DAAE_CACHE": str(tmp_path / "cache")},
    )
    figures = sorted(tmp_path.glob("figure-*.png"))
    assert figures
    for figure in figures:
        assert plt.imread(figure)[..., :3].std() > 0, f"{figure.name} is blank"


def test_the_gallery_has_every_example_once(gallery):
    assert sorted(gallery["ORDER"]) == [path.name for path in EXAMPLES]
    assert set(gallery["OF_DATA_SETS"]) < set(gallery["ORDER"])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_format(path):
    """What sphinx-gallery makes of a script is a page that reads well."""
    text = path.read_text()
    title, underline, empty, *_ = text.split('"""')[1].strip().split("\n")
    assert underline == "=" * len(title)
    assert not empty
    for thumbnail in re.findall(r"sphinx_gallery_thumbnail_path = '(.*)'", text):
        assert (DOC / thumbnail).is_file()
    # Headings within, each as long as its line.
    for heading, line in re.findall(r"^# %%\n# (.*)\n# (-+)$", text, re.M):
        assert len(heading) == len(line), heading
    # Figures are closed after each block, so they are drawn in the block they begin in.
    for block in text.split("\n# %%"):
        begins = re.search(r"plt\.(subplots|figure)\(", block) is not None
        assert begins == ("plt.show()" in block)
    if path in PLOTS:
        assert "plt.show()" in text
