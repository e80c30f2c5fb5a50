"""Any metric of any column has an answer, and a file that is no longer what it was has none: nothing raises, nothing passes unread."""

# ruff: noqa: DTZ001 - naive times are among what is measured
from __future__ import annotations

import math
import os
import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from dagster_contracts.core.metrics import (
    EACH,
    KEYS,
    Absent,
    Compared,
    Duplicates,
    Histogram,
    Kind,
    LengthOutside,
    Metric,
    Missing,
    Nested,
    Newest,
    NotIn,
    NotMatching,
    NotMultiple,
    Nulls,
    Oldest,
    Orphans,
    OutOfRange,
    ProfileOf,
    Repeating,
    RowCount,
    SizeOutside,
    Statistic,
    TypeBreaches,
)
from dagster_contracts.core.verdict import Bins, Count, Figure, Instant, Measurement, NotApplicable, Sample, Unmeasured
from dagster_contracts.engines.polars.engine import PolarsEngine

ENGINE = PolarsEngine()
LOGICAL = ("string", "date", "timestamp", "time", "number", "integer", "boolean", "object", "array", "map", "vector")
METRICS: list[Metric] = [
    RowCount(),
    *(TypeBreaches("x", kind) for kind in LOGICAL),
    TypeBreaches("x", "timestamp", zoned=True),
    Nulls("x"),
    Missing("x", (None, "a", 1, True)),
    NotIn("x", ("a", 1, True, "2024-01-01", 2.5)),
    NotMatching("x", "^a"),
    OutOfRange("x", 0, 5),
    OutOfRange("x", "2024-01-01"),
    OutOfRange("x", "10:00"),
    LengthOutside("x", 1, 2),
    NotMultiple("x", 0.1),
    SizeOutside("x", 1),
    Repeating("x"),
    Absent("x", "a"),
    Nested("x", ("a",), Nulls("x.a")),
    Nested("x", (EACH,), TypeBreaches("x[]", "integer")),
    Nested("x", (KEYS,), NotIn("x{keys}", ("a",))),
    Duplicates(("x",)),
    Duplicates(("x", "y")),
    Compared("x", "<", "y"),
    Compared("x", "==", "x"),
    Orphans(("x",), "other", ("x",)),
    Newest("x"),
    Oldest("x"),
    *(Statistic("x", kind, 0.5) for kind in Kind),
    Histogram("x", (0.0, 1.0)),
    ProfileOf("x"),
    ProfileOf("x", categorical=True),
]
COLUMNS: dict[str, object] = {
    "nothing": pl.Series([None, None, None]),
    "text": pl.Series(["a", "", None]),
    "odd text": pl.Series(["\x00", "🦆é\u0301", "\u202e1"]),
    "categories": pl.Series(["a", "b", None], dtype=pl.Categorical),
    "enum": pl.Series(["a", "b", None], dtype=pl.Enum(["b", "a"])),
    "tiny": pl.Series([1, -1, None], dtype=pl.Int8),
    "huge": pl.Series([2**120, -(2**120), None], dtype=pl.Int128),
    "unsigned": pl.Series([2**64 - 1, 0, None], dtype=pl.UInt64),
    "half": pl.Series([0.1, math.nan, None], dtype=pl.Float16),
    "float": pl.Series([math.inf, math.nan, -0.0]),
    "decimal": pl.Series([Decimal("1e30"), Decimal("0.01"), None], dtype=pl.Decimal(38, 2)),
    "boolean": pl.Series([True, False, None]),
    "binary": pl.Series([b"a", b"\xff", None]),
    "day": pl.Series([date(1, 1, 1), date(9999, 12, 31), None]),
    "instant": pl.Series([datetime(2024, 1, 1), None, None], dtype=pl.Datetime("ns")),
    "far instant": pl.Series([2**62, -(2**62), None]).cast(pl.Datetime("ms")),
    "zoned": pl.Series([datetime(2024, 1, 1)] * 3).dt.replace_time_zone("Asia/Kathmandu"),
    "clock": pl.Series([time(10), time(23, 59, 59, 999_999), None]),
    "span": pl.Series([timedelta(1), timedelta(-1), None]),
    "list": pl.Series([[1, 1], [], None]),
    "nested list": pl.Series([[[1], [1]], [None], None]),
    "array": pl.Series([[1.0, math.nan], [0.0, 0.0], None], dtype=pl.Array(pl.Float64, 2)),
    "struct": pl.Series([{"a": 1, "b": [1]}, {"a": None, "b": None}, None]),
    "empty struct": pl.Series([{}, {}, None], dtype=pl.Struct([])),
    "map": pl.Series([{"a": 1}, {}, None], dtype=pl.Map(pl.String, pl.Int64)),
    "objects": pd.Series([{"a": 1}, [1, "x"], None], dtype=object),
    "mixture": pd.Series([1, "a", uuid.UUID(int=1)], dtype=object),
    "large numbers": pd.Series([2**70, -1, None], dtype=object),
    "complex": pd.Series([1 + 2j, 0, 0]),
    "period": pd.Series(pd.period_range("2024-01", periods=3, freq="M")),
    "interval": pd.Series(pd.interval_range(0, 3)),
    "sparse": pd.Series(pd.arrays.SparseArray([0, 0, 1])),
    "NaT": pd.Series(pd.to_datetime(["2024-01-01", None, "2024-01-02"], utc=True)),
    "nullable": pd.Series([1, None, 3], dtype="Int64"),
    "arrow dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
    "arrow union": pa.UnionArray.from_sparse(pa.array([0, 1, 0], pa.int8()), [pa.array([1, 2, 3]), pa.array(["a", "b", "c"])]),
    "arrow large": pa.array([["a"], None, []], pa.large_list(pa.large_string())),
    "arrow fixed": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "arrow month": pa.array([(1, 2, 3), None, None], pa.month_day_nano_interval()),
    "arrow view": pa.array(["a", None, "b"], pa.string_view()),
}


