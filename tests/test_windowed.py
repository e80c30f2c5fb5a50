"""Partitions that are read as one value: where one of them is refused, the whole window is that of an earlier partition."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dagster_contracts import recovery
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import Route, RouteKind, StepKey
from dagster_contracts.core.route import of_several
from dagster_contracts.routing import Input
from dagster_contracts.windowed import routes_of_window
from tests.gate_world import BAD, GOOD, POLICY, World, daily, day

DAYS = 5


def delivered(*bad: int, limit: timedelta | None = None) -> World:
    """Five days of a feed, each judged while its breaker was closed."""
    world = World(replace(POLICY, max_staleness=limit))
    for number in range(1, DAYS + 1):
        world.deliver(number, BAD if number in bad else GOOD, day(number, 6))
        recovery.reset(world.gate, world.breaker.key, actor="ann", reason="each is judged by itself")
    return world


def asked(world: World, accepts: Confidence = Confidence.STALE, length: int = 2, step: StepKey | None = None) -> list[Route]:
    """What a consumer of the last `length` days reads of the fifth."""
    windows = [[daily(each) for each in range(max(1, last - length + 1), last + 1)] for last in range(DAYS, 0, -1)]
    step = step or StepKey(world.run(), "consumer")
    given = Input("consumer", "feed", accepts, world.terms)
    decided = routes_of_window(world.gate, step, given, windows[0], iter(windows[1:]))
    return of_several(decided, omits=False)


def served(routes: list[Route]) -> list[str | None]:
    return [None if route.served is None else route.served.key for route in routes]


def keys(*numbers: int) -> list[str | None]:
    return [daily(number).key for number in numbers]


@pytest.mark.parametrize(
    ("bad", "length", "read"),
    [
        ((), 2, (4, 5)),
        ((1, 2, 3), 2, (4, 5)),
        ((5,), 2, (3, 4)),
        ((4,), 2, (2, 3)),  # nothing of the window is read beside an older one
        ((4, 5), 2, (2, 3)),
        ((3, 5), 2, (1, 2)),  # a window that holds another refused one is passed over
        ((5,), 4, (1, 2, 3, 4)),
    ],
)
def test_the_nearest_that_is_whole(bad: tuple[int, ...], length: int, read: tuple[int, ...]) -> None:
    for accepts in (Confidence.STALE, Confidence.LOW):
        routes = asked(delivered(*bad), accepts, length)
        assert served(routes) == keys(*read)
        assert {route.confidence for route in routes} == {Confidence.STALE if set(bad) - {1, 2, 3} else Confidence.FULL}


@pytest.mark.parametrize(("bad", "length"), [((2, 4), 2), ((5,), 5), ((1, 2, 3, 4, 5), 2)])
def test_where_none_is_whole_it_halts(bad: tuple[int, ...], length: int) -> None:
    routes = asked(delivered(*bad), length=length)
    assert RouteKind.HALTED in {route.kind for route in routes}
    assert not any(route.kind is RouteKind.LAST_GOOD for route in routes)


def test_a_halt_says_that_a_fallback_was_looked_for() -> None:
    (halted,) = [route for route in asked(delivered(2, 4)) if route.kind is RouteKind.HALTED]
    assert halted.reason.startswith(
        "2 partitions of feed are read as one, and [2026-01-04] is not fresh. "
        "No earlier window of 2 partitions was judged good throughout, so there is nothing to fall back to. feed"
    )


def test_what_is_no_window_of_time_is_not_said_to_have_been_looked_for() -> None:
    world = delivered(5)
    given = Input("consumer", "feed", Confidence.STALE, world.terms)
    routes = routes_of_window(world.gate, StepKey("run", "consumer"), given, [daily(4), daily(5)], None)
    (halted,) = [route for route in of_several(routes, omits=False) if route.kind is RouteKind.HALTED]
    assert halted.reason.startswith(
        "2 partitions of feed are read as one, and [2026-01-05] is not fresh. "
        "Only a time window that one partition of the consumer reads (TimeWindowPartitionMapping) can move back to an earlier one. feed"
    )


def test_who_accepts_full_only_halts() -> None:
    halted = [route for route in asked(delivered(5), Confidence.FULL) if route.kind is RouteKind.HALTED]
    assert halted
    assert "to fall back to" not in halted[0].reason


@pytest.mark.parametrize(("hours", "moves"), [(24, True), (23, False)])
def test_it_moves_no_further_than_max_staleness(hours: int, moves: bool) -> None:
    routes = asked(delivered(5, limit=timedelta(hours=hours)))
    assert (served(routes) == keys(3, 4)) is moves


def test_a_step_decides_once() -> None:
    """What was decided is read again, also where more has been delivered since."""
    world = delivered(5)
    step = StepKey("run", "consumer")
    first = asked(world, step=step)
    world.deliver(5, GOOD, day(6))
    assert asked(world, step=step) == first
    assert served(asked(world)) == keys(4, 5)
    assert list(world.store.decisions(step)) == first


def test_why_says_which_partition_it_was() -> None:
    routes = asked(delivered(4))
    assert {route.reason.partition(",")[0] for route in routes} == {"2 partitions of feed are read as one"}
    assert all("[2026-01-04] is not fresh" in route.reason for route in routes)
    assert [route.requested for route in routes] == [daily(4), daily(5)]
    assert len({route.batch_id for route in routes}) == 2
