"""What of a breaker policy has changed, and whether the breaker protects more or less. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from enum import StrEnum

from dagster_contracts.core.compat_kinds import KINDS, Change, Kind
from dagster_contracts.core.contract import BreakerPolicy, Confidence
from dagster_contracts.core.durations import format_duration

# The name of each field in a contract, where it is another.
_NAMES = {
    "max_staleness": "maxStaleness",
    "trip_on": "tripOn",
    "failure_rate_threshold": "window.failureRateThreshold",
    "minimum_batches": "window.minimumBatches",
    "backoff_multiplier": "backoff.multiplier",
    "backoff_maximum": "backoff.maximum",
    "probes": "halfOpen.probes",
    "lease": "halfOpen.lease",
    "sample_rows": "halfOpen.sample.rows",
    "maximum_failing_share": "maximumFailingShare",
    "admit_inconclusive": "onInconclusive",
    "admit_when_unavailable": "onStoreUnavailable",
}


def policy_changes(old: BreakerPolicy, new: BreakerPolicy) -> Iterator[Change]:
    """Every field that differs."""
    for part in fields(BreakerPolicy):
        before, after = getattr(old, part.name), getattr(new, part.name)
        if before == after:
            continue
        if part.name == "reads":
            yield from _reads(old, new)
            continue
        if part.name == "consumers":
            yield from _consumers(old, new)
            continue
        name = _NAMES.get(part.name, part.name)
        yield Change(_kind(part.name, before, after), f"circuitBreaker.{name}", _told(part.name, before), _told(part.name, after))


def _consumers(old: BreakerPolicy, new: BreakerPolicy) -> Iterator[Change]:
    """What a consumer is taken to accept counts, not whether it is listed."""
    for name in sorted({*old.consumers, *new.consumers}):
        before, after = old.consumers.get(name), new.consumers.get(name)
        if before == after:
            continue
        kind = _more(old.accepts(name).rank, new.accepts(name).rank)
        yield Change(KINDS[kind], f"circuitBreaker.consumers[{name}]", before and before.value, after and after.value)


def _reads(old: BreakerPolicy, new: BreakerPolicy) -> Iterator[Change]:
    """Who says to read what is told to the producer, and changes nothing of the data."""
    for name in sorted({*old.reads, *new.reads}):
        before, after = (", ".join(policy.reads.get(name, ())) or None for policy in (old, new))
        if before != after:
            yield Change(KINDS["text.changed"], f"circuitBreaker.consumers[{name}].properties", before, after)


def _kind(name: str, old: object, new: object) -> Kind:
    return KINDS[_direction(name, old, new)]


def _direction(name: str, old: object, new: object) -> str:
    if name == "contact":
        return "contact.changed"
    if name == "fallback":
        return _more(_rank(old), _rank(new))
    if name in ("admit_inconclusive", "admit_when_unavailable"):
        return "policy.weakened" if new else "policy.strengthened"
    if name in ("max_staleness", "maximum_failing_share"):
        return _at_most(name, old, new)
    if name == "trip_on" and isinstance(old, frozenset) and isinstance(new, frozenset):
        return "policy.strengthened" if old < new else "policy.weakened" if new < old else "policy.changed"
    return "policy.changed"


def _rank(fallback: object) -> int:
    accepts = getattr(fallback, "accepts", None)
    return accepts.rank if isinstance(accepts, Confidence) else 0


def _more(old: int, new: int) -> str:
    return "policy.changed" if old == new else "policy.strengthened" if new > old else "policy.weakened"


def _at_most(name: str, old: object, new: object) -> str:
    """None is no bound on staleness, and of failing rows that none may be left out."""
    unbounded = old is None or new is None
    looser = (new is None) == (name == "max_staleness") if unbounded else new > old  # type: ignore[operator]
    return "policy.weakened" if looser else "policy.strengthened"


def _told(name: str, value: object) -> str | None:
    if name in ("admit_inconclusive", "admit_when_unavailable"):
        return "admit" if value else ("hold" if name == "admit_inconclusive" else "halt")
    if name == "heal":
        return "auto" if value else "ask"
    return _text(value)


def _text(value: object) -> str | None:
    match value:
        case None:
            return None
        case StrEnum():
            return value.value
        case timedelta():
            return format_duration(value)
        case frozenset():
            return ", ".join(sorted(str(item) for item in value)) or "nothing"
        case Mapping():
            return ", ".join(f"{key}: {item}" for key, item in value.items())
    if is_dataclass(value):
        told = [(part.name, _text(getattr(value, part.name))) for part in fields(value)]
        return ", ".join(f"{name}: {text}" for name, text in told if text) or None
    return str(value)
