"""Nested, deprecated and computed properties; relationships; quality within a column."""

from __future__ import annotations

from datetime import date, datetime, timezone

import pytest

from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Clause, Contract, Operator, Property, QualityRule, SchemaObject, Severity
from dagster_contracts.core.judge import judge
from dagster_contracts.core.metrics import (
    Absent,
    ColumnType,
    Duplicates,
    Expectation,
    LengthOutside,
    Missing,
    Nested,
    NotIn,
    NotMatching,
    Nulls,
    Orphans,
    OutOfRange,
    Query,
    SizeOutside,
    TypeBreaches,
)
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.plan import Expected, Gone, NotExecuted, Plan, Present, Rule, Stored, Threshold, Within
from dagster_contracts.core.verdict import Column, Count, Measurement, Outcome

HEAD = "{apiVersion: v3.2.0, kind: DataContract, id: x, version: 1.0.0, status: active, schema: "
UTC = timezone.utc  # noqa: UP017


def plan_of(*properties: Property, quality: tuple[QualityRule, ...] = ()) -> Plan:
    obj = SchemaObject("feed", properties=properties, quality=quality)
    return compile_plan(Contract("id", "1.0.0", "v3.2.0", "active", (obj,)), obj)


def read(schema: str, index: int = 0) -> Plan:
    parsed = parse(HEAD + schema + "}")
    return compile_plan(parsed, parsed.objects[index])


def rules(plan: Plan, *starts: str) -> dict[str, object]:
    return {found.id: found.check for found in plan.rules if found.id.startswith(starts)}


def missed(plan: Plan) -> dict[str, NotExecuted]:
    return {found.rule: found for found in plan.not_executed}


# --- nested ----------------------------------------------------------------------------------------------------------


def test_fields_of_an_object() -> None:
    street = Property("street", "string", required=True, unique=True, enum=("A",), options={"minLength": 2})
    plan = plan_of(Property("address", "object", properties=(street,)))
    assert rules(plan, "address") == {
        "address.present": Present("address"),
        "address.type": Within(TypeBreaches("address", "object")),
        "address.street.present": Within(Absent("address", "street")),
        "address.street.type": Within(Nested("address", ("street",), TypeBreaches("address.street", "string"))),
        "address.street.required": Within(Nested("address", ("street",), Nulls("address.street"))),
        "address.street.unique": Within(Nested("address", ("street",), Duplicates(("address.street",)))),
        "address.street.enum": Within(Nested("address", ("street",), NotIn("address.street", ("A",)))),
        "address.street.minLength": Within(Nested("address", ("street",), LengthOutside("address.street", minimum=2))),
    }
    assert plan.not_executed == ()
    severities = {found.id: (found.clause, found.severity, found.column) for found in plan.rules}
    assert severities["address.street.present"] == (Clause.SCHEMA, Severity.CRITICAL, "address.street")
    assert severities["address.street.enum"] == (Clause.SEMANTICS, Severity.CRITICAL, "address.street")


def test_objects_in_arrays_in_objects() -> None:
    sku = Property("sku", "string", options={"pattern": "^S"})
    items = Property("items", "array", items=Property("", "object", properties=(sku,)), options={"minItems": 1})
    plan = plan_of(Property("order", "object", properties=(items,)))
    path = ("items", "[]")
    assert rules(plan, "order.items") == {
        "order.items.present": Within(Absent("order", "items")),
        "order.items.type": Within(Nested("order", ("items",), TypeBreaches("order.items", "array"))),
        "order.items.minItems": Within(Nested("order", ("items",), SizeOutside("order.items", 1))),
        "order.items[].type": Within(Nested("order", path, TypeBreaches("order.items[]", "object"))),
        "order.items[].sku.present": Within(Nested("order", path, Absent("order.items[]", "sku"))),
        "order.items[].sku.type": Within(Nested("order", (*path, "sku"), TypeBreaches("order.items[].sku", "string"))),
        "order.items[].sku.pattern": Within(Nested("order", (*path, "sku"), NotMatching("order.items[].sku", "^S"))),
    }


