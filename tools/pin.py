"""Pin every package, transitive ones too, for `uv run` in this repository.

uv run tools/pin.py           resolve the newest versions that pyproject.toml allows, write them to [tool.uv] constraint-dependencies
uv run tools/pin.py --check   fail unless the packages of the running environment are exactly the pinned ones
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
PINS = re.compile(r"(?<=^constraint-dependencies = \[\n).*?(?=^\]$)", re.DOTALL | re.MULTILINE)
OURS = canonicalize_name("dagster-contracts")


def write() -> str | None:
    """Return what went wrong, or None."""
    pins = resolve(requirements(), overrides())
    text, lists = PINS.subn("".join(f'  "{pin}",\n' for pin in pins), PYPROJECT.read_text())
    if lists != 1:
        return f"{PYPROJECT}: expected one list `constraint-dependencies` over several lines, found {lists}"
    PYPROJECT.write_text(text)
    print(f"{len(pins)} pins written to {PYPROJECT.name}; run the tests before you commit them")
    return None


def requirements() -> list[str]:
    """Everything that the package needs, with all its extras."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    wanted = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    return [requirement for requirement in wanted if not requirement.startswith(OURS)]


def overrides() -> list[str]:
    """What this repository says against the requirements of a package."""
    found: list[str] = tomllib.loads(PYPROJECT.read_text())["tool"]["uv"]["override-dependencies"]
    return found


def resolve(wanted: list[str], overrides: list[str]) -> list[str]:
    """For all platforms and every Python from the oldest supported one, with markers where versions differ.

    In an empty folder, since uv would otherwise apply the present pins.
    """
    command = [os.environ.get("UV", "uv"), "pip", "compile", "-", "--universal", "--python-version", "3.11", "--no-annotate", "--no-header"]
    command += ["--override", "overrides.txt"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "overrides.txt").write_text("\n".join(overrides))
        done = subprocess.run(command, input="\n".join(wanted), cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split("\n")[:-1]


def check() -> str | None:
    """Return what went wrong, or None."""
    pins = [Requirement(pin) for pin in tomllib.loads(PYPROJECT.read_text())["tool"]["uv"]["constraint-dependencies"]]
    pinned = {pin.name: str(pin.specifier) for pin in pins if pin.marker is None or pin.marker.evaluate()}
    present = {canonicalize_name(found.name): f"=={found.version}" for found in importlib.metadata.distributions()}
    del present[OURS]
    wrong = {name: version for name, version in present.items() if pinned.get(name) != version}
    if wrong:
        return "not the pinned versions:\n" + "\n".join(f"  {n}{v}, pinned: {pinned.get(n, 'no')}" for n, v in sorted(wrong.items()))
    print(f"{len(present)} packages, all of the pinned versions")
    return None


if __name__ == "__main__":
    sys.exit(check() if sys.argv[1:] == ["--check"] else write())
