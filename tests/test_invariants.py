"""The invariants of the design, by number, over the real gate, routes and stores.

 1  a FAIL batch reaches the live place only if a person released it, or observe_only is on; both are recorded
 2  from the transaction that trips, nobody reads the tripping batch or a later one as full or stale data
 3  at most one live probe lease; a stale result changes no state, window or lease
 4  a transition is recorded once with its cause, its event in the same transaction; ids without gap, the same on redelivery, in order
 5  could-not-measure never trips, never closes, is never silent
 6  a store out of reach: halt or admit as declared, and it says so; never "closed"
 7  last_good names a published batch of its own merit that is present and unchanged
 8  confidence travels down: an output is at most as confident as its least input
 9  the same batch judged twice counts once
10  every rule is executed, or listed with the reason
11  reading never writes
12  without a last good, the message says what to do
13  from every state there is a way out that needs no SQL

`Everything` plays whatever can happen to a feed, in any order, and checks 1 to 9, 12 and 13 on each step; 10 and 11 follow below it.
The same under real processes and kill -9: test_crashes.py. Many claiming at once (3): store/test_races.py.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dagster_contracts import BreakerResource, probing, recovery, routing, stored, with_contracts
from dagster_contracts.core.breaker import Refused, enforced_open, next_probe_at
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import BreakerPolicy, Confidence, Property, QualityRule, SchemaObject, Severity, Window, least
from dagster_contracts.core.errors import StoreUnavailable, UsageError
from dagster_contracts.core.events import Event
from dagster_contracts.core.judge import judge
from dagster_contracts.core.ledger import UNPARTITIONED, Batch, OutputStatus, Partition, Route, RouteKind, Status, StepKey
from dagster_contracts.core.metrics import Newest
from dagster_contracts.core.snapshot import Change, Snapshot
from dagster_contracts.core.state import Breaker, OverrideKind, State, Transition
from dagster_contracts.core.verdict import Column, Count, Instant, Measurement, Outcome, Unmeasured
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Judgement, Probe
from dagster_contracts.ports import FixedClock, Store
from dagster_contracts.relay import LEASE, Relay
from dagster_contracts.store.memory import MemoryStore
from dagster_contracts.store.sql import SqlStore
from tests.core.test_compile import contract, levels, properties, qualities
from tests.gate_world import HOUR, POLICY, Counts, World, daily, day
from tests.invariant_model import KINDS, Data, Listener, Storage, Unsteady, content, copied, terms

FULL, STALE, LOW = Confidence.FULL, Confidence.STALE, Confidence.LOW
MINUTE = timedelta(minutes=1)
WAITING = (Status.QUARANTINED, Status.HELD)

DAYS = st.integers(1, 3)
SIZES = st.integers(1, 2)  # few, so that the same batch comes again
INPUTS = st.sampled_from([FULL, FULL, FULL, FULL, STALE, LOW])
# The store fails at the n-th call from now: before it does anything, or after it has and before it answers. Mostly it does not.
TROUBLE = st.one_of(st.none(), st.none(), st.tuples(st.integers(0, 5), st.booleans()))
CRASH = st.sampled_from([None, None, None, "before the write", "after the write"])
POLICIES = st.builds(
    BreakerPolicy,
    failures=st.integers(1, 2),
    trip_on=st.sampled_from([frozenset({Severity.CRITICAL}), frozenset[Severity]()]),
    window=st.sampled_from([Window(1), Window(3), Window(None, 6 * HOUR)]),
    cooldown=st.sampled_from([HOUR, 8 * HOUR]),
    backoff_multiplier=st.sampled_from([1.0, 2.0]),
    probes=st.sampled_from([1, 1, 2]),
    lease=st.sampled_from([15 * MINUTE, 3 * HOUR]),
    max_staleness=st.sampled_from([None, None, timedelta(days=1)]),
    admit_inconclusive=st.booleans(),
    admit_when_unavailable=st.booleans(),
)


class Everything(RuleBasedStateMachine):
    """One feed, its consumers, probes, people and accidents. One writer of a place at a time, but for repeated deliveries of one batch."""

    def open_store(self) -> Store:
        return MemoryStore(clock=self.clock)

    @initialize(policy=POLICIES, partitioned=st.sampled_from([True, True, True, False]), versions=st.booleans(), stated=st.booleans())
    def begin(self, policy: BreakerPolicy, partitioned: bool, versions: bool, stated: bool) -> None:
        self.clock = FixedClock(day(5, 6))
        self.steady = self.open_store()
        self.store = Unsteady(self.steady)
        self.store.watch = self.committed
        self.storage = Storage(versions)
        self.gate = Gate(self.store, Counts(), self.storage.is_intact)  # type: ignore[arg-type]
        self.partitioned, self.stated, self.policy = partitioned, stated, policy
        self.version, self.runs, self.tick = 0, 0, 0
        self.terms = terms(policy, 0)
        self.sink = Listener()
        self.breaker: Breaker | None = None  # as last committed
        self.recorded: list[Transition] = []
        self.told: list[Event] = []
        self.content: dict[str, Data] = {}  # batch id -> what was delivered under it
        self.known: dict[str, Status] = {}
        self.let_in: dict[str, int] = {}  # batch id -> when it was last allowed into the live place
        self.observed: set[str] = set()  # let in though they failed, because observe_only was on
        self.tripping: set[str] = set()  # failed at the trip of this incident, or as its probe
        self.open_since: int | None = None
        self.probes: list[Probe] = []
        self.writers: dict[str | None, tuple[Batch, Data]] = {}  # slow ones, still at work
        self.truth: dict[tuple[str, str | None], Confidence | None] = {}  # what outputs were really made from

    # --- the world around the gate ---

    def place(self, number: int) -> Partition:
        return daily(number) if self.partitioned else UNPARTITIONED

    def run(self) -> str:
        self.runs += 1
        return f"run {self.runs}"

    def committed(self, change: Change) -> None:
        """What must hold of every transaction."""
        self.tick += 1
        before, after = self.breaker, change.breaker
        drafted = [event for event in change.events if event.type.startswith("breaker.")]
        assert [event.payload["generation"] for event in drafted] == [made.generation for made in change.transitions], "4: same transaction"
        assert all(made.cause and made.at for made in change.transitions), "4: with its cause"
        self.recorded += change.transitions
        self.told += change.events
        if after is None:
            assert not change.batches
            return
        if before is not None and after.lease is not None and (before.lease is None or before.lease.id != after.lease.id):
            assert not self.live(before) or before.contract_version != after.contract_version, "3: one live lease"
        if before is not None and self.story(before) != self.story(after):
            assert change.transitions, "4: nothing of this changes unrecorded"
        for made in change.transitions:
            if made.to_state is State.CLOSED and made.from_state is not State.CLOSED:
                self.tripping.clear()
            elif made.to_state is State.OPEN and not made.shadow and made.batch_id:
                self.tripping.add(made.batch_id)
        self.breaker = after
        for batch in change.batches:
            self.admitted(batch, after)
        self.notice_opening()

    def story(self, breaker: Breaker) -> tuple[object, ...]:
        return breaker.state, breaker.override, breaker.contract_version

    def admitted(self, batch: Batch, breaker: Breaker) -> None:
        observing = breaker.override is not None and breaker.override.kind is OverrideKind.OBSERVE_ONLY
        entering = batch.status is Status.PUBLISHING and self.known.get(batch.id) is not Status.PUBLISHING
        if entering:
            self.let_in[batch.id] = self.tick
            (self.observed.add if observing else self.observed.discard)(batch.id)
        elif batch.status is Status.PUBLISHING and observing:  # judged again after its writer died
            self.observed.add(batch.id)
        if batch.status in (Status.PUBLISHING, Status.PUBLISHED) and batch.outcome is Outcome.FAIL:
            assert batch.released or observing or batch.id in self.observed, f"1: {batch}"
            if batch.released:
                assert (batch.released.actor, batch.released.reason) == ("ann", "why"), "1: recorded"
        self.known[batch.id] = batch.status

    def notice_opening(self) -> None:
        is_open = self.breaker is not None and enforced_open(self.breaker, self.clock.at)
        if is_open and self.open_since is None:
            self.open_since = self.tick
        elif not is_open:
            self.open_since = None

    def live(self, breaker: Breaker) -> bool:
        """Whether the lease is live, in our own words."""
        lease, word, now = breaker.lease, breaker.override, self.clock.at
        lapsed = word is not None and word.expires_at is not None and word.expires_at <= now
        return lease is not None and now < lease.expires_at and lease.generation == breaker.generation and not lapsed

    def memory(self) -> tuple[object, ...]:
        """Everything of the breaker that a result of no consequence may not change."""
        b = self.breaker
        assert b is not None
        return (b.state, b.generation, b.window, b.lease, b.probed, b.passed, b.retry_at, b.reopened, b.override, b.contract_version)

    def confirm(self, name: str, key: str | None) -> None:
        if (row := self.steady.batch(name)) is not None:
            self.gate.published(row, self.storage.version(key))

    # --- deliveries ---

    def judged(self, partition: Partition, data: Data, confidence: Confidence, trouble: tuple[int, bool] | None) -> Judgement | None:
        """None where the store was out of reach."""
        version = f"{sorted(data.items())}" if self.stated else None
        root = f"root {sorted(data.items())}"
        before, memory = self.breaker, self.memory() if self.breaker else None
        told = len(self.told)
        rows = {row.id: row for row in self.steady.batches()}
        self.store.fail(trouble)
        try:
            judgement = self.gate.judge(self.terms, Delivery(partition, self.run(), root, version, confidence), data)
        except StoreUnavailable:
            assert self.store.failed, "6"
            assert not (self.policy.admit_when_unavailable and judged_good(self.version, data)), "6: declared to be admitted"
            return None
        finally:
            failed, self.store.failed = self.store.failed, False
            self.store.fail(None)
            for row in self.steady.batches():  # the answer may have been lost
                if row.partition == partition and row.id not in rows:
                    self.content[row.id] = data
        self.content[judgement.batch.id] = data
        batch, outcome = judgement.batch, judgement.verdict.outcome
        if failed:
            assert self.policy.admit_when_unavailable, "6: halts where nothing else is declared"
            assert outcome is not Outcome.FAIL, "6: a FAIL is never admitted"
            assert outcome is not Outcome.INCONCLUSIVE or self.policy.admit_inconclusive
            assert "out of reach" in batch.note, "6: says so"
            return judgement
        known = rows.get(batch.id)
        assert self.breaker is not None
        closes_or_trips = before is not None and self.breaker.state is not before.state
        if outcome is Outcome.INCONCLUSIVE:
            assert len(self.told) > told or (known is not None and known.status is Status.PUBLISHED), "5: never silent"
            last = self.recorded[-1] if self.recorded else None
            assert not (closes_or_trips and last is not None and last.batch_id == batch.id), "5: moves nothing"
            assert not judgement.publish or self.policy.admit_inconclusive or self.observing() or batch.released, "5"
        same = before is not None and before.contract_version == self.breaker.contract_version and not self.lapsed(before)
        if same and known is not None and known.counted and known.contract_version == batch.contract_version:
            assert self.memory() == memory, "9: judged twice, counted once"
        if same and confidence is not FULL:
            assert self.memory() == memory, "8: what was made from fallback data moves nothing"
        ends = [row.partition.end for row in rows.values() if row.status is Status.PUBLISHED and row.partition.end]
        if same and partition.end is not None and ends and partition.end < max(ends):
            assert self.memory() == memory, "older partitions move nothing"
        if not judgement.publish:
            assert outcome is not Outcome.PASS or known is not None or self.open_since is not None, "13: nothing good is refused"
        return judgement

    def observing(self) -> bool:
        word = self.breaker.override if self.breaker else None
        return word is not None and word.kind is OverrideKind.OBSERVE_ONLY

    def lapsed(self, breaker: Breaker) -> bool:
        return breaker.override is not None and breaker.override.expires_at is not None and breaker.override.expires_at <= self.clock.at

    def store_away(self, judgement: Judgement, data: Data, crash: str | None) -> None:
        """What a run does after the verdict, up to where it dies."""
        batch = judgement.batch
        if crash == "before the write":
            return
        if not judgement.publish:
            self.storage.beside[f"beside {batch.id}"] = data
            if crash is None:
                self.gate.staged(batch, f"beside {batch.id}")
            return
        self.storage.write(batch.partition.key, data, foreign="out of reach" in batch.note)
        if crash is None:
            self.confirm(batch.id, batch.partition.key)

    @rule(number=DAYS, kind=st.sampled_from(KINDS), size=SIZES, confidence=INPUTS, crash=CRASH, trouble=TROUBLE)
    def deliver(
        self, number: int, kind: str, size: int, confidence: Confidence, crash: str | None, trouble: tuple[int, bool] | None
    ) -> None:
        partition, data = self.place(number), content(kind, size)
        if partition.key in self.writers and self.writers[partition.key][1] != data:
            return
        judgement = self.judged(partition, data, confidence, trouble)
        if judgement is not None:
            self.store_away(judgement, data, crash)

    @rule(which=st.integers(0, 5), crash=CRASH)
    def deliver_again(self, which: int, crash: str | None) -> None:
        """The same data as some batch of before, whatever has become of that."""
        rows = self.steady.batches()
        if which < len(rows):
            partition, data = rows[which].partition, self.content[rows[which].id]
            if partition.key in self.writers and self.writers[partition.key][1] != data:
                return
            judgement = self.judged(partition, data, rows[which].confidence, None)
            assert judgement is not None
            self.store_away(judgement, data, crash)

    @rule(number=DAYS, size=SIZES, kind=st.sampled_from(["good", "few", "bad"]))
    def begin_to_write(self, number: int, size: int, kind: str) -> None:
        partition, data = self.place(number), content(kind, size)
        if partition.key in self.writers:
            return
        judgement = self.judged(partition, data, FULL, None)
        if judgement is not None and judgement.publish:
            self.writers[partition.key] = (judgement.batch, data)
        elif judgement is not None:
            self.store_away(judgement, data, None)

    @rule(number=DAYS, dies=st.sampled_from([None, None, "before the write", "after the write"]))
    def end_of_writing(self, number: int, dies: str | None) -> None:
        if (writer := self.writers.pop(self.place(number).key, None)) is not None and dies != "before the write":
            batch, data = writer
            self.storage.write(batch.partition.key, data)
            if dies is None:
                self.confirm(batch.id, batch.partition.key)

    @rule(number=DAYS, kind=st.sampled_from(["good", "bad"]), size=SIZES)
    def somebody_writes_past_us(self, number: int, kind: str, size: int) -> None:
        key = self.place(number).key
        if self.storage.versions and key in self.storage.live and key not in self.writers:
            self.storage.write(key, content(kind, size), foreign=True)

    # --- probes ---

    @rule(trouble=TROUBLE)
    def claim(self, trouble: tuple[int, bool] | None) -> None:
        before = self.breaker
        if before is None:
            return
        running = self.live(before)
        self.store.fail(trouble)
        try:
            claimed = probing.claim(self.gate, self.terms, before.key, holder=self.run())
        except StoreUnavailable:
            return
        finally:
            self.store.fail(None)
        if isinstance(claimed, Probe):
            assert not running or before.contract_version != self.terms.version, "3: one live lease"
            assert before.state is not State.CLOSED
            assert claimed.batch.head
            assert claimed.batch.confidence is FULL, "8: what was made from fallback data proves nothing"
            self.probes.append(claimed)
        else:
            assert isinstance(claimed, Refused)

    @rule(which=st.integers(0, 3), trouble=TROUBLE)
    def settle(self, which: int, trouble: tuple[int, bool] | None) -> None:
        """Any probe that ever began may report, however late; those that never do have crashed."""
        if not 0 <= which < len(self.probes):
            return
        probe = self.probes.pop(which)
        before = self.breaker
        assert before is not None
        assert probe.batch.staged is not None
        valid = self.live(before) and before.lease is not None and before.lease.id == probe.lease_id
        memory, told, row = self.memory(), len(self.told), self.steady.batch(probe.batch.id)
        self.store.fail(trouble)
        try:
            judgement = probing.settle(self.gate, self.terms, probe, self.storage.beside[probe.batch.staged])
        except StoreUnavailable:
            return
        finally:
            self.store.fail(None)
        if not valid:
            assert self.memory() == memory, "3: a stale result changes nothing"
        if judgement.verdict.outcome is Outcome.INCONCLUSIVE:
            assert self.breaker is not None
            assert self.breaker.state is before.state, "5"
            assert len(self.told) > told, "5: never silent"
        if row is not None and row.status not in WAITING:
            assert self.steady.batch(probe.batch.id) == row, "a probe touches only what waits"

    @rule(settles=st.sampled_from(["in time", "in time", "never", "late"]))
    def probe_once_due(self, settles: str) -> None:
        if self.breaker is None or (due_at := next_probe_at(self.breaker, self.clock.at)) is None:
            return
        self.wait(max(due_at - self.clock.at, timedelta(0)))
        first = len(self.probes)
        self.claim(None)
        if settles == "late":  # when another has the lease
            self.wait(self.policy.lease)
            self.claim(None)
        if settles != "never":
            self.settle(first, None)

    @rule(numbers=st.permutations([1, 2, 3]), kinds=st.tuples(*[st.sampled_from(KINDS)] * 2), confidence=INPUTS)
    def trip(self, numbers: list[int], kinds: tuple[str, str], confidence: Confidence) -> None:
        """Deliveries before and after a bad one."""
        for number, kind in zip(numbers, (kinds[0], "bad", kinds[1]), strict=True):
            self.deliver(number, kind, 1, confidence if kind != "bad" else FULL, None, None)

    # --- people ---

    @rule(kind=st.sampled_from(OverrideKind), lasts=st.sampled_from([None, HOUR, 6 * HOUR]))
    def override(self, kind: OverrideKind, lasts: timedelta | None) -> None:
        if self.breaker is not None:
            end = self.clock.at + lasts if lasts else None
            recovery.override(self.gate, "feed", kind, actor="ann", reason="why", expires_at=end)
            assert (self.recorded[-1].actor, self.recorded[-1].from_state) == ("ann", self.recorded[-1].to_state), "1, 4: recorded"

    @rule()
    def reset(self) -> None:
        if self.breaker is not None:
            (closed,) = recovery.reset(self.gate, "feed", actor="ann", reason="why")
            assert closed.state is State.CLOSED, "13"
            assert self.open_since is None

    @rule(which=st.integers(0, 5), word=st.sampled_from(["release", "discard", "rejudge"]))
    def decide_on_a_batch(self, which: int, word: str) -> None:
        waiting = self.steady.batches(statuses=WAITING)
        if which >= len(waiting):
            return
        batch, memory = waiting[which], self.memory()
        if word == "rejudge" and batch.staged is not None:
            stored.rejudge(self.gate, self.terms, batch, self.storage.beside[batch.staged], actor="ann", reason="why")
        elif word == "discard":
            recovery.discard(self.gate, batch, actor="ann", reason="why")
        elif word == "release" and batch.staged is not None:
            recovery.release(self.gate, batch, actor="ann", reason="why")
        assert self.memory() == memory

    @rule(which=st.integers(0, 3), crash=CRASH)
    def publish_what_is_due(self, which: int, crash: str | None) -> None:
        due = recovery.due_releases(self.gate)
        if which < len(due) and due[which].batch.partition.key not in self.writers:
            self.release_run(due[which].batch, crash)

    def release_run(self, batch: Batch, crash: str | None) -> None:
        assert batch.staged is not None
        data = self.storage.beside[batch.staged]
        if batch.contract_version != self.terms.version and batch.released is None:
            batch = stored.rejudge(self.gate, self.terms, batch, data, actor="release run", reason="contract").batch
        begun = self.steady.load("feed", asset="feed", partition=batch.partition).publishing
        newer = begun is not None and begun.sequence > batch.sequence
        if newer or (batch.outcome is Outcome.FAIL and batch.released is None):
            with pytest.raises(UsageError):
                stored.publishing(self.gate, batch, self.run())
            return
        judgement = stored.publishing(self.gate, batch, self.run())
        self.store_away(judgement, data, crash)

    @rule(number=DAYS)
    def baseline(self, number: int) -> None:
        partition = self.place(number)
        if (data := self.storage.live.get(partition.key)) is None or partition.key in self.writers:
            return
        memory = self.memory() if self.breaker else None
        judgement = stored.baseline(self.gate, self.terms, Delivery(partition, "baseline", "baseline"), data)
        self.content[judgement.batch.id] = data
        if judgement.verdict.outcome in (Outcome.PASS, Outcome.WARN):
            self.let_in[judgement.batch.id] = -1
            self.storage.foreign.discard(partition.key)
        if memory is not None:
            assert self.memory() == memory, "a baseline moves no breaker"

    @rule()
    def reconcile(self) -> None:
        at_work = {batch.id for batch, _ in self.writers.values()}
        for batch in self.steady.batches(statuses=(Status.PUBLISHING,)):
            if batch.id not in at_work:
                stored.settle_publishing(self.gate, self.terms, batch, self.storage.live.get(batch.partition.key))

    @rule()
    def new_contract_version(self) -> None:
        self.version += 1
        self.terms = terms(self.policy, self.version)

    @rule(passed=st.sampled_from([5 * MINUTE, HOUR, HOUR, 3 * HOUR, 8 * HOUR, 24 * HOUR]))
    def wait(self, passed: timedelta) -> None:
        self.clock.at += passed
        self.tick += 1
        self.notice_opening()

    # --- consumers ---

    def routed(self, consumer: str, upstream: str, number: int, accepts: Confidence, trouble: tuple[int, bool] | None) -> Route:
        step = StepKey(self.run(), consumer)
        known = self.terms if upstream == "feed" else None
        self.store.fail(trouble)
        route = routing.route(self.gate, step, routing.Input(consumer, upstream, accepts, known), self.place(number))
        failed, kept = self.store.failed, self.steady.decided(step, upstream, self.place(number).key)
        self.store.fail(None)
        if failed and route != kept:
            admitted = known is not None and self.policy.admit_when_unavailable
            assert route.kind is (RouteKind.UNJUDGED if admitted else RouteKind.HALTED), "6: as declared"
            assert "out of reach" in route.reason, "6: says so"
            assert kept is None or self.store.last == "decide", "6: a decision that was taken stands"
            return route
        again = routing.route(self.gate, step, routing.Input(consumer, upstream, LOW, known), self.place(number))
        assert again == route, "one decision per step attempt"
        if upstream == "feed":
            self.read(route, accepts)
        else:
            made = self.truth.get((upstream, self.place(number).key), FULL)
            assert (route.confidence is None) >= (made is None), "8: what was halted is not read"
            assert route.confidence is None or made is None or route.confidence.rank <= made.rank, "8: confidence travels"
        assert route.confidence is None or route.confidence.satisfies(accepts)
        return route

    def read(self, route: Route, accepts: Confidence) -> None:
        """What a consumer finds where its route sends it."""
        snapshot = self.steady.load("feed", asset="feed", partition=route.requested)
        if route.kind is RouteKind.HALTED:
            refused = snapshot.refused
            passed = refused is not None and refused.outcome in (Outcome.PASS, Outcome.WARN) and not self.partitioned
            if self.still_good(snapshot, route.requested) is None and accepts is not FULL and not passed:
                assert "dagster-contracts baseline feed" in route.reason, "12"
                assert ("accept low" in route.reason) == (accepts is STALE), "12"
            assert route.reason
            return
        if route.kind is RouteKind.UNJUDGED:
            assert not snapshot.judged, "6: only what was never judged is unjudged"
            assert self.open_since is None, "2"
            return
        if route.batch_id is None:
            assert (route.kind, route.confidence, snapshot.judged) == (RouteKind.LOW_CONFIDENCE, LOW, False)
            return
        batch = self.steady.batch(route.batch_id)
        assert batch is not None
        assert route.served is not None
        assert route.confidence is not None
        assert route.confidence.satisfies(accepts), "8"
        key = route.served.key
        if route.staged is not None:
            assert route.confidence is LOW
            assert self.storage.beside[route.staged] == self.content[batch.id]
            return
        assert batch.status is Status.PUBLISHED
        assert key in self.storage.foreign or self.storage.live[key] == self.content[batch.id], "7: what is served is what it says"
        assert batch.outcome is not Outcome.FAIL or batch.released or batch.id in self.observed, "1"
        if self.open_since is not None and batch.released is None:
            assert self.let_in[batch.id] <= self.open_since, "2: what came after the trip is not read"
            assert batch.id not in self.tripping, "2: what tripped is not read"
        assert route.confidence is (STALE if route.kind is RouteKind.LAST_GOOD else batch.confidence), "8"
        assert self.partitioned or self.open_since is None or route.kind is not RouteKind.FRESH, "2: the live data is the last good"
        if route.kind is RouteKind.LAST_GOOD:
            good = self.still_good(snapshot, route.requested)
            assert good is not None
            assert batch.id == good.id, "7: the newest that is unchanged"
            assert route.served.end is None or route.requested.end is None or route.served.end < route.requested.end, "7: never a later one"

    def still_good(self, snapshot: Snapshot, requested: Partition) -> Batch | None:
        """The newest good batch that stands as it was written."""
        earlier = self.steady.good_before("feed", requested, 100) if self.partitioned else [snapshot.last_good]
        return next((batch for batch in earlier if batch is not None and self.storage.is_intact(batch)), None)

    @rule(number=DAYS, accepts=st.sampled_from(Confidence), trouble=TROUBLE)
    def consume(self, number: int, accepts: Confidence, trouble: tuple[int, bool] | None) -> None:
        route = self.routed("scores", "feed", number, accepts, trouble)
        self.made("scores", number, [route])

    @rule(number=DAYS, accepts=st.sampled_from(Confidence), both=st.booleans())
    def report(self, number: int, accepts: Confidence, both: bool) -> None:
        upstreams = ["scores", "feed"] if both else ["scores"]
        self.made("report", number, [self.routed("report", upstream, number, accepts, None) for upstream in upstreams])

    @rule()
    def heal(self) -> None:
        for due in recovery.due_healings(self.gate):
            number = int(due.output.partition.key[-2:]) if due.output.partition.key else 1
            routes = [self.routed(due.output.asset, item.upstream, number, FULL, None) for item in due.output.inputs]
            assert all(route.confidence is FULL for route in routes), "healing reads whole data"
            self.made(due.output.asset, number, routes)
            assert self.truth[due.output.asset, self.place(number).key] is FULL

    def made(self, asset: str, number: int, routes: list[Route]) -> None:
        output = self.gate.record_output(asset, self.place(number), self.run(), routes)
        given = [route.confidence for route in routes]
        told = None if None in given else least(each for each in given if each is not None)
        assert output.confidence is told, "8: at most as confident as the least"
        assert (output.status is OutputStatus.OK) == (told is FULL)
        self.truth[asset, output.partition.key] = told

    # --- the relay ---

    @rule(limit=st.sampled_from([1, 3, 500]), dies=st.sampled_from([False, False, True]))
    def relay(self, limit: int, dies: bool) -> None:
        relay = Relay(self.steady, [self.sink], limit=limit)
        if not dies:
            relay.tick()
            return
        self.steady.register([self.sink.name])
        self.sink.deliver(self.steady.claim(self.sink.name, holder="dies", lease=LEASE, limit=limit))

    # --- always ---

    @invariant()
    def events_are_whole(self) -> None:
        if getattr(self, "breaker", None) is None:
            return
        assert self.breaker is not None
        recorded = self.steady.events("feed", limit=10_000)
        first: dict[int, Event] = {}
        for event in self.sink.received:
            assert first.setdefault(event.sequence, event) == event, "4: the same on redelivery"
        assert list(first) == list(range(1, len(first) + 1)), "4: the sink receives in order"
        assert [event.sequence for event in recorded] == list(range(1, self.breaker.event_sequence + 1)), "4: no gap"
        assert list(first.values()) == recorded[: len(first)], "4: as recorded"
        assert all(sink.events >= len(recorded) - len(first) for sink in self.steady.waiting()), "4: nothing is passed over"
        assert len(self.told) == self.breaker.event_sequence, "4: each once"

    @invariant()
    def transitions_are_a_chain(self) -> None:
        if getattr(self, "breaker", None) is None:
            return
        assert self.breaker is not None
        found = list(reversed(self.steady.transitions("feed", 10_000)))
        assert found == self.recorded, "4: recorded once"
        state, generation = State.CLOSED, 0
        for made in found:
            assert (made.from_state, made.generation > generation) == (state, True)
            state, generation = made.to_state, made.generation
        assert self.breaker.state is state
        names = [entry.batch_id for entry in self.breaker.window]
        assert len(names) == len(set(names)), "9: counts once"
        assert not set(self.breaker.passed) - set(self.breaker.probed), "9: a probe once"

    @invariant()
    def last_good_is_good(self) -> None:
        if getattr(self, "breaker", None) is None:
            return
        for number in (5,) if self.partitioned else (1,):
            good = self.steady.load("feed", asset="feed", partition=self.place(number)).last_good
            if good is None or not self.storage.is_intact(good):
                continue
            assert good.status is Status.PUBLISHED, "7"
            assert good.outcome in (Outcome.PASS, Outcome.WARN), "7"
            assert (good.confidence, good.released) == (FULL, None), "7"
            key = good.partition.key
            assert key in self.storage.foreign or self.storage.live[key] == self.content[good.id], "7: present and unchanged"

    @invariant()
    def whoever_reads_now_reads_what_is_said(self) -> None:
        if getattr(self, "breaker", None) is not None:
            for number in (1, 2, 3) if self.partitioned else (1,):
                given = routing.Input("anybody", "feed", FULL, None)
                self.read(routing.considered(self.gate, given, self.place(number)).route, FULL)

    # --- the ways out ---

    def teardown(self) -> None:
        if getattr(self, "breaker", None) is None:
            return
        if isinstance(self.steady, MemoryStore):
            for way in (self.by_reset, self.by_deliveries, self.by_probes):
                clock = FixedClock(self.clock.at)
                way(Gate(copied(self.steady, clock), Counts()), clock)
        else:
            self.by_reset(Gate(self.steady, Counts()), self.clock)

    def fresh_delivery(self, gate: Gate, number: int) -> Judgement:
        partition = daily(20 + number) if self.partitioned else UNPARTITIONED
        judgement = gate.judge(self.terms, Delivery(partition, f"last {number}", f"last {number}"), {"rows": 1000 + number})
        if judgement.publish:
            gate.published(judgement.batch, None)
        else:
            gate.staged(judgement.batch, f"last {number}")
        return judgement

    def assert_served(self, gate: Gate, number: int) -> None:
        place = daily(20 + number) if self.partitioned else UNPARTITIONED
        route = routing.route(gate, StepKey("last", "scores"), routing.Input("scores", "feed", FULL, self.terms), place)
        assert (route.kind, route.confidence) == (RouteKind.FRESH, FULL), f"13: {route}"

    def by_reset(self, gate: Gate, clock: FixedClock) -> None:
        recovery.reset(gate, "feed", actor="ann", reason="enough")
        assert self.fresh_delivery(gate, 0).publish, "13"
        self.assert_served(gate, 0)

    def held_for_good(self) -> bool:
        """A person has said so without an end: then only a person ends it, by `reset`."""
        word = self.breaker.override if self.breaker else None
        return word is not None and word.expires_at is None

    def by_deliveries(self, gate: Gate, clock: FixedClock) -> None:
        if self.held_for_good():
            return
        for number in range(self.policy.probes):
            clock.at = max(clock.at, self.next_way(gate, clock) or clock.at)
            last = self.fresh_delivery(gate, number)
        assert last.breaker.state is State.CLOSED, "13: as many good deliveries as probes close"
        assert last.publish
        self.assert_served(gate, self.policy.probes - 1)

    def next_way(self, gate: Gate, clock: FixedClock) -> datetime | None:
        (breaker,) = gate.store.breakers()
        end = breaker.override.expires_at if breaker.override else None
        return max(filter(None, [next_probe_at(breaker, clock.at), end]), default=None)

    def by_probes(self, gate: Gate, clock: FixedClock) -> None:
        """Good batches that came too early are probed once that is due, and released after it."""
        (breaker,) = gate.store.breakers()
        due_at = next_probe_at(breaker, clock.at)
        forced_or_due = breaker.override is not None or breaker.contract_version != self.terms.version
        if forced_or_due or breaker.state is State.CLOSED or due_at is None or due_at <= clock.at:
            return
        for number in range(self.policy.probes if self.partitioned else 1):
            assert self.fresh_delivery(gate, number).batch.status is Status.HELD
        clock.at = due_at
        for _ in range(self.policy.probes if self.partitioned else 1):
            assert recovery.due_probes(gate, {"feed": self.terms}), "13: a probe is due"
            claimed = probing.claim(gate, self.terms, "feed", holder="last")
            assert isinstance(claimed, Probe), f"13: {claimed}"
            settled = probing.settle(gate, self.terms, claimed, {"rows": 1000})
            if settled.breaker.state is State.CLOSED:  # earlier passes count
                break
            clock.at = max(clock.at, next_probe_at(settled.breaker, clock.at) or clock.at)
        if self.partitioned or self.policy.probes == 1:
            assert settled.breaker.state is State.CLOSED, "13: good probes close"
            newest = recovery.due_releases(gate)[-1].batch
            going = stored.publishing(gate, newest, "last")
            gate.published(going.batch, None)
            self.assert_served(gate, self.policy.probes - 1)


def judged_good(version: int, data: Data) -> bool:
    """Whether a delivery is a PASS or WARN under a contract version, in our own words."""
    if "rows" not in data:
        return False
    kind = ("normal", "strict", "lax")[version % 3]
    return not (data.get("outside") and kind != "lax") and not (data["rows"] < 10 and kind == "strict")


class EverythingInSql(Everything):
    """The same on a real database."""

    def open_store(self) -> Store:
        self.folder = tempfile.TemporaryDirectory()
        return SqlStore(f"sqlite:///{self.folder.name}/store.db", clock=self.clock)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


SLOW = [HealthCheck.too_slow]
# The same stories each time: what a change breaks is seen, and nobody else's run fails for a story that was never told before.
# With derandomize=False each run tells others.
Everything.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, suppress_health_check=SLOW, report_multiple_bugs=False, derandomize=True
)
EverythingInSql.TestCase.settings = settings(max_examples=6, stateful_step_count=30, suppress_health_check=SLOW, derandomize=True)
TestEverything = Everything.TestCase
TestEverythingInSql = EverythingInSql.TestCase


# --- what is too rare for chance: each was a hole once ---------------------------------------------------------------

FEW, BAD = content("few", 1), content("bad", 1)


def governed(version: int) -> World:
    world = World()
    world.terms = terms(POLICY, version)
    return world


def row_of(world: World, batch: Batch) -> Batch:
    found = world.store.batch(batch.id)
    assert found is not None
    return found


def test_1_a_batch_that_failed_while_it_was_written_is_not_published_by_the_report_of_that() -> None:
    world = governed(0)
    going = world.judge(daily(1), FEW, data_version="v1").batch
    world.terms = terms(POLICY, 1)
    assert world.judge(daily(1), FEW, data_version="v1").batch.status is Status.QUARANTINED
    world.gate.published(going, None)
    assert row_of(world, going).status is Status.QUARANTINED


def test_1_what_a_person_discarded_is_not_let_in_by_the_release_before() -> None:
    world = governed(0)
    bad = world.deliver(1, BAD).batch
    recovery.release(world.gate, bad, actor="ann", reason="known")
    recovery.discard(world.gate, bad, actor="bob", reason="useless after all")
    assert world.deliver(1, BAD).batch.status is Status.QUARANTINED


def test_2_what_observe_only_let_in_is_taken_back_when_it_trips_later() -> None:
    world = governed(0)
    world.deliver(4, content("good", 1), day(4, 6))
    recovery.override(world.gate, "feed", OverrideKind.OBSERVE_ONLY, actor="ann", reason="why", expires_at=day(7))
    for number in (5, 6):  # the second is not counted: the breaker is open already, in the shadow
        assert world.deliver(number, BAD, day(number, 6)).publish
    assert world.deliver(6, BAD, day(7, 6)).breaker.state is State.OPEN
    assert world.route("scores", 6, FULL).kind is RouteKind.HALTED


def test_7_a_delivery_refused_after_it_was_let_in_leaves_nothing_served_that_it_may_have_overwritten() -> None:
    world = governed(0)
    world.deliver(1, content("good", 1))
    world.judge(daily(1), content("good", 2))  # and its writer dies, before or after the write
    world.deliver(2, BAD)
    assert world.deliver(1, content("good", 2)).batch.status is Status.HELD
    assert world.route("scores", 1, FULL).kind is RouteKind.HALTED
    assert world.route("scores", 2, STALE).kind is RouteKind.HALTED


def test_7_an_older_batch_is_not_published_over_a_newer_one_that_is_being_written() -> None:
    world = governed(0)
    world.deliver(1, BAD)
    held = world.deliver(2, content("good", 1)).batch
    recovery.reset(world.gate, "feed", actor="ann", reason="fixed")
    newer = world.judge(daily(2), content("good", 2)).batch
    with pytest.raises(UsageError, match="which is being written; run `dagster-contracts reconcile` first"):
        stored.publishing(world.gate, held, "release run")
    stored.settle_publishing(world.gate, world.terms, newer, None)
    assert stored.publishing(world.gate, held, "release run").publish


def test_13_a_release_run_that_could_not_write_may_try_again() -> None:
    world = governed(0)
    world.deliver(1, BAD)
    held = world.deliver(2, content("good", 1)).batch
    recovery.reset(world.gate, "feed", actor="ann", reason="fixed")
    for _ in ("the disk is full", "retried"):
        assert stored.publishing(world.gate, held, "release run").publish
    with pytest.raises(UsageError, match="is publishing"):
        stored.publishing(world.gate, held, "another run")


def test_7_what_was_overwritten_past_us_is_not_last_good() -> None:
    world = governed(0)
    world.deliver(1, content("good", 1))
    world.deliver(2, BAD)
    assert world.route("scores", 2, STALE).kind is RouteKind.LAST_GOOD
    world.gate = Gate(world.store, Counts(), is_intact=lambda batch: False)
    route = world.route("scores", 2, STALE)
    assert (route.kind, "dagster-contracts baseline feed" in route.reason) == (RouteKind.HALTED, True)


def test_7_reconcile_does_not_undo_a_confirmation_that_came_meanwhile() -> None:
    world = governed(0)
    going = world.judge(daily(1), content("good", 1)).batch
    world.gate.published(going, None)
    assert stored.settle_publishing(world.gate, world.terms, going, None).status is Status.PUBLISHED


def test_7_reconcile_does_not_guess_across_contract_versions() -> None:
    world = governed(0)
    world.deliver(1, content("good", 1))
    written = content("good", 2)
    going = world.judge(daily(1), written).batch
    world.terms = terms(POLICY, 1)
    assert stored.settle_publishing(world.gate, world.terms, going, written).status is Status.PUBLISHING
    assert world.route("scores", 1, FULL).kind is RouteKind.HALTED
    stored.baseline(world.gate, world.terms, Delivery(daily(1), "b", "b"), written)
    assert world.route("scores", 1, FULL).kind is RouteKind.FRESH
    assert stored.settle_publishing(world.gate, world.terms, going, None).status is Status.DISCARDED


@pytest.mark.parametrize("reason", ["made from low input", "released"])
@pytest.mark.parametrize("version_named", [None, "v1"])
def test_7_8_a_baseline_forgets_neither_confidence_nor_release(reason: str, version_named: str | None) -> None:
    world = governed(0)
    if reason == "released":
        released = recovery.release(world.gate, world.deliver(1, BAD, data_version=version_named).batch, actor="ann", reason="why")
        world.publish(released)
    else:
        world.deliver(1, BAD if reason == "released" else content("good", 1), confidence=LOW, data_version=version_named)
    world.terms = terms(POLICY, 2)
    stored.baseline(world.gate, world.terms, Delivery(daily(1), "b", "b"), world.live[daily(1).key])
    assert world.status(1)[0] == ("published", "pass")
    assert world.store.load("feed", asset="feed", partition=daily(2)).last_good is None


def test_7_a_baseline_of_what_was_put_back_by_hand_is_what_stands_there() -> None:
    world = governed(0)
    first = world.deliver(1, content("good", 1)).batch
    world.deliver(1, content("good", 2))
    stored.baseline(world.gate, world.terms, Delivery(daily(1), "b", "b"), content("good", 1))
    assert world.route("scores", 1, FULL).batch_id == first.id


# --- 10: every rule is executed, or listed -------------------------------------------------------------------------


@given(st.lists(properties, max_size=4), st.lists(qualities, max_size=3), st.lists(levels, max_size=2), st.data())
def test_10_every_rule_is_executed_or_listed_with_the_reason(
    columns: list[Property], quality: list[QualityRule], sla: list[Any], data: st.DataObject
) -> None:
    """That no promise is missing in the plan is test_compile.py's; here none is lost between plan and verdict, whatever was measured."""
    feed = SchemaObject("feed", properties=tuple(columns), quality=tuple(quality))
    plan = compile_plan(contract(feed, levels=tuple(sla)), feed)
    names = sorted({name for metric in plan.metrics for name in getattr(metric, "columns", ())})
    there = data.draw(st.sets(st.sampled_from(names))) if names else set()
    # Engines answer a count with a count and the newest with an instant, or say that they could not.
    counts, instants = st.builds(Count, st.integers(0, 10)), st.builds(Instant, st.none() | st.just(day(1)))
    failure = st.just(Unmeasured("a type without order"))
    values = {
        metric: data.draw((instants if isinstance(metric, Newest) else counts) | failure)
        for metric in plan.metrics
        if set(getattr(metric, "columns", ())) <= there
    }
    found = Measurement(data.draw(st.integers(0, 10)), tuple(Column(name, "String") for name in sorted(there)), values)
    for measurement in (found, Unmeasured("the file is truncated")):
        verdict = judge(plan, measurement, {}, as_of=day(2), head=data.draw(st.booleans()))
        told = [finding.rule for finding in verdict.findings] + [entry.rule for entry in verdict.not_executed]
        assert sorted(told) == sorted([made.id for made in plan.rules] + [entry.rule for entry in plan.not_executed])
        assert all(entry.reason for entry in verdict.not_executed)


