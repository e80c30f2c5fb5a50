"""A stream of orders on librdkafka's mock cluster: what the tests, the guide's figures and the worker processes share."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dagster_contracts.core.contract import BreakerPolicy, Contract, Property, QualityRule, SchemaObject
from dagster_contracts.streaming import KafkaStream, StreamGate, Topics

CURRENCIES = ("EUR", "USD")


def contract(policy: BreakerPolicy | None = None, *, quality: tuple[QualityRule, ...] = (), version: str = "1.0.0") -> Contract:
    orders = SchemaObject(
        "orders",
        properties=(
            Property("order_id", logical_type="string", required=True),
            Property("currency", logical_type="string", enum=CURRENCIES),
            Property("customer", logical_type="string", classification="restricted", enum=tuple(f"c{n}" for n in range(100))),
        ),
        quality=quality,
    )
    return Contract("orders", version, "v3.1.0", "active", (orders,), policy=policy or BreakerPolicy())


def order(number: int, currency: str = "EUR", **more: object) -> dict[str, object]:
    return {"order_id": f"o{number}", "currency": currency, "customer": f"c{number % 100}", **more}


@dataclass
class Cluster:
    """The mock cluster lives as long as the producer that carries it; other processes join it at `servers`."""

    producer: Any
    servers: str
    names: list[str] = field(default_factory=list)

    def topics(self, partitions: int = 2) -> Topics:
        """Fresh ones. The mock cluster makes a topic, with its own number of partitions, when it is asked for."""
        name = f"orders-{uuid.uuid4().hex[:8]}"
        found = Topics(name, f"{name}.good", f"{name}.dead", f"{name}.parked")
        for each in (found.source, found.target, found.dead_letters, found.parked):
            self.producer.list_topics(each, timeout=10)
        return found

    def send(self, topic: str, values: Sequence[object], partition: int = 0) -> None:
        for number, value in enumerate(values):
            sent = value if isinstance(value, bytes | None) else json.dumps(value).encode()
            self.producer.produce(topic, sent, f"k{number}".encode(), partition)
        assert self.producer.flush(30) == 0

    def read(self, topic: str) -> list[Any]:
        """Every message of a topic, by partition and offset."""
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": uuid.uuid4().hex, "enable.auto.commit": False})
        partitions = [
            TopicPartition(topic, each, OFFSET_BEGINNING) for each in consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ]
        ends = {each.partition: consumer.get_watermark_offsets(each, timeout=10)[1] for each in partitions}
        consumer.assign(partitions)
        found: list[Any] = []
        while len(found) < sum(ends.values()):
            found += consumer.consume(1000, timeout=1)
        consumer.close()
        return sorted(found, key=lambda message: (message.partition(), message.offset()))

    def committed(self, topic: str, group: str, partition: int = 0) -> int:
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group, "enable.auto.commit": False})
        (found,) = consumer.committed([TopicPartition(topic, partition)], timeout=10)
        consumer.close()
        return int(found.offset)


@contextmanager
def mock_cluster() -> Iterator[Cluster]:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "linger.ms": 0})
    brokers = producer.list_topics(timeout=10).brokers.values()
    yield Cluster(producer, ",".join(f"{broker.host}:{broker.port}" for broker in brokers))
    producer.flush(10)


def config(cluster: str, group: str) -> dict[str, object]:
    return {"bootstrap.servers": cluster, "group.id": group, "session.timeout.ms": 6000, "heartbeat.interval.ms": 500}


def stream(gate: StreamGate, cluster: str, topics: Topics, *, group: str = "g", **more: Any) -> KafkaStream:
    return KafkaStream(gate, asset="orders", topics=topics, config=config(cluster, group), **{"wait": 0.2, **more})


def run_until(stream: KafkaStream, done: Any, steps: int = 200) -> None:
    """Step until `done()`; a stream that never gets there is an error, not a wait."""
    for _ in range(steps):
        if done():
            return
        stream.step()
    raise AssertionError(f"not done after {steps} steps: {stream.sender.sent}")


def values(messages: Sequence[Any]) -> list[Any]:
    return [json.loads(message.value()) for message in messages]


def headers(message: Any) -> Mapping[str, str]:
    return {name: value.decode() for name, value in message.headers() or []}
