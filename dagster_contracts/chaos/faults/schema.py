"""The shape of the data: columns that come, go, move, or hold another type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from dagster_contracts.chaos.batch import Batch, Injected, places
from dagster_contracts.chaos.edit import numbers, picked, replaced
from dagster_contracts.chaos.fault import SHARES, Group, fault, reading
from dagster_contracts.chaos.shape import ColumnShape, Reads, Shape
from dagster_contracts.core.contract import Clause

_TIMES = (Reads.DATE, Reads.TIME)


def _every_row(batch: Batch) -> pl.Series:
    return places(np.arange(batch.rows))


@fault("add_column", Group.SCHEMA, clause=Clause.SCHEMA)
def add_column(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """A column that nobody has heard of."""
    name = next(name for number in range(len(batch.columns) + 1) if (name := f"new_field_{number + 1}") not in batch.columns)
    added = pl.Series(name, rng.integers(0, 1000, batch.rows))
    return Injected(batch.holding(batch.frame.with_columns(added)), f"column {name} is new", _every_row(batch), (name,))


@fault("drop_column", Group.SCHEMA, clause=Clause.SCHEMA, fits=lambda shape: tuple(shape) if len(shape) > 1 else ())
def drop_column(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """A column does not come any more."""
    assert column is not None
    return Injected(batch.holding(batch.frame.drop(column)), f"column {column} is gone", _every_row(batch), (column,))


@fault("rename_column", Group.SCHEMA, clause=Clause.SCHEMA, fits=tuple)
def rename_column(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """A column comes under another name."""
    assert column is not None
    name = _other_name(column, batch.columns)
    told = f"column {column} is called {name}"
    return Injected(batch.holding(batch.frame.rename({column: name})), told, _every_row(batch), (column, name))


def _other_name(column: str, taken: Sequence[str]) -> str:
    camel = "".join(part.capitalize() if number else part for number, part in enumerate(column.split("_")))
    return next(name for name in (camel, column.upper(), *(f"{column}_{n}" for n in range(len(taken) + 1))) if name not in taken)


def _several(shape: Shape) -> Sequence[str | None]:
    return (None,) if len(shape) > 1 else ()


@fault("reorder_columns", Group.SCHEMA, clause=Clause.SCHEMA, fits=_several)
def reorder_columns(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """The same columns in another order, which only those notice who read by place."""
    order = [*batch.columns[1:], batch.columns[0]]
    told = f"column {batch.columns[0]} stands last"
    return Injected(batch.holding(batch.frame.select(order)), told, places(), batch.columns)


def _typed(column: ColumnShape) -> bool:
    return not column.is_text


@fault("retype_to_text", Group.SCHEMA, clause=Clause.SCHEMA, fits=reading(Reads.NUMBER, Reads.FLAG, *_TIMES, also=_typed))
def retype_to_text(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Numbers, dates or flags come as text."""
    assert column is not None
    return replaced(batch, batch.frame[column].cast(pl.String), "come as text")


@fault("number_with_unit", Group.SCHEMA, clause=Clause.SCHEMA, fits=reading(Reads.NUMBER), doses=SHARES, unit="of the rows", monotone=True)
def number_with_unit(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Numbers come as text with a unit: 12.5 EUR."""
    assert column is not None
    text = batch.frame[column].cast(pl.String)
    chosen = picked(batch, column, dose, rng)
    told = 'have a unit: "12.5 EUR"'
    return replaced_text(batch, text, pl.select(pl.when(chosen).then(text + " EUR").otherwise(text)).to_series(), column, told)


def replaced_text(batch: Batch, before: pl.Series, after: pl.Series, column: str, told: str) -> Injected:
    """A column that comes as text: rows differ where its text does, not where only its type has changed."""
    found = replaced(batch, after.alias(column), told)
    if batch.shape[column].is_text:
        return found
    changed = int(before.ne_missing(after).sum())
    return Injected(found.batch, f"{changed:,} of {batch.rows:,} values of {column} {told}; all come as text", found.rows, found.columns)


@fault("iso_to_epoch", Group.SCHEMA, clause=Clause.SCHEMA, fits=reading(*_TIMES))
def iso_to_epoch(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Dates and times come as milliseconds since 1970."""
    assert column is not None
    epoch = instants(batch, column).dt.epoch("ms")
    text = batch.shape[column].is_text
    return replaced(batch, (epoch.cast(pl.String) if text else epoch).alias(column), "come as milliseconds since 1970")


def instants(batch: Batch, column: str) -> pl.Series:
    """The times of a column as Datetime without a zone, whatever they are held as; text that is no time is null."""
    held = batch.frame[column]
    if held.dtype != pl.String:
        return held.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if _zoned(held.dtype) else held.cast(pl.Datetime("us"))
    short = held.str.slice(0, 19).str.replace("T", " ", literal=True)
    forms = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")
    return pl.select(pl.coalesce(short.str.to_datetime(form, strict=False, time_unit="us") for form in forms)).to_series()


def _zoned(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Datetime) and dtype.time_zone is not None


@fault("nested_to_text", Group.SCHEMA, clause=Clause.SCHEMA, fits=reading(Reads.NESTED, also=_typed))
def nested_to_text(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Objects and arrays come as the text of their JSON."""
    assert column is not None
    held = batch.frame[column]
    if isinstance(held.dtype, pl.Struct):
        text = held.struct.json_encode()
    else:
        wrapped = held.to_frame().select(pl.struct(pl.col(column)).struct.json_encode()).to_series()
        text = wrapped.str.strip_prefix(f'{{"{column}":').str.strip_suffix("}")
    return replaced(batch, pl.select(pl.when(held.is_not_null()).then(text)).to_series().alias(column), "come as the text of their JSON")


@fault("decimal_comma", Group.SCHEMA, clause=Clause.SCHEMA, fits=reading(Reads.NUMBER, also=lambda column: not column.integral))
def decimal_comma(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Numbers come as text with a comma: 12,5."""
    assert column is not None
    held = batch.frame[column]
    text = (held if held.dtype == pl.String else numbers(batch, column).cast(pl.String)).str.replace(".", ",", literal=True)
    return replaced(batch, text.alias(column), "have a decimal comma")


FAULTS = (
    add_column,
    drop_column,
    rename_column,
    reorder_columns,
    retype_to_text,
    number_with_unit,
    decimal_comma,
    iso_to_epoch,
    nested_to_text,
)
