"""Regular expressions of contracts (Rust's dialect, which core/patterns.py has checked) -> shapes.

What characters a class of Unicode has is taken from a small stock of characters of several scripts, and of one that the stock lacks from
the tables of Python.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from dagster_contracts.mocking.shapes import EMPTY, ENDLESS, Either, Repeated, Row, Shape, one_of

_STOCK = frozenset(string.printable[:95] + "\t\näöüÄÖÜßéèñçøåÅŁłαβγΑΒΩбжяБЖЯ日本漢字あいアイابتאבג한글กขहि٣४€£½²①–«»…’")
_DIGITS, _SPACES = set(string.digits), {" ", "\t", "\n"}
_WORDS = set(string.ascii_letters + string.digits + "_")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_NAMED = {
    "alnum": set(string.ascii_letters + string.digits),
    "alpha": set(string.ascii_letters),
    "ascii": set(string.printable[:95]),
    "blank": {" ", "\t"},
    "cntrl": {"\t", "\n"},
    "digit": _DIGITS,
    "graph": set(string.printable[:94]),
    "lower": set(string.ascii_lowercase),
    "print": set(string.printable[:95]),
    "punct": set(string.punctuation),
    "space": _SPACES,
    "upper": set(string.ascii_uppercase),
    "word": _WORDS,
    "xdigit": set(string.hexdigits),
}
_PROPERTIES: dict[str, Callable[[str], bool]] = {
    "alphabetic": str.isalpha,
    "alpha": str.isalpha,
    "lowercase": str.islower,
    "lower": str.islower,
    "uppercase": str.isupper,
    "upper": str.isupper,
    "whitespace": str.isspace,
    "wspace": str.isspace,
    "space": str.isspace,
    "ascii": str.isascii,
    "any": lambda _: True,
    "assigned": lambda _: True,
    "cased": lambda character: character.isupper() or character.islower(),
    "lc": lambda character: character.isupper() or character.islower(),
    "han": lambda character: unicodedata.name(character, "").startswith("CJK"),
    "xidstart": str.isidentifier,
    "idstart": str.isidentifier,
    "idcontinue": lambda character: ("a" + character).isidentifier(),
    "xidcontinue": lambda character: ("a" + character).isidentifier(),
}
_CATEGORIES = {
    "letter": "L", "uppercaseletter": "Lu", "lowercaseletter": "Ll", "titlecaseletter": "Lt", "modifierletter": "Lm", "otherletter": "Lo",
    "mark": "M", "nonspacingmark": "Mn", "number": "N", "decimalnumber": "Nd", "digit": "Nd", "letternumber": "Nl", "othernumber": "No",
    "punctuation": "P", "punct": "P", "dashpunctuation": "Pd", "openpunctuation": "Ps", "closepunctuation": "Pe",
    "connectorpunctuation": "Pc", "otherpunctuation": "Po", "symbol": "S", "mathsymbol": "Sm", "currencysymbol": "Sc",
    "separator": "Z", "spaceseparator": "Zs", "other": "C", "control": "Cc",
}  # fmt: skip
_REPETITION = re.compile(r"\{ *([0-9]+) *(,?) *([0-9]*) *\}")
_FLAGS = re.compile(r"\(\?([a-zA-Z]*)(?:-([a-zA-Z]*))?([:)])")
_NAME = re.compile(r"\(\?P?<[^>]*>")
_BOUNDARY = re.compile(r"\\b\{[^}]*\}|\\[bBAz]|[\^$]")
_CODE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|[xuU]\{([0-9A-Fa-f]+)\})")
_UNICODE = re.compile(r"\\([pP])(?:\{(\^?)([^}]*)\}|(\w))")
_MOST_OF_RANGE = 256


class Read(NamedTuple):
    """A pattern as a shape, and whether it says how a text begins, and how it ends."""

    shape: Shape
    starts: bool
    ends: bool


@lru_cache(maxsize=512)
def read_pattern(pattern: str) -> Read:
    """`pattern` must be one that core/patterns.py finds no problem with."""
    starts = re.match(r"(?:\(\?[a-zA-Z-]*\))?[(?:]*(?:\^|\\A)", pattern) is not None
    return Read(_Parser(pattern).choice(), starts, re.search(r"(?<!\\)(?:\$|\\z)\)*$", pattern) is not None)


class _Parser:
    """Recursive descent: choice of rows of repeated atoms. `spaced`: white space means nothing (flag x)."""

    def __init__(self, pattern: str, spaced: bool = False):
        self.pattern, self.at, self.spaced = pattern, 0, spaced

    def choice(self) -> Shape:
        before = self.spaced
        options = [self._row()]
        while self._take("|"):
            options.append(self._row())
        self.spaced = before
        return options[0] if len(options) == 1 else Either(tuple(options))

    def _row(self) -> Shape:
        parts: list[Shape] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            if self.spaced and self._blank():
                continue
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else Row(tuple(parts))

    def _blank(self) -> bool:
        found = re.compile(r"\s+|#[^\n]*").match(self.pattern, self.at)
        self.at = found.end() if found else self.at
        return found is not None

    def _repeated(self, shape: Shape) -> Shape:
        while self.at < len(self.pattern):
            if self._take("*"):
                least, most = 0, ENDLESS
            elif self._take("+"):
                least, most = 1, ENDLESS
            elif self._take("?"):
                least, most = 0, 1
            elif found := self._match(_REPETITION):
                least = int(found[1])
                most = int(found[3]) if found[3] else ENDLESS if found[2] else least
            else:
                break
            self._take("?")  # lazy: the same texts match
            shape = Repeated(shape, least, most)
        return shape

    def _atom(self) -> Shape:
        if self._match(_BOUNDARY):
            return EMPTY
        if self.pattern[self.at] == "(":
            return self._group()
        if self.pattern[self.at] == "[":
            return one_of(self._class() or set("?"))
        if self._take("."):
            return one_of(set(_STOCK) - {"\n"})
        return one_of(self._character())

    def _group(self) -> Shape:
        if flags := self._match(_FLAGS):
            before = self.spaced
            self.spaced = (before or "x" in flags[1]) and "x" not in (flags[2] or "")
            if flags[3] == ")":
                return EMPTY
            shape = self.choice()
            self.spaced = before
        else:
            if not self._match(_NAME):
                self._take("(")
            shape = self.choice()
        self._take(")")
        return shape

    def _character(self) -> set[str]:
        """One character, or what a class in short stands for."""
        if code := self._match(_CODE):
            return {chr(int(next(digits for digits in code.groups() if digits), 16))}
        if unicode := self._match(_UNICODE):
            found = of_unicode(unicode[3] or unicode[4])
            return set(_STOCK) - found if (unicode[1] == "P") != bool(unicode[2]) else found
        if not self._take("\\"):
            self.at += 1
            return {self.pattern[self.at - 1]}
        self.at += 1
        letter = self.pattern[self.at - 1]
        short = {"d": _DIGITS, "s": _SPACES, "w": _WORDS}.get(letter.lower())
        if short is not None and letter in "dswDSW":
            return set(short) if letter.islower() else set(_STOCK) - short
        return {_ESCAPED.get(letter, letter)}

    # --- classes

    def _class(self) -> set[str]:
        """[...], with classes within, and what both sides of &&, --, ~~ have."""
        if named := self._match(re.compile(r"\[:(\^?)(\w+):\]")):
            return set(_STOCK) - _NAMED[named[2]] if named[1] else set(_NAMED[named[2]])
        self._take("[")
        negated = self._take("^")
        found = self._items(first=True)
        while self.pattern[self.at : self.at + 2] in ("&&", "--", "~~"):
            sign = self.pattern[self.at]
            self.at += 2
            other = self._items(first=False)
            found = found & other if sign == "&" else found - other if sign == "-" else found ^ other
        self._take("]")
        return set(_STOCK) - found if negated else found

    def _items(self, *, first: bool) -> set[str]:
        found: set[str] = set()
        while self.at < len(self.pattern) and (first or self.pattern[self.at] != "]"):
            if self.pattern[self.at : self.at + 2] in ("&&", "--", "~~") and not (first and self.pattern[self.at] == "-"):
                break
            if self.spaced and self._blank():
                continue
            found |= self._item()
            first = False
        return found

    def _item(self) -> set[str]:
        if self.pattern[self.at] == "[":
            return self._class()
        low = self._character()
        following = self.pattern[self.at : self.at + 2]
        if len(low) != 1 or not following.startswith("-") or following in ("-", "-]", "--"):
            return low
        self.at += 1
        high = self._character()
        return _between(ord(low.pop()), ord(high.pop()))

    def _take(self, text: str) -> bool:
        found = self.pattern.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found

    def _match(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        found = expression.match(self.pattern, self.at)
        self.at = found.end() if found else self.at
        return found


def _between(low: int, high: int) -> set[str]:
    """Of a wide range some characters, spread over it, and those that the stock has."""
    step = max(1, (high - low + 1) // _MOST_OF_RANGE)
    spread = {chr(code) for code in range(low, high + 1, step) if not 0xD800 <= code <= 0xDFFF}
    return spread | {character for character in _STOCK if low <= ord(character) <= high}


@lru_cache(maxsize=128)
def of_unicode(name: str) -> set[str]:
    """Characters of a category, a property or a script: "Lu", "Alphabetic", "Greek", "sc=Greek"."""
    kind, sign, value = re.fullmatch("([^:=!]*)(!=|:|=)?(.*)", name, re.DOTALL).groups()  # type: ignore[union-attr]
    word = re.sub("[ _-]", "", value if sign else kind).lower()
    word = word[2:] if word.startswith("is") and len(word) > 2 else word
    test = _PROPERTIES.get(word) or _in_category(_CATEGORIES.get(word) or word.capitalize()) or _in_script(word)
    found = {character for character in _STOCK if test(character)} or _looked_up(test)
    return set(_STOCK) - found if sign == "!=" else found


def _in_category(category: str) -> Callable[[str], bool] | None:
    known = len(category) <= 2 and category[0] in "LMNPSZC"
    return (lambda character: unicodedata.category(character).startswith(category)) if known else None


def _in_script(word: str) -> Callable[[str], bool]:
    return lambda character: unicodedata.name(character, "").replace(" ", "").replace("-", "").lower().startswith(word)


def _looked_up(test: Callable[[str], bool]) -> set[str]:
    found: set[str] = set()
    for code in range(0x20, 0x2FFFF):
        if not 0xD800 <= code <= 0xDFFF and test(chr(code)):
            found.add(chr(code))
            if len(found) >= _MOST_OF_RANGE:
                break
    return found
