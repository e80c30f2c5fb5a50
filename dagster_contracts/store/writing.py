"""Every write of the store, as statements in the order in which they are executed, in one transaction.

Order inside a change: places, breaker, the rest. All writers of a place, and all of a breaker, then wait for each other in the same
order: no deadlock, and arrival numbers that grow in the order of commits. On PostgreSQL everything is sent at once: nobody is waited for
while a lock is held, unless a decision is made under it (`entering`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    Integer,
    Table,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from dagster_contracts.core.ledger import FALLEN, Batch, Output, OutputStatus, Partition, Review, ReviewStatus, Route, Status, StepKey
from dagster_contracts.core.snapshot import Change
from dagster_contracts.store import healing, parts, profiles, reading, tables
from dagster_contracts.store.rows import dimensions, document, place, to_row
from dagster_contracts.store.statement import Statement, Values, among, word
from dagster_contracts.store.succession import ALIVE, CURRENT, DECIDABLE, REFUSED, replaced_by, replacement_note

_LOCKS = 0x646331  # the first of PostgreSQL's two advisory lock numbers: ours among other users of the database


@dataclass(frozen=True, slots=True)
class Write:
    """A statement with its values. `waits`: it is there to wait for other writers, of which SQLite has one at a time anyway."""

    statement: Statement
    values: Values
    waits: bool = False


def writes(change: Change) -> Iterator[Write]:
    """Everything of a change; first what fails where somebody else has changed the breaker."""
    entries: list[Batch | Output] = [*change.batches, *change.outputs]
    yield from _locks({f"{entry.asset}|{place(entry.partition.key)}" for entry in entries})
    if change.breaker is not None:
        known = change.breaker.version
        yield Write(_CHANGED if known else _CREATED, to_row(tables.breakers, change.breaker, version=known + 1, known=known))
    for transition in change.transitions:
        yield Write(_TRANSITION, to_row(tables.transitions, transition))
    for part in change.parts:
        yield Write(parts.KEPT, parts.row(part))
    for kept in change.profiles:
        yield Write(profiles.KEPT, profiles.row(kept))
    for batch in change.batches:
        yield from _batch(batch)
    for output in change.outputs:
        yield from _output(output)
    for review in change.reviews:
        yield Write(_REVIEW, to_row(tables.reviews, review))
    for review in change.decided:
        yield from _decided(review)
    for event in sorted(change.events, key=lambda event: (event.key, event.sequence)):
        yield Write(_EVENT, to_row(tables.events, event))


def entering(key: str, asset: str, partition: Partition) -> Iterator[Write]:
    """Wait until nobody else changes a partition or a breaker, and let nobody until the transaction ends."""
    yield from _locks({f"{asset}|{place(partition.key)}"})
    yield Write(_HELD, {"key": key}, waits=True)


def _locks(places: Iterable[str]) -> Iterator[Write]:
    for number in sorted({zlib.crc32(name.encode("utf-8", "replace")) - 2**31 for name in places}):
        yield Write(_ENTERED, {"place": number}, waits=True)


def _batch(batch: Batch) -> Iterator[Write]:
    own = {"place": place(batch.partition.key), "ends_at": batch.partition.end, "dimensions": dimensions(batch.partition)}
    row = to_row(tables.batches, batch, **own)
    yield Write(_BATCH, row)
    if batch.status is not Status.DISCARDED:
        yield Write(profiles.JUDGED, {"batch_id": batch.id, "good": batch.last_good})
    if ended := replaced_by(batch):
        yield Write(_REPLACED[ended], row | {"why": document(replacement_note(batch))})


def _output(output: Output) -> Iterator[Write]:
    row = to_row(tables.outputs, output, place=place(output.partition.key), asked=healing.asked_by(output))
    yield Write(_OUTPUT, row)
    if output.status in CURRENT:
        yield Write(_UNREVIEWED, row)
        yield Write(_ENDED, row)


def _decided(review: Review) -> Iterator[Write]:
    row = to_row(tables.reviews, review)
    yield Write(_REVIEWED, row)
    if review.status is ReviewStatus.REJECTED:
        yield Write(_WITHDRAWN, row)


def decision(at: datetime | None, step: StepKey, consumer: str, route: Route, change: Change) -> Iterator[Write]:
    """A decision and the change that goes with it. Fails where a decision is kept already. `at`: the time by another clock than the
    database's."""
    row = {
        "run_id": step.run_id,
        "step": step.step,
        "attempt": step.attempt,
        "consumer": consumer,
        "upstream": route.upstream,
        "requested": place(route.requested.key),
        "route": document(route),
        "at": at,
    }
    yield Write(_DECISION, row)
    yield from writes(change)


