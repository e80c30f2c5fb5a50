"""Two versions of a contract: what changed, whom it breaks, and that "safe for consumers" is kept by the real engine."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from typing import Any, get_args

import polars as pl
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from dagster_contracts.core.compat import Mode, asked, compare
from dagster_contracts.core.compat_kinds import Impact
from dagster_contracts.core.compat_rules import Implied, implies, kin
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import BreakerPolicy, Clause, Contract, Operator, Property, QualityRule, SchemaObject, Severity
from dagster_contracts.core.errors import ContractError, UsageError
from dagster_contracts.core.judge import judge
from dagster_contracts.core.metrics import (
    Absent,
    Among,
    Compared,
    Duplicates,
    Expectation,
    Histogram,
    Kind,
    LengthOutside,
    Metric,
    Missing,
    Nested,
    Newest,
    NotIn,
    NotMatching,
    NotMultiple,
    Nulls,
    Oldest,
    Orphans,
    OutOfRange,
    ProfileOf,
    Query,
    Repeating,
    RowCount,
    SizeOutside,
    Statistic,
    TimeText,
    TypeBreaches,
)
from dagster_contracts.core.plan import (
    ZERO,
    Cadence,
    Check,
    Closed,
    Drifted,
    DriftKind,
    Due,
    Expected,
    Fresh,
    Gone,
    GoodPartition,
    InForce,
    LastGood,
    Present,
    Retained,
    Rule,
    Stored,
    StoredProfile,
    Threshold,
    Within,
)
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.engines.polars.engine import PolarsEngine

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def contract(*properties: Property, version: str = "1.0.0", content: str = "a", policy: BreakerPolicy | None = None, **of: Any) -> Contract:
    obj = SchemaObject("feed", properties=properties, **of)
    return Contract("id", version, "v3.1.0", "active", (obj,), content_hash=content, policy=policy or BreakerPolicy(), source=version)


def changed(old: Contract, new: Contract) -> dict[str, str]:
    return {change.place: change.kind.name for change in compare(old, replace(new, version="2.0.0", content_hash="b")).changes}


def of(old: Property, new: Property) -> dict[str, str]:
    return changed(contract(old), contract(new))


C = Property("c", "integer")
A, B = (Property("c", "string", options={"pattern": pattern}) for pattern in "ab")
EXCLUSIVE = {"feed.c.maximum": "rule.rewritten", "feed.c.exclusiveMaximum": "rule.tightened"}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (C, C, {}),
        (C, replace(C, required=True), {"feed.c.required": "rule.tightened"}),
        (replace(C, unique=True), C, {"feed.c.unique": "rule.loosened"}),
        (C, Property("c", "number"), {"feed.c.type": "rule.loosened"}),
        (Property("c", "number"), C, {"feed.c.type": "rule.tightened"}),
        (C, Property("c", "string"), {"feed.c.type": "rule.moved"}),
        (replace(C, enum=(1, 2)), replace(C, enum=(1, 2, 3)), {"feed.c.enum": "rule.loosened"}),
        (replace(C, enum=(1, 2)), replace(C, enum=(2, 3)), {"feed.c.enum": "rule.moved"}),
        (replace(C, options={"maximum": 5}), replace(C, options={"maximum": 4}), {"feed.c.maximum": "rule.tightened"}),
        (replace(C, options={"maximum": 5}), replace(C, options={"exclusiveMaximum": 5}), EXCLUSIVE),
        (replace(C, options={"multipleOf": 10}), replace(C, options={"multipleOf": 5}), {"feed.c.multipleOf": "rule.loosened"}),
        (A, B, {"feed.c.pattern": "rule.incomparable"}),
        (C, replace(C, deprecated=True), {"feed.c": "property.deprecated"}),
        (replace(C, deprecated=True), C, {"feed.c": "property.restored"}),
        (C, replace(C, description="x"), {"feed.c.description": "text.changed"}),
    ],
)  # fmt: skip
def test_a_changed_column(old: Property, new: Property, told: dict[str, str]) -> None:
    assert of(old, new) == told


def test_an_enum_of_numbers_and_text_is_not_compared() -> None:
    assert of(replace(C, enum=(1, "2")), replace(C, enum=(1,))) == {"feed.c.enum": "rule.incomparable"}


def test_a_rename_is_two_changes_and_a_hint() -> None:
    found = compare(contract(C), contract(Property("d", "integer"), version="2.0.0", content="b")).changes
    assert [(change.place, change.kind.name) for change in found] == [("feed.c", "property.removed"), ("feed.d", "property.added")]
    assert found[0].hint is not None
    assert found[0].hint.startswith("perhaps a rename to d: expand")
    other = compare(contract(C), contract(Property("d", "string"), version="2.0.0", content="b")).changes
    assert other[0].hint is None


def test_a_nested_field_is_compared() -> None:
    old = Property("o", "object", properties=(Property("a", "integer"), Property("b", "string")))
    new = replace(old, properties=(Property("a", "integer", required=True),))
    assert of(old, new) == {"feed.o.b": "property.removed", "feed.o.a.required": "rule.tightened"}


def test_a_policy_is_compared() -> None:
    old, new = BreakerPolicy(max_staleness=timedelta(days=1)), BreakerPolicy(admit_inconclusive=True, trip_on=frozenset(Severity))
    assert changed(contract(C, policy=old), contract(C, policy=new)) == {
        "circuitBreaker.maxStaleness": "policy.weakened",
        "circuitBreaker.tripOn": "policy.strengthened",
        "circuitBreaker.onInconclusive": "policy.weakened",
    }


@pytest.mark.parametrize(
    ("version", "old", "new", "mode", "wrong"),
    [
        ("2.0.0", C, Property("d"), Mode.FULL, ""),
        ("1.1.0", C, Property("d"), Mode.BACKWARD, "needs a major version"),
        ("1.0.1", C, replace(C, required=True), Mode.BACKWARD, ""),
        ("1.0.1", C, replace(C, required=True), Mode.FORWARD, "needs a major version"),
        ("1.0.1", C, replace(C, deprecated=True), Mode.BACKWARD, "at least a minor version"),
        ("1.1.0", C, replace(C, deprecated=True), Mode.BACKWARD, ""),
        ("1.0.0", C, replace(C, description="x"), Mode.BACKWARD, "the version 1.0.0 has not"),
        ("1.0.0", C, C, Mode.BACKWARD, "the version 1.0.0 has not"),  # comments too: a version is never changed
        ("0.9.0", C, C, Mode.BACKWARD, "goes backwards"),
    ],
)
def test_the_version_says_enough(version: str, old: Property, new: Property, mode: Mode, wrong: str) -> None:
    problems = compare(contract(old), contract(new, version=version, content="b"), mode).problems
    assert (wrong in problems[0]) if wrong else problems == ()


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UsageError, match="same id"):
        compare(contract(C), replace(contract(C), id="other"))
    with pytest.raises(ContractError, match=r"MAJOR\.MINOR\.PATCH"):
        compare(contract(C), contract(C, version="spring"))


# --- safe is safe ----------------------------------------------------------------------------------------------------

_small = st.integers(-2, 4)
_numeric = st.fixed_dictionaries(
    {}, optional={"minimum": _small, "maximum": _small, "exclusiveMaximum": _small, "multipleOf": st.integers(1, 4)}
)
_texts = st.fixed_dictionaries(
    {}, optional={"minLength": st.integers(0, 3), "maxLength": st.integers(0, 3), "pattern": st.sampled_from(["a", "^a", "b$"])}
)


@st.composite
def qualities(draw: st.DrawFn) -> QualityRule:
    operator = draw(st.sampled_from([o for o in Operator if not o.value.endswith("Between")]))
    metric = draw(st.sampled_from(["nullValues", "duplicateValues", "rowCount", "invalidValues"]))
    arguments = {"validValues": draw(st.lists(_small, min_size=1, max_size=3))} if metric == "invalidValues" else {}
    unit = draw(st.sampled_from(["rows", "percent"])) if metric != "rowCount" else "rows"
    severity = draw(st.sampled_from([None, "critical", "warning"]))
    return QualityRule("library", metric, ((operator, draw(st.integers(0, 3))),), unit=unit, arguments=arguments, severity=severity)


@st.composite
def columns(draw: st.DrawFn) -> Property:
    kind = draw(st.sampled_from(["integer", "number", "string", None]))
    options = draw({"string": _texts, None: st.just({})}.get(kind, _numeric))
    values = st.sampled_from(["", "a", "ab", "1", "02"]) if kind == "string" else st.one_of(_small, st.sampled_from(["1", "a"]))
    enum = tuple(draw(st.lists(values, max_size=3, unique_by=str)))
    flags = {name: draw(st.booleans()) for name in ("required", "unique", "primary_key", "deprecated")}
    return Property("c", kind, options=options, enum=enum, quality=tuple(draw(st.lists(qualities(), max_size=1))), **flags)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Contract, Contract]:
    """Mostly a contract and a small change of it: two that have nothing to do with each other are seldom safe."""
    old = draw(columns())
    other = draw(columns())
    taken = draw(
        st.sets(
            st.sampled_from(["logical_type", "options", "enum", "required", "unique", "primary_key", "deprecated", "quality"]), max_size=2
        )
    )
    new = replace(old, **{name: getattr(other, name) for name in taken})
    second = Property("k", "string", primary_key=draw(st.booleans()))
    third = replace(second, primary_key=draw(st.booleans()))
    return (
        contract(old, second, closed=draw(st.booleans())),
        contract(new, third, version="2.0.0", content="b", closed=draw(st.booleans())),
    )


_frames = st.one_of(
    st.lists(st.one_of(st.none(), _small), max_size=4).map(lambda v: pl.Series("c", v, pl.Int64)),
    st.lists(st.one_of(st.none(), st.sampled_from([0.5, 1.0, 2.0, 3.5])), max_size=4).map(lambda v: pl.Series("c", v, pl.Float64)),
    st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "ab", "1", "02", "1.0", "b", "abcd"])), max_size=4).map(
        lambda v: pl.Series("c", v, pl.String)
    ),
)


@settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pairs(), _frames, st.booleans(), st.booleans())
def test_what_is_safe_for_consumers_lets_nothing_through_that_was_refused(
    pair: tuple[Contract, Contract], values: pl.Series, extra: bool, absent: bool
) -> None:
    old, new = pair
    changes = compare(old, new).changes
    if any(change.consumer is not Impact.SAFE for change in changes):
        event("not safe")
        return
    frame = pl.DataFrame({"c": values, "k": pl.Series(["x", "x", "y", "z"][: len(values)], dtype=pl.String)})
    frame = frame.with_columns(pl.lit(1).alias("e")) if extra else frame
    frame = frame.drop("c") if absent else frame
    was, now = (_outcome(one, frame) for one in (old, new))
    event(f"safe, {len(changes)} changes: {was} {now}")
    assert not (was is Outcome.FAIL and now in (Outcome.PASS, Outcome.WARN)), [change.kind.name for change in changes]


_MISSING = QualityRule("library", "missingValues", ((Operator.MUST_BE, 0),), arguments={"missingValues": [None, ""]})
_others = st.one_of(
    st.sampled_from([Property("c", required=True), Property("c", quality=(_MISSING,)), Property("c", "integer")]),
    st.lists(st.one_of(_small, st.sampled_from(["", "a", "ab", "1"])), min_size=1, max_size=2, unique=True).map(
        lambda v: Property("c", enum=tuple(v))
    ),
    st.sampled_from(
        [
            *(Property("c", "string", options={name: 1}) for name in ("minLength", "maxLength")),
            *(Property("c", kind, options={name: 1}) for kind in ("number", None) for name in ("minimum", "maximum", "multipleOf")),
        ]
    ),
)


@st.composite
def one_rule(draw: st.DrawFn) -> tuple[Property, Property]:
    """A column with one promise, and the same promise with another argument: the comparisons of compat_rules one by one."""
    low, high = draw(_small), draw(_small)
    family = draw(st.sampled_from(["option", "type", "enum", "count", "valid", "text", "across"]))
    if family == "across":
        return draw(_others), draw(_others)
    if family == "type":
        kinds = st.sampled_from(["integer", "number"])
        return Property("c", draw(kinds)), Property("c", draw(kinds))
    if family == "enum":
        one = draw(
            st.sampled_from(
                [st.integers(0, 2), st.sampled_from(["a", "b", "1"]), st.one_of(st.integers(0, 1), st.sampled_from(["a", "1"]))]
            )
        )
        values = st.lists(one, min_size=1, max_size=3, unique=True).map(tuple)
        return Property("c", enum=draw(values)), Property("c", enum=draw(values))
    if family == "option":
        name = st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"])
        option, kind = draw(name), draw(st.sampled_from(["number", "integer"]))
        others = {draw(name | st.just(option)): high, **draw(st.dictionaries(name, _small, max_size=1))}
        return Property("c", kind, options={option: low}), Property("c", kind, options=others)
    if family == "text":
        option = draw(st.sampled_from(["minLength", "maxLength"]))
        return Property("c", "string", options={option: abs(low)}), Property("c", "string", options={option: abs(high)})
    metric, valid = ("nullValues", {}) if family == "count" else ("invalidValues", {"validValues": [0, 1]})
    operators = st.sampled_from([o for o in Operator if not o.value.endswith("Between")])
    units = st.sampled_from(["rows", "percent"])
    rules = [
        QualityRule("library", metric, ((draw(operators), abs(bound)),), unit=draw(units), arguments=valid, severity="error")
        for bound in (low, high)
    ]
    return Property("c", quality=(rules[0],)), Property("c", quality=(rules[1],))


@settings(max_examples=100, deadline=None)
@given(one_rule(), st.lists(_frames, min_size=8, max_size=8))
def test_one_rule_that_is_kept_is_kept_by_the_engine(pair: tuple[Property, Property], columns_: list[pl.Series]) -> None:
    old, new = contract(pair[0]), contract(pair[1], version="2.0.0", content="b")
    if any(change.consumer is not Impact.SAFE for change in compare(old, new).changes):
        return
    for values in columns_:
        was, now = (_outcome(one, pl.DataFrame({"c": values})) for one in (old, new))
        assert not (was is Outcome.FAIL and now in (Outcome.PASS, Outcome.WARN)), values.to_list()


def _outcome(of_contract: Contract, frame: pl.DataFrame) -> Outcome:
    plan = compile_plan(of_contract, of_contract.objects[0])
    return judge(plan, PolarsEngine().measure(frame, plan.metrics), {}, as_of=NOW, head=True).outcome


def test_a_check_that_implies_another_is_its_kin() -> None:
    """What is looked at before two checks are compared leaves out nothing."""
    types = ("integer", "number", "string", "timestamp")
    options = ({"minimum": 1}, {"minimum": 2, "maximum": 9}, {"maximum": 5}, {"minLength": 1}, {"pattern": "a"}, {})
    found: set[Check] = set()
    for logical, chosen in product(types, options):
        inner = Property("inner", logical_type=logical, options=chosen, required=True, unique=True)
        column = Property("a", logical_type=logical, options=chosen, required=True, unique=True, enum=("1", "2"), primary_key=True)
        properties = (
            column,
            Property("b", primary_key=True, logical_type="string"),
            Property("c", logical_type="object", properties=(inner,)),
        )
        obj = SchemaObject("o", properties=properties, closed=True)
        found.update(rule.check for rule in compile_plan(Contract("c", "1.0.0", "v3.1.0", "active", (obj,)), obj).rules)
    implied = [(new, old) for new in found for old in found if implies(new, old) is Implied.YES]
    assert len([pair for pair in implied if pair[0] != pair[1]]) > 5
    assert all(kin(new) == kin(old) for new, old in implied)


# --- words ---------------------------------------------------------------------------------------------------------

DAY = timedelta(days=1)
TEXT = TimeText("dd/MM/yyyy")
COUNTED: tuple[Metric, ...] = (
    RowCount(("c",)), TypeBreaches("c", "date", TEXT), Nulls("c"), Missing("c", (None, "x")), Among("c", ("x",)), NotIn("c", ("x", 1)),
    NotMatching("c", "^x$"), NotMatching("c", "^x$", "uuid"), OutOfRange("c", "2026-01-01", None, text=TEXT), LengthOutside("c", 1, 2),
    Duplicates(("c", "d"), ("d",)), NotMultiple("c", 2), SizeOutside("c", 1), Repeating("c"), Absent("c", "f"),
    Nested("c", ("[]",), NotIn("c[]", ("x",))), Compared("c", "<=", "d", TEXT, TEXT), Orphans(("c",), "o", ("d",)),
    *(Statistic("c", kind, 0.5 if kind is Kind.QUANTILE else None) for kind in Kind), Query("SELECT 1", "o"),
)  # fmt: skip
THRESHOLDS = (ZERO, Threshold(Operator.GREATER_THAN, 0.5, percent=True), Threshold(Operator.NOT_BETWEEN, (1, 2)))
REFERENCES = (LastGood(1), LastGood(7), GoodPartition("2026-01"), StoredProfile("p.json", "{}"))
CHECKS: tuple[Check, ...] = (
    Present("c"), Gone("c", None), Gone("c", date(2027, 1, 1), ("d",), ("reader",)), Closed(("c", "d")), Stored("c", "VARCHAR"),
    Fresh(Newest("c", TEXT), DAY), Retained(Oldest("c", TEXT), DAY), Cadence(DAY, DAY), Cadence(DAY, DAY, "0 6 * * *"),
    Due(time(6), "Europe/Berlin"), InForce(NOW, NOW + DAY), Expected(Expectation("expect_x")),
    *(Within(metric, threshold) for metric in COUNTED for threshold in THRESHOLDS),
    *(
        Drifted(metric, kind, reference, threshold, bins=20, factor=0.5, samples=30)
        for metric in (ProfileOf("c"), Histogram("c", (0.0, 1.0)))
        for kind in DriftKind for reference in REFERENCES for threshold in THRESHOLDS
    ),
)  # fmt: skip


def test_every_check_is_asked_for_in_words() -> None:
    named_by_others = {Newest, Oldest, Histogram, ProfileOf, Expectation}  # metrics of Fresh, Retained, Drifted, Expected
    assert {type(check) for check in CHECKS} == set(get_args(Check))
    assert {type(metric) for metric in COUNTED} | named_by_others == {*get_args(Metric), Among}
    for check in CHECKS:
        told = asked(Rule("r", Clause.CUSTOM, Severity.ERROR, check, "c"))
        assert told.strip(), check
        assert not re.search(r"\w\(|<\w+[.:]|=|\bNone\b", told.replace("<=", "")), told


def test_a_drift_rule_is_told_in_words() -> None:
    rule = QualityRule(
        "custom",
        engine="dagster-contracts",
        implementation={"metric": "psi", "reference": {"lastGood": 1}, "mustBeLessThan": 0.2},
        name="drift",
    )
    (change,) = compare(contract(C), contract(replace(C, quality=(rule,)), version="2.0.0")).changes
    assert change.new == "PSI less than 0.2 from the last good batch (error)"
