"""The ways back, as questions to the store and words of people: due probes, releases and healings; overrides, releases, discards.

Sensors and the command line ask these. Nothing here measures data or starts a run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dagster_contracts import probing, routing
from dagster_contracts.core import breaker as machine
from dagster_contracts.core import events
from dagster_contracts.core.contract import BreakerPolicy, Confidence, Contract
from dagster_contracts.core.errors import UsageError, did_you_mean
from dagster_contracts.core.events import Event, EventType, Report
from dagster_contracts.core.ledger import (
    FALLEN,
    Batch,
    Output,
    OutputStatus,
    Partition,
    Release,
    Review,
    ReviewStatus,
    Route,
    RouteKind,
    Status,
)
from dagster_contracts.core.route import is_left_out
from dagster_contracts.core.snapshot import Change, Snapshot, may_be_released
from dagster_contracts.core.state import Breaker, OverrideKind, Step, asset_of
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.core.windows import is_streamed
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Terms, change_of
from dagster_contracts.ports import Store, Tripped

# --- what is due ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DueProbe:
    """A breaker that may be probed now. `attempt` counts whole lease periods since it fell due: one lost run wedges nothing."""

    breaker: Breaker
    batch: Batch
    attempt: int

    @property
    def run_key(self) -> str:
        return f"probe:{self.breaker.key}:{self.breaker.generation}:{self.attempt}"


@dataclass(frozen=True, slots=True)
class DueRelease:
    """A stored batch that may go to the live place now. A person's word on it makes a new run key: a lost run wedges nothing."""

    batch: Batch
    generation: int

    @property
    def run_key(self) -> str:
        return f"release:{self.batch.id}:{self.generation}:{self.batch.updated_at.isoformat()}"


@dataclass(frozen=True, slots=True)
class DueHealing:
    """An output made from fallback data, halted or withdrawn, whose asked-for inputs are all fresh now."""

    output: Output
    inputs: tuple[str, ...]  # ids of the batches it would read

    @property
    def run_key(self) -> str:
        return f"heal:{self.output.id}:{_digest(self.inputs)}"

    @property
    def cause(self) -> str:
        """The batches by which it became due, which others may share; its own id where it reads nothing that has a contract."""
        known = sorted(filter(None, self.inputs))
        return _digest(known) if len(known) > 1 else next(iter(known), self.output.id)


def _digest(ids: Iterable[str]) -> str:
    return hashlib.sha256("|".join(ids).encode()).hexdigest()[:12]


def due_probes(gate: Gate, terms: Mapping[str, Terms]) -> list[DueProbe]:
    """Breakers of the assets of `terms` whose cooldown is over, or whose contract has a new version, and that have something to probe.

    Asks the store a constant number of questions, and reads what is due alone: at most `PROBED` breakers, those that wait longest first.
    """
    now = gate.store.now()

    def may_be_due(each: Tripped) -> bool:
        known = terms.get(asset_of(each.key))
        return known is not None and (each.retry_at is None or each.retry_at <= now or each.contract_version != known.version)

    waiting = sorted(filter(may_be_due, gate.store.tripped()), key=lambda each: (each.retry_at or now, each.key))
    adopted = [(stored, _adopted(stored, terms, now)) for stored in gate.store.breakers([each.key for each in waiting[:PROBED]])]
    known = {key: each.version for key, each in terms.items()}
    ours = [(stored, each) for stored, each in adopted if each.contract_version == known[asset_of(each.key)]]  # not a later one
    probed = [(stored, breaker) for stored, breaker in ours if machine.probe_due(breaker, now)]
    candidates = probing.candidates(gate, [breaker for _, breaker in probed])
    due: list[DueProbe] = []
    for stored, breaker in probed:
        if (batch := candidates.get(breaker.key)) is not None:
            fell_due = min(now, machine.next_probe_at(stored, now) or now)
            due.append(DueProbe(breaker, batch, int((now - fell_due) / breaker.policy.lease)))
    return due


PROBED = 1000


def _adopted(stored: Breaker, terms: Mapping[str, Terms], now: datetime) -> Breaker:
    known = terms[asset_of(stored.key)]
    return machine.adopt(stored, known.version, known.policy, now).breaker


