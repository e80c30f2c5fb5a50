"""Every use of what Dagster does not make public, in one place, each with a test. Written for Dagster 1.13.

Dagster offers no public way to put code in front of an asset's inputs and behind its outputs however the run starts. What stands
here rebuilds definitions from their own attributes, and copies IO contexts; nothing is patched, and the originals stay as they were.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.definitions.decorators.op_decorator import DecoratedOpFunction
from dagster._core.definitions.external_asset import create_external_asset_from_source_asset
from dagster._core.definitions.job_definition import default_job_io_manager
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.definitions.utils import DEFAULT_IO_MANAGER_KEY, NoValueSentinel
from dagster._core.execution.build_resources import get_mapped_resource_config
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.execution.plan.compute_generator import create_op_compute_wrapper
from dagster._core.execution.plan.outputs import StepOutputHandle
from dagster._core.launcher import DefaultRunLauncher
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster._core.storage.db_io_manager import DbIOManager
from dagster._core.types.dagster_type import DagsterType
from dagster.components.core.component_tree import ComponentTree
from dagster.components.core.decl import ComponentRootDecl, DefsFolderDecl, build_component_decls_from_directory_items
from dagster.components.core.defs_module import ComponentPath, ComponentRootLoc
from dagster_shared.record import replace as replace_record

from dagster_contracts.core.errors import ContractError
from dagster_contracts.plugin.redirected import own_key, redirected, set_aside_output

NO_MATERIALIZATION = SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION  # on an Output: stored, but no materialization is logged
DEFAULT_IO_MANAGER = default_job_io_manager  # what Dagster takes where there is none: files, or what its environment variables name

PARTITION = "dagster/partition"  # run tag

Compute = Callable[[Any, Mapping[str, Any]], Iterator[Any]]
WrapOp = Callable[[dg.OpDefinition], dg.OpDefinition]


def require_known_dagster() -> None:
    """Raises ContractError on a Dagster version whose internals this package does not know."""
    if not dg.__version__.startswith("1.13."):
        raise ContractError(f"dagster {dg.__version__} is installed; this version of dagster-contracts works with dagster 1.13.x")


# --- definitions ---------------------------------------------------------------------------------------------------


def rebuilt_definitions(defs: dg.Definitions, **changes: object) -> dg.Definitions:
    return replace_record(defs, **changes)


def definitions_beneath(context: dg.ComponentLoadContext) -> dg.Definitions:
    """Everything that Dagster would have loaded from the folder of a component, had the component not stood there."""
    module = importlib.import_module(context.defs_relative_module_name(context.path))
    tree = _Beneath(defs_module=module, project_root=context.project_root)
    return rebuilt_definitions(tree.build_defs(ComponentPath.from_path(tree.defs_module_path)), component_tree=None)


class _Beneath(ComponentTree):
    """The tree of a folder without its own `defs.yaml`."""

    def find_root_decl(self) -> ComponentRootDecl:
        context = self.decl_load_context.for_component_loc(ComponentPath.from_path(self.defs_module_path))
        folder = DefsFolderDecl(
            context=context,
            loc=ComponentPath.from_path(self.defs_module_path),
            children=build_component_decls_from_directory_items(context, None),
            source_tree=None,
            component_file_model=None,
        )
        return ComponentRootDecl(context=self.decl_load_context, loc=ComponentRootLoc(), decls=[folder])


def inner_compute(op: dg.OpDefinition) -> Compute:
    """The op's own compute function, as Dagster would call it."""
    return create_op_compute_wrapper(op) if isinstance(op.compute_fn, DecoratedOpFunction) else op.compute_fn


def rebuilt_op(
    op: dg.OpDefinition,
    compute: Compute,
    *,
    ins: Mapping[str, dg.In],
    outs: Mapping[str, dg.Out],
    tags: Mapping[str, str],
    resources: Iterable[str] = (),
) -> dg.OpDefinition:
    """The same op around another compute function."""
    compute.__annotations__.pop("context", None)
    decorated = op.compute_fn if isinstance(op.compute_fn, DecoratedOpFunction) else DecoratedOpFunction(op.compute_fn)
    if decorated.has_context_arg():
        annotation = decorated.get_context_arg().annotation
        if annotation is not inspect.Parameter.empty:
            compute.__annotations__["context"] = annotation  # Dagster picks the context class by it
    compute.__name__ = op.name
    return dg.OpDefinition.dagster_internal_init(
        compute_fn=compute,
        name=op.name,
        ins=dict(ins),
        outs=dict(outs),
        description=op.description,
        config_schema=op.config_schema,
        required_resource_keys={*op.required_resource_keys, *resources},
        tags=tags,
        version=None,
        retry_policy=op.retry_policy,
        code_version=op._version,
        pool=op.pool,
    )


