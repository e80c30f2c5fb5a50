"""ODCS documents: what is read, and what is said of what cannot be."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import timedelta
from textwrap import dedent, indent

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.core import odcs
from dagster_contracts.core.conformance import Schema
from dagster_contracts.core.contract import BreakerPolicy, Confidence, Contact, Contract, Fallback, Operator, Property, Severity, Window
from dagster_contracts.core.document import MAX_ALIASED_NODES, MAX_DEPTH, read
from dagster_contracts.core.errors import ContractError, ContractInvalid, ContractSyntaxError, Problem
from dagster_contracts.core.odcs import remarks
from dagster_contracts.core.standard import NEWEST, VERSIONS, schema
from tests.shared_cases import CASES, needs_cases

HEAD = "apiVersion: v3.1.0\nkind: DataContract\nid: feed\nversion: 1.0.0\nstatus: active\n"
FULL = (
    HEAD
    + """\
name: Vendor feed
domain: lending
description: {purpose: Risk of customers}
tags: [vendor, daily]
team:
  name: risk-data
  members:
  - {username: ada, role: steward}
  - {username: bob, role: Owner}
customProperties:
- {property: samples, value: false}
- property: circuitBreaker
  value:
    fallback: low_confidence
    maxStaleness: P3D
    tripOn: [critical, error]
    window: {duration: PT6H, failureRateThreshold: 0.5, minimumBatches: 4}
    cooldown: PT1H
    backoff: {multiplier: 1.5, maximum: PT8H}
    halfOpen: {probes: 2, lease: PT5M, sample: {rows: 500}}
    scope: vendor
    onInconclusive: admit
    onStoreUnavailable: admit
    heal: ask
    consumers: [{asset: fraud_scores, fallback: halt}]
slaProperties:
- {property: freshness, value: 24, unit: h, element: feed.updated_at}
schema:
- name: feed
  physicalName: feed_v1
  customProperties:
  - {property: dagsterAsset, value: vendor/feed}
  - {property: closedSchema, value: true}
  properties:
  - name: customer
    physicalName: customer_id
    logicalType: string
    required: true
    unique: true
    primaryKey: true
    primaryKeyPosition: 1
    logicalTypeOptions: {pattern: '^C[0-9]+$', maxLength: 12}
    classification: confidential
  - name: balance
    logicalType: number
    logicalTypeOptions: {minimum: 0}
    quality:
    - {metric: nullValues, mustBeLessThan: 5, unit: percent, severity: warning}
  - name: address
    logicalType: object
    properties:
    - {name: city, logicalType: string}
  - name: marks
    logicalType: array
    items: {logicalType: integer}
  quality:
  - {type: library, metric: rowCount, mustBeBetween: [1, 100]}
  - {metric: duplicateValues, mustBe: 0, arguments: {properties: [customer, balance]}}
  - {type: sql, query: SELECT 1, mustBe: 1}
