"""What the ledger recorded, under another contract: the same as if the data were measured again, wherever its figures are recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_contracts.calibration.recorded import replay_recorded
from dagster_contracts.calibration.replay import Replay, Unknown
from dagster_contracts.chaos.batch import Batch
from dagster_contracts.core.contract import Attached
from dagster_contracts.core.ledger import Batch as Row
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.plan import Plan
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.engines.local import default_engine
from dagster_contracts.judgement import Terms
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.memory import MemoryStore
from tests.calibration.test_calibrate import case
from tests.calibration.test_replay import GOVERNED, days, played

SIZES = st.lists(st.integers(1, 120), min_size=1, max_size=8)
OBJECT = "    quality:\n      - {name: rows"
CODE = """      - name: code
        logicalType: string
        quality: [{name: code.known, type: library, metric: invalidValues, mustBe: 0, arguments: {validValues: [a, b]}}]
"""
CODED = GOVERNED.replace(OBJECT, CODE + OBJECT)


def terms_of(text: str) -> Terms:
    contract = parse(text)
    return Terms.of(Attached("feed", contract, contract.objects[0]))


def rows_of(history: Sequence[Batch], text: str = GOVERNED) -> list[Row]:
    """What a ledger has of these batches, in the order of their arrival."""
    return list(reversed(played(history, text)[1].batches()))


def again(rows: Sequence[Row], text: str, former: Mapping[str, Plan] | None = None) -> Replay:
    clock = FixedClock(rows[0].arrived_at)
    return replay_recorded(MemoryStore(clock=clock), clock, default_engine(), terms_of(text), rows, former or {})


def told(found: Replay) -> object:
    return found.trips, [
        (each.partition, each.outcome, each.status, each.state, each.rules, each.reads, each.values) for each in found.batches
    ]


@settings(max_examples=20, deadline=None)
@given(SIZES, st.integers(1, 120), st.sampled_from(["cooldown: PT6H", "cooldown: P2D", "failures: 2, window: {batches: 3}"]))
def test_the_ledger_tells_under_another_policy_what_the_data_would(sizes: list[int], least: int, policy: str) -> None:
    rows = rows_of(days(*sizes))
    text = GOVERNED.replace("[50,", f"[{least},").replace("cooldown: PT6H", policy)
    found = again(rows, text)
    assert told(found) == told(played(days(*sizes), text)[0])
    assert not found.unknown


def test_a_share_is_judged_anew_where_a_number_of_rows_was_recorded() -> None:
    history = list(case([100, 200], nulls=[10, 10], text=GOVERNED).batches)
    as_rows = GOVERNED.replace(
        "            mustBeLessOrEqualTo: 50  # to be adjusted\n            unit: percent\n", "            mustBeLessThan: 50\n"
    )
    assert "mustBeLessThan" in as_rows
    rows = rows_of(history, as_rows)
    found = again(rows, GOVERNED.replace("mustBeLessOrEqualTo: 50 ", "mustBeLessThan: 10 "))
    assert [(each.outcome, each.rules) for each in found.batches] == [(Outcome.FAIL, ("amount.nullValues",)), (Outcome.PASS, ())]


def test_what_cannot_be_judged_anew_is_left_out_and_told() -> None:
    history = [batch.holding(batch.frame.with_columns(code=pl.lit("z"))) for batch in days(100, 100)]
    rows = rows_of(history, CODED)
    assert [row.outcome for row in rows] == [Outcome.FAIL, Outcome.FAIL]
    wider = CODED.replace("[a, b]", "[a, b, z]")
    for former, reason in (
        ({}, "the version that judged it is not known"),
        ({"1.0.0": terms_of(CODED).plan}, "it measures something else"),
    ):
        found = again(rows, wider, former)
        assert [each.outcome for each in found.batches] == [Outcome.PASS, Outcome.PASS]
        (unknown,) = found.unknown
        assert (unknown.rule, unknown.batches) == ("code.known", 2)
        assert unknown.reason.startswith(reason)
    assert [each.outcome for each in again(rows, CODED).batches] == [Outcome.FAIL, Outcome.FAIL]


def test_figures_and_findings_that_are_gone_are_told() -> None:
    rows = rows_of(days(100, 9))
    pruned = [replace(row, verdict=None) for row in rows]
    found = again(pruned, GOVERNED.replace("[50,", "[5,"))
    assert [each.outcome for each in found.batches] == [Outcome.PASS, Outcome.FAIL]
    assert [(each.rule, each.batches) for each in found.unknown] == [("", 2)]
    more = "    quality:\n      - {name: more, type: library, metric: rowCount, mustBeLessThan: 3}\n      - {name: rows"
    fresh = GOVERNED.replace(OBJECT, more)
    assert again(rows, fresh).unknown == (Unknown("more", "it was not judged then", 2),)
