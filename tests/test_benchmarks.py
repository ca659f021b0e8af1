"""The benchmarks: what they have written, and that they come to their ends."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

pytest.importorskip("matplotlib")
pytest.importorskip("benchmarks", reason="benchmarks are in the repository alone")

import benchmarks.paper.__main__ as paper
import benchmarks.speed.__main__ as speed
from benchmarks._records import _alone
from benchmarks.paper import charts, measures, protocols, runs
from benchmarks.paper import page as paper_page
from benchmarks.paper import records as paper_records
from benchmarks.paper.data import load_digits_splits
from benchmarks.paper.protocol import settings_of
from benchmarks.paper.tables import Part
from benchmarks.scale import __main__ as scale
from benchmarks.scale import page as scale_page
from benchmarks.speed import page as speed_page
from benchmarks.value import ablation
from benchmarks.value.datasets import Dataset
from sklearn_daae.datasets import _celeba
from sklearn_daae.datasets._archives import Archive

from .conftest import write_celeba

PAGES = {"speed": speed_page, "paper": paper_page, "scale": scale_page}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_pages_are_made_from_the_results(page):
    assert page.PAGE.read_text() == page.page(), f"run python -m {page.__name__}"


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory as Linux tells it")
def test_scale_is_measured_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scale, "RESULTS", tmp_path / "scale.json")
    small = {"rows": [{"rows": 600}], "workers": [{"rows": 600, "workers": 2}]}
    monkeypatch.setattr(scale, "AXES", small)
    monkeypatch.setattr(sys, "argv", ["scale", "--repeats", "1"])
    scale.main()
    measured = json.loads((tmp_path / "scale.json").read_text())["measured"]
    assert [one["setting"]["workers"] for one in measured] == [1, 2]
    for one in measured:
        assert one["fit_seconds"] > one["seconds"] > 0
    capsys.readouterr()
    scale.main()
    assert not capsys.readouterr().out


def test_speed_on_a_gpu_that_is_not_there(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["speed", "--device", "cuda"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit):
        speed.main()
    assert "torch finds no CUDA device" in capsys.readouterr().err


def folders(path):
    """Return where a command is to leave what it makes."""
    names = "results", "checkpoints", "pictures"
    return [word for name in names for word in (f"--{name}", str(path / name))]


def records(path):
    """Return all records below a folder, but for when and how fast they were made."""
    out = {}
    for file in sorted((path / "results").rglob("*.json")):
        out[file.stem] = json.loads(file.read_text())
        for name in ("training_seconds", "environment", "revision", "measured"):
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
        "fig12-digits-2epochs-float32.png",
        "fig13-digits-2epochs-float32.png",
    }

    # All of it has been done.
    capsys.readouterr()
    paper.main([word for word in command if not word.startswith("fig")])
    printed = capsys.readouterr().out.splitlines()
    assert all(line.endswith("has been measured") for line in printed), printed
    # Other measures do not train again, and other settings do.
    command.remove("pixels")
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


def test_an_interrupted_run_stops(tmp_path):
    """And keeps what it has, though `fit` keeps it with no more than a warning."""
    command = ["table6", "--dataset", "digits", "--models", "DAAE", "--epochs", "3000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.paper", *command, *folders(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert "epoch 1 of 3000" in process.stdout.readline()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate()
    assert "classification" not in printed
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert not [*(tmp_path / "results").rglob("*.json")]
    model, _ = joblib.load(next((tmp_path / "checkpoints").rglob("*.joblib")))
    assert 1 <= model.n_epochs_ < 3000


def test_two_programs_do_not_train_one_model(tmp_path):
    path = tmp_path / "x.joblib"
    message = "is being trained by another program"
    with _alone(path), pytest.raises(SystemExit, match=message), _alone(path):
        pass
    with _alone(path):  # now that the other has ended
        pass


def test_a_checkpoint_of_other_settings(tmp_path, monkeypatch):
    command = ["table4", "--dataset", "digits", "--models", "DAAE", "--epochs", "1"]
    paper.main([*command, *folders(tmp_path)])
    model = protocols.protocols()["digits"].models["DAAE"]
    monkeypatch.setattr(model, "sigma", 0.125)
    with pytest.raises(SystemExit, match="is of other settings"):
        paper.main([*command, *folders(tmp_path)])


def test_errors(capsys):
    for command, message in (
        (["table6", "--models", "DAAEE"], "not of ['DAAEE']"),
        (["table6", "--models", "iDAAE"], "not of ['iDAAE']"),
        (["table6", "--dataset", "sprites"], "['table6'] of sprites are made of []"),
        (["table6", "--epochs", "0"], "0 must be at least 1"),
    ):
        with pytest.raises(SystemExit):
            paper.main(command)
        assert message in capsys.readouterr().err


def test_a_data_set_that_is_not_there(tmp_path, monkeypatch, capsys):
    """What needs it is left out, and said at the end; the rest is done."""

    def fail():
        raise OSError("no such file")

    digits = protocols.protocols()["digits"]
    monkeypatch.setitem(protocols.protocols(), "gone", replace(digits, load=fail))
    parts = [Part(name, ("PCA",), ("reconstruction",)) for name in ("gone", "digits")]
    monkeypatch.setitem(paper.TABLES, "table1", parts)
    assert paper.main(["table1", *folders(tmp_path)]) == 1
    assert "table1 lacks gone: no such file" in capsys.readouterr().err
    assert [*records(tmp_path)] == ["PCA"]


def test_rows_of_tables(monkeypatch):
    """A model without a measure keeps its row, and the paper's number."""
    record = {"dataset": "omniglot", "model": "DAAE", "precision": "float32"}
    model = protocols.protocols()["omniglot"].model("DAAE", "cpu")
    made = [
        {
            **record,
            "epochs": 1000,
            "settings": settings_of(protocols.protocols()["omniglot"].models["DAAE"]),
            "figures": {"transfer": {"accuracy": accuracy}},
        }
        for accuracy in (80.0, 81.0)
    ]
    made.append(
        {
            **record,
            "epochs": 25,
            "settings": settings_of(model),
            "figures": {"transfer": {"accuracy": 70.0}},
        }
    )
    made.append(
        {
            "dataset": "omniglot",
            "model": "PCA",
            "settings": {},
            "figures": {"reconstruction": {"mean": 0.5}},
        }
    )
    grouped = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for one in made:
        training = paper_records.training_of(one)
        grouped[one["dataset"]][one["model"]][training].append(one)
    lines = paper_page.table2(grouped).splitlines()
    assert "| PCA | not run | - | - | - | - |  |  |  |  | 31.02 | 76.75 |" in lines
    assert (
        "| DAAE | 1000 epochs | - | - | 80.50 ± 0.71 (2) | - |  |  |  |  | 31.74"
        " | 83.0 |" in lines
    )
    assert (
        "| DAAE | 25 of 1000 epochs, CPU budget | - | - | 70.00 | - |  |  |  |  | 31.74"
        " | 83.0 |" in lines
    )
    assert lines[-1] == (
        "CPU budget of DAAE: adversarial_weight=0.1, "
        "discriminator_learning_rate=5e-05, learning_rate=0.0005, "
        "learning_rate_decay=0.9."
    )


