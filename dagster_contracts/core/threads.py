"""One thread per alert, of a bounded number of messages: the first one is edited, what changes is a reply.

    first message   as soon as anything is known; edited with each reply, when a consumer is new in it, and when the number of events that
                    it tells of has doubled
    replies         probes, overrides, new contract versions, missed deliveries: at most REPLIES; closing, and the first healing, always

A thread of n events therefore costs at most 2 * (REPLIES + 2) + READERS + 2 + log2(n) calls, however the events are portioned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import zip_longest
from typing import Any

from dagster_contracts.core.alerts import Alert, Failure, Topic, follow
from dagster_contracts.core.contract import Confidence, Contact
from dagster_contracts.core.downstream import Reading
from dagster_contracts.core.events import Event, EventType
from dagster_contracts.core.wording import clipped, duration

REPLIES = 30
_LONGEST = 300
_FINDINGS = 3
_LAST = "What follows is counted in the first message."


@dataclass(frozen=True, slots=True)
class Thread:
    """What a sink has said of an alert, as it is remembered.

    `channel` and `place` are where the first message stands (None: nothing was posted); `folded` and `told` the numbers of the last
    event that its alert and its replies tell of; `seen` how many events those are, `shown` how many the message shows, and `named` how many
    consumers; `pending` names the message that is being posted, and may have been.
    """

    alert: Alert
    channel: str | None = None
    place: str | None = None
    folded: int = 0
    told: int = 0
    seen: int = 0
    shown: int = 0
    named: int = 0
    replies: int = 0
    healed: bool = False
    pending: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A message below the first one. `title` is ours, `lines` quote: whatever shows them makes them inert. `final`: beyond any bound;
    `heals`: the one that tells of outputs made anew.
    """

    sequence: int
    title: str
    lines: tuple[str, ...] = ()
    final: bool = False
    heals: bool = False


def folding(thread: Thread, events: Sequence[Event]) -> Thread:
    """The thread, with the events that it does not know yet in its alert."""
    for event in events:
        if event.sequence > thread.folded:
            thread = replace(thread, alert=follow(thread.alert, event), folded=event.sequence, seen=thread.seen + 1)
    return thread


def edit_is_due(thread: Thread, *, replied: bool) -> bool:
    """Whether the first message is to be edited: what it shows is old news by a reply, by a consumer, or by half."""
    return thread.shown < thread.seen and (replied or len(thread.alert.readers) > thread.named or thread.seen >= 2 * thread.shown)


def showing(thread: Thread) -> Thread:
    """The thread, once its first message shows everything that it knows."""
    return replace(thread, shown=thread.seen, named=len(thread.alert.readers))


def replies(thread: Thread, events: Sequence[Event]) -> list[Reply]:
    """What is to be said below the first message, in order; nothing beyond the bound."""
    wanted = [event for event in events if event.sequence > thread.told]
    found = _replies(thread, wanted)
    room = max(0, REPLIES - thread.replies)
    kept: list[Reply] = []
    for reply in found:
        if reply.final or room > 0:
            room -= not reply.final
            kept.append(reply if reply.final or room else replace(reply, lines=(*reply.lines, _LAST)))
    return kept


def _replies(thread: Thread, events: Sequence[Event]) -> list[Reply]:
    if thread.alert.topic is Topic.PEOPLE:
        return [_people(event) for event in events]
    if thread.alert.topic is not Topic.INCIDENT:
        return []
    made = [reply for event, next_one in zip_longest(events, events[1:]) if (reply := _reply(thread, event, next_one))]
    healed = [event for event in events if event.type is EventType.OUTPUT_HEALED]
    return [*made, _healed(healed)] if healed and not thread.healed else made


_SETTLES = (EventType.BREAKER_REOPENED, EventType.BREAKER_CLOSED)


def _reply(thread: Thread, event: Event, following: Event | None) -> Reply | None:
    match event.type:
        case EventType.BREAKER_HALF_OPENED:
            settled = following is not None and following.type in _SETTLES
            return None if settled else Reply(event.sequence, "Half-open: a probe is running", _cause(event))
        case EventType.BREAKER_REOPENED:
            return Reply(event.sequence, f"A probe failed: open again{_until(event)}", (*_cause(event), *_findings(event)))
        case EventType.PROBE_INCONCLUSIVE:
            return Reply(event.sequence, "A probe proved nothing: the breaker stays as it is", (clipped(event.message, _LONGEST),))
        case EventType.BREAKER_CLOSED:
            closed = f"Closed after {duration(event.at - thread.alert.since)}"
            return Reply(event.sequence, closed, (*_cause(event), *_by(event)), final=True)
        case EventType.BREAKER_CHANGED:
            return _people(event)
        case EventType.DELIVERY_MISSED:
            return Reply(event.sequence, "A delivery is missing", (clipped(event.message, _LONGEST),))
        case _:
            return None


def _people(event: Event) -> Reply:
    by = _by(event)
    return Reply(event.sequence, "Override changed" if by else "Contract changed", (*_cause(event), *by))


def _by(event: Event) -> tuple[str, ...]:
    actor = event.payload.get("actor")
    return (f"by {clipped(str(actor))}",) if actor else ()


def _healed(events: Sequence[Event]) -> Reply:
    lines = tuple(clipped(event.message, _LONGEST) for event in events[:_FINDINGS])
    more = (f"and {len(events) - _FINDINGS} more",) if len(events) > _FINDINGS else ()
    return Reply(events[-1].sequence, "Outputs are being made anew", (*lines, *more), final=True, heals=True)


def _cause(event: Event) -> tuple[str, ...]:
    return (clipped(str(event.payload.get("cause") or event.message), _LONGEST),)


def _findings(event: Event) -> tuple[str, ...]:
    found = event.payload.get("findings")
    return tuple(clipped(str(line), _LONGEST) for line in found[:_FINDINGS]) if isinstance(found, list) else ()


def _until(event: Event) -> str:
    at = event.payload.get("retry_at")
    return f", next probe after {datetime.fromisoformat(at):%Y-%m-%d %H:%MZ}" if isinstance(at, str) else ""


# --- remembering ---------------------------------------------------------------------------------------------------


def to_json(thread: Thread) -> dict[str, Any]:
    """JSON values, `version` 1; `from_json` reads them back to an equal thread."""
    document = asdict(thread)
    alert = document["alert"]
    for name in ("since", "ended", "retry_at"):
        alert[name] = alert[name].isoformat() if alert[name] else None
    return {"version": 1, **document}


def from_json(document: Mapping[str, Any]) -> Thread:
    """The thread that `to_json` wrote."""
    alert = dict(document["alert"])
    for name in ("since", "ended", "retry_at"):
        alert[name] = datetime.fromisoformat(alert[name]) if alert[name] else None
    alert |= {
        "topic": Topic(alert["topic"]),
        "failures": tuple(Failure(**each) for each in alert["failures"]),
        "sample": tuple(tuple((name, value) for name, value in row) for row in alert["sample"]),
        "contact": Contact(**alert["contact"]),
        "readers": tuple(_reading(each) for each in alert["readers"]),
    }
    rest = {name: value for name, value in document.items() if name not in ("version", "alert")}
    return Thread(alert=Alert(**alert), **rest)


def _reading(document: Mapping[str, Any]) -> Reading:
    confidence = document["confidence"]
    return Reading(document["consumer"], document["told"], Confidence(confidence) if confidence else None)
