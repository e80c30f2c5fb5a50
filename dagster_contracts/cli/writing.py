"""Files that a command writes."""

from __future__ import annotations

from pathlib import Path

import typer

from dagster_contracts.cli.printing import say
from dagster_contracts.core.errors import UsageError


def print_page(text: str, output: Path | None) -> None:
    """An HTML page, to a file or to stdout."""
    if output is None:
        typer.echo(text, nl=False)
        return
    write_file(output, text)
    say(f"wrote {output}")


def write_file(path: Path, text: str, option: str = "--output") -> None:
    """Write a text file, with the folders that it lies in; line ends stay as they are. Raises UsageError, which names the option for
    another place."""
    write_bytes(path, text.encode(), option)


def write_bytes(path: Path, content: bytes, option: str) -> None:
    """As `write_file`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}; name another file with {option}") from error


def write_version(text: str, name: str, version: str, to: Path | None) -> Path:
    """Write the new version of a contract whose file is called `name`, and say where: to `to`, else to NAME-VERSION in the folder that this
    runs in. Raises UsageError where it cannot be written; without `to` also for a file that stands there already."""
    place = to or Path(named(name, version))
    if to is None and place.exists():
        raise UsageError(f"{place} exists already; remove it, or name another file with --fix-to")
    write_file(place, text, "--fix-to")
    say(f"wrote version {version} to {place}")
    return place


def named(name: str, version: str) -> str:
    """orders.odcs.yaml as orders-1.1.0.odcs.yaml."""
    stem, *suffixes = name.split(".")
    return f"{stem}-{version}{''.join(f'.{suffix}' for suffix in suffixes)}"
