"""A new contract tried on the history that it was learned from, by the real gate: what is told of it is what `backtest` says of it.

A batch that is refused is no reference for later ones. A rule that compares with the last good batches, and refuses a clean one, keeps its
own reference from moving on, and refuses all that comes after. So no proposal refuses a clean batch: rules that would are warnings, and
columns are not proposed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dagster_contracts.calibration.behaviour import as_warning
from dagster_contracts.calibration.choosing import Choice, Labels
from dagster_contracts.calibration.observed import History, Recalling, verdicts
from dagster_contracts.calibration.replay import Replay, replay
from dagster_contracts.chaos.clauses import Candidate
from dagster_contracts.chaos.remedy import Case
from dagster_contracts.core.contract import Attached
from dagster_contracts.judgement import Terms
from dagster_contracts.ports import FixedClock, Store

Keys = tuple[str, ...]
Empty = Callable[[FixedClock], Store]  # a store with nothing in it that goes by a clock


@dataclass(frozen=True, slots=True)
class Proposed:
    """Rules with the thresholds chosen for them, and rules about columns. `withheld` are those of the latter that were taken back, each
    with the clean batches that it would refuse."""

    rules: Sequence[tuple[Choice, Candidate]] = ()
    columns: Sequence[Candidate] = ()
    withheld: Mapping[str, Keys] = field(default_factory=dict)

    @property
    def candidates(self) -> list[Candidate]:
        return [*(candidate for _, candidate in self.rules), *self.columns]

    def without(self, harm: Mapping[str, Keys]) -> Proposed:
        """`harm`: rule -> clean batches that it refuses."""
        named = {choice.rule for choice, _ in self.rules}
        withheld = {rule: keys for rule, keys in harm.items() if rule not in named}
        rules = [
            (replace(choice, warns=harm[choice.rule], after=()), as_warning(candidate)) if choice.rule in harm else (choice, candidate)
            for choice, candidate in self.rules
        ]
        return Proposed(rules, () if withheld else self.columns, {**self.withheld, **withheld})


def tried(case: Case, text: str, history: History, empty: Empty) -> Replay:
    """What the contract `text` would have done with the history of `case`."""
    contract, obj = case.contract(text)
    clock = FixedClock(case.batches[0].arrived_at)
    terms = Terms.of(Attached(obj.name, contract, obj))
    return replay(empty(clock), clock, Recalling(case.engine, history), terms, case.batches, case.related)


def harmless(case: Case, proposed: Proposed, history: History, labels: Labels, empty: Empty) -> tuple[Proposed, Replay]:
    """The proposals as they may be written into `case.text`, and what that text would have done."""
    plan = case.plan(proposed.candidates)
    new = {rule.id for rule in plan.rules} - {rule.id for rule in case.plan([]).rules}
    clean = {key for at, key in enumerate(history.keys) if at not in labels.bad}

    def harm(refused: Iterable[tuple[str, Iterable[str]]]) -> dict[str, Keys]:
        found: dict[str, Keys] = {}
        for key, rules in refused:
            for rule in new.intersection(rules) if key in clean else ():
                found[rule] = (*found.get(rule, ()), key)
        return found

    judged = verdicts(plan, history, labels.bad)
    proposed = proposed.without(harm((key, each.failed_rules) for key, each in zip(history.keys, judged, strict=True)))
    while True:
        found = tried(case, case.with_(proposed.candidates), history, empty)
        if not (more := harm((each.partition, each.rules) for each in found.refused())):
            return proposed, found
        proposed = proposed.without(more)
