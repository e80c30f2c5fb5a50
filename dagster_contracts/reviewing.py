"""What people decide on low-confidence outputs. They are published at once, marked; a review waits, and keeps no worker busy.

Approved, the output stands. Rejected, it is withdrawn: from that transaction on nobody reads it, whatever they accept. What has been
made from it before has a review of its own. It stays listed, and is healed once its inputs are fresh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dagster_contracts.core import events
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.errors import UsageError, did_you_mean
from dagster_contracts.core.events import EventType
from dagster_contracts.core.ledger import Batch, Output, Review, ReviewStatus, Status
from dagster_contracts.core.snapshot import Change, Snapshot
from dagster_contracts.core.state import Step
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import change_of

LISTED = 1000
_TOLD = {ReviewStatus.APPROVED: EventType.REVIEW_APPROVED, ReviewStatus.REJECTED: EventType.REVIEW_REJECTED}
_LIVE = (Status.PUBLISHED, Status.PUBLISHING, Status.HELD, Status.QUARANTINED)


def approve(gate: Gate, asset: str, partition: str | None, *, actor: str, reason: str) -> Review:
    """The output stands. Approving twice changes nothing.

    Raises UsageError where the present output of that partition has no review, or its review was rejected.
    """
    return _decide(gate, asset, partition, ReviewStatus.APPROVED, actor, reason)


def reject(gate: Gate, asset: str, partition: str | None, *, actor: str, reason: str) -> Review:
    """The output is withdrawn, and what a contracted asset published with it is discarded. Rejecting twice changes nothing; an approval
    is taken back.

    Raises UsageError where the present output of that partition has no review.
    """
    return _decide(gate, asset, partition, ReviewStatus.REJECTED, actor, reason)


def pending(gate: Gate, asset: str) -> Sequence[Review]:
    """The reviews of an asset that wait, newest first. Raises UsageError with the nearest asset that has one."""
    if found := gate.store.reviews(statuses=(ReviewStatus.PENDING,), asset=asset, limit=LISTED):
        return found
    known = sorted({review.asset for review in gate.store.reviews(statuses=(ReviewStatus.PENDING,), limit=LISTED)})
    listed = ", ".join(known[:10]) or "none"
    raise UsageError(f'no output of "{asset}" waits for a review{did_you_mean(asset, known) or ";"} assets that do: {listed}')


def _decide(gate: Gate, asset: str, partition: str | None, word: ReviewStatus, actor: str, reason: str) -> Review:
    shown, _ = _present(gate, asset, partition)
    made = _batches(gate, shown)
    keys = [*(batch.breaker_key for batch in made), *(route.breaker_key for route in shown.inputs if route.breaker_key)]

    def decide(snapshot: Snapshot) -> tuple[Change, Review]:
        output, review = _present(gate, asset, partition)
        if output.id != shown.id:
            raise UsageError(f"{asset} [{output.partition}] was made again meanwhile: look at the new output, and decide on that")
        if review.status is word:
            return Change(), review
        if review.status is ReviewStatus.REJECTED:
            raise UsageError(f"{asset} [{output.partition}] was rejected by {review.actor} ({review.reason}); run it again to make it anew")
        decided = replace(review, status=word, actor=actor, reason=reason, decided_at=snapshot.now)
        if snapshot.breaker is None:
            return Change(decided=(decided,)), decided
        told = events.of_output_word(_TOLD[word], output, actor=actor, reason=reason)
        note = f"withdrawn: {actor} rejected it: {reason}"
        ended = [
            replace(batch, status=Status.DISCARDED, released=None, note=note, updated_at=snapshot.now)
            for batch in (_batches(gate, output) if word is ReviewStatus.REJECTED else ())
            if batch.breaker_key == snapshot.breaker.key
        ]
        return replace(change_of(Step(snapshot.breaker), snapshot.now, (told,), *ended), decided=(decided,)), decided

    return gate.transact(keys[0] if keys else asset, asset, shown.partition, None, decide)


def _present(gate: Gate, asset: str, partition: str | None) -> tuple[Output, Review]:
    """The present output with its review."""
    place = f"{asset} [{partition}]" if partition is not None else asset
    output = gate.store.output(asset, partition)
    if output is None:
        raise UsageError(f"nothing is recorded of {place}; the outputs that wait are listed by: dagster-contracts review list")
    review = next((each for each in gate.store.reviews(asset=asset, limit=LISTED) if each.id == output.id), None)
    if review is None:
        confidence = f"of {output.confidence} confidence" if output.confidence is not None else "halted"
        raise UsageError(f"the present output of {place} is {confidence}: there is nothing to review. An output made again ends its review")
    return output, review


def _batches(gate: Gate, output: Output) -> list[Batch]:
    """What the output's own contract knows of it, where it has one."""
    found = gate.store.batches(asset=output.asset, partition=output.partition.key, statuses=_LIVE)
    return [batch for batch in found if batch.confidence is Confidence.LOW]
