"""Versions that ask for the same in other words, or for nothing: no change of them is told to break anybody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dagster_contracts.core.compat import compare
from dagster_contracts.core.compat_kinds import Impact
from dagster_contracts.core.contract import Contract, Operator, Property, QualityRule, SchemaObject

SAFE, RISKY, BREAKING = Impact.SAFE, Impact.RISKY, Impact.BREAKING


def of(kind: str | None, **options: object) -> Property:
    return Property("c", kind, options=options)


def counted(metric: str, operator: Operator, value: object, unit: str | None = None) -> Property:
    return Property("c", "string", quality=(QualityRule("library", metric, ((operator, value),), unit=unit),))


def within(prop: Property) -> Property:
    return Property("o", "array", items=replace(prop, name=""))


def impacts(old: Property, new: Property) -> tuple[Impact, Impact]:
    """The worst for consumers, and for the producer."""
    contracts = [
        Contract("id", version, "v3.1.0", "active", (SchemaObject("o", properties=(prop,)),), content_hash=version)
        for prop, version in ((old, "1.0.0"), (new, "2.0.0"))
    ]
    changes = compare(*contracts).changes
    return max((each.consumer for each in changes), default=SAFE), max((each.producer for each in changes), default=SAFE)


MISSING = QualityRule("library", "missingValues", ((Operator.MUST_BE, 0),), arguments={"missingValues": [None, ""]})
NULLS, LESS, AT_MOST = "nullValues", Operator.LESS_THAN, Operator.LESS_OR_EQUAL

SAME = {
    "whole numbers above": (of("integer", exclusiveMinimum=5), of("integer", minimum=6)),
    "whole numbers below": (of("integer", maximum=5), of("integer", exclusiveMaximum=6)),
    "whole numbers between": (of("integer", minimum=4.5), of("integer", minimum=5)),
    "whole elements": (within(of("integer", exclusiveMinimum=5)), within(of("integer", minimum=6))),
    "a format and its range": (of("integer", format="i8"), of("integer", minimum=-128, maximum=127)),
    "no nulls": (counted(NULLS, Operator.MUST_BE, 0), counted(NULLS, LESS, 1)),
    "at most four": (counted(NULLS, LESS, 5), counted(NULLS, AT_MOST, 4)),
    "from nothing": (counted(NULLS, Operator.BETWEEN, (0, 5)), counted(NULLS, AT_MOST, 5)),
    "any share": (counted(NULLS, AT_MOST, 100, "percent"), Property("c", "string")),
    "any length": (of("string", minLength=0), of("string")),
    "any size": (of("array", minItems=0), of("array")),
    "repeated elements": (of("array", uniqueItems=False), of("array")),
    "instants": (of("timestamp", minimum="2026-01-01T01:00:00+01:00"), of("timestamp", minimum="2026-01-01T00:00:00Z")),
    "a listed field": (
        Property("c", "object", properties=(Property("a"),), options={"required": ["a"]}),
        Property("c", "object", properties=(Property("a"),)),
    ),
}
TIGHTER_IN_OTHER_WORDS = {
    "nulls and more": (Property("c", "string", required=True), Property("c", "string", quality=(MISSING,))),
    "values within a range": (of("integer", minimum=0, maximum=9), Property("c", "integer", enum=(1, 2))),
    "values of a length": (of("string", minLength=2, maxLength=2), Property("c", "string", enum=("de", "fr"))),
    "whole numbers": (of("number", multipleOf=0.5), of("integer")),
}
LOOSER = {
    "numbers above": (of("number", minimum=6), of("number", exclusiveMinimum=5)),
    "a format and less than its range": (of("integer", format="i8"), of("integer", minimum=-128)),
    "one null": (counted(NULLS, Operator.MUST_BE, 0), counted(NULLS, LESS, 2)),
    "some length": (of("string", minLength=1), of("string", minLength=0)),
    "later": (of("timestamp", maximum="2026-01-01T00:00:00Z"), of("timestamp", maximum="2027-01-01T00:00:00Z")),
    "earlier in the day": (of("time", minimum="08:00:00"), of("time", minimum="07:30")),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_in_other_words_is_safe_for_both(name: str) -> None:
    old, new = SAME[name]
    assert impacts(old, new) == impacts(new, old) == (SAFE, SAFE)


@pytest.mark.parametrize("name", LOOSER)
def test_what_lets_more_pass_is_breaking_for_consumers_alone(name: str) -> None:
    old, new = LOOSER[name]
    assert impacts(old, new) == (BREAKING, SAFE)
    assert impacts(new, old) == (SAFE, BREAKING)


@pytest.mark.parametrize("name", TIGHTER_IN_OTHER_WORDS)
def test_what_lets_less_pass_in_other_words_is_breaking_for_the_producer_alone(name: str) -> None:
    old, new = TIGHTER_IN_OTHER_WORDS[name]
    assert impacts(old, new) == (SAFE, BREAKING)


def test_values_beside_a_range_are_not_within_it() -> None:
    assert impacts(of("integer", minimum=0, exclusiveMaximum=2), Property("c", "integer", enum=(1, 2))) == (BREAKING, BREAKING)
    assert impacts(of("string", maxLength=2), Property("c", "string", enum=("de", "fra"))) == (BREAKING, BREAKING)


def test_instants_without_an_offset_are_not_compared() -> None:
    old, new = (of("timestamp", maximum=f"202{year}-01-01T00:00:00") for year in (6, 7))
    assert impacts(old, new) == (RISKY, RISKY)
