"""A running step: what it makes, what that is made from, and what its body gives."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.definitions.utils import NoValueSentinel

from dagster_contracts.plugin.private.rebuilding import assets_of_job

NO_MATERIALIZATION = SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION  # on an Output: stored, but no materialization is logged


def op_context(context: Any) -> Any:
    return getattr(context, "op_execution_context", context)


def running_step(context: Any) -> dg.StepExecutionContext | None:
    """The step that the context of an asset's own function is of; None outside of runs."""
    return getattr(op_context(context), "_step_execution_context", None)


def step_context(context: Any) -> dg.StepExecutionContext:
    step: dg.StepExecutionContext = op_context(context)._step_execution_context
    return step


def drive(body: Any, step: dg.StepExecutionContext) -> Iterator[Any]:
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


def assets_of_step(step: dg.StepExecutionContext) -> dg.AssetsDefinition | None:
    return step.job_def.asset_layer.get_assets_def_for_node(step.node_handle)


def own_outputs(step: dg.StepExecutionContext, assets: dg.AssetsDefinition) -> dict[dg.AssetKey, str]:
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


def output_asset_key(step: dg.StepExecutionContext, output_name: str) -> dg.AssetKey | None:
    return step.job_def.asset_layer.get_asset_key_for_node_output(step.node_handle, output_name)


def is_check(step: dg.StepExecutionContext, output_name: str) -> bool:
    """Whether an output stands for an asset check."""
    return step.job_def.asset_layer.get_asset_check_key_for_node_output(step.node_handle, output_name) is not None


def has_no_value(step: dg.StepExecutionContext, output_name: str) -> bool:
    """Whether an output only says that something was made."""
    return step.op_def.output_def_named(output_name).dagster_type.is_nothing


def has_value(result: dg.MaterializeResult[Any]) -> bool:
    return result.value is not NoValueSentinel


def input_asset_keys(step: dg.StepExecutionContext) -> dict[str, dg.AssetKey]:
    """The assets that a step's inputs come from, of an op within a graph too."""
    layer = step.job_def.asset_layer
    found = {name: layer.get_asset_key_for_node_input(step.node_handle, name) for name in step.op_def.input_dict}
    return {name: key for name, key in found.items() if key is not None}


def input_type(step: dg.StepExecutionContext, declared: dg.DagsterType, name: str, value: object) -> None:
    """Dagster's own type check of an input, for inputs that were loaded later than Dagster would have."""
    result = declared.type_check(step.for_type(declared), value)
    if not result.success:
        raise dg.DagsterTypeCheckDidNotPass(  # type: ignore[no-untyped-call]
            description=f'Type check failed for input "{name}" - expected type "{declared.display_name}". {result.description or ""}',
            dagster_type=declared,
            metadata=result.metadata,
        )


def resource_of(step: dg.StepExecutionContext, name: str) -> object:
    """A resource of a running step; None where its op does not ask for one of that name."""
    return step.scoped_resources_builder.build(step.op_def.required_resource_keys)._asdict().get(name)


def run_asset_keys(step: dg.StepExecutionContext) -> set[dg.AssetKey]:
    """Every asset that this run makes."""
    return assets_of_job(step.job_def)


def children(step: dg.StepExecutionContext, key: dg.AssetKey) -> set[dg.AssetKey]:
    return set(step.job_def.asset_layer.asset_graph.get(key).child_keys)


def partitions_def_of(step: dg.StepExecutionContext, key: dg.AssetKey) -> dg.PartitionsDefinition | None:
    layer = step.job_def.asset_layer
    return layer.get(key).partitions_def if layer.has(key) else None
