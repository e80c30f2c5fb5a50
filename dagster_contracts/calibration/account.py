"""A replay as JSON values; docs/schemas/backtest.schema.json describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dagster_contracts.calibration.incidents import Incident
from dagster_contracts.calibration.replay import Replay, Replayed, Trip
from dagster_contracts.calibration.scoring import Score, Told, scored
from dagster_contracts.calibration.series import Bounds
from dagster_contracts.core.durations import format_duration
from dagster_contracts.core.wording import rfc3339


def replay_to_json(found: Replay, incidents: Sequence[Incident]) -> Mapping[str, object]:
    score = scored(found, incidents)
    return {
        "contract": found.contract,
        "contract_version": found.version,
        "incidents": [_incident(told) for told in score.incidents],
        "clean": score.clean,
        "clean_refused": [{"partition": each.partition, "rules": list(each.rules)} for each in score.refused],
        "false_trips_in_100": score.false_trip_rate if incidents else None,
        "not_judged_anew": [{"rule": each.rule or None, "reason": each.reason, "batches": each.batches} for each in found.unknown],
        "bounds": [_bounds(each) for each in found.bounds],
        "trips": [_trip(trip, found, score) for trip in found.trips],
        "batches": [_batch(each) for each in found.batches],
    }


def _incident(told: Told) -> Mapping[str, object]:
    return {
        "incident": told.incident.label,
        "rule": told.incident.rule,
        "caught": told.caught,
        "caught_by": list(told.by),
        "refused_by_others": list(told.others),
    }


def _bounds(each: Bounds) -> Mapping[str, object]:
    return {
        "rule": each.rule,
        "column": each.column,
        "unit": each.unit or None,
        "low": each.low,
        "high": each.high,
        "inside": each.inside,
        "expected": each.expected,
    }


def _trip(trip: Trip, found: Replay, score: Score) -> Mapping[str, object]:
    return {
        "breaker": trip.breaker,
        "partition": trip.partition,
        "opened_at": rfc3339(trip.opened_at),
        "closed_at": rfc3339(trip.closed_at) if trip.closed_at else None,
        "open_for": format_duration(trip.length(found.end)),
        "failed_probes": trip.probes,
        "labelled": trip not in score.false_trips,
        "rules": list(trip.rules),
    }


def _batch(each: Replayed) -> Mapping[str, object]:
    return {
        "partition": each.partition,
        "arrived_at": rfc3339(each.arrived_at),
        "arrival": each.arrival.value,
        "outcome": str(each.outcome),
        "status": str(each.status),
        "state": str(each.state),
        "rules": list(each.rules),
        "values": dict(each.values),
        "reads": [{"consumer": read.consumer, "kind": str(read.kind), "served": read.served} for read in each.reads],
    }
