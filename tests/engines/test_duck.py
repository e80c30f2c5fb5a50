"""SQL rules: what they answer on every kind of frame, what they cannot reach, and what becomes of what cannot be answered."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.metrics import ColumnType, Query, TimeText
from dagster_contracts.core.verdict import Figure, Measured, NotApplicable, Unmeasured
from dagster_contracts.engines.sql import duck
from dagster_contracts.engines.sql.duck import measure_queries

FRAME = pl.DataFrame(
    {
        "id": [1, 2, 3],
        "amount": ["5.5", "-3", "n/a"],
        "currency": ["EUR", None, "USD"],
        "rate": [1.0, math.nan, None],
        "day": ["2026-01-01", "2026-01-02", "no day"],
        "paid": ["true", "FALSE", ""],
        "line items": [[1, 2], [], None],
    }
)
LOGICAL = {"id": "integer", "amount": "number", "day": "date", "paid": "boolean", "currency": "string"}
TYPES = tuple((column, ColumnType(logical)) for column, logical in LOGICAL.items())
KINDS: dict[str, Callable[[pl.DataFrame], object]] = {
    "polars": lambda frame: frame,
    "lazy": lambda frame: frame.lazy(),
    "arrow": lambda frame: frame.to_arrow(),
    "pandas": lambda frame: frame.to_pandas(),
}


def ask(sql: str, data: object = FRAME, related: Any = None, **more: Any) -> Measured:
    query = Query(sql, "orders", TYPES)
    return measure_queries(data, [query], related or {}, **more)[query]


def refused(sql: str, related: Any = None) -> str:
    answer = ask(sql, related=related)
    assert isinstance(answer, Unmeasured), answer
    return f"{answer.reason}: {answer.detail}"


# --- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("SELECT count(*) FROM orders", 3),
        ("SELECT count(*) FROM Orders", 3),
        ("SELECT count(currency) FROM orders", 2),
        ("SELECT count(rate) FROM orders", 1),  # NaN counts as null, as in every other rule
        ("SELECT sum(amount) FROM orders", 2.5),  # text is read as the number that the contract says it is
        ("SELECT count(amount) FROM orders", 2),
        ("SELECT count(*) FROM orders WHERE day >= DATE '2026-01-02'", 1),
        ("SELECT count(*) FROM orders WHERE paid", 1),
        ("SELECT max(amount) > 5 FROM orders", 1),
        ("SELECT bool_and(id < 3) FROM orders", 0),
        ("SELECT sum(id)::DECIMAL(10, 2) / 4 FROM orders", 1.5),
        ("SELECT avg(id) FROM orders WHERE id > 99", None),
        ("SELECT count(*) FROM (SELECT * FROM orders) AS o", 3),
        ("SELECT count(o.id) FROM orders AS o NATURAL JOIN orders", 1),
        ("SELECT count(b) FROM orders AS o(a, b)", 2),
        ("SELECT count(orders) FROM orders", 3),  # whole rows
        ("SELECT count(*) FROM orders a JOIN orders b ON a.id < b.id", 3),
        ("WITH o AS (SELECT id FROM orders) SELECT (SELECT count(*) FROM o) + (SELECT sum(id) FROM o)", 9),
        ("FROM orders SELECT max(id)", 3),
        ("SELECT sum(x) FROM orders, unnest(\"line items\") AS u(x)", 3),
        ("SELECT count(*) FROM range(4)", 4),
        ("/* what */ SELECT max(id) FROM main.orders -- why\n;", 3),
        ("SELECT count(*) FROM orders WHERE currency = 'a;b'", 0),
        ("SELECT 7", 7),
    ],
)  # fmt: skip
def test_a_query_answers_one_number(sql: str, answer: float | None, kind: str):
    assert ask(sql, KINDS[kind](FRAME)) == Figure(answer)


def test_a_scan_is_read_in_a_stream_and_only_where_it_is_looked_at(tmp_path: Path):
    rows = 200_000
    pl.DataFrame({"id": range(rows), "kind": ["a", "b"] * (rows // 2)}).write_parquet(tmp_path / "x.parquet", row_group_size=10_000)
    scan = pl.scan_parquet(tmp_path / "x.parquet")
    unread = scan.with_columns(pl.col("kind").map_batches(_fail, return_dtype=pl.String).alias("other"))
    queries = [
        Query("SELECT count(*) FROM orders", "orders"),
        Query("SELECT count(*) FROM orders a JOIN orders b USING (id)", "orders"),  # read twice, from its start
        Query("SELECT count(DISTINCT kind) FROM orders", "orders"),
    ]
    assert list(measure_queries(unread, queries).values()) == [Figure(rows), Figure(rows), Figure(2)]
    broken = measure_queries(unread, [Query("SELECT count(other) FROM orders", "orders")])
    assert [type(answer) for answer in broken.values()] == [Unmeasured]


def _fail(_: pl.Series) -> pl.Series:
    raise ValueError("this column must not be read")


def test_other_objects_of_the_contract_are_loaded_where_a_query_names_them():
    loaded: list[str] = []

    def load(name: str, frame: pl.DataFrame) -> Callable[[], object]:
        def loading() -> object:
            loaded.append(name)
            return frame

        return loading

    related = {"Currencies": load("currencies", pl.DataFrame({"code": ["EUR"]})), "never": load("never", FRAME)}
    assert ask("SELECT count(*) FROM orders WHERE currency NOT IN (SELECT code FROM currencies)", related=related) == Figure(1)
    assert loaded == ["currencies"]


def test_an_object_that_cannot_be_loaded_spoils_its_own_queries_only():
    def missing() -> object:
        raise FileNotFoundError("customers.csv")

    queries = [Query("SELECT count(*) FROM customers", "orders"), Query("SELECT 1", "orders")]
    lost, fine = measure_queries(FRAME, queries, {"customers": missing}).values()
    assert lost == Unmeasured("customers could not be read (FileNotFoundError)", "customers.csv")
    assert fine == Figure(1)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT id FROM orders", "several rows"),
        ("SELECT id FROM orders WHERE id > 9", "no row"),
        ("SELECT 1, 2", "2 columns"),
        ("SELECT 'a'", "a str"),
        ("SELECT [1]", "a list"),
        ("SELECT now()", "a datetime"),
        ("SELECT sum(currency::INT) FROM orders", "ConversionException"),
        ("SELECT count(amuont) FROM orders", 'Referenced column "amuont" not found'),
        ("SELECT error('stop')", "stop"),
    ],
)
def test_what_is_no_number_is_unmeasured(sql: str, words: str):
    assert words in refused(sql)


def test_what_data_is_quoted_stands_in_the_detail_alone():
    answer = ask("SELECT sum(currency::INT) FROM orders")
    assert isinstance(answer, Unmeasured)
    assert "EUR" not in answer.reason
    assert "EUR" in answer.detail


def test_a_column_that_cannot_be_read_is_told():
    frame = pl.DataFrame({"id": [1]}).to_pandas()
    frame["odd"] = [type("Odd", (), {"__str__": lambda _: 1 / 0})()]
    answer = ask("SELECT count(odd) FROM orders", frame)
    assert isinstance(answer, Unmeasured)
    assert ask("SELECT count(id) FROM orders", frame) == Figure(1)


def test_without_duckdb_the_rule_is_not_executed_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert ask("SELECT 1") == NotApplicable(duck.MISSING)
    assert "dagster-contracts[sql]" in duck.MISSING


@given(st.lists(st.none() | st.integers(-(2**62), 2**62), max_size=20))
def test_counts_are_those_of_python(values: list[int | None]):
    frame = pl.DataFrame({"x": values}, schema={"x": pl.Int64})
    present = [value for value in values if value is not None]
    queries = [Query(f"SELECT {what} FROM t", "t") for what in ("count(x)", "count(DISTINCT x)", "max(x)")]
    found = list(measure_queries(frame, queries).values())
    assert found == [Figure(len(present)), Figure(len(set(present))), Figure(max(present) if present else None)]


def test_decimals_dates_and_times_come_as_what_they_are():
    frame = pl.DataFrame({"d": [Decimal("0.1"), Decimal("0.2")], "t": [datetime(2026, 1, 1, tzinfo=UTC), None]})
    assert ask("SELECT sum(d) FROM orders", frame) == Figure(0.3)
    assert ask("SELECT count(*) FROM orders WHERE t < TIMESTAMPTZ '2026-01-02 00:00:00+00'", frame) == Figure(1)


# --- the sandbox ---------------------------------------------------------------------------------------------------


def outside(tmp_path: Path) -> list[str]:
    """What would read, write, load or tell something beyond the tables."""
    csv, parquet, out = tmp_path / "x.csv", tmp_path / "x.parquet", tmp_path / "out"
    csv.write_text("a\n1\n")
    pl.DataFrame({"a": [1]}).write_parquet(parquet)
    return [
        f"SELECT count(*) FROM read_csv('{csv}')",
        f"SELECT count(*) FROM read_csv_auto('{csv}')",
        f"SELECT count(*) FROM '{csv}'",
        f"SELECT count(*) FROM '{parquet}'",
        f"SELECT count(*) FROM read_parquet('{parquet}')",
        f"SELECT count(*) FROM parquet_metadata('{parquet}')",
        f"SELECT count(*) FROM sniff_csv('{csv}')",
        "SELECT length(content) FROM read_text('/etc/passwd')",
        "SELECT count(*) FROM read_blob('/etc/passwd')",
        "SELECT count(*) FROM read_json('/etc/passwd')",
        "SELECT count(*) FROM glob('/etc/*')",
        "SELECT count(*) FROM 'http://localhost/x.parquet'",
        "SELECT count(*) FROM 's3://bucket/x.parquet'",
        "SELECT count(*) FROM sqlite_scan('x.db', 't')",
        "SELECT count(*) FROM postgres_scan('host=localhost', 'public', 't')",
        f"COPY orders TO '{out}'",
        f"COPY (SELECT 1) TO '{out}' (FORMAT parquet)",
        f"EXPORT DATABASE '{out}'",
        f"IMPORT DATABASE '{out}'",
        f"ATTACH '{out}'",
        f"ATTACH '{out}' AS other; SELECT 1",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '/tmp/x.duckdb_extension'",
        "SET threads = 1",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA database_list",
        "PRAGMA enable_profiling",
        "CALL pragma_version()",
        "CREATE TABLE t AS SELECT 1",
        "CREATE TEMP TABLE t (a INT)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE MACRO f(x) AS x",
        "CREATE SECRET s (TYPE s3)",
        "INSERT INTO orders VALUES (1)",
        "UPDATE orders SET id = 1",
        "DELETE FROM orders",
        "DROP VIEW orders",
        "WITH t AS (INSERT INTO orders VALUES (1) RETURNING id) SELECT count(*) FROM t",
        "WITH t AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM t",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW orders",
        "BEGIN",
        "CHECKPOINT",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "DESCRIBE orders",
        "SHOW TABLES",
        "SUMMARIZE orders",
        "SELECT count(*) FROM (DESCRIBE orders)",
        "SELECT count(*) FROM (SHOW ALL TABLES)",
        "PIVOT orders ON currency",
        "USE memory",
        "SELECT getenv('HOME')",
        "SELECT length(current_setting('secret_directory'))",
        "SELECT count(*) FROM duckdb_settings()",
        "SELECT count(*) FROM duckdb_secrets()",
        "SELECT count(*) FROM duckdb_extensions()",
        "SELECT count(*) FROM pg_catalog.pg_tables",
        "SELECT count(*) FROM pg_tables",
        "SELECT count(*) FROM information_schema.tables",
        "SELECT count(*) FROM sqlite_master",
        "SELECT count(*) FROM duckdb_logs",
        "SELECT count(*) FROM memory.main.orders",
        "SELECT count(*) FROM query('SELECT 1')",
        "SELECT count(*) FROM query_table('orders')",
        "SELECT write_log('x')",
        "SELECT (SELECT count(*) FROM orders WHERE id IN (SELECT 1 FROM read_text('/etc/passwd')))",
        "SELECT count(*) FROM orders ORDER BY (SELECT 1 FROM glob('/*'))",
        "SELECT count(*) FROM FRAME",  # a variable of this module
        "SELECT count(*) FROM pandas_scan(1)",
        "SELECT count(*) FROM arrow_scan(NULL, NULL, NULL)",
        "",
        "-- nothing",
        "SELEC 1",
        "SELECT " + "(" * 3000 + "1" + ")" * 3000,
        "SELECT " + "1+" * 50_000 + "1",
    ]


def test_nothing_beyond_the_tables_is_reached(tmp_path: Path):
    attempts = outside(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    reached = {sql: answer for sql in attempts if not isinstance(answer := ask(sql), Unmeasured)}
    assert reached == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert ask("SELECT count(*) FROM orders") == Figure(3)


def test_the_connection_is_locked_even_where_the_text_would_be_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Both locks hold on their own: here nothing is read off the text, and files and settings are out of reach all the same."""
    reading = duck.read_sql

    def lenient(connection: Any, sql: str, tables: Any) -> Any:
        return reading(connection, "SELECT * FROM orders", tables)

    monkeypatch.setattr(duck, "read_sql", lenient)
    (tmp_path / "x.csv").write_text("a\n1\n")
    for sql in (
        f"SELECT count(*) FROM read_csv('{tmp_path}/x.csv')",
        f"SELECT count(*) FROM '{tmp_path}/x.csv'",
        "SELECT count(*) FROM read_text('/etc/passwd')",
        f"COPY orders TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/out.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SELECT count(*) FROM FRAME",
    ):
        assert isinstance(ask(sql), Unmeasured), sql
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
        "SELECT count(*) FROM range(1000000000000)",
        "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c",
        "SELECT count(*) FROM orders, range(1000000000000)",
    ],
)
def test_a_query_without_end_is_ended(sql: str):
    started = time.monotonic()
    assert ask(sql, seconds=0.3) == Unmeasured("the query took longer than 0.3 seconds")
    assert time.monotonic() - started < duck._GRACE


