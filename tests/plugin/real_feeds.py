"""Real public feeds as Dagster assets, and a warehouse of one feed and two consumers to play them through."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from dagster_contracts import BreakerResource, with_contracts
from dagster_contracts.core.contract import Contract, attach
from dagster_contracts.core.judge import failing, judge
from dagster_contracts.core.ledger import Batch, Output, Partition, Status
from dagster_contracts.core.odcs import parse
from dagster_contracts.core.state import Breaker
from dagster_contracts.core.verdict import Measurement, Outcome, Verdict
from dagster_contracts.engines.local import LocalEngine
from dagster_contracts.gate import Gate
from dagster_contracts.judgement import Terms
from dagster_contracts.plugin.assets import iterate_assets
from dagster_contracts.plugin.operations import BaselineRow, baseline
from dagster_contracts.plugin.partitions import partition_of
from dagster_contracts.plugin.site import site_of
from dagster_contracts.ports import FixedClock
from tests.shared_cases import CASES

_AFTER_ALL = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Feed:
    """A folder of files, one for each partition, and the contract of it. The asset is named as the contract's object."""

    dataset: str
    partitions: dg.PartitionsDefinition[Any]
    prefix: str = ""
    suffix: str = ".csv"

    @cached_property
    def contract(self) -> Contract:
        return parse((CASES / "contracts" / f"{self.dataset}.odcs.yaml").read_text())

    @property
    def asset(self) -> str:
        return self.contract.objects[0].name

    @cached_property
    def keys(self) -> list[str]:
        """The partitions that were delivered, in time."""
        files = (CASES / "data" / self.dataset).glob(f"{self.prefix}*{self.suffix}")
        return sorted(file.name.removeprefix(self.prefix).removesuffix(self.suffix) for file in files)

    def before(self, key: str) -> str | None:
        """The delivery before `key` in time."""
        place = self.keys.index(key)
        return self.keys[place - 1] if place and self.timed else None

    @property
    def timed(self) -> bool:
        return isinstance(self.partitions, dg.TimeWindowPartitionsDefinition)

    def read(self, key: str) -> pd.DataFrame:
        return pd.read_csv(CASES / "data" / self.dataset / f"{self.prefix}{key}{self.suffix}")

    def place(self, key: str) -> Partition:
        return partition_of(key, self.partitions)


def _daily(first: str, end: str) -> dg.DailyPartitionsDefinition:
    return dg.DailyPartitionsDefinition(first, end_date=end)


def _monthly(first: str, end: str) -> dg.MonthlyPartitionsDefinition:
    return dg.MonthlyPartitionsDefinition(first, end_date=end, fmt="%Y-%m")


FEEDS = {
    feed.dataset: feed
    for feed in (
        Feed("nyc_taxi", _monthly("2019-01", "2020-12"), "yellow_tripdata_", ".csv.gz"),
        Feed("jhu_daily", _daily("2020-01-22", "2020-03-27")),
        Feed("jhu_us_daily", _daily("2020-04-12", "2020-07-01")),
        Feed("italy_regioni", _daily("2020-02-24", "2021-04-01")),
        Feed("lendingclub", _monthly("2007-06", "2010-01")),
        Feed("bike_sharing", _monthly("2011-01", "2012-01")),
        Feed("uci_credit_default", dg.StaticPartitionsDefinition([f"batch_{n:02}" for n in range(10)]), "", ".csv.gz"),
    )
}


@cache
def verdict_alone(dataset: str, key: str) -> Verdict:
    """What the contract says of one partition, without Dagster and without a breaker."""
    feed, engine = FEEDS[dataset], LocalEngine()
    plan = _terms(dataset).plan
    frame = feed.read(key)
    measured = engine.measure(frame, plan.metrics)
    assert isinstance(measured, Measurement)
    return judge(plan, measured, engine.samples(frame, failing(plan, measured)), as_of=_AFTER_ALL, head=True)


@cache
def _terms(dataset: str) -> Terms:
    contract = FEEDS[dataset].contract
    (attached,) = attach([contract], [FEEDS[dataset].asset]).values()
    return Terms.of(attached)


def rule_ids(dataset: str) -> frozenset[str]:
    plan = _terms(dataset).plan
    return frozenset(rule.id for rule in plan.rules) | frozenset(missed.rule for missed in plan.not_executed)


def passes(verdict: Verdict) -> bool:
    return verdict.outcome in (Outcome.PASS, Outcome.WARN)


# --- a warehouse ---------------------------------------------------------------------------------------------------


