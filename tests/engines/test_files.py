"""Reading data files: what is text, what is null, and what a person is told of a file that cannot be read."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.errors import MeasurementError
from dagster_contracts.core.metrics import EACH, ColumnType, Duplicates, Metric, Nested, Newest, Nulls, Query, RowCount, TypeBreaches
from dagster_contracts.core.verdict import Count, Figure, Instant, Measurement, Unmeasured
from dagster_contracts.engines.files import csv_lines, json_depth
from dagster_contracts.engines.files.engine import FilesEngine
from dagster_contracts.engines.files.tables import scan
from dagster_contracts.engines.local import LocalEngine
from dagster_contracts.engines.sql.duck import measure_queries

ENGINE = FilesEngine(LocalEngine())

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


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (b'"chan\'nel ""\xc3\xbc""",b', ['chan\'nel "\u00fc"', "b"]),
        (b'\xef\xbb\xbf"""a""",b', ['"a"', "b"]),
        (b'a""b,c', ['a""b', "c"]),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_doubled_quotes_are_one_in_a_quoted_name_and_as_written_in_another(
    tmp_path: Path, header: bytes, names: list[str], packed: bool
) -> None:
    content = header + b"\n1,2\n"
    frame = scan(write(tmp_path, "f.csv.gz" if packed else "f.csv", gzip.compress(content) if packed else content))
    assert frame.collect_schema().names() == names
    assert frame.collect().rows() == [("1", "2")]
    assert frame.select(names[1]).collect().rows() == [("2",)]


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
        ("f.ndjson", b'{"a": 1}\n{"a": "x"}\n', [{"a": 1}, {"a": "x"}]),
        ("f.ndjson", b'{"a": true}\n{"a": 1}\n', [{"a": True}, {"a": 1}]),
        ("f.ndjson", b'{"a": true, "b": 1}\n{"a": {}, "b": 2.5}\n', [{"a": True, "b": 1.0}, {"a": {}, "b": 2.5}]),
        ("f.ndjson", b'{"a": {"b": 1}}\n{"a": 1, "c": 2}\n', [{"a": {"b": 1}, "c": None}, {"a": 1, "c": 2}]),
        ("f.jsonl", '{"a": "x\u2028y"}\n{"a": [1]}\n'.encode(), [{"a": "x\u2028y"}, {"a": [1]}]),
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
        ("f.csv.gz", gzip.compress(b"", mtime=0), "has no header"),
        ("f.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("f.csv", "a,b\n1,2\n".encode("utf-16-le"), "UTF-16"),
        ("f.csv", b"a,b\n\xe9,2\n", "not UTF-8"),
        ("f.csv", b"a,b\n1,2,3\n", "line 2 has 3 fields, the header 2"),
        ("f.csv", b"a,b,a\n1,2,3\n", '"a" (2 times)'),
        ("f.csv", b"a,b\n1,2\n3\n4,5\n", "line 3 has 1 fields, the header 2"),
        ("f.csv", b"a,b\n1,2\n3", "line 3 has 1 fields, the header 2"),
        ("f.csv", b"a,b\n1,2\n" * 200_000 + b"3,4,5\n", "line 400,001 has 3 fields"),
        ("f.csv", b"a,b\n1,\x002\n", "holds NUL bytes"),
        ("f.csv", b"a,b\n" + b"1,2\n" * 500_000 + b"1,\xff\n", "not UTF-8"),
        ("f.csv", b"a,b\n1,caf\xc3", "not UTF-8"),
        ("f.csv", b'a,b\n1,"x\n2,3\n', "a quote that is opened after line 1 is never closed"),
        ("f.csv", b"a,b\r1,2\r3,4\r", "the header cannot be read as CSV"),
        ("f.csv", b"\na,b\n", "has no header"),
        ("f.csv", b"a," * 3_000_000, "the header is longer than 1 MiB"),
        ("f.csv", bytes(range(1, 256)) * 20, "not UTF-8"),
        ("f.parquet", b"PAR1 is not all", "cannot be read as parquet"),
        ("f.parquet", b"a,b\n1,2\n", "cannot be read as parquet"),
        ("f.json", b'{"a":' * 100_000, "is nested 100,000 levels deep"),
        ("f.jsonl", b'{"a":' * 1000 + b"1" + b"}" * 1000, "is nested 1,000 levels deep"),
        ("f.jsonl", b'{"a": "\xff"}', "cannot be read as jsonl"),
        ("f.jsonl", '{"a": 1}'.encode("utf-16"), "cannot be read as jsonl"),
        ("f.json", b'[{"a": 1}, {"a"', "cannot be read as json"),
        ("f.jsonl", b'{"a": 1}\n{"a": \n', ":2: is not JSON"),
        ("f.json", b"[1, 2]", "expected JSON objects"),
        ("f.jsonl", b'{"i": 1}\n{"i": 1, "\\u0069": 2.5}\n', ':2: an object names a field more than once: "i" (2 times)'),
        ("f.jsonl", b'{"i": 1, "i": "x"}\n', '"i" (2 times)'),
        ("f.jsonl", b'{"i": {"a": 1, "b": 2, "a": 1}}\n{"i": 5}\n', ':1: an object names a field more than once: "a" (2 times)'),
        ("f.json", b'[{"i": 1, "j": [{"a": null, "a": null}]}]', '"a" (2 times)'),
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


def test_a_line_that_never_ends_is_refused_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_lines, "LONGEST", 5 << 20)
    path = write(tmp_path, "f.csv", b'a,b\n1,2\n"' + b"x\n" * (4 << 20))
    with pytest.raises(MeasurementError, match="the line after line 2 is longer than 5 MiB; is a quote left open"):
        scan(path)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5) | st.sampled_from(
    ["", ",", '"', "\n", "\r\n", '","', "é"]
)