"""
)


def contract(text: str) -> Contract:
    return odcs.parse(text)


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ContractInvalid) as caught:
        odcs.parse(text, source="feed.yaml")
    return caught.value.problems


def with_schema(properties: str, extra: str = "") -> str:
    return HEAD + "schema:\n- name: feed\n" + indent(extra, "  ") + "  properties:\n" + indent(dedent(properties), "  ")


def refusal(text: str) -> ContractError | None:
    """What the text is refused with; anything but a ContractError fails the test."""
    try:
        odcs.parse(text)
    except ContractError as refused:
        return refused
    return None


# --- what is read --------------------------------------------------------------------------------------------------


def test_a_full_contract_is_read() -> None:
    found = contract(FULL)
    assert (found.id, found.version, found.api_version, found.status) == ("feed", "1.0.0", "v3.1.0", "active")
    assert (found.name, found.domain, found.description, found.owner) == ("Vendor feed", "lending", "Risk of customers", "bob")
    assert found.tags == ("vendor", "daily")
    assert not found.samples
    assert found.notes == ()
    assert len(found.content_hash) == 64
    [level] = found.service_levels
    assert (level.property, level.value, level.unit, level.element, level.path) == (
        "freshness",
        24,
        "h",
        "feed.updated_at",
        "slaProperties[0]",
    )
    [obj] = found.objects
    assert (obj.name, obj.physical_name, obj.asset, obj.closed, obj.path) == ("feed", "feed_v1", "vendor/feed", True, "schema[0]")
    customer, balance, address, marks = obj.properties
    assert customer == Property(
        name="customer_id",
        logical_type="string",
        options={"pattern": "^C[0-9]+$", "maxLength": 12},
        required=True,
        unique=True,
        primary_key=True,
        primary_key_position=1,
        classification="confidential",
        path="schema[0].properties[0]",
    )
    assert (balance.quality[0].operators, balance.quality[0].unit, balance.quality[0].severity) == (
        ((Operator.LESS_THAN, 5),),
        "percent",
        "warning",
    )
    assert address.properties[0].path == "schema[0].properties[2].properties[0]"
    assert marks.items is not None
    assert marks.items.logical_type == "integer"


def test_rules_are_read_with_their_type_operators_and_column_names() -> None:
    rows, pairs, query = contract(FULL).objects[0].quality
    assert (rows.type, rows.metric, rows.operators, rows.path) == (
        "library",
        "rowCount",
        ((Operator.BETWEEN, (1, 100)),),
        "schema[0].quality[0]",
    )
    assert pairs.type == "library"
    assert pairs.arguments == {"properties": ["customer_id", "balance"]}  # the column, not the ODCS name
    assert (query.type, query.query, query.operators) == ("sql", "SELECT 1", ((Operator.MUST_BE, 1),))


def test_the_policy_is_read() -> None:
    found = contract(FULL).policy
    assert found == BreakerPolicy(
        fallback=Fallback.LOW_CONFIDENCE,
        max_staleness=timedelta(days=3),
        trip_on=frozenset({Severity.CRITICAL, Severity.ERROR}),
        failure_rate_threshold=0.5,
        minimum_batches=4,
        window=Window(batches=None, duration=timedelta(hours=6)),
        cooldown=timedelta(hours=1),
        backoff_multiplier=1.5,
        backoff_maximum=timedelta(hours=8),
        probes=2,
        lease=timedelta(minutes=5),
        sample_rows=500,
        scope="vendor",
        admit_inconclusive=True,
        admit_when_unavailable=True,
        heal=False,
        consumers={"fraud_scores": Fallback.HALT},
        contact=Contact(owner="bob", team="risk-data"),
    )
    assert found.accepts("fraud_scores") is Confidence.FULL


@pytest.mark.parametrize(
    ("team", "owner"),
    [
        ("team: [{username: ada, role: owner}]", "ada"),
        ("team: {name: risk}", "risk"),
        ("team: {name: risk, members: [{username: eve, role: owner}]}", "eve"),
        ("customProperties: [{property: owner, value: desk}]", "desk"),
        ("team: [{username: ada}]", None),
    ],
)
def test_owner(team: str, owner: str | None) -> None:
    assert contract(HEAD + team).owner == owner


def test_enum_of_3_2() -> None:
    text = with_schema("- {name: a, enum: [{value: HIGH}, {value: 2, label: two}, {value: null}], logicalType: string}\n").replace(
        "v3.1.0", "v3.2.0"
    )
    assert contract(text).objects[0].properties[0].enum == ("HIGH", 2)


def test_former_spelling_of_rules() -> None:
    text = HEAD.replace("v3.1.0", "v3.0.2") + dedent("""\
        schema:
        - name: feed
          properties:
          - name: unit
            quality:
            - {rule: duplicateCount, mustBe: 0}
            - {rule: validValues, validValues: [kg, lb]}
          quality:
          - {rule: rowCount, mustBeGreaterThan: 10}
        """)
    obj = contract(text).objects[0]
    duplicates, valid = obj.properties[0].quality
    assert (duplicates.type, duplicates.metric) == ("library", "duplicateValues")
    assert (valid.metric, valid.operators, valid.arguments) == ("invalidValues", ((Operator.MUST_BE, 0),), {"validValues": ["kg", "lb"]})
    assert obj.quality[0].metric == "rowCount"


def test_a_description_alone_is_a_text_rule() -> None:
    assert (
        contract(with_schema("- {name: a, quality: [{description: checked by hand}]}\n")).objects[0].properties[0].quality[0].type == "text"
    )


def test_dates_and_times_stay_text() -> None:
    options = (
        contract(with_schema("- {name: d, logicalType: date, logicalTypeOptions: {minimum: 2020-01-01}}\n"))
        .objects[0]
        .properties[0]
        .options
    )
    assert options == {"minimum": "2020-01-01"}
    assert read("a: 12:30:00").value == {"a": "12:30:00"}


def test_json_is_read_with_its_escapes() -> None:
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "feed",
        "version": "1",
        "status": "a",
        "name": "x \U0001f600 \\ud83d/",
    }
    for text in (json.dumps(document), json.dumps(document, indent="\t"), "\ufeff" + json.dumps(document, ensure_ascii=False)):
        assert contract(text).name == document["name"]


def test_anchors_and_merge_keys_are_read() -> None:
    text = with_schema("- &base {name: a, logicalType: string, required: true}\n- {<<: *base, name: b}\n")
    a, b = contract(text).objects[0].properties
    assert (b.name, b.logical_type, b.required) == ("b", a.logical_type, a.required)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (HEAD, "no schema object"),
        (HEAD + "schema: []", "no schema object"),
        (with_schema("- {name: t, logicalType: timestamp}\n").replace("v3.1.0", "v3.0.0"), "declares v3.0.0, but is valid only as v3.1.0"),
        (with_schema("- {name: m}\n"), 'not as v3.2.0: schema[0].properties[0]: the key "logicalType" is missing'),
        (
            with_schema("- {name: a, quality: [{metric: invalidValues, mustBe: 0, arguments: {validValues: [yes, no]}}]}\n"),
            'YAML reads no as false; quote it ("no")',
        ),
    ],
)
def test_notes(text: str, note: str) -> None:
    found = [*contract(text).notes, *remarks(text)]
    assert any(note in each for each in found), found


# --- what cannot be read -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "empty"),
        ("# nothing\n", 1, "empty"),
        ("a: [1, 2\nb: 3\n", 2, "not readable as YAML"),
        ("a: 1\n b: 2\n", 2, "not readable as YAML"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, 'tag "tag:yaml.org,2002:python/object/apply:os.system" is not allowed'),
        ("a: !secret x\n", 1, 'tag "!secret" is not allowed'),
        ("a: !!set {x: null}\n", 1, "is not allowed"),
        ("a: 1\nb: x\0y\n", 2, "U+0000"),
        ("a: \ud800\n", 1, "U+D800"),
        ("a: 1\n---\nb: 2\n", 2, "second YAML document"),
        ("a: *nowhere\n", 1, '"*nowhere" names no anchor'),
        ("a: &a [*a]\n", 1, "inside its own anchor"),
        ("? [a]\n: 1\n", 1, "expected a key that is text"),
        ("a: " + "9" * 5000, 1, "is not a number that can be read"),
        ("a: 1\n<<: 5\n", 2, "merges mappings only"),
        ("a: " + "[" * 100_000, 1, f"nested deeper than {MAX_DEPTH}"),
        ("- " * 5000 + "x", 1, f"nested deeper than {MAX_DEPTH}"),
    ],
    ids=lambda value: str(value)[:30].encode("unicode_escape").decode(),
)
def test_unreadable_text(text: str, line: int, said: str) -> None:
    with pytest.raises(ContractSyntaxError) as caught:
        odcs.parse(text, source="feed.yaml")
    assert caught.value.line == line
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"feed.yaml:{line}:")


def test_aliases_cannot_blow_up() -> None:
    laughs = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)
    )
    with pytest.raises(ContractSyntaxError, match=f"aliases expand to more than {MAX_ALIASED_NODES}"):
        odcs.parse(laughs)


def test_merge_keys_cannot_blow_up() -> None:
    merged = "a0: &a0 {x: 1, y: 2}\n" + "".join(
        f"a{level}: &a{level} {{p: *a{level - 1}, q: *a{level - 1}, r: {{<<: *a{level - 1}}}}}\n" for level in range(1, 30)
    )
    with pytest.raises(ContractSyntaxError, match="aliases expand"):
        odcs.parse(merged)


def _nested_arrays(levels: int) -> dict[str, object]:
    prop: dict[str, object] = {"name": "x", "logicalType": "string"}
    for _ in range(levels):
        prop = {"name": "x", "logicalType": "array", "items": {"logicalType": "object", "properties": [prop]}}
    return yaml.safe_load(HEAD) | {"schema": [{"name": "feed", "properties": [prop]}]}


def test_nested_arrays_take_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    work = 0
    resolve = Schema.resolve

    def counted(self: Schema, ref: str) -> object:
        nonlocal work
        work += 1
        return resolve(self, ref)

    monkeypatch.setattr(Schema, "resolve", counted)
    counts = []
    for levels in (6, 12):
        work = 0
        assert schema("v3.1.0").breaches(_nested_arrays(levels)) == []
        counts.append(work)
    assert counts[1] < 3 * counts[0]  # jsonschema: 20 s for four levels


# --- what is wrong -------------------------------------------------------------------------------------------------

Q = "- name: a\n  quality:\n  - "

WRONG = {
    # the standard
    "unknown key": (HEAD + "schem: []\n", 6, "schem", 'unknown key "schem", did you mean "schema"?'),
    "unknown column key": (with_schema("- name: a\n  requird: true\n"), 10, "schema[0].properties[0].requird", 'did you mean "required"?'),
    "missing key": (HEAD.replace("version: 1.0.0\n", ""), 1, "", 'the key "version" is missing'),
    "enum": (
        with_schema("- {name: a, logicalType: sting}\n"),
        9,
        "schema[0].properties[0].logicalType",
        'did you mean "string"? allowed: string, date',
    ),
    "type": (with_schema("- {name: a, required: yep}\n"), 9, "schema[0].properties[0].required", 'expected true or false, found "yep"'),
    "empty value": (with_schema("- name: a\n  description:\n"), 10, "schema[0].properties[0].description", "expected text, found nothing"),
    "either": (HEAD + "team: 5\n", 6, "team", "expected a mapping or a list, found 5"),
    "inside either": (HEAD + "team: [{usernam: ada}]\n", 6, "team[0].usernam", 'did you mean "username"?'),
    "other server's key": (HEAD + "servers: [{server: s, type: kafka, host: h, topic: t}]\n", 6, "servers[0].topic", 'unknown key "topic"'),
    "options of the type": (
        with_schema("- {name: a, logicalType: string, logicalTypeOptions: {maxLen: 3}}\n"),
        9,
        "schema[0].properties[0].logicalTypeOptions.maxLen",
        'did you mean "maxLength"?',
    ),
    "two operators": (
        with_schema(Q + "{metric: nullValues, mustBe: 0, mustBeLessThan: 3}\n"),
        11,
        "schema[0].properties[0].quality[0]",
        "only one of",
    ),
    "old version": (HEAD.replace("v3.1.0", "v2.2.2"), 1, "apiVersion", '"v2.2.2" is not a supported version'),
    "unknown version": (HEAD.replace("v3.1.0", "3.1.0"), 1, "apiVersion", 'did you mean "v3.1.0"? supported: v3.0.0, v3.0.1'),
    "no version": (HEAD.replace("apiVersion: v3.1.0\n", ""), 1, "", 'the key "apiVersion" is missing'),
    "no mapping": ("- a\n- b\n", 1, "", "expected an ODCS document (a mapping with apiVersion, kind, id), found a list"),
    "duplicate key": (HEAD + "id: other\n", 3, "id", 'the key "id" stands twice, on lines 3 and 6'),
    # quality rules
    "no operator": (
        with_schema(Q + "{type: library, metric: nullValues}\n"),
        11,
        "schema[0].properties[0].quality[0]",
        "no operator; give it one of mustBe,",
    ),
    "operator misspelt": (
        with_schema(Q + "{metric: nullValues, mustBeLesThan: 3}\n"),
        11,
        "schema[0].properties[0].quality[0].mustBeLesThan",
        'did you mean "mustBeLessThan"?',
    ),
    "operator misspelt in 3.0": (
        with_schema(Q + "{rule: rowCount, mustBeLesThan: 3}\n").replace("v3.1.0", "v3.0.2"),
        11,
        "schema[0].properties[0].quality[0]",
        '("mustBeLesThan", did you mean "mustBeLessThan"?)',
    ),
    "operator of text": (
        with_schema(Q + "{metric: nullValues, mustBe: few}\n"),
        11,
        "schema[0].properties[0].quality[0].mustBe",
        "expected a number",
    ),
    "between unordered": (
        with_schema(Q + "{metric: nullValues, mustBeBetween: [9, 3]}\n"),
        11,
        "schema[0].properties[0].quality[0].mustBeBetween",
        "the smaller number comes first; found 9 before 3",
    ),
    "between of one": (
        with_schema(Q + "{metric: nullValues, mustBeBetween: [9]}\n"),
        11,
        "schema[0].properties[0].quality[0].mustBeBetween",
        "two numbers",
    ),
    "between of text": (
        with_schema(Q + "{metric: nullValues, mustBeBetween: [a, 9]}\n"),
        11,
        "schema[0].properties[0].quality[0].mustBeBetween",
        'found ["a", 9]',
    ),
    "broken pattern": (
        with_schema(Q + "{metric: invalidValues, mustBe: 0, arguments: {pattern: '[a-'}}\n"),
        11,
        "schema[0].properties[0].quality[0].arguments.pattern",
        "is not a regular expression",
    ),
    "values not a list": (
        with_schema(Q + "{metric: invalidValues, mustBe: 0, arguments: {validValues: kg}}\n"),
        11,
        "schema[0].properties[0].quality[0].arguments.validValues",
        'expected a list of values, found "kg"',
    ),
    "values nested": (
        with_schema(Q + "{metric: invalidValues, mustBe: 0, arguments: {validValues: [kg, [lb]]}}\n"),
        11,
        "schema[0].properties[0].quality[0].arguments.validValues[1]",
        "found a list",
    ),
    # columns
    "column twice": (
        with_schema("- name: a\n- name: b\n- name: a\n"),
        11,
        "schema[0].properties[2]",
        'the property "a" stands twice, on lines 9 and 11',
    ),
    "physical name twice": (with_schema("- name: a\n- {name: b, physicalName: a}\n"), 10, "schema[0].properties[1]", "on lines 9 and 10"),
    "nested column twice": (
        with_schema("- name: o\n  logicalType: object\n  properties:\n  - name: a\n  - name: a\n"),
        13,
        "schema[0].properties[0].properties[1]",
        "on lines 12 and 13",
    ),
    "object twice": (HEAD + "schema:\n- name: a\n- name: a\n", 8, "schema[1]", 'the schema object "a" stands twice, on lines 7 and 8'),
    "bounds crossed": (
        with_schema("- {name: a, logicalType: number, logicalTypeOptions: {minimum: 5, maximum: 2}}\n"),
        9,
        "schema[0].properties[0].logicalTypeOptions.minimum",
        "minimum 5 and maximum 2 leave no value",
    ),
    "bounds touch": (
        with_schema("- {name: a, logicalType: number, logicalTypeOptions: {exclusiveMinimum: 5, maximum: 5}}\n"),
        9,
        "schema[0].properties[0].logicalTypeOptions.exclusiveMinimum",
        "leave no value",
    ),
    "dates crossed": (
        with_schema("- {name: a, logicalType: date, logicalTypeOptions: {minimum: 2021-01-01, maximum: 2020-01-01}}\n"),
        9,
        "schema[0].properties[0].logicalTypeOptions.minimum",
        "leave no value",
    ),
    "lengths crossed": (
        with_schema("- {name: a, logicalType: string, logicalTypeOptions: {minLength: 5, maxLength: 2}}\n"),
        9,
        "schema[0].properties[0].logicalTypeOptions.minLength",
        "minLength 5 is above maxLength 2",
    ),
    # custom properties of ours
    "near miss": (
        HEAD + "customProperties:\n- {property: circuitbreaker, value: {}}\n",
        7,
        "customProperties[0].property",
        'did you mean "circuitBreaker"?',
    ),
    "near miss of an object": (
        HEAD + "schema:\n- name: feed\n  customProperties: [{property: dagsterAset, value: a}]\n",
        8,
        "schema[0].customProperties[0].property",
        'did you mean "dagsterAsset"?',
    ),
    "wrong level": (
        HEAD + "customProperties: [{property: closedSchema, value: true}]\n",
        6,
        "customProperties[0].property",
        "read from a schema object only",
    ),
    "samples": (
        HEAD + "customProperties: [{property: samples, value: 'no'}]\n",
        6,
        "customProperties[0].value",
        'expected true or false, found "no"',
    ),
    "asset": (
        HEAD + "schema:\n- name: feed\n  customProperties: [{property: dagsterAsset, value: [vendor, feed]}]\n",
        8,
        "schema[0].customProperties[0].value",
        'expected an asset key such as "vendor/feed", found a list',
    ),
    "policy twice": (
        HEAD + "customProperties:\n- {property: circuitBreaker, value: {}}\n- {property: circuitBreaker, value: {}}\n",
        8,
        "customProperties[1]",
        "stands twice, also at customProperties[0]",
    ),
    # rules that could not be executed as they are written
    "argument misspelt": (
        with_schema(Q + "{metric: invalidValues, mustBe: 0, arguments: {validValue: [1]}}\n"),
        11,
        "schema[0].properties[0].quality[0].arguments.validValue",
        'invalidValues knows no argument "validValue", did you mean "validValues"?',
    ),
    "argument of another metric": (
        with_schema(Q + "{metric: nullValues, mustBe: 0, arguments: {properties: [a]}}\n"),
        11,
        "schema[0].properties[0].quality[0].arguments.properties",
        "it takes none",
    ),
    "unknown column of a key": (
        HEAD + "schema:\n- name: feed\n  properties: [{name: alpha}, {name: beta, physicalName: b}]\n  quality:\n"
        "  - {metric: duplicateValues, mustBe: 0, arguments: {properties: [alpha, b, betta]}}\n",
        10,
        "schema[0].quality[0].arguments.properties[2]",
        'the object has no property "betta", did you mean "beta"?',
    ),
    "expectation without a type": (
        with_schema(Q + "{type: custom, engine: greatExpectations, implementation: {kwargs: {}}}\n"),
        11,
        "schema[0].properties[0].quality[0].implementation",
        'names no expectation: expected the key "type"',
    ),
    "expectation with an unknown key": (
        with_schema(Q + "{type: custom, engine: gx, implementation: {type: expect_x, kwarg: {}}}\n"),
        11,
        "schema[0].properties[0].quality[0].implementation.kwarg",
        'did you mean "kwargs"?',
    ),
    "expectation that is no mapping": (
        with_schema(Q + "{type: custom, engine: gx, implementation: expect_x}\n"),
        11,
        "schema[0].properties[0].quality[0].implementation",
        "no mapping of keys to values",
    ),
    "expectation that is no YAML": (
        with_schema(Q + "{type: custom, engine: gx, implementation: '{'}\n"),
        11,
        "schema[0].properties[0].quality[0].implementation",
        "cannot be read",
    ),
    "arguments of an expectation": (
        with_schema(Q + "{type: custom, engine: gx, implementation: {type: expect_x, kwargs: [1]}}\n"),
        11,
        "schema[0].properties[0].quality[0].implementation.kwargs",
        "expected a mapping of arguments, found a list",
    ),
    "bound of a date": (
        with_schema("- {name: a, logicalType: date, logicalTypeOptions: {format: dd/MM/yyyy, minimum: 31/02/2020}}\n"),
        9,
        "schema[0].properties[0].logicalTypeOptions.minimum",
        'minimum: "31/02/2020" is no date in ISO 8601 or dd/MM/yyyy',
    ),
    "bounds of dates that cross": (
        with_schema("- {name: a, logicalType: date, logicalTypeOptions: {format: dd/MM/yyyy, minimum: 01/02/2020, maximum: 02/01/2020}}\n"),
        9,
        "schema[0].properties[0].logicalTypeOptions.minimum",
        "leave no value that fits",
    ),
    "bounds of times that cross": (
        with_schema("- {name: a, logicalType: time, logicalTypeOptions: {minimum: '10:00', maximum: '09:00'}}\n"),
        9,
        "schema[0].properties[0].logicalTypeOptions.minimum",
        "leave no value that fits",
    ),
    "time zone": (
        with_schema("- {name: a, logicalType: timestamp, logicalTypeOptions: {defaultTimezone: Europe/Berln}}\n"),
        9,
        "schema[0].properties[0].logicalTypeOptions.defaultTimezone",
        'did you mean "Europe/Berlin"?',
    ),
    "options within a map": (
        with_schema(
            "- name: a\n  logicalType: map\n  map:\n    key: {logicalType: string, logicalTypeOptions: {pattern: '('}}\n    value: {}\n"
        )
        .replace("v3.1.0", "v3.2.0")
        .replace("value: {}", "value: {logicalType: string}"),
        12,
        "schema[0].properties[0].map.key.logicalTypeOptions.pattern",
        "is not a regular expression",
    ),
    "last day of a deprecated column": (
        with_schema("- {name: a, logicalType: string, customProperties: [{property: deprecatedUntil, value: soon}]}\n"),
        9,
        "schema[0].properties[0].customProperties[0].value",
        "expected the last day of the column, such as 2027-06-30",
    ),
    "deprecatedUntil misspelt": (
        with_schema("- {name: a, logicalType: string, customProperties: [{property: deprecated_until, value: '2027-06-30'}]}\n"),
        9,
        "schema[0].properties[0].customProperties[0].property",
        'did you mean "deprecatedUntil"?',
    ),
    "target of a relationship": (
        HEAD + "schema:\n- name: o\n  properties:\n  - {name: c, logicalType: string, relationships: [{to: p.idd}]}\n"
        "- {name: p, properties: [{name: id}]}\n",
        9,
        "schema[0].properties[0].relationships[0]",
        '"p.idd": p has no property "idd", did you mean "id"?',
    ),
    "source of a relationship": (
        HEAD + "schema:\n- name: o\n  relationships:\n  - {from: p.id, to: p.id}\n  properties: [{name: c}]\n"
        "- {name: p, properties: [{name: id}]}\n",
        9,
        "schema[0].relationships[0]",
        '"from" names properties of another object than o',
    ),
    "relationship to an object": (
        HEAD + "schema:\n- name: o\n  properties: [{name: c, relationships: [{to: schema/o}]}]\n",
        8,
        "schema[0].properties[0].relationships[0]",
        "names an object; name a property of it",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_problem_is_told_once_with_its_place(name: str) -> None:
    text, line, path, said = WRONG[name]
    found = problems(text)
    assert [(problem.line, problem.path) for problem in found] == [(line, path)], found
    assert said in found[0].message
    assert found[0].source == "feed.yaml"


def test_all_problems_are_told_at_once_in_order() -> None:
    text = HEAD + dedent("""\
        customProperties:
        - property: circuitBreaker
          value:
            cooldown: soon
            halfOpen:
              prob: 2
        schema:
        - name: feed
          properties:
          - {name: a, requird: true}
          - {name: a, logicalType: sting}
          quality:
          - {metric: rowCount}
        """)
    found = problems(text)
    assert [problem.line for problem in found] == [9, 11, 15, 16, 16, 18]
    told = str(ContractInvalid(found))
    assert told.startswith("6 problems found:")
    assert 'feed.yaml:11: customProperties[0].value.halfOpen.prob: unknown key "prob", did you mean "probes"?' in told


@pytest.mark.parametrize(
    "entry",
    [
        "{property: sample, value: [1, 2]}",
        "{property: sampling, value: daily}",
        "{property: dagsterGroup, value: risk}",
        "{property: breaker, value: x}",
    ],
)
def test_custom_properties_of_others_are_left_alone(entry: str) -> None:
    assert contract(HEAD + f"customProperties: [{entry}]")


# --- other people's contracts --------------------------------------------------------------------------------------


def _validity() -> list[dict[str, object]]:
    place = CASES / "odcs" / "validity.json"
    return json.loads(place.read_text()) if place.is_file() else []


@needs_cases
def test_our_verdict_on_other_contracts_is_that_of_the_published_schemas() -> None:
    cases = _validity()
    assert len(cases) == 66
    for case in cases:
        text = (CASES / "odcs" / "contracts" / str(case["contract"])).read_text()
        valid_against: dict[str, bool] = case["valid_against"]  # type: ignore[assignment]
        for version in VERSIONS[:-1]:
            assert (not schema(version).breaches(read(text).value)) == valid_against[version], (case["contract"], version)
        if valid_against.get(str(case["apiVersion"]), False) or valid_against["latest"]:
            assert odcs.parse(text, source=str(case["contract"])).id
        else:
            with pytest.raises(ContractInvalid):
                odcs.parse(text, source=str(case["contract"]))


@needs_cases
def test_our_own_contracts_parse_without_a_note() -> None:
    files = sorted((CASES / "contracts").glob("*.yaml"))
    assert len(files) == 7
    for file in files:
        parsed = odcs.parse(file.read_text(), source=str(file))
        assert parsed.objects[0].properties
        assert parsed.notes == ()


# --- invariants ----------------------------------------------------------------------------------------------------

_REFERENCE = {version: jsonschema.Draft201909Validator(dict(schema(version)._root)) for version in VERSIONS}
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.sampled_from(["", "x", "string", "array", "library", "v3.0.0", "v3.2.0", "mustBe", "PT5M", "halt", "[", "2020-01-01"]),
    st.just([]),
    st.just({}),
    st.just([{"name": "a"}, {"name": "a"}, 5]),
    st.dictionaries(st.sampled_from(["name", "value", "property", "mustBe", "metric", "asset"]), st.integers(0, 3), max_size=2),
)


def _places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))]


@st.composite
def _mutated(draw: st.DrawFn) -> dict[str, object]:
    """A valid document with one to three places replaced, removed or given another key."""
    root = json.loads(json.dumps(yaml.safe_load(FULL)))
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(_places(root)[1:]))
        owner = root
        for part in parents:
            owner = owner[part]
        action = draw(st.sampled_from(["replace", "remove", "rename", "add"]))
        if action == "replace":
            owner[last] = deepcopy(draw(_VALUES))
        elif isinstance(owner, dict) and action == "rename":
            owner[draw(st.sampled_from([last[:-1], last + "s", last.upper(), "name", "quality", "items"])) or "x"] = owner.pop(last)
        elif isinstance(owner, dict) and action == "add":
            owner[draw(st.sampled_from(["name", "mustBe", "rule", "logicalType", "enum", "x", "from", "items"]))] = deepcopy(draw(_VALUES))
        else:
            del owner[last]
    return root


@given(_mutated())
@settings(max_examples=100, deadline=None)
def test_a_mutated_document_is_read_or_refused_with_problems(root: dict[str, object]) -> None:
    text = yaml.safe_dump(root, sort_keys=False)
    found = refusal(text)
    if found is not None:
        assert isinstance(found, ContractInvalid)
        assert found.problems
        assert len(set(found.problems)) == len(found.problems)
        assert all(problem.line and 1 <= problem.line <= text.count("\n") for problem in found.problems)


@given(_mutated(), st.sampled_from(VERSIONS))
@settings(max_examples=60, deadline=None)
def test_conformance_agrees_with_jsonschema(root: dict[str, object], version: str) -> None:
    assert (not schema(version).breaches(root)) == _REFERENCE[version].is_valid(root)


@given(st.text(max_size=200) | st.text(alphabet="ab:-[]{}&*!<>|'\"\n #,?%@`~01\t", max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text_is_refused_with_a_contract_error(text: str) -> None:
    with pytest.raises(ContractError):
        odcs.parse(text)


@given(st.integers(0, len(FULL) - 1), st.integers(1, 40), st.sampled_from(["", "\0", "[", "*a", "\t", ": ", "é", "- ", "'"]))
@settings(max_examples=75, deadline=None)
def test_a_damaged_text_raises_nothing_but_contract_errors(start: int, length: int, inserted: str) -> None:
    found = refusal(FULL[:start] + inserted + FULL[start + length :])
    assert found is None or str(found)


def test_the_newest_schema_is_the_one_we_name() -> None:
    assert schema(NEWEST)._root["properties"]["apiVersion"]["enum"][0] == NEWEST
