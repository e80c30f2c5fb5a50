"""What a metric asks of a database, and how to read the answers.

Most ask for values of the one aggregate query (`Asked`); what no aggregate can tell is a query of its own (`Alone`). Expressions are
named for what they are ("customer_id nulls"), so that equal ones are selected once, whatever metrics ask for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import ibis
from ibis.expr import types as ir

from dagster_contracts.core.verdict import Count, Instant, Measured, Unmeasured
from dagster_contracts.engines.pushdown.values import Fits, Values

ROWS = "rows"
Answers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """Scalars of the one query."""

    select: Mapping[str, ir.Scalar]
    read: Callable[[Answers], Measured]


@dataclass(frozen=True, slots=True)
class Alone:
    """A query of its own, and how to read its rows; with scalars of the one query, where it needs some too."""

    query: ir.Table
    read: Callable[[Sequence[Answers], Answers], Measured]
    select: Mapping[str, ir.Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """A table, and the name of the ibis backend that it lives in."""

    table: ir.Table
    dialect: str

    def values(self, column: str) -> Values:
        return Values(self.table[column], self.dialect)


def breaking(values: Values, fits: Fits) -> Fits:
    """Which values are there and do not fit."""
    if fits is True or values.dtype.is_null():
        return False
    return values.present if fits is False else values.present & ~fits.fill_null(False)


def counted(name: str, which: Fits) -> Asked | Count:
    """How many rows are so."""
    if which is False:
        return Count(0)
    found = ibis.literal(True) if which is True else which
    return Asked({name: found.sum()}, lambda answers: Count(int(answers[name] or 0)))


def instant_of(name: str, found: Any) -> Asked:
    # As text: drivers disagree about what a timestamp is, and some hold none before 1677 or after 2262.
    return Asked({name: found.cast("string")}, lambda answers: _instant(answers[name]))


def _instant(text: str | None) -> Measured:
    if text is None:
        return Instant(None)
    try:
        return Instant(datetime.fromisoformat(text).replace(tzinfo=UTC))
    except ValueError:
        return Unmeasured("the instant is none of the years 1 to 9999")
