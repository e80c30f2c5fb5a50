"""Frame + metric -> what to ask of the one pass, and which rows break the metric."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from operator import is_
from types import MappingProxyType

import polars as pl

from dagster_contracts.core.metrics import (
    Compared,
    Duplicates,
    Expectation,
    Histogram,
    Metric,
    Missing,
    Nested,
    Newest,
    Nulls,
    Oldest,
    Orphans,
    ProfileOf,
    Query,
    RowCount,
    Statistic,
    ValueMetric,
)
from dagster_contracts.core.verdict import Count, Instant, Measured, NotApplicable, Unmeasured
from dagster_contracts.engines.polars import cells, keys, nested, objects, relations, statistics
from dagster_contracts.engines.polars.asked import ROWS, Asked, both, counted, instant_of, nulls, total
from dagster_contracts.engines.polars.comparisons import unlike
from dagster_contracts.engines.polars.frames import FAILURES, Frame
from dagster_contracts.engines.polars.instants import instant
from dagster_contracts.engines.polars.predicates import among, fits
from dagster_contracts.engines.polars.profiles import profile_of
from dagster_contracts.engines.polars.values import NotComparable, NotThere, Values, breaking


@dataclass(frozen=True, slots=True)
class Batch:
    """A frame and what bears on its metrics: all that are asked for, and the keys of other objects by relationship."""

    frame: Frame
    asked: Collection[Metric] = ()
    targets: Mapping[Orphans, pl.DataFrame | Measured] = field(default_factory=dict)

    def values(self, column: str) -> Values:
        return self.frame.values(column)


@dataclass(frozen=True, eq=False)
class _Same:
    """Metrics that are the very same objects: equal ones may ask for other things (1 equals True)."""

    metrics: tuple[Metric, ...]

    def __hash__(self) -> int:
        return hash(tuple(map(id, self.metrics)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and len(self.metrics) == len(other.metrics) and all(map(is_, self.metrics, other.metrics))


def questions(batch: Batch) -> Mapping[Metric, Asked | Measured]:
    """How each metric is asked. Batches of one shape are asked alike: what a plan asks is made once, as the plan is."""
    frame = batch.frame
    if frame.objects or batch.targets:  # values themselves have a say
        return {metric: ask(batch, metric) for metric in batch.asked}
    return _questions(tuple(frame.schema.items()), frame.mixed, tuple(frame.unreadable.items()), _Same(tuple(batch.asked)))


@lru_cache(maxsize=256)
def _questions(
    schema: tuple[tuple[str, pl.DataType], ...], mixed: frozenset[str], unreadable: tuple[tuple[str, str], ...], asked: _Same
) -> Mapping[Metric, Asked | Measured]:
    shape = Frame((), pl.LazyFrame(), pl.Schema(schema), lambda _: [], mixed, dict(unreadable))
    batch = Batch(shape, dict.fromkeys(asked.metrics))
    return MappingProxyType({metric: ask(batch, metric) for metric in asked.metrics})


def ask(batch: Batch, metric: Metric) -> Asked | Measured:
    """What to select for a metric, or its value where no data need be looked at."""
    for column in metric.columns:
        if column in batch.frame.unreadable:
            return Unmeasured(batch.frame.unreadable[column])
    try:
        return _asked(batch, metric)
    except NotThere as error:
        return NotApplicable(str(error))
    except NotComparable as error:
        return Unmeasured(str(error))
    except FAILURES as error:
        return Unmeasured(f"Polars cannot express {type(metric).__name__} ({type(error).__name__})", str(error).strip())


def _asked(batch: Batch, metric: Metric) -> Asked | Measured:
    match metric:
        case RowCount():
            return Asked({}, lambda answers: Count(answers[ROWS]))
        case Duplicates(columns):
            return keys.duplicates(metric, columns, [batch.values(column) for column in columns], batch.asked)
        case Orphans():
            found = batch.targets[metric]
            return total(repr(metric), rows_breaking(batch, metric), whole=True) if isinstance(found, pl.DataFrame) else found
        case Compared():
            return total(f"{metric!r} as {metric.logical}", rows_breaking(batch, metric))
        case Newest() | Oldest():
            return _extreme(metric, batch.values(metric.column))
        case Statistic(column):
            return statistics.statistic(metric, batch.values(column))
        case Histogram(column):
            return statistics.histogram(metric, batch.values(column))
        case ProfileOf(column):
            return profile_of(metric, batch.values(column))
        case Query() | Expectation():
            return Unmeasured(f"the Polars engine does not measure {type(metric).__name__}")
        case Nested(column, path, inner):
            if column in batch.frame.objects:
                return Count(len(_breaking_cells(batch, column, path, inner)))
            return _of_values(inner, nested.at(batch.values(column), path), f"{column} {path}")
        case _:
            if _in_cells(batch, metric):
                return Count(len(_breaking_cells(batch, metric.column, (), metric)))
            return _of_values(metric, batch.values(metric.column), metric.column)


def _extreme(metric: Newest | Oldest, values: Values) -> Asked | Measured:
    if values.dtype == pl.Null:
        return Instant(None)
    point = instant(values, metric.text)
    if point is None:
        return Unmeasured(f"a {values.dtype} column holds no dates or timestamps")
    return instant_of(repr(metric), point.max() if isinstance(metric, Newest) else point.min())


def _of_values(metric: ValueMetric, values: Values, label: str) -> Asked | Count:
    match metric:
        case Nulls():
            return nulls(label, values)
        case Missing(_, listed):
            member = among(values, listed)
            found = Count(0) if isinstance(member, bool) else total(f"{label} {metric!r}", member)
            return found if None not in listed else nulls(label, values) if isinstance(found, Count) else both(found, nulls(label, values))
        case Duplicates():
            return keys.duplicates(metric, (label,), [values], ())
        case _:
            return counted(label, values, fits(metric, values), f"{label} {metric!r}")


# --- which rows ----------------------------------------------------------------------------------------------------


def rows_breaking(batch: Batch, metric: Metric) -> pl.Expr:
    """Which rows the metric counts (of Newest and Oldest: those whose value is no time), never null.

    Raises NotThere, and NotComparable, also for a metric that counts no rows.
    """
    match metric:
        case Duplicates(columns):
            return keys.repeats(metric, [batch.values(column) for column in columns])
        case Orphans(columns):
            found = batch.targets[metric]
            if not isinstance(found, pl.DataFrame):
                raise NotComparable(f"the keys of {metric.object} are not known")
            return relations.orphans(metric, [batch.values(column) for column in columns], found)
        case Compared(left, operator, right, left_text, right_text, logical):
            return unlike(batch.values(left), operator, batch.values(right), (left_text, right_text), logical)
        case Nested(column, path, inner):
            if column in batch.frame.objects:
                return cells.rows(_breaking_cells(batch, column, path, inner), len(batch.frame.objects[column]))
            if isinstance(inner, Duplicates) and not _one_a_row(batch, metric):
                raise NotComparable("what repeats between rows is not told of values within arrays and maps")
            return nested.any_at(batch.values(column), path, lambda values: values_breaking(inner, values))
        case Newest(column) | Oldest(column):
            point = instant(batch.values(column), metric.text)
            return batch.values(column).present if point is None else batch.values(column).present & point.is_null()
        case RowCount() | Statistic() | Histogram() | ProfileOf() | Query() | Expectation():
            raise NotComparable(f"{type(metric).__name__} counts no rows of its own")
        case _:
            if _in_cells(batch, metric):
                return cells.rows(_breaking_cells(batch, metric.column, (), metric), len(batch.frame.objects[metric.column]))
            return values_breaking(metric, batch.values(metric.column))


def values_breaking(metric: ValueMetric, values: Values) -> pl.Expr:
    """Which of the values the metric counts, never null."""
    match metric:
        case Nulls():
            return values.present.not_()
        case Missing(_, listed):
            member = among(values, listed)
            found = pl.lit(member) & values.present if isinstance(member, bool) else member.fill_null(value=False)
            return found | values.present.not_() if None in listed else found
        case Duplicates():
            return keys.repeats(metric, [values])
        case _:
            return breaking(values, fits(metric, values))


def _in_cells(batch: Batch, metric: Metric) -> bool:
    return metric.columns[0] in batch.frame.objects and objects.of_containers(metric)


def _breaking_cells(batch: Batch, column: str, path: tuple[str, ...], metric: ValueMetric) -> list[cells.Placed]:
    return cells.breaking(batch.frame.objects[column], path, metric, values_breaking)


def offending(batch: Batch, metric: Metric) -> Callable[[pl.Expr], pl.Expr]:
    """Given which rows fail: the values the metric counts, one by one; of several columns as a struct. Raises as `rows_breaking` does."""
    if isinstance(metric, Nested) and not _one_a_row(batch, metric):
        within = _offending_within(batch, metric.column, metric.path, metric.metric)
        return lambda _: within
    if _in_cells(batch, metric):
        whole = _offending_cells(batch, metric.columns[0], (), metric)  # type: ignore[arg-type]
        return lambda _: whole
    columns = (
        [nested.field_at(batch.values(metric.column), metric.path)] if isinstance(metric, Nested) else map(batch.values, metric.columns)
    )
    parts = [values.plain.alias(f"{number}") for number, values in enumerate(columns)]
    value = parts[0] if len(parts) == 1 else pl.struct(parts)
    return value.filter


def _one_a_row(batch: Batch, metric: Nested) -> bool:
    """Whether the path leads through objects alone."""
    return metric.column not in batch.frame.objects and not metric.of_many


def _offending_within(batch: Batch, column: str, path: tuple[str, ...], metric: ValueMetric) -> pl.Expr:
    if column not in batch.frame.objects:
        values = nested.at(batch.values(column), path)
        return values.plain.filter(values_breaking(metric, values))
    return _offending_cells(batch, column, path, metric)


def _offending_cells(batch: Batch, column: str, path: tuple[str, ...], metric: ValueMetric) -> pl.Expr:
    found = [value for _, value in _breaking_cells(batch, column, path, metric)]
    return pl.lit(pl.Series([str(value) if objects.is_container(type(value)) else value for value in found], strict=False))
