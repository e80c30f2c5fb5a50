"""Invariants 6 and 8 at every single call of the store: it fails before it does anything, after it has, or in a way that must be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.errors import SchemaOutOfDate, StoreError, StoreUnavailable
from dagster_contracts.core.ledger import OutputStatus, Route, RouteKind, StepKey
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Judgement
from tests.gate_world import BAD, GOOD, POLICY, UNREADABLE, Counts, Data, World, daily, day
from tests.invariant_model import Unsteady

FULL, STALE = Confidence.FULL, Confidence.STALE
AFTER = pytest.mark.parametrize("after", [False, True], ids=["nothing was done", "the answer was lost"])


def tripped(*, admit: bool = False) -> World:
    """A good first day, a bad second one."""
    world = World(replace(POLICY, admit_when_unavailable=admit))
    world.deliver(1, GOOD, day(1, 6))
    world.deliver(2, BAD, day(2, 6))
    return world


def cut(world: World, call: int, after: bool) -> Unsteady:
    """From here on the world's store fails once, at its n-th call."""
    unsteady = Unsteady(world.store)
    unsteady.fail((call, after))
    world.gate = Gate(unsteady, Counts())  # type: ignore[arg-type]
    return unsteady


def at_each_call(prepare: Callable[[], World], act: Callable[[World], Any], after: bool) -> list[tuple[World, Any]]:
    """What `act` came to (its result, or StoreUnavailable) with the store failing at its first call, at its second, ..."""
    came: list[tuple[World, Any]] = []
    for call in range(100):
        world = prepare()
        unsteady = cut(world, call, after)
        try:
            result: Any = act(world)
        except StoreUnavailable as error:
            result = error
        if not unsteady.failed:
            assert call > 1, "it asks the store more than once"
            return came
        came.append((world, result))
    raise AssertionError("no end of calls")


def judged(data: Data) -> Callable[[World], Judgement]:
    return lambda world: world.judge(daily(3), data)


def routed(world: World) -> Route:
    return world.route("scores", 2, STALE)


@AFTER
@pytest.mark.parametrize(("admit", "data"), [(False, GOOD), (False, BAD), (True, BAD), (True, UNREADABLE)])
def test_a_verdict_that_cannot_be_recorded_publishes_nothing(admit: bool, data: Data, after: bool) -> None:
    for _, came in at_each_call(lambda: tripped(admit=admit), judged(data), after):
        assert isinstance(came, StoreUnavailable), "halts: by default, and whatever failed or could not be measured"


@AFTER
def test_what_passed_is_admitted_where_the_policy_says_so_and_says_it(after: bool) -> None:
    for _, came in at_each_call(lambda: tripped(admit=True), judged(GOOD), after):
        assert came.publish
        assert came.verdict.outcome is Outcome.PASS
        assert "out of reach" in came.batch.note


@AFTER
@pytest.mark.parametrize(("admit", "kind"), [(False, RouteKind.HALTED), (True, RouteKind.UNJUDGED)])
def test_a_consumer_is_routed_as_the_policy_says(admit: bool, kind: RouteKind, after: bool) -> None:
    """At every call up to the decision; an event of it that cannot be told changes nothing."""
    for world, route in at_each_call(lambda: tripped(admit=admit), routed, after):
        kept = [each for each in world.store.decisions(StepKey(f"run {world.runs}", "scores")) if each == route]
        if kept:
            assert route.kind is RouteKind.LAST_GOOD
        else:
            assert route.kind is kind, "never as if it were closed"
            assert "out of reach" in route.reason


class Refusing:
    """A store that refuses at its n-th call: a wrong password, a schema of another version."""

    def __init__(self, store: Any, call: int, error: StoreError):
        self.store, self.left, self.error, self.met = store, call, error, False

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == -1:
                self.met = True
                raise self.error
            return getattr(self.store, name)(*given, **named)

        return call


@pytest.mark.parametrize("error", [StoreError("password authentication failed"), SchemaOutOfDate("revision 9999")], ids=lambda e: str(e))
@pytest.mark.parametrize("act", [judged(GOOD), routed], ids=["judge", "route"])
def test_what_is_wrong_always_raises_also_where_outages_are_admitted(act: Callable[[World], Any], error: StoreError) -> None:
    for call in range(100):
        world = tripped(admit=True)
        refusing = Refusing(world.store, call, error)
        world.gate = Gate(refusing, Counts())  # type: ignore[arg-type]
        with suppress_only(error):
            act(world)
            assert not refusing.met, f"swallowed at call {call}"
            assert call > 1
            return


@contextmanager
def suppress_only(error: StoreError) -> Iterator[None]:
    """That very error, neither wrapped nor softened."""
    try:
        yield
    except StoreError as raised:
        if raised is not error:
            raise


@AFTER
def test_confidence_travels_two_levels_down_though_the_store_is_cut_off_between(after: bool) -> None:
    """feed -> scores (stale) -> report -> board: nobody down there ever says `full`."""

    def prepare() -> World:
        world = tripped(admit=True)
        assert world.consume("scores", 2, STALE).status is OutputStatus.DEGRADED
        return world

    def act(world: World) -> Any:
        return world.consume("report", 2, STALE, "scores")

    for world, came in at_each_call(prepare, act, after):
        world.gate = Gate(world.store, Counts())
        again = act(world) if isinstance(came, StoreUnavailable) else came
        assert again.confidence in (STALE, None), "stale, or halted: what scores is worth could not be asked"
        board = world.route("board", 2, STALE, upstream="report")
        assert board.confidence is again.confidence
        assert world.route("board", 2, FULL, upstream="report").kind is RouteKind.HALTED
