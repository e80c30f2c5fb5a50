"""The tables' version: how it is reached, and that the migrations and `tables.py` say the same."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Engine, create_engine, inspect, text

import dagster_contracts.store
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.plan import LastGood
from dagster_contracts.core.profile import NumericProfile
from dagster_contracts.core.references import KeptProfile
from dagster_contracts.core.snapshot import Change
from dagster_contracts.store import tables
from dagster_contracts.store.rows import dimensions, to_row
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.tables import VERSION_TABLE, metadata
from dagster_contracts.store.upgrade import REQUIRED_REVISION, REVISIONS, current_revision, downgrade, upgrade
from tests.store.racing import append, race
from tests.store.values import batch, breaker, day, numbered


def test_the_known_revisions_are_those_of_the_migrations() -> None:
    scripts = ScriptDirectory(str(Path(dagster_contracts.store.__file__).parent / "migrations"))
    assert [script.revision for script in reversed(list(scripts.walk_revisions()))] == list(REVISIONS)
    assert scripts.get_current_head() == REQUIRED_REVISION


def test_migrations_make_the_tables_that_the_code_uses(url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
        names = set(inspect(connection).get_table_names())
        assert names == set(metadata.tables) | {VERSION_TABLE}
    engine.dispose()


def test_text_sorts_by_bytes_on_postgres(postgres_url: str) -> None:
    upgrade(postgres_url)
    query = text(
        "SELECT table_name || '.' || column_name FROM information_schema.columns "
        "WHERE table_name LIKE 'contracts_%' AND data_type IN ('text', 'character varying') AND collation_name IS DISTINCT FROM 'C'"
    )
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        assert list(connection.execute(query).scalars()) == []
    engine.dispose()


def test_upgrading_twice_changes_nothing(url: str) -> None:
    append(SqlStore(url), "before")
    assert upgrade(url) == REQUIRED_REVISION == current_revision(url)
    assert SqlStore(url).batch("before") is not None


def test_dagsters_own_version_table_is_left_alone(url: str) -> None:
    """Dagster keeps its revision in `alembic_version`; both may live in one database."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
        metadata.drop_all(connection)
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('dagsters')"))
    upgrade(url)
    append(SqlStore(url), "after")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "dagsters"
    engine.dispose()


def test_breakers_of_the_first_tables_are_kept(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Revision 0002 adds what is overdue."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE IF EXISTS {VERSION_TABLE}"))
        metadata.drop_all(connection)
    monkeypatch.setattr("dagster_contracts.store.upgrade.REQUIRED_REVISION", "0001")
    upgrade(url)
    monkeypatch.undo()
    row = to_row(tables.breakers, breaker("kept", version=1))
    del row["overdue"], row["incident"], row["contents"]
    names = ", ".join(f'"{name}"' for name in row)
    values = list(row.values())
    with engine.begin() as connection:
        marks = ", ".join(f":v{number}" for number in range(len(values)))
        first = {f"v{number}": value for number, value in enumerate(values)}
        connection.execute(text(f"INSERT INTO contracts_breakers ({names}) VALUES ({marks})"), first)
    engine.dispose()
    assert upgrade(url) == REQUIRED_REVISION
    assert list(SqlStore(url).breakers()) == [breaker("kept", version=1)]


def test_batches_of_earlier_tables_are_kept(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Revision 0003 adds profiles: what was judged before has none, and is compared with from its next delivery on."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE IF EXISTS {VERSION_TABLE}"))
        metadata.drop_all(connection)
    monkeypatch.setattr("dagster_contracts.store.upgrade.REQUIRED_REVISION", "0002")
    upgrade(url)
    monkeypatch.undo()
    at = dimensions(day(1))
    row = to_row(tables.batches, batch("before", day(1), sequence=1), place=str(day(1).key), ends_at=day(1).end, dimensions=at)
    with engine.begin() as connection:
        connection.execute(tables.batches.insert().values(_documents(row)))
    engine.dispose()
    assert upgrade(url) == REQUIRED_REVISION
    store = SqlStore(url)
    assert store.batch("before") == batch("before", day(1), sequence=1)
    kept = KeptProfile("before", ProfileOf("amount"), NumericProfile((1.0,), (2,)))
    store.save(Change(batches=(batch("before", day(1), sequence=1),), profiles=(kept,)))
    (found,) = store.profiles(LastGood(1), ProfileOf("amount"), key="feed", asset="feed", partition=day(2))
    assert found.profile == kept.profile


def _documents(row: dict[str, Any]) -> dict[str, Any]:
    """A row for SQLAlchemy's own types, which write JSON themselves."""
    kinds = {name: tables.batches.c[name].type for name in row}
    return {name: json.loads(value) if isinstance(kinds[name], JSON) and value is not None else value for name, value in row.items()}


@pytest.fixture
def earlier(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A database as revision 0003 left it."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE IF EXISTS {VERSION_TABLE}"))
        metadata.drop_all(connection)
    monkeypatch.setattr("dagster_contracts.store.upgrade.REQUIRED_REVISION", "0003")
    upgrade(url)
    monkeypatch.undo()
    yield engine
    engine.dispose()


def fill(engine: Engine, **delivered: str) -> None:
    """Of each breaker one event a letter: + delivered, - not."""
    with engine.begin() as connection:
        for key, marks in delivered.items():
            row = to_row(tables.breakers, breaker(key, event_sequence=len(marks), version=1))
            del row["incident"], row["contents"]
            named = {f'"{name}"': f":{name}" for name in row}
            values = {name: json.dumps(value) if isinstance(tables.breakers.c[name].type, JSON) else value for name, value in row.items()}
            connection.execute(text(f"INSERT INTO contracts_breakers ({', '.join(named)}) VALUES ({', '.join(named.values())})"), values)
            for number, mark in enumerate(marks, 1):
                event = "INSERT INTO contracts_events (key, sequence, type, at, message, payload, delivered_at)"
                event += f" VALUES (:key, :number, 'batch.held', :at, '\"m\"', '{{}}', {':at' if mark == '+' else 'NULL'})"
                connection.execute(text(event), {"key": key, "number": number, "at": "2026-11-01T06:00:00.000000Z"})


