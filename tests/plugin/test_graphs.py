"""Contracts on assets that graphs make: judged where the last op yields them; probed and released without running any op's own code."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from dagster_contracts.core.ledger import Status
from dagster_contracts.core.state import State
from tests.plugin.lab import DAYS, Vendor, a_consumer, contract_text, day, governed, value_of

D1, D2, D3 = day(1), day(2), day(3)
GRAPHS = ("simple", "nested", "fanned", "pair_left", "pair_right")


def graphs(vendor: Vendor, ran: list[str]) -> dg.Definitions:
    @dg.op
    def fetch(context: dg.OpExecutionContext) -> pd.DataFrame:
        ran.append(f"fetch {context.partition_key}")
        return vendor.frame(context.partition_key)

    @dg.op
    def clean(raw: pd.DataFrame) -> pd.DataFrame:
        ran.append("clean")
        return raw

    @dg.graph
    def cleaned() -> pd.DataFrame:
        return clean(fetch())

    @dg.op(out=dg.DynamicOut(pd.DataFrame))
    def split(raw: pd.DataFrame) -> Iterator[dg.DynamicOutput[pd.DataFrame]]:
        for number in range(len(raw)):
            yield dg.DynamicOutput(raw.iloc[[number]], mapping_key=str(number))

    @dg.op
    def join(parts: list[pd.DataFrame]) -> pd.DataFrame:
        return pd.concat(parts)

    @dg.graph_asset(partitions_def=DAYS)
    def simple() -> pd.DataFrame:
        return clean(fetch())

    @dg.graph_asset(partitions_def=DAYS)
    def nested() -> pd.DataFrame:
        return clean.alias("again")(cleaned())

    @dg.graph_asset(partitions_def=DAYS)
    def fanned() -> pd.DataFrame:
        return join(split(fetch()).map(clean).collect())

    @dg.graph_multi_asset(partitions_def=DAYS, outs={"pair_left": dg.AssetOut(), "pair_right": dg.AssetOut()}, can_subset=True)
    def pair() -> dict[str, Any]:
        raw = fetch()
        return {"pair_left": clean.alias("left")(raw), "pair_right": clean.alias("right")(raw)}

    readers = [a_consumer(f"reader_{name}", "stale", of=name) for name in GRAPHS]
    return dg.Definitions(assets=[simple, nested, fanned, pair, *readers])


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A good day, a bad one, a good one that is held, then what the sensors ask for."""
    vendor, ran = Vendor(), list[str]()
    seen: dict[str, Any] = {}
    with governed(tmp_path_factory.mktemp("graphs"), lambda: graphs(vendor, ran), *(contract_text(name) for name in GRAPHS)) as world:
        seen["good"] = world.run(partition=D1)
        world.at(2, 6)
        vendor.bad.add(D2)
        seen["bad"] = world.run(partition=D2)
        seen["open"] = {breaker.key: breaker.state for breaker in world.ledger().breakers()}
        seen["after bad"] = {name: value_of(world, f"reader_{name}", D2) for name in GRAPHS}
        world.at(2, 9)
        seen["held"] = world.run(*GRAPHS, partition=D3)
        seen["status"] = {name: [batch.status for batch in world.ledger().batches(asset=name)] for name in GRAPHS}
        ran.clear()
        world.at(2, 18)
        seen["probes"] = [world.launch(request) for request in world.tick("contracts_probe")]
        seen["closed"] = {breaker.key: breaker.state for breaker in world.ledger().breakers()}
        seen["ran in probes"] = list(ran)
        wanted = [request for request in world.tick("contracts_heal") if "contracts/release" in request.tags]
        seen["releases"] = [world.launch(request) for request in wanted]
        seen["ran in releases"] = list(ran)
        seen["published"] = {name: value_of(world, name, D3) for name in GRAPHS}
        yield seen


def test_a_good_batch_is_published_with_its_checks(story: dict[str, Any]) -> None:
    good = story["good"]
    assert good.failures == {}
    for name in GRAPHS:
        assert good.materialized(name).metadata["contracts/outcome"].value == "pass"
        assert good.checks(name)["contract_semantics"] is True
        assert good.checks(name)["contract_breaker"] is True


def test_a_bad_batch_is_not_and_its_consumers_read_the_last_good(story: dict[str, Any]) -> None:
    bad = story["bad"]
    assert {name: bad.materialized(name) for name in GRAPHS} == dict.fromkeys(GRAPHS)
    assert story["open"] == dict.fromkeys(GRAPHS, State.OPEN)
    assert story["after bad"] == dict.fromkeys(GRAPHS, D1)
    assert {name: bad.checks(name)["contract_semantics"] for name in GRAPHS} == dict.fromkeys(GRAPHS, False)


def test_a_probe_judges_what_is_stored_and_runs_no_code_of_the_graph(story: dict[str, Any]) -> None:
    assert {name: statuses[0] for name, statuses in story["status"].items()} == dict.fromkeys(GRAPHS, Status.HELD)
    assert [probe.failures for probe in story["probes"]] == [{}] * len(GRAPHS)
    assert story["ran in probes"] == []
    assert story["closed"] == dict.fromkeys(GRAPHS, State.CLOSED)


def test_a_release_publishes_what_is_stored_and_runs_no_code_of_the_graph(story: dict[str, Any]) -> None:
    assert [release.failures for release in story["releases"]] == [{}] * len(GRAPHS)
    assert story["ran in releases"] == []
    assert {name: list(frame["read"]) for name, frame in story["published"].items()} == {name: [D3, D3] for name in GRAPHS}
    assert {name for release in story["releases"] for name in GRAPHS if release.materialized(name)} == set(GRAPHS)


def test_an_op_that_leaves_out_what_it_owes_fails(tmp_path: Path) -> None:
    @dg.op(out=dg.Out(pd.DataFrame))
    def silent() -> Iterator[Any]:
        yield from ()

    @dg.op
    def last(raw: pd.DataFrame) -> pd.DataFrame:
        return raw

    @dg.graph_asset
    def feed() -> pd.DataFrame:
        return last(silent())

    def alone() -> dg.Definitions:
        return dg.Definitions(assets=[feed])

    with governed(tmp_path, alone, contract_text()) as world:
        assert 'op "silent" did not yield its required output result' in next(iter(world.run().failures.values()))


def test_ops_shared_by_a_contracted_graph_and_another(tmp_path: Path) -> None:
    vendor = Vendor()

    @dg.op
    def make() -> pd.DataFrame:
        return vendor.frame("feed")

    @dg.op
    def same(raw: pd.DataFrame) -> pd.DataFrame:
        return raw

    @dg.graph_asset
    def feed() -> pd.DataFrame:
        return same(make())

    @dg.graph_asset(ins={"feed": dg.AssetIn()})
    def other(feed: pd.DataFrame) -> pd.DataFrame:
        return same(feed)

    def both() -> dg.Definitions:
        return dg.Definitions(assets=[feed, other])

    with governed(tmp_path, both, contract_text()) as world:
        assert world.run().failures == {}
        vendor.bad.add("feed")
        bad = world.run()
        assert (bad.failures, bad.materialized("feed")) == ({}, None)
        assert list(value_of(world, "other")["risk"]) == ["HIGH", "LOW"]
