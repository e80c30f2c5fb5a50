"""Two versions of a contract -> every change between them, and whether the version says enough of it. Pure.

The two are compared by what is judged: by the rules of their plans (compile.py), so that whatever an engine measures is compared, however
it is written. A refusing rule of the old version is kept where any refusing rule of the new one implies it (compat_rules.py). That makes
"safe for consumers" a promise: what passes under the new version would have passed under the old one.

What no rule stands for (texts, unexecuted promises, breaker policy) is compared as written. Nothing is guessed: a column that went and
one that came are two changes, with the hint that they may be a rename.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from dagster_contracts.core import options
from dagster_contracts.core.compat_kinds import KINDS, Change, Impact
from dagster_contracts.core.compat_policy import policy_changes
from dagster_contracts.core.compat_rules import Implied, asks_nothing, implies, is_range, is_whole, kin, together
from dagster_contracts.core.compat_written import columns, exceptions, levels, rest, text, texts, unread
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract, Property, SchemaObject, Severity
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.plan import BINS, Check, Closed, Drifted, Plan, Present, Rule, Stored, Within
from dagster_contracts.core.rules import expected
from dagster_contracts.core.versions import Step, step

RENAME = (
    "perhaps a rename to {name}: expand (deliver both, the old one deprecated with deprecatedUntil), migrate its readers, "
    "then contract (remove the old one, with a major version)"
)


class Mode(StrEnum):
    """Who must not be broken. BACKWARD: consumers of the old version read new data; FORWARD: the new version accepts old data."""

    BACKWARD = "backward"
    FORWARD = "forward"
    FULL = "full"
    BACKWARD_TRANSITIVE = "backward_transitive"
    FORWARD_TRANSITIVE = "forward_transitive"
    FULL_TRANSITIVE = "full_transitive"

    @property
    def transitive(self) -> bool:
        return self.value.endswith("_transitive")

    def impact(self, change: Change) -> Impact:
        match self.value.removesuffix("_transitive"):
            case "backward":
                return change.consumer
            case "forward":
                return change.producer
        return max(change.consumer, change.producer)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from one version to another. `problems` say what is wrong with the new version number; empty: nothing is."""

    old: Contract
    new: Contract
    mode: Mode
    changes: tuple[Change, ...]
    step: Step
    needed: Step
    problems: tuple[str, ...]


def compare(old: Contract, new: Contract, mode: Mode = Mode.BACKWARD) -> Comparison:
    """Raises UsageError where the two are of different contracts, ContractError where a version is no MAJOR.MINOR.PATCH."""
    if old.id != new.id:
        raise UsageError(
            f'{old.source} is of contract "{old.id}" and {new.source} of "{new.id}"; only versions of one contract are compared: '
            "give both the same id"
        )
    changes = tuple(
        dict.fromkeys(
            chain(
                _objects(old, new),
                levels(old, new),
                policy_changes(old.policy, new.policy),
                exceptions(old, new),
                texts(old, new),
                rest(old, new),
            )
        )
    )
    taken = step(old.version, new.version)
    needed = _needed(changes, mode, old.content_hash != new.content_hash)
    return Comparison(old, new, mode, changes, taken, needed, tuple(_problems(old, new, taken, needed)))


def _needed(changes: Sequence[Change], mode: Mode, written: bool) -> Step:
    worst = max((mode.impact(change) for change in changes), default=None)
    if worst is None:
        return Step.PATCH if written else Step.NONE
    return {Impact.SAFE: Step.PATCH, Impact.RISKY: Step.MINOR, Impact.BREAKING: Step.MAJOR}[worst]


def _problems(old: Contract, new: Contract, taken: Step, needed: Step) -> Iterator[str]:
    if taken is Step.BACKWARDS:
        yield f"the version goes backwards, from {old.version} to {new.version}; give it a later one"
    elif taken is Step.NONE and needed > Step.NONE:
        yield f"the content has changed and the version {new.version} has not; a version is never changed: raise it ({needed.word})"
    elif taken < needed:
        told = {Step.MAJOR: "a breaking change needs a major version", Step.MINOR: "a risky change needs at least a minor version"}
        yield f"{told.get(needed, 'a change needs a later version')}; {old.version} to {new.version} is a {taken.word} one"


