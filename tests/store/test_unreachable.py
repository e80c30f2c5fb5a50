"""What each kind of failure means: out of reach (try again), out of date (upgrade), or wrong (always raises). No password is shown."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote_plus

import psycopg
import pytest
from sqlalchemy import URL, make_url, select, text
from sqlalchemy.exc import OperationalError

from dagster_contracts.core.errors import LostRace, SchemaOutOfDate, StoreError, StoreUnavailable
from dagster_contracts.core.snapshot import Change
from dagster_contracts.store import connect, writing
from dagster_contracts.store.connect import meaning_of, parse
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.statement import Statement
from dagster_contracts.store.upgrade import REQUIRED_REVISION, current_revision, upgrade
from tests.store.values import batch, breaker, day

SECRET = "hunter2-p@ss/word"
QUOTED = "hunter2-p%40ss%2Fword"


def postgres(url: str, *statements: str) -> None:
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def write(store: SqlStore) -> None:
    store.save(Change(breaker=breaker(), batches=(batch("b", day(1)),)))


def read(store: SqlStore) -> None:
    store.load("feed", asset="feed", partition=day(1))


Use = Callable[[SqlStore], None]
both = pytest.mark.parametrize("use", [read, write])


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


# --- out of reach --------------------------------------------------------------------------------------------------


@both
def test_a_refused_port(use: Use) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = SqlStore(f"postgresql://ann:{QUOTED}@127.0.0.1:{port}/contracts")
    with pytest.raises(StoreUnavailable, match=r"refused.*try again") as caught:
        use(store)
    assert f"postgresql+psycopg://ann:***@127.0.0.1:{port}/contracts" in str(caught.value)
    assert SECRET not in shown(caught.value)
    assert QUOTED not in shown(caught.value)


def test_a_host_without_address() -> None:
    with pytest.raises(StoreUnavailable, match=r"no-such-host\.invalid"):
        read(SqlStore("postgresql://ann@no-such-host.invalid/contracts"))


def test_a_server_that_does_not_answer() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(StoreUnavailable, match="timeout"):
            read(SqlStore(f"postgresql://ann@127.0.0.1:{silent.getsockname()[1]}/contracts?connect_timeout=1"))


def test_a_connection_that_ends_inside_a_transaction(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shutdown does it. Nothing is written, and the store works again as soon as the server does."""
    upgrade(postgres_url)
    store = SqlStore(postgres_url)
    written = writing.writes

    def cut(change: Change) -> Iterator[writing.Write]:
        first, *others = written(change)
        ending = Statement(lambda dialect: select(text("pg_terminate_backend(pg_backend_pid())")))
        yield from (first, writing.Write(ending, {}), *others)

    monkeypatch.setattr(writing, "writes", cut)
    with pytest.raises(StoreUnavailable, match="terminating connection"):
        write(store)
    monkeypatch.undo()
    assert list(store.breakers()) == []
    write(store)


