"""CSV, Parquet and JSON files -> LazyFrame.

A CSV is read as text, without guessing types: the contract decides what a value must be. An empty field is null, "" is empty text;
blank lines are no rows (unless the file has one column); a byte order mark and CRLF are no part of the data.

Several Parquet files are one table of the same columns; folders named key=value between the set and a file are columns of text.
"""

from __future__ import annotations

import gzip
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, cast
from urllib.parse import unquote

import polars as pl

from dagster_contracts.engines.files import csv_lines, json_rows, s3
from dagster_contracts.engines.files.places import File, Unreadable, files_of

FORMATS = (".csv", ".csv.gz", ".parquet", ".jsonl", ".ndjson", ".json")

_MAY_BE_EMPTY = (".jsonl", ".ndjson")  # a line for each row, and nothing else
_QUOTED_OR_BLANK = re.compile(rb'("(?:[^"]|"")*")|(\n)(?:\r?\n)+')
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # how Hive and Spark write null in the name of a folder
_PATH = "\x00path"
_FAILURES = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, EOFError, ValueError, RecursionError)


def is_tabular(name: str) -> bool:
    """Whether a file of this name is read as a table."""
    return _suffix(name) in FORMATS


def is_parquet(name: str) -> bool:
    return _suffix(name) == ".parquet"


def is_json(name: str) -> bool:
    return _READERS.get(_suffix(name)) is _json


def is_void(frame: pl.LazyFrame) -> bool:
    """Whether it has neither rows nor columns."""
    return not frame.collect_schema() and not frame.collect().height


def scan(path: str | Path) -> pl.LazyFrame:
    """One local file as a LazyFrame; its header, footer or lines have been checked.

    Raises Unreadable (a MeasurementError), naming the path, what was found and what to do: the file is missing, a folder, empty, of
    no known format, damaged, or names a column twice.
    """
    place = Path(path)
    require_tabular(place.name, str(place))
    if place.is_dir():
        raise Unreadable(f"{place}: is not a file; give the path of one data file")
    return table(files_of(place), ExitStack())  # nothing of a local file is left to close


def require_tabular(name: str, place: str) -> None:
    """Raises Unreadable where a file of this name is not read as a table."""
    if not is_tabular(name):
        raise Unreadable(
            f'{place}: a file named "*{_suffix(name)}" is not read; expected one of {", ".join(FORMATS)}; '
            "where the contract is about the file itself, let it say `physicalType: files`"
        )


def table(files: Sequence[File], stack: ExitStack) -> pl.LazyFrame:
    """One file of any format, or several of Parquet, as a LazyFrame that can be collected until `stack` closes. Raises Unreadable."""
    for file in files:
        if file.problem is not None:
            raise Unreadable(f"{file.address}: {file.problem}; is not a file that can be read")
        if file.size == 0 and _suffix(file.name) not in _MAY_BE_EMPTY:
            raise Unreadable(
                f"{file.address}: the file is empty (0 bytes); expected data, or at least a header; was it written completely?"
            )
    place, form = files[0].address, _suffix(files[0].name)
    try:
        return _parquet(files) if form == ".parquet" else _READERS[form](place, _local(files[0], stack))
    except _FAILURES as error:
        if isinstance(error, Unreadable):
            raise
        reason = str(error).strip().partition("\n")[0]
        raise Unreadable(f"{place}: cannot be read as {form[1:]}; write it again, or check its format", reason) from error


def _suffix(name: str) -> str:
    path = PurePosixPath(name)
    return "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]).lower()


def _local(file: File, stack: ExitStack) -> Path:
    """Where the file lies on this machine: an object of S3 is copied to a temporary folder first."""
    if file.local is not None:
        return file.local
    folder = stack.enter_context(TemporaryDirectory(prefix="dagster-contracts-"))
    copy = Path(folder, f"object{_suffix(file.name)}")
    with file.open() as source, copy.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return copy


# --- CSV -----------------------------------------------------------------------------------------------------------


def _csv(place: str, path: Path) -> pl.LazyFrame:
    with _opened(path) as file:
        names = csv_lines.header(place, file)
        if not names:
            raise Unreadable(f"{place}: has no header (the first line is blank); expected the column names; was it written completely?")
        repeated = [f'"{name}" ({times} times)' for name, times in Counter(names).items() if times > 1]
        if repeated:
            raise Unreadable(f"{place}: the header names a column more than once: {', '.join(repeated)}; give each column one name")
        file.seek(0)
        source: Path | bytes = path
        if csv_lines.survey(place, file, len(names)) and len(names) > 1:
            file.seek(0)
            source = _QUOTED_OR_BLANK.sub(lambda found: found[1] or found[2], file.read())
    undoubled = (lambda _: names) if any('"' in name for name in names) else None  # Polars leaves doubled quotes in a quoted name
    return pl.scan_csv(source, infer_schema=False, glob=False, with_column_names=undoubled)


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.GzipFile(path)) if path.suffix.lower() == ".gz" else path.open("rb")


# --- Parquet -------------------------------------------------------------------------------------------------------


def _parquet(files: Sequence[File]) -> pl.LazyFrame:
    sources = [str(file.local or file.address) for file in files]
    options = None if files[0].local is not None else s3.storage_options()
    keys = _partition_keys(files)
    frame = pl.scan_parquet(
        sources, glob=False, hive_partitioning=False, storage_options=options, include_file_paths=_PATH if keys else None
    )
    frame.collect_schema()  # reads the footer: what is no Parquet is told before anything is measured
    values = [_partition(file) for file in files]
    columns = [_column_of(key, dict(zip(sources, values, strict=True))) for key in keys]
    return frame.with_columns(columns).drop(_PATH) if keys else frame


def _partition_keys(files: Sequence[File]) -> list[str]:
    return list(dict.fromkeys(key for file in files for key in _partition(file)))


def _partition(file: File) -> dict[str, str | None]:
    """The values in the names of the folders above a file: year=2026/month=01."""
    parts = [folder.partition("=") for folder in PurePosixPath(file.name).parts[:-1] if "=" in folder]
    return {unquote(key): None if value == _NO_VALUE else unquote(value) for key, _, value in parts}


def _column_of(key: str, partitions: dict[str, dict[str, str | None]]) -> pl.Expr:
    values = [found.get(key) for found in partitions.values()]
    return pl.col(_PATH).replace_strict(list(partitions), values, return_dtype=pl.String).alias(key)


def _json(place: str, path: Path) -> pl.LazyFrame:
    return json_rows.read(place, path).lazy()


_READERS: dict[str, Callable[[str, Path], pl.LazyFrame]] = {
    ".csv": _csv,
    ".csv.gz": _csv,
    ".json": _json,
    ".jsonl": _json,
    ".ndjson": _json,
}
