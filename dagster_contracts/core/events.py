"""What the world is told. Events are recorded in the transaction they tell of, and delivered at least once, in order per breaker.

The id of an event is its breaker's key and a number that grows by one: the same on every redelivery. Every payload is described by a JSON
schema in docs/schemas/events, and holds no row of data: what it quotes is what the findings quote, where classified columns are masked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from dagster_contracts.core.breaker import Missed
from dagster_contracts.core.contract import Severity
from dagster_contracts.core.ledger import Batch, Output, Route, RouteKind, Status
from dagster_contracts.core.state import Breaker, State, Transition, asset_of
from dagster_contracts.core.verdict import Finding, Outcome, Verdict, waiver_to_json
from dagster_contracts.core.wording import duration

VERSION = 1  # of all payloads
# A message of Kafka may have a megabyte, and texts come from strangers: JSON escapes a character by up to twelve.
MESSAGE, TEXT, LISTED = 2_000, 300, 40
_LONGER = (
    "reason",
    "cause",
    "breaker",
    "asset",
    "batch",
    "partition",
    "requested",
    "served",
    "consumer",
    "upstream",
    "made_from_fallback_of",
)
Payload = dict[str, object]


class EventType(StrEnum):
    BREAKER_OPENED = "breaker.opened"
    BREAKER_REOPENED = "breaker.reopened"
    BREAKER_HALF_OPENED = "breaker.half_opened"
    BREAKER_CLOSED = "breaker.closed"
    BREAKER_CHANGED = "breaker.changed"  # override set or cleared, new contract version
    CONTRACT_VIOLATED = "contract.violated"
    BATCH_QUARANTINED = "batch.quarantined"
    BATCH_HELD = "batch.held"
    BATCH_PUBLISHED = "batch.published"
    BATCH_RELEASED = "batch.released"
    BATCH_DISCARDED = "batch.discarded"
    DELIVERY_MISSED = "delivery.missed"
    PROBE_INCONCLUSIVE = "probe.inconclusive"
    ROUTE_SERVED_FALLBACK = "route.served_fallback"
    OUTPUT_HEALED = "output.healed"
    OUTPUT_DISMISSED = "output.dismissed"
    REVIEW_APPROVED = "review.approved"
    REVIEW_REJECTED = "review.rejected"
    VIOLATION_REPORTED = "violation.reported"


def type_of(kind: EventType) -> str:
    """The type as CloudEvents name it: "io.dagster-contracts.breaker.opened.v1"."""
    return f"io.dagster-contracts.{kind}.v{VERSION}"


def schema_of(kind: EventType) -> str:
    """The `$id` of the JSON schema of its payload."""
    return f"urn:dagster-contracts:event:{kind}:v{VERSION}"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one breaker or its data. `payload` holds JSON values only.

    `incident` is the number of the breaker's incident that it is part of: from what opened it to what closed it, and the outputs that
    are healed afterwards. None outside of any.
    """

    key: str
    sequence: int
    type: EventType
    at: datetime
    message: str
    payload: Mapping[str, object]
    incident: int | None = None

    @property
    def id(self) -> str:
        return f"{self.key}:{self.sequence}"


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before it has its number."""

    type: EventType
    message: str
    payload: Mapping[str, object]


def number(breaker: Breaker, drafts: Sequence[Draft], now: datetime, contract_id: str | None = None) -> tuple[Breaker, tuple[Event, ...]]:
    """Give drafts the breaker's next numbers, and what all payloads have; the breaker returned has counted them."""
    first = breaker.event_sequence + 1
    ends = any(draft.type in (EventType.BREAKER_CLOSED, EventType.OUTPUT_HEALED) for draft in drafts)
    incident = (breaker.incident or None) if ends or breaker.state is not State.CLOSED else None
    shared: Payload = {
        "version": VERSION,
        "breaker": breaker.key,
        "incident": incident,
        "asset": asset_of(breaker.key),
        "contract": {"id": contract_id, "version": breaker.contract_version},
    }
    events = tuple(
        Event(breaker.key, first + offset, draft.type, now, cut(draft.message), _bounded({**shared, **draft.payload}), incident)
        for offset, draft in enumerate(drafts)
    )
    return replace(breaker, event_sequence=breaker.event_sequence + len(events)), events


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def cut(text: str, length: int = MESSAGE) -> str:
    """At most `length` characters; what was cut off is an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _bounded(payload: Mapping[str, object]) -> Payload:
    """Names are cut only where they are none any more, sentences hardly ever."""
    return {name: _cut_all(value, MESSAGE if name in _LONGER else TEXT) for name, value in payload.items()}


def _cut_all(value: object, length: int) -> object:
    match value:
        case str():
            return cut(value, length)
        case Mapping():
            return {str(name): _cut_all(each, length) for name, each in value.items()}
        case list() | tuple():
            return [_cut_all(each, length) for each in value[:LISTED]]
    return value


# --- drafting ------------------------------------------------------------------------------------------------------


def of_transition(transition: Transition, breaker: Breaker, batch: Batch | None = None) -> Draft:
    """`breaker` is the breaker after the transition, `batch` the one that caused it, as it was judged."""
    start, end = transition.from_state, transition.to_state
    if start is end:
        kind = EventType.BREAKER_CHANGED
    elif end is State.OPEN:
        kind = EventType.BREAKER_OPENED if start is State.CLOSED else EventType.BREAKER_REOPENED
    else:
        kind = EventType.BREAKER_CLOSED if end is State.CLOSED else EventType.BREAKER_HALF_OPENED
    message = f"{transition.key}: {start} -> {end}: {transition.cause}" if start is not end else f"{transition.key}: {transition.cause}"
    opens = end is State.OPEN and start is not end
    failed = _broken(batch.verdict, Outcome.FAIL) if opens and batch is not None and batch.verdict is not None else []
    payload: Payload = {
        "from": str(start),
        "to": str(end),
        "cause": transition.cause,
        "generation": transition.generation,
        "batch": transition.batch_id,
        "partition": batch.partition.key if batch is not None else None,
        "run_id": batch.run_id if batch is not None else None,
        "actor": transition.actor,
        "shadow": transition.shadow,
        "since": rfc3339(transition.at),
        "opened_at": _time(breaker.opened_at),
        "retry_at": _time(breaker.retry_at),
        "severity": _worst(failed),
        "rules": [_rule(finding) for finding in failed],
        "findings": list(breaker.findings),
    }
    return Draft(kind, message, payload)


def incident_id(key: str, incident: int) -> str:
    """The name of an incident: its breaker's key and number."""
    return f"{key}#{incident}"


