"""`why`: what is the matter with an asset, since when, who is affected and what to do, in sentences; and what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer

from dagster_contracts import routing
from dagster_contracts.cli import forms, options, telling
from dagster_contracts.cli.options import LISTED, FormatOption, UrlOption
from dagster_contracts.cli.printing import Format, print_json, print_text
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.errors import UsageError, did_you_mean
from dagster_contracts.core.events import Event, EventType
from dagster_contracts.core.ledger import Decision, Review, Route
from dagster_contracts.core.snapshot import Standing, fallen, piled
from dagster_contracts.core.state import asset_of
from dagster_contracts.ports import Store


def why(
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="An asset, or the key of a breaker.", show_default=False)],
    partition: Annotated[str | None, typer.Option("--partition", metavar="P", help="The partition's key.", show_default=False)] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="What it read as a consumer at that time (RFC 3339).", show_default=False)
    ] = None,
    incident: Annotated[
        int | None, typer.Option("--incident", metavar="N", min=1, help="What happened in that incident.", show_default=False)
    ] = None,
    format: FormatOption = Format.TEXT,
    database_url: UrlOption = None,
) -> None:
    """Why an asset is held or degraded, who is affected, what is waited for and what to do, in sentences.

    With --at: what it read at that time, and what it was told. With --incident: what happened, in order.
    """
    if incident is not None and (at is not None or partition is not None):
        raise UsageError("--incident is asked alone: an incident is of a breaker, whatever the partition; leave out --at and --partition")
    moment = None if at is None else options.instant(at, "--at")
    store = options.store_at(database_url)
    if incident is not None:
        form, lines = _incident(store, asset, incident)
    elif moment is not None:
        form, lines = _given(store, asset, partition, moment)
    else:
        form, lines = _standing(store, asset, partition)
    if format is Format.JSON:
        print_json({**form, "sentences": [line.strip() for line in lines if line]})
        return
    for line in lines:
        print_text(line)


def _standing(store: Store, asset: str, partition: str | None) -> tuple[dict[str, object], list[str]]:
    found = store.standing(asset_of(asset), partition)
    if not found.breakers and found.newest is None and found.output is None:
        raise UsageError(_unknown(store, asset, partition))
    if partition is not None and found.newest is None and found.output is None and not found.affected:
        raise UsageError(_unknown(store, asset, partition))
    if partition is not None:
        found = _concerning(found, partition)
    reviews = _reviews(store, found)
    form: dict[str, object] = {
        "at": forms.time(found.now),
        "asset": found.asset,
        "partition": partition,
        "breakers": [forms.of_breaker(breaker, found.now) for breaker in found.breakers],
        "waiting": [forms.of_batch(batch) for batch in found.waiting],
        "newest": forms.of_batch(found.newest) if found.newest is not None else None,
        "published": forms.of_batch(found.published) if found.published is not None else None,
        "output": forms.of_output(found.output, found.now) if found.output is not None else None,
        "affected": [forms.of_output(output, found.now) for output in found.affected],
        "reviews": [forms.of_review(review) for review in reviews.values()],
    }
    piles = store.piles(found.asset, LISTED) if partition is None else piled(found.waiting, LISTED)
    return form, telling.of_standing(found, piles, partition, reviews, routing.grounds_now(store, _inputs(found)))


def _concerning(found: Standing, partition: str) -> Standing:
    """Without the breakers of other scopes than that of the partition, where it is known from what was judged or read of it."""
    judged = {batch.breaker_key for batch in (found.newest, found.published, *found.waiting) if batch is not None}
    read = {route.breaker_key for route in _inputs(found) if (route.upstream, route.requested.key) == (found.asset, partition)}
    keys = judged | read - {None}
    return replace(found, breakers=tuple(breaker for breaker in found.breakers if breaker.key in keys)) if keys else found


def _inputs(found: Standing) -> list[Route]:
    """What its own output has read, and what others have read of it that have fallen over it."""
    over = (route for output in found.affected for route in fallen(output) if route.upstream == found.asset)
    return [*(found.output.inputs if found.output is not None else ()), *over]


def _reviews(store: Store, found: Standing) -> dict[str, Review]:
    """What people have decided on what is told of, by the output's id."""
    made = [*([found.output] if found.output is not None else []), *found.affected[: telling.AFFECTED]]
    low = {output.id: output.asset for output in made if output.confidence is Confidence.LOW}
    decided = (each for asset in sorted({*low.values()}) for each in store.reviews(statuses=telling.DECIDED, asset=asset, limit=LISTED))
    return {review.id: review for review in decided if review.id in low}


