"""`publish` and `registry ...`: contracts are registered, looked up, and asked who consumes what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dagster_contracts.cli import options, project
from dagster_contracts.cli.forms import of_row
from dagster_contracts.cli.options import ActorOption, FileOption, FormatOption, ModuleOption, UrlOption
from dagster_contracts.cli.printing import Format, print_fields, print_json, print_table, print_text, say
from dagster_contracts.cli.wording import clock
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.registry import Entry, Published
from dagster_contracts.core.wording import counted
from dagster_contracts.registry import Registry

app = typer.Typer(help="Registered contracts.", no_args_is_help=True)
_COLUMNS = ("contract", "version", "status", "in force from", "producer", "author", "published", "content")


def publish(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Contract files, or folders of them.", show_default=False)],
    author: Annotated[str | None, typer.Option("--author", help="Who publishes; without it, the user's name.", show_default=False)] = None,
    accept_incompatible: Annotated[
        str | None,
        typer.Option(
            "--accept-incompatible",
            metavar="REASON",
            help="Register versions whose number says too little; the reason is recorded.",
            show_default=False,
        ),
    ] = None,
    file: FileOption = None,
    module: ModuleOption = None,
    database_url: UrlOption = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Register contracts: each version once, and never changed. All are registered, or none.

    What is registered already with the same content stays as it is, so that publishing again changes nothing. Consumers that contracts
    name must be known: assets of contracts, of the definitions (--file, --module), or `registry add-consumer`.
    """
    reason = None if accept_incompatible is None else options.stated(accept_incompatible, "--accept-incompatible")
    published = options.registry_at(database_url).publish(
        *paths, author=options.acting(author, "--author"), consumers=project.asset_keys(file, module), accept_incompatible=reason
    )
    if format is Format.JSON:
        print_json({name: list(map(_entry, getattr(published, name))) for name in ("new", "unchanged")})
    else:
        _print_published(published)


def _print_published(published: Published) -> None:
    for entry in published.new:
        print_text(f"registered {entry.name} (sha256 {entry.content_hash[:12]})")
        if entry.accepted is not None:
            print_text(f"  though its version says too little: {entry.accepted}")
        if not entry.binding:
            print_text(f"  never in force: its status is {entry.status}; publish a later minor version with `status: active`")
        elif entry.valid_from > entry.published_at:
            print_text(f"  in force from {clock(entry.valid_from)} on")
    print_text(f"{len(published.new)} registered, {len(published.unchanged)} registered before")


@app.command("list")
def list_contracts(database_url: UrlOption = None, format: FormatOption = Format.TEXT) -> None:
    """The version of each contract that was registered last."""
    registry = options.registry_at(database_url)
    found = registry.list()
    _print_entries(found, format)
    if not found:
        say(_none_in_force(registry))


