"""Consumers that Dagster starts by itself: after a refused batch, a redelivery, a release and a rejected review each runs once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from dagster._core.test_utils import create_run_for_test

from dagster_contracts import recovery, resolve
from dagster_contracts.core.ledger import Status
from dagster_contracts.core.state import State
from dagster_contracts.engines.local import default_engine
from dagster_contracts.gate import Gate
from dagster_contracts.plugin import operations
from tests.plugin.lab import DAYS, Vendor, World, a_consumer, a_feed, contract_text, day, governed, value_of

TODAY = day(10)  # the latest partition: eager() asks for no other
EAGER = dg.AutomationCondition.eager()
CHECKED = EAGER & dg.AutomationCondition.all_deps_blocking_checks_passed()


class Daemon:
    """What Dagster's daemon does with the conditions of a world: each evaluation goes on from the one before."""

    def __init__(self, world: World):
        self.world = world
        self.cursor: Any = None
        self.ran: list[str] = []

    def asked(self, moment: datetime | None = None) -> set[str]:
        """The assets whose conditions ask for a run now; all of them are asked for partition TODAY, or are unpartitioned."""
        done = dg.evaluate_automation_conditions(
            self.world.defs, self.world.instance, evaluation_time=moment or self.world.clock.at, cursor=self.cursor
        )
        self.cursor = done.cursor
        return {each.key.to_user_string() for each in done.results if each.true_subset.size and isinstance(each.key, dg.AssetKey)}

    def tick(self, moment: datetime | None = None) -> set[str]:
        """Evaluate, and run what is asked for."""
        asked = self.asked(moment)
        if asked:
            self.world.run(*asked, partition=TODAY)
        return asked


@contextmanager
def a_world(folder: Path, vendor: Vendor, *consumers: dg.AssetsDefinition, policy: str = "", on: bool = True) -> Iterator[World]:
    """Day 9 is published."""
    sensor = dg.AutomationConditionSensorDefinition(
        "automation",
        target="*",
        default_status=dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED,
    )
    definitions = dg.Definitions(assets=[a_feed(vendor), *consumers], sensors=[sensor])
    with governed(folder, lambda: definitions, contract_text(policy=policy)) as world:
        world.at(10, 6)
        world.run("feed", partition=day(9))
        world.at(11, 6)
        yield world


def route(world: World) -> list[tuple[str, str | None]]:
    """What contracts_route asks for in one tick; it is run, under its run key."""
    requests = world.tick("contracts_route")
    for request in requests:
        assert request.run_key
        world.launch(request.with_replaced_attrs(tags={**request.tags, "dagster/run_key": request.run_key}))
    return [(key.to_user_string(), request.partition_key) for request in requests for key in request.asset_selection or ()]


def test_consumers_of_a_refused_batch_share_a_run(tmp_path: Path) -> None:
    """Those of one partitions definition. Who fails keeps nobody else from going on."""
    eager: dict[str, Any] = {"metadata": {"contracts/accepts": "stale"}, "automation_condition": EAGER}

    @dg.asset(**eager, partitions_def=DAYS)
    def failing(feed: pd.DataFrame) -> None:
        raise ValueError("not today")

    @dg.asset(**eager, ins={"feed": dg.AssetIn(partition_mapping=dg.LastPartitionMapping())})
    def newest(feed: pd.DataFrame) -> str:
        return str(feed["read"].iloc[0])

    daily = [a_consumer(name, "stale", automation_condition=EAGER) for name in ("one", "two")]
    with a_world(tmp_path, Vendor(bad={TODAY}), failing, newest, *daily) as world:
        world.run("feed", partition=TODAY)
        requests = world.tick("contracts_route")
        asked = {request.partition_key: {key.to_user_string() for key in request.asset_selection or ()} for request in requests}
        assert asked == {TODAY: {"failing", "one", "two"}, None: {"newest"}}
        assert len({request.run_key for request in requests}) == len(requests) == 2
        ran = [world.launch(request) for request in requests]
        assert [set(each.failures) for each in ran if not each.success] == [{"failing"}]
        assert [value_of(world, name, TODAY) for name in ("one", "two")] == [day(9), day(9)]
        assert route(world) == []


