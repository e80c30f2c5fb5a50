"""Whether whatever keeps one check keeps another too. Pure.

    implies(new, old)   YES      every batch that meets `new` meets `old`
                        NO       some batch may meet `new` and break `old`
                        UNKNOWN  nobody can say: patterns that differ, SQL, Great Expectations, types of a database

YES is a promise, and is given only where it follows from what the checks measure. Rules that count faults are compared by what they
count (a metric that finds at least the faults of another is the stricter), then by the threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from math import inf

from dagster_contracts.core.contract import Operator, Scalar
from dagster_contracts.core.metrics import (
    Among,
    Duplicates,
    Expectation,
    LengthOutside,
    Metric,
    Missing,
    Nested,
    NotIn,
    NotMatching,
    NotMultiple,
    OutOfRange,
    Query,
    SizeOutside,
    TypeBreaches,
)
from dagster_contracts.core.plan import Cadence, Check, Closed, Drifted, Due, Expected, Fresh, InForce, Retained, Stored, Threshold, Within

_NO_FAULT: tuple[float, bool] = (0.0, True)


class Implied(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def implies(new: Check, old: Check) -> Implied:
    """Whether every batch that meets `new` meets `old`."""
    if new == old:
        return Implied.YES
    match new, old:
        case Within(), Within():
            return _within(new, old)
        case Closed(), Closed():
            return _sure(set(new.columns) <= set(old.columns))
        case Fresh(), Fresh():
            return _sure(new.metric == old.metric and new.maximum_age <= old.maximum_age)
        case Retained(), Retained():
            return _sure(new.metric == old.metric and new.maximum_age <= old.maximum_age)
        case Drifted(), Drifted() if replace(new, threshold=old.threshold) == old:
            return _sure(_inside(new.threshold, old.threshold))
        case Cadence(), Cadence() if (new.interval, new.schedule) == (old.interval, old.schedule):
            return _sure(new.tolerance <= old.tolerance)
        case InForce(), InForce():
            ends = old.end is None or (new.end is not None and new.end <= old.end)
            return _sure(_later(new.start, old.start) and ends)
        case (Stored(), Stored()) | (Expected(), Expected()) | (Due(), Due()):
            return Implied.UNKNOWN
    return Implied.NO


def kin(check: Check) -> tuple[object, ...]:
    """Equal for all checks of which one may imply the other for sure."""
    metric = getattr(check, "metric", None)
    columns = frozenset() if metric is None or isinstance(metric, Duplicates) else frozenset(metric.columns)
    return type(check), type(metric), columns


def _sure(holds: bool) -> Implied:
    return Implied.YES if holds else Implied.NO


def _within(new: Within, old: Within) -> Implied:
    if new.metric == old.metric:
        if new.threshold.percent == old.threshold.percent and _inside(new.threshold, old.threshold):
            return Implied.YES
        return _sure(_limit(new.threshold) == _NO_FAULT and _limit(old.threshold) is not None)
    finds = finds_as_much(new.metric, old.metric)
    if finds is not Implied.YES:
        return finds
    most, allowed = _limit(new.threshold), _limit(old.threshold)
    if most is None or allowed is None:
        return Implied.NO
    return _sure(most == _NO_FAULT or (new.threshold.percent == old.threshold.percent and most <= allowed))


def _later(one: datetime | None, bound: datetime | None) -> bool:
    """Whether `one` is not before `bound`; None is no bound."""
    return bound is None or (one is not None and one >= bound)


# --- thresholds ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Interval:
    low: float = -inf
    high: float = inf
    open_low: bool = False
    open_high: bool = False

    def within(self, other: _Interval) -> bool:
        left = self.low > other.low or (self.low == other.low and (self.open_low or not other.open_low))
        right = self.high < other.high or (self.high == other.high and (self.open_high or not other.open_high))
        return left and right


def _accepted(threshold: Threshold) -> tuple[_Interval, ...]:
    """The numbers that a threshold accepts, as intervals that do not touch."""
    if isinstance(threshold.value, tuple):
        low, high = threshold.value
        if threshold.operator is Operator.BETWEEN:
            return (_Interval(low, high),)
        return _Interval(high=low, open_high=True), _Interval(low=high, open_low=True)
    value = threshold.value
    return {
        Operator.MUST_BE: (_Interval(value, value),),
        Operator.MUST_NOT_BE: (_Interval(high=value, open_high=True), _Interval(low=value, open_low=True)),
        Operator.GREATER_THAN: (_Interval(low=value, open_low=True),),
        Operator.GREATER_OR_EQUAL: (_Interval(low=value),),
        Operator.LESS_THAN: (_Interval(high=value, open_high=True),),
        Operator.LESS_OR_EQUAL: (_Interval(high=value),),
    }[threshold.operator]


def _inside(new: Threshold, old: Threshold) -> bool:
    return new.percent == old.percent and all(any(one.within(other) for other in _accepted(old)) for one in _accepted(new))


def _limit(threshold: Threshold) -> tuple[float, bool] | None:
    """The most faults that a threshold accepts, and whether that many are accepted; None where it does not accept every smaller number."""
    accepted = _accepted(threshold)
    if len(accepted) > 1 or not _Interval(0, 0).within(accepted[0]):
        return None
    return accepted[0].high, not accepted[0].open_high


# --- metrics -------------------------------------------------------------------------------------------------------


def finds_as_much(new: Metric, old: Metric) -> Implied:
    """Whether `new` counts at least the faults that `old` counts, in every batch."""
    if new == old:
        return Implied.YES
    if isinstance(new, Nested) and isinstance(old, Nested):
        return finds_as_much(new.metric, old.metric) if (new.column, new.path) == (old.column, old.path) else Implied.NO
    if type(new) is not type(old):
        return Implied.NO
    if isinstance(new, Query | Expectation):
        return Implied.UNKNOWN
    compared = _COMPARED.get(type(new))
    same = set(new.columns) == set(old.columns) or isinstance(new, Duplicates)
    return compared(new, old) if compared and same else Implied.NO


def _types(new: TypeBreaches, old: TypeBreaches) -> Implied:
    if (new.text, new.zoned) != (old.text, old.zoned):
        return Implied.UNKNOWN
    return _sure((new.logical_type, old.logical_type) == ("integer", "number"))


def _not_in(new: NotIn, old: NotIn) -> Implied:
    kinds = {_kind(value) for value in (*new.values, *old.values)}
    return _sure(set(new.values) <= set(old.values)) if len(kinds) == 1 else Implied.UNKNOWN


def _kind(value: Scalar | None) -> type:
    return bool if isinstance(value, bool) else str if isinstance(value, str) else type(None) if value is None else float


def _missing(new: Missing, old: Missing) -> Implied:
    if isinstance(new, Among):
        return Implied.NO
    kinds = {_kind(value) for value in (*new.values, *old.values)} - {type(None)}
    return _sure(set(old.values) <= set(new.values)) if len(kinds) <= 1 else Implied.UNKNOWN


def _range(new: OutOfRange, old: OutOfRange) -> Implied:
    if new.text != old.text:
        return Implied.UNKNOWN
    bounds = [value for value in (new.minimum, new.maximum, old.minimum, old.maximum) if value is not None]
    ordered = _ordered(bounds)
    if ordered is None:
        return Implied.UNKNOWN
    lower = _bounded(new.minimum, old.minimum, new.exclusive_minimum or not old.exclusive_minimum, lambda a, b: ordered(b, a))
    upper = _bounded(new.maximum, old.maximum, new.exclusive_maximum or not old.exclusive_maximum, ordered)
    return _sure(lower and upper)


def _bounded(new: object, old: object, tie: bool, below: Callable[[object, object], bool]) -> bool:
    if old is None:
        return True
    return new is not None and (below(new, old) or (tie and not below(old, new)))


def _ordered(bounds: list[int | float | str]) -> Callable[[object, object], bool] | None:
    """How bounds compare: numbers, or whole days; None for other texts, whose order depends on time zones."""
    if not any(isinstance(bound, str) for bound in bounds):
        return lambda one, other: one < other  # type: ignore[operator]
    if all(isinstance(bound, str) and _is_day(bound) for bound in bounds):
        return lambda one, other: str(one) < str(other)
    return None


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _size(new: LengthOutside | SizeOutside, old: LengthOutside | SizeOutside) -> Implied:
    lower = old.minimum is None or (new.minimum is not None and new.minimum >= old.minimum)
    upper = old.maximum is None or (new.maximum is not None and new.maximum <= old.maximum)
    return _sure(lower and upper)


def _multiple(new: NotMultiple, old: NotMultiple) -> Implied:
    return _sure(Decimal(str(new.of)) % Decimal(str(old.of)) == 0)


def _pattern(new: NotMatching, old: NotMatching) -> Implied:
    return Implied.YES if new.pattern == old.pattern else Implied.UNKNOWN


def _duplicates(new: Duplicates, old: Duplicates) -> Implied:
    """Rows that are equal in more columns are equal in fewer, so that fewer columns find more duplicates."""
    numbers = set(new.numbers) == set(old.numbers) & set(new.columns)
    return _sure(set(new.columns) <= set(old.columns)) if numbers else Implied.UNKNOWN


_COMPARED: dict[type, Callable[..., Implied]] = {
    TypeBreaches: _types,
    NotIn: _not_in,
    Missing: _missing,
    Among: _missing,
    OutOfRange: _range,
    LengthOutside: _size,
    SizeOutside: _size,
    NotMultiple: _multiple,
    NotMatching: _pattern,
    Duplicates: _duplicates,
}
