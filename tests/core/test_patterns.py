from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.patterns import pattern_problem


@pytest.mark.parametrize(
    "pattern",
    [
        r"^C[0-9]+$",
        r"^\p{Lu}\pL+\z",
        r"(?<year>\d{4})",
        r"(?P<y>\d)",
        r"(?i)abc",
        r"[(?=]",
        r"\(\?=",
        r"\\1",
        r"[\]1]",
        r"[[:alpha:]]",
        r"(?:a|b)+",
    ],
)
def test_usable(pattern: str) -> None:
    assert pattern_problem(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(?=a)", "look-around"),
        (r"a(?!b)", "look-around"),
        (r"(?<=a)b", "look-around"),
        (r"(?<!a)b", "look-around"),
        (r"(a)\1", "backreferences"),
        (r"(?P<x>a)(?P=x)", "backreferences"),
        (r"(?>a+)", "atomic groups"),
        (r"a\Z", r"write \z"),
        (r"[a", "is not a regular expression"),
        (r"a{2,1}", "is not a regular expression"),
        (r"a{99999999999999}", "is not a regular expression"),
        ("(" * 3000 + ")" * 3000, "is not a regular expression"),
    ],
)
def test_not_usable(pattern: str, reason: str) -> None:
    problem = pattern_problem(pattern)
    assert problem is not None
    assert reason in problem
    assert len(problem) < 400


@given(st.text(alphabet="ab[](){}\\?=!<>P*+|^$.1,kpzZ:-\n", max_size=30))
def test_any_text_gets_an_answer(pattern: str) -> None:
    assert pattern_problem(pattern) is None or pattern_problem(pattern)
