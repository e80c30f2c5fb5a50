"""What a consumer reads, by how the feed and the consumer are partitioned."""

import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from dagster_contracts import BreakerResource, recovery, with_contracts
from dagster_contracts.core.state import State
from dagster_contracts.engines.local import default_engine
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Terms
from dagster_contracts.plugin.partitions import partition_of
from dagster_contracts.plugin.site import site_of
from tests.plugin.lab import DAYS, Ran, Vendor, World, a_consumer, a_feed, contract_text, day, governed, value_of

STATIC = dg.StaticPartitionsDefinition(["a", "b", "c"])
BY_VENDOR = dg.MultiPartitionsDefinition({"day": DAYS, "vendor": dg.StaticPartitionsDefinition(["acme", "best"])})


@contextmanager
def _world(
    folder: Path, vendor: Vendor, *assets: Callable[[], Any], policy: str = "", feed: dg.PartitionsDefinition | None
) -> Iterator[World]:
    definitions = dg.Definitions(assets=[a_feed(vendor, partitions=feed), *(make() for make in assets)])
    with governed(folder, lambda: definitions, contract_text(policy=policy)) as world:
        yield world


def _consumers(partitions: dg.PartitionsDefinition | None) -> list[Callable[[], Any]]:
    return [lambda accepts=accepts: a_consumer(accepts, accepts, partitions=partitions) for accepts in ("full", "stale", "low")]  # type: ignore[misc]


def _confidence(ran: Ran, asset: str) -> str | None:
    made = ran.materialized(asset)
    return None if made is None else str((made.tags or {})["contracts/confidence"])


def _served(world: World, asset: str, partition: str | None = None) -> list[str]:
    output = world.ledger().output(asset, partition)
    return [str(route.served) for route in output.inputs] if output else []


def test_unpartitioned(tmp_path: Path) -> None:
    """The live place is the last good data: stale reads it, full halts, low reads what was refused."""
    vendor = Vendor()
    with _world(tmp_path, vendor, *_consumers(None), feed=None) as world:
        assert world.run().failures == {}
        vendor.bad.add("feed")
        ran = world.run()
        assert {name: _confidence(ran, name) for name in ("full", "stale", "low")} == {"full": None, "stale": "stale", "low": "low"}
        assert ran.materialized("feed") is None
        assert list(value_of(world, "feed")["risk"]) == ["HIGH", "LOW"]
        again = world.run("full", "stale", "low")
        assert {name: _confidence(again, name) for name in ("full", "stale", "low")} == {"full": None, "stale": "stale", "low": "low"}


def test_static_keys_have_their_own_last_good(tmp_path: Path) -> None:
    vendor = Vendor()
    with _world(tmp_path, vendor, *_consumers(STATIC), feed=STATIC) as world:
        assert world.run(partition="a").failures == {}
        vendor.bad.update({"a", "b"})
        known, unknown = world.run(partition="a"), world.run(partition="b")
        assert known.failures == {}
        assert known.materialized("feed") is None
        assert [_served(world, name, "a") for name in ("full", "stale", "low")] == [["a"]] * 3
        assert list(value_of(world, "feed", "a")["risk"]) == ["HIGH", "LOW"], "the batch published before still stands"
        assert _confidence(unknown, "stale") is None
        assert "run `dagster-contracts baseline feed`" in unknown.failures["stale"]
        assert _confidence(unknown, "low") == "low"


def test_dynamic_partitions(tmp_path: Path) -> None:
    vendor, files = Vendor(), dg.DynamicPartitionsDefinition(name="files")
    with _world(tmp_path, vendor, *_consumers(files), feed=files) as world:
        world.instance.add_dynamic_partitions("files", ["one", "two"])
        assert world.run(partition="one").failures == {}
        vendor.bad.add("one")
        assert world.run(partition="one").materialized("feed") is None
        vendor.bad.add("two")
        ran = world.run(partition="two")
        assert {name: _confidence(ran, name) for name in ("full", "stale", "low")} == {"full": None, "stale": None, "low": "low"}
        assert [value_of(world, name, "one") for name in ("full", "stale", "low")] == ["one"] * 3
        assert value_of(world, "low", "two") == "two"


