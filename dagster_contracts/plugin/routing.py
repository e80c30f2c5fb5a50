"""The IO manager wrapper: reads what the route says, and tells the ledger when a batch has reached the live place.

Dagster loads inputs before any code of a step runs. So a gated step is given a `RoutedInput`, and the step wrapper loads it after the
gate has spoken.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_contracts import routing
from dagster_contracts.core.errors import StorageError, StoreUnavailable
from dagster_contracts.core.ledger import IN_PLACE, Partition, Route, RouteKind, StepKey
from dagster_contracts.core.route import of_several
from dagster_contracts.plugin import storage
from dagster_contracts.plugin.frames import joined
from dagster_contracts.plugin.partitions import partition_of
from dagster_contracts.plugin.private import io_contexts, io_managers, mappings, nodes, steps
from dagster_contracts.windowed import routes_of_window

if TYPE_CHECKING:
    from dagster_contracts.plugin.site import Site

BATCH = "contracts/batch"  # output metadata: the ledger's names of the judged batches, one a line
STATUS = "contracts/status"  # output metadata: "published", as it reads once the batch is written; else what became of it
REPLACES = "contracts/replaces"  # output metadata: the version that stood in the live place before the verdict; "" for none
STAGING = "__contracts_staging__"


RELEASE = "contracts/release"  # run tag: the batch to publish from where it lies
PROBED = "contracts/probe"  # run tag: the breaker to probe; without it, every one of the selected assets


def staging_key(asset: str, fingerprint: str) -> dg.AssetKey:
    """Where a refused batch lies: beside the live data, in the same kind of storage. Its last part is a legal name of a table."""
    return dg.AssetKey([STAGING, *dg.AssetKey.from_user_string(asset).path, fingerprint])


class RoutingIOManager(dg.IOManager):
    """Around the user's IO manager. Values of assets that no contract concerns pass straight through."""

    def __init__(self, wrapped: Any, site: Site):
        self.wrapped = wrapped
        self.site = site

    def handle_output(self, context: dg.OutputContext, obj: Any) -> Any:
        if obj is nodes.NOT_RUN or self.is_set_aside(context):
            return None
        written = self.wrapped.handle_output(context, obj)
        self.confirm(context)
        return written

    def is_set_aside(self, context: dg.OutputContext) -> bool:
        """Whether there is nothing to write: the step has written this output elsewhere, or it stands where its asset has written it."""
        return steps.NO_MATERIALIZATION in context.output_metadata

    def confirm(self, context: dg.OutputContext) -> None:
        """Tell the ledger that a batch stands in the live place now."""
        if BATCH not in context.output_metadata:
            return
        names = _text(context.output_metadata[BATCH]).split("\n")
        version = (io_contexts.written_etag(context) or storage.version_of(io_contexts.written_path(context))) if len(names) == 1 else None
        gate = self.site.gate(context.step_context.instance)
        try:
            for name in names:
                if (row := gate.store.batch(name)) is not None:
                    gate.published(row, version)
        except StoreUnavailable as error:
            if not self.site.admits_without_store([context.asset_key.to_user_string()]):
                raise
            context.log.warning(f"the ledger could not be told that {', '.join(names)} was published: {error}")

    def load_input(self, context: dg.InputContext) -> Any:
        if not context.has_asset_key and is_not_run(self.site, context):
            return nodes.NOT_RUN
        if not context.has_asset_key or (consumers := gated_consumers(context)) is None:
            return self.wrapped.load_input(context)
        return RoutedInput(self, context, consumers)


