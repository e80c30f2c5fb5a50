"""Custom rules of ours: what they become, and what lint says of those that are wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dagster_contracts.core import profile_files
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Clause, Contract, Operator, Property, QualityRule, SchemaObject
from dagster_contracts.core.errors import ContractInvalid
from dagster_contracts.core.extension import profiled
from dagster_contracts.core.metrics import Among, Compared, Histogram, Kind, ProfileOf, Statistic, TimeText
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.odcs_custom import custom_flaws
from dagster_contracts.core.plan import Check, Drifted, DriftKind, GoodPartition, LastGood, Plan, StoredProfile, Threshold, Within
from dagster_contracts.core.profile import CategoryProfile, NumericProfile, Profile
from dagster_contracts.core.time_text import read_format

MOST = Threshold(Operator.LESS_OR_EQUAL, 0.2)
AMOUNTS = NumericProfile((1.0, 2.0, 3.0, 4.0), (5, 5, 5, 5))
STATES = CategoryProfile((("open", 3), ("shut", 1)))


def custom(metric: str, **given: Any) -> QualityRule:
    given = {"mustBeLessOrEqualTo": 0.2, **given} if not any(key in tuple(Operator) for key in given) else given
    return QualityRule("custom", engine="dagster-contracts", implementation={"metric": metric, **given})


def plan_of(*rules: QualityRule, of_object: bool = False, profiles: dict[tuple[str, bool], Profile] | None = None) -> Plan:
    amount = Property("amount", "number", quality=() if of_object else rules)
    read = {"p.json": profile_files.to_text("o", 20, profiles)} if profiles is not None else {}
    obj = SchemaObject("o", properties=(amount, Property("state", "string")), quality=rules if of_object else (), profiles=read)
    return compile_plan(Contract("id", "1.0.0", "v3.1.0", "active", (obj,)), obj)


def plan_of_dates(rule: QualityRule, since: dict[str, Any], until: dict[str, Any]) -> Plan:
    properties = tuple(
        Property(name, given["logicalType"], options=given.get("logicalTypeOptions", {}), quality=(rule,) if name == "since" else ())
        for name, given in (("since", since), ("until", until))
    )
    obj = SchemaObject("o", properties=properties)
    return compile_plan(Contract("id", "1.0.0", "v3.1.0", "active", (obj,)), obj)


def only(plan: Plan) -> tuple[str, Clause, Check]:
    (rule,) = (rule for rule in plan.rules if rule.clause in (Clause.DISTRIBUTION, Clause.CUSTOM) or rule.id.endswith("compare"))
    return rule.id, rule.clause, rule.check


# --- what they become ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.QUANTILE])
def test_statistics(kind: Kind) -> None:
    distinct = kind in (Kind.DISTINCT_COUNT, Kind.DISTINCT_SHARE)
    check = Within(Statistic("amount", kind, logical="number" if distinct else None), MOST)
    assert only(plan_of(custom(kind.value))) == (f"amount.{kind.value}", Clause.DISTRIBUTION, check)


def test_a_quantile_has_a_rank_and_bounds() -> None:
    wanted = Within(Statistic("amount", Kind.QUANTILE, 0.9), Threshold(Operator.BETWEEN, (1, 3)))
    assert only(plan_of(custom("quantile", at=0.9, mustBeBetween=[1, 3])))[2] == wanted


@pytest.mark.parametrize(
    ("given", "threshold"),
    [
        ({"mustBeLessThan": 0.07}, Threshold(Operator.LESS_THAN, 7.0, percent=True)),
        ({"mustBeBetween": [0.1, 0.29]}, Threshold(Operator.BETWEEN, (10.0, 29.0), percent=True)),
        ({"mustBeLessThan": 7, "unit": "percent"}, Threshold(Operator.LESS_THAN, 7, percent=True)),
    ],
)
def test_a_share_is_exact(given: dict[str, Any], threshold: Threshold) -> None:
    assert only(plan_of(custom("share", values=["a", None], **given)))[2] == Within(Among("amount", ("a", None)), threshold)


def test_rows_are_compared() -> None:
    wanted = Within(Compared("amount", "<=", "limit"), Threshold(Operator.MUST_BE, 0))
    rule = custom("compare", operator="<=", other="limit", mustBe=0)
    assert only(plan_of(rule)) == ("amount.compare", Clause.VALIDITY, wanted)
    of_object = custom("compare", column="amount", operator="<=", other="limit", mustBe=0)
    assert only(plan_of(of_object, of_object=True)) == ("compare", Clause.VALIDITY, wanted)


def test_each_operator_is_a_rule() -> None:
    plan = plan_of(custom("mean", mustBeGreaterThan=1, mustBeLessThan=3))
    assert [rule.id for rule in plan.rules if rule.clause is Clause.DISTRIBUTION] == ["amount.mean", "amount.mean-2"]


@pytest.mark.parametrize("kind", list(DriftKind))
def test_distances_from_good_batches(kind: DriftKind) -> None:
    factor = {"factor": 0.1} if kind is DriftKind.BELOW_REFERENCE else {}
    name, clause, check = only(plan_of(custom(kind.value, reference={"lastGood": 7}, **factor)))
    metric = ProfileOf("amount", True, "number") if kind is DriftKind.NEW_VALUES else ProfileOf("amount")
    assert (name, clause) == (f"amount.{kind.value}", Clause.DISTRIBUTION)
    samples = 50 if kind is DriftKind.MEAN_CHANGE else 1
    assert check == Drifted(metric, kind, LastGood(7), MOST, factor=factor.get("factor"), samples=samples)


def test_the_mean_may_change_by_five_percent_where_nothing_else_is_said() -> None:
    rule = custom("meanChange", reference={"lastGood": 1}, minimumSamples=80)
    assert isinstance(rule.implementation, dict)
    given = {key: value for key, value in rule.implementation.items() if not key.startswith("mustBe")}
    check = only(plan_of(replace(rule, implementation=given)))[2]
    assert isinstance(check, Drifted)
    assert (check.threshold, check.samples) == (Threshold(Operator.BETWEEN, (-5, 5), percent=True), 80)


def test_a_named_partition_and_bins() -> None:
    check = only(plan_of(custom("psi", reference={"partition": "2026-11"}, bins=4)))[2]
    assert check == Drifted(ProfileOf("amount"), DriftKind.PSI, GoodPartition("2026-11"), MOST, bins=4)


@pytest.mark.parametrize(
    ("given", "categorical"),
    [({}, False), ({"categorical": True}, True), ({"column": "state"}, True), ({"column": "state", "categorical": False}, False)],
)
def test_what_is_categorical_follows_from_the_type_unless_it_is_said(given: dict[str, Any], categorical: bool) -> None:
    rule = custom("psi", reference={"lastGood": 1}, **{"column": "amount", **given})
    check = only(plan_of(rule, of_object=True))[2]
    assert isinstance(check, Drifted)
    assert isinstance(check.metric, ProfileOf)
    assert check.metric.categorical is categorical


# --- references in files -------------------------------------------------------------------------------------------

PROFILES: dict[tuple[str, bool], Profile] = {("amount", False): AMOUNTS, ("state", True): STATES}


@pytest.mark.parametrize("metric", ["psi", "jensenShannon", "chiSquare", "chiSquarePValue", "totalVariation"])
def test_bins_of_a_file_are_counted_in_one_pass(metric: str) -> None:
    check = only(plan_of(custom(metric, reference={"file": "p.json"}, bins=4), profiles=PROFILES))[2]
    assert isinstance(check, Drifted)
    assert check.metric == Histogram("amount", (1.75, 2.5, 3.25))
    assert isinstance(check.reference, StoredProfile)
    assert check.reference.file == "p.json"


def test_what_is_below_a_part_of_a_file_is_counted_in_one_pass() -> None:
    check = only(plan_of(custom("belowReference", factor=0.1, reference={"file": "p.json"}), profiles=PROFILES))[2]
    assert isinstance(check, Drifted)
    assert check.metric == Histogram("amount", (0.25,))


@pytest.mark.parametrize(("metric", "column"), [("wasserstein", "amount"), ("psi", "state"), ("newValues", "state")])
def test_other_distances_from_a_file_need_a_profile(metric: str, column: str) -> None:
    check = only(plan_of(custom(metric, column=column, reference={"file": "p.json"}), of_object=True, profiles=PROFILES))[2]
    assert isinstance(check, Drifted)
    assert check.metric == ProfileOf(column, categorical=column == "state")


@pytest.mark.parametrize(
    ("profiles", "reason"),
    [
        (None, "the profile p.json was not read with the contract"),
        ({("amounts", False): AMOUNTS}, 'the profile p.json has no numbers of the column amount, did you mean "amounts"?'),
        ({("amount", True): STATES}, "the profile p.json has no numbers of the column amount"),
    ],
)
def test_a_file_that_does_not_fit_says_so(profiles: dict[tuple[str, bool], Profile] | None, reason: str) -> None:
    plan = plan_of(custom("psi", reference={"file": "p.json"}), profiles=profiles)
    assert [missed.reason for missed in plan.not_executed] == [reason]


def test_a_file_of_profiles_holds_what_rules_compare() -> None:
    rules = (custom("psi", reference={"file": "p.json"}), custom("newValues", reference={"lastGood": 1}), custom("mean"))
    obj = SchemaObject("o", properties=(Property("amount", "number", quality=rules), Property("state", "string")))
    assert list(profiled(obj)) == [ProfileOf("amount"), ProfileOf("amount", True, "number")]
    without = SchemaObject("o", properties=(Property("amount", "number"), Property("state", "string"), Property("tags", "array")))
    assert list(profiled(without)) == [ProfileOf("amount"), ProfileOf("state", categorical=True)]


# --- what is wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        ({}, (), 'the key "metric" is missing'),
        ({"metric": "mean"}, (), "one of these keys is missing: mustBe, "),
        ({"metric": "men", "mustBe": 1}, ("metric",), 'did you mean "mean"'),
        ({"metric": "mean", "mustbe": 1, "mustBe": 1}, ("mustbe",), 'unknown key "mustbe"'),
        ({"metric": "mean", "mustBe": "1"}, ("mustBe",), "expected a number"),
        ({"metric": "mean", "mustBe": float("nan")}, ("mustBe",), "expected a finite number"),
        ({"metric": "mean", "mustBeBetween": [2, 1]}, ("mustBeBetween",), "the smaller number comes first"),
        ({"metric": "mean", "mustBeBetween": [1]}, ("mustBeBetween",), "at least 2 entries"),
        ({"metric": "mean", "mustBe": 1, "at": 0.5}, ("at",), "not allowed here"),
        ({"metric": "quantile", "mustBe": 1}, (), 'the key "at" is missing'),
        ({"metric": "quantile", "mustBe": 1, "at": 1.5}, ("at",), "expected at most 1"),
        ({"metric": "share", "mustBe": 1, "values": []}, ("values",), "at least 1 entries"),
        ({"metric": "psi", "mustBe": 1}, (), 'the key "reference" is missing'),
        ({"metric": "psi", "mustBe": 1, "reference": {}}, ("reference",), "one of these keys is missing: lastGood, partition, file"),
        ({"metric": "psi", "mustBe": 1, "reference": {"lastgood": 1}}, ("reference", "lastgood"), 'did you mean "lastGood"'),
        ({"metric": "psi", "mustBe": 1, "reference": {"lastGood": 0}}, ("reference", "lastGood"), "at least 1"),
        ({"metric": "psi", "mustBe": 1, "reference": {"lastGood": 1, "file": "x"}}, ("reference",), "only one of these"),
        ({"metric": "psi", "mustBe": 1, "reference": {"lastGood": 1}, "bins": 1}, ("bins",), "at least 2"),
        ({"metric": "wasserstein", "mustBe": 1, "reference": {"lastGood": 1}, "bins": 5}, ("bins",), "not allowed here"),
        ({"metric": "belowReference", "mustBe": 1, "reference": {"lastGood": 1}}, (), 'the key "factor" is missing'),
        ({"metric": "compare", "mustBe": 0, "operator": "=<", "other": "x"}, ("operator",), 'did you mean "<"'),
        ({"metric": "compare", "mustBe": 0, "operator": "<", "other": "limits"}, ("other",), 'did you mean "limit"'),
    ],
)
def test_what_is_wrong_is_told_where_it_is(given: dict[str, Any], path: tuple[str, ...], message: str) -> None:
    found = [(flaw.path, flaw.message) for flaw in custom_flaws(given, (), ("limit", "x"))]
    assert any(at == path and message in said for at, said in found), found
    if not any(key == "other" for key in path):
        plan = plan_of(QualityRule("custom", engine="dagster-contracts", implementation=given))
        assert len(plan.not_executed) == 1


@pytest.mark.parametrize(
    ("rule", "of_object", "reason"),
    [
        (QualityRule("custom", engine="dagster-contracts", implementation="psi"), False, "expected a mapping with metric and an operator"),
        (custom("mean"), True, "mean is of a column, and this rule is of the whole object; name it with the key column"),
        (custom("mean", column="state"), False, "the rule is of the property amount, and names the column state"),
        (custom("psi", column="else", reference={"lastGood": 1}), True, "else has no logicalType here"),
    ],
)
def test_what_cannot_be_executed_says_why(rule: QualityRule, of_object: bool, reason: str) -> None:
    (missed,) = plan_of(rule, of_object=of_object).not_executed
    assert reason in missed.reason
    assert missed.severity.refuses


def test_lint_tells_lines_and_names_columns_as_the_data_does() -> None:
    text = """\
