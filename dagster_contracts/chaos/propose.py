"""Missed faults -> the clauses that would catch them, tried on the same faults, and silent on clean batches.

learn      what clean batches keep to (`learning`), figures measured by the engine
verify     all of it in one contract: what complains of a clean batch is dropped
try        the missed faults again; each trial tells which of the clauses notice it
choose     few clauses that catch all that can be caught, promises before habits
write      into the text of the contract, with the version that the change needs
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from dagster_contracts.chaos.bounds import LEAST
from dagster_contracts.chaos.campaign import Campaign
from dagster_contracts.chaos.clauses import Candidate, Listed, column_of, object_at, of_standard, properties_of
from dagster_contracts.chaos.evidence import Evidence, evidence_of
from dagster_contracts.chaos.fault import Fault
from dagster_contracts.chaos.faults import FAULTS
from dagster_contracts.chaos.figures import Names, Open, figures, of_rows, relations, segments
from dagster_contracts.chaos.history import judged
from dagster_contracts.chaos.learning import cadence, listed, promises, unlike_the_last
from dagster_contracts.chaos.remedy import Case, Remedy, Trying, remedy
from dagster_contracts.chaos.run import Progress, run, silent
from dagster_contracts.chaos.shape import Shape
from dagster_contracts.core.compat_rules import Implied, implies
from dagster_contracts.core.contract import Operator
from dagster_contracts.core.document import read
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.metrics import Kind, NotIn, OutOfRange, Query, RowCount, Statistic
from dagster_contracts.core.plan import ZERO, Check, Within
from dagster_contracts.core.verdict import Count, Figure, Measurement, Outcome

# Families that a contract gets wherever clean data keeps to them; others only where a fault was missed that they catch.
COMPLETE = frozenset(
    {
        *("listed", "closed", "type", "required", "nulls", "unique", "allowed", "written", "minimum", "maximum", "earliest"),
        *("duplicates", "rows", "changes", "frequency", "latency"),
        *("mean", "spread", "share", "minute_of_day.first", "minute_of_day.last", "days"),
    }
)


def propose(case: Case, campaign: Campaign, *, faults: Sequence[Fault] = FAULTS, progress: Progress = silent) -> Remedy:
    """Clauses for what `campaign` missed, and so that other faults and columns fare no worse: those of the same families for columns of
    the same kind that it did not try, and what else clean batches promise and the contract does not (COMPLETE).

    Raises UsageError for fewer than LEAST clean batches.
    """
    if len(case.batches) < LEAST:
        told = "1 clean batch is" if len(case.batches) == 1 else f"{len(case.batches)} clean batches are"
        raise UsageError(f"{told} too few to learn rules from; give at least {LEAST}, better 20")
    missed = {(cell.fault, cell.column, trial.dose) for cell in campaign.cells for trial in cell.missed}
    if not missed:
        return Remedy(case.text, case.contract(case.text)[0].version)
    evidence = evidence_of(case.batches)
    candidates = verified(case, learned(case, evidence))
    touched = {column for _, column, _ in missed} | {None}
    trying = [clause for clause in candidates if clause.column in touched or clause.family in ("listed", "changes")]
    noticed = _noticed(case, trying, campaign, _only(faults, missed), missed, progress)
    needed = covering(candidates, noticed)
    untried = evidence.columns.keys() - {cell.column for cell in campaign.cells}
    chosen = _news(case, _spread(needed, candidates, evidence, untried), needed)
    return remedy(case, _in_order(chosen, candidates), noticed, missed)


# --- learn ---------------------------------------------------------------------------------------------------------


def learned(case: Case, evidence: Evidence, families: Collection[str] | None = None) -> list[Candidate]:
    """Every clause that the clean batches would have kept to, for each column and for the batch as a whole. Figures of other than the
    `families` that are asked for are not measured."""
    document = read(case.text).value
    _, found = object_at(document, case.object_name)
    plan = case.plan([])
    names = Names({rule.id for rule in plan.rules})
    properties = {column_of(prop): prop for prop in properties_of(found)}
    times = not of_standard(document, "v3.0")
    new = list(listed(evidence, found, typed=types_are_asked(document), times=times))
    known = {str(each.column) for each in new} | properties.keys()
    open_ = [name for name in evidence.columns if name in known and name not in plan.masked]
    firm = [
        clause
        for name in evidence.columns
        if name in known
        for clause in promises(evidence, name, _property(properties, new, name), names, hidden=name in plan.masked, times=times)
    ]
    firm += [clause for clause in unlike_the_last(evidence, names) if clause.column in open_]
    levels = document.get("slaProperties") if isinstance(document, dict) else None
    firm += cadence(
        evidence,
        case.object_name,
        [level for level in levels or () if isinstance(level, dict)],
        known=case.arrivals_known,
        alone=len(case.contract(case.text)[0].objects) == 1,
    )
    kinds = (figures, segments, relations)
    opened = [figure for name in open_ for kind in kinds for figure in kind(evidence, name, names)]
    opened += of_rows(evidence, names)
    opened = [figure for figure in opened if families is None or figure.family in families]
    additions = [each for each in new if isinstance(each.addition, Listed)]
    return [*new, *firm, *_closed(case, additions, opened)]


def types_are_asked(document: object) -> bool:
    """Whether the document's version of the standard asks for the type of each property: from 3.2 on."""
    return not of_standard(document, "v3.0", "v3.1")


