"""Waivers turn a failing rule into a warning until a day, and environments say what broken rules do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.compat import compare
from dagster_contracts.core.compat_kinds import Impact
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract, Severity, Waiver
from dagster_contracts.core.errors import ContractInvalid
from dagster_contracts.core.judge import judge, refusing_rows
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.plan import Plan, Within
from dagster_contracts.core.state import Judged
from dagster_contracts.core.verdict import Column, Count, Measurement, Outcome, verdict_from_json, verdict_to_json
from dagster_contracts.core.waivers import LONGEST, is_waived
from dagster_contracts.core.waiving import long_waivers, waiver_problems

DAY = date(2027, 1, 31)
NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)
WAIVER = "{rule: amount.maximum, until: '2027-01-31', reason: vendor mends it, approvedBy: ann}"


def contract(waivers: str = f"[{WAIVER}]", *, more: str = "", objects: str = "") -> Contract:
    return parse(f"""\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - name: amount
        logicalType: integer
        logicalTypeOptions: {{maximum: 10}}
      - name: note
        logicalType: string
        quality: [{{type: library, metric: nullValues, mustBe: 0, severity: warning}}, {{type: text, description: polite}}]
{objects}
customProperties:
  - {{property: waivers, value: {waivers}}}
{more}""")


def plan_of(given: Contract, environment: str | None = None) -> Plan:
    return compile_plan(given, given.objects[0], environment)


def broken(plan: Plan, *rules: str) -> Measurement:
    """A batch of 10 rows, of which 3 break each of `rules`."""
    metrics = {rule.check.metric: Count(3 if rule.id in rules else 0) for rule in plan.rules if isinstance(rule.check, Within)}
    return Measurement(10, (Column("amount", "Int64"), Column("note", "String")), metrics)  # type: ignore[arg-type]


def outcome(plan: Plan, *rules: str, at: datetime = NOON) -> Outcome:
    return judge(plan, broken(plan, *rules), {}, as_of=at, head=True).outcome


# --- waivers -------------------------------------------------------------------------------------------------------


def test_a_waived_rule_warns_and_says_why() -> None:
    plan = plan_of(contract())
    verdict = judge(plan, broken(plan, "amount.maximum"), {}, as_of=NOON, head=True)
    (finding,) = [each for each in verdict.findings if each.rule == "amount.maximum"]
    assert (verdict.outcome, finding.outcome, finding.severity) == (Outcome.WARN, Outcome.WARN, Severity.WARNING)
    assert finding.observed.startswith("waived until 2027-01-31 by ann (vendor mends it): 3 of 10 rows")
    assert finding.waived == Waiver("amount.maximum", DAY, "vendor mends it", "ann", None, "customProperties[0].value[0]")
    kept = verdict_from_json(verdict_to_json(verdict))
    assert [each.waived for each in kept.findings if each.waived] == [replace(finding.waived, path="")]
    judged = Judged.of("b", verdict)
    assert (judged.failed_rules, judged.failed_severities, judged.findings) == (frozenset(), frozenset(), ())
    assert "amount.maximum" in judged.executed_rules  # so that a probe proves what it must


def test_what_is_not_waived_still_fails() -> None:
    plan = plan_of(contract())
    assert outcome(plan, "amount.maximum", "amount.type") is Outcome.FAIL
    assert outcome(plan, "amount.type") is Outcome.FAIL
    assert outcome(plan) is Outcome.PASS


@pytest.mark.parametrize(
    ("at", "waived"),
    [
        (datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC), True),
        (datetime(2027, 2, 1, tzinfo=UTC), False),
        (datetime(2027, 2, 1, 1, tzinfo=UTC).astimezone(tz=None), False),
        (NOON - LONGEST, True),
        (NOON - LONGEST - timedelta(days=1), False),
    ],
)
def test_it_expires_by_itself_and_lasts_ninety_days_at_most(at: datetime, waived: bool) -> None:
    assert outcome(plan_of(contract()), "amount.maximum", at=at) is (Outcome.WARN if waived else Outcome.FAIL)


def test_rows_that_break_a_waived_rule_are_not_set_aside() -> None:
    plan = plan_of(contract())
    found = broken(plan, "amount.maximum", "amount.type")
    assert set(refusing_rows(plan, found, NOON)) == {"amount.type"}
    assert set(refusing_rows(plan, found)) == {"amount.type", "amount.maximum"}


RULES = ["amount.maximum", "amount.type", "note.type", "note.nullValues"]
ORDER = (Outcome.PASS, Outcome.WARN, Outcome.FAIL)


@given(
    st.sets(st.sampled_from(RULES)),
    st.lists(st.tuples(st.sampled_from(RULES), st.integers(-120, 120)), unique_by=lambda pair: pair[0]),
    st.integers(-200, 200),
)
def test_waivers_never_make_worse_and_never_outlive_their_end(failing: set[str], waivers: list[tuple[str, int]], day: int) -> None:
    at = NOON + timedelta(days=day)
    plain = plan_of(contract("[]"))
    plan = replace(plain, waivers=tuple(Waiver(rule, DAY + timedelta(days=end), "r", "a") for rule, end in waivers))
    without, verdict = (judge(each, broken(each, *failing), {}, as_of=at, head=True) for each in (plain, plan))
    assert ORDER.index(verdict.outcome) <= ORDER.index(without.outcome)
    assert (verdict.outcome is Outcome.PASS) == (without.outcome is Outcome.PASS)
    for before, after in zip(without.findings, verdict.findings, strict=True):
        holds = any(rule == before.rule and day <= end <= day + 90 for rule, end in waivers)
        assert (after != before) == (holds and before.outcome is Outcome.FAIL)
        assert is_waived(after.waived, at.date()) if after.waived else True


# --- what is wrong with them ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waivers", "told"),
    [
        ("{}", "expected a list"),
        ("[{rule: amount.maximum, reason: r, approvedBy: a}]", 'the key "until" is missing: a waiver has an end'),
        ("[{rule: amount.maximum, until: '2027-01-31', reason: r}]", "approvedBy"),
        ("[{rule: amount.maximum, until: '2027-01-31', reason: ' ', approvedBy: a}]", "].reason: expected text"),
        ("[{rule: amount.maximum, until: soon, reason: r, approvedBy: a}]", "].until: expected the last day of the waiver"),
        ("[{rule: amount.maximum, untill: '2027-01-31', reason: r, approvedBy: a}]", 'did you mean "until"?'),
        (f"[{WAIVER}, {WAIVER}]", "is waived twice"),
    ],
)
def test_a_waiver_says_everything(waivers: str, told: str) -> None:
    with pytest.raises(ContractInvalid) as raised:
        contract(waivers)
    assert told in str(raised.value)


SECOND = """\
  - name: refunds
    properties:
      - {name: amount, logicalType: integer, logicalTypeOptions: {maximum: 10}}