# --- objects -------------------------------------------------------------------------------------------------------


def _objects(old: Contract, new: Contract) -> Iterator[Change]:
    before, after = ({obj.name: obj for obj in contract.objects} for contract in (old, new))
    for name in before.keys() - after.keys():
        yield Change(KINDS["object.removed"], name, "there")
    for name in after.keys() - before.keys():
        yield Change(KINDS["object.added"], name, None, "there")
    readers = _readers(old, new)
    for name in before:
        if name in after:
            plans = compile_plan(old, before[name]), compile_plan(new, after[name])
            yield from _Pair(before[name], after[name], *plans, readers, *map(_refusing, plans)).changes()


_Refusing = Mapping[tuple[object, ...], Sequence[Check]]


def _refusing(plan: Plan) -> _Refusing:
    """The checks that refuse a batch, by what another one must share with them to imply them."""
    found: dict[tuple[object, ...], list[Check]] = {}
    ranges: dict[str | None, list[Within]] = {}
    refusing = [rule for rule in plan.rules if rule.severity.refuses]
    for rule in refusing:
        found.setdefault(kin(rule.check), []).append(rule.check)
        if is_range(rule.check):
            ranges.setdefault(rule.column, []).append(rule.check)
    whole = {rule.column for rule in refusing if is_whole(rule.check)}
    for column, checks in ranges.items():
        found[kin(checks[0])].append(together(checks, column in whole))
    return found


def _kept(rule: Rule | None, refusing: _Refusing, same: Rule | None) -> Implied:
    """Whether what passes a plan with these refusing checks keeps `rule`; `same` is the rule of that plan that has its id."""
    if rule is None or not rule.severity.refuses or asks_nothing(rule.check):
        return Implied.YES
    if any(implies(check, rule.check) is Implied.YES for check in refusing.get(kin(rule.check), ())):
        return Implied.YES
    return implies(same.check, rule.check) if same is not None and same.severity.refuses else Implied.NO


