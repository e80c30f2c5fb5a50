"""The circuit breaker, as pure functions from (breaker, event, now) to the next breaker. Read top to bottom.

                     a counted batch fails and the window's threshold is reached,
                     or it breaks a rule of a `tripOn` severity
           ┌──────────┐ ───────────────────────────────────────────────► ┌──────────┐
           │  closed  │                                                  │   open   │
           └──────────┘ ◄──── reset ──────────────────────────────────── └──────────┘
                ▲                                                          │      ▲
                │ `probes` different batches passed      cooldown is over, │      │ a probe failed:
                │                                        a probe is claimed│      │ longer cooldown
                │                     ┌───────────┐ ◄──────────────────────┘      │
                └──────────────────── │ half_open │ ──────────────────────────────┘
                                      └───────────┘

- Only a failure opens. A rate or count that reaches its threshold trips. An event exactly as old as a time window is outside.
- Half-open is entered by claiming a probe (`claim`), never by a timer. A batch that arrives once the cooldown is over claims and
  settles in one step (`arrive`).
- One lease at a time; it ends by itself. A result under another lease or generation changes nothing (`settle`).
- The generation counts everything that makes earlier knowledge stale: each transition, override and contract version.
- Overrides stand beside the state. While observe_only is on the machine runs on, its transitions are marked `shadow`, and
  nothing is enforced; it ends closed with an empty window.
- A delivery that never comes opens the breaker if its service level is of a `tripOn` severity (`missed`). It is no batch: it enters no
  window and no probe. Only what arrives afterwards can be the probe then; it ends the overdue with its arrival, whatever its verdict.
- Batches that are older than what is published (backfill), made from fallback data, judged before, or inconclusive move nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from dagster_contracts.core import versions
from dagster_contracts.core.contract import BreakerPolicy, Severity, Window
from dagster_contracts.core.errors import ContractError
from dagster_contracts.core.ledger import Status, place_of
from dagster_contracts.core.state import (
    Breaker,
    Counted,
    Judged,
    Lease,
    Overdue,
    Override,
    OverrideKind,
    State,
    Step,
    Transition,
    cooldown,
)
from dagster_contracts.core.verdict import Outcome

# --- reading -------------------------------------------------------------------------------------------------------


def current(breaker: Breaker, now: datetime) -> Breaker:
    """The breaker as of `now`: an expired override is gone, with the consequences of clearing it. Nothing is stored by this."""
    return _lapse(breaker, now).breaker


def enforced_open(breaker: Breaker, now: datetime) -> bool:
    """Whether consumers fall back: by the state, unless an override says otherwise."""
    breaker = current(breaker, now)
    if breaker.override is not None:
        return breaker.override.kind is OverrideKind.FORCE_OPEN
    return breaker.state is not State.CLOSED


def lease_is_live(breaker: Breaker, now: datetime) -> bool:
    lease = breaker.lease
    return lease is not None and lease.generation == breaker.generation and now < lease.expires_at


def probe_due(breaker: Breaker, now: datetime) -> bool:
    """Whether a probe may be claimed now."""
    return _refusal(current(breaker, now), now) is None


def next_probe_at(breaker: Breaker, now: datetime) -> datetime | None:
    """When a probe may be claimed at the earliest; None where none will be (closed, waiting for a delivery that is missing, or held by
    an override without end)."""
    breaker = current(breaker, now)
    if breaker.state is State.CLOSED or awaits_delivery(breaker):
        return None
    moments = [breaker.retry_at or now]
    if lease_is_live(breaker, now) and breaker.lease is not None:
        moments.append(breaker.lease.expires_at)
    if breaker.override is not None and breaker.override.kind is not OverrideKind.OBSERVE_ONLY:
        if breaker.override.expires_at is None:
            return None
        moments.append(breaker.override.expires_at)
    return max(moments)


# --- a batch arrives -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arrival:
    """What becomes of an arriving batch, and of the breaker."""

    step: Step
    status: Status  # publishing, held or quarantined
    counted: bool  # it entered the window, or was judged as a probe


def arrive(breaker: Breaker, judged: Judged, now: datetime, *, lease_id: str | None = None) -> Arrival:
    """Decide on a judged batch that has just been delivered: publish, hold or quarantine, and what it does to the breaker.

    `lease_id`: it is what the probe of that lease has found where it looked, and settles it.
    """
    lapsed = _lapse(breaker, now)
    if judged.delivers and lapsed.breaker.overdue:
        lapsed = replace(lapsed, breaker=replace(lapsed.breaker, overdue=()))
    breaker = lapsed.breaker
    kind = breaker.override.kind if breaker.override else None
    if judged.released:
        return Arrival(lapsed, Status.PUBLISHING, False)
    if kind in (OverrideKind.FORCE_OPEN, OverrideKind.FORCE_CLOSED):
        return Arrival(lapsed, _status(breaker, judged, closed=kind is OverrideKind.FORCE_CLOSED), False)
    step, counted = _move(breaker, judged, now) if lease_id is None else _found(breaker, lease_id, judged, now)
    status = _status(step.breaker, judged, closed=step.breaker.state is State.CLOSED)
    return Arrival(_after(lapsed, step), Status.PUBLISHING if kind is OverrideKind.OBSERVE_ONLY else status, counted)


def _status(breaker: Breaker, judged: Judged, *, closed: bool) -> Status:
    if judged.outcome is Outcome.FAIL:
        return Status.QUARANTINED
    if judged.outcome is Outcome.INCONCLUSIVE and not breaker.policy.admit_inconclusive:
        return Status.HELD
    return Status.PUBLISHING if closed else Status.HELD


def _move(breaker: Breaker, judged: Judged, now: datetime) -> tuple[Step, bool]:
    if not judged.moves:
        return Step(breaker), False
    if breaker.state is State.CLOSED:
        return _count(breaker, judged, now), True
    if not judged.probes:
        return Step(breaker), False
    lease_id = f"arrival:{judged.batch_id}"
    claimed = claim(breaker, lease_id=lease_id, holder="arrival", batch_id=judged.batch_id, now=now)
    if isinstance(claimed, Refused):
        return Step(breaker), False
    settled = settle(claimed.breaker, lease_id, judged, now)
    assert isinstance(settled, Step)
    return _after(claimed, settled), not inconclusive(breaker, judged)


def _found(breaker: Breaker, lease_id: str, judged: Judged, now: datetime) -> tuple[Step, bool]:
    """A place that is looked at anew may hold another batch than the one that the lease was claimed for. One that has passed already
    proves nothing by standing there still."""
    lease = breaker.lease
    if lease is None or lease.id != lease_id or not lease_is_live(breaker, now):
        return Step(breaker), False
    if judged.batch_id in breaker.passed and judged.outcome is not Outcome.FAIL:
        return Step(replace(breaker, lease=None, retry_at=now + breaker.policy.lease)), False
    settled = settle(replace(breaker, lease=replace(lease, batch_id=judged.batch_id)), lease_id, judged, now)
    assert isinstance(settled, Step)
    return settled, not inconclusive(breaker, judged)


def _count(breaker: Breaker, judged: Judged, now: datetime) -> Step:
    failed = judged.outcome is Outcome.FAIL
    window = trimmed((*breaker.window, Counted(judged.batch_id, now, failed)), breaker.policy.window, now)
    breaker = replace(breaker, window=window)
    if not failed:
        return Step(breaker)
    if judged.failed_severities & breaker.policy.trip_on or threshold_reached(window, breaker.policy):
        return _open(breaker, judged, now, reopened=0, cause=f"{place_of(judged.batch_id)} failed")
    return Step(breaker)


def trimmed(entries: Iterable[Counted], window: Window, now: datetime) -> tuple[Counted, ...]:
    """The entries that still count: the last `batches`, or those younger than `duration`."""
    kept = tuple(entries)
    if window.duration is not None:
        return tuple(entry for entry in kept if now - entry.at < window.duration)
    assert window.batches is not None
    return kept[-window.batches :]


def threshold_reached(window: tuple[Counted, ...], policy: BreakerPolicy) -> bool:
    """Whether the failures in the window reach the policy's count, or its rate over at least `minimum_batches`."""
    failures = sum(entry.failed for entry in window)
    if policy.failure_rate_threshold is None:
        return failures >= policy.failures
    return len(window) >= policy.minimum_batches and failures / len(window) >= policy.failure_rate_threshold


