"""Campaigns: clean batches first, every fault judged as it would be in earnest, what cannot be tried told and not counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.chaos.batch import Batch, Injected, places
from dagster_contracts.chaos.campaign import Campaign, Result, Trial
from dagster_contracts.chaos.consequences import OTHERS
from dagster_contracts.chaos.edit import edited, picked
from dagster_contracts.chaos.fault import SHARES, Fault, Group, fault, reading
from dagster_contracts.chaos.faults import FAULTS
from dagster_contracts.chaos.history import is_head, past_of
from dagster_contracts.chaos.run import chosen, find_thresholds, prepare, run
from dagster_contracts.chaos.score import score
from dagster_contracts.chaos.shape import Reads
from dagster_contracts.chaos.shortcut import Shortcut, delivered, reads_all
from dagster_contracts.chaos.trials import Bench, tried
from dagster_contracts.core.compile import compile_plan
from dagster_contracts.core.contract import BreakerPolicy, Clause, Severity, Window
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.judge import judge
from dagster_contracts.core.ledger import Partition, RouteKind
from dagster_contracts.core.metrics import Orphans, Query
from dagster_contracts.core.plan import Plan, Rule, Within
from dagster_contracts.engines.local import default_engine
from dagster_contracts.store.files import load_contracts
from tests.chaos.feeds import batches

ENGINE = default_engine()


@cache
def contract() -> tuple[Plan, BreakerPolicy]:
    (found,) = load_contracts(Path(__file__).parent / "contract.odcs.yaml")
    return compile_plan(found, found.objects[0]), found.policy


@cache
def bench(text: bool = False) -> Bench:
    plan, policy = contract()
    return prepare(plan, policy, ENGINE, batches(3, text=text))[1]


@cache
def whole() -> Campaign:
    plan, policy = contract()
    return run(plan, policy, ENGINE, batches(3))


def named(name: str) -> Fault:
    return next(fault for fault in FAULTS if fault.name == name)


def trial(name: str, column: str | None, dose: float = 1.0, *, on: Bench | None = None) -> Trial:
    found = tried(on or bench(), named(name), column, dose)
    assert isinstance(found, Trial), found
    return found


# --- the short cut -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@given(seed=st.integers(0, 2**32), share=st.floats(0, 1), text=st.booleans())
@settings(max_examples=4, deadline=None)
def test_measuring_what_changed_says_what_measuring_everything_says(fault: Fault, seed: int, share: float, text: bool) -> None:
    plan, _ = contract()
    one = replace(bench(text), seed=seed)
    clean = one.victim.batch
    short = Shortcut(ENGINE, clean.frame, one.victim.measurement)
    columns = list(fault.fits(clean.shape))
    if not columns or fault.name in ("missing", "out_of_order"):
        return
    column, dose = columns[int(share * (len(columns) - 1))], fault.doses[seed % len(fault.doses)]
    injected = fault.inject(clean, column, dose, np.random.default_rng(seed))
    assert injected.batch is not None
    found = short.measure(delivered(injected.batch), plan.metrics)
    data = delivered(injected.batch)
    if isinstance(data, pl.DataFrame):
        in_full = ENGINE.measure(data, plan.metrics)
        assert found == in_full
        past, head = past_of(plan, injected.batch, one.before), is_head(injected.batch, one.before)
        verdicts = [judge(plan, each, {}, as_of=injected.batch.arrived_at, head=head, past=past) for each in (found, in_full)]
        assert verdicts[0] == verdicts[1]


class _Counting:
    """The engine, noting how many metrics it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def measure(self, data, metrics, related=None):  # type: ignore[no-untyped-def]
        self.asked.append(len(metrics))
        return ENGINE.measure(data, metrics)

    def samples(self, data, metrics, limit=20, related=None):  # type: ignore[no-untyped-def]
        raise AssertionError("no sample is asked for")

    def divide(self, data, rules, related=None):  # type: ignore[no-untyped-def]
        return ENGINE.divide(data, rules)


def test_only_what_changed_is_measured_again() -> None:
    plan, _ = contract()
    counting = _Counting()
    tried(replace(bench(), engine=counting), named("null_rate"), "score", 0.1)
    of_score = sum("score" in metric.columns for metric in plan.metrics)
    assert counting.asked == [of_score]
    assert of_score < len(plan.metrics) / 4


