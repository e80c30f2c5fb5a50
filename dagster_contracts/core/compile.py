"""Contract -> Plan: every promise of one schema object becomes a Rule, or a NotExecuted with the reason. Pure.

Read `draft` (severities, and how a promise is written down), `properties` (of a column, and of what is within it), `options` and `quality`
(what is measured for each), `service_levels`; this module puts them together, and adds what an object promises as a whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from dagster_contracts.core.contract import Clause, Contract, Enforcement, Operator, Property, SchemaObject, Severity
from dagster_contracts.core.draft import Draft
from dagster_contracts.core.metrics import Duplicates, RowCount
from dagster_contracts.core.plan import Closed, Gone, NotExecuted, Plan, Rule, Threshold, Within
from dagster_contracts.core.properties import column_promises, quality_promises, relationship_promises
from dagster_contracts.core.service_levels import promises
from dagster_contracts.core.waivers import enforced

_Promise = TypeVar("_Promise", Rule, NotExecuted)


def compile_plan(contract: Contract, obj: SchemaObject, environment: str | None = None) -> Plan:
    """Everything `contract` promises of `obj`, with the severities that count in an environment. Never raises for a parsed contract; what
    cannot be executed is listed."""
    draft = Draft()
    for prop in obj.properties:
        column_promises(draft, prop, obj)
    _object(draft, obj)
    for level in contract.service_levels:
        for promise in promises(level, contract, obj):
            draft.add(promise)
    how = contract.environments.get(environment or "", Enforcement.BLOCK)
    return Plan(
        contract_id=contract.id,
        contract_version=contract.version,
        object_name=obj.name,
        rules=tuple(_counting(_read_by(rule, contract), how) for rule in draft.rules),
        not_executed=tuple(_counting(item, how) for item in draft.not_executed),
        masked=frozenset(prop.name for prop in obj.properties if _classified(prop)),
        samples=contract.samples,
        waivers=tuple(waiver for waiver in contract.waivers if waiver.object in (None, obj.name)),
        files=(obj.physical_type or "").strip().lower() == "files",
    )


def _counting(promise: _Promise, how: Enforcement) -> _Promise:
    """With the severity that counts."""
    severity = enforced(promise.severity, how)
    return promise if severity is promise.severity else replace(promise, severity=severity)


def _read_by(rule: Rule, contract: Contract) -> Rule:
    """A deprecated column with those who still read it."""
    if not isinstance(rule.check, Gone):
        return rule
    return replace(rule, check=replace(rule.check, readers=contract.policy.readers(rule.check.column)))


def _classified(prop: Property) -> bool:
    """Whether a value of this column, or anything within it, is not for everybody."""
    return (prop.classification or "public").strip().lower() != "public" or any(map(_classified, prop.within))


# --- one object ----------------------------------------------------------------------------------------------------


def _object(draft: Draft, obj: SchemaObject) -> None:
    if obj.closed:
        draft.rule("closedSchema", Clause.SCHEMA, Severity.CRITICAL, Closed(tuple(p.name for p in obj.properties)), None)
    key = sorted((p for p in obj.properties if p.primary_key), key=lambda p: p.primary_key_position)
    if key:
        names = tuple(p.name for p in key)
        check = Within(Duplicates(names, tuple(p.name for p in key if p.numeric)))
        name = f"{names[0]}.primaryKey" if len(key) == 1 else "primaryKey"
        draft.rule(name, Clause.UNIQUENESS, Severity.ERROR, check, ", ".join(names))
    relationship_promises(draft, obj.relationships, "")
    for quality in obj.quality:
        quality_promises(draft, quality, obj, None)
    if not any(isinstance(rule.check, Within) and isinstance(rule.check.metric, RowCount) for rule in draft.rules):
        check = Within(RowCount(), Threshold(Operator.GREATER_THAN, 0))
        draft.rule("rowCount", Clause.VOLUME, Severity.ERROR, check, None, "a batch of 0 rows fails unless a rowCount rule allows it")
