"""The tools of those who change or release the package."""

import importlib.util
from pathlib import Path

import pytest

import sklearn_daae

TOOLS = Path(__file__).parents[1] / "tools"


def load(name):
    if not TOOLS.is_dir():
        pytest.skip("installed without the repository")
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_every_mutant_can_be_made():
    mutants = load("mutants")
    package = Path(sklearn_daae.__file__).parent
    for mutant in mutants.MUTANTS:
        text = mutants.mutated(mutant, package)  # refuses what is not there once
        compile(text, mutant.file, "exec")
        assert mutant.new != mutant.old
        for argument in mutant.arguments:
            path, name = argument.split("::")
            tests = (Path(__file__).parents[1] / path).read_text(encoding="utf-8")
            assert f"def {name}(" in tests, argument
    assert len(set(mutants.MUTANTS)) == len(mutants.MUTANTS)


def test_lower_bounds():
    tool = load("lower_bounds")
    requirements = ["torch>=2.11,<3", "dask>=2024.8", "dask[dataframe]>=2024.8"]
    assert tool.lowest([*requirements, "torch>=2.11"]) == [
        "torch==2.11",
        "dask==2024.8",
        "dask[dataframe]==2024.8",
    ]
    with pytest.raises(ValueError, match="'numpy' has no lower bound"):
        tool.lowest(["numpy"])
    with pytest.raises(ValueError, match=r"numpy has two lower bounds: 2\.0 and 2\.1"):
        tool.lowest(["numpy>=2.0", "numpy>=2.1"])
    pins = tool.lowest(tool.of_project())  # each requirement has one
    assert {tool.name_of(pin) for pin in pins} >= {"scikit-learn", "torch", "skorch"}
    for path in tool.TESTS:
        assert (TOOLS.parent / path).is_file()
