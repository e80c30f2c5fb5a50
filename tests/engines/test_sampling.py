"""Some rows of every kind of data, by a seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from dagster_contracts.engines.sampling import sampled
from dagster_contracts.ports import Sampled

ROWS = pl.DataFrame({"number": range(1000), "text": [f"t{number}" for number in range(1000)]})


def _pandas(folder: Path) -> Any:
    return ROWS.to_pandas()


def _polars(folder: Path) -> Any:
    return ROWS


def _arrow(folder: Path) -> Any:
    return ROWS.to_arrow()


def _scan(folder: Path) -> Any:
    ROWS.write_parquet(folder / "rows.parquet")
    return pl.scan_parquet(folder / "rows.parquet").filter(pl.col("number") >= 0)


def _path(folder: Path) -> Any:
    ROWS.write_csv(folder / "rows.csv")
    return folder / "rows.csv"


KINDS = [_pandas, _polars, _arrow, _scan, _path]


def numbers(found: Sampled | None) -> list[int]:
    assert found is not None
    data: Any = found.data
    return [int(each) for each in (data["number"].to_pylist() if isinstance(data, pa.Table) else data["number"].to_list())]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_takes_the_same_rows(kind: Any, tmp_path: Path) -> None:
    data = kind(tmp_path)
    found = sampled(data, 50, 7)
    assert found is not None
    assert (found.rows, found.total) == (50, 1000)
    assert numbers(found) == numbers(sampled(data, 50, 7)) == numbers(sampled(ROWS, 50, 7))
    assert numbers(found) != numbers(sampled(data, 50, 8))
    assert isinstance(found.data, pd.DataFrame if kind is _pandas else pa.Table if kind is _arrow else pl.DataFrame)
    assert sampled(data, 1000, 7) is None, "it has no more"


@pytest.mark.parametrize("rows", [3, 50, 100])
def test_of_parquet_files_stretches_of_rows_are_read(tmp_path: Path, rows: int) -> None:
    ROWS.write_parquet(tmp_path / "rows.parquet", row_group_size=100)
    for data in (pl.scan_parquet(tmp_path / "rows.parquet"), tmp_path / "rows.parquet"):
        found = sampled(data, rows, 7)
        assert found is not None
        assert (found.rows, found.total, found.draws) == (len(set(numbers(found))), 1000, min(20, rows))
        assert rows - 20 < found.rows <= rows
        begun = [number for number in numbers(found) if number - 1 not in numbers(found)]
        assert len(begun) <= min(20, rows)
        assert numbers(found) == numbers(sampled(data, rows, 7)) != numbers(sampled(data, rows, 8))


def test_a_table_of_a_database_is_sampled_there() -> None:
    database = ibis.duckdb.connect()
    database.raw_sql("CREATE TABLE feed AS SELECT range AS number FROM range(1000)")
    table = database.table("feed")
    found = sampled(table, 100, 7)
    assert found is not None
    assert found.total == 1000
    assert 0 < found.rows == len(numbers(found)) < 300
    assert sampled(table, 1000, 7) is None


def test_what_cannot_be_sampled_is_judged_as_a_whole(tmp_path: Path) -> None:
    assert sampled(tmp_path / "absent.csv", 10, 1) is None
    assert sampled({"not": "a frame"}, 10, 1) is None
    assert sampled(pa.RecordBatchReader.from_batches(ROWS.to_arrow().schema, []), 10, 1) is None
