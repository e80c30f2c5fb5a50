"""What the repository promises about itself: two commands, pinned versions, a complete wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import dagster_contracts

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dagster_contracts"


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _shell_blocks() -> list[str]:
    return re.findall(r"^```(?:sh|bash|shell|console)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)


def test_the_readme_begins_with_one_command_for_the_demo_and_one_for_the_tests():
    demo, tests = _shell_blocks()[:2]
    assert demo.count("\n") == tests.count("\n") == 1
    assert demo.endswith(" dagster-contracts demo\n")
    assert " pytest " in tests


@pytest.mark.parametrize("block", [0, 1])
def test_ci_runs_the_commands_of_the_readme_to_the_letter(block: int):
    steps = re.findall(r"^step \"[^\"]+\" '([^']*)'$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert _shell_blocks()[block].strip() in steps


def test_ci_can_be_executed():
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_the_version_is_the_same_everywhere():
    version = _pyproject()["project"]["version"]
    assert dagster_contracts.__version__ == version
    assert re.search(rf"^## \[?{re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_every_declared_dependency_has_an_exact_pin_that_it_allows():
    project = _pyproject()
    pins = [Requirement(pin) for pin in project["tool"]["uv"]["constraint-dependencies"]]
    assert [str(pin) for pin in pins if [s.operator for s in pin.specifier] != ["=="]] == []
    versions = {pin.name: next(iter(pin.specifier)).version for pin in pins}
    extras = project["project"]["optional-dependencies"].values()
    declared = [Requirement(text) for text in [*project["project"]["dependencies"], *(text for extra in extras for text in extra)]]
    others = [requirement for requirement in declared if requirement.name != project["project"]["name"]]
    assert [str(r) for r in others if r.name not in versions or not r.specifier.contains(versions[r.name])] == []


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(tmp_path: Path):
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        pytest.skip("uv, which builds the wheel, is not installed")
    subprocess.run([uv, "build", "--quiet", "--offline", "--wheel", "--out-dir", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name and not name.endswith("/")}
        licenses = [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
    sources = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert packed == {path.relative_to(ROOT).as_posix() for path in sources}
    assert "dagster_contracts/py.typed" in packed
    assert licenses
