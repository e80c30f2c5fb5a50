"""The sensor contracts_route: after a refused batch nothing is materialized, so `eager()` and `on_cron()` start nobody. It starts those
that go on with fallback data.

A consumer with an automation condition that reads a refused batch directly, and whose route to it is not halted, is asked for once per
(consumer, partition, newest refused batch of all that it reads). What reads that consumer is started by its own condition then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import dagster as dg

from dagster_contracts.core.ledger import Batch, Output, Route, RouteKind, Status
from dagster_contracts.gate import Gate
from dagster_contracts.plugin.asking import ROUTED
from dagster_contracts.plugin.partitions import partition_of
from dagster_contracts.plugin.private import mappings
from dagster_contracts.plugin.routing import input_of
from dagster_contracts.plugin.running import Running
from dagster_contracts.plugin.site import Site
from dagster_contracts.routing import considered

ROUTE = "contracts_route"
WAITING = 1000  # refused batches that are looked at, newest first
Silent = Set[tuple[str, str]]  # (consumer, upstream): it reads by itself and does not say that it resolves


def route_requests(
    site: Site,
    context: dg.SensorEvaluationContext,
    consumers: Sequence[dg.AssetKey],
    with_it: Mapping[dg.AssetKey, Sequence[dg.AssetKey]],
    silent: Silent,
) -> Iterator[dg.RunRequest]:
    """The consumers that are to go on with fallback data, each under its own run key. `with_it`: what Dagster makes only together with a
    consumer.

    One question to the store where nothing waits; else some for each consumer of what waits.
    """
    gate = site.gate(context.instance)
    waiting = _waiting(gate)
    if not waiting:
        return
    graph, running = mappings.asset_graph(context), Running(context.instance)
    for consumer in consumers:
        for key, batch in _refused_to(site, context, graph, consumer, waiting).items():
            if not running.makes(consumer, key) and _goes_on(site, gate, context, graph, consumer, key, silent):
                made = list(with_it.get(consumer, [consumer]))
                running.will_make(made, key)
                yield dg.RunRequest(
                    run_key=f"route:{made[0].to_user_string()}:{key}:{batch.id}",
                    asset_selection=made,
                    partition_key=key,
                    tags={ROUTED: batch.id},
                )


def _refused_to(
    site: Site, context: dg.SensorEvaluationContext, graph: Any, consumer: dg.AssetKey, waiting: Mapping[str, Sequence[Batch]]
) -> dict[str | None, Batch]:
    """By partition of a consumer, the newest refused batch of all that it reads there."""
    newest: dict[str | None, Batch] = {}
    for upstream in sorted(graph.get(consumer).parent_keys - {consumer}):
        if upstream.to_user_string() in site.sources:
            continue  # a refusal takes nothing from Dagster there: an observation stands, and nobody materializes it anyway
        for batch in waiting.get(upstream.to_user_string(), ()):
            for key in mappings.partitions_below(graph, context.instance, upstream, consumer, batch.partition.key):
                if key not in newest or batch.arrived_at > newest[key].arrived_at:
                    newest[key] = batch
    return newest


def _waiting(gate: Gate) -> dict[str, list[Batch]]:
    """By asset, the newest refused batch of each partition, of those that were new when they came: nobody is started for a backfill."""
    newest: dict[tuple[str, str | None], Batch] = {}
    for batch in gate.store.batches(statuses=(Status.QUARANTINED, Status.HELD), limit=WAITING):
        if batch.head:
            newest.setdefault((batch.asset, batch.partition.key), batch)
    found: dict[str, list[Batch]] = {}
    for (asset, _), batch in newest.items():
        found.setdefault(asset, []).append(batch)
    return found


def _goes_on(site: Site, gate: Gate, context: Any, graph: Any, consumer: dg.AssetKey, key: str | None, silent: Silent) -> bool:
    """Whether the consumer has all it reads, some of it from fallback, and has not been made of that already."""
    name = consumer.to_user_string()
    made = gate.store.output(name, key)
    falls_back = False
    for upstream in sorted(graph.get(consumer).parent_keys - {consumer}):
        routes = [
            _route(site, gate, consumer, upstream, graph, each, silent)
            for each in mappings.partitions_above(graph, context.instance, upstream, consumer, key)
        ]
        if any(route.kind is RouteKind.HALTED for route in routes):
            return False
        if any(_is_missing(context.instance, graph, upstream, route) for route in routes):
            return False
        falls_back = falls_back or any(route.kind in _FALLBACKS and not _is_made_of(made, route) for route in routes)
    return falls_back


_FALLBACKS = (RouteKind.LAST_GOOD, RouteKind.LOW_CONFIDENCE)


def _route(site: Site, gate: Gate, consumer: dg.AssetKey, upstream: dg.AssetKey, graph: Any, key: str | None, silent: Silent) -> Route:
    name, reader = upstream.to_user_string(), consumer.to_user_string()
    place = partition_of(key, graph.get(upstream).partitions_def)
    given = input_of(site, [reader], name, substitutes=(reader, name) not in silent)
    return considered(gate, given, place).route


def _is_missing(instance: dg.DagsterInstance, graph: Any, upstream: dg.AssetKey, route: Route) -> bool:
    """Whether what is read of an upstream was never made. What Dagster does not make is taken to be there."""
    if route.kind in _FALLBACKS or not graph.get(upstream).is_materializable:
        return False
    if route.requested.key is None:
        return instance.get_latest_materialization_event(upstream) is None
    return route.requested.key not in instance.get_materialized_partitions(upstream)


def _is_made_of(made: Output | None, route: Route) -> bool:
    """Whether an output was made from the very batch that it would be given now."""
    inputs = () if made is None else made.inputs
    return any(each.upstream == route.upstream and each.requested == route.requested and each.batch_id == route.batch_id for each in inputs)