def _property(properties: Mapping[str, Mapping[str, Any]], new: Sequence[Candidate], name: str) -> Mapping[str, Any]:
    entries = (each.addition.entry for each in new if isinstance(each.addition, Listed) and each.column == name)
    return properties.get(name) or next(entries)


def _closed(case: Case, additions: Sequence[Candidate], opened: Sequence[Open]) -> Iterator[Candidate]:
    """Figures with the bounds that clean batches have them in. What cannot be measured of each of them has none."""
    plan = case.plan([*additions, *(figure.open() for figure in opened)])
    checks = {rule.id: rule.check for rule in plan.rules if isinstance(rule.check, Within)}
    asked = [checks[figure.name].metric for figure in opened if figure.name in checks]
    measured = [case.engine.measure(batch.frame, asked, case.related) for batch in case.batches]
    for figure in opened:
        values = [_value(checks.get(figure.name), found) for found in measured if isinstance(found, Measurement)]
        if len(values) == len(case.batches) and all(value is not None for value in values):
            rows = [batch.rows for batch in case.batches]
            found = figure.closed([value for value in values if value is not None], rows)
            if found is not None:
                yield found


def _value(check: Within | None, measured: Measurement) -> float | None:
    """In percent where the rule is."""
    if check is None:
        return None
    value = Count(measured.rows) if isinstance(check.metric, RowCount) else measured.values.get(check.metric)
    if isinstance(value, Figure):
        return None if value.value is None else float(value.value)
    if not isinstance(value, Count):
        return None
    return 100 * value.value / measured.rows if check.threshold.percent and measured.rows else float(value.value)


# --- verify --------------------------------------------------------------------------------------------------------


