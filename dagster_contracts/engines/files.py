"""CSV, Parquet and JSON files -> LazyFrame.

A CSV is read as text, without guessing types: the contract decides what a value must be. An empty field is null, "" is empty text;
blank lines are no rows (unless the file has one column); a byte order mark and CRLF are no part of the data.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl

from dagster_contracts.core.errors import MeasurementError

FORMATS = (".csv", ".csv.gz", ".parquet", ".jsonl", ".ndjson", ".json")

_FIRST_ROWS = 100
_BLANK_LINE = re.compile(rb"\n\r?\n")
_QUOTED_OR_BLANK = re.compile(rb'("(?:[^"]|"")*")|(\n)(?:\r?\n)+')


def scan(path: str | Path) -> pl.LazyFrame:
    """The file as a LazyFrame whose first rows have been read.

    Raises MeasurementError, naming the path, what was found and what to do: the file is missing, a folder, empty, of no known
    format, damaged, or names a column twice.
    """
    place = Path(path)
    reader = _READERS.get(_suffix(place))
    if reader is None:
        raise MeasurementError(f'{place}: a file named "*{_suffix(place)}" is not read; expected one of {", ".join(FORMATS)}')
    if not place.is_file():
        raise MeasurementError(f"{place}: {'is not a file' if place.exists() else 'no such file'}; give the path of one data file")
    try:
        if place.stat().st_size == 0:
            raise MeasurementError(f"{place}: the file is empty (0 bytes); expected data, or at least a header; was it written completely?")
        frame = reader(place)
        frame.head(_FIRST_ROWS).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, EOFError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise MeasurementError(f"{place}: cannot be read as {_suffix(place)[1:]}: {reason}; write it again, or check its format") from error
    return frame


def _suffix(path: Path) -> str:
    return "".join(path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:]).lower()


# --- CSV -----------------------------------------------------------------------------------------------------------


def _csv(path: Path) -> pl.LazyFrame:
    with _opened(path) as file:
        names = _header(path, file.readline(1_000_000))
        repeated = [f'"{name}" ({times} times)' for name, times in Counter(names).items() if times > 1]
        if repeated:
            raise MeasurementError(f"{path}: the header names a column more than once: {', '.join(repeated)}; give each column one name")
        source: Path | bytes = path
        if len(names) > 1 and _has_blank_lines(file):
            file.seek(0)
            source = _QUOTED_OR_BLANK.sub(lambda found: found[1] or found[2], file.read())
    return pl.scan_csv(source, infer_schema=False, glob=False)


def _opened(path: Path) -> io.BufferedIOBase:
    return gzip.GzipFile(path) if path.suffix.lower() == ".gz" else path.open("rb")


def _header(path: Path, line: bytes) -> list[str]:
    if b"\x00" in line:
        raise MeasurementError(f"{path}: the first line holds NUL bytes: a binary or UTF-16 file; expected CSV in UTF-8; convert it")
    return next(csv.reader([line.decode("utf-8-sig")]), [])


def _has_blank_lines(file: io.BufferedIOBase) -> bool:
    # Each chunk is read as if a line had ended before it: a blank line is seen wherever it is cut, and seeing one too many costs nothing.
    while chunk := file.read(1 << 20):
        if _BLANK_LINE.search(b"\n" + chunk):
            return True
    return False


# --- Parquet and JSON ----------------------------------------------------------------------------------------------


def _parquet(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False)


def _json(path: Path) -> pl.LazyFrame:
    """JSON lines, or one array of objects. Polars reads them where every field has one type; else the mixed fields become text."""
    text = path.read_bytes().decode("utf-8-sig")
    try:
        if text.lstrip().startswith("["):
            return pl.read_json(io.StringIO(text), infer_schema_length=None).lazy()
        return pl.read_ndjson(io.StringIO(text), infer_schema_length=None).lazy()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return _one_type_per_field(_records(path, text)).lazy()


def _records(path: Path, text: str) -> list[dict[str, object]]:
    if text.lstrip().startswith("["):
        records: list[dict[str, object]] = json.loads(text)
    else:
        records = []
        for number, line in enumerate(text.split("\n"), start=1):
            try:
                records += [json.loads(line)] if line.strip() else []
            except ValueError as error:
                raise MeasurementError(f"{path}:{number}: is not JSON ({error}); expected one JSON object on each line") from error
    if not all(isinstance(record, dict) for record in records):
        raise MeasurementError(f"{path}: expected JSON objects, one for each row; found other values among them")
    return records


def _one_type_per_field(records: list[dict[str, object]]) -> pl.DataFrame:
    names = dict.fromkeys(name for record in records for name in record)
    return pl.DataFrame([_field(name, [record.get(name) for record in records]) for name in names])


def _field(name: str, values: list[object]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 and not kinds & {dict, list}:
        return pl.Series(name, values)
    return pl.Series(name, [v if v is None or isinstance(v, str) else json.dumps(v) for v in values], dtype=pl.String)


_READERS: dict[str, Callable[[Path], pl.LazyFrame]] = {
    ".csv": _csv,
    ".csv.gz": _csv,
    ".parquet": _parquet,
    ".json": _json,
    ".jsonl": _json,
    ".ndjson": _json,
}
