"""Metric + column type -> the Polars expression of the values that fit.

`fits` answers True or False where the column's type alone decides, and an expression otherwise; the expression may be null or
false for a value that does not fit. Callers count `value.count() - fits.sum()`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, time
from decimal import Decimal, InvalidOperation
from typing import assert_never

import polars as pl
from polars import selectors

from dagster_contracts.core.contract import Scalar
from dagster_contracts.core.metrics import LengthOutside, NotIn, NotMatching, OutOfRange, TypeBreaches

Fits = pl.Expr | bool
ValueMetric = TypeBreaches | NotIn | NotMatching | OutOfRange | LengthOutside

# ISO 8601 as one expression, leap years included: one pass over the text, where a parser would take a second one.
_LEAP = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_MONTHS = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8])"
_DATE = f"(?:[0-9]{{4}}-(?:{_MONTHS})|{_LEAP}-02-29)"
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)?"
_OFFSET = "(?:[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?"
_TIMESTAMP = f"^{_DATE}(?:[T ]{_CLOCK}{_OFFSET})?$"
_DATE_ONLY = f"^{_DATE}(?:[T ]00:00(?::00(?:[.,]0{{1,9}})?)?{_OFFSET})?$"
_TIME = f"^{_CLOCK}{_OFFSET}$"
_TRUE_FALSE = r"(?i)^\s*(?:true|false)\s*$"
_EXACT_FLOAT = 2**53


class NotComparable(Exception):
    """The column's type has nothing this metric could look at. Its text is for people and quotes no value."""


def named(column: str) -> pl.Expr:
    """The column of exactly this name: `pl.col` reads "*" and "^...$" as patterns."""
    special = column == "*" or (column.startswith("^") and column.endswith("$"))
    return selectors.by_name(column).as_expr() if special else pl.col(column)


def value(column: str, dtype: pl.DataType) -> pl.Expr:
    """The column as it is judged: NaN is null, categories are their text."""
    found = named(column)
    if dtype.is_float():
        return found.fill_nan(None)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return found.cast(pl.String)
    return found


def fits(metric: ValueMetric, dtype: pl.DataType) -> Fits:
    """Which values of `metric.column` (of type `dtype`) meet the metric. Raises NotComparable for an unknown logical type."""
    if dtype == pl.Null:
        return True
    found = value(metric.column, dtype)
    match metric:
        case TypeBreaches():
            return True if metric.text is not None and is_text(dtype) else _of_type(metric.logical_type, found, dtype)
        case NotIn():
            return among(found, dtype, metric.values)
        case NotMatching():
            text = _text(found, dtype)
            return False if text is None else text.str.contains(metric.pattern)
        case OutOfRange():
            return _in_range(metric, found, dtype)
        case LengthOutside():
            text = _text(found, dtype)
            return False if text is None else _between(text.str.len_chars(), metric.minimum, metric.maximum)
        case _:
            assert_never(metric)


