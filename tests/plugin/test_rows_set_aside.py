"""onFailure: quarantine_rows, and relationships between two assets of one contract, in real runs."""

from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa

from dagster_contracts.core.ledger import Status
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.plugin.assets import iterate_assets
from dagster_contracts.plugin.private import io_managers
from dagster_contracts.plugin.routing import STAGING
from dagster_contracts.ports import REASONS
from tests.plugin.lab import DAYS, World, a_consumer, contract_text, day, governed, value_of

SETTING_ASIDE = contract_text(policy="onFailure: quarantine_rows, maximumFailingShare: 0.5")


def _feed(frames: dict[str, pd.DataFrame]) -> dg.AssetsDefinition:
    @dg.asset(name="feed", partitions_def=DAYS)
    def feed(context: dg.AssetExecutionContext) -> pd.DataFrame:
        return frames[context.partition_key]

    return feed


def _frame(*risks: str) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": range(len(risks)), "risk": list(risks), "read": "fresh"})


def _set_aside(world: World, location: object, partition: str) -> pd.DataFrame:
    """What lies at a place beside the live data, read by the asset's own IO manager."""
    (assets,) = (item for item in iterate_assets(world.defs.assets) if dg.AssetKey("feed") in item.keys)
    place = dg.AssetKey(str(getattr(location, "value", location)).split("/"))
    context = io_managers.storage_context(assets, dg.AssetKey("feed"), place, partition, world.instance)
    manager = dg.FilesystemIOManager(base_dir=str(Path(world.instance.storage_directory())))
    frame = manager.create_io_manager(dg.build_init_resource_context(instance=world.instance)).load_input(context)
    assert isinstance(frame, pd.DataFrame)
    return frame


def test_a_run_publishes_the_rows_that_pass_and_sets_the_others_aside(tmp_path: Path) -> None:
    frames = {day(1): _frame("HIGH", "7", "LOW"), day(2): _frame("7", "8", "LOW")}
    with governed(tmp_path, lambda: dg.Definitions(assets=[_feed(frames), a_consumer("reader", "stale")]), SETTING_ASIDE) as world:
        world.at(2, 1)
        ran = world.run(partition=day(1))
        assert ran.success, ran.failures
        assert value_of(world, "feed", day(1))["risk"].to_list() == ["HIGH", "LOW"]
        assert value_of(world, "reader", day(1)) == "fresh"
        (batch,) = world.ledger().batches(asset="feed")
        assert (batch.outcome, batch.status) == (Outcome.WARN, Status.PUBLISHED)
        told = ran.materialized("feed")
        assert told is not None
        assert told.metadata["contracts/quarantined_rows"].value == 1
        location = told.metadata["contracts/quarantined_rows_location"].value
        assert str(location).startswith(STAGING)
        refused = _set_aside(world, location, day(1))
        assert refused[["customer_id", "risk", REASONS]].to_numpy().tolist() == [[1, "7", "risk.invalidValues"]]
        evaluated = {item.check_name: (item.passed, item.severity) for item in ran.evaluations("feed")}
        assert evaluated["contract_semantics"] == (False, dg.AssetCheckSeverity.WARN)

        world.at(3, 1)
        ran = world.run(partition=day(2))
        newest = world.ledger().batches(asset="feed")[0]
        assert (newest.outcome, newest.status) == (Outcome.FAIL, Status.QUARANTINED), "more than half of the rows fail"
        assert value_of(world, "reader", day(2)) == "fresh", "the last good partition served"


def test_what_is_held_is_what_passed(tmp_path: Path) -> None:
    """While the breaker is open, the rows that pass are held; released, they alone are published."""
    frames = {day(1): _frame("HIGH"), day(2): _frame("7"), day(3): _frame("HIGH", "7", "LOW")}
    with governed(tmp_path, lambda: dg.Definitions(assets=[_feed(frames)]), SETTING_ASIDE) as world:
        for number in (1, 2, 3):
            world.at(number + 1, 1)
            world.clock.at = world.clock.at if number < 3 else world.clock.at.replace(day=3, hour=2)  # before the cooldown is over
            world.run("feed", partition=day(number))
        held = world.ledger().batches(asset="feed", partition=day(3))[0]
        assert (held.outcome, held.status) == (Outcome.WARN, Status.HELD)
        world.at(6, 1)
        for request in world.tick("contracts_probe"):
            world.launch(request)
        for request in world.tick("contracts_heal"):
            world.launch(request)
        released = world.ledger().batches(asset="feed", partition=day(3))[0]
        assert released.status is Status.PUBLISHED
        assert value_of(world, "feed", day(3))["risk"].to_list() == ["HIGH", "LOW"]


def test_an_arrow_stream_is_judged_and_still_published(tmp_path: Path) -> None:
    class Streams(dg.IOManager):
        def handle_output(self, context: dg.OutputContext, obj: pa.RecordBatchReader) -> None:
            (tmp_path / f"{'-'.join(context.asset_key.path)}").write_text("".join(obj.read_all()["risk"].to_pylist()))

        def load_input(self, context: dg.InputContext) -> str:
            return (tmp_path / f"{'-'.join(context.asset_key.path)}").read_text()

    @dg.asset(name="feed")
    def feed() -> pa.RecordBatchReader:
        return pa.table({"customer_id": [1, 2], "risk": ["LOW", "HIGH"]}).to_reader()

    with governed(tmp_path, lambda: dg.Definitions(assets=[feed], resources={"io_manager": Streams()})) as world:
        assert world.run().success
        assert (tmp_path / "feed").read_text() == "LOWHIGH"
        (batch,) = world.ledger().batches(asset="feed")
        assert (batch.outcome, batch.status) == (Outcome.PASS, Status.PUBLISHED)
