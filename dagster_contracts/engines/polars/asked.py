"""What a metric asks of the one pass: expressions that each come to one value, and how to read the answers.

Expressions are named for what they are ("customer_id present"), so that equal ones are selected once, whatever metrics ask for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from dagster_contracts.core.verdict import Count, Instant, Measured, Unmeasured
from dagster_contracts.engines.polars.values import Fits, Values

ROWS = "rows"
Answers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """`read` gives the value, or what is to be asked next: some questions need asking only where another is answered badly.

    `whole`: the answer needs a whole column at once. A stream would hold back all other columns meanwhile.
    """

    select: Mapping[str, pl.Expr]
    read: Callable[[Answers], Measured | Asked]
    whole: bool = False


def counted(label: str, values: Values, fits: Fits, name: str) -> Asked | Count:
    """How many values are there and do not fit. `label` names the values, `name` the metric."""
    if fits is True:
        return Count(0)
    present = f"{label} present"
    if fits is False:
        return Asked({present: values.count}, lambda answers: Count(answers[present]))
    there = fits & values.found.is_not_null()  # a null that "fits" would stand for a value that does not
    return Asked({present: values.count, name: there.sum()}, lambda answers: _less(answers[present], answers[name]))


def nulls(label: str, values: Values) -> Asked:
    """How many values are null."""
    present, every = f"{label} present", f"{label} all"
    select = {present: values.count, every: values.found.len()}
    return Asked(select, lambda answers: Count(answers[every] - answers[present]))


def both(one: Asked, other: Asked) -> Asked:
    """Two counts, added up."""

    def read(answers: Answers) -> Measured | Asked:
        found = [each.read(answers) for each in (one, other)]
        return Count(sum(each.value for each in found if isinstance(each, Count)))

    return Asked({**one.select, **other.select}, read, whole=one.whole or other.whole)


def total(name: str, which: pl.Expr, *, whole: bool = False) -> Asked:
    """How many are true."""
    return Asked({name: which.sum()}, lambda answers: Count(answers[name]), whole)


def instant_of(name: str, found: pl.Expr) -> Asked:
    return Asked({name: found}, lambda answers: _instant(answers[name]))


def _instant(found: object) -> Measured:
    if found is None or isinstance(found, datetime):
        return Instant(None if found is None else found.replace(tzinfo=UTC))
    return Unmeasured(f"Polars answered {type(found).__name__}, not a time")


def _less(present: int, fitting: int) -> Measured:
    if present < fitting:  # not of one and the same data
        return Unmeasured(f"Polars counted {fitting:,} of {present:,} values; did the data change while it was read?")
    return Count(present - fitting)
