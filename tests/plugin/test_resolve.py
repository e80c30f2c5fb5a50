"""Consumers that read by themselves ask what to read, in every form of body."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_contracts import resolve
from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.errors import UsageError
from dagster_contracts.core.ledger import OutputStatus, RouteKind
from tests.plugin.lab import DAYS, Vendor, a_feed, contract_text, day, governed, value_of

D1, D2 = day(1), day(2)
FORMS = ("plain", "several", "waiting", "yielding", "awaiting", "graph")


def _told(found: Any) -> str:
    return f"{found.partition_key} {found.kind} {found.asset_key.path[0]} {found.path is not None}"


def consumers(accepts: str) -> list[dg.AssetsDefinition]:
    says = {"contracts/resolves": True, "contracts/accepts": accepts}
    asks: dict[str, Any] = {"partitions_def": DAYS, "deps": ["feed"], "metadata": says}

    @dg.asset(name=f"plain_{accepts}", **asks)
    def plain(context: dg.AssetExecutionContext) -> str:
        return _told(resolve(context, "feed"))

    @dg.multi_asset(
        name=f"op_several_{accepts}", outs={f"several_{accepts}": dg.AssetOut(metadata=says)}, deps=["feed"], partitions_def=DAYS
    )
    def several(context: dg.AssetExecutionContext) -> str:
        return _told(resolve(context, dg.AssetKey("feed")))

    @dg.asset(name=f"waiting_{accepts}", **asks)
    async def waiting(context: dg.AssetExecutionContext) -> str:
        return _told(resolve(context, "feed"))

    @dg.asset(name=f"yielding_{accepts}", **asks)
    def yielding(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield dg.Output(_told(resolve(context, "feed")))

    @dg.asset(name=f"awaiting_{accepts}", **asks)
    async def awaiting(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]
        yield dg.Output(_told(resolve(context, "feed")))

    @dg.op(name=f"ask_{accepts}", ins={"start": dg.In(dg.Nothing)})
    def ask(context: dg.OpExecutionContext) -> str:
        return _told(resolve(context, "feed"))

    @dg.op(name=f"hand_on_{accepts}")
    def hand_on(told: str) -> str:
        return told

    @dg.graph_asset(name=f"graph_{accepts}", ins={"start": dg.AssetIn("feed", dagster_type=dg.Nothing)}, partitions_def=DAYS, metadata=says)
    def graph(start: Any) -> Any:
        return hand_on(ask(start))

    return [plain, several, waiting, yielding, awaiting, graph]


def test_every_form_of_body_is_told_what_to_read(tmp_path: Path) -> None:
    vendor = Vendor()
    made = [a_feed(vendor), *consumers("full"), *consumers("stale"), consumers("low")[0]]
    with governed(tmp_path, lambda: dg.Definitions(assets=made), contract_text()) as world:
        assert world.run(partition=D1).failures == {}
        assert {value_of(world, f"{form}_full", D1) for form in FORMS} == {f"{D1} fresh feed True"}
        vendor.bad.add(D2)
        world.at(2, 6)
        ran = world.run(partition=D2)
        assert {value_of(world, f"{form}_stale", D2) for form in FORMS} == {f"{D1} last_good feed True"}
        assert value_of(world, "plain_low", D2) == f"{D2} low_confidence __contracts_staging__ False"
        assert world.ledger().output("plain_low", D2).confidence is Confidence.LOW  # type: ignore[union-attr]
        assert {name.split(".")[0].removeprefix("op_") for name in ran.failures} == {f"{form}_full" for form in FORMS}
        assert all("may not read feed" in told for told in ran.failures.values())
        for form in FORMS:
            assert ran.materialized(f"{form}_stale").tags["contracts/confidence"] == "stale"  # type: ignore[union-attr, index]
            [halted] = world.ledger().output(f"{form}_full", D2).inputs  # type: ignore[union-attr]
            assert halted.kind is RouteKind.HALTED
        assert world.instance.get_run_by_id(ran.run_id).tags["dagster/max_retries"] == "0"  # type: ignore[union-attr]


def _reader(name: str, body: Callable[[Any], object], partitions: dg.PartitionsDefinition | None = DAYS) -> dg.AssetsDefinition:
    @dg.asset(name=name, partitions_def=partitions, deps=["feed"], metadata={"contracts/resolves": True, "contracts/accepts": "stale"})
    def reader(context: dg.AssetExecutionContext) -> Any:
        return body(context)

    return reader


def _goes_on(context: Any) -> str:
    try:
        return str(resolve(context, "feed"))
    except dg.Failure:
        return "went on"


def test_what_a_body_may_not_do(tmp_path: Path) -> None:
    @dg.asset(deps=["feed"], partitions_def=DAYS)
    def undeclared(context: dg.AssetExecutionContext) -> str:
        return str(resolve(context, "feed"))

    made = [
        a_feed(Vendor(bad={D1})),
        undeclared,
        _reader("forgetful", lambda context: 1),
        _reader("stubborn", _goes_on),
        _reader("astray", lambda context: resolve(context, "fed")),
        _reader("vague", lambda context: resolve(context, "feed"), None),
        _reader("exact", lambda context: _told(resolve(context, "feed", D2)), None),
    ]
    with governed(tmp_path, lambda: dg.Definitions(assets=made), contract_text()) as world:
        world.run("feed", partition=D2)
        world.run("feed", partition=D1)
        told = world.run("undeclared", "astray", "forgetful", partition=D2).failures
        assert "does not say that it reads by itself" in told["undeclared"]
        assert 'did you mean "feed"' in told["astray"]
        assert 'never asked for feed. Call dagster_contracts.resolve(context, "feed")' in told["forgetful"]
        assert "may not read feed" in world.run("stubborn", partition=D1).failures["stubborn"], "a caught halt is a halt"
        assert world.ledger().output("stubborn", D1).status is OutputStatus.HALTED  # type: ignore[union-attr]
        assert "10 partitions of feed are asked for" in world.run("vague").failures["vague"]
        assert world.run("exact").failures == {}
        assert value_of(world, "exact") == f"{D2} fresh feed True"


def test_a_range_run_resolves_each_partition(tmp_path: Path) -> None:
    vendor, read = Vendor(), dict[str, str | None]()

    @dg.asset(
        partitions_def=DAYS,
        deps=["feed"],
        metadata={"contracts/resolves": True, "contracts/accepts": "stale"},
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def ranged(context: dg.AssetExecutionContext) -> None:
        read.update({key: resolve(context, "feed", key).partition_key for key in context.partition_keys})

    with governed(tmp_path, lambda: dg.Definitions(assets=[a_feed(vendor), ranged]), contract_text()) as world:
        world.run("feed", partition=D1)
        vendor.bad.add(D2)
        world.run("feed", partition=D2)
        tags = {"dagster/asset_partition_range_start": D1, "dagster/asset_partition_range_end": D2}
        assert world.run("ranged", tags=tags).failures == {}
        assert read == {D1: D1, D2: D1}
        routes = world.ledger().output("ranged", D2).inputs  # type: ignore[union-attr]
        assert sorted((str(route.requested), str(route.served)) for route in routes) == [(D1, D1), (D2, D1)]


def test_outside_a_run_and_at_load(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UsageError, match="within a run"):
        resolve(object(), "feed")

    @dg.asset(deps=["feed"])
    def silent() -> None: ...

    made = dg.Definitions(assets=[a_feed(Vendor(), partitions=None), silent, _reader("asking", lambda context: 1, None)])
    with caplog.at_level("INFO", logger="dagster_contracts.plugin"), governed(tmp_path, lambda: made, contract_text()):
        told = [record.getMessage() for record in caplog.records if "by themselves" in record.getMessage()]
    assert len(told) == 1
    assert "silent (of feed)" in told[0]
    assert "asking" not in told[0]
