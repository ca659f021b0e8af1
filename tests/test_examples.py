"""The examples run as a user runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "doc" / "examples").glob("plot_*.py"))
# These download what is not there, which tests never do.
OF_DATA_SETS = ["plot_celeba", "plot_mnist", "plot_omniglot", "plot_sprites"]


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, tmp_path):
    pytest.importorskip("matplotlib")
    if path.stem in OF_DATA_SETS:
        home = Path(os.environ.get("SKLEARN_DAAE_DATA", ""))
        folder = home / path.stem.removeprefix("plot_")
        if not os.environ.get("SKLEARN_DAAE_DATA") or not folder.is_dir():
            pytest.skip(f"SKLEARN_DAAE_DATA names no folder with {folder.name}")
    subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", str(path)],
        check=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "MPLBACKEND": "Agg",
            "SKLEARN_DAAE_CACHE": str(tmp_path / "cache"),
        },
    )
    assert list(tmp_path.glob("*.png"))


def test_every_example_is_in_the_gallery_with_its_picture():
    if not EXAMPLES:
        pytest.skip("installed without the repository")
    folder = EXAMPLES[0].parent
    page = (folder / "README.md").read_text()
    for path in EXAMPLES:
        title = path.read_text().split('"""')[1].strip().splitlines()[0]
        assert f"## [{title}]({path.name})" in page, path
    pictures = re.findall(r"\((\.\./images/gallery/\w+\.png)\)", page)
    assert len(pictures) == len(EXAMPLES) - 2  # but those that may not be passed on
    for picture in pictures:
        assert (folder / picture).is_file(), picture
