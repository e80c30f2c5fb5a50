"""Values each of which is right, and which together are not what they were."""

from __future__ import annotations

import numpy as np
import polars as pl

from dagster_contracts.chaos.batch import Batch, Injected
from dagster_contracts.chaos.edit import as_held, edited, numbers, picked
from dagster_contracts.chaos.fault import DoesNotFit, Group, fault, reading
from dagster_contracts.chaos.faults.nulls import OF_ROWS
from dagster_contracts.chaos.shape import ColumnShape, Reads
from dagster_contracts.core.contract import Clause

DEVIATIONS = "standard deviations"


def _varied(column: ColumnShape) -> bool:
    return column.distinct > 1


_NUMBERS = reading(Reads.NUMBER, also=_varied)


@fault("mean_shift", Group.DISTRIBUTION, clause=Clause.DISTRIBUTION, fits=_NUMBERS, doses=(0.25, 1.0, 3.0), unit=DEVIATIONS)
def mean_shift(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """All numbers are higher by a part of their spread."""
    assert column is not None
    by = dose * _spread(batch, column)
    return _all(batch, column, numbers(batch, column) + by, f"are higher by {dose:g} standard deviations ({by:g})")


@fault("scale", Group.DISTRIBUTION, clause=Clause.DISTRIBUTION, fits=_NUMBERS, doses=(0.1, 0.5, 2.0), unit="times more")
def scale(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """All numbers are larger by a factor."""
    assert column is not None
    return _all(batch, column, numbers(batch, column) * (1 + dose), f"are multiplied by {1 + dose:g}")


@fault("variance", Group.DISTRIBUTION, clause=Clause.DISTRIBUTION, fits=_NUMBERS, doses=(0.5, 1.0, 3.0), unit=DEVIATIONS)
def variance(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Noise around the same mean: a worse instrument."""
    assert column is not None
    noise = pl.Series(rng.standard_normal(batch.rows)) * (dose * _spread(batch, column))
    return _all(batch, column, numbers(batch, column) + noise, f"have noise of {dose:g} standard deviations")


@fault(
    "category_mix",
    Group.DISTRIBUTION,
    clause=Clause.DISTRIBUTION,
    fits=reading(Reads.CATEGORY, Reads.FLAG, also=_varied),
    doses=(0.1, 0.3, 0.9),
    unit=OF_ROWS,
    monotone=True,
)
def category_mix(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Categories in other shares: the rarest one grows at the cost of all others."""
    assert column is not None
    counts = batch.frame[column].drop_nulls().value_counts(name="rows").sort(["rows", column])
    rarest = counts[column].head(1)
    grown = rarest.new_from_index(0, batch.rows)
    return edited(batch, column, grown, picked(batch, column, dose, rng), f"have become {rarest[0]}, the rarest category before")


@fault("segment_poisoning", Group.DISTRIBUTION, clause=Clause.DISTRIBUTION, fits=_NUMBERS, doses=(0.5, 1.0, 3.0), unit=DEVIATIONS)
def segment_poisoning(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Numbers are higher in one segment alone: the rows of one category of another column."""
    assert column is not None
    by = [name for name, found in batch.shape.items() if name != column and found.reads is Reads.CATEGORY and found.distinct > 1]
    if not by:
        raise DoesNotFit("there is no column of categories to take a segment by")
    segmenting = by[int(rng.integers(len(by)))]
    segments = batch.frame[segmenting].cast(pl.String)
    names = segments.drop_nulls().unique().sort()
    segment = names[int(rng.integers(len(names)))]
    chosen = (segments == segment).fill_null(value=False)
    higher = as_held(numbers(batch, column) + dose * _spread(batch, column), batch.shape[column])
    told = f"are higher by {dose:g} standard deviations, where {segmenting} is {segment}"
    return edited(batch, column, higher, chosen & numbers(batch, column).is_not_null(), told)


def _spread(batch: Batch, column: str) -> float:
    spread = numbers(batch, column).std()
    if not isinstance(spread, float) or not np.isfinite(spread) or not spread:
        raise DoesNotFit("its numbers have no spread")
    return spread


def _all(batch: Batch, column: str, values: pl.Series, told: str) -> Injected:
    return edited(batch, column, as_held(values, batch.shape[column]), numbers(batch, column).is_not_null(), told)


FAULTS = (mean_shift, scale, variance, category_mix, segment_poisoning)
