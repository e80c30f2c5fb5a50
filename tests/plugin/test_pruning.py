"""The job contracts_prune: there, and quiet until somebody starts it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_contracts import with_contracts
from dagster_contracts.core.snapshot import Change
from tests.plugin.lab import Vendor, World, a_feed, governed
from tests.store.values import T0, batch


def definitions() -> dg.Definitions:
    return dg.Definitions(assets=[a_feed(Vendor())])


def prune(world: World, **config: Any) -> dg.ExecuteInProcessResult:
    given = {"ops": {"prune_ledger": {"config": config}}}
    job = world.defs.resolve_job_def("contracts_prune")
    return job.execute_in_process(instance=world.instance, run_config=given, raise_on_error=False)


def test_the_schedule_is_stopped_until_somebody_starts_it(tmp_path: Path) -> None:
    with governed(tmp_path, definitions) as world:
        schedule = world.defs.resolve_schedule_def("contracts_prune_nightly")
        assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
        assert schedule.job_name == "contracts_prune"
        assert not (tmp_path / "contracts.db").exists()  # loading touches nothing


def test_nothing_is_added_where_nothing_is_governed() -> None:
    assert list(with_contracts(definitions(), contracts=[]).schedules or []) == []


def test_the_job_prunes(tmp_path: Path) -> None:
    with governed(tmp_path, definitions) as world:
        store = world.ledger()
        for number in range(4):
            store.save(Change(batches=(batch(f"b{number}", head=False),)))
        world.clock.at = T0 + timedelta(days=50)
        assert prune(world).success  # by default they are kept longer
        assert prune(world, older_than="P30D", dry_run=True).success
        assert len(store.batches()) == 4
        assert prune(world, older_than="P30D").success
        assert [each.id for each in store.batches()] == ["b3"]


@pytest.mark.parametrize("age", ["PT1H", "a month"])
def test_an_age_that_is_none_fails_the_run(tmp_path: Path, age: str) -> None:
    with governed(tmp_path, definitions) as world:
        world.ledger().save(Change(batches=(batch("b"),)))
        assert not prune(world, older_than=age).success
