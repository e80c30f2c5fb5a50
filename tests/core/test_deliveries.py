"""When batches come: too early, too late, not at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.contract import Clause, Severity
from dagster_contracts.core.deliveries import Gap, Told, expected, is_new, missing, observed
from dagster_contracts.core.judge import judge
from dagster_contracts.core.plan import Cadence, Due, InForce, Plan, Rule
from dagster_contracts.core.verdict import Arrival, Column, Measurement, Outcome, Past

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MINUTE, TICK = timedelta(minutes=1), timedelta(microseconds=1)
START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
DAILY = Cadence(DAY, 6 * HOUR)


def at(day: float, hour: float = 0) -> datetime:
    """Day 1, 6 o'clock is at(1, 6)."""
    return START + (day - 1) * DAY + hour * HOUR


def arrived(*times: datetime) -> tuple[Arrival, ...]:
    """Without windows; given in their order, as the ledger gives them newest first."""
    return tuple(Arrival(moment) for moment in reversed(times))


def delivered(*of: tuple[datetime, datetime]) -> tuple[Arrival, ...]:
    """(arrival, end of the window)."""
    return tuple(Arrival(moment, end) for moment, end in reversed(of))


def told(
    check: Cadence | Due | InForce, as_of: datetime, arrivals: Sequence[Arrival] = (), *, end: datetime | None = None, head: bool = True
) -> Told | str:
    return observed(check, as_of=as_of, head=head, past=Past(arrivals=tuple(arrivals), window_end=end))


def held(check: Cadence | Due | InForce, as_of: datetime, arrivals: Sequence[Arrival] = (), *, end: datetime | None = None) -> bool:
    found = told(check, as_of, arrivals, end=end)
    assert isinstance(found, Told), found
    return found.held


# --- cadence without windows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "kept", "says"),
    [
        (24, True, "1 d after the one before"),
        (18, True, "18 h after the one before"),
        (30, True, "1 d 6 h after the one before"),
        (17.99, False, "17 h 59 min after the one before: too early"),
        (31, False, "1 d 7 h after the one before: 7 h late"),
        (24 * 5, False, "5 d after the one before: 4 d late"),
    ],
)
def test_a_batch_is_early_on_time_or_late(hours: float, kept: bool, says: str) -> None:
    found = told(DAILY, at(1) + hours * HOUR, arrived(at(1)))
    assert found == Told(kept, says, late="late" in says)


def test_the_bounds_belong_to_the_promise() -> None:
    assert [held(DAILY, at(1) + span, arrived(at(1))) for span in (18 * HOUR, 18 * HOUR - TICK)] == [True, False]
    assert [held(DAILY, at(1) + span, arrived(at(1))) for span in (30 * HOUR, 30 * HOUR + TICK)] == [True, False]


def test_daily_turned_hourly_is_told_as_such() -> None:
    came = [at(1), at(2), at(3)]
    words = []
    for hour in range(1, 5):
        now = at(3, hour)
        found = told(DAILY, now, arrived(*came))
        assert isinstance(found, Told)
        words.append((found.held, found.observed))
        came.append(now)
    assert words == [
        (False, "1 h after the one before: too early"),
        (False, "3 batches within 2 h: too early"),
        (False, "4 batches within 3 h: too early"),
        (False, "5 batches within 4 h: too early"),
    ]


def test_the_first_batch_has_nothing_to_be_compared_with() -> None:
    assert told(DAILY, at(1)) == "the first batch: there is none before it to compare with"


def test_a_backfill_is_not_judged() -> None:
    for check in (DAILY, Due(time(9)), InForce(end=at(0))):
        assert "backfill" in str(told(check, at(9), arrived(at(1)), head=False))


@pytest.mark.parametrize(("months", "kept"), [((1, 31), True), ((2, 28), True), ((4, 30), True)])
def test_months_of_every_length_keep_a_monthly_promise(months: tuple[int, int], kept: bool) -> None:
    month, days = months
    first = datetime(2026, month, 1, tzinfo=UTC)
    assert held(Cadence(30 * DAY, 7.5 * DAY), first + days * DAY, arrived(first)) is kept


@pytest.mark.parametrize("day", [datetime(2026, 3, 28), datetime(2026, 10, 24)])  # noqa: DTZ001
def test_days_of_23_and_25_hours_keep_a_daily_promise(day: datetime) -> None:
    rome = ZoneInfo("Europe/Rome")
    before, after = day.replace(hour=6, tzinfo=rome), (day + DAY).replace(hour=6, tzinfo=rome)
    first, second = before.astimezone(UTC), after.astimezone(UTC)
    assert second - first in (23 * HOUR, 25 * HOUR)
    assert held(DAILY, second, arrived(first))
    assert held(DAILY, second, delivered((first, first - 5 * HOUR)), end=second - 5 * HOUR)


