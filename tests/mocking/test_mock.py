"""Data made from a contract passes its own test; where that cannot be, the rules are named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from dagster_contracts import mock
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import Contract, Operator, Property, QualityRule, Relationship, SchemaObject, ServiceLevel
from dagster_contracts.core.errors import ContractError, Unsatisfiable, UsageError
from dagster_contracts.core.metrics import Query
from dagster_contracts.core.plan import Expected, Within
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.mocking.making import make
from dagster_contracts.store.files import load_contracts
from tests.shared_cases import CASES, needs_cases

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
B = Operator.BETWEEN


def contract(*properties: Property, quality: tuple[QualityRule, ...] = (), levels: tuple[ServiceLevel, ...] = (), **of: Any) -> Contract:
    return of_objects(SchemaObject("feed", properties=properties, quality=quality, **of), levels=levels)


def of_objects(*objects: SchemaObject, levels: tuple[ServiceLevel, ...] = ()) -> Contract:
    return Contract("id", "1.0.0", "v3.1.0", "active", objects, service_levels=levels, source="feed.yaml")


def library(
    metric: str, operator: Operator = Operator.MUST_BE, value: object = 0, unit: str | None = None, **arguments: object
) -> QualityRule:
    return QualityRule("library", metric, ((operator, value),), unit=unit, arguments=arguments)


def ours(metric: str, operator: Operator, value: object, **more: object) -> QualityRule:
    return QualityRule("custom", engine="dagster-contracts", implementation={"metric": metric, operator.value: value, **more})


def compare(column: str, operator: str, other: str) -> QualityRule:
    given = {"metric": "compare", "column": column, "operator": operator, "other": other, "mustBe": 0}
    return QualityRule("custom", engine="dagster-contracts", implementation=given)


def kept(of: Contract, rows: int = 60, seed: int = 3) -> dict[str, pl.DataFrame]:
    """The data; every rule holds, also those that only warn."""
    made = make(of, rows=rows, seed=seed, now=NOW)
    assert {name: [f"{finding.rule}: {finding.observed}" for finding in each.unmet] for name, each in made.items()} == {
        name: [] for name in made
    }
    return {name: each.frame for name, each in made.items()}


N = Property("n", "number")
S = Property("s", "string")
COLUMNS = {
    "integer range": Property("c", "integer", options={"minimum": -3, "exclusiveMaximum": 40, "multipleOf": 3}),
    "decimals": Property("c", "number", options={"exclusiveMinimum": 0, "maximum": 1, "multipleOf": 0.05}),
    "tight": Property("c", "number", options={"exclusiveMinimum": 0.1, "exclusiveMaximum": 0.2}),
    "large": Property("c", "integer", options={"format": "u64", "minimum": 2**64 - 9}),
    "digits": Property("c", "integer", options={"pattern": "^[1-9][0-9]{3}$"}),
    "email": Property("c", "string", options={"format": "email"}, unique=True),
    "uuid": Property("c", "string", options={"format": "uuid"}, primary_key=True),
    "ipv6": Property("c", "string", options={"format": "ipv6"}),
    "two patterns": Property(
        "c", "string", options={"pattern": "[A-Z]", "minLength": 8, "maxLength": 9}, quality=(library("invalidValues", pattern="[0-9]$"),)
    ),
    "one letter": Property("c", "string", options={"maxLength": 1}, unique=True, required=True),
    "numeric text": Property("c", "string", options={"minimum": 5}),
    "mixed enum": Property("c", enum=(1, 2, "a")),
    "true only": Property("c", "boolean", enum=(True,)),
    "enum of dates": Property("c", "date", enum=("2026-01-05", "2026-01-06")),
    "date": Property("c", "date", options={"minimum": "2020-02-28", "maximum": "2020-03-01"}, required=True),
    "timestamp": Property("c", "timestamp", unique=True),
    "future": Property("c", "timestamp", options={"minimum": "2031-01-01T00:00:00Z"}),
    "naive": Property("c", "timestamp", options={"timezone": False, "exclusiveMaximum": "2019-01-01T00:00:00"}),
    "zoned": Property("c", "timestamp", options={"timezone": True}),
    "local": Property("c", "timestamp", options={"defaultTimezone": "Europe/Rome", "minimum": "2026-02-01T00:00:00"}),
    "written": Property("c", "timestamp", options={"format": "dd/MM/yyyy HH:mm:ss.SSS XXX"}),
    "american": Property("c", "date", options={"format": "MM/dd/yy"}),
    "month": Property("c", "date", options={"format": "yyyy-MM"}),
    "time": Property("c", "time", options={"timezone": True}),
    "half day": Property("c", "time", options={"format": "hh:mm a"}),
    "late hours": Property("c", "time", options={"minimum": "22:00:00"}),
    "no type": Property("c", physical_type="DECIMAL(10,2)", options={"minimum": 1}),
    "no nulls": Property("c", "string", quality=(library("missingValues", missingValues=["", "N/A", None]),)),
    "few nulls": Property("c", "string", quality=(library("nullValues", Operator.LESS_THAN, 5, "percent"),)),
    "many nulls": Property("c", "string", quality=(library("nullValues", Operator.GREATER_THAN, 80, "percent"),)),
    "duplicates": Property("c", "string", quality=(library("duplicateValues", Operator.GREATER_THAN, 4),)),
    "some placeholders": Property("c", "string", quality=(library("missingValues", B, [3, 5], missingValues=["N/A"]),)),
    "mean": Property(
        "c", "number", options={"minimum": 0, "maximum": 100}, quality=(ours("mean", B, [41, 42]), ours("standardDeviation", B, [4, 5]))
    ),
    "sum": Property("c", "integer", quality=(ours("sum", Operator.MUST_BE, 4321), ours("minimum", Operator.MUST_BE, 5)), required=True),
    "far mean": Property("c", "number", quality=(ours("mean", Operator.GREATER_THAN, 1e6),)),
    "quantiles": Property(
        "c",
        "number",
        quality=(ours("quantile", B, [9, 10], at=0.5), ours("quantile", B, [90, 95], at=0.9), ours("maximum", Operator.LESS_THAN, 200)),
    ),
    "shares": Property(
        "c",
        "string",
        enum=("a", "b", "c"),
        quality=(ours("share", B, [0.5, 0.6], values=["a"]), ours("share", B, [0.1, 0.12], values=["b"])),
    ),
    "few": Property("c", "string", quality=(ours("distinctCount", Operator.MUST_BE, 4),)),
    "distinct": Property("c", "integer", quality=(ours("distinctShare", B, [0.4, 0.6]),)),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS.keys())
def test_a_column(column: Property) -> None:
    frame = kept(contract(column))["feed"]
    assert frame.height == 60
    assert frame["c"].drop_nulls().n_unique() >= (1 if column.enum or column.quality else 3)


@pytest.mark.parametrize(
    "keys",
    [
        {"id": {"unique": True}},
        {"id": {"primary_key": True, "primary_key_position": 1}, "n": {"primary_key": True, "primary_key_position": 2}},
    ],
)
def test_a_key_that_holds_a_smaller_key_is_no_hindrance(keys: dict[str, dict[str, Any]]) -> None:
    """As `infer` writes it: no row twice, of rows that have a key already."""
    amount = Property("amount", "number", options={"minimum": 0, "maximum": 340}, quality=(ours("mean", B, [17, 31]),))
    columns = (Property("id", "string", **keys.get("id", {})), Property("n", "integer", **keys.get("n", {})), amount)
    mean = kept(contract(*columns, quality=(library("duplicateValues", properties=["id", "n", "amount"]),)))["feed"]["amount"].mean()
    assert isinstance(mean, float)
    assert 17 <= mean <= 31


def test_nested_values() -> None:
    item = Property("", "object", properties=(
        Property("sku", "string", options={"pattern": "^[A-Z]{2}[0-9]{2}$"}, required=True, unique=True),
        Property("sold", "timestamp"),
        Property("^a$", "string", enum=("x", "y"), required=True),
    ))  # fmt: skip
    columns = (
        Property("items", "array", options={"minItems": 2, "maxItems": 3}, items=item, required=True),
        Property("tags", "array", options={"uniqueItems": True}, items=Property("", "string", enum=("a", "b", "c"))),
        Property(
            "prices", "map", keys=Property("", "string", options={"maxLength": 5}), values=Property("", "number", options={"minimum": 1})
        ),
        Property("v", "vector", options={"dimensions": 3}),
        Property("o", "object", options={"required": ["x"], "minProperties": 2}),
        Property("deep", "object", properties=(Property("a", "object", properties=(Property("b", "integer", required=True),)),)),
    )
    frame = kept(contract(*columns))["feed"]
    assert frame["items"].list.len().is_between(2, 3).all()
    assert frame["tags"].null_count() == 3  # of 60: one in twenty


def test_rows_of_several_objects_belong_together() -> None:
    person = SchemaObject("person", properties=(
        Property("id", "string", primary_key=True),
        Property("boss", "string", relationships=(Relationship("person.id", ("boss",), "person", ("id",)),)),
    ))  # fmt: skip
    customer = Relationship("person.id", ("customer",), "person", ("id",))
    order = SchemaObject("order", properties=(
        Property("shop", "integer", primary_key=True, primary_key_position=1, options={"minimum": 1, "maximum": 6}),
        Property("number", "integer", primary_key=True, primary_key_position=2, options={"minimum": 1, "maximum": 12}),
        Property("customer", "string", options={"pattern": "^C[0-9]{5}$"}, required=True, relationships=(customer,)),
        Property("placed", "timestamp", required=True), Property("paid", "timestamp"), Property("sent", "date"),
        Property("net", "number", options={"minimum": 1, "maximum": 90}),
        Property("gross", "number", options={"minimum": 1, "maximum": 100}),
        Property("again", "number"),
    ), quality=(
        compare("placed", "<", "paid"), compare("sent", ">=", "paid"), compare("net", "<=", "gross"), compare("again", "==", "net"),
    ))  # fmt: skip
    line = SchemaObject("line", properties=(
        Property("shop", "integer", required=True), Property("number", "integer", required=True), Property("line", "integer"),
    ), quality=(library("duplicateValues", properties=["shop", "number", "line"]), library("rowCount", Operator.GREATER_THAN, 100)),
       relationships=(Relationship("order", ("shop", "number"), "order", ("shop", "number")),))  # fmt: skip
    frames = kept(of_objects(line, order, person))
    assert {name: frame.height for name, frame in frames.items()} == {"line": 101, "order": 60, "person": 60}
    assert frames["order"]["customer"].is_in(frames["person"]["id"].implode()).all()
    assert frames["order"].filter(pl.col("again") != pl.col("net")).is_empty()


def test_an_object_that_names_itself_in_a_circle() -> None:
    def key(name: str, other: str) -> Property:
        return Property("id", "integer", primary_key=True, relationships=(Relationship(f"{other}.id", ("id",), other, ("id",)),))

    kept(of_objects(SchemaObject("a", properties=(key("a", "b"),)), SchemaObject("b", properties=(key("b", "a"),))))


@pytest.mark.parametrize("kind", ["timestamp", "date"])
@pytest.mark.parametrize("hours", [1, 36, 24 * 400])
def test_data_is_fresh_at_now(kind: str, hours: int) -> None:
    levels = (ServiceLevel("freshness", hours, unit="h", element="feed.at"), ServiceLevel("retention", 2, unit="y", element="feed.at"))
    kept(contract(Property("at", kind, options={"maximum": "2027-01-01" if kind == "date" else "2026-03-01T12:00:00Z"}), levels=levels))


def test_the_same_seed_gives_the_same_data() -> None:
    of = contract(S, N, Property("t", "timestamp", unique=True), Property("o", "object", properties=(S,)))
    first, again, other = (mock(of, rows=40, seed=seed, now=NOW)["feed"] for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)
    assert mock(of, rows=40, seed=1, now=NOW + timedelta(hours=1))["feed"]["s"].equals(first["s"])


def test_a_deprecated_column_is_there_until_its_last_day() -> None:
    old = Property("old", "string", deprecated=True, deprecated_until=NOW.date())
    assert mock(contract(S, old), now=NOW)["feed"].columns == ["s", "old"]
    assert mock(contract(S, old), now=NOW + timedelta(days=1))["feed"].columns == ["s"]


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (contract(Property("c", "integer", required=True, options={"pattern": "^[a-z]+$"})), ["c.type", "c.pattern"]),
        (contract(Property("c", "integer", options={"minimum": 5, "maximum": 3})), ["feed.c: no value keeps c.minimum", "and c.maximum"]),
        (contract(Property("c", "string", enum=("ab", "cd"), options={"maxLength": 1})), ["c.enum", "c.maxLength"]),
        (
            contract(Property("c", "integer", enum=(1, 2), unique=True, required=True)),
            ["only 2 different values, of 60", "c.unique", "c.enum"],
        ),
        (
            contract(Property("c", required=True, quality=(library("nullValues", Operator.GREATER_THAN, 3),))),
            ["no number of nulls keeps c.required"],
        ),
        (
            contract(S, quality=(library("rowCount", Operator.GREATER_THAN, 5), library("rowCount", Operator.LESS_THAN, 5))),
            ["no number of rows keeps"],
        ),
        (
            contract(
                Property("a", "integer", required=True),
                Property("b", "integer", required=True),
                quality=(compare("a", "<", "b"), compare("b", "<", "a")),
            ),
            ["no row with a, b keeps"],
        ),
        (
            contract(Property("a", enum=(1, 2), primary_key=True), Property("b", enum=(1, 2), primary_key=True)),
            ["only 4 different combinations, of 60", "primaryKey"],
        ),
    ],
)
def test_a_contract_that_contradicts_itself(of: Contract, told: list[str]) -> None:
    with pytest.raises(Unsatisfiable) as raised:
        mock(of, rows=60, now=NOW)
    assert [text for text in told if text not in str(raised.value)] == []


def test_a_rule_that_only_warns_gives_way() -> None:
    impossible = QualityRule("library", "invalidValues", ((Operator.MUST_BE, 0),), severity="warning", arguments={"validValues": [9]})
    (made,) = make(contract(Property("c", enum=(1, 2), quality=(impossible,))), rows=10, seed=0, now=NOW).values()
    assert made.verdict.outcome is Outcome.WARN
    assert [finding.rule for finding in made.unmet] == ["c.invalidValues"]


def test_sql_is_looked_at_and_not_aimed_at() -> None:
    def sql(query: str, operator: Operator, value: int) -> QualityRule:
        return QualityRule("sql", None, ((operator, value),), query=query)

    whole = sql("SELECT COUNT(*) FROM feed", Operator.MUST_BE, 7)
    assert mock(contract(N, quality=(whole,)), rows=60, now=NOW)["feed"].height == 7
    with pytest.raises(Unsatisfiable, match=r"feed: sql \(error\) cannot be promised: data is not made for SQL; expected SELECT"):
        mock(contract(N, quality=(sql("SELECT COUNT(*) FROM feed WHERE n = 12345", Operator.MUST_BE, 1),)), now=NOW)


def test_bad_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without a time zone"):
        mock(contract(S), now=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(UsageError, match="-1 rows"):
        mock(contract(S), rows=-1)
    with pytest.raises(ContractError, match="no such file"):
        mock(tmp_path / "none.yaml")


# --- contracts of all kinds ------------------------------------------------------------------------------------------


@needs_cases
def test_data_for_contracts_of_others_passes() -> None:
    seen = 0
    for file in sorted((CASES / "odcs/contracts").glob("*.y*ml")):
        try:
            (of,) = load_contracts(file)
        except ContractError:
            continue
        plans = [compile_plan(of, obj) for obj in of.objects]
        if any(_of_another_engine(rule.check) for plan in plans for rule in plan.rules) or "1,000,000" in _counts(of):
            continue
        made = make(of, rows=12, seed=1, now=NOW)
        assert {name: [finding.rule for finding in each.unmet] for name, each in made.items() if each.refused} == {}, file.name
        seen += bool(made)
    assert seen > 30


def _of_another_engine(check: object) -> bool:
    return isinstance(check, Expected) or (isinstance(check, Within) and isinstance(check.metric, Query))


def _counts(of: Contract) -> str:
    """What row counts are asked for: one contract wants more than a million, which takes too long here."""
    return " ".join(f"{value:,}" for obj in of.objects for rule in obj.quality for _, value in rule.operators if isinstance(value, int))


_small = st.integers(-2, 6)


@st.composite
def columns(draw: st.DrawFn, name: str) -> Property:
    kind = draw(st.sampled_from(["integer", "number", "string", "boolean", "date", "timestamp", "time", "array", "object", None]))
    options: dict[str, object] = {}
    if kind in ("integer", "number"):
        options = draw(
            st.fixed_dictionaries(
                {}, optional={"minimum": _small, "exclusiveMaximum": st.integers(2, 90), "multipleOf": st.sampled_from([1, 2, 0.5])}
            )
        )
    if kind == "string":
        options = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "minLength": st.integers(0, 4),
                    "maxLength": st.integers(3, 9),
                    "pattern": st.sampled_from(["^[a-z]+$", "[A-Z]", r"\d$"]),
                },
            )
        )
    if kind == "timestamp":
        options = draw(
            st.fixed_dictionaries(
                {}, optional={"timezone": st.booleans(), "minimum": st.sampled_from(["2019-05-05T00:00:00Z", "2030-01-01T00:00:00Z"])}
            )
        )
    enum = draw(st.sampled_from([(), (), ("a", "b"), ("a", "b", "c", "d")])) if kind is None else ()
    nested = name not in ("a", "b", "c", "d")
    quality = [] if nested else draw(st.lists(st.sampled_from([
        library("nullValues", Operator.LESS_OR_EQUAL, 10, "percent"), library("nullValues", Operator.GREATER_THAN, 1),
        library("duplicateValues", Operator.LESS_THAN, 50, "percent"), library("missingValues", missingValues=["x", None]),
    ]), max_size=1))  # fmt: skip
    parts = tuple(draw(st.lists(columns(name="inner"), max_size=1))) if kind == "object" else ()
    items = draw(columns(name="")) if kind == "array" else None
    unique = draw(st.booleans()) and kind not in ("array", "object", "boolean")
    return Property(name, kind, options=options, enum=enum, required=draw(st.booleans()), unique=unique,
                    quality=tuple(quality) if kind not in ("array", "object") else (), properties=parts, items=items)  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True).flatmap(lambda names: st.tuples(*(columns(n) for n in names))),
    st.integers(0, 30),
)
def test_data_for_any_contract_passes_or_the_rules_are_named(properties: tuple[Property, ...], rows: int) -> None:
    of = contract(*properties)
    try:
        made = make(of, rows=rows, seed=rows, now=NOW)["feed"]
    except Unsatisfiable:
        event("contradiction")
        return
    event(made.verdict.outcome.value)
    assert [(finding.rule, finding.observed) for finding in made.unmet if finding.severity.refuses] == []
