"""Text columns read as what the contract says they stand for: for engines that take a column's own type at its word (SQL, GX).

A CSV has only text, and SQL has no sum of text. What is no such value becomes null, as NaN does: the type rule counts it.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from dagster_contracts.engines.polars.frames import Frame
from dagster_contracts.engines.polars.instants import instant
from dagster_contracts.engines.polars.values import is_text, number
from dagster_contracts.engines.text_forms import TRUE_FALSE


def typed(frame: Frame, types: Mapping[str, str]) -> pl.LazyFrame:
    """The columns of `frame`, text of the logical types in `types` (column -> integer, number, boolean, date, timestamp) converted."""
    return frame.lazy.select(_read(frame, column, types.get(column)).alias(column) for column in frame.schema if _own(column))


def _own(column: str) -> bool:
    return not column.startswith("\x00")  # companions of mixed columns


def _read(frame: Frame, column: str, logical: str | None) -> pl.Expr:
    values = frame.values(column)
    found = values.plain
    if not is_text(values.dtype):
        return found
    match logical:
        case "integer":
            return pl.coalesce(found.str.strip_chars().cast(pl.Int64, strict=False), number(found).cast(pl.Int64, strict=False))
        case "number":
            return number(found)
        case "boolean":
            return pl.when(found.str.contains(TRUE_FALSE)).then(found.str.to_lowercase() == "true")
        case "date":
            moment = instant(values)
            return found if moment is None else moment.cast(pl.Date)
        case "timestamp":
            moment = instant(values)
            return found if moment is None else moment
        case _:
            return found