def verified(case: Case, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that are executed, and that no clean batch breaks: judged one after the other, as a feed would be."""
    plan = case.plan(candidates)
    told: set[str] = set()
    for number, known in enumerate(judged(plan, case.engine, case.batches, case.related)):
        told |= {finding.rule for finding in known.verdict.findings if finding.outcome is not Outcome.PASS}
        if number:  # the first batch has none before it to be compared with
            told |= {missed.rule for missed in known.verdict.not_executed}
    executed = {rule.id for rule in plan.rules}
    return [clause for clause in candidates if executed.issuperset(clause.rules) and told.isdisjoint(clause.rules)]


# --- try -----------------------------------------------------------------------------------------------------------


def _only(faults: Sequence[Fault], missed: set[Trying]) -> list[Fault]:
    """The faults that were missed, in the columns and at the doses at which they were."""
    found = []
    for fault in faults:
        columns = frozenset(column for name, column, _ in missed if name == fault.name)
        doses = tuple(dose for dose in fault.doses if any((fault.name, column, dose) in missed for column in columns))
        if doses:
            found.append(replace(fault, doses=doses, fits=partial(_fits, fault, columns)))
    return found


def _fits(fault: Fault, columns: frozenset[str | None], shape: Shape) -> list[str | None]:
    return [column for column in fault.fits(shape) if column in columns]


def _noticed(
    case: Case, candidates: Sequence[Candidate], campaign: Campaign, faults: Sequence[Fault], missed: set[Trying], progress: Progress
) -> dict[str, frozenset[Trying]]:
    """By name of a clause, which of the trials that were missed it notices."""
    by_rule = {rule: clause.name for clause in candidates for rule in clause.rules}
    contract, _ = case.contract(case.text)
    again = run(
        case.plan(candidates),
        contract.policy,
        case.engine,
        case.batches,
        faults=faults,
        seed=campaign.seed,
        related=case.related,
        progress=progress,
    )
    found: dict[str, set[Trying]] = {}
    for cell in again.cells:
        for trial in cell.trials:
            this = (cell.fault, cell.column, trial.dose)
            for rule in trial.rules if this in missed else ():
                if rule in by_rule:
                    found.setdefault(by_rule[rule], set()).add(this)
    return {name: frozenset(trials) for name, trials in found.items()}


# --- choose --------------------------------------------------------------------------------------------------------


def covering(candidates: Sequence[Candidate], noticed: Mapping[str, frozenset[Trying]]) -> list[Candidate]:
    """Few clauses that notice all that any does: those of low rank first, among equals the one that notices most."""
    left = frozenset[Trying]().union(*noticed.values())
    chosen: list[Candidate] = []
    for rank in sorted({clause.rank for clause in candidates}):
        equals = [clause for clause in candidates if clause.rank == rank and clause.name in noticed]
        while equals and left:
            best = max(equals, key=lambda clause: (len(noticed[clause.name] & left), len(noticed[clause.name])))
            if not noticed[best.name] & left:
                break
            chosen.append(best)
            left -= noticed[best.name]
    for clause in sorted(chosen, key=lambda each: -each.rank):
        others = frozenset[Trying]().union(*(noticed[other.name] for other in chosen if other is not clause))
        if noticed[clause.name] <= others:
            chosen.remove(clause)
    return chosen


def _spread(needed: Sequence[Candidate], candidates: Sequence[Candidate], evidence: Evidence, untried: Collection[str]) -> list[Candidate]:
    """What is needed; the same for columns of the same kind that were not tried; and what makes a contract complete."""
    families = {(clause.family, evidence.reads(clause.column)) for clause in needed if clause.column is not None}
    return [
        clause
        for clause in candidates
        if clause in needed
        or clause.family in COMPLETE
        or (clause.column in untried and (clause.family, evidence.reads(str(clause.column))) in families)
    ]


def _news(case: Case, clauses: Sequence[Candidate], needed: Sequence[Candidate]) -> list[Candidate]:
    """Without what follows from the contract, or from what is needed, or from one before it: a range within another, the form of text of
    which all values are listed. Nor a second rule on a figure that the contract has one on, of whatever severity: its author chose it."""
    own = [rule.check for rule in case.plan([]).rules]
    standing = list(own)
    after = {rule.id: rule for rule in case.plan(clauses).rules}
    standing += [after[rule].check for clause in needed for rule in clause.rules if after[rule].severity.refuses]
    sets = [check for check in standing if isinstance(check, Within) and check.threshold == ZERO]
    listing = {clause.column for clause in clauses if clause.family == "allowed"}
    listing |= {check.metric.column for check in sets if isinstance(check.metric, NotIn)}
    kept: list[Candidate] = []
    for clause in clauses:
        checks = [after[rule].check for rule in clause.rules]
        follows = all(any(_is_told(other, check) for other in standing) or _has_one(own, check) for check in checks)
        if clause in needed or not (follows or (clause.family == "written" and clause.column in listing)):
            kept.append(clause)
            standing += [after[rule].check for rule in clause.rules if after[rule].severity.refuses]
    return kept


def _is_told(standing: Check, new: Check) -> bool:
    """Whether `standing` says what `new` does: a bound of each value is one of the lowest and the highest."""
    if not (isinstance(standing, Within) and isinstance(new, Within)):
        return implies(standing, new) is Implied.YES
    each, figure, wanted = standing.metric, new.metric, new.threshold
    if isinstance(each, OutOfRange) and isinstance(figure, Statistic) and each.column == figure.column and standing.threshold == ZERO:
        bound = {Kind.MINIMUM: each.minimum, Kind.MAXIMUM: each.maximum}.get(figure.kind)
        if bound is None or isinstance(bound, str) or isinstance(wanted.value, tuple):
            return False
        lowest = figure.kind is Kind.MINIMUM and wanted.operator is Operator.GREATER_OR_EQUAL and bound >= wanted.value
        return lowest or (figure.kind is Kind.MAXIMUM and wanted.operator is Operator.LESS_OR_EQUAL and bound <= wanted.value)
    return implies(standing, new) is Implied.YES


def _has_one(own: Sequence[Check], new: Check) -> bool:
    if not (isinstance(new, Within) and isinstance(new.metric, Statistic | Query)):
        return False
    return any(isinstance(check, Within) and check.metric == new.metric for check in own)


def _in_order(chosen: Sequence[Candidate], candidates: Sequence[Candidate]) -> list[Candidate]:
    """As in the document, with the properties that they need: all columns that are not listed yet, or none."""
    new = {clause.column for clause in candidates if isinstance(clause.addition, Listed)}
    needed = any(clause.column in new or clause.family == "closed" for clause in chosen)
    return [clause for clause in candidates if clause in chosen or (needed and isinstance(clause.addition, Listed))]
