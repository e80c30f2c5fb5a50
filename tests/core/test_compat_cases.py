"""Verdicts of others on pairs of schemas. Where ours differ, docs/reference/compatibility.md says why, and its count is compared here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dagster_contracts.core.compat import compare
from dagster_contracts.core.compat_kinds import Impact
from dagster_contracts.core.contract import Contract, Property, SchemaObject
from tests.core.avro import pair
from tests.shared_cases import CASES, needs_cases

# What differs, and the heading under which the reference argues it.
DIFFERENT = {
    **dict.fromkeys(("avro-009", "avro-083"), "unions of unlike types"),
    **dict.fromkeys(("avro-029", "avro-036", "avro-041"), "unions without a branch"),
    **dict.fromkeys(("avro-096", "avro-098", "avro-099"), "names of types"),
    "avro-068": "an enum with a default",
    "avro-129": "aliases",
}


def impacts(old: Contract, new: Contract) -> tuple[Impact, Impact]:
    """The worst for consumers, and for the producer."""
    changes = compare(old, new).changes
    return (
        max((change.consumer for change in changes), default=Impact.SAFE),
        max((change.producer for change in changes), default=Impact.SAFE),
    )


@needs_cases
def test_avro_readers_and_writers() -> None:
    cases: list[dict[str, Any]] = json.loads((CASES / "compat/avro_reader_writer.json").read_text())
    differing = []
    for case in cases:
        consumer, _ = impacts(*pair(case["reader"], case["writer"]))
        assert consumer is not Impact.RISKY, case["id"]
        if (consumer is Impact.SAFE) != case["compatible"]:
            differing.append(case["id"])
    assert sorted(differing) == sorted(DIFFERENT)
    assert len(cases) == 66


def record(name: str, *fields: tuple[Any, ...]) -> dict[str, Any]:
    named = [dict(zip(("name", "type", "default"), field, strict=False)) for field in fields]
    return {"type": "record", "name": name, "fields": named}


def linked(kind: str) -> dict[str, Any]:
    return record("Link", ("value", kind), ("next", ["null", "Link"], None))


INNER = record("Inner", ("x", "int"))
LONGER = record("Inner", ("x", "int"), ("y", "int", 0))
KEYS = {"type": "enum", "name": "Key", "symbols": ["a"]}
MORE_KEYS = {"type": "enum", "name": "Key", "symbols": ["a", "b"]}
DAY = {"type": "int", "logicalType": "date"}


@pytest.mark.parametrize(
    ("reader", "writer", "compatible"),
    [
        ({"type": "long"}, "int", True),
        (DAY, DAY, True),
        (record("R", ("day", "int")), record("R", ("day", DAY)), True),
        ("string", "bytes", True),
        ("bytes", "string", True),
        ("null", "int", False),
        ("null", "null", True),
        (["null", "int"], "int", True),
        (linked("long"), linked("int"), True),
        (linked("int"), linked("long"), False),
        (record("R", ("a", KEYS), ("b", "Key")), record("R", ("a", MORE_KEYS), ("b", "Key")), False),
        (record("R", ("a", MORE_KEYS), ("b", "Key")), record("R", ("a", KEYS), ("b", "Key")), True),
        (record("R", ("o", LONGER)), record("R", ("o", INNER)), True),
        ({"type": "array", "items": LONGER}, {"type": "array", "items": INNER}, True),
        ({"type": "map", "values": INNER}, {"type": "map", "values": LONGER}, True),
        (["int", INNER], INNER, True),
        (INNER, ["int", INNER], False),
        (record("R", ("o", INNER)), record("R", ("o", ["null", INNER])), False),
    ],
    ids=str,
)
def test_readers_and_writers_of_ours(reader: Any, writer: Any, compatible: bool) -> None:
    consumer, _ = impacts(*pair(reader, writer))
    assert consumer is (Impact.SAFE if compatible else Impact.BREAKING)


def of(kind: str | None = "string", **options: object) -> Property:
    return Property("c", kind, options=options)


CHANGES: dict[str, tuple[Property | None, Property | None]] = {
    "MAXIMUM_INCREASED": (of("number", maximum=5), of("number", maximum=9)),
    "MINIMUM_DECREASED": (of("number", minimum=5), of("number", minimum=2)),
    "MAX_LENGTH_INCREASED": (of(maxLength=5), of(maxLength=9)),
    "MIN_LENGTH_DECREASED": (of(minLength=5), of(minLength=2)),
    "MAX_ITEMS_DECREASED": (of("array", maxItems=5), of("array", maxItems=2)),
    "MIN_ITEMS_INCREASED": (of("array", minItems=5), of("array", minItems=7)),
    "PATTERN_CHANGED": (of(pattern="^a"), of(pattern="^b")),
    "REQUIRED_ATTRIBUTE_ADDED": (of(), Property("c", "string", required=True)),
    "TYPE_CHANGED": (of("string"), of("integer")),
    "TYPE_NARROWED": (of("number"), of("integer")),
    "MULTIPLE_OF_REDUCED": (of("integer", multipleOf=10), of("integer", multipleOf=5)),
    "OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL": (None, of()),
    "PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL": (of(), None),
    "DESCRIPTION_CHANGED": (of(), Property("c", "string", description="said otherwise")),
    "MAXIMUM_REMOVED": (of("number", maximum=5), of("number")),
}
ARGUED = ["OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL"]


@needs_cases
def test_changes_of_constraints() -> None:
    rows = json.loads((CASES / "compat/constraint_changes.json").read_text())["rows"]
    differing = []
    for row in rows:
        closed = "UNOPEN" in row["change"]
        old, new = (
            _contract(prop, version, closed=closed) for prop, version in zip(CHANGES[row["change"]], ("1.0.0", "2.0.0"), strict=True)
        )
        consumer, producer = impacts(old, new)
        ours = (producer is Impact.SAFE, None if row["forward_ok"] is None else consumer is Impact.SAFE)
        if ours != (row["backward_ok"], row["forward_ok"]):
            differing.append(row["change"])
    assert differing == ARGUED
    assert [row["change"] for row in rows] == list(CHANGES)


def _contract(prop: Property | None, version: str, *, closed: bool) -> Contract:
    properties = (Property("k", "string"), *(() if prop is None else (prop,)))
    return Contract("id", version, "v3.1.0", "active", (SchemaObject("o", properties=properties, closed=closed),), content_hash=version)


@pytest.mark.parametrize("reason", dict.fromkeys((*DIFFERENT.values(), "an optional property in a closed schema")))
def test_each_difference_is_argued(reason: str) -> None:
    from tests.test_docs import ROOT

    page = (ROOT / "docs/reference/compatibility.md").read_text()
    assert f"**{reason[0].upper()}{reason[1:]}**" in page
