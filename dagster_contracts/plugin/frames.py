"""Frames of pandas, polars and pyarrow: from one to another by what a step is annotated with, and several put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args, get_origin

from dagster_contracts.core.errors import StorageError, UsageError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

AS_WRITTEN = ""  # no annotation that names a library
_LIBRARIES = ("pandas", "polars", "pyarrow")


def kind_of(annotation: object) -> str:
    """The frame that an annotation asks for: "pandas", "polars", "polars.LazyFrame", "pyarrow"; AS_WRITTEN for any other annotation."""
    if is_by_partition(annotation):
        annotation = get_args(annotation)[1]
    if not isinstance(annotation, type):
        return AS_WRITTEN
    library = annotation.__module__.partition(".")[0]
    return "polars.LazyFrame" if annotation.__name__ == "LazyFrame" else library if library in _LIBRARIES else AS_WRITTEN


def is_by_partition(annotation: object) -> bool:
    """Whether it is a `dict[str, Frame]`: partition key -> frame."""
    return get_origin(annotation) in (dict, Mapping) and len(get_args(annotation)) == 2


def to_arrow(value: Any) -> pa.Table:
    """Any of these frames as a table, read to its end. Raises StorageError for a value that is none of them."""
    import pyarrow as pa

    kind = kind_of(type(value))
    if kind == "pandas":
        return pa.Table.from_pandas(value)
    if kind.startswith("polars"):
        return (value.collect() if kind == "polars.LazyFrame" else value).to_arrow()
    if isinstance(value, pa.RecordBatchReader):
        return value.read_all()
    if isinstance(value, pa.Table):
        return value
    raise StorageError(f"expected a frame of pandas, polars or pyarrow to write as Parquet, got {type(value).__name__}")


def as_polars(value: Any) -> pl.DataFrame:
    """Any of these frames in polars, without an index. Raises UsageError for a value that is none of them, or holds what no table can."""
    import polars as pl
    import pyarrow as pa

    kind = kind_of(type(value))
    try:
        if kind == "pandas" and hasattr(value, "columns"):
            return pl.from_pandas(value)
        if kind in ("polars", "polars.LazyFrame", "pyarrow"):
            return pl.DataFrame(to_arrow(value))
    except (pa.ArrowException, pl.exceptions.PolarsError, StorageError) as error:
        raise UsageError(f"what is stored cannot be read as a table: {error}") from error
    raise UsageError(f"what is stored is no table, but {type(value).__name__}")


def from_arrow(table: pa.Table, kind: str) -> Any:
    """A table as the frame of this kind."""
    if kind == "pandas":
        return table.to_pandas()
    if kind.startswith("polars"):
        import polars as pl

        frame = pl.DataFrame(table)
        return frame.lazy() if kind == "polars.LazyFrame" else frame
    return table


def joined(several: Sequence[Any]) -> Any:
    """Frames of one kind, one below the other, in this order. Columns that some of them lack are empty there."""
    kind = kind_of(type(several[0]))
    if kind == "pandas":
        import pandas as pd

        return pd.concat(several, ignore_index=True)
    if kind.startswith("polars"):
        import polars as pl

        return pl.concat(several, how="diagonal_relaxed")
    if kind == "pyarrow":
        import pyarrow as pa

        return pa.concat_tables(several, promote_options="default")
    raise StorageError(f"expected frames of pandas, polars or pyarrow to put together, got {type(several[0]).__name__}")
