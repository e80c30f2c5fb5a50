"""One rule against one measured batch -> a Finding, or why it was not executed. Pure."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cached_property
from typing import assert_never

from dagster_contracts.core import deliveries, drift, physical
from dagster_contracts.core.contract import Operator, Severity
from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.metrics import Among, Expectation, Metric, Newest, Oldest, Query, RowCount, Statistic
from dagster_contracts.core.plan import (
    Cadence,
    Closed,
    Drifted,
    Due,
    Expected,
    Fresh,
    Gone,
    InForce,
    NotExecuted,
    Present,
    Retained,
    Rule,
    Stored,
    Threshold,
    Within,
)
from dagster_contracts.core.readings import age_reading
from dagster_contracts.core.verdict import (
    Answer,
    Count,
    Figure,
    Finding,
    Instant,
    Measured,
    Measurement,
    NotApplicable,
    Outcome,
    Past,
    Sample,
    Unmeasured,
)
from dagster_contracts.core.wording import (
    MASKED,
    clipped,
    expected_age,
    expected_count,
    figure,
    masked_row,
    observed_age,
    observed_count,
)

_NO_VALUE = Unmeasured("the engine gave no value")


_FEW = 3  # unknown columns that are named in place of a missing one


@dataclass(frozen=True)
class MeasuredBatch:
    """What is known of a batch when its rules are judged. `masked` columns are never quoted; `samples` may be shown if `show_samples`."""

    measurement: Measurement
    samples: Mapping[Metric, Sample]
    masked: frozenset[str]
    show_samples: bool
    as_of: datetime
    head: bool
    past: Past
    deprecated: tuple[Gone, ...] = ()  # columns that may have gone
    declared: frozenset[str] = frozenset()  # columns that the contract asks for

    @cached_property
    def times(self) -> Counter[str]:
        """How often each column stands in the batch."""
        return Counter(column.name for column in self.measurement.columns)

    def value(self, metric: Metric) -> Measured:
        if isinstance(metric, RowCount):
            return Count(self.measurement.rows)
        return self.measurement.values.get(metric, _NO_VALUE)

    def unusable(self, metric: Metric) -> str | None:
        for column in metric.columns if self.measurement.columns_told else ():
            if self.times[column] != 1:
                return f"column {column} is missing" if not self.times[column] else f"column {column} appears {self.times[column]} times"
        return None

    def without(self, rule: Rule) -> str | None:
        """The deprecated column that `rule` speaks of, where it has gone."""
        if not self.measurement.columns_told:
            return None
        gone = {each.column for each in self.deprecated if not self.times[each.column]}
        return next((column for column in _named(rule) if column in gone), None) if gone else None

    def stood_in(self, rule: Rule) -> str | None:
        """Why a column that `rule` speaks of need not be there yet: a deprecated one is, and may be."""
        for old in self.deprecated:
            if not old.replaced_by or old.after is None or not self.times[old.column] or self.as_of.date() > old.after:
                continue
            for column in _named(rule):
                if column in old.replaced_by and not self.times[column]:
                    return f"column {column} has not come yet: {old.column} stands in for it until {old.after}"
        return None

    def hides(self, metric: Metric) -> bool:
        """Whether values of `metric` may not be quoted. What is not bound to columns (a query, an expectation) may touch any of them."""
        return bool(self.masked) and (isinstance(metric, Query | Expectation) or not self.masked.isdisjoint(metric.columns))


def _named(rule: Rule) -> tuple[str | None, ...]:
    """The columns that a rule speaks of."""
    metric = getattr(rule.check, "metric", None)
    return (rule.column, *(metric.columns if metric is not None else ()))


def judge_rule(rule: Rule, batch: MeasuredBatch) -> Finding | NotExecuted:
    if not isinstance(rule.check, Gone) and (column := batch.without(rule)) is not None:
        return NotExecuted(rule.id, f"column {column} is deprecated, and has gone", Severity.INFO, rule.clause)
    if batch.deprecated and (why := batch.stood_in(rule)) is not None:
        return NotExecuted(rule.id, why, Severity.INFO, rule.clause)
    match rule.check:
        case Present() | Gone() if not batch.measurement.columns_told:
            return finding(rule, True, "no row that could tell")
        case Present(column):
            return _present(rule, column, batch)
        case Gone():
            return _gone(rule, rule.check, batch)
        case Closed(columns):
            return _closed(rule, columns, batch)
        case Stored(column, physical_type):
            return _stored(rule, column, physical_type, batch)
        case Within(metric, threshold):
            return _measured(rule, metric, batch) or _within(rule, metric, threshold, batch)
        case Fresh(metric, _):
            return _measured(rule, metric, batch) or _fresh(rule, rule.check, batch)
        case Retained(metric, maximum_age):
            return _measured(rule, metric, batch) or _retained(rule, metric, maximum_age, batch)
        case Drifted(metric):
            return _measured(rule, metric, batch) or _drifted(rule, rule.check, batch)
        case Expected(metric):
            return _measured(rule, metric, batch) or _expected_of_gx(rule, metric, batch)
        case Cadence() | Due() | InForce():
            return _delivered(rule, rule.check, batch)
        case _:
            assert_never(rule.check)


def _measured(rule: Rule, metric: Metric, batch: MeasuredBatch) -> Finding | NotExecuted | None:
    """What keeps a rule from being judged at all; None where nothing does."""
    if (unusable := batch.unusable(metric)) is not None:
        return _not_executed(rule, unusable)
    value = batch.value(metric)
    if isinstance(value, NotApplicable):
        return _not_executed(rule, value.reason)
    return inconclusive(rule, value, batch.masked) if isinstance(value, Unmeasured) else None


# --- the shape of the data -----------------------------------------------------------------------------------------


def _present(rule: Rule, column: str, batch: MeasuredBatch) -> Finding:
    times = batch.times[column]
    observed = f"missing{_instead(column, batch)}" if times == 0 else "present" if times == 1 else f"appears {times:,} times"
    return finding(rule, times == 1, observed)


def _instead(column: str, batch: MeasuredBatch) -> str:
    """Columns of the data that the contract knows nothing of, one of which may be this one by another name."""
    unknown = [name for name in batch.times if name not in batch.declared]
    if near := did_you_mean(column, unknown):
        return near.rstrip("?,")
    return f"; not in the contract: {', '.join(map(clipped, unknown))}" if 0 < len(unknown) <= _FEW else ""


def _gone(rule: Rule, check: Gone, batch: MeasuredBatch) -> Finding:
    """Who still reads it is named; a column that has gone from under a reader is told as a column that stays too long is."""
    readers = f"; still read by {', '.join(map(clipped, check.readers))}" if check.readers else ""
    if not batch.times[check.column]:
        return finding(rule, not check.readers, f"not there any more{readers}")
    until = f"until {check.after.isoformat()}" if check.after else "no date is given for its end"
    instead = f"; {' and '.join(map(clipped, check.replaced_by))} instead" if check.replaced_by else ""
    held = check.after is None or batch.as_of.date() <= check.after
    return finding(rule, held, f"deprecated, and still there ({until}{instead}){readers}")


def _closed(rule: Rule, columns: tuple[str, ...], batch: MeasuredBatch) -> Finding:
    beyond = [name for name in batch.times if name not in columns]
    listed = ", ".join(clipped(name) for name in beyond[:20]) + (", ..." if len(beyond) > 20 else "")
    observed = f"{len(beyond):,} more: {listed}" if beyond else "no other columns"
    return finding(rule, not beyond, observed)


def _stored(rule: Rule, column: str, physical_type: str, batch: MeasuredBatch) -> Finding | NotExecuted:
    found = next((each for each in batch.measurement.columns if each.name == column), None)
    if found is None and batch.measurement.columns_told:
        return _not_executed(rule, f"column {column} is missing")
    held = physical.same(physical_type, found.type) if found and batch.measurement.typed_source else None
    if found is None or held is None:
        return NotExecuted(rule.id, f"the data comes without {physical_type} or another type of a database", Severity.INFO, rule.clause)
    return finding(rule, held, f"stored as {found.type}")


# --- what was measured ---------------------------------------------------------------------------------------------


def _within(rule: Rule, metric: Metric, threshold: Threshold, batch: MeasuredBatch) -> Finding | NotExecuted:
    measured = batch.value(metric)
    if isinstance(measured, Figure):
        return _figure(rule, threshold, measured, hidden=batch.hides(metric))
    if not isinstance(measured, Count):
        return _unlike(rule, measured, "a count", batch)
    rows = batch.measurement.rows
    if threshold.percent and rows == 0:
        return _not_executed(rule, "a percentage of 0 rows says nothing")
    count = measured.value
    value = Fraction(100 * count, rows) if threshold.percent else count
    held = meets(threshold, value)
    sample = None if held else batch.samples.get(metric)
    return finding(
        rule,
        held,
        observed_count(metric, count, rows, sample, masked=batch.hides(metric)),
        failing_rows=None if isinstance(metric, RowCount) else count,
        value=value,
        sample=sample.rows if sample else (),
        masked=batch.masked,
    )


def _figure(rule: Rule, threshold: Threshold, measured: Figure, *, hidden: bool) -> Finding | NotExecuted:
    if measured.value is None:
        return _not_executed(rule, "there is no value to take it of")
    held = math.isfinite(measured.value) and meets(threshold, _exact(measured.value))
    if hidden:
        return finding(rule, held, f"{'held' if held else 'not held'} ({MASKED})")
    return finding(rule, held, figure(measured.value), value=measured.value)


def _fresh(rule: Rule, check: Fresh, batch: MeasuredBatch) -> Finding | NotExecuted:
    if not batch.head:  # freshness is no promise of an older partition, so that not judging it warns of nothing
        return NotExecuted(rule.id, "older partition (backfill): freshness is judged for the newest only", Severity.INFO, rule.clause)
    measured = batch.value(check.metric)
    if not isinstance(measured, Instant):
        return _unlike(rule, measured, "an instant", batch)
    newest = measured.value
    if newest is None:  # data that cannot show that it is fresh is not
        sample = batch.samples.get(check.metric)
        return finding(rule, False, "no value that is a time" + (f"; they look like {sample.reading}" if sample and sample.reading else ""))
    age = batch.as_of - newest
    held = age <= check.maximum_age
    hint = age_reading(newest, batch.as_of, check.maximum_age)
    hidden = batch.hides(check.metric)
    told = f"{'new enough' if held else 'too old'} ({MASKED})" if hidden else observed_age(newest, batch.as_of)
    return finding(rule, held, f"{told}; {hint}" if hint else told, value=None if hidden else age.total_seconds())


def _retained(rule: Rule, metric: Oldest, maximum_age: timedelta, batch: MeasuredBatch) -> Finding | NotExecuted:
    measured = batch.value(metric)
    if not isinstance(measured, Instant):
        return _unlike(rule, measured, "an instant", batch)
    if measured.value is None:
        return _not_executed(rule, "no value that is a time")
    age = batch.as_of - measured.value
    held = age <= maximum_age
    if batch.hides(metric):
        return finding(rule, held, f"{'young enough' if held else 'too old'} ({MASKED})")
    return finding(rule, held, observed_age(measured.value, batch.as_of, which="oldest"), value=age.total_seconds())


def _drifted(rule: Rule, check: Drifted, batch: MeasuredBatch) -> Finding | NotExecuted:
    told = drift.observed(check, batch.value(check.metric), batch.past)
    if isinstance(told, str):
        return _not_executed(rule, told)
    if isinstance(told, Unmeasured):
        return inconclusive(rule, told, batch.masked)
    held = math.isfinite(told.value) and meets(check.threshold, Fraction(str(told.value)))
    hidden = batch.hides(check.metric)
    return finding(rule, held, f"{figure(float(told.value))} ({MASKED})" if hidden else told.observed, value=told.value)


def _expected_of_gx(rule: Rule, metric: Expectation, batch: MeasuredBatch) -> Finding | NotExecuted:
    measured = batch.value(metric)
    if not isinstance(measured, Answer):
        return _unlike(rule, measured, "an answer", batch)
    hidden = batch.hides(metric)
    shown = not measured.met and batch.show_samples and not hidden
    rows = measured.sample if shown else ()
    observed = f"{measured.observed}: {measured.examples}" if shown and measured.examples else measured.observed
    told = f"{'met' if measured.met else 'not met'} ({MASKED})" if hidden else observed
    return finding(rule, measured.met, told, failing_rows=measured.failing_rows, sample=rows, masked=batch.masked)


def _delivered(rule: Rule, check: Cadence | Due | InForce, batch: MeasuredBatch) -> Finding | NotExecuted:
    told = deliveries.observed(check, as_of=batch.as_of, head=batch.head, past=batch.past)
    if isinstance(told, str):
        return NotExecuted(rule.id, told, Severity.INFO, rule.clause)
    if told.late and rule.severity.refuses:  # refusing what is late would make it later: the severity is that of what never comes
        rule = replace(rule, severity=Severity.WARNING)
    return finding(rule, told.held, told.observed)


_HOLDS: Mapping[Operator, Callable[[Fraction | int, Fraction | int], bool]] = {
    Operator.MUST_BE: operator.eq,
    Operator.MUST_NOT_BE: operator.ne,
    Operator.GREATER_THAN: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
    Operator.LESS_THAN: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
}


def meets(threshold: Threshold, observed: Fraction | int) -> bool:
    """Exact, also in percent: 0.1 means one tenth, and a third is not 33.3. A float is the number it is written as."""
    if isinstance(threshold.value, tuple):
        low, high = map(_exact, threshold.value)
        return (low <= observed <= high) == (threshold.operator is Operator.BETWEEN)
    return _HOLDS[threshold.operator](observed, _exact(threshold.value))


def _exact(value: float) -> Fraction | int:
    return value if isinstance(value, int) else Fraction(str(value))


_NO_ROWS_OF_THEIR_OWN = (Among, RowCount, Newest, Oldest, Statistic)


def has_failing_rows(check: Within, measurement: Measurement) -> bool:
    """Whether the rule is broken and the rows that break it can be shown."""
    measured, rows = measurement.values.get(check.metric), measurement.rows
    if isinstance(check.metric, _NO_ROWS_OF_THEIR_OWN) or not isinstance(measured, Count) or not measured.value:
        return False
    if check.threshold.percent:
        return bool(rows) and not meets(check.threshold, Fraction(100 * measured.value, rows))
    return not meets(check.threshold, measured.value)


def has_no_time(check: Fresh | Retained, measurement: Measurement) -> bool:
    """Whether the values of a column of times are no times at all: they may be something else that can be told."""
    return measurement.rows > 0 and measurement.values.get(check.metric) == Instant(None)


# --- findings ------------------------------------------------------------------------------------------------------


def finding(
    rule: Rule,
    held: bool,
    observed: str,
    *,
    failing_rows: int | None = None,
    value: float | Fraction | None = None,
    sample: tuple[Mapping[str, object], ...] = (),
    masked: frozenset[str] = frozenset(),
) -> Finding:
    outcome = Outcome.PASS if held else Outcome.FAIL if rule.severity.refuses else Outcome.WARN
    rows = tuple(masked_row(row, masked) for row in sample)
    told = float(value) if value is not None and math.isfinite(value) else None
    return Finding(rule.id, rule.clause, rule.column, rule.severity, outcome, observed, expected(rule), failing_rows, rows, value=told)


def inconclusive(rule: Rule, why: Unmeasured, masked: frozenset[str]) -> Finding:
    """The library's own words may quote data, so that a contract with classified columns gets none of them."""
    detail = "" if masked or not why.detail else f": {clipped(why.detail, 300)}"
    observed = f"could not be measured: {why.reason}{detail}"
    return Finding(rule.id, rule.clause, rule.column, rule.severity, Outcome.INCONCLUSIVE, observed, expected(rule))


