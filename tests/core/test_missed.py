"""A delivery that never comes, as the breaker sees it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core import breaker as machine
from dagster_contracts.core.breaker import Missed, Refused
from dagster_contracts.core.contract import Confidence, Severity
from dagster_contracts.core.deliveries import missing, quiet
from dagster_contracts.core.ledger import Status
from dagster_contracts.core.plan import Cadence, Due
from dagster_contracts.core.state import Breaker, Judged, Overdue, OverrideKind, State, Step, Transition
from dagster_contracts.core.verdict import Arrival, Outcome
from tests.core.test_breaker import HOUR, MINUTE, POLICY, T0, arrows, forced, fresh, half_open, judged, opened, passing

DUE = T0 - HOUR
LATER = T0 + 24 * HOUR
CRITICAL = frozenset({Severity.CRITICAL})


def missed(severity: Severity = Severity.CRITICAL, due: int = 0, rule: str = "sla.frequency") -> Missed:
    """The first was due an hour ago; `due` more days are missing."""
    return Missed(rule, severity, DUE, DUE + due * 24 * HOUR, f"{rule}: not there")


def miss(breaker: Breaker, what: Missed | None = None, now: object = T0) -> Step:
    step = machine.miss(breaker, what or missed(), now)  # type: ignore[arg-type]
    assert isinstance(step, Step), step
    return step


def late(name: str = "late", outcome: Outcome = Outcome.WARN, **other: object) -> Judged:
    executed = frozenset({"range", "sla.frequency"})
    return judged(name, outcome, **{"delivers": True, "executed_rules": executed, **other})


def test_a_critical_one_opens_with_its_cause() -> None:
    step = miss(fresh())
    assert step.transitions == (Transition("feed", State.CLOSED, State.OPEN, "sla.frequency: a delivery is missing", T0, 1),)
    breaker = step.breaker
    assert (breaker.state, breaker.opened_at, breaker.retry_at) == (State.OPEN, T0, T0 + 30 * MINUTE)
    assert (breaker.findings, breaker.failed_rules) == (("sla.frequency: not there",), {"sla.frequency"})
    assert breaker.overdue == (Overdue("sla.frequency", DUE, DUE, tripped=True),)
    assert machine.enforced_open(breaker, T0)


@pytest.mark.parametrize(
    ("severity", "trip_on", "state"),
    [
        (Severity.CRITICAL, CRITICAL, State.OPEN),
        (Severity.CRITICAL, frozenset(), State.CLOSED),
        (Severity.ERROR, CRITICAL, State.CLOSED),
        (Severity.ERROR, frozenset({Severity.ERROR}), State.OPEN),
        (Severity.WARNING, frozenset(Severity), State.CLOSED),
        (Severity.INFO, frozenset(Severity), State.CLOSED),
    ],
)
def test_it_opens_by_trip_on_and_only_where_it_refuses(severity: Severity, trip_on: frozenset[Severity], state: State) -> None:
    step = miss(fresh(replace(POLICY, trip_on=trip_on)), missed(severity))
    assert step.breaker.state is state
    assert bool(step.transitions) is (state is State.OPEN)
    assert [each.tripped for each in step.breaker.overdue] == [state is State.OPEN]


def test_it_is_no_batch_of_the_window() -> None:
    breaker = machine.arrive(fresh(replace(POLICY, failures=2)), judged("a"), T0).step.breaker
    after = miss(breaker, missed(Severity.ERROR)).breaker
    assert after.window == breaker.window
    assert after.state is State.CLOSED


def test_each_is_told_once_and_the_next_again() -> None:
    breaker = miss(fresh(), missed(Severity.WARNING)).breaker
    assert isinstance(machine.miss(breaker, missed(Severity.WARNING), LATER), Refused)
    assert not machine.is_news(breaker, missed(Severity.WARNING))
    again = miss(breaker, replace(missed(Severity.WARNING, due=1), since=DUE + HOUR), LATER).breaker
    assert again.overdue == (Overdue("sla.frequency", DUE, DUE + 24 * HOUR),), "overdue since the first"
    other = miss(again, missed(rule="sla.timeOfAvailability"), LATER).breaker
    assert [(each.rule, each.tripped) for each in other.overdue] == [("sla.frequency", False), ("sla.timeOfAvailability", True)]


# --- the way back --------------------------------------------------------------------------------------------------


def test_nothing_that_is_stored_can_close_it() -> None:
    breaker = miss(fresh()).breaker
    claimed = machine.claim(breaker, lease_id="l", holder="run", batch_id="old", now=LATER)
    assert isinstance(claimed, Refused)
    assert "a delivery is missing" in claimed.reason
    assert (machine.probe_due(breaker, LATER), machine.next_probe_at(breaker, LATER), claimed.retry_at) == (False, None, None)
    again = machine.arrive(breaker, passing("of a window that came before"), LATER)
    assert (again.status, again.step.breaker.state) == (Status.HELD, State.OPEN)


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.WARN])
def test_a_delivery_after_the_cooldown_closes_it(outcome: Outcome) -> None:
    arrival = machine.arrive(miss(fresh()).breaker, late(outcome=outcome), LATER)
    assert arrows(arrival.step) == [("open", "half_open"), ("half_open", "closed")]
    assert (arrival.status, arrival.counted, arrival.step.breaker.overdue) == (Status.PUBLISHING, True, ())


def test_a_delivery_within_the_cooldown_is_held_and_probed_after_it() -> None:
    arrival = machine.arrive(miss(fresh()).breaker, late(), T0 + MINUTE)
    breaker = arrival.step.breaker
    assert (arrival.status, breaker.state, breaker.overdue) == (Status.HELD, State.OPEN, ())
    assert machine.next_probe_at(breaker, T0 + MINUTE) == T0 + 30 * MINUTE
    now = T0 + 30 * MINUTE
    claimed = machine.claim(breaker, lease_id="l", holder="run", batch_id="late", now=now)
    assert isinstance(claimed, Step)
    settled = machine.settle(claimed.breaker, "l", late(), now)
    assert isinstance(settled, Step)
    assert settled.breaker.state is State.CLOSED


def test_a_bad_delivery_reopens_and_the_next_may_close() -> None:
    arrival = machine.arrive(miss(fresh()).breaker, late("bad", Outcome.FAIL), LATER)
    breaker = arrival.step.breaker
    assert (breaker.state, breaker.reopened, breaker.overdue) == (State.OPEN, 1, ())
    assert machine.probe_due(breaker, LATER + HOUR)


@pytest.mark.parametrize(
    "other", [{"outcome": Outcome.INCONCLUSIVE}, {"confidence": Confidence.LOW}, {"confidence": Confidence.STALE}, {"released": True}]
)
def test_what_moves_no_breaker_ends_the_overdue_too(other: dict[str, object]) -> None:
    breaker = machine.arrive(miss(fresh()).breaker, late(**other), LATER).step.breaker
    assert (breaker.state, breaker.overdue) == (State.OPEN, ())
    assert machine.probe_due(breaker, LATER)


@pytest.mark.parametrize("overdue", [False, True])
def test_only_the_delivery_waited_for_ends_it(overdue: bool) -> None:
    breaker = miss(fresh(), missed(Severity.WARNING)).breaker
    after = machine.arrive(breaker, passing("a", delivers=not overdue), LATER).step.breaker
    assert bool(after.overdue) is overdue


def test_a_reset_closes_it_and_what_was_told_is_not_told_again() -> None:
    breaker = machine.reset(miss(fresh()).breaker, actor="ann", reason="holiday", now=LATER).breaker
    assert (breaker.state, breaker.overdue) == (State.CLOSED, (Overdue("sla.frequency", DUE, DUE),))
    assert isinstance(machine.miss(breaker, missed(), LATER), Refused)
    assert miss(breaker, missed(due=1), LATER).breaker.state is State.OPEN


def test_a_new_contract_version_lets_what_is_stored_be_probed() -> None:
    breaker = machine.adopt(miss(fresh()).breaker, "2.0.0", POLICY, LATER).breaker
    assert machine.probe_due(breaker, LATER)
    assert [each.tripped for each in breaker.overdue] == [False]


# --- other states and overrides ------------------------------------------------------------------------------------


def test_an_open_breaker_records_it_and_stays_as_it_is() -> None:
    before = opened()
    step = miss(before)
    assert step == Step(replace(before, overdue=(Overdue("sla.frequency", DUE, DUE),)))
    assert machine.probe_due(step.breaker, T0 + 30 * MINUTE), "its stored batch may still be probed"


def test_a_probe_that_is_running_keeps_its_lease() -> None:
    before, now = half_open()
    step = miss(before, now=now)
    assert step.breaker == replace(before, overdue=step.breaker.overdue)
    settled = machine.settle(step.breaker, "lease", passing("probe"), now)
    assert isinstance(settled, Step)
    assert settled.breaker.state is State.CLOSED


@pytest.mark.parametrize("kind", [OverrideKind.FORCE_CLOSED, OverrideKind.FORCE_OPEN])
def test_a_forced_breaker_records_it_only(kind: OverrideKind) -> None:
    before = forced(fresh(), kind)
    step = miss(before)
    assert (step.breaker, step.transitions) == (replace(before, overdue=(Overdue("sla.frequency", DUE, DUE),)), ())


def test_observe_only_shadows_it() -> None:
    step = miss(forced(fresh(), OverrideKind.OBSERVE_ONLY))
    assert [(change.to_state, change.shadow) for change in step.transitions] == [(State.OPEN, True)]
    assert not machine.enforced_open(step.breaker, T0)
    arrival = machine.arrive(step.breaker, late(), T0 + MINUTE)
    assert (arrival.status, arrival.step.breaker.overdue) == (Status.PUBLISHING, ())


def test_an_override_that_has_expired_is_cleared_first() -> None:
    step = miss(forced(fresh(), OverrideKind.FORCE_CLOSED, expires_at=T0 + MINUTE), now=LATER)
    assert [change.cause for change in step.transitions] == ["force_closed by ann expired", "sla.frequency: a delivery is missing"]
    assert (step.breaker.override, step.breaker.state) == (None, State.OPEN)


actions = st.lists(
    st.one_of(
        st.tuples(st.just("miss"), st.sampled_from(Severity), st.integers(0, 3)),
        st.tuples(st.just("arrive"), st.sampled_from(Outcome), st.booleans()),
        st.tuples(st.just("reset"), st.none(), st.none()),
        st.tuples(st.just("force"), st.sampled_from(OverrideKind), st.none()),
    ),
    max_size=12,
)


@given(actions, st.sampled_from([frozenset(), CRITICAL, frozenset(Severity)]))
def test_each_is_told_once_and_nobody_is_wedged(does: list[tuple[str, object, object]], trip_on: frozenset[Severity]) -> None:
    policy = replace(POLICY, trip_on=trip_on)
    breaker, now, told = fresh(policy), T0, -1
    for number, (what, first, second) in enumerate(does):
        now += timedelta(minutes=20)
        if what == "miss":
            step = machine.miss(breaker, missed(first, second), now)  # type: ignore[arg-type]
            assert isinstance(step, Step) is (second > told)  # type: ignore[operator]
            told = max(told, second)  # type: ignore[type-var]
            breaker = step.breaker if isinstance(step, Step) else breaker
        elif what == "arrive":
            arrival = machine.arrive(breaker, late(f"{number}", first, delivers=second), now)  # type: ignore[arg-type]
            breaker = arrival.step.breaker
            if second:
                told = -1
                assert breaker.overdue == ()
        elif what == "reset":
            breaker = machine.reset(breaker, actor="ann", reason="r", now=now).breaker
        else:
            breaker = machine.override(breaker, first, actor="ann", reason="r", now=now).breaker  # type: ignore[arg-type]
        assert not machine.awaits_delivery(breaker) or breaker.state is State.OPEN
    if breaker.override is None:
        good = machine.arrive(breaker, late("good", Outcome.PASS), now + 13 * HOUR)
        assert good.step.breaker.state is State.CLOSED
        assert good.status is Status.PUBLISHING


# --- which breakers are looked at ------------------------------------------------------------------------------------

moments = st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 30), timezones=st.just(UTC))  # noqa: DTZ001
cadences = st.builds(
    Cadence,
    st.timedeltas(MINUTE, timedelta(days=9)),
    st.timedeltas(timedelta(0), timedelta(days=1)),
    st.sampled_from([None, "0 6 * * *", "*/30 * * * *", "0 0 1 * *", "15 3 * * 1"]),
)
dues = st.builds(Due, st.times(), st.sampled_from(["UTC", "+05:30", "Europe/Berlin", "America/Santiago", "Asia/Beirut", "America/Havana"]))
windowed = st.none() | moments


@given(st.lists(cadences | dues, min_size=1, max_size=3), moments, windowed, st.lists(moments, max_size=4), moments)
def test_nothing_is_missing_where_nobody_looks(
    checks: list[Cadence | Due], came: datetime, window: datetime | None, ended: list[datetime], now: datetime
) -> None:
    last = Arrival(came, window)
    windows = sorted((end for end in ended if end <= now), reverse=True)
    gaps = [missing(check, arrivals=[last], windows=windows, now=now) for check in checks]
    assert quiet(checks, lambda: windows, now).may_miss(last) or gaps == [None] * len(checks)


def test_a_breaker_is_looked_at_only_once_something_is_missing() -> None:
    hourly = quiet([Cadence(HOUR, 10 * MINUTE)], list, T0)
    assert not hourly.may_miss(Arrival(T0 - HOUR - 10 * MINUTE))
    assert hourly.may_miss(Arrival(T0 - HOUR - 10 * MINUTE - timedelta(microseconds=1)))
    daily = quiet([Due(time(5))], lambda: [T0 - 6 * HOUR], T0)  # T0 is 06:00
    assert not daily.may_miss(Arrival(T0 - 6 * HOUR))
    assert daily.may_miss(Arrival(T0 - 7 * HOUR))
    assert not daily.may_miss(Arrival(T0 - 60 * HOUR, window_end=T0 - 6 * HOUR))
    assert daily.may_miss(Arrival(T0, window_end=T0 - 30 * HOUR))
