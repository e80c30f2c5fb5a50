"""Plan + Measurement -> Verdict. Pure.

A rule that is broken FAILs if its severity refuses (critical, error) and WARNs otherwise; one whose metric could not be measured is
INCONCLUSIVE; one that cannot be applied to this batch (column absent, no rows to take a percentage of, older partition) is not
executed. Of the batch, in this order:

    FAIL          a critical or error rule failed, and is not waived
    INCONCLUSIVE  a critical or error rule is inconclusive
    WARN          a warning rule is broken or inconclusive, or a critical or error rule was not executed
    PASS          everything else; info rules are reported and change nothing
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from dagster_contracts.core.contract import Severity
from dagster_contracts.core.metrics import Expectation, Metric, Orphans, Query
from dagster_contracts.core.plan import Fresh, Gone, NotExecuted, Plan, Present, Retained, Within
from dagster_contracts.core.rules import MeasuredBatch, has_failing_rows, has_no_time, inconclusive, judge_rule
from dagster_contracts.core.verdict import Finding, Measured, Measurement, Outcome, Past, Sample, Unmeasured, Verdict
from dagster_contracts.core.waiving import waived, waiver_of

NOTHING = Past()


def judge(
    plan: Plan,
    measurement: Measurement | Unmeasured,
    samples: Mapping[Metric, Sample],
    *,
    as_of: datetime,
    head: bool,
    past: Past = NOTHING,
) -> Verdict:
    """What the batch is worth.

    `as_of` is when it arrived (aware); `head` says that it is the newest of its asset, which alone is judged for freshness and cadence.
    `samples` are looked at for broken rules only, and not at all where the contract switches them off. `past` is what the ledger knows
    of the batches before it.
    """
    if isinstance(measurement, Unmeasured):
        findings = [inconclusive(rule, measurement, plan.masked) for rule in plan.rules]
        return _verdict(plan, None, findings, [], digest(measurement))
    deprecated = tuple(rule.check for rule in plan.rules if isinstance(rule.check, Gone))
    shown = samples if plan.samples else {}
    declared = frozenset(rule.check.column for rule in plan.rules if isinstance(rule.check, Present | Gone))
    batch = MeasuredBatch(measurement, shown, _masked(plan, measurement), plan.samples, as_of, head, past, deprecated, declared)
    judged = [judge_rule(rule, batch) for rule in plan.rules]
    findings = [waived(entry, plan.waivers, as_of) for entry in judged if isinstance(entry, Finding)]
    missed = [entry for entry in judged if isinstance(entry, NotExecuted)]
    return _verdict(plan, measurement.rows, findings, missed, digest(measurement))


def with_findings(verdict: Verdict, found: tuple[Finding, ...]) -> Verdict:
    """The verdict, with what the bearer of the batch found out about it already."""
    if not found:
        return verdict
    findings = (*found, *verdict.findings)
    return replace(verdict, findings=findings, outcome=_outcome(findings, verdict.not_executed))


def failing(plan: Plan, measurement: Measurement) -> tuple[Metric, ...]:
    """The metrics of broken rules that have failing rows to show; none where the contract switches samples off."""
    if not plan.samples:
        return ()
    broken = (rule.check for rule in plan.rules if isinstance(rule.check, Within) and has_failing_rows(rule.check, measurement))
    timeless = (check for rule in plan.rules if isinstance(check := rule.check, Fresh | Retained) and has_no_time(check, measurement))
    return tuple(dict.fromkeys(check.metric for check in (*broken, *timeless)))


def refusing_rows(plan: Plan, measurement: Measurement, as_of: datetime | None = None) -> dict[str, Metric]:
    """The broken rules that refuse the batch and name the rows that break them: rule id -> metric. What is waived at `as_of` refuses
    nothing."""
    return {
        rule.id: rule.check.metric
        for rule in plan.rules
        if rule.severity.refuses and isinstance(rule.check, Within) and has_failing_rows(rule.check, measurement)
        if as_of is None or waiver_of(rule.id, plan.waivers, as_of) is None
    }


def digest(measurement: Measurement | Unmeasured) -> str:
    """SHA-256 (hex) of a measurement, whatever the order of its values and the words of a library that failed.

    What looks beyond the batch (relationships, queries) or speaks in another tool's words (expectations) is left out: the same data
    measures the same, whatever stands beside it.
    """
    if isinstance(measurement, Unmeasured):
        parts: list[object] = ["unmeasured", measurement.reason]
    else:
        own = [each for each in measurement.values.items() if not isinstance(each[0], Orphans | Query | Expectation)]
        columns = [[column.name, column.type] for column in measurement.columns]
        parts = ["measured", measurement.rows, columns, sorted(map(_named, own))]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def _named(measured: tuple[Metric, Measured]) -> list[str]:
    metric, value = measured
    return [repr(metric), repr(replace(value, detail="") if isinstance(value, Unmeasured) else value)]


def _masked(plan: Plan, measurement: Measurement) -> frozenset[str]:
    """Classified columns, and where there are any, those the contract does not know: one may be a classified column renamed."""
    if not plan.masked:
        return plan.masked
    known = {rule.check.column for rule in plan.rules if isinstance(rule.check, Present | Gone)}
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