@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=6), block=st.integers(1, 40), ends=st.sampled_from(["\n", "\r\n"]))
def test_every_csv_that_is_written_well_is_accepted_however_it_is_cut(rows: list[list[str]], block: int, ends: str) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator=ends, quoting=csv.QUOTE_MINIMAL).writerows([["a", "b", "c"], *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_lines, "_BLOCK", block)
        assert csv_lines.survey("f.csv", io.BytesIO(text.getvalue().encode()), 3) is False


@given(
    before=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=4),
    odd=st.lists(CELLS, min_size=1, max_size=5).filter(lambda row: len(row) != 3 and any(row)),
    block=st.integers(1, 40),
)
def test_a_line_of_another_length_is_told_with_its_number(before: list[list[str]], odd: list[str], block: int) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["a", "b", "c"], *before, odd, ["1", "2", "3"]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_lines, "_BLOCK", block)
        with pytest.raises(MeasurementError, match=f"line {len(before) + 2} has {len(odd)} fields, the header 3"):
            csv_lines.survey("f.csv", io.BytesIO(text.getvalue().encode()), 3)


def _nested(value: object) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if below is None else 1 + max(map(_nested, below), default=0)


@given(
    st.recursive(
        st.text(st.sampled_from('\\"[]{}é'), max_size=6) | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.sampled_from('\\"[{'), max_size=3), inner, max_size=3),
    )
)
def test_the_depth_of_json_counts_no_brackets_in_text(value: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_depth, "_BLOCK", 5)
        assert json_depth.depth(json.dumps(value, ensure_ascii=False).encode()) == _nested(value)


