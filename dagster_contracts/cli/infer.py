"""`infer` and `init`: first contracts, learned from files, or from what the assets of a project have stored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_contracts.cli import project
from dagster_contracts.cli.options import FileOption, ModuleOption
from dagster_contracts.cli.printing import say
from dagster_contracts.cli.writing import write_file
from dagster_contracts.core.errors import DagsterContractsError, UsageError
from dagster_contracts.core.wording import quoted

if TYPE_CHECKING:
    import polars as pl

SUFFIX = ".odcs.yaml"


def infer(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="Data that is believed good, a file a batch, in the order of their names: files, folders, globs or s3:// addresses. From "
            "five batches on, what varies between them is learned too.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The schema object's name, and the contract's id.", show_default=False)
    ],
    asset: Annotated[
        str | None, typer.Option("--asset", metavar="KEY", help="The asset's key, where its last part is not NAME.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="A new file to write it to. [default: print it]", show_default=False),
    ] = None,
) -> None:
    """Write a first contract from data: columns, types, keys, allowed values, ranges, null rates, row counts, cadence.

    It is a draft to be read and edited: what good data keeps to by chance, it proposes too.
    """
    from dagster_contracts.chaos.infer import infer as inferred
    from dagster_contracts.engines.local import default_engine

    _require_name(name)
    if output is not None and output.exists():
        raise UsageError(f"{output} is there already, and nothing is written over; name a new file with --output")
    text = inferred(name, _frames(data), default_engine(), asset=asset, told=say)
    if output is None:
        typer.echo(text, nl=False)
        return
    write_file(output, text)
    say(f"wrote {output}")


def _require_name(name: str) -> None:
    """Raises UsageError."""
    if not name.strip():
        raise UsageError(f'--name "{name}": expected the name of the schema object, which is the last part of its asset\'s key')
    if "/" in name:
        last = name.rpartition("/")[2]
        near = f"; for the asset of that key: --name {quoted(last)} --asset {quoted(name)}" if last.strip() else ""
        raise UsageError(f"--name {name}: a name has no /{near}")


def init(
    contracts: Annotated[Path, typer.Option("--contracts", metavar="DIR", help="The folder for the contracts.")] = Path("contracts"),
    asset: Annotated[
        list[str] | None, typer.Option("--asset", metavar="KEY", help="This asset alone; may be given several times.", show_default=False)
    ] = None,
    last: Annotated[int, typer.Option("--last", min=1, help="How many of the newest stored partitions are read.")] = 30,
    file: FileOption = None,
    module: ModuleOption = None,
) -> None:
    """Write a first contract for every asset of a project, from what is stored of it, and say how to put them on.

    Reads assets through their own IO managers. Contracts that are there already stay as they are; what cannot be read is said.
    What was made from fallback data is left out.
    """
    from dagster_contracts.chaos.infer import infer as inferred
    from dagster_contracts.engines.local import default_engine
    from dagster_contracts.plugin.reading import stored_frames

    found = project.load(file, module)
    keys, governed = found.operations.ungoverned_assets(found.definitions, asset or [])
    for key in governed:
        say(f"{key}: left out, a contract governs it already")
    written = 0
    for key in keys:
        name = key.rpartition("/")[2]
        path = contracts / f"{_file_name(key, keys)}{SUFFIX}"
        if path.exists():
            say(f"{key}: {path} is there already")
            continue
        try:
            frames = stored_frames(found.definitions, found.instance, key, last, say)
            text = inferred(name, frames, default_engine(), asset=key, told=say)
        except DagsterContractsError as error:
            say(f"{key}: no contract: {error}")
            continue
        write_file(path, text, "--contracts")
        say(f"wrote {path}")
        written += 1
    if not written and not any(contracts.glob(f"*{SUFFIX}")):
        raise UsageError("no contract was written: materialize the assets first, or learn from files with `dagster-contracts infer`")
    typer.echo((_NEXT if not governed else _MORE).format(contracts=contracts, count=written, s="" if written == 1 else "s"), nl=False)


_NEXT = """{count} contract{s} in {contracts}. Read and edit them, then put them on:

    from dagster_contracts import with_contracts

    defs = with_contracts(defs, contracts="{contracts}")

To check them: dagster-contracts lint {contracts}
"""


_MORE = """{count} contract{s} in {contracts}. Read and edit them. These definitions are governed already: name that folder in
their `with_contracts`.

To check them: dagster-contracts lint {contracts}
"""


def _file_name(key: str, keys: Sequence[str]) -> str:
    """The last part of a key, or all of them where others end alike."""
    last = key.rpartition("/")[2]
    alone = sum(other.rpartition("/")[2] == last for other in keys) == 1
    return re.sub(r"[^\w.-]", "_", last if alone else key.replace("/", "."))


def _frames(data: Sequence[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    from dagster_contracts.cli.tables import tables

    empty = True
    for each in tables(data):
        empty = False
        yield each
    if empty:
        raise UsageError(f"{', '.join(data)}: no data file there; expected Parquet, CSV or JSON lines")