def undelivered(store: SqlStore, sink: str) -> list[str]:
    return [event.id for event in store.claim(sink, holder="me", lease=timedelta(minutes=1))]


def test_events_are_neither_lost_nor_told_again_by_the_upgrade(url: str, earlier: Engine) -> None:
    """Revision 0004 replaces the mark on each event by the log's cursors."""
    fill(earlier, all_told="+++", some_told="++--", none_told="--")
    assert upgrade(url) == REQUIRED_REVISION
    store = SqlStore(url)
    assert len(store.events()) == 9
    store.register(["log", "kafka"])
    assert [(each.sink, each.events) for each in store.waiting()] == [("kafka", 4), ("log", 4)]
    for sink in ("log", "kafka"):
        assert undelivered(store, sink) == ["some_told:3", "some_told:4", "none_told:1", "none_told:2"]


def test_an_upgrade_before_the_first_event_leaves_every_sink_its_first(url: str, earlier: Engine) -> None:
    fill(earlier, quiet="")
    upgrade(url)
    store = SqlStore(url)
    assert list(store.waiting()) == []
    changed, events = numbered(breaker("quiet", version=1), "first")
    store.save(Change(breaker=changed, events=events))
    store.register(["log", "kafka"])
    assert [undelivered(store, sink) for sink in ("log", "kafka")] == [["quiet:1"], ["quiet:1"]]


def test_going_back_marks_what_every_sink_was_told(url: str, earlier: Engine) -> None:
    """Forward again every sink is told what one of them was not: twice rather than never."""
    fill(earlier, all_told="+++", some_told="++--", none_told="--")
    upgrade(url)
    store = SqlStore(url)
    store.register(["log", "kafka"])
    undelivered(store, "log")
    store.advance("log", "me", {"some_told": 4, "none_told": 2})
    undelivered(store, "kafka")
    store.advance("kafka", "me", {"some_told": 3})  # and of the other breaker nothing: there it has no cursor
    downgrade(url, "0003")
    with earlier.connect() as connection:
        marks = "SELECT key, sequence FROM contracts_events WHERE delivered_at IS NULL ORDER BY number"
        left = [tuple(row) for row in connection.execute(text(marks))]
        assert left == [("some_told", 4), ("none_told", 1), ("none_told", 2)]
        assert "contracts_events_pending" in {index["name"] for index in inspect(connection).get_indexes("contracts_events")}
    assert upgrade(url) == REQUIRED_REVISION
    store = SqlStore(url)
    store.register(["log", "kafka"])
    for sink in ("log", "kafka"):
        assert undelivered(store, sink) == ["some_told:4", "none_told:1", "none_told:2"]


# --- at once -------------------------------------------------------------------------------------------------------


def test_many_may_upgrade_at_once(postgres_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(upgrade, [postgres_url] * 4)) == [REQUIRED_REVISION] * 4
    append(SqlStore(postgres_url), "after")


def test_many_processes_may_write_first(tmp_path: Path) -> None:
    """SQLite migrates itself: here four processes at once, with three threads each."""
    url = f"sqlite:///{tmp_path}/store.db"
    race(url, append, processes=4, threads=3)
    assert len(SqlStore(url).batches()) == 12


# --- SQLite --------------------------------------------------------------------------------------------------------


def test_reading_creates_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    store = SqlStore(url)
    snapshot = store.load("feed", asset="feed", partition=day(1))
    assert (snapshot.breaker, list(store.batches()), current_revision(url)) == (None, [], None)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("before", ["", "CREATE TABLE somebody_elses (id INTEGER)"])
def test_reading_a_file_without_our_tables_changes_nothing(tmp_path: Path, before: str) -> None:
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as connection:
        connection.execute(before or "PRAGMA user_version")
    path.touch()
    store = SqlStore(f"sqlite:///{path}")
    content = path.read_bytes()
    assert store.load("feed", asset="feed", partition=day(1)).breaker is None
    assert (path.read_bytes(), os.listdir(tmp_path)) == (content, ["store.db"])
    store.save(Change(batches=(batch("b"),)))
    assert store.batch("b") is not None


def test_the_first_write_makes_file_and_tables(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    store = SqlStore(url)
    store.now()
    append(store, "b")
    assert current_revision(url) == REQUIRED_REVISION
    assert store.batch("b") is not None


def test_an_upgrade_makes_the_folder_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/folder/store.db"
    assert (upgrade(url), current_revision(url)) == (REQUIRED_REVISION, REQUIRED_REVISION)


def test_sqlite_writes_ahead_and_flushes_every_commit(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path}/store.db")
    append(store, "b")
    with store._database.writing() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 30_000}


def test_a_relative_path_stays_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqlStore("sqlite:///here/store.db")
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    append(store, "b")
    assert (tmp_path / "here" / "store.db").exists()


def test_names_with_special_characters(tmp_path: Path) -> None:
    (tmp_path / "a b#c%20d").mkdir()
    store = SqlStore(f"sqlite:///{tmp_path}/a b%23c%2520d/sto%3Fre.db")
    append(store, "b")
    assert (tmp_path / "a b#c%20d" / "sto?re.db").exists()
    assert store.batch("b") is not None