def of_batch(batch: Batch, fallback_of: Sequence[str] = ()) -> tuple[Draft, ...]:
    """What a judged batch is worth telling: nothing where it passed and was let through.

    `fallback_of` are the incidents whose fallback data it was made from. A pass is not told: it would add a row to every batch's
    transaction, for what Dagster's own materialization and checks say already.
    """
    payload = {**_batch(batch), "made_from_fallback_of": list(fallback_of)}
    drafts: list[Draft] = []
    place = f"{batch.asset} [{batch.partition}]"
    if batch.outcome in (Outcome.FAIL, Outcome.WARN):
        broken = _broken(batch.verdict, Outcome.FAIL, Outcome.WARN) if batch.verdict else []
        rules = ", ".join(cut(finding.rule) for finding in broken[:MESSAGE])  # texts come from strangers
        drafts.append(
            Draft(EventType.CONTRACT_VIOLATED, f"{place}: {batch.outcome}: {rules}", {**payload, **_verdict(batch.verdict, broken)})
        )
    if batch.status is Status.QUARANTINED:
        drafts.append(Draft(EventType.BATCH_QUARANTINED, f"{place} was quarantined", payload))
    elif batch.status is Status.HELD:
        drafts.append(Draft(EventType.BATCH_HELD, f"{place} was held ({batch.outcome})", payload))
    elif batch.outcome is Outcome.INCONCLUSIVE:
        drafts.append(Draft(EventType.BATCH_PUBLISHED, f"{place} is published unjudged ({batch.outcome})", payload))
    return tuple(drafts)


def _batch(batch: Batch) -> Payload:
    return {
        "asset": batch.asset,
        "contract": {"id": batch.contract_id, "version": batch.contract_version},
        "batch": batch.id,
        "partition": batch.partition.key,
        "run_id": batch.run_id,
        "outcome": str(batch.outcome),
        "status": str(batch.status),
    }


def _broken(verdict: Verdict | None, *outcomes: Outcome) -> list[Finding]:
    """The worst first."""
    found = [finding for finding in verdict.findings if finding.outcome in outcomes] if verdict is not None else []
    return sorted(found, key=lambda finding: list(Severity).index(finding.severity))


def _worst(broken: Sequence[Finding]) -> str | None:
    return str(broken[0].severity) if broken else None


def _rule(finding: Finding) -> Payload:
    return {
        "rule": finding.rule,
        "dimension": str(finding.clause),
        "column": finding.column,
        "severity": str(finding.severity),
        "outcome": str(finding.outcome),
        "observed": finding.observed,
        "expected": finding.expected,
        "failing_rows": finding.failing_rows,
        "waived": waiver_to_json(finding.waived),
    }


def _verdict(verdict: Verdict | None, broken: Sequence[Finding]) -> Payload:
    return {
        "severity": _worst(broken),
        "rows": verdict.rows if verdict is not None else None,
        "rules": [_rule(finding) for finding in broken],
        "rules_broken": len(broken),
        "rules_executed": len(verdict.executed_rules) if verdict is not None else 0,
        "openlineage": {"dataQualityAssertions": _assertions(verdict, broken)},
    }


