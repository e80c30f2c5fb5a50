"""What may go, and how it goes: 1,000 rows of one kind in a transaction of their own, so that nobody waits for long.

Each transaction repeats the whole condition: what has changed since it was looked for stays. Cut off between two of them, the next run
goes on where this one ended. Several at once do no harm: whatever makes a row dispensable is itself not dispensable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    String,
    Table,
    and_,
    cast,
    delete,
    exists,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    update,
)

from dagster_contracts.core.ledger import ReviewStatus, Status
from dagster_contracts.core.retention import Pruned, Retention
from dagster_contracts.core.verdict import ACCEPTED
from dagster_contracts.store import reading, tables
from dagster_contracts.store.succession import CURRENT, KEPT_ARRIVALS, KEPT_REFERENCES, WAITING, named_by

ROWS = 1000  # of one transaction
Transaction = Callable[[], AbstractContextManager[Connection]]
Condition = Callable[[datetime], ColumnElement[bool]]

_b = tables.batches.columns
_current = [status.value for status in CURRENT]


def prune(reading_: Transaction, writing: Transaction, at: datetime, kept: Retention, *, dry_run: bool) -> Pruned:
    """As `ports.Ledger.prune`, at the time `at`."""
    gone: dict[str, int] = {}
    for field in fields(Retention):
        before = at - getattr(kept, field.name)
        if field.name == "batches":
            gone["batches"] = sum(_batches(reading_, writing, before, dry_run))
        else:
            gone[field.name] = sum(_rows(reading_, writing, _KINDS[field.name], before, dry_run))
    return Pruned(**gone)


@dataclass(frozen=True, slots=True)
class _Kind:
    """Rows of `table` that go where `over` is true; `order` numbers or names them, so that each is looked at once."""

    table: Table
    order: Column[Any]
    over: Condition


def _rows(reading_: Transaction, writing: Transaction, kind: _Kind, before: datetime, dry_run: bool) -> Iterator[int]:
    """The counts of each transaction."""
    if dry_run:
        with reading_() as connection:
            yield connection.execute(select(func.count()).select_from(kind.table).where(kind.over(before))).scalar_one()
        return
    last: ColumnElement[bool] = literal(True)
    while True:
        with writing() as connection:
            chosen = select(kind.order).where(kind.over(before), last).order_by(kind.order).limit(ROWS)
            found: list[Any] = list(connection.execute(chosen).scalars())
            if found:
                yield len(_end(connection, kind, kind.order.in_(found), kind.over(before)))
        if len(found) < ROWS:
            return
        last = kind.order > found[-1]


def _end(connection: Connection, kind: _Kind, *these: ColumnElement[bool]) -> Sequence[object]:
    if kind.table is tables.batches:  # only their verdicts go
        return connection.execute(update(tables.batches).where(*these).values(verdict=null()).returning(kind.order)).all()
    return connection.execute(delete(kind.table).where(*these).returning(kind.order)).all()


def _batches(reading_: Transaction, writing: Transaction, before: datetime, dry_run: bool) -> Iterator[int]:
    """Batches go with their profiles, and not while a breaker names them in its window or among its probes.

    The breakers are read once: what a breaker names later has arrived later, and is too young to go.
    """
    with reading_() as connection:
        named = {name for breaker in reading.breakers(connection, None) for name in named_by(breaker)}
    last = 0
    while True:
        with (reading_ if dry_run else writing)() as connection:
            further = and_(_b.sequence > last, _b.sequence > literal_column("0", Integer))  # the second names the index of arrivals
            chosen = select(_b.id, _b.sequence).where(_over_batches(before), further).order_by(_b.sequence).limit(ROWS)
            found = connection.execute(chosen).all()
            ids = [row.id for row in found if row.id not in named]
            if not dry_run and ids:
                gone = delete(tables.batches).where(_b.id.in_(ids), _over_batches(before)).returning(_b.id)
                ids = list(connection.execute(gone).scalars())
                connection.execute(delete(tables.profiles).where(tables.profiles.c.batch_id.in_(ids)))
            yield len(ids)
        if len(found) < ROWS:
            return
        last = found[-1].sequence


# --- what is over ----------------------------------------------------------------------------------------------------


def _over_batches(before: datetime) -> ColumnElement[bool]:
    """Discarded long ago, and nothing looks back at it: not its place, no batch that waits, no rule about deliveries or profiles."""
    later, waiting = tables.batches.alias("later"), tables.batches.alias("waiting")
    in_place = exists().where(later.c.asset == _b.asset, later.c.place == _b.place, later.c.sequence > _b.sequence)
    awaited = exists().where(
        waiting.c.breaker_key == _b.breaker_key,
        waiting.c.status.in_([status.value for status in WAITING]),
        waiting.c.sequence > _b.sequence,
    )
    return and_(_b.status == Status.DISCARDED.value, _b.updated_at < before, in_place, ~awaited, _no_arrival(), _no_reference())


def _no_arrival() -> ColumnElement[bool]:
    """Not among the newest head batches of its kind, nor the newest of those that passed."""
    accepted = [outcome.value for outcome in ACCEPTED]
    newer, passed = tables.batches.alias("newer"), tables.batches.alias("passed")
    nth = select(newer.c.sequence).where(_kin(newer)).order_by(newer.c.sequence).limit(1).offset(KEPT_ARRIVALS - 1).scalar_subquery()
    replaced = or_(_b.outcome.not_in(accepted), exists().where(_kin(passed), passed.c.outcome.in_(accepted)))
    return or_(~_b.head, and_(nth.is_not(None), replaced))


def _kin(newer: FromClause) -> ColumnElement[bool]:
    """Later head batches that `ports.Ledger.arrivals` counts with this one."""
    timed = and_(_b.ends_at.is_not(None), newer.c.ends_at.is_not(None), newer.c.dimensions == _b.dimensions)
    same = or_(timed, and_(_b.ends_at.is_(None), newer.c.place == _b.place))
    return and_(newer.c.asset == _b.asset, newer.c.breaker_key == _b.breaker_key, newer.c.head, newer.c.sequence > _b.sequence, same)


def _no_reference() -> ColumnElement[bool]:
    """Not among the newest good batches of a place without time, whose profiles later ones are compared with."""
    newer = tables.batches.alias("newer_good")

    def good(batch_id: ColumnElement[str]) -> ColumnElement[bool]:
        profile = tables.profiles.alias()
        return exists().where(profile.c.batch_id == batch_id, profile.c.good)

    here = and_(newer.c.asset == _b.asset, newer.c.place == _b.place, newer.c.sequence > _b.sequence, good(newer.c.id))
    nth = select(newer.c.sequence).where(here).order_by(newer.c.sequence).limit(1).offset(KEPT_REFERENCES - 1).scalar_subquery()
    return or_(_b.ends_at.is_not(None), ~good(_b.id), nth.is_not(None))


def _over_verdicts(before: datetime) -> ColumnElement[bool]:
    settled = _b.status.in_([Status.PUBLISHED.value, Status.DISCARDED.value])
    return and_(settled, _b.updated_at < before, _b.verdict.is_not(None))


def _over_transitions(before: datetime) -> ColumnElement[bool]:
    """Not the last one of a breaker, and not of its present incident."""
    c, later, breaker = tables.transitions.c, tables.transitions.alias("later"), tables.breakers
    present = exists().where(breaker.c.key == c.key, breaker.c.opened_at <= c.at)
    return and_(c.at < before, exists().where(later.c.key == c.key, later.c.number > c.number), ~present)


def _over_decisions(before: datetime) -> ColumnElement[bool]:
    """Not the last one of a consumer about an upstream."""
    c, later = tables.decisions.c, tables.decisions.alias("later")
    again = exists().where(later.c.consumer == c.consumer, later.c.decided_at > c.decided_at, later.c.upstream == c.upstream)
    return and_(c.decided_at < before, again)


def _over_outputs(before: datetime) -> ColumnElement[bool]:
    c = tables.outputs.c
    return and_(c.status.not_in(_current), func.coalesce(c.ended_at, c.at) < before)


def _over_reviews(before: datetime) -> ColumnElement[bool]:
    """Decided, and the output is not the present one any more."""
    c, output = tables.reviews.c, tables.outputs
    stands = exists().where(output.c.id == c.id, output.c.status.in_(_current))
    return and_(c.status != ReviewStatus.PENDING.value, c.decided_at < before, ~stands)


def _over_events(before: datetime) -> ColumnElement[bool]:
    """Told to every sink, and not of the present or latest incident of its breaker."""
    c, breaker = tables.events.c, tables.breakers
    present = exists().where(breaker.c.key == c.key, breaker.c.incident == c.incident)
    return and_(c.at < before, _told(), ~present)


def _told() -> ColumnElement[bool]:
    """The cursor of every sink that is known stands on it or past it."""
    c = tables.events.c
    sink, cursor = tables.cursors.alias("sink"), tables.cursors.alias("cursor")
    past = exists().where(cursor.c.sink == sink.c.sink, cursor.c.key == c.key, cursor.c.sequence >= c.sequence)
    past = past.correlate(sink, tables.events)
    anybody = exists(select(tables.cursors.c.sink))
    return and_(anybody, ~exists(select(sink.c.sink).where(~past)))


def _over_threads(before: datetime) -> ColumnElement[bool]:
    """Not of the present or latest incident of a breaker."""
    c, breaker = tables.threads.c, tables.breakers
    name = breaker.c.key + "#" + cast(breaker.c.incident, String)
    return and_(c.updated_at < before, ~exists().where(name == c.incident))


_KINDS = {
    "verdicts": _Kind(tables.batches, _b.id, _over_verdicts),
    "transitions": _Kind(tables.transitions, tables.transitions.c.number, _over_transitions),
    "decisions": _Kind(tables.decisions, tables.decisions.c.number, _over_decisions),
    "outputs": _Kind(tables.outputs, tables.outputs.c.number, _over_outputs),
    "reviews": _Kind(tables.reviews, tables.reviews.c.number, _over_reviews),
    "events": _Kind(tables.events, tables.events.c.number, _over_events),
    "threads": _Kind(tables.threads, tables.threads.c.incident, _over_threads),
}
