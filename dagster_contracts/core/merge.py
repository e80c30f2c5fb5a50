"""Measurements of parts -> the measurement of the whole: micro-batches of a window, partitions of a range. Pure.

`parts_of` says what to measure of each part so that the parts can be put together, `merged` puts them together:

    counts, times, bins, minimum, maximum, sum   exact
    profiles                                     exact while the parts and the whole are within the limits of core/profile.py; beyond,
                                                 within the rank error that the profile states
    mean, standard deviation                     from counts, means and squared deviations (Chan, Golub and LeVeque 1979): to rounding
    quantile                                     of the merged profile: exact, or a value whose rank is within its rank error
    distinct count and share                     of the merged profile of categories: exact, or unmeasured beyond its limit
    duplicates, queries, expectations            not known from parts, unless all rows are in one: unmeasured. That a key of one part
                                                 stands in another as well cannot be read off two counts: measure the whole
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from dagster_contracts.core.metrics import Duplicates, Expectation, Histogram, Kind, Metric, Nested, Newest, ProfileOf, Query, Statistic
from dagster_contracts.core.profile import CategoryProfile, NumericProfile, pooled, quantile
from dagster_contracts.core.verdict import Bins, Column, Count, Figure, Instant, Measured, Measurement, NotApplicable, Unmeasured

_DISTINCT = (Kind.DISTINCT_COUNT, Kind.DISTINCT_SHARE)


def _sum(values: list[float]) -> float:
    """Exact of finite floats and of integers. math.fsum raises for infinities of both signs, whose sum is NaN."""
    floats = any(isinstance(value, float) for value in values)
    return math.fsum(values) if floats and all(map(math.isfinite, values)) else sum(values)


_ADDED: dict[Kind, Callable[[list[float]], float]] = {Kind.MINIMUM: min, Kind.MAXIMUM: max, Kind.SUM: _sum}


def parts_of(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """What to measure of each part, so that `merged` can tell `metrics` of the whole."""
    return tuple(dict.fromkeys(part for metric in metrics for part in _parts(metric)))


def merged(metrics: Sequence[Metric], parts: Sequence[Measurement | Unmeasured]) -> Measurement | Unmeasured:
    """`metrics` of all rows of `parts` together, each of which was measured for `parts_of(metrics)`. Raises ValueError for no part.

    Unmeasured where a part is, and where parts differ in their columns: their schemas are judged one by one.
    """
    if not parts:
        raise ValueError("no part to merge")
    measured: list[Measurement] = []
    for part in parts:
        if isinstance(part, Unmeasured):
            return part
        measured.append(part)
    measured = [part for part in measured if part.columns_told] or measured[:1]  # what has neither rows nor columns adds nothing
    first = measured[0]
    for part in measured[1:]:
        if differing := set(_names(first)) ^ set(_names(part)) or (set() if len(first.columns) == len(part.columns) else {"one twice"}):
            return Unmeasured(f"the parts differ in their columns: {', '.join(sorted(differing)[:10])}")
    values = {metric: _merged(metric, measured) for metric in metrics if all(part in first.values for part in _parts(metric))}
    return replace(
        first,
        rows=sum(part.rows for part in measured),
        columns=_columns(measured),
        values=values,
        typed_source=all(part.typed_source for part in measured),
    )


def _parts(metric: Metric) -> tuple[Metric, ...]:
    if not isinstance(metric, Statistic) or metric.kind in _ADDED:
        return (metric,)
    if metric.kind in _DISTINCT:
        return (ProfileOf(metric.column, categorical=True, logical=metric.logical),)
    if metric.kind is Kind.QUANTILE:
        return (ProfileOf(metric.column),)
    spread = (metric,) if metric.kind is Kind.STANDARD_DEVIATION else ()
    return (Statistic(metric.column, Kind.MEAN), _numbers(metric), *spread)


def _numbers(metric: Statistic) -> Histogram:
    """One bin of everything: how many numbers there are."""
    return Histogram(metric.column, ())


def _names(part: Measurement) -> tuple[str, ...]:
    return tuple(column.name for column in part.columns)


def _columns(parts: Sequence[Measurement]) -> tuple[Column, ...]:
    """A column that is of one type here and another there is of both."""
    types: dict[str, dict[str, None]] = {}
    for part in parts:
        for column in part.columns:
            types.setdefault(column.name, {})[column.type] = None
    return tuple(replace(column, type=" or ".join(types[column.name])) for column in parts[0].columns)


# --- one metric ----------------------------------------------------------------------------------------------------


def _merged(metric: Metric, parts: Sequence[Measurement]) -> Measured:
    for needed in _parts(metric):
        for part in parts:
            if isinstance(value := part.values[needed], Unmeasured | NotApplicable):
                return value
    if isinstance(metric, Statistic):
        return _statistic(metric, parts)
    inner = metric.metric if isinstance(metric, Nested) else metric
    if isinstance(inner, Duplicates | Query | Expectation):
        filled = [part for part in parts if part.rows] or parts[:1]
        if len(filled) > 1:
            return Unmeasured(f"{type(inner).__name__} of a whole is not known from its parts")
        return filled[0].values[metric]
    return _together([part.values[metric] for part in parts], newest=isinstance(inner, Newest))


def _together(values: Sequence[Measured], *, newest: bool) -> Measured:
    counts = [value.value for value in values if isinstance(value, Count)]
    times = [value.value for value in values if isinstance(value, Instant)]
    bins = [value for value in values if isinstance(value, Bins)]
    profiles = [value for value in values if isinstance(value, NumericProfile | CategoryProfile)]
    if len(counts) == len(values):
        return Count(sum(counts))
    if len(times) == len(values):
        known = [time for time in times if time is not None]
        return Instant((max if newest else min)(known) if known else None)
    if len(bins) == len(values):
        return Bins(tuple(map(sum, zip(*(each.counts for each in bins), strict=True))), sum(each.nulls for each in bins))
    if len(profiles) == len(values) and len({type(profile) for profile in profiles}) == 1:
        return pooled(profiles)
    return Unmeasured(f"parts were measured as {', '.join(sorted({type(value).__name__ for value in values}))}")


def _statistic(metric: Statistic, parts: Sequence[Measurement]) -> Measured:
    if metric.kind in _ADDED:
        known = _figures(metric, parts)
        return Figure(_ADDED[metric.kind](known) if known else None)
    if metric.kind in (Kind.MEAN, Kind.STANDARD_DEVIATION):
        return _moment(metric, parts)
    profile = _together([part.values[_parts(metric)[0]] for part in parts], newest=False)
    if isinstance(profile, NumericProfile):
        return Figure(quantile(profile, metric.at if metric.at is not None else 0.5))
    if not isinstance(profile, CategoryProfile):
        return profile
    if profile.others:
        return Unmeasured(f"the parts hold more than {len(profile.categories):,} different values, which a profile does not keep")
    present, distinct = profile.total - profile.nulls, len(profile.categories)
    if metric.kind is Kind.DISTINCT_COUNT:
        return Figure(distinct)
    return Figure(distinct / present if present else None)


def _moment(metric: Statistic, parts: Sequence[Measurement]) -> Figure:
    count, mean, squares = 0, 0.0, 0.0
    for part in parts:
        n = sum(value.counts) if isinstance(value := part.values[_numbers(metric)], Bins) else 0
        if not n:
            continue
        (own,) = _figures(Statistic(metric.column, Kind.MEAN), [part])
        spread = _figures(metric, [part]) if metric.kind is Kind.STANDARD_DEVIATION else []  # none of a single value
        gap, count = own - mean, count + n
        mean += gap * n / count
        squares += (spread[0] ** 2 * (n - 1) if spread else 0.0) + gap * gap * n * (count - n) / count
    if metric.kind is Kind.MEAN:
        return Figure(mean if count else None)
    return Figure(math.sqrt(squares / (count - 1)) if count > 1 else None)


def _figures(metric: Statistic, parts: Sequence[Measurement]) -> list[float]:
    values = (part.values[metric] for part in parts)
    return [value.value for value in values if isinstance(value, Figure) and value.value is not None]
