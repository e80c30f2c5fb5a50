"""The use case of telling the world: what stands in the outbox is delivered to each sink at least once, in order per breaker.

Each sink has its own cursor per breaker, so an outage of one keeps nothing from the others. A relay claims cursors under a lease, delivers
from there on, moves them and gives them back. Any number of relays may run. One that dies leaves a lease that ends by itself, and its
events are delivered again; one that was paused for longer than its lease repeats what another has delivered since. Either way every
relay delivers without gap from a cursor on, and a cursor moves only over what was delivered: repeats may come late, but the first time
that a sink sees an event is after the first time that it saw the one before.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dagster_contracts.core.errors import DeliveryFailed, UsageError
from dagster_contracts.core.events import Event
from dagster_contracts.core.wording import counted
from dagster_contracts.ports import EventSink, Store

LEASE = timedelta(minutes=1)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(minutes=5)
KEYS, EVENTS = 100, 500  # per sink and tick

logger = logging.getLogger("dagster_contracts.relay")


@dataclass(frozen=True, slots=True)
class Told:
    """What one tick told one sink. `failure` says why something is left, `again_at` when it is tried next; `attempted` whether it was
    tried now."""

    sink: str
    events: int = 0
    failure: str | None = None
    again_at: datetime | None = None
    attempted: bool = True

    def __str__(self) -> str:
        told = f"{self.sink}: delivered {counted(self.events, 'event')}" if self.events or self.failure is None else f"{self.sink}:"
        if self.failure is None:
            return told
        return f"{told}{';' if self.events else ''} failed, next attempt after {self.again_at:%Y-%m-%dT%H:%M:%SZ}: {self.failure}"


@dataclass(frozen=True, slots=True)
class Outage:
    """A sink that fails: since when, how often it was tried, and when it is tried next."""

    since: datetime
    attempts: int
    until: datetime
    failure: str


def distinct(names: Sequence[str]) -> None:
    """Raises UsageError where two sinks have one name."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f'two sinks are named "{twice[0]}", and would share their cursors; give one of them another name')


class Relay:
    """Tells the sinks. Remembers which of them fail, and leaves those alone for 5 s at first, for 5 minutes at most.

    Raises UsageError where two sinks have one name.
    """

    def __init__(
        self,
        store: Store,
        sinks: Sequence[EventSink],
        *,
        outages: dict[str, Outage] | None = None,
        lease: timedelta = LEASE,
        limit: int = EVENTS,
    ):
        """`outages` (sink name -> outage) outlives this relay where the caller makes one for every tick."""
        distinct([sink.name for sink in sinks])
        self._store, self._sinks, self._lease, self._limit = store, tuple(sinks), lease, limit
        self._outages: dict[str, Outage] = {} if outages is None else outages

    def tick(self) -> tuple[Told, ...]:
        """Deliver a bounded share of what waits to each sink. Raises StoreUnavailable; a sink that fails is told of in the result."""
        self._store.register([sink.name for sink in self._sinks])
        return tuple(self._tell(sink) for sink in self._sinks)

    def _tell(self, sink: EventSink) -> Told:
        outage = self._outages.get(sink.name)
        if outage is not None and self._store.now() < outage.until:
            return Told(sink.name, 0, outage.failure, outage.until, attempted=False)
        holder = uuid.uuid4().hex
        events = self._store.claim(sink.name, holder=holder, lease=self._lease, keys=KEYS, limit=self._limit)
        if not events:
            return Told(sink.name, attempted=False)
        failed = _deliver(sink, events)
        cursors = _cursors(events, failed.delivered if failed is not None else {event.id for event in events})
        self._store.advance(sink.name, holder, cursors)
        told = sum(event.sequence <= cursors[event.key] for event in events)
        if failed is None:
            self._recovered(sink.name)
            return Told(sink.name, told)
        outage = self._failed(sink.name, failed)
        return Told(sink.name, told, outage.failure, outage.until)

    def _failed(self, name: str, failed: DeliveryFailed) -> Outage:
        """Told to the log once an outage; an attempt that got anywhere begins a new one."""
        now, known = self._store.now(), self._outages.get(name)
        attempts = known.attempts + 1 if known is not None and not failed.delivered else 1
        wait = failed.retry_after or min(FIRST_WAIT * 2 ** min(attempts - 1, 16), LONGEST_WAIT)
        outage = Outage(known.since if known is not None else now, attempts, now + wait, str(failed))
        self._outages[name] = outage
        if known is None:
            logger.warning("%s cannot be told; events wait in the outbox until it can: %s", name, failed)
        return outage

    def _recovered(self, name: str) -> None:
        if (outage := self._outages.pop(name, None)) is not None:
            logger.warning("%s is told again, after %s", name, self._store.now() - outage.since)


def _deliver(sink: EventSink, events: Sequence[Event]) -> DeliveryFailed | None:
    try:
        sink.deliver(events)
    except DeliveryFailed as failed:
        return failed
    except Exception as error:  # a defect of one sink must not keep the events from the others
        logger.exception("sink %s broke; nothing of its share counts as delivered", sink.name)
        return DeliveryFailed(f"{type(error).__name__}: {error}")
    return None


def _cursors(events: Sequence[Event], delivered: Collection[str]) -> dict[str, int]:
    """Where the cursor of each breaker stands now: before its first event that was not delivered. `events` are in order per breaker."""
    cursors: dict[str, int] = {}
    stopped: set[str] = set()
    for event in events:
        cursors.setdefault(event.key, event.sequence - 1)
        if event.id not in delivered:
            stopped.add(event.key)
        elif event.key not in stopped:
            cursors[event.key] = event.sequence
    return cursors
