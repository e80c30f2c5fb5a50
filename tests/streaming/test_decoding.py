"""What no row can be made of is told apart, message by message: nothing stops the stream."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.metrics import Metric, Nested, TypeBreaches
from dagster_contracts.core.verdict import Count, Measurement
from dagster_contracts.engines.files import json_rows
from dagster_contracts.engines.polars.engine import PolarsEngine
from dagster_contracts.streaming import StreamGate
from dagster_contracts.streaming.decoding import decoded
from tests.plugin.lab import contract_files, contract_text


@pytest.mark.parametrize(
    "pill",
    [
        *(b"[" * 100_000, b"{" * 100_000, b'{"a":' * 50_000, b"\xff", b"", b"null", b"[1]", b'{"a": NaN}', b'{"a": 1', b'{"a": 1e400}'),
        *(b'{"a": 1},{"a": 3}', b'{"a": 1}\n{"a": 3}', b'{"a": "\\ud800"}'),
    ],
)
def test_a_poison_pill_is_broken_and_the_others_are_rows(pill: bytes) -> None:
    found = decoded([b'{"a": 1}', pill, b'{"a": 2}'], ["a"])
    assert (found.frame["a"].to_list(), list(found.rows), list(found.broken)) == ([1, 2], [0, 2], [1])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=4,
)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), JSON), max_size=5))
def test_no_value_becomes_null_whatever_stands_beside_it(rows: list[dict[str, Any]]) -> None:
    found = decoded([json.dumps(row).encode() for row in rows], ["a"])
    assert (found.frame.height, found.broken) == (len(rows), {})
    for name in found.frame.columns:
        assert found.frame[name].null_count() == sum(row.get(name) is None for row in rows)


@pytest.mark.parametrize(
    ("values", "kind", "cells"),
    [
        ([1, 2.5], pl.Float64, [1.0, 2.5]),
        ([1, "x"], pl.Object, [1, "x"]),
        ([True, 1], pl.Object, [True, 1]),
        ([{"x": 1}, 3], pl.Object, [{"x": 1}, 3]),
        ([{"x": 1}, {"x": "q"}], pl.Object, [{"x": 1}, {"x": "q"}]),
        ([{"x": None}, {"x": "q"}, None], pl.Struct({"x": pl.String}), [{"x": None}, {"x": "q"}, None]),
        ([2**64, 2**64 + 1], pl.Int128, [2**64, 2**64 + 1]),
        ([None, None], pl.Null, [None, None]),
    ],
)
def test_the_type_of_a_column_follows_from_its_values_in_any_order(values: list[object], kind: pl.DataType, cells: list[object]) -> None:
    for step in (1, -1):
        column = decoded([json.dumps({"a": value}).encode() for value in values[::step]], ["a"]).frame["a"]
        assert (column.dtype, column.to_list()) == (kind, cells[::step])


NESTED = st.lists(JSON, max_size=3) | st.dictionaries(st.sampled_from("xy"), JSON, max_size=3)


def kind(dtype: Any) -> object:
    """A type, whatever the order of its fields."""
    if isinstance(dtype, pl.Struct):
        return {field.name: kind(field.dtype) for field in dtype.fields}
    return [kind(dtype.inner)] if isinstance(dtype, pl.List) else dtype


@given(st.lists(st.none() | NESTED, min_size=1, max_size=4))
@example([{"x": 1}, {"x": True}])
@example([{"x": "1"}, {"x": 1}])
@example([[1], [[1]]])
@example([{"x": ["a"]}, {"x": "a"}])
@example([[{"x": None}, {"y": 1}], None, [], [{"x": "a", "y": 1.5}]])
def test_objects_and_arrays_are_of_the_types_that_they_have_in_files(tmp_path_factory: pytest.TempPathFactory, values: list[Any]) -> None:
    lines = [json.dumps({"a": value}) for value in values]
    assume(not re.search(r"\d{19}", "".join(lines)))  # Polars has no type for some integers beside others: files hold them as they are
    file = tmp_path_factory.getbasetemp() / "feed.jsonl"
    file.write_text("\n".join(lines))
    found = decoded([line.encode() for line in lines], ["a"]).frame["a"]
    read = json_rows.read("feed", file)["a"]
    assert (kind(found.dtype), found.to_list()) == (kind(read.dtype), read.to_list())


@pytest.mark.parametrize("levels", [90, 253, 400])
@pytest.mark.parametrize(("left", "right"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_objects_and_arrays_may_be_deep(levels: int, left: bytes, right: bytes) -> None:
    found = decoded([b'{"a":' + left * levels + b"1" + right * levels + b"}", b"{}"], [])
    assert (found.frame.height, found.broken) == (2, {})


def test_numbers_may_stand_beside_what_is_deep() -> None:
    found = decoded([b'{"a":1e30,"b":' + b"[" * 1000 + b"]" * 1000 + b"}", b'{"a":1}'], [])
    assert (found.frame["a"].to_list(), found.broken) == ([1e30, 1.0], {})


def test_names_may_be_as_many_as_there_are_objects() -> None:
    rows = [{"a": {str(number): number}} for number in range(50)]
    column = decoded([json.dumps(row).encode() for row in rows], ["a"]).frame["a"]
    assert (kind(column.dtype), column[7]["7"]) == ({str(number): pl.Int64() for number in range(50)}, 7)


@pytest.mark.parametrize("path", [(), ("zip",)])
@pytest.mark.parametrize("odd", [12345, True, 1.5])
def test_what_is_no_text_among_text_is_no_string(path: tuple[str, ...], odd: object) -> None:
    cells: list[object] = [None, "01234", odd, "01234"]
    rows = [{"id": 1, "a": {"zip": cell} if path else cell} for cell in cells]
    frame = decoded([json.dumps(row).encode() for row in rows], ["a"]).frame
    kind = TypeBreaches("a", "string")
    asked: Metric = Nested("a", path, kind) if path else kind
    found = PolarsEngine().measure(frame, [asked])
    assert isinstance(found, Measurement)
    assert found.values == {asked: Count(1)}
    division = PolarsEngine().divide(frame, {"a.type": asked})
    assert division is not None
    assert isinstance(division.kept, pl.DataFrame)
    assert isinstance(division.refused, pl.DataFrame)
    assert (division.kept.height, division.refused["a"].to_list()) == (3, [rows[2]["a"]])


def test_what_stands_twice_in_an_object_is_read_as_its_readers_do() -> None:
    assert decoded([b'{"a": 1, "a": -5}'], ["a"]).frame["a"].to_list() == [-5] == [json.loads(b'{"a": 1, "a": -5}')["a"]]


def test_a_row_of_nothing_is_a_row() -> None:
    assert decoded([b"{}", b"{}"], ["a", "b"]).frame.to_dict(as_series=False) == {"a": [None, None], "b": [None, None]}


def test_instants_within_what_a_decoder_gives_are_text() -> None:
    at = datetime(2026, 11, 27, tzinfo=UTC)
    found = decoded([b"1"], [], lambda value: {"a": {"at": at}, "b": at})
    assert found.frame.to_dicts() == [{"a": {"at": at.isoformat()}, "b": at}]


def test_what_a_decoder_gives_is_taken_as_it_is() -> None:
    found = decoded([b"1", b"x", b"3"], ["a"], lambda value: {"a": int(value), "b": "\ud800"})
    assert (found.frame["a"].to_list(), list(found.rows), list(found.broken)) == ([1, 3], [0, 2], [1])


@pytest.mark.parametrize("name", [5, None, "", "a\0b", "x" * 1001])
def test_a_name_that_cannot_be_is_refused_before_anything_is_judged(tmp_path_factory: pytest.TempPathFactory, name: object) -> None:
    folder = tmp_path_factory.mktemp("stream")
    gate = StreamGate(contract_files(folder / "contracts", contract_text()), f"sqlite:///{folder}/c.db")
    with pytest.raises(UsageError, match="name of the micro-batch"):
        gate.judge([], asset="feed", batch=name)  # type: ignore[arg-type]
