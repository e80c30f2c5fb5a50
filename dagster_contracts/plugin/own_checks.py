"""The project's own checks of what is governed: they look at what is published.

Dagster starts such a check as a step of its own, after the step that has made its asset. Where that has refused its batch, or was halted,
nothing new stands in the live place: the check is skipped, so that it neither tells of older data nor keeps anybody from falling back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import dagster as dg

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.errors import StoreUnavailable
from dagster_contracts.core.inert import shown
from dagster_contracts.core.ledger import Batch, Output, OutputStatus, Partition, Route, RouteKind
from dagster_contracts.core.snapshot import Grounds
from dagster_contracts.plugin.partitions import partitions_of_run
from dagster_contracts.plugin.private import nodes, rebuilding, steps
from dagster_contracts.plugin.routing import GATED, RoutedInput
from dagster_contracts.plugin.running_step import Execution
from dagster_contracts.plugin.site import Site
from dagster_contracts.routing import grounds_now

HALTED = (OutputStatus.HALTED, OutputStatus.WITHDRAWN)


def gated(item: Any, site: Site, routed: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Any:
    """The same checks, skipped where nothing is published of what they look at; as they are where no contract has a say in it. `routed`
    puts routing around their own resources."""
    if not isinstance(item, dg.AssetChecksDefinition) or not isinstance(item.node_def, dg.OpDefinition):
        return item
    if not any(is_gated(site, key) for key in item.keys_by_input_name.values()):
        return item
    op = item.node_def
    body = nodes.inner_compute(op)
    declared = {name: definition.dagster_type for name, definition in op.input_dict.items()}

    def compute(context: Any, inputs: Mapping[str, Any]) -> Iterator[Any]:
        step = CheckingStep(site, context)
        yield from step.run(lambda given: steps.drive(body(context, given), step.step), inputs, declared)

    ins = {name: each if declared[name].is_nothing else nodes.lazy_input(each) for name, each in op.ins.items()}
    around = nodes.rebuilt_op(op, compute, ins=ins, outs=op.outs, tags={**op.tags, GATED: "true"})
    return rebuilding.checks_around(item, around, routed(item.resource_defs))


def is_gated(site: Site, key: dg.AssetKey) -> bool:
    """Whether an asset is made here, and may be refused or halted."""
    asset = key.to_user_string()
    return asset in site.parents and asset not in site.sources and site.concerns(asset)


class CheckingStep(Execution):
    """One execution of an op of checks."""

    def run(
        self, body: Callable[[Mapping[str, Any]], Iterator[Any]], given: Mapping[str, Any], declared: Mapping[str, Any]
    ) -> Iterator[Any]:
        """The body, where all that it looks at is published. Where some of the assets that it checks are not, and it is given none of
        them, it is not believed about those."""
        waiting = {name: value for name, value in given.items() if isinstance(value, RoutedInput)}
        routes = {name: [_as_asked(value.upstream, place) for place in value.places()] for name, value in waiting.items()}
        missing = self._missing(routes)
        specs = self.assets.node_check_specs_by_output_name
        selected = {specs[name].key: name for name in self.context.selected_output_names}
        checked = {key.asset_key.to_user_string() for key in selected}
        for reason in missing.values():
            self.context.log.warning(f"{', '.join(sorted(key.name for key in selected))} looks at what is published: {shown(reason)}")
        if missing.keys() - checked or missing.keys() >= checked or any(value.upstream in missing for value in waiting.values()):
            yield from (dg.Output(None, output_name=name) for name in selected.values())
            return
        loaded = dict(given)
        for name, value in waiting.items():
            loaded[name] = value.load(routes[name], declared[name])
            steps.input_type(self.step, declared[name], name, loaded[name])
        for event in body(loaded):
            is_result = isinstance(event, dg.AssetCheckResult) and event.asset_key is not None
            if is_result and event.asset_key.to_user_string() in missing:
                yield dg.Output(None, output_name=selected[dg.AssetCheckKey(event.asset_key, event.check_name)])
            else:
                yield event

    def _missing(self, routes: dict[str, list[Route]]) -> dict[str, str]:
        """Why there is nothing to look at, by asset. `routes` are what the inputs ask for: of several partitions those that are not
        published are left out of them. A constant number of questions to the store."""
        gated = sorted({key for key in self.assets.keys_by_input_name.values() if is_gated(self.site, key)})
        names = [key.to_user_string() for key in gated]
        made = [_as_asked(key.to_user_string(), place) for key in gated for place in self._made(key)]
        looked_at = [each for asked in routes.values() for each in asked if each.upstream in names]
        try:
            grounds = grounds_now(self.gate.store, [*made, *looked_at])
        except StoreUnavailable as error:
            if not self.site.admits_without_store(names):
                raise
            self.context.log.warning(f"what is published of {', '.join(names)} is not known: {error}")
            return {}
        fallen = {each: self._fallen(each.upstream, found) for each, found in grounds.items()}
        gone = {each for each, rows in fallen.items() if rows and grounds[each].snapshot.published is None}
        reasons = [row for each in made for row in fallen[each] if row.run_id == self.context.run_id]
        reasons += [fallen[asked[0]][0] for asked in routes.values() if asked and gone.issuperset(asked)]
        for name, asked in routes.items():
            routes[name] = [replace(each, served=None) if each in gone else each for each in asked]
        return {row.asset: f"{row.asset} [{row.partition}] is {row.status}" for row in reversed(reasons)}

    def _made(self, key: dg.AssetKey) -> list[Partition]:
        """What this run makes of an asset, if anything: what it refused of that is not looked at, whatever stood there before."""
        return partitions_of_run(self.step, key) if key in steps.run_asset_keys(self.step) else []

    def _fallen(self, asset: str, found: Grounds) -> list[Batch | Output]:
        """What was refused of a partition, or held, since it was published; and its output, where that is halted or withdrawn."""
        refused = found.snapshot.refused if asset in self.site.terms else None
        halted = found.output if found.output is not None and found.output.status in HALTED else None
        return [row for row in (refused, halted) if row is not None]


def _as_asked(asset: str, place: Partition) -> Route:
    return Route(asset, place, RouteKind.FRESH, Confidence.FULL, served=place)
