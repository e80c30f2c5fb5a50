"""The default engine: all metrics of a batch in one lazy Polars pass, in process."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from dagster_contracts.core.metrics import Duplicates, Metric, Orphans
from dagster_contracts.core.verdict import Measured, Measurement, Sample, Unmeasured
from dagster_contracts.engines.polars import division, evidence, relations
from dagster_contracts.engines.polars.asked import ROWS, Asked
from dagster_contracts.engines.polars.expressions import Batch, questions, rows_breaking
from dagster_contracts.engines.polars.frames import FAILURES, Frame, UnsupportedFrame, read
from dagster_contracts.ports import NO_OTHERS, Division, Related

logger = logging.getLogger("dagster_contracts.engines")


class PolarsEngine:
    """Measures pandas, Polars and Arrow frames. Holds no state; one instance may be shared by threads."""

    def measure(self, data: object, metrics: Sequence[Metric], related: Related = NO_OTHERS) -> Measurement | Unmeasured:
        """Rows, columns and every metric whose columns exist once, in one pass over `data`.

        Data that cannot be read is Unmeasured as a whole. A metric that cannot be measured is Unmeasured alone: when the one pass
        fails, each metric is tried by itself. Never raises for what the data holds.
        """
        try:
            batch = _batch(data, metrics, related)
        except UnsupportedFrame as error:
            return Unmeasured(str(error))
        except FAILURES as error:
            return _failed("the data could not be read", error)
        values: dict[Metric, Measured] = {}
        asked: dict[Metric, Asked] = {}
        for metric, found in questions(batch).items():
            if isinstance(found, Asked):
                asked[metric] = found
            else:
                values[metric] = found
        try:
            rows, answered = _answered(batch.frame, asked)
        except FAILURES as error:
            try:
                rows, answered = _one_by_one(batch.frame, asked)
            except FAILURES:
                return _failed("the data could not be read", error)
        values.update(answered)
        return Measurement(rows, batch.frame.columns, {metric: values[metric] for metric in batch.asked})

    def samples(self, data: object, metrics: Sequence[Metric], limit: int = 20, related: Related = NO_OTHERS) -> Mapping[Metric, Sample]:
        """Up to `limit` failing rows and most frequent failing values of each metric. A metric that yields none has no entry."""
        try:
            batch = _batch(data, metrics, related)
            return evidence.samples(batch, limit)
        except FAILURES as error:  # measure() has said why, and counts stand without evidence
            logger.warning("failing rows could not be looked up: %s: %s", type(error).__name__, error)
            return {}

    def divide(self, data: object, rules: Mapping[str, Metric], related: Related = NO_OTHERS) -> Division | None:
        """Part the rows that break a rule (id -> metric) from those that break none; None where rows cannot be told apart."""
        try:
            batch = _batch(data, list(rules.values()), related)
            breaking = {rule: rows_breaking(batch, metric) for rule, metric in rules.items()}
            repeated = {rule: breaking.pop(rule) for rule, metric in rules.items() if isinstance(metric, Duplicates)}
            return division.divide(data, batch.frame.lazy, breaking, repeated)
        except FAILURES as error:
            logger.warning("rows could not be told apart, so that the batch is refused as a whole: %s: %s", type(error).__name__, error)
            return None


def _batch(data: object, metrics: Sequence[Metric], related: Related) -> Batch:
    frame = read(data, {column for metric in metrics for column in metric.columns})
    asked = dict.fromkeys(_measurable(frame, metrics))
    return Batch(frame, asked, {metric: relations.targets(metric, related) for metric in asked if isinstance(metric, Orphans)})


def _measurable(frame: Frame, metrics: Iterable[Metric]) -> list[Metric]:
    times = Counter(column.name for column in frame.columns)
    return [metric for metric in metrics if all(times[column] == 1 for column in metric.columns)]


def _failed(what: str, error: BaseException) -> Unmeasured:
    return Unmeasured(f"{what} ({type(error).__name__})", str(error).strip())


# --- the one pass --------------------------------------------------------------------------------------------------


def _answered(frame: Frame, asked: Mapping[Metric, Asked]) -> tuple[int, dict[Metric, Measured]]:
    """One pass for all (two over a stream: a second one for what needs whole columns), and another for what turned out to need it."""
    values: dict[Metric, Measured] = {}
    first: int | None = None
    while asked or first is None:
        answers = _collect(frame, asked.values())
        rows = int(answers[ROWS])
        first = rows if first is None else first
        found = {metric: each.read(answers) for metric, each in asked.items()}
        asked = {metric: each for metric, each in found.items() if isinstance(each, Asked)}
        for metric, each in found.items():
            if not isinstance(each, Asked):
                values[metric] = each if rows == first else Unmeasured("the data changed while it was measured")
    return first, values


def _collect(frame: Frame, asked: Iterable[Asked]) -> dict[str, Any]:
    asked = list(asked)
    if not frame.out_of_core or len({each.whole for each in asked}) < 2:
        return _selected(frame, asked)
    parts = [_selected(frame, [each for each in asked if each.whole is whole]) for whole in (False, True)]
    if parts[0][ROWS] != parts[1][ROWS]:
        raise OSError("the data changed while it was measured")
    return parts[0] | parts[1]


def _selected(frame: Frame, asked: Iterable[Asked]) -> dict[str, Any]:
    select = {name: expression for each in asked for name, expression in each.select.items()}
    found = frame.select([pl.len().alias(ROWS), *(expression.alias(name) for name, expression in select.items())])
    return {column.name: column.item() for column in found.get_columns()}


def _one_by_one(frame: Frame, asked: Mapping[Metric, Asked]) -> tuple[int, dict[Metric, Measured]]:
    rows, values = _answered(frame, {})
    for metric, each in asked.items():
        try:
            values.update(_answered(frame, {metric: each})[1])
        except FAILURES as error:
            values[metric] = _failed(f"Polars could not measure {type(metric).__name__}", error)
    looked_at = [values[metric] for metric, each in asked.items() if each.select]
    if frame.out_of_core and looked_at and all(isinstance(each, Unmeasured) for each in looked_at):
        raise OSError("no column can be read")  # its number of rows is no more than what the file once said of itself
    return rows, values
