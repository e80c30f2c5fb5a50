"""Breakers, batches and times in a few words, for tables that people read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from dagster_contracts.cli.printing import lasting
from dagster_contracts.core import breaker as machine
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import Batch, Output, Status
from dagster_contracts.core.snapshot import Pile, began_at, fallen, may_be_released
from dagster_contracts.core.state import Breaker
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.core.windows import is_streamed, is_window
from dagster_contracts.core.wording import counted

_SOON = timedelta(minutes=10)
WAITING = (Status.HELD, Status.QUARANTINED, Status.PUBLISHING)  # of a batch that something or somebody must still act on


def outlook(breaker: Breaker, now: datetime, waiting: Iterable[Batch] | None = None) -> str:
    """What happens next of itself. `waiting` are batches that wait, its own among them; None where they were not looked at."""
    parts = [f"overdue since {clock(each.since)} ({each.rule})" for each in breaker.overdue]
    if machine.awaits_delivery(breaker):
        parts.append("waits for that delivery")
    if breaker.override is not None:
        end = breaker.override.expires_at
        parts.append(f"override until {clock(end)}" if end else "override until reset")
    probe = machine.next_probe_at(breaker, now)
    if machine.probe_due(breaker, now):
        parts.append("probe due" if waiting is None else f"probe due, of {_probed_next(breaker, waiting)}")
    elif probe is not None:
        parts.append(f"probe after {soon(probe, now)}")
    return "; ".join(parts)


def _probed_next(breaker: Breaker, waiting: Iterable[Batch]) -> str:
    """Nothing is stored of what a stream delivers."""

    def fits(batch: Batch) -> bool:
        stored = batch.staged is not None and batch.status in (Status.HELD, Status.QUARANTINED)
        return stored and batch.head and batch.confidence is Confidence.FULL and batch.id not in breaker.probed

    stored = any(batch.breaker_key == breaker.key and fits(batch) for batch in waiting)
    return "a stored batch or of what arrives next" if stored else "what arrives next"


def why(batch: Batch) -> str:
    """The outcome, and the rules that brought it about."""
    findings = batch.verdict.findings if batch.verdict is not None else ()
    broken = [finding.rule for finding in findings if finding.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE)]
    return f"{batch.outcome}: {', '.join(broken)}" if broken else str(batch.outcome)


def prospect(batch: Batch, breaker: Breaker | None, now: datetime) -> str:
    """What becomes of a waiting batch, or what a person can do. `breaker` is its own."""
    if is_streamed(batch):
        return _of_stream(batch)
    if batch.status is Status.PUBLISHING:
        return "being written; if its run is dead: reconcile"
    passed = batch.outcome in (Outcome.PASS, Outcome.WARN)
    if batch.staged is None:
        return f"its data is not stored: run it again{'' if passed else ', or batch discard'}"
    if batch.released is not None:
        return f"released by {batch.released.actor}, to be published"
    if may_be_published(batch, breaker, now):
        return "the breaker is closed: published at the next tick of the sensor contracts_heal, or by `dagster-contracts heal`"
    if batch.status is Status.HELD and passed and breaker is not None:
        return "published once the breaker closes"
    return "deliver again, or batch rejudge, release or discard"


def may_be_published(batch: Batch, breaker: Breaker | None, now: datetime) -> bool:
    """Whether a held batch waits for nothing but somebody who publishes it."""
    return breaker is not None and batch.released is None and not is_streamed(batch) and may_be_released(batch, breaker, now)


def was_only_observed(batch: Batch) -> bool:
    """Whether a published batch failed and nobody released it: nothing was enforced when it came."""
    return batch.outcome is Outcome.FAIL and batch.released is None


def _of_stream(batch: Batch) -> str:
    """Nobody can fetch it from here: its consumer has it, or has set it aside."""
    if is_window(batch):
        return f"micro-batches have gone on one by one; the next window is judged by itself; {_OFF_THE_LIST}"
    if batch.status is Status.PUBLISHING:
        return "confirmed by their consumer, many at a time; where it died, the next one confirms them, or is given them again"
    if batch.status is Status.QUARANTINED:
        return f"correct the dead letters and send them as new events, or leave them; {_OFF_THE_LIST}"
    if batch.outcome is Outcome.INCONCLUSIVE:
        return f"set aside by the consumer, to be sent again once it can be measured; {_OFF_THE_LIST}"
    return f"kept by the consumer and judged again, or set aside, to be sent again once the breaker is closed; {_OFF_THE_LIST}"


_OFF_THE_LIST = "off the list by `batch discard`, or `prune` once old"  # what is sent again is another micro-batch


def reading(routed: bool) -> str:
    """What consumers get of an asset. Unpartitioned live data is not fresh while they are routed: it is among all else."""
    return "read published partitions as ever, and fall back for all else" if routed else "read what is published"


def streaming(routed: bool) -> str:
    """What a stream does that feeds a breaker."""
    return "holds or diverts what arrives, or stops, as it was told" if routed else "goes on"


def summed(pile: Pile) -> str:
    """What a stream has delivered, in numbers; its consumer has not confirmed what was let in."""
    one = pile.count == 1
    what = counted(pile.count, "time window") if is_window(pile.first) else counted(pile.count, "micro-batch", "es")
    if pile.first.status is Status.PUBLISHING:
        return f"{what} {'was' if one else 'were'} let in"
    return f"{what} {'is' if one else 'are'} {pile.first.status}"


def given(output: Output, others: Sequence[Output]) -> str:
    """What it was given in place of fresh data, in a few words, and at what it began among `others` that have fallen; why that is stands
    beside the batch and the breaker."""
    routes = fallen(output)
    read = [(route.upstream, route.requested) for route in routes]
    told = _some([f"{route.kind} of {route.upstream} [{route.requested}]" for route in routes])
    began = _some([f"{asset} [{place}]" for asset, place in began_at(output, others) if (asset, place) not in read])
    return f"{told}, over {began}" if began else told


def _some(entries: Sequence[str]) -> str:
    return "".join(entries[:1]) + (f" and {len(entries) - 1} more" if len(entries) > 1 else "")


def age(moment: datetime | None, now: datetime) -> tuple[str | None, str | None]:
    """Since when, and for how long: two cells of a table."""
    return (clock(moment), lasting(now - moment)) if moment is not None else (None, None)


def clock(moment: datetime | None) -> str | None:
    """For people: to the minute, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%MZ}" if moment is not None else None


def soon(moment: datetime, now: datetime) -> str | None:
    """As `clock`, and to the second where it is waited for."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}" if moment - now < _SOON else clock(moment)


def since(moment: datetime | None, now: datetime) -> str | None:
    """As `age`, in one."""
    return f"{clock(moment)} ({lasting(now - moment)})" if moment is not None else None


def short(value: object) -> str:
    """A policy value in one word or a few: {"batches": 1} as "batches 1"."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {short(entry)}" for name, entry in value.items() if entry is not None)
    if isinstance(value, list):
        return ", ".join(short(entry) for entry in value)
    return "" if value is None else str(value)
