"""What mock data does not keep, in a line for each rule."""

from __future__ import annotations

from collections.abc import Iterator

from dagster_contracts.core.metrics import Query
from dagster_contracts.core.plan import Expected, Within
from dagster_contracts.core.verdict import Finding, Outcome
from dagster_contracts.mocking.making import Made


def told(made: Made) -> Iterator[str]:
    """Rules that refuse first, then those that only warn."""
    for finding in sorted(made.unmet, key=lambda each: not each.severity.refuses):
        yield f"{made.object.name}: {finding.rule} ({finding.severity.value}) cannot be promised: {_why(made, finding)}"


def _why(made: Made, finding: Finding) -> str:
    check = next((rule.check for rule in made.plan.rules if rule.id == finding.rule), None)
    observed = f"expected {finding.expected}, observed {finding.observed}"
    if finding.outcome is Outcome.INCONCLUSIVE:
        return finding.observed
    if isinstance(check, Expected):
        return f"data is not made for Great Expectations; {observed}"
    if isinstance(check, Within) and isinstance(check.metric, Query):
        return f"data is not made for SQL; {observed}"
    return f"no data was found that keeps it beside the other rules; {observed}"
