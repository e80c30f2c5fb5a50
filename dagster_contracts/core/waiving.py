"""Waivers at work: which rules they are of, what is wrong with them, and what they make of a finding. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract, Severity, Waiver
from dagster_contracts.core.errors import Problem, did_you_mean
from dagster_contracts.core.verdict import Finding, Outcome
from dagster_contracts.core.waivers import LONGEST, is_too_long, is_waived


def waiver_problems(contract: Contract) -> Iterator[Problem]:
    """Waivers of rules that are none of the contract, of rules that several objects have, and of what is not executed anyway."""
    if not contract.waivers:
        return
    plans = {obj.name: compile_plan(contract, obj) for obj in contract.objects}
    rules = {name: {rule.id for rule in plan.rules} for name, plan in plans.items()}
    unjudged = {item.rule: item.reason for plan in plans.values() for item in plan.not_executed}
    for waiver in contract.waivers:
        if waiver.object is not None and waiver.object not in rules:
            near = did_you_mean(waiver.object[:80], rules)
            yield _problem(contract, waiver, f'the contract has no object "{waiver.object[:80]}"{near}'.rstrip(","), "object")
            continue
        places = [name for name, ids in rules.items() if waiver.rule in ids and waiver.object in (None, name)]
        if len(places) > 1:
            yield _problem(contract, waiver, f'"{waiver.rule}" is a rule of {", ".join(places)}; say which with the key object')
        elif not places and waiver.rule in unjudged:
            yield _problem(contract, waiver, f'"{waiver.rule}" is not executed, so that it cannot fail: {unjudged[waiver.rule]}')
        elif not places:
            known = sorted({rule for name, ids in rules.items() if waiver.object in (None, name) for rule in ids})
            near = did_you_mean(waiver.rule[:80], known) or "; `dagster-contracts test` shows the names of rules"
            yield _problem(contract, waiver, f'the contract has no rule "{waiver.rule[:80]}"{near}')


def long_waivers(contract: Contract, today: date) -> Iterator[Problem]:
    """Those that end more than 90 days after `today`."""
    for waiver in contract.waivers:
        if is_too_long(waiver, today):
            latest = today + LONGEST
            message = f"the waiver of {waiver.rule} ends on {waiver.until}, more than 90 days ahead; {latest} is the last day it may end on"
            yield _problem(contract, waiver, message, "until")


def ended_waivers(contract: Contract, today: date) -> Iterator[str]:
    """Those that ended before `today`, in words."""
    for waiver in contract.waivers:
        if waiver.until < today:
            yield f"{waiver.path}: the waiver of {waiver.rule} ended on {waiver.until}: it does nothing any more, and can be deleted"


def _problem(contract: Contract, waiver: Waiver, message: str, key: str = "rule") -> Problem:
    return Problem(f"{waiver.path}.{key}", message, source=contract.source)


def waived(finding: Finding, waivers: Iterable[Waiver], as_of: datetime) -> Finding:
    """A finding that fails as a warning, where one of the object's waivers holds for what arrived at `as_of`."""
    waiver = waiver_of(finding.rule, waivers, as_of) if finding.outcome is Outcome.FAIL else None
    if waiver is None:
        return finding
    told = told_of(waiver, finding.observed)
    return replace(finding, outcome=Outcome.WARN, severity=Severity.WARNING, observed=told, waived=waiver)


def told_of(waiver: Waiver, observed: str) -> str:
    return f"waived until {waiver.until} by {waiver.approved_by} ({waiver.reason}): {observed}"


def waiver_of(rule: str, waivers: Iterable[Waiver], as_of: datetime) -> Waiver | None:
    """The waiver of a rule that holds at a time."""
    day = as_of.astimezone(UTC).date()
    return next((each for each in waivers if each.rule == rule and is_waived(each, day)), None)
