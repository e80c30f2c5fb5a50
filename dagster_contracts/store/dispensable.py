"""What may go, as pure functions of everything there is: for the store in memory. retention.py says the same in SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from dagster_contracts.core.events import Event
from dagster_contracts.core.ledger import Batch, Decision, Output, Review, ReviewStatus, Status
from dagster_contracts.core.state import Breaker, Transition
from dagster_contracts.core.verdict import ACCEPTED
from dagster_contracts.core.windows import is_micro_batch, is_streamed
from dagster_contracts.store.succession import CURRENT, KEPT_ARRIVALS, KEPT_REFERENCES, REFUSED, WAITING, named_by


def batches(known: Collection[Batch], good: Collection[str], breakers: Iterable[Breaker], before: datetime) -> set[str]:
    """Ids of batches; `good` names those that have profiles of a good batch."""
    named = {name for breaker in breakers for name in named_by(breaker)}
    old = (batch for batch in known if _settled(batch) and batch.updated_at < before and batch.id not in named)
    return {batch.id for batch in old if not _looked_back_at(batch, [each for each in known if each.sequence > batch.sequence], good)}


def _settled(batch: Batch) -> bool:
    went_on = batch.status is Status.PUBLISHED and is_micro_batch(batch)
    return batch.status is Status.DISCARDED or went_on or (batch.status in REFUSED and is_streamed(batch))


def _looked_back_at(batch: Batch, later: Sequence[Batch], good: Collection[str]) -> bool:
    here = [each for each in later if each.asset == batch.asset and each.partition.key == batch.partition.key]
    if not here and not is_streamed(batch):
        return True
    if any(each.breaker_key == batch.breaker_key and each.status in WAITING and not is_streamed(each) for each in later):
        return True
    if batch.head:
        kin = [each for each in later if each.head and each.breaker_key == batch.breaker_key and _alike(each, batch)]
        replaced = batch.outcome not in ACCEPTED or any(each.outcome in ACCEPTED for each in kin)
        if len(kin) < KEPT_ARRIVALS or not replaced:
            return True
    references = [each for each in here if each.partition.end is None and each.id in good]
    is_reference = batch.partition.end is None and batch.id in good and not is_micro_batch(batch)
    return is_reference and len(references) < KEPT_REFERENCES


def _alike(one: Batch, other: Batch) -> bool:
    """Head batches of one kind: `ports.Ledger.arrivals` counts them together, micro-batches as those of their breaker."""
    timed, micro = one.partition.end is not None, is_micro_batch(one)
    if timed != (other.partition.end is not None) or micro != is_micro_batch(other):
        return False
    if timed:
        return one.partition.dimensions == other.partition.dimensions
    return micro or one.partition.key == other.partition.key


def verdicts(known: Iterable[Batch], before: datetime) -> set[str]:
    settled = (batch for batch in known if batch.status in (Status.PUBLISHED, Status.DISCARDED) and batch.updated_at < before)
    return {batch.id for batch in settled if batch.verdict is not None}


def transitions(known: Sequence[Transition], breakers: Mapping[str, Breaker], before: datetime) -> set[int]:
    """Positions in `known`."""
    last = {entry.key: position for position, entry in enumerate(known)}

    def over(position: int, entry: Transition) -> bool:
        opened = breakers[entry.key].opened_at if entry.key in breakers else None
        return entry.at < before and last[entry.key] > position and not (opened is not None and opened <= entry.at)

    return {position for position, entry in enumerate(known) if over(position, entry)}


def decisions(known: Collection[Decision], before: datetime) -> list[Decision]:
    newest: dict[tuple[str, str], datetime] = {}
    for each in known:
        about = (each.consumer, each.route.upstream)
        newest[about] = max(each.decided_at, newest.get(about, each.decided_at))
    return [each for each in known if each.decided_at < before and each.decided_at < newest[each.consumer, each.route.upstream]]


def outputs(known: Iterable[Output], before: datetime) -> set[str]:
    return {output.id for output in known if output.status not in CURRENT and (output.ended_at or output.at) < before}


def reviews(known: Iterable[Review], standing: Iterable[Output], before: datetime) -> set[str]:
    current = {output.id for output in standing if output.status in CURRENT}
    decided = (review for review in known if review.status is not ReviewStatus.PENDING and review.id not in current)
    return {review.id for review in decided if review.decided_at is not None and review.decided_at < before}


def events(
    known: Iterable[Event], delivered: Collection[tuple[str, int]], breakers: Mapping[str, Breaker], before: datetime
) -> set[tuple[str, int]]:
    def present(event: Event) -> bool:
        return event.incident is not None and event.key in breakers and breakers[event.key].incident == event.incident

    told = (event for event in known if event.at < before and (event.key, event.sequence) in delivered)
    return {(event.key, event.sequence) for event in told if not present(event)}
