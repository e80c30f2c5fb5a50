"""Metric + column type -> which values meet it, as an ibis expression. The same answers as the Polars engine gives."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime
from decimal import Context, Decimal
from typing import Any, assert_never

import ibis
from ibis.expr import types as ir

from dagster_contracts.core.contract import Scalar
from dagster_contracts.core.metrics import LengthOutside, NotIn, NotMatching, OutOfRange, TimeText, TypeBreaches
from dagster_contracts.engines.bounds import as_instant, as_time, at_scale, spelled_numbers, whole_bounds
from dagster_contracts.engines.pushdown import text as reading
from dagster_contracts.engines.pushdown.patterns import Inexpressible
from dagster_contracts.engines.pushdown.values import Fits, Values, between, limits, literal, matching, text_of
from dagster_contracts.engines.text_forms import DATE_ONLY, TIMES, TIMESTAMPS, TRUE_FALSE

Judged = TypeBreaches | NotIn | NotMatching | OutOfRange | LengthOutside

_EXACT_FLOAT = 2**53
_DIGITS = Context(prec=400)  # of decimals, so that none is rounded


def fits(metric: Judged, values: Values) -> Fits:
    """Which values meet the metric; null or false for those that do not. Raises Inexpressible."""
    if values.dtype.is_null():
        return True
    values.known()
    match metric:
        case TypeBreaches():
            return _of_type(metric, values)
        case NotIn():
            return among(values, metric.values)
        case NotMatching():
            text = text_of(values)
            return False if text is None else matching(text, metric.pattern, values.dialect)
        case OutOfRange():
            return _in_range(metric, values)
        case LengthOutside():
            text = text_of(values)
            return False if text is None else between(text.length(), metric.minimum, metric.maximum)
        case _:
            assert_never(metric)


# --- logical types -------------------------------------------------------------------------------------------------


def _of_type(metric: TypeBreaches, values: Values) -> Fits:
    dtype, text = values.dtype, values.is_text
    match metric.logical_type:
        case "string":
            return text
        case "integer":
            return _whole(values)
        case "number":
            return reading.number(values.plain, values.dialect).notnull() if text else values.is_number
        case "boolean":
            return _true_false(values) if text else dtype.is_boolean()
        case "date":
            return _date_only(values, metric.text)
        case "timestamp":
            return _timestamp(values, metric.text, metric.zoned)
        case "time":
            if text:
                return matching(values.plain, TIMES[_iso(metric.text, metric.zoned)], values.dialect)
            return dtype.is_time() and not metric.zoned
        case "object" | "map" | "array" | "vector":
            return _container(metric.logical_type, values)
        case _:
            raise Inexpressible(f'logical type "{metric.logical_type}" is not measured')


def _true_false(values: Values) -> Fits:
    if values.dialect == "snowflake":  # which takes no flags in a pattern
        return matching(values.plain.lower(), TRUE_FALSE.removeprefix("(?i)"), values.dialect)
    return matching(values.plain, TRUE_FALSE, values.dialect)


def _whole(values: Values) -> Fits:
    if values.dtype.is_integer():
        return True
    if values.is_text:
        return reading.whole(reading.number(values.plain, values.dialect))
    return reading.whole(values.plain) if values.is_number else False


def _iso(text: TimeText | None, zoned: bool | None) -> bool | None:
    if text is not None and text.format is not None:
        raise Inexpressible(f'text written as "{text.format}" is not read')
    return zoned


def _date_only(values: Values, text: TimeText | None) -> Fits:
    if values.is_text:
        _iso(text, None)
        return matching(values.plain, DATE_ONLY, values.dialect)
    if values.dtype.is_timestamp():  # midnight is a date, as on every engine: pandas has no other
        found = naive(values.found)
        return found.truncate("D") == found
    return values.dtype.is_date()


def _timestamp(values: Values, text: TimeText | None, zoned: bool | None) -> Fits:
    if values.is_text:
        return matching(values.plain, TIMESTAMPS[_iso(text, zoned)], values.dialect)
    if values.dtype.is_timestamp():
        return zoned is None or zoned == (values.dtype.timezone is not None)
    return values.dtype.is_date() and not zoned


def _container(logical: str, values: Values) -> Fits:
    dtype = values.dtype
    if logical == "object":
        return dtype.is_struct()
    if logical == "map":
        return dtype.is_struct() or dtype.is_map()
    if logical == "array" or not dtype.is_array():
        return dtype.is_array()
    if not dtype.value_type.is_numeric():
        return False
    return values.found.filter(lambda element: element.isnull()).length() == 0


# --- instants ------------------------------------------------------------------------------------------------------


def naive(found: Any) -> Any:
    """A timestamp or date as a UTC timestamp without a zone."""
    return found.cast("timestamp") if found.type() != ibis.dtype("timestamp") else found


def instant(values: Values, text: TimeText | None = None) -> Any | None:
    """The values as UTC timestamps without a zone, null where text is none. None: the type holds no instants. Raises Inexpressible."""
    if not values.is_instant and not values.is_text:
        return None
    zone = "UTC" if text is None else text.zone
    if zone != "UTC" and (values.is_text or values.dtype.is_date() or values.dtype.timezone is None):
        raise Inexpressible(f"local times of {zone} are not read")
    if values.is_text:
        _iso(text, None)
        return reading.instant(values.plain, values.dialect)
    return naive(values.found)


def clock(values: Values, text: TimeText | None = None) -> Any | None:
    """The values as times of day. None: the type holds none."""
    if values.dtype.is_time():
        return values.found
    if not values.is_text:
        return None
    _iso(text, None)
    return reading.clock(values.plain, values.dialect)


# --- values and bounds ---------------------------------------------------------------------------------------------


def among(values: Values, listed: Sequence[Scalar | None]) -> Fits:
    """Which values are one of `listed` (None is left out). Text is compared as text, and as a number with numbers."""
    texts = [v for v in listed if isinstance(v, str)]
    flags = [v for v in listed if isinstance(v, bool)]
    numbers = [v for v in listed if isinstance(v, int | float) and not isinstance(v, bool)]
    if values.is_text:
        return _text_among(values, texts, numbers, flags)
    if values.dtype.is_boolean():
        return _one_of(values.found, [*flags, *(t.lower() == "true" for t in texts if t.lower() in ("true", "false"))])
    if values.is_number:
        return _one_of(values.plain, _alike([*numbers, *spelled_numbers(texts)], values))
    if values.dtype.is_time():
        return _one_of(values.found, [t for t in map(as_time, texts) if t is not None])
    if not values.is_instant:  # lists, binary, intervals: none of the values a contract can list
        return False
    return _one_of(naive(values.found), [_instant(p) for p in map(as_instant, texts) if p is not None])


def _text_among(values: Values, texts: list[str], numbers: Sequence[int | float], flags: list[bool]) -> Fits:
    large = [str(n) for n in numbers if isinstance(n, int) and abs(n) >= _EXACT_FLOAT]
    small = [literal(float(n)) for n in dict.fromkeys(numbers) if not (isinstance(n, int) and abs(n) >= _EXACT_FLOAT)]
    parts = [
        _one_of(values.plain, texts + large),
        _one_of(reading.number(values.plain, values.dialect), small) if small else False,
        _one_of(values.plain.lower(), [str(flag).lower() for flag in flags]),
    ]
    found = [part.fill_null(False) for part in parts if not isinstance(part, bool)]
    return ibis.or_(*found) if found else False


def _one_of(found: Any, listed: Sequence[Any]) -> Fits:
    if not listed:
        return False
    plain = all(not isinstance(each, ir.Expr) for each in listed)
    return found.isin(list(dict.fromkeys(listed)) if plain else listed)


def _alike(numbers: Sequence[int | float], values: Values) -> list[Any]:
    """The numbers as literals of the column's own type; those that it cannot hold are left out."""
    dtype = values.dtype
    if dtype.is_integer():
        low, high = limits(dtype)
        return [int(n) for n in numbers if n == int(n) and low <= n <= high]
    if dtype.is_decimal():
        places, digits = (18, 1000) if dtype.precision is None else (dtype.scale, dtype.precision)
        scaled = [at_scale(n, places, digits) for n in numbers]
        return [ibis.literal(f"{each:f}").cast(dtype) for each in scaled if each is not None]
    return [literal(_single(n) if dtype.is_float32() else float(n)) for n in numbers]


