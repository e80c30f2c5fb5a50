"""One canary for each thing that `plugin/private` does with what Dagster does not promise. A red one names what has moved."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.utils import NoValueSentinel
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.launcher import RunLauncher
from dagster._core.types.dagster_type import resolve_dagster_type
from dagster._serdes import ConfigurableClass

from dagster_contracts.plugin.private import instances, io_contexts, io_managers, nodes, rebuilding, steps
from tests.plugin.lab import DAYS, QUIET, dagster_home, day


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dagster_home(tmp_path_factory.mktemp("private")) as instance:
        yield instance


def _run(instance: dg.DagsterInstance, *assets: Any, partition: str | None = None, resources: Any = None) -> dg.ExecuteInProcessResult:
    defs = dg.Definitions(
        assets=assets, resources=resources or {"io_manager": dg.FilesystemIOManager(base_dir=instance.storage_directory())}
    )
    return defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, partition_key=partition, raise_on_error=False, run_config=QUIET
    )


def test_an_output_may_be_stored_without_a_materialization(instance: dg.DagsterInstance) -> None:
    """The metadata key that ends a refused batch: the IO manager is called, downstream runs, nothing counts as materialized."""
    stored: list[object] = []

    class Keeps(dg.IOManager):
        def handle_output(self, context: dg.OutputContext, obj: object) -> None:
            stored.append(obj)

        def load_input(self, context: dg.InputContext) -> object:
            return stored[-1]

    @dg.asset
    def refused() -> dg.Output[int]:
        return dg.Output(1, metadata={steps.NO_MATERIALIZATION: True})

    @dg.asset(io_manager_key="other")
    def goes_on(refused: int) -> int:
        return refused + 1

    ran = _run(instance, refused, goes_on, resources={"io_manager": Keeps(), "other": dg.mem_io_manager})
    assert ran.success
    assert stored == [1]
    assert instance.get_latest_materialization_event(dg.AssetKey("refused")) is None
    assert instance.get_latest_materialization_event(dg.AssetKey("goes_on")) is not None


def test_an_op_is_rebuilt_with_all_it_has(instance: dg.DagsterInstance) -> None:
    class Word(dg.Config):
        text: str = "said"

    @dg.asset(
        code_version="3",
        op_tags={"mine": "kept"},
        retry_policy=dg.RetryPolicy(max_retries=3),
        pool="p",
        required_resource_keys={"io_manager"},
    )
    def original(context: dg.AssetExecutionContext, config: Word) -> str:
        """Described."""
        return config.text

    op = original.op
    body = nodes.inner_compute(op)

    def compute(context: Any, inputs: Any) -> Iterator[Any]:
        assert type(context) is dg.AssetExecutionContext
        yield from (dg.Output(f"<{event.value}>") for event in body(context, inputs))

    other = nodes.rebuilt_op(op, compute, ins=op.ins, outs=op.outs, tags={**op.tags, "ours": "too"})
    assert (other.name, other.description, other.pool) == (op.name, op.description, op.pool)
    assert other.retry_policy == op.retry_policy
    assert other.required_resource_keys == op.required_resource_keys
    assert other.config_schema == op.config_schema
    assert other.tags == {**op.tags, "ours": "too"}
    around = rebuilding.assets_around(original, other, {})
    assert around is not original
    assert around.specs_by_key == original.specs_by_key
    assert original.op is op, "the original is not touched"
    assert _run(instance, around).output_for_node("original") == "<said>"


def test_a_graph_is_rebuilt_and_a_shared_op_once(instance: dg.DagsterInstance) -> None:
    @dg.op
    def add(number: int) -> int:
        return number + 1

    @dg.op
    def zero() -> int:
        return 0

    @dg.graph
    def inner(number: int) -> int:
        return add.alias("again")(add(number))

    @dg.graph_asset
    def made() -> int:
        return inner(zero())

    wrapped: list[str] = []

    def wrap(op: dg.OpDefinition) -> dg.OpDefinition:
        wrapped.append(op.name)
        return nodes.rebuilt_op(op, nodes.inner_compute(op), ins=op.ins, outs=op.outs, tags={"seen": "yes"})

    graph = nodes.rebuilt_node(made.node_def, wrap, {})
    assert sorted(wrapped) == ["add", "zero"]
    assert {each.tags["seen"] for each in graph.iterate_op_defs()} == {"yes"}
    assert _run(instance, rebuilding.assets_around(made, graph, {})).output_for_node("made") == 2


def test_checks_are_added_to_an_op_of_their_asset(instance: dg.DagsterInstance) -> None:
    @dg.asset
    def checked() -> int:
        return 1

    spec = dg.AssetCheckSpec("extra", asset="checked")
    name = spec.get_python_identifier()

    def compute(context: Any, inputs: Any) -> Iterator[Any]:
        yield dg.Output(1)
        yield dg.AssetCheckEvaluation(asset_key=dg.AssetKey("checked"), check_name="extra", passed=True, metadata={})
        yield dg.Output(None, output_name=name)

    outs = {**checked.op.outs, name: dg.Out(dg.Nothing, is_required=False)}
    op = nodes.rebuilt_op(checked.op, compute, ins={}, outs=outs, tags={})
    around = rebuilding.assets_around(checked, op, {name: spec})
    assert around.can_subset
    assert list(checked.check_specs) == []
    ran = _run(instance, around)
    assert ran.success
    assert [item.check_name for item in ran.get_asset_check_evaluations()] == ["extra"]


def test_definitions_are_rebuilt(instance: dg.DagsterInstance) -> None:
    defs = dg.Definitions(resources={"one": 1}, metadata={"kept": 1}, executor=dg.in_process_executor)
    other = rebuilding.definitions_with(defs, resources={"two": 2})
    assert other.resources == {"two": 2}
    assert defs.resources == {"one": 1}
    assert other.metadata == defs.metadata
    assert other.executor is defs.executor


def test_an_input_is_made_lazy() -> None:
    given = dg.In(int, description="d", metadata={"columns": ["a"]}, input_manager_key="k", default_value=3)
    lazy = nodes.lazy_input(given)
    assert lazy.to_definition("x").dagster_type.is_any
    assert (lazy.description, lazy.metadata, lazy.input_manager_key, lazy.default_value) == ("d", {"columns": ["a"]}, "k", 3)


def test_targets_of_automations_lose_their_assets() -> None:
    @dg.asset
    def aimed_at() -> int:
        return 1

    schedule = dg.ScheduleDefinition(name="nightly", target=[aimed_at], cron_schedule="0 0 * * *")

    @dg.sensor(target=[aimed_at])
    def watches() -> None: ...

    for automation in (schedule, watches):
        bare, assets = rebuilding.without_own_assets(automation)
        assert assets == [aimed_at]
        assert rebuilding.without_own_assets(bare)[1] == []
        assert rebuilding.without_own_assets(automation)[1] == [aimed_at], "the original is not touched"
        defs = dg.Definitions(
            assets=[aimed_at],
            schedules=[bare] if isinstance(bare, dg.ScheduleDefinition) else [],
            sensors=[bare] if isinstance(bare, dg.SensorDefinition) else [],
        )
        defs.get_repository_def()


def test_io_managers_are_told_from_other_resources() -> None:
    class Plain(dg.IOManager):
        def handle_output(self, context: dg.OutputContext, obj: object) -> None: ...

        def load_input(self, context: dg.InputContext) -> None: ...

    @dg.input_manager
    def reads() -> None: ...

    for manager in (Plain(), dg.FilesystemIOManager(), dg.fs_io_manager, reads):
        assert io_managers.resource_definition(manager) is not None
    for other in (1, dg.ResourceDefinition.hardcoded_resource(1), object()):
        assert io_managers.resource_definition(other) is None


def test_resources_are_wrapped_with_their_lifecycle() -> None:
    ended: list[str] = []

    @dg.io_manager
    def generator(_context: dg.InitResourceContext) -> Iterator[str]:
        yield "made"
        ended.append("generator")

    @contextlib.contextmanager
    def managed(_context: Any) -> Iterator[str]:
        yield "made"
        ended.append("managed")

    context = dg.build_init_resource_context()
    for definition in (generator, dg.IOManagerDefinition(resource_fn=managed)):
        with io_managers.around_resource(definition, context, lambda made: f"<{made}>") as resource:
            assert resource == "<made>"
    assert ended == ["generator", "managed"]
    assert io_managers.around_resource(dg.IOManagerDefinition(resource_fn=lambda: "made"), context, lambda made: f"<{made}>") == "<made>"


class Places(dg.IOManager):
    """Keeps values by asset key and partition, and nothing else."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str | None], object] = {}

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        self.kept[self._place(context)] = obj
        context.add_output_metadata({"path": "/where/it/lies"})

    def load_input(self, context: dg.InputContext) -> object:
        if context.has_asset_partitions and len(context.asset_partition_keys) > 1:
            return {key: self.kept[context.asset_key.to_user_string(), key] for key in context.asset_partition_keys}
        return self.kept[self._place(context)]

    def _place(self, context: Any) -> tuple[str, str | None]:
        return context.asset_key.to_user_string(), context.asset_partition_key if context.has_asset_partitions else None


