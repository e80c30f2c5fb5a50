"""One step of a governed or gated asset: the gate in front of it, the judgement behind it.

gate     decide the route of every upstream; halt (halting.py), or load what the route says
body     the user's own code; in a run that makes nothing, what is stored: a probe or a release (stored_runs.py)
deliver  say what each output was made from; of contracted assets judge it, then publish it or set it aside (outputs.py, range_runs.py)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_contracts import routing, stored
from dagster_contracts.core.errors import StoreUnavailable
from dagster_contracts.core.inert import shown
from dagster_contracts.core.ledger import UNPARTITIONED, Partition, Route, RouteKind
from dagster_contracts.core.route import may_be_made_from_fallback
from dagster_contracts.judgement import Terms
from dagster_contracts.plugin import checks, metadata, range_runs, stored_runs
from dagster_contracts.plugin.halting import halt
from dagster_contracts.plugin.outputs import Outputs
from dagster_contracts.plugin.partitions import partition_of
from dagster_contracts.plugin.private import nodes, steps
from dagster_contracts.plugin.resolving import reads_by_itself, unresolved
from dagster_contracts.plugin.routing import RoutedInput, input_of, reads_stored, step_key
from dagster_contracts.plugin.running_step import RunningStep
from dagster_contracts.plugin.site import RESOLVES, Site
from dagster_contracts.plugin.within import Within


class GatedStep(RunningStep):
    """One execution of one wrapped op."""

    def __init__(self, site: Site, context: Any):
        super().__init__(site, context)
        self.routes: list[Route] = []  # what this op was given; the ledger has those of the other ops of a graph too
        self.within = Within(site, self.consumers)
        self.outputs = Outputs(self, self.within)

    def run(
        self, body: Callable[[Mapping[str, Any]], Iterator[Any]], op: dg.OpDefinition, given: Mapping[str, Any], declared: Mapping[str, Any]
    ) -> Iterator[Any]:
        """The whole step: what the run is for decides whether `body` runs at all."""
        if reads_stored(self.site, self.step):
            batch = stored_runs.batch_to_release(self)
            if stored_runs.is_probe(self):
                yield from stored_runs.probed(self)
            elif batch is None or batch.asset not in self.output_names:
                yield from nodes.nothing_run(op)
            elif stored_runs.is_published_by_another(self, batch):
                self.context.log.info(f"{shown(batch.id)} is {batch.status} by run {batch.run_id}: nothing is left to do here")
            else:
                yield from self._delivered(stored_runs.released(self, batch))
            return
        inputs = self.inputs(given, declared)
        self._announce()
        yield from self._complete(self._delivered(body(inputs)), op)
        if self.outputs.refusal is not None:
            raise self.outputs.refusal

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
        if owed - self.outputs.kept_back:
            raise dg.DagsterInvariantViolationError(f'op "{op.name}" did not yield its required output {", ".join(sorted(owed))}')

    def _announce(self) -> None:
        """Tell the ledger of what this step is about to write by itself."""
        for asset in self.output_names.keys() & self.terms.keys() & set(self.consumers):
            if not self.writes_itself(asset):
                continue
            for place in self.partitions(dg.AssetKey.from_user_string(asset)):
                run = self.context.run
                try:
                    stored.writing(self.gate, self.terms[asset], place, run_id=run.run_id, root_run_id=run.root_run_id or run.run_id)
                except StoreUnavailable as error:
                    if not self.site.admits_without_store([asset]):
                        raise
                    self.context.log.warning(f"the ledger could not be told that {asset} is being written: {error}")

    # --- in front ----------------------------------------------------------------------------------------------------

    def inputs(self, given: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
        """Decide every route, halt or load. Raises dg.Failure where the step may not read."""
        waiting = {name: value for name, value in given.items() if isinstance(value, RoutedInput)}
        decided = {name: value.routes() for name, value in waiting.items()}
        routes = [route for several in decided.values() for route in several] + self._routes_of_others(waiting)
        self.routes = routes
        if any(route.kind is RouteKind.HALTED for route in routes):
            halt(self, routes)
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
            yield from self.outputs.halted_within(key, event, routes)
            return
        marked = metadata.with_routes(event, routes, self._behind(routes))
        if (terms := self.terms.get(asset)) is None:
            yield marked
        else:
            yield from self._judged(terms, self.partitions(key), marked, routes)
            if isinstance(event, dg.MaterializeResult):
                yield from (self._named(result) for result in event.check_results)

    def _judged(self, terms: Terms, places: Sequence[Partition], event: Any, routes: Sequence[Route]) -> Iterator[Any]:
        if self.has_no_value(event, terms.asset):
            return self.outputs.judged_in_place(terms, event, routes)
        output = self._as_output(terms.asset, event)
        if len(places) == 1:
            return self.outputs.judged(terms, places[0], output, routes)
        return range_runs.judged(self.outputs, terms, places, output, routes)

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
            halt(self, routes)

    def _asset_of(self, event: Any) -> dg.AssetKey | None:
        """The asset that an event stores; None for any other event."""
        if isinstance(event, dg.MaterializeResult):
            return event.asset_key or (next(iter(self.assets.keys)) if len(self.assets.keys) == 1 else None)
        return steps.output_asset_key(self.step, event.output_name) if isinstance(event, dg.Output) else None

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


def _is_owed(out: dg.Out) -> bool:
    return out.is_required and not isinstance(out, dg.DynamicOut)
