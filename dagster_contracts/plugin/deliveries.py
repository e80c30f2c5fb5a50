"""Where Dagster can watch deliveries too: freshness policies, and the sensor that notices what never comes.

A freshness policy shows on the asset page that nothing was materialized; it knows of no contract and moves no breaker. The sensor does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from dagster_contracts.core.inert import shown
from dagster_contracts.core.plan import Cadence, Due
from dagster_contracts.core.schedule import read_cron, zone_of
from dagster_contracts.judgement import Terms
from dagster_contracts.plugin.site import Site
from dagster_contracts.watching import MissedDelivery, record_missed

DELIVERIES = "contracts_deliveries"
_SHORTEST = timedelta(minutes=1)  # that Dagster's policies know
_LATEST_WINDOWS = 10  # looked at when something is missing; an older one that is missing has been told


# --- freshness policies --------------------------------------------------------------------------------------------


def with_freshness(spec: dg.AssetSpec, terms: Mapping[str, Terms]) -> dg.AssetSpec:
    """The spec of an asset, with a policy if it has none of its own and its contract (`terms` by asset key) says when batches come."""
    own = terms.get(spec.key.to_user_string())
    if own is None or spec.freshness_policy is not None or not own.plan.promised:
        return spec
    policy = freshness_policy(own, spec.partitions_def)
    return spec if policy is None else spec.replace_attributes(freshness_policy=policy)


def freshness_policy(terms: Terms, partitions: dg.PartitionsDefinition | None) -> dg.FreshnessPolicy | None:
    """Of its time of availability if it is due each day, else of its frequency; None where Dagster has no such policy."""
    checks = [check for _, check in terms.plan.promised]
    daily = partitions is None or isinstance(partitions, dg.DailyPartitionsDefinition)
    due = next((check for check in checks if isinstance(check, Due)), None)
    if due is not None and daily:
        return _by_the_hour(due)
    cadence = next((check for check in checks if isinstance(check, Cadence)), None)
    return _within(cadence) if cadence is not None else None


def _by_the_hour(due: Due) -> dg.FreshnessPolicy:
    """A zone that is an offset has no name in Dagster, and no daylight saving either: its times are the same in UTC."""
    zone, at = zone_of(due.zone), due.at
    if not isinstance(zone, ZoneInfo):
        at = datetime.combine(datetime(2024, 1, 2, tzinfo=UTC), due.at, zone).astimezone(UTC).time()
    since_midnight = timedelta(hours=due.at.hour, minutes=due.at.minute)
    return dg.FreshnessPolicy.cron(
        deadline_cron=f"{at.minute} {at.hour} * * *",
        lower_bound_delta=since_midnight if due.at >= time(0, 1) else timedelta(hours=23),
        timezone=zone.key if isinstance(zone, ZoneInfo) else "UTC",
    )


def _within(cadence: Cadence) -> dg.FreshnessPolicy | None:
    longest = cadence.interval if cadence.schedule is None else read_cron(cadence.schedule).longest
    fail = longest + cadence.tolerance
    if fail < _SHORTEST:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=fail, warn_window=longest if _SHORTEST <= longest < fail else None)


# --- what never comes ----------------------------------------------------------------------------------------------


def deliveries_sensor(site: Site, partitions: Mapping[str, dg.PartitionsDefinition | None]) -> dg.SensorDefinition:
    """`partitions` are those of the governed assets that are watched here."""

    @dg.sensor(
        name=DELIVERIES,
        description="Notices promised deliveries that do not come: tells of each once, and opens the breaker where that is critical.",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def contracts_deliveries(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        found = record_missed(
            site.gate(context.instance),
            site.in_force(context.instance, partitions),
            lambda asset, now: ended_windows(partitions[asset], now),
        )
        for missed in found:
            context.instance.report_runless_asset_event(_observation(missed))
        return dg.SkipReason(f"recorded {len(found)} missed deliveries" if found else "no delivery is overdue that was not told of")

    return contracts_deliveries


def ended_windows(partitions: dg.PartitionsDefinition | None, now: datetime) -> list[datetime]:
    """The ends of the newest time windows that are over at `now`, newest first; none where the asset has no time windows."""
    timed = [partitions] if isinstance(partitions, dg.TimeWindowPartitionsDefinition) else []
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        inner = (each.partitions_def for each in partitions.partitions_defs)
        timed = [each for each in inner if isinstance(each, dg.TimeWindowPartitionsDefinition)]
    found: list[datetime] = []
    with dg.partition_loading_context(effective_dt=now):
        window = timed[0].get_last_partition_window() if timed else None
        while window is not None and len(found) < _LATEST_WINDOWS:
            if window.end <= now:  # an end_offset counts windows that are not over
                found.append(window.end.astimezone(UTC))
            window = timed[0].get_prev_partition_window(window.start)
    return found


def _observation(found: MissedDelivery) -> dg.AssetObservation:
    missed = found.missed
    return dg.AssetObservation(
        asset_key=dg.AssetKey.from_user_string(found.asset),
        description=shown(f"{missed.rule}: {missed.told}"),
        metadata={
            "contracts/rule": missed.rule,
            "contracts/severity": str(missed.severity),
            "contracts/overdue_since": dg.MetadataValue.timestamp(missed.since),
            "contracts/due": dg.MetadataValue.timestamp(missed.due),
            "contracts/breaker": f"{found.breaker.key} is {found.breaker.state}",
        },
        tags={"contracts/missed": "true"},
    )