def test_a_parquet_file_that_is_cut_anywhere_is_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pl.DataFrame({"a": list(range(5000)), "b": [str(n % 7) for n in range(5000)]}).write_parquet(path, row_group_size=1000)
    whole = path.read_bytes()
    for part in range(1, 40):
        path.write_bytes(whole[: len(whole) * part // 40])
        assert isinstance(ENGINE.measure(path, [RowCount()]), Unmeasured)


@pytest.mark.parametrize("compression", ["zstd", "snappy", "uncompressed"])
def test_a_parquet_file_with_a_hole_is_not_measured_where_a_rule_looks(tmp_path: Path, compression: Any) -> None:
    path = tmp_path / "f.parquet"
    pl.DataFrame({"a": [f"{n * 7919 % 5000}" for n in range(5000)]}).write_parquet(path, compression=compression, statistics=False)
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(200) + whole[204:])  # where the first page begins
    found = ENGINE.measure(path, [Duplicates(("a",))])
    assert isinstance(found, Unmeasured) or isinstance(found.values[Duplicates(("a",))], Unmeasured)


def test_special_files_and_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(MeasurementError, match="named pipe"):
        scan(tmp_path / "pipe.csv")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(MeasurementError, match=r"loop\.csv"):
        scan(tmp_path / "loop.csv")
    path = write(tmp_path, "f.csv", b"a\n1\n")

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(MeasurementError, match="Permission denied"):
        scan(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="no such file"):
        scan(tmp_path / "absent.csv")
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    with pytest.raises(MeasurementError, match="not a file"):
        scan(folder)


@pytest.mark.parametrize("bad", ["none", 7, {"sku": "x"}, []], ids=str)
def test_one_bad_value_among_objects_is_one(tmp_path: Path, bad: object) -> None:
    rows = [{"id": n, "item": {"sku": n, "tags": ["a"]}} for n in range(19)] + [{"id": 19, "item": bad}]
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    metrics = [TypeBreaches("item", "object"), Nested("item", ("sku",), TypeBreaches("item.sku", "integer")), Nulls("item")]
    is_object = isinstance(bad, dict)
    found = ENGINE.measure(path, metrics)
    assert isinstance(found, Measurement)
    assert list(found.values.values()) == [Count(0 if is_object else 1), Count(1 if is_object else 0), Count(0)]
    assert ENGINE.samples(path, metrics)[metrics[is_object]].rows[0]["id"] == 19


def test_one_bad_value_within_objects_is_one(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"item": {"tags": ["a"], "n": 1}} for _ in range(19)]
    path = write(tmp_path, "f.json", json.dumps([*rows, {"item": {"tags": "a", "n": 2}}]).encode())
    metrics = [Nested("item", ("tags",), TypeBreaches("item.tags", "array")), Nested("item", ("n",), TypeBreaches("item.n", "integer"))]
    found = ENGINE.measure(path, metrics)
    assert isinstance(found, Measurement)
    assert list(found.values.values()) == [Count(1), Count(0)]


@pytest.mark.parametrize(("name", "content"), [("f.jsonl", b""), ("f.ndjson", b"\n"), ("f.json", b"[]"), ("f.json", b" [ ]\n")])
def test_json_without_a_row_has_no_column_that_is_missing(tmp_path: Path, name: str, content: bytes) -> None:
    path = write(tmp_path, name, content)
    metrics = [
        TypeBreaches("a", "integer"),
        Nested("b", ("c", EACH), Nulls("b")),
        Duplicates(("a", "b")),
        Newest("d"),
        Query("SELECT count(*) FROM t WHERE e = 'x' AND a > 1", "t", (("a", ColumnType("integer")),)),
    ]
    found = ENGINE.measure(path, metrics)
    assert isinstance(found, Measurement)
    assert (found.rows, found.columns, found.columns_told) == (0, (), False)
    assert [found.values[metric] for metric in metrics] == [Count(0), Count(0), Count(0), Instant(None), Figure(0)]
    assert ENGINE.samples(path, metrics) == {}


@pytest.mark.parametrize("odd", [12345, 1.5, True])
@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("path", [(), ("addr", "zip"), ("all", EACH)])
def test_what_is_no_text_among_text_is_no_string(tmp_path: Path, odd: object, array: bool, path: tuple[str, ...]) -> None:
    def row(value: object) -> dict[str, object]:
        held: object = {"addr": {"zip": value}, "all": ["x", value]} if path else value
        return {"id": 1, "user": held, "note": "[x"}

    rows = [json.dumps(row(value)) for value in [*[None, "01234"] * 150, odd]]
    file = write(tmp_path, "f.json", (f"[{','.join(rows)}]" if array else "\n".join(rows)).encode())
    metric = TypeBreaches("user", "string")
    asked: Metric = Nested("user", path, metric) if path else metric
    found = ENGINE.measure(file, [asked, TypeBreaches("note", "string"), TypeBreaches("id", "integer")])
    assert isinstance(found, Measurement)
    assert list(found.values.values()) == [Count(1), Count(0), Count(0)]
    assert [str(value).lower() for value, _ in ENGINE.samples(file, [asked])[asked].values] == [str(odd).lower()]


def test_sql_sees_mixed_values_of_json_as_json(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text('[{"a": {"b": "x"}}, {"a": "none"}]')
    query = Query("""SELECT count(*) FROM t WHERE a IN ('{"b": "x"}', 'none')""", "t")
    assert measure_queries(scan(path), [query]) == {query: Figure(2)}
