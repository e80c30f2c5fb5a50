"""Verdicts of several micro-batches in one transaction: the same as one by one, and what comes after an open breaker waits for its own."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.contract import BreakerPolicy, Clause, Fallback, ServiceLevel, Severity, Window
from dagster_contracts.core.errors import StoreError, StoreUnavailable
from dagster_contracts.core.ledger import Status
from dagster_contracts.core.snapshot import Change, Snapshot
from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import Finding, Outcome
from dagster_contracts.store.memory import MemoryStore
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.streaming import Action, StreamVerdict, kafka
from dagster_contracts.streaming.gate import MicroFrame
from tests.streaming.lab import Cluster, contract, headers, values
from tests.streaming.test_gate import BAD, MINUTE, START, World, frame
from tests.streaming.test_kafka import Lab, order

KINDS = (frame(), BAD, frame(6), frame().drop("customer"), frame().with_columns(more=1))
TOLERANT = BreakerPolicy(trip_on=frozenset(), failures=3, window=Window(batches=4))
SLOW = 10.0  # seconds: however slow the machine is, micro-batches are cut by their size alone


def together(world: World, frames: Sequence[pl.DataFrame], names: str = "123456789") -> list[StreamVerdict]:
    given = [MicroFrame(name, each) for name, each in zip(names, frames, strict=False)]
    return world.gate.judge_new(given, asset="orders", unless=lambda snapshot: None)


def told(world: World) -> object:
    """All that a store holds, but for how often the breaker was written."""
    parts = world.store.parts("orders", START + 9 * MINUTE)
    breaker = replace(world.breaker, version=0)
    return world.store.batches(), breaker, world.store.events(), world.store.transitions("orders"), parts


@given(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=6), st.sampled_from([BreakerPolicy(), TOLERANT]), st.sampled_from([None, "PT5M"])
)
def test_they_are_what_they_would_be_one_by_one(frames: list[pl.DataFrame], policy: BreakerPolicy, window: str | None):
    one, several = (World(terms=contract(policy), window=window) for _ in range(2))
    verdicts = together(several, frames)
    alone = [one.judge(str(place + 1), each) for place, each in enumerate(frames[: len(verdicts)])]
    assert [each.action for each in verdicts] == [each.action for each in alone]
    assert told(several) == told(one)
    assert len(verdicts) == len(frames) or several.breaker.state is State.OPEN


def test_the_verdict_on_those_that_measure_alike_is_made_once():
    found = Finding("decodable", Clause.SCHEMA, None, Severity.WARNING, Outcome.WARN, "1 of 6", "0", 1)
    given = [frame(), frame(), frame(6), frame(6), frame(6)]
    names = [MicroFrame(str(place), each, (found,) if place == 4 else ()) for place, each in enumerate(given)]
    several = World().gate.judge_new(names, asset="orders", unless=lambda snapshot: None)
    one, same, larger, as_large, warned = (each.judgement.verdict for each in several)
    assert (one is same, larger is as_large) == (True, True)
    assert [each.rows for each in (one, larger, warned)] == [5, 6, 6]
    assert [each.outcome for each in (larger, warned)] == [Outcome.PASS, Outcome.WARN]


def test_one_transaction_holds_them_all(tmp_path: Path):
    world = World(SqlStore(f"sqlite:///{tmp_path}/c.db"), window="PT5M")
    together(world, [frame()] * 4)
    assert (world.breaker.version, world.rows(Status.PUBLISHING)) == (1, ["1", "2", "3", "4"])


@pytest.mark.parametrize("fallback", list(Fallback))
def test_what_comes_after_the_one_that_opens_has_no_verdict_yet(fallback: Fallback):
    world = World(terms=contract(BreakerPolicy(fallback=fallback)))
    verdicts = together(world, [frame(), frame(), BAD, frame(), BAD])
    assert [each.action for each in verdicts] == [Action.FORWARD, Action.FORWARD, Action.DEAD_LETTER]
    assert (world.breaker.state, len(world.store.batches())) == (State.OPEN, 3)
    (held,) = together(world, [frame(), frame()], "45")
    assert held.action is {Fallback.HALT: Action.HALT, Fallback.LAST_GOOD: Action.HOLD, Fallback.LOW_CONFIDENCE: Action.DIVERT}[fallback]


def test_one_that_cannot_be_measured_ends_them():
    verdicts = together(world := World(), [frame(), object(), frame()])  # type: ignore[list-item]
    assert [each.action for each in verdicts] == [Action.FORWARD, Action.DIVERT]
    assert world.breaker.state is State.CLOSED


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_lost_race_is_decided_anew_for_all_of_them(tmp_path: Path, kind: str):
    other, races = World(terms=contract(TOLERANT)), [0]

    def meddling(store: type) -> type:
        class Meddled(store):  # type: ignore[misc]
            def save(self, change: Change) -> None:
                races[0] += 1
                if races[0] == 1:
                    other.judge("first", BAD)
                super().save(change)

        return Meddled

    world = World(
        meddling(MemoryStore)() if kind == "memory" else meddling(SqlStore)(f"sqlite:///{tmp_path}/c.db"), terms=contract(TOLERANT)
    )
    other.store = world.store
    other.restart()
    assert [each.action for each in together(world, [frame(), BAD, frame()])] == [Action.FORWARD, Action.DEAD_LETTER, Action.FORWARD]
    assert [entry.batch_id for entry in world.breaker.window] == [f"orders|{name}|stream" for name in ("first", "1", "2", "3")]
    assert [entry.failed for entry in world.breaker.window] == [True, False, True, False]


def test_where_rules_ask_when_the_one_before_came_each_is_alone():
    promise = ServiceLevel("frequency", 1, unit="h", tolerance="PT5M")
    assert len(together(World(terms=replace(contract(), service_levels=(promise,))), [frame()] * 2)) == 1


@pytest.mark.parametrize("admits", [True, False])
def test_without_the_store_the_contract_decides_for_as_many_as_pass(admits: bool):
    class Gone(MemoryStore):
        def load(self, *given: object, **named: object) -> Snapshot:
            raise StoreUnavailable("gone")

    world = World(Gone(), terms=contract(BreakerPolicy(admit_when_unavailable=admits)))
    if not admits:
        with pytest.raises(StoreUnavailable):
            together(world, [frame(), frame()])
        return
    assert [each.action for each in together(world, [frame(), frame(), BAD, frame()])] == [Action.FORWARD] * 2
    with pytest.raises(StoreUnavailable):
        together(world, [BAD, frame()])


# --- in a consumer -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when_open", "good", "parked"), [("divert", ["o0", "o1", "o2", "o3"], ["o6", "o7"]), ("hold", ["o0", "o1", "o2", "o3"], [])]
)
def test_a_breaker_that_opens_in_the_middle_of_what_one_poll_brought(cluster: Cluster, when_open: str, good: list[str], parked: list[str]):
    lab = Lab(cluster, size=2, when_open=when_open, wait=SLOW)
    cluster.send(lab.topics.source, [order(n, "XXX" if n == 5 else "EUR") for n in range(8)])
    lab.until(dead_letters=2, **({"diverted": 2} if parked else {}))
    lab.stream.step()
    assert [event["order_id"] for event in values(lab.good())] == ["o0", "o1", "o2", "o3"]
    assert [event["order_id"] for event in values(lab.dead())] == ["o4", "o5"]
    assert [event["order_id"] for event in values(cluster.read(lab.topics.parked))] == parked
    assert {headers(message)["contracts-rules"] for message in lab.dead()} == {"currency.enum"}
    assert cluster.committed(lab.topics.source, "g") == (8 if parked else 6)
    lab.stream.close()


@pytest.mark.parametrize("most", [1, 8])
def test_another_consumer_that_has_judged_among_them_is_seen(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, most: int):
    monkeypatch.setattr(kafka, "_TOGETHER", most)
    lab = Lab(cluster, size=2, wait=SLOW)
    cluster.send(lab.topics.source, [order(n) for n in range(8)])
    judge, names = lab.stream.gate.judge_new, []

    def second(given: Sequence[MicroFrame], **named: object) -> list[StreamVerdict]:
        names.append([each.name.rpartition("/")[2] for each in given])
        if len(names) == 1:  # a consumer that was thought dead: it has cut otherwise
            world = World(lab.store, terms=contract())
            world.judge(f"{lab.topics.source}/0/{3:015}-{5:015}", frame(3))
        return judge(given, **named)

    lab.stream.gate.judge_new = second
    lab.until(forwarded=8)
    spans = sorted(str(row.partition).rpartition("/")[2] for row in lab.store.batches())
    assert [(int(span[:15]), int(span[16:])) for span in spans] == [(0, 1), (2, 2), (3, 5), (6, 7)]
    lab.stream.close()


def test_the_collector_rests_while_messages_are_handled_and_not_while_they_are_waited_for(cluster: Cluster):
    lab = Lab(cluster, size=2)
    cluster.send(lab.topics.source, [order(n) for n in range(2)])
    poll, enabled = lab.stream._poll, {"polled": set[bool](), "judged": set[bool]()}

    def polled() -> bool:
        enabled["polled"].add(gc.isenabled())
        return poll()

    def judged(given: Sequence[MicroFrame], **named: object) -> list[StreamVerdict]:
        enabled["judged"].add(gc.isenabled())
        raise StoreError("a person must mend it")

    lab.stream._poll, lab.stream.gate.judge_new = polled, judged
    with pytest.raises(StoreError):
        lab.until(forwarded=2)
    assert (enabled, gc.isenabled()) == ({"polled": {True}, "judged": {False}}, True)
    lab.stream.close()


def test_an_error_that_a_person_must_mend_loses_nothing_of_what_was_read(cluster: Cluster):
    lab = Lab(cluster, size=2)
    cluster.send(lab.topics.source, [order(n) for n in range(6)])
    judge, failed = lab.stream.gate.judge_new, []

    def judged(given: Sequence[MicroFrame], **named: object) -> list[StreamVerdict]:
        if not failed:
            failed.append(given)
            raise StoreError("a person must mend it")
        return judge(given, **named)

    lab.stream.gate.judge_new = judged
    with pytest.raises(StoreError):
        lab.until(forwarded=6)
    lab.until(forwarded=6)
    assert [event["order_id"] for event in values(lab.good())] == [f"o{n}" for n in range(6)]
    lab.stream.close()


def test_reading_leaves_the_collector_as_it_was(cluster: Cluster):
    lab = Lab(cluster, size=2)
    cluster.send(lab.topics.source, [order(n) for n in range(6)])
    gc.disable()
    try:
        lab.until(forwarded=2)
        kept = gc.isenabled()
    finally:
        gc.enable()
    lab.until(forwarded=6)
    assert (kept, gc.isenabled()) == (False, True)
    lab.stream.close()


def test_where_more_waits_what_was_sent_is_committed_once_the_next_is_judged(cluster: Cluster):
    lab = Lab(cluster, size=2)
    cluster.send(lab.topics.source, [order(n) for n in range(6)])
    polled, judge, seen = lab.stream._poll, lab.stream.gate.judge_new, []

    def judged(given: Sequence[MicroFrame], **named: object) -> list[StreamVerdict]:
        found = judge(given, **named)
        seen.append((lab.stream.sender.sent.forwarded, cluster.committed(lab.topics.source, "g")))
        return found

    lab.stream._together = 1
    lab.stream._poll = lambda: (polled(), True)[1]  # as though there were always more
    lab.stream.gate.judge_new = judged
    lab.until(forwarded=2)
    lab.stream.step()
    nothing = seen[0][1]
    assert nothing < 0
    assert seen == [(sent, sent - 2 if sent > 2 else nothing) for sent, _ in seen]
    lab.stream.close()
    assert (lab.stream.sender.sent.forwarded, cluster.committed(lab.topics.source, "g")) == (6, 6)


@pytest.mark.parametrize(("together", "committed"), [(8, 0), (1, 2)])
def test_one_that_dies_with_sent_micro_batches_that_are_not_committed_loses_none(cluster: Cluster, together: int, committed: int):
    lab = Lab(cluster, size=2)
    cluster.send(lab.topics.source, [order(n) for n in range(4)])
    polled, lab.stream._together = lab.stream._poll, together

    def everything() -> bool:  # before the first is judged: how many are committed by then must not depend on how many come at once
        while not lab.stream.sender.sent.judged and sum(len(cutter.waiting) for cutter in lab.stream._cutters.values()) < 4:
            polled()
        return True  # as though there were always more

    lab.stream._poll = everything
    lab.until(forwarded=4)
    assert max(0, cluster.committed(lab.topics.source, "g")) == committed
    assert lab.store.batches(statuses=(Status.PUBLISHED,)) == []
    lab.stream = lab.open(size=3)  # as after SIGKILL: the other one never says anything any more
    lab.until(forwarded=4 - committed)
    lab.stream.step()
    assert {event["order_id"] for event in values(lab.good())} == {"o0", "o1", "o2", "o3"}
    assert sorted(str(row.partition)[-31:] for row in lab.store.batches()) == [f"{0:015}-{1:015}", f"{2:015}-{3:015}"]
    assert {row.status for row in lab.store.batches()} == {Status.PUBLISHED}
    lab.stream.close()
