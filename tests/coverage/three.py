"""Three of the kinds of `location.py` again, with the same names and contracts: made in ranges of partitions by one run, and read by
consumers that Dagster's daemon starts by their automation conditions.

`-f` this file with COVERAGE_OF_THREE set; COVERAGE_END is the first day that is not there yet, and COVERAGE_AUTOMATED starts the sensor of
the conditions. No postponed annotations here: Dagster reads the annotation of a context as it stands.
"""

import os
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from dagster._core.storage.fs_io_manager import PickledObjectFilesystemIOManager

from dagster_contracts import BreakerResource, with_contracts
from tests.coverage.location import CONTRACTS, FEEDS, FIRST, FileVendor
from tests.plugin.lab import Vendor

NAMES = ("feed", "f_left", "f_right", "f_graph")
SENSOR = "automation"
EAGER = dg.AutomationCondition.eager()
CONDITIONS = {
    "stale": EAGER,
    "full": EAGER,
    "cron": dg.AutomationCondition.on_cron("*/2 * * * *"),
    "checked": EAGER & dg.AutomationCondition.all_deps_blocking_checks_passed(),
}
ACCEPTS = {"stale": "stale", "full": "full", "cron": "stale", "checked": "full"}


class Ranged(PickledObjectFilesystemIOManager):
    """Dagster's own file manager, which also takes a dict of partitions where a run has several."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        if not (context.has_asset_partitions and isinstance(obj, dict)):
            super().handle_output(context, obj)
            return
        for key, path in self._get_paths_for_partitions(context).items():
            self.make_directory(path.parent)
            self.dump_to_path(context, obj[key], path)


def assets(vendor: Vendor, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    at_once: dict[str, Any] = {"partitions_def": days, "backfill_policy": dg.BackfillPolicy.single_run()}

    def delivered(context: Any) -> Any:
        frames = {key: vendor.frame(key) for key in context.partition_keys}
        return frames if len(frames) > 1 else next(iter(frames.values()))

    @dg.asset(**at_once)
    def feed(context: dg.AssetExecutionContext) -> Any:
        return delivered(context)

    @dg.multi_asset(**at_once, outs={"f_left": dg.AssetOut(), "f_right": dg.AssetOut()})
    def f_two(context: dg.AssetExecutionContext) -> tuple[Any, Any]:
        return delivered(context), delivered(context)

    @dg.op
    def fetch(context: dg.OpExecutionContext) -> Any:
        return delivered(context)

    @dg.op
    def clean(raw: Any) -> Any:
        return raw

    @dg.graph
    def cleaned() -> Any:
        return clean(fetch())

    @dg.graph_asset(**at_once)
    def f_graph() -> Any:
        return clean.alias("again")(cleaned())

    def reader(of: str, word: str) -> dg.AssetsDefinition:
        @dg.asset(
            name=f"{word}_{of}",
            ins={"given": dg.AssetIn(of)},
            metadata={"contracts/accepts": ACCEPTS[word]},
            automation_condition=CONDITIONS[word],
            **at_once,
        )
        def each(given: Any) -> Any:
            return {key: _read(frame) for key, frame in given.items()} if isinstance(given, dict) else _read(given)

        return each

    return [feed, f_two, f_graph, *(reader(of, word) for of in NAMES for word in CONDITIONS)]


def _read(frame: pd.DataFrame) -> str:
    return str(frame["read"].iloc[0])


def definitions(folder: Path, end: str, *, automated: bool) -> dg.Definitions:
    status = dg.DefaultSensorStatus.RUNNING if automated else dg.DefaultSensorStatus.STOPPED
    days = dg.DailyPartitionsDefinition(FIRST.isoformat(), end_date=end)
    numbers = [list(FEEDS).index(name) for name in NAMES]
    return with_contracts(
        dg.Definitions(
            assets=assets(FileVendor(folder), days),
            resources={"io_manager": Ranged(str(folder / "storage"))},
            executor=dg.in_process_executor,
            sensors=[dg.AutomationConditionSensorDefinition(SENSOR, target="*", default_status=status, minimum_interval_seconds=10)],
        ),
        contracts=[folder / CONTRACTS / f"{number}.odcs.yaml" for number in numbers],
        breakers=BreakerResource(url=f"sqlite:///{folder}/contracts.db"),
    )


if "COVERAGE_OF_THREE" in os.environ:
    defs = definitions(
        Path(os.environ["COVERAGE_OF_THREE"]),
        os.environ.get("COVERAGE_END", "2026-03-02"),
        automated="COVERAGE_AUTOMATED" in os.environ,
    )
