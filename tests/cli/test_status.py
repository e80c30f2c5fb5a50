"""`status`: one table, and the same as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from dagster_contracts import recovery
from dagster_contracts.core.contract import Confidence, attach
from dagster_contracts.core.ledger import Output, OutputStatus, Route, RouteKind
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import Overdue, OverrideKind
from dagster_contracts.engines.local import LocalEngine
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Terms
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.files import load_contracts
from dagster_contracts.store.sql import SqlStore
from tests.cli.conftest import FIRST, Ran, day


@pytest.mark.usefixtures("past")
def test_one_table_lists_every_breaker_and_all_that_waits(run: Callable[..., Ran]):
    ran = run("status")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].split() == ["what", "where", "state", "since", "for", "why", "next"]
    rows = [line.split()[:4] for line in lines[2:] if line and not line.startswith(" ")][:-1]
    assert sorted(row[0] for row in rows) == ["batch", "batch", "breaker", "output", "output", "review"]
    breaker = next(line for line in lines if line.startswith("breaker"))
    assert "open" in breaker
    assert "2026-01-02 06:00Z" in breaker
    assert "probe due" in breaker
    assert "quarantined: 1" in lines[-1]
    assert "(1 set aside what arrives; published partitions stay readable)" in lines[-1]


@pytest.mark.usefixtures("past")
def test_a_reason_is_told_once_and_a_row_is_a_line(run: Callable[..., Ran]):
    out = run("status").out
    assert out.count("vendor/feed [2026-01-02] failed") == 1
    rows = {line.split()[0]: line for line in out.splitlines() if line.startswith(("output", "review"))}
    assert "low_confidence of vendor/feed [2026-01-02]" in rows["review"]
    assert "low_confidence of vendor/feed [2026-01-02]" in out[out.index("output    underwriting") :].splitlines()[0]
    assert "halted of vendor/feed [2026-01-02]" in out[out.index("output    fraud") :].splitlines()[0]


def test_an_output_further_down_names_what_it_began_at(run: Callable[..., Ran], past: str, monkeypatch: pytest.MonkeyPatch):
    """Not the next link alone: the feed, whose breaker and batch stand in the table."""
    store = SqlStore(past)
    below = Route("underwriting", day(2), RouteKind.LOW_CONFIDENCE, Confidence.LOW, served=day(2), breaker_key="vendor/feed")
    direct = replace(below, upstream="vendor/feed")
    itself = replace(below, upstream="again")  # an asset may read what it made before
    for name, read in (
        ("report", (below,)),
        ("page", (replace(below, upstream="report"),)),
        ("both", (direct, below)),
        ("again", (itself,)),
    ):
        store.save(Change(outputs=(Output(f"o-{name}", name, day(2), "run", OutputStatus.DEGRADED, Confidence.LOW, read, FIRST),)))
    monkeypatch.setenv("COLUMNS", "400")
    out = run("status").out
    rows = {line.split()[1]: " ".join(line.split()) for line in out.splitlines() if line.startswith("output")}
    assert "low_confidence of underwriting [2026-01-02], over vendor/feed [2026-01-02] computed" in rows["report"]
    assert "low_confidence of report [2026-01-02], over vendor/feed [2026-01-02] computed" in rows["page"]
    assert "low_confidence of vendor/feed [2026-01-02] and 1 more computed" in rows["both"]
    assert "low_confidence of again [2026-01-02] computed" in rows["again"]
    assert "low_confidence of vendor/feed [2026-01-02] computed" in rows["underwriting"]


@pytest.mark.usefixtures("past")
def test_a_pipe_is_as_wide_as_columns_says_and_no_word_is_broken(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch):
    words = set(run("status").out.split())
    assert max(map(len, run("status").out.splitlines()[:-1])) > 100
    monkeypatch.setenv("COLUMNS", "100")
    narrow = run("status").out
    assert max(map(len, narrow.splitlines()[:-1])) <= 100
    assert {word for word in words if not word.startswith("─")} <= set(narrow.split())


def test_a_wait_that_is_short_is_told_to_the_second(run: Callable[..., Ran], past: str):
    store = SqlStore(past)
    (breaker,) = store.breakers()
    for away, form in ((timedelta(minutes=5), "%Y-%m-%d %H:%M:%SZ"), (timedelta(hours=5), "%Y-%m-%d %H:%MZ")):
        (breaker,) = store.breakers()
        until = store.now() + away
        store.save(Change(breaker=replace(breaker, retry_at=until)))
        assert f"probe after {until:{form}}" in " ".join(run("breaker", "show", "vendor/feed").out.split())


@pytest.mark.usefixtures("past")
def test_json_has_the_same_by_kind(run: Callable[..., Ran]):
    found = run("status", "--format", "json").json
    assert found["version"] == 1
    (breaker,) = found["breakers"]
    assert (breaker["key"], breaker["state"], breaker["routed"]) == ("vendor/feed", "open", True)
    assert breaker["since"] == "2026-01-02T06:00:00Z"
    assert "17" in breaker["findings"][0]
    assert [batch["partition"] for batch in found["held"]] == ["2026-01-03"]
    assert [batch["partition"] for batch in found["quarantined"]] == ["2026-01-02"]
    assert found["publishing"] == []
    degraded = {output["asset"]: output for output in found["degraded"]}
    assert degraded["underwriting"]["confidence"] == "low"
    assert (degraded["fraud"]["status"], degraded["fraud"]["confidence"]) == ("halted", None)
    assert degraded["fraud"]["inputs"][0]["route"] == "halted"
    assert degraded["fraud"]["seconds"] > 0
    assert [review["asset"] for review in found["reviews"]] == ["underwriting"]


def test_a_contract_that_was_edited_without_a_new_version_is_told(run: Callable[..., Ran], past: str, contract: Path):
    """In the table and in JSON once it was judged under, by `lint` before."""
    assert "edited" not in run("status").out
    assert "edited" not in run("lint", contract, "--database-url", past).out
    contract.write_text(contract.read_text().replace("LOW_RISK]", "LOW_RISK, '17']"))
    ran = run("lint", contract, "--database-url", past, "--strict")
    assert ran.code == 1
    assert "warning" in ran.out
    assert "version: this is not the 1.2.0 that vendor/feed was judged under: it was edited; give it a new version" in ran.out
    terms = Terms.of(attach(load_contracts(contract), ["vendor/feed"])["vendor/feed"])
    store = SqlStore(past, clock=FixedClock(FIRST + timedelta(days=3)))
    delivery = Delivery(day(4), "run-4", "run-4")
    Gate(store, LocalEngine()).judge(terms, delivery, pl.DataFrame({"customer_id": [1, 2], "risk_indicator": ["17", "LOW_RISK"]}))
    (line,) = [line for line in run("status").out.splitlines() if line.startswith("contract")]
    assert "edited" in line
    assert len(run("status", "--format", "json").json["breakers"][0]["contract_contents"]) == 2
    assert "was edited without a new version" in run("breaker", "show", "vendor/feed").out


def test_an_override_stands_in_the_table_with_who_and_why(run: Callable[..., Ran], past: str):
    assert run("breaker", "force-closed", "vendor/feed", "--reason", "vendor confirmed", "--until", "2999-01-01T00:00:00Z").code == 0
    line = next(line for line in run("status").out.splitlines() if line.startswith("breaker"))
    assert "force_closed (open)" in line
    assert "ana: vendor confirmed" in line
    assert "override until 2999-01-01 00:00Z" in line
    assert "(0 set aside what arrives)" in run("status", "--database-url", past).out


def test_an_override_that_has_expired_is_gone(run: Callable[..., Ran], past: str):
    at = FIRST + timedelta(days=2)
    gate = Gate(SqlStore(past, clock=FixedClock(at)), LocalEngine())
    recovery.override(gate, "vendor/feed", OverrideKind.FORCE_CLOSED, actor="bo", reason="x", expires_at=at + timedelta(hours=1))
    found = run("status", "--format", "json").json["breakers"][0]
    assert (found["override"], found["routed"]) == (None, True)
    assert "force_closed" not in run("status").out
    assert "force_closed" not in run("breaker", "show", "vendor/feed").out


def test_an_empty_store_is_said_to_be_empty_and_stays_absent(run: Callable[..., Ran], tmp_path: Path):
    ran = run("status", "--database-url", f"sqlite:///{tmp_path}/none.db")
    assert ran.code == 0
    assert ran.out.startswith(f"no breakers yet in the SQLite store {tmp_path}/none.db, which does not exist yet: a breaker exists once")
    assert not (tmp_path / "none.db").exists()
    assert run("status", "--format", "json", "--database-url", f"sqlite:///{tmp_path}/none.db").json["breakers"] == []


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_folder_that_is_not_there_is_a_mistake(run: Callable[..., Ran], tmp_path: Path, form: str):
    for command in ("status", "batch list", "review list", "registry list", "registry consumers", "registry history payments"):
        ran = run(*command.split(), "--database-url", f"sqlite:///{tmp_path}/nodir/x.db", "--format", form)
        assert (ran.code, ran.out) == (2, "")
        assert f"there is no folder {tmp_path}/nodir for the SQLite store {tmp_path}/nodir/x.db" in ran.err
    assert not (tmp_path / "nodir").exists()


@pytest.mark.parametrize("command", ["breaker show payments", "breaker history payments", "batch show payments", "relay --once"])
def test_a_folder_that_is_not_there_is_a_mistake_for_who_looks_closer(run: Callable[..., Ran], tmp_path: Path, command: str):
    ran = run(*command.split(), "--database-url", f"sqlite:///{tmp_path}/nodir/x.db")
    assert (ran.code, ran.out) == (2, "")
    assert f"there is no folder {tmp_path}/nodir for the SQLite store {tmp_path}/nodir/x.db" in ran.err
    assert not (tmp_path / "nodir").exists()


@pytest.mark.parametrize(("tripped", "says"), [(True, "waits for that delivery"), (False, "probe due")])
def test_what_is_overdue_is_said(run: Callable[..., Ran], past: str, tripped: bool, says: str):
    store = SqlStore(past)
    (breaker,) = store.breakers()
    store.save(Change(breaker=replace(breaker, overdue=(Overdue("sla.frequency", FIRST, FIRST + timedelta(days=1), tripped),))))
    line = next(line for line in run("status").out.splitlines() if line.startswith("breaker"))
    assert f"overdue since 2026-01-01 06:00Z (sla.frequency); {says.split(maxsplit=1)[0]}" in line
    (found,) = run("status", "--format", "json").json["breakers"]
    assert found["overdue"] == [{"rule": "sla.frequency", "since": "2026-01-01T06:00:00Z", "due": "2026-01-02T06:00:00Z"}]
    assert "overdue since" in run("breaker", "show", "vendor/feed").out
