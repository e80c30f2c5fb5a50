"""Thresholds learned from history: they hold on what they were learned from, and never give up a labelled incident."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.calibration import evidence
from dagster_contracts.calibration.calibrate import Calibration, allowance
from dagster_contracts.calibration.calibrate import calibrate as calibrated
from dagster_contracts.calibration.choosing import Choice, Step
from dagster_contracts.calibration.evidence import summary
from dagster_contracts.calibration.incidents import Incident, incidents_in
from dagster_contracts.calibration.spread import TRIED, Point, since_shift, usual_of
from dagster_contracts.chaos.batch import Batch
from dagster_contracts.chaos.bounds import LEAST
from dagster_contracts.chaos.deliveries import partition_in
from dagster_contracts.chaos.figures import Unit
from dagster_contracts.chaos.remedy import Case
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.odcs import parse
from dagster_contracts.engines.local import default_engine
from dagster_contracts.store.memory import MemoryStore

CONTRACT = """\
# of the vendor
apiVersion: v3.1.0
kind: DataContract
id: feed
version: 1.0.0
status: active
schema:
  - name: feed
    properties:
      - name: amount   # in euros
        logicalType: number
        logicalTypeOptions: {minimum: -1000000, maximum: 1000000}
        quality:
          - type: library
            metric: nullValues
            mustBeLessOrEqualTo: 50  # to be adjusted
            unit: percent
    quality:
      - {name: rows, type: library, metric: rowCount, mustBeBetween: [1, 1000000]}
