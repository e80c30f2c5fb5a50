"""Metric + column type -> which rows break it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis
from ibis.expr import types as ir

from dagster_contracts.core.metrics import (
    Absent,
    Compared,
    Duplicates,
    LengthOutside,
    Metric,
    Missing,
    NotIn,
    NotMatching,
    NotMultiple,
    Nulls,
    OutOfRange,
    Repeating,
    SizeOutside,
    TypeBreaches,
)
from dagster_contracts.core.verdict import Count
from dagster_contracts.engines.pushdown import comparing, multiples, predicates
from dagster_contracts.engines.pushdown.asking import Asked, Source, breaking, counted
from dagster_contracts.engines.pushdown.patterns import Inexpressible
from dagster_contracts.engines.pushdown.spellings import spelled
from dagster_contracts.engines.pushdown.values import Fits, Values, between


def asked(metric: Metric, source: Source) -> Asked | Count:
    """How many rows (or values) break a metric. Raises Inexpressible."""
    match metric:
        case Duplicates():
            return _duplicates(metric, source)
        case NotMultiple(column, of):
            return multiples.asked(str(metric), source.values(column), of)
        case _:
            return counted(_name(metric), broken(metric, source))


def _name(metric: Metric) -> str:
    return f"{metric} as {metric.logical}" if isinstance(metric, Compared) else str(metric)


def broken(metric: Metric, source: Source) -> Fits:
    """Which rows break a metric; True or False where that is all or none. Raises Inexpressible."""
    match metric:
        case Nulls(column):
            return source.values(column).plain.isnull()
        case Missing(column, listed):
            return _missing(source.values(column), listed)
        case Compared(left, operator, right, left_text, right_text, logical):
            return comparing.unlike(source.values(left), operator, source.values(right), (left_text, right_text), logical)
        case Duplicates():
            return repeats(metric, source)
        case NotMultiple(column, of):
            return breaking(source.values(column), multiples.multiple(source.values(column), of))
        case SizeOutside(column, low, high):
            return breaking(source.values(column), _sized(source.values(column), low, high))
        case Repeating(column):
            return breaking(source.values(column), _distinct(source.values(column)))
        case Absent(column, field):
            return breaking(source.values(column), _has(source.values(column), field))
        case TypeBreaches() | NotIn() | NotMatching() | OutOfRange() | LengthOutside():
            return breaking(source.values(metric.column), predicates.fits(metric, source.values(metric.column)))
        case _:
            raise Inexpressible(f"{type(metric).__name__} counts no rows of its own")


def _missing(values: Values, listed: Sequence[Any]) -> Fits:
    found = False if values.dtype.is_null() else predicates.among(values.known(), listed)
    if None not in listed:
        return found
    nulls: Any = values.plain.isnull()
    return nulls if isinstance(found, bool) else nulls | found.fill_null(False)


# --- keys ----------------------------------------------------------------------------------------------------------


def _complete(columns: Sequence[str], source: Source) -> ir.BooleanValue:
    return ibis.and_(*(source.values(column).present for column in columns))


def _keys(metric: Duplicates, source: Source) -> dict[str, Any]:
    return {f"k{number}": _key(column, metric, source) for number, column in enumerate(metric.columns)}


def _key(column: str, metric: Duplicates, source: Source) -> Any:
    values = source.values(column)
    return spelled(values, "number") if column in metric.numbers else values.plain


def _duplicates(metric: Duplicates, source: Source) -> Asked:
    columns, name = metric.columns, f"{metric} repeated"
    if len(columns) == 1:
        found = _key(columns[0], metric, source)
        return Asked({name: found.count() - found.nunique()}, lambda answers: Count(int(answers[name])))
    # Not every database counts distinct tuples: their groups are counted, within the same query.
    complete = _complete(columns, source)
    groups = source.table.filter(complete).select(**_keys(metric, source)).distinct().count().as_scalar()
    present, distinct = f"{metric} complete", f"{metric} distinct"
    return Asked({present: complete.sum(), distinct: groups}, lambda answers: Count(int(answers[present] or 0) - int(answers[distinct])))


def repeats(metric: Duplicates, source: Source) -> ir.BooleanValue:
    """Rows beyond one of each key. Which one is that of a group is the database's choice, as rows of a table have no order."""
    keys = list(_keys(metric, source).values())
    number = ibis.row_number().over(ibis.window(group_by=keys))
    return _complete(metric.columns, source) & (number > 0)


# --- arrays, maps and objects --------------------------------------------------------------------------------------


def _sized(values: Values, low: int | None, high: int | None) -> Fits:
    dtype = values.known().dtype
    if dtype.is_array() or dtype.is_map():
        return between(values.found.length(), low, high)
    if not dtype.is_struct():
        return False
    return between(sum(values.found[name].notnull().cast("int64") for name in dtype.names), low, high)


def _distinct(values: Values) -> Fits:
    """Arrays in which no element stands twice; two nulls are one element twice."""
    if not values.known().dtype.is_array():
        return False
    present: Any = values.found.filter(lambda element: element.notnull())
    return (present.unique().length() == present.length()) & (values.found.length() - present.length() <= 1)


def _has(values: Values, field: str) -> Fits:
    dtype = values.known().dtype
    if dtype.is_map():
        return values.found.contains(field)
    return dtype.is_struct() and field in dtype.names
