"""The sensors: they read state and ask for runs, and never measure anything.

    contracts_probe       a breaker's cooldown is over and there is a batch to judge: a run that selects only the asset's checks
    contracts_heal        held batches may be published, and outputs made from fallback data can be made anew
    contracts_route       consumers with an automation condition go on with fallback data (automated.py); only where there are any
    contracts_deliveries  promised deliveries that do not come are told of (deliveries.py); only where a contract says when they come
    contracts_relay       events in the outbox are delivered, and the breaker check of the asset shows the present state (relaying.py)

Run keys are made of ids and generations, so asking twice starts one run; every tick is bounded (asking.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import dagster as dg

from dagster_contracts import recovery
from dagster_contracts.core.ledger import Batch
from dagster_contracts.plugin.asking import HEALED, PER_TICK, Partitions, in_few_runs
from dagster_contracts.plugin.assets import iterate_assets, made_together
from dagster_contracts.plugin.automated import ROUTE, route_requests
from dagster_contracts.plugin.deliveries import deliveries_sensor
from dagster_contracts.plugin.private import instances
from dagster_contracts.plugin.relaying import relay_sensor
from dagster_contracts.plugin.resolving import silent_readers
from dagster_contracts.plugin.routing import PROBED, RELEASE
from dagster_contracts.plugin.running import Running
from dagster_contracts.plugin.site import Site
from dagster_contracts.ports import EventSink, StoreSink

PROBE, HEAL = "contracts_probe", "contracts_heal"


def all_sensors(site: Site, assets: Sequence[object], sinks: Sequence[EventSink | StoreSink] = ()) -> list[dg.SensorDefinition]:
    """The sensors of a code location; none where nothing is governed."""
    if not site.terms:
        return []
    own = iterate_assets(assets)
    keys = [key for item in own if item.is_executable for key in item.keys]
    concerned = [key for key in keys if site.concerns(key.to_user_string())]
    governed = {key for key in concerned if key.to_user_string() in site.terms}
    governed |= {dg.AssetKey.from_user_string(asset) for asset in site.sources}
    check_keys = [check for item in own for check in item.check_keys if check.asset_key in governed]
    with_it = made_together(own)
    partitions = {key: item.specs_by_key[key].partitions_def for item in own for key in item.keys}
    heal = _heal(site, sorted({*concerned, *governed}), check_keys, with_it, partitions)
    sensors = [_probe(site, check_keys), heal, relay_sensor(site, sinks)]
    automated = [key for item in own for key in item.keys if key in concerned and item.specs_by_key[key].automation_condition is not None]
    silent = frozenset(silent_readers(site, own))
    sensors += [_route(site, automated, with_it, silent, partitions)] if automated else []
    places = {key.to_user_string(): of for key, of in partitions.items() if key in governed}
    promised = {asset: of for asset, of in (places | dict(site.sources)).items() if site.terms[asset].plan.promised}
    return [*sensors, deliveries_sensor(site, promised)] if promised else sensors


def _probe(site: Site, check_keys: Sequence[dg.AssetCheckKey]) -> dg.SensorDefinition:
    @dg.sensor(
        name=PROBE,
        description="Starts a half-open probe of every breaker whose cooldown is over.",
        asset_selection=dg.AssetSelection.checks(*check_keys),  # as for healing: `target=` would build a job of its own at each load
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def contracts_probe(context: dg.SensorEvaluationContext) -> Any:
        due = recovery.due_probes(site.gate(context.instance), site.in_force(context.instance))[:PER_TICK]
        if not due:
            return dg.SkipReason("no breaker is due for a probe")
        # Dagster drops a request whose run key has a run, and says nothing: until that run claims the probe, it is due still.
        runs = context.instance.get_runs(dg.RunsFilter(tags={instances.RUN_KEY: [probe.run_key for probe in due]}))
        begun = {run.tags[instances.RUN_KEY] for run in runs}
        requests = [_probe_request(probe, check_keys) for probe in due if probe.run_key not in begun]
        return requests or dg.SkipReason(f"a run that probes {', '.join(probe.breaker.key for probe in due)} was started already")

    return contracts_probe


def _probe_request(probe: recovery.DueProbe, check_keys: Sequence[dg.AssetCheckKey]) -> dg.RunRequest:
    return _of_checks(probe.run_key, probe.batch, check_keys, {PROBED: probe.breaker.key})


def _of_checks(run_key: str, batch: Batch, check_keys: Sequence[dg.AssetCheckKey], tags: Mapping[str, str]) -> dg.RunRequest:
    """A run that selects only the checks of a batch's asset."""
    place = {} if batch.partition.key is None else {instances.PARTITION: batch.partition.key}
    wanted = [key for key in check_keys if key.asset_key.to_user_string() == batch.asset]
    return dg.RunRequest(run_key=run_key, asset_selection=[], asset_check_keys=wanted, tags={**tags, **place})


