"""Which breakers have heard nothing for too long, asked for all that are watched at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Column, Dialect
from sqlalchemy.types import String

from dagster_contracts.core.deliveries import Quiet
from dagster_contracts.core.verdict import Arrival
from dagster_contracts.ports import Watched
from dagster_contracts.store import tables
from dagster_contracts.store.lists import field, listed, selected, texts
from dagster_contracts.store.statement import Statement, Values, instant_text

_BOUNDS = [each.name for each in fields(Quiet)]
_ARRIVALS = 10  # as `ports.Ledger.arrivals` gives


def values(watched: Sequence[Watched]) -> Values:
    """For `SILENT`: those with the same bounds together, as most are. Without what is not there, which reads as NULL.

    Keys of scopes lie between "asset[dimension=" and that with the character after "=".
    """
    groups: dict[Quiet, dict[str, Any]] = {}
    for each in watched:
        group = groups.get(each.quiet)
        if group is None:
            bounds = {name: instant_text(bound) for name in _BOUNDS if (bound := getattr(each.quiet, name)) is not None}
            group = groups[each.quiet] = {**bounds, "assets": [], "scopes": []}
        if each.scope == "asset":
            group["assets"].append(each.asset)
        else:
            start = f"{each.asset}[{each.scope}"
            group["scopes"].append({"asset": each.asset, "low": f"{start}=", "high": f"{start}>"})
    return {"watched": json.dumps(list(groups.values()))}


def found(rows: Sequence[Sequence[Any]]) -> list[tuple[str, Arrival]]:
    return [(key, Arrival(at, window_end)) for key, at, window_end in rows]


def _silent(dialect: Dialect) -> Any:
    """The latest delivery is the first arrival of the newest window; where there are no windows, the newest arrival.

    The asset is a range of one, and the order begins with it: only the index of assets gives that. Were it an equation, PostgreSQL would
    walk through the batches of all assets, newest first, wherever its statistics know but a few that have nearly all.
    """
    bounds = ", ".join(f"{_moment(dialect, field(dialect, 'w', name))} AS bound_{name}" for name in _BOUNDS)
    lists = ", ".join(f"{field(dialect, 'w', name)} AS {name}" for name in ("assets", "scopes"))
    groups = f"SELECT {bounds}, {lists} FROM {listed(dialect, ':watched', 'w')}"
    told = ", ".join(f"g.bound_{name}" for name in _BOUNDS)
    whole = f"SELECT b.key AS key, b.key AS asset, {told} FROM groups AS g JOIN {texts(dialect, 'g.assets', 'a')}"
    asset, low, high = (field(dialect, "s", name) for name in ("asset", "low", "high"))
    parts = f"SELECT b.key, {asset}, {told} FROM groups AS g JOIN {listed(dialect, 'g.scopes', 's')}"
    on = "" if dialect.name == "sqlite" else " ON true"
    newest = (
        "SELECT c.id, c.arrived_at, c.ends_at, c.sequence FROM contracts_batches AS c "
        "WHERE c.asset >= k.asset AND c.asset <= k.asset AND c.breaker_key = k.key AND c.head "
        f"ORDER BY c.asset DESC, c.sequence DESC LIMIT {_ARRIVALS}"
    )
    first = "t.ends_at DESC NULLS LAST, CASE WHEN t.ends_at IS NULL THEN -t.sequence ELSE t.sequence END"
    one = f"FROM ({newest}) AS t ORDER BY {first} LIMIT 1"
    joined = f"contracts_batches AS d ON d.id = (SELECT t.id {one})"
    if dialect.name != "sqlite":  # where a join by id may be made for all at once, with every batch there is
        joined = f"LATERAL (SELECT t.* {one}) AS d ON true"
    latest = f"SELECT k.*, d.arrived_at AS came, d.ends_at AS ends FROM known AS k JOIN {joined}"
    asked = "came < bound_since OR (ends IS NULL AND came < bound_day) OR ends < bound_window"
    return selected(
        f"WITH groups AS MATERIALIZED ({groups}), known AS ("
        f"{whole}{on} JOIN contracts_breakers AS b ON b.key = a.value UNION ALL "
        f"{parts}{on} JOIN contracts_breakers AS b ON b.key > {low} AND b.key < {high}), "
        f"latest AS MATERIALIZED ({latest}) SELECT key, came, ends FROM latest WHERE {asked} ORDER BY key",
        [Column("key", tables.Key), Column("came", tables.Instant()), Column("ends", tables.Instant())],
        watched=String(),
    )


def _moment(dialect: Dialect, told: str) -> str:
    return told if dialect.name == "sqlite" else f"CAST({told} AS TIMESTAMP WITH TIME ZONE)"


SILENT = Statement(_silent)
