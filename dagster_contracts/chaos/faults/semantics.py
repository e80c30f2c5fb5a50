"""Values that are well formed and mean something else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl

from dagster_contracts.chaos.batch import Batch, Injected, places
from dagster_contracts.chaos.edit import as_held, differing, edited, numbers, picked, replaced
from dagster_contracts.chaos.fault import SHARES, DoesNotFit, Group, fault, reading
from dagster_contracts.chaos.faults.nulls import OF_ROWS
from dagster_contracts.chaos.faults.schema import instants
from dagster_contracts.chaos.shape import ColumnShape, Reads, Shape
from dagster_contracts.core.contract import Clause

_TEXTS = (Reads.TEXT, Reads.CATEGORY)
_TIMES = (Reads.DATE, Reads.TIME)
_CODES = 20  # different whole numbers that are still codes and not amounts
_OTHER_NAME = "NEW_CLASS"
_WITH_MINUTES = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}"
_WITH_SECONDS = _WITH_MINUTES + r":\d{2}"


def _coded(column: ColumnShape) -> bool:
    return column.reads is Reads.CATEGORY or (column.integral and 1 < column.distinct <= min(_CODES, column.rows // 10))


@fault(
    "new_category",
    Group.SEMANTICS,
    clause=Clause.VALIDITY,
    fits=reading(Reads.CATEGORY, Reads.NUMBER, also=_coded),
    doses=SHARES,
    unit=OF_ROWS,
    monotone=True,
)
def new_category(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """A category or code that was never there."""
    assert column is not None
    shape = batch.shape[column]
    if shape.reads is Reads.NUMBER:
        highest = numbers(batch, column).max()
        code = as_held(pl.Series(column, [float(highest) + 1]), shape) if isinstance(highest, int | float) else pl.Series(column, [0])
        return edited(batch, column, code.new_from_index(0, batch.rows), picked(batch, column, dose, rng), f"are {code[0]}, a new code")
    new = pl.Series(column, [_OTHER_NAME]).new_from_index(0, batch.rows)
    return edited(batch, column, new, picked(batch, column, dose, rng), f"are {_OTHER_NAME}, a new category")


@fault("changed_case", Group.SEMANTICS, clause=Clause.VALIDITY, fits=reading(*_TEXTS), doses=SHARES, unit=OF_ROWS, monotone=True)
def changed_case(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Text in small letters, or in capitals where it is in small letters already."""
    assert column is not None
    held = pl.col(column).cast(pl.String)
    small = held.str.to_lowercase()
    other = pl.when(small == held).then(held.str.to_uppercase()).otherwise(small)
    return edited(batch, column, other, picked(batch, column, dose, rng), "are written in other letters, small for capital")