def test_what_takes_more_memory_than_it_may_is_unmeasured():
    answer = ask("SELECT length(repeat('x', 1000000000000))")
    assert isinstance(answer, Unmeasured)


def test_a_query_that_does_not_heed_the_interrupt_is_left_behind(monkeypatch: pytest.MonkeyPatch):
    release = threading.Event()

    def stuck(*_: object) -> Measured:
        release.wait(60)
        return Figure(1)

    monkeypatch.setattr(duck, "_answer", stuck)
    monkeypatch.setattr(duck, "_GRACE", 0.01)
    queries = [Query("SELECT 1", "orders"), Query("SELECT 2", "orders")]
    first, second = measure_queries(FRAME, queries, seconds=0.01).values()
    release.set()
    assert first == Unmeasured("the query took longer than 0.01 seconds")
    assert second == Unmeasured("the query was not run: one before it does not end")


def test_the_callers_frame_and_process_stay_as_they_are():
    frame, environment = FRAME.to_pandas(), dict(os.environ)
    copy = frame.copy()
    ask("SELECT sum(amount), count(*) FROM orders", frame)
    assert frame.equals(copy)
    assert dict(os.environ) == environment
    assert duckdb.sql("SELECT current_setting('enable_external_access')").fetchall() == [(True,)]


