"""The stores, each empty and ready: in memory, on SQLite, on every version of PostgreSQL that is here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dagster_contracts.ports import Store
from dagster_contracts.store.memory import MemoryStore
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.upgrade import upgrade
from tests.servers import VERSIONS, Server


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The url of an empty, migrated database."""
    found: str = f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    upgrade(found)
    return found


@pytest.fixture(params=["memory", "sqlite", *(f"postgres {version}" for version in VERSIONS)])
def open_store(request: pytest.FixtureRequest, tmp_path: Path, server_of: Callable[[int], Server]) -> Callable[..., Store]:
    """Opens the same empty store with a clock of your choice."""
    kind, _, version = request.param.partition(" ")
    if kind == "memory":
        return MemoryStore
    if kind == "sqlite":
        return partial(SqlStore, f"sqlite:///{tmp_path}/store.db")
    server = server_of(int(version))
    return partial(SqlStore, server.url(server.emptied()))


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()