@fault("whitespace", Group.SEMANTICS, clause=Clause.VALIDITY, fits=reading(*_TEXTS), doses=SHARES, unit=OF_ROWS, monotone=True)
def whitespace(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Text with a space behind it."""
    assert column is not None
    return edited(batch, column, pl.col(column).cast(pl.String) + " ", picked(batch, column, dose, rng), "have a space behind them")


@fault("categories_to_numbers", Group.SEMANTICS, clause=Clause.VALIDITY, fits=reading(Reads.CATEGORY))
def categories_to_numbers(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Categories come as numbers, 1 for the first of the alphabet."""
    assert column is not None
    held = batch.frame[column].cast(pl.String)
    names = held.drop_nulls().unique().sort()
    codes = held.replace_strict(names, list(range(1, len(names) + 1)), default=None, return_dtype=pl.Int64)
    return replaced(batch, codes.alias(column), f"are numbers 1 to {len(names)} in place of categories")


@fault(
    "unit_change", Group.SEMANTICS, clause=Clause.SEMANTICS, fits=reading(Reads.NUMBER), doses=(0.01, 0.1, 1.0), unit=OF_ROWS, monotone=True
)
def unit_change(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Numbers in a unit a hundredth the size: cents in place of euros."""
    assert column is not None
    return edited(
        batch, column, _held(batch, column, numbers(batch, column) * 100), picked(batch, column, dose, rng), "are 100 times as large"
    )


@fault(
    "sign_change", Group.SEMANTICS, clause=Clause.SEMANTICS, fits=reading(Reads.NUMBER), doses=(0.01, 0.1, 1.0), unit=OF_ROWS, monotone=True
)
def sign_change(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Numbers with the other sign: debits in place of credits."""
    assert column is not None
    negative = _held(batch, column, numbers(batch, column) * -1)
    return edited(batch, column, negative, picked(batch, column, dose, rng), "have the other sign")


def _held(batch: Batch, column: str, values: pl.Series) -> pl.Series:
    return as_held(values, batch.shape[column])


@fault("day_month_swap", Group.SEMANTICS, clause=Clause.SEMANTICS, fits=reading(*_TIMES))
def day_month_swap(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Day and month change places wherever that makes a date: March 4th is April 3rd."""
    assert column is not None
    held = batch.frame[column]
    if held.dtype == pl.String:
        swapped = held.str.replace(r"^(\d{4})-(\d{2})-(0[1-9]|1[0-2])", "$1-$3-$2")
        return replaced(batch, swapped.alias(column), "have day and month swapped")
    day = pl.col(column).dt.day()
    other = pl.col(column).dt.replace(month=day.clip(1, 12), day=pl.col(column).dt.month())
    return edited(batch, column, other, batch.frame.select(day <= 12).to_series().fill_null(value=False), "have day and month swapped")


@fault("timezone_shift", Group.SEMANTICS, clause=Clause.SEMANTICS, fits=reading(Reads.TIME), doses=(1.0, 5.0, 12.0), unit="hours")
def timezone_shift(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Times of another zone: hours early."""
    assert column is not None
    return replaced(batch, _moved(batch, column, -dose * 3600), f"are {dose:g} hours early")


def _moved(batch: Batch, column: str, seconds: float) -> pl.Series:
    """Every time or date of a column moved by so many seconds; text keeps its form."""
    by = pl.duration(microseconds=round(seconds * 1_000_000))
    held = batch.frame[column]
    if held.dtype != pl.String:
        return batch.frame.select(pl.col(column) + by).to_series()
    moved = (instants(batch, column).to_frame("at").select(pl.col("at") + by)).to_series()
    second, minute = moved.dt.strftime("%Y-%m-%d %H:%M:%S"), moved.dt.strftime("%Y-%m-%d %H:%M")
    new = pl.when(held.str.contains(_WITH_SECONDS)).then(second).otherwise(minute)
    separated = pl.when(held.str.contains("T", literal=True)).then(new.str.replace(" ", "T", literal=True)).otherwise(new)
    rest = held.str.replace(_WITH_SECONDS, "").str.replace(_WITH_MINUTES, "")
    return pl.select(pl.when(moved.is_not_null()).then(separated + rest).otherwise(held).alias(column)).to_series()


def _with_partner(shape: Shape) -> Sequence[str | None]:
    return [column.name for column in shape.values() if _partners(shape, column)]


def _partners(shape: Shape, column: ColumnShape) -> list[str]:
    """Columns that could be taken for it: after it, of the same type, and standing for the same."""
    later = list(shape)[list(shape).index(column.name) + 1 :]
    if column.reads in (Reads.NOTHING, Reads.OTHER):
        return []
    return [name for name in later if (shape[name].dtype, shape[name].reads) == (column.dtype, column.reads)]


@fault("column_swap", Group.SEMANTICS, clause=Clause.SEMANTICS, fits=_with_partner)
def column_swap(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """The values of two columns of one type change places."""
    assert column is not None
    other = _partners(batch.shape, batch.shape[column])[0]
    one, two = batch.frame[column], batch.frame[other]
    frame = batch.frame.with_columns(two.alias(column), one.alias(other))
    rows = differing(one, two)
    told = f"{len(rows):,} of {batch.rows:,} rows have the values of {column} and {other} swapped"
    return Injected(batch.holding(frame), told, rows, (column, other) if len(rows) else ())


@fault("stale_copy", Group.SEMANTICS, clause=Clause.SEMANTICS)
def stale_copy(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """The rows of the delivery before, under new times: what freshness cannot see."""
    before = batch.previous
    if before is None or before.columns != batch.columns:
        raise DoesNotFit("there is no delivery before it with the same columns")
    times = [name for name, found in batch.shape.items() if found.reads is Reads.TIME and before.shape[name].reads is Reads.TIME]
    copied = before
    for name in times:
        newest, old = instants(batch, name).max(), instants(before, name).max()
        if isinstance(newest, datetime) and isinstance(old, datetime):
            copied = copied.holding(copied.frame.with_columns(_moved(copied, name, (newest - old).total_seconds())))
    rows = whole_rows_differing(batch.frame, copied.frame)
    told = f"the {before.rows:,} rows are those of {before.name or 'the delivery before'}" + (
        f", with new {', '.join(times)}" if times else ""
    )
    return Injected(batch.holding(copied.frame), told, rows, changed_columns(batch.frame, copied.frame))


def whole_rows_differing(old: pl.DataFrame, new: pl.DataFrame) -> pl.Series:
    """Places at which two frames of the same columns differ, those that only one has included."""
    common = min(old.height, new.height)
    here, there = old.head(common), new.head(common)
    unlike = np.zeros(max(old.height, new.height), dtype=bool)
    unlike[common:] = True
    for name in old.columns:
        unlike[differing(here[name], there[name]).to_numpy()] = True
    return places(np.flatnonzero(unlike))


def changed_columns(old: pl.DataFrame, new: pl.DataFrame) -> tuple[str, ...]:
    """Names of the columns that two frames of the same columns differ in."""
    return tuple(name for name in old.columns if not old[name].equals(new[name], null_equal=True))


FAULTS = (
    new_category,
    changed_case,
    whitespace,
    categories_to_numbers,
    unit_change,
    sign_change,
    day_month_swap,
    timezone_shift,
    column_swap,
    stale_copy,
)
