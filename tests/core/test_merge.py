"""What is measured of parts and merged is what is measured of the whole."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagster_contracts.core.merge import merged, parts_of
from dagster_contracts.core.metrics import (
    Duplicates,
    Histogram,
    Kind,
    LengthOutside,
    Metric,
    Missing,
    Nested,
    Newest,
    NotIn,
    Nulls,
    Oldest,
    OutOfRange,
    ProfileOf,
    Query,
    Statistic,
    TypeBreaches,
)
from dagster_contracts.core.profile import EXACT, GROUPS, CategoryProfile, NumericProfile, pooled
from dagster_contracts.core.verdict import Bins, Column, Count, Figure, Instant, Measured, Measurement, NotApplicable, Unmeasured
from dagster_contracts.engines.polars.engine import PolarsEngine

METRICS: tuple[Metric, ...] = (
    Nulls("x"),
    OutOfRange("x", 0, 5),
    TypeBreaches("x", "integer"),
    NotIn("s", ("a", "b")),
    Missing("s", ("a", None)),
    LengthOutside("s", 1, 1),
    Newest("t"),
    Oldest("t"),
    Histogram("x", (0.0, 2.5)),
    ProfileOf("x"),
    ProfileOf("x", categorical=True),
    ProfileOf("s", categorical=True),
    *(Statistic("x", kind, 0.3 if kind is Kind.QUANTILE else None) for kind in Kind),
    *(Statistic("s", kind) for kind in (Kind.DISTINCT_COUNT, Kind.DISTINCT_SHARE)),
)
SCHEMA = {"x": pl.Float64, "s": pl.String, "t": pl.Datetime("us", "UTC")}

rows = st.lists(
    st.tuples(
        st.none() | st.sampled_from([float("nan"), 1.0, -2.0, 1e6]) | st.floats(-1e6, 1e6).map(lambda x: round(x, 3)),
        st.none() | st.sampled_from(["a", "b", "", "ccc"]),
        st.none() | st.integers(0, 1000).map(lambda n: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n)),
    ),
    max_size=30,
)


def test_a_part_without_rows_or_columns_adds_nothing():
    void = Measurement(0, (), {Nulls("x"): Count(0)}, columns_told=False)
    part = Measurement(2, (Column("x", "Int64"),), {Nulls("x"): Count(1)})
    assert merged([Nulls("x")], [void, part, void]) == part
    assert merged([Nulls("x")], [void, void]) == void


def measured(data: list[tuple[object, ...]], metrics: tuple[Metric, ...]) -> Measurement:
    found = PolarsEngine().measure(pl.DataFrame(data, schema=SCHEMA, orient="row"), metrics)
    assert isinstance(found, Measurement)
    return found


@settings(max_examples=60)
@given(rows, rows, rows)
@example([], [], [])
@example([(1.0, "a", None)], [], [(2.0, None, None)])
@example([(None, None, None)], [(float("nan"), None, None)], [])
def test_parts_merged_are_the_whole(
    first: list[tuple[object, ...]], second: list[tuple[object, ...]], third: list[tuple[object, ...]]
) -> None:
    parts = (first, second, third)
    whole = measured([row for part in parts for row in part], METRICS)
    found = merged(METRICS, [measured(part, parts_of(METRICS)) for part in parts])
    assert isinstance(found, Measurement)
    assert (found.rows, found.columns, list(found.values)) == (whole.rows, whole.columns, list(whole.values))
    for metric, value in whole.values.items():
        assert not isinstance(value, Unmeasured), (metric, value)
        if isinstance(value, Figure) and value.value is not None:
            assert found.values[metric] == Figure(pytest.approx(value.value, rel=1e-9, abs=1e-6)), metric  # type: ignore[arg-type]
        else:
            assert found.values[metric] == value, metric


def test_the_mean_of_many_parts_keeps_its_digits() -> None:
    """One pass over sums of squares would lose all of them here."""
    values = [1e9 + n % 3 for n in range(300)]
    metrics = (Statistic("x", Kind.STANDARD_DEVIATION), Statistic("x", Kind.MEAN))
    parts = [measured([(value, None, None) for value in values[n : n + 7]], parts_of(metrics)) for n in range(0, 300, 7)]
    found = merged(metrics, parts)
    assert isinstance(found, Measurement)
    mean = math.fsum(values) / 300
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / 299)
    assert found.values == {metrics[0]: Figure(pytest.approx(spread, rel=1e-7)), metrics[1]: Figure(pytest.approx(mean, rel=1e-15))}  # type: ignore[arg-type]


def test_integers_of_parts_add_up_exactly() -> None:
    total, most = Statistic("n", Kind.SUM), Statistic("n", Kind.MAXIMUM)
    parts = [Measurement(1, (), {total: Figure(value), most: Figure(value)}) for value in (2**53 + 1, 2)]
    found = merged([total, most], parts)
    assert isinstance(found, Measurement)
    assert found.values == {total: Figure(2**53 + 3), most: Figure(2**53 + 1)}


# --- profiles ------------------------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(st.integers(2, 5), st.integers(0, 2**32))
def test_joined_profiles_keep_the_error_they_state(parts: int, seed: int) -> None:
    generator = random.Random(seed)
    values = [generator.gauss(0, 1) for _ in range(EXACT + 5_000)]
    size = len(values) // parts
    pieces = [values[n * size : (n + 1) * size if n < parts - 1 else None] for n in range(parts)]
    whole = pooled([NumericProfile(tuple(sorted(piece)), (1,) * len(piece)) for piece in pieces])
    assert isinstance(whole, NumericProfile)
    assert whole.total == len(values)
    assert whole.rank_error == 1 / GROUPS
    assert (whole.values[0], whole.values[-1]) == (min(values), max(values))
    below, ranked, at = 0, sorted(values), 0
    for value, count in zip(whole.values, whole.counts, strict=True):
        below += count
        while at < len(ranked) and ranked[at] <= value:
            at += 1
        assert abs(at - below) < len(values) * whole.rank_error


def test_a_profile_says_nothing_of_an_other_kind() -> None:
    with pytest.raises(ValueError, match="are not one"):
        pooled([NumericProfile((1.0,), (1,)), CategoryProfile((("a", 1),))])
    with pytest.raises(ValueError, match="no profile at all"):
        pooled([])


# --- what does not merge -------------------------------------------------------------------------------------------


def part(metric: Metric, value: Measured, rows: int = 2, columns: tuple[str, ...] = ("x",), type: str = "i") -> Measurement:
    return Measurement(rows, tuple(Column(name, type) for name in columns), {metric: value})


@pytest.mark.parametrize("metric", [Duplicates(("x",)), Query("SELECT 1", "t"), Nested("x", ("a",), Duplicates(("x.a",)))])
def test_what_parts_do_not_tell_is_unmeasured_unless_one_holds_all(metric: Metric) -> None:
    several = merged([metric], [part(metric, Count(0)), part(metric, Count(0))])
    assert isinstance(several, Measurement)
    assert isinstance(several.values[metric], Unmeasured)
    assert "is not known from its parts" in str(several.values[metric])
    alone = merged([metric], [part(metric, Count(0), rows=0), part(metric, Count(1)), part(metric, Count(0), rows=0)])
    assert isinstance(alone, Measurement)
    assert (alone.rows, alone.values[metric]) == (2, Count(1))
    empty = merged([metric], [part(metric, Count(0), rows=0)] * 2)
    assert isinstance(empty, Measurement)
    assert empty.values[metric] == Count(0)


@pytest.mark.parametrize("missing", [Unmeasured("why"), NotApplicable("why")])
def test_what_one_part_lacks_the_whole_lacks(missing: Measured) -> None:
    metric = Nulls("x")
    found = merged([metric], [part(metric, Count(1)), part(metric, missing)])
    assert isinstance(found, Measurement)
    assert found.values[metric] == missing


def test_a_part_that_could_not_be_read_leaves_nothing_to_say() -> None:
    assert merged([Nulls("x")], [part(Nulls("x"), Count(1)), Unmeasured("torn")]) == Unmeasured("torn")


@pytest.mark.parametrize("columns", [("x", "y"), ("y",), ("x", "x")])
def test_parts_with_other_columns_are_no_whole(columns: tuple[str, ...]) -> None:
    found = merged([Nulls("x")], [part(Nulls("x"), Count(1)), part(Nulls("x"), Count(1), columns=columns)])
    assert isinstance(found, Unmeasured)
    assert "differ in their columns" in found.reason


def test_a_column_of_two_types_is_of_both() -> None:
    found = merged([Nulls("x")], [part(Nulls("x"), Count(1)), part(Nulls("x"), Count(2), type="f")])
    assert isinstance(found, Measurement)
    assert (found.columns, found.values[Nulls("x")]) == ((Column("x", "i or f"),), Count(3))


def test_values_of_two_kinds_are_unmeasured() -> None:
    found = merged([Nulls("x")], [part(Nulls("x"), Count(1)), part(Nulls("x"), Bins((1,)))])
    assert isinstance(found, Measurement)
    assert found.values[Nulls("x")] == Unmeasured("parts were measured as Bins, Count")


def test_more_distinct_values_than_are_kept_are_unmeasured() -> None:
    wanted, needed = Statistic("x", Kind.DISTINCT_COUNT), ProfileOf("x", categorical=True)
    found = merged([wanted], [part(needed, CategoryProfile((("a", 1),), others=1))])
    assert isinstance(found, Measurement)
    assert isinstance(found.values[wanted], Unmeasured)


def test_nothing_merges_to_nothing() -> None:
    with pytest.raises(ValueError, match="no part"):
        merged([], [])
    times = merged([Newest("x")], [part(Newest("x"), Instant(None))] * 2)
    assert isinstance(times, Measurement)
    assert times.values[Newest("x")] == Instant(None)