@app.command()
def history(
    contract_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    database_url: UrlOption = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Every registered version of a contract, newest first."""
    registry = options.registry_at(database_url)
    found = registry.history(contract_id)
    if not found:
        registry.get(contract_id)  # says what there is
    _print_entries(found, format)


@app.command()
def get(
    name: Annotated[str, typer.Argument(metavar="ID[@VERSION]", help="Without a version: the one in force.", show_default=False)],
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="In force then (RFC 3339). [default: now]")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write its text there.", show_default=False)] = None,
    text: Annotated[bool, typer.Option("--text", help="Print its text alone, as it was registered.")] = False,
    database_url: UrlOption = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """A registered version."""
    found = options.registry_at(database_url).get(name, None if at is None else options.instant(at, "--at"))
    if output is not None:
        _write(output, found.text)
    if text:
        typer.echo(found.text, nl=False)
    elif format is Format.JSON:
        print_json({"registered": _entry(found.entry), "consumers": _consumers(found.contract.policy.consumers), "text": found.text})
    else:
        rules = sum(len(compile_plan(found.contract, each).rules) for each in found.contract.objects)
        consumers = ", ".join(f"{consumer} ({fallback})" for consumer, fallback in found.contract.policy.consumers.items())
        cells = zip(_COLUMNS, _cells(found.entry), strict=True)
        print_fields([*cells, ("accepted", found.entry.accepted), ("rules", rules), ("consumers", consumers)])


@app.command()
def pull(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the files go.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace files that hold what was never registered: edits are lost.")] = False,
    database_url: UrlOption = None,
) -> None:
    """Write the contracts that are in force as files, for a code location to be loaded with.

    Files that are replaced hold an earlier version; where one holds what was never registered, nothing is written.
    """
    registry = options.registry_at(database_url)
    try:
        changed = registry.pull(folder, force=force)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}; name another folder") from error
    for path in changed:
        print_text(f"wrote {path}")
    print_text(f"{counted(len(changed), 'file')} changed")
    if not changed and not any(registry.contracts.in_force(entry.contract_id) for entry in registry.list()):
        say(_none_in_force(registry))


def _none_in_force(registry: Registry) -> str:
    if entries := registry.list():
        listed = ", ".join(f"{entry.name} ({entry.status})" for entry in entries[:10])
        return f"no contract is in force in the {registry.place}: {listed}; publish versions with `status: active`"
    return f"no contract is registered in the {registry.place}; `dagster-contracts publish` registers contracts"


@app.command()
def consumers(
    contract_id: Annotated[str | None, typer.Argument(metavar="[ID]", show_default=False)] = None,
    consumer: Annotated[str | None, typer.Option("--of", metavar="ASSET", help="What this asset consumes.", show_default=False)] = None,
    database_url: UrlOption = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Who consumes what, as the latest version of each contract says."""
    registry = options.registry_at(database_url)
    found = registry.consumers(contract_id, of=consumer)
    if not found and contract_id is not None and not registry.history(contract_id):
        registry.get(contract_id)  # says what there is
    if not found and not registry.list():
        say(_none_in_force(registry))
    if format is Format.JSON:
        print_json({"uses": list(map(of_row, found))})
        return
    rows = [(each.contract_id, each.version, each.consumer, str(each.fallback), ", ".join(each.properties)) for each in found]
    print_table(("contract", "version", "consumer", "fallback", "columns"), rows)
    options.tell_of_limit(len(found), "uses")


@app.command("add-consumer")
def add_consumer(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Asset keys, such as vendor/feed.", show_default=False)],
    actor: ActorOption = None,
    database_url: UrlOption = None,
) -> None:
    """Make consumers known that are in no definitions and have no contract."""
    if empty := next((name for name in names if not name.strip()), None):
        raise UsageError(f'"{empty}" is no name of a consumer; give an asset key, such as vendor/feed')
    options.registry_at(database_url).add_consumers(*names, author=options.acting(actor))
    print_text(f"known: {', '.join(names)}")


@app.command("report-violation")
def report_violation(
    asset: Annotated[str, typer.Argument(metavar="ASSET", show_default=False)],
    reason: Annotated[str, typer.Option("--reason", help="What was seen; it is told to all sinks.", show_default=False)],
    rule: Annotated[str | None, typer.Option("--rule", metavar="RULE", help="Which rule is broken.", show_default=False)] = None,
    partition: Annotated[str | None, typer.Option("--partition", metavar="P", help="Where it was seen.", show_default=False)] = None,
    actor: ActorOption = None,
    database_url: UrlOption = None,
) -> None:
    """Tell all sinks that data breaks its contract. It moves no breaker: see `breaker force-open`, `batch discard`."""
    event = options.registry_at(database_url).report_violation(
        asset, reason=options.stated(reason), actor=options.acting(actor), rule=rule, partition=partition
    )
    print_text(f"recorded {event.id}: {event.message}")


def _write(output: Path, text: str) -> None:
    try:
        output.write_bytes(text.encode())
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror or error}; name another file with --output") from error
    say(f"wrote {output}")


# --- forms ---------------------------------------------------------------------------------------------------------


def _entry(entry: Entry) -> dict[str, object]:
    return {name: value for name, value in of_row(entry).items() if name != "number"}


def _consumers(given: object) -> dict[str, str]:
    assert isinstance(given, dict)
    return {str(name): str(fallback) for name, fallback in given.items()}


def _cells(entry: Entry) -> tuple[object, ...]:
    begin = clock(entry.valid_from) if entry.binding else "never"
    times = (begin, entry.producer, entry.author, clock(entry.published_at))
    return (entry.contract_id, entry.version, entry.status, *times, entry.content_hash[:12])


def _print_entries(found: object, format: Format) -> None:
    entries = list(found)  # type: ignore[call-overload]
    if format is Format.JSON:
        print_json({"contracts": list(map(_entry, entries))})
        return
    print_table(_COLUMNS, map(_cells, entries))
    options.tell_of_limit(len(entries), "versions")