apiVersion: v3.1.0
kind: DataContract
id: x
version: 1.0.0
status: active
schema:
  - name: o
    properties:
      - name: amount
        physicalName: AMT
        logicalType: number
        quality:
          - {type: custom, engine: dagster-contracts, implementation: {metric: compare, operator: "<", other: limit, mustBe: 0}}
      - {name: limit, physicalName: LIM, logicalType: number}
    quality:
      - type: custom
        engine: dagster-contracts
        implementation: {metric: compare, column: amount, operator: "<", other: limit, mustBe: 0}
"""
    contract = parse(text)
    checks = [rule.check for rule in compile_plan(contract, contract.objects[0]).rules]
    assert [check.metric for check in checks if isinstance(check, Within) and isinstance(check.metric, Compared)] == [
        Compared("AMT", "<", "LIM", logical="number")
    ] * 2
    with pytest.raises(ContractInvalid) as wrong:
        parse(text.replace("other: limit, mustBe: 0}\n", "other: limits, mustbe: 0}\n"))
    told = [(problem.line, problem.path.split(".implementation")[1]) for problem in wrong.value.problems]
    assert told == [(18, ""), (18, ".mustbe"), (18, ".other")]


# --- the JSON schema -----------------------------------------------------------------------------------------------

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas" / "custom-rule.schema.json"


def test_the_published_schema_is_the_one_that_lint_reads() -> None:
    import dagster_contracts.core

    inside = Path(dagster_contracts.core.__file__).parent / "schemas" / PUBLISHED.name
    assert inside.read_text() == PUBLISHED.read_text()
    schema = json.loads(PUBLISHED.read_text())
    jsonschema.Draft201909Validator.check_schema(schema)
    kinds = {*Kind, *DriftKind, "share", "compare"}
    assert set(schema["properties"]["metric"]["enum"]) == kinds


@pytest.mark.parametrize(
    "given",
    [
        {"metric": "mean", "mustBe": 1},
        {"metric": "mean", "mustBe": 1, "bins": 3},
        {"metric": "quantile", "at": 2, "mustBe": 1},
        {"metric": "psi", "mustBe": 1, "reference": {"file": "x"}, "bins": 5, "categorical": True},
        {"metric": "psi", "mustBe": 1, "reference": {"file": "x", "lastGood": 1}},
        {"metric": "share", "values": [1, None, "a"], "unit": "%", "mustBeBetween": [1, 2]},
        {"metric": "share", "values": [[1]], "mustBe": 1},
        {"metric": "compare", "operator": "<", "other": "x", "unit": "rows", "mustBe": 0},
        {"metric": "newValues", "reference": {"partition": "p"}},
        {"metric": "meanChange", "reference": {"partition": "p"}},
        {"metric": "meanChange", "minimumSamples": 0, "reference": {"partition": "p"}},
        {"metric": "meanChange"},
    ],
)
def test_lint_and_the_package_jsonschema_agree(given: dict[str, Any]) -> None:
    validator = jsonschema.Draft201909Validator(json.loads(PUBLISHED.read_text()))
    assert (not list(custom_flaws(given))) == validator.is_valid(given)


def test_texts_are_compared_as_the_contract_writes_them() -> None:
    days = {"logicalType": "date", "logicalTypeOptions": {"format": "dd/MM/yyyy"}}
    rule = custom("compare", operator="<=", other="until", mustBe=0)
    written = TimeText("dd/MM/yyyy", read_format("dd/MM/yyyy").pattern, "%d/%m/%Y")
    plan = plan_of_dates(rule, days, days)
    assert only(plan)[2] == Within(Compared("since", "<=", "until", written, written), Threshold(Operator.MUST_BE, 0))
    plan = plan_of_dates(rule, {"logicalType": "date"}, days)
    assert only(plan)[2] == Within(Compared("since", "<=", "until", None, written), Threshold(Operator.MUST_BE, 0))


def test_texts_in_a_format_that_is_not_read_are_not_compared() -> None:
    weeks = {"logicalType": "date", "logicalTypeOptions": {"format": "ww YYYY"}}
    plan = plan_of_dates(custom("compare", operator="<=", other="until", mustBe=0), weeks, {"logicalType": "date"})
    assert any("since.compare" in missed.rule and "format" in missed.reason for missed in plan.not_executed)
