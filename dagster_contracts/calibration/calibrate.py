"""History -> the thresholds that a contract should have, within a budget of false trips, as a new version of its text.

measure    every batch once, for the rules that there are and those that could be
suspect    as many batches as the budget allows may be strange without a label: they are told, and nothing is learned from them
choose     a threshold for each rule (`choosing`), and bounds for the rules that are lacking (`behaviour`), learned from clean batches
write      into the text, in place; the version goes up
try        old and new contract on all of history, as `backtest` does; a proposal that refuses a clean batch becomes a warning (`trial`)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dagster_contracts.calibration.behaviour import Opened, lacking, no_others
from dagster_contracts.calibration.choosing import Choice, Labels, Step, chosen, clean_of, floored, since_of, threshold
from dagster_contracts.calibration.dials import Dial, dials_of, unit_of
from dagster_contracts.calibration.incidents import Incident
from dagster_contracts.calibration.observed import History, key_of, measured, points
from dagster_contracts.calibration.scoring import Score, Told, scored
from dagster_contracts.calibration.spread import TRIED, Usual, holds_later, strange, usual_of
from dagster_contracts.calibration.trial import Empty, Proposed, harmless, tried
from dagster_contracts.chaos.bounds import LEAST, Range, written
from dagster_contracts.chaos.clauses import Candidate, described, object_at
from dagster_contracts.chaos.propose import types_are_asked
from dagster_contracts.chaos.remedy import Case, versioned
from dagster_contracts.core.amend import Edit, amended
from dagster_contracts.core.contract import Operator
from dagster_contracts.core.document import read
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.plan import Drifted, LastGood, Plan, Within
from dagster_contracts.core.wording import counted

BUDGET = 1.0  # false trips in 100 clean batches
_SAYS_NOTHING = 0.9  # a bound so near the most that there can be


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is proposed. `text` is the new contract, equal to the old one where nothing changes.

    `choices` has every rule with a threshold, then the proposed ones; `fixed` the other rules, each with why it stays. `suspects` are
    batches that look bad and have no label, with the rules that say so. `before` and `after` are the batches without a label that the old
    and the new contract refuse, each with the rules that do; `missed` the incidents that are not caught afterwards. `withheld` are rules
    about columns that are not proposed, each with the clean batches that it would refuse.
    """

    text: str
    version: str
    batches: tuple[str, ...]
    budget: float
    choices: tuple[Choice, ...]
    fixed: tuple[tuple[str, str], ...]
    suspects: Mapping[str, tuple[str, ...]]
    before: Mapping[str, tuple[str, ...]]
    after: Mapping[str, tuple[str, ...]]
    missed: tuple[Told, ...]
    labelled: int = 0
    added: tuple[Candidate, ...] = ()
    withheld: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def clean(self) -> int:
        return len(self.batches) - self.labelled

    @property
    def changed(self) -> tuple[Choice, ...]:
        return tuple(choice for choice in self.choices if choice.step is not Step.KEPT)

    @property
    def allowed(self) -> int:
        """Clean batches that may be refused."""
        return allowance(self.budget, self.clean)

    @property
    def outdated(self) -> frozenset[str]:
        """Batches in `after` from before lasting shifts of all the figures that they are refused for: they are not of the budget."""
        since = {choice.rule: self.batches.index(choice.since) for choice in self.choices if choice.since is not None}
        return frozenset(key for key, rules in self.after.items() if all(self.batches.index(key) < since.get(rule, 0) for rule in rules))


def allowance(budget: float, clean: int) -> int:
    return math.floor(budget * clean / 100 + 1e-9)