def test_contexts_copied_read_and_write_elsewhere(instance: dg.DagsterInstance) -> None:
    """Another partition, another key, another type; and what is set aside is read back."""
    places, seen = Places(), {}
    elsewhere = dg.AssetKey(["aside", "source"])

    class Redirects(dg.IOManager):
        wrapped = places

        def handle_output(self, context: dg.OutputContext, obj: object) -> None:
            places.handle_output(context, obj)
            seen["path"] = io_contexts.written_path(context)

        def load_input(self, context: dg.InputContext) -> object:
            before = context.asset_partition_keys
            other = io_contexts.redirected(context, place=None, partitions=[day(1)], dagster_type=None)
            staged = io_contexts.redirected(context, place=elsewhere, partitions=None, dagster_type=None)
            several = io_contexts.redirected(context, place=None, partitions=[day(1), day(2)], dagster_type=None)
            seen["other"] = places.load_input(other)
            seen["staged"] = places.load_input(staged)
            seen["several"] = places.load_input(several)
            assert context.asset_partition_keys == before
            assert context.asset_key == dg.AssetKey("source")
            assert isinstance(io_contexts.loading_step(context), StepExecutionContext)
            return places.load_input(context)

    @dg.asset(partitions_def=DAYS)
    def source(context: dg.AssetExecutionContext) -> str:
        step = steps.step_context(context)
        assert steps.output_asset_key(step, "result") == dg.AssetKey("source")
        assert steps.partitions_def_of(step, dg.AssetKey("source")) == DAYS
        assert steps.run_asset_keys(step) == {dg.AssetKey("source"), dg.AssetKey("reader")}
        assert steps.children(step, dg.AssetKey("source")) == {dg.AssetKey("reader")}
        assert io_managers.io_manager_of(step, "result") is places
        io_managers.set_aside(step, "result", elsewhere, f"aside {context.partition_key}")
        seen["read back"] = io_managers.read_back(step, "result", elsewhere, context.partition_key)
        return f"live {context.partition_key}"

    @dg.asset(partitions_def=DAYS)
    def reader(context: dg.AssetExecutionContext, source: str) -> str:
        assert steps.input_asset_keys(steps.step_context(context)) == {"source": dg.AssetKey("source")}
        return source

    for number in (1, 2):
        ran = _run(instance, source, reader, partition=day(number), resources={"io_manager": Redirects()})
        if number == 2:
            assert ran.success, [event.step_failure_data.error for event in ran.all_events if event.is_step_failure]
    assert seen == {
        "path": "/where/it/lies",
        "other": f"live {day(1)}",
        "staged": f"aside {day(2)}",
        "several": {day(1): f"live {day(1)}", day(2): f"live {day(2)}"},
        "read back": f"aside {day(2)}",
    }