def test_connections_that_ended_meanwhile_are_replaced(postgres_url: str) -> None:
    upgrade(postgres_url)
    store = SqlStore(postgres_url)
    write(store)
    postgres(
        postgres_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    read(store)


def test_an_exhausted_pool(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade(postgres_url)
    monkeypatch.setattr(connect, "_BUSY_SECONDS", 0.01)
    store = SqlStore(postgres_url)
    with ExitStack() as held:
        for _ in range(15):
            held.enter_context(store._database.reading())
        with pytest.raises(StoreUnavailable, match="limit"):
            read(store)
    read(store)


def test_a_sqlite_file_that_stays_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    upgrade(url)
    monkeypatch.setattr(connect, "_BUSY_SECONDS", 0.01)
    store = SqlStore(url)
    with sqlite3.connect(tmp_path / "store.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="database is locked"):
            write(store)
        read(store)
        other.execute("ROLLBACK")
    write(store)


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("08006", StoreUnavailable),  # connection failure
        ("53300", StoreUnavailable),  # too many connections
        ("53100", StoreUnavailable),  # disk full
        ("55P03", StoreUnavailable),  # lock not available
        ("57014", StoreUnavailable),  # cancelled by a timeout
        ("57P01", StoreUnavailable),  # shutdown
        ("57P03", StoreUnavailable),  # starting up
        ("25006", StoreUnavailable),  # standby
        ("25P03", StoreUnavailable),  # held up inside a transaction
        ("25P04", StoreUnavailable),  # a transaction that took too long
        ("40001", StoreUnavailable),  # serialization failure
        ("40P01", StoreUnavailable),  # deadlock
        ("42P01", SchemaOutOfDate),
        ("42703", SchemaOutOfDate),
        ("28P01", StoreError),
        ("28000", StoreError),
        ("3D000", StoreError),
        ("42501", StoreError),
        ("22021", StoreError),
        ("23502", StoreError),
        ("23505", StoreError),
        ("XX000", StoreError),
    ],
)
def test_what_postgres_codes_mean(sqlstate: str, kind: type[StoreError]) -> None:
    error = OperationalError("SELECT 1", {}, psycopg.errors.lookup(sqlstate)("it said so"))
    meaning = meaning_of(error, parse("postgresql://h/d"))
    assert type(meaning) is kind
    assert "it said so" in str(meaning)


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_who_was_beaten_to_a_breaker_lost_a_race(sqlstate: str) -> None:
    error = OperationalError("INSERT", {}, psycopg.errors.lookup(sqlstate)("it said so"))
    assert type(meaning_of(error, parse("postgresql://h/d"), "breaker feed was changed")) is LostRace


# What libpq says where no connection came about: it hands on the server's words, without their code.
SERVER = 'connection failed: connection to server at "10.0.0.1", port 5432 failed: FATAL:  '


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (SERVER + 'password authentication failed for user "ann"', StoreError),
        (SERVER + 'database "contracts" does not exist', StoreError),
        (SERVER + 'role "ann" does not exist', StoreError),
        (SERVER + 'no pg_hba.conf entry for host "10.0.0.2", user "ann", database "contracts", no encryption', StoreError),
        (SERVER.replace("FATAL", "ВАЖНО") + 'пользователь "ann" не прошёл проверку подлинности', StoreError),
        (SERVER + "the database system is starting up", StoreUnavailable),
        (SERVER + "the database system is shutting down", StoreUnavailable),
        (SERVER + "the database system is in recovery mode", StoreUnavailable),
        (
            SERVER + "the database system is not yet accepting connections\nDETAIL:  Consistent recovery state has not been yet reached.",
            StoreUnavailable,
        ),
        (SERVER + "sorry, too many clients already", StoreUnavailable),
        (SERVER + 'too many connections for role "ann"', StoreUnavailable),
        (SERVER + "remaining connection slots are reserved for roles with the SUPERUSER attribute", StoreUnavailable),
        ('connection failed: connection to server at "h", port 1 failed: Connection refused', StoreUnavailable),
        ('connection failed: connection to server at "h", port 1 failed: No route to host', StoreUnavailable),
        ('connection failed: connection to server at "h", port 1 failed: fe_sendauth: no password supplied', StoreError),
        ('connection failed: connection to server at "h", port 1 failed: SSL error: certificate verify failed', StoreError),
        ('connection failed: connection to server at "h", port 1 failed: server does not support SSL, but SSL was required', StoreError),
        ("failed to resolve host 'h': [Errno -3] Temporary failure in name resolution", StoreUnavailable),
        ("connection timeout expired", StoreUnavailable),
        ("consuming input failed: server closed the connection unexpectedly", StoreUnavailable),
        ("the connection is closed", StoreUnavailable),
    ],
)
def test_what_a_failed_connection_means(said: str, kind: type[StoreError]) -> None:
    error = OperationalError("SELECT 1", {}, psycopg.OperationalError(said))
    assert type(meaning_of(error, parse("postgresql://h/d"))) is kind


# --- wrong: always raises ------------------------------------------------------------------------------------------


@pytest.fixture
def guarded_url(postgres_url: str) -> Iterator[str]:
    """A migrated database, and a role that needs the password SECRET (all others of this server need none)."""
    upgrade(postgres_url)
    url = make_url(postgres_url)
    access = Path(str(url.query["host"])) / "pg_hba.conf"
    before = access.read_text()
    access.write_text("local all ann scram-sha-256\n" + before)
    postgres(postgres_url, f"CREATE ROLE ann LOGIN SUPERUSER PASSWORD '{SECRET}'", "SELECT pg_reload_conf()")
    yield url.set(username="ann", password=SECRET).render_as_string(hide_password=False)
    access.write_text(before)
    postgres(postgres_url, "SELECT pg_reload_conf()", "DROP ROLE ann")


@both
def test_a_wrong_password(guarded_url: str, use: Use) -> None:
    read(SqlStore(guarded_url))  # the right one
    url = make_url(guarded_url).set(password="not-it-at-all")
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        use(SqlStore(url.render_as_string(hide_password=False)))
    assert type(caught.value) is StoreError
    assert "dagster-contracts db upgrade" in str(caught.value)
    assert "not-it-at-all" not in shown(caught.value)


