"""Of a damaged batch only what changed is measured again; queries as others, unless they look at whole rows."""

from __future__ import annotations

import polars as pl
import pytest

from dagster_contracts.chaos.shortcut import Shortcut
from dagster_contracts.core.metrics import Query
from dagster_contracts.core.verdict import Figure, Measurement
from dagster_contracts.engines.local import default_engine

CLEAN = pl.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6]})


@pytest.mark.parametrize(
    ("sql", "again"),
    [
        ("SELECT max(b) FROM t", False),
        ("SELECT count(*) FROM t WHERE b * 2 > 1", False),
        ("SELECT max(a) FROM t", True),
        ('SELECT max("A") FROM t', True),
        ("SELECT count(*) FROM (SELECT DISTINCT * FROM t)", True),
        ("SELECT count(DISTINCT t) FROM t", True),
        ("SELECT sum(b) FROM t AS one NATURAL JOIN t AS two", True),
        ("SELECT max(COLUMNS('.*')) FROM t", True),
    ],
)
def test_queries(sql: str, again: bool) -> None:
    query = Query(sql, "t")
    known = Measurement(3, (), {query: Figure(-1)})
    damaged = CLEAN.with_columns(pl.lit(9).alias("a"))
    found = Shortcut(default_engine(), CLEAN, known).measure(damaged, [query])
    assert isinstance(found, Measurement)
    assert (found.values[query] != Figure(-1)) == again
