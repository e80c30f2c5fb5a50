"""Two daemons tick the same sensors at the same time, each with an instance of its own on one DAGSTER_HOME, and one PostgreSQL store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from dagster_contracts.core.ledger import OutputStatus
from dagster_contracts.core.state import State
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.sql import SqlStore
from dagster_contracts.store.upgrade import upgrade
from tests.plugin.lab import FIRST, World, contract_files, contract_text, dagster_home, day
from tests.plugin.two_daemons import BAD, definitions

ROOT = Path(__file__).parents[2]
INCIDENTS = ((2, 3), (4, 5), (6, 7))  # (the bad day, the good one after it)


@contextmanager
def daemons(folder: Path, url: str) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "tests.plugin.two_daemons", str(folder), url]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DAGSTER_DISABLE_TELEMETRY": "1"}
    with (folder / "log").open("w") as log:
        begun = [
            subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
            for _ in range(2)
        ]
        try:
            yield begun
        finally:
            for each in begun:
                each.communicate()


def both(begun: list[subprocess.Popen[str]], at: str | None = None) -> list[str]:
    """Tell both the time, at once; what each then did."""
    for each in begun:
        if at is not None:
            assert each.stdin is not None
            each.stdin.write(f"{at}\n")
            each.stdin.flush()
    return [each.stdout.readline().strip() for each in begun if each.stdout is not None]


@pytest.mark.soak
@pytest.mark.parametrize("incidents", [INCIDENTS[:1], INCIDENTS], ids=["one", "several"])
def test_two_daemons_tick_the_same_sensors(postgres_url: str, tmp_path: Path, incidents: Sequence[tuple[int, int]]) -> None:
    upgrade(postgres_url)
    contract_files(tmp_path / "contracts", contract_text())
    (tmp_path / BAD).write_text("")
    clock = FixedClock(FIRST)
    with dagster_home(tmp_path) as instance, daemons(tmp_path, postgres_url) as begun:
        store = SqlStore(postgres_url, clock=clock)
        world = World(definitions(tmp_path, postgres_url, clock), instance, clock, store)
        assert both(begun) == ["ready", "ready"], (tmp_path / "log").read_text()[-2000:]
        world.at(1, 6)
        world.run(partition=day(1))
        for bad, good in incidents:
            (tmp_path / BAD).write_text(day(bad))
            world.at(bad, 6)
            world.run(partition=day(bad))  # trips, and `scores` reads the day before
            world.at(bad, 8)
            world.run("feed", partition=day(good))  # held: the cooldown is 6 hours
            (tmp_path / BAD).write_text("")
            for hour in (13, 14):  # the probe and the release of what was held; what is left
                world.at(bad, hour)
                both(begun, clock.at.isoformat())
        check(world, tmp_path, incidents)


def check(world: World, folder: Path, incidents: Sequence[tuple[int, int]]) -> None:
    store = world.ledger()
    moves = [(made.from_state, made.to_state) for made in reversed(store.transitions("feed")) if made.from_state is not made.to_state]
    closed, open_, half = State.CLOSED, State.OPEN, State.HALF_OPEN
    assert moves == [(closed, open_), (open_, half), (half, closed)] * len(incidents), "one probe for each incident"
    events = [(event.sequence, str(event.type)) for event in store.events("feed")]
    assert [number for number, _ in events] == list(range(1, len(events) + 1))
    told = [line.split() for line in (folder / "told").read_text().splitlines()]
    assert list(dict.fromkeys((int(number), kind) for _, number, kind in told)) == events, "each told, in order"
    keys = [run.tags["dagster/run_key"] for run in world.instance.get_runs(dg.RunsFilter(tags={"dagster/sensor_name": "contracts_probe"}))]
    assert len(set(keys)) == len(incidents)
    live = {
        partition: batch.outcome for partition in range(1, 8) for batch in store.batches(partition=day(partition), statuses=["published"])
    }
    assert set(live) == {1, *(good for _, good in incidents)}, "what was held is published"
    degraded = {output.partition.key for output in store.outputs(statuses=[OutputStatus.DEGRADED])}
    assert degraded == {day(bad) for bad, _ in incidents}