MoreOutputs = Mapping[str, Sequence[str]]  # output of a graph -> names of outputs to be added, from the op that makes it


def rebuilt_node(node: Any, wrap: WrapOp, seen: dict[object, Any], more: MoreOutputs = MappingProxyType({})) -> Any:
    """A node with every op in it wrapped; an op that stands in several places is wrapped once. The wrapped ops have the outputs `more`."""
    if not isinstance(node, dg.GraphDefinition):
        return seen[id(node)] if id(node) in seen else seen.setdefault(id(node), wrap(node))
    name = (id(node), tuple(sorted((output, tuple(added)) for output, added in more.items())))
    if name not in seen:
        seen[name] = _rebuilt_graph(node, wrap, seen, more)
    return seen[name]


def _rebuilt_graph(graph: dg.GraphDefinition, wrap: WrapOp, seen: dict[object, Any], more: MoreOutputs) -> dg.GraphDefinition:
    inner: dict[int, dict[str, Sequence[str]]] = {}
    added_mappings: list[dg.OutputMapping] = []
    for output, added in more.items():
        source = graph.get_output_mapping(output).maps_from
        definition = graph.node_named(source.node_name).definition
        inner.setdefault(id(definition), {})[source.output_name] = added
        added_mappings += [
            dg.OutputMapping(graph_output_name=name, mapped_node_name=source.node_name, mapped_node_output_name=name) for name in added
        ]
    nodes = {id(node): rebuilt_node(node, wrap, seen, inner.get(id(node), {})) for node in graph.node_defs}

    def retyped(mapping: dg.OutputMapping) -> dg.OutputMapping:
        """Dagster wants both ends of one type; without one it takes that of the op."""
        made = nodes[id(graph.node_named(mapping.maps_from.node_name).definition)].output_def_named(mapping.maps_from.output_name)
        return mapping if made.dagster_type is mapping.dagster_type else mapping._replace(dagster_type=None)

    return dg.GraphDefinition(
        name=graph.name,
        description=graph.description,
        node_defs=list(nodes.values()),
        dependencies=graph.dependencies,
        input_mappings=graph.input_mappings,
        output_mappings=[*map(retyped, graph.output_mappings), *added_mappings],
        config=graph.config_mapping,
        tags=graph.tags,
        input_assets=graph._input_assets,
        composition_fn=graph._composition_fn,
    )


def rebuilt_assets(
    assets: dg.AssetsDefinition, node: Any, checks: Mapping[str, dg.AssetCheckSpec], specs: Sequence[dg.AssetSpec] | None = None
) -> dg.AssetsDefinition:
    """The same assets around another node, with checks added that its outputs of those names report, and with other specs if given.

    All at once: Dagster looks through everything again whenever an AssetsDefinition is made, which is most of what loading costs.
    """
    attributes = assets.get_attributes_dict()
    attributes["node_def"] = node
    if specs is not None:
        attributes["specs"] = specs
    if checks:
        attributes["can_subset"] = True
        attributes["check_specs_by_output_name"] = {**(attributes["check_specs_by_output_name"] or {}), **checks}
        attributes["selected_asset_check_keys"] = {*assets.check_keys, *(spec.key for spec in checks.values())}
    return type(assets).dagster_internal_init(**attributes)


def without_own_assets(
    automation: dg.SensorDefinition | dg.ScheduleDefinition,
) -> tuple[dg.SensorDefinition | dg.ScheduleDefinition, list[dg.AssetsDefinition]]:
    """A sensor or schedule whose `target=` holds asset objects, as one that selects them by key, and those objects.

    Dagster would load the objects of the target beside ours, ungoverned.
    """
    targets = automation._targets if isinstance(automation, dg.SensorDefinition) else [automation._target]
    assets = [item for target in targets for item in target.assets_defs if isinstance(item, dg.AssetsDefinition)]
    if not assets:
        return automation, []
    other = copy.copy(automation)
    bare = [target._replace(assets_defs=[]) for target in targets]
    if isinstance(other, dg.SensorDefinition):
        other._targets = bare
    else:
        other._target = bare[0]
    return other, assets


