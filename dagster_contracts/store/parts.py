"""What is kept of the micro-batches of time windows that are not over: see core/windows.py."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Dialect, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from dagster_contracts.core.windows import Part
from dagster_contracts.store import reading, tables
from dagster_contracts.store.statement import Statement, Values

_parts = tables.parts.columns


def row(part: Part) -> Values:
    """For `KEPT`. A micro-batch has one part, however often it is judged."""
    return {
        "batch_id": part.batch_id,
        "key": part.key,
        "ends_at": part.ends_at,
        "contract_version": part.contract_version,
        "document": zlib.compress(json.dumps(part.document, separators=(",", ":")).encode("ascii"), 1),
    }


def _keeping(dialect: Dialect) -> Any:
    insert = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
    statement = insert(tables.parts).values({column.name: bindparam(column.name, type_=column.type, required=True) for column in _parts})
    changed = {column.name: statement.excluded[column.name] for column in _parts if column.name != "batch_id"}
    return statement.on_conflict_do_update(index_elements=["batch_id"], set_=changed)


def _over(dialect: Dialect) -> Any:
    """Asked before every micro-batch: the database's own time saves a question."""
    moment = func.coalesce(bindparam("until", type_=tables.Instant(), required=True), reading.clock(dialect))
    own = _parts.key == bindparam("key", type_=tables.Key, required=True)
    return select(*(_parts[name] for name in _READ)).where(own, _parts.ends_at <= moment).order_by(_parts.ends_at, _parts.batch_id)


_READ = ("batch_id", "key", "ends_at", "contract_version", "document")
KEPT, OVER = Statement(_keeping), Statement(_over)


def read(rows: Sequence[Sequence[Any]]) -> list[Part]:
    """From the rows of `OVER`."""
    return [
        Part(batch_id, key, ends_at, version, json.loads(zlib.decompress(document))) for batch_id, key, ends_at, version, document in rows
    ]


def drop(connection: Connection, key: str, ends_at: datetime) -> None:
    connection.execute(delete(tables.parts).where(_parts.key == key, _parts.ends_at == ends_at))
