"""Arguments of an expectation: those that would run code or reach beyond the data, and dates and times written as text.

A contract is data, and may be a stranger's. Great Expectations gives a row condition in the pandas form to `DataFrame.query`, which calls
whatever it names, and a JSON schema to a library that fetches what it refers to.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, tzinfo
from difflib import get_close_matches
from typing import Any

_PLAIN = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Invert, ast.USub, ast.UAdd,
    ast.BinOp, ast.BitAnd, ast.BitOr, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod,
    ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn,
    ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple,
)  # fmt: skip

# Arguments of Great Expectations' own expectations, and what each of them takes.
KNOWN = frozenset({
    "allow_relative_error", "base_query", "batch_id", "bucketize_data", "catch_exceptions", "column", "column_A", "column_B",
    "column_index", "column_list", "column_set", "comparison_data_source_name", "comparison_query", "condition_parser", "description",
    "double_sided", "escape", "exact_match", "id", "ignore_row_if", "internal_weight_holdout", "json_schema", "library_metadata",
    "like_pattern", "like_pattern_list", "match_on", "max_value", "meta", "method", "min_value", "mostly", "multiplier", "notes",
    "or_equal", "other_table_name", "partition_object", "quantile_ranges", "regex", "regex_list", "rendered_content", "result_format",
    "row_condition", "severity", "strftime_format", "strict_max", "strict_min", "strictly", "sum_total", "tail_weight_holdout",
    "threshold", "ties_okay", "type_", "type_list", "unexpected_rows_query", "value", "value_pairs_set", "value_set", "windows",
})  # fmt: skip


def misspelt(arguments: Mapping[str, Any]) -> str | None:
    """The argument that nearly is one of GX's own expectations, with that; None where there is none."""
    for name in arguments:
        if name not in KNOWN and (near := get_close_matches(name[:80], KNOWN, n=1, cutoff=0.8)):
            return f'no expectation of Great Expectations takes "{name[:60]}", did you mean "{near[0]}"?'
    return None


def problem_of(arguments: Mapping[str, Any]) -> str | None:
    """Why an expectation with these arguments is not run; None where nothing speaks against it."""
    for condition in _conditions(arguments):
        if not _is_plain(condition):
            return (
                "its row_condition may compare columns with values and ask a column isnull, notnull, isna, notna, isin([...]), "
                "str.startswith, str.endswith or str.contains, and do nothing else"
            )
    if any("`" in name for name in _quoted_names(arguments)):
        return "its row_condition names a column with a backtick, which would end the name"
    for reference in _references(arguments.get("json_schema")):
        if not reference.startswith("#"):
            return 'its json_schema may refer to its own parts ("#/..."), and to nothing else'
    return None


def _conditions(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Texts that reach pandas as they are."""
    given = arguments.get("row_condition")
    if isinstance(given, str) and arguments.get("condition_parser") != "great_expectations":
        yield given
    yield from (value for name, value in _entries(given) if name == "pass_through_filter" and isinstance(value, str))


def _quoted_names(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Texts that GX puts between backticks before pandas gets them."""
    given = arguments.get("row_condition")
    if isinstance(given, str) and arguments.get("condition_parser") == "great_expectations":
        yield given
    yield from (value for name, value in _entries(given) if name in ("name", "column") and isinstance(value, str))


def _references(schema: object) -> Iterator[str]:
    yield from (str(value) for name, value in _entries(schema) if name in ("$ref", "$dynamicRef", "$recursiveRef"))


def _entries(value: object) -> Iterator[tuple[str, object]]:
    stack = [value]
    while stack:
        here = stack.pop()
        if isinstance(here, Mapping):
            yield from here.items()
            stack.extend(here.values())
        elif isinstance(here, list):
            stack.extend(here)


def _is_plain(condition: str) -> bool:
    try:
        tree = ast.parse(re.sub("`[^`]*`", "column", condition).strip(), mode="eval")  # in backticks: the name of a column
        tree = _Answered().visit(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(isinstance(node, _PLAIN) for node in ast.walk(tree))


class _Answered(ast.NodeTransformer):
    """Questions that pandas answers from a column alone become what they are given: the name can only be a column's, since `query`
    looks nowhere else."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        match node:
            case ast.Call(ast.Attribute(ast.Name(), "isnull" | "notnull" | "isna" | "notna"), [], []):
                return ast.Constant(value=True)
            case ast.Call(ast.Attribute(ast.Name(), "isin"), [(ast.List() | ast.Tuple()) as listed], []):
                return listed
            case ast.Call(
                ast.Attribute(ast.Attribute(ast.Name(), "str"), "startswith" | "endswith" | "contains"), [ast.Constant() as text], []
            ):
                return text
        return node


# --- dates and times -----------------------------------------------------------------------------------------------

_MOMENTS = ("min_value", "max_value")


def with_instants(arguments: Mapping[str, Any], zone: tzinfo | None) -> dict[str, Any]:
    """The arguments for a column of timestamps, those of `zone` or without one: ISO 8601 text as what compares with them, else as it is.

    A date is its midnight. What has no zone is UTC, as everywhere in a contract.
    """
    return _with(arguments, lambda text: _instant(text, zone))


def with_dates(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for a column of date objects: ISO 8601 text of dates as dates."""
    return _with(arguments, date.fromisoformat)


def _with(arguments: Mapping[str, Any], read: Callable[[str], object]) -> dict[str, Any]:
    changed = {key: _read(arguments[key], read) for key in _MOMENTS if key in arguments}
    if isinstance(listed := arguments.get("value_set"), list):
        changed["value_set"] = [_read(value, read) for value in listed]
    return {**arguments, **changed}


def _read(value: object, read: Callable[[str], object]) -> object:
    try:
        return read(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _instant(text: str, zone: tzinfo | None) -> datetime:
    found = datetime.fromisoformat(text)
    if zone is None:
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(zone)
