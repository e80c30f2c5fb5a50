"""Text columns read as what the contract says they stand for: for engines that take a column's own type at its word (SQL, GX).

A CSV has only text, and SQL has no sum of text. What is no such value becomes null, as NaN does: the type rule counts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from dagster_contracts.core.metrics import ColumnType
from dagster_contracts.engines.polars.frames import Frame
from dagster_contracts.engines.polars.instants import clock, instant
from dagster_contracts.engines.polars.values import is_text, number
from dagster_contracts.engines.text_forms import TRUE_FALSE


def typed(frame: Frame, types: Mapping[str, ColumnType]) -> pl.LazyFrame:
    """The columns of `frame`, text converted to what it stands for in `types`: integer, number, boolean, date, timestamp (as UTC).

    Times of day are converted where the contract writes them in a format of its own; dates and times in one that is not read stay text.
    """
    return frame.lazy.select(_read(frame, column, types.get(column)).alias(column) for column in frame.schema if _own(column))


def _own(column: str) -> bool:
    return not column.startswith("\x00")  # companions of mixed columns


def _read(frame: Frame, column: str, kind: ColumnType | None) -> pl.Expr:
    values = frame.values(column)
    found = values.plain
    if kind is None or not is_text(values.dtype):
        return found
    text = kind.text
    foreign = text is not None and text.format is not None
    if text is not None and foreign and text.directives is None:
        return found
    match kind.logical:
        case "integer":
            return pl.coalesce(found.str.strip_chars().cast(pl.Int64, strict=False), number(found).cast(pl.Int64, strict=False))
        case "number":
            return number(found)
        case "boolean":
            return pl.when(found.str.contains(TRUE_FALSE)).then(found.str.to_lowercase() == "true")
        case "date":
            moment = instant(values, replace(text, zone="UTC") if text else None)  # a date is no midnight of its zone
            return found if moment is None else moment.cast(pl.Date)
        case "timestamp":
            moment = instant(values, text)
            return found if moment is None else moment
        case "time" if foreign:
            moment = clock(values, text)
            return found if moment is None else moment
        case _:
            return found
