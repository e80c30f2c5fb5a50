"""What a policy says beyond tripping: scopes and the check that shows them, first roll-outs, consumers that are misspelt, `heal: ask`."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_contracts import recovery
from dagster_contracts.core.errors import ContractInvalid
from dagster_contracts.core.state import OverrideKind, State
from dagster_contracts.plugin import operations
from dagster_contracts.plugin.site import Site, site_of
from tests.plugin.lab import DAYS, Ran, Vendor, World, a_consumer, a_feed, contract_text, day, governed

VENDORS = dg.StaticPartitionsDefinition(["acme", "best"])
BY_VENDOR = dg.MultiPartitionsDefinition({"day": DAYS, "vendor": VENDORS})


def _world(folder: Path, policy: str, vendor: Vendor | None = None, feed: Any = BY_VENDOR, *consumers: Any) -> Any:
    assets = [a_feed(vendor or Vendor(), partitions=feed), *consumers]
    return governed(folder, lambda: dg.Definitions(assets=assets), contract_text(policy=policy))


# --- scopes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "partitions", "said"),
    [
        ("vendro", BY_VENDOR, '"vendro": asset "feed" has no such partition dimension, did you mean "vendor"? it has: "vendor"'),
        ("region", BY_VENDOR, '"region": asset "feed" has no such partition dimension; it has: "vendor"'),
        ("day", BY_VENDOR, '"day": it is the time dimension of asset "feed"; its breakers can be by "vendor", or by asset'),
        ("vendor", DAYS, '"vendor": asset "feed" has no partition dimension to have breakers for; write scope: asset'),
        ("vendor", None, '"vendor": asset "feed" has no partition dimension to have breakers for; write scope: asset'),
    ],
)
def test_a_scope_that_is_not_there_is_refused_at_load(tmp_path: Path, scope: str, partitions: Any, said: str) -> None:
    with pytest.raises(ContractInvalid) as caught, _world(tmp_path, f"scope: {scope}", feed=partitions):
        pass
    assert said in str(caught.value)
    assert "0.odcs.yaml" in str(caught.value)


def _breaker_check(ran: Ran) -> dg.AssetCheckEvaluation:
    (found,) = [item for item in ran.evaluations("feed") if item.check_name == "contract_breaker"]
    return found


def _scopes(check: dg.AssetCheckEvaluation) -> list[tuple[object, object, object]]:
    table = check.metadata["scopes"]
    assert isinstance(table, dg.TableMetadataValue)
    return [(row.data["breaker"], row.data["state"], row.data["open"]) for row in table.records]


def test_the_check_of_scoped_breakers_is_their_worst(tmp_path: Path) -> None:
    """acme fails; best passes afterwards, in a run of its own: the asset's check stays red, and says whose breaker is open."""
    vendor = Vendor({f"{day(1)}|acme"})
    with _world(tmp_path, "scope: vendor", vendor) as world:
        assert _breaker_check(world.run(partition=f"{day(1)}|acme")).passed is False
        later = _breaker_check(world.run(partition=f"{day(1)}|best"))
        assert later.passed is False
        assert _scopes(later) == [("feed[vendor=acme]", "open", True), ("feed[vendor=best]", "closed", False)]
        assert later.metadata["state"].value == "open"
        assert str(later.description).startswith("the consumers of 1 of 2 breakers fall back; the worst: feed[vendor=acme] is open")


def test_the_check_without_a_run_is_their_worst_too(tmp_path: Path) -> None:
    vendor = Vendor({f"{day(1)}|acme"})
    with _world(tmp_path, "scope: vendor", vendor) as world:
        for name in ("acme", "best"):
            world.run(partition=f"{day(1)}|{name}")
        gate = world.defs.resources["contracts"].gate(world.instance)  # type: ignore[index, union-attr]
        recovery.reset(gate, "feed[vendor=best]", actor="ana", reason="nothing new of acme")
        world.tick("contracts_relay")
        shown = _latest(world)
        assert (shown.passed, len(_scopes(shown))) == (False, 2)
        recovery.reset(gate, "feed[vendor=acme]", actor="ana", reason="repaired")
        world.tick("contracts_relay")
        assert _latest(world).passed is True


