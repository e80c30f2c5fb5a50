"""Service levels that speak of when batches come: cadence, time of availability, support periods. Pure.

`observed` judges a batch as it arrives, `missing` what has not arrived. Decisions:

- Only head batches are judged and compared with: a backfill says nothing about when the vendor delivers.
- What was refused or could not be measured is no delivery that the next is compared with; for what is missing it has come all the same.
- Of the batches of one time window the first is the delivery; the others are it, delivered again.
- A batch that comes too early is no breach where its window keeps the promise: the vendor is catching up.
- Without time windows, a time of availability is kept by any batch of that day (in its zone).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import assert_never

from dagster_contracts.core.plan import Cadence, Due, InForce
from dagster_contracts.core.schedule import read_cron, zone_of
from dagster_contracts.core.verdict import Arrival, Past
from dagster_contracts.core.wording import duration, rfc3339

_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)
_BACKFILL = "older partition (backfill): when it arrives is no promise of the newest"
_FIRST = "the first batch: there is none before it to compare with"


@dataclass(frozen=True, slots=True)
class Told:
    """Whether a promise is kept, in words. `late`: it is not, and refusing the batch would only make it later."""

    held: bool
    observed: str
    late: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Deliveries that were promised and have not come: the first was due at `since`, the latest at `due`; `last` is when one came."""

    last: datetime
    since: datetime
    due: datetime

    def __str__(self) -> str:
        first = f"a delivery was due at {rfc3339(self.since)} and has not arrived; the last came at {rfc3339(self.last)}"
        return first if self.due == self.since else f"{first}; the latest missing was due at {rfc3339(self.due)}"


def observed(check: Cadence | Due | InForce, *, as_of: datetime, head: bool, past: Past) -> Told | str:
    """Whether the arrival of a batch at `as_of` keeps the promise; or why that cannot be said."""
    if not head:
        return _BACKFILL
    known = _deliveries([arrival for arrival in past.arrivals if arrival.accepted])
    if isinstance(check, InForce):
        held = (check.start is None or as_of >= check.start) and (check.end is None or as_of < check.end)
        return Told(held, f"arrived at {rfc3339(as_of)}")
    if known and past.window_end is not None and (latest := known[0].window_end) is not None:
        if past.window_end < latest:
            return f"the window that ended at {rfc3339(latest)} came before it"
        if past.window_end == latest:
            return Told(True, "its window was delivered before: delivered again")
    if isinstance(check, Cadence):
        return _cadence(check, as_of, past.window_end, known) if known else _FIRST
    return _due(check, as_of, past.window_end, known)


def expected(check: Cadence | Due | InForce) -> str:
    match check:
        case Cadence(interval, tolerance, schedule):
            when = f"every {duration(interval)}" if schedule is None else f"at each moment of {schedule} (UTC)"
            return f"one batch {when}, give or take {duration(tolerance)}"
        case Due(at, zone):
            return f"a batch by {at.isoformat('minutes' if not at.second else 'seconds')} {zone}"
        case InForce(start, end):
            bounds = (("from", start, " on"), ("before", end, ""))
            return "batches " + " and ".join(f"{word} {rfc3339(moment)}{on}" for word, moment, on in bounds if moment is not None)
        case _:
            assert_never(check)


def missing(check: Cadence | Due, *, arrivals: Sequence[Arrival], windows: Sequence[datetime], now: datetime) -> Gap | None:
    """What should have arrived by `now` and has not; nothing where nothing ever has: a promise begins with the first delivery.

    `arrivals` are those of head batches, newest first; `windows` the ends of the asset's time windows that are over, newest first.
    """
    known = _deliveries(arrivals)
    if not known:
        return None
    last = known[0]
    if isinstance(check, Cadence):
        return _pause(check, last, now)
    if last.window_end is None:
        first, latest = _on(_local(last.at, check) + _DAY, check), _last_before(now, check)
        return Gap(last.at, first, latest) if first < now else None
    due = [moment for end in windows if end > last.window_end and (moment := _after(end, check)) < now]
    return Gap(last.at, min(due), max(due)) if due else None


def latest(arrivals: Sequence[Arrival]) -> Arrival | None:
    """The delivery that `missing` goes by."""
    return next(iter(_deliveries(arrivals)), None)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Bounds of the latest delivery below which something may be missing: of when it came; where it has no time window, of that too
    (`day`); where it has one, of that window's end (`window`). None: nothing can be missing by that."""

    since: datetime | None = None
    day: datetime | None = None
    window: datetime | None = None

    def may_miss(self, last: Arrival) -> bool:
        by_day = self.day if last.window_end is None else None
        by_window = self.window if last.window_end is not None else None
        came_before = any(bound is not None and last.at < bound for bound in (self.since, by_day))
        return came_before or (by_window is not None and last.window_end is not None and last.window_end < by_window)


