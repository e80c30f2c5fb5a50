"""What is wrong at a place of a document, and how places and values are named in messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong at one place of a document."""

    path: Path
    message: str


def path_text(path: Path) -> str:
    """`("schema", 0, "name")` as "schema[0].name"."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def maps(value: object) -> Iterator[tuple[int, dict[str, object]]]:
    """The mappings of a list with their index. Nothing where it is no list: the JSON schema reports that."""
    if isinstance(value, list):
        yield from ((index, item) for index, item in enumerate(value) if isinstance(item, dict))


def shown(value: object) -> str:
    """A found value for a message, cut to a readable length."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
