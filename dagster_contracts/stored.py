"""Batches that are stored already: judge what stands in the live place, judge again what was set aside, publish it, settle what was cut
off. The command line and release runs ask for these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from dagster_contracts import observing, probing
from dagster_contracts.core import events, references
from dagster_contracts.core.breaker import Refused
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.ledger import IN_PLACE, Batch, Partition, Status, batch_id
from dagster_contracts.core.snapshot import Change, Snapshot, may_be_released
from dagster_contracts.core.state import Breaker, Step
from dagster_contracts.core.verdict import Outcome, Verdict
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Judgement, Terms, batch_of, change_of, judged_anew


def baseline(gate: Gate, terms: Terms, delivery: Delivery, data: object) -> Judgement:
    """Judge what already stands in the live place. PASS and WARN are recorded as published; nothing else is, and no breaker moves."""
    taken = gate.measured(terms, delivery.partition, data)
    version = delivery.data_version or taken.digest[:16]
    name = batch_id(terms.asset, delivery.partition, delivery.root_run_id, version)
    key = terms.breaker_key(delivery.partition)
    taken = gate.remembering(taken, terms, key, delivery.partition, name)

    def decide(snapshot: Snapshot) -> tuple[Change, Judgement]:
        verdict = taken.verdict(delivery.partition, as_of=snapshot.now, head=False)
        breaker = snapshot.breaker or Breaker(key, terms.policy, terms.version)
        known = snapshot.batch
        standing = known or snapshot.published  # the same data, perhaps under the name that another contract gave it
        batch = replace(
            batch_of(terms, delivery, version, verdict, Status.PUBLISHED, snapshot.now),
            confidence=standing.confidence if standing else delivery.confidence,
            released=standing.released if standing else None,
            counted=known is not None and known.counted,
            # What arrived since stays the newer; what was replaced and stands here all the same is the newest.
            sequence=known.sequence if known and known.status is not Status.DISCARDED else 0,
            head=False,
            note="baseline",
        )
        if verdict.outcome in (Outcome.PASS, Outcome.WARN):
            profiles = references.kept(terms.plan, taken.measurement, batch)
            return Change(breaker=breaker, batches=(batch,), profiles=profiles), Judgement(verdict, batch, breaker)
        return Change(), Judgement(verdict, batch, breaker)

    return gate.transact(key, terms.asset, delivery.partition, name, decide)


def probe(gate: Gate, terms: Terms, key: str, *, holder: str, read: Callable[[Batch], object]) -> Judgement | Refused:
    """Claim the one probe lease of a breaker, judge the batch that is to be probed as `read` reads it, and settle what came of it.

    Where its data is gone (`read` raises FileNotFoundError), the lease goes back, and the next probe takes another batch. Of a source,
    what stands in the batch's place now is judged, whichever batch that is.
    """
    claimed = probing.claim(gate, terms, key, holder=holder)
    if isinstance(claimed, Refused):
        return claimed
    try:
        data = read(claimed.batch)
    except FileNotFoundError as error:
        gate.lost(claimed.batch)
        probing.settle(gate, terms, claimed, None)  # proves nothing
        return Refused(f"the stored data of {claimed.batch.id} is gone, deliver it again; the next probe takes another: {error}")
    return observing.settle(gate, terms, claimed, data) if terms.asset in gate.sources else probing.settle(gate, terms, claimed, data)


def writing(gate: Gate, terms: Terms, partition: Partition, *, run_id: str, root_run_id: str) -> Batch:
    """An asset is about to write its live place itself: from here until that is judged, nothing that stands there is served as fresh, or
    as the last good. `judge` with `in_place` ends it; where the writer dies, `settle_publishing` does."""
    key = terms.breaker_key(partition)
    name = batch_id(terms.asset, partition, root_run_id, "writing")

    def decide(snapshot: Snapshot) -> tuple[Change, Batch]:
        unknown = Verdict(Outcome.INCONCLUSIVE, terms.attached.contract.id, terms.version, None, (), (), "")
        delivery = Delivery(partition, run_id, root_run_id, in_place=True)
        row = batch_of(terms, delivery, "writing", unknown, Status.PUBLISHING, snapshot.now)
        row = replace(row, verdict=None, head=False, staged=IN_PLACE, note="its asset is writing it, or died while it did")
        return Change(breaker=snapshot.breaker or Breaker(key, terms.policy, terms.version), batches=(row,)), row

    return gate.transact(key, terms.asset, partition, name, decide)


def rejudge(gate: Gate, terms: Terms, batch: Batch, data: object, *, actor: str, reason: str) -> Judgement:
    """Judge a stored batch again under the present contract. Moves no breaker; what passes is released once the breaker is closed."""
    taken = gate.remembering(gate.measured(terms, batch.partition, data), terms, batch.breaker_key, batch.partition, batch.id)

    def decide(snapshot: Snapshot) -> tuple[Change, Judgement]:
        row = snapshot.batch
        if snapshot.breaker is None or row is None or row.status not in (Status.HELD, Status.QUARANTINED):
            raise UsageError(
                f"{batch.id} is {row.status if row else 'not in the ledger'}; only a quarantined or held batch is judged again"
            )
        arrivals = gate.arrivals(terms, row.breaker_key, row.partition, row)
        verdict = taken.verdict(row.partition, as_of=row.arrived_at, head=row.head, arrivals=arrivals)
        judged = replace(judged_anew(row, verdict, snapshot.now, counted=False), note=f"judged again by {actor}: {reason}")
        change = change_of(Step(snapshot.breaker), snapshot.now, events.of_batch(judged), judged)
        assert change.breaker is not None
        profiles = references.kept(terms.plan, taken.measurement, judged)
        return replace(change, profiles=profiles), Judgement(verdict, judged, change.breaker)

    return gate.transact(batch.breaker_key, terms.asset, batch.partition, batch.id, decide)


def publishing(gate: Gate, batch: Batch, run_id: str) -> Judgement:
    """A run is about to write a stored batch to the live place, on the verdict it has. Raises UsageError where it may not be."""

    def decide(snapshot: Snapshot) -> tuple[Change, Judgement]:
        row, breaker = snapshot.batch, snapshot.breaker
        begun_here = row is not None and row.status is Status.PUBLISHING and row.run_id == run_id  # an earlier attempt of the same run
        if row is None or row.verdict is None or breaker is None or not (begun_here or may_be_released(row, breaker, snapshot.now)):
            state = "not in the ledger" if row is None else f"{row.status} ({row.outcome})"
            raise UsageError(f"{batch.id} is {state} and may not be published now; release it, or deliver it anew")
        if snapshot.publishing is not None and snapshot.publishing.sequence > row.sequence:
            newer = snapshot.publishing.id
            raise UsageError(
                f"{batch.id} may not be published over {newer}, which is being written; run `dagster-contracts reconcile` first"
            )
        written = replace(row, status=Status.PUBLISHING, run_id=run_id, updated_at=snapshot.now)
        change = change_of(Step(breaker), snapshot.now, (), written)
        assert change.breaker is not None
        return change, Judgement(row.verdict, written, change.breaker)

    return gate.transact(batch.breaker_key, batch.asset, batch.partition, batch.id, decide)


def unwritten(gate: Gate, batch: Batch, before: Sequence[Batch]) -> None:
    """A batch that was to be published is not, though nothing is wrong with it: nothing was written. Where it is one of `before`, which
    were published when it came, it stands in the live place still."""
    known = next((each for each in before if each.id == batch.id), None)

    def settled(row: Batch, now: datetime) -> Batch:
        if row.status is not Status.PUBLISHING:
            return row
        if known is not None:
            return replace(known, updated_at=now)
        return replace(row, status=Status.DISCARDED, note="never written: the rest of its run was refused", updated_at=now)

    gate.update(batch, settled)


def settle_publishing(gate: Gate, terms: Terms, batch: Batch, data: object | None) -> Batch:
    """What became of a batch whose writer died between verdict and confirmation. `data` is what stands in the live place now, None
    where nothing does: it is the batch (published), or it is not (whatever stood there before still does): then it is refused again
    where it lies beside the live data still, else discarded. Stays `publishing` where the contract has changed since. What an asset has
    written itself is judged as it stands."""
    if batch.staged == IN_PLACE and terms.asset in gate.sources:
        seen = observing.observe(gate, terms, batch.partition, run_id=batch.run_id, version=None, read=lambda: data)
        return gate.store.batch(seen.batch.id) or seen.batch
    if batch.staged == IN_PLACE:
        standing = gate.judge(terms, Delivery(batch.partition, batch.run_id, batch.run_id, in_place=True), data, divisible=False)
        if standing.publish:
            gate.published(standing.batch, None)
        return gate.store.batch(standing.batch.id) or standing.batch
    found = gate.measured(terms, batch.partition, data).digest if data is not None else None
    there = batch.verdict is not None and found == batch.verdict.digest

    changed = data is not None and batch.contract_version != terms.version  # measurements under different contracts cannot be compared

    def settled(row: Batch, now: datetime) -> Batch:
        if row.status is not Status.PUBLISHING:
            return row
        if changed:
            return replace(row, note=f"contract {terms.version} cannot tell whether it was written; deliver it again, or run baseline")
        if there:
            return replace(row, status=Status.PUBLISHED, staged=None, note="confirmed by reconcile", updated_at=now)
        refused = Status.QUARANTINED if row.outcome is Outcome.FAIL else Status.HELD
        status = Status.DISCARDED if row.staged is None else refused
        return replace(row, status=status, note="never written, found by reconcile", updated_at=now)

    gate.update(batch, settled)
    return gate.store.batch(batch.id) or batch