def test_tables_are_made_of_models_that_there_are():
    for dataset in ("mnist", "omniglot", "sprites", "celeba", "digits", "faces"):
        protocol = protocols.protocols()[dataset]
        known = protocol.all_models
        for table in paper.TABLES:
            for part in paper.parts_of(table, dataset):
                assert part.dataset == dataset
                assert part.models
                assert set(part.models) <= set(known)


def test_tuned_models_stand_beside_the_papers():
    """In columns of their own, and no shorter trainings among them."""
    tuned = protocols.protocols()["mnist"].tuned["DAAE_features"]
    made = [
        {
            "dataset": "mnist",
            "model": "DAAE_features",
            "precision": "float32",
            "epochs": epochs,
            "settings": settings_of(tuned),
            "figures": {"classification": {"gamma=1/n": accuracy}},
        }
        for epochs, accuracy in ((tuned.max_epochs, 97.5), (1, 60.0))
    ]
    # Of a recipe that was, which no longer says what it was made with.
    old = settings_of(tuned) | {"adversarial_weight": 0.7}
    made.append({**made[0], "settings": old, "figures": made[1]["figures"]})
    assert [paper_records.training_of(record) for record in made] == [
        f"{tuned.max_epochs} epochs",
        f"1 of {tuned.max_epochs} epochs",
        f"{tuned.max_epochs} epochs, CPU budget: adversarial_weight=0.7",
    ]
    grouped = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for one in made:
        training = paper_records.training_of(one)
        grouped["mnist"]["DAAE_features"][training].append(one)
    lines = paper_page.table6(grouped).splitlines()
    assert "| DAAE | not run | - | - |  |  | 97.50 | 95.28 |" in lines
    assert "| AAE | not run | - | - |  |  |  | 95.19 |" in lines
    (line,) = paper_page.recipes(grouped).splitlines()[2:]
    assert line.startswith(f"| mnist | DAAE_features | {tuned.max_epochs} | ")
    assert "corruption='moved', " in line
    recipe = protocols.protocols()["omniglot"].recipe("DAAE_features")
    assert set(recipe) == {"n_components", "corruption", "image_shape"}


def test_models_with_a_corruption_of_their_own_face_the_noise_of_others():
    data = load_digits_splits()
    settings = {"random_state": 0, "max_epochs": 1, "sigma": 0.25}
    model = clone(protocols.protocols()["digits"].models["DAAE"])
    model.set_params(corruption="moved", image_shape=(1, 8, 8), **settings)
    model.fit(data["train"][0])
    X = data["test"][0]
    found = measures.reconstruction(model, data)
    noise = np.random.default_rng(0).normal(size=X.shape).astype(np.float32)
    expected = np.mean((model.reconstruct(X + 0.25 * noise) - X) ** 2)
    assert found["mean"] == pytest.approx(expected, rel=1e-5)


def test_trainings_have_names_of_their_own(tmp_path):
    options = [
        runs.Options(tmp_path, budget=budget, epochs=25) for budget in ("paper", "cpu")
    ]
    names = {runs.Run("omniglot", "DAAE", 0, option).name for option in options}
    assert len(names) == 2


