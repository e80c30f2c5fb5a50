"""Measurement and verdict: what was measured of a batch, and what that says against the plan. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from dagster_contracts.core.contract import Clause, Severity
from dagster_contracts.core.plan import Metric, NotExecuted


class Outcome(StrEnum):
    """Of a rule or a batch. Precedence FAIL > INCONCLUSIVE > WARN > PASS. INCONCLUSIVE means it could not be measured."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


# --- what engines return -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """An observed column: its name and the name of its type in the words of where it came from ("String", "int64")."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Count:
    """Rows (or values) that a metric counted."""

    value: int


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time, aware UTC; None where the column holds no value."""

    value: datetime | None


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A metric, or a whole batch, that could not be measured, and why. Never a statement about the data.

    `reason` never quotes a value. `detail` holds the words of the library that failed, which may: it is not shown of contracts
    with classified columns.
    """

    reason: str
    detail: str = ""


Measured = Count | Instant | Unmeasured


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one pass over a batch found. `values` has an entry for every metric asked for whose columns exist."""

    rows: int
    columns: tuple[Column, ...]
    values: Mapping[Metric, Measured]


@dataclass(frozen=True, slots=True)
class Sample:
    """Failing rows of one metric: up to the limit, and the most frequent offending values with their counts."""

    rows: tuple[Mapping[str, object], ...] = ()
    values: tuple[tuple[object, int], ...] = ()


# --- what core makes of it -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """One executed rule and what came of it. `observed` and `expected` are for people; classified values never stand in them."""

    rule: str
    clause: Clause
    column: str | None
    severity: Severity
    outcome: Outcome
    observed: str
    expected: str
    failing_rows: int | None = None
    sample: tuple[Mapping[str, object], ...] = ()  # failing rows as JSON values, classified columns masked


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a batch is worth under one contract version."""

    outcome: Outcome
    contract_id: str
    contract_version: str
    rows: int | None
    findings: tuple[Finding, ...]
    not_executed: tuple[NotExecuted, ...]
    digest: str  # of the measurement: names the batch where the user gives no DataVersion

    @property
    def failed_rules(self) -> frozenset[str]:
        """Ids of the rules that refuse the batch."""
        return frozenset(finding.rule for finding in self.findings if finding.outcome is Outcome.FAIL)

    @property
    def executed_rules(self) -> frozenset[str]:
        """Ids of the rules that were measured, whatever came of them."""
        return frozenset(finding.rule for finding in self.findings if finding.outcome is not Outcome.INCONCLUSIVE)


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON values, `version` 1. `verdict_from_json` reads it back to an equal verdict."""
    return {
        "version": 1,
        "outcome": verdict.outcome.value,
        "contract": {"id": verdict.contract_id, "version": verdict.contract_version},
        "rows": verdict.rows,
        "findings": [
            {
                "rule": finding.rule,
                "dimension": finding.clause.value,
                "column": finding.column,
                "severity": finding.severity.value,
                "outcome": finding.outcome.value,
                "observed": finding.observed,
                "expected": finding.expected,
                "failing_rows": finding.failing_rows,
                "sample": [dict(row) for row in finding.sample],
            }
            for finding in verdict.findings
        ],
        "not_executed": [
            {"rule": missed.rule, "reason": missed.reason, "severity": missed.severity.value, "dimension": missed.clause.value}
            for missed in verdict.not_executed
        ],
        "digest": verdict.digest,
    }


def verdict_from_json(document: Mapping[str, Any]) -> Verdict:
    """The verdict that `verdict_to_json` wrote. Raises ValueError for another `version`."""
    if document["version"] != 1:
        raise ValueError(f"verdict of version {document['version']!r}; this release reads version 1")
    findings = (
        Finding(
            rule=entry["rule"],
            clause=Clause(entry["dimension"]),
            column=entry["column"],
            severity=Severity(entry["severity"]),
            outcome=Outcome(entry["outcome"]),
            observed=entry["observed"],
            expected=entry["expected"],
            failing_rows=entry["failing_rows"],
            sample=tuple(entry["sample"]),
        )
        for entry in document["findings"]
    )
    missed = (
        NotExecuted(entry["rule"], entry["reason"], Severity(entry["severity"]), Clause(entry["dimension"]))
        for entry in document["not_executed"]
    )
    return Verdict(
        outcome=Outcome(document["outcome"]),
        contract_id=document["contract"]["id"],
        contract_version=document["contract"]["version"],
        rows=document["rows"],
        findings=tuple(findings),
        not_executed=tuple(missed),
        digest=document["digest"],
    )
