"""`SqlStore`: the store on PostgreSQL or SQLite. Each method is one transaction."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection

from dagster_contracts.core.errors import LostRace
from dagster_contracts.core.events import Event
from dagster_contracts.core.ledger import Batch, Decision, Output, Partition, Review, Route, StepKey
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.plan import GoodPartition, LastGood
from dagster_contracts.core.references import GoodProfile
from dagster_contracts.core.retention import Pruned, Retention
from dagster_contracts.core.snapshot import Change, Grounds, Incident, Pile, Snapshot, Standing
from dagster_contracts.core.state import Breaker, Transition
from dagster_contracts.core.verdict import Arrival
from dagster_contracts.core.windows import Part
from dagster_contracts.ports import NO_CHANGE, Asked, Clock, StoreClock, Tripped, Waiting, Watched
from dagster_contracts.store import due, healing, outbox, parts, profiles, questions, reading, retention, silent, succession, writing
from dagster_contracts.store.connect import parse
from dagster_contracts.store.database import Database

_DATABASE_CLOCK = StoreClock()
T = TypeVar("T")


class SqlStore:
    """`ports.Store` on a database.

    `url` is `postgresql://user:password@host:port/database` or `sqlite:////path/to/file`. SQLite creates and migrates itself on the
    first write, where the folder of the file is there; PostgreSQL is migrated by `upgrade`. May be pickled and used by threads and forked
    processes: each process has connections of its own, opened on first use.

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
        look = reading.Look(key, asset, partition, batch_id)
        return reading.snapshot(self._database.read(reading.SNAPSHOT, look.values), look, self._clock.now())

    def grounds(self, key: str, *, asset: str, partition: Partition, step: StepKey | None = None) -> Grounds:
        look = reading.Look(key, asset, partition, step=step)
        return reading.grounds(self._database.read(reading.GROUNDS, look.values), look, self._clock.now())

    def grounds_of(self, asked: Sequence[Asked]) -> Sequence[Grounds]:
        if not asked:
            return ()
        at, breakers, places = self.now(), self.breakers(sorted({each.key for each in asked})), healing.asked_for(asked)
        found = [self._database.read(statement, places) for statement in (healing.BATCHES, healing.OUTPUTS)]
        return healing.grounds(asked, at, breakers, *found)

    def save(self, change: Change) -> None:
        reviewed = succession.REVIEWED if change.decided else None
        lost_race = reviewed if change.breaker is None else succession.lost_race(change.breaker)
        self._database.save(writing.writes(change), lost_race)

    def transact(
        self, key: str, decide: Callable[[Snapshot], tuple[Change, T]], *, asset: str, partition: Partition, batch_id: str | None = None
    ) -> T:
        database, lost_race = self._database, f"breaker {key} was made by another process meanwhile; nothing was written; load it again"
        with database.writing(lost_race) as connection:
            database.apply(connection, writing.entering(key, asset, partition))
            with database.within(connection):
                change, result = decide(self.load(key, asset=asset, partition=partition, batch_id=batch_id))
            if change != Change():
                database.apply(connection, writing.writes(change), lost_race=lost_race, last=True)
            return result

    def now(self) -> datetime:
        with self._database.reading() as connection:
            return self._now(connection)

    def breakers(self, keys: Sequence[str] | None = None, *, asset: str | None = None) -> Sequence[Breaker]:
        with self._database.reading() as connection:
            return reading.breakers(connection, keys, asset)

    def tripped(self) -> Sequence[Tripped]:
        return [Tripped(*row) for row in self._database.read(due.TRIPPED, {})]

    def good_before(self, asset: str, partition: Partition, limit: int) -> Sequence[Batch]:
        look = reading.Look(asset, asset, partition)
        return reading.good_before(self._database.read(reading.GOOD_BEFORE, {**look.values, "limit": limit}))

    def candidates(self, versions: Mapping[str, str], probed: Sequence[str]) -> Sequence[Batch]:
        asked = {"versions": json.dumps(dict(versions)), "probed": json.dumps(list(probed))}
        return due.batches(self._database.read(due.CANDIDATES, asked))

    def releasable(self, limit: int = 1000) -> Sequence[Batch]:
        return due.batches(self._database.read(due.RELEASABLE, {"limit": limit}))

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

    def places(self, asset: str, start: str, end: str, *, statuses: Sequence[str] = (), limit: int = 1000) -> Sequence[str]:
        with self._database.reading() as connection:
            return reading.places(connection, asset, start, end, statuses, limit)

    def confirm(self, batch_ids: Sequence[str]) -> Sequence[str]:
        with self._database.writing() as connection:
            return writing.confirm(connection, self._now(connection), batch_ids)

    def parts(self, key: str, until: datetime | None = None) -> Sequence[Part]:
        return parts.read(self._database.read(parts.OVER, {"key": key, "until": until or self._clock.now()}))

    def drop_parts(self, key: str, ends_at: datetime) -> None:
        with self._database.writing() as connection:
            parts.drop(connection, key, ends_at)

    def arrivals(
        self, key: str, partition: Partition | None, *, before: int | None = None, accepted: bool = False, limit: int = 10
    ) -> Sequence[Arrival]:
        with self._database.reading() as connection:
            return reading.arrivals(connection, key, partition, before, accepted, limit)

    def silent(self, watched: Sequence[Watched]) -> Sequence[tuple[str, Arrival]]:
        return silent.found(self._database.read(silent.SILENT, silent.values(watched))) if watched else ()

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
        lost_race = f"{consumer} was decided for, or the breaker changed, by another process meanwhile; nothing was written; decide anew"
        try:
            self._database.save(writing.decision(self._clock.now(), step, consumer, route, change), lost_race)
        except LostRace:
            with self._database.reading() as connection:
                if kept := reading.decisions(connection, step, route.upstream, route.requested.key, consumer):
                    return kept[0]
            raise
        return route

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

    def healable(self, assets: Sequence[str] | None = None, limit: int = 1000) -> Sequence[Output]:
        return healing.outputs(self._database.read(healing.HEALABLE, healing.values(assets, limit)))

    def reviews(self, *, statuses: Sequence[str] = (), asset: str | None = None, limit: int = 1000) -> Sequence[Review]:
        with self._database.reading() as connection:
            return reading.reviews(connection, statuses, asset, limit)

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

    def piles(self, asset: str | None = None, limit: int = 1000) -> Sequence[Pile]:
        with self._database.reading() as connection:
            return questions.piles(connection, asset, limit)

    def incident(self, key: str, number: int, limit: int = 1000) -> Incident:
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
