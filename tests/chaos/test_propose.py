"""Clauses are proposed for what was missed: each catches what it says, all are silent on clean batches, and the contract says no less."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
import yaml

from dagster_contracts.chaos.batch import Batch
from dagster_contracts.chaos.bounds import ALPHA, LEAST, Range, outward, steady, student, usual
from dagster_contracts.chaos.campaign import Campaign
from dagster_contracts.chaos.clauses import Candidate, Key, Quality
from dagster_contracts.chaos.evidence import evidence_of, fits, joined, letters_of, pattern_of
from dagster_contracts.chaos.fault import Fault
from dagster_contracts.chaos.faults import FAULTS
from dagster_contracts.chaos.figures import Names, Open, Unit, relations
from dagster_contracts.chaos.history import judged
from dagster_contracts.chaos.infer import infer
from dagster_contracts.chaos.learning import promises
from dagster_contracts.chaos.propose import covering, learned, propose, verified
from dagster_contracts.chaos.remedy import Case, Remedy, remedy
from dagster_contracts.chaos.run import run
from dagster_contracts.chaos.score import score
from dagster_contracts.core.document import read
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.engines.local import default_engine
from tests.chaos.feeds import FIRST

CONTRACT = """\
# Ours, and commented.
apiVersion: v3.1.0
kind: DataContract
id: payments
version: 1.4.0
status: active
schema:
- name: payments
  properties:
  - name: id   # the key
    logicalType: string
  - name: amount
    logicalType: number
  - name: holder
    logicalType: string
    classification: confidential
