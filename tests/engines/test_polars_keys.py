"""Uniqueness, relationships, and two columns of one row, against plain Python."""

# ruff: noqa: DTZ001 - naive times are among what is measured
from __future__ import annotations

import math
import operator
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.core.metrics import Compared, Duplicates, Metric, Orphans, TimeText
from dagster_contracts.core.time_text import read_format
from dagster_contracts.core.verdict import Count, Measured, Measurement, NotApplicable, Unmeasured
from dagster_contracts.engines.polars import expressions, keys
from dagster_contracts.engines.polars.engine import PolarsEngine
from dagster_contracts.ports import NO_OTHERS, Related

ENGINE = PolarsEngine()


def measured(data: object, *metrics: Metric, related: Related = NO_OTHERS) -> list[Measured]:
    found = ENGINE.measure(data, metrics, related)
    assert isinstance(found, Measurement), found
    return [found.values[metric] for metric in metrics]


# --- uniqueness ------------------------------------------------------------------------------------------------------

COLUMNS: dict[str, tuple[st.SearchStrategy[object], pl.DataType]] = {
    "text": (
        st.sampled_from(["a", "b", "", "é", "a longer text than fits into a view", "a longer text than fits into a vieW"]),
        pl.String(),
    ),
    "integer": (st.sampled_from([0, 1, -1, 2**62]), pl.Int64()),
    "float": (st.sampled_from([0.0, -0.0, math.nan, 1.5, math.inf]), pl.Float64()),
    "boolean": (st.booleans(), pl.Boolean()),
    "instant": (st.sampled_from([datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 0, 1)]), pl.Datetime("us")),
    "list": (st.lists(st.integers(0, 1), max_size=2), pl.List(pl.Int64())),
    "nothing": (st.none(), pl.Null()),
}
KEYS = [Duplicates(("a",)), Duplicates(("b",)), Duplicates(("a", "b")), Duplicates(("b", "a"))]


@st.composite
def keyed(draw: st.DrawFn) -> pl.DataFrame:
    kinds = [COLUMNS[draw(st.sampled_from(sorted(COLUMNS)))] for _ in range(2)]
    size = draw(st.integers(0, 8))
    return pl.DataFrame(
        {
            name: pl.Series([draw(st.none() | values) for _ in range(size)], dtype=kind)
            for name, (values, kind) in zip("ab", kinds, strict=True)
        }
    )


def repeated(frame: pl.DataFrame, columns: tuple[str, ...]) -> list[int]:
    """Rows beyond the first of their key."""
    seen, found = set(), []
    for row, key in enumerate(frame.select(columns).rows()):
        if any(part is None or part != part for part in key):
            continue
        form = repr(tuple(part + 0.0 if isinstance(part, float) else part for part in key))
        if form in seen:
            found.append(row)
        seen.add(form)
    return found


@pytest.mark.parametrize("asked", [KEYS, KEYS[2:], KEYS[:1]])
@pytest.mark.parametrize("lazy", [False, True])
@settings(max_examples=100, deadline=None)
@given(frame=keyed())
def test_duplicates_are_counted_and_shown(asked: list[Duplicates], lazy: bool, frame: pl.DataFrame) -> None:
    data = frame.with_row_index("n")
    source = data.lazy() if lazy else data
    assert measured(source, *asked) == [Count(len(repeated(frame, metric.columns))) for metric in asked]
    samples = ENGINE.samples(source, asked, limit=3)
    for metric in asked:
        assert [row["n"] for row in samples[metric].rows] == repeated(frame, metric.columns)[:3]


@pytest.mark.parametrize("lazy", [False, True])
@settings(max_examples=40, deadline=None)
@given(
    again=st.lists(st.tuples(st.integers(0, 99), st.booleans()), max_size=6),
    nulls=st.lists(st.integers(0, 105), max_size=3),
)
def test_few_repeated_rows_among_many(lazy: bool, again: list[tuple[int, bool]], nulls: list[int]) -> None:
    numbers = [*range(100), *(number for number, _ in again)]
    texts = [*(f"text {number}" for number in range(100)), *(f"text {number}" if whole else "other" for number, whole in again)]
    kept = [None if row in nulls else text for row, text in enumerate(texts)]
    frame = pl.DataFrame({"a": numbers, "b": kept}, schema={"a": pl.Int64, "b": pl.String})
    wanted = [Count(len(repeated(frame, metric.columns))) for metric in KEYS]
    assert measured(frame.lazy() if lazy else frame, *KEYS) == wanted


@settings(max_examples=50, deadline=None)
@given(frame=keyed())
def test_equal_hashes_are_no_equal_values(frame: pl.DataFrame) -> None:
    expressions._questions.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "_hash", lambda values: values[0].found.is_null().cast(pl.UInt64))
        patch.setattr(keys, "_hash_of_one", lambda values: values.plain.drop_nulls().is_null().cast(pl.UInt64))
        assert measured(frame, *KEYS) == [Count(len(repeated(frame, metric.columns))) for metric in KEYS]
    expressions._questions.cache_clear()


