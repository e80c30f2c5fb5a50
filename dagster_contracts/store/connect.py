"""From a url to an engine, and from what a driver raises to what it means for the caller.

StoreUnavailable is for what may be over in a moment. What a person must mend (a wrong password, an unknown database, a file that is no
database) is a plain StoreError: it always raises, whatever policy is declared for a store out of reach.
"""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, InvalidatePoolError, SQLAlchemyError, TimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, PoolResetState

from dagster_contracts import telemetry
from dagster_contracts.core.errors import LostRace, SchemaOutOfDate, StoreError, StoreUnavailable

if TYPE_CHECKING:
    import psycopg

UPGRADE = "run `dagster-contracts db upgrade`"
WRITES = "contracts_writes"  # execution option: this transaction writes
_FORMS = (
    "valid forms are postgresql://user:password@host:5432/database, sqlite:////absolute/folder/contracts.db "
    "and sqlite:///relative/folder/contracts.db (percent-encode special characters of a password)"
)
_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2")
_SQLITE = ("sqlite", "sqlite+pysqlite")
_SHOWN = ("host", "port", "sslmode", "service")  # of a url's query; anything else may be a secret
READ_COMMITTED = "contracts_read_committed"  # in a pooled connection's own dictionary: whether transactions begin so by themselves
_SINCE = "contracts_resting_since"  # in a pooled connection's own dictionary
_RESTED_SECONDS = 30
_CONNECT_SECONDS = 10
_BUSY_SECONDS = 30
# A peer that vanished without a word (a machine without power, a firewall that forgot the connection) is noticed by our side after half a
# minute, and by the server before those who wait for its locks give up: not after the two hours that TCP allows.
_WIRE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000}
_BOUNDS = {"idle_in_transaction_session_timeout": "20s", "lock_timeout": f"{_BUSY_SECONDS}s"}


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where a store is. `path` is its file, None for PostgreSQL. Shows no password."""

    url: URL
    path: Path | None

    def __str__(self) -> str:
        if self.path is not None:
            return f"SQLite store {self.path}"
        shown = self.url.set(query={name: value for name, value in self.url.query.items() if name in _SHOWN})
        return f"PostgreSQL store {shown.render_as_string(hide_password=True)}"

    __repr__ = __str__

    @property
    def secrets(self) -> tuple[str, ...]:
        """Whatever must not stand in a message, as given in the url."""
        hidden = (value for name, value in self.url.query.items() if name not in _SHOWN and "pass" in name)
        texts = (self.url.password, *(value if isinstance(value, str) else " ".join(value) for value in hidden))
        return tuple(str(text) for text in texts if text)


def parse(url: str) -> Address:
    """Raises StoreError, without quoting the url, where it is malformed or of another database."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError(f"the store's url is malformed; {_FORMS}") from None
    if parsed.drivername in _POSTGRES:
        if "@" in (parsed.host or "") or set("@/") & set(parsed.database or ""):
            # What looks like the host or database is the rest of a password with a bare "@" in it: it must not be shown, nor looked up.
            raise StoreError(f"the store's url is malformed: more than one @, or / in the database's name; {_FORMS}")
        return Address(parsed.set(drivername="postgresql+psycopg"), None)
    if parsed.drivername not in _SQLITE:
        raise StoreError(f"the store's url is of an unknown kind, {parsed.drivername!r}; {_FORMS}")
    if not parsed.database or parsed.database == ":memory:" or parsed.host:
        raise StoreError(f"the store's SQLite url names no file; {_FORMS}")
    return Address(parsed, Path(parsed.database).absolute())


def require_folder(address: Address) -> None:
    """A SQLite file that is not there yet is an empty store. Without its folder the url is likely misspelt or nothing is mounted, and
    an empty store would let everything pass: raises StoreError."""
    if address.path is not None and not address.path.parent.is_dir():
        raise StoreError(f"there is no folder {address.path.parent} for the {address}; correct the url, or {UPGRADE}, which makes it")


# --- engines -------------------------------------------------------------------------------------------------------


def engine_of(address: Address, *, create: bool = False) -> Engine:
    """An engine that has not connected yet. Without `create` a missing SQLite file stays missing (and opening it fails)."""
    return _postgres_engine(address.url) if address.path is None else _sqlite_engine(address.path, "rwc" if create else "rw")


