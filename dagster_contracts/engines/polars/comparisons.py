"""Two columns of one row, compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import polars as pl

from dagster_contracts.core.metrics import TimeText
from dagster_contracts.engines.polars.instants import clock, instant
from dagster_contracts.engines.polars.spellings import spelled
from dagster_contracts.engines.polars.values import NotComparable, Values, is_text, number

_ORDERINGS = ("<", "<=", ">", ">=")
_DATED = re.compile("%[Yy]")


Texts = tuple[TimeText | None, TimeText | None]


def unlike(left: Values, operator: str, right: Values, texts: Texts, logical: str | None) -> pl.Expr:
    """Which rows hold a value on either side that do not compare as `operator` says; values that cannot be compared do not.

    `texts` say how times are written on either side, `logical` what text on both sides stands for. Raises NotComparable.
    """
    if pl.Null in (left.dtype, right.dtype):
        return pl.lit(value=False)
    return left.present & right.present & _holds(left, operator, right, texts, logical).fill_null(value=False).not_()


def _holds(left: Values, operator: str, right: Values, texts: Texts, logical: str | None) -> pl.Expr:
    if is_text(left.dtype) and is_text(right.dtype):
        if not any(map(_is_foreign, texts)):
            return _texts(left, operator, right, texts, logical)
        of_day = any(text is not None and _is_foreign(text) and not _DATED.search(text.directives or "%Y") for text in texts)
        one, other = (clock if of_day else instant)(left, texts[0]), (clock if of_day else instant)(right, texts[1])
        assert one is not None
        assert other is not None
        return _compared(one, operator, other)
    for pair in (_as_numbers(left, right), _as_instants(left, right, texts), _as_times(left, right, texts)):
        if pair is not None:
            return _compared(pair[0], operator, pair[1])
    if left.dtype != right.dtype:
        return pl.lit(value=False)
    if left.dtype.is_nested() or left.dtype == pl.Object:
        raise NotComparable(f"{left.dtype} values are not compared")
    return _compared(left.found, operator, right.found)


def _is_foreign(text: TimeText | None) -> bool:
    return text is not None and text.format is not None


def _texts(left: Values, operator: str, right: Values, texts: Texts, logical: str | None) -> pl.Expr:
    """As what both stand for, where both are such. Without it text is equal as text, and in order as numbers or instants."""
    alike = [spelled(each, logical) if logical in ("number", "boolean") else each for each in (left, right)]
    found = _compared(alike[0].plain, operator, alike[1].plain)
    for one, other in _readings(left, right, texts, logical, ordered=operator in _ORDERINGS):
        assert one is not None
        assert other is not None
        found = pl.when(one.is_not_null() & other.is_not_null()).then(_compared(one, operator, other)).otherwise(found)
    return found


def _readings(
    left: Values, right: Values, texts: Texts, logical: str | None, *, ordered: bool
) -> Iterator[tuple[pl.Expr | None, pl.Expr | None]]:
    if logical == "timestamp" or (logical is None and ordered):
        yield instant(left, texts[0]), instant(right, texts[1])
    if logical == "time":
        yield clock(left, texts[0]), clock(right, texts[1])
    if logical in ("number", None) and ordered:
        yield number(left.plain), number(right.plain)


def _as_numbers(left: Values, right: Values) -> tuple[pl.Expr, pl.Expr] | None:
    if not (left.dtype.is_numeric() or right.dtype.is_numeric()):
        return None
    sides = [number(each.plain) if is_text(each.dtype) else each.plain if each.dtype.is_numeric() else None for each in (left, right)]
    return _both(sides)


def _as_instants(left: Values, right: Values, texts: Texts) -> tuple[pl.Expr, pl.Expr] | None:
    if not any(isinstance(each.dtype, pl.Datetime | pl.Date) for each in (left, right)):
        return None
    if _is_local(left) and _is_local(right) and len({text.zone if text else "UTC" for text in texts}) == 1:
        texts = (None, None)  # of one zone, local times compare as they are, also those that the clock leaps over
    return _both([instant(left, texts[0]), instant(right, texts[1])])


def _is_local(values: Values) -> bool:
    return values.dtype == pl.Date or (isinstance(values.dtype, pl.Datetime) and values.dtype.time_zone is None)


def _as_times(left: Values, right: Values, texts: Texts) -> tuple[pl.Expr, pl.Expr] | None:
    if pl.Time not in (left.dtype, right.dtype):
        return None
    return _both([clock(left, texts[0]), clock(right, texts[1])])


def _both(sides: list[pl.Expr | None]) -> tuple[pl.Expr, pl.Expr] | None:
    return None if sides[0] is None or sides[1] is None else (sides[0], sides[1])


def _compared(left: pl.Expr, operator: str, right: pl.Expr) -> pl.Expr:
    compare: dict[str, Callable[[pl.Expr], pl.Expr]] = {
        "==": left.eq,
        "!=": left.ne,
        "<": left.lt,
        "<=": left.le,
        ">": left.gt,
        ">=": left.ge,
    }
    if operator not in compare:
        raise NotComparable(f'operator "{operator}" compares no columns')
    return compare[operator](right)
