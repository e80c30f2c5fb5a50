"""PolarsEngine against plain Python, on pandas, Polars and Arrow frames of the same data, and on the awkward cases one by one."""

# ruff: noqa: DTZ001 - naive times are among what is measured
from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagster_contracts.core.contract import Scalar
from dagster_contracts.core.metrics import (
    Duplicates,
    LengthOutside,
    Metric,
    Missing,
    Newest,
    NotIn,
    NotMatching,
    Nulls,
    OutOfRange,
    RowCount,
    TimeText,
    TypeBreaches,
)
from dagster_contracts.core.verdict import Count, Instant, Measured, Measurement, Unmeasured
from dagster_contracts.engines.polars.engine import PolarsEngine

ENGINE = PolarsEngine()
LOGICAL = ("string", "date", "timestamp", "time", "number", "integer", "boolean")


def measured(data: object, *metrics: Metric) -> list[object]:
    """The plain value of each metric; Unmeasured as it is; None where the metric has no entry."""
    found = ENGINE.measure(data, metrics)
    assert isinstance(found, Measurement), found
    return [_plain(found.values.get(metric)) for metric in metrics]


def _plain(value: Measured | None) -> object:
    return value.value if isinstance(value, Count | Instant) else value


# --- the oracle: one value at a time, in plain Python ----------------------------------------------------------------

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
CLOCK = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(?:[.,]\d{1,9})?)?(?:[Zz]|[+-](\d\d)(?::?(\d\d))?)?", re.ASCII)


def null(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def as_number(value: object) -> float | int | Decimal | None:
    if isinstance(value, str):
        text = value.strip()
        found = float(text) if NUMBER.fullmatch(text) else None
        return found if found is not None and math.isfinite(found) else None
    return value if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None


def iso_date(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII)) and text >= "0001" and date.fromisoformat(text) is not None
    except ValueError:
        return False


def clock(text: str) -> bool:
    found = CLOCK.fullmatch(text)
    limits = (23, 59, 59, 23, 59)
    return found is not None and all(part is None or int(part) <= limit for part, limit in zip(found.groups(), limits, strict=True))


def of_type(value: object, logical: str) -> bool:
    number = as_number(value)
    match logical:
        case "string":
            return isinstance(value, str)
        case "number":
            return number is not None
        case "integer":
            return number is not None and math.isfinite(number) and number == int(number)
        case "boolean":
            return isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in ("true", "false"))
        case "date":
            if isinstance(value, str):
                day, rest = value[:10], value[10:]
                midnight = rest[:1] in ("T", " ") and rest[1:6] == "00:00" and clock(rest[1:]) and not _seconds(rest[1:])
                return iso_date(day) and (not rest or midnight)
            return value == datetime.combine(value, time()) if isinstance(value, datetime) else isinstance(value, date)
        case "timestamp":
            if isinstance(value, str):
                return iso_date(value[:10]) and (not value[10:] or (value[10] in "T " and clock(value[11:])))
            return isinstance(value, date)
        case "time":
            return clock(value) if isinstance(value, str) else isinstance(value, time)
    raise AssertionError(logical)


def _seconds(text: str) -> bool:
    """Whether the clock text has anything but zeros after the minutes."""
    found = re.match(r"\d\d:\d\d(?::(\d\d)(?:[.,](\d+))?)?", text)
    return found is not None and any(part and part.strip("0") for part in found.groups())


def member(value: object, allowed: Sequence[object]) -> bool:
    numbers = [a for a in allowed if isinstance(a, int | float) and not isinstance(a, bool)]
    texts = [a for a in allowed if isinstance(a, str)]
    if isinstance(value, bool):
        return any(value is a for a in allowed) or any(t.lower() == str(value).lower() for t in texts)
    number = as_number(value)
    if number is not None and any(number == n for n in numbers):
        return True
    if isinstance(value, str):
        return value in texts or any(str(a).lower() == value.lower() for a in allowed if isinstance(a, bool))
    return any(spelled(value) == t or (isinstance(value, float) and value.is_integer() and str(int(value)) == t) for t in texts)


