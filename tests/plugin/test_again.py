"""What is delivered again while the breaker is open, and what was left behind by a writer that died in the middle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
import pandas as pd

from dagster_contracts.core.ledger import Status
from dagster_contracts.core.snapshot import Change
from dagster_contracts.core.state import State
from dagster_contracts.plugin.operations import reconcile
from tests.plugin.lab import Vendor, World, a_consumer, a_feed, contract_text, day, governed, value_of

STORY = contract_text(policy="fallback: last_good")


@dataclass
class Revised(Vendor):
    """Delivers other values, with equal counts, once it is `revised`."""

    revised: bool = False

    def frame(self, key: str) -> pd.DataFrame:
        found = super().frame(key)
        return found.assign(read=f"{key} revised") if self.revised else found


def _story(vendor: Vendor) -> dg.Definitions:
    return dg.Definitions(assets=[a_feed(vendor), a_consumer("reader", "full")])


def _opened(world: World) -> None:
    world.run("feed", partition=day(1))
    world.at(2, 6)
    world.run("feed", partition=day(2))
    assert world.ledger().breakers(["feed"])[0].state is State.OPEN


def test_an_open_breaker_lets_no_other_values_over_those_that_are_published(tmp_path: Path) -> None:
    vendor = Revised(bad={day(2)})
    with governed(tmp_path, lambda: _story(vendor), STORY) as world:
        _opened(world)
        vendor.revised = True
        again = world.run("feed", "reader", partition=day(1))
        assert again.failures == {}
        assert again.materialized("feed") is None
        assert set(value_of(world, "feed", day(1))["read"]) == {day(1)}
        assert value_of(world, "reader", day(1)) == day(1)
        (kept,) = world.ledger().batches(asset="feed", partition=day(1))
        assert (kept.status, kept.staged) == (Status.PUBLISHED, None)
        (told,) = world.instance.fetch_observations(dg.AssetKey("feed"), limit=1).records
        said = str(told.asset_observation and told.asset_observation.description)
        assert "feed [2026-01-01] was not written again: it measures as the batch that is published" in said
        assert "held" not in said
        world.at(3, 6)
        world.run("feed", partition=day(3))  # closes
        world.run("feed", partition=day(1))
        assert set(value_of(world, "feed", day(1))["read"]) == {f"{day(1)} revised"}


def test_what_cannot_be_read_keeps_reconcile_from_no_other_batch(tmp_path: Path) -> None:
    vendor = Vendor()
    with governed(tmp_path, lambda: _story(vendor), STORY) as world:
        for number in (1, 2):
            world.at(number, 6)
            world.run("feed", partition=day(number))
        store = world.ledger()
        for number in (1, 2):  # both writers died after the verdict, one of them in the middle of a file
            (batch,) = store.batches(asset="feed", partition=day(number))
            store.save(Change(batches=(replace(batch, status=Status.PUBLISHING),)))
        half = tmp_path / "storage" / "feed" / day(1)
        half.write_bytes(half.read_bytes()[:100])
        found = {row.partition: row for row in reconcile(world.defs, world.instance)}
        assert found[day(2)].status == Status.PUBLISHED
        assert found[day(1)].status == Status.PUBLISHING
        assert "cannot be read (UnpicklingError" in found[day(1)].note
        assert "run its partition again" in found[day(1)].note
        assert world.run("feed", partition=day(1)).failures == {}
        assert store.batches(asset="feed", partition=day(1))[0].status is Status.PUBLISHED