# --- a delivery does not arrive ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Missed:
    """Deliveries that a service level (`rule`, of `severity`) promised and that have not come: the first was due at `since`, the latest
    at `due`. `told` says so to people."""

    rule: str
    severity: Severity
    since: datetime
    due: datetime
    told: str


def is_news(breaker: Breaker, missed: Missed) -> bool:
    """Whether it has not been recorded yet: each missed delivery is, once."""
    return all(known.rule != missed.rule or known.due < missed.due for known in breaker.overdue)


def miss(breaker: Breaker, missed: Missed, now: datetime) -> Step | Refused:
    """Record that a delivery is overdue. Opens a closed breaker where its severity is one of `tripOn` that refuses batches.

    While the breaker is open or forced, it is recorded and moves nothing: what is missing later is told again, and may open then.
    """
    lapsed = _lapse(breaker, now)
    breaker = lapsed.breaker
    if not is_news(breaker, missed):
        return Refused(f"{missed.rule}: that the delivery due at {missed.due.isoformat()} is missing has been recorded already")
    known = next((each for each in breaker.overdue if each.rule == missed.rule), None)
    forced = breaker.override is not None and breaker.override.kind is not OverrideKind.OBSERVE_ONLY
    trips = missed.severity.refuses and missed.severity in breaker.policy.trip_on and breaker.state is State.CLOSED and not forced
    since = missed.since if known is None else min(known.since, missed.since)
    entry = Overdue(missed.rule, since, missed.due, trips or (known is not None and known.tripped))
    others = tuple(each for each in breaker.overdue if each.rule != missed.rule)
    recorded = replace(breaker, overdue=(*others, entry))
    if not trips:
        return _after(lapsed, Step(recorded))
    nothing = Judged("", Outcome.FAIL, failed_rules=frozenset({missed.rule}), findings=(missed.told,))
    return _after(lapsed, _open(recorded, nothing, now, reopened=0, cause=f"{missed.rule}: a delivery is missing"))


