"""What a database answers to a sql rule -> a number, exact where it is one. Needs no database."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from dagster_contracts.core.verdict import Figure, Measured, Unmeasured


def one_number(rows: Sequence[Sequence[object]], width: int) -> Measured:
    """The number of an answer of one row and one column; null is a Figure of nothing. `rows` need not be all: two tell more than one."""
    if not rows and width == 1:
        return Unmeasured("the query gave no row; a sql rule answers one number (a condition leaves nothing: count(*) would be 0)")
    if len(rows) != 1 or width != 1:
        shape = "no row" if not rows else "several rows" if len(rows) > 1 else f"{width} columns"
        return Unmeasured(f"the query gave {shape}; a sql rule answers one number")
    value = rows[0][0]
    if value is None or isinstance(value, bool | int | float | Decimal):
        return Figure.of(value)
    return Unmeasured(f"the query gave a {type(value).__name__}; a sql rule answers one number")
