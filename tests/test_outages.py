"""PostgreSQL goes away in the middle of what the gate does: the connection is cut at every round trip, the server crashes and comes back,
its connections run out, a statement waits too long. Nothing is written in part, nothing twice, and the next try succeeds."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from dagster_contracts.core.errors import StoreUnavailable
from dagster_contracts.core.ledger import Output
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import State
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery
from dagster_contracts.store.sql import SqlStore
from tests.crash_worker import Feed
from tests.gate_world import Counts, daily, day, terms
from tests.servers import Server
from tests.store.values import breaker
from tests.test_crashes import assert_whole, outcome
from tests.wire import Wire, wire


@pytest.fixture(scope="module")
def server(server_of: Callable[[int], Server]) -> Server:
    return server_of(18)


@pytest.fixture(scope="module")
def line(server: Server) -> Iterator[Wire]:
    with wire(server.folder) as made:
        yield made


@pytest.fixture
def database(server: Server) -> str:
    return server.emptied()


def through(line: Wire, server: Server, database: str) -> str:
    return server.url(database, host="127.0.0.1", port=str(line.port))


# --- cut at every round trip -----------------------------------------------------------------------------------------


def told_to_its_end(feed: Feed, line: Wire, cut_at: int, answered: bool) -> tuple[int, object]:
    """How many steps of the story were cut at their round trip `cut_at` (each is tried again), and what there is in the end."""
    cuts = 0
    for step in feed.steps():
        line.watch(cut_at, answered=answered)
        cut = is_cut(step)
        line.watch()
        if cut:
            cuts += 1
            feed.reconcile()  # a batch may have been left between verdict and confirmation
            step()
    assert_whole(feed)
    return cuts, (outcome(feed), events_of(feed))


def is_cut(step: Callable[[], object]) -> bool:
    """Whether a step failed, or a consumer was halted, because the store was out of reach."""
    try:
        made = step()
    except StoreUnavailable:
        return True
    return isinstance(made, Output) and made.confidence is None


def events_of(feed: Feed) -> list[str]:
    """The types of all events, in order; each number once."""
    path = feed.folder / "told"
    told = dict(line.split() for line in path.read_text().splitlines())
    assert [int(number) for number in told] == list(range(1, len(told) + 1))
    return list(told.values())


@pytest.mark.parametrize("answered", [False, True], ids=["before it is heard", "before its answer is"])
def test_wherever_the_connection_is_cut_the_next_try_goes_on(
    server: Server, line: Wire, database: str, tmp_path: Path, answered: bool
) -> None:
    url = through(line, server, database)
    _, expected = told_to_its_end(Feed.open(url, "whole", tmp_path / "whole"), line, -1, answered)
    for point in itertools.count():
        asset = f"feed {point}"
        cuts, found = told_to_its_end(Feed.open(url, asset, tmp_path / asset), line, point, answered)
        assert found == expected, f"cut at round trip {point} of each step"
        if cuts == 0:
            assert point > 5
            return


# --- the server crashes, and comes back --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["immediate", "fast"])
def test_a_server_that_stops_inside_a_transaction(server: Server, database: str, tmp_path: Path, mode: str) -> None:
    """When the verdict waits for a lock, half of it written. Stopped, the store is out of reach; back, nothing of the verdict is there; or
    all of it, where a fast stop ended the session that held the lock before the one that waited for it."""
    feed = Feed.open(server.url(database), "feed", tmp_path / "feed")
    feed.deliver(day(1, 6), 1, {"rows": 101})
    before = (feed.breaker, feed.store.batches(), feed.store.events("feed"))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    def stop() -> None:
        other = psycopg.connect(host=str(server.folder), user="postgres", dbname=database)
        other.execute("LOCK TABLE contracts_events IN EXCLUSIVE MODE")  # among the last that a verdict writes
        locked.set()
        while server.execute(waiting) == [(0,)]:
            threading.Event().wait(0.01)
        server.stop(mode)
        other.close()

    locked = threading.Event()
    stopping = threading.Thread(target=stop)
    stopping.start()
    assert locked.wait(60)
    try:
        with pytest.raises(StoreUnavailable):
            feed.deliver(day(2, 6), 2, {"rows": 102, "outside": 9})
        stopping.join(60)
        assert not server.is_running, "the server was stopped inside the transaction"
        for ask in (feed.store.breakers, lambda: feed.deliver(day(2, 6), 2, {"rows": 102}), lambda: feed.store.save(Change())):
            with pytest.raises(StoreUnavailable):
                ask()
    finally:
        stopping.join(60)
        if not server.is_running:
            server.start()
    is_nothing = (feed.breaker, feed.store.batches(), feed.store.events("feed")) == before
    left = (outcome(feed), len(feed.store.events("feed")))
    feed.deliver(day(2, 6), 2, {"rows": 102, "outside": 9})
    assert is_nothing or (mode == "fast" and left == (outcome(feed), len(feed.store.events("feed"))))
    assert feed.breaker is not None
    assert (feed.breaker.state, len(feed.store.transitions("feed"))) == (State.OPEN, 1)


def test_what_was_answered_survives_a_crash_of_the_server(server: Server, database: str, tmp_path: Path) -> None:
    feed = Feed.open(server.url(database), "feed", tmp_path / "feed")
    for step in feed.steps()[:4]:
        step()
    before = (outcome(feed), feed.store.events())
    server.restart()
    again = Feed.open(server.url(database), "feed", tmp_path / "feed")
    assert (outcome(again), again.store.events()) == before


# --- too many, too long ------------------------------------------------------------------------------------------------


def test_more_threads_than_connections_wait_for_their_turn(server: Server, database: str) -> None:
    """15 connections, 40 threads, nobody is refused and no verdict is lost."""
    store = SqlStore(server.url(database))
    gate = Gate(store, Counts())

    def deliver(number: int) -> None:
        gate.judge(terms(asset=f"feed {number}"), Delivery(daily(1), "run", "run"), {"rows": 100})

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(deliver, range(40)))
    assert len(store.batches()) == 40
    assert server.execute("SELECT count(*) <= 16 FROM pg_stat_activity WHERE datname = current_database()", database) == [(True,)]


def test_a_server_without_free_connections_is_out_of_reach_until_one_is_given_back(server: Server, database: str) -> None:
    store = SqlStore(server.url(database))
    with ExitStack() as held:
        with suppress(psycopg.OperationalError):  # "sorry, too many clients already"
            for _ in range(100):
                held.enter_context(psycopg.connect(host=str(server.folder), user="postgres", dbname=database))
        with pytest.raises(StoreUnavailable, match="try again once it answers"):
            store.breakers()
    assert store.breakers() == []


def test_a_statement_that_waits_too_long_is_cancelled_and_tried_again(server: Server, database: str) -> None:
    """The bound that the database's administrator sets."""
    store = SqlStore(server.url(database, options="-c%20statement_timeout=100"))
    store.save(Change(breaker=breaker()))
    change = Change(breaker=breaker(version=1))
    with psycopg.connect(host=str(server.folder), user="postgres", dbname=database) as other:
        other.execute("SELECT FROM contracts_breakers FOR UPDATE")
        with pytest.raises(StoreUnavailable, match="statement timeout"):
            store.save(change)
    store.save(change)
    assert [each.version for each in store.breakers()] == [2]


