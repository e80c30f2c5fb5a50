"""What a SQL text would do, read off DuckDB's own parse tree before any of it runs: one SELECT over named tables, or it is refused.

The connection is locked (see duck.py), so that this is the second lock of two: it also keeps the catalog and the settings of the
machine out of reach, and tells which tables and columns have to be handed over.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster_contracts.core.errors import did_you_mean

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TABLE_FUNCTIONS = frozenset({"generate_series", "range", "repeat", "unnest"})
# The settings hold paths of this machine; the others read or leave traces outside the query.
_REFUSED_FUNCTIONS = frozenset({"current_setting", "currval", "getenv", "getvariable", "nextval", "setseed", "write_log"})
_QUERY_NODES = frozenset({"CTE_NODE", "RECURSIVE_CTE_NODE", "SELECT_NODE", "SET_OPERATION_NODE"})


class Refused(Exception):
    """The SQL is not run. The text says why; it quotes the SQL's own names, never data."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One SELECT: the tables it names (in lower case) and what it may need of their columns."""

    tables: frozenset[str]
    words: frozenset[str]  # every name and text in it, in lower case: a column that is not among them is not needed
    references: frozenset[str]  # names of a column without its table, in lower case; a table's own name stands for whole rows
    whole_rows: bool  # `*`, a natural join, columns renamed by position

    def needs(self, columns: Collection[str], all_columns: Collection[str]) -> list[str]:
        """Those of `columns` (of one table) that the query may look at. `all_columns` are those of all its tables, in lower case."""
        if self.whole_rows or not self.references <= set(all_columns):
            return list(columns)
        return [column for column in columns if column.lower() in self.words]


def read_sql(connection: DuckDBPyConnection, sql: str, tables: Collection[str]) -> Reading:
    """The one SELECT that `sql` is. Raises Refused for anything else, and for tables other than `tables`."""
    ((text,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    parsed = json.loads(text)
    if parsed["error"]:
        written = parsed["error_type"] != "parser"  # what is no SELECT cannot be serialized
        raise Refused("it is not a SELECT, and a sql rule only reads" if written else f"it is not SQL: {parsed['error_message']}")
    if len(parsed["statements"]) != 1:
        raise Refused(f"it has {len(parsed['statements'])} statements; a sql rule is one SELECT")
    return _reading(parsed["statements"][0], tables)


def _reading(statement: dict[str, Any], tables: Collection[str]) -> Reading:
    nodes = list(nodes_of(statement))
    known = {name.lower() for name in tables}
    local = {entry["key"].lower() for node in nodes for entry in node.get("cte_map", {}).get("map", ())}
    named = set()
    for node in nodes:
        _check(node)
        if node.get("type") == "BASE_TABLE":
            named.add(_table(node, known | local, tables))
    return Reading(
        tables=frozenset(named & known),
        words=frozenset(text.lower() for node in nodes for text in _texts(node)),
        references=frozenset(
            node["column_names"][0].lower() for node in nodes if node.get("type") == "COLUMN_REF" and len(node["column_names"]) == 1
        ),
        whole_rows=any(_of_whole_rows(node) for node in nodes),
    )


def nodes_of(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    stack: list[Any] = [statement]
    while stack:
        here = stack.pop()
        if isinstance(here, dict):
            yield here
            stack.extend(here.values())
        elif isinstance(here, list):
            stack.extend(here)


def _texts(node: dict[str, Any]) -> Iterator[str]:
    for value in node.values():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                yield text


def _check(node: dict[str, Any]) -> None:
    kind = str(node.get("type", ""))
    if kind.endswith("_NODE") and kind not in _QUERY_NODES:
        raise Refused(f"it writes ({kind.removesuffix('_QUERY_NODE').lower()}), and a sql rule only reads")
    if kind == "SHOW_REF":
        raise Refused("it describes tables; a sql rule reads rows")
    if kind == "TABLE_FUNCTION":
        name = str(node["function"].get("function_name", "")).lower()
        if name not in _TABLE_FUNCTIONS:
            raise Refused(f"it reads from {name}(...); a sql rule reads the tables of its contract")
    elif kind == "FUNCTION" and str(node.get("function_name", "")).lower() in _REFUSED_FUNCTIONS:
        raise Refused(f"it calls {node['function_name']}(), which looks beyond the data")


def _table(node: dict[str, Any], known: Collection[str], tables: Collection[str]) -> str:
    name = str(node["table_name"])
    if node["catalog_name"] or node["schema_name"].lower() not in ("", "main"):
        full = ".".join(node["qualified_name"]["path"])
        raise Refused(f"it reads {full}; a sql rule reads the tables of its contract: {', '.join(tables)}")
    if name.lower() not in known:
        near = did_you_mean(name, tables)
        raise Refused(f"there is no table {name} here{near or ';'} there is {', '.join(tables)}")
    return name.lower()


def _of_whole_rows(node: dict[str, Any]) -> bool:
    return node.get("type") == "STAR" or node.get("ref_type") == "NATURAL" or bool(node.get("column_name_alias"))
