"""Dagster partition keys as places in time."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from dagster_contracts.core.ledger import UNPARTITIONED, Partition
from dagster_contracts.plugin.private import steps


def partition_of(key: str | None, partitions: dg.PartitionsDefinition | None) -> Partition:
    """The partition `key` of `partitions`, with its window where there is a time dimension."""
    if key is None or partitions is None:
        return UNPARTITIONED if key is None else Partition(key)
    if isinstance(partitions, dg.TimeWindowPartitionsDefinition):
        window = partitions.time_window_for_partition_key(key)
        return Partition(key, _utc(window.start), _utc(window.end))
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        return _multi(key, partitions)
    return Partition(key)


def partitions_of_run(step: dg.StepExecutionContext, key: dg.AssetKey) -> list[Partition]:
    """The partitions of an asset that the run of a step makes, where it makes that asset."""
    partitions = steps.partitions_def_of(step, key)
    if partitions is None or not step.has_partitions:
        return [UNPARTITIONED]
    with dg.partition_loading_context(dynamic_partitions_store=step.instance):
        return [partition_of(each, partitions) for each in partitions.get_partition_keys_in_range(step.partition_key_range)]


def alone(value: object, key: str | None) -> object:
    """The value of one partition, also where it is a dict of that partition alone: assets that make any number of them return such."""
    return value[key] if isinstance(value, dict) and list(value) == [key] else value


def _multi(key: str, partitions: dg.MultiPartitionsDefinition) -> Partition:
    by_name = {definition.name: definition.partitions_def for definition in partitions.partitions_defs}
    values = partitions.get_partition_key_from_str(key).keys_by_dimension
    timed = [partition_of(values[name], by_name[name]) for name in values if isinstance(by_name[name], dg.TimeWindowPartitionsDefinition)]
    others = tuple(
        sorted((name, value) for name, value in values.items() if not isinstance(by_name[name], dg.TimeWindowPartitionsDefinition))
    )
    return Partition(key, timed[0].start if timed else None, timed[0].end if timed else None, others)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
