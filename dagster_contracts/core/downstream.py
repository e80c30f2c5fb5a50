"""What the assets downstream of a broken one read now. Pure: routes are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dagster_contracts.core.contract import Confidence, least
from dagster_contracts.core.ledger import Route, RouteKind


@dataclass(frozen=True, slots=True)
class Reader:
    """An asset, the assets it reads, and the least confidence that it accepts of them."""

    asset: str
    reads: frozenset[str]
    accepts: Confidence


@dataclass(frozen=True, slots=True)
class Reading:
    """What one consumer is given, in words for people; `confidence` None where that is nothing."""

    consumer: str
    told: str
    confidence: Confidence | None


def readings(source: str, readers: Iterable[Reader], route: Callable[[Reader], Route]) -> tuple[Reading, ...]:
    """What everything downstream of `source` reads: its own readers by `route`, what lies beyond by how confident its inputs are.

    In order of distance. An asset is judged by the least confident of its affected inputs.
    """
    found: dict[str, Reading] = {}
    waiting = [reader for reader in readers if reader.asset != source]
    while near := _ready(source, waiting, found):
        for reader in near:
            found[reader.asset] = _reading(reader, source, found, route)
        waiting = [reader for reader in waiting if reader.asset not in found]
    return tuple(found.values())


def _ready(source: str, waiting: Sequence[Reader], found: Mapping[str, Reading]) -> list[Reader]:
    """Those of which every affected input is known."""
    affected = {source} | found.keys()
    changed = True
    while changed:
        more = {reader.asset for reader in waiting if reader.reads & affected} - affected
        affected |= more
        changed = bool(more)
    known = {source} | found.keys()
    return [reader for reader in waiting if reader.reads & affected and reader.reads & affected <= known]


def _reading(reader: Reader, source: str, found: Mapping[str, Reading], route: Callable[[Reader], Route]) -> Reading:
    given = [of_route(reader.asset, route(reader))] if source in reader.reads else []
    given += [_made(reader, found[name]) for name in sorted(reader.reads & found.keys())]
    halted = next((each for each in given if each.confidence is None), None)
    if halted is not None:
        return halted
    worst = least(each.confidence for each in given if each.confidence is not None)
    return next(each for each in given if each.confidence is worst)


def _made(reader: Reader, source: Reading) -> Reading:
    if source.confidence is None:
        return Reading(reader.asset, f"nothing: {source.consumer} is halted", None)
    if not source.confidence.satisfies(reader.accepts):
        return Reading(reader.asset, f"nothing: {source.consumer} is only {source.confidence}, {reader.accepts} is needed", None)
    return Reading(reader.asset, f"{source.consumer}, made at {source.confidence} confidence", source.confidence)


def of_route(consumer: str, route: Route) -> Reading:
    """The route of a consumer, in words."""
    served = f" [{route.served}]" if route.served is not None and route.served.key is not None else ""
    words = {
        RouteKind.FRESH: "fresh data",
        RouteKind.UNJUDGED: "data that was never judged",
        RouteKind.LAST_GOOD: f"the last good data{served or (' without it' if route.served is None else '')}",
        RouteKind.LOW_CONFIDENCE: f"the refused data{served}, marked low",
        RouteKind.HALTED: "nothing: it is halted",
    }
    return Reading(consumer, words[route.kind], route.confidence)
