"""What some rows of a batch can say of the whole of it: that it breaks a rule, never that it keeps one. Pure.

columns                               as they are in the whole
a limit on rows that break a rule     more of them in the sample than the whole may hold: broken
the same in percent                   a greater share of the sample than the limit and three standard errors: broken
the oldest time                       too old in the sample: broken
everything else                       is judged of the whole: row counts, freshness, statistics, drift, relationships, SQL, expectations
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dagster_contracts.core.contract import Operator
from dagster_contracts.core.metrics import (
    Among,
    Expectation,
    Histogram,
    Metric,
    Newest,
    Oldest,
    Orphans,
    ProfileOf,
    Query,
    RowCount,
    Statistic,
)
from dagster_contracts.core.plan import Closed, Gone, Plan, Present, Retained, Rule, Threshold, Within
from dagster_contracts.core.verdict import Finding, Outcome, Verdict
from dagster_contracts.core.wording import expected_count

_OF_THE_WHOLE = (Among, RowCount, Orphans, Newest, Oldest, Statistic, Histogram, ProfileOf, Query, Expectation)
_UPPER = (Operator.MUST_BE, Operator.LESS_THAN, Operator.LESS_OR_EQUAL, Operator.BETWEEN)
_ERRORS = 3  # standard errors that are put down to chance


@dataclass(frozen=True, slots=True)
class OfSample:
    """A verdict is of `rows` rows of `total`; `plan` is what the whole promises. `draws`: how many times was drawn, of rows that were not
    drawn one by one: neighbours may be alike."""

    plan: Plan
    rows: int
    total: int
    draws: int

    def refutable(self) -> Plan:
        """The rules that the sample can show to be broken."""
        kept = tuple(each for rule in self.plan.rules if (each := _refutable(rule, self.draws)) is not None)
        return replace(self.plan, rules=kept, not_executed=(), elsewhere=frozenset(), beside=())

    def told(self, verdict: Verdict) -> Verdict:
        """The verdict on the sample, which says that it is one, and what was promised of the whole."""
        own = {rule.id: rule for rule in self.plan.rules}
        return replace(verdict, findings=tuple(self._told(finding, own[finding.rule]) for finding in verdict.findings))

    def _told(self, finding: Finding, rule: Rule) -> Finding:
        expected = expected_count(rule.check.metric, rule.check.threshold) if isinstance(rule.check, Within) else finding.expected
        broken = finding.outcome is not Outcome.PASS
        observed = f"{finding.observed}, in a sample of {self.rows:,} of {self.total:,} rows" if broken else finding.observed
        return replace(finding, observed=observed, expected=expected)


def _refutable(rule: Rule, draws: int) -> Rule | None:
    if isinstance(rule.check, Present | Closed | Gone | Retained):
        return rule
    if not isinstance(rule.check, Within) or not _counts_rows(rule.check.metric) or rule.check.threshold.operator not in _UPPER:
        return None
    return replace(rule, check=replace(rule.check, threshold=_loosened(rule.check.threshold, draws)))


def _counts_rows(metric: Metric) -> bool:
    return not isinstance(metric, _OF_THE_WHOLE)


def _loosened(threshold: Threshold, draws: int) -> Threshold:
    """At most what the whole may hold. A count stands as it is; a share may differ by chance."""
    value = threshold.value
    limit = value[1] if isinstance(value, tuple) else value
    if not threshold.percent:
        operator = Operator.LESS_THAN if threshold.operator is Operator.LESS_THAN else Operator.LESS_OR_EQUAL
        return Threshold(operator, limit)
    share = min(max(limit / 100, 0.0), 1.0)
    return Threshold(Operator.LESS_OR_EQUAL, limit + _ERRORS * 100 * math.sqrt(share * (1 - share) / draws), percent=True)
