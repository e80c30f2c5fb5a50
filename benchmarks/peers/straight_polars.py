"""Polars: all rules in one hand-written lazy select, judged in Python. What a contract engine could cost at least."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import polars_frames
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

VERSIONS = ("polars",)
FORMS = ("pandas", "arrow", "parquet")
UNEQUAL = {"pandas": "converts the frame with polars.from_pandas in each run"}


def load(form: str, path: str) -> Callable[[], list[str]]:
    import polars as pl

    query, read = _query(pl), polars_frames.source(form, path)
    engine = "streaming" if form == "parquet" else "in-memory"

    def run() -> list[str]:
        lazy = pl.scan_parquet(path) if form == "parquet" else read().lazy()
        found = lazy.select(query).collect(engine=engine).row(0, named=True)
        return [name for name, keeps in _judged(pl, lazy.collect_schema(), found) if not keeps]

    return run


def _query(pl: Any) -> list[Any]:
    col = pl.col
    parts = [pl.len().alias("rows")]
    parts += [col(name).null_count().alias(f"nulls_{name}") for name in NULL_SHARES]
    parts += [(~col(name).is_in(list(values))).sum().alias(f"allowed_{name}") for name, values in ALLOWED.items()]
    parts += [(~col(name).is_between(low, high)).sum().alias(f"range_{name}") for name, (low, high) in RANGES.items()]
    keyed = pl.struct(*COMPOSITE).filter(col(KEY).is_not_null())
    parts += [
        (col(KEY).drop_nulls().len() - col(KEY).drop_nulls().n_unique()).alias("key"),
        (keyed.len() - keyed.n_unique()).alias("composite"),
        (~col("email").str.contains(EMAIL)).sum().alias("email"),
        col("updated_at").max().alias("newest"),
        (col("opened_at") > col("updated_at")).sum().alias("ordered"),
        col("f5").mean().alias("mean"),
        col("f6").std().alias("deviation"),
        col("f7").median().alias("median"),
        (col("country").str.len_chars() != COUNTRY_LENGTH).sum().alias("length"),
    ]
    parts += [(col(name) < edge).sum().alias(f"{name}_{n}") for name, edges in DECILES.items() for n, edge in enumerate(edges)]
    parts += [col(name).count().alias(f"{name}_{len(edges)}") for name, edges in DECILES.items()]
    return parts


def _judged(pl: Any, schema: Any, found: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    types = {"string": (pl.String,), "number": (pl.Float64,), "integer": (pl.Int64,), "date": (pl.Date, pl.Datetime)}
    typed = all(isinstance(schema.get(name), types.get(logical, (pl.Datetime,))) for name, logical in COLUMNS)
    yield "schema", typed and len(schema) == len(COLUMNS)
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
        below = [0, *(found[f"{name}_{n}"] for n in range(len(edges) + 1))]
        yield f"psi.{name}", psi_of_counts([high - low for low, high in itertools.pairwise(below)]) <= PSI_AT_MOST
    yield "length.country", found["length"] == 0
