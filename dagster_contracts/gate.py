"""The use case of a batch, through the ports: it is measured, judged, published or set aside.

    judge    measurement -> verdict -> breaker transition -> batch status -> events, in one transaction
    finish   what the adapters report back: staged, published, output made

The decisions are core's. What stands here is their order, and that a lost race is decided anew. What a consumer reads is `routing`, how a
breaker closes again `probing`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from dagster_contracts import telemetry
from dagster_contracts.core import breaker as machine
from dagster_contracts.core import events, references
from dagster_contracts.core.contract import Confidence, least
from dagster_contracts.core.deliveries import is_new
from dagster_contracts.core.errors import LostRace, StoreUnavailable
from dagster_contracts.core.judge import with_findings
from dagster_contracts.core.ledger import (
    IN_PLACE,
    Batch,
    Output,
    OutputStatus,
    Partition,
    Review,
    ReviewStatus,
    Route,
    Status,
    batch_id,
)
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.plan import Reference
from dagster_contracts.core.route import may_be_made_from_fallback
from dagster_contracts.core.snapshot import Change, Snapshot
from dagster_contracts.core.state import Breaker, Judged, State, Step, failures
from dagster_contracts.core.verdict import Arrival, Outcome, Remembered, Verdict
from dagster_contracts.judgement import (
    EPOCH,
    Delivery,
    Judgement,
    Probe,
    ProbeResult,
    Terms,
    admitted,
    batch_of,
    change_of,
    part_of,
    still_published,
    told_already,
    unrecorded,
)
from dagster_contracts.measuring import Scale, Taken, take
from dagster_contracts.ports import NO_OTHERS, MetricEngine, Related, Sampler, Store, not_sampled

T = TypeVar("T")

logger = logging.getLogger("dagster_contracts.gate")
RACES = 200  # a change that loses this often is not losing to peers: something is wrong


class Gate:
    """Runs the chain for one store and one engine. Holds no state of its own."""

    def __init__(
        self,
        store: Store,
        engine: MetricEngine,
        is_intact: Callable[[Batch], bool] = lambda batch: True,
        related: Callable[[Terms, Partition], Related] = lambda terms, partition: NO_OTHERS,
        sources: Container[str] = (),
        sampled: Sampler = not_sampled,
        is_ungoverned: Callable[[str], bool] = lambda asset: False,
        is_unconcerned: Callable[[str], bool] = lambda asset: False,
    ):
        """`is_intact` says whether a published batch still stands in the live place as it was written there; `related` what there is to
        read of the other objects of a contract, beside a batch of one partition. `sources` are the assets that nobody here makes: what
        stands there may be another batch whenever it is looked at. `sampled` takes some rows of such data. `is_ungoverned` says whether
        an asset is made here without a contract: breakers and batches of it that the store knows are of the past. `is_unconcerned`:
        nothing that it is made of has one either, so that its outputs are of the past, too."""
        self.store = store
        self.engine = engine
        self.is_intact = is_intact
        self.related = related
        self.sources = sources
        self.sampled = sampled
        self.is_ungoverned = is_ungoverned
        self.is_unconcerned = is_unconcerned

    # --- judge -----------------------------------------------------------------------------------------------------

    @telemetry.observed("judge", lambda gate, terms, *_, **__: terms.asset, lambda done: telemetry.of_verdict(done.batch))
    def judge(
        self,
        terms: Terms,
        delivery: Delivery,
        data: object,
        *,
        made: Related = NO_OTHERS,
        divisible: bool = True,
        unless: Callable[[Snapshot], None] = lambda snapshot: None,
    ) -> Judgement:
        """Measure a batch and decide what becomes of it.

        `made` are other objects of its contract that were made with it and are not published yet. `divisible`: the caller can publish a
        part of `data`, where the contract lets failing rows be set aside; the judgement then has a `division`. `unless` is asked before
        each decision, and raises where none may be made; nothing is recorded then.

        Raises StoreUnavailable where the verdict cannot be recorded, and says what is wrong with the batch where the policy admits others;
        unless the policy admits a batch of this outcome: then the judgement says `publishing`, and its batch is in no ledger.
        """
        return self.recorded(terms, delivery, self.measured(terms, delivery.partition, data, made=made, divide=divisible), unless=unless)

    def recorded(
        self,
        terms: Terms,
        delivery: Delivery,
        taken: Taken,
        *,
        unless: Callable[[Snapshot], None] = lambda snapshot: None,
        under: Probe | None = None,
    ) -> Judgement:
        """As `judge`, of what was measured already. `under`: a probe has found it where it looked, and is settled by it."""
        version = delivery.data_version or taken.digest[:16]
        name = batch_id(terms.asset, delivery.partition, delivery.root_run_id, version)
        key = terms.breaker_key(delivery.partition)

        def decide(snapshot: Snapshot) -> tuple[Change, Judgement]:
            unless(snapshot)
            return self._decided(terms, delivery, version, taken, snapshot, Scale(), under)

        try:
            taken = self.remembering(taken, terms, key, delivery.partition, name)
            return self.transact(key, terms.asset, delivery.partition, name, decide)
        except StoreUnavailable as error:
            return _let_in(terms, [(delivery, version, taken)], error)[0]

    def _decided(
        self, terms: Terms, delivery: Delivery, version: str, taken: Taken, snapshot: Snapshot, scale: Scale, under: Probe | None = None
    ) -> tuple[Change, Judgement]:
        """What becomes of a delivery that was measured, and of its breaker. `version` is its data version."""
        name = batch_id(terms.asset, delivery.partition, delivery.root_run_id, version)
        key = terms.breaker_key(delivery.partition)
        head = snapshot.is_head(delivery.partition)
        known = None if _came_back(snapshot.batch, delivery) else snapshot.batch
        # Equal counts are not equal data: a release speaks of what was staged, unless the user's own version says it is that again.
        released = known.released if known is not None and delivery.data_version is not None else None
        arrived = known.arrived_at if known else snapshot.now
        arrivals = self.arrivals(terms, key, delivery.partition, known)
        worth = scale.worth(taken, delivery.partition, as_of=arrived, head=head, arrivals=arrivals, findings=delivery.findings)
        verdict, division = worth.verdict, worth.division
        adopted = self._adopted(terms, key, snapshot)
        judged = Judged.of(
            name,
            verdict,
            head=head,
            confidence=delivery.confidence,
            repeated=known is not None and known.counted and known.contract_version == terms.version,
            released=released is not None,
            delivers=known is None and head and is_new(delivery.partition.end, arrivals),
            probes=not (terms.plan.elsewhere & adopted.breaker.failed_rules or is_overtaken(terms, adopted.breaker)),
        )
        arrival = machine.arrive(adopted.breaker, judged, snapshot.now, lease_id=under.lease_id if under is not None else None)
        batch = replace(
            batch_of(terms, delivery, version, verdict, arrival.status, snapshot.now),
            arrived_at=arrived,
            head=head,
            counted=arrival.counted or (judged.repeated and known is not None and known.counted),
            staged=IN_PLACE if delivery.in_place else known.staged if known else None,
            released=released,
        )
        row = still_published(known, batch)
        # Held it is not, where it has gone on already; that it cannot be measured any more is told.
        stands = row is known and batch.status is Status.HELD and batch.outcome is not Outcome.INCONCLUSIVE
        drafts = () if stands or told_already(known, batch) else events.of_batch(batch, self._incidents(delivery))
        step = Step(arrival.step.breaker, adopted.transitions + arrival.step.transitions)
        change = change_of(step, snapshot.now, drafts, row, *self._overwritten(known, row, in_place=delivery.in_place))
        measured = taken.published(division).measurement
        parts = part_of(terms, delivery, measured, row, known, step.breaker, snapshot.now)
        change = replace(change, profiles=references.kept(terms.plan, measured, row), parts=parts)
        assert change.breaker is not None
        probed = None if under is None else _probed(under, adopted.breaker, judged, snapshot.now)
        return change, Judgement(verdict, row, change.breaker, division, worth.undivided, probed)

    @telemetry.observed(
        "judge", lambda gate, terms, *_, **__: terms.asset, lambda done: [telemetry.of_verdict(of.batch) for of in done][-1]
    )
    def judge_several(
        self,
        terms: Terms,
        deliveries: Sequence[tuple[Delivery, object]],
        *,
        divisible: bool = True,
        unless: Callable[[Snapshot], None] = lambda snapshot: None,
    ) -> list[Judgement]:
        """Measure batches of one breaker, and decide in their order what becomes of each: as `judge` does, in one transaction.

        Each has a partition without time of its own and a data version, none but the first may have been judged before, and no rule may
        ask when batches came. Those after a batch that is held, or after which the breaker is open, are left unjudged: there are at
        least one and at most as many judgements as deliveries.
        """
        weighed = [(delivery, self.measured(terms, delivery.partition, data, divide=divisible)) for delivery, data in deliveries]
        first = deliveries[0][0]
        name = batch_id(terms.asset, first.partition, first.root_run_id, str(first.data_version))
        key = terms.breaker_key(first.partition)

        def decide(snapshot: Snapshot) -> tuple[Change, list[Judgement]]:
            unless(snapshot)
            change, judgements, scale = Change(), list[Judgement](), Scale()
            for delivery, taken in weighed:
                one, judgement = self._decided(terms, delivery, str(delivery.data_version), taken, snapshot, scale)
                change, snapshot = change.followed_by(one), replace(snapshot, breaker=one.breaker, batch=None)
                judgements.append(judgement)
                if judgement.batch.status is Status.HELD or machine.enforced_open(judgement.breaker, snapshot.now):
                    break
            return change, judgements

        try:
            return self.transact(key, terms.asset, first.partition, name, decide)
        except StoreUnavailable as error:
            return _let_in(terms, [(delivery, str(delivery.data_version), taken) for delivery, taken in weighed], error)

    def _incidents(self, delivery: Delivery) -> list[str]:
        """The incidents that a batch was made under: its own trouble is told with theirs."""
        known = self.store.breakers(delivery.fallback_of) if delivery.fallback_of else ()
        return [events.incident_id(breaker.key, breaker.incident) for breaker in known if breaker.incident]

    def _overwritten(self, known: Batch | None, row: Batch, *, in_place: bool) -> list[Batch]:
        """What stands no more in the live place, or perhaps not: its asset has written `row` there itself; or a delivery that is refused
        now was once allowed to replace it, and its writer never told whether it did."""
        died = known is not None and known.status is Status.PUBLISHING and row.status is not Status.PUBLISHING
        if not (in_place or died):
            return []
        statuses = (Status.PUBLISHED, Status.PUBLISHING) if in_place else (Status.PUBLISHED,)
        note = f"overwritten by {row.id}" if in_place else f"perhaps overwritten by {row.id}, whose writer died"
        standing = self.store.batches(asset=row.asset, partition=row.partition.key, statuses=statuses)
        return [replace(old, status=Status.DISCARDED, note=note, updated_at=row.updated_at) for old in standing if old.id != row.id]

    def arrivals(self, terms: Terms, key: str, partition: Partition, batch: Batch | None) -> tuple[Arrival, ...]:
        """When the newest batches before `batch` (None: before one that is arriving) came; nothing where no rule asks for it.

        Read while a change of the breaker is being decided: whatever arrives in between changes it too, and the decision is made anew.
        """
        if not terms.plan.promised:
            return ()
        before = batch.sequence if batch is not None else None
        found = tuple(self.store.arrivals(key, partition, before=before))
        if any(arrival.accepted for arrival in found):
            return found
        return (*found, *self.store.arrivals(key, partition, before=before, accepted=True, limit=1)) if found else ()

    def remembering(self, taken: Taken, terms: Terms, key: str, partition: Partition, batch: str) -> Taken:
        """What was measured, with the profiles of good batches that rules compare it with. `batch` is its own id: it is none of them.

        Read once, before anything is decided: a batch that is published meanwhile is a reference of the next one.
        """
        found: dict[tuple[Reference, ProfileOf], Remembered] = {}
        for reference, metric in references.asked(terms.plan):
            good = self.store.profiles(reference, metric, key=key, asset=terms.asset, partition=partition, batch_id=batch)
            if (known := references.remembered(reference, good)) is not None:
                found[reference, metric] = known
        return taken.beside(found) if found else taken

    @telemetry.observed("measure", lambda gate, terms, *_, **__: terms.asset)
    def measured(self, terms: Terms, partition: Partition, data: object, *, made: Related = NO_OTHERS, divide: bool = False) -> Taken:
        """One pass over the data, and failing rows where something fails."""
        try:
            others = self.related(terms, partition)
        except StoreUnavailable:  # rules that read them are not executed, and the verdict meets the same store
            others = NO_OTHERS
        related = {**others, **made, terms.attached.object.name: lambda: data}
        as_of = self._now() if divide and terms.plan.waivers else None
        return take(self.engine, terms.plan, terms.policy, data, related=related, divide=divide, as_of=as_of)

    def _now(self) -> datetime | None:
        try:
            return self.store.now()
        except StoreUnavailable:  # nothing is known to be waived, and the verdict meets the same store
            return None

    def _adopted(self, terms: Terms, key: str, snapshot: Snapshot) -> Step:
        if snapshot.breaker is None:
            return self._first(terms, key, snapshot.now)
        return machine.adopt(snapshot.breaker, terms.version, terms.policy, snapshot.now, content=terms.content)

    def _first(self, terms: Terms, key: str, now: datetime) -> Step:
        """A new breaker. One of many of its asset begins with what a person has said of the asset as a whole."""
        breaker = Breaker(key, terms.policy, terms.version, contents=(terms.content,) if terms.content else ())
        whole = next(iter(self.store.breakers([terms.asset])), None) if key != terms.asset else None
        word = machine.current(whole, now).override if whole is not None else None
        if word is None:
            return Step(breaker)
        return machine.override(breaker, word.kind, actor=word.actor, reason=word.reason, now=now, expires_at=word.expires_at)

    # --- finish ----------------------------------------------------------------------------------------------------

    def staged(self, batch: Batch, fingerprint: str) -> None:
        """A refused batch has been written beside the live data under `fingerprint`."""
        self.update(batch, lambda row, now: replace(row, staged=fingerprint, updated_at=now))

    def lost(self, batch: Batch) -> None:
        """What was set aside of a refused batch is not there any more: it is not probed, released or served until delivered again."""
        self.update(batch, lambda row, now: replace(row, staged=None, note="its stored data is gone", updated_at=now))

    def published(self, batch: Batch, storage_version: str | None) -> None:
        """A batch has been written to the live place. One that was judged again in between, and refused, stays refused."""

        def written(row: Batch, now: datetime) -> Batch:
            if row.status in (Status.QUARANTINED, Status.HELD):
                return row
            return replace(row, status=Status.PUBLISHED, storage_version=storage_version, staged=None, updated_at=now)

        self.update(batch, written)

    def record_output(self, asset: str, partition: Partition, run_id: str, inputs: Sequence[Route]) -> Output:
        """What a consumer made of its inputs: at most as confident as the least of them; a halted one is recorded as halted."""
        now = self.store.now()
        halted = any(item.confidence is None for item in inputs)
        confidence = None if halted else least(item.confidence for item in inputs if item.confidence is not None)
        status = OutputStatus.HALTED if halted else OutputStatus.OK if confidence is Confidence.FULL else OutputStatus.DEGRADED
        output = Output(uuid.uuid4().hex, asset, partition, run_id, status, confidence, tuple(inputs), now)
        previous = self.store.output(asset, partition.key)
        reviews: tuple[Review, ...] = ()
        if confidence is Confidence.LOW:
            why = next((item.reason for item in inputs if item.confidence is Confidence.LOW), "")
            reviews = (Review(output.id, asset, partition, ReviewStatus.PENDING, now, why),)
        made = Change(outputs=(output,), reviews=reviews)
        if previous is None or status is not OutputStatus.OK or previous.status is OutputStatus.OK or not _keys(previous.inputs):
            self.store.save(made)
            return output
        healing = events.of_healing(previous, now)

        def decide(snapshot: Snapshot) -> tuple[Change, Output]:
            told = change_of(Step(snapshot.breaker), snapshot.now, (healing,)) if snapshot.breaker else Change()
            return replace(told, outputs=made.outputs, reviews=made.reviews), output

        return self.transact(_keys(previous.inputs)[0], asset, partition, None, decide)

    def made_from(self, route: Route) -> frozenset[Partition]:
        """The partitions that a route's data stands for: the one served; of an output made from fallback data, those that its inputs were
        served for it, over any number of steps. Raises StoreUnavailable."""
        served, made = route.served, None
        if served is not None and may_be_made_from_fallback(route):
            made = self.store.output(route.upstream, served.key)
        inputs = () if made is None else made.inputs
        found = [self.made_from(each) for each in inputs if each.requested == served]
        known = frozenset[Partition]().union(*found)
        return known or (frozenset((served,)) if served is not None else known)

    # --- transactions ----------------------------------------------------------------------------------------------

    @telemetry.observed("decide", lambda gate, key, asset, *_, **__: asset)
    def transact(
        self,
        key: str,
        asset: str,
        partition: Partition,
        name: str | None,
        decide: Callable[[Snapshot], tuple[Change, T]],
    ) -> T:
        """Load, decide, save. Where somebody else was first, decide anew while nobody else can: many writers of one breaker would lose
        to each other over and over."""
        change, result = decide(self.store.load(key, asset=asset, partition=partition, batch_id=name))
        if change == Change():
            return result
        try:
            self.store.save(change)
        except LostRace:
            telemetry.of_lost_race(asset)
            return self._insist(key, asset, partition, name, decide)
        telemetry.of_transitions(asset, change.transitions)
        return result

    def _insist(self, key: str, asset: str, partition: Partition, name: str | None, decide: Callable[[Snapshot], tuple[Change, T]]) -> T:
        def insisted(snapshot: Snapshot) -> tuple[Change, tuple[Change, T]]:
            change, result = decide(snapshot)
            return change, (change, result)

        for _ in range(RACES - 1):
            try:
                change, result = self.store.transact(key, insisted, asset=asset, partition=partition, batch_id=name)
            except LostRace:  # a breaker that is new to both, or a deadlock over the places of two breakers
                telemetry.of_lost_race(asset)
                continue
            telemetry.of_transitions(asset, change.transitions)
            return result
        raise StoreUnavailable(f"{key} changed {RACES} times while one change to it was being decided; try again")

    def update(self, batch: Batch, revise: Callable[[Batch, datetime], Batch]) -> None:
        """Change a batch's row, unless it has been discarded in between."""

        def decide(snapshot: Snapshot) -> tuple[Change, None]:
            row = snapshot.batch
            if snapshot.breaker is None or row is None or row.status is Status.DISCARDED:
                return Change(), None
            return Change(breaker=snapshot.breaker, batches=(revise(row, snapshot.now),)), None

        self.transact(batch.breaker_key, batch.asset, batch.partition, batch.id, decide)


