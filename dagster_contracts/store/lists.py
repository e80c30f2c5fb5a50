"""SQL over lists that are given or kept as JSON: what to ask for ten thousand at once, in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Dialect, bindparam, text


def listed(dialect: Dialect, source: str, name: str) -> str:
    """The elements of a JSON list, as rows of `name`."""
    return f"json_each({source}) AS {name}" if dialect.name == "sqlite" else f"json_array_elements(CAST({source} AS JSON)) AS {name}(value)"


def texts(dialect: Dialect, source: str, name: str) -> str:
    """The elements of a JSON list of texts, as rows of `name`."""
    return (
        f"json_each({source}) AS {name}"
        if dialect.name == "sqlite"
        else f"json_array_elements_text(CAST({source} AS JSON)) AS {name}(value)"
    )


def field(dialect: Dialect, name: str, field: str) -> str:
    """A text in an element of a list; of a list in it, its JSON."""
    return f"json_extract({name}.value, '$.{field}')" if dialect.name == "sqlite" else f"({name}.value ->> '{field}')"


def selected(sql: str, columns: Sequence[Column[Any]], **given: Any) -> Any:
    binds = [bindparam(name, type_=kind, required=True) for name, kind in given.items()]
    return text(sql).bindparams(*binds).columns(*columns)
