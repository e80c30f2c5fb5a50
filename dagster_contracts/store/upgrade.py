"""The version of the tables: which one a database has, which one this package needs, and how to get there."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, func, inspect, select
from sqlalchemy.schema import DropTable

from dagster_contracts.core.errors import SchemaOutOfDate, StoreError
from dagster_contracts.core.wording import counted
from dagster_contracts.store.connect import UPGRADE, WRITES, Address, engine_of, parse, require_folder, translated
from dagster_contracts.store.tables import VERSION_TABLE, assets, metadata, version, versions

if TYPE_CHECKING:
    from alembic.config import Config

REVISIONS = ("0001", "0002", "0003", "0004", "0005")  # oldest first; the files of migrations/versions
REQUIRED_REVISION = REVISIONS[-1]
_OF_THE_REGISTRY = "0005"  # the revision that made its tables
_LOCK = (0x646331, 0)


def upgrade(url: str) -> str:
    """Bring the database at `url` to the required revision, and return it. Several processes may do so at once.

    Creates a SQLite file and its folder where they are missing. Raises SchemaOutOfDate where a newer package made the tables.
    """
    address = parse(url)
    if address.path is not None:
        with translated(address):
            address.path.parent.mkdir(parents=True, exist_ok=True)
    return upgrade_at(address)


NOTHING = "base"  # of `downgrade`: before the first revision there are no tables


def downgrade(url: str, to: str, *, force: bool = False) -> str:
    """Take the database at `url` back to the revision `to`, and return the one it had. NOTHING drops every table of ours.

    For going back to an earlier version of this package: stop everything that uses the database, downgrade, install that version. What
    the earlier revision has no place for is lost, the rest is unchanged. Registered contracts are lost with `force` alone: they are written
    by people, and nothing makes them anew. Raises StoreError where there are some, where there is no such revision, where the
    database is below it already or has no tables, and SchemaOutOfDate where a newer package made them.
    """
    address = parse(url)
    if to not in (NOTHING, *REVISIONS):
        raise StoreError(f'there is no revision "{to}" of the tables; there are {", ".join(REVISIONS)}')
    if address.path is not None and not address.path.exists():
        raise StoreError(f"{address} does not exist: there is nothing to downgrade")
    with translated(address):
        engine = engine_of(address)
        try:
            with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
                return _go_back(connection, address, to, force)
        finally:
            engine.dispose()


def upgrade_at(address: Address) -> str:
    require_folder(address)
    with translated(address):
        engine = engine_of(address, create=True)
        try:
            with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
                _migrate(connection, address)
            if address.path is not None:
                _use_write_ahead_log(engine)
        finally:
            engine.dispose()
    return REQUIRED_REVISION


def current_revision(url: str) -> str | None:
    """The revision of the database at `url`; None where it has no tables of ours. Writes nothing."""
    address = parse(url)
    if address.path is not None and not address.path.exists():
        return None
    engine = engine_of(address)
    try:
        with translated(address), engine.connect() as connection:
            return revision(connection)
    finally:
        engine.dispose()


def revision(connection: Connection) -> str | None:
    """As `current_revision`. A version table without a row, or tables without a version, is an upgrade that was cut off: revision ''."""
    names = set(inspect(connection).get_table_names())
    if VERSION_TABLE in names:
        return connection.execute(select(version.c.version_num)).scalar() or ""
    return "" if names & set(metadata.tables) else None


def require(found: str | None, address: Address) -> None:
    """Raise SchemaOutOfDate unless `found` is the required revision."""
    if found == REQUIRED_REVISION:
        return
    if found is None:
        raise SchemaOutOfDate(f"{address} has no tables yet, revision {REQUIRED_REVISION} is needed; {UPGRADE}")
    if found == "":
        raise SchemaOutOfDate(
            f"{address} has tables of ours but no revision: an upgrade was cut off or a restore was partial; "
            f"restore it, or drop the tables whose names begin with contracts_, then {UPGRADE}"
        )
    if found not in REVISIONS:
        raise SchemaOutOfDate(
            f"{address} is at revision {found}, which this version of dagster-contracts does not know (it needs {REQUIRED_REVISION}): "
            f"a newer version made it; install that version here, or go back with it "
            f"(`dagster-contracts db downgrade --to {REQUIRED_REVISION}`)"
        )
    raise SchemaOutOfDate(f"{address} is at revision {found}, revision {REQUIRED_REVISION} is needed; {UPGRADE}")


def _go_back(connection: Connection, address: Address, to: str, force: bool) -> str:
    _alone(connection)
    found = revision(connection)
    if found is None:
        raise StoreError(f"{address} has no tables of ours: there is nothing to downgrade")
    if found not in REVISIONS:
        require(found, address)
    if to != NOTHING and to > found:
        raise StoreError(f"{address} is at revision {found}, before {to}; {UPGRADE} to go forward")
    if found >= _OF_THE_REGISTRY and (to == NOTHING or to < _OF_THE_REGISTRY) and not force:
        _refuse_to_lose_the_registry(connection, address, to)
    from alembic.command import downgrade as alembic_downgrade

    alembic_downgrade(_config(connection), to)
    if to == NOTHING:
        connection.execute(DropTable(version))
    return found


def _refuse_to_lose_the_registry(connection: Connection, address: Address, to: str) -> None:
    id = versions.c.contract_id
    registered, contracts = connection.execute(select(func.count(), func.count(id.distinct())).select_from(versions)).one()
    names = connection.execute(select(func.count()).select_from(assets)).scalar_one()
    if not registered and not names:
        return
    held = f"{counted(registered, 'registered version')} of {counted(contracts, 'contract')} and {counted(names, 'name')} of consumers"
    raise StoreError(
        f"{address} holds {held}, for which revision {to} has no place: they would be lost, and nothing was changed. "
        "Write them down first: `dagster-contracts registry pull FOLDER` the contracts in force, "
        "`dagster-contracts registry get ID@VERSION --output FILE` any other version; then go back with `--force`"
    )


def _alone(connection: Connection) -> None:
    """One process migrates at a time."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(func.pg_advisory_xact_lock(*_LOCK)))


def _migrate(connection: Connection, address: Address) -> None:
    _alone(connection)
    found = revision(connection)
    if found == REQUIRED_REVISION:
        return
    if found is not None and found not in REVISIONS:
        require(found, address)
    # Here and not above: a third of a second that only migrating processes should pay.
    from alembic.command import upgrade as alembic_upgrade

    alembic_upgrade(_config(connection), REQUIRED_REVISION)


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _use_write_ahead_log(engine: Engine) -> None:
    """The mode is kept in the file. Refused while others are at work in it: whoever writes first in the next process tries again."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
    finally:
        connection.close()
