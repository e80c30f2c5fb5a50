"""What the circuit breaker of an asset knows, and what it needs to know of a batch: values, without what happens to them (`breaker`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dagster_contracts.core.contract import BreakerPolicy, Clause, Confidence, Severity
from dagster_contracts.core.verdict import Finding, Outcome, Verdict


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class OverrideKind(StrEnum):
    FORCE_OPEN = "force_open"
    FORCE_CLOSED = "force_closed"
    OBSERVE_ONLY = "observe_only"


@dataclass(frozen=True, slots=True)
class Override:
    """A person's word over the machine, until `expires_at` (None: until cleared)."""

    kind: OverrideKind
    actor: str
    reason: str
    set_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to judge one probe. Void once `expires_at` is reached or the breaker's generation has moved on."""

    id: str
    holder: str
    batch_id: str
    generation: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Counted:
    """A batch in the window."""

    batch_id: str
    at: datetime
    failed: bool


@dataclass(frozen=True, slots=True)
class Overdue:
    """Deliveries that a service level promised and that have not come: the first was due at `since`, the latest told of at `due`.

    `tripped`: the breaker is open for it, so that only what is delivered from here on can be its probe.
    """

    rule: str
    since: datetime
    due: datetime
    tripped: bool = False


@dataclass(frozen=True, slots=True)
class Breaker:
    """Everything the machine knows. `version` is the store's compare-and-set token, `event_sequence` the last event's number."""

    key: str
    policy: BreakerPolicy
    contract_version: str
    state: State = State.CLOSED
    generation: int = 0
    since: datetime | None = None  # of the present state; None before the first transition
    opened_at: datetime | None = None  # of the present incident; kept while it re-opens
    incident: int = 0  # number of the present incident, or of the latest: it grows by one with each opening of a closed breaker
    cause: str = ""
    findings: tuple[str, ...] = ()  # of what tripped, or of the batch that failed the last probe, one line each
    failed_rules: frozenset[str] = frozenset()  # a probe passes only if all of these were executed
    window: tuple[Counted, ...] = ()
    reopened: int = 0  # failed probes since the trip
    retry_at: datetime | None = None  # earliest next claim
    lease: Lease | None = None
    probed: tuple[str, ...] = ()  # batches already used as a probe in this incident
    passed: tuple[str, ...] = ()  # of those, the ones that passed since the last failure
    override: Override | None = None
    overdue: tuple[Overdue, ...] = ()  # by rule; until the next delivery arrives
    contents: tuple[str, ...] = ()  # hashes of what the contract's version was seen to say: more than one where it was edited
    event_sequence: int = 0
    version: int = 0

    @property
    def cooldown(self) -> timedelta:
        """The wait after the last opening: base x multiplier^failed probes, at most the maximum."""
        return cooldown(self.policy, self.reopened)


def cooldown(policy: BreakerPolicy, reopened: int) -> timedelta:
    """Wait after an opening that followed `reopened` failed probes."""
    limit = max(policy.backoff_maximum, policy.cooldown)
    try:
        return min(policy.cooldown * policy.backoff_multiplier**reopened, limit)
    except OverflowError:
        return limit


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state, or (from equal to to) of override or contract version. `shadow`: not enforced."""

    key: str
    from_state: State
    to_state: State
    cause: str
    at: datetime
    generation: int
    batch_id: str | None = None
    actor: str | None = None
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """The next breaker, and what is to be recorded of getting there."""

    breaker: Breaker
    transitions: tuple[Transition, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """What the machine needs to know of a judged batch.

    `head`: unpartitioned, or not older than the newest published partition in scope. `repeated`: judged before under the same
    contract version. `released`: a named person lets it through whatever the verdict. `delivers`: it is the delivery that was waited
    for, and not an older partition, one that had come before, or the same batch again. `probes`: it may be the probe as it arrives; not
    where rules that failed at the trip are judged of something else than this batch.
    """

    batch_id: str
    outcome: Outcome
    failed_severities: frozenset[Severity] = frozenset()
    failed_rules: frozenset[str] = frozenset()
    executed_rules: frozenset[str] = frozenset()
    findings: tuple[str, ...] = ()
    head: bool = True
    confidence: Confidence = Confidence.FULL
    repeated: bool = False
    released: bool = False
    delivers: bool = False
    probes: bool = True

    @classmethod
    def of(
        cls,
        batch_id: str,
        verdict: Verdict,
        *,
        head: bool = True,
        confidence: Confidence = Confidence.FULL,
        repeated: bool = False,
        released: bool = False,
        delivers: bool = False,
        probes: bool = True,
    ) -> Judged:
        failed = [finding for finding in verdict.findings if finding.outcome is Outcome.FAIL]
        return cls(
            batch_id=batch_id,
            outcome=verdict.outcome,
            failed_severities=frozenset(finding.severity for finding in failed),
            failed_rules=frozenset(finding.rule for finding in failed),
            executed_rules=frozenset(finding.rule for finding in verdict.findings if finding.outcome is not Outcome.INCONCLUSIVE),
            findings=failures(verdict),
            head=head,
            confidence=confidence,
            repeated=repeated,
            released=released,
            delivers=delivers,
            probes=probes,
        )

    @property
    def moves(self) -> bool:
        """Whether it may change the breaker at all, as it arrives."""
        return self.head and self.confidence is Confidence.FULL and self.outcome is not Outcome.INCONCLUSIVE and not self.repeated


def failures(verdict: Verdict) -> tuple[str, ...]:
    """What made a batch fail, one line each."""
    failed = sorted((finding for finding in verdict.findings if finding.outcome is Outcome.FAIL), key=tells_most)
    return tuple(f"{finding.rule}: {finding.observed}; expected {finding.expected}" for finding in failed)


def remarks(verdict: Verdict) -> tuple[str, ...]:
    """What is to be said of a batch though it was published, one line each: rules that do not hold, and those that were not executed though
    they could have refused it."""
    broken = sorted((finding for finding in verdict.findings if finding.outcome is not Outcome.PASS), key=tells_most)
    missed = [missed for missed in verdict.not_executed if missed.severity.refuses]
    return (
        *(f"{finding.rule}: {finding.observed}; expected {finding.expected}" for finding in broken),
        *(f"{each.rule} was not executed: {each.reason}" for each in missed),
    )


def tells_most(finding: Finding) -> tuple[int, bool]:
    """The worst first; of those, what the values mean before what type they have."""
    return list(Severity).index(finding.severity), finding.clause is Clause.SCHEMA


def asset_of(key: str) -> str:
    """The asset of a breaker key: "vendor/feed" of "vendor/feed[vendor=acme]"."""
    return key.split("[", 1)[0]