def test_consumers_that_read_each_other_run_in_their_order(tmp_path: Path) -> None:
    low: dict[str, Any] = {"metadata": {"contracts/accepts": "low"}, "automation_condition": EAGER}

    @dg.asset(**low)
    def scores(feed: pd.DataFrame) -> str:
        return str(feed["risk"].iloc[0])

    @dg.asset(**low)
    def report(feed: pd.DataFrame, scores: str) -> str:
        return scores

    vendor = Vendor()
    sensor = dg.AutomationConditionSensorDefinition("automation", target="*", default_status=dg.DefaultSensorStatus.RUNNING)
    definitions = dg.Definitions(assets=[a_feed(vendor, partitions=None), report, scores], sensors=[sensor])
    with governed(tmp_path, lambda: definitions) as world:
        world.run("feed", "scores", "report")
        vendor.bad.add("feed")
        world.run("feed")
        [request] = world.tick("contracts_route")
        world.launch(request)
        assert value_of(world, "report") == "7"


def test_each_consumer_is_asked_for_once_whoever_shared_its_run(tmp_path: Path) -> None:
    """The run that was asked for has made nothing, and one of its consumers is not due any more: the next run would be another."""
    daily = [a_consumer(name, "stale", automation_condition=EAGER) for name in ("one", "two", "three")]
    with a_world(tmp_path, Vendor(bad={TODAY}), *daily) as world:
        world.run("feed", partition=TODAY)
        [request] = world.tick("contracts_route")
        assert [each.run_key for each in world.tick("contracts_route")] == [request.run_key], "as long as there is no run"
        create_run_for_test(world.instance, status=dg.DagsterRunStatus.FAILURE, tags=request.tags)
        world.run("one", partition=TODAY)
        assert world.tick("contracts_route") == []


def test_after_a_refused_batch_and_its_redelivery(tmp_path: Path) -> None:
    """eager() asks for nobody. Who accepts less than fresh data is started once; what reads that follows by its own condition. Once the
    feed is good again, each is made once more."""
    vendor = Vendor(bad={TODAY})
    eager = [a_consumer(name, name, automation_condition=EAGER) for name in ("full", "stale", "low")]
    others = [a_consumer("checked", "full", automation_condition=CHECKED), a_consumer("manual", "stale")]

    @dg.asset(partitions_def=DAYS, metadata={"contracts/accepts": "stale"}, automation_condition=EAGER)
    def report(stale: str) -> str:
        return stale

    with a_world(tmp_path, vendor, *eager, *others, report) as world:
        daemon = Daemon(world)
        assert daemon.tick() == set()
        assert world.tick("contracts_route") == []
        world.run("feed", "manual", partition=TODAY)
        assert daemon.tick() == set()
        assert sorted(route(world)) == [("low", TODAY), ("stale", TODAY)]
        assert [value_of(world, name, TODAY) for name in ("stale", "low")] == [day(9), TODAY]
        assert daemon.tick() == {"report"}
        assert value_of(world, "report", TODAY) == day(9)
        assert (daemon.tick(), route(world)) == (set(), [])
        assert _missing(world, "feed", "checked", "stale") == {"feed", "checked"}, "what was made of fallback data is there"

        vendor.bad.clear()
        world.at(11, 13)
        assert world.run("feed", partition=TODAY).materialized("feed") is not None
        assert [item.state for item in world.ledger().breakers()] == [State.CLOSED]
        assert daemon.tick() == {"full", "stale", "low", "checked", "report"}
        assert {value_of(world, name, TODAY) for name in ("full", "stale", "low", "checked", "report")} == {TODAY}
        assert [key for each in world.tick("contracts_heal") for key in each.asset_selection or ()] == [dg.AssetKey("manual")]
        assert (daemon.tick(), route(world)) == (set(), [])
        assert _missing(world, "feed", "checked", "stale") == set()


