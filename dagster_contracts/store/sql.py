"""`SqlStore`: the store on PostgreSQL or SQLite. Each method is one transaction."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, StaticPool, create_engine

from dagster_contracts.core.breaker import Breaker, Transition
from dagster_contracts.core.events import Event
from dagster_contracts.core.ledger import Batch, Decision, Output, Partition, Review, Route, StepKey
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.plan import GoodPartition, LastGood
from dagster_contracts.core.references import GoodProfile
from dagster_contracts.core.retention import Pruned, Retention
from dagster_contracts.core.snapshot import Change, Snapshot, Standing
from dagster_contracts.core.verdict import Arrival
from dagster_contracts.ports import NO_CHANGE, Clock, StoreClock, Waiting
from dagster_contracts.store import outbox, profiles, questions, reading, retention, succession, writing
from dagster_contracts.store.connect import WRITES, Address, engine_of, parse, translated
from dagster_contracts.store.tables import metadata
from dagster_contracts.store.upgrade import require, revision, upgrade_at

# One view for all SELECTs of a transaction. SQLite's transactions are that by nature.
_ONE_VIEW: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
_DATABASE_CLOCK = StoreClock()


class Database:
    """The connections of one process to one address. Nothing is opened before the first transaction."""

    def __init__(self, address: Address):
        self._address = address
        self._engine = engine_of(address)
        self._checked = False  # the schema version was right once; an upgrade under a running process shows as an error of SQL

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database and writes nothing. A SQLite file not there yet reads as empty."""
        with translated(self._address):
            if self._address.path is not None and not self._checked and not self._has_tables(self._address.path):
                with _nothing() as connection:
                    yield connection
                return
            options: dict[str, Any] = {} if self._address.path is not None else _ONE_VIEW
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                self._check(connection)
                yield connection

    @contextmanager
    def writing(self, lost_race: str | None = None) -> Iterator[Connection]:
        """A transaction that is rolled back where anything raises."""
        with translated(self._address, lost_race):
            if self._address.path is not None and not self._checked:
                upgrade_at(self._address)
            with self._engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
                self._check(connection)
                yield connection

    def _has_tables(self, path: Path) -> bool:
        if not path.exists():
            return False
        with self._engine.connect() as connection:
            return revision(connection) is not None

    def _check(self, connection: Connection) -> None:
        if not self._checked:
            require(revision(connection), self._address)
            self._checked = True


