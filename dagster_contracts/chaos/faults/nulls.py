"""Values that are not there, openly or under another name."""

from __future__ import annotations

import numpy as np
import polars as pl

from dagster_contracts.chaos.batch import Batch, Injected
from dagster_contracts.chaos.edit import as_held, edited, picked
from dagster_contracts.chaos.fault import SHARES, Group, fault, reading
from dagster_contracts.chaos.shape import Reads
from dagster_contracts.core.contract import Clause

OF_ROWS = "of the rows"
SENTINEL = -999
_TEXTS = (Reads.TEXT, Reads.CATEGORY)


@fault("null_rate", Group.NULLS, clause=Clause.COMPLETENESS, fits=reading(), doses=SHARES, unit=OF_ROWS, monotone=True)
def null_rate(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Values are null here and there."""
    assert column is not None
    return edited(batch, column, _nothing(batch, column), picked(batch, column, dose, rng), "are null")


@fault("null_burst", Group.NULLS, clause=Clause.COMPLETENESS, fits=reading(), doses=SHARES, unit=OF_ROWS)
def null_burst(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Values are null in one stretch of rows, as of a broken page of an export."""
    assert column is not None
    length = min(batch.rows, max(1, round(dose * batch.rows)))
    start = int(rng.integers(0, batch.rows - length + 1))
    where = pl.Series("burst", np.arange(batch.rows)).is_between(start, start + length - 1)
    return edited(batch, column, _nothing(batch, column), where, f"are null, between rows {start:,} and {start + length - 1:,}")


def _nothing(batch: Batch, column: str) -> pl.Series:
    return pl.Series(column, [None], dtype=batch.frame[column].dtype).new_from_index(0, batch.rows)


def _all(batch: Batch, column: str, value: str) -> pl.Series:
    return pl.Series(column, [value], dtype=pl.String).new_from_index(0, batch.rows)


@fault("null_as_empty", Group.NULLS, clause=Clause.COMPLETENESS, fits=reading(*_TEXTS), doses=SHARES, unit=OF_ROWS, monotone=True)
def null_as_empty(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Values that are missing come as empty text."""
    assert column is not None
    return edited(batch, column, _all(batch, column, ""), picked(batch, column, dose, rng), "are empty text")


@fault("null_as_word", Group.NULLS, clause=Clause.COMPLETENESS, fits=reading(*_TEXTS), doses=SHARES, unit=OF_ROWS, monotone=True)
def null_as_word(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Values that are missing come as a word: N/A."""
    assert column is not None
    return edited(batch, column, _all(batch, column, "N/A"), picked(batch, column, dose, rng), 'are "N/A"')


@fault("null_as_sentinel", Group.NULLS, clause=Clause.COMPLETENESS, fits=reading(Reads.NUMBER), doses=SHARES, unit=OF_ROWS, monotone=True)
def null_as_sentinel(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Numbers that are missing come as -999."""
    assert column is not None
    values = as_held(pl.Series(column, [float(SENTINEL)]), batch.shape[column]).new_from_index(0, batch.rows)
    return edited(batch, column, values, picked(batch, column, dose, rng), f"are {SENTINEL}")


@fault(
    "null_as_default_date",
    Group.NULLS,
    clause=Clause.COMPLETENESS,
    fits=reading(Reads.DATE, Reads.TIME),
    doses=SHARES,
    unit=OF_ROWS,
    monotone=True,
)
def null_as_default_date(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Dates that are missing come as 1970-01-01."""
    assert column is not None
    held = batch.frame[column]
    if held.dtype == pl.String:
        first = pl.lit("1970-01-01") + pl.col(column).str.slice(10).str.replace_all("[0-9]", "0")
        return edited(batch, column, first, picked(batch, column, dose, rng), "are 1970-01-01")
    zero = pl.Series(column, [0], dtype=pl.Int32 if held.dtype == pl.Date else pl.Int64).cast(held.dtype).new_from_index(0, batch.rows)
    return edited(batch, column, zero, picked(batch, column, dose, rng), "are 1970-01-01")


FAULTS = (null_rate, null_burst, null_as_empty, null_as_word, null_as_sentinel, null_as_default_date)
