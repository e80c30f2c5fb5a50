"""Which partitions of an upstream which partitions of a consumer are made from: in a step, and seen from a sensor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from dagster_contracts.plugin.private.steps import assets_of_step, partitions_def_of


def asset_graph(context: dg.SensorEvaluationContext) -> Any:
    """The assets of the code location that a sensor stands in."""
    assert context.repository_def is not None
    return context.repository_def.asset_graph


def partitions_below(
    graph: Any, instance: dg.DagsterInstance, upstream: dg.AssetKey, consumer: dg.AssetKey, partition: str | None
) -> list[str | None]:
    """The partitions of a consumer that are made from one of an upstream (None: unpartitioned), of those that there are by now."""
    above, below = graph.get(upstream).partitions_def, graph.get(consumer).partitions_def
    with dg.partition_loading_context(dynamic_partitions_store=instance):
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
    with dg.partition_loading_context(dynamic_partitions_store=instance):
        asked = None if below is None or partition is None else below.empty_subset().with_partition_keys([partition])
        mapping = graph.get_partition_mapping(consumer, upstream)
        return [*_made_from(mapping, asked, below, above)]


def reads_all(step: dg.StepExecutionContext, upstream: dg.AssetKey) -> bool:
    """Whether the assets of a step are made from all partitions of an upstream, whichever there are."""
    assets = assets_of_step(step)
    return assets is not None and isinstance(_mapping_to(step, assets, upstream), dg.AllPartitionMapping)


def mapped_partitions(step: dg.StepExecutionContext, assets: dg.AssetsDefinition, upstream: dg.AssetKey) -> list[str]:
    """The partitions of an upstream that the partitions of this run are made from."""
    above, own = partitions_def_of(step, upstream), step.entity_partitions_def if step.has_partitions else None
    assert above is not None
    with dg.partition_loading_context(dynamic_partitions_store=step.instance):
        asked = own.empty_subset().with_partition_key_range(own, step.partition_key_range) if own is not None else None
        mapping = _mapping_to(step, assets, upstream)
        return _made_from(mapping, asked, own, above)


def earlier_windows(step: dg.StepExecutionContext, upstream: dg.AssetKey) -> Iterator[list[str]] | None:
    """The partitions of an upstream that the partitions before that of this run are made from, nearest first. None where the run makes
    several partitions, or where the mapping is not one of time windows."""
    assets, own, above = (
        assets_of_step(step),
        step.entity_partitions_def if step.has_partitions else None,
        partitions_def_of(step, upstream),
    )
    if assets is None or not isinstance(own, dg.TimeWindowPartitionsDefinition) or above is None or not step.has_partition_key:
        return None
    mapping = _mapping_to(step, assets, upstream)
    return _windows_before(step, mapping, own, above) if isinstance(mapping, dg.TimeWindowPartitionMapping) else None


def _windows_before(
    step: dg.StepExecutionContext, mapping: dg.PartitionMapping, own: dg.PartitionsDefinition, above: dg.PartitionsDefinition
) -> Iterator[list[str]]:
    with dg.partition_loading_context(dynamic_partitions_store=step.instance):
        keys = own.get_partition_keys()
        for key in reversed(keys[: keys.index(step.partition_key)]):
            asked = own.empty_subset().with_partition_keys([key])
            yield _made_from(mapping, asked, own, above)


def _mapping_to(step: dg.StepExecutionContext, assets: dg.AssetsDefinition, upstream: dg.AssetKey) -> dg.PartitionMapping:
    """How partitions of the assets of a step stand to those of an upstream: as declared, else as Dagster takes them to."""
    readers = [spec.key for spec in assets.specs if any(dep.asset_key == upstream for dep in spec.deps)]
    return assets.infer_partition_mapping((readers or list(assets.keys))[0], upstream, partitions_def_of(step, upstream))


def _made_from(mapping: dg.PartitionMapping, asked: Any, own: dg.PartitionsDefinition | None, above: dg.PartitionsDefinition) -> list[str]:
    """The partitions of an upstream that those `asked` of a consumer are made from; None: the consumer has none, or all are asked for."""
    mapped = mapping.get_upstream_mapped_partitions_result_for_partitions(asked, own, above)
    return list(mapped.partitions_subset.get_partition_keys())
