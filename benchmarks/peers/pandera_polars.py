"""pandera on Polars: one DataFrameSchema, lazy, so that every broken rule is reported."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pandera_pandas
import polars_frames
from rules import (
    ALLOWED,
    COLUMNS,
    COMPOSITE,
    COUNTRY_LENGTH,
    DECILES,
    DEVIATION,
    EMAIL,
    KEY,
    MEAN,
    MEDIAN,
    NEWEST_AT_LEAST,
    NULL_SHARES,
    PSI_AT_MOST,
    RANGES,
    ROWS,
)

VERSIONS = ("pandera", "polars")
FORMS = ("pandas", "arrow", "parquet")
UNEQUAL = {
    "unique.customer_id": "counts all rows of a repeated value, and nulls as values",
    "unique.composite": "counts all rows of a repeated value, and nulls as values",
    "failing": "always collects every failing value: its error report has no limit that spares the work",
    "pandas": "converts the frame with polars.from_pandas in each run",
    "parquet": "reads the file into Polars first: data checks are not made on a LazyFrame by default",
}


def load(form: str, path: str) -> Callable[[], set[str]]:
    os.environ["DISABLE_PANDERA_IMPORT_WARNING"] = "True"
    import pandera.polars as pa
    import polars as pl

    schema = _schema(pa, pl)
    read = polars_frames.source(form, path)

    def run() -> set[str]:
        try:
            schema.validate(read(), lazy=True)
        except pa.errors.SchemaErrors as errors:
            return {pandera_pandas.rule(error) for error in errors.schema_errors}
        return set()

    return run


def _schema(pa: Any, pl: Any) -> Any:
    types = {"string": pl.String, "number": pl.Float64, "integer": pl.Int64, "timestamp": pl.Datetime("us")}
    checks = _checks(pa, pl)
    columns = {
        name: pa.Column(
            types.get(logical),  # a date of pandas is a timestamp of milliseconds: its type is not compared
            checks.get(name, []),
            nullable=NULL_SHARES.get(name) != 0.0,
            unique=name == KEY,
        )
        for name, logical in COLUMNS
    }
    table = [
        pa.Check(lambda data: data.lazyframe.select(pl.len().is_between(*ROWS)), name="rows"),
        pa.Check(lambda data: data.lazyframe.select(pl.col("opened_at") <= pl.col("updated_at")), name="ordered.opened_updated"),
    ]
    return pa.DataFrameSchema(columns, table, strict=True, unique=list(COMPOSITE))


def _checks(pa: Any, pl: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}

    def add(name: str, check: Any) -> None:
        found.setdefault(name.partition(".")[2], []).append(check)

    def one(name: str, expression: Callable[[Any], Any], **given: Any) -> None:
        """A rule about the column as a whole, as an expression that gives one boolean."""
        add(name, pa.Check(lambda data: data.lazyframe.select(expression(pl.col(data.key))), name=name, **given))

    for column, share in NULL_SHARES.items():
        if share:
            one(f"nulls.{column}", lambda values, share=share: values.is_null().mean() <= share, ignore_na=False)
    for column, values in ALLOWED.items():
        add(f"allowed.{column}", pa.Check.isin(values, name=f"allowed.{column}"))
    for column, (low, high) in RANGES.items():
        add(f"range.{column}", pa.Check.in_range(low, high, name=f"range.{column}"))
    add("pattern.email", pa.Check.str_matches(EMAIL, name="pattern.email"))
    add("length.country", pa.Check.str_length(COUNTRY_LENGTH, COUNTRY_LENGTH, name="length.country"))
    one("newest.updated_at", lambda values: values.max() >= NEWEST_AT_LEAST)
    one("mean.f5", lambda values: values.mean().is_between(*MEAN["f5"]))
    one("deviation.f6", lambda values: values.std().is_between(*DEVIATION["f6"]))
    one("median.f7", lambda values: values.median().is_between(*MEDIAN["f7"]))
    for column, edges in DECILES.items():
        add(f"psi.{column}", pa.Check(_stable(pl, edges), name=f"psi.{column}"))
    return found


def _stable(pl: Any, edges: tuple[float, ...]) -> Callable[[Any], Any]:
    from psi import psi_of_values

    def check(data: Any) -> Any:
        values = data.lazyframe.select(data.key).collect()[data.key].to_numpy()
        return pl.LazyFrame({"held": [psi_of_values(values, edges) <= PSI_AT_MOST]})

    return check
