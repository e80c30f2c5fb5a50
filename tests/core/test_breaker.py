"""The breaker's transitions one by one, and what holds over any sequence of events (design invariants, as far as no store is needed)."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dagster_contracts.core import breaker as machine
from dagster_contracts.core.breaker import Arrival, Refused
from dagster_contracts.core.contract import BreakerPolicy, Clause, Confidence, Severity, Window
from dagster_contracts.core.ledger import Status, place_of
from dagster_contracts.core.state import (
    Breaker,
    Counted,
    Judged,
    Lease,
    Override,
    OverrideKind,
    State,
    Step,
    Transition,
    asset_of,
    cooldown,
    failures,
)
from dagster_contracts.core.verdict import Finding, Outcome, Verdict

T0 = datetime(2026, 11, 1, 6, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)

# 30 min of cooldown, doubled up to 2 h; 15 min of lease; one failed batch opens
POLICY = BreakerPolicy(cooldown=30 * MINUTE, backoff_multiplier=2, backoff_maximum=2 * HOUR, lease=15 * MINUTE)


def fresh(policy: BreakerPolicy = POLICY) -> Breaker:
    return Breaker("feed", policy, "1.0.0")


def judged(name: str, outcome: Outcome = Outcome.FAIL, **other: object) -> Judged:
    """A batch that broke `range`, or passed it; `other` are fields of Judged."""
    broken = outcome is Outcome.FAIL
    given: dict[str, object] = {
        "failed_severities": frozenset({Severity.ERROR} if broken else ()),
        "failed_rules": frozenset({"range"} if broken else ()),
        "executed_rules": frozenset({"range"}),
        "findings": (f"range: {name} is bad",) if broken else (),
    }
    return Judged(name, outcome, **{**given, **other})  # type: ignore[arg-type]


def passing(name: str, **other: object) -> Judged:
    return judged(name, Outcome.PASS, **other)


def opened(policy: BreakerPolicy = POLICY, at: datetime = T0) -> Breaker:
    return machine.arrive(fresh(policy), judged("bad"), at).step.breaker


def claim(breaker: Breaker, now: datetime, batch: str = "probe", lease: str = "lease") -> Breaker:
    claimed = machine.claim(breaker, lease_id=lease, holder="run 1", batch_id=batch, now=now)
    assert isinstance(claimed, Step), claimed
    return claimed.breaker


def half_open(policy: BreakerPolicy = POLICY) -> tuple[Breaker, datetime]:
    """A breaker whose lease "lease" on the batch "probe" was claimed just now."""
    now = T0 + policy.cooldown
    return claim(opened(policy), now), now


def settle(breaker: Breaker, result: Judged, now: datetime, lease: str = "lease") -> Step:
    settled = machine.settle(breaker, lease, result, now)
    assert isinstance(settled, Step), settled
    return settled


def forced(breaker: Breaker, kind: OverrideKind, now: datetime = T0, expires_at: datetime | None = None) -> Breaker:
    return machine.override(breaker, kind, actor="ann", reason="because", now=now, expires_at=expires_at).breaker


def arrows(*steps: Step) -> list[tuple[str, str]]:
    return [(change.from_state.value, change.to_state.value) for step in steps for change in step.transitions]


# --- closed --------------------------------------------------------------------------------------------------------


def test_a_new_breaker_is_closed_and_knows_nothing() -> None:
    breaker = fresh()
    assert (breaker.state, breaker.window, breaker.since, breaker.retry_at) == (State.CLOSED, (), None, None)
    assert (breaker.generation, breaker.event_sequence, breaker.version) == (0, 0, 0)
    assert not machine.enforced_open(breaker, T0)
    assert not machine.probe_due(breaker, T0)
    assert machine.next_probe_at(breaker, T0) is None


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.WARN])
def test_a_passing_batch_is_counted_and_published(outcome: Outcome) -> None:
    arrival = machine.arrive(fresh(), judged("a", outcome), T0)
    assert arrival == Arrival(Step(replace(fresh(), window=(Counted("a", T0, False),))), Status.PUBLISHING, True)


def test_a_failure_that_reaches_the_threshold_opens_in_the_same_step() -> None:
    arrival = machine.arrive(fresh(), judged("bad"), T0)
    assert arrival.status is Status.QUARANTINED
    assert arrival.counted
    breaker = arrival.step.breaker
    assert arrival.step.transitions == (Transition("feed", State.CLOSED, State.OPEN, f"{place_of('bad')} failed", T0, 1, "bad"),)
    assert (breaker.state, breaker.generation, breaker.since, breaker.opened_at) == (State.OPEN, 1, T0, T0)
    assert (breaker.cause, breaker.findings, breaker.failed_rules) == (f"{place_of('bad')} failed", ("range: bad is bad",), {"range"})
    assert (breaker.retry_at, breaker.reopened, breaker.window, breaker.lease) == (T0 + 30 * MINUTE, 0, (), None)
    assert machine.enforced_open(breaker, T0)


def test_failures_below_the_threshold_are_quarantined_and_the_breaker_stays_closed() -> None:
    policy = replace(POLICY, failures=2, window=Window(batches=3))
    breaker = fresh(policy)
    for name, outcome in (("a", Outcome.FAIL), ("b", Outcome.PASS), ("c", Outcome.PASS), ("d", Outcome.FAIL)):
        arrival = machine.arrive(breaker, judged(name, outcome), T0)
        breaker = arrival.step.breaker
        assert breaker.state is State.CLOSED
        assert arrival.status is (Status.QUARANTINED if outcome is Outcome.FAIL else Status.PUBLISHING)
    assert [entry.batch_id for entry in breaker.window] == ["b", "c", "d"]
    assert machine.arrive(breaker, judged("e"), T0).step.breaker.state is State.OPEN


def test_a_broken_rule_of_a_trip_on_severity_opens_at_once() -> None:
    policy = replace(POLICY, failures=3, window=Window(batches=3))
    critical = judged("a", failed_severities=frozenset({Severity.CRITICAL, Severity.ERROR}))
    assert machine.arrive(fresh(policy), critical, T0).step.breaker.state is State.OPEN
    assert machine.arrive(fresh(policy), judged("a"), T0).step.breaker.state is State.CLOSED
    harmless = judged("a", Outcome.PASS, failed_severities=frozenset({Severity.CRITICAL}))
    assert machine.arrive(fresh(policy), harmless, T0).step.breaker.state is State.CLOSED


def test_only_a_failure_opens_though_a_pass_makes_the_rate() -> None:
    policy = replace(POLICY, failure_rate_threshold=0.5, minimum_batches=4, window=Window(batches=10))
    breaker = fresh(policy)
    for name, outcome in (("a", Outcome.FAIL), ("b", Outcome.FAIL), ("c", Outcome.FAIL), ("d", Outcome.PASS)):
        breaker = machine.arrive(breaker, judged(name, outcome), T0).step.breaker
    assert breaker.state is State.CLOSED
    assert machine.threshold_reached(breaker.window, policy)
    assert machine.arrive(breaker, judged("e"), T0).step.breaker.state is State.OPEN


@pytest.mark.parametrize(("age", "state"), [(HOUR - TICK, State.OPEN), (HOUR, State.CLOSED)])
def test_an_event_exactly_as_old_as_the_window_is_outside(age: timedelta, state: State) -> None:
    policy = replace(POLICY, failures=2, window=Window(batches=None, duration=HOUR))
    breaker = machine.arrive(fresh(policy), judged("a"), T0).step.breaker
    assert machine.arrive(breaker, judged("b"), T0 + age).step.breaker.state is state


@given(calls=st.integers(1, 300), percent=st.integers(1, 100), data=st.data())
def test_a_rate_that_reaches_the_threshold_trips_whatever_floats_do(calls: int, percent: int, data: st.DataObject) -> None:
    failures = data.draw(st.integers(0, calls))
    minimum = data.draw(st.integers(1, calls + 1))
    policy = BreakerPolicy(failure_rate_threshold=percent / 100, minimum_batches=minimum, window=Window(batches=calls))
    window = tuple(Counted(str(number), T0, number < failures) for number in range(calls))
    assert machine.threshold_reached(window, policy) == (calls >= minimum and 100 * failures >= percent * calls)


def test_what_moves_nothing_while_closed() -> None:
    for bystander in (
        judged("a", head=False),
        judged("a", confidence=Confidence.STALE),
        judged("a", confidence=Confidence.LOW),
        judged("a", repeated=True),
        judged("a", Outcome.INCONCLUSIVE),
    ):
        arrival = machine.arrive(fresh(), bystander, T0)
        assert (arrival.step, arrival.counted) == (Step(fresh()), False)
        assert arrival.status is (Status.QUARANTINED if bystander.outcome is Outcome.FAIL else Status.HELD)


def test_backfill_and_batches_of_low_confidence_are_published_on_their_own_verdict() -> None:
    for bystander in (passing("a", head=False), passing("a", confidence=Confidence.LOW), passing("a", repeated=True)):
        assert machine.arrive(fresh(), bystander, T0) == Arrival(Step(fresh()), Status.PUBLISHING, False)
        assert machine.arrive(opened(), bystander, T0 + HOUR) == Arrival(Step(opened()), Status.HELD, False)


@pytest.mark.parametrize(
    ("admit", "breaker", "status"),
    [(False, fresh(), Status.HELD), (True, fresh(), Status.PUBLISHING), (False, opened(), Status.HELD), (True, opened(), Status.HELD)],
)
def test_an_inconclusive_batch_is_held_unless_the_policy_admits_it(admit: bool, breaker: Breaker, status: Status) -> None:
    breaker = replace(breaker, policy=replace(POLICY, admit_inconclusive=admit))
    arrival = machine.arrive(breaker, judged("a", Outcome.INCONCLUSIVE), T0 + 3 * HOUR)
    assert (arrival.step, arrival.status, arrival.counted) == (Step(breaker), status, False)


def test_a_released_batch_is_published_and_moves_nothing() -> None:
    for breaker in (fresh(), opened(), forced(fresh(), OverrideKind.FORCE_OPEN)):
        assert machine.arrive(breaker, judged("a", released=True), T0 + HOUR) == Arrival(Step(breaker), Status.PUBLISHING, False)


# --- open ----------------------------------------------------------------------------------------------------------


def test_while_it_cools_down_batches_are_held_or_quarantined_and_no_second_alarm_is_raised() -> None:
    breaker, now = opened(), T0 + 30 * MINUTE - TICK
    for batch, status in ((judged("b"), Status.QUARANTINED), (passing("b"), Status.HELD)):
        assert machine.arrive(breaker, batch, now) == Arrival(Step(breaker), status, False)
    refused = machine.claim(breaker, lease_id="x", holder="run 1", batch_id="b", now=now)
    assert refused == Refused("the cooldown is not over", T0 + 30 * MINUTE)
    again = machine.claim(replace(breaker, probed=("b",)), lease_id="x", holder="run 1", batch_id="b", now=now)
    assert again == refused, "what stands in the way of any batch comes first"
    assert not machine.probe_due(breaker, now)
    assert machine.probe_due(breaker, now + TICK)


def test_a_passing_batch_that_arrives_after_the_cooldown_closes_and_is_published() -> None:
    now = T0 + 30 * MINUTE
    arrival = machine.arrive(opened(), passing("good"), now)
    assert arrows(arrival.step) == [("open", "half_open"), ("half_open", "closed")]
    assert [(change.cause, change.batch_id, change.generation) for change in arrival.step.transitions] == [
        (f"probe of {place_of('good')} claimed by arrival", "good", 2),
        (f"probe of {place_of('good')} passed", "good", 3),
    ]
    assert (arrival.status, arrival.counted) == (Status.PUBLISHING, True)
    expected = replace(fresh(), generation=3, incident=1, since=now, cause=f"probe of {place_of('good')} passed")
    assert arrival.step.breaker == expected, "nothing of the incident is remembered"


def test_a_failing_batch_that_arrives_after_the_cooldown_reopens_for_longer() -> None:
    now = T0 + 30 * MINUTE
    arrival = machine.arrive(opened(), judged("worse", failed_rules=frozenset({"enum"})), now)
    breaker = arrival.step.breaker
    assert arrows(arrival.step) == [("open", "half_open"), ("half_open", "open")]
    assert arrival.step.transitions[1].cause == f"probe of {place_of('worse')} failed"
    assert (arrival.status, arrival.counted) == (Status.QUARANTINED, True)
    assert (breaker.reopened, breaker.retry_at, breaker.cooldown) == (1, now + HOUR, HOUR)
    assert (breaker.opened_at, breaker.since, breaker.findings) == (T0, now, ("range: worse is bad",))
    assert breaker.failed_rules == {"range", "enum"}, "a later pass has to execute what ever failed in this incident"
    assert breaker.probed == ("worse",)


def test_a_new_incident_knows_nothing_of_the_one_before() -> None:
    breaker = machine.arrive(opened(), passing("good"), T0 + HOUR).step.breaker
    breaker = machine.arrive(breaker, judged("again", failed_rules=frozenset({"enum"})), T0 + 5 * HOUR).step.breaker
    assert (breaker.opened_at, breaker.failed_rules, breaker.reopened, breaker.probed) == (T0 + 5 * HOUR, {"enum"}, 0, ())


def test_a_batch_is_a_probe_once_only() -> None:
    breaker = machine.arrive(opened(), judged("b"), T0 + HOUR).step.breaker
    late = T0 + 9 * HOUR
    refused = machine.claim(breaker, lease_id="x", holder="run 1", batch_id="b", now=late)
    assert refused == Refused(f"{place_of('b')} has been probed already; deliver a new one", T0 + 2 * HOUR)
    assert machine.arrive(breaker, judged("b"), late) == Arrival(Step(breaker), Status.QUARANTINED, False)


def test_what_moves_nothing_while_a_probe_is_due() -> None:
    breaker, now = opened(), T0 + 2 * HOUR
    for bystander in (
        passing("a", head=False),
        passing("a", confidence=Confidence.STALE),
        passing("a", repeated=True),
        judged("a", head=False),
        judged("a", repeated=True),
        judged("a", Outcome.INCONCLUSIVE),
    ):
        arrival = machine.arrive(breaker, bystander, now)
        assert (arrival.step, arrival.counted) == (Step(breaker), False)


# --- probes --------------------------------------------------------------------------------------------------------


def test_claiming_enters_half_open_and_takes_the_one_lease() -> None:
    now = T0 + 30 * MINUTE
    claimed = machine.claim(opened(), lease_id="lease", holder="run 1", batch_id="b", now=now)
    assert isinstance(claimed, Step)
    assert claimed.transitions == (
        Transition("feed", State.OPEN, State.HALF_OPEN, f"probe of {place_of('b')} claimed by run 1", now, 2, "b"),
    )
    breaker = claimed.breaker
    assert breaker.lease == Lease("lease", "run 1", "b", 2, now + 15 * MINUTE)
    assert machine.enforced_open(breaker, now)
    assert machine.lease_is_live(breaker, now + 15 * MINUTE - TICK)
    assert not machine.lease_is_live(breaker, now + 15 * MINUTE)
    assert not machine.lease_is_live(replace(breaker, generation=3), now)
    assert machine.next_probe_at(breaker, now) == now + 15 * MINUTE
    second = machine.claim(breaker, lease_id="other", holder="run 2", batch_id="c", now=now)
    assert second == Refused("a probe is running, leased to run 1", now + 15 * MINUTE)


def test_a_crashed_probers_lease_ends_by_itself() -> None:
    now = T0 + HOUR
    breaker = claim(opened(), now)
    late = now + 15 * MINUTE
    assert machine.probe_due(breaker, late)
    assert machine.next_probe_at(breaker, late) == now, "it has been due since the claim that came to nothing"
    taken = machine.claim(breaker, lease_id="second", holder="run 2", batch_id="probe", now=late)
    assert isinstance(taken, Step)
    assert (taken.transitions, taken.breaker.state) == ((), State.HALF_OPEN)
    assert taken.breaker.generation == breaker.generation + 1
    assert isinstance(machine.settle(taken.breaker, "lease", passing("probe"), late), Refused), "the first prober comes too late"
    assert settle(taken.breaker, passing("probe"), late, "second").breaker.state is State.CLOSED


def test_a_probe_that_passes_closes() -> None:
    breaker, now = half_open()
    step = settle(breaker, judged("probe", Outcome.WARN), now)
    assert arrows(step) == [("half_open", "closed")]
    assert step.breaker == replace(fresh(), generation=3, incident=1, since=now, cause=f"probe of {place_of('probe')} passed")


def test_a_probe_that_fails_reopens() -> None:
    breaker, now = half_open()
    step = settle(breaker, judged("probe"), now + MINUTE)
    assert arrows(step) == [("half_open", "open")]
    assert (step.breaker.reopened, step.breaker.retry_at, step.breaker.lease) == (1, now + MINUTE + HOUR, None)
    assert step.breaker.generation == breaker.generation + 1


def test_a_late_or_foreign_result_changes_nothing() -> None:
    breaker, now = half_open()
    for result in (judged("probe"), passing("probe")):
        assert isinstance(machine.settle(breaker, "lease", result, now + 15 * MINUTE), Refused), "the lease has ended"
        assert isinstance(machine.settle(breaker, "other", result, now), Refused)
        assert isinstance(machine.settle(replace(breaker, generation=9), "lease", result, now), Refused)
        assert isinstance(machine.settle(opened(), "lease", result, now), Refused)
        assert isinstance(machine.settle(fresh(), "lease", result, now), Refused)
    assert isinstance(machine.settle(breaker, "lease", passing("another batch"), now), Refused)


@pytest.mark.parametrize("result", [judged("probe", Outcome.INCONCLUSIVE), passing("probe", executed_rules=frozenset({"enum"}))])
def test_an_inconclusive_probe_gives_the_lease_back_and_is_due_after_another_lease(result: Judged) -> None:
    breaker, now = half_open()
    assert machine.inconclusive(breaker, result)
    step = settle(breaker, result, now + MINUTE)
    assert step == Step(replace(breaker, lease=None, retry_at=now + 16 * MINUTE))
    assert not machine.probe_due(step.breaker, now + 16 * MINUTE - TICK)
    again = claim(step.breaker, now + 16 * MINUTE)
    assert settle(again, passing("probe"), now + 16 * MINUTE).breaker.state is State.CLOSED


def test_a_failed_probe_counts_though_not_every_rule_was_executed() -> None:
    breaker, now = half_open()
    result = judged("probe", executed_rules=frozenset({"enum"}), failed_rules=frozenset({"enum"}))
    assert not machine.inconclusive(breaker, result)
    assert settle(breaker, result, now).breaker.state is State.OPEN


def test_an_arriving_batch_that_proves_nothing_is_held_and_does_not_count() -> None:
    arrival = machine.arrive(opened(), passing("b", executed_rules=frozenset()), T0 + HOUR)
    assert (arrival.status, arrival.counted) == (Status.HELD, False)
    assert arrows(arrival.step) == [("open", "half_open")]
    assert arrival.step.breaker.retry_at == T0 + HOUR + 15 * MINUTE


def test_several_probes_are_passes_on_different_batches() -> None:
    breaker = opened(replace(POLICY, probes=2))
    now = T0 + HOUR
    first = machine.arrive(breaker, passing("a"), now)
    assert (first.step.breaker.state, first.status, first.counted) == (State.HALF_OPEN, Status.HELD, True)
    assert (first.step.breaker.passed, first.step.breaker.probed, first.step.breaker.lease) == (("a",), ("a",), None)
    assert machine.next_probe_at(first.step.breaker, now) == now
    assert machine.arrive(first.step.breaker, passing("a"), now + HOUR) == Arrival(Step(first.step.breaker), Status.HELD, False)
    second = machine.arrive(first.step.breaker, passing("b"), now)
    assert second.status is Status.PUBLISHING
    cause = f"probe of {place_of('b')} passed"
    closed = replace(fresh(breaker.policy), generation=4, incident=1, since=now, cause=cause)
    assert second.step.breaker == closed, "nothing is remembered"


def test_after_a_pass_that_is_not_enough_the_next_probe_is_due_at_once() -> None:
    breaker, now = half_open(replace(POLICY, probes=2))
    later = now + 5 * MINUTE
    assert machine.next_probe_at(settle(breaker, passing("probe"), later).breaker, later) == later


def test_one_failed_probe_takes_back_the_passes_before_it() -> None:
    breaker = opened(replace(POLICY, probes=2))
    now = T0 + HOUR
    for name, outcome, after in (("a", Outcome.PASS, "half_open"), ("b", Outcome.FAIL, "open"), ("c", Outcome.PASS, "half_open")):
        breaker = machine.arrive(breaker, judged(name, outcome), now).step.breaker
        assert breaker.state == after
        now += 3 * HOUR
    assert (breaker.passed, breaker.probed) == (("c",), ("a", "b", "c"))


def test_the_cooldown_grows_with_failed_probes_up_to_its_maximum() -> None:
    assert [cooldown(POLICY, failed) for failed in range(4)] == [30 * MINUTE, HOUR, 2 * HOUR, 2 * HOUR]
    assert cooldown(POLICY, 100_000) == 2 * HOUR
    assert cooldown(replace(POLICY, cooldown=3 * HOUR), 0) == 3 * HOUR, "a maximum below the cooldown shortens nothing"
    breaker, now = opened(), T0
    for wait in (30 * MINUTE, HOUR, 2 * HOUR, 2 * HOUR):
        assert breaker.cooldown == wait
        now = machine.next_probe_at(breaker, now) or now
        breaker = machine.arrive(breaker, judged(f"at {now}"), now).step.breaker
    assert now - T0 == (0.5 + 1 + 2 + 2) * HOUR


@given(
    base=st.timedeltas(MINUTE, timedelta(days=30)),
    multiplier=st.floats(1, 1000),
    maximum=st.timedeltas(MINUTE, timedelta(days=400)),
    failed=st.integers(0, 2000),
)
def test_cooldown_is_the_smaller_of_growth_and_maximum(base: timedelta, multiplier: float, maximum: timedelta, failed: int) -> None:
    policy = BreakerPolicy(cooldown=base, backoff_multiplier=multiplier, backoff_maximum=max(maximum, base))
    waits = [cooldown(policy, failed), cooldown(policy, failed + 1)]
    assert base <= waits[0] <= waits[1] <= policy.backoff_maximum
    if failed * math.log10(multiplier) < 6:
        assert waits[0] == min(base * multiplier**failed, policy.backoff_maximum)


# --- overrides, reset, contract versions ---------------------------------------------------------------------------


def test_an_override_is_recorded_with_who_and_why_and_voids_leases() -> None:
    breaker, now = half_open()
    step = machine.override(breaker, OverrideKind.FORCE_OPEN, actor="ann", reason="vendor called", now=now, expires_at=now + HOUR)
    assert step.transitions == (Transition("feed", State.HALF_OPEN, State.HALF_OPEN, "force_open: vendor called", now, 3, None, "ann"),)
    word = Override(OverrideKind.FORCE_OPEN, "ann", "vendor called", now, now + HOUR)
    assert step.breaker == replace(breaker, override=word, lease=None, generation=3)
    assert isinstance(machine.settle(step.breaker, "lease", passing("probe"), now), Refused)


def test_force_open_holds_everything_and_refuses_probes_until_it_expires() -> None:
    end = T0 + 5 * HOUR
    for before in (fresh(), opened()):
        breaker = forced(before, OverrideKind.FORCE_OPEN, T0, end)
        now = end - TICK
        assert machine.enforced_open(breaker, now)
        assert not machine.probe_due(breaker, now)
        for batch, status in ((passing("a"), Status.HELD), (judged("a"), Status.QUARANTINED)):
            assert machine.arrive(breaker, batch, now) == Arrival(Step(breaker), status, False)
        refused = machine.claim(breaker, lease_id="x", holder="run 1", batch_id="a", now=now)
        assert isinstance(refused, Refused)
        assert refused.reason == ("force_open by ann: because" if before.state is State.OPEN else "the breaker is closed")
        assert refused.retry_at == (end if before.state is State.OPEN else None)
        assert machine.enforced_open(breaker, end) == (before.state is State.OPEN)
        assert machine.probe_due(breaker, end) == (before.state is State.OPEN)


def test_an_override_without_end_leaves_no_time_of_a_next_probe() -> None:
    breaker = forced(opened(), OverrideKind.FORCE_OPEN)
    assert machine.next_probe_at(breaker, T0 + HOUR) is None
    assert machine.next_probe_at(forced(opened(), OverrideKind.OBSERVE_ONLY), T0) == T0 + 30 * MINUTE


def test_force_closed_routes_as_closed_and_still_quarantines() -> None:
    breaker = forced(opened(), OverrideKind.FORCE_CLOSED)
    assert not machine.enforced_open(breaker, T0)
    for batch, status in (
        (passing("a"), Status.PUBLISHING),
        (judged("a"), Status.QUARANTINED),
        (judged("a", Outcome.INCONCLUSIVE), Status.HELD),
    ):
        assert machine.arrive(breaker, batch, T0 + HOUR) == Arrival(Step(breaker), status, False)
    assert not machine.probe_due(breaker, T0 + HOUR)


def test_the_end_of_an_override_is_recorded_once_by_the_next_write() -> None:
    end = T0 + HOUR
    breaker = forced(opened(), OverrideKind.FORCE_CLOSED, T0, end)
    assert machine.current(breaker, end - TICK) == breaker
    after = machine.current(breaker, end + HOUR)
    assert after == replace(breaker, override=None, generation=breaker.generation + 1)
    record = Transition("feed", State.OPEN, State.OPEN, "force_closed by ann expired", end, 3)
    late = end + 2 * HOUR
    assert arrows(machine.arrive(breaker, passing("b"), late).step)[1:] == [("open", "half_open"), ("half_open", "closed")]
    assert machine.arrive(breaker, passing("b", head=False), late).status is Status.HELD
    assert machine.arrive(breaker, judged("b", head=False), late).step == Step(after, (record,))
    assert machine.arrive(breaker, judged("b", released=True), late).step == Step(after, (record,))
    assert machine.arrive(breaker, passing("b"), late).step.transitions[0] == record
    claimed = machine.claim(breaker, lease_id="lease", holder="run 1", batch_id="b", now=late)
    assert isinstance(claimed, Step)
    assert claimed.transitions[0] == record
    assert arrows(claimed) == [("open", "open"), ("open", "half_open")]
    assert machine.adopt(breaker, "1.0.0", POLICY, late) == Step(after, (record,))
    assert machine.adopt(breaker, "2.0.0", POLICY, late).transitions[0] == record
    assert machine.reset(breaker, actor="ann", reason="why", now=late).transitions[0] == record
    replaced = machine.override(breaker, OverrideKind.FORCE_OPEN, actor="bob", reason="why", now=late)
    assert [change.cause for change in replaced.transitions] == ["force_closed by ann expired", "force_open: why"]


def test_one_override_replaces_another_and_both_are_told() -> None:
    step = machine.override(forced(opened(), OverrideKind.FORCE_OPEN), OverrideKind.FORCE_CLOSED, actor="bob", reason="why", now=T0)
    assert [(change.cause, change.actor) for change in step.transitions] == [
        ("force_open replaced by force_closed", "bob"),
        ("force_closed: why", "bob"),
    ]
    assert step.breaker.override is not None
    assert step.breaker.override.kind is OverrideKind.FORCE_CLOSED


def test_observe_only_publishes_everything_and_runs_on_in_the_shadow() -> None:
    end = T0 + 9 * HOUR
    breaker = forced(fresh(), OverrideKind.OBSERVE_ONLY, T0, end)
    tripped = machine.arrive(breaker, judged("a"), T0)
    assert (tripped.status, tripped.counted) == (Status.PUBLISHING, True)
    assert [(change.from_state, change.to_state, change.shadow) for change in tripped.step.transitions] == [
        (State.CLOSED, State.OPEN, True)
    ]
    breaker = tripped.step.breaker
    assert not machine.enforced_open(breaker, T0)
    assert machine.probe_due(breaker, T0 + 30 * MINUTE)
    probing = machine.claim(breaker, lease_id="lease", holder="run 1", batch_id="b", now=T0 + HOUR)
    assert isinstance(probing, Step)
    failed = settle(probing.breaker, judged("b"), T0 + HOUR)
    assert [change.shadow for step in (probing, failed) for change in step.transitions] == [True, True]
    assert machine.arrive(failed.breaker, judged("c", Outcome.INCONCLUSIVE), T0 + HOUR).status is Status.PUBLISHING
    assert machine.next_probe_at(failed.breaker, end) is None
    ended = machine.current(failed.breaker, end)
    cause = "observe_only by ann expired"
    expected = replace(fresh(), generation=failed.breaker.generation + 1, incident=1, since=end, cause=cause)
    assert ended == expected, "closed, with nothing left of what was observed"
    record = machine.arrive(failed.breaker, passing("d"), end).step.transitions[0]
    assert (record.from_state, record.to_state, record.shadow) == (State.OPEN, State.CLOSED, False)


def test_a_probe_that_outlasts_observe_only_changes_nothing() -> None:
    end = T0 + HOUR
    breaker = machine.arrive(forced(fresh(), OverrideKind.OBSERVE_ONLY, T0, end), judged("a"), T0).step.breaker
    probing = claim(breaker, end - MINUTE)
    assert isinstance(machine.settle(probing, "lease", passing("probe"), end - TICK), Step)
    assert isinstance(machine.settle(probing, "lease", passing("probe"), end), Refused)


def test_observe_only_that_never_tripped_ends_closed_with_an_empty_window() -> None:
    policy = replace(POLICY, failures=2, window=Window(batches=5))
    breaker = forced(fresh(policy), OverrideKind.OBSERVE_ONLY, T0, T0 + HOUR)
    breaker = machine.arrive(breaker, judged("a"), T0).step.breaker
    assert len(breaker.window) == 1
    ended = machine.current(breaker, T0 + HOUR)
    assert (ended.state, ended.window, ended.override, ended.since) == (State.CLOSED, (), None, None)
    forced_after = machine.override(breaker, OverrideKind.FORCE_OPEN, actor="bob", reason="why", now=T0)
    assert forced_after.breaker.window == ()


@pytest.mark.parametrize("before", [fresh(), opened(), half_open()[0], forced(opened(), OverrideKind.FORCE_OPEN)])
def test_reset_reaches_closed_from_everywhere(before: Breaker) -> None:
    before = replace(before, window=(Counted("a", T0, False),), policy=POLICY)
    step = machine.reset(before, actor="ann", reason="fixed", now=T0 + HOUR)
    changed = before.state is not State.CLOSED
    assert step.transitions == (
        Transition("feed", before.state, State.CLOSED, "reset: fixed", T0 + HOUR, before.generation + 1, None, "ann"),
    )
    expected = replace(fresh(), generation=before.generation + 1, incident=before.incident)
    assert step.breaker == (replace(expected, since=T0 + HOUR, cause="reset: fixed") if changed else expected)


def test_a_new_contract_version_keeps_the_state_and_makes_a_probe_due_now() -> None:
    breaker = machine.arrive(opened(), judged("b"), T0 + HOUR).step.breaker
    other = replace(POLICY, cooldown=9 * HOUR)
    step = machine.adopt(breaker, "2.0.0", other, T0 + HOUR)
    assert step.transitions == (Transition("feed", State.OPEN, State.OPEN, "contract version 1.0.0 -> 2.0.0", T0 + HOUR, 4),)
    after = step.breaker
    assert (after.state, after.contract_version, after.policy, after.generation) == (State.OPEN, "2.0.0", other, 4)
    assert (after.retry_at, after.probed, after.failed_rules, after.reopened) == (T0 + HOUR, (), frozenset(), 1)
    assert machine.probe_due(after, T0 + HOUR)
    assert not machine.probe_due(breaker, T0 + HOUR)


def test_a_new_contract_version_empties_the_window_and_voids_leases() -> None:
    policy = replace(POLICY, failures=2, window=Window(batches=5), probes=2)
    breaker = machine.arrive(fresh(policy), judged("a"), T0).step.breaker
    after = machine.adopt(breaker, "2.0.0", policy, T0).breaker
    assert (after.state, after.window, after.retry_at) == (State.CLOSED, (), None)
    breaker, now = half_open(replace(POLICY, probes=2))
    breaker = claim(settle(breaker, passing("probe"), now).breaker, now, "next", "second")
    after = machine.adopt(breaker, "2.0.0", breaker.policy, now).breaker
    assert (after.state, after.lease, after.passed, after.probed) == (State.HALF_OPEN, None, (), ())
    assert isinstance(machine.settle(after, "second", passing("next"), now), Refused)


def test_the_same_contract_version_changes_the_policy_only() -> None:
    other = replace(POLICY, probes=5)
    assert machine.adopt(opened(), "1.0.0", other, T0) == Step(replace(opened(), policy=other))


def test_an_edit_without_a_new_version_is_told_and_makes_nothing_due() -> None:
    breaker = machine.adopt(opened(), "1.0.0", POLICY, T0, content="a").breaker
    assert machine.edited(breaker) is None
    step = machine.adopt(breaker, "1.0.0", POLICY, T0, content="b")
    assert step == Step(replace(breaker, contents=("a", "b")))
    assert "1.0.0 was edited without a new version" in str(machine.edited(step.breaker))
    assert machine.edited(step.breaker, "b") is not None
    assert machine.edited(step.breaker, "a") is None, "who still has what the version stood for has edited nothing"
    assert machine.adopt(step.breaker, "1.0.0", POLICY, T0, content="a") == Step(step.breaker), "two deployments that take turns"
    assert machine.edited(machine.adopt(step.breaker, "1.1.0", POLICY, T0, content="b").breaker) is None


def test_of_many_edits_the_first_and_some_are_remembered() -> None:
    breaker = opened()
    for number in range(20):
        breaker = machine.adopt(breaker, "1.0.0", POLICY, T0, content=str(number)).breaker
    assert (breaker.contents[0], breaker.contents[-1], len(breaker.contents)) == ("0", "19", 10)


# --- what a verdict means to the machine ---------------------------------------------------------------------------


def finding(rule: str, outcome: Outcome, severity: Severity = Severity.ERROR) -> Finding:
    return Finding(rule, Clause.VALIDITY, None, severity, outcome, "3 rows", "none")


def test_judged_takes_from_a_verdict_what_failed_and_what_was_executed() -> None:
    findings = (
        finding("broken", Outcome.FAIL, Severity.CRITICAL),
        finding("held", Outcome.PASS),
        finding("odd", Outcome.WARN, Severity.WARNING),
        finding("unknown", Outcome.INCONCLUSIVE),
    )
    verdict = Verdict(Outcome.FAIL, "feed", "1.0.0", 10, findings, (), "digest")
    assert Judged.of("b", verdict, head=False, confidence=Confidence.LOW, repeated=True, released=True) == Judged(
        "b",
        Outcome.FAIL,
        failed_severities=frozenset({Severity.CRITICAL}),
        failed_rules=frozenset({"broken"}),
        executed_rules=frozenset({"broken", "held", "odd"}),
        findings=("broken: 3 rows; expected none",),
        head=False,
        confidence=Confidence.LOW,
        repeated=True,
        released=True,
    )
    plain = Judged.of("b", verdict)
    assert (plain.head, plain.confidence, plain.repeated, plain.released) == (True, Confidence.FULL, False, False)
    assert Judged("b", Outcome.PASS).moves


def test_the_failure_that_tells_most_comes_first() -> None:
    findings = tuple(
        replace(finding(f"{severity} {clause}", outcome, severity), clause=clause)
        for severity in (Severity.ERROR, Severity.CRITICAL)
        for clause in (Clause.SCHEMA, Clause.VALIDITY)
        for outcome in (Outcome.FAIL, Outcome.PASS)
    )
    verdict = Verdict(Outcome.FAIL, "feed", "1.0.0", 10, findings, (), "digest")
    told = [line.split(":")[0] for line in failures(verdict)]
    assert told == ["critical validity", "critical schema", "error validity", "error schema"]


def test_the_asset_of_a_breaker_key() -> None:
    assert (asset_of("vendor/feed"), asset_of("vendor/feed[vendor=a[b]]")) == ("vendor/feed", "vendor/feed")


# --- any sequence of events ----------------------------------------------------------------------------------------

POLICIES = st.builds(
    BreakerPolicy,
    failures=st.integers(1, 3),
    window=st.one_of(
        st.builds(Window, batches=st.integers(1, 5)), st.builds(Window, batches=st.none(), duration=st.sampled_from([HOUR, 6 * HOUR]))
    ),
    failure_rate_threshold=st.sampled_from([None, 0.34, 0.5, 1.0]),
    minimum_batches=st.integers(1, 3),
    cooldown=st.sampled_from([10 * MINUTE, HOUR]),
    backoff_multiplier=st.sampled_from([1.0, 1.5, 2.0]),
    backoff_maximum=st.sampled_from([HOUR, 5 * HOUR]),
    probes=st.integers(1, 3),
    lease=st.sampled_from([5 * MINUTE, 2 * HOUR]),
    admit_inconclusive=st.booleans(),
)
# The narrow alphabet of names makes redeliveries and collisions likely.
BATCHES = st.builds(
    judged,
    st.sampled_from([f"batch {number}" for number in range(9)]),
    st.sampled_from(Outcome),
    head=st.sampled_from([True, True, True, False]),
    confidence=st.sampled_from([Confidence.FULL, Confidence.FULL, Confidence.FULL, Confidence.STALE, Confidence.LOW]),
    repeated=st.sampled_from([False, False, False, True]),
    released=st.sampled_from([False, False, False, False, True]),
    failed_severities=st.sampled_from([frozenset({Severity.ERROR}), frozenset({Severity.ERROR, Severity.CRITICAL})]),
    failed_rules=st.sampled_from([frozenset({"range"}), frozenset({"enum"})]),
    executed_rules=st.sampled_from([frozenset({"range", "enum"}), frozenset({"range", "enum"}), frozenset({"range"})]),
)
EXPIRIES = st.one_of(st.none(), st.sampled_from([HOUR, 5 * HOUR]))


class AnySequence(RuleBasedStateMachine):
    """One breaker under everything that can happen to it, in any order. Leases that were ever given are kept, to come back late."""

    @initialize(policy=POLICIES)
    def begin(self, policy: BreakerPolicy) -> None:
        self.now = T0
        self.breaker = fresh(policy)
        self.given: dict[str, tuple[str, datetime]] = {}  # lease -> its batch and end
        self.ended: set[str] = set()  # leases that were settled, or voided by a change of generation
        self.recorded: list[Transition] = []
        self.numbers = 0

    def follow(self, step: Step) -> None:
        """Take a step, with everything that must hold of any step."""
        before, after = self.breaker, step.breaker
        at = before.state
        generation = before.generation
        for change in step.transitions:
            assert change.from_state is at, "each transition begins where the last one ended"
            assert change.generation > generation, "each is a new generation"
            at, generation = change.to_state, change.generation
        assert after.state is at
        assert after.generation >= generation
        if after.generation != before.generation and before.lease is not None:
            self.ended.add(before.lease.id)
        self.recorded.extend(step.transitions)
        self.breaker = after

    @rule(batch=BATCHES)
    def arrive(self, batch: Judged) -> None:
        before = machine.current(self.breaker, self.now)
        arrival = machine.arrive(self.breaker, batch, self.now)
        kind = before.override.kind if before.override else None
        changed = arrival.step.breaker != before
        if batch.outcome is Outcome.FAIL and arrival.status is Status.PUBLISHING:
            assert batch.released or kind is OverrideKind.OBSERVE_ONLY
        if not batch.moves or batch.released or kind in (OverrideKind.FORCE_OPEN, OverrideKind.FORCE_CLOSED):
            assert not changed
            assert not arrival.counted
        if before.state is State.CLOSED and arrival.step.breaker.state is not State.CLOSED:
            assert batch.outcome is Outcome.FAIL, "only a failure opens"
        if before.state is not State.CLOSED:
            assert arrival.step.breaker.window == (), "probe outcomes never enter the window"
            if arrival.step.breaker.state is State.CLOSED:
                assert batch.outcome in (Outcome.PASS, Outcome.WARN)
        if kind is OverrideKind.OBSERVE_ONLY:
            assert arrival.status is Status.PUBLISHING
            assert all(change.shadow for change in arrival.step.transitions)
        elif not batch.released and machine.enforced_open(arrival.step.breaker, self.now):
            assert arrival.status is not Status.PUBLISHING, "what arrives while open is refused"
        self.follow(arrival.step)

    @rule(batch=st.sampled_from([f"batch {number}" for number in range(9)]))
    def claim(self, batch: str) -> None:
        before = machine.current(self.breaker, self.now)
        live = machine.lease_is_live(before, self.now)
        self.numbers += 1
        lease = f"lease {self.numbers}"
        claimed = machine.claim(self.breaker, lease_id=lease, holder="run", batch_id=batch, now=self.now)
        if isinstance(claimed, Refused):
            return
        assert not live, "one live lease at a time"
        assert before.state is not State.CLOSED
        assert before.override is None or before.override.kind is OverrideKind.OBSERVE_ONLY
        assert before.retry_at is not None
        assert before.retry_at <= self.now
        self.given[lease] = (batch, self.now + before.policy.lease)
        self.follow(claimed)
        assert self.breaker.state is State.HALF_OPEN
        assert machine.lease_is_live(self.breaker, self.now)

    @rule(data=st.data(), result=BATCHES)
    def settle(self, data: st.DataObject, result: Judged) -> None:
        if not self.given:
            return
        lease = data.draw(st.sampled_from(sorted(self.given)))
        batch, end = self.given[lease]
        settled = machine.settle(self.breaker, lease, replace(result, batch_id=batch), self.now)
        if isinstance(settled, Refused):
            return
        assert lease not in self.ended, "a stale result changes nothing"
        assert self.now < end
        closed = settled.breaker.state is State.CLOSED
        if result.outcome is Outcome.FAIL:
            assert settled.breaker.state is State.OPEN
            waits = self.breaker.policy
            grown = waits.cooldown * waits.backoff_multiplier ** (self.breaker.reopened + 1)
            assert settled.breaker.retry_at == self.now + min(grown, max(waits.backoff_maximum, waits.cooldown))
        elif result.outcome is Outcome.INCONCLUSIVE:
            assert not closed
            assert not settled.transitions
        elif closed:
            assert self.breaker.failed_rules <= result.executed_rules
            assert len({*self.breaker.passed, batch}) >= self.breaker.policy.probes
        assert settled.breaker.window == ()
        self.ended.add(lease)
        self.follow(settled)

    @rule(kind=st.sampled_from(OverrideKind), lasts=EXPIRIES)
    def override(self, kind: OverrideKind, lasts: timedelta | None) -> None:
        end = self.now + lasts if lasts else None
        before = self.breaker.generation
        self.follow(machine.override(self.breaker, kind, actor="ann", reason="why", now=self.now, expires_at=end))
        assert self.breaker.generation > before
        if kind is OverrideKind.FORCE_OPEN:
            assert machine.enforced_open(self.breaker, self.now)
            assert not machine.probe_due(self.breaker, self.now)
        else:
            assert not machine.enforced_open(self.breaker, self.now)

    @rule()
    def reset(self) -> None:
        before = self.breaker.generation
        self.follow(machine.reset(self.breaker, actor="ann", reason="why", now=self.now))
        assert self.breaker.generation > before
        assert (self.breaker.state, self.breaker.window, self.breaker.override, self.breaker.reopened) == (State.CLOSED, (), None, 0)

    @rule(policy=POLICIES)
    def adopt(self, policy: BreakerPolicy) -> None:
        before = machine.current(self.breaker, self.now)
        self.follow(machine.adopt(self.breaker, f"{len(self.recorded)}.0.0", policy, self.now))
        assert self.breaker.state is before.state
        assert self.breaker.generation > before.generation or self.breaker.contract_version == before.contract_version
        if before.state is not State.CLOSED and self.breaker.override is None and self.breaker.generation > before.generation:
            assert machine.probe_due(self.breaker, self.now)

    @rule(passed=st.sampled_from([MINUTE, 5 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, timedelta(days=2)]))
    def wait(self, passed: timedelta) -> None:
        before = machine.current(self.breaker, self.now)
        self.now += passed
        after = machine.current(self.breaker, self.now)
        if before != after:
            assert before.override is not None, "time alone changes no state"
            assert after.override is None
            assert after.generation == before.generation + 1
            assert after.state is (State.CLOSED if before.override.kind is OverrideKind.OBSERVE_ONLY else before.state)
            if before.override.kind is OverrideKind.OBSERVE_ONLY:
                assert after.window == ()

    @invariant()
    def reading_agrees_with_doing(self) -> None:
        if not hasattr(self, "breaker"):
            return
        claimed = machine.claim(self.breaker, lease_id="x", holder="x", batch_id="unseen", now=self.now)
        assert machine.probe_due(self.breaker, self.now) == isinstance(claimed, Step)
        due_at = machine.next_probe_at(self.breaker, self.now)
        breaker = machine.current(self.breaker, self.now)
        if breaker.state is State.CLOSED:
            assert due_at is None
        elif due_at is not None and (breaker.override is None or breaker.override.kind is not OverrideKind.OBSERVE_ONLY):
            assert machine.probe_due(self.breaker, max(due_at, self.now))
            assert due_at <= self.now or not machine.probe_due(self.breaker, due_at - TICK)
            assert not isinstance(claimed, Refused) or claimed.retry_at == due_at

    @invariant()
    def only_live_leases_are_leases(self) -> None:
        if not hasattr(self, "breaker"):
            return
        live = [
            lease for lease in self.given if isinstance(machine.settle(self.breaker, lease, passing(self.given[lease][0]), self.now), Step)
        ]
        assert len(live) <= 1
        if machine.lease_is_live(machine.current(self.breaker, self.now), self.now):
            assert self.breaker.state is State.HALF_OPEN

    @invariant()
    def there_is_a_way_out(self) -> None:
        if not hasattr(self, "breaker"):
            return
        assert machine.reset(self.breaker, actor="ann", reason="why", now=self.now).breaker.state is State.CLOSED
        breaker = machine.current(self.breaker, self.now)
        if breaker.override is not None and breaker.override.expires_at is None:
            return
        now = self.now
        for number in range(breaker.policy.probes):
            now = max(now, machine.next_probe_at(breaker, now) or now)
            good = judged(f"new {number}", Outcome.PASS, executed_rules=frozenset({"range", "enum"}))
            breaker = machine.arrive(breaker, good, now).step.breaker
        assert machine.current(breaker, now).state is State.CLOSED, "enough good batches close, once each is due"


AnySequence.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnySequence = AnySequence.TestCase


# --- incidents -----------------------------------------------------------------------------------------------------


def test_an_incident_has_one_number_from_its_opening_to_the_next() -> None:
    first = opened()
    assert first.incident == 1
    claimed = machine.claim(first, lease_id="l", holder="h", batch_id="p", now=T0 + HOUR)
    assert isinstance(claimed, Step)
    again = machine.settle(claimed.breaker, "l", judged("p"), T0 + HOUR)
    assert isinstance(again, Step)
    assert (again.breaker.state, again.breaker.incident) == (State.OPEN, 1), "a failed probe goes on with the same incident"
    closed = machine.reset(again.breaker, actor="ann", reason="fixed", now=T0 + HOUR).breaker
    assert (closed.state, closed.incident) == (State.CLOSED, 1)
    second = machine.arrive(closed, judged("q"), T0 + 2 * HOUR).step.breaker
    assert (second.state, second.incident) == (State.OPEN, 2)


# --- versions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [
        ("1.9.0", "1.10.0", True),
        ("1.10.0", "1.9.0", False),
        ("1.0", "1.0.0", False),
        ("v1.9", "1.10", True),
        ("2", "10", True),
        ("1.0.0", "1.0.0", False),
        ("1.0.0-rc1", "1.0.0", False),
        ("blue", "green", False),
        ("1." + "9" * 400, "2", False),
    ],
)
def test_which_version_is_older(version: str, than: str, older: bool) -> None:
    assert machine.is_older(version, than) is older


def test_an_earlier_version_takes_nothing_over_while_the_breaker_is_open() -> None:
    tripped = replace(opened(), contract_version="2.0.0")
    assert machine.adopt(tripped, "1.0.0", POLICY, T0) == Step(tripped)
    closed = replace(fresh(), contract_version="2.0.0")
    assert machine.adopt(closed, "1.0.0", POLICY, T0).breaker.contract_version == "1.0.0", "going back is possible while nothing is wrong"
    assert machine.adopt(tripped, "3.0.0", POLICY, T0).breaker.contract_version == "3.0.0"