def _assertions(verdict: Verdict | None, broken: Sequence[Finding]) -> Payload:
    """OpenLineage's facet of the dataset: what was measured, and whether it holds; broken rules first."""
    held = _broken(verdict, Outcome.PASS)
    return {
        "_producer": "urn:dagster-contracts",
        "_schemaURL": "https://openlineage.io/spec/facets/1-1-0/DataQualityAssertionsDatasetFacet.json"
        "#/$defs/DataQualityAssertionsDatasetFacet",
        "assertions": [_assertion(finding) for finding in (*broken, *held)],
    }


def _assertion(finding: Finding) -> Payload:
    found: Payload = {
        "assertion": str(finding.clause),
        "success": finding.outcome is Outcome.PASS,
        "severity": "error" if finding.severity.refuses else "warn",
        "name": finding.rule,
    }
    return found if finding.column is None else {**found, "column": finding.column}


def of_word(kind: EventType, batch: Batch, *, actor: str, reason: str) -> Draft:
    """A person has released or discarded a batch."""
    did = kind.rpartition(".")[2]
    return Draft(kind, f"{actor} {did} {batch.id}: {reason}", {**_batch(batch), "actor": actor, "reason": reason})


def of_missed(asset: str, missed: Missed, last: datetime, breaker: Breaker) -> Draft:
    """Deliveries have not come, the last of all at `last`; `breaker` is the breaker that knows."""
    payload: Payload = {
        "asset": asset,
        "rule": missed.rule,
        "severity": str(missed.severity),
        "since": rfc3339(missed.since),
        "due": rfc3339(missed.due),
        "last": rfc3339(last),
        "state": str(breaker.state),
    }
    return Draft(EventType.DELIVERY_MISSED, f"{breaker.key}: {missed.rule}: {missed.told}", payload)


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment is not None else None


def of_inconclusive_probe(batch: Batch) -> Draft:
    """`batch` was probed, and neither passed nor failed."""
    return Draft(EventType.PROBE_INCONCLUSIVE, f"{batch.breaker_key}: the probe of {batch.id} was inconclusive", _batch(batch))


def of_route(consumer: str, route: Route) -> tuple[Draft, ...]:
    """A consumer was given something other than fresh data."""
    if route.kind in (RouteKind.FRESH, RouteKind.UNJUDGED):
        return ()
    payload: Payload = {
        "asset": route.upstream,
        "consumer": consumer,
        "upstream": route.upstream,
        "requested": route.requested.key,
        "served": route.served.key if route.served else None,
        "batch": route.batch_id,
        "route": str(route.kind),
        "confidence": str(route.confidence) if route.confidence else None,
        "reason": route.reason,
        "retry_at": _time(route.retry_at),
    }
    message = f"{consumer}: {route.kind} of {route.upstream} [{route.requested}]" + (f" -> [{route.served}]" if route.served else "")
    return (Draft(EventType.ROUTE_SERVED_FALLBACK, message, payload),)


def of_healing(output: Output, at: datetime) -> Draft:
    """`output` is the degraded or halted output that has been computed again."""
    payload: Payload = {
        "asset": output.asset,
        "partition": output.partition.key,
        "run_id": output.run_id,
        "was": str(output.status),
        "since": rfc3339(output.at),
        "seconds": (at - output.at).total_seconds(),
    }
    return Draft(EventType.OUTPUT_HEALED, f"{output.asset} [{output.partition}] was healed after {duration(at - output.at)}", payload)


@dataclass(frozen=True, slots=True)
class Report:
    """Somebody says that data breaks its contract: what was seen, and as far as they know where and which rule."""

    actor: str
    reason: str
    rule: str | None = None
    partition: str | None = None


def of_report(report: Report, breaker: Breaker, batch: Batch | None) -> Draft:
    """`batch` is what is published where the violation was seen."""
    payload: Payload = {
        "rule": report.rule,
        "partition": report.partition,
        "batch": batch.id if batch is not None else None,
        "actor": report.actor,
        "reason": report.reason,
        "state": str(breaker.state),
    }
    place = breaker.key + (f" [{report.partition}]" if report.partition is not None else "")
    told = ": ".join(part for part in (report.rule, report.reason) if part)
    return Draft(EventType.VIOLATION_REPORTED, f"{report.actor} reports a violation of {place}: {told}", payload)


def of_output_word(kind: EventType, output: Output, *, actor: str, reason: str) -> Draft:
    """A person has approved or rejected a low-confidence output, or dismissed one that is not made any more."""
    did = kind.rpartition(".")[2]
    payload: Payload = {
        "asset": output.asset,
        "partition": output.partition.key,
        "run_id": output.run_id,
        "since": rfc3339(output.at),
        "actor": actor,
        "reason": reason,
    }
    return Draft(kind, f"{actor} {did} {output.asset} [{output.partition}]: {reason}", payload)
