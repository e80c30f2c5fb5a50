"""Columns whose values as a whole have to be something: means, quantiles, shares, distances from a stored profile."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from random import Random
from statistics import fmean, stdev
from typing import Any

from dagster_contracts.core.contract import Operator
from dagster_contracts.core.metrics import Kind, Missing, Statistic
from dagster_contracts.core.plan import Drifted, Rule, StoredProfile, Threshold, Within
from dagster_contracts.core.profile import CategoryProfile, NumericProfile, profile_from_json
from dagster_contracts.mocking.counts import nearest

_ROUNDS = 60
Targets = dict[tuple[Kind, float | None], Threshold]


def statistics(rules: Sequence[Rule], column: str) -> Targets:
    """The statistics of a column that rules ask for."""
    found: Targets = {}
    for rule in rules:
        if isinstance(rule.check, Within) and isinstance(rule.check.metric, Statistic) and rule.check.metric.column == column:
            found[rule.check.metric.kind, rule.check.metric.at] = rule.check.threshold
    return found


def inside(threshold: Threshold, natural: float) -> float:
    """A number that the threshold accepts, well within where it can be, near to what is natural."""
    value = threshold.value
    if isinstance(value, tuple):
        low, high = value
        if threshold.operator is Operator.NOT_BETWEEN:
            return natural if natural < low or natural > high else high + (high - low or 1)
        return min(max(natural, low + (high - low) / 4), high - (high - low) / 4)
    slack = max(abs(value) / 10, 1e-6)
    match threshold.operator:
        case Operator.MUST_BE:
            return value
        case Operator.MUST_NOT_BE:
            return natural if natural != value else natural + 1
        case Operator.GREATER_THAN | Operator.GREATER_OR_EQUAL:
            return max(natural, value + slack)
        case _:
            return min(natural, value - slack)


# --- numbers -------------------------------------------------------------------------------------------------------


def shaped(random: Random, targets: Targets, natural: Sequence[float], low: float | None, high: float | None, step: float) -> list[float]:
    """As many numbers as `natural`, near to it, within the bounds and on the grid, which have the statistics that are asked for."""
    count = len(natural)
    wished = {key: inside(threshold, _measure(key, natural)) for key, threshold in targets.items()}
    low = wished.get((Kind.MINIMUM, None), low)
    high = wished.get((Kind.MAXIMUM, None), high)
    mean = wished.get((Kind.MEAN, None), wished[Kind.SUM, None] / count if (Kind.SUM, None) in wished else None)
    spread = wished.get((Kind.STANDARD_DEVIATION, None))
    found = sorted(_clipped(natural, low, high))
    knots = sorted((at, value) for (kind, at), value in wished.items() if kind is Kind.QUANTILE and at is not None)
    if knots:
        found = _through(knots, count, low if low is not None else min(found[0], knots[0][1]), high)
        found = found if mean is None else _warped(found, knots, mean)
    elif mean is not None or spread is not None:
        found = _moved(found, mean if mean is not None else fmean(found), spread, low, high)
    found = [round(value / step) * step for value in found]
    fixed = _pinned(found, knots, wished)
    if mean is not None:
        found = _nudged(found, mean, step, low, high, fixed)
    random.shuffle(found)
    return found


def _pinned(found: list[float], knots: list[tuple[float, float]], wished: dict[tuple[Kind, float | None], float]) -> set[int]:
    """Sets what has to be exact: the ends, and both values that a quantile lies between. Tells where they stand."""
    last = len(found) - 1
    exact = {place: value for at, value in knots for place in (math.floor(at * last), math.ceil(at * last))}
    exact |= {place: wished[kind, None] for kind, place in ((Kind.MINIMUM, 0), (Kind.MAXIMUM, last)) if (kind, None) in wished}
    for place, value in exact.items():
        found[place] = value
    return set(exact)


def _measure(key: tuple[Kind, float | None], values: Sequence[float]) -> float:
    kind, at = key
    ordered = sorted(values)
    match kind:
        case Kind.MEAN:
            return fmean(values)
        case Kind.SUM:
            return sum(values)
        case Kind.STANDARD_DEVIATION:
            return stdev(values) if len(values) > 1 else 0.0
        case Kind.MINIMUM:
            return ordered[0]
        case Kind.MAXIMUM:
            return ordered[-1]
        case Kind.QUANTILE:
            return ordered[round((at or 0) * (len(ordered) - 1))]
    return float(len(set(values)))


def _clipped(values: Sequence[float], low: float | None, high: float | None) -> list[float]:
    return [max(low if low is not None else -math.inf, min(high if high is not None else math.inf, value)) for value in values]


def _moved(found: list[float], mean: float, spread: float | None, low: float | None, high: float | None) -> list[float]:
    """Shifted and stretched until the mean and the spread are reached within the bounds."""
    if spread is None and (low is not None or high is not None):
        room = min(mean - low if low is not None else math.inf, high - mean if high is not None else math.inf)
        spread = min(stdev(found) if len(found) > 1 else 0.0, max(room, 0.0) / 2)
    for _ in range(_ROUNDS):
        now = stdev(found) if len(found) > 1 else 0.0
        if spread and not now:
            found = [value + (number - len(found) / 2) for number, value in enumerate(found)]
            now = stdev(found)
        factor = 1.0 if spread is None or not now else spread / now
        middle = fmean(found)
        found = _clipped([mean + (value - middle) * factor for value in found], low, high)
    return found


def _through(knots: list[tuple[float, float]], count: int, low: float, high: float | None) -> list[float]:
    """On straight lines between quantiles."""
    last = high if high is not None else knots[-1][1] + abs(knots[-1][1] - knots[0][1] or knots[-1][1] / 2 or 1)
    points = [*([(0.0, low)] if knots[0][0] > 0 else []), *knots, *([(1.0, last)] if knots[-1][0] < 1 else [])]
    found = []
    for number in range(count):
        rank = number / (count - 1) if count > 1 else 0.5
        right = min(max(1, bisect_left(points, (rank, -math.inf))), len(points) - 1)
        (x0, y0), (x1, y1) = points[right - 1], points[right]
        found.append(y0 + (y1 - y0) * (rank - x0) / (x1 - x0) if x1 > x0 else y1)
    return found


def _warped(found: list[float], knots: list[tuple[float, float]], mean: float) -> list[float]:
    """The values between two quantiles moved towards one of them, all alike, until the mean is reached."""
    ends = sorted({found[0], found[-1], *(value for _, value in knots)})

    def bent(power: float) -> list[float]:
        moved = []
        for value in found:
            right = min(max(1, bisect_left(ends, value)), len(ends) - 1)
            base, width = ends[right - 1], ends[right] - ends[right - 1]
            moved.append(base + width * max(0.0, (value - base) / width) ** power if width else value)
        return moved

    low, high = -6.0, 6.0
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if fmean(bent(math.exp(middle))) > mean else (low, middle)
    return bent(math.exp(low))


def _nudged(found: list[float], mean: float, step: float, low: float | None, high: float | None, fixed: set[int]) -> list[float]:
    """Rounding moves the mean: the values in the middle take that back, a step each."""
    missing = round((mean * len(found) - math.fsum(found)) / step)
    order = range(len(found) // 2, len(found) // 2 + len(found))
    for _ in range(4):
        for number in (each % len(found) for each in order):
            if not missing:
                return found
            moved = found[number] + math.copysign(step, missing)
            if number not in fixed and (low is None or moved >= low) and (high is None or moved <= high):
                found[number] = moved
                missing -= int(math.copysign(1, missing))
    return found


# --- shares, and values that are asked to be different ---------------------------------------------------------------


def with_shares(
    random: Random, values: list[Any], rows: int, counted: Sequence[tuple[Missing, Threshold]], pool: Sequence[Any]
) -> list[Any]:
    """As many rows with one of some values as each share asks for; `values` are those that are not null."""
    values = list(values)
    settled: set[int] = set()
    named = {_plain(value) for metric, _ in counted for value in metric.values}
    for metric, threshold in counted:
        listed = {_plain(value) for value in metric.values if value is not None}
        fitting = [value for value in pool if _plain(value) in listed]
        others = [value for value in pool if _plain(value) not in named]
        mine = [number for number, value in enumerate(values) if _plain(value) in listed]
        size = nearest([threshold], len(mine), rows)
        if size is None:
            continue
        spare = [number for number in range(len(values)) if number not in settled and number not in mine]
        random.shuffle(spare)
        for number in spare[: size - len(mine)] if size > len(mine) and fitting else ():
            values[number] = random.choice(fitting)
            mine.append(number)
        for number in mine[size:] if others else ():
            values[number] = random.choice(others)
        settled.update(mine[:size])
    return values


def _plain(value: object) -> object:
    """1, 1.0 and "1" are one value."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(value)


