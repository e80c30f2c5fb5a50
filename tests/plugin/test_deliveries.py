"""What Dagster watches of deliveries: freshness policies, and the sensor for those that never come."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_contracts.core.contract import Attached, Contract, SchemaObject, ServiceLevel
from dagster_contracts.core.state import State
from dagster_contracts.judgement import Terms
from dagster_contracts.plugin.deliveries import DELIVERIES, ended_windows, freshness_policy
from tests.plugin.lab import DAYS, Vendor, World, a_consumer, a_feed, contract_text, day, governed

HOUR = timedelta(hours=1)
DAILY = "{property: frequency, value: 1, unit: d%s}"
CRITICAL = ", customProperties: [{property: severity, value: critical}]"


def text(*levels: str) -> str:
    """As that of the lab, with service levels; ODCS 3.2 has a place for their severity."""
    return contract_text(cooldown="PT30M").replace("v3.1.0", "v3.2.0") + f"slaProperties: [{', '.join(levels)}]\n"


def promising(*levels: ServiceLevel) -> Terms:
    feed = SchemaObject("feed")
    return Terms.of(Attached("feed", Contract("c", "1.0.0", "v3.2.0", "active", (feed,), service_levels=levels), feed))


def definitions(**options: Any) -> dg.Definitions:
    return dg.Definitions(assets=[a_feed(Vendor(), **options), a_consumer("reader", "stale", **options)])


def policy_of(world: World) -> object:
    (feed,) = [item for item in world.defs.assets or [] if isinstance(item, dg.AssetsDefinition) and dg.AssetKey("feed") in item.keys]
    return feed.specs_by_key[dg.AssetKey("feed")].freshness_policy


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with governed(tmp_path, definitions, text(DAILY % CRITICAL)) as made:
        yield made


# --- freshness policies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "partitions", "policy"),
    [
        (
            ServiceLevel("frequency", 1, unit="d"),
            None,
            dg.FreshnessPolicy.time_window(fail_window=30 * HOUR, warn_window=24 * HOUR),
        ),
        (ServiceLevel("frequency", 1, unit="d", tolerance="PT0S"), DAYS, dg.FreshnessPolicy.time_window(fail_window=24 * HOUR)),
        (ServiceLevel("frequency", 30, unit="s"), None, None),
        (
            ServiceLevel("frequency", "0 6 * * 1-5"),
            None,
            dg.FreshnessPolicy.time_window(fail_window=78 * HOUR, warn_window=72 * HOUR),
        ),
        (
            ServiceLevel("timeOfAvailability", "09:00-08:00"),
            None,
            dg.FreshnessPolicy.cron("0 17 * * *", lower_bound_delta=9 * HOUR, timezone="UTC"),
        ),
        (
            ServiceLevel("timeOfAvailability", "09:30 Europe/Rome"),
            DAYS,
            dg.FreshnessPolicy.cron("30 9 * * *", lower_bound_delta=9.5 * HOUR, timezone="Europe/Rome"),
        ),
        (ServiceLevel("timeOfAvailability", "00:00"), None, dg.FreshnessPolicy.cron("0 0 * * *", lower_bound_delta=23 * HOUR)),
        (ServiceLevel("timeOfAvailability", "09:00"), dg.MonthlyPartitionsDefinition("2026-01-01"), None),
        (ServiceLevel("endOfLife", "2030-01-01"), None, None),
    ],
)
def test_a_promise_is_a_freshness_policy(level: ServiceLevel, partitions: dg.PartitionsDefinition | None, policy: object) -> None:
    assert freshness_policy(promising(level), partitions) == policy


@pytest.mark.parametrize("minute", range(0, 1440, 97))
@pytest.mark.parametrize("zone", ["UTC", "-08:00", "+05:30", "America/New_York", "Australia/Lord_Howe"])
def test_dagster_takes_every_time_and_zone(minute: int, zone: str) -> None:
    at = time(minute // 60, minute % 60)
    assert freshness_policy(promising(ServiceLevel("timeOfAvailability", f"{at} {zone}")), None) is not None


def test_it_stands_on_the_contracted_asset(world: World) -> None:
    assert policy_of(world) == dg.FreshnessPolicy.time_window(fail_window=30 * HOUR, warn_window=24 * HOUR)
    original = definitions()
    assert next(iter(original.assets or [])).specs_by_key[dg.AssetKey("feed")].freshness_policy is None  # type: ignore[union-attr]


def test_a_policy_of_its_own_is_kept(tmp_path: Path) -> None:
    own = dg.FreshnessPolicy.time_window(fail_window=HOUR)
    with governed(tmp_path, lambda: definitions(freshness_policy=own), text(DAILY % "")) as world:
        assert policy_of(world) == own


def test_without_a_promise_there_is_neither_policy_nor_sensor(tmp_path: Path) -> None:
    with governed(tmp_path, definitions) as world:
        assert policy_of(world) is None
        assert DELIVERIES not in {sensor.name for sensor in world.defs.sensors or []}


# --- the sensor ----------------------------------------------------------------------------------------------------


def observations(world: World) -> list[dg.AssetObservation]:
    found = world.instance.fetch_observations(dg.AssetKey("feed"), limit=50).records
    made = [record.asset_observation for record in found if record.asset_observation is not None]
    return [item for item in reversed(made) if item.tags.get("contracts/missed")]


def test_a_missed_delivery_opens_the_breaker_and_the_delivery_closes_it(world: World) -> None:
    world.at(2, 6)
    assert world.run(partition=day(1)).success
    world.at(3, 11)
    assert world.tick(DELIVERIES) == []
    assert observations(world) == []
    world.at(3, 13)
    world.tick(DELIVERIES)
    world.tick(DELIVERIES)
    (seen,) = observations(world)
    assert seen.description == (
        "sla.frequency: a delivery was due at 2026-01-03T06:00:00Z and has not arrived; the last came at 2026-01-02T06:00:00Z"
    )
    assert seen.metadata["contracts/breaker"].value == "feed is open"
    assert [event.type.value for event in world.ledger().events()] == ["breaker.opened", "delivery.missed"]
    world.at(3, 14)
    assert world.tick("contracts_probe") == []
    late = world.run("feed", partition=day(2))
    assert late.success
    assert late.checks("feed")["contract_freshness"] is False
    (breaker,) = world.ledger().breakers()
    assert (breaker.state, breaker.overdue) == (State.CLOSED, ())
    assert late.materialized("feed") is not None
    world.tick(DELIVERIES)
    assert len(observations(world)) == 1


def test_one_that_only_warns_routes_nobody(tmp_path: Path) -> None:
    with governed(tmp_path, definitions, text(DAILY % "")) as world:
        world.at(2, 6)
        assert world.run(partition=day(1)).success
        world.at(5, 6)
        world.tick(DELIVERIES)
        (breaker,) = world.ledger().breakers()
        assert (breaker.state, [each.rule for each in breaker.overdue]) == (State.CLOSED, ["sla.frequency"])
        assert [item.metadata["contracts/severity"].value for item in observations(world)] == ["warning"]


def test_partitions_that_are_due_are_asked_of_dagster(tmp_path: Path) -> None:
    level = f"{{property: timeOfAvailability, value: '09:00'{CRITICAL}}}"
    with governed(tmp_path, definitions, text(level)) as world:
        world.at(2, 6)
        assert world.run(partition=day(1)).success
        for hour, state in ((8, State.CLOSED), (10, State.OPEN)):
            world.at(3, hour)
            world.tick(DELIVERIES)
            (breaker,) = world.ledger().breakers()
            assert breaker.state is state
        world.at(3, 11)
        assert world.run("feed", partition=day(2)).success
        assert world.ledger().breakers()[0].state is State.CLOSED


def test_an_unpartitioned_feed_is_watched(tmp_path: Path) -> None:
    with governed(tmp_path, lambda: definitions(partitions=None), text(DAILY % CRITICAL)) as world:
        world.at(2, 6)
        assert world.run().success
        world.at(3, 13)
        world.tick(DELIVERIES)
        halted = world.run("reader")
        assert halted.success, "it accepts stale data"
        made = halted.materialized("reader")
        assert made is not None
        assert made.tags["contracts/confidence"] == "stale"


def test_before_the_first_delivery_nothing_is_missing(world: World) -> None:
    world.at(9, 6)
    assert world.tick(DELIVERIES) == []
    assert world.ledger().breakers() == []


# --- windows -------------------------------------------------------------------------------------------------------

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
EASTERN = dg.DailyPartitionsDefinition("2026-03-07", timezone="America/New_York")


@pytest.mark.parametrize(
    ("partitions", "ends"),
    [
        (None, []),
        (dg.StaticPartitionsDefinition(["a"]), []),
        (EASTERN, [datetime(2026, 3, 9, 4, tzinfo=UTC), datetime(2026, 3, 8, 5, tzinfo=UTC)]),
        (dg.DailyPartitionsDefinition("2026-03-08", end_offset=2), [datetime(2026, 3, 9, tzinfo=UTC)]),
        (
            dg.DailyPartitionsDefinition("2026-03-01", end_date="2026-03-03"),
            [datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)],
        ),
        (dg.DailyPartitionsDefinition("2026-04-01"), []),
        (dg.MonthlyPartitionsDefinition("2026-01-01"), [datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)]),
        (
            dg.MultiPartitionsDefinition({"day": EASTERN, "vendor": dg.StaticPartitionsDefinition(["a"])}),
            [datetime(2026, 3, 9, 4, tzinfo=UTC), datetime(2026, 3, 8, 5, tzinfo=UTC)],
        ),
    ],
)
def test_windows_that_are_over(partitions: dg.PartitionsDefinition | None, ends: list[datetime]) -> None:
    assert ended_windows(partitions, NOW) == ends


def test_windows_are_bounded() -> None:
    found = ended_windows(dg.HourlyPartitionsDefinition("2020-01-01-00:00"), NOW)
    assert found == [NOW - number * HOUR for number in range(10)]
