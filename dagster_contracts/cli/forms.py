"""Values of core -> the JSON that reading commands print. Keys are only ever added: `version` would rise otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta

from dagster_contracts.core import breaker as machine
from dagster_contracts.core.contract import BreakerPolicy
from dagster_contracts.core.durations import format_duration
from dagster_contracts.core.events import Event
from dagster_contracts.core.ledger import Batch, Decision, Output, Review, Route
from dagster_contracts.core.state import Breaker, Lease, Override, Transition
from dagster_contracts.core.verdict import verdict_to_json
from dagster_contracts.ports import Waiting


def time(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the second where there is no fraction."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment is not None else None


def of_breaker(breaker: Breaker, now: datetime) -> dict[str, object]:
    """As of `now`: an override that has expired is gone. `routed` says whether consumers fall back."""
    breaker = machine.current(breaker, now)
    return {
        "key": breaker.key,
        "state": str(breaker.state),
        "routed": machine.enforced_open(breaker, now),
        "since": time(breaker.since),
        "opened_at": time(breaker.opened_at),
        "cause": breaker.cause,
        "findings": list(breaker.findings),
        "next_probe_at": time(machine.next_probe_at(breaker, now)),
        "probe_due": machine.probe_due(breaker, now),
        "override": _override(breaker.override),
        "overdue": [{"rule": each.rule, "since": time(each.since), "due": time(each.due)} for each in breaker.overdue],
        "contract_version": breaker.contract_version,
        "contract_contents": list(breaker.contents),
        "generation": breaker.generation,
    }


def of_breaker_in_full(breaker: Breaker, now: datetime) -> dict[str, object]:
    breaker = machine.current(breaker, now)
    return {
        **of_breaker(breaker, now),
        "failed_rules": sorted(breaker.failed_rules),
        "window": [{"batch": entry.batch_id, "at": time(entry.at), "failed": entry.failed} for entry in breaker.window],
        "reopened": breaker.reopened,
        "cooldown": format_duration(breaker.cooldown),
        "lease": _lease(breaker.lease) if breaker.lease and machine.lease_is_live(breaker, now) else None,
        "probed": list(breaker.probed),
        "passed": list(breaker.passed),
        "policy": of_policy(breaker.policy),
    }


def of_policy(policy: BreakerPolicy) -> dict[str, object]:
    """In the words of the contract's circuitBreaker block."""
    return {
        "fallback": str(policy.fallback),
        "maxStaleness": format_duration(policy.max_staleness) if policy.max_staleness is not None else None,
        "tripOn": sorted(str(severity) for severity in policy.trip_on),
        "failures": policy.failures if policy.failure_rate_threshold is None else None,
        "window": _window(policy),
        "cooldown": format_duration(policy.cooldown),
        "backoff": {"multiplier": policy.backoff_multiplier, "maximum": format_duration(policy.backoff_maximum)},
        "halfOpen": {"probes": policy.probes, "lease": format_duration(policy.lease), "sample": {"rows": policy.sample_rows}},
        "scope": policy.scope,
        "onFailure": "quarantine" if policy.maximum_failing_share is None else "quarantine_rows",
        "maximumFailingShare": policy.maximum_failing_share,
        "onInconclusive": "admit" if policy.admit_inconclusive else "hold",
        "onStoreUnavailable": "admit" if policy.admit_when_unavailable else "halt",
        "heal": "auto" if policy.heal else "ask",
        "consumers": [{"asset": asset, "fallback": str(fallback)} for asset, fallback in sorted(policy.consumers.items())],
    }


def of_transition(transition: Transition) -> dict[str, object]:
    return {
        "at": time(transition.at),
        "from": str(transition.from_state),
        "to": str(transition.to_state),
        "cause": transition.cause,
        "batch": transition.batch_id,
        "actor": transition.actor,
        "generation": transition.generation,
        "shadow": transition.shadow,
    }


