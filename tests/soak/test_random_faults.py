"""Several processes at work on two feeds while they are killed, the server crashes, connections are cut and clocks are off, at random.

Then the invariants are checked from what is left: ledger, files, every version that each breaker ever had (a trigger keeps them), and what
a sink received. A run is named by its seed. All 200, with their figures in a file:

    RELIABILITY_FIGURES=figures.md pytest -m soak tests/soak -s
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from dagster_contracts import routing
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import Batch, RouteKind, Status, StepKey
from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.store.upgrade import upgrade
from tests.crash_worker import Fate
from tests.gate_world import daily, day
from tests.servers import Server
from tests.soak import skew, worker
from tests.soak.worker import LEASE, Desk, Task, desks
from tests.wire import Wire, wire

WORKERS, ACTIONS = 3, 12
HOUR = 3600
AUDIT = ("key", "version", "generation", "state", "lease", "event_sequence")
_processes = multiprocessing.get_context("forkserver")


@dataclass
class Place:
    """Where a run takes place: the database as workers reach it, and as the checks do."""

    url: str
    direct: str
    server: Server | None = None
    line: Wire | None = None


@dataclass
class Worked:
    """A process, what it has left to do, and where it tells of each action."""

    task: Task
    process: Any
    told: Connection


@dataclass
class Run:
    seed: int
    place: Place
    folder: Path
    clock: Path | None
    tally: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.choose = random.Random(self.seed)
        self.steps = 0

    def play(self) -> None:
        at_work = {number: self.begin(number, ACTIONS, 0) for number in range(WORKERS)}
        faults = {self.choose.randrange(2, WORKERS * ACTIONS): self.choose.choice(self.kinds()) for _ in range(3)}
        while at_work:
            by_told = {each.told: each for each in at_work.values()}
            for told in wait(list(by_told), timeout=60) or pytest.fail(f"run {self.seed}: nobody does anything any more"):
                each = by_told[told]  # type: ignore[index]
                try:
                    each.told.recv_bytes()
                except EOFError:
                    self.end(each, at_work)
                    continue
                self.steps += 1
                at_work[each.task.number] = replaced(each)
                if (fault := faults.pop(self.steps, None)) is not None:
                    self.strike(fault, each)

    def kinds(self) -> list[str]:
        return ["kill"] if self.place.server is None else ["kill", "crash", "cut"]

    def begin(self, number: int, actions: int, times: int) -> Worked:
        off = self.choose.choice([0, HOUR, -HOUR]) if self.clock is not None and self.place.server is not None else 0
        dies_at = self.choose.randrange(60) if times < 2 and self.choose.random() < 0.6 else None
        clock = (self.clock, off) if self.clock is not None and off else None
        seed = f"{self.seed}.{number}.{times}"
        task = Task(self.place.url, self.folder, seed, number, WORKERS, actions, dies_at, clock)
        self.tally["processes with a clock off by an hour"] += bool(off)
        ours, theirs = _processes.Pipe(duplex=False)
        process = _processes.Process(target=worker.work, args=(task, theirs))
        process.start()
        theirs.close()
        return Worked(task, process, ours)

    def strike(self, fault: str, each: Worked) -> None:
        if fault == "kill":
            each.process.kill()
            return
        assert self.place.server is not None
        assert self.place.line is not None
        if fault == "crash":
            self.place.server.restart()
            self.tally["PostgreSQL crashes (immediate)"] += 1
        else:
            self.place.line.cut()
            self.tally["times all connections were cut"] += 1

    def end(self, each: Worked, at_work: dict[int, Worked]) -> None:
        """A process ended: done, or killed; then another takes over what it had left."""
        each.process.join()
        each.told.close()
        del at_work[each.task.number]
        code = each.process.exitcode
        assert code in (0, -9), f"run {self.seed}: worker {each.task.number} ended with {code}"
        if code == -9:
            self.tally["processes killed (kill -9)"] += 1
            times = int(each.task.seed.rpartition(".")[2]) + 1
            at_work[each.task.number] = self.begin(each.task.number, max(each.task.actions, 1), times)


def replaced(each: Worked) -> Worked:
    task = each.task
    left = Task(task.url, task.folder, task.seed, task.number, task.workers, task.actions - 1, task.dies_at, task.clock)
    return Worked(left, each.process, each.told)


# --- what must hold ----------------------------------------------------------------------------------------------------


def check(run: Run) -> None:
    log = (run.folder / "log").read_text().splitlines()
    assert "BAD DATA READ AS GOOD" not in log
    run.tally["verdicts answered"] += log.count("verdict")
    run.tally["actions that found the store out of reach"] += sum(line.startswith("out-of-reach") for line in log)
    for own in desks(run.place.direct, run.folder, Fate(None)):
        own.reconcile()
        tell_the_rest(own)
        if own.breaker is not None:
            check_versions(run, own.asset)
            check_events(run, own)
            check_files(own)
        check_nobody_is_wedged(own)


def check_versions(run: Run, asset: str) -> None:
    """No update lost, no number given twice, and no two probes at a time."""
    versions = rows(run.place.direct, "SELECT * FROM audit WHERE key = :key ORDER BY version", key=asset)
    assert [each["version"] for each in versions] == list(range(1, len(versions) + 1)), "no version is written over"
    last: dict[str, Any] = {"lease": None, "generation": 0, "event_sequence": 0}
    for each in versions:
        lease, before = each["lease"], last["lease"]
        assert each["event_sequence"] >= last["event_sequence"]
        if lease is not None and (before is None or before["id"] != lease["id"]):
            run.tally["probes claimed"] += 1
            claimed = datetime.fromisoformat(lease["expires_at"]) - LEASE
            live = before is not None and before["generation"] == last["generation"]
            assert not live or claimed >= datetime.fromisoformat(before["expires_at"]), "a second probe while one was running"
        last = each


def tell_the_rest(own: Desk) -> None:
    """Once the lease of a relay that died has ended."""
    for _ in range(100):
        own.tell()
        if not any(each.events for each in own.store.waiting()):
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"events wait for ever: {own.store.waiting()}")


def check_events(run: Run, own: Desk) -> None:
    """In the outbox every number once; at the sink in order, and the same again where it was told twice."""
    assert own.breaker is not None
    events = rows(run.place.direct, "SELECT sequence, type FROM contracts_events WHERE key = :key ORDER BY sequence", key=own.asset)
    assert [each["sequence"] for each in events] == list(range(1, own.breaker.event_sequence + 1))
    told = own.folder / "told"  # absent where there was nothing to tell
    lines = told.read_text().splitlines() if told.exists() else []
    received = [(int(number), kind) for number, kind in map(str.split, lines)]
    assert list(dict.fromkeys(received)) == [(each["sequence"], each["type"]) for each in events]
    opened = [each for each in own.store.transitions(own.asset, 10_000) if each.from_state is not each.to_state]
    assert sum(each["type"] in CHANGES for each in events) == len(opened), "a transition and its event are one"
    run.tally["events"] += len(events)
    run.tally["events told again"] += len(received) - len(events)


CHANGES = ("breaker.opened", "breaker.reopened", "breaker.half_opened", "breaker.closed")


def check_files(own: Desk) -> None:
    """What is live was let in; what is last good is what was judged."""
    for path in (own.folder / "live").iterdir():
        assert "outside" not in json.loads(path.read_text()), "a batch that failed is never live"
    assert own.store.batches(asset=own.asset, statuses=(Status.PUBLISHING,)) == []
    for batch in own.store.batches(asset=own.asset, statuses=(Status.PUBLISHED,)):
        assert batch.outcome is Outcome.PASS
        assert own.read(f"live/{batch.partition.key}") == content_of(batch)
    for batch in own.store.batches(asset=own.asset, statuses=(Status.QUARANTINED, Status.HELD)):
        assert batch.staged is None or own.read(f"beside/{batch.staged}") is not None


def content_of(batch: Batch) -> dict[str, int]:
    assert batch.verdict is not None
    assert batch.verdict.rows is not None
    return {"rows": batch.verdict.rows}


def check_nobody_is_wedged(own: Desk) -> None:
    """A good delivery comes through, once the last lease, cooldown and override have ended by themselves."""
    for number in range(10, 31):
        own.deliver(day(1), number, {"rows": 100 + number})
        route = routing.route(
            own.gate, StepKey("last", str(number)), routing.Input("x", own.asset, Confidence.FULL, own.terms), daily(number)
        )
        if route.kind is RouteKind.FRESH:
            assert own.breaker is not None
            assert own.breaker.state is State.CLOSED
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"{own.asset} is wedged: {own.breaker}")


# --- places ------------------------------------------------------------------------------------------------------------


def rows(url: str, statement: str, **values: object) -> list[dict[str, Any]]:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement), values)
            found = [dict(row) for row in result.mappings()] if result.returns_rows else []
    finally:
        engine.dispose()
    for each in found:
        if isinstance(each.get("lease"), str):
            each["lease"] = json.loads(each["lease"])
    return found


def keep_versions(url: str) -> None:
    """Every version of a breaker, as it is committed."""
    names, new = ", ".join(AUDIT), ", ".join(f"NEW.{name}" for name in AUDIT)
    rows(url, "CREATE TABLE audit (key TEXT, version BIGINT, generation BIGINT, state TEXT, lease TEXT, event_sequence BIGINT)")
    if url.startswith("sqlite"):
        for kind in ("INSERT", "UPDATE"):
            insert = f"INSERT INTO audit ({names}) VALUES ({new})"
            rows(url, f"CREATE TRIGGER audit_{kind} AFTER {kind} ON contracts_breakers BEGIN {insert}; END")
        return
    body = f"BEGIN INSERT INTO audit ({names}) VALUES ({new}); RETURN NEW; END"
    rows(url, f"CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
    rows(url, "CREATE TRIGGER audited AFTER INSERT OR UPDATE ON contracts_breakers FOR EACH ROW EXECUTE FUNCTION audited()")


@dataclass
class Places:
    """Makes the place of each run: PostgreSQL for two of three, SQLite for the third."""

    server: Server
    line: Wire
    folder: Path
    database: str
    empty: Path

    def of(self, seed: int, folder: Path) -> Place:
        if seed % 3 == 2:
            shutil.copy(self.empty, folder / "store.db")
            return Place(f"sqlite:///{folder}/store.db", f"sqlite:///{folder}/store.db")
        self.server.empty(self.database, "audit")
        direct = self.server.url(self.database)
        return Place(self.server.url(self.database, host="127.0.0.1", port=str(self.line.port)), direct, self.server, self.line)


@pytest.fixture(scope="module")
def places(server_of: Callable[[int], Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    folder = tmp_path_factory.mktemp("places")
    server = server_of(18)
    database = server.create()
    empty = folder / "empty.db"
    upgrade(f"sqlite:///{empty}")
    for url in (server.url(database), f"sqlite:///{empty}"):
        keep_versions(url)
    with wire(server.folder) as line:
        yield Places(server, line, folder, database, empty)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """The library that puts clocks off, in every process that is started from here on. None: no compiler, and all clocks are right."""
    made = skew.library(tmp_path_factory.mktemp("clock"))
    with skew.fork_with(made, [worker.__name__]):
        yield made


def played(seed: int, places: Places, clock: Path | None, folder: Path, tally: Counter[str]) -> None:
    folder.mkdir()
    run = Run(seed, places.of(seed, folder), folder, clock)
    print(f"run {seed}", flush=True)
    run.play()
    check(run)
    tally["runs"] += 1
    tally["runs on " + ("SQLite" if run.place.server is None else "PostgreSQL")] += 1
    tally.update(run.tally)
    shutil.rmtree(folder)


def test_a_few_random_runs(places: Places, clock: Path | None, tmp_path: Path) -> None:
    tally: Counter[str] = Counter()
    for seed in (1, 2, 3):
        played(seed, places, clock, tmp_path / str(seed), tally)
    assert tally["processes killed (kill -9)"] > 0
    assert tally["verdicts answered"] > 10


@pytest.mark.soak
def test_two_hundred_random_runs(places: Places, clock: Path | None, tmp_path: Path) -> None:
    tally: Counter[str] = Counter()
    began = time.monotonic()
    first, runs = int(os.environ.get("RELIABILITY_SEED", "1000")), int(os.environ.get("RELIABILITY_RUNS", "200"))
    figures = Path(os.environ.get("RELIABILITY_FIGURES", tmp_path / "figures.md"))
    for seed in range(first, first + runs):
        played(seed, places, clock, tmp_path / str(seed), tally)
        counted = [f"| {name} | {count:,} |" for name, count in sorted(tally.items())]
        took = timedelta(seconds=round(time.monotonic() - began))
        figures.write_text("\n".join([f"| seeds | {first} to {seed} |", "|---|---:|", *counted, f"| time | {took} |"]) + "\n")
    print(figures.read_text())
