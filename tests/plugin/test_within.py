"""Assets of one op that are made of each other: what was made of a refused batch is not passed off as good."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from dagster_contracts.core.ledger import OutputStatus, Status
from dagster_contracts.plugin.operations import heal
from tests.plugin.lab import DAYS, Vendor, World, a_consumer, a_feed, contract_text, day, governed, value_of

D1, D2 = day(1), day(2)
LAST_FIRST = ("margin", "revenue", "orders")


def _specs(accepts: str) -> list[dg.AssetSpec]:
    said = {"contracts/accepts": accepts}
    return [
        dg.AssetSpec("orders"),
        dg.AssetSpec("revenue", deps=["orders"], metadata=said),
        dg.AssetSpec("margin", deps=["revenue"], metadata=said),
        dg.AssetSpec("beside"),
    ]


@contextmanager
def a_world(folder: Path, vendor: Vendor, form: str, accepts: str) -> Iterator[World]:
    live: dict[str, pd.DataFrame] = {}

    @dg.multi_asset(partitions_def=DAYS, specs=_specs(accepts), can_subset=True)
    def written(context: dg.AssetExecutionContext) -> Iterator[Any]:
        for name in (*LAST_FIRST, "beside"):  # in whatever order it is told
            live[name] = vendor.frame(context.partition_key)
            yield dg.MaterializeResult(asset_key=name)

    @dg.multi_asset(
        partitions_def=DAYS,
        outs={spec.key.to_user_string(): dg.AssetOut(metadata=spec.metadata) for spec in _specs(accepts)},
        internal_asset_deps={"orders": set(), "beside": set(), "revenue": {dg.AssetKey("orders")}, "margin": {dg.AssetKey("revenue")}},
    )
    def valued(context: dg.AssetExecutionContext) -> Iterator[dg.Output[pd.DataFrame]]:
        for name in (*LAST_FIRST, "beside"):
            yield dg.Output(vendor.frame(context.partition_key), output_name=name)

    @dg.asset(partitions_def=DAYS, deps=["margin"], metadata={"contracts/accepts": accepts})
    def report() -> int:
        return 1

    makes = written if form == "written" else valued
    reader = a_consumer("reader", "stale", of="orders") if form == "valued" else report
    options: dict[str, Any] = {"readers": {"orders": lambda partition: live["orders"]}} if form == "written" else {}
    with governed(
        folder,
        lambda: dg.Definitions(assets=[makes, report, *([reader] if reader is not report else [])]),
        contract_text("orders"),
        **options,
    ) as world:
        yield world


@pytest.mark.parametrize("form", ["written", "valued"])
def test_what_accepts_no_less_is_halted(tmp_path: Path, form: str) -> None:
    vendor = Vendor()
    with a_world(tmp_path, vendor, form, "stale") as world:
        good = world.run(partition=D1)
        assert good.failures == {}
        assert all(good.materialized(name) is not None for name in (*LAST_FIRST, "beside", "report"))
        world.at(2, 6)
        vendor.bad.add(D2)
        bad = world.run(partition=D2)
        assert [name for name in (*LAST_FIRST, "beside", "report") if bad.materialized(name) is not None] == ["beside"]
        for name in ("revenue", "margin"):
            output = world.ledger().output(name, D2)
            assert output is not None
            assert output.status is OutputStatus.HALTED
            assert output.inputs[0].breaker_key == "orders"
        assert "margin [2026-01-02] was halted itself" in world.run("report", partition=D2).failures["report"]
        if form == "valued":
            assert value_of(world, "reader", D2) == D1, "a reader of the refused batch that can go on in this run does"
        vendor.bad.clear()
        world.at(2, 13)
        assert world.run(partition=D2).failures == {}
        found = [world.ledger().output(name, D2) for name in ("revenue", "margin", "report")]
        assert [output and output.status for output in found] == [OutputStatus.OK] * 3


@pytest.mark.parametrize("form", ["written", "valued"])
def test_what_accepts_low_is_marked_low(tmp_path: Path, form: str) -> None:
    vendor = Vendor(bad={D1})
    with a_world(tmp_path, vendor, form, "low") as world:
        ran = world.run(partition=D1)
        assert world.ledger().batches(asset="orders")[0].status is Status.QUARANTINED
        for name in ("revenue", "margin"):
            made = ran.materialized(name)
            assert made is not None
            assert (made.tags or {})["contracts/confidence"] == "low"
            assert len(world.ledger().reviews(asset=name)) == 1
        report = world.run("report", partition=D1).materialized("report")
        assert report is not None
        assert (report.tags or {})["contracts/confidence"] == "low"


def test_what_was_halted_together_heals_in_the_order_in_which_it_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = {"contracts/accepts": "full"}

    @dg.multi_asset(
        partitions_def=DAYS,
        specs=[dg.AssetSpec("a_end", deps=["mid"], metadata=full), dg.AssetSpec("mid", deps=["feed"], metadata=full)],
        can_subset=True,
    )
    def several(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        yield from (dg.MaterializeResult(asset_key=key) for key in sorted(context.selected_asset_keys, reverse=True))

    vendor = Vendor({D1})
    with governed(tmp_path, lambda: dg.Definitions(assets=[a_feed(vendor), several])) as world:
        world.run("feed", partition=D1)
        assert set(world.run("mid", "a_end", partition=D1).failures) == {"several"}
        vendor.bad.clear()
        world.at(1, 13)
        world.run("feed", partition=D1)
        [request] = world.tick("contracts_heal")
        assert request.asset_selection == [dg.AssetKey("mid")]
        rows = heal(world.defs, world.instance, None, lambda _: None)
        assert [(row.asset, row.result) for row in rows] == [("mid", "ok"), ("a_end", "ok")]
        assert capsys.readouterr().err == "", "Dagster tells the console of errors alone"
