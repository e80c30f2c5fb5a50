"""A set of files -> a table of one row for each, which the rules of a contract judge like any other.

    path                 text     its place below the set, with "/"
    size                 integer  bytes
    modified             instant  when it was last written, UTC
    extension            text     what follows the last dot, in lower case; null without one
    extension_mime_type  text     the type that the extension stands for
    mime_type            text     the type that the content shows; "inode/x-empty" for 0 bytes, "application/octet-stream" for unknown
    sha256               text     of the content, hexadecimal
    encoding             text     of a text file, as Python calls it ("utf-8", "utf-16", "cp1252"); ASCII is utf-8
    characters           integer  of a text file, code points
    words                integer  of a text file, parted by white space
    language             text     of a text file, ISO 639 ("en"); "und" where it cannot be told, "zxx" where it is in none
    format               text     of an image, as Pillow calls it ("PNG", "JPEG")
    width, height        integer  of an image, pixels
    mode                 text     of an image, as Pillow calls it ("RGB", "L", "CMYK")
    channels             integer  of an image
    decodable            boolean  of an image, or of what is called like one: whether all of its pixels can be decoded
    error                text     why it could not be looked at, opened or decoded

What does not apply (the width of a text) or could not be found out is null. Only columns that are asked for are computed: path, size,
modified and those of the extension from the listing alone, all others by reading each file, in blocks of at most 1 MiB. Images are
decoded whole, one at a time above 16 million pixels.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import IO

import polars as pl
from polars.io.plugins import register_io_source

from dagster_contracts.engines.files import images, texts
from dagster_contracts.engines.files.places import File
from dagster_contracts.engines.files.sniffing import EMPTY, HEAD, RASTER, extension, is_text, mime_type, promised_type

COLUMNS: dict[str, pl.DataType] = {
    "path": pl.String(),
    "size": pl.Int64(),
    "modified": pl.Datetime("us", "UTC"),
    "extension": pl.String(),
    "extension_mime_type": pl.String(),
    "mime_type": pl.String(),
    "sha256": pl.String(),
    "encoding": pl.String(),
    "characters": pl.Int64(),
    "words": pl.Int64(),
    "language": pl.String(),
    "format": pl.String(),
    "width": pl.Int64(),
    "height": pl.Int64(),
    "mode": pl.String(),
    "channels": pl.Int64(),
    "decodable": pl.Boolean(),
    "error": pl.String(),
}
LISTED = frozenset(("path", "size", "modified", "extension", "extension_mime_type"))
TEXTUAL = frozenset(("encoding", "characters", "words", "language"))
PICTORIAL = frozenset(("format", "width", "height", "mode", "channels", "decodable"))

_LIBRARIES = {
    **dict.fromkeys(TEXTUAL, ("charset_normalizer",)),
    "language": ("charset_normalizer", "py3langid"),
    **dict.fromkeys(PICTORIAL, ("PIL",)),
}
_WORKERS = min(4, os.cpu_count() or 1)  # hashing and decoding leave the interpreter free, telling a language does not

Row = dict[str, object]


def lacking() -> dict[str, str]:
    """Columns that cannot be computed here, and why."""
    return {
        column: f"{column} of files needs {' and '.join(libraries)}: pip install 'dagster-contracts[files]'"
        for column, libraries in _LIBRARIES.items()
        if any(find_spec(library) is None for library in libraries)
    }


@dataclass(slots=True)
class FileTable:
    """The table of a set of files. Each column is computed when it is first read; `wanted` ones together, in one pass over the files."""

    files: Sequence[File]
    wanted: frozenset[str]
    computed: dict[str, pl.Series] = field(default_factory=dict)

    @property
    def frame(self) -> pl.LazyFrame:
        """All columns that can be computed here."""
        without = lacking()
        schema = {name: kind for name, kind in COLUMNS.items() if name not in without}

        def rows(with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _: int | None) -> Iterator[pl.DataFrame]:
            found = self.columns(with_columns if with_columns is not None else list(schema))
            found = found if n_rows is None else found.head(n_rows)
            yield found if predicate is None else found.filter(predicate)

        return register_io_source(rows, schema=schema)

    def columns(self, names: Sequence[str]) -> pl.DataFrame:
        """These columns, in this order; rows by path."""
        if missing := set(names) - self.computed.keys():
            self._compute((missing if missing <= LISTED else missing | self.wanted) - self.computed.keys())
        return pl.DataFrame([self.computed[name] for name in names])

    def _compute(self, names: Collection[str]) -> None:
        if set(names) <= LISTED:
            rows = [_listed(file) for file in self.files]
        else:
            if PICTORIAL & set(names):
                images.readable()
            with ThreadPoolExecutor(_WORKERS) as pool:
                rows = list(pool.map(partial(row_of, wanted=frozenset(names)), self.files))
        for name in names:
            self.computed[name] = pl.Series(name, [row.get(name) for row in rows], dtype=COLUMNS[name])


def row_of(file: File, wanted: frozenset[str]) -> Row:
    """The row of one file, with the columns that are wanted. Never raises for what the file is or holds."""
    row = _listed(file)
    if file.problem is not None:
        return {**row, "error": file.problem}
    try:
        with file.open() as content:
            return {**row, **_content(content, file.name, wanted)}
    except OSError as error:
        return {**row, "error": f"cannot be read ({error.strerror or error})"}


def _listed(file: File) -> Row:
    promised = promised_type(file.name)
    return {
        "path": file.name,
        "size": file.size,
        "modified": file.modified,
        "extension": extension(file.name),
        "extension_mime_type": promised,
    }


def _content(content: IO[bytes], name: str, wanted: frozenset[str]) -> Row:
    head = content.read(HEAD)
    kind = mime_type(head)
    row: Row = {"mime_type": kind}
    if "sha256" in wanted:
        content.seek(0)
        row["sha256"] = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]  # any binary file will do
    content.seek(0)
    if wanted & TEXTUAL:
        row |= _text(content, kind, wanted)
    if wanted & PICTORIAL and (kind in RASTER or promised_type(name) in RASTER):
        content.seek(0)
        row |= _picture(content, wanted)
    return row


def _text(content: IO[bytes], kind: str, wanted: frozenset[str]) -> Row:
    if kind == EMPTY:
        return {"characters": 0, "words": 0}
    if not is_text(kind):
        return {}
    found = texts.read_text(content)
    language = texts.language(found.start) if "language" in wanted else None
    row: Row = {"encoding": found.encoding, "characters": found.characters, "words": found.words, "language": language}
    return row if found.error is None else {**row, "error": found.error}


def _picture(content: IO[bytes], wanted: frozenset[str]) -> Row:
    found = images.read_picture(content, decode="decodable" in wanted)
    row: Row = {name: getattr(found, name) for name in PICTORIAL}
    return row if found.error is None else {**row, "error": found.error}
