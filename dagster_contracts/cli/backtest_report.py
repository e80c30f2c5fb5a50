"""Replays for people: what tripped, what was caught, what was refused without a label, and what consumers would have read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from dagster_contracts.calibration.incidents import Incident
from dagster_contracts.calibration.replay import Replay, Replayed, Trip
from dagster_contracts.calibration.scoring import Score, Told, scored
from dagster_contracts.chaos.batch import Arrival
from dagster_contracts.cli.printing import print_table, print_text
from dagster_contracts.cli.wording import clock
from dagster_contracts.core.wording import counted, duration

_LISTED = 25  # batches that are named; --format json has all


def print_replays(replays: Sequence[Replay], incidents: Sequence[Incident]) -> None:
    for each in replays:
        _print(each, scored(each, incidents))
    if len(replays) > 1:
        _print_differences(*replays)


def _print(found: Replay, score: Score) -> None:
    open_for = sum((trip.length(found.end) for trip in found.trips), timedelta())
    print_text(
        f"{found.contract} {found.version}: {counted(len(found.batches), 'batch', 'es')}, {len(found.refused())} refused; "
        f"tripped {_times(len(found.trips))}, open for {duration(open_for)}"
    )
    if (assumed := arrivals(found.batches)) is not None:
        print_text(f"  {assumed}")
    for line in told_of(score):
        print_text(f"  {line}")
    if found.trips:
        print_table(("opened", "by", "open for", "failed probes", "what", "rules"), [_row(trip, found, score) for trip in found.trips])
    print_table(("consumer", *_KINDS.values()), [(name, *counts) for name, counts in _counted(found).items()])
    print_text("")


# --- the score -----------------------------------------------------------------------------------------------------

_ARRIVALS = {
    Arrival.DATA: "at its newest value of what is to be fresh",
    Arrival.NAME: "at the end of the day or month in its name",
    Arrival.ORDER: "a day after the one before it, its name having no date",
}


def arrivals(batches: Sequence[Replayed]) -> str | None:
    """What the times of arrival were taken from; None where all are known."""
    found = Counter(each.arrival for each in batches)
    told = [f"{found[by]:,} {words}" for by, words in _ARRIVALS.items() if found[by]]
    return f"when batches came is assumed: {'; '.join(told)}" if told else None


def told_of(score: Score) -> Iterator[str]:
    """The sentences of a score: of incidents and false trips where there are labels, of clean batches always."""
    if score.incidents:
        rate = "" if score.false_trip_rate is None else f", {score.false_trip_rate:.1f} in 100 clean batches"
        yield (f"labelled incidents caught: {len(score.caught)} of {len(score.incidents)}; false trips: {len(score.false_trips)}{rate}")
        yield from map(_incident, (*score.caught, *score.missed))
    clean = "clean batches" if score.incidents else "batches, of which none is labelled,"
    yield f"{clean} refused: {len(score.refused)} of {score.clean}"
    yield from (f"  {each.partition}: {', '.join(each.rules)}" for each in score.refused[:_LISTED])
    if (more := len(score.refused) - _LISTED) > 0:
        yield f"  and {more:,} more with --format json"


def _incident(told: Told) -> str:
    if told.caught:
        return f"caught: {told.incident}, by {', '.join(told.by)}"
    if told.incident.rule is None:
        return f"not caught: {told.incident}"
    others = f"; refused, by {', '.join(told.others)}" if told.others else ""
    return f"not caught: {told.incident}, for which its rule {told.incident.rule} is to refuse it{others}"


def _row(trip: Trip, found: Replay, score: Score) -> tuple[str, ...]:
    length = duration(trip.length(found.end)) + ("" if trip.closed_at else ", still open")
    what = "an incident" if trip not in score.false_trips else "a false trip" if score.incidents else "to look at"
    return str(clock(trip.opened_at)), trip.partition or trip.cause, length, str(trip.probes), what, ", ".join(trip.rules)


def _times(number: int) -> str:
    return ("never", "once", "twice")[number] if number <= 2 else f"{number:,} times"


# --- consumers -----------------------------------------------------------------------------------------------------

_KINDS = {"fresh": "fresh", "last_good": "last good", "low_confidence": "low", "halted": "halted", "unjudged": "unjudged"}


def _counted(found: Replay) -> Mapping[str, list[str]]:
    """What each consumer would have read at the deliveries, counted by kind."""
    reads = [read for each in found.batches for read in each.reads]
    names = dict.fromkeys(read.consumer for read in reads)
    return {name: [str(sum(read.consumer == name and read.kind == kind for read in reads)) for kind in _KINDS] for name in names}


# --- two versions --------------------------------------------------------------------------------------------------


def _print_differences(one: Replay, other: Replay) -> None:
    rows = [
        (was.partition, _told(was.outcome, was.rules), _told(now.outcome, now.rules))
        for was, now in zip(one.batches, other.batches, strict=True)
        if (was.outcome, was.rules) != (now.outcome, now.rules)
    ]
    told = f"{counted(len(rows), 'batch', 'es')} {'is' if len(rows) == 1 else 'are'} judged otherwise:"
    print_text(told if rows else "Every batch is judged alike.")
    if rows:
        print_table(("batch", f"by {one.version}", f"by {other.version}"), rows)


def _told(outcome: object, rules: Sequence[str]) -> str:
    return f"{outcome}: {', '.join(rules)}" if rules else str(outcome)
