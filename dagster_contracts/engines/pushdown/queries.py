"""Rules in SQL, answered by the database that the table lives in, in its own dialect. The batch and other objects are tables by name.

A query is one SELECT over the contract's tables; anything else is refused before the database sees it. PostgreSQL runs it in a read-only
transaction with a limit of time.
"""

from __future__ import annotations

from typing import Any

import sqlglot
from ibis.expr import types as ir
from sqlglot import exp
from sqlglot.errors import SqlglotError

from dagster_contracts.core.errors import did_you_mean
from dagster_contracts.core.metrics import Query
from dagster_contracts.core.verdict import Measured, Unmeasured
from dagster_contracts.engines.pushdown.asking import Source
from dagster_contracts.engines.pushdown.patterns import Inexpressible
from dagster_contracts.engines.pushdown.physical import dialect_of, selected
from dagster_contracts.engines.sql.answers import one_number
from dagster_contracts.ports import Related

SECONDS = 60
_WRITES = (exp.DML, exp.DDL, exp.Drop, exp.Alter, exp.Command, exp.Into, exp.Lock, exp.Set, exp.Copy, exp.Pragma)
_LOOKS_BEYOND = ("pg_", "lo_", "dblink", "set_config", "current_setting", "nextval", "setval", "getenv", "query_to_xml", "read_", "system$")


def answer(source: Source, backend: Any, query: Query, related: Related) -> Measured:
    """The one number that the query answers; true and false are 1 and 0, null is a Figure of nothing. Raises what the database raises."""
    dialect = dialect_of(backend)
    try:
        sql = _placed(source, backend, query, related, dialect).sql(dialect)
    except Inexpressible as error:
        return Unmeasured(f"the query is not run: {error}")
    rows = _run(sql, backend)
    return one_number(rows, len(rows[0]) if rows else 1)


def _placed(source: Source, backend: Any, query: Query, related: Related, dialect: str) -> exp.Query:
    """The query with each table that it names as a common table expression before it."""
    parsed = _read(query.sql, dialect)
    own = {cte.alias.lower() for cte in parsed.find_all(exp.CTE)}
    known = {**{name.lower(): name for name in related}, query.name.lower(): query.name}
    named = {_table(table, own | set(known), [*related, query.name]) for table in parsed.find_all(exp.Table)}
    placed = []
    for name in sorted(named & set(known)):
        table = source.table if name == query.name.lower() else related[known[name]]()
        if not isinstance(table, ir.Table) or table.get_backend() is not backend:
            raise Inexpressible(f"{known[name]} is no table of the same connection")
        placed.append(exp.CTE(this=selected(table, backend), alias=exp.TableAlias(this=exp.to_identifier(known[name]))))
    whole = exp.select("*").from_(parsed.subquery("answered"))
    whole.set("with_", exp.With(expressions=placed)) if placed else None
    return whole


def _read(sql: str, dialect: str) -> exp.Query:
    try:
        statements = sqlglot.parse(sql, read=dialect)
    except SqlglotError as error:
        raise Inexpressible(f"it is not SQL of {dialect}: {str(error).partition('.')[0]}") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise Inexpressible("it is not one SELECT, and a sql rule only reads")
    for node in statements[0].walk():
        if isinstance(node, _WRITES):
            raise Inexpressible(f"it has {type(node).__name__.upper()}, and a sql rule only reads")
        if isinstance(node, exp.Anonymous) and node.name.lower().startswith(_LOOKS_BEYOND):
            raise Inexpressible(f"it calls {node.name}(), which looks beyond the data")
    return statements[0]


def _table(table: exp.Table, known: set[str], told: list[str]) -> str:
    if not isinstance(table.this, exp.Identifier):
        raise Inexpressible("it reads from a function; a sql rule reads the tables of its contract")
    if table.db or table.catalog or table.name.lower() not in known:
        near = did_you_mean(table.name, told)
        raise Inexpressible(f"there is no table {table.sql()}{near or ';'} the contract has {', '.join(told)}")
    return table.name.lower()


def _run(sql: str, backend: Any) -> list[tuple[Any, ...]]:
    """At most two rows."""
    if backend.name == "postgres":
        with backend.begin() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(f"SET LOCAL statement_timeout = {SECONDS * 1000}")
            cursor.execute(sql)
            return list(cursor.fetchmany(2))
    found = backend.raw_sql(sql)
    return [tuple(row) for row in (found.take(2) if backend.name == "pyspark" else found.fetchmany(2))]
