"""What a consumer falls back to where good partitions do not stand any more as they were written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import Batch, Route, RouteKind
from dagster_contracts.core.route import LOOKED_AT
from dagster_contracts.gate import Gate
from tests.gate_world import BAD, GOOD, POLICY, Counts, World, daily

STALE = Confidence.STALE


def asked(world: World, number: int, *changed: int, accepts: Confidence = STALE) -> Route:
    """What a consumer is given of a day, where these days were changed past us."""
    places = [daily(each).key for each in changed]

    def is_intact(batch: Batch) -> bool:
        return batch.partition.key not in places

    world.gate = Gate(world.store, Counts(), is_intact)
    return world.route("scores", number, accepts)


@pytest.fixture
def world() -> World:
    """Three good days and a bad one."""
    made = World()
    for number in (1, 2, 3):
        made.deliver(number, GOOD)
    made.deliver(4, BAD)
    return made


def test_what_was_changed_is_passed_over_and_the_route_says_so(world: World) -> None:
    assert "changed" not in asked(world, 4).reason
    route = asked(world, 4, 3)
    assert (route.kind, route.confidence, route.served) == (RouteKind.LAST_GOOD, STALE, daily(2))
    assert route.batch_id is not None
    assert route.batch_id.startswith("feed|2026-01-02|")
    told = (
        "[2026-01-03] was changed or deleted since it was written, and [2026-01-02] is the newest that stands: "
        "deliver it again, or have `dagster-contracts baseline feed` judge what stands there now."
    )
    assert route.reason.endswith(told)
    several = asked(world, 4, 3, 2)
    assert several.served == daily(1)
    assert "[2026-01-03], [2026-01-02] were changed or deleted since they were written, and [2026-01-01] is" in several.reason


def test_where_all_were_changed_the_halt_does_not_deny_that_they_were_judged_good(world: World) -> None:
    route = asked(world, 4, 3, 2, 1)
    assert route.kind is RouteKind.HALTED
    told = (
        "[2026-01-03], [2026-01-02], [2026-01-01] were changed or deleted since they were written, and no other partition of feed before "
        "2026-01-04 has been judged good: deliver them again, or have `dagster-contracts baseline feed` judge what stands there now, or "
        "let the consumer accept low."
    )
    assert told in route.reason


def test_so_many_are_looked_at_and_no_more() -> None:
    world = World()
    days = range(1, LOOKED_AT + 2)
    for number in days:
        world.deliver(number, GOOD)
    bad = LOOKED_AT + 2
    world.deliver(bad, BAD)
    assert asked(world, bad, *days[2:]).served == daily(2)
    route = asked(world, bad, *days[1:])
    assert route.kind is RouteKind.HALTED
    assert f" and {LOOKED_AT - 3} more were changed or deleted since they were written, and no older one is tried:" in route.reason


def test_an_older_partition_is_no_older_than_max_staleness() -> None:
    strict = World(replace(POLICY, max_staleness=timedelta(days=1)))
    for number in (1, 2):
        strict.deliver(number, GOOD)
    strict.deliver(3, BAD)
    assert asked(strict, 3).served == daily(2)
    route = asked(strict, 3, 2)
    assert route.kind is RouteKind.HALTED
    assert "[2026-01-02] was changed or deleted since it was written" in route.reason
    assert "The last good partition 2026-01-01 is 2 days, 0:00:00 older, more than maxStaleness" in route.reason


def test_an_earlier_batch_of_the_same_place_does_not_stand_either() -> None:
    """Of two that were published there the later one counts, whatever is known of the version of the earlier one."""
    world = World()
    world.deliver(1, GOOD)
    early, late = (world.judge(daily(2), {"rows": rows}).batch for rows in (50, 60))
    world.gate.published(late, "v")
    world.gate.published(early, None)
    world.deliver(3, BAD)
    world.gate = Gate(world.store, Counts(), is_intact=lambda batch: batch.storage_version is None)
    assert world.route("scores", 3, STALE).served == daily(1)


def test_without_time_there_is_no_other_to_read() -> None:
    world = World()
    world.deliver(None, GOOD)
    world.deliver(None, BAD)
    world.gate = Gate(world.store, Counts(), is_intact=lambda batch: False)
    route = world.route("scores", None, STALE)
    assert route.kind is RouteKind.HALTED
    told = (
        "[(unpartitioned)] was changed or deleted since it was written, and no other batch of feed [(unpartitioned)] has been judged good"
    )
    assert told in route.reason