# --- what is told --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DROP VIEW orders", "it is not a SELECT, and a sql rule only reads"),
        ("SELECT 1; SELECT 2", "it has 2 statements; a sql rule is one SELECT"),
        ("", "it has 0 statements"),
        ("SELEC 1", 'it is not SQL: syntax error at or near "SELEC"'),
        ("WITH t AS (INSERT INTO orders VALUES (1) RETURNING id) SELECT 1 FROM t", "it writes (insert)"),
        ("SELECT 1 FROM read_csv('x.csv')", "it reads from read_csv(...)"),
        ("SELECT 1 FROM information_schema.tables", "it reads information_schema.tables"),
        ("SELECT 1 FROM oders", 'there is no table oders here, did you mean "orders"?'),
        ("SELECT 1 FROM customers", "there is no table customers here; there is orders, accounts"),
        ("SELECT current_setting('threads')", "it calls current_setting()"),
    ],
)
def test_a_refusal_says_why(sql: str, words: str):
    assert words in refused(sql, related={"accounts": lambda: FRAME})


def test_integers_are_exact() -> None:
    found = ask("SELECT sum(n) FROM orders", pl.DataFrame({"n": [2**53, 1]}))
    assert isinstance(found, Figure)
    assert (type(found.value), found.value) == (int, 2**53 + 1)


