"""Kept profiles: how they are written, and which of them a batch is compared with."""

from __future__ import annotations

import json
import zlib
from typing import Any

from sqlalchemy import Connection, Dialect, Select, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from dagster_contracts.core.ledger import Partition
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.plan import GoodPartition, LastGood
from dagster_contracts.core.profile import Profile, profile_from_json, profile_to_json
from dagster_contracts.core.references import GoodProfile, KeptProfile
from dagster_contracts.store import tables
from dagster_contracts.store.reading import published_on_merit
from dagster_contracts.store.rows import from_json, place
from dagster_contracts.store.statement import Statement, Values

_batches = tables.batches.columns
_profiles = tables.profiles.columns


def row(kept: KeptProfile) -> Values:
    """For `KEPT`, before its batch is saved, which then says whether it is good."""
    return {
        "batch_id": kept.batch_id,
        "of_column": _named(kept.metric),
        "categorical": kept.metric.categorical,
        "good": False,
        "profile": _packed(kept.profile),
    }


def _keeping(dialect: Dialect) -> Any:
    insert = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
    given = {column.name: bindparam(column.name, type_=column.type, required=True) for column in tables.profiles.columns}
    statement = insert(tables.profiles).values(given)
    same = ["batch_id", "of_column", "categorical"]
    return statement.on_conflict_do_update(index_elements=same, set_={"profile": statement.excluded.profile})


def _judging(dialect: Dialect) -> Any:
    """Whether the profiles of a batch are those of a good one. What was good stays so when it is replaced."""
    own = _profiles.batch_id == bindparam("batch_id", type_=tables.Key, required=True)
    return update(tables.profiles).where(own).values(good=bindparam("good", type_=_profiles.good.type, required=True))


def good(
    connection: Connection,
    reference: LastGood | GoodPartition,
    metric: ProfileOf,
    key: str,
    asset: str,
    partition: Partition,
    batch_id: str | None,
) -> list[GoodProfile]:
    """As `ports.Ledger.profiles`."""
    query = (
        select(_profiles.profile, _batches.partition, _batches.arrived_at)
        .join(tables.batches, _batches.id == _profiles.batch_id)
        .where(_profiles.of_column == _named(metric), _profiles.categorical == metric.categorical)
    )
    if batch_id is not None:
        query = query.where(_batches.id != batch_id)
    rows = connection.execute(_narrowed(query, reference, key, asset, partition, batch_id))
    return [GoodProfile(_unpacked(packed), from_json(Partition, at), arrived) for packed, at, arrived in rows]


def _narrowed(
    query: Select[Any], reference: LastGood | GoodPartition, key: str, asset: str, partition: Partition, batch_id: str | None
) -> Select[Any]:
    if isinstance(reference, GoodPartition):
        here = query.where(_batches.asset == asset, _batches.place == place(reference.partition), *published_on_merit())
        return here.order_by(_batches.sequence.desc()).limit(1)
    if partition.end is not None:
        earlier = query.where(_batches.breaker_key == key, _batches.ends_at < partition.end, *published_on_merit())
        return earlier.order_by(_batches.ends_at.desc(), _batches.sequence.desc()).limit(reference.batches)
    own = select(_batches.sequence).where(_batches.id == batch_id).scalar_subquery()
    here = query.where(_batches.asset == asset, _batches.place == place(partition.key), _profiles.good)
    if batch_id is not None:
        here = here.where((_batches.sequence < own) | own.is_(None))
    return here.order_by(_batches.sequence.desc()).limit(reference.batches)


def _named(metric: ProfileOf) -> str:
    return json.dumps(metric.column)  # a column may be called anything, and PostgreSQL's text cannot hold every character


def _packed(profile: Profile) -> bytes:
    return zlib.compress(json.dumps(profile_to_json(profile), separators=(",", ":")).encode("ascii"))


def _unpacked(packed: bytes) -> Profile:
    return profile_from_json(json.loads(zlib.decompress(packed)))


KEPT, JUDGED = Statement(_keeping), Statement(_judging)
