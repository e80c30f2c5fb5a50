"""A replay is what the gate would have done: clean history trips nothing, and bad batches open, are probed, and close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts import recovery
from dagster_contracts.calibration.incidents import Incident
from dagster_contracts.calibration.replay import OTHERS, Replay, replay
from dagster_contracts.calibration.scoring import scored
from dagster_contracts.chaos.batch import Batch
from dagster_contracts.core.contract import Attached
from dagster_contracts.core.ledger import RouteKind, Status
from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.engines.local import default_engine
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Terms
from dagster_contracts.ports import FixedClock, Store
from dagster_contracts.store.memory import MemoryStore
from dagster_contracts.store.sql import SqlStore
from tests.calibration.test_calibrate import CONTRACT, case

GOVERNED = (
    CONTRACT.replace("[1, 1000000]", "[50, 1000000]")
    + """customProperties:
- property: circuitBreaker
  value: {tripOn: [error, critical], cooldown: PT6H, consumers: [{asset: billing, fallback: halt}]}
"""
)


def played(
    batches: Sequence[Batch], text: str = GOVERNED, store: Store | None = None, clock: FixedClock | None = None
) -> tuple[Replay, Store]:
    found = case([], text=text)
    contract, obj = found.contract(text)
    clock = clock or FixedClock(batches[0].arrived_at)
    store = store or MemoryStore(clock=clock)
    return replay(store, clock, found.engine, Terms.of(Attached(obj.name, contract, obj)), batches), store


def days(*rows: int) -> list[Batch]:
    """A delivery a day of so many rows; fewer than 50 are too few."""
    return list(case(rows).batches)


@given(st.lists(st.integers(100, 110), min_size=1, max_size=12))
def test_clean_batches_trip_nothing(rows: list[int]) -> None:
    found, _ = played(days(*rows))
    assert (found.trips, found.refused(), scored(found).false_trip_rate) == ((), [], 0.0)
    assert {read.kind for each in found.batches for read in each.reads} == {RouteKind.FRESH}


def test_a_bad_day_opens_is_probed_and_closes_with_the_next_delivery() -> None:
    found, _ = played(days(100, 100, 9, 100, 100))
    (trip,) = found.trips
    bad = found.batches[2]
    assert (trip.partition, trip.opened_at, trip.rules) == (bad.partition, bad.arrived_at, bad.rules)
    assert (trip.length(found.end), trip.probes) == (timedelta(days=1), 1)
    assert [each.state for each in found.batches] == [State.CLOSED, State.CLOSED, State.OPEN, State.CLOSED, State.CLOSED]
    reads = {read.consumer: (read.kind, read.served) for read in bad.reads}
    assert reads == {"billing": (RouteKind.HALTED, None), OTHERS: (RouteKind.LAST_GOOD, found.batches[1].partition)}
    assert scored(found, [Incident(bad.partition, (bad.partition,))]).false_trip_rate == 0.0
    assert scored(found).false_trip_rate == 20.0


def test_what_never_gets_better_is_open_at_the_end() -> None:
    found, _ = played(days(100, 9, 9, 9))
    (trip,) = found.trips
    assert trip.closed_at is None
    assert trip.length(found.end) == timedelta(days=2)
    assert trip.probes >= 2


@pytest.mark.parametrize("rows", [[100, 9, 100, 9, 9, 100], [9, 9, 100, 100]])
def test_a_database_tells_the_same(rows: list[int], tmp_path: Path) -> None:
    history = days(*rows)
    clock = FixedClock(history[0].arrived_at)
    stored, _ = played(history, store=SqlStore(f"sqlite:///{tmp_path}/store.db", clock=clock), clock=clock)
    assert stored == played(history)[0]


def test_the_batch_that_opened_is_named_beside_another_of_that_moment() -> None:
    good, bad, last = days(100, 9, 100)
    other = bad.holding(pl.DataFrame({"amount": [2e6] * 100}))
    for first, second, rules in ((bad, other, ("rows",)), (other, bad, ("amount.maximum",))):
        found, _ = played([good, first, second, last])
        assert [trip.rules for trip in found.trips] == [rules]


def test_what_was_held_is_released_when_the_breaker_closes_with_a_delivery() -> None:
    found, store = played(days(100, 9, 100, 100, 100), GOVERNED.replace("PT6H", "PT6H, halfOpen: {probes: 2}"))
    assert Status.HELD in {each.status for each in found.batches}
    assert found.batches[-1].state is State.CLOSED
    assert recovery.due_releases(Gate(store, default_engine())) == []
    assert {batch.status for batch in store.batches() if batch.outcome is Outcome.PASS} == {Status.PUBLISHED}


def test_a_breaker_with_nothing_left_to_probe_keeps_no_other_from_its_probe() -> None:
    def of(region: str, day: int, rows: int) -> Batch:
        batch = days(*[rows] * (day + 1))[day]
        place = replace(batch.partition, key=f"{batch.partition.key}|{region}", dimensions=(("region", region),))
        return replace(batch, partition=place)

    text = GOVERNED.replace("cooldown: PT6H", "cooldown: PT6H, scope: region")
    us = [of("us", 1, 100), of("us", 2, 9), of("us", 4, 100)]
    probes = []
    for history in (us, [of("eu", 0, 9), *us]):
        _, store = played(history, text)
        probes.append([each.at for each in store.transitions("feed[region=us]") if each.from_state is State.HALF_OPEN])
    assert us[1].arrived_at + timedelta(hours=6) in probes[0]
    assert probes[0] == probes[1]


def test_time_never_runs_backwards() -> None:
    late, early = days(100, 100)[::-1]
    assert [each.arrived_at for each in played([late, early])[0].batches] == [late.arrived_at, late.arrived_at]


def test_what_is_read_as_asked_for_is_served_by_no_other() -> None:
    found, _ = played(days(100, 9, 100))
    assert [[read.served for read in each.reads] for each in found.batches] == [
        [None, None],
        [None, found.batches[0].partition],
        [None, None],
    ]
