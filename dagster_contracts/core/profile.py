"""What is kept of the distribution of a column, small enough for the ledger, and how two of them merge."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NumericProfile:
    """The values of a column as (value, count) pairs, ascending. `exact`: every distinct value is there; else neighbours were joined.

    Nulls and NaN are counted apart; infinities are values.
    """

    values: tuple[float, ...]
    counts: tuple[int, ...]
    nulls: int = 0
    exact: bool = True


@dataclass(frozen=True, slots=True)
class CategoryProfile:
    """How often each category stands in a column, by its text, most frequent first. `others` counts those beyond the limit."""

    categories: tuple[tuple[str, int], ...]
    nulls: int = 0
    others: int = 0


Profile = NumericProfile | CategoryProfile
