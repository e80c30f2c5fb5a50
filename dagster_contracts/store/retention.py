"""What may go, and how it goes: 1,000 rows of one kind in a transaction of their own, so that nobody waits for long.

Each transaction repeats the condition: what has changed since it was looked for stays. Cut off between two of them, the next run
goes on where this one ended. Several at once do no harm: whatever makes a row dispensable is itself not dispensable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    String,
    Table,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    update,
)

from dagster_contracts.core.ledger import ReviewStatus, Status
from dagster_contracts.core.retention import Pruned, Retention
from dagster_contracts.core.verdict import ACCEPTED
from dagster_contracts.store import reading, tables
from dagster_contracts.store.succession import CURRENT, KEPT_ARRIVALS, KEPT_REFERENCES, REFUSED, WAITING, named_by

ROWS = 1000  # of one transaction
LOOK = 100_000  # batches that are counted, and found, at once
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

    What is later than a batch decides whether it may go: that is counted for whole assets at once, and not anew for each batch. A batch
    that has been judged again since it was looked at stays; what else has come since only takes its place. The breakers are read once:
    what a breaker names later has arrived later, and is too young to go.
    """
    with reading_() as connection:
        named = {name for breaker in reading.breakers(connection, None) for name in named_by(breaker)}
        sizes = connection.execute(_sizes(before)).all()
    for first, last in _ranges((row.asset, row.batches) for row in sizes):
        for ids in _looks(reading_, before, first, last):
            unnamed = [name for name in ids if name not in named]
            if dry_run:
                yield len(unnamed)
            else:
                yield from _deleted(writing, before, unnamed)


def _ranges(sizes: Iterable[tuple[str, int]]) -> Iterator[tuple[str, str]]:
    """The first and last of neighbouring assets, which are looked at together: about `LOOK` batches of them, however many one has."""
    first, last, total = "", "", 0
    for asset, batches in sizes:
        if total and total + batches > LOOK:
            yield first, last
            total = 0
        first, last, total = (first if total else asset), asset, total + batches
    if total:
        yield first, last


def _looks(reading_: Transaction, before: datetime, first: str, last: str) -> Iterator[list[str]]:
    """The ids of batches that may go, `LOOK` at a time; in their order of arrival, in which they lie beside each other."""
    after = (first, 0)
    while True:
        with reading_() as connection:
            found = connection.execute(_over_batches(before, first, last, after)).all()
        yield [row.id for row in sorted(found, key=lambda row: row.sequence)]
        if len(found) < LOOK:
            return
        after = (found[-1].asset, found[-1].sequence)


def _deleted(writing: Transaction, before: datetime, ids: Sequence[str]) -> Iterator[int]:
    """The counts of each transaction."""
    for start in range(0, len(ids), ROWS):
        with writing() as connection:
            gone = delete(tables.batches).where(_b.id.in_(ids[start : start + ROWS]), _settled(_b, before)).returning(_b.id)
            deleted = list(connection.execute(gone).scalars())
            connection.execute(delete(tables.profiles).where(tables.profiles.c.batch_id.in_(deleted)))
        yield len(deleted)


# --- what is over ----------------------------------------------------------------------------------------------------


def _settled(columns: Any, before: datetime) -> ColumnElement[bool]:
    """Discarded long ago; or of a stream, whose consumer alone has it: a micro-batch that has gone on, what was set aside."""
    aside = and_(columns.status.in_([status.value for status in REFUSED]), _streamed(columns))
    went_on = and_(columns.status == Status.PUBLISHED.value, reading.micro_batch(columns))
    return and_(or_(columns.status == Status.DISCARDED.value, aside, went_on), columns.updated_at < before)


def _streamed(columns: Any) -> ColumnElement[bool]:
    return or_(reading.micro_batch(columns), reading.time_window(columns))


def _sizes(before: datetime) -> Select[Any]:
    """How many batches an asset has, in order, where any of them was settled long ago."""
    old = func.count(case((_settled(_b, before), 1)))
    return select(_b.asset, func.count().label("batches")).group_by(_b.asset).having(old > 0).order_by(_b.asset)


def _over_batches(before: datetime, first: str, last: str, after: tuple[str, int]) -> Select[Any]:
    """Settled long ago, and nothing looks back at it: not its place, no batch that waits, no rule about deliveries or profiles.

    The place of a micro-batch is its own alone: nobody asks whether it was ever filled, and none that waits looks at an earlier one.
    """
    c = _counted(first, last).subquery("counted").columns
    waiting = tables.batches.alias("waiting").columns
    in_wait = and_(waiting.status.in_([status.value for status in WAITING]), ~_streamed(waiting))
    awaiting = select(waiting.breaker_key, func.max(waiting.sequence).label("last")).where(in_wait).group_by(waiting.breaker_key)
    waits = awaiting.subquery("waits").columns
    no_arrival = or_(~c.head, and_(c.nth_arrival > KEPT_ARRIVALS, or_(~c.accepted, c.nth_accepted > 1)))
    no_reference = or_(~c.good, c.nth_good > KEPT_REFERENCES)
    over = (_settled(c, before), or_(c.streamed, c.nth_here > 1), no_arrival, no_reference, func.coalesce(waits.last, 0) < c.sequence)
    found = select(c.id, c.asset, c.sequence).outerjoin_from(c.id.table, waits.last.table, waits.breaker_key == c.breaker_key)
    return found.where(*over, tuple_(c.asset, c.sequence) > after).order_by(c.asset, c.sequence).limit(LOOK)


def _counted(first: str, last: str) -> Select[Any]:
    """Each batch of these assets, and which it is of its place and of its kind, from the newest on.

    `nth_here` of all in its place, `nth_good` of those whose profiles later ones are compared with; `nth_arrival` of the head batches
    that `ports.Ledger.arrivals` counts with it, `nth_accepted` of those that passed.
    """
    timed, micro, profile = _b.ends_at.is_not(None), reading.micro_batch(_b), tables.profiles.c
    accepted = _b.outcome.in_([outcome.value for outcome in ACCEPTED])
    good = and_(~timed, ~micro, exists().where(profile.batch_id == _b.id, profile.good))
    kind = [_b.asset, _b.breaker_key, _b.head, timed, micro, case((timed, _b.dimensions), (micro, ""), else_=_b.place)]

    def nth(partition: Sequence[ColumnElement[Any]], of: ColumnElement[bool] | None = None) -> ColumnElement[int]:
        counted = func.count() if of is None else func.count(case((of, 1)))
        return counted.over(partition_by=partition, order_by=_b.sequence.desc(), rows=(None, 0))

    return select(
        *(_b.id, _b.asset, _b.sequence, _b.breaker_key, _b.status, _b.updated_at, _b.head, _b.place, _b.data_version, _b.run_id),
        _streamed(_b).label("streamed"),
        accepted.label("accepted"),
        good.label("good"),
        nth([_b.asset, _b.place]).label("nth_here"),
        nth([_b.asset, _b.place], good).label("nth_good"),
        nth(kind).label("nth_arrival"),
        nth(kind, accepted).label("nth_accepted"),
    ).where(_b.asset >= first, _b.asset <= last)


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
