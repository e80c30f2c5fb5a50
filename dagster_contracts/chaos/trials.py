"""One fault at one dose: injected, measured, judged, and taken to its consequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

import polars as pl

from dagster_contracts.chaos.batch import Batch, Injected
from dagster_contracts.chaos.campaign import Result, Trial
from dagster_contracts.chaos.consequences import Consequences, consequences, of_missed
from dagster_contracts.chaos.fault import DoesNotFit, Fault, generator
from dagster_contracts.chaos.faults.cadence import interval_of
from dagster_contracts.chaos.history import Known, is_head, past_of, with_itself
from dagster_contracts.chaos.shortcut import Shortcut, delivered, differs
from dagster_contracts.core.breaker import Missed
from dagster_contracts.core.contract import BreakerPolicy, Severity
from dagster_contracts.core.deliveries import missing
from dagster_contracts.core.judge import judge
from dagster_contracts.core.plan import Plan
from dagster_contracts.core.rules import expected
from dagster_contracts.core.verdict import Arrival, Finding, Outcome, Verdict
from dagster_contracts.core.wording import counted
from dagster_contracts.measuring import take
from dagster_contracts.ports import MetricEngine, Related

_WORST = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.WARN, Outcome.PASS)


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that the trials of a campaign share: the contract, the clean batch (`victim`), those before it, and the engine."""

    asset: str
    plan: Plan
    policy: BreakerPolicy
    engine: MetricEngine
    victim: Known
    before: Sequence[Known]
    seed: int
    related: Related

    @property
    def every(self) -> timedelta:
        return interval_of(self.victim.batch)


def tried(bench: Bench, fault: Fault, column: str | None, dose: float) -> Trial | str:
    """What a fault leads to; or why it was not tried."""
    clean = bench.victim.batch
    try:
        injected = fault.inject(clean.apart(), column, dose, generator(bench.seed, fault.name, column))
    except DoesNotFit as error:
        return str(error)
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001  # a fault may be anybody's code, and what it raises is told
        own_words = "" if bench.plan.masked else f": {' '.join(str(error).split())[:200]}"
        return f"the fault raised {type(error).__name__}{own_words}"
    if not isinstance(cast("object", injected), Injected):
        return f"the fault returned {type(injected).__name__}; expected Injected"
    if _changes_nothing(clean, injected):
        return "the fault changed nothing"
    injected = replace(injected, description=_told(bench, fault, injected))
    if injected.batch is None:
        return _missing(bench, injected, dose)
    return _delivered(bench, injected, injected.batch, dose)


def _told(bench: Bench, fault: Fault, injected: Injected) -> str:
    """What was done, in the fault's own words; those may quote values, so that what is classified is told of in general."""
    if not any(column in injected.description or column in injected.columns for column in bench.plan.masked):
        return injected.description
    return f"{counted(len(injected.rows), 'row')} of {', '.join(injected.columns[:5])}: {fault.description}"


def _changes_nothing(clean: Batch, injected: Injected) -> bool:
    batch = injected.batch
    if batch is None or batch.written is not None or injected.also or batch.arrived_at != clean.arrived_at:
        return False
    return not differs(clean.frame, batch.frame, injected.columns)


# --- what is delivered ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Judged:
    batch: Batch
    verdict: Verdict
    head: bool
    divided: bool


def _delivered(bench: Bench, injected: Injected, first: Batch, dose: float) -> Trial:
    arrived = list(bench.before)
    judged: list[_Judged] = []
    for batch in (first, *injected.also):
        found = _judge(bench, batch, arrived)
        judged.append(found)
        arrived.append(Known(batch, bench.victim.measurement, found.verdict))
    worst = min(judged, key=lambda found: (not _noticed(bench, found), _WORST.index(found.verdict.outcome)))
    result = _result(bench, worst)
    after = consequences(bench.asset, bench.policy, worst.batch, worst.verdict, result, head=worst.head, every=bench.every)
    told = _tell(injected, after, result, dose)
    return replace(told, findings=_new_findings(bench, worst.verdict), unexecuted=_unexecuted(bench, worst.verdict))


