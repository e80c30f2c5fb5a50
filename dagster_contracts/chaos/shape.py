"""What a fault may know of a batch before it touches it: of each column, what its values stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

_SURVEYED = 20_000  # rows that are looked at to tell what text stands for
_FEW = 50  # different texts that are still categories
NUMBER = r"^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$"  # 007 is a code
_DATE = r"^\d{4}-\d{2}-\d{2}$"
_TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}"
_NESTED = r"^\s*[\[{]"
_FLAG = r"^(?i:true|false)$"


class Reads(StrEnum):
    """What the values of a column stand for, whether they are typed so or written as text."""

    NUMBER = "number"
    FLAG = "flag"
    DATE = "date"
    TIME = "time"
    CATEGORY = "category"  # text of few different values
    TEXT = "text"
    NESTED = "nested"
    OTHER = "other"  # binary, durations, Python objects
    NOTHING = "nothing"  # no value at all


@dataclass(frozen=True, slots=True)
class ColumnShape:
    """A column of a clean batch. `distinct` counts different values, nulls left out; `integral`: every number is whole."""

    name: str
    dtype: pl.DataType
    reads: Reads
    rows: int
    nulls: int
    distinct: int
    integral: bool = False

    @property
    def is_text(self) -> bool:
        """Whether the values are held as text, whatever they stand for."""
        return self.dtype == pl.String or isinstance(self.dtype, pl.Categorical | pl.Enum)

    @property
    def values(self) -> int:
        """Rows that are not null."""
        return self.rows - self.nulls


Shape = Mapping[str, ColumnShape]  # by column, in the order of the batch


def shape_of(frame: pl.DataFrame) -> Shape:
    return {series.name: _column(series) for series in frame.get_columns()}


def _column(series: pl.Series) -> ColumnShape:
    rows, nulls, dtype = len(series), series.null_count(), series.dtype
    if isinstance(dtype, pl.Float32 | pl.Float64):
        nulls += int(series.is_nan().sum())
    if rows == nulls:
        return ColumnShape(series.name, dtype, Reads.NOTHING, rows, nulls, 0)
    reads, distinct = _reads(series), _distinct(series)
    if reads is Reads.TEXT and distinct <= min(_FEW, rows // 2):
        reads = Reads.CATEGORY
    return ColumnShape(series.name, dtype, reads, rows, nulls, distinct, reads is Reads.NUMBER and _integral(series))


def _reads(series: pl.Series) -> Reads:
    dtype = series.dtype
    if dtype.is_numeric():
        return Reads.NUMBER
    if dtype == pl.Boolean:
        return Reads.FLAG
    if dtype == pl.Date:
        return Reads.DATE
    if isinstance(dtype, pl.Datetime):
        return Reads.TIME
    if dtype.is_nested():
        return Reads.NESTED
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return Reads.CATEGORY
    return _read_text(series) if dtype == pl.String else Reads.OTHER


_READ = ((NUMBER, Reads.NUMBER), (_FLAG, Reads.FLAG), (_DATE, Reads.DATE), (_TIME, Reads.TIME), (_NESTED, Reads.NESTED))


def _read_text(series: pl.Series) -> Reads:
    text = series.drop_nulls().head(_SURVEYED)
    text = text.filter(text != "")
    for pattern, reads in _READ:
        if len(text) and text.str.contains(pattern).all():
            return reads
    return Reads.TEXT


def _distinct(series: pl.Series) -> int:
    return 0 if series.dtype == pl.Object else series.drop_nulls().n_unique()


def _integral(series: pl.Series) -> bool:
    numbers = series.cast(pl.Float64, strict=False).drop_nulls().drop_nans()
    return bool((numbers == numbers.round()).all())
