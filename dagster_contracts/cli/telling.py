"""The sentences of `why`: written for whoever is woken by it. What is, since when, who is affected, what is waited for, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from dagster_contracts.cli import advice
from dagster_contracts.cli.advice import SHOWN, argument, breaker_of, by_upstream, listed, place, streams
from dagster_contracts.cli.printing import lasting
from dagster_contracts.cli.wording import clock, outlook, prospect, reading, streaming, summed, was_only_observed
from dagster_contracts.core import breaker as machine
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.events import Event, EventType
from dagster_contracts.core.ledger import Batch, Decision, Output, OutputStatus, Review, ReviewStatus, Route, RouteKind, Status
from dagster_contracts.core.snapshot import Grounds, Pile, Standing, fallen
from dagster_contracts.core.state import State, failures, remarks
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.core.windows import is_streamed
from dagster_contracts.core.wording import counted

AFFECTED = 2 * SHOWN  # outputs that are told of
DECIDED = (ReviewStatus.APPROVED, ReviewStatus.REJECTED)
_ACCEPTING = {
    Confidence.FULL: "halts",
    Confidence.STALE: "reads the last good data",
    Confidence.LOW: "reads what was set aside, marked low",
}


def of_standing(
    found: Standing, piles: Sequence[Pile], partition: str | None, reviews: Mapping[str, Review], now: Mapping[Route, Grounds]
) -> list[str]:
    """Paragraphs, an empty line between two. `piles` are its batches that wait, all of them counted; `reviews` those that were decided, by
    the id of their output; `now` has the present grounds of what its output, and those affected by it, have read."""
    commands = advice.commands(found, piles, partition, now)
    told = [_made(found, reviews, now), _affected(found, reviews), _awaited(found, now, acted_on=bool(commands))]
    paragraphs = [_state(found), _batches(found, piles, partition), *told, _what_to_do(commands)]
    lines: list[str] = []
    for paragraph in map(list, paragraphs):
        if paragraph:
            lines += ["", *paragraph] if lines else paragraph
    return lines


# --- the state -------------------------------------------------------------------------------------------------------


_ROUTED = {  # whether a stream feeds it, whether its consumers fall back
    (False, True): f"it sets aside what arrives; consumers {reading(routed=True)}",
    (False, False): f"consumers {reading(routed=False)}",
    (True, True): f"its stream {streaming(routed=True)}",
    (True, False): f"its stream {streaming(routed=False)}",
}


def _state(found: Standing) -> Iterator[str]:
    streamed = streams(found)
    for stored in found.breakers:
        breaker = machine.current(stored, found.now)
        routed = machine.enforced_open(breaker, found.now)
        who = _ROUTED[streamed, routed]
        since = breaker.opened_at if breaker.state is not State.CLOSED else breaker.since
        yield f"{breaker.key} is {breaker.state}{_since(since, found.now)}: {who}."
        if breaker.override is not None:
            end = clock(breaker.override.expires_at) or "it is reset"
            override = breaker.override
            yield f"  {override.actor} set {override.kind} on {clock(override.set_at)}, until {end}: {override.reason}"
        if breaker.state is not State.CLOSED:
            yield f"  Cause: {breaker.cause} (contract {breaker.contract_version})."
            yield from (f"  {finding}" for finding in breaker.findings[:SHOWN])
            yield from _more(len(breaker.findings))
        if breaker.reopened:
            yield f"  {counted(breaker.reopened, 'probe')} {'has' if breaker.reopened == 1 else 'have'} failed since."


def _since(moment: datetime | None, now: datetime) -> str:
    return f" since {clock(moment)} ({lasting(now - moment)})" if moment is not None else ""


def _batches(found: Standing, piles: Sequence[Pile], partition: str | None) -> Iterator[str]:
    streamed, waiting = [pile for pile in piles if is_streamed(pile.first)], listed(piles)
    alone = [pile.first for pile in streamed if pile.count == 1 and pile.first.status is not Status.PUBLISHING]
    for batch in (*alone, *waiting[:SHOWN]):
        yield f"{place(batch)} is {batch.status}{_since(batch.arrived_at, found.now)}: {_outcome(batch)}"
        yield from _findings(batch)
        yield f"  Next: {prospect(batch, breaker_of(found, batch), found.now)}."
    for pile in streamed:
        if pile.first not in alone:
            since, first = _since(pile.since, found.now), pile.first
            let_in = first.status is Status.PUBLISHING
            told = "no consumer has confirmed yet that they went on" if let_in else f"the newest is [{first.partition}]"
            yield f"{summed(pile)}{since}; {told}{'.' if let_in else f': {_outcome(first)}'}"
            yield from _findings(first) if not let_in else ()
            yield f"  Next: {prospect(first, None, found.now)}."
    more = sum(pile.count for pile in piles if not is_streamed(pile.first)) - SHOWN
    if more > 0:
        yield f"{more} more batches of {found.asset} wait; see `dagster-contracts batch list {argument(found.asset)}`."
    if not found.waiting and found.newest is not None and found.newest.status is Status.DISCARDED:
        yield f"{place(found.newest)} was discarded on {clock(found.newest.updated_at)}: {found.newest.note}"
    if partition is not None and found.newest is None and found.affected:
        yield f"{found.asset} [{partition}] was never delivered."
    published = found.published
    if published is not None and (partition is not None or not found.waiting):
        released = f", released by {published.released.actor}: {published.released.reason}" if published.released is not None else ""
        yield f"{place(published)} is published{_since(published.updated_at, found.now)} ({published.outcome}{released})."
        yield from _let_through(published)


def _outcome(batch: Batch) -> str:
    if batch.outcome is Outcome.FAIL:
        return "it failed its contract."
    if batch.outcome is Outcome.INCONCLUSIVE:
        return "it could not be judged."
    if batch.status is not Status.PUBLISHING:
        return "it passed."
    return "it was let in, and its writer has not said that it is written: it still writes, or has died."


def _let_through(published: Batch) -> Iterator[str]:
    """What is published though not all is well with it."""
    if was_only_observed(published):
        stays = "" if is_streamed(published) else "; it stays until it is delivered again"
        yield f"  It failed its contract, and was let through while its breaker only observed{stays}."
    yield from _few(remarks(published.verdict) if published.verdict is not None else ())


def _findings(batch: Batch) -> Iterator[str]:
    yield from _few(failures(batch.verdict) if batch.verdict is not None else ())


def _few(findings: Sequence[str]) -> Iterator[str]:
    yield from (f"  {finding}" for finding in findings[:SHOWN])
    yield from _more(len(findings))


def _more(count: int) -> Iterator[str]:
    if count > SHOWN:
        yield f"  and {count - SHOWN} more findings"


# --- consumers -------------------------------------------------------------------------------------------------------


def _made(found: Standing, reviews: Mapping[str, Review], now: Mapping[Route, Grounds]) -> Iterator[str]:
    """What the asset itself was made from, as a consumer."""
    output = found.output
    if output is None:
        return
    yield f"{place(output)} {_ending(output)} on {clock(output.at)}{' from fresh data' if output.status is OutputStatus.OK else ''}."
    yield from (f"  {said}" for said in _reviewed(output, reviews))
    if output.status is not OutputStatus.OK:
        for upstream, routes in by_upstream(output.inputs).items():
            yield from _given(found, upstream, routes, now)
    for route in output.inputs if output.status is OutputStatus.OK else ():
        if _is_released(route):
            yield f"  It {_read(route)}: a batch that had been {route.reason}"
        if _is_refused_anew(route, now):
            newer = now[route].snapshot.refused
            see = f"dagster-contracts why {argument(route.upstream, route.requested)}"
            yield f"  It {_read(route)}: the earlier delivery of it. A newer one is {newer.status if newer else 'refused'}; see `{see}`."


def _given(found: Standing, upstream: str, routes: Sequence[Route], now: Mapping[Route, Grounds]) -> Iterator[str]:
    """A reason is told once for all partitions of an upstream that have the same breaker. First what is not fresh, and of that what was
    ever delivered."""

    def rank(route: Route) -> int:
        return 2 if _is_whole(route) else int(_never_delivered(route, now))

    told: set[str | None] = set()
    ordered = sorted(routes, key=rank)
    for route in ordered[:SHOWN]:
        yield f"  It {_read(route)}{', which was never delivered' if _never_delivered(route, now) else ''}."
        if route.reason and route.breaker_key not in told:
            told.add(route.breaker_key)
            yield f"  At that time: {route.reason}" if _is_over(found, route, now) else f"  {route.reason}"
    if more := ordered[SHOWN:]:
        never = sum(_never_delivered(route, now) for route in more)
        yield f"  and {len(more)} more partitions of {upstream}" + (f", {never} of them never delivered" if never else "") + "."


def _is_over(found: Standing, route: Route, now: Mapping[Route, Grounds]) -> bool:
    """Whether what a route says of a breaker, or of the batch that was asked for, is of the past."""
    if route.since is not None:
        return route.breaker_key not in {each.key for each in (*found.breakers, *found.above)}
    there = (now[route].snapshot.refused or now[route].snapshot.published) if route in now else None
    return there is not None and found.output is not None and there.updated_at > found.output.at


def _is_whole(route: Route) -> bool:
    return route.kind in (RouteKind.FRESH, RouteKind.UNJUDGED) and route.confidence is Confidence.FULL


def _never_delivered(route: Route, now: Mapping[Route, Grounds]) -> bool:
    return route in now and not _is_whole(route) and now[route].is_never_delivered


def _is_refused_anew(route: Route, now: Mapping[Route, Grounds]) -> bool:
    """Whether a delivery came after the one that stands there, and was set aside."""
    found = now[route].snapshot if route.kind is RouteKind.FRESH and route in now else None
    return found is not None and found.refused is not None and found.published is not None


def _is_released(route: Route) -> bool:
    """Whether what was read as fresh had been let through by a person, by whom and why its reason says."""
    return route.kind is RouteKind.FRESH and route.reason.startswith("released by ")


def _ending(output: Output) -> str:
    if output.status is OutputStatus.HALTED:
        return "was halted"
    if output.status is OutputStatus.WITHDRAWN:
        return "was made at low confidence"
    return "was made" if output.status is OutputStatus.OK else f"was made at {output.confidence} confidence"


def _reviewed(output: Output, reviews: Mapping[str, Review]) -> Iterator[str]:
    """Who has decided on it, when and why."""
    review = reviews.get(output.id)
    withdrawn = " It is withdrawn." if output.status is OutputStatus.WITHDRAWN else ""
    if review is not None:
        yield f"{review.actor} {review.status} it on {clock(review.decided_at)}: {review.reason}.{withdrawn}"
    elif withdrawn:
        yield f"A person has rejected it.{withdrawn}"


def _read(route: Route) -> str:
    asked = f"{route.upstream} [{route.requested}]"
    match route.kind:
        case RouteKind.FRESH if route.confidence not in (None, Confidence.FULL):
            return f"read [{route.requested}] of {route.upstream}, which was itself made from {route.confidence} data"
        case RouteKind.LAST_GOOD | RouteKind.LOW_CONFIDENCE if _is_of_output(route):
            return f"read [{route.requested}] of {route.upstream}, which was itself made from {route.confidence} data"
        case RouteKind.LAST_GOOD if route.served == route.requested:
            return f"read {asked} as it was last good"
        case RouteKind.FRESH:
            return f"read {asked}, fresh"
        case RouteKind.LAST_GOOD if route.served is None:
            return f"read {route.upstream} without [{route.requested}]"
        case RouteKind.LAST_GOOD:
            return f"read the last good data of {route.upstream}, [{route.served}], instead of [{route.requested}]"
        case RouteKind.LOW_CONFIDENCE:
            return f"read {asked} {_though(route)}, marked low"
        case RouteKind.UNJUDGED:
            return f"read {asked}, which was not judged"
        case RouteKind.HALTED:
            return f"was given nothing of {asked}"


def _though(route: Route) -> str:
    if route.batch_id is None:
        return "though it was never judged"
    if route.outcome in (Outcome.PASS, Outcome.WARN):
        return "while it was held, though it had passed"
    return "though it could not be judged" if route.outcome is Outcome.INCONCLUSIVE else "though it was refused"


def _is_of_output(route: Route) -> bool:
    """Whether the upstream is without a contract: its route follows from what it was made from itself."""
    return route.served == route.requested and route.batch_id is None and route.contract_version is None


def _affected(found: Standing, reviews: Mapping[str, Review]) -> Iterator[str]:
    outputs = found.affected
    if outputs:
        yield f"Affected: {counted(len(outputs), 'output')}."
    for output in outputs[:AFFECTED]:
        told = "; it ".join(map(_read, fallen(output)))
        yield f"  {place(output)} {_ending(output)} on {clock(output.at)}: it {told}."
        yield from (f"    {said}" for said in _reviewed(output, reviews))
    if len(outputs) > AFFECTED:
        yield f"  and {len(outputs) - AFFECTED} more; see `dagster-contracts status`."
    known = {output.asset for output in outputs}
    for breaker in found.breakers:
        if machine.enforced_open(breaker, found.now):
            for consumer, accepted in sorted(breaker.policy.consumers.items()):
                if consumer not in known:
                    yield f"  {consumer}: by the contract it {_ACCEPTING[accepted.accepts]}."


# --- what comes next -------------------------------------------------------------------------------------------------


def _awaited(found: Standing, grounds: Mapping[Route, Grounds], *, acted_on: bool) -> Iterator[str]:
    """What its own breakers wait for, and those above it where it fell back to something."""
    fell = found.output is not None and found.output.status is not OutputStatus.OK
    upstream = {route.breaker_key for route in found.output.inputs} if found.output is not None and fell else set()
    for breaker in (*found.breakers, *(each for each in found.above if each.key in upstream)):
        now = machine.current(breaker, found.now)
        said = outlook(now, found.now, found.waiting if breaker in found.breakers else None)
        if said:
            yield f"Waiting for: {now.key}: {said}."
        elif machine.enforced_open(now, found.now):
            yield f"Waiting for: {now.key}: a new delivery that passes."
        if streams(found) and now in found.breakers and machine.enforced_open(now, found.now) and now.override is None:
            yield "  The first micro-batch that arrives then is the probe; where a rule of a time window failed, the first whole window."
    if found.output is not None and fell:
        yield f"Waiting for: {place(found.output)} is computed again once its inputs are fresh."
    if not found.affected and not acted_on:
        read = found.output.inputs if found.output is not None else ()
        told = any(_is_released(route) or _is_refused_anew(route, grounds) for route in read)
        passed = found.published is None or (found.published.outcome is Outcome.PASS and found.published.released is None)
        yield "Nothing else is the matter." if told or not passed else "Nothing is the matter."


def _what_to_do(commands: Sequence[str]) -> Iterator[str]:
    if commands:
        yield "What to do:"
        yield from (f"  {command}" for command in commands)


# --- what was --------------------------------------------------------------------------------------------------------


def of_decisions(
    consumer: str, partition: str | None, at: datetime, decisions: Sequence[Decision], reviews: Sequence[Review] = ()
) -> list[str]:
    """`reviews` are those that were decided by then on what was made of it."""
    if not decisions:
        asked = f" for [{partition}]" if partition is not None else ""
        return [f"{consumer} had read nothing{asked} by {_exact(at)}."]
    first = decisions[0]
    lines = [
        f"By {_exact(at)}, {consumer} had last read in run {first.step.run_id} (step {first.step.step}, attempt {first.step.attempt}):"
    ]
    for decision in decisions:
        lines.append(f"  {_exact(decision.decided_at)}: it {_read(decision.route)}.")
        if decision.route.reason:
            lines.append(f"    {decision.route.reason}")
    for review in reviews:
        if review.decided_at is not None:
            what = f"{review.actor} {review.status} what it had made, [{review.partition}]"
            lines.append(f"  {_exact(review.decided_at)}: {what}: {review.reason}")
    return lines


def of_incident(key: str, number: int, events: Sequence[Event], left_out: int) -> list[str]:
    closed = next((event for event in events if event.type == "breaker.closed"), None)
    first = events[0]
    ended = f"it closed on {_exact(closed.at)}, after {lasting(closed.at - first.at)}" if closed is not None else "it has not closed"
    told = "was 1 more event" if left_out == 1 else f"were {left_out} more events"
    return [
        f"Incident {number} of {key} began on {_exact(first.at)}; {ended}.",
        *([f"Its first and its last events are listed; between them there {told}."] if left_out else []),
        *(f"  {_exact(event.at)}  {event.type}: {event.message}{_by(event)}" for event in events),
    ]


def _by(event: Event) -> str:
    """Who has moved the breaker; of batches and reviews their messages say it."""
    actor = event.payload.get("actor")
    return f" (by {actor})" if actor and event.type in (EventType.BREAKER_CHANGED, EventType.BREAKER_CLOSED) else ""


def _exact(moment: datetime) -> str:
    """To the second: what happened is put in order by it."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
