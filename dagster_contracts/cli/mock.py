"""`mock`: data that keeps a contract, for those who build before the producer delivers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_contracts.cli import options
from dagster_contracts.cli.options import ContractArgument, UrlOption
from dagster_contracts.cli.printing import print_text, say
from dagster_contracts.cli.revisions import contract_at
from dagster_contracts.core.contract import Contract
from dagster_contracts.core.errors import UsageError, did_you_mean
from dagster_contracts.core.wording import counted

if TYPE_CHECKING:
    from dagster_contracts.mocking.making import Made

_FORMATS = ("parquet", "csv", "jsonl")
_UNSAFE = re.compile(r"[^\w.-]")


def mock(
    contract: ContractArgument,
    rows: Annotated[int, typer.Option("--rows", metavar="N", help="Rows of each object; rowCount rules may ask for others.")] = 100,
    seed: Annotated[int, typer.Option("--seed", help="Another seed gives other data, the same one the same.")] = 0,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PLACE", help="A folder, or for one object a file.")] = Path("."),
    format: Annotated[
        str | None, typer.Option("--format", metavar="[parquet|csv|jsonl]", help="[default: by the name of the file, else parquet]")
    ] = None,
    object_name: Annotated[
        str | None, typer.Option("--object", metavar="NAME", help="Write this schema object alone.", show_default=False)
    ] = None,
    now: Annotated[
        str | None, typer.Option("--now", metavar="TIME", help="When the data arrives (RFC 3339); its times lie before. [default: now]")
    ] = None,
    keep_unmet: Annotated[bool, typer.Option("--keep-unmet", help="Write data that breaks rules too; they are told.")] = False,
    database_url: UrlOption = None,
) -> None:
    """Make data that passes `test`: a file for each schema object, named like it.

    Exit code 1: some rules cannot be promised (SQL, Great Expectations); they are named, and nothing is written without --keep-unmet.
    2: rules contradict each other, or bad usage.
    """
    from dagster_contracts.mocking import checked
    from dagster_contracts.mocking.making import make

    moment = checked(rows, datetime.now(UTC) if now is None else options.instant(now, "--now"))
    found = contract_at(contract, database_url, profiles=True)
    made = make(found, rows=rows, seed=seed, now=moment)
    for obj in found.objects:
        if obj.name not in made:
            say(f"{obj.name} is a set of files; data is made for tables")
    places = _places(_asked(found, made, object_name), output, _format(format, output))
    if _written({name: made[name] for name in places}, places, _format(format, output), moment, rows, keep=keep_unmet):
        raise typer.Exit(1)


def _format(given: str | None, place: Path) -> str:
    word = given.strip().lower() if given else place.suffix.lower().removeprefix(".").replace("ndjson", "jsonl")
    if given and word not in _FORMATS:
        raise UsageError(f'--format: "{given}" is not written{did_you_mean(word, _FORMATS) or ";"} expected parquet, csv or jsonl')
    return word if word in _FORMATS else "parquet"


def _asked(contract: Contract, made: Mapping[str, Made], name: str | None) -> list[str]:
    if not made:
        raise UsageError(f"{contract.source}: contract {contract.id} {contract.version} has no schema object that is a table")
    if name is not None and name not in made:
        raise UsageError(f'{contract.source} has no schema object "{name}"{did_you_mean(name, made) or ";"} it has: {", ".join(made)}')
    return [name] if name is not None else list(made)


def _places(names: list[str], place: Path, form: str) -> dict[str, Path]:
    """Where each object is written to. Raises UsageError where several would be written to one file, or none can be."""
    if not place.is_dir() and place.suffix.lower().removeprefix(".") in (*_FORMATS, "ndjson"):
        if len(names) > 1:
            raise UsageError(
                f"{place} is one file, and there are {len(names)} objects: {', '.join(names)}; name a folder, or one with --object"
            )
        return {names[0]: place}
    if place.exists() and not place.is_dir():
        raise UsageError(
            f"--output {place} is a file that is no .parquet, .csv or .jsonl; nothing is written over it: name a folder, or such a file"
        )
    places = {name: place / f"{_UNSAFE.sub('_', name)}.{form}" for name in names}
    if len(set(places.values())) < len(places):
        raise UsageError(f"several objects would be written to one file: {', '.join(names)}; write them one by one with --object")
    return places


def _written(made: Mapping[str, Made], places: Mapping[str, Path], form: str, now: datetime, rows: int, *, keep: bool) -> bool:
    """Whether rules are broken. What is written is judged from the file, before it takes the place of anything."""
    from dagster_contracts.mocking.files import DataFormat, write
    from dagster_contracts.mocking.making import reread
    from dagster_contracts.mocking.telling import told

    with TemporaryDirectory(prefix="dagster-contracts-") as folder:
        copies = {name: Path(folder, f"{number}.{form}") for number, name in enumerate(places)}
        read = {}
        for name, copy in copies.items():
            write(made[name].frame, copy, DataFormat(form), made[name].object)
            read[name] = reread(made[name], copy, now)
        broken = any(each.refused for each in read.values())
        for each in read.values():
            for line in told(each):
                say(line)
        for name, copy in copies.items() if keep or not broken else ():
            _put(copy, places[name])
            count = read[name].frame.height
            asked = f", as its rowCount rules ask; {rows:,} were asked for" if count != rows else ""
            print_text(f"{name}: {counted(count, 'row')} in {places[name]}{asked}")
    if broken and not keep:
        say("nothing was written; --keep-unmet writes it all the same")
    return broken


def _put(copy: Path, place: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(copy.read_bytes())
    except OSError as error:
        raise UsageError(f"{place} cannot be written: {error.strerror or error}; name another place with --output") from error
