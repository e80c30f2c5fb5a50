"""What a process has just read for its routes, kept for a stated time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

from dagster_contracts.core.ledger import Partition, Route, StepKey
from dagster_contracts.core.snapshot import Change, Grounds, Snapshot
from dagster_contracts.ports import NO_CHANGE, Store

T = TypeVar("T")
_KEPT = 10_000  # places and decisions; beyond that all are forgotten


def keeping_recent(store: Store, seconds: float, clock: Callable[[], float] = time.monotonic) -> Store:
    """`store`, whose `grounds` may be up to `seconds` old: a route then asks the database nothing.

    A trip by another process is seen up to that much later; what this process writes through the store it sees at once. Everything else,
    verdicts above all, is decided on the present. `clock` counts seconds.
    """
    return cast("Store", Recent(store, seconds, clock)) if seconds > 0 else store


class Recent:
    """See `keeping_recent`. Decisions of this process are remembered too: they never change."""

    def __init__(self, store: Store, seconds: float, clock: Callable[[], float]):
        self._store = store
        self._seconds = seconds
        self._clock = clock
        self._known: dict[tuple[str, str, str | None], tuple[float, Grounds]] = {}
        self._decided: dict[tuple[StepKey, str, str | None], Route] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._store, name)

    def grounds(self, key: str, *, asset: str, partition: Partition, step: StepKey | None = None) -> Grounds:
        place, now = (key, asset, partition.key), self._clock()
        known = self._known.get(place)
        if known is not None and now - known[0] < self._seconds:
            kept = None if step is None else self._decided.get((step, asset, partition.key))
            return replace(known[1], kept=kept)
        found = self._store.grounds(key, asset=asset, partition=partition, step=step)
        if len(self._known) + len(self._decided) >= _KEPT:
            self._known.clear()
            self._decided.clear()
        self._known[place] = (now, found)
        return found

    def decide(self, step: StepKey, consumer: str, route: Route, change: Change = NO_CHANGE) -> Route:
        kept = self._store.decide(step, consumer, route, change)
        self._decided[step, route.upstream, route.requested.key] = kept
        if change != NO_CHANGE:
            self._known.clear()
        return kept

    def save(self, change: Change) -> None:
        self._known.clear()
        self._store.save(change)
        self._known.clear()

    def transact(self, key: str, decide: Callable[[Snapshot], tuple[Change, T]], **place: Any) -> T:
        try:
            return self._store.transact(key, decide, **place)
        finally:
            self._known.clear()
