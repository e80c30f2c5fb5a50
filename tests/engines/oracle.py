"""What every engine must measure, said once more in plain Python: one value at a time, from the definitions in core/metrics.py.

Nothing of the product is used but the metrics' own classes. A column is a kind and its values; None and NaN are null.
"""

from __future__ import annotations

import math
import re
import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np

from dagster_contracts.core.metrics import (
    Compared,
    Duplicates,
    Histogram,
    Kind,
    LengthOutside,
    Metric,
    Missing,
    Newest,
    NotIn,
    NotMatching,
    NotMultiple,
    Nulls,
    Oldest,
    Orphans,
    OutOfRange,
    ProfileOf,
    RowCount,
    Statistic,
    TypeBreaches,
)

TEXT, INT, FLOAT, SINGLE, BOOL = "text", "int", "float", "single", "bool"
DATE, INSTANT, ZONED, DECIMAL = "date", "instant", "zoned", "decimal"
NUMBERS = (INT, FLOAT, SINGLE, DECIMAL)
TIMES = (DATE, INSTANT, ZONED)

Values = list[object]
Table = dict[str, tuple[str, Values]]


@dataclass(frozen=True)
class Close:
    """A number that may differ from the measured one by rounding."""

    value: float
    scale: float = 1.0  # of the numbers that it was made of

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int | float) and math.isclose(self.value, other, rel_tol=1e-9, abs_tol=1e-12 * max(self.scale, 1e3))


def null(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def expected(table: Table, metric: Metric, related: Mapping[str, Table] | None = None) -> object:
    """The number (or instant, or tuple) that the metric must come to."""
    rows = max((len(values) for _, values in table.values()), default=0)
    match metric:
        case RowCount():
            return rows
        case Duplicates(columns):
            full = _keys(table, columns)
            return len(full) - len(set(full))
        case Orphans(columns, other, targets):
            assert related is not None
            there = set(_keys(related[other], targets))
            return sum(key not in there for key in _keys(table, columns))
        case Compared(left, operator, right, _, _, logical):
            pairs = zip(table[left][1], table[right][1], strict=True)
            return sum(not (null(one) or null(other)) and not _holds(one, operator, other, logical) for one, other in pairs)
    kind, values = table[metric.columns[0]]
    present = [value for value in values if not null(value)]
    nulls = rows - len(present)
    match metric:
        case Nulls():
            return nulls
        case Missing(_, listed):
            return sum(_member(value, listed, kind) for value in present) + (nulls if None in listed else 0)
        case Statistic(_, what, at, logical):
            return _statistic(what, at, _as_spelled(present, logical))
        case Histogram(_, edges):
            bins = [0] * (len(edges) + 1)
            for value in _numbers(present):
                bins[bisect_right(edges, value)] += 1
            return (*bins, nulls)
        case ProfileOf(_, True, logical):
            texts = Counter(_category(value) for value in _as_spelled(present, logical))
            return (tuple(sorted(texts.items(), key=lambda entry: (-entry[1], entry[0]))), nulls)
        case ProfileOf():
            numbers = [float(value) + 0.0 for value in _numbers(present)]
            counted = sorted(Counter(numbers).items())
            return (tuple(value for value, _ in counted), tuple(count for _, count in counted), rows - len(numbers))
        case Newest() | Oldest():
            instants = [point for point in map(instant, present) if point is not None]
            return (max if isinstance(metric, Newest) else min)(instants, default=None)
        case _:
            return sum(not fits(metric, value, kind) for value in present)


def _keys(table: Table, columns: Sequence[str]) -> list[tuple[object, ...]]:
    keys = list(zip(*(table[column][1] for column in columns), strict=True))
    return [key for key in keys if not any(map(null, key))]


# --- one value -----------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SPACE = "[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"  # Python's own has four more, \x1c to \x1f
_CLOCK = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?([Zz]|[+-]\d\d(?::?\d\d)?)?", re.ASCII)


def fits(metric: Metric, value: object, kind: str) -> bool:
    match metric:
        case TypeBreaches(_, logical):
            return _of_type(value, logical)
        case NotIn(_, listed):
            return _member(value, listed, kind)
        case NotMatching(_, pattern):
            return re.search(_as_python(pattern), str(value)) is not None
        case LengthOutside(_, low, high):
            return (low or 0) <= len(str(value)) <= (math.inf if high is None else high)
        case NotMultiple(_, of):
            exact = exactly(value, kind, of)
            return exact is not None and (exact / Fraction(Decimal(str(of)))).denominator == 1
        case OutOfRange():
            return _in_range(metric, value, kind)
    raise AssertionError(metric)


def _as_python(pattern: str) -> str:
    return pattern.replace(r"\z", r"\Z").replace(r"\s", _SPACE).replace(r"\S", _SPACE.replace("[", "[^"))


def exactly(value: object, kind: str, of: float) -> Fraction | None:
    """What a number is a multiple as: of floats the shortest decimal that reads back as them (a 32-bit 0.1 is 0.1)."""
    number = number_of(value)
    if number is None or not math.isfinite(number):
        return None
    if isinstance(number, int | Decimal):
        return Fraction(number)
    if isinstance(value, str) and too_long(number, of):
        return Fraction(Decimal(value.strip()))
    return Fraction(Decimal(str(np.float32(number)) if kind == SINGLE else repr(number)))


def too_long(number: float, of: float) -> bool:
    """Whether a float has too many digits at the decimal places of `of` to be exact there."""
    places = max(0, -int(Decimal(str(of)).as_tuple().exponent))
    return abs(number) * 10**places >= 10**15


def number_of(value: object) -> float | int | Decimal | None:
    if isinstance(value, str):
        text = value.strip()
        found = float(text) if _NUMBER.fullmatch(text) else None
        return found if found is not None and math.isfinite(found) else None
    return value if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None


def _numbers(present: Values) -> list[float]:
    return [float(number) for number in map(number_of, present) if number is not None]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) else None
    except ValueError:
        return None