def quiet(checks: Iterable[Cadence | Due], windows: Callable[[], Sequence[datetime]], now: datetime) -> Quiet:
    """For what `missing` says of any of these: it says nothing where `may_miss` does not hold. `windows` as there; asked where needed."""
    since: list[datetime] = []
    days: list[datetime] = []
    ends: list[datetime] = []
    for check in checks:
        if isinstance(check, Cadence):
            since.append(_pause_since(check, now))
        else:
            days += [_midnight(_local(_last_before(now, check), check), check)]
            ends += [end for end in windows() if _after(end, check) < now]
    return Quiet(max(since) if since else None, max(days) if days else None, max(ends) if ends else None)


def _pause_since(check: Cadence, now: datetime) -> datetime:
    if check.schedule is None:
        return now - check.tolerance - check.interval
    return read_cron(check.schedule).at_or_before(now - check.tolerance - _INSTANT) - check.tolerance


def _midnight(day: date, check: Due) -> datetime:
    """Where the clock goes back or forth at midnight, the later of the two."""
    begun = datetime.combine(day, time(), zone_of(check.zone))
    return max(each.astimezone(UTC) for each in (begun, begun.replace(fold=1)))


# --- cadence -------------------------------------------------------------------------------------------------------


def _cadence(check: Cadence, as_of: datetime, window_end: datetime | None, known: Sequence[Arrival]) -> Told:
    last = known[0]
    due = _next(check, last.at)
    since = max(as_of - last.at, timedelta(0))
    told = f"{duration(since)} after the one before"
    if as_of > due + check.tolerance:
        return Told(False, f"{told}: {duration(as_of - due)} late", late=True)
    least = due - check.tolerance - last.at
    if since >= least:
        return Told(True, told)
    if window_end is not None and last.window_end is not None and window_end - last.window_end >= check.interval - check.tolerance:
        return Told(True, f"{told}, of the window that follows: catching up")
    close = [arrival for arrival in known if as_of - arrival.at < least]
    if len(close) > 1:
        told = f"{len(close) + 1} batches within {duration(as_of - close[-1].at)}"
    return Told(False, f"{told}: too early")


def _pause(check: Cadence, last: Arrival, now: datetime) -> Gap | None:
    first = _next(check, last.at)
    if now <= first + check.tolerance:
        return None
    passed = now - check.tolerance - _INSTANT  # what was due up to then is missing
    if check.schedule is not None:
        return Gap(last.at, first, read_cron(check.schedule).at_or_before(passed))
    return Gap(last.at, first, last.at + (passed - last.at) // check.interval * check.interval)


def _next(check: Cadence, last: datetime) -> datetime:
    """When a batch is expected that follows one of `last`; one that was early, within the tolerance, stands for the moment ahead."""
    if check.schedule is None:
        return last + check.interval
    cron = read_cron(check.schedule)
    return cron.after(cron.at_or_before(last + check.tolerance))


# --- time of availability ------------------------------------------------------------------------------------------


def _due(check: Due, as_of: datetime, window_end: datetime | None, known: Sequence[Arrival]) -> Told | str:
    day = _local(as_of, check)
    due = _on(day, check) if window_end is None else _after(window_end, check)
    if as_of <= due:
        return Told(True, f"arrived at {rfc3339(as_of)}, due at {rfc3339(due)}")
    if window_end is None:
        if not known:
            return _FIRST
        if any(_local(arrival.at, check) == day for arrival in known):
            return Told(True, "another batch of the day came before: delivered again")
    return Told(False, f"arrived at {rfc3339(as_of)}, due at {rfc3339(due)}: {duration(as_of - due)} late", late=True)


def _local(moment: datetime, check: Due) -> date:
    return moment.astimezone(zone_of(check.zone)).date()


def _on(day: date, check: Due) -> datetime:
    """In UTC, as all times here: two times of one zone would be compared by their clocks, which go back an hour each autumn."""
    return datetime.combine(day, check.at, zone_of(check.zone)).astimezone(UTC)


def _after(moment: datetime, check: Due) -> datetime:
    """The first `at` later than `moment`."""
    day = _local(moment, check)
    return next(due for number in range(3) if (due := _on(day + number * _DAY, check)) > moment)


def _last_before(moment: datetime, check: Due) -> datetime:
    day = _local(moment, check)
    return next(due for number in range(3) if (due := _on(day - number * _DAY, check)) < moment)


def is_new(window_end: datetime | None, arrivals: Sequence[Arrival]) -> bool:
    """Whether a head batch is a delivery of its own: of a window later than every one that came, or of no window."""
    return window_end is None or all(arrival.window_end is None or arrival.window_end < window_end for arrival in arrivals)


# --- both ----------------------------------------------------------------------------------------------------------


def _deliveries(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Of each time window the first arrival, newest first; all of them where there are no windows."""
    found: list[Arrival] = []
    for arrival in reversed(arrivals):
        ends = [each.window_end for each in found if each.window_end is not None]
        if arrival.window_end is None or arrival.window_end > max(ends, default=datetime.min.replace(tzinfo=UTC)):
            found.append(arrival)
    return found[::-1]
