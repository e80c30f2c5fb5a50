"""Failing rows and values: of all metrics in one pass, from frames and from files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.core.metrics import (
    Compared,
    Duplicates,
    Kind,
    Metric,
    Missing,
    Newest,
    NotIn,
    NotMatching,
    Nulls,
    Oldest,
    OutOfRange,
    RowCount,
    Statistic,
    TypeBreaches,
)
from dagster_contracts.engines.polars.engine import PolarsEngine

ENGINE = PolarsEngine()
METRICS: list[Metric] = [
    NotIn("c", ("x", "y")),
    OutOfRange("n", 0, 5),
    Nulls("n"),
    Missing("c", ("z", None)),
    Duplicates(("c", "n")),
    Compared("n", "<", "m"),
]


def breaks(metric: Metric, row: dict[str, Any], before: list[dict[str, Any]]) -> bool:
    match metric:
        case NotIn():
            return row["c"] is not None and row["c"] not in metric.values
        case OutOfRange():
            return row["n"] is not None and not 0 <= row["n"] <= 5
        case Nulls():
            return row["n"] is None
        case Missing():
            return row["c"] in metric.values
        case Duplicates():
            return None not in (row["c"], row["n"]) and any((row["c"], row["n"]) == (other["c"], other["n"]) for other in before)
        case Compared():
            return None not in (row["n"], row["m"]) and not row["n"] < row["m"]
    raise AssertionError(metric)


def from_file(frame: pl.DataFrame, folder: Path) -> pl.LazyFrame:
    frame.write_parquet(folder / "f.parquet", row_group_size=3)
    return pl.scan_parquet(folder / "f.parquet")


FRAMES: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "polars": lambda frame, _: frame,
    "pandas": lambda frame, _: frame.to_pandas().astype({"c": "str"}),
    "arrow": lambda frame, _: frame.to_arrow(),
    "a file": from_file,
}


@pytest.mark.parametrize("kind", FRAMES)
@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"c": st.none() | st.sampled_from("xyzw"), "n": st.none() | st.integers(-1, 7), "m": st.none() | st.integers(0, 3)}
        ),
        max_size=12,
    ),
    limit=st.integers(1, 4),
)
def test_samples_are_the_first_failing_rows_and_the_most_frequent_values(
    kind: str, tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], limit: int
) -> None:
    rows = [{"id": number, **row} for number, row in enumerate(rows)]
    frame = pl.DataFrame(rows, schema={"id": pl.Int64, "c": pl.String, "n": pl.Int64, "m": pl.Int64})
    samples = ENGINE.samples(FRAMES[kind](frame, tmp_path_factory.mktemp("rows")), METRICS, limit)
    for metric in METRICS:
        failing = [row for number, row in enumerate(rows) if breaks(metric, row, rows[:number])]
        assert [row["id"] for row in samples[metric].rows] == [row["id"] for row in failing[:limit]]
        values = [tuple(row[column] for column in metric.columns) if len(metric.columns) > 1 else row[metric.columns[0]] for row in failing]
        ranked = sorted(dict.fromkeys(values), key=lambda value: -values.count(value))  # stable: the first to come first
        assert list(samples[metric].values) == [(value, values.count(value)) for value in ranked[:limit]]


def test_what_counts_no_rows_has_no_sample_and_takes_no_other_with_it() -> None:
    frame = pl.DataFrame({"c": ["x", "q"], "l": [[1], [2]]})
    metrics: list[Metric] = [
        RowCount(),
        Statistic("c", Kind.MEAN),
        NotMatching("c", "(?=x)"),
        NotIn("c", ("x",)),
        TypeBreaches("l", "string"),
    ]
    samples = ENGINE.samples(frame, metrics)
    assert set(samples) == {metrics[3], metrics[4]}
    assert samples[metrics[3]].rows == ({"c": "q", "l": [2]},)
    assert samples[metrics[4]].values == (([1], 1), ([2], 1))


def test_rows_keep_what_the_frame_holds() -> None:
    frame = pd.DataFrame({"c": ["q", "x"], "o": pd.Series([{"a": 1}, None], dtype=object), "t": pd.to_datetime(["2024-01-01", None])})
    (row,) = ENGINE.samples(frame, [NotIn("c", ("x",))])[NotIn("c", ("x",))].rows
    assert row == {"c": "q", "o": {"a": 1}, "t": pd.Timestamp("2024-01-01")}


def test_a_reading_is_told() -> None:
    frame = pl.DataFrame({"d": [1_715_949_000_000, 1_715_949_000_001], "c": ["us", "US"]})
    metrics: list[Metric] = [TypeBreaches("d", "timestamp"), OutOfRange("d", "2024-01-01"), NotIn("c", ("US",))]
    told = [ENGINE.samples(frame, metrics)[metric].reading for metric in metrics]
    assert told == ["epoch milliseconds", "epoch milliseconds", "allowed values in another letter case"]


def test_a_column_that_holds_no_times_is_read_too() -> None:
    frame = pl.DataFrame({"t": ["1715949000", "1715949001", None], "n": [1_715_949_000] * 3})
    samples = ENGINE.samples(frame, [Newest("t"), Oldest("n")])
    assert samples[Newest("t")].reading == "epoch seconds"
    assert len(samples[Newest("t")].rows) == 2
    assert samples[Oldest("n")].reading == "epoch seconds"


def test_a_scan_is_read_in_few_passes(tmp_path: Path) -> None:
    pl.DataFrame({"n": range(100), "c": ["x"] * 100}).write_parquet(tmp_path / "f.parquet")
    passes: list[int] = []

    def counted(frame: pl.DataFrame) -> pl.DataFrame:
        passes.append(frame.height)
        return frame

    lazy = pl.scan_parquet(tmp_path / "f.parquet").map_batches(counted, schema={"n": pl.Int64, "c": pl.String})
    metrics = [OutOfRange("n", low, None) for low in range(50, 60)]
    assert all(len(sample.rows) == 20 for sample in ENGINE.samples(lazy, metrics).values())
    assert len(passes) <= 2
