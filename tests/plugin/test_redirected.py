"""IO managers that people write themselves name the partition by whatever their context tells: it tells what is served, or raises.

No postponed annotations here: Dagster reads those of assets as they stand.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from dagster_shared.check import CheckError

from dagster_contracts.core.errors import UsageError
from tests.plugin.lab import DAYS, Vendor, a_consumer, a_feed, contract_text, day, governed

WINDOW = DAYS.time_window_for_partition_key(day(1))
STORY = contract_text(policy="fallback: last_good")

Idiom = Callable[[dg.InputContext], Any]
# How managers find out what to read, and what each is told where day 1 is served instead of day 2.
IDIOMS: dict[str, tuple[Idiom, Any]] = {
    "partition_key": (lambda c: c.partition_key, day(1)),
    "has_partition_key": (lambda c: c.has_partition_key, True),
    "asset_partition_key": (lambda c: c.asset_partition_key, day(1)),
    "asset_partition_keys": (lambda c: list(c.asset_partition_keys), [day(1)]),
    "asset_partition_key_range": (lambda c: c.asset_partition_key_range, dg.PartitionKeyRange(day(1), day(1))),
    "asset_partitions_time_window": (lambda c: c.asset_partitions_time_window, WINDOW),
    "get_asset_identifier": (lambda c: list(c.get_asset_identifier()), ["feed", day(1)]),
    "step's partition_key": (lambda c: c.step_context.partition_key, day(1)),
    "step's partition_key_range": (lambda c: c.step_context.partition_key_range, dg.PartitionKeyRange(day(1), day(1))),
    "step's partition_time_window": (lambda c: c.step_context.partition_time_window, WINDOW),
    "step's key for the input": (lambda c: c.step_context.asset_partition_key_for_input(c.name), day(1)),
    "step's window for the input": (lambda c: c.step_context.asset_partitions_time_window_for_input(c.name), WINDOW),
    "step's key for the output": (lambda c: c.step_context.asset_partition_key_for_output("result"), day(2)),
    "upstream's partition_key": (lambda c: c.upstream_output.partition_key, day(1)),  # type: ignore[union-attr]
    "upstream's asset_partition_key": (lambda c: c.upstream_output.asset_partition_key, day(1)),  # type: ignore[union-attr]
    "upstream's window": (lambda c: c.upstream_output.asset_partitions_time_window, WINDOW),  # type: ignore[union-attr]
}
BY_RUN = ("partition_key", "step's partition_key", "step's partition_key_range", "step's partition_time_window", "upstream's partition_key")


class Handwritten(dg.IOManager):
    """Keeps values by asset key and one partition; reads the one that `idiom` tells, and notes what all idioms tell of the feed."""

    def __init__(self, idiom: Idiom) -> None:
        self.kept: dict[tuple[str, str], Any] = {}
        self.told: dict[str, Any] = {}
        self.idiom = idiom

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        self.kept[context.asset_key.to_user_string(), context.partition_key] = obj

    def load_input(self, context: dg.InputContext) -> Any:
        if context.has_input_name:
            self.told = {name: _told(idiom, context) for name, (idiom, _) in IDIOMS.items()}
        return self.kept[context.asset_key.to_user_string(), self.idiom(context)]


def _told(idiom: Idiom, context: dg.InputContext) -> Any:
    try:
        return idiom(context)
    except (UsageError, CheckError) as error:
        return error


@pytest.mark.filterwarnings("ignore:You are using InputContext.upstream_output")
@pytest.mark.parametrize("together", [True, False], ids=["in one run", "in runs of their own"])
def test_every_idiom_is_told_the_partition_that_is_served(together: bool, tmp_path: Path) -> None:
    manager = Handwritten(lambda context: context.partition_key)
    defs = dg.Definitions(assets=[a_feed(Vendor(bad={day(2)})), a_consumer("reader", "stale")], resources={"io_manager": manager})
    with governed(tmp_path, lambda: defs, STORY) as world:
        assert world.run(partition=day(1)).failures == {}
        assert manager.told == {name: _of(1, expected) for name, (_, expected) in IDIOMS.items()}
        manager.kept["feed", day(2)] = pd.DataFrame({"read": ["what another process has put there"]})
        for assets in ([],) if together else (["feed"], ["reader"]):
            ran = world.run(*assets, partition=day(2))
        assert "reader" in ran.succeeded
        known = [name for name in IDIOMS if together or not name.startswith("upstream")]  # Dagster knows of no output of another run
        assert {name: manager.told[name] for name in known} == {name: IDIOMS[name][1] for name in known}
        assert manager.kept["reader", day(2)] == day(1)


def _of(number: int, expected: Any) -> Any:
    """On the first day everything tells of it."""
    return day(number) if expected == day(2) else expected


@pytest.mark.filterwarnings("ignore:You are using InputContext.upstream_output")
def test_a_partition_key_that_is_not_the_one_asked_for_raises_where_another_is_served(tmp_path: Path) -> None:
    """A consumer of the day before: its run's key leads a manager to that day, and cannot lead it to the one that is served."""
    yesterday = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)

    @dg.asset(partitions_def=DAYS, ins={"feed": dg.AssetIn(partition_mapping=yesterday)}, metadata={"contracts/accepts": "stale"})
    def reader(feed: pd.DataFrame) -> str:
        return str(feed["read"].iloc[0])

    manager = Handwritten(lambda context: context.asset_partition_key)
    defs = dg.Definitions(assets=[a_feed(Vendor(bad={day(2)})), reader], resources={"io_manager": manager})
    with governed(tmp_path, lambda: defs, STORY) as world:
        for number in (1, 2):
            world.run("feed", partition=day(number))
        assert world.run("reader", partition=day(2)).failures == {}
        assert [manager.told[name] for name in ("partition_key", "step's partition_key", "asset_partition_key")] == [day(2), day(2), day(1)]
        assert world.run("reader", partition=day(3)).failures == {}
        assert manager.kept["reader", day(3)] == day(1)
        for name in BY_RUN[:-1]:
            assert isinstance(manager.told[name], UsageError), name
        assert manager.told["has_partition_key"] is True
        assert manager.told["asset_partition_keys"] == [day(1)]
        assert manager.told["step's key for the output"] == day(3)
        told = str(manager.told["partition_key"])
        assert "feed [2026-01-01] is served here" in told
        assert "`asset_partition_keys`" in told
        manager.idiom = lambda context: context.partition_key
        assert "feed [2026-01-01] is served here" in world.run("reader", partition=day(3)).failures["reader"]


