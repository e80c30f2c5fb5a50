"""The connections of one process to one database: reading in one round trip, writing in one transaction."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, PoolProxiedConnection, StaticPool, create_engine
from sqlalchemy.exc import DBAPIError

from dagster_contracts.core.errors import LostRace
from dagster_contracts.store.connect import READ_COMMITTED, WRITES, Address, engine_of, require_folder, translated
from dagster_contracts.store.statement import Statement, Text, Values
from dagster_contracts.store.tables import metadata
from dagster_contracts.store.upgrade import require, revision, upgrade_at
from dagster_contracts.store.writing import Write

Rows = Sequence[Sequence[Any]]
# One SELECT sees one state of the database by itself: no transaction, and no round trips to begin and end it.
_ONE_SELECT: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}
_AUDITED = "dagster_contracts.store.write"  # an audit event of Python's before each write, for hooks that watch what a process does
_PREPARED = "contracts_prepared"  # in a pooled connection's own dictionary


class Database:
    """The connections of one process to one address. Nothing is opened before the first transaction."""

    def __init__(self, address: Address):
        self._address = address
        self._engine = engine_of(address)
        self._checked = False  # the schema version was right once; an upgrade under a running process shows as an error of SQL
        self._entered = threading.local()  # the transaction that this thread decides in

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """For one SELECT, which sees one state of the database. A SQLite file not there yet reads as empty.

        Inside a transaction of this thread (`within`) it sees what that has written.
        """
        if (entered := self._within) is not None:
            yield entered
            return
        with translated(self._address):
            if self._address.path is not None and not self._checked and not self._has_tables(self._address.path):
                with _nothing() as connection:
                    yield connection
                return
            options: dict[str, Any] = {} if self._address.path is not None else _ONE_SELECT
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                self._check(connection)
                yield connection

    def read(self, statement: Statement, values: Values) -> Rows:
        """The rows of a SELECT, in one round trip."""
        if self._address.path is not None:
            with self.reading() as connection:
                return statement.on_sqlite(connection, values)
        if (entered := self._within) is not None:
            return _asked(entered.connection, statement, values)
        with translated(self._address):
            self._check_once()
            return self._read_pooled(statement, values)

    def save(self, writes: Iterable[Write], lost_race: str | None) -> None:
        """All of it in one transaction; on PostgreSQL in one round trip. Raises LostRace where a guard finds nothing."""
        sys.audit(_AUDITED)
        if self._address.path is not None:
            with self.writing(lost_race) as connection:
                self.apply(connection, writes, lost_race=lost_race or "")
            return
        from dagster_contracts.store import wire

        with translated(self._address, lost_race):
            self._check_once()
            connection_ = self._pooled()
            try:
                statements = [(each.statement.postgres, each.values) for each in writes]
                # What is sent together is one transaction by itself, and costs two statements less: where its isolation is ours.
                _sent(connection_, statements if connection_.info.get(READ_COMMITTED) else [wire.BEGIN, *statements, wire.COMMIT])
            finally:
                connection_.close()

    def apply(self, connection: Connection, writes: Iterable[Write], *, lost_race: str = "", last: bool = False) -> None:
        """Execute writes inside a transaction of `writing`, and end it where they are the `last`."""
        sys.audit(_AUDITED)
        if self._address.path is not None:
            for each in writes:
                if not each.waits and not each.statement.on_sqlite(connection, each.values) and each.statement.guard:
                    raise LostRace(lost_race)
            return
        from dagster_contracts.store import wire

        driver: Any = connection.connection.driver_connection
        begun = driver.pgconn.transaction_status
        statements = [(each.statement.postgres, each.values) for each in writes]
        _sent(connection.connection, [*([] if begun else [wire.BEGIN]), *statements, *([wire.COMMIT] if last else [])])

    def _read_pooled(self, statement: Statement, values: Values) -> Rows:
        """A connection may end between the pool's look at it and ours; reading twice changes nothing."""
        try:
            return self._once(statement, values)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return self._once(statement, values)

    def _once(self, statement: Statement, values: Values) -> Rows:
        connection = self._pooled()
        try:
            return _asked(connection, statement, values)
        finally:
            connection.close()

    def _pooled(self) -> PoolProxiedConnection:
        """The driver's connection. What the driver raises while it connects is told as SQLAlchemy tells it elsewhere."""
        driver = self._engine.dialect.loaded_dbapi
        try:
            return self._engine.raw_connection()
        except driver.Error as error:
            told = DBAPIError.instance(None, None, error, driver.Error, hide_parameters=True)
            raise told from error

    @contextmanager
    def writing(self, lost_race: str | None = None) -> Iterator[Connection]:
        """A transaction that is rolled back where anything raises."""
        sys.audit(_AUDITED)
        with translated(self._address, lost_race):
            if self._address.path is not None and not self._checked:
                upgrade_at(self._address)
            with self._engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
                self._check(connection)
                yield connection

    @contextmanager
    def within(self, connection: Connection) -> Iterator[None]:
        """What this thread reads meanwhile, it reads inside that transaction."""
        self._entered.connection = connection
        try:
            yield
        finally:
            self._entered.connection = None

    @property
    def _within(self) -> Connection | None:
        return getattr(self._entered, "connection", None)

    def _has_tables(self, path: Path) -> bool:
        if not path.exists():
            require_folder(self._address)
            return False
        with self._engine.connect() as connection:
            return revision(connection) is not None

    def _check_once(self) -> None:
        if not self._checked:
            with self._engine.connect() as connection:
                self._check(connection)

    def _check(self, connection: Connection) -> None:
        if not self._checked:
            require(revision(connection), self._address)
            self._checked = True


def _asked(connection: PoolProxiedConnection, statement: Statement, values: Values) -> Rows:
    (rows,) = _sent(connection, [(statement.postgres, values)])
    return rows


def _sent(connection: PoolProxiedConnection, statements: Sequence[tuple[Text, Values]]) -> Sequence[Rows]:
    """In one round trip on a connection of PostgreSQL."""
    from dagster_contracts.store import wire

    driver: Any = connection.driver_connection
    try:
        return wire.run(driver, connection.info.setdefault(_PREPARED, set()), statements)
    except BaseException:
        if not wire.usable(driver):
            connection.invalidate()
        raise


@contextmanager
def _nothing() -> Iterator[Connection]:
    """An empty store in memory: reading where nothing was ever written gives nothing, and creates nothing."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(engine)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
