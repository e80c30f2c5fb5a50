"""SQL rules: each query is one SELECT over the batch, answered by DuckDB in process. It cannot reach anything but its tables.

The database is empty, in memory, and locked: no file, network, extension, secret or Python variable is in its reach, it spills nothing
to disk, and its settings cannot be changed. `sql_reading` refuses what is not one SELECT over the tables of the contract. Each query
has a limit of time, after which it is interrupted; DuckDB looks up between its steps only, and one that does not is left to itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from dagster_contracts.core.errors import MeasurementError
from dagster_contracts.core.metrics import ColumnType, Query
from dagster_contracts.core.verdict import Measured, NotApplicable, Unmeasured
from dagster_contracts.engines.polars.frames import FAILURES, UnsupportedFrame, read
from dagster_contracts.engines.sql.answers import one_number
from dagster_contracts.engines.sql.columns import strange_columns
from dagster_contracts.engines.sql.reading import Reading, Refused, read_sql
from dagster_contracts.engines.typed import typed
from dagster_contracts.ports import NO_OTHERS, Related

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

Loaders = Mapping[str, Callable[[], object]]

SECONDS = 120.0  # for one query
MISSING = 'DuckDB is not installed, and sql rules run in it: pip install "dagster-contracts[sql]"'

_GRACE = 5.0  # seconds that an interrupted query has to notice
_LOCKED = {
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "allow_unsigned_extensions": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "memory_limit": "50%",  # of the machine's; what a query holds beyond its tables
    "python_enable_replacements": "false",
    "temp_directory": "",
}


def measure_queries(
    data: object, queries: Sequence[Query], related: Related = NO_OTHERS, *, seconds: float = SECONDS
) -> dict[Query, Measured]:
    """The one number that each query answers: true and false are 1 and 0, null is a Figure of nothing.

    `data` is a frame that can be read more than once (no RecordBatchReader). Of it and of `related` only the columns that the queries
    name are read, scans in a stream. What is refused, fails or takes longer than `seconds` is Unmeasured; never raises for data.
    """
    try:
        import duckdb
    except ImportError:
        return dict.fromkeys(queries, NotApplicable(MISSING))
    own = {query.name for query in queries}
    loaders: Loaders = {**dict.fromkeys(own, lambda: data), **{name: load for name, load in related.items() if name not in own}}
    connection = duckdb.connect(":memory:", config=dict(_LOCKED))
    readings = {query: _reading(connection, query, list(loaders)) for query in queries}
    runnable = [reading for reading in readings.values() if isinstance(reading, Reading)]
    types = {query.name.lower(): {name: kind for each in queries for name, kind in each.types} for query in queries}
    unread = _hand_over(connection, {name.lower(): load for name, load in loaders.items()}, runnable, types)
    connection.execute("SET lock_configuration = true")
    answers: dict[Query, Measured] = {}
    running: threading.Thread | None = None
    for query, reading in readings.items():
        if isinstance(reading, Unmeasured):
            answers[query] = reading
        elif (flaw := next((unread[name] for name in sorted(reading.tables) if name in unread), None)) is not None:
            answers[query] = flaw
        elif running is not None:
            answers[query] = Unmeasured("the query was not run: one before it does not end")
        else:
            answers[query], running = _within(connection, query.sql, seconds)
    if running is None:
        connection.close()
    return answers


def _reading(connection: DuckDBPyConnection, query: Query, tables: Sequence[str]) -> Reading | Unmeasured:
    try:
        return read_sql(connection, query.sql, tables)
    except Refused as why:
        return Unmeasured(f"the query is not run: {why}")


def refusals(queries: Sequence[Query], others: Sequence[str]) -> dict[Query, str] | None:
    """Why queries would not be run, beside tables named `others`; no data is needed. None where DuckDB is not installed."""
    try:
        import duckdb
    except ImportError:
        return None
    with duckdb.connect(":memory:", config=dict(_LOCKED)) as connection:
        tables = {query: list({name.lower(): name for name in (*others, query.name)}.values()) for query in queries}
        read = {query: _reading(connection, query, tables[query]) for query in queries}
    return {query: why.reason for query, why in read.items() if isinstance(why, Unmeasured)}


def strangers(queries: Sequence[Query], columns: Mapping[str, Collection[str]]) -> dict[Query, list[tuple[str, list[str]]]]:
    """Columns (with those that could be meant) that queries name and `columns`, by table, do not hold. Nothing without DuckDB."""
    try:
        import duckdb
    except ImportError:
        return {}
    with duckdb.connect(":memory:", config=dict(_LOCKED)) as connection:
        found = {query: strange_columns(connection, query.sql, columns) for query in queries}
    return {query: strange for query, strange in found.items() if strange}


# --- tables --------------------------------------------------------------------------------------------------------


def _hand_over(
    connection: DuckDBPyConnection, loaders: Loaders, readings: Sequence[Reading], types: Mapping[str, Mapping[str, ColumnType]]
) -> dict[str, Unmeasured]:
    """Register each table (by name in lower case) that a query reads; why not, of those that cannot be read."""
    unread: dict[str, Unmeasured] = {}
    loaded: dict[str, tuple[object, list[str]]] = {}
    for name in sorted({name for reading in readings for name in reading.tables}):
        try:
            data = loaders[name]()
            loaded[name] = data, [column.name for column in read(data, ()).columns]
        except FAILURES as error:
            unread[name] = _unreadable(name, error)
    for name, (data, columns) in loaded.items():
        using = [reading for reading in readings if name in reading.tables]
        needed = {column for reading in using for column in reading.needs(columns, _columns_of(reading, loaded))}
        try:
            connection.register(name, _source(data, needed or set(columns[:1]), types.get(name, {})))
        except FAILURES as error:
            unread[name] = _unreadable(name, error)
    return unread


def _columns_of(reading: Reading, loaded: Mapping[str, tuple[object, list[str]]]) -> set[str]:
    return {column.lower() for name in reading.tables if name in loaded for column in loaded[name][1]}


def _source(data: object, columns: Collection[str], types: Mapping[str, ColumnType]) -> pa.Table | _Stream:
    frame = read(data, columns)
    if frame.unreadable:
        raise MeasurementError(next(iter(frame.unreadable.values())))
    lazy = typed(frame, types)
    return _Stream(lazy) if frame.out_of_core else lazy.collect().to_arrow()


def _unreadable(name: str, error: BaseException) -> Unmeasured:
    if isinstance(error, UnsupportedFrame | MeasurementError):
        return Unmeasured(f"{name} could not be read: {error}")
    return Unmeasured(f"{name} could not be read ({type(error).__name__})", _first_line(error))


@dataclass(frozen=True, slots=True)
class _Stream:
    """A scan as Arrow, from its start whenever DuckDB asks: a query may read a table several times."""

    lazy: pl.LazyFrame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        import pyarrow as pa

        schema = self.lazy.head(0).collect().to_arrow().schema
        reader = pa.RecordBatchReader.from_batches(schema, self._batches(schema))
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for frame in self.lazy.collect_batches():
            yield from frame.to_arrow().cast(schema).to_batches()


# --- answers -------------------------------------------------------------------------------------------------------


def _within(connection: DuckDBPyConnection, sql: str, seconds: float) -> tuple[Measured, threading.Thread | None]:
    """The query's answer; with the thread that is still at it, where it does not heed an interrupt."""
    found: list[Measured] = []
    thread = threading.Thread(target=lambda: found.append(_answer(connection, sql)), name="dagster-contracts sql rule", daemon=True)
    thread.start()
    thread.join(seconds)
    if not thread.is_alive():
        return found[0], None
    connection.interrupt()
    thread.join(_GRACE)
    return Unmeasured(f"the query took longer than {seconds:g} seconds"), thread if thread.is_alive() else None


def _answer(connection: DuckDBPyConnection, sql: str) -> Measured:
    try:
        answered = connection.execute(sql)
        rows = answered.fetchmany(2)
        width = len(answered.description or ())
        answered.abort()  # whatever rows there are beyond two
    except FAILURES as error:
        return Unmeasured(f"DuckDB could not answer the query ({type(error).__name__})", _first_line(error))
    return one_number(rows, width)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
