"""Text of numbers, booleans and times in one spelling for each value, so that equal values are equal text."""

from __future__ import annotations

import polars as pl

from dagster_contracts.engines.polars.instants import clock, has_offset, instant
from dagster_contracts.engines.polars.numerals import spelled_alike
from dagster_contracts.engines.polars.values import Values, is_text
from dagster_contracts.engines.text_forms import DATE_ONLY, TRUE_FALSE

CLOCK = "%H:%M:%S%.f"
ISO = f"%Y-%m-%dT{CLOCK}"


def spelled(values: Values, logical: str | None) -> Values:
    """Text as a column of the type would be written that it stands for; what is no such value stays as it is.

    `logical` is number, boolean, date, timestamp (in UTC where it has a time zone) or time (as the clock shows it). None: as it is.
    """
    if logical is None or not is_text(values.dtype):
        return values
    return Values(_spelled(values, logical), pl.String())


def _spelled(values: Values, logical: str) -> pl.Expr:
    text = values.plain
    match logical:
        case "number":
            return spelled_alike(text)
        case "boolean":
            return pl.when(text.str.contains(TRUE_FALSE)).then(text.str.strip_chars().str.to_lowercase()).otherwise(text)
        case "date":
            return pl.when(text.str.contains(DATE_ONLY)).then(text.str.slice(0, 10)).otherwise(text)
        case "timestamp":
            point = instant(values)
            assert point is not None
            return pl.coalesce(point.dt.to_string(ISO) + pl.when(has_offset(text)).then(pl.lit("Z")).otherwise(pl.lit("")), text)
        case "time":
            shown = clock(values)
            assert shown is not None
            return pl.coalesce(shown.dt.to_string(CLOCK), text)
        case _:
            raise AssertionError(logical)
