"""A delivery that never comes, on every store."""

from __future__ import annotations

from collections.abc import Callable

from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.ports import FixedClock, Store
from tests.gate_world import GOOD, World, day
from tests.test_watching import COOLDOWN, look, watched


def test_a_missed_delivery_and_its_end_are_the_same_on_every_store(open_store: Callable[..., Store]) -> None:
    clock = FixedClock(day(1))
    feed = World(COOLDOWN, store=open_store(clock=clock), clock=clock)
    feed.terms = watched("critical")
    feed.deliver(1, GOOD, day(2, 6))
    feed.deliver(2, GOOD, day(3, 6))
    assert len(look(feed, day(4, 9))) == 1
    assert look(feed, day(4, 9)) == []
    assert [(each.rule, each.since, each.tripped) for each in feed.breaker.overdue] == [("sla.frequency", day(4, 6), True)]
    late = feed.deliver(3, GOOD, day(4, 10))
    assert (late.verdict.outcome, feed.breaker.state, feed.breaker.overdue) == (Outcome.WARN, State.CLOSED, ())
    assert feed.events() == ["breaker.opened", "delivery.missed", "breaker.half_opened", "breaker.closed", "contract.violated"]
    assert look(feed, day(5, 9)) == []