def _clock(text: str) -> tuple[timedelta, timedelta | None] | None:
    """Time of day and offset."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = (int(part or 0) for part in found.groups()[:3])
    zone = found[5]
    digits = "" if zone is None or zone in "Zz" else f"{zone[1:].replace(':', '')}00"[:4]
    offset = None if zone is None else timedelta() if zone in "Zz" else timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    if hour > 23 or minute > 59 or second > 59 or (digits and (int(digits[:2]) > 23 or int(digits[2:]) > 59)):
        return None
    micros = int(f"{found[4] or '0':0<6}"[:6])
    signed = offset if offset is None or not zone or zone[0] != "-" else -offset
    return timedelta(hours=hour, minutes=minute, seconds=second, microseconds=micros), signed


def instant(value: object) -> datetime | None:
    """Aware UTC."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, str):
        return None
    day, rest = _day(value[:10]), value[10:]
    shown = (timedelta(), None) if not rest else _clock(rest[1:]) if rest[0] in "T " else None
    if day is None or shown is None:
        return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + shown[0] - (shown[1] or timedelta())


def _of_type(value: object, logical: str) -> bool:
    number = number_of(value)
    text = value if isinstance(value, str) else None
    match logical:
        case "string":
            return text is not None
        case "number":
            return number is not None
        case "integer":
            return number is not None and math.isfinite(number) and number == math.floor(number)
        case "boolean":
            return isinstance(value, bool) or (text is not None and text.strip().lower() in ("true", "false"))
        case "date":
            if text is not None:
                shown = _clock(text[11:]) if text[10:11] in ("T", " ") and text[10:] else (timedelta(), None)
                digits = re.fullmatch(r".{11}\d\d:\d\d(?::\d\d(?:[.,]0*)?)?([Zz]|[+-].*)?", text, re.DOTALL) or not text[10:]
                return instant(text) is not None and shown is not None and not shown[0] and bool(digits)
            return (
                value == datetime(value.year, value.month, value.day, tzinfo=value.tzinfo)
                if isinstance(value, datetime)
                else isinstance(value, date)
            )
        case "timestamp":
            return instant(value) is not None
        case "time":
            return (text is not None and _clock(text) is not None) or isinstance(value, time)
    raise AssertionError(logical)


def _member(value: object, listed: Sequence[object], kind: str) -> bool:
    texts = [each for each in listed if isinstance(each, str)]
    flags = [each for each in listed if isinstance(each, bool)]
    numbers = [each for each in listed if isinstance(each, int | float) and not isinstance(each, bool)]
    if isinstance(value, bool):
        return value in flags or str(value).lower() in [text.lower() for text in texts]
    if isinstance(value, str):
        number = number_of(value)
        large = [str(each) for each in numbers if abs(each) >= 2**53]
        as_number = number is not None and any(number == each for each in numbers if abs(each) < 2**53)
        return as_number or value in texts + large or value.lower() in [str(flag).lower() for flag in flags]
    if isinstance(value, Decimal):
        return any(value == Decimal(str(each)) for each in [*numbers, *_spelled(texts)])
    if kind == SINGLE:
        return any(value == _single(each) for each in [*numbers, *_spelled(texts)])
    if isinstance(value, int | float):
        return any(value == type(value)(each) if each == int(each) else value == each for each in [*numbers, *_spelled(texts)])
    point = instant(value)
    return point is not None and point in [instant_bound(text) for text in texts]


def _spelled(texts: Sequence[str]) -> list[float]:
    found: list[float] = []
    for text in texts:
        for kind in (int, float):
            try:
                found += [kind(text)] if str(kind(text)) == text else []
            except ValueError:
                continue
    return found


def instant_bound(text: str) -> datetime | None:
    try:
        return instant(datetime.fromisoformat(text))
    except ValueError:
        return None