def keep_thread(connection: Connection, at: datetime, sink: str, incident: str, thread: Mapping[str, Any]) -> None:
    statement = inserting(connection, tables.threads).values(sink=sink, incident=incident, thread=dict(thread), updated_at=at)
    changed = {"thread": statement.excluded.thread, "updated_at": statement.excluded.updated_at}
    connection.execute(statement.on_conflict_do_update(index_elements=["sink", "incident"], set_=changed))


def confirm(connection: Connection, at: datetime, batch_ids: Sequence[str]) -> list[str]:
    columns = tables.batches.columns
    those = columns.id.in_(batch_ids)
    published = {"status": Status.PUBLISHED.value, "updated_at": at}
    connection.execute(update(tables.batches).where(those, columns.status == Status.PUBLISHING.value).values(published))
    good = select(columns.id).where(those, *reading.published_on_merit())
    connection.execute(update(tables.profiles).where(tables.profiles.c.batch_id.in_(good)).values(good=True))
    return list(connection.execute(select(columns.id).where(those, columns.status == Status.PUBLISHED.value)).scalars())


# --- the statements ------------------------------------------------------------------------------------------------


def given(name: str, kind: TypeEngine[Any]) -> BindParameter[Any]:
    return bindparam(name, type_=kind, required=True)


def _given(table: Table, *names: str) -> dict[str, Any]:
    return {name: given(name, table.columns[name].type) for name in names or _columns(table)}


def _columns(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.name != "number"]


def inserting(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    return _insert(connection.dialect, table)


def _insert(dialect: Dialect, table: Table) -> postgresql.Insert | sqlite.Insert:
    return sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)


def _recorded(table: Table) -> Statement:
    return Statement(lambda dialect: _insert(dialect, table).values(_given(table)).inline())  # nobody reads its number


def _upserted(table: Table) -> Statement:
    """Insert, or replace the row of the same id. A `number` stays what it was."""

    def made(dialect: Dialect) -> Any:
        statement = _insert(dialect, table).values(_given(table))
        changed = {name: statement.excluded[name] for name in _columns(table) if name != "id"}
        return statement.on_conflict_do_update(index_elements=["id"], set_=changed)

    return Statement(made)


def _arrived(dialect: Dialect) -> Any:
    """As `_upserted`; a batch without a sequence gets the next."""
    table = tables.batches
    highest = select(func.coalesce(func.max(table.c.sequence), literal_column("0", Integer)) + literal_column("1", Integer))
    following: Any = highest.scalar_subquery() if dialect.name == "sqlite" else tables.arrivals.next_value()
    own = func.nullif(given("sequence", table.c.sequence.type), literal_column("0", Integer))
    statement = _insert(dialect, table).values(_given(table) | {"sequence": func.coalesce(own, following)})
    changed = {name: statement.excluded[name] for name in _columns(table) if name != "id"}
    return statement.on_conflict_do_update(index_elements=["id"], set_=changed)


def _replacing(ended: Sequence[Status]) -> Statement:
    columns = tables.batches.columns
    own = select(columns.sequence).where(columns.id == given("id", tables.Key)).scalar_subquery()
    earlier = (
        columns.asset == given("asset", tables.Key),
        columns.place == given("place", tables.Key),
        among(columns.status, ended),
        columns.sequence < own,
    )
    end = {"status": word(Status.DISCARDED), "note": given("why", columns.note.type), "updated_at": given("updated_at", tables.Instant())}
    return Statement(lambda dialect: update(tables.batches).where(*earlier).values(end))


