"""The report as a page: everything is on it, nothing is loaded, and names of strangers are words."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from dagster_contracts.chaos.campaign import Alarm, Campaign, Cell, Read, Result, Skipped, Trial
from dagster_contracts.chaos.clauses import Candidate, Quality
from dagster_contracts.chaos.fault import Group
from dagster_contracts.chaos.page import page
from dagster_contracts.chaos.remedy import Proposal, Remedy, Uncaught
from dagster_contracts.core.contract import Clause, Confidence, Severity
from dagster_contracts.core.ledger import RouteKind
from dagster_contracts.core.verdict import Finding, Outcome

HOSTILE = "</td><script>alert(1)</script><img src=//evil.example/x onerror=alert(2)>\" onmouseover='x' \u202egnp.exe\x1b[2J"


def trial(dose: float, result: Result, kind: RouteKind = RouteKind.FRESH, *, consumer: str = "scores") -> Trial:
    read = Read(consumer, Confidence.STALE, kind, kind is RouteKind.FRESH, as_promised=True)
    return Trial(dose, result, "told", 3, reads=(read,))


def campaign(name: str = "amount", **changes: object) -> Campaign:
    cells = (
        Cell(
            "null_rate",
            Group.NULLS,
            Clause.COMPLETENESS,
            name,
            (trial(0.1, Result.MISSED), trial(0.5, Result.REFUSED, RouteKind.LAST_GOOD)),
        ),
        Cell("scale", Group.DISTRIBUTION, Clause.DISTRIBUTION, name, (trial(1, Result.WARNED),)),
        Cell("add_column", Group.SCHEMA, Clause.SCHEMA, None, (trial(1, Result.MISSED, consumer=name),)),
    )
    given: dict[str, object] = {"cells": cells, "skipped": (Skipped("user", name, name),), **changes}
    return Campaign("payments", "1.0.0", "payments", 4, 20, name, 1000, (name,), **given)  # type: ignore[arg-type]


def remedy(name: str = "amount") -> Remedy:
    clause = Candidate("mean", name, Quality({"name": name}), (name,), 5, name)
    return Remedy("", "1.1.0", (Proposal(clause, f"- name: {name}\n", (("scale", name, 1.0),)),), (Uncaught("scale", name, (0.1,), name),))


class Tags(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("meta", "br", "line", "circle", "polyline", "polygon"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "circle", "polyline", "polygon"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data if not self.open or self.open[-1] != "style" else ""


def test_all_of_it_is_there() -> None:
    found = Tags(page(campaign(), remedy(), campaign()))
    assert not found.open
    for words in ("50%", "of 4 injected faults", "null rate", "1/2", "whole batch", "the last good 1", "Missing clauses", "- name: amount"):
        assert words in found.words
    assert "What no clause catches" in found.words
    assert found.tags.count("svg") == 1  # one fault has doses, and does not always show
    assert "pre" in found.tags


@pytest.mark.parametrize("name", [HOSTILE, "<b>", "'\"&", "a" * 5000])
def test_names_of_strangers_are_words(name: str) -> None:
    usual, strange = Tags(page(campaign(), remedy(), campaign())), Tags(page(campaign(name), remedy(name), campaign(name)))
    assert strange.tags == usual.tags
    assert strange.attributes == usual.attributes
    assert "\u202e" not in strange.words
    assert "\x1b" not in strange.words
    assert len(strange.words) < 40_000


def test_nothing_is_loaded_and_no_script_is_needed() -> None:
    text = page(campaign(HOSTILE), remedy(HOSTILE))
    found = Tags(text)
    assert not {"script", "link", "img", "iframe", "object", "a"} & set(found.tags)
    assert not {"src", "href", "onclick"} & found.attributes
    assert not re.search(r"url\(|@import", text)
    assert "default-src 'none'" in text
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_where_clean_batches_are_refused_there_is_no_score() -> None:
    finding = Finding("amount.mean", Clause.DISTRIBUTION, "amount", Severity.ERROR, Outcome.FAIL, "7", "at most 5")
    found = Tags(page(campaign(cells=(), alarms=(Alarm("day 3", Outcome.FAIL, (finding,)),))))
    assert "No score" in found.words
    assert "amount.mean" in found.words
    assert "injected faults are noticed" not in found.words


def test_a_fault_that_is_always_noticed_needs_no_curve() -> None:
    cell = Cell("null_rate", Group.NULLS, Clause.COMPLETENESS, "a", (trial(0.1, Result.REFUSED), trial(0.5, Result.REFUSED)))
    found = Tags(page(campaign(cells=(cell,))))
    assert "svg" not in found.tags
    assert "Noticed in every column at every dose: null rate" in found.words


def test_a_cell_of_a_table_says_what_it_is_where_there_is_no_room_for_a_head() -> None:
    shown = page(campaign())
    heads = re.findall(r"<th>([^<]*)</th>", shown)
    assert {"consumer", "accepts", "reads", "policy"} <= set(heads)
    assert set(re.findall(r'<td data-of="([^"]*)">', shown)) <= set(heads)
    assert "<td>" not in shown
