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
from dagster_contracts.store.lists import field, listed, selected
from dagster_contracts.store.statement import Statement, Values, instant_text

_BOUNDS = [each.name for each in fields(Quiet)]
_ARRIVALS = 10  # as `ports.Ledger.arrivals` gives


def values(watched: Sequence[Watched]) -> Values:
    """For `SILENT`. Keys of scopes lie between "asset[dimension=" and that with the character after "="."""
    return {"watched": json.dumps([_told(each) for each in watched])}


def _told(watched: Watched) -> dict[str, str]:
    """Without what is not there, which reads as NULL."""
    quiet, told = watched.quiet, {"asset": watched.asset}
    if watched.scope != "asset":
        start = f"{watched.asset}[{watched.scope}"
        told |= {"low": f"{start}=", "high": f"{start}>"}
    if quiet.since is not None:
        told["since"] = instant_text(quiet.since)
    if quiet.day is not None:
        told["day"] = instant_text(quiet.day)
    if quiet.window is not None:
        told["window"] = instant_text(quiet.window)
    return told


def found(rows: Sequence[Sequence[Any]]) -> list[tuple[str, Arrival]]:
    return [(key, Arrival(at, window_end)) for key, at, window_end in rows]


def _silent(dialect: Dialect) -> Any:
    """The latest delivery is the first arrival of the newest window; where there are no windows, the newest arrival.

    The asset is a range of one, and the order begins with it: only the index of assets gives that. Were it an equation, PostgreSQL would
    walk through the batches of all assets, newest first, wherever its statistics know but a few that have nearly all.
    """
    asset, low, high = (field(dialect, "w", name) for name in ("asset", "low", "high"))
    bounds = {name: _moment(dialect, field(dialect, "w", name)) for name in _BOUNDS}
    told = ", ".join(f"{bound} AS bound_{name}" for name, bound in bounds.items())
    each = f"SELECT b.key AS key, {asset} AS asset, {told} FROM {listed(dialect, ':watched', 'w')} JOIN contracts_breakers AS b ON"
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
        f"WITH known AS ({each} b.key = {asset} WHERE {low} IS NULL UNION ALL {each} b.key > {low} AND b.key < {high} "
        f"WHERE {low} IS NOT NULL), latest AS MATERIALIZED ({latest}) SELECT key, came, ends FROM latest WHERE {asked} ORDER BY key",
        [Column("key", tables.Key), Column("came", tables.Instant()), Column("ends", tables.Instant())],
        watched=String(),
    )


def _moment(dialect: Dialect, told: str) -> str:
    return told if dialect.name == "sqlite" else f"CAST({told} AS TIMESTAMP WITH TIME ZONE)"


SILENT = Statement(_silent)
