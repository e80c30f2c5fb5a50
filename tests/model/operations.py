"""What workers, people and time do: the programs whose store calls are interleaved. Each is what the plugin does, in that order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from dagster_contracts import probing, recovery, routing, stored
from dagster_contracts.core import breaker as machine
from dagster_contracts.core.breaker import Missed, Refused
from dagster_contracts.core.contract import Confidence, Severity
from dagster_contracts.core.events import Event
from dagster_contracts.core.ledger import UNPARTITIONED, Batch, Partition, Status, StepKey
from dagster_contracts.core.snapshot import Change, Snapshot
from dagster_contracts.core.state import OverrideKind, Step
from dagster_contracts.judgement import Delivery, Probe, change_of
from dagster_contracts.relay import Relay
from tests.gate_world import daily
from tests.invariant_model import Data, content
from tests.model.durable import Durable
from tests.model.replay import Bench, Doing, Operation, names_given

FULL = Confidence.FULL


def data(kind: str) -> Data:
    """`good`, `good again`, `bad`, `unreadable`: the first word says how it is judged, the whole is its data version."""
    word, _, other = kind.partition(" ")
    return content(word, 2 if other else 1)


def place(number: int | None, vendor: str | None = None) -> Partition:
    if number is None:
        return UNPARTITIONED
    part = daily(number)
    return part if vendor is None else replace(part, key=f"{part.key}|{vendor}", dimensions=(("vendor", vendor),))


def deliver(
    number: int | None, kind: str, *, confidence: Confidence = FULL, version: int = 0, vendor: str | None = None, times: int = 1
) -> Operation:
    """A run of the feed: judged, then written to the live place or beside it, then confirmed."""
    where = place(number, vendor)

    def judge(at: Bench, _: object) -> Batch:
        delivery = Delivery(where, at.name, f"root {kind}", kind, confidence)
        at.doing = Doing("judge", kind.partition(" ")[0])
        return at.gate.judge(at.terms(version), delivery, data(kind)).batch

    extra = "" if confidence is FULL else f" made from {confidence} input"
    of = "" if not version else f" under contract {version + 1}"
    return Operation(f"deliver {where} {kind}{extra}{of}", (judge, put, confirm), times, (where.key, kind))


def put(at: Bench, batch: Batch) -> Batch:
    """Beside the live place each batch has its own, so that nobody sees what is written there before its row says so."""
    at.doing = Doing("write")
    if batch.status is Status.PUBLISHING:
        at.store.write(batch.partition.key, batch.data_version)
    return batch


def confirm(at: Bench, batch: Batch) -> None:
    at.doing = Doing("confirm", batch=batch.id)
    if batch.status is Status.PUBLISHING:
        at.gate.published(batch, None)
    else:
        at.gate.staged(batch, batch.id)


def probe(*, version: int = 0, times: int = 1, vendor: str | None = None) -> Operation:
    """A probe run: claim, read what was set aside, settle."""
    key = "feed" if vendor is None else f"feed[vendor={vendor}]"

    def claim(at: Bench, _: object) -> Probe | None:
        at.doing = Doing("claim")
        claimed = probing.claim(at.gate, at.terms(version), key, holder=at.name)
        return claimed if isinstance(claimed, Probe) else None

    def settle(at: Bench, claimed: Probe) -> None:
        kind = claimed.batch.data_version
        at.doing = Doing("settle", kind.partition(" ")[0], claimed.lease_id, claimed.batch.id)
        probing.settle(at.gate, at.terms(version), claimed, data(kind))

    label = f"probe{f' of {vendor}' if vendor else ''}{f' under contract {version + 1}' if version else ''}"
    return Operation(label, (claim, settle), times)


def publish_due(*, version: int = 0, times: int = 1) -> Operation:
    """A release run of the sensor: the oldest stored batch that may go to the live place now does."""

    def look(at: Bench, _: object) -> Batch | None:
        at.doing = Doing("look for releases")
        return next((due.batch for due in recovery.due_releases(at.gate)), None)

    def judge(at: Bench, batch: Batch) -> Batch:
        at.doing = Doing("judge again")
        if batch.contract_version == at.terms(version).version or batch.released is not None:
            return batch
        again = data(batch.data_version)
        return stored.rejudge(at.gate, at.terms(version), batch, again, actor="release run", reason="contract").batch

    def begin(at: Bench, batch: Batch) -> Batch:
        at.doing = Doing("begin to publish")
        return stored.publishing(at.gate, batch, at.name).batch

    return Operation("publish what is due", (look, judge, begin, put, confirm), times, writes=(None, "release"))


def on_refused(word: str, number: int | None, decide: Callable[[Bench, Batch], object]) -> Operation:
    """A person decides on the newest refused batch of a partition."""

    def look(at: Bench, _: object) -> Batch | None:
        at.doing = Doing("look")
        found = at.store.batches(asset="feed", partition=place(number).key, statuses=(Status.HELD, Status.QUARANTINED))
        return next(iter(found), None)

    def say(at: Bench, batch: Batch) -> None:
        at.doing = Doing(word)
        decide(at, batch)

    return Operation(f"ann: {word} {place(number)}", (look, say))


def release(number: int | None) -> Operation:
    return on_refused("release", number, lambda at, batch: recovery.release(at.gate, batch, actor="ann", reason="why"))


def rejudge(number: int | None, *, version: int) -> Operation:
    def again(at: Bench, batch: Batch) -> object:
        return stored.rejudge(at.gate, at.terms(version), batch, data(batch.data_version), actor="ann", reason="why")

    return on_refused("rejudge", number, again)


def discard(number: int | None) -> Operation:
    return on_refused("discard", number, lambda at, batch: recovery.discard(at.gate, batch, actor="ann", reason="why"))


def reconcile(*, version: int = 0) -> Operation:
    """Settles what writers that died have left. A person runs it while nothing is being written: alone."""

    def run(at: Bench, _: object) -> None:
        at.doing = Doing("reconcile")
        for batch in at.store.batches(asset="feed", statuses=(Status.PUBLISHING,)):
            kind = at.store.standing(batch.partition.key)
            stored.settle_publishing(at.gate, at.terms(version), batch, data(kind) if kind else None)

    return Operation("reconcile", (run,), alone=True)


def override(kind: OverrideKind, *, lasts: timedelta | None = None) -> Operation:
    def run(at: Bench, _: object) -> None:
        at.doing = Doing("override")
        end = at.store.now() + lasts if lasts else None
        recovery.override(at.gate, "feed", kind, actor="ann", reason="why", expires_at=end)

    return Operation(f"ann: {kind}{'' if lasts is None else f' for {lasts}'}", (run,))


def reset() -> Operation:
    def run(at: Bench, _: object) -> None:
        at.doing = Doing("reset")
        recovery.reset(at.gate, "feed", actor="ann", reason="why")

    return Operation("ann: reset", (run,))


def miss(due: datetime, *, times: int = 1) -> Operation:
    """The sensor finds that a delivery is missing whose service level is critical."""

    def run(at: Bench, _: object) -> None:
        at.doing = Doing("miss")
        executed = at.terms(0).plan.rules[0].id  # as that of a cadence is by whatever arrives later: it can prove itself kept
        late = Missed(executed, Severity.CRITICAL, due, due, "a delivery is missing")

        def decide(snapshot: Snapshot) -> tuple[Change, None]:
            if snapshot.breaker is None:
                return Change(), None
            adopted = machine.adopt(snapshot.breaker, at.terms(0).version, at.terms(0).policy, snapshot.now)
            step = machine.miss(adopted.breaker, late, snapshot.now)
            if isinstance(step, Refused):
                return Change(), None
            return change_of(Step(step.breaker, adopted.transitions + step.transitions), snapshot.now), None

        at.gate.transact("feed", "feed", Partition(), None, decide)

    return Operation("a delivery is missed", (run,), times)


def consume(number: int | None, accepts: Confidence, *, times: int = 1) -> Operation:
    """A step of a consumer is routed."""

    def run(at: Bench, _: object) -> None:
        at.doing = Doing("route")
        step = StepKey(at.name, "scores")
        routing.route(at.gate, step, routing.Input("scores", "feed", accepts, at.terms(0)), place(number))

    return Operation(f"scores reads {place(number)}, accepts {accepts}", (run,), times)


@dataclass(frozen=True)
class Sink:
    """What is delivered to it stays in the sink, whoever dies."""

    store: Any
    name: str = "sink"

    def deliver(self, events: Sequence[Event]) -> None:
        self.store.tell(tuple(events))


def relay(*, times: int = 1, limit: int = 2) -> Operation:
    """A tick of a relay: cursors claimed, events told, cursors moved. A crash in between tells again."""

    def run(at: Bench, _: object) -> None:
        at.doing = Doing("tick")
        Relay(at.store, [Sink(at.store)], limit=limit).tick()

    return Operation("relay", (run,), times)


def run_alone(operation: Operation, store: Durable, bench: Bench) -> None:
    """From beginning to end, nobody else at work."""
    bench.gate.store, bench.store = store, store  # type: ignore[assignment]
    carried: Any = None
    with names_given(f"lease of {bench.name}"):
        for stage in operation.stages:
            if (carried := stage(bench, carried)) is None:
                return
