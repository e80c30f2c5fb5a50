"""What failing values look like: epoch seconds, day and month swapped, another time zone. Pure; quotes no value.

A reading is told where at least nine of ten of the values that are looked at have it. It is a hint for people: no verdict rests on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from dagster_contracts.core.metrics import Metric, Nested, Newest, NotIn, Oldest, OutOfRange, TimeText, TypeBreaches

_ENOUGH = 0.9
_EARLIEST, _LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_UNITS = (("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))
_EXCEL = (32_874, 73_051)  # 1990 to 2100 in days of Excel
_DIGITS = re.compile(r"\s*[+-]?[0-9]+(?:\.[0-9]*)?\s*", re.ASCII)  # the blanks that float() takes
_COMMA = re.compile(r"\s*[+-]?(?:[0-9]+|[0-9]{1,3}(?:[. '’][0-9]{3})+),[0-9]+\s*")
_BASIC = re.compile("(?:19|20)[0-9]{6}")
_ISO_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(.*)", re.DOTALL)
_WRITTEN = re.compile(r"([0-9]{1,4})([./-])([0-9]{1,2})\2([0-9]{1,4})(?:[ T,].*)?", re.DOTALL)
_OFFSET = re.compile(r".*[0-9]{2}:[0-9]{2}.*?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)", re.DOTALL)
_CLOCK = re.compile(r".*[0-9]{2}:[0-9]{2}.*", re.DOTALL)


def reading(metric: Metric, values: Sequence[tuple[object, int]]) -> str:
    """What the values that break `metric`, each with its count, look like; empty where nothing is recognized."""
    if isinstance(metric, Nested):
        return reading(metric.metric, values)
    told = _readings(metric)
    return next((name for name, holds in told if _mostly(values, holds)), "")


def _mostly(values: Sequence[tuple[object, int]], holds: Callable[[object], bool]) -> bool:
    every = sum(times for _, times in values)
    return every > 0 and sum(times for value, times in values if holds(value)) >= _ENOUGH * every


_Reading = tuple[str, Callable[[object], bool]]


def _readings(metric: Metric) -> Iterator[_Reading]:
    match metric:
        case TypeBreaches(logical_type="date" | "timestamp"):
            yield from _epochs()
            yield from _zones(metric)
            yield from _orders(metric)
        case TypeBreaches(logical_type="time"):
            yield from _zones(metric)
        case Newest() | Oldest():
            yield from _epochs()
            yield from _other_dates(metric.text)
        case OutOfRange(minimum=str()) | OutOfRange(maximum=str()):
            yield from _epochs()
            yield "dates with day and month swapped", lambda value: _fits_swapped(metric, value)
            yield from _other_dates(metric.text)
        case TypeBreaches(logical_type="number" | "integer") | OutOfRange():
            yield "numbers with a decimal comma", lambda value: isinstance(value, str) and _COMMA.fullmatch(value) is not None
        case NotIn(values=listed):
            yield from _spellings([text for text in listed if isinstance(text, str)])


# --- numbers in place of dates -------------------------------------------------------------------------------------


def _epochs() -> Iterator[_Reading]:
    for name, factor in _UNITS:
        low, high = (moment.timestamp() * factor for moment in (_EARLIEST, _LATEST))
        yield f"epoch {name}", lambda value, low=low, high=high: _between(value, low, high)  # type: ignore[misc]
    yield "Excel serial dates", lambda value: _between(value, *_EXCEL)


def _between(value: object, low: float, high: float) -> bool:
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = float(value)
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool) and low <= value < high


# --- time zones ----------------------------------------------------------------------------------------------------


def _zones(metric: TypeBreaches) -> Iterator[_Reading]:
    if metric.zoned is True:
        yield "times without a time zone", lambda value: _is_clocked(value) and not _offset(value)
    elif metric.zoned is False:
        yield "times with a time zone", lambda value: bool(_offset(value))
    elif metric.text is not None and metric.text.pattern is not None and metric.logical_type != "date":
        pattern = metric.text.pattern
        yield "times with another time zone", lambda value: bool(_offset(value)) and _matches_with_other_offset(pattern, value)


def _is_clocked(value: object) -> bool:
    return isinstance(value, datetime | time) or (isinstance(value, str) and _CLOCK.fullmatch(value) is not None)


def _offset(value: object) -> str:
    """The time zone of a time, as it is written; empty where it has none."""
    if isinstance(value, datetime | time):
        return str(value.tzinfo or "")
    found = _OFFSET.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else ""


def _matches_with_other_offset(pattern: str, value: object) -> bool:
    text, found = str(value), _offset(value)
    return any(re.search(pattern, text[: -len(found)].rstrip() + other) for other in ("", "Z", "+00:00", "+0000", "+00", " +0000", " Z"))


# --- the order of day, month and year ------------------------------------------------------------------------------


def _orders(metric: TypeBreaches) -> Iterator[_Reading]:
    if metric.text is not None and metric.text.pattern is not None:
        pattern = metric.text.pattern
        yield from _iso_dates(metric.text)
        yield "dates with day and month swapped", lambda value: any(re.search(pattern, text) for text in _swapped_text(value))
    else:
        yield "dates with day and month swapped", lambda value: any(_is_day(text) for text in _swapped_text(value))
    yield from _other_dates(metric.text)


def _other_dates(text: TimeText | None) -> Iterator[_Reading]:
    """Dates that are not written as they should be. Where every number could be a month, day and month first cannot be told apart."""
    asked = text.format if text is not None else None
    yield from _iso_dates(text)
    yield "basic ISO dates, without hyphens", lambda value: _is_basic(value) and not _is_written(text, value)
    day_first = None if asked is None else asked.find("d") < asked.find("M")  # an order that is asked for is no fault
    orders = (("day, month, year", _day_first, day_first is True), ("month, day, year", _month_first, day_first is False))
    for name, holds, is_asked in orders:
        if not is_asked:
            yield f"dates written {name}", lambda value, holds=holds: _strays(text, value, holds)  # type: ignore[misc]
    words = "dates that are not in ISO 8601" if asked is None else f"dates that are not written as {asked}"
    yield words, lambda value: _strays(text, value, lambda _: True)


def _iso_dates(text: TimeText | None) -> Iterator[_Reading]:
    if text is not None and text.format is not None:
        yield "ISO 8601 dates", lambda value: isinstance(value, str) and _is_day(value) and not _is_written(text, value)


def _is_basic(value: object) -> bool:
    digits = str(value) if isinstance(value, int | str) else ""
    return _BASIC.fullmatch(digits) is not None and _is_day(f"{digits[:4]}-{digits[4:6]}-{digits[6:]}")


def _is_written(text: TimeText | None, value: object) -> bool:
    """Whether text has the shape that the contract's own format gives it."""
    return text is not None and text.pattern is not None and isinstance(value, str) and re.search(text.pattern, value) is not None


