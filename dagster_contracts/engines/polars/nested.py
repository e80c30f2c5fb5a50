"""Paths into arrays, maps and objects: the values that stand at one, and which rows hold a value that breaks.

Values below a null parent are not there. What a type does not hold at all (a field that no object of the batch has, elements of a
column that is no array) is NotThere.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from dagster_contracts.core.metrics import EACH, KEYS, VALUES
from dagster_contracts.engines.polars.containers import as_list, instance, is_map, map_keys, map_values
from dagster_contracts.engines.polars.values import NotThere, Values


def at(values: Values, path: tuple[str, ...]) -> Values:
    """Everything that stands at `path`, end to end: no longer one value a row."""
    for step in path:
        listed = _listed(values, step)
        if listed is None:
            values = _field(Values(values.found.filter(values.found.is_not_null()), values.dtype), step)
        else:
            values = Values(listed[0].explode(empty_as_null=False, keep_nulls=False), listed[1])
    return values


def field_at(values: Values, path: tuple[str, ...]) -> Values:
    """What stands at a path of fields, one value a row; null below a null parent."""
    for step in path:
        values = _field(values, step)
    return values


def any_at(values: Values, path: tuple[str, ...], breaks: Callable[[Values], pl.Expr]) -> pl.Expr:
    """Which rows hold a value at `path` that breaks."""
    if not path:
        return breaks(values)
    listed = _listed(values, path[0])
    if listed is None:
        below = any_at(_field(values, path[0]), path[1:], breaks)
    else:
        below = listed[0].list.eval(any_at(Values(pl.element(), listed[1]), path[1:], breaks)).list.any().fill_null(False)
    return values.found.is_not_null() & below


def _field(values: Values, name: str) -> Values:
    if isinstance(values.dtype, pl.Struct):
        for number, field in enumerate(values.dtype.fields):
            if field.name == name:
                return Values(_named(values.found, values.dtype, number), instance(field.dtype))
    raise NotThere(f'no object has a field "{name}"')


def _named(found: pl.Expr, dtype: pl.Struct, number: int) -> pl.Expr:
    """Polars reads names such as "*" and "^...$" as patterns: those are looked up by their place."""
    name = dtype.fields[number].name
    if name != "*" and not (name.startswith("^") and name.endswith("$")):
        return found.struct.field(name)
    return found.struct.rename_fields([f"{each}" for each in range(len(dtype.fields))]).struct.field(f"{number}")


def _listed(values: Values, step: str) -> tuple[pl.Expr, pl.DataType] | None:
    """The elements, keys or values that a step stands for, as a list, and their type. None: the step is a field."""
    if step not in (EACH, KEYS, VALUES):
        return None
    if step == EACH:
        listed = as_list(values)
        if listed is None:
            raise NotThere(f"a {values.dtype} column holds no arrays")
        return listed
    if is_map(values.dtype):
        return map_keys(values) if step == KEYS else map_values(values)
    if not isinstance(values.dtype, pl.Struct):
        raise NotThere(f"a {values.dtype} column holds no maps")
    return _of_struct(values.found, values.dtype, step)


def _of_struct(found: pl.Expr, dtype: pl.Struct, step: str) -> tuple[pl.Expr, pl.DataType]:
    """A map that arrived as an object (JSON): a field that is null in a row is no key of that row's map."""
    fields = {field.name: instance(field.dtype) for field in dtype.fields if field.dtype != pl.Null}
    kinds = set(fields.values())
    if not kinds or (step == VALUES and len(kinds) > 1):
        raise NotThere("the values of the map are of several types" if kinds else "the maps are empty")
    if step == KEYS:
        parts = [pl.when(found.struct.field(name).is_not_null()).then(pl.lit(name)) for name in fields]
        return pl.concat_list(parts).list.drop_nulls(), pl.String()
    return pl.concat_list([found.struct.field(name) for name in fields]).list.drop_nulls(), kinds.pop()
