"""What the processes of test_races.py run: loads, decides and saves again until it wins. Importable, so that spawned processes find it."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from typing import TypeVar

from dagster_contracts.core.breaker import Refused, claim
from dagster_contracts.core.errors import LostRace
from dagster_contracts.core.ledger import Status, StepKey
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import Breaker, State
from dagster_contracts.ports import Store
from dagster_contracts.store.sql import SqlStore
from tests.store.values import batch, breaker, day, numbered, transition

T = TypeVar("T")
# Fresh processes, forked from one that has imported this module and nothing else (and has no connections): quick to start.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])
STEP = StepKey("run", "step")
Work = Callable[[Store, str], T]


def claimed(store: Store, holder: str) -> tuple[str | None, int]:
    """Claim the open feed's probe: the lease's id, None where somebody else has it; and how many races were lost."""
    lost = 0
    while True:
        snapshot = store.load("feed", asset="feed", partition=day(1))
        assert snapshot.breaker is not None
        step = claim(snapshot.breaker, lease_id=f"lease of {holder}", holder=holder, batch_id="b", now=snapshot.now)
        if isinstance(step, Refused):
            return None, lost
        try:
            store.save(Change(breaker=step.breaker, transitions=step.transitions))
        except LostRace:
            lost += 1
        else:
            return f"lease of {holder}", lost


APPENDS = 6


def appended(store: Store, holder: str) -> int:
    """Record `APPENDS` batches on one breaker, which may not exist yet; how many races were lost."""
    return sum(append(store, f"{holder}-{number}") for number in range(APPENDS))


def append(store: Store, batch_id: str) -> int:
    """One batch with its transition and event, as one change; how many races were lost."""
    lost = 0
    while True:
        try:
            store.save(change_of(store, batch_id))
        except LostRace:
            lost += 1
        else:
            return lost


def change_of(store: Store, batch_id: str) -> Change:
    """One batch with its transition and event, decided on what the store says now."""
    known = store.load("feed", asset="feed", partition=day(1)).breaker or breaker()
    return appending(known, batch_id)


def appending(known: Breaker, batch_id: str) -> Change:
    changed, events = numbered(replace(known, generation=known.generation + 1), batch_id)
    arrival = batch(batch_id, day(1), Status.QUARANTINED)
    return Change(changed, (transition(generation=changed.generation, batch_id=batch_id),), (arrival,), events=events)


def insisted(store: Store, holder: str) -> int:
    """As `appended`, each decided while nobody else can; how often it was lost all the same."""
    lost = 0
    for number in range(APPENDS):
        name = f"{holder}-{number}"
        while True:
            try:
                store.transact(
                    "feed", lambda seen, name=name: (appending(seen.breaker or breaker(), name), None), asset="feed", partition=day(1)
                )
                break
            except LostRace:
                lost += 1
    return lost


def open_breaker() -> Breaker:
    """Due for a probe."""
    return breaker(state=State.OPEN, generation=1)


def race(url: str, work: Work[T], *, processes: int, threads: int) -> list[T]:
    """Run `work` in `threads` threads of each of `processes` processes, all starting at once."""
    start = _processes.Barrier(processes)
    results = _processes.SimpleQueue()
    started = [_processes.Process(target=_run, args=(url, work, str(number), threads, start, results)) for number in range(processes)]
    for process in started:
        process.start()
    found = [results.get() for _ in started]
    for process in started:
        process.join()
    failures = [entry for entry in found if isinstance(entry, str)]
    assert failures == []
    return [result for entry in found for result in entry]


def race_threads(store: Store, work: Work[T], threads: int, name: str = "0") -> list[T]:
    start = threading.Barrier(threads)

    def run(number: int) -> T:
        start.wait()
        return work(store, f"{name}.{number}")

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


def _run(url: str, work: Work[T], name: str, threads: int, start: Barrier, results: multiprocessing.SimpleQueue[object]) -> None:
    store = SqlStore(url)
    try:
        store.now()
        start.wait(60)
        results.put(race_threads(store, work, threads, name))
    except Exception as error:  # noqa: BLE001 - told to the test, which fails with it
        results.put(f"{type(error).__name__}: {error}")