def observable(source: dg.SourceAsset) -> dg.AssetsDefinition:
    """A source asset as the AssetsDefinition that Dagster takes it for: one that is observed, or one that nobody runs."""
    return create_external_asset_from_source_asset(source)


def chosen_io_manager(assets: dg.AssetsDefinition, key: dg.AssetKey) -> str | None:
    """The io_manager_key that was given to an asset; None where it has Dagster's default."""
    found = assets.get_io_manager_key_for_asset_key(key)
    return None if found == DEFAULT_IO_MANAGER_KEY else found


def node_of(assets: dg.AssetsDefinition) -> Any:
    return assets.node_def


def op_that_makes(node: Any, output_name: str) -> dg.OpDefinition:
    """The op behind an output of a node, through nested graphs."""
    while isinstance(node, dg.GraphDefinition):
        source = node.get_output_mapping(output_name).maps_from
        node, output_name = node.node_named(source.node_name).definition, source.output_name
    op: dg.OpDefinition = node
    return op


def ops_of(node: Any) -> list[dg.OpDefinition]:
    """Every op of a node."""
    return [op for inner in node.node_defs for op in ops_of(inner)] if isinstance(node, dg.GraphDefinition) else [node]


class NotRun:
    """What inner ops of a graph hand on in a run that reads what is stored, and makes nothing."""


NOT_RUN = NotRun()


class _OrNotRun(DagsterType):
    """A type of which NOT_RUN is a value too."""

    def __init__(self, declared: DagsterType):
        self._declared = declared
        super().__init__(
            type_check_fn=lambda context, value: value is NOT_RUN or declared.type_check(context, value),
            key=f"{declared.key}_or_not_run",
            description=declared.description,
            typing_type=declared.typing_type,
            required_resource_keys=set(declared.required_resource_keys),
        )

    @property
    def display_name(self) -> str:
        return self._declared.display_name


def nothing_run(op: dg.OpDefinition) -> Iterator[Any]:
    """What an op yields that stands aside: nothing that would be stored. Dynamic outputs have no values then."""
    for name, out in op.output_dict.items():
        if not out.is_dynamic:
            yield dg.Output(None if out.dagster_type.is_nothing else NOT_RUN, output_name=name)


def or_not_run(op: dg.OpDefinition) -> dict[str, dg.Out]:
    """The outputs of an op, of which NOT_RUN is a value too."""
    types = {name: out.dagster_type for name, out in op.output_dict.items()}
    return {n: out if types[n].is_nothing else out._replace(dagster_type=_OrNotRun(types[n])) for n, out in op.outs.items()}


def optional(out: dg.Out) -> dg.Out:
    """The same output, which need not be yielded. Without values a dynamic one stays: what collects it is then run with none."""
    return out if isinstance(out, dg.DynamicOut) else out._replace(is_required=False)


def check_spec(name: str, key: dg.AssetKey, partitions: dg.PartitionsDefinition | None, description: str) -> dg.AssetCheckSpec:
    """A non-blocking check of an asset's partitions. Dagster calls partitioned checks a preview and would warn of each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        return dg.AssetCheckSpec(name, asset=key, blocking=False, partitions_def=partitions, description=description)


def resource_definition(resource: object) -> dg.IOManagerDefinition | dg.InputManagerDefinition | None:
    """The definition behind an IO manager or input manager resource, in whichever of its forms; None for any other resource."""
    if isinstance(resource, dg.IOManager) and not hasattr(resource, "get_resource_definition"):
        return dg.IOManagerDefinition.hardcoded_io_manager(resource)
    definition = resource.get_resource_definition() if hasattr(resource, "get_resource_definition") else resource
    return definition if isinstance(definition, dg.IOManagerDefinition | dg.InputManagerDefinition) else None


def lazy_input(given: dg.In) -> dg.In:
    """The same input, of which Dagster is not told the type."""
    return replace_record(given, dagster_type=dg.Any)


def around_resource(definition: dg.ResourceDefinition, context: Any, wrap: Callable[[Any], Any]) -> Any:
    """What a resource definition makes, wrapped: a value, or a context manager around one."""
    takes_context = bool(inspect.signature(definition.resource_fn).parameters)
    made: Any = definition.resource_fn(context) if takes_context else definition.resource_fn()  # type: ignore[call-arg]
    if inspect.isgenerator(made):
        made = contextlib.contextmanager(lambda generator: generator)(made)
    return _entered(made, wrap) if isinstance(made, contextlib.ContextDecorator) else wrap(made)


@contextlib.contextmanager
def _entered(made: Any, wrap: Callable[[Any], Any]) -> Iterator[Any]:
    with made as resource:
        yield wrap(resource)


# --- execution -----------------------------------------------------------------------------------------------------


def op_context(context: Any) -> Any:
    return getattr(context, "op_execution_context", context)


def step_context(context: Any) -> StepExecutionContext:
    step: StepExecutionContext = op_context(context)._step_execution_context
    return step


def is_observing(context: Any) -> bool:
    """Whether a step observes sources, and makes nothing."""
    assets = assets_of_step(step_context(context))
    return assets is not None and assets.is_observable


def collecting(context: Any, collect: Callable[[dg.AssetObservation], None]) -> Any:
    """The context of a body whose observations go to `collect`: what is logged is in Dagster's event log at once, and stays as it is."""
    other = copy.copy(context)

    def log_event(event: Any) -> None:
        if isinstance(event, dg.AssetObservation):
            collect(event)
        else:
            context.log_event(event)

    other.log_event = log_event
    return other


