"""Threads, processes and kill -9 against one store."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_contracts.core.errors import LostRace
from dagster_contracts.core.ledger import OutputStatus, Status
from dagster_contracts.core.snapshot import Change, Snapshot
from dagster_contracts.ports import Store
from dagster_contracts.store.memory import MemoryStore
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.upgrade import upgrade
from tests.store import racing
from tests.store.racing import APPENDS, append, appended, claimed, insisted, open_breaker, race, race_threads
from tests.store.values import batch, breaker, day, output, route

crowds = pytest.mark.parametrize(("processes", "threads"), [(1, 16), (4, 16)])


# --- one probe -----------------------------------------------------------------------------------------------------


def assert_one_lease(store: Store, results: list[tuple[str | None, int]]) -> None:
    won = [lease for lease, _ in results if lease is not None]
    assert len(won) == 1
    found = store.load("feed", asset="feed", partition=day(1)).breaker
    assert found is not None
    assert found.lease is not None
    assert found.lease.id == won[0]
    assert found.version == 2  # the open breaker, and the one claim
    assert len(store.transitions("feed")) == 1


@crowds
def test_one_of_many_claims_the_probe(url: str, processes: int, threads: int) -> None:
    store = SqlStore(url)
    store.save(Change(breaker=open_breaker()))
    results = race(url, claimed, processes=processes, threads=threads)
    assert len(results) == processes * threads
    assert_one_lease(store, results)


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Threads take turns so often that they meet in memory, too."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless_threads")
def test_one_of_many_threads_claims_the_probe_in_memory() -> None:
    store = MemoryStore()
    store.save(Change(breaker=open_breaker()))
    assert_one_lease(store, race_threads(store, claimed, 16))


# --- nothing is lost -----------------------------------------------------------------------------------------------


def assert_all_appended(store: Store, count: int) -> None:
    """The breaker, its history, its batches and its events tell of the same `count` changes, in the same order."""
    found = store.load("feed", asset="feed", partition=day(1)).breaker
    assert found is not None
    assert (found.version, found.generation, found.event_sequence) == (count, count, count)
    events = store.events(limit=count + 1)
    assert [event.sequence for event in events] == list(range(1, count + 1))
    in_order = [event.message for event in events]
    assert [entry.batch_id for entry in reversed(store.transitions("feed", limit=count + 1))] == in_order
    assert [entry.generation for entry in reversed(store.transitions("feed", limit=count + 1))] == list(range(1, count + 1))
    assert [entry.id for entry in reversed(store.batches(asset="feed", limit=count + 1))] == in_order
    assert [entry.id for entry in store.batches(statuses=[Status.QUARANTINED])] == in_order[-1:]  # each replaced the one before


def test_concurrent_appends_lose_nothing(url: str) -> None:
    lost = race(url, appended, processes=4, threads=2)
    print(f"{sum(lost)} lost races for {len(lost) * APPENDS} changes")
    assert sum(lost) > 0  # or it was no race
    assert_all_appended(SqlStore(url), len(lost) * APPENDS)


def test_whoever_decides_under_the_lock_wins(url: str) -> None:
    """But for the one moment when nobody has made the breaker yet."""
    store = SqlStore(url)
    append(store, "first")
    lost = race(url, insisted, processes=4, threads=2)
    assert lost == [0] * 8
    assert_all_appended(store, 8 * APPENDS + 1)


@pytest.mark.usefixtures("restless_threads")
def test_concurrent_appends_lose_nothing_in_memory() -> None:
    store = MemoryStore()
    race_threads(store, appended, 8)
    assert_all_appended(store, 8 * APPENDS)


def decided(store: Store, holder: str) -> str:
    return store.decide(racing.STEP, "scores", route(reason=holder)).reason


def published(store: Store, holder: str) -> None:
    store.save(Change(batches=(batch(holder, day(1)),), outputs=(output(holder, OutputStatus.OK, day(1)),)))


def test_one_of_many_decisions_stands(url: str) -> None:
    reasons = race(url, decided, processes=4, threads=4)
    assert len(set(reasons)) == 1
    assert [kept.reason for kept in SqlStore(url).decisions(racing.STEP)] == reasons[:1]


def test_one_of_many_publications_stands_even_without_a_breaker(url: str) -> None:
    race(url, published, processes=4, threads=4)
    store = SqlStore(url)
    assert len(store.batches()) == len(store.outputs()) == 16
    (newest,) = store.batches(statuses=[Status.PUBLISHED])
    assert newest == store.batches(limit=1)[0]
    (current,) = store.outputs(statuses=[OutputStatus.OK])
    assert current == store.outputs(limit=1)[0]


def test_who_lost_a_race_on_a_new_connection_goes_on_with_it(url: str) -> None:
    """What was prepared before the statement that lost stays prepared, though all else is rolled back."""
    SqlStore(url).save(Change(breaker=breaker()))
    late = SqlStore(url)

    def decide(snapshot: Snapshot) -> tuple[Change, None]:
        return Change(breaker=snapshot.breaker, batches=(batch("b", day(1)),)), None

    late.save(Change(batches=(batch("a", day(1)),)))
    late.transact("feed", lambda snapshot: (Change(), None), asset="feed", partition=day(1))
    with pytest.raises(LostRace):
        late.save(Change(breaker=breaker(version=7), batches=(batch("b", day(1)),)))
    late.transact("feed", decide, asset="feed", partition=day(1))
    assert late.batch("b") is not None


# --- processes -----------------------------------------------------------------------------------------------------


def _append_in_child(store: SqlStore) -> None:
    append(store, "child")


def test_a_forked_child_has_connections_of_its_own(url: str) -> None:
    store = SqlStore(url)
    append(store, "parent")
    child = multiprocessing.get_context("fork").Process(target=_append_in_child, args=(store,))
    child.start()
    append(store, "parent again")
    child.join()
    assert child.exitcode == 0
    assert {found.id for found in store.batches()} == {"parent", "child", "parent again"}


def test_a_store_can_be_pickled(url: str) -> None:
    store = SqlStore(url)
    append(store, "before")
    again = pickle.loads(pickle.dumps(store))
    append(again, "after")
    assert {found.id for found in store.batches()} == {"before", "after"}
    assert repr(again) == repr(store)


# --- kill -9 -------------------------------------------------------------------------------------------------------

_WRITE_FOR_EVER = """
import sys
from dagster_contracts.store.sql import SqlStore
from tests.store.racing import append
store = SqlStore(sys.argv[1])
for number in range(1_000_000):
    append(store, f"{sys.argv[2]}-{number}")
    print(number, flush=True)
