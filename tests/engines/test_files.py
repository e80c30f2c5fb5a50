"""Reading data files: what is text, what is null, and what a person is told of a file that cannot be read."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from dagster_contracts.core.errors import MeasurementError
from dagster_contracts.engines.files import scan

ROWS = [{"a": "1", "b": None}, {"a": "02", "b": "x"}]


def write(folder: Path, name: str, content: bytes) -> Path:
    place = folder / name
    place.write_bytes(content)
    return place


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,\n02,x\n",
        b"a,b\n1,\n02,x",
        b"\xef\xbb\xbfa,b\r\n1,\r\n02,x\r\n",
        b"a,b\n1,\n\n02,x\n\n\n",
        b"a,b\r\n1,\r\n\r\n02,x\r\n\r\n",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_csv_is_text_whatever_its_line_ends(tmp_path: Path, content: bytes, packed: bool) -> None:
    path = write(tmp_path, "f.csv.gz" if packed else "f.csv", gzip.compress(content) if packed else content)
    assert scan(path).collect().to_dicts() == ROWS


@pytest.mark.parametrize("gap", [b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("shift", [0, 1, 2, 3])
def test_a_blank_line_is_seen_wherever_the_file_is_cut(tmp_path: Path, gap: bytes, shift: int) -> None:
    header, line = b"a,b\n", b"x,y"
    filler = b"z" * ((1 << 20) - shift - len(line))
    path = write(tmp_path, "f.csv", header + filler + line + gap + line + b"\n")
    assert scan(path).collect().height == 2


def test_quoted_text_keeps_its_blank_lines_and_emptiness(tmp_path: Path) -> None:
    path = write(tmp_path, "f.csv", b'a,b\n"x\n\ny","say ""hi"""\n\n"",z\n')
    assert scan(path).collect().rows() == [("x\n\ny", 'say "hi"'), ("", "z")]


def test_blank_lines_of_a_one_column_file_are_nulls(tmp_path: Path) -> None:
    assert scan(write(tmp_path, "f.csv", b"a\n1\n\n3\n")).collect()["a"].to_list() == ["1", None, "3"]


def test_a_header_alone_is_no_rows(tmp_path: Path) -> None:
    frame = scan(write(tmp_path, "f.csv", b"a,b\n")).collect()
    assert (frame.columns, frame.height) == (["a", "b"], 0)


def test_names_that_look_like_a_glob_are_names(tmp_path: Path) -> None:
    assert scan(write(tmp_path, "f[1]*.csv", b"a\n1\n")).collect().height == 1
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "f[1]*.parquet")
    assert scan(str(tmp_path / "f[1]*.parquet")).collect().height == 1


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("f.jsonl", b'{"a": 1}\n{"a": null}\n\n{"b": "x"}\n', [{"a": 1, "b": None}, {"a": None, "b": None}, {"a": None, "b": "x"}]),
        ("f.json", b'[{"a": 1.5}, {"a": 2}]', [{"a": 1.5}, {"a": 2.0}]),
        ("f.json", b'{"a": 1}\n{"a": 2}', [{"a": 1}, {"a": 2}]),
        ("f.json", b"[]", []),
        ("f.ndjson", b'{"a": 1}\n{"a": "x"}\n', [{"a": "1"}, {"a": "x"}]),
        ("f.ndjson", b'{"a": true}\n{"a": 1}\n', [{"a": "true"}, {"a": "1"}]),
        ("f.ndjson", b'{"a": {"b": 1}}\n{"a": 1, "c": 2}\n', [{"a": '{"b": 1}', "c": None}, {"a": "1", "c": 2}]),
        ("f.jsonl", '{"a": "x\u2028y"}\n{"a": [1]}\n'.encode(), [{"a": "x\u2028y"}, {"a": "[1]"}]),
    ],
)
def test_json(tmp_path: Path, name: str, content: bytes, rows: list[dict[str, object]]) -> None:
    assert scan(write(tmp_path, name, content)).collect().to_dicts() == rows


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("f.csv", b"", "empty (0 bytes)"),
        ("f.csv.gz", b"a,b\n1,2\n", "cannot be read as csv.gz"),
        ("f.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 9999, mtime=0)[:-30], "cannot be read as csv.gz"),
        ("f.csv.gz", gzip.compress(b"", mtime=0), "cannot be read as csv.gz"),
        ("f.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("f.csv", "a,b\n1,2\n".encode("utf-16-le"), "UTF-16"),
        ("f.csv", b"a,b\n\xe9,2\n", "utf-8"),
        ("f.csv", b"a,b\n1,2,3\n", "more fields"),
        ("f.csv", b"a,b,a\n1,2,3\n", '"a" (2 times)'),
        ("f.parquet", b"PAR1 is not all", "cannot be read as parquet"),
        ("f.jsonl", b'{"a": 1}\n{"a": \n', ":2: is not JSON"),
        ("f.json", b"[1, 2]", "expected JSON objects"),
        ("f.xlsx", b"PK", 'named "*.xlsx"'),
        ("f", b"a\n1\n", "expected one of .csv"),
    ],
)
def test_what_cannot_be_read_says_where_what_and_why(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(MeasurementError) as caught:
        scan(path)
    assert str(caught.value).startswith(str(path))
    assert told in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="no such file"):
        scan(tmp_path / "absent.csv")
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    with pytest.raises(MeasurementError, match="not a file"):
        scan(folder)
