"""Encoding, length and language of a text file. Encodings are told by charset-normalizer, languages by py3langid (extra `files`)."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import IO, Any

from dagster_contracts.engines.files.sniffing import utf_16_without_mark

SURE = 0.5  # probability that a language must have to be told
UNDECIDED = "und"

_SAMPLE = 64 << 10  # bytes that an encoding is told by where it is not UTF-8
_LANGUAGE_SAMPLE = 20_000  # characters that a language is told by
_BLOCK = 1 << 20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Of DOS, Macintosh, mainframes, and those of ISO that hardly anybody used. Among them, a short text is taken for any of a dozen.
_BYGONE = """
    cp437 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857 cp858 cp860 cp861 cp862 cp863 cp864 cp865 cp866 cp869 cp1006 cp1125
    cp037 cp273 cp424 cp500 cp875 cp1026 cp1140 hp_roman8 ptcp154 kz1048
    mac_arabic mac_croatian mac_cyrillic mac_farsi mac_greek mac_iceland mac_latin2 mac_roman mac_romanian mac_turkish
    iso8859_3 iso8859_4 iso8859_10 iso8859_14 iso8859_16
"""


@dataclass(frozen=True, slots=True)
class Text:
    """`encoding` is a name of Python's codecs; ASCII is UTF-8. None where no encoding fits: then `error` says so, and there is no length.

    `start` is the beginning of the text, to tell its language by.
    """

    encoding: str | None = None
    characters: int | None = None  # code points, without the byte order mark
    words: int | None = None  # runs of what is no white space
    start: str = ""
    error: str | None = None


def read_text(file: IO[bytes]) -> Text:
    """Read a text file in blocks. Raises OSError."""
    sample = file.read(_SAMPLE)
    encoding = _encoding(sample)
    if encoding is None:
        return Text(error="text of an unknown encoding")
    file.seek(0)
    characters = words = 0
    start, inside = "", False
    try:
        for text in _decoded(file, encoding):
            characters += len(text)
            words += len(text.split()) - (inside and not text[0].isspace())
            inside = not text[-1].isspace()
            start += text[: _LANGUAGE_SAMPLE - len(start)]
    except UnicodeDecodeError as error:
        return Text(start=start, error=f"text that begins as {encoding}, and holds bytes that are not ({error.reason})")
    return Text(encoding, characters, words, start)


def language(text: str) -> str | None:
    """The ISO 639 code of the language ("en"); "und" where the text is too short or mixed to tell, "zxx" where it is in none (numbers).

    None for no text at all.
    """
    if not text.strip():
        return None
    code, probability = _identifier().classify(text)
    return str(code) if probability >= SURE or code == "zxx" else UNDECIDED


def _encoding(sample: bytes) -> str | None:
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return name
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)  # a character may be cut at the end of the sample
    except UnicodeDecodeError:
        return _guessed(sample)
    return utf_16_without_mark(sample) or "utf-8"


def _guessed(sample: bytes) -> str | None:
    import charset_normalizer

    if len(sample) == _SAMPLE:
        sample = sample[: sample.rfind(b"\n") + 1] or sample  # no character is cut at the end of a line
    found = charset_normalizer.from_bytes(sample, cp_exclusion=_BYGONE.split()).best()
    if found is None:
        return None
    with suppress(UnicodeDecodeError):
        if sample.decode("cp1252") == str(found):
            return "cp1252"  # of encodings that read the same, the usual one
    return codecs.lookup(found.encoding).name


def _decoded(file: IO[bytes], encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    for block in iter(lambda: file.read(_BLOCK), b""):
        if text := decoder.decode(block):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


@cache
def _identifier() -> Any:
    """The model comes with the package and takes a second to load: once in a process."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
