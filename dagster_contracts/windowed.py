"""A time window of partitions that a consumer reads as one value: where one of them is refused, the whole window moves back.

A window in which one partition is replaced would hold that one twice, or an older one in its place. So either all of it is fresh, or all
of it is that of an earlier partition of the consumer, whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from dagster_contracts import routing
from dagster_contracts.core import route
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import Partition, Route, StepKey
from dagster_contracts.gate import Gate

MOVES = 400  # earlier windows that are looked at: more than a year of days


def routes_of_window(
    gate: Gate, step: StepKey, given: routing.Input, requested: Sequence[Partition], earlier: Iterable[Sequence[Partition]] | None
) -> list[Route]:
    """The routes of one step to a window of partitions of an input, decided once and remembered.

    `earlier` are the windows that the consumer's partitions before this one read, nearest first. Where the window asked for is not fresh
    and the consumer accepts stale data, it is the nearest of them that is fresh throughout, of as many partitions and within the policy's
    `maxStaleness`; where there is none, each partition has its own route, and the caller halts. None: what it reads is no window of time.
    """
    known: dict[Partition, routing.Considered] = {}

    def look(place: Partition) -> routing.Considered:
        if place not in known:
            known[place] = routing.considered(gate, given, place, step)
        return known[place]

    found = [look(place) for place in requested]
    decided = [each.route for each in found]
    undecided = not any(each.is_kept for each in found)
    if undecided and found[0].accepts is not Confidence.FULL and not all(map(route.is_fresh, decided)):
        moved = _moved(decided, earlier or (), look, found[0])
        told = moved or [route.not_moved(each, len(decided), may_move=earlier is not None) for each in decided]
        found = [routing.Considered(each, item.accepts) for each, item in zip(told, found, strict=True)]
    return [routing.remembered(gate, step, given, each) for each in found]


def _moved(
    decided: Sequence[Route],
    earlier: Iterable[Sequence[Partition]],
    look: Callable[[Partition], routing.Considered],
    terms: routing.Considered,
) -> list[Route] | None:
    for window in islice(earlier, MOVES):
        if len(window) != len(decided):  # a shorter month, the first days there are
            continue
        newest_first = (look(place).route for place in reversed(window))
        routes = list(_while_fresh(newest_first))
        if (moved := route.moved_back(decided, list(reversed(routes)), terms.max_staleness)) is not None:
            return moved
    return None


def _while_fresh(routes: Iterable[Route]) -> Iterable[Route]:
    """What is fresh of a window, until one is not: that one is the last that is asked for."""
    for found in routes:
        yield found
        if not route.is_fresh(found):
            return
