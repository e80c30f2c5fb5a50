"""docs/reference/compatibility.md: its tables are those of the code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from dagster_contracts.core.compat import compare
from dagster_contracts.core.compat_kinds import KINDS
from dagster_contracts.core.contract import BreakerPolicy, Contract, Fallback, Operator, Property, QualityRule, SchemaObject, ServiceLevel

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "compatibility.md"


def contract(prop: Property | None = None, level: str | int = 0, policy: BreakerPolicy | None = None, **of: object) -> Contract:
    properties = (Property("at", "timestamp"), *(() if prop is None else (prop,)))
    levels = (ServiceLevel("freshness", level, unit="h", element="orders.at"),) if level else ()
    obj = SchemaObject("orders", properties=properties, **of)  # type: ignore[arg-type]
    return Contract(
        "orders", "1.0.0", "v3.1.0", "active", (obj,), service_levels=levels, policy=policy or BreakerPolicy(), content_hash="a"
    )


def of(kind: str | None = "string", **given: object) -> Contract:
    flags = {
        name: given.pop(name)
        for name in ("required", "unique", "enum", "quality", "properties", "items", "classification", "primary_key")
        if name in given
    }
    return contract(Property("c", kind, options=given, **flags))  # type: ignore[arg-type]


def nulls(most: float, unit: str = "percent", severity: str | None = None) -> tuple[QualityRule, ...]:
    return (QualityRule("library", "nullValues", ((Operator.LESS_OR_EQUAL, most),), unit=unit, severity=severity),)


def field(kind: str) -> Property:
    return Property("f", kind)


EXAMPLES: dict[str, tuple[Contract, Contract]] = {
    "a column is added": (contract(), of()),
    "a column is removed": (of(), contract()),
    "integer becomes number (wider)": (of("integer"), of("number")),
    "number becomes integer (narrower)": (of("number"), of("integer")),
    "string becomes integer": (of("string"), of("integer")),
    "the type is no longer stated": (of("string"), of(None)),
    "a value is added to an enum": (of(enum=("a", "b")), of(enum=("a", "b", "c"))),
    "a value is taken from an enum": (of(enum=("a", "b", "c")), of(enum=("a", "b"))),
    "one value of an enum gives way to another": (of(enum=("a", "b")), of(enum=("a", "c"))),
    "`maximum` is raised": (of("number", maximum=5), of("number", maximum=9)),
    "`maximum` is lowered": (of("number", maximum=9), of("number", maximum=5)),
    "`minLength` is stated": (of(), of(minLength=2)),
    "`multipleOf` 10 becomes 5": (of("integer", multipleOf=10), of("integer", multipleOf=5)),
    "`pattern` changes": (of(pattern="^a"), of(pattern="^b")),
    "`format` changes": (of(format="email"), of(format="uuid")),
    "`timezone: true` is no longer stated": (of("timestamp", timezone=True), of("timestamp")),
    "nulls are allowed": (of(required=True), of()),
    "nulls are forbidden": (of(), of(required=True)),
    "uniqueness is no longer promised": (of(unique=True), of()),
    "uniqueness is promised": (of(), of(unique=True)),
    "a column joins the primary key": (of(), of(primary_key=True)),
    "a nested field is added": (of("object"), of("object", properties=(field("string"),))),
    "a nested field is removed": (of("object", properties=(field("string"),)), of("object")),
    "the elements of an array become wider": (of("array", items=Property("", "integer")), of("array", items=Property("", "number"))),
    "freshness of 24 hours becomes 48": (contract(level=24), contract(level=48)),
    "freshness of 24 hours becomes 12": (contract(level=24), contract(level=12)),
    "at most 1% nulls become 5%": (of(quality=nulls(1)), of(quality=nulls(5))),
    "at most 5% nulls become 1%": (of(quality=nulls(5)), of(quality=nulls(1))),
    "at most 5% nulls become 10 rows": (of(quality=nulls(5)), of(quality=nulls(10, "rows"))),
    "a rule is critical instead of error": (of(quality=nulls(5)), of(quality=nulls(5, severity="critical"))),
    "a rule only warns": (of(quality=nulls(5)), of(quality=nulls(5, severity="warning"))),
    "other columns are refused (`closedSchema`)": (contract(), contract(closed=True)),
    "a column is classified": (of(), of(classification="confidential")),
    "`fallback: last_good` becomes `halt`": (contract(), contract(policy=BreakerPolicy(fallback=Fallback.HALT))),
    "`fallback: last_good` becomes `low_confidence`": (contract(), contract(policy=BreakerPolicy(fallback=Fallback.LOW_CONFIDENCE))),
    "`maxStaleness` is stated": (contract(), contract(policy=BreakerPolicy(max_staleness=timedelta(days=1)))),
    "`failures: 1` becomes 2": (contract(), contract(policy=BreakerPolicy(failures=2))),
    "`onInconclusive: hold` becomes `admit`": (contract(), contract(policy=BreakerPolicy(admit_inconclusive=True))),
    "the description changes": (contract(), replace(contract(), description="said otherwise")),
}


def examples() -> Iterator[str]:
    yield "| change | consumers | producer | kind |"
    yield "|---|---|---|---|"
    for words, (old, new) in EXAMPLES.items():
        changes = compare(old, replace(new, version="2.0.0", content_hash="b")).changes
        worst = max(changes, key=lambda change: (change.consumer, change.producer))
        assert len({change.kind.name for change in changes}) == 1, (words, [change.kind.name for change in changes])
        yield f"| {words} | {worst.consumer.word} | {worst.producer.word} | `{worst.kind.name}` |"


def kinds() -> Iterator[str]:
    yield "| kind | consumers | producer | why |"
    yield "|---|---|---|---|"
    for kind in KINDS.values():
        yield f"| `{kind.name}` | {kind.consumer.word} | {kind.producer.word} | {kind.reason} |"


@pytest.mark.parametrize("table", [examples, kinds], ids=["examples", "kinds"])
def test_the_page_has_the_tables_of_the_code(table: object) -> None:
    assert callable(table)
    rows = list(table())
    text = PAGE.read_text()
    name = "## Changes" if table is examples else "## Kinds"
    assert text.partition(f"{name}\n\n")[2].partition("\n\n")[0].split("\n") == rows