def due_releases(gate: Gate, assets: Iterable[str] | None = None) -> list[DueRelease]:
    """Held batches that passed and whose breaker is closed now, and batches that a person has released; oldest first."""
    now = gate.store.now()
    wanted = None if assets is None else set(assets)
    governed = (batch for batch in gate.store.releasable() if not gate.is_ungoverned(batch.asset))
    waiting = [batch for batch in governed if wanted is None or batch.asset in wanted]
    keys = sorted({batch.breaker_key for batch in waiting})
    breakers = {breaker.key: breaker for breaker in (gate.store.breakers(keys) if keys else ())}
    due = [
        DueRelease(batch, breaker.generation)
        for batch in waiting
        if (breaker := breakers.get(batch.breaker_key)) is not None and may_be_released(batch, breaker, now)
    ]
    return sorted(due, key=lambda item: (item.batch.partition.end or item.batch.arrived_at, item.batch.sequence))


def due_healings(gate: Gate, assets: Iterable[str] | None = None) -> list[DueHealing]:
    """Degraded, halted and withdrawn outputs of which every input would now be read fresh; oldest partition first.

    Asks the store a constant number of questions. An input that was served unjudged then may be unjudged still; one that was refused must
    have been published since.
    """
    fallen = gate.store.healable(None if assets is None else sorted(set(assets)))
    now = routing.previews(gate, [item for output in fallen for item in output.inputs])
    due: list[DueHealing] = []
    for output in fallen:
        routes = [now[item] for item in output.inputs]
        if all(map(_whole, output.inputs, routes)):
            due.append(DueHealing(output, tuple(item.batch_id or "" for item in routes)))
    return sorted(due, key=lambda item: (item.output.partition.end or item.output.at, item.output.at))


def first_due(due: Sequence[DueHealing], above: Callable[[str], Container[str]]) -> list[DueHealing]:
    """Without those that are made of another one that is due, of the same partition. `above`: everything that an asset is made of.

    The ledger knows what a step was given. Of two assets of one step it does not know that one is made of the other.
    """
    assets: dict[str | None, set[str]] = {}
    for each in due:
        assets.setdefault(each.output.partition.key, set()).add(each.output.asset)
    return [each for each in due if not any(other in above(each.output.asset) for other in assets[each.output.partition.key])]


def _whole(then: Route, now: Route) -> bool:
    unjudged = now.kind is RouteKind.UNJUDGED and (then.kind is RouteKind.UNJUDGED or is_left_out(then))
    return now.confidence is Confidence.FULL and (now.kind is RouteKind.FRESH or unjudged)


# --- words of people -----------------------------------------------------------------------------------------------


def override(
    gate: Gate,
    key: str,
    kind: OverrideKind,
    *,
    actor: str,
    reason: str,
    expires_at: datetime | None = None,
    create: bool = False,
    contracts: Sequence[Contract] = (),
) -> list[Breaker]:
    """Force a breaker open or closed, or only observe. The key of an asset whose breakers are scoped means all of them, each in a
    transaction of its own, and those that come later: a breaker of the asset's own key, which is first, keeps the word for these.

    Raises UsageError where no breaker of that key has ever judged a batch; with `create` it is made then, and its contract's policy comes
    with the first batch. Then UsageError where the key is not one that the breakers of its asset could have, where none of `contracts`
    governs the asset, and, without `contracts`, where it is nearly that of another asset: a breaker once made is there for good.
    """

    def said(breaker: Breaker, now: datetime) -> Step:
        return machine.override(breaker, kind, actor=actor, reason=reason, now=now, expires_at=expires_at)

    if create and not gate.store.breakers([key]):
        _may_be_made(gate.store, key, contracts)
    several = scoped(gate.store, key)
    return [_revise(gate, key, said, create=create or bool(several)), *(_revise(gate, each, said) for each in several)]


def reset(gate: Gate, key: str, *, actor: str, reason: str) -> list[Breaker]:
    """No override, closed, empty window, first cooldown; of an asset whose breakers are scoped, all of them, as `override`."""

    def said(breaker: Breaker, now: datetime) -> Step:
        return machine.reset(breaker, actor=actor, reason=reason, now=now)

    several = scoped(gate.store, key)
    own = [key] if not several or gate.store.breakers([key]) else []
    return [_revise(gate, each, said) for each in (*own, *several)]


def scoped(store: Store, key: str) -> list[str]:
    """The keys of an asset's breakers that are one for each value of a dimension; none where `key` is that of one of them."""
    return [breaker.key for breaker in store.breakers(asset=key) if breaker.key != key] if asset_of(key) == key else []