def test_who_vanishes_inside_a_transaction_holds_up_nobody_for_long(server: Server, database: str) -> None:
    """A machine without power says no goodbye: its server's side ends by itself, and what it had written goes with it."""
    store = SqlStore(server.url(database, options="-c%20idle_in_transaction_session_timeout=200"))
    store.save(Change(breaker=breaker()))
    change = Change(breaker=breaker(version=1))

    def vanish() -> None:
        with store._database.writing() as connection:
            connection.execute(text("UPDATE contracts_breakers SET generation = 7"))
            SqlStore(server.url(database)).save(change)  # waits, and goes on
            connection.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailable, match="idle-in-transaction"):
        vanish()
    assert [(each.version, each.generation) for each in store.breakers()] == [(2, 0)]


def test_waiting_is_bounded_on_every_connection(server: Server, line: Wire, database: str) -> None:
    def bounds(url: str) -> tuple[str, str]:
        with SqlStore(url)._database.reading() as connection:
            shown = [
                connection.execute(text(f"SHOW {name}")).scalar_one() for name in ("idle_in_transaction_session_timeout", "lock_timeout")
            ]
        return shown[0], shown[1]

    assert bounds(through(line, server, database)) == ("20s", "30s")
    assert bounds(server.url(database, options="-c%20lock_timeout=5s")) == ("20s", "5s")
    with SqlStore(through(line, server, database))._database.reading() as connection:
        given = connection.connection.dbapi_connection.info.get_parameters()  # type: ignore[union-attr]
    assert (given["tcp_user_timeout"], given["keepalives_idle"]) == ("30000", "10")
