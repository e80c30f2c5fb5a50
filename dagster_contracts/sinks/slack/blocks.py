"""An alert as Block Kit: what failed, observed against allowed, a sample, who answers for it, who reads what, where to click."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from dagster_contracts.core.alerts import Alert, Topic
from dagster_contracts.core.threads import Reply
from dagster_contracts.core.wording import duration
from dagster_contracts.sinks.slack import text as slack

Block = dict[str, Any]
_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # how Dagster names its runs
_MARKS = {"open": "\N{LARGE RED CIRCLE}", "half_open": "\N{LARGE ORANGE CIRCLE}", "closed": "\N{LARGE GREEN CIRCLE}"}
_TOPICS = {
    Topic.VIOLATIONS: ("\N{LARGE YELLOW CIRCLE}", "broke its contract; the breaker did not open"),
    Topic.MISSED: ("\N{LARGE YELLOW CIRCLE}", "was not delivered; the breaker did not open"),
    Topic.PEOPLE: ("\N{LARGE BLUE CIRCLE}", "was overridden"),
    Topic.DOWNSTREAM: ("\N{LARGE YELLOW CIRCLE}", "was made from fallback data of this incident, and broke its own contract"),
}


def headline(alert: Alert) -> str:
    """One line of plain words; not made inert yet."""
    if alert.topic is not Topic.INCIDENT:
        mark, words = _TOPICS[alert.topic]
        return f"{mark} {alert.key} {words}"
    if alert.shadow:
        return f"\N{LARGE BLUE CIRCLE} {alert.key} would be {alert.state.replace('_', '-')} (observed only, nothing is enforced)"
    if alert.ended is not None:
        return f"{_MARKS['closed']} {alert.key} is closed again after {duration(alert.ended - alert.since)}"
    return f"{_MARKS[alert.state]} {alert.key} is {alert.state.replace('_', '-')}"


def summary(alert: Alert) -> str:
    """What notifications show."""
    why = alert.failures[0] if alert.failures else None
    told = f"{why.rule}: {why.observed}; expected {why.expected}" if why is not None else alert.cause
    return slack.inert(f"{headline(alert)}: {told}", slack.TEXT)


def first_message(alert: Alert, *, base_url: str | None, note: str = "", words: str | None = None) -> list[Block]:
    """The message that a thread begins with. `words` are the user's own text, `note` what people have to know of the delivery itself."""
    title: Block = {"type": "header", "text": slack.plain(headline(alert), slack.HEADER)}
    blocks = [title]
    if words is not None:
        blocks.append(slack.section(words or " "))
    blocks += [{"type": "section", "fields": _fields(alert)}, *_failed(alert), *_downstream(alert), *_counted(alert)]
    if note:
        blocks.append({"type": "context", "elements": [slack.markup(slack.code(note, 500))]})
    return slack.within([*blocks, *buttons(alert, base_url)])


def reply(said: Reply) -> list[Block]:
    blocks = [slack.section(f"*{slack.inert(said.title, 300)}*")]
    return [*blocks, slack.section(slack.listing(said.lines))] if said.lines else blocks


def buttons(alert: Alert, base_url: str | None) -> list[Block]:
    found: list[Block] = []
    if base_url and alert.run_id and _RUN.fullmatch(alert.run_id):  # what judges without Dagster has names of its own
        found.append(slack.button("View the run", _address(base_url, "runs", alert.run_id)))
    if base_url:
        found.append(slack.button("View the asset", _address(base_url, "assets", *alert.asset.split("/"))))
    if alert.contact.runbook:
        found.append(slack.button("Runbook", alert.contact.runbook))
    found = [each for each in found if len(each["url"]) <= slack.ADDRESS]
    return [{"type": "actions", "elements": found}] if found else []


def _address(base_url: str, *parts: str) -> str:
    return "/".join([base_url.rstrip("/"), *(quote(part.encode("utf-8", "replace"), safe="") for part in parts)])


def _fields(alert: Alert) -> list[Block]:
    owner = ", ".join(name for name in (alert.contact.owner, alert.contact.team) if name)
    named = [
        ("Cause", alert.cause),
        ("Owner", owner),
        ("Partition", alert.partition),
        ("Contract", alert.contract),
        ("Since", _clock(alert.since)),
        ("Next probe after", _clock(alert.retry_at) if alert.retry_at and alert.state == "open" else None),
        ("Batch", alert.batch_id),
        ("Latest", alert.latest if alert.latest != alert.cause else None),
    ]
    return [slack.markup(f"*{name}*\n{slack.code(value, 600)}", slack.FIELD) for name, value in named if value]


def _failed(alert: Alert) -> list[Block]:
    lines: list[str] = []
    for failure in alert.failures:
        lines += [f"{failure.rule} ({failure.severity})", f"    observed  {failure.observed}", f"    allowed   {failure.expected}"]
    blocks = [slack.section(f"*What failed*\n{slack.listing(lines, slack.TEXT - 50)}")] if lines else []
    rows = [", ".join(f"{name}={value}" for name, value in row) for row in alert.sample]
    return [*blocks, slack.section(f"*Failing rows, for example*\n{slack.listing(rows, slack.TEXT - 50)}")] if rows else blocks


def _downstream(alert: Alert) -> list[Block]:
    if not alert.readers or alert.ended is not None:
        return []
    widest = min(40, max(len(reader.consumer) for reader in alert.readers))
    lines = [f"{reader.consumer.ljust(widest)}  reads {reader.told}" for reader in alert.readers]
    return [slack.section(f"*Downstream, now*\n{slack.listing(lines, slack.TEXT - 50)}")]


def _counted(alert: Alert) -> list[Block]:
    told = " · ".join(f"{what}: {count:,}" for what, count in alert.counts.items())
    return [{"type": "context", "elements": [slack.markup(slack.inert(told, slack.TEXT))]}] if told else []


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%MZ}"


def limits_kept(blocks: Sequence[Block]) -> list[Block]:
    """Blocks that somebody else made."""
    return slack.within(list(blocks))