def test_what_is_observed_starts_its_consumers_whether_it_is_good_or_bad(tmp_path: Path) -> None:
    """The observation stands, so that eager() sees it; contracts_route has nobody to start."""
    seen = ["v1", "LOW"]

    @dg.observable_source_asset(name="feed")
    def feed() -> dg.DataVersion:
        return dg.DataVersion(seen[0])

    def read(partition: str | None) -> pd.DataFrame:
        return pd.DataFrame({"customer_id": [1], "risk": seen[1]})

    @dg.asset(deps=["feed"], metadata={"contracts/accepts": "low", "contracts/resolves": True}, automation_condition=EAGER)
    def low(context: dg.AssetExecutionContext) -> str:
        return resolve(context, "feed").confidence

    sensor = dg.AutomationConditionSensorDefinition("automation", target="*", default_status=dg.DefaultSensorStatus.RUNNING)
    definitions = dg.Definitions(assets=[feed, low], sensors=[sensor])
    with governed(tmp_path, lambda: definitions, readers={"feed": read}) as world:
        daemon = Daemon(world)
        daemon.asked()
        for version, risk, confidence in (("v1", "LOW", "full"), ("v2", "7", "low")):
            seen[:] = [version, risk]
            operations.observe(world.defs, world.instance, "feed", None)
            assert world.tick("contracts_route") == []
            assert daemon.asked() == {"low"}
            assert world.run("low").result.output_for_node("low") == confidence
            assert daemon.asked() == set()


def _missing(world: World, *assets: str) -> set[str]:
    """Of which a backfill of missing partitions would make TODAY. A FreshnessPolicy looks at the same: at materializations."""
    return {name for name in assets if TODAY not in world.instance.get_materialized_partitions(dg.AssetKey(name))}


def test_eager_and_heal_do_not_both_make_it(tmp_path: Path) -> None:
    """What was made of fallback data since the last evaluation is up to date for eager(), also where its feed came after it: it is healed.
    Not beside a run that makes it already; and what was healed, eager() does not make again."""
    vendor = Vendor(bad={TODAY})
    with a_world(tmp_path, vendor, a_consumer("stale", "stale", automation_condition=EAGER)) as world:
        daemon = Daemon(world)
        daemon.tick()
        world.run("feed", partition=TODAY)
        route(world)
        vendor.bad.clear()
        world.at(11, 13)
        world.run("feed", partition=TODAY)
        assert daemon.tick() == set()
        ranged = {"dagster/asset_partition_range_start": day(9), "dagster/asset_partition_range_end": TODAY}
        for tags in ({"dagster/partition": TODAY}, ranged):
            begun = create_run_for_test(
                world.instance,
                status=dg.DagsterRunStatus.STARTED,
                asset_selection=frozenset({dg.AssetKey("stale")}),
                tags=tags,
            )
            assert world.tick("contracts_heal") == []
            world.instance.delete_run(begun.run_id)
        [healing] = world.tick("contracts_heal")
        world.launch(healing)
        assert value_of(world, "stale", TODAY) == TODAY
        assert daemon.tick() == set()


def test_after_a_release(tmp_path: Path) -> None:
    """A batch that a person lets through is published by its release run, and is an update like any other."""
    vendor = Vendor(bad={TODAY})
    with a_world(tmp_path, vendor, a_consumer("full", "full", automation_condition=EAGER)) as world:
        daemon = Daemon(world)
        daemon.tick()
        world.run("feed", partition=TODAY)
        [refused] = world.ledger().batches(asset="feed", statuses=(Status.QUARANTINED,))
        recovery.release(Gate(world.ledger(), default_engine()), refused, actor="ann", reason="known")
        [request] = [each for each in world.tick("contracts_heal") if "contracts/release" in each.tags]
        world.launch(request)
        assert daemon.tick() == {"full"}
        assert value_of(world, "full", TODAY) == TODAY
        assert daemon.tick() == set()


