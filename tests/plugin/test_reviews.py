"""The job contracts_review: a word of a person in Dagster's UI, and what the next runs read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_contracts import with_contracts
from tests.plugin.lab import Vendor, World, a_consumer, a_feed, governed

DAY = "2026-01-02"


def review(world: World, **config: Any) -> bool:
    given = {"asset": "scores", "partition": DAY, "actor": "ann", "reason": "seen", **config}
    job = world.defs.resolve_job_def("contracts_review")
    run = job.execute_in_process(instance=world.instance, run_config={"ops": {"decide_review": {"config": given}}}, raise_on_error=False)
    return run.success


def test_a_rejected_output_halts_its_readers_until_it_is_made_again(tmp_path: Path) -> None:
    vendor = Vendor({DAY})

    def definitions() -> dg.Definitions:
        @dg.asset(partitions_def=a_feed(vendor).partitions_def, metadata={"contracts/accepts": "low"})
        def report(scores: str) -> str:
            return scores

        return dg.Definitions(assets=[a_feed(vendor), a_consumer("scores", "low"), report])

    with governed(tmp_path, definitions) as world:
        world.run("feed", partition=DAY)
        assert world.run("scores", partition=DAY).success
        assert not review(world, decision="approve", reason=" ")
        with pytest.raises(dg.DagsterInvalidConfigError):
            review(world, decision="perhaps")
        assert review(world, decision="approve")
        assert world.run("report", partition=DAY).success
        assert review(world, decision="reject")
        assert "was withdrawn: a person reviewed and rejected it" in world.run("report", partition=DAY).failures["report"]
        vendor.bad.clear()
        world.at(4, 6)
        assert world.run("feed", partition=DAY).success
        for asset in ("scores", "report"):  # one after the other: what reads a withdrawn output waits for it
            healings = [request for request in world.tick("contracts_heal") if "contracts/heal" in request.tags]
            assert [request.asset_selection for request in healings] == [[dg.AssetKey(asset)]]
            assert world.launch(healings[0]).success
        assert world.tick("contracts_heal") == []


def test_no_job_is_added_where_nothing_is_governed() -> None:
    assert list(with_contracts(dg.Definitions(assets=[a_feed(Vendor())]), contracts=[]).jobs or []) == []