def test_one_breaker_for_each_value_of_a_dimension(tmp_path: Path) -> None:
    vendor = Vendor()
    with _world(tmp_path, vendor, *_consumers(BY_VENDOR), feed=BY_VENDOR, policy="scope: vendor") as world:

        def key(number: int, name: str) -> str:
            return str(dg.MultiPartitionKey({"day": day(number), "vendor": name}))

        for name in ("acme", "best"):
            assert world.run(partition=key(1, name)).failures == {}
        vendor.bad.add(key(2, "acme"))
        world.at(2, 6)
        acme, best = world.run(partition=key(2, "acme")), world.run(partition=key(2, "best"))
        assert {item.key: item.state for item in world.ledger().breakers()} == {
            "feed[vendor=acme]": State.OPEN,
            "feed[vendor=best]": State.CLOSED,
        }
        assert {name: _confidence(acme, name) for name in ("full", "stale", "low")} == {"full": None, "stale": "stale", "low": "low"}
        assert _served(world, "stale", key(2, "acme")) == [key(1, "acme")], "never another vendor's data"
        assert best.failures == {}
        assert _confidence(best, "full") == "full"
        assert best.checks("feed")["contract_breaker"] is False, "it shows the worst of the breakers of its asset"

        world.at(3, 6)
        vendor.bad.clear()
        held = world.run("feed", partition=key(3, "acme"))
        assert held.success, "the cooldown is over: a good batch that arrives is the probe"
        assert {item.key: item.state for item in world.ledger().breakers()}["feed[vendor=acme]"] is State.CLOSED


def test_probe_and_release_of_a_multi_dimensional_batch(tmp_path: Path) -> None:
    """What was set aside is found again by its dimensions."""
    vendor = Vendor()
    with _world(tmp_path, vendor, feed=BY_VENDOR, policy="scope: vendor") as world:

        def key(number: int) -> str:
            return str(dg.MultiPartitionKey({"day": day(number), "vendor": "acme"}))

        world.run("feed", partition=key(1))
        vendor.bad.add(key(2))
        world.at(2, 6)
        world.run("feed", partition=key(2))
        world.at(2, 7)
        world.run("feed", partition=key(3))
        world.at(2, 13)
        [probe] = world.tick("contracts_probe")
        assert world.launch(probe).failures == {}
        assert [item.state for item in world.ledger().breakers()] == [State.CLOSED]
        [release] = world.tick("contracts_heal")
        released = world.launch(release)
        assert released.failures == {}
        made = released.materialized("feed")
        assert made is not None
        assert made.partition == key(3)
        assert list(value_of(world, "feed", key(3))["read"]) == [key(3)] * 2


def test_one_run_probes_every_breaker_that_is_due(tmp_path: Path) -> None:
    vendor = Vendor()
    with _world(tmp_path, vendor, feed=BY_VENDOR, policy="scope: vendor") as world:
        for name in ("acme", "best"):
            key = str(dg.MultiPartitionKey({"day": day(1), "vendor": name}))
            vendor.bad.add(key)
            world.run("feed", partition=key)
        world.at(1, 13)
        requests = world.tick("contracts_probe")
        assert [request.tags["contracts/probe"] for request in requests] == ["feed[vendor=acme]", "feed[vendor=best]"]
        for request in requests:
            assert world.launch(request).failures == {}
        assert [item.reopened for item in world.ledger().breakers()] == [1, 1]


def test_a_lost_batch_does_not_keep_the_breaker_from_being_probed(tmp_path: Path) -> None:
    vendor = Vendor(bad={day(1), day(2)})
    with _world(tmp_path, vendor, feed=DAYS) as world:
        for number in (1, 2):
            world.run("feed", partition=day(number))
        [newest] = world.ledger().batches(asset="feed", partition=day(2))
        [folder] = [path for path in tmp_path.rglob(str(newest.staged)) if path.is_dir()]
        shutil.rmtree(folder)
        world.at(3, 13)
        [request] = world.tick("contracts_probe")
        assert request.tags["dagster/partition"] == day(2)
        assert world.launch(request).failures == {}
        assert world.ledger().batches(asset="feed", partition=day(2))[0].note == "its stored data is gone"
        [waiting] = world.ledger().breakers(["feed"])
        assert waiting.lease is None, "it went back"
        world.at(3, 14)
        [request] = world.tick("contracts_probe")
        assert request.tags["dagster/partition"] == day(1)


