"""Frames -> files that read back as they were: Parquet, CSV, JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, time
from enum import StrEnum
from pathlib import Path
from typing import Any

import polars as pl

from dagster_contracts.core.contract import Property, SchemaObject
from dagster_contracts.core.errors import UsageError
from dagster_contracts.engines.polars.values import named


class DataFormat(StrEnum):
    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"

    @property
    def suffix(self) -> str:
        return f".{self.value}"


def write(frame: pl.DataFrame, place: Path, form: DataFormat, obj: SchemaObject) -> None:
    """Raises UsageError where the format does not hold such values."""
    if form is DataFormat.CSV and (nested := [name for name, dtype in frame.schema.items() if dtype.is_nested()]):
        raise UsageError(
            f"{obj.name}: CSV holds no objects, arrays or maps, and {', '.join(nested)} has some; use --format parquet or jsonl"
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    _WRITERS[form](frame, place, obj)


def _parquet(frame: pl.DataFrame, place: Path, _: SchemaObject) -> None:
    frame.write_parquet(place)


def _csv(frame: pl.DataFrame, place: Path, _: SchemaObject) -> None:
    """Nulls are empty fields, and empty text is quoted."""
    spelled = frame.select(_iso(name, dtype) for name, dtype in frame.schema.items())
    spelled.write_csv(place, quote_style="non_numeric" if _has_empty_text(spelled) else "necessary")


def _has_empty_text(frame: pl.DataFrame) -> bool:
    return any((frame[name] == "").any() for name, dtype in frame.schema.items() if dtype == pl.String)


def _iso(name: str, dtype: pl.DataType) -> pl.Expr:
    if not isinstance(dtype, pl.Datetime):
        return named(name)
    return named(name).dt.to_string("%Y-%m-%dT%H:%M:%S%.6f" + ("Z" if dtype.time_zone else ""))


def _jsonl(frame: pl.DataFrame, place: Path, obj: SchemaObject) -> None:
    properties = {prop.name: prop for prop in obj.properties}
    with place.open("w", encoding="utf-8", newline="\n") as file:
        for row in frame.iter_rows(named=True):
            plain = {name: _plain(value, properties.get(name)) for name, value in row.items()}
            file.write(json.dumps(plain, ensure_ascii=False) + "\n")


def _plain(value: Any, prop: Property | None) -> Any:
    """As JSON has it: times as text, maps as objects."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, dict):
        within = {inner.name: inner for inner in prop.properties} if prop else {}
        return {name: _plain(each, within.get(name)) for name, each in value.items()}
    if isinstance(value, list) and prop and prop.logical_type == "map":
        return {str(each["key"]): _plain(each["value"], prop.values) for each in value}
    return [_plain(each, prop.items if prop else None) for each in value] if isinstance(value, list) else value


_WRITERS: dict[DataFormat, Callable[[pl.DataFrame, Path, SchemaObject], None]] = {
    DataFormat.PARQUET: _parquet,
    DataFormat.CSV: _csv,
    DataFormat.JSONL: _jsonl,
}
