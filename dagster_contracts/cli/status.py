"""`status`: every breaker, and everything that waits for something, in one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dagster_contracts import routing
from dagster_contracts.cli import forms, options
from dagster_contracts.cli.options import LISTED, FormatOption, UrlOption
from dagster_contracts.cli.printing import Format, print_json, print_table, print_text
from dagster_contracts.cli.wording import WAITING, age, given, outlook, prospect, summed, why
from dagster_contracts.core import breaker as machine
from dagster_contracts.core.ledger import FALLEN, Batch, Output, Review, ReviewStatus, Route, Status
from dagster_contracts.core.snapshot import Pile, fallen, in_order
from dagster_contracts.core.state import Breaker, State
from dagster_contracts.core.windows import is_streamed
from dagster_contracts.core.wording import counted
from dagster_contracts.ports import Store, Waiting

_TOLD_WITHIN = timedelta(minutes=2)  # the sensor that delivers events looks twice a minute
_COLUMNS = ("what", "where", "state", "since", "for", "why", "next")


@dataclass(frozen=True, slots=True)
class _Status:
    now: datetime
    breakers: Sequence[Breaker]
    piles: Sequence[Pile]  # of batches that are held, quarantined, publishing
    outputs: Sequence[Output]  # degraded, halted, withdrawn
    reviews: Sequence[Review]  # pending
    missing: frozenset[Route]  # what outputs have read, and only a new delivery brings
    sinks: Sequence[Waiting]

    @property
    def batches(self) -> list[Batch]:
        """Those that are listed, newest first."""
        return in_order(self.piles)

    @property
    def counts(self) -> dict[Status, int]:
        """Of all that wait, listed or not."""
        return {status: sum(pile.count for pile in self.piles if pile.first.status is status) for status in WAITING}


def status(format: FormatOption = Format.TEXT, database_url: UrlOption = None) -> None:
    """Every breaker, and all that waits for something.

    Held and quarantined batches, degraded, halted and withdrawn outputs, pending reviews, events that a sink was not told yet.
    """
    found = _read(options.store_at(database_url))
    if format is Format.JSON:
        options.tell_of_piles(found.piles)
        print_json(_form(found))
        return
    options.tell_of_piles([pile for pile in found.piles if not is_streamed(pile.first)])
    if found.breakers:
        print_table(_COLUMNS, _rows(found))
    else:
        print_text(f"no breakers yet in the {options.place_of(database_url)}: a breaker exists once its asset's first batch is judged")
    print_text("")
    print_text(_summary(found))


def _read(store: Store) -> _Status:
    outputs = store.outputs(statuses=FALLEN, limit=LISTED)
    grounds = routing.grounds_now(store, [route for output in outputs for route in fallen(output)])
    found = _Status(
        store.now(),
        store.breakers(),
        store.piles(limit=LISTED),
        outputs,
        store.reviews(statuses=(ReviewStatus.PENDING,), limit=LISTED),
        frozenset(route for route, now in grounds.items() if now.is_missing),
        store.waiting(),
    )
    for rows, what in ((found.outputs, "outputs"), (found.reviews, "reviews")):
        options.tell_of_limit(len(rows), what)
    return found


def _form(found: _Status) -> dict[str, object]:
    batches = {status: [forms.of_batch(batch) for batch in found.batches if batch.status is status] for status in WAITING}
    return {
        "at": forms.time(found.now),
        "breakers": [forms.of_breaker(breaker, found.now) for breaker in found.breakers],
        "held": batches[Status.HELD],
        "quarantined": batches[Status.QUARANTINED],
        "publishing": batches[Status.PUBLISHING],
        "waiting": {str(status): count for status, count in found.counts.items()},
        "degraded": [forms.of_output(output, found.now) for output in found.outputs],
        "reviews": [forms.of_review(review) for review in found.reviews],
        "sinks": [forms.of_waiting(waiting) for waiting in found.sinks],
    }


def _rows(found: _Status) -> Iterator[tuple[object, ...]]:
    now = found.now
    breakers = {breaker.key: breaker for breaker in found.breakers}
    for breaker in found.breakers:
        yield _breaker_row(machine.current(breaker, now), found.batches, now)
        if (told := machine.edited(breaker)) is not None:
            yield ("contract", breaker.key, "edited", None, None, *told.rsplit(": ", 1))
    for batch in found.batches:
        if not is_streamed(batch):
            place = f"{batch.asset} [{batch.partition}]"
            yield (
                "batch",
                place,
                batch.status,
                *age(batch.arrived_at, now),
                why(batch),
                prospect(batch, breakers.get(batch.breaker_key), now),
            )
    yield from (_stream_row(pile, now) for pile in found.piles if is_streamed(pile.first))
    read = {output.id: given(output, found.outputs) for output in found.outputs}
    for output in found.outputs:
        place = f"{output.asset} [{output.partition}]"
        state = f"{output.status} ({output.confidence})" if output.confidence is not None else output.status
        yield ("output", place, state, *age(output.at, now), read[output.id], _awaited(output, found.missing))
    for review in found.reviews:
        place = f"{review.asset} [{review.partition}]"
        yield (
            "review",
            place,
            review.status,
            *age(review.opened_at, now),
            read.get(review.id),
            "a person approves or rejects it: `review`",
        )
    for waiting in found.sinks:
        if waiting.oldest is not None and now - waiting.oldest > _TOLD_WITHIN:
            told = f"{counted(waiting.events, 'event')} not delivered yet"
            yield ("sink", waiting.sink, "behind", *age(waiting.oldest, now), told, "delivered by contracts_relay or `relay`")


def _awaited(output: Output, missing: frozenset[Route]) -> str:
    """What an output waits for: nothing but a person brings what was discarded."""
    again = [f"{route.upstream} [{route.requested}]" for route in fallen(output) if route in missing]
    if not again:
        return "computed again once its inputs are fresh"
    return f"deliver {again[0]}{f' and {len(again) - 1} more' if len(again) > 1 else ''} again, then it is computed again"


def _stream_row(pile: Pile, now: datetime) -> tuple[object, ...]:
    """One for all that a stream has delivered and that came to the same: a stream that runs always has some."""
    first = pile.first
    told = "" if first.status is Status.PUBLISHING else f"; the newest [{first.partition}]: {why(first)}"
    return ("stream", first.breaker_key, first.status, *age(pile.since, now), summed(pile) + told, prospect(first, None, now))


def _breaker_row(breaker: Breaker, waiting: Sequence[Batch], now: datetime) -> tuple[object, ...]:
    override = breaker.override
    if override is not None:
        state, times, cause = f"{override.kind} ({breaker.state})", age(override.set_at, now), f"{override.actor}: {override.reason}"
    else:
        findings = breaker.findings if breaker.state is not State.CLOSED else ()
        state, times, cause = str(breaker.state), age(breaker.since, now), "; ".join((breaker.cause, *findings))
    return ("breaker", breaker.key, state, *times, cause, outlook(breaker, now, waiting))


def _summary(found: _Status) -> str:
    count = found.counts
    routed = sum(machine.enforced_open(breaker, found.now) for breaker in found.breakers)
    aside = f"{routed} set aside what arrives{'; published partitions stay readable' if routed else ''}"
    return (
        f"breakers: {len(found.breakers)} ({aside}); held: {count[Status.HELD]}; "
        f"quarantined: {count[Status.QUARANTINED]}; degraded or halted outputs: {len(found.outputs)}; reviews pending: {len(found.reviews)}"
    )
