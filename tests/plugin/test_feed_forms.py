"""A contract on a feed, in whatever form the feed is written: judged before it is stored, and otherwise as it was."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from dagster_contracts import recovery
from dagster_contracts.core.ledger import Status
from dagster_contracts.core.state import State
from dagster_contracts.core.verdict import Outcome
from dagster_contracts.engines.local import default_engine
from dagster_contracts.gate import Gate
from dagster_contracts.plugin import operations
from tests.plugin.lab import DAYS, Vendor, World, a_consumer, a_feed, contract_text, day, governed, value_of

# name -> the checks of its own that it reports
FEEDS = {
    "plain": set(),
    "outputs": set(),
    "results": set(),
    "results_checked": {"own"},
    "checked_unnamed": {"own"},
    "checked_apart": {"apart"},
    "retried": set(),
    "asynchronous": set(),
    "nested/key": set(),
    "several_one": set(),
}
_ATTEMPTS: list[int] = []


def feeds(vendor: Vendor) -> dg.Definitions:
    @dg.asset
    def outputs(context: dg.AssetExecutionContext) -> Iterator[dg.Output[pd.DataFrame]]:
        yield dg.Output(
            vendor.frame("outputs"), metadata={"rows": 2}, tags={"mine": "kept"}, data_version=dg.DataVersion(f"v{len(vendor.bad)}")
        )

    @dg.asset
    def results() -> dg.MaterializeResult[pd.DataFrame]:
        return dg.MaterializeResult(value=vendor.frame("results"), metadata={"rows": 2}, tags={"mine": "kept"})

    @dg.asset(check_specs=[dg.AssetCheckSpec("own", asset="results_checked")])
    def results_checked():  # type: ignore[no-untyped-def]
        return dg.MaterializeResult(
            value=vendor.frame("results_checked"), check_results=[dg.AssetCheckResult(check_name="own", passed=True)]
        )

    @dg.asset(check_specs=[dg.AssetCheckSpec("own", asset="checked_unnamed")])
    def checked_unnamed() -> Iterator[Any]:
        yield dg.Output(vendor.frame("checked_unnamed"))
        yield dg.AssetCheckResult(passed=True)

    @dg.asset
    def checked_apart() -> pd.DataFrame:
        return vendor.frame("checked_apart")

    @dg.asset_check(asset=checked_apart)
    def apart(checked_apart: pd.DataFrame) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=len(checked_apart) == 2)

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def retried(context: dg.AssetExecutionContext) -> pd.DataFrame:
        _ATTEMPTS.append(context.retry_number)
        if context.retry_number == 0 and not vendor.bad:
            raise ValueError("the first attempt fails")
        return vendor.frame("retried")

    @dg.asset
    async def asynchronous() -> pd.DataFrame:
        return vendor.frame("asynchronous")

    @dg.asset(key=["nested", "key"])
    def nested() -> pd.DataFrame:
        return vendor.frame("nested/key")

    @dg.multi_asset(outs={"several_one": dg.AssetOut(), "several_two": dg.AssetOut()})
    def several() -> tuple[pd.DataFrame, int]:
        return vendor.frame("several_one"), 2

    assets = [a_feed(vendor, "plain", None), outputs, results, results_checked, checked_unnamed, checked_apart, retried, asynchronous]
    return dg.Definitions(assets=[*assets, nested, several], asset_checks=[apart])


def _contracts() -> list[str]:
    texts = [contract_text(name) for name in FEEDS if "/" not in name]
    mapped = "- name: mapped\n  customProperties: [{property: dagsterAsset, value: nested/key}]"
    return [*texts, contract_text("mapped").replace("- name: mapped", mapped)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Any, Any, Any]]:
    """All feeds delivered well, then badly."""
    vendor = Vendor()
    _ATTEMPTS.clear()
    with governed(tmp_path_factory.mktemp("feeds"), lambda: feeds(vendor), *_contracts()) as world:
        good = world.run()
        attempts = list(_ATTEMPTS)
        vendor.bad.update(FEEDS)
        bad = world.run()
        yield world, good, bad, attempts


@pytest.mark.parametrize("asset", FEEDS)
def test_a_good_batch_is_published(world: tuple[World, Any, Any, Any], asset: str) -> None:
    lab, good, _, _ = world
    assert good.failures == {}
    made = good.materialized(asset)
    assert made.metadata["contracts/outcome"].value == "pass"
    assert set(good.checks(asset)) >= FEEDS[asset] | {"contract_semantics", "contract_breaker"}
    assert all(good.checks(asset).values())
    published = lab.ledger().batches(asset=asset, statuses=(Status.PUBLISHED,))
    assert [batch.run_id for batch in published] == [good.run_id]
    assert list(value_of(lab, asset)["risk"]) == ["HIGH", "LOW"]


@pytest.mark.parametrize("asset", FEEDS)
def test_a_bad_batch_is_not(world: tuple[World, Any, Any, Any], asset: str) -> None:
    lab, _, bad, _ = world
    assert bad.materialized(asset) is None
    assert bad.checks(asset)["contract_semantics"] is False
    assert bad.checks(asset)["contract_breaker"] is False
    [refused] = lab.ledger().batches(asset=asset, statuses=(Status.QUARANTINED,))
    assert refused.staged is not None
    assert list(value_of(lab, asset)["risk"]) == ["HIGH", "LOW"], "the live place still holds the good batch"


def test_what_users_say_survives(world: tuple[World, Any, Any, Any]) -> None:
    _, good, _, _ = world
    for asset in ("outputs", "results"):
        made = good.materialized(asset)
        assert made.metadata["rows"].value == 2
        assert made.tags["mine"] == "kept"
    assert good.materialized("outputs").tags["dagster/data_version"] == "v0"


def test_the_users_data_version_names_the_batch(world: tuple[World, Any, Any, Any]) -> None:
    lab, good, _, _ = world
    [batch] = lab.ledger().batches(asset="outputs", statuses=(Status.PUBLISHED,))
    assert batch.data_version == "v0"
    assert batch.id == f"outputs|run:{good.run_id}|v0"


def test_a_retry_of_the_users_code_is_judged_once(world: tuple[World, Any, Any, Any]) -> None:
    lab, _, _, attempts = world
    assert attempts == [0, 1]
    assert len(lab.ledger().batches(asset="retried")) == 2  # the good batch and the bad one
    assert _ATTEMPTS == [0, 1, 0], "a refused batch is not retried"


def test_a_refusal_spares_the_rest_of_a_multi_asset(world: tuple[World, Any, Any, Any]) -> None:
    lab, good, _, _ = world
    assert good.materialized("several_two") is not None
    assert value_of(lab, "several_two") == 2


# --- what cannot be governed says so ---------------------------------------------------------------------------------


def test_a_result_without_value_cannot_be_judged(tmp_path: Path) -> None:
    @dg.asset
    def feed() -> dg.MaterializeResult:  # type: ignore[type-arg]
        return dg.MaterializeResult(metadata={"rows": 2})

    with governed(tmp_path, lambda: dg.Definitions(assets=[feed])) as world:
        ran = world.run()
        assert "nobody says how to read it" in ran.failures["feed"]
        assert ran.materialized("feed") is None


# --- several partitions in one run ------------------------------------------------------------------------------------


class ByPartition(dg.IOManager):
    """A pickle a partition, of a dict of them where a run has several. Dagster's own file manager writes only one."""

    def __init__(self, folder: Path):
        self.folder = folder

    def _path(self, context: Any, key: str) -> Path:
        return self.folder.joinpath("-".join([*context.asset_key.path, key]))

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        values = obj if isinstance(obj, dict) else {context.asset_partition_key: obj}
        for key, value in values.items():
            self._path(context, key).write_bytes(pickle.dumps(value))

    def load_input(self, context: dg.InputContext) -> Any:
        return pickle.loads(self._path(context, context.asset_partition_key).read_bytes())