@pytest.mark.filterwarnings("ignore:You are using InputContext.upstream_output")
def test_a_manager_that_goes_by_the_upstream_output_finds_what_was_set_aside(tmp_path: Path) -> None:
    """A consumer that accepts low reads the refused batch; a probe judges, and a release publishes, the held one."""

    class Upstream(dg.IOManager):
        kept: dict[tuple[str, str], Any] = {}  # noqa: RUF012

        def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
            self.kept[context.asset_key.to_user_string(), context.asset_partition_key] = obj

        def load_input(self, context: dg.InputContext) -> Any:
            assert context.upstream_output is not None
            return self.kept[context.upstream_output.asset_key.to_user_string(), context.asset_partition_key]

    manager = Upstream()
    defs = dg.Definitions(assets=[a_feed(Vendor(bad={day(2)})), a_consumer("reader", "low")], resources={"io_manager": manager})
    with governed(tmp_path, lambda: defs) as world:
        manager.kept["feed", day(2)] = pd.DataFrame({"read": ["the live place"]})
        world.run(partition=day(2))
        assert manager.kept["reader", day(2)] == day(2)
        manager.kept["feed", day(3)] = manager.kept["feed", day(2)]
        assert world.run("feed", partition=day(3)).failures == {}
        world.at(2, 13)
        [probe] = world.tick("contracts_probe")
        assert world.launch(probe).failures == {}
        [release] = [request for request in world.tick("contracts_heal") if "contracts/release" in request.tags]
        assert world.launch(release).failures == {}
        assert list(manager.kept["feed", day(3)]["read"]) == [day(3), day(3)]