def _strays(text: TimeText | None, value: object, holds: Callable[[tuple[int, int, int]], bool]) -> bool:
    parts = _parts(value)
    return parts is not None and holds(parts) and not _is_written(text, value)


def _parts(value: object) -> tuple[int, int, int] | None:
    """The three numbers of a written date, the year last (or first: year, day, month is no order in use)."""
    found = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if found is None or (found[2] == "-" and len(found[1]) == 4):
        return None
    parts = int(found[1]), int(found[3]), int(found[4])
    return parts if max(parts[0], parts[1]) <= 31 and len(found[4]) in (2, 4) else None


def _day_first(parts: tuple[int, int, int]) -> bool:
    return parts[0] > 12 and 1 <= parts[1] <= 12


def _month_first(parts: tuple[int, int, int]) -> bool:
    return parts[1] > 12 and 1 <= parts[0] <= 12


def _swapped_text(value: object) -> Iterator[str]:
    """The text with day and month changed places."""
    if not isinstance(value, str):
        return
    if found := _ISO_DAY.fullmatch(value):
        yield f"{found[1]}-{found[3]}-{found[2]}{found[4]}"
    elif found := re.fullmatch(r"([0-9]{1,2})([./-])([0-9]{1,2})(\2[0-9]{2,4}.*)", value, re.DOTALL):
        yield f"{found[3]}{found[2]}{found[1]}{found[4]}"


def _is_day(text: str) -> bool:
    try:
        return datetime.fromisoformat(text) is not None and _ISO_DAY.fullmatch(text) is not None
    except ValueError:
        return False


def _fits_swapped(metric: OutOfRange, value: object) -> bool:
    moment = _moment(value)
    other = None if moment is None else swapped(moment)
    low, high = (_moment(bound) for bound in (metric.minimum, metric.maximum))
    return other is not None and (low is None or low <= other) and (high is None or other <= high)


def _moment(value: object) -> datetime | None:
    """A date or time as an aware datetime; naive ones as UTC, which is near enough for a hint."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value, time(), UTC) if isinstance(value, date) else None


def swapped(moment: datetime) -> datetime | None:
    """The same with day and month changed places; None where that is no other date."""
    if moment.day > 12 or moment.day == moment.month:
        return None
    return moment.replace(month=moment.day, day=moment.month)


# --- spelling ------------------------------------------------------------------------------------------------------


def _spellings(listed: Sequence[str]) -> Iterator[_Reading]:
    exact, folded = set(listed), {text.casefold() for text in listed}
    yield "allowed values with spaces around them", lambda value: isinstance(value, str) and value.strip() in exact
    yield "allowed values in another letter case", lambda value: isinstance(value, str) and value.casefold() in folded
    yield (
        "allowed values in another letter case, with spaces around them",
        lambda value: isinstance(value, str) and value.strip().casefold() in folded,
    )


# --- the newest instant --------------------------------------------------------------------------------------------


def age_reading(newest: datetime, as_of: datetime, maximum_age: timedelta) -> str:
    """What may be wrong with a newest instant that is too old or lies ahead: "day and month look swapped"; empty where nothing is seen."""
    if as_of - maximum_age <= newest <= as_of:
        return ""
    other = swapped(newest)
    if other is not None and as_of - maximum_age <= other <= as_of:
        return "day and month look swapped"
    ahead = newest - as_of
    if timedelta(0) < ahead <= timedelta(hours=14):  # the largest offset from UTC that is in use
        hours = -(-ahead // timedelta(hours=1))
        return f"times look shifted by {hours} h or more"
    return ""