def test_a_partitioned_consumer_of_an_unpartitioned_feed(tmp_path: Path) -> None:
    vendor = Vendor()
    with _world(tmp_path, vendor, *_consumers(DAYS), feed=None) as world:
        assert world.run("feed").failures == {}
        assert world.run("full", "stale", "low", partition=day(1)).failures == {}
        vendor.bad.add("feed")
        assert "was refused" in world.run("feed").failures["feed"]
        ran = world.run("full", "stale", "low", partition=day(2))
        assert {name: _confidence(ran, name) for name in ("full", "stale", "low")} == {"full": None, "stale": "stale", "low": "low"}


def test_an_unpartitioned_consumer_of_a_partitioned_feed(tmp_path: Path) -> None:
    """It reads all partitions as one value: one that is refused is left out, and it is made again when that one is there."""
    vendor = Vendor()

    def reader(name: str, accepts: str) -> Callable[[], Any]:
        @dg.asset(name=name, metadata={"contracts/accepts": accepts}, ins={"feed": dg.AssetIn(metadata={"allow_missing_partitions": True})})
        def each(feed: dict[str, pd.DataFrame]) -> list[str]:
            return sorted(feed)

        return lambda: each

    with _world(tmp_path, vendor, reader("whole", "stale"), reader("strict", "full"), feed=DAYS) as world:
        for number in (1, 2):
            assert world.run("feed", partition=day(number)).failures == {}
        assert world.run("whole").failures == {}
        assert value_of(world, "whole") == [day(1), day(2)]
        world.at(3, 6)
        vendor.bad.add(day(3))
        world.run("feed", partition=day(3))
        ran = world.run("whole", "strict")
        assert f"strict may not read feed [{day(3)}]" in ran.failures["strict"]
        assert value_of(world, "whole") == [day(1), day(2)]
        made = ran.materialized("whole")
        assert made is not None
        assert (made.tags or {})["contracts/confidence"] == "stale"
        assert f"feed without [{day(3)}]" in str(made.metadata["contracts/served_partition"].value)
        given = {str(route.requested): route for route in world.ledger().output("whole", None).inputs}  # type: ignore[union-attr]
        assert len(given) == 10
        assert given[day(2)].served == given[day(2)].requested
        assert given[day(3)].served is None

        vendor.bad.clear()
        world.at(3, 13)
        world.run("feed", partition=day(3))
        due = recovery.due_healings(Gate(world.ledger(), default_engine()))
        assert [item.output.asset for item in due] == ["whole"], "days that were never judged do not keep it waiting"
        assert world.run("whole", "strict").failures == {}
        assert value_of(world, "whole") == [day(1), day(2), day(3)]


def test_of_all_partitions_one_may_be_left_or_none(tmp_path: Path) -> None:
    """A single one is handed on as one of several; where none is left, the consumer halts."""
    vendor = Vendor()

    @dg.asset(metadata={"contracts/accepts": "stale"})
    def whole(feed: dict[str, pd.DataFrame]) -> list[str]:
        return sorted(feed)

    pair = dg.StaticPartitionsDefinition(["a", "b"])
    with _world(tmp_path, vendor, lambda: whole, feed=pair) as world:
        vendor.bad.update({"a", "b"})
        world.run("feed", partition="b")
        world.run("feed", partition="a")
        assert "[a] is not fresh" in world.run("whole").failures["whole"]
        vendor.bad.discard("a")
        world.at(1, 13)
        world.run("feed", partition="a")
        assert world.run("whole").failures == {}
        assert value_of(world, "whole") == ["a"]


