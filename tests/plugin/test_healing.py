"""Healing after a long outage: in bounded batches, each run asked for once, and what fails holds up nobody."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.test_utils import create_run_for_test

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import Output, OutputStatus, Partition, Route, RouteKind
from dagster_contracts.core.snapshot import Change
from dagster_contracts.plugin.asking import PER_TICK
from tests.plugin.lab import DAYS as TEN_DAYS
from tests.plugin.lab import FIRST, Vendor, a_consumer, a_feed, day, governed

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
                create_run_for_test(world.instance, tags=request.tags)
            asked += [str(request.partition_key) for request in requests]
        assert len(asked) == len(set(asked)) == DAYS
        assert asked == sorted(asked)


def test_a_tick_that_asks_for_no_probe_since_it_is_under_way_says_so(tmp_path: Path) -> None:
    with governed(tmp_path, lambda: dg.Definitions(assets=[a_feed(Vendor({day(1)}))])) as world:
        sensor = world.defs.resolve_sensor_def("contracts_probe")

        def tick() -> SensorExecutionData:
            context = dg.build_sensor_context(instance=world.instance, definitions=world.defs, sensor_name="contracts_probe")
            return sensor.evaluate_tick(context)

        world.run("feed", partition=day(1))
        world.at(1, 13)
        [request] = tick().run_requests or []
        create_run_for_test(world.instance, tags={"dagster/run_key": str(request.run_key)})  # queued: nothing is claimed yet
        again = tick()
        assert (again.run_requests, again.skip_message) == ([], "a run that probes feed was started already")


def test_assets_that_are_only_made_together_are_healed_together(tmp_path: Path) -> None:
    outs = {name: dg.AssetOut(metadata={"contracts/accepts": "full"}) for name in ("left", "right")}

    @dg.multi_asset(partitions_def=TEN_DAYS, ins={"feed": dg.AssetIn()}, outs=outs)
    def pair(feed: pd.DataFrame) -> tuple[str, str]:
        read = str(feed["read"].iloc[0])
        return read, read

    vendor = Vendor({day(1)})
    with governed(tmp_path, lambda: dg.Definitions(assets=[a_feed(vendor), pair])) as world:
        world.run("feed", partition=day(1))
        assert "Halted: left, right may not read feed" in world.run("left", "right", partition=day(1)).failures["pair"]
        vendor.bad.clear()
        world.at(1, 13)
        world.run("feed", partition=day(1))
        [healing] = world.tick("contracts_heal")
        assert set(healing.asset_selection or ()) == {dg.AssetKey("left"), dg.AssetKey("right")}
        assert world.launch(healing).failures == {}
        assert world.tick("contracts_heal") == []


def test_what_waited_for_the_same_batch_is_healed_in_one_run(tmp_path: Path) -> None:
    """Each is asked for once, also where its run has made nothing and the other has been made since."""
    vendor = Vendor({day(1)})
    outputs = ("one", "two", "three")
    with governed(tmp_path, lambda: dg.Definitions(assets=[a_feed(vendor), *(a_consumer(name, "full") for name in outputs)])) as world:
        world.run("feed", partition=day(1))
        for name in outputs:
            world.run(name, partition=day(1))
        vendor.bad.clear()
        world.at(1, 13)
        world.run("feed", partition=day(1))
        [healing] = world.tick("contracts_heal")
        assert {key.to_user_string() for key in healing.asset_selection or ()} == {*outputs}
        create_run_for_test(world.instance, status=dg.DagsterRunStatus.FAILURE, tags=healing.tags)
        world.run("one", partition=day(1))
        assert world.tick("contracts_heal") == []
        assert world.launch(healing).success
        assert world.ledger().outputs(statuses=[OutputStatus.HALTED]) == []
