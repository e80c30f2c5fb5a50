"""What people ask of the ledger, each answered by one SELECT over indexes.

Rows of several tables come as one result: a list of roles, with each table joined to its own. Each is cut to its rows before that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, Subquery, and_, case, func, literal_column, or_, select, union_all

from dagster_contracts.core.events import Event, EventType
from dagster_contracts.core.ledger import FALLEN, Batch, Decision, Output, Route, Status, StepKey
from dagster_contracts.core.snapshot import Incident, Pile, Standing, halves
from dagster_contracts.core.state import Breaker, State
from dagster_contracts.store import tables
from dagster_contracts.store.reading import collected, micro_batch, time_window
from dagster_contracts.store.rows import from_json, from_row, place
from dagster_contracts.store.statement import among
from dagster_contracts.store.succession import CURRENT, LISTED, WAITING, standing_of

T = TypeVar("T")
_NOT_CLOSED = (State.OPEN.value, State.HALF_OPEN.value)


def standing(connection: Connection, at: datetime, asset: str, partition: str | None) -> Standing:
    """As `ports.Ledger.standing`."""
    parts = {"breaker": _breakers(asset), "batch": _batches(asset, partition), "output": _outputs(asset, partition)}
    roles = union_all(*(select(literal_column(f"'{name}'").label("role")) for name in parts)).subquery("roles")
    joined: Any = roles
    for name, part in parts.items():
        joined = joined.outerjoin(part, and_(roles.c.role == name, part.c.part.is_not(None)))
    columns = [column.label(f"{name}__{column.name}") for name, part in parts.items() for column in part.columns]
    rows = connection.execute(select(roles.c.role, *columns).select_from(joined)).mappings().all()
    return standing_of(
        at,
        asset,
        breakers=_found(Breaker, rows, "breaker"),
        batches=_found(Batch, rows, "batch"),
        outputs=_found(Output, rows, "output"),
        partition=partition,
    )


def _found(kind: type[T], rows: Sequence[Mapping[Any, Any]], name: str) -> list[tuple[str, T]]:
    """What a table gave, each with the part that it is an answer to."""
    own = ({key.split("__", 1)[1]: row[key] for key in row if key.startswith(f"{name}__")} for row in rows if row["role"] == name)
    return [(row["part"], from_row(kind, row)) for row in own if row["part"] is not None]


def _parts(**queries: Select[Any]) -> Subquery:
    """Several queries of one table as one, each row with the name of its query. Each is cut before they are put together."""
    cut = {name: query.subquery(name) for name, query in queries.items()}
    return union_all(*(select(literal_column(f"'{name}'").label("part"), part) for name, part in cut.items())).subquery()


def _breakers(asset: str) -> Subquery:
    """The asset's own, of any scope, and all that are not closed. "[" and the character after it bound the keys of scopes."""
    c = tables.breakers.c
    every = select(tables.breakers).limit(LISTED)
    return _parts(
        own=every.where(c.key == asset),
        scoped=every.where(c.key > f"{asset}[", c.key < f"{asset}\\").order_by(c.key),
        open=every.where(among(c.state, _NOT_CLOSED)),
    )


def _batches(asset: str, partition: str | None) -> Subquery:
    c = tables.batches.c
    here: list[ColumnElement[bool]] = [c.asset == asset]
    if partition is not None:
        here.append(c.place == place(partition))
    newest = select(tables.batches).where(*here).order_by(c.sequence.desc())
    return _parts(
        waiting=newest.where(among(c.status, WAITING)).limit(LISTED),
        newest=newest.limit(1),
        published=newest.where(c.status == Status.PUBLISHED.value).limit(1),
    )


def _outputs(asset: str, partition: str | None) -> Subquery:
    c = tables.outputs.c
    newest = select(tables.outputs).order_by(collected(c.number).desc())
    own = newest.where(c.asset == asset)
    if partition is not None:
        own = own.where(c.place == place(partition))
    return _parts(
        own=own.where(among(c.status, CURRENT)).limit(1),
        fallen=newest.where(among(c.status, FALLEN)).limit(LISTED),
    )


def piles(connection: Connection, asset: str | None, limit: int) -> list[Pile]:
    """As `ports.Ledger.piles`. Only what is listed is read whole."""
    c = tables.batches.c
    pile = (c.breaker_key, c.status, c.outcome, case((micro_batch(c), 1), (time_window(c), 2), else_=0))  # as `core.snapshot.piled`
    waiting = select(
        c.id,
        c.sequence,
        func.row_number().over(partition_by=pile, order_by=c.sequence.desc()).label("nth"),
        func.max(c.sequence).over(partition_by=pile).label("pile"),
        func.count().over(partition_by=pile).label("size"),
        func.min(c.arrived_at).over(partition_by=pile).label("oldest"),
    ).where(among(c.status, WAITING))
    if asset is not None:
        waiting = waiting.where(c.asset == asset)
    each = waiting.subquery("waiting")
    turn = func.row_number().over(order_by=(each.c.nth, each.c.sequence.desc())).label("turn")
    ranked = select(each, turn).subquery("ranked")
    query = select(tables.batches, ranked.c.pile, ranked.c.size, ranked.c.oldest).join(ranked, ranked.c.id == c.id)
    query = query.where(or_(ranked.c.nth == 1, ranked.c.turn <= limit)).order_by(ranked.c.pile.desc(), c.sequence.desc())
    rows = connection.execute(query).mappings()
    return [
        Pile(own[0]["size"], own[0]["oldest"], tuple(from_row(Batch, row) for row in own))
        for own in (list(group) for _, group in groupby(rows, key=lambda row: row["pile"]))
    ]


def given(connection: Connection, consumer: str, at: datetime, requested: str | None) -> list[Decision]:
    """As `ports.Ledger.given`."""
    c = tables.decisions.c
    until = (c.consumer == consumer, c.decided_at <= at)
    asked = until if requested is None else (*until, c.requested == place(requested))
    last = select(c.run_id, c.step, c.attempt).where(*asked).order_by(c.decided_at.desc(), c.number.desc()).limit(1).subquery()
    step = and_(c.run_id == last.c.run_id, c.step == last.c.step, c.attempt == last.c.attempt)
    rows = connection.execute(select(tables.decisions).join(last, step).where(*until).order_by(c.number)).mappings()
    return [
        Decision(StepKey(row["run_id"], row["step"], row["attempt"]), consumer, from_json(Route, row["route"]), row["decided_at"])
        for row in rows
    ]


def incident(connection: Connection, key: str, number: int, limit: int) -> Incident:
    """As `ports.Ledger.incident`."""
    c, (first, last) = tables.events.c, halves(limit)
    nth, size = func.row_number().over(order_by=c.sequence).label("nth"), func.count().over().label("size")
    each = select(c.number, c.type, nth, size).where(c.key == key, c.incident == number).subquery("each")
    told = or_(each.c.nth <= first, each.c.nth > each.c.size - last, each.c.type == EventType.BREAKER_CLOSED.value)
    query = select(tables.events, each.c.size).join(each, each.c.number == c.number).where(told).order_by(each.c.nth)
    rows = connection.execute(query).mappings().all()
    return Incident(tuple(from_row(Event, row) for row in rows), rows[0]["size"] - len(rows) if rows else 0)
