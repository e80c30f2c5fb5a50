"""What a store asks of its database, counted outside of it: PostgreSQL's protocol as libpq traces it, the statements of SQLite."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from sqlalchemy import event

from dagster_contracts.store.sql import SqlStore


@dataclass
class Asked:
    """`trips`: on PostgreSQL how often the server said that it is ready for more, which ends a round trip; on SQLite the statements."""

    trips: int = 0
    said: list[str] = field(default_factory=list)


@contextmanager
def counted(store: SqlStore) -> Iterator[Asked]:
    """Count what this process asks inside the block. The store must have been used before: a first use looks at the tables' version."""
    engine, found = store._database._engine, Asked()
    if engine.dialect.name == "sqlite":

        def executed(*given: Any) -> None:
            found.said.append(given[2])

        event.listen(engine, "before_cursor_execute", executed)
        yield found
        event.remove(engine, "before_cursor_execute", executed)
        found.trips = sum(not statement.startswith("BEGIN") for statement in found.said)
        return
    with tempfile.TemporaryFile("w+") as file:
        traced: list[Any] = []

        def trace(connection: Any, *given: Any) -> None:
            connection.pgconn.trace(file.fileno())
            traced.append(connection)

        event.listen(engine, "checkout", trace)
        yield found
        event.remove(engine, "checkout", trace)
        for connection in traced:
            connection.pgconn.untrace()
        found.said = _lines(file)
    found.trips = sum(line.split("\t")[3] == "ReadyForQuery" for line in found.said)


def _lines(file: IO[str]) -> list[str]:
    file.seek(0)
    return [line for line in file.read().splitlines() if line.count("\t") >= 3]
