"""One step of a governed or gated asset: the gate in front of it, the judgement behind it.

gate     decide the route of every upstream; halt, or load what the route says
body     the user's own code, or the stored batch of a release
deliver  judge an output of a contracted asset, then publish it or set it aside; mark what was made from fallback data
probe    a run that selects only the checks: judge the newest stored batch under the probe lease
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import dagster as dg

from dagster_contracts import routing, stored
from dagster_contracts.core.breaker import Refused, edited
from dagster_contracts.core.contract import Confidence, least
from dagster_contracts.core.errors import Halted, StoreUnavailable
from dagster_contracts.core.inert import shown
from dagster_contracts.core.ledger import IN_PLACE, UNPARTITIONED, Batch, OutputStatus, Partition, Route, RouteKind, Status
from dagster_contracts.core.metrics import reads_object
from dagster_contracts.core.route import may_be_made_from_fallback, strictest
from dagster_contracts.core.state import asset_of
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.core.wording import counted
from dagster_contracts.judgement import Delivery, Judgement, Terms
from dagster_contracts.plugin import checks, metadata
from dagster_contracts.plugin.in_place import standing
from dagster_contracts.plugin.partitions import alone, partition_of, partitions_of_run
from dagster_contracts.plugin.private import instances, io_managers, nodes, steps
from dagster_contracts.plugin.resolving import reads_by_itself, unresolved
from dagster_contracts.plugin.routing import (
    BATCH,
    PROBED,
    RELEASE,
    REPLACES,
    STATUS,
    RoutedInput,
    input_of,
    reads_stored,
    staging_key,
    step_key,
)
from dagster_contracts.plugin.running import is_under_way
from dagster_contracts.plugin.site import RESOLVES
from dagster_contracts.plugin.within import Within

if TYPE_CHECKING:
    from dagster_contracts.plugin.site import Site


class GatedStep:
    """One execution of one wrapped op."""

    def __init__(self, site: Site, context: Any):
        self.site = site
        self.context = steps.op_context(context)
        self.step = steps.step_context(context)
        self.gate = site.gate(self.step.instance)
        assets = steps.assets_of_step(self.step)
        assert assets is not None
        self.assets = assets
        self.consumers = sorted(key.to_user_string() for key in assets.keys)  # none in a probe run: only checks are selected
        self.routes: list[Route] = []  # what this op was given; the ledger has those of the other ops of a graph too
        self.refusal: dg.Failure | None = None  # raised once the others of this step have been made
        self.made: dict[tuple[str, str], Callable[[], object]] = {}  # (contract, object): what rules of later outputs of this step read
        self.within = Within(site, self.consumers)
        self.edits: set[str] = set()  # assets of whose edited contract the log tells
        self.kept_back: set[str] = set()  # outputs that were made and may not be passed on
        self.output_names = {key.to_user_string(): name for key, name in steps.own_outputs(self.step, assets).items()}

    def run(
        self, body: Callable[[Mapping[str, Any]], Iterator[Any]], op: dg.OpDefinition, given: Mapping[str, Any], declared: Mapping[str, Any]
    ) -> Iterator[Any]:
        """The whole step: what the run is for decides whether `body` runs at all."""
        if reads_stored(self.site, self.step):
            batch = self.stored_batch()
            if self.probing:
                yield from self.probe()
            elif batch is None or batch.asset not in self.output_names:
                yield from nodes.nothing_run(op)
            elif self._is_published_by_another(batch):
                self.context.log.info(f"{shown(batch.id)} is {batch.status} by run {batch.run_id}: nothing is left to do here")
            else:
                yield from self._delivered(self.release(batch))
            return
        inputs = self.inputs(given, declared)
        self._announce()
        yield from self._complete(self._delivered(body(inputs)), op)
        if self.refusal is not None:
            raise self.refusal

    def _delivered(self, events: Iterator[Any]) -> Iterator[Any]:
        for event in self.within.in_order(events, self._asset_of):
            yield from self.deliver(event)

    def _complete(self, events: Iterator[Any], op: dg.OpDefinition) -> Iterator[Any]:
        """Outputs are optional, for probe runs yield none: where the body leaves out one that it owes, Dagster would not notice."""
        owed = {name for name, out in op.outs.items() if _is_owed(out) and not steps.is_check(self.step, name)}
        owed &= set(self.context.selected_output_names)
        for event in events:
            if isinstance(event, dg.Output | dg.DynamicOutput):
                owed.discard(event.output_name)
            elif isinstance(event, dg.MaterializeResult) and (key := self._asset_of(event)) is not None:
                owed.discard(self.output_names.get(key.to_user_string(), ""))
            yield event
        if owed - self.kept_back:
            raise dg.DagsterInvariantViolationError(f'op "{op.name}" did not yield its required output {", ".join(sorted(owed))}')

    def _announce(self) -> None:
        """Tell the ledger of what this step is about to write by itself."""
        for asset in self.output_names.keys() & self.terms.keys() & set(self.consumers):
            if not self._writes_itself(asset):
                continue
            for place in self.partitions(dg.AssetKey.from_user_string(asset)):
                run = self.context.run
                try:
                    stored.writing(self.gate, self.terms[asset], place, run_id=run.run_id, root_run_id=run.root_run_id or run.run_id)
                except StoreUnavailable as error:
                    if not self.site.admits_without_store([asset]):
                        raise
                    self.context.log.warning(f"the ledger could not be told that {asset} is being written: {error}")

    @cached_property
    def terms(self) -> Mapping[str, Terms]:
        """What governs the outputs of this step, as of its first question."""
        return self.site.in_force(self.step.instance, self.output_names, self.context.log.warning)

    # --- in front ----------------------------------------------------------------------------------------------------

    def inputs(self, given: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
        """Decide every route, halt or load. Raises dg.Failure where the step may not read."""
        waiting = {name: value for name, value in given.items() if isinstance(value, RoutedInput)}
        decided = {name: value.routes() for name, value in waiting.items()}
        routes = [route for several in decided.values() for route in several] + self._routes_of_others(waiting)
        self.routes = routes
        if any(route.kind is RouteKind.HALTED for route in routes):
            self.halt(routes)
        loaded = dict(given)
        for name, value in waiting.items():
            loaded[name] = value.load(decided[name], declared[name])
            steps.input_type(self.step, declared[name], name, loaded[name])
        return loaded

    def _routes_of_others(self, routed: Mapping[str, Any]) -> list[Route]:
        """Upstreams that do not come through a routed input, such as those of `deps=`: what is read of them cannot be swapped, so a
        fallback halts."""
        routes: list[Route] = []
        for name, key in steps.input_asset_keys(self.step).items():
            upstream = key.to_user_string()
            if name in routed or upstream in self.consumers or not self.site.knows_breakers_of(upstream):
                continue
            if reads_by_itself(self.site, self.step, upstream):
                continue
            asked = input_of(self.site, self.consumers, upstream, substitutes=False)
            routes += [routing.route(self.gate, step_key(self.step), asked, place) for place in self._requested(name, key)]
        return routes

    def _requested(self, input_name: str, key: dg.AssetKey) -> list[Partition]:
        partitions = steps.partitions_def_of(self.step, key)
        if partitions is None:
            return [UNPARTITIONED]
        return [partition_of(each, partitions) for each in self.context.asset_partition_keys_for_input(input_name)]

    def halt(self, routes: Sequence[Route]) -> NoReturn:
        """Record that this step is halted, and end it."""
        recorded = self._record_halt(routes)
        worst = strictest(routes)
        assert worst is not None
        error = Halted(
            shown(worst.reason),
            key=worst.breaker_key or worst.upstream,
            since=worst.since,
            retry_after=worst.retry_at,
            findings=map(shown, worst.findings),
        )
        raise dg.Failure(
            description=shown(metadata.halt(self.consumers, worst)),
            metadata=metadata.of_halt(routes),
            allow_retries=not recorded,
        ) from error

    def _record_halt(self, routes: Sequence[Route]) -> bool:
        """Put the halt into the ledger, and keep Dagster from retrying. False where no store can be reached: then trying again helps."""
        try:
            for key in self.consumers:
                places = self.partitions(dg.AssetKey.from_user_string(key))
                for place in places if len(places) == 1 else (each for each in places if not self._stands(key, each, routes)):
                    self.gate.record_output(key, place, self.context.run_id, routes)
        except StoreUnavailable as error:
            self.context.log.warning(f"the halt of {', '.join(self.consumers)} could not be recorded: {error}")
            return False
        self.no_run_retries()
        return True

    def _stands(self, asset: str, place: Partition, routes: Sequence[Route]) -> bool:
        """Whether a partition was made already of the very batches that it would be given now: it is halted for others of its range, and
        stays as it is."""
        made = self.gate.store.output(asset, place.key)
        given = {(route.upstream, route.requested, route.batch_id) for route in routes if route.kind is RouteKind.FRESH}
        inputs = () if made is None or made.status is not OutputStatus.OK else made.inputs
        return bool(inputs) and given.issuperset((each.upstream, each.requested, each.batch_id) for each in inputs)

    # --- the body ----------------------------------------------------------------------------------------------------

    @property
    def probing(self) -> bool:
        """Whether the run selects only checks of this step's assets."""
        return not self.consumers and any(key in self.site.terms for key in self.output_names)  # an inner op of a graph makes none

    def stored_batch(self) -> Batch | None:
        """The batch that this run is to release, if it is a release run."""
        name = self.context.run.tags.get(RELEASE)
        if name is None:
            return None
        batch = self.gate.store.batch(name)
        if batch is None or batch.asset not in self.consumers:
            return None
        if batch.asset not in self.output_names:
            return batch
        begun_here = batch.status is Status.PUBLISHING and batch.run_id == self.context.run_id  # by an attempt that could not write
        waits = batch.staged is not None and (begun_here or batch.status in (Status.HELD, Status.QUARANTINED))
        if not waits and not self._is_published_by_another(batch):
            self.no_run_retries()
            way = "run `dagster-contracts reconcile`" if batch.status is Status.PUBLISHING else "deliver it anew"
            raise dg.Failure(f"{name} is {batch.status} and cannot be released any more; {way}", allow_retries=False)
        return batch

    def _is_published_by_another(self, batch: Batch) -> bool:
        """A person's job and the sensor may both ask for a release: the run that comes second leaves it to the first, unless that died."""
        if batch.status is Status.PUBLISHED:
            return True
        return batch.status is Status.PUBLISHING and batch.run_id != self.context.run_id and is_under_way(self.step.instance, batch.run_id)

    def release(self, batch: Batch) -> Iterator[Any]:
        assert batch.staged is not None
        name = self.output_names[batch.asset]
        if batch.staged == IN_PLACE:
            yield dg.MaterializeResult(asset_key=dg.AssetKey.from_user_string(batch.asset))
            return
        yield dg.Output(self._stored(batch, batch.staged), output_name=name)

    # --- behind ------------------------------------------------------------------------------------------------------

    def deliver(self, event: Any) -> Iterator[Any]:
        """Pass on what the body yields; judge the outputs of contracted assets first."""
        key = self._asset_of(event)
        if key is None:
            yield self._named(event) if isinstance(event, dg.AssetCheckResult) else event
            return
        asset = key.to_user_string()
        routes = self._recorded(asset, key)
        if any(route.kind is RouteKind.HALTED for route in routes):
            yield from self._halted_within(key, event, routes)
            return
        marked = metadata.with_routes(event, routes, self._behind(routes))
        if (terms := self.terms.get(asset)) is None:
            yield marked
        else:
            if self._has_no_value(marked, asset):
                yield from self._judged_in_place(terms, key, marked, routes)
            else:
                yield from self._judged(terms, key, self._as_output(asset, marked), routes)
            if isinstance(event, dg.MaterializeResult):
                yield from (self._named(result) for result in event.check_results)

    def _recorded(self, asset: str, key: dg.AssetKey) -> list[Route]:
        """What the step was given, with an output in the ledger that says so."""
        try:
            routes = list(self.gate.store.decisions(step_key(self.step)))
            self._require_resolved(routes)
            fallen = self.within.routes(asset)
            self.within.made(asset, self.partitions(key), fallen)
            routes += fallen
            for partition in self.partitions(key) if routes or self.within.concerns(asset) else ():
                self.gate.record_output(asset, partition, self.context.run_id, routes)
        except StoreUnavailable as error:
            if not self.site.admits_without_store([asset]):
                raise
            self.context.log.warning(f"what {asset} was made from could not be recorded: {error}")
            return self.routes
        return routes

    def _behind(self, routes: Sequence[Route]) -> metadata.Behind:
        """What was served that was made from fallback data, with the partitions behind it."""
        try:
            return {route: self.gate.made_from(route) for route in routes if may_be_made_from_fallback(route)}
        except StoreUnavailable as error:
            self.context.log.warning(f"what {', '.join(self.consumers)} was made from, over several steps, is not known: {error}")
            return {}

    def _halted_within(self, key: dg.AssetKey, event: Any, routes: Sequence[Route]) -> Iterator[Any]:
        """An output that was made of what this step has made itself, and was refused: it is not stored; where it has been written already,
        nobody is told of a materialization."""
        worst = next(route for route in routes if route.kind is RouteKind.HALTED)
        asset = key.to_user_string()
        story = shown(f"Halted: {asset} may not be made of {worst.upstream} [{worst.requested}]. {worst.reason}")
        self.context.log.warning(story)
        told = metadata.of_halt(routes)
        for place in self.partitions(key):
            self.context.log_event(dg.AssetObservation(asset_key=key, partition=place.key, description=story, metadata=told))
        if not any(self._anybody_goes_on(dg.AssetKey.from_user_string(route.upstream)) for route in routes):
            self.no_run_retries()
            self.refusal = self.refusal or dg.Failure(story, metadata=told, allow_retries=False)
        if self._has_no_value(event, asset):
            output_name = self.output_names[asset]
            yield dg.Output(None, output_name=output_name, metadata={steps.NO_MATERIALIZATION: True, "contracts/published": False})
        else:
            self.kept_back.add(self.output_names[asset])

    def _require_resolved(self, routes: list[Route]) -> None:
        """A body that reads by itself has asked for all that it reads, and has not gone on where it was halted."""
        if missing := unresolved(self.site, self.consumers, routes):
            raise dg.Failure(
                f"{', '.join(self.consumers)} says that it resolves what it reads ({RESOLVES}), and never asked for {', '.join(missing)}. "
                f'Call dagster_contracts.resolve(context, "{missing[0]}") before reading it; or take the metadata away, and it is '
                "halted where others fall back. Nothing of it was passed on.",
                allow_retries=False,
            )
        if any(route.kind is RouteKind.HALTED for route in routes):
            self.halt(routes)

    def _asset_of(self, event: Any) -> dg.AssetKey | None:
        """The asset that an event stores; None for any other event."""
        if isinstance(event, dg.MaterializeResult):
            return event.asset_key or (next(iter(self.assets.keys)) if len(self.assets.keys) == 1 else None)
        return steps.output_asset_key(self.step, event.output_name) if isinstance(event, dg.Output) else None

    def _has_no_value(self, event: Any, asset: str) -> bool:
        """Whether the asset has written its data itself."""
        if isinstance(event, dg.MaterializeResult):
            return not steps.has_value(event)
        return self._writes_itself(asset)

    def _writes_itself(self, asset: str) -> bool:
        return asset in self.site.live_readers or steps.has_no_value(self.step, self.output_names[asset])

    def _as_output(self, asset: str, event: Any) -> dg.Output[Any]:
        """A MaterializeResult of a contracted asset with a value is judged like an output."""
        if not isinstance(event, dg.MaterializeResult):
            output: dg.Output[Any] = event
            return output
        name = self.output_names[asset]
        return dg.Output(event.value, output_name=name, metadata=event.metadata, data_version=event.data_version, tags=event.tags)

    def _named(self, result: dg.AssetCheckResult) -> dg.AssetCheckResult:
        """A result without a name is that of the asset's only check, of those that are not ours."""
        own = [key for key in self.assets.check_keys if not checks.is_ours(key, self.site.terms)]
        if result.check_name is not None or len(own) != 1:
            return result
        return result._replace(check_name=own[0].name, asset_key=own[0].asset_key)

    def _judged(self, terms: Terms, key: dg.AssetKey, event: dg.Output[Any], routes: Sequence[Route]) -> Iterator[Any]:
        from dagster_contracts.engines.local import read_once

        places = self.partitions(key)
        readable = read_once(event.value)
        one_shot = readable is not event.value  # an Arrow stream, held in memory while it is judged
        event = metadata.with_value(event, readable) if one_shot else event
        seen = io_managers.version_in_place(self.step, event.output_name)  # before the verdict: what others write later is not overwritten
        several = len(places) > 1
        values = event.value if several and isinstance(event.value, dict) else {each.key: alone(event.value, each.key) for each in places}
        whole = not several and values[places[0].key] is event.value
        before = self._published(terms.asset, places) if several else []
        judgements = [self._judge(terms, place, values.get(place.key), event, routes, divisible=whole) for place in places]
        event = self._without_refused_rows(event, judgements[0])
        if not several and judgements[0].publish and self._is_read_beside(terms):
            value = event.value if whole else values[places[0].key]
            self.made[terms.attached.contract.id, terms.attached.object.name] = lambda: value
        if one_shot:
            event = metadata.with_value(event, event.value.to_reader())
        refused = [judgement for judgement in judgements if not judgement.publish]
        self.within.refused(refused)
        if refused and several:
            yield from self._refuse_range(terms, event.output_name, judgements, before)
            return
        if refused:
            yield from self._refuse(terms, event, refused[0])
        else:
            batches = "\n".join(judgement.batch.id for judgement in judgements)
            replaced = {} if seen is None else {REPLACES: seen}
            yield metadata.with_told(event, {**self._told(key, judgements), BATCH: batches, STATUS: "published", **replaced})
        yield from checks.evaluations(self.context, self.gate.store, terms, judgements)

    def _refuse_range(self, terms: Terms, output_name: str, judgements: Sequence[Judgement], before: Sequence[Batch]) -> Iterator[Any]:
        """Nothing of the range is published: an IO manager takes all of its partitions or none."""
        refused = [judgement for judgement in judgements if not judgement.publish]
        for judgement in judgements:
            if judgement.publish:
                stored.unwritten(self.gate, judgement.batch, before)
        unknown = all(judgement.batch.outcome is Outcome.INCONCLUSIVE for judgement in refused)  # reading it again may help
        if not unknown:
            self.no_run_retries()
        failure = dg.Failure(
            f"of {counted(len(judgements), 'partition')} of {terms.asset}, {metadata.kept_back(refused)}; nothing of this range run was "
            "published. Run the partitions one by one.",
            allow_retries=unknown,
        )
        alone = unknown or len(self.consumers) == 1
        yield from checks.evaluations(self.context, self.gate.store, terms, refused, close=not alone)
        if alone:
            raise failure
        self.refusal = self.refusal or failure  # raised once the others of this step have been judged
        self.kept_back.add(output_name)

    def _published(self, asset: str, places: Sequence[Partition]) -> list[Batch]:
        """What stands in the live place of these partitions, as far as the ledger can be asked."""
        try:
            return [
                batch
                for place in places
                for batch in self.gate.store.batches(asset=asset, partition=place.key, statuses=(Status.PUBLISHED,), limit=1)
            ]
        except StoreUnavailable:  # then nothing is recorded of these batches either
            return []

    def _judged_in_place(self, terms: Terms, key: dg.AssetKey, event: Any, routes: Sequence[Route]) -> Iterator[Any]:
        """Audit what the asset has written itself, each partition. What is refused stays where it is, and nobody is routed to it."""
        name = self.output_names[terms.asset]
        judgements: list[Judgement] = []
        for place in self.partitions(key):
            data = None if self._is_released(terms.asset) else standing(self.site, self.step, name, key, place.key)
            judgement = self._judge(terms, place, data, event, routes, divisible=False, in_place=True)
            if judgement.publish:
                self.gate.published(judgement.batch, None)
            judgements.append(judgement)
        refused = [judgement for judgement in judgements if not judgement.publish]
        self.within.refused(refused)
        if refused:
            for judgement in judgements:
                if judgement.publish:
                    self._materialized(key, judgement, event)
            yield from self._tell_refused(terms, refused, name)
        else:
            yield metadata.with_told(event, self._told(key, judgements))
        yield from checks.evaluations(self.context, self.gate.store, terms, judgements)

    def _tell_refused(self, terms: Terms, refused: Sequence[Judgement], output_name: str) -> Iterator[Any]:
        """What an asset has written itself was refused. Nothing is materialized: whoever waits for that waits on."""
        first = refused[0]
        story = metadata.refusal(terms, first)
        self.context.log.warning(story)
        key = dg.AssetKey.from_user_string(terms.asset)
        if first.batch.status is Status.QUARANTINED and not self._anybody_goes_on(key):
            self.no_run_retries()
            self.refusal = self.refusal or dg.Failure(story, metadata=metadata.of_judgement(first), allow_retries=False)
        for judgement in refused:
            self._observe(key, judgement, metadata.refusal(terms, judgement))
        yield dg.Output(None, output_name=output_name, metadata={steps.NO_MATERIALIZATION: True, "contracts/published": False})

    def _told(self, key: dg.AssetKey, judgements: Sequence[Judgement]) -> Mapping[str, Any]:
        """What an output says of its verdict. Of several partitions each has a verdict, which its own materialization tells."""
        if len(judgements) == 1:
            return metadata.of_judgement(judgements[0])
        for judgement in judgements:
            self.step.add_asset_metadata(metadata.of_judgement(judgement), key, judgement.batch.partition.key)
        return {}

    def _materialized(self, key: dg.AssetKey, judgement: Judgement, event: Any) -> None:
        """A partition that stands and passed, of a range whose output says that nothing was materialized: others of it were refused."""
        told = {**(event.metadata or {}), **metadata.of_judgement(judgement)}
        self.context.log_event(
            dg.AssetMaterialization(key, partition=judgement.batch.partition.key, metadata=told, tags=dict(event.tags or {}))
        )

    def _is_released(self, asset: str) -> bool:
        return (batch := self.stored_batch()) is not None and batch.asset == asset

    def _observe(self, key: dg.AssetKey, judgement: Judgement, story: str) -> None:
        self.context.log_event(
            dg.AssetObservation(
                asset_key=key,
                partition=judgement.batch.partition.key,
                description=story,
                metadata=metadata.of_judgement(judgement),
                tags={"contracts/published": "false"},
            )
        )

    def _judge(
        self,
        terms: Terms,
        place: Partition,
        value: object,
        event: Any,
        routes: Sequence[Route],
        *,
        divisible: bool,
        in_place: bool = False,
    ) -> Judgement:
        if (batch := self.stored_batch()) is not None and batch.asset == terms.asset:
            if batch.contract_version != terms.version and batch.released is None:
                reason = f"contract {batch.contract_version} -> {terms.version} since it was held"
                batch = stored.rejudge(self.gate, terms, batch, value, actor="release run", reason=reason).batch
            return stored.publishing(self.gate, batch, self.context.run_id)  # by its own name: read back, it might measure as another batch
        run = self.context.run
        delivery = Delivery(
            partition=place,
            run_id=run.run_id,
            root_run_id=run.root_run_id or run.run_id,
            data_version=event.data_version.value if event.data_version else None,
            confidence=least(route.confidence for route in routes if route.confidence is not None),
            fallback_of=metadata.fallback_of(routes),
            in_place=in_place,
        )
        made = {name: source for (contract, name), source in self.made.items() if contract == terms.attached.contract.id}
        judgement = self.gate.judge(terms, delivery, value, made=made, divisible=divisible)
        self._tell_of_edit(terms, judgement)
        return judgement

    def _tell_of_edit(self, terms: Terms, judgement: Judgement) -> None:
        """Once a step: the partitions of a range have one contract."""
        if terms.asset not in self.edits and (told := edited(judgement.breaker, terms.content)) is not None:
            self.edits.add(terms.asset)
            self.context.log.warning(told)

    def _is_read_beside(self, terms: Terms) -> bool:
        """Whether a rule of another asset of this step reads this one."""
        others = (other for key, other in self.terms.items() if key != terms.asset)
        name = terms.attached.object.name
        return any(reads_object(metric, name) for other in others for metric in other.plan.metrics)

    def _without_refused_rows(self, event: dg.Output[Any], judgement: Judgement) -> dg.Output[Any]:
        """What is left to publish (or to hold) once failing rows are written beside the live data."""
        if (division := judgement.division) is None:
            return event
        place = staging_key(judgement.batch.asset, f"{_fingerprint(judgement.batch)}_rows")
        io_managers.set_aside(self.step, event.output_name, place, division.refused)
        self.context.log.warning(f"{counted(division.rows, 'row')} of {judgement.batch.id} set aside at {'/'.join(place.path)}")
        return metadata.with_rows_set_aside(event, division, place)

    def _refuse(self, terms: Terms, event: dg.Output[Any], judgement: Judgement) -> Iterator[Any]:
        batch = judgement.batch
        stands = batch.status is Status.PUBLISHED  # the same batch, as far as was measured: the live place keeps what it has
        if not stands:
            fingerprint = _fingerprint(batch)
            io_managers.set_aside(self.step, event.output_name, staging_key(batch.asset, fingerprint), event.value)
            self.gate.staged(batch, fingerprint)
        story = shown(metadata.refusal(terms, judgement))
        self.context.log.warning(story)
        key = dg.AssetKey.from_user_string(batch.asset)
        unknown = batch.outcome is Outcome.INCONCLUSIVE  # reading it again may help, so that retries are left alone
        if (unknown or batch.status is Status.QUARANTINED) and not self._anybody_goes_on(key):
            failure = dg.Failure(story, metadata=metadata.of_judgement(judgement), allow_retries=unknown)
            if not unknown:
                self.no_run_retries()
            if unknown or len(self.consumers) == 1:
                yield from checks.evaluations(self.context, self.gate.store, terms, [judgement], close=False)
                raise failure
            self.refusal = self.refusal or failure  # raised once the others of this step have been judged
        self._observe(key, judgement, story)
        yield dg.Output(
            event.value,
            output_name=event.output_name,
            metadata={
                BATCH: batch.id,
                STATUS: "unchanged" if stands else str(batch.status),
                steps.NO_MATERIALIZATION: True,
                "contracts/published": False,
            },
            tags={"contracts/published": "false"},
        )

    def _anybody_goes_on(self, key: dg.AssetKey) -> bool:
        """Whether a consumer in this run can do without fresh data of `key`."""
        here = steps.children(self.step, key) & steps.run_asset_keys(self.step)
        words = (self.site.accepts([child.to_user_string()], key.to_user_string()) for child in here)
        return any(word is not Confidence.FULL for word in words)

    # --- a probe run -------------------------------------------------------------------------------------------------

    def probe(self) -> Iterator[Any]:
        """Judge the newest stored batch under the one lease; report its checks."""
        wanted = self.context.run.tags.get(PROBED)
        for asset in (key for key in self.output_names if key in self.site.terms):
            terms = self.terms[asset]
            own = [breaker.key for breaker in self.gate.store.breakers() if asset_of(breaker.key) == asset]
            judgements = [self._probe(terms, key) for key in own if wanted in (None, key)]
            yield from checks.evaluations(
                self.context, self.gate.store, terms, [judgement for judgement in judgements if judgement is not None]
            )

    def _probe(self, terms: Terms, key: str) -> Judgement | None:
        judgement = stored.probe(self.gate, terms, key, holder=f"run {self.context.run_id}", read=self._set_aside)
        if isinstance(judgement, Refused):
            self.context.log.warning(f"{key} was not probed: {shown(judgement.reason)}")
            return None
        self._tell_of_edit(terms, judgement)
        told = f"probe of {shown(judgement.batch.id)}: {judgement.verdict.outcome}; {key} is {judgement.breaker.state}"
        self.context.log.info(told)
        return judgement

    def _set_aside(self, batch: Batch) -> Any:
        assert batch.staged is not None
        return alone(self._stored(batch, batch.staged), batch.partition.key)

    def _stored(self, batch: Batch, fingerprint: str) -> Any:
        """What was set aside of a refused batch."""
        name, place = self.output_names[batch.asset], batch.partition.key
        if fingerprint == IN_PLACE:
            return standing(self.site, self.step, name, dg.AssetKey.from_user_string(batch.asset), place)
        return io_managers.read_back(self.step, name, staging_key(batch.asset, fingerprint), place)

    # --- shared ------------------------------------------------------------------------------------------------------

    def partitions(self, key: dg.AssetKey) -> list[Partition]:
        """The partitions of `key` that this run makes."""
        return partitions_of_run(self.step, key)

    def no_run_retries(self) -> None:
        """The data will not be better in a minute: keep Dagster from retrying the whole run."""
        self.step.instance.add_run_tags(self.context.run_id, {instances.MAX_RETRIES: "0"})


def _is_owed(out: dg.Out) -> bool:
    return out.is_required and not isinstance(out, dg.DynamicOut)


def _fingerprint(batch: Batch) -> str:
    return f"b{hashlib.sha256(batch.id.encode()).hexdigest()[:12]}"