def _single(number: float) -> float:
    """The 32-bit float nearest to it, which is what a column of such floats holds of it."""
    try:
        return float(struct.unpack("f", struct.pack("f", number))[0])
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def _instant(point: datetime) -> Any:
    return ibis.literal(point, type="timestamp")


def _in_range(metric: OutOfRange, values: Values) -> Fits:
    bounds = [bound for bound in (metric.minimum, metric.maximum) if bound is not None]
    if any(isinstance(bound, str) for bound in bounds):
        return _times_in_range(metric, values)
    if values.is_text:
        return _text_in_range(metric, values)
    if values.dtype.is_integer():
        return between(values.found, *whole_bounds(metric))
    if values.dtype.is_decimal():
        return _decimal_in_range(metric, values)
    if not values.dtype.is_floating():
        return False
    bounds_alike = [None if b is None or not values.dtype.is_float32() else _single(b) for b in _floats(metric)]
    return _compared(metric, values.plain, bounds_alike if values.dtype.is_float32() else _floats(metric))


def _text_in_range(metric: OutOfRange, values: Values) -> Fits:
    """As floats; whole numbers exactly where a bound is so large that floats would be rounded."""
    floating = _compared(metric, reading.number(values.plain, values.dialect), _floats(metric))
    if all(abs(float(bound)) < _EXACT_FLOAT for bound in (metric.minimum, metric.maximum) if bound is not None):
        return floating
    whole = reading.whole_number(values.plain, values.dialect)
    exact = _within_digits(whole, whole_bounds(metric), 38, 0)
    return ibis.ifelse(whole.notnull(), exact, floating)


