"""Dates, timestamps and times of day: within bounds and ages, as typed values or as text in the format of the contract."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from dagster_contracts.core.metrics import OutOfRange
from dagster_contracts.core.plan import Fresh
from dagster_contracts.engines.bounds import as_instant, as_time
from dagster_contracts.mocking.wanted import Wanted

_DAY, _SECOND, _TICK = timedelta(days=1), timedelta(seconds=1), timedelta(microseconds=1)
_USUAL = timedelta(days=30)
_FIRST, _LAST = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001 - naive UTC, as bounds are
_SPELLINGS = {
    "date": ("%Y-%m-%d", "%Y-%m-%dT00:00:00", "%Y-%m-%dT00:00:00Z"),
    "timestamp": (
        "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%3fZ",
        "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%S.%3f", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M", "%Y-%m-%d",
    ),
    "time": ("%H:%M:%S", "%H:%M:%SZ", "%H:%M:%S+00:00", "%H:%M", "%H:%MZ", "%H:%M:%S.%3f", "%H:%M:%S.%f"),
}  # fmt: skip
_OFFSETS = ("Z", "+00:00", "+0000", "+00")
Timely = date | datetime | time


def values(wanted: Wanted, random: Random, need: int, now: datetime) -> list[Timely]:
    """Up to `need` different ones. Timestamps are naive UTC, or local to the time zone of values without one."""
    if wanted.kind == "time":
        return _clocks(wanted, random, need)
    found = _instants(wanted, random, need, now.astimezone(UTC).replace(tzinfo=None, microsecond=0))
    zone = wanted.text.zone if wanted.text else "UTC"
    if wanted.kind == "date":
        return [moment.date() for moment in found]
    if zone == "UTC" or wanted.zoned:
        return list(found)
    local = (moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in found)
    return list(dict.fromkeys(local))


def _clocks(wanted: Wanted, random: Random, need: int) -> list[Timely]:
    low, high = 0, 86_399
    for metric in wanted.metrics:
        if isinstance(metric, OutOfRange):
            if (least := as_time(str(metric.minimum))) is not None:
                low = max(low, -(-_ticks(least) // 1_000_000) + metric.exclusive_minimum)
            if (most := as_time(str(metric.maximum))) is not None:
                high = min(high, _ticks(most) // 1_000_000 - metric.exclusive_maximum)
    taken = [] if high < low else _some(random, low, high, need)
    return [time(second // 3600, second // 60 % 60, second % 60) for second in taken]


def _ticks(clock: time) -> int:
    return ((clock.hour * 60 + clock.minute) * 60 + clock.second) * 1_000_000 + clock.microsecond


def _some(random: Random, low: int, high: int, need: int) -> list[int]:
    """Up to `need` numbers, the highest among them: it is what is newest."""
    if high - low + 1 <= need:
        found = list(range(low, high + 1))
        random.shuffle(found)
        return found
    return [high, *random.sample(range(low, high), need - 1)]


def _instants(wanted: Wanted, random: Random, need: int, now: datetime) -> list[datetime]:
    unit = _DAY if wanted.kind == "date" else _SECOND
    low, high = _window(wanted, now, unit, need)
    if high < low:
        return []
    if (high - low) // unit + 1 < need and unit != _DAY:
        unit = _TICK
    return [low + unit * step for step in _some(random, 0, (high - low) // unit, need)]


def _window(wanted: Wanted, now: datetime, unit: timedelta, need: int) -> tuple[datetime, datetime]:
    low, high = _bounds(wanted, now, unit)
    fresh = [check.maximum_age for check in wanted.fresh if isinstance(check, Fresh)]
    start = now - (min(fresh) / 2 if fresh else max(_USUAL, 2 * need * unit))
    if fresh and unit == _DAY:
        start = max(_up(now - min(fresh), _DAY), min(start, now - _DAY))
    end = max(now, _up(start, unit)) if fresh else now
    first, last = max(low, start), min(high, end)
    if first > last and not fresh:
        usual = max(_USUAL, 2 * need * unit)
        first, last = (low, min(high, _capped(low, usual))) if low > end else (max(low, _capped(high, -usual)), high)
    return _up(first, unit), _down(last, unit)


def _capped(moment: datetime, span: timedelta) -> datetime:
    try:
        return min(_LAST, max(_FIRST, moment + span))
    except OverflowError:
        return _LAST if span > timedelta(0) else _FIRST


def _bounds(wanted: Wanted, now: datetime, unit: timedelta) -> tuple[datetime, datetime]:
    zone = wanted.text.zone if wanted.text else "UTC"
    low, high = _FIRST, _LAST
    for metric in wanted.metrics:
        if isinstance(metric, OutOfRange):
            if (least := as_instant(str(metric.minimum), zone)) is not None:
                low = max(low, least + (unit if metric.exclusive_minimum else timedelta(0)))
            if (most := as_instant(str(metric.maximum), zone)) is not None:
                high = min(high, most - (unit if metric.exclusive_maximum else timedelta(0)))
    for check in wanted.fresh:
        if not isinstance(check, Fresh):
            low = max(low, _capped(now, -check.maximum_age * 0.9))
    return low, high


def _up(moment: datetime, unit: timedelta) -> datetime:
    below = _down(moment, unit)
    return below if below == moment else below + unit


def _down(moment: datetime, unit: timedelta) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) if unit == _DAY else moment.replace(microsecond=0)


# --- as text -------------------------------------------------------------------------------------------------------


def spellings(wanted: Wanted, found: Sequence[Timely]) -> Iterator[list[str]]:
    """The values as text, in each way in which they may be written."""
    directives = wanted.text.directives if wanted.text else None
    forms = (directives,) if directives else _SPELLINGS[wanted.kind or "timestamp"]
    for form in forms:
        if "z" not in re.sub("[^z%]", "", form):
            yield [_spelled(value, form, "") for value in found]
        else:
            yield from ([_spelled(value, form, offset) for value in found] for offset in _OFFSETS)


def _spelled(value: Timely, form: str, offset: str) -> str:
    """By the directives that Polars reads: chrono's, of which Python knows most."""
    moment = value if isinstance(value, datetime) else datetime.combine(*(value, time()) if isinstance(value, date) else (date.min, value))
    digits = f"{moment.microsecond:06d}000"
    form = re.sub("%[:#]?z", offset.replace("%", "%%"), form)
    form = re.sub(r"%(\.?)([369])f", lambda found: found[1] + digits[: int(found[2])], form).replace("%.f", f".{digits[:6]}")
    return moment.strftime(form.replace("%Y", f"{moment.year:04d}"))