def _may_be_made(store: Store, key: str, contracts: Sequence[Contract]) -> None:
    asset, (_, bracket, scope) = asset_of(key), key.partition("[")
    dimension, equals, _ = scope.partition("=")
    governing = [contract for contract in contracts for each in contract.objects if each.may_be_about(asset)]
    if contracts and not governing:
        named = sorted({each.asset or each.name for contract in contracts for each in contract.objects})
        raise UsageError(f'none of the contracts governs "{asset}"{did_you_mean(asset, named) or ";"} they govern: {", ".join(named)}')
    known = store.breakers(asset=asset)
    scopes = sorted({contract.policy.scope for contract in governing} or {each.policy.scope for each in known if each.contract_version})
    if bracket and not (scope.endswith("]") and equals and dimension in scopes and dimension != "asset"):
        own = [each for each in scopes if each != "asset"]
        meant = f"; its breakers are one for each value of {', '.join(own)}{did_you_mean(dimension, own)}" if own else ""
        raise UsageError(f'"{key}" is no breaker of {asset}{meant or f"; --create takes the key of an asset: {asset}"}')
    others = sorted({asset_of(each.key) for each in store.breakers()}) if not known and not contracts else []
    if near := did_you_mean(asset, others):
        raise UsageError(f'no breaker "{asset}"{near} if it is another asset, name its contract: --contracts PATH')


def report(gate: Gate, key: str, told: Report) -> Event:
    """Record what somebody says of data: sinks are told, and no breaker moves. Raises UsageError where nothing was judged for `key`."""
    known_breaker(gate, key)
    published = gate.store.batches(asset=asset_of(key), partition=told.partition, statuses=(Status.PUBLISHED,), limit=1)
    batch = next(iter(published), None)

    def decide(snapshot: Snapshot) -> tuple[Change, Event]:
        assert snapshot.breaker is not None
        draft = events.of_report(told, snapshot.breaker, batch)
        contract = batch.contract_id if batch is not None else None
        change = change_of(Step(snapshot.breaker), snapshot.now, (draft,), contract_id=contract)
        return change, change.events[0]

    return gate.transact(key, asset_of(key), Partition(), None, decide)


def release(gate: Gate, batch: Batch, *, actor: str, reason: str) -> Batch:
    """Let a quarantined or held batch through despite its verdict; the sensor contracts_heal or a run publishes it. Never last good.

    One that was discarded, and that no delivery of its partition has followed, can be released too: what was set aside of it is kept.
    Raises UsageError where the batch is neither, or its data is not stored.
    """

    def revise(row: Batch, now: datetime) -> Batch:
        newest = _newest(gate.store, row.asset, row.partition.key) if row.status is Status.DISCARDED else None
        if row.status not in (Status.QUARANTINED, Status.HELD) and (newest is None or newest.id != row.id):
            later = " and a later delivery of its partition has come" if row.status is Status.DISCARDED else ""
            raise UsageError(f"{row.id} is {row.status}{later}; only a quarantined or held batch can be released")
        if row.staged is None:
            raise UsageError(not_stored(row))
        refused = Status.QUARANTINED if row.outcome is Outcome.FAIL else Status.HELD
        return replace(row, status=refused, released=Release(actor, reason, now), updated_at=now)

    return _revise_batch(gate, batch, revise, EventType.BATCH_RELEASED, actor=actor, reason=reason)


def not_stored(batch: Batch) -> str:
    """Why nothing can be done with the data of a refused batch, and what to do."""
    if is_streamed(batch):
        return f"the data of {batch.id} is not here: its stream's consumer keeps it, or has set it aside; send it again as new events"
    return f"the data of {batch.id} is not stored beside the live data; run the asset again to deliver it"


def discarded_batch(store: Store, asset: str, partition: str | None) -> Batch | None:
    """The newest batch of a partition, if it was discarded and its data is stored still."""
    newest = _newest(store, asset, partition)
    return newest if newest is not None and newest.status is Status.DISCARDED and newest.staged is not None else None


def _newest(store: Store, asset: str, partition: str | None) -> Batch | None:
    """Of that partition; None also where an asset has partitions, and none is asked for."""
    newest = next(iter(store.batches(asset=asset, partition=partition, limit=1)), None)
    return newest if newest is not None and newest.partition.key == partition else None


def releasable_batch(gate: Gate, asset: str, partition: str | None) -> Batch:
    """The newest quarantined or held batch of an asset's partition, else one that was discarded last. Raises UsageError where there is
    none, or several partitions wait."""
    found = gate.store.batches(asset=asset, partition=partition, statuses=(Status.QUARANTINED, Status.HELD))
    if not found and (discarded := discarded_batch(gate.store, asset, partition)) is not None:
        return discarded
    others = sorted({str(batch.partition) for batch in found})
    if not found:
        place = asset if partition is None else f"{asset} [{partition}]"
        raise UsageError(f"{place} has no quarantined or held batch; `dagster-contracts batch list` shows what waits")
    if len(others) > 1:
        raise UsageError(f"{len(others)} partitions of {asset} have a batch that waits; name one of them: {', '.join(others[:10])}")
    return found[0]