def _latest(world: World) -> dg.AssetCheckEvaluation:
    key = dg.AssetCheckKey(dg.AssetKey("feed"), "contract_breaker")
    (record,) = world.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.event is not None
    assert record.event.dagster_event is not None
    found = record.event.dagster_event.event_specific_data
    assert isinstance(found, dg.AssetCheckEvaluation)
    return found


# --- the status of a contract --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["active", "draft", "proposed"])
def test_a_contract_of_a_file_is_enforced_whatever_its_status(tmp_path: Path, status: str) -> None:
    text = contract_text().replace("status: active", f"status: {status}")
    assert f"status: {status}" in text
    with governed(tmp_path, lambda: dg.Definitions(assets=[a_feed(Vendor({day(1)}), partitions=DAYS)]), text) as world:
        assert world.run(partition=day(1)).materialized("feed") is None
        assert [breaker.state for breaker in world.ledger().breakers()] == [State.OPEN]


# --- a first roll-out ----------------------------------------------------------------------------------------------


def test_observe_only_before_the_first_batch(tmp_path: Path) -> None:
    """A first batch that fails is published and recorded, nobody falls back, and what would have happened is told."""
    vendor = Vendor({day(1)})
    with _world(tmp_path, "fallback: halt", vendor, DAYS, a_consumer("reader")) as world:
        gate = _site(world).gate(world.instance)
        end = world.clock.at + timedelta(days=14)
        recovery.override(gate, "feed", OverrideKind.OBSERVE_ONLY, actor="ana", reason="trial", expires_at=end, create=True)
        ran = world.run(partition=day(1))
        assert ran.failures == {}
        assert ran.materialized("reader") is not None
        (breaker,) = world.ledger().breakers()
        assert (breaker.contract_version, breaker.policy.fallback, breaker.override is not None) == ("1.0.0", "halt", True)
        assert [change.shadow for change in world.ledger().transitions("feed") if change.to_state is State.OPEN] == [True]
        until = _breaker_check(ran).metadata["override"].value
        assert until == "observe_only by ana until 2026-01-15 06:00Z: trial"


def test_each_breaker_of_a_scope_begins_with_what_was_said_of_the_asset(tmp_path: Path) -> None:
    vendor = Vendor({f"{day(1)}|acme", f"{day(1)}|best"})
    with _world(tmp_path, "scope: vendor", vendor) as world:
        gate = _site(world).gate(world.instance)
        end = world.clock.at + timedelta(days=1)
        recovery.override(gate, "feed", OverrideKind.OBSERVE_ONLY, actor="ana", reason="trial", expires_at=end, create=True)
        assert world.run(partition=f"{day(1)}|acme").materialized("feed") is not None
        world.clock.at = end
        assert world.run(partition=f"{day(1)}|best").materialized("feed") is None
        words = {breaker.key: breaker.override for breaker in world.ledger().breakers()}
        assert words["feed[vendor=acme]"] is not None
        assert (words["feed[vendor=acme]"].actor, words["feed[vendor=acme]"].expires_at) == ("ana", end)
        assert words["feed[vendor=best]"] is None
        assert {key for key, _, _ in _scopes(_breaker_check(world.run(partition=f"{day(2)}|best")))} == words.keys() - {"feed"}


def _site(world: World) -> Site:
    return site_of(world.defs)


