"""What a delivery is, what came of judging it, and the rows of the ledger that tell of both. Pure, but for the plan it keeps compiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from dagster_contracts.core import events
from dagster_contracts.core.breaker import probe_due
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Attached, BreakerPolicy, Confidence
from dagster_contracts.core.events import Draft
from dagster_contracts.core.ledger import (
    Batch,
    Partition,
    Status,
    batch_id,
)
from dagster_contracts.core.plan import Plan
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import Breaker, State, Step, Transition
from dagster_contracts.core.verdict import Finding, Measurement, Outcome, Unmeasured, Verdict
from dagster_contracts.core.windows import Part, to_document, window_of
from dagster_contracts.ports import Division

EPOCH = datetime.fromtimestamp(0, UTC)  # stands for arrival where no store can tell the time: freshness is not judged then


@dataclass(frozen=True, slots=True)
class Terms:
    """A contract as it applies to one asset: what to measure, and the policy of its breaker. Built once per contract version."""

    asset: str
    attached: Attached
    plan: Plan

    @classmethod
    def of(cls, attached: Attached, environment: str | None = None) -> Terms:
        """`environment` is where this process runs, as `environments` of contracts call it."""
        return cls(attached.asset, attached, compile_plan(attached.contract, attached.object, environment))

    @property
    def policy(self) -> BreakerPolicy:
        return self.attached.contract.policy

    @property
    def version(self) -> str:
        return self.attached.contract.version

    @property
    def content(self) -> str:
        """The hash of the contract's text; empty where it was never text."""
        return self.attached.contract.content_hash

    def breaker_key(self, partition: Partition) -> str:
        """The asset's key; with `scope`, one breaker per value of that partition dimension."""
        for name, value in partition.dimensions:
            if name == self.policy.scope:
                return f"{self.asset}[{name}={value}]"
        return self.asset


@dataclass(frozen=True, slots=True)
class Delivery:
    """Who brings a batch: the run, the partition, the user's data version if there is one, and how trustworthy its inputs were.

    `fallback_of` are the keys of the breakers whose fallback data it was made from.
    `findings` are what the bearer found out about it before anything was measured; `window` is the length of the time window that it is a
    micro-batch of: what was measured of it is kept for that window's verdict.
    `in_place`: it stands in the live place already, where its asset has written it itself.
    """

    partition: Partition
    run_id: str
    root_run_id: str
    data_version: str | None = None
    confidence: Confidence = Confidence.FULL
    fallback_of: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    window: timedelta | None = None
    in_place: bool = False


class ProbeResult(StrEnum):
    """What a probe came to. late: its lease had ended, so that it changed nothing."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    LATE = "late"

    @classmethod
    def of(cls, outcome: Outcome, *, late: bool, inconclusive: bool) -> ProbeResult:
        if late:
            return cls.LATE
        if inconclusive:
            return cls.INCONCLUSIVE
        return cls.FAILED if outcome is Outcome.FAIL else cls.PASSED


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of judging a batch. `batch.status` says what to do with the data."""

    verdict: Verdict
    batch: Batch
    breaker: Breaker
    division: Division | None = None  # what to publish of the delivery, and what to set aside of it
    undivided: str = ""  # why failing rows were not set aside, where the contract lets them be
    probe: ProbeResult | None = None  # where it was a stored batch that was probed
    recorded: bool = True  # else no store could be told: let through by onStoreUnavailable: admit, and in no ledger

    @property
    def publish(self) -> bool:
        return self.batch.status is Status.PUBLISHING


@dataclass(frozen=True, slots=True)
class Probe:
    """A claimed lease, and the stored batch to judge under it."""

    lease_id: str
    batch: Batch
    breaker: Breaker


def change_of(
    step: Step,
    now: datetime,
    drafts: Sequence[Draft] = (),
    *batches: Batch,
    contract_id: str | None = None,
    concerning: Batch | None = None,
) -> Change:
    """`concerning` is the batch that the transitions are about, where it is not the first of those that change; `contract_id` is for
    events, where no batch tells it."""
    cause = concerning or next(iter(batches), None)
    contract_id = contract_id or (cause.contract_id if cause is not None else None)
    told = [events.of_transition(transition, step.breaker, _caused(transition, cause)) for transition in step.transitions]
    breaker, numbered = events.number(step.breaker, [*told, *drafts], now, contract_id)
    return Change(breaker=breaker, transitions=step.transitions, batches=batches, events=numbered)


def _caused(transition: Transition, batch: Batch | None) -> Batch | None:
    return batch if batch is not None and batch.id == transition.batch_id else None


