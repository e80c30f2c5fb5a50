"""What a consumer reads: from the status of the requested partition first, from the breaker second.

    requested batch            | closed                 | open, half-open
    ---------------------------|------------------------|---------------------------------------------------------
    published, partitioned     | fresh                  | fresh
    published, unpartitioned   | fresh                  | the live data is the last good: see the fallbacks
    quarantined, held, publishing, missing after a refusal  | the consumer's fallback
    never judged               | served, `unjudged`     | the consumer's fallback

A consumer's fallback follows from the least confidence it accepts: `full` halts, `stale` reads the last good batch of an earlier
partition, `low` reads the refused batch itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

from dagster_contracts.core.breaker import current, next_probe_at
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import FALLEN, IN_PLACE, Batch, Output, OutputStatus, Partition, Route, RouteKind, Status, place_of
from dagster_contracts.core.snapshot import Snapshot, fallen
from dagster_contracts.core.state import Breaker, State, failures
from dagster_contracts.core.verdict import ACCEPTED, Outcome
from dagster_contracts.core.wording import counted, quoted

LOOKED_AT = 50  # good partitions, at most, that are looked for one that stands as it was written


def decide(
    snapshot: Snapshot,
    *,
    asset: str,
    requested: Partition,
    accepts: Confidence,
    breaker_key: str,
    output: Output | None = None,
    changed: Sequence[Batch] = (),
) -> Route:
    """The route of a consumer that accepts down to `accepts` to `requested` of a contracted `asset`. `output` is what the asset last made
    there of its own inputs, if it has any. `changed`, newest first, were good, and do not stand any more as they were written:
    `snapshot.last_good` is one that does, or None."""
    published, refused = snapshot.published, snapshot.refused
    blank = _blank(snapshot, asset, requested, breaker_key)
    live_is_asked_for = requested.key is not None or (refused is None and not snapshot.open)
    if published is not None and live_is_asked_for and published.confidence.satisfies(accepts):
        return _of_earlier(_read(blank, RouteKind.FRESH, published.confidence, published), refused)
    if not snapshot.judged and not snapshot.open:
        return replace(blank, kind=RouteKind.UNJUDGED, confidence=Confidence.FULL, served=requested, reason="never judged")
    return _fallback(replace(blank, reason=_why(snapshot, asset, requested)), snapshot, accepts, output, changed)


def _of_earlier(route: Route, refused: Batch | None) -> Route:
    """What was published is read, as ever, though a newer delivery of the same partition was set aside: the route says so."""
    if refused is None:
        return route
    told = f"The delivery of {_clock(refused.arrived_at)} is {refused.status}: the earlier one is read."
    return replace(route, reason=f"{route.reason}. {told}" if route.reason else told)


def decide_output(output: Output | None, *, asset: str, requested: Partition, accepts: Confidence) -> Route:
    """The route to an upstream without a contract: as confident as the ledger says its present output is."""
    if output is None or output.status is OutputStatus.OK:
        return Route(asset, requested, RouteKind.FRESH, Confidence.FULL, served=requested)
    key = next((route.breaker_key for route in output.inputs if route.breaker_key), None)
    route = Route(asset, requested, RouteKind.HALTED, None, breaker_key=key, findings=_causes(output.inputs))
    if output.status is OutputStatus.WITHDRAWN:
        return replace(
            route, reason=f"{asset} [{requested}] was withdrawn: a person reviewed and rejected it. {_first_reason(output.inputs)}"
        )
    if output.confidence is None:
        return replace(route, reason=f"{asset} [{requested}] was halted itself: {_first_reason(output.inputs)}")
    if not output.confidence.satisfies(accepts):
        return replace(
            route,
            reason=f"{asset} [{requested}] is only of {output.confidence} confidence, {accepts} is needed: {_first_reason(output.inputs)}",
        )
    kind = RouteKind.LAST_GOOD if output.confidence is Confidence.STALE else RouteKind.LOW_CONFIDENCE
    reason = f"{asset} [{requested}] was made from fallback data: {_first_reason(output.inputs)}"
    return replace(route, kind=kind, confidence=output.confidence, served=requested, reason=reason)


def unavailable(asset: str, requested: Partition, breaker_key: str, problem: str, *, admit: bool) -> Route:
    """The route while the store cannot be asked: halt, or admit where the policy says so. It never reads as closed."""
    if admit:
        reason = f"the breaker store is out of reach ({problem}); admitted unjudged by onStoreUnavailable: admit"
        return Route(asset, requested, RouteKind.UNJUDGED, Confidence.FULL, served=requested, breaker_key=breaker_key, reason=reason)
    reason = f"the breaker store is out of reach, so nothing is known of {asset} [{requested}]: {problem}"
    return Route(asset, requested, RouteKind.HALTED, None, breaker_key=breaker_key, reason=reason)


def left_out(route: Route, accepts: Confidence) -> Route:
    """Where all partitions are read as one: what cannot be read in its own place is left out by a consumer that accepts less than full.

    Its route is the last good data without that partition: `served` is None.
    """
    in_its_place = route.served == route.requested and route.staged in (None, IN_PLACE)
    if in_its_place or accepts is Confidence.FULL:
        return route
    reason = f"[{route.requested}] was left out. {route.reason}"
    bare = replace(route, served=None, batch_id=None, staged=None, reason=reason)
    return replace(bare, kind=RouteKind.LAST_GOOD, confidence=Confidence.STALE)


def is_left_out(route: Route) -> bool:
    return route.kind is RouteKind.LAST_GOOD and route.served is None


def moved_back(routes: Sequence[Route], window: Sequence[Route], limit: timedelta | None) -> list[Route] | None:
    """A window of partitions that is read as one value, served as the earlier `window` of as many; None where that one is not fresh
    throughout, or older than `limit` says. `routes` are those of the window asked for."""
    if len(window) != len(routes) or any(each.kind is not RouteKind.FRESH or each.confidence is not Confidence.FULL for each in window):
        return None
    ages = (_staleness(asked.requested, each.requested) for asked, each in zip(routes, window, strict=True))
    if limit is not None and any(age is not None and age > limit for age in ages):
        return None
    why = next(route for route in routes if not is_fresh(route))
    told = f"{len(routes)} partitions of {why.upstream} are read as one, and [{why.requested}] is not fresh, so they are all earlier ones."
    stale = replace(why, kind=RouteKind.LAST_GOOD, confidence=Confidence.STALE, staged=None, reason=f"{told} {why.reason}".rstrip())
    return [
        replace(stale, requested=asked.requested, served=each.served, batch_id=each.batch_id)
        for asked, each in zip(routes, window, strict=True)
    ]


def not_moved(route: Route, number: int, *, may_move: bool) -> Route:
    """Of a consumer that accepts less than full: no window of as many partitions can be a fallback, or (not `may_move`) what it reads
    is no window of time, so that none was looked for."""
    if is_fresh(route):
        return route
    told = f"No earlier window of {counted(number, 'partition')} was judged good throughout, so there is nothing to fall back to."
    if not may_move:
        told = "Only a time window that one partition of the consumer reads (TimeWindowPartitionMapping) can move back to an earlier one."
    return replace(route, reason=f"{told} {route.reason}".rstrip())


def is_fresh(route: Route) -> bool:
    return route.kind in (RouteKind.FRESH, RouteKind.UNJUDGED)


def is_moved(routes: Sequence[Route]) -> bool:
    """Whether several partitions are served as an earlier window: of partitions that fall back one by one, some have the same last good."""
    served = {route.served for route in routes if route.kind is RouteKind.LAST_GOOD and route.served is not None}
    return len(routes) > 1 and len(served) == len(routes)


def of_several(routes: list[Route], *, omits: bool) -> list[Route]:
    """Partitions that are read as one value: where one of them is not fresh the input halts, unless it `omits` it and others are left, or
    all of them have moved back."""
    if len(routes) == 1 or (omits and any(route.served is not None for route in routes)) or is_moved(routes):
        return routes
    return [
        route
        if is_fresh(route)
        else replace(
            route,
            kind=RouteKind.HALTED,
            confidence=None,
            served=None,
            reason=f"{len(routes)} partitions of {route.upstream} are read as one, and [{route.requested}] is not fresh. {route.reason}",
        )
        for route in routes
    ]


def misaligned(
    routes: Iterable[Route], behind: Mapping[Route, frozenset[Partition]] = MappingProxyType({})
) -> dict[Partition, tuple[Route, ...]]:
    """By partition asked for: the routes that were served different ones for it. `behind` has the partitions that what a route serves
    was made from in its turn, where they are known."""
    asked: dict[Partition, list[Route]] = {}
    for route in routes:
        if route.requested.key is not None and route.confidence is not None:
            asked.setdefault(route.requested, []).append(route)
    return {place: tuple(several) for place, several in asked.items() if len(_read_of(several, behind)) > 1}


def _read_of(routes: Iterable[Route], behind: Mapping[Route, frozenset[Partition]]) -> set[Partition | None]:
    return {place for route in routes for place in behind.get(route, (route.served,))}


def may_be_made_from_fallback(route: Route) -> bool:
    """Whether what a route serves of the partition asked for is worth less than full: then its own inputs may have been others."""
    return route.served is not None and route.served == route.requested and route.confidence in (Confidence.STALE, Confidence.LOW)


def strictest(routes: Iterable[Route]) -> Route | None:
    """The route that leaves the least confidence; halted before all others. None for none."""
    return min(routes, key=lambda route: 0 if route.confidence is None else route.confidence.rank, default=None)


# --- fallbacks -----------------------------------------------------------------------------------------------------


def _fallback(blank: Route, snapshot: Snapshot, accepts: Confidence, output: Output | None, changed: Sequence[Batch]) -> Route:
    refused = snapshot.refused
    if accepts is Confidence.LOW and refused is not None and refused.staged is not None:
        return _read(blank, RouteKind.LOW_CONFIDENCE, Confidence.LOW, refused)
    if accepts is Confidence.FULL:
        return replace(blank, reason=f"{blank.reason} {_outlook(blank, snapshot, output)}")
    good = snapshot.last_good
    if good is not None:
        passed = f" {_changed(changed, f'[{good.partition}] is the newest that stands')}" if changed else ""
        return _last_good(replace(blank, reason=f"{blank.reason}{passed}"), good, snapshot, output)
    if accepts is Confidence.LOW and not snapshot.judged:
        return replace(blank, kind=RouteKind.LOW_CONFIDENCE, confidence=Confidence.LOW, served=blank.requested)
    what = (
        f"partition of {blank.upstream} before {blank.requested}"
        if blank.requested.end
        else f"batch of {blank.upstream} [{blank.requested}]"
    )
    or_low = "" if accepts is Confidence.LOW else ", or let the consumer accept low"
    missing = f"No {what} has been judged good; run `dagster-contracts baseline {quoted(blank.upstream)}`{or_low}."
    if refused is not None and refused.outcome in ACCEPTED and blank.requested.end is None:
        missing = f"No good {what} came before it: wait for it{or_low}."
    if changed:
        rest = f"no other {what} has been judged good" if len(changed) < LOOKED_AT else "no older one is tried"
        missing = _changed(changed, rest, or_low)
    if refused is not None and refused.staged == IN_PLACE and blank.requested.end is None:
        missing = f"Whatever was good there before has been overwritten by it{or_low}."
    return replace(blank, reason=f"{blank.reason} {missing} {_outlook(blank, snapshot, output)}")


def _changed(changed: Sequence[Batch], then: str, or_low: str = "") -> str:
    """Of good partitions that do not stand any more as they were written, and what comes of it."""
    named = ", ".join(f"[{batch.partition}]" for batch in changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    were, they, them = ("was", "it was", "it") if len(changed) == 1 else ("were", "they were", "them")
    judged = f"have `dagster-contracts baseline {quoted(changed[0].asset)}` judge what stands there now"
    return f"{named} {were} changed or deleted since {they} written, and {then}: deliver {them} again, or {judged}{or_low}."


def _last_good(blank: Route, good: Batch, snapshot: Snapshot, output: Output | None) -> Route:
    limit = snapshot.breaker.policy.max_staleness if snapshot.breaker else None
    age = _staleness(blank.requested, good.partition)
    if limit is not None and age is not None and age > limit:
        too_old = f"The last good partition {good.partition} is {age} older, more than maxStaleness {limit}."
        return replace(blank, reason=f"{blank.reason} {too_old} {_outlook(blank, snapshot, output)}")
    return _read(blank, RouteKind.LAST_GOOD, Confidence.STALE, good)


def _staleness(requested: Partition, served: Partition) -> timedelta | None:
    if requested.end is None or served.end is None:
        return None
    return requested.end - served.end


# --- putting it into words -----------------------------------------------------------------------------------------


def _blank(snapshot: Snapshot, asset: str, requested: Partition, breaker_key: str) -> Route:
    route = Route(asset, requested, RouteKind.HALTED, None, breaker_key=breaker_key)
    if snapshot.breaker is None:
        return route
    breaker = current(snapshot.breaker, snapshot.now)
    return replace(
        route,
        contract_version=breaker.contract_version,
        since=_since(breaker) if snapshot.open else None,
        retry_at=next_probe_at(breaker, snapshot.now),
        findings=breaker.findings or _findings(snapshot.refused),
    )


def _read(blank: Route, kind: RouteKind, confidence: Confidence, batch: Batch) -> Route:
    reason = blank.reason
    if batch.released is not None:
        reason = f"{reason} released by {batch.released.actor}: {batch.released.reason}".strip()
    return replace(
        blank,
        kind=kind,
        confidence=confidence,
        served=batch.partition,
        batch_id=batch.id,
        staged=batch.staged if batch.status in (Status.QUARANTINED, Status.HELD) else None,
        outcome=batch.outcome if batch.status in (Status.QUARANTINED, Status.HELD) else None,
        contract_version=batch.contract_version,
        reason=reason,
    )


def _why(snapshot: Snapshot, asset: str, requested: Partition) -> str:
    """What stands between the consumer and fresh data, in a sentence or two."""
    refused = snapshot.refused
    if snapshot.breaker is not None and snapshot.open:
        why_open = _why_open(current(snapshot.breaker, snapshot.now), requested, refused)
        return f"{why_open} {_why_not_fresh(snapshot, asset, requested)}".rstrip()
    if refused is not None:
        findings = "; ".join(_findings(refused)[:3])
        return f"{asset} [{requested}] is {refused.status} ({refused.outcome}{': ' + findings if findings else ''})."
    return _why_not_fresh(snapshot, asset, requested)


def _why_open(breaker: Breaker, requested: Partition, refused: Batch | None) -> str:
    word = f"{breaker.override.kind} by {breaker.override.actor} ({breaker.override.reason})" if breaker.override else str(breaker.state)
    since = _since(breaker)
    findings = ". ".join(breaker.findings[:3]) or breaker.cause
    own = _speaks_of(breaker, refused)
    partition = f", partition {requested}" if own else ""
    # What opened the breaker may be another batch than the one asked for, whose own findings are told after it.
    other = f" ({breaker.cause})" if breaker.cause.endswith(" failed") and breaker.findings and not own else ""
    told = f"{breaker.key} is {word}{f' since {_clock(since)}' if since else ''}{other}{f': {findings}' if findings else ''}"
    return f"{told} (contract {breaker.contract_version}{partition})."


def _speaks_of(breaker: Breaker, refused: Batch | None) -> bool:
    """Whether what the breaker has found is what was found in that batch."""
    if refused is None or refused.outcome is not Outcome.FAIL or _findings(refused) != breaker.findings:
        return False
    return breaker.state is not State.OPEN or place_of(refused.id) in breaker.cause


def _why_not_fresh(snapshot: Snapshot, asset: str, requested: Partition) -> str:
    refused = snapshot.refused
    if refused is not None:
        told = snapshot.breaker is not None and _speaks_of(current(snapshot.breaker, snapshot.now), refused)
        own = "; ".join(_findings(refused)[:3]) if refused.outcome is Outcome.FAIL and not told else ""
        place = f" [{requested}]" if own and requested.key is not None else ""
        return f"The requested batch{place} is {refused.status}{f': {own}' if own else ''}."
    if snapshot.published is not None:
        low = snapshot.published.confidence is not Confidence.FULL
        made = f"{asset} [{requested}] was made from fallback data and is only of {snapshot.published.confidence} confidence."
        return made if low else ""
    if snapshot.publishing is not None:
        return f"{asset} [{requested}] is being written, or its writer died; run it again, or `dagster-contracts reconcile`."
    if not snapshot.judged:
        return f"{asset} [{requested}] was never judged."
    return f"{asset} [{requested}] is missing: its last delivery was refused or discarded."


def _since(breaker: Breaker) -> datetime | None:
    """When consumers began to fall back: the trip, or the override that forces it."""
    return breaker.opened_at or (breaker.override.set_at if breaker.override else None)


def _findings(refused: Batch | None) -> tuple[str, ...]:
    return failures(refused.verdict) if refused is not None and refused.verdict is not None else ()


def _outlook(blank: Route, snapshot: Snapshot, output: Output | None) -> str:
    """When it is looked at again, and what a person can do about this batch, and about the breaker where it is open."""
    place = f" --partition {quoted(str(blank.requested))}" if blank.requested.key is not None else ""
    refused, asset = snapshot.refused, quoted(blank.upstream)
    key = quoted(blank.breaker_key or blank.upstream)
    told = [f"Next probe after {_clock(blank.retry_at)}."] if blank.retry_at else []
    if refused is not None and refused.staged is None:
        told.append("Its data is not stored beside the live data: run the asset again to deliver it.")
    elif refused is not None and refused.status is Status.QUARANTINED:
        told.append(f"Deliver it again, or let it through: dagster-contracts batch release {asset}{place} --reason ...")
    elif refused is not None and refused.outcome is Outcome.INCONCLUSIVE:
        told.append(f"Run it again, or judge what is stored: dagster-contracts batch rejudge {asset}{place} --reason ...")
    elif refused is not None and snapshot.open:
        close = f"dagster-contracts breaker reset {key} --reason ..."
        told.append(f"It passed, and is published once the breaker closes; to close it: {close}")
    elif refused is not None:
        told.append("It passed: the sensor contracts_heal publishes it, or: dagster-contracts heal")
    elif snapshot.open and _is_kept_back_by_breaker(snapshot, blank.requested):
        told.append(f"Override: dagster-contracts breaker force-closed {key} --reason ...")
    elif snapshot.publishing is None:
        told.append(_again(snapshot, output))
    return " ".join(told)


def _again(snapshot: Snapshot, output: Output | None) -> str:
    """What was made from fallback data comes out the same, as long as its inputs are what they are."""
    live = snapshot.published
    made = fallen(output) if output is not None and output.status in FALLEN else ()
    if not made and (live is None or live.confidence is Confidence.FULL):
        return "Deliver it again."
    inputs = list(dict.fromkeys(f"{route.upstream} [{route.requested}]" for route in made))
    named = ", ".join(inputs[:3]) + (f" and {len(inputs) - 3} more" if len(inputs) > 3 else "")
    fresh = f"{named} {'is' if len(inputs) == 1 else 'are'}" if inputs else "what it was made from is"
    return f"Once {fresh} fresh, the sensor contracts_heal makes it again, or: dagster-contracts heal"


def _is_kept_back_by_breaker(snapshot: Snapshot, requested: Partition) -> bool:
    """Whether a closed breaker would let a consumer read what stands there: of a partition that was refused it would not."""
    live = snapshot.published
    return not snapshot.judged or (live is not None and live.confidence is Confidence.FULL and requested.key is None)


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%MZ")


def _first_reason(inputs: Iterable[Route]) -> str:
    return next((route.reason for route in inputs if route.reason), "no reason recorded")


def _causes(inputs: Iterable[Route]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(finding for route in inputs for finding in route.findings))