def _decimal_in_range(metric: OutOfRange, values: Values) -> Fits:
    dtype = values.dtype
    if dtype.precision is None or dtype.scale is None:
        bounds = [None if b is None else ibis.literal(f"{Decimal(str(b)):f}").cast(dtype) for b in (metric.minimum, metric.maximum)]
        return _compared(metric, values.plain, bounds)
    return _within_digits(values.plain, whole_bounds(metric, dtype.scale), dtype.precision, dtype.scale)


def _within_digits(found: Any, bounds: tuple[int | None, int | None], precision: int, scale: int) -> Any:
    """A decimal within inclusive bounds, given times 10**scale, either of which may be beyond what its type holds."""
    low, high = bounds
    most = 10**precision - 1
    if (low is not None and low > most) or (high is not None and high < -most):
        return ibis.literal(False)
    edges = [
        None if edge is None or not inside else ibis.literal(f"{Decimal(edge).scaleb(-scale, _DIGITS):f}").cast(found.type())
        for edge, inside in ((low, low is not None and low > -most), (high, high is not None and high < most))
    ]
    return _compared(OutOfRange(""), found, edges)


def _times_in_range(metric: OutOfRange, values: Values) -> Fits:
    texts = [None if bound is None else str(bound) for bound in (metric.minimum, metric.maximum)]
    times = [as_time(text) if text is not None and as_instant(text) is None else None for text in texts]
    if any(time is not None for time in times):
        shown = clock(values, metric.text)
        return False if shown is None else _compared(metric, shown, [None if t is None else ibis.literal(t) for t in times])
    point = instant(values, metric.text)
    found = [None if text is None else as_instant(text) for text in texts]
    return False if point is None else _compared(metric, point, [None if p is None else _instant(p) for p in found])


def _floats(metric: OutOfRange) -> list[float | None]:
    return [None if bound is None else float(bound) for bound in (metric.minimum, metric.maximum)]


def _compared(metric: OutOfRange, found: Any, bounds: Sequence[Any]) -> Fits:
    low, high = (literal(bound) if isinstance(bound, float) else bound for bound in bounds)
    parts = []
    if low is not None:
        parts.append(found > low if metric.exclusive_minimum else found >= low)
    if high is not None:
        parts.append(found < high if metric.exclusive_maximum else found <= high)
    return parts[0] & parts[1] if len(parts) == 2 else parts[0] if parts else found.notnull()
