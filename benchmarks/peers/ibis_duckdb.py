"""Ibis on DuckDB: all rules in one hand-written aggregate expression, judged in Python."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import duckdb_sql
from rules import ALLOWED, COMPOSITE, COUNTRY_LENGTH, DECILES, EMAIL, KEY, NULL_SHARES, RANGES

VERSIONS = ("ibis-framework", "duckdb")
FORMS = ("pandas", "arrow", "parquet")
UNEQUAL: dict[str, str] = {}


def load(form: str, path: str) -> Callable[[], list[str]]:
    import ibis
    import pyarrow.parquet as pq

    connection = ibis.duckdb.connect()
    if form == "parquet":
        table = connection.read_parquet(path)
    else:
        arrow = pq.read_table(path)
        held = arrow.to_pandas(date_as_object=False) if form == "pandas" else arrow
        connection.con.register("customers", held)
        table = connection.table("customers")
    query = table.aggregate(**_aggregates(ibis, table))

    def run() -> list[str]:
        described = [(name, _kind(dtype)) for name, dtype in table.schema().items()]
        found = query.to_pyarrow().to_pylist()[0]
        return [name for name, keeps in duckdb_sql.judged(described, found) if not keeps]

    return run


def _kind(dtype: Any) -> str:
    for kind, name in (("string", "VARCHAR"), ("float64", "DOUBLE"), ("int64", "BIGINT"), ("date", "DATE"), ("timestamp", "TIMESTAMP")):
        if getattr(dtype, f"is_{kind}")():
            return name
    return str(dtype)


def _aggregates(ibis: Any, table: Any) -> dict[str, Any]:
    found = {"rows": table.count()}
    found |= {f"nulls_{name}": table[name].isnull().sum() for name in NULL_SHARES}
    found |= {f"allowed_{name}": table[name].notin(values).sum() for name, values in ALLOWED.items()}
    found |= {f"range_{name}": (~table[name].between(low, high)).sum() for name, (low, high) in RANGES.items()}
    complete = table[KEY].notnull()
    both = ibis.struct({name: table[name] for name in COMPOSITE})
    found |= {
        "key": table[KEY].count() - table[KEY].nunique(),
        "composite": complete.sum() - both.nunique(where=complete),
        "email": (~table["email"].re_search(EMAIL)).sum(),
        "newest": table["updated_at"].max(),
        "ordered": (table["opened_at"] > table["updated_at"]).sum(),
        "mean": table["f5"].mean(),
        "deviation": table["f6"].std(how="sample"),
        "median": table["f7"].median(),
        "length": (table["country"].length() != COUNTRY_LENGTH).sum(),
    }
    for name, edges in DECILES.items():
        inner = list(itertools.pairwise(edges))
        bins = [table[name] < edges[0], *((table[name] >= low) & (table[name] < high) for low, high in inner), table[name] >= edges[-1]]
        found |= {f"{name}_{n}": bin_.sum() for n, bin_ in enumerate(bins)}
    return found
