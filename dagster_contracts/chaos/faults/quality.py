"""Data that is damaged: rows twice or not at all, values that cannot be, files that end too early."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import polars as pl

from dagster_contracts.chaos.batch import Batch, Injected, Written, places
from dagster_contracts.chaos.edit import as_held, edited, numbers, picked, replaced
from dagster_contracts.chaos.fault import SHARES, DoesNotFit, Group, fault, reading
from dagster_contracts.chaos.faults.nulls import OF_ROWS
from dagster_contracts.chaos.shape import ColumnShape, Reads
from dagster_contracts.core.contract import Clause

_TEXTS = (Reads.TEXT, Reads.CATEGORY)
_REPLACEMENT = "\ufffd"


@fault("duplicate_rows", Group.QUALITY, clause=Clause.UNIQUENESS, doses=SHARES, unit=OF_ROWS)
def duplicate_rows(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Rows stand twice, the second time at the end."""
    again = batch.frame.filter(picked(batch, None, dose, rng))
    frame = pl.concat([batch.frame, again])
    told = f"{again.height:,} of {batch.rows:,} rows stand a second time at the end"
    return Injected(batch.holding(frame), told, places(np.arange(batch.rows, frame.height)), batch.columns)


def _is_key(column: ColumnShape) -> bool:
    return column.rows > 1 and column.distinct == column.values


@fault(
    "key_collision", Group.QUALITY, clause=Clause.UNIQUENESS, fits=reading(*_TEXTS, Reads.NUMBER, also=_is_key), doses=SHARES, unit=OF_ROWS
)
def key_collision(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Values of a column in which all differ are used again, in other rows."""
    assert column is not None
    chosen = picked(batch, column, min(dose, 0.5), rng)
    others = batch.frame[column].filter(~chosen).drop_nulls()
    if not len(others):
        raise DoesNotFit("it takes two rows for a value to stand twice")
    again = others.gather(rng.integers(0, len(others), batch.rows))
    return edited(batch, column, again, chosen, "are those of other rows")


@fault("truncation", Group.QUALITY, clause=Clause.VOLUME, doses=(0.1, 0.5, 0.9), unit=OF_ROWS, monotone=True)
def truncation(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """The last rows are missing, as of a transfer that broke off."""
    kept = batch.rows - min(batch.rows, max(1, round(dose * batch.rows)))
    told = f"the last {batch.rows - kept:,} of {batch.rows:,} rows are missing"
    return Injected(batch.holding(batch.frame.head(kept)), told, places(np.arange(kept, batch.rows)), batch.columns)


@fault("empty_delivery", Group.QUALITY, clause=Clause.VOLUME)
def empty_delivery(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """All columns and no rows."""
    return Injected(batch.holding(batch.frame.clear()), f"no row of {batch.rows:,} is there", places(np.arange(batch.rows)), batch.columns)


@fault(
    "outliers_out_of_range", Group.QUALITY, clause=Clause.VALIDITY, fits=reading(Reads.NUMBER), doses=SHARES, unit=OF_ROWS, monotone=True
)
def outliers_out_of_range(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Numbers far above all that were ever there."""
    assert column is not None
    low, high = _bounds(numbers(batch, column))
    far = high + 10 * max(high - low, abs(high), 1.0)
    value = as_held(pl.Series(column, [far]), batch.shape[column]).new_from_index(0, batch.rows)
    return edited(batch, column, value, picked(batch, column, dose, rng), f"are {far:g}, where none was above {high:g}")


@fault(
    "outliers_in_range", Group.QUALITY, clause=Clause.DISTRIBUTION, fits=reading(Reads.NUMBER), doses=SHARES, unit=OF_ROWS, monotone=True
)
def outliers_in_range(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Numbers as high as the highest, which no range forbids."""
    assert column is not None
    _, high = _bounds(numbers(batch, column))
    value = as_held(pl.Series(column, [high]), batch.shape[column]).new_from_index(0, batch.rows)
    return edited(batch, column, value, picked(batch, column, dose, rng), f"are {high:g}, the highest there is")


def _bounds(values: pl.Series) -> tuple[float, float]:
    finite = values.filter(values.is_finite())
    low, high = finite.min(), finite.max()
    if not isinstance(low, float) or not isinstance(high, float):
        raise DoesNotFit("it has no finite number")
    return low, high


@fault(
    "constant_column", Group.QUALITY, clause=Clause.DISTRIBUTION, fits=reading(*_TEXTS, Reads.NUMBER, Reads.FLAG, Reads.DATE, Reads.TIME)
)
def constant_column(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Every value is the most frequent one: a default, or a stuck sensor."""
    assert column is not None
    held = batch.frame[column]
    commonest = held.drop_nulls().mode().sort().head(1)
    constant = commonest.new_from_index(0, batch.rows).alias(column)
    kept = pl.select(pl.when(held.is_not_null()).then(constant)).to_series().alias(column)
    return replaced(batch, kept, f"are changed to the most frequent value, {commonest[0]}")


@fault("encoding_damage", Group.QUALITY, clause=Clause.VALIDITY, fits=reading(*_TEXTS), doses=SHARES, unit=OF_ROWS, monotone=True)
def encoding_damage(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Text read in the wrong encoding: "Ã¼" for "ü", a replacement character where a letter was."""
    assert column is not None
    texts = batch.frame[column].cast(pl.String)
    seen = texts.drop_nulls().unique()
    damaged = texts.replace_strict(seen, pl.Series([_misread(text) for text in seen], dtype=pl.String), default=None)
    return edited(batch, column, damaged.alias(column), picked(batch, column, dose, rng), "were read in the wrong encoding")


def _misread(text: str) -> str:
    if text.isascii():
        return text[:-1] + _REPLACEMENT if text else _REPLACEMENT
    return text.encode("utf-8").decode("cp1252", errors="replace")


@fault("corrupt_file", Group.QUALITY, clause=Clause.SCHEMA)
def corrupt_file(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """A Parquet file of which the second half never arrived."""
    target = io.BytesIO()
    try:
        batch.frame.write_parquet(target)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DoesNotFit(f"the rows cannot be written as Parquet ({type(error).__name__})") from error
    content = target.getvalue()
    cut = content[: len(content) // 2]
    told = f"the file ends after {len(cut):,} of its {len(content):,} bytes"
    return Injected(replace(batch, written=Written(".parquet", cut)), told, places(np.arange(batch.rows)), batch.columns)


FAULTS = (
    duplicate_rows,
    key_collision,
    truncation,
    empty_delivery,
    outliers_out_of_range,
    outliers_in_range,
    constant_column,
    encoding_damage,
    corrupt_file,
)
