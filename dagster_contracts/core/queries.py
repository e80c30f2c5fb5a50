"""ODCS `type: sql` and `type: custom` for Great Expectations -> what runs them is told. Pure.

Placeholders of a query, with or without a dollar sign: {object}, {table}, {model}, {schema} for the table, {property}, {column},
{field} for the column. Names are quoted where they need it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from dagster_contracts.core.contract import Property, QualityRule, SchemaObject
from dagster_contracts.core.metrics import ColumnType, Expectation, Query, TimeText
from dagster_contracts.core.odcs_quality import EXPECTATION_KEYS
from dagster_contracts.core.options import CLOCKED, NotMeasurable, foreign_text, instant_text, shown

_TABLE = ("object", "table", "model", "schema")
_COLUMN = ("property", "column", "field")
_PLACEHOLDER = re.compile(rf"""(["`])?(\$?\{{\s*({"|".join((*_TABLE, *_COLUMN))})\s*\}})(["`])?|(\$\{{[^}}]*\}})""", re.IGNORECASE)
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_RESERVED = re.compile(  # of DuckDB, PostgreSQL and the standard
    "all|analy[sz]e|and|any|array|as|asc|between|both|by|case|cast|check|collate|column|constraint|create|cross|current_[a-z]+|default"
    "|delete|desc|describe|distinct|do|drop|else|end|except|exists|false|fetch|for|foreign|from|full|grant|group|having|in|index|inner"
    "|insert|intersect|interval|into|is|join|key|lateral|leading|left|like|limit|natural|not|null|offset|on|only|or|order|outer|pivot"
    "|primary|qualify|references|returning|right|rows?|select|session_user|set|show|some|start|table|then|to|trailing|true|union|unique"
    "|unpivot|update|user|using|values|view|when|where|window|with"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NAMES_COLUMNS = ("column", "column_A", "column_B", "column_list", "column_set")


def column_types(obj: SchemaObject) -> tuple[tuple[str, ColumnType], ...]:
    """Columns with what their text stands for, where the contract gives a logical type."""
    return tuple((prop.name, ColumnType(prop.logical_type, _text(prop))) for prop in obj.properties if prop.logical_type)


def _text(prop: Property) -> TimeText | None:
    try:
        return instant_text(prop) if prop.logical_type in CLOCKED else None
    except NotMeasurable:  # the rules of the type say so
        return foreign_text(prop)


# --- SQL -----------------------------------------------------------------------------------------------------------


def query_of(quality: QualityRule, obj: SchemaObject, column: str | None) -> Query:
    """The query with its placeholders filled in; `column` is SQL for the property. Raises NotMeasurable."""
    if not quality.query or not quality.query.strip():
        raise NotMeasurable("the sql rule has no query")
    table = _table(quality.query, obj)

    def filled(found: re.Match[str]) -> str:
        opening, placeholder, word, closing, unknown = found.groups()
        if unknown:
            raise NotMeasurable(f"the query has the placeholder {shown(unknown)}; known are {', '.join((*_TABLE, *_COLUMN))}")
        if word.lower() in _TABLE:
            named = quoted(table)
        elif column is None:
            raise NotMeasurable(f"the query has the placeholder {placeholder}, and there is no column here to stand for it")
        else:
            named = column
        return named if opening and opening == closing else f"{opening or ''}{named}{closing or ''}"

    return Query(_PLACEHOLDER.sub(filled, quality.query).strip(), table, column_types(obj))


def _table(sql: str, obj: SchemaObject) -> str:
    """What the query calls its table: the physical name where it stands there, else the name of the object."""
    words = set(re.findall(r"\w+", sql.lower()))
    return obj.table if obj.table.lower() in words or obj.name.lower() not in words else obj.name


def quoted(name: str) -> str:
    """A name as SQL: in double quotes unless it is lower case, plain, and no word of the language."""
    if _PLAIN.fullmatch(name) and not _RESERVED.fullmatch(name):
        return name
    return '"' + name.replace('"', '""') + '"'


# --- Great Expectations --------------------------------------------------------------------------------------------


def expectation_of(quality: QualityRule, obj: SchemaObject, column: str | None) -> Expectation:
    """The expectation that a custom rule names; where its arguments name no column, that of the property. Raises NotMeasurable."""
    given = quality.implementation
    if not isinstance(given, Mapping):
        raise NotMeasurable(f"the implementation is {shown(given)}; expected a mapping with type and kwargs")
    kind = given.get("type", given.get("expectation_type"))
    arguments = given.get("kwargs", {})
    if not isinstance(kind, str) or not kind.strip():
        raise NotMeasurable("the implementation names no expectation: the key type is missing")
    if not isinstance(arguments, Mapping):
        raise NotMeasurable(f"kwargs is {shown(arguments)}; expected a mapping of arguments")
    if unknown := [str(key) for key in given if key not in EXPECTATION_KEYS]:
        raise NotMeasurable(f"the implementation has unknown keys: {', '.join(unknown)}; arguments stand in kwargs")
    name = _snake(kind.strip())
    passed = {key if key in _NAMES_COLUMNS else _snake(str(key)): value for key, value in arguments.items()}
    if column is not None and name.startswith("expect_column_") and not any(key in passed for key in _NAMES_COLUMNS):
        passed["column"] = column
    try:
        text = json.dumps(passed, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        raise NotMeasurable("kwargs hold what JSON has no word for (infinity, NaN or a date)") from None
    return Expectation(name, text, column_types(obj))


def _snake(name: str) -> str:
    """ExpectColumnToExist as expect_column_to_exist, minValue as min_value."""
    return _CAMEL.sub("_", name).lower()