def _window(name: str, accepts: str, mapping: dg.PartitionMapping | None, partitions: dg.PartitionsDefinition = DAYS) -> Callable[[], Any]:
    @dg.asset(
        name=name, partitions_def=partitions, metadata={"contracts/accepts": accepts}, ins={"feed": dg.AssetIn(partition_mapping=mapping)}
    )
    def each(feed: Any) -> list[str]:
        frames = feed.values() if isinstance(feed, dict) else [feed]
        return sorted(str(frame["read"].iloc[0]) for frame in frames)

    return lambda: each


def test_a_consumer_of_the_day_before_reads_the_last_good_before_that(tmp_path: Path) -> None:
    vendor = Vendor()
    mapping = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)
    with _world(tmp_path, vendor, _window("lagged", "stale", mapping), feed=DAYS) as world:
        world.run("feed", partition=day(1))
        vendor.bad.add(day(2))
        world.at(2, 6)
        world.run("feed", partition=day(2))
        assert world.run("lagged", partition=day(3)).failures == {}
        assert value_of(world, "lagged", day(3)) == [day(1)]


def test_a_window_moves_back_whole_and_heals(tmp_path: Path) -> None:
    """Which one it moves back to: tests/test_windowed.py."""
    vendor = Vendor(bad={day(4)})
    two_days = dg.TimeWindowPartitionMapping(start_offset=-1)
    with _world(tmp_path, vendor, *(_window(accepts, accepts, two_days) for accepts in ("full", "low")), feed=DAYS) as world:
        for number in range(1, 5):
            world.at(number, 6)
            world.run("feed", partition=day(number))
        ran = world.run("full", "low", partition=day(4))
        assert "2 partitions of feed are read as one" in ran.failures["full"]
        assert value_of(world, "low", day(4)) == [day(2), day(3)]
        assert _confidence(ran, "low") == "stale"
        output = world.ledger().output("low", day(4))
        assert output is not None
        assert [(str(route.requested), str(route.served)) for route in output.inputs] == [(day(3), day(2)), (day(4), day(3))]
        vendor.bad.clear()
        world.at(4, 13)
        world.run("feed", partition=day(4))
        assert {item.output.asset for item in recovery.due_healings(Gate(world.ledger(), default_engine()))} == {"full", "low"}
        assert world.run("full", "low", partition=day(4)).failures == {}
        assert value_of(world, "low", day(4)) == [day(3), day(4)]


def test_all_vendors_of_a_day_are_no_window_and_the_halt_says_so(tmp_path: Path) -> None:
    vendor = Vendor(bad={str(dg.MultiPartitionKey({"day": day(2), "vendor": "best"}))})
    with _world(tmp_path, vendor, _window("daily", "stale", None), feed=BY_VENDOR) as world:
        for number in (1, 2):
            world.at(number, 6)
            for name in ("acme", "best"):
                world.run("feed", partition=str(dg.MultiPartitionKey({"day": day(number), "vendor": name})))
        told = world.run("daily", partition=day(2)).failures["daily"]
        assert "Only a time window that one partition of the consumer reads (TimeWindowPartitionMapping) can move back" in told
        assert "No earlier window" not in told


def test_a_day_of_hours_moves_back_a_day(tmp_path: Path) -> None:
    hours = dg.HourlyPartitionsDefinition("2026-01-01-00:00", end_date="2026-01-11-00:00")
    bad = "2026-01-02-23:00"
    vendor = Vendor(bad={bad})
    with _world(tmp_path, vendor, _window("daily", "stale", None), feed=hours) as world:
        terms, gate = _terms_of(world, "feed"), Gate(world.ledger(), default_engine())
        for key in hours.get_partition_keys()[:47]:  # as if each had been run
            world.instance.report_runless_asset_event(dg.AssetMaterialization("feed", partition=key))
            done = gate.judge(terms, Delivery(partition_of(key, hours), "r", "r"), vendor.frame(key))
            gate.published(done.batch, None)
            path = tmp_path / "storage" / "feed" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(vendor.frame(key)))
        world.run("feed", partition=bad)
        assert world.run("daily", partition=day(2)).failures == {}
        assert value_of(world, "daily", day(2)) == [f"2026-01-01-{hour:02}:00" for hour in range(24)]