"""


@pytest.mark.parametrize(
    ("rule", "objects", "told"),
    [
        ("amount.maximun", "", 'no rule "amount.maximun", did you mean "amount.maximum"?'),
        ("note.text", "", "is not executed"),
        ("amount.maximum", SECOND, "is a rule of orders, refunds; say which with the key object"),
        ("amount.maximum, object: refund", SECOND, 'no object "refund", did you mean "refunds"?'),
    ],
)
def test_the_rule_of_a_waiver_is_one_of_the_contract(rule: str, objects: str, told: str) -> None:
    found = contract(f"[{{rule: {rule}, until: '2027-01-31', reason: r, approvedBy: a}}]", objects=objects)
    (problem,) = waiver_problems(found)
    assert told in problem.message


def test_a_waiver_of_one_object_is_none_of_another() -> None:
    found = contract("[{rule: amount.maximum, object: refunds, until: '2027-01-31', reason: r, approvedBy: a}]", objects=SECOND)
    assert list(waiver_problems(found)) == []
    assert [len(compile_plan(found, obj).waivers) for obj in found.objects] == [0, 1]


def test_a_waiver_ends_within_ninety_days() -> None:
    found = contract()
    assert list(long_waivers(found, DAY - LONGEST)) == []
    (problem,) = long_waivers(found, DAY - LONGEST - timedelta(days=1))
    assert (problem.path, "2027-01-30 is the last day" in problem.message) == ("customProperties[0].value[0].until", True)


# --- environments --------------------------------------------------------------------------------------------------

ENVIRONMENTS = "  - {property: environments, value: {dev: warn, prod: block, audit: escalate}}"


@pytest.mark.parametrize(
    ("environment", "outcomes", "trips"),
    [
        (None, (Outcome.FAIL, Outcome.WARN), False),
        ("prod", (Outcome.FAIL, Outcome.WARN), False),
        ("elsewhere", (Outcome.FAIL, Outcome.WARN), False),
        ("dev", (Outcome.WARN, Outcome.WARN), False),
        ("audit", (Outcome.FAIL, Outcome.FAIL), True),
    ],
)
def test_what_a_broken_rule_does_is_said_by_the_environment(
    environment: str | None, outcomes: tuple[Outcome, Outcome], trips: bool
) -> None:
    plan = plan_of(contract("[]", more=ENVIRONMENTS), environment)
    assert tuple(outcome(plan, rule) for rule in ("amount.maximum", "note.nullValues")) == outcomes
    failed = Judged.of("b", judge(plan, broken(plan, "amount.maximum"), {}, as_of=NOON, head=True))
    assert (Severity.CRITICAL in failed.failed_severities) == trips


@pytest.mark.parametrize(
    ("value", "told"), [("{dev: wran}", 'did you mean "warn"?'), ("[dev]", "expected a mapping"), ("{dev: 1}", "found 1")]
)
def test_environments_are_of_three_kinds(value: str, told: str) -> None:
    with pytest.raises(ContractInvalid) as raised:
        contract("[]", more=f"  - {{property: environments, value: {value}}}")
    assert told in str(raised.value)


# --- what has changed ----------------------------------------------------------------------------------------------


def test_a_waiver_that_is_granted_is_a_risk_for_consumers() -> None:
    with_one, none = contract(), contract("[]")
    (granted,) = compare(none, with_one).changes
    (ended,) = compare(with_one, none).changes
    assert (granted.kind.name, granted.consumer) == ("waiver.granted", Impact.RISKY)
    assert (ended.kind.name, ended.consumer) == ("waiver.ended", Impact.SAFE)
    (later,) = compare(none, contract("[]", more="  - {property: validFrom, value: '2027-01-01'}")).changes
    assert (later.place, later.new, later.consumer) == ("validFrom", "2027-01-01 00:00:00+00:00", Impact.SAFE)
    (changed,) = compare(none, contract("[]", more=ENVIRONMENTS.replace(", prod: block, audit: escalate", ""))).changes
    assert (changed.kind.name, changed.place, changed.new) == ("environment.changed", "environments.dev", "warn")
