"""Metric + values -> which of them fit.

`fits` answers True or False where the type alone decides, and an expression otherwise, which is true for what fits and false or null
for everything else, nulls and NaN included. Callers count what is there and does not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import assert_never

import polars as pl

from dagster_contracts.core.contract import Scalar
from dagster_contracts.core.metrics import (
    Absent,
    LengthOutside,
    NotIn,
    NotMatching,
    NotMultiple,
    OutOfRange,
    Repeating,
    SizeOutside,
    TypeBreaches,
)
from dagster_contracts.engines.bounds import as_instant, as_time, at_scale, spelled_numbers
from dagster_contracts.engines.polars import containers
from dagster_contracts.engines.polars.instants import instant, of_date, of_time, of_timestamp
from dagster_contracts.engines.polars.multiples import multiple
from dagster_contracts.engines.polars.ranges import in_range
from dagster_contracts.engines.polars.values import Fits, NotComparable, Values, is_text, limits, number, text_of
from dagster_contracts.engines.text_forms import TRUE_FALSE

Judged = TypeBreaches | NotIn | NotMatching | OutOfRange | LengthOutside | NotMultiple | SizeOutside | Repeating | Absent

_EXACT_FLOAT = 2**53
_FEW = 8  # values up to which comparisons one by one are faster than a look into a set


def fits(metric: Judged, values: Values) -> Fits:
    """Which of `values` meet the metric. Raises NotComparable for what is not measured of such values."""
    if values.dtype == pl.Null:
        return True
    match metric:
        case TypeBreaches():
            return _of_type(metric, values)
        case NotIn():
            return among(values, metric.values)
        case NotMatching():
            text = text_of(values)
            return False if text is None else text.str.contains(metric.pattern)
        case OutOfRange():
            return in_range(metric, values)
        case LengthOutside():
            text = text_of(values)
            return False if text is None else containers.between(text.str.len_chars(), metric.minimum, metric.maximum)
        case NotMultiple():
            return multiple(values, metric.of)
        case SizeOutside():
            return containers.sized(values, metric.minimum, metric.maximum)
        case Repeating():
            return containers.distinct(values)
        case Absent():
            return containers.has_field(values, metric.field)
        case _:
            assert_never(metric)


# --- logical types -------------------------------------------------------------------------------------------------


def _of_type(metric: TypeBreaches, values: Values) -> Fits:
    found, dtype = values.plain, values.dtype
    match metric.logical_type:
        case "string":
            return is_text(dtype) if values.is_text is None else values.is_text
        case "integer":
            return _whole(values)
        case "number":
            return number(found).is_finite() if is_text(dtype) else dtype.is_numeric()
        case "boolean":
            return found.str.contains(TRUE_FALSE) if is_text(dtype) else dtype == pl.Boolean
        case "date":
            return of_date(values, metric.text)
        case "timestamp":
            return of_timestamp(values, metric.text, metric.zoned)
        case "time":
            return of_time(values, metric.text, metric.zoned)
        case "object" | "array" | "map" | "vector":
            return containers.of_type(metric.logical_type, values)
        case _:
            raise NotComparable(f'logical type "{metric.logical_type}" is not measured')


def _whole(values: Values) -> Fits:
    if values.dtype.is_integer():
        return True
    if not is_text(values.dtype) and not values.dtype.is_numeric():
        return False
    found = number(values.plain) if is_text(values.dtype) else values.found
    return found.floor() - found == 0  # infinity minus infinity is NaN: not whole


# --- values --------------------------------------------------------------------------------------------------------


def among(values: Values, listed: Sequence[Scalar | None]) -> Fits:
    """Which values are one of `listed` (None is left out). Text is compared as text, and as a number with numbers."""
    dtype = values.dtype
    texts = [v for v in listed if isinstance(v, str)]
    flags = [v for v in listed if isinstance(v, bool)]
    numbers = [v for v in listed if isinstance(v, int | float) and not isinstance(v, bool)]
    if is_text(dtype):
        return _text_among(values.plain, texts, numbers, flags)
    if dtype == pl.Boolean:
        return _one_of(values.found, flags + [t.lower() == "true" for t in texts if t.lower() in ("true", "false")], dtype)
    if dtype.is_numeric():
        return _one_of(values.found, _as_numbers([*numbers, *spelled_numbers(texts)], dtype), dtype)
    if dtype == pl.Time:
        return _one_of(values.found, [t for t in map(as_time, texts) if t is not None], dtype)
    point = instant(values)
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
    if len(unique) <= _FEW:
        return reduce(or_, (found == pl.lit(each, dtype=dtype) for each in unique))
    return found.is_in(pl.lit(pl.Series([unique], dtype=pl.List(dtype))))


def _as_numbers(numbers: Sequence[int | float], dtype: pl.DataType) -> list[object]:
    if dtype.is_integer():
        low, high = limits(dtype)
        return [int(n) for n in numbers if n == int(n) and low <= n <= high]
    if isinstance(dtype, pl.Decimal):
        return [d for d in (at_scale(n, dtype.scale, dtype.precision) for n in numbers) if d is not None]
    return [float(n) for n in numbers]
