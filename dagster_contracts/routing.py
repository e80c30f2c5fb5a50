"""The use case of a consumer: what it reads of a partition, decided once per step attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from dagster_contracts import telemetry
from dagster_contracts.core import events
from dagster_contracts.core import route as routes
from dagster_contracts.core.contract import BreakerPolicy, Confidence
from dagster_contracts.core.errors import LostRace, StoreUnavailable
from dagster_contracts.core.ledger import Partition, Route, RouteKind, StepKey
from dagster_contracts.core.snapshot import Change, Grounds, Snapshot
from dagster_contracts.core.state import Step, asset_of
from dagster_contracts.gate import RACES, Gate
from dagster_contracts.judgement import Terms, change_of
from dagster_contracts.ports import Asked, Store


@dataclass(frozen=True, slots=True)
class Considered:
    """What a consumer would read, on what terms, and whether that is decided already."""

    route: Route
    accepts: Confidence
    is_kept: bool = False
    max_staleness: timedelta | None = None


@telemetry.observed("route", lambda gate, step, consumer, upstream, *_, **__: upstream)
def route(
    gate: Gate,
    step: StepKey,
    consumer: str,
    upstream: str,
    requested: Partition,
    *,
    accepts: Confidence | None,
    terms: Terms | None,
    omits: bool = False,
) -> Route:
    """What `consumer` reads for one partition of `upstream`: decided once per step attempt, and remembered.

    `accepts` None: the contract's word for this consumer. `terms` None: the upstream has no contract here; a breaker in the
    store (of another code location) counts all the same, unless the upstream is made here. `omits`: it reads all partitions as
    one, and can do without this one.
    """
    found = considered(gate, step, consumer, upstream, requested, accepts=accepts, terms=terms, omits=omits)
    return remembered(gate, step, consumer, found, terms)


def considered(
    gate: Gate,
    step: StepKey,
    consumer: str,
    upstream: str,
    requested: Partition,
    *,
    accepts: Confidence | None,
    terms: Terms | None,
    omits: bool = False,
) -> Considered:
    """What `route` would decide, or has decided for this step. Records nothing."""
    key = terms.breaker_key(requested) if terms else upstream
    try:
        if terms is None:
            key = _key_in_store(gate, upstream, requested)
        grounds = gate.store.grounds(key, asset=upstream, partition=requested, step=step)
        policy = _policy(gate, upstream, grounds.snapshot, terms)
        accepted = accepts or (policy.accepts(consumer) if policy else Confidence.FULL)
        if grounds.kept is not None:
            return Considered(grounds.kept, accepted, is_kept=True)
        decided = _decide(gate, grounds, consumer, upstream, requested, accepts, terms, key)
        limit = policy.max_staleness if policy else None
        return Considered(routes.left_out(decided, accepted) if omits else decided, accepted, max_staleness=limit)
    except StoreUnavailable as error:
        return Considered(_blind(consumer, upstream, requested, key, terms, error), accepts or Confidence.FULL, is_kept=True)


def remembered(gate: Gate, step: StepKey, consumer: str, found: Considered, terms: Terms | None) -> Route:
    """Keep a decision for this step; return the one that was kept before, if any."""
    if found.is_kept:
        return found.route
    try:
        return _keep(gate, step, consumer, found.route)
    except StoreUnavailable as error:
        decided = found.route
        return _blind(consumer, decided.upstream, decided.requested, decided.breaker_key or decided.upstream, terms, error)


def _blind(consumer: str, upstream: str, requested: Partition, key: str, terms: Terms | None, error: StoreUnavailable) -> Route:
    admit = terms is not None and terms.policy.admit_when_unavailable
    blind = routes.unavailable(upstream, requested, key, str(error), admit=admit)
    telemetry.of_route(consumer, blind)
    return blind


def _keep(gate: Gate, step: StepKey, consumer: str, decided: Route) -> Route:
    """Remember a decision, with the event that tells of it in the same transaction; return the one that was kept before, if any."""
    drafts, key = events.of_route(consumer, decided), decided.breaker_key
    for _ in range(RACES):
        change = Change()
        if drafts and key is not None:
            snapshot = gate.store.load(key, asset=decided.upstream, partition=decided.requested)
            change = change_of(Step(snapshot.breaker), snapshot.now, drafts) if snapshot.breaker else change
        try:
            kept = gate.store.decide(step, consumer, decided, change)
        except LostRace:
            continue
        if kept == decided:
            telemetry.of_route(consumer, kept)
        return kept
    raise StoreUnavailable(f"{key} changed {RACES} times while a route of {decided.upstream} was being recorded; try again")


def _key_in_store(gate: Gate, upstream: str, requested: Partition) -> str:
    """The breaker key of an upstream whose contract is not known here: another code location may have scoped it."""
    scoped = [f"{upstream}[{name}={value}]" for name, value in requested.dimensions]
    return next((found.key for found in gate.store.breakers(scoped)), upstream) if scoped else upstream


def _decide(
    gate: Gate,
    grounds: Grounds,
    consumer: str,
    upstream: str,
    requested: Partition,
    accepts: Confidence | None,
    terms: Terms | None,
    key: str,
) -> Route:
    snapshot = grounds.snapshot
    policy = _policy(gate, upstream, snapshot, terms)
    output = None if gate.is_unconcerned(upstream) else grounds.output
    if policy is None:
        return routes.decide_output(output, asset=upstream, requested=requested, accepts=accepts or Confidence.FULL)
    accepted = accepts or policy.accepts(consumer)
    decided = routes.decide(snapshot, asset=upstream, requested=requested, accepts=accepted, breaker_key=key, output=output)
    if decided.kind is RouteKind.LAST_GOOD and snapshot.last_good is not None and not gate.is_intact(snapshot.last_good):
        without = replace(snapshot, last_good=None)
        decided = routes.decide(without, asset=upstream, requested=requested, accepts=accepted, breaker_key=key, output=output)
    if decided.kind not in (RouteKind.FRESH, RouteKind.UNJUDGED):
        return decided
    made = routes.decide_output(output, asset=upstream, requested=requested, accepts=accepted)
    return decided if made.kind is RouteKind.FRESH else made


def preview(gate: Gate, consumer: str, upstream: str, requested: Partition, *, breaker_key: str | None) -> Route:
    """What a consumer that accepts only full confidence would read now. Decides nothing, records nothing."""
    asked = _asked(upstream, requested, breaker_key)
    grounds = gate.store.grounds(asked.key, asset=upstream, partition=requested)
    return _decide(gate, grounds, consumer, upstream, requested, Confidence.FULL, None, asked.key)


def previews(gate: Gate, routes: Sequence[Route]) -> dict[Route, Route]:
    """The same for what several consumers were given: each route, and what would come of it now. A constant number of questions."""
    now = grounds_now(gate.store, routes)
    keys = {then: _asked(then.upstream, then.requested, then.breaker_key).key for then in now}
    return {then: _decide(gate, found, "", then.upstream, then.requested, Confidence.FULL, None, keys[then]) for then, found in now.items()}


def grounds_now(store: Store, routes: Sequence[Route]) -> dict[Route, Grounds]:
    """What each would be decided by now. A constant number of questions."""
    asked = {then: _asked(then.upstream, then.requested, then.breaker_key) for then in routes}
    different = list(dict.fromkeys(asked.values()))
    grounds = dict(zip(different, store.grounds_of(different), strict=True))
    return {then: grounds[each] for then, each in asked.items()}


def _asked(upstream: str, requested: Partition, breaker_key: str | None) -> Asked:
    """A breaker of another asset is where the trouble came from; it says nothing of this one."""
    own = breaker_key is not None and asset_of(breaker_key) == upstream
    return Asked(breaker_key if own and breaker_key is not None else upstream, upstream, requested)


def _policy(gate: Gate, upstream: str, snapshot: Snapshot, terms: Terms | None) -> BreakerPolicy | None:
    """The policy in force: the breaker's own, before its first batch that of the contract; none once the contract was taken away."""
    if gate.is_ungoverned(upstream):
        return None
    return snapshot.breaker.policy if snapshot.breaker else terms.policy if terms else None
