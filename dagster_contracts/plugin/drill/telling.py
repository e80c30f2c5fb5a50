"""A drill as one message in the drill's own Slack channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dagster_contracts.core.contract import Contract
from dagster_contracts.core.errors import ContractError
from dagster_contracts.core.wording import counted
from dagster_contracts.plugin.drill.course import Drilled
from dagster_contracts.plugin.drill.report import missing_clauses, next_step, sentence
from dagster_contracts.plugin.slack import CHANNEL
from dagster_contracts.sinks.slack import SlackAlerts
from dagster_contracts.sinks.slack import text as slack

_LISTED = 8  # clauses of one asset


@dataclass(frozen=True, slots=True)
class Told:
    """One asset, with its score of the last drill; or why it was left out."""

    asset: str
    found: Drilled | None = None
    before: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        return sentence(self.found, self.before) if self.found is not None else f"{self.asset}: left out, {self.reason}"


def message(told: Sequence[Told]) -> tuple[str, list[dict[str, Any]]]:
    """Text of the notification, and the message as Block Kit."""
    scored = [each for each in told if each.found is not None and each.found.score is not None]
    wrong = sum(len(each.found.went_wrong) for each in scored if each.found is not None)
    mark = "\N{LARGE RED CIRCLE}" if wrong else "\N{LARGE GREEN CIRCLE}"
    head = f"{mark} Contracts drill: {len(scored)} of {len(told)} contracts scored" + (
        f"; {counted(wrong, 'exercise')} went wrong" if wrong else ""
    )
    blocks: list[dict[str, Any]] = [{"type": "header", "text": slack.plain(head, slack.HEADER)}]
    for each in told:
        blocks.append(slack.section(f"*{slack.inert(str(each), 600)}*"))
        if lines := list(_lines(each)):
            blocks.append(slack.section(slack.listing(lines, slack.TEXT - 50)))
    return slack.inert(head, slack.TEXT), slack.within(blocks)


def _lines(told: Told) -> Iterable[str]:
    if told.found is None:
        return
    for each in told.found.went_wrong:
        yield f"went wrong: {each.what_went_wrong}"
    missing = list(missing_clauses(told.found))
    for row in missing[:_LISTED]:
        yield f"missing: {row['clause']} of {row['column']}, for {row['faults']}"
    if len(missing) > _LISTED:
        yield f"and {counted(len(missing) - _LISTED, 'clause')} more"
    if missing:
        yield next_step(told.found)


def refuse_production(channel: str, taken: Iterable[tuple[str, str]]) -> None:
    """Raises ContractError where a channel is one of `taken` (channel, who tells it): nobody should wonder whether it is a drill."""
    for other, who in taken:
        if _plain(other) == _plain(channel):
            raise ContractError(
                f'the drill would tell the Slack channel "{channel}", to which {who} sends alerts; give the drill one of its own'
            )


def _plain(channel: str) -> str:
    return channel.strip().lstrip("#").casefold()


def channels(contracts: Iterable[Contract], sinks: Iterable[object], sensors: Iterable[Any]) -> Iterable[tuple[str, str]]:
    """Where alerts go: by contracts, sinks and sensors."""
    for contract in contracts:
        if contract.policy.contact.channel:
            yield contract.policy.contact.channel, f"contract {contract.id}"
    for sink in sinks:
        if isinstance(sink, SlackAlerts):
            yield sink.channel, f"the sink {sink.name}"
    for sensor in sensors:
        if (value := getattr(sensor, "metadata", {}).get(CHANNEL)) is not None:
            yield str(getattr(value, "value", value)), f"the sensor {sensor.name}"
