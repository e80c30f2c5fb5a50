"""`db ...`: the tables that breakers, ledger and outbox are kept in."""

from __future__ import annotations

import os

import typer

from dagster_contracts.cli.options import UrlOption
from dagster_contracts.cli.printing import print_text

app = typer.Typer(help="The database of the breakers.", no_args_is_help=True)


@app.callback()
def _database() -> None:
    pass  # typer would otherwise make the only command of this group the group itself


@app.command()
def upgrade(database_url: UrlOption = None) -> None:
    """Bring the tables to this version. Safe to repeat, and while others run."""
    from dagster_contracts.store import upgrade as tables
    from dagster_contracts.store.place import resolve_url

    url = resolve_url(database_url, os.environ)
    before, after = tables.current_revision(url), tables.upgrade(url)
    if before == after:
        print_text(f"the tables are at revision {after} already")
    else:
        print_text(f"upgraded from {f'revision {before}' if before else 'no tables'} to revision {after}")