def _given(store: Store, consumer: str, partition: str | None, at: datetime) -> tuple[dict[str, object], list[str]]:
    decisions = store.given(consumer, at, partition)
    if not decisions and not store.given(consumer, store.now()):
        raise UsageError(_unknown(store, consumer, None, "was ever given anything to read"))
    reviews = _reviewed(store, consumer, at, decisions)
    form: dict[str, object] = {
        "at": forms.time(at),
        "asset": consumer,
        "partition": partition,
        "decisions": [forms.of_decision(decision) for decision in decisions],
        "reviews": [forms.of_review(review) for review in reviews],
    }
    return form, telling.of_decisions(consumer, partition, at, decisions, reviews)


def _reviewed(store: Store, consumer: str, at: datetime, decisions: Sequence[Decision]) -> list[Review]:
    """What people had decided, by a time, on what was made of these decisions."""
    runs = {decision.step.run_id for decision in decisions if decision.route.confidence is Confidence.LOW}
    made = {output.id for output in store.outputs(asset=consumer, limit=LISTED) if output.run_id in runs} if runs else set()
    found = store.reviews(statuses=telling.DECIDED, asset=consumer, limit=LISTED) if made else ()
    return [review for review in found if review.id in made and review.decided_at is not None and review.decided_at <= at][::-1]


def _incident(store: Store, key: str, number: int) -> tuple[dict[str, object], list[str]]:
    found = store.incident(key, number, LISTED)
    if not found.events:
        raise UsageError(_no_incident(store, key, number))
    events = _with_afterwards(store, key, number, found.events)
    form: dict[str, object] = {
        "asset": asset_of(key),
        "breaker": key,
        "incident": number,
        "events": [forms.of_event(event) for event in events],
        "left_out": found.left_out,
    }
    return form, telling.of_incident(key, number, events, found.left_out)


_AFTERWARDS = (EventType.OUTPUT_HEALED, EventType.REVIEW_APPROVED, EventType.REVIEW_REJECTED)


def _with_afterwards(store: Store, key: str, number: int, events: Sequence[Event]) -> list[Event]:
    """With what has become of the outputs that fell in this incident, and without what became of those of another one: an output may be
    healed while a later one is under way."""
    begun, following = events[0].at, store.incident(key, number + 1, 1).events

    def is_of_it(event: Event) -> bool:
        since = datetime.fromisoformat(str(event.payload["since"])) if "since" in event.payload else event.at
        return begun <= since and not (following and following[0].at <= since)

    later = [event for event in store.events(key, after=events[-1].sequence, limit=LISTED) if event.type in _AFTERWARDS]
    return [event for event in (*events, *later) if event.type not in _AFTERWARDS or is_of_it(event)]


# --- what cannot be answered -----------------------------------------------------------------------------------------


def _unknown(store: Store, asset: str, partition: str | None, what: str = "is known to the ledger") -> str:
    places: dict[str, set[str]] = {}
    for batch in store.batches(limit=LISTED):
        places.setdefault(batch.asset, set()).add(str(batch.partition))
    for output in store.outputs(limit=LISTED):
        places.setdefault(output.asset, set()).add(str(output.partition))
    for breaker in store.breakers():
        places.setdefault(asset_of(breaker.key), set())
    if partition is not None and asset_of(asset) in places:
        known = sorted(places[asset_of(asset)])
        return f"nothing is known of {asset} [{partition}]{did_you_mean(partition, known) or ';'} partitions: {_listed(known)}"
    names = sorted(places)
    return f'no asset "{asset}" {what}{did_you_mean(asset, names) or ";"} assets: {_listed(names)}'


def _no_incident(store: Store, key: str, number: int) -> str:
    found = store.breakers([key])
    if not found:
        known = [breaker.key for breaker in store.breakers()]
        return f'no breaker "{key}"{did_you_mean(key, known) or ";"} breakers: {_listed(known)}'
    latest = found[0].incident
    if number > latest:
        return f"{key} had {f'incidents 1 to {latest}' if latest else 'no incident yet'}; there is no incident {number}"
    return f"nothing is left of incident {number} of {key}: its events were pruned; the latest is {latest}"


def _listed(names: Sequence[str]) -> str:
    return (", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")) or "none yet"