@pytest.mark.parametrize(
    ("sql", "everything"),
    [
        ("SELECT COUNT(*) FROM feed WHERE amount + score <> 3", False),
        ('select max(amount) from "feed"', False),
        ("SELECT sum(amount * score) FROM feed WHERE 2 * amount > 1", False),
        ("SELECT DISTINCT * FROM feed", True),
        ("SELECT hash(feed.*) FROM feed", True),
        ("SELECT 1, * FROM feed", True),
        ("SELECT COUNT(*) FROM feed f WHERE hash(f) = 0", True),
        ("SELECT COUNT(*) FROM feed WHERE hash(feed) = 0", True),
        ("SELECT sum(hash(COLUMNS('a.*'))) FROM feed", True),
        ("SELECT COUNT(*) FROM feed WHERE id NOT IN (SELECT id FROM other)", True),
        ("FROM feed", True),
    ],
)
def test_a_query_is_asked_again_unless_it_names_all_that_it_reads(sql: str, everything: bool) -> None:
    assert reads_all(Query(sql, "feed")) is everything


@pytest.mark.parametrize(("column", "again"), [("amount", 1), ("code", 0)])
def test_a_query_is_asked_again_where_a_column_changed_that_it_names(column: str, again: int) -> None:
    plan, policy = contract()
    query = Query("SELECT COUNT(*) FROM feed WHERE amount < 0", "feed")
    rule = Rule("feed.query", Clause.CUSTOM, Severity.ERROR, Within(query))
    prepared = prepare(replace(plan, rules=(*plan.rules, rule)), policy, ENGINE, batches(2))[1]
    asked: list[object] = []

    class Noting(_Counting):
        def measure(self, data, metrics, related=None):  # type: ignore[no-untyped-def]
            asked.extend(metric for metric in metrics if isinstance(metric, Query))
            return ENGINE.measure(data, metrics)

    found = trial("sign_change", column, on=replace(prepared, engine=Noting()))
    assert len(asked) == again
    assert ("feed.query" in found.rules) is bool(again)


def test_rows_that_refer_to_rows_of_their_batch_are_measured_again_where_either_changed() -> None:
    plan, policy = contract()
    rule = Rule("status.parent", Clause.CUSTOM, Severity.ERROR, Within(Orphans(("status",), "feed", ("risk",))))
    family = [batch.holding(batch.frame.with_columns(status=pl.col("risk"))) for batch in batches(1)]
    only = replace(plan, rules=(rule,))
    prepared = prepare(only, policy, ENGINE, family)[1]
    assert prepared.victim.verdict.outcome == "pass"
    assert trial("categories_to_numbers", "risk", on=prepared).rules == ("status.parent",)
    assert trial("categories_to_numbers", "status", on=prepared).rules == ("status.parent",)
    assert trial("unit_change", "code", on=prepared).result is Result.MISSED


# --- clean batches -------------------------------------------------------------------------------------------------


def test_clean_batches_raise_no_alarm() -> None:
    assert whole().alarms == ()
    assert whole().clean == 3


def test_a_contract_that_refuses_clean_data_is_not_tried_and_says_which_rules() -> None:
    plan, policy = contract()
    one, two = batches(2)
    broken = two.holding(two.frame.with_columns(pl.lit(100).alias("score")))
    found = run(plan, policy, ENGINE, [one, broken])
    assert found.cells == ()
    assert [(alarm.batch, [finding.rule for finding in alarm.findings]) for alarm in found.refusals] == [("day 1", ["score.minimum"])]
    with pytest.raises(UsageError, match=r"score\.minimum"):
        score(found)


def test_without_a_batch_there_is_no_campaign() -> None:
    with pytest.raises(UsageError, match="no batch"):
        run(*contract(), ENGINE, [])


# --- what comes of faults ------------------------------------------------------------------------------------------


def test_every_fault_is_tried_wherever_it_fits_or_told_to_be_skipped() -> None:
    found = whole()
    done = {(cell.fault, cell.column) for cell in found.cells}
    left = {(each.fault, each.column) for each in found.skipped}
    shape = batches(3)[-1].shape
    wanted = {(fault.name, column) for fault in FAULTS for column in fault.fits(shape)}
    assert wanted <= done | left
    assert all("(dose" in each.reason for each in found.skipped if (each.fault, each.column) in done)


def test_a_caught_fault_names_the_rules_that_notice_it() -> None:
    found = trial("null_rate", "score", 0.1)
    assert found.result is Result.REFUSED
    assert found.rules == ("score.required",)
    assert found.description == "6 of 60 values of score are null"


def test_a_fault_that_no_rule_speaks_of_is_missed_and_read_as_fresh_by_everybody() -> None:
    found = trial("unit_change", "code")
    assert found.result is Result.MISSED
    assert found.rules == ()
    assert found.batches_to_trip is None
    assert {(read.kind, read.faulty) for read in found.reads} == {(RouteKind.FRESH, True)}


def test_a_warning_is_caught_and_not_stopped() -> None:
    found = trial("scale", "limit", 2.0)
    assert (found.result, found.result.caught, found.result.stopped) == (Result.WARNED, True, False)
    assert found.rules == ("limit.psi",)
    assert all(read.faulty for read in found.reads)


