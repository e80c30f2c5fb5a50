"""Whole multiples in the decimal sense: a float stands for the shortest decimal that reads back as it, so that 0.3 is three times 0.1."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import ibis

from dagster_contracts.core.verdict import Count, Measured, Unmeasured
from dagster_contracts.engines.pushdown import text as reading
from dagster_contracts.engines.pushdown.asking import Answers, Asked, breaking, counted
from dagster_contracts.engines.pushdown.patterns import Inexpressible
from dagster_contracts.engines.pushdown.values import Fits, Values, literal

_EXACT = 10**15  # up to here, whole floats and their quotients by a power of ten have one decimal form
_LARGEST_POWER = 22  # of ten that a float holds exactly
_LARGEST_STEP = 2**63 - 1


def asked(name: str, values: Values, of: int | float) -> Asked | Count:
    """How many are no whole multiples. Where there are floats of which that cannot be told exactly, that is the answer."""
    fits = multiple(values, of)
    which = breaking(values, fits)
    if not (values.is_text or values.dtype.is_floating()):
        return counted(name, which)
    scaled = _floats(values).abs() * literal(float(10 ** _digits(Fraction(Decimal(str(of))))))
    beyond = f"{name} beyond"
    select = {name: which.sum(), beyond: (scaled >= literal(float(_EXACT))).sum()}

    def read(answers: Answers) -> Measured:
        if answers[beyond]:
            return Unmeasured(f"{answers[beyond]:,} values have too many digits to tell in a database whether they are multiples of {of}")
        return Count(int(answers[name] or 0))

    return Asked(select, read)


def multiple(values: Values, of: int | float) -> Fits:
    """Which values are whole multiples of `of`, a number above 0."""
    step = Fraction(Decimal(str(of)))
    dtype = values.known().dtype
    if dtype.is_null():
        return True
    if dtype.is_integer():
        return _divisible(values.found, step.numerator)
    if dtype.is_decimal():
        return _of_decimal(values, step)
    return _of_float(_floats(values), step) if values.is_text or dtype.is_floating() else False


def _divisible(found: Any, by: int) -> Any:
    """A value is a multiple of the fraction by/n in lowest terms, if a whole number, exactly when `by` divides it."""
    return found == 0 if by > _LARGEST_STEP else found % by == 0


def _of_decimal(values: Values, step: Fraction) -> Any:
    dtype: Any = values.dtype
    if dtype.scale is None or dtype.precision is None or dtype.precision > 18:
        raise Inexpressible(f"multiples within a {dtype} column are not told exactly")
    physical = (values.plain * ibis.literal(10**dtype.scale)).cast("int64")
    return _divisible(physical, (step * 10**dtype.scale).numerator)


def _floats(values: Values) -> Any:
    if values.is_text:
        return reading.number(values.plain, values.dialect)
    return values.plain if values.dtype.is_float64() else values.plain.cast("string").cast("float64")  # 0.1 stays 0.1


def _of_float(found: Any, step: Fraction) -> Any:
    digits = _digits(step)
    if digits > _LARGEST_POWER:
        raise Inexpressible(f"a multiple with {digits} decimal places is not told exactly")
    power = literal(float(10**digits))
    small = (found * power).abs() < literal(float(_EXACT))
    scaled = ibis.ifelse(small, (found * power).round().cast("int64"), ibis.null("int64"))
    return small & (scaled.cast("float64") / power == found) & _divisible(scaled, (step * 10**digits).numerator)


def _digits(step: Fraction) -> int:
    """Decimal places of a fraction that came from a decimal."""
    places = 0
    while (step * 10**places).denominator != 1:
        places += 1
    return places
