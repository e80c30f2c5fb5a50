"""Contracts are changed in place: what is not changed keeps every character, and the document says what it said, and the change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.core.amend import Append, Edit, Put, Remove, amended
from dagster_contracts.core.document import read
from dagster_contracts.core.errors import ContractSyntaxError, UsageError
from tests.shared_cases import CASES, needs_cases

RULE = {"type": "library", "metric": "nullValues", "mustBeLessOrEqualTo": 5, "unit": "percent"}

CONTRACT = """\
# Ours.
version: 1.0.0   # bumped by hand
schema:
- name: trips
  properties:
  - name: fare   # in euros
    logicalType: number

    # Everything below 3 is a mistake of the meter.
    logicalTypeOptions: {minimum: 3}
  - {name: tip, logicalType: "number"}
  - name: note
    description: |
      Free text.

      Two paragraphs.

  - name: kind
    quality:   # none yet
  - name: zone
    quality: []  # to do
# The end.
"""


def test_added_lines_are_the_only_difference() -> None:
    text = amended(CONTRACT, [Append(("schema", 0, "properties", 0, "quality"), RULE), Put(("version",), "1.1.0")])
    lines = CONTRACT.splitlines()
    lines[1] = "version: 1.1.0   # bumped by hand"
    lines[10:10] = [
        "    quality:",
        "    - type: library",
        "      metric: nullValues",
        "      mustBeLessOrEqualTo: 5",
        "      unit: percent",
    ]
    assert text.splitlines() == lines


@pytest.mark.parametrize(
    ("edit", "old", "new"),
    [
        (Put(("schema", 0, "properties", 0, "logicalTypeOptions", "maximum"), 90), "{minimum: 3}", "{minimum: 3, maximum: 90}"),
        (Put(("schema", 0, "properties", 0, "logicalTypeOptions", "minimum"), 2.5), "{minimum: 3}", "{minimum: 2.5}"),
        (Put(("schema", 0, "properties", 1, "logicalType"), "integer"), '"number"', '"integer"'),
        (Put(("schema", 0, "properties", 1, "required"), True), '"number"}', '"number", required: true}'),
        (Append(("schema", 0, "properties", 1, "quality"), {"a": [1]}), '"number"}', '"number", quality: [{a: [1]}]}'),
        (Put(("schema", 0, "properties", 2, "required"), True), "paragraphs.\n", "paragraphs.\n    required: true\n"),
        (Append(("schema", 0, "properties", 3, "quality"), {"a": 1}), "quality:   # none yet\n", "quality:   # none yet\n    - a: 1\n"),
        (Append(("schema", 0, "properties", 4, "quality"), {"a": 1}), "quality: []  # to do\n", "quality:  # to do\n    - a: 1\n"),
        (Append(("schema", 0, "quality"), {"a": 1}), "# to do\n", "# to do\n  quality:\n  - a: 1\n"),
        (Remove(("schema", 0, "properties", 0, "logicalType")), "    logicalType: number\n", ""),
        (Remove(("schema", 0, "properties", 1, "name")), "{name: tip, ", "{"),
        (Remove(("schema", 0, "properties", 1)), '  - {name: tip, logicalType: "number"}\n', ""),
        (Put(("slaProperties", "x"), "yes"), "# to do\n", "# to do\nslaProperties:\n  x: 'yes'\n"),
    ],
)
def test_an_edit(edit: Edit, old: str, new: str) -> None:
    assert amended(CONTRACT, [edit]) == CONTRACT.replace(old, new)


def test_the_layout_is_that_of_the_document() -> None:
    text = "schema:\r\n    - name: a\r\n      tags:\r\n          - x\r\n      more:\r\n          deep: 1"
    added = amended(text, [Append(("schema",), {"name": "b", "quality": [RULE]})])
    lines = ["    - name: b", "      quality:", "          - type: library", "            metric: nullValues"]
    assert added.startswith("\r\n".join([text, *lines]) + "\r\n")
    assert not added.endswith("\n")  # as before
    assert "\n" not in added.replace("\r\n", "")


def test_json_stays_json() -> None:
    text = '{\n  "version": "1.0.0",\n  "schema": [\n    {"name": "a"}\n  ]\n}\n'
    added = amended(text, [Append(("schema", 0, "quality"), RULE), Append(("schema",), {"name": "b"}), Put(("x",), None)])
    assert json.loads(added) == {"version": "1.0.0", "schema": [{"name": "a", "quality": [RULE]}, {"name": "b"}], "x": None}
    assert added.splitlines()[4] == '    {"name": "b"}'
    assert added.splitlines()[6] == '  "x": null'


def test_flow_over_lines_with_comments() -> None:
    text = "a: [\n  one,  # first\n  two,  # second\n]\nb: {}\n"
    new = "a: [\n  one,  # first\n  two,\n  three,  # second\n]\nb: {c: []}\n"
    assert amended(text, [Append(("a",), "three"), Put(("b", "c"), [])]) == new


def test_lists_of_one_length_are_changed_item_by_item() -> None:
    text = "rule:\n  mustBeBetween:\n  - 9000   # the least\n  - 11000\n"
    assert amended(text, [Put(("rule", "mustBeBetween"), [8000, 12000])]) == text.replace("9000", "8000").replace("11000", "12000")
    assert amended(text, [Put(("rule", "mustBeBetween"), 5)]) == "rule:\n  mustBeBetween: 5\n"


@pytest.mark.parametrize(
    "value",
    [
        "yes",
        "1e5",
        "012",
        "12:30",
        "",
        " a ",
        "a: b",
        "#c",
        "- d",
        "ü😀",
        "it's",
        'say "x"',
        "a\nb",
        "~",
        "2026-01-01",
        "*x",
        "[",
        "{a}",
        "C:\\",
    ],
)
@pytest.mark.parametrize("text", ["a: 1\n", "a: 'q'\n", 'a: "q"\n', "a: {b: 1}\n"])
def test_text_stays_text(value: str, text: str) -> None:
    assert read(amended(text, [Put(("new",), value), Put(("a",), value), Put(("list",), [value])])).value == {
        "a": value,
        "new": value,
        "list": [value],
    }


def test_a_byte_order_mark_stays() -> None:
    assert amended("\ufeffa: 1\n", [Put(("a",), 2)]) == "\ufeffa: 2\n"


def test_text_that_keeps_its_blank_lines() -> None:
    text = "a:\n  b: |+\n    text\n\n\nc: 1\n"
    assert amended(text, [Put(("a", "d"), 2)]) == "a:\n  b: |+\n    text\n\n\n  d: 2\nc: 1\n"


SHARED = "base: &base\n  x: 1\none: *base\ntwo:\n  <<: *base\n  y: 2\nthree: &t {z: 1}\nfour: *t\n"


@pytest.mark.parametrize(
    "edit",
    [
        Put(("base", "x"), 2),
        Put(("one", "x"), 2),
        Append(("three", "list"), 1),
        Remove(("two", "x")),
        Put(("three",), 1),
        Put(("four",), 1),
    ],
)
def test_what_is_written_once_for_several_places_is_refused(edit: Edit) -> None:
    with pytest.raises(UsageError, match=r"c\.yaml:\d+: .* cannot be changed in place: .*write it out"):
        amended(SHARED, [edit], source="c.yaml")


def test_beside_what_is_shared() -> None:
    text = amended(SHARED, [Put(("two", "x"), 5), Put(("two", "w"), 3), Put(("five",), 1)])
    assert text == SHARED.replace("  y: 2\n", "  y: 2\n  x: 5\n  w: 3\n") + "five: 1\n"


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (Remove(("nothing",)), 'no "nothing" there'),
        (Put(("schema", 7, "name"), 1), 'no "7" there'),
        (Append(("version",), 1), 'expected a list, found "1.0.0"'),
        (Put(("version", "x"), 1), 'no "x" there'),
    ],
)
def test_a_place_that_is_not_there(edit: Edit, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        amended(CONTRACT, [edit])


def test_two_documents_are_none() -> None:
    with pytest.raises(ContractSyntaxError, match="a second YAML document"):
        amended("a: 1\n---\nb: 2\n", [Put(("a",), 2)])


def test_tabs_before_comments() -> None:
    assert amended("a:\n- 1\t# tab\n", [Append(("a",), 2)]) == "a:\n- 1\t# tab\n- 2\n"


# --- contracts of others -------------------------------------------------------------------------------------------

OURS = [*Path("contracts").glob("*.yaml"), *Path("benchmarks").glob("*.odcs.yaml")]


def everywhere(text: str) -> list[Append | Put]:
    value = read(text).value
    assert isinstance(value, dict)
    edits: list[Append | Put] = [Append(("slaProperties",), {"property": "latency", "value": 3, "unit": "d"})]
    for number, obj in enumerate(value.get("schema") or []):
        edits.append(Append(("schema", number, "quality"), RULE))
        columns = obj.get("properties") if isinstance(obj, dict) else None
        edits += [Append(("schema", number, "properties", column, "quality"), RULE) for column in range(len(columns or ()))][:3]
    return edits


def only_more(old: str, new: str) -> bool:
    """Whether every line of `old` stands in `new`, in the same order."""
    lines = iter(new.splitlines())
    return all(line in lines for line in old.splitlines())


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_rules_for_every_column_of_our_contracts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert only_more(text, amended(text, everywhere(text)))


@needs_cases
def test_rules_for_columns_of_contracts_of_others() -> None:
    for path in [*CASES.glob("contracts/*.yaml"), *CASES.glob("odcs/contracts/*.y*ml"), *CASES.glob("odcs/changelog/*.y*ml")]:
        text = path.open(encoding="utf-8", newline="").read()
        if isinstance(read(text).value, dict):
            new = amended(text, everywhere(text), source=path.name)
            assert only_more(text, new) or "[]" in text, path  # an empty list is not one line more


# --- whatever the document -----------------------------------------------------------------------------------------

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 99), st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=4)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdef"), inner, max_size=3), max_leaves=8
)
documents = st.dictionaries(st.sampled_from("abcdef"), values, min_size=1, max_size=4)


def places_of(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in parts for place in places_of(part, (*path, key)))]


@settings(max_examples=60, deadline=None)
@given(st.data(), documents, values, st.sampled_from(["block", "flow", "json", "mixed"]))
def test_any_edit_of_any_document(data: st.DataObject, document: dict[str, object], value: object, form: str) -> None:
    """`amended` itself refuses what does not read as the change alone; here nothing is refused."""
    import yaml

    styles = {"block": False, "flow": True, "mixed": None}
    text = (
        json.dumps(document, indent=2) if form == "json" else yaml.safe_dump(document, default_flow_style=styles[form], allow_unicode=True)
    )
    if read(text).value != document:
        return  # PyYAML writes some text so that we read it as something else
    place = data.draw(st.sampled_from(places_of(document)[1:]))
    edit = data.draw(
        st.sampled_from([Put(place, value), Remove(place), Append((*place[:-1], "new"), value), Put((*place[:-1], "new"), value)])
    )
    owner = document
    for part in place[:-1]:
        owner = owner[part]  # type: ignore[index]
    if edit.path[-1] == "new" and not isinstance(owner, dict):
        edit = Append(place[:-1], value)
    amended(text, [edit])