def observed_version(observation: dg.AssetObservation) -> str | None:
    return (observation.tags or {}).get(DATA_VERSION_TAG)


def with_observed_metadata(observation: dg.AssetObservation, told: Mapping[str, Any]) -> dg.AssetObservation:
    return dg.AssetObservation(
        asset_key=observation.asset_key,
        description=observation.description,
        metadata={**observation.metadata, **told},
        partition=observation.partition,
        tags=observation.tags,
    )


def loading_step(context: dg.InputContext) -> StepExecutionContext | None:
    """The step that an input is loaded for; None outside of runs."""
    return context._step_context


def assets_of_step(step: StepExecutionContext) -> dg.AssetsDefinition | None:
    return step.job_def.asset_layer.get_assets_def_for_node(step.node_handle)


def own_outputs(step: StepExecutionContext, assets: dg.AssetsDefinition) -> dict[dg.AssetKey, str]:
    """The assets that this very op makes, of all that its definition has, with the names of the op's outputs."""
    computation = assets._computation
    assert computation is not None
    own = tuple(step.node_handle.path[1:])
    found: dict[dg.AssetKey, str] = {}
    for name, key in computation.keys_by_output_name.items():
        output, handle = computation.full_node_def.resolve_output_to_origin(name, None)
        if (tuple(handle.path) if handle is not None else ()) == own:
            found[key] = output.name
    return found


def output_asset_key(step: StepExecutionContext, output_name: str) -> dg.AssetKey | None:
    return step.job_def.asset_layer.get_asset_key_for_node_output(step.node_handle, output_name)


def is_check(step: StepExecutionContext, output_name: str) -> bool:
    """Whether an output stands for an asset check."""
    return step.job_def.asset_layer.get_asset_check_key_for_node_output(step.node_handle, output_name) is not None


def input_asset_keys(step: StepExecutionContext) -> dict[str, dg.AssetKey]:
    """The assets that a step's inputs come from, of an op within a graph too."""
    layer = step.job_def.asset_layer
    found = {name: layer.get_asset_key_for_node_input(step.node_handle, name) for name in step.op_def.input_dict}
    return {name: key for name, key in found.items() if key is not None}


def resource_of(step: StepExecutionContext, name: str) -> object:
    """A resource of a running step; None where its op does not ask for one of that name."""
    return step.scoped_resources_builder.build(step.op_def.required_resource_keys)._asdict().get(name)


def mapping_to(step: StepExecutionContext, assets: dg.AssetsDefinition, upstream: dg.AssetKey) -> dg.PartitionMapping:
    """How partitions of the assets of a step stand to those of an upstream: as declared, else as Dagster takes them to."""
    readers = [spec.key for spec in assets.specs if any(dep.asset_key == upstream for dep in spec.deps)]
    return assets.infer_partition_mapping((readers or list(assets.keys))[0], upstream, partitions_def_of(step, upstream))


def reads_all(step: StepExecutionContext, upstream: dg.AssetKey) -> bool:
    """Whether the assets of a step are made from all partitions of an upstream, whichever there are."""
    assets = assets_of_step(step)
    return assets is not None and isinstance(mapping_to(step, assets, upstream), dg.AllPartitionMapping)


