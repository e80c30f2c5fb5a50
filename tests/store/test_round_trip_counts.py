"""How often the database is asked. What a decision costs is that, and not how fast today's machine is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import psycopg
import pytest

from dagster_contracts import recovery, routing
from dagster_contracts.core.contract import Confidence, ServiceLevel
from dagster_contracts.core.ledger import RouteKind, Status, StepKey
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Terms
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.upgrade import upgrade
from dagster_contracts.watching import record_missed
from tests.gate_world import BAD, GOOD, Counts, daily, terms
from tests.store.counting import counted
from tests.store.racing import append, change_of
from tests.store.values import batch, breaker, day

STEP = StepKey("run", "step")


@pytest.fixture
def store(url: str) -> SqlStore:
    """In use already."""
    found = SqlStore(url)
    append(found, "before")
    return found


def test_a_snapshot_is_one_statement(store: SqlStore) -> None:
    """And so of one moment."""
    with counted(store) as asked:
        store.load("feed", asset="feed", partition=day(1), batch_id="before")
    assert asked.trips == 1


def test_a_first_decision_reads_once_and_writes_once_and_a_repeated_one_reads_once(store: SqlStore) -> None:
    gate = Gate(store, Counts())

    def decide() -> RouteKind:
        found = routing.route(gate, STEP, routing.Input("scores", "feed", Confidence.FULL, terms()), daily(1))
        return found.kind

    with counted(store) as first:
        kind = decide()
    with counted(store) as again:
        assert decide() is kind is RouteKind.UNJUDGED
    assert (first.trips, again.trips) == (2, 1)


@pytest.mark.parametrize(("changed", "served", "trips"), [((), 3, 1), ((3,), 2, 2), ((3, 2), 1, 2), ((3, 2, 1), None, 2)])
def test_however_many_good_partitions_were_changed_the_older_ones_are_asked_for_once(
    store: SqlStore, changed: tuple[int, ...], served: int | None, trips: int
) -> None:
    for number in (1, 2, 3):
        store.save(Change(batches=(batch(f"good{number}", daily(number)),)))
    store.save(Change(batches=(batch("bad", daily(4), Status.QUARANTINED, outcome=Outcome.FAIL),)))
    gate = Gate(store, Counts(), is_intact=lambda found: found.partition not in [daily(number) for number in changed])
    with counted(store) as asked:
        found = routing.considered(gate, routing.Input("scores", "feed", Confidence.STALE, terms()), daily(4)).route
    assert found.served == (daily(served) if served else None)
    assert asked.trips == trips


def test_looking_ahead_reads_once(store: SqlStore) -> None:
    with counted(store) as asked:
        routing.considered(Gate(store, Counts()), routing.Input("scores", "feed", Confidence.FULL, None), daily(1))
    assert asked.trips == 1


def test_a_change_is_one_transaction_by_itself_where_the_database_isolates_as_we_need(postgres_url: str) -> None:
    """Elsewhere it says so, and begins and ends one."""
    upgrade(postgres_url)
    said = {}
    for isolation in ("read committed", "repeatable read"):
        with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
            name = connection.info.dbname
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'".encode())
        store = SqlStore(postgres_url)
        append(store, f"before {isolation}")
        with counted(store) as asked:
            store.save(change_of(store, f"under {isolation}"))
        said[isolation] = asked
    assert [asked.trips for asked in said.values()] == [2, 2]
    tagged = [sum("CommandComplete" in line and '"COMMIT"' in line for line in asked.said) for asked in said.values()]
    assert tagged == [0, 1]
    assert len(SqlStore(postgres_url).batches(asset="feed")) == 4


# --- ticks of the sensors ------------------------------------------------------------------------------------------


def refused(store: SqlStore, days: int) -> Gate:
    """A gate whose feed was refused on so many days, each with a consumer that waits for it; and came again on all of them since."""
    gate, of = Gate(store, Counts()), terms(asset=f"fed {days}")
    for number in range(1, days + 1):
        gate.judge(of, Delivery(daily(number), f"run {number}", f"run {number}"), BAD)
        step = StepKey(f"run {number}", "scores")
        route = routing.route(gate, step, routing.Input("scores", of.asset, Confidence.FULL, of), daily(number))
        assert route.kind is RouteKind.HALTED
        gate.record_output(f"scores {days}", daily(number), f"run {number}", [route])
    recovery.reset(gate, of.asset, actor="ana", reason="looked at")
    for number in range(1, days + 1):
        judged = gate.judge(of, Delivery(daily(number), f"again {number}", f"again {number}"), GOOD)
        gate.published(judged.batch, None)
    return gate


def test_healing_asks_as_often_for_many_as_for_one(store: SqlStore) -> None:
    one, many = refused(store, 1), refused(store, 4)
    with counted(store) as first:
        assert len(recovery.due_healings(one, ["scores 1"])) == 1
    with counted(store) as asked:
        assert len(recovery.due_healings(many, ["scores 4"])) == 4
    assert asked.trips == first.trips == 5


def test_watching_asks_as_often_for_many_as_for_one(store: SqlStore) -> None:
    """All were told of already: a delivery that is missing still is no news."""

    def promised(assets: int) -> dict[str, Terms]:
        one, promise = terms().attached, ServiceLevel("frequency", 1, unit="d", tolerance="PT0S")
        every = Terms.of(replace(one, contract=replace(one.contract, service_levels=(promise,))))
        return {f"{assets}.{number}": replace(every, asset=f"{assets}.{number}") for number in range(assets)}

    def windows(asset: str, now: datetime) -> Sequence[datetime]:
        return ()

    gate, trips = Gate(store, Counts()), []
    for assets in (1, 5):
        watched = promised(assets)
        for asset in watched:
            arrived = batch(f"of {asset}", asset=asset, breaker_key=asset, arrived_at=store.now() - timedelta(hours=36))
            store.save(Change(breaker=breaker(asset), batches=(arrived,)))
        assert len(record_missed(gate, watched, windows)) == assets
        with counted(store) as asked:
            assert record_missed(gate, watched, windows) == []
        trips.append(asked.trips)
    assert trips == [3, 3]