@contextmanager
def _nothing() -> Iterator[Connection]:
    """An empty store in memory: reading where nothing was ever written gives nothing, and creates nothing."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(engine)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


class SqlStore:
    """`ports.Store` on a database.

    `url` is `postgresql://user:password@host:port/database` or `sqlite:////path/to/file`. SQLite creates and migrates itself on the
    first write; PostgreSQL is migrated by `upgrade`. May be pickled and used by threads and forked processes: each process has
    connections of its own, opened on first use.

    Raises StoreUnavailable where the database is out of reach, SchemaOutOfDate where its tables are missing or of another version,
    LostRace from `save`, StoreError for all that trying again does not mend (also here, for a malformed url).
    """

    def __init__(self, url: str, *, clock: Clock = _DATABASE_CLOCK):
        self._address = parse(url)
        self._clock = clock
        self._databases: dict[int, Database] = {}

    def __repr__(self) -> str:
        return f"SqlStore({self._address})"

    def __getstate__(self) -> dict[str, object]:
        return {"_address": self._address, "_clock": self._clock, "_databases": {}}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)

    @property
    def _database(self) -> Database:
        # By process: connections must not be shared with (or closed by) a forked child, so an inherited entry stays, unused.
        # `setdefault` is atomic, and a Database that lost that race has opened nothing.
        found = self._databases.get(os.getpid())
        return found or self._databases.setdefault(os.getpid(), Database(self._address))

    def _now(self, connection: Connection) -> datetime:
        return self._clock.now() or reading.now(connection)

    def load(self, key: str, *, asset: str, partition: Partition, batch_id: str | None = None) -> Snapshot:
        with self._database.reading() as connection:
            return reading.snapshot(connection, self._now(connection), key, asset, partition, batch_id)

    def save(self, change: Change) -> None:
        lost_race = None if change.breaker is None else succession.lost_race(change.breaker)
        with self._database.writing(lost_race) as connection:
            writing.save(connection, change)

    def now(self) -> datetime:
        with self._database.reading() as connection:
            return self._now(connection)

    def breakers(self, keys: Sequence[str] | None = None) -> Sequence[Breaker]:
        with self._database.reading() as connection:
            return reading.breakers(connection, keys)

    def transitions(self, key: str, limit: int = 100) -> Sequence[Transition]:
        with self._database.reading() as connection:
            return reading.transitions(connection, key, limit)

    def batch(self, batch_id: str) -> Batch | None:
        with self._database.reading() as connection:
            return reading.batch(connection, batch_id)

    def batches(
        self, *, asset: str | None = None, partition: str | None = None, statuses: Sequence[str] = (), limit: int = 1000
    ) -> Sequence[Batch]:
        with self._database.reading() as connection:
            return reading.batches(connection, asset, partition, statuses, limit)

    def arrivals(
        self, key: str, partition: Partition | None, *, before: int | None = None, accepted: bool = False, limit: int = 10
    ) -> Sequence[Arrival]:
        with self._database.reading() as connection:
            return reading.arrivals(connection, key, partition, before, accepted, limit)

    def profiles(
        self,
        reference: LastGood | GoodPartition,
        metric: ProfileOf,
        *,
        key: str,
        asset: str,
        partition: Partition,
        batch_id: str | None = None,
    ) -> Sequence[GoodProfile]:
        with self._database.reading() as connection:
            return profiles.good(connection, reference, metric, key, asset, partition, batch_id)

    def decide(self, step: StepKey, consumer: str, route: Route, change: Change = NO_CHANGE) -> Route:
        lost_race = None if change.breaker is None else succession.lost_race(change.breaker)
        with self._database.writing(lost_race) as connection:
            return writing.decide(connection, self._now(connection), step, consumer, route, change)

    def decided(self, step: StepKey, upstream: str, requested: str | None) -> Route | None:
        with self._database.reading() as connection:
            return next(iter(reading.decisions(connection, step, upstream, requested)), None)

    def decisions(self, step: StepKey) -> Sequence[Route]:
        with self._database.reading() as connection:
            return reading.decisions(connection, step)

    def output(self, asset: str, partition: str | None) -> Output | None:
        with self._database.reading() as connection:
            return reading.output(connection, asset, partition)

    def outputs(self, *, statuses: Sequence[str] = (), asset: str | None = None, limit: int = 1000) -> Sequence[Output]:
        with self._database.reading() as connection:
            return reading.outputs(connection, statuses, asset, limit)

    def reviews(self, *, statuses: Sequence[str] = (), limit: int = 1000) -> Sequence[Review]:
        with self._database.reading() as connection:
            return reading.reviews(connection, statuses, limit)

    def events(self, key: str | None = None, *, after: int = 0, limit: int = 1000) -> Sequence[Event]:
        with self._database.reading() as connection:
            return outbox.events(connection, key, after, limit)

    def register(self, sinks: Sequence[str]) -> None:
        with self._database.reading() as connection:
            if not outbox.unknown(connection, sinks):
                return
        with self._database.writing() as connection:
            outbox.register(connection, sinks)

    def claim(self, sink: str, *, holder: str, lease: timedelta, keys: int = 100, limit: int = 500) -> Sequence[Event]:
        # Most looks end here, and no writer has waited for them.
        with self._database.reading() as connection:
            found = outbox.behind(connection, sink, self._now(connection), keys)
        if not found:
            return ()
        with self._database.writing() as connection:
            return outbox.claim(connection, sink, found, self._now(connection), holder, lease, limit)

    def advance(self, sink: str, holder: str, cursors: Mapping[str, int]) -> None:
        with self._database.writing() as connection:
            outbox.advance(connection, sink, holder, cursors, self._now(connection))

    def waiting(self) -> Sequence[Waiting]:
        with self._database.reading() as connection:
            return outbox.waiting(connection)

    def forget(self, sink: str) -> bool:
        with self._database.writing() as connection:
            return outbox.forget(connection, sink)

    def standing(self, asset: str, partition: str | None = None) -> Standing:
        with self._database.reading() as connection:
            return questions.standing(connection, self._now(connection), asset, partition)

    def given(self, consumer: str, at: datetime, requested: str | None = None) -> Sequence[Decision]:
        with self._database.reading() as connection:
            return questions.given(connection, consumer, at, requested)

    def incident(self, key: str, number: int, limit: int = 1000) -> Sequence[Event]:
        with self._database.reading() as connection:
            return questions.incident(connection, key, number, limit)

    def prune(self, kept: Retention, *, dry_run: bool = False) -> Pruned:
        return retention.prune(self._database.reading, self._database.writing, self.now(), kept, dry_run=dry_run)

    def thread(self, sink: str, incident: str) -> Mapping[str, Any] | None:
        with self._database.reading() as connection:
            return reading.thread(connection, sink, incident)

    def keep_thread(self, sink: str, incident: str, thread: Mapping[str, Any]) -> None:
        with self._database.writing() as connection:
            writing.keep_thread(connection, self._now(connection), sink, incident, thread)