def earlier_windows(step: StepExecutionContext, upstream: dg.AssetKey) -> Iterator[list[str]]:
    """The partitions of an upstream that the partitions before that of this run are made from, nearest first. None where the run makes
    several partitions, or where the mapping is not one of time windows."""
    assets, own, above = (
        assets_of_step(step),
        step.entity_partitions_def if step.has_partitions else None,
        partitions_def_of(step, upstream),
    )
    if assets is None or not isinstance(own, dg.TimeWindowPartitionsDefinition) or above is None or not step.has_partition_key:
        return
    mapping = mapping_to(step, assets, upstream)
    if not isinstance(mapping, dg.TimeWindowPartitionMapping):
        return
    with partition_loading_context(dynamic_partitions_store=step.instance):
        keys = own.get_partition_keys()
        for key in reversed(keys[: keys.index(step.partition_key)]):
            asked = own.empty_subset().with_partition_keys([key])
            mapped = mapping.get_upstream_mapped_partitions_result_for_partitions(asked, own, above)
            yield list(mapped.partitions_subset.get_partition_keys())


def asset_graph(context: dg.SensorEvaluationContext) -> Any:
    """The assets of the code location that a sensor stands in."""
    assert context.repository_def is not None
    return context.repository_def.asset_graph


def partitions_below(
    graph: Any, instance: dg.DagsterInstance, upstream: dg.AssetKey, consumer: dg.AssetKey, partition: str | None
) -> list[str | None]:
    """The partitions of a consumer that are made from one of an upstream (None: unpartitioned), of those that there are by now."""
    above, below = graph.get(upstream).partitions_def, graph.get(consumer).partitions_def
    with partition_loading_context(dynamic_partitions_store=instance):
        if below is None:
            return [None]
        if above is None or partition is None:
            return [below.get_last_partition_key()]
        if not above.has_partition_key(partition):
            return []
        asked = above.empty_subset().with_partition_keys([partition])
        mapping = graph.get_partition_mapping(consumer, upstream)
        found = mapping.get_downstream_partitions_for_partitions(asked, above, below)
        return [key for key in found.get_partition_keys() if below.has_partition_key(key)]


def partitions_above(
    graph: Any, instance: dg.DagsterInstance, upstream: dg.AssetKey, consumer: dg.AssetKey, partition: str | None
) -> list[str | None]:
    """The partitions of an upstream that one of a consumer is made from (None: unpartitioned)."""
    above, below = graph.get(upstream).partitions_def, graph.get(consumer).partitions_def
    if above is None:
        return [None]
    with partition_loading_context(dynamic_partitions_store=instance):
        asked = None if below is None or partition is None else below.empty_subset().with_partition_keys([partition])
        mapping = graph.get_partition_mapping(consumer, upstream)
        return list(
            mapping.get_upstream_mapped_partitions_result_for_partitions(asked, below, above).partitions_subset.get_partition_keys()
        )


def is_automated(assets: dg.AssetsDefinition, key: dg.AssetKey) -> bool:
    """Whether Dagster starts an asset by itself."""
    return assets.specs_by_key[key].automation_condition is not None


def is_automation_on(context: dg.SensorEvaluationContext) -> bool:
    """Whether any sensor that evaluates automation conditions is on in this code location."""
    assert context.repository_def is not None
    here = getattr(context.code_location_origin, "location_name", None)
    found = [sensor for sensor in context.repository_def.sensor_defs if isinstance(sensor, dg.AutomationConditionSensorDefinition)]
    known = {
        state.instigator_name: state.status
        for state in context.instance.all_instigator_state()
        if here in (None, state.origin.repository_origin.code_location_origin.location_name)
    }
    running = (InstigatorStatus.RUNNING, InstigatorStatus.DECLARED_IN_CODE)
    default = {sensor.name: sensor.default_status is dg.DefaultSensorStatus.RUNNING for sensor in found}
    return any(known[name] in running if name in known else is_on for name, is_on in default.items())


def mapped_partitions(step: StepExecutionContext, assets: dg.AssetsDefinition, upstream: dg.AssetKey) -> list[str]:
    """The partitions of an upstream that the partitions of this run are made from."""
    above, own = partitions_def_of(step, upstream), step.entity_partitions_def if step.has_partitions else None
    assert above is not None
    with partition_loading_context(dynamic_partitions_store=step.instance):
        asked = own.empty_subset().with_partition_key_range(own, step.partition_key_range) if own is not None else None
        mapping = mapping_to(step, assets, upstream)
        mapped = mapping.get_upstream_mapped_partitions_result_for_partitions(asked, own, above)
        return list(mapped.partitions_subset.get_partition_keys())