def test_a_manager_that_goes_by_run_and_step_gives_nobody_the_refused_batch_as_good(tmp_path: Path) -> None:
    """What is kept by run cannot hold the last good batch, which another run has made."""
    seen: dict[str, list[str]] = {}

    def reader(name: str, accepts: str) -> dg.AssetsDefinition:
        @dg.asset(name=name, metadata={"contracts/accepts": accepts})
        def reads(feed: pd.DataFrame) -> None:
            seen[name] = list(feed["risk"])

        return reads

    vendor = Vendor()
    assets = [a_feed(vendor, partitions=None), reader("stale", "stale"), reader("low", "low")]
    with governed(tmp_path, lambda: dg.Definitions(assets=assets, resources={"io_manager": dg.mem_io_manager}), STORY) as world:
        assert world.run().failures == {}
        assert seen == {"stale": ["HIGH", "LOW"], "low": ["HIGH", "LOW"]}
        seen.clear()
        vendor.bad.add("feed")
        ran = world.run()
        assert seen == {"low": ["7", "8"]}
        assert "an earlier batch of feed is served here" in ran.failures["stale"]


def test_what_this_run_made_from_fallback_data_is_read_by_run_and_step(tmp_path: Path) -> None:
    """It is no earlier batch, though its route is of stale data."""
    assets = [
        a_feed(vendor := Vendor(), partitions=None, io_manager_key="lake"),
        a_consumer("stale", "stale", partitions=None),
        _tells_of("stale"),
    ]
    resources = {"io_manager": dg.mem_io_manager, "lake": dg.FilesystemIOManager(base_dir=str(tmp_path / "lake"))}
    with governed(tmp_path, lambda: dg.Definitions(assets=assets, resources=resources), STORY) as world:
        assert world.run().failures == {}
        vendor.bad.add("feed")
        ran = world.run()
        assert ran.failures == {}
        told = ran.materialized("told")
        assert told is not None
        assert (told.tags or {})["contracts/confidence"] == "stale"


def _tells_of(name: str) -> dg.AssetsDefinition:
    @dg.asset(name="told", ins={"given": dg.AssetIn(name)}, metadata={"contracts/accepts": "stale"})
    def told(given: str) -> str:
        return given

    return told


def test_each_dimension_of_the_key_is_that_of_what_is_served(tmp_path: Path) -> None:
    both = dg.MultiPartitionsDefinition({"day": DAYS, "vendor": dg.StaticPartitionsDefinition(["acme", "best"])})
    first, second = (dg.MultiPartitionKey({"day": day(number), "vendor": "acme"}) for number in (1, 2))
    seen: list[Any] = []

    class ByDimension(dg.IOManager):
        kept: dict[tuple[str, str], Any] = {}  # noqa: RUF012

        def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
            self.kept[context.asset_key.to_user_string(), context.partition_key.keys_by_dimension["day"]] = obj  # type: ignore[attr-defined]

        def load_input(self, context: dg.InputContext) -> Any:
            seen.append(context.partition_key.keys_by_dimension)  # type: ignore[attr-defined]
            seen.append(context.step_context.multi_partition_key.keys_by_dimension)
            return self.kept[context.asset_key.to_user_string(), seen[0]["day"]]

    assets = [a_feed(Vendor(bad={str(second)}), partitions=both), a_consumer("reader", "stale", partitions=both)]
    with governed(tmp_path, lambda: dg.Definitions(assets=assets, resources={"io_manager": ByDimension()}), STORY) as world:
        world.run("feed", partition=first)
        assert world.run(partition=second).failures == {}
        assert seen == [first.keys_by_dimension] * 2
