"""A small world to govern: a vendor whose deliveries a test decides on, a contract for its feed, and runs of real Dagster jobs.

No postponed annotations here: Dagster reads the annotation of a context as it stands.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy import Engine

from dagster_contracts import BreakerResource, with_contracts
from dagster_contracts.plugin.assets import iterate_assets
from dagster_contracts.plugin.private import rebuilding
from dagster_contracts.ports import FixedClock, Store
from dagster_contracts.store.sql import SqlStore

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-11")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {object}-contract
version: {version}
status: active
schema:
- name: {object}
  properties:
  - name: customer_id
    logicalType: integer
    required: true
    unique: true
  - name: risk
    logicalType: string
    quality:
    - type: library
      metric: invalidValues
      mustBe: 0
      severity: critical
      arguments: {{validValues: [HIGH, LOW]}}
customProperties:
- property: circuitBreaker
  value: {{cooldown: {cooldown}{policy}}}
"""


def day(number: int) -> str:
    return (FIRST + timedelta(days=number - 1)).date().isoformat()


def contract_text(name: str = "feed", *, version: str = "1.0.0", policy: str = "", cooldown: str = "PT6H") -> str:
    """`name` is the schema object's; `policy` further keys of the circuitBreaker, as YAML: "fallback: halt"."""
    return CONTRACT.format(object=name, version=version, cooldown=cooldown, policy=f", {policy}" if policy else "")


