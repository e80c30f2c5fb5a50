"""One process of the random fault runs: it delivers, consumes, probes, releases, relays and repairs until its work is done, or it is."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dagster_contracts import probing, recovery, routing, stored
from dagster_contracts.core.contract import BreakerPolicy, Confidence, Window
from dagster_contracts.core.errors import StoreUnavailable, UsageError
from dagster_contracts.core.events import Event
from dagster_contracts.core.ledger import RouteKind, Status, StepKey
from dagster_contracts.core.state import OverrideKind
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Probe
from dagster_contracts.ports import FixedClock, Store
from dagster_contracts.relay import Relay
from dagster_contracts.store.sql import SqlStore
from tests.crash_worker import Fate, Feed, Mortal
from tests.gate_world import Counts, daily, day, terms
from tests.soak.skew import set_clock

LEASE = timedelta(milliseconds=300)
RELAY_LEASE = timedelta(milliseconds=100)
POLICY = BreakerPolicy(cooldown=timedelta(milliseconds=20), backoff_multiplier=1.0, lease=LEASE, failures=1, window=Window(3))
ASSETS = ("feed", "vendor/prices")
DAYS = 9


@dataclass(frozen=True)
class Task:
    """What one process is to do. `clock` is the library of skew.py and by how many seconds the process's clock is off."""

    url: str
    folder: Path
    seed: str
    number: int  # of `workers`: it alone writes the places of every so many days, as Dagster runs one partition at a time
    workers: int
    actions: int
    dies_at: int | None
    clock: tuple[Path, int] | None


class Desk(Feed):
    """A feed under the short policy, by the database's clock."""

    def __post_init__(self) -> None:
        self.gate = Gate(self.store, Counts())
        self.terms = terms(POLICY, asset=self.asset)

    def tell(self) -> int:
        """One tick of a relay; how many events it told."""
        return sum(told.events for told in Relay(self.store, [Files(self.folder.parent, self.fate)], lease=RELAY_LEASE).tick())


class Files:
    """An EventSink: appends to the file `told` in the folder of each event's breaker, and may die after any of them."""

    name = "files"

    def __init__(self, folder: Path, fate: Fate):
        self.folder, self.fate = folder, fate

    def deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            with (self.folder / event.key.replace("/", "_") / "told").open("a") as file:
                file.write(f"{event.sequence} {event.type}\n")
            self.fate.point()


def desks(url: str, folder: Path, fate: Fate) -> list[Desk]:
    """One for each asset, with one store."""
    store: Any = Mortal(SqlStore(url), fate)
    return [_desk(store, folder, asset, fate) for asset in ASSETS]


def _desk(store: Store, folder: Path, asset: str, fate: Fate) -> Desk:
    own = folder / asset.replace("/", "_")
    for name in ("live", "beside"):
        (own / name).mkdir(parents=True, exist_ok=True)
    return Desk(asset, own, store, FixedClock(day(1)), fate)


class Worker:
    def __init__(self, task: Task, log: Callable[[str], object]):
        fate = Fate(task.dies_at)
        self.task, self.log, self.choose = task, log, random.Random(task.seed)
        self.desks = desks(task.url, task.folder, fate)

    @property
    def days(self) -> list[int]:
        return [number for number in range(1, DAYS + 1) if number % self.task.workers == self.task.number]

    def act(self) -> None:
        """One thing that a run, a sensor or a person does."""
        acts = [self.deliver, self.consume, self.probe, self.release, self.relay, self.reconcile, self.intervene]
        at, act = self.choose.choice(self.desks), self.choose.choices(acts, weights=[10, 4, 6, 4, 5, 2, 1])[0]
        try:
            act(at)
        except StoreUnavailable:
            self.log(f"out-of-reach {act.__name__}")
        except UsageError as error:  # somebody else was first, and it may not be done any more
            self.log(f"refused {act.__name__} {error}")

    def deliver(self, at: Desk) -> None:
        data = {"rows": self.choose.randrange(100, 1_000_000)}
        if self.choose.random() < 0.4:
            data["outside"] = 9
        at.deliver(day(1), self.choose.choice(self.days), data)
        self.log("verdict")

    def consume(self, at: Desk) -> None:
        number, accepts = self.choose.randint(1, DAYS), self.choose.choice([Confidence.FULL, Confidence.STALE, Confidence.LOW])
        run = f"{self.choose.getrandbits(64):x}"
        consumer = f"scores of {at.asset}"
        route = routing.route(at.gate, StepKey(run, consumer), routing.Input(consumer, at.asset, accepts, at.terms), daily(number))
        if route.kind in (RouteKind.FRESH, RouteKind.LAST_GOOD) and route.served is not None:
            read = at.read(f"live/{route.served.key}")
            self.log("BAD DATA READ AS GOOD" if read is None or "outside" in read else f"read {route.kind}")
        at.gate.record_output(consumer, daily(number), run, [route])

    def probe(self, at: Desk) -> None:
        for due in recovery.due_probes(at.gate, {at.asset: at.terms}):
            claimed = probing.claim(at.gate, at.terms, due.breaker.key, holder=f"worker {self.task.number}")
            if not isinstance(claimed, Probe):
                continue
            data = at.read(f"beside/{claimed.batch.staged}")
            assert data is not None, "a refused batch lies beside the live data"
            probing.settle(at.gate, at.terms, claimed, data)
            self.log("verdict")

    def release(self, at: Desk) -> None:
        own = {daily(number).key for number in self.days}
        for due in recovery.due_releases(at.gate, [at.asset]):
            if due.batch.partition.key in own:
                data = at.read(f"beside/{due.batch.staged}")
                assert data is not None
                going = stored.publishing(at.gate, due.batch, "release").batch
                at.write(f"live/{going.partition.key}", data)
                at.gate.published(going, None)
                self.log("release")

    def relay(self, at: Desk) -> None:
        at.tell()

    def reconcile(self, at: Desk) -> None:
        own = {daily(number).key for number in self.days}
        for batch in at.store.batches(asset=at.asset, statuses=(Status.PUBLISHING,)):
            if batch.partition.key in own:
                stored.settle_publishing(at.gate, at.terms, batch, at.read(f"live/{batch.partition.key}"))

    def intervene(self, at: Desk) -> None:
        """An override that ends by itself, by the database's clock; or a reset."""
        if self.choose.random() < 0.5:
            recovery.reset(at.gate, at.asset, actor="ann", reason="tried")
        else:
            end = at.store.now() + timedelta(milliseconds=50)
            recovery.override(at.gate, at.asset, OverrideKind.FORCE_OPEN, actor="ann", reason="tried", expires_at=end)


def work(task: Task, told: Connection) -> None:
    """Tells `told` of each action before it begins."""
    if task.clock is not None:
        set_clock(*task.clock)
    with (task.folder / "log").open("a", buffering=1) as file:
        worker = Worker(task, lambda line: file.write(f"{line}\n"))
        for _ in range(task.actions):
            told.send_bytes(b".")
            worker.act()
