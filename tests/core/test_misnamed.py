"""What a contract names that there is not: told by lint with the nearest name."""

from __future__ import annotations

import pytest

from dagster_contracts.core.misnamed import strange_arguments
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.slips import slips

HEAD = """
apiVersion: v3.1.0
kind: DataContract
id: t
version: 1.0.0
status: active
schema:
- name: orders
  properties:
  - {name: id, logicalType: integer, primaryKey: true, primaryKeyPosition: 1}
"""
OURS = "{type: custom, engine: dagster-contracts, implementation: "


def told(entry: str) -> list[str]:
    return [str(problem) for problem in slips(parse(HEAD + entry))]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("  - {name: b, primaryKey: true, primaryKeyPosition: 1}", "id is at position 1"),
        ("  - {name: b, logicalType: string, logicalTypeOptions: {format: uuidd}}", 'did you mean "uuid"'),
        ("  - {name: b, quality: [{metric: nullValues, mustBeLessThan: 5, unit: percnt}]}", 'did you mean "percent"'),
        ("  - {name: b, quality: [" + OURS + '{metric: compare, operator: "<", other: idd, mustBe: 0}}]}', 'did you mean "id"'),
        ("  - {name: b, logicalType: string, quality: [" + OURS + "{metric: mean, mustBe: 0}}]}", "mean is of numbers"),
        (
            "  - {name: b, logicalType: string, quality: [" + OURS
            + "{metric: kolmogorovSmirnov, mustBeLessThan: 0.1, reference: {lastGood: 3}}}]}",
            "kolmogorovSmirnov is of numbers",
        ),
        ("  - {name: b, relationships: [{to: order.id}]}", 'no object order, did you mean "orders"'),
        ("  - {name: b, quality: [{metric: nullValues, mustBeLessThan: 0}]}", "never holds"),
        ("  - {name: b, quality: [{metric: nullValues, mustBeGreaterThan: 100, unit: percent}]}", "never holds"),
    ],
)  # fmt: skip
def test_what_is_misnamed_is_told_once(entry: str, words: str) -> None:
    found = told(entry)
    assert len(found) == 1
    assert words in found[0]


CHANGE = "  - {name: b, logicalType: number, quality: [" + OURS + "{metric: meanChange, reference: {lastGood: 3}, %s}}]}"


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        ("mustBeGreaterThan: -5", "-500%"),
        ("mustBeBetween: [-5, 5]", "-500% and 500%"),
        ("mustBeLessThan: 2.5", "250%"),
    ],
)
def test_a_change_of_the_mean_is_hardly_bounded_by_whole_numbers_without_a_unit(bound: str, words: str) -> None:
    (only,) = told(CHANGE % bound)
    assert f"without a unit is {words}" in only
    assert "unit: percent" in only


@pytest.mark.parametrize(
    "bound",
    [
        "unit: percent, mustBeGreaterThan: -5",
        "unit: percent, mustBeBetween: [-200, 200]",
        "unit: percent, mustBeBetween: [-360, 300]",
        "mustBeGreaterThan: -0.05",
        "mustBeBetween: [-0.5, 0.5]",
        "minimumSamples: 60",
    ],
)
def test_a_change_of_the_mean_has_a_sign_and_no_bounds(bound: str) -> None:
    assert told(CHANGE % bound) == []


@pytest.mark.parametrize(
    "entry",
    [
        "  - {name: b, primaryKey: true, primaryKeyPosition: 2}",
        "  - {name: b, logicalType: string, logicalTypeOptions: {format: uuid}}",
        "  - {name: b, logicalType: string, logicalTypeOptions: {format: vendor-code}}",
        "  - {name: b, quality: [{metric: nullValues, mustBeLessThan: 5, unit: percent}]}",
        "  - {name: b, logicalType: string, quality: [" + OURS + "{metric: distinctCount, mustBeGreaterThan: 0}}]}",
        "  - {name: b, relationships: [{to: warehouse.id}]}",
    ],
)
def test_what_is_known_or_of_ones_own_is_not_told(entry: str) -> None:
    assert told(entry) == []


def test_expectations_of_unknown_columns_are_noted() -> None:
    expectation = "{type: expect_column_max_to_be_between, kwargs: {column: idd, max_value: 3}}"
    rule = f"{{type: custom, engine: greatExpectations, implementation: {expectation}}}"
    assert 'no property "idd", did you mean "id"' in "".join(strange_arguments(parse(HEAD + f"  quality: [{rule}]")))
