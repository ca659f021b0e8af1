"""Test the package with the lowest versions that pyproject.toml allows.

    python tools/lower_bounds.py install .venv-lowest
    python tools/lower_bounds.py test .venv-lowest

The first makes a virtual environment with the lowest version of each dependency, those
of extras among them. Requirements that follow its folder are installed before, and in
place of, the package's own: where PyTorch's lowest version is not at hand,
"torch==2.13.0". The second runs tests in it, those that lean the most on others.
"""

import argparse
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
# A name, with extras of its own, and the version that it begins with.
BOUND = re.compile(r"(?P<name>[\w.-]+)(?P<extras>\[[\w,-]+\])?>=(?P<version>[\w.]+)")
# Not those that build the documentation or draw the benchmarks' charts.
EXTRAS = ["cluster", "data", "onnx", "plot", "test"]
# Tools of the developers, of which any version will do.
TOOLS = ["hypothesis", "mypy", "numpydoc", "ruff"]
# scikit-learn's own checks are in the first two. Those of all of the package's
# estimators take minutes.
TESTS = [
    "tests/test_impute.py",
    "tests/test_outliers.py",
    "tests/test_array_api.py",
    "tests/test_callbacks.py",
    "tests/test_composition.py",
    "tests/test_inspection.py",
    "tests/test_onnx.py",
    "tests/test_saving.py",
    "tests/test_streams.py",
]


def name_of(requirement):
    """Return the name of what is required."""
    return re.match(r"[\w.-]+", requirement)[0]


def lowest(requirements):
    """Return what each requirement begins with: "numpy==2.0" of "numpy>=2.0"."""
    pins, versions = {}, {}
    for requirement in requirements:
        bound = BOUND.match(requirement)
        if bound is None:
            raise ValueError(f"{requirement!r} has no lower bound")
        name, version = bound["name"], bound["version"]
        if versions.setdefault(name, version) != version:
            raise ValueError(
                f"{name} has two lower bounds: {versions[name]} and {version}"
            )
        pins[f"{name}{bound['extras'] or ''}=={version}"] = None
    return list(pins)


def of_project():
    """Return the requirements of the package and of its extras for users and tests."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = [project["optional-dependencies"][name] for name in EXTRAS]
    return [*project["dependencies"], *(r for extra in extras for r in extra)]


def install(folder, first):
    """Make the environment."""
    given = {name_of(requirement) for requirement in first}
    wanted = [r for r in of_project() if name_of(r) not in {*given, *TOOLS}]
    tools = [r for r in of_project() if name_of(r) in TOOLS]
    venv.create(folder, with_pip=True, clear=True)
    for requirements in (first, [*lowest(wanted), *tools], ["--no-deps", "-e", ROOT]):
        if requirements:
            python(folder, "-m", "pip", "install", "--quiet", *requirements)
    python(folder, "-m", "pip", "check")


def python(folder, *command):
    """Run the environment's Python in the clone."""
    scripts = "Scripts" if sys.platform == "win32" else "bin"
    path = folder.resolve() / scripts / "python"
    subprocess.run([path, *command], check=True, cwd=ROOT)


def main():
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("install", "test"):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        if name == "install":
            command.add_argument("first", nargs="*")
    arguments = parser.parse_args()
    if arguments.command == "install":
        install(arguments.folder, arguments.first)
    else:
        python(arguments.folder, "-m", "pytest", "-q", "-n", "2", *TESTS)


if __name__ == "__main__":
    main()
