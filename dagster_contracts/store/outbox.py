"""The outbox in SQL, as functions of a connection inside a transaction: who is behind, who tells, how far each sink has come.

Which breakers have news is read off their own rows (`event_sequence` is the number of the last event), so that looking costs one query
however many events there are. Cursors are taken in the order of their keys: relays wait for each other, and never in a circle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select, update

from dagster_contracts.core.events import Event
from dagster_contracts.ports import Waiting
from dagster_contracts.store import tables
from dagster_contracts.store.rows import from_row
from dagster_contracts.store.writing import inserting

_cursors, _events, _breakers = tables.cursors.columns, tables.events.columns, tables.breakers.columns
_KNOWN = ""  # the key of the row that says that a sink is known: no breaker has it
_told: ColumnElement[int] = func.coalesce(_cursors.sequence, 0)


def events(connection: Connection, key: str | None, after: int, limit: int) -> list[Event]:
    query = select(tables.events).limit(limit)
    if key is None:
        query = query.order_by(_events.number)
    else:
        query = query.where(_events.key == key, _events.sequence > after).order_by(_events.sequence)
    return [from_row(Event, row) for row in connection.execute(query).mappings()]


def unknown(connection: Connection, sinks: Sequence[str]) -> list[str]:
    """Which of the sinks are not registered; none while there is no breaker to tell of."""
    if not connection.execute(select(exists(select(_breakers.key)))).scalar_one():
        return []
    known = _known(connection)
    return [sink for sink in sinks if sink not in known]


def _known(connection: Connection) -> list[str]:
    return list(connection.execute(select(_cursors.sink).where(_cursors.key == _KNOWN)).scalars())


def register(connection: Connection, sinks: Sequence[str]) -> None:
    known = _known(connection)
    for sink in sorted(set(sinks) - set(known)):
        row = {"sink": sink, "key": _KNOWN, "sequence": 0}
        connection.execute(inserting(connection, tables.cursors).values(row).on_conflict_do_nothing())
        # Where one of the known sinks has no cursor it stands before the first event, and so does the new one.
        others = select(_cursors.key, func.min(_cursors.sequence).label("sequence"))
        others = others.where(_cursors.sink.in_(known), _cursors.key != _KNOWN).group_by(_cursors.key)
        least = [dict(row) for row in connection.execute(others.having(func.count() == len(known))).mappings()] if known else []
        if least:
            start = inserting(connection, tables.cursors).on_conflict_do_nothing()
            connection.execute(start, [{"sink": sink, **row} for row in least])


def behind(connection: Connection, sink: str, now: datetime, limit: int) -> list[str]:
    """Breakers with events that the sink was not told and nobody is telling it; those told longest ago first."""
    own = tables.breakers.outerjoin(tables.cursors, and_(_cursors.sink == sink, _cursors.key == _breakers.key))
    free = or_(_cursors.leased_until.is_(None), _cursors.leased_until <= now)
    query = select(_breakers.key).select_from(own).where(_breakers.event_sequence > _told, free)
    query = query.order_by(_cursors.leased_until.asc().nulls_first(), _breakers.key).limit(limit)
    return list(connection.execute(query).scalars())


def claim(connection: Connection, sink: str, keys: Sequence[str], now: datetime, holder: str, lease: timedelta, limit: int) -> list[Event]:
    """Take those of the cursors that are free still; the events beyond them."""
    rows = [{"sink": sink, "key": key, "sequence": 0, "holder": holder, "leased_until": now + lease} for key in sorted(keys)]
    statement = inserting(connection, tables.cursors).values(rows)
    statement = statement.on_conflict_do_update(
        index_elements=["sink", "key"],
        set_={"holder": statement.excluded.holder, "leased_until": statement.excluded.leased_until},
        where=or_(_cursors.leased_until.is_(None), _cursors.leased_until <= now),
    )
    won = list(connection.execute(statement.returning(_cursors.key)).scalars())
    each = max(1, limit // max(1, len(won)))
    query = (
        select(tables.events)
        .join(tables.cursors, and_(_cursors.sink == sink, _cursors.key == _events.key))
        .where(_events.key.in_(won), _events.sequence > _cursors.sequence, _events.sequence <= _cursors.sequence + each)
        .order_by(_events.number)
    )
    found = [from_row(Event, row) for row in connection.execute(query).mappings()]
    if gone := set(won) - {event.key for event in found}:
        _pass_over(connection, sink, sorted(gone), now)
    return found


def _pass_over(connection: Connection, sink: str, keys: Sequence[str], now: datetime) -> None:
    """Events beyond these cursors were deleted: go on at the next one there is."""
    left = select(func.min(_events.sequence) - 1).where(_events.key == _cursors.key, _events.sequence > _cursors.sequence)
    last = select(_breakers.event_sequence).where(_breakers.key == _cursors.key)
    found = func.coalesce(left.scalar_subquery(), last.scalar_subquery())
    same = and_(_cursors.sink == sink, _cursors.key.in_(keys))
    connection.execute(update(tables.cursors).where(same).values(sequence=found, holder=None, leased_until=now))


def advance(connection: Connection, sink: str, holder: str, cursors: Mapping[str, int], now: datetime) -> None:
    rows = [{"sink": sink, "key": key, "sequence": cursors[key], "holder": None, "leased_until": now} for key in sorted(cursors)]
    if not rows:
        return
    statement = inserting(connection, tables.cursors).values(rows)
    moved = {name: statement.excluded[name] for name in ("sequence", "holder", "leased_until")}
    connection.execute(statement.on_conflict_do_update(index_elements=["sink", "key"], set_=moved, where=_cursors.holder == holder))


def waiting(connection: Connection) -> list[Waiting]:
    sinks = tables.cursors.alias("sinks")
    own = tables.cursors.alias("own")
    told = func.coalesce(own.c.sequence, 0)
    places = sinks.join(tables.breakers, _breakers.event_sequence > 0).outerjoin(
        own, and_(own.c.sink == sinks.c.sink, own.c.key == _breakers.key)
    )
    oldest = places.outerjoin(tables.events, and_(_events.key == _breakers.key, _events.sequence == told + 1))
    count = func.sum(_breakers.event_sequence - told)
    query = select(sinks.c.sink, count, func.min(_events.at)).select_from(oldest)
    query = query.where(sinks.c.key == _KNOWN, _breakers.event_sequence > told).group_by(sinks.c.sink)
    found = {sink: Waiting(sink, int(events), at) for sink, events, at in connection.execute(query)}
    return [found.get(sink, Waiting(sink, 0)) for sink in sorted(_known(connection))]


def forget(connection: Connection, sink: str) -> bool:
    return connection.execute(delete(tables.cursors).where(_cursors.sink == sink)).rowcount > 0