def calibrate(case: Case, empty: Empty, *, budget: float = BUDGET, incidents: Sequence[Incident] = (), propose: bool = True) -> Calibration:
    """`case.batches` are history in its order; `incidents` name the bad ones among them. `budget`: false trips in 100 clean batches.
    `empty` makes the stores in which the old and the new contract are tried: `lambda clock: MemoryStore(clock=clock)`.

    Raises UsageError for fewer than LEAST clean batches, for a contract of which nothing can be calibrated, and for a budget that is no
    share of 100.
    """
    if not 0 <= budget < 100:
        raise UsageError(f"a budget of {budget:g} false trips in 100 clean batches: expected 0 to less than 100")
    keys = [key_of(batch) for batch in case.batches]
    bad = _labelled(incidents, keys)
    if len(keys) - len(bad) < LEAST:
        raise UsageError(
            f"{counted(len(keys), 'batch', 'es')}, {len(keys) - len(bad)} of them clean, too few to learn thresholds from: "
            f"give at least {LEAST} clean ones; {TRIED} for tightening and for new rules, and {_enough(budget)} to tell the budget"
        )
    document, plan = read(case.text).value, case.plan([])
    dials, fixed = dials_of(document, case.object_name, plan)
    wide = lacking(object_at(document, case.object_name)[1], plan, case.batches) if propose else []
    widened = case.plan([each.open() for each in wide]) if wide else plan
    trying = _dials_of(widened, wide)
    if not dials and not trying:
        raise UsageError(
            f"{case.object_name}: no rule of the contract has a threshold, and none is proposed, so that nothing can be calibrated"
        )
    found = _observed(case, widened, dials)
    labels = Labels(bad)
    seen = _suspects([*dials, *trying.values()], found, labels, allowance(budget, len(keys) - len(bad)))
    labels = replace(labels, suspects=frozenset(seen))
    choices = [chosen(dial, points(dial, found, labels.bad), labels, keys) for dial in dials]
    proposed = Proposed()
    if propose:
        proposed = Proposed(list(_proposals(wide, trying, found, labels, keys, budget)), _columns(case, found, labels))
    suspects = {keys[at]: rules for at, rules in seen.items()}
    return _written(case, empty, budget, dials, choices, proposed, fixed, found, labels, suspects, incidents)


def _enough(budget: float) -> str:
    return f"{math.ceil(100 / budget)}" if budget else "more"


def _labelled(incidents: Sequence[Incident], keys: Sequence[str]) -> dict[int, tuple[Incident, ...]]:
    found: dict[int, tuple[Incident, ...]] = {}
    for incident in incidents:
        for name in incident.partitions:
            at = keys.index(name)
            found[at] = (*found.get(at, ()), incident)
    return found


# --- measured ------------------------------------------------------------------------------------------------------


def _observed(case: Case, plan: Plan, dials: Sequence[Dial]) -> History:
    """Every batch measured once, for the rules of the contract and for those that could be proposed."""
    metrics = dict.fromkeys((*plan.metrics, *(dial.figure for dial in dials if dial.figure is not None)))
    return measured(plan, list(metrics), case.engine, case.batches, case.related)


def _dials_of(plan: Plan, wide: Sequence[Opened]) -> dict[str, Dial]:
    """Of the rules that could be proposed, by name; without those that are not executed."""
    rules = {rule.id: rule for rule in plan.rules}
    found: dict[str, Dial] = {}
    for each in wide:
        rule = rules.get(each.name)
        if rule is not None and isinstance(rule.check, Within | Drifted):
            unit, most = unit_of(rule.check)
            both = each.operator is Operator.BETWEEN
            found[each.name] = Dial(rule, (), each.operator, (-math.inf, math.inf) if both else math.inf, unit, most)
    return found


def _suspects(dials: Sequence[Dial], history: History, labels: Labels, allowed: int) -> dict[int, tuple[str, ...]]:
    """The strangest batches without a label, as many as may be refused, with the rules whose figures are strange."""
    worst: dict[int, dict[str, float]] = {}
    for dial in dials if allowed else ():
        for at, times in strange(clean_of(points(dial, history, labels.bad), labels.bad), dial.unit).items():
            worst.setdefault(at, {})[dial.rule.id] = times
    strangest = sorted(worst, key=lambda at: -max(worst[at].values()))[:allowed]
    return {at: tuple(sorted(worst[at], key=lambda rule: -worst[at][rule])) for at in sorted(strangest)}


# --- rules that are lacking ----------------------------------------------------------------------------------------


