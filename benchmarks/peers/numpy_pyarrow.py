"""The rules written by hand with numpy and pyarrow.compute on an Arrow table: no library's plan, no overhead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psi import psi_of_values
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
    NAMES,
    NEWEST_AT_LEAST,
    NULL_SHARES,
    PSI_AT_MOST,
    RANGES,
    ROWS,
)

VERSIONS = ("numpy", "pyarrow")
FORMS = ("pandas", "arrow", "parquet")
UNEQUAL = {
    "pandas": "converts the frame with pyarrow.Table.from_pandas in each run",
    "parquet": "reads the file into Arrow first",
}


def load(form: str, path: str) -> Callable[[], list[str]]:
    source = _source(form, path)
    return lambda: [name for name, keeps in _judged(source()) if not keeps]


def _source(form: str, path: str) -> Callable[[], Any]:
    if form == "parquet":
        return lambda: pq.read_table(path)
    table = pq.read_table(path)
    if form == "arrow":
        return lambda: table
    frame = table.to_pandas(date_as_object=False)
    return lambda: pa.Table.from_pandas(frame, preserve_index=False)


def _judged(table: Any) -> Iterator[tuple[str, bool]]:
    rows = table.num_rows
    yield "schema", table.column_names == list(NAMES) and all(_fits(table.schema.field(n).type, logical) for n, logical in COLUMNS)
    for name, share in NULL_SHARES.items():
        yield f"nulls.{name}", table[name].null_count <= share * rows
    for name, values in ALLOWED.items():
        members = pc.is_in(table[name], value_set=pa.array(values, table[name].type))
        yield f"allowed.{name}", pc.sum(members).as_py() + table[name].null_count == rows
    for name, (low, high) in RANGES.items():
        found = pc.min_max(table[name]).as_py()
        yield f"range.{name}", low <= found["min"] and found["max"] <= high
    yield from _unique(table)
    yield "pattern.email", bool(pc.all(pc.match_substring_regex(table["email"], EMAIL)).as_py())
    yield "rows", ROWS[0] <= rows <= ROWS[1]
    yield "newest.updated_at", pc.max(table["updated_at"]).as_py() >= NEWEST_AT_LEAST
    yield "ordered.opened_updated", bool(pc.all(pc.less_equal(table["opened_at"].cast("timestamp[us]"), table["updated_at"])).as_py())
    yield "mean.f5", MEAN["f5"][0] <= pc.mean(table["f5"]).as_py() <= MEAN["f5"][1]
    yield "deviation.f6", DEVIATION["f6"][0] <= pc.stddev(table["f6"], ddof=1).as_py() <= DEVIATION["f6"][1]
    yield "median.f7", MEDIAN["f7"][0] <= float(np.median(table["f7"].to_numpy())) <= MEDIAN["f7"][1]
    for name, edges in DECILES.items():
        yield f"psi.{name}", psi_of_values(table[name].to_numpy(), edges) <= PSI_AT_MOST
    yield "length.country", bool(pc.all(pc.equal(pc.utf8_length(table["country"]), COUNTRY_LENGTH)).as_py())


def _unique(table: Any) -> Iterator[tuple[str, bool]]:
    """Both keys, the text hashed once: its codes stand for it in the composite one."""
    encoded = table[KEY].combine_chunks().dictionary_encode()
    yield "unique.customer_id", len(encoded.dictionary) == len(encoded) - encoded.null_count
    keys = pa.table([encoded.indices, table[COMPOSITE[1]]], names=list(COMPOSITE))
    counted = keys.group_by(list(COMPOSITE)).aggregate([([], "count_all")])
    yield "unique.composite", pc.max(counted.filter(pc.is_valid(counted[KEY]))["count_all"]).as_py() == 1


def _fits(found: Any, logical: str) -> bool:
    kinds = {
        "string": pa.types.is_string(found) or pa.types.is_large_string(found),
        "number": pa.types.is_float64(found),
        "integer": pa.types.is_int64(found),
        "date": pa.types.is_date(found) or pa.types.is_timestamp(found),
        "timestamp": pa.types.is_timestamp(found),
    }
    return kinds[logical]