def _judge(bench: Bench, batch: Batch, before: Sequence[Known]) -> _Judged:
    shortcut = Shortcut(bench.engine, bench.victim.batch.frame, bench.victim.measurement)
    divide = bench.policy.maximum_failing_share is not None and batch.written is None
    related = with_itself(bench.plan, batch.frame, bench.related)
    taken = take(shortcut, bench.plan, bench.policy, delivered(batch), related=related, divide=divide)
    past, head = past_of(bench.plan, batch, before), is_head(batch, before)
    verdict = judge(bench.plan, taken.measurement, {}, as_of=batch.arrived_at, head=head, past=past)
    if taken.divided is None or verdict.outcome is not Outcome.FAIL:
        return _Judged(batch, verdict, head, divided=False)
    beside = taken.divided.kept.beside(past.profiles)
    rest = replace(taken.divided, kept=beside).verdict(verdict, batch.partition, as_of=batch.arrived_at, head=head, arrivals=past.arrivals)
    return _Judged(batch, rest, head, divided=rest is not verdict)


def _result(bench: Bench, judged: _Judged) -> Result:
    if judged.divided:
        return Result.SET_ASIDE
    if not _noticed(bench, judged):
        return Result.MISSED
    if judged.verdict.outcome is Outcome.FAIL:
        return Result.REFUSED
    admitted = bench.policy.admit_inconclusive
    return Result.HELD if judged.verdict.outcome is Outcome.INCONCLUSIVE and not admitted else Result.WARNED


def _noticed(bench: Bench, judged: _Judged) -> bool:
    return judged.divided or bool(_new_findings(bench, judged.verdict)) or bool(_unexecuted(bench, judged.verdict))


def _new_findings(bench: Bench, verdict: Verdict) -> tuple[Finding, ...]:
    """Of rules that complain now and did not of the clean batch; what is only reported (info) notices nothing."""
    clean = {finding.rule: finding.outcome for finding in bench.victim.verdict.findings}
    new = (finding for finding in verdict.findings if finding.outcome not in (Outcome.PASS, clean.get(finding.rule)))
    return tuple(sorted((finding for finding in new if finding.severity is not Severity.INFO), key=lambda each: _WORST.index(each.outcome)))


def _unexecuted(bench: Bench, verdict: Verdict) -> tuple[str, ...]:
    clean = {missed.rule for missed in bench.victim.verdict.not_executed}
    return tuple(missed.rule for missed in verdict.not_executed if missed.severity.refuses and missed.rule not in clean)


def _tell(injected: Injected, after: Consequences, result: Result, dose: float) -> Trial:
    return Trial(
        dose=dose,
        result=result,
        description=injected.description,
        rows=len(injected.rows),
        columns=injected.columns,
        batches_to_trip=after.batches_to_trip,
        reads=after.reads,
    )


# --- what never comes ----------------------------------------------------------------------------------------------


def _missing(bench: Bench, injected: Injected, dose: float) -> Trial:
    """Which promises tell that the clean batch never came, `dose` intervals after it should have."""
    clean = bench.victim.batch
    now = clean.arrived_at + dose * bench.every
    arrivals = [Arrival(known.batch.arrived_at, known.batch.partition.end) for known in reversed(bench.before)]
    windows = [clean.partition.end] if clean.partition.end is not None and clean.partition.end <= now else []
    gaps = [(rule, gap) for rule, check in bench.plan.promised if (gap := missing(check, arrivals=arrivals, windows=windows, now=now))]
    missed = tuple(Missed(rule.id, rule.severity, gap.since, gap.due, str(gap)) for rule, gap in gaps)
    findings = tuple(
        Finding(rule.id, rule.clause, rule.column, rule.severity, Outcome.FAIL, str(gap), expected(rule)) for rule, gap in gaps
    )
    trips = any(each.severity.refuses and each.severity in bench.policy.trip_on for each in missed)
    result = Result.REFUSED if trips else Result.WARNED if missed else Result.MISSED
    after = of_missed(bench.asset, bench.policy, clean, bench.victim.verdict, missed, result, now)
    return replace(_tell(injected, after, result, dose), findings=findings)