# --- 11: reading never writes --------------------------------------------------------------------------------------


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_11_constructing_and_reading_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the stores alone: store/test_unreachable.py and store/test_upgrade.py. Here: all that a code location does as it loads."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    feed = SchemaObject("feed", properties=(Property("risk"),))

    @dg.asset
    def feed_asset() -> int:
        return 1

    @dg.asset
    def scores(feed_asset: int) -> int:
        return feed_asset

    url = f"sqlite:///{tmp_path}/store.db"
    before = _files(tmp_path)
    spoken = contract(replace(feed, asset="feed_asset"))
    defs = with_contracts(dg.Definitions(assets=[feed_asset, scores]), [spoken], breakers=BreakerResource(url=url))
    dg.Definitions.validate_loadable(defs)
    store = SqlStore(url)
    gate = Gate(store, Counts())
    assert store.breakers() == []
    assert routing.considered(gate, routing.Input("scores", "feed_asset", FULL, None), daily(1)).route.kind is RouteKind.FRESH
    assert recovery.due_probes(gate, {}) == recovery.due_releases(gate) == recovery.due_healings(gate) == []
    assert _files(tmp_path) == before


@given(st.lists(st.tuples(DAYS, st.sampled_from(KINDS), SIZES), max_size=6), DAYS)
def test_11_questions_leave_a_store_as_it_was(deliveries: list[tuple[int, str, int]], number: int) -> None:
    store = MemoryStore(clock=FixedClock(day(5)))
    gate, bound = Gate(store, Counts()), terms(BreakerPolicy(), 0)
    for place, kind, size in deliveries:
        gate.judge(bound, Delivery(daily(place), "run", "run"), content(kind, size))
    before = {name: value.copy() for name, value in vars(store).items() if isinstance(value, dict | list | set)}
    routing.considered(gate, routing.Input("scores", "feed", FULL, None), daily(number))
    recovery.due_probes(gate, {"feed": terms(BreakerPolicy(), 1)})
    recovery.due_releases(gate)
    recovery.due_healings(gate)
    store.load("feed", asset="feed", partition=daily(number))
    assert {name: value for name, value in vars(store).items() if name in before} == before
