"""What a contract would have done: stored batches go through the real gate, breaker, probes and routes, at the times they arrived.

Nothing of it is recorded anywhere but in the store that is given, which is thrown away: a MemoryStore with the same clock.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dagster_contracts import probing, recovery, routing, stored
from dagster_contracts.calibration.observed import key_of
from dagster_contracts.calibration.series import Bounds, bounds_of, values_of
from dagster_contracts.chaos.batch import Arrival, Batch
from dagster_contracts.chaos.consequences import OTHERS
from dagster_contracts.core.breaker import Refused
from dagster_contracts.core.ledger import Batch as Row
from dagster_contracts.core.ledger import RouteKind, Status
from dagster_contracts.core.metrics import Metric
from dagster_contracts.core.state import State, Transition, asset_of
from dagster_contracts.core.verdict import ACCEPTED, Measurement, Outcome, Sample, Unmeasured
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Terms
from dagster_contracts.ports import NO_OTHERS, Division, FixedClock, MetricEngine, Related, Store


@dataclass(frozen=True, slots=True)
class Read:
    """What a consumer would have read as a batch had arrived; `served` names the partition, None where nothing or it alone."""

    consumer: str
    kind: RouteKind
    served: str | None


@dataclass(frozen=True, slots=True)
class Replayed:
    """One delivery: its verdict, what became of it, the breaker after it, and what each consumer would have read then."""

    partition: str
    arrived_at: datetime
    outcome: Outcome
    status: Status
    state: State
    rules: tuple[str, ...]  # that refuse it
    reads: tuple[Read, ...]
    arrival: Arrival = Arrival.KNOWN  # what its time was taken from
    values: Mapping[str, float] = field(default_factory=dict)  # what each rule compared with its threshold, where it has one
    warned: tuple[str, ...] = ()  # rules that are broken and only warn


@dataclass(frozen=True, slots=True)
class Trip:
    """An opening and what ended it (`closed_at` None: open at the end). `probes` are those that failed in between."""

    breaker: str
    partition: str | None  # whose batch opened it
    opened_at: datetime
    closed_at: datetime | None
    cause: str
    rules: tuple[str, ...]
    probes: int

    def length(self, end: datetime) -> timedelta:
        return (self.closed_at or end) - self.opened_at


@dataclass(frozen=True, slots=True)
class Unknown:
    """What could not be judged anew of so many recorded batches, and why. `rule` is empty where it is all rules."""

    rule: str
    reason: str
    batches: int


@dataclass(frozen=True, slots=True)
class Brought:
    """A delivery as it is to be brought to the gate: `name` is what people call it, `at` when it arrives, `data` what is judged."""

    name: str
    at: datetime
    delivery: Delivery
    data: object
    arrival: Arrival = Arrival.KNOWN


@dataclass(frozen=True)
class Replay:
    """A whole history under one contract, in the order of the deliveries."""

    contract: str
    version: str
    batches: tuple[Replayed, ...]
    trips: tuple[Trip, ...]
    end: datetime
    bounds: tuple[Bounds, ...] = ()  # of the rules with a threshold
    unknown: tuple[Unknown, ...] = ()  # of batches that were recorded, and not measured

    def refused(self) -> list[Replayed]:
        return [each for each in self.batches if each.outcome is Outcome.FAIL]


@dataclass
class _Once:
    """An engine that measures a frame once, however often it is probed: it does not change, and neither does what it is measured for."""

    engine: MetricEngine
    measured: dict[tuple[int, Sequence[Metric]], tuple[object, Measurement | Unmeasured]] = field(default_factory=dict)
    sampled: dict[tuple[int, Sequence[Metric]], Mapping[Metric, Sample]] = field(default_factory=dict)

    def measure(self, data: object, metrics: Sequence[Metric], related: Related = NO_OTHERS) -> Measurement | Unmeasured:
        key = (id(data), tuple(metrics))
        if key not in self.measured:
            self.measured[key] = data, self.engine.measure(data, metrics, related)  # with the data, whose id is nobody else's then
        return self.measured[key][1]

    def samples(self, data: object, metrics: Sequence[Metric], limit: int = 20, related: Related = NO_OTHERS) -> Mapping[Metric, Sample]:
        key = (id(data), tuple(metrics))
        if key not in self.sampled:
            self.sampled[key] = self.engine.samples(data, metrics, limit, related)
        return self.sampled[key]

    def divide(self, data: object, rules: Mapping[str, Metric], related: Related = NO_OTHERS) -> Division | None:
        return self.engine.divide(data, rules, related)


@dataclass
class _Player:
    """The gate, and what adapters do around it. `delivered` is what came, and `beside` what was set aside of it, by batch id."""

    gate: Gate
    terms: Terms
    clock: FixedClock
    delivered: dict[str, Replayed] = field(default_factory=dict)
    beside: dict[str, object] = field(default_factory=dict)

    def deliver(self, brought: Brought) -> None:
        self.clock.at = max(self.clock.at, brought.at)
        judged = self.gate.judge(self.terms, brought.delivery, brought.data)
        if judged.publish:
            self.gate.published(judged.batch, None)
        else:
            self.beside[judged.batch.id] = brought.data
            self.gate.staged(judged.batch, brought.delivery.run_id)
        row = self.gate.store.batch(judged.batch.id) or judged.batch
        broken = tuple(finding.rule for finding in judged.verdict.findings if finding.outcome is Outcome.FAIL)
        self.delivered[row.id] = Replayed(
            brought.name,
            self.clock.at,
            judged.verdict.outcome,
            row.status,
            judged.breaker.state,
            broken,
            tuple(self._reads(brought.delivery)),
            brought.arrival,
            values_of(judged.verdict.findings),
            tuple(finding.rule for finding in judged.verdict.findings if finding.outcome is Outcome.WARN),
        )

    def _reads(self, delivery: Delivery) -> Iterator[Read]:
        for consumer in (*self.terms.policy.consumers, OTHERS):
            place, given = delivery.partition, routing.Input(consumer, self.terms.asset, None, self.terms)
            found = routing.considered(self.gate, given, place).route
            served = found.served.key if found.served is not None and found.served != place else None
            yield Read(consumer, found.kind, served)

    def wait_until(self, at: datetime) -> None:
        """Probes run as soon as they are due, and what may be released is, as the sensors would do it."""
        while True:
            self._release()
            while self._probe():
                self._release()
            waiting = [each.retry_at for each in self.gate.store.breakers() if each.state is not State.CLOSED and each.retry_at is not None]
            later = [moment for moment in waiting if self.clock.at < moment <= at]
            if not later:
                break
            self.clock.at = min(later)
        self.clock.at = max(self.clock.at, at)

    def _probe(self) -> bool:
        """Whether one passed, so that another may be due at this moment. Each is of another batch, or ends by itself."""
        passed = False
        for due in recovery.due_probes(self.gate, {self.terms.asset: self.terms}):
            probe = probing.claim(self.gate, self.terms, due.breaker.key, holder=due.run_key)
            if not isinstance(probe, Refused):
                passed |= probing.settle(self.gate, self.terms, probe, self.beside[probe.batch.id]).verdict.outcome in ACCEPTED
        return passed

    def _release(self) -> None:
        for due in recovery.due_releases(self.gate):
            self._publish(due.batch)

    def _publish(self, row: Row) -> None:
        self.gate.published(stored.publishing(self.gate, row, f"release {row.id}").batch, None)


def replay(
    store: Store, clock: FixedClock, engine: MetricEngine, terms: Terms, batches: Sequence[Batch], related: Related = NO_OTHERS
) -> Replay:
    """Deliver `batches` in their order to the gate of an empty store that goes by `clock`. Each is measured once; `related` are other
    objects of the contract, the same for all."""
    gate = Gate(store, _Once(engine), related=lambda terms, partition: related)
    return play(gate, clock, terms, [_brought(batch, f"run {number}") for number, batch in enumerate(batches, 1)])


def _brought(batch: Batch, run: str) -> Brought:
    return Brought(key_of(batch), batch.arrived_at, Delivery(batch.partition, run, run, data_version=run), batch.frame, batch.arrival)


def play(gate: Gate, clock: FixedClock, terms: Terms, deliveries: Sequence[Brought]) -> Replay:
    """Bring deliveries to a gate in their order, and do in between what sensors would."""
    player = _Player(gate, terms, clock)
    clock.at = deliveries[0].at
    for brought in deliveries:
        player.wait_until(brought.at)
        player.deliver(brought)
    player.wait_until(clock.at)
    contract = terms.attached.contract
    trips = tuple(_trips(gate.store, player.delivered))
    return Replay(contract.id, contract.version, tuple(player.delivered.values()), trips, clock.at, bounds_of(terms.plan))


def _trips(store: Store, delivered: Mapping[str, Replayed]) -> Iterator[Trip]:
    for breaker in store.breakers():
        opened: Transition | None = None
        failed = 0
        for each in reversed(store.transitions(breaker.key, limit=sys.maxsize)):
            if each.from_state is State.CLOSED and each.to_state is State.OPEN:
                opened, failed = each, 0
            elif each.from_state is State.HALF_OPEN and each.to_state is State.OPEN:
                failed += 1
            elif opened is not None and each.to_state is State.CLOSED and each.from_state is not State.CLOSED:
                yield _trip(opened, each.at, failed, delivered)
                opened = None
        if opened is not None:
            yield _trip(opened, None, failed, delivered)


def _trip(opened: Transition, closed_at: datetime | None, failed: int, delivered: Mapping[str, Replayed]) -> Trip:
    by = delivered.get(opened.batch_id or "")
    return Trip(
        opened.key,
        by.partition if by is not None else None,
        opened.at,
        closed_at,
        opened.cause.removeprefix(asset_of(opened.key)).strip(),
        by.rules if by is not None else (),
        failed,
    )
