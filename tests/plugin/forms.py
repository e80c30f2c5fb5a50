"""Every form in which a consumer can be written, over one daily feed. What each makes is the partition it has read.

The forms are built anew for each Definitions, as a user's module would; `accepts` is what all of them say of themselves.
No postponed annotations here: Dagster reads the annotation of a config argument as it stands.
"""

import asyncio
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import PrivateAttr

from tests.plugin.lab import DAYS, Vendor, a_feed

LIFECYCLE: list[str] = []


# --- IO managers, in every form -------------------------------------------------------------------------------------


class Pickles(dg.IOManager):
    """One pickle a partition, under `folder`."""

    def __init__(self, folder: str):
        self.folder = Path(folder)

    def _path(self, context: Any) -> Path:
        return self.folder.joinpath(*context.asset_key.path, str(context.asset_partition_key))

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        self._path(context).parent.mkdir(parents=True, exist_ok=True)
        self._path(context).write_bytes(pickle.dumps(obj))
        context.add_output_metadata({"written_by": type(self).__name__})

    def load_input(self, context: dg.InputContext) -> Any:
        columns = (context.definition_metadata or {}).get("columns")
        value = pickle.loads(self._path(context).read_bytes())
        return value if columns is None else value[columns]


class ConfigurablePickles(dg.ConfigurableIOManager):
    folder: str

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        Pickles(self.folder).handle_output(context, obj)

    def load_input(self, context: dg.InputContext) -> Any:
        return Pickles(self.folder).load_input(context)


class LivingPickles(ConfigurablePickles):
    """With a lifecycle: it refuses to work outside of it."""

    _alive: bool = PrivateAttr(default=False)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        self._alive = True
        LIFECYCLE.append("io manager up")

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        self._alive = False
        LIFECYCLE.append("io manager down")

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        assert self._alive
        super().handle_output(context, obj)


class PicklesFactory(dg.ConfigurableIOManagerFactory[Pickles]):
    folder: str

    def create_io_manager(self, context: dg.InitResourceContext) -> Pickles:
        return Pickles(self.folder)


def io_managers(folder: str) -> dict[str, Any]:
    @dg.io_manager(config_schema={"folder": dg.Field(str, default_value=folder)})
    def with_context(context: dg.InitResourceContext) -> Pickles:
        return Pickles(context.resource_config["folder"])

    @dg.io_manager(required_resource_keys={"folder"})
    def with_resource(context: dg.InitResourceContext) -> Pickles:
        return Pickles(context.resources.folder)

    @dg.io_manager
    def without_context() -> Pickles:
        return Pickles(folder)

    @dg.io_manager
    def generator(context: dg.InitResourceContext) -> Iterator[Pickles]:
        LIFECYCLE.append("generator up")
        try:
            yield Pickles(folder)
        finally:
            LIFECYCLE.append("generator down")

    return {
        "io_instance": Pickles(folder),
        "io_configurable": ConfigurablePickles(folder=folder),
        "io_living": LivingPickles(folder=folder),
        "io_factory": PicklesFactory(folder=folder),
        "io_with_context": with_context,
        "io_with_resource": with_resource,
        "io_without_context": without_context,
        "io_generator": generator,
    }


# --- other resources ------------------------------------------------------------------------------------------------


class Model(dg.ConfigurableResource[Any]):
    word: str
    _up: bool = PrivateAttr(default=False)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        self._up = True

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        LIFECYCLE.append("model down")

    def say(self, text: str) -> str:
        assert self._up
        return f"{self.word}{text}"


@dg.input_manager(input_config_schema={"column": dg.Field(str, default_value="read")})
def reader(context: dg.InputContext) -> list[str]:
    """Reads what Dagster's own file IO manager has written, as a list."""
    assert context.instance is not None
    path = Path(context.instance.storage_directory(), *context.asset_key.path, context.asset_partition_key)
    return list(pickle.loads(path.read_bytes())[context.config["column"]])


