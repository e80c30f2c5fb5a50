"""`db ...`: the tables that breakers, ledger and outbox are kept in."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from dagster_contracts.cli.options import UrlOption
from dagster_contracts.cli.printing import print_text
from dagster_contracts.core.errors import UsageError

app = typer.Typer(help="The database of the breakers.", no_args_is_help=True)


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


@app.command()
def roles(
    schema: Annotated[str, typer.Option("--schema", metavar="NAME", help="Where the tables are.")] = "public",
) -> None:
    """Print the SQL that makes PostgreSQL roles of least privilege, and grants each what it needs.

    The owner of the tables runs it after each upgrade, through psql; where the roles are missing it takes the right CREATEROLE.
    """
    from dagster_contracts.store.roles import statements

    print_text(r"\set ON_ERROR_STOP on")  # psql would go on, and end with exit code 0
    print_text("BEGIN;")
    for statement in statements(schema):
        print_text(f"{statement};")
    print_text("COMMIT;")


@app.command()
def downgrade(
    to: Annotated[str, typer.Option("--to", metavar="REVISION", help="The revision that the earlier version needs.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Also where registered contracts are lost by it.")] = False,
    database_url: UrlOption = None,
) -> None:
    """Take the tables back to an earlier revision, before that version is installed again.

    Stop everything that uses the database first. What the earlier tables have no place for is lost; the rest is unchanged. Registered
    contracts are lost with --force alone: without it nothing is changed where there are some.
    """
    from dagster_contracts.store import upgrade as tables
    from dagster_contracts.store.place import resolve_url

    if to == tables.NOTHING:  # a whole history is too much for one word on a command line
        raise UsageError(f'"{to}" would drop every table; drop those whose names begin with contracts_ yourself, or give --to REVISION')
    before = tables.downgrade(resolve_url(database_url, os.environ), to, force=force)
    print_text(f"the tables are at revision {to} already" if before == to else f"went back from revision {before} to revision {to}")
