"""Every SELECT of the store, as functions of a connection inside a transaction. Nothing here writes or takes a lock."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    Integer,
    Select,
    Subquery,
    Text,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal_column,
    null,
    select,
    true,
    type_coerce,
    union_all,
)
from sqlalchemy.types import TypeEngine

from dagster_contracts.core.contract import BreakerPolicy, Confidence
from dagster_contracts.core.ledger import FALLEN, Batch, Output, Partition, Review, Route, Status, StepKey
from dagster_contracts.core.snapshot import Grounds, Snapshot
from dagster_contracts.core.state import Breaker, Transition, asset_of
from dagster_contracts.core.verdict import ACCEPTED, Arrival
from dagster_contracts.core.windows import STREAM, WINDOW
from dagster_contracts.store import tables
from dagster_contracts.store.rows import dimensions, from_json, from_row, place
from dagster_contracts.store.statement import Statement, Values, among, word
from dagster_contracts.store.succession import ALIVE, CURRENT, REFUSED, WAITING, place_of

Rows = Sequence[Sequence[Any]]
_batches = tables.batches.columns
_BREAKER, _UNTOLD, _OUTPUT = ([each.name for each in fields(kind) if each.name != "verdict"] for kind in (Breaker, Batch, Output))
_BATCH = [*_UNTOLD, "verdict"]


def now(connection: Connection) -> datetime:
    """The database's clock; on PostgreSQL the start of the transaction."""
    if connection.dialect.name == "sqlite":
        return datetime.fromisoformat(connection.execute(select(func.strftime("%Y-%m-%dT%H:%M:%fZ", "now"))).scalar_one())
    return connection.execute(select(func.now())).scalar_one().astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Look:
    """What is asked about one partition of an asset, and about its breaker."""

    key: str
    asset: str
    partition: Partition
    batch_id: str | None = None
    step: StepKey | None = None

    @property
    def values(self) -> Values:
        step = self.step
        return {
            "key": self.key,
            "asset": self.asset,
            "place": place(self.partition.key),
            "dimensions": dimensions(self.partition),
            "end": self.partition.end,
            "batch_id": self.batch_id,
            "run_id": step and step.run_id,
            "step": step and step.step,
            "attempt": step and step.attempt,
        }


def snapshot(rows: Rows, look: Look, at: datetime | None) -> Snapshot:
    """From the rows of `SNAPSHOT`. `at`: the time by another clock than the database's."""
    (found_at, ends_at), ever, breaker, found = _of(rows, 2)
    return _snapshot(look, at or found_at, breaker, found, ends_at, ever)


def grounds(rows: Rows, look: Look, at: datetime | None) -> Grounds:
    """From the rows of `GROUNDS`."""
    (found_at, kept, *output), ever, breaker, found = _of(rows, 2 + len(_OUTPUT))
    return Grounds(
        snapshot=_snapshot(look, at or found_at, breaker, found, None, ever),
        output=None if output[0] is None else from_row(Output, dict(zip(_OUTPUT, output, strict=True))),
        kept=None if kept is None else from_json(Route, kept),
    )


def good_before(rows: Rows) -> list[Batch]:
    """From the rows of `GOOD_BEFORE`."""
    return [from_row(Batch, dict(zip(_UNTOLD, row, strict=True)), verdict=None) for row in rows]


def _of(rows: Rows, own: int) -> tuple[Sequence[Any], bool, Breaker | None, list[tuple[str, Batch]]]:
    """A view's rows in four: what is its own, whether the place was ever judged, the breaker, and the batches, each with why."""
    first, start = rows[0], own + 1
    breaker = None if first[start] is None else _breaker(first[start : start + len(_BREAKER)])
    role = start + len(_BREAKER)
    found = [(row[role], from_row(Batch, dict(zip(_BATCH, row[role + 1 :], strict=True)))) for row in rows if row[role] is not None]
    return first[:own], bool(first[own]), breaker, found


def _snapshot(
    look: Look, at: datetime, breaker: Breaker | None, found: Sequence[tuple[str, Batch]], ends_at: datetime | None, ever: bool
) -> Snapshot:
    live = place_of(batch for role, batch in found if role == "alive")
    last_good = next((batch for role, batch in found if role == "last_good"), None)
    if look.partition.end is None and live.published is not None and live.published.last_good:
        last_good = live.published
    return Snapshot(
        now=at,
        breaker=breaker,
        batch=next((batch for role, batch in found if role == "asked"), None),
        published=live.published,
        publishing=live.publishing,
        refused=live.refused,
        last_good=last_good,
        newest_published_end=ends_at,
        judged=ever,
    )


def _breaker(row: Sequence[Any]) -> Breaker:
    found = dict(zip(_BREAKER, row, strict=True))
    return from_row(Breaker, found, policy=_policy(found["policy"]))


@lru_cache(maxsize=1024)
def _policy(document: str) -> BreakerPolicy:
    """Policies are long, change rarely, and are read for every decision."""
    found: BreakerPolicy = from_json(BreakerPolicy, json.loads(document))
    return found


