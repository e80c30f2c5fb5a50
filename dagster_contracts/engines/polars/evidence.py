"""Failing rows and failing values, of all metrics together: one pass, of which only failing rows are kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from dagster_contracts.core.metrics import Duplicates, Metric, Orphans
from dagster_contracts.core.readings import reading
from dagster_contracts.core.verdict import Sample
from dagster_contracts.engines.polars.expressions import Batch, offending, rows_breaking
from dagster_contracts.engines.polars.frames import FAILURES
from dagster_contracts.engines.polars.values import NotComparable, NotThere, named

logger = logging.getLogger("dagster_contracts.engines")
_ROW, _VALUE, _TIMES = "\x00row", "\x00value", "\x00times"


def samples(batch: Batch, limit: int) -> dict[Metric, Sample]:
    """A metric of which nothing can be shown has no entry."""
    asked = {metric: found for metric in batch.asked if (found := _asked(batch, metric)) is not None}
    answers: dict[Metric, _Found] = {}
    for part in _passes(batch, asked):
        try:
            answers |= _collect(batch, part, limit)
        except FAILURES:  # one at a time, so that one that fails takes no other with it
            for metric, each in part.items():
                answers |= _alone(batch, metric, each, limit)
    wanted = sorted({row for found, _ in answers.values() for row in found})
    rows = dict(zip(wanted, batch.frame.rows(wanted), strict=True))
    return {metric: _sample(metric, *answers[metric], rows) for metric in asked if metric in answers}


_Found = tuple[list[int], list[tuple[object, int]]]
_Asked = tuple[pl.Expr, Callable[[pl.Expr], pl.Expr]]  # which rows fail, and given those, which values
_WHOLE = (Duplicates, Orphans)  # rows are told by the whole column: a stream would hold back all other columns meanwhile


def _asked(batch: Batch, metric: Metric) -> _Asked | None:
    if any(column in batch.frame.unreadable for column in metric.columns):
        return None
    try:
        return rows_breaking(batch, metric), offending(batch, metric)
    except (NotComparable, NotThere):
        return None


def _passes(batch: Batch, asked: Mapping[Metric, _Asked]) -> list[Mapping[Metric, _Asked]]:
    if not batch.frame.out_of_core:
        return [asked] if asked else []
    parts = [{metric: each for metric, each in asked.items() if isinstance(metric, _WHOLE) is whole} for whole in (False, True)]
    return [part for part in parts if part]


def _collect(batch: Batch, asked: Mapping[Metric, _Asked], limit: int) -> dict[Metric, _Found]:
    flags = [_flag(number) for number in range(len(asked))]
    columns = [named(column) for column in dict.fromkeys(column for metric in asked for column in metric.columns)]
    flagged = (failing.alias(flag) for flag, (failing, _) in zip(flags, asked.values(), strict=True))
    query = batch.frame.lazy.with_row_index(_ROW).select(_ROW, *columns, *flagged).filter(pl.any_horizontal(flags))
    failing = query.collect(engine="streaming" if batch.frame.out_of_core else "in-memory")
    selected = []
    for flag, (_, values) in zip(flags, asked.values(), strict=True):
        selected.append(pl.col(_ROW).filter(pl.col(flag)).head(limit).implode().alias(f"{flag} rows"))
        selected.append(_frequent(values(pl.col(flag)), limit).alias(f"{flag} values"))
    row = failing.select(selected).row(0)
    return {metric: (row[2 * n], [_counted(metric, each) for each in row[2 * n + 1]]) for n, metric in enumerate(asked)}


def _flag(number: int) -> str:
    return f"\x00failing {number}"


def _frequent(values: pl.Expr, limit: int) -> pl.Expr:
    """The most frequent values with their counts; of equally frequent ones the first to come."""
    counted = pl.struct(values.unique(maintain_order=True).alias(_VALUE), values.unique_counts().alias(_TIMES))
    return counted.sort_by(counted.struct.field(_TIMES), descending=True, maintain_order=True).head(limit).implode()


def _counted(metric: Metric, found: Mapping[str, Any]) -> tuple[object, int]:
    value = found[_VALUE]
    return tuple(value.values()) if len(metric.columns) > 1 else value, found[_TIMES]


def _alone(batch: Batch, metric: Metric, asked: _Asked, limit: int) -> dict[Metric, _Found]:
    try:
        return _collect(batch, {metric: asked}, limit)
    except FAILURES as error:
        logger.warning("failing rows of %s could not be looked up: %s: %s", type(metric).__name__, type(error).__name__, error)
        return {}


def _sample(metric: Metric, found: list[int], values: list[tuple[object, int]], rows: Mapping[int, Mapping[str, object]]) -> Sample:
    return Sample(tuple(rows[row] for row in found), tuple(values), reading(metric, values))