def _earlier() -> tuple[ColumnElement[bool], ...]:
    """The current outputs of a place that were recorded before an output of it."""
    columns = tables.outputs.columns
    own = select(columns.number).where(columns.id == given("id", tables.Key)).scalar_subquery()
    here = (columns.asset == given("asset", tables.Key), columns.place == given("place", tables.Key))
    return (*here, among(columns.status, CURRENT), columns.number < own)


def _ending(dialect: Dialect) -> Any:
    """`succession.ended_as`, in SQL."""
    fallback = among(tables.outputs.c.status, FALLEN)
    healed = and_(given("status", tables.Key) == word(OutputStatus.OK), fallback)
    ended = case((healed, word(OutputStatus.HEALED)), else_=word(OutputStatus.SUPERSEDED))
    return update(tables.outputs).where(*_earlier()).values(status=ended, ended_at=given("at", tables.Instant()))


def _closing(dialect: Dialect) -> Any:
    """Reviews of outputs that end now, and that nobody has seen."""
    columns = tables.reviews.columns
    unseen = and_(columns.id.in_(select(tables.outputs.c.id).where(*_earlier())), columns.status == word(ReviewStatus.PENDING))
    return update(tables.reviews).where(unseen).values(status=word(ReviewStatus.SUPERSEDED), decided_at=given("at", tables.Instant()))


def _reviewing(dialect: Dialect) -> Any:
    """What a person decided, while it can be decided."""
    columns = tables.reviews.columns
    same = and_(columns.id == given("id", tables.Key), among(columns.status, DECIDABLE))
    said = _given(tables.reviews, "status", "reason", "actor", "decided_at")
    return update(tables.reviews).where(same).values(said).returning(columns.id)


def _withdrawing(dialect: Dialect) -> Any:
    columns = tables.outputs.columns
    same = and_(columns.id == given("id", tables.Key), columns.status == word(OutputStatus.DEGRADED))
    return update(tables.outputs).where(same).values(status=word(OutputStatus.WITHDRAWN)).returning(columns.id)


def _creating(dialect: Dialect) -> Any:
    created = _insert(dialect, tables.breakers).values(_given(tables.breakers))
    return created.on_conflict_do_nothing().returning(tables.breakers.c.key)


def _changing(dialect: Dialect) -> Any:
    columns = tables.breakers.columns
    same = and_(columns.key == given("key", tables.Key), columns.version == given("known", columns.version.type))
    changed = {name: value for name, value in _given(tables.breakers).items() if name != "key"}
    return update(tables.breakers).where(same).values(changed).returning(columns.key)


def _deciding(dialect: Dialect) -> Any:
    own = [name for name in _columns(tables.decisions) if name != "decided_at"]
    at = func.coalesce(given("at", tables.Instant()), reading.clock(dialect))
    decided = _insert(dialect, tables.decisions).values(**_given(tables.decisions, *own), decided_at=at)
    return decided.on_conflict_do_nothing().returning(tables.decisions.c.number)


_DECISION = Statement(_deciding, guard=True)
_ENTERED = Statement(
    lambda dialect: select(func.pg_advisory_xact_lock(literal_column(str(_LOCKS), Integer), given("place", Integer()), type_=tables.Key))
)
_HELD = Statement(lambda dialect: select(tables.breakers.c.key).where(tables.breakers.c.key == given("key", tables.Key)).with_for_update())
_CREATED, _CHANGED = Statement(_creating, guard=True), Statement(_changing, guard=True)
_TRANSITION, _EVENT = _recorded(tables.transitions), _recorded(tables.events)
_BATCH, _OUTPUT, _REVIEW = Statement(_arrived), _upserted(tables.outputs), _upserted(tables.reviews)
_REPLACED: dict[tuple[Status, ...], Statement] = {ended: _replacing(ended) for ended in (ALIVE, REFUSED)}
_REVIEWED, _WITHDRAWN = Statement(_reviewing, guard=True), Statement(_withdrawing, guard=True)
_UNREVIEWED, _ENDED = Statement(_closing), Statement(_ending)