def awaits_delivery(breaker: Breaker) -> bool:
    """Whether it is open for a delivery that is missing: nothing that is stored already can close it."""
    return breaker.state is not State.CLOSED and any(each.tripped for each in breaker.overdue)


# --- probes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refused:
    """No probe may be claimed, or a result does not count; `retry_at` is when asking again can help."""

    reason: str
    retry_at: datetime | None = None


def claim(breaker: Breaker, *, lease_id: str, holder: str, batch_id: str, now: datetime, again: bool = False) -> Step | Refused:
    """Take the one probe lease, entering half-open. Refused while closed, cooling down, leased, or overridden; and for a batch that was
    probed in this incident, unless `again`: its place is looked at anew, and may hold another by now."""
    lapsed = _lapse(breaker, now)
    breaker = lapsed.breaker
    reason = _refusal(breaker, now)
    if reason is None and batch_id in breaker.probed and not again:
        reason = f"{place_of(batch_id)} has been probed already; deliver a new one"
    if reason is not None:
        return Refused(reason, next_probe_at(breaker, now))
    cause = f"probe of {place_of(batch_id)} claimed by {holder}"
    if breaker.state is State.OPEN:
        step = _enter(breaker, State.HALF_OPEN, cause, now, batch_id=batch_id)
    else:
        step = Step(replace(breaker, generation=breaker.generation + 1))
    lease = Lease(lease_id, holder, batch_id, step.breaker.generation, now + breaker.policy.lease)
    return _after(lapsed, Step(replace(step.breaker, lease=lease, retry_at=now), step.transitions))


