"""Columns whose values of one row compare: rows are picked from the pools of the columns, in the order of the comparisons."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from dagster_contracts.core.time_text import read_format
from dagster_contracts.mocking import numerals
from dagster_contracts.mocking.pools import Pool
from dagster_contracts.mocking.wanted import Wanted

_TRIES = 30


@dataclass(frozen=True, slots=True)
class Edge:
    """`low` is below `high` in each row, or equal where it is not `strict`."""

    low: str
    high: str
    strict: bool


def edge(left: str, operator: str, right: str) -> Edge | None:
    """None where the comparison is of equality."""
    if operator in ("<", "<="):
        return Edge(left, right, operator == "<")
    return Edge(right, left, operator == ">") if operator in (">", ">=") else None


def picked(
    random: Random,
    count: int,
    pools: Mapping[str, Pool],
    wants: Mapping[str, Wanted],
    edges: Sequence[Edge],
    unlike: Sequence[tuple[str, str]],
    unique: Collection[str],
) -> list[dict[str, Any]]:
    """Up to `count` rows; fewer where no more are found, none where the comparisons contradict each other."""
    order = _ordered(list(pools), edges)
    if order is None:
        return []
    sorted_pools = {name: _sorted(pool, wants[name]) for name, pool in pools.items()}
    caps = _capped(order, sorted_pools, edges)
    found: list[dict[str, Any]] = []
    used: dict[str, set[Any]] = {name: set() for name in unique}
    misses = 0
    while len(found) < count and misses < _TRIES * 10:
        row = _row(random, order, sorted_pools, caps, edges, unlike, used)
        if row is None:
            misses += 1
            continue
        misses = 0
        for name, seen in used.items():
            seen.add(row[name])
        found.append(row)
    return found


_Keyed = tuple[list[Any], list[Any]]  # sort keys, ascending, and the values


def _row(
    random: Random,
    order: Sequence[str],
    pools: Mapping[str, _Keyed],
    caps: Mapping[str, int],
    edges: Sequence[Edge],
    unlike: Sequence[tuple[str, str]],
    used: Mapping[str, set[Any]],
) -> dict[str, Any] | None:
    chosen: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    for name in order:
        sort_keys, values = pools[name]
        start = 0
        for each in edges:
            if each.high == name and each.low in keys:
                start = max(start, (bisect_right if each.strict else bisect_left)(sort_keys, keys[each.low]))
        for _ in range(_TRIES):
            if start >= caps[name]:
                return None
            index = random.randrange(start, caps[name])
            other = [keys[b if a == name else a] for a, b in unlike if name in (a, b) and (b if a == name else a) in keys]
            if values[index] not in used.get(name, ()) and sort_keys[index] not in other:
                chosen[name], keys[name] = values[index], sort_keys[index]
                break
        else:
            return None
    return chosen


def _sorted(pool: Pool, wanted: Wanted) -> _Keyed:
    pairs = sorted(((sort_key(value, wanted), number) for number, value in enumerate(pool.values)))
    return [key for key, _ in pairs], [pool.values[number] for _, number in pairs]


def sort_key(value: Any, wanted: Wanted) -> Any:
    """What the engine compares by: numbers, naive UTC times, or the text itself."""
    if isinstance(value, str):
        if wanted.kind in ("integer", "number") and (number := numerals.read([value], None)):
            return number[0]
        if wanted.text and wanted.text.format and wanted.text.directives:
            return read_format(wanted.text.format).iso(value, wanted.kind or "timestamp")
        return value
    if isinstance(value, datetime):
        zone = wanted.text.zone if wanted.text else "UTC"
        return value.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None) if zone != "UTC" and not wanted.zoned else value
    return datetime(value.year, value.month, value.day) if isinstance(value, date) else value  # noqa: DTZ001 - compared with naive UTC


def _ordered(names: list[str], edges: Sequence[Edge]) -> list[str] | None:
    """Each after all that are below it; None where they run in a circle."""
    order: list[str] = []
    left = list(names)
    while left:
        ready = [name for name in left if not any(each.high == name and each.low in left and each.low != name for each in edges)]
        if not ready or any(each.strict and each.low == each.high for each in edges):
            return None
        order += ready
        left = [name for name in left if name not in ready]
    return order


def _capped(order: Sequence[str], pools: Mapping[str, _Keyed], edges: Sequence[Edge]) -> dict[str, int]:
    """How many of the sorted values of each leave room for what has to be above them."""
    caps = {name: len(pools[name][0]) for name in order}
    for name in reversed(order):
        for each in edges:
            if each.low == name and each.high != name and caps[each.high]:
                greatest = pools[each.high][0][caps[each.high] - 1]
                caps[name] = min(caps[name], (bisect_left if each.strict else bisect_right)(pools[name][0], greatest))
            elif each.low == name and not caps[each.high]:
                caps[name] = 0
    return caps