def has_value(result: dg.MaterializeResult[Any]) -> bool:
    return result.value is not NoValueSentinel


def partitions_def_of(step: StepExecutionContext, key: dg.AssetKey) -> dg.PartitionsDefinition | None:
    layer = step.job_def.asset_layer
    return layer.get(key).partitions_def if layer.has(key) else None


def assets_of_job(job: dg.JobDefinition) -> set[dg.AssetKey]:
    return set(job.asset_layer.selected_asset_keys)


def run_asset_keys(step: StepExecutionContext) -> set[dg.AssetKey]:
    """Every asset that this run makes."""
    return assets_of_job(step.job_def)


def children(step: StepExecutionContext, key: dg.AssetKey) -> set[dg.AssetKey]:
    return set(step.job_def.asset_layer.asset_graph.get(key).child_keys)


def drive(body: Any, step: StepExecutionContext) -> Iterator[Any]:
    """Iterate what a compute function gave: a generator, an async generator, or None."""
    if body is None:
        return
    if not inspect.isasyncgen(body):
        yield from body
        return
    while True:
        try:
            event = step.event_loop.run_until_complete(body.__anext__())
        except StopAsyncIteration:
            return
        yield event


def set_aside(step: StepExecutionContext, output_name: str, place: dg.AssetKey, value: object) -> None:
    """Write a value through the user's own IO manager to another asset key than its own."""
    handle = StepOutputHandle(step.step.key, output_name)
    context = set_aside_output(step.get_output_context(handle, {}), place)
    context._user_generated_metadata = {}
    written = io_manager_of(step, output_name).handle_output(context, value)
    if inspect.isgenerator(written):
        for _ in written:
            continue


def read_back(step: StepExecutionContext, output_name: str, place: dg.AssetKey, partition: str | None) -> Any:
    """Read a value that `set_aside` wrote."""
    output = step.get_output_context(StepOutputHandle(step.step.key, output_name), {})
    ranged = {} if partition is None else _partitioned(partition, output.asset_partitions_def)
    context = dg.build_input_context(
        asset_key=place,
        dagster_type=output.dagster_type,
        instance=step.instance,
        definition_metadata=output.definition_metadata,
        upstream_output=output if place == output.asset_key else set_aside_output(output, place),
        resource_config=output.resource_config,
        **ranged,
    )
    context._log = step.log
    return io_manager_of(step, output_name).load_input(context)


def _partitioned(partition: str, partitions: dg.PartitionsDefinition) -> dict[str, Any]:
    key = own_key(partition, partitions)
    return {
        "partition_key": key,
        "asset_partition_key_range": dg.PartitionKeyRange(key, key),
        "asset_partitions_def": partitions,
    }


def has_no_value(step: StepExecutionContext, output_name: str) -> bool:
    """Whether an output only says that something was made."""
    return step.op_def.output_def_named(output_name).dagster_type.is_nothing


def io_manager_key(step: StepExecutionContext, output_name: str) -> str:
    return step.op_def.output_def_named(output_name).io_manager_key


def written_path(context: dg.OutputContext) -> str | None:
    """The path that an IO manager logged for what it has just written, if it logs one, as Dagster's own file managers do."""
    path = context._user_generated_metadata.get("path")
    return None if path is None else str(getattr(path, "value", path))


ETAG = "contracts/etag"  # output metadata: the version of what was written at its `uri`


def written_etag(context: dg.OutputContext) -> str | None:
    """ "address|etag" of the object that an IO manager says it has just written; None where it says nothing of one."""
    told = context._user_generated_metadata
    if ETAG not in told or "uri" not in told:
        return None
    return "|".join(str(getattr(told[name], "value", told[name])) for name in ("uri", ETAG))


def version_in_place(step: StepExecutionContext, output_name: str) -> str | None:
    """What stands in the live place of an output, "" for nothing; None where the user's IO manager has no versions to tell of."""
    ask = getattr(io_manager_of(step, output_name), "version_in_place", None)
    return None if ask is None else str(ask(step.get_output_context(StepOutputHandle(step.step.key, output_name), {})))