def settle(breaker: Breaker, lease_id: str, judged: Judged, now: datetime) -> Step | Refused:
    """Apply a probe's result. Refused (and nothing changed) unless `lease_id` is the live lease of this generation, for this batch."""
    breaker = current(breaker, now)
    lease = breaker.lease
    if lease is None or not lease_is_live(breaker, now) or (lease.id, lease.batch_id) != (lease_id, judged.batch_id):
        return Refused("the probe's lease has ended, or the breaker has moved on; the result is recorded and changes nothing")
    if judged.outcome is Outcome.FAIL:
        probed = replace(breaker, probed=(*breaker.probed, judged.batch_id))
        return _open(probed, judged, now, reopened=breaker.reopened + 1, cause=f"probe of {place_of(judged.batch_id)} failed")
    if inconclusive(breaker, judged):
        return Step(replace(breaker, lease=None, retry_at=now + breaker.policy.lease))
    passed = (*breaker.passed, judged.batch_id)
    if len(passed) < breaker.policy.probes:
        return Step(replace(breaker, lease=None, retry_at=now, passed=passed, probed=(*breaker.probed, judged.batch_id)))
    return _close(breaker, f"probe of {place_of(judged.batch_id)} passed", now, batch_id=judged.batch_id)


def inconclusive(breaker: Breaker, judged: Judged) -> bool:
    """Whether a probe proved nothing: it could not be measured, or passed without executing every rule that failed at the trip."""
    unproven = judged.outcome is not Outcome.FAIL and not breaker.failed_rules <= judged.executed_rules
    return judged.outcome is Outcome.INCONCLUSIVE or unproven


def _refusal(breaker: Breaker, now: datetime) -> str | None:
    if breaker.state is State.CLOSED:
        return "the breaker is closed"
    if breaker.override is not None and breaker.override.kind is not OverrideKind.OBSERVE_ONLY:
        return f"{breaker.override.kind} by {breaker.override.actor}: {breaker.override.reason}"
    if lease_is_live(breaker, now) and breaker.lease is not None:
        return f"a probe is running, leased to {breaker.lease.holder}"
    if breaker.retry_at is not None and now < breaker.retry_at:
        return "the cooldown is not over"
    if awaits_delivery(breaker):
        return "a delivery is missing, and only one that arrives from now on can prove anything"
    return None


# --- people and contract versions ----------------------------------------------------------------------------------


def override(breaker: Breaker, kind: OverrideKind, *, actor: str, reason: str, now: datetime, expires_at: datetime | None = None) -> Step:
    """Set an override. Leases are void from here on."""
    before = _lapse(breaker, now)
    if before.breaker.override is not None:
        before = _after(before, _clear(before.breaker, f"{before.breaker.override.kind} replaced by {kind}", now, actor))
    word = Override(kind, actor, reason, now, expires_at)
    return _after(before, _note(replace(before.breaker, override=word, lease=None), f"{kind}: {reason}", now, actor))


def reset(breaker: Breaker, *, actor: str, reason: str, now: datetime) -> Step:
    """No override, closed, empty window, first cooldown: whatever the state was."""
    before = _lapse(breaker, now)
    return _after(before, _shut(replace(before.breaker, override=None), f"reset: {reason}", now, actor))


def adopt(breaker: Breaker, contract_version: str, policy: BreakerPolicy, now: datetime, *, content: str = "") -> Step:
    """Bring the policy in force up to date. A new contract version keeps the state, empties the window and makes a probe due now.

    An earlier version than the one that opened it changes nothing while it is open: it is what still runs while the later one is rolled
    out. Going back to it for good takes a `reset`. `content` is the contract's hash: the same version with another content is no new
    version, and is remembered to be told of (`edited`).
    """
    before = _lapse(breaker, now)
    breaker = before.breaker
    if breaker.contract_version == contract_version:
        return _after(before, Step(replace(breaker, policy=policy, contents=_seen(breaker.contents, content))))
    if breaker.state is not State.CLOSED and is_older(contract_version, breaker.contract_version):
        return before
    updated = replace(
        breaker,
        policy=policy,
        contract_version=contract_version,
        window=(),
        lease=None,
        probed=(),
        passed=(),
        failed_rules=frozenset(),
        overdue=_told(breaker),
        contents=_seen((), content),
        retry_at=None if breaker.state is State.CLOSED else now,
    )
    return _after(before, _note(updated, f"contract version {breaker.contract_version or 'none'} -> {contract_version}", now, None))


def edited(breaker: Breaker, content: str | None = None) -> str | None:
    """What to tell of a contract that was edited without a new version; None where it was not, or this `content` of it is no edit."""
    if len(breaker.contents) < 2 or content == breaker.contents[0] or content not in (None, *breaker.contents):
        return None
    return (
        f"contract {breaker.contract_version} was edited without a new version: {breaker.key} was judged under {len(breaker.contents)} "
        "contents of it. Nothing is probed for an edit, and no verdict says which content it is of: give the contract a new version"
    )


