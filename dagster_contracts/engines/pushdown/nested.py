"""Paths into arrays, maps and objects: the values that stand at one, as a table of their own.

Values below a null parent are not there.
"""

from __future__ import annotations

from typing import Any

import ibis
from ibis.expr import types as ir

from dagster_contracts.core.metrics import EACH, KEYS, VALUES, Nested
from dagster_contracts.engines.pushdown.asking import Source
from dagster_contracts.engines.pushdown.patterns import Inexpressible


class NotThere(Exception):
    """What the metric speaks of is not part of this table at all. Its text is for people and quotes no value."""


def at(metric: Nested, source: Source) -> Source:
    """Everything that stands at the path, one value a row, in a column of the name that the nested metric has."""
    table = source.table.select(value=source.table[metric.column])
    for step in metric.path:
        table = _below(table.filter(table.value.notnull()), step)
    return Source(table.rename({metric.metric.columns[0]: "value"}), source.dialect)


def _below(table: ir.Table, step: str) -> ir.Table:
    value: Any = table.value
    dtype = value.type()
    if dtype.is_unknown() or dtype.is_json():
        raise Inexpressible(f"a {dtype} column is not looked into")
    if step == EACH:
        return table.select(value=_listed(value, dtype.is_array(), f"a {dtype} column holds no arrays").unnest())
    if step in (KEYS, VALUES):
        return table.select(value=_of_map(value, step).unnest())
    if not dtype.is_struct() or step not in dtype.names:
        raise NotThere(f'no object has a field "{step}"')
    return table.select(value=value[step])


def _listed(value: Any, listed: bool, otherwise: str) -> Any:
    if not listed:
        raise NotThere(otherwise)
    return value


def _of_map(value: Any, step: str) -> Any:
    """A map that is stored as an object: a field that is null in a row is no key of that row's map."""
    dtype = value.type()
    if dtype.is_map():
        return value.keys() if step == KEYS else value.values()
    if not dtype.is_struct():
        raise NotThere(f"a {dtype} column holds no maps")
    if step == VALUES and len(set(dtype.types)) > 1:
        raise NotThere("the values of the map are of several types")
    parts = [ibis.ifelse(value[name].notnull(), name, ibis.null("string")) if step == KEYS else value[name] for name in dtype.names]
    return ibis.array(parts).filter(lambda element: element.notnull())
