"""What people are told of an incident, as data: events are folded into one `Alert`, whatever shows it afterwards.

An alert is an incident of a breaker; or, outside of any, what happened to it on one day: batches that broke the contract and moved
nothing, deliveries that a rule missed, words of people. What is made from the fallback data of an incident is told there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from dagster_contracts.core.contract import Confidence, Contact
from dagster_contracts.core.downstream import Reading
from dagster_contracts.core.events import Event, EventType, incident_id
from dagster_contracts.core.ledger import Batch
from dagster_contracts.core.state import State, asset_of, tells_most
from dagster_contracts.core.verdict import Finding, Outcome, Verdict
from dagster_contracts.core.wording import clipped

FINDINGS, ROWS, CELLS, READERS = 10, 3, 6, 20  # shown at most
_LONGEST = 300  # characters of one sentence
_LONGEST_CELL = 60


class Topic(StrEnum):
    """What an alert is about."""

    INCIDENT = "incident"
    VIOLATIONS = "violations"  # of one day, of batches that opened nothing
    MISSED = "missed"  # deliveries that one rule missed on one day and that opened nothing
    PEOPLE = "people"  # overrides of one day, outside an incident
    DOWNSTREAM = "downstream"  # batches made from the fallback data of another breaker's incident, told in its thread


@dataclass(frozen=True, slots=True)
class Failure:
    """A rule that was broken: what was seen, what is allowed. Values of classified columns are masked."""

    rule: str
    severity: str
    observed: str
    expected: str


@dataclass(frozen=True, slots=True)
class Alert:
    """What is told so far. Texts may be a vendor's or a contract's: whatever shows them makes them inert.

    `id` is "<breaker key>#<incident>", or "<breaker key>@<day>" with the topic; `state` of the breaker: closed, open or half_open;
    `shadow`: it is observed only, nothing is enforced; `since` (aware UTC) when it began and `ended` when its breaker closed;
    `sample` up to 3 failing rows as (column, value) pairs; `counts` how often what happened; `above` the id of the alert it belongs to.
    """

    id: str
    topic: Topic
    key: str
    cause: str
    since: datetime
    state: str = "closed"
    shadow: bool = False
    ended: datetime | None = None
    retry_at: datetime | None = None
    contract: str = ""
    batch_id: str | None = None
    partition: str | None = None
    run_id: str | None = None
    failures: tuple[Failure, ...] = ()
    sample: tuple[tuple[tuple[str, str], ...], ...] = ()
    contact: Contact = field(default_factory=Contact)
    readers: tuple[Reading, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    latest: str = ""
    above: str | None = None

    @property
    def asset(self) -> str:
        return asset_of(self.key)


def topic_of(event: Event) -> tuple[str, Topic, str | None] | None:
    """The id and topic of the alert that an event belongs to, and the alert above that; None where it is worth telling nobody."""
    if event.incident is not None:
        return incident_id(event.key, event.incident), Topic.INCIDENT, None
    day = f"{event.key}@{event.at.astimezone(UTC):%Y-%m-%d}"
    above = event.payload.get("made_from_fallback_of")
    match event.type:
        case EventType.BREAKER_CHANGED if event.payload.get("actor"):
            return f"{day} people", Topic.PEOPLE, None
        case EventType.BREAKER_CLOSED:  # of observe_only that ended
            return f"{day} people", Topic.PEOPLE, None
        case EventType.DELIVERY_MISSED:
            return f"{day} {clipped(str(event.payload.get('rule')))}", Topic.MISSED, None
        case EventType.CONTRACT_VIOLATED | EventType.BATCH_QUARANTINED | EventType.BATCH_HELD | EventType.BATCH_PUBLISHED:
            if isinstance(above, list) and above:
                return f"{event.key} in {above[0]}", Topic.DOWNSTREAM, str(above[0])
            return day, Topic.VIOLATIONS, None
        case EventType.VIOLATION_REPORTED:
            return day, Topic.VIOLATIONS, None
    return None


def begun(event: Event, alert_id: str, topic: Topic, above: str | None = None) -> Alert:
    """An alert that has been told nothing of yet, not even `event`, the first one known of it."""
    said = event.payload.get("cause") or event.message
    return Alert(alert_id, topic, event.key, clipped(str(said), _LONGEST), event.at, above=above)


# --- folding -------------------------------------------------------------------------------------------------------

_STATES = {
    EventType.BREAKER_OPENED: State.OPEN,
    EventType.BREAKER_REOPENED: State.OPEN,
    EventType.BREAKER_HALF_OPENED: State.HALF_OPEN,
    EventType.BREAKER_CLOSED: State.CLOSED,
}
_COUNTED = {
    EventType.BREAKER_REOPENED: "probes failed",
    EventType.BATCH_HELD: "batches held",
    EventType.BATCH_PUBLISHED: "batches published unjudged",
    EventType.BATCH_RELEASED: "batches released",
    EventType.BATCH_DISCARDED: "batches discarded",
    EventType.PROBE_INCONCLUSIVE: "probes inconclusive",
    EventType.DELIVERY_MISSED: "deliveries missed",
    EventType.ROUTE_SERVED_FALLBACK: "reads of fallback data",
    EventType.OUTPUT_HEALED: "outputs made anew",
    EventType.OUTPUT_DISMISSED: "outputs dismissed",
    EventType.VIOLATION_REPORTED: "violations reported",
}


_LATEST = (EventType.CONTRACT_VIOLATED, EventType.DELIVERY_MISSED, EventType.BREAKER_CHANGED)


def follow(alert: Alert, event: Event) -> Alert:
    """The alert, with one more event told."""
    alert = _counted(alert, event)
    if event.type is EventType.ROUTE_SERVED_FALLBACK:
        return replace(alert, readers=_served(alert.readers, event))
    other = alert.batch_id is None or event.payload.get("batch") != alert.batch_id
    if (other and event.type in _LATEST) or event.type is EventType.VIOLATION_REPORTED:
        alert = replace(alert, latest=clipped(event.message, _LONGEST))
    if event.type not in _STATES:
        return alert
    retry_at, closed = event.payload.get("retry_at"), event.type is EventType.BREAKER_CLOSED
    actor = event.payload.get("actor")
    return replace(
        alert,
        latest=clipped(f"{event.message} (by {actor})" if actor else event.message, _LONGEST) if closed else alert.latest,
        state=str(_STATES[event.type]),
        shadow=event.payload.get("shadow") is True,
        retry_at=datetime.fromisoformat(retry_at) if isinstance(retry_at, str) and not closed else None,
        ended=event.at if closed else None,
    )


def _counted(alert: Alert, event: Event) -> Alert:
    word = _COUNTED.get(event.type)
    if event.type is EventType.CONTRACT_VIOLATED:
        word = "batches failed" if event.payload.get("outcome") == Outcome.FAIL else "batches with warnings"
    return alert if word is None else replace(alert, counts={**alert.counts, word: alert.counts.get(word, 0) + 1})


def _served(readers: tuple[Reading, ...], event: Event) -> tuple[Reading, ...]:
    """What a consumer was really given replaces what it was expected to read."""
    payload = event.payload
    confidence = payload.get("confidence")
    served = f" [{clipped(str(payload['served']))}]" if payload.get("served") else ""
    words = {"last_good": f"the last good data{served}", "low_confidence": f"the refused data{served}, marked low"}
    told = words.get(str(payload.get("route")), "nothing: it is halted")
    reading = Reading(str(payload.get("consumer")), told, Confidence(confidence) if isinstance(confidence, str) else None)
    others = tuple(each for each in readers if each.consumer != reading.consumer)
    if len(others) < len(readers):
        return tuple(reading if each.consumer == reading.consumer else each for each in readers)
    return (*readers, reading) if len(readers) < READERS else readers


# --- facts that no event carries -----------------------------------------------------------------------------------


def with_batch(alert: Alert, batch: Batch) -> Alert:
    """The alert with what is known of the batch that it is about: findings, a sample, the run."""
    verdict = batch.verdict
    alert = replace(
        alert,
        contract=clipped(f"{batch.contract_id} {batch.contract_version}", _LONGEST),
        batch_id=clipped(batch.id, _LONGEST),
        partition=None if batch.partition.key is None else clipped(batch.partition.key, _LONGEST),
        run_id=clipped(batch.run_id, _LONGEST),
    )
    return alert if verdict is None else replace(alert, failures=_failures(verdict), sample=_sample(verdict))


def _telling(verdict: Verdict) -> list[Finding]:
    """What broke the contract, the worst first."""
    order = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.WARN)
    told = [finding for finding in verdict.findings if finding.outcome in order]
    return sorted(told, key=lambda finding: (order.index(finding.outcome), *tells_most(finding)))


def _failures(verdict: Verdict) -> tuple[Failure, ...]:
    return tuple(
        Failure(clipped(each.rule, _LONGEST), str(each.severity), clipped(each.observed, _LONGEST), clipped(each.expected, _LONGEST))
        for each in _telling(verdict)[:FINDINGS]
    )


def _sample(verdict: Verdict) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Rows that break the first rule which has some to show; its own column first."""
    finding = next((each for each in _telling(verdict) if each.sample), None)
    if finding is None:
        return ()
    return tuple(_cells(row, finding.column) for row in finding.sample[:ROWS])


def _cells(row: Mapping[str, object], first: str | None) -> tuple[tuple[str, str], ...]:
    names: Sequence[str] = sorted(row, key=lambda name: name != first)
    return tuple((clipped(str(name), _LONGEST_CELL), clipped(str(row[name]), _LONGEST_CELL)) for name in names[:CELLS])