"""

_STOP_INSIDE = """
import sys
from dagster_contracts.core.snapshot import Change, Snapshot
from dagster_contracts.store import writing
from dagster_contracts.store.sql import SqlStore
from tests.store.racing import change_of
store = SqlStore(sys.argv[1])
change = change_of(store, "never")
with store._database.writing() as connection:
    store._database.apply(connection, writing.writes(change))
    print("inside", flush=True)
    sys.stdin.read()
"""


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_killed_while_writing_the_store_is_whole(url: str) -> None:
    store = SqlStore(url)
    confirmed = 0
    for round_, lines in enumerate((1, 4, 7)):
        process = child(_WRITE_FOR_EVER, url, str(round_))
        assert process.stdout is not None
        for _ in range(lines):
            assert process.stdout.readline()
        kill(process)
        confirmed += lines
        count = len(store.batches(limit=10_000))
        assert count >= confirmed  # what was confirmed is there
        assert_all_appended(store, count)  # and nothing is there in part
        confirmed = count
    append(store, "after")
    assert_all_appended(store, confirmed + 1)


def test_killed_inside_a_transaction_nothing_of_it_remains_and_nobody_waits(url: str) -> None:
    store = SqlStore(url)
    append(store, "before")
    process = child(_STOP_INSIDE, url)
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    assert_all_appended(store, 1)  # readers see the state before, and do not wait
    kill(process)
    append(store, "after")
    assert_all_appended(store, 2)
    assert store.batch("never") is None


def test_breakers_do_not_wait_for_each_other(postgres_url: str) -> None:
    """While one process is inside a transaction for `feed`, another breaker is written at once (PostgreSQL; SQLite has one writer)."""
    upgrade(postgres_url)
    process = child(_STOP_INSIDE, postgres_url)
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    SqlStore(postgres_url).save(Change(breaker=breaker("other"), batches=(batch("o", asset="other", breaker_key="other"),)))
    kill(process)
