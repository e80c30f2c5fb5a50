"""librdkafka's mock cluster as a process of its own, and a consumer in another: what the tests of the Kafka sink talk to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_CLUSTER = """
import sys
from confluent_kafka import Producer
cluster = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 3})
print(",".join(f"{each.host}:{each.port}" for each in cluster.list_topics(timeout=30).brokers.values()), flush=True)
sys.stdin.read()
"""

# Reads every message of a topic until a pause in which the end of all partitions was reached; prints one JSON document a line.
_CONSUMER = """
import base64, json, sys
from confluent_kafka import Consumer, KafkaError, TopicPartition
servers, topic = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "auto.offset.reset": "earliest", "enable.partition.eof": True})
partitions = list(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
ended = set()
while len(ended) < len(partitions):
    message = consumer.poll(30)
    assert message is not None, "the cluster does not answer"
    if message.error() is not None:
        assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
        ended.add(message.partition())
        continue
    ended.discard(message.partition())
    headers = {name: value.decode() for name, value in message.headers()}
    found = {"key": message.key().decode(), "value": message.value().decode(), "headers": headers, "partition": message.partition()}
    print(json.dumps(found))
"""


@dataclass
class Cluster:
    servers: str
    process: subprocess.Popen[str]

    def freeze(self) -> None:
        """Every broker is there and answers nothing, as a network that swallows packets."""
        os.kill(self.process.pid, signal.SIGSTOP)
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)  # a signal takes its time on a busy machine
        assert os.WIFSTOPPED(status)

    def thaw(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def read(self, topic: str) -> list[dict[str, Any]]:
        """Everything in a topic, in order per partition, read by another process."""
        done = subprocess.run(
            [sys.executable, "-c", _CONSUMER, self.servers, topic], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def running() -> Iterator[Cluster]:
    with subprocess.Popen([sys.executable, "-c", _CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        cluster = Cluster(process.stdout.readline().strip(), process)
        try:
            yield cluster
        finally:
            cluster.thaw()
            process.kill()
