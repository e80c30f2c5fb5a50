"""Some rows of data, chosen at random by a seed: of frames in memory, of scans and files, and of tables in a database.

The same seed takes the same rows of data that has not changed, but for databases that know no seed.
"""

from __future__ import annotations

import logging
import random
from typing import Any

import polars as pl

from dagster_contracts.engines.files.engine import opened
from dagster_contracts.engines.files.places import is_place
from dagster_contracts.engines.local import is_database_table
from dagster_contracts.engines.polars.frames import FAILURES
from dagster_contracts.ports import Sampled

logger = logging.getLogger("dagster_contracts.engines")
_ROW = "\x00row"
_STRETCHES = 20


def sampled(data: object, rows: int, seed: int) -> Sampled | None:
    """`rows` rows of `data` (about as many of a database's table); None where it has no more, or where no sample can be taken of it."""
    try:
        return _sampled(data, rows, seed)
    except FAILURES as error:  # what cannot be read says so when the whole of it is judged
        logger.info("no sample could be taken, so that all of it is judged: %s: %s", type(error).__name__, error)
        return None


def _sampled(data: Any, rows: int, seed: int) -> Sampled | None:
    if is_database_table(data):
        return _of_table(data, rows, seed)
    if is_place(data):
        with opened(data) as found:
            return _of_scan(found.frame, rows, seed)
    if isinstance(data, pl.LazyFrame):
        return _of_scan(data, rows, seed)
    if type(data).__module__.partition(".")[0] not in ("polars", "pandas", "pyarrow") or not hasattr(data, "__len__"):
        return None
    if (total := len(data)) <= rows:
        return None
    chosen = _chosen(total, rows, seed)
    if hasattr(data, "iloc"):
        return Sampled(data.iloc[chosen], rows, total)
    return Sampled(data[chosen] if isinstance(data, pl.DataFrame) else data.take(chosen), rows, total)


def _of_scan(data: pl.LazyFrame, rows: int, seed: int) -> Sampled | None:
    total = int(data.select(pl.len()).collect(engine="streaming").item())
    if total <= rows:
        return None
    if data.explain(optimized=False).startswith("Parquet SCAN"):
        return _in_stretches(data, total, rows, seed)
    chosen = pl.Series(_chosen(total, rows, seed), dtype=pl.UInt32)
    found = data.with_row_index(_ROW).filter(pl.col(_ROW).is_in(chosen.implode())).drop(_ROW)
    return Sampled(found.collect(engine="streaming"), rows, total)


def _in_stretches(data: pl.LazyFrame, total: int, rows: int, seed: int) -> Sampled:
    """Of files only what lies around these rows is read."""
    count = min(_STRETCHES, rows)
    length = rows // count
    starts = [length * place for place in _chosen(total // length, count, seed)]
    found = pl.concat([data.slice(start, length) for start in starts]).collect(engine="streaming")
    return Sampled(found, found.height, total, count)


def _of_table(data: Any, rows: int, seed: int) -> Sampled | None:
    from ibis.common.exceptions import UnsupportedOperationError

    total = int(data.count().execute())
    if total <= rows:
        return None
    try:
        found = data.sample(rows / total, seed=seed).to_pyarrow()
    except UnsupportedOperationError:
        found = data.sample(rows / total).to_pyarrow()
    return Sampled(found, found.num_rows, total) if found.num_rows else None


def _chosen(total: int, rows: int, seed: int) -> list[int]:
    return sorted(random.Random(seed).sample(range(total), rows))  # noqa: S311 - which rows are looked at is no secret
