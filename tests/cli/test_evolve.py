"""The recipes of docs/guides/evolve.md, as GitHub and pre-commit run them, in a git repository with a branch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.test_diff import git
from tests.test_docs import ROOT, blocks


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of a repository with the page's files on main, on a branch of its own."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    for block in blocks(ROOT / "docs/guides/evolve.md"):
        if "title" in block.attributes:
            file = origin / block.attributes["title"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
    git(origin, "init")
    git(origin, "add", ".")
    git(origin, "commit", "-m", "first")
    git(tmp_path, "clone", str(origin), str(clone))
    git(clone, "checkout", "-b", "work")
    return clone


def change(clone: Path, version: str) -> None:
    file = clone / "contracts/orders.odcs.yaml"
    file.write_text(file.read_text().replace("string, required: true", "string").replace("version: 1.0.0", f"version: {version}"))


def shell(clone: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, **environment}
    return subprocess.run(["bash", "-eo", "pipefail", "-c", command], cwd=clone, env=variables, capture_output=True, text=True, check=False)


def workflow(clone: Path) -> tuple[list[int], str]:
    """What the steps of the workflow end with, up to the first that fails, and the summary."""
    jobs = yaml.safe_load((clone / ".github/workflows/contracts.yml").read_text())["jobs"]
    summary, codes = clone.parent / "summary.md", []
    for step in jobs["diff"]["steps"]:
        command = re.sub(r"\$\{\{ github.base_ref \}\}", "main", step.get("run", "true"))
        if not command.startswith("pip "):
            codes.append(shell(clone, command, GITHUB_STEP_SUMMARY=str(summary)).returncode)
            if codes[-1]:
                break
    return codes, summary.read_text() if summary.exists() else ""


def hooks(clone: Path) -> dict[str, int]:
    """What each hook ends with: as pre-commit runs it, with the names of staged files that it asks for."""
    config: dict[str, Any] = yaml.safe_load((clone / ".pre-commit-config.yaml").read_text())
    staged = shell(clone, "git diff --cached --name-only").stdout.split()
    found = {}
    for hook in config["repos"][0]["hooks"]:
        files = [name for name in staged if re.search(hook["files"], name)]
        if files:
            command = " ".join([hook["entry"], *(files if hook.get("pass_filenames", True) else [])])
            found[hook["id"]] = shell(clone, command).returncode
    return found


@pytest.mark.parametrize(("version", "code"), [("1.1.0", 1), ("2.0.0", 0)])
def test_a_pull_request_and_a_commit(clone: Path, version: str, code: int) -> None:
    change(clone, version)
    git(clone, "add", ".")
    assert hooks(clone) == {"contracts-lint": 0, "contracts-diff": code}
    git(clone, "commit", "-m", "change")
    codes, summary = workflow(clone)
    assert codes == [0, 0, 0, code]
    assert "| orders.state.required | breaking | safe |" in summary
    assert not list(clone.glob(".changed-contracts"))


def test_a_contract_that_is_gone_or_unchanged_or_behind(clone: Path) -> None:
    assert workflow(clone)[0] == [0, 0, 0, 0]
    origin = clone.parent / "origin"
    change(origin, "3.0.0")  # main goes on: what others did there is no change of this branch
    git(origin, "commit", "-am", "theirs")
    git(clone, "fetch")
    assert workflow(clone) == ([0, 0, 0, 0], "")
    (clone / "contracts/orders.odcs.yaml").rename(clone / "contracts/renamed.odcs.yaml")
    git(clone, "add", ".")
    assert hooks(clone)["contracts-diff"] == 1
    git(clone, "commit", "-m", "moved")
    codes, summary = workflow(clone)
    assert (codes[-1], "### contracts/orders.odcs.yaml is gone" in summary) == (1, True)
