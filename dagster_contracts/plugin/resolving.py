"""`resolve`: the route of a body that reads its upstream by itself, such as one that only names it in `deps=`.

Nothing can be put under such a body. So it says in its metadata that it asks (`contracts/resolves: true`); the gate then leaves those
upstreams to it, and sees to it that it has asked before an output of it is passed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dagster_contracts import routing
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.errors import StoreUnavailable, UsageError, did_you_mean
from dagster_contracts.core.ledger import IN_PLACE, Partition, Route, RouteKind
from dagster_contracts.plugin.halting import halt
from dagster_contracts.plugin.partitions import partition_of
from dagster_contracts.plugin.private import mappings, steps
from dagster_contracts.plugin.routing import input_of, staging_key, step_key
from dagster_contracts.plugin.running_step import RunningStep
from dagster_contracts.plugin.site import RESOLVES, RESOURCE, Site


@dataclass(frozen=True, slots=True)
class Resolved:
    """What to read of one partition of an upstream.

    `partition_key` is the partition to read, `requested` the one that was asked for (None: unpartitioned); `confidence` what the data is
    worth, `kind` the route, `reason` a sentence for people where it is not simply fresh. `asset_key` is where an IO manager finds it: the
    upstream's own key, or the place beside where a refused batch lies. `path` is the local file of the published batch, where its IO
    manager told one; else None.
    """

    upstream: str
    partition_key: str | None
    requested: str | None
    kind: RouteKind
    confidence: Confidence
    asset_key: dg.AssetKey
    path: str | None
    reason: str


def resolve(context: Any, upstream: str | dg.AssetKey, partition_key: str | None = None) -> Resolved:
    """What the running asset reads of `upstream`, decided by its breaker and recorded as the route of this step.

    For a body that reads storage by itself. Its asset says so: `metadata={"contracts/resolves": True}`. `upstream` is an asset key
    ("vendor/feed"), `partition_key` one of its partitions; without it, the one that the asset's partition maps to.

    Raises dg.Failure, as for any input, where the asset may read nothing: it is halted, which is recorded. Raises UsageError where the
    asset does not say that it resolves, where no contract concerns it, where `upstream` is none of its upstreams, and where several
    partitions are mapped to and none is named.
    """
    name = upstream.to_user_string() if isinstance(upstream, dg.AssetKey) else upstream
    running = RunningStep(_site(context), context)
    site = running.site
    if name not in (known := upstreams(site, running.consumers)):
        told = did_you_mean(name, known) or f"; it has: {', '.join(known) or 'none'}"
        raise UsageError(f'resolve: "{name}" is no upstream of {", ".join(running.consumers)}{told}'.rstrip(","))
    requested = _requested(running.step, running.assets, dg.AssetKey.from_user_string(name), partition_key)
    route = routing.route(running.gate, step_key(running.step), input_of(site, running.consumers, name), requested)
    if route.kind is RouteKind.HALTED or route.confidence is None:
        halt(running, _decided(running) or [route])
    assert route.confidence is not None
    read = route.served or requested
    beside = route.staged is not None and route.staged != IN_PLACE
    key = staging_key(name, str(route.staged)) if beside else dg.AssetKey.from_user_string(name)
    path = None if beside else _path(running, route)
    return Resolved(name, read.key, requested.key, route.kind, route.confidence, key, path, route.reason)


def upstreams(site: Site, consumers: list[str]) -> list[str]:
    """What these assets read, of other assets."""
    return sorted({parent for consumer in consumers for parent in site.parents.get(consumer, ())} - set(consumers))


def reads_by_itself(site: Site, step: Any, upstream: str) -> bool:
    """Whether the assets of a step ask for the routes to an upstream in their body."""
    assets = steps.assets_of_step(step)
    keys = () if assets is None else sorted(key.to_user_string() for key in assets.keys)
    readers = [key for key in keys if upstream in site.parents.get(key, ())]
    return bool(readers) and site.resolves.issuperset(readers)


def unresolved(site: Site, consumers: list[str], routes: list[Route]) -> list[str]:
    """The upstreams that a body said it would ask for, and did not."""
    asked = {route.upstream for route in routes}
    declared = [consumer for consumer in consumers if consumer in site.resolves]
    return [name for name in upstreams(site, declared) if name not in asked and site.knows_breakers_of(name)]


def silent_readers(site: Site, assets: list[dg.AssetsDefinition]) -> Iterator[tuple[str, str]]:
    """(consumer, upstream) where a consumer reads by itself, and does not say that it resolves."""
    for item in (each for each in assets if each.is_executable):
        node = item.node_def
        for name, key in item.node_keys_by_input_name.items():
            upstream = key.to_user_string()
            if not node.input_dict[name].dagster_type.is_nothing:
                continue
            for consumer in sorted(each.to_user_string() for each in item.keys):
                if upstream in site.parents.get(consumer, ()) and consumer not in site.resolves:
                    yield consumer, upstream


def _site(context: Any) -> Site:
    step = steps.running_step(context)
    if step is None:
        raise UsageError("resolve: call it within a run, with the context of the asset's own function")
    found = steps.resource_of(step, RESOURCE)
    if not isinstance(found, Site):
        raise UsageError(
            f"resolve: {step.op_def.name} does not say that it reads by itself, or no contract concerns it: give it "
            f'metadata={{"{RESOLVES}": True}}, and put its Definitions under with_contracts'
        )
    return found


def _requested(step: Any, assets: dg.AssetsDefinition, upstream: dg.AssetKey, given: str | None) -> Partition:
    partitions = steps.partitions_def_of(step, upstream)
    if given is not None or partitions is None:
        if given is not None and partitions is None:
            raise UsageError(f"resolve: {upstream.to_user_string()} has no partitions, so partition_key={given!r} names none; leave it out")
        return partition_of(given, partitions)
    keys = mappings.mapped_partitions(step, assets, upstream)
    if len(keys) != 1:
        name = upstream.to_user_string()
        told = f"{', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}"
        raise UsageError(f"resolve: {len(keys)} partitions of {name} are asked for ({told or 'none'}); name one: partition_key=...")
    return partition_of(keys[0], partitions)


def _decided(running: RunningStep) -> list[Route]:
    try:
        return list(running.gate.store.decisions(step_key(running.step)))
    except StoreUnavailable:
        return []


def _path(running: RunningStep, route: Route) -> str | None:
    batch = running.gate.store.batch(route.batch_id) if route.batch_id is not None else None
    return None if batch is None or batch.storage_version is None else batch.storage_version.rsplit("|", 2)[0]