def is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def _text(found: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    """The text form of a value. None: the type has none (lists, binary, durations), and no pattern or length fits it."""
    if is_text(dtype):
        return found
    plain = dtype.is_numeric() or dtype == pl.Boolean or isinstance(dtype, pl.Date | pl.Datetime | pl.Time)
    return found.cast(pl.String) if plain else None


def number(text: pl.Expr) -> pl.Expr:
    """Text as Float64; null or not finite where it is not a number. Outer whitespace is allowed, as in most CSV readers."""
    return text.str.strip_chars().cast(pl.Float64, strict=False)


# --- logical types -------------------------------------------------------------------------------------------------


def _of_type(logical: str, found: pl.Expr, dtype: pl.DataType) -> Fits:
    match logical:
        case "string":
            return is_text(dtype)
        case "integer":
            return _whole(found, dtype)
        case "number":
            return number(found).is_finite() if is_text(dtype) else dtype.is_numeric()
        case "boolean":
            return found.str.contains(_TRUE_FALSE) if is_text(dtype) else dtype == pl.Boolean
        case "date":
            return _date_only(found, dtype)
        case "timestamp":
            return found.str.contains(_TIMESTAMP) if is_text(dtype) else isinstance(dtype, pl.Datetime | pl.Date)
        case "time":
            return found.str.contains(_TIME) if is_text(dtype) else dtype == pl.Time
        case _:
            raise NotComparable(f'logical type "{logical}" is not measured')


def _whole(found: pl.Expr, dtype: pl.DataType) -> Fits:
    if dtype.is_integer():
        return True
    if is_text(dtype):
        found = number(found)
    elif not dtype.is_numeric():
        return False
    return found.floor() - found == 0  # infinity minus infinity is NaN: not whole


def _date_only(found: pl.Expr, dtype: pl.DataType) -> Fits:
    if is_text(dtype):
        return found.str.contains(_DATE_ONLY)
    if isinstance(dtype, pl.Datetime):  # pandas has no date type: midnight, in the column's own time zone, is a date
        local = found.dt.replace_time_zone(None)
        return local.dt.truncate("1d") == local
    return dtype == pl.Date


# --- instants ------------------------------------------------------------------------------------------------------


def instant(found: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    """The value as naive UTC microseconds, null where text is no ISO 8601 date or timestamp. None: the type holds no instants."""
    if isinstance(dtype, pl.Datetime):
        return found if dtype.time_zone is None else found.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if dtype == pl.Date:
        return found.cast(pl.Datetime("us"))
    return _parsed(found) if is_text(dtype) else None


def _parsed(text: pl.Expr) -> pl.Expr:
    # A zone is given to every text, so that two formats are enough: with and without seconds.
    shaped = pl.when(text.str.contains(_TIMESTAMP)).then(text)
    full = (
        pl.when(shaped.str.len_chars() == 10)
        .then(shaped + pl.lit("T00:00Z"))
        .when(shaped.str.contains("(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)$"))
        .then(shaped.str.replace(" ", "T", literal=True).str.replace(r"z$", "Z").str.replace(",", ".", literal=True))
        .otherwise(shaped.str.replace(" ", "T", literal=True).str.replace(",", ".", literal=True) + pl.lit("Z"))
    )
    parsed = [full.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False) for form in ("%FT%T%.f%#z", "%FT%R%#z")]
    return pl.coalesce(parsed).dt.replace_time_zone(None)


def as_instant(text: str) -> datetime | None:
    """An ISO 8601 bound as naive UTC; None where it is not one."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


# --- values and bounds ---------------------------------------------------------------------------------------------


def among(found: pl.Expr, dtype: pl.DataType, values: Sequence[Scalar | None]) -> Fits:
    """Which values are one of `values` (None is left out). Text is compared as text, and as a number with numbers."""
    texts = [v for v in values if isinstance(v, str)]
    flags = [v for v in values if isinstance(v, bool)]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if is_text(dtype):
        return _text_among(found, texts, numbers, flags)
    if dtype == pl.Boolean:
        return _one_of(found, flags + [t.lower() == "true" for t in texts if t.lower() in ("true", "false")], dtype)
    if dtype.is_numeric():
        return _one_of(found, _as_numbers([*numbers, *_spelled_numbers(texts)], dtype), dtype)
    if dtype == pl.Time:
        return _one_of(found, [t for t in map(_as_time, texts) if t is not None], dtype)
    point = instant(found, dtype)
    if point is None:  # lists, binary, durations: none of the values a contract can list
        return False
    return _one_of(point, [p for p in map(as_instant, texts) if p is not None], pl.Datetime("us"))


def _text_among(found: pl.Expr, texts: list[str], numbers: Sequence[int | float], flags: list[bool]) -> Fits:
    exact = [str(n) for n in numbers if isinstance(n, int) and abs(n) >= _EXACT_FLOAT]
    small = [float(n) for n in numbers if not (isinstance(n, int) and abs(n) >= _EXACT_FLOAT)]
    parts = [
        _one_of(found, texts + exact, pl.String()),
        _one_of(number(found), small, pl.Float64()) if small else False,
        _one_of(found.str.to_lowercase(), [str(flag).lower() for flag in flags], pl.String()) if flags else False,
    ]
    exprs = [part.fill_null(False) if len(small) else part for part in parts if isinstance(part, pl.Expr)]
    return pl.any_horizontal(exprs) if len(exprs) > 1 else exprs[0] if exprs else False


def _one_of(found: pl.Expr, values: Sequence[object], dtype: pl.DataType) -> Fits:
    unique = list(dict.fromkeys(values))
    if not unique:
        return False
    if len(unique) == 1:
        return found == pl.lit(unique[0], dtype=dtype)
    return found.is_in(pl.Series(unique, dtype=dtype).implode())


def _spelled_numbers(texts: list[str]) -> list[int | float]:
    """Numbers whose own text form is one of `texts`: "1" is the text of 1, "01" is not."""
    found: list[int | float] = []
    for text in texts:
        for kind in (int, float):
            try:
                spelled = kind(text)
            except ValueError:
                continue
            if str(spelled) == text and math.isfinite(spelled):
                found.append(spelled)
    return found


def _as_numbers(numbers: Sequence[int | float], dtype: pl.DataType) -> list[object]:
    if dtype.is_integer():
        low, high = _limits(dtype)
        return [int(n) for n in numbers if n == int(n) and low <= n <= high]
    if isinstance(dtype, pl.Decimal):
        return [d for d in (_fitting(n, dtype) for n in numbers) if d is not None]
    return [float(n) for n in numbers]


def _fitting(n: int | float, dtype: pl.Decimal) -> Decimal | None:
    exact = Decimal(str(n))
    try:
        fitted = exact.quantize(Decimal(1).scaleb(-dtype.scale))
    except InvalidOperation:
        return None
    return fitted if fitted == exact else None


def _as_time(text: str) -> time | None:
    try:
        return time.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


def _limits(dtype: pl.DataType) -> tuple[int, int]:
    bits = int("".join(c for c in str(dtype) if c.isdigit()))
    return (0, 2**bits - 1) if dtype.is_unsigned_integer() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _in_range(metric: OutOfRange, found: pl.Expr, dtype: pl.DataType) -> Fits:
    bounds = [bound for bound in (metric.minimum, metric.maximum) if bound is not None]
    if any(isinstance(bound, str) for bound in bounds):
        point = instant(found, dtype)
        low, high = (None if b is None else as_instant(str(b)) for b in (metric.minimum, metric.maximum))
        return False if point is None else _compared(metric, point, low, high, pl.Datetime("us"))
    if is_text(dtype):
        parsed = number(found)
        return parsed.is_finite() & _compared(metric, parsed, metric.minimum, metric.maximum, pl.Float64())
    if dtype.is_integer():
        return _between(found, *_whole_bounds(metric, dtype))
    if isinstance(dtype, pl.Decimal):  # compared as floats: bounds are written as floats
        return _compared(metric, found.cast(pl.Float64), metric.minimum, metric.maximum, pl.Float64())
    return _compared(metric, found, metric.minimum, metric.maximum, dtype) if dtype.is_float() else False


def _compared(metric: OutOfRange, found: pl.Expr, low: object, high: object, dtype: pl.DataType) -> pl.Expr:
    parts = []
    if low is not None:
        bound = pl.lit(low, dtype=dtype)
        parts.append(found > bound if metric.exclusive_minimum else found >= bound)
    if high is not None:
        bound = pl.lit(high, dtype=dtype)
        parts.append(found < bound if metric.exclusive_maximum else found <= bound)
    return parts[0] & parts[1] if len(parts) == 2 else parts[0] if parts else found.is_not_null()


def _whole_bounds(metric: OutOfRange, dtype: pl.DataType) -> tuple[int | None, int | None]:
    """The bounds as inclusive integers, exact for every integer type; a bound beyond the type is left out or meets nothing."""
    low = high = None
    if isinstance(metric.minimum, int | float):
        low = math.floor(metric.minimum) + 1 if metric.exclusive_minimum else math.ceil(metric.minimum)
    if isinstance(metric.maximum, int | float):
        high = math.ceil(metric.maximum) - 1 if metric.exclusive_maximum else math.floor(metric.maximum)
    return low, high


def _between(found: pl.Expr, low: int | None, high: int | None) -> Fits:
    parts = []
    if low is not None:
        parts.append(found >= low)
    if high is not None:
        parts.append(found <= high)
    return parts[0] & parts[1] if len(parts) == 2 else parts[0] if parts else found.is_not_null()
