"""A worker whose clock is an hour off, before or behind: the database's clock decides on every time that is kept or compared."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from dagster_contracts import probing, recovery
from dagster_contracts.cli.options import until
from dagster_contracts.core.breaker import Refused
from dagster_contracts.core.contract import BreakerPolicy
from dagster_contracts.core.state import OverrideKind
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Probe
from dagster_contracts.store.sql import SqlStore
from tests.gate_world import BAD, Counts, daily, terms
from tests.servers import Server
from tests.soak import skew

HOUR = timedelta(hours=1)
ENOUGH = timedelta(minutes=5)
Told = dict[str, object]


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = skew.library(tmp_path_factory.mktemp("clock"))
    if made is None:
        pytest.skip("no C compiler here to put a process's clock off")
    with skew.fork_with(made, [__name__]):
        yield made


def _work(url: str, made: str, seconds: int, told: Connection) -> None:
    """A feed that trips, its probe, and an override, by a worker whose clock is off."""
    skew.set_clock(Path(made), seconds)
    gate = Gate(SqlStore(url), Counts())
    cooling, due = terms(BreakerPolicy(cooldown=HOUR / 2), asset="cooling"), terms(BreakerPolicy(cooldown=timedelta(0)), asset="due")
    for each in (cooling, due):
        judgement = gate.judge(each, Delivery(daily(1), "run", "run"), BAD)
        gate.staged(judgement.batch, "beside")
    refused = probing.claim(gate, cooling, "cooling", holder="worker")
    claimed = probing.claim(gate, due, "due", holder="worker")
    assert isinstance(claimed, Probe)
    ends = until("PT10M", gate.store.now())  # as the command line reads `--until`
    (forced,) = recovery.override(gate, "cooling", OverrideKind.FORCE_OPEN, actor="ann", reason="tried", expires_at=ends)
    told.send(
        {
            "own clock": datetime.now(UTC),
            "arrived": judgement.batch.arrived_at,
            "cooling": refused.retry_at if isinstance(refused, Refused) else None,
            "lease": claimed.breaker.lease.expires_at if claimed.breaker.lease else None,
            "override": forced.override.expires_at if forced.override else None,
            "transition": gate.store.transitions("cooling")[-1].at,
        }
    )


@pytest.mark.parametrize("hours", [1, -1])
def test_the_clock_of_the_database_decides(server_of: Callable[[int], Server], clock: Path, hours: int) -> None:
    server = server_of(18)
    url = server.url(server.emptied())
    processes = multiprocessing.get_context("forkserver")
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=_work, args=(url, str(clock), hours * 3600, theirs))
    process.start()
    assert ours.poll(60), "the worker told nothing"
    told: dict[str, datetime] = ours.recv()
    process.join()
    now = SqlStore(url).now()
    assert abs(told["own clock"] - now - hours * HOUR) < ENOUGH, "the worker's clock was off"
    assert abs(told["arrived"] - now) < ENOUGH
    assert abs(told["transition"] - now) < ENOUGH
    assert abs(told["cooling"] - now - HOUR / 2) < ENOUGH, "a cooldown of half an hour, neither over nor to come in an hour and a half"
    assert abs(told["lease"] - now - BreakerPolicy().lease) < ENOUGH
    assert abs(told["override"] - now - HOUR / 6) < ENOUGH


def test_a_lease_ends_by_the_database_and_not_by_who_looks(server_of: Callable[[int], Server], clock: Path) -> None:
    """An hour ahead, every lease would seem to be over: two probes at a time."""
    server = server_of(18)
    url = server.url(server.emptied())
    gate, due = Gate(SqlStore(url), Counts()), terms(BreakerPolicy(cooldown=timedelta(0)))
    for number in (1, 2):
        gate.staged(gate.judge(due, Delivery(daily(number), "run", "run"), BAD).batch, f"beside {number}")
    assert isinstance(probing.claim(gate, due, "feed", holder="here"), Probe)
    processes = multiprocessing.get_context("forkserver")
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=_claim, args=(url, str(clock), theirs))
    process.start()
    assert ours.poll(60), "the worker told nothing"
    assert "a probe is running, leased to here" in ours.recv()
    process.join()


def _claim(url: str, made: str, told: Connection) -> None:
    skew.set_clock(Path(made), 3600)
    gate = Gate(SqlStore(url), Counts())
    claimed = probing.claim(gate, terms(BreakerPolicy(cooldown=timedelta(0))), "feed", holder="an hour ahead")
    told.send(claimed.reason if isinstance(claimed, Refused) else f"claimed at {time.time()}")