def reads_by_range(manager: object) -> bool:
    """Whether an IO manager reads several partitions of a table by the first and the last of them."""
    return isinstance(manager, DbIOManager)


def in_ranges(context: dg.InputContext) -> list[dg.InputContext]:
    """The same read as several, each of partitions without a gap between them. Of several dimensions, each partition is one."""
    definition = context.asset_partitions_def if context.has_asset_partitions else None
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        subset = definition.empty_subset().with_partition_keys(context.asset_partition_keys)
        ranges = subset.get_partition_key_ranges(definition)
        parts = [definition.get_partition_keys_in_range(each) for each in ranges]
    elif isinstance(definition, dg.MultiPartitionsDefinition):
        parts = [[each] for each in context.asset_partition_keys]
    else:
        return [context]
    return [context] if len(parts) <= 1 else [redirected(context, place=None, partitions=each, dagster_type=None) for each in parts]


def io_manager_of(step: StepExecutionContext, output_name: str) -> Any:
    """The user's IO manager of an output, without the routing around it."""
    manager = step.get_io_manager(StepOutputHandle(step.step.key, output_name))
    return getattr(manager, "wrapped", manager)


def input_type(step: StepExecutionContext, declared: DagsterType, name: str, value: object) -> None:
    """Dagster's own type check of an input, for inputs that were loaded later than Dagster would have."""
    result = declared.type_check(step.for_type(declared), value)
    if not result.success:
        raise dg.DagsterTypeCheckDidNotPass(  # type: ignore[no-untyped-call]
            description=f'Type check failed for input "{name}" - expected type "{declared.display_name}". {result.description or ""}',
            dagster_type=declared,
            metadata=result.metadata,
        )


def storage_context(
    assets: dg.AssetsDefinition,
    key: dg.AssetKey,
    place: dg.AssetKey,
    partition: str | None,
    instance: dg.DagsterInstance,
    config: Any = None,
) -> dg.InputContext:
    """An input context outside of any run: reads `place` as the user's IO manager, of this config, would read the asset `key`."""
    output = assets.node_def.output_def_named(assets.get_output_name_for_asset_key(key))
    definition = assets.specs_by_key[key].partitions_def
    ranged = _partitioned(partition, definition) if partition is not None and definition is not None else {}
    return dg.build_input_context(
        asset_key=place,
        dagster_type=output.dagster_type,
        instance=instance,
        definition_metadata=assets.specs_by_key[key].metadata,
        upstream_output=dg.build_output_context(asset_key=place, definition_metadata=dict(assets.specs_by_key[key].metadata)),
        resource_config=config,
        **ranged,
    )


def config_of(name: str, resource: object) -> Any:
    """The configuration of an IO manager resource, as its contexts have it; None where it is no definition."""
    definition = resource_definition(resource)
    return None if definition is None else get_mapped_resource_config({name: definition}, {})[name].config


def job_of(defs: dg.Definitions, keys: set[dg.AssetKey], checks: set[dg.AssetCheckKey] | None = None) -> dg.JobDefinition:
    """A job of these assets, and of all their checks or just of `checks`."""
    return defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=keys, asset_check_selection=checks)


def target_of(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None
) -> AssetCheckEvaluationTargetMaterializationData | None:
    """The latest materialization of an asset's partition, as what a check evaluation speaks of."""
    wanted = key if partition is None else dg.AssetRecordsFilter(key, asset_partitions=[partition])
    records = instance.fetch_materializations(wanted, limit=1).records
    if not records:
        return None
    found = records[0]
    return AssetCheckEvaluationTargetMaterializationData(
        run_id=found.event_log_entry.run_id, storage_id=found.storage_id, timestamp=found.timestamp
    )


def runs_on_this_machine(instance: dg.DagsterInstance) -> bool:
    """Whether all runs of the instance are launched where its files are."""
    return isinstance(instance.run_launcher, DefaultRunLauncher)


def iterate_assets(assets: Iterable[object] | None) -> list[dg.AssetsDefinition]:
    return [item for item in assets or [] if isinstance(item, dg.AssetsDefinition)]


def made_together(assets: Iterable[object] | None) -> dict[dg.AssetKey, list[dg.AssetKey]]:
    """The assets that Dagster makes only together with others, each with all of them."""
    several = [item for item in iterate_assets(assets) if len(item.keys) > 1 and not item.can_subset]
    return {key: sorted(item.keys) for item in several for key in item.keys}