def test_keys_and_values_of_a_map() -> None:
    plan = read(
        """[{name: feed, properties: [{name: prices, logicalType: map, map: {
            key: {logicalType: string, logicalTypeOptions: {minLength: 3}}, value: {logicalType: number, required: true}}}]}]"""
    )
    assert rules(plan, "prices{") == {
        "prices{keys}.type": Within(Nested("prices", ("{keys}",), TypeBreaches("prices{keys}", "string"))),
        "prices{keys}.minLength": Within(Nested("prices", ("{keys}",), LengthOutside("prices{keys}", 3))),
        "prices{values}.type": Within(Nested("prices", ("{values}",), TypeBreaches("prices{values}", "number"))),
        "prices{values}.required": Within(Nested("prices", ("{values}",), Nulls("prices{values}"))),
    }
    assert plan.not_executed == ()


def test_fields_are_called_as_the_data_calls_them() -> None:
    plan = read(
        """[{name: feed, properties: [{name: address, logicalType: object, logicalTypeOptions: {required: [street]},
            properties: [{name: street, physicalName: STR, logicalType: string}]}]}]"""
    )
    assert rules(plan, "address.required", "address.STR.present") == {
        "address.STR.present": Within(Absent("address", "STR")),
        "address.required.STR": Within(Absent("address", "STR")),
    }


def quality(kind: str, metric: str | None = None, **rest: object) -> QualityRule:
    rest.setdefault("operators", ((Operator.MUST_BE, 0),))
    return QualityRule(kind, metric, **rest)  # type: ignore[arg-type]


def test_quality_of_what_is_nested() -> None:
    several = (
        quality("library", "missingValues", arguments={"missingValues": [""]}),
        quality("library", "nullValues", unit="percent", name="share"),
        quality("library", "rowCount", name="rows"),
        quality("library", "duplicateValues", arguments={"properties": ["a", "b"]}, name="together"),
        quality("custom", engine="gx", implementation={"type": "expect_column_values_to_be_unique"}, name="gx"),
        quality("sql", query="select count(*) from {table} where ${column} is null", name="query"),
        quality("text", name="prose"),
    )
    listed = Property("tags", "array", items=Property("", "string", quality=several))
    plan = plan_of(listed)
    metric = Nested("tags", ("[]",), Missing("tags[]", ("",)))
    assert rules(plan, "tags[].m", "share", "rows", "together", "gx", "query") == {"tags[].missingValues": Within(metric)}
    assert {name: entry.reason.split(",")[0] for name, entry in missed(plan).items()} == {
        "share": "a percentage of rows says nothing of values of which a row has several; use unit rows",
        "rows": "rows are of the whole object",
        "together": "columns that are unique together belong to the object",
        "gx": "is judged of columns",
        "query": "the query has the placeholder ${column}",
        "prose": "text rules are for people",
    }


def test_a_field_of_a_struct_has_a_share_of_rows_and_a_name_in_sql() -> None:
    several = (
        quality("library", "nullValues", unit="percent"),
        quality("sql", query="select count(*) from {object} where {property} < 0", name="negative"),
    )
    plan = plan_of(Property("Sum", "object", properties=(Property("net", "number", quality=several),)))
    assert rules(plan, "Sum.net.nullValues", "negative") == {
        "Sum.net.nullValues": Within(Nested("Sum", ("net",), Nulls("Sum.net")), Threshold(Operator.MUST_BE, 0, percent=True)),
        "negative": Within(Query('select count(*) from feed where "Sum".net < 0', "feed", (("Sum", ColumnType("object")),))),
    }


def test_keys_and_physical_types_within_a_column_are_listed() -> None:
    plan = plan_of(Property("a", "object", properties=(Property("id", "integer", "INT", primary_key=True, deprecated=True),)))
    assert rules(plan, "a.id") == {
        "a.id.type": Within(Nested("a", ("id",), TypeBreaches("a.id", "integer"))),
        "a.id.required": Within(Nested("a", ("id",), Nulls("a.id"))),
    }
    assert {name: entry.severity for name, entry in missed(plan).items()} == {
        "a.id.deprecated": Severity.INFO,
        "a.id.primaryKey": Severity.ERROR,
        "a.id.physicalType": Severity.INFO,
    }