@dataclass(frozen=True, slots=True)
class _Pair:
    """One object in both versions."""

    old: SchemaObject
    new: SchemaObject
    old_plan: Plan
    new_plan: Plan
    readers: Mapping[str, tuple[str, ...]]  # of columns, as either version says
    old_refusing: _Refusing
    new_refusing: _Refusing

    def changes(self) -> Iterator[Change]:
        before, after = columns(self.old), columns(self.new)
        gone, come = _outermost(before.keys() - after.keys()), _outermost(after.keys() - before.keys())
        for path in sorted(gone):
            likely = [name for name in sorted(come) if _alike(before[path], after[name]) and _parent(name) == _parent(path)]
            hint = RENAME.format(name=" or ".join(likely)) if likely else None
            hints = "; ".join(part for part in (_read_by(self.readers.get(path, ())), hint) if part) or None
            yield Change(KINDS["property.removed"], self._at(path), before[path].logical_type or "there", None, hints)
        awaited = {name for prop in self.new.properties for name in prop.replaced_by}
        for path in sorted(come):
            kind = KINDS["property.introduced" if path in awaited else "property.added"]
            yield Change(kind, self._at(path), None, after[path].logical_type or "there")
        kept = [(path, before[path], after[path]) for path in before if path in after]
        for path, one, other in kept:
            yield from self._property(path, one, other)
        deprecation = {f"{path}.{end}" for path, a, b in kept if a.deprecated != b.deprecated for end in ("present", "deprecated")}
        told = (*gone, *come)
        ruled = list(self._rules(told, deprecation))
        yield from ruled
        yield from self._written(kept, {change.place for change in ruled})
        yield from self._object()

    def _at(self, path: str) -> str:
        return f"{self.old.name}.{path}"

    def _property(self, path: str, old: Property, new: Property) -> Iterator[Change]:
        if old.deprecated != new.deprecated:
            last = f"deprecated until {new.deprecated_until}" if new.deprecated_until else "deprecated"
            kind = KINDS["property.deprecated" if new.deprecated else "property.restored"]
            hint = _read_by(self.readers.get(path, ()))
            yield (
                Change(kind, self._at(path), "there", last, hint) if new.deprecated else Change(kind, self._at(path), "deprecated", "there")
            )
        elif old.deprecated_until != new.deprecated_until:
            yield Change(KINDS["property.deprecatedUntil"], self._at(path), text(old.deprecated_until), text(new.deprecated_until))
        if old.deprecated and old.replaced_by != new.replaced_by:
            before, after = (", ".join(prop.replaced_by) or None for prop in (old, new))
            yield Change(KINDS["property.replacedBy"], self._at(path), before, after)
        for name in ("classification", "computed"):
            if (before := getattr(old, name)) != (after := getattr(new, name)):
                yield Change(KINDS[f"property.{name}"], f"{self._at(path)}", text(before), text(after))
        for name in ("description", "tags"):
            if (before := getattr(old, name)) != (after := getattr(new, name)):
                yield Change(KINDS["text.changed"], f"{self._at(path)}.{name}", text(before), text(after))

    # --- rules

    def _rules(self, told: Sequence[str], deprecation: set[str]) -> Iterator[Change]:
        before, after = ({rule.id: rule for rule in plan.rules} for plan in (self.old_plan, self.new_plan))
        for name in dict.fromkeys((*before, *after)):
            old, new = before.get(name), after.get(name)
            if old == new or name in deprecation or ((old is None or new is None) and _within_any(name, (old or new), told)):
                continue
            yield from self._rule(name, old, new)
        yield from self._unjudged(told, deprecation)

    def _rule(self, name: str, old: Rule | None, new: Rule | None) -> Iterator[Change]:
        place = f"{self.old.name}.{name}"
        was, now = (f"{asked(rule)} ({rule.severity.value})" if rule else None for rule in (old, new))
        if not any(rule is not None and rule.severity.refuses for rule in (old, new)):
            if was != now or (old and new and old.check != new.check):
                yield Change(KINDS["warning.changed"], place, was, now)
            return
        kept = _kept(old, self.new_refusing, new)
        accepted = _kept(new, self.old_refusing, old)
        kind = _JUDGED[kept, accepted]
        if kind == "rule.rewritten" and old and new and old.severity != new.severity:
            kind = "severity.lowered" if _ORDER.index(new.severity) > _ORDER.index(old.severity) else "severity.raised"
        if kind == "rule.rewritten" and old and new and old.check == new.check:
            if old.description != new.description:
                yield Change(KINDS["text.changed"], f"{place}.description", old.description, new.description)
            return
        yield Change(KINDS[kind], place, was, now)

    def _unjudged(self, told: Sequence[str], deprecation: set[str]) -> Iterator[Change]:
        before, after = ({item.rule: item for item in plan.not_executed} for plan in (self.old_plan, self.new_plan))
        for name in dict.fromkeys((*before, *after)):
            old, new = before.get(name), after.get(name)
            if old != new and name not in deprecation and not ((old is None or new is None) and _below(name, told)):
                yield Change(KINDS["unjudged.changed"], f"{self.old.name}.{name}", old.reason if old else None, new.reason if new else None)

    # --- as written

    def _written(self, kept: Sequence[tuple[str, Property, Property]], ruled: set[str]) -> Iterator[Change]:
        for path, old, new in kept:
            for option in sorted({*old.options, *new.options}):
                before, after = (prop.options.get(option) if _asks(prop, option) else None for prop in (old, new))
                place = f"{self._at(path)}.{option}"
                judged = {place, f"{self._at(path)}.type"} & ruled or any(other.startswith(f"{place}.") for other in ruled)
                if before != after and not judged:
                    yield Change(KINDS["property.option"], place, text(before), text(after))
            yield from unread(self._at(path), old.quality, new.quality)
        yield from unread(self.old.name, self.old.quality, self.new.quality)

    def _object(self) -> Iterator[Change]:
        if self.old.asset != self.new.asset:
            yield Change(KINDS["object.moved"], f"{self.old.name}.dagsterAsset", self.old.asset, self.new.asset)
        for name, word in (("physical_name", "physicalName"), ("physical_type", "physicalType"), ("profiles", "profiles")):
            if (before := getattr(self.old, name)) != (after := getattr(self.new, name)):
                yield Change(KINDS["object.stored"], f"{self.old.name}.{word}", text(before), text(after))
        if self.old.description != self.new.description:
            yield Change(KINDS["text.changed"], f"{self.old.name}.description", self.old.description, self.new.description)