def test_a_late_type_check_raises_as_dagsters_own(instance: dg.DagsterInstance) -> None:
    found: list[str] = []

    @dg.op
    def checks(context: dg.OpExecutionContext) -> None:
        declared = dg.Int
        step = steps.step_context(context)
        steps.input_type(step, resolve_dagster_type(declared), "number", 1)
        with pytest.raises(dg.DagsterTypeCheckDidNotPass, match='Type check failed for input "number" - expected type "Int"') as error:
            steps.input_type(step, resolve_dagster_type(declared), "number", "text")
        found.append(str(error.value))

    @dg.job
    def alone() -> None:
        checks()

    assert alone.execute_in_process(instance=instance, run_config=QUIET).success
    assert found


def test_a_result_knows_whether_it_has_a_value() -> None:
    assert steps.has_value(dg.MaterializeResult(value=None))
    assert not steps.has_value(dg.MaterializeResult())
    assert dg.MaterializeResult().value is NoValueSentinel


def test_the_latest_materialization_is_found(instance: dg.DagsterInstance) -> None:
    key = dg.AssetKey("targeted")
    assert instances.target_of(instance, key, None) is None

    @dg.asset(partitions_def=DAYS)
    def targeted() -> int:
        return 1

    first = _run(instance, targeted, partition=day(1))
    second = _run(instance, targeted, partition=day(2))
    latest, of_day = instances.target_of(instance, key, None), instances.target_of(instance, key, day(1))
    assert latest is not None
    assert of_day is not None
    assert latest.run_id == second.run_id
    assert of_day.run_id == first.run_id


