"""Who is told when a contract is broken, and where: `support`, `team` and links to a runbook of an ODCS document."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dagster_contracts.core.contract import Contact
from dagster_contracts.core.flaws import maps

_Map = dict[str, object]
_LONGEST = 200  # characters of a name
_LONGEST_ADDRESS = 2_000
_CHANNEL = re.compile(r"#?[\w.-]{1,80}")
_ADDRESS = re.compile(r"https?://[^\s<>|\"'`\\]+")
_SCOPES = ("issues", "notifications")  # of `support` entries, those for alerts first


def read_contact(root: _Map, *, owner: str | None) -> Contact:
    """What a document says of people. `owner` is the team member with that role, as the contract reads it.

    The channel is that of the first `support` entry with `tool: slack`, entries of scope issues, then notifications, before others; else
    the customProperty `slackChannel` of `team`. The runbook is the first `authoritativeDefinitions` entry of type runbook, of the
    document, its description or its first object; else the customProperty `runbook`. What is no channel or address is left out.
    """
    team = root.get("team")
    team = team if isinstance(team, dict) else {}
    return Contact(
        owner=_short(owner),
        team=_short(team.get("name")),
        channel=next((name for name in _channels(root, team) if _CHANNEL.fullmatch(name)), None),
        runbook=next((url for url in _runbooks(root) if len(url) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(url)), None),
    )


def _channels(root: _Map, team: _Map) -> Iterator[str]:
    slack = [entry for _, entry in maps(root.get("support")) if str(entry.get("tool", "")).lower() == "slack"]
    scoped = sorted(slack, key=lambda entry: _SCOPES.index(scope) if (scope := entry.get("scope")) in _SCOPES else len(_SCOPES))
    yield from (str(entry.get("channel") or "") for entry in scoped)
    yield from _custom(team, "slackChannel")


def _runbooks(root: _Map) -> Iterator[str]:
    described = root.get("description")
    objects = [obj for _, obj in maps(root.get("schema"))][:1]
    for owner in (root, described if isinstance(described, dict) else {}, *objects):
        for _, entry in maps(owner.get("authoritativeDefinitions")):
            if str(entry.get("type", "")).lower() == "runbook":
                yield str(entry.get("url") or "")
    yield from _custom(root, "runbook")


def _custom(owner: _Map, name: str) -> Iterator[str]:
    for _, entry in maps(owner.get("customProperties")):
        if entry.get("property") == name:
            yield str(entry.get("value") or "")


def _short(text: object) -> str | None:
    return text[:_LONGEST] if isinstance(text, str) and text else None
