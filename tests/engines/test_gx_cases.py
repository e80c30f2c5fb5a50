"""280 test cases of Great Expectations: those with a counterpart of ours are judged by it, the rest by GX through our engine.

Where the outcome is another one, the case stands below with the reason.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from dagster_contracts.core.contract import Clause, Severity
from dagster_contracts.core.judge import judge
from dagster_contracts.core.metrics import Expectation
from dagster_contracts.core.plan import Plan, Rule
from dagster_contracts.core.verdict import Answer, Measured, Unmeasured
from dagster_contracts.engines.gx.engine import measure_expectations
from dagster_contracts.engines.local import LocalEngine
from tests.engines.gx_mapping import TABLE, Checks, native
from tests.shared_cases import CASES, needs_cases

pytestmark = needs_cases

_NOTHING = "a figure of no values: listed as not executed, and the batch is a warning; GX says that it is bad"
_MIXED = "text among numbers is a value out of range, which is counted: GX gives the whole column up"

NATIVE_DIFFERS = {
    "expect_column_max_to_be_between#006": ("fail", "warn", _NOTHING),
    "expect_column_mean_to_be_between#010": ("fail", "warn", _NOTHING),
    "expect_column_median_to_be_between#009": ("fail", "warn", _NOTHING),
    "expect_column_mean_to_be_between#008": ("pass", "inconclusive", "true and false are no numbers; a sql rule can cast them"),
    "expect_column_value_lengths_to_be_between#010": ("error", "pass", "a number has the length of its text, as a pattern has"),
    "expect_column_values_to_be_between#017": ("error", "pass", _MIXED),
    "expect_column_values_to_be_between#018": ("error", "pass", _MIXED),
    "expect_column_values_to_be_between#046": ("error", "fail", _MIXED),
    "expect_column_values_to_be_between#047": ("error", "pass", _MIXED),
}
_NO_BOUNDS = "GX 1.24.1 accepts an expectation without bounds, which older ones refused: it holds of anything"
GX_DIFFERS = {
    "expect_column_min_to_be_between#007": ("error", "pass", _NO_BOUNDS),
    "expect_column_sum_to_be_between#006": ("error", "pass", _NO_BOUNDS),
    "expect_column_quantile_values_to_be_between#004": ("error", "fail", "GX 1.24.1 accepts a lower bound above the upper one: never met"),
}
# Dropped by GX 1.24.1, and without a counterpart: tests of significance, of which the drift rules have the statistic and not the p value.
GONE = {
    "expect_column_bootstrapped_ks_test_p_value_to_be_greater_than": 9,
    "expect_column_chisquare_test_p_value_to_be_greater_than": 3,
    "expect_column_pair_cramers_phi_value_to_be_less_than": 4,
    "expect_column_parameterized_distribution_ks_test_p_value_to_be_greater_than": 12,
}

_FILE = CASES / "peer" / "gx_cases.json"
_DOCUMENT: dict[str, Any] = json.loads(_FILE.read_text()) if _FILE.exists() else {"cases": [], "datasets": {}}
_DTYPES = {"Int64Dtype": "Int64"}


def frame_of(dataset: str) -> pd.DataFrame:
    entry = _DOCUMENT["datasets"][dataset]
    frame = pd.DataFrame(entry["data"])
    for column, dtype in (entry["dtypes"] or {}).items():
        if dtype in ("datetime64[ns]", "datetime64", "timestamp"):
            frame[column] = pd.to_datetime(frame[column], utc=dtype == "timestamp")
        elif dtype != "str":  # some columns that are called text hold numbers too, and cases are about that
            frame[column] = frame[column].astype(_DTYPES.get(dtype, dtype))
    return frame


def counterpart(case: dict[str, Any]) -> Checks:
    frame = frame_of(case["dataset"])
    return native(case["expectation"], case["kwargs"], frozenset(str(name) for name in frame if frame[name].isna().any()))


def expected(case: dict[str, Any]) -> str:
    return "error" if case["expected_error"] else "pass" if case["expected_success"] else "fail"


MAPPED = {case["id"]: case for case in _DOCUMENT["cases"] if counterpart(case) is not None}
REST = {case["id"]: case for case in _DOCUMENT["cases"] if case["id"] not in MAPPED}


@pytest.mark.parametrize("name", MAPPED)
def test_a_rule_of_ours_says_what_great_expectations_says(name: str):
    case = MAPPED[name]
    checks = counterpart(case)
    assert checks is not None
    plan = Plan("c", "1", TABLE, tuple(Rule(f"r{n}", Clause.CUSTOM, Severity.ERROR, check) for n, check in enumerate(checks)))
    measured = LocalEngine().measure(frame_of(case["dataset"]), plan.metrics)
    verdict = judge(plan, measured, {}, as_of=datetime(2026, 1, 1, tzinfo=UTC), head=True)
    wanted, differs, _ = NATIVE_DIFFERS.get(name, (expected(case), expected(case), ""))
    assert wanted == expected(case)
    assert verdict.outcome.value == differs, verdict.findings


def test_the_rest_goes_through_great_expectations():
    """One suite for each data set: what is asked together answers as what is asked alone, which is how the cases were made."""
    answers: dict[str, Measured] = {}
    for dataset in {case["dataset"] for case in _DOCUMENT["cases"]}:
        asked = {
            case["id"]: Expectation(case["expectation"], json.dumps(case["kwargs"], sort_keys=True))
            for case in _DOCUMENT["cases"]
            if case["dataset"] == dataset and (case["id"] in REST or case["gx_1_24_1"] == "agree")
        }
        found = measure_expectations(frame_of(dataset), list(dict.fromkeys(asked.values())))
        answers.update((name, found[expectation]) for name, expectation in asked.items())
    cases = {case["id"]: case for case in _DOCUMENT["cases"]}
    gone = [name for name in answers if cases[name]["expectation"] in GONE]
    assert all("Great Expectations has no" in getattr(answers[name], "reason", "") for name in gone)
    assert {kind: sum(cases[name]["expectation"] == kind for name in gone) for kind in GONE} == GONE
    wrong = {}
    for name in answers.keys() - set(gone):
        wanted, differs, _ = GX_DIFFERS.get(name, (expected(cases[name]), expected(cases[name]), ""))
        assert wanted == expected(cases[name])
        if said(answers[name]) != differs:
            wrong[name] = answers[name]
    assert wrong == {}


def said(answer: Measured) -> str:
    if isinstance(answer, Unmeasured):
        return "error"
    assert isinstance(answer, Answer), answer
    return "pass" if answer.met else "fail"


def test_every_case_is_judged_by_one_of_the_two():
    assert (len(MAPPED), len(REST)) == (167, 113)
    assert NATIVE_DIFFERS.keys() <= MAPPED.keys()
    assert GX_DIFFERS.keys() <= REST.keys()
