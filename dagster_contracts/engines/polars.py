"""The default engine: all metrics of a batch in one lazy Polars pass, in process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import polars as pl

from dagster_contracts.core.metrics import (
    Duplicates,
    LengthOutside,
    Metric,
    Missing,
    Newest,
    NotIn,
    NotMatching,
    Nulls,
    OutOfRange,
    RowCount,
    TypeBreaches,
)
from dagster_contracts.core.verdict import Count, Instant, Measured, Measurement, Sample, Unmeasured
from dagster_contracts.engines import predicates
from dagster_contracts.engines.frames import FAILURES, Frame, UnsupportedFrame, read
from dagster_contracts.ports import NO_OTHERS, Related

_ROW = "\x00row"
_ROWS = "\x00rows"


class PolarsEngine:
    """Measures pandas, Polars and Arrow frames. Holds no state; one instance may be shared by threads."""

    def measure(self, data: object, metrics: Sequence[Metric], related: Related = NO_OTHERS) -> Measurement | Unmeasured:
        """Rows, columns and every metric whose columns exist once, in one pass over `data`.

        Data that cannot be read is Unmeasured as a whole. A metric that cannot be measured is Unmeasured alone: when the one pass
        fails, each metric is tried by itself. Never raises for what the data holds.
        """
        try:
            frame = read(data, {column for metric in metrics for column in metric.columns})
        except UnsupportedFrame as error:
            return Unmeasured(str(error))
        except FAILURES as error:
            return _failed("the data could not be read", error)
        values: dict[Metric, Measured] = {}
        asked: dict[Metric, pl.Expr] = {}
        for metric in _measurable(frame, metrics):
            found = _expression(frame, metric)
            if isinstance(found, pl.Expr):
                asked[metric] = found
            else:
                values[metric] = found
        try:
            rows, collected = _collect(frame, asked)
        except FAILURES as error:
            alone = _one_by_one(frame, asked)
            if isinstance(alone, Unmeasured):
                return _failed(alone.reason, error)
            rows, collected = alone
        values.update(collected)
        return Measurement(rows, frame.columns, {metric: values[metric] for metric in _measurable(frame, metrics)})

    def samples(self, data: object, metrics: Sequence[Metric], limit: int = 20) -> Mapping[Metric, Sample]:
        """Up to `limit` failing rows and most frequent failing values of each metric. A metric that yields none has no entry."""
        try:
            frame = read(data, {column for metric in metrics for column in metric.columns})
        except FAILURES:
            return {}  # measure() has said why
        found = ((metric, _sample(frame, metric, limit)) for metric in _measurable(frame, metrics))
        return {metric: sample for metric, sample in found if sample is not None}


def _measurable(frame: Frame, metrics: Iterable[Metric]) -> list[Metric]:
    times = Counter(column.name for column in frame.columns)
    return [metric for metric in metrics if all(times[column] == 1 for column in metric.columns)]


def _failed(what: str, error: BaseException) -> Unmeasured:
    return Unmeasured(f"{what} ({type(error).__name__})", str(error).strip())


# --- the one pass --------------------------------------------------------------------------------------------------


def _collect(frame: Frame, asked: Mapping[Metric, pl.Expr]) -> tuple[int, dict[Metric, Measured]]:
    named = {f"{number}": expression for number, expression in enumerate(asked.values())}
    query = frame.lazy.select(pl.len().alias(_ROWS), **named)
    found = query.collect(engine="streaming" if frame.out_of_core else "in-memory").row(0, named=True)
    return int(found[_ROWS]), {metric: _measured(metric, found[name]) for metric, name in zip(asked, named, strict=True)}


def _one_by_one(frame: Frame, asked: Mapping[Metric, pl.Expr]) -> tuple[int, dict[Metric, Measured]] | Unmeasured:
    try:
        rows, _ = _collect(frame, {})
    except FAILURES:
        return Unmeasured("the data could not be read")
    values: dict[Metric, Measured] = {}
    for metric, expression in asked.items():
        try:
            values.update(_collect(frame, {metric: expression})[1])
        except FAILURES as error:
            values[metric] = _failed(f"Polars could not measure {type(metric).__name__}", error)
    return rows, values


def _measured(metric: Metric, found: object) -> Measured:
    if not isinstance(metric, Newest):
        return Count(found) if isinstance(found, int) else Unmeasured(f"Polars answered {type(found).__name__}, not a number")
    return Instant(found.replace(tzinfo=UTC) if isinstance(found, datetime) else None)


def _expression(frame: Frame, metric: Metric) -> pl.Expr | Measured:
    """What to select for a metric, or its value where no data need be looked at."""
    for column in metric.columns:
        if column in frame.unreadable:
            return Unmeasured(frame.unreadable[column])
    try:
        return _selected(frame, metric)
    except predicates.NotComparable as error:
        return Unmeasured(str(error))
    except FAILURES as error:
        return _failed(f"Polars cannot express {type(metric).__name__}", error)


def _selected(frame: Frame, metric: Metric) -> pl.Expr | Measured:
    match metric:
        case RowCount():
            return pl.len()
        case Nulls(column):
            return _value(frame, column).null_count()
        case Missing(column, values):
            members = _total(_among(frame, metric))
            return members + _value(frame, column).null_count() if None in values else members
        case Duplicates(columns):
            return _duplicates(frame, columns)
        case Newest(column):
            if frame.schema[column] == pl.Null:
                return Instant(None)
            point = predicates.instant(_value(frame, column), frame.schema[column])
            return Unmeasured(f"a {frame.schema[column]} column holds no dates or timestamps") if point is None else point.max()
        case TypeBreaches() | NotIn() | NotMatching() | OutOfRange() | LengthOutside():
            found = _fits(frame, metric)
            if found is True:
                return Count(0)
            present = _value(frame, metric.column).count()
            return present if found is False else present - found.sum()
        case _:
            return Unmeasured(f"the Polars engine does not measure {type(metric).__name__}")


def _value(frame: Frame, column: str) -> pl.Expr:
    return predicates.value(column, frame.schema[column])


def _total(found: predicates.Fits) -> pl.Expr:
    return found.sum() if isinstance(found, pl.Expr) else pl.len() * int(found)


def _among(frame: Frame, metric: Missing) -> predicates.Fits:
    dtype = frame.schema[metric.column]
    return False if dtype == pl.Null else predicates.among(_value(frame, metric.column), dtype, metric.values)


def _fits(frame: Frame, metric: predicates.ValueMetric) -> predicates.Fits:
    if isinstance(metric, TypeBreaches) and metric.logical_type == "string" and metric.column in frame.mixed:
        return frame.is_text(metric.column)
    return predicates.fits(metric, frame.schema[metric.column])


def _duplicates(frame: Frame, columns: tuple[str, ...]) -> pl.Expr:
    if len(columns) == 1:
        found = _value(frame, columns[0])
        return found.count() - (found.n_unique() - (found.null_count() > 0).cast(pl.UInt32))
    complete = pl.all_horizontal(_value(frame, column).is_not_null() for column in columns)
    key = pl.struct(_value(frame, column) for column in columns).filter(complete)
    return key.len() - key.n_unique()


# --- evidence ------------------------------------------------------------------------------------------------------


def _sample(frame: Frame, metric: Metric, limit: int) -> Sample | None:
    if isinstance(metric, RowCount | Newest) or any(column in frame.unreadable for column in metric.columns):
        return None
    values = [_value(frame, column).alias(f"{number}") for number, column in enumerate(metric.columns)]
    try:
        failing = frame.lazy.with_row_index(_ROW).filter(_breaks(frame, metric)).select(_ROW, *values)
        names = [f"{number}" for number in range(len(values))]
        counted = failing.group_by(names, maintain_order=True).len(_ROWS).sort(_ROWS, descending=True, maintain_order=True)
        first, frequent = pl.collect_all([failing.select(_ROW).head(limit), counted.head(limit)])
        rows = frame.rows(first[_ROW].to_list())
    except FAILURES:
        return None  # evidence is a courtesy: the count stands without it
    shown = [(row[0] if len(names) == 1 else row[:-1], row[-1]) for row in frequent.iter_rows()]
    return Sample(tuple(rows), tuple(shown))


def _breaks(frame: Frame, metric: Metric) -> pl.Expr:
    """Which rows `metric` counts."""
    match metric:
        case Nulls(column):
            return _value(frame, column).is_null()
        case Missing(column, values):
            member = _certain(_among(frame, metric))
            return member | _value(frame, column).is_null() if None in values else member
        case Duplicates(columns):
            complete = pl.all_horizontal(_value(frame, column).is_not_null() for column in columns)
            return complete & pl.struct(_value(frame, column) for column in columns).is_first_distinct().not_()
        case TypeBreaches() | NotIn() | NotMatching() | OutOfRange() | LengthOutside():
            return _value(frame, metric.column).is_not_null() & _certain(_fits(frame, metric)).not_()
        case _:
            raise predicates.NotComparable(f"{type(metric).__name__} counts no rows of its own")


def _certain(found: predicates.Fits) -> pl.Expr:
    return found.fill_null(False) if isinstance(found, pl.Expr) else pl.lit(found)
