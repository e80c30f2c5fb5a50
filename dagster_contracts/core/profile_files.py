"""A file of profiles of one object's columns, as the command `profile` writes it and contracts name it. Pure: text in, text out."""

from __future__ import annotations

import json
from collections.abc import Mapping

from dagster_contracts.core.profile import VERSION, NotAProfile, Profile, profile_from_json, profile_to_json

Which = tuple[str, bool]  # a column, and whether its categories are meant


def to_text(object_name: str, rows: int, profiles: Mapping[Which, Profile]) -> str:
    """JSON that `from_text` reads back; a line for each profile."""
    lines = [f"    {json.dumps(_entry(which, profile), separators=(',', ':'))}" for which, profile in sorted(profiles.items(), key=_place)]
    head = f'{{\n  "version": {VERSION},\n  "object": {json.dumps(object_name)},\n  "rows": {rows},\n  "profiles": [\n'
    return head + ",\n".join(lines) + "\n  ]\n}\n"


def from_text(text: str) -> dict[Which, Profile]:
    """Every profile of a file. Raises NotAProfile, naming the column that is damaged."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as broken:
        raise NotAProfile(f"is no JSON: {broken}") from broken
    if not isinstance(document, dict) or "profiles" not in document:
        raise NotAProfile('is no file of profiles: the key "profiles" is missing; write one with `dagster-contracts profile`')
    if document.get("version") != VERSION:
        raise NotAProfile(f"is a file of version {document.get('version')!r}; this release reads version {VERSION}")
    entries = document["profiles"]
    if not isinstance(entries, list):
        raise NotAProfile("is damaged: profiles is no list")
    return dict(map(_profile, entries))


def _place(entry: tuple[Which, Profile]) -> Which:
    return entry[0]


def _entry(which: Which, profile: Profile) -> dict[str, object]:
    return {"column": which[0], **profile_to_json(profile)}


def _profile(entry: object) -> tuple[Which, Profile]:
    column = entry.get("column") if isinstance(entry, dict) else None
    if not isinstance(column, str):
        raise NotAProfile("is damaged: a profile names no column")
    try:
        profile = profile_from_json(entry)
    except NotAProfile as damaged:
        raise NotAProfile(f"is damaged at column {column}: {damaged}") from damaged
    assert isinstance(entry, dict)
    return (column, entry["kind"] == "categorical"), profile
