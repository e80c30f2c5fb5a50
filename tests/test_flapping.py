"""A feed that flaps: whatever the order of good and bad deliveries, the sensors ask for a bounded number of runs, and never in a loop."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts import recovery
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import OutputStatus
from tests.gate_world import BAD, GOOD, HOUR, POLICY, World, daily, day

TICKS = 100
CONSUMERS = {"strict": ("feed", Confidence.FULL), "lenient": ("feed", Confidence.STALE), "report": ("lenient", Confidence.STALE)}
# What one delivery may lead to, at most: its probe, its release, and each consumer made anew once by it and once by the batch after it.
RUNS_PER_DELIVERY = 2 + 2 * len(CONSUMERS)


@dataclass
class Daemon:
    """The sensors, and the runs that they ask for. As Dagster does, it starts no run key twice."""

    world: World
    started: list[str] = field(default_factory=list)

    def tick(self) -> int:
        """Ask all of them once, and run what they ask for; how many runs that were."""
        before = len(self.started)
        for probe in self.world.due_probes():
            if self._is_new(probe.run_key):
                self.world.probe()
        for release in recovery.due_releases(self.world.gate):
            if self._is_new(release.run_key):
                self.world.publish(release.batch)
        for healing in recovery.due_healings(self.world.gate, CONSUMERS):
            if self._is_new(healing.run_key):
                consume(self.world, healing.output.asset, int(str(healing.output.partition)[-2:]))
        return len(self.started) - before

    def _is_new(self, run_key: str) -> bool:
        if run_key in self.started:
            return False
        self.started.append(run_key)
        return True


def consume(world: World, consumer: str, number: int) -> None:
    upstream, accepts = CONSUMERS[consumer]
    world.consume(consumer, number, accepts, upstream)


def play(deliveries: list[bool], cooldown: timedelta = HOUR / 2) -> tuple[World, Daemon]:
    """An hour apart, ten to a day's partition; after each the consumers run, then the sensors until they ask for nothing more."""
    world = World(replace(POLICY, cooldown=cooldown, backoff_multiplier=1.0, backoff_maximum=cooldown))  # nothing damps it
    daemon = Daemon(world)
    for tick, good in enumerate(deliveries):
        number = 1 + tick // 10
        data = {**(GOOD if good else BAD), "rows": 100 + tick}  # never the same batch again
        world.deliver(number, data, day(1) + tick * HOUR)
        for consumer in CONSUMERS:
            consume(world, consumer, number)
        for _ in range(2):  # the two ticks of an hour: before and after the cooldown
            world.clock.at += HOUR / 2
            rounds = 0
            while daemon.tick():
                rounds += 1
                assert rounds <= 5, f"the sensors do not come to rest after delivery {tick}: {daemon.started[-10:]}"
        assert len(daemon.started) <= RUNS_PER_DELIVERY * (tick + 1)
    return world, daemon


@pytest.mark.parametrize(("period", "cooldown"), [(1, HOUR / 2), (2, HOUR * 3 / 2), (3, HOUR / 2), (7, HOUR * 3 / 2)])
def test_flapping_over_100_ticks(period: int, cooldown: timedelta) -> None:
    """Good and bad in turn, every `period` deliveries."""
    world, daemon = play([tick // period % 2 == 0 for tick in range(TICKS)], cooldown)
    assert len(daemon.started) <= RUNS_PER_DELIVERY * TICKS
    assert {"open", "closed"} <= {state for change in world.changes() for state in change}, "it did flap"
    assert {key.partition(":")[0] for key in daemon.started} >= {"probe"}


def test_once_it_is_good_all_is_healed_and_nothing_more_is_asked_for() -> None:
    held_first = HOUR * 3 / 2  # what is good again comes within the cooldown, and is published by a probe
    world, daemon = play([tick % 2 == 0 for tick in range(TICKS)] + [True] * 10, held_first)
    asked = len(daemon.started)
    for _ in range(TICKS):
        world.clock.at += HOUR
        assert daemon.tick() == 0
    assert len(daemon.started) == asked
    last = [world.store.output(consumer, daily(11).key) for consumer in CONSUMERS]
    assert [output and output.status for output in last] == [OutputStatus.OK] * len(CONSUMERS)
    assert any(key.startswith("heal:") for key in daemon.started)


@settings(max_examples=15)
@given(deliveries=st.lists(st.booleans(), min_size=1, max_size=40))
def test_any_order_is_bounded(deliveries: list[bool]) -> None:
    play(deliveries)