def test_times_are_read_in_the_format_and_the_zone_of_the_contract() -> None:
    clock = TimeText("dd/MM/yyyy HH:mm", None, "%d/%m/%Y %H:%M", "Europe/Rome")
    types = (("t", ColumnType("timestamp", clock)), ("d", ColumnType("date", replace(clock, directives="%d/%m/%Y"))))
    types += (("c", ColumnType("time", TimeText("hh:mm a", None, "%I:%M %p"))), ("w", ColumnType("date", TimeText("ww YYYY"))))
    frame = pl.DataFrame({"t": ["13/05/1999 01:00"], "d": ["13/05/1999"], "c": ["01:30 PM"], "w": ["20 1999"]})
    sql = "SELECT count(*) FROM o WHERE t = TIMESTAMP '1999-05-12 23:00' AND d = DATE '1999-05-13' AND c = TIME '13:30' AND w = '20 1999'"
    query = Query(sql, "o", types)
    assert measure_queries(frame, [query]) == {query: Figure(1)}


@pytest.mark.parametrize("sql", ["SELECT 9007199254740993", "SELECT 9007199254740993::DECIMAL(38, 0)", "SELECT 9007199254740993::HUGEINT"])
def test_integers_stay_exact(sql: str):
    answer = ask(sql)
    assert isinstance(answer, Figure)
    assert (answer.value, type(answer.value)) == (9007199254740993, int)


def test_a_query_without_a_row_says_what_that_means():
    assert "a condition leaves nothing" in refused("SELECT id FROM orders WHERE id > 9")