# --- columns that may not be there -----------------------------------------------------------------------------------


def test_physical_types_are_compared_by_the_source() -> None:
    stored = next(found for found in plan_of(Property("c", physical_type="VARCHAR(10)")).rules if found.id == "c.physicalType")
    assert (stored.check, stored.clause, stored.severity) == (Stored("c", "VARCHAR(10)"), Clause.SCHEMA, Severity.ERROR)


DEPRECATED = """[{name: feed, properties: [{name: a, logicalType: integer}, {name: old, logicalType: integer, deprecated: true,
    required: true, physicalType: INT, customProperties: [{property: deprecatedUntil, value: "2026-06-30"}],
    quality: [{type: sql, query: "select min({column}) from {object}", mustBeGreaterThan: 0}]}]}]"""


def test_a_deprecated_column_may_go() -> None:
    plan = read(DEPRECATED)
    gone = next(found for found in plan.rules if found.id == "old.deprecated")
    assert gone == Rule("old.deprecated", Clause.SCHEMA, Severity.WARNING, Gone("old", date(2026, 6, 30)), "old")
    assert "old.present" not in rules(plan, "old")
    verdict = judge(plan, measured(plan, "a"), {}, as_of=datetime(2027, 1, 1, tzinfo=UTC), head=True)
    assert verdict.outcome is Outcome.PASS
    left_out = {entry.rule: entry for entry in verdict.not_executed}
    assert set(left_out) == {"old.type", "old.required", "old.physicalType", "old.sql"}
    assert {entry.severity for entry in left_out.values()} == {Severity.INFO}
    assert left_out["old.required"].reason == "column old is deprecated, and has gone"


@pytest.mark.parametrize(("day", "outcome"), [(30, Outcome.PASS), (31, Outcome.WARN)])
def test_a_deprecated_column_is_told_after_its_date(day: int, outcome: Outcome) -> None:
    plan = read(DEPRECATED.replace("2026-06-30", "2026-07-30"))
    verdict = judge(plan, measured(plan, "a", "old"), {}, as_of=datetime(2026, 7, day, tzinfo=UTC), head=True)
    told = next(finding for finding in verdict.findings if finding.rule == "old.deprecated")
    assert told.outcome is outcome
    assert told.expected == "no column old after 2026-07-30"
    assert "old.required" in {finding.rule for finding in verdict.findings}


def test_a_deprecated_column_that_is_classified_stays_masked_and_known() -> None:
    plan = plan_of(Property("a", classification="secret"), Property("b", deprecated=True))
    verdict = judge(plan, measured(plan, "a", "b", "c"), {}, as_of=datetime(2026, 1, 1, tzinfo=UTC), head=True)
    assert verdict.outcome is Outcome.PASS
    assert plan.masked == {"a"}


def measured(plan: Plan, *columns: str) -> Measurement:
    """Whatever is measured of columns that are there breaks nothing."""
    counts = {metric: Count(1 if isinstance(metric, Query) else 0) for metric in plan.metrics if set(metric.columns) <= set(columns)}
    return Measurement(5, tuple(Column(name, "int64") for name in columns), counts)


@pytest.mark.parametrize("kind", ["measure", "dimension"])
def test_computed_properties_are_listed(kind: str) -> None:
    plan = read(
        f"""[{{name: feed, properties: [{{name: revenue, logicalType: number, semanticType: {kind}, required: true,
            quality: [{{metric: nullValues, mustBe: 0, severity: warning}}, {{type: text, description: x}}]}}]}}]"""
    )
    assert [found.id for found in plan.rules] == ["rowCount"]
    assert {name: entry.severity for name, entry in missed(plan).items()} == {
        "revenue.present": Severity.INFO,
        "revenue.type": Severity.INFO,
        "revenue.required": Severity.ERROR,
        "revenue.nullValues": Severity.WARNING,
        "revenue.text": Severity.INFO,
    }


