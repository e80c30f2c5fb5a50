"""Contexts of IO managers that are to read something else than their run asked for, and what contexts tell of a write.

A manager may name the partition by whatever its context tells: the input's partitions, the run's partition key, the step, the upstream
output. All of them tell what is served; what can tell only of what was asked for raises, so that nothing else is opened unnoticed.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NoReturn

import dagster as dg
from dagster._core.definitions.partitions.subset import PartitionsSubset

from dagster_contracts.core.errors import UsageError

ETAG = "contracts/etag"  # output metadata: the version of what was written at its `uri`


def redirected(
    context: dg.InputContext,
    *,
    place: dg.AssetKey | None,
    partitions: Sequence[str] | None,
    dagster_type: dg.DagsterType | None,
    is_earlier: bool = False,
) -> dg.InputContext:
    """A copy of an input context that reads another key, other partitions, or as another type. `is_earlier`: what it reads was made
    before what was asked for, even where key and partitions are the same.

    Where the run's partition is the one that was asked for, and one is served, its partition key is that one. Any other one raises
    UsageError when it is looked at, as do the run and the identifier of the upstream output.
    """
    other = copy.copy(context)
    if place is not None:
        other._asset_key = place
    if dagster_type is not None:
        other._dagster_type = dagster_type
    if partitions is not None:
        _serve(other, context, partitions)
    if place is not None or partitions is not None or is_earlier:
        other._upstream_output = _upstream_output(other, place, is_other_run=partitions is not None or is_earlier)
    return other


def own_key(key: str, partitions: dg.PartitionsDefinition) -> str:
    """The key as Dagster would hand it to an IO manager: a multi-dimensional one is stored by its dimensions."""
    return partitions.get_partition_key_from_str(key) if isinstance(partitions, dg.MultiPartitionsDefinition) else key


def set_aside_output(context: dg.OutputContext, place: dg.AssetKey) -> dg.OutputContext:
    """A copy of an output context that writes another key than its own. Managers that go by run and step find another step."""
    other = copy.copy(context)
    other._asset_key = place
    other._step_key = f"{context._step_key}__{place.path[-1]}"
    return other


def loading_step(context: dg.InputContext) -> dg.StepExecutionContext | None:
    """The step that an input is loaded for; None outside of runs."""
    return context._step_context


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


def written_path(context: dg.OutputContext) -> str | None:
    """The path that an IO manager logged for what it has just written, if it logs one, as Dagster's own file managers do."""
    path = context._user_generated_metadata.get("path")
    return None if path is None else str(getattr(path, "value", path))


def written_etag(context: dg.OutputContext) -> str | None:
    """ "address|etag" of the object that an IO manager says it has just written; None where it says nothing of one."""
    told = context._user_generated_metadata
    if ETAG not in told or "uri" not in told:
        return None
    return "|".join(str(getattr(told[name], "value", told[name])) for name in ("uri", ETAG))


def _serve(other: Any, context: dg.InputContext, partitions: Sequence[str]) -> None:
    definition = context.asset_partitions_def
    asked, served = list(context.asset_partition_keys), [own_key(each, definition) for each in partitions]
    other._asset_partitions_subset = definition.empty_subset().with_partition_keys(served)
    other.__class__ = _Input
    if asked == [context._partition_key] and len(served) == 1:
        other._partition_key = served[0]
    else:
        other._untold = _told(other)
    if context._step_context is not None:
        other._step_context = _served_step(context, other)


def _served_step(context: dg.InputContext, other: Any) -> Any:
    step: Any = copy.copy(context._step_context)
    step.__class__ = _Step
    step._asked, step._input, step._subset = context._step_context, context._name, other._asset_partitions_subset
    step._served, step._untold = other._partition_key, other._untold
    return step


def _upstream_output(other: Any, place: dg.AssetKey | None, *, is_other_run: bool) -> Any:
    if (given := other._upstream_output) is None:
        return None
    output: Any = set_aside_output(given, place) if place is not None else copy.copy(given)
    output.__class__ = _Output
    if given._asset_partitions_subset is not None and other._asset_partitions_subset is not None:
        output._asset_partitions_subset = other._asset_partitions_subset
    if given._partition_key is not None:
        output._partition_key, output._untold = other._partition_key, getattr(other, "_untold", "")
    if is_other_run:
        output._untold_run = _told(other)
    return output


def _told(context: dg.InputContext) -> str:
    name = context.asset_key.to_user_string()
    return f"{name} [{', '.join(context.asset_partition_keys[:3])}]" if context.has_asset_partitions else f"an earlier batch of {name}"


def _refuse(what: str, served: str) -> NoReturn:
    raise UsageError(
        f"{served} is served here, and the IO manager asks for {what}, which tells only of what the run asked for. Let its load_input go "
        "by `asset_key` and `asset_partition_keys` of its context, which tell what is served"
    )


# `_untold`: what is served, where the run's partition key cannot tell it; else empty.


class _Input(dg.InputContext):
    """An input context that is served other partitions."""

    _untold = ""

    @property
    def partition_key(self) -> str:
        return _refuse("`partition_key`", self._untold) if self._untold and self.has_partition_key else super().partition_key


class _Output(dg.OutputContext):
    """The upstream output of an input that is served something else."""

    _untold = ""
    _untold_run = ""

    @property
    def partition_key(self) -> str:
        return _refuse("`upstream_output.partition_key`", self._untold) if self._untold else super().partition_key

    @property
    def run_id(self) -> str:
        known = self._run_id is not None and self._untold_run
        return _refuse("the run or identifier of `upstream_output`", self._untold_run) if known else super().run_id


class _Step(dg.StepExecutionContext):
    """The step of an input that is served other partitions. Of other inputs, and of outputs, it tells what the run asks for."""

    _asked: dg.StepExecutionContext
    _input: str | None
    _subset: PartitionsSubset
    _served: str
    _untold: str

    @property
    def partition_key(self) -> str:
        if not self.has_partitions:
            return super().partition_key
        return _refuse("`step_context.partition_key`", self._untold) if self._untold else self._served

    @property
    def partition_key_range(self) -> dg.PartitionKeyRange:
        if self._untold and self.has_partitions:
            _refuse("`step_context.partition_key_range`", self._untold)
        return dg.PartitionKeyRange(self.partition_key, self.partition_key)

    def asset_partitions_subset_for_input(self, input_name: str, **options: Any) -> PartitionsSubset:
        return self._subset if input_name == self._input else self._asked.asset_partitions_subset_for_input(input_name, **options)

    def asset_partition_key_range_for_output(self, output_name: str) -> dg.PartitionKeyRange:
        return self._asked.asset_partition_key_range_for_output(output_name)
