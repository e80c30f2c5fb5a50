"""Rows that break rules are parted from those that break none, in every kind of frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.metrics import Duplicates, Metric, NotIn, Nulls, OutOfRange
from dagster_contracts.core.verdict import Count, Measurement
from dagster_contracts.engines.polars.engine import PolarsEngine
from dagster_contracts.ports import REASONS, Division

ENGINE = PolarsEngine()
RULES: Mapping[str, Metric] = {
    "kind.enum": NotIn("kind", ("x", "y")),
    "kind.required": Nulls("kind"),
    "n.maximum": OutOfRange("n", maximum=10),
    "n.unique": Duplicates(("n",)),
}
DATA = {"kind": ["x", "y", "z", None, "x", "z"], "n": [1, 2, 300, 4, 2, None], "other": [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]}
KEPT = [("x", 1, 1.5), ("y", 2, 2.5)]
REFUSED = [
    ("z", 300, 3.5, "kind.enum; n.maximum"),
    (None, 4, 4.5, "kind.required"),
    ("x", 2, 5.5, "n.unique"),
    ("z", None, 6.5, "kind.enum"),
]
Make = Callable[[Mapping[str, object]], object]


def _pandas(data: Mapping[str, object]) -> pd.DataFrame:
    frame = pd.DataFrame(data, index=[7, 7, 7, 8, 9, 9][: len(data["kind"])])  # type: ignore[arg-type]
    return frame.astype({"n": "Int64"})


MAKERS: dict[str, Make] = {
    "polars": lambda data: pl.DataFrame(data),
    "lazy": lambda data: pl.LazyFrame(data),
    "arrow": lambda data: pa.table(dict(data)),
    "arrow batch": lambda data: pa.RecordBatch.from_pydict(dict(data)),
    "pandas": _pandas,
}


def rows_of(frame: object) -> list[tuple[object, ...]]:
    if isinstance(frame, pl.LazyFrame):
        return frame.collect().rows()
    if isinstance(frame, pl.DataFrame):
        return frame.rows()
    if isinstance(frame, pd.DataFrame):
        return [tuple(None if pd.isna(cell) else cell for cell in row) for row in frame.itertuples(index=False)]
    assert isinstance(frame, pa.Table | pa.RecordBatch)
    return [tuple(row.values()) for row in frame.to_pylist()]


@pytest.mark.parametrize("kind", MAKERS)
def test_the_rows_that_break_a_rule_are_parted_with_their_reasons(kind: str) -> None:
    data = MAKERS[kind](DATA)
    found = ENGINE.divide(data, RULES)
    assert found is not None
    assert type(found.kept) is type(data)
    assert type(found.refused) is type(data)
    assert (rows_of(found.kept), rows_of(found.refused), found.rows) == (KEPT, REFUSED, 4)
    assert rows_of(data) == rows_of(MAKERS[kind](DATA)), "the caller's frame stays as it is"


def test_pandas_keeps_its_index_and_types() -> None:
    data = _pandas(DATA)
    found = ENGINE.divide(data, RULES)
    assert found is not None
    assert isinstance(found.kept, pd.DataFrame)
    assert isinstance(found.refused, pd.DataFrame)
    assert list(found.kept.index) == [7, 7]
    assert list(found.refused.columns) == ["kind", "n", "other", REASONS]
    assert (found.kept.dtypes == data.dtypes).all()


def test_what_cannot_be_told_apart_is_not_divided(caplog: pytest.LogCaptureFixture) -> None:
    reader = pa.table(DATA).to_reader()
    assert ENGINE.divide(reader, RULES) is None
    assert ENGINE.divide({"kind": "x"}, RULES) is None
    assert "refused as a whole" in caplog.text


@given(rows=st.lists(st.tuples(st.sampled_from(["x", "z", None]), st.sampled_from([1, 2, 50, None])), max_size=12))
def test_nothing_is_lost_and_what_is_kept_breaks_no_rule(rows: list[tuple[str | None, int | None]]) -> None:
    data = pl.DataFrame(rows, schema={"kind": pl.String, "n": pl.Int64}, orient="row").with_row_index("other")
    found = ENGINE.divide(data, RULES)
    assert isinstance(found, Division)
    assert isinstance(found.kept, pl.DataFrame)
    assert isinstance(found.refused, pl.DataFrame)
    assert sorted([*found.kept["other"], *found.refused["other"]]) == list(range(len(rows)))
    again = ENGINE.measure(found.kept, list(RULES.values()))
    assert isinstance(again, Measurement)
    assert set(again.values.values()) <= {Count(0)}
    assert all(found.refused[REASONS])


def test_of_rows_that_repeat_a_key_the_first_that_breaks_nothing_else_stays() -> None:
    data = pl.DataFrame({"key": [1, 1, 2], "value": [-1, 5, 5]})
    found = ENGINE.divide(data, {"key.unique": Duplicates(("key",)), "value.minimum": OutOfRange("value", minimum=0)})
    assert found is not None
    assert (rows_of(found.kept), rows_of(found.refused)) == ([(1, 5), (2, 5)], [(1, -1, "value.minimum")])
