"""Failing rows of a table, and a table in two. Two queries a metric: some rows, and the most frequent values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis
from ibis.expr import types as ir

from dagster_contracts.core.metrics import Duplicates, Metric, Nested
from dagster_contracts.core.verdict import Sample
from dagster_contracts.engines.pushdown import counting, nested
from dagster_contracts.engines.pushdown.asking import Source
from dagster_contracts.engines.pushdown.values import Fits
from dagster_contracts.ports import REASONS, Division

_BROKEN = "contract_rule_broken"


def sample(source: Source, metric: Metric, limit: int) -> Sample | None:
    """Up to `limit` rows and values. None where there are none. Raises what the database raises, and Inexpressible."""
    if isinstance(metric, Nested):
        return Sample((), _frequent(nested.at(metric, source), metric.metric, limit))
    failing = _failing(source, metric)
    rows = _readable(failing.drop(_BROKEN)).limit(limit).to_pyarrow().to_pylist()
    return Sample(tuple(rows), _frequent(source, metric, limit)) if rows else None


def _failing(source: Source, metric: Metric) -> ir.Table:
    # Of its own column, since a window function cannot stand in a filter.
    marked = source.table.mutate(**{_BROKEN: _as_expression(counting.broken(metric, source))})
    return marked.filter(marked[_BROKEN])


def _as_expression(which: Fits) -> ir.BooleanValue:
    return ibis.literal(which) if isinstance(which, bool) else which.fill_null(False)


def _frequent(source: Source, metric: Metric, limit: int) -> tuple[tuple[object, int], ...]:
    failing = _failing(source, metric)
    keys = {f"k{number}": Source(failing, source.dialect).values(column).plain for number, column in enumerate(metric.columns)}
    counted = _readable(failing.select(**keys)).group_by(*keys).aggregate(rows=ibis._.count()).order_by(ibis.desc("rows"), *keys)
    found = [tuple(row.values()) for row in counted.limit(limit).to_pyarrow().to_pylist()]
    return tuple((row[0] if len(keys) == 1 else row[:-1], row[-1]) for row in found)


def _readable(table: ir.Table) -> ir.Table:
    """With columns of intervals, maps, UUIDs and the like as text."""
    odd = {name: table[name].cast("string") for name, dtype in table.schema().items() if _is_odd(dtype)}
    return table.mutate(**odd) if odd else table


def _is_odd(dtype: Any) -> bool:
    """Whether values of the type do not travel from every database."""
    kinds = (dtype.is_interval, dtype.is_map, dtype.is_uuid, dtype.is_inet, dtype.is_macaddr, dtype.is_geospatial, dtype.is_unknown)
    return any(kind() for kind in kinds)


def divide(source: Source, rules: Mapping[str, Metric]) -> Division | None:
    """Both parts as expressions over the table, which nothing has run yet but the count of the refused rows.

    None for rules about keys: which row of several stays is not the same each time a table is read.
    """
    if any(isinstance(metric, Duplicates) for metric in rules.values()):
        return None
    broken = {rule: _as_expression(counting.broken(metric, source)) for rule, metric in rules.items()}
    told: Any = ibis.array([ibis.ifelse(which, rule, ibis.null("string")) for rule, which in broken.items()])
    reasons = told.filter(lambda reason: reason.notnull()).join("; ")
    any_broken = ibis.or_(*broken.values())
    refused = source.table.filter(any_broken).mutate(**{REASONS: reasons})
    rows = int(source.table.aggregate(rows=any_broken.sum()).to_pyarrow().to_pylist()[0]["rows"] or 0)
    return Division(source.table.filter(~any_broken), refused, rows)
