"""onFailure: quarantine_rows: what passes of a failing batch is published, the rest is set aside, and the verdict says so."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from dagster_contracts.core.contract import Attached, BreakerPolicy, Clause, Contract, Property, SchemaObject, ServiceLevel, Waiver
from dagster_contracts.core.events import EventType
from dagster_contracts.core.ledger import Status
from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import Outcome, verdict_from_json, verdict_to_json
from dagster_contracts.engines.polars.engine import PolarsEngine
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Delivery, Judgement, Terms
from dagster_contracts.ports import FixedClock
from dagster_contracts.store.memory import MemoryStore
from tests.gate_world import daily, day

FEED = SchemaObject(
    "feed",
    properties=(
        Property("id", logical_type="integer", required=True, unique=True),
        Property("risk", logical_type="string", enum=("HIGH", "LOW")),
        Property("at", logical_type="timestamp"),
    ),
)
LIMIT = 0.25


def terms(limit: float | None = LIMIT, levels: tuple[ServiceLevel, ...] = ()) -> Terms:
    policy = BreakerPolicy(maximum_failing_share=limit)
    return Terms.of(Attached("feed", Contract("feed", "1.0.0", "v3.1.0", "active", (FEED,), policy=policy, service_levels=levels), FEED))


def batch(bad: int, rows: int = 100, at: str = "2026-01-01T12:00:00Z") -> pl.DataFrame:
    return pl.DataFrame({"id": range(rows), "risk": ["57"] * bad + ["LOW"] * (rows - bad), "at": [at] * rows})


class Lab:
    def __init__(self) -> None:
        self.clock = FixedClock(day(2))
        self.store = MemoryStore(clock=self.clock)
        self.gate = Gate(self.store, PolarsEngine())

    def deliver(self, data: pl.DataFrame, terms: Terms, number: int = 1, *, divisible: bool = True) -> Judgement:
        run = f"run-{number}"
        return self.gate.judge(terms, Delivery(daily(number), run, run), data, divisible=divisible)


def test_few_failing_rows_are_set_aside_and_the_rest_is_published() -> None:
    lab = Lab()
    found = lab.deliver(batch(12), terms())
    assert (found.verdict.outcome, found.batch.status, found.breaker.state) == (Outcome.WARN, Status.PUBLISHING, State.CLOSED)
    assert found.division is not None
    assert isinstance(found.division.kept, pl.DataFrame)
    assert found.division.kept["risk"].to_list() == ["LOW"] * 88
    assert found.verdict.rows == 88
    told = {finding.rule: finding for finding in found.verdict.findings if finding.outcome is Outcome.WARN}
    assert set(told) == {"risk.enum"}
    assert told["risk.enum"].observed == "12 of 100 rows (12%) outside: 57 (12); set aside with 12 of 100 rows (12%)"
    assert told["risk.enum"].failing_rows == 12
    assert len(told["risk.enum"].sample) == 12
    assert EventType.CONTRACT_VIOLATED in {event.type for event in lab.store.events()}


@pytest.mark.parametrize(("bad", "rows", "percent"), [(9, 10, 90.0), (1, 4, 25.0)])
def test_failing_rows_are_a_share_of_the_delivery_that_they_were_in(bad: int, rows: int, percent: float) -> None:
    """Not of what was left of it, of which they may be several times as many."""
    found = Lab().deliver(batch(bad, rows), terms(limit=0.95)).verdict
    assert found.rows == rows - bad
    assert found.failing_percent[Clause.SEMANTICS] == percent
    assert verdict_from_json(verdict_to_json(found)) == found


@pytest.mark.parametrize(("bad", "outcome"), [(25, Outcome.WARN), (26, Outcome.FAIL)])
def test_the_limit_is_a_share_of_the_rows_and_is_allowed_itself(bad: int, outcome: Outcome) -> None:
    found = Lab().deliver(batch(bad), terms())
    assert (found.verdict.outcome, found.division is not None) == (outcome, outcome is Outcome.WARN)


def test_without_the_option_the_batch_is_refused_as_a_whole() -> None:
    found = Lab().deliver(batch(1), terms(limit=None))
    assert (found.batch.status, found.division) == (Status.QUARANTINED, None)


def test_a_caller_that_cannot_publish_a_part_gets_the_whole_verdict() -> None:
    found = Lab().deliver(batch(1), terms(), divisible=False)
    assert (found.batch.status, found.division) == (Status.QUARANTINED, None)


def test_a_batch_of_which_every_row_fails_is_refused() -> None:
    found = Lab().deliver(batch(100), terms(limit=1.0))
    assert (found.batch.status, found.division) == (Status.QUARANTINED, None)


def test_a_failure_of_no_single_row_refuses_the_batch() -> None:
    stale = terms(levels=(ServiceLevel("latency", 1, unit="h", element="feed.at"),))
    found = Lab().deliver(batch(3), stale)
    assert (found.batch.status, found.division) == (Status.QUARANTINED, None)
    assert found.verdict.rows == 100
    missing = Lab().deliver(batch(3).drop("id"), terms())
    assert (missing.batch.status, missing.division) == (Status.QUARANTINED, None)


def test_the_same_delivery_again_is_the_same_batch() -> None:
    lab = Lab()
    first, second = lab.deliver(batch(12), terms()), lab.deliver(batch(12), terms())
    assert first.batch.id == second.batch.id
    assert lab.deliver(batch(11), terms()).batch.id != first.batch.id


def test_what_is_stored_measures_as_what_the_verdict_speaks_of() -> None:
    """Reconcile compares the live place with the verdict: both are of the rows that were kept."""
    lab = Lab()
    found = lab.deliver(batch(12), terms())
    assert found.division is not None
    assert found.verdict.digest == lab.gate.measured(terms(), daily(1), found.division.kept).digest


def test_the_store_out_of_reach_admits_nothing_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster_contracts.core.errors import StoreUnavailable

    lab = Lab()

    def down(*_: object, **__: object) -> None:
        raise StoreUnavailable("no store")

    monkeypatch.setattr(lab.store, "load", down)
    admitting = terms()
    contract = admitting.attached.contract
    policy = replace(contract.policy, admit_when_unavailable=True)
    with pytest.raises(StoreUnavailable):
        lab.deliver(batch(12), Terms.of(replace(admitting.attached, contract=replace(contract, policy=policy))))


@pytest.mark.parametrize("until", [2, 1])
def test_rows_that_break_a_waived_rule_stay(until: int) -> None:
    """The batch arrives on day 2: while the enum is waived, only rows that break another rule are set aside."""
    plain = terms()
    waiver = Waiver("risk.enum", day(until).date(), "vendor mends it", "ann")
    contract = replace(plain.attached.contract, waivers=(waiver,))
    data = batch(12).with_columns(id=pl.Series([None, *range(1, 100)]))
    found = Lab().deliver(data, Terms.of(replace(plain.attached, contract=contract)))
    assert found.division is not None
    assert found.division.rows == (1 if until == 2 else 12)
    assert (found.verdict.outcome, found.batch.status) == (Outcome.WARN, Status.PUBLISHING)
    assert [each.rule for each in found.verdict.findings if each.waived] == (["risk.enum"] if until == 2 else [])