# kind is not listed.
"""
ROWS = 150
TRIED = (
    "drop_column",
    "add_column",
    "null_rate",
    "null_as_sentinel",
    "new_category",
    "key_collision",
    "mean_shift",
    "late",
    "reorder_columns",
)


def payments(number: int) -> pl.DataFrame:
    lots = np.random.default_rng(number)
    return pl.DataFrame(
        {
            "id": [f"P{number:06d}" for number in lots.permutation(900_000)[:ROWS]],
            "amount": np.round(lots.gamma(9, 5, ROWS), 2),
            "holder": [f"Name {letter}" for letter in lots.choice(list("ABCD"), ROWS)],
            "kind": lots.choice(["card", "cash", "transfer"], ROWS, p=[0.5, 0.3, 0.2]),
        }
    )


def batches(count: int, first: int = 0) -> list[Batch]:
    found: list[Batch] = []
    for number in range(first, first + count):
        before = found[-1] if found else None
        found.append(Batch(payments(number), FIRST + timedelta(days=number), name=f"day {number}", previous=before))
    return found


def faults(*names: str) -> list[Fault]:
    return [fault for fault in FAULTS if fault.name in names]


def campaign(case: Case, text: str, *, seed: int = 0, given: list[Batch] | None = None, tried: Sequence[str] = TRIED) -> Campaign:
    contract, _ = case.contract(text)
    plan = replace(case, text=text).plan([])
    return run(plan, contract.policy, case.engine, given or case.batches, faults=faults(*tried), seed=seed)


@cache
def proposed() -> tuple[Case, Campaign, Remedy]:
    case = Case(CONTRACT, "payments", batches(12), default_engine())
    before = campaign(case, CONTRACT)
    return case, before, propose(case, before, faults=faults(*TRIED))


def names(remedy: Remedy) -> set[str]:
    return {proposal.clause.name for proposal in remedy.proposals}


def test_a_contract_that_misses_much_misses_little_then_in_batches_and_with_seeds_that_it_has_not_seen() -> None:
    case, before, remedy = proposed()
    after = campaign(case, remedy.text, seed=7, given=batches(3, first=400))
    assert score(before).total.percent < 50
    assert score(after).total.percent >= 90
    assert not after.alarms


def test_clean_batches_that_had_no_part_in_it_are_let_pass() -> None:
    case, _, remedy = proposed()
    plan = replace(case, text=remedy.text).plan([])
    later = judged(plan, case.engine, batches(25, first=1000))
    assert [known.batch.name for known in later[1:] if known.verdict.outcome is not Outcome.PASS] == []


def test_each_clause_catches_on_its_own_what_it_says() -> None:
    case, before, remedy = proposed()
    alone = next(proposal for proposal in remedy.proposals if proposal.clause.name == "id.unique")
    assert {fault for fault, _, _ in alone.catches} == {"key_collision"}
    cells = campaign(case, case.with_([alone.clause])).cells
    then = {(cell.fault, cell.column, trial.dose) for cell in cells for trial in cell.missed}
    missed = {(cell.fault, cell.column, trial.dose) for cell in before.cells for trial in cell.missed}
    assert missed - then == set(alone.catches)


def test_lines_are_added_and_none_is_changed_but_the_version() -> None:
    _, _, remedy = proposed()
    lines = iter(remedy.text.splitlines())
    assert remedy.version == "1.5.0"
    assert all(line in lines for line in CONTRACT.replace("1.4.0", "1.5.0").splitlines())


def test_yaml_of_a_clause_is_a_part_of_the_contract() -> None:
    _, _, remedy = proposed()
    whole = read(remedy.text).value
    assert isinstance(whole, dict)
    for proposal in remedy.proposals:
        part = yaml.safe_load(proposal.yaml)
        for key in part.keys() - {"schema"}:
            assert part[key][0] in whole[key]
        for found in part.get("schema", ()):
            (column,) = found.get("properties", [{}])
            there = next((prop for prop in whole["schema"][0]["properties"] if prop["name"] == column.get("name")), whole["schema"][0])
            own = column if "name" in column else found
            assert all(item in there["quality"] for item in own.get("quality", ()))


def test_a_column_that_the_contract_does_not_have_is_listed_with_its_rules() -> None:
    _, _, remedy = proposed()
    assert {"kind.present", "closedSchema", "kind.allowed", "kind.required"} <= names(remedy)
    document = read(remedy.text).value
    assert isinstance(document, dict)
    assert [prop["name"] for prop in document["schema"][0]["properties"]] == ["id", "amount", "holder", "kind"]


def test_a_contract_of_the_standards_version_3_0_is_amended_in_its_words() -> None:
    def timed(batch: Batch) -> Batch:
        return batch.holding(batch.frame.with_columns(paid_at=pl.lit(batch.arrived_at)))

    case = Case(CONTRACT.replace("v3.1.0", "v3.0.2"), "payments", [timed(batch) for batch in batches(6)], default_engine())
    found = verified(case, learned(case, evidence_of(case.batches), {"rows", "duplicates"}))
    text = case.with_(found)
    assert parse(text).id == "payments"
    assert {"kind.allowed", "row_count", "paid_at.present"} <= {clause.name for clause in found}
    assert "rule: rowCount" in text
    assert "metric: rowCount" not in text
    assert "timestamp" not in text  # came with 3.1


def test_yaml_of_a_clause_names_the_property_and_not_the_column() -> None:
    case = Case(CONTRACT.replace("name: amount", "name: paid\n    physicalName: amount"), "payments", batches(5), default_engine())
    [proposal] = remedy(case, [Candidate("required", "amount", Key("required", value=True), ("amount.required",), 1)], {}, set()).proposals
    assert yaml.safe_load(proposal.yaml) == {"schema": [{"name": "payments", "properties": [{"name": "paid", "required": True}]}]}


def test_how_often_one_of_several_objects_comes_is_promised_of_that_one() -> None:
    other = "- name: refunds\n  properties:\n  - name: id\n    logicalType: string\n"
    theirs = f"{other}slaProperties:\n- {{property: frequency, value: 7, unit: d, element: refunds}}\n"
    for more, promised in ((other, 0), (theirs, 1)):
        case = Case(CONTRACT.replace("# kind is not listed.\n", more), "payments", batches(8), default_engine())
        found = [clause for clause in learned(case, evidence_of(case.batches), ()) if clause.family == "frequency"]
        assert len(found) == 1
        assert len(case.plan(found).promised) == 1
        assert len(replace(case, object_name="refunds").plan(found).promised) == promised


def test_nothing_of_a_classified_column_is_written_into_the_contract() -> None:
    case, _, remedy = proposed()
    assert {"holder.required", "holder.known"} <= names(remedy)
    assert "Name" not in remedy.text
    quoting = replace(case, text=CONTRACT.replace("    classification: confidential\n", ""))
    assert "Name" in propose(quoting, campaign(quoting, quoting.text, tried=["new_category"]), faults=FAULTS).text  # else it would be


def test_what_no_clause_catches_is_told_with_the_reason() -> None:
    _, before, remedy = proposed()
    (order,) = [each for each in remedy.uncaught if each.fault == "reorder_columns"]
    assert "read by name" in order.reason
    missed = {(cell.fault, cell.column, trial.dose) for cell in before.cells for trial in cell.missed}
    caught = {each for proposal in remedy.proposals for each in proposal.catches}
    uncaught = {(each.fault, each.column, dose) for each in remedy.uncaught for dose in each.doses}
    assert caught | uncaught == missed
    assert not caught & uncaught


def test_of_few_batches_nothing_is_learned() -> None:
    case = Case(CONTRACT, "payments", batches(LEAST - 1), default_engine())
    with pytest.raises(UsageError, match=f"{LEAST - 1} clean batches are too few"):
        propose(case, campaign(case, CONTRACT))


def test_a_contract_that_misses_nothing_stays_as_it_is() -> None:
    case, before, _ = proposed()
    assert propose(case, replace(before, cells=())).text == CONTRACT


def test_a_clause_that_a_clean_batch_breaks_is_dropped() -> None:
    case, _, _ = proposed()
    tight = {"name": "tight", "type": "custom", "engine": "dagster-contracts", "implementation": {"metric": "mean", "mustBeLessThan": 45}}
    loose = {**tight, "name": "loose", "implementation": {"metric": "mean", "mustBeLessThan": 90}}
    clauses = [Candidate("mean", "amount", Quality(entry), (str(entry["name"]),), 5) for entry in (tight, loose)]
    assert verified(case, clauses) == clauses[1:]


def test_what_a_contract_that_was_learned_says_is_not_proposed_again() -> None:
    given = batches(12)
    text = infer("payments", [(str(batch.name), batch.frame) for batch in given], default_engine())
    wider = text.replace("mustBeBetween: [34, 57]", "mustBeBetween: [33, 58]")
    assert (text.count("name: amount.mean\n"), wider == text) == (1, False)
    case = Case(wider, "payments", given, default_engine())
    found = names(propose(case, campaign(case, wider), faults=faults(*TRIED)))
    assert {"kind.share.card"} <= found
    assert [name for name in found if name.endswith("_2")] == []


@pytest.mark.parametrize(
    ("values", "most", "told"),
    [
        ([2, 5, 3, 4, 6, 2, 5, 3, 4, 6, 2, 5], math.inf, ("mustBeBetween", [-11, 19])),
        ([2, 5, 3, 4, 6, 2, 5, 3, 4, 6, 2, 5], 1439, ("mustBeLessOrEqualTo", 19)),
        ([1435, 1432, 1434, 1433, 1431, 1435] * 2, 1439, ("mustBeGreaterOrEqualTo", 1418)),
        ([700, 500, 900, 400, 800, 600] * 2, 1439, None),
    ],
)
def test_no_bound_is_beyond_what_a_figure_can_be(values: list[float], most: float, told: tuple[str, object] | None) -> None:
    found = Open("f", "c", {"name": "c.f"}, Unit.WHOLE, 6, most=most).closed(values, [100] * len(values))
    assert told == (found and _operator_of(found))


def test_a_relation_is_one_of_columns_that_go_together() -> None:
    lots = np.random.default_rng(3)
    asked = lots.uniform(1_000, 40_000, 400)
    frame = pl.DataFrame(
        {"asked": asked, "granted": asked * lots.uniform(0.5, 1, 400), "percent": lots.uniform(0, 100, 400), "word": ["a", "b"] * 200}
    )
    evidence = evidence_of([Batch(frame, datetime(2026, 1, 1, tzinfo=UTC))])
    found = [figure.entry["name"] for column in evidence.columns for figure in relations(evidence, column, Names(set()))]
    assert "asked.from.granted" in found
    assert "granted.until.asked" in found
    assert not [name for name in found if name in ("asked.from.percent", "granted.from.percent", "percent.until.asked")]


@pytest.mark.parametrize("unit", [Unit.ANY, Unit.WHOLE])
def test_figures_below_0_have_bounds(unit: Unit) -> None:
    values = [-20.0, -21.0, -19.0, -20.0, -22.0, -20.0, -21.0, -19.0]
    found = Open("f", "c", {"name": "c.f"}, unit, 5).closed(values, [100] * len(values))
    assert found is not None
    operator, bounds = _operator_of(found)
    assert operator == "mustBeBetween"
    assert isinstance(bounds, list)
    assert bounds[0] < min(values) <= max(values) < bounds[1]


def _bounds_of(lots: Callable[[np.random.Generator], pl.Series], count: int) -> dict[str, float]:
    """What is promised of the lowest and the highest of `count` batches."""
    frames = [pl.DataFrame({"a": lots(np.random.default_rng(number))}) for number in range(count)]
    evidence = evidence_of([Batch(frame, FIRST + timedelta(days=number)) for number, frame in enumerate(frames)])
    found = [clause.addition for clause in promises(evidence, "a", {"name": "a"}, Names(set()))]
    return {key.name: float(str(key.value)) for key in found if isinstance(key, Key) and key.option}


def test_the_lowest_of_debts_is_bounded_as_the_highest_of_balances_is() -> None:
    """Both stray by magnitudes from batch to batch, which says as much of the ones as of the others."""

    def balances(lots: np.random.Generator) -> pl.Series:
        return pl.Series(np.round(lots.lognormal(8, 1.2, 300), 2))

    highest = _bounds_of(balances, 20)["maximum"]
    assert _bounds_of(lambda lots: -balances(lots), 20)["minimum"] == pytest.approx(-highest, rel=0.01)
    assert highest > max(balances(np.random.default_rng(number)).max() for number in range(2_000))  # type: ignore[type-var]


def test_a_bound_beyond_all_that_could_be_wrong_is_not_written() -> None:
    def stray(lots: np.random.Generator) -> pl.Series:
        return pl.Series(np.round(lots.lognormal(8, 0.1, 50) * 10 ** lots.uniform(0, 2), 2))

    assert "maximum" not in _bounds_of(stray, 6)
    assert _bounds_of(stray, 40)["maximum"] > 1e6


def test_a_column_that_has_no_value_yet_may_be_filled_some_day() -> None:
    def seen(share: float) -> list[str]:
        rows = pl.int_range(5_000, eager=True)
        frame = pl.DataFrame({"a": rows.zip_with(rows >= share * 5_000, pl.repeat(None, 5_000, dtype=pl.Int64, eager=True))})
        evidence = evidence_of([Batch(frame, FIRST + timedelta(days=number)) for number in range(8)])
        return [clause.family for clause in promises(evidence, "a", {"name": "a"}, Names(set()))]

    assert "nulls" in seen(0.5)
    assert "nulls" not in seen(1)


def test_a_share_that_can_be_anything_is_no_rule() -> None:
    assert Open("f", "c", {"name": "c.f"}, Unit.PERCENT, 5).closed([5, 95, 20, 80, 50, 40] * 2, [100] * 12) is None


def _operator_of(candidate: Candidate) -> tuple[str, object]:
    assert isinstance(candidate.addition, Quality)
    return next((key, value) for key, value in candidate.addition.entry.items() if key.startswith("mustBe"))


def test_what_grows_is_not_promised() -> None:
    def growing(batch: Batch, number: int) -> Batch:
        return batch.holding(batch.frame.with_columns(pl.col("amount") * (1 + number)))

    still, _, _ = proposed()
    case = replace(still, batches=[growing(batch, number) for number, batch in enumerate(still.batches)])
    found = names(propose(case, campaign(case, CONTRACT, tried=["mean_shift"]), faults=FAULTS))
    assert "amount.mean" in names(proposed()[2])
    assert "amount.mean" not in found
    assert "amount.minimum" in found  # never below 0, however large


# --- choosing ------------------------------------------------------------------------------------------------------


def test_few_clauses_and_promises_before_habits() -> None:
    def clause(name: str, rank: int) -> Candidate:
        return Candidate(name, None, Quality({"name": name}), (name,), rank)

    habit, promise, narrow = clause("habit", 6), clause("promise", 2), clause("narrow", 2)
    one, two, three = ("a", None, 1.0), ("b", None, 1.0), ("c", None, 1.0)
    noticed = {"habit": frozenset({one, two}), "promise": frozenset({one, two}), "narrow": frozenset({two})}
    assert covering([habit, promise, narrow], noticed) == [promise]
    noticed["habit"] = frozenset({one, two, three})
    assert covering([habit, promise, narrow], noticed) == [habit]  # it is needed, and then nothing else is


# --- bounds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("freedom", [7, 9, 14, 29, 100])
def test_students_t(freedom: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert student(freedom) == pytest.approx(stats.t.isf(ALPHA, freedom), rel=0.02)


def test_bounds_hold_for_batches_to_come() -> None:
    lots = np.random.default_rng(3)
    learned = [usual(lots.normal(10, 2, 8).tolist()) for _ in range(200)]
    bounds = [found for found in learned if found is not None]
    assert len(bounds) > 190  # of the others chance made a trend
    assert not [value for found in bounds for value in lots.normal(10, 2, 50).tolist() if value not in found]


def test_maxima_are_bounded_by_their_magnitude() -> None:
    found = usual([100.0, 250.0, 900.0, 130.0, 400.0, 300.0, 700.0], positive=True)
    assert found is not None
    assert found.low == 0
    assert found.high > 3_000


def test_a_figure_that_only_later_batches_would_have_broken_is_not_steady() -> None:
    def fit(values: list[float]) -> Range | None:
        return usual(values)

    level = [10.0, 10.1, 10.05, 10.02, 10.08, 10.0, 10.1, 10.03, 10.09, 10.01, 10.06, 10.04]
    rising = [value + 0.1 * number for number, value in enumerate(level)]
    looser = [*level[:6], 4.0, 16.0, 5.0, 15.0, 3.0, 17.0]
    assert steady(level, fit, lambda found, value: value in found)  # type: ignore[arg-type]
    assert steady(rising, fit, lambda found, value: value in found) is None  # type: ignore[arg-type]
    assert fit(looser) is not None
    assert steady(looser, fit, lambda found, value: value in found) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "whole", "told"),
    [(Range(1.23456, 1.3), False, (1.234, 1.3)), (Range(-12345, 99999), False, (-20000, 100000)), (Range(3.2, 7.1), True, (3, 8))],
)
def test_bounds_in_few_digits_are_no_tighter(found: Range, whole: bool, told: tuple[float, float]) -> None:
    assert outward(found, whole=whole) == told


# --- how text is written -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "pattern"),
    [
        (["C000001", "C999999"], "^C[0-9]{6}$"),
        (["HIGH", "LOW_RISK"], "^[A-Z](?:[A-Z_]*[A-Z])?$"),
        (["New York", "Rome"], "^[A-Z](?:[A-Za-z ]*[a-z])?$"),
        (["Zürich", "Bern"], r"^[A-Z](?:[A-Za-z\p{L}]*[a-z])?$"),
        (["a-b", "c]d"], r"^[a-z][\-\]][a-z]$"),
    ],
)
def test_patterns_are_learned(texts: list[str], pattern: str) -> None:
    import re

    found = letters_of(texts)
    assert found is not None
    assert pattern_of(found) == pattern
    assert all(re.search(pattern.replace(r"\p{L}", "ü"), each) for each in texts)
    assert not any(re.search(pattern.replace(r"\p{L}", "ü"), each) for each in ("", " ", "N/A", texts[0] + " ", "Ã¼\ufffd"))


def test_a_letter_that_changes_from_batch_to_batch_is_no_constant() -> None:
    one, two = letters_of(["A1", "A2"]), letters_of(["B1", "B7"])
    assert one is not None
    assert two is not None
    assert pattern_of(joined([one, two])) == "^[A-Z][0-9]$"
    assert not fits(one, two)
    assert fits(joined([one, two]), two)


def test_columns_of_some_batches_only_are_no_evidence() -> None:
    first, *rest = batches(6)
    found = evidence_of([first.holding(first.frame.with_columns(pl.lit(1).alias("extra"))), *rest])
    assert "extra" not in found.columns
    assert found.loose == {"extra"}


def test_times_are_told_by_when_batches_arrive() -> None:
    def with_times(batch: Batch) -> Batch:
        day = batch.arrived_at.date()
        at = [datetime.combine(day, time(3)) - timedelta(minutes=7 * n % 180) for n in range(batch.rows)]
        return batch.holding(batch.frame.with_columns(pl.Series("at", at), pl.Series("on", [day - timedelta(days=n) for n in range(ROWS)])))

    still, _, _ = proposed()
    case = replace(still, batches=[with_times(batch) for batch in still.batches])
    remedy = propose(case, campaign(case, CONTRACT, tried=["late"]), faults=FAULTS)
    document = read(remedy.text).value
    assert isinstance(document, dict)
    levels = {level["property"]: level for level in document["slaProperties"]}
    assert levels["frequency"]["value"] == 1
    assert levels["frequency"]["unit"] == "d"
    assert levels["latency"]["element"] == "payments.at"
    assert 3 <= levels["latency"]["value"] <= 5
    assert date.fromisoformat(document["schema"][0]["properties"][-1]["logicalTypeOptions"]["minimum"]) < date(2020, 1, 1)
