"""The benchmarks: what they have written, and that they come to their ends."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("benchmarks", reason="benchmarks are in the repository alone")

import benchmarks.paper.__main__ as paper
from benchmarks.paper import page as paper_page
from benchmarks.paper import protocols
from benchmarks.speed import page as speed_page
from sklearn_daae.datasets import _celeba
from sklearn_daae.datasets._archives import Archive

from .conftest import write_celeba


@pytest.mark.parametrize("page", [speed_page, paper_page], ids=["speed", "paper"])
def test_pages_are_made_from_the_results(page):
    assert page.PAGE.read_text() == page.page(), f"run python -m {page.__name__}"


def folders(path):
    """Return where a command is to leave what it makes."""
    names = "results", "checkpoints", "pictures"
    return [word for name in names for word in (f"--{name}", str(path / name))]


def records(path):
    """Return all records below a folder, but for when and how fast they were made."""
    out = {}
    for file in sorted((path / "results").rglob("*.json")):
        out[file.stem] = json.loads(file.read_text())
        for name in ("training_seconds", "environment", "revision"):
            assert out[file.stem].pop(name) is not None
    return out


def test_tables_of_digits(tmp_path, capsys):
    command = [
        "table4",
        "table5",
        "table6",
        "fig12",
        "fig13",
        "--dataset",
        "digits",
        "--epochs",
        "2",
    ]
    models = ["DAAE", "DAAE_ring2d", "VAE", "PCA", "pixels"]
    command += ["--seeds", "0", "1", "--models", *models, *folders(tmp_path)]
    paper.main(command)
    found = records(tmp_path)
    of_seeds = [f"{m}-2epochs-float32-seed{s}" for m in models[:3] for s in (0, 1)]
    assert set(found) == {*of_seeds, "PCA", "pixels"}
    for name, record in found.items():
        n = {"pixels": 1}.get(name, 4)
        assert len(record["figures"]) == n, name
    DAAE = found["DAAE-2epochs-float32-seed0"]
    assert DAAE["seed"] == 0
    assert DAAE["epochs"] == len(DAAE["losses"]) == 2
    figures = DAAE["figures"]
    assert set(figures["log_likelihood"]) == {"x(0)", "x(1)", "x(5)"}
    assert set(found["VAE-2epochs-float32-seed0"]["figures"]["log_likelihood"]) == {
        "x(0)"
    }
    for accuracy in figures["classification"].values():
        assert 10 < accuracy < 100
    assert figures["classification"]["gamma=1/n"] < 90  # after 2 epochs, below PCA's
    assert found["PCA"]["figures"]["classification"]["gamma=1/n"] > 90
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {
        "fig12-digits.png",
        "fig13-digits.png",
    }

    # All of it has been done.
    capsys.readouterr()
    paper.main([word for word in command if not word.startswith("fig")])
    printed = capsys.readouterr().out.splitlines()
    assert all(line.endswith("has been measured") for line in printed), printed
    # Other measures do not train again, and other settings do.
    paper.main(["table1", *command[5:]])
    assert "epoch 1" not in capsys.readouterr().out


def test_a_killed_run_ends_as_one_that_was_not(tmp_path):
    command = [
        "table4",
        "table6",
        "--dataset",
        "digits",
        "--models",
        "iDAAE_M5",
        "--epochs",
        "6",
    ]

    def start(path, *options):
        return subprocess.Popen(
            [
                sys.executable,
                *("-m", "benchmarks.paper", *command, *folders(path), *options),
            ],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )

    whole = start(tmp_path / "whole")
    assert "epoch 6 of 6" in whole.communicate()[0]
    assert whole.returncode == 0

    for last in ("epoch 3", "reconstruction:"):
        killed = start(tmp_path / "killed", "--checkpoint-seconds", "0")
        for line in killed.stdout:
            if last in line:
                break
        killed.kill()
        killed.wait()
    again = start(tmp_path / "killed")
    printed = again.communicate()[0]
    assert again.returncode == 0
    assert "epoch " not in printed  # it was trained, and one measure was left
    assert records(tmp_path / "killed") == records(tmp_path / "whole")


def test_a_checkpoint_of_other_settings(tmp_path, monkeypatch):
    command = ["table4", "--dataset", "digits", "--models", "DAAE", "--epochs", "1"]
    paper.main([*command, *folders(tmp_path)])
    model = protocols.protocols()["digits"].models["DAAE"]
    monkeypatch.setattr(model, "sigma", 0.125)
    with pytest.raises(SystemExit, match="is of other settings"):
        paper.main([*command, *folders(tmp_path)])


def test_errors(capsys):
    with pytest.raises(SystemExit):
        paper.main(["table6", "--models", "DAAEE"])
    assert "['DAAEE'] are not among" in capsys.readouterr().err


def test_an_archive_in_the_layout_of_celeba(tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    home = tmp_path / "home"
    write_celeba(home, [(8, 10)] * 1210)
    archives = [
        Archive(
            a.name,
            None,
            (f"sha256:{hashlib.sha256((home / a.name).read_bytes()).hexdigest()}",),
        )
        for a in _celeba._ARCHIVES
    ]
    monkeypatch.setattr(_celeba, "_ARCHIVES", archives)
    monkeypatch.setenv("SKLEARN_DAAE_DATA", str(home))
    monkeypatch.setenv("SKLEARN_DAAE_CACHE", str(tmp_path / "cache"))
    figures = ["fig2", "fig5", "fig6", "fig7", "fig8", "fig10", "fig11", "fig15"]
    options = ["--dataset", "celeba", "--budget", "cpu", "--epochs", "1"]
    paper.main(["table1", *figures, *options, *folders(tmp_path)])
    found = records(tmp_path)
    assert len(found) == 11
    # Every second face has the first attribute, none the second and all the third.
    for record in found.values():
        numbers = record["figures"]["attributes"]
        first, *others = numbers["accuracies"]
        assert 0 <= first <= 100
        assert others == [100, 100]
        assert numbers["balanced_accuracies"] == [pytest.approx(first), None, None]
    drawn = {path.stem for path in (tmp_path / "pictures").iterdir()}
    assert drawn == {
        f"{name}-celeba" for name in ("fig2", "fig5", "fig6", "fig7", "fig11")
    }
