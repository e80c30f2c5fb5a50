"""Text and JSON on a terminal or a pipe. What is printed comes from strangers' files: it must not drive the terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from dagster_contracts.core.inert import LINE, cut, plain

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_PIPE_WIDTH = 200  # columns of a table that nobody's terminal limits

_STYLES = {
    "pass": "green",
    "warn": "yellow",
    "fail": "bold red",
    "inconclusive": "magenta",
    "closed": "green",
    "open": "bold red",
    "half_open": "yellow",
    "breaker open": "bold red",
    "breaker half_open": "yellow",
    "breaker closed": "bold green",
    "quarantined": "red",
    "halted": "red",
    "held": "yellow",
    "served last_good": "yellow",
    "served low_confidence": "yellow",
    "released": "green",
    "healed": "green",
}


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"


def one_line(text: object) -> str:
    r"""As `plain`, with line breaks and tabs written as \n and \t: for table cells and list entries."""
    return plain(cut(str(text), LINE)).replace("\n", "\\n").replace("\t", "\\t")


def say(message: object) -> None:
    """Progress and remarks, on stderr."""
    lines = (plain(cut(line, LINE)) for line in str(message).split("\n"))
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


def say_error(message: object) -> None:
    say(f"error: {message}")


def print_json(document: Mapping[str, object]) -> None:
    """One JSON document on stdout, in ASCII: no reader's encoding and no terminal can stumble over it."""
    _write(json.dumps({"version": 1, **document}, indent=2, allow_nan=False) + "\n")


def print_text(*parts: object) -> None:
    """One line, never wrapped."""
    _emit(joined(*parts), soft_wrap=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Values are made safe; None is an empty cell."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    cells = [["" if value is None else joined(value) for value in row] for row in rows]
    every = [[str(cell) for cell in column] for column in zip(columns, *cells, strict=True)]
    widths = _widths([(max(map(len, each)), max(_longest_word(cell) for cell in each)) for each in every], _width())
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, overflow="fold", width=width)
    for row in cells:
        table.add_row(*row)
    _emit(table)


_GAP = 3  # columns between two of a table
_LONGEST_WORD = 40  # a longer one is broken


def _longest_word(cell: str) -> int:
    return min(max(map(len, cell.split(" "))), _LONGEST_WORD)


def _widths(sizes: Sequence[tuple[int, int]], width: int) -> list[int | None]:
    """Of columns that are so wide and have a longest word of so many: the widest give way first, and none breaks a word. All are None
    where words must be broken, or nothing has to give way."""
    widths, room = [whole for whole, _ in sizes], width - _GAP * (len(sizes) - 1)
    if sum(widths) <= room or sum(word for _, word in sizes) > room:
        return [None] * len(sizes)
    while sum(widths) > room:
        widest = max((n for n, (_, word) in enumerate(sizes) if widths[n] > word), key=lambda n: widths[n])
        widths[widest] -= 1
    return list(widths)


def print_row(cells: Sequence[object], widths: Sequence[int]) -> None:
    """One row of a table that is still growing: `widths` of all cells but the last, which takes what is left."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    for width in widths:
        grid.add_column(width=width, overflow="fold")
    grid.add_column(overflow="fold")
    grid.add_row(*map(joined, cells))
    _emit(grid)


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Names and values below each other; those without a value are left out."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields:
        if value not in (None, "", ()):
            grid.add_row(name, joined(value))
    _emit(grid)


def styled(text: object, style: str | None = None) -> Text:
    """One safe line in a style; without one, known words (pass, open ...) have their own."""
    from rich.text import Text

    line = one_line(text)
    return Text(line, style=_STYLES.get(line, "") if style is None else style)


def joined(*parts: object) -> Text:
    """Several texts as one line. What is no Text yet is made safe."""
    from rich.text import Text

    return Text("").join(part if isinstance(part, Text) else styled(part) for part in parts)


def lasting(duration: timedelta) -> str:
    """A duration to read at a glance: "3d 4h", "12m", "40s"; negative ones as zero."""
    seconds = max(0, int(duration.total_seconds()))
    units = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
    parts = [(seconds // size if unit == "d" else seconds // size % {"h": 24, "m": 60, "s": 60}[unit], unit) for unit, size in units]
    shown = [f"{count}{unit}" for count, unit in parts if count][:2]
    return " ".join(shown) or "0s"


def _width() -> int:
    """Of the window; of a pipe what COLUMNS says."""
    if sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdecimal() and int(given) > 0 else _PIPE_WIDTH


def _emit(what: RenderableType, *, soft_wrap: bool = False) -> None:
    """Print on stdout as it is now: colours and the width of the window only on a terminal."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=_width(), highlight=False, markup=False, emoji=False)
    with console.capture() as captured:  # written by ourselves: rich ends with exit code 1 where the reader of a pipe has left
        console.print(what, soft_wrap=soft_wrap)
    # Tables are padded to their full width, which only a terminal needs.
    text = captured.get()
    _write(text if sys.stdout.isatty() else re.sub(" +$", "", text, flags=re.MULTILINE))


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
