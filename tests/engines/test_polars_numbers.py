"""Multiples, statistics and histograms against plain Python, on all kinds of frames."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagster_contracts.core.metrics import Histogram, Kind, Metric, NotMultiple, Statistic
from dagster_contracts.core.verdict import Bins, Count, Figure, Measurement, Unmeasured
from dagster_contracts.engines.polars.engine import PolarsEngine

ENGINE = PolarsEngine()


def measured(data: object, *metrics: Metric) -> list[object]:
    found = ENGINE.measure(data, metrics)
    assert isinstance(found, Measurement), found
    return [found.values[metric] for metric in metrics]


def counts(data: object, *metrics: Metric) -> list[int]:
    found = measured(data, *metrics)
    assert all(isinstance(each, Count) for each in found), found
    return [each.value for each in found if isinstance(each, Count)]


# --- multiples -------------------------------------------------------------------------------------------------------


def is_multiple(value: object, of: float) -> bool:
    """A float stands for the shortest decimal that reads back as it."""
    if isinstance(value, float) and not math.isfinite(value):
        return False
    exact = Fraction(Decimal(value.strip() if isinstance(value, str) else repr(value) if isinstance(value, float) else value))  # type: ignore[arg-type]
    return (exact / Fraction(Decimal(str(of)))).denominator == 1


steps = st.sampled_from([1, 2, 3, 7, 10, 0.1, 0.01, 0.25, 2.5, 1e-5, 1e5, 0.3, 1e-25, 2**40, 12345678901234567890])
decimal_floats = st.builds(lambda whole, digits: whole / 10**digits, st.integers(-(10**9), 10**9), st.integers(0, 4))
floats = st.one_of(decimal_floats, st.floats(allow_nan=False), st.integers(-(2**70), 2**70).map(float))


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.none() | floats, max_size=6), of=steps)
@example(values=[0.3, 0.30000000000000004, 1e22, 1e300, -0.7], of=0.1)
def test_floats_are_multiples_in_the_decimal_sense(values: list[float | None], of: float) -> None:
    wrong = sum(value is not None and not is_multiple(value, of) for value in values)
    assert counts(pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)}), NotMultiple("x", of)) == [wrong]


@settings(max_examples=75, deadline=None)
@given(values=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=6), of=steps)
def test_integers_are_multiples_exactly(values: list[int | None], of: float) -> None:
    wrong = sum(value is not None and not is_multiple(value, of) for value in values)
    assert counts(pl.DataFrame({"x": pl.Series(values, dtype=pl.Int64)}), NotMultiple("x", of)) == [wrong]
    assert counts(pl.DataFrame({"x": [None if v is None else str(v) for v in values]}, schema={"x": pl.String}), NotMultiple("x", 1)) == [0]


@settings(max_examples=75, deadline=None)
@given(values=st.lists(st.decimals(-(10**9), 10**9, places=3), max_size=6), of=steps)
def test_decimals_are_multiples_exactly(values: list[Decimal], of: float) -> None:
    frame = pl.DataFrame({"x": pl.Series(values, dtype=pl.Decimal(20, 3))})
    assert counts(frame, NotMultiple("x", of)) == [sum(not is_multiple(value, of) for value in values)]


def test_multiples_of_other_types() -> None:
    assert counts(pl.DataFrame({"x": [" 0.3", "0.35", "x", "", "1e400", None]}), NotMultiple("x", 0.1)) == [4]
    assert counts(pl.DataFrame({"x": [math.nan, math.inf, 0.5]}), NotMultiple("x", 0.5)) == [1]
    assert counts(pl.DataFrame({"x": pl.Series([0.1, 0.7, 0.75], dtype=pl.Float32)}), NotMultiple("x", 0.1)) == [1]
    assert counts(pl.DataFrame({"x": [True, None]}), NotMultiple("x", 1)) == [1]
    unsigned = pl.DataFrame({"x": pl.Series([2**64 - 1, 2**64 - 2], dtype=pl.UInt64)})
    assert counts(unsigned, NotMultiple("x", 5), NotMultiple("x", 2**63)) == [1, 2]


# --- statistics ------------------------------------------------------------------------------------------------------

KINDS = [Statistic("x", kind) for kind in Kind if kind is not Kind.QUANTILE] + [
    Statistic("x", Kind.QUANTILE, at) for at in (0, 0.25, 0.5, 1)
]


def expected(values: Sequence[float], metric: Statistic) -> float | None:
    if metric.kind is Kind.DISTINCT_COUNT:
        return float(len(set(values)))
    if not values:
        return None
    match metric.kind:
        case Kind.MEAN:
            return statistics.fmean(values)
        case Kind.STANDARD_DEVIATION:
            return statistics.stdev(values) if len(values) > 1 else None
        case Kind.MINIMUM:
            return min(values)
        case Kind.MAXIMUM:
            return max(values)
        case Kind.SUM:
            return math.fsum(values)
        case Kind.DISTINCT_SHARE:
            return len(set(values)) / len(values)
        case Kind.QUANTILE:
            return float(np.quantile(values, metric.at or 0))
    raise AssertionError(metric)


FRAMES: dict[str, Callable[[list[float | None]], object]] = {
    "floats": lambda values: pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)}),
    "a scan": lambda values: pl.LazyFrame({"x": pl.Series(values, dtype=pl.Float64)}),
    "NaN": lambda values: pd.DataFrame({"x": np.array([math.nan if v is None else v for v in values], dtype=float)}),
    "text": lambda values: pl.DataFrame({"x": [None if v is None else f" {v!r}" for v in values]}, schema={"x": pl.String}),
    "arrow": lambda values: pa.table({"x": pa.array(values, pa.float64())}),
}


@pytest.mark.parametrize("kind", FRAMES)
@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.none() | st.integers(-1000, 1000).map(lambda n: n / 8), max_size=9))
def test_statistics_are_those_of_plain_python(kind: str, values: list[float | None]) -> None:
    present = [value for value in values if value is not None]
    for metric, found in zip(KINDS, measured(FRAMES[kind](values), *KINDS), strict=True):
        wanted = expected(present, metric)
        if kind == "text" and metric.kind in (Kind.DISTINCT_COUNT, Kind.DISTINCT_SHARE):
            continue  # text is distinct as text: -0.0 is not 0.0 there
        assert found == Figure(None if wanted is None else pytest.approx(wanted, abs=1e-9)), metric  # type: ignore[arg-type]


def test_text_that_is_no_number_is_left_out() -> None:
    frame = pl.DataFrame({"x": ["1", "nan", "inf", "n/a", "3", None]})
    assert measured(frame, Statistic("x", Kind.MEAN), Statistic("x", Kind.MAXIMUM)) == [Figure(2.0), Figure(3.0)]
    assert measured(frame, Statistic("x", Kind.DISTINCT_COUNT)) == [Figure(5.0)]


def test_integers_add_up_beyond_their_type() -> None:
    frame = pl.DataFrame({"x": [2**62] * 4, "d": [Decimal("0.10")] * 4, "u": pl.Series([2**64 - 1] * 4, dtype=pl.UInt64)})
    metrics = [Statistic(column, Kind.SUM) for column in ("x", "d", "u")]
    assert measured(frame, *metrics) == [Figure(2**64), Figure(pytest.approx(0.4)), Figure(4 * (2**64 - 1))]  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt64, pl.Int128, pl.String])
def test_integers_are_exact(dtype: type[pl.DataType]) -> None:
    frame = pl.DataFrame({"x": pl.Series([2**53 + 1, None, 2**53 + 3]).cast(dtype)})
    kinds = (Kind.MINIMUM, Kind.MAXIMUM, Kind.SUM, Kind.DISTINCT_COUNT)
    found = measured(frame, *(Statistic("x", kind) for kind in kinds))
    assert [(type(each.value), each.value) for each in found] == [(int, 2**53 + 1), (int, 2**53 + 3), (int, 2**54 + 4), (int, 2)]


def test_the_largest_integers_are_exact() -> None:
    frame = pl.DataFrame({"x": pl.Series([2**64 - 1], dtype=pl.UInt64), "text": ["1.5"]})
    metrics = [Statistic(column, Kind.MAXIMUM) for column in ("x", "text")]
    assert measured(frame, *metrics) == measured(frame.lazy(), *metrics) == [Figure(2**64 - 1), Figure(1.5)]


def test_statistics_of_nothing_and_of_what_holds_no_numbers() -> None:
    empty = pl.DataFrame({"x": pl.Series([None, None])})
    assert measured(empty, *KINDS) == [Figure(0.0 if metric.kind is Kind.DISTINCT_COUNT else None) for metric in KINDS]
    flags = pl.DataFrame({"x": [True, False, True, None]})
    mean, distinct = measured(flags, Statistic("x", Kind.MEAN), Statistic("x", Kind.DISTINCT_COUNT))
    assert isinstance(mean, Unmeasured)
    assert "Boolean" in mean.reason
    assert distinct == Figure(2.0)


def test_zeros_are_one_value() -> None:
    assert measured(pl.DataFrame({"x": [0.0, -0.0, math.nan]}), Statistic("x", Kind.DISTINCT_COUNT)) == [Figure(1.0)]


# --- histograms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FRAMES)
@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.none() | st.integers(-12, 12).map(lambda n: n / 4) | st.sampled_from([math.inf, -math.inf]), max_size=12),
    edges=st.lists(st.integers(-12, 12).map(lambda n: n / 4), max_size=5, unique=True).map(sorted),
)
def test_histograms_are_those_of_numpy(kind: str, values: list[float | None], edges: list[float]) -> None:
    if kind == "text":
        values = [value for value in values if value is None or math.isfinite(value)]
    present = [value for value in values if value is not None]
    # numpy's last bin holds its right edge too: beyond infinity there is nothing
    wanted = tuple(int(n) for n in np.histogram(present, [-math.inf, *edges, math.inf])[0])
    assert measured(FRAMES[kind](values), Histogram("x", tuple(edges))) == [Bins(wanted, len(values) - len(present))]


def test_histograms_of_other_types() -> None:
    integers = pl.DataFrame({"x": [2**53, 2**53 + 1, None]})
    assert measured(integers, Histogram("x", (float(2**53), float(2**53 + 2)))) == [Bins((0, 2, 0), 1)]
    assert measured(pl.DataFrame({"x": [1, 2]}), Histogram("x", (1.5,)), Histogram("x", (math.inf,))) == [Bins((1, 1), 0), Bins((2, 0), 0)]
    assert measured(pl.DataFrame({"x": [Decimal("0.5"), Decimal("1.5")]}), Histogram("x", (1.0,))) == [Bins((1, 1), 0)]
    assert measured(pl.DataFrame({"x": pl.Series([None])}), Histogram("x", (1.0,))) == [Bins((0, 0), 1)]
    assert measured(pl.DataFrame({"x": ["1", "x", None]}), Histogram("x", (1.0,))) == [Bins((0, 1), 1)]
    assert isinstance(measured(pl.DataFrame({"x": [True]}), Histogram("x", (1.0,)))[0], Unmeasured)
