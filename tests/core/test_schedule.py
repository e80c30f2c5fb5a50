"""Cron schedules and time zones. Dagster's own cron is the peer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from dagster._utils.schedules import cron_string_iterator
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.schedule import read_cron, zone_of

DAY = timedelta(days=1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday

moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def fields(draw: st.DrawFn, low: int, high: int, *kinds: str) -> str:
    kind = draw(st.sampled_from(["*", "*", "one", "span", "list", *kinds]))
    first, last = sorted(draw(st.lists(st.integers(low, high), min_size=2, max_size=2, unique=True)))
    step = draw(st.integers(1, high - low))
    return {"*": "*", "one": f"{first}", "span": f"{first}-{last}", "step": f"*/{step}", "list": f"{first},{last}"}[kind]


weekdays = st.sampled_from(["*", "*", "0", "3", "1-5", "2,6", "7"])
# Days have no steps here: whether */2 restricts a day field is told differently by crontab(5), which we follow, and by Dagster.
crons = st.tuples(fields(0, 59, "step"), fields(0, 23, "step"), fields(1, 28), fields(1, 12, "step"), weekdays).map(" ".join)


@given(crons, moments)
def test_the_next_moment_is_the_one_that_dagster_finds(text: str, moment: datetime) -> None:
    found = read_cron(text).after(moment)
    theirs = (tick for tick in cron_string_iterator(moment.timestamp(), text, "UTC") if tick > moment)
    assert found == next(theirs)


@given(crons, moments)
def test_before_and_after_have_nothing_between_them(text: str, moment: datetime) -> None:
    cron = read_cron(text)
    before, after = cron.at_or_before(moment), cron.after(moment)
    assert before <= moment < after
    assert cron.after(before) == after
    assert cron.at_or_before(after) == after


@pytest.mark.parametrize(
    ("text", "after", "shortest", "longest"),
    [
        ("0 6 * * 1-5", datetime(2026, 11, 23, 6, tzinfo=UTC), DAY, 3 * DAY),
        ("0 6 * * MON-FRI", datetime(2026, 11, 23, 6, tzinfo=UTC), DAY, 3 * DAY),
        ("0 0 * * 7", datetime(2026, 11, 22, tzinfo=UTC), 7 * DAY, 7 * DAY),
        ("0 0 1 * ?", datetime(2026, 12, 1, tzinfo=UTC), 28 * DAY, 31 * DAY),
        ("0 0 29 2 *", datetime(2028, 2, 29, tzinfo=UTC), 1461 * DAY, 1461 * DAY),
        ("@hourly", datetime(2026, 11, 20, 13, tzinfo=UTC), DAY / 24, DAY / 24),
        ("0 0 */2 * 5", datetime(2026, 11, 27, tzinfo=UTC), 7 * DAY, 21 * DAY),  # Fridays of odd days: a field with * restricts no day
        ("0 12 * jan,Dec *", datetime(2026, 12, 1, 12, tzinfo=UTC), DAY, 305 * DAY),
    ],
)
def test_schedules(text: str, after: datetime, shortest: timedelta, longest: timedelta) -> None:
    cron = read_cron(text)
    assert (cron.after(NOON), cron.shortest, cron.longest) == (after, shortest, longest)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected 5 fields"),
        ("* * * *", "expected 5 fields such as 0 6 * * 1-5, found 4"),
        ("0 0 0 * * *", "found 6"),
        ("@reboot", "found 1"),
        ("0 30 * * *", 'hour "30" is not one of 0 to 23'),
        ("60 * * * *", "minute"),
        ("0 0 0 * *", "day of month"),
        ("0 0 L * *", '"L" is not one of'),
        ("0 0 * * 5#2", "day of week"),
        ("0 5-3 * * *", "runs backwards"),
        ("*/0 * * * *", "minute"),
        ("0 0 30 2 *", "no month of it has such a day"),
        ("0 0 * * mondays", "day of week"),
        ("\u0660 0 * * *", "minute"),
    ],
)
def test_what_is_no_schedule_says_why(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="cron") as error:
        read_cron(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("name", "hours"),
    [("UTC", 0), ("z", 0), ("", 0), ("-08:00", -8), ("+0530", 5.5), ("+2", 2), ("UTC+1", 1), ("Europe/Rome", 1), ("Asia/Kolkata", 5.5)],
)
def test_zones_by_name_and_by_offset(name: str, hours: float) -> None:
    assert zone_of(name).utcoffset(NOON.replace(tzinfo=None)) == timedelta(hours=hours)


@pytest.mark.parametrize("name", ["Nowhere", "../passwd", "Europe", "-99:00", "+01:75", "CET please"])
def test_what_is_no_zone_says_so(name: str) -> None:
    with pytest.raises(ValueError, match="is no time zone"):
        zone_of(name)
