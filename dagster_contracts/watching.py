"""Deliveries that never come: a promise that no batch can break, because there is none. The sensor contracts_deliveries asks.

Each missed delivery is told once, in the transaction that records it; whether it opens the breaker is the machine's word (`miss`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dagster_contracts.core import breaker as machine
from dagster_contracts.core import events
from dagster_contracts.core.breaker import Missed, Refused
from dagster_contracts.core.contract import Severity
from dagster_contracts.core.deliveries import Gap, missing, quiet
from dagster_contracts.core.ledger import Partition
from dagster_contracts.core.plan import Cadence, Due, Rule
from dagster_contracts.core.snapshot import Change, Snapshot
from dagster_contracts.core.state import Breaker, Step, asset_of
from dagster_contracts.core.waiving import told_of, waiver_of
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Terms, change_of
from dagster_contracts.ports import Watched

Windows = Callable[[str, datetime], Sequence[datetime]]  # asset, now -> the ends of its time windows that are over, newest first


@dataclass(frozen=True, slots=True)
class MissedDelivery:
    """What was recorded now: the deliveries that are missing, and the breaker with that knowledge."""

    asset: str
    missed: Missed
    breaker: Breaker


def record_missed(gate: Gate, terms: Mapping[str, Terms], windows: Windows) -> list[MissedDelivery]:
    """Record every delivery that is overdue and was not told of yet, for each breaker of the assets of `terms`.

    Asks the store a constant number of questions; each delivery that is recorded is a transaction of its own.
    """
    now = gate.store.now()
    watched = [_watched(each, promised, windows, now) for each in terms.values() if (promised := each.plan.promised)]
    silent = gate.store.silent(watched)
    known = {breaker.key: breaker for breaker in gate.store.breakers([key for key, _ in silent])} if silent else {}
    found: list[MissedDelivery] = []
    for key, last in silent:
        own = terms[asset_of(key)]
        for rule, check in own.plan.promised:
            gap = missing(check, arrivals=[last], windows=windows(own.asset, now), now=now)
            if gap is None or not machine.is_news(known[key], _missed(own, rule, gap, now)):
                continue  # most ticks end here, with nothing written
            if (recorded := _record(gate, own, key, rule, check, windows)) is not None:
                found.append(recorded)
    return found


def _watched(terms: Terms, promised: Sequence[tuple[Rule, Cadence | Due]], windows: Windows, now: datetime) -> Watched:
    """A breaker that another `scope` has left behind waits for nothing."""
    checks = [check for _, check in promised]
    return Watched(terms.asset, terms.policy.scope, quiet(checks, lambda: windows(terms.asset, now), now))


def _missed(terms: Terms, rule: Rule, gap: Gap, now: datetime) -> Missed:
    """What is missing opens nothing while its rule is waived."""
    if (waiver := waiver_of(rule.id, terms.plan.waivers, now)) is None:
        return Missed(rule.id, rule.severity, gap.since, gap.due, str(gap))
    return Missed(rule.id, Severity.WARNING, gap.since, gap.due, told_of(waiver, str(gap)))


def _record(gate: Gate, terms: Terms, key: str, rule: Rule, check: Cadence | Due, windows: Windows) -> MissedDelivery | None:
    def missed(now: datetime) -> tuple[Missed, Gap] | None:
        arrivals = gate.store.arrivals(key, None)
        gap = missing(check, arrivals=arrivals, windows=windows(terms.asset, now), now=now)
        return None if gap is None else (_missed(terms, rule, gap, now), gap)

    def decide(snapshot: Snapshot) -> tuple[Change, MissedDelivery | None]:
        found = missed(snapshot.now)
        if snapshot.breaker is None or found is None:
            return Change(), None
        adopted = machine.adopt(snapshot.breaker, terms.version, terms.policy, snapshot.now, content=terms.content)
        step = machine.miss(adopted.breaker, found[0], snapshot.now)
        if isinstance(step, Refused):
            return Change(), None
        both = Step(step.breaker, adopted.transitions + step.transitions)
        draft = events.of_missed(terms.asset, found[0], found[1].last, step.breaker)
        change = change_of(both, snapshot.now, (draft,), contract_id=terms.attached.contract.id)
        assert change.breaker is not None
        return change, MissedDelivery(terms.asset, found[0], change.breaker)

    return gate.transact(key, terms.asset, Partition(), None, decide)