def spelled(value: object) -> str:
    return str(value)


def in_range(value: object, low: float | str | None, high: float | str | None, strict: bool) -> bool:
    assert not isinstance(low, str)
    assert not isinstance(high, str)
    number = as_number(value)
    if number is None:
        return False
    above = low is None or (number > low if strict else number >= low)
    return above and (high is None or (number < high if strict else number <= high))


def expected(rows: list[dict[str, object]], metric: Metric) -> int:
    if isinstance(metric, RowCount):
        return len(rows)
    if isinstance(metric, Duplicates):
        keys = [tuple(row[c] for c in metric.columns) for row in rows]
        full = [key for key in keys if not any(map(null, key))]
        return len(full) - len(set(full))
    column = metric.columns[0]
    values = [row[column] for row in rows]
    present = [value for value in values if not null(value)]
    match metric:
        case Nulls():
            return len(values) - len(present)
        case Missing(_, listed):
            return sum(member(v, listed) for v in present) + (len(values) - len(present) if None in listed else 0)
        case TypeBreaches(_, logical):
            return sum(not of_type(v, logical) for v in present)
        case NotIn(_, listed):
            return sum(not member(v, listed) for v in present)
        case NotMatching(_, pattern):
            return sum(re.search(pattern, str(v)) is None for v in present)
        case LengthOutside(_, low, high):
            return sum(not (low or 0) <= len(str(v)) <= (high if high is not None else math.inf) for v in present)
        case OutOfRange(_, low, high, strict, _):
            return sum(not in_range(v, low, high, strict) for v in present)
    raise AssertionError(metric)


# --- the same data as every kind of frame ----------------------------------------------------------------------------

digits = st.text("0123456789.+-eE _", max_size=8)
iso_text = st.builds(
    "{:04d}-{:02d}-{:02d}{}".format,
    st.integers(1970, 2030),
    st.integers(0, 13),
    st.integers(0, 32),
    st.sampled_from(
        ["", "T00:00", " 00:00:00", "T00:00:00.000Z", "T10:20:30", " 10:20:30.5+02:00", "T24:00:00", "T1:00", "T10:20:30,25z", " "]
    ),
)
words = st.sampled_from(
    ["", "A", "true", "FALSE", " 12 ", "nan", "inf", "1e5", "1e999", "10:20", "10:20:30.123Z", "25:00", "é", "Ａ", "\n", "-0.0"]
)
texts = st.one_of(words, digits, iso_text, st.text(max_size=5).filter(lambda t: "\x00" not in t))
floats = st.floats(allow_nan=True, width=64)
KINDS: dict[str, tuple[st.SearchStrategy[object], pl.DataType]] = {
    "text": (texts, pl.String()),
    "int": (st.integers(-(2**53) + 1, 2**53 - 1), pl.Int64()),
    "float": (floats, pl.Float64()),
    "bool": (st.booleans(), pl.Boolean()),
    "date": (st.dates(date(1970, 1, 1), date(2100, 1, 1)), pl.Date()),
    "instant": (
        st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)) | st.just(datetime(2024, 2, 29)),
        pl.Datetime("us"),
    ),
}
LISTED: tuple[Scalar, ...] = (1, 2.5, -0.0, "A", "1", "01", "true", 7, "1.0", "é", 100000)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[dict[str, object]], pl.Schema]:
    kinds = {name: draw(st.sampled_from(sorted(KINDS))) for name in ("a", "b")}
    size = draw(st.integers(0, 8))
    rows = [{name: draw(st.none() | KINDS[kind][0]) for name, kind in kinds.items()} for _ in range(size)]
    return rows, pl.Schema({name: KINDS[kind][1] for name, kind in kinds.items()})


def as_polars(rows: list[dict[str, object]], schema: pl.Schema) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")


