"""From a verdict to what is done with a micro-batch.

    published                       forward      (without the rows that were set aside, where the contract lets failing rows be)
    quarantined                     dead_letter  whatever the breaker's state
    held, inconclusive              divert       nobody can wait for a person in front of a stream; halt where the breaker halts
    held, since the breaker is open what `when_open` says: hold (the stream waits), divert (it goes on elsewhere, marked), halt
    the same, once a probe is due   divert, where a rule of a time window tripped: it takes a window to prove that it holds again

Without a word of the caller, `when_open` follows from what the stream's consumers accept, as the contract says: `halt` halts; `last_good`
holds, since whoever reads the stream keeps what it has; `low_confidence` diverts to where those read who accept it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dagster_contracts.core.breaker import enforced_open, next_probe_at, probe_due
from dagster_contracts.core.contract import BreakerPolicy, Confidence
from dagster_contracts.core.errors import Halted
from dagster_contracts.core.ledger import Status
from dagster_contracts.core.state import failures
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.core.wording import quoted
from dagster_contracts.judgement import Judgement


class Action(StrEnum):
    """What to do with a micro-batch.

    forward: it goes on. dead_letter: it is bad, set it aside with its findings. hold: keep it, do not acknowledge it, and judge it again
    later. divert: set it aside for those who accept data of low confidence, and go on. halt: stop.
    """

    FORWARD = "forward"
    DEAD_LETTER = "dead_letter"
    HOLD = "hold"
    DIVERT = "divert"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class StreamVerdict:
    """What came of a micro-batch.

    `forward` is the frame that goes on (None where none does), `set_aside` the one that does not: of a divided micro-batch its failing
    rows, with the rules that each breaks in the column `contract_rules_broken`. `reason` is a sentence for people.
    """

    action: Action
    reason: str
    forward: object | None
    set_aside: object | None
    judgement: Judgement

    @property
    def batch_id(self) -> str:
        """By which `batch show`, the ledger and events know the micro-batch."""
        return self.judgement.batch.id

    @property
    def findings(self) -> tuple[str, ...]:
        """What failed, one line each; values of classified columns never stand in them."""
        return failures(self.judgement.verdict)

    def halted(self) -> Halted:
        """The error that says why the stream stops, and when trying again can help."""
        breaker, now = self.judgement.breaker, self.judgement.batch.updated_at
        findings = breaker.findings or self.findings
        return Halted(self.reason, key=breaker.key, since=breaker.opened_at, retry_after=next_probe_at(breaker, now), findings=findings)


_BY_CONFIDENCE = {Confidence.FULL: Action.HALT, Confidence.STALE: Action.HOLD, Confidence.LOW: Action.DIVERT}


def when_open(policy: BreakerPolicy, consumer: str | None) -> Action:
    """What an open breaker means for a stream whose reader is `consumer` (an entry of the contract's `consumers`)."""
    return _BY_CONFIDENCE[policy.accepts(consumer or "")]


def answer(judgement: Judgement, frame: object, opened: Action, elsewhere: frozenset[str]) -> StreamVerdict:
    """`opened`: hold, divert or halt, for what may not go on while the breaker is open. `elsewhere`: rules of windows alone."""
    division = judgement.division
    if judgement.batch.status in (Status.PUBLISHING, Status.PUBLISHED):
        kept, refused = (division.kept, division.refused) if division is not None else (frame, None)
        return StreamVerdict(Action.FORWARD, "", kept, refused, judgement)
    action = _refusal(judgement, opened, elsewhere)
    return StreamVerdict(action, _reason(judgement), None, frame, judgement)


def _refusal(judgement: Judgement, opened: Action, elsewhere: frozenset[str]) -> Action:
    batch = judgement.batch
    if batch.status is Status.QUARANTINED:
        return Action.DEAD_LETTER
    breaker, now = judgement.breaker, batch.updated_at
    if not enforced_open(breaker, now):
        return Action.HALT if opened is Action.HALT else Action.DIVERT
    if batch.outcome is Outcome.INCONCLUSIVE or opened is Action.DIVERT:
        return Action.HALT if opened is Action.HALT else Action.DIVERT
    return Action.DIVERT if probe_due(breaker, now) and breaker.failed_rules & elsewhere else opened


def _reason(judgement: Judgement) -> str:
    batch, breaker = judgement.batch, judgement.breaker
    place = f"{batch.asset} [{batch.partition}] is {batch.status}"
    told = "; ".join(failures(judgement.verdict)[:3])
    if batch.status is Status.QUARANTINED:
        return f"{place}: {told} (contract {batch.contract_version})"
    if batch.outcome is Outcome.INCONCLUSIVE:
        why = next((f"{each.rule}: {each.observed}" for each in judgement.verdict.findings if each.outcome is Outcome.INCONCLUSIVE), "")
        return f"{place}: it could not be measured ({why}); judge it again, or let the contract say onInconclusive: admit"
    due = next_probe_at(breaker, batch.updated_at)
    after = f"; next probe after {due:%Y-%m-%d %H:%M:%SZ}" if due is not None else ""
    findings = ". ".join(breaker.findings[:3]) or breaker.cause
    override = f"Override: dagster-contracts breaker force-closed {quoted(breaker.key)} --reason ..."
    return f"{place}: {breaker.key} is {breaker.state}: {findings}{after}. {override}"
