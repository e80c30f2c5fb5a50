"""One table as every kind of data that is measured, and the engine for it.

Some kinds do not hold what they are given, and the product measures what is there. `seen` is the table as the kind holds it:
 - a CSV file holds text: every value is its text form, and the only type is text;
 - pandas with NumPy types has no integers beside nulls (they become floats), and no booleans beside nulls (they become objects).
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa

from dagster_contracts.engines.files.tables import scan
from tests.engines.oracle import BOOL, DATE, DECIMAL, FLOAT, INSTANT, INT, SINGLE, TEXT, ZONED, Table, null

POLARS = {
    TEXT: pl.String(),
    INT: pl.Int64(),
    FLOAT: pl.Float64(),
    SINGLE: pl.Float32(),
    BOOL: pl.Boolean(),
    DATE: pl.Date(),
    INSTANT: pl.Datetime("us"),
    ZONED: pl.Datetime("us", "UTC"),
    DECIMAL: pl.Decimal(12, 2),
}
_POSTGRES = {
    TEXT: "text",
    INT: "bigint",
    FLOAT: "double precision",
    SINGLE: "real",
    BOOL: "boolean",
    DATE: "date",
    INSTANT: "timestamp",
    ZONED: "timestamptz",
    DECIMAL: "numeric(12, 2)",
}
_SPARK = {
    TEXT: "string",
    INT: "long",
    FLOAT: "double",
    SINGLE: "float",
    BOOL: "boolean",
    DATE: "date",
    INSTANT: "timestamp_ntz",
    ZONED: "timestamp",
    DECIMAL: "decimal(12, 2)",
}
_numbers = itertools.count()


@dataclass(frozen=True)
class Held:
    """What a kind of data holds of a table."""

    data: Callable[[], object]  # anew each time: a reader is read once
    seen: Table


@dataclass
class Places:
    """Where tables can be kept: a folder, and connections that are opened when first asked for."""

    folder: Path
    open: dict[str, Callable[[], Any]] = field(default_factory=dict)
    _opened: dict[str, Any] = field(default_factory=dict)

    def connection(self, name: str) -> Any:
        if name not in self._opened:
            self._opened[name] = self.open[name]()
        return self._opened[name]


def as_polars(table: Table) -> pl.DataFrame:
    return pl.DataFrame([pl.Series(name, values, dtype=POLARS[kind], strict=False) for name, (kind, values) in table.items()])


# --- frames --------------------------------------------------------------------------------------------------------


def _eager(table: Table, places: Places) -> Held:
    return Held(lambda: as_polars(table), table)


def _lazy(table: Table, places: Places) -> Held:
    return Held(lambda: as_polars(table).lazy(), table)


def _arrow(table: Table, places: Places) -> Held:
    return Held(lambda: as_polars(table).to_arrow(), table)


def _reader(table: Table, places: Places) -> Held:
    def read() -> pa.RecordBatchReader:
        found = as_polars(table).to_arrow()
        return pa.RecordBatchReader.from_batches(found.schema, found.to_batches())

    return Held(read, table)


def _pandas_arrow(table: Table, places: Places) -> Held:
    return Held(lambda: as_polars(table).to_pandas(use_pyarrow_extension_array=True), table)


def _pandas_objects(table: Table, places: Places) -> Held:
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, (_, values) in table.items()})
    return Held(lambda: frame, {name: ((FLOAT if kind == SINGLE else kind), values) for name, (kind, values) in table.items()})


def _pandas_numpy(table: Table, places: Places) -> Held:
    columns = {}
    seen: Table = {}
    for name, (kind, values) in table.items():
        columns[name], seen[name] = _numpy(kind, values)
    frame = pd.DataFrame(columns)
    return Held(lambda: frame, seen)


def _numpy(kind: str, values: list[object]) -> tuple[pd.Series, tuple[str, list[object]]]:
    nulls = any(map(null, values))
    if kind == INT and nulls:
        floats: list[object] = [None if v is None else float(v) for v in values]  # type: ignore[arg-type]
        return pd.Series(floats, dtype="float64"), (FLOAT, floats)
    dtypes = {TEXT: "str", INT: "int64", FLOAT: "float64", SINGLE: "float32", BOOL: object if nulls else "bool"}
    dtypes |= {DATE: object, DECIMAL: object, INSTANT: "datetime64[us]", ZONED: "datetime64[us, UTC]"}
    return pd.Series(values, dtype=dtypes[kind]), (kind, values)


# --- files ---------------------------------------------------------------------------------------------------------


def _parquet(table: Table, places: Places) -> Held:
    path = places.folder / f"{next(_numbers)}.parquet"
    as_polars(table).write_parquet(path)
    return Held(lambda: scan(path), table)


def _csv(table: Table, places: Places) -> Held:
    path = places.folder / f"{next(_numbers)}.csv"
    seen: Table = {name: (TEXT, [None if value is None else in_csv(value) for value in values]) for name, (_, values) in table.items()}
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(seen)
    for row in zip(*(values for _, values in seen.values()), strict=True):
        file.write(",".join("" if v is None else '"' + str(v).replace('"', '""') + '"' for v in row) + "\n")
    path.write_bytes(file.getvalue().encode())
    return Held(lambda: scan(path), seen)


def in_csv(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, str | int | Decimal) else repr(value)


# --- databases -----------------------------------------------------------------------------------------------------


def _duckdb(table: Table, places: Places) -> Held:
    backend = places.connection("duckdb")
    name = f"t{next(_numbers)}"
    backend.con.register("given", as_polars(table).to_arrow())
    backend.con.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
    return Held(lambda: backend.table(name), table)


def _postgres(table: Table, places: Places) -> Held:
    backend = places.connection("postgres")
    name = f"t{next(_numbers)}"
    typed = ", ".join(f'"{column}" {_POSTGRES[kind]}' for column, (kind, _) in table.items())
    with backend.begin() as cursor:
        cursor.execute(f"CREATE TABLE {name} ({typed})")
        rows = list(zip(*(values for _, values in table.values()), strict=True))
        cursor.executemany(f"INSERT INTO {name} VALUES ({', '.join(['%s'] * len(table))})", rows)
    return Held(lambda: backend.table(name), table)


def _spark(table: Table, places: Places) -> Held:
    backend = places.connection("spark")
    name = f"t{next(_numbers)}"
    typed = ", ".join(f"`{column}` {_SPARK[kind]}" for column, (kind, _) in table.items())
    rows = list(zip(*(values for _, values in table.values()), strict=True))
    backend._session.createDataFrame(rows, typed).createOrReplaceTempView(name)
    return Held(lambda: backend.table(name), table)


FRAMES: dict[str, Callable[[Table, Places], Held]] = {
    "polars": _eager,
    "polars lazy": _lazy,
    "arrow": _arrow,
    "arrow reader": _reader,
    "pandas numpy": _pandas_numpy,
    "pandas objects": _pandas_objects,
    "pandas arrow": _pandas_arrow,
    "parquet": _parquet,
    "csv": _csv,
}
DATABASES: dict[str, Callable[[Table, Places], Held]] = {"duckdb": _duckdb, "postgres": _postgres, "spark": _spark}
KINDS = {**FRAMES, **DATABASES}