_JUDGED = {
    (Implied.YES, Implied.YES): "rule.rewritten",
    (Implied.YES, Implied.NO): "rule.tightened",
    (Implied.YES, Implied.UNKNOWN): "rule.mayTighten",
    (Implied.NO, Implied.YES): "rule.loosened",
    (Implied.NO, Implied.NO): "rule.moved",
    (Implied.NO, Implied.UNKNOWN): "rule.partlyLoosened",
    (Implied.UNKNOWN, Implied.YES): "rule.mayLoosen",
    (Implied.UNKNOWN, Implied.NO): "rule.partlyTightened",
    (Implied.UNKNOWN, Implied.UNKNOWN): "rule.incomparable",
}
_ORDER = tuple(Severity)  # the gravest first


def _asks(prop: Property, option: str) -> bool:
    return option in prop.options and not options.asks_nothing(prop, option)


def _read_by(readers: Sequence[str]) -> str | None:
    return f"still read by {', '.join(readers)}" if readers else None


def _readers(old: Contract, new: Contract) -> dict[str, tuple[str, ...]]:
    """By column, the consumers that say they read it: as the new version says, and as the old one did of those that it has lost, or that
    read what the new one does not have."""
    there = {prop.name for obj in new.objects for prop in obj.properties}
    late = {name for name, columns in new.policy.reads.items() if not there.issuperset(columns)}
    before = {name: columns for name, columns in old.policy.reads.items() if name in late or name not in new.policy.consumers}
    reads = {name: (*new.policy.reads.get(name, ()), *before.get(name, ())) for name in dict.fromkeys((*before, *new.policy.reads))}
    columns = dict.fromkeys(column for names in reads.values() for column in names)
    return {column: tuple(name for name, names in reads.items() if column in names) for column in columns}


def asked(rule: Rule) -> str:
    """What a rule asks for, in the words of findings, and with what two versions of it may differ in beside."""
    match rule.check:
        case Present():
            return "the column is there"
        case Closed(columns=columns):
            return f"no column beyond {', '.join(columns)}"
        case Stored(physical_type=kind):
            return kind
        case Drifted(bins=bins, samples=samples):
            cut = "" if bins == BINS else f", in {bins:,} bins"
            return expected(rule) + cut + ("" if samples == 1 else f", which holds at least {samples:,} values")
    return expected(rule)


# --- paths ---------------------------------------------------------------------------------------------------------


def _outermost(paths: set[str]) -> list[str]:
    return [path for path in paths if not _below(path, [other for other in paths if other != path])]


def _below(path: str, parents: Sequence[str]) -> bool:
    return any(path == parent or path.startswith((f"{parent}.", f"{parent}[", f"{parent}{{")) for parent in parents)


def _within_any(name: str, rule: Rule | None, told: Sequence[str]) -> bool:
    """Whether a rule speaks of a property that came or went alone, so that this is told already."""
    return rule is not None and rule.column is not None and _below(rule.column, told) and _below(name, told)


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _alike(one: Property, other: Property) -> bool:
    return one.logical_type == other.logical_type
