"""DuckDB: all rules in one hand-written aggregate query, judged in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from psi import psi_of_counts
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
from sql_text import bins

VERSIONS = ("duckdb",)
FORMS = ("pandas", "arrow", "parquet")
UNEQUAL: dict[str, str] = {}
_TYPES = {
    "string": ("VARCHAR",),
    "number": ("DOUBLE",),
    "integer": ("BIGINT",),
    "date": ("DATE", "TIMESTAMP_MS", "TIMESTAMP"),
    "timestamp": ("TIMESTAMP",),
}


def load(form: str, path: str) -> Callable[[], list[str]]:
    import duckdb
    import pyarrow.parquet as pq

    connection = duckdb.connect()
    if form == "parquet":
        source = f"read_parquet('{path}')"
    else:
        table = pq.read_table(path)
        connection.register("customers", table.to_pandas(date_as_object=False) if form == "pandas" else table)
        source = "customers"
    sql = query(source)

    def run() -> list[str]:
        described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description]
        found = dict(zip(names, cursor.fetchall()[0], strict=True))
        return [name for name, keeps in judged(described, found) if not keeps]

    return run


def query(source: str) -> str:
    parts = ["count(*) AS rows"]
    parts += [f"count(*) - count({name}) AS nulls_{name}" for name in NULL_SHARES]
    parts += [_violations(f"allowed_{name}", f"{name} NOT IN {values}") for name, values in ALLOWED.items()]
    parts += [_violations(f"range_{name}", f"{name} NOT BETWEEN {low} AND {high}") for name, (low, high) in RANGES.items()]
    left, right = COMPOSITE
    complete = f"{left} IS NOT NULL AND {right} IS NOT NULL"
    parts += [
        f"count({KEY}) - count(DISTINCT {KEY}) AS key",
        f"count(*) FILTER ({complete}) - count(DISTINCT ({left}, {right})) FILTER ({complete}) AS composite",
        _violations("email", f"NOT regexp_matches(email, '{EMAIL}')"),
        "max(updated_at) AS newest",
        _violations("ordered", "opened_at > updated_at"),
        "avg(f5) AS mean",
        "stddev_samp(f6) AS deviation",
        "quantile_cont(f7, 0.5) AS median",
        _violations("length", f"length(country) <> {COUNTRY_LENGTH}"),
    ]
    parts += [_violations(f"{name}_{n}", bin_) for name, edges in DECILES.items() for n, bin_ in enumerate(bins(name, edges))]
    return f"SELECT {', '.join(parts)} FROM {source}"


def _violations(name: str, condition: str) -> str:
    return f"coalesce(sum(({condition})::INT), 0) AS {name}"


def judged(described: list[tuple[Any, ...]], found: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    types = {name: kind for name, kind, *_ in described}
    yield "schema", all(types.get(name) in _TYPES[logical] for name, logical in COLUMNS) and len(types) == len(COLUMNS)
    for name, share in NULL_SHARES.items():
        yield f"nulls.{name}", found[f"nulls_{name}"] <= share * found["rows"]
    for name in ALLOWED:
        yield f"allowed.{name}", found[f"allowed_{name}"] == 0
    for name in RANGES:
        yield f"range.{name}", found[f"range_{name}"] == 0
    yield "unique.customer_id", found["key"] == 0
    yield "unique.composite", found["composite"] == 0
    yield "pattern.email", found["email"] == 0
    yield "rows", ROWS[0] <= found["rows"] <= ROWS[1]
    yield "newest.updated_at", found["newest"] >= NEWEST_AT_LEAST
    yield "ordered.opened_updated", found["ordered"] == 0
    yield "mean.f5", MEAN["f5"][0] <= found["mean"] <= MEAN["f5"][1]
    yield "deviation.f6", DEVIATION["f6"][0] <= found["deviation"] <= DEVIATION["f6"][1]
    yield "median.f7", MEDIAN["f7"][0] <= found["median"] <= MEDIAN["f7"][1]
    for name, edges in DECILES.items():
        yield f"psi.{name}", psi_of_counts([found[f"{name}_{n}"] for n in range(len(edges) + 1)]) <= PSI_AT_MOST
    yield "length.country", found["length"] == 0
