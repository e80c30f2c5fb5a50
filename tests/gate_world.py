"""A feed, its gate and its consumers without Dagster, database or data frames: what the tests of gate and recovery share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from dagster_contracts import probing, routing, stored
from dagster_contracts.core.breaker import Refused
from dagster_contracts.core.contract import Attached, BreakerPolicy, Confidence, Contract, Property, SchemaObject
from dagster_contracts.core.ledger import UNPARTITIONED, Batch, Output, Partition, Route, StepKey
from dagster_contracts.core.metrics import Metric, NotIn, RowCount
from dagster_contracts.core.state import Breaker
from dagster_contracts.core.verdict import Column, Count, Measured, Measurement, Sample, Unmeasured
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Judgement, Probe, Terms
from dagster_contracts.ports import NO_OTHERS, Division, FixedClock, Related, Store
from dagster_contracts.recovery import DueProbe, due_probes
from dagster_contracts.store.memory import MemoryStore

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)

Data = Mapping[str, int]
GOOD: Data = {"rows": 100}
BAD: Data = {"rows": 100, "outside": 88}
UNREADABLE: Data = {}

# That of the demonstration: D6 06:00 + 30 h = D7 12:00; after one failed probe 36 h: D9 00:00.
POLICY = BreakerPolicy(cooldown=30 * HOUR, backoff_multiplier=1.2, backoff_maximum=36 * HOUR)


class Counts:
    """A MetricEngine for data that is its own measurement: `rows`, and `outside` of the allowed values. Without rows: not to be read."""

    def measure(self, data: object, metrics: Sequence[Metric], related: Related = NO_OTHERS) -> Measurement | Unmeasured:
        assert isinstance(data, Mapping)
        if "rows" not in data:
            return Unmeasured("the file is truncated")
        values: dict[Metric, Measured] = {
            metric: Count(data.get("outside", 0) if isinstance(metric, NotIn) else 0)
            for metric in metrics
            if not isinstance(metric, RowCount)
        }
        columns = (Column("risk", "String"),) if data.get("columns", 1) else ()
        return Measurement(data["rows"], columns, values if columns else {})

    def samples(self, data: object, metrics: Sequence[Metric], limit: int = 20, related: Related = NO_OTHERS) -> Mapping[Metric, Sample]:
        return {metric: Sample(rows=({"risk": "57"},), values=(("57", 88),)) for metric in metrics}

    def divide(self, data: object, rules: Mapping[str, Metric], related: Related = NO_OTHERS) -> Division | None:
        return None


def day(number: int, hour: float = 0) -> datetime:
    """D6 06:00 is day(6, 6)."""
    return START + (number - 1) * DAY + hour * HOUR


def daily(number: int) -> Partition:
    return Partition(f"2026-01-{number:02}", day(number), day(number + 1))


def terms(policy: BreakerPolicy = POLICY, version: str = "1.0.0", asset: str = "feed") -> Terms:
    feed = SchemaObject("feed", properties=(Property("risk", logical_type="string", enum=("HIGH", "LOW")),))
    return Terms.of(Attached(asset, Contract("feed", version, "v3.1.0", "active", (feed,), policy=policy), feed))


@dataclass
class World:
    """The gate, and what adapters do around it. `live` and `beside` are the storage: partition (or fingerprint) -> data."""

    policy: BreakerPolicy = POLICY
    store: Store = field(default_factory=lambda: MemoryStore(clock=FixedClock(day(1))))
    clock: FixedClock = field(default_factory=lambda: FixedClock(day(1)))
    live: dict[str | None, Data] = field(default_factory=dict)
    beside: dict[str, Data] = field(default_factory=dict)
    runs: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.store, MemoryStore):
            self.store = MemoryStore(clock=self.clock)
        self.gate = Gate(self.store, Counts())
        self.terms = terms(self.policy)

    @property
    def breaker(self) -> Breaker:
        (only,) = self.store.breakers()
        return only

    def run(self) -> str:
        self.runs += 1
        return f"run {self.runs}"

    def judge(self, partition: Partition, data: Data, *, run: str | None = None, **other: object) -> Judgement:
        run = run or self.run()
        delivery = Delivery(partition, run, run, **other)  # type: ignore[arg-type]
        return self.gate.judge(self.terms, delivery, data)

    def store_away(self, judgement: Judgement, data: Data) -> Judgement:
        """What the IO manager does after the verdict."""
        batch = judgement.batch
        if judgement.publish:
            self.live[batch.partition.key] = data
            self.gate.published(batch, None)
        else:
            fingerprint = hashlib.sha256(batch.id.encode()).hexdigest()[:12]
            self.beside[fingerprint] = data
            self.gate.staged(batch, fingerprint)
        return judgement

    def deliver(self, number: int | None, data: Data, at: datetime | None = None, *, run: str | None = None, **other: object) -> Judgement:
        """A whole delivery of a day's partition (None: unpartitioned): judged, then written where the verdict says."""
        self.clock.at = at or self.clock.at
        partition = UNPARTITIONED if number is None else daily(number)
        return self.store_away(self.judge(partition, data, run=run, **other), data)

    def claim(self) -> Probe | Refused:
        return probing.claim(self.gate, self.terms, self.breaker.key, holder=self.run())

    def due_probes(self) -> list[DueProbe]:
        return due_probes(self.gate, {self.terms.asset: self.terms})

    def probe(self, at: datetime | None = None, data: Data | None = None) -> Judgement:
        """A probe run: claim, read what lies beside the live data (or `data`), settle."""
        self.clock.at = at or self.clock.at
        claimed = self.claim()
        assert isinstance(claimed, Probe), claimed
        assert claimed.batch.staged is not None
        return probing.settle(self.gate, self.terms, claimed, self.beside[claimed.batch.staged] if data is None else data)

    def publish(self, batch: Batch) -> None:
        """A release run: read what lies beside the live data, write it to the live place."""
        assert batch.staged is not None
        data = self.beside[batch.staged]
        going = stored.publishing(self.gate, batch, self.run())
        self.live[batch.partition.key] = data
        self.gate.published(going.batch, None)

    def route(
        self, consumer: str, number: int | None, accepts: Confidence | None, *, upstream: str = "feed", step: StepKey | None = None
    ) -> Route:
        requested = UNPARTITIONED if number is None else daily(number)
        known = self.terms if upstream == self.terms.asset else None
        return routing.route(self.gate, step or StepKey(self.run(), consumer), routing.Input(consumer, upstream, accepts, known), requested)

    def consume(self, consumer: str, number: int, accepts: Confidence | None, *upstreams: str) -> Output:
        """A consumer's run of a day: routed for each upstream, then recorded."""
        run = self.run()
        step = StepKey(run, consumer)
        routes = [self.route(consumer, number, accepts, upstream=upstream, step=step) for upstream in upstreams or ("feed",)]
        return self.gate.record_output(consumer, daily(number), run, routes)

    def events(self) -> list[str]:
        return [event.type.value for event in self.store.events(limit=10_000)]

    def changes(self) -> list[tuple[str, str]]:
        """Changes of state, oldest first."""
        recorded = [(change.from_state.value, change.to_state.value) for change in reversed(self.store.transitions(self.breaker.key))]
        return [change for change in recorded if change[0] != change[1]]

    def status(self, number: int) -> list[tuple[str, str]]:
        """(status, outcome) of a day's batches, newest first."""
        return [(row.status.value, row.outcome.value) for row in self.store.batches(asset="feed", partition=daily(number).key)]
