"""Arguments of an expectation that would run code or reach beyond the data. A contract is data, and may be a stranger's.

Great Expectations gives a row condition in the pandas form to `DataFrame.query`, which calls whatever it names, and a JSON schema to a
library that fetches what it refers to.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

_PLAIN = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Invert, ast.USub, ast.UAdd,
    ast.BinOp, ast.BitAnd, ast.BitOr, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod,
    ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn,
    ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple,
)  # fmt: skip


def problem_of(arguments: Mapping[str, Any]) -> str | None:
    """Why an expectation with these arguments is not run; None where nothing speaks against it."""
    for condition in _conditions(arguments):
        if not _is_plain(condition):
            return "its row_condition may compare columns with values, and do nothing else"
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
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(isinstance(node, _PLAIN) for node in ast.walk(tree))
