"""Every kind of asset in one code location, governed: what processes of Dagster load, and what is run in process.

What the vendor delivers badly stands in the file `bad` of a folder, a partition key (or, unpartitioned, an asset) a line. Each contracted
asset has consumers: `stale_X` accepts the last good data, `full_X` nothing else than fresh data; both are `eager()`.

`-f` this file with COVERAGE_FOLDER set. COVERAGE_END is the first day that is not there yet. With COVERAGE_AT_ONCE a backfill of an asset
is one run, and there are consumers of every condition (READERS); with COVERAGE_AUTOMATED the sensor that evaluates conditions is on, too.

No postponed annotations here: Dagster reads the annotation of a context as it stands.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd
from dagster._core.storage.fs_io_manager import PickledObjectFilesystemIOManager

from dagster_contracts import BreakerResource, with_contracts
from dagster_contracts.ports import Clock
from tests.plugin import forms
from tests.plugin.lab import Vendor, contract_text

FIRST = date(2026, 1, 1)
DAYS = dg.DailyPartitionsDefinition(FIRST.isoformat(), end_date=os.environ.get("COVERAGE_END", "2026-03-02"))  # 60 of them
STATIC = dg.StaticPartitionsDefinition([f"s{number}" for number in range(60)])
DYNAMIC = dg.DynamicPartitionsDefinition(name="files")
BY_VENDOR = dg.MultiPartitionsDefinition({"day": DAYS, "vendor": dg.StaticPartitionsDefinition(["acme", "best"])})
CONTRACTS, BAD, ASKED, LIVE, UNREACHABLE = "contracts", "bad", "asked.json", "live", "unreachable"
OBSERVED = "observed"  # the file that says which partition of an observable source is there
PARTITIONS: Mapping[str, dg.PartitionsDefinition | None] = {
    "daily": DAYS, "static": STATIC, "dynamic": DYNAMIC, "multi": BY_VENDOR, "none": None, "sources": DAYS,
}  # fmt: skip
SOURCES = ("f_external", "f_observable")  # that are looked at before each launch, which makes their consumers alone
AT_ONCE = "COVERAGE_AT_ONCE" in os.environ
POLICY: dict[str, Any] = {"backfill_policy": dg.BackfillPolicy.single_run()} if AT_ONCE else {}
EAGER = dg.AutomationCondition.eager()
CRON = 240  # seconds between the ticks of on_cron()
READERS: Mapping[str, tuple[str, dg.AutomationCondition]] = {  # first part of a consumer's name -> what it accepts, what starts it
    "stale": ("stale", EAGER),
    "full": ("full", EAGER),
    "cron": ("stale", dg.AutomationCondition.on_cron(f"*/{CRON // 60} * * * *")),
    "checked": ("full", EAGER & dg.AutomationCondition.all_deps_blocking_checks_passed()),
}
SENSOR = "automation"
if TYPE_CHECKING:
    Frame = pd.DataFrame
else:
    Frame = Any if AT_ONCE else pd.DataFrame  # of one partition a frame, of several a dict


class FileVendor(Vendor):
    """Delivers as the file `bad` says, to whichever process asks; nothing while there is a file `unreachable`."""

    def __init__(self, folder: Path):
        self.file = folder / BAD
        self.cut_off = folder / UNREACHABLE

    def frame(self, key: str) -> pd.DataFrame:
        if self.cut_off.exists():
            raise ConnectionError("the vendor does not answer")
        return super().frame(key)

    @property
    def bad(self) -> set[str]:  # type: ignore[override]
        return set(self.file.read_text().split("\n")) if self.file.exists() else set()


def by_partition(keys: Sequence[str], read: Callable[[str], Any]) -> Any:
    """What is read of one partition; of several, a dict."""
    found = {key: read(key) for key in keys}
    return found if len(found) > 1 else found[keys[0]]


class Ranged(PickledObjectFilesystemIOManager):
    """Dagster's own file manager, which also takes a dict of partitions where a run has several."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        if not (context.has_asset_partitions and isinstance(obj, dict)):
            super().handle_output(context, obj)
            return
        for key, path in self._get_paths_for_partitions(context).items():
            self.make_directory(path.parent)
            self.dump_to_path(context, obj[key], path)


class Written(dg.ConfigurableIOManager):
    """Reads what assets have written by themselves."""

    folder: str

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        raise AssertionError("nothing is handed to it here")

    def load_input(self, context: dg.InputContext) -> Any:
        return by_partition(context.asset_partition_keys, lambda key: read_written(Path(self.folder), context.asset_key.path[-1], key))


