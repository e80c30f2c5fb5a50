"""Texts made from a pattern match it, as the engine that judges them reads it."""

from __future__ import annotations

from random import Random

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dagster_contracts.core.formats import TEXT_PATTERNS
from dagster_contracts.core.patterns import pattern_problem
from dagster_contracts.mocking.patterns import read_pattern

PATTERNS = (
    r"^[A-Z]{3}-\d{4}$",
    r"a|b",
    r"^(?:foo|ba[rz]+)?x*$",
    r"^\p{Lu}\p{Ll}+$",
    r"[[:alpha:]&&[^aeiou]]{3}",
    r"^[^@]+@[^@]+$",
    r"^[a-z--[aeiou]]+$",
    r"^(?i)abc[x-z]$",
    r"^\+?[1-9]\d{1,14}$",
    r"^[\w.+-]+$",
    r"^\p{Greek}{2,}$",
    "(?x) ^ a b # said\n c$",
    r"^[]a]$",
    r"^[-a]+$",
    r"^.{5,8}$",
    r"\bfoo\b",
    r"^\S+$",
    r"^(?P<y>\d{4})-(?<m>\d\d)$",
    r"^[\p{L}\s'-]+$",
    r"^\x41\u0042\u{43}$",
    r"^\p{Thai}+$",
    r"^(ab|cd){3}$",
    r"^$",
    r"\$\d+",
    r"^\p{sc=Cyrillic}$",
    r"^\PL+$",
    r"^[^\W\d_]{2}$",
    r"\A\d+\z",
    r"^[\d--3]$",
    r"^(?:a(?x: b ))c d$",
    r"^\p{gc=Nd}+$",
)


@pytest.mark.parametrize("pattern", [*PATTERNS, *TEXT_PATTERNS.values()])
def test_a_text_matches_the_pattern_that_it_is_made_from(pattern: str) -> None:
    assert pattern_problem(pattern) is None
    random, shape = Random(1), read_pattern(pattern).shape
    texts = [shape.text(random, 0, 40) for _ in range(60)]
    assert [text for text, held in zip(texts, pl.Series(texts).str.contains(pattern), strict=True) if not held] == []


def test_a_text_has_the_length_that_is_asked_for() -> None:
    shape = read_pattern(r"^[a-z]+(?:ab|\d[A-Z]?)*\.(?:com|org)$").shape
    for size in range(5, 40):
        assert len(shape.text(Random(size), size, size)) == size


_atoms = st.sampled_from(["a", "é", ".", r"\d", r"\w", r"\S", "[a-c]", "[^a]", r"[\d_]", "[[:upper:]]", r"\p{L}", r"\.", "[x&&[^y]]"])
_patterns = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.builds(lambda part, how: f"(?:{part}){how}", inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}?", "+?"])),
    ),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(_patterns, st.integers(0, 3))
def test_any_pattern(pattern: str, seed: int) -> None:
    whole = f"^(?:{pattern})$"
    assume(pattern_problem(whole) is None)
    random, shape = Random(seed), read_pattern(whole).shape
    texts = [shape.text(random, 0, 30) for _ in range(10)]
    assert pl.Series(texts).str.contains(whole).all(), texts
