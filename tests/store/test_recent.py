"""Routes decided on what was read a moment ago: only where a bound is stated, and never on what this process has changed itself."""

from __future__ import annotations

from typing import Any

from dagster_contracts import routing
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import RouteKind, StepKey
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery
from dagster_contracts.store.recent import keeping_recent
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.upgrade import upgrade
from tests.gate_world import BAD, Counts, daily, terms
from tests.store.counting import counted
from tests.store.racing import append


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def route(gate: Gate, number: int, run: str = "run") -> RouteKind:
    step = StepKey(run, "step")
    return routing.route(gate, step, routing.Input("scores", "feed", Confidence.FULL, terms()), daily(number)).kind


def judge(gate: Gate, number: int, data: Any) -> None:
    gate.judge(terms(), Delivery(daily(number), "run", "run"), data)


def used(url: str) -> SqlStore:
    upgrade(url)
    store = SqlStore(url)
    append(store, "before")
    return store


def test_without_a_bound_the_store_is_as_it_is(url: str) -> None:
    store = SqlStore(url)
    assert keeping_recent(store, 0) is store


def test_within_the_bound_nothing_is_read(url: str) -> None:
    store, clock = used(url), Seconds()
    gate = Gate(keeping_recent(store, 5, clock), Counts())
    assert route(gate, 1) is RouteKind.UNJUDGED
    with counted(store) as again:
        route(gate, 1)
    with counted(store) as another:
        route(gate, 1, run="another")  # is recorded, as every decision
    clock.now += 5
    with counted(store) as later:
        route(gate, 1)
    assert (again.trips, another.trips, later.trips) == (0, 1, 1)


def test_a_trip_elsewhere_is_seen_when_the_bound_is_over(url: str) -> None:
    store, clock = used(url), Seconds()
    here, there = Gate(keeping_recent(store, 5, clock), Counts()), Gate(SqlStore(url), Counts())
    route(here, 1)
    judge(there, 1, BAD)
    assert route(here, 1, "within") is RouteKind.UNJUDGED, "what is given up"
    clock.now += 5
    assert route(here, 1, "after") is RouteKind.HALTED


def test_a_trip_here_is_seen_at_once(url: str) -> None:
    store = used(url)
    gate = Gate(keeping_recent(store, 5, Seconds()), Counts())
    route(gate, 1)
    judge(gate, 1, BAD)
    assert route(gate, 1, "after") is RouteKind.HALTED


def test_a_decision_that_another_process_kept_stands(url: str) -> None:
    store = used(url)
    here, there = Gate(keeping_recent(store, 5, Seconds()), Counts()), Gate(SqlStore(url), Counts())
    route(here, 1, "first")
    judge(there, 1, BAD)
    assert route(there, 1, "shared") is RouteKind.HALTED
    assert route(here, 1, "shared") is RouteKind.HALTED
