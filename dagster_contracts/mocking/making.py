"""A contract -> frames that keep it, each judged before it is given away.

    wanted, units     what the rules ask of each column, and which columns are filled together
    pools             values that keep those rules: numerals, texts (patterns, shapes), times
    filling, nested   rows of them, with keys, comparisons and relationships (comparing), shares and statistics (distributions)
    files             written and read again

Rules that only warn are kept too, unless they contradict the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl

from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract, Property, SchemaObject
from dagster_contracts.core.errors import Unsatisfiable
from dagster_contracts.core.judge import judge
from dagster_contracts.core.metrics import Metric, Orphans, Query, RowCount
from dagster_contracts.core.plan import Plan, Rule, Within
from dagster_contracts.core.rules import expected
from dagster_contracts.core.verdict import Finding, Outcome, Verdict
from dagster_contracts.engines.local import default_engine
from dagster_contracts.mocking.contradictions import pair
from dagster_contracts.mocking.counts import nearest
from dagster_contracts.mocking.filling import Filling
from dagster_contracts.mocking.nested import NO_VALUE, Lacking
from dagster_contracts.mocking.pools import pool
from dagster_contracts.mocking.units import Group, groups, metrics
from dagster_contracts.mocking.wanted import wanted

_ALL_ROWS = re.compile(r"(?is)\s*select\s+count\s*\(\s*(?:\*|1)\s*\)(?:\s+as\s+\w+)?\s+from\s+[\w.\"]+\s*;?\s*")
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Made:
    """The data of one object, and what its contract says of it. `unmet` are findings of rules that it does not keep."""

    object: SchemaObject
    plan: Plan
    frame: pl.DataFrame
    verdict: Verdict

    @property
    def unmet(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.verdict.findings if finding.outcome is not Outcome.PASS)

    @property
    def refused(self) -> bool:
        return self.verdict.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE)


def make(contract: Contract, *, rows: int, seed: int, now: datetime) -> dict[str, Made]:
    """The data of every object that is a table; that it keeps its rules has to be looked at.

    `rows` of each, or the nearest number that its rowCount rules accept. Raises Unsatisfiable where rules contradict each other.
    """
    plans = {obj.name: compile_plan(contract, obj) for obj in contract.objects}
    plans = {name: plan for name, plan in plans.items() if not plan.files}
    found: dict[str, Made] = {}
    for attempt in range(_ATTEMPTS):
        made = _made(contract, plans, rows, f"{seed}:{attempt}" if attempt else str(seed), now)
        if not found or sum(each.refused for each in made.values()) < sum(each.refused for each in found.values()):
            found = made
        if not any(each.unmet for each in made.values()):
            break
    return found


def reread(made: Made, file: Path, now: datetime) -> Made:
    """What the contract says of the data as it was written, beside what it says of the frame."""
    measured = default_engine().measure(file, made.plan.metrics)
    found = judge(made.plan, measured, {}, as_of=now, head=True)
    return replace(made, verdict=found if not made.refused else made.verdict)


def _made(contract: Contract, plans: Mapping[str, Plan], rows: int, seed: str, now: datetime) -> dict[str, Made]:
    try:
        frames = _frames(contract, {name: plan.rules for name, plan in plans.items()}, rows, seed, now)
    except Unsatisfiable:
        refusing = {name: tuple(rule for rule in plan.rules if rule.severity.refuses) for name, plan in plans.items()}
        frames = _frames(contract, refusing, rows, seed, now)
    objects = {obj.name: obj for obj in contract.objects}
    return {name: Made(objects[name], plan, frames[name], _judged(plan, frames, now)) for name, plan in plans.items()}


def _judged(plan: Plan, frames: Mapping[str, pl.DataFrame], now: datetime) -> Verdict:
    related = {name: partial(frames.__getitem__, name) for name in frames}
    measured = default_engine().measure(frames[plan.object_name], plan.metrics, related)
    return judge(plan, measured, {}, as_of=now, head=True)


def _frames(contract: Contract, rules: Mapping[str, tuple[Rule, ...]], rows: int, seed: str, now: datetime) -> dict[str, pl.DataFrame]:
    fillings = {obj.name: _begun(obj, rules[obj.name], rows, seed, now) for obj in contract.objects if obj.name in rules}
    _make_room(fillings)
    _share_wishes(fillings)
    for filling, group in _in_order(fillings):
        try:
            filling.fill(group, fillings)
        except Lacking as lacking:
            raise _contradiction(contract, filling, lacking) from None
    for filling in fillings.values():
        filling.repeat()
    return {name: filling.frame() for name, filling in fillings.items()}


def _begun(obj: SchemaObject, rules: tuple[Rule, ...], rows: int, seed: str, now: datetime) -> Filling:
    properties = {prop.name: prop for prop in obj.properties if not prop.computed and not _gone(prop, now)}
    wants = {name: wanted(rules, prop, (name,)) for name, prop in properties.items()}
    return Filling(obj, rules, wants, properties, _row_count(obj, rules, rows), now, seed)


def _gone(prop: Property, now: datetime) -> bool:
    return prop.deprecated and prop.deprecated_until is not None and prop.deprecated_until < now.date()


def _row_count(obj: SchemaObject, rules: Sequence[Rule], rows: int) -> int:
    asked = [rule for rule in rules if isinstance(rule.check, Within) and _counts_rows(rule.check.metric)]
    found = nearest([rule.check.threshold for rule in asked if isinstance(rule.check, Within)], rows)
    if found is None:
        told = "; ".join(f"{rule.id}: {expected(rule)}" for rule in asked)
        raise Unsatisfiable(f"{obj.name}: no number of rows keeps all of {told}; change one of these rules")
    return found


def _counts_rows(metric: Metric) -> bool:
    return isinstance(metric, RowCount) or (isinstance(metric, Query) and _ALL_ROWS.fullmatch(metric.sql) is not None)


def _make_room(fillings: Mapping[str, Filling]) -> None:
    """Foreign keys that are unique need as many targets."""
    for _ in fillings:
        for filling in fillings.values():
            for link in metrics(filling.rules, Orphans):
                if (
                    isinstance(link, Orphans)
                    and link.object in fillings
                    and any(filling.wants[c].unique for c in link.columns if c in filling.wants)
                ):
                    target = fillings[link.object]
                    target.rows = _row_count(target.obj, target.rules, max(target.rows, filling.rows))


# --- the order of columns --------------------------------------------------------------------------------------------


def _share_wishes(fillings: Mapping[str, Filling]) -> None:
    """What is asked of a foreign key is asked of its target, where both can be kept."""
    for filling in fillings.values():
        for link in metrics(filling.rules, Orphans):
            if not isinstance(link, Orphans) or link.object not in fillings:
                continue
            target = fillings[link.object]
            for mine, theirs in zip(link.columns, link.targets, strict=True):
                if mine in filling.wants and theirs in target.wants and (target, theirs) != (filling, mine):
                    both = target.wants[theirs].beside(filling.wants[mine])
                    if pool(both, target.random("beside"), 1, target.now).values:
                        target.wants[theirs] = both


def _in_order(fillings: Mapping[str, Filling]) -> Iterator[tuple[Filling, Group]]:
    """Targets of relationships before what names them; where these run in a circle, one of them as if it named nothing."""
    left = [
        (filling, group) for filling in fillings.values() for group in groups(list(filling.properties), filling.rules, filling.containers)
    ]
    while left:
        ready = next((each for each in left if not _awaits(*each, fillings)), left[0])
        left.remove(ready)
        yield ready


def _awaits(filling: Filling, group: Group, fillings: Mapping[str, Filling]) -> bool:
    for link in metrics(filling.rules, Orphans):
        if isinstance(link, Orphans) and set(link.columns) <= set(group.columns) and link.object in fillings:
            target = fillings[link.object]
            missing = [name for name in link.targets if name in target.properties and name not in target.values]
            if missing and not (target is filling and set(missing) <= set(group.columns)):
                return True
    return False


# --- what cannot be ------------------------------------------------------------------------------------------------


def _contradiction(contract: Contract, filling: Filling, lacking: Lacking) -> Unsatisfiable:
    """Names the rules; two of them where two are enough."""
    asked = lacking.wanted
    rules = [rule for rule in filling.rules if rule.id in asked.rules]
    two = pair(rules, asked, filling.now) if lacking.reason == NO_VALUE else None
    told = [f"{rule.id} ({expected(rule)})" for rule in two or rules]
    place = f"{contract.source or contract.id}: {filling.obj.name}.{asked.words}"
    return Unsatisfiable(f"{place}: {lacking.reason} {' and '.join(told)}; change one of these rules, or ask for fewer rows")
