"""Groups of micro-batches that two consumers record at once, each under the lock of another place first: neither waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from sqlalchemy import text

from dagster_contracts.core.ledger import Partition
from dagster_contracts.core.snapshot import Change, Snapshot
from dagster_contracts.gate import Gate
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.upgrade import upgrade
from tests.gate_world import Counts
from tests.store.values import batch, breaker, numbered

ONE, TWO = Partition("events[0] 0-999"), Partition("events[0] 1000-1999")


def test_groups_that_lock_in_opposite_order_are_both_recorded(postgres_url: str) -> None:
    upgrade(postgres_url)
    watching = SqlStore(postgres_url)
    _look_for_deadlocks(watching, after="50ms")
    watching.save(Change(breaker("feed")))
    entered, waiting = threading.Event(), threading.Event()
    asked: list[str] = []

    def group(name: str, wait: Callable[[], None]) -> Callable[[Snapshot], tuple[Change, None]]:
        def decide(seen: Snapshot) -> tuple[Change, None]:
            asked.append(name)
            wait()
            assert seen.breaker is not None
            told, events = numbered(replace(seen.breaker, generation=seen.breaker.generation + 1), name)
            batches = tuple(batch(f"{name} {place.key}", place) for place in (ONE, TWO))
            return Change(told, batches=batches, events=events), None

        return decide

    def held() -> None:
        """The breaker is ours; the other has its first place, and waits for the breaker."""
        entered.set()
        assert waiting.wait(30)

    def record(name: str, first: Partition, wait: Callable[[], None]) -> None:
        Gate(SqlStore(postgres_url), Counts())._insist("feed", "feed", first, None, group(name, wait))

    with ThreadPoolExecutor(2) as threads:
        owner = threads.submit(record, "owner", ONE, held)
        assert entered.wait(30)
        _look_for_deadlocks(watching, after="60s")  # so that the owner finds it, and not whoever is first
        zombie = threads.submit(record, "zombie", TWO, lambda: None)
        while not _waits(watching) and not zombie.done():
            pass
        waiting.set()
        owner.result(60)
        zombie.result(60)
    # Whoever was told of a deadlock decides anew; it may be quicker than the other again, and be told once more.
    assert asked.count("owner") > 1, "no deadlock: the owner decided once"
    assert asked.count("zombie") == 1
    assert sorted(event.message for event in watching.events("feed")) == ["owner", "zombie"]
    assert [event.sequence for event in watching.events("feed")] == [1, 2]
    assert {each.id for each in watching.batches(asset="feed")} == {
        f"{name} {place.key}" for name in ("owner", "zombie") for place in (ONE, TWO)
    }
    (found,) = watching.breakers(["feed"])
    assert found.generation == 2


def _look_for_deadlocks(store: SqlStore, *, after: str) -> None:
    """In connections that are opened from now on."""
    with store._database.writing() as connection:
        connection.execute(text(f"ALTER DATABASE {connection.engine.url.database} SET deadlock_timeout = '{after}'"))


def _waits(store: SqlStore) -> bool:
    with store._database.reading() as connection:
        held_up = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return bool(connection.execute(text(held_up)).scalar_one())