@pytest.fixture(scope="module")
def ranged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Vendor]]:
    vendor = Vendor()

    @dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def feed(context: dg.AssetExecutionContext) -> dict[str, pd.DataFrame]:
        return {key: vendor.frame(key) for key in context.partition_keys}

    @dg.multi_asset(
        outs={"left": dg.AssetOut(), "right": dg.AssetOut()}, partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run()
    )
    def both(context: dg.AssetExecutionContext) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
        frames = {key: vendor.frame(key) for key in context.partition_keys}
        return frames, {key: vendor.frame("good") for key in frames}

    place = tmp_path_factory.mktemp("range")
    definitions = dg.Definitions(assets=[feed, both, a_consumer("after")], resources={"io_manager": ByPartition(place)})
    with governed(place, lambda: definitions, contract_text(), contract_text("left"), contract_text("right")) as world:
        yield world, vendor


def _range(world: World, first: int, last: int, *assets: str) -> Any:
    tags = {"dagster/asset_partition_range_start": day(first), "dagster/asset_partition_range_end": day(last)}
    return world.run(*(assets or ("feed",)), tags=tags)


def test_a_range_is_judged_and_published_by_partition(ranged: tuple[World, Vendor]) -> None:
    world, _ = ranged
    ran = _range(world, 1, 3)
    assert ran.failures == {}
    published = world.ledger().batches(asset="feed", statuses=(Status.PUBLISHED,))
    assert sorted(str(batch.partition) for batch in published) == [day(1), day(2), day(3)]
    assert world.ledger().batches(asset="feed", statuses=(Status.PUBLISHING,)) == []
    seen = [item.partition for item in ran.evaluations("feed") if item.check_name == "contract_semantics"]
    assert seen == [day(1), day(2), day(3)]
    consumer = world.run("after", partition=day(2))
    assert consumer.failures == {}
    assert consumer.materialized("after").tags["contracts/confidence"] == "full"  # type: ignore[union-attr]