def frames(column: object) -> list[object]:
    if isinstance(column, pl.Series):
        frame = pl.DataFrame({"x": column, "y": [3, 1, 2]})
        return [frame, frame.lazy(), frame.head(0)]
    if isinstance(column, pd.Series):
        return [pd.DataFrame({"x": column, "y": [3, 1, 2]})]
    return [pa.table({"x": column, "y": [3, 1, 2]})]


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_metric_of_every_column_has_an_answer(kind: str) -> None:
    for data in frames(COLUMNS[kind]):
        related = {"other": lambda data=data: data}
        found = ENGINE.measure(data, METRICS, related)
        assert isinstance(found, Measurement), found
        assert list(found.values) == METRICS
        told = {repr(metric): value for metric, value in found.values.items()}
        for metric, value in found.values.items():
            if isinstance(value, Count):
                assert value.value >= 0, metric
            if isinstance(value, Figure):
                assert value.value is None or isinstance(value.value, int | float)
        nulls = found.values[Nulls("x")]
        present = found.rows - nulls.value if isinstance(nulls, Count) else None
        if present == 0:
            wrong = [m for m in METRICS[1:13] if found.values[m] != Count(0)]
            assert not wrong, told
        elif present is not None:  # no type is of all kinds
            assert any(found.values[m] not in (Count(0), None) for m in METRICS[1:12]), told
        samples = ENGINE.samples(data, METRICS, 2, related)
        assert all(isinstance(sample, Sample) for sample in samples.values())
        for metric, sample in samples.items():
            value = found.values[metric]
            if isinstance(value, Count) and not isinstance(metric, Nested):
                assert len(sample.rows) == min(2, value.value), metric


