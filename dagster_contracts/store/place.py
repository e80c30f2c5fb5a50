"""Which database holds the breakers: the one that is named, else a file beside Dagster's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from dagster_contracts.core.errors import UsageError

URL_VARIABLE = "CONTRACTS_DATABASE_URL"


def resolve_url(explicit: str | None, environ: Mapping[str, str]) -> str:
    """`explicit`, else CONTRACTS_DATABASE_URL, else SQLite in the file contracts.db under DAGSTER_HOME.

    Raises UsageError where none of them is given, or one is given but empty: a variable that was meant to be filled must not turn
    into another database.
    """
    if explicit is not None:
        return _filled(explicit, "the database url")
    if URL_VARIABLE in environ:
        return _filled(environ[URL_VARIABLE], f"the environment variable {URL_VARIABLE}")
    if home := environ.get("DAGSTER_HOME", "").strip():
        return url_beside(Path(home).expanduser().absolute())
    raise UsageError(
        f"no database for the breakers: give --database-url, or set {URL_VARIABLE} (postgresql://user:password@host/database), "
        "or set DAGSTER_HOME to use the SQLite file contracts.db in that folder"
    )


def url_beside(folder: str | Path) -> str:
    """The SQLite database beside a Dagster instance's own files."""
    return f"sqlite:///{quote(str(Path(folder) / 'contracts.db'), safe='/ :')}"


def _filled(url: str, what: str) -> str:
    if not url.strip():
        raise UsageError(f"{what} is empty; expected one such as postgresql://user:password@host/database, or leave it unset")
    return url.strip()