def definitions(feed: Feed) -> dg.Definitions:
    """As a user has them who knows nothing of contracts: a feed, and two consumers that keep what they read."""

    @dg.asset(name=feed.asset, partitions_def=feed.partitions)
    def delivered(context) -> pd.DataFrame:  # type: ignore[no-untyped-def]  # Dagster refuses annotations that are text
        return feed.read(context.partition_key)

    def consumer(name: str, accepts: str) -> dg.AssetsDefinition:
        @dg.asset(name=name, partitions_def=feed.partitions, ins={"rows": dg.AssetIn(feed.asset)}, metadata={"contracts/accepts": accepts})
        def consuming(rows: pd.DataFrame) -> pd.DataFrame:
            return rows

        return consuming

    return dg.Definitions(assets=[delivered, consumer("stale_reader", "stale"), consumer("full_reader", "full")])


@dataclass
class Played:
    """One run: what was written, what failed with which words."""

    success: bool
    materialized: dict[str, dg.AssetMaterialization]
    failures: dict[str, str]
    checks: dict[str, bool]


@dataclass
class Warehouse:
    """One feed in one Dagster instance, its files under `home`."""

    feed: Feed
    home: Path
    instance: dg.DagsterInstance
    clock: FixedClock
    plain: dg.Definitions
    governed: dg.Definitions = field(default_factory=dg.Definitions)

    def govern(self, contract: Contract) -> None:
        """What a new deployment of the code location does."""
        breakers = BreakerResource(url=f"sqlite:///{self.home / 'contracts.db'}")
        self.governed = with_contracts(self.plain, contracts=[contract], breakers=breakers, clock=self.clock)

    def deliver(self, key: str, *, governed: bool = True, only: str | None = None) -> Played:
        """A run of everything for one partition (or of one asset alone), six hours after its window has ended."""
        end = self.feed.place(key).end
        self.clock.at = (end or _AFTER_ALL) + timedelta(hours=6)
        if governed:
            job = self.governed.resolve_implicit_global_asset_job_def()
            job = job if only is None else job.get_subset(asset_selection={dg.AssetKey(only)})
            done = job.execute_in_process(instance=self.instance, partition_key=key, raise_on_error=False)
        else:
            done = dg.materialize(iterate_assets(self.plain.assets), instance=self.instance, partition_key=key)
        made = {
            event.asset_key.to_user_string(): event.materialization for event in done.get_asset_materialization_events() if event.asset_key
        }
        failures: dict[str, str] = {}
        for event in done.get_step_failure_events():
            told = event.step_failure_data.user_failure_data
            failures[event.step_key or ""] = (told.description if told else None) or str(event.step_failure_data.error)
        checks = {each.check_name: each.passed for each in done.get_asset_check_evaluations()}
        return Played(done.success, made, failures, checks)

    def baseline(self, keys: str | None = None) -> list[BaselineRow]:
        return baseline(self.governed, self.instance, self.feed.asset, keys, lambda line: None)

    def live(self, asset: str, key: str) -> pd.DataFrame | None:
        """What stands in the live place, read from its file."""
        file = self.home / "storage" / asset / key
        return pickle.loads(file.read_bytes()) if file.is_file() else None

    def staged(self, batch: Batch) -> pd.DataFrame:
        assert batch.staged is not None
        place = self.home / "storage" / "__contracts_staging__" / self.feed.asset / batch.staged / str(batch.partition)
        found: pd.DataFrame = pickle.loads(place.read_bytes())
        return found

    @property
    def gate(self) -> Gate:
        return site_of(self.governed).gate(self.instance)

    @property
    def breaker(self) -> Breaker | None:
        found = self.gate.store.breakers([self.feed.asset])
        return found[0] if found else None

    def batches(self, key: str, *statuses: Status) -> list[Batch]:
        return list(self.gate.store.batches(asset=self.feed.asset, partition=key, statuses=statuses))

    def output(self, asset: str, key: str) -> Output:
        found = self.gate.store.output(asset, key)
        assert found is not None
        return found


@contextmanager
def warehouse(dataset: str, home: Path, *, on_disk: bool = False) -> Iterator[Warehouse]:
    """A new warehouse. Files and breakers are kept under `home`; Dagster's own records too if `on_disk`, which makes a run take five times
    as long."""
    feed = FEEDS[dataset]
    opened = dg.DagsterInstance.local_temp(str(home)) if on_disk else dg.DagsterInstance.ephemeral(tempdir=str(home))
    with opened as instance:
        house = Warehouse(feed, home, instance, FixedClock(_AFTER_ALL), definitions(feed))
        house.govern(feed.contract)
        yield house
