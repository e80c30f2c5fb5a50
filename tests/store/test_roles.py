"""Least privilege in PostgreSQL: a reader cannot write, a worker cannot change tables or delete, and each can do all of its work."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from dagster_contracts import recovery
from dagster_contracts.cli.app import app
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.errors import StoreError, StoreUnavailable
from dagster_contracts.core.retention import Retention
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import OverrideKind, State
from dagster_contracts.ports import FixedClock
from dagster_contracts.store import roles
from dagster_contracts.store.registry import SqlRegistry
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.tables import VERSION_TABLE, metadata
from dagster_contracts.store.upgrade import downgrade, upgrade
from tests.gate_world import BAD, GOOD, World, day
from tests.store.test_downgrade import fill
from tests.store.test_registry import submission
from tests.store.values import DAY, batch


def plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
def url_as(postgres_url: str) -> Iterator[Callable[..., str]]:
    """The url of an upgraded database for a user who has these roles."""
    upgrade(postgres_url)
    users: list[str] = []
    with psycopg.connect(plain(postgres_url), autocommit=True) as owner:
        for statement in roles.statements():
            owner.execute(statement.encode())
        database = make_url(postgres_url).database

        def made(*granted: str) -> str:
            name = f"{database}_user{len(users)}"
            users.append(name)
            owner.execute(f"CREATE ROLE {name} LOGIN".encode())
            for role in granted:
                owner.execute(f"GRANT {role} TO {name}".encode())
            return make_url(postgres_url).set(username=name).render_as_string(hide_password=False)

        yield made
        for name in users:
            owner.execute(f"DROP OWNED BY {name}".encode())
            owner.execute(f"DROP ROLE {name}".encode())


# --- no table is forgotten -------------------------------------------------------------------------------------------


def test_every_table_and_sequence_has_a_decision(postgres_url: str) -> None:
    assert set(roles.WORKERS) == set(roles.PRUNERS) == set(metadata.tables) | {VERSION_TABLE}
    upgrade(postgres_url)
    with psycopg.connect(plain(postgres_url)) as connection:
        found = connection.execute("SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'").fetchall()
    assert {name for (name,) in found} == set(roles.SEQUENCES)


def test_what_is_granted_is_what_was_decided(postgres_url: str, url_as: Callable[..., str]) -> None:
    """Also after it was granted more, or once already."""
    with psycopg.connect(plain(postgres_url), autocommit=True) as owner:
        owner.execute("GRANT ALL ON contracts_breakers TO contracts_reader, PUBLIC")
        for statement in roles.statements():
            owner.execute(statement.encode())
        rows = owner.execute(
            "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants "
            "WHERE table_name LIKE '%contracts%' AND grantee <> current_user"
        ).fetchall()
    expected = {(roles.READER, table, "SELECT") for table in roles.WORKERS}
    expected |= {(roles.WORKER, table, right) for table, rights in roles.WORKERS.items() for right in rights}
    expected |= {(roles.PRUNER, table, right) for table, rights in roles.PRUNERS.items() for right in rights}
    expected |= {(roles.PUBLISHER, table, right) for table, rights in roles.PUBLISHERS.items() for right in rights}
    assert set(rows) == expected


def test_names_are_quoted() -> None:
    said = list(roles.statements('my "own"'))
    assert 'GRANT USAGE ON SCHEMA "my ""own""" TO "contracts_reader", "contracts_worker", "contracts_pruner", "contracts_publisher"' in said
    assert CliRunner().invoke(app, ["db", "roles"]).stdout.count("GRANT") == 1 + 4 * len(roles.WORKERS) + len(roles.SEQUENCES)


