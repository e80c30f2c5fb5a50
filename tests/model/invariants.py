"""What must hold, in words of its own: of every transaction (`committed`) and of every state (`standing`). Numbers are the design's.

What a state cannot tell of its past is remembered beside it, as `Past`: nothing of the product reads that.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from dagster_contracts import routing
from dagster_contracts.core import breaker as machine
from dagster_contracts.core.breaker import Refused
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.events import Event
from dagster_contracts.core.ledger import Batch, Partition, Route, RouteKind, Status, StepKey
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import Breaker, OverrideKind, State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Terms
from tests.gate_world import Counts
from tests.model.durable import Durable
from tests.model.replay import Doing

LIVE = (Status.PUBLISHING, Status.PUBLISHED)
WAITING = (Status.QUARANTINED, Status.HELD)


class Violated(Exception):
    """`number` of the invariant, and what was seen."""

    def __init__(self, number: int, seen: str):
        super().__init__(f"invariant {number}: {seen}")
        self.number = number


class Past(NamedTuple):
    """`tripping`: batches that tripped, or failed as a probe, in the incident that lasts; `late`: those let into the live place since the
    trip without a person's word. `counted`: (batch, contract version) that have moved a breaker."""

    tripping: frozenset[tuple[str, str]] = frozenset()
    late: frozenset[tuple[str, str]] = frozenset()
    counted: frozenset[tuple[str, str]] = frozenset()


NOTHING_YET = Past()


def require(held: bool, number: int, seen: str) -> None:
    if not held:
        raise Violated(number, seen)


# --- reading a breaker, in our own words ---------------------------------------------------------------------------


def word_of(breaker: Breaker | None, now: datetime) -> OverrideKind | None:
    word = breaker.override if breaker is not None else None
    return None if word is None or (word.expires_at is not None and word.expires_at <= now) else word.kind


def lapsed(breaker: Breaker, now: datetime) -> bool:
    return breaker.override is not None and word_of(breaker, now) is None


def is_open(breaker: Breaker | None, now: datetime) -> bool:
    word = word_of(breaker, now)
    if breaker is None or word in (OverrideKind.FORCE_CLOSED, OverrideKind.OBSERVE_ONLY):
        return False
    if lapsed(breaker, now) and breaker.override is not None and breaker.override.kind is OverrideKind.OBSERVE_ONLY:
        return False  # it ends closed
    return word is OverrideKind.FORCE_OPEN or breaker.state is not State.CLOSED


def lease_lives(breaker: Breaker | None, now: datetime) -> bool:
    if breaker is None or breaker.lease is None or lapsed(breaker, now):
        return False
    return breaker.lease.generation == breaker.generation and now < breaker.lease.expires_at


def memory(b: Breaker) -> tuple[object, ...]:
    """Everything that a result of no consequence may not change."""
    window = tuple((entry.batch_id, entry.failed) for entry in b.window)
    return (b.state, b.generation, window, b.lease, b.probed, b.passed, b.retry_at, b.reopened, said(b), b.contract_version)


def said(breaker: Breaker) -> tuple[object, ...]:
    """What decides of an override: words for people are not told apart by the search."""
    return (breaker.override.kind, breaker.override.expires_at) if breaker.override else ()


# --- a transaction -------------------------------------------------------------------------------------------------


def committed(past: Past, before: Durable, change: Change, doing: Doing, now: datetime) -> Past:
    """Raises Violated, or returns what is to be remembered."""
    after = change.breaker
    if after is None:
        return past
    old = before._breakers.get(after.key)
    recorded(old, change, after)
    moved(old, change, after, doing, now)
    leased(old, after, doing, now)
    counted(past, old, change, after, doing, now)
    admitted(before, change, after, now)
    return remembered(past, before, change, after, now)


def recorded(old: Breaker | None, change: Change, after: Breaker) -> None:
    """4."""
    require((old.version if old else 0) == after.version, 4, f"{after.key} was written over a version that the writer had not seen")
    last = old.event_sequence if old else 0
    numbers = [event.sequence for event in change.events]
    require(numbers == list(range(last + 1, last + 1 + len(numbers))), 4, f"event numbers {numbers} follow {last}")
    require(after.event_sequence == last + len(numbers), 4, f"{after.event_sequence} counted after {numbers}")
    told = [event.payload["generation"] for event in change.events if event.type.startswith("breaker.")]
    made = [each.generation for each in change.transitions]
    require(told == made, 4, f"transitions of generations {made} are told as {told}")
    state, generation = (old.state, old.generation) if old else (State.CLOSED, 0)
    for each in change.transitions:
        require(bool(each.cause) and each.from_state is state and each.generation > generation, 4, f"{each} follows {state} {generation}")
        state, generation = each.to_state, each.generation
    require(after.state is state, 4, f"{after.state} stored, {state} recorded")
    if old is not None and (said(old), old.contract_version) != (said(after), after.contract_version):
        require(bool(change.transitions), 4, "an override or contract version changed unrecorded")