@pytest.mark.parametrize("metrics", [KEYS, KEYS[2:]])
def test_rows_with_a_null_in_the_key_are_left_out(metrics: list[Duplicates]) -> None:
    frame = pl.DataFrame({"a": [*range(100), 1, 1, 2], "b": [*map(str, range(100)), None, None, "2"]})
    assert measured(frame, *metrics) == [Count(len(repeated(frame, metric.columns))) for metric in metrics]


# --- relationships ---------------------------------------------------------------------------------------------------

ORPHANS = Orphans(("k",), "customers", ("id",))


@settings(max_examples=100, deadline=None)
@given(
    left=st.lists(st.tuples(st.none() | st.integers(0, 4), st.none() | st.sampled_from("xy")), max_size=8),
    right=st.lists(st.tuples(st.none() | st.integers(0, 4), st.none() | st.sampled_from("xy")), max_size=4),
    lazy=st.booleans(),
)
def test_orphans_of_composite_keys(
    left: list[tuple[int | None, str | None]], right: list[tuple[int | None, str | None]], lazy: bool
) -> None:
    schema = {"a": pl.Int64, "b": pl.String}
    frame = pl.DataFrame(left, schema=schema, orient="row").with_row_index("n")
    others = pl.DataFrame(right, schema=schema, orient="row").rename({"a": "id", "b": "code"})
    metric = Orphans(("b", "a"), "customers", ("code", "id"))
    related = {"customers": lambda: others.lazy() if lazy else others}
    lost = [n for n, (a, b) in enumerate(left) if None not in (a, b) and (a, b) not in right]
    data = frame.lazy() if lazy else frame
    assert measured(data, metric, related=related) == [Count(len(lost))]
    assert [row["n"] for row in ENGINE.samples(data, [metric], related=related)[metric].rows] == lost


@pytest.mark.parametrize(
    ("left", "right", "lost"),
    [
        (pl.Series([1, 2, None]), pl.Series([1.0, 3.0]), 1),
        (pl.Series(["1", " 2", "x", "12345678901234567891"]), pl.Series([1, 2, 12345678901234567890], dtype=pl.UInt64), 2),
        (pl.Series([1, 2], dtype=pl.Int8), pl.Series([2**63, 1], dtype=pl.UInt64), 1),
        (pl.Series([Decimal("1.50"), Decimal("2")]), pl.Series([1.5]), 1),
        (pl.Series(["2024-01-01", "x"]), pl.Series([date(2024, 1, 1)]), 1),
        (pl.Series([datetime(2024, 1, 1)]).dt.cast_time_unit("ms"), pl.Series([date(2024, 1, 1)]), 0),
        (pl.Series(["a", "b"], dtype=pl.Categorical), pl.Series(["a"]), 1),
        (pl.Series([True, None]), pl.Series(["a"]), 1),
        (pl.Series([1, 2]), pl.Series([None]), 2),
        (pl.Series([1, 2]), pl.Series([], dtype=pl.Int64), 2),
        (pl.Series([0.0, -0.0, math.nan]), pl.Series([-0.0]), 0),
    ],
)
def test_keys_of_several_types_meet(left: pl.Series, right: pl.Series, lost: int) -> None:
    assert measured(pl.DataFrame({"k": left}), ORPHANS, related={"customers": lambda: pl.DataFrame({"id": right})}) == [Count(lost)]


def test_orphans_of_pandas_and_itself() -> None:
    frame = pd.DataFrame({"k": ["a", "b", None], "parent": ["b", "z", "a"]})
    metric = Orphans(("parent",), "tree", ("k",))
    assert measured(frame, metric, related={"tree": lambda: frame}) == [Count(1)]


def test_another_object_that_is_not_there_is_told() -> None:
    def broken() -> object:
        raise OSError("no such bucket")

    frame = pl.DataFrame({"k": [1]})
    assert measured(frame, ORPHANS) == [NotApplicable("customers is not at hand")]
    assert measured(frame, ORPHANS, related={"customers": lambda: pl.DataFrame({"x": [1]})}) == [
        NotApplicable("customers has no column id")
    ]
    for loader in (broken, lambda: "text"):
        (found,) = measured(frame, ORPHANS, related={"customers": loader})
        assert isinstance(found, Unmeasured)
        assert "customers" in found.reason
        assert ENGINE.samples(frame, [ORPHANS], related={"customers": loader}) == {}


def test_other_objects_are_loaded_for_relationships_alone() -> None:
    def loaded() -> object:
        raise AssertionError("nobody asked for it")

    assert measured(pl.DataFrame({"k": [1, 1]}), Duplicates(("k",)), related={"customers": loaded}) == [Count(1)]


# --- two columns -----------------------------------------------------------------------------------------------------