def _let_in(terms: Terms, given: Sequence[tuple[Delivery, str, Taken]], error: StoreUnavailable) -> list[Judgement]:
    """The judgements of batches that no store can record, each with its data version, up to the first that the policy does not admit.

    Raises `error` where that is the first of all; where the policy admits others, with what is wrong with this one.
    """
    let_in: list[Judgement] = []
    for delivery, version, taken in given:
        verdict = with_findings(taken.verdict(delivery.partition, as_of=EPOCH, head=False), delivery.findings)
        if admitted(terms.policy, verdict.outcome):
            let_in.append(unrecorded(terms, delivery, version, verdict))
        elif let_in:
            break
        elif not terms.policy.admit_when_unavailable:
            raise error
        else:
            raise StoreUnavailable(
                f"{error}. {terms.asset} [{delivery.partition}] is not let in without it (onStoreUnavailable: admit), {_against(verdict)}"
            ) from error
    return let_in


def _against(verdict: Verdict) -> str:
    if verdict.outcome is Outcome.FAIL:
        return f"for it broke contract {verdict.contract_version}: {'. '.join(failures(verdict)[:3])}"
    unmeasured = (f"{each.rule}: {each.observed}" for each in verdict.findings if each.outcome is Outcome.INCONCLUSIVE)
    return f"for it could not be measured: {next(unmeasured, '')}"


def _came_back(known: Batch | None, delivery: Delivery) -> bool:
    """Whether what stands in the live place has stood there before, and something else in between: that is a new delivery."""
    return delivery.in_place and known is not None and known.status is Status.DISCARDED


def _probed(under: Probe, breaker: Breaker, judged: Judged, now: datetime) -> ProbeResult:
    held = machine.lease_is_live(breaker, now) and breaker.lease is not None and breaker.lease.id == under.lease_id
    return ProbeResult.of(judged.outcome, late=not held, inconclusive=machine.inconclusive(breaker, judged))


def is_overtaken(terms: Terms, breaker: Breaker) -> bool:
    """Whether an open breaker knows a later version of the contract than we do."""
    return breaker.state is not State.CLOSED and machine.is_older(terms.version, breaker.contract_version)


def _keys(inputs: Sequence[Route]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.breaker_key for item in inputs if item.breaker_key is not None))[:1]
