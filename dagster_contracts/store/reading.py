"""Every SELECT of the store, as functions of a connection inside a transaction. Nothing here writes or takes a lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, literal_column, select, union_all

from dagster_contracts.core.breaker import Breaker, Transition, asset_of
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import Batch, Output, Partition, Review, Route, Status, StepKey
from dagster_contracts.core.snapshot import Snapshot
from dagster_contracts.core.verdict import ACCEPTED, Arrival, Outcome
from dagster_contracts.store import tables
from dagster_contracts.store.rows import dimensions, from_json, from_row, place
from dagster_contracts.store.succession import ALIVE, CURRENT, place_of

_batches = tables.batches.columns


def now(connection: Connection) -> datetime:
    """The database's clock; on PostgreSQL the start of the transaction."""
    if connection.dialect.name == "sqlite":
        return datetime.fromisoformat(connection.execute(select(func.strftime("%Y-%m-%dT%H:%M:%fZ", "now"))).scalar_one())
    return connection.execute(select(func.now())).scalar_one().astimezone(UTC)


def snapshot(connection: Connection, at: datetime, key: str, asset: str, partition: Partition, batch_id: str | None) -> Snapshot:
    found = _bearing(connection, asset, partition, batch_id)
    live = place_of(batch for role, batch in found if role == "alive")
    last_good = next((batch for role, batch in found if role == "last_good"), None)
    if partition.end is None and live.published is not None and live.published.last_good:
        last_good = live.published
    newest_end = select(func.max(_batches.ends_at)).where(_batches.breaker_key == key, _batches.status == Status.PUBLISHED.value)
    judged = exists().where(_batches.asset == asset, _batches.place == place(partition.key))
    ends_at, ever = connection.execute(select(newest_end.scalar_subquery(), judged)).one()
    return Snapshot(
        now=at,
        breaker=next(iter(breakers(connection, [key])), None),
        batch=next((batch for role, batch in found if role == "asked"), None),
        published=live.published,
        publishing=live.publishing,
        refused=live.refused,
        last_good=last_good,
        newest_published_end=ends_at,
        judged=ever,
    )


def _bearing(connection: Connection, asset: str, partition: Partition, batch_id: str | None) -> list[tuple[str, Batch]]:
    """The batches that bear on a partition, each with why, in one round trip."""
    columns = tables.batches.columns
    alive = (columns.asset == asset, columns.place == place(partition.key), columns.status.in_([status.value for status in ALIVE]))
    parts: list[Select[Any]] = [select(literal_column("'alive'").label("role"), tables.batches).where(*alive)]
    if batch_id is not None:
        parts.append(select(literal_column("'asked'").label("role"), tables.batches).where(columns.id == batch_id))
    if partition.end is not None:
        parts.append(select(literal_column("'last_good'").label("role"), _last_good_before(asset, partition).subquery()))
    rows = connection.execute(union_all(*parts)).mappings()
    return [(row["role"], from_row(Batch, row)) for row in rows]


def published_on_merit() -> tuple[ColumnElement[bool], ...]:
    """`Batch.last_good`, in SQL."""
    return (
        _batches.status == Status.PUBLISHED.value,
        _batches.outcome.in_([Outcome.PASS.value, Outcome.WARN.value]),
        _batches.confidence == Confidence.FULL.value,
        _batches.released.is_(None),
    )


def _last_good_before(asset: str, partition: Partition) -> Select[Any]:
    """The last good batch: the newest earlier window over which nothing newer is being published."""
    newer = tables.batches.alias("newer")
    overwritten = exists().where(
        newer.c.asset == _batches.asset,
        newer.c.place == _batches.place,
        newer.c.status == Status.PUBLISHING.value,
        newer.c.sequence > _batches.sequence,
    )
    return (
        select(tables.batches)
        .where(
            _batches.asset == asset,
            _batches.dimensions == dimensions(partition),
            _batches.ends_at < partition.end,
            *published_on_merit(),
            ~overwritten,
        )
        .order_by(_batches.ends_at.desc(), _batches.sequence.desc())
        .limit(1)
    )


def breakers(connection: Connection, keys: Sequence[str] | None) -> list[Breaker]:
    query = select(tables.breakers).order_by(tables.breakers.c.key)
    if keys is not None:
        query = query.where(tables.breakers.c.key.in_(keys))
    return [from_row(Breaker, row) for row in connection.execute(query).mappings()]


