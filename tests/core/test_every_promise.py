"""Every promise of a document is a rule of its plan, or is listed with the reason: counted on the document itself, not on what was read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.errors import ContractInvalid
from dagster_contracts.core.judge import judge
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.plan import Plan
from dagster_contracts.core.rules import expected
from dagster_contracts.core.verdict import Column, Count, Measurement
from tests.shared_cases import CASES, needs_cases

CLOCKED = ("date", "timestamp", "time")


def promised(obj: dict[str, Any]) -> Iterator[str]:
    """The id of every promise of an object, as docs/reference/contract.md has it, without the number of a second one."""
    properties = obj.get("properties") or []
    for prop in properties:
        yield from of_property(prop, prop.get("physicalName") or prop["name"])
    yield from ("relationship" for _ in obj.get("relationships") or [])
    yield from (quality_id(rule, "") for rule in obj.get("quality") or [])
    yield "rowCount"
    keys = [prop.get("physicalName") or prop["name"] for prop in properties if prop.get("primaryKey")]
    yield from [f"{keys[0]}.primaryKey"] if len(keys) == 1 else ["primaryKey"] if keys else []


def of_property(prop: dict[str, Any], name: str, nested: bool = False, part: bool = False) -> Iterator[str]:
    computed = prop.get("semanticType") in ("measure", "dimension") and not prop.get("physicalName") and not nested
    if not part:
        yield f"{name}.{'deprecated' if prop.get('deprecated') and not computed else 'present'}"
    keys = {"logicalType": "type", "required": "required", "primaryKey": "required", "unique": "unique", "enum": "enum"}
    yield from (f"{name}.{rule}" for key, rule in {**keys, "physicalType": "physicalType"}.items() if prop.get(key))
    if nested and prop.get("primaryKey"):
        yield f"{name}.primaryKey"
    yield from (f"{name}.{option}" for option in of_options(prop))
    yield from (f"{name}.relationship" for _ in prop.get("relationships") or [])
    yield from (quality_id(rule, f"{name}.") for rule in prop.get("quality") or [])
    for child in prop.get("properties") or []:
        yield from of_property(child, f"{name}.{child.get('physicalName') or child['name']}", nested=True)
    parts = (("[]", prop.get("items")), ("{keys}", prop.get("map", {}).get("key")), ("{values}", prop.get("map", {}).get("value")))
    for step, inner in parts:
        if inner:
            yield from of_property(inner, f"{name}{step}", nested=True, part=True)


def of_options(prop: dict[str, Any]) -> Iterator[str]:
    """The options that ask for something of their own: not those that the type rule judges, or that only sharpen another one."""
    for option, value in (prop.get("logicalTypeOptions") or {}).items():
        if option == "required":
            columns = {inner["name"]: inner.get("physicalName") or inner["name"] for inner in prop.get("properties") or []}
            yield from (f"required.{columns.get(field, field)}" for field in value)
        elif option not in ("elementType", "defaultTimezone") and not isinstance(value, bool):
            if not (option == "format" and prop.get("logicalType") in CLOCKED):
                yield option
        elif value is True and option in ("uniqueItems", "normalized", "timezone"):
            yield option


def quality_id(rule: dict[str, Any], prefix: str) -> str:
    former = {"duplicateCount": "duplicateValues", "validValues": "invalidValues"}
    if rule.get("name"):
        return str(rule["name"])
    metric = rule.get("metric") or former.get(rule.get("rule", ""), rule.get("rule"))
    kind = rule.get("type") or ("library" if metric else "sql" if "query" in rule else "custom" if "implementation" in rule else "text")
    return prefix + str(metric or kind)


def assert_kept(plan: Plan, obj: dict[str, Any]) -> None:
    ids = [rule.id for rule in plan.rules] + [entry.rule for entry in plan.not_executed]
    assert len(ids) == len(set(ids))
    known = {*ids, *(re.sub(r"-\d+$", "", name) for name in ids)}
    assert set(promised(obj)) - known == set()
    assert all(entry.reason for entry in plan.not_executed)
    assert all(expected(rule) for rule in plan.rules)  # every rule says what it wants, in words


# --- contracts of others ---------------------------------------------------------------------------------------------


@needs_cases
def test_contracts_of_others() -> None:
    judged = 0
    for path in sorted((CASES / "odcs" / "contracts").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        try:
            contract = parse(text)
        except ContractInvalid:
            continue
        raw = yaml.load(text, Loader=yaml.BaseLoader)
        for obj, written in zip(contract.objects, raw.get("schema") or [], strict=True):
            assert_kept(compile_plan(contract, obj), truths(written))
            judged += 1
    assert judged > 60


def truths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: truths(inner) for key, inner in value.items()}
    return [truths(inner) for inner in value] if isinstance(value, list) else {"true": True, "false": False}.get(value, value)


# --- generated contracts ---------------------------------------------------------------------------------------------

BOUNDS = st.sampled_from([{}, {"minimum": 1}, {"maximum": 9, "exclusiveMinimum": 0}, {"multipleOf": 0.5}])
OPTIONS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "string": st.sampled_from(
        [{}, {"minLength": 1, "maxLength": 5}, {"pattern": "^a"}, {"format": "email"}, {"format": "password"}, {"format": "x"}]
    ),
    "integer": BOUNDS | st.just({"format": "u128"}),
    "number": BOUNDS | st.just({"format": "f64"}),
    "boolean": st.just({}),
    "date": st.sampled_from([{}, {"format": "dd.MM.yyyy", "minimum": "01.01.2020"}, {"format": "YYYY", "maximum": "2020-01-01"}]),
    "timestamp": st.sampled_from([{}, {"timezone": True, "defaultTimezone": "Asia/Tokyo", "minimum": "2020-01-01"}]),
    "time": st.sampled_from([{}, {"minimum": "08:00", "exclusiveMaximum": "20:00"}, {"timezone": False}]),
    "object": st.sampled_from([{}, {"minProperties": 1, "required": ["a", "b"]}]),
    "array": st.sampled_from([{}, {"minItems": 1, "maxItems": 2, "uniqueItems": True}, {"uniqueItems": False}]),
    "map": st.just({}),
    "vector": st.sampled_from(
        [{"dimensions": 2}, {"dimensions": 8, "elementType": "binary"}, {"dimensions": 3, "elementType": "uint8", "normalized": True}]
    ),
}
GX = {"type": "custom", "engine": "gx", "implementation": {"type": "expect_column_to_exist"}}
RULES = [
    {"type": "text", "description": "be good"},
    {"metric": "nullValues", "mustBeLessThan": 5, "unit": "percent"},
    {"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": [1], "pattern": "x"}},
    {"metric": "missingValues", "mustBe": 0, "arguments": {"missingValues": ["", None]}},
    {"metric": "duplicateValues", "mustNotBeBetween": [1, 2], "name": "twins"},
    {"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["c0"]}},
    {"metric": "rowCount", "mustBeBetween": [1, 2], "unit": "MB"},
    {"type": "sql", "query": "select {column} from {object}", "mustBe": 0},
    {"type": "sql", "query": "select 1", "mustBe": "text", "name": "twins"},
    {"type": "custom", "engine": "soda", "implementation": "checks"},
    GX,
]
TARGETS = ["feed.c0", "feed.c1", "other.x", "schema/feed/properties/c0", "o.yaml#/schema/a/properties/b"]


@st.composite
def properties(draw: st.DrawFn, name: str, depth: int = 0) -> dict[str, Any]:
    kind = draw(st.sampled_from(list(OPTIONS)))
    found: dict[str, Any] = {"name": name, "logicalType": kind}
    if options := draw(OPTIONS[kind]):
        found["logicalTypeOptions"] = options
    flags = draw(st.sets(st.sampled_from(["required", "unique", "primaryKey", "deprecated"]), max_size=2))
    found |= dict.fromkeys(flags, True)
    extra = {
        "physicalName": f"{name}_p",
        "physicalType": "VARCHAR(3)",
        "enum": [{"value": 1}],
        "semanticType": "measure",
        "relationships": [{"to": draw(st.sampled_from(TARGETS))}],
        "quality": draw(st.lists(st.sampled_from(RULES), min_size=1, max_size=2)),
    }
    found |= {key: extra[key] for key in draw(st.sets(st.sampled_from(list(extra)), max_size=2))}
    if kind == "object":
        found["properties"] = [draw(properties(field, depth + 1)) for field in ("a", "b")] if depth < 2 else []
    if kind == "array" and depth < 2:
        found["items"] = draw(properties("item", depth + 1))
    if kind == "map":
        found["map"] = {"key": {"logicalType": "string"}, "value": draw(properties("value", 2))}
    return found


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    columns = [draw(properties(name)) for name in ("c0", "c1")]
    obj = {"name": "feed", "properties": columns, "quality": draw(st.lists(st.sampled_from(RULES[:7] + RULES[8:]), max_size=2))}
    head = {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "x", "version": "1.0.0", "status": "active"}
    return {**head, "schema": [obj]}


@given(documents())
@settings(max_examples=75, deadline=None)
def test_generated_contracts(document: dict[str, Any]) -> None:
    contract = parse(json.dumps(document))
    plan = compile_plan(contract, contract.objects[0])
    assert_kept(plan, document["schema"][0])
    assert compile_plan(contract, contract.objects[0]) == plan


@given(documents(), st.sets(st.sampled_from(["c0", "c0_p", "c1", "c1_p", "more"])))
@settings(max_examples=100, deadline=None)
def test_every_rule_is_judged_or_listed_whatever_columns_come(document: dict[str, Any], columns: set[str]) -> None:
    contract = parse(json.dumps(document))
    plan = compile_plan(contract, contract.objects[0])
    counts = {metric: Count(0) for metric in plan.metrics if set(metric.columns) <= columns}
    measurement = Measurement(3, tuple(Column(name, "String") for name in sorted(columns)), counts)
    verdict = judge(plan, measurement, {}, as_of=datetime(2026, 1, 1, tzinfo=UTC), head=True)
    told = [finding.rule for finding in verdict.findings] + [entry.rule for entry in verdict.not_executed]
    assert sorted(told) == sorted([rule.id for rule in plan.rules] + [entry.rule for entry in plan.not_executed])


def test_the_count_notices_a_promise_that_is_dropped() -> None:
    written = {"name": "feed", "properties": [{"name": "c", "logicalType": "string", "unique": True}]}
    head = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": "x", "version": "1.0.0", "status": "active"}
    contract = parse(json.dumps({**head, "schema": [{"name": "feed", "properties": [{"name": "c", "logicalType": "string"}]}]}))
    with pytest.raises(AssertionError, match=r"c\.unique"):
        assert_kept(compile_plan(contract, contract.objects[0]), written)
