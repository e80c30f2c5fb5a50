"""`with_contracts`: the one call that puts contracts on a Definitions, and that takes everything away again when it is removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_contracts.core.contract import Contract, attach
from dagster_contracts.core.errors import ContractError
from dagster_contracts.judgement import Terms
from dagster_contracts.plugin import checks, private, pruning, sensors
from dagster_contracts.plugin.deliveries import with_freshness
from dagster_contracts.plugin.fitting import terms_fit
from dagster_contracts.plugin.relaying import LOG
from dagster_contracts.plugin.resource import BreakerResource
from dagster_contracts.plugin.routing import GATED, routing_around
from dagster_contracts.plugin.site import RESOURCE, Site
from dagster_contracts.plugin.step import GatedStep
from dagster_contracts.ports import Clock, EventSink, StoreClock, StoreSink
from dagster_contracts.relay import distinct


def with_contracts(
    defs: dg.Definitions,
    contracts: str | Path | Sequence[str | Path | Contract],
    *,
    breakers: BreakerResource | None = None,
    clock: Clock | None = None,
    sinks: Sequence[EventSink | StoreSink] = (),
) -> dg.Definitions:
    """Govern the assets of a Definitions by data contracts.

    `contracts` is a folder, a file, or several of them (or parsed contracts). Every schema object is attached to one asset: that
    asset's output is judged before it is stored, and everything downstream of it reads what the breaker says. Adds checks, IO manager
    routing, and the sensors `contracts_probe`, `contracts_heal` and `contracts_relay`; where a contract says when batches come, also
    `contracts_deliveries` and a freshness policy; and the job `contracts_prune`, whose schedule is stopped until somebody starts it. The
    given `defs` is left as it was; loading reads the contract files and nothing else.

    `contracts_relay` tells the log of everything that happens to breakers and batches, and `sinks` too, such as
    `dagster_contracts.sinks.kafka.KafkaEvents`.

    Raises ContractError (all problems at once) where a contract is wrong, matches no or several assets, or an asset cannot be governed.
    """
    private.require_known_dagster()
    distinct([LOG.name, *(sink.name for sink in sinks)])
    if RESOURCE in (defs.resources or {}):
        raise ContractError(f'the resource key "{RESOURCE}" is taken, or with_contracts was called twice; call it once, with all contracts')
    _refuse_shown_passwords(defs)
    sensors_given, schedules, assets = _gathered(defs)
    specs = [spec for item in private.iterate_assets(assets) for spec in item.specs]
    specs += [item for item in assets if isinstance(item, dg.AssetSpec)]
    attached = attach(_loaded(contracts), [spec.key.to_user_string() for spec in specs])
    terms_fit(attached, specs)
    made_here = [spec for item in private.iterate_assets(assets) if item.is_executable for spec in item.specs]
    site = Site.of(defs, made_here, attached, breakers or BreakerResource(), clock or StoreClock())
    _refuse_resolved_jobs(defs, site)
    seen: dict[int, Any] = {}
    wrapped = [_governed(item, site, seen) if isinstance(item, dg.AssetsDefinition) else item for item in assets]
    return private.rebuilt_definitions(
        defs,
        assets=wrapped,
        resources={**_routed({"io_manager": private.DEFAULT_IO_MANAGER, **(defs.resources or {})}, site), RESOURCE: site},
        sensors=[*sensors_given, *sensors.all_sensors(site, wrapped, sinks)],
        schedules=[*schedules, *pruning.schedules(site)],
    )


def _refuse_shown_passwords(defs: dg.Definitions) -> None:
    """`breakers=` is shown to nobody; a resource is shown with its configuration."""
    for name, resource in (defs.resources or {}).items():
        if isinstance(resource, BreakerResource) and resource.shows_a_password():
            raise ContractError(
                f'the resource "{name}" holds a database url with a password, and Dagster shows the configuration of resources: '
                'use BreakerResource(url=dg.EnvVar("CONTRACTS_DATABASE_URL"))'
            )


def _gathered(defs: dg.Definitions) -> tuple[list[Any], list[Any], list[Any]]:
    """Sensors, schedules, and every asset: those that stand only in a `target=` too."""
    assets = list(defs.assets or [])
    automations: list[list[Any]] = [[], []]
    for place, given in zip(automations, (defs.sensors or [], defs.schedules or []), strict=True):
        for item in given:
            automation, own = private.without_own_assets(item) if isinstance(item, _AUTOMATIONS) else (item, [])
            place.append(automation)
            assets += [each for each in own if not any(each is known for known in assets)]
    return automations[0], automations[1], assets


_AUTOMATIONS = (dg.SensorDefinition, dg.ScheduleDefinition)


def _refuse_resolved_jobs(defs: dg.Definitions, site: Site) -> None:
    """A job that was resolved already holds the ungoverned assets."""
    for job in defs.jobs or []:
        inside = [key.to_user_string() for key in private.assets_of_job(job)] if isinstance(job, dg.JobDefinition) else []
        if governed := [key for key in inside if site.concerns(key)]:
            raise ContractError(
                f'job "{job.name}" was resolved before with_contracts and would run {", ".join(governed)} without contracts; '
                "pass define_asset_job(...) itself"
            )


def _loaded(contracts: str | Path | Sequence[str | Path | Contract]) -> list[Contract]:
    from dagster_contracts.store.files import load_contracts

    given = [contracts] if isinstance(contracts, str | Path) else list(contracts)
    paths = [item for item in given if not isinstance(item, Contract)]
    return [item for item in given if isinstance(item, Contract)] + (load_contracts(*paths) if paths else [])


def _routed(resources: Mapping[str, Any], site: Site) -> dict[str, Any]:
    """The resources, with routing around every IO manager."""
    routed: dict[str, Any] = {}
    for name, resource in resources.items():
        definition = private.resource_definition(resource)
        routed[name] = resource if definition is None else _routing(definition, site)
    return routed


def _routing(definition: dg.IOManagerDefinition | dg.InputManagerDefinition, site: Site) -> dg.IOManagerDefinition:
    return dg.IOManagerDefinition(
        resource_fn=lambda context: private.around_resource(definition, context, lambda made: routing_around(made, site)),
        config_schema=definition.config_schema,
        description=definition.description,
        required_resource_keys=set(definition.required_resource_keys),
        input_config_schema=definition.input_config_schema,
        output_config_schema=definition.output_config_schema if isinstance(definition, dg.IOManagerDefinition) else None,
    )


def _governed(assets: dg.AssetsDefinition, site: Site, seen: dict[int, Any]) -> dg.AssetsDefinition:
    keys = [key.to_user_string() for key in assets.keys]
    if not assets.is_executable or not any(site.concerns(key) for key in keys):
        return assets
    governed = [site.terms[key] for key in keys if key in site.terms]
    node = private.node_of(assets)
    if governed and isinstance(node, dg.GraphDefinition):
        raise ContractError(
            f'asset "{governed[0].asset}" has a contract and is made by a graph: its output cannot be judged before it is stored yet. '
            "Put the contract on a plain asset that reads it."
        )
    specs = _specs(assets, governed)
    rebuilt = private.rebuilt_assets(assets, private.rebuilt_node(node, lambda op: _wrapped(op, site, specs, bool(governed)), seen), specs)
    rebuilt = with_freshness(rebuilt, governed)
    return rebuilt if not assets.resource_defs else _with_routed_resources(rebuilt, site)


def _with_routed_resources(assets: dg.AssetsDefinition, site: Site) -> dg.AssetsDefinition:
    attributes = assets.get_attributes_dict()
    attributes["resource_defs"] = _routed(attributes["resource_defs"], site)
    return type(assets).dagster_internal_init(**attributes)


def _specs(assets: dg.AssetsDefinition, governed: Sequence[Terms]) -> dict[str, dg.AssetCheckSpec]:
    made: list[dg.AssetCheckSpec] = []
    for terms in governed:
        key = dg.AssetKey.from_user_string(terms.asset)
        made.extend(checks.specs(terms, key, assets.specs_by_key[key].partitions_def))
    return {spec.get_python_identifier(): spec for spec in made}


def _wrapped(op: dg.OpDefinition, site: Site, specs: Mapping[str, dg.AssetCheckSpec], governed: bool) -> dg.OpDefinition:
    body = private.inner_compute(op)
    declared = {name: definition.dagster_type for name, definition in op.input_dict.items()}

    def compute(context: Any, inputs: Mapping[str, Any]) -> Iterator[Any]:
        step = GatedStep(site, context)
        if step.probing:
            yield from step.probe()
            return
        batch = step.stored_batch()
        events = step.release(batch) if batch is not None else private.drive(body(context, step.inputs(inputs, declared)), step.step)
        for event in events:
            yield from step.deliver(event)

    # Inputs are loaded by the step, after the gate: Dagster is told nothing of their types, the step checks them.
    ins = {name: each if declared[name].is_nothing else private.lazy_input(each) for name, each in op.ins.items()}
    outs = {name: _optional(out) if governed else out for name, out in op.outs.items()}
    outs.update({name: dg.Out(dg.Nothing, is_required=False) for name in specs})
    return private.rebuilt_op(op, compute, ins=ins, outs=outs, tags={**op.tags, GATED: "true"})


def _optional(out: dg.Out) -> dg.Out:
    """A probe run yields no output."""
    return dg.Out(
        dagster_type=out.dagster_type,
        description=out.description,
        is_required=False,
        io_manager_key=out.io_manager_key,
        metadata=out.metadata,
        code_version=out.code_version,
    )
