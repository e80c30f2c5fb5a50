"""Measurement and verdict: what was measured of a batch, and what that says against the plan. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from dagster_contracts.core.contract import Clause, Severity, Waiver
from dagster_contracts.core.metrics import Metric, ProfileOf
from dagster_contracts.core.plan import NotExecuted, Reference
from dagster_contracts.core.profile import Profile


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


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that is no count of rows; None where there was no value to take it of. What was computed of integers is one, exactly."""

    value: int | float | None

    @classmethod
    def of(cls, value: bool | int | float | Decimal | None) -> Figure:
        """What an engine answered: a decimal that is whole is an integer, any other a float; true and false are 1 and 0."""
        if isinstance(value, Decimal):
            return cls(int(value) if value.is_finite() and value == value.to_integral_value() else float(value))
        return cls(int(value) if isinstance(value, bool) else value)


@dataclass(frozen=True, slots=True)
class Bins:
    """Values in each bin of a Histogram, and nulls."""

    counts: tuple[int, ...]
    nulls: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What Great Expectations says of one expectation: met or not, in words, and the rows it counts against it where it counts.

    `observed` quotes no value of the data, figures aside; `examples` does.
    """

    met: bool
    observed: str
    failing_rows: int | None = None
    sample: tuple[Mapping[str, object], ...] = ()
    examples: str = ""


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """A metric that has nothing to be measured on here, and why: its rule is listed as not executed."""

    reason: str


Measured = Count | Instant | Figure | Bins | Profile | Answer | Unmeasured | NotApplicable


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one pass over a batch found. `values` has an entry for every metric asked for whose columns exist.

    `columns_told` is False for JSON without a row: it names columns nowhere else, so that any may be meant, and none is missing.
    """

    rows: int
    columns: tuple[Column, ...]
    values: Mapping[Metric, Measured]
    typed_source: bool = False  # the types of `columns` are those of a database: physicalType can be compared with them
    columns_told: bool = True


@dataclass(frozen=True, slots=True)
class Sample:
    """Failing rows of one metric: up to the limit, and the most frequent offending values with their counts.

    `reading` tells what failing dates and times look like, where that is known: "epoch milliseconds". It quotes no value.
    """

    rows: tuple[Mapping[str, object], ...] = ()
    values: tuple[tuple[object, int], ...] = ()
    reading: str = ""


ACCEPTED = (Outcome.PASS, Outcome.WARN)


@dataclass(frozen=True, slots=True)
class Arrival:
    """An earlier head batch, for cadence: when it arrived, and the end of its time window where it has one (both aware UTC).

    `accepted`: it was judged PASS or WARN, whatever became of it since. One that was refused, or could not be measured, is to be
    delivered again, so that the next is not one too many.
    """

    at: datetime
    window_end: datetime | None = None
    accepted: bool = True


@dataclass(frozen=True, slots=True)
class Remembered:
    """A reference profile, and where it is from in words: "7 good batches, newest 2026-11-01"."""

    profile: Profile
    told: str


@dataclass(frozen=True, slots=True)
class Past:
    """What the ledger knows that bears on a batch: reference profiles, and the newest head arrivals before it, newest first.

    `profiles` maps a reference and a metric to the profile; what is missing there has no profile yet. `window_end` is the end of the
    batch's own time window.
    """

    profiles: Mapping[tuple[Reference, ProfileOf], Remembered] = field(default_factory=dict)
    arrivals: tuple[Arrival, ...] = ()
    window_end: datetime | None = None


# --- what core makes of it -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """One executed rule and what came of it. `observed` and `expected` are for people; classified values never stand in them.

    `value` is what the threshold was compared with: rows, percent of the rows, a figure, a distance, an age in seconds. None of a rule
    without a threshold, of what is not finite, and where it would be a classified value.
    """

    rule: str
    clause: Clause
    column: str | None
    severity: Severity
    outcome: Outcome
    observed: str
    expected: str
    failing_rows: int | None = None
    sample: tuple[Mapping[str, object], ...] = ()  # failing rows as JSON values, classified columns masked
    waived: Waiver | None = None  # why a broken rule is a warning
    value: float | None = None
    of_rows: int | None = None  # what `failing_rows` are of, where these were set aside: the whole delivery, which the verdict is not of


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
    def failing_percent(self) -> dict[Clause, float]:
        """Of each clause group whose rules count rows: how many rows in a hundred its worst rule has failing, of the delivery where
        these were set aside. None of a batch of 0 rows."""
        worst: dict[Clause, float] = {}
        for finding in self.findings:
            if finding.failing_rows is not None and (rows := finding.of_rows or self.rows):
                worst[finding.clause] = max(round(100 * finding.failing_rows / rows, 4), worst.get(finding.clause, 0.0))
        return worst

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
                "of_rows": finding.of_rows,
                "value": finding.value,
                "sample": [dict(row) for row in finding.sample],
                "waived": waiver_to_json(finding.waived),
            }
            for finding in verdict.findings
        ],
        "not_executed": [
            {"rule": missed.rule, "reason": missed.reason, "severity": missed.severity.value, "dimension": missed.clause.value}
            for missed in verdict.not_executed
        ],
        "digest": verdict.digest,
    }


def waiver_to_json(waiver: Waiver | None) -> dict[str, str] | None:
    if waiver is None:
        return None
    return {"until": waiver.until.isoformat(), "reason": waiver.reason, "approved_by": waiver.approved_by}


def _waiver(rule: str, found: Mapping[str, str] | None) -> Waiver | None:
    return None if found is None else Waiver(rule, date.fromisoformat(found["until"]), found["reason"], found["approved_by"])


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
            of_rows=entry.get("of_rows"),  # verdicts of earlier releases have neither
            value=entry.get("value"),
            sample=tuple(entry["sample"]),
            waived=_waiver(entry["rule"], entry.get("waived")),  # verdicts of before there were waivers have none
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
