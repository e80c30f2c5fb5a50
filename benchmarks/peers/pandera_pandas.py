"""pandera on pandas: one DataFrameSchema, lazy, so that every broken rule is reported."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

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

VERSIONS = ("pandera", "pandas")
FORMS = ("pandas", "parquet")
UNEQUAL = {
    "unique.customer_id": "counts all rows of a repeated value, and nulls as values",
    "unique.composite": "counts all rows of a repeated value, and nulls as values",
    "failing": "always collects every failing value: its error report has no limit that spares the work",
    "parquet": "reads the file into pandas first",
}
_TYPES = {"string": "str", "number": "float64", "integer": "int64", "date": "datetime64[ms]", "timestamp": "datetime64[us]"}


def load(form: str, path: str) -> Callable[[], set[str]]:
    os.environ["DISABLE_PANDERA_IMPORT_WARNING"] = "True"
    import pandera.pandas as pa
    import pyarrow.parquet as pq

    schema = _schema(pa)

    def read() -> Any:
        return pq.read_table(path).to_pandas(date_as_object=False)

    held = read() if form == "pandas" else None

    def run() -> set[str]:
        try:
            schema.validate(read() if held is None else held, lazy=True)
        except pa.errors.SchemaErrors as errors:
            return {rule(error) for error in errors.schema_errors}
        return set()

    return run


def rule(error: Any) -> str:
    match error.reason_code.name:
        case "SERIES_CONTAINS_NULLS":
            return f"nulls.{error.schema.name}"
        case "SERIES_CONTAINS_DUPLICATES":
            return f"unique.{error.schema.name}"
        case "DUPLICATES":
            return "unique.composite"
        case "DATAFRAME_CHECK":
            return str(error.check.name)
        case _:
            return "schema"


def _schema(pa: Any) -> Any:
    checks = _checks(pa)
    columns = {
        name: pa.Column(
            _TYPES[logical],
            checks.get(name, []),
            nullable=NULL_SHARES.get(name) != 0.0,
            unique=name == KEY,
        )
        for name, logical in COLUMNS
    }
    table = [
        pa.Check(lambda frame: ROWS[0] <= len(frame) <= ROWS[1], name="rows"),
        pa.Check(lambda frame: frame["opened_at"] <= frame["updated_at"], name="ordered.opened_updated"),
    ]
    return pa.DataFrameSchema(columns, table, strict=True, unique=list(COMPOSITE))


def _checks(pa: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}

    def add(column: str, check: Any) -> None:
        found.setdefault(column, []).append(check)

    for column, share in NULL_SHARES.items():
        if share:
            add(column, pa.Check(_nulls(share), ignore_na=False, name=f"nulls.{column}"))
    for column, values in ALLOWED.items():
        add(column, pa.Check.isin(values, name=f"allowed.{column}"))
    for column, (low, high) in RANGES.items():
        add(column, pa.Check.in_range(low, high, name=f"range.{column}"))
    add("email", pa.Check.str_matches(EMAIL, name="pattern.email"))
    add("country", pa.Check.str_length(COUNTRY_LENGTH, COUNTRY_LENGTH, name="length.country"))
    add("updated_at", pa.Check(lambda series: series.max() >= NEWEST_AT_LEAST, name="newest.updated_at"))
    add("f5", pa.Check(lambda series: MEAN["f5"][0] <= series.mean() <= MEAN["f5"][1], name="mean.f5"))
    add("f6", pa.Check(lambda series: DEVIATION["f6"][0] <= series.std() <= DEVIATION["f6"][1], name="deviation.f6"))
    add("f7", pa.Check(lambda series: MEDIAN["f7"][0] <= series.median() <= MEDIAN["f7"][1], name="median.f7"))
    for column, edges in DECILES.items():
        add(column, pa.Check(_stable(edges), name=f"psi.{column}"))
    return found


def _nulls(share: float) -> Callable[[Any], bool]:
    return lambda series: bool(series.isna().mean() <= share)


def _stable(edges: tuple[float, ...]) -> Callable[[Any], bool]:
    from psi import psi_of_values

    return lambda series: psi_of_values(series.to_numpy(), edges) <= PSI_AT_MOST