def contract_files(folder: Path, *texts: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(texts):
        (folder / f"{number}.odcs.yaml").write_text(text)
    return folder


@dataclass
class Vendor:
    """What is delivered: good rows, unless the key stands in `bad`."""

    bad: set[str] = field(default_factory=set)

    def frame(self, key: str) -> pd.DataFrame:
        risks = ["7", "8"] if key in self.bad else ["HIGH", "LOW"]
        return pd.DataFrame({"customer_id": [1, 2], "risk": risks, "read": key})


@dataclass
class Ran:
    """One finished run, read off its event log."""

    result: dg.ExecuteInProcessResult

    @property
    def success(self) -> bool:
        return self.result.success

    @property
    def run_id(self) -> str:
        return str(self.result.run_id)

    def materialized(self, asset: str) -> dg.AssetMaterialization | None:
        key = dg.AssetKey.from_user_string(asset)
        found = [event.step_materialization_data.materialization for event in self.result.all_events if event.is_step_materialization]
        return next((item for item in found if item.asset_key == key), None)

    def evaluations(self, asset: str) -> list[dg.AssetCheckEvaluation]:
        key = dg.AssetKey.from_user_string(asset)
        found = [e.asset_check_evaluation_data for e in self.result.all_events if e.event_type_value == "ASSET_CHECK_EVALUATION"]
        return [item for item in found if item.asset_key == key]

    def checks(self, asset: str) -> dict[str, bool]:
        return {item.check_name: item.passed for item in self.evaluations(asset)}

    @property
    def failures(self) -> dict[str, str]:
        """Why each failed step failed: the user's description where there is one, else the error."""
        return {str(event.step_key): _told(event.step_failure_data) for event in self.result.all_events if event.is_step_failure}

    @property
    def succeeded(self) -> set[str]:
        return {str(event.step_key) for event in self.result.all_events if event.is_step_success}


@dataclass
class World:
    """Definitions, an instance on disk, and the store of the breakers."""

    defs: dg.Definitions
    instance: dg.DagsterInstance
    clock: FixedClock
    store: Store | None = None

    def at(self, number: int, hour: int) -> None:
        self.clock.at = FIRST + timedelta(days=number - 1, hours=hour)

    def run(self, *assets: str, partition: str | None = None, defs: dg.Definitions | None = None, **options: Any) -> Ran:
        """Materialize these assets (all of them for none), with all their checks, in this process."""
        job = (defs or self.defs).resolve_implicit_global_asset_job_def()
        if assets:
            job = job.get_subset(asset_selection={dg.AssetKey.from_user_string(name) for name in assets})
        config = {**QUIET, **options.pop("run_config", {})}
        return Ran(
            job.execute_in_process(instance=self.instance, partition_key=partition, raise_on_error=False, run_config=config, **options)
        )

    def tick(self, name: str, cursor: str | None = None) -> list[dg.RunRequest]:
        """One evaluation of a sensor, as the daemon would do it."""
        context = dg.build_sensor_context(instance=self.instance, definitions=self.defs, sensor_name=name, cursor=cursor)
        return list(self.defs.resolve_sensor_def(name).evaluate_tick(context).run_requests or [])

    def launch(self, request: dg.RunRequest) -> Ran:
        """Execute what a sensor asked for."""
        checks = set(request.asset_check_keys) if request.asset_check_keys is not None else None
        job = rebuilding.job_of(self.defs, set(request.asset_selection or []), checks)
        return Ran(
            job.execute_in_process(
                instance=self.instance, partition_key=request.partition_key, tags=request.tags, raise_on_error=False, run_config=QUIET
            )
        )

    def ledger(self) -> Store:
        assert self.store is not None
        return self.store


def _told(data: Any) -> str:
    given = data.user_failure_data
    return str(given.description) if given is not None and given.description else str(data.error)


@contextmanager
def dagster_home(folder: Path) -> Iterator[dg.DagsterInstance]:
    """An instance on disk, without telemetry. Its databases are copies: to make and stamp them anew takes as long as a small run."""
    shutil.copytree(_home(), folder, dirs_exist_ok=True)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        yield instance


@cache
def _home() -> Path:
    folder = _kept() / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.from_config(str(folder)):
        return folder


@cache
def _kept() -> Path:
    """A folder of this process."""
    folder = tempfile.TemporaryDirectory(prefix="dagster-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


_make_database = SqliteEventLogStorage._initdb


def _copy_database(storage: SqliteEventLogStorage, engine: Engine, for_index_shard: bool = False) -> None:
    """Of each run, too: the database of its events is one that an earlier run of this process has made."""
    database, first = Path(str(engine.url.database)), _kept() / "run.db"
    if not first.exists() or database.exists():
        _make_database(storage, engine, for_index_shard)
        if not first.exists():
            shutil.copyfile(database, first)
        return
    shutil.copyfile(first, made := database.with_suffix(f".{os.getpid()}"))
    made.replace(database)


SqliteEventLogStorage._initdb = _copy_database  # type: ignore[method-assign]


@contextmanager
def governed(
    folder: Path,
    definitions: Callable[[], dg.Definitions],
    *texts: str,
    url: str | None = None,
    clock: FixedClock | None = None,
    **options: Any,
) -> Iterator[World]:
    """The definitions under these contracts, with an instance in `folder` and (without a url) breakers in SQLite beside it."""
    clock = clock or FixedClock(FIRST + timedelta(hours=6))
    with dagster_home(folder) as instance:
        address = url or f"sqlite:///{folder}/contracts.db"
        contracts = contract_files(folder / "contracts", *(texts or (contract_text(),)))
        defs = with_contracts(definitions(), contracts=contracts, breakers=BreakerResource(url=address), clock=clock, **options)
        yield World(defs, instance, clock, SqlStore(address, clock=clock))


def a_feed(vendor: Vendor, name: str = "feed", partitions: dg.PartitionsDefinition | None = DAYS, **options: Any) -> dg.AssetsDefinition:
    @dg.asset(name=name, partitions_def=partitions, **options)
    def feed(context: dg.AssetExecutionContext) -> pd.DataFrame:
        return vendor.frame(context.partition_key if partitions else name)

    return feed


def a_consumer(
    name: str, accepts: str | None = None, *, of: str = "feed", partitions: dg.PartitionsDefinition | None = DAYS, **options: Any
) -> dg.AssetsDefinition:
    """Keeps what it read: its output is the `read` column of its input."""

    @dg.asset(
        name=name,
        partitions_def=partitions,
        ins={"given": dg.AssetIn(dg.AssetKey.from_user_string(of))},
        metadata={"contracts/accepts": accepts} if accepts else None,
        **options,
    )
    def consumer(given: pd.DataFrame) -> str:
        return str(given["read"].iloc[0])

    return consumer


def value_of(world: World, asset: str, partition: str | None = None, defs: dg.Definitions | None = None) -> Any:
    """What lies in the live place of an asset, read by its own IO manager."""
    return (defs or world.defs).load_asset_value(dg.AssetKey.from_user_string(asset), instance=world.instance, partition_key=partition)


def names(assets: Sequence[object]) -> set[str]:
    return {key.to_user_string() for item in iterate_assets(assets) for key in item.keys}
