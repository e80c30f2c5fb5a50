"""What faults are made of: picking rows, changing them, and telling truly which ones changed."""

from __future__ import annotations

import numpy as np
import polars as pl

from dagster_contracts.chaos.batch import Batch, Injected, places
from dagster_contracts.chaos.shape import ColumnShape, Reads

_ROWS = "\x00row"
_TEXT_DECIMALS = 6


def picked(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> pl.Series:
    """True in a share `dose` of the rows that have a value of `column` (None: of all rows), at least one; those of a lower dose too."""
    open_to = np.ones(batch.rows, dtype=bool) if column is None else batch.frame[column].is_not_null().to_numpy()
    lots = rng.random(batch.rows)
    lots[~open_to] = np.inf
    wanted = min(int(open_to.sum()), max(1, round(dose * open_to.sum())))
    chosen = np.zeros(batch.rows, dtype=bool)
    if wanted:
        chosen[np.argpartition(lots, wanted - 1)[:wanted]] = True
    return pl.Series("picked", chosen)


def edited(batch: Batch, column: str, values: pl.Expr | pl.Series, chosen: pl.Series, told: str) -> Injected:
    """`values` in the rows of `column` that are chosen; of the column's own type where that can hold them, else of theirs.

    `told` goes on after "<n> of <m> values of <column> ": "in capitals".
    """
    column_shape = batch.shape[column]
    new = batch.frame.select(values.alias(column)).to_series() if isinstance(values, pl.Expr) else values.alias(column)
    old = batch.frame[column]
    if column_shape.is_text and old.dtype != pl.String:
        old = old.cast(pl.String)
    if new.dtype != old.dtype:
        old = old.cast(new.dtype, strict=False) if chosen.all() or _holds(new.dtype, old.dtype) else old
    mixed = pl.select(pl.when(chosen).then(new).otherwise(old).alias(column)).to_series()
    return replaced(batch, mixed, told)


def _holds(wide: pl.DataType, narrow: pl.DataType) -> bool:
    return wide == pl.String or (wide.is_float() and narrow.is_integer()) or (wide.is_integer() and narrow.is_integer())


def replaced(batch: Batch, column: pl.Series, told: str) -> Injected:
    """The batch with another column of that name; the rows touched are those in which it differs."""
    rows = differing(batch.frame[column.name], column)
    frame = batch.frame.with_columns(column)
    description = f"{len(rows):,} of {batch.rows:,} values of {column.name} {told}"
    return Injected(batch.holding(frame), description, rows, (column.name,) if len(rows) else ())


def differing(old: pl.Series, new: pl.Series) -> pl.Series:
    """Places at which two columns of one length differ. Of different types every value does, nulls aside."""
    if old.dtype == new.dtype or (isinstance(old.dtype, pl.Categorical | pl.Enum) and new.dtype == pl.String):
        return places(old.cast(new.dtype).ne_missing(new).arg_true().to_numpy())
    if old.dtype.is_numeric() and new.dtype.is_numeric():
        return places(old.cast(pl.Float64).ne_missing(new.cast(pl.Float64)).arg_true().to_numpy())
    return places((old.is_not_null() | new.is_not_null()).arg_true().to_numpy())


# --- numbers -------------------------------------------------------------------------------------------------------


def numbers(batch: Batch, column: str) -> pl.Series:
    """The numbers of a column as Float64, whether it holds numbers or their text; NaN is null."""
    return batch.frame[column].cast(pl.Float64, strict=False).fill_nan(None)


def as_held(values: pl.Series, column: ColumnShape) -> pl.Series:
    """Float64 numbers in the form in which the column holds its own: as text, whole, or decimal. Wider where they need it."""
    if column.reads is Reads.NUMBER and column.integral and values.is_not_null().any():
        values = values.round()
    if column.is_text:
        text = values.cast(pl.Int64, strict=False) if column.integral else values.round(_TEXT_DECIMALS)
        return text.cast(pl.String)
    if column.dtype.is_integer():
        return _integers(values, column.dtype)
    return values.cast(column.dtype, strict=False) if column.dtype.is_decimal() else values.cast(column.dtype)


def _integers(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    narrow = values.cast(dtype, strict=False)
    return narrow if narrow.null_count() == values.null_count() else values.cast(pl.Int64, strict=False)