class YieldingRoutingIOManager(RoutingIOManager):
    """Around an IO manager whose `handle_output` is a generator of events."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> Any:
        if obj is nodes.NOT_RUN or self.is_set_aside(context):
            return
        yield from self.wrapped.handle_output(context, obj)
        self.confirm(context)


def routing_around(manager: Any, site: Site) -> RoutingIOManager:
    """The routing for an IO manager of either form, or for an input manager, which has no `handle_output`."""
    yields = inspect.isgeneratorfunction(getattr(manager, "handle_output", None))
    return YieldingRoutingIOManager(manager, site) if yields else RoutingIOManager(manager, site)


class RoutedInput:
    """An input that has not been loaded yet."""

    def __init__(self, manager: RoutingIOManager, context: dg.InputContext, consumers: Sequence[str]):
        self.manager = manager
        self.context = context
        self.consumers = consumers
        self.upstream = context.asset_key.to_user_string()

    def routes(self) -> list[Route]:
        """Decide (or recall) the route of every partition asked for. Several that are read as one all halt where one of them is not to be
        had, unless the input reads all that there are."""
        places, step, site = self.places(), self.context.step_context, self.manager.site
        omits = len(places) > 1 and mappings.reads_all(step, self.context.asset_key)
        given = input_of(site, self.consumers, self.upstream, omits=omits)
        gate, key = site.gate(step.instance, getattr(self.manager.wrapped, "version_at", None)), step_key(step)
        if len(places) < 2 or omits:
            decided = [routing.route(gate, key, given, place) for place in places]
        else:
            decided = routes_of_window(gate, key, given, places, self._earlier())
        return of_several(decided, omits=omits)

    def _earlier(self) -> Iterator[list[Partition]] | None:
        """What the consumer's partitions before this one read, nearest first; None where they read no windows of time."""
        step, upstream = self.context.step_context, self.context.asset_key
        partitions, windows = steps.partitions_def_of(step, upstream), mappings.earlier_windows(step, upstream)
        return None if windows is None else ([partition_of(key, partitions) for key in keys] for keys in windows)

    def places(self) -> list[Partition]:
        """The partitions that are asked for."""
        partitions = self.context.asset_partitions_def if self.context.has_asset_partitions else None
        keys: Sequence[str | None] = list(self.context.asset_partition_keys) if partitions else [None]
        return [partition_of(key, partitions) for key in keys]

    def load(self, routes: Sequence[Route], dagster_type: Any) -> Any:
        """Read what the routes say. None of them is halted. Raises StorageError where nothing was judged and nothing stands."""
        try:
            return self._read(routes, dagster_type)
        except FileNotFoundError as error:
            unknown = next((route for route in routes if route.kind is RouteKind.UNJUDGED), None)
            if unknown is None:
                raise
            raise StorageError(_NOTHING_THERE.format(self.upstream, unknown.requested, error, unknown.reason)) from error

    def _read(self, routes: Sequence[Route], dagster_type: Any) -> Any:
        place, partitions = None, None
        if len(routes) == 1 and routes[0].staged not in (None, IN_PLACE):
            place = staging_key(self.upstream, routes[0].staged)
        if [route.served for route in routes] != [route.requested for route in routes]:
            partitions = [route.served.key for route in routes if route.served is not None and route.served.key is not None]
        is_earlier = any(route.kind is RouteKind.LAST_GOOD and route.batch_id is not None for route in routes)
        context = io_contexts.redirected(
            self.context, place=place, partitions=partitions or None, dagster_type=dagster_type, is_earlier=is_earlier
        )
        parts = io_contexts.in_ranges(context) if io_managers.reads_by_range(self.manager.wrapped) else [context]
        if len(parts) != 1:
            return joined([self.manager.wrapped.load_input(part) for part in parts])
        value = self.manager.wrapped.load_input(context)
        alone = len(routes) > 1 and partitions is not None and len(partitions) == 1
        # Dagster's file managers give a dict of several partitions, and the bare value of a single one.
        return {partitions[0]: value} if alone and partitions and isinstance(self.manager.wrapped, dg.UPathIOManager) else value


_NOTHING_THERE = (
    "nothing stands in the live place of {0} [{1}] ({2}), and the ledger knows no verdict on it: {3}. Materialize it. If it was judged "
    "before, this is not the database that it was judged with, or an empty one: point BreakerResource(url=...) to that, or restore it; "
    "without it, `dagster-contracts baseline {0}` judges what is stored"
)


def reads_stored(site: Site, step: Any) -> bool:
    """Whether a step of a contracted asset is run to judge or publish what is stored, and not to make anything: in a run that selects only
    its checks, or that releases one of its batches. So does every op of a graph."""
    assets = steps.assets_of_step(step)
    if assets is None or not any(key.to_user_string() in site.terms for key in assets.node_keys_by_output_name.values()):
        return False
    released = step.dagster_run.tags.get(RELEASE, "").partition("|")[0]
    return not assets.keys or released in {key.to_user_string() for key in assets.keys}


def is_not_run(site: Site, context: dg.InputContext) -> bool:
    """Whether an input comes from an op of the same graph that stood aside."""
    step = io_contexts.loading_step(context)
    return step is not None and GATED in step.op_def.tags and reads_stored(site, step)


def gated_consumers(context: dg.InputContext) -> list[str] | None:
    """The assets of the step that loads this input, if the gate stands before it; None where it does not, or where no step loads it."""
    step = io_contexts.loading_step(context)
    if step is None or GATED not in step.op_def.tags:
        return None
    assets = steps.assets_of_step(step)
    if assets is None:
        return None
    own = sorted(key.to_user_string() for key in assets.keys)
    return None if context.asset_key.to_user_string() in own else own


GATED = "contracts/gated"  # tag of the ops that resolve their own inputs


def step_key(step: Any) -> StepKey:
    """All ops of a graph-backed asset share one decision; a retried step decides anew."""
    path = step.node_handle.path
    return StepKey(step.run_id, path[0], step.previous_attempt_count if len(path) == 1 else 0)


def input_of(site: Site, consumers: Sequence[str], upstream: str, *, substitutes: bool = True, omits: bool = False) -> routing.Input:
    """What the assets of one step read of an upstream: one decision for all of them. `substitutes` False: they read by themselves, only the
    live place."""
    accepts = site.accepts(consumers, upstream, substitutes=substitutes)
    return routing.Input(consumers[0], upstream, accepts, site.terms.get(upstream), omits)


def _text(value: Any) -> str:
    return str(getattr(value, "value", value))
