"""The consumer loop on librdkafka's mock cluster: what goes where, and what waits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dagster_contracts.core.contract import BreakerPolicy
from dagster_contracts.core.errors import Halted, StoreUnavailable, UsageError
from dagster_contracts.core.ledger import Status
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import State
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.memory import MemoryStore
from dagster_contracts.streaming import StreamGate
from tests.streaming.lab import Cluster, config, contract, headers, order, run_until, stream, values
from tests.streaming.test_gate import START


class Lab:
    def __init__(self, cluster: Cluster, policy: BreakerPolicy | None = None, **more: Any):
        self.cluster, self.topics, self.clock = cluster, cluster.topics(), FixedClock(START)
        self.store, self.policy = MemoryStore(clock=self.clock), policy
        self.stream = self.open(**more)

    def open(self, **more: Any) -> Any:
        gate = StreamGate(contract(self.policy), self.store, when_open=more.pop("when_open", "hold"))
        return stream(gate, self.cluster.servers, self.topics, partitions=(0, 1), **more)

    def until(self, **counts: int) -> None:
        sent = self.stream.sender.sent
        run_until(self.stream, lambda: all(getattr(sent, name) >= count for name, count in counts.items()))

    def good(self) -> list[Any]:
        return self.cluster.read(self.topics.target)

    def dead(self) -> list[Any]:
        return self.cluster.read(self.topics.dead_letters)


def test_a_message_that_is_no_row_takes_its_micro_batch_with_it(cluster: Cluster):
    lab = Lab(cluster)
    cluster.send(lab.topics.source, [order(1), b"\xff{", order(2)])
    lab.until(dead_letters=3)
    told = [headers(message) for message in lab.dead()]
    assert [each["contracts-reason"] for each in told] == ["quarantined", "undecodable", "quarantined"]
    assert {each["contracts-rules"] for each in told} == {"decodable"}
    assert json.loads(told[0]["contracts-findings"])[0]["observed"] == "1 of 3 messages cannot be decoded"
    (breaker,) = lab.store.breakers()
    assert (breaker.state, breaker.failed_rules) == (State.OPEN, {"decodable"})
    lab.stream.close()


def test_headers_that_are_named_as_the_gate_s_own_are_left_out(cluster: Cluster):
    lab = Lab(cluster)
    for value in (order(1), order(2, "XXX")):
        given = [("contracts-reason", b"row"), ("trace", b"7"), ("Contracts-Outcome", b"pass"), ("contracts-mine", None)]
        cluster.producer.produce(lab.topics.source, json.dumps(value).encode(), b"k", 0, headers=given)
        assert cluster.producer.flush(30) == 0
        lab.until(**({"forwarded": 1} if value["currency"] == "EUR" else {"dead_letters": 1}))
    (good,), (bad,) = lab.good(), lab.dead()
    assert good.headers() == [("trace", b"7")]
    names = [name for name, _ in bad.headers()]
    assert len(set(names)) == len(names)
    assert headers(bad)["trace"] == "7"
    assert (headers(bad)["contracts-reason"], headers(bad)["contracts-outcome"]) == ("quarantined", "fail")
    assert "Contracts-Outcome" not in names
    lab.stream.close()


def test_where_the_contract_lets_rows_be_set_aside_only_those_are(cluster: Cluster):
    lab = Lab(cluster, BreakerPolicy(maximum_failing_share=0.5))
    sent = [order(0), None, b"[]", order(1, "XXX"), order(2), order(3), order(4)]
    cluster.send(lab.topics.source, sent)
    lab.until(forwarded=5, dead_letters=2)
    assert [None if message.value() is None else json.loads(message.value())["order_id"] for message in lab.good()] == [
        "o0",
        None,
        "o2",
        "o3",
        "o4",
    ]
    told = [(headers(message)["contracts-reason"], headers(message)["contracts-rules"], message.key()) for message in lab.dead()]
    assert told == [("undecodable", "decodable", b"k2"), ("row", "currency.enum", b"k3")]
    lab.stream.close()


def test_tombstones_alone_are_no_micro_batch(cluster: Cluster):
    lab = Lab(cluster)
    cluster.send(lab.topics.source, [None, None])
    lab.until(forwarded=2)
    assert lab.store.batches() == []
    assert cluster.committed(lab.topics.source, "g") == 2
    lab.stream.close()


def test_what_is_held_waits_and_goes_on_in_order_after_the_probe(cluster: Cluster):
    lab = Lab(cluster, size=2)
    cluster.send(lab.topics.source, [order(0), order(1), order(2, "XXX"), order(3), order(4), order(5)])
    lab.until(forwarded=2, dead_letters=2)
    for _ in range(5):
        lab.stream.step()
    assert len(lab.good()) == 2
    assert cluster.committed(lab.topics.source, "g") == 4
    assert lab.store.batches(limit=1)[0].status is Status.HELD
    lab.clock.at += BreakerPolicy().cooldown
    lab.until(forwarded=4)
    assert [event["order_id"] for event in values(lab.good())] == ["o0", "o1", "o4", "o5"]
    assert cluster.committed(lab.topics.source, "g") == 6
    lab.stream.close()


def test_a_halted_stream_says_why_and_begins_there_again(cluster: Cluster):
    lab = Lab(cluster, size=2, when_open="halt")
    cluster.send(lab.topics.source, [order(0, "XXX"), order(1), order(2), order(3)])
    with pytest.raises(Halted, match="orders is open: currency") as halted:
        lab.stream.run()
    assert halted.value.retry_after == START + BreakerPolicy().cooldown
    assert cluster.committed(lab.topics.source, "g") == 2
    lab.clock.at += BreakerPolicy().cooldown
    lab.stream = lab.open(size=2, when_open="halt")
    lab.until(forwarded=2)
    lab.stream.close()


def test_without_the_store_it_waits_and_loses_nothing(cluster: Cluster):
    lab = Lab(cluster)
    save, lab.store.save = lab.store.save, _gone  # type: ignore[method-assign]
    cluster.send(lab.topics.source, [order(0), order(1)])
    for _ in range(10):
        lab.stream.step()
    assert lab.good() == []
    lab.store.save = save  # type: ignore[method-assign]
    lab.until(forwarded=2)
    assert len(lab.good()) == 2
    lab.stream.close()


def _gone(change: Change) -> None:
    raise StoreUnavailable("gone")


def test_findings_in_headers_are_short_and_values_of_classified_columns_are_in_none(cluster: Cluster):
    lab = Lab(cluster)
    cluster.send(lab.topics.source, [order(n, "X" * 900 + str(n)) | {"customer": "Jane Doe"} for n in range(30)])
    lab.until(dead_letters=30)
    for message in lab.dead():
        told = headers(message)
        assert len(told["contracts-findings"]) <= 4096
        assert "Jane" not in json.dumps(told)
    lab.stream.close()


@pytest.mark.parametrize("wrong", [{"enable.auto.commit": True}, {"enable.auto.offset.store": False}])
def test_offsets_are_ours_to_commit(cluster: Cluster, wrong: dict[str, object]):
    from dagster_contracts.streaming import KafkaStream

    gate = StreamGate(contract(), MemoryStore())
    with pytest.raises(UsageError, match="committed after the verdict"):
        KafkaStream(gate, asset="orders", topics=cluster.topics(), config=config(cluster.servers, "g") | wrong)