def test_an_array_that_numpy_holds_reversed_or_in_strides_is_read_as_it_stands() -> None:
    table = np.arange(12.0).reshape(4, 3)
    frame = pd.DataFrame(table[::-1], columns=list("abc"))
    maxima = [Statistic(column, Kind.MAXIMUM) for column in "abc"]
    found = ENGINE.measure(frame, maxima)
    assert isinstance(found, Measurement)
    assert [found.values[metric] for metric in maxima] == [Figure(9.0), Figure(10.0), Figure(11.0)]
    swapped = pd.DataFrame({"a": np.array([1, 2], dtype=">i4"), "b": np.array([1.5, 2.5], dtype=np.float16)})
    found = ENGINE.measure(swapped, [OutOfRange("a", 2), OutOfRange("b", 2)])
    assert isinstance(found, Measurement)
    assert all(not isinstance(value, Count) or value == Count(1) for value in found.values.values())


# --- files -----------------------------------------------------------------------------------------------------------


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scrambled(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])


def replaced(path: Path) -> None:
    pl.DataFrame({"x": ["other"] * 10, "y": [1] * 10}).write_parquet(path)


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("happens", [truncated, scrambled, replaced, gone])
def test_a_file_that_is_no_longer_what_it_was_is_not_judged(happens: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pl.DataFrame({"x": [str(n) for n in range(50_000)], "y": range(50_000)}).write_parquet(path, row_group_size=10_000)
    scan = pl.scan_parquet(path)
    metrics: list[Metric] = [
        RowCount(),
        Nulls("x"),
        NotIn("x", ("other",)),
        OutOfRange("y", 0),
        Duplicates(("x",)),
        TypeBreaches("x", "string"),
    ]
    assert isinstance(ENGINE.measure(scan, metrics), Measurement)
    happens(path)
    found = ENGINE.measure(scan, metrics)
    if isinstance(found, Measurement):  # what can still be read is of one file, and not of what it has become in part
        assert happens is scrambled
        assert any(isinstance(value, Unmeasured) for value in found.values.values())
    assert all(not sample.rows or happens is scrambled for sample in ENGINE.samples(scan, metrics[1:]).values())


def test_data_that_changes_between_two_looks_is_not_judged() -> None:
    looks: list[int] = []

    def shrinking(frame: pl.DataFrame) -> pl.DataFrame:
        looks.append(1)
        return frame.head(10 - len(looks))

    lazy = pl.LazyFrame({"x": [1, 1, 2, 3, 4, 5, 6, 7, 8, 9]}).map_batches(shrinking, schema={"x": pl.Int64})
    found = ENGINE.measure(lazy, [Duplicates(("x",))])  # needs a second look: hashes, then values
    assert isinstance(found, Measurement)
    assert found.values == {Duplicates(("x",)): Unmeasured("the data changed while it was measured")}


def test_what_has_nothing_to_look_at_is_told() -> None:
    found = ENGINE.measure(pl.DataFrame({"x": [1]}), [Nested("x", ("a",), Nulls("x.a")), Orphans(("x",), "other", ("id",)), Newest("x")])
    assert isinstance(found, Measurement)
    assert [type(value) for value in found.values.values()] == [NotApplicable, NotApplicable, Unmeasured]


def test_nothing_at_all() -> None:
    for data in (pl.DataFrame(), pd.DataFrame(), pa.table({})):
        assert ENGINE.measure(data, [RowCount()]) == Measurement(0, (), {RowCount(): Count(0)})
    empty = pl.DataFrame({"x": []}, schema={"x": pl.Float64})
    metrics: list[Metric] = [Nulls("x"), Newest("x"), Histogram("x", (0.0,)), Statistic("x", Kind.MEAN), Duplicates(("x",))]
    found = ENGINE.measure(empty, metrics)
    assert isinstance(found, Measurement)
    assert isinstance(found.values.pop(Newest("x")), Unmeasured | Instant)  # type: ignore[attr-defined]
    assert list(found.values.values()) == [Count(0), Bins((0, 0), 0), Figure(None), Count(0)]