# --- cadence with windows ------------------------------------------------------------------------------------------


def test_the_same_window_again_is_no_breach() -> None:
    came = delivered((at(2, 1), at(2)), (at(3, 1), at(3)))
    assert told(DAILY, at(3, 2), came, end=at(3)) == Told(True, "its window was delivered before: delivered again")


def test_a_redelivery_does_not_count_for_the_next() -> None:
    came = delivered((at(2, 1), at(2)), (at(2, 23), at(2)))
    assert held(DAILY, at(3, 1), came, end=at(3))


def test_a_window_out_of_turn_is_not_judged() -> None:
    came = delivered((at(3, 1), at(3)))
    assert "came before it" in str(told(DAILY, at(3, 2), came, end=at(2)))


def test_catching_up_is_no_breach_though_the_first_of_it_is_late() -> None:
    came = [(at(2, 1), at(2))]
    first = told(DAILY, at(5, 1), delivered(*came), end=at(3))
    assert first == Told(False, "3 d after the one before: 2 d late", late=True)
    came.append((at(5, 1), at(3)))
    second = told(DAILY, at(5, 2), delivered(*came), end=at(4))
    assert second == Told(True, "1 h after the one before, of the window that follows: catching up")
    came.append((at(5, 2), at(4)))
    assert held(DAILY, at(5, 3), delivered(*came), end=at(5))


def test_hourly_windows_break_a_daily_promise() -> None:
    came = delivered((at(2, 0.1), at(2)), (at(2, 1.1), at(2, 1)))
    assert told(DAILY, at(2, 2.1), came, end=at(2, 2)) == Told(False, "3 batches within 2 h: too early")


# --- cadence by a schedule -----------------------------------------------------------------------------------------

WEEKDAYS = Cadence(DAY, 6 * HOUR, "0 6 * * 1-5")


@pytest.mark.parametrize(
    ("before", "now", "kept"),
    [
        (at(5, 6.2), at(8, 6.1), True),  # Friday to Monday
        (at(5, 6.2), at(6, 6.1), False),  # Saturday
        (at(5, 6.2), at(8, 13), False),
        (at(1, 6), at(2, 5), True),  # an hour before its time
        (at(1, 5), at(2, 6), True),
        (at(1, 6), at(1, 7), False),
        (at(1, 6), at(3, 6), False),
    ],
)
def test_a_schedule_knows_the_days_off(before: datetime, now: datetime, kept: bool) -> None:
    assert held(WEEKDAYS, now, arrived(before)) is kept


# --- time of availability ------------------------------------------------------------------------------------------

NINE = Due(time(9))
PACIFIC = Due(time(9), "-08:00")


@pytest.mark.parametrize(
    ("check", "now", "end", "kept"),
    [
        (NINE, at(2, 9), at(2), True),
        (NINE, at(2, 9) + TICK, at(2), False),
        (NINE, at(2, 1), at(2), True),
        (NINE, at(3, 8), at(2), False),
        (NINE, at(3, 8), at(2, 9), True),  # a window that ends at nine is due the next day
        (PACIFIC, at(2, 17), at(2, 8), True),
        (PACIFIC, at(2, 18), at(2, 8), False),
        (PACIFIC, at(2, 16), at(2), True),  # a window of a day in UTC is over at 16:00 there
    ],
)
def test_a_window_is_due_at_the_next_such_time_after_its_end(check: Due, now: datetime, end: datetime, kept: bool) -> None:
    assert held(check, now, end=end) is kept


def test_lateness_is_told() -> None:
    late = told(NINE, at(2, 11.5), end=at(2))
    assert late == Told(False, "arrived at 2026-03-03T11:30:00Z, due at 2026-03-03T09:00:00Z: 2 h 30 min late", late=True)


@pytest.mark.parametrize(
    ("came", "now", "kept"),
    [
        ([at(1, 8)], at(2, 8.9), True),
        ([at(1, 8)], at(2, 10), False),
        ([at(1, 10)], at(2, 10), False),  # an hour late each day is late each day
        ([at(1, 8), at(2, 8)], at(2, 15), True),  # again in the afternoon
        ([], at(1, 8), True),
    ],
)
def test_without_windows_one_batch_of_the_day_is_enough(came: list[datetime], now: datetime, kept: bool) -> None:
    assert held(NINE, now, arrived(*came)) is kept


def test_the_first_batch_of_all_is_not_late() -> None:
    assert "first batch" in str(told(NINE, at(1, 15)))


