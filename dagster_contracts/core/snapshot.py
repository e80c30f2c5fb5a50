"""What is read before a decision, and what is written after it: one consistent view, one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime

from dagster_contracts.core.breaker import enforced_open
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.events import Event
from dagster_contracts.core.ledger import FALLEN, Batch, Output, Partition, Review, Route, RouteKind, Status
from dagster_contracts.core.references import KeptProfile
from dagster_contracts.core.state import Breaker, Transition
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.core.windows import Part, is_micro_batch, is_window


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store knows, at `now`, that bears on one partition of one asset. Everything is None where there is nothing.

    `published` is the batch in the partition's live place, None while a later one is `publishing` over it; `refused` the newest
    quarantined or held batch of the partition, if it arrived after what is published; `last_good` the newest last-good batch of an
    earlier partition with the same other dimensions (for partitions without time: of the same key); `newest_published_end` the end
    of the newest published time window in the breaker's scope; `batch` the record of the batch id asked for; `judged` whether any
    batch of the partition was ever recorded, discarded ones included.

    `batch` is whole; of the others a verdict may be left out, but for that of `refused`.
    """

    now: datetime
    breaker: Breaker | None = None
    batch: Batch | None = None
    published: Batch | None = None
    publishing: Batch | None = None
    refused: Batch | None = None
    last_good: Batch | None = None
    newest_published_end: datetime | None = None
    judged: bool = False

    @property
    def open(self) -> bool:
        return self.breaker is not None and enforced_open(self.breaker, self.now)

    def is_head(self, partition: Partition) -> bool:
        """Whether a batch of `partition` arriving now may move the breaker: it is not older than what is published."""
        return partition.end is None or self.newest_published_end is None or partition.end >= self.newest_published_end


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a consumer's step is routed by: the decision it was given already, if any; the snapshot of the upstream's partition (without
    `batch` and `newest_published_end`); and the upstream's current output there."""

    snapshot: Snapshot
    output: Output | None = None
    kept: Route | None = None

    @property
    def is_missing(self) -> bool:
        """Whether it was delivered once, and nothing brings it about now but a new delivery: all of it was discarded. What was made of
        inputs that were not what they should be is made again with them."""
        found, made = self.snapshot, self.output
        gone = found.judged and found.published is None and found.publishing is None and found.refused is None
        return gone and (made is None or made.status not in FALLEN)

    @property
    def is_never_delivered(self) -> bool:
        """Whether a breaker watches over it, and nothing of it was ever judged or made."""
        return self.snapshot.breaker is not None and not self.snapshot.judged and self.output is None


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand with an asset (or one partition of it) at `now`, for people who ask why.

    `breakers` are its own, one for each scope; `above` all others that are not closed. `waiting` are its batches that are held,
    quarantined or not confirmed, newest first; `newest` and `published` the newest batch of all and the newest published one. `output` is
    what the asset itself made of its inputs last; `affected` the outputs that are degraded, halted or withdrawn
    over it (or over that partition of it), at any distance.
    """

    now: datetime
    asset: str
    breakers: tuple[Breaker, ...] = ()
    above: tuple[Breaker, ...] = ()
    waiting: tuple[Batch, ...] = ()
    newest: Batch | None = None
    published: Batch | None = None
    output: Output | None = None
    affected: tuple[Output, ...] = ()


@dataclass(frozen=True, slots=True)
class Incident:
    """What happened in an incident of a breaker, in order; `left_out` counts the events between the first and last that are not here."""

    events: tuple[Event, ...] = ()
    left_out: int = 0


def halves(limit: int) -> tuple[int, int]:
    """How many of the first events of an incident are told, and how many of the last."""
    return limit - limit // 2, limit // 2


@dataclass(frozen=True, slots=True)
class Pile:
    """Batches that wait, of one breaker, status, outcome and kind: `count` of them, the oldest of which arrived at `since`.

    `newest` are the newest of them, as many as were asked for: at least one.
    """

    count: int
    since: datetime
    newest: tuple[Batch, ...]

    @property
    def first(self) -> Batch:
        """The newest of all."""
        return self.newest[0]


def in_order(piles: Iterable[Pile]) -> list[Batch]:
    """The batches of all of them that are listed, newest first."""
    return sorted((batch for pile in piles for batch in pile.newest), key=lambda batch: batch.sequence, reverse=True)


def kind_of(batch: Batch) -> str:
    return "micro-batch" if is_micro_batch(batch) else "window" if is_window(batch) else ""


def piled(waiting: Iterable[Batch], limit: int) -> list[Pile]:
    """`waiting` put together, as `ports.Ledger.piles` says."""
    ordered = sorted(waiting, key=lambda batch: batch.sequence, reverse=True)
    piles: dict[tuple[str, ...], list[Batch]] = {}
    for batch in ordered:
        piles.setdefault((batch.breaker_key, batch.status, batch.outcome, kind_of(batch)), []).append(batch)
    ranked = sorted((nth, -batch.sequence) for pile in piles.values() for nth, batch in enumerate(pile))
    listed = {sequence for _, sequence in ranked[:limit]}
    return [
        Pile(len(pile), min(batch.arrived_at for batch in pile), (pile[0], *(each for each in pile[1:] if -each.sequence in listed)))
        for pile in piles.values()
    ]


def made_from(asset: str, outputs: Iterable[Output], partition: str | None = None) -> tuple[Output, ...]:
    """Those of `outputs`, none of which is what it should be, that have fallen over `asset` (or one partition of it), or over what has
    fallen over that: inputs that they have read fresh are not why."""
    known = [(output, {(route.upstream, route.requested.key) for route in fallen(output)}) for output in outputs]
    over: dict[str, Output] = {}
    places: set[tuple[str, str | None]] = set()
    while True:
        more = {
            output.id: output
            for output, inputs in known
            if inputs & places or any(upstream == asset and partition in (None, key) for upstream, key in inputs)
        }
        if len(more) == len(over):
            return tuple(output for output, _ in known if output.id in over)
        over, places = more, {(output.asset, output.partition.key) for output in more.values()}


def fallen(output: Output) -> tuple[Route, ...]:
    """The inputs over which an output is not what it should be: all of them where none alone is why."""
    whole = (RouteKind.FRESH, RouteKind.UNJUDGED)
    return tuple(r for r in output.inputs if r.kind not in whole or r.confidence is not Confidence.FULL) or output.inputs


def began_at(output: Output, others: Iterable[Output]) -> tuple[tuple[str, Partition], ...]:
    """The assets and partitions at which it began that an output is not what it should be: what it has fallen over, followed up through
    what has fallen itself (one of `others`). Each once."""
    above = {(each.asset, each.partition.key): each for each in others}
    found: dict[tuple[str, Partition], None] = {}
    seen, left = {output.id}, [output]
    while left:
        for route in fallen(left.pop()):
            between = above.get((route.upstream, route.requested.key))
            if between is None:
                found[route.upstream, route.requested] = None
            elif between.id not in seen:
                seen.add(between.id)
                left.append(between)
    return tuple(found)


def may_be_released(batch: Batch, breaker: Breaker, now: datetime) -> bool:
    """Whether a stored batch may go to the live place: it passed and the breaker is closed, or a person has released it."""
    if batch.status not in (Status.HELD, Status.QUARANTINED) or batch.staged is None:
        return False
    passed = batch.status is Status.HELD and batch.outcome in (Outcome.PASS, Outcome.WARN)
    return batch.released is not None or (passed and not enforced_open(breaker, now))


@dataclass(frozen=True, slots=True)
class Change:
    """What one decision writes, in one transaction.

    With a `breaker`, the whole change is a compare-and-set on `breaker.version` (the version it was loaded with): the store writes
    version + 1, or raises LostRace and writes nothing. Batches, outputs and reviews replace the row of the same id.

    `decided` are reviews as a person decided them; with a rejected one its output is withdrawn. LostRace where such a review was rejected
    or its output made again in between.
    """

    breaker: Breaker | None = None
    transitions: tuple[Transition, ...] = ()
    batches: tuple[Batch, ...] = ()
    outputs: tuple[Output, ...] = ()
    reviews: tuple[Review, ...] = ()
    events: tuple[Event, ...] = ()
    profiles: tuple[KeptProfile, ...] = ()
    parts: tuple[Part, ...] = ()
    decided: tuple[Review, ...] = ()

    def followed_by(self, later: Change) -> Change:
        """Both, of one breaker, in one transaction. `later` was decided from where this ends, under the same version of the breaker."""
        both = {name: getattr(self, name) + getattr(later, name) for name in (each.name for each in fields(self)) if name != "breaker"}
        return Change(later.breaker or self.breaker, **both)