def test_where_runs_are_launched(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    assert instances.runs_on_this_machine(instance)
    (tmp_path / "dagster.yaml").write_text(
        "run_launcher:\n  module: tests.plugin.test_private\n  class: Elsewhere\ntelemetry:\n  enabled: false\n"
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as other:
        assert not instances.runs_on_this_machine(other)


class Elsewhere(RunLauncher, ConfigurableClass):
    """A launcher of other machines."""

    def __init__(self, inst_data: Any = None):
        self._inst_data = inst_data
        super().__init__()

    @property
    def inst_data(self) -> Any:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "Elsewhere":
        return cls(inst_data)

    def launch_run(self, context: Any) -> None: ...

    def terminate(self, run_id: str) -> bool:
        return False


def test_an_observation_is_taken_before_dagster_logs_it(instance: dg.DagsterInstance) -> None:
    """What `context.log_event` is given, of a source's own function; and its version, in a tag."""

    @dg.observable_source_asset(partitions_def=DAYS)
    def source(context: Any) -> dg.DataVersionsByPartition:
        context.log_event(dg.ExpectationResult(success=True, label="mine"))
        return dg.DataVersionsByPartition({day(1): "v1"})

    taken: list[dg.AssetObservation] = []
    observed = rebuilding.observable(source)
    body = nodes.inner_compute(observed.op)

    def compute(context: Any, inputs: Any) -> Iterator[Any]:
        assert steps.is_observing(context)
        yield from body(steps.collecting(context, taken.append), inputs)
        for each in taken:
            context.log_event(steps.with_observed_metadata(each, {"ours": "too"}))

    other = nodes.rebuilt_op(observed.op, compute, ins={}, outs=observed.op.outs, tags={})
    ran = _run(instance, rebuilding.assets_around(observed, other, {}))
    assert ran.success
    assert [(each.partition, steps.observed_version(each)) for each in taken] == [(day(1), "v1")]
    (record,) = instance.fetch_observations(dg.AssetKey("source"), limit=10).records
    assert record.asset_observation is not None
    assert record.asset_observation.metadata["ours"].value == "too"
    assert steps.observed_version(record.asset_observation) == "v1"
    assert [event for event in ran.all_events if event.event_type_value == "STEP_EXPECTATION_RESULT"]


def test_the_io_manager_that_was_chosen_for_what_is_not_made_here() -> None:
    given = {
        "spec": dg.AssetsDefinition(specs=[dg.AssetSpec("spec").with_io_manager_key("mine")]),
        "bare": dg.AssetsDefinition(specs=[dg.AssetSpec("bare")]),
        "source": rebuilding.observable(dg.SourceAsset("source", io_manager_key="mine")),
        "plain": rebuilding.observable(dg.SourceAsset("plain")),
    }
    found = {name: io_managers.chosen_io_manager(each, dg.AssetKey(name)) for name, each in given.items()}
    assert found == {"spec": "mine", "bare": None, "source": "mine", "plain": None}
    assert not any(each.is_executable for each in given.values())
