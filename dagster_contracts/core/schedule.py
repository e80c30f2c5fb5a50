"""When things are due: cron schedules, and time zones by name or by offset. Pure.

Cron is that of crontab(5): five fields (minute, hour, day of month, month, day of week), `*`, lists, ranges, steps, English names, 7 for
Sunday, and the words @hourly to @yearly. Where both day fields are restricted (do not begin with `*`), either may fit. Extensions
(seconds, `L`, `#`) are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_NAMES = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "day of week": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?([0-5]\d))?", re.ASCII | re.IGNORECASE)
_DAY = timedelta(days=1)
_ROUND = 8 * 366  # days within which every schedule comes round: 29 February over a century that has none


def zone_of(name: str) -> tzinfo:
    """The zone of a name (Europe/Rome, UTC, Z) or an offset (-08:00, +0530). Raises ValueError."""
    if name.upper() in ("", "Z", "UTC", "GMT"):
        return UTC
    if found := _OFFSET.fullmatch(name):
        span = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        if span < _DAY:
            return timezone(-span if found[1] == "-" else span)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, a path outside of the database, a directory of it
        raise ValueError(f'"{name[:80]}" is no time zone; expected a name such as Europe/Rome, or an offset such as -08:00') from None


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule, in UTC."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # Sunday is 0
    either_day: bool  # both day fields are restricted

    def after(self, moment: datetime) -> datetime:
        """The first moment of the schedule later than `moment`."""
        return next(tick for tick in self._forwards(moment) if tick > moment)

    def at_or_before(self, moment: datetime) -> datetime:
        """The last moment of the schedule not later than `moment`."""
        return next(tick for tick in self._backwards(moment) if tick <= moment)

    @property
    def shortest(self) -> timedelta:
        """The shortest time between two moments that follow each other, of the first thousand from 2024 on."""
        return min(self._gaps())

    @property
    def longest(self) -> timedelta:
        """The longest, as `shortest`."""
        return max(self._gaps())

    def _gaps(self) -> list[timedelta]:
        ticks = list(islice(self._forwards(datetime(2024, 1, 1, tzinfo=UTC)), 1000))
        return [later - earlier for earlier, later in pairwise(ticks)]

    def _forwards(self, moment: datetime) -> Iterator[datetime]:
        first = moment.astimezone(UTC).date()
        for number in range(_ROUND):
            if self._fits(day := first + number * _DAY):
                yield from (_moment(day, hour, minute) for hour in self.hours for minute in self.minutes)

    def _backwards(self, moment: datetime) -> Iterator[datetime]:
        last = moment.astimezone(UTC).date()
        for number in range(_ROUND):
            if self._fits(day := last - number * _DAY):
                yield from (_moment(day, hour, minute) for hour in reversed(self.hours) for minute in reversed(self.minutes))

    def _fits(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (of_month or of_week) if self.either_day else (of_month and of_week)


def _moment(day: date, hour: int, minute: int) -> datetime:
    return datetime.combine(day, time(hour, minute), UTC)


@lru_cache(maxsize=512)
def read_cron(text: str) -> Cron:
    """The schedule that `text` is. Raises ValueError that says what is wrong with it."""
    given = _WORDS.get(text.strip().lower(), text).split()
    if len(given) != len(_FIELDS):
        raise ValueError(f'"{text[:80]}" is no cron schedule: expected 5 fields such as 0 6 * * 1-5, found {len(given)}')
    minutes, hours, days, months, weekdays = (
        frozenset(_values(field, name, low, high)) for field, (name, low, high) in zip(given, _FIELDS, strict=True)
    )
    if not any(min(days) <= _longest(month) for month in months) and given[4][0] in "*?":
        raise ValueError(f'"{text[:80]}" is no cron schedule: no month of it has such a day')
    either = given[2][0] not in "*?" and given[4][0] not in "*?"
    in_week = frozenset(weekday % 7 for weekday in weekdays)
    return Cron(text.strip(), tuple(sorted(minutes)), tuple(sorted(hours)), days, months, in_week, either)


def _longest(month: int) -> int:
    return 29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31


def _values(field: str, name: str, low: int, high: int) -> Iterator[int]:
    for part in field.split(","):
        span, _, step = part.partition("/")
        every = _number(step, name, 1, high) if step else 1
        if span in ("*", "?"):
            first, last = low, high if name != "day of week" else 6
        else:
            start, _, end = span.partition("-")
            first = _number(start, name, low, high)
            last = _number(end, name, low, high) if end else high if step else first
        if first > last:
            raise ValueError(f"cron: {name} {span} runs backwards")
        yield from range(first, last + 1, every)


def _number(text: str, name: str, low: int, high: int) -> int:
    names = _NAMES.get(name, [])
    if text.lower() in names:
        return names.index(text.lower()) + low
    if text.isascii() and text.isdigit() and low <= int(text) <= high:
        return int(text)
    raise ValueError(f'cron: {name} "{text[:20]}" is not one of {low} to {high}')