def test_a_broken_file_is_held_and_never_trips() -> None:
    found = trial("corrupt_file", None)
    assert found.result is Result.HELD
    assert not found.tripped


def test_each_consumer_reads_what_its_policy_says() -> None:
    found = trial("new_category", "risk", 0.5)
    assert found.tripped
    assert {read.consumer: read.kind for read in found.reads} == {
        "strict": RouteKind.HALTED,
        "loose": RouteKind.LOW_CONFIDENCE,
        OTHERS: RouteKind.LAST_GOOD,
    }
    assert [read.consumer for read in found.reads if read.faulty] == ["loose"]


def test_no_consumer_ever_reads_what_its_policy_does_not_say() -> None:
    assert [read for cell in whole().cells for each in cell.trials for read in each.reads if not read.as_promised] == []


def test_the_breaker_trips_after_as_many_batches_as_its_window_wants() -> None:
    _, policy = contract()
    patient = replace(policy, trip_on=frozenset(), failures=3, window=Window(5))
    found = trial("null_rate", "score", 0.5, on=replace(bench(), policy=patient))
    assert found.batches_to_trip == 3
    assert not found.tripped
    hasty = replace(patient, window=Window(None, timedelta(days=2)))  # three in two days never come, one a day
    assert trial("null_rate", "score", 0.5, on=replace(bench(), policy=hasty)).batches_to_trip is None


def test_failing_rows_that_are_set_aside_reach_nobody() -> None:
    _, policy = contract()
    dividing = replace(bench(), policy=replace(policy, maximum_failing_share=0.2))
    found = trial("null_rate", "score", 0.1, on=dividing)
    assert found.result is Result.SET_ASIDE
    assert not any(read.faulty for read in found.reads)
    assert trial("null_rate", "score", 0.5, on=dividing).result is Result.REFUSED


def test_values_of_classified_columns_are_quoted_nowhere() -> None:
    plan, policy = contract()
    classified = replace(plan, masked=frozenset({"risk", "amount"}))
    found = run(classified, policy, ENGINE, batches(3), faults=[*map(named, ("constant_column", "segment_poisoning", "outliers_in_range"))])
    told = [each.description for cell in found.cells for each in cell.trials if {"risk", "amount"} & set(each.columns)]
    told += [each.description for cell in found.cells for each in cell.trials if "where risk" in each.description]
    assert told
    assert not [text for text in told if any(value in text for value in ("HIGH", "LOW", "medium", "für", "the highest there is"))]


# --- deliveries ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dose", "rules"),
    [
        ("late", 0.25, ("sla.frequency",)),
        ("late", 3.0, ("at.latency", "sla.frequency")),
        ("missing", 3.0, ("sla.frequency",)),
        ("early", 0.9, ("sla.frequency",)),
        ("daily_to_hourly", 1.0, ("id.present",)),
        ("replay", 1.0, ("at.latency",)),
    ],
)
def test_deliveries_are_judged_by_when_they_come(name: str, dose: float, rules: tuple[str, ...]) -> None:
    found = trial(name, None, dose)
    if name == "daily_to_hourly":  # parts of two or three rows break the volume first
        assert "amount.volume" in found.rules
    else:
        assert found.rules == rules


def test_a_missing_delivery_trips_where_its_promise_is_critical() -> None:
    plan, _ = contract()
    rules = tuple(replace(rule, severity=Severity.CRITICAL) if rule.id == "sla.frequency" else rule for rule in plan.rules)
    found = trial("missing", None, 3.0, on=replace(bench(), plan=replace(plan, rules=rules)))
    assert (found.result, found.tripped) == (Result.REFUSED, True)
    assert trial("missing", None, 3.0).result is Result.WARNED


def test_the_delivery_before_that_comes_again_counts_where_there_are_no_partitions() -> None:
    assert isinstance(tried(bench(), named("out_of_order"), None, 1.0), Trial)
    one, two, three = batches(3)
    placed = [replace(batch, partition=Partition(batch.name)) for batch in (one, two)]
    last = replace(three, partition=Partition(three.name), previous=placed[-1])
    assert "backfill" in str(tried(prepare(*contract(), ENGINE, [*placed, last])[1], named("out_of_order"), None, 1.0))


# --- thresholds ----------------------------------------------------------------------------------------------------


