"""What a calibration found, for people and programs: the diff of the contract, and the evidence of each rule."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from dagster_contracts.calibration.calibrate import Calibration
from dagster_contracts.calibration.choosing import Choice, Step, operand
from dagster_contracts.calibration.spread import Usual
from dagster_contracts.calibration.telling import incident
from dagster_contracts.chaos.bounds import written
from dagster_contracts.chaos.clauses import Candidate
from dagster_contracts.core.wording import counted

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LISTED = 5


def diff_of(old: str, found: Calibration, name: str) -> str:
    """A unified diff of the contract's text; empty where nothing changes."""
    lines = (old.splitlines(keepends=True), found.text.splitlines(keepends=True))
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(*lines, fromfile=f"a/{name}", tofile=f"b/{name}")
    )


def now(choice: Choice) -> str:
    return f"{choice.operator.value} {operand(choice.value)}"


def seen(usual: Usual | None) -> str:
    """Batches, range, centre and spread, in one line; the centre of each weekday where the figure has a week in it."""
    if usual is None:
        return "too few batches"
    days = ", ".join(f"{DAYS[day]} {written(centre)}" for day, centre in usual.weekdays)
    week = f"; by weekday {days}; the widest bound of all weekdays holds" if days else ""
    grows = "; grows or falls over time" if usual.grows else ""
    return (
        f"{counted(usual.batches, 'batch', 'es')}, {written(usual.low)} to {written(usual.high)}, "
        f"centre {written(usual.centre)}, spread {written(usual.spread)}{week}{grows}"
    )


def told(choice: Choice) -> str:
    """Why, with what it trips on and which incidents need it."""
    parts = [choice.why]
    if choice.since is not None:
        parts.append(f"learned since the shift at {choice.since}")
    if choice.trips:
        parts.append(f"before: trips on {listed(choice.trips)}")
    if choice.warns:
        parts.append(f"a warning, since as an error it would refuse {listed(choice.warns)}")
    if choice.after:
        parts.append(f"now: trips on {listed(choice.after)}")
    if choice.needed:
        parts.append(f"needed by incident {listed(choice.needed)}")
    return "; ".join(part for part in parts if part)


def listed(keys: tuple[str, ...]) -> str:
    return ", ".join(keys[:_LISTED]) + (f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else "")


def summary(found: Calibration) -> Iterator[str]:
    """The sentences above the evidence."""
    changed = {step: sum(choice.step is step for choice in found.choices) for step in Step}
    yield (
        f"{counted(found.clean, 'clean batch', 'es')}, {found.labelled} labelled; "
        f"budget {found.budget:g} in 100 clean batches refused, that is {found.allowed} here"
    )
    yield ", ".join(f"{changed[step]} {step.value}" for step in Step)
    if warnings := [choice.rule for choice in found.choices if choice.warns]:
        yield f"proposed as a warning, since as an error it would refuse clean batches: {', '.join(warnings)}"
    if columns := _columns(found):
        yield f"proposed without a threshold: {'; '.join(f'{each.name} ({each.told})' for each in columns)}"
    if found.withheld:
        keys = sorted({key for keys in found.withheld.values() for key in keys}, key=found.batches.index)
        what = listed(tuple(found.withheld))
        yield f"not proposed, since it would refuse {listed(tuple(keys))}: {what}; give the history after them to have it"
    yield f"clean batches refused: {len(found.before)} before, {len(found.after)} now"
    if found.outdated:
        yield f"{len(found.outdated)} of them came before a lasting shift, since which the rules that refuse them were learned"
    if len(found.after) - len(found.outdated) > found.allowed:
        over = {rule for key, rules in found.after.items() if key not in found.outdated and key not in found.suspects for rule in rules}
        reasons: dict[str, list[str]] = {}
        for rule in sorted(over):
            reasons.setdefault(_stays(rule, found), []).append(rule)
        yield "that is over the budget: " + "; ".join(f"{', '.join(rules)}: {why}" for why, rules in reasons.items())
    for key, rules in found.suspects.items():
        yield f"{key} looks like an incident ({', '.join(rules[:_LISTED])}): nothing was learned from it, it is within the budget"
    yield from map(incident, found.missed)


def _stays(rule: str, found: Calibration) -> str:
    """Why a rule goes on refusing clean batches."""
    choice = next((choice for choice in found.choices if choice.rule == rule), None)
    if choice is None:
        return "no threshold that could be loosened"
    if choice.needed:
        return f"incident {listed(choice.needed)} needs it"
    if choice.trips and choice.step is Step.KEPT:
        return choice.why
    return "would hold if no batch were refused: what is refused is no reference for later ones. Make it a warning"


def to_json(found: Calibration, diff: str) -> Mapping[str, object]:
    """JSON values; docs/schemas/calibrate.schema.json describes them."""
    return {
        "contract_version": found.version,
        "batches": len(found.batches),
        "clean": found.clean,
        "budget": found.budget,
        "allowed": found.allowed,
        "before": {key: list(rules) for key, rules in found.before.items()},
        "after": {key: list(rules) for key, rules in found.after.items()},
        "withheld": {rule: list(keys) for rule, keys in found.withheld.items()},
        "suspects": {key: list(rules) for key, rules in found.suspects.items()},
        "missed": [told.incident.label for told in found.missed],
        "rules": [_rule(choice) for choice in found.choices],
        "columns": [each.name for each in _columns(found)],
        "fixed": [{"rule": rule, "why": why} for rule, why in found.fixed],
        "diff": diff,
    }


def _columns(found: Calibration) -> list[Candidate]:
    return [each for each in found.added if each.family in ("listed", "closed")]


def _rule(choice: Choice) -> Mapping[str, object]:
    usual = choice.seen
    return {
        "rule": choice.rule,
        "column": choice.column,
        "step": choice.step.value,
        "why": choice.why,
        "old": choice.old or None,
        "new": now(choice),
        "batches": usual.batches if usual else 0,
        "low": usual.low if usual else None,
        "high": usual.high if usual else None,
        "centre": usual.centre if usual else None,
        "spread": usual.spread if usual else None,
        "weekdays": {DAYS[day]: centre for day, centre in usual.weekdays} if usual else {},
        "since": choice.since,
        "trips": list(choice.trips),
        "trips_after": list(choice.after),
        "warns_on": list(choice.warns),
        "needed_by": list(choice.needed),
    }


def to_markdown(found: Calibration, diff: str) -> str:
    """For a pull request."""
    rows = [
        f"| {_cell(c.rule)} | {c.step.value} | {_cell(c.old)} | {now(c)} | {_cell(seen(c.seen))} | {_cell(told(c))} |"
        for c in found.choices
    ]
    head = ["| rule | | was | is | seen | why |", "|---|---|---|---|---|---|"]
    parts = [*(f"- {line}" for line in summary(found)), "", *head, *rows, ""]
    return "\n".join(parts) + (f"\n```diff\n{diff}```\n" if diff else "\nNothing changes.\n")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