def test_a_missing_password(guarded_url: str) -> None:
    with pytest.raises(StoreError, match="no password supplied") as caught:
        read(SqlStore(make_url(guarded_url).render_as_string(hide_password=False).replace(f":{QUOTED}@", "@")))
    assert type(caught.value) is StoreError


@both
def test_an_unknown_database(postgres_url: str, use: Use) -> None:
    url = make_url(postgres_url).set(database="elsewhere").render_as_string(hide_password=False)
    with pytest.raises(StoreError, match='database "elsewhere" does not exist') as caught:
        use(SqlStore(url))
    assert type(caught.value) is StoreError


def test_a_role_without_rights(postgres_url: str) -> None:
    upgrade(postgres_url)
    postgres(postgres_url, "CREATE ROLE bob LOGIN")
    try:
        with pytest.raises(StoreError, match="permission denied") as caught:
            write(SqlStore(make_url(postgres_url).set(username="bob").render_as_string()))
        assert type(caught.value) is StoreError
    finally:
        postgres(postgres_url, "DROP ROLE bob")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store.db",
        f"mysql://ann:{QUOTED}@host/contracts",
        f"postgresql://ann:{SECRET}@host:port/contracts",
        "postgresql://ann:hunter2-p@ss@host/contracts",
        f"postgresql://ann:{QUOTED}@host:port/contracts",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://host/file.db",
    ],
)
def test_a_url_that_names_no_store(url: str) -> None:
    with pytest.raises(StoreError, match=r"valid forms are postgresql://user:password@host:5432/database, sqlite:////") as caught:
        SqlStore(url)
    assert [piece for piece in ("hunter2", "ss@host", "ss/word") if piece in shown(caught.value)] == []


def test_an_unknown_option_in_the_url() -> None:
    with pytest.raises(StoreError, match="colour") as caught:
        read(SqlStore(f"postgresql://ann:{QUOTED}@127.0.0.1:1/contracts?colour=red"))
    assert type(caught.value) is StoreError
    assert SECRET not in shown(caught.value)


@both
def test_a_folder_in_place_of_a_file(tmp_path: Path, use: Use) -> None:
    with pytest.raises(StoreError, match="unable to open") as caught:
        use(SqlStore(f"sqlite:///{tmp_path}"))
    assert type(caught.value) is StoreError


@both
def test_a_file_that_is_no_database(tmp_path: Path, use: Use) -> None:
    (tmp_path / "store.db").write_text("id,name\n1,ann\n" * 100)
    with pytest.raises(StoreError, match="not a database") as caught:
        use(SqlStore(f"sqlite:///{tmp_path}/store.db"))
    assert type(caught.value) is StoreError


@both
def test_a_folder_that_is_not_there(tmp_path: Path, use: Use) -> None:
    with pytest.raises(StoreError, match=r"there is no folder .* correct the url") as caught:
        use(SqlStore(f"sqlite:///{tmp_path}/folder/store.db"))
    assert type(caught.value) is StoreError
    assert not (tmp_path / "folder").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        upgrade(f"sqlite:///{tmp_path}/file/store.db")
    assert type(caught.value) is StoreError


def test_text_that_no_database_holds(url: str) -> None:
    store = SqlStore(url)
    with pytest.raises(StoreError, match="surrogates") as caught:
        store.save(Change(batches=(batch("\ud800"),)))
    assert type(caught.value) is StoreError
    assert "cannot keep a value" in str(caught.value)
    assert list(store.batches()) == []


def test_a_sqlite_file_that_vanished_does_not_read_as_empty(tmp_path: Path) -> None:
    """Nothing known would be nothing refused: that is for stores that were never written."""
    store = SqlStore(f"sqlite:///{tmp_path}/store.db")
    write(store)
    store._database._engine.dispose()
    for file in tmp_path.iterdir():
        file.unlink()
    for use in (read, write):
        with pytest.raises(StoreError, match="unable to open"):
            use(store)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:{QUOTED}@host/contracts",
        f"postgresql://host/contracts?user=ann&password={QUOTED}",
        f"postgresql://ann@host/contracts?sslpassword={QUOTED}&sslmode=require",
    ],
)
def test_no_password_is_shown(url: str) -> None:
    store = SqlStore(url)
    error = OperationalError("SELECT 1", {}, psycopg.OperationalError(f"cannot parse password={SECRET}"))
    for told in (repr(store), repr(store._address), str(store._address), str(meaning_of(error, store._address))):
        assert SECRET not in told
        assert QUOTED not in told
        assert "host" in told
    with pytest.raises(StoreError) as caught, connect.translated(store._address):
        raise error
    assert SECRET not in shown(caught.value)


