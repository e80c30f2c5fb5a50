"""What could be made anew: outputs of which no input is still refused, and what there is to decide by whether all are fresh.

Both are asked for all outputs and all places at once, so that a tick of the sensor asks as often for ten thousand as for one. Which places
an output asked for is kept beside its `inputs`: those quote data, and PostgreSQL cannot look into JSON with characters that it has no text
for (NUL, lone surrogates).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, Dialect, Integer
from sqlalchemy.types import String

from dagster_contracts.core.ledger import FALLEN, Batch, Output
from dagster_contracts.core.snapshot import Grounds, Snapshot
from dagster_contracts.core.state import Breaker, asset_of
from dagster_contracts.ports import Asked
from dagster_contracts.store import tables
from dagster_contracts.store.lists import field, listed, selected
from dagster_contracts.store.rows import from_row, place
from dagster_contracts.store.statement import Statement, Values
from dagster_contracts.store.succession import ALIVE, CURRENT, place_of

Rows = Sequence[Sequence[Any]]
_OUTPUT = [each.name for each in fields(Output)]
_BATCH = [each.name for each in fields(Batch) if each.name != "verdict"]


def _words(statuses: Sequence[str]) -> str:
    return ", ".join(f"'{status}'" for status in statuses)


# --- which outputs -------------------------------------------------------------------------------------------------


def asked_by(output: Output) -> str:
    """What is kept of an output's inputs for `HEALABLE`. A breaker of another asset is where the trouble came from; it does not count."""
    kept = []
    for item in output.inputs:
        own = item.breaker_key is not None and asset_of(item.breaker_key) == item.upstream
        key = item.breaker_key if own else item.upstream
        kept.append({"asset": item.upstream, "place": place(item.requested.key), "kind": item.kind, "key": key})
    return json.dumps(kept)


def _healable(dialect: Dialect) -> Any:
    """What rules an input out: an upstream output that is fallen itself; a breaker whose batch of this place is refused, or has never come
    where it was waited for; an open breaker over live data. Whether a breaker counts as open at present, and all else, is core's to say."""
    asset, here, kind, key = (field(dialect, "i", name) for name in ("asset", "place", "kind", "key"))
    batch = f"SELECT 1 FROM contracts_batches AS c WHERE c.asset = {asset} AND c.place = {here}"
    published = f"EXISTS ({batch} AND c.status = 'published')"
    fallen = f"SELECT 1 FROM contracts_outputs AS u WHERE u.asset = {asset} AND u.place = {here} AND u.status IN ({_words(FALLEN)})"
    refused = f"b.key IS NOT NULL AND NOT {published} AND ({kind} = 'halted' OR EXISTS ({batch}))"
    is_open = f"b.state IN ('open', 'half_open') AND b.override IS NULL AND ({here} = '' OR NOT {published})"
    ruled_out = (
        f"SELECT 1 FROM {listed(dialect, 'o.asked', 'i')} LEFT JOIN contracts_breakers AS b ON b.key = {key} "
        f"WHERE EXISTS ({fallen}) OR ({refused}) OR ({is_open})"
    )
    wanted = f"o.asset IN (SELECT {field(dialect, 'w', 'asset')} FROM {listed(dialect, ':assets', 'w')})"
    sql = (
        f"SELECT {', '.join(f'o.{name}' for name in _OUTPUT)} FROM contracts_outputs AS o "
        f"WHERE o.status IN ({_words(FALLEN)}) AND (:every OR {wanted}) AND NOT EXISTS ({ruled_out}) ORDER BY o.number DESC LIMIT :limit"
    )
    return selected(sql, [tables.outputs.c[name] for name in _OUTPUT], assets=String(), every=Boolean(), limit=Integer())


HEALABLE = Statement(_healable)


def values(assets: Sequence[str] | None, limit: int) -> Values:
    return {"assets": json.dumps([{"asset": asset} for asset in assets or ()]), "every": assets is None, "limit": limit}


def outputs(rows: Rows) -> list[Output]:
    return [from_row(Output, dict(zip(_OUTPUT, row, strict=True))) for row in rows]


# --- their grounds -------------------------------------------------------------------------------------------------


