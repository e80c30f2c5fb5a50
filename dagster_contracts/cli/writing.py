"""Files that a command writes."""

from __future__ import annotations

from pathlib import Path

from dagster_contracts.core.errors import UsageError


def write_file(path: Path, text: str, option: str = "--output") -> None:
    """Write a text file, with the folders that it lies in. Raises UsageError, which names the option for another place."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}; name another file with {option}") from error
