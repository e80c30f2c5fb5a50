"""Plan + Measurement -> Verdict. Pure.

A rule that is broken FAILs if its severity refuses (critical, error) and WARNs otherwise; one whose metric could not be measured is
INCONCLUSIVE; one that cannot be applied to this batch (column absent, no rows to take a percentage of, older partition) is not
executed. Of the batch, in this order:

    FAIL          a critical or error rule failed
    INCONCLUSIVE  a critical or error rule is inconclusive
    WARN          a warning rule is broken or inconclusive, or a critical or error rule was not executed
    PASS          everything else; info rules are reported and change nothing
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from typing import assert_never

from dagster_contracts.core.contract import Operator, Severity
from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.plan import Closed, Fresh, Metric, Newest, NotExecuted, Plan, Present, RowCount, Rule, Threshold, Within
from dagster_contracts.core.verdict import Count, Finding, Instant, Measured, Measurement, Outcome, Sample, Unmeasured, Verdict
from dagster_contracts.core.wording import (
    MASKED,
    clipped,
    expected_age,
    expected_count,
    masked_row,
    observed_age,
    observed_count,
)


def judge(
    plan: Plan,
    measurement: Measurement | Unmeasured,
    samples: Mapping[Metric, Sample],
    *,
    as_of: datetime,
    head: bool,
) -> Verdict:
    """What the batch is worth.

    `as_of` is when it arrived (aware); `head` says that it is the newest of its asset, which alone is judged for freshness.
    `samples` are looked at for broken rules only, and not at all where the contract switches them off.
    """
    if isinstance(measurement, Unmeasured):
        findings = [_inconclusive(rule, measurement, plan.masked) for rule in plan.rules]
        return _verdict(plan, None, findings, [], digest(measurement))
    batch = _Batch(measurement, samples if plan.samples else {}, _masked(plan, measurement), as_of, head)
    judged = [batch.judge(rule) for rule in plan.rules]
    findings = [entry for entry in judged if isinstance(entry, Finding)]
    missed = [entry for entry in judged if isinstance(entry, NotExecuted)]
    return _verdict(plan, measurement.rows, findings, missed, digest(measurement))


def failing(plan: Plan, measurement: Measurement) -> tuple[Metric, ...]:
    """The metrics of broken rules that have failing rows to show; none where the contract switches samples off."""
    if not plan.samples:
        return ()
    broken = (rule.check for rule in plan.rules if isinstance(rule.check, Within) and _has_failing_rows(rule.check, measurement))
    return tuple(dict.fromkeys(check.metric for check in broken))


def digest(measurement: Measurement | Unmeasured) -> str:
    """SHA-256 (hex) of a measurement, whatever the order of its values and the words of a library that failed."""
    if isinstance(measurement, Unmeasured):
        parts: list[object] = ["unmeasured", measurement.reason]
    else:
        columns = [[column.name, column.type] for column in measurement.columns]
        parts = ["measured", measurement.rows, columns, sorted(map(_named, measurement.values.items()))]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def _named(measured: tuple[Metric, Measured]) -> list[str]:
    metric, value = measured
    return [repr(metric), repr(replace(value, detail="") if isinstance(value, Unmeasured) else value)]


def _masked(plan: Plan, measurement: Measurement) -> frozenset[str]:
    """Classified columns, and where there are any, those the contract does not know: one may be a classified column renamed."""
    if not plan.masked:
        return plan.masked
    known = {rule.check.column for rule in plan.rules if isinstance(rule.check, Present)}
    return plan.masked | {column.name for column in measurement.columns if column.name not in known}


def _verdict(plan: Plan, rows: int | None, findings: list[Finding], missed: list[NotExecuted], name: str) -> Verdict:
    not_executed = (*plan.not_executed, *missed)
    return Verdict(_outcome(findings, not_executed), plan.contract_id, plan.contract_version, rows, tuple(findings), not_executed, name)


def _outcome(findings: Iterable[Finding], not_executed: Iterable[NotExecuted]) -> Outcome:
    told = [(finding.severity, finding.outcome) for finding in findings if finding.severity is not Severity.INFO]
    if any(outcome is Outcome.FAIL for _, outcome in told):
        return Outcome.FAIL
    if any(severity.refuses and outcome is Outcome.INCONCLUSIVE for severity, outcome in told):
        return Outcome.INCONCLUSIVE
    quiet = all(outcome is Outcome.PASS for _, outcome in told) and not any(missed.severity.refuses for missed in not_executed)
    return Outcome.PASS if quiet else Outcome.WARN


# --- one rule ------------------------------------------------------------------------------------------------------


class _Batch:
    """One measured batch, asked rule by rule."""

    def __init__(self, measurement: Measurement, samples: Mapping[Metric, Sample], masked: frozenset[str], as_of: datetime, head: bool):
        self._masked = masked
        self._measurement = measurement
        self._samples = samples
        self._as_of = as_of
        self._head = head
        self._times = Counter(column.name for column in measurement.columns)

    def judge(self, rule: Rule) -> Finding | NotExecuted:
        match rule.check:
            case Present(column):
                return self._present(rule, column)
            case Closed(columns):
                return self._closed(rule, columns)
            case Within(metric, threshold):
                unusable = self._unusable(metric)
                return _not_executed(rule, unusable) if unusable else self._within(rule, metric, threshold)
            case Fresh(metric, _):
                unusable = self._unusable(metric)
                return _not_executed(rule, unusable) if unusable else self._fresh(rule, rule.check)
            case _:
                assert_never(rule.check)

    def _unusable(self, metric: Metric) -> str | None:
        for column in metric.columns:
            if self._times[column] != 1:
                return f"column {column} is missing" if not self._times[column] else f"column {column} appears {self._times[column]} times"
        return None

    def _present(self, rule: Rule, column: str) -> Finding:
        times = self._times[column]
        if times == 0:
            observed = f"missing{did_you_mean(column, self._times).rstrip('?,')}"
        else:
            observed = "present" if times == 1 else f"appears {times:,} times"
        return _finding(rule, times == 1, observed)

    def _closed(self, rule: Rule, columns: tuple[str, ...]) -> Finding:
        beyond = [name for name in self._times if name not in columns]
        listed = ", ".join(clipped(name) for name in beyond[:20]) + (", ..." if len(beyond) > 20 else "")
        observed = f"{len(beyond):,} more: {listed}" if beyond else "no other columns"
        return _finding(rule, not beyond, observed)

    def _within(self, rule: Rule, metric: Metric, threshold: Threshold) -> Finding | NotExecuted:
        rows = self._measurement.rows
        measured = self._value(metric)
        if not isinstance(measured, Count):
            return _inconclusive(rule, _as_unmeasured(measured, "a count"), self._masked)
        if threshold.percent and rows == 0:
            return _not_executed(rule, "a percentage of 0 rows says nothing")
        count = measured.value
        held = _meets(threshold, count, rows)
        masked = not self._masked.isdisjoint(metric.columns)
        sample = None if held else self._samples.get(metric)
        return _finding(
            rule,
            held,
            observed_count(metric, count, rows, sample, masked=masked),
            failing_rows=None if isinstance(metric, RowCount) else count,
            sample=sample.rows if sample else (),
            masked=self._masked,
        )

    def _fresh(self, rule: Rule, check: Fresh) -> Finding | NotExecuted:
        if not self._head:  # freshness is no promise of an older partition, so that not judging it warns of nothing
            return NotExecuted(rule.id, "older partition (backfill): freshness is judged for the newest only", Severity.INFO, rule.clause)
        measured = self._value(check.metric)
        if not isinstance(measured, Instant):
            return _inconclusive(rule, _as_unmeasured(measured, "an instant"), self._masked)
        newest = measured.value
        if newest is None:  # data that cannot show that it is fresh is not
            return _finding(rule, False, "no value that is a time")
        held = self._as_of - newest <= check.maximum_age
        hidden = check.metric.column in self._masked
        told = f"{'new enough' if held else 'too old'} ({MASKED})" if hidden else observed_age(newest, self._as_of)
        return _finding(rule, held, told)

    def _value(self, metric: Metric) -> Measured:
        if isinstance(metric, RowCount):
            return Count(self._measurement.rows)
        return self._measurement.values.get(metric, Unmeasured("the engine gave no value"))


def _meets(threshold: Threshold, count: int, rows: int) -> bool:
    """Exact, also in percent: 0.1 means one tenth, and a third is not 33.3."""
    observed = Fraction(100 * count, rows) if threshold.percent else Fraction(count)
    if isinstance(threshold.value, tuple):
        low, high = (Fraction(str(value)) for value in threshold.value)
        return (low <= observed <= high) == (threshold.operator is Operator.BETWEEN)
    wanted = Fraction(str(threshold.value))
    return {
        Operator.MUST_BE: observed == wanted,
        Operator.MUST_NOT_BE: observed != wanted,
        Operator.GREATER_THAN: observed > wanted,
        Operator.GREATER_OR_EQUAL: observed >= wanted,
        Operator.LESS_THAN: observed < wanted,
        Operator.LESS_OR_EQUAL: observed <= wanted,
    }[threshold.operator]


def _has_failing_rows(check: Within, measurement: Measurement) -> bool:
    measured = measurement.values.get(check.metric)
    if isinstance(check.metric, RowCount | Newest) or not isinstance(measured, Count) or not measured.value:
        return False
    return not _meets(check.threshold, measured.value, measurement.rows)


def _finding(
    rule: Rule,
    held: bool,
    observed: str,
    *,
    failing_rows: int | None = None,
    sample: tuple[Mapping[str, object], ...] = (),
    masked: frozenset[str] = frozenset(),
) -> Finding:
    outcome = Outcome.PASS if held else Outcome.FAIL if rule.severity.refuses else Outcome.WARN
    rows = tuple(masked_row(row, masked) for row in sample)
    return Finding(rule.id, rule.clause, rule.column, rule.severity, outcome, observed, _expected(rule), failing_rows, rows)


def _inconclusive(rule: Rule, why: Unmeasured, masked: frozenset[str]) -> Finding:
    """The library's own words may quote data, so that a contract with classified columns gets none of them."""
    detail = "" if masked or not why.detail else f": {clipped(why.detail, 300)}"
    return Finding(
        rule.id,
        rule.clause,
        rule.column,
        rule.severity,
        Outcome.INCONCLUSIVE,
        f"could not be measured: {why.reason}{detail}",
        _expected(rule),
    )


def _as_unmeasured(measured: Measured, wanted: str) -> Unmeasured:
    return measured if isinstance(measured, Unmeasured) else Unmeasured(f"the engine gave {type(measured).__name__}, not {wanted}")


def _expected(rule: Rule) -> str:
    match rule.check:
        case Present(column):
            return f"column {column}, once"
        case Closed(columns):
            return f"no columns beyond the {len(columns):,} of the contract"
        case Within(metric, threshold):
            return expected_count(metric, threshold)
        case Fresh(_, maximum_age):
            return expected_age(maximum_age)
        case _:
            assert_never(rule.check)


def _not_executed(rule: Rule, reason: str) -> NotExecuted:
    return NotExecuted(rule.id, reason, rule.severity, rule.clause)