@pytest.mark.parametrize(("day", "utc"), [(28, 8), (29, 7)])
def test_a_zone_with_daylight_saving(day: int, utc: int) -> None:
    """29 March 2026: Rome goes to summer time."""
    check = Due(time(9), "Europe/Rome")
    end = datetime(2026, 3, day, tzinfo=ZoneInfo("Europe/Rome")).astimezone(UTC)
    due = datetime(2026, 3, day, utc, tzinfo=UTC)
    assert [held(check, moment, end=end) for moment in (due, due + TICK)] == [True, False]


# --- in force ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "now", "kept"),
    [
        (InForce(start=at(2)), at(2) - TICK, False),
        (InForce(start=at(2)), at(2), True),
        (InForce(end=at(2)), at(2) - TICK, True),
        (InForce(end=at(2)), at(2), False),
    ],
)
def test_support_begins_and_ends(check: InForce, now: datetime, kept: bool) -> None:
    assert held(check, now) is kept


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (DAILY, "one batch every 1 d, give or take 6 h"),
        (WEEKDAYS, "one batch at each moment of 0 6 * * 1-5 (UTC), give or take 6 h"),
        (PACIFIC, "a batch by 09:00 -08:00"),
        (Due(time(9, 0, 30)), "a batch by 09:00:30 UTC"),
        (InForce(start=at(1)), "batches from 2026-03-02T00:00:00Z on"),
        (InForce(end=at(1)), "batches before 2026-03-02T00:00:00Z"),
    ],
)
def test_what_is_expected_in_words(check: Cadence | Due | InForce, words: str) -> None:
    assert expected(check) == words


# --- in a verdict --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("severity", "hours", "outcome"),
    [
        (Severity.WARNING, 1, Outcome.WARN),
        (Severity.ERROR, 1, Outcome.FAIL),
        (Severity.CRITICAL, 1, Outcome.FAIL),
        (Severity.CRITICAL, 48, Outcome.WARN),  # refusing what is late would make it later
        (Severity.INFO, 48, Outcome.PASS),
        (Severity.CRITICAL, 24, Outcome.PASS),
    ],
)
def test_late_is_at_most_a_warning(severity: Severity, hours: int, outcome: Outcome) -> None:
    plan = Plan("c", "1.0.0", "feed", (Rule("sla.frequency", Clause.FRESHNESS, severity, DAILY),))
    measured = Measurement(1, (Column("a", "String"),), {})
    verdict = judge(plan, measured, {}, as_of=at(1) + hours * HOUR, head=True, past=Past(arrivals=arrived(at(1))))
    assert verdict.outcome is outcome
    assert verdict.executed_rules == {"sla.frequency"}


# --- what does not arrive ------------------------------------------------------------------------------------------


def gap(check: Cadence | Due, now: datetime, came: Sequence[Arrival], windows: Sequence[datetime] = ()) -> Gap | None:
    return missing(check, arrivals=came, windows=windows, now=now)


@pytest.mark.parametrize(
    ("check", "now", "since", "due"),
    [
        (DAILY, at(2, 12), None, None),
        (DAILY, at(2, 12) + TICK, at(2, 6), at(2, 6)),
        (DAILY, at(3, 12), at(2, 6), at(2, 6)),
        (DAILY, at(3, 12) + TICK, at(2, 6), at(3, 6)),
        (DAILY, at(9, 13), at(2, 6), at(9, 6)),
        (WEEKDAYS, at(2, 12), None, None),
        (WEEKDAYS, at(2, 13), at(2, 6), at(2, 6)),
        (WEEKDAYS, at(8, 11), at(2, 6), at(5, 6)),  # nothing was due on the weekend
        (NINE, at(1, 23), None, None),
        (NINE, at(2, 9), None, None),
        (NINE, at(2, 9) + TICK, at(2, 9), at(2, 9)),
        (NINE, at(5, 8), at(2, 9), at(4, 9)),
    ],
)
def test_missing_without_windows(check: Cadence | Due, now: datetime, since: datetime | None, due: datetime | None) -> None:
    found = gap(check, now, arrived(at(1, 6)))
    assert found == (Gap(at(1, 6), since, due) if since and due else None)


def test_nothing_is_missing_before_the_first_delivery() -> None:
    assert gap(DAILY, at(9), ()) is None
    assert gap(NINE, at(9), (), [at(9), at(8)]) is None


@pytest.mark.parametrize(
    ("now", "since", "due"),
    [(at(3, 9), None, None), (at(3, 9) + TICK, at(3, 9), at(3, 9)), (at(5, 8), at(3, 9), at(4, 9)), (at(5, 10), at(3, 9), at(5, 9))],
)
def test_missing_windows(now: datetime, since: datetime | None, due: datetime | None) -> None:
    over = [at(day) for day in (5, 4, 3, 2, 1) if at(day) <= now]
    found = gap(NINE, now, delivered((at(2, 1), at(2))), over)
    assert found == (Gap(at(2, 1), since, due) if since and due else None)


