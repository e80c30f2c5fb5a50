"""A plan as a suite: what is said is met by the same batches, what cannot be said is listed, and GX takes what is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from dagster_contracts.core.contract import Clause, Operator, Severity
from dagster_contracts.core.judge import judge
from dagster_contracts.core.metrics import (
    Compared,
    Duplicates,
    Expectation,
    Kind,
    LengthOutside,
    Missing,
    Newest,
    NotIn,
    NotMatching,
    Nulls,
    OutOfRange,
    Query,
    RowCount,
    Statistic,
    TypeBreaches,
)
from dagster_contracts.core.plan import Check, Closed, Expected, Fresh, NotExecuted, Plan, Present, Rule, Threshold, Within
from dagster_contracts.core.verdict import Answer, NotApplicable, Outcome
from dagster_contracts.engines.gx.engine import measure_expectations
from dagster_contracts.engines.gx.suite import suite_of
from dagster_contracts.engines.local import LocalEngine

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def plan_of(*checks: Check, **more: Any) -> Plan:
    rules = tuple(Rule(f"r{number}", Clause.CUSTOM, Severity.ERROR, check) for number, check in enumerate(checks))
    return Plan("orders", "1.0.0", "orders", rules, **more)


def at(operator: Operator, value: Any, *, percent: bool = False) -> Threshold:
    return Threshold(operator, value, percent)


# --- what is said --------------------------------------------------------------------------------------------------

FRAMES = {
    "right": {"n": [1, 2, 3, 4], "m": [1, 2, 3, 4], "s": ["ab", "ac", "ad", "ae"]},
    "nulls": {"n": [1, None, 3, None], "m": [None, 2, 3, 5], "s": ["ab", None, None, "ab"]},
    "wrong": {"n": [9, 9, -5, 9], "m": [1, 1, 1, 1], "s": ["zzzzzz", "ab", "", "ab"]},
    "one": {"n": [2], "m": [3], "s": ["ab"]},
}
N = "n"
SAID: list[Check] = [
    Present(N),
    Present("gone"),
    Closed(("n", "m", "s")),
    Closed(("n", "m")),
    Within(RowCount(), at(Operator.MUST_BE, 4)),
    Within(RowCount(), at(Operator.GREATER_THAN, 1)),
    Within(RowCount(), at(Operator.LESS_THAN, 4)),
    Within(RowCount(), at(Operator.BETWEEN, (2, 4))),
    Within(Nulls(N)),
    Within(Nulls(N), at(Operator.LESS_OR_EQUAL, 50, percent=True)),
    Within(Nulls(N), at(Operator.LESS_OR_EQUAL, 0, percent=True)),
    Within(NotIn("s", ("ab", "ac", "ad", "ae"))),
    Within(Missing("s", ("zzzzzz",))),
    Within(Missing("s", ("zzzzzz", None))),
    Within(NotMatching("s", "^a")),
    Within(OutOfRange(N, 1, 4)),
    Within(OutOfRange(N, 1, 4, exclusive_minimum=True)),
    Within(OutOfRange(N, None, 9, exclusive_maximum=True)),
    Within(LengthOutside("s", 1, 3)),
    Within(LengthOutside("s", None, 2)),
    Within(Duplicates((N,))),
    Within(Duplicates((N, "s"))),
    Within(Compared("n", "==", "m")),
    Within(Compared("n", "<=", "m")),
    Within(Compared("n", "<", "m")),
    Within(Compared("n", ">=", "m")),
    Within(Compared("n", ">", "m")),
    *(Within(Statistic(N, kind), at(Operator.BETWEEN, (1, 3))) for kind in Kind if kind is not Kind.QUANTILE),
    Within(Statistic(N, Kind.MEAN), at(Operator.GREATER_THAN, 2)),
    Within(Statistic(N, Kind.MAXIMUM), at(Operator.LESS_THAN, 4)),
    Within(Statistic(N, Kind.QUANTILE, 0.3), at(Operator.GREATER_OR_EQUAL, 1.9)),
    Expected(Expectation("expect_column_values_to_be_unique", '{"column":"n"}')),
]


@pytest.mark.parametrize("name", FRAMES)
def test_an_expectation_is_met_where_the_rule_holds(name: str):
    frame = pl.DataFrame(FRAMES[name], schema={"n": pl.Int64, "m": pl.Int64, "s": pl.String})
    different = []
    for check in SAID:
        plan = plan_of(check)
        verdict = judge(plan, LocalEngine().measure(frame, plan.metrics), {}, as_of=NOW, head=True)
        entries = suite_of(plan).expectations
        assert entries, check
        asked = [Expectation(entry["type"], json.dumps(entry["kwargs"])) for entry in entries]
        answers = measure_expectations(frame, asked)
        ours = None if verdict.not_executed else all(finding.outcome is Outcome.PASS for finding in verdict.findings)
        theirs = all(isinstance(answer, Answer) and answer.met for answer in answers.values())
        if any(isinstance(answer, NotApplicable) for answer in answers.values()):
            continue
        if ours is not None and ours != theirs:
            different.append((check, ours, answers))
    assert different == []


# --- what is not ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (Within(TypeBreaches("n", "integer")), "the type of the column"),
        (Within(Query("SELECT 1", "orders")), "runs SQL in databases"),
        (Within(NotIn("s", ("a",)), at(Operator.LESS_OR_EQUAL, 2, percent=True)), "share of the values that are not null"),
        (Within(NotIn("s", ("a",)), at(Operator.LESS_OR_EQUAL, 2)), "a number or share of rows"),
        (Within(Nulls("s"), at(Operator.LESS_OR_EQUAL, 2)), "a number or share of rows"),
        (Within(Nulls("s"), at(Operator.LESS_THAN, 2, percent=True)), "a number or share of rows"),
        (Within(OutOfRange("d", "2026-01-01")), "dates"),
        (Within(Compared("n", "!=", "m")), "by !="),
        (Within(Statistic("n", Kind.MEAN), at(Operator.MUST_NOT_BE, 1)), "not allowed"),
        (Within(Statistic("n", Kind.MEAN), at(Operator.NOT_BETWEEN, (1, 2))), "stay out of"),
        (Within(Statistic("n", Kind.QUANTILE, 0.5), at(Operator.LESS_THAN, 2)), "inclusive"),
        (Fresh(Newest("t"), timedelta(days=1)), "nothing like it (Fresh)"),
    ],
)
def test_what_great_expectations_has_no_words_for_is_left_out_with_the_reason(check: Check, reason: str):
    suite = suite_of(plan_of(check))
    assert suite.expectations == []
    (missed,) = suite.left_out
    assert missed.rule == "r0"
    assert reason in missed.reason
    assert suite.document["meta"]["left_out"] == [{"rule": "r0", "reason": missed.reason}]


def test_rules_that_are_not_executed_are_left_out_too():
    missed = NotExecuted("texts", "text rules are for people")
    assert suite_of(plan_of(not_executed=(missed,))).left_out == (missed,)


def test_every_rule_is_said_or_left_out():
    suite = suite_of(plan_of(*SAID, Within(Query("SELECT 1", "orders")), not_executed=(NotExecuted("x", "y"),)))
    said = {entry["meta"]["rule"] for entry in suite.expectations}
    assert said | {missed.rule for missed in suite.left_out} == {f"r{number}" for number in range(len(SAID) + 1)} | {"x"}
    assert len(suite.left_out) == 2


def test_great_expectations_takes_the_suite():
    from great_expectations import ExpectationSuite

    document = json.loads(json.dumps(suite_of(plan_of(*SAID)).document))
    suite = ExpectationSuite(**document)
    assert len(suite.expectations) == len(document["expectations"])
    assert suite.name == "orders 1.0.0 orders"
    assert {str(each.severity.value) for each in suite.expectations} == {"critical"}