@dg.resource
def ledger_book(_context: dg.InitResourceContext) -> Iterator[list[str]]:
    yield ["opened"]
    LIFECYCLE.append("book closed")


class Threshold(dg.Config):
    suffix: str = "!"


def resources(folder: str) -> dict[str, Any]:
    return {
        "io_manager": dg.fs_io_manager,
        "reader": reader,
        "model": Model(word=""),
        "book": ledger_book,
        "folder": dg.ResourceDefinition.hardcoded_resource(folder),
        **io_managers(folder),
    }


# --- the consumers --------------------------------------------------------------------------------------------------

# What each form makes of a feed whose column `read` is "2026-01-01". All but these make that text itself.
MAKES = {"plain": "read:{}", "configured": "{}!", "graph_made": "<[{}]>"}
NOTHING_READ = (
    "deps_only",
    "deps_result",
    "deps_nothing",
    "deps_graph",
)  # they read by themselves: no other partition can be put under them
READ = [
    "plain", "keyworded", "by_input_manager", "configured", "untyped", "multi_a", "multi_b", "part_a", "part_b", "graph_made",
    "graph_left", "graph_right", "asynchronous", "async_generator", "generated", "made_0", "made_1", "retried", "checked",
    "inline_checked", "self_reading", "previous_too", "result_with_value", "writes_itself", "makes_nothing", "by_code", "inline_io",
    "both_upstreams",
    *(f"through_{name}" for name in io_managers("")),
    *(f"child_of_{name}" for name in io_managers("")),
]  # fmt: skip
ASSETS = [*READ, *NOTHING_READ]
VALUELESS = ("writes_itself", "makes_nothing")  # consumers without a value to load


def _read(frame: pd.DataFrame) -> str:
    return str(frame["read"].iloc[0])


