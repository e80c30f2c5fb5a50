"""Arguments of an expectation that would run code or fetch something: refused, and never run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dagster_contracts.core.metrics import Expectation
from dagster_contracts.core.verdict import Answer, Measured, Unmeasured
from dagster_contracts.engines.gx.arguments import problem_of
from dagster_contracts.engines.gx.engine import measure_expectations

FRAME = pl.DataFrame({"a": [1, 2, 3], "line items": ["x", "y", "y"]})


def ask(kind: str, **arguments: Any) -> Measured:
    asked = Expectation(kind, json.dumps(arguments))
    return measure_expectations(FRAME, [asked])[asked]


@pytest.mark.parametrize(
    "condition",
    [
        "@pd.io.common.os.system('touch {out}') == 0",
        "a.to_csv('{out}') == 1",
        "`line items`.to_csv('{out}') == 1",
        "a.__class__ == 1",
        "a[0] == 1",
        "[x for x in a]",
        "(lambda: 1)",
        "a == 1; b == 2",
        "a == f'{{a}}'",
        "@a == 1",
        "",
        "a.isin(@pd.io.common.os.listdir())",
        "a.isin([a.to_csv('{out}')])",
        "a.isin(values=[1])",
        "a.notnull(1)",
        "@pd.notnull()",
        "a.str.__class__.startswith('x')",
        "(a + a).notnull()",
        "a.notnull",
    ],
)
def test_a_condition_that_does_more_than_compare_is_not_run(condition: str, tmp_path: Path):
    out = tmp_path / "out"
    text = condition.format(out=out)
    wrapped: list[dict[str, Any]] = [
        {"row_condition": text, "condition_parser": "pandas"},
        {"row_condition": text, "condition_parser": "spark"},
        {"row_condition": {"type": "pass_through", "pass_through_filter": text}},
        {"row_condition": {"type": "and", "conditions": [{"type": "pass_through", "pass_through_filter": text}]}},
    ]
    for arguments in wrapped:
        assert isinstance(ask("expect_column_values_to_be_unique", column="a", **arguments), Unmeasured)
        assert problem_of(arguments) is not None
    assert not out.exists()


@pytest.mark.parametrize(
    ("condition", "looked"),
    [
        ("a > 1", 2),
        ("a == 1 or not a < 3", 2),
        ("(a > 1) & (`line items` == 'y')", 2),
        ("a in [1, 2]", 2),
        ("a % 2 == 1", 2),
        ("a != -1", 3),
        ("a.notnull()", 3),
        ("a.isin([1, 3]) and not `line items`.isna()", 2),
        ("a.isin((1, 3))", 2),
        ("`line items`.str.startswith('y')", 2),
        ("`line items`.str.contains('x|z') or a == 3", 2),
    ],
)
def test_a_condition_that_compares_is_run(condition: str, looked: int):
    answer = ask("expect_column_values_to_be_unique", column="a", row_condition=condition, condition_parser="pandas")
    assert answer == Answer(True, f"0 of {looked} values unexpected (0%)", 0)


@pytest.mark.parametrize("reference", ["http://localhost/x.json", "file:///etc/passwd", "other.json", "/x", "urn:x"])
def test_a_json_schema_fetches_nothing(reference: str):
    schema = {"type": "object", "properties": {"a": {"$ref": reference}}}
    answer = ask("expect_column_values_to_match_json_schema", column="line items", json_schema=schema)
    assert isinstance(answer, Unmeasured)
    assert "may refer to its own parts" in answer.reason
    assert problem_of({"json_schema": {"$ref": "#/$defs/x", "$defs": {"x": {}}}}) is None


@pytest.mark.parametrize(
    "condition",
    [
        {"row_condition": "col(\"a`.to_csv('{out}')+`a\") == 1", "condition_parser": "great_expectations"},
        {"row_condition": {"type": "comparison", "column": {"name": "a`.to_csv('{out}')+`a"}, "operator": "==", "parameter": 1}},
    ],
)
def test_the_name_of_a_column_is_no_way_out_of_its_quotes(condition: dict[str, Any], tmp_path: Path):
    out = tmp_path / "out"
    arguments = json.loads(json.dumps(condition).replace("{out}", str(out)))
    assert isinstance(ask("expect_column_values_to_be_unique", column="a", **arguments), Unmeasured)
    assert "backtick" in (problem_of(arguments) or "")
    assert not out.exists()


def test_conditions_in_the_form_of_great_expectations_are_run():
    compared = {"type": "comparison", "column": {"name": "line items"}, "operator": "==", "parameter": "y"}
    assert ask("expect_column_values_to_be_unique", column="a", row_condition=compared) == Answer(True, "0 of 2 values unexpected (0%)", 0)
