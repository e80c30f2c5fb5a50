"""Text of a CSV is equal as what the contract says that it stands for, as the same values in Parquet are."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.verdict import Count, Measured, Measurement
from dagster_contracts.engines.files.tables import scan
from dagster_contracts.engines.polars.engine import PolarsEngine


def _compared(place: Path, kinds: tuple[str, str], operator: str) -> Measured:
    return _measured(place, kinds, f'{{metric: compare, column: a, operator: "{operator}", other: b, mustBe: 0}}')


def _contract(kinds: tuple[str, str], rule: str) -> str:
    return f"""
apiVersion: v3.1.0
kind: DataContract
id: c
version: 1.0.0
status: active
schema:
- name: c
  properties:
  - {{name: a, logicalType: {kinds[0]}}}
  - {{name: b, logicalType: {kinds[1]}}}
  quality:
  - {{name: asked, type: custom, engine: dagster-contracts, implementation: {rule}}}
"""


def _measured(place: Path, kinds: tuple[str, str], rule: str) -> Measured:
    contract = parse(_contract(kinds, rule))
    plan = compile_plan(contract, contract.objects[0])
    (metric,) = (each.check.metric for each in plan.rules if each.id.endswith("asked"))
    found = PolarsEngine().measure(scan(place), [metric])
    assert isinstance(found, Measurement)
    return found.values[metric]


def _csv(folder: Path, rows: str) -> Path:
    place = folder / "c.csv"
    place.write_text("a,b\n" + rows)
    return place


@pytest.mark.parametrize(
    ("kinds", "rows", "unequal"),
    [
        (("number", "number"), "1,1.0\n10,9\n1e1,10\n", 1),
        (("integer", "number"), "007,7\n9007199254740993,9007199254740992\n+5, 5\n-0,0\n", 1),
        (("timestamp", "timestamp"), "2026-01-01T00:00:00Z,2026-01-01T01:00:00+01:00\n2026-01-01 02:00,2026-01-01T02:00:00.000Z\n", 0),
        (("date", "timestamp"), "2026-01-01,2026-01-01T00:00:00Z\n2026-01-02,2026-01-01T00:00:00Z\n", 1),
        (("time", "time"), "10:20,10:20:00.0\n10:20,10:21\n", 1),
        (("boolean", "boolean"), "true,TRUE\nFalse,true\n", 1),
        (("string", "string"), "1,1.0\n007,7\n1,1\n", 2),  # codes
        (("number", "string"), "1,1.0\n", 1),
        (("number", "number"), "n/a,n/a\nn/a,1\n", 1),  # what is no number is text
    ],
)
def test_two_columns_of_text_are_equal_as_what_they_stand_for(tmp_path: Path, kinds: tuple[str, str], rows: str, unequal: int) -> None:
    place = _csv(tmp_path, rows)
    assert _compared(place, kinds, "==") == Count(unequal)
    assert _compared(place, kinds, "!=") == Count(rows.count("\n") - unequal)
