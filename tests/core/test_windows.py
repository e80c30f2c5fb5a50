"""Micro-batches and the window they make up: which rule is judged where, and that parts say of the window what its rows say."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract, Operator, Property, QualityRule, SchemaObject, ServiceLevel
from dagster_contracts.core.judge import judge
from dagster_contracts.core.merge import merged, parts_of
from dagster_contracts.core.metrics import Nulls
from dagster_contracts.core.plan import Plan
from dagster_contracts.core.verdict import Count, Measurement, Outcome, Unmeasured
from dagster_contracts.core.windows import from_document, split, to_document, window_ending, window_of
from dagster_contracts.engines.polars.engine import PolarsEngine

FIVE = timedelta(minutes=5)
NOW = datetime(2026, 11, 26, 12, 3, tzinfo=UTC)


def library(metric: str, operator: Operator, value: object, **more: Any) -> QualityRule:
    return QualityRule("library", metric, ((operator, value),), **more)


def custom(metric: str, operator: Operator, value: object, **more: Any) -> QualityRule:
    return QualityRule("custom", None, ((operator, value),), engine="dagster-contracts", implementation={"metric": metric, **more})


def plan() -> Plan:
    orders = SchemaObject(
        "orders",
        closed=True,
        properties=(
            Property("order_id", logical_type="string", required=True, unique=True),
            Property("kind", enum=("a", "b"), quality=(library("nullValues", Operator.LESS_OR_EQUAL, 20, unit="percent"),)),
            Property(
                "amount",
                logical_type="number",
                quality=(
                    library("invalidValues", Operator.LESS_THAN, 3, arguments={"validValues": [1, 2, 3]}),
                    library("missingValues", Operator.MUST_BE, 0, unit="percent", arguments={"missingValues": [None]}),
                ),
            ),
        ),
        quality=(library("rowCount", Operator.BETWEEN, (2, 30)), QualityRule("sql", query="SELECT 1", operators=((Operator.MUST_BE, 1),))),
    )
    levels = (ServiceLevel("frequency", 5, unit="m"),)
    return compile_plan(Contract("orders", "1", "v3.1.0", "active", (orders,), service_levels=levels), orders)


def test_each_rule_is_judged_in_one_place_and_listed_in_the_other():
    whole = plan()
    arrival, window = split(whole, FIVE)
    early, late = ({rule.id for rule in each.rules} for each in (arrival, window))
    assert early | late == {rule.id for rule in whole.rules}
    assert early & late == set()
    assert (arrival.elsewhere, window.elsewhere) == (late, early)
    assert {missed.rule for missed in arrival.not_executed} == late
    assert {missed.rule for missed in window.not_executed} == early | {missed.rule for missed in whole.not_executed}


def test_what_speaks_of_many_rows_waits_for_the_window():
    _, window = split(plan(), FIVE)
    assert {rule.id for rule in window.rules} == {"kind.nullValues", "amount.invalidValues", "rowCount", "sla.frequency"}


def test_rules_that_are_judged_elsewhere_do_not_lower_a_verdict():
    arrival, _ = split(plan(), FIVE)
    frame = pl.DataFrame({"order_id": ["1"], "kind": ["a"], "amount": [1.0]})
    arrival = replace(arrival, rules=tuple(rule for rule in arrival.rules if rule.id != "sql"))
    found = judge(arrival, PolarsEngine().measure(frame, arrival.metrics), {}, as_of=NOW, head=True)
    assert {finding.outcome for finding in found.findings} == {Outcome.PASS}, found
    assert found.outcome is Outcome.PASS


@pytest.mark.parametrize(("minute", "second", "start"), [(0, 0, 0), (4, 59, 0), (5, 0, 5), (9, 1, 5)])
def test_windows_tumble(minute: int, second: int, start: int):
    found = window_of(NOW.replace(minute=minute, second=second), FIVE, (("vendor", "acme"),))
    begins = NOW.replace(minute=start)
    assert (found.start, found.end, found.dimensions) == (begins, begins + FIVE, (("vendor", "acme"),))
    assert found.key == f"2026-11-26T12:{start:02}:00Z/PT5M|vendor=acme"
    assert window_ending(begins + FIVE, FIVE, (("vendor", "acme"),)) == found


ROWS = st.fixed_dictionaries(
    {
        "order_id": st.integers(0, 9).map(str),
        "kind": st.sampled_from(["a", "b", None]),
        "amount": st.one_of(st.none(), st.integers(-3, 5).map(float), st.just(float("inf"))),
    }
)
SCHEMA = {"order_id": pl.String, "kind": pl.String, "amount": pl.Float64}


@settings(max_examples=60)
@given(st.lists(st.lists(ROWS, max_size=8), min_size=1, max_size=5))
def test_a_window_is_worth_what_all_its_rows_are(batches: list[list[dict[str, Any]]]):
    arrival, window = split(plan(), FIVE)
    engine = PolarsEngine()
    parts: list[Measurement | Unmeasured] = []
    for rows in batches:
        measured = engine.measure(pl.DataFrame(rows, SCHEMA), arrival.metrics)
        document = json.loads(json.dumps(to_document(measured, arrival.beside)))
        parts.append(from_document(document, parts_of(window.metrics)))
    whole = engine.measure(pl.DataFrame([row for rows in batches for row in rows], SCHEMA), window.metrics)
    assert isinstance(whole, Measurement)
    together = merged(window.metrics, parts)
    assert isinstance(together, Measurement)
    assert (together.rows, dict(together.values)) == (whole.rows, dict(whole.values))
    verdicts = [judge(window, each, {}, as_of=NOW, head=True) for each in (together, whole)]
    assert verdicts[0].findings == verdicts[1].findings


def test_columns_that_no_rule_of_the_window_reads_may_come_and_go():
    arrival, window = split(plan(), FIVE)
    engine = PolarsEngine()
    frames = (pl.DataFrame({"order_id": ["1"], "kind": ["a"], "amount": [1.0]}), pl.DataFrame({"kind": ["a"], "amount": [1.0], "x": [1]}))
    parts = [from_document(to_document(engine.measure(frame, arrival.metrics), arrival.beside), arrival.beside) for frame in frames]
    together = merged(window.metrics, parts)
    assert isinstance(together, Measurement)
    assert together.rows == 2


def test_what_told_no_columns_stays_so():
    void = Measurement(0, (), {Nulls("n"): Count(0)}, columns_told=False)
    assert from_document(json.loads(json.dumps(to_document(void, [Nulls("n")]))), [Nulls("n")]) == void


def test_what_could_not_be_measured_stays_so():
    assert from_document(to_document(Unmeasured("cut off"), ()), ()) == Unmeasured("cut off")
