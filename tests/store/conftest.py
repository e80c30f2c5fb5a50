"""The three stores, each empty and ready."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dagster_contracts.ports import Store
from dagster_contracts.store.memory import MemoryStore
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.upgrade import upgrade


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The url of an empty, migrated database."""
    found: str = f"sqlite:///{tmp_path}/contracts/store.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    upgrade(found)
    return found


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Store]:
    """Opens the same empty store with a clock of your choice."""
    if request.param == "memory":
        return MemoryStore
    if request.param == "sqlite":
        return partial(SqlStore, f"sqlite:///{tmp_path}/contracts/store.db")
    url: str = request.getfixturevalue("postgres_url")
    upgrade(url)
    return partial(SqlStore, url)


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()
