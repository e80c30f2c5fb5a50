"""The bounds of a figure over time, robustly: what it usually is, and how far from that is still usual. Pure.

    level     from the last lasting shift on (`since_shift`): what was before it says nothing of what comes
    centre    the median; of a figure with a week in it, the median of each weekday
    spread    the median distance from the centre, as a standard deviation; at least what chance alone gives a count or a share
    bounds    the spread times Student's t for that many batches, and never nearer than the worst batch and as far again

A figure has a week in it where weekdays of their own halve the spread, and each was seen often enough. ODCS knows no bound for a weekday:
the one bound is the widest of all weekdays'.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from dagster_contracts.chaos.bounds import LEAST, Range, student, trending
from dagster_contracts.chaos.figures import STEADY, Unit

TRIED = 2 * LEAST  # batches that a bound is learned from and tried on: the earlier half and the later one
BEYOND = 1.0  # how far beyond the worst batch, in parts of its distance from the centre
_NORMAL = 1.4826  # a median distance as a standard deviation, were figures normal
_HALVED = 0.5


@dataclass(frozen=True, slots=True)
class Point:
    """A figure of one batch: which batch it is, its value, its rows, and the weekday of its partition (0 is Monday) where it has a day."""

    batch: int
    value: float
    rows: int
    weekday: int | None = None


@dataclass(frozen=True, slots=True)
class Usual:
    """What a figure is in `batches` batches. `low` and `high` are the least and the most that was seen, `bounds` what is still usual."""

    batches: int
    low: float
    high: float
    centre: float
    spread: float
    bounds: Range
    weekdays: tuple[tuple[int, float], ...] = ()  # the centre of each, where the figure has a week in it
    grows: bool = False


def usual_of(points: Sequence[Point], unit: Unit, most: float = math.inf) -> Usual | None:
    """None of fewer than LEAST batches, and of figures that are not finite."""
    values = [point.value for point in points]
    if len(values) < LEAST or not all(map(math.isfinite, values)):
        return None
    centres, middle, spread = _centres(points, unit)
    low, high = min(values), max(values)
    far = _reach(len(values)) * spread
    least, greatest = (min(centres.values()), max(centres.values())) if centres else (middle, middle)
    grows = trending(values)
    room = (high - low) if grows else 0.0
    bounds = Range(
        min(least - far, low - BEYOND * (middle - low) - room, low),
        max(greatest + far, high + BEYOND * (high - middle) + room, high),
    )
    return Usual(
        len(values), low, high, middle, spread, _possible(bounds, unit, _most(points, unit, most)), tuple(sorted(centres.items())), grows
    )


def _centres(points: Sequence[Point], unit: Unit) -> tuple[dict[int, float], float, float]:
    """Of each weekday, of all, and the spread around them."""
    centres = _weekly(points)
    middle = statistics.median(point.value for point in points)
    return centres, middle, max(_distance(points, centres, middle), _chance(points, unit))


def _reach(batches: int) -> float:
    """How many spreads from its centre the next batch still is."""
    return student(batches - 1) * math.sqrt(1 + 1 / batches)


def strange(points: Sequence[Point], unit: Unit) -> dict[int, float]:
    """Batches of a steady figure that lie beyond what is usual of the others, with how many times as far from the centre."""
    values = [point.value for point in points]
    if len(values) < TRIED or not all(map(math.isfinite, values)) or trending(values):
        return {}
    centres, middle, spread = _centres(points, unit)
    far = _reach(len(values)) * spread
    apart = {point.batch: abs(point.value - _centre(point, centres, middle)) for point in points}
    return {batch: distance / far for batch, distance in apart.items() if far and distance > far}


def _centre(point: Point, centres: dict[int, float], middle: float) -> float:
    return middle if point.weekday is None else centres.get(point.weekday, middle)


def _most(points: Sequence[Point], unit: Unit, most: float) -> float:
    """A count of rows is at most that of all rows."""
    return min(most, max(point.rows for point in points)) if unit is Unit.ROWS else most


def _possible(bounds: Range, unit: Unit, most: float) -> Range:
    signed = unit in (Unit.ANY, Unit.WHOLE)
    return Range(bounds.low if signed else max(0.0, bounds.low), min(bounds.high, most))


def _chance(points: Sequence[Point], unit: Unit) -> float:
    """The standard deviation that chance alone gives: of a share that of its rows, of a count its root. A count that is always
    the same is no matter of chance: it is to stay within a few percent."""
    if unit in (Unit.PERCENT, Unit.ROWS):
        rows = max(1.0, statistics.median(point.rows for point in points))
        whole = 100.0 if unit is Unit.PERCENT else rows
        share = min(1.0, max(0.0, statistics.fmean(point.value for point in points) / whole))
        return whole * math.sqrt(max(share * (1 - share), 1 / rows) / rows)
    if unit is Unit.COUNT:
        middle = statistics.median(point.value for point in points)
        constant = len({point.value for point in points}) == 1
        return STEADY * middle / _reach(len(points)) if constant else math.sqrt(max(0.0, middle))
    return 0.15 if unit is Unit.WHOLE else 0.0


def _distance(points: Sequence[Point], centres: dict[int, float], middle: float) -> float:
    apart = [abs(point.value - _centre(point, centres, middle)) for point in points]
    found = _NORMAL * statistics.median(apart)
    return found or statistics.fmean(apart)  # most batches are alike to the last digit: what the others say counts


def _weekly(points: Sequence[Point]) -> dict[int, float]:
    """The centre of each weekday; empty where the figure has no week in it, or too few of each day are known."""
    days: dict[int, list[float]] = {}
    for point in points:
        if point.weekday is None:
            return {}
        days.setdefault(point.weekday, []).append(point.value)
    if len(days) < 2 or any(len(found) < LEAST for found in days.values()):
        return {}
    centres = {day: statistics.median(found) for day, found in days.items()}
    middle = statistics.median(point.value for point in points)
    apart, within = (statistics.fmean(abs(p.value - _centre(p, around, middle)) for p in points) for around in ({}, centres))
    return centres if within <= _HALVED * apart and apart > 0 else {}


def since_shift(points: Sequence[Point]) -> Sequence[Point]:
    """From the last shift on that lasted: all values before it lie on one side of all after it, farther away than either side is wide.

    What grows has no shift, since its sides touch; and of fewer than TRIED batches after it nothing would be known.
    """
    values = [point.value for point in points]
    if len(values) < LEAST + TRIED:
        return points
    lows, highs = list(accumulate(values, min)), list(accumulate(values, max))
    low = high = values[-1]
    for at in range(len(values) - 1, LEAST - 1, -1):
        low, high = min(low, values[at]), max(high, values[at])
        if len(values) - at < TRIED:
            continue
        gap = max(low - highs[at - 1], lows[at - 1] - high)
        if gap > max(high - low, highs[at - 1] - lows[at - 1]):
            return points[at:]
    return points


def holds_later(points: Sequence[Point], unit: Unit, most: float = math.inf, *, low: bool = True, high: bool = True) -> bool:
    """Whether what the earlier half says would have held in the later one. Of fewer than TRIED batches it cannot be tried."""
    if len(points) < TRIED:
        return False
    half = len(points) // 2
    found = usual_of(points[:half], unit, most)
    if found is None:
        return False
    return all((not low or point.value >= found.bounds.low) and (not high or point.value <= found.bounds.high) for point in points[half:])
