"""The table as the peers on Polars read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def source(form: str, path: str) -> Callable[[], Any]:
    """The table as a Polars frame, converted anew each time it is asked for."""
    import polars as pl
    import pyarrow.parquet as pq

    if form == "parquet":
        return lambda: pl.read_parquet(path)
    table = pq.read_table(path)
    if form == "arrow":
        return lambda: pl.from_arrow(table)
    frame = table.to_pandas(date_as_object=False)
    return lambda: pl.from_pandas(frame)