@pytest.mark.parametrize("secret", ["hunter2", "p&ss w0rd", "it's", "a/b@c:d", "x", "100%"])
@pytest.mark.parametrize(
    "said",
    [
        "cannot parse {url} here",
        "cannot parse postgresql://:{quoted}@host/contracts",
        "cannot parse {dsn}",
        "cannot parse 'host=h sslpassword = {secret}' sslmode=require",
        "cannot parse postgresql://host/contracts?user=ann&password={quoted}&sslmode=require",
        "unexpected {{'user': 'ann', 'password': {secret!r}}}",
    ],
)
def test_a_password_in_what_the_driver_says_is_not_shown(secret: str, said: str) -> None:
    url = URL.create("postgresql", "ann", secret, "host", database="contracts")
    given = url.render_as_string(hide_password=False)
    dsn = psycopg.conninfo.make_conninfo(host="h", password=secret, user="ann")
    shown_by_driver = said.format(url=given, quoted=quote_plus(secret), dsn=dsn, secret=secret)
    error = OperationalError("SELECT 1", {}, psycopg.OperationalError(shown_by_driver))
    with pytest.raises(StoreError) as caught, connect.translated(SqlStore(given)._address):
        raise error
    told = str(caught.value).partition(": ")[2]  # after the store's own url
    assert "***" in told
    for form in (secret, quote_plus(secret), repr(secret)[1:-1]):
        assert not re.search(rf"(?<!\w){re.escape(form)}(?!\w)", told), told
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("secret", ["contracts", "w", "table"])
def test_a_word_that_is_also_the_password_stays_in_what_the_driver_says(secret: str) -> None:
    said = "permission denied for table contracts_breakers; must be owner of table contracts"
    with pytest.raises(StoreError, match=said) as caught, connect.translated(SqlStore(f"postgresql://ann:{secret}@host/db")._address):
        raise OperationalError("SELECT 1", {}, psycopg.OperationalError(said))
    assert f":{secret}@" not in str(caught.value)


# --- out of date ---------------------------------------------------------------------------------------------------


def set_revision(url: str, revision: str | None) -> None:
    statement = (
        "DELETE FROM dagster_contracts_version" if revision is None else f"UPDATE dagster_contracts_version SET version_num = '{revision}'"
    )
    if url.startswith("sqlite"):
        with sqlite3.connect(make_url(url).database or "") as connection:
            connection.execute(statement)
    else:
        postgres(url, statement)


@both
def test_a_postgres_without_tables(postgres_url: str, use: Use) -> None:
    with pytest.raises(SchemaOutOfDate, match=r"no tables yet.*dagster-contracts db upgrade"):
        use(SqlStore(postgres_url))
    assert current_revision(postgres_url) is None


def test_tables_made_while_a_process_runs_are_found(postgres_url: str) -> None:
    store = SqlStore(postgres_url)
    with pytest.raises(SchemaOutOfDate):
        read(store)
    upgrade(postgres_url)
    read(store)


@both
def test_tables_of_a_newer_version(url: str, use: Use) -> None:
    set_revision(url, "9999")
    unknown = rf"revision 9999, which this version of dagster-contracts does not know \(it needs {REQUIRED_REVISION}\)"
    with pytest.raises(SchemaOutOfDate, match=unknown):
        use(SqlStore(url))
    with pytest.raises(SchemaOutOfDate, match="db downgrade --to"):
        upgrade(url)
    assert current_revision(url) == "9999"


@both
def test_an_upgrade_that_was_cut_off(url: str, use: Use) -> None:
    set_revision(url, None)
    with pytest.raises(SchemaOutOfDate, match=r"cut off.*dagster-contracts db upgrade"):
        use(SqlStore(url))
    with pytest.raises(SchemaOutOfDate, match="cut off"):
        upgrade(url)


@both
def test_a_table_that_is_missing(url: str, use: Use) -> None:
    if url.startswith("sqlite"):
        with sqlite3.connect(make_url(url).database or "") as connection:
            connection.execute("DROP TABLE contracts_batches")
    else:
        postgres(url, "DROP TABLE contracts_batches")
    with pytest.raises(SchemaOutOfDate, match=r"contracts_batches.*dagster-contracts db upgrade"):
        use(SqlStore(url))


def test_constructing_touches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*arguments: object, **options: object) -> None:
        raise AssertionError("a constructor connected")

    monkeypatch.setattr(sqlite3, "connect", forbidden)
    monkeypatch.setattr(psycopg.Connection, "connect", forbidden)
    SqlStore(f"sqlite:///{tmp_path}/contracts/store.db")
    SqlStore("postgresql://ann@no-such-host.invalid/contracts")
    assert os.listdir(tmp_path) == []
