"""Assets that write themselves: audited right after, and while what they wrote is refused nobody is routed to it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from dagster_contracts import BreakerResource, routing, with_contracts
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.errors import ContractError
from dagster_contracts.core.ledger import Partition, RouteKind, Status, StepKey
from dagster_contracts.core.state import State
from dagster_contracts.plugin import operations
from dagster_contracts.plugin.partitions import partition_of
from tests.plugin.lab import DAYS, Vendor, World, contract_files, contract_text, day, governed

D1, D2, D3 = day(1), day(2), day(3)
KINDS = ("nothing", "result", "several")


class Disk(dg.ConfigurableIOManager):
    """Reads what the assets below have written by themselves; writes as they do."""

    folder: str

    def _path(self, context: Any) -> Path:
        return Path(self.folder, context.asset_key.path[-1], f"{context.asset_partition_key}.json")

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        raise AssertionError("nothing is handed to it here")

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        return pd.DataFrame(json.loads(self._path(context).read_text()))


def feeds(vendor: Vendor, folder: Path) -> dg.Definitions:
    def write(name: str, key: str) -> None:
        path = folder / name / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(vendor.frame(key).to_dict("list")))

    @dg.asset(partitions_def=DAYS, io_manager_key="disk")
    def nothing(context: dg.AssetExecutionContext) -> None:
        write("nothing", context.partition_key)

    @dg.asset(partitions_def=DAYS, io_manager_key="disk")
    def result(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        write("result", context.partition_key)
        return dg.MaterializeResult(metadata={"mine": "kept"}, tags={"tier": "1"})

    @dg.multi_asset(partitions_def=DAYS, specs=[dg.AssetSpec("several"), dg.AssetSpec("beside")], can_subset=True)
    def two(context: dg.AssetExecutionContext) -> Iterator[Any]:
        for key in sorted(context.selected_asset_keys):
            write(key.to_user_string(), context.partition_key)
            yield dg.MaterializeResult(asset_key=key)

    def reader(of: str, accepts: str) -> dg.AssetsDefinition:
        @dg.asset(
            name=f"{accepts}_{of}",
            partitions_def=DAYS,
            ins={"given": dg.AssetIn(of, input_manager_key="disk")},
            metadata={"contracts/accepts": accepts},
        )
        def each(given: pd.DataFrame) -> str:
            return f"{given['read'].iloc[0]} {given['risk'].iloc[0]}"

        return each

    readers = [reader(name, accepts) for name in KINDS for accepts in ("full", "stale", "low")]
    return dg.Definitions(assets=[nothing, result, two, *readers], resources={"disk": Disk(folder=str(folder))})


@contextmanager
def a_world(place: Path, vendor: Vendor) -> Iterator[World]:
    folder = place / "disk"

    def read(name: str) -> Any:
        return lambda partition: pd.DataFrame(json.loads((folder / name / f"{partition}.json").read_text()))

    definitions = feeds(vendor, folder)
    texts = [contract_text(name) for name in KINDS]
    with governed(place, lambda: definitions, *texts, readers={name: read(name) for name in ("result", "several")}) as world:
        yield world


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    vendor = Vendor()
    seen: dict[str, Any] = {}
    with a_world(tmp_path_factory.mktemp("in_place"), vendor) as world:

        def made(partition: str) -> dict[tuple[str, str], str | None]:
            outputs = {(a, name): world.ledger().output(f"{a}_{name}", partition) for name in KINDS for a in ("full", "stale", "low")}
            return {key: str(found.confidence) if found and found.confidence else None for key, found in outputs.items()}

        seen["good"], seen["made good"] = world.run(partition=D1), made(D1)
        world.at(2, 6)
        vendor.bad.add(D2)
        seen["bad"], seen["made bad"] = world.run(partition=D2), made(D2)
        seen["open"] = {breaker.key: breaker.state for breaker in world.ledger().breakers()}
        world.at(2, 9)
        seen["held"] = world.run(*KINDS, partition=D3)
        seen["status"] = {name: [batch.status for batch in world.ledger().batches(asset=name)][:2] for name in KINDS}
        world.at(2, 18)
        seen["probes"] = [world.launch(request) for request in world.tick("contracts_probe")]
        seen["closed"] = {breaker.key: breaker.state for breaker in world.ledger().breakers()}
        releases = [request for request in world.tick("contracts_heal") if "contracts/release" in request.tags]
        seen["releases"] = [world.launch(request) for request in releases]
        seen["published"] = {name: world.ledger().batches(asset=name, partition=D3)[0].status for name in KINDS}
        yield seen


def test_what_passes_is_published(story: dict[str, Any]) -> None:
    good = story["good"]
    assert good.failures == {}
    assert {name: good.materialized(name).metadata["contracts/outcome"].value for name in KINDS} == dict.fromkeys(KINDS, "pass")
    assert good.materialized("result").metadata["mine"].value == "kept"
    assert good.materialized("beside") is not None
    assert {name: good.checks(name)["contract_semantics"] for name in KINDS} == dict.fromkeys(KINDS, True)
    assert set(story["made good"].values()) == {"full"}


def test_of_what_fails_nothing_is_materialized_and_consumers_are_routed(story: dict[str, Any]) -> None:
    bad = story["bad"]
    assert {name: bad.materialized(name) for name in KINDS} == dict.fromkeys(KINDS)
    assert bad.materialized("beside") is not None, "no contract, no say"
    assert story["open"] == dict.fromkeys(KINDS, State.OPEN)
    assert story["made bad"] == {
        (accepts, name): {"full": None, "stale": "stale", "low": "low"}[accepts] for name in KINDS for accepts in ("full", "stale", "low")
    }


def test_a_probe_reads_it_where_it_stands_and_a_release_says_that_it_may_be_read(story: dict[str, Any]) -> None:
    assert {name: statuses[0] for name, statuses in story["status"].items()} == dict.fromkeys(KINDS, Status.HELD)
    assert [probe.failures for probe in story["probes"]] == [{}] * len(KINDS)
    assert story["closed"] == dict.fromkeys(KINDS, State.CLOSED)
    assert [release.failures for release in story["releases"]] == [{}] * len(KINDS)
    assert {name for release in story["releases"] for name in KINDS if release.materialized(name)} == set(KINDS)
    assert story["published"] == dict.fromkeys(KINDS, Status.PUBLISHED)


def _route(world: World, asset: str, partition: str, accepts: Confidence) -> Any:
    gate = world.defs.resources["contracts"].gate(world.instance)  # type: ignore[index, union-attr]
    place: Partition = partition_of(partition, DAYS)
    return routing.route(gate, StepKey(f"{accepts} {world.clock.at}", "x"), routing.Input("x", asset, accepts, None), place)


def test_a_failure_that_overwrote_a_good_partition_ends_it_as_last_good(tmp_path: Path) -> None:
    vendor = Vendor()
    with a_world(tmp_path, vendor) as world:
        for number in (1, 2):
            world.at(number, 6)
            assert world.run("result", partition=day(number)).failures == {}
        vendor.bad.add(D2)
        world.at(2, 12)
        world.run("result", partition=D2)
        route = _route(world, "result", D2, Confidence.STALE)
        assert (route.kind, str(route.served)) == (RouteKind.LAST_GOOD, D1)
        later = _route(world, "result", D3, Confidence.STALE)
        assert str(later.served) == D1, "what overwrote the second day is not good"


def test_of_a_range_what_passed_is_materialized_and_what_failed_is_not(tmp_path: Path) -> None:
    vendor = Vendor(bad={D2})

    @dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def feed(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        return dg.MaterializeResult(metadata={"mine": "kept"}, tags={"tier": "1"})

    readers = {"feed": lambda partition: vendor.frame(str(partition))}
    with governed(tmp_path, lambda: dg.Definitions(assets=[feed]), readers=readers) as world:
        ran = world.run(tags={"dagster/asset_partition_range_start": D1, "dagster/asset_partition_range_end": D2})
        assert f"feed [{D2}] was refused" in ran.failures["feed"]
        newest = [world.ledger().batches(asset="feed", partition=key)[0].status for key in (D1, D2)]
        assert newest == [Status.PUBLISHED, Status.QUARANTINED]
        assert world.instance.get_materialized_partitions(dg.AssetKey("feed")) == {D1}
        made = ran.materialized("feed")
        assert made is not None
        assert (made.metadata["mine"].value, made.metadata["contracts/outcome"].value, made.tags["tier"]) == ("kept", "pass", "1")


def test_a_writer_that_dies_leaves_nothing_that_is_read_as_fresh(tmp_path: Path) -> None:
    """Killed between its write and the verdict; `reconcile` then judges what stands."""
    vendor = Vendor()
    with a_world(tmp_path, vendor) as world:
        assert world.run("result", partition=D1).failures == {}
        world.at(2, 6)
        assert world.run("result", partition=D2).failures == {}
        site = world.defs.resources["contracts"]  # type: ignore[index]
        readers = dict(site.live_readers)
        site.live_readers["result"] = lambda partition: 1 / 0
        vendor.bad.add(D2)
        failed = world.run("result", partition=D2)
        assert "division by zero" in str(failed.failures)
        route = _route(world, "result", D2, Confidence.STALE)
        assert (route.kind, str(route.served)) == (RouteKind.LAST_GOOD, D1)
        assert _route(world, "result", D2, Confidence.FULL).kind is RouteKind.HALTED
        site.live_readers.update(readers)
        world.at(2, 9)
        (row,) = operations.reconcile(world.defs, world.instance)
        assert (row.asset, row.partition, row.status) == ("result", D2, "quarantined")
        assert _route(world, "result", D2, Confidence.LOW).kind is RouteKind.LOW_CONFIDENCE


def test_an_asset_that_nobody_can_read_is_refused_at_load(tmp_path: Path) -> None:
    @dg.asset
    def feed() -> None: ...

    contracts = contract_files(tmp_path, contract_text())
    with pytest.raises(ContractError, match=r"writes its data itself.*readers=.*io_manager_key"):
        with_contracts(dg.Definitions(assets=[feed]), contracts=contracts, breakers=BreakerResource())
    with pytest.raises(ContractError, match='readers names "fead", which is no asset here, did you mean "feed"'):
        with_contracts(dg.Definitions(assets=[feed]), contracts=contracts, readers={"fead": lambda partition: None})


def test_one_of_several_that_is_refused_fails_the_run_once_the_others_are_made(tmp_path: Path) -> None:
    vendor = Vendor()
    folder = tmp_path / "disk"

    @dg.multi_asset(partitions_def=DAYS, specs=[dg.AssetSpec("feed"), dg.AssetSpec("later")])
    def both(context: dg.AssetExecutionContext) -> Iterator[Any]:
        folder.mkdir(exist_ok=True)
        (folder / context.partition_key).write_text(json.dumps(vendor.frame(context.partition_key).to_dict("list")))
        yield dg.MaterializeResult(asset_key="feed")
        yield dg.MaterializeResult(asset_key="later")

    def alone() -> dg.Definitions:
        return dg.Definitions(assets=[both])

    def read(partition: str | None) -> pd.DataFrame:
        return pd.DataFrame(json.loads((folder / str(partition)).read_text()))

    with governed(tmp_path, alone, contract_text(), readers={"feed": read}) as world:
        assert world.run(partition=D1).success
        vendor.bad.add(D2)
        world.at(2, 6)
        bad = world.run(partition=D2)
        assert not bad.success
        assert "was refused and quarantined" in bad.failures["both"]
        assert bad.materialized("feed") is None
        assert bad.materialized("later") is not None
        assert bad.checks("feed")["contract_semantics"] is False