@pytest.mark.skipif(shutil.which("psql") is None, reason="needs psql")
def test_psql_stops_at_the_first_error(postgres_url: str) -> None:
    """As of an owner who may not make the roles: here there are no tables."""
    said = CliRunner().invoke(app, ["db", "roles", "--schema", "nowhere"]).stdout
    ran = subprocess.run(["psql", "-qX", plain(postgres_url)], input=said, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert ran.returncode == 3
    assert ran.stderr.count("ERROR") == 1


# --- the reader ------------------------------------------------------------------------------------------------------


def test_a_reader_reads_everything_and_writes_nothing(postgres_url: str, url_as: Callable[..., str]) -> None:
    fill(postgres_url)
    url = url_as("contracts_reader")
    runner = CliRunner()
    for words in (["status"], ["why", "feed"], ["why", "scores", "--at", "2999-01-01T00:00Z"], ["batch", "list"], ["prune", "--dry-run"]):
        ran = runner.invoke(app, [*words, "--database-url", url])
        assert ran.exit_code == 0, (words, ran.stderr)
    before = SqlStore(postgres_url).breakers()
    ran = runner.invoke(app, ["breaker", "reset", "feed1", "--reason", "x", "--database-url", url])
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "permission denied for table contracts_breakers" in ran.stderr
    assert "the user of this url lacks a right: contracts_worker writes" in ran.stderr
    assert "dagster-contracts db roles" in ran.stderr
    store = SqlStore(url)
    with pytest.raises(StoreError, match=r"permission denied for (table|sequence) contracts_") as refused:
        store.save(Change(batches=(batch("b"),)))
    assert not isinstance(refused.value, StoreUnavailable)
    with pytest.raises(StoreError, match="permission denied"):
        store.prune(Retention.of(DAY))
    assert SqlStore(postgres_url).breakers() == before


@pytest.mark.parametrize("table", sorted(roles.WORKERS))
def test_a_reader_cannot_change_any_table(url_as: Callable[..., str], table: str) -> None:
    with psycopg.connect(plain(url_as("contracts_reader")), autocommit=True) as connection:
        connection.execute(f"SELECT * FROM {table}".encode())
        for statement in (f"INSERT INTO {table} DEFAULT VALUES", f"DELETE FROM {table}", f"TRUNCATE {table}", f"DROP TABLE {table}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(b"CREATE TABLE mine (id int)")


# --- the worker ------------------------------------------------------------------------------------------------------


def test_a_worker_does_all_that_runs_sensors_and_people_do(postgres_url: str, url_as: Callable[..., str]) -> None:
    url = url_as("contracts_worker")
    clock = FixedClock(day(1))
    world = World(store=SqlStore(url, clock=clock), clock=clock)
    world.deliver(1, GOOD, day(2, 6))
    world.deliver(2, BAD, day(3, 6))
    assert world.breaker.state is State.OPEN
    world.consume("low", 2, Confidence.LOW)
    world.consume("halted", 2, Confidence.FULL)
    world.deliver(3, GOOD, day(3, 7))
    world.probe(day(5))
    assert world.breaker.state is State.CLOSED
    for due in recovery.due_releases(world.gate):
        world.publish(due.batch)
    world.deliver(2, GOOD, day(5, 1))
    world.consume("low", 2, Confidence.LOW)
    recovery.override(world.gate, world.breaker.key, OverrideKind.FORCE_OPEN, actor="bo", reason="x")
    recovery.reset(world.gate, world.breaker.key, actor="bo", reason="x")
    fill(url)  # a row in every table that the store writes
    assert upgrade(postgres_url) == upgrade(url)  # nothing to do: no right is needed


def test_a_worker_can_neither_delete_nor_change_tables(postgres_url: str, url_as: Callable[..., str]) -> None:
    fill(postgres_url)
    url = url_as("contracts_worker")
    with pytest.raises(StoreError, match="contracts_pruner prunes"):
        SqlStore(url).prune(Retention.of(DAY))
    with psycopg.connect(plain(url), autocommit=True) as connection:
        for table in roles.WORKERS:
            for statement in (
                f"DELETE FROM {table}",
                f"TRUNCATE {table}",
                f"ALTER TABLE {table} ADD COLUMN x int",
                f"DROP TABLE {table}",
            ):
                if statement == "DELETE FROM contracts_parts":
                    continue  # what is kept of a time window ends with its verdict
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement.encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0001'".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(b"UPDATE contracts_transitions SET actor = 'somebody else'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(b"UPDATE contracts_decisions SET consumer = 'somebody else'")


def test_who_may_not_upgrade_is_told(postgres_url: str, url_as: Callable[..., str]) -> None:
    url = url_as("contracts_worker")
    with pytest.raises(StoreError, match=r"must be owner of .*; the user of this url lacks a right"):
        downgrade(url, "0003")


# --- the publisher ---------------------------------------------------------------------------------------------------


def test_a_publisher_adds_contracts_and_nothing_else(url_as: Callable[..., str]) -> None:
    url = url_as("contracts_publisher")
    registry = SqlRegistry(url)
    registry.add_consumers(["fraud_scores"], author="ann")
    registry.publish([submission()], author="ann")
    assert [entry.name for entry in SqlRegistry(url_as("contracts_reader")).entries()] == ["orders@1.0.0"]
    with pytest.raises(StoreError, match="contracts_publisher adds contracts"):
        SqlRegistry(url_as("contracts_worker")).publish([submission("stock")], author="ann")
    with psycopg.connect(plain(url), autocommit=True) as connection:
        for statement in (
            b"DELETE FROM contracts_versions",
            b"UPDATE contracts_versions SET author = 'bob'",
            b"DELETE FROM contracts_breakers",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


# --- the pruner ------------------------------------------------------------------------------------------------------


def test_a_pruner_prunes_and_writes_nothing(postgres_url: str, url_as: Callable[..., str]) -> None:
    old = SqlStore(postgres_url)
    for number in range(4):
        old.save(Change(batches=(batch(f"b{number}", head=False, arrived_at=day(1), updated_at=day(1)),)))
    store = SqlStore(url_as("contracts_pruner"))
    assert store.prune(Retention.of(30 * DAY)).batches == 3
    with pytest.raises(StoreError, match="permission denied"):
        store.save(Change(batches=(batch("b"),)))
    both = SqlStore(url_as("contracts_worker", "contracts_pruner"))
    both.save(Change(batches=(batch("b"),)))
    both.prune(Retention.of(30 * DAY))