"""


def case(sizes: Sequence[int], nulls: Sequence[int] = (), text: str = CONTRACT, tops: Sequence[float] = ()) -> Case:
    """A batch a day from Monday 2026-01-05 on, of as many rows, nulls, and with the highest amount given."""
    batches = []
    for day, size in enumerate(sizes):
        empty, top = (nulls[day] if nulls else 0), (tops[day] if tops else 100.0)
        values: list[float | None] = [None] * empty + [10.0 + number % 50 for number in range(size - empty - 1)] + [top]
        name = (datetime(2026, 1, 5, tzinfo=UTC) + timedelta(days=day)).strftime("%Y-%m-%d")
        place = partition_in(name)
        assert place.end is not None
        batches.append(Batch(pl.DataFrame({"amount": values}), place.end, place, f"{name}.csv"))
    return Case(text, "feed", batches, default_engine(), arrivals_known=False)


def calibrate(case: Case, **given: Any) -> Calibration:
    return calibrated(case, lambda clock: MemoryStore(clock=clock), **given)


def choice(found: Calibration, rule: str) -> Choice:
    return next(each for each in found.choices if each.rule == rule)


def incident(day: int, rule: str | None = None) -> Incident:
    key = (datetime(2026, 1, 5, tzinfo=UTC) + timedelta(days=day)).strftime("%Y-%m-%d")
    return Incident(key, (key,), "", rule)


SIZES = st.lists(st.integers(60, 140), min_size=TRIED, max_size=24)


@settings(max_examples=8, deadline=None)
@given(SIZES, st.floats(0, 20), st.integers(1, 200), st.integers(1, 200))
def test_what_is_proposed_refuses_no_more_clean_batches_than_the_budget(sizes: list[int], budget: float, low: int, high: int):
    text = CONTRACT.replace("[1, 1000000]", f"[{low}, {low + high}]")
    found = calibrate(case(sizes, text=text), budget=budget)
    assert len(found.after) <= allowance(budget, len(sizes)) == found.allowed
    assert parse(found.text)


@settings(max_examples=8, deadline=None)
@given(SIZES, st.sets(st.integers(0, 9), min_size=1, max_size=3), st.integers(50, 150), st.booleans())
def test_a_rule_that_a_labelled_incident_needs_is_never_widened(sizes: list[int], bad: set[int], top: int, named: bool):
    text = CONTRACT.replace("mustBeBetween: [1, 1000000]", f"mustBeLessOrEqualTo: {top}")
    labels = [incident(day, "rows" if named else None) for day in sorted(bad)]
    found = choice(calibrate(case(sizes, text=text), incidents=labels, propose=False), "rows")
    if named or any(sizes[day] > top for day in bad):
        assert found.needed
        assert isinstance(found.value, int | float)
        assert found.value <= top
    elif any(size > top for size in sizes):
        assert found.step is Step.LOOSENED


def test_a_loose_rule_is_tightened_and_the_rest_of_the_text_stays():
    history = case([100 + day % 7 for day in range(28)], [day % 3 for day in range(28)])
    found = calibrate(history, propose=False)
    assert {each.rule for each in found.changed} == {"amount.nullValues", "rows"}
    changed = [line for line in difflib.ndiff(CONTRACT.splitlines(), found.text.splitlines()) if line[0] in "+-"]
    words = ("mustBe", "version: ")
    assert all(any(word in line for word in words) for line in changed), changed
    assert choice(found, "amount.maximum").why == "it never moved, which is no measure of how far it may"
    assert "# in euros" in found.text
    assert "# to be adjusted" in found.text
    assert found.version != "1.0.0"
    assert not found.after


def test_a_rule_that_breaks_on_clean_batches_is_loosened_on_that_side_alone():
    text = CONTRACT.replace("[1, 1000000]", "[1, 104]")
    found = choice(calibrate(case([100 + day % 7 for day in range(28)], text=text), propose=False), "rows")
    assert found.step is Step.LOOSENED
    assert isinstance(found.value, tuple)
    assert found.value[0] == 1
    assert found.value[1] >= 106
    assert (len(found.trips), found.after) == (8, ())


def test_no_loosened_rule_lets_an_empty_batch_through_where_none_was_empty():
    text = CONTRACT.replace("mustBeBetween: [1, 1000000]", "mustBeGreaterOrEqualTo: 100")
    growing = case([24 + 40 * day for day in range(12)], text=text)
    found = choice(calibrate(growing, propose=False), "rows")
    assert (found.step, found.value) == (Step.LOOSENED, 1)
    assert "what is left of the rule says that a batch is not empty, which needs no rule" in found.why
    first, *others = growing.batches
    empty = choice(calibrate(replace(growing, batches=[first.holding(first.frame.clear()), *others]), propose=False), "rows")
    assert (empty.step, empty.value) == (Step.LOOSENED, 0)
    assert "what is left of the rule says nothing" in empty.why


def test_why_more_is_refused_than_the_budget_allows_is_told_of_each_rule():
    text = CONTRACT.replace("# in euros", "\n        required: true").replace("mustBeBetween: [1, 1000000]", "mustBeLessOrEqualTo: 104")
    found = calibrate(case([100 + day % 7 for day in range(14)], [1] * 14, text=text), incidents=[incident(6)], propose=False)
    assert "that is over the budget: amount.required: no threshold that could be loosened; rows: incident 2026-01-11 needs it" in list(
        summary(found)
    )


def test_columns_that_came_late_are_not_proposed_where_clean_batches_lack_them():
    history = case([100] * 24)
    early, late = history.batches[:12], [batch.holding(batch.frame.with_columns(n=pl.lit(7))) for batch in history.batches[12:]]
    found = calibrate(replace(history, batches=[*early, *late]))
    assert set(found.withheld) == {"n.present"}
    assert found.withheld["n.present"] == tuple(batch.partition.key for batch in early)
    assert not found.after
    assert any("not proposed, since it would refuse 2026-01-05" in line for line in summary(found))
    assert set(calibrate(replace(history, batches=late)).withheld) == set()


def test_what_looks_like_an_incident_is_told_within_the_budget_and_nothing_is_learned_from_it():
    sizes = [100 + day % 7 for day in range(100)]
    sizes[60] = 100_000
    found = calibrate(case(sizes), budget=1, propose=False)
    assert list(found.suspects) == ["2026-03-06"]
    assert list(found.after) == ["2026-03-06"]
    assert choice(found, "rows").value[1] < 1000  # type: ignore[index]
    careful = calibrate(case(sizes), budget=0.5, propose=False)
    assert not careful.suspects
    assert choice(careful, "rows").value[1] > 100_000  # type: ignore[index]


def test_no_more_batches_are_suspected_than_the_budget_allows():
    sizes = [100 + day % 7 for day in range(100)]
    sizes[40], sizes[60] = 50_000, 100_000
    found = calibrate(case(sizes), budget=1, propose=False)
    assert list(found.suspects) == list(found.after) == ["2026-03-06"]
    assert choice(found, "rows").value[1] >= 50_000  # type: ignore[index]


def test_columns_that_are_not_listed_get_the_type_that_version_3_2_asks_for():
    history = case([100] * 12, text=CONTRACT.replace("v3.1.0", "v3.2.0"))
    more = [replace(batch, frame=batch.frame.with_columns(note=pl.lit(None, pl.String), n=pl.lit("7"))) for batch in history.batches]
    found = calibrate(replace(history, batches=more))
    assert {prop.name: prop.logical_type for prop in parse(found.text).objects[0].properties}.items() >= {
        "note": "string",
        "n": "number",
    }.items()
    assert parse(found.text).objects[0].closed


def test_a_figure_with_a_week_in_it_keeps_the_widest_bound_of_its_weekdays():
    sizes = [(1000 if day % 7 < 5 else 100) + 3 * (day % 4) for day in range(42)]
    found = choice(calibrate(case(sizes), propose=False), "rows")
    assert found.seen is not None
    assert [day for day, _ in found.seen.weekdays] == list(range(7))
    assert found.seen.weekdays[5][1] < 120 < 1000 <= found.seen.weekdays[0][1]
    assert isinstance(found.value, tuple)
    assert 0 <= found.value[0] <= 100
    assert found.value[1] >= 1009


def test_a_lasting_shift_leaves_out_what_was_before_it():
    nulls = [90] * 10 + [0, 1] * 10
    found = choice(calibrate(case([100] * 30, nulls), propose=False), "amount.nullValues")
    assert found.since == "2026-01-15"
    assert found.step is Step.TIGHTENED
    assert found.value < 20  # type: ignore[operator]


def test_rules_that_a_contract_lacks_are_proposed_and_catch_what_they_are_for():
    text = CONTRACT.replace("    quality:\n      - {name: rows, type: library, metric: rowCount, mustBeBetween: [1, 1000000]}\n", "")
    sizes = [100 + day % 7 for day in range(30)]
    found = calibrate(case([*sizes, 7], text=text), incidents=[incident(30)])
    proposed = {each.rule for each in found.choices if each.step is Step.PROPOSED}
    assert {"row_count", "amount.shape", "amount.mean_change"} <= proposed
    assert choice(found, "row_count").needed == ("2026-02-04",)
    assert not found.missed
    assert not found.after
    assert "closedSchema" in found.text


def test_an_incident_that_another_rule_happens_to_notice_is_missed():
    history = case([100 + day % 7 for day in range(20)] + [9])
    found = calibrate(history, incidents=[incident(20)], propose=False)
    assert (choice(found, "rows").step, found.missed) == (Step.TIGHTENED, ())
    found = calibrate(history, incidents=[incident(20, "amount.nullValues")], propose=False)
    told = "not caught: 2026-01-25, for which its rule amount.nullValues is to refuse it; refused, by rows"
    assert told in tuple(summary(found))
    assert "needed by incident 2026-01-25" in evidence.told(choice(found, "amount.nullValues"))  # which does not notice it


def test_an_incident_that_only_a_warning_notices_is_told_as_such():
    text = CONTRACT.replace("metric: rowCount,", "metric: rowCount, severity: warning,")
    history = case([100 + day % 7 for day in range(20)] + [9], text=text)
    found = calibrate(history, incidents=[incident(20, "rows")], propose=False)
    assert "not caught: 2026-01-25, for which its rule rows is to refuse it, but only warns" in tuple(summary(found))
    assert "needed by incident 2026-01-25" in evidence.told(choice(found, "rows"))
    found = calibrate(history, incidents=[incident(20)], propose=False)
    assert "not caught: 2026-01-25: no rule refuses it; rows only warns" in tuple(summary(found))


@given(st.lists(st.integers(0, 1000), min_size=LEAST, max_size=40))
def test_bounds_hold_on_what_they_were_learned_from(values: list[int]):
    points = [Point(at, float(value), 1000, at % 7) for at, value in enumerate(values)]
    for unit in (Unit.COUNT, Unit.ROWS, Unit.ANY, Unit.POSITIVE):
        found = usual_of(points, unit)
        assert found is not None
        assert all(point.value in found.bounds for point in points)


def test_what_grows_has_no_shift():
    growing = [Point(at, float(at), 1) for at in range(60)]
    assert len(since_shift(growing)) == 60


# --- bad input -----------------------------------------------------------------------------------------------------


def test_too_little_history_says_how_much_is_needed():
    with pytest.raises(UsageError, match="give at least 5 clean ones; 10 for tightening and for new rules, and 50 to tell the budget"):
        calibrate(case([100] * 5), budget=2, incidents=[incident(0)])


def test_a_contract_of_which_nothing_can_be_calibrated_is_an_error():
    head = "apiVersion: v3.1.0\nkind: DataContract\nid: feed\nversion: 1.0.0\nstatus: active\n"
    bare = head + "schema: [{name: feed, properties: [{name: amount}]}]\n"
    with pytest.raises(UsageError, match="no rule of the contract has a threshold"):
        calibrate(case([100] * 12, text=bare), propose=False)


@pytest.mark.parametrize("budget", [-1, 100])
def test_a_budget_is_a_share_of_a_hundred(budget: float):
    with pytest.raises(UsageError, match="0 to less than 100"):
        calibrate(case([100] * 12), budget=budget)


KNOWN = ["2026-01-05", "2026-01-06", "2026-01-07"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- {partition: 2026-01-8}", 'no partition "2026-01-8"; did you mean|no partition "2026-01-8"'),
        ("- {partition: 2026-01-07..2026-01-05}", "write the earlier partition first"),
        ("- {partition: 2026-01-05, rule: row}", 'executes no rule "row"'),
        ("- {partiton: 2026-01-05}", "with the key partition"),
        ("- {partition: 2026-01-05, wat: x}", 'unknown key "wat"'),
        ("[]", "expected a list of incidents"),
    ],
)
def test_what_is_wrong_with_labels_is_said(text: str, told: str):
    with pytest.raises(UsageError, match=told):
        incidents_in(text, KNOWN, source="labels.yaml", rules=["rows"])


def test_a_label_names_a_partition_or_several_in_a_row():
    found = incidents_in("incidents: [{partition: 2026-01-05..2026-01-06, what: late, rule: rows}]", KNOWN, source="x", rules=["rows"])
    assert found == (Incident("2026-01-05..2026-01-06", ("2026-01-05", "2026-01-06"), "late", "rows"),)