def _unlike(rule: Rule, measured: Measured, wanted: str, batch: MeasuredBatch) -> Finding:
    return inconclusive(rule, Unmeasured(f"the engine gave {type(measured).__name__}, not {wanted}"), batch.masked)


def _not_executed(rule: Rule, reason: str) -> NotExecuted:
    return NotExecuted(rule.id, reason, rule.severity, rule.clause)


def expected(rule: Rule) -> str:
    """What the rule asks for, in words."""
    match rule.check:
        case Present(column):
            return f"column {column}, once"
        case Gone(column, after):
            return f"no column {column} after {after.isoformat()}" if after else f"no column {column} some day"
        case Closed(columns):
            return f"no columns beyond the {len(columns):,} of the contract"
        case Stored(_, physical_type):
            return f"stored as {physical_type}"
        case Within(metric, threshold):
            return expected_count(metric, threshold)
        case Fresh(_, maximum_age):
            return expected_age(maximum_age)
        case Retained(_, maximum_age):
            return expected_age(maximum_age, which="oldest")
        case Drifted():
            return drift.expected(rule.check)
        case Expected(metric):
            return f"{metric.type} {clipped(metric.arguments, 200)}"
        case Cadence() | Due() | InForce():
            return deliveries.expected(rule.check)
        case _:
            assert_never(rule.check)
