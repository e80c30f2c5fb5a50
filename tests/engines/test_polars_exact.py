"""Where rounding, spelling or a null would hide what breaks a rule."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import duckdb
import ibis
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.core.metrics import (
    EACH,
    Duplicates,
    Metric,
    Nested,
    NotIn,
    NotMultiple,
    Orphans,
    OutOfRange,
    SizeOutside,
    TimeText,
    TypeBreaches,
)
from dagster_contracts.core.precise import Precise
from dagster_contracts.core.verdict import Count, Measured, Measurement
from dagster_contracts.engines.polars.engine import PolarsEngine
from dagster_contracts.engines.pushdown.engine import IbisEngine
from dagster_contracts.ports import NO_OTHERS, Related

ENGINE = PolarsEngine()


def measured(data: object, *metrics: Metric, related: Related = NO_OTHERS) -> list[Measured]:
    found = ENGINE.measure(data, metrics, related)
    assert isinstance(found, Measurement), found
    return [found.values[metric] for metric in metrics]


def in_duckdb(frame: pl.DataFrame, *metrics: Metric) -> list[Measured]:
    connection = duckdb.connect()
    connection.register("given", frame.to_arrow())
    connection.execute("CREATE TABLE t AS SELECT * FROM given")
    found = IbisEngine().measure(ibis.duckdb.from_connection(connection).table("t"), metrics)
    assert isinstance(found, Measurement), found
    return [found.values[metric] for metric in metrics]


# --- nulls ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [False, True])
def test_an_object_that_is_null_hides_no_other_one_that_is_too_large(lazy: bool) -> None:
    frame = pl.DataFrame({"a": [{"x": 1, "y": 2}, None], "c": [[{"x": 1, "y": 2}, None], [{"x": 1, "y": None}]]})
    size, within = SizeOutside("a", None, 1), Nested("c", (EACH,), SizeOutside("c[]", None, 1))
    assert measured(frame.lazy() if lazy else frame, size, within) == [Count(1), Count(1)]
    valid = pl.DataFrame({"a": [{"x": 1, "y": None}, None, None]})
    assert measured(valid.lazy() if lazy else valid, size, SizeOutside("a", 0, 5), SizeOutside("a", 2)) == [Count(0), Count(0), Count(1)]


# --- bounds --------------------------------------------------------------------------------------------------------


def outside(text: str, metric: OutOfRange) -> bool:
    value = Fraction(Decimal(text.strip()))
    low, high = (None if each is None else Fraction(str(each)) for each in (metric.minimum, metric.maximum))
    below = low is not None and (value < low or (value == low and metric.exclusive_minimum))
    return below or (high is not None and (value > high or (value == high and metric.exclusive_maximum)))


LARGE = [2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 2**127 - 1, 2**127, -(2**127), -(2**127) - 1, 2**128 - 1, 10**38, -(2**63) - 1, 3]
TEXTS = [*map(str, LARGE), "9007199254740992.0", " 9007199254740993 ", "1e20", "+9007199254740993", "1" + "0" * 60, "0.5"]


@settings(max_examples=75, deadline=None)
@given(st.sampled_from(LARGE), st.sampled_from(LARGE), st.booleans(), st.sampled_from(TEXTS), st.booleans())
def test_whole_numbers_in_text_are_compared_exactly(low: int, high: int, exclusive: bool, text: str, lazy: bool) -> None:
    frame = pl.DataFrame({"t": [text, None, "abc"]})
    metrics = [
        OutOfRange("t", minimum=low, exclusive_minimum=exclusive),
        OutOfRange("t", maximum=high, exclusive_maximum=exclusive),
        OutOfRange("t", low, high),
    ]
    found = measured(frame.lazy() if lazy else frame, *metrics)
    assert found == [Count(1 + outside(text, metric)) for metric in metrics]


def test_bounds_beyond_the_type_of_a_column() -> None:
    frame = pl.DataFrame({"i": [1, -1], "u": pl.Series([1, 2**64 - 1], dtype=pl.UInt64)})
    within = OutOfRange("i", 0, 2**128 - 1)
    assert measured(frame, within, OutOfRange("i", 2**128), OutOfRange("u", -5, 2**64 - 2)) == [Count(1), Count(2), Count(1)]
    assert measured(pl.DataFrame({"f": [1.0, -1.0]}), OutOfRange("f", 0, 2**128 - 1)) == [Count(1)]


DECIMALS = [
    (20, 2, ["100000000000000000.01", "100000000000000000.00"], OutOfRange("d", maximum=100000000000000000), 1),
    (30, 19, ["0.3000000000000000001", "0.3"], OutOfRange("d", maximum=0.3), 1),
    (30, 19, ["0.3000000000000000001", "0.3"], OutOfRange("d", minimum=0.3, exclusive_minimum=True), 1),
    (10, 2, ["0.30", "0.31", "-1"], OutOfRange("d", 0.301, 5), 2),
    (10, 2, ["0.30", "0.31", "-1"], OutOfRange("d", -1e300, 1e300), 0),
    (10, 2, ["0.30", "0.31"], OutOfRange("d", 1e300), 2),
    (38, 0, ["9" * 38, "1"], OutOfRange("d", maximum=10**38 - 2), 1),
]


@pytest.mark.parametrize(("precision", "scale", "texts", "metric", "count"), DECIMALS)
def test_decimals_are_compared_exactly(precision: int, scale: int, texts: list[str], metric: OutOfRange, count: int) -> None:
    frame = pl.DataFrame({"d": pl.Series([*map(Decimal, texts), None], dtype=pl.Decimal(precision, scale))})
    assert measured(frame, metric) == [Count(count)]
    assert in_duckdb(frame, metric) == [Count(count)]


def test_a_database_compares_whole_numbers_in_text_exactly() -> None:
    frame = pl.DataFrame({"t": ["9007199254740992", " 9007199254740993", "abc", None, "1.5"]})
    metrics = [OutOfRange("t", minimum=2**53 + 1), OutOfRange("t", maximum=2**53), OutOfRange("t", -(2**127), 2**127 - 1)]
    assert in_duckdb(frame, *metrics) == measured(frame, *metrics) == [Count(3), Count(2), Count(1)]


# --- keys ----------------------------------------------------------------------------------------------------------

SPELLINGS = [
    "1",
    "1.0",
    "01",
    " 1",
    "+1",
    "1e0",
    "1.",
    "0.1e1",
    "0.0",
    "-0.0",
    ".5",
    "0.50",
    "5e-1",
    "a",
    " a",
    "",
    "1e400",
    "inf",
    "1e9999",
]
SPELLINGS += ["100", "1e2", "10", "12345678901234567890.1", "12345678901234567890.10", "12345678901234567890.2", "-01.50", "-1.5", "00"]


def number(text: str) -> object:
    try:
        value = Decimal(text.strip())
    except ArithmeticError:
        return text
    return Fraction(value) if value.is_finite() and abs(value.adjusted()) < 999 else text


@pytest.mark.parametrize("lazy", [False, True])
@settings(max_examples=75, deadline=None)
@given(texts=st.lists(st.none() | st.sampled_from(SPELLINGS), max_size=8))
def test_text_of_numbers_is_unique_as_numbers(lazy: bool, texts: list[str | None]) -> None:
    frame = pl.DataFrame({"k": pl.Series(texts, dtype=pl.String), "n": range(len(texts)), "one": [7] * len(texts)})
    data = frame.lazy() if lazy else frame
    given = [number(text) for text in texts if text is not None]
    wanted = Count(len(given) - len(set(given)))
    single, pair, text = Duplicates(("k",), ("k",)), Duplicates(("one", "k"), ("one", "k")), Duplicates(("k",))
    plain = [text for text in texts if text is not None]
    assert measured(data, single, pair, text) == [wanted, wanted, Count(len(plain) - len(set(plain)))]
    assert measured(data, pair) == [wanted]
    assert len(ENGINE.samples(data, [single], 20)[single].rows) == wanted.value


def test_numbers_as_keys_of_nested_and_typed_values() -> None:
    frame = pl.DataFrame({"a": [["1", "01"], ["2"]], "o": [{"k": "1"}, {"k": "1.0"}], "f": [0.0, -0.0], "c": ["1", "x"]})
    frame = frame.with_columns(pl.Series("c", ["1", "1.0"]).cast(pl.Categorical))
    metrics: list[Metric] = [
        Nested("a", (EACH,), Duplicates(("a[]",), ("a[]",))),
        Nested("o", ("k",), Duplicates(("o.k",), ("o.k",))),
        Duplicates(("f",), ("f",)),
        Duplicates(("c",), ("c",)),
    ]
    assert measured(frame, *metrics) == [Count(1)] * 4
    mixed = pd.DataFrame({"k": pd.Series([1, "1", "1.0", "x"], dtype=object)})
    assert measured(mixed, Duplicates(("k",), ("k",))) == [Count(2)]


def test_a_database_tells_equal_numbers_in_text() -> None:
    frame = pl.DataFrame({"k": ["1", "1.0", "01", " 1", "x", "0.0", "-0.0", "2", None], "one": [7] * 9})
    assert in_duckdb(frame, Duplicates(("k",), ("k",)), Duplicates(("one", "k"), ("k",)), Duplicates(("k",))) == [
        Count(4),
        Count(4),
        Count(0),
    ]


def test_text_of_numbers_refers_to_text_of_numbers() -> None:
    frame = pl.DataFrame({"k": ["1", "02", "3.0", "x", " 4", None]})
    related = {"customers": lambda: pl.DataFrame({"id": ["01", "2", "3", "4.5"]})}
    as_numbers, as_text = Orphans(("k",), "customers", ("id",), ("k",)), Orphans(("k",), "customers", ("id",))
    assert measured(frame, as_numbers, as_text, related=related) == [Count(2), Count(5)]


# --- times ---------------------------------------------------------------------------------------------------------


def test_times_that_clocks_leap_over_are_none() -> None:
    frame = pl.DataFrame({"t": ["2024-03-31T02:30:00", "2024-03-31T03:30:00", "2024-10-27T02:30:00", "2024-03-31T02:30:00Z", "x", None]})
    berlin = TimeText(zone="Europe/Berlin")
    assert measured(frame, TypeBreaches("t", "timestamp", berlin), TypeBreaches("t", "timestamp")) == [Count(2), Count(1)]
    written = TimeText("dd.MM.yyyy HH:mm", "^[0-9]{2}[.][0-9]{2}[.][0-9]{4} [0-9]{2}:[0-9]{2}$", "%d.%m.%Y %H:%M", "Europe/Berlin")
    german = pl.DataFrame({"t": ["31.03.2024 02:30", "31.03.2024 03:30"]})
    assert measured(german, TypeBreaches("t", "timestamp", written)) == [Count(1)]


def test_bounds_of_more_digits_than_a_float_has_are_exact() -> None:
    texts = ["12345678901234567890.11", "12345678901234567890.12", "12345678901234567890.13", "12345678901234568000"]
    least, most = Precise("-12345678901234567890.12"), Precise("12345678901234567890.12")
    numbers = [Decimal(text) for text in texts]
    frame = pl.DataFrame(
        {"t": texts, "d": pl.Series(numbers, dtype=pl.Decimal(38, 2)), "n": pl.Series([-each for each in numbers], dtype=pl.Decimal(38, 2))}
    )
    text, *others = OutOfRange("t", maximum=most), OutOfRange("d", maximum=most), OutOfRange("n", minimum=least), NotIn("d", (most, 1))
    assert measured(frame, text, *others) == [Count(2), Count(2), Count(2), Count(3)]
    assert in_duckdb(frame, *others) == [Count(2), Count(2), Count(3)]
    floats = pl.DataFrame({"f": [0.1, 0.2, 0.3]})
    listed = NotIn("f", (Precise("0.1000000000000000000001"), 0.3)), OutOfRange("f", Precise("0.1000000000000000000001"))
    assert measured(floats, *listed) == in_duckdb(floats, *listed) == [Count(1), Count(0)]
    assert measured(floats, NotMultiple("f", Precise("0.1000000000000000000001"))) == [Count(3)]
