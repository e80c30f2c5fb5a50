"""What the world is told. Events are recorded in the transaction they tell of, and delivered at least once, in order per breaker.

The id of an event is its breaker's key and a number that grows by one: the same on every redelivery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from dagster_contracts.core.breaker import Breaker, Missed, State, Transition
from dagster_contracts.core.ledger import Batch, Output, Route, RouteKind, Status
from dagster_contracts.core.verdict import Outcome


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


def number(breaker: Breaker, drafts: Sequence[Draft], now: datetime) -> tuple[Breaker, tuple[Event, ...]]:
    """Give drafts the breaker's next numbers; the breaker returned has counted them."""
    first = breaker.event_sequence + 1
    ends = any(draft.type in (EventType.BREAKER_CLOSED, EventType.OUTPUT_HEALED) for draft in drafts)
    incident = (breaker.incident or None) if ends or breaker.state is not State.CLOSED else None
    events = tuple(
        Event(breaker.key, first + offset, draft.type, now, draft.message, dict(draft.payload), incident)
        for offset, draft in enumerate(drafts)
    )
    return replace(breaker, event_sequence=breaker.event_sequence + len(events)), events


# --- drafting ------------------------------------------------------------------------------------------------------


def of_transition(transition: Transition, breaker: Breaker) -> Draft:
    """`breaker` is the breaker after the transition."""
    start, end = transition.from_state, transition.to_state
    if start is end:
        kind = EventType.BREAKER_CHANGED
    elif end is State.OPEN:
        kind = EventType.BREAKER_OPENED if start is State.CLOSED else EventType.BREAKER_REOPENED
    else:
        kind = EventType.BREAKER_CLOSED if end is State.CLOSED else EventType.BREAKER_HALF_OPENED
    message = f"{transition.key}: {start} -> {end}: {transition.cause}" if start is not end else f"{transition.key}: {transition.cause}"
    payload: dict[str, object] = {
        "from": str(start),
        "to": str(end),
        "cause": transition.cause,
        "generation": transition.generation,
        "batch": transition.batch_id,
        "actor": transition.actor,
        "shadow": transition.shadow,
        "contract_version": breaker.contract_version,
        "findings": list(breaker.findings),
        "retry_at": breaker.retry_at.isoformat() if breaker.retry_at else None,
        "opened_at": breaker.opened_at.isoformat() if breaker.opened_at else None,
    }
    return Draft(kind, message, payload)


def incident_id(key: str, incident: int) -> str:
    """The name of an incident: its breaker's key and number."""
    return f"{key}#{incident}"


def of_batch(batch: Batch, fallback_of: Sequence[str] = ()) -> tuple[Draft, ...]:
    """What a judged batch is worth telling: nothing where it passed and was let through.

    `fallback_of` are the incidents whose fallback data it was made from.
    """
    payload: dict[str, object] = {
        "asset": batch.asset,
        "batch": batch.id,
        "partition": batch.partition.key,
        "run_id": batch.run_id,
        "contract": {"id": batch.contract_id, "version": batch.contract_version},
        "outcome": str(batch.outcome),
        "status": str(batch.status),
    }
    if fallback_of:
        payload["made_from_fallback_of"] = list(fallback_of)
    drafts: list[Draft] = []
    place = f"{batch.asset} [{batch.partition}]"
    if batch.outcome in (Outcome.FAIL, Outcome.WARN):
        rules = [f.rule for f in batch.verdict.findings if f.outcome in (Outcome.FAIL, Outcome.WARN)] if batch.verdict else []
        drafts.append(Draft(EventType.CONTRACT_VIOLATED, f"{place}: {batch.outcome}: {', '.join(rules)}", {**payload, "rules": rules}))
    if batch.status is Status.QUARANTINED:
        drafts.append(Draft(EventType.BATCH_QUARANTINED, f"{place} was quarantined", payload))
    elif batch.status is Status.HELD:
        drafts.append(Draft(EventType.BATCH_HELD, f"{place} was held ({batch.outcome})", payload))
    elif batch.outcome is Outcome.INCONCLUSIVE:
        drafts.append(Draft(EventType.BATCH_PUBLISHED, f"{place} is published unjudged ({batch.outcome})", payload))
    return tuple(drafts)


def of_missed(asset: str, missed: Missed, last: datetime, breaker: Breaker) -> Draft:
    """Deliveries have not come, the last of all at `last`; `breaker` is the breaker that knows."""
    payload: dict[str, object] = {
        "asset": asset,
        "rule": missed.rule,
        "severity": str(missed.severity),
        "since": _time(missed.since),
        "due": _time(missed.due),
        "last": _time(last),
        "state": str(breaker.state),
        "contract_version": breaker.contract_version,
    }
    return Draft(EventType.DELIVERY_MISSED, f"{breaker.key}: {missed.rule}: {missed.told}", payload)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def of_inconclusive_probe(batch: Batch) -> Draft:
    """`batch` was probed, and neither passed nor failed."""
    payload: dict[str, object] = {"asset": batch.asset, "batch": batch.id, "partition": batch.partition.key}
    return Draft(EventType.PROBE_INCONCLUSIVE, f"{batch.breaker_key}: the probe of {batch.id} was inconclusive", payload)


def of_route(consumer: str, route: Route) -> tuple[Draft, ...]:
    """A consumer was given something other than fresh data."""
    if route.kind in (RouteKind.FRESH, RouteKind.UNJUDGED):
        return ()
    payload: dict[str, object] = {
        "consumer": consumer,
        "upstream": route.upstream,
        "requested": route.requested.key,
        "served": route.served.key if route.served else None,
        "route": str(route.kind),
        "confidence": str(route.confidence) if route.confidence else None,
    }
    message = f"{consumer}: {route.kind} of {route.upstream} [{route.requested}]" + (f" -> [{route.served}]" if route.served else "")
    return (Draft(EventType.ROUTE_SERVED_FALLBACK, message, payload),)


def of_healing(output: Output, at: datetime) -> Draft:
    """`output` is the degraded or halted output that has been computed again."""
    payload: dict[str, object] = {
        "asset": output.asset,
        "partition": output.partition.key,
        "was": str(output.status),
        "since": output.at.isoformat(),
        "seconds": (at - output.at).total_seconds(),
    }
    return Draft(EventType.OUTPUT_HEALED, f"{output.asset} [{output.partition}] was healed after {at - output.at}", payload)
