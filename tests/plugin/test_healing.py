"""Healing after a long outage: in bounded batches, each run asked for once, and what fails holds up nobody."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
from dagster._core.test_utils import create_run_for_test

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import Output, OutputStatus, Partition, Route, RouteKind
from dagster_contracts.core.snapshot import Change
from dagster_contracts.plugin.sensors import PER_TICK
from tests.plugin.lab import FIRST, Vendor, a_consumer, a_feed, governed

DAYS = 300


def test_300_partitions_heal_in_batches_and_each_is_asked_for_once(tmp_path: Path) -> None:
    partitions = dg.DailyPartitionsDefinition(FIRST, end_offset=DAYS)
    feed, scores = a_feed(Vendor(), partitions=partitions), a_consumer("scores", "stale", of="plain", partitions=partitions)

    @dg.asset(partitions_def=partitions, deps=["feed"])
    def plain() -> None:
        """Without a contract, and fresh."""

    with governed(tmp_path, lambda: dg.Definitions(assets=[feed, plain, scores])) as world:
        for number in range(DAYS):
            start = FIRST + timedelta(days=number)
            day = Partition(f"{start:%Y-%m-%d}", start, start + timedelta(days=1))
            stale = Route("plain", day, RouteKind.LAST_GOOD, Confidence.STALE, breaker_key="feed")
            made = Output(f"o{number}", "scores", day, "run", OutputStatus.DEGRADED, Confidence.STALE, (stale,), start)
            world.ledger().save(Change(outputs=(made,)))
        asked: list[str] = []
        for _ in range(DAYS // PER_TICK + 1):
            requests = world.tick("contracts_heal")
            assert len(requests) <= PER_TICK
            for request in requests:  # its run has begun, or failed: nothing is made
                create_run_for_test(world.instance, tags={"dagster/run_key": str(request.run_key)})
            asked += [str(request.partition_key) for request in requests]
        assert len(asked) == len(set(asked)) == DAYS
        assert asked == sorted(asked)
