"""External assets and observable sources: judged where they stand, and the breaker routes whoever reads them.

No postponed annotations here: Dagster reads the annotation of a context as it stands.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from dagster_contracts import BreakerResource, recovery, with_contracts
from dagster_contracts.core.errors import ContractError
from dagster_contracts.core.ledger import Status
from dagster_contracts.core.state import State
from dagster_contracts.plugin import operations
from tests.plugin.lab import DAYS, QUIET, Ran, World, contract_files, contract_text, day, governed


class Table:
    """What somebody else writes: rows, under a version, by partition (None: unpartitioned)."""

    def __init__(self) -> None:
        self.version: dict[str | None, str] = {}
        self.rows: dict[str | None, list[str]] = {}
        self.reads = 0

    def put(self, version: str, *risks: str, partition: str | None = None) -> None:
        self.version[partition], self.rows[partition] = version, list(risks)

    def read(self, partition: str | None) -> pd.DataFrame:
        self.reads += 1
        if partition not in self.rows:
            raise FileNotFoundError(f"no partition {partition}")
        risks = self.rows[partition]
        return pd.DataFrame({"customer_id": range(len(risks)), "risk": risks, "read": ",".join(risks[:3])})


class Reads(dg.IOManager):
    def __init__(self, table: Table):
        self.table = table

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        raise AssertionError("nothing is made of it here")

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        return self.table.read(context.asset_partition_key if context.has_asset_partitions else None)


def source(kind: str, table: Table, partitions: dg.PartitionsDefinition | None = None, **options: Any) -> Any:
    if kind == "external":
        return dg.AssetSpec("feed", partitions_def=partitions, **options)
    if kind == "source":
        return dg.SourceAsset("feed", partitions_def=partitions, **options)

    if kind == "several":

        @dg.multi_observable_source_asset(specs=[dg.AssetSpec("feed"), dg.AssetSpec("beside")], partitions_def=partitions, can_subset=True)
        def several() -> Iterator[Any]:
            yield dg.ObserveResult(asset_key="feed", data_version=dg.DataVersion(table.version[None]), metadata={"mine": "kept"})

        return several

    @dg.observable_source_asset(name="feed", partitions_def=partitions, **options)
    def observed() -> Any:
        if partitions is None:
            return dg.DataVersion(table.version[None])
        return dg.DataVersionsByPartition({str(key): version for key, version in table.version.items()})

    return observed


def consumers(partitions: dg.PartitionsDefinition | None) -> list[dg.AssetsDefinition]:
    def made(accepts: str) -> dg.AssetsDefinition:
        @dg.asset(
            name=accepts,
            partitions_def=partitions,
            ins={"given": dg.AssetIn("feed", input_manager_key="table")},
            metadata={"contracts/accepts": accepts},
        )
        def each(given: pd.DataFrame) -> str:
            return str(given["read"].iloc[0])

        return each

    @dg.asset(partitions_def=partitions, deps=["feed"])
    def bare() -> str:
        return "made"

    return [*map(made, ("full", "stale", "low")), bare]


@contextmanager
def a_world(
    folder: Path, kind: str, table: Table, partitions: dg.PartitionsDefinition | None = None, *, policy: str = "", **options: Any
) -> Iterator[World]:
    def definitions() -> dg.Definitions:
        assets = [source(kind, table, partitions), *consumers(partitions)]
        return dg.Definitions(assets=assets, resources={"table": Reads(table)})

    with governed(folder, definitions, contract_text(policy=policy), readers={"feed": table.read}, **options) as world:
        yield world


def look(world: World, partition: str | None = None) -> None:
    (row,) = operations.observe(world.defs, world.instance, "feed", partition)
    assert row.result != "failed", row


def start(world: World, asset: str | None = None, partition: str | None = None) -> Ran:
    config = {"ops": {"observe_sources": {"config": {"asset": asset, "partition": partition}}}}
    job = world.defs.resolve_job_def("contracts_observe")
    return Ran(job.execute_in_process(instance=world.instance, run_config={**QUIET, **config}, raise_on_error=False))


def state(world: World) -> State:
    (breaker,) = world.ledger().breakers()
    return breaker.state


def read(world: World, *names: str, partition: str | None = None) -> dict[str, str | None]:
    """What consumers made; None where they were halted."""
    ran = world.run(*names, partition=partition)
    assert all("Halted" in told for told in ran.failures.values()), ran.failures
    return {name: None if name in ran.failures else str(ran.result.output_for_node(name)) for name in names}


def test_what_goes_bad_halts_its_consumers_until_a_probe_finds_it_good(tmp_path: Path) -> None:
    table = Table()
    with a_world(tmp_path, "external", table) as world:
        table.put("v1", "HIGH", "LOW")
        look(world)
        assert read(world, "full", "stale", "low", "bare") == {**dict.fromkeys(("full", "stale", "low"), "HIGH,LOW"), "bare": "made"}
        world.at(1, 12)
        table.put("v2", "7", "8", "9")
        look(world)
        assert state(world) is State.OPEN
        assert read(world, "full", "stale", "low", "bare") == {"full": None, "stale": None, "low": "7,8,9", "bare": None}
        world.at(1, 13)
        assert world.tick("contracts_probe") == []
        table.put("v3", "LOW", "LOW", "LOW")
        world.at(1, 19)
        (request,) = world.tick("contracts_probe")
        assert world.launch(request).failures == {}
        assert state(world) is State.CLOSED
        assert read(world, "full", "bare") == {"full": "LOW,LOW,LOW", "bare": "made"}
        healed = {key.to_user_string() for request in world.tick("contracts_heal") for key in request.asset_selection or ()}
        assert healed == {"stale", "low"}


@pytest.mark.parametrize("kind", ["observable", "several"])
def test_an_observation_is_judged_and_a_probe_looks_without_it(tmp_path: Path, kind: str) -> None:
    table = Table()
    with a_world(tmp_path, kind, table) as world:
        table.put("v1", "7")
        look(world)
        look(world)
        assert (table.reads, state(world)) == (1, State.OPEN)
        observed = [record.asset_observation for record in world.instance.fetch_observations(dg.AssetKey("feed"), limit=9).records]
        assert [each.metadata["contracts/outcome"].value for each in observed if each] == ["fail", "fail"]
        assert [(each.tags or {})["dagster/data_version"] for each in observed if each] == ["v1", "v1"]
        table.put("v2", "LOW")
        world.at(1, 19)
        (request,) = world.tick("contracts_probe")
        assert world.launch(request).failures == {}
        assert state(world) is State.CLOSED
        assert len(world.instance.fetch_observations(dg.AssetKey("feed"), limit=9).records) == 2, "a probe is no observation"


def test_partitions_fall_back_and_only_new_versions_are_read(tmp_path: Path) -> None:
    table = Table()
    for number in (1, 2):
        table.put("v1", "HIGH", "LOW", partition=day(number))
    with a_world(tmp_path, "observable", table, DAYS) as world:
        world.at(3, 1)
        look(world)
        table.put("v1", "7", partition=day(3))
        look(world)
        assert (table.reads, state(world)) == (3, State.OPEN)
        assert read(world, "full", "stale", "low", "bare", partition=day(3)) == {
            "full": None,
            "stale": "HIGH,LOW",
            "low": "7",
            "bare": None,
        }
        observed = world.instance.fetch_observations(dg.AssetKey("feed"), limit=10).records
        newest = {record.partition_key: record.asset_observation for record in reversed(observed)}
        assert str(newest[day(3)].metadata["contracts/location"].value).startswith("where it was found: quarantined")
        assert newest[day(2)].metadata["contracts/outcome"].value == "pass"
        assert len(observed) == 5, "each of its own observations once, and no other"
        del table.rows[day(1)]
        table.version[day(1)] = "v2"
        table.put("v2", "LOW", partition=day(3))
        (row,) = operations.observe(world.defs, world.instance, "feed", None)
        assert row.result == "failed", "one could not be read"
        assert world.ledger().batches(asset="feed", partition=day(3))[0].data_version == "v2", "the others were judged all the same"
        assert len(world.instance.fetch_observations(dg.AssetKey("feed"), limit=10).records) == 8


def test_the_checks_of_an_external_asset_look_at_one_partition_or_at_the_newest(tmp_path: Path) -> None:
    table = Table()
    table.put("", "LOW", partition=day(1))
    with a_world(tmp_path, "external", table, DAYS) as world:
        world.at(3, 1)
        assert start(world).failures == {}, "the second day has not come yet, which nobody has to repair"
        assert list(world.ledger().batches(asset="feed")) == []
        look(world, day(1))
        table.put("", "7", partition=day(2))
        look(world)
        told = {str(batch.partition): batch.status for batch in world.ledger().batches(asset="feed")}
        assert told == {day(1): Status.PUBLISHED, day(2): Status.QUARANTINED}
        told = {row.partition: row.outcome for row in operations.baseline(world.defs, world.instance, "feed", None, lambda line: None)}
        assert (told[day(1)], told[day(2)], told[day(3)]) == ("skipped", "fail", "unreadable")
        page = world.instance.fetch_observations(dg.AssetKey("feed"), limit=1).records[0].asset_observation
        assert (page.partition, page.metadata["contracts/outcome"].value) == (day(2), "fail")
        checks = world.instance.event_log_storage.get_latest_asset_check_execution_by_key(
            [dg.AssetCheckKey(dg.AssetKey("feed"), name) for name in ("contract_semantics", "contract_breaker")]
        )
        assert {key.name: record.status.value for key, record in checks.items()} == dict.fromkeys(
            ("contract_semantics", "contract_breaker"), "FAILED"
        )
        assert "no source with a contract here" in start(world, "fed").failures["observe_sources"]
        assert "name the asset too" in start(world, None, day(5)).failures["observe_sources"]
        assert "could not be looked at" in start(world, "feed", day(5)).failures["observe_sources"]


def test_what_stands_there_is_published_by_the_sensor_once_the_breaker_is_reset_or_by_a_person(tmp_path: Path) -> None:
    table = Table()
    with a_world(tmp_path, "external", table) as world:
        for number, risk in enumerate(("7", "LOW")):
            table.put(f"v{number}", risk)
            look(world)
        gate = world.defs.resources["contracts"].gate(world.instance)  # type: ignore[index, union-attr]
        recovery.reset(gate, "feed", actor="ann", reason="known")
        (request,) = world.tick("contracts_heal")
        assert world.launch(request).failures == {}
        assert world.launch(request).failures == {}  # as where a person's job has published it before the run began
        assert [batch.status for batch in world.ledger().batches(asset="feed")] == [Status.PUBLISHED, Status.DISCARDED]
        table.put("v3", "8", "9")
        look(world)
        release = world.defs.resolve_job_def("contracts_release")
        config = {"ops": {"release_batch": {"config": {"asset": "feed", "actor": "ann", "reason": "known"}}}}
        assert release.execute_in_process(instance=world.instance, run_config={**QUIET, **config}).success
        newest = world.ledger().batches(asset="feed")[0]
        assert (newest.status, newest.outcome, newest.last_good) == (Status.PUBLISHED, "fail", False)


@pytest.mark.parametrize("kind", ["external", "observable", "several", "source"])
def test_a_source_that_nobody_can_read_is_refused_at_load(tmp_path: Path, kind: str) -> None:
    contracts = contract_files(tmp_path, contract_text())
    with pytest.raises(ContractError, match=r'asset "feed" has a contract, and is not made here.*readers=.*io_manager_key.*dagsterAsset'):
        with_contracts(dg.Definitions(assets=[source(kind, Table())]), contracts=contracts, breakers=BreakerResource())


@pytest.mark.parametrize("kind", ["external", "observable", "source"])
def test_a_source_is_read_by_the_io_manager_that_was_chosen_for_it_and_shows_its_contract(tmp_path: Path, kind: str) -> None:
    table, contracts = Table(), contract_files(tmp_path, contract_text())
    table.put("v1", "LOW")
    given = dg.AssetSpec("feed").with_io_manager_key("table") if kind == "external" else source(kind, table, io_manager_key="table")
    defs = with_contracts(dg.Definitions(assets=[given], resources={"table": Reads(table)}), contracts=contracts)
    site: Any = (defs.resources or {})["contracts"]
    with dg.DagsterInstance.ephemeral() as instance:
        assert list(site.standing(dg.AssetKey("feed"), instance, None)["risk"]) == ["LOW"]
    node = defs.resolve_asset_graph().get(dg.AssetKey("feed"))
    assert node.metadata["contracts/contract"] == "feed-contract 1.0.0 (active)"
    assert (node.is_observable, node.is_materializable) == (kind == "observable", False)
    assert {"contract_semantics", "contract_breaker"} < {key.name for key in node.check_keys}
    (hourly,) = [each for each in defs.schedules or [] if each.name == "contracts_observe_hourly"]
    assert isinstance(hourly, dg.ScheduleDefinition)
    assert hourly.default_status is dg.DefaultScheduleStatus.STOPPED


def test_what_is_made_here_has_no_job_that_looks_at_it(tmp_path: Path) -> None:
    @dg.asset
    def feed() -> int:
        return 1

    defs = with_contracts(dg.Definitions(assets=[feed]), contracts=contract_files(tmp_path, contract_text()))
    assert "contracts_observe" not in {job.name for job in defs.jobs or []}
