"""Whole multiples in the decimal sense: a float stands for the shortest decimal that reads back as it, so that 0.3 is three times 0.1."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import polars as pl

from dagster_contracts.engines.polars.values import Fits, Values, is_text, number

_EXACT = 10**15  # up to here, whole floats and their quotients by a power of ten have one decimal form
_LARGEST_POWER = 22  # of ten that a float holds exactly


def multiple(values: Values, of: int | float) -> Fits:
    """Which values are whole multiples of `of`, a number above 0."""
    step = Fraction(Decimal(str(of)))
    dtype = values.dtype
    if dtype.is_integer():
        return _divisible(values.found, step.numerator)
    if isinstance(dtype, pl.Decimal):
        return _divisible(values.found.to_physical(), (step * 10**dtype.scale).numerator)
    if is_text(dtype):
        return _decimal(number(values.plain), values.plain, step)
    if not dtype.is_float():
        return False
    found = values.found if dtype == pl.Float64 else values.found.cast(pl.String).cast(pl.Float64)  # 0.1 stays 0.1
    return _decimal(found, found, step)


def _divisible(found: pl.Expr, by: int) -> pl.Expr:
    """A value is a multiple of the fraction by/n in lowest terms, if a whole number, exactly when `by` divides it."""
    if by >= 2**127:
        return found == 0
    return found % pl.lit(by) == 0 if by < 2**31 else found.cast(pl.Int128) % pl.lit(by, dtype=pl.Int128) == 0


def _decimal(found: pl.Expr, source: pl.Expr, step: Fraction) -> pl.Expr:
    """By float arithmetic where that is exact; the few values beyond, one by one."""
    digits = _digits(step)
    if digits > _LARGEST_POWER:
        return _one_by_one(pl.when(found.is_finite()).then(source), step)
    scaled = (found * float(10**digits)).round()
    power = scaled * 0.0 + float(10**digits)  # a column: by a number alone, Polars multiplies with the reciprocal, which is less exact
    small = scaled.abs() < _EXACT
    beyond = found.is_finite() & small.not_()
    by = step * 10**digits
    whole = (scaled / power == found) & _divisible(pl.when(small).then(scaled).cast(pl.Int64, strict=False), by.numerator)
    return pl.when(small).then(whole).otherwise(_one_by_one(pl.when(beyond).then(source), step))


def _digits(step: Fraction) -> int:
    """Decimal places of a fraction that came from a decimal."""
    places = 0
    while (step * 10**places).denominator != 1:
        places += 1
    return places


def _one_by_one(source: pl.Expr, step: Fraction) -> pl.Expr:
    def divided(values: pl.Series) -> pl.Series:
        if values.null_count() == len(values):
            return values.is_not_null()
        return pl.Series(values.name, [None if value is None else _is_multiple(value, step) for value in values], dtype=pl.Boolean)

    return source.map_batches(divided, return_dtype=pl.Boolean, is_elementwise=True)


def _is_multiple(value: float | str, step: Fraction) -> bool:
    exact = Decimal(value.strip() if isinstance(value, str) else repr(value))
    return (Fraction(exact) / step).denominator == 1
