"""The figures of rules with a threshold: what each is compared with, as numbers that can be drawn. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dagster_contracts.core.contract import Operator
from dagster_contracts.core.metrics import Query, RowCount, Statistic
from dagster_contracts.core.plan import Drifted, Fresh, Plan, Retained, Rule, Threshold, Within
from dagster_contracts.core.rules import expected
from dagster_contracts.core.verdict import Finding

_EXACT = (Operator.MUST_BE, Operator.MUST_NOT_BE)
_LOWER = (Operator.GREATER_THAN, Operator.GREATER_OR_EQUAL, *_EXACT)
_UPPER = (Operator.LESS_THAN, Operator.LESS_OR_EQUAL, *_EXACT)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a rule allows: from `low` to `high` (None: no bound there); all but that where it is not `inside`.

    `unit` is that of the figure: rows, percent, seconds, or nothing; `figure` says what is counted where that is not told by `expected`,
    which says the bounds in words.
    """

    rule: str
    column: str | None
    unit: str
    low: float | None
    high: float | None
    inside: bool
    expected: str
    figure: str = ""


def bounds_of(plan: Plan) -> tuple[Bounds, ...]:
    return tuple(found for rule in plan.rules if (found := _bounds(rule)) is not None)


def _bounds(rule: Rule) -> Bounds | None:
    match rule.check:
        case Within(metric, threshold):
            if isinstance(metric, Statistic | Query):
                return _within(rule, threshold, "")
            if threshold.percent:
                return _within(rule, threshold, "percent")
            return _within(rule, threshold, "rows", "" if isinstance(metric, RowCount) else "rows that break it")
        case Drifted():
            return _within(rule, rule.check.threshold, "percent" if rule.check.threshold.percent else "")
        case Fresh() | Retained():
            return Bounds(rule.id, rule.column, "seconds", None, rule.check.maximum_age.total_seconds(), True, expected(rule))
        case _:
            return None


def _within(rule: Rule, threshold: Threshold, unit: str, figure: str = "") -> Bounds:
    operator, value = threshold.operator, threshold.value
    if isinstance(value, tuple):
        low, high = map(float, value)
        return Bounds(rule.id, rule.column, unit, low, high, operator is Operator.BETWEEN, expected(rule), figure)
    least = float(value) if operator in _LOWER else None
    most = float(value) if operator in _UPPER else None
    return Bounds(rule.id, rule.column, unit, least, most, operator is not Operator.MUST_NOT_BE, expected(rule), figure)


def values_of(findings: Iterable[Finding]) -> Mapping[str, float]:
    return {each.rule: each.value for each in findings if each.value is not None and math.isfinite(each.value)}
