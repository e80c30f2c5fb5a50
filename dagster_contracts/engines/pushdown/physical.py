"""The types of a table's columns in the words of its database, where the database can be asked for them."""

from __future__ import annotations

from typing import Any

import sqlglot
from ibis.expr import operations as ops
from ibis.expr import types as ir
from sqlglot import exp

from dagster_contracts.core.verdict import Column

ASKED = ("duckdb", "postgres", "pyspark")


def columns(table: ir.Table, backend: Any) -> tuple[tuple[Column, ...], bool]:
    """The columns, and whether their types are those of the database. Else they are those of ibis ("decimal(10, 2)")."""
    if backend.name not in ASKED:
        return tuple(Column(name, str(dtype)) for name, dtype in table.schema().items()), False
    found = {"duckdb": _duckdb, "postgres": _postgres, "pyspark": _spark}[backend.name](
        selected(table, backend).sql(dialect_of(backend)), backend
    )
    return tuple(Column(name, kind) for name, kind in found), True


def dialect_of(backend: Any) -> str:
    """What sqlglot calls the dialect of an ibis backend."""
    return "spark" if backend.name == "pyspark" else str(backend.name)


def selected(table: ir.Table, backend: Any) -> exp.Query:
    """A SELECT of the table as it is stored: ibis would select JSON as text. An expression over tables is what ibis makes of it."""
    stored = table.op()
    if isinstance(stored, ops.DatabaseTable):
        place = exp.table_(stored.name, db=stored.namespace.database, catalog=stored.namespace.catalog, quoted=True)
        return exp.select("*").from_(place)
    return sqlglot.parse_one(backend.compile(table), read=dialect_of(backend))  # type: ignore[return-value]


def _duckdb(sql: str, backend: Any) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in backend.raw_sql(f"DESCRIBE {sql}").fetchall()]


def _postgres(sql: str, backend: Any) -> list[tuple[str, str]]:
    with backend.begin() as cursor:
        cursor.execute(f"SELECT * FROM ({sql}) AS described LIMIT 0")  # noqa: S608  (compiled from an expression)
        return [(column.name, column.type_display) for column in cursor.description]


def _spark(sql: str, backend: Any) -> list[tuple[str, str]]:
    fields = backend.raw_sql(sql).schema.fields
    return [(field.name, field.metadata.get("__CHAR_VARCHAR_TYPE_STRING", field.dataType.simpleString())) for field in fields]
