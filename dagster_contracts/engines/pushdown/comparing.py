"""Two columns of one row, compared; and rows whose key another table does not have."""

from __future__ import annotations

import operator as operators
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ibis
from ibis.expr import types as ir

from dagster_contracts.core.metrics import Orphans, TimeText
from dagster_contracts.core.verdict import Count
from dagster_contracts.engines.pushdown import text as reading
from dagster_contracts.engines.pushdown.asking import Alone, Answers, Source
from dagster_contracts.engines.pushdown.patterns import Inexpressible
from dagster_contracts.engines.pushdown.predicates import clock, instant
from dagster_contracts.engines.pushdown.spellings import spelled
from dagster_contracts.engines.pushdown.values import Fits, Values

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operators.eq,
    "!=": operators.ne,
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
}
_ORDERINGS = ("<", "<=", ">", ">=")


Texts = tuple[TimeText | None, TimeText | None]


def unlike(left: Values, operator: str, right: Values, texts: Texts, logical: str | None) -> Fits:
    """Which rows hold a value on either side that do not compare as `operator` says; values that cannot be compared do not.

    `texts` say how times are written on either side, `logical` what text on both sides stands for. Raises Inexpressible, also of text in
    a format other than ISO 8601.
    """
    if left.dtype.is_null() or right.dtype.is_null():
        return False
    if operator not in _OPERATORS:
        raise Inexpressible(f'operator "{operator}" compares no columns')
    complete = left.known().present & right.known().present
    holds = _holds(left, operator, right, texts, logical)
    return complete if holds is False else complete & ~holds.fill_null(False)


def _holds(left: Values, operator: str, right: Values, texts: Texts, logical: str | None) -> Fits:
    for values, text in zip((left, right), texts, strict=True):
        if values.is_text and text is not None and text.format is not None:
            raise Inexpressible(f'text written as "{text.format}" is not read')
    if left.is_text and right.is_text:
        return _texts(left, operator, right, texts, logical)
    for pair in (_as_numbers(left, right), _as_instants(left, right, texts), _as_times(left, right)):
        if pair is not None:
            return _OPERATORS[operator](*pair)
    if left.dtype.is_nested() or right.dtype.is_nested():
        raise Inexpressible(f"{left.dtype} and {right.dtype} values are not compared")
    return _OPERATORS[operator](left.plain, right.plain) if left.dtype == right.dtype else False


def _texts(left: Values, operator: str, right: Values, texts: Texts, logical: str | None) -> Fits:
    """As what both stand for, where both are such. Without it text is equal as text, and in order as numbers or instants."""
    alike = [spelled(each, logical) if logical in ("number", "boolean") else each.plain for each in (left, right)]
    found = _OPERATORS[operator](*alike)
    for one, other in _readings(left, right, texts, logical, ordered=operator in _ORDERINGS):
        found = ibis.ifelse(one.notnull() & other.notnull(), _OPERATORS[operator](one, other), found)
    return found


def _readings(left: Values, right: Values, texts: Texts, logical: str | None, *, ordered: bool) -> Iterator[tuple[Any, Any]]:
    if logical == "timestamp" or (logical is None and ordered):
        yield instant(left, texts[0]), instant(right, texts[1])
    if logical == "time":
        yield clock(left), clock(right)
    if logical in ("number", None) and ordered:
        yield reading.number(left.plain, left.dialect), reading.number(right.plain, right.dialect)


def _as_numbers(left: Values, right: Values) -> tuple[Any, Any] | None:
    if not (left.is_number or right.is_number):
        return None
    if left.dtype.is_integer() and right.dtype.is_integer():
        return left.found, right.found
    return _both([_float(each) for each in (left, right)])


def _float(values: Values) -> Any | None:
    if values.is_text:
        return reading.number(values.plain, values.dialect)
    return values.plain.cast("float64") if values.is_number else None


def _as_instants(left: Values, right: Values, texts: Texts) -> tuple[Any, Any] | None:
    if not (left.is_instant or right.is_instant):
        return None
    if _is_local(left) and _is_local(right) and len({text.zone if text else "UTC" for text in texts}) == 1:
        texts = (None, None)  # of one zone, local times compare as they are
    return _both([instant(left, texts[0]), instant(right, texts[1])])


def _is_local(values: Values) -> bool:
    return bool(values.dtype.is_date()) or (bool(values.dtype.is_timestamp()) and values.dtype.timezone is None)


def _as_times(left: Values, right: Values) -> tuple[Any, Any] | None:
    return _both([clock(left), clock(right)]) if left.dtype.is_time() or right.dtype.is_time() else None


def _both(sides: Sequence[Any | None]) -> tuple[Any, Any] | None:
    return None if sides[0] is None or sides[1] is None else (sides[0], sides[1])


# --- relationships -------------------------------------------------------------------------------------------------


def orphans(metric: Orphans, source: Source, targets: ir.Table) -> Alone:
    """How many rows have a key (no part of it null) that is none of those of `targets`, a table of the same database."""
    pairs = [
        _alike(source.values(column), Values(targets[target], source.dialect))
        for column, target in zip(metric.columns, metric.targets, strict=True)
    ]
    complete = ibis.and_(*(source.values(column).present for column in metric.columns))
    found = [pair for pair in pairs if pair is not None]
    if len(found) < len(pairs):  # text beside instants, say: nothing of the one is among the other
        return Alone(source.table.aggregate(orphans=complete.sum()), _read)
    keys = source.table.filter(complete).select(**{f"k{n}": left for n, (left, _) in enumerate(found)})
    others = targets.select(**{f"k{n}": right for n, (_, right) in enumerate(found)}).distinct()
    return Alone(keys.anti_join(others, list(others.columns)).aggregate(orphans=ibis._.count()), _read)


def _read(rows: Sequence[Answers], answers: Answers) -> Count:
    return Count(int(rows[0]["orphans"] or 0))


def _alike(left: Values, right: Values) -> tuple[Any, Any] | None:
    """Both sides in one type in which equal values are equal. None: there is none."""
    if left.known().dtype == right.known().dtype or (left.is_text and right.is_text):
        return left.plain, right.plain
    if left.dtype.is_integer() and right.dtype.is_integer():
        return left.found, right.found
    return _both([_float(left), _float(right)]) or _both([instant(left), instant(right)])
