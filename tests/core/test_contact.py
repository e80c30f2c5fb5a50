"""Who is told: what `support`, `team` and links of a contract say."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dagster_contracts.core.contract import Contact
from dagster_contracts.core.odcs import parse

BASE = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": "feed", "version": "1.0.0", "status": "active"}


def contact(**document: Any) -> Contact:
    return parse(yaml.safe_dump({**BASE, "schema": [{"name": "feed", "properties": [{"name": "a"}]}], **document})).policy.contact


def test_a_contract_that_says_nothing_names_nobody() -> None:
    assert contact() == Contact()


def test_owner_and_team_are_named() -> None:
    team = {"name": "Credit", "members": [{"username": "bo", "role": "steward"}, {"username": "ana", "role": "Owner"}]}
    assert contact(team=team) == Contact(owner="ana", team="Credit")


@pytest.mark.parametrize(
    ("support", "channel"),
    [
        ([{"channel": "#data", "tool": "slack"}], "#data"),
        ([{"channel": "C024BE7LR", "tool": "Slack"}], "C024BE7LR"),
        ([{"channel": "#all", "tool": "slack", "scope": "announcements"}, {"channel": "#bad", "tool": "slack", "scope": "issues"}], "#bad"),
        ([{"channel": "a@b.test", "tool": "email"}, {"channel": "#data", "tool": "slack"}], "#data"),
        ([{"channel": "a@b.test", "tool": "email"}], None),
        ([{"channel": "<!channel>", "tool": "slack"}], None),
        ([{"channel": "x" * 50_000, "tool": "slack"}], None),
        ([{"channel": "#two words", "tool": "slack"}, {"channel": "#data", "tool": "slack"}], "#data"),
    ],
)
def test_the_channel_is_that_of_slack_support(support: list[dict[str, str]], channel: str | None) -> None:
    assert contact(support=support).channel == channel


def test_the_team_may_have_a_channel() -> None:
    assert contact(team={"name": "Credit", "customProperties": [{"property": "slackChannel", "value": "#credit"}]}).channel == "#credit"


def links(*entries: tuple[str, str]) -> list[dict[str, str]]:
    return [{"type": kind, "url": url} for kind, url in entries]


@pytest.mark.parametrize(
    ("document", "runbook"),
    [
        (
            {"authoritativeDefinitions": links(("tutorial", "https://a.test/"), ("Runbook", "https://a.test/feed?x=1"))},
            "https://a.test/feed?x=1",
        ),
        ({"description": {"authoritativeDefinitions": links(("runbook", "http://a.test"))}}, "http://a.test"),
        ({"customProperties": [{"property": "runbook", "value": "https://a.test/feed"}]}, "https://a.test/feed"),
        ({"authoritativeDefinitions": links(("runbook", "javascript:alert(1)"))}, None),
        ({"authoritativeDefinitions": links(("runbook", "https://a.test/|click>me"))}, None),
        ({"authoritativeDefinitions": links(("runbook", "https://a.test/" + "x" * 50_000))}, None),
    ],
)
def test_the_runbook_is_an_address(document: dict[str, Any], runbook: str | None) -> None:
    assert contact(**document).runbook == runbook


def test_long_names_are_cut() -> None:
    found = contact(team={"name": "t" * 50_000, "members": [{"username": "o" * 50_000, "role": "owner"}]})
    assert (len(found.owner or ""), len(found.team or "")) == (200, 200)
