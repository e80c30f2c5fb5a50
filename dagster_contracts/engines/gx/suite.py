"""A plan as a Great Expectations suite: every rule that GX can say exactly, and why it cannot say the others. Imports no GX.

Exactly: the expectation is met by the same batches. GX takes a share of the values that are not null and the contract one of the rows,
so that of rules with a threshold other than zero only those of nulls and figures are said. A closed schema also asks for its columns, which
every plan does anyway.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagster_contracts.core.contract import Operator, Severity
from dagster_contracts.core.metrics import (
    Compared,
    Duplicates,
    Kind,
    LengthOutside,
    Metric,
    Missing,
    NotIn,
    NotMatching,
    Nulls,
    OutOfRange,
    Query,
    RowCount,
    Statistic,
    TypeBreaches,
)
from dagster_contracts.core.plan import Check, Closed, Expected, NotExecuted, Plan, Present, Rule, Threshold, Within
from dagster_contracts.core.rules import expected

_FIGURES = {
    Kind.MEAN: "expect_column_mean_to_be_between",
    Kind.STANDARD_DEVIATION: "expect_column_stdev_to_be_between",
    Kind.MINIMUM: "expect_column_min_to_be_between",
    Kind.MAXIMUM: "expect_column_max_to_be_between",
    Kind.SUM: "expect_column_sum_to_be_between",
    Kind.DISTINCT_COUNT: "expect_column_unique_value_count_to_be_between",
    Kind.DISTINCT_SHARE: "expect_column_proportion_of_unique_values_to_be_between",
}
_QUANTILES = "expect_column_quantile_values_to_be_between"
_SEVERITIES = {Severity.CRITICAL: "critical", Severity.ERROR: "critical", Severity.WARNING: "warning", Severity.INFO: "info"}
_PAIRS = {">": (False, False), ">=": (False, True), "<": (True, False), "<=": (True, True)}  # operator -> swapped, or equal


class Inexpressible(Exception):
    """Great Expectations has no words for a rule. The text says why."""


@dataclass(frozen=True, slots=True)
class Suite:
    """What GX calls an expectation suite, as JSON values, and the rules of the plan that it does not say."""

    document: Mapping[str, Any]
    left_out: tuple[NotExecuted, ...]

    @property
    def expectations(self) -> list[dict[str, Any]]:
        return list(self.document["expectations"])


def suite_of(plan: Plan) -> Suite:
    """`meta` of the suite lists the rules that are left out; that of each expectation names its rule."""
    said: list[dict[str, Any]] = []
    left_out = list(plan.not_executed)
    for rule in plan.rules:
        try:
            said += [_entry(rule, kind, arguments) for kind, arguments in _said(rule.check)]
        except Inexpressible as why:
            left_out.append(NotExecuted(rule.id, str(why), rule.severity, rule.clause))
    meta = {
        "contract": {"id": plan.contract_id, "version": plan.contract_version, "object": plan.object_name},
        "left_out": [{"rule": missed.rule, "reason": missed.reason} for missed in left_out],
    }
    name = f"{plan.contract_id} {plan.contract_version} {plan.object_name}"
    return Suite({"name": name, "expectations": said, "meta": meta}, tuple(left_out))


def _entry(rule: Rule, kind: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    notes = [f"{rule.id} ({rule.severity.value}): {expected(rule)}", *([rule.description] if rule.description else [])]
    meta = {"rule": rule.id, "severity": rule.severity.value, "dimension": rule.clause.value}
    return {
        "type": kind,
        "kwargs": dict(arguments),
        "meta": {**meta, "notes": {"format": "string", "content": notes}},
        "severity": _SEVERITIES[rule.severity],
    }


Said = list[tuple[str, dict[str, Any]]]


def _said(check: Check) -> Said:
    match check:
        case Present(column):
            return [("expect_column_to_exist", {"column": column})]
        case Closed(columns):
            return [("expect_table_columns_to_match_set", {"column_set": list(columns), "exact_match": True})]
        case Expected(metric):
            return [(metric.type, json.loads(metric.arguments))]
        case Within(RowCount(), threshold):
            return [("expect_table_row_count_to_be_between", _bounds(threshold))]
        case Within(Nulls(column), threshold):
            return [("expect_column_values_to_not_be_null", {"column": column, **_mostly(threshold)})]
        case Within(Statistic() as metric, threshold):
            return [_figure(metric, threshold)]
        case Within(Query()):
            raise Inexpressible("Great Expectations runs SQL in databases, and not on a frame")
        case Within(metric, threshold):
            _none_allowed(threshold)
            return _values(metric)
        case _:
            raise Inexpressible(f"Great Expectations knows nothing like it ({type(check).__name__})")


def _values(metric: Metric) -> Said:
    """Expectations that are met where `metric` counts nothing."""
    match metric:
        case NotIn(column, values):
            return [("expect_column_values_to_be_in_set", {"column": column, "value_set": list(values)})]
        case Missing(column, values):
            present: Said = [("expect_column_values_to_not_be_null", {"column": column})] if None in values else []
            marks = [value for value in values if value is not None]
            return present + ([("expect_column_values_to_not_be_in_set", {"column": column, "value_set": marks})] if marks else [])
        case NotMatching(column, pattern):
            return [("expect_column_values_to_match_regex", {"column": column, "regex": pattern})]
        case OutOfRange():
            return [("expect_column_values_to_be_between", _range(metric))]
        case LengthOutside(column, low, high):
            return [("expect_column_value_lengths_to_be_between", {"column": column, **_given(min_value=low, max_value=high)})]
        case Duplicates((column,)):
            return [("expect_column_values_to_be_unique", {"column": column})]
        case Duplicates(columns):
            arguments = {"column_list": list(columns), "ignore_row_if": "any_value_is_missing"}
            return [("expect_compound_columns_to_be_unique", arguments)]
        case Compared():
            return [_pair(metric)]
        case TypeBreaches():
            raise Inexpressible("Great Expectations compares the type of the column, the contract that of each value")
        case _:
            raise Inexpressible(f"Great Expectations counts nothing like it ({type(metric).__name__})")


def _range(metric: OutOfRange) -> dict[str, Any]:
    if isinstance(metric.minimum, str) or isinstance(metric.maximum, str):
        raise Inexpressible("Great Expectations compares dates with dates, and a suite has no word for one")
    strict = _given(strict_min=metric.exclusive_minimum or None, strict_max=metric.exclusive_maximum or None)
    return {"column": metric.column, **_given(min_value=metric.minimum, max_value=metric.maximum), **strict}


def _pair(metric: Compared) -> tuple[str, dict[str, Any]]:
    if any(text is not None and text.format is not None for text in (metric.left_text, metric.right_text)):
        raise Inexpressible("Great Expectations compares text as text, and these are dates in a format of their own")
    ignoring = {"ignore_row_if": "either_value_is_missing"}
    if metric.operator == "==":
        return "expect_column_pair_values_to_be_equal", {"column_A": metric.left, "column_B": metric.right, **ignoring}
    if metric.operator not in _PAIRS:
        raise Inexpressible(f"Great Expectations does not compare two columns by {metric.operator}")
    swapped, or_equal = _PAIRS[metric.operator]
    greater, less = (metric.right, metric.left) if swapped else (metric.left, metric.right)
    arguments = {"column_A": greater, "column_B": less, "or_equal": or_equal, **ignoring}
    return "expect_column_pair_values_a_to_be_greater_than_b", arguments


def _figure(metric: Statistic, threshold: Threshold) -> tuple[str, dict[str, Any]]:
    bounds = _bounds(threshold)
    if metric.kind is not Kind.QUANTILE:
        return _FIGURES[metric.kind], {"column": metric.column, **bounds}
    if "strict_min" in bounds or "strict_max" in bounds:
        raise Inexpressible("the bounds of a quantile are inclusive in Great Expectations")
    ranges = {"quantiles": [metric.at], "value_ranges": [[bounds.get("min_value"), bounds.get("max_value")]]}
    return _QUANTILES, {"column": metric.column, "quantile_ranges": ranges, "allow_relative_error": "linear"}


def _none_allowed(threshold: Threshold) -> None:
    if threshold.value != 0 or threshold.operator not in (Operator.MUST_BE, Operator.LESS_OR_EQUAL):
        raise Inexpressible("Great Expectations states a share of the values that are not null, the contract a number or share of rows")


def _mostly(threshold: Threshold) -> dict[str, Any]:
    if threshold.percent and threshold.operator is Operator.LESS_OR_EQUAL and isinstance(threshold.value, int | float):
        return {"mostly": round(1 - threshold.value / 100, 12)} if threshold.value else {}
    _none_allowed(threshold)
    return {}


def _bounds(threshold: Threshold) -> dict[str, Any]:
    if isinstance(threshold.value, tuple):
        if threshold.operator is not Operator.BETWEEN:
            raise Inexpressible("Great Expectations knows no range that a figure has to stay out of")
        return {"min_value": threshold.value[0], "max_value": threshold.value[1]}
    value = threshold.value
    match threshold.operator:
        case Operator.MUST_BE:
            return {"min_value": value, "max_value": value}
        case Operator.GREATER_THAN:
            return {"min_value": value, "strict_min": True}
        case Operator.GREATER_OR_EQUAL:
            return {"min_value": value}
        case Operator.LESS_THAN:
            return {"max_value": value, "strict_max": True}
        case Operator.LESS_OR_EQUAL:
            return {"max_value": value}
        case _:
            raise Inexpressible("Great Expectations knows no single figure that is not allowed")


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}
