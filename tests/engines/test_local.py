"""LocalEngine: each metric by the engine that measures it, one measurement of all, and nothing imported that is not asked for."""

from __future__ import annotations

import subprocess
import sys

import polars as pl
import pytest

from dagster_contracts.core.metrics import Expectation, Metric, NotIn, Nulls, Query, RowCount
from dagster_contracts.core.verdict import Answer, Count, Figure, Measurement, Unmeasured
from dagster_contracts.engines.local import LocalEngine
from dagster_contracts.engines.polars.engine import PolarsEngine

FRAME = pl.DataFrame({"a": [1, 2, None], "b": ["x", "y", "z"]})
QUERY = Query("SELECT count(*) FROM t WHERE a > 1", "t")
EXPECTATION = Expectation("expect_table_row_count_to_equal", '{"value":3}')
ALL: list[Metric] = [QUERY, Nulls("a"), EXPECTATION, RowCount(), NotIn("b", ("x",)), NotIn("gone", ("x",))]


@pytest.mark.parametrize(
    "data", [FRAME, FRAME.lazy(), FRAME.to_arrow(), FRAME.to_pandas(), FRAME.to_arrow().to_reader(), FRAME.to_arrow().to_batches()[0]]
)
def test_one_measurement_of_all_metrics_in_their_order(data: object):
    found = LocalEngine().measure(data, ALL)
    assert isinstance(found, Measurement)
    assert found.rows == 3
    assert [column.name for column in found.columns] == ["a", "b"]
    assert list(found.values.items()) == [
        (QUERY, Figure(1)),
        (Nulls("a"), Count(1)),
        (EXPECTATION, Answer(True, "3")),
        (RowCount(), Count(3)),
        (NotIn("b", ("x",)), Count(2)),
    ]


def test_other_metrics_are_those_of_polars():
    metrics: list[Metric] = [Nulls("a"), NotIn("b", ("x",))]
    assert LocalEngine().measure(FRAME, metrics) == PolarsEngine().measure(FRAME, metrics)
    assert LocalEngine().samples(FRAME, metrics, 1) == PolarsEngine().samples(FRAME, metrics, 1)


def test_a_sample_of_a_query_is_empty():
    assert LocalEngine().samples(FRAME, [QUERY, EXPECTATION]) == {}


def test_data_that_cannot_be_read_is_unmeasured_as_a_whole():
    def broken(_: pl.Series) -> pl.Series:
        raise ValueError("disk on fire")

    scan = pl.LazyFrame({"a": [1]}).with_columns(pl.col("a").map_batches(broken, return_dtype=pl.Int64))
    for data in (3, "text", None):
        assert isinstance(LocalEngine().measure(data, ALL), Unmeasured)
    found = LocalEngine().measure(scan, [Nulls("a"), Query("SELECT sum(a) FROM t", "t")])
    assert isinstance(found, Unmeasured) or {type(value) for value in found.values.values()} == {Unmeasured}


def test_a_reader_that_breaks_half_way_is_unmeasured():
    import pyarrow as pa

    def batches():
        yield from FRAME.to_arrow().to_batches()
        raise OSError("the line is dead")

    reader = pa.RecordBatchReader.from_batches(FRAME.to_arrow().schema, batches())
    found = LocalEngine().measure(reader, ALL)
    assert isinstance(found, Unmeasured)
    assert "the line is dead" in found.detail


@pytest.mark.parametrize(
    ("metrics", "imported"),
    [
        ("Nulls('a')", set()),
        ("Query('SELECT 1', 't')", {"duckdb"}),
        ("Expectation('expect_table_row_count_to_equal', '{}')", {"great_expectations"}),
    ],
)
def test_heavy_libraries_are_imported_where_a_rule_needs_them(metrics: str, imported: set[str]):
    code = (
        "import sys, polars as pl; from dagster_contracts.core.metrics import *; from dagster_contracts.engines.local import LocalEngine;"
        f"LocalEngine().measure(pl.DataFrame({{'a': [1]}}), [{metrics}]);"
        "print(*({'duckdb', 'great_expectations', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert set(done.stdout.split()) - {"pandas", "pyarrow"} == imported
    assert imported or not done.stdout.strip()
