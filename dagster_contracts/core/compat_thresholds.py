"""What numbers a threshold accepts, and whether another accepts no others. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor, inf, isinf

from dagster_contracts.core.contract import Operator
from dagster_contracts.core.plan import Threshold

NO_FAULT: tuple[float, bool] = (0.0, True)


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


def _accepted(threshold: Threshold, counts: bool) -> tuple[_Interval, ...]:
    """What a threshold accepts, as intervals that do not touch: of `counts` whole numbers from 0, or percent from 0 to 100."""
    accepted = _numbers(threshold)
    if not counts:
        return accepted
    narrowed = (_percent(part) if threshold.percent else _whole(part) for part in accepted)
    return tuple(part for part in narrowed if part.low <= part.high)


def _percent(part: _Interval) -> _Interval:
    low = part if part.low >= 0 else replace(part, low=0, open_low=False)
    return low if low.high <= 100 else replace(low, high=100, open_high=False)


def _whole(part: _Interval) -> _Interval:
    low = 0 if part.low < 0 else floor(part.low) + 1 if part.open_low else ceil(part.low)
    return _Interval(low, part.high if isinf(part.high) else ceil(part.high) - 1 if part.open_high else floor(part.high))


def _numbers(threshold: Threshold) -> tuple[_Interval, ...]:
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


def accepts_all(threshold: Threshold) -> bool:
    """Whether it accepts every count, or every percentage."""
    return _Interval(0, 100 if threshold.percent else inf) in _accepted(threshold, counts=True)


def inside(new: Threshold, old: Threshold, counts: bool) -> bool:
    """Whether `old` accepts all that `new` accepts."""
    others = _accepted(old, counts)
    return new.percent == old.percent and all(any(one.within(other) for other in others) for one in _accepted(new, counts))


def limit(threshold: Threshold, counts: bool) -> tuple[float, bool] | None:
    """The most faults that a threshold accepts, and whether that many are accepted; None where it does not accept every smaller number."""
    accepted = _accepted(threshold, counts)
    if len(accepted) != 1 or not _Interval(0, 0).within(accepted[0]):
        return None
    return accepted[0].high, not accepted[0].open_high
