"""Regular expressions of contracts: the dialect that runs in linear time (Rust's regex), whatever the engine.

A pattern comes from a contract and runs over every row: one that backtracks could hang a run, and would mean different things in
different engines. So a rule with look-around or backreferences is not executed.
"""

from __future__ import annotations

import re
import sys
import warnings

from dagster_contracts.core.unicode_classes import is_class

_REFUSED = (
    (re.compile(r"\(\?<?[=!]"), "look-around"),
    (re.compile(r"\(\?>"), "atomic groups"),
    (re.compile(r"\(\?\("), "conditional groups"),
    (re.compile(r"\(\?#"), "comments"),
    (re.compile(r"\(\?P="), "backreferences"),
    (re.compile(r"\\[1-9]|\\k"), "backreferences"),
    (re.compile(r"\\Z"), r"\Z (write \z)"),
)
_TOKEN = re.compile(
    r"\\[pP](?:\{[^}]*\}|\w)|\\[xuUbB]\{[^}]*\}|\\.|\{[^{}\[\]]*\}?|\[\^?\]?|\]|\(\?[A-Za-z]*-?[A-Za-z]*[:)]|\(\?(?:<?[=!]|P=|<(?=\w)|[>(#])|--|.",
    re.DOTALL,
)
_REPETITION = re.compile(r"\{ *[0-9]+ *(?:, *[0-9]* *)?\}")
_REPEATS = re.compile(r"[*+?]|\{.*", re.DOTALL)
_BOUNDARY = re.compile(r"\\b\{(?:start|end)(?:-half)?\}|\\[bB]|[\^$]")
_CODE = re.compile(r"\\[xuU]\{[0-9A-Fa-f]{1,6}\}")
_FLAGS = re.compile(r"\(\?([A-Za-z]*)(-?)([A-Za-z]*)([:)])")


def pattern_problem(pattern: str) -> str | None:
    """Why `pattern` cannot be used, or None."""
    translated: list[str] = []
    depth, before = 0, ""
    for token in _TOKEN.findall(pattern):
        if not depth and (name := _refused(token)) is not None:
            return f"{_cut(pattern)} uses {name}, which patterns that run in linear time (Rust regex dialect) do not have"
        if (wrong := _wrong(token, depth > 0)) is not None:
            return f"{_cut(pattern)} is not a regular expression: {wrong}"
        translated.append(_in_class(token, depth) if depth else _outside(token, before))
        depth = _within(token, depth)
        before = token
    if depth:
        return f"{_cut(pattern)} is not a regular expression: a class ([...]) does not end"
    broken = _broken("".join(translated))
    return f"{_cut(pattern)} is not a regular expression: {broken}" if broken is not None else None


def is_foreign(pattern: str) -> bool:
    """Whether a pattern that cannot be used is right in another dialect, and so no mistake."""
    depth = 0
    for token in _TOKEN.findall(pattern):
        if not depth and _refused(token) is not None:
            return True
        depth = _within(token, depth)
    return _broken(pattern) is None


def _refused(token: str) -> str | None:
    """What a token is, outside of a class, that has no place in a pattern that runs in linear time."""
    return next((name for form, name in _REFUSED if form.fullmatch(token)), None)


def _within(token: str, depth: int) -> int:
    """In how many classes what follows a token stands; classes may hold classes."""
    return max(0, depth + token.startswith("[") - (token == "]"))


def _broken(pattern: str) -> Exception | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about nested sets, which Rust has and Python announces
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as broken:
        return broken
    return None


def _wrong(token: str, in_class: bool) -> str | None:
    """What Rust refuses of a token and Python does not."""
    if token[:2] in (r"\p", r"\P"):
        return None if is_class(token[2:].removeprefix("{").removesuffix("}")) else f"{token} is no class of Unicode that is known"
    if token.startswith("\\"):
        return _wrong_escape(token, in_class)
    if token[0] == "{" and not in_class and not _REPETITION.fullmatch(token):
        return rf"{token} is no number of repetitions; for the character write \{{"
    flags = None if in_class else _FLAGS.fullmatch(token)
    return f"{token} sets flags that there are not (of i, m, s, U, u, x, R, each once)" if flags and not _are_flags(flags) else None


def _wrong_escape(token: str, in_class: bool) -> str | None:
    if (token in (r"\0", r"\b", r"\B", r"\A", r"\z") and (in_class or token == r"\0")) or not token[1:2].isascii():
        return f"{token} escapes nothing{' within a class' if in_class else ''}"
    if _CODE.fullmatch(token) and int(token[3:-1], 16) > sys.maxunicode:
        return f"{token} is no character"
    if token[1:3] in ("b{", "B{") and not _BOUNDARY.fullmatch(token):
        return f"{token} is no boundary that is known"
    return None


def _are_flags(found: re.Match[str]) -> bool:
    on, minus, off, end = found.groups()
    letters = on + off
    return set(letters) <= set("imsUuxR") and len(set(letters)) == len(letters) and bool(off) == bool(minus) and bool(letters or end == ":")


def _outside(token: str, before: str) -> str:
    """Spellings that Rust has and Python lacks, as something of the same shape: repetitions of repetitions and of places count as one."""
    if token[:2] in (r"\p", r"\P") or _CODE.fullmatch(token):
        return r"\w"
    if _REPEATS.fullmatch(token) and (_REPEATS.fullmatch(before) or _BOUNDARY.fullmatch(before)):
        return ""
    if flags := _FLAGS.fullmatch(token):
        return "(?:" if flags[4] == ":" else ""
    if _BOUNDARY.fullmatch(token) and token.startswith("\\"):
        return r"\b"
    return {r"\z": r"\Z", "(?<": "(?P<"}.get(token, token)


def _in_class(token: str, depth: int) -> str:
    if token[:2] in (r"\p", r"\P") or _CODE.fullmatch(token):
        return r"\w"
    if token.startswith("[") or (token == "]" and depth > 1):
        return "".join(f"\\{character}" for character in token)
    return "" if token == "--" else token


def _cut(pattern: str) -> str:
    return f'"{pattern}"' if len(pattern) <= 80 else f'"{pattern[:77]}..."'
