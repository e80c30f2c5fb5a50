"""Whatever a contract, a vendor or a person writes: Slack's limits hold, and nothing of it is markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagster_contracts.core.alerts import Alert, Failure, Topic
from dagster_contracts.core.contract import Confidence, Contact
from dagster_contracts.core.downstream import Reading
from dagster_contracts.core.threads import Reply, Thread, from_json, to_json
from dagster_contracts.sinks.slack import blocks
from dagster_contracts.sinks.slack.text import TEXT, code, cut, inert, listing, within
from tests.slack_server import long, problems

AT = datetime(2026, 1, 6, 6, tzinfo=UTC)
NASTY = [
    "<!channel> <!here> <!everyone> <@U012AB3CD> <#C024BE7LR> <!subteam^SAZ94GDB8>",
    "<https://evil.test|your bank>",
    "```\n*bold* _italic_ ~struck~ `code` > quoted\n```",
    "`` ` ``` ` <!channel>",
    "&lt;!channel&gt; &amp; &",
    "\x00\x07\x1b[31mred\x1b[0m\r\n\t\x7f\x85\u2028\u2029",
    "abc\u202egnp.exe\u202c \u2066x\u2069 \u200f\u200e\u061c",
    "\ud800 lone \udfff",
    ":rotating_light: @here @channel https://evil.test/ www.evil.test",
    "<script>alert(1)</script>",
    "\U0001f4a3" * 4_000,
    "&" * 5_000,
    "`" * 5_000,
    "",
    "\u0301" * 500,
]
PIECES = ["<", ">", "&", "`", "```", "*", "_", "\n", "!channel", "\u202e", "\x00", "x" * 700, "\U0001f4a3"]
hostile = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(), max_size=400),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
)
alerts = st.builds(
    Alert,
    id=hostile,
    topic=st.sampled_from(Topic),
    key=hostile,
    cause=hostile,
    since=st.just(AT),
    state=st.sampled_from(["closed", "open", "half_open"]),
    shadow=st.booleans(),
    ended=st.none() | st.just(AT + timedelta(hours=2)),
    retry_at=st.none() | st.just(AT),
    contract=hostile,
    batch_id=hostile,
    partition=hostile,
    run_id=hostile,
    failures=st.lists(st.builds(Failure, hostile, hostile, hostile, hostile), max_size=12).map(tuple),
    sample=st.lists(st.lists(st.tuples(hostile, hostile), max_size=8).map(tuple), max_size=5).map(tuple),
    contact=st.builds(Contact, hostile, hostile, st.none(), st.none() | st.just("https://runbooks.test/feed")),
    readers=st.lists(st.builds(Reading, hostile, hostile, st.none() | st.sampled_from(Confidence)), max_size=25).map(tuple),
    counts=st.dictionaries(st.sampled_from(["batches failed", "probes failed"]), st.integers(0, 10**12)),
    latest=hostile,
)
OURS = re.compile(r"[*A-Za-z0-9 ,.:\n·-]*")


def texts(value: Any) -> list[dict[str, Any]]:
    found = [value] if isinstance(value, dict) and value.get("type") in ("mrkdwn", "plain_text") else []
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        found += texts(each)
    return found


def markup_of_others(text: dict[str, Any]) -> list[str]:
    """What Slack would read as more than characters."""
    said = text["text"]
    found = re.findall(r"[<>]|&(?!amp;|lt;|gt;)", said)
    found += [character for character in said if character != "\n" and not character.isprintable()]
    if text["type"] == "mrkdwn":
        outside = re.sub(r"`[^`\n]*`", "", re.sub(r"```\n[^`]*\n```", "", said))
        found += [] if OURS.fullmatch(outside) else [outside]
        found += [] if text.get("verbatim") is True else ["not verbatim"]
    elif text.get("emoji") is not False:
        found.append("emoji")
    return found


def check(made: list[dict[str, Any]]) -> None:
    assert problems(made) == []
    assert [found for text in texts(made) if (found := markup_of_others(text))] == []
    json.dumps(made).encode("ascii")


@settings(max_examples=40, deadline=None)
@given(alerts, hostile)
def test_a_first_message_keeps_the_limits_and_is_inert(alert: Alert, note: str) -> None:
    check(blocks.first_message(alert, base_url="https://dagster.test/", note=note))
    summary = blocks.summary(alert)
    assert long(summary) <= 3000
    assert markup_of_others({"type": "plain_text", "text": summary, "emoji": False}) == []


def test_a_megabyte_everywhere_is_cut() -> None:
    much = "<!channel>&`" * 100_000
    failures = (Failure(much, much, much, much),) * 60
    readers = (Reading(much, much, None),) * 80
    alert = Alert(much, Topic.INCIDENT, much, much, AT, "open", contract=much, batch_id=much, partition=much, run_id=much, latest=much)
    check(
        blocks.first_message(replace(alert, failures=failures, readers=readers, sample=(((much, much),),)), base_url="https://a", note=much)
    )
    check(blocks.reply(Reply(1, much[:0] + "Open", (much,) * 60)))


@settings(max_examples=30, deadline=None)
@given(st.builds(Reply, st.just(1), hostile.map(lambda text: f"Open {len(text)}"), st.lists(hostile, max_size=20).map(tuple)))
def test_a_reply_keeps_the_limits_and_is_inert(reply: Reply) -> None:
    check(blocks.reply(reply))


@settings(max_examples=100, deadline=None)
@given(hostile, st.integers(10, 3000))
@example("&" * 20, 10)
def test_text_is_cut_by_what_it_becomes(text: str, limit: int) -> None:
    for made in (inert(text, limit), code(text, limit), cut(text, limit)):
        assert long(made) <= limit
    assert long(listing([text] * 30, TEXT)) <= TEXT


def test_what_is_harmless_is_shown_as_it_is() -> None:
    assert inert("risk_indicator: 12.4 % of 1,000 rows – größer", 100) == "risk_indicator: 12.4 % of 1,000 rows – größer"
    assert inert("a < b & c", 100) == "a &lt; b &amp; c"
    assert inert("x" * 100, 10) == "xxxxxxxxx…"
    assert inert("\x07\u202e", 100) == r"\x07\u202e"


@settings(max_examples=30, deadline=None)
@given(alerts)
def test_a_thread_is_remembered_as_it_is(alert: Alert) -> None:
    thread = Thread(replace(alert, above="feed#1"), "C1", "1.2", 7, 6, 5, 4, 3, 2, True, "feed#1")
    assert from_json(json.loads(json.dumps(to_json(thread)))) == thread


def test_blocks_of_the_users_own_are_cut() -> None:
    long_text = {"type": "mrkdwn", "text": "x" * 9_000}
    button = {"type": "button", "text": {"type": "plain_text", "text": "b" * 90}, "url": "https://a.test"}
    made = [
        {"type": "header", "text": {"type": "plain_text", "text": "h" * 900}},
        {"type": "section", "text": long_text, "fields": [long_text] * 20},
        {"type": "context", "elements": [long_text] * 20},
        {"type": "actions", "elements": [button] * 40},
        *[{"type": "divider"}] * 90,
    ]
    assert problems(made) != []
    assert problems(within(made)) == []


def test_a_run_of_dagster_has_a_button_and_a_micro_batch_has_none() -> None:
    def urls(run: str) -> list[str]:
        alert = Alert("feed#1", Topic.INCIDENT, "feed", "", AT, run_id=run)
        return [element["url"] for block in blocks.buttons(alert, "https://dagster.test") for element in block["elements"]]

    run = "6f1c2a3e-0b1d-4c58-9a55-0c3f1d2e4b6a"
    assert f"https://dagster.test/runs/{run}" in urls(run)
    assert [url for url in urls("orders/0/000000000000000-000000000000999") if "/runs/" in url] == []


@pytest.mark.parametrize("run", ["../../evil", "a b?c#d", "\ud800", "x" * 4000])
def test_a_run_id_cannot_leave_the_address_of_runs(run: str) -> None:
    alert = Alert("feed#1", Topic.INCIDENT, "feed", "", AT, run_id=run)
    urls = [element["url"] for block in blocks.buttons(alert, "https://dagster.test") for element in block["elements"]]
    assert all(re.fullmatch(r"https://dagster\.test/(runs|assets)/[\w.%~-]+", url) for url in urls)
    assert all(len(url) <= 3000 for url in urls)
