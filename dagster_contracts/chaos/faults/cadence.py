"""Deliveries that come when they should not, or do not come."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np

from dagster_contracts.chaos.batch import Batch, Injected, places
from dagster_contracts.chaos.fault import DoesNotFit, Group, fault
from dagster_contracts.chaos.faults.semantics import changed_columns, whole_rows_differing
from dagster_contracts.core.contract import Clause
from dagster_contracts.core.wording import duration

INTERVALS = "intervals between deliveries"
_DAY = timedelta(days=1)
_PARTS = 24


def interval_of(batch: Batch) -> timedelta:
    """From the delivery before to this one; a day where that is not known."""
    gap = batch.arrived_at - batch.previous.arrived_at if batch.previous is not None else _DAY
    return gap if gap > timedelta(0) else _DAY


@fault("late", Group.CADENCE, clause=Clause.FRESHNESS, doses=(0.25, 1.0, 3.0), unit=INTERVALS)
def late(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """The same delivery, later."""
    by = dose * interval_of(batch)
    return Injected(replace(batch, arrived_at=batch.arrived_at + by), f"arrives {duration(by)} late", places(), ())


@fault("missing", Group.CADENCE, clause=Clause.FRESHNESS, doses=(1.0, 3.0), unit=INTERVALS)
def missing(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """Nothing is delivered."""
    told = f"nothing is delivered for {duration(dose * interval_of(batch))}"
    return Injected(None, told, places(np.arange(batch.rows)), ())


@fault("early", Group.CADENCE, clause=Clause.FRESHNESS, doses=(0.25, 0.9), unit=INTERVALS)
def early(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """The same delivery, earlier: perhaps before its day is over."""
    if batch.previous is None:
        raise DoesNotFit("there is no delivery before it that it could come too soon after")
    by = dose * interval_of(batch)
    return Injected(replace(batch, arrived_at=batch.arrived_at - by), f"arrives {duration(by)} early", places(), ())


@fault("daily_to_hourly", Group.CADENCE, clause=Clause.FRESHNESS)
def daily_to_hourly(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """One delivery comes in 24 parts, one after the other."""
    if batch.rows < _PARTS:
        raise DoesNotFit(f"it has fewer than {_PARTS} rows")
    step = interval_of(batch) / _PARTS
    edges = np.linspace(0, batch.rows, _PARTS + 1).astype(int).tolist()
    pieces = enumerate(pairwise(edges))
    first, *rest = (
        replace(batch, frame=batch.frame.slice(low, high - low), arrived_at=batch.arrived_at + number * step)
        for number, (low, high) in pieces
    )
    told = f"comes in {_PARTS} parts of about {first.rows:,} rows, {duration(step)} apart"
    return Injected(first, told, places(np.arange(first.rows, batch.rows)), batch.columns, tuple(rest))


@fault("out_of_order", Group.CADENCE, clause=Clause.FRESHNESS)
def out_of_order(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """The delivery before comes again, right after this one."""
    before = _before(batch)
    if before.partition.key is not None:
        raise DoesNotFit("an older partition that comes again is a backfill, and takes nothing from the newest")
    again = replace(before, arrived_at=batch.arrived_at + interval_of(batch) / _PARTS)
    return Injected(batch, f"{before.name or 'the delivery before'} comes again after it", places(), (), (again,))


@fault("replay", Group.CADENCE, clause=Clause.FRESHNESS)
def replay(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
    """The delivery before is sent in place of this one."""
    before = _before(batch)
    if before.columns != batch.columns:
        raise DoesNotFit("the delivery before it has other columns")
    told = f"the {before.rows:,} rows are those of {before.name or 'the delivery before'}, as they were"
    rows, columns = whole_rows_differing(batch.frame, before.frame), changed_columns(batch.frame, before.frame)
    return Injected(batch.holding(before.frame), told, rows, columns)


def _before(batch: Batch) -> Batch:
    if batch.previous is None:
        raise DoesNotFit("there is no delivery before it")
    return batch.previous


FAULTS = (late, missing, early, daily_to_hourly, out_of_order, replay)
