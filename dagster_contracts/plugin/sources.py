"""Data that Dagster does not make: external assets and observable sources, judged where they stand.

    an observable source    its own observation says which version stands there; what is new is judged right after
    an external asset       a run of its checks reads what stands there and judges it

A run that selects only the checks of either looks at the data too; one that is tagged as a probe does so under the probe lease. What
fails stays where it is, and consumers are routed.

No postponed annotations here: Dagster reads the annotation of a context as it stands.
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from dagster_contracts import observing, stored
from dagster_contracts.core.breaker import Refused
from dagster_contracts.core.errors import ContractError
from dagster_contracts.core.inert import shown
from dagster_contracts.core.ledger import UNPARTITIONED, Batch, Partition, Status
from dagster_contracts.core.state import asset_of
from dagster_contracts.judgement import Judgement
from dagster_contracts.plugin import checks, metadata
from dagster_contracts.plugin.assets import iterate_assets
from dagster_contracts.plugin.partitions import partition_of
from dagster_contracts.plugin.private import instances, io_managers, rebuilding, steps
from dagster_contracts.plugin.routing import PROBED, RELEASE
from dagster_contracts.plugin.running_step import Execution
from dagster_contracts.plugin.site import LiveReader, Site

OBSERVE = "contracts_observe"
Sources = dict[str, dg.PartitionsDefinition | None]  # asset -> its partitions


# --- at load -------------------------------------------------------------------------------------------------------


def as_definition(item: object, attached: Container[str]) -> object:
    """A contracted asset that is not made here, in the form that Dagster takes it for; everything else as it is."""
    if not isinstance(item, dg.SourceAsset | dg.AssetSpec) or item.key.to_user_string() not in attached:
        return item
    return rebuilding.observable(item) if isinstance(item, dg.SourceAsset) else dg.AssetsDefinition(specs=[item])


def sources_of(assets: Sequence[object], attached: Container[str], readers: Mapping[str, LiveReader]) -> Sources:
    """The contracted assets that nobody here makes. Raises ContractError for one that nobody says how to read."""
    found: Sources = {}
    for item in iterate_assets(assets):
        for spec in () if item.is_materializable else item.specs:
            if (asset := spec.key.to_user_string()) in attached:
                if asset not in readers and io_managers.chosen_io_manager(item, spec.key) is None:
                    raise ContractError(_NOBODY_READS.format(asset))
                found[asset] = spec.partitions_def
    return found


_NOBODY_READS = (
    'asset "{0}" has a contract, and is not made here (it is external, or an observable source): it can only be judged where it stands, '
    'and nobody says how to read it. Name a reader: with_contracts(..., readers={{"{0}": lambda partition: ...}}); or give it the '
    "io_manager_key of an IO manager that reads it; or put the contract on the first asset that Dagster makes of it (dagsterAsset). Where "
    'another code location or a stream judges "{0}", leave its contract out here: consumers follow its breaker in the store.'
)


def external_checks(site: Site, key: dg.AssetKey) -> dg.AssetChecksDefinition:
    """The checks of an external asset, and the op that reads and judges it."""
    asset = key.to_user_string()
    specs = checks.specs(site.terms[asset], key, site.sources[asset])

    @dg.multi_asset_check(
        name=f"{OBSERVE}__{key.to_python_identifier()}",
        specs=specs,
        can_subset=True,
        description=f"Reads {asset} where it stands, and judges it.",
    )
    def observed(context: dg.AssetCheckExecutionContext) -> Iterator[Any]:
        yield from ObservingStep(site, context).look()

    return observed


# --- in a run ------------------------------------------------------------------------------------------------------


class ObservingStep(Execution):
    """One execution of an op that observes sources, or of the checks of an external asset."""

    def __init__(self, site: Site, context: Any):
        super().__init__(site, context)
        self.selected = {key.to_user_string() for key in self.assets.keys}  # none where only checks are selected
        observable = {key.to_user_string() for key in self.assets.node_keys_by_output_name.values()}
        self.is_external = not observable
        checked = {key.asset_key.to_user_string() for key in self.context.selected_asset_check_keys}
        self.sources = sorted((observable if self.selected else checked) & site.sources.keys())
        self.terms = site.in_force(self.step.instance, self.sources, self.context.log.warning)
        self.judged: dict[str, list[Judgement]] = {}
        self.unjudged: list[tuple[str, Exception]] = []  # what was observed and could not be read, and why

    # --- an observation ----------------------------------------------------------------------------------------------

    def run(self, context: Any, body: Callable[[Any], Any]) -> Iterator[Any]:
        """The user's own observation, and the judgement of what it has found. A run of the checks alone looks by itself."""
        if not self.selected:
            yield from self.look()
            return
        found: list[dg.AssetObservation] = []
        for event in steps.drive(body(steps.collecting(context, found.append)), self.step):
            self._logged(found)
            yield self._result(event) if isinstance(event, dg.ObserveResult) else event
        self._logged(found)
        yield from self._told()
        if self.unjudged:
            told = "; ".join(each for each, _ in self.unjudged[:3])
            more = f"; and {len(self.unjudged) - 3} more" if len(self.unjudged) > 3 else ""
            raise dg.Failure(f"what was observed could not be judged, and stands as it was: {shown(told)}{more}") from self.unjudged[0][1]

    def _logged(self, found: list[dg.AssetObservation]) -> None:
        """What the body has observed so far goes to Dagster, with the verdict on it. Earlier partitions are judged first."""
        ours = [each for each in found if each.asset_key.to_user_string() in self.terms]
        told: dict[int, dict[str, Any]] = {}
        for each in sorted(ours, key=lambda one: _in_time(self._place(one.asset_key.to_user_string(), one.partition))):
            asset = each.asset_key.to_user_string()
            told[id(each)] = self._observed_or_not(asset, self._place(asset, each.partition), steps.observed_version(each))
        for each in found:
            self.context.log_event(steps.with_observed_metadata(each, told.get(id(each), {})))
        found.clear()

    def _result(self, event: Any) -> Any:
        """An ObserveResult, with the verdict on what it has observed."""
        key = event.asset_key or (dg.AssetKey.from_user_string(next(iter(self.selected))) if len(self.selected) == 1 else None)
        asset = None if key is None else key.to_user_string()
        if asset is None or asset not in self.terms:
            return event
        place = self._place(asset, self.step.dagster_run.tags.get(instances.PARTITION))
        told = self._observed_or_not(asset, place, event.data_version.value if event.data_version is not None else None)
        return event._replace(metadata={**(event.metadata or {}), **told})

    def _observed_or_not(self, asset: str, place: Partition, version: str | None) -> dict[str, Any]:
        """The observation stands, and so do the others of its step, also where what was observed cannot be read."""
        try:
            return self._observed(asset, place, version)
        except Exception as error:  # noqa: BLE001 - whatever a user's reader raises: the step fails with it at the end
            self.unjudged.append((f"{asset} [{place}]: {type(error).__name__}: {error}", error))
            return {}

    def _observed(self, asset: str, place: Partition, version: str | None) -> dict[str, Any]:
        """Judge what stands in a place; what there is to say of it."""
        judgement = observing.observe(
            self.gate, self.terms[asset], place, run_id=self.context.run_id, version=version, read=lambda: self._read(asset, place)
        )
        self.judged.setdefault(asset, []).append(judgement)
        if not (judgement.publish or judgement.batch.status is Status.PUBLISHED):
            self.context.log.warning(shown(metadata.refusal(self.terms[asset], judgement)))
        return metadata.of_judgement(judgement)

    def _read(self, asset: str, place: Partition) -> object:
        return self.site.standing(dg.AssetKey.from_user_string(asset), self.step.instance, place.key)

    def _place(self, asset: str, partition: str | None) -> Partition:
        return partition_of(partition, self.site.sources[asset])

    # --- a run of the checks -----------------------------------------------------------------------------------------

    def look(self) -> Iterator[Any]:
        """Judge what stands there: as a probe, as what a person has released, or simply as it is found."""
        tags = self.step.dagster_run.tags
        for asset in self.sources:
            if PROBED in tags:
                self._probe(asset, tags[PROBED])
            elif tags.get(RELEASE, "").startswith(f"{asset}|"):
                self._release(asset, tags[RELEASE])
            else:
                self._find(asset, tags.get(instances.PARTITION))
        yield from self._told()

    def _find(self, asset: str, partition: str | None) -> None:
        definition = self.site.sources[asset]
        wanted = [self._place(asset, partition)] if partition is not None else newest_places(definition, self.step.instance, self._now())
        for place in wanted:
            try:
                told = self._observed(asset, place, None)
            except FileNotFoundError as error:
                if place is UNPARTITIONED or partition is not None:
                    raise
                self.context.log.info(f"{asset} [{place}] has not come yet: {error}")
                continue
            self._show(asset, place, told)

    def _now(self) -> datetime:
        return self.gate.store.now()

    def _probe(self, asset: str, key: str) -> None:
        terms = self.terms[asset]
        if asset_of(key) != asset:
            return
        came = stored.probe(
            self.gate, terms, key, holder=f"run {self.context.run_id}", read=lambda batch: self._read(asset, batch.partition)
        )
        if isinstance(came, Refused):
            self.context.log.warning(f"{key} was not probed: {shown(came.reason)}")
            return
        self.context.log.info(f"probe of {shown(came.batch.id)}: {came.verdict.outcome}; {key} is {came.breaker.state}")
        self.judged.setdefault(asset, []).append(came)
        self._show(asset, came.batch.partition, metadata.of_judgement(came))

    def _release(self, asset: str, name: str) -> None:
        batch = self.gate.store.batch(name)
        if batch is None:
            raise dg.Failure(f"{name} is not in the ledger", allow_retries=False)
        if batch.status is Status.PUBLISHED:
            self.context.log.info(f"{shown(name)} is published by run {batch.run_id}: nothing is left to do here")
            return
        came = released(self.gate, batch, self.context.run_id)
        self.judged.setdefault(asset, []).append(came)
        self._show(asset, batch.partition, metadata.of_judgement(came))

    def _show(self, asset: str, place: Partition, told: dict[str, Any]) -> None:
        """On the page of an external asset. That of an observable source shows its own observations: another one would be taken for a
        version."""
        if self.is_external:
            self.context.log_event(dg.AssetObservation(asset_key=dg.AssetKey.from_user_string(asset), partition=place.key, metadata=told))

    def _told(self) -> Iterator[Any]:
        for asset in self.sources:
            yield from checks.evaluations(self.context, self.gate.store, self.terms[asset], self.judged.get(asset, []))


def released(gate: Any, batch: Batch, run_id: str) -> Judgement:
    """A person, or a closed breaker, says that what was found may be read. Nothing is written: it stands there."""
    came = stored.publishing(gate, batch, run_id)
    gate.published(came.batch, None)
    return came


def newest_places(definition: dg.PartitionsDefinition | None, instance: dg.DagsterInstance, now: datetime) -> list[Partition]:
    """What is looked at where nobody names a partition: of time windows the newest that is over, of other partitions all."""
    if definition is None:
        return [UNPARTITIONED]
    with dg.partition_loading_context(effective_dt=now, dynamic_partitions_store=instance):
        if isinstance(definition, dg.TimeWindowPartitionsDefinition):
            last = definition.get_last_partition_key()
            return [] if last is None else [partition_of(last, definition)]
        places = [partition_of(key, definition) for key in definition.get_partition_keys()]
    ends = [place.end for place in places if place.end is not None and place.end <= now]
    return [place for place in places if place.end is None or place.end == max(ends, default=None)]


def _in_time(place: Partition) -> tuple[bool, Any]:
    return (place.end is not None, place.end or 0)