def as_pandas(rows: list[dict[str, object]], schema: pl.Schema) -> pd.DataFrame:
    return pd.DataFrame({name: [row[name] for row in rows] for name in schema}, index=[f"row {n}" for n in range(len(rows))])


def as_objects(rows: list[dict[str, object]], schema: pl.Schema) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in schema})


FRAMES: dict[str, Callable[[list[dict[str, object]], pl.Schema], object]] = {
    "polars": as_polars,
    "lazy": lambda rows, schema: as_polars(rows, schema).lazy(),
    "arrow": lambda rows, schema: as_polars(rows, schema).to_arrow(),
    "reader": lambda rows, schema: pa.RecordBatchReader.from_batches(
        as_polars(rows, schema).to_arrow().schema, as_polars(rows, schema).to_arrow().to_batches()
    ),
    "pandas": as_pandas,
    "pandas objects": as_objects,
    "pandas nullable": lambda rows, schema: as_objects(rows, schema).convert_dtypes(),
    "pandas arrow": lambda rows, schema: as_polars(rows, schema).to_pandas(use_pyarrow_extension_array=True),
}


def metrics_for(schema: pl.Schema) -> list[Metric]:
    found: list[Metric] = [RowCount(), Duplicates(("a",)), Duplicates(("a", "b"))]
    for name, dtype in schema.items():
        found += [TypeBreaches(name, logical) for logical in LOGICAL]
        found += [Nulls(name), NotIn(name, LISTED), NotIn(name, ("A",)), Missing(name, (None, *LISTED)), Missing(name, ("",))]
        if not dtype.is_temporal():
            found += [OutOfRange(name, -1.5, 12), OutOfRange(name, 0, None, exclusive_minimum=True), OutOfRange(name, None, 1e6)]
        if dtype == pl.String:
            found += [NotMatching(name, "^[0-9A]"), LengthOutside(name, 1, 3), LengthOutside(name, None, 4)]
    return found


@pytest.mark.parametrize("kind", FRAMES)
@settings(max_examples=75, deadline=None)
@given(table=tables())
def test_agrees_with_plain_python(kind: str, table: tuple[list[dict[str, object]], pl.Schema]) -> None:
    rows, schema = table
    if kind.startswith("pandas") and any(all(null(row[name]) for row in rows) for name in schema):
        return  # pandas cannot tell the type of an empty or null column; test_frames_without_rows_or_columns has those
    metrics = metrics_for(schema)
    found = ENGINE.measure(FRAMES[kind](rows, schema), metrics)
    assert isinstance(found, Measurement)
    assert found.rows == len(rows)
    assert [column.name for column in found.columns] == ["a", "b"]
    judged = [m for m in metrics if kind != "pandas" or not _float_or_bool_by_pandas(rows, m)]
    told = {repr(metric): _plain(found.values[metric]) for metric in judged}
    assert told == {repr(metric): expected(rows, metric) for metric in judged}


def _float_or_bool_by_pandas(rows: list[dict[str, object]], metric: Metric) -> bool:
    """Text is compared with "1" and "1.0", and pandas has made 1.0 of 1 where a null is near: its own loss, tested apart."""
    return isinstance(metric, NotIn | Missing) and any(isinstance(row[c], int) for row in rows for c in metric.columns)


@pytest.mark.parametrize("kind", FRAMES)
@settings(max_examples=25, deadline=None)
@given(table=tables())
def test_samples_show_the_rows_that_are_counted(kind: str, table: tuple[list[dict[str, object]], pl.Schema]) -> None:
    rows, schema = table
    make = FRAMES[kind]
    metrics = [metric for metric in metrics_for(schema) if not isinstance(metric, RowCount)]
    found = ENGINE.measure(make(rows, schema), metrics)
    assert isinstance(found, Measurement)
    samples = ENGINE.samples(make(rows, schema), metrics, limit=5)
    for metric in metrics:
        count = _plain(found.values[metric])
        assert isinstance(count, int)
        assert len(samples[metric].rows) == min(count, 5), metric
        assert sum(times for _, times in samples[metric].values) <= count
        assert (len(samples[metric].values) == 0) == (count == 0)
        assert all(set(row) == {"a", "b"} for row in samples[metric].rows)


