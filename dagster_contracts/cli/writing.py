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
    """Write a text file, with the folders that it lies in. Raises UsageError, which names the option for another place."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}; name another file with {option}") from error
