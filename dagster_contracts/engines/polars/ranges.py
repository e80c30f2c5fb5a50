"""Which values lie within bounds, without an error of rounding: integers, decimals and the whole numbers of text compare exactly."""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from dagster_contracts.core.metrics import OutOfRange
from dagster_contracts.engines.bounds import as_instant, as_time, whole_bounds
from dagster_contracts.engines.polars.instants import clock, instant
from dagster_contracts.engines.polars.values import Fits, NotComparable, Values, is_text, limits, number

_EXACT_FLOAT = 2**53  # below, every whole number is a float; rounding moves none from one side of it to the other


def in_range(metric: OutOfRange, values: Values) -> Fits:
    """Which values are within the bounds. Raises NotComparable."""
    dtype = values.dtype
    if isinstance(metric.minimum, str) or isinstance(metric.maximum, str):
        return _in_time(metric, values)
    if is_text(dtype):
        return _text(metric, values.plain)
    if dtype.is_integer():
        return _whole(values.found, dtype, *whole_bounds(metric))
    if isinstance(dtype, pl.Decimal):
        return _whole(values.found.to_physical(), pl.Int128(), *whole_bounds(metric, dtype.scale))
    if not dtype.is_float():
        return False
    inside = _within(metric, values.found, *_floats(metric), dtype)
    return inside & values.present if metric.maximum is None else inside  # NaN compares as the greatest number


# --- numbers -------------------------------------------------------------------------------------------------------


def _floats(metric: OutOfRange) -> tuple[float | None, float | None]:
    low, high = (None if bound is None else float(bound) for bound in (metric.minimum, metric.maximum))
    return low, high


def _whole(found: pl.Expr, dtype: pl.DataType, low: int | None, high: int | None) -> Fits:
    """Integers within inclusive bounds, which may be beyond what their type holds."""
    least, greatest = limits(dtype)
    if (low is not None and low > greatest) or (high is not None and high < least):
        return False
    parts = []
    if low is not None and low > least:
        parts.append(found >= pl.lit(low, dtype=dtype))
    if high is not None and high < greatest:
        parts.append(found <= pl.lit(high, dtype=dtype))
    return parts[0] & parts[1] if len(parts) == 2 else parts[0] if parts else True


def _text(metric: OutOfRange, text: pl.Expr) -> Fits:
    """Text as the float it reads as; as the whole number that it is, where a bound is so large that floats would be rounded."""
    parsed = number(text)
    floating = parsed.is_finite() & _within(metric, parsed, *_floats(metric), pl.Float64())
    if all(abs(float(bound)) < _EXACT_FLOAT for bound in (metric.minimum, metric.maximum) if bound is not None):
        return floating
    whole = text.str.strip_chars().cast(pl.Int128, strict=False)
    fits = _whole(whole, pl.Int128(), *whole_bounds(metric))
    exact = pl.lit(fits) if isinstance(fits, bool) else fits
    beyond = whole.is_null() & parsed.is_finite() & (parsed.abs() >= _EXACT_FLOAT)  # "1e20", or more than 128 bits
    return pl.when(whole.is_not_null()).then(exact).when(beyond).then(_one_by_one(pl.when(beyond).then(text), metric)).otherwise(floating)


def _one_by_one(text: pl.Expr, metric: OutOfRange) -> pl.Expr:
    low, high = (None if bound is None else Decimal(str(bound)) for bound in (metric.minimum, metric.maximum))

    def fits(value: Decimal) -> bool:
        above = low is None or value > low or (value == low and not metric.exclusive_minimum)
        return above and (high is None or value < high or (value == high and not metric.exclusive_maximum))

    def compared(values: pl.Series) -> pl.Series:
        if values.null_count() == len(values):
            return values.is_not_null()
        return pl.Series(values.name, [None if each is None else fits(Decimal(each.strip())) for each in values], dtype=pl.Boolean)

    return text.map_batches(compared, return_dtype=pl.Boolean, is_elementwise=True)


# --- times ---------------------------------------------------------------------------------------------------------


def _in_time(metric: OutOfRange, values: Values) -> Fits:
    zone = "UTC" if metric.text is None else metric.text.zone
    low, high = (None if bound is None else str(bound) for bound in (metric.minimum, metric.maximum))
    moments = [None if bound is None else as_instant(bound, zone) for bound in (low, high)]
    if any(moment is not None for moment in moments):
        point = instant(values, metric.text)
        return False if point is None else _within(metric, point, moments[0], moments[1], pl.Datetime("us"))
    times = [None if bound is None else as_time(bound) for bound in (low, high)]
    if all(time is None for time in times):
        raise NotComparable("the bounds are no dates, timestamps or times")
    shown = clock(values, metric.text)
    return False if shown is None else _within(metric, shown, times[0], times[1], pl.Time())


def _within(metric: OutOfRange, found: pl.Expr, low: object, high: object, dtype: pl.DataType) -> pl.Expr:
    parts = []
    if low is not None:
        bound = pl.lit(low, dtype=dtype)
        parts.append(found > bound if metric.exclusive_minimum else found >= bound)
    if high is not None:
        bound = pl.lit(high, dtype=dtype)
        parts.append(found < bound if metric.exclusive_maximum else found <= bound)
    return parts[0] & parts[1] if len(parts) == 2 else parts[0] if parts else found.is_not_null()
