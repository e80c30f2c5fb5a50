"""Plan + Measurement -> Verdict: precedence, what is not executed, what people read, and that classified values stay out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_contracts.core.contract import Clause, Operator, Severity
from dagster_contracts.core.judge import digest, failing, judge
from dagster_contracts.core.metrics import (
    Duplicates,
    Kind,
    LengthOutside,
    Metric,
    Missing,
    Newest,
    NotIn,
    NotMatching,
    Nulls,
    OutOfRange,
    RowCount,
    Statistic,
    TypeBreaches,
)
from dagster_contracts.core.plan import Check, Closed, Fresh, NotExecuted, Plan, Present, Rule, Threshold, Within
from dagster_contracts.core.verdict import (
    Column,
    Count,
    Figure,
    Finding,
    Instant,
    Measured,
    Measurement,
    Outcome,
    Sample,
    Unmeasured,
    Verdict,
    verdict_from_json,
    verdict_to_json,
)

NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)
RISK = NotIn("risk", ("HIGH_RISK", "LOW_RISK"))


def rule(check: Check, severity: Severity = Severity.ERROR, name: str = "r", column: str | None = "risk") -> Rule:
    return Rule(name, Clause.VALIDITY, severity, check, column)


def plan_of(*rules: Rule, **rest: object) -> Plan:
    return Plan("id", "1.0.0", "feed", rules, **rest)  # type: ignore[arg-type]


def batch(values: Mapping[Metric, Measured] | None = None, *, rows: int = 1000, columns: tuple[str, ...] = ("risk", "t")) -> Measurement:
    return Measurement(rows, tuple(Column(name, "String") for name in columns), values or {})


def verdict_of(
    plan: Plan, measurement: Measurement | Unmeasured, samples: Mapping[Metric, Sample] | None = None, *, head: bool = True
) -> Verdict:
    return judge(plan, measurement, samples or {}, as_of=NOW, head=head)


def the_finding(check: Check, measurement: Measurement, sample: Sample | None = None, **rest: object) -> Finding:
    samples = {check.metric: sample} if sample and isinstance(check, Within | Fresh) else {}
    (found,) = verdict_of(plan_of(rule(check), **rest), measurement, samples).findings
    return found


# --- the outcome -----------------------------------------------------------------------------------------------------

PASSED, BROKEN, UNKNOWN = Count(0), Count(1), Unmeasured("x")


@pytest.mark.parametrize(
    ("results", "not_executed", "outcome"),
    [
        ([], [], Outcome.PASS),
        ([("error", PASSED)], [], Outcome.PASS),
        ([("critical", BROKEN)], [], Outcome.FAIL),
        ([("error", BROKEN)], [], Outcome.FAIL),
        ([("warning", BROKEN)], [], Outcome.WARN),
        ([("info", BROKEN)], [], Outcome.PASS),
        ([("critical", UNKNOWN)], [], Outcome.INCONCLUSIVE),
        ([("error", UNKNOWN), ("warning", BROKEN)], [], Outcome.INCONCLUSIVE),
        ([("error", UNKNOWN), ("error", BROKEN)], [], Outcome.FAIL),
        ([("warning", UNKNOWN)], [], Outcome.WARN),
        ([("info", UNKNOWN)], [], Outcome.PASS),
        ([("error", PASSED)], ["error"], Outcome.WARN),
        ([("error", PASSED)], ["critical"], Outcome.WARN),
        ([("error", PASSED)], ["warning", "info"], Outcome.PASS),
        ([("error", UNKNOWN)], ["error"], Outcome.INCONCLUSIVE),
        ([("error", BROKEN)], ["error"], Outcome.FAIL),
    ],
)
def test_precedence(results: list[tuple[str, Measured]], not_executed: list[str], outcome: Outcome) -> None:
    rules = [rule(Within(LengthOutside("risk", n)), Severity(severity), f"r{n}") for n, (severity, _) in enumerate(results)]
    values: dict[Metric, Measured] = {LengthOutside("risk", n): value for n, (_, value) in enumerate(results)}
    missed = tuple(NotExecuted(f"n{n}", "why", Severity(severity)) for n, severity in enumerate(not_executed))
    verdict = verdict_of(plan_of(*rules, not_executed=missed), batch(values))
    assert verdict.outcome is outcome
    assert verdict.not_executed == missed
    of_rule = {PASSED: Outcome.PASS, UNKNOWN: Outcome.INCONCLUSIVE}
    for found, (severity, value) in zip(verdict.findings, results, strict=True):
        assert found.outcome is of_rule.get(value, Outcome.FAIL if Severity(severity).refuses else Outcome.WARN)


measurable = st.sampled_from([PASSED, BROKEN, UNKNOWN])


@given(st.lists(st.tuples(st.sampled_from(Severity), measurable)), st.lists(st.sampled_from(Severity)))
def test_a_refused_rule_always_refuses_and_what_was_not_measured_never_does(
    results: list[tuple[Severity, Measured]], missing: list[Severity]
) -> None:
    rules = [rule(Within(LengthOutside("risk", n)), severity, f"r{n}") for n, (severity, _) in enumerate(results)]
    values: dict[Metric, Measured] = {LengthOutside("risk", n): value for n, (_, value) in enumerate(results)}
    missed = tuple(NotExecuted(f"n{n}", "why", severity) for n, severity in enumerate(missing))
    verdict = verdict_of(plan_of(*rules, not_executed=missed), batch(values))
    refused = {f"r{n}" for n, (severity, value) in enumerate(results) if value is BROKEN and severity.refuses}
    assert verdict.failed_rules == refused
    assert (verdict.outcome is Outcome.FAIL) == bool(refused)
    assert verdict.executed_rules == {f"r{n}" for n, (_, value) in enumerate(results) if value is not UNKNOWN}
    if verdict.outcome is Outcome.PASS:
        assert not any(severity.refuses for severity in missing)
        assert all(value is PASSED or severity is Severity.INFO for severity, value in results)


def test_a_batch_that_could_not_be_read_is_inconclusive_with_the_reason() -> None:
    plan = plan_of(rule(Present("risk"), Severity.CRITICAL, "p"), rule(Within(Nulls("risk")), name="n"))
    verdict = verdict_of(plan, Unmeasured("the data could not be read", "disk on fire"))
    assert (verdict.outcome, verdict.rows, verdict.failed_rules, verdict.executed_rules) == (
        Outcome.INCONCLUSIVE,
        None,
        frozenset(),
        frozenset(),
    )
    assert [found.observed for found in verdict.findings] == ["could not be measured: the data could not be read: disk on fire"] * 2
    assert [found.expected for found in verdict.findings] == ["column risk, once", "no nulls"]


def test_a_value_the_engine_owes_or_gives_in_another_kind_is_inconclusive() -> None:
    owed: tuple[dict[Metric, Measured], ...] = ({}, {Nulls("risk"): Instant(None)})
    for values in owed:
        found = the_finding(Within(Nulls("risk")), batch(values))
        assert found.outcome is Outcome.INCONCLUSIVE
        assert "the engine gave" in found.observed


# --- columns ---------------------------------------------------------------------------------------------------------


def test_a_missing_column_fails_presence_and_takes_its_rules_with_it() -> None:
    plan = plan_of(
        rule(Present("risk"), Severity.CRITICAL, "p"),
        rule(Within(Nulls("risk")), name="n"),
        rule(Fresh(Newest("risk"), timedelta()), name="f"),
    )
    verdict = verdict_of(plan, batch(columns=("Risk", "t")))
    assert verdict.failed_rules == {"p"}
    assert verdict.findings[0].observed == 'missing, did you mean "Risk"'
    assert [(entry.rule, entry.reason, entry.severity) for entry in verdict.not_executed] == [
        ("n", "column risk is missing", Severity.ERROR),
        ("f", "column risk is missing", Severity.ERROR),
    ]
    assert verdict_of(plan_of(rule(Within(Nulls("risk")))), batch(columns=("t",))).outcome is Outcome.WARN


def test_a_missing_column_may_be_there_by_another_name() -> None:
    plan = plan_of(rule(Present("client_id"), name="c"), rule(Present("client_ids"), name="d"), rule(Present("status"), name="s"))
    renamed = verdict_of(plan, batch(columns=("client_ids", "status", "customer_id")))
    assert renamed.findings[0].observed in ('missing, did you mean "customer_id"', "missing; not in the contract: customer_id")
    assert verdict_of(plan, batch(columns=("client_ids", "status"))).findings[0].observed == "missing"
    assert verdict_of(plan, batch(columns=("client_ids", "status", "a1", "b2", "c3", "d4"))).findings[0].observed == "missing"


def test_a_repeated_column_fails_presence_and_takes_its_rules_with_it() -> None:
    plan = plan_of(rule(Present("risk"), name="p"), rule(Within(Duplicates(("t", "risk"))), name="d"))
    verdict = verdict_of(plan, batch(columns=("risk", "t", "risk")))
    assert verdict.findings[0].observed == "appears 2 times"
    assert verdict.not_executed[0].reason == "column risk appears 2 times"


def test_a_closed_schema_names_what_is_beyond_it() -> None:
    found = the_finding(Closed(("risk", "t", "absent")), batch(columns=("risk", "t", "new", "n\new")))
    assert (found.outcome, found.observed) == (Outcome.FAIL, "2 more: new, n\\new")
    assert the_finding(Closed(("risk", "t")), batch()).outcome is Outcome.PASS


# --- thresholds ------------------------------------------------------------------------------------------------------

thresholds = st.one_of(
    st.builds(
        Threshold,
        st.sampled_from([o for o in Operator if "etween" not in o]),
        st.integers(0, 100) | st.sampled_from([0.1, 33.3, 12.5]),
        st.booleans(),
    ),
    st.builds(
        Threshold,
        st.sampled_from([Operator.BETWEEN, Operator.NOT_BETWEEN]),
        st.sampled_from([(0, 10), (2.5, 2.5), (0.1, 0.3)]),
        st.booleans(),
    ),
)


@given(thresholds, st.integers(0, 60), st.integers(1, 60))
def test_thresholds_are_exact(threshold: Threshold, count: int, more: int) -> None:
    rows = count + more
    observed = Fraction(count * 100, rows) if threshold.percent else Fraction(count)
    low, high = threshold.value if isinstance(threshold.value, tuple) else (threshold.value, threshold.value)
    below, above = observed < Fraction(str(low)), observed > Fraction(str(high))
    expected = {
        Operator.MUST_BE: not below and not above,
        Operator.MUST_NOT_BE: below or above,
        Operator.GREATER_THAN: above,
        Operator.GREATER_OR_EQUAL: not below,
        Operator.LESS_THAN: below,
        Operator.LESS_OR_EQUAL: not above,
        Operator.BETWEEN: not below and not above,
        Operator.NOT_BETWEEN: below or above,
    }[threshold.operator]
    found = the_finding(Within(Nulls("risk"), threshold), batch({Nulls("risk"): Count(count)}, rows=rows))
    assert (found.outcome is Outcome.PASS) == expected
    assert found.failing_rows == count


def test_a_tenth_of_a_percent_is_a_tenth() -> None:
    check = Within(Nulls("risk"), Threshold(Operator.LESS_OR_EQUAL, 0.1, percent=True))
    assert the_finding(check, batch({Nulls("risk"): Count(1)}, rows=1000)).outcome is Outcome.PASS
    assert the_finding(check, batch({Nulls("risk"): Count(1)}, rows=999)).outcome is Outcome.FAIL
    exactly = Within(Nulls("risk"), Threshold(Operator.MUST_BE, 0.1, percent=True))
    assert the_finding(exactly, batch({Nulls("risk"): Count(1)}, rows=1000)).outcome is Outcome.PASS


def test_a_percentage_of_no_rows_is_not_executed() -> None:
    check = Within(Nulls("risk"), Threshold(Operator.LESS_THAN, 5, percent=True))
    verdict = verdict_of(plan_of(rule(check)), batch({Nulls("risk"): Count(0)}, rows=0))
    assert verdict.findings == ()
    assert verdict.not_executed[0].reason == "a percentage of 0 rows says nothing"


def test_a_row_count_has_no_failing_rows() -> None:
    found = the_finding(Within(RowCount(), Threshold(Operator.BETWEEN, (9000, 11000))), batch(rows=12345))
    assert (found.observed, found.expected, found.failing_rows) == ("12,345 rows", "between 9,000 and 11,000 rows", None)


# --- freshness -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("newest", "outcome", "observed"),
    [
        (NOW - timedelta(days=1), Outcome.PASS, "newest data is of 2026-11-20T06:00:00Z: 1 d old at 2026-11-21T06:00:00Z"),
        (NOW - timedelta(days=1, seconds=1), Outcome.FAIL, "newest data is of 2026-11-20T05:59:59Z: 1 d 1 s old at 2026-11-21T06:00:00Z"),
        (
            NOW + timedelta(days=3),
            Outcome.PASS,
            "newest data is of 2026-11-24T06:00:00Z: not older than its arrival at 2026-11-21T06:00:00Z",
        ),
        (None, Outcome.FAIL, "no value that is a time"),
    ],
)
def test_freshness_of_the_head(newest: datetime | None, outcome: Outcome, observed: str) -> None:
    found = the_finding(Fresh(Newest("t"), timedelta(days=1)), batch({Newest("t"): Instant(newest)}))
    assert (found.outcome, found.observed, found.expected) == (outcome, observed, "newest data at most 1 d old")


def test_an_older_partition_is_not_judged_for_freshness_and_passes() -> None:
    plan = plan_of(rule(Fresh(Newest("t"), timedelta(days=1))))
    verdict = verdict_of(plan, batch({Newest("t"): Instant(NOW - timedelta(days=99))}), head=False)
    assert (verdict.outcome, verdict.findings) == (Outcome.PASS, ())
    assert verdict.not_executed[0].reason.startswith("older partition (backfill)")


# --- what people read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "count", "values", "observed", "expected"),
    [
        (RISK, 1000, [(37, 14), (12, 13)], "1,000 of 1,000 rows (100%) outside: 37 (14), 12 (13)", "one of HIGH_RISK, LOW_RISK"),
        (RISK, 124, [("", 100), (" x", 24)], '124 of 1,000 rows (12.4%) outside: "" (100), " x" (24)', "one of HIGH_RISK, LOW_RISK"),
        (Nulls("risk"), 1, [], "1 of 1,000 rows (0.1%) null", "no nulls"),
        (TypeBreaches("risk", "integer"), 2, [("x", 2)], "2 of 1,000 rows (0.2%) not an integer: x (2)", "every value an integer"),
        (Missing("risk", (None, "N/A")), 2, [], "2 of 1,000 rows (0.2%) missing", "none of null, N/A"),
        (NotMatching("risk", "^[A-G]$"), 2, [("Z", 2)], "2 of 1,000 rows (0.2%) not matching: Z (2)", "matching ^[A-G]$"),
        (OutOfRange("risk", 0, 1e6), 1, [(-1.5, 1)], "1 of 1,000 rows (0.1%) outside: -1.5 (1)", "at least 0 and at most 1,000,000"),
        (OutOfRange("risk", None, "2024-01-01", exclusive_maximum=True), 1, [], "1 of 1,000 rows (0.1%) outside", "less than 2024-01-01"),
        (
            LengthOutside("risk", 2, 3),
            1,
            [("é", 1)],
            "1 of 1,000 rows (0.1%) too short or too long: é (1)",
            "at least 2 and at most 3 characters",
        ),
        (Duplicates(("risk", "t")), 1, [(("a", 1), 1)], "1 of 1,000 rows (0.1%) repeated: (a, 1) (1)", "no duplicates of risk, t"),
    ],
)
def test_texts(metric: Metric, count: int, values: list[tuple[object, int]], observed: str, expected: str) -> None:
    found = the_finding(Within(metric), batch({metric: Count(count)}), Sample((), tuple(values)))
    assert (found.observed, found.expected) == (observed, expected)


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (Threshold(Operator.LESS_OR_EQUAL, 2, percent=True), "at most 2% of rows null"),
        (Threshold(Operator.LESS_THAN, 1000), "less than 1,000 rows null"),
        (Threshold(Operator.GREATER_THAN, 0.5, percent=True), "more than 0.5% of rows null"),
        (Threshold(Operator.GREATER_OR_EQUAL, 1), "at least 1 rows null"),
        (Threshold(Operator.MUST_BE, 5), "exactly 5 rows null"),
        (Threshold(Operator.MUST_NOT_BE, 5), "other than 5 rows null"),
        (Threshold(Operator.BETWEEN, (1, 2), percent=True), "between 1% and 2% of rows null"),
        (Threshold(Operator.NOT_BETWEEN, (1, 2)), "less than 1 or more than 2 rows null"),
        (Threshold(Operator.LESS_OR_EQUAL, 0), "no nulls"),
    ],
)
def test_thresholds_in_words(threshold: Threshold, expected: str) -> None:
    assert the_finding(Within(Nulls("risk"), threshold), batch({Nulls("risk"): Count(3)})).expected == expected


@pytest.mark.parametrize(
    ("count", "rows", "share"),
    [
        (0, 10, "0%"),
        (10, 10, "100%"),
        (1, 3, "33.3%"),
        (1, 1000, "0.1%"),
        (1675, 10000, "16.8%"),
        (1, 10**6, "less than 0.01%"),
        (999_999, 10**6, "more than 99.99%"),
        (9996, 10_000, "99.96%"),
        (3, 200, "1.5%"),
    ],
)
def test_percentages_are_sensible(count: int, rows: int, share: str) -> None:
    assert f"({share})" in the_finding(Within(Nulls("risk")), batch({Nulls("risk"): Count(count)}, rows=rows)).observed


def test_values_are_cut_and_escaped() -> None:
    values = [("x" * 200, 3), ("a\x1b[31m\n", 2), ("\ud800", 1), (3, 1), (4, 1), (5, 1)]
    observed = the_finding(Within(RISK), batch({RISK: Count(9)}), Sample((), tuple(values))).observed
    assert "x" * 77 + "... (3)" in observed
    assert '"a\\x1b[31m\\n" (2)' in observed
    assert "\\ud800 (1)" in observed
    assert observed.endswith("4 (1), ...")


def test_rows_become_json_values() -> None:
    row = {
        "when": datetime(2024, 1, 1, 2, 3),  # noqa: DTZ001 - frames hold naive times
        "day": date(2024, 1, 1),
        "clock": time(1, 2),
        "bytes": b"\x00\xff",
        "decimal": Decimal("1.10"),
        "nan": math.nan,
        "inf": math.inf,
        "none": None,
        "nested": {"a": [Decimal(1), {"b": math.nan}]},
        "text": "a\x00b",
        "span": timedelta(hours=1),
        "flag": True,
    }
    (shown,) = the_finding(Within(RISK), batch({RISK: Count(1)}), Sample((row,))).sample
    assert json.loads(json.dumps(shown, allow_nan=False)) == {
        "when": "2024-01-01T02:03:00Z",
        "day": "2024-01-01",
        "clock": "01:02:00",
        "bytes": "00ff",
        "decimal": "1.10",
        "nan": None,
        "inf": "inf",
        "none": None,
        "nested": {"a": ["1", {"b": None}]},
        "text": "a\\x00b",
        "span": "1:00:00",
        "flag": True,
    }


# --- samples and masks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("newest", "told"),
    [
        (NOW + timedelta(hours=2), "times look shifted by 2 h or more"),
        (datetime(2026, 12, 11, 5, tzinfo=UTC), ""),
        (NOW, ""),
    ],
)
def test_a_newest_instant_that_cannot_be_right_is_told(newest: datetime, told: str) -> None:
    found = the_finding(Fresh(Newest("t"), timedelta(days=1)), batch({Newest("t"): Instant(newest)}))
    assert found.observed.partition("; ")[2] == told


def test_what_a_column_of_times_holds_instead_is_told() -> None:
    sample = Sample(reading="epoch milliseconds")
    found = the_finding(Fresh(Newest("t"), timedelta(days=1)), batch({Newest("t"): Instant(None)}), sample)
    assert found.outcome is Outcome.FAIL
    assert found.observed == "no value that is a time; they look like epoch milliseconds"


def test_failing_names_the_metrics_of_broken_rules_that_have_rows() -> None:
    few = Threshold(Operator.LESS_THAN, 5)
    rules = (
        rule(Within(RISK), name="a"),
        rule(Within(RISK, few), name="b"),
        rule(Within(Nulls("risk"), few), name="c"),
        rule(Within(Nulls("t"), Threshold(Operator.GREATER_THAN, 0)), name="d"),
        rule(Within(RowCount(), few), name="e"),
        rule(Within(Nulls("x")), Severity.INFO, name="f"),
        rule(Within(Nulls("y")), name="g"),
        rule(Fresh(Newest("t"), timedelta()), name="h"),
    )
    values: dict[Metric, Measured] = {
        RISK: Count(9),
        Nulls("risk"): Count(3),
        Nulls("t"): Count(0),
        Nulls("x"): Count(1),
        Nulls("y"): Unmeasured(""),
    }
    measurement = batch({**values, Newest("t"): Instant(None), RowCount(): Count(1000)}, columns=("risk", "t", "x", "y"))
    assert failing(plan_of(*rules), measurement) == (RISK, Nulls("x"), Newest("t"))  # of what is no time, what it looks like
    assert failing(plan_of(*rules, samples=False), measurement) == ()


def test_a_rule_that_holds_shows_no_rows_of_another_that_does_not() -> None:
    rules = (rule(Within(RISK), name="strict"), rule(Within(RISK, Threshold(Operator.LESS_THAN, 5)), name="loose"))
    verdict = verdict_of(plan_of(*rules), batch({RISK: Count(1)}), {RISK: Sample(({"risk": 37},), ((37, 1),))})
    strict, loose = verdict.findings
    assert (strict.sample, loose.sample) == (({"risk": 37},), ())
    assert "37" not in loose.observed


def test_a_contract_can_switch_samples_off() -> None:
    found = the_finding(Within(RISK), batch({RISK: Count(1)}), Sample(({"risk": 37},), ((37, 1),)), samples=False)
    assert (found.sample, found.observed) == ((), "1 of 1,000 rows (0.1%) outside")


SECRET = "5f1c9a-secret"


@given(
    column=st.sampled_from(["risk", "t"]),
    metric=st.sampled_from(
        [
            RISK,
            Nulls("risk"),
            Missing("risk", ("-",)),
            TypeBreaches("risk", "integer"),
            OutOfRange("risk", 0, 5),
            NotMatching("risk", "^x"),
            LengthOutside("risk", 1),
            Duplicates(("t", "risk")),
            Nulls("t"),
        ]
    ),
    value=st.sampled_from([SECRET, [SECRET], {"k": SECRET}, SECRET.encode(), (SECRET, 1)]),
    unmeasured=st.booleans(),
)
def test_values_of_classified_columns_never_stand_in_a_verdict(column: str, metric: Metric, value: object, unmeasured: bool) -> None:
    plan = plan_of(rule(Within(metric)), rule(Fresh(Newest("t"), timedelta()), name="fresh"), masked=frozenset({"risk", "t"}))
    assert column in plan.masked
    failed = Unmeasured("polars gave up", f"could not parse {SECRET}")
    values: dict[Metric, Measured] = {
        metric: failed if unmeasured else Count(3),
        Newest("t"): Instant(datetime(2013, 12, 11, 10, 9, tzinfo=UTC)),
    }
    sample = Sample(({column: value, "id": 7},), ((value, 3),))
    text = json.dumps(verdict_to_json(verdict_of(plan, batch(values), {metric: sample})))
    assert SECRET not in text
    assert SECRET.encode().hex() not in text
    assert "2013" not in text
    assert ("***" in text) == (not unmeasured)
    assert SECRET not in json.dumps(verdict_to_json(verdict_of(plan, failed)))


def test_masked_columns_keep_their_counts() -> None:
    found = the_finding(
        Within(RISK), batch({RISK: Count(1)}), Sample(({"risk": SECRET, "id": 7},), ((SECRET, 1),)), masked=frozenset({"risk"})
    )
    assert found.observed == "1 of 1,000 rows (0.1%) outside (values masked: classification)"
    assert found.sample == ({"risk": "***", "id": 7},)


def test_a_broken_rule_of_another_column_masks_the_classified_cells_of_its_rows() -> None:
    plan = plan_of(rule(Present("risk"), name="p"), rule(Within(RISK)), masked=frozenset({"ssn"}))
    sample = Sample(({"risk": 37, "ssn": SECRET},), ((37, 1),))
    found = verdict_of(plan, batch({RISK: Count(1)}), {RISK: sample}).findings[1]
    assert found.sample == ({"risk": 37, "ssn": "***"},)
    assert "37 (1)" in found.observed


def test_a_column_the_contract_does_not_know_may_be_a_classified_one_renamed() -> None:
    rules = (rule(Present("risk"), name="p"), rule(Within(RISK), name="r"), rule(Present("ssn"), name="s"))
    sample = Sample(({"risk": 37, "SSN": SECRET},), ((37, 1),))
    measurement = batch({RISK: Count(1)}, columns=("risk", "SSN"))
    masked, plain = (
        verdict_of(plan_of(*rules, masked=hidden), measurement, {RISK: sample}).findings[1]
        for hidden in (frozenset({"ssn"}), frozenset[str]())
    )
    assert masked.sample == ({"risk": 37, "SSN": "***"},)
    assert plain.sample == ({"risk": 37, "SSN": SECRET},)


# --- digest and JSON -------------------------------------------------------------------------------------------------


def test_the_digest_names_the_measurement_whatever_its_order() -> None:
    values: dict[Metric, Measured] = {RISK: Count(1), Nulls("risk"): Count(2), Newest("t"): Instant(NOW)}
    reordered = dict(reversed(values.items()))
    assert digest(batch(values)) == digest(batch(reordered))
    assert verdict_of(plan_of(), batch(values)).digest == digest(batch(values))
    others: list[Measurement | Unmeasured] = [
        batch({**values, RISK: Count(2)}),
        batch({**values, RISK: Unmeasured("x", "today")}),
        batch({RISK: Count(1), Nulls("risk"): Count(2)}),
        batch(values, rows=999),
        batch(values, columns=("t", "risk")),
        Unmeasured("x"),
        Unmeasured("y"),
    ]
    assert len({digest(other) for other in [*others, batch(values)]}) == len(others) + 1
    assert digest(batch({**values, RISK: Unmeasured("x", "tomorrow")})) == digest(others[1])
    assert digest(Unmeasured("x", "tomorrow")) == digest(Unmeasured("x", "today"))
    assert all(len(digest(other)) == 64 for other in others)


def test_json_has_the_promised_form() -> None:
    plan = plan_of(rule(Within(RISK), Severity.CRITICAL, "risk.enum"), not_executed=(NotExecuted("sql", "not yet"),))
    document = verdict_to_json(verdict_of(plan, batch({RISK: Count(1)}), {RISK: Sample(({"risk": 37},), ((37, 1),))}))
    assert document.pop("digest")
    assert document == {
        "version": 1,
        "outcome": "fail",
        "contract": {"id": "id", "version": "1.0.0"},
        "rows": 1000,
        "findings": [
            {
                "rule": "risk.enum",
                "dimension": "validity",
                "column": "risk",
                "severity": "critical",
                "outcome": "fail",
                "observed": "1 of 1,000 rows (0.1%) outside: 37 (1)",
                "expected": "one of HIGH_RISK, LOW_RISK",
                "failing_rows": 1,
                "of_rows": None,
                "value": 1.0,
                "sample": [{"risk": 37}],
                "waived": None,
            }
        ],
        "not_executed": [{"rule": "sql", "reason": "not yet", "severity": "error", "dimension": "custom"}],
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
verdicts = st.builds(
    Verdict,
    outcome=st.sampled_from(Outcome),
    contract_id=st.text(),
    contract_version=st.text(),
    rows=st.none() | st.integers(0),
    findings=st.lists(
        st.builds(
            Finding,
            rule=st.text(),
            clause=st.sampled_from(Clause),
            column=st.none() | st.text(),
            severity=st.sampled_from(Severity),
            outcome=st.sampled_from(Outcome),
            observed=st.text(),
            expected=st.text(),
            failing_rows=st.none() | st.integers(0),
            of_rows=st.none() | st.integers(0),
            value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
            sample=st.lists(st.dictionaries(st.text(), json_values), max_size=2).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    not_executed=st.lists(st.builds(NotExecuted, st.text(), st.text(), st.sampled_from(Severity), st.sampled_from(Clause)), max_size=3).map(
        tuple
    ),
    digest=st.text(),
)


@given(verdicts)
def test_json_reads_back_to_an_equal_verdict(verdict: Verdict) -> None:
    assert verdict_from_json(json.loads(json.dumps(verdict_to_json(verdict), allow_nan=False))) == verdict


def test_another_version_of_the_json_is_refused() -> None:
    with pytest.raises(ValueError, match="version 2"):
        verdict_from_json({"version": 2})


def test_an_integer_is_judged_exactly() -> None:
    metric = Statistic("n", Kind.MAXIMUM)
    check = Within(metric, Threshold(Operator.MUST_BE, 2**53))
    found = the_finding(check, batch({metric: Figure(2**53 + 1)}, rows=1, columns=("n",)))
    assert (found.outcome, found.observed) == (Outcome.FAIL, "9,007,199,254,740,993")


MEAN = Statistic("risk", Kind.MEAN)


@pytest.mark.parametrize(
    ("check", "measured", "masked", "value"),
    [
        (Within(RISK), Count(3), (), 3.0),
        (Within(RISK, Threshold(Operator.LESS_OR_EQUAL, 1, percent=True)), Count(3), ("risk",), 0.3),
        (Within(RowCount(), Threshold(Operator.GREATER_THAN, 1)), Count(0), (), 1000.0),
        (Within(MEAN, Threshold(Operator.LESS_THAN, 5)), Figure(2.5), (), 2.5),
        (Within(MEAN, Threshold(Operator.LESS_THAN, 5)), Figure(2.5), ("risk",), None),
        (Within(MEAN, Threshold(Operator.LESS_THAN, 5)), Figure(float("inf")), (), None),
    ],
)
def test_a_finding_keeps_what_the_threshold_was_compared_with(
    check: Within, measured: Measured, masked: tuple[str, ...], value: float | None
) -> None:
    found = the_finding(check, batch({check.metric: measured}), masked=frozenset(masked))
    assert found.value == value


@pytest.mark.parametrize(("masked", "value"), [((), 7200.0), (("t",), None)])
def test_an_age_is_kept_in_seconds_and_one_of_classified_times_is_not(masked: tuple[str, ...], value: float | None) -> None:
    newest = Instant(NOW - timedelta(hours=2))
    assert the_finding(Fresh(Newest("t"), timedelta(days=1)), batch({Newest("t"): newest}), masked=frozenset(masked)).value == value


def test_a_verdict_of_before_values_were_kept_is_read() -> None:
    document = verdict_to_json(verdict_of(plan_of(rule(Within(RISK))), batch({RISK: Count(1)})))
    del document["findings"][0]["value"]
    assert verdict_from_json(document).findings[0].value is None