def _in_range(metric: OutOfRange, value: object, kind: str) -> bool:
    low: object = metric.minimum
    high: object = metric.maximum
    found: object
    if isinstance(low, str) or isinstance(high, str):
        found, low, high = instant(value), low and instant_bound(str(low)), high and instant_bound(str(high))
    else:
        found = number_of(value)
        if isinstance(found, Decimal) or (isinstance(value, str) and found is not None and found == math.floor(found)):
            found = Fraction(Decimal(str(value).strip()))  # decimals and whole numbers are exact, bounds the decimals they are written as
            low, high = (None if each is None else Fraction(str(each)) for each in (low, high))
        if kind == SINGLE:
            low, high = (None if each is None else _single(each) for each in (low, high))
    if found is None:
        return False
    above = low is None or found > low or (found == low and not metric.exclusive_minimum)  # type: ignore[operator]
    return above and (high is None or found < high or (found == high and not metric.exclusive_maximum))  # type: ignore[operator]


def _single(number: object) -> float:
    return float(np.float32(number))  # type: ignore[arg-type]


# --- pairs and groups ------------------------------------------------------------------------------------------------


def _holds(left: object, operator: str, right: object, logical: str | None) -> bool:
    one: object = left
    other: object = right
    if isinstance(left, str) and isinstance(right, str):
        ordered = operator not in ("==", "!=")
        if logical in ("number", "boolean"):
            one, other = spelled(left, logical), spelled(right, logical)
        for read in _READS[logical] if logical == "timestamp" or logical == "time" or ordered else ():
            if read(left) is not None and read(right) is not None:
                one, other = read(left), read(right)
                break
    elif number_of(left) is not None or number_of(right) is not None:
        one, other = number_of(left), number_of(right)
        if one is not None and other is not None and isinstance(left, float) != isinstance(right, float):
            one, other = float(one), float(other)  # a float meets other numbers as a float
    elif instant(left) is not None or instant(right) is not None:
        one, other = instant(left), instant(right)
    if one is None or other is None:
        return False
    order = (one > other) - (one < other)  # type: ignore[operator]
    return {"==": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator]


def _shown(value: object) -> timedelta | None:
    found = _clock(value) if isinstance(value, str) else None
    return found and found[0]


_READS: dict[str | None, tuple[Callable[[object], object], ...]] = {
    None: (number_of, instant),
    "number": (number_of,),
    "boolean": (),
    "timestamp": (instant,),
    "time": (_shown,),
}


def spelled(text: str, logical: str | None) -> str:
    """Text of a value of the logical type as a column of that type has it; other text as it is."""
    match logical:
        case "number":
            return _plain_number(text)
        case "boolean":
            return text.strip().lower() if _of_type(text, "boolean") else text
        case "date":
            return text[:10] if _of_type(text, "date") else text
        case "timestamp":
            point = instant(text)
            zoned = re.search(r".{11}.*([Zz]|[+-]\d\d(:?\d\d)?)$", text) is not None
            return text if point is None else _whole_thousands(point.replace(tzinfo=None).isoformat()) + ("Z" if zoned else "")
        case "time":
            shown = _shown(text)
            return text if shown is None else _whole_thousands((datetime(2000, 1, 1) + shown).time().isoformat())  # noqa: DTZ001
        case _:
            return text


def _whole_thousands(iso: str) -> str:
    """Three digits of a second where six end in zeros."""
    return iso[:-3] if "." in iso and iso.endswith("000") else iso


def _as_spelled(present: Values, logical: str | None) -> Values:
    return [spelled(value, logical) if isinstance(value, str) else value for value in present]


def _plain_number(text: str) -> str:
    """Exact, of exponents of up to three digits."""
    bare = text.strip()
    found = _NUMBER.fullmatch(bare)
    if found is None or len((found[2] or "").strip("eE+-")) > 3:
        return text
    digits = f"{Decimal(bare):f}"
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if digits in ("-0", "") else digits


def _statistic(what: Kind, at: float | None, present: Values) -> object:
    if what in (Kind.DISTINCT_COUNT, Kind.DISTINCT_SHARE):
        distinct = len({_text(value) if isinstance(value, bool) else value for value in present})
        share = Close(distinct / len(present)) if present else None
        return share if what is Kind.DISTINCT_SHARE else Close(distinct)
    numbers = sorted(_numbers(present))
    scale = max(map(abs, numbers), default=0.0)
    if not numbers or (what is Kind.STANDARD_DEVIATION and len(numbers) < 2):
        return None
    match what:
        case Kind.MEAN:
            return Close(math.fsum(numbers) / len(numbers), scale)
        case Kind.STANDARD_DEVIATION:
            return Close(statistics.stdev(numbers), scale)
        case Kind.MINIMUM:
            return Close(numbers[0])
        case Kind.MAXIMUM:
            return Close(numbers[-1])
        case Kind.SUM:
            return Close(math.fsum(numbers), scale)
    place = (0.5 if at is None else at) * (len(numbers) - 1)
    low = math.floor(place)
    high = min(low + 1, len(numbers) - 1)
    return Close(numbers[low] + (numbers[high] - numbers[low]) * (place - low), scale)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _category(value: object) -> str:
    return _text(value)
