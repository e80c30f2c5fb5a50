"""Whether whatever keeps one check keeps another too. Pure.

    implies(new, old)   YES      every batch that meets `new` meets `old`
                        NO       some batch may meet `new` and break `old`
                        UNKNOWN  nobody can say: patterns that differ, SQL, Great Expectations, types of a database

YES is a promise, and is given only where it follows from what the checks measure. Rules that count faults are compared by what they
count (a metric that finds at least the faults of another is the stricter), then by the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from functools import partial
from math import ceil, floor, inf
from typing import TypeGuard

from dagster_contracts.core.compat_thresholds import NO_FAULT, accepts_all, inside, limit
from dagster_contracts.core.contract import Scalar
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
    Nulls,
    OutOfRange,
    Query,
    SizeOutside,
    Statistic,
    TypeBreaches,
)
from dagster_contracts.core.plan import ZERO, Cadence, Check, Closed, Drifted, Due, Expected, Fresh, InForce, Retained, Stored, Within


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
            return _sure(inside(new.threshold, old.threshold, counts=False))
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
    return type(check), columns


def _sure(holds: bool) -> Implied:
    return Implied.YES if holds else Implied.NO


def _within(new: Within, old: Within) -> Implied:
    counts = _counts(new.metric) and _counts(old.metric)
    most, allowed = limit(new.threshold, counts), limit(old.threshold, counts)
    if new.metric == old.metric:
        if inside(new.threshold, old.threshold, counts):
            return Implied.YES
        return _sure(most == NO_FAULT and allowed is not None)
    finds = finds_as_much(new.metric, old.metric)
    if finds is not Implied.YES:
        return finds
    if most is None or allowed is None:
        return Implied.NO
    return _sure(most == NO_FAULT or (new.threshold.percent == old.threshold.percent and most <= allowed))


def _later(one: datetime | None, bound: datetime | None) -> bool:
    """Whether `one` is not before `bound`; None is no bound."""
    return bound is None or (one is not None and one >= bound)


# --- ranges of numbers ----------------------------------------------------------------------------------------------


def is_whole(check: Check) -> bool:
    """Whether it lets whole numbers pass and nothing else."""
    metric = _innermost(check) if isinstance(check, Within) and check.threshold == ZERO else None
    return isinstance(metric, TypeBreaches) and metric.logical_type == "integer"


def is_range(check: Check) -> TypeGuard[Within]:
    """Whether it lets a range of numbers pass and nothing else."""
    metric = _innermost(check) if isinstance(check, Within) and check.threshold == ZERO else None
    return isinstance(metric, OutOfRange) and not any(isinstance(bound, str) for bound in (metric.minimum, metric.maximum))


def together(ranges: Sequence[Within], whole: bool) -> Within:
    """What ranges of one column ask for together; where its numbers are `whole`, more than 5 is at least 6."""
    metrics = [metric for check in ranges if isinstance(metric := _innermost(check), OutOfRange)]
    low, above = max(_lows(metrics, whole), default=(None, False))
    high, at = min(_highs(metrics, whole), default=(None, True))
    joined = replace(metrics[0], minimum=low, maximum=high, exclusive_minimum=above, exclusive_maximum=not at)
    metric = ranges[0].metric
    return replace(ranges[0], metric=replace(metric, metric=joined) if isinstance(metric, Nested) else joined)


def _lows(ranges: Sequence[OutOfRange], whole: bool) -> Iterator[tuple[float, bool]]:
    """Each lower bound, and whether it is itself outside."""
    for each in ranges:
        if isinstance(low := each.minimum, int | float):
            exact = Decimal(str(low))
            yield (floor(exact) + 1 if each.exclusive_minimum else ceil(exact), False) if whole else (low, each.exclusive_minimum)


def _highs(ranges: Sequence[OutOfRange], whole: bool) -> Iterator[tuple[float, bool]]:
    """Each upper bound, and whether it is itself inside."""
    for each in ranges:
        if isinstance(high := each.maximum, int | float):
            exact = Decimal(str(high))
            yield (ceil(exact) - 1 if each.exclusive_maximum else floor(exact), True) if whole else (high, not each.exclusive_maximum)


def _innermost(check: Within) -> Metric:
    return check.metric.metric if isinstance(check.metric, Nested) else check.metric


def _counts(metric: Metric) -> bool:
    return not isinstance(metric, Statistic | Query | Expectation)


# --- metrics -------------------------------------------------------------------------------------------------------


def asks_nothing(check: Check) -> bool:
    """Whether every batch meets it: `minLength: 0`, or at most 100 percent of something."""
    if not isinstance(check, Within):
        return False
    metric = _innermost(check)
    if isinstance(metric, LengthOutside | SizeOutside):
        return metric.maximum is None and (metric.minimum or 0) <= 0
    return _counts(metric) and accepts_all(check.threshold)


def finds_as_much(new: Metric, old: Metric) -> Implied:
    """Whether `new` counts at least the faults that `old` counts, in every batch."""
    if new == old:
        return Implied.YES
    if isinstance(new, Nested) and isinstance(old, Nested):
        return finds_as_much(new.metric, old.metric) if (new.column, new.path) == (old.column, old.path) else Implied.NO
    if type(new) is not type(old):
        return _sure(set(new.columns) == set(old.columns) and _across(new, old))
    if isinstance(new, Query | Expectation):
        return Implied.UNKNOWN
    compared = _COMPARED.get(type(new))
    same = set(new.columns) == set(old.columns) or isinstance(new, Duplicates)
    return compared(new, old) if compared and same else Implied.NO


def _across(new: Metric, old: Metric) -> bool:
    """Whether a metric finds all that one of another type finds in the same column."""
    match new, old:
        case Missing(), Nulls():
            return None in new.values and not isinstance(new, Among)
        case NotIn(), LengthOutside():
            lengths = [len(value) if isinstance(value, str) else -1 for value in new.values]
            return all(max(old.minimum or 0, 0) <= length <= (inf if old.maximum is None else old.maximum) for length in lengths)
        case NotIn(), OutOfRange():
            return all(_kind(value) is float and not _outside(value, old) for value in new.values)
        case TypeBreaches(), NotMultiple():
            return new.logical_type == "integer" and 1 % Decimal(str(old.of)) == 0
    return False


def _outside(value: Scalar, bounds: OutOfRange) -> bool:
    ordered = _ordered([value, *(bound for bound in (bounds.minimum, bounds.maximum) if bound is not None)])
    if ordered is None:
        return True
    low, high = bounds.minimum, bounds.maximum
    below = low is not None and (ordered(value, low) or (bounds.exclusive_minimum and not ordered(low, value)))
    return below or (high is not None and (ordered(high, value) or (bounds.exclusive_maximum and not ordered(value, high))))


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
    """How bounds compare: numbers, whole days, times of day, or instants; None for other texts, whose order depends on time zones."""
    if not any(isinstance(bound, str) for bound in bounds):
        return lambda one, other: one < other  # type: ignore[operator]
    for read in (_day, _time_of_day, _instant):
        if all(isinstance(bound, str) and read(bound) is not None for bound in bounds):
            return partial(_before, read)
    return None


def _before(read: Callable[[str], object], one: object, other: object) -> bool:
    return read(str(one)) < read(str(other))  # type: ignore[operator, no-any-return]


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.isoformat() == text else None


def _time_of_day(text: str) -> time | None:
    try:
        found = time.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is None and ":" in text else None


def _instant(text: str) -> datetime | None:
    """Of a text with its offset from UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


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
