"""`diff`: files and git revisions, three formats, exit codes that a pipeline builds on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import CONTRACT, Ran
from tests.schemas import assert_described
from tests.shared_cases import CASES, needs_cases

LATER = CONTRACT.replace("version: 1.2.0", "version: 1.3.0")


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts/feed.odcs.yaml").write_text(CONTRACT)
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_against_its_git_revision(run: Callable[..., Ran], repository: Path) -> None:
    file, place = repository / "contracts/feed.odcs.yaml", "main:contracts/feed.odcs.yaml"
    assert (run("diff", place, file).code, run("diff", place, place).code) == (0, 0)
    file.write_text(LATER.replace("required: true", "required: false"))
    ran = run("diff", place, file)
    assert ran.code == 1
    assert "a breaking change needs a major version; 1.2.0 to 1.3.0 is a minor" in " ".join(ran.out.split())
    assert max(map(len, ran.out.splitlines())) <= 80
    file.write_text(file.read_text().replace("1.3.0", "2.0.0"))
    assert run("diff", place, file).code == 0


def test_json_and_markdown(run: Callable[..., Ran], repository: Path) -> None:
    file = repository / "contracts/feed.odcs.yaml"
    file.write_text(LATER.replace("required: true", "required: false"))
    found = run("diff", "main:contracts/feed.odcs.yaml", file, "--format", "json").json
    assert_described("diff", found)
    (one,) = found["comparisons"]
    assert (found["version"], one["step"], one["needed"], len(one["problems"])) == (1, "minor", "major", 1)
    assert {"rule.loosened"} == {change["kind"] for change in one["changes"]}
    table = run("diff", "main:contracts/feed.odcs.yaml", file, "--format", "markdown").out
    assert "| breaking | safe |" in table
    assert table.startswith("### vendor-feed 1.2.0")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("nosuch:contracts/feed.odcs.yaml", 'the git revision "nosuch" does not exist'),
        ("main:feed.odcs.yaml", "has no file feed.odcs.yaml"),
        ("--output=x:contracts/feed.odcs.yaml", "does not exist"),
        ("nosuch.yaml", "no such file"),
    ],
)
def test_a_place_that_is_not_there(run: Callable[..., Ran], repository: Path, place: str, told: str) -> None:
    ran = run("diff", "--", place, "contracts/feed.odcs.yaml")
    assert ran.code == 2
    assert told in ran.err


def test_one_place_is_told_as_one(run: Callable[..., Ran], repository: Path) -> None:
    ran = run("diff", "contracts/feed.odcs.yaml")
    assert (ran.code, ran.out) == (2, "")
    assert "1 place given; expected OLD and NEW" in ran.err
    assert "3 places given; expected OLD and NEW; several" in run("diff", *["contracts/feed.odcs.yaml"] * 3).err


def test_no_repository_and_no_valid_contract(run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(CONTRACT)
    (tmp_path / "b.yaml").write_text(CONTRACT.replace("required: true", "requird: true"))
    ran = run("diff", "main:a.yaml", "a.yaml")
    assert ran.code == 2
    assert "is in no git repository" in ran.err
    for places in (("a.yaml", "b.yaml"), ("b.yaml", "a.yaml")):
        ran = run("diff", *places)
        assert ran.code == 2
        assert "requird" in ran.err


def test_a_transitive_mode_takes_every_old_version(run: Callable[..., Ran], tmp_path: Path) -> None:
    for version, text in (("1.0.0", CONTRACT), ("1.1.0", CONTRACT.replace("required: true", "required: false"))):
        (tmp_path / version).write_text(text.replace("1.2.0", version))
    (tmp_path / "new").write_text(LATER.replace("required: true", "required: false"))
    assert run("diff", tmp_path / "1.1.0", tmp_path / "new").code == 0
    assert run("diff", tmp_path / "1.0.0", tmp_path / "1.1.0", tmp_path / "new", "--mode", "backward_transitive").code == 1
    assert run("diff", tmp_path / "1.0.0", tmp_path / "1.1.0", tmp_path / "new").code == 2


@needs_cases
def test_a_pair_of_versions_made_by_others_reads_well(run: Callable[..., Ran]) -> None:
    ran = run("diff", *(CASES / f"odcs/changelog/changelog_integration_v{number}.yaml" for number in (1, 2)), "--mode", "full")
    assert ran.code == 0
    assert "perhaps a rename to region" in " ".join(ran.out.split())
    assert max(map(len, ran.out.splitlines())) <= 80
