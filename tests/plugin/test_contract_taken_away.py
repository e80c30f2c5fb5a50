"""An asset whose contract was taken away: what the ledger knows of it is of the past, and routes nobody."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from dagster_contracts import BreakerResource, recovery, reviewing, with_contracts
from dagster_contracts.plugin.site import site_of
from tests.plugin.lab import DAYS, Vendor, World, a_consumer, a_feed, contract_files, contract_text, day, governed


@dg.asset(partitions_def=DAYS)
def both(a: pd.DataFrame, b: pd.DataFrame) -> str:
    return f"{a['read'].iloc[0]} {b['read'].iloc[0]}"


def without(world: World, folder: Path, definitions: dg.Definitions, *texts: str) -> World:
    """The same instance and store, loaded anew under these contracts alone."""
    contracts = contract_files(folder / "later", *texts)
    breakers = BreakerResource(url=f"sqlite:///{folder}/contracts.db")
    return World(with_contracts(definitions, contracts=contracts, breakers=breakers, clock=world.clock), world.instance, world.clock)


@pytest.mark.parametrize("word", [None, "discarded"])
def test_neither_an_open_breaker_nor_a_refused_batch_of_it_halts_a_consumer(tmp_path: Path, word: str | None) -> None:
    vendor = Vendor({day(1)})
    definitions = dg.Definitions(assets=[a_feed(vendor, "a"), a_feed(Vendor(), "b"), both])
    with governed(tmp_path, lambda: definitions, contract_text("a"), contract_text("b")) as world:
        world.run("a", "b", partition=day(1))
        assert "may not read a" in world.run("both", partition=day(1)).failures["both"]
        if word is not None:
            gate = site_of(world.defs).gate(world.instance)
            recovery.reset(gate, "a", actor="ann", reason="gone")
            recovery.discard(gate, recovery.releasable_batch(gate, "a", None), actor="ann", reason="gone")
        vendor.bad.clear()
        later = without(world, tmp_path, definitions, contract_text("b"))
        assert later.run(partition=day(1)).failures == {}


def test_a_derived_asset_without_a_contract_passes_on_what_it_was_made_of_now(tmp_path: Path) -> None:
    """Its batch of low confidence, from when it was governed, says nothing any more; its output of today does."""
    vendor = Vendor()

    @dg.asset(partitions_def=DAYS, metadata={"contracts/accepts": "low"})
    def triage(feed: pd.DataFrame) -> pd.DataFrame:
        return feed.assign(risk="LOW")

    definitions = dg.Definitions(assets=[a_feed(vendor), triage, a_consumer("strict", "full", of="triage")])
    with governed(tmp_path, lambda: definitions, contract_text(), contract_text("triage")) as world:
        vendor.bad.add(day(1))
        world.run("feed", "triage", partition=day(1))
        gate = site_of(world.defs).gate(world.instance)
        reviewing.reject(gate, "triage", day(1), actor="ann", reason="no")
        later = without(world, tmp_path, definitions, contract_text())
        assert "withdrawn" in later.run("strict", partition=day(1)).failures["strict"]
        later.run("triage", partition=day(1))
        assert "only of low confidence" in later.run("strict", partition=day(1)).failures["strict"]
        vendor.bad.clear()
        world.at(1, 13)
        assert later.run(partition=day(1)).failures == {}


def test_what_was_set_aside_of_it_is_not_published_and_keeps_no_check_from_running(tmp_path: Path) -> None:
    vendor = Vendor({day(1)})

    @dg.asset(partitions_def=DAYS)
    def triage(feed: pd.DataFrame) -> pd.DataFrame:
        return vendor.frame(str(feed["read"].iloc[0]))

    @dg.asset_check(asset="triage", partitions_def=DAYS)
    def own(triage: pd.DataFrame) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    definitions = dg.Definitions(assets=[a_feed(Vendor()), triage], asset_checks=[own])
    with governed(tmp_path, lambda: definitions, contract_text(), contract_text("triage")) as world:
        for number in (1, 2):
            world.run(partition=day(number))
        recovery.reset(site_of(world.defs).gate(world.instance), "triage", actor="ann", reason="gone")
        assert [request.partition_key for request in world.tick("contracts_heal")] == [day(2)]
        later = without(world, tmp_path, definitions, contract_text())
        assert later.tick("contracts_heal") == []
        assert later.run("triage", partition=day(1)).checks("triage") == {"own": True}


def test_an_output_that_no_contract_concerns_any_more_halts_nobody(tmp_path: Path) -> None:
    """Nothing of a derived asset is recorded any more, so what was recorded last stays."""

    @dg.asset(partitions_def=DAYS)
    def sums(middle: str, b: pd.DataFrame) -> str:
        return middle

    vendor = Vendor({day(1)})
    definitions = dg.Definitions(assets=[a_feed(vendor, "a"), a_feed(Vendor(), "b"), a_consumer("middle", "full", of="a"), sums])
    with governed(tmp_path, lambda: definitions, contract_text("a"), contract_text("b")) as world:
        world.run("a", partition=day(1))
        assert "may not read a" in world.run("middle", partition=day(1)).failures["middle"]
        later = without(world, tmp_path, definitions, contract_text("b"))
        assert later.run(partition=day(1)).failures == {}


def test_the_breaker_of_another_code_location_counts_though_no_contract_of_it_is_here(tmp_path: Path) -> None:
    theirs = dg.Definitions(assets=[a_feed(Vendor({day(1)}), "a")])
    with governed(tmp_path, lambda: theirs, contract_text("a")) as world:
        world.run("a", partition=day(1))
        ours = dg.Definitions(assets=[dg.AssetSpec("a", partitions_def=DAYS), a_feed(Vendor(), "b"), both])
        here = without(world, tmp_path, ours, contract_text("b"))
        assert "a is open since" in here.run("b", "both", partition=day(1)).failures["both"]