def test_a_redelivery_is_not_the_delivery_that_is_missing() -> None:
    came = delivered((at(2, 1), at(2)), (at(3, 5), at(2)))
    assert gap(DAILY, at(3, 8), came) == Gap(at(2, 1), at(3, 1), at(3, 1))
    assert gap(NINE, at(3, 10), came, [at(3), at(2)]) == Gap(at(2, 1), at(3, 9), at(3, 9))


def test_a_gap_in_words() -> None:
    one = Gap(at(1, 6), at(2, 6), at(2, 6))
    assert str(one) == "a delivery was due at 2026-03-03T06:00:00Z and has not arrived; the last came at 2026-03-02T06:00:00Z"
    assert str(Gap(at(1, 6), at(2, 6), at(4, 6))).endswith("; the latest missing was due at 2026-03-05T06:00:00Z")


@pytest.mark.parametrize(
    ("end", "came", "new"),
    [(None, (), True), (None, arrived(at(1)), True), (at(2), (), True)]
    + [(at(day), delivered((at(3, 1), at(3)), (at(3, 2), at(2))), day > 3) for day in (2, 3, 4)],
)
def test_what_is_a_delivery_of_its_own(end: datetime | None, came: tuple[Arrival, ...], new: bool) -> None:
    assert is_new(end, came) is new


# --- over any history ----------------------------------------------------------------------------------------------

spans = st.timedeltas(timedelta(0), 10 * DAY)
cadences = st.one_of(
    st.builds(Cadence, st.timedeltas(MINUTE, 40 * DAY), st.timedeltas(timedelta(0), 20 * DAY)),
    st.builds(Cadence, st.just(HOUR), spans, st.sampled_from(["0 6 * * 1-5", "*/10 * * * *", "0 0 1 * *"])),
)
dues = st.builds(Due, st.times(), st.sampled_from(["UTC", "-08:00", "Europe/Rome", "America/New_York"]))
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(cadences, moments, st.lists(spans, max_size=5), spans)
def test_what_is_missing_is_late_when_it_comes(check: Cadence, first: datetime, gaps: list[timedelta], pause: timedelta) -> None:
    came = [first]
    for span in gaps:
        came.append(came[-1] + span)
    now = came[-1] + pause
    found, batch = gap(check, now, arrived(*came)), told(check, now, arrived(*came))
    assert isinstance(batch, Told)
    assert (found is not None) == batch.late
    if found is not None:
        assert came[-1] < found.since <= found.due < now - check.tolerance
        assert gap(check, found.due + check.tolerance + TICK, arrived(*came)) == found, "told from its deadline on"


@given(dues, moments, st.integers(0, 5), spans)
def test_a_due_window_is_missing_exactly_when_it_would_be_late(check: Due, first: datetime, ahead: int, pause: timedelta) -> None:
    came = delivered((first + HOUR, first))
    end = first + (ahead + 1) * DAY
    now = end + pause
    found, batch = gap(check, now, came, [end]), told(check, now, came, end=end)
    assert isinstance(batch, Told)
    assert (found is not None) == (not batch.held)


@given(dues, moments, spans)
def test_a_day_is_missed_once_its_time_has_passed(check: Due, first: datetime, pause: timedelta) -> None:
    found = gap(check, first + pause, arrived(first))
    if found is not None:
        assert first < found.since <= found.due < first + pause
        assert found.since.tzinfo is found.due.tzinfo is UTC
        later = gap(check, found.due + TICK, arrived(first))
        assert later == found
    else:
        assert pause < 2 * DAY + HOUR


@given(st.one_of(cadences, dues), moments, st.lists(st.tuples(spans, st.integers(-1, 2)), max_size=6), spans)
def test_every_history_of_windows_is_judged(
    check: Cadence | Due, first: datetime, steps: list[tuple[timedelta, int]], pause: timedelta
) -> None:
    came, end = [(first, first - HOUR)], first - HOUR
    for span, days in steps:
        end += days * DAY
        came.append((came[-1][0] + span, end))
    now = came[-1][0] + pause
    found = told(check, now, delivered(*came), end=end + DAY)
    assert isinstance(found, Told | str)
    newest = max(window for _, window in came)
    assert held(check, now, delivered(*came), end=newest), "delivered again"
    assert is_new(newest + TICK, delivered(*came))
    assert not is_new(newest, delivered(*came))