@pytest.mark.parametrize("in_place", [False, True])
def test_each_partition_of_a_range_tells_its_own_verdict(tmp_path: Path, in_place: bool) -> None:
    rows = {day(number): pd.DataFrame({"customer_id": range(number), "risk": "LOW"}) for number in (1, 2)}

    @dg.asset(partitions_def=DAYS)
    def feed(context: dg.AssetExecutionContext) -> Any:
        return dg.MaterializeResult() if in_place else {key: rows[key] for key in context.partition_keys}

    definitions = dg.Definitions(assets=[feed], resources={"io_manager": ByPartition(tmp_path)})
    readers = {"feed": lambda partition: rows[str(partition)]} if in_place else {}
    with governed(tmp_path, lambda: definitions, readers=readers) as world:
        assert _range(world, 1, 2).failures == {}
        made = world.instance.fetch_materializations(dg.AssetKey("feed"), limit=9).records
        assert {each.partition_key: each.asset_materialization.metadata["contracts/rows"].value for each in made} == {day(1): 1, day(2): 2}


def test_a_refused_range_leaves_what_was_published_before(ranged: tuple[World, Vendor]) -> None:
    """The same data again of days that stand in the live place: nothing was written over them."""
    world, vendor = ranged
    vendor.bad.add(day(4))
    assert "of 3 partitions of feed, 1 was refused (2026-01-04); nothing" in _range(world, 2, 4).failures["feed"]
    for number in (2, 3):
        (batch,) = world.ledger().batches(asset="feed", partition=day(number))
        assert batch.status is Status.PUBLISHED, batch.note
    consumer = world.run("after", partition=day(3))
    assert consumer.materialized("after").tags["contracts/confidence"] == "full"  # type: ignore[union-attr]
    vendor.bad.discard(day(4))
    recovery.reset(Gate(world.ledger(), default_engine()), "feed", actor="ana", reason="the next test")


