"""Numbers of a contract that have more digits than a float keeps. Pure."""

from __future__ import annotations

import math
from decimal import Decimal

_DIGITS = 100  # characters of a number; more are read as a float


class Precise(float):
    """A float with the digits that it was written with: in words, and where it is compared with another number, it is these.

    It computes as the float nearest to them. JSON has that float.
    """

    __slots__ = ("exact",)
    exact: Decimal

    def __new__(cls, text: str) -> Precise:
        self = super().__new__(cls, text)
        self.exact = Decimal(text)
        return self

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        return (str(self),)

    def __repr__(self) -> str:
        return str(self.exact)

    __str__ = __repr__

    def __hash__(self) -> int:
        return hash(self.exact)

    def __eq__(self, other: object) -> bool:
        return self.exact == _exact(other) if isinstance(other, int | float) else NotImplemented

    def __ne__(self, other: object) -> bool:
        return self.exact != _exact(other) if isinstance(other, int | float) else NotImplemented

    def __lt__(self, other: float) -> bool:
        return self.exact < _exact(other) if _is_ordered(other) else NotImplemented

    def __le__(self, other: float) -> bool:
        return self.exact <= _exact(other) if _is_ordered(other) else NotImplemented

    def __gt__(self, other: float) -> bool:
        return self.exact > _exact(other) if _is_ordered(other) else NotImplemented

    def __ge__(self, other: float) -> bool:
        return self.exact >= _exact(other) if _is_ordered(other) else NotImplemented

    def is_integer(self) -> bool:
        return self.exact == self.exact.to_integral_value()


def _exact(number: float) -> Decimal:
    """A float is the number that it is written as."""
    return number.exact if isinstance(number, Precise) else Decimal(number) if isinstance(number, int) else Decimal(float.__repr__(number))


def _is_ordered(other: object) -> bool:
    return isinstance(other, int) or (isinstance(other, float) and not math.isnan(other))


def number_of(text: str) -> float:
    """The number that a text is: a float, where that keeps every digit of it."""
    found = float(text)
    if not math.isfinite(found) or not found or len(text) > _DIGITS or Decimal(text) == _exact(found):
        return found
    return Precise(text)
