"""Arrays, maps and objects: the lists, maps (or lists of key and value) and structs of Polars."""

from __future__ import annotations

from typing import Any

import polars as pl

from dagster_contracts.engines.polars.values import Fits, NotComparable, Values

_KEY, _VALUE = "key", "value"


def of_type(logical: str, values: Values) -> Fits:
    """A struct is an object, and a map too: JSON tells them apart by the contract only. A vector holds numbers, none of them null."""
    match logical:
        case "object":
            return isinstance(values.dtype, pl.Struct)
        case "array":
            return isinstance(values.dtype, pl.List | pl.Array)
        case "map":
            return isinstance(values.dtype, pl.Struct) or is_map(values.dtype)
        case "vector":
            listed = as_list(values)
            if listed is None or not (listed[1].is_numeric() or listed[1] == pl.Null):
                return False
            return listed[0].list.eval(pl.element().is_not_null()).list.all()
    raise NotComparable(f'logical type "{logical}" is not measured')


def is_map(dtype: pl.DataType) -> bool:
    """A map of Polars, or the list of keys and values that other tools make of one."""
    if isinstance(dtype, pl.Map):
        return True
    if not isinstance(dtype, pl.List) or not isinstance(dtype.inner, pl.Struct):
        return False
    return [field.name for field in dtype.inner.fields] == [_KEY, _VALUE]


def map_keys(values: Values) -> tuple[pl.Expr, pl.DataType]:
    """The keys of each map, as a list, and their type."""
    if isinstance(values.dtype, pl.Map):
        return values.found.map.keys(), instance(values.dtype.key)
    return _part(values, _KEY)


def map_values(values: Values) -> tuple[pl.Expr, pl.DataType]:
    if isinstance(values.dtype, pl.Map):
        return values.found.map.values(), instance(values.dtype.value)
    return _part(values, _VALUE)


def _part(values: Values, name: str) -> tuple[pl.Expr, pl.DataType]:
    dtype = values.dtype
    assert isinstance(dtype, pl.List)
    assert isinstance(dtype.inner, pl.Struct)
    kind = next(field.dtype for field in dtype.inner.fields if field.name == name)
    return values.found.list.eval(pl.element().struct.field(name)), instance(kind)


def as_list(values: Values) -> tuple[pl.Expr, pl.DataType] | None:
    """An array as a list, and the type of its elements. None: the values are no arrays."""
    if isinstance(values.dtype, pl.List):
        return values.found, instance(values.dtype.inner)
    if isinstance(values.dtype, pl.Array):
        return values.found.arr.to_list(), instance(values.dtype.inner)
    return None


def instance(dtype: Any) -> pl.DataType:
    """Polars gives types within types as instances or as classes."""
    found: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return found


def sized(values: Values, low: int | None, high: int | None) -> Fits:
    if isinstance(values.dtype, pl.Map):
        return between(values.found.map.len(), low, high)
    listed = as_list(values)
    if listed is not None:
        return between(listed[0].list.len(), low, high)
    if isinstance(values.dtype, pl.Struct):
        fields = [values.found.struct.field(field.name).is_not_null().cast(pl.UInt32) for field in values.dtype.fields]
        return between(pl.sum_horizontal(fields) if fields else pl.lit(0), low, high)
    return False


def distinct(values: Values) -> Fits:
    """Arrays in which no element stands twice; two nulls are one element twice."""
    listed = as_list(values)
    return False if listed is None else listed[0].list.n_unique() == listed[0].list.len()


def has_field(values: Values, field: str) -> Fits:
    if is_map(values.dtype):
        return map_keys(values)[0].list.eval(pl.element() == pl.lit(field)).list.any()
    return isinstance(values.dtype, pl.Struct) and any(each.name == field for each in values.dtype.fields)


def between(found: pl.Expr, low: int | None, high: int | None) -> pl.Expr:
    if low is not None and high is not None:
        return found.is_between(low, high)
    return found >= low if low is not None else found <= high if high is not None else found.is_not_null()