def collected(number: ColumnElement[int]) -> ColumnElement[int]:
    """The order of `number` where few rows are to be sorted: no index serves it, so that nobody walks the whole table in that order."""
    return number + literal_column("0", Integer)


def alone(column: ColumnElement[str], value: str) -> ColumnElement[bool]:
    """`column` is `value`, as a range. Ordered by the column first, rows come in their order from an index that begins with it only.

    Of an equality PostgreSQL knows that it bears nothing on the order, and may walk the whole table's newest rows instead.
    """
    return (column >= value) & (column <= value)


def _given(name: str, kind: TypeEngine[Any]) -> BindParameter[Any]:
    return bindparam(name, type_=kind, required=True)


def clock(dialect: Dialect) -> ColumnElement[datetime]:
    """The database's time; on PostgreSQL that of the start of the transaction."""
    if dialect.name == "sqlite":
        return type_coerce(func.strftime("%Y-%m-%dT%H:%M:%fZ", "now"), tables.Instant())
    return type_coerce(func.now(), tables.Instant())


def _bearing(*, asked: bool) -> Subquery:
    """The batches that bear on a partition, each with why. Verdicts, which may be long, only of what is asked for or was refused."""
    here = (_batches.asset == _ASSET, _batches.place == _PLACE)
    untold = [_batches[name] for name in _UNTOLD]
    good = _good_before().limit(_ONE).subquery()
    blank = cast(null(), tables.Document).label("verdict")
    parts = [select(literal_column("'last_good'").label("role"), *(good.c[name] for name in _UNTOLD), blank)]
    for status in ALIVE:  # the newest of each: what a place was filled with before, and never ended, costs nothing
        verdict = _batches.verdict if status in REFUSED else cast(null(), tables.Document)
        newest = select(*untold, verdict.label("verdict")).where(*here, _batches.status == word(status))
        found = newest.order_by(_batches.sequence.desc()).limit(_ONE).subquery()
        parts.append(select(literal_column("'alive'"), *found.c))
    if asked:
        of_id = _batches.id == _given("batch_id", tables.Key)
        parts.append(select(literal_column("'asked'"), *untold, _batches.verdict).where(of_id))
    return union_all(*parts).subquery("bearing")


def _view(own: Sequence[ColumnElement[Any]], *joined: Subquery, asked: bool) -> Select[Any]:
    """One row for each batch that bears on a partition, at least one; each begins with `own`, then the breaker."""
    columns, bearing = tables.breakers.columns, _bearing(asked=asked)
    breaker = [type_coerce(columns.policy, tables.Key) if name == "policy" else columns[name] for name in _BREAKER]
    # Not EXISTS, which leaves the order out: with it an index finds one row, or none; without it a scan may look through all.
    here = select(_ONE).where(_batches.asset == _ASSET, _batches.place == _PLACE)
    judged = here.order_by(_batches.status).limit(_ONE).scalar_subquery().is_not(None)
    one = select(literal_column("1").label("one")).subquery("one")
    source: FromClause = one.outerjoin(tables.breakers, columns.key == _given("key", tables.Key))
    for each in (*joined, bearing):
        source = source.outerjoin(each, true())
    return select(*own, judged.label("judged"), *breaker, bearing).select_from(source)


def _whole_snapshot(dialect: Dialect) -> Select[Any]:
    of_breaker = (_batches.breaker_key == _given("key", tables.Key), _batches.status == word(Status.PUBLISHED))
    newest_end = select(func.max(_batches.ends_at)).where(*of_breaker).scalar_subquery()
    return _view([clock(dialect), newest_end], asked=True)


def _whole_grounds(dialect: Dialect) -> Select[Any]:
    decided, made = tables.decisions.columns, tables.outputs.columns
    of_step = [decided[name] == _given(name, decided[name].type) for name in ("run_id", "step", "attempt")]
    kept = select(decided.route).where(*of_step, decided.upstream == _ASSET, decided.requested == _PLACE)
    here = (made.asset == _ASSET, made.place == _PLACE, among(made.status, CURRENT))
    current = select(*(made[name] for name in _OUTPUT)).where(*here).order_by(collected(made.number).desc()).limit(_ONE).subquery("made")
    first = kept.order_by(collected(decided.number)).limit(_ONE).scalar_subquery()
    return _view([clock(dialect), first, *current.c], current, asked=False)


def published_on_merit() -> tuple[ColumnElement[bool], ...]:
    """`Batch.last_good`, in SQL."""
    return (
        _batches.status == word(Status.PUBLISHED),
        among(_batches.outcome, ACCEPTED),
        _batches.confidence == word(Confidence.FULL),
        _batches.released.is_(None),
    )


def _good_before() -> Select[Any]:
    """What may be last good, the newest first: of earlier windows over which nothing newer is being published. Without verdicts."""
    newer = tables.batches.alias("newer")
    overwritten = exists().where(
        newer.c.asset == _batches.asset,
        newer.c.place == _batches.place,
        newer.c.status == word(Status.PUBLISHING),
        newer.c.sequence > _batches.sequence,
    )
    return (
        select(*(_batches[name] for name in _UNTOLD))
        .where(
            _batches.asset == _ASSET,
            _batches.dimensions == _given("dimensions", tables.Key),
            _batches.ends_at < _given("end", tables.Instant()),
            *published_on_merit(),
            ~overwritten,
        )
        .order_by(_batches.ends_at.desc(), _batches.sequence.desc())
    )