def test_on_cron(tmp_path: Path) -> None:
    """It waits for every upstream to be updated after the hour: a refused batch is no update, so contracts_route starts it."""
    vendor = Vendor()
    four = dg.AutomationCondition.on_cron("0 4 * * *")
    with a_world(tmp_path, vendor, a_consumer("nightly", "stale", automation_condition=four)) as world:
        daemon = Daemon(world)
        daemon.tick(datetime(2026, 1, 11, 3, tzinfo=UTC))
        vendor.bad.add(TODAY)
        world.run("feed", partition=TODAY)
        assert daemon.tick(datetime(2026, 1, 11, 5, tzinfo=UTC)) == set()
        assert route(world) == [("nightly", TODAY)]
        assert route(world) == []


def test_nobody_is_started_who_reads_by_itself(tmp_path: Path) -> None:
    """Nothing can be put under a consumer that only names its upstream: it would be halted, however stale the data that it accepts. One
    that resolves what it reads goes on."""
    said = {"partitions_def": DAYS, "deps": ["feed"], "automation_condition": EAGER}

    @dg.asset(**said, metadata={"contracts/accepts": "stale"})
    def by_itself() -> int:
        return 1

    @dg.asset(**said, metadata={"contracts/accepts": "stale", "contracts/resolves": True})
    def resolving(context: dg.AssetExecutionContext) -> str:
        return str(resolve(context, "feed").partition)

    with a_world(tmp_path, Vendor(bad={TODAY}), by_itself, resolving) as world:
        world.run("feed", partition=TODAY)
        assert route(world) == [("resolving", TODAY)]


def test_automation_that_is_off_stays_off(tmp_path: Path) -> None:
    vendor = Vendor(bad={TODAY})
    with a_world(tmp_path, vendor, a_consumer("stale", "stale", automation_condition=EAGER), on=False) as world:
        world.run("feed", partition=TODAY)
        assert world.tick("contracts_route") == []


def test_without_automated_consumers_there_is_no_such_sensor(tmp_path: Path) -> None:
    with governed(tmp_path, lambda: dg.Definitions(assets=[a_feed(Vendor()), a_consumer("manual", "stale")])) as world:
        assert "contracts_route" not in {sensor.name for sensor in world.defs.sensors or ()}


def test_it_waits_for_what_was_never_made(tmp_path: Path) -> None:
    """Another upstream is missing: as eager() would, it waits."""
    vendor = Vendor(bad={TODAY})

    @dg.asset(partitions_def=DAYS)
    def prices() -> int:
        return 1

    @dg.asset(partitions_def=DAYS, metadata={"contracts/accepts": "stale"}, automation_condition=EAGER)
    def both(feed: pd.DataFrame, prices: int) -> int:
        return prices

    with a_world(tmp_path, vendor, prices, both) as world:
        world.run("feed", partition=TODAY)
        assert route(world) == []
        world.run("prices", partition=TODAY)
        assert route(world) == [("both", TODAY)]


def test_a_rejected_output_is_not_made_again_before_its_feed_is_good(tmp_path: Path) -> None:
    vendor = Vendor(bad={TODAY})
    low = a_consumer("low", "low", automation_condition=EAGER)
    with a_world(tmp_path, vendor, low) as world:
        daemon = Daemon(world)
        daemon.tick()
        world.run("feed", partition=TODAY)
        assert route(world) == [("low", TODAY)]
        job = world.defs.resolve_job_def("contracts_review")
        said = {"asset": "low", "partition": TODAY, "actor": "ann", "reason": "seen", "decision": "reject"}
        assert job.execute_in_process(instance=world.instance, run_config={"ops": {"decide_review": {"config": said}}}).success
        assert (daemon.tick(), route(world)) == (set(), [])
        assert [each for each in world.tick("contracts_heal") if "contracts/heal" in each.tags] == []
        vendor.bad.clear()
        world.at(11, 13)
        world.run("feed", partition=TODAY)
        assert daemon.tick() == {"low"}
        assert world.tick("contracts_heal") == []