# --- types -----------------------------------------------------------------------------------------------------------


def test_a_column_of_another_type_breaks_with_every_value() -> None:
    frame = pd.DataFrame({"risk": [37, 12, 88]})
    assert measured(frame, TypeBreaches("risk", "string"), NotIn("risk", ("HIGH_RISK", "LOW_RISK"))) == [3, 3]


def test_integers_that_pandas_made_floats_are_integers() -> None:
    frame = pd.DataFrame({"n": [1, None, 3]})
    assert frame["n"].dtype == "float64"
    assert measured(frame, TypeBreaches("n", "integer"), NotIn("n", (1, 3)), NotIn("n", ("1", "3")), Nulls("n")) == [0, 0, 0, 1]


def test_numbers_are_no_booleans_and_booleans_no_numbers() -> None:
    frame = pl.DataFrame({"n": [0, 1], "b": [True, False]})
    assert measured(frame, TypeBreaches("n", "boolean"), TypeBreaches("b", "integer"), TypeBreaches("b", "number")) == [2, 2, 2]
    assert measured(frame, NotIn("n", (True, False)), NotIn("b", (0, 1)), NotIn("b", (True, False)), NotIn("b", ("True", "false"))) == [
        2,
        2,
        0,
        0,
    ]


def test_infinity_is_a_number_but_no_integer() -> None:
    frame = pl.DataFrame({"x": [1.0, math.inf, -math.inf, math.nan]})
    assert measured(frame, TypeBreaches("x", "number"), TypeBreaches("x", "integer"), OutOfRange("x", 0, None)) == [0, 2, 1]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("2024-02-29", {"string", "date", "timestamp"}),
        ("2023-02-29", {"string"}),
        ("1900-02-29", {"string"}),
        ("2000-02-29", {"string", "date", "timestamp"}),
        ("2024-04-31", {"string"}),
        ("２０２４-01-01", {"string"}),
        ("2024-02-29T00:00:00Z", {"string", "date", "timestamp"}),
        ("2024-02-29 13:45:10.123456+05:30", {"string", "timestamp"}),
        ("2024-02-29T13:45", {"string", "timestamp"}),
        ("29/02/2024", {"string"}),
        ("1708992000", {"string", "number", "integer"}),
        ("1.0", {"string", "number", "integer"}),
        (" 12 ", {"string", "number", "integer"}),
        ("1e5", {"string", "number", "integer"}),
        ("12.5", {"string", "number"}),
        ("1,000", {"string"}),
        ("NaN", {"string"}),
        ("TRUE", {"string", "boolean"}),
        ("1", {"string", "number", "integer"}),
        ("23:59:59", {"string", "time"}),
        ("24:00", {"string"}),
        ("", {"string"}),
    ],
)
def test_text_is_read_value_by_value(text: str, kinds: set[str]) -> None:
    counts = measured(pl.DataFrame({"x": [text, None]}), *(TypeBreaches("x", kind) for kind in LOGICAL))
    assert {kind for kind, breaches in zip(LOGICAL, counts, strict=True) if breaches == 0} == kinds


def test_timestamps_at_midnight_are_dates_in_their_own_zone() -> None:
    rome = pl.Series([datetime(2024, 3, 31), datetime(2024, 3, 31, 12)]).dt.replace_time_zone("Europe/Rome")
    frame = pl.DataFrame({"naive": [datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 0, 1)], "rome": rome})
    assert measured(frame, TypeBreaches("naive", "date"), TypeBreaches("rome", "date"), TypeBreaches("rome", "timestamp")) == [1, 1, 0]


