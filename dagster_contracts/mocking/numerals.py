"""Numbers that keep bounds and multiples: taken from a grid, whose step is what they are multiples of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from random import Random

from dagster_contracts.core.metrics import NotMultiple, OutOfRange
from dagster_contracts.mocking.wanted import Wanted

_CENT = Fraction(1, 100)
_USUAL = 1000  # how far numbers reach from a bound, or from 0, where nothing says so
_MOST = 10**15  # steps of a grid that are looked at
_FINEST = Fraction(1, 10**9)


def numbers(wanted: Wanted, random: Random, need: int) -> list[int | float]:
    """Up to `need` different numbers, all there are where they are fewer. Ends that a rule names are among them, if possible."""
    grid = step(wanted)
    low, high = span(wanted, need * (grid or _CENT))
    if grid is None:
        grid = _CENT
        while (high - low) / grid < 2 * need and grid > _FINEST:
            grid /= 10
    first, last = math.ceil(low / grid), math.floor(high / grid)
    if last < first:
        return []
    last = min(last, first + _MOST)
    count = last - first + 1
    taken = range(first, last + 1) if count <= need else random.sample(range(first, last + 1), need)
    found = [_number(grid * each, wanted.kind) for each in taken]
    random.shuffle(found)
    return found


def _number(value: Fraction, kind: str | None) -> int | float:
    return int(value) if kind == "integer" else float(value)


def step(wanted: Wanted) -> Fraction | None:
    """What all are multiples of; None where any number will do."""
    steps = [Fraction(str(metric.of)) for metric in wanted.of(NotMultiple) if isinstance(metric, NotMultiple)]
    steps += [Fraction(1)] if wanted.kind == "integer" else []
    if not steps:
        return None
    found = steps[0]
    for each in steps[1:]:
        found = Fraction(math.lcm(found.numerator, each.numerator), math.gcd(found.denominator, each.denominator))
    return found


def span(wanted: Wanted, room: Fraction = Fraction(0)) -> tuple[Fraction, Fraction]:
    """The lowest and the highest number, narrower where the bounds are far apart, and at least `room` wide where they allow it."""
    low, high = bounds(wanted)
    usual = max(Fraction(_USUAL), 2 * room)
    if low is None and high is None:
        return Fraction(0), usual
    if high is None:
        return low, low + usual  # type: ignore[operator, return-value]
    if low is None:
        return (Fraction(0) if high >= usual else high - usual), high
    if high - low > _USUAL * max(usual, abs(low) if low > 0 else 0):
        low = max(low, Fraction(0)) if high > 0 else high - usual
        high = min(high, low + usual)
    return low, high


def bounds(wanted: Wanted) -> tuple[Fraction | None, Fraction | None]:
    """What the rules say, inclusive: an exclusive bound is moved by the smallest step that is taken."""
    nudge = Fraction(1) if wanted.kind == "integer" else step(wanted) or Fraction(1, 10**6)
    ranges = [metric for metric in wanted.metrics if isinstance(metric, OutOfRange)]
    lows = [_inside(each.minimum, nudge, each.exclusive_minimum, 1) for each in ranges if _is_number(each.minimum)]
    highs = [_inside(each.maximum, nudge, each.exclusive_maximum, -1) for each in ranges if _is_number(each.maximum)]
    return max(lows, default=None), min(highs, default=None)


def _inside(bound: object, nudge: Fraction, exclusive: bool, sign: int) -> Fraction:
    return Fraction(str(bound)) + (sign * nudge if exclusive else 0)


def _is_number(bound: object) -> bool:
    return isinstance(bound, int | float)


def read(texts: Sequence[str], kind: str | None) -> list[int | float]:
    """Those of the texts that are numbers, as such."""
    found: list[int | float] = []
    for text in texts:
        try:
            value = float(text)
        except ValueError:
            continue
        if math.isfinite(value):
            found.append(int(value) if kind == "integer" and value.is_integer() else value)
    return found
