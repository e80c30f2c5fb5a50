"""How long a drill takes: the demo's feed, its latest good partitions, all faults scored, one of each clause group taken to recovery.

    python benchmarks/chaos_drill.py      JSON as that of chaos.py

No postponed annotations here: Dagster reads the annotation of a context as it stands.
"""

import json
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pandas as pd
import report
from machine import machine
from report import Report, Result

from dagster_contracts.plugin.definitions import with_contracts
from dagster_contracts.plugin.demo import vendor
from dagster_contracts.plugin.drill import Drill
from dagster_contracts.plugin.resource import BreakerResource
from dagster_contracts.ports import FixedClock

CONTRACT = Path(__file__).parents[1] / "contracts" / "credit_bureau.odcs.yaml"
FEED = dg.AssetKey("credit_bureau")
_QUIET = {"python_logs": {"python_log_level": "CRITICAL"}}


def main() -> None:
    told, spent, cpu = drilled()
    found = Report("chaos", machine(), [Result(told, "", spent, None, "s"), Result(told, "", cpu, None, "s of CPU")])
    print(json.dumps(report.as_json(found), indent=1))


def drilled() -> tuple[str, float, float]:
    """What the drill did, its seconds, and those of CPU."""
    days = [date(2026, 3, 1) + timedelta(days=number) for number in range(Drill().batches)]
    clock = FixedClock(datetime(2026, 3, 1, tzinfo=UTC))

    @dg.asset(key=FEED, partitions_def=dg.StaticPartitionsDefinition([day.isoformat() for day in days]))
    def feed(context: dg.AssetExecutionContext) -> pd.DataFrame:
        return vendor.frame(date.fromisoformat(context.partition_key))

    with TemporaryDirectory() as folder, dg.DagsterInstance.ephemeral(tempdir=folder, settings=_QUIET) as instance:
        given = dg.Definitions(assets=[feed], resources={"io_manager": dg.FilesystemIOManager(base_dir=folder)})
        breakers = BreakerResource(url=f"sqlite:///{folder}/contracts.db")
        defs = with_contracts(given, CONTRACT, breakers=breakers, clock=clock, drill=Drill(directory=folder))
        for day in days:
            clock.at = datetime(day.year, day.month, day.day, 6, 10, tzinfo=UTC)
            defs.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance, partition_key=day.isoformat())
        began, cpu = time.monotonic(), time.process_time()
        defs.resolve_job_def("contracts_drill").execute_in_process(instance=instance)
        spent, cpu = time.monotonic() - began, time.process_time() - cpu
        told = _told(instance)
    faults, exercises = told["contracts/faults"].value, len(told["contracts/exercises"].records)
    return f"a drill: {faults} faults in {vendor.ROWS:,} rows scored, {exercises} taken to recovery", spent, cpu


def _told(instance: dg.DagsterInstance) -> Any:
    (record,) = instance.fetch_materializations(dg.AssetKey(["contracts_drill", *FEED.path]), limit=1).records
    assert record.asset_materialization is not None
    return record.asset_materialization.metadata


if __name__ == "__main__":
    main()
