"""What is kept of the micro-batches of time windows that are not over: see core/windows.py."""

from __future__ import annotations

import json
import zlib
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Dialect, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from dagster_contracts.core.windows import Part
from dagster_contracts.store import tables
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


KEPT = Statement(_keeping)


def until(connection: Connection, key: str, moment: datetime) -> list[Part]:
    query = select(tables.parts).where(_parts.key == key, _parts.ends_at <= moment).order_by(_parts.ends_at, _parts.batch_id)
    return [
        Part(row["batch_id"], row["key"], row["ends_at"], row["contract_version"], json.loads(zlib.decompress(row["document"])))
        for row in connection.execute(query).mappings()
    ]


def drop(connection: Connection, key: str, ends_at: datetime) -> None:
    connection.execute(delete(tables.parts).where(_parts.key == key, _parts.ends_at == ends_at))