def _proposals(
    wide: Sequence[Opened], dials: Mapping[str, Dial], history: History, labels: Labels, keys: Sequence[str], budget: float
) -> Iterator[tuple[Choice, Candidate]]:
    for each in wide:
        if each.name not in dials:
            continue
        every = points(dials[each.name], history, labels.bad)
        clean = clean_of(every, labels.bad)
        dial = floored(dials[each.name], clean)
        seen = usual_of(clean, dial.unit, dial.most)
        if seen is None or seen.grows or not holds_later(clean, dial.unit, dial.most, low=dial.low, high=dial.high):
            continue
        bounds = _exact(seen, budget) or seen.bounds
        if bounds == seen.bounds and seen.spread == 0:
            continue  # it never moved in a few batches: that says little
        if (bounds.low <= 0 or not dial.low) and bounds.high >= _SAYS_NOTHING * dial.most:
            continue
        operator, value = threshold(dial, bounds)
        new = replace(dial, operator=operator, value=value)
        after = tuple(keys[p.batch] for p in every if p.batch not in labels.incidents and not new.allows(p.value))
        needed = [incident.label for p in every if not new.allows(p.value) for incident in labels.incidents.get(p.batch, ())]
        told = f"{written(seen.low)} to {written(seen.high)} in {seen.batches} clean batches"
        since = since_of(clean, every, labels, keys)
        choice = Choice(
            each.name, each.column, Step.PROPOSED, _no_such_rule(dial), "", operator, value, seen, (), after,
            tuple(dict.fromkeys(needed)), since=since,
        )  # fmt: skip
        operand = list(value) if isinstance(value, tuple) else value
        yield choice, described(each.with_(operator, operand, told), f"Learned: {told}.")


def _no_such_rule(dial: Dial) -> str:
    match dial.rule.check:
        case Drifted(reference=LastGood(batches)):
            return f"the contract has no such rule; learned from batches with {batches} good ones before them"
        case _:
            return "the contract has no such rule"


def _exact(seen: Usual, budget: float) -> Range | None:
    """What was 0 in as many batches as the budget speaks of stays 0."""
    return Range(0.0, 0.0) if seen.low == seen.high == 0 and seen.batches * budget >= 100 else None


def _columns(case: Case, history: History, labels: Labels) -> list[Candidate]:
    good = [batch for at, batch in enumerate(history.batches) if at not in labels.bad]
    document = read(case.text).value
    _, found = object_at(document, case.object_name)
    return no_others(found, good, TRIED, typed=types_are_asked(document))


# --- written -------------------------------------------------------------------------------------------------------


def _written(
    case: Case,
    empty: Empty,
    budget: float,
    dials: Sequence[Dial],
    choices: Sequence[Choice],
    proposed: Proposed,
    fixed: Sequence[tuple[str, str]],
    history: History,
    labels: Labels,
    suspects: Mapping[str, tuple[str, ...]],
    incidents: Sequence[Incident],
) -> Calibration:
    edits: list[Edit] = []
    for dial, choice in zip(dials, choices, strict=True):
        if choice.step is not Step.KEPT:
            edits += dial.edits(choice.operator, list(choice.value) if isinstance(choice.value, tuple) else choice.value)
    moved = replace(case, text=amended(case.text, edits)) if edits else case
    proposed, after = harmless(moved, proposed, history, labels, empty)
    text = moved.with_(proposed.candidates)
    before = tried(case, case.text, history, empty) if text != case.text else after
    text, version = versioned(case, text) if text != case.text else (text, case.contract(case.text)[0].version)
    score = scored(after, incidents)
    return Calibration(
        text=text,
        version=version,
        batches=history.keys,
        budget=budget,
        choices=(*choices, *(choice for choice, _ in proposed.rules)),
        fixed=tuple(fixed),
        suspects=suspects,
        before=_refused(scored(before, incidents)),
        after=_refused(score),
        missed=score.missed,
        labelled=len(labels.incidents),
        added=tuple(proposed.candidates),
        withheld=proposed.withheld,
    )


def _refused(score: Score) -> dict[str, tuple[str, ...]]:
    return {each.partition: tuple(sorted(each.rules)) for each in score.refused}
