"""Every write of the store, as functions of a connection inside a transaction.

Order inside `save`: places, breaker, the rest. All writers of a place, and all of a breaker, then wait for each other in the same
order: no deadlock, and arrival numbers that grow in the order of commits.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from dagster_contracts.core.breaker import Breaker
from dagster_contracts.core.errors import LostRace
from dagster_contracts.core.ledger import Batch, Output, OutputStatus, ReviewStatus, Route, Status, StepKey
from dagster_contracts.core.snapshot import Change
from dagster_contracts.store import profiles, reading, tables
from dagster_contracts.store.rows import Row, dimensions, place, to_json, to_row
from dagster_contracts.store.succession import CURRENT, ended_as, lost_race, replaced_by, replacement_note

_LOCKS = 0x646331  # the first of PostgreSQL's two advisory lock numbers: ours among other users of the database


def save(connection: Connection, change: Change) -> None:
    """Everything of a change, in the caller's transaction. Raises LostRace before anything else is written."""
    _enter_places(connection, change)
    if change.breaker is not None:
        _compare_and_set(connection, change.breaker)
    for transition in change.transitions:
        connection.execute(insert(tables.transitions).values(to_row(tables.transitions, transition)))
    for kept in change.profiles:
        profiles.save(connection, kept)
    for batch in change.batches:
        _save_batch(connection, batch)
        profiles.judge(connection, batch)
    for output in change.outputs:
        _save_output(connection, output)
    for review in change.reviews:
        _upsert(connection, tables.reviews, to_row(tables.reviews, review))
    for event in sorted(change.events, key=lambda event: (event.key, event.sequence)):
        connection.execute(insert(tables.events).values(to_row(tables.events, event)))


def decide(connection: Connection, at: datetime, step: StepKey, consumer: str, route: Route, change: Change) -> Route:
    """Insert where absent, and save `change` with it; return what stands."""
    row = {
        "run_id": step.run_id,
        "step": step.step,
        "attempt": step.attempt,
        "consumer": consumer,
        "upstream": route.upstream,
        "requested": place(route.requested.key),
        "decided_at": at,
        "route": to_json(route),
    }
    inserted = inserting(connection, tables.decisions).values(row).on_conflict_do_nothing().returning(tables.decisions.c.number)
    if connection.execute(inserted).one_or_none() is not None:
        save(connection, change)
        return route
    return reading.decisions(connection, step, route.upstream, route.requested.key, consumer)[0]


def keep_thread(connection: Connection, at: datetime, sink: str, incident: str, thread: Mapping[str, Any]) -> None:
    statement = inserting(connection, tables.threads).values(sink=sink, incident=incident, thread=dict(thread), updated_at=at)
    changed = {"thread": statement.excluded.thread, "updated_at": statement.excluded.updated_at}
    connection.execute(statement.on_conflict_do_update(index_elements=["sink", "incident"], set_=changed))


def _enter_places(connection: Connection, change: Change) -> None:
    """Wait for other writers of the same partitions. SQLite has one writer at a time anyway."""
    if connection.dialect.name == "sqlite":
        return
    entries: list[Batch | Output] = [*change.batches, *change.outputs]
    places = {f"{entry.asset}|{place(entry.partition.key)}" for entry in entries}
    for number in sorted({zlib.crc32(name.encode("utf-8", "replace")) - 2**31 for name in places}):
        connection.execute(select(func.pg_advisory_xact_lock(_LOCKS, number)))


def _compare_and_set(connection: Connection, breaker: Breaker) -> None:
    row = to_row(tables.breakers, replace(breaker, version=breaker.version + 1))
    key = tables.breakers.c.key
    if breaker.version == 0:
        won = connection.execute(inserting(connection, tables.breakers).values(row).on_conflict_do_nothing().returning(key))
    else:
        same = and_(key == breaker.key, tables.breakers.c.version == breaker.version)
        won = connection.execute(update(tables.breakers).where(same).values(row).returning(key))
    if won.one_or_none() is None:
        raise LostRace(lost_race(breaker))


def _save_batch(connection: Connection, batch: Batch) -> None:
    sequence = batch.sequence or connection.execute(select(_next_arrival(connection))).scalar_one()
    row = to_row(
        tables.batches,
        replace(batch, sequence=sequence),
        place=place(batch.partition.key),
        ends_at=batch.partition.end,
        dimensions=dimensions(batch.partition),
    )
    _upsert(connection, tables.batches, row)
    if ended := replaced_by(batch):
        columns = tables.batches.columns
        connection.execute(
            update(tables.batches)
            .where(
                columns.asset == batch.asset,
                columns.place == place(batch.partition.key),
                columns.status.in_([status.value for status in ended]),
                columns.sequence < sequence,
            )
            .values(status=Status.DISCARDED.value, note=replacement_note(batch), updated_at=batch.updated_at)
        )


def _next_arrival(connection: Connection) -> ColumnElement[int]:
    if connection.dialect.name == "sqlite":
        return func.coalesce(func.max(tables.batches.c.sequence), 0) + 1
    return tables.arrivals.next_value()


def _save_output(connection: Connection, output: Output) -> None:
    _upsert(connection, tables.outputs, to_row(tables.outputs, output, place=place(output.partition.key)))
    if output.status in CURRENT:
        _end_earlier(connection, output)


def _end_earlier(connection: Connection, output: Output) -> None:
    columns = tables.outputs.columns
    number = select(columns.number).where(columns.id == output.id).scalar_subquery()
    earlier = select(columns.id, columns.status).where(
        columns.asset == output.asset,
        columns.place == place(output.partition.key),
        columns.status.in_([status.value for status in CURRENT]),
        columns.number < number,
    )
    for ended_id, status in connection.execute(earlier).all():
        ended = ended_as(OutputStatus(status), output.status)
        connection.execute(update(tables.outputs).where(columns.id == ended_id).values(status=ended.value, ended_at=output.at))
        unseen = and_(tables.reviews.c.id == ended_id, tables.reviews.c.status == ReviewStatus.PENDING.value)
        closed = {"status": ReviewStatus.SUPERSEDED.value, "decided_at": output.at}
        connection.execute(update(tables.reviews).where(unseen).values(closed))


def _upsert(connection: Connection, table: Table, row: Row) -> None:
    """Insert, or replace the row of the same id. A `number` stays what it was."""
    statement = inserting(connection, table).values(row)
    changed = {name: statement.excluded[name] for name in row if name != "id"}
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed))


def inserting(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows ON CONFLICT."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
