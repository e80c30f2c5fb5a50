"""The same story on every IO manager that we say works; and what ours on S3 does about other writers, crashes and outages.

No postponed annotations here: Dagster reads those of assets as they stand.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from dagster_aws.s3 import S3PickleIOManager, S3Resource
from dagster_duckdb import DuckDBIOManager
from dagster_duckdb.io_manager import DuckDbClient
from dagster_duckdb_polars import DuckDBPolarsTypeHandler
from moto.server import ThreadedMotoServer
from upath import UPath

from dagster_contracts import S3ParquetIOManager
from dagster_contracts.core.errors import LostWrite, StorageUnreachable
from dagster_contracts.core.ledger import Status
from dagster_contracts.gate import Gate
from dagster_contracts.plugin.assets import iterate_assets
from dagster_contracts.plugin.operations import baseline, reconcile
from dagster_contracts.plugin.private import io_contexts, io_managers
from dagster_contracts.plugin.routing import RoutingIOManager
from tests.plugin.lab import DAYS, Ran, Vendor, contract_text, day, governed, value_of

BUCKET = "lake"
STORY = contract_text(policy="fallback: last_good")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


def _resource(endpoint: str, **options: Any) -> S3Resource:
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    return S3Resource(endpoint_url=endpoint, region_name="us-east-1", **keys, **options)


@pytest.fixture
def s3(endpoint: str) -> Iterator[S3Resource]:
    resource = _resource(endpoint)
    client = resource.get_client()
    client.create_bucket(Bucket=BUCKET)
    yield resource
    for found in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        client.delete_object(Bucket=BUCKET, Key=found["Key"])
    client.delete_bucket(Bucket=BUCKET)


class OwnTypeHandler(DuckDBPolarsTypeHandler):
    """The handler of dagster-duckdb-polars reads by a method that DuckDB 2 has no more."""

    def load_input(self, context: dg.InputContext, table_slice: Any, connection: Any) -> pl.DataFrame:
        found = connection.execute(DuckDbClient.get_select_statement(table_slice))
        return pl.DataFrame(found.fetchall(), schema=[column[0] for column in found.description], orient="row")


class DuckDBPolarsIOManager(DuckDBIOManager):
    @staticmethod
    def type_handlers() -> list[Any]:
        return [OwnTypeHandler()]


class PolarsParquet(dg.UPathIOManager):
    """Parquet by UPath. The reader of dagster-polars 0.27 passes polars an argument that polars 2 has no more."""

    extension = ".parquet"

    def dump_to_path(self, context: dg.OutputContext, obj: pl.DataFrame, path: Any) -> None:
        obj.write_parquet(str(path))

    def load_from_path(self, context: dg.InputContext, path: Any) -> pl.DataFrame:
        return pl.read_parquet(str(path))


Managers = Callable[[Path, S3Resource], Any]
MANAGERS: dict[str, tuple[Managers, type]] = {
    "files, pickled": (lambda folder, s3: dg.FilesystemIOManager(base_dir=str(folder / "files")), pd.DataFrame),
    "parquet files, polars": (lambda folder, s3: PolarsParquet(UPath(folder / "parquet")), pl.DataFrame),
    "s3, pickled": (lambda folder, s3: S3PickleIOManager(s3_resource=s3, s3_bucket=BUCKET), pd.DataFrame),
    "s3 parquet, pandas": (lambda folder, s3: S3ParquetIOManager(s3=s3, bucket=BUCKET), pd.DataFrame),
    "s3 parquet, polars": (lambda folder, s3: S3ParquetIOManager(s3=s3, bucket=BUCKET), pl.DataFrame),
    "duckdb, polars": (lambda folder, s3: DuckDBPolarsIOManager(database=str(folder / "lake.duckdb")), pl.DataFrame),
}


def _as(frame: pd.DataFrame, kind: type) -> Any:
    return frame if kind is pd.DataFrame else pl.from_pandas(frame) if kind is pl.DataFrame else pa.Table.from_pandas(frame)


def _read(frame: Any) -> list[str]:
    return list(frame["read"].to_pylist() if isinstance(frame, pa.Table) else frame["read"])


def _feed(vendor: Vendor, kind: type) -> dg.AssetsDefinition:
    @dg.asset(partitions_def=DAYS, io_manager_key="lake", metadata={"partition_expr": "CAST(read AS TIMESTAMP)"})
    def feed(context: dg.AssetExecutionContext) -> kind:  # type: ignore[valid-type]
        return _as(vendor.frame(context.partition_key), kind)

    return feed


def _reader(name: str, accepts: str, kind: type) -> dg.AssetsDefinition:
    @dg.asset(name=name, partitions_def=DAYS, metadata={"contracts/accepts": accepts})
    def reader(feed: kind) -> list[str]:  # type: ignore[valid-type]
        return _read(feed)

    return reader


def _definitions(vendor: Vendor, manager: Any, kind: type) -> Callable[[], dg.Definitions]:
    assets = [_feed(vendor, kind), _reader("stale", "stale", kind), _reader("low", "low", kind)]
    return lambda: dg.Definitions(assets=assets, resources={"lake": manager})


@pytest.mark.parametrize("name", list(MANAGERS))
def test_quarantine_last_good_low_confidence_probe_and_release(name: str, tmp_path: Path, s3: S3Resource) -> None:
    make, kind = MANAGERS[name]
    vendor = Vendor(bad={day(2)})
    with governed(tmp_path, _definitions(vendor, make(tmp_path, s3), kind), STORY) as world:
        first = world.run(partition=day(1))
        assert not first.failures, first.failures
        assert value_of(world, "stale", day(1)) == [day(1)] * 2

        world.at(2, 6)
        refused = world.run(partition=day(2))
        assert refused.failures == {}
        assert refused.materialized("feed") is None
        assert value_of(world, "stale", day(2)) == [day(1)] * 2  # last good
        assert value_of(world, "low", day(2)) == [day(2)] * 2  # what was set aside

        world.at(2, 7)
        assert world.run("feed", partition=day(3)).failures == {}
        [held] = world.ledger().batches(asset="feed", partition=day(3))
        assert held.status is Status.HELD

        world.at(2, 13)
        [probe] = world.tick("contracts_probe")
        assert world.launch(probe).failures == {}
        [release] = [request for request in world.tick("contracts_heal") if "contracts/release" in request.tags]
        assert world.launch(release).failures == {}
        [published] = world.ledger().batches(asset="feed", partition=day(3))
        assert published.status is Status.PUBLISHED
        assert _as(vendor.frame(day(3)), kind).equals(value_of(world, "feed", day(3)))


def test_a_range_that_leaves_out_a_partition_is_read_from_duckdb_in_parts(tmp_path: Path) -> None:
    vendor = Vendor()
    manager = DuckDBPolarsIOManager(database=str(tmp_path / "lake.duckdb"))
    with governed(tmp_path, _definitions(vendor, manager, pl.DataFrame), STORY) as world:
        for number in (1, 2, 3):
            assert world.run("feed", partition=day(number)).failures == {}
        feed = next(item for item in iterate_assets(world.defs.assets) if dg.AssetKey("feed") in item.keys)
        spec = feed.specs_by_key[dg.AssetKey("feed")]
        context = dg.build_input_context(
            asset_key=spec.key,
            asset_partitions_def=DAYS,
            asset_partition_key_range=dg.PartitionKeyRange(day(1), day(3)),
            dagster_type=dg.DagsterType(lambda _, value: True, name="frame", typing_type=pl.DataFrame),
            upstream_output=dg.build_output_context(asset_key=spec.key, definition_metadata=dict(spec.metadata)),
            resource_config=io_managers.config_of("lake", (world.defs.resources or {})["lake"]),
        )
        holed = io_contexts.redirected(context, place=None, partitions=[day(1), day(3)], dagster_type=None)
        with dg.build_resources({"lake": manager}) as resources:
            lake = resources.lake
            assert io_managers.reads_by_range(lake)
            parts = io_contexts.in_ranges(holed)
            assert [list(part.asset_partition_keys) for part in parts] == [[day(1)], [day(3)]]
            assert [_read(lake.load_input(part)) for part in parts] == [[day(1)] * 2, [day(3)] * 2]
            assert len(io_contexts.in_ranges(context)) == 1


# --- ours on S3 ------------------------------------------------------------------------------------------------------

OBJECT = f"dagster/feed/{day(1)}.parquet"


def _on_s3(s3: S3Resource, vendor: Vendor) -> Callable[[], dg.Definitions]:
    return _definitions(vendor, S3ParquetIOManager(s3=s3, bucket=BUCKET), pd.DataFrame)


def test_the_ledger_knows_the_etag_and_a_changed_object_is_not_served_as_last_good(tmp_path: Path, s3: S3Resource) -> None:
    vendor = Vendor(bad={day(2)})
    with governed(tmp_path, _on_s3(s3, vendor), STORY) as world:
        world.run("feed", partition=day(1))
        client = s3.get_client()
        etag = client.head_object(Bucket=BUCKET, Key=OBJECT)["ETag"]
        [batch] = world.ledger().batches(asset="feed")
        assert batch.storage_version == f"s3://{BUCKET}/{OBJECT}|{etag}"
        world.at(2, 6)
        world.run("feed", partition=day(2))
        client.put_object(Bucket=BUCKET, Key=OBJECT, Body=b"by hand")
        assert "Halted: stale may not read feed" in world.run("stale", partition=day(2)).failures["stale"]


@pytest.mark.parametrize("where", ["local file", "s3"])
def test_where_the_newest_good_partition_was_changed_the_one_before_is_served_and_baseline_judges_it_anew(
    where: str, tmp_path: Path, s3: S3Resource
) -> None:
    vendor, pickles = Vendor(bad={day(4)}), dg.FilesystemIOManager(base_dir=str(tmp_path / "lake"))
    definitions = _on_s3(s3, vendor) if where == "s3" else _definitions(vendor, pickles, pd.DataFrame)
    with governed(tmp_path, definitions, STORY) as world:
        for number in (1, 2, 3, 4):
            world.at(number, 6)
            world.run("feed", partition=day(number))
        changed = vendor.frame(day(3)).assign(read="by hand")
        if where == "s3":
            s3.get_client().put_object(Bucket=BUCKET, Key=OBJECT.replace(day(1), day(3)), Body=changed.to_parquet())
        else:
            changed.to_pickle(tmp_path / "lake" / "feed" / day(3))
        world.run("stale", partition=day(4))
        assert value_of(world, "stale", day(4)) == [day(2), day(2)]
        rows = baseline(world.defs, world.instance, "feed", None, lambda line: None)
        assert [(row.partition, row.outcome) for row in rows] == [(day(1), "skipped"), (day(2), "skipped"), (day(3), "pass")]
        world.run("stale", partition=day(4))
        assert value_of(world, "stale", day(4)) == ["by hand", "by hand"]


class Correcting(Vendor):
    """Delivers something else each time: the same bytes would be no race."""

    deliveries = 0

    def frame(self, key: str) -> pd.DataFrame:
        self.deliveries += 1
        return super().frame(key).assign(delivery=self.deliveries)


def test_two_runs_cannot_overwrite_each_other(tmp_path: Path, s3: S3Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second run begins and ends between the first one's verdict and its write: for a new object, then for one that stands there."""
    vendor = Correcting()
    others: list[Ran] = []
    with governed(tmp_path, _on_s3(s3, vendor), STORY) as world:
        _between_verdict_and_write(monkeypatch, lambda: others.append(world.run("feed", partition=day(1))))
        for _ in range(2):
            lost = world.run("feed", partition=day(1))
            other = others[-1]
            assert other.failures == {}
            told = lost.failures["feed"]
            assert "LostWrite" in told
            assert lost.run_id in told
            assert other.run_id in told
            assert s3.get_client().head_object(Bucket=BUCKET, Key=OBJECT)["Metadata"]["dagster-run"] == other.run_id
            [batch] = world.ledger().batches(asset="feed", statuses=(Status.PUBLISHED,), limit=1)
            assert batch.run_id == other.run_id