def test_text_of_another_format_is_not_judged_but_other_types_are() -> None:
    metric = TypeBreaches("day", "date", TimeText("dd/MM/yyyy"))
    assert measured(pl.DataFrame({"day": ["29/02/2024", "?"]}), metric) == [0]
    assert measured(pl.DataFrame({"day": [20240229]}), metric) == [1]


# --- values and bounds -----------------------------------------------------------------------------------------------


def test_integers_beyond_the_precision_of_floats_stay_exact() -> None:
    big = 2**53 + 1
    for values in ([big], [str(big)]):
        frame = pl.DataFrame({"n": values})
        assert measured(frame, NotIn("n", (big,)), NotIn("n", (big - 1,)), NotIn("n", (big + 1, 7))) == [0, 1, 1]
    unsigned = pl.DataFrame({"n": pl.Series([2**64 - 1, 0], dtype=pl.UInt64)})
    assert measured(unsigned, OutOfRange("n", 1, 2**64 - 2), OutOfRange("n", -5, 2**70), NotIn("n", (2**64 - 1, -1))) == [2, 0, 1]
    small = pl.DataFrame({"n": pl.Series([1, 100], dtype=pl.Int8)})
    assert measured(small, OutOfRange("n", None, 40_000), OutOfRange("n", 1.5, 100.5), NotIn("n", (1, 300))) == [0, 1, 1]


def test_text_in_the_contract_is_the_text_form_of_a_number() -> None:
    frame = pl.DataFrame({"n": [1, 2], "x": [1.5, 2.0]})
    assert measured(frame, NotIn("n", ("1", "2")), NotIn("n", ("01", "2.0x"))) == [0, 2]
    assert measured(frame, NotIn("x", ("1.5", "2")), NotIn("x", ("1.50", "2.0"))) == [0, 1]


def test_decimals_compare_exactly() -> None:
    frame = pl.DataFrame({"d": [Decimal("0.10"), Decimal("0.30"), None]})
    assert measured(frame, NotIn("d", (0.1, 0.3)), NotIn("d", (0.1, 0.301)), OutOfRange("d", 0.1, 0.2), TypeBreaches("d", "integer")) == [
        0,
        1,
        1,
        2,
    ]


def test_single_precision_floats_meet_the_value_that_was_written() -> None:
    frame = pl.DataFrame({"x": pl.Series([0.1, 0.7], dtype=pl.Float32)})
    assert measured(frame, NotIn("x", (0.1, 0.7)), OutOfRange("x", 0.1, 0.7)) == [0, 0]
    half = pl.DataFrame({"x": pl.Series([1.0, 2.5], dtype=pl.Float16)})
    for data in (half, half.lazy(), half.to_arrow()):
        assert measured(data, TypeBreaches("x", "integer"), TypeBreaches("x", "number"), NotIn("x", (1, 2.5))) == [1, 0, 0]


def test_dates_compare_with_iso_text_in_utc() -> None:
    zone = timezone(timedelta(hours=2))
    instants = [datetime(2024, 1, 1, 1, tzinfo=zone), datetime(2024, 1, 2, tzinfo=zone)]
    typed = pl.DataFrame({"t": pl.Series(instants)})
    text = pl.DataFrame({"t": [instant.isoformat() for instant in instants]})
    for frame in (typed, text):
        assert measured(
            frame, OutOfRange("t", "2024-01-01", None), OutOfRange("t", None, "2024-01-01T22:00:00Z", exclusive_maximum=True)
        ) == [1, 1]
    days = pl.DataFrame({"t": [date(2024, 1, 1), date(2024, 1, 2)]})
    assert measured(days, NotIn("t", ("2024-01-01",)), OutOfRange("t", "2024-01-02", None), OutOfRange("t", 0, None)) == [1, 1, 2]
    assert measured(pl.DataFrame({"t": [1, 2]}), OutOfRange("t", "2024-01-02", None)) == [2]


