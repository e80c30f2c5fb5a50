"""Any supported frame -> one Polars LazyFrame with the columns a plan needs. The caller's frame is never changed.

pandas, Polars and Arrow are told apart by the module of the value's class, so that measuring a Polars frame imports no pandas.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import polars as pl
from polars import selectors

from dagster_contracts.core.verdict import Column
from dagster_contracts.engines.polars.objects import is_container
from dagster_contracts.engines.polars.values import Values, named

if TYPE_CHECKING:
    import pandas as pd

SUPPORTED = (
    "pandas DataFrame, polars DataFrame or LazyFrame, pyarrow Table, RecordBatch or RecordBatchReader, ibis Table, "
    'pathlib.Path of a file or folder, "s3://" address, or a list of those'
)

# What reading and measuring may raise: a user's scan, a converter, a plug-in of Polars can raise anything, and all of it means "could
# not be measured". A PanicException is Polars' own "this is a bug": a BaseException, and no statement about the data either.
FAILURES = (Exception, pl.exceptions.PanicException)

# NumPy types that Polars takes without a copy, or with one plain copy.
_AS_IT_IS = frozenset(
    [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
    + ["float32", "float64", "bool"]
    + [f"{kind}64[{unit}]" for kind in ("datetime", "timedelta") for unit in ("ms", "us", "ns")]
)

_FEW_ROWS = 5_000  # measured: from 10,000 on two threads are faster
_FEW = 1_000  # values that are not worth an extra step

_IS_TEXT = "\x00is_text\x00"  # prefix of a companion column, which no data can be named like by accident


class UnsupportedFrame(TypeError):
    """The value is not a frame this engine reads."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A batch as the engine sees it.

    `columns` are all columns, duplicates included, with types in the words of the source. `lazy` holds the columns asked for
    that exist once and could be converted; `unreadable` says why of those that could not. `mixed` are object columns of values
    of several types, read as text: for those, `is_text` tells text from the text form of something else.
    """

    columns: tuple[Column, ...]
    lazy: pl.LazyFrame
    schema: pl.Schema
    rows: Callable[[Sequence[int]], list[dict[str, object]]]
    mixed: frozenset[str] = frozenset()
    unreadable: dict[str, str] = field(default_factory=dict)
    objects: dict[str, list[object]] = field(default_factory=dict)
    held: pl.DataFrame | None = None  # the same, where it stands in memory as a whole

    @property
    def out_of_core(self) -> bool:
        """A scan: read in a stream."""
        return self.held is None

    def select(self, expressions: Iterable[pl.Expr]) -> pl.DataFrame:
        """All of them in one pass."""
        if self.held is None:
            return self.lazy.select(expressions).collect(engine="streaming")
        # No plan is made: half the time on few rows, and a fifth less on many. Few are not worth a second thread.
        return self.held.select_seq(expressions) if self.held.height <= _FEW_ROWS else self.held.select(expressions)

    def values(self, column: str) -> Values:
        return Values(named(column), self.schema[column], pl.col(_IS_TEXT + column) if column in self.mixed else None)


def read(data: object, wanted: Collection[str]) -> Frame:
    """A Frame over `data` with the columns of `wanted` that exist exactly once. Raises UnsupportedFrame."""
    if isinstance(data, pl.LazyFrame):
        return _from_lazy(data, wanted)
    if isinstance(data, pl.DataFrame):
        return _from_polars(data, wanted)
    if type(data).__module__.partition(".")[0] == "pyarrow":
        return _from_arrow(data, wanted)
    if any(kind.__module__.startswith("pandas") and kind.__name__ == "DataFrame" for kind in type(data).__mro__):
        return _from_pandas(cast("pd.DataFrame", data), wanted)
    raise UnsupportedFrame(f"value of type {type(data).__module__}.{type(data).__qualname__}; expected one of {SUPPORTED}")


def _once(names: Sequence[str], wanted: Collection[str]) -> list[int]:
    times = Counter(names)
    return [index for index, name in enumerate(names) if times[name] == 1 and name in wanted]


def _from_lazy(data: pl.LazyFrame, wanted: Collection[str]) -> Frame:
    schema = data.collect_schema()
    if pl.Object in schema.dtypes():  # Python objects are in memory already, and no stream takes them
        return _from_polars(data.collect(), wanted)
    columns = tuple(Column(name, str(dtype)) for name, dtype in schema.items())
    names = [name for name in schema if name in wanted]

    def rows(indices: Sequence[int]) -> list[dict[str, object]]:
        if not indices:
            return []
        first, last = min(indices), max(indices)
        between = data.slice(first, last - first + 1).with_row_index("\x00row", first)  # files are not read any further
        found = between.filter(pl.col("\x00row").is_in(list(indices))).drop("\x00row")
        return found.collect(engine="streaming").to_dicts()

    lazy, schema = _widened(data, pl.Schema({name: schema[name] for name in names}))
    return Frame(columns, lazy, schema, rows)


def _from_polars(data: pl.DataFrame, wanted: Collection[str]) -> Frame:
    columns = tuple(Column(name, str(dtype)) for name, dtype in data.schema.items())
    if any(dtype == pl.Object and name in wanted for name, dtype in data.schema.items()):
        return _assembled(columns, data.to_series, wanted, lambda indices: data[list(indices)].to_dicts(), data.height)
    lazy, schema = _widened(data.lazy(), pl.Schema({name: dtype for name, dtype in data.schema.items() if name in wanted}))
    return Frame(columns, lazy, schema, lambda indices: data[list(indices)].to_dicts(), held=_held(data))


def _widened(lazy: pl.LazyFrame, schema: pl.Schema) -> tuple[pl.LazyFrame, pl.Schema]:
    """Half floats as Float32: Polars 2.1 leaves 2.5 as it is when it takes the floor of a Float16."""
    if not any(dtype == pl.Float16 for dtype in schema.values()):
        return lazy, schema
    wider = pl.Schema({name: pl.Float32() if dtype == pl.Float16 else dtype for name, dtype in schema.items()})
    return lazy.with_columns(selectors.by_dtype(pl.Float16).cast(pl.Float32)), wider


def _held(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(selectors.by_dtype(pl.Float16).cast(pl.Float32)) if pl.Float16 in frame.dtypes else frame


def _from_arrow(data: Any, wanted: Collection[str]) -> Frame:
    import pyarrow as pa

    if isinstance(data, pa.RecordBatchReader):
        data = data.read_all()
    elif isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if not isinstance(data, pa.Table):
        raise UnsupportedFrame(f"value of type pyarrow {type(data).__name__}; expected one of {SUPPORTED}")
    table: pa.Table = data
    columns = tuple(Column(entry.name, str(entry.type)) for entry in table.schema)

    def rows(indices: Sequence[int]) -> list[dict[str, object]]:
        taken: list[dict[str, object]] = table.take(pa.array(indices, pa.int64())).to_pylist()
        return taken

    return _assembled(columns, table.column, wanted, rows, table.num_rows)


def _from_pandas(data: pd.DataFrame, wanted: Collection[str]) -> Frame:
    labels = data.columns.tolist()
    columns = tuple(Column(str(name), str(dtype)) for name, dtype in zip(labels, data.dtypes.tolist(), strict=True))

    def rows(indices: Sequence[int]) -> list[dict[str, object]]:
        few = data.iloc[list(indices)]
        read_back = {column.name: _cells(few.iloc[:, i]) for i, column in enumerate(columns)}
        return [{name: cells[n] for name, cells in read_back.items()} for n in range(len(few))]

    def column(index: int) -> Any:  # by name is half the time of by place; names that are no text may mean something else to pandas
        return data[labels[index]] if isinstance(labels[index], str) else data.iloc[:, index]

    return _assembled(columns, column, wanted, rows, len(data))


def _assembled(
    columns: tuple[Column, ...],
    reader: Callable[[int], Any],
    wanted: Collection[str],
    rows: Callable[[Sequence[int]], list[dict[str, object]]],
    height: int,
) -> Frame:
    series: list[pl.Series] = []
    mixed: set[str] = set()
    unreadable: dict[str, str] = {}
    objects: dict[str, list[object]] = {}
    for index in _once([column.name for column in columns], wanted):
        name = columns[index].name
        try:
            column, is_text, cells = _series(reader(index), columns[index].type)
        except FAILURES as error:
            unreadable[name] = f"{type(error).__name__} while reading a column of type {columns[index].type}"
            continue
        series.append(column.alias(name))
        if is_text is not None:
            mixed.add(name)
            series.append(is_text.alias(_IS_TEXT + name))
        if cells is not None:
            objects[name] = cells
    frame = pl.DataFrame(series, height=height) if series else pl.DataFrame(height=height)
    lazy, schema = _widened(frame.lazy(), frame.schema)
    return Frame(columns, lazy, schema, rows, frozenset(mixed), unreadable, objects, _held(frame))


_Read = tuple[pl.Series, pl.Series | None, list[object] | None]


def _series(column: Any, dtype: str) -> _Read:
    """A Series or Arrow array as a Polars Series; of a mixed object column also which values are text, of containers the cells."""
    import pyarrow as pa

    if isinstance(column, pl.Series):
        return _of_polars(column)
    if isinstance(column, pa.ChunkedArray | pa.Array):
        return _of_arrow(column), None, None
    if dtype == "object":
        return from_objects(column)
    if dtype in _AS_IT_IS:
        return pl.Series(values=column.to_numpy()), None, None
    try:
        converted = _of_arrow(pa.array(column, from_pandas=True))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return from_objects(column.astype(object))
    if isinstance(converted.dtype, pl.BaseExtension):  # periods, intervals: their text form is what can be judged
        return from_objects(column.astype(object))
    return converted, None, None


def _of_polars(column: pl.Series) -> _Read:
    """Objects, arrays and booleans in a column of Python objects are text as JSON."""
    if column.dtype != pl.Object:
        return column, None, None
    import pandas as pd

    return from_objects(pd.Series(column.to_list(), dtype=object), _as_text)


def _as_text(cell: object) -> str:
    return json.dumps(cell, default=str) if isinstance(cell, dict | list | bool) else str(cell)


def _of_arrow(values: Any) -> pl.Series:
    """Text as views first: Polars holds it so, and takes twice as long as Arrow to come there."""
    import pyarrow as pa

    if len(values) > _FEW and (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        values = values.cast(pa.string_view())
    return pl.Series(values)


def from_objects(column: pd.Series, spelled: Callable[[object], str] = str) -> _Read:
    """`spelled` gives the text form of what has no type of its own."""
    # Arrow converts some mixtures without a word (a datetime after a date loses its time; text after bytes becomes bytes),
    # so that only columns of one type, or of whole and fractional numbers, are left to it.
    import pyarrow as pa

    present = column[column.notna()]
    kinds = set(map(type, present))
    held = _cells(column) if any(map(is_container, kinds)) else None
    if len(kinds) <= 1 or kinds == {int, float}:
        try:
            return pl.Series(pa.array(column, from_pandas=True)), None, held
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            pass  # integers beyond 64 bits, UUIDs, objects of the caller: their text form is all that can be judged
    cells = held or _cells(column)
    text = [None if cell is None else spelled(cell) for cell in cells]
    is_text = [None if cell is None else isinstance(cell, str) for cell in cells]
    return pl.Series(values=text, dtype=pl.String), pl.Series(values=is_text, dtype=pl.Boolean), held


def _cells(column: pd.Series) -> list[object]:
    present = column.notna().tolist()
    return [cell if here else None for cell, here in zip(column.tolist(), present, strict=True)]
