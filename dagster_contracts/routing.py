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
from dagster_contracts.core.ledger import Batch, Partition, Route, RouteKind, StepKey
from dagster_contracts.core.snapshot import Change, Grounds, Snapshot
from dagster_contracts.core.state import Step, asset_of
from dagster_contracts.gate import RACES, Gate
from dagster_contracts.judgement import Terms, change_of
from dagster_contracts.ports import Asked, Store


@dataclass(frozen=True, slots=True)
class Input:
    """What a consumer reads: an upstream, and on what terms.

    `accepts` None: the contract's word for this consumer. `terms` None: the upstream has no contract here; a breaker in the store (of
    another code location) counts all the same, unless the upstream is made here. `omits`: it reads all partitions as one, and can do
    without any of them.
    """

    consumer: str
    upstream: str
    accepts: Confidence | None
    terms: Terms | None
    omits: bool = False

    def accepted(self, policy: BreakerPolicy | None) -> Confidence:
        """The least confidence that the consumer takes, under the policy in force."""
        return self.accepts or (policy.accepts(self.consumer) if policy else Confidence.FULL)


@dataclass(frozen=True, slots=True)
class Considered:
    """What a consumer would read, on what terms, and whether that is decided already."""

    route: Route
    accepts: Confidence
    is_kept: bool = False
    max_staleness: timedelta | None = None


@telemetry.observed("route", lambda gate, step, given, requested: given.upstream)
def route(gate: Gate, step: StepKey, given: Input, requested: Partition) -> Route:
    """What a consumer reads for one partition of an input: decided once per step attempt, and remembered."""
    return remembered(gate, step, given, considered(gate, given, requested, step))


def considered(gate: Gate, given: Input, requested: Partition, step: StepKey | None = None) -> Considered:
    """What `route` would decide now, or has decided for `step`. Records nothing."""
    key = given.terms.breaker_key(requested) if given.terms else given.upstream
    try:
        if given.terms is None:
            key = _key_in_store(gate, given.upstream, requested)
        grounds = gate.store.grounds(key, asset=given.upstream, partition=requested, step=step)
        policy = _policy(gate, given, grounds.snapshot)
        accepted = given.accepted(policy)
        if grounds.kept is not None:
            return Considered(grounds.kept, accepted, is_kept=True)
        decided = _decide(gate, given, requested, key, grounds)
        limit = policy.max_staleness if policy else None
        return Considered(routes.left_out(decided, accepted) if given.omits else decided, accepted, max_staleness=limit)
    except StoreUnavailable as error:
        return Considered(_blind(given, requested, key, error), given.accepted(None), is_kept=True)


def remembered(gate: Gate, step: StepKey, given: Input, found: Considered) -> Route:
    """Keep a decision for this step; return the one that was kept before, if any."""
    if found.is_kept:
        return found.route
    try:
        return _keep(gate, step, given.consumer, found.route)
    except StoreUnavailable as error:
        return _blind(given, found.route.requested, found.route.breaker_key or given.upstream, error)


def _blind(given: Input, requested: Partition, key: str, error: StoreUnavailable) -> Route:
    admit = given.terms is not None and given.terms.policy.admit_when_unavailable
    blind = routes.unavailable(given.upstream, requested, key, str(error), admit=admit)
    telemetry.of_route(given.consumer, blind)
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


def _decide(gate: Gate, given: Input, requested: Partition, key: str, grounds: Grounds) -> Route:
    snapshot, upstream = grounds.snapshot, given.upstream
    output = None if gate.is_unconcerned(upstream) else grounds.output
    policy = _policy(gate, given, snapshot)
    accepted = given.accepted(policy)
    made = routes.decide_output(output, asset=upstream, requested=requested, accepts=accepted)
    if policy is None:
        return made
    decided = routes.decide(snapshot, asset=upstream, requested=requested, accepts=accepted, breaker_key=key, output=output)
    if decided.kind is RouteKind.LAST_GOOD and snapshot.last_good is not None and not gate.is_intact(snapshot.last_good):
        good, changed = _still_good(gate, upstream, requested, snapshot.last_good)
        found = replace(snapshot, last_good=good)
        decided = routes.decide(
            found, asset=upstream, requested=requested, accepts=accepted, breaker_key=key, output=output, changed=changed
        )
    if decided.kind not in (RouteKind.FRESH, RouteKind.UNJUDGED):
        return decided
    return decided if made.kind is RouteKind.FRESH else made


def _still_good(gate: Gate, asset: str, requested: Partition, newest: Batch) -> tuple[Batch | None, list[Batch]]:
    """What stands as it was written of what is older than `newest`, which does not; and all that is passed over for it. One question."""
    changed = [newest]
    for batch in gate.store.good_before(asset, requested, routes.LOOKED_AT):
        if all(batch.partition != each.partition for each in changed):
            if gate.is_intact(batch):
                return batch, changed
            changed.append(batch)
    return None, changed


def previews(gate: Gate, routes: Sequence[Route]) -> dict[Route, Route]:
    """What consumers that accept only full confidence would read now in place of what they were given. Records nothing; a constant number
    of questions."""
    found: dict[Route, Route] = {}
    for then, grounds in grounds_now(gate.store, routes).items():
        given = Input("", then.upstream, Confidence.FULL, None)
        found[then] = _decide(gate, given, then.requested, _asked(then).key, grounds)
    return found


def grounds_now(store: Store, routes: Sequence[Route]) -> dict[Route, Grounds]:
    """What each would be decided by now. A constant number of questions."""
    asked = {then: _asked(then) for then in routes}
    different = list(dict.fromkeys(asked.values()))
    grounds = dict(zip(different, store.grounds_of(different), strict=True))
    return {then: grounds[each] for then, each in asked.items()}


def _asked(then: Route) -> Asked:
    """A breaker of another asset is where the trouble came from; it says nothing of this one."""
    own = then.breaker_key is not None and asset_of(then.breaker_key) == then.upstream
    return Asked(then.breaker_key if own and then.breaker_key is not None else then.upstream, then.upstream, then.requested)


def _policy(gate: Gate, given: Input, snapshot: Snapshot) -> BreakerPolicy | None:
    """The policy in force: the breaker's own, before its first batch that of the contract; none once the contract was taken away."""
    if gate.is_ungoverned(given.upstream):
        return None
    return snapshot.breaker.policy if snapshot.breaker else given.terms.policy if given.terms else None
