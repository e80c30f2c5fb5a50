"""Expand, migrate, contract: both shapes are accepted while a deprecated column may be there, and its readers are named."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dagster_contracts.core.compat import Mode, compare
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract
from dagster_contracts.core.errors import ContractInvalid
from dagster_contracts.core.judge import judge
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.plan import Within
from dagster_contracts.core.registry import uses_of
from dagster_contracts.core.slips import deprecations, slips
from dagster_contracts.core.verdict import Column, Count, Measurement, Outcome, Verdict

LAST = datetime(2027, 6, 30, 23, tzinfo=UTC)
AFTER = datetime(2027, 7, 1, tzinfo=UTC)

OLD = "      - {name: name, physicalName: nm, logicalType: string, required: true}\n"
NEW = """\
      - {name: first, logicalType: string, required: true}
      - {name: last, physicalName: ln, logicalType: string, required: true}
"""
DEPRECATED = """\
      - name: name
        physicalName: nm
        logicalType: string
        required: true
        deprecated: true
        customProperties:
        - {property: deprecatedUntil, value: '2027-06-30'}
        - {property: replacedBy, value: [first, last]}
"""
READERS = "{asset: letters, fallback: halt, properties: [name]}, {asset: reports, fallback: halt, properties: [first]}"


def contract(columns: str, version: str = "1.0.0", consumers: str = READERS) -> Contract:
    return parse(f"""\
apiVersion: v3.1.0
kind: DataContract
id: people
version: {version}
status: active
schema:
  - name: people
    properties:
{columns}customProperties:
  - {{property: circuitBreaker, value: {{consumers: [{consumers}]}}}}
""")


EXPANDED = contract(DEPRECATED + NEW, "1.1.0")


def judged(given: Contract, *columns: str, at: datetime = LAST) -> Verdict:
    """A batch that has these columns, and no flaw in them."""
    plan = compile_plan(given, given.objects[0])
    metrics = {rule.check.metric: Count(0) for rule in plan.rules if isinstance(rule.check, Within)}
    return judge(plan, Measurement(5, tuple(Column(name, "String") for name in columns), metrics), {}, as_of=at, head=True)  # type: ignore[arg-type]


def told(verdict: Verdict) -> str:
    (found,) = [finding.observed for finding in verdict.findings if finding.rule == "nm.deprecated"]
    return found


@pytest.mark.parametrize(
    ("columns", "within", "after"),
    [
        (("nm",), Outcome.PASS, Outcome.FAIL),
        (("nm", "first", "ln"), Outcome.PASS, Outcome.WARN),
        (("nm", "first"), Outcome.PASS, Outcome.FAIL),
        (("first", "ln"), Outcome.WARN, Outcome.WARN),  # letters still reads what has gone
        (("first",), Outcome.FAIL, Outcome.FAIL),
        ((), Outcome.FAIL, Outcome.FAIL),
    ],
)
def test_both_shapes_are_accepted_until_the_last_day(columns: tuple[str, ...], within: Outcome, after: Outcome) -> None:
    assert (judged(EXPANDED, *columns).outcome, judged(EXPANDED, *columns, at=AFTER).outcome) == (within, after)


@pytest.mark.parametrize("at", [LAST, AFTER])
def test_what_tells_no_columns_breaks_no_rule_of_them(at: datetime) -> None:
    plan = compile_plan(EXPANDED, EXPANDED.objects[0])
    metrics = {rule.check.metric: Count(0) for rule in plan.rules if isinstance(rule.check, Within)}
    verdict = judge(plan, Measurement(0, (), metrics, columns_told=False), {}, as_of=at, head=True)  # type: ignore[arg-type]
    assert [finding.rule for finding in verdict.findings if finding.outcome is not Outcome.PASS] == ["rowCount"]
    assert not verdict.not_executed


def test_what_has_not_come_is_listed_and_its_rules_with_it() -> None:
    missed = {item.rule: item.reason for item in judged(EXPANDED, "nm", "first").not_executed}
    assert set(missed) == {"ln.present", "ln.type", "ln.required"}
    assert set(missed.values()) == {"column ln has not come yet: nm stands in for it until 2027-06-30"}


def test_who_still_reads_it_is_named() -> None:
    assert told(judged(EXPANDED, "nm")) == "deprecated, and still there (until 2027-06-30; first and ln instead); still read by letters"
    assert told(judged(EXPANDED, "first", "ln")) == "not there any more; still read by letters"
    moved = contract(DEPRECATED + NEW, "1.2.0", READERS.replace("[name]", "[first, last]"))
    assert told(judged(moved, "first", "ln")) == "not there any more"
    assert judged(moved, "first", "ln").outcome is Outcome.PASS
    assert list(deprecations(EXPANDED)) == ["people.nm is deprecated until 2027-06-30 (first and ln instead), and still read by letters"]
    assert list(deprecations(moved)) == []
    assert [use.properties for use in uses_of(EXPANDED)] == [("nm",), ("first",)]


def test_expanding_is_a_minor_version_and_contracting_a_major_one() -> None:
    expand = compare(contract(OLD), EXPANDED, Mode.FULL)
    assert expand.needed.word == "minor"
    assert {change.kind.name for change in expand.changes} == {"property.introduced", "property.deprecated"}
    assert [change.hint for change in expand.changes if change.hint] == ["still read by letters"]
    shrunk = compare(EXPANDED, contract(NEW, "2.0.0"))
    assert shrunk.needed.word == "major"
    (removed,) = [change for change in shrunk.changes if change.kind.name == "property.removed"]
    assert removed.hint == "still read by letters"


def test_another_replacement_is_a_risk() -> None:
    other = contract(DEPRECATED.replace("[first, last]", "first") + NEW, "1.2.0")
    (change,) = compare(EXPANDED, other).changes
    assert (change.kind.name, change.old, change.new) == ("property.replacedBy", "first, ln", "first")


def test_who_reads_what_is_no_change_of_the_data() -> None:
    other = contract(DEPRECATED + NEW, "1.1.1", READERS.replace("[name]", "[first]"))
    (change,) = compare(EXPANDED, other).changes
    assert (change.kind.name, change.place) == ("text.changed", "circuitBreaker.consumers[letters].properties")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (DEPRECATED.replace("[first, last]", "frist"), 'no other property "frist", did you mean "first"?'),
        (DEPRECATED.replace("[first, last]", "name"), 'no other property "name"'),
        (DEPRECATED.replace("[first, last]", "[]"), "expected a property or a list of properties"),
        (DEPRECATED.replace("        deprecated: true\n", ""), "replacedBy goes with deprecated: true"),
        (DEPRECATED.replace("        - {property: deprecatedUntil, value: '2027-06-30'}\n", ""), "replacedBy goes with"),
    ],
)
def test_what_replaces_is_there(given: str, message: str) -> None:
    with pytest.raises(ContractInvalid) as raised:
        contract(given + NEW)
    assert message in str(raised.value)


def test_what_a_consumer_reads_is_a_list_of_columns_of_the_contract() -> None:
    with pytest.raises(ContractInvalid, match="expected a list of properties that it reads"):
        contract(OLD, consumers="{asset: letters, fallback: halt, properties: name}")
    (slip,) = slips(contract(OLD, consumers="{asset: letters, fallback: halt, properties: [nmae]}"))
    assert 'reads "nmae", which the contract does not have' in slip.message
