"""Assets of one op that are made of each other, such as the models of a dbt project: no gate stands between them.

So each is looked at when it is passed on: what was made of a batch that this very step has made, and that was refused, is of low
confidence where its asset accepts that; else it is halted, though it has been computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.inert import shown
from dagster_contracts.core.ledger import IN_PLACE, Partition, Route, RouteKind
from dagster_contracts.core.state import failures
from dagster_contracts.judgement import Judgement
from dagster_contracts.plugin.site import Site


class Within:
    """What the outputs of one step were made of, of those that the step makes itself."""

    def __init__(self, site: Site, made_here: Iterable[str]):
        self._site = site
        here = frozenset(made_here)
        self._parents = {asset: (site.parents.get(asset, frozenset()) & here) - {asset} for asset in here}
        self._compared = {asset: frozenset(site.compared_with(site.terms[asset])) & here for asset in here & site.terms.keys()}
        self._fallen: dict[str, list[Route]] = {}  # as an asset that accepts low would read them

    def in_order(self, events: Iterator[Any], asset_of: Callable[[Any], dg.AssetKey | None]) -> Iterator[Any]:
        """The same events, but each asset after those that it is made of, or that its rules compare it with, if they come at all."""
        waiting: list[tuple[str, Any]] = []
        passed: set[str] = set()
        for event in events:
            key = asset_of(event)
            asset = None if key is None else key.to_user_string()
            if asset is not None and self._awaited(asset, passed):
                waiting.append((asset, event))
                continue
            yield event
            if asset is not None:
                passed.add(asset)
                yield from self._ready(waiting, passed)
        yield from (event for _, event in waiting)

    def _awaited(self, asset: str, passed: set[str]) -> bool:
        parents = {parent for parent in self._parents.get(asset, ()) if self._matters(parent)}
        return not parents | self._compared.get(asset, frozenset()) <= passed

    def concerns(self, asset: str) -> bool:
        """Whether this step makes an asset of others that a contract has a say in."""
        return any(map(self._matters, self._parents.get(asset, ())))

    def _matters(self, asset: str) -> bool:
        """Whether a contract has a say in an asset through others of this step."""
        return asset in self._site.terms or self.concerns(asset)

    def _ready(self, waiting: list[tuple[str, Any]], passed: set[str]) -> Iterator[Any]:
        while (found := next((each for each in waiting if not self._awaited(each[0], passed)), None)) is not None:
            waiting.remove(found)
            yield found[1]
            passed.add(found[0])

    def refused(self, judgements: Sequence[Judgement]) -> None:
        """These batches of one asset were judged, and not published."""
        for judgement in judgements:
            batch = judgement.batch
            findings = failures(judgement.verdict)
            told = f": {'; '.join(findings[:3])}" if findings else ""
            reason = f"{batch.asset} [{batch.partition}] is {batch.status}{told}. The same op has made both, so it was made of that batch."
            route = Route(batch.asset, batch.partition, RouteKind.LOW_CONFIDENCE, Confidence.LOW, served=batch.partition)
            self._fallen.setdefault(batch.asset, []).append(
                replace(
                    route,
                    batch_id=batch.id,
                    breaker_key=batch.breaker_key,
                    contract_version=batch.contract_version,
                    staged=IN_PLACE,
                    reason=shown(reason),
                    findings=tuple(map(shown, findings)),
                )
            )

    def routes(self, asset: str) -> list[Route]:
        """What an asset of this step was made of that fell, on its own terms: of low confidence, or halted."""
        found = [route for parent in sorted(self._parents.get(asset, ())) for route in self._fallen.get(parent, ())]
        return [self._on_terms(asset, route) for route in found]

    def _on_terms(self, asset: str, route: Route) -> Route:
        if route.confidence is not None and self._site.accepts([asset], route.upstream) is Confidence.LOW:
            return route
        return replace(route, kind=RouteKind.HALTED, confidence=None, served=None, staged=None)

    def made(self, asset: str, places: Sequence[Partition], routes: Sequence[Route]) -> None:
        """What was made of `routes` is worth no more itself, for those of this step that are made of it in turn."""
        if not routes:
            return
        worst = min(routes, key=lambda each: each.confidence is not None)
        told = f"{asset} was made of it. {worst.reason}"
        self._fallen[asset] = [
            replace(worst, upstream=asset, requested=place, served=worst.served and place, batch_id=None, reason=told) for place in places
        ]