def micro_batch(columns: Any) -> ColumnElement[bool]:
    """`core.windows.is_micro_batch`, in SQL."""
    return and_(columns.data_version == STREAM, columns.run_id == columns.place, columns.place != "")


def time_window(columns: Any) -> ColumnElement[bool]:
    """`core.windows.is_window`, in SQL."""
    return and_(columns.data_version == STREAM, columns.run_id == WINDOW)


def breakers(connection: Connection, keys: Sequence[str] | None, asset: str | None = None) -> list[Breaker]:
    columns = tables.breakers.columns
    key, policy = columns.key, cast(columns.policy, Text).label("policy")
    query = select(*(policy if name == "policy" else columns[name] for name in _BREAKER)).order_by(key)
    if keys is not None:
        query = query.where(key.in_(keys))
    if asset is not None:  # "[" and the character after it bound the keys of scopes
        query = query.where((key == asset) | (key > f"{asset}[") & (key < f"{asset}\\"))
    return [from_row(Breaker, row, policy=_policy(row["policy"])) for row in connection.execute(query).mappings()]


def transitions(connection: Connection, key: str, limit: int) -> list[Transition]:
    columns = tables.transitions.columns
    query = select(tables.transitions).where(alone(columns.key, key)).order_by(columns.key.desc(), columns.number.desc()).limit(limit)
    return [from_row(Transition, row) for row in connection.execute(query).mappings()]


def batch(connection: Connection, batch_id: str) -> Batch | None:
    row = connection.execute(select(tables.batches).where(_batches.id == batch_id)).mappings().one_or_none()
    return None if row is None else from_row(Batch, row)


def batches(connection: Connection, asset: str | None, partition: str | None, statuses: Sequence[str], limit: int) -> list[Batch]:
    query = select(tables.batches).order_by(_batches.sequence.desc()).limit(limit)
    if asset is not None:
        query = query.where(_batches.asset == asset)
    elif not statuses or not set(statuses) <= set(WAITING):
        query = query.where(_batches.sequence > literal_column("0", Integer))  # by arrival: there are many of these
    if partition is not None:
        query = query.where(_batches.place == place(partition))
    if statuses:
        query = query.where(among(_batches.status, statuses))
    return [from_row(Batch, row) for row in connection.execute(query).mappings()]


def places(connection: Connection, asset: str, start: str, end: str, statuses: Sequence[str], limit: int) -> list[str]:
    query = select(_batches.place).distinct().where(_batches.asset == asset, _batches.place >= start, _batches.place < end)
    if statuses:
        query = query.where(_batches.status.in_([str(status) for status in statuses]))
    return list(connection.execute(query.order_by(_batches.place).limit(limit)).scalars())


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
    row = connection.execute(query.order_by(collected(columns.number).desc()).limit(1)).mappings().one_or_none()
    return None if row is None else from_row(Output, row)


def outputs(connection: Connection, statuses: Sequence[str], asset: str | None, limit: int) -> list[Output]:
    columns = tables.outputs.columns
    query = select(tables.outputs).limit(limit)
    if asset is not None:
        query = query.where(alone(columns.asset, asset)).order_by(columns.asset.desc(), columns.number.desc())
    else:
        few = statuses and set(statuses) <= set(FALLEN)
        query = query.order_by((collected(columns.number) if few else columns.number).desc())
    if statuses:
        query = query.where(columns.status.in_([str(status) for status in statuses]))
    return [from_row(Output, row) for row in connection.execute(query).mappings()]


def reviews(connection: Connection, statuses: Sequence[str], asset: str | None, limit: int) -> list[Review]:
    columns = tables.reviews.columns
    query = select(tables.reviews).limit(limit)
    if asset is not None:
        query = query.where(alone(columns.asset, asset)).order_by(columns.asset.desc(), columns.number.desc())
    else:
        query = query.order_by(columns.number.desc())
    if statuses:
        query = query.where(columns.status.in_([str(status) for status in statuses]))
    return [from_row(Review, row) for row in connection.execute(query).mappings()]


def thread(connection: Connection, sink: str, incident: str) -> Mapping[str, Any] | None:
    same = and_(tables.threads.c.sink == sink, tables.threads.c.incident == incident)
    found: Mapping[str, Any] | None = connection.execute(select(tables.threads.c.thread).where(same)).scalar_one_or_none()
    return found


_ONE = literal_column("1", Integer)
_ASSET, _PLACE = _given("asset", tables.Key), _given("place", tables.Key)
SNAPSHOT, GROUNDS = Statement(_whole_snapshot), Statement(_whole_grounds)
GOOD_BEFORE = Statement(lambda dialect: _good_before().limit(_given("limit", Integer())))
