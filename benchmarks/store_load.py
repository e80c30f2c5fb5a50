"""What the processes of store.py run: verdicts on their own breakers, or all on one, for a time. Importable, so that they start quickly."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain, count, islice
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from dagster_contracts.core import events
from dagster_contracts.core.contract import BreakerPolicy
from dagster_contracts.core.events import Draft, EventType
from dagster_contracts.core.ledger import Batch, Partition, Status
from dagster_contracts.core.snapshot import Change, Snapshot
from dagster_contracts.core.state import Breaker, State, Transition
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.gate import Gate
from dagster_contracts.store.sql import SqlStore

NOW = datetime(2026, 11, 26, 6, tzinfo=UTC)
PARTITION = Partition("2026-11-25", NOW - timedelta(days=1), NOW)
WARM = 20  # verdicts first: connected, and every statement prepared and planned for all values (pgbench counts no connecting either)
AHEAD = 2000  # changes that are decided before the time of `recorded` begins
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])
# The server that forks finds this module only through the environment; without it every process would import everything anew.
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])


def verdict(known: Breaker | None, key: str, name: str, now: datetime) -> Change:
    """What a refused batch writes: one row each of state, history, ledger and outbox."""
    breaker = known or Breaker(key, BreakerPolicy(), "1.0.0")
    breaker = replace(breaker, generation=breaker.generation + 1, state=State.OPEN, cause=f"{name} failed")
    draft = Draft(EventType.BATCH_QUARANTINED, f"{key}: {name} was quarantined", {"asset": key, "batch": name})
    breaker, told = events.number(breaker, [draft], now)
    batch = Batch(
        id=name,
        asset=key,
        breaker_key=key,
        partition=PARTITION,
        data_version=name,
        run_id=name,
        contract_id="feed",
        contract_version="1.0.0",
        outcome=Outcome.FAIL,
        status=Status.QUARANTINED,
        arrived_at=now,
        updated_at=now,
    )
    moved = Transition(key, State.OPEN, State.OPEN, breaker.cause, now, breaker.generation, name)
    return Change(breaker=breaker, transitions=(moved,), batches=(batch,), events=told)


def recorded(store: SqlStore, key: str, names: Iterator[str], more: Callable[[int], bool]) -> int:
    """Each verdict saved on what the one before left: the transaction alone. What is saved was decided before."""
    changes, done = _chain(next(iter(store.breakers([key])), None), key, names), 0
    decided_ahead = list(islice(changes, AHEAD))
    for change in chain(decided_ahead, changes):
        if not more(done):
            break
        store.save(change)
        done += 1
    return done


def _chain(known: Breaker | None, key: str, names: Iterator[str]) -> Iterator[Change]:
    """Each verdict on what the one before leaves."""
    for name in names:
        change = verdict(known, key, name, NOW)
        assert change.breaker is not None
        known = replace(change.breaker, version=change.breaker.version + 1)
        yield change


def decided(store: SqlStore, key: str, names: Iterator[str], more: Callable[[int], bool]) -> int:
    """As the gate does it: read, decide, record; under the breaker's lock once a race has been lost."""
    gate, done = Gate(store, None), 0  # type: ignore[arg-type]  # nothing is measured
    while more(done):
        name = next(names)

        def decide(seen: Snapshot, name: str = name) -> tuple[Change, None]:
            return verdict(seen.breaker, key, name, seen.now), None

        gate.transact(key, key, PARTITION, name, decide)
        done += 1
    return done


def warm() -> None:
    """Start the server that forks: it imports everything once."""
    process = _processes.Process(target=time.monotonic)
    process.start()
    process.join()


def crowd(url: str, work: Any, keys: list[str], seconds: float) -> int:
    """How many were done in `seconds` by as many processes as there are keys, all starting at once."""
    start, results = _processes.Barrier(len(keys)), _processes.Queue()
    given = [(url, work, key, f"{key}-{number}", seconds, start, results) for number, key in enumerate(keys)]
    started = [_processes.Process(target=_run, args=each) for each in given]
    for process in started:
        process.start()
    for process in started:
        process.join(60 + seconds)
        if process.exitcode != 0:
            raise RuntimeError(f"a process of {work.__name__} ended with {process.exitcode}; what it said stands above")
    return sum(results.get() for _ in started)


def _run(url: str, work: Any, key: str, name: str, seconds: float, start: Barrier, results: Any) -> None:
    run, store = time.time_ns(), SqlStore(url)
    names = (f"{name}-{run}-{number}" for number in count())
    work(store, key, names, lambda done: done < WARM)
    start.wait(60)
    results.put(work(store, key, names, _within(seconds)))


def _within(seconds: float) -> Callable[[int], bool]:
    """True for so long, from when it is first asked."""
    until: list[float] = []

    def more(done: int) -> bool:
        if not until:
            until.append(time.monotonic() + seconds)
        return time.monotonic() < until[0]

    return more