OPERATORS: dict[str, Callable[[object, object], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
numbers = st.none() | st.integers(-3, 3) | st.sampled_from([0.5, -0.0, math.inf, math.nan, 2**53, 2**53 + 1])


@pytest.mark.parametrize("kind", ["numbers", "text and numbers"])
@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.none() | st.integers(-3, 3), st.none() | st.sampled_from([-3.0, 0.5, -0.0, 3.0, math.inf, math.nan])), max_size=6
    )
)
def test_numbers_of_one_row_compare(kind: str, rows: list[tuple[int | None, float | None]]) -> None:
    left = pl.Series([a for a, _ in rows], dtype=pl.Int64)
    frame = pl.DataFrame({"a": left if kind == "numbers" else left.cast(pl.String), "b": pl.Series([b for _, b in rows], dtype=pl.Float64)})
    for sign, holds in OPERATORS.items():
        metric = Compared("a", sign, "b")
        lost = [n for n, (a, b) in enumerate(rows) if a is not None and b is not None and b == b and not holds(a, b)]
        assert measured(frame, metric) == [Count(len(lost))], sign
        assert len(ENGINE.samples(frame, [metric])[metric].rows) == len(lost)


@pytest.mark.parametrize(
    ("left", "sign", "right", "lost"),
    [
        (pl.Series([2**63], dtype=pl.UInt64), "<", pl.Series([2**63 - 1]), 1),
        (pl.Series([2**53 + 1]), "==", pl.Series([2**53]).cast(pl.Int32, strict=False).cast(pl.Int64).fill_null(2**53), 1),
        (pl.Series([date(2024, 1, 1)] * 2), "<=", pl.Series([datetime(2024, 1, 1), datetime(2023, 12, 31, 23)]), 1),
        (pl.Series(["2024-01-01T02:00+02:00", "nonsense"]), "==", pl.Series([datetime(2024, 1, 1)] * 2), 1),
        (pl.Series(["9", "b", "2024-01-09", "2024-01-01T05:00+05:00"]), "<", pl.Series(["10", "c", "2024-01-10", "2024-01-01T00:30Z"]), 0),
        (pl.Series(["1", "a"]), "==", pl.Series(["1.0", "a"]), 1),
        (pl.Series([time(9)]), "<", pl.Series(["08:59:59.5"]), 1),
        (pl.Series([True, False]), "==", pl.Series([True, True]), 1),
        (pl.Series([1, None]), "!=", pl.Series([date(2024, 1, 1)] * 2), 1),
        (pl.Series([None, None]), "==", pl.Series([1, 2]), 0),
        (pl.Series([Decimal("1.5")]), "==", pl.Series([Decimal("1.50")]), 0),
        (pl.Series(["b", "a"], dtype=pl.Enum(["b", "a"])), "<", pl.Series(["c", "a"]), 1),
    ],
)
def test_values_of_one_row_compare(left: pl.Series, sign: str, right: pl.Series, lost: int) -> None:
    frame = pl.DataFrame({"a": left, "b": right})
    for data in (frame, frame.lazy()):
        assert measured(data, Compared("a", sign, "b")) == [Count(lost)]


def test_what_does_not_compare_is_told() -> None:
    nested, unknown = measured(pl.DataFrame({"a": [[1]], "b": [[1]]}), Compared("a", "==", "b"), Compared("a", "~", "b"))
    assert isinstance(nested, Unmeasured)
    assert isinstance(unknown, Unmeasured)


DAYS = TimeText("dd/MM/yyyy", read_format("dd/MM/yyyy").pattern, "%d/%m/%Y")


@pytest.mark.parametrize(("operator", "lost"), [("<", 2), ("<=", 1), (">", 2), (">=", 1), ("==", 2), ("!=", 1)])
def test_texts_in_a_format_of_the_contract_compare_as_times(operator: str, lost: int) -> None:
    frame = pl.DataFrame(
        {"a": ["02/01/2026", "31/12/2025", "05/05/2026", None], "b": ["2025-12-31", "2026-01-02", "2026-05-05", "2026-05-05"]}
    )
    other = frame.with_columns(pl.col("b").str.to_date().dt.strftime("%d/%m/%Y"))
    assert measured(frame, Compared("a", operator, "b", DAYS)) == [Count(lost)]
    assert measured(other, Compared("a", operator, "b", DAYS, DAYS)) == [Count(lost)]
    assert measured(frame.with_columns(pl.col("b").str.to_date()), Compared("a", operator, "b", DAYS)) == [Count(lost)]


def test_texts_in_a_format_of_times_of_day_compare_as_such() -> None:
    clock = TimeText("hh:mm a", read_format("hh:mm a").pattern, "%I:%M %p")
    frame = pl.DataFrame({"a": ["01:30 PM", "09:00 AM"], "b": ["11:00 AM", "12:30 PM"]})
    assert measured(frame, Compared("a", "<", "b", clock, clock)) == [Count(1)]


def test_text_in_no_format_of_the_contract_does_not_compare() -> None:
    frame = pl.DataFrame({"a": ["2026-01-02"], "b": ["02/01/2026"]})
    assert measured(frame, Compared("a", "==", "b", DAYS, DAYS)) == [Count(1)]
