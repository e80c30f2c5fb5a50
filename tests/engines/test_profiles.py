"""Profiles as Polars measures them, and the distances between real partitions as scipy and numpy compute them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.core import distances
from dagster_contracts.core.metrics import Histogram, Kind, ProfileOf, Statistic
from dagster_contracts.core.profile import CATEGORIES, EXACT, GROUPS, CategoryProfile, NumericProfile, Profile, binned, equal_edges, pooled
from dagster_contracts.core.verdict import Bins, Measured, Measurement, Unmeasured
from dagster_contracts.engines.polars.engine import PolarsEngine
from tests.shared_cases import CASES, needs_cases


def measured(column: Any, *, categorical: bool = False) -> Measured:
    frame = column.alias("c").to_frame() if isinstance(column, pl.Series) else pd.DataFrame({"c": column})
    metric = ProfileOf("c", categorical)
    found = PolarsEngine().measure(frame, [metric])
    assert isinstance(found, Measurement)
    return found.values[metric]


# --- numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "values", "counts", "nulls"),
    [
        (pl.Series([2.0, 1.0, None, float("nan"), 1.0]), (1.0, 2.0), (2, 1), 2),
        (pl.Series([-0.0, 0.0, float("inf"), float("-inf")]), (float("-inf"), 0.0, float("inf")), (1, 2, 1), 0),
        (pl.Series(["1", " 2.5 ", "x", None, "inf"]), (1.0, 2.5), (1, 1), 3),
        (pl.Series([3, 1, 3]), (1.0, 3.0), (1, 2), 0),
        (pl.Series([Decimal("1.50"), None]), (1.5,), (1,), 1),
        (pl.Series([None, None]), (), (), 2),
        (pl.Series([], dtype=pl.Int64), (), (), 0),
        (pd.Series([1, None, 2], dtype="Int64"), (1.0, 2.0), (1, 1), 1),
    ],
)
def test_numbers_are_counted_by_value(column: Any, values: tuple[float, ...], counts: tuple[int, ...], nulls: int):
    found = measured(column)
    assert found == NumericProfile(values, counts, nulls)
    assert repr(found) == repr(NumericProfile(values, counts, nulls))  # -0.0 is 0.0 in digests too


@pytest.mark.parametrize("column", [pl.Series([True]), pl.Series([date(2026, 1, 1)]), pl.Series([[1]])])
def test_other_types_have_no_numbers(column: pl.Series):
    found = measured(column)
    assert isinstance(found, Unmeasured)
    assert "holds no numbers" in found.reason


_CONTINUOUS = np.random.default_rng(1).lognormal(size=200_000)
_CONTINUOUS[:5_000] = 1.0  # one value far more frequent than a group
_LUMPY = np.concatenate([np.arange(30_000.0), np.repeat(np.arange(500) * 60 + 0.5, 300)])  # and many that are somewhat more


@pytest.mark.parametrize(("values", "frequent", "times"), [(_CONTINUOUS, 1.0, 5_000), (_LUMPY, 60.5, 300)], ids=["continuous", "lumpy"])
def test_many_values_are_joined_within_the_stated_error(values: np.ndarray, frequent: float, times: int):
    total = len(values)
    found = measured(pl.Series(values))
    assert isinstance(found, NumericProfile)
    assert (found.exact, found.rank_error, found.total) == (False, 1 / GROUPS, total)
    assert len(found.values) <= 2 * GROUPS + 3
    assert (found.values[0], found.values[-1]) == (values.min(), values.max())
    assert dict(zip(found.values, found.counts, strict=True))[frequent] == times
    assert np.dot(found.values, found.counts) / total == pytest.approx(values.mean(), rel=1e-12)
    points, below = np.array(found.values), np.concatenate([[0], np.cumsum(found.counts)])
    ranks = np.searchsorted(np.sort(values), values, side="right")
    off = np.abs(below[np.searchsorted(points, values, side="right")] - ranks) / total
    assert 0 < off.max() < found.rank_error


def test_as_many_values_as_are_kept_are_kept():
    assert measured(pl.Series(range(EXACT))) == NumericProfile(tuple(map(float, range(EXACT))), (1,) * EXACT)


def test_infinite_values_stay_themselves_among_joined_ones():
    found = measured(pl.Series([*map(float, range(EXACT + 1)), float("inf"), float("-inf")]))
    assert isinstance(found, NumericProfile)
    assert (found.values[0], found.values[-1]) == (float("-inf"), float("inf"))
    assert all(map(np.isfinite, found.values[1:-1]))


# --- categories ----------------------------------------------------------------------------------------------------


@given(
    st.lists(st.sampled_from([-math.inf, math.inf, math.nan, None, 0.0, 1.0, 2.0]) | st.floats(), max_size=20).map(
        lambda values: pl.Series("c", values, dtype=pl.Float64)
    )
)
@settings(max_examples=60, deadline=None)
def test_infinities_fall_into_the_outer_bins_whatever_is_measured_beside(column: pl.Series):
    profile = measured(column)
    assert isinstance(profile, NumericProfile)
    bins = Histogram("c", equal_edges(profile, 10))
    beside = [Statistic("c", kind) for kind in Kind]
    for asked in ([bins], [bins, ProfileOf("c"), ProfileOf("c", categorical=True), *beside]):
        found = PolarsEngine().measure(column.to_frame(), asked)
        assert isinstance(found, Measurement)
        assert found.values[bins] == Bins(binned(profile, bins.edges), profile.nulls)


@pytest.mark.parametrize(
    ("column", "categories", "nulls"),
    [
        (pl.Series([1.0, 2.0, 1.0, None, 2.5]), (("1", 2), ("2", 1), ("2.5", 1)), 1),
        (pl.Series([1, 2, 1]), (("1", 2), ("2", 1)), 0),
        (pl.Series([Decimal("1.0"), Decimal("2.5")]), (("1", 1), ("2.5", 1)), 0),
        (pl.Series([-0.0, 0.0, float("nan")]), (("0", 2),), 1),
        (pl.Series(["b", "a", "b", None, "1.0"]), (("b", 2), ("1.0", 1), ("a", 1)), 1),
        (pl.Series(["x", "y", "x"], dtype=pl.Categorical), (("x", 2), ("y", 1)), 0),
        (pl.Series([True, False, True]), (("true", 2), ("false", 1)), 0),
        (pl.Series([date(2026, 1, 1)]), (("2026-01-01", 1),), 0),
        (pl.Series([time(7, 30)]), (("07:30:00", 1),), 0),
        (pl.Series([time(7, 30, 0, 500_000)]), (("07:30:00.500", 1),), 0),
        (pl.Series([datetime(2026, 1, 1, 5, tzinfo=UTC)]).dt.convert_time_zone("Asia/Tokyo"), (("2026-01-01T05:00:00Z", 1),), 0),
        (pl.Series([None]), (), 1),
        (pd.Series(["a", 1, None], dtype=object), (("1", 1), ("a", 1)), 1),
    ],
)
def test_categories_are_counted_by_their_text(column: Any, categories: tuple[tuple[str, int], ...], nulls: int):
    assert measured(column, categorical=True) == CategoryProfile(categories, nulls)


def test_the_most_frequent_categories_are_kept():
    found = measured(pl.Series([f"{n:06}" for n in range(CATEGORIES + 5)] + ["z"] * 3), categorical=True)
    assert isinstance(found, CategoryProfile)
    assert (found.categories[:2], found.categories[-1], found.others) == ((("z", 3), ("000000", 1)), (f"{CATEGORIES - 2:06}", 1), 6)


def test_lists_have_no_categories():
    assert "holds no categories" in str(measured(pl.Series([[1]]), categorical=True))


# --- what others compute -------------------------------------------------------------------------------------------


def _cases() -> Iterator[dict[str, Any]]:
    path = CASES / "drift" / "reference.json"
    if path.is_file():
        yield from json.loads(path.read_text())["cases"]


@cache
def _frame(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, low_memory=False)


@cache
def _profile(paths: tuple[Path, ...], column: str, categorical: bool) -> Profile:
    found = [measured(_frame(path)[column], categorical=categorical) for path in paths]
    assert all(isinstance(profile, NumericProfile | CategoryProfile) for profile in found)
    return pooled(found)  # type: ignore[arg-type]


def _pair(case: dict[str, Any]) -> tuple[Profile, Profile]:
    files = tuple(CASES / "data" / name.removeprefix("dev/data/") for name in case["reference"])
    categorical = case["kind"] == "categorical"
    batch = (files[0].with_name(case["partition"]),)
    return _profile(files, case["column"], categorical), _profile(batch, case["column"], categorical)


def _near(value: float) -> Any:
    return pytest.approx(value, rel=1e-6, abs=1e-6)


@needs_cases
@pytest.mark.parametrize(
    "case", [case for case in _cases() if case["kind"] == "numeric"], ids=lambda case: f"{case['partition']}.{case['column']}"
)
def test_distances_of_numbers_are_those_of_scipy(case: dict[str, Any]):
    reference, batch = _pair(case)
    assert isinstance(reference, NumericProfile)
    assert isinstance(batch, NumericProfile)
    assert (reference.total, batch.total) == (case["n_ref"], case["n_cur"])
    assert equal_edges(reference, 10) == _near(case["bin_edges_inner"])
    gap = distances.largest_gap(reference, batch)
    cells = distances.bins_of(reference, batch, 10)
    assert gap.distance == _near(case["ks_stat"])
    assert distances.kolmogorov_smirnov_p(gap, reference.total, batch.total) == _near(case["ks_pvalue"])
    assert distances.wasserstein(reference, batch) == _near(case["wasserstein"])
    assert distances.psi(cells) == _near(case["psi"])
    assert distances.jensen_shannon(cells) == _near(case["js_distance_base2"])


@needs_cases
@pytest.mark.parametrize(
    "case", [case for case in _cases() if case["kind"] == "categorical"], ids=lambda case: f"{case['partition']}.{case['column']}"
)
def test_distances_of_categories_are_those_of_scipy(case: dict[str, Any]):
    reference, batch = _pair(case)
    assert isinstance(reference, CategoryProfile)
    assert isinstance(batch, CategoryProfile)
    cells = sorted(distances.categories_of(reference, batch), key=lambda cell: cell.category)
    wanted = sorted(zip(case["categories"], case["ref_count"], case["cur_count"], strict=True))
    assert [(cell.category, cell.reference, cell.batch) for cell in cells] == wanted
    assert distances.psi(cells) == _near(case["psi"])
    assert distances.jensen_shannon(cells) == _near(case["js_distance_base2"])
    assert distances.total_variation(cells) == _near(case["total_variation"])
    assert distances.chi_square(cells) == _near(case["chi2"])
    assert distances.chi_square_p(cells) == _near(case["chi2_pvalue"])
