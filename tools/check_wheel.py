"""Install a built wheel in an environment of its own, and see that it is whole.

    python -m build
    python tools/check_wheel.py dist

There are the package and its core dependencies alone, and no clone in sight: every
module is imported without an extra, and the README's quick start runs. The wheel holds
the package, and neither tests nor data. Requirements that follow the folder are
installed first, such as "torch==2.13.0" for a build of PyTorch that is at hand.
"""

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]
MOST_BYTES = 250_000
# Beside Python code: types are told, and data sets described.
OTHER_FILES = re.compile(r"sklearn_daae/(py\.typed|datasets/descr/\w+\.rst)")

# Runs where the wheel is installed. Extras' packages would hide a missing dependency.
IMPORTS = """
import importlib
import pkgutil
from importlib.metadata import version
from importlib.util import find_spec

import sklearn_daae

assert "site-packages" in sklearn_daae.__file__, sklearn_daae.__file__
assert version("sklearn-daae") == sklearn_daae.__version__
for name in ("dask", "h5py", "matplotlib", "onnx", "pandas", "PIL", "pytest"):
    assert find_spec(name) is None, f"{name} is here, which is of an extra"

found = pkgutil.walk_packages(sklearn_daae.__path__, "sklearn_daae.")
names = [module.name for module in found]
public = [name for name in names if "._" not in name]
assert len(public) > 5, public
for name in names:
    module = importlib.import_module(name)
    for attribute in getattr(module, "__all__", ()):
        getattr(module, attribute)
print("imports", *public)
"""


def check_contents(wheel, sdist):
    """Refuse a wheel that is large or holds more than the package, or an sdist less."""
    size = wheel.stat().st_size
    if size >= MOST_BYTES:
        raise SystemExit(f"{wheel.name} has {size} bytes, {MOST_BYTES} or more")
    names = ZipFile(wheel).namelist()
    for name in names:
        is_metadata = ".dist-info/" in name
        is_code = name.startswith("sklearn_daae/") and name.endswith(".py")
        if not (is_metadata or is_code or OTHER_FILES.fullmatch(name)):
            raise SystemExit(f"{wheel.name} holds {name}")
    patterns = "sklearn_daae/**/*.py", "tests/*.py"
    paths = [path for pattern in patterns for path in ROOT.glob(pattern)]
    of_clone = {path.relative_to(ROOT).as_posix() for path in paths}
    with tarfile.open(sdist) as archive:
        # Without the folder of the version, in which all of it is.
        inside = {"/".join(PurePosixPath(n).parts[1:]) for n in archive.getnames()}
    of_package = {n for n in of_clone if n.startswith("sklearn_daae/")}
    for lacking, where in (
        (of_package - set(names), wheel),
        (of_clone - inside, sdist),
    ):
        if lacking:
            raise SystemExit(f"{where.name} lacks {', '.join(sorted(lacking))}")
    print(f"{wheel.name}: {len(names)} files, {size} bytes")


def quick_start():
    """Return the first block of Python of the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    if block is None or "import" not in block[1]:
        raise SystemExit("README.md has no quick start")
    return block[1]


def main():
    """Check the wheel and the sdist of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=Path, help="where `python -m build` has put them"
    )
    parser.add_argument("first", nargs="*", help="requirements to be installed first")
    parser.add_argument("--version", metavar="TAG", help="that the wheel is to have")
    arguments = parser.parse_args()
    (wheel,) = arguments.folder.resolve().glob("*.whl")
    (sdist,) = arguments.folder.resolve().glob("*.tar.gz")
    check_contents(wheel, sdist)
    version = wheel.name.split("-")[1]
    if arguments.version and arguments.version.removeprefix("v") != version:
        raise SystemExit(f"{wheel.name} is not of {arguments.version}")

    # What the shell names would stand before what is installed.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder, "venv")
        venv.create(home, with_pip=True)
        python = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"

        def run(*command):
            subprocess.run([python, *command], check=True, cwd=folder, env=environment)

        for requirements in (arguments.first, [wheel]):
            if requirements:
                run("-m", "pip", "install", "--quiet", *requirements)
        run("-W", "error::DeprecationWarning:sklearn_daae", "-c", IMPORTS)
        run("-c", quick_start())
    print("the README's quick start runs")


if __name__ == "__main__":
    main()
