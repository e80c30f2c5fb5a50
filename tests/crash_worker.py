"""What the processes of test_crashes.py run: a feed's story against a real database and real files, which ends by SIGKILL where it is
told to. Importable and small, so that spawned processes start quickly."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dagster_contracts import probing, recovery, routing, stored
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.events import Event
from dagster_contracts.core.ledger import Output, Status, StepKey
from dagster_contracts.core.state import Breaker, State
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Probe
from dagster_contracts.ports import FixedClock, Store
from dagster_contracts.relay import LEASE, Relay
from dagster_contracts.store.sql import SqlStore
from tests.gate_world import Counts, Data, daily, day, terms


class Fate:
    """Counts the points at which a process may die, and dies at one of them (None: lives)."""

    def __init__(self, at: int | None):
        self.at = at
        self.passed = 0

    def point(self) -> None:
        if self.passed == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed += 1


class Mortal:
    """A store around whose every write the process may die."""

    def __init__(self, store: Store, fate: Fate):
        self._store, self._fate = store, fate

    def __getattr__(self, name: str) -> Any:
        work = getattr(self._store, name)
        if name not in ("save", "transact", "decide", "register", "claim", "advance"):
            return work

        def written(*given: Any, **named: Any) -> Any:
            self._fate.point()
            result = work(*given, **named)
            self._fate.point()
            return result

        return written


@dataclass
class Feed:
    """One asset with its consumer; files in `folder`: live/<partition>, beside/<fingerprint>, and what the sink was told."""

    asset: str
    folder: Path
    store: Store
    clock: FixedClock
    fate: Fate

    @classmethod
    def open(cls, url: str, asset: str, folder: Path, dies_at: int | None = None) -> Feed:
        clock, fate = FixedClock(day(1)), Fate(dies_at)
        for name in ("live", "beside"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        store: Any = Mortal(SqlStore(url, clock=clock), fate)
        return cls(asset, folder, store, clock, fate)

    def __post_init__(self) -> None:
        self.gate = Gate(self.store, Counts())
        self.terms = terms(asset=self.asset)

    @property
    def breaker(self) -> Breaker | None:
        return next(iter(self.store.breakers([self.asset])), None)

    def write(self, place: str, data: Data) -> None:
        """All or nothing, as the file systems and object stores that IO managers write to."""
        self.fate.point()
        half = self.folder / f"{os.getpid()}.tmp"
        half.write_text(json.dumps(data))
        half.rename(self.folder / place)
        self.fate.point()

    def read(self, place: str) -> Data | None:
        path = self.folder / place
        return json.loads(path.read_text()) if path.exists() else None

    def deliver(self, at: datetime, number: int, data: Data) -> None:
        """A run, or its retry: the same root run."""
        self.clock.at = at
        judgement = self.gate.judge(self.terms, Delivery(daily(number), "run", "run"), data)
        batch = judgement.batch
        if judgement.publish:
            self.write(f"live/{batch.partition.key}", data)
            self.gate.published(batch, None)
        else:
            fingerprint = hashlib.sha256(batch.id.encode()).hexdigest()[:12]
            self.write(f"beside/{fingerprint}", data)
            self.gate.staged(batch, fingerprint)

    def consume(self, at: datetime, number: int, accepts: Confidence, run: str) -> Output:
        self.clock.at = at
        consumer = f"scores of {self.asset}"
        route = routing.route(self.gate, StepKey(run, consumer), routing.Input(consumer, self.asset, accepts, self.terms), daily(number))
        return self.gate.record_output(consumer, daily(number), run, [route])

    def probe(self, at: datetime) -> None:
        """As a sensor would: only where a probe is due; after a crash, once its lease has ended."""
        self.clock.at = at
        if (known := self.breaker) is not None and known.lease is not None:
            self.clock.at = max(at, known.lease.expires_at)
        if not recovery.due_probes(self.gate, {self.asset: self.terms}):
            return
        claimed = probing.claim(self.gate, self.terms, self.asset, holder="probe")
        assert isinstance(claimed, Probe)
        data = self.read(f"beside/{claimed.batch.staged}")
        assert data is not None
        probing.settle(self.gate, self.terms, claimed, data)

    def release(self, at: datetime) -> None:
        self.clock.at = at
        for due in recovery.due_releases(self.gate, [self.asset]):
            data = self.read(f"beside/{due.batch.staged}")
            assert data is not None
            going = stored.publishing(self.gate, due.batch, "release").batch
            self.write(f"live/{going.partition.key}", data)
            self.gate.published(going, None)

    def relay(self, at: datetime) -> None:
        """Twice: a lease that a relay died with has ended by the second time."""
        relay = Relay(self.store, [Files(self.folder.parent)])
        for self.clock.at in (at, at + LEASE):
            relay.tick()
            self.fate.point()

    def reconcile(self) -> None:
        for batch in self.store.batches(asset=self.asset, statuses=(Status.PUBLISHING,)):
            stored.settle_publishing(self.gate, self.terms, batch, self.read(f"live/{batch.partition.key}"))

    def steps(self) -> list[Callable[[], object]]:
        """Two good days; a bad one that trips; a consumer on fallback data; a good day that is held, probed and released; the bad day
        delivered again, and its consumer healed; the events relayed."""
        return [
            lambda: self.deliver(day(1, 6), 1, {"rows": 101}),
            lambda: self.deliver(day(2, 6), 2, {"rows": 102}),
            lambda: self.deliver(day(3, 6), 3, {"rows": 103, "outside": 9}),
            lambda: self.consume(day(3, 7), 3, Confidence.STALE, "consumer's run"),
            lambda: self.relay(day(3, 8)),
            lambda: self.deliver(day(4, 6), 4, {"rows": 104}),
            lambda: self.probe(day(4, 12)),
            lambda: self.release(day(4, 13)),
            lambda: self.deliver(day(5, 6), 3, {"rows": 203}),
            lambda: self.consume(day(5, 7), 3, Confidence.FULL, "healing run"),
            lambda: self.relay(day(5, 8)),
        ]


class Files:
    """An EventSink: appends to the file `told` in the folder of each event's breaker."""

    name = "files"

    def __init__(self, folder: Path):
        self.folder = folder

    def deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            with (self.folder / event.key / "told").open("a") as file:
                file.write(f"{event.sequence} {event.type}\n")


def tell_story(url: str, asset: str, folder: str, dies_at: int | None, progress: str) -> None:
    """Run the steps. `progress` is a file that gets, as each begins and at the end, the number of points passed."""
    feed = Feed.open(url, asset, Path(folder), dies_at)
    with open(progress, "a", buffering=1) as file:
        for step in feed.steps():
            file.write(f"{feed.fate.passed}\n")
            step()
        file.write(f"{feed.fate.passed}\n")


def is_closed(feed: Feed) -> bool:
    return feed.breaker is not None and feed.breaker.state is State.CLOSED