def moved(old: Breaker | None, change: Change, after: Breaker, doing: Doing, now: datetime) -> None:
    """5."""
    if doing.kind != "unreadable" or doing.what not in ("judge", "settle"):
        return
    about = next((batch.id for batch in change.batches), doing.batch)
    to = [str(each.to_state) for each in change.transitions if each.batch_id == about and each.from_state is not each.to_state]
    require(not to, 5, f"a batch that could not be measured moved the breaker to {to}")
    require(about not in [entry.batch_id for entry in after.window], 5, "a batch that could not be measured was counted")
    require(about not in (*after.probed, *after.passed), 5, "a probe that proved nothing was counted")
    standing = any(batch.status is Status.PUBLISHED for batch in change.batches)
    require(bool(change.events) or standing, 5, "a batch could not be measured, and nobody was told")
    for batch in change.batches:
        let_in = after.policy.admit_inconclusive or batch.released or word_of(after, now) is OverrideKind.OBSERVE_ONLY
        require(batch.status is not Status.PUBLISHING or bool(let_in), 5, f"{batch.id} is let in unmeasured")


def leased(old: Breaker | None, after: Breaker, doing: Doing, now: datetime) -> None:
    """3."""
    if old is None:
        return
    own = doing.what == "settle" and old.lease is not None and old.lease.id == doing.lease
    if lease_lives(old, now) and after.lease != old.lease and not own:
        moved_on = doing.what in ("override", "reset") and after.lease is None
        require(
            moved_on or old.contract_version != after.contract_version,
            3,
            f"the live lease {old.lease and old.lease.id} was replaced while {doing.what}",
        )
    if doing.what == "settle" and not (own and lease_lives(old, now)):
        require(memory(old) == memory(after), 3, f"the late result of {doing.lease} changed {changed(old, after)}")


def changed(old: Breaker, after: Breaker) -> str:
    return str([(one, other) for one, other in zip(memory(old), memory(after), strict=True) if one != other])


def counted(past: Past, old: Breaker | None, change: Change, after: Breaker, doing: Doing, now: datetime) -> None:
    """9."""
    window = [entry.batch_id for entry in after.window]
    require(len(window) == len(set(window)), 9, f"{window} counts a batch twice")
    require(len(after.probed) == len(set(after.probed)), 9, f"{after.probed} were probed")
    require(len(after.passed) == len(set(after.passed)), 9, f"{after.passed} passed")
    if old is None or doing.what != "judge" or old.contract_version != after.contract_version or lapsed(old, now):
        return
    again = [batch.id for batch in change.batches if (batch.id, after.contract_version) in past.counted]
    require(not again or memory(old) == memory(after), 9, f"{again} was judged before, and changed {changed(old, after)}")


def admitted(before: Durable, change: Change, after: Breaker, now: datetime) -> None:
    """1."""
    observing = word_of(after, now) is OverrideKind.OBSERVE_ONLY
    for batch in change.batches:
        entering = batch.status in LIVE and not stands(before, batch.id)
        allowed = batch.outcome is not Outcome.FAIL or batch.released or observing
        require(not entering or bool(allowed), 1, f"{batch.id} failed and is {batch.status}")


def stands(store: Durable, name: str) -> bool:
    known = store._batches.get(name)
    return known is not None and known.status in LIVE


