"""Resources that store and load: wrapped as they are, chosen or not, and the one behind an output of a step."""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.job_definition import default_job_io_manager
from dagster._core.definitions.utils import DEFAULT_IO_MANAGER_KEY
from dagster._core.execution.build_resources import get_mapped_resource_config
from dagster._core.execution.plan.outputs import StepOutputHandle
from dagster._core.storage.db_io_manager import DbIOManager

from dagster_contracts.plugin.private.io_contexts import own_key, set_aside_output

if TYPE_CHECKING:
    from upath import UPath

logger = logging.getLogger("dagster_contracts.plugin")
DEFAULT_IO_MANAGER = default_job_io_manager  # what Dagster takes where there is none: files, or what its environment variables name


def resource_definition(resource: object) -> dg.IOManagerDefinition | dg.InputManagerDefinition | None:
    """The definition behind an IO manager or input manager resource, in whichever of its forms; None for any other resource."""
    if isinstance(resource, dg.IOManager) and not hasattr(resource, "get_resource_definition"):
        return dg.IOManagerDefinition.hardcoded_io_manager(resource)
    definition = resource.get_resource_definition() if hasattr(resource, "get_resource_definition") else resource
    return definition if isinstance(definition, dg.IOManagerDefinition | dg.InputManagerDefinition) else None


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


def config_of(name: str, resource: object) -> Any:
    """The configuration of an IO manager resource, as its contexts have it; None where it is no definition."""
    definition = resource_definition(resource)
    return None if definition is None else get_mapped_resource_config({name: definition}, {})[name].config


def chosen_io_manager(assets: dg.AssetsDefinition, key: dg.AssetKey) -> str | None:
    """The io_manager_key that was given to an asset; None where it has Dagster's default."""
    found = assets.get_io_manager_key_for_asset_key(key)
    return None if found == DEFAULT_IO_MANAGER_KEY else found


def has_chosen_io_manager(step: dg.StepExecutionContext, output_name: str) -> bool:
    return step.op_def.output_def_named(output_name).io_manager_key != DEFAULT_IO_MANAGER_KEY


def io_manager_of(step: dg.StepExecutionContext, output_name: str) -> Any:
    """The user's IO manager of an output, without the routing around it."""
    manager = step.get_io_manager(StepOutputHandle(step.step.key, output_name))
    return getattr(manager, "wrapped", manager)


def reads_by_range(manager: object) -> bool:
    """Whether an IO manager reads several partitions of a table by the first and the last of them."""
    return isinstance(manager, DbIOManager)


def places_of(manager: dg.UPathIOManager, context: dg.OutputContext) -> list[UPath]:
    """Where a manager of files puts an output: a place for each partition."""
    return [*manager._get_paths_for_partitions(context).values()] if context.has_asset_partitions else [manager._get_path(context)]


def version_in_place(step: dg.StepExecutionContext, output_name: str) -> str | None:
    """What stands in the live place of an output, "" for nothing; None where the user's IO manager has no versions to tell of."""
    ask = getattr(io_manager_of(step, output_name), "version_in_place", None)
    return None if ask is None else str(ask(_output_context(step, output_name)))


def set_aside(step: dg.StepExecutionContext, output_name: str, place: dg.AssetKey, value: object) -> None:
    """Write a value through the user's own IO manager to another asset key than its own."""
    context = set_aside_output(_output_context(step, output_name), place)
    context._user_generated_metadata = {}
    written = io_manager_of(step, output_name).handle_output(context, value)
    if inspect.isgenerator(written):
        for _ in written:
            continue


def read_back(step: dg.StepExecutionContext, output_name: str, place: dg.AssetKey, partition: str | None) -> Any:
    """Read a value that `set_aside` wrote."""
    output = _output_context(step, output_name)
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


def storage_context(
    assets: dg.AssetsDefinition,
    key: dg.AssetKey,
    place: dg.AssetKey,
    partition: str | None,
    instance: dg.DagsterInstance,
    config: Any = None,
) -> dg.InputContext:
    """An input context outside of any run: reads `place` as the user's IO manager, of this config, would read the asset `key`. What that
    manager logs below a warning is told to nobody: Dagster's own log would print a line or two of each partition."""
    output = assets.node_def.output_def_named(assets.get_output_name_for_asset_key(key))
    definition = assets.specs_by_key[key].partitions_def
    ranged = _partitioned(partition, definition) if partition is not None and definition is not None else {}
    context = dg.build_input_context(
        asset_key=place,
        dagster_type=output.dagster_type,
        instance=instance,
        definition_metadata=assets.specs_by_key[key].metadata,
        upstream_output=dg.build_output_context(asset_key=place, definition_metadata=dict(assets.specs_by_key[key].metadata)),
        resource_config=config,
        **ranged,
    )
    context._log = logger  # type: ignore[assignment]
    return context


def _output_context(step: dg.StepExecutionContext, output_name: str) -> dg.OutputContext:
    return step.get_output_context(StepOutputHandle(step.step.key, output_name), {})


def _partitioned(partition: str, partitions: dg.PartitionsDefinition) -> dict[str, Any]:
    key = own_key(partition, partitions)
    return {
        "partition_key": key,
        "asset_partition_key_range": dg.PartitionKeyRange(key, key),
        "asset_partitions_def": partitions,
    }