def _pairs(dialect: Dialect) -> tuple[str, str, str]:
    return listed(dialect, ":asked", "a"), field(dialect, "a", "asset"), field(dialect, "a", "place")


def _newest(rows: str, status: str, statuses: Sequence[str], order: str) -> str:
    """The newest of each status, for PostgreSQL. Joined for all places at once, it may read a whole table instead."""
    return " UNION ALL ".join(f"({rows} AND {status} = '{each}' ORDER BY {order} LIMIT 1)" for each in statuses)


def _alive(dialect: Dialect) -> Any:
    """At least one row for each place that is asked for: whether anything was ever judged there, and what is alive."""
    each, asset, here = _pairs(dialect)
    judged = f"(SELECT 1 FROM contracts_batches AS c WHERE c.asset = {asset} AND c.place = {here} ORDER BY c.status LIMIT 1) IS NOT NULL"
    named = ", ".join(f"b.{name}" for name in _BATCH)
    of_the_place = f"b.asset = {asset} AND b.place = {here}"
    alive = f"LEFT JOIN contracts_batches AS b ON {of_the_place} AND b.status IN ({_words(ALIVE)})"
    if dialect.name != "sqlite":
        newest = _newest(f"SELECT * FROM contracts_batches AS b WHERE {of_the_place}", "b.status", ALIVE, "b.sequence DESC")
        alive = f"LEFT JOIN LATERAL ({newest}) AS b ON true"
    sql = f"SELECT {asset}, {here}, {judged}, {named} FROM {each} {alive}"
    own: list[Column[Any]] = [Column("asset", tables.Key), Column("place", tables.Key), Column("judged", Boolean())]
    return selected(sql, [*own, *(tables.batches.c[name] for name in _BATCH)], asked=String())


def _current(dialect: Dialect) -> Any:
    each, asset, here = _pairs(dialect)
    named = ", ".join(f"o.{name}" for name in ("place", *_OUTPUT))
    current = f"JOIN contracts_outputs AS o ON o.asset = {asset} AND o.place = {here} AND o.status IN ({_words(CURRENT)})"
    if dialect.name != "sqlite":
        own = f"SELECT * FROM contracts_outputs AS o WHERE o.asset = {asset} AND o.place >= {here} AND o.place <= {here}"
        current = f"JOIN LATERAL ({_newest(own, 'o.status', CURRENT, 'o.place DESC, o.number DESC')}) AS o ON true"
    sql = f"SELECT {named} FROM {each} {current} ORDER BY o.number"
    return selected(sql, [tables.outputs.c[name] for name in ("place", *_OUTPUT)], asked=String())


BATCHES, OUTPUTS = Statement(_alive), Statement(_current)


def asked_for(asked: Sequence[Asked]) -> Values:
    """For `BATCHES` and `OUTPUTS`."""
    places = dict.fromkeys((each.asset, place(each.partition.key)) for each in asked)
    return {"asked": json.dumps([{"asset": asset, "place": here} for asset, here in places])}


def grounds(asked: Sequence[Asked], at: datetime, breakers: Sequence[Breaker], batches: Rows, outputs: Rows) -> list[Grounds]:
    """From the breakers of the keys, and the rows of `BATCHES` and `OUTPUTS`."""
    of_key = {breaker.key: breaker for breaker in breakers}
    made = {(row[2], row[0]): from_row(Output, dict(zip(_OUTPUT, row[1:], strict=True))) for row in outputs}  # the newest comes last
    judged = {(row[0], row[1]): bool(row[2]) for row in batches}
    alive: dict[tuple[str, str], list[Batch]] = {}
    for row in batches:
        if row[3] is not None:
            alive.setdefault((row[0], row[1]), []).append(from_row(Batch, dict(zip(_BATCH, row[3:], strict=True)), verdict=None))
    found = []
    for each in asked:
        here = (each.asset, place(each.partition.key))
        live = place_of(alive.get(here, ()))
        snapshot = Snapshot(at, of_key.get(each.key), None, live.published, live.publishing, live.refused, judged=judged[here])
        found.append(Grounds(snapshot, made.get(here)))
    return found