def different(targets: Targets, values: int, pool: int) -> int | None:
    """How many different values there are to be; None where no rule says so."""
    asked = [threshold for (kind, _), threshold in targets.items() if kind is Kind.DISTINCT_COUNT]
    shares = [threshold for (kind, _), threshold in targets.items() if kind is Kind.DISTINCT_SHARE]
    if asked:
        return nearest(asked, min(values, pool), min(values, pool))
    if shares and values:
        return min(pool, max(1, round(inside(shares[0], min(values, pool) / values) * values)))
    return None


# --- stored profiles -------------------------------------------------------------------------------------------------


def profile(rules: Sequence[Rule], column: str) -> NumericProfile | CategoryProfile | None:
    """What a file says of how a column was distributed, where a rule compares with that."""
    for rule in rules:
        check = rule.check
        if isinstance(check, Drifted) and check.metric.column == column and isinstance(check.reference, StoredProfile):
            return profile_from_json(json.loads(check.reference.profile))
    return None


def like(random: Random, stored: NumericProfile | CategoryProfile, count: int) -> list[Any]:
    """`count` values that are distributed like those of a profile."""
    if isinstance(stored, NumericProfile):
        pairs: list[tuple[Any, int]] = list(zip(stored.values, stored.counts, strict=True))
    else:
        pairs = list(stored.categories)
    found: list[Any] = []
    total, seen = sum(size for _, size in pairs), 0
    for value, size in pairs:
        seen += size
        found += [value] * (round(count * seen / total) - len(found))
    random.shuffle(found)
    return found
