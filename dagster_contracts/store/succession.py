"""What replaces what, as pure functions: the rules that every store follows when something new arrives in a place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dagster_contracts.core.ledger import FALLEN, Batch, Output, OutputStatus, ReviewStatus, Status
from dagster_contracts.core.snapshot import Standing, made_from
from dagster_contracts.core.state import Breaker

REFUSED = (Status.QUARANTINED, Status.HELD)
ALIVE = (Status.QUARANTINED, Status.HELD, Status.PUBLISHING, Status.PUBLISHED)
WAITING = (Status.QUARANTINED, Status.HELD, Status.PUBLISHING)
CURRENT = (OutputStatus.OK, *FALLEN)
DECIDABLE = (ReviewStatus.PENDING, ReviewStatus.APPROVED)  # reviews: an approval may be taken back

# What is kept whatever its age. Rules about deliveries look at the last 10 arrivals, also at those before a batch that is judged again.
KEPT_ARRIVALS = 20  # of each kind
KEPT_REFERENCES = 100  # good batches of a place without time, whose profiles later batches are compared with


def named_by(breaker: Breaker) -> set[str]:
    """The ids of the batches that a breaker still goes by."""
    leased = {breaker.lease.batch_id} if breaker.lease is not None else set()
    return {*(entry.batch_id for entry in breaker.window), *breaker.probed, *breaker.passed, *leased}


def replaced_by(batch: Batch) -> tuple[Status, ...]:
    """The statuses of earlier batches of the same partition that end when `batch` is recorded."""
    if batch.status is Status.PUBLISHED:
        return ALIVE
    return REFUSED if batch.status in REFUSED else ()


def replacement_note(batch: Batch) -> str:
    return f"replaced by {batch.id}"


def ended_as(old: OutputStatus, new: OutputStatus) -> OutputStatus:
    """What a current output becomes when a newer one of the same partition is recorded."""
    healed = new is OutputStatus.OK and old in FALLEN
    return OutputStatus.HEALED if healed else OutputStatus.SUPERSEDED


LISTED = 1000  # rows of one kind in one answer


def standing_of(
    at: datetime,
    asset: str,
    *,
    breakers: Iterable[tuple[str, Breaker]],
    batches: Iterable[tuple[str, Batch]],
    outputs: Iterable[tuple[str, Output]],
    partition: str | None = None,
) -> Standing:
    """Put an answer together from its rows, each with the part that it is: own, scoped, open; waiting, newest, published; own, fallen."""
    kept = list(breakers)
    own = {breaker.key: breaker for part, breaker in kept if part != "open"}
    above = sorted((breaker for part, breaker in kept if part == "open" and breaker.key not in own), key=lambda breaker: breaker.key)
    parts: dict[str, list[Batch]] = {}
    for part, batch in batches:
        parts.setdefault(part, []).append(batch)
    made = list(outputs)
    fell = [output for part, output in made if part == "fallen"]
    return Standing(
        at,
        asset,
        breakers=tuple(own[key] for key in sorted(own)),
        above=tuple(above),
        waiting=tuple(sorted(parts.get("waiting", ()), key=lambda batch: batch.sequence, reverse=True)),
        newest=next(iter(parts.get("newest", ())), None),
        published=next(iter(parts.get("published", ())), None),
        output=next((output for part, output in made if part == "own"), None),
        affected=made_from(asset, sorted(fell, key=lambda output: (output.at, output.id)), partition),
    )


REVIEWED = "a review was decided, or its output made again, by another process meanwhile; nothing was written; decide anew"


def lost_race(breaker: Breaker) -> str:
    return (
        f"breaker {breaker.key} was changed by another process since it was loaded at version {breaker.version}; "
        "nothing was written; load it again and decide anew"
    )


@dataclass(frozen=True, slots=True)
class Place:
    """What lives in one partition of one asset."""

    published: Batch | None = None
    publishing: Batch | None = None
    refused: Batch | None = None


def place_of(alive: Iterable[Batch]) -> Place:
    """Read a partition's place from its batches that are alive, in any order."""
    newest: dict[Status, Batch] = {}
    for batch in sorted(alive, key=lambda batch: batch.sequence):
        newest[batch.status] = batch
    published, publishing = newest.get(Status.PUBLISHED), newest.get(Status.PUBLISHING)
    if published is not None and publishing is not None:
        published, publishing = (None, publishing) if publishing.sequence > published.sequence else (published, None)
    refused = max((newest[status] for status in REFUSED if status in newest), key=lambda batch: batch.sequence, default=None)
    live = published or publishing
    if refused is not None and live is not None and refused.sequence < live.sequence:
        refused = None
    return Place(published, publishing, refused)
