"""Regular expressions of contracts: the dialect that runs in linear time (Rust's regex), whatever the engine.

A pattern comes from a contract and runs over every row: one that backtracks could hang a run, and would mean different things in
different engines. So look-around and backreferences are refused when the contract is read.
"""

from __future__ import annotations

import re
import warnings

_REFUSED = (
    (re.compile(r"\(\?<?[=!]"), "look-around"),
    (re.compile(r"\(\?>"), "atomic groups"),
    (re.compile(r"\(\?\("), "conditional groups"),
    (re.compile(r"\(\?P="), "backreferences"),
    (re.compile(r"\\[1-9]|\\k"), "backreferences"),
    (re.compile(r"\\Z"), r"\Z (write \z)"),
)
_TOKEN = re.compile(r"\\[pP](?:\{[^}]*\}|\w)|\\.|\[\^?\]?|\]|\(\?(?:<?[=!]|P=|<(?=\w)|[>(])|.", re.DOTALL)


def pattern_problem(pattern: str) -> str | None:
    """Why `pattern` cannot be used, or None."""
    translated: list[str] = []
    in_class = False
    for token in _TOKEN.findall(pattern):
        if not in_class:
            for form, name in _REFUSED:
                if form.fullmatch(token):
                    return f"{_cut(pattern)} uses {name}, which patterns that run in linear time (Rust regex dialect) do not have"
        in_class = token != "]" if in_class else token.startswith("[")
        translated.append(_as_python(token))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about nested sets, which Rust has and Python announces
            re.compile("".join(translated))
    except (re.error, OverflowError, RecursionError) as broken:
        return f"{_cut(pattern)} is not a regular expression: {broken}"
    return None


def _as_python(token: str) -> str:
    """Spellings that Rust has and Python lacks, as something of the same shape."""
    if token[:2] in (r"\p", r"\P"):
        return r"\w"
    return {r"\z": r"\Z", "(?<": "(?P<"}.get(token, token)


def _cut(pattern: str) -> str:
    return f'"{pattern}"' if len(pattern) <= 80 else f'"{pattern[:77]}..."'