def transitions(connection: Connection, key: str, limit: int) -> list[Transition]:
    columns = tables.transitions.columns
    query = select(tables.transitions).where(columns.key == key).order_by(columns.number.desc()).limit(limit)
    return [from_row(Transition, row) for row in connection.execute(query).mappings()]


def batch(connection: Connection, batch_id: str) -> Batch | None:
    row = connection.execute(select(tables.batches).where(_batches.id == batch_id)).mappings().one_or_none()
    return None if row is None else from_row(Batch, row)


def batches(connection: Connection, asset: str | None, partition: str | None, statuses: Sequence[str], limit: int) -> list[Batch]:
    query = select(tables.batches).order_by(_batches.sequence.desc()).limit(limit)
    if asset is not None:
        query = query.where(_batches.asset == asset)
    if partition is not None:
        query = query.where(_batches.place == place(partition))
    if statuses:
        query = query.where(_batches.status.in_([str(status) for status in statuses]))
    return [from_row(Batch, row) for row in connection.execute(query).mappings()]


def arrivals(
    connection: Connection, key: str, partition: Partition | None, before: int | None, accepted: bool, limit: int
) -> list[Arrival]:
    query = select(_batches.arrived_at, _batches.ends_at, _batches.outcome).order_by(_batches.sequence.desc()).limit(limit)
    query = query.where(_batches.asset == asset_of(key), _batches.breaker_key == key, _batches.head)
    if partition is not None and partition.end is None:
        query = query.where(_batches.place == place(partition.key))
    elif partition is not None:
        query = query.where(_batches.dimensions == dimensions(partition), _batches.ends_at.is_not(None))
    if before is not None:
        query = query.where(_batches.sequence < before)
    if accepted:
        query = query.where(_batches.outcome.in_(ACCEPTED))
    return [Arrival(at, ends_at, outcome in ACCEPTED) for at, ends_at, outcome in connection.execute(query)]


def decisions(
    connection: Connection, step: StepKey, upstream: str | None = None, requested: str | None = None, consumer: str | None = None
) -> list[Route]:
    """In order of decision: all of a step, or those for one upstream and requested key (and one consumer)."""
    columns = tables.decisions.columns
    query = select(columns.route).order_by(columns.number)
    query = query.where(columns.run_id == step.run_id, columns.step == step.step, columns.attempt == step.attempt)
    if upstream is not None:
        query = query.where(columns.upstream == upstream, columns.requested == place(requested))
    if consumer is not None:
        query = query.where(columns.consumer == consumer)
    return [from_json(Route, document) for document in connection.execute(query).scalars()]


def output(connection: Connection, asset: str, partition: str | None) -> Output | None:
    columns = tables.outputs.columns
    current = columns.status.in_([status.value for status in CURRENT])
    query = select(tables.outputs).where(columns.asset == asset, columns.place == place(partition), current)
    row = connection.execute(query.order_by(columns.number.desc()).limit(1)).mappings().one_or_none()
    return None if row is None else from_row(Output, row)


def outputs(connection: Connection, statuses: Sequence[str], asset: str | None, limit: int) -> list[Output]:
    columns = tables.outputs.columns
    query = select(tables.outputs).order_by(columns.number.desc()).limit(limit)
    if asset is not None:
        query = query.where(columns.asset == asset)
    if statuses:
        query = query.where(columns.status.in_([str(status) for status in statuses]))
    return [from_row(Output, row) for row in connection.execute(query).mappings()]


def reviews(connection: Connection, statuses: Sequence[str], limit: int) -> list[Review]:
    columns = tables.reviews.columns
    query = select(tables.reviews).order_by(columns.number.desc()).limit(limit)
    if statuses:
        query = query.where(columns.status.in_([str(status) for status in statuses]))
    return [from_row(Review, row) for row in connection.execute(query).mappings()]


def thread(connection: Connection, sink: str, incident: str) -> Mapping[str, Any] | None:
    same = and_(tables.threads.c.sink == sink, tables.threads.c.incident == incident)
    found: Mapping[str, Any] | None = connection.execute(select(tables.threads.c.thread).where(same)).scalar_one_or_none()
    return found
