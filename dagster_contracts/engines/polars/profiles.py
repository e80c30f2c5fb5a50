"""Profiles of columns, by Polars. The column is sorted or counted by value, and shortened, before anything of it becomes Python.

A profile needs the whole column at once, in memory: 8 bytes a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.profile import CATEGORIES, EXACT, GROUPS, CategoryProfile, NumericProfile
from dagster_contracts.core.verdict import Measured
from dagster_contracts.engines.polars.asked import Answers, Asked
from dagster_contracts.engines.polars.spellings import CLOCK, ISO, spelled
from dagster_contracts.engines.polars.values import NotComparable, Values, is_text, numbers

_NUMERIC = pl.Struct({"values": pl.List(pl.Float64), "counts": pl.List(pl.Int64), "nulls": pl.Int64, "joined": pl.Boolean})
_CATEGORICAL = pl.Struct({"texts": pl.List(pl.String), "counts": pl.List(pl.Int64), "nulls": pl.Int64, "others": pl.Int64})
_WHOLE = 2.0**53  # floats beyond it say nothing about ones and zeros


def profile_of(metric: ProfileOf, values: Values) -> Asked:
    """Raises NotComparable where the column's type has no numbers, or no categories."""
    return _categorical(metric, values) if metric.categorical else _numeric(metric, values)


# --- numbers -------------------------------------------------------------------------------------------------------


def _numeric(metric: ProfileOf, values: Values) -> Asked:
    found = values.found.cast(pl.Float64) if values.dtype == pl.Null else numbers(values)
    if found is None:
        raise NotComparable(f"a {values.dtype} column holds no numbers")
    name = f"{metric.column} profile of numbers"
    expression = found.map_batches(lambda column: _scalar(_counted(column), _NUMERIC), return_dtype=_NUMERIC, returns_scalar=True)

    def read(answers: Answers) -> Measured:
        said = answers[name]
        error = 1 / GROUPS if said["joined"] else 0.0
        return NumericProfile(tuple(said["values"]), tuple(said["counts"]), said["nulls"], error)

    return Asked({name: expression}, read, whole=True)


def _counted(column: pl.Series) -> dict[str, Any]:
    present = column.fill_nan(None).drop_nulls()
    runs = present.sort().rle().struct.unnest()
    joined = runs.height > EXACT
    if joined:
        runs = _joined(runs, present.len())
    return {
        "values": [value or 0.0 for value in runs["value"].to_list()],  # not -0.0
        "counts": runs["len"].to_list(),
        "nulls": column.len() - present.len(),
        "joined": joined,
    }


def _joined(runs: pl.DataFrame, total: int) -> pl.DataFrame:
    """Neighbours joined in groups of less than 1 / GROUPS of all: those whose ranks begin within the same half of such a part.

    The first and the last value, and those that are more frequent than half a part, stay alone.
    """
    half = total / (2 * GROUPS)
    row, count = pl.int_range(pl.len()), pl.col("len")
    alone = (count > half) | (row == 0) | (row == pl.len() - 1)
    part = ((count.cum_sum() - count) / half).floor()
    run = pl.struct(part, alone.alias("alone"), pl.when(alone).then(row).alias("row")).rle_id().alias("group")
    weight = count / count.sum()
    mean = (pl.col("value") * weight).sum().clip(pl.col("value").first(), pl.col("value").last())
    return (
        runs.with_columns(run)
        .group_by("group", maintain_order=True)
        .agg(pl.when(pl.len() == 1).then(pl.col("value").first()).otherwise(mean).alias("value"), count.sum())
    )


# --- categories ----------------------------------------------------------------------------------------------------


def _categorical(metric: ProfileOf, values: Values) -> Asked:
    if values.dtype.is_nested() or isinstance(values.dtype, pl.Binary | pl.Object | pl.Duration):
        raise NotComparable(f"a {values.dtype} column holds no categories")
    name = f"{metric.column} profile of categories as {metric.logical}"
    expression = values.plain.map_batches(
        lambda column: _scalar(_frequent(column, metric.logical), _CATEGORICAL), return_dtype=_CATEGORICAL, returns_scalar=True
    )

    def read(answers: Answers) -> Measured:
        said = answers[name]
        return CategoryProfile(tuple(zip(said["texts"], said["counts"], strict=True)), said["nulls"], said["others"])

    return Asked({name: expression}, read, whole=True)


def _frequent(column: pl.Series, logical: str | None) -> dict[str, Any]:
    present = column.drop_nulls()
    counted = pl.DataFrame({"value": present}).group_by("value").len()
    texts = counted.select(_category(pl.col("value"), present.dtype, logical).alias("text"), pl.col("len").cast(pl.Int64))
    texts = texts.group_by("text").agg(pl.col("len").sum()).sort(["len", "text"], descending=[True, False])
    kept = texts.head(CATEGORIES)
    return {
        "texts": kept["text"].to_list(),
        "counts": kept["len"].to_list(),
        "nulls": column.len() - present.len(),
        "others": present.len() - int(kept["len"].sum()),
    }


def _category(value: pl.Expr, dtype: pl.DataType, logical: str | None) -> pl.Expr:
    """Numbers are spelled alike whatever type a reader gave the column: decimals of two places have zeros at their end."""
    text = _text(value, dtype)
    return spelled(Values(text, pl.String()), logical).plain if is_text(dtype) or logical == "number" else text


def _text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """1 and 1.0 are one category, whatever type a reader gave the column; times are ISO 8601, in UTC where they have a zone."""
    if dtype.is_float() or isinstance(dtype, pl.Decimal):
        number = value.cast(pl.Float64)
        whole = (number == number.floor()) & (number.abs() < _WHOLE)
        return pl.when(whole).then(pl.when(whole).then(number).cast(pl.Int64).cast(pl.String)).otherwise(value.cast(pl.String))
    if isinstance(dtype, pl.Datetime):
        zoned = dtype.time_zone is not None
        return (value.dt.convert_time_zone("UTC") if zoned else value).dt.to_string(ISO + ("Z" if zoned else ""))
    return value.dt.to_string(CLOCK) if dtype == pl.Time else value.cast(pl.String)  # whose cast leaves out parts of a second


def _scalar(found: dict[str, Any], dtype: pl.Struct) -> pl.Series:
    return pl.Series([found], dtype=dtype)


def category_texts(values: Sequence[object], logical: str | None) -> list[str]:
    """The texts by which a profile of categories names these values, which are of one type; `logical` as of ProfileOf."""
    column = pl.Series("value", values)
    return column.to_frame().select(_category(pl.col("value"), column.dtype, logical)).to_series().to_list()