def test_categories_are_their_text() -> None:
    values = ["A", "B", None, "A"]
    frames = [
        pd.DataFrame({"c": pd.Categorical(values, categories=["A", "B", "unused"])}),
        pl.DataFrame({"c": pl.Series(values, dtype=pl.Categorical)}),
        pl.DataFrame({"c": pl.Series(values, dtype=pl.Enum(["A", "B"]))}),
    ]
    for frame in frames:
        metrics = (
            TypeBreaches("c", "string"),
            NotIn("c", ("A",)),
            Nulls("c"),
            Duplicates(("c",)),
            NotMatching("c", "^A$"),
            LengthOutside("c", 2),
        )
        assert measured(frame, *metrics) == [0, 1, 1, 1, 1, 3]
    numbers = pd.DataFrame({"c": pd.Categorical([1, 2, 1])})
    assert measured(numbers, TypeBreaches("c", "integer"), NotIn("c", (1,))) == [0, 1]


def test_negative_zero_is_zero() -> None:
    frame = pl.DataFrame({"x": [0.0, -0.0]})
    assert measured(frame, NotIn("x", (0,)), Duplicates(("x",)), OutOfRange("x", 0, None)) == [0, 1, 0]


def test_uniqueness_leaves_nulls_and_nan_out() -> None:
    frame = pl.DataFrame({"x": [1.0, 1.0, math.nan, math.nan, None, None], "y": ["a", "a", "b", "b", None, "c"]})
    assert measured(frame, Duplicates(("x",)), Duplicates(("y",)), Duplicates(("x", "y"))) == [1, 2, 1]


# --- the newest instant ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "newest"),
    [
        ([date(2024, 1, 1), date(2024, 1, 2), None], datetime(2024, 1, 2, tzinfo=UTC)),
        ([datetime(2024, 1, 1), datetime(2024, 1, 1, 5, 6, 7, 8)], datetime(2024, 1, 1, 5, 6, 7, 8, tzinfo=UTC)),
        ([datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=3)))], datetime(2023, 12, 31, 22, tzinfo=UTC)),
        (
            ["2024-01-01", "2024-01-01T00:00:00.25Z", "2024-01-01 02:00:00+02:00", "nonsense"],
            datetime(2024, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC),
        ),
        (["2024-01-01T23:30-01:00", "2024-01-01T23:45"], datetime(2024, 1, 2, 0, 30, tzinfo=UTC)),
        (["2024-01-01T23:30-01", "2024-01-01T23:45z"], datetime(2024, 1, 2, 0, 30, tzinfo=UTC)),
        (["nonsense", None], None),
        ([None, None], None),
    ],
)
def test_newest(values: list[object], newest: datetime | None) -> None:
    assert measured(pl.DataFrame({"t": values}), Newest("t")) == [newest]
    assert measured(pd.DataFrame({"t": pd.Series(values, dtype=object)}), Newest("t")) == [newest]


def test_newest_of_numbers_is_not_measured() -> None:
    (found,) = measured(pl.DataFrame({"t": [1_700_000_000]}), Newest("t"))
    assert isinstance(found, Unmeasured)
    assert "Int64" in found.reason


# --- frames ----------------------------------------------------------------------------------------------------------


def test_mixed_object_columns_are_judged_as_text() -> None:
    frame = pd.DataFrame({"n": pd.Series([1, "2", "x", None, 3.5, True, float("nan")], dtype=object)})
    assert measured(frame, TypeBreaches("n", "integer"), TypeBreaches("n", "string"), Nulls("n"), NotIn("n", (1, 2, 3.5))) == [3, 3, 2, 2]
    assert [row["n"] for row in ENGINE.samples(frame, [TypeBreaches("n", "string")])[TypeBreaches("n", "string")].rows] == [1, 3.5, True]


