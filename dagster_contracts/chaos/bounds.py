"""What a figure of a feed usually is, learned from a few batches: bounds that the next batch keeps to, as good as always. Pure.

The bounds are those of a prediction interval: mean plus and minus t times the standard deviation, t being Student's for the number of
batches, at ALPHA a side. Of few batches little is known, so that bounds are wide; they narrow as batches are added. Figures above 0 that
spread over magnitudes (maxima, sums) are taken as logarithms, too, and the wider of both bounds holds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

ALPHA = 1e-6  # a hundred rules with two bounds each then cry wolf about once in 5,000 batches, were figures normal
LEAST = 5  # batches that anything is learned from
_Z = 4.7534  # of the normal distribution at ALPHA
_DIGITS = 2
_TREND = 3.3  # standard errors of a correlation

S = TypeVar("S")
F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Range:
    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def usual(values: Sequence[float], *, spread: float = 0.0, positive: bool = False) -> Range | None:
    """The bounds of `values`, one of each batch in its order; None of fewer than LEAST, of infinite ones, and where they grow or fall.

    `spread` is a standard deviation that they have at least (of counts: the root of their size); `positive`: none is ever below 0.
    """
    if len(values) < LEAST or not all(map(math.isfinite, values)) or trending(values):
        return None
    far = student(len(values) - 1) * math.sqrt(1 + 1 / len(values))
    middle = statistics.fmean(values)
    reach = far * max(statistics.stdev(values), spread)
    low, high = middle - reach, middle + reach
    if positive and min(values) > 0 and max(values) > 2 * min(values):
        logs = [math.log(value) for value in values]
        middle, reach = statistics.fmean(logs), far * statistics.stdev(logs)
        low, high = min(low, math.exp(middle - reach)), max(high, math.exp(min(middle + reach, 700)))
    return Range(max(low, 0.0) if positive else low, high)


def trending(values: Sequence[float]) -> bool:
    """Whether they go along with their order, as chance alone would make them once in a thousand times."""
    if len(set(values)) == 1:
        return False
    return abs(statistics.correlation(range(len(values)), values)) > _TREND / math.sqrt(_TREND**2 + len(values) - 2)


def student(freedom: int) -> float:
    """Student's t at ALPHA, by the expansion of Cornish and Fisher; its error matters below LEAST alone, where t is very large anyway."""
    z, n = _Z, freedom
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / n**power for power, term in enumerate(terms, 1))


def steady(batches: Sequence[S], fit: Callable[[Sequence[S]], F | None], accepts: Callable[[F, S], bool]) -> F | None:
    """What `fit` makes of all batches, where it would have held: for each batch, learned from all others; and for the later half, learned
    from the earlier one, so that what grows or has seasons is not promised. None where it would not."""
    found = fit(batches)
    if found is None or not all(accepts(found, batch) for batch in batches):
        return None
    for left_out in range(len(batches)):
        others = fit([*batches[:left_out], *batches[left_out + 1 :]])
        if others is None or not accepts(others, batches[left_out]):
            return None
    half = len(batches) // 2
    if half >= LEAST:
        earlier = fit(batches[:half])
        if earlier is None or not all(accepts(earlier, batch) for batch in batches[half:]):
            return None
    return found


def outward(found: Range, *, whole: bool = False) -> tuple[float, float]:
    """The bounds in few digits, a little wider; `whole` numbers where the figure is one."""
    if whole:
        return math.floor(found.low), math.ceil(found.high)
    width = found.high - found.low
    if width <= 0:
        return found.low, found.high
    step = 10.0 ** (math.floor(math.log10(width)) - _DIGITS + 1)
    return _digits(math.floor(found.low / step) * step, step), _digits(math.ceil(found.high / step) * step, step)


def roughly(value: float) -> float:
    """In few digits, to the nearest."""
    return _whole(float(f"{value:.{_DIGITS}g}"))


def _digits(value: float, step: float) -> float:
    return _whole(round(value, max(0, -round(math.log10(step)))))


def _whole(value: float) -> float:
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def written(value: float) -> str:
    """A figure for people, in six digits."""
    return f"{value:,.6g}"
