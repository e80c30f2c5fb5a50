"""From the contract's text to the gate's decision: sql rules and expectations are judged, masked and never mistaken for bad data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from dagster_contracts.core.contract import attach
from dagster_contracts.core.ledger import Partition, Status
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import Finding, Outcome
from dagster_contracts.engines.local import LocalEngine
from dagster_contracts.engines.sql import duck
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Judgement, Terms
from dagster_contracts.store.memory import MemoryStore

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {{name: id, logicalType: integer}}
      - {{name: card, logicalType: string{classification}}}
    quality:
      - name: rule
{rule}
"""
SQL = "        type: sql\n        query: {query}\n        severity: critical\n        mustBeLessThan: 10\n"
GX = """\
        type: custom
        engine: greatExpectations
        severity: critical
        implementation: {{type: {type}, kwargs: {kwargs}}}
"""
FRAME = pd.DataFrame({"id": [1, 2, 50], "card": ["4111", "4222", "4333"]})


def delivered(rule: str, *, classification: str = "", gate: Gate | None = None) -> tuple[Judgement, Finding | None]:
    contract = parse(CONTRACT.format(rule=rule, classification=classification))
    terms = Terms.of(attach([contract], ["orders"])["orders"])
    judgement = (gate or Gate(MemoryStore(), LocalEngine())).judge(terms, Delivery(Partition(), "run", "run"), FRAME)
    return judgement, next((found for found in judgement.verdict.findings if found.rule == "rule"), None)


@pytest.mark.parametrize(
    ("rule", "outcome", "status", "state", "words"),
    [
        (SQL.format(query="SELECT min(id) FROM {object}"), Outcome.PASS, Status.PUBLISHING, State.CLOSED, "1"),
        (SQL.format(query="SELECT max(id) FROM {object}"), Outcome.FAIL, Status.QUARANTINED, State.OPEN, "50"),
        (SQL.format(query="SELECT max(nr) FROM {object}"), Outcome.INCONCLUSIVE, Status.HELD, State.CLOSED, '"nr" not found'),
        (SQL.format(query="DELETE FROM {object}"), Outcome.INCONCLUSIVE, Status.HELD, State.CLOSED, "a sql rule only reads"),
        (
            GX.format(type="expect_column_max_to_be_between", kwargs="{column: id, max_value: 60}"),
            Outcome.PASS,
            Status.PUBLISHING,
            State.CLOSED,
            "50",
        ),
        (
            GX.format(type="expect_column_values_to_be_between", kwargs="{column: id, max_value: 9}"),
            Outcome.FAIL,
            Status.QUARANTINED,
            State.OPEN,
            "1 of 3 values unexpected (33.3%): 50 (1)",
        ),
        (
            GX.format(type="expect_column_values_to_be_between", kwargs="{column: card, max_value: 9}"),
            Outcome.INCONCLUSIVE,
            Status.HELD,
            State.CLOSED,
            "could not be measured: Great Expectations could not evaluate",
        ),
        (
            GX.format(type="expect_the_unexpected", kwargs="{}"),
            Outcome.INCONCLUSIVE,
            Status.HELD,
            State.CLOSED,
            "has no expect_the_unexpected",
        ),
    ],
)
def test_what_a_rule_says_decides_what_becomes_of_the_batch(rule: str, outcome: Outcome, status: Status, state: State, words: str):
    judgement, found = delivered(rule)
    assert found is not None
    assert (found.outcome, judgement.verdict.outcome, judgement.batch.status, judgement.breaker.state) == (outcome, outcome, status, state)
    assert words in found.observed


def test_failing_rows_of_an_expectation_are_evidence():
    _, found = delivered(GX.format(type="expect_column_values_to_be_between", kwargs="{column: id, max_value: 9}"))
    assert found is not None
    assert (found.failing_rows, found.sample) == (1, ({"id": 50, "card": "4333"},))


