"""Contract -> Plan: every promise of one schema object becomes a Rule, or a NotExecuted with the reason. Pure.

Severities (free text in ODCS, case does not matter):

    critical    critical, blocker, fatal
    error       error, high, major, and every word not listed here: never silently weaker
    warning     warning, warn, medium, moderate, minor
    info        info, information, informational, notice, low

Without one: presence, type, closed schema and enum are critical, and so is `invalidValues` of `validValues` that must be 0, which is
an enum by another name; every other rule is error. What speaks of no single batch (text rules, availability, retention, support)
is listed as info, so that it makes no verdict a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from dagster_contracts.core.contract import Clause, Contract, Operator, Property, QualityRule, SchemaObject, Severity
from dagster_contracts.core.metrics import Duplicates, NotIn, Nulls, RowCount, TimeText, TypeBreaches
from dagster_contracts.core.options import NotMeasurable, foreign_format, option_metrics
from dagster_contracts.core.plan import Check, Closed, NotExecuted, Plan, Present, Rule, Threshold, Within
from dagster_contracts.core.quality import CLAUSES, metrics_of, threshold_of
from dagster_contracts.core.service_levels import promises

SEVERITIES = {
    **dict.fromkeys(("critical", "blocker", "fatal"), Severity.CRITICAL),
    **dict.fromkeys(("error", "high", "major"), Severity.ERROR),
    **dict.fromkeys(("warning", "warn", "medium", "moderate", "minor"), Severity.WARNING),
    **dict.fromkeys(("info", "information", "informational", "notice", "low"), Severity.INFO),
}

_FLAT = ("string", "date", "timestamp", "time", "number", "integer", "boolean")
_NESTED = "nested types are not measured yet"


@dataclass(slots=True)
class _Draft:
    """The plan being written. Ids are made unique by a suffix, in the order of the document."""

    rules: list[Rule] = field(default_factory=list)
    not_executed: list[NotExecuted] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def rule(self, name: str, clause: Clause, severity: Severity, check: Check, column: str | None, description: str | None = None) -> None:
        self.rules.append(Rule(self._unique(name), clause, severity, check, column, description))

    def skip(self, name: str, reason: str, severity: Severity = Severity.ERROR, clause: Clause = Clause.CUSTOM) -> None:
        self.not_executed.append(NotExecuted(self._unique(name), reason, severity, clause))

    def add(self, promise: Rule | NotExecuted) -> None:
        if isinstance(promise, Rule):
            self.rules.append(replace(promise, id=self._unique(promise.id)))
        else:
            self.not_executed.append(replace(promise, rule=self._unique(promise.rule)))

    def _unique(self, name: str) -> str:
        found, number = name, 1
        while found in self.taken:
            number += 1
            found = f"{name}-{number}"
        self.taken.add(found)
        return found


def compile_plan(contract: Contract, obj: SchemaObject) -> Plan:
    """Everything `contract` promises of `obj`. Never raises for a parsed contract; what cannot be executed is listed."""
    draft = _Draft()
    for prop in obj.properties:
        _property(draft, prop)
    _object(draft, obj)
    for level in contract.service_levels:
        for promise in promises(level, contract, obj):
            draft.add(promise)
    return Plan(
        contract_id=contract.id,
        contract_version=contract.version,
        object_name=obj.name,
        rules=tuple(draft.rules),
        not_executed=tuple(draft.not_executed),
        masked=frozenset(prop.name for prop in obj.properties if _classified(prop)),
        samples=contract.samples,
    )


def _classified(prop: Property) -> bool:
    """Whether a value of this column, or anything within it, is not for everybody."""
    within = [*prop.properties, *([prop.items] if prop.items else [])]
    return (prop.classification or "public").strip().lower() != "public" or any(map(_classified, within))


def severity_of(text: str | None, default: Severity) -> tuple[Severity, str | None]:
    """The severity an ODCS text means, and a note where the word is not known."""
    if text is None or not text.strip():
        return default, None
    found = SEVERITIES.get(text.strip().lower())
    return (found, None) if found else (Severity.ERROR, f'severity "{text}" is not known: judged as error')


# --- one object ----------------------------------------------------------------------------------------------------


def _object(draft: _Draft, obj: SchemaObject) -> None:
    if obj.closed:
        draft.rule("closedSchema", Clause.SCHEMA, Severity.CRITICAL, Closed(tuple(p.name for p in obj.properties)), None)
    key = [p.name for p in sorted((p for p in obj.properties if p.primary_key), key=lambda p: p.primary_key_position)]
    if len(key) == 1:
        draft.rule(f"{key[0]}.primaryKey", Clause.UNIQUENESS, Severity.ERROR, Within(Duplicates((key[0],))), key[0])
    elif key:
        draft.rule("primaryKey", Clause.UNIQUENESS, Severity.ERROR, Within(Duplicates(tuple(key))), ", ".join(key))
    _relationships(draft, "", obj.relationships)
    for quality in obj.quality:
        _quality(draft, quality, None)
    if not any(isinstance(rule.check, Within) and isinstance(rule.check.metric, RowCount) for rule in draft.rules):
        check = Within(RowCount(), Threshold(Operator.GREATER_THAN, 0))
        draft.rule("rowCount", Clause.VOLUME, Severity.ERROR, check, None, "a batch of 0 rows fails unless a rowCount rule allows it")


def _relationships(draft: _Draft, prefix: str, targets: tuple[str, ...]) -> None:
    for target in targets:
        draft.skip(f"{prefix}relationship", f"relationship to {target}: other tables are not read yet", clause=Clause.VALIDITY)


# --- one property --------------------------------------------------------------------------------------------------


def _property(draft: _Draft, prop: Property) -> None:
    column = prop.name
    draft.rule(f"{column}.present", Clause.SCHEMA, Severity.CRITICAL, Present(column), column)
    _type(draft, prop)
    if prop.required or prop.primary_key:
        draft.rule(f"{column}.required", Clause.COMPLETENESS, Severity.ERROR, Within(Nulls(column)), column)
    if prop.unique:
        draft.rule(f"{column}.unique", Clause.UNIQUENESS, Severity.ERROR, Within(Duplicates((column,))), column)
    if prop.enum:
        draft.rule(f"{column}.enum", Clause.SEMANTICS, Severity.CRITICAL, Within(NotIn(column, prop.enum)), column)
    _options(draft, prop)
    _relationships(draft, f"{column}.", prop.relationships)
    for quality in prop.quality:
        _quality(draft, quality, column)
    for nested in _nested(prop):
        _nested_promises(draft, nested)


def _type(draft: _Draft, prop: Property) -> None:
    if prop.logical_type is None:
        return
    if prop.logical_type in _FLAT:
        form = foreign_format(prop)
        check = Within(TypeBreaches(prop.name, prop.logical_type, TimeText(form) if form else None))
        draft.rule(f"{prop.name}.type", Clause.SCHEMA, Severity.CRITICAL, check, prop.name)
    else:
        draft.skip(f"{prop.name}.type", f"type {prop.logical_type}: {_NESTED}", Severity.CRITICAL, Clause.SCHEMA)


def _nested(prop: Property) -> Iterator[Property]:
    for child in prop.properties:
        yield replace(child, name=f"{prop.name}.{child.name}")
    if prop.items is not None:
        yield replace(prop.items, name=f"{prop.name}[]")


def _nested_promises(draft: _Draft, prop: Property) -> None:
    """The same promises as of a column, each listed as not executed."""
    inner = _Draft()
    _property(inner, prop)
    for rule in inner.rules:
        draft.skip(rule.id, _NESTED, rule.severity, rule.clause)
    for missed in inner.not_executed:
        draft.add(missed)


def _options(draft: _Draft, prop: Property) -> None:
    for option, metric in option_metrics(prop):
        if isinstance(metric, str):
            draft.skip(f"{prop.name}.{option}", metric, clause=Clause.VALIDITY)
        else:
            draft.rule(f"{prop.name}.{option}", Clause.VALIDITY, Severity.ERROR, Within(metric), prop.name)


# --- quality -------------------------------------------------------------------------------------------------------


def _quality(draft: _Draft, quality: QualityRule, column: str | None) -> None:
    name = quality.name or (f"{column}." if column else "") + (quality.metric or quality.type)
    severity, note = severity_of(quality.severity, Severity.INFO if quality.type == "text" else Severity.ERROR)
    clause = CLAUSES.get(quality.metric or "", Clause.CUSTOM) if quality.type == "library" else Clause.CUSTOM
    told = (quality.description, f"dimension {quality.dimension}" if quality.dimension else None, note)
    description = "; ".join(part for part in told if part) or None
    try:
        measured = metrics_of(quality, column)
    except NotMeasurable as why:
        draft.skip(name, str(why), severity, clause)
        return
    for metric in measured:
        for operator, value in quality.operators:
            try:
                threshold = threshold_of(metric, operator, value, quality.unit)
            except NotMeasurable as why:
                draft.skip(name, str(why), severity, clause)
                continue
            listed = isinstance(metric, NotIn)
            enum = listed and not quality.severity and operator is Operator.MUST_BE and threshold.value == 0
            draft.rule(
                name,
                Clause.SEMANTICS if listed else clause,
                Severity.CRITICAL if enum else severity,
                Within(metric, threshold),
                ", ".join(metric.columns) or None,
                description,
            )
