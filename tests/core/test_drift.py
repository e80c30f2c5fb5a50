"""Distances in words: what moved, compared with what, and why a rule could not be judged."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import pytest

from dagster_contracts.core import distances, drift
from dagster_contracts.core.contract import Operator
from dagster_contracts.core.drift import Told
from dagster_contracts.core.metrics import Histogram, ProfileOf
from dagster_contracts.core.plan import Drifted, DriftKind, GoodPartition, LastGood, Reference, StoredProfile, Threshold
from dagster_contracts.core.profile import CategoryProfile, NumericProfile, Profile, profile_to_json, veiled
from dagster_contracts.core.verdict import Bins, Count, Measured, Past, Remembered, Unmeasured
from tests.shared_cases import CASES, needs_cases

LIMIT = Threshold(Operator.LESS_THAN, 0.1)
PERCENT = Threshold(Operator.LESS_THAN, 5, percent=True)


def numbers(*values: float, nulls: int = 0, error: float = 0.0) -> NumericProfile:
    counted = {value: values.count(value) for value in sorted(values)}
    return NumericProfile(tuple(counted), tuple(counted.values()), nulls, error)


def categories(nulls: int = 0, others: int = 0, **counts: int) -> CategoryProfile:
    return CategoryProfile(tuple(counts.items()), nulls, others)


def rule(kind: DriftKind, *, categorical: bool = False, reference: Reference = LastGood(7), **fields: Any) -> Drifted:  # noqa: B008
    return Drifted(fields.pop("metric", ProfileOf("c", categorical)), kind, reference, fields.pop("threshold", LIMIT), **fields)


def told(check: Drifted, batch: Measured, reference: Profile) -> Told | Unmeasured | str:
    assert isinstance(check.metric, ProfileOf)
    return drift.observed(check, batch, Past({(check.reference, check.metric): Remembered(reference, "2 good batches")}))


# --- values --------------------------------------------------------------------------------------------------------


@needs_cases
def test_closed_forms() -> None:
    closed = json.loads((CASES / "drift" / "reference.json").read_text())["closed_form"]
    for case in closed["samples"]:
        pair = numbers(*case["ref"]), numbers(*case["cur"])
        assert distances.largest_gap(*pair).distance == case["ks_stat"]
        assert distances.wasserstein(*pair) == case["wasserstein"]
    for case in closed["shares"]:
        cells = [distances.Cell(round(1000 * p), round(1000 * q)) for p, q in zip(case["p"], case["q"], strict=True)]
        if "psi" in case:
            assert distances.psi(cells) == pytest.approx(case["psi"], rel=1e-12)
        if "js_distance_base2" in case:
            assert distances.jensen_shannon(cells) == case["js_distance_base2"]


@pytest.mark.parametrize("kind", [DriftKind.PSI, DriftKind.JENSEN_SHANNON, DriftKind.TOTAL_VARIATION, DriftKind.CHI_SQUARE])
def test_bins_counted_beforehand_say_the_same(kind: DriftKind) -> None:
    reference, batch = numbers(*range(40)), numbers(*range(10, 60), 7, 7)
    stored = StoredProfile("p.json", json.dumps(profile_to_json(reference)))
    edges = distances.equal_edges(reference, 4)
    counted = drift.observed(
        rule(kind, metric=Histogram("c", edges), reference=stored, bins=4), Bins(distances.binned(batch, edges)), Past()
    )
    whole = drift.observed(rule(kind, reference=stored, bins=4), batch, Past())
    assert isinstance(counted, Told)
    assert counted == whole
    assert counted.value > 0


# --- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "batch", "reference", "value", "words"),
    [
        (
            rule(DriftKind.TOTAL_VARIATION, categorical=True),
            categories(LOW=70, SEVERE=22, nulls=8),
            categories(LOW=90, SEVERE=5, NEW=5),
            0.25,
            "total variation 0.25: LOW (90% -> 70%), SEVERE (5% -> 22%), <null> (0% -> 8%); compared with 2 good batches",
        ),
        (
            rule(DriftKind.CHI_SQUARE_P, categorical=True),
            categories(a=5),
            categories(a=7),
            1.0,
            "chi-square p-value 1; compared with 2 good batches",
        ),
        (
            rule(DriftKind.TOTAL_VARIATION, bins=2),
            numbers(1, 1, 1, 9),
            numbers(1, 2, 3, 4),
            0.25,
            "total variation 0.25: below 2.5 (50% -> 75%), from 2.5 (50% -> 25%); compared with 2 good batches",
        ),
        (
            rule(DriftKind.KOLMOGOROV_SMIRNOV),
            numbers(1, 1, 1, 9),
            numbers(1, 2, 3, 4, error=0.0005),
            Fraction(1, 2),
            "Kolmogorov-Smirnov statistic 0.5: at most 1 (25% -> 75%); compared with 2 good batches (shares to within 0.05%)",
        ),
        (
            rule(DriftKind.WASSERSTEIN),
            numbers(11, 12),
            numbers(1, 2),
            10.0,
            "Wasserstein distance 10: median 1.5 -> 11.5; compared with 2 good batches",
        ),
        (
            rule(DriftKind.NEW_VALUES, categorical=True),
            categories(a=5, z=2, y=1, nulls=2),
            categories(a=7),
            2,
            "2 new values in 3 of 10 rows (30%): z (2), y (1); compared with 2 good batches",
        ),
        (
            rule(DriftKind.NEW_VALUES, categorical=True, threshold=PERCENT),
            categories(a=5, z=2, y=1, nulls=2),
            categories(a=7),
            Fraction(30),
            "2 new values in 3 of 10 rows (30%): z (2), y (1); compared with 2 good batches",
        ),
        (
            rule(DriftKind.BELOW_REFERENCE, factor=0.1),
            numbers(1, 9, 10, 100),
            numbers(90, 100, 110),
            Fraction(1, 2),
            "2 of 4 values (50%) less than 10; compared with 2 good batches",
        ),
        (
            rule(DriftKind.BELOW_REFERENCE, factor=0.1, threshold=PERCENT),
            numbers(1, 9, 10, 100),
            numbers(90, 100, 110),
            Fraction(50),
            "2 of 4 values (50%) less than 10; compared with 2 good batches",
        ),
        (
            rule(DriftKind.MEAN_CHANGE),
            numbers(1, 2, 3),
            numbers(1, 1, 2),
            0.5,
            "mean 1.33333 -> 2 (+50%), of 3 values; compared with 2 good batches",
        ),
        (
            rule(DriftKind.MEAN_CHANGE, threshold=PERCENT),
            numbers(-3, -3),
            numbers(-2, -2, nulls=9),
            -50,
            "mean -2 -> -3 (-50%), of 2 values; compared with 2 good batches",
        ),
    ],
)
def test_a_distance_says_what_moved(check: Drifted, batch: Profile, reference: Profile, value: float, words: str) -> None:
    found = told(check, batch, reference)
    assert isinstance(found, Told)
    assert found.value == pytest.approx(value, abs=1e-12)
    assert found.observed == words


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (rule(DriftKind.PSI), "PSI less than 0.1 from the last 7 good batches"),
        (rule(DriftKind.PSI, reference=LastGood(1)), "PSI less than 0.1 from the last good batch"),
        (
            rule(DriftKind.WASSERSTEIN, reference=GoodPartition("2026-11")),
            "Wasserstein distance less than 0.1 from the good batch of partition 2026-11",
        ),
        (rule(DriftKind.NEW_VALUES, reference=StoredProfile("p.json", "")), "less than 0.1 values that are not in the profile p.json"),
        (rule(DriftKind.NEW_VALUES, threshold=PERCENT), "less than 5% of rows with values that are not in the last 7 good batches"),
        (
            rule(DriftKind.BELOW_REFERENCE, factor=0.1),
            "share of values less than 0.1 of the median less than 0.1, from the last 7 good batches",
        ),
        (
            rule(DriftKind.MEAN_CHANGE, threshold=Threshold(Operator.BETWEEN, (-5, 5), percent=True)),
            "change of the mean between -5% and 5%, from the last 7 good batches",
        ),
        (
            rule(DriftKind.MEAN_CHANGE, threshold=Threshold(Operator.GREATER_THAN, -5)),
            "change of the mean more than -500%, from the last 7 good batches",
        ),
        (
            rule(DriftKind.MEAN_CHANGE, threshold=Threshold(Operator.BETWEEN, (-0.07, 0.07))),
            "change of the mean between -7% and 7%, from the last 7 good batches",
        ),
    ],
)
def test_what_is_expected(check: Drifted, words: str) -> None:
    assert drift.expected(check) == words


# --- what cannot be said -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (LastGood(3), "no good batch is known to compare with: not executed until one is published"),
        (
            GoodPartition("2026-11-01"),
            "no good batch of partition 2026-11-01 is known to compare with: not executed until one is published",
        ),
    ],
)
def test_without_a_reference_a_rule_is_not_executed(reference: Reference, reason: str) -> None:
    assert drift.observed(rule(DriftKind.PSI, reference=reference), numbers(1), Past()) == reason


@pytest.mark.parametrize(
    ("check", "batch", "reference", "reason"),
    [
        (rule(DriftKind.PSI), numbers(), numbers(1), "the batch holds no values to compare"),
        (rule(DriftKind.PSI), numbers(nulls=3), numbers(1), "the batch holds no values to compare"),
        (rule(DriftKind.PSI), numbers(1), numbers(nulls=2), "the reference holds no values to compare with"),
        (rule(DriftKind.WASSERSTEIN), numbers(math.inf), numbers(1), "values are infinite: the distance to them has no measure"),
        (
            rule(DriftKind.BELOW_REFERENCE, factor=0.5),
            numbers(1),
            numbers(0),
            "the median of the reference is not a finite number above 0: a part of it says nothing",
        ),
        (
            rule(DriftKind.MEAN_CHANGE, samples=3),
            numbers(1),
            numbers(1, 2),
            "the reference holds 2 values, and the rule asks for at least 3",
        ),
        (
            rule(DriftKind.MEAN_CHANGE),
            numbers(1),
            numbers(-1, 1),
            "the mean of the reference is 0, or one of the two is no finite number: there is no change in parts of it",
        ),
    ],
)
def test_a_rule_that_says_nothing_is_not_executed(check: Drifted, batch: Profile, reference: Profile, reason: str) -> None:
    assert told(check, batch, reference) == reason


@pytest.mark.parametrize(
    ("check", "batch", "reference", "reason"),
    [
        (rule(DriftKind.PSI), numbers(1), categories(a=1), "the reference is a profile of categories, not of numbers"),
        (rule(DriftKind.PSI, categorical=True), categories(a=1), numbers(1), "the reference is a profile of numbers, not of categories"),
        (rule(DriftKind.PSI), categories(a=1), numbers(1), "the engine gave CategoryProfile for ProfileOf"),
        (rule(DriftKind.PSI), Count(1), numbers(1), "the engine gave Count for ProfileOf"),
        (
            rule(DriftKind.NEW_VALUES, categorical=True),
            categories(a=1),
            categories(a=1, others=1),
            "the reference holds more different values",
        ),
        (rule(DriftKind.NEW_VALUES, categorical=True), categories(a=1, others=1), categories(a=1), "the batch holds more different values"),
        (rule(DriftKind.PSI), Unmeasured("torn"), numbers(1), "torn"),
    ],
)
def test_what_cannot_be_compared_is_unmeasured(check: Drifted, batch: Measured, reference: Profile, reason: str) -> None:
    found = told(check, batch, reference)
    assert isinstance(found, Unmeasured)
    assert found.reason.startswith(reason)


@pytest.mark.parametrize(("text", "reason"), [("{", "p.json: no JSON"), ("{}", "p.json: a profile of version None")])
def test_a_stored_profile_that_is_damaged_is_unmeasured(text: str, reason: str) -> None:
    found = drift.observed(rule(DriftKind.PSI, reference=StoredProfile("p.json", text)), numbers(1), Past())
    assert isinstance(found, Unmeasured)
    assert found.reason.startswith(reason)


def test_bins_of_other_edges_are_unmeasured() -> None:
    stored = StoredProfile("p.json", json.dumps(profile_to_json(numbers(1, 2))))
    found = drift.observed(rule(DriftKind.PSI, metric=Histogram("c", (1.0, 2.0)), reference=stored), Bins((1, 2)), Past())
    assert found == Unmeasured("the engine gave Bins for Histogram")


# --- categories that are not all known -------------------------------------------------------------------------------


def test_a_veiled_reference_is_compared_under_the_veil() -> None:
    batch, reference = categories(a=5, z=2), veiled(categories(a=9, b=1))
    same = told(rule(DriftKind.TOTAL_VARIATION, categorical=True), batch, categories(a=9, b=1))
    found = told(rule(DriftKind.TOTAL_VARIATION, categorical=True), batch, reference)
    assert isinstance(found, Told)
    assert isinstance(same, Told)
    assert found.value == same.value
    assert told(rule(DriftKind.NEW_VALUES, categorical=True), batch, reference).value == 1  # type: ignore[union-attr]


def test_categories_unknown_to_one_side_are_compared_as_one() -> None:
    """The batch's 3 of `rare` may stand among the 4 others of the reference, whose names are not kept."""
    cells = distances.categories_of(categories(a=6, others=4), categories(a=7, rare=3))
    assert [(cell.category, cell.reference, cell.batch) for cell in cells] == [("a", 6, 7), (distances.OTHERS, 4, 3)]