@pytest.mark.parametrize(
    ("values", "logical", "breaches"),
    [
        ([date(2024, 1, 1), datetime(2024, 1, 1, 3)], "date", 1),
        ([datetime(2024, 1, 1, 3), date(2024, 1, 1)], "timestamp", 0),
        ([2**70, 1], "integer", 0),
        ([b"a", "b"], "string", 1),
        ([Decimal("1.5"), Decimal(2)], "integer", 1),
        ([Decimal("1.5"), 2], "number", 0),
        ([True, None, False], "boolean", 0),
        ([{"a": 1}, {"a": 2}], "string", 2),
        ([complex(1, 2)], "number", 1),
    ],
)
def test_objects_of_every_kind(values: list[object], logical: str, breaches: int) -> None:
    assert measured(pd.DataFrame({"x": pd.Series(values, dtype=object)}), TypeBreaches("x", logical)) == [breaches]


@pytest.mark.parametrize("values", [[[1], [2]], [{"a": 1}, {"a": 2}], [b"x", b"y"], [timedelta(1), timedelta(2)]])
def test_values_that_are_no_scalars_meet_no_rule_of_scalars(values: list[object]) -> None:
    metrics = (NotIn("x", (1, "x")), OutOfRange("x", 0), OutOfRange("x", "2020-01-01"), LengthOutside("x", 0), NotMatching("x", "x"))
    assert measured(pl.DataFrame({"x": values}), *metrics) == [2] * 5
    assert measured(pl.DataFrame({"x": values}), Nulls("x"), Duplicates(("x",)), *(TypeBreaches("x", kind) for kind in LOGICAL)) == [
        0,
        0,
        *[2] * 7,
    ]


@pytest.mark.parametrize(
    ("column", "fitting"),
    [
        (pd.Series(["2020-01-01", None], dtype="datetime64[s]"), {"date", "timestamp"}),
        (pd.Series(["2020-01-01T12", None], dtype="datetime64[ns, Europe/Rome]"), {"timestamp"}),
        (pd.Series([1, 2.5], dtype="float16"), {"number"}),
        (pd.Series([1, 2.5], dtype="longdouble"), {"number"}),
        (pd.Series(np.array([1, 2], dtype=">i4")), {"number", "integer"}),
        (pd.Series([1, 0], dtype="Sparse[int]"), {"number", "integer"}),
        (pd.Series([1, None], dtype="UInt8"), {"number", "integer"}),
        (pd.Series([True, None], dtype="boolean"), {"boolean"}),
        (pd.Series(["a", None], dtype="string[python]"), {"string"}),
        (pd.Series(pd.to_timedelta([1, 2], unit="s")).astype("timedelta64[s]"), set()),
        (pd.Series(pd.period_range("2020", periods=2, freq="Y")), {"number", "integer"}),
        (pd.Series(pd.Categorical([1, "1", None])), {"number", "integer"}),
    ],
)
def test_every_pandas_type_is_read(column: pd.Series, fitting: set[str]) -> None:
    counts = measured(pd.DataFrame({"x": column}), *(TypeBreaches("x", kind) for kind in LOGICAL), Nulls("x"))
    assert {kind for kind, breaches in zip(LOGICAL, counts, strict=False) if breaches == 0} == fitting
    assert counts[-1] == column.isna().sum()


def test_names_that_polars_reads_as_patterns_are_names() -> None:
    frame = pl.DataFrame({"*": [1, None], "^a.*$": ["x", "x"], "ab": [None, None], "a b": [1.0, math.nan]})
    metrics: list[Metric] = [Nulls("*"), Nulls("^a.*$"), Duplicates(("^a.*$",)), Duplicates(("*", "^a.*$")), Nulls("a b"), NotIn("*", (2,))]
    assert measured(frame, *metrics) == [1, 0, 1, 0, 1, 1]
    assert [row["*"] for row in ENGINE.samples(frame, metrics)[Nulls("*")].rows] == [None]
    assert len(ENGINE.samples(frame, metrics)) == len(metrics)


