"""Faults in frames and files of one's own, which come back in the form that they came in."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from dagster_contracts.chaos.elsewhere import inject_into_file, inject_into_frame
from dagster_contracts.core.errors import UsageError
from tests.chaos.feeds import as_csv, frame
from tests.chaos.test_run import named


def plain() -> pd.DataFrame:
    return pd.DataFrame({"name": ["a", "b", None, "d"], "n": [1, 2, 3, 4], "x": [0.5, None, 1.5, 2.0]}, index=[7, 8, 9, 10])


def test_a_pandas_frame_stays_one_with_its_types_and_labels() -> None:
    before, kept = plain(), plain()
    after, told = inject_into_frame(named("null_rate"), before, column="n", dose=0.5, seed=3)
    assert isinstance(after, pd.DataFrame)
    pd.testing.assert_frame_equal(before, kept)
    pd.testing.assert_frame_equal(after.drop(columns="n"), kept.drop(columns="n"))
    assert after["n"].isna().to_numpy().nonzero()[0].tolist() == told.rows.to_list()
    assert told.description == "2 of 4 values of n are null"


def test_a_polars_frame_stays_one() -> None:
    before = frame(0)
    after, told = inject_into_frame(named("truncation"), before, dose=0.5)
    assert isinstance(after, pl.DataFrame)
    assert after.equals(before.head(30))
    assert len(told.rows) == 30


def test_pandas_and_polars_frames_are_damaged_alike() -> None:
    ours, told = inject_into_frame(named("unit_change"), pl.from_pandas(plain()), column="x", seed=1)
    theirs, also = inject_into_frame(named("unit_change"), plain(), column="x", seed=1)
    assert isinstance(theirs, pd.DataFrame)
    assert isinstance(ours, pl.DataFrame)
    assert ours.equals(pl.from_pandas(theirs), null_equal=True)
    assert told.rows.equals(also.rows)


def test_quotes_in_the_name_of_a_column_stay_as_they_are(tmp_path: Path) -> None:
    source, target = tmp_path / "clean.csv", tmp_path / "damaged.csv"
    pd.DataFrame({'a "b"': range(20), "c": range(20)}).to_csv(source, index=False)
    inject_into_file(named("null_rate"), source, target, column='a "b"', dose=0.1)
    assert list(pd.read_csv(target)) == ['a "b"', "c"]


@pytest.mark.parametrize("form", [".csv", ".jsonl", ".parquet"])
def test_a_file_is_written_in_its_own_format(tmp_path: Path, form: str) -> None:
    source, target = tmp_path / f"clean{form}", tmp_path / f"damaged{form}"
    held = frame(0).drop("tags", "place", "empty")
    {".csv": as_csv(frame(0)).drop("empty").write_csv, ".jsonl": held.write_ndjson, ".parquet": held.write_parquet}[form](source)
    content = source.read_bytes()
    told = inject_into_file(named("null_rate"), source, target, column="score", dose=0.1)
    read = {".csv": lambda path: pl.read_csv(path, infer_schema=False), ".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}[form]
    assert read(target)["score"].is_null().arg_true().to_list() == told.rows.to_list()
    assert read(target).drop("score").equals(read(source).drop("score"))
    assert source.read_bytes() == content


def test_a_broken_file_is_the_first_half_of_it(tmp_path: Path) -> None:
    source, target = tmp_path / "clean.csv", tmp_path / "damaged.csv"
    as_csv(frame(0)).write_csv(source)
    told = inject_into_file(named("corrupt_file"), source, target)
    assert source.read_bytes().startswith(target.read_bytes())
    assert f"{target.stat().st_size:,} of its {source.stat().st_size:,} bytes" in told.description


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    source = tmp_path / "clean.parquet"
    frame(0).write_parquet(source)
    with pytest.raises(UsageError, match="does not fit column flag; it fits "):
        inject_into_frame(named("unit_change"), frame(0), column="flag")
    with pytest.raises(UsageError, match="does not speak of the rows of one frame"):
        inject_into_frame(named("missing"), frame(0))
    with pytest.raises(UsageError, match="delivers nothing"):
        inject_into_file(named("missing"), source, tmp_path / "x")
    with pytest.raises(UsageError, match="is the file itself"):
        inject_into_file(named("null_rate"), source, source, column="score")
    with pytest.raises(UsageError, match=r"named \*\.xlsx is not damaged"):
        inject_into_file(named("null_rate"), tmp_path / "a.xlsx", source, column="score")
