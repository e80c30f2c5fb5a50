"""Contracts that nobody wrote for us: other versions, other forms, words that YAML reads as something else."""

from __future__ import annotations

import pytest

from dagster_contracts.core import odcs
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.errors import ContractError, Problem
from dagster_contracts.core.slips import slips

HEAD = "apiVersion: v3.1.0\nkind: DataContract\nid: feed\nversion: 1.0.0\nstatus: active\n"


def told(text: str) -> list[Problem]:
    with pytest.raises(ContractError) as caught:
        odcs.parse(text, source="feed.yaml")
    return list(getattr(caught.value, "problems", ())) or [Problem("", str(caught.value))]


def test_a_rule_of_3_0_that_names_no_metric_of_ours_needs_no_operator() -> None:
    text = HEAD.replace("v3.1.0", "v3.0.0") + (
        "schema:\n- name: feed\n  properties:\n  - name: a\n    logicalType: string\n"
        "    quality:\n    - {rule: nullCheck, type: library, severity: error, dimension: completeness}\n"
    )
    contract = odcs.parse(text)
    [left] = compile_plan(contract, contract.objects[0]).not_executed
    assert left.rule == "a.nullCheck"
    assert "metric nullCheck is not known" in left.reason


def test_a_rule_of_3_0_that_is_known_needs_one() -> None:
    text = HEAD.replace("v3.1.0", "v3.0.0") + "schema:\n- name: feed\n  quality:\n  - {rule: rowCount, type: library}\n"
    assert "has no operator" in told(text)[0].message


@pytest.mark.parametrize(
    "entry",
    ["{property: environment, value: prod}", "{property: environment, value: [dev, prod]}", "{property: waiver, value: none}"],
)
def test_a_custom_property_with_a_word_like_ours_is_theirs(entry: str) -> None:
    assert odcs.parse(HEAD + f"customProperties: [{entry}]")


def test_one_with_the_form_of_ours_is_a_slip() -> None:
    [problem] = told(HEAD + "customProperties: [{property: environment, value: {dev: warn}}]")
    assert 'did you mean "environments"?' in problem.message


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (HEAD.replace("version: 1.0.0", "version: 1.10"), 4, 'expected text, found 1.1; quote it if the text is meant: "1.10"'),
        (HEAD.replace("id: feed", "id: 0123"), 3, 'found 83; quote it if the text is meant: "0123"'),
        (HEAD + "schema: [{name: feed, properties: [{name: no}]}]", 6, 'found false; quote it if the text is meant: "no"'),
        (HEAD + "tags: [2024]", 6, 'found 2024; quote it if the text is meant: "2024"'),
    ],
)
def test_a_word_that_yaml_reads_as_something_else_is_told_as_written(text: str, line: int, said: str) -> None:
    [problem] = told(text)
    assert problem.line == line
    assert problem.message.endswith(said)


def test_what_is_no_word_is_not_to_be_quoted() -> None:
    assert [problem.message for problem in told(HEAD + "name: [a]")] == ["expected text, found a list"]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (
            "dataContractSpecification: 1.2.0\nid: x\ninfo: {title: t}\nmodels: {}\n",
            1,
            "a document of the Data Contract Specification; convert it to ODCS",
        ),
        (
            "kind: DataContract\napiVersion: v2.2.2\nuuid: 1\ndataset: []\n",
            2,
            '"v2.2.2" is not a supported version of the standard; supported: v3.0.0',
        ),
    ],
)
def test_another_form_is_told_once(text: str, line: int, said: str) -> None:
    [problem] = told(text)
    assert problem.line == line
    assert said in problem.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "schema:\n\t- name: feed\n", "feed.yaml:7:1: not readable as YAML: a tab stands here"),
        (HEAD + "name: @home\n", 'feed.yaml:6:7: not readable as YAML: no text begins with @; quote it ("@home")'),
    ],
)
def test_a_character_that_the_parser_stops_at_is_named(text: str, said: str) -> None:
    assert told(text)[0].message.startswith(said)


@pytest.mark.parametrize(
    ("relationship", "said"),
    [
        ("{type: foreignKey}", 'the key "to" is missing'),
        ("{to: feed}", '"feed" names an object; name a property of it'),
        ("{to: 'contract:x/y'}", '"contract:x/y" names no property; expected schema/<id>/properties/<id>'),
    ],
)
def test_a_target_that_is_none_is_told_once(relationship: str, said: str) -> None:
    [problem] = told(HEAD + f"schema: [{{name: feed, properties: [{{name: a, relationships: [{relationship}]}}]}}]")
    assert problem.message == said


def test_what_others_call_nullable() -> None:
    [problem] = told(HEAD + "schema: [{name: feed, properties: [{name: a, logicalType: string, isNullable: false}]}]")
    assert problem.message == 'unknown key "isNullable"; the key "required" says the opposite: true where nulls are refused'


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ('""', 'expected a name, found ""'),
        ('"id "', "begins or ends with a space"),
        ('"\\u200bid"', "holds U+200B, which nobody sees"),
        ("order id", None),
        ("größe", None),
    ],
)
def test_a_name_that_nobody_sees_as_it_is_is_a_slip(name: str, said: str | None) -> None:
    contract = odcs.parse(
        HEAD + f"schema: [{{name: feed, properties: [{{name: o, logicalType: object, properties: [{{name: {name}}}]}}]}}]"
    )
    found = [problem for problem in slips(contract) if problem.path == "schema[0].properties[0].properties[0].name"]
    assert [said in problem.message for problem in found if said] == ([True] if said else [])
    assert bool(found) == bool(said)
