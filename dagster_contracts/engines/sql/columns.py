"""Columns that a query names and the contract does not know, where that can be told without running it: of one SELECT over tables of the
contract, joined perhaps, with nothing in it that makes columns of its own."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dagster_contracts.engines.sql.reading import nodes_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MAKES_COLUMNS = ("LAMBDA", "TABLE_FUNCTION", "SUBQUERY", "EXPRESSION_LIST", "PIVOT", "COLUMN_DATA", "POSITIONAL_REFERENCE")
_NO_COLUMNS = ("current_", "localtime", "rowid", "user", "session_user")  # what the parser takes for one, and is none


def strange_columns(connection: DuckDBPyConnection, sql: str, columns: Mapping[str, Collection[str]]) -> list[tuple[str, list[str]]]:
    """Names of columns that none of the query's tables has, each with the names that could be meant. `columns` is by table. Empty where
    the query is not simple enough to tell."""
    ((text,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    parsed = json.loads(text)
    if parsed["error"] or len(parsed["statements"]) != 1:
        return []
    nodes = list(nodes_of(parsed["statements"][0]))
    tables = _tables(nodes, {name.lower(): list(given) for name, given in columns.items()})
    if tables is None:
        return []
    aliases = {str(node["alias"]).lower() for node in nodes if node.get("alias")}
    return list(_strange(nodes, tables, aliases))


def _tables(nodes: list[dict[str, Any]], columns: Mapping[str, list[str]]) -> dict[str, list[str]] | None:
    """The columns of each table by what the query calls it; None where there is more than tables, or nothing is known of one."""
    kinds = [str(node.get("type", "")) for node in nodes]
    if kinds.count("SELECT_NODE") != 1 or any(
        kind in _MAKES_COLUMNS or (kind.endswith("_NODE") and kind != "SELECT_NODE") for kind in kinds
    ):
        return None
    if any(node.get("column_name_alias") for node in nodes):
        return None
    named = [node for node in nodes if node.get("type") == "BASE_TABLE"]
    found = {str(node["alias"] or node["table_name"]).lower(): columns.get(str(node["table_name"]).lower(), []) for node in named}
    return found if found and all(found.values()) else None


def _strange(nodes: list[dict[str, Any]], tables: Mapping[str, list[str]], aliases: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    every = list(dict.fromkeys(name for names in tables.values() for name in names))
    known = {name.lower() for name in every} | set(aliases) | set(tables)
    told: set[str] = set()
    for node in nodes:
        names = [str(name) for name in node.get("column_names", ())] if node.get("type") == "COLUMN_REF" else []
        owner = tables.get(names[0].lower()) if len(names) > 1 else None
        name, among = (names[1], owner) if owner is not None else (names[0], every) if names else ("", every)
        there = {column.lower() for column in owner} if owner is not None else known
        if name and name.lower() not in there | told and not name.lower().startswith(_NO_COLUMNS):
            told.add(name.lower())
            yield name, among
