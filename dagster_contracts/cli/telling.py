"""The sentences of `why`: written for whoever is woken by it. What is, since when, who is affected, what is waited for, what to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from dagster_contracts.cli.printing import lasting
from dagster_contracts.cli.wording import clock, let_in, may_be_published, outlook, prospect, reading, streaming
from dagster_contracts.core import breaker as machine
from dagster_contracts.core.breaker import Breaker, State, failures
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.events import Event
from dagster_contracts.core.ledger import Batch, Decision, Output, OutputStatus, Review, ReviewStatus, Route, RouteKind, Status
from dagster_contracts.core.snapshot import Standing, fallen
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.core.windows import is_micro_batch, is_streamed

_SHOWN = 5  # findings of one batch, and entries of one kind
AFFECTED = 2 * _SHOWN  # outputs that are told of
DECIDED = (ReviewStatus.APPROVED, ReviewStatus.REJECTED)
_ACCEPTING = {
    Confidence.FULL: "halts",
    Confidence.STALE: "reads the last good data",
    Confidence.LOW: "reads what was set aside, marked low",
}


def of_standing(found: Standing, partition: str | None, reviews: Mapping[str, Review]) -> list[str]:
    """Paragraphs, an empty line between two. `reviews` are those that were decided, by the id of their output."""
    who = [_made(found, reviews), _affected(found, reviews)]
    paragraphs = [_state(found), _batches(found, partition), *who, _awaited(found), _commands(found)]
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
    streamed = _is_streamed(found)
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
            yield from (f"  {finding}" for finding in breaker.findings[:_SHOWN])
            yield from _more(len(breaker.findings))
        if breaker.reopened:
            yield f"  {breaker.reopened} probes have failed since."


def _since(moment: datetime | None, now: datetime) -> str:
    return f" since {clock(moment)} ({lasting(now - moment)})" if moment is not None else ""


def _batches(found: Standing, partition: str | None) -> Iterator[str]:
    unconfirmed = [batch for batch in found.waiting if is_micro_batch(batch) and batch.status is Status.PUBLISHING]
    waiting = [batch for batch in found.waiting if batch not in unconfirmed]
    for batch in waiting[:_SHOWN]:
        yield f"{_place(batch)} is {batch.status}{_since(batch.arrived_at, found.now)}: {_outcome(batch)}"
        findings = failures(batch.verdict) if batch.verdict is not None else ()
        yield from (f"  {finding}" for finding in findings[:_SHOWN])
        yield from _more(len(findings))
        yield f"  Next: {prospect(batch, _breaker_of(found, batch), found.now)}."
    if unconfirmed:
        since = _since(unconfirmed[-1].arrived_at, found.now)
        yield f"{let_in(unconfirmed)}{since}; no consumer has confirmed yet that they went on."
        yield f"  Next: {prospect(unconfirmed[-1], None, found.now)}."
    if len(waiting) > _SHOWN:
        yield f"{len(waiting) - _SHOWN} more batches of {found.asset} wait; see `dagster-contracts batch list {found.asset}`."
    if not found.waiting and found.newest is not None and found.newest.status is Status.DISCARDED:
        yield f"{_place(found.newest)} was discarded on {clock(found.newest.updated_at)}: {found.newest.note}"
    published = found.published
    if published is not None and (partition is not None or not found.waiting):
        released = f", released by {published.released.actor}: {published.released.reason}" if published.released is not None else ""
        yield f"{_place(published)} is published{_since(published.updated_at, found.now)} ({published.outcome}{released})."


def _breaker_of(found: Standing, batch: Batch) -> Breaker | None:
    return next((breaker for breaker in found.breakers if breaker.key == batch.breaker_key), None)


def _is_streamed(found: Standing) -> bool:
    return any(is_streamed(batch) for batch in (found.newest, found.published, *found.waiting) if batch is not None)


def _outcome(batch: Batch) -> str:
    if batch.outcome is Outcome.FAIL:
        return "it failed its contract."
    if batch.outcome is Outcome.INCONCLUSIVE:
        return "it could not be judged."
    if batch.status is not Status.PUBLISHING:
        return "it passed."
    return "it was let in, and its writer has not said that it is written: it still writes, or has died."


def _place(entry: Batch | Output) -> str:
    return f"{entry.asset} [{entry.partition}]"


def _more(count: int) -> Iterator[str]:
    if count > _SHOWN:
        yield f"  and {count - _SHOWN} more findings"


# --- consumers -------------------------------------------------------------------------------------------------------


def _made(found: Standing, reviews: Mapping[str, Review]) -> Iterator[str]:
    """What the asset itself was made from, as a consumer."""
    output = found.output
    if output is None:
        return
    yield f"{_place(output)} {_ending(output)} on {clock(output.at)}{' from fresh data' if output.status is OutputStatus.OK else ''}."
    yield from (f"  {said}" for said in _reviewed(output, reviews))
    for route in output.inputs:
        if output.status is not OutputStatus.OK:
            yield f"  It {_read(route)}."
            if route.reason:
                over = route.since is not None and route.breaker_key not in {each.key for each in (*found.breakers, *found.above)}
                yield f"  At that time: {route.reason}" if over else f"  {route.reason}"
        elif _is_released(route):
            yield f"  It {_read(route)}: a batch that had been {route.reason}"


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
        yield f"Affected: {len(outputs)} outputs." if len(outputs) > 1 else "Affected: 1 output."
    for output in outputs[:AFFECTED]:
        told = "; it ".join(map(_read, fallen(output)))
        yield f"  {_place(output)} {_ending(output)} on {clock(output.at)}: it {told}."
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


def _awaited(found: Standing) -> Iterator[str]:
    """What its own breakers wait for, and those above it where it fell back to something."""
    fell = found.output is not None and found.output.status is not OutputStatus.OK
    upstream = {route.breaker_key for route in found.output.inputs} if found.output is not None and fell else set()
    for breaker in (*found.breakers, *(each for each in found.above if each.key in upstream)):
        now = machine.current(breaker, found.now)
        said = outlook(now, found.now)
        if said:
            yield f"Waiting for: {now.key}: {said}."
        elif machine.enforced_open(now, found.now):
            yield f"Waiting for: {now.key}: a new delivery that passes."
        if _is_streamed(found) and now in found.breakers and machine.enforced_open(now, found.now) and now.override is None:
            yield "  The first micro-batch that arrives then is the probe; where a rule of a time window failed, the first whole window."
    if found.output is not None and fell:
        yield f"Waiting for: {_place(found.output)} is computed again once its inputs are fresh."
    if not found.affected and not any(True for _ in _commands(found)):
        read = found.output.inputs if found.output is not None else ()
        released = any(map(_is_released, read)) or (found.published is not None and found.published.released is not None)
        yield "Nothing else is the matter." if released else "Nothing is the matter."


def _commands(found: Standing) -> Iterator[str]:
    commands = list(dict.fromkeys(_command(found)))
    if commands:
        yield "What to do:"
        yield from (f"  {command}" for command in commands)


def _command(found: Standing) -> Iterator[str]:
    for batch in found.waiting[:_SHOWN]:
        of = shlex.quote(batch.asset) + (f" --partition {shlex.quote(batch.partition.key)}" if batch.partition.key is not None else "")
        if is_streamed(batch):
            if batch.status is not Status.PUBLISHING:  # which is nothing to look at
                yield f"dagster-contracts batch show {of}"
        elif batch.status is Status.PUBLISHING:
            yield "dagster-contracts reconcile"
        elif may_be_published(batch, _breaker_of(found, batch), found.now):
            yield "see that the sensor contracts_heal is on, or"
            yield "dagster-contracts heal"
        elif batch.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE):
            yield f"deliver {_place(batch)} again, or"
            yield f"dagster-contracts batch show {of}"
            yield f"dagster-contracts batch rejudge {of} --reason ..."
            yield f"dagster-contracts batch release {of} --reason ..."
    for breaker in found.breakers:
        key = shlex.quote(breaker.key)
        if machine.current(breaker, found.now).override is not None:
            yield f"dagster-contracts breaker reset {key} --reason ..."
        elif machine.enforced_open(breaker, found.now):
            yield from _closing(found, breaker)
        if machine.current(breaker, found.now).state is not State.CLOSED and breaker.incident:
            yield f"dagster-contracts why {key} --incident {breaker.incident}"
    if found.output is not None and found.output.status is not OutputStatus.OK:
        for route in found.output.inputs:
            if route.kind not in (RouteKind.FRESH, RouteKind.UNJUDGED):
                of = f" --partition {shlex.quote(route.requested.key)}" if route.requested.key is not None else ""
                yield f"dagster-contracts why {shlex.quote(route.upstream)}{of}"


def _closing(found: Standing, breaker: Breaker) -> Iterator[str]:
    """Whether a person's word on the breaker helps: it publishes what passed, and frees nothing that was refused."""
    key, waiting = shlex.quote(breaker.key), [batch for batch in found.waiting if batch.breaker_key == breaker.key]
    if _is_streamed(found) or not waiting:
        yield f"dagster-contracts breaker force-closed {key} --until PT2H --reason ..."
    elif any(batch.status is Status.HELD and batch.outcome in (Outcome.PASS, Outcome.WARN) for batch in waiting):
        yield f"dagster-contracts breaker reset {key} --reason ..."


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
        if decision.route.kind is not RouteKind.FRESH and decision.route.reason:
            lines.append(f"    {decision.route.reason}")
    for review in reviews:
        if review.decided_at is not None:
            what = f"{review.actor} {review.status} what it had made, [{review.partition}]"
            lines.append(f"  {_exact(review.decided_at)}: {what}: {review.reason}")
    return lines


def of_incident(key: str, number: int, events: Sequence[Event]) -> list[str]:
    closed = next((event for event in events if event.type == "breaker.closed"), None)
    first = events[0]
    ended = f"it closed on {_exact(closed.at)}, after {lasting(closed.at - first.at)}" if closed is not None else "it has not closed"
    return [
        f"Incident {number} of {key} began on {_exact(first.at)}; {ended}.",
        *(f"  {_exact(event.at)}  {event.type}: {event.message}" for event in events),
    ]


def _exact(moment: datetime) -> str:
    """To the second: what happened is put in order by it."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
