"""A consumer that is killed (SIGKILL) anywhere: no event is lost, none is judged in two micro-batches, and partitions keep their order."""

from __future__ import annotations

import multiprocessing
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dagster_contracts.core.ledger import Status
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.streaming import Topics
from dagster_contracts.streaming.cutting import span
from tests.streaming.lab import Cluster, headers, order, values
from tests.streaming.worker import POINTS, consume

spawn = multiprocessing.get_context("spawn")
EVENTS = 60


def start(*given: object) -> multiprocessing.process.BaseProcess:
    process = spawn.Process(target=consume, args=given)
    process.start()
    return process


# Where it dies, the how-manieth time, and how many messages a micro-batch has: 17, and one poll may bring all of them; 5, and it cannot.
QUICK = [("after the verdict", 1, 17), ("after the verdict", 2, 5), ("half produced", 2, 17), ("before the commit", 2, 5)]
ONCE = ("after the confirmation",)  # of all at the end
LONG = [each for point in POINTS for size in (5, 17) if (each := (point, 1 if point in ONCE else 2, size)) not in QUICK]


@pytest.mark.parametrize(("point", "nth", "size"), [*QUICK, *(pytest.param(*each, marks=pytest.mark.soak) for each in LONG)])
def test_nothing_is_lost_and_nothing_is_judged_twice(cluster: Cluster, tmp_path: Path, point: str, nth: int, size: int):
    topics, url = cluster.topics(), f"sqlite:///{tmp_path}/c.db"
    for partition in (0, 1):
        events = [order(n, "XXX" if (partition, n) == (0, 41) else "EUR", partition=partition) for n in range(EVENTS)]
        cluster.send(topics.source, events, partition)
    killed = start(url, cluster.servers, topics, size, point, nth)
    killed.join(120)
    assert killed.exitcode == -signal.SIGKILL, point
    if (point, nth) == ("after the verdict", 1):  # one transaction held several of them, and nothing else has happened
        waiting = SqlStore(url).batches(statuses=(Status.PUBLISHING,))
        assert (len(waiting) >= 2, cluster.read(topics.target)) == (True, [])
    # More has come since: what one poll brings now is cut elsewhere than it was, unless the ledger knows.
    cluster.send(topics.source, [order(n, partition=0) for n in range(EVENTS, EVENTS + 9)])
    survivor = start(url, cluster.servers, topics, 23, None, 0)
    survivor.join(120)
    assert survivor.exitcode == 0
    _none_lost(cluster, topics, {0: EVENTS + 9, 1: EVENTS})
    _none_judged_twice(url, topics, {0: EVENTS + 9, 1: EVENTS})


def _none_lost(cluster: Cluster, topics: Topics, sent: dict[int, int]) -> None:
    good, dead, parked = (cluster.read(each) for each in (topics.target, topics.dead_letters, topics.parked))
    for partition, count in sent.items():
        arrived = [event["order_id"] for event in values([*good, *dead, *parked]) if event["partition"] == partition]
        assert set(arrived) == {f"o{n}" for n in range(count)}
        # In order, once repetitions are left out: what is delivered again comes as a block, and never before its predecessors.
        forward = [int(event["order_id"][1:]) for event in values(good) if event["partition"] == partition]
        first = list(dict.fromkeys(forward))
        assert first == sorted(first)
    assert "o41" not in {event["order_id"] for event in values(good) if event["partition"] == 0}
    for message in dead:
        told = headers(message)
        assert told["contracts-contract"] == "orders 1.0.0"
        assert told["contracts-batch"].startswith(f"orders|{topics.source}/0/")
        assert "XXX (1)" in told["contracts-findings"]


def _none_judged_twice(url: str, topics: Topics, sent: dict[int, int]) -> None:
    store = SqlStore(url)
    for partition, count in sent.items():
        spans = sorted(span(str(row.partition)) for row in store.batches() if f"{topics.source}/{partition}/" in str(row.partition))
        assert [offset for first, last in spans for offset in range(first, last + 1)] == list(range(count))
    judged = {row.id: row.verdict.rows for row in store.batches() if row.status is not Status.QUARANTINED and row.verdict is not None}
    parts = store.parts("orders", datetime.now(UTC) + timedelta(hours=2))
    assert [part.document["rows"] for part in parts] == [judged[part.batch_id] for part in parts]
    assert [row for row in store.batches() if row.status is Status.PUBLISHING] == []


@pytest.mark.soak
def test_a_group_of_two_shares_a_topic_and_its_breaker_and_one_takes_over_when_the_other_dies(cluster: Cluster, tmp_path: Path):
    topics, url = cluster.topics(), f"sqlite:///{tmp_path}/c.db"
    half = EVENTS // 2
    for partition in (0, 1):
        cluster.send(topics.source, [order(n, partition=partition) for n in range(half)], partition)
    judged = spawn.Event()
    first = start(url, cluster.servers, topics, 10, "before the commit", 2, None, judged)
    assert judged.wait(60)
    second = start(url, cluster.servers, topics, 13, None, 0, None)
    for partition in (0, 1):
        cluster.send(topics.source, [order(n, partition=partition) for n in range(half, EVENTS)], partition)
    first.join(120)
    assert first.exitcode == -signal.SIGKILL
    second.join(120)
    assert second.exitcode == 0
    sent = dict.fromkeys((0, 1), EVENTS)
    good = cluster.read(topics.target)
    for partition in (0, 1):
        assert {event["order_id"] for event in values(good) if event["partition"] == partition} == {f"o{n}" for n in range(EVENTS)}
    _none_judged_twice(url, topics, sent)
