"""What is judged, as Polars sees it: an expression and its type.

NaN is null, categories are their text. `Fits` says which values meet a metric: True or False where the type alone decides, else an
expression that is true for what fits and false or null for everything else, nulls and NaN included.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from polars import selectors

Fits = pl.Expr | bool


class NotComparable(Exception):
    """The column's type has nothing this metric could look at. Its text is for people and quotes no value."""


class NotThere(Exception):
    """What the metric speaks of is not part of this batch at all. Its text is for people and quotes no value."""


@dataclass(frozen=True, slots=True)
class Values:
    """A column, or what stands at a path within one. `is_text` tells, for values of several types, which of them are text."""

    found: pl.Expr
    dtype: pl.DataType
    is_text: pl.Expr | None = None

    @property
    def plain(self) -> pl.Expr:
        """As they are judged: NaN is null, categories are their text."""
        if self.dtype.is_float():
            return self.found.fill_nan(None)
        if isinstance(self.dtype, pl.Categorical | pl.Enum):
            return self.found.cast(pl.String)
        return self.found

    @property
    def present(self) -> pl.Expr:
        """Which are no nulls."""
        if self.dtype.is_float():  # NaN compares as the greatest number: one comparison does for both
            return (self.found <= pl.lit(float("inf"), dtype=self.dtype)).fill_null(False)
        return self.found.is_not_null()

    @property
    def count(self) -> pl.Expr:
        """How many are no nulls."""
        return self.found.count() - self.found.is_nan().sum() if self.dtype.is_float() else self.found.count()


def named(column: str) -> pl.Expr:
    """The column of exactly this name: `pl.col` reads "*" and "^...$" as patterns."""
    special = column == "*" or (column.startswith("^") and column.endswith("$"))
    return selectors.by_name(column).as_expr() if special else pl.col(column)


def breaking(values: Values, fits: Fits) -> pl.Expr:
    """Which values are there and do not fit."""
    if isinstance(fits, bool):
        return values.present & pl.lit(not fits)
    return values.present & fits.fill_null(False).not_()


def is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def limits(dtype: pl.DataType) -> tuple[int, int]:
    """The least and the greatest value of an integer type."""
    bits = int("".join(c for c in str(dtype) if c.isdigit()))
    return (0, 2**bits - 1) if dtype.is_unsigned_integer() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def text_of(values: Values) -> pl.Expr | None:
    """The text form of the values. None: the type has none (lists, binary, durations), and no pattern or length fits it."""
    dtype = values.dtype
    if is_text(dtype):
        return values.plain
    plain = dtype.is_numeric() or dtype == pl.Boolean or isinstance(dtype, pl.Date | pl.Datetime | pl.Time)
    return values.plain.cast(pl.String) if plain else None


def number(text: pl.Expr) -> pl.Expr:
    """Text as Float64; null or not finite where it is not a number. Outer whitespace is allowed, as in most CSV readers."""
    return text.str.strip_chars().cast(pl.Float64, strict=False)


def numbers(values: Values) -> pl.Expr | None:
    """The values as Float64 with neither NaN nor text that is no finite number; None: the type holds no numbers."""
    if is_text(values.dtype):
        parsed = number(values.plain)
        return pl.when(parsed.is_finite()).then(parsed)
    if not values.dtype.is_numeric():
        return None
    return values.plain if values.dtype == pl.Float64 else values.plain.cast(pl.Float64)
