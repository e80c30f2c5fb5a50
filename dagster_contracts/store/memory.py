"""`MemoryStore`: the same rules as the databases, in the memory of one process. Gone with it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence, Set, Sized
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any, NamedTuple, TypeVar

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.deliveries import latest
from dagster_contracts.core.errors import LostRace, StoreError
from dagster_contracts.core.events import Event, EventType
from dagster_contracts.core.ledger import (
    FALLEN,
    Batch,
    Decision,
    Output,
    OutputStatus,
    Partition,
    Review,
    ReviewStatus,
    Route,
    RouteKind,
    Status,
    StepKey,
)
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.plan import GoodPartition, LastGood
from dagster_contracts.core.profile import Profile
from dagster_contracts.core.references import GoodProfile
from dagster_contracts.core.retention import Pruned, Retention
from dagster_contracts.core.snapshot import Change, Grounds, Incident, Pile, Snapshot, Standing, halves, piled
from dagster_contracts.core.state import Breaker, State, Transition, asset_of
from dagster_contracts.core.verdict import ACCEPTED, Arrival
from dagster_contracts.core.windows import Part
from dagster_contracts.ports import NO_CHANGE, Asked, Clock, StoreClock, Tripped, Waiting, Watched
from dagster_contracts.store import dispensable
from dagster_contracts.store.succession import (
    ALIVE,
    CURRENT,
    DECIDABLE,
    REFUSED,
    REVIEWED,
    WAITING,
    Place,
    ended_as,
    lost_race,
    place_of,
    replaced_by,
    replacement_note,
    standing_of,
)

T = TypeVar("T")
_SYSTEM_CLOCK = StoreClock()
_ALWAYS = datetime.min.replace(tzinfo=UTC)


_PARTS = ("waiting", "newest", "published")


class Cursor(NamedTuple):
    """The last event told, who is telling more, and from when on anybody may."""

    sequence: int = 0
    holder: str | None = None
    free_from: datetime = _ALWAYS


class MemoryStore:
    """`ports.Store` for ephemeral Dagster instances and tests. Safe for threads; not for other processes."""

    def __init__(self, *, clock: Clock = _SYSTEM_CLOCK):
        self._clock = clock
        self._lock = RLock()
        self._breakers: dict[str, Breaker] = {}
        self._transitions: list[Transition] = []
        self._batches: dict[str, Batch] = {}
        self._profiles: dict[tuple[str, str, bool], Profile] = {}  # by batch, column and whether it is of categories
        self._parts: dict[str, Part] = {}
        self._good: set[str] = set()  # batches that were published on their own merit, replaced since or not
        self._decisions: dict[tuple[StepKey, str, str, str | None], Decision] = {}
        self._outputs: dict[str, Output] = {}  # in order of first recording, as are reviews
        self._reviews: dict[str, Review] = {}
        self._events: dict[tuple[str, int], Event] = {}
        self._sinks: set[str] = set()
        self._cursors: dict[tuple[str, str], Cursor] = {}  # (sink, breaker key)
        self._threads: dict[tuple[str, str], Mapping[str, Any]] = {}

    def now(self) -> datetime:
        return self._clock.now() or datetime.now(UTC)

    # --- breakers ---

    def load(self, key: str, *, asset: str, partition: Partition, batch_id: str | None = None) -> Snapshot:
        with self._lock:
            live = self._place(asset, partition.key)
            published = [batch for batch in self._batches.values() if batch.status is Status.PUBLISHED and batch.breaker_key == key]
            ends = [batch.partition.end for batch in published if batch.partition.end is not None]
            return Snapshot(
                now=self.now(),
                breaker=self._breakers.get(key),
                batch=self._batches.get(batch_id) if batch_id is not None else None,
                published=live.published,
                publishing=live.publishing,
                refused=live.refused,
                last_good=self._last_good(asset, partition, live),
                newest_published_end=max(ends, default=None),
                judged=any(batch.asset == asset and batch.partition.key == partition.key for batch in self._batches.values()),
            )

    def transact(
        self, key: str, decide: Callable[[Snapshot], tuple[Change, T]], *, asset: str, partition: Partition, batch_id: str | None = None
    ) -> T:
        with self._lock:
            change, result = decide(self.load(key, asset=asset, partition=partition, batch_id=batch_id))
            if change != Change():
                self.save(change)
            return result

    def grounds(self, key: str, *, asset: str, partition: Partition, step: StepKey | None = None) -> Grounds:
        with self._lock:
            kept = self.decided(step, asset, partition.key) if step is not None else None
            snapshot = replace(self.load(key, asset=asset, partition=partition), newest_published_end=None)
            return Grounds(snapshot, self.output(asset, partition.key), kept)

    def _place(self, asset: str, partition: str | None) -> Place:
        here = (batch for batch in self._batches.values() if batch.asset == asset and batch.partition.key == partition)
        return place_of(batch for batch in here if batch.status in ALIVE)

    def _last_good(self, asset: str, partition: Partition, live: Place) -> Batch | None:
        if partition.end is None:
            return live.published if live.published is not None and live.published.last_good else None
        return next(iter(self._good_before(asset, partition)), None)

    def good_before(self, asset: str, partition: Partition, limit: int) -> Sequence[Batch]:
        with self._lock:
            return [replace(batch, verdict=None) for batch in self._good_before(asset, partition)[:limit]]

    def _good_before(self, asset: str, partition: Partition) -> list[Batch]:
        earlier = [
            (batch.partition.end, batch.sequence, batch)
            for batch in self._batches.values()
            if batch.asset == asset
            and batch.last_good
            and batch.partition.end is not None
            and partition.end is not None
            and batch.partition.end < partition.end
            and batch.partition.dimensions == partition.dimensions
            and not self._overwritten(batch)
        ]
        return [batch for _, _, batch in sorted(earlier, key=lambda entry: entry[:2], reverse=True)]

    def _overwritten(self, batch: Batch) -> bool:
        publishing = self._place(batch.asset, batch.partition.key).publishing
        return publishing is not None and publishing.sequence > batch.sequence

    def grounds_of(self, asked: Sequence[Asked]) -> Sequence[Grounds]:
        return [self.grounds(each.key, asset=each.asset, partition=each.partition) for each in asked]

    def save(self, change: Change) -> None:
        with self._lock:
            self._refuse(change)
            self._parts.update({part.batch_id: part for part in change.parts})
            for kept in change.profiles:
                self._profiles[kept.batch_id, kept.metric.column, kept.metric.categorical] = kept.profile
            if change.breaker is not None:
                self._breakers[change.breaker.key] = replace(change.breaker, version=change.breaker.version + 1)
            self._transitions.extend(change.transitions)
            for batch in change.batches:
                self._save_batch(batch)
            for output in change.outputs:
                self._save_output(output)
            self._reviews.update({review.id: review for review in (*change.reviews, *change.decided)})
            for review in change.decided:
                if review.status is ReviewStatus.REJECTED:
                    self._outputs[review.id] = replace(self._outputs[review.id], status=OutputStatus.WITHDRAWN)
            for event in sorted(change.events, key=lambda event: (event.key, event.sequence)):
                self._events[event.key, event.sequence] = event

    def _refuse(self, change: Change) -> None:
        """Raise before anything is written."""
        if change.breaker is not None:
            stored = self._breakers.get(change.breaker.key)
            if (stored.version if stored is not None else 0) != change.breaker.version:
                raise LostRace(lost_race(change.breaker))
        if not all(self._decidable(review) for review in change.decided):
            raise LostRace(REVIEWED)
        if known := [event.id for event in change.events if (event.key, event.sequence) in self._events]:
            raise StoreError(f"events {', '.join(known)} are recorded already; nothing was written")

    def _decidable(self, review: Review) -> bool:
        known, output = self._reviews.get(review.id), self._outputs.get(review.id)
        made = output is not None and output.status is OutputStatus.DEGRADED
        return known is not None and known.status in DECIDABLE and (review.status is ReviewStatus.APPROVED or made)

    def _save_batch(self, batch: Batch) -> None:
        newest = max((stored.sequence for stored in self._batches.values()), default=0)
        batch = replace(batch, sequence=batch.sequence or newest + 1)
        self._batches[batch.id] = batch
        if batch.status is not Status.DISCARDED:
            (self._good.add if batch.last_good else self._good.discard)(batch.id)
        for other in list(self._batches.values()):
            same_place = other.asset == batch.asset and other.partition.key == batch.partition.key
            if same_place and other.sequence < batch.sequence and other.status in replaced_by(batch):
                note = replacement_note(batch)
                self._batches[other.id] = replace(other, status=Status.DISCARDED, note=note, updated_at=batch.updated_at)

    def _save_output(self, output: Output) -> None:
        earlier = list(self._outputs)
        earlier = earlier[: earlier.index(output.id)] if output.id in self._outputs else earlier
        self._outputs[output.id] = output
        if output.status not in CURRENT:
            return
        for old in [self._outputs[output_id] for output_id in earlier]:
            if old.asset == output.asset and old.partition.key == output.partition.key and old.status in CURRENT:
                self._outputs[old.id] = replace(old, status=ended_as(old.status, output.status), ended_at=output.at)
                review = self._reviews.get(old.id)
                if review is not None and review.status is ReviewStatus.PENDING:
                    self._reviews[old.id] = replace(review, status=ReviewStatus.SUPERSEDED, decided_at=output.at)

    def breakers(self, keys: Sequence[str] | None = None, *, asset: str | None = None) -> Sequence[Breaker]:
        with self._lock:
            named = [key for key in sorted(self._breakers) if keys is None or key in keys]
            return [self._breakers[key] for key in named if asset in (None, asset_of(key))]

    def tripped(self) -> Sequence[Tripped]:
        with self._lock:
            found = [breaker for breaker in self._breakers.values() if breaker.state is not State.CLOSED]
            return [Tripped(breaker.key, breaker.contract_version, breaker.retry_at) for breaker in found]

    def candidates(self, versions: Mapping[str, str], probed: Sequence[str]) -> Sequence[Batch]:
        def fits(batch: Batch) -> bool:
            stored = batch.status in REFUSED and batch.staged is not None and batch.id not in probed
            return stored and batch.breaker_key in versions and batch.head and batch.confidence is Confidence.FULL and says_something(batch)

        def says_something(batch: Batch) -> bool:
            breaker = self._breakers.get(batch.breaker_key)
            if breaker is None or breaker.opened_at is None:
                return True
            return batch.updated_at >= breaker.opened_at or batch.contract_version != versions[batch.breaker_key]

        with self._lock:
            found = sorted(filter(fits, self._batches.values()), key=lambda each: (each.partition.end or each.arrived_at, each.sequence))
            return list({batch.breaker_key: batch for batch in found}.values())

    def releasable(self, limit: int = 1000) -> Sequence[Batch]:
        def fits(batch: Batch) -> bool:
            breaker = self._breakers.get(batch.breaker_key)
            if breaker is None or batch.status not in REFUSED or batch.staged is None:
                return False
            passed = batch.status is Status.HELD and batch.outcome in ACCEPTED
            return batch.released is not None or (passed and (breaker.state is State.CLOSED or breaker.override is not None))

        with self._lock:
            return sorted(filter(fits, self._batches.values()), key=lambda each: each.sequence)[:limit]

    def transitions(self, key: str, limit: int = 100) -> Sequence[Transition]:
        with self._lock:
            return _newest(self._transitions, lambda transition: transition.key == key, limit)

    # --- ledger ---

    def batch(self, batch_id: str) -> Batch | None:
        return self._batches.get(batch_id)

    def batches(
        self, *, asset: str | None = None, partition: str | None = None, statuses: Sequence[str] = (), limit: int = 1000
    ) -> Sequence[Batch]:
        def wanted(batch: Batch) -> bool:
            return asset in (None, batch.asset) and partition in (None, batch.partition.key) and (not statuses or batch.status in statuses)

        with self._lock:
            return _newest(sorted(self._batches.values(), key=lambda batch: batch.sequence), wanted, limit)

    def piles(self, asset: str | None = None, limit: int = 1000) -> Sequence[Pile]:
        with self._lock:
            return piled([each for each in self._batches.values() if each.status in WAITING and asset in (None, each.asset)], limit)

    def places(self, asset: str, start: str, end: str, *, statuses: Sequence[str] = (), limit: int = 1000) -> Sequence[str]:
        with self._lock:
            own = (b.partition.key or "" for b in self._batches.values() if b.asset == asset and (not statuses or b.status in statuses))
            return sorted({key for key in own if start <= key < end})[:limit]

    def confirm(self, batch_ids: Sequence[str]) -> Sequence[str]:
        with self._lock:
            known = [self._batches[name] for name in batch_ids if name in self._batches]
            for batch in (batch for batch in known if batch.status is Status.PUBLISHING):
                self._save_batch(replace(batch, status=Status.PUBLISHED, updated_at=self.now()))
            return [batch.id for batch in known if self._batches[batch.id].status is Status.PUBLISHED]

    def parts(self, key: str, until: datetime | None = None) -> Sequence[Part]:
        moment = until or self.now()
        with self._lock:
            own = [part for part in self._parts.values() if part.key == key and part.ends_at <= moment]
            return sorted(own, key=lambda part: (part.ends_at, part.batch_id))

    def drop_parts(self, key: str, ends_at: datetime) -> None:
        with self._lock:
            self._parts = {name: part for name, part in self._parts.items() if (part.key, part.ends_at) != (key, ends_at)}

    def arrivals(
        self, key: str, partition: Partition | None, *, before: int | None = None, accepted: bool = False, limit: int = 10
    ) -> Sequence[Arrival]:
        def wanted(batch: Batch) -> bool:
            if not batch.head or batch.breaker_key != key or (before is not None and batch.sequence >= before):
                return False
            if accepted and batch.outcome not in ACCEPTED:
                return False
            if partition is None or partition.end is None:
                return partition is None or batch.partition.key == partition.key
            return batch.partition.end is not None and batch.partition.dimensions == partition.dimensions

        with self._lock:
            found = _newest(sorted(self._batches.values(), key=lambda batch: batch.sequence), wanted, limit)
        return [Arrival(batch.arrived_at, batch.partition.end, batch.outcome in ACCEPTED) for batch in found]

    def silent(self, watched: Sequence[Watched]) -> Sequence[tuple[str, Arrival]]:
        found: dict[str, Arrival] = {}
        for each in watched:
            for breaker in self.breakers(asset=each.asset):
                scoped = breaker.key.startswith(f"{each.asset}[{each.scope}=")
                last = latest(self.arrivals(breaker.key, None)) if scoped or (each.scope, breaker.key) == ("asset", each.asset) else None
                if last is not None and each.quiet.may_miss(last):
                    found[breaker.key] = Arrival(last.at, last.window_end)
        return sorted(found.items())

    def profiles(
        self,
        reference: LastGood | GoodPartition,
        metric: ProfileOf,
        *,
        key: str,
        asset: str,
        partition: Partition,
        batch_id: str | None = None,
    ) -> Sequence[GoodProfile]:
        with self._lock:
            own, of = self._batches.get(batch_id or ""), (metric.column, metric.categorical)
            found = [each for each in self._batches.values() if each.id != batch_id and (each.id, *of) in self._profiles]
            end = partition.end
            if isinstance(reference, GoodPartition):
                found = [each for each in found if each.last_good and (each.asset, each.partition.key) == (asset, reference.partition)]
            elif end is not None:
                found = [each for each in found if each.last_good and each.breaker_key == key and each.partition.end is not None]
                found = [each for each in found if each.partition.end is not None and each.partition.end < end]
            else:
                found = [each for each in found if each.id in self._good and (each.asset, each.partition.key) == (asset, partition.key)]
                found = [each for each in found if own is None or each.sequence < own.sequence]
            limit, timed = (reference.batches, end is not None) if isinstance(reference, LastGood) else (1, False)
            found.sort(key=lambda each: ((timed and each.partition.end) or _ALWAYS, each.sequence))
            newest = list(reversed(found))[:limit]
            return [GoodProfile(self._profiles[(each.id, *of)], each.partition, each.arrived_at) for each in newest]

    def decide(self, step: StepKey, consumer: str, route: Route, change: Change = NO_CHANGE) -> Route:
        decision = (step, consumer, route.upstream, route.requested.key)
        with self._lock:
            if decision not in self._decisions:
                self.save(change)
                self._decisions[decision] = Decision(step, consumer, route, self.now())
            return self._decisions[decision].route

    def decided(self, step: StepKey, upstream: str, requested: str | None) -> Route | None:
        with self._lock:
            found = (route for route in self.decisions(step) if route.upstream == upstream and route.requested.key == requested)
            return next(found, None)

    def decisions(self, step: StepKey) -> Sequence[Route]:
        with self._lock:
            return [decision.route for decision in self._decisions.values() if decision.step == step]

    def output(self, asset: str, partition: str | None) -> Output | None:
        def wanted(output: Output) -> bool:
            return output.asset == asset and output.partition.key == partition and output.status in CURRENT

        with self._lock:
            return next(iter(_newest(self._outputs.values(), wanted, 1)), None)

    def outputs(self, *, statuses: Sequence[str] = (), asset: str | None = None, limit: int = 1000) -> Sequence[Output]:
        def wanted(output: Output) -> bool:
            return asset in (None, output.asset) and (not statuses or output.status in statuses)

        with self._lock:
            return _newest(self._outputs.values(), wanted, limit)

    def healable(self, assets: Sequence[str] | None = None, limit: int = 1000) -> Sequence[Output]:
        def fallen(output: Output) -> bool:
            return output.status in FALLEN and (assets is None or output.asset in assets)

        with self._lock:
            lying = {(output.asset, output.partition.key) for output in self._outputs.values() if output.status in FALLEN}
            found = [output for output in self._outputs.values() if fallen(output)]
            return _newest(found, lambda output: all(self._may_be_fresh(item, lying) for item in output.inputs), limit)

    def _may_be_fresh(self, item: Route, lying: Set[tuple[str, str | None]]) -> bool:
        here = (item.upstream, item.requested.key)
        own = item.breaker_key if item.breaker_key is not None and asset_of(item.breaker_key) == item.upstream else item.upstream
        breaker = self._breakers.get(own)
        if here in lying or breaker is None:
            return here not in lying
        statuses = [batch.status for batch in self._batches.values() if (batch.asset, batch.partition.key) == here]
        published = Status.PUBLISHED in statuses
        waits = not published and (item.kind is RouteKind.HALTED or bool(statuses))
        is_open = breaker.state is not State.CLOSED and breaker.override is None
        return not waits and not (is_open and (item.requested.key is None or not published))

    def reviews(self, *, statuses: Sequence[str] = (), asset: str | None = None, limit: int = 1000) -> Sequence[Review]:
        def wanted(review: Review) -> bool:
            return asset in (None, review.asset) and (not statuses or review.status in statuses)

        with self._lock:
            return _newest(self._reviews.values(), wanted, limit)

    # --- outbox ---

    def events(self, key: str | None = None, *, after: int = 0, limit: int = 1000) -> Sequence[Event]:
        with self._lock:
            return [event for event in self._events.values() if key is None or (event.key == key and event.sequence > after)][:limit]

    def register(self, sinks: Sequence[str]) -> None:
        with self._lock:
            if not self._breakers:
                return
            known = set(self._sinks)
            for sink in set(sinks) - known:
                self._sinks.add(sink)
                for key in self._breakers if known else ():
                    self._cursors[sink, key] = Cursor(min(self._cursor(other, key).sequence for other in known))

    def _cursor(self, sink: str, key: str) -> Cursor:
        return self._cursors.get((sink, key), Cursor())

    def claim(self, sink: str, *, holder: str, lease: timedelta, keys: int = 100, limit: int = 500) -> Sequence[Event]:
        with self._lock:
            now = self.now()
            behind = [key for key, breaker in self._breakers.items() if breaker.event_sequence > self._cursor(sink, key).sequence]
            free = [key for key in behind if self._cursor(sink, key).free_from <= now]
            taken = sorted(free, key=lambda key: (self._cursor(sink, key).free_from, key))[:keys]
            for key in taken:
                self._cursors[sink, key] = self._cursor(sink, key)._replace(holder=holder, free_from=now + lease)
            each = max(1, limit // max(1, len(taken)))
            wanted = {key: range(cursor := self._cursors[sink, key].sequence + 1, cursor + each) for key in taken}
            return [event for event in self._events.values() if event.sequence in wanted.get(event.key, ())]

    def advance(self, sink: str, holder: str, cursors: Mapping[str, int]) -> None:
        with self._lock:
            for key, sequence in cursors.items():
                if self._cursor(sink, key).holder == holder:
                    self._cursors[sink, key] = Cursor(sequence, None, self.now())

    def waiting(self) -> Sequence[Waiting]:
        with self._lock:
            return [self._waiting(sink) for sink in sorted(self._sinks)]

    def _waiting(self, sink: str) -> Waiting:
        left = [event.at for event in self._events.values() if event.sequence > self._cursor(sink, event.key).sequence]
        return Waiting(sink, len(left), min(left, default=None))

    def _told(self) -> set[tuple[str, int]]:
        """Events that every sink has been told; none where no sink is known."""
        reached = {key: min((self._cursor(sink, key).sequence for sink in self._sinks), default=0) for key in self._breakers}
        return {place for place in self._events if place[1] <= reached.get(place[0], 0)}

    def forget(self, sink: str) -> bool:
        with self._lock:
            known = sink in self._sinks
            self._sinks.discard(sink)
            self._cursors = {place: cursor for place, cursor in self._cursors.items() if place[0] != sink}
            return known

    # --- questions ---

    def standing(self, asset: str, partition: str | None = None) -> Standing:
        with self._lock:
            breakers = [("own" if asset_of(key) == asset else "open", breaker) for key, breaker in self._breakers.items()]
            waiting = self.batches(asset=asset, partition=partition, statuses=WAITING)
            newest = self.batches(asset=asset, partition=partition, limit=1)
            published = self.batches(asset=asset, partition=partition, statuses=(Status.PUBLISHED,), limit=1)
            own = self.outputs(asset=asset, statuses=CURRENT)
            here = [output for output in own if partition in (None, output.partition.key)]
            fallen = self.outputs(statuses=FALLEN)
            return standing_of(
                self.now(),
                asset,
                breakers=[(part, breaker) for part, breaker in breakers if part == "own" or breaker.state is not State.CLOSED],
                batches=[(part, each) for part, found in zip(_PARTS, (waiting, newest, published), strict=True) for each in found],
                outputs=[*(("own", output) for output in here[:1]), *(("fallen", output) for output in fallen)],
                partition=partition,
            )

    def given(self, consumer: str, at: datetime, requested: str | None = None) -> Sequence[Decision]:
        with self._lock:
            known = [each for each in self._decisions.values() if each.consumer == consumer and each.decided_at <= at]
            asked = [each for each in known if requested in (None, each.route.requested.key)]
            last = max(enumerate(asked), key=lambda entry: (entry[1].decided_at, entry[0]), default=None)
            return [] if last is None else [each for each in known if each.step == last[1].step]

    def incident(self, key: str, number: int, limit: int = 1000) -> Incident:
        with self._lock:
            found = [event for event in self._events.values() if (event.key, event.incident) == (key, number)]
            ordered = enumerate(sorted(found, key=lambda event: event.sequence), start=1)
            first, last = halves(limit)
            told = [event for nth, event in ordered if nth <= first or nth > len(found) - last or event.type == EventType.BREAKER_CLOSED]
            return Incident(tuple(told), len(found) - len(told))

    # --- retention ---

    def prune(self, kept: Retention, *, dry_run: bool = False) -> Pruned:
        with self._lock:
            at = self.now()
            batches = self._batches.values()
            good = {batch_id for batch_id, _, _ in self._profiles if batch_id in self._good}
            batch_ids = dispensable.batches(batches, good, self._breakers.values(), at - kept.batches)
            left = [batch for batch in batches if batch.id not in batch_ids]
            verdicts = dispensable.verdicts(left if not dry_run else batches, at - kept.verdicts)
            transitions = dispensable.transitions(self._transitions, self._breakers, at - kept.transitions)
            decisions = dispensable.decisions(self._decisions.values(), at - kept.decisions)
            outputs = dispensable.outputs(self._outputs.values(), at - kept.outputs)
            reviews = dispensable.reviews(self._reviews.values(), self._outputs.values(), at - kept.reviews)
            events = dispensable.events(self._events.values(), self._told(), self._breakers, at - kept.events)
            if not dry_run:
                self._batches = {batch.id: replace(batch, verdict=None) if batch.id in verdicts else batch for batch in left}
                self._profiles = {of: profile for of, profile in self._profiles.items() if of[0] not in batch_ids}
                self._transitions = [each for position, each in enumerate(self._transitions) if position not in transitions]
                self._decisions = {of: each for of, each in self._decisions.items() if each not in decisions}
                self._outputs = {name: each for name, each in self._outputs.items() if name not in outputs}
                self._reviews = {name: each for name, each in self._reviews.items() if name not in reviews}
                self._events = {name: each for name, each in self._events.items() if name not in events}
            gone: tuple[Sized, ...] = (batch_ids, verdicts, transitions, decisions, outputs, reviews, events)
            return Pruned(*map(len, gone))

    # --- threads ---

    def thread(self, sink: str, incident: str) -> Mapping[str, Any] | None:
        with self._lock:
            return self._threads.get((sink, incident))

    def keep_thread(self, sink: str, incident: str, thread: Mapping[str, Any]) -> None:
        with self._lock:
            self._threads[sink, incident] = copy.deepcopy(dict(thread))


def _newest(recorded: Iterable[T], wanted: Callable[[T], bool], limit: int) -> list[T]:
    return [entry for entry in reversed(list(recorded)) if wanted(entry)][:limit]
