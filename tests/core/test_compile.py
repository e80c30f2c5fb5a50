"""Contract -> Plan: each promise becomes a rule or is listed with its reason."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Clause, Contract, Operator, Property, QualityRule, SchemaObject, ServiceLevel, Severity
from dagster_contracts.core.draft import severity_of
from dagster_contracts.core.errors import ContractError
from dagster_contracts.core.formats import TEXT_PATTERNS
from dagster_contracts.core.metrics import (
    Absent,
    Duplicates,
    LengthOutside,
    Metric,
    Missing,
    Nested,
    Newest,
    NotIn,
    NotMatching,
    NotMultiple,
    Nulls,
    OutOfRange,
    Repeating,
    RowCount,
    SizeOutside,
    TimeText,
    TypeBreaches,
)
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.plan import ZERO, Check, Closed, Fresh, NotExecuted, Plan, Present, Rule, Threshold, Within
from tests.shared_cases import CASES, needs_cases


def plan_of(*properties: Property, levels: tuple[ServiceLevel, ...] = (), others: tuple[SchemaObject, ...] = (), **of_object: Any) -> Plan:
    obj = SchemaObject(name="feed", properties=properties, **of_object)
    return compile_plan(contract(obj, *others, levels=levels), obj)


def contract(*objects: SchemaObject, levels: tuple[ServiceLevel, ...] = ()) -> Contract:
    return Contract("id", "1.0.0", "v3.1.0", "active", objects, service_levels=levels)


def rule(plan: Plan, name: str) -> Rule:
    return {found.id: found for found in plan.rules}[name]


def missed(plan: Plan, name: str) -> NotExecuted:
    return {found.rule: found for found in plan.not_executed}[name]


def told(found: Rule) -> tuple[Clause, Severity, Check]:
    return found.clause, found.severity, found.check


def library(metric: str, *operators: tuple[Operator, object], **rest: Any) -> QualityRule:
    return QualityRule("library", metric, operators or ((Operator.MUST_BE, 0),), **rest)


# --- columns ---------------------------------------------------------------------------------------------------------


def test_a_column_with_everything() -> None:
    column = Property(
        "c",
        "string",
        required=True,
        unique=True,
        primary_key=True,
        enum=("A", "B"),
        options={"minLength": 1, "maxLength": 3, "pattern": "^A"},
    )
    plan = plan_of(column)
    assert {found.id: told(found) for found in plan.rules} == {
        "c.present": (Clause.SCHEMA, Severity.CRITICAL, Present("c")),
        "c.type": (Clause.SCHEMA, Severity.CRITICAL, Within(TypeBreaches("c", "string"))),
        "c.required": (Clause.COMPLETENESS, Severity.ERROR, Within(Nulls("c"))),
        "c.unique": (Clause.UNIQUENESS, Severity.ERROR, Within(Duplicates(("c",)))),
        "c.enum": (Clause.SEMANTICS, Severity.CRITICAL, Within(NotIn("c", ("A", "B")))),
        "c.minLength": (Clause.VALIDITY, Severity.ERROR, Within(LengthOutside("c", minimum=1))),
        "c.maxLength": (Clause.VALIDITY, Severity.ERROR, Within(LengthOutside("c", maximum=3))),
        "c.pattern": (Clause.VALIDITY, Severity.ERROR, Within(NotMatching("c", "^A"))),
        "c.primaryKey": (Clause.UNIQUENESS, Severity.ERROR, Within(Duplicates(("c",)))),
        "rowCount": (Clause.VOLUME, Severity.ERROR, Within(RowCount(), Threshold(Operator.GREATER_THAN, 0))),
    }
    assert plan.not_executed == ()
    assert [metric for metric in plan.metrics if isinstance(metric, Duplicates)] == [Duplicates(("c",))]
    assert all(found.column == "c" for found in plan.rules if found.id != "rowCount")


def test_keys_know_which_of_their_columns_hold_numbers() -> None:
    count = QualityRule("library", "duplicateValues", operators=((Operator.MUST_BE, 0),))
    plan = plan_of(
        Property("a", "integer", primary_key=True, unique=True, quality=(count,)),
        Property("b", "string", primary_key=True, primary_key_position=2, unique=True),
    )
    assert rule(plan, "a.unique").check == rule(plan, "a.duplicateValues").check == Within(Duplicates(("a",), ("a",)))
    assert rule(plan, "b.unique").check == Within(Duplicates(("b",)))
    assert rule(plan, "primaryKey").check == Within(Duplicates(("a", "b"), ("a",)))


def test_a_bare_column_must_exist_and_nothing_else() -> None:
    assert [found.id for found in plan_of(Property("c")).rules] == ["c.present", "rowCount"]


def test_a_composite_key_is_in_the_order_of_its_positions() -> None:
    plan = plan_of(
        Property("b", primary_key=True, primary_key_position=2), Property("x"), Property("a", primary_key=True, primary_key_position=1)
    )
    key = rule(plan, "primaryKey")
    assert (key.check, key.column) == (Within(Duplicates(("a", "b"))), "a, b")
    assert rule(plan, "a.required").check == Within(Nulls("a"))
    assert rule(plan, "b.required").check == Within(Nulls("b"))


def test_a_closed_schema() -> None:
    closed = rule(plan_of(Property("a"), Property("b"), closed=True), "closedSchema")
    assert told(closed) == (Clause.SCHEMA, Severity.CRITICAL, Closed(("a", "b")))


def test_columns_with_a_classification_other_than_public_are_masked() -> None:
    names = {"a": None, "b": "public", "c": "Public ", "d": "confidential", "e": "restricted"}
    assert plan_of(*(Property(name, classification=given) for name, given in names.items())).masked == {"d", "e"}
    nested = Property("f", "array", items=Property("", "object", properties=(Property("g", classification="secret"),)))
    assert plan_of(nested, Property("h")).masked == {"f"}


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "checks"),
    [
        ({"minimum": 1, "maximum": 2.5}, {"minimum": OutOfRange("c", 1), "maximum": OutOfRange("c", None, 2.5)}),
        (
            {"exclusiveMinimum": 0, "exclusiveMaximum": 9},
            {
                "exclusiveMinimum": OutOfRange("c", 0, exclusive_minimum=True),
                "exclusiveMaximum": OutOfRange("c", None, 9, exclusive_maximum=True),
            },
        ),
        ({"minimum": 0, "exclusiveMinimum": True}, {"minimum": OutOfRange("c", 0, exclusive_minimum=True)}),
        ({"maximum": 0, "exclusiveMaximum": False}, {"maximum": OutOfRange("c", None, 0)}),
        ({"exclusiveMaximum": True, "maximum": 3}, {"maximum": OutOfRange("c", None, 3, exclusive_maximum=True)}),
        (
            {"minimum": 0, "exclusiveMinimum": 1},
            {"minimum": OutOfRange("c", 0), "exclusiveMinimum": OutOfRange("c", 1, exclusive_minimum=True)},
        ),
    ],
)
def test_ranges_in_both_spellings(options: dict[str, object], checks: dict[str, OutOfRange]) -> None:
    plan = plan_of(Property("c", "number", options=options))
    assert {found.id[2:]: found.check for found in plan.rules[2:-1]} == {name: Within(metric) for name, metric in checks.items()}
    assert plan.not_executed == ()


@pytest.mark.parametrize(
    ("logical", "option", "value", "reason"),
    [
        ("string", "format", "iban", "not known; known are email, uuid"),
        ("integer", "multipleOf", 0, "not a number above 0"),
        ("array", "minItems", 1.5, "not a whole number"),
        ("number", "timezone", True, "says nothing"),
        ("timestamp", "timezone", "yes", "says nothing"),
        ("timestamp", "format", "YYYY-MM-dd", "the year of a week"),
        ("string", "colour", "red", "not known"),
        ("vector", "normalized", True, "not measured"),
        ("string", "pattern", "(?=x)", "look-around"),
        ("string", "pattern", 5, "not text"),
        ("string", "minLength", -1, "not a whole number"),
        ("string", "maxLength", 1.5, "not a whole number"),
        ("number", "minimum", "10", "not a number"),
        ("number", "minimum", True, "not a number"),
        ("number", "maximum", float("nan"), "not a number"),
        ("number", "maximum", 10**400, "not a number"),
        ("number", "exclusiveMinimum", True, "not a number"),
        ("date", "minimum", "soon", "ISO 8601"),
        ("date", "minimum", 20240101, "ISO 8601"),
        ("time", "minimum", "9 o'clock", "no time in ISO 8601"),
        ("array", "maximum", 3, "says nothing"),
        ("timestamp", "defaultTimezone", "Europe/Rom", 'did you mean "Europe/Rome"'),
    ],
)
def test_options_that_cannot_be_measured_say_why(logical: str, option: str, value: object, reason: str) -> None:
    entry = missed(plan_of(Property("c", logical, options={option: value})), f"c.{option}")
    assert reason in entry.reason
    assert (entry.severity, entry.clause) == (Severity.ERROR, Clause.VALIDITY)


def test_dates_have_iso_bounds() -> None:
    plan = plan_of(Property("c", "date", options={"minimum": "2020-01-01", "maximum": date(2030, 1, 1)}))
    assert rule(plan, "c.minimum").check == Within(OutOfRange("c", "2020-01-01"))
    assert rule(plan, "c.maximum").check == Within(OutOfRange("c", None, "2030-01-01"))


def test_a_date_format_is_read_by_the_type_the_bounds_and_the_age() -> None:
    column = Property("c", "date", options={"format": "dd/MM/yyyy", "minimum": "31/12/2019", "exclusiveMaximum": "2030-01-01"})
    written = TimeText("dd/MM/yyyy", r"^(?:0[1-9]|[12][0-9]|3[01])/(?:0[1-9]|1[0-2])/[0-9]{4}$", "%d/%m/%Y")
    plan = plan_of(column)
    assert rule(plan, "c.type").check == Within(TypeBreaches("c", "date", written))
    assert rule(plan, "c.minimum").check == Within(OutOfRange("c", "2019-12-31", text=written))
    assert rule(plan, "c.exclusiveMaximum").check == Within(OutOfRange("c", None, "2030-01-01", exclusive_maximum=True, text=written))
    assert plan.not_executed == ()


def test_a_format_that_cannot_be_read_takes_the_judgement_of_text_with_it() -> None:
    column = Property("c", "date", options={"format": "YYYY-MM-dd", "minimum": "2020-01-01"})
    plan = plan_of(column)
    assert rule(plan, "c.type").check == Within(TypeBreaches("c", "date", TimeText("YYYY-MM-dd")))
    assert {entry.rule for entry in plan.not_executed} == {"c.format", "c.minimum"}


def test_a_format_without_a_whole_date_is_judged_by_its_shape_alone() -> None:
    plan = plan_of(Property("c", "date", options={"format": "MM/yyyy", "minimum": "01/2020"}))
    assert rule(plan, "c.type").check == Within(TypeBreaches("c", "date", TimeText("MM/yyyy", "^(?:0[1-9]|1[0-2])/[0-9]{4}$", None)))
    assert "name no whole date" in missed(plan, "c.minimum").reason


def test_zones() -> None:
    options = {"timezone": False, "defaultTimezone": "Europe/Rome", "minimum": "2020-07-01T00:00", "maximum": "2021-01-01T00:00Z"}
    plan = plan_of(Property("c", "timestamp", options=options))
    rome = TimeText(zone="Europe/Rome")
    assert rule(plan, "c.type").check == Within(TypeBreaches("c", "timestamp", rome))  # whose clocks leap over some times
    assert told(rule(plan, "c.timezone")) == (Clause.VALIDITY, Severity.ERROR, Within(TypeBreaches("c", "timestamp", zoned=False)))
    assert rule(plan, "c.minimum").check == Within(OutOfRange("c", "2020-07-01T00:00:00+02:00", text=rome))
    assert rule(plan, "c.maximum").check == Within(OutOfRange("c", None, "2021-01-01T00:00Z", text=rome))
    assert plan.not_executed == ()


def test_times_have_bounds() -> None:
    plan = plan_of(Property("c", "time", options={"minimum": "09:00", "maximum": "5:30 PM", "format": "h:mm a"}))
    assert [found.check.metric.minimum for found in plan.rules if found.id == "c.minimum"] == ["09:00"]  # type: ignore[union-attr]
    assert [found.check.metric.maximum for found in plan.rules if found.id == "c.maximum"] == ["17:30:00"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("logical", "options", "checks"),
    [
        (
            "string",
            {"format": "hostname"},
            {"format": NotMatching("c", TEXT_PATTERNS["hostname"], "hostname"), "format.length": LengthOutside("c", None, 253)},
        ),
        ("string", {"format": "UUID"}, {"format": NotMatching("c", TEXT_PATTERNS["uuid"], "uuid")}),
        ("integer", {"format": "u8", "multipleOf": 5}, {"format": OutOfRange("c", 0, 255), "multipleOf": NotMultiple("c", 5)}),
        ("integer", {"format": "i128"}, {"format": OutOfRange("c", -(2**127), 2**127 - 1)}),
        ("number", {"format": "f32"}, {"format": OutOfRange("c", -3.4028234663852886e38, 3.4028234663852886e38)}),
        (
            "array",
            {"minItems": 1, "maxItems": 9, "uniqueItems": True},
            {"minItems": SizeOutside("c", 1), "maxItems": SizeOutside("c", None, 9), "uniqueItems": Repeating("c")},
        ),
        ("array", {"uniqueItems": False}, {}),
        (
            "object",
            {"minProperties": 1, "maxProperties": 2, "required": ["a", "b"]},
            {
                "minProperties": SizeOutside("c", 1),
                "maxProperties": SizeOutside("c", None, 2),
                "required.a": Absent("c", "a"),
                "required.b": Absent("c", "b"),
            },
        ),
    ],
)
def test_options_of_every_type(logical: str, options: dict[str, object], checks: dict[str, Metric]) -> None:
    plan = plan_of(Property("c", logical, options=options))
    assert {found.id[2:]: found.check for found in plan.rules[2:-1]} == {name: Within(metric) for name, metric in checks.items()}
    assert plan.not_executed == ()


@pytest.mark.parametrize("word", ["password", "binary"])
def test_formats_that_ask_nothing_of_the_values_warn_of_nothing(word: str) -> None:
    assert missed(plan_of(Property("c", "string", options={"format": word})), "c.format").severity is Severity.INFO


def test_vectors_are_arrays_of_numbers() -> None:
    options = {"dimensions": 3, "elementType": "int8", "embeddingModel": "m", "normalized": False}
    plan = plan_of(Property("v", "vector", options=options))
    assert {found.id: found.check for found in plan.rules if found.id.startswith("v")} == {
        "v.present": Present("v"),
        "v.type": Within(TypeBreaches("v", "array")),
        "v.dimensions": Within(SizeOutside("v", 3, 3)),
        "v[].type": Within(Nested("v", ("[]",), TypeBreaches("v[]", "integer"))),
        "v[].format": Within(Nested("v", ("[]",), OutOfRange("v[]", -128, 127))),
    }
    assert [(entry.rule, entry.severity) for entry in plan.not_executed] == [("v.embeddingModel", Severity.INFO)]


def test_packed_vectors_are_listed() -> None:
    plan = plan_of(Property("v", "vector", options={"dimensions": 1024, "elementType": "binary"}))
    assert [found.id for found in plan.rules] == ["v.present", "rowCount"]
    assert {entry.rule for entry in plan.not_executed} == {"v.type", "v.dimensions"}


@pytest.mark.parametrize(("logical", "form"), [("date", "yyyy-MM-dd"), ("timestamp", "date-time"), ("timestamp", "ISO8601")])
def test_the_iso_formats_are_what_the_type_rule_judges(logical: str, form: str) -> None:
    plan = plan_of(
        Property("c", logical, options={"format": form, "defaultTimezone": "Etc/UTC"} if logical == "timestamp" else {"format": form})
    )
    assert rule(plan, "c.type").check == Within(TypeBreaches("c", logical))
    assert plan.not_executed == ()


# --- quality ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quality", "metric", "clause", "severity"),
    [
        (library("nullValues"), Nulls("c"), Clause.COMPLETENESS, Severity.ERROR),
        (
            library("missingValues", arguments={"missingValues": ["", None, "N/A"]}),
            Missing("c", ("", None, "N/A")),
            Clause.COMPLETENESS,
            Severity.ERROR,
        ),
        (library("invalidValues", arguments={"validValues": [1, "x", None]}), NotIn("c", (1, "x")), Clause.SEMANTICS, Severity.CRITICAL),
        (
            library("invalidValues", arguments={"validValues": [date(2024, 1, 1)]}),
            NotIn("c", ("2024-01-01",)),
            Clause.SEMANTICS,
            Severity.CRITICAL,
        ),
        (library("invalidValues", arguments={"pattern": "^x"}), NotMatching("c", "^x"), Clause.VALIDITY, Severity.ERROR),
        (library("duplicateValues"), Duplicates(("c",)), Clause.UNIQUENESS, Severity.ERROR),
        (library("rowCount"), RowCount(), Clause.VOLUME, Severity.ERROR),
    ],
)
def test_library_metrics(quality: QualityRule, metric: object, clause: Clause, severity: Severity) -> None:
    found = rule(plan_of(Property("c", quality=(quality,))), f"c.{quality.metric}")
    assert told(found) == (clause, severity, Within(metric, ZERO))  # type: ignore[arg-type]


def test_valid_values_and_a_pattern_are_two_rules() -> None:
    quality = library("invalidValues", arguments={"validValues": ["a"], "pattern": "^a"}, name="the values")
    plan = plan_of(Property("c", quality=(quality,)))
    assert rule(plan, "the values").check == Within(NotIn("c", ("a",)))
    assert rule(plan, "the values-2").check == Within(NotMatching("c", "^a"))


@pytest.mark.parametrize(
    ("operator", "value", "severity", "expected"),
    [
        (Operator.MUST_BE, 0, None, Severity.CRITICAL),
        (Operator.MUST_BE, 0, "error", Severity.ERROR),
        (Operator.MUST_BE, 0, "Warning", Severity.WARNING),
        (Operator.MUST_BE, 5, None, Severity.ERROR),
        (Operator.LESS_OR_EQUAL, 5, None, Severity.ERROR),
        (Operator.GREATER_OR_EQUAL, 0, None, Severity.ERROR),
    ],
)
def test_valid_values_that_allow_nothing_else_are_an_enum(operator: Operator, value: int, severity: str | None, expected: Severity) -> None:
    quality = library("invalidValues", (operator, value), arguments={"validValues": ["a"]}, severity=severity)
    assert rule(plan_of(Property("c", quality=(quality,))), "c.invalidValues").severity is expected


@pytest.mark.parametrize("unit", ["percent", "%", "Percent"])
def test_every_operator_in_percent(unit: str) -> None:
    operators = tuple((o, (1, 2.5) if o in (Operator.BETWEEN, Operator.NOT_BETWEEN) else 3) for o in Operator)
    plan = plan_of(Property("c", quality=(library("nullValues", *operators, unit=unit),)))
    ids = ["c.nullValues", *(f"c.nullValues-{number}" for number in range(2, 9))]
    checks = [rule(plan, name).check for name in ids]
    assert checks == [Within(Nulls("c"), Threshold(operator, value, percent=True)) for operator, value in operators]


@pytest.mark.parametrize(
    ("quality", "reason"),
    [
        (library("nullValues", (Operator.MUST_BE, "5")), "'5', not a number"),
        (library("nullValues", (Operator.MUST_BE, True)), "not a number"),
        (library("nullValues", (Operator.MUST_BE, float("inf"))), "not a number"),
        (library("nullValues", (Operator.BETWEEN, (1,))), "expected two numbers"),
        (library("nullValues", (Operator.BETWEEN, 1)), "expected two numbers"),
        (library("nullValues", (Operator.BETWEEN, (2, 1))), "the lower number comes first"),
        (library("nullValues", unit="MB"), 'unit "MB" is not known'),
        (library("rowCount", unit="percent"), "row count in percent"),
        (library("missingValues"), "arguments.missingValues is missing"),
        (library("invalidValues"), "neither validValues nor a pattern"),
        (library("invalidValues", arguments={"validValues": [{}]}), "{}"),
        (library("invalidValues", arguments={"pattern": "("}), "not a regular expression"),
        (library("duplicateValues", arguments={"properties": []}), "unique together"),
        (library("mean"), "metric mean is not known; known are nullValues, missingValues"),
        (QualityRule("library", "nullValues"), "no operator"),
        (QualityRule("text", description="be good"), "for people"),
        (QualityRule("sql", query="select 1"), "no operator"),
        (QualityRule("sql", query=" ", operators=((Operator.MUST_BE, 0),)), "no query"),
        (QualityRule("sql", query="select ${threshold}", operators=((Operator.MUST_BE, 0),)), "${threshold}"),
        (QualityRule("sql", query="select 'a'", operators=((Operator.MUST_BE, "a"),)), "'a', not a number"),
        (library("nullValues", arguments={"validValue": [1]}), "knows no argument validValue"),
        (library("invalidValues", arguments={"validValue": [1]}), 'did you mean "validValues"?'),
        (library("nullValue"), 'did you mean "nullValues"?'),
        (QualityRule("custom", engine="soda"), "engine soda is not available"),
        (QualityRule("custom"), "(none named)"),
        (QualityRule("custom", engine="greatExpectations"), "a mapping with type and kwargs"),
        (QualityRule("custom", engine="greatExpectations", implementation={"kwargs": {}}), "names no expectation"),
        (QualityRule("custom", engine="gx", implementation={"type": "expect_x", "kwarg": {}}), "unknown keys: kwarg"),
        (QualityRule("custom", engine="gx", implementation={"type": "expect_x", "kwargs": []}), "kwargs is []"),
        (QualityRule("custom", engine="gx", implementation={"type": "expect_x", "kwargs": {"value": float("nan")}}), "NaN"),
    ],
)
def test_quality_that_cannot_be_measured_says_why(quality: QualityRule, reason: str) -> None:
    plan = plan_of(Property("c", quality=(quality,)))
    assert [found.id for found in plan.rules] == ["c.present", "rowCount"]
    assert reason in plan.not_executed[0].reason
    assert len(plan.not_executed) == 1


def test_object_rules() -> None:
    several = library("duplicateValues", arguments={"properties": ["a", "b"]}, dimension="uniqueness", description="no twins")
    plan = plan_of(Property("a"), quality=(several, library("rowCount", (Operator.BETWEEN, (1, 9))), library("nullValues")))
    assert rule(plan, "duplicateValues").check == Within(Duplicates(("a", "b")))
    assert (rule(plan, "duplicateValues").column, rule(plan, "duplicateValues").description) == ("a, b", "no twins; dimension uniqueness")
    assert rule(plan, "rowCount").check == Within(RowCount(), Threshold(Operator.BETWEEN, (1, 9)))
    assert sum(isinstance(found.check, Within) and found.check.metric == RowCount() for found in plan.rules) == 1
    assert "belongs to a property" in missed(plan, "nullValues").reason


def test_a_row_count_rule_that_is_not_executed_does_not_replace_the_implicit_one() -> None:
    plan = plan_of(quality=(library("rowCount", unit="percent"),))
    assert "percent" in missed(plan, "rowCount").reason
    assert rule(plan, "rowCount-2").check == Within(RowCount(), Threshold(Operator.GREATER_THAN, 0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, Severity.WARNING),
        (" ", Severity.WARNING),
        ("Critical", Severity.CRITICAL),
        ("BLOCKER", Severity.CRITICAL),
        ("major", Severity.ERROR),
        ("warn", Severity.WARNING),
        ("minor", Severity.WARNING),
        ("low", Severity.INFO),
        ("sev-5", Severity.ERROR),
    ],
)
def test_severities(text: str | None, expected: Severity) -> None:
    severity, note = severity_of(text, Severity.WARNING)
    assert severity is expected
    assert (note is not None) == (text == "sev-5")


def test_an_unknown_severity_is_told() -> None:
    plan = plan_of(Property("c", quality=(library("nullValues", severity="purple"),)))
    assert rule(plan, "c.nullValues").description == 'severity "purple" is not known: judged as error'


# --- service levels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "age"),
    [
        (1, "d", timedelta(days=1)),
        (2, "days", timedelta(days=2)),
        (4, "h", timedelta(hours=4)),
        (1.5, "Hours", timedelta(minutes=90)),
        (30, "m", timedelta(minutes=30)),
        (30, "minutes", timedelta(minutes=30)),
        (10, "s", timedelta(seconds=10)),
        ("500ms", None, timedelta(milliseconds=500)),
        ("24", "h", timedelta(hours=24)),
        ("PT4H", None, timedelta(hours=4)),
        (1, "y", timedelta(days=365)),
    ],
)
@pytest.mark.parametrize("name", ["latency", "ly", "freshness"])
def test_latency_and_freshness_are_the_age_of_the_newest_data(name: str, value: object, unit: str | None, age: timedelta) -> None:
    plan = plan_of(Property("t", "timestamp"), levels=(ServiceLevel(name, value, unit=unit, element="feed.t"),))
    assert told(rule(plan, f"t.{name}")) == (Clause.FRESHNESS, Severity.ERROR, Fresh(Newest("t"), age))


@pytest.mark.parametrize(
    ("level", "reason"),
    [
        (ServiceLevel("latency", 1, unit="d"), "names no element"),
        (ServiceLevel("latency", 1, unit="d", element="feed.nothing"), "names no property"),
        (ServiceLevel("latency", 1, unit="d", element="nowhere.t"), "names no property"),
        (ServiceLevel("latency", 1, element="t"), "no duration"),
        (ServiceLevel("latency", "soon", element="t"), "no duration"),
        (ServiceLevel("latency", True, unit="d", element="t"), "no duration"),
        (ServiceLevel("latency", 10**12, unit="y", element="t"), "too long"),
    ],
)
def test_ages_that_cannot_be_judged_say_why(level: ServiceLevel, reason: str) -> None:
    plan = plan_of(Property("t", "timestamp"), levels=(level,))
    entry = missed(plan, "sla.latency")
    assert reason in entry.reason
    assert entry.severity is Severity.ERROR


def test_elements_of_other_objects_are_theirs() -> None:
    other = SchemaObject("other", properties=(Property("u", "timestamp"),))
    levels = (ServiceLevel("latency", 1, unit="d", element="other.u"), ServiceLevel("latency", 1, unit="d", element="u, t"))
    plan = plan_of(Property("t", "timestamp"), levels=levels, others=(other,))
    assert [found.id for found in plan.rules if isinstance(found.check, Fresh)] == ["t.latency"]
    assert plan.not_executed == ()


def test_elements_are_found_by_default_and_by_the_name_in_the_data() -> None:
    document = """
    {apiVersion: v3.0.2, kind: DataContract, id: x, version: 1.0.0, status: active, slaDefaultElement: feed.when,
     schema: [{name: feed, properties: [{name: when, physicalName: updated_at, logicalType: date}, {name: other, logicalType: date}]}],
     slaProperties: [{property: latency, value: 1, unit: d}, {property: freshness, value: 2, unit: d, element: "when, feed.other"}]}
    """
    parsed = parse(document)
    plan = compile_plan(parsed, parsed.objects[0])
    assert {found.id: found.check for found in plan.rules if isinstance(found.check, Fresh)} == {
        "updated_at.latency": Fresh(Newest("updated_at"), timedelta(days=1)),
        "updated_at.freshness": Fresh(Newest("updated_at"), timedelta(days=2)),
        "other.freshness": Fresh(Newest("other"), timedelta(days=2)),
    }
    assert plan.not_executed == ()


def test_what_speaks_of_the_service_warns_of_nothing() -> None:
    levels = tuple(ServiceLevel(name, 1) for name in ("frequency", "retention", "generalAvailability", "endOfSupport", "whatever"))
    entries = plan_of(levels=levels).not_executed
    assert [entry.rule for entry in entries] == [f"sla.{level.property}" for level in levels]
    assert [entry.severity for entry in entries] == [Severity.WARNING, *[Severity.INFO] * 4]


# --- whole contracts -------------------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "a.type", "rowCount", "ü"])
qualities = st.builds(
    QualityRule,
    type=st.sampled_from(["library", "text", "sql", "custom"]),
    metric=st.none() | st.sampled_from(["nullValues", "rowCount", "invalidValues", "duplicateValues", "x"]),
    operators=st.lists(st.tuples(st.sampled_from(Operator), st.none() | st.integers() | st.text() | st.just((1, 2))), max_size=2).map(
        tuple
    ),
    unit=st.none() | st.sampled_from(["rows", "percent", "x"]),
    severity=st.none() | st.text(max_size=3),
    name=st.none() | names,
    arguments=st.dictionaries(st.sampled_from(["validValues", "pattern", "properties"]), st.integers() | st.lists(st.text()) | st.text()),
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates()
properties = st.builds(
    Property,
    name=names,
    logical_type=st.none()
    | st.sampled_from(["string", "date", "timestamp", "time", "number", "integer", "object", "array", "boolean", "map", "vector"]),
    options=st.dictionaries(
        st.sampled_from(["minimum", "exclusiveMinimum", "exclusiveMaximum", "format", "pattern", "minLength", "x"]), scalars
    ),
    required=st.booleans(),
    unique=st.booleans(),
    primary_key=st.booleans(),
    enum=st.lists(st.text() | st.integers(), max_size=2).map(tuple),
    quality=st.lists(qualities, max_size=2).map(tuple),
    properties=st.lists(st.builds(Property, name=names, required=st.booleans()), max_size=1).map(tuple),
)
levels = st.builds(
    ServiceLevel, property=st.sampled_from(["latency", "retention"]), value=scalars, unit=st.none() | names, element=st.none() | names
)


@given(st.lists(properties, max_size=4), st.lists(qualities, max_size=3), st.lists(levels, max_size=2))
def test_nothing_is_dropped_and_every_id_is_unique(columns: list[Property], quality: list[QualityRule], sla: list[ServiceLevel]) -> None:
    obj = SchemaObject("feed", properties=tuple(columns), quality=tuple(quality))
    plan = compile_plan(contract(obj, levels=tuple(sla)), obj)
    ids = [found.id for found in plan.rules] + [entry.rule for entry in plan.not_executed]
    assert len(ids) == len(set(ids))
    assert all(entry.reason for entry in plan.not_executed)
    promises = 0
    for column in columns:
        flags = [True, column.logical_type, column.required or column.primary_key, column.unique, column.enum]
        promises += sum(map(bool, flags)) + len(column.quality) + len(column.properties)
    assert len(ids) >= promises + len(quality) + bool([c for c in columns if c.primary_key])
    assert compile_plan(contract(obj, levels=tuple(sla)), obj) == plan


@needs_cases
def test_contracts_of_others_compile() -> None:
    compiled = 0
    for path in sorted((CASES / "odcs" / "contracts").glob("*.yaml")):
        compiled += _compiled(path)
    assert compiled > 30


def _compiled(path: Path) -> int:
    try:
        parsed = parse(path.read_text(encoding="utf-8"))
    except ContractError:
        return 0
    for obj in parsed.objects:
        plan = compile_plan(parsed, obj)
        assert plan.rules
        assert len({found.id for found in plan.rules}) == len(plan.rules)
        listed = [*obj.quality, *(quality for prop in obj.properties for quality in prop.quality)]
        assert len(plan.rules) + len(plan.not_executed) >= len(obj.properties) + len(listed)
    return len(parsed.objects)