def test_a_range_with_a_bad_partition_publishes_nothing(ranged: tuple[World, Vendor]) -> None:
    world, vendor = ranged
    vendor.bad.add(day(5))
    ran = _range(world, 4, 6)
    assert "of 3 partitions of feed, 1 was refused (2026-01-05), 1 was held (2026-01-06); nothing of this range run" in ran.failures["feed"]
    assert world.instance.get_run_by_id(ran.run_id).tags["dagster/max_retries"] == "0"  # type: ignore[union-attr]
    assert ran.materialized("feed") is None
    left = {str(batch.partition): batch.status for batch in world.ledger().batches(asset="feed") if batch.run_id == ran.run_id}
    assert Status.PUBLISHED not in left.values()
    assert Status.PUBLISHING not in left.values(), "nothing waits for a writer that never comes"
    assert (left[day(5)], left[day(6)]) == (Status.QUARANTINED, Status.HELD)


@pytest.mark.parametrize("stands", [True, False])
def test_a_range_that_closes_its_breaker_is_published_as_a_whole(tmp_path: Path, stands: bool) -> None:
    """Days that were judged before are kept back again until the one that was bad, the probe, has passed. `stands`: the first are
    published from before."""
    vendor = Vendor(bad={day(3)})

    @dg.asset(partitions_def=DAYS)
    def feed(context: dg.AssetExecutionContext) -> dict[str, pd.DataFrame]:
        return {key: vendor.frame(key) for key in context.partition_keys}

    definitions = dg.Definitions(assets=[feed, a_consumer("after")], resources={"io_manager": ByPartition(tmp_path)})
    with governed(tmp_path, lambda: definitions) as world:
        if stands:
            assert _range(world, 1, 2).failures == {}
        assert "1 was refused (2026-01-03), 1 was held (2026-01-04)" in _range(world, 1, 4).failures["feed"]
        vendor.bad.clear()
        assert "nothing of this range run was published" in _range(world, 1, 4).failures["feed"], "the cooldown is not over"
        world.at(1, 12)
        ran = _range(world, 1, 4)
        assert ran.failures == {}
        (breaker,) = world.ledger().breakers()
        assert (breaker.state, breaker.passed) == (State.CLOSED, ())
        days = [day(number) for number in (1, 2, 3, 4)]
        live = [batch for batch in world.ledger().batches(asset="feed") if batch.status is not Status.DISCARDED]
        assert sorted((str(batch.partition), str(batch.status)) for batch in live) == [(each, "published") for each in days]
        assert world.instance.get_materialized_partitions(dg.AssetKey("feed")) == set(days)
        assert world.run("after", partition=day(4)).materialized("after").tags["contracts/confidence"] == "full"  # type: ignore[union-attr]


def test_a_range_whose_probe_passes_and_whose_next_day_fails_is_refused(tmp_path: Path) -> None:
    vendor = Vendor(bad={day(3)})

    @dg.asset(partitions_def=DAYS)
    def feed(context: dg.AssetExecutionContext) -> dict[str, pd.DataFrame]:
        return {key: vendor.frame(key) for key in context.partition_keys}

    definitions = dg.Definitions(assets=[feed], resources={"io_manager": ByPartition(tmp_path)})
    with governed(tmp_path, lambda: definitions) as world:
        _range(world, 1, 4)
        vendor.bad = {day(4)}
        world.at(1, 12)
        assert "2 were held (first 2026-01-01), 1 was refused (2026-01-04)" in _range(world, 1, 4).failures["feed"]
        assert world.ledger().batches(asset="feed", statuses=(Status.PUBLISHED, Status.PUBLISHING)) == []
        (breaker,) = world.ledger().breakers()
        assert breaker.state is State.OPEN