def _heal(
    site: Site,
    keys: Sequence[dg.AssetKey],
    check_keys: Sequence[dg.AssetCheckKey],
    with_it: Mapping[dg.AssetKey, Sequence[dg.AssetKey]],
    partitions: Partitions,
) -> dg.SensorDefinition:
    @dg.sensor(
        name=HEAL,
        description="Publishes held batches once their breaker is closed, then makes degraded and halted outputs anew.",
        asset_selection=dg.AssetSelection.assets(*keys),  # not `target=`: a job of its own would have to have one partitions definition
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def contracts_heal(context: dg.SensorEvaluationContext) -> Any:
        due = heal_requests(site, context.instance, [key.to_user_string() for key in keys], with_it, check_keys)
        requests = in_few_runs(context.instance, due, partitions)
        return requests or dg.SkipReason("nothing is held that may be published, nothing is degraded that can be made anew")

    return contracts_heal


def _route(
    site: Site,
    keys: Sequence[dg.AssetKey],
    with_it: Mapping[dg.AssetKey, Sequence[dg.AssetKey]],
    silent: frozenset[tuple[str, str]],
    partitions: Partitions,
) -> dg.SensorDefinition:
    @dg.sensor(
        name=ROUTE,
        description="Starts consumers with an automation condition on fallback data where their feed was refused, while automation is on.",
        asset_selection=dg.AssetSelection.assets(*keys, *(each for key in keys for each in with_it.get(key, ()))),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def contracts_route(context: dg.SensorEvaluationContext) -> Any:
        if not instances.is_automation_on(context):
            return dg.SkipReason("no sensor that evaluates automation conditions is on")
        due = route_requests(site, context, keys, with_it, silent)
        requests = in_few_runs(context.instance, due, partitions)
        return requests or dg.SkipReason("no refused batch keeps a consumer from going on with fallback data")

    return contracts_route


def heal_requests(
    site: Site,
    instance: dg.DagsterInstance,
    assets: Sequence[str],
    with_it: Mapping[dg.AssetKey, Sequence[dg.AssetKey]] = MappingProxyType({}),
    check_keys: Sequence[dg.AssetCheckKey] = (),
) -> Iterator[dg.RunRequest]:
    """Releases first; then outputs whose inputs are all fresh, unless the policy says `heal: ask`. `with_it`: what Dagster makes only
    together with an asset; `check_keys`: by which what is not made here is released."""
    gate = site.gate(instance)
    for release in recovery.due_releases(gate, assets):
        batch = release.batch
        if batch.asset in site.sources:
            yield _of_checks(release.run_key, batch, check_keys, {RELEASE: batch.id})
            continue
        yield dg.RunRequest(
            run_key=release.run_key,
            asset_selection=[dg.AssetKey.from_user_string(batch.asset)],
            partition_key=batch.partition.key,
            tags={RELEASE: batch.id},
        )
    running = Running(instance)  # such as those that `eager()` has asked for
    for healing in recovery.first_due(recovery.due_healings(gate, assets), site.ancestors):
        output = healing.output
        key = dg.AssetKey.from_user_string(output.asset)
        made = list(with_it.get(key, [key]))
        if running.makes(key, output.partition.key):
            continue
        if all(site.terms[source].policy.heal for source in site.governed_ancestors(output.asset)):
            running.will_make(made, output.partition.key)
            yield dg.RunRequest(
                run_key=healing.run_key,
                asset_selection=made,
                partition_key=output.partition.key,
                tags={HEALED: healing.cause},
            )