def test_the_callers_frame_is_not_changed() -> None:
    frame = pd.DataFrame({"a": [1.0, None, 3.0], "b": pd.Series([1, "x", None], dtype=object), 3: ["x", "y", None]}, index=[7, 7, 9])
    before = frame.copy(deep=True)
    metrics: list[Metric] = [TypeBreaches("a", "integer"), NotIn("b", ("x",)), Nulls("3")]
    ENGINE.measure(frame, metrics)
    ENGINE.samples(frame, metrics)
    pd.testing.assert_frame_equal(frame, before)


def test_column_names_of_any_type_are_text() -> None:
    frame = pd.DataFrame([[1, None]], columns=[0, ("x", "y")])
    assert measured(frame, Nulls("0"), Nulls("('x', 'y')")) == [0, 1]


def test_a_repeated_column_is_reported_and_not_measured() -> None:
    doubled = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"])
    for frame in (doubled, pa.table([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "a", "b"])):
        found = ENGINE.measure(frame, [Nulls("a"), Nulls("b"), Nulls("absent")])
        assert isinstance(found, Measurement)
        assert [column.name for column in found.columns] == ["a", "a", "b"]
        assert found.values == {Nulls("b"): Count(0)}


def test_frames_without_rows_or_columns() -> None:
    for frame in (pd.DataFrame(), pl.DataFrame(), pa.table({})):
        assert ENGINE.measure(frame, [RowCount(), Nulls("a")]) == Measurement(0, (), {RowCount(): Count(0)})
    assert measured(pd.DataFrame(index=range(3)), RowCount()) == [3]
    empty = pl.DataFrame(schema={"a": pl.String, "t": pl.Datetime})
    assert measured(empty, Nulls("a"), TypeBreaches("a", "number"), Duplicates(("a",)), Newest("t")) == [0, 0, 0, None]


@pytest.mark.parametrize("data", [{"a": [1]}, [1, 2], None, "text", np.zeros(3), pd.Series([1])])
def test_what_is_no_frame_is_unmeasured(data: object) -> None:
    found = ENGINE.measure(data, [RowCount()])
    assert isinstance(found, Unmeasured)
    assert type(data).__qualname__ in found.reason
    assert "pandas DataFrame" in found.reason
    assert ENGINE.samples(data, [Nulls("a")]) == {}


def test_one_metric_that_fails_takes_no_other_with_it() -> None:
    frame = pl.DataFrame({"a": ["x", None], "n": [1, 2]})
    broken, nested = NotMatching("a", "(?=look-around)"), TypeBreaches("n", "tensor")
    values = measured(frame, Nulls("a"), broken, nested, NotIn("a", ("x",)))
    assert values[0] == 1
    assert values[3] == 0
    assert isinstance(values[1], Unmeasured)
    assert "look-around" in values[1].detail
    assert isinstance(values[2], Unmeasured)
    assert broken not in ENGINE.samples(frame, [broken])


def test_a_scan_that_cannot_be_read_is_unmeasured(tmp_path: object) -> None:
    found = ENGINE.measure(pl.scan_parquet(f"{tmp_path}/absent.parquet"), [RowCount()])
    assert isinstance(found, Unmeasured)
    assert "absent.parquet" in found.detail

    def explode(frame: pl.DataFrame) -> pl.DataFrame:
        raise RuntimeError("the source went away")

    lazy = pl.LazyFrame({"a": [1]}).map_batches(explode, schema={"a": pl.Int64})
    late = ENGINE.measure(lazy, [Nulls("a")])
    assert isinstance(late, Unmeasured)
    assert "went away" in late.detail


@settings(max_examples=100, deadline=None)
@given(text=texts)
@example(text="+.5e-3")
@example(text="infinity")
@example(text="1.e5")
@example(text="0x10")
@example(text="１２")
def test_text_is_a_number_exactly_when_it_is_spelled_like_one(text: str) -> None:
    assert measured(pl.DataFrame({"x": [text]}), TypeBreaches("x", "number")) == [0 if as_number(text) is not None else 1]