def test_a_measure_with_a_physical_name_is_a_column() -> None:
    plan = read("[{name: feed, properties: [{name: revenue, physicalName: rev, logicalType: number, semanticType: measure}]}]")
    assert rules(plan, "rev") == {"rev.present": Present("rev"), "rev.type": Within(TypeBreaches("rev", "number"))}


# --- relationships ---------------------------------------------------------------------------------------------------

TABLES = """[
  {name: orders, id: orders_tbl, properties: [
     {name: customer, logicalType: integer, relationships: [{to: RELATED}]}, {name: country, physicalName: ctry, logicalType: string},
     {name: parent, logicalType: object, properties: [{name: id, logicalType: integer}]}]},
  {name: customers, id: cust_tbl, properties: [
     {name: id, id: cust_id, physicalName: customer_id, logicalType: integer}, {name: country, logicalType: string},
     {name: tree, logicalType: object, properties: [{name: id, logicalType: integer}]}]}]"""


@pytest.mark.parametrize(
    "reference", ["customers.id", "schema/cust_tbl/properties/cust_id", "/schema/cust_tbl/properties/cust_id", "customers.customer_id"]
)
def test_a_foreign_key_is_looked_up_in_the_other_object(reference: str) -> None:
    plan = read(TABLES.replace("RELATED", reference))
    found = next(rule for rule in plan.rules if rule.id == "customer.relationship")
    assert found.check == Within(Orphans(("customer",), "customers", ("customer_id",), ("customer",)))
    assert (found.clause, found.severity, found.column) == (Clause.VALIDITY, Severity.ERROR, "customer")


def test_a_composite_foreign_key_of_an_object() -> None:
    key = "relationships: [{from: [orders.customer, orders.country], to: [customers.id, customers.country]}]"
    plan = read(TABLES.replace("id: orders_tbl", f"id: orders_tbl, {key}").replace("RELATED", "orders.customer"))
    assert rules(plan, "relationship", "customer.relationship") == {
        "relationship": Within(Orphans(("customer", "ctry"), "customers", ("customer_id", "country"), ("customer",))),
        "customer.relationship": Within(Orphans(("customer",), "orders", ("customer",), ("customer",))),
    }


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("https://x.org/other.yaml#/schema/cust_tbl/properties/cust_id", "another contract's"),
        ("custmers.id", 'this contract has no object custmers, did you mean "customers"?'),
        ("receivers.id", "this contract has no object receivers"),
        ("customers.tree.id", "keys within a column"),
    ],
)
def test_relationships_that_cannot_be_looked_up_say_why(reference: str, reason: str) -> None:
    entry = missed(read(TABLES.replace("RELATED", reference)))["customer.relationship"]
    assert reason in entry.reason
    assert (entry.severity, entry.clause) == (Severity.ERROR, Clause.VALIDITY)


# --- sql and expectations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("obj", "query", "filled", "table"),
    [
        ({}, "SELECT max(${property}) FROM ${object}", "SELECT max(c) FROM feed", "feed"),
        ({}, "SELECT max({column}) FROM {table}", "SELECT max(c) FROM feed", "feed"),
        ({}, 'SELECT max("{field}") FROM `{model}`', "SELECT max(c) FROM feed", "feed"),
        ({}, "SELECT '{column}', {'a': 1} FROM ${SCHEMA}", "SELECT 'c', {'a': 1} FROM feed", "feed"),
        ({"physical_name": "db.public.Feed_1"}, "SELECT 1 FROM {object}", 'SELECT 1 FROM "Feed_1"', "Feed_1"),
        ({"physical_name": "feed_1"}, "SELECT 1 FROM feed_1", "SELECT 1 FROM feed_1", "feed_1"),
        ({"physical_name": "feed_1"}, "SELECT 1 FROM Feed", "SELECT 1 FROM Feed", "feed"),
        ({"physical_name": "order"}, "SELECT 1 FROM {object}", 'SELECT 1 FROM "order"', "order"),
        ({"physical_name": 'a "b"'}, "SELECT 1 FROM {object}", 'SELECT 1 FROM "a ""b"""', 'a "b"'),
    ],
)
def test_placeholders(obj: dict[str, str], query: str, filled: str, table: str) -> None:
    owner = SchemaObject("feed", properties=(Property("c", "integer", quality=(quality("sql", query=query),)),), **obj)  # type: ignore[arg-type]
    plan = compile_plan(Contract("id", "1.0.0", "v3.2.0", "active", (owner,)), owner)
    found = next(rule for rule in plan.rules if rule.id == "c.sql")
    assert found.check == Within(Query(filled, table, (("c", ColumnType("integer")),)))
    assert (found.clause, found.column) == (Clause.CUSTOM, "c")


