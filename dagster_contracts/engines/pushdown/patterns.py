"""A contract's regular expression (Rust's dialect, see core/patterns.py) in the dialect of a database, with the same meaning.

`\\d`, `\\w`, `\\s` and `\\b` are Unicode, `.` is all but a line feed and `$` the very end: where a database means something else by the
same sign, it gets the characters themselves. Whether there is a match does not depend on greediness: lazy quantifiers become plain
ones. What a database has no means for is refused. A pattern never runs with another meaning.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache


class Inexpressible(Exception):
    """What a metric asks for has no expression in this database, or for this type of column. Its text is for people, quotes no value."""


@dataclass(frozen=True, slots=True)
class Flavour:
    """What the regular expressions of a database have."""

    categories: bool = True  # \p{Nd}; else its characters are written out
    groups: bool = True  # (?:...); else (...), which is the same where nothing refers back to it
    lookaround: bool = False  # of which a word boundary is made
    start: str = r"\A"
    end: str = r"\z"
    ignore_case: str | None = "i"  # flags at the start of the pattern
    by_line: str | None = "m"


_RE2 = Flavour()
_JAVA = Flavour(lookaround=True, ignore_case="iu", by_line="md")
_FLAVOURS = {
    "duckdb": _RE2,
    "bigquery": _RE2,
    "pyspark": _JAVA,
    "databricks": _JAVA,
    "trino": Flavour(lookaround=True),
    "postgres": Flavour(categories=False, lookaround=True, end=r"\Z", by_line="w"),
    "snowflake": Flavour(categories=False, groups=False, start="^", end="$", ignore_case=None, by_line=None),
}
_ESCAPE = r"\\[pP](?:\{[^}]*\}|.)|\\[xuU]\{[0-9A-Fa-f]+\}|\\x..|\\u.{4}|\\U.{8}|\\."
_NEXT = re.compile(rf"\(\?P?<\w+>|\(\?:|\(\?[a-zA-Z-]+\)?:?|{_ESCAPE}|.", re.DOTALL)
_IN_CLASS = re.compile(rf"\[:\^?\w+:\]|&&|--|~~|{_ESCAPE}|.", re.DOTALL)
_CONTROLS = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_WORD = ("L", "M", "Nd", "Nl", "Pc")
_WORD_TOO = "\u200c\u200dⒶ-ⓩ\U0001f130-\U0001f149\U0001f150-\U0001f169\U0001f170-\U0001f189"
_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "digit": "0-9", "lower": "a-z", "upper": "A-Z", "space": r"\t-\r ", "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip


def _refused(what: str) -> Inexpressible:
    return Inexpressible(f"its regular expressions do not have {what}")


@lru_cache(maxsize=1024)
def translated(pattern: str, dialect: str) -> str:
    """`pattern` for the database of the ibis backend `dialect`. Raises Inexpressible."""
    flavour = _FLAVOURS.get(dialect)
    if flavour is None:
        raise Inexpressible("the dialect of its regular expressions is not known")
    flags = re.match(r"\(\?([a-zA-Z]+)\)", pattern)
    written = "".join(_Writer(flavour, flags[1] if flags else "").pieces(pattern[flags.end() :] if flags else pattern))
    return _flags(flavour, flags[1] if flags else "") + written


def _flags(flavour: Flavour, asked: str) -> str:
    known = {"i": flavour.ignore_case, "m": flavour.by_line, "s": "", "u": ""}
    letters = [known.get(letter) for letter in asked]
    if None in letters:
        raise _refused(f"the flags (?{asked})")
    joined = "".join(letter for letter in letters if letter)
    return f"(?{joined})" if joined else ""


@dataclass(frozen=True, slots=True)
class _Writer:
    flavour: Flavour
    flags: str

    def pieces(self, pattern: str) -> Iterator[str]:
        at = 0
        while at < len(pattern):
            found = _NEXT.match(pattern, at)
            assert found is not None
            token, at = found[0], found.end()
            if token.startswith("["):
                text, at = self._class(pattern, found.start())
                yield text
            elif token in "*+?" or (token == "{" and re.match(r"\{[0-9, ]+\}", pattern[found.start() :])):
                text, at = _quantifier(pattern, found.start())
                yield text
            else:
                yield self._piece(token)

    def _piece(self, token: str) -> str:
        by_line = "m" in self.flags
        match token:
            case ".":
                return "(?:[^\\n]|\\n)" if "s" in self.flags else "[^\\n]"
            case "^":
                return "^" if by_line else self.flavour.start
            case "$":
                return "$" if by_line else self.flavour.end
            case r"\A":
                return self.flavour.start
            case r"\z":
                return self.flavour.end
            case r"\b" | r"\B":
                return self._boundary(token)
        if token.startswith("("):
            if len(token) > 2 and token != "(?:" and "<" not in token:
                raise _refused(f"flags within a pattern ({token})")
            return "(?:" if self.flavour.groups else "("
        if token.startswith("\\") and token[1] in "dDwWsSpP":
            return f"[{'^' if token[1].isupper() else ''}{self._set(token.lower()[:2] + token[2:])}]"
        return _literal(_character(token)) if token.startswith("\\") else token

    def _boundary(self, token: str) -> str:
        if not self.flavour.lookaround:
            raise _refused(f"{token} (a Unicode word boundary)")
        word = f"[{self._set(chr(92) + 'w')}]"
        inside, outside = (f"(?<={word})", f"(?<!{word})")
        if token == r"\b":
            return f"(?:{inside}(?!{word})|{outside}(?={word}))"
        return f"(?:{inside}(?={word})|{outside}(?!{word}))"

    def _set(self, token: str) -> str:
        """The inside of a bracket expression for \\d, \\w, \\s or \\p{...}."""
        if token == r"\s":
            return _SPACE
        names = {r"\d": ("Nd",), r"\w": _WORD}.get(token) or (token[2:].strip("{}"),)
        if any(re.fullmatch("[CLMNPSZ][a-z]?", name) is None for name in names):
            raise _refused(f"{token} (only general categories such as \\p{{Lu}})")
        more = _WORD_TOO if token == r"\w" else ""
        return "".join(rf"\p{{{name}}}" if self.flavour.categories else _written_out(_spans(name)) for name in names) + more

    def _class(self, pattern: str, start: int) -> tuple[str, int]:
        at = start + 1
        negated = pattern[at : at + 1] == "^"
        at += negated
        pieces: list[str] = []
        first = at
        while at < len(pattern) and (pattern[at] != "]" or at == first):
            found = _IN_CLASS.match(pattern, at)
            assert found is not None
            token, at = found[0], found.end()
            if token in ("&&", "--", "~~", "["):
                raise _refused(f"{token} within a character class")
            pieces.append(self._member(token, followed=pattern[at : at + 1] not in ("]", ""), first=not pieces))
        return f"[{'^' if negated else ''}{''.join(pieces)}]", at + 1

    def _member(self, token: str, *, followed: bool, first: bool) -> str:
        if token.startswith("[:"):
            posix = _POSIX.get(token[2:-2])
            if posix is None:
                raise _refused(f"{token} within a character class")
            return posix
        if token == "-" and followed and not first:
            return "-"
        if not token.startswith("\\") or token[1] not in "dDwWsSpP":
            return _literal(_character(token) if token.startswith("\\") else token)
        plain = token.lower()[:2] + token[2:]
        return _written_out(_others(plain)) if token[1].isupper() else self._set(plain)


def _quantifier(pattern: str, at: int) -> tuple[str, int]:
    found = re.compile(r"[*+?]|\{[0-9, ]+\}").match(pattern, at)
    assert found is not None
    after = pattern[found.end() : found.end() + 1]
    if after and after in "*+":
        raise _refused("a quantifier of a quantifier")
    return found[0].replace(" ", ""), found.end() + (after == "?")


def _character(escape: str) -> str:
    """The one character that an escape stands for."""
    letter, rest = escape[1], escape[2:].strip("{}")
    if letter in "xuU" and rest:
        return chr(int(rest, 16))
    if letter in _CONTROLS:
        return _CONTROLS[letter]
    if letter.isalnum() and letter.isascii():
        raise _refused(escape)
    return letter


def _literal(character: str) -> str:
    if character == "\0":
        raise _refused("a NUL character")
    return f"\\{character}" if character in r"\.+*?()|[]{}^$-&~#/" else character


# --- characters by their Unicode properties ------------------------------------------------------------------------


@cache
def _spans(category: str) -> tuple[tuple[int, int], ...]:
    """The code points of a general category ("L", "Nd") as inclusive spans, without the surrogates, which are no text."""
    members = (point for point in range(sys.maxunicode + 1) if unicodedata.category(chr(point)).startswith(category))
    return tuple(_joined(point for point in members if not 0xD800 <= point <= 0xDFFF))


def _others(token: str) -> Iterator[tuple[int, int]]:
    """The complement of a set."""
    if token == r"\s":
        inside = re.compile(f"[{_SPACE}]")
        return _joined(point for point in _characters() if not inside.match(chr(point)))
    names = {r"\d": ("Nd",), r"\w": _WORD}.get(token) or (token[2:].strip("{}"),)
    too = re.compile(f"[{_WORD_TOO}]") if token == r"\w" else re.compile("(?!)")
    outside = (point for point in _characters() if not unicodedata.category(chr(point)).startswith(names))
    return _joined(point for point in outside if not too.match(chr(point)))


def _characters() -> Iterable[int]:
    return (point for point in range(1, sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF)


def _joined(points: Iterable[int]) -> Iterator[tuple[int, int]]:
    start = last = -2
    for point in points:
        if point != last + 1:
            if start >= 0:
                yield start, last
            start = point
        last = point
    if start >= 0:
        yield start, last


def _written_out(spans: Iterable[tuple[int, int]]) -> str:
    return "".join(_literal(chr(low)) + (f"-{_literal(chr(high))}" if high > low else "") for low, high in spans)