def test_the_smallest_dose_that_is_noticed_is_found_by_bisection() -> None:
    plan, policy = contract()
    faults = [named("null_rate"), named("truncation"), named("drop_column")]
    found, prepared = prepare(plan, policy, ENGINE, batches(3, rows=1000), faults=faults)
    empty = Campaign("c", "1", "t", 0, 1, "b", 1, ())
    assert find_thresholds(empty, prepared, faults) == empty
    done = run(plan, policy, ENGINE, batches(3, rows=1000), faults=faults, thresholds=True)
    cells = {(cell.fault, cell.column): cell for cell in done.cells}
    nulls = cells["null_rate", "amount"].threshold  # 9.1% are null already, 20% may be
    assert nulls is not None
    assert 0.12 / 1.1 <= nulls <= 0.12 * 1.2
    assert cells["null_rate", "score"].threshold == pytest.approx(0.001)  # one row
    assert cells["null_rate", "code"].threshold is None
    assert cells["drop_column", "code"].threshold is None
    assert found.cells == ()


# --- faults of others ----------------------------------------------------------------------------------------------


def test_a_fault_of_ones_own_takes_ten_lines() -> None:
    @fault("shouting", "semantics", clause="validity", fits=reading(Reads.CATEGORY), doses=SHARES, unit="of the rows")
    def shouting(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
        """Text in capitals."""
        assert column is not None
        return edited(batch, column, pl.col(column).str.to_uppercase(), picked(batch, column, dose, rng), "in capitals")

    found = run(*contract(), ENGINE, batches(3), faults=[shouting])
    assert shouting.description == "Text in capitals."
    assert [(cell.column, [each.result for each in cell.trials]) for cell in found.cells] == [("risk", [Result.REFUSED] * 3)]
    assert ("shouting", "status", "the fault changed nothing") in [(each.fault, each.column, each.reason) for each in found.skipped]


def test_a_fault_that_raises_changes_nothing_or_returns_something_else_is_told_and_not_counted() -> None:
    @fault("raising", Group.QUALITY, clause=Clause.VALIDITY)
    def raising(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
        raise ZeroDivisionError("oh")

    @fault("idle", Group.QUALITY, clause=Clause.VALIDITY)
    def idle(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
        return Injected(batch, "I say that I did", places([0]), ("id",))

    @fault("strange", Group.QUALITY, clause=Clause.VALIDITY)
    def strange(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
        return batch  # type: ignore[return-value]

    lost = Fault("lost", Group.QUALITY, Clause.VALIDITY, (1.0,), lambda shape: ["nowhere"], idle.inject)
    found = run(*contract(), ENGINE, batches(2), faults=[raising, idle, strange, lost])
    assert found.cells == ()
    with pytest.raises(UsageError, match="no fault could be tried, so that nothing is scored"):
        score(found)
    told = {each.fault: each.reason for each in found.skipped if each.fault}
    assert told == {
        "raising": "the fault raised ZeroDivisionError: oh",
        "idle": "the fault changed nothing",
        "strange": "the fault returned Batch; expected Injected",
        "lost": "the fault says that it fits column nowhere, which is not there",
    }


def test_a_fault_that_changes_the_frame_it_is_given_does_no_harm() -> None:
    @fault("rude", Group.QUALITY, clause=Clause.SCHEMA)
    def rude(batch: Batch, column: str | None, dose: float, rng: np.random.Generator) -> Injected:
        batch.frame.drop_in_place("id")
        return Injected(batch, "id is gone", places(), ("id",))

    feed = batches(2)
    before = feed[-1].frame.clone()
    found = run(*contract(), ENGINE, feed, faults=[rude])
    assert feed[-1].frame.equals(before)
    assert found.cells[0].trials[0].rules == ("id.present",)


def test_a_column_that_no_fault_fits_is_told() -> None:
    found = run(*contract(), ENGINE, batches(2), faults=[named("null_rate")])
    assert [(each.column, each.reason) for each in found.skipped if each.fault is None] == [
        ("empty", "no fault fits it: it holds no value")
    ]


def test_faults_are_chosen_by_group_or_name() -> None:
    assert {fault.group for fault in chosen(FAULTS, ["nulls"])} == {Group.NULLS}
    assert [fault.name for fault in chosen(FAULTS, ["scale", "late"])] == ["scale", "late"]
    with pytest.raises(UsageError, match='no fault or group is called "null"'):
        chosen(FAULTS, ["null"])


def test_two_faults_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="several faults are called scale"):
        run(*contract(), ENGINE, batches(2), faults=[named("scale"), named("scale")])


def test_the_same_seed_says_the_same() -> None:
    hardest = [replace(fault, doses=fault.doses[-1:]) for fault in FAULTS]
    again = run(*contract(), ENGINE, batches(3), faults=hardest)
    assert {(cell.fault, cell.column): cell.trials[0] for cell in again.cells} == {
        (cell.fault, cell.column): cell.trials[-1] for cell in whole().cells if cell.trials[-1].dose == named(cell.fault).doses[-1]
    }
    assert {cell.trials[0].result for cell in whole().cells} >= {Result.REFUSED, Result.MISSED}
