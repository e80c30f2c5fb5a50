"""Files to batches: partitions by name, arrivals by what rules ask for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dagster_contracts.chaos.deliveries import deliveries, partition_in
from dagster_contracts.core.ledger import UNPARTITIONED
from dagster_contracts.core.metrics import Newest
from dagster_contracts.core.plan import Fresh
from tests.chaos.feeds import frame
from tests.chaos.test_run import ENGINE, contract


@pytest.mark.parametrize(
    ("name", "key", "end"),
    [
        ("2026-01-31.csv", "2026-01-31", datetime(2026, 2, 1, tzinfo=UTC)),
        ("trips_2025-12.parquet", "2025-12", datetime(2026, 1, 1, tzinfo=UTC)),
        ("feed-20260228.jsonl", "2026-02-28", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026/2026-01-02/part.csv", "2026-01-02", datetime(2026, 1, 3, tzinfo=UTC)),
    ],
)
def test_the_date_in_a_name_is_the_partition(name: str, key: str, end: datetime) -> None:
    found = partition_in(name)
    assert (found.key, found.end) == (key, end)


@pytest.mark.parametrize("name", ["batch_00.csv", "2026-02-31.csv", "part-123456789012.csv", "v1.2.csv"])
def test_a_name_without_a_date_is_of_no_partition(name: str) -> None:
    assert partition_in(name) == UNPARTITIONED


def test_clean_data_is_taken_to_arrive_when_it_is_fresh() -> None:
    plan, _ = contract()
    first, second = deliveries(plan, ENGINE, [("a.csv", frame(0)), ("b.csv", frame(1))])
    assert first.arrived_at == frame(0)["at"].max()
    assert second.previous is first


def test_of_several_times_the_newest_says_when() -> None:
    plan, _ = contract()
    (fresh,) = (rule for rule in plan.rules if isinstance(rule.check, Fresh))
    also = replace(fresh, id="opened.latency", check=Fresh(Newest("opened"), timedelta(days=9)))
    (found,) = deliveries(replace(plan, rules=(*plan.rules, also)), ENGINE, [("a.csv", frame(0))])
    assert found.arrived_at == frame(0)["at"].max()


def test_without_a_rule_of_freshness_the_name_says_when() -> None:
    plan, _ = contract()
    timeless = replace(plan, rules=tuple(rule for rule in plan.rules if not isinstance(rule.check, Fresh)))
    named = deliveries(timeless, ENGINE, [("2026-01-06.csv", frame(0)), ("2026-01-07.csv", frame(1))])
    assert [batch.arrived_at for batch in named] == [datetime(2026, 1, day, tzinfo=UTC) for day in (7, 8)]
    nameless = deliveries(timeless, ENGINE, [("a", frame(0)), ("b", frame(1))])
    assert [(batch.arrived_at - nameless[0].arrived_at).days for batch in nameless] == [0, 1]