# --- consumers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("consumer", "said"),
    [
        ("fraud_score", 'customProperties.circuitBreaker.consumers: the consumer "fraud_score" is no asset that is known here'),
        ("fraud_scores", None),
        ("elsewhere/dashboard", None),
    ],
)
def test_a_consumer_that_is_nearly_an_asset_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, consumer: str, said: str | None
) -> None:
    policy = f"consumers: [{{asset: {consumer}, fallback: halt}}]"
    with caplog.at_level(logging.WARNING, "dagster_contracts.plugin"), _world(tmp_path, policy, None, DAYS, a_consumer("fraud_scores")):
        pass
    told = [record.getMessage() for record in caplog.records if record.name == "dagster_contracts.plugin"]
    assert len(told) == (said is not None)
    if said is not None:
        assert said in told[0]
        assert 'did you mean "fraud_scores"?' in told[0]


# --- heal: ask -----------------------------------------------------------------------------------------------------


def _fallen_back(world: World, vendor: Vendor) -> None:
    """Day 2 is bad, its consumer and that one's consumer read day 1; then day 2 is delivered anew."""
    for number in (1, 2):
        world.at(number, 6)
        world.run(partition=day(number))
    vendor.bad.clear()
    world.at(3, 6)
    world.run("feed", partition=day(2))


@pytest.mark.parametrize(("heal", "asked"), [("auto", 1), ("ask", 0)])
def test_heal_ask_leaves_it_to_a_person(tmp_path: Path, heal: str, asked: int) -> None:
    vendor = Vendor({day(2)})
    consumers = (a_consumer("reader", "stale"), a_second("second", "reader"))
    with _world(tmp_path, f"heal: {heal}", vendor, DAYS, *consumers) as world:
        _fallen_back(world, vendor)
        assert len([request for request in world.tick("contracts_heal") if "contracts/heal" in request.tags]) == asked
        degraded = world.ledger().outputs(statuses=("degraded",))
        assert {output.asset for output in degraded} == {"reader", "second"}
        told: list[str] = []
        rows = operations.heal(world.defs, world.instance, None, told.append)
        assert [(row.asset, row.was, row.result) for row in rows] == [("reader", "degraded", "ok"), ("second", "degraded", "ok")]
        assert told == [f"{name} [{day(2)}]: degraded -> ok" for name in ("reader", "second")]
        assert world.ledger().outputs(statuses=("degraded",)) == []
        assert operations.heal(world.defs, world.instance, None, told.append) == []


def a_second(name: str, of: str) -> dg.AssetsDefinition:
    @dg.asset(name=name, partitions_def=DAYS, ins={"given": dg.AssetIn(of)}, metadata={"contracts/accepts": "stale"})
    def second(given: str) -> str:
        return given

    return second


def test_healing_one_asset(tmp_path: Path) -> None:
    vendor = Vendor({day(2)})
    with _world(tmp_path, "heal: ask", vendor, DAYS, a_consumer("reader", "stale"), a_consumer("other", "stale")) as world:
        _fallen_back(world, vendor)
        ignore: Callable[[str], None] = lambda _: None  # noqa: E731
        with pytest.raises(operations.UsageError, match='no asset "readr" is known here, did you mean "reader"'):
            operations.heal(world.defs, world.instance, "readr", ignore)
        assert [row.asset for row in operations.heal(world.defs, world.instance, "reader", ignore)] == ["reader"]
        assert [output.asset for output in world.ledger().outputs(statuses=("degraded",))] == ["other"]


# --- edits ---------------------------------------------------------------------------------------------------------


def test_a_contract_that_is_edited_without_a_new_version_is_told_in_the_log_of_the_step(tmp_path: Path) -> None:
    def warned(text: str, number: int) -> list[str]:
        with governed(tmp_path, lambda: dg.Definitions(assets=[a_feed(Vendor())]), text) as world:
            ran = world.run("feed", partition=day(number))
            logged = world.instance.all_logs(ran.run_id)
        return [entry.user_message for entry in logged if "edited without a new version" in entry.user_message]

    assert warned(contract_text(), 1) == []
    edited = contract_text().replace("[HIGH, LOW]", "[HIGH, LOW, NONE]")
    assert [told.partition(":")[0] for told in warned(edited, 2)] == ["contract 1.0.0 was edited without a new version"]
    assert warned(edited.replace("1.0.0", "1.1.0"), 3) == []
