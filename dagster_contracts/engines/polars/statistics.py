"""Numbers about a column: statistics and histograms."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import assert_never

import polars as pl

from dagster_contracts.core.metrics import Histogram, Kind, Statistic
from dagster_contracts.core.verdict import Bins, Figure, Measured
from dagster_contracts.engines.polars.asked import ROWS, Answers, Asked
from dagster_contracts.engines.polars.spellings import spelled
from dagster_contracts.engines.polars.values import NotComparable, Values, is_text, numbers

_OF_INTEGERS = (Kind.MINIMUM, Kind.MAXIMUM, Kind.SUM)
_LARGEST = 2**64
_WHOLE = (Kind.QUANTILE, Kind.DISTINCT_COUNT, Kind.DISTINCT_SHARE)


def statistic(metric: Statistic, values: Values) -> Asked:
    if values.dtype == pl.Null:
        return _figure(metric, pl.lit(0 if metric.kind is Kind.DISTINCT_COUNT else None))
    if metric.kind in (Kind.DISTINCT_COUNT, Kind.DISTINCT_SHARE):
        distinct = spelled(values, metric.logical).plain.drop_nulls().n_unique()
        return _figure(metric, distinct if metric.kind is Kind.DISTINCT_COUNT else _share(distinct, values))
    found = numbers(values)
    if found is None:
        raise NotComparable(f"a {values.dtype} column holds no numbers")
    if metric.kind in _OF_INTEGERS:
        return _of_integers(metric, values, found)
    return _figure(metric, _of_numbers(metric, found))


def _of_integers(metric: Statistic, values: Values, found: pl.Expr) -> Asked:
    """Integers, added up in 128 bits. Text, and sums of what has 128 bits already, are floats where not all are integers of 64."""
    dtype = values.dtype
    if dtype.is_integer() and (metric.kind is not Kind.SUM or dtype not in (pl.Int128, pl.UInt128)):
        return _figure(metric, _of_numbers(metric, values.found.cast(pl.Int128) if metric.kind is Kind.SUM else values.found))
    if not (dtype.is_integer() or is_text(dtype)):
        return _figure(metric, _of_numbers(metric, found))
    given = pl.when(found.is_not_null()).then(values.plain.str.strip_chars()) if is_text(dtype) else values.found
    whole = given.cast(pl.Int128, strict=False)
    whole = pl.when(whole.is_between(-_LARGEST, _LARGEST)).then(whole)  # of which a sum does not turn round
    others, as_float, as_integer = (f"{metric.column} {metric.kind.value} {what}" for what in ("others", "of floats", "of integers"))
    select = {
        others: (found.is_not_null() & whole.is_null()).any(),
        as_float: _of_numbers(metric, found),
        as_integer: _of_numbers(metric, whole),
    }
    return Asked(select, lambda answers: Figure.of(answers[as_float if answers[others] else as_integer]))


def _share(distinct: pl.Expr, values: Values) -> pl.Expr:
    return pl.when(values.count > 0).then(distinct / values.count)


def _of_numbers(metric: Statistic, found: pl.Expr) -> pl.Expr:
    match metric.kind:
        case Kind.MEAN:
            return found.mean()
        case Kind.STANDARD_DEVIATION:
            return found.std(ddof=1)
        case Kind.MINIMUM:
            return found.min()
        case Kind.MAXIMUM:
            return found.max()
        case Kind.SUM:
            return pl.when(found.count() > 0).then(found.sum())
        case Kind.QUANTILE:
            return found.quantile(metric.at if metric.at is not None else 0.5, interpolation="linear")
        case Kind.DISTINCT_COUNT | Kind.DISTINCT_SHARE:
            raise AssertionError(metric.kind)
        case _:
            assert_never(metric.kind)


def _figure(metric: Statistic, found: pl.Expr) -> Asked:
    name = f"{metric.column} {metric.kind.value} {metric.at} as {metric.logical}"

    def read(answers: Answers) -> Measured:
        return Figure.of(answers[name])

    return Asked({name: found}, read, whole=metric.kind in _WHOLE)


def histogram(metric: Histogram, values: Values) -> Asked | Bins:
    """Cumulative counts from each edge on, whose differences are the bins: comparisons are cheaper than a search among the edges."""
    if values.dtype == pl.Null:
        return Asked({}, lambda answers: Bins((0,) * (len(metric.edges) + 1), answers[ROWS]))
    found = numbers(values) if is_text(values.dtype) or isinstance(values.dtype, pl.Decimal) else values.found
    if found is None or not (is_text(values.dtype) or values.dtype.is_numeric()):
        raise NotComparable(f"a {values.dtype} column holds no numbers")
    names = [f"{metric.column} from {edge!r} on" for edge in metric.edges]
    select = {name: _from(found, edge, values.dtype) for name, edge in zip(names, metric.edges, strict=True)}
    present, number_of, not_a_number = (f"{metric.column} {what}" for what in ("present", "numbers", "NaN"))
    select |= {present: values.count, number_of: found.count() if is_text(values.dtype) else values.count}
    if values.dtype.is_float():
        select[not_a_number] = values.found.is_nan().sum()

    def read(answers: Answers) -> Measured:
        nan = answers[not_a_number] if values.dtype.is_float() else 0  # NaN compares as the greatest number
        above = [answers[number_of], *(answers[name] - nan for name in names), 0]
        return Bins(tuple(left - right for left, right in pairwise(above)), answers[ROWS] - answers[present])

    return Asked(select, read)


def _from(found: pl.Expr, edge: float, dtype: pl.DataType) -> pl.Expr:
    bound = math.ceil(edge) if dtype.is_integer() and math.isfinite(edge) else edge
    return (found >= bound).sum()
