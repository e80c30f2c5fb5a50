"""Text of others made inert, and Slack's limits kept by construction.

What a contract, a vendor or a person wrote never stands in a message as markup: it is escaped, cut, and shown within code, where Slack
reads no formatting, no mention, no emoji and no link.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dagster_contracts.core.wording import clipped

BLOCKS, TEXT, HEADER, FIELD, FIELDS, BUTTON, BUTTONS, ADDRESS, ELEMENTS = 50, 3000, 150, 2000, 10, 75, 25, 3000, 10
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_ELLIPSIS = "…"


def size(text: str) -> int:
    """Characters as Slack may count them: UTF-16 code units."""
    return len(text) + sum(ord(character) > 0xFFFF for character in text)


def inert(text: str, limit: int) -> str:
    """At most `limit` characters that Slack shows as they are: `&<>` escaped, what cannot be printed (control characters, line ends, marks
    that turn the direction of writing) as its escape."""
    shown = clipped(text[: limit + 1], limit + 1)
    parts: list[str] = []
    used = 0
    for character in shown:
        part = _ESCAPED.get(character, character)
        if used + size(part) > limit - 1:
            return "".join(parts) + (_ELLIPSIS if limit > 0 else "")
        parts.append(part)
        used += size(part)
    return "".join(parts)


def code(text: str, limit: int = 300) -> str:
    """As inline code, the backticks included in `limit`."""
    return f"`{inert(_unticked(text), limit - 2) or ' '}`"


def listing(lines: Sequence[str], limit: int = TEXT) -> str:
    """As a block of code, one line each, at most `limit` characters in all; what does not fit is told as a number of lines."""
    kept: list[str] = []
    room = limit - len("```\n\n```") - 40
    for number, line in enumerate(lines):
        shown = inert(_unticked(line), 600)
        if size(shown) + 1 > room:
            kept.append(f"… and {len(lines) - number} more lines")
            break
        room -= size(shown) + 1
        kept.append(shown)
    return "```\n" + "\n".join(kept) + "\n```"


def _unticked(text: str) -> str:
    return text[: TEXT + 1].replace("`", "ˋ")


# --- blocks --------------------------------------------------------------------------------------------------------


def markup(text: str, limit: int = TEXT) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": cut(text, limit), "verbatim": True}


def plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": inert(text, limit) or " ", "emoji": False}


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": markup(text)}


def button(text: str, url: str) -> dict[str, Any]:
    return {"type": "button", "text": plain(text, BUTTON), "url": url}


def cut(text: str, limit: int) -> str:
    """Text that is markup already, cut where it is too long."""
    if size(text) <= limit:
        return text
    kept = text[: limit - 1]
    while size(kept) > limit - 1:
        kept = kept[:-1]
    return kept + _ELLIPSIS


def within(blocks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Blocks of anybody, cut to the limits: their number, and every text of sections, headers, contexts and buttons."""
    return [_within(block) for block in blocks[:BLOCKS]]


def _within(block: dict[str, Any]) -> dict[str, Any]:
    kept = dict(block)
    if isinstance(text := kept.get("text"), dict):
        kept["text"] = _short(text, HEADER if kept.get("type") == "header" else TEXT)
    if isinstance(fields := kept.get("fields"), list):
        kept["fields"] = [_short(each, FIELD) for each in fields[:FIELDS]]
    if isinstance(elements := kept.get("elements"), list):
        most = BUTTONS if kept.get("type") == "actions" else ELEMENTS
        kept["elements"] = [_element(each) for each in elements[:most] if isinstance(each, dict)]
    return kept


def _element(element: dict[str, Any]) -> dict[str, Any]:
    text = element.get("text")
    if isinstance(text, dict):
        return {**element, "text": _short(text, BUTTON)}
    return _short(element, TEXT)


def _short(text: dict[str, Any], limit: int) -> dict[str, Any]:
    return {**text, "text": cut(text["text"], limit)} if isinstance(text.get("text"), str) else text
