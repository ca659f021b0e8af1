"""Print the lowest versions that pyproject.toml allows, as requirements for pip.

    python tools/lower_bounds.py test > lowest.txt
    pip install -r lowest.txt

The names are those of extras, whose requirements are printed with the package's own.
What --keep names is left out: who installs it chooses its version.
"""

import argparse
import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
# A name, with extras of its own, and the version that it begins with.
BOUND = re.compile(r"(?P<name>[\w.-]+)(?P<extras>\[[\w,-]+\])?>=(?P<version>[\w.]+)")


def lowest(requirements, keep=()):
    """Return what each requirement begins with: "numpy==2.0" of "numpy>=2.0"."""
    pins = {}
    for requirement in requirements:
        bound = BOUND.match(requirement)
        if bound is None:
            raise ValueError(f"{requirement!r} has no lower bound")
        name, extras, version = bound["name"], bound["extras"] or "", bound["version"]
        if name in keep:
            continue
        pin = f"{name}{extras}=={version}"
        if pins.setdefault(name + extras, pin) != pin:
            raise ValueError(f"{name} has two lower bounds: {pins[name]} and {pin}")
    return list(pins.values())


def main():
    """Print the pins of the package and of the extras that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extras", nargs="*")
    parser.add_argument("--keep", nargs="*", default=[], metavar="NAME")
    arguments = parser.parse_args()
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    extras = [project["optional-dependencies"][name] for name in arguments.extras]
    requirements = [*project["dependencies"], *(r for extra in extras for r in extra)]
    print(*lowest(requirements, arguments.keep), sep="\n")


if __name__ == "__main__":
    main()
