"""A batch in two: the rows that break no rule, and those that do, each with the rules it breaks. Both are of the kind that came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from dagster_contracts.ports import REASONS, Division

_ROW = "\x00row"


def divide(data: Any, lazy: pl.LazyFrame, broken: Mapping[str, pl.Expr], repeated: Mapping[str, pl.Expr]) -> Division | None:
    """`broken`, `repeated`: rule id -> which rows of `lazy` break it. None for data that cannot be taken apart row by row.

    Of rows that repeat a key, the first that breaks no other rule stays: `repeated` is looked at among what `broken` leaves. The reasons
    of a row are the ids of its rules, joined by "; ".
    """
    numbered = lazy.with_row_index(_ROW)
    bad = _reasons(numbered, broken)
    if repeated:
        again = _reasons(numbered.join(bad.lazy(), on=_ROW, how="anti", maintain_order="left"), repeated)
        bad = pl.concat([bad, again]).sort(_ROW)
    rows, told = bad[_ROW], bad[REASONS]
    if isinstance(data, pl.LazyFrame):
        numbered = data.with_row_index(_ROW)
        refused = numbered.join(bad.lazy(), on=_ROW, how="inner", maintain_order="left").drop(_ROW)
        return Division(numbered.join(bad.lazy(), on=_ROW, how="anti", maintain_order="left").drop(_ROW), refused, len(rows))
    if isinstance(data, pl.DataFrame):
        keep = pl.Series([True]).new_from_index(0, data.height).scatter(rows, False)
        return Division(data.filter(keep), data[rows].with_columns(told), len(rows))
    if type(data).__module__.partition(".")[0] == "pyarrow":
        return _arrow(data, rows, told)
    if any(kind.__module__.startswith("pandas") and kind.__name__ == "DataFrame" for kind in type(data).__mro__):
        import numpy as np

        keep_rows = np.ones(len(data), dtype=bool)
        keep_rows[rows.to_numpy()] = False
        return Division(data[keep_rows], data[~keep_rows].assign(**{REASONS: told.to_list()}), len(rows))
    return None


def _reasons(numbered: pl.LazyFrame, broken: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """The rows that break a rule, with the rules they break."""
    if not broken:
        return pl.DataFrame(schema={_ROW: pl.get_index_type(), REASONS: pl.String})
    flags = [expression.fill_null(False).alias(f"{number}") for number, expression in enumerate(broken.values())]
    told = pl.concat_list(pl.when(f"{number}").then(pl.lit(name)) for number, name in enumerate(broken)).list.drop_nulls().list.join("; ")
    return numbered.select(_ROW, *flags).filter(pl.any_horizontal(pl.exclude(_ROW))).select(_ROW, told.alias(REASONS)).collect()


def _arrow(data: Any, rows: pl.Series, told: pl.Series) -> Division | None:
    import pyarrow as pa

    if not isinstance(data, pa.Table | pa.RecordBatch):  # a reader has been read by now
        return None
    places = pa.array(rows.to_numpy())
    keep = pl.Series([True]).new_from_index(0, data.num_rows).scatter(rows, False)
    refused = data.take(places).append_column(REASONS, pa.array(told.to_list(), pa.string()))
    return Division(data.filter(pa.array(keep.to_numpy())), refused, len(rows))