def test_accuracy_from_kernels_is_that_of_svc():
    """Of rows too wide for libsvm's own kernels."""
    X, y = load_digits(return_X_y=True)
    X = np.tile(X / 16, 16)
    for gamma in ("auto", "scale"):
        expected = 100 * SVC(gamma=gamma).fit(X[:500], y[:500]).score(X[500:], y[500:])
        found = measures.svc_accuracy(X[:500], y[:500], X[500:], y[500:], gamma=gamma)
        assert found == expected


def test_transfer():
    """Of twenty characters of twenty drawings each, in this order, before others."""
    random = np.random.default_rng(0)
    y = np.repeat(np.arange(7, 32), 20)
    X = np.eye(32)[y]
    X[y >= 27] = 0
    X += 0.01 * random.normal(size=X.shape)
    identity = FunctionTransformer()
    found = measures.transfer(identity, {"evaluation": (X, y)})
    assert found == {"accuracy": 100, "LinearSVC": 100}
    shuffled = random.permuted(X, axis=0)
    found = measures.transfer(identity, {"evaluation": (shuffled, y)})
    assert max(found.values()) < 20


def test_grey():
    X = np.random.default_rng(0).random((5, 3 * 4), dtype=np.float32)
    red, green, blue = X.reshape(5, 3, 4).swapaxes(0, 1)
    expected = 0.2125 * red + 0.7154 * green + 0.0721 * blue
    np.testing.assert_allclose(measures.to_grey(X), expected, rtol=1e-6)


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
    assert len(found) == 18
    defaults = [name for name in found if "_defaults" in name]
    assert len(defaults) == 3
    summed = [name for name in found if "_summed" in name]
    assert len(summed) == 3
    for name in ("PCA_sigma0.1", *defaults, *summed):
        assert found.pop(name)["figures"].keys() == {"reconstruction"}
    for record in found.values():
        numbers = record["figures"]["attributes"]
        assert len(numbers["accuracies"]) == 12
        assert all(0 <= accuracy <= 100 for accuracy in numbers["accuracies"])
    drawn = {path.stem for path in (tmp_path / "pictures").iterdir()}
    assert {name.partition("-1epochs-float32-cpu_budget")[0] for name in drawn} == {
        f"{name}-celeba" for name in ("fig2", "fig5", "fig6", "fig7", "fig11")
    }

    monkeypatch.setattr(paper_records, "RESULTS", tmp_path / "results")
    charts.draw(paper_records.read_records(), tmp_path / "charts")
    assert {path.stem for path in (tmp_path / "charts").iterdir()} == {
        f"{name}-celeba" for name in ("fig8", "fig9", "fig10", "fig15")
    }


def test_the_ablation(tmp_path, monkeypatch, capsys):
    """Of all variants there are, on a few rows, and not measured twice."""
    X, y = load_digits(return_X_y=True)
    data = Dataset(X[:200].astype(np.float32), y[:200], 3, is_image=True)
    monkeypatch.setattr(ablation, "load", lambda name: data)
    monkeypatch.setattr(ablation, "DATASETS", ("digits",))
    monkeypatch.setattr(ablation, "SEEDS", (0, 1))
    whole = ablation.variants(3, 0)
    assert len(whole) == len({repr(model) for model in whole.values()}) == 15
    few = [("DAAE", "joint", "mixed"), ("DAE", "", "fixed")]
    monkeypatch.setattr(
        ablation,
        "variants",
        lambda k, seed: {key: whole[key].set_params(max_epochs=2) for key in few},
    )
    path = tmp_path / "ablation.json"
    monkeypatch.setattr(sys, "argv", ["ablation", "--results", str(path)])
    for _ in range(2):
        ablation.main()
    out = capsys.readouterr().out
    assert out.count("digits, 1: ") == 1
    (line,) = [
        line for line in out.splitlines()[-4:] if line.startswith("| DAE, fixed")
    ]
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    assert [bool(cell) for cell in cells] == [True] * 4 + [False] + [True] * 2
    assert all("±" in cell for cell in cells if cell)


def test_the_defaults_in_place_of_the_papers_settings():
    """Of every model but those that have none, and but for what tells them apart."""
    (part,) = paper.parts_of("fig5", "faces", defaults=True)
    assert part.models == ("AAE_defaults", "iDAAE_M5_defaults")
    models = protocols.protocols()["celeba"].tuned
    model = models["iDAAE_sigma0.1_defaults"]
    assert (model.sigma, model.M, model.update) == (0.1, 10, "joint")
    assert model.network == "conv"
    assert not [name for name in models if "PCA" in name or "summed" in name]
    parts = paper.parts_of("table6", defaults=True)
    names = {name for part in parts for name in part.models}
    assert {"DAAE_defaults", "DVAE_defaults"} < names
    assert all(name.endswith("_defaults") for name in names)
    path = Path("fig5-faces-defaults-49epochs-float32.png")
    expected = "Figure 5, faces, AAE, iDAAE_M5, defaults, 49 epochs"
    assert paper_page.caption(path) == expected
