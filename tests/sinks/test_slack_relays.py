"""Slack behind relays: real databases, real processes, one of them killed between posting and remembering."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from math import log2
from pathlib import Path
from typing import Any

import pytest

from dagster_contracts.core.alerts import READERS
from dagster_contracts.core.contract import BreakerPolicy
from dagster_contracts.core.threads import REPLIES
from dagster_contracts.ports import FixedClock
from dagster_contracts.relay import Relay
from dagster_contracts.sinks.slack import SlackAlerts
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.upgrade import upgrade
from tests.gate_world import BAD, GOOD, POLICY, World, day
from tests.sinks.test_slack import incident, text_of
from tests.slack_server import TOKEN, Slack

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    found: str = f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    upgrade(found)
    return found


def world_at(url: str) -> World:
    clock = FixedClock(day(1))
    return World(store=SqlStore(url, clock=clock), clock=clock)


def process(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.slack_worker", *words], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def alerts(slack: Slack) -> SlackAlerts:
    return SlackAlerts("C0000001", TOKEN, base_url=slack.url)


# Remembered of an incident that is told at once: the note and the place of the first message, of two replies, the end.
@pytest.mark.parametrize("dies", [1, 3])
def test_a_relay_killed_between_posting_and_remembering_posts_nothing_twice(slack: Slack, url: str, dies: int) -> None:
    world = world_at(url)
    incident(world)
    killed = process("die", url, slack.url, day(9, 2).isoformat(), str(dies))
    assert killed.wait(60) == -signal.SIGKILL
    posted = len(slack.messages)
    assert posted == {1: 1, 3: 2}[dies]
    world.clock.at = day(9, 3)  # its lease is over
    (told,) = Relay(world.store, [alerts(slack).beside(world.store)]).tick()
    assert told.failure is None
    (thread,) = slack.threads()
    assert [text_of(reply).split("*")[1].split(":")[0] for reply in slack.replies(thread)] == ["A probe failed", "Closed after 2 d 19 h"]


def test_two_relays_at_once_make_one_thread(slack: Slack, url: str, tmp_path: Path) -> None:
    world = world_at(url)
    stop = tmp_path / "stop"
    relays = [process("until", str(stop), url, slack.url, day(30).isoformat()) for _ in range(2)]
    try:
        incident(world)
        for number in range(10, 16):
            world.deliver(number, BAD, day(2 * number, 6))
        awaited(lambda: waiting(world.store) == 0 and len(slack.threads()) == 2, relays)
    finally:
        stop.touch()
        codes = [relay.wait(60) for relay in relays]
    assert codes == [0, 0]
    first, second = slack.threads()
    assert [text_of(reply).split("*")[1].split(":")[0].split(" after")[0] for reply in slack.replies(first)] == ["A probe failed", "Closed"]
    assert "batches failed: 6" in text_of(second)
    names = [message["metadata"]["event_payload"]["id"] for message in slack.messages]
    assert len(names) == len(set(names))


def waiting(store: Any) -> int:
    return sum(each.events for each in store.waiting())


def awaited(reached: Callable[[], object], processes: list[subprocess.Popen[bytes]]) -> None:
    """Bounded by the processes' own work: each look is a query."""
    for _ in range(100_000):
        if reached():
            return
        assert all(each.poll() is None for each in processes), "a relay ended"
    raise AssertionError("never told")


def test_a_storm_of_1000_failing_batches_is_one_thread(slack: Slack) -> None:
    """Through gate, outbox and relay: one batch a minute, told as they come; the breaker is probed every 6 hours at most."""
    world = World(policy=BreakerPolicy(cooldown=timedelta(minutes=30)))
    world.deliver(5, GOOD, day(5, 6))
    relay = Relay(world.store, [alerts(slack).beside(world.store)])
    for number in range(1000):
        world.deliver(6, BAD, day(6, 6) + timedelta(minutes=number), data_version=str(number))
        if number % 5 == 0:
            relay.tick()
    relay.tick()
    (thread,) = slack.threads()
    failed = slack.replies(thread)
    assert len(failed) == 5  # probes after 30 min, 1 h, 2 h, 4 h, 8 h
    assert "batches failed: " in text_of(thread)
    assert len(slack.calls) == len(slack.messages) + slack.methods()["chat.update"]
    assert len(slack.calls) <= 25
    assert len(slack.calls) <= 2 * (REPLIES + 2) + READERS + 2 + log2(3000)


def test_a_rate_limit_waits_as_long_as_slack_says(slack: Slack) -> None:
    world = World(policy=POLICY)
    incident(world)
    relay = Relay(world.store, [alerts(slack).beside(world.store)])
    slack.faults += [None, (429, {"Retry-After": "90"})]
    (told,) = relay.tick()
    assert told.again_at == world.clock.at + timedelta(seconds=90)
    assert len(slack.calls) == 2
    world.clock.at += timedelta(seconds=89)
    relay.tick()
    assert len(slack.calls) == 2
    world.clock.at += timedelta(seconds=1)
    (told,) = relay.tick()
    assert told.failure is None
    assert len(slack.replies(slack.threads()[0])) == 2