_EDITS = 10


def _seen(contents: tuple[str, ...], content: str) -> tuple[str, ...]:
    """The first is what the version stood for."""
    return contents if not content or content in contents else (*contents[: _EDITS - 1], content)


def is_older(version: str, than: str) -> bool:
    """Whether a contract version is an earlier one; False where that cannot be told, as of versions that are not numbers with dots."""
    try:
        return versions.step(than, version) is versions.Step.BACKWARDS
    except ContractError:
        return False


def _lapse(breaker: Breaker, now: datetime) -> Step:
    """Clear an override that has expired, as of its expiry. Whatever writes a breaker begins here, so that the end is recorded once."""
    word = breaker.override
    if word is None or word.expires_at is None or now < word.expires_at:
        return Step(breaker)
    return _clear(breaker, f"{word.kind} by {word.actor} expired", word.expires_at, None)


def _clear(breaker: Breaker, cause: str, at: datetime, actor: str | None) -> Step:
    assert breaker.override is not None
    cleared = replace(breaker, override=None)
    if breaker.override.kind is OverrideKind.OBSERVE_ONLY:
        return _shut(cleared, cause, at, actor)
    return _note(cleared, cause, at, actor)


# --- the only three ways to write a state --------------------------------------------------------------------------


def _open(breaker: Breaker, judged: Judged, now: datetime, *, reopened: int, cause: str) -> Step:
    opened = replace(
        breaker,
        opened_at=breaker.opened_at if reopened else now,
        incident=breaker.incident if reopened else breaker.incident + 1,
        findings=judged.findings,
        failed_rules=judged.failed_rules | breaker.failed_rules,
        window=(),
        reopened=reopened,
        retry_at=now + cooldown(breaker.policy, reopened),
        lease=None,
        passed=(),
    )
    return _enter(opened, State.OPEN, cause, now, batch_id=judged.batch_id or None)


def _close(breaker: Breaker, cause: str, now: datetime, *, batch_id: str | None = None, actor: str | None = None) -> Step:
    return _enter(_fresh(breaker), State.CLOSED, cause, now, batch_id=batch_id, actor=actor)


def _shut(breaker: Breaker, cause: str, now: datetime, actor: str | None) -> Step:
    """Closed with an empty window, whatever the state was."""
    if breaker.state is State.CLOSED:
        return _note(_fresh(breaker), cause, now, actor)
    return _close(breaker, cause, now, actor=actor)


def _enter(breaker: Breaker, state: State, cause: str, now: datetime, *, batch_id: str | None = None, actor: str | None = None) -> Step:
    entered = replace(breaker, state=state, since=now, cause=cause, generation=breaker.generation + 1)
    shadow = breaker.override is not None and breaker.override.kind is OverrideKind.OBSERVE_ONLY
    record = Transition(breaker.key, breaker.state, state, cause, now, entered.generation, batch_id, actor, shadow)
    return Step(entered, (record,))


def _fresh(breaker: Breaker) -> Breaker:
    """Without any memory of an incident, but for what is overdue: that has been told, and is told once."""
    return replace(
        breaker,
        window=(),
        lease=None,
        reopened=0,
        retry_at=None,
        opened_at=None,
        findings=(),
        failed_rules=frozenset(),
        probed=(),
        passed=(),
        overdue=_told(breaker),
    )


def _told(breaker: Breaker) -> tuple[Overdue, ...]:
    return tuple(replace(each, tripped=False) for each in breaker.overdue)


def _note(breaker: Breaker, cause: str, now: datetime, actor: str | None) -> Step:
    """Record something that is not a change of state, and make earlier knowledge stale."""
    noted = replace(breaker, generation=breaker.generation + 1)
    return Step(noted, (Transition(breaker.key, breaker.state, breaker.state, cause, now, noted.generation, None, actor),))


def _after(first: Step, then: Step) -> Step:
    """Both, in that order; `then` started from where `first` ended."""
    return Step(then.breaker, first.transitions + then.transitions)
