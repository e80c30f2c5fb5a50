"""The profiles that the ledger keeps, and what they say when a later batch is compared with them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dagster_contracts.core.contract import Confidence
from dagster_contracts.core.ledger import Batch, Partition
from dagster_contracts.core.metrics import ProfileOf
from dagster_contracts.core.plan import Drifted, GoodPartition, LastGood, Plan
from dagster_contracts.core.profile import CategoryProfile, NumericProfile, Profile, pooled, veiled
from dagster_contracts.core.verdict import Measurement, Outcome, Remembered, Unmeasured

Asked = tuple[LastGood | GoodPartition, ProfileOf]


@dataclass(frozen=True, slots=True)
class KeptProfile:
    """A profile of a judged batch, kept for the batches after it."""

    batch_id: str
    metric: ProfileOf
    profile: Profile


@dataclass(frozen=True, slots=True)
class GoodProfile:
    """A kept profile of a batch that was published on its own merit, with where it stood and when it arrived."""

    profile: Profile
    partition: Partition
    arrived_at: datetime


def asked(plan: Plan) -> tuple[Asked, ...]:
    """What the rules of a plan want of the ledger to compare with."""
    checks = (rule.check for rule in plan.rules if isinstance(rule.check, Drifted))
    pairs = ((check.reference, check.metric) for check in checks)
    ours = ((to, metric) for to, metric in pairs if isinstance(to, LastGood | GoodPartition) and isinstance(metric, ProfileOf))
    return tuple(dict.fromkeys(ours))


def kept(plan: Plan, measurement: Measurement | Unmeasured, batch: Batch) -> tuple[KeptProfile, ...]:
    """The profiles of a batch that may once be a reference. Of classified columns, categories are kept as digests."""
    may_be_good = batch.outcome in (Outcome.PASS, Outcome.WARN) and batch.confidence is Confidence.FULL
    if isinstance(measurement, Unmeasured) or not may_be_good:
        return ()
    found: list[KeptProfile] = []
    for metric in dict.fromkeys(metric for _, metric in asked(plan)):
        profile = measurement.values.get(metric)
        if isinstance(profile, CategoryProfile):
            found.append(KeptProfile(batch.id, metric, veiled(profile) if metric.column in plan.masked else profile))
        elif isinstance(profile, NumericProfile):
            found.append(KeptProfile(batch.id, metric, profile))
    return tuple(found)


def remembered(reference: LastGood | GoodPartition, found: Sequence[GoodProfile]) -> Remembered | None:
    """Profiles, newest first, as the one to compare with: "7 good batches, newest 2026-11-01". None where there are none."""
    if not found:
        return None
    newest = found[0].partition.key or f"of {found[0].arrived_at:%Y-%m-%d %H:%M}Z"
    if isinstance(reference, GoodPartition):
        told = f"the good batch of partition {newest}"
    elif len(found) == 1:
        told = f"1 good batch, {newest}"
    else:
        told = f"{len(found):,} good batches, newest {newest}"
    return Remembered(pooled([each.profile for each in found]), told)