@pytest.mark.parametrize(
    "rule",
    [
        SQL.format(query="SELECT max(card::INT) FROM {object}"),
        SQL.format(query="SELECT max(card::DATE) FROM {object}"),
        GX.format(type="expect_column_values_to_be_in_set", kwargs="{column: card, value_set: [x]}"),
        GX.format(type="expect_column_most_common_value_to_be_in_set", kwargs="{column: card, value_set: [x]}"),
        GX.format(type="expect_column_values_to_be_between", kwargs="{column: card, max_value: 9}"),
    ],
)
def test_nothing_of_a_classified_column_is_quoted(rule: str):
    judgement, found = delivered(rule, classification=", classification: restricted")
    assert found is not None
    assert found.outcome is not Outcome.PASS
    assert not any(card in repr(judgement.verdict) for card in FRAME["card"])


def test_without_duckdb_a_sql_rule_is_listed_and_the_batch_is_a_warning(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    judgement, found = delivered(SQL.format(query="SELECT max(id) FROM {object}"))
    assert found is None
    assert [(missed.rule, missed.reason) for missed in judgement.verdict.not_executed] == [("rule", duck.MISSING)]
    assert judgement.verdict.outcome is Outcome.WARN


def test_lint_and_the_gate_refuse_the_same(tmp_path: Path):
    from typer.testing import CliRunner

    from dagster_contracts.cli.app import app

    for name, rule in {"sql": SQL.format(query="SELECT count(*) FROM read_text('/etc/passwd')"), "gx": UNSAFE}.items():
        _, found = delivered(rule)
        assert found is not None
        assert found.outcome is Outcome.INCONCLUSIVE
        (tmp_path / f"{name}.odcs.yaml").write_text(CONTRACT.format(rule=rule, classification=""))
        done = CliRunner().invoke(app, ["lint", "--strict", str(tmp_path / f"{name}.odcs.yaml")])
        assert done.exit_code == 1
        assert "is not run: " in done.stdout


UNSAFE = GX.format(
    type="expect_column_values_to_be_unique",
    kwargs="{column: id, row_condition: '@pd.io.common.os.getpid() > 0', condition_parser: pandas}",
)


DATED = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {{name: d, logicalType: date, logicalTypeOptions: {{format: {form}}}}}
    quality:
      - name: rule
        severity: critical
{rule}
"""
BEFORE_2026 = "        type: sql\n        query: \"SELECT count(*) FROM {object} WHERE d < DATE '2026-01-01'\"\n        mustBe: 0"
DAYS: dict[str, Callable[[list[str]], object]] = {
    "pandas": lambda days: pd.DataFrame({"d": days}),
    "polars": lambda days: pl.DataFrame({"d": days}),
    "arrow": lambda days: pa.table({"d": days}),
}


def found_of_days(rule: str, data: object, form: str) -> Finding:
    contract = parse(DATED.format(rule=rule, form=form))
    terms = Terms.of(attach([contract], ["orders"])["orders"])
    judgement = Gate(MemoryStore(), LocalEngine()).judge(terms, Delivery(Partition(), "run", "run"), data)
    return next(found for found in judgement.verdict.findings if found.rule == "rule")


@pytest.mark.parametrize("kind", DAYS)
def test_a_query_reads_dates_in_the_format_of_the_contract(kind: str) -> None:
    found = found_of_days(BEFORE_2026, DAYS[kind](["13/05/1999", "13/05/2026"]), "dd/MM/yyyy")
    assert (found.outcome, found.observed) == (Outcome.FAIL, "1")


def test_dates_in_a_format_that_is_not_read_stay_text() -> None:
    rule = "        type: sql\n        query: \"SELECT count(*) FROM {object} WHERE d = 'W20-1999'\"\n        mustBe: 1"
    found = found_of_days(rule, DAYS["polars"](["W20-1999"]), "\"'W'ww-YYYY\"")
    assert (found.outcome, found.observed) == (Outcome.PASS, "1")


@pytest.mark.parametrize("kind", DAYS)
def test_an_expectation_reads_dates_in_the_format_of_the_contract(kind: str) -> None:
    asked = "{type: expect_column_values_to_not_be_null, kwargs: {column: d}}"
    rule = f"        type: custom\n        engine: greatExpectations\n        implementation: {asked}"
    found = found_of_days(rule, DAYS[kind](["13/05/1999", "no day"]), "dd/MM/yyyy")
    assert (found.outcome, found.failing_rows) == (Outcome.FAIL, 1)