def _between_verdict_and_write(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Every second write of a judged batch comes right after `act`, which writes too."""
    original, busy = RoutingIOManager.handle_output, [False]

    def late(self: RoutingIOManager, context: dg.OutputContext, obj: Any) -> Any:
        if not busy[0]:
            busy[0] = True
            act()
            busy[0] = False
        return original(self, context, obj)

    monkeypatch.setattr(RoutingIOManager, "handle_output", late)


def _crashing(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    def crash(*_: object, **__: object) -> None:
        raise SystemError("killed here")

    monkeypatch.setattr(owner, name, crash)


@pytest.mark.parametrize("written", [True, False])
def test_a_crash_around_the_write_neither_loses_the_good_batch_nor_publishes_another(
    written: bool, tmp_path: Path, s3: S3Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_contracts.plugin.s3 import ParquetObjects

    vendor = Vendor()
    with governed(tmp_path, _on_s3(s3, vendor), STORY) as world:
        with monkeypatch.context() as dying:
            _crashing(dying, *((Gate, "published") if written else (ParquetObjects, "_put")))
            assert "killed here" in world.run("feed", partition=day(1)).failures["feed"]
        [batch] = world.ledger().batches(asset="feed")
        assert batch.status is Status.PUBLISHING
        assert "stale" in world.run("stale", partition=day(1)).failures  # nobody reads what nobody confirmed
        [row] = reconcile(world.defs, world.instance)
        assert row.status == (Status.PUBLISHED if written else Status.DISCARDED)
        assert ("stale" in world.run("stale", partition=day(1)).failures) is not written
        assert world.run("feed", partition=day(1)).failures == {}
        assert world.ledger().batches(asset="feed")[0].status is Status.PUBLISHED


def test_s3_out_of_reach_decides_nothing(tmp_path: Path, s3: S3Resource) -> None:
    vendor = Vendor(bad={day(2)})
    with governed(tmp_path, _on_s3(s3, vendor), STORY) as world:
        world.run("feed", partition=day(1))
        world.at(2, 6)
        world.run("feed", partition=day(2))
    away = _resource("http://127.0.0.1:9", max_attempts=1)
    with governed(tmp_path, _on_s3(away, vendor), STORY, clock=world.clock) as blind:
        told = blind.run("stale", partition=day(2)).failures["stale"]
        assert StorageUnreachable.__name__ in told
        assert "cannot be reached" in told
        before = len(blind.ledger().batches(asset="feed"))
        assert StorageUnreachable.__name__ in blind.run("feed", partition=day(3)).failures["feed"]
        assert len(blind.ledger().batches(asset="feed")) == before
    with governed(tmp_path, _on_s3(s3, vendor), STORY, clock=world.clock) as again:
        assert again.run("stale", partition=day(2)).failures == {}  # the batch was last good all along


def test_a_write_whose_answer_was_lost_is_no_lost_race(s3: S3Resource) -> None:
    """The client sends it again, and fails on what it has written itself."""
    from dagster_contracts.plugin.s3 import ParquetObjects

    objects = ParquetObjects(s3.get_client(), BUCKET, "")
    told = {"dagster-run": "a", "contracts-batch": "", "contracts-write": "1"}
    frame = pd.DataFrame({"n": [1]})
    first = objects._put("n.parquet", frame, "", told)
    assert objects._put("n.parquet", frame, "", told) == first
    with pytest.raises(LostWrite, match="run a"):
        objects._put("n.parquet", frame, "", {**told, "dagster-run": "b", "contracts-write": "2"})


BOTH = dg.MultiPartitionsDefinition({"day": DAYS, "vendor": dg.StaticPartitionsDefinition(["acme", "best"])})


def test_several_partitions_of_two_dimensions_are_read_as_annotated(tmp_path: Path, s3: S3Resource) -> None:
    @dg.asset(partitions_def=BOTH, io_manager_key="lake")
    def feed(context: dg.AssetExecutionContext) -> pl.DataFrame:
        return pl.DataFrame({"customer_id": [1], "risk": ["LOW"], "read": [str(context.partition_key)]})

    lenient = {"feed": dg.AssetIn(metadata={"allow_missing_partitions": True})}

    @dg.asset(ins=lenient, metadata={"contracts/accepts": "low"})
    def by_key(feed: dict[str, pd.DataFrame]) -> list[tuple[str, str]]:
        return sorted((str(key), frame["read"].iloc[0]) for key, frame in feed.items())

    @dg.asset(ins=lenient, metadata={"contracts/accepts": "low"})
    def together(feed: pa.Table) -> list[str]:
        return sorted(feed["read"].to_pylist())

    io = {"lake": S3ParquetIOManager(s3=s3, bucket=BUCKET, prefix="")}
    keys = [f"{day(1)}|acme", f"{day(1)}|best"]
    defs = dg.Definitions(assets=[feed, by_key, together], resources=io)
    with dg.DagsterInstance.ephemeral() as instance:
        for key in keys:
            assert dg.materialize(
                [feed],
                partition_key=dg.MultiPartitionKey(dict(zip(("day", "vendor"), key.split("|"), strict=True))),
                resources=io,
                instance=instance,
            ).success
        names = [found["Key"] for found in s3.get_client().list_objects_v2(Bucket=BUCKET)["Contents"]]
        assert names == [f"feed/{day(1)}/acme.parquet", f"feed/{day(1)}/best.parquet"]
        job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey("by_key"), dg.AssetKey("together")})
        ran = job.execute_in_process(instance=instance)
        assert ran.output_for_node("by_key") == [(key, key) for key in keys]
        assert ran.output_for_node("together") == keys
