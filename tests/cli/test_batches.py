"""`batch ...`: which batch is meant, and what is recorded of a decision on it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dagster_contracts.core.errors import UsageError
from dagster_contracts.store.sql import SqlStore
from tests.cli.conftest import Ran

pytestmark = pytest.mark.usefixtures("past")

SECOND = ("vendor/feed", "--partition", "2026-01-02")


def only(url: str, partition: str) -> Any:
    (batch,) = SqlStore(url).batches(asset="vendor/feed", partition=partition)
    return batch


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands in for the operations on Dagster, and notes what is asked of them."""
    asked: list[tuple[Any, ...]] = []
    module: Any = ModuleType("dagster_contracts.plugin.operations")
    module.asked = asked
    module.load_definitions = lambda file, module: ("definitions", file, module)
    module.open_instance = lambda: "instance"
    module.run_release = lambda *arguments: asked.append(arguments) or "run-9"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("dagster_contracts.plugin.operations", module, raising=False)
    return module


def test_list_is_newest_first_and_filters(run: Callable[..., Ran]):
    every = run("batch", "list", "vendor/feed", "--format", "json").json["batches"]
    assert [(batch["partition"], batch["status"]) for batch in every] == [
        ("2026-01-03", "held"),
        ("2026-01-02", "quarantined"),
        ("2026-01-01", "published"),
    ]
    assert run("batch", "list", "--format", "json").json["batches"] == every
    waiting = run("batch", "list", "vendor/feed", "--status", "held", "--status", "quarantined", "--format", "json").json["batches"]
    assert waiting == every[:2]
    assert "2026-01-02" in run("batch", "list", "vendor/feed", "--partition", "2026-01-02").out
    assert run("batch", "list", "vendor/feed", "--status", "discarded").out == "no batches\n"


def test_list_says_when_it_is_cut_short(run: Callable[..., Ran]):
    ran = run("batch", "list", "--limit", "2")
    assert len(ran.out.splitlines()) == 4
    assert "only the newest 2 batches" in ran.err


def test_show_has_the_verdict_with_findings_and_failing_rows(run: Callable[..., Ran]):
    ran = run("batch", "show", *SECOND)
    assert ran.code == 0
    for part in ("quarantined", "risk_indicator.invalidValues", "HIGH_RISK", 'risk_indicator="17"', "Not executed (1)"):
        assert part in ran.out
    batch = run("batch", "show", *SECOND, "--format", "json").json["batch"]
    assert batch["verdict"]["outcome"] == "fail"
    assert batch["stored"] is True
    newest = run("batch", "show", "vendor/feed", "--format", "json").json["batch"]
    assert newest["partition"] == "2026-01-03"


def test_an_unknown_asset_or_partition_names_what_there_is(run: Callable[..., Ran]):
    assert run("batch", "show", "vendor/fed").err == (
        'error: no batch of an asset "vendor/fed" was ever judged, did you mean "vendor/feed"? assets with batches: vendor/feed\n'
    )
    ran = run("batch", "discard", "vendor/feed", "--partition", "2026-01-01", "--reason", "x")
    assert ran.code == 2
    assert "has no held or quarantined batch" in ran.err
    assert "2026-01-02, 2026-01-03" in ran.err


@pytest.mark.parametrize("command", ["release", "discard", "rejudge"])
def test_a_decision_needs_a_reason_and_one_partition(run: Callable[..., Ran], command: str, past: str):
    assert "--reason" in run("batch", command, *SECOND).err
    ran = run("batch", command, "vendor/feed", "--reason", "x")
    assert ran.code == 2
    assert "2 partitions of vendor/feed have a batch that waits; choose one with --partition: 2026-01-02, 2026-01-03" in ran.err
    assert [only(past, f"2026-01-0{number}").status for number in (2, 3)] == ["quarantined", "held"]


def test_discard_dismisses_and_says_who_and_why(run: Callable[..., Ran], past: str):
    assert run("batch", "discard", *SECOND, "--reason", "a test file", "--actor", "bo").code == 0
    batch = only(past, "2026-01-02")
    assert (batch.status, batch.note) == ("discarded", "discarded by bo: a test file")


def test_release_without_definitions_is_recorded_and_left_to_the_sensor(run: Callable[..., Ran], past: str):
    ran = run("batch", "release", *SECOND, "--reason", "values are right")
    assert ran.code == 0
    assert "the sensor contracts_heal publishes it" in ran.out
    released = only(past, "2026-01-02").released
    assert (released.actor, released.reason) == ("ana", "values are right")
    assert "released by ana, to be published" in run("status").out


@pytest.mark.parametrize("how", ["--file", "here"])
def test_release_with_definitions_publishes_at_once(
    run: Callable[..., Ran], past: str, operations: SimpleNamespace, tmp_path: Path, how: str
):
    name = "definitions.py" if how == "here" else "mine.py"
    (tmp_path / name).write_text("")
    ran = run("batch", "release", *SECOND, "--reason", "right", *([] if how == "here" else ["-f", name]))
    assert ran.code == 0
    assert ran.out.endswith("run run-9 published it\n")
    ((definitions, instance, batch),) = operations.asked
    assert (definitions, instance) == (("definitions", name, None), "instance")
    assert batch == only(past, "2026-01-02")


def test_release_is_not_recorded_where_the_definitions_cannot_be_loaded(run: Callable[..., Ran], past: str, operations: SimpleNamespace):
    def broken(file: str | None, module: str | None) -> None:
        raise UsageError("mine.py has no Definitions")

    operations.load_definitions = broken
    ran = run("batch", "release", *SECOND, "--reason", "right", "-m", "mine")
    assert (ran.code, ran.out, ran.err) == (2, "", "error: mine.py has no Definitions\n")
    assert only(past, "2026-01-02").released is None


def test_rejudge_asks_for_it_with_actor_and_reason(run: Callable[..., Ran], past: str, operations: SimpleNamespace):
    def rejudge(definitions: object, instance: object, batch_id: str, *, actor: str, reason: str) -> SimpleNamespace:
        operations.asked.append((batch_id, actor, reason))
        batch = only(past, "2026-01-02")
        return SimpleNamespace(verdict=batch.verdict, batch=batch)

    operations.rejudge = rejudge
    ran = run("batch", "rejudge", *SECOND, "--reason", "new contract", "-m", "mine")
    assert ran.code == 0
    assert operations.asked == [(only(past, "2026-01-02").id, "ana", "new contract")]
    assert ran.out.endswith("was quarantined (fail) and is now quarantined\n")


def test_rejudge_needs_definitions(run: Callable[..., Ran]):
    ran = run("batch", "rejudge", *SECOND, "--reason", "x")
    assert ran.code == 2
    assert "name them with --file or --module" in ran.err
    assert "given" in run("batch", "rejudge", *SECOND, "--reason", "x", "-f", "a.py", "-m", "b").err