def of_batch(batch: Batch) -> dict[str, object]:
    released = batch.released
    return {
        "id": batch.id,
        "asset": batch.asset,
        "breaker": batch.breaker_key,
        "partition": batch.partition.key,
        "status": str(batch.status),
        "outcome": str(batch.outcome),
        "confidence": str(batch.confidence),
        "contract": {"id": batch.contract_id, "version": batch.contract_version},
        "arrived_at": time(batch.arrived_at),
        "updated_at": time(batch.updated_at),
        "run_id": batch.run_id,
        "data_version": batch.data_version,
        "stored": batch.staged is not None,
        "released": {"actor": released.actor, "reason": released.reason, "at": time(released.at)} if released else None,
        "note": batch.note,
    }


def of_batch_in_full(batch: Batch) -> dict[str, object]:
    verdict = batch.verdict
    return {
        **of_batch(batch),
        "head": batch.head,
        "counted": batch.counted,
        "verdict": verdict_to_json(verdict) if verdict is not None else None,
    }


def of_output(output: Output, now: datetime) -> dict[str, object]:
    return {
        "asset": output.asset,
        "partition": output.partition.key,
        "status": str(output.status),
        "confidence": str(output.confidence) if output.confidence is not None else None,
        "since": time(output.at),
        "seconds": int((now - output.at).total_seconds()),
        "run_id": output.run_id,
        "inputs": [_route(route) for route in output.inputs],
    }


def of_review(review: Review) -> dict[str, object]:
    return {
        "output": review.id,
        "asset": review.asset,
        "partition": review.partition.key,
        "status": str(review.status),
        "opened_at": time(review.opened_at),
        "reason": review.reason,
        "actor": review.actor,
        "decided_at": time(review.decided_at),
    }


def of_waiting(waiting: Waiting) -> dict[str, object]:
    return {"sink": waiting.sink, "undelivered": waiting.events, "oldest": time(waiting.oldest)}


def of_decision(decision: Decision) -> dict[str, object]:
    return {
        "run_id": decision.step.run_id,
        "step": decision.step.step,
        "attempt": decision.step.attempt,
        "decided_at": time(decision.decided_at),
        **_route(decision.route),
    }


def of_event(event: Event) -> dict[str, object]:
    return {"id": event.id, "at": time(event.at), "type": str(event.type), "message": event.message, "data": dict(event.payload)}


def of_row(row: object) -> dict[str, object]:
    """Any flat dataclass: its fields as JSON values."""
    assert is_dataclass(row)
    assert not isinstance(row, type)
    return {name: _value(value) for name, value in asdict(row).items()}


def _value(value: object) -> object:
    if isinstance(value, datetime):
        return time(value)
    if isinstance(value, timedelta):
        return format_duration(max(value, timedelta(0)))
    if isinstance(value, Mapping):
        return {str(key): _value(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(entry) for entry in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _override(override: Override | None) -> dict[str, object] | None:
    if override is None:
        return None
    return {
        "kind": str(override.kind),
        "actor": override.actor,
        "reason": override.reason,
        "set_at": time(override.set_at),
        "expires_at": time(override.expires_at),
    }


def _lease(lease: Lease) -> dict[str, object]:
    return {"holder": lease.holder, "batch": lease.batch_id, "expires_at": time(lease.expires_at)}


def _route(route: Route) -> dict[str, object]:
    return {
        "upstream": route.upstream,
        "requested": route.requested.key,
        "route": str(route.kind),
        "confidence": str(route.confidence) if route.confidence is not None else None,
        "served": route.served.key if route.served is not None else None,
        "reason": route.reason,
    }


def _window(policy: BreakerPolicy) -> dict[str, object]:
    window = policy.window
    return {
        "batches": window.batches,
        "duration": format_duration(window.duration) if window.duration is not None else None,
        "failureRateThreshold": policy.failure_rate_threshold,
        "minimumBatches": policy.minimum_batches,
    }
