"""One pass over the bytes of a CSV, before it is read as a table: what a fast reader passes over without a word is told here.

Polars fills a line that is cut short with nulls, takes a NUL for text, and does not look at what no rule asks for; so a damaged file
could pass. The pass costs about as much as reading.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from typing import IO

import numpy as np
import numpy.typing as npt

from dagster_contracts.engines.files.places import Unreadable

LONGEST = 64 << 20  # bytes of one line
_BLOCK = 1 << 20
_QUOTE, _COMMA, _LF, _CR = b'",\n\r'

_Positions = npt.NDArray[np.intp]


def header(path: str, file: IO[bytes]) -> list[str]:
    """The column names: the first record. Leaves `file` anywhere."""
    try:
        return next(csv.reader(_first_lines(path, file), strict=True), [])
    except csv.Error as error:
        reason = f"{path}: the header cannot be read as CSV; expected names parted by commas, and lines that end in LF or CRLF"
        raise Unreadable(reason, str(error)) from error


def _first_lines(path: str, file: IO[bytes]) -> Iterator[str]:
    left, first = _BLOCK, True
    while line := file.readline(left):
        left -= len(line)
        if left <= 0:
            raise Unreadable(f"{path}: the header is longer than {_BLOCK >> 20} MiB; is this CSV?")
        if b"\x00" in line:
            raise Unreadable(f"{path}: the first line holds NUL bytes: a binary or UTF-16 file; expected CSV in UTF-8; convert it")
        try:
            yield line.decode("utf-8-sig" if first else "utf-8")
        except UnicodeDecodeError as error:
            raise Unreadable(f"{path}: the header is not UTF-8 (byte {error.start}); convert the file to UTF-8") from error
        first = False


def survey(path: str, file: IO[bytes], fields: int) -> bool:
    """Whether there are blank lines. Raises Unreadable for NUL bytes, what is not UTF-8, lines of another number of fields than
    `fields`, a quote that is never closed, and a line longer than LONGEST."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    carry, seen, blank = b"", 0, False
    while True:
        block = file.read(max(_BLOCK, len(carry)))  # of a long line ever more at once, so that it is not searched again and again
        _require_text(path, block, decoder, final=not block)
        text = carry + block
        end = np.frombuffer(text if block or text.endswith(b"\n") or not text else text + b"\n", np.uint8)
        breaks, commas = _outside_quotes(end)
        if not block and text and (not len(breaks) or breaks[-1] != len(end) - 1):
            raise Unreadable(f"{path}: a quote that is opened after line {seen:,} is never closed; was the file written completely?")
        if len(breaks):
            blank |= _require_fields(path, end, breaks, commas, fields, seen)
            seen += len(breaks)
            carry = text[breaks[-1] + 1 :]
        else:
            carry = text
        if not block:
            return blank
        if len(carry) > LONGEST:
            raise Unreadable(f"{path}: the line after line {seen:,} is longer than {LONGEST >> 20} MiB; is a quote left open?")


def _require_text(path: str, block: bytes, decoder: codecs.IncrementalDecoder, *, final: bool) -> None:
    if b"\x00" in block:
        raise Unreadable(f"{path}: holds NUL bytes: a binary or damaged file; expected CSV in UTF-8; write it again")
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path}: holds bytes that are not UTF-8 ({error.reason}); convert the file to UTF-8") from error


def _outside_quotes(text: npt.NDArray[np.uint8]) -> tuple[_Positions, _Positions]:
    """Where lines end and where fields do. `text` starts outside of quotes; a doubled quote closes and opens again."""
    breaks, commas = np.flatnonzero(text == _LF), np.flatnonzero(text == _COMMA)
    quotes = np.flatnonzero(text == _QUOTE)
    if not len(quotes):
        return breaks, commas
    return breaks[np.searchsorted(quotes, breaks) % 2 == 0], commas[np.searchsorted(quotes, commas) % 2 == 0]


def _require_fields(path: str, text: npt.NDArray[np.uint8], breaks: _Positions, commas: _Positions, fields: int, seen: int) -> bool:
    """Whether there are blank lines among these."""
    lengths = np.diff(breaks, prepend=-1) - 1
    before = text[breaks - 1]
    blank: npt.NDArray[np.bool_] = (lengths == 0) | ((lengths == 1) & (before == _CR))
    found = np.diff(np.searchsorted(commas, breaks), prepend=0) + 1
    ragged = np.flatnonzero((found != fields) & ~blank)
    if len(ragged):
        first = int(ragged[0])
        raise Unreadable(
            f"{path}: line {seen + first + 1:,} has {found[first]:,} fields, the header {fields:,}; "
            "was the file written completely, and text with commas quoted?"
        )
    return bool(blank.any())
