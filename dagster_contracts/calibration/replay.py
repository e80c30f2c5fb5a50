"""What a contract would have done: stored batches go through the real gate, breaker, probes and routes, at the times they arrived.

Nothing of it is recorded anywhere but in the store that is given, which is thrown away: a MemoryStore with the same clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dagster_contracts import recovery, stored
from dagster_contracts.calibration.observed import key_of
from dagster_contracts.chaos.batch import Batch
from dagster_contracts.core.breaker import Refused, State, Transition, asset_of
from dagster_contracts.core.ledger import Batch as Row
from dagster_contracts.core.ledger import RouteKind, Status, StepKey
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Terms
from dagster_contracts.ports import FixedClock

OTHERS = "all others"
_MOST_PROBES = 1000  # between two deliveries


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
    rules: tuple[str, ...]  # that it broke
    reads: tuple[Read, ...]


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


@dataclass(frozen=True)
class Replay:
    """A whole history under one contract, in the order of the deliveries."""

    contract: str
    version: str
    batches: tuple[Replayed, ...]
    trips: tuple[Trip, ...]
    end: datetime

    def refused(self) -> list[Replayed]:
        return [each for each in self.batches if each.outcome is Outcome.FAIL]

    def false_trips(self, bad: Collection[str]) -> list[Trip]:
        """Trips by batches that are not known to be bad."""
        return [trip for trip in self.trips if trip.partition not in bad]

    def false_trip_rate(self, bad: Collection[str]) -> float | None:
        """False trips in 100 clean batches; None where every batch was bad."""
        clean = sum(each.partition not in bad for each in self.batches)
        return 100 * len(self.false_trips(bad)) / clean if clean else None


@dataclass
class _Player:
    """The gate, and what adapters do around it. `beside` is what was set aside, by batch id."""

    gate: Gate
    terms: Terms
    clock: FixedClock
    beside: dict[str, object] = field(default_factory=dict)

    def deliver(self, batch: Batch, run: str) -> Replayed:
        self.clock.at = max(self.clock.at, batch.arrived_at)
        delivery = Delivery(batch.partition, run, run, data_version=run)
        judged = self.gate.judge(self.terms, delivery, batch.frame)
        if judged.publish:
            self.gate.published(judged.batch, None)
        else:
            self.beside[judged.batch.id] = batch.frame
            self.gate.staged(judged.batch, run)
        row = self.gate.store.batch(judged.batch.id) or judged.batch
        broken = tuple(finding.rule for finding in judged.verdict.findings if finding.outcome is Outcome.FAIL)
        reads = tuple(self._reads(batch, run))
        return Replayed(key_of(batch), self.clock.at, judged.verdict.outcome, row.status, judged.breaker.state, broken, reads)

    def _reads(self, batch: Batch, run: str) -> Iterator[Read]:
        for consumer in (*self.terms.policy.consumers, OTHERS):
            step = StepKey(run, consumer)
            found = self.gate.considered(step, consumer, self.terms.asset, batch.partition, accepts=None, terms=self.terms).route
            served = found.served.key if found.served is not None and found.served != batch.partition else None
            yield Read(consumer, found.kind, served)

    def wait_until(self, at: datetime) -> None:
        """Probes run as soon as they are due, as the sensor would start them; what they close is released."""
        for number in range(_MOST_PROBES):
            waiting = [each.retry_at for each in self.gate.store.breakers() if each.state is not State.CLOSED and each.retry_at is not None]
            ready = [moment for moment in waiting if moment <= at]
            if not ready:
                break
            self.clock.at = max(self.clock.at, min(ready))
            if not self._probe(number):
                break
        self.clock.at = max(self.clock.at, at)

    def _probe(self, number: int) -> bool:
        """Whether anything was probed."""
        done = False
        for due in recovery.due_probes(self.gate, {self.terms.asset: self.terms}):
            probe = self.gate.claim(self.terms, due.breaker.key, holder=f"probe {number}")
            if isinstance(probe, Refused):
                continue
            self.gate.settle(self.terms, probe, self.beside[probe.batch.id])
            done = True
        for release in recovery.due_releases(self.gate):
            self._publish(release.batch)
        return done

    def _publish(self, row: Row) -> None:
        self.gate.published(stored.publishing(self.gate, row, f"release {row.id}").batch, None)


def replay(gate: Gate, clock: FixedClock, terms: Terms, batches: Sequence[Batch]) -> Replay:
    """Deliver `batches` in their order to a gate whose empty store goes by `clock`."""
    player = _Player(gate, terms, clock)
    clock.at = batches[0].arrived_at
    found: list[Replayed] = []
    for number, batch in enumerate(batches, 1):
        player.wait_until(batch.arrived_at)
        found.append(player.deliver(batch, f"run {number}"))
    contract = terms.attached.contract
    return Replay(contract.id, contract.version, tuple(found), tuple(_trips(gate, found)), clock.at)


def _trips(gate: Gate, replayed: Sequence[Replayed]) -> Iterator[Trip]:
    for breaker in gate.store.breakers():
        opened: Transition | None = None
        failed = 0
        told = list(reversed(gate.store.transitions(breaker.key, limit=10 * _MOST_PROBES)))
        for each in told:
            if each.from_state is State.CLOSED and each.to_state is State.OPEN:
                opened, failed = each, 0
            elif each.from_state is State.HALF_OPEN and each.to_state is State.OPEN:
                failed += 1
            elif opened is not None and each.to_state is State.CLOSED and each.from_state is not State.CLOSED:
                yield _trip(opened, each.at, failed, replayed)
                opened = None
        if opened is not None:
            yield _trip(opened, None, failed, replayed)


def _trip(opened: Transition, closed_at: datetime | None, failed: int, replayed: Sequence[Replayed]) -> Trip:
    by = next((each for each in reversed(replayed) if each.arrived_at == opened.at and each.outcome is Outcome.FAIL), None)
    return Trip(
        opened.key,
        by.partition if by is not None else None,
        opened.at,
        closed_at,
        opened.cause.removeprefix(asset_of(opened.key)).strip(),
        by.rules if by is not None else (),
        failed,
    )