class Delivered(dg.ConfigurableIOManager):
    """Reads what the vendor delivers, where nobody here has fetched it."""

    folder: str

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        raise AssertionError("nothing is handed to it here")

    def load_input(self, context: dg.InputContext) -> Any:
        return by_partition(context.asset_partition_keys, FileVendor(Path(self.folder)).frame)


def read_written(folder: Path, asset: str, partition: str | None) -> pd.DataFrame:
    return pd.DataFrame(json.loads((folder / LIVE / asset / f"{partition}.json").read_text()))


def _write(folder: Path, asset: str, partition: str, frame: pd.DataFrame) -> None:
    path = folder / LIVE / asset / f"{partition}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(frame.to_dict("list")))


# --- contracted assets, one of each kind -----------------------------------------------------------------------------


def feeds(vendor: Vendor, folder: Path) -> list[Any]:
    daily: dict[str, Any] = {"partitions_def": DAYS, **POLICY}

    def delivered(context: Any) -> Any:
        return by_partition(context.partition_keys, vendor.frame)

    @dg.asset(**daily, deps=["elsewhere"])
    def f_deps(context: dg.AssetExecutionContext) -> Frame:
        return delivered(context)

    @dg.asset(**daily)
    def f_result(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Frame]:
        return dg.MaterializeResult(value=delivered(context), metadata={"rows": 2})

    @dg.asset(**daily)
    def f_written(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        for key in context.partition_keys:
            _write(folder, "f_written", key, vendor.frame(key))
        return dg.MaterializeResult(metadata={"rows": 2})

    @dg.asset(**daily)
    def f_configured(context: dg.AssetExecutionContext, config: forms.Threshold, model: forms.Model) -> Frame:
        assert (config.suffix, model.say("x")) == ("!", "x")
        return delivered(context)

    @dg.multi_asset(**daily, outs={"f_left": dg.AssetOut(), "f_right": dg.AssetOut()})
    def f_two(context: dg.AssetExecutionContext) -> tuple[Frame, Frame]:
        return delivered(context), delivered(context)

    @dg.multi_asset(**daily, outs={name: dg.AssetOut(is_required=False) for name in ("f_part", "f_rest")}, can_subset=True)
    def f_parts(context: dg.AssetExecutionContext) -> Iterator[dg.Output[Frame]]:
        for name in sorted(context.op_execution_context.selected_output_names & {"f_part", "f_rest"}):
            yield dg.Output(delivered(context), output_name=name)

    @dg.op
    def fetch(context: dg.OpExecutionContext) -> Frame:
        return delivered(context)

    @dg.op
    def clean(raw: Frame) -> Frame:
        return raw

    @dg.graph
    def cleaned() -> Frame:
        return clean(fetch())

    @dg.graph_asset(**daily)
    def f_graph() -> Frame:
        return clean.alias("again")(cleaned())

    @dg.graph_multi_asset(**daily, outs={"f_pair": dg.AssetOut(), "f_other": dg.AssetOut()})
    def f_pairs() -> dict[str, Any]:
        raw = fetch()
        return {"f_pair": clean.alias("one")(raw), "f_other": clean.alias("other")(raw)}

    @dg.asset(**daily)
    async def f_async(context: dg.AssetExecutionContext) -> Frame:
        return delivered(context)

    @dg.asset(**daily)
    def f_generated(context: dg.AssetExecutionContext) -> Iterator[Any]:
        for key in context.partition_keys:
            context.log_event(dg.AssetObservation(asset_key="f_generated", partition=key, metadata={"seen": 1}))
        yield dg.Output(delivered(context), data_version=dg.DataVersion(" ".join(context.partition_keys)))

    def made(name: str) -> dg.AssetsDefinition:
        @dg.asset(name=name, **daily)
        def each(context: dg.AssetExecutionContext) -> Frame:
            return delivered(context)

        return each

    @dg.asset(**daily, check_specs=[dg.AssetCheckSpec("own", asset="f_checked")])
    def f_checked(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield dg.Output(delivered(context))
        yield dg.AssetCheckResult(passed=True)

    @dg.observable_source_asset
    def f_observed() -> dg.DataVersion:
        return dg.DataVersion("1")

    @dg.asset(**daily, deps=[f_observed])
    def f_of_observed(context: dg.AssetExecutionContext) -> Frame:
        return delivered(context)

    def keyed(name: str, partitions: dg.PartitionsDefinition | None) -> dg.AssetsDefinition:
        @dg.asset(name=name, partitions_def=partitions, **(POLICY if partitions else {}))
        def each(context: dg.AssetExecutionContext) -> Frame:
            return delivered(context) if partitions else vendor.frame(name)

        return each

    @dg.observable_source_asset(partitions_def=DAYS)
    def f_observable() -> dg.DataVersionsByPartition:
        key = (folder / OBSERVED).read_text()
        return dg.DataVersionsByPartition({key: "bad" if key in vendor.bad else "good"})

    families = [keyed(f"f_{name}", each) for name, each in PARTITIONS.items() if name not in ("daily", "sources")]
    return [
        made("feed"), f_deps, f_result, f_written, f_configured, f_two, f_parts, f_graph, f_pairs, f_async, f_generated, made("f_made"),
        f_checked, f_observed, f_of_observed, *families, dg.AssetSpec("f_external", partitions_def=DAYS), f_observable,
    ]  # fmt: skip


FEEDS: Mapping[str, str] = {  # contracted asset -> family
    **dict.fromkeys(
        [
            "feed", "f_deps", "f_result", "f_written", "f_configured", "f_left", "f_right", "f_part", "f_graph", "f_pair", "f_async",
            "f_generated", "f_made", "f_checked", "f_of_observed",
        ],
        "daily",
    ),
    **{f"f_{name}": name for name in PARTITIONS if name not in ("daily", "sources")},
    **dict.fromkeys(SOURCES, "sources"),
}  # fmt: skip


def consumers(names: Sequence[str]) -> list[dg.AssetsDefinition]:
    def reader(of: str, word: str) -> dg.AssetsDefinition:
        given = dg.AssetIn(of, input_manager_key="written" if of == "f_written" else "delivered" if of in SOURCES else None)
        accepts, condition = READERS[word]
        partitions = PARTITIONS[FEEDS[of]]

        @dg.asset(
            name=f"{word}_{of}",
            partitions_def=partitions,
            ins={"given": given},
            metadata={"contracts/accepts": accepts},
            automation_condition=condition,
            **(POLICY if partitions else {}),
        )
        def each(given: Frame) -> Any:
            return {key: _read(frame) for key, frame in given.items()} if isinstance(given, dict) else _read(given)

        return each

    return [reader(of, word) for of in names for word in (READERS if AT_ONCE else ("stale", "full"))]


def _read(frame: pd.DataFrame) -> str:
    return str(frame["read"].iloc[0])


def in_every_form(vendor: Vendor, folder: Path) -> dg.Definitions:
    """Consumers of `feed`, which is made here. Those that are looked at are `eager()`, where conditions are."""
    given = forms.forms(vendor, str(folder / "pickles"), "stale", DAYS)
    own = [item for item in given.assets or [] if not isinstance(item, dg.AssetsDefinition) or dg.AssetKey("feed") not in item.keys]

    def automated(spec: dg.AssetSpec) -> dg.AssetSpec:
        chosen = AT_ONCE and spec.key.to_user_string() in ROWS_OF_READERS
        return spec.replace_attributes(automation_condition=EAGER) if chosen else spec

    return dg.Definitions(
        assets=dg.map_asset_specs(automated, own) if AT_ONCE else own,  # type: ignore[type-var]
        asset_checks=given.asset_checks,
        resources={**(given.resources or {}), "io_manager": Ranged(str(folder / "storage"))},
    )


def mapped() -> list[dg.AssetsDefinition]:
    """Consumers of other partitions of `feed` than their own."""

    def reader(name: str, mapping: dg.PartitionMapping | None, partitions: dg.PartitionsDefinition | None, **metadata: Any) -> Any:
        given = dg.AssetIn("feed", partition_mapping=mapping, metadata=metadata)

        @dg.asset(name=name, partitions_def=partitions, ins={"given": given}, metadata={"contracts/accepts": "stale"})
        def each(given: Any) -> list[str]:
            frames = given.values() if isinstance(given, dict) else [given]
            return sorted(str(frame["read"].iloc[0]) for frame in frames)

        return each

    window = dg.TimeWindowPartitionMapping
    return [
        reader("previous_day", window(start_offset=-1, end_offset=-1), DAYS),
        reader("two_days", window(start_offset=-1), DAYS),
        reader("all_days", dg.AllPartitionMapping(), None, allow_missing_partitions=True),
    ]


# --- the location ----------------------------------------------------------------------------------------------------


def automations(assets: Sequence[dg.AssetsDefinition], family: str) -> tuple[dg.SensorDefinition, dg.ScheduleDefinition]:
    """A sensor and a schedule that hold the assets of a family themselves, and start what the file `asked.json` says."""

    def asked(by: str) -> Any:
        file = Path(os.environ.get("COVERAGE_FOLDER", "")) / ASKED
        told = json.loads(file.read_text()) if file.exists() else {}
        if (told.get("family"), told.get("by")) != (family, by):  # both are on in one session
            return dg.SkipReason("nothing is asked for")
        return dg.RunRequest(
            run_key=told["run_key"],
            partition_key=told["partition"],
            asset_selection=[dg.AssetKey.from_user_string(key) for key in told["assets"]],
            tags={"coverage": told["run_key"]},
        )

    @dg.sensor(name=f"sensor_{family}", target=assets, minimum_interval_seconds=1)
    def sensor(context: dg.SensorEvaluationContext) -> Any:
        return asked("sensor")

    @dg.schedule(name=f"schedule_{family}", target=assets, cron_schedule="* * * * *")
    def schedule(context: dg.ScheduleEvaluationContext) -> Any:
        return asked("schedule")

    return sensor, schedule


def ungoverned(folder: Path) -> dg.Definitions:
    vendor = FileVendor(folder)
    given = in_every_form(vendor, folder)
    own = [*feeds(vendor, folder), *consumers(list(FEEDS)), *mapped()]
    both = [automations(_aimed_at([*(given.assets or []), *own], name), name) for name in PARTITIONS]
    return dg.Definitions(
        assets=[*(given.assets or []), *own],
        asset_checks=given.asset_checks,
        resources={**(given.resources or {}), "written": Written(folder=str(folder)), "delivered": Delivered(folder=str(folder))},
        executor=dg.in_process_executor,
        sensors=[*(sensor for sensor, _ in both), *conditions()],
        schedules=[schedule for _, schedule in both],
        jobs=[
            *(dg.define_asset_job(f"all_{name}", selection=of_family(name)) for name in PARTITIONS),
            *(
                dg.define_asset_job(f"steps_{name}", selection=of_family(name), executor_def=dg.multiprocess_executor)
                for name in PARTITIONS
            ),
        ],
    )


def conditions() -> list[dg.SensorDefinition]:
    """The sensor that evaluates all conditions, where there are to be any."""
    if not AT_ONCE:
        return []
    status = dg.DefaultSensorStatus.RUNNING if "COVERAGE_AUTOMATED" in os.environ else dg.DefaultSensorStatus.STOPPED
    return [dg.AutomationConditionSensorDefinition(SENSOR, target="*", default_status=status, minimum_interval_seconds=10)]


def _aimed_at(assets: Sequence[Any], family: str) -> list[dg.AssetsDefinition]:
    wanted = {dg.AssetKey(name) for name in of_family(family)}
    return [item for item in assets if isinstance(item, dg.AssetsDefinition) and wanted & set(item.keys)]


def of_family(name: str) -> list[str]:
    """Every asset of these partitions that a launch is to make."""
    own = [key for of, family in FEEDS.items() if family == name for key in (of, f"stale_{of}", f"full_{of}") if key not in SOURCES]
    return [*own, *ROWS_OF_READERS] if name == "daily" else own


# Consumers of `feed` in every form -> what a refused batch leaves them: the last good data, or nothing.
ROWS_OF_READERS: Mapping[str, str] = {
    **dict.fromkeys(
        [
            "plain", "result_with_value", "writes_itself", "makes_nothing", "configured", "multi_a", "multi_b", "part_a", "graph_made",
            "graph_left", "graph_right", "asynchronous", "async_generator", "generated", "made_0", "checked", "inline_checked",
        ],
        "stale",
    ),
    "deps_only": "halted",
    "deps_result": "halted",
    "deps_graph": "halted",
}  # fmt: skip


def contracts() -> list[str]:
    return [contract_text(name) for name in FEEDS]


def definitions(folder: Path, url: str, clock: Clock | None = None) -> dg.Definitions:
    return with_contracts(
        ungoverned(folder),
        contracts=folder / CONTRACTS,
        breakers=BreakerResource(url=url),
        readers={
            "f_written": lambda partition: read_written(folder, "f_written", partition),
            **dict.fromkeys(SOURCES, lambda partition: FileVendor(folder).frame(str(partition))),
        },
        clock=clock,
    )


def elsewhere(url: str, clock: Clock | None = None) -> dg.Definitions:
    """Another code location, without a contract file: its consumer reads `feed`."""

    @dg.asset(partitions_def=DAYS, metadata={"contracts/accepts": "stale"})
    def far(feed: pd.DataFrame) -> str:
        return str(feed["read"].iloc[0])

    given = dg.Definitions(assets=[far, dg.AssetSpec("feed", partitions_def=DAYS)], executor=dg.in_process_executor)
    return with_contracts(given, contracts=[], breakers=BreakerResource(url=url), clock=clock)


def job_of(folder: str, url: str, name: str) -> dg.JobDefinition:
    return definitions(Path(folder), url).resolve_job_def(name)


if os.environ.get("COVERAGE_FOLDER"):
    _folder = Path(os.environ["COVERAGE_FOLDER"])
    defs = definitions(_folder, f"sqlite:///{_folder}/contracts.db")
