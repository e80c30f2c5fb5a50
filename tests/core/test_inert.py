"""Strangers' text does nothing: to a terminal, and to a page that renders Markdown and HTML."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dagster_contracts.core.inert import cut, plain, shown

# Pieces that make markup when they meet.
MARKS = ["http://", "www.", "javascript:", "<script>", "</b>", "<!--", "](", "]:", "![", "[a]: ", "\x1b[31m", "\u202e", "a"]
PIECES = st.sampled_from([*"<>[]()!:/\\`*_.\"' \n", *MARKS])
TEXTS = st.lists(st.one_of(PIECES, st.characters()), max_size=40).map("".join)
PAGE = MarkdownIt("commonmark", {"html": True, "linkify": False})


@given(TEXTS)
def test_nothing_is_left_that_drives_a_terminal(text: str) -> None:
    for found in (plain(text), shown(text)):
        assert not [each for each in found if unicodedata.category(each) in ("Cc", "Cs") and each not in "\n\t"]
        assert not set(found) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\u200f\ufeff\u2028\u2029")


@given(TEXTS)
def test_no_link_image_or_html_is_left_for_a_page(text: str) -> None:
    page = PAGE.render(shown(text))
    tags = set(re.findall(r"</?(\w+)", page))
    assert not tags & {"a", "img", "script", "b", "iframe"}
    tokens = [child.type for token in PAGE.parse(shown(text)) for child in (token, *(token.children or []))]
    assert not {"html_block", "html_inline", "link_open", "image"} & set(tokens)
    assert "://" not in shown(text)
    assert not re.search(r"(?i)www\.", shown(text))


@given(TEXTS)
def test_twice_is_once(text: str) -> None:
    assert shown(shown(text)) == shown(text)


@given(st.text(alphabet=st.characters(categories=("L", "N", "Zs")), max_size=60))
def test_words_read_as_they_are_written(text: str) -> None:
    assert shown(text) == plain(text)


@pytest.mark.parametrize(
    "text", ["12.4% outside ['HIGH', 'LOW']; expected 0%", "a < 5 and b > 7", "feed [2026-01-01|acme]", "x: y (z)", "ï → ×"]
)
def test_what_findings_say_is_left_alone(text: str) -> None:
    assert shown(text) == text


def test_what_is_long_is_cut_and_says_how_long_it_was() -> None:
    assert len(cut("x" * 1_000_000, 40)) == 40
    assert cut("x" * 1_000_000, 40).endswith("(1,000,000 characters)")
    assert len(shown("\x1b" * 1_000_000)) < 100_000
