"""What is expected and observed, in words, of what stands within columns, in other tables, and in queries."""

from __future__ import annotations

import pytest

from dagster_contracts.core.contract import Operator
from dagster_contracts.core.metrics import (
    Absent,
    LengthOutside,
    Metric,
    Nested,
    NotMatching,
    NotMultiple,
    Nulls,
    Orphans,
    OutOfRange,
    Query,
    Repeating,
    RowCount,
    SizeOutside,
    TimeText,
    TypeBreaches,
)
from dagster_contracts.core.plan import ZERO, Threshold
from dagster_contracts.core.verdict import Sample
from dagster_contracts.core.wording import expected_count, figure, observed_count

SKU = ("[]", "sku")


@pytest.mark.parametrize(
    ("metric", "threshold", "wanted"),
    [
        (TypeBreaches("c", "array"), ZERO, "every value an array"),
        (TypeBreaches("c", "date", TimeText("dd/MM/yyyy")), ZERO, "every value a date written as dd/MM/yyyy"),
        (TypeBreaches("c", "timestamp", TimeText(zone="Asia/Tokyo")), ZERO, "every value a timestamp"),
        (TypeBreaches("c", "timestamp", zoned=True), ZERO, "every value a timestamp with a time zone"),
        (TypeBreaches("c", "time", zoned=False), ZERO, "every value a time without a time zone"),
        (NotMatching("c", "^x$", "uuid"), ZERO, "a uuid"),
        (NotMultiple("c", 0.5), ZERO, "multiples of 0.5"),
        (SizeOutside("c", 1), ZERO, "at least 1 element"),
        (SizeOutside("c", 3, 3), ZERO, "exactly 3 elements"),
        (SizeOutside("c", 1, 2), ZERO, "at least 1 and at most 2 elements"),
        (LengthOutside("c", None, 1), ZERO, "at most 1 character"),
        (Repeating("c"), ZERO, "no element twice"),
        (Absent("c", "street"), ZERO, "a field street"),
        (Orphans(("a", "b"), "customers", ("id", "country")), ZERO, "every one among customers (id, country)"),
        (Nested("c", SKU, Nulls("c[].sku")), ZERO, "no nulls"),
        (Nested("c", SKU, Nulls("c[].sku")), Threshold(Operator.LESS_OR_EQUAL, 5), "at most 5 values null"),
        (Nested("c", ("sku",), Nulls("c.sku")), Threshold(Operator.LESS_THAN, 5, percent=True), "less than 5% of rows null"),
        (Query("select\n  1", "feed"), Threshold(Operator.BETWEEN, (1, 2)), "select 1 is between 1 and 2"),
    ],
)
def test_expected(metric: Metric, threshold: Threshold, wanted: str) -> None:
    assert expected_count(metric, threshold) == wanted


@pytest.mark.parametrize(
    ("metric", "count", "told"),
    [
        (Nested("c", SKU, OutOfRange("c[].sku", 1)), 7, "7 values in 4 rows outside: x (3)"),
        (Nested("c", SKU, OutOfRange("c[].sku", 1)), 1, "1 value in 4 rows outside: x (3)"),
        (Nested("c", ("sku",), OutOfRange("c.sku", 1)), 1, "1 of 4 rows (25%) outside: x (3)"),
        (Nested("c", SKU, Nulls("c[].sku")), 2, "2 values in 4 rows null"),
        (Absent("c", "street"), 1, "1 of 4 rows (25%) without a field street: x (3)"),
        (Orphans(("a",), "customers", ("id",)), 1, "1 of 4 rows (25%) not among customers (id): x (3)"),
    ],
)
def test_observed(metric: Metric, count: int, told: str) -> None:
    assert observed_count(metric, count, 4, Sample(values=(("x", 3),)), masked=False) == told


def test_values_within_a_classified_column_are_masked() -> None:
    metric = Nested("c", SKU, OutOfRange("c[].sku", 1))
    told = observed_count(metric, 7, 4, Sample(values=(("x", 3),)), masked=True)
    assert told == "7 values in 4 rows outside (values masked: classification)"


def test_integers_are_told_in_full() -> None:
    assert [figure(value) for value in (2**53 + 1, 2**64 - 1, 1_234_567)] == [
        "9,007,199,254,740,993",
        "18,446,744,073,709,551,615",
        "1,234,567",
    ]
    assert figure(9.0072e15) == "9.0072e+15"


def test_one_is_told_as_one() -> None:
    assert observed_count(RowCount(), 1, 1, None, masked=False) == "1 row"
    assert observed_count(Nulls("c"), 1, 1, None, masked=False) == "1 of 1 row (100%) null"
    assert expected_count(RowCount(), Threshold(Operator.GREATER_OR_EQUAL, 1)) == "at least 1 row"