def remembered(past: Past, before: Durable, change: Change, after: Breaker, now: datetime) -> Past:
    tripping, late, counts = set(past.tripping), set(past.late), set(past.counted)
    for each in change.transitions:
        if each.to_state is State.CLOSED:
            tripping = {entry for entry in tripping if entry[0] != after.key}
            late = {entry for entry in late if entry[0] != after.key}
        elif each.to_state is State.OPEN and each.batch_id and not each.shadow:
            tripping.add((after.key, each.batch_id))
    in_shadow = word_of(after, now) in (OverrideKind.OBSERVE_ONLY, OverrideKind.FORCE_CLOSED)
    if after.state is not State.CLOSED and not in_shadow:
        late |= {(after.key, b.id) for b in change.batches if b.status in LIVE and not b.released and not stands(before, b.id)}
    moving = {*(entry.batch_id for entry in after.window), *after.probed}
    moving |= {each.batch_id for each in change.transitions if each.batch_id and each.to_state is not State.HALF_OPEN}
    counts |= {(name, after.contract_version) for name in moving}
    return Past(frozenset(tripping), frozenset(late), frozenset(counts))


# --- a state -------------------------------------------------------------------------------------------------------


def standing(
    past: Past, store: Durable, now: datetime, terms: Terms, places: Sequence[Partition], key_of: Callable[[Partition], str]
) -> None:
    """What consumers read now, from every place and at every confidence, and what the sink has heard."""
    for place in places:
        key = key_of(place)
        breaker = store._breakers.get(key)
        last_good_is_good(store, now, place, key)
        for accepts in Confidence:
            # A consumer's decision is ordered where it looks: one look decides, and what it decided is only kept afterwards.
            route = routed(store, now, terms, place, accepts)
            told = f"{route.kind} of {route.batch_id} for [{place}], accepts {accepts}"
            require(route.confidence is None or route.confidence.satisfies(accepts), 2, told)
            if route.kind is RouteKind.UNJUDGED:
                require(not is_open(breaker, now), 2, f"{told} while the breaker is open")
            if route.batch_id is None:
                continue
            served = store._batches[route.batch_id]
            refused = (key, served.id) in past.tripping | past.late and served.released is None
            if is_open(breaker, now) and refused:
                require(route.confidence is Confidence.LOW, 2, f"{told} after the trip")
            if served.status in WAITING:
                require(route.confidence is Confidence.LOW, 2, f"{told}, which is {served.status}")
            elif route.staged is None:
                require(served.status is Status.PUBLISHED, 7, f"{told}, which is {served.status}")
                require(store.live.get(served.partition.key) == served.data_version, 7, f"{told}; {store.live} stands there")
    for breaker in store._breakers.values():
        ended(breaker, now)
    heard(store.heard)


def routed(store: Durable, now: datetime, terms: Terms, place: Partition, accepts: Confidence) -> Route:
    """What a step would be given now; in a copy, since it is remembered that it was."""
    gate = Gate(store.copied(outbox=False).at(now), Counts())
    return routing.route(gate, StepKey("look", "anybody"), routing.Input("anybody", "feed", accepts, terms), place)


def last_good_is_good(store: Durable, now: datetime, place: Partition, key: str) -> None:
    """7."""
    good = store.at(now).load(key, asset="feed", partition=place).last_good
    if good is None:
        return
    own_merit = good.outcome in (Outcome.PASS, Outcome.WARN) and good.confidence is Confidence.FULL and good.released is None
    require(good.status is Status.PUBLISHED and own_merit, 7, f"last good of [{place}] is {describe(good)}")
    require(store.live.get(good.partition.key) == good.data_version, 7, f"last good of [{place}] is {describe(good)}; {store.live}")
    earlier = place.end is None or (good.partition.end is not None and good.partition.end < place.end)
    require(earlier, 7, f"last good of [{place}] is the later {describe(good)}")


def describe(batch: Batch) -> str:
    return f"{batch.id} ({batch.status}, {batch.outcome}, {batch.confidence}{', released' if batch.released else ''})"


def ended(breaker: Breaker, now: datetime) -> None:
    """3: a prober that says nothing more holds nobody up once its time is over."""
    if breaker.lease is not None and now >= breaker.lease.expires_at:
        claimed = machine.claim(breaker, lease_id="other", holder="other", batch_id="other", now=now)
        held_up = isinstance(claimed, Refused) and "a probe is running" in claimed.reason
        require(not held_up, 3, f"the lease {breaker.lease.id} has ended, and still nobody may probe")


def heard(events: Sequence[Event]) -> None:
    """4: at least once, in order per breaker, the same id for the same event."""
    for _, own in itertools.groupby(sorted(events, key=lambda event: event.key), key=lambda event: event.key):
        first: dict[int, Event] = {}
        for event in own:
            require(first.setdefault(event.sequence, event) is event, 4, f"two events are called {event.id}")
        require(list(first) == list(range(1, len(first) + 1)), 4, f"the sink heard {list(first)}")
