"""A verdict for people: the outcome, findings with the worst first, failing rows, and what was not executed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from dagster_contracts.cli.printing import print_table, print_text
from dagster_contracts.core.verdict import Finding, Outcome, Verdict

_WORST_FIRST = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.WARN, Outcome.PASS)
_ROWS_SHOWN = 5  # failing rows of one rule; --format json has all that were kept


def print_verdict(verdict: Verdict, subject: str) -> None:
    rows = "the rows could not be counted" if verdict.rows is None else f"{verdict.rows:,} row{'s' if verdict.rows != 1 else ''}"
    print_text(verdict.outcome, f"  {subject} against {verdict.contract_id} {verdict.contract_version}; {rows}; {_counts(verdict)}")
    findings = sorted(verdict.findings, key=lambda finding: _WORST_FIRST.index(finding.outcome))
    if findings:
        print_text("")
        print_table(("outcome", "rule", "severity", "observed", "expected", "failing rows"), map(_finding, findings))
    for finding in findings:
        _print_sample(finding)
    if verdict.not_executed:
        print_text("")
        print_text(f"Not executed ({len(verdict.not_executed)}):")
        print_table(("rule", "severity", "reason"), ((item.rule, item.severity, item.reason) for item in verdict.not_executed))


def _counts(verdict: Verdict) -> str:
    """ "2 fail, 30 pass, 1 not executed"."""
    counted = Counter(finding.outcome for finding in verdict.findings)
    told = [f"{counted[outcome]} {outcome}" for outcome in _WORST_FIRST if counted[outcome]] or ["no rule executed"]
    return ", ".join([*told, f"{len(verdict.not_executed)} not executed"] if verdict.not_executed else told)


def _finding(finding: Finding) -> tuple[object, ...]:
    count = None if finding.failing_rows is None else f"{finding.failing_rows:,}"
    return (finding.outcome, finding.rule, finding.severity, finding.observed, finding.expected, count)


def _print_sample(finding: Finding) -> None:
    if not finding.sample:
        return
    print_text("")
    print_text(f"Rows that break {finding.rule}:")
    for row in finding.sample[:_ROWS_SHOWN]:
        print_text("  ", _row(row, finding.column))
    if (more := len(finding.sample) - _ROWS_SHOWN) > 0:
        print_text(f"  {more} more with --format json")


def _row(row: Mapping[str, object], column: str | None) -> str:
    """The offending columns first."""
    offending = {name: row[name] for name in (column or "").split(", ") if name in row}
    return "  ".join(f"{name}={json.dumps(value, ensure_ascii=False, default=str)}" for name, value in {**offending, **row}.items())
