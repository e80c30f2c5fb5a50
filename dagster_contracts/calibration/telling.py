"""A replay in sentences and rows, for a terminal and for a page. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from dagster_contracts.calibration.replay import Replay, Replayed, Trip
from dagster_contracts.calibration.scoring import Score, Told
from dagster_contracts.chaos.batch import Arrival
from dagster_contracts.core.wording import counted, duration

LISTED = 25  # batches that are named; the JSON has all
TRIPS = ("opened", "by", "open for", "failed probes", "what", "rules")
KINDS = {"fresh": "fresh", "last_good": "last good", "low_confidence": "low", "halted": "halted", "unjudged": "unjudged"}
_ARRIVALS = {
    Arrival.DATA: "at its newest value of what is to be fresh",
    Arrival.NAME: "at the end of the day or month in its name",
    Arrival.ORDER: "a day after the one before it, its name having no date",
}


def headline(found: Replay) -> str:
    open_for = sum((trip.length(found.end) for trip in found.trips), timedelta())
    return (
        f"{found.contract} {found.version}: {counted(len(found.batches), 'batch', 'es')}, {len(found.refused())} refused; "
        f"tripped {_times(len(found.trips))}, open for {duration(open_for)}"
    )


def _times(number: int) -> str:
    return ("never", "once", "twice")[number] if number <= 2 else f"{number:,} times"


def arrivals(batches: Sequence[Replayed]) -> str | None:
    """What the times of arrival were taken from; None where all are known."""
    found = Counter(each.arrival for each in batches)
    told = [f"{found[by]:,} {words}" for by, words in _ARRIVALS.items() if found[by]]
    return f"when batches came is assumed: {'; '.join(told)}" if told else None


def unknown(found: Replay) -> Iterator[str]:
    """What could not be judged anew of recorded batches."""
    for each in found.unknown:
        batches = counted(each.batches, "batch", "es")
        yield f"not judged anew: {each.rule}, in {batches}: {each.reason}" if each.rule else f"not judged anew: {batches}: {each.reason}"


def told_of(score: Score) -> Iterator[str]:
    """The sentences of a score: of incidents and false trips where there are labels, of clean batches always."""
    if score.incidents:
        rate = "" if score.false_trip_rate is None else f", {score.false_trip_rate:.1f} in 100 clean batches"
        yield f"labelled incidents caught: {len(score.caught)} of {len(score.incidents)}; false trips: {len(score.false_trips)}{rate}"
        yield from map(incident, (*score.caught, *score.missed))
    clean = "clean batches" if score.incidents else "batches, of which none is labelled,"
    yield f"{clean} refused: {len(score.refused)} of {score.clean}"
    yield from (f"  {each.partition}: {', '.join(each.rules)}" for each in score.refused[:LISTED])
    if (more := len(score.refused) - LISTED) > 0:
        yield f"  and {more:,} more with --format json"


def incident(told: Told) -> str:
    """Which rules caught it; or why none did, or not the one that it names."""
    if told.caught:
        return f"caught: {told.incident}, by {', '.join(told.by)}"
    if told.incident.rule is None:
        warned = f"; {', '.join(told.warned)} only warn{'s' if len(told.warned) == 1 else ''}" if told.warned else ""
        return f"not caught: {told.incident}: no rule refuses it{warned}"
    warns = ", but only warns" if told.incident.rule in told.warned else ""
    others = f"; refused, by {', '.join(told.others)}" if told.others else ""
    return f"not caught: {told.incident}, for which its rule {told.incident.rule} is to refuse it{warns}{others}"


def trip_row(trip: Trip, found: Replay, score: Score) -> tuple[str, ...]:
    """The cells below TRIPS."""
    length = duration(trip.length(found.end)) + ("" if trip.closed_at else ", still open")
    what = "an incident" if trip not in score.false_trips else "a false trip" if score.incidents else "to look at"
    opened = f"{trip.opened_at:%Y-%m-%d %H:%MZ}"
    return opened, trip.partition or trip.cause, length, str(trip.probes), what, ", ".join(trip.rules)


def read_by(found: Replay) -> Mapping[str, list[str]]:
    """What each consumer would have read at the deliveries, counted by the kinds of KINDS."""
    reads = [read for each in found.batches for read in each.reads]
    names = dict.fromkeys(read.consumer for read in reads)
    return {name: [str(sum(read.consumer == name and read.kind == kind for read in reads)) for kind in KINDS] for name in names}


def differences(one: Replay, other: Replay) -> list[tuple[str, str, str]]:
    """Of two replays of the same batches, those that are judged otherwise: the batch, and what each says of it."""
    return [
        (was.partition, _verdict(was), _verdict(now))
        for was, now in zip(one.batches, other.batches, strict=True)
        if (was.outcome, was.rules) != (now.outcome, now.rules)
    ]


def differ(number: int) -> str:
    if not number:
        return "Every batch is judged alike."
    return f"{counted(number, 'batch', 'es')} {'is' if number == 1 else 'are'} judged otherwise:"


def _verdict(each: Replayed) -> str:
    return f"{each.outcome}: {', '.join(each.rules)}" if each.rules else str(each.outcome)
