"""`with_contracts`: the one call that puts contracts on a Definitions, and that takes everything away again when it is removed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_contracts.core.contract import Contract, attach
from dagster_contracts.core.errors import ContractError, ContractInvalid, StoreError, did_you_mean
from dagster_contracts.core.waiving import long_waivers
from dagster_contracts.judgement import Terms
from dagster_contracts.plugin import catalog, checks, operating, own_checks, pruning, reviews, sensors, sources
from dagster_contracts.plugin.assets import iterate_assets
from dagster_contracts.plugin.deliveries import with_freshness
from dagster_contracts.plugin.drill import Drill, offer
from dagster_contracts.plugin.fitting import terms_fit
from dagster_contracts.plugin.in_place import is_readable, writes_itself
from dagster_contracts.plugin.private import io_managers, nodes, rebuilding, steps
from dagster_contracts.plugin.registry import RegistryResource
from dagster_contracts.plugin.relaying import LOG
from dagster_contracts.plugin.resolving import silent_readers
from dagster_contracts.plugin.resource import BreakerResource, require_form, shows_a_password
from dagster_contracts.plugin.routing import GATED, routing_around
from dagster_contracts.plugin.site import RESOLVES, RESOURCE, LiveReader, Site
from dagster_contracts.plugin.sources import ObservingStep
from dagster_contracts.plugin.step import GatedStep
from dagster_contracts.plugin.unknown_keys import refuse_unknown_keys
from dagster_contracts.ports import Clock, EventSink, StoreClock, StoreSink
from dagster_contracts.relay import distinct

logger = logging.getLogger("dagster_contracts.plugin")
ENVIRONMENT = "CONTRACTS_ENVIRONMENT"


def with_contracts(
    defs: dg.Definitions,
    contracts: str | Path | Sequence[str | Path | Contract] | RegistryResource,
    *,
    breakers: BreakerResource | None = None,
    readers: Mapping[str, LiveReader] | None = None,
    clock: Clock | None = None,
    sinks: Sequence[EventSink | StoreSink] = (),
    environment: str | None = None,
    drill: Drill | None = None,
) -> dg.Definitions:
    """Govern the assets of a Definitions by data contracts.

    `contracts` is a folder, a file, or several of them (or parsed contracts). Every schema object is attached to one asset: that
    asset's output is judged before it is stored, and everything downstream of it reads what the breaker says. Adds checks, IO manager
    routing, and the sensors `contracts_probe`, `contracts_heal` and `contracts_relay`; where a contract says when batches come, also
    `contracts_deliveries` and a freshness policy; where consumers have automation conditions, `contracts_route`; and jobs that a person
    starts: `contracts_probe`, `contracts_release`, `contracts_heal`, `contracts_review` and `contracts_prune`, whose schedule is stopped
    until somebody starts it. What a contract says of its asset stands on that asset's page, where the user says nothing else. The given
    `defs` is left as it was; loading reads the contract files and nothing else.

    With a RegistryResource, definitions are loaded with the files that it names, and what is judged while they run is judged by the
    version that is in force in the registry then.

    `readers` says how to read what an asset writes by itself, or what is not made here (asset key -> a function of the partition key): it
    is judged where it stands. For what is not made here there are also the job `contracts_observe` and a schedule of it, stopped too.
    `contracts_relay` tells the log of everything that happens to breakers and batches, and `sinks` too, such as
    `dagster_contracts.sinks.kafka.KafkaEvents`.

    `environment` is which of the contracts' `environments` this is; without it, that of the variable CONTRACTS_ENVIRONMENT.

    `drill` adds the job `contracts_drill`, a monthly schedule of it that is stopped until somebody starts it, and an asset
    `contracts_drill/...` for each contracted one, on which drills report.

    Raises ContractError (all problems at once) where a contract is wrong, matches no or several assets, or an asset cannot be governed.
    """
    distinct([LOG.name, *(sink.name for sink in sinks)])
    if RESOURCE in (defs.resources or {}):
        raise ContractError(f'the resource key "{RESOURCE}" is taken, or with_contracts was called twice; call it once, with all contracts')
    _refuse_other_breakers(breakers)
    _refuse_wrong_urls([("breakers", breakers), ("contracts", contracts), *(defs.resources or {}).items()])
    _refuse_shown_passwords(defs)
    sensors_given, schedules, assets = _gathered(defs)
    specs = [spec for item in iterate_assets(assets) for spec in item.specs]
    specs += [item for item in assets if isinstance(item, dg.AssetSpec)]
    specs += [dg.AssetSpec(item.key) for item in assets if isinstance(item, dg.SourceAsset)]
    refuse_unknown_keys(assets, specs)
    loaded = _loaded(contracts)
    _refuse_long_waivers(loaded, clock or StoreClock())
    offer.check(drill, loaded, sinks, sensors_given)
    attached = attach(loaded, [spec.key.to_user_string() for spec in specs])
    terms_fit(attached, specs)
    assets = [sources.as_definition(item, attached) for item in assets]
    known = _known(readers or {}, specs)
    made_here = [spec for item in iterate_assets(assets) if item.is_executable for spec in item.specs]
    site = Site.of(
        defs,
        made_here,
        attached,
        breakers or BreakerResource(),
        clock or StoreClock(),
        known,
        environment or os.environ.get(ENVIRONMENT),
        contracts if isinstance(contracts, RegistryResource) else None,
        sources.sources_of(assets, attached, known),
    )
    _refuse_resolved_jobs(defs, site)
    _refuse_what_cannot_be_read(assets, site)
    _tell_of_silent_readers(assets, site)
    wrapping = Wrapping(site, iterate_assets(assets))
    wrapped = [_governed(item, site, wrapping) for item in assets]
    observed = {key for item in iterate_assets(assets) if item.is_executable for key in item.keys}
    external = sorted({dg.AssetKey.from_user_string(asset) for asset in site.sources} - observed)
    wrapped += [sources.external_checks(site, key) for key in external]
    made: list[dg.Definitions] = []
    governed = rebuilding.definitions_with(
        defs,
        assets=[*wrapped, *offer.assets(site, drill)],
        asset_checks=[own_checks.gated(item, site, partial(_routed, site=site)) for item in defs.asset_checks or []],
        resources={**_routed({"io_manager": io_managers.DEFAULT_IO_MANAGER, **(defs.resources or {})}, site), RESOURCE: site},
        sensors=[*sensors_given, *sensors.all_sensors(site, wrapped, sinks)],
        schedules=[*schedules, *operating.schedules(site), *pruning.schedules(site), *offer.schedules(site, drill)],
        jobs=[
            *(defs.jobs or []),
            *operating.jobs(site, lambda: made[0]),
            *pruning.jobs(site),
            *reviews.jobs(site),
            *offer.jobs(site, drill, lambda: made[0]),
        ],
    )
    made.append(governed)
    return governed


def _refuse_long_waivers(contracts: Sequence[Contract], clock: Clock) -> None:
    """Whoever loads a waiver today loads it tomorrow: the days that are left become fewer."""
    today = (clock.now() or datetime.now(UTC)).date()
    if problems := [problem for contract in contracts for problem in long_waivers(contract, today)]:
        raise ContractInvalid(problems)


def _refuse_other_breakers(breakers: object) -> None:
    """What is no BreakerResource would be found out by the first run."""
    if breakers is None or isinstance(breakers, BreakerResource):
        return
    named = breakers.env_var_name if isinstance(breakers, dg.EnvVar) else "CONTRACTS_DATABASE_URL"
    is_url = isinstance(breakers, str) and not isinstance(breakers, dg.EnvVar) and _is_plain(breakers)
    url = f'"{breakers}"' if is_url else f'dg.EnvVar("{named}")'
    raise ContractError(f"breakers is a {type(breakers).__name__}, expected a BreakerResource: write breakers=BreakerResource(url={url})")


def _is_plain(url: str) -> bool:
    """Whether a url may be shown, and used."""
    try:
        return not shows_a_password(url)
    except StoreError:
        return False


def _refuse_wrong_urls(named: Iterable[tuple[str, object]]) -> None:
    """A url that stands there as it is; what a variable holds is known to the runs alone."""
    for name, resource in named:
        if isinstance(resource, BreakerResource | RegistryResource):
            try:
                require_form(resource.url)
            except StoreError as error:
                raise ContractError(f'the url of the {type(resource).__name__} "{name}": {error}') from None


def _refuse_shown_passwords(defs: dg.Definitions) -> None:
    """`breakers=` is shown to nobody; a resource is shown with its configuration."""
    for name, resource in (defs.resources or {}).items():
        if isinstance(resource, BreakerResource | RegistryResource) and resource.shows_a_password():
            raise ContractError(
                f'the resource "{name}" holds a database url with a password, and Dagster shows the configuration of resources: '
                f'use {type(resource).__name__}(url=dg.EnvVar("CONTRACTS_DATABASE_URL"))'
            )


def _known(readers: Mapping[str, LiveReader], specs: Sequence[dg.AssetSpec]) -> dict[str, LiveReader]:
    keys = [spec.key.to_user_string() for spec in specs]
    if unknown := next((name for name in readers if name not in keys), None):
        raise ContractError(f'readers names "{unknown}", which is no asset here{did_you_mean(unknown, keys)}'.rstrip(","))
    return dict(readers)


def _refuse_what_cannot_be_read(assets: Sequence[object], site: Site) -> None:
    """What an asset writes by itself is judged after it was written, if anybody says how to read it."""
    for item in iterate_assets(assets):
        silent = [asset for asset in writes_itself(item) if asset in site.terms and not is_readable(item, asset, site)]
        if item.is_materializable and silent:
            raise ContractError(
                f'asset "{silent[0]}" has a contract and writes its data itself: nothing passes through the gate, so it can only be judged '
                f"after it was written, and nobody says how to read it. Return the data; or name a reader: "
                f'with_contracts(..., readers={{"{silent[0]}": lambda partition: ...}}); or give it the io_manager_key of an IO manager '
                "that reads it."
            )


def _tell_of_silent_readers(assets: Sequence[object], site: Site) -> None:
    """Who reads by itself and does not ask: it halts, also where it would accept a fallback."""
    silent = silent_readers(site, iterate_assets(assets))
    found = [(consumer, upstream) for consumer, upstream in silent if upstream in site.terms or site.governed_ancestors(upstream)]
    if found:
        told = ", ".join(f"{consumer} (of {upstream})" for consumer, upstream in found[:10])
        more = f" and {len(found) - 10} more" if len(found) > 10 else ""
        logger.info(
            "these assets read governed data by themselves, so they halt where others fall back: %s%s. To be told what to read, they give "
            'metadata {"%s": True} and call dagster_contracts.resolve(context, ...)',
            told,
            more,
            RESOLVES,
        )


def _gathered(defs: dg.Definitions) -> tuple[list[Any], list[Any], list[Any]]:
    """Sensors, schedules, and every asset: those that stand only in a `target=` too."""
    assets, given_checks = list(defs.assets or []), list(defs.asset_checks or [])
    automations: list[list[Any]] = [[], []]
    for place, given in zip(automations, (defs.sensors or [], defs.schedules or []), strict=True):
        for item in given:
            automation, own = rebuilding.without_own_assets(item) if isinstance(item, _AUTOMATIONS) else (item, [])
            place.append(automation)
            assets += [each for each in own if not any(each is known for known in [*assets, *given_checks])]
    return automations[0], automations[1], assets


_AUTOMATIONS = (dg.SensorDefinition, dg.ScheduleDefinition)


def _refuse_resolved_jobs(defs: dg.Definitions, site: Site) -> None:
    """A job that was resolved already holds the ungoverned assets."""
    for job in defs.jobs or []:
        inside = [key.to_user_string() for key in rebuilding.assets_of_job(job)] if isinstance(job, dg.JobDefinition) else []
        if governed := [key for key in inside if site.concerns(key)]:
            raise ContractError(
                f'job "{job.name}" was resolved before with_contracts and would run {", ".join(governed)} without contracts; '
                "pass define_asset_job(...) itself"
            )


def _loaded(contracts: str | Path | Sequence[str | Path | Contract] | RegistryResource) -> list[Contract]:
    from dagster_contracts.store.files import load_contracts

    if isinstance(contracts, RegistryResource):
        return load_contracts(contracts.contracts)
    given = [contracts] if isinstance(contracts, str | Path) else list(contracts)
    paths = [item for item in given if not isinstance(item, Contract)]
    return [item for item in given if isinstance(item, Contract)] + (load_contracts(*paths) if paths else [])


def _routed(resources: Mapping[str, Any], site: Site) -> dict[str, Any]:
    """The resources, with routing around every IO manager."""
    routed: dict[str, Any] = {}
    for name, resource in resources.items():
        definition = io_managers.resource_definition(resource)
        routed[name] = resource if definition is None else _routing(definition, site)
    return routed


def _routing(definition: dg.IOManagerDefinition | dg.InputManagerDefinition, site: Site) -> dg.IOManagerDefinition:
    return dg.IOManagerDefinition(
        resource_fn=lambda context: io_managers.around_resource(definition, context, lambda made: routing_around(made, site)),
        config_schema=definition.config_schema,
        description=definition.description,
        required_resource_keys=set(definition.required_resource_keys),
        input_config_schema=definition.input_config_schema,
        output_config_schema=definition.output_config_schema if isinstance(definition, dg.IOManagerDefinition) else None,
    )


def _governed(assets: Any, site: Site, wrapping: Wrapping) -> Any:
    if not isinstance(assets, dg.AssetsDefinition):
        return assets
    if isinstance(assets, dg.AssetChecksDefinition):
        return own_checks.gated(assets, site, partial(_routed, site=site))
    if not assets.is_executable and any(key.to_user_string() in site.sources for key in assets.keys):
        return assets.map_asset_specs(lambda spec: catalog.described(spec, site.terms))
    if not wrapping.reaches(assets):
        return assets
    specs = [catalog.described(spec, site.terms) for spec in assets.specs]
    if assets.is_materializable:  # of what is only observed Dagster's policies see nothing come
        specs = [with_freshness(spec, site.terms) for spec in specs]
    checks_added, resources = wrapping.checks_of(assets), _routed(assets.resource_defs, site)
    return rebuilding.assets_around(assets, wrapping.node(assets), checks_added, specs, resources)


# Outputs of checks are many, and all alike.
_OF_CHECK = dg.Out(dg.Nothing, is_required=False)


class Wrapping:
    """The ops of a Definitions around which the gate is put: each once, in however many graphs it stands."""

    def __init__(self, site: Site, assets: Sequence[dg.AssetsDefinition]):
        self.site = site
        self._seen: dict[object, Any] = {}
        self._specs: dict[str, dict[str, dg.AssetCheckSpec]] = {}  # by asset: its checks by the name of their output
        self._checks: dict[int, list[str]] = {}  # by op: the names of outputs for checks
        self._more: dict[int, dict[str, list[str]]] = {}  # by definition: the same by the output whose checks they are
        self._resolving: set[int] = set()  # ops of assets that read by themselves
        self._inner: set[int] = set()  # ops of graphs that make a contracted asset
        executable = [item for item in assets if item.is_executable]
        for item in executable:
            self._look(item)
        self._ops: set[int] = set()
        concerned = [item for item in executable if any(site.concerns(key.to_user_string()) for key in item.keys)]
        while concerned:
            self._ops.update(id(op) for item in concerned for op in nodes.ops_of(item.node_def))
            concerned = [item for item in executable if self._is_partly_wrapped(item)]

    def _is_partly_wrapped(self, assets: dg.AssetsDefinition) -> bool:
        own = {id(op) for op in nodes.ops_of(assets.node_def)}
        return bool(own & self._ops) and not own <= self._ops

    def reaches(self, assets: dg.AssetsDefinition) -> bool:
        """Whether a contract concerns these assets, or an op of theirs is that of others which one concerns: a job takes only one of it."""
        return assets.is_executable and any(id(op) in self._ops for op in nodes.ops_of(assets.node_def))

    def _look(self, assets: dg.AssetsDefinition) -> None:
        node = assets.node_def
        if any(key.to_user_string() in self.site.resolves for key in assets.keys):
            self._resolving.update(id(op) for op in nodes.ops_of(node))
        for name, key in assets.node_keys_by_output_name.items():
            if (terms := self.site.terms.get(key.to_user_string())) is None:
                continue
            added = [*self._specs_of(assets, key, terms)]
            self._checks.setdefault(id(nodes.op_that_makes(node, name)), []).extend(added)
            if isinstance(node, dg.GraphDefinition):
                self._more.setdefault(id(node), {})[name] = added
                self._inner.update(id(op) for op in nodes.ops_of(node))

    def _specs_of(self, assets: dg.AssetsDefinition, key: dg.AssetKey, terms: Terms) -> dict[str, dg.AssetCheckSpec]:
        specs = checks.specs(terms, key, assets.specs_by_key[key].partitions_def)
        return self._specs.setdefault(terms.asset, {spec.get_python_identifier(): spec for spec in specs})

    def checks_of(self, assets: dg.AssetsDefinition) -> dict[str, dg.AssetCheckSpec]:
        """The checks that contracts put on these assets, by the name of the output that reports each."""
        return {name: spec for key in assets.keys for name, spec in self._specs.get(key.to_user_string(), {}).items()}

    def node(self, assets: dg.AssetsDefinition) -> Any:
        node = assets.node_def
        return nodes.rebuilt_node(node, self._wrapped, self._seen, self._more.get(id(node), {}))

    def _wrapped(self, op: dg.OpDefinition) -> dg.OpDefinition:
        body = nodes.inner_compute(op)
        declared = {name: definition.dagster_type for name, definition in op.input_dict.items()}
        site = self.site

        def compute(context: Any, inputs: Mapping[str, Any]) -> Iterator[Any]:
            if steps.is_observing(context):
                yield from ObservingStep(site, context).run(context, lambda collecting: body(collecting, inputs))
                return
            step = GatedStep(site, context)
            yield from step.run(lambda given: steps.drive(body(context, given), step.step), op, inputs, declared)

        # Inputs are loaded by the step, after the gate: Dagster is told nothing of their types, the step checks them.
        ins = {name: each if declared[name].is_nothing else nodes.lazy_input(each) for name, each in op.ins.items()}
        outs = nodes.or_not_run(op) if id(op) in self._inner else dict(op.outs)
        if id(op) in self._inner or id(op) in self._checks:  # a probe run yields no output
            outs = {name: nodes.optional(out) for name, out in outs.items()}
        asks = [RESOURCE] if id(op) in self._resolving else []  # `resolve` finds its site by it
        outs.update(dict.fromkeys(self._checks.get(id(op), ()), _OF_CHECK))
        return nodes.rebuilt_op(op, compute, ins=ins, outs=outs, tags={**op.tags, GATED: "true"}, resources=asks)
