"""A stream whose contract comes from a registry: judged by what is in force then, and by the last known while the registry is away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from dagster_contracts import Registry
from dagster_contracts.core.errors import StoreError
from dagster_contracts.core.state import State
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.memory import MemoryStore
from dagster_contracts.store.upgrade import upgrade
from dagster_contracts.streaming import Action, StreamGate, StreamVerdict
from tests.servers import Server
from tests.streaming.lab import Cluster, order, stream
from tests.streaming.test_gate import MINUTE, START
from tests.wire import wire

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: orders
version: {version}
status: active
schema:
- name: orders
  properties:
  - {{name: order_id, logicalType: string, required: true}}
  - name: currency
    logicalType: string
    quality: [{{type: library, metric: invalidValues, arguments: {{validValues: [{allowed}]}}, mustBe: 0, severity: critical}}]
{more}
"""
NOTE = "  - {name: note, logicalType: string}"


def file_of(folder: Path, version: str, allowed: str = "EUR", more: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "orders.odcs.yaml"
    path.write_text(CONTRACT.format(version=version, allowed=allowed, more=more))
    return path


@dataclass
class Registered:
    """A gate that was started with version 1.0.0, which allows EUR alone, and what is published since."""

    folder: Path
    url: str

    def __post_init__(self) -> None:
        self.clock = FixedClock(START)
        self.loaded = file_of(self.folder / "loaded", "1.0.0")

    def publish(self, version: str, allowed: str = "EUR", more: str = "") -> None:
        Registry(self.url).publish(file_of(self.folder / version, version, allowed, more), author="ann", accept_incompatible="tests")

    def gate(self, url: str = "", ttl_seconds: float = 0, window: str | None = None) -> StreamGate:
        store = MemoryStore(clock=self.clock)
        return StreamGate(self.loaded, store, registry=Registry(url or self.url), ttl_seconds=ttl_seconds, when_open="hold", window=window)


@pytest.fixture
def registered(tmp_path: Path) -> Registered:
    return Registered(tmp_path, f"sqlite:///{tmp_path}/registry.db")


def judged(gate: StreamGate, name: str, currency: str = "EUR") -> StreamVerdict:
    return gate.judge(pl.DataFrame([order(1, currency)]), asset="orders", batch=name)


def by(gate: StreamGate, name: str, currency: str = "EUR") -> tuple[str, Action]:
    found = judged(gate, name, currency)
    return found.judgement.batch.contract_version, found.action


def test_a_stream_is_judged_by_what_is_in_force(registered: Registered) -> None:
    gate = registered.gate()
    assert by(gate, "1", "EUR") == ("1.0.0", Action.FORWARD)
    registered.publish("2.0.0", "EUR, USD")
    assert by(gate, "2", "USD") == ("2.0.0", Action.FORWARD)
    registered.publish("3.0.0", "USD")
    assert by(gate, "3", "EUR") == ("3.0.0", Action.DEAD_LETTER)


def test_it_is_asked_for_once_in_the_time_to_live(registered: Registered) -> None:
    registered.publish("2.0.0", "EUR, USD")
    gate = registered.gate(ttl_seconds=1000)
    assert by(gate, "1", "USD") == ("2.0.0", Action.FORWARD)
    registered.publish("3.0.0", "EUR")
    assert by(gate, "2", "USD") == ("2.0.0", Action.FORWARD)


def test_a_held_stream_goes_on_with_a_version_that_takes_it(registered: Registered) -> None:
    gate = registered.gate()
    assert by(gate, "1", "USD") == ("1.0.0", Action.DEAD_LETTER)
    assert (by(gate, "2", "USD")[1], by(gate, "3")[1], gate.may_pass("orders")) == (Action.DEAD_LETTER, Action.HOLD, False)
    registered.publish("2.0.0", "EUR, USD")
    assert (gate.may_pass("orders"), by(gate, "3")) == (True, ("2.0.0", Action.FORWARD))
    assert gate.store.breakers()[0].state is State.CLOSED


def test_a_window_is_of_one_version(registered: Registered) -> None:
    registered.publish("1.0.0", "EUR")
    gate = registered.gate(window="PT5M")
    judged(gate, "1")
    registered.publish("2.0.0", "EUR, USD")
    judged(gate, "2")
    registered.clock.at += 5 * MINUTE
    (window,) = gate.close_windows("orders")
    assert (window.batch.contract_version, str(window.verdict.outcome)) == ("2.0.0", "inconclusive")
    judged(gate, "3")
    registered.clock.at += 5 * MINUTE
    (window,) = gate.close_windows("orders")
    assert (window.batch.contract_version, str(window.verdict.outcome)) == ("2.0.0", "pass")


def test_the_last_known_goes_on_while_the_registry_is_away(
    tmp_path: Path, server_of: Callable[[int], Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = server_of(18)
    database = server.emptied()
    upgrade(server.url(database))
    registered = Registered(tmp_path, server.url(database))
    registered.publish("2.0.0", "EUR, USD")
    with wire(server.folder) as line:
        gate = registered.gate(server.url(database, host="127.0.0.1", port=str(line.port)))
        assert by(gate, "1", "USD") == ("2.0.0", Action.FORWARD)
        line.cut()
    with caplog.at_level(logging.WARNING, "dagster_contracts.streaming"):
        assert [by(gate, name, "USD") for name in ("2", "3")] == [("2.0.0", Action.FORWARD)] * 2
    told = [record.getMessage() for record in caplog.records if record.name == "dagster_contracts.streaming"]
    assert len(told) == 1  # and not with each
    assert told[0].endswith("orders is judged by orders 2.0.0, the last known")


def test_what_it_was_started_with_counts_while_none_was_ever_seen(registered: Registered) -> None:
    assert by(registered.gate("postgresql://nobody@127.0.0.1:1/none"), "1", "USD") == ("1.0.0", Action.DEAD_LETTER)


def test_what_trying_again_does_not_mend_is_raised(registered: Registered) -> None:
    (registered.folder / "no database").mkdir()
    gate = registered.gate(f"sqlite:///{registered.folder}/no database")
    with pytest.raises(StoreError):
        judged(gate, "1")
    assert not gate.store.batches()


def test_a_consumer_decodes_what_the_version_in_force_asks_for(registered: Registered, cluster: Cluster) -> None:
    """JSON leaves out what is null: a column of a version that is newer than the consumer is there, and empty."""
    gate, topics = registered.gate(), cluster.topics()
    consumer = stream(gate, cluster.servers, topics, partitions=(0,), size=2)
    registered.publish("1.1.0", more=NOTE)
    cluster.send(topics.source, [order(1), order(2)])
    consumer.run(until=lambda: consumer.sender.sent.judged >= 1)
    batches = gate.store.batches()
    assert {(batch.contract_version, str(batch.outcome)) for batch in batches} == {("1.1.0", "pass")}