def batch_of(terms: Terms, delivery: Delivery, version: str, verdict: Verdict, status: Status, now: datetime) -> Batch:
    """The ledger's row of a delivery judged `now`; `version` is its data version."""
    return Batch(
        id=batch_id(terms.asset, delivery.partition, delivery.root_run_id, version),
        asset=terms.asset,
        breaker_key=terms.breaker_key(delivery.partition),
        partition=delivery.partition,
        data_version=version,
        run_id=delivery.run_id,
        contract_id=verdict.contract_id,
        contract_version=verdict.contract_version,
        outcome=verdict.outcome,
        status=status,
        arrived_at=now,
        updated_at=now,
        confidence=delivery.confidence,
        verdict=verdict,
    )


def part_of(
    terms: Terms, delivery: Delivery, found: Measurement | Unmeasured, row: Batch, known: Batch | None, breaker: Breaker, now: datetime
) -> tuple[Part, ...]:
    """What a window keeps of a micro-batch: of one that is let in, or that arrives while a probe is due; in the window it first came in.

    Nothing of a window in which the breaker changed: what was held back then is missing in it.
    """
    if delivery.window is None or row.status is Status.QUARANTINED or (row.status is Status.HELD and not probe_due(breaker, now)):
        return ()
    window = window_of(row.arrived_at, delivery.window)
    assert window.start is not None
    assert window.end is not None
    over = known is not None and window_of(now, delivery.window) != window  # it has its verdict, or is about to
    if over or (row.status is Status.HELD and row.outcome is Outcome.INCONCLUSIVE) or settled_at(breaker) > window.start:
        return ()
    return (Part(row.id, row.breaker_key, window.end, row.contract_version, to_document(found, terms.plan.beside)),)


def settled_at(breaker: Breaker) -> datetime:
    """Since when micro-batches arrive as they would without a breaker: it is closed, or waits for a window that proves something."""
    waits = breaker.retry_at if breaker.state is not State.CLOSED else None
    return max(moment for moment in (EPOCH, breaker.since, waits) if moment is not None)


def unrecorded(terms: Terms, delivery: Delivery, version: str, verdict: Verdict) -> Judgement:
    note = "the breaker store was out of reach; admitted by onStoreUnavailable: admit"
    batch = replace(batch_of(terms, delivery, version, verdict, Status.PUBLISHING, EPOCH), note=note)
    return Judgement(verdict, batch, Breaker(batch.breaker_key, terms.policy, terms.version), recorded=False)


def admitted(policy: BreakerPolicy, outcome: Outcome) -> bool:
    """Whether a batch is let through while no store can record it."""
    if outcome is Outcome.INCONCLUSIVE and not policy.admit_inconclusive:
        return False
    return policy.admit_when_unavailable and outcome is not Outcome.FAIL


def told_already(known: Batch | None, batch: Batch) -> bool:
    """Whether the same delivery came to the same end before: a retry whose first answer was lost has nothing new to tell.

    What could not be measured is told of once a run: another run has read it anew.
    """
    if known is None or (batch.outcome is Outcome.INCONCLUSIVE and batch.run_id != known.run_id):
        return False
    came_to = Status.PUBLISHING if known.status is Status.PUBLISHED else known.status  # it was written since
    return (came_to, known.outcome, known.contract_version) == (batch.status, batch.outcome, batch.contract_version)


def still_published(known: Batch | None, batch: Batch) -> Batch:
    """What the ledger keeps of a delivery that is refused though the same batch is published: it stands in the live place unchanged.

    Only a FAIL takes that back: under another contract version, or of what was let in though it failed.
    """
    if known is None or known.status is not Status.PUBLISHED or batch.status is Status.PUBLISHING:
        return batch
    taken_back = batch.contract_version != known.contract_version or known.outcome is Outcome.FAIL
    return batch if batch.outcome is Outcome.FAIL and taken_back else known


def judged_anew(row: Batch, verdict: Verdict, now: datetime, *, counted: bool) -> Batch:
    """A stored batch under a new verdict; as it was where that proves nothing, or the batch is not stored any more."""
    if verdict.outcome is Outcome.INCONCLUSIVE or row.status not in (Status.QUARANTINED, Status.HELD):
        return row
    return replace(
        row,
        outcome=verdict.outcome,
        verdict=verdict,
        status=Status.QUARANTINED if verdict.outcome is Outcome.FAIL else Status.HELD,
        contract_version=verdict.contract_version,
        counted=row.counted or counted,
        updated_at=now,
    )