def _postgres_engine(url: URL) -> Engine:
    # Unprepared statements also pass through a connection pooler such as PgBouncer; the isolation is ours, not the database's default.
    wanted = {"connect_timeout": _CONNECT_SECONDS, **_WIRE}
    arguments: dict[str, object] = {"prepare_threshold": None, **{name: value for name, value in wanted.items() if name not in url.query}}
    engine = create_engine(
        url,
        connect_args=arguments,
        isolation_level="READ COMMITTED",
        pool_timeout=_BUSY_SECONDS,
        pool_reset_on_return=None,
        hide_parameters=True,
    )
    asked = str(url.query.get("options", ""))
    bounds = [f"SET {name} = '{value}'" for name, value in _BOUNDS.items() if name not in asked]
    first = "; ".join([*bounds, "SHOW default_transaction_isolation"]).encode()

    def bound(connection: psycopg.Connection, record: ConnectionPoolEntry) -> None:
        # Not as startup options, which a connection pooler refuses; and without a transaction of their own: one round trip.
        connection.autocommit = True
        told = connection.execute(first)
        while told.nextset():
            pass
        record.info[READ_COMMITTED] = told.fetchone() == ("read committed",)
        connection.autocommit = False

    event.listen(engine, "do_connect", _audited)
    event.listen(engine, "connect", bound)
    event.listen(engine, "reset", _reset)
    event.listen(engine, "checkin", _rests)
    event.listen(engine, "checkout", _wakes)
    return engine


def _audited(*_: object) -> None:
    """As Python does for SQLite: an audit event before each connection, for hooks that watch what a process reaches."""
    sys.audit("dagster_contracts.store.connect")


def _reset(connection: psycopg.Connection[Any], record: ConnectionPoolEntry, state: PoolResetState) -> None:
    """End what was left open. Most often there is nothing: what is sent in one round trip ends itself."""
    if not state.terminate_only and connection.pgconn.transaction_status:
        connection.rollback()


def _rests(connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[_SINCE] = time.monotonic()


def _wakes(connection: Any, record: ConnectionPoolEntry, proxy: object) -> None:
    """Replace connections that have ended meanwhile, without asking the server each time: an ended one has something to be read, and
    one that rested long may have been forgotten on the way."""
    from dagster_contracts.store import wire

    since = record.info.get(_SINCE)
    if since is None or (time.monotonic() - since < _RESTED_SECONDS and not wire.has_news(connection)):
        return
    if not wire.answers(connection):
        raise InvalidatePoolError  # the pool makes new ones


def _sqlite_engine(path: Path, mode: str) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode={mode}", uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        # FULL and not NORMAL: with a write-ahead log NORMAL may lose the last commits in a power cut. A lost trip would let the next
        # consumer read, and the storage may already hold what the lost commit was about. It costs a disk flush per batch.
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_timeout=_BUSY_SECONDS, hide_parameters=True)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock before it reads: upgrading a read lock fails at once when another writer is waiting.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")


# --- errors --------------------------------------------------------------------------------------------------------


@contextmanager
def translated(address: Address, lost_race: str | None = None) -> Iterator[None]:
    """Turn what drivers raise into StoreErrors. `lost_race`: the message where somebody else may have been first."""
    try:
        yield
    except (SQLAlchemyError, OSError, UnicodeEncodeError) as error:
        meaning = meaning_of(error, address, lost_race)
        if not isinstance(meaning, LostRace):
            telemetry.of_store_error(meaning)
        leaks = _without_secrets(str(error), address) != str(error)
        raise meaning from (None if leaks else error)


