"""Text of a CSV is equal as what the contract says that it stands for, as the same values in Parquet are."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dagster_contracts.core import drift
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.metrics import Compared, Kind, ProfileOf, Statistic
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.plan import Drifted
from dagster_contracts.core.profile import CategoryProfile, spelled
from dagster_contracts.core.verdict import Count, Figure, Measured, Measurement, Past, Remembered
from dagster_contracts.engines.files.tables import scan
from dagster_contracts.engines.polars.engine import PolarsEngine
from dagster_contracts.engines.polars.numerals import spelled_alike


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


@pytest.mark.parametrize(
    ("kind", "values", "distinct"),
    [
        ("integer", "4 4.0 5 +4", 2),
        ("number", "100 1e2 100.0 +100 n/a", 2),
        ("boolean", "true TRUE False false", 2),
        ("timestamp", "2026-01-01T00:00:00Z 2026-01-01T01:00+01:00 2026-01-02", 2),
        ("date", "2026-01-01 2026-01-01T00:00 2026-01-02", 2),
        ("time", "10:20 10:20:00 10:21", 2),
        ("string", "4 4.0 04", 3),
    ],
)
def test_values_of_text_are_told_apart_as_what_they_stand_for(tmp_path: Path, kind: str, values: str, distinct: int) -> None:
    place = _csv(tmp_path, "".join(f"{value},x\n" for value in values.split()))
    number = len(values.split())
    kinds = (kind, "string")
    assert _measured(place, kinds, "{metric: distinctCount, column: a, mustBe: 2}") == Figure(distinct)
    assert _measured(place, kinds, "{metric: distinctShare, column: a, mustBe: 2}") == Figure(distinct / number)
    profile = _measured(place, kinds, "{metric: newValues, column: a, mustBe: 0, reference: {lastGood: 1}}")
    assert isinstance(profile, CategoryProfile)
    assert (len(profile.categories), profile.total) == (distinct, number)


def test_categories_of_a_csv_are_those_of_the_same_decimals_and_floats(tmp_path: Path) -> None:
    rule = "{metric: newValues, column: a, mustBe: 0, reference: {lastGood: 1}}"
    place = _csv(tmp_path, "2.50,x\n4.00,x\n")
    wanted = _measured(place, ("number", "string"), rule)
    assert wanted == CategoryProfile((("2.5", 1), ("4", 1)))
    for dtype in (pl.Decimal(12, 2), pl.Float64()):
        typed = tmp_path / "c.parquet"
        pl.read_csv(place, infer_schema=False).cast({"a": dtype}).write_parquet(typed)
        assert _measured(typed, ("number", "string"), rule) == wanted


def test_a_profile_that_was_kept_before_is_read_as_the_batch_is(tmp_path: Path) -> None:
    contract = parse(_contract(("integer", "string"), "{metric: newValues, column: a, mustBe: 0, reference: {lastGood: 1}}"))
    (check,) = (rule.check for rule in compile_plan(contract, contract.objects[0]).rules if rule.id.endswith("asked"))
    assert isinstance(check, Drifted)
    assert isinstance(check.metric, ProfileOf)
    before = CategoryProfile((("4.0", 2), ("5.0", 1)))
    past = Past({(check.reference, check.metric): Remembered(before, "1 good batch")})
    found = drift.observed(check, CategoryProfile((("4", 3), ("5", 1))), past)
    assert isinstance(found, drift.Told)
    assert found.value == 0


@given(st.text("0123456789.+-eE ", max_size=9))
@example("1e2")
@example("-0.0")
@example(" 007.50 ")
@example("1e9999")
def test_kept_numbers_are_spelled_as_engines_spell_them(text: str) -> None:
    engine = pl.select(spelled_alike(pl.lit(text))).item()
    assert spelled(CategoryProfile(((text, 1),)), "number") == CategoryProfile(((engine, 1),))


def test_what_a_batch_is_called_does_not_change() -> None:
    assert repr(ProfileOf("c", True, "number")) == repr(ProfileOf("c", True))
    assert repr(Statistic("c", Kind.DISTINCT_COUNT, logical="number")) == repr(Statistic("c", Kind.DISTINCT_COUNT))
    assert repr(Compared("a", "==", "b", logical="number")) == repr(Compared("a", "==", "b"))
