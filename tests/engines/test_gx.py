"""Expectations through Great Expectations: same answers on every kind of frame, rows that fail, and never a FAIL for what GX cannot tell.

GX takes seconds to import: once for all tests here.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from typing import Any

import pandas as pd
import polars as pl
import pytest

from dagster_contracts.core.metrics import ColumnType, Expectation
from dagster_contracts.core.verdict import Answer, Measured, NotApplicable, Unmeasured
from dagster_contracts.engines.gx import engine as gx
from dagster_contracts.engines.gx.engine import measure_expectations, own_types

FRAME = pl.DataFrame(
    {
        "a": [1.0, 2.0, 3.0, None, 100.0],
        "b": ["x", "y", "zz", "q", "q"],
        "c": ["1", "2", "3", "4", "n/a"],
    }
)
TYPES = (("c", ColumnType("number")),)
KINDS: dict[str, Callable[[pl.DataFrame], object]] = {
    "polars": lambda frame: frame,
    "lazy": lambda frame: frame.lazy(),
    "arrow": lambda frame: frame.to_arrow(),
    "pandas": lambda frame: frame.to_pandas(),
    "pandas with an index": lambda frame: frame.to_pandas().set_index(pd.Index([7, 7, 3, 2, 1])),
}


def expectation(kind: str, **arguments: Any) -> Expectation:
    return Expectation(kind, json.dumps(arguments, sort_keys=True), TYPES)


def ask(kind: str, data: object = FRAME, **arguments: Any) -> Measured:
    asked = expectation(kind, **arguments)
    return measure_expectations(data, [asked])[asked]


# --- answers -------------------------------------------------------------------------------------------------------

BETWEEN = expectation("expect_column_values_to_be_between", column="a", min_value=2, max_value=9)
ROWS = ({"a": 1.0, "b": "x", "c": "1"}, {"a": 100.0, "b": "q", "c": "n/a"})
ANSWERS: dict[Expectation, Measured] = {
    BETWEEN: Answer(False, "2 of 4 values unexpected (50%)", 2, ROWS, "1.0 (1), 100.0 (1)"),
    expectation("expect_column_values_to_be_between", column="a", min_value=2, max_value=9, mostly=0.5): Answer(
        True, "2 of 4 values unexpected (50%)", 2, (), "1.0 (1), 100.0 (1)"
    ),
    expectation("expect_column_mean_to_be_between", column="c", min_value=2, max_value=9): Answer(True, "2.5"),
    expectation("expect_column_values_to_be_unique", column="b"): Answer(
        False, "2 of 5 values unexpected (40%)", 2, ({"a": None, "b": "q", "c": "4"}, {"a": 100.0, "b": "q", "c": "n/a"}), "q (2)"
    ),
    expectation("expect_column_distinct_values_to_be_in_set", column="b", value_set=["x"]): Answer(
        False, "3 values unexpected", examples="q, y, zz"
    ),
    expectation("expect_column_unique_value_count_to_be_between", column="b", min_value=9): Answer(False, "4"),
    expectation("expect_table_row_count_to_equal", value=4): Answer(False, "5"),
    expectation("expect_table_column_count_to_equal", value=3): Answer(True, "3"),
    expectation("expect_table_columns_to_match_ordered_list", column_list=["b", "a", "c"]): Answer(False, "3 found", examples="a, b, c"),
    expectation("expect_column_to_exist", column="d"): Answer(False, "nothing to observe"),
    expectation("expect_column_values_to_be_of_type", column="b", type_="float64"): Answer(False, "not a figure", examples="str"),
    expectation(
        "expect_column_values_to_be_between",
        column="a",
        min_value=2,
        row_condition='col("b") == "x"',
        condition_parser="great_expectations",
    ): Answer(False, "1 of 1 values unexpected (100%)", 1, ROWS[:1], "1.0 (1)"),
    expectation("expect_column_pair_values_a_to_be_greater_than_b", column_A="a", column_B="c", ignore_row_if="either_value_is_missing"): (
        Answer(
            False, "3 of 3 values unexpected (100%)", 3, (ROWS[0], *FRAME[1:3].to_dicts()), "(1.0, 1.0) (1), (2.0, 2.0) (1), (3.0, 3.0) (1)"
        )
    ),
    expectation("expect_column_values_to_be_unique", column="gone"): NotApplicable("column gone is missing"),
    expectation("expect_column_value_to_be_unique", column="b"): Unmeasured(
        'Great Expectations has no expect_column_value_to_be_unique, did you mean "expect_column_values_to_be_unique"?'
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_run_answers_every_expectation(kind: str):
    found = measure_expectations(KINDS[kind](FRAME), list(ANSWERS))
    assert list(found) == list(ANSWERS)
    assert {each.type + each.arguments: answer for each, answer in found.items() if answer != ANSWERS[each]} == {}


def test_what_gx_raises_is_unmeasured_alone():
    uncomparable = expectation("expect_column_values_to_be_between", column="b", min_value=2)
    misused = expectation("expect_compound_columns_to_be_unique", column_list=["a"])
    found = measure_expectations(FRAME, [uncomparable, misused, BETWEEN])
    first, second, fine = found.values()
    assert isinstance(first, Unmeasured)
    assert first.reason == "Great Expectations could not evaluate expect_column_values_to_be_between"
    assert "same type" in first.detail
    assert isinstance(second, Unmeasured)
    assert "with these arguments" in second.reason
    assert "at least two columns" in second.detail
    assert fine == ANSWERS[BETWEEN]


def test_where_gx_gives_up_the_run_each_expectation_is_asked_alone(monkeypatch: pytest.MonkeyPatch):
    from great_expectations.validator.validator import Validator

    whole = Validator.graph_validate
    culprit = expectation("expect_column_values_to_not_be_null", column="a")

    def crashing(self: Any, configurations: list[Any], *more: Any) -> Any:
        if any(each.type == culprit.type for each in configurations):
            raise MemoryError("no more of it")
        return whole(self, configurations, *more)

    monkeypatch.setattr(Validator, "graph_validate", crashing)
    found = measure_expectations(FRAME, [culprit, BETWEEN])
    assert found == {
        culprit: Unmeasured("Great Expectations could not evaluate expect_column_values_to_not_be_null", "no more of it"),
        BETWEEN: ANSWERS[BETWEEN],
    }


def test_quantiles_of_one_column_do_not_answer_for_each_other():
    """GX 1.24.1 takes the quantiles of the first such expectation for all of a run: the second one would be met."""

    def quantile(at: float, most: float) -> Expectation:
        ranges = {"quantiles": [at], "value_ranges": [[None, most]]}
        return expectation("expect_column_quantile_values_to_be_between", column="a", quantile_ranges=ranges)

    found = measure_expectations(FRAME, [quantile(0, 1), quantile(1, 5), quantile(0.5, 5)])
    assert list(found.values()) == [Answer(True, "quantile 0: 1"), Answer(False, "quantile 1: 100"), Answer(True, "quantile 0.5: 3")]


def test_data_that_cannot_be_read_is_unmeasured():
    def broken(_: pl.Series) -> pl.Series:
        raise ValueError("disk on fire")

    scan = FRAME.lazy().with_columns(pl.col("a").map_batches(broken, return_dtype=pl.Float64))
    (answer,) = measure_expectations(scan, [BETWEEN]).values()
    assert isinstance(answer, Unmeasured)
    assert "disk on fire" in answer.detail
    assert isinstance(ask("expect_table_row_count_to_equal", data=[1, 2], value=2), Unmeasured)


def test_only_columns_that_are_named_are_read():
    def broken(_: pl.Series) -> pl.Series:
        raise ValueError("this column must not be read")

    scan = FRAME.lazy().with_columns(pl.col("c").map_batches(broken, return_dtype=pl.String))
    asked = [BETWEEN, expectation("expect_table_columns_to_match_set", column_set=["a", "b", "c"])]
    between, match = measure_expectations(scan, asked).values()
    assert between == Answer(False, "2 of 4 values unexpected (50%)", 2, (), "1.0 (1), 100.0 (1)")  # whole rows cannot be shown
    assert match == Answer(True, "3 found", examples="a, b, c")


def test_a_column_that_is_there_twice_is_told():
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"])
    assert ask("expect_column_values_to_be_unique", frame, column="a") == NotApplicable("column a appears 2 times")
    assert ask("expect_column_values_to_be_unique", frame, column="b") == Answer(True, "0 of 1 values unexpected (0%)", 0)
    assert ask("expect_table_columns_to_match_ordered_list", frame, column_list=["a", "a", "b"]) == Answer(
        True, "3 found", examples="a, a, b"
    )


@pytest.mark.parametrize("rows", [0, 1, 30])
def test_at_most_twenty_failing_rows_are_shown(rows: int):
    frame = pl.DataFrame({"a": list(range(rows))}, schema={"a": pl.Int64})
    answer = ask("expect_column_values_to_be_between", frame, column="a", min_value=1000)
    assert isinstance(answer, Answer)
    assert (answer.failing_rows, len(answer.sample)) == (rows, min(rows, 20))


# --- what is left alone --------------------------------------------------------------------------------------------


def test_nothing_is_printed_and_nothing_of_the_process_is_changed(capfd: pytest.CaptureFixture[str]):
    from great_expectations.data_context.data_context.context_factory import project_manager

    ask("expect_table_row_count_to_equal", value=5)  # imports whatever is imported at first use
    context = getattr(project_manager, "_ProjectManager__project", None)
    before = (dict(os.environ), list(warnings.filters), list(logging.getLogger().handlers), threading.active_count())
    frame = FRAME.to_pandas()
    copy = frame.copy()
    assert measure_expectations(frame, list(ANSWERS)) == ANSWERS
    assert (dict(os.environ), list(warnings.filters), list(logging.getLogger().handlers), threading.active_count()) == before
    assert getattr(project_manager, "_ProjectManager__project", None) is context
    assert frame.equals(copy)
    assert capfd.readouterr() == ("", "")


def test_threads_do_not_disturb_each_other():
    frames = [pl.DataFrame({"a": [float(number)] * 50}) for number in range(8)]
    asked = expectation("expect_column_mean_to_be_between", column="a", min_value=0)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda frame: measure_expectations(frame, [asked])[asked], frames))
    assert found == [Answer(True, str(number)) for number in range(8)]


def test_what_gx_brings_along_is_known_without_importing_it():
    code = (
        "import sys; from dagster_contracts.engines.gx.engine import own_types; found = own_types();"
        "assert 'expect_column_values_to_be_between' in found and len(found) > 50, found;"
        "assert 'great_expectations' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    registered = {name for name in list_registered_expectation_implementations() if name.startswith("expect_")}
    assert registered <= own_types()


def test_a_name_that_is_like_no_other_gets_no_hint():
    assert gx.unknown_type("expect_the_unexpected", own_types()) == "Great Expectations has no expect_the_unexpected"


# --- values that stay what they are --------------------------------------------------------------------------------

DAYS = [date(2020, 1, 1), None, date(2021, 1, 1)]
TIMES = [datetime(2020, 1, 1, 3), None, datetime(2021, 1, 1)]  # noqa: DTZ001
CLOCKED: dict[str, object] = {
    "polars dates": pl.DataFrame({"c": DAYS}),
    "polars timestamps": pl.DataFrame({"c": TIMES}),
    "polars in a zone": pl.DataFrame({"c": TIMES}).with_columns(pl.col("c").dt.replace_time_zone("Asia/Tokyo")),
    "arrow dates": pl.DataFrame({"c": DAYS}).to_arrow(),
    "arrow timestamps": pl.DataFrame({"c": TIMES}).to_arrow(),
    "pandas datetime64": pd.DataFrame({"c": pd.to_datetime(TIMES)}),
    "pandas in UTC": pd.DataFrame({"c": pd.to_datetime(TIMES, utc=True)}),
    "pandas objects": pd.DataFrame({"c": pd.Series(DAYS, dtype=object)}),
    "text": pl.DataFrame({"c": ["2020-01-01T03:00:00", None, "2021-01-01T00:00:00"]}),
}


def ask_timed(data: object, kind: str, **arguments: Any) -> Measured:
    asked = Expectation(kind, json.dumps({"column": "c", **arguments}), (("c", ColumnType("timestamp")),))
    return measure_expectations(data, [asked])[asked]


@pytest.mark.parametrize("kind", CLOCKED)
def test_bounds_written_as_dates_compare_with_dates_and_timestamps(kind: str):
    between = "expect_column_values_to_be_between"
    answer = ask_timed(CLOCKED[kind], between, min_value="2020-06-01")
    assert isinstance(answer, Answer), answer
    assert (answer.met, answer.failing_rows) == (False, 1)
    kept = ask_timed(CLOCKED[kind], between, min_value="2019-06-01", max_value="2021-06-01")
    assert isinstance(kept, Answer), kept
    assert (kept.met, kept.failing_rows) == (True, 0)
    assert getattr(ask_timed(CLOCKED[kind], "expect_column_max_to_be_between", max_value="2020-06-01"), "met", None) is False
    assert getattr(ask_timed(CLOCKED[kind], "expect_column_min_to_be_between", min_value="2019-06-01"), "met", None) is True


@pytest.mark.parametrize("kind", ["polars timestamps", "pandas in UTC", "text"])
def test_bounds_with_a_zone_and_sets_of_times(kind: str):
    between = "expect_column_values_to_be_between"
    assert getattr(ask_timed(CLOCKED[kind], between, min_value="2020-01-01T04:00:00+01:00"), "met", None) is True
    values = ["2020-01-01T03:00:00", "2021-01-01"]
    assert getattr(ask_timed(CLOCKED[kind], "expect_column_values_to_be_in_set", value_set=values), "met", None) is True
    assert getattr(ask_timed(CLOCKED[kind], "expect_column_values_to_be_in_set", value_set=values[:1]), "met", None) is False


def test_dates_as_objects_are_found_in_sets():
    answer = ask_timed(CLOCKED["pandas objects"], "expect_column_values_to_be_in_set", value_set=["2020-01-01"])
    assert getattr(answer, "failing_rows", None) == 1


@pytest.mark.parametrize("kind", ["polars", "lazy", "arrow"])
def test_integers_with_a_null_stay_exact(kind: str):
    data = KINDS[kind](pl.DataFrame({"c": [9007199254740993, None, 3]}))
    exact = ask("expect_column_values_to_be_in_set", data, column="c", value_set=[9007199254740993, 3])
    assert exact == Answer(True, "0 of 2 values unexpected (0%)", 0)
    beside = ask("expect_column_values_to_be_in_set", data, column="c", value_set=[9007199254740992, 3])
    assert isinstance(beside, Answer)
    assert (beside.failing_rows, beside.examples) == (1, "9007199254740993 (1)")
    digits = ask("expect_column_values_to_match_regex", data, column="c", regex="^[0-9]+$")
    assert digits == Answer(True, "0 of 2 values unexpected (0%)", 0)


def test_what_gx_does_not_evaluate_on_nullable_integers_is_asked_of_floats():
    parts = {"bins": [0, 2, 10], "weights": [0.5, 0.5]}
    kind = "expect_column_kl_divergence_to_be_less_than"
    answers = [ask(kind, pl.DataFrame({"c": [1, 5, *nulls]}), column="c", partition_object=parts, threshold=0.1) for nulls in ((), (None,))]
    assert isinstance(answers[0], Answer)
    assert answers[1] == answers[0]


@pytest.mark.parametrize("dtype", [pl.String, pl.Null])
@pytest.mark.parametrize("rows", [0, 3])
def test_a_column_without_a_value_is_no_text(dtype: pl.DataType, rows: int):
    data = pl.DataFrame({"d": [None] * rows}, schema={"d": dtype})
    assert ask("expect_column_mean_to_be_between", data, column="d", min_value=0) == Answer(False, "nothing to observe")
    assert ask("expect_column_sum_to_be_between", data, column="d", max_value=0) == Answer(True, "0")
    assert ask("expect_column_values_to_be_increasing", data, column="d") == Answer(True, "0 of 0 values unexpected", 0)
    assert ask("expect_column_values_to_be_of_type", data, column="d", type_="int64") == Answer(True, "0 of 0 values unexpected", 0)
