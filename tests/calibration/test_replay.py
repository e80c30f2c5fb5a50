"""A replay is what the gate would have done: clean history trips nothing, and bad batches open, are probed, and close."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.calibration.replay import OTHERS, Replay, replay
from dagster_contracts.core.breaker import State
from dagster_contracts.core.contract import Attached
from dagster_contracts.core.ledger import RouteKind
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


def played(rows: list[int], store: Store | None = None, clock: FixedClock | None = None) -> Replay:
    found = case(rows, text=GOVERNED)
    contract, obj = found.contract(found.text)
    clock = clock or FixedClock(found.batches[0].arrived_at)
    gate = Gate(store or MemoryStore(clock=clock), found.engine)
    return replay(gate, clock, Terms.of(Attached(obj.name, contract, obj)), found.batches)


@given(st.lists(st.integers(100, 110), min_size=1, max_size=12))
def test_clean_batches_trip_nothing(rows: list[int]) -> None:
    found = played(rows)
    assert (found.trips, found.refused(), found.false_trip_rate(())) == ((), [], 0.0)
    assert {read.kind for each in found.batches for read in each.reads} == {RouteKind.FRESH}


def test_a_bad_day_opens_is_probed_and_closes_with_the_next_delivery() -> None:
    found = played([100, 100, 9, 100, 100])
    (trip,) = found.trips
    bad = found.batches[2]
    assert (trip.partition, trip.opened_at, trip.rules) == (bad.partition, bad.arrived_at, bad.rules)
    assert (trip.length(found.end), trip.probes) == (timedelta(days=1), 1)
    assert [each.state for each in found.batches] == [State.CLOSED, State.CLOSED, State.OPEN, State.CLOSED, State.CLOSED]
    reads = {read.consumer: (read.kind, read.served) for read in bad.reads}
    assert reads == {"billing": (RouteKind.HALTED, None), OTHERS: (RouteKind.LAST_GOOD, found.batches[1].partition)}
    assert found.false_trip_rate({bad.partition}) == 0.0
    assert found.false_trip_rate(()) == 20.0


def test_what_never_gets_better_is_open_at_the_end() -> None:
    found = played([100, 9, 9, 9])
    (trip,) = found.trips
    assert trip.closed_at is None
    assert trip.length(found.end) == timedelta(days=2)
    assert trip.probes >= 2


@pytest.mark.parametrize("rows", [[100, 9, 100, 9, 9, 100], [9, 9, 100, 100]])
def test_a_database_tells_the_same(rows: list[int], tmp_path: Path) -> None:
    clock = FixedClock(case(rows, text=GOVERNED).batches[0].arrived_at)
    assert played(rows, SqlStore(f"sqlite:///{tmp_path}/store.db", clock=clock), clock) == played(rows)