def test_a_halted_range_leaves_what_was_made_before(tmp_path: Path) -> None:
    """Its partitions are read as one, so that one bad one halts all; what was made of the same good batch alone is none the worse."""

    @dg.asset(partitions_def=DAYS, metadata={"contracts/accepts": "full"})
    def child(after: str) -> str:
        return after

    assets = [a_feed(Vendor(bad={day(2)})), a_consumer("after", "stale"), child]
    with governed(tmp_path, lambda: dg.Definitions(assets=assets)) as world:
        world.run("feed", "after", partition=day(1))
        world.run("feed", partition=day(2))
        assert "2 partitions of feed are read as one" in _range(world, 1, 2, "after").failures["after"]
        made = {number: world.ledger().output("after", day(number)) for number in (1, 2)}
        assert {number: str(each.status) for number, each in made.items() if each is not None} == {1: "ok", 2: "halted"}
        assert world.run("child", partition=day(1)).failures == {}


def test_a_range_of_one_partition(tmp_path: Path) -> None:
    """A dict of that one: judged, judged again from where it lies, probed and released like the frame in it."""
    vendor = Vendor(bad={day(2)})

    @dg.asset(partitions_def=DAYS)
    def feed(context: dg.AssetExecutionContext) -> dict[str, pd.DataFrame]:
        return {key: vendor.frame(key) for key in context.partition_keys}

    with governed(tmp_path, lambda: dg.Definitions(assets=[feed])) as world:
        assert _range(world, 1, 1).failures == {}
        assert list(value_of(world, "feed", day(1))) == [day(1)]
        assert world.run("feed", partition=day(2)).failures
        [refused] = world.ledger().batches(asset="feed", statuses=(Status.QUARANTINED,))
        again = operations.rejudge(world.defs, world.instance, refused.id, actor="ana", reason="seen")
        assert again.verdict.outcome is Outcome.FAIL
        world.at(3, 6)
        [probe] = world.tick("contracts_probe")
        assert {"contract_semantics": False}.items() <= world.launch(probe).checks("feed").items()
        recovery.release(Gate(world.ledger(), default_engine()), refused, actor="ana", reason="known")
        [request] = [each for each in world.tick("contracts_heal") if "contracts/release" in each.tags]
        assert world.launch(request).failures == {}
        assert list(value_of(world, "feed", day(2))) == [day(2)]


def test_a_refused_range_of_one_output_spares_the_other(ranged: tuple[World, Vendor]) -> None:
    world, vendor = ranged
    vendor.bad.add(day(2))
    ran = _range(world, 1, 2, "left", "right")
    assert "of 2 partitions of left, 1 was refused (2026-01-02); nothing" in ran.failures["both"]
    assert ran.materialized("left") is None
    assert [item.partition for item in ran.evaluations("left") if not item.passed and item.check_name == "contract_semantics"] == [day(2)]
    published = world.ledger().batches(asset="right", statuses=(Status.PUBLISHED,))
    assert sorted(str(batch.partition) for batch in published) == [day(1), day(2)]
    vendor.bad.discard(day(2))


def test_what_else_an_op_makes_is_published_though_one_output_is_refused(tmp_path: Path) -> None:
    """In a run that nothing goes on in: the step fails once all of them are judged."""
    vendor = Vendor(bad={"left"})

    @dg.multi_asset(outs={"left": dg.AssetOut(), "right": dg.AssetOut()})
    def both() -> tuple[pd.DataFrame, pd.DataFrame]:
        return vendor.frame("left"), vendor.frame("right")

    with governed(tmp_path, lambda: dg.Definitions(assets=[both]), contract_text("left"), contract_text("right")) as world:
        ran = world.run()
        assert "left [(unpartitioned)] was refused and quarantined" in ran.failures["both"]
        assert ran.materialized("left") is None
        assert ran.materialized("right") is not None
        assert {name: world.ledger().batches(asset=name)[0].status for name in ("left", "right")} == {
            "left": Status.QUARANTINED,
            "right": Status.PUBLISHED,
        }
