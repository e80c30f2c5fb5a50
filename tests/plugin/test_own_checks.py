"""Checks that a project has itself, of assets that are governed: they look at what is published, and at nothing else.

No postponed annotations here: Dagster reads the annotation of a context as it stands.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from dagster_contracts.core.ledger import Partition
from dagster_contracts.core.snapshot import Change
from dagster_contracts.plugin.private import rebuilding
from dagster_contracts.plugin.site import site_of
from dagster_contracts.store.sql import SqlStore
from tests.plugin.lab import DAYS, QUIET, Ran, Vendor, World, a_consumer, a_feed, contract_text, day, governed, value_of
from tests.store.counting import counted

D1, D2 = day(1), day(2)
Seen = list[tuple[str, str]]  # by whom, and what was read


def _passed(frame: pd.DataFrame) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=bool(frame["risk"].isin(["HIGH", "LOW"]).all()))


def _by_input(seen: Seen, blocking: bool, days: dg.PartitionsDefinition | None) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset="feed", blocking=blocking, partitions_def=days)
    def own(feed: pd.DataFrame) -> dg.AssetCheckResult:
        seen.append(("own", feed["read"].iloc[0]))
        return _passed(feed)

    return own


def _by_itself(seen: Seen, blocking: bool, days: dg.PartitionsDefinition | None) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset="feed", name="own", blocking=blocking, partitions_def=days)
    def queries() -> dg.AssetCheckResult:
        seen.append(("own", "whatever stands there"))
        return dg.AssetCheckResult(passed=True)

    return queries


def _several(seen: Seen, blocking: bool, days: dg.PartitionsDefinition | None) -> dg.AssetChecksDefinition:
    specs = [dg.AssetCheckSpec(name, asset="feed", blocking=blocking, partitions_def=days) for name in ("own", "other")]

    @dg.multi_asset_check(specs=specs, ins={"given": dg.AssetKey("feed")}, can_subset=True)
    def several(context: dg.AssetCheckExecutionContext, given: pd.DataFrame) -> Iterator[dg.AssetCheckResult]:
        seen.append(("own", given["read"].iloc[0]))
        for key in sorted(context.selected_asset_check_keys):
            yield _passed(given)._replace(asset_key=key.asset_key, check_name=key.name)

    return several


def _beside(seen: Seen, blocking: bool, days: dg.PartitionsDefinition | None) -> dg.AssetChecksDefinition:
    """Reads the feed for a check of something else."""

    @dg.asset_check(asset="stale", name="own", blocking=blocking, partitions_def=days, additional_ins={"given": dg.AssetIn("feed")})
    def own(stale: str, given: pd.DataFrame) -> dg.AssetCheckResult:
        seen.append(("own", f"{given['read'].iloc[0]} {stale}"))
        return _passed(given)

    return own


FORMS = pytest.mark.parametrize("form", [_by_input, _by_itself, _several, _beside])
Form = Callable[[Seen, bool, dg.PartitionsDefinition | None], dg.AssetChecksDefinition]


@contextmanager
def a_world(
    folder: Path, vendor: Vendor, *checks: dg.AssetChecksDefinition, days: dg.PartitionsDefinition | None = DAYS
) -> Iterator[World]:
    assets = [a_feed(vendor, partitions=days), a_consumer("stale", "stale", partitions=days), a_consumer("low", "low", partitions=days)]
    with governed(folder, lambda: dg.Definitions(assets=assets, asset_checks=checks)) as world:
        yield world


def _alone(world: World, partition: str | None) -> Ran:
    """As somebody would who presses "execute" at a check."""
    job = rebuilding.job_of(world.defs, set(), {dg.AssetCheckKey(dg.AssetKey("feed"), "own")})
    tags = {} if partition is None else {"dagster/partition": partition}
    return Ran(job.execute_in_process(instance=world.instance, raise_on_error=False, run_config=QUIET, tags=tags))


def _is_skipped(world: World, run: Ran, asset: str) -> bool:
    key = dg.AssetCheckKey(dg.AssetKey(asset), "own")
    (last,) = world.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    return last.run_id == run.run_id and last.status.value == "PLANNED"  # Dagster's word for what a run has never told of


@FORMS
def test_a_check_of_a_refused_batch_is_skipped_and_blocks_nobody(tmp_path: Path, form: Form) -> None:
    vendor, seen = Vendor(), Seen()
    asset = "stale" if form is _beside else "feed"
    with a_world(tmp_path, vendor, form(seen, True, DAYS)) as world:
        good = world.run(partition=D1)
        assert good.success
        assert good.checks(asset)["own"]
        seen.clear()
        world.at(2, 6)
        vendor.bad.add(D2)
        bad = world.run(partition=D2)
        assert bad.failures == {}
        assert (value_of(world, "stale", D2), value_of(world, "low", D2)) == (D1, D2)
        assert seen == []
        assert "own" not in bad.checks(asset)
        assert _is_skipped(world, bad, asset)


@pytest.mark.parametrize("form", [_by_input, _by_itself])
def test_a_redelivery_that_is_refused_gets_no_green_check_of_the_data_before_it(tmp_path: Path, form: Form) -> None:
    vendor, seen = Vendor(), Seen()
    with a_world(tmp_path, vendor, form(seen, False, DAYS)) as world:
        assert world.run(partition=D1).success
        vendor.bad.add(D1)
        for _ in range(2):
            world.clock.at += pd.Timedelta(hours=1)
            seen.clear()
            again = world.run(partition=D1)
            assert again.failures == {}
            assert seen == []
            assert "own" not in again.checks("feed")
        later = _alone(world, D1)
        assert later.success
        assert len(seen) == 1
        assert later.checks("feed") == {"own": True}, "on its own it looks at what is published"


def test_without_partitions(tmp_path: Path) -> None:
    vendor, seen = Vendor(), Seen()
    with a_world(tmp_path, vendor, _by_input(seen, True, None), days=None) as world:
        vendor.bad.add("feed")
        bad = world.run()
        assert set(bad.failures) == {"stale"}
        assert "no batch" in bad.failures["stale"].lower()
        assert seen == []
        assert value_of(world, "low") == "feed"
        nothing = _alone(world, None)
        assert nothing.success, "nothing is published yet"
        assert nothing.checks("feed") == {}
        vendor.bad.clear()
        world.at(2, 6)
        good = world.run()
        assert good.failures == {}
        assert good.checks("feed")["own"]


def test_a_blocking_check_blocks_its_run_as_it_did(tmp_path: Path) -> None:
    @dg.asset_check(asset="feed", blocking=True, partitions_def=DAYS)
    def never(feed: pd.DataFrame) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=feed["read"].iloc[0] != D1)

    with a_world(tmp_path, Vendor(), never) as world:
        run = world.run(partition=D1)
        assert set(run.failures) == {"feed_never"}
        assert run.materialized("feed") is not None
        assert run.materialized("stale") is None


def test_a_check_of_all_partitions_looks_at_those_that_are_published(tmp_path: Path) -> None:
    vendor, seen = Vendor(), Seen()
    days = dg.DailyPartitionsDefinition(D1, end_date=day(4))

    @dg.asset_check(asset="feed", blocking=True)
    def own(feed: dict[str, pd.DataFrame]) -> dg.AssetCheckResult:
        seen.append(("own", " ".join(sorted(feed))))
        return dg.AssetCheckResult(passed=True)

    with governed(tmp_path, lambda: dg.Definitions(assets=[a_feed(vendor, partitions=days)], asset_checks=[own])) as world:
        for number in (1, 2, 3):
            world.at(number, 23)
            vendor.bad.update({D2} if number == 2 else ())
            world.run(partition=day(number))
        assert seen == [("own", f"{D1} {day(3)}")], "before that some had never been made, as ever an error of Dagster's"
        assert _alone(world, None).success
        assert seen[1:] == seen[:1]


def test_what_a_run_has_refused_is_not_looked_at_by_a_check_without_partitions(tmp_path: Path) -> None:
    """Beside assets of other partitions a run has none of its own, of which Dagster would tell such a check."""
    vendor, seen = Vendor(), Seen()
    others = dg.StaticPartitionsDefinition([D1, D2])
    assets = [a_feed(vendor), a_consumer("low", "low"), a_feed(Vendor(), "beside", others)]
    with governed(tmp_path, lambda: dg.Definitions(assets=assets, asset_checks=[_by_itself(seen, False, None)])) as world:
        for partition in (D1, D2):
            world.at(2, 6)
            vendor.bad.add(D2)
            ran = world.run(tags={"dagster/partition": partition})
            assert ran.failures == {}
            assert ran.materialized("beside") is not None
            assert ran.checks("feed").get("own") is (True if partition == D1 else None)
        assert len(seen) == 1


def test_a_refusal_is_known_of_however_many_came_after_it(tmp_path: Path) -> None:
    vendor, seen = Vendor(bad={D1}), Seen()
    with a_world(tmp_path, vendor, _by_input(seen, True, DAYS)) as world:
        assert not world.run("feed", partition=D1).checks("feed").get("own")
        first = world.ledger().batches(asset="feed")[0]
        newer = [replace(first, id=f"newer {number}", partition=Partition(f"newer {number}"), sequence=0) for number in range(1001)]
        world.ledger().save(Change(batches=tuple(newer)))
        later = _alone(world, D1)
        assert later.failures == {}
        assert later.checks("feed") == {}
        assert seen == []


def test_the_store_is_asked_as_often_for_many_refused_partitions_as_for_one(tmp_path: Path) -> None:
    days = dg.DailyPartitionsDefinition(D1, end_date=day(5))

    @dg.asset_check(asset="feed")
    def own(feed: dict[str, pd.DataFrame]) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=sorted(feed) == [D1])

    vendor, trips = Vendor(bad={D2, day(3), day(4)}), []
    with governed(tmp_path, lambda: dg.Definitions(assets=[a_feed(vendor, partitions=days)], asset_checks=[own])) as world:
        store = site_of(world.defs).gate(world.instance).store
        assert isinstance(store, SqlStore)
        for number in (1, 2, 3, 4):
            world.at(number, 23)
            world.run(partition=day(number))
            with counted(store) as asked:
                ran = _alone(world, None)
            trips.append(asked.trips)
        assert ran.checks("feed") == {"own": True}
        assert len(set(trips)) == 1, trips


def test_of_several_assets_those_that_are_published_are_checked(tmp_path: Path) -> None:
    vendor = Vendor()
    specs = [dg.AssetCheckSpec("own", asset=name, blocking=True, partitions_def=DAYS) for name in ("feed", "bureau")]

    @dg.multi_asset_check(specs=specs)
    def both() -> Iterator[dg.AssetCheckResult]:
        for name in ("feed", "bureau"):
            yield dg.AssetCheckResult(passed=True, asset_key=name, check_name="own")

    other = Vendor()
    assets = [a_feed(vendor), a_feed(other, "bureau"), a_consumer("stale", "stale"), a_consumer("of_bureau", of="bureau")]
    texts = (contract_text(), contract_text("bureau"))
    with governed(tmp_path, lambda: dg.Definitions(assets=assets, asset_checks=[both]), *texts) as world:
        assert world.run(partition=D1).success
        world.at(2, 6)
        vendor.bad.add(D2)
        bad = world.run(partition=D2)
        assert bad.failures == {}
        assert bad.checks("bureau")["own"]
        assert "own" not in bad.checks("feed")
        assert value_of(world, "of_bureau", D2) == D2


def test_a_check_of_an_output_that_was_halted_is_skipped(tmp_path: Path) -> None:
    """Of several outputs of one op, one is halted behind its body: Dagster would go on to its checks."""
    vendor, seen = Vendor(), Seen()

    @dg.multi_asset(
        partitions_def=DAYS,
        specs=[dg.AssetSpec("feed"), dg.AssetSpec("made", deps=["feed"], metadata={"contracts/accepts": "full"})],
        can_subset=True,
    )
    def written(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield from (dg.MaterializeResult(asset_key=name) for name in ("feed", "made"))

    @dg.asset_check(asset="made", blocking=True, partitions_def=DAYS)
    def own() -> dg.AssetCheckResult:
        seen.append(("own", "made"))
        return dg.AssetCheckResult(passed=True)

    low = dg.AssetSpec("low", deps=["feed"], metadata={"contracts/accepts": "low"})

    @dg.multi_asset(specs=[low], partitions_def=DAYS)
    def lows() -> None: ...

    readers = {"feed": vendor.frame}
    with governed(tmp_path, lambda: dg.Definitions(assets=[written, lows], asset_checks=[own]), readers=readers) as world:
        assert world.run("feed", "made", partition=D1).checks("made") == {"own": True}
        world.at(2, 6)
        vendor.bad.add(D2)
        seen.clear()
        bad = world.run(partition=D2)
        assert bad.checks("made") == {}
        assert seen == []


def test_a_check_of_what_no_contract_concerns_stays_as_it_is(tmp_path: Path) -> None:
    @dg.asset
    def beside() -> int:
        return 1

    @dg.asset_check(asset=beside)
    def own(beside: int) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=beside == 1)

    with governed(tmp_path, lambda: dg.Definitions(assets=[beside, a_feed(Vendor())], asset_checks=[own])) as world:
        assert next(iter(world.defs.asset_checks or [])) is own
        assert world.run("beside").checks("beside") == {"own": True}
