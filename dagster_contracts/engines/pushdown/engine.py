"""IbisEngine: a table is measured by its own database, and only answers travel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ibis.expr import types as ir

from dagster_contracts.core.metrics import (
    Expectation,
    Histogram,
    Metric,
    Nested,
    Newest,
    Oldest,
    Orphans,
    ProfileOf,
    Query,
    RowCount,
    Statistic,
)
from dagster_contracts.core.verdict import Count, Instant, Measured, Measurement, NotApplicable, Sample, Unmeasured
from dagster_contracts.engines.pushdown import comparing, counting, evidence, nested, numbers, physical, queries
from dagster_contracts.engines.pushdown.asking import ROWS, Alone, Answers, Asked, Source, instant_of
from dagster_contracts.engines.pushdown.patterns import Inexpressible
from dagster_contracts.engines.pushdown.predicates import instant
from dagster_contracts.engines.pushdown.values import NAMES
from dagster_contracts.ports import NO_OTHERS, Division, Related

FAILURES = (Exception,)  # whatever a driver, a server or a network raises means "could not be measured"


class IbisEngine:
    """Measures ibis Tables, each in the database that it lives in. Holds no state."""

    def measure(self, data: object, metrics: Sequence[Metric], related: Related = NO_OTHERS) -> Measurement | Unmeasured:
        """Rows, columns and every metric whose columns exist, in one aggregate query.

        Relationships, profiles, values within arrays or objects (one query for each path) and sql rules are queries of their own. A
        metric that the database cannot express or answer is Unmeasured alone: when the one query fails, its halves are tried, down to
        the metrics that fail. Never raises for what the table holds.
        """
        if not isinstance(data, ir.Table):
            return Unmeasured(f"value of type {type(data).__module__}.{type(data).__qualname__}; expected an ibis Table")
        try:
            backend = data.get_backend()
            columns, typed = physical.columns(data, backend)
        except FAILURES as error:
            return _failed("the table could not be read", error)
        run = _Run(Source(data, backend.name), backend, related)
        asked = [metric for metric in metrics if all(column in data.columns for column in metric.columns)]
        rows = run.take(asked)
        if isinstance(rows, Unmeasured):
            return rows
        return Measurement(rows, columns, {metric: run.values[metric] for metric in asked}, typed_source=typed)

    def samples(self, data: object, metrics: Sequence[Metric], limit: int = 20, related: Related = NO_OTHERS) -> Mapping[Metric, Sample]:
        """Up to `limit` failing rows and most frequent failing values of each metric: two queries a metric. Some yield none."""
        if not isinstance(data, ir.Table):
            return {}
        found = {}
        for metric in metrics:
            try:
                sample = evidence.sample(Source(data, data.get_backend().name), metric, limit)
            except FAILURES:
                continue  # evidence is a courtesy: the count stands without it
            if sample is not None:
                found[metric] = sample
        return found

    def divide(self, data: object, rules: Mapping[str, Metric], related: Related = NO_OTHERS) -> Division | None:
        """Part the rows that break a rule (id -> metric) from those that break none; None where rows cannot be told apart."""
        try:
            return evidence.divide(Source(data, data.get_backend().name), rules) if isinstance(data, ir.Table) else None
        except FAILURES:
            return None


def _failed(what: str, error: BaseException) -> Unmeasured:
    return Unmeasured(f"{what} ({type(error).__name__})", str(error).strip())


def aggregate(source: Source, metrics: Sequence[Metric]) -> ir.Table:
    """The one query over a table for all of `metrics` that it can answer, as an expression."""
    found = (ask(source, metric) for metric in metrics)
    return _query(source, [one for one in found if isinstance(one, Asked)])[0]


def _query(source: Source, asked: Sequence[Asked | Alone]) -> tuple[ir.Table, dict[str, str]]:
    """The query, and for each expression's name the column that answers it (databases limit the length of names)."""
    named = {ROWS: source.table.count(), **{name: scalar for one in asked for name, scalar in one.select.items()}}
    columns = {name: f"c{number}" for number, name in enumerate(named)}
    return source.table.aggregate(**{columns[name]: scalar for name, scalar in named.items()}), columns


# --- what to ask ---------------------------------------------------------------------------------------------------


def ask(source: Source, metric: Metric) -> Asked | Alone | Measured:
    """What to ask of the database for a metric, or its value where no data need be looked at."""
    try:
        return _ask(source, metric)
    except nested.NotThere as error:
        return NotApplicable(str(error))
    except Inexpressible as error:
        return Unmeasured(f"{_name(source)} cannot measure {type(metric).__name__}: {error}")
    except FAILURES as error:
        return _failed(f"{_name(source)} cannot express {type(metric).__name__}", error)


def _name(source: Source) -> str:
    return NAMES.get(source.dialect, source.dialect)


def _ask(source: Source, metric: Metric) -> Asked | Alone | Measured:
    match metric:
        case RowCount():
            return Asked({}, lambda answers: Count(int(answers[ROWS])))
        case Newest() | Oldest():
            return _extreme(source, metric)
        case Statistic(column):
            return numbers.statistic(metric, source.values(column))
        case Histogram(column):
            return numbers.histogram(metric, source.values(column))
        case ProfileOf():
            return numbers.profile_of(metric, source)
        case Expectation():
            raise Inexpressible("Great Expectations runs on frames, not on a table of a database")
        case Nested() | Orphans() | Query():
            raise AssertionError("asked by _Run")
        case _:
            return counting.asked(metric, source)


