"""Frames and their names, in order -> batches: which partition each is, and when it is taken to have arrived.

What is stored says no more when it came. A batch is taken to arrive:

    where a rule asks for fresh data    when its newest time says, so that clean data is fresh
    else, with a date in its name       when that day or month is over
    else                                a day after the one before it
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import polars as pl

from dagster_contracts.chaos.batch import Arrival, Batch
from dagster_contracts.core.ledger import UNPARTITIONED, Partition
from dagster_contracts.core.plan import Fresh, Plan
from dagster_contracts.core.verdict import Instant, Unmeasured
from dagster_contracts.ports import MetricEngine

_DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})-?(0[1-9]|1[0-2])(?:-?(0[1-9]|[12]\d|3[01]))?(?!\d)")
_DAY = timedelta(days=1)
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def deliveries(plan: Plan, engine: MetricEngine, frames: Iterable[tuple[str, pl.DataFrame]]) -> list[Batch]:
    """Batches in the order given, each of which knows the one before."""
    found: list[Batch] = []
    for name, frame in frames:
        before = found[-1] if found else None
        place = partition_in(name)
        told, by = _arrived(plan, engine, frame, place, before)
        found.append(Batch(frame, told, place, name, before, arrival=by))
    return found


def arrival(plan: Plan, engine: MetricEngine, frame: pl.DataFrame, place: Partition, before: Batch | None) -> datetime:
    """When a batch is taken to have arrived of which nobody knows it any more."""
    return _arrived(plan, engine, frame, place, before)[0]


def _arrived(plan: Plan, engine: MetricEngine, frame: pl.DataFrame, place: Partition, before: Batch | None) -> tuple[datetime, Arrival]:
    if (newest := _newest(plan, engine, frame)) is not None:
        return newest, Arrival.DATA
    if place.end is not None:
        return place.end, Arrival.NAME
    return (before.arrived_at + _DAY if before else _FIRST), Arrival.ORDER


def partition_in(name: str) -> Partition:
    """The day or month in a name: "trips_2026-01.parquet", "20260131.csv". UNPARTITIONED where there is none."""
    for part in reversed(list(_DATE.finditer(name))):
        year, month, day = part.groups()
        try:
            start = datetime(int(year), int(month), int(day or 1), tzinfo=UTC)
        except ValueError:
            continue
        end = start + _DAY if day else (start + 31 * _DAY).replace(day=1)
        return Partition(start.strftime("%Y-%m-%d" if day else "%Y-%m"), start, end)
    return UNPARTITIONED


def _newest(plan: Plan, engine: MetricEngine, frame: pl.DataFrame) -> datetime | None:
    """The newest time of all columns that are to be fresh."""
    metrics = [rule.check.metric for rule in plan.rules if isinstance(rule.check, Fresh)]
    if not metrics:
        return None
    measured = engine.measure(frame, metrics)
    if isinstance(measured, Unmeasured):
        return None
    return max((value.value for value in measured.values.values() if isinstance(value, Instant) and value.value), default=None)