def test_the_operators_of_a_query_are_rules_and_its_unit_is_its_own() -> None:
    operators = ((Operator.GREATER_THAN, 1), (Operator.BETWEEN, (2, 3)), (Operator.MUST_BE, True))
    plan = plan_of(quality=(quality("sql", query="select 1", operators=operators, unit="percent", name="q"),))
    assert [check.threshold for check in rules(plan, "q").values()] == [  # type: ignore[attr-defined]
        Threshold(Operator.GREATER_THAN, 1),
        Threshold(Operator.BETWEEN, (2, 3)),
        Threshold(Operator.MUST_BE, 1),
    ]


def test_a_query_of_the_object_has_no_column() -> None:
    entry = missed(plan_of(quality=(quality("sql", query="select {column}", name="q"),)))["q"]
    assert "there is no column here" in entry.reason


@pytest.mark.parametrize("engine", ["greatExpectations", "great-expectations", "great_expectations", "Great Expectations", "gx"])
@pytest.mark.parametrize(
    ("implementation", "kind", "arguments"),
    [
        (
            {"type": "ExpectColumnValuesToBeBetween", "kwargs": {"minValue": 1}, "meta": {}},
            "expect_column_values_to_be_between",
            {"column": "c", "min_value": 1},
        ),
        (
            {"expectation_type": "expect_column_values_to_not_be_null", "kwargs": {"column": "d", "mostly": 0.9}},
            "expect_column_values_to_not_be_null",
            {"column": "d", "mostly": 0.9},
        ),
        (
            {"type": "expect_column_pair_values_to_be_equal", "kwargs": {"column_A": "c", "column_B": "d"}},
            "expect_column_pair_values_to_be_equal",
            {"column_A": "c", "column_B": "d"},
        ),
        ({"type": "expect_table_row_count_to_equal", "kwargs": {"value": 3}}, "expect_table_row_count_to_equal", {"value": 3}),
        ({"type": "expect_column_to_exist"}, "expect_column_to_exist", {"column": "c"}),
    ],
)
def test_expectations(engine: str, implementation: dict[str, object], kind: str, arguments: dict[str, object]) -> None:
    import json

    plan = plan_of(Property("c", "integer", quality=(quality("custom", engine=engine, implementation=implementation, name="e"),)))
    found = next(rule for rule in plan.rules if rule.id == "e")
    text = json.dumps(arguments, sort_keys=True, separators=(",", ":"))
    assert found.check == Expected(Expectation(kind, text, (("c", ColumnType("integer")),)))
    assert (found.clause, found.column, found.severity) == (Clause.CUSTOM, "c", Severity.ERROR)


def test_an_implementation_may_be_text() -> None:
    text = "type: expect_column_values_to_be_in_set\\nkwargs: {value_set: [A, B]}"
    rule = f'{{type: custom, engine: gx, implementation: "{text}"}}'
    plan = read(f"[{{name: feed, properties: [{{name: c, logicalType: string, quality: [{rule}]}}]}}]")
    metric = Expectation("expect_column_values_to_be_in_set", '{"column":"c","value_set":["A","B"]}', (("c", ColumnType("string")),))
    assert rules(plan, "c.custom") == {"c.custom": Expected(metric)}


def test_every_integer_format_is_a_range() -> None:
    column = Property("c", "integer", options={"format": "i16"})
    assert rules(plan_of(column), "c.format") == {"c.format": Within(OutOfRange("c", -32768, 32767))}