def _terms_of(world: World, asset: str) -> Terms:
    return site_of(world.defs).terms[asset]


@pytest.mark.parametrize("form", ["input", "deps"])
def test_a_consumer_in_another_code_location(tmp_path: Path, form: str) -> None:
    """It has no contract file: the policy in force is in the store."""
    vendor = Vendor()
    with _world(tmp_path, vendor, feed=DAYS, policy="fallback: last_good") as world:

        @dg.asset(partitions_def=DAYS, deps=["feed"])
        def by_itself() -> int:
            return 1

        consumer = a_consumer("far", None) if form == "input" else by_itself
        other = with_contracts(
            dg.Definitions(assets=[consumer, dg.AssetSpec("feed", partitions_def=DAYS)]),
            contracts=[],
            breakers=BreakerResource(url=f"sqlite:///{tmp_path}/contracts.db"),
            clock=world.clock,
        )
        name = "far" if form == "input" else "by_itself"
        world.run("feed", partition=day(1))
        assert world.run(name, partition=day(1), defs=other).failures == {}
        vendor.bad.add(day(2))
        world.at(2, 6)
        world.run("feed", partition=day(2))
        ran = world.run(name, partition=day(2), defs=other)
        if form == "deps":
            assert f"by_itself may not read feed [{day(2)}]" in ran.failures[name]
        else:
            assert ran.failures == {}
            assert value_of(world, "far", day(2), other) == day(1)


def test_an_observable_source_is_left_alone(tmp_path: Path) -> None:
    @dg.observable_source_asset
    def source() -> dg.DataVersion:
        return dg.DataVersion("1")

    @dg.asset(deps=[source, "feed"])
    def reads_both() -> int:
        return 1

    vendor = Vendor()
    definitions = dg.Definitions(assets=[a_feed(vendor, partitions=None), source, reads_both])
    with governed(tmp_path, lambda: definitions) as world:
        assert any(item is source for item in world.defs.assets or [])
        assert world.run("feed", "reads_both").failures == {}
        vendor.bad.add("feed")
        world.run("feed")
        assert "reads_both may not read feed" in world.run("reads_both").failures["reads_both"]


def test_a_merge_with_what_was_made_of_an_earlier_day_says_so(tmp_path: Path) -> None:
    """Over one step and over two: by the time of the merge the day itself is there, which its other inputs were not made of."""

    def made_of(name: str, *parents: str) -> dg.AssetsDefinition:
        @dg.asset(name=name, partitions_def=DAYS, ins={each: dg.AssetIn(each) for each in parents}, metadata={"contracts/accepts": "stale"})
        def made(**given: object) -> str:
            return name

        return made

    vendor = Vendor(bad={day(2)})
    made = [made_of("features", "feed"), made_of("scores", "features"), made_of("merge", "scores", "feed"), made_of("chain", "scores")]
    with governed(tmp_path, lambda: dg.Definitions(assets=[a_feed(vendor), *made]), contract_text(policy="fallback: last_good")) as world:
        assert world.run(partition=day(1)).failures == {}
        assert "contracts/misaligned" not in _metadata_of(world.run("merge", partition=day(1)), "merge")
        world.run("feed", "features", "scores", partition=day(2))
        aligned = world.run("merge", partition=day(2))
        assert "contracts/misaligned" not in _metadata_of(aligned, "merge"), "all of it stands for the first day"
        vendor.bad.clear()
        world.run("feed", partition=day(2))
        world.at(2, 13)
        [probe] = world.tick("contracts_probe")
        world.launch(probe)
        assert world.run("feed", partition=day(2)).failures == {}
        merged = _metadata_of(world.run("merge", partition=day(2)), "merge")
        assert f"feed [{day(2)}], scores [{day(2)}] made from [{day(1)}]" in merged["contracts/misaligned"].value
        assert "contracts/misaligned" not in _metadata_of(world.run("chain", partition=day(2)), "chain")


def _metadata_of(ran: Ran, asset: str) -> Mapping[str, Any]:
    made = ran.materialized(asset)
    assert made is not None, ran.failures
    return made.metadata
