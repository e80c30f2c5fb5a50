"""The Kafka sink against librdkafka's mock cluster in a process of its own, read by another."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from dagster_contracts.core.errors import DeliveryFailed, UsageError
from dagster_contracts.core.events import Event, EventType
from dagster_contracts.core.snapshot import Change
from dagster_contracts.ports import Waiting
from dagster_contracts.relay import LONGEST_WAIT, Relay, Told
from dagster_contracts.sinks.kafka import KafkaEvents
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.upgrade import upgrade
from tests import kafka_cluster, relay_worker
from tests.gate_world import BAD, GOOD, World, day
from tests.kafka_cluster import Cluster
from tests.store.values import T0, breaker, numbered
from tests.test_relay import Place, Sink

# Fresh processes, forked from one that has imported the worker and connected to nothing.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([relay_worker.__name__])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with kafka_cluster.running() as made:
        yield made


def ids(messages: Sequence[dict[str, Any]], key: str) -> list[str]:
    return [message["headers"]["ce_id"] for message in messages if message["key"] == key]


def first(found: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(found))


def test_events_arrive_as_cloud_events_in_one_partition_a_breaker(cluster: Cluster) -> None:
    world = World()
    world.deliver(5, GOOD, day(5, 6))
    world.deliver(6, BAD, day(6, 6))
    events = list(world.store.events())
    Relay(world.store, [KafkaEvents(cluster.servers, "events", source="/prod")]).tick()
    messages = cluster.read("events")
    assert len({message["partition"] for message in messages}) == 1
    for event, message in zip(events, messages, strict=True):
        headers = {name: value.encode() for name, value in message["headers"].items()}
        read = from_binary(KafkaMessage(headers, message["key"].encode(), message["value"].encode()), JSONFormat())
        assert (read.get_id(), read.get_source(), read.get_specversion()) == (event.id, "/prod", "1.0")
        assert read.get_type() == f"io.dagster-contracts.{event.type}.v1"
        assert (read.get_time(), read.get_subject()) == (event.at, "feed")
        assert (read.get_dataschema(), read.get_datacontenttype()) == (f"urn:dagster-contracts:event:{event.type}:v1", "application/json")
        assert read.get_extension("partitionkey") == "feed"
        assert read.get_data() == json.loads(json.dumps(event.payload))


def test_an_hour_of_silence_loses_nothing_reorders_nothing_and_blocks_nobody(cluster: Cluster, place: Place) -> None:
    log = Sink("log")
    kafka = KafkaEvents(cluster.servers, "outage", timeout=timedelta(seconds=20))
    relay = Relay(place.store, [kafka, log])
    place.record("a", 3)
    place.record("b")
    assert relay.tick() == (Told("kafka", 4), Told("log", 4))
    began = place.clock.at
    cluster.freeze()
    kafka.timeout = timedelta(milliseconds=100)
    try:
        for _ in range(12):
            place.record("a", 2)
            place.record("b")
            told = relay.tick()
            assert told[0].failure is not None
            assert told[0].failure.startswith("topic outage: no acknowledgement within 0.1 s")
            assert told[1].events == 3, "the log is told"
            place.clock.at += timedelta(minutes=5)
        assert place.clock.at - began == timedelta(hours=1)
        assert place.store.waiting()[0].events == 36
    finally:
        cluster.thaw()
    kafka.timeout = timedelta(seconds=20)
    while (told := relay.tick())[0].events or told[0].failure is not None:
        place.clock.at += LONGEST_WAIT
    assert [each.events for each in place.store.waiting()] == [0, 0]
    messages = cluster.read("outage")
    for key, count in (("a", 27), ("b", 13)):
        assert first(ids(messages, key)) == [f"{key}:{number}" for number in range(1, count + 1)]


def test_nobody_there_is_said_once_and_told_later(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.record()
    (told,) = Relay(place.store, [KafkaEvents("127.0.0.1:1", "x", timeout=timedelta(milliseconds=200))]).tick()
    assert told.failure is not None
    assert told.failure.startswith("topic x: no acknowledgement within 0.2 s")
    assert place.store.waiting() == [Waiting("kafka", 1, T0)]
    assert [record for record in caplog.records if record.name == "dagster_contracts.kafka"] == []


def test_what_is_too_large_holds_back_its_breaker_alone(cluster: Cluster) -> None:
    huge = Event("huge", 1, EventType.BATCH_HELD, T0, "m", {"asset": "huge", "text": "x" * 2_000_000})
    small = [replace(huge, key=key, payload={"asset": key}, sequence=number) for key in ("a", "huge", "b") for number in (1, 2)]
    small = [event for event in small if event.id != "huge:1"]
    with pytest.raises(DeliveryFailed, match=r"huge:1: .*[Mm]essage size too large") as caught:
        KafkaEvents(cluster.servers, "large").deliver([*small[:2], huge, *small[2:]])
    assert caught.value.delivered == {"a:1", "a:2", "b:1", "b:2"}


# --- secrets and settings --------------------------------------------------------------------------------------------


class Variable(str):
    """As Dagster's EnvVar: its text is no value."""

    env_var_name = "KAFKA_PASSWORD"

    def get_value(self) -> str | None:
        return os.environ.get(self.env_var_name)


def test_secrets_are_looked_up_late_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_PASSWORD", raising=False)
    sink = KafkaEvents("host:9092", "x", options={"sasl.password": Variable("unset"), "sasl.username": "me"})
    event = Event("a", 1, EventType.BATCH_HELD, T0, "m", {})
    with pytest.raises(DeliveryFailed, match="the environment variable KAFKA_PASSWORD is not set"):
        sink.deliver([event])
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    settings = sink._configuration()
    assert (settings["sasl.password"], settings["enable.idempotence"], settings["acks"]) == ("hunter2", True, "all")
    assert "hunter2" not in repr(replace(sink, options={"sasl.password": "hunter2"}))


def test_idempotence_is_not_to_be_switched_off() -> None:
    settings = KafkaEvents("host:9092", "x", options={"acks": "1", "enable.idempotence": "false", "linger.ms": "50"})._configuration()
    assert (settings["acks"], settings["enable.idempotence"], settings["linger.ms"]) == ("all", True, "50")


def test_a_missing_client_is_said_where_the_sink_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'dagster-contracts\[kafka\]'"):
        KafkaEvents("host:9092", "x")


# --- several relays, and kill -9 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_relays_in_several_processes_one_of_them_killed_reorder_and_lose_nothing(
    cluster: Cluster, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url: str = f"sqlite:///{tmp_path}/store.db" if database == "sqlite" else request.getfixturevalue("postgres_url")
    upgrade(url)
    store = SqlStore(url)
    for key in "abc":
        changed, events = numbered(breaker(key), *["x"] * 60)
        store.save(Change(breaker=changed, events=events))
    topic = f"relays-{database}"

    def start(dies: bool) -> Any:
        process = _processes.Process(target=relay_worker.relay_until_nothing_waits, args=(url, cluster.servers, topic, dies))
        process.start()
        return process

    killed = start(True)
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    others = [start(False) for _ in range(3)]
    for other in others:
        other.join(90)
    assert [other.exitcode for other in others] == [0, 0, 0]
    relay_worker.relay_until_nothing_waits(url, cluster.servers, topic, False)
    assert [each.events for each in store.waiting()] == [0]
    messages = cluster.read(topic)
    assert len(messages) > 180, "what the killed one had delivered came again"
    for key in "abc":
        assert first(ids(messages, key)) == [f"{key}:{number}" for number in range(1, 61)]


@pytest.fixture
def place() -> Place:
    return Place()