def forms(vendor: Vendor, folder: str, accepts: str, days: dg.PartitionsDefinition = DAYS) -> dg.Definitions:
    said: dict[str, Any] = {"contracts/accepts": accepts}
    common: dict[str, Any] = {"partitions_def": days, "metadata": said}
    feed_in = {"feed": dg.AssetIn()}

    @dg.asset(**common, owners=["team:scores"], kinds={"python"}, group_name="scores", code_version="7", tags={"tier": "1"}, pool="p")
    def plain(feed: pd.DataFrame) -> str:
        """A docstring."""
        return f"read:{_read(feed)}"

    @dg.asset(**common, io_manager_key="io_instance")
    def frame_copy(feed: pd.DataFrame) -> pd.DataFrame:
        return feed

    @dg.asset(partitions_def=days, metadata=said, ins={"renamed": dg.AssetIn("frame_copy", metadata={"columns": ["read"]})})
    def keyworded(renamed: pd.DataFrame) -> str:
        assert list(renamed.columns) == ["read"], "the metadata of the input has reached the IO manager"
        return _read(renamed)

    @dg.asset(partitions_def=days, metadata=said, ins={"feed": dg.AssetIn(input_manager_key="reader")})
    def by_input_manager(feed: list[str]) -> str:
        return feed[0]

    @dg.asset(**common)
    def configured(context: dg.AssetExecutionContext, config: Threshold, feed: pd.DataFrame, model: Model) -> str:
        assert context.partition_key
        return model.say(_read(feed)) + config.suffix

    @dg.asset(**common, required_resource_keys={"book"})
    def untyped(context, feed):  # type: ignore[no-untyped-def]
        assert context.resources.book == ["opened"]
        assert type(context) is dg.AssetExecutionContext
        return _read(feed)

    @dg.multi_asset(partitions_def=days, ins=feed_in, outs={"multi_a": dg.AssetOut(metadata=said), "multi_b": dg.AssetOut(metadata=said)})
    def multi(feed: pd.DataFrame) -> tuple[str, str]:
        return _read(feed), _read(feed)

    @dg.multi_asset(
        partitions_def=days,
        ins=feed_in,
        outs={name: dg.AssetOut(metadata=said, is_required=False) for name in ("part_a", "part_b")},
        can_subset=True,
    )
    def parts(context: dg.AssetExecutionContext, feed: pd.DataFrame) -> Iterator[dg.Output[str]]:
        for name in sorted(context.op_execution_context.selected_output_names):
            yield dg.Output(_read(feed), output_name=name)

    @dg.op
    def bracket(text: str) -> str:
        return f"[{text}]"

    @dg.op
    def read_it(feed: pd.DataFrame) -> str:
        return _read(feed)

    @dg.graph
    def inner(feed: pd.DataFrame) -> str:
        return bracket(read_it(feed))

    @dg.op
    def angle(context: dg.OpExecutionContext, text: str) -> str:
        assert type(context) is dg.OpExecutionContext
        return f"<{text}>"

    @dg.graph_asset(partitions_def=days, ins=feed_in, metadata=said)
    def graph_made(feed: pd.DataFrame) -> str:
        return angle(inner(feed))

    @dg.graph_multi_asset(
        partitions_def=days, ins=feed_in, outs={"graph_left": dg.AssetOut(metadata=said), "graph_right": dg.AssetOut(metadata=said)}
    )
    def graph_pair(feed: pd.DataFrame) -> dict[str, Any]:
        return {"graph_left": read_it(feed), "graph_right": read_it.alias("read_again")(feed)}

    @dg.asset(**common)
    async def asynchronous(feed: pd.DataFrame) -> str:
        await asyncio.sleep(0)
        return _read(feed)

    @dg.asset(**common)
    async def async_generator(feed: pd.DataFrame) -> Any:
        await asyncio.sleep(0)
        yield dg.Output(_read(feed))

    @dg.asset(**common)
    def generated(context: dg.AssetExecutionContext, feed: pd.DataFrame) -> Iterator[Any]:
        context.log_event(dg.AssetObservation(asset_key="generated", metadata={"seen": 1}))
        yield dg.Output(_read(feed), metadata={"rows": len(feed)}, tags={"mine": "kept"}, data_version=dg.DataVersion("v-mine"))

    def made(number: int) -> dg.AssetsDefinition:
        @dg.asset(name=f"made_{number}", **common)
        def each(feed: pd.DataFrame) -> str:
            return _read(feed)

        return each

    @dg.asset(**common, retry_policy=dg.RetryPolicy(max_retries=2))
    def retried(context: dg.AssetExecutionContext, feed: pd.DataFrame) -> str:
        if context.retry_number == 0:
            raise ValueError("fails at first")
        return _read(feed)

    @dg.asset(**common)
    def checked(feed: pd.DataFrame) -> str:
        return _read(feed)

    @dg.asset_check(asset=checked, partitions_def=days)
    def checked_is_text(checked: str) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=isinstance(checked, str), metadata={"text": checked})

    @dg.asset(**common, check_specs=[dg.AssetCheckSpec("inline", asset="inline_checked")])
    def inline_checked(feed: pd.DataFrame) -> Iterator[Any]:
        yield dg.Output(_read(feed))
        yield dg.AssetCheckResult(passed=True, metadata={"inline": 1})

    @dg.asset(
        **common,
        ins={"self_reading": dg.AssetIn(partition_mapping=dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1))},
    )
    def self_reading(feed: pd.DataFrame, self_reading: Any) -> str:
        return _read(feed)

    @dg.asset(
        **common,
        ins={"two": dg.AssetIn("feed", partition_mapping=dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True))},
        deps=["elsewhere"],
    )
    def previous_too(two: pd.DataFrame) -> str:
        return _read(two)

    @dg.asset(**common)
    def result_with_value(feed: pd.DataFrame) -> dg.MaterializeResult[str]:
        return dg.MaterializeResult(value=_read(feed), metadata={"rows": len(feed)}, tags={"mine": "kept"})

    @dg.asset(**common, check_specs=[dg.AssetCheckSpec("inline", asset="writes_itself")])
    def writes_itself(feed: pd.DataFrame) -> dg.MaterializeResult:  # type: ignore[type-arg]
        return dg.MaterializeResult(
            metadata={"read": _read(feed)},
            tags={"mine": "kept"},
            data_version=dg.DataVersion("v-self"),
            check_results=[dg.AssetCheckResult(check_name="inline", passed=True)],
        )

    @dg.asset(**common)
    def makes_nothing(context: dg.AssetExecutionContext, feed: pd.DataFrame) -> None:
        context.add_output_metadata({"read": _read(feed)})

    @dg.op
    def by_code_op(feed: pd.DataFrame) -> str:
        return _read(feed)

    by_code = dg.AssetsDefinition.from_op(
        by_code_op, keys_by_output_name={"result": dg.AssetKey("by_code")}, partitions_def=days, metadata_by_output_name={"result": said}
    )

    @dg.asset(
        **common, io_manager_def=dg.IOManagerDefinition.hardcoded_io_manager(Pickles(folder)),
        resource_defs={"own": dg.ResourceDefinition.hardcoded_resource(1)}, required_resource_keys={"own"},
    )  # fmt: skip
    def inline_io(context: dg.AssetExecutionContext, feed: pd.DataFrame) -> str:
        assert context.resources.own == 1
        return _read(feed)

    @dg.asset(**common)
    def both_upstreams(feed: pd.DataFrame, unrelated: int) -> str:
        assert unrelated == 1
        return _read(feed)

    def through(key: str) -> list[dg.AssetsDefinition]:
        @dg.asset(name=f"through_{key}", io_manager_key=key, **common)
        def first(feed: pd.DataFrame) -> str:
            return _read(feed)

        @dg.asset(name=f"child_of_{key}", ins={"text": dg.AssetIn(f"through_{key}", input_manager_key=key)}, **common)
        def second(text: str) -> str:
            return text

        return [first, second]

    @dg.asset(**common, deps=["feed"])
    def deps_only() -> str:
        return "by itself"

    @dg.asset(**common, deps=["feed"])
    def deps_result() -> dg.MaterializeResult:  # type: ignore[type-arg]
        return dg.MaterializeResult(metadata={"rows": 2})

    @dg.op(ins={"start": dg.In(dg.Nothing)})
    def after_it() -> str:
        return "by itself"

    @dg.graph_asset(partitions_def=days, ins={"start": dg.AssetIn("feed", dagster_type=dg.Nothing)}, metadata=said)
    def deps_graph(start: Any) -> str:
        return after_it(start)

    @dg.multi_asset(partitions_def=days, specs=[dg.AssetSpec("deps_nothing", deps=["feed", "elsewhere"], metadata=said)])
    def deps_nothing() -> None: ...

    @dg.asset(partitions_def=days)
    def unrelated() -> int:
        return 1

    @dg.asset(deps=["elsewhere"], partitions_def=days)
    def of_external() -> int:
        return 1

    assets = [
        a_feed(vendor, partitions=days), plain, frame_copy, keyworded, by_input_manager, configured, untyped, multi, parts, graph_made,
        graph_pair, asynchronous, async_generator, generated, made(0), made(1), retried, checked, inline_checked, self_reading,
        previous_too, result_with_value, writes_itself, makes_nothing, by_code, inline_io, both_upstreams,
        *(each for key in io_managers("") for each in through(key)), deps_only, deps_result, deps_nothing, deps_graph, unrelated,
        of_external, dg.AssetSpec("elsewhere", partitions_def=days),
    ]  # fmt: skip
    return dg.Definitions(assets=assets, asset_checks=[checked_is_text], resources=resources(folder))
