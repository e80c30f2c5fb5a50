"""What follows from a verdict: the batch's status, the breaker's state over the batches that follow, and what each consumer reads. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dagster_contracts.chaos.batch import Batch
from dagster_contracts.chaos.campaign import Read, Result
from dagster_contracts.core import breaker as machine
from dagster_contracts.core import ledger, route
from dagster_contracts.core.breaker import Missed, Refused
from dagster_contracts.core.contract import BreakerPolicy, Confidence
from dagster_contracts.core.ledger import Partition, RouteKind, Status, batch_id
from dagster_contracts.core.snapshot import Snapshot
from dagster_contracts.core.state import Breaker, Judged, State
from dagster_contracts.core.verdict import Outcome, Verdict

OTHERS = "all others"
_MOST = 50  # batches that follow at most
_STAGED = "staged"


@dataclass(frozen=True, slots=True)
class Consequences:
    """`batches_to_trip` as in Trial."""

    status: Status | None  # None where nothing came
    batches_to_trip: int | None
    reads: tuple[Read, ...]


def consequences(
    asset: str, policy: BreakerPolicy, batch: Batch, verdict: Verdict, result: Result, *, head: bool, every: timedelta
) -> Consequences:
    """Of a batch that arrives at a closed breaker, if each one that follows it, `every` so often, is judged as it was."""
    breaker = _closed(asset, policy, verdict)
    name = batch_id(asset, batch.partition, "chaos", "1")
    arrival = machine.arrive(breaker, Judged.of(name, verdict, head=head), batch.arrived_at)
    tripped = _batches_to_trip(breaker, verdict, batch.arrived_at, every, head=head, asset=asset)
    snapshot = _after(asset, batch, verdict, arrival.status, arrival.step.breaker)
    return Consequences(arrival.status, tripped, tuple(_reads(asset, policy, snapshot, batch.partition, result)))


def of_missed(
    asset: str, policy: BreakerPolicy, batch: Batch, verdict: Verdict, missed: tuple[Missed, ...], result: Result, now: datetime
) -> Consequences:
    """Where `batch` never comes: `missed` are the promises that tell so. `verdict` is that of the clean batch, for its contract's name."""
    breaker = _closed(asset, policy, verdict)
    for each in missed:
        step = machine.miss(breaker, each, now)
        breaker = breaker if isinstance(step, Refused) else step.breaker
    good = _good(asset, batch, verdict)
    unpartitioned = batch.partition.key is None
    snapshot = Snapshot(now, breaker, published=good if unpartitioned else None, last_good=good, judged=unpartitioned and good is not None)
    tripped = None if breaker.state is State.CLOSED else 1
    return Consequences(None, tripped, tuple(_reads(asset, policy, snapshot, batch.partition, result)))


def _closed(asset: str, policy: BreakerPolicy, verdict: Verdict) -> Breaker:
    return Breaker(asset, policy, verdict.contract_version)


def _batches_to_trip(breaker: Breaker, verdict: Verdict, at: datetime, every: timedelta, *, head: bool, asset: str) -> int | None:
    if verdict.outcome is not Outcome.FAIL or not head:
        return None
    for number in range(1, _MOST + 1):
        judged = Judged.of(f"{asset}|{number}|1", verdict)
        breaker = machine.arrive(breaker, judged, at + (number - 1) * every).step.breaker
        if breaker.state is not State.CLOSED:
            return number
    return None


# --- what is read --------------------------------------------------------------------------------------------------


def _after(asset: str, batch: Batch, verdict: Verdict, status: Status, breaker: Breaker) -> Snapshot:
    row = _row(asset, batch, verdict, Status.PUBLISHED if status is Status.PUBLISHING else status)
    refused = row if status in (Status.QUARANTINED, Status.HELD) else None
    good = _good(asset, batch, verdict)
    standing = good if batch.partition.key is None else None
    return Snapshot(batch.arrived_at, breaker, published=standing if refused else row, refused=refused, last_good=good, judged=True)


def _row(asset: str, batch: Batch, verdict: Verdict, status: Status) -> ledger.Batch:
    return ledger.Batch(
        id=batch_id(asset, batch.partition, "chaos", "1"),
        asset=asset,
        breaker_key=asset,
        partition=batch.partition,
        data_version="1",
        run_id="chaos",
        contract_id=verdict.contract_id,
        contract_version=verdict.contract_version,
        outcome=verdict.outcome,
        status=status,
        arrived_at=batch.arrived_at,
        updated_at=batch.arrived_at,
        staged=_STAGED if status in (Status.QUARANTINED, Status.HELD) else None,
        verdict=verdict,
    )


def _good(asset: str, batch: Batch, verdict: Verdict) -> ledger.Batch | None:
    """The delivery before, which was good."""
    if batch.previous is None:
        return None
    row = _row(asset, batch.previous, verdict, Status.PUBLISHED)
    return replace(row, id=batch_id(asset, batch.previous.partition, "before", "0"), outcome=Outcome.PASS, verdict=None)


def _reads(asset: str, policy: BreakerPolicy, snapshot: Snapshot, requested: Partition, result: Result) -> Iterator[Read]:
    accepted = {consumer: fallback.accepts for consumer, fallback in policy.consumers.items()}
    for consumer, accepts in {**accepted, OTHERS: policy.fallback.accepts}.items():
        kind = route.decide(snapshot, asset=asset, requested=requested, accepts=accepts, breaker_key=asset).kind
        fresh = kind in (RouteKind.FRESH, RouteKind.UNJUDGED)
        faulty = (fresh and result in (Result.MISSED, Result.WARNED)) or kind is RouteKind.LOW_CONFIDENCE
        yield Read(consumer, accepts, kind, faulty, as_promised(kind, accepts, result))


_PROMISED = {
    Confidence.FULL: (RouteKind.HALTED,),
    Confidence.STALE: (RouteKind.LAST_GOOD, RouteKind.HALTED),  # halted where nothing was ever good, or what was is too old
    Confidence.LOW: (RouteKind.LOW_CONFIDENCE, RouteKind.LAST_GOOD),  # last good where nothing of the batch is stored
}


def as_promised(kind: RouteKind, accepts: Confidence, result: Result) -> bool:
    """Whether a route is what a consumer that accepts so much is promised of a batch of that result."""
    if result in (Result.REFUSED, Result.HELD):
        return kind in _PROMISED[accepts]
    return kind in (RouteKind.FRESH, RouteKind.UNJUDGED)
