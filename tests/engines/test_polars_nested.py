"""Arrays, maps and objects, and the values within them, against plain Python, however the frame holds them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.core.metrics import (
    EACH,
    KEYS,
    VALUES,
    Absent,
    Duplicates,
    LengthOutside,
    Metric,
    Missing,
    Nested,
    NotIn,
    NotMatching,
    NotMultiple,
    Nulls,
    OutOfRange,
    Repeating,
    SizeOutside,
    TypeBreaches,
)
from dagster_contracts.core.verdict import Count, Measured, Measurement, NotApplicable, Unmeasured
from dagster_contracts.engines.polars.engine import PolarsEngine

ENGINE = PolarsEngine()


def measured(data: object, *metrics: Metric) -> list[Measured]:
    found = ENGINE.measure(data, metrics)
    assert isinstance(found, Measurement), found
    return [found.values[metric] for metric in metrics]


# --- documents, and what plain Python says of them -------------------------------------------------------------------

ITEM = pa.struct([("sku", pa.string()), ("qty", pa.int64()), ("tags", pa.list_(pa.string()))])
TYPES = {
    "items": pa.list_(ITEM),
    "place": pa.struct([("address", pa.struct([("zip", pa.string())]))]),
    "prices": pa.map_(pa.string(), pa.float64()),
}
item = st.none() | st.fixed_dictionaries(
    {
        "sku": st.none() | st.sampled_from(["A", "b", ""]),
        "qty": st.none() | st.integers(-2, 3),
        "tags": st.none() | st.lists(st.none() | st.sampled_from("xyx"), max_size=3),
    }
)
row = st.fixed_dictionaries(
    {
        "items": st.none() | st.lists(item, max_size=3),
        "place": st.none()
        | st.fixed_dictionaries({"address": st.none() | st.fixed_dictionaries({"zip": st.none() | st.sampled_from(["1", "x"])})}),
        "prices": st.none() | st.dictionaries(st.sampled_from("pq"), st.none() | st.sampled_from([0.5, -1.0, math.nan]), max_size=2),
    }
)

SKU, QTY, TAGS = ("items", (EACH, "sku")), ("items", (EACH, "qty")), ("items", (EACH, "tags"))
TAG, ZIP = ("items", (EACH, "tags", EACH)), ("place", ("address", "zip"))
KEY, PRICE = ("prices", (KEYS,)), ("prices", (VALUES,))
METRICS: list[Metric] = [
    TypeBreaches("items", "array"),
    TypeBreaches("items", "object"),
    TypeBreaches("place", "object"),
    TypeBreaches("prices", "map"),
    SizeOutside("items", 1, 2),
    SizeOutside("prices", None, 1),
    *(Nested(column, path, Nulls("x")) for column, path in (SKU, QTY, TAGS, TAG, ZIP, PRICE)),
    Nested("items", (EACH,), Nulls("x")),
    Nested(*SKU, NotIn("x", ("A", "b"))),
    Nested(*SKU, NotMatching("x", "^[A-Z]$")),
    Nested(*SKU, LengthOutside("x", 1)),
    Nested(*SKU, Missing("x", ("", None))),
    Nested(*SKU, TypeBreaches("x", "string")),
    Nested(*SKU, TypeBreaches("x", "integer")),
    Nested(*QTY, OutOfRange("x", 0, 2)),
    Nested(*QTY, NotMultiple("x", 2)),
    Nested(*TAGS, SizeOutside("x", 1, 2)),
    Nested(*TAGS, Repeating("x")),
    Nested(*TAG, NotIn("x", ("x",))),
    Nested("place", ("address",), TypeBreaches("x", "object")),
    Nested(*ZIP, TypeBreaches("x", "integer")),
    Nested(*KEY, NotIn("x", ("p",))),
    Nested(*PRICE, OutOfRange("x", 0)),
]


def null(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def below(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if not path:
        yield value
    elif not null(value):
        step, rest = path[0], path[1:]
        parts = value if step == EACH else list(value) if step == KEYS else list(value.values()) if step == VALUES else [value[step]]
        for part in parts:
            yield from below(part, rest)


def fits(metric: Any, value: Any) -> bool:
    match metric:
        case TypeBreaches(logical_type=kind):
            kinds: dict[str, Any] = {"array": list, "object": dict, "map": dict, "string": str, "integer": int}
            return isinstance(value, kinds[kind]) or (kind == "integer" and value.isdigit())
        case SizeOutside(minimum=low, maximum=high):
            return (low or 0) <= len(value) <= (high if high is not None else 9)
        case NotIn(values=listed):
            return value in listed
        case Missing(values=listed):
            return value not in listed
        case NotMatching():
            return value == "A"
        case LengthOutside():
            return len(value) >= 1
        case OutOfRange(minimum=low, maximum=high):
            return bool(low <= value <= (high if high is not None else 9))
        case NotMultiple(of=of):
            return bool(value % of == 0)
        case Repeating():
            return len(set(value)) == len(value)
    raise AssertionError(metric)


def breaks(metric: Any, value: Any) -> bool:
    if isinstance(metric, Nulls):
        return null(value)
    if isinstance(metric, Missing) and null(value):
        return None in metric.values
    return not null(value) and not fits(metric, value)


def expected(rows: list[dict[str, Any]], metric: Metric) -> tuple[int, list[int]]:
    """How many values break, and in which rows."""
    path, inner = (metric.path, metric.metric) if isinstance(metric, Nested) else ((), metric)
    per_row = [sum(breaks(inner, value) for value in below(each[metric.columns[0]], path)) for each in rows]
    return sum(per_row), [n for n, count in enumerate(per_row) if count]


def arrow(rows: list[dict[str, Any]]) -> pa.Table:
    columns = {name: [each[name] for each in rows] for name in TYPES}
    columns["prices"] = [None if each is None else list(each.items()) for each in columns["prices"]]
    return pa.table({"n": pa.array(range(len(rows)), pa.int64()), **{name: pa.array(columns[name], kind) for name, kind in TYPES.items()}})


def objects(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = {name: pd.Series([each[name] for each in rows], dtype=object) for name in TYPES}
    return pd.DataFrame({"n": range(len(rows)), **columns})


FRAMES: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "arrow": arrow,
    "polars": lambda rows: pl.from_arrow(arrow(rows)),
    "lazy": lambda rows: pl.from_arrow(arrow(rows)).lazy(),  # type: ignore[union-attr]
    "pandas objects": objects,
    "pandas from arrow": lambda rows: arrow(rows).to_pandas(),
    "pandas arrow": lambda rows: arrow(rows).to_pandas(types_mapper=pd.ArrowDtype),
}


@pytest.mark.parametrize("kind", FRAMES)
@settings(max_examples=40, deadline=None)
@given(rows=st.lists(row, max_size=5))
def test_nested_values_agree_with_plain_python(kind: str, rows: list[dict[str, Any]]) -> None:
    data = FRAMES[kind](rows)
    found = dict(zip(METRICS, measured(data, *METRICS), strict=True))
    samples = ENGINE.samples(data, METRICS, limit=9)
    for metric in METRICS:
        if kind == "pandas objects" and metric == SizeOutside("prices", None, 1):
            continue  # a dict may be an object too, of which null fields do not count
        count, lost = expected(rows, metric)
        if isinstance(found[metric], NotApplicable):  # Python objects know no fields that none of them has
            assert "pandas" in kind
            assert count == 0
            continue
        assert found[metric] == Count(count), metric
        assert [each["n"] for each in samples[metric].rows] == lost, metric
        if not (kind.startswith("pandas") and isinstance(metric, TypeBreaches | SizeOutside)):
            assert sum(times for _, times in samples[metric].values) == count, metric


def test_a_field_that_is_null_is_there_and_one_that_no_object_has_is_absent() -> None:
    rows = [{"d": {"a": 1, "b": None}}, {"d": {"a": None}}, {"d": None}]
    python = pd.DataFrame({"d": pd.Series([each["d"] for each in rows], dtype=object)})
    typed = pl.DataFrame(rows, schema={"d": pl.Struct({"a": pl.Int64, "b": pl.Int64})})
    for data, without_b in ((python, 1), (typed, 0)):  # a struct has all its fields in all rows
        assert measured(data, Absent("d", "a"), Absent("d", "b"), Absent("d", "c")) == [Count(0), Count(without_b), Count(2)]
        (found,) = measured(data, Nested("d", ("c",), Nulls("d.c")))
        assert found == NotApplicable('no object has a field "c"')
    mapped = pl.DataFrame({"m": [[{"key": "a", "value": 1}], []]})
    true_map = mapped.with_columns(pl.Series("m", [{"a": 1}, {}], dtype=pl.Map(pl.String, pl.Int64)))
    for data in (mapped, true_map):
        assert measured(data, Absent("m", "a"), TypeBreaches("m", "map"), SizeOutside("m", 1)) == [Count(1), Count(0), Count(1)]
        assert measured(data, Nested("m", (KEYS,), NotIn("k", ("b",))), Nested("m", (VALUES,), OutOfRange("v", 2))) == [Count(1), Count(1)]


def test_what_is_no_array_has_no_elements() -> None:
    frame = pl.DataFrame({"x": ["[1, 2]"]})
    within, size, repeats, kind = measured(
        frame, Nested("x", (EACH,), Nulls("x[]")), SizeOutside("x", 0), Repeating("x"), TypeBreaches("x", "array")
    )
    assert isinstance(within, NotApplicable)
    assert [size, repeats, kind] == [Count(1)] * 3
    assert isinstance(measured(frame, Nested("x", (KEYS,), Nulls("x{keys}")))[0], NotApplicable)
    mixed = pd.DataFrame({"x": pd.Series([[1], "text", {"a": 1}, None], dtype=object)})
    assert measured(mixed, TypeBreaches("x", "array"), TypeBreaches("x", "object"), SizeOutside("x", 1), Repeating("x")) == [
        Count(2),
        Count(2),
        Count(1),
        Count(2),
    ]
    assert measured(mixed, Nested("x", (EACH,), Nulls("x[]")), Nested("x", ("a",), OutOfRange("x.a", 2))) == [Count(0), Count(1)]


def test_values_of_several_types_within_python_objects() -> None:
    cells = [{"v": 1}, {"v": "a"}, {"v": 2.5}, {"v": None}, {"v": [1]}, {"v": True}, {}, None]
    frame = pd.DataFrame({"x": pd.Series(cells, dtype=object)})
    v = ("x", ("v",))
    assert measured(frame, Nested(*v, TypeBreaches("x.v", "integer")), Nested(*v, TypeBreaches("x.v", "string"))) == [Count(4), Count(4)]
    assert measured(frame, Nested(*v, Nulls("x.v")), Nested(*v, TypeBreaches("x.v", "array")), Absent("x", "v")) == [
        Count(2),
        Count(4),
        Count(1),
    ]
    assert [each["x"] for each in ENGINE.samples(frame, [Nested(*v, TypeBreaches("x.v", "integer"))], 2).popitem()[1].rows] == cells[1:3]


def test_elements_that_stand_twice() -> None:
    lists: list[Any] = [[1, 2], [1, 1], [None, None], [None, 1], [], None]
    frames = (
        pl.DataFrame({"x": lists}),
        pd.DataFrame({"x": pd.Series([each if each is None else np.array(each, dtype=object) for each in lists], dtype=object)}),
    )
    for frame in frames:
        assert measured(frame, Repeating("x")) == [Count(2)]
    documents = pl.DataFrame({"x": [[{"a": 1}, {"a": 1}], [{"a": 1}, {"a": 2}]]})
    assert measured(documents, Repeating("x")) == [Count(1)]
    assert measured(pd.DataFrame({"x": [[{"a": 1}, {"a": 1}], [{"a": [1]}, {"a": [2]}], [1, True], [1, 1.0]]}), Repeating("x")) == [
        Count(2)
    ]
    assert measured(pl.DataFrame({"x": pl.Series([[1, 1], [1, 2]], dtype=pl.Array(pl.Int64, 2))}), Repeating("x"), SizeOutside("x", 3)) == [
        Count(1),
        Count(2),
    ]


def test_vectors_hold_numbers() -> None:
    frame = pl.DataFrame({"v": [[1.0, 2.0], [1.0, None], None], "t": [["a"], None, None], "n": [1, 2, None], "e": [[], None, None]})
    assert measured(frame, *(TypeBreaches(column, "vector") for column in "vtne")) == [Count(1), Count(1), Count(2), Count(0)]
    python = pd.DataFrame({"v": pd.Series([[1, 2.5], [1, "x"], [None], np.array([1.0]), [True]], dtype=object)})
    assert measured(python, TypeBreaches("v", "vector")) == [Count(3)]


def test_values_within_are_unique_over_all_rows() -> None:
    frame = pl.DataFrame({"x": [["a", "b"], ["b", None, None], ["a"], None]})
    metric = Nested("x", (EACH,), Duplicates(("x[]",)))
    assert measured(frame, metric) == [Count(2)]
    assert measured(pd.DataFrame({"x": [["a", "b"], ["b"]]}), metric) == [Count(1)]
    assert metric not in ENGINE.samples(frame, [metric])  # which rows repeat is not told of values within arrays
    objects = pl.DataFrame({"x": [{"id": 1}, {"id": 1}, {"id": None}, None]})
    unique = Nested("x", ("id",), Duplicates(("x.id",)))
    assert measured(objects, unique) == [Count(1)]
    assert len(ENGINE.samples(objects, [unique])[unique].rows) == 1


def test_json_maps_arrive_as_objects() -> None:
    frame = pl.DataFrame({"m": [{"a": 1, "b": None}, {"a": None, "b": 5}, None], "mixed": [{"a": 1, "b": "x"}, None, None]})
    assert measured(
        frame, TypeBreaches("m", "map"), Nested("m", (KEYS,), NotIn("k", ("a",))), Nested("m", (VALUES,), OutOfRange("v", 2))
    ) == [
        Count(0),
        Count(1),
        Count(1),
    ]
    assert isinstance(measured(frame, Nested("mixed", (VALUES,), Nulls("v")))[0], NotApplicable)
    assert measured(frame, SizeOutside("m", 2)) == [Count(2)]


def test_a_column_of_nothing_breaks_nothing() -> None:
    frame = pl.DataFrame({"x": pl.Series([None, None])})
    metrics: list[Metric] = [TypeBreaches("x", kind) for kind in ("object", "array", "map", "vector")]
    metrics += [SizeOutside("x", 1), Repeating("x"), Absent("x", "a")]
    assert measured(frame, *metrics) == [Count(0)] * 7
    assert isinstance(measured(frame, Nested("x", (EACH,), Nulls("x[]")))[0], NotApplicable | Unmeasured)