def meaning_of(error: Exception, address: Address, lost_race: str | None = None) -> StoreError:
    """What a failure of the driver, the pool or the file system means."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    text = _without_secrets(" ".join(str(original).split()), address)
    kind = _kind(original)
    if kind is LostRace and lost_race is not None:
        return LostRace(f"{lost_race} ({text})")
    if kind in (StoreUnavailable, LostRace):
        return StoreUnavailable(f"{address} is out of reach: {text}; try again once it answers")
    if kind is SchemaOutOfDate:
        return SchemaOutOfDate(f"{address} lacks a table or column of this version: {text}; {UPGRADE}")
    if isinstance(error, DataError | IntegrityError | UnicodeEncodeError) or not isinstance(error, DBAPIError | OSError):
        return StoreError(
            f"{address} cannot keep a value: {text}; nothing was written; ids must be unique, and text without NUL characters"
        )
    if getattr(original, "sqlstate", None) == _NO_RIGHT:
        return StoreError(
            f"{address} cannot do that: {text}; the user of this url lacks a right: contracts_worker writes, contracts_reader reads, "
            "contracts_pruner prunes, "
            "contracts_publisher adds contracts, the owner of the tables upgrades; `dagster-contracts db roles` prints the grants"
        )
    return StoreError(f"{address} cannot be used: {text}; correct the url or the database's permissions, then {UPGRADE}")


_IN_A_URL = re.compile(r"(://[^\s:/@]*:)\S+(?=@)")
_IN_A_DSN = re.compile(r"(pass\w*\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE)


def _without_secrets(text: str, address: Address) -> str:
    """Passwords as they stand in urls and connection strings, ours and others. A word that is also our password stays: a message in which
    it is left out everywhere cannot be read, and tells what it is."""
    forms = {form for secret in address.secrets for form in (secret, quote(secret, safe=""), quote(secret, safe=" +"), quote_plus(secret))}
    own = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    if own:  # with spaces or & in it, or as an argument is shown: {'password': 'secret'}
        text = re.sub(rf"""(://[^\s:/@]*:|pass\w*['"]?\s*[=:]\s*['"]?)(?:{own})(?!\w)""", r"\1***", text, flags=re.IGNORECASE)
    return _IN_A_DSN.sub(r"\1***", _IN_A_URL.sub(r"\1***", text))


def _kind(error: BaseException) -> type[StoreError]:
    if isinstance(error, TimeoutError):
        return StoreUnavailable
    if isinstance(error, sqlite3.Error):
        return _sqlite_kind(error)
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        return next((kind for prefix, kind in _SQLSTATES if sqlstate.startswith(prefix)), StoreError)
    # psycopg, without a code: the connection was never made, or broke.
    if type(error).__name__ in ("OperationalError", "InterfaceError", "ConnectionTimeout"):
        return _connection_kind(str(error))
    return StoreError


_NO_RIGHT = "42501"
_SQLSTATES: tuple[tuple[str, type[StoreError]], ...] = (
    ("40", LostRace),  # serialization failure, deadlock
    ("22012", LostRace),  # division by zero: a guard (statement.py) found that its row had been changed
    ("08", StoreUnavailable),  # connection
    ("53", StoreUnavailable),  # disk full, out of memory, too many connections
    ("55P03", StoreUnavailable),  # lock not available
    ("57", StoreUnavailable),  # shutdown, starting up, cancelled by a timeout
    ("58", StoreUnavailable),  # the server's own input and output
    ("25006", StoreUnavailable),  # read-only: a standby, during a failover
    ("25P03", StoreUnavailable),  # idle for too long inside a transaction: this process was held up
    ("25P04", StoreUnavailable),  # the transaction took too long
    ("42P01", SchemaOutOfDate),  # no such table
    ("42703", SchemaOutOfDate),  # no such column
)

# libpq hands on what the server said when it refused a connection, but not its code: "... failed: FATAL:  text".
_SAID_BY_SERVER = re.compile(r"failed: \w+:  ([^\n]*)")
_PASSING = re.compile(
    r"starting up|shutting down|recovery|not (yet )?accepting|too many (clients|connections)|connection slots|terminating connection|"
    r"connection limit|not currently accepting",
    re.IGNORECASE,
)
_OURS_TO_MEND = re.compile(
    r"no password supplied|invalid (connection|URI|port|\w+ value)|certificate|does not support SSL|authentication method|"
    r"root\.crt|requires? SSL",
    re.IGNORECASE,
)


def _connection_kind(text: str) -> type[StoreError]:
    """Where the server answered, only known passing states are; where it did not, it is out of reach unless our settings are wrong."""
    said = _SAID_BY_SERVER.findall(text)
    if any(not _PASSING.search(line) for line in said) or _OURS_TO_MEND.search(text):
        return StoreError
    return StoreUnavailable


_SQLITE_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM}


def _sqlite_kind(error: sqlite3.Error) -> type[StoreError]:
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in _SQLITE_PASSING:
        return StoreUnavailable
    return SchemaOutOfDate if "no such table" in str(error) or "no such column" in str(error) else StoreError