def _extreme(source: Source, metric: Newest | Oldest) -> Asked | Measured:
    values = source.values(metric.column)
    if values.dtype.is_null():
        return Instant(None)
    point = instant(values.known(), metric.text)
    if point is None:
        return Unmeasured(f"a {values.dtype} column holds no dates or timestamps")
    return instant_of(str(metric), point.max() if isinstance(metric, Newest) else point.min())


# --- asking --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Run:
    """The measuring of one table."""

    source: Source
    backend: Any
    related: Related
    values: dict[Metric, Measured] = field(default_factory=dict)

    def take(self, metrics: Sequence[Metric]) -> int | Unmeasured:
        """Fill `values`; the rows of the table."""
        plain = [metric for metric in metrics if not isinstance(metric, Nested | Orphans | Query)]
        rows = self._aggregated({metric: ask(self.source, metric) for metric in plain}, self.source)
        if isinstance(rows, Unmeasured):
            return rows
        paths = dict.fromkeys((metric.column, metric.path) for metric in metrics if isinstance(metric, Nested))
        for column, path in paths:
            self._nested([m for m in metrics if isinstance(m, Nested) and (m.column, m.path) == (column, path)])
        for metric in metrics:
            if isinstance(metric, Orphans):
                self._guarded(metric, partial(self._orphans, metric))
            elif isinstance(metric, Query):
                self._guarded(metric, partial(queries.answer, self.source, self.backend, metric, self.related))
        return rows

    def _aggregated(self, found: Mapping[Metric, Asked | Alone | Measured], source: Source) -> int | Unmeasured:
        asked = [(metric, one) for metric, one in found.items() if isinstance(one, Asked | Alone)]
        self.values.update({metric: one for metric, one in found.items() if not isinstance(one, Asked | Alone)})
        try:
            answers = self._answers(source, [one for _, one in asked])
        except FAILURES as error:
            return self._halved(source, asked, error)
        for metric, one in asked:
            self._guarded(metric, partial(self._read, one, answers))
        return int(answers[ROWS])

    def _halved(self, source: Source, asked: list[tuple[Metric, Asked | Alone]], error: BaseException) -> int | Unmeasured:
        """Each half by itself, down to the metrics that fail; the whole, where the table cannot even be counted."""
        try:
            rows = int(self._answers(source, [])[ROWS])
        except FAILURES:
            return _failed("the table could not be read", error)
        middle = len(asked) // 2
        if len(asked) == 1:
            self.values[asked[0][0]] = _failed(f"{_name(source)} could not measure {type(asked[0][0]).__name__}", error)
        for half in (asked[:middle], asked[middle:]) if middle else ():
            self._aggregated(dict(half), source)
        return rows

    def _answers(self, source: Source, asked: Sequence[Asked | Alone]) -> Answers:
        query, columns = _query(source, asked)
        row = self._rows(query)[0]
        return {name: row[column] for name, column in columns.items()}

    def _read(self, one: Asked | Alone, answers: Answers) -> Measured:
        return one.read(answers) if isinstance(one, Asked) else one.read(self._rows(one.query), answers)

    def _rows(self, query: ir.Table) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.backend.to_pyarrow(query).to_pylist()
        return rows

    def _guarded(self, metric: Metric, measure: Callable[[], Measured]) -> None:
        try:
            self.values[metric] = measure()
        except Inexpressible as error:
            self.values[metric] = Unmeasured(f"{_name(self.source)} cannot measure {type(metric).__name__}: {error}")
        except FAILURES as error:
            self.values[metric] = _failed(f"{_name(self.source)} could not measure {type(metric).__name__}", error)

    def _nested(self, metrics: Sequence[Nested]) -> None:
        """All metrics of one path, in one query over the values that stand there."""
        try:
            inner = nested.at(metrics[0], self.source)
        except nested.NotThere as error:
            self.values.update(dict.fromkeys(metrics, NotApplicable(str(error))))
            return
        except FAILURES as error:
            said = error if isinstance(error, Inexpressible) else type(error).__name__
            why = Unmeasured(f"{_name(self.source)} cannot express values within {metrics[0].column}: {said}", str(error).strip())
            self.values.update(dict.fromkeys(metrics, why))
            return
        below = _Run(inner, self.backend, self.related)
        rows = below._aggregated({metric.metric: ask(inner, metric.metric) for metric in metrics}, inner)
        for metric in metrics:
            self.values[metric] = rows if isinstance(rows, Unmeasured) else below.values[metric.metric]

    def _orphans(self, metric: Orphans) -> Measured:
        if metric.object not in self.related:
            return NotApplicable(f"{metric.object} is not at hand")
        targets = self.related[metric.object]()
        if not isinstance(targets, ir.Table) or targets.get_backend() is not self.backend:
            return Unmeasured(f"{metric.object} is no table of the same {_name(self.source)} connection")
        if missing := [column for column in metric.targets if column not in targets.columns]:
            return NotApplicable(f"{metric.object} has no column {missing[0]}")
        return self._read(comparing.orphans(metric, self.source, targets), {})
