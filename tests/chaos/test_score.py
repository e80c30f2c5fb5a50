"""Mutation score: what counts, what is missing, and when there is nothing to score."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dagster_contracts.chaos.campaign import Alarm, Campaign, Cell, Result, Skipped, Trial
from dagster_contracts.chaos.fault import Group
from dagster_contracts.chaos.score import Share, score
from dagster_contracts.core.contract import Clause, Severity
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.verdict import Finding, Outcome


def trial(dose: float, result: Result) -> Trial:
    return Trial(dose, result, "3 of 10 values of amount are null", 3)


def cell(fault: str, column: str | None, *results: Result, clause: Clause = Clause.COMPLETENESS, group: Group = Group.NULLS) -> Cell:
    return Cell(fault, group, clause, column, tuple(trial(number + 1.0, result) for number, result in enumerate(results)))


def campaign(*cells: Cell, alarms: tuple[Alarm, ...] = ()) -> Campaign:
    return Campaign("c", "1.0.0", "t", 0, 3, "b", 10, ("amount",), alarms, cells)


def test_every_dose_counts_and_a_warning_is_caught_but_not_stopped() -> None:
    found = score(campaign(cell("nulls", "amount", Result.MISSED, Result.WARNED, Result.REFUSED), cell("gone", "name", Result.HELD)))
    assert found.total == Share(caught=3, stopped=2, tried=4)
    assert found.total.percent == 75.0


def test_scores_are_told_by_clause_and_by_group_without_those_that_nothing_was_tried_of() -> None:
    dropped = cell("drop", "amount", Result.REFUSED, clause=Clause.SCHEMA, group=Group.SCHEMA)
    found = score(campaign(dropped, cell("nulls", "amount", Result.MISSED)))
    assert found.by_clause == {Clause.SCHEMA: Share(1, 1, 1), Clause.COMPLETENESS: Share(0, 0, 1)}
    assert set(found.by_group) == {Group.SCHEMA, Group.NULLS}


def test_the_clause_that_would_catch_the_most_is_told_first() -> None:
    few = cell("nulls", "name", Result.MISSED)
    many = cell("nulls", "amount", Result.MISSED, Result.MISSED)
    other = cell("burst", "amount", Result.MISSED)
    missing = score(campaign(few, many, other, cell("fine", "amount", Result.REFUSED))).missing
    assert [(each.column, each.faults) for each in missing] == [("amount", ("nulls", "burst")), ("name", ("nulls",))]


def test_a_contract_that_refuses_clean_data_is_not_scored() -> None:
    broken = Finding("amount.required", Clause.COMPLETENESS, "amount", Severity.ERROR, Outcome.FAIL, "1 null", "no nulls")
    with pytest.raises(UsageError, match=r"refuses 1 of 3 clean batches \(amount.required\)"):
        score(campaign(alarms=(Alarm("b", Outcome.FAIL, (broken,)),)))


def test_where_no_fault_could_be_tried_nothing_is_scored_and_it_is_told_why() -> None:
    skipped = (Skipped("mine", None, "the fault changed nothing"), Skipped("", "amount", "no fault fits it"))
    with pytest.raises(UsageError, match=r"no fault could be tried, .* \(the fault changed nothing; no fault fits it\)"):
        score(replace(campaign(), skipped=skipped))