def discard(gate: Gate, batch: Batch, *, actor: str, reason: str) -> Batch:
    """Dismiss a quarantined or held batch: it is no longer listed, probed or served. Its partition stays refused until delivered anew.
    What was set aside of it is not deleted."""

    def revise(row: Batch, now: datetime) -> Batch:
        if row.status not in (Status.QUARANTINED, Status.HELD):
            raise UsageError(f"{row.id} is {row.status}; only a quarantined or held batch can be discarded")
        return replace(row, status=Status.DISCARDED, released=None, note=f"discarded by {actor}: {reason}", updated_at=now)

    return _revise_batch(gate, batch, revise, EventType.BATCH_DISCARDED, actor=actor, reason=reason)


def dismiss(gate: Gate, asset: str, partition: str | None, *, actor: str, reason: str) -> list[Output]:
    """Drop degraded, halted and withdrawn outputs of an asset (`partition` None: all of them) from the list, with the reviews of them that
    wait. For an asset that nobody makes any more: who reads it is not told by them any more what it is worth.

    Raises UsageError where it has none.
    """
    found = gate.store.outputs(asset=asset, statuses=FALLEN, limit=DISMISSED)
    wanted = [output for output in found if partition in (None, output.partition.key)]
    if not wanted:
        place = asset if partition is None else f"{asset} [{partition}]"
        raise UsageError(f"{place} has no degraded, halted or withdrawn output; `dagster-contracts status` lists those there are")
    waiting = {review.id: review for review in gate.store.reviews(asset=asset, statuses=(ReviewStatus.PENDING,), limit=DISMISSED)}
    return [_dismiss(gate, output, waiting.get(output.id), actor, reason) for output in wanted]


DISMISSED = 10_000


def _dismiss(gate: Gate, output: Output, review: Review | None, actor: str, reason: str) -> Output:
    def decide(snapshot: Snapshot) -> tuple[Change, Output]:
        ended = replace(output, status=OutputStatus.DISMISSED, ended_at=snapshot.now)
        closed = () if review is None else (replace(review, status=ReviewStatus.SUPERSEDED, decided_at=snapshot.now),)
        told = (events.of_output_word(EventType.OUTPUT_DISMISSED, output, actor=actor, reason=reason),)
        change = Change() if snapshot.breaker is None else change_of(Step(snapshot.breaker), snapshot.now, told)
        return replace(change, outputs=(ended,), reviews=closed), ended

    key = next((route.breaker_key for route in output.inputs if route.breaker_key), output.asset)
    return gate.transact(key, output.asset, output.partition, None, decide)


def known_breaker(gate: Gate, key: str) -> Breaker:
    """The breaker of that key; UsageError with the nearest known key where there is none."""
    found = gate.store.breakers([key])
    if not found:
        known = [breaker.key for breaker in gate.store.breakers()]
        listed = ", ".join(known[:10]) or (
            "none yet: a breaker exists once its asset's first batch is judged; `breaker observe-only KEY --create` makes one before"
        )
        raise UsageError(f'no breaker "{key}"{did_you_mean(key, known) or ";"} known breakers: {listed}')
    return found[0]


def _revise(gate: Gate, key: str, revise: Callable[[Breaker, datetime], Step], *, create: bool = False) -> Breaker:
    if not create:
        known_breaker(gate, key)

    def decide(snapshot: Snapshot) -> tuple[Change, Breaker]:
        breaker = snapshot.breaker or Breaker(key, BreakerPolicy(), contract_version="")
        change = change_of(revise(breaker, snapshot.now), snapshot.now)
        assert change.breaker is not None
        return change, change.breaker

    return gate.transact(key, asset_of(key), Partition(), None, decide)


def _revise_batch(
    gate: Gate, batch: Batch, revise: Callable[[Batch, datetime], Batch], kind: EventType, *, actor: str, reason: str
) -> Batch:
    def decide(snapshot: Snapshot) -> tuple[Change, Batch]:
        if snapshot.breaker is None or snapshot.batch is None:
            raise UsageError(f"{batch.id} is not in the ledger")
        revised = revise(snapshot.batch, snapshot.now)
        draft = events.of_word(kind, revised, actor=actor, reason=reason)
        return change_of(Step(snapshot.breaker), snapshot.now, (draft,), revised), revised

    return gate.transact(batch.breaker_key, batch.asset, batch.partition, batch.id, decide)
