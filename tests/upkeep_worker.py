"""What the processes of test_upkeep_crashes.py run: a delivery is missed, people release and discard, and what is over is pruned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from dagster_contracts import recovery
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.ledger import Status
from dagster_contracts.core.retention import Retention
from dagster_contracts.gate import Gate
from dagster_contracts.watching import record_missed
from tests.crash_worker import Fate, Feed
from tests.gate_world import Counts, day
from tests.test_watching import watched


@dataclass
class Kept(Feed):
    """A feed that promises a batch each day. Dies also inside every transaction that writes, before its commit."""

    def __post_init__(self) -> None:
        self.gate = Gate(self.store, Counts())
        self.terms = watched("critical")
        database = self.store._database  # type: ignore[attr-defined]
        database.writing = mortal(database.writing, self.fate)

    def steps(self) -> list[Callable[[], object]]:
        return [
            lambda: self.deliver(day(1, 6), 1, {"rows": 101}),
            lambda: self.deliver(day(2, 6), 2, {"rows": 102, "outside": 9}),  # opens
            lambda: self.person(2, recovery.release),
            lambda: self.release(day(2, 7)),
            lambda: self.reset(),
            lambda: self.miss(),  # opens again: day 3 never comes
            lambda: self.deliver(day(5, 6), 4, {"rows": 104, "outside": 9}),
            lambda: self.person(4, recovery.discard),
            lambda: self.deliver(day(6, 6), 4, {"rows": 204}),
            lambda: self.relay(day(6, 8)),
            lambda: self.prune(),
        ]

    def person(self, number: int, word: Callable[..., object]) -> None:
        """A person's word; said before, it may not be said again."""
        waiting = self.store.batches(asset=self.asset, statuses=(Status.QUARANTINED,))
        for batch in waiting:
            if batch.released is None:
                word(self.gate, batch, actor="ann", reason="known")

    def reset(self) -> None:
        assert self.breaker is not None
        if self.breaker.opened_at is not None:
            recovery.reset(self.gate, self.asset, actor="ann", reason="mended")

    def miss(self) -> None:
        self.clock.at = day(4, 12)
        record_missed(self.gate, {self.asset: self.terms}, lambda asset, now: [])

    def prune(self) -> None:
        self.clock.at = day(800)
        self.store.prune(Retention())

    def release(self, at: Any) -> None:
        try:
            super().release(at)
        except UsageError:  # let in by the run that died: reconcile has told what became of it
            self.reconcile()


def mortal(writing: Callable[..., Any], fate: Fate) -> Callable[..., Any]:
    @contextmanager
    def dying(*given: Any) -> Iterator[Connection]:
        with writing(*given) as connection:
            yield connection
            fate.point()
        fate.point()

    return dying


def keep(url: str, folder: str, dies_at: int | None, progress: str) -> None:
    """As crash_worker.tell_story."""
    feed = Kept.open(url, "feed", Path(folder), dies_at)
    with open(progress, "a", buffering=1) as file:
        for step in feed.steps():
            file.write(f"{feed.fate.passed}\n")
            step()
        file.write(f"{feed.fate.passed}\n")
