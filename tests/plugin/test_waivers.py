"""Waivers and environments in Dagster: what is let through, what is told of it, and what is refused at load."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from dagster_contracts.core.alerts import begun, topic_of, with_batch
from dagster_contracts.core.errors import ContractInvalid
from dagster_contracts.core.events import EventType
from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.ports import FixedClock
from tests.plugin.lab import FIRST, Vendor, a_feed, contract_text, day, governed

WAIVED = """\
- property: waivers
  value: [{rule: risk.invalidValues, until: '2026-01-02', reason: vendor mends it, approvedBy: ann}]
"""


def definitions(bad: set[str]) -> dg.Definitions:
    return dg.Definitions(assets=[a_feed(Vendor(bad=bad))])


def test_what_is_waived_is_published_and_told_until_it_is_over(tmp_path: Path) -> None:
    with governed(tmp_path, lambda: definitions({day(1), day(3)}), contract_text() + WAIVED) as world:
        world.at(2, 6)
        assert world.run("feed", partition=day(1)).success
        assert world.ledger().breakers()[0].state is State.CLOSED
        (batch,) = world.ledger().batches()
        assert batch.outcome is Outcome.WARN
        assert batch.verdict is not None
        (finding,) = [each for each in batch.verdict.findings if each.waived is not None]
        assert finding.rule == "risk.invalidValues"
        (event,) = world.ledger().events()
        assert event.type is EventType.CONTRACT_VIOLATED
        assert event.payload["rules"][0]["waived"] == {"until": "2026-01-02", "reason": "vendor mends it", "approved_by": "ann"}  # type: ignore[index]
        told = topic_of(event)
        assert told is not None
        (failure,) = with_batch(begun(event, *told), batch).failures
        assert failure.observed.startswith("waived until 2026-01-02 by ann (vendor mends it): 2 of 2 rows")
        world.at(4, 6)
        world.run("feed", partition=day(3))
        assert world.ledger().breakers()[0].state is State.OPEN


def test_a_waiver_that_lasts_too_long_is_refused_at_load(tmp_path: Path) -> None:
    clock = FixedClock(FIRST - timedelta(days=90))
    with (
        pytest.raises(ContractInvalid, match="more than 90 days ahead"),
        governed(tmp_path, lambda: definitions(set()), contract_text() + WAIVED, clock=clock),
    ):
        pass


def test_a_waiver_of_no_rule_is_refused_at_load(tmp_path: Path) -> None:
    text = contract_text() + WAIVED.replace("risk.invalidValues", "risk.invalidValue")
    with pytest.raises(ContractInvalid, match=r"did you mean .risk\.invalidValues."), governed(tmp_path, lambda: definitions(set()), text):
        pass


@pytest.mark.parametrize("word", ["dev", None])
def test_where_contracts_only_warn_nothing_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str | None) -> None:
    monkeypatch.setenv("CONTRACTS_ENVIRONMENT", word or "prod")
    text = contract_text() + "- {property: environments, value: {dev: warn, prod: block}}\n"
    with governed(tmp_path, lambda: definitions({day(1)}), text) as world:
        world.run("feed", partition=day(1))
        assert (world.ledger().breakers()[0].state is State.CLOSED) == (word == "dev")
        assert world.ledger().batches()[0].outcome is (Outcome.WARN if word == "dev" else Outcome.FAIL)
